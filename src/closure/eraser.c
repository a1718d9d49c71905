/*
 * src/closure/eraser.c
 *		Rows of a closure that have to go.
 *
 * Each row is found through the index on both keys, in the index's order, and
 * deleted in the heap: a move deletes as many rows as it inserts, and half of
 * the time of a DELETE would go into the executor.  As in writer.c, anything
 * that somebody has put on the closure is honoured by going through SQL.
 *
 * Locks: RowExclusiveLock on the closure, kept to the end of the transaction.
 * The roots of all trees concerned are held, see flush.c, so nobody else who
 * follows the rules is at these rows.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define ST_SORT sort_rows
#define ST_ELEMENT_TYPE ClosureRow
#define ST_COMPARE(a, b) \
	((a)->ancestor->rank != (b)->ancestor->rank ? \
	 (a)->ancestor->rank - (b)->ancestor->rank : \
	 (a)->descendant->rank - (b)->descendant->rank)
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Delete one row version. */
static void
delete_tuple(Hierarchy *h, Relation rel, ItemPointer tid, CommandId cid,
			 Snapshot snapshot)
{
	TM_FailureData tmfd;

	switch (table_tuple_delete(rel, tid, cid, snapshot, InvalidSnapshot, true,
							   &tmfd, false))
	{
		case TM_Ok:
			break;
		case TM_SelfModified:
			elog(ERROR, "row of closure \"%s\" was changed by the statement that deletes it",
				 RelationGetRelationName(rel));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent change of hierarchy \"%s\"",
							get_rel_name(h->relid))));
	}
}

/*
 * Delete rows; their nodes have been ranked.  The order of the list changes.
 * The caller has called closure_enter().
 */
void
closure_erase(Hierarchy *h, ClosureRows *rows)
{
	Relation	rel;
	TupleTableSlot *slot;
	IndexScanDesc scan;
	MemoryContext context;
	MemoryContext old;
	Snapshot	snapshot;
	CommandId	cid;

	if (rows->n == 0)
		return;
	sort_rows(rows->rows, rows->n);
	rel = table_open(h->closureid, RowExclusiveLock);
	if (!OidIsValid(h->pair_index) || !closure_is_plain(rel) ||
		rel->rd_rel->relreplident == REPLICA_IDENTITY_NOTHING)
	{
		table_close(rel, NoLock);
		closure_write_rows(h, CQ_DELETE, rows);
		return;
	}

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	cid = GetCurrentCommandId(true);
	slot = table_slot_create(rel, NULL);
	context = AllocSetContextCreate(CurrentMemoryContext,
									"plinth_closure eraser",
									ALLOCSET_DEFAULT_SIZES);
	scan = closure_probe_begin(h, rel, h->pair_index,
							   rows->rows[0].ancestor->key,
							   rows->rows[0].descendant->key, snapshot);
	old = MemoryContextSwitchTo(context);
	for (int64 i = 0; i < rows->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			closure_probe_again(h, scan, rows->rows[i].ancestor->key,
								rows->rows[i].descendant->key);
		if (index_getnext_slot(scan, ForwardScanDirection, slot))
			delete_tuple(h, rel, &slot->tts_tid, cid, snapshot);
		if (i % 100 == 99)
			MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	closure_probe_end(scan);
	MemoryContextDelete(context);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}
