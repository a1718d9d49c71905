/*
 * src/inventory/tail.c
 *		What the ledger has and the stock row has not: events to be folded.
 *
 * Escrow mode writes no stock row.  What changes a cell is a row of the ledger
 * that bears the cell's generation and its transaction's id, and `folded`, a
 * snapshot in the cell row, says which of those transactions the stock row has:
 * the ones that the snapshot sees.  So no event is ever marked, and a
 * transaction that runs for long holds up nobody's events but its own.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

/*
 * What a snapshot sees, as a pg_snapshot, palloc'd.  This transaction is not in
 * it: what it will still write is not in the stock row either.
 */
Datum
inventory_snapshot_value(Snapshot snapshot)
{
	FullTransactionId mine = GetTopFullTransactionIdIfAny();
	StringInfoData buf;
	char	   *text;
	char	   *colon;
	uint64		xmin;
	uint64		xmax;

	PushActiveSnapshot(snapshot);
	text = DatumGetCString(DirectFunctionCall1(pg_snapshot_out,
											   DirectFunctionCall1(pg_current_snapshot, (Datum) 0)));
	PopActiveSnapshot();
	if (!FullTransactionIdIsValid(mine))
		return DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(text));

	/* xmin:xmax:ids, ascending */
	xmin = strtou64(text, &colon, 10);
	xmax = strtou64(colon + 1, &colon, 10);
	if (U64FromFullTransactionId(mine) >= xmax)
		return DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(text));
	initStringInfo(&buf);
	appendStringInfo(&buf, UINT64_FORMAT ":" UINT64_FORMAT ":",
					 Min(xmin, U64FromFullTransactionId(mine)), xmax);
	{
		bool		done = false;
		bool		first = true;
		char	   *p = colon + 1;

		while (*p || !done)
		{
			uint64		id = *p ? strtou64(p, &p, 10) : PG_UINT64_MAX;

			if (*p == ',')
				p++;
			if (!done && U64FromFullTransactionId(mine) <= id)
			{
				appendStringInfo(&buf, "%s" UINT64_FORMAT, first ? "" : ",",
								 U64FromFullTransactionId(mine));
				done = true;
				first = false;
				if (id == U64FromFullTransactionId(mine))
					continue;
			}
			if (id != PG_UINT64_MAX)
			{
				appendStringInfo(&buf, "%s" UINT64_FORMAT, first ? "" : ",", id);
				first = false;
			}
		}
	}
	return DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(buf.data));
}

/* What is committed now. */
Datum
inventory_current_snapshot(void)
{
	return inventory_snapshot_value(GetLatestSnapshot());
}

/* Add the events in one table of the ledger. */
static void
add_events(Inventory *inv, Companion companion, Oid indexid,
		   const CellRow *cell, Snapshot snapshot, FullTransactionId except,
		   Tail *tail)
{
	bool		reservation = companion == RESERVATION;
	AttrNumber	xid_att = inventory_column(inv, companion,
										   reservation ? (int) R_XID : (int) M_XID);
	AttrNumber	quantity_att = inventory_column(inv, companion,
												reservation ? (int) R_QUANTITY : (int) M_QUANTITY);
	AttrNumber	reserved_att = reservation ? 0 :
		inventory_column(inv, companion, M_RESERVED);
	Relation	rel = table_open(inv->companion[companion], AccessShareLock);
	Relation	index = index_open(indexid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	IndexScanDesc scan;
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(cell->generation));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_XID8GE,
				DirectFunctionCall1(pg_snapshot_xmin, cell->folded));
	scan = plinth_index_beginscan(rel, index, snapshot, 2);
	index_rescan(scan, keys, 2, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		Datum		xid = slot_getattr(slot, xid_att, &isnull);

		CHECK_FOR_INTERRUPTS();
		if (FullTransactionIdEquals(DatumGetFullTransactionId(xid), except) ||
			DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, xid,
											 cell->folded)))
			continue;
		if (reservation)
			tail->reserved += DatumGetInt32(slot_getattr(slot, quantity_att,
														 &isnull));
		else
		{
			tail->quantity += DatumGetInt64(slot_getattr(slot, quantity_att,
														 &isnull));
			tail->reserved += DatumGetInt64(slot_getattr(slot, reserved_att,
														 &isnull));
		}
		tail->rows++;
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(rel, NoLock);
}

/*
 * The sum of a cell's events that the snapshot sees and the stock row does not
 * have, apart from those of one transaction.
 */
void
inventory_tail_read(Inventory *inv, const CellRow *cell, Snapshot snapshot,
					FullTransactionId except, Tail *tail)
{
	memset(tail, 0, sizeof(Tail));
	if (!cell->escrow || DatumGetPointer(cell->folded) == NULL)
		return;
	add_events(inv, RESERVATION, inv->reservation_tail, cell, snapshot, except,
			   tail);
	add_events(inv, MOVEMENT, inv->movement_tail, cell, snapshot, except, tail);
}

/* A stock row with its cell's tail, as it is now. */
StockRow
inventory_exact_stock(Inventory *inv, const StockKey *key, const CellRow *cell)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	StockRow	stock;
	Tail		tail;

	if (!inventory_read_stock(inv, key, snapshot, &stock))
		inventory_unknown(inv, key);
	inventory_tail_read(inv, cell, snapshot, InvalidFullTransactionId, &tail);
	UnregisterSnapshot(snapshot);
	stock.quantity += tail.quantity;
	stock.reserved += tail.reserved;
	return stock;
}
