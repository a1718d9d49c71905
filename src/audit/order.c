/*
 * src/audit/order.c
 *		The place of a change among the other changes of its transaction.
 *
 * AFTER triggers fire when a command has ended, so what a command nested in
 * it changes is recorded first: by a user's AFTER trigger, which runs when all
 * rows of the outer command are changed, but also by a BEFORE trigger or a
 * function in the statement, which runs between two of them.  Neither the
 * order of recording nor the id of the command alone tells what came first.
 *
 * The rows do.  A row version with a certain key was made after every command
 * that has removed another version of that key, except those that came after
 * its own removal.  So a change that makes a new key gets as its command_id
 * the last of these commands if that is later than its own: the earliest place
 * that the key allows.  Then (command_id, audit_id) is the true order of the
 * changes of every key.
 *
 * Only where a removal was recorded that is later than the change is there
 * anything to look for, so all others cost nothing.
 *
 * What came when is read from the heap, where an aborted subtransaction has
 * left its marks; only the number of the latest removal is kept in memory.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * The latest command of this transaction that removed a key, as far as was
 * recorded, on any table.  One of an aborted subtransaction makes us look in
 * vain, no more.
 */
static CommandId last_removal = 0;
static bool any_removal = false;

static void
note_removal(CommandId command)
{
	last_removal = any_removal ? Max(last_removal, command) : command;
	any_removal = true;
}

void
audit_order_xact_end(void)
{
	any_removal = false;
}

/* The command that made this row version. */
CommandId
audit_maker(Relation rel, HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;

	/* other access methods keep such things elsewhere, if at all */
	if (rel->rd_tableam != GetHeapamTableAmRoutine())
		return GetCurrentCommandId(false);
	if ((header->t_infomask & HEAP_COMBOCID) == 0)
		return HeapTupleHeaderGetRawCommandId(header);
	return HeapTupleHeaderGetCmin(header);
}

/*
 * The command of this transaction that replaced or deleted a row version;
 * InvalidCommandId if none did.
 */
static CommandId
remover(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;

	if ((header->t_infomask & HEAP_XMAX_INVALID) ||
		HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask) ||
		!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header)))
		return InvalidCommandId;
	return HeapTupleHeaderGetCmax(header);
}

/* The relation's own primary key index; InvalidOid if there is none. */
static Oid
primary_index(Relation rel)
{
	ListCell   *lc;
	Oid			result = InvalidOid;

	foreach(lc, RelationGetIndexList(rel))
	{
		HeapTuple	tup = SearchSysCache1(INDEXRELID,
										  ObjectIdGetDatum(lfirst_oid(lc)));

		if (!HeapTupleIsValid(tup))
			continue;
		if (((Form_pg_index) GETSTRUCT(tup))->indisprimary &&
			((Form_pg_index) GETSTRUCT(tup))->indisvalid)
			result = lfirst_oid(lc);
		ReleaseSysCache(tup);
	}
	return result;
}

/* Scan keys that find the row in the slot; false if a key column is null. */
static bool
make_scan_keys(Relation index, TupleTableSlot *slot, ScanKey keys)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		Oid			opfamily = index->rd_opfamily[i];
		Oid			optype = index->rd_opcintype[i];
		Oid			eqop;
		bool		isnull;
		Datum		value = slot_getattr(slot, index->rd_index->indkey.values[i],
										 &isnull);

		eqop = get_opfamily_member(opfamily, optype, optype,
									   BTEqualStrategyNumber);
		if (isnull || !OidIsValid(eqop))
			return false;
		ScanKeyInit(&keys[i], i + 1, BTEqualStrategyNumber,
					get_opcode(eqop), value);
		keys[i].sk_collation = index->rd_indcollation[i];
	}
	return true;
}

/*
 * The last command later than `command` and before `bound` that removed
 * another version with the key of this one; `command` if there is none.
 */
static CommandId
last_remover_of_key(Relation rel, TupleTableSlot *slot, CommandId command,
					CommandId bound)
{
	Oid			indexid = primary_index(rel);
	Relation	index;
	ScanKeyData keys[INDEX_MAX_KEYS];
	CommandId	last = command;

	if (!OidIsValid(indexid))
		return command;
	index = index_open(indexid, AccessShareLock);
	if (index->rd_rel->relam == BTREE_AM_OID &&
		make_scan_keys(index, slot, keys))
	{
		TupleTableSlot *found = table_slot_create(rel, NULL);
		int			nkeys = IndexRelationGetNumberOfKeyAttributes(index);
		IndexScanDesc scan = plinth_index_beginscan(rel, index, SnapshotAny,
													nkeys);

		index_rescan(scan, keys, nkeys, NULL, 0);
		while (index_getnext_slot(scan, ForwardScanDirection, found))
		{
			bool		should_free;
			HeapTuple	tuple = ExecFetchSlotHeapTuple(found, false,
													   &should_free);
			CommandId	removed = remover(tuple);

			CHECK_FOR_INTERRUPTS();
			if (removed != InvalidCommandId && removed > last &&
				removed < bound &&
				!ItemPointerEquals(&found->tts_tid, &slot->tts_tid))
				last = removed;
			if (should_free)
				heap_freetuple(tuple);
		}
		index_endscan(scan);
		ExecDropSingleTupleTableSlot(found);
	}
	index_close(index, NoLock);
	return last;
}

/*
 * command_id of a change.  `tuple` is the version that it made, or for a
 * deletion the one that it removed; `slot` holds the version made if its key
 * is new, otherwise NULL, and `changed` says that it took the place of another
 * key.
 */
CommandId
audit_order(Relation rel, HeapTuple tuple, bool deleted, TupleTableSlot *slot,
			bool changed)
{
	CommandId	command;

	if (rel->rd_tableam != GetHeapamTableAmRoutine())
		return audit_maker(rel, tuple);
	if (deleted)
	{
		command = remover(tuple);
		if (command == InvalidCommandId)
			command = GetCurrentCommandId(false);
		note_removal(command);
		return command;
	}

	command = audit_maker(rel, tuple);
	if (slot == NULL)
		return command;
	if (any_removal && last_removal > command)
	{
		CommandId	place = last_remover_of_key(rel, slot, command,
												remover(tuple));

		if (changed)
			note_removal(command);
		return place;
	}
	if (changed)
		note_removal(command);
	return command;
}
