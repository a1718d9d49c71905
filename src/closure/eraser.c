/*
 * src/closure/eraser.c
 *		Rows of a closure that have to go.
 *
 * Rows are found through the index on both keys, in the index's order, and
 * deleted in the heap: a move deletes as many rows as it inserts, and half of
 * the time of a DELETE would go into the executor.  As in writer.c, anything
 * that somebody has put on the closure is honoured by going through SQL.
 *
 * The rows that a move takes from one ancestor often lie close together among
 * its others, so the index is read on from one to the next.  Where they don't,
 * each is looked up by itself: reading on costs a whole page at a time.
 *
 * Locks: RowExclusiveLock on the closure, kept to the end of the transaction.
 * The roots of all trees concerned are held, see flush.c, so nobody else who
 * follows the rules is at these rows.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * So many other entries of the index may be read for each row that is found;
 * fewer rows than that are not worth a page.
 */
#define READ_ON 32

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

/* The closure, open for deleting. */
typedef struct Eraser
{
	Hierarchy  *h;
	Relation	rel;
	CommandId	cid;
	Snapshot	snapshot;
	TupleTableSlot *slot;
	IndexScanDesc lookup;		/* for one row; NULL until it is needed */
	IndexScanDesc reading;		/* from one row on */
	FmgrInfo	at_least;		/* >= of the key's type */
} Eraser;

/* Delete the row that a scan has come to, if the snapshot sees it. */
static bool
erase_here(Eraser *eraser, IndexScanDesc scan)
{
	if (!index_fetch_heap(scan, eraser->slot))
		return false;
	delete_tuple(eraser->h, eraser->rel, &eraser->slot->tts_tid, eraser->cid,
				 eraser->snapshot);
	return true;
}

/* Delete one row by itself. */
static void
erase_one(Eraser *eraser, const ClosureRow *row)
{
	if (eraser->lookup == NULL)
		eraser->lookup = closure_probe_begin(eraser->h, eraser->rel,
											 eraser->h->pair_index,
											 row->ancestor->key,
											 row->descendant->key,
											 eraser->snapshot);
	else
		closure_probe_again(eraser->h, eraser->lookup, row->ancestor->key,
							row->descendant->key);
	while (index_getnext_tid(eraser->lookup, ForwardScanDirection))
	{
		if (erase_here(eraser, eraser->lookup))
			break;
	}
}

/* Read the index from a row on. */
static void
read_from(Eraser *eraser, const ClosureRow *row)
{
	Hierarchy  *h = eraser->h;
	ScanKeyData keys[2];

	ScanKeyEntryInitializeWithInfo(&keys[0], 0, 1, BTEqualStrategyNumber,
								   InvalidOid, h->collations[0], &h->equal[0],
								   row->ancestor->key[0]);
	ScanKeyEntryInitializeWithInfo(&keys[1], 0, 2,
								   BTGreaterEqualStrategyNumber, InvalidOid,
								   h->collations[0], &eraser->at_least,
								   row->descendant->key[0]);
	if (eraser->reading == NULL)
	{
		Relation	index = index_open(h->pair_index, AccessShareLock);

		eraser->reading = plinth_index_beginscan(eraser->rel, index,
												 eraser->snapshot, 2);
		eraser->reading->xs_want_itup = true;
	}
	index_rescan(eraser->reading, keys, 2, NULL, 0);
}

/*
 * Delete rows of one ancestor by reading on, as long as that finds enough of
 * them.  Returns how many have been dealt with.
 */
static int64
erase_reading(Eraser *eraser, const ClosureRow *rows, int64 n)
{
	Hierarchy  *h = eraser->h;
	int64		done = 0;
	int64		found = 0;
	int64		passed = 0;

	read_from(eraser, &rows[0]);
	while (done < n &&
		   index_getnext_tid(eraser->reading, ForwardScanDirection))
	{
		IndexScanDesc scan = eraser->reading;
		bool		isnull;
		Datum		key = index_getattr(scan->xs_itup, 2, scan->xs_itupdesc,
										&isnull);
		int			order = -1;

		if (++passed % 100 == 0)
			CHECK_FOR_INTERRUPTS();
		while (done < n &&
			   (order = closure_key_compare(h, rows[done].descendant->key, &key)) < 0)
			done++;				/* not there */
		if (done < n && order == 0 && erase_here(eraser, scan))
		{
			done++;
			found++;
		}
		if (passed >= READ_ON * (found + 1))
			return done;
	}
	return n;
}

/* Delete the rows of one ancestor. */
static void
erase_group(Eraser *eraser, const ClosureRow *rows, int64 n)
{
	int64		done = 0;

	if (n >= READ_ON && OidIsValid(eraser->at_least.fn_oid))
		done = erase_reading(eraser, rows, n);
	for (; done < n; done++)
	{
		CHECK_FOR_INTERRUPTS();
		erase_one(eraser, &rows[done]);
	}
}

/*
 * Delete rows; their nodes have been ranked.  The order of the list changes.
 * The caller has called closure_enter().
 */
void
closure_erase(Hierarchy *h, ClosureRows *rows)
{
	Eraser		eraser = {.h = h};

	if (rows->n == 0)
		return;
	sort_rows(rows->rows, rows->n);
	eraser.rel = table_open(h->closureid, RowExclusiveLock);
	/* waiting for the lock may have shown that the indexes are others now */
	if (!h->valid || !OidIsValid(h->pair_index) ||
		!closure_is_plain(eraser.rel) ||
		eraser.rel->rd_rel->relreplident == REPLICA_IDENTITY_NOTHING)
	{
		table_close(eraser.rel, NoLock);
		closure_write_rows(h, CQ_DELETE, rows);
		return;
	}

	CommandCounterIncrement();
	eraser.snapshot = RegisterSnapshot(GetTransactionSnapshot());
	eraser.cid = GetCurrentCommandId(true);
	eraser.slot = table_slot_create(eraser.rel, NULL);
	if (h->nkeys == 1 && OidIsValid(h->at_least))
		fmgr_info(h->at_least, &eraser.at_least);
	for (int64 first = 0, next; first < rows->n; first = next)
	{
		for (next = first + 1; next < rows->n &&
			 rows->rows[next].ancestor == rows->rows[first].ancestor; next++)
			/* one ancestor's */;
		erase_group(&eraser, &rows->rows[first], next - first);
	}
	if (eraser.lookup)
		closure_probe_end(eraser.lookup);
	if (eraser.reading)
		closure_probe_end(eraser.reading);
	ExecDropSingleTupleTableSlot(eraser.slot);
	UnregisterSnapshot(eraser.snapshot);
	table_close(eraser.rel, NoLock);
}
