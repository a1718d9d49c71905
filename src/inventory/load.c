/*
 * src/inventory/load.c
 *		A cell's counter, made from the tables.
 *
 * Nobody has the cell pinned who has written rows that we do not see: writers
 * pin before their first row, and a counter is made only while it is not READY,
 * or READY and pinned by us alone.  So what the latest snapshot sees is all
 * there is.
 *
 * Who loads holds no lock and waits for nothing meanwhile (tables and indexes
 * are locked before), and puts the cell back on any error, also when its
 * session is ended.  So the others need not know who it is: they nap.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A moment, and how far apart two of them are parts of one wait; microseconds. */
#define NAP 500
#define NAPS_APART (100 * 1000)

/* A column of a reservation; 0 if it is null. */
static Datum
column_of(Inventory *inv, TupleTableSlot *slot, ReservationColumn column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, inventory_column(inv, RESERVATION, column),
									 &isnull);

	return isnull ? (Datum) 0 : value;
}

/*
 * Holds of a cell in the order in which they expire: when the first one does,
 * CELL_NEVER_DUE if none, and the units of all that are overdue at a time.
 */
static TimestampTz
scan_due(Inventory *inv, const StockKey *key, Snapshot snapshot,
		 TimestampTz now, int64 *overdue)
{
	Relation	rel = table_open(inv->companion[RESERVATION], AccessShareLock);
	Relation	index = index_open(inv->due_index, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TimestampTz first = CELL_NEVER_DUE;
	IndexScanDesc scan;
	ScanKeyData keys[INVENTORY_MAX_KEYS];

	for (int i = 0; i < inv->nkeys; i++)
		ScanKeyEntryInitialize(&keys[i], 0, i + 1, BTEqualStrategyNumber,
							   InvalidOid, inv->key[i].collation,
							   inv->key[i].equal, key->value[i]);
	*overdue = 0;
	scan = plinth_index_beginscan(rel, index, snapshot, inv->nkeys);
	index_rescan(scan, keys, inv->nkeys, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		TimestampTz due = DatumGetTimestampTz(column_of(inv, slot, R_EXPIRES_AT));

		CHECK_FOR_INTERRUPTS();

		/* somebody may have put an index there that has finished ones too */
		if (!slot_attisnull(slot, inventory_column(inv, RESERVATION, R_FINISHED_AT)) ||
			slot_attisnull(slot, inventory_column(inv, RESERVATION, R_EXPIRES_AT)))
			continue;
		first = Min(first, due);
		if (due > now)
			break;
		*overdue += DatumGetInt32(column_of(inv, slot, R_QUANTITY)) -
			DatumGetInt32(column_of(inv, slot, R_CONFIRMED)) -
			DatumGetInt32(column_of(inv, slot, R_RELEASED));
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(rel, NoLock);
	return first;
}

/* When the first of a cell's holds expires; CELL_NEVER_DUE if none does. */
TimestampTz
inventory_first_due(Inventory *inv, const StockKey *key, Snapshot snapshot)
{
	int64		overdue;

	return scan_due(inv, key, snapshot, DT_NOBEGIN, &overdue);
}

/* How many units overdue holds of a cell hold: they count as free. */
int64
inventory_overdue(Inventory *inv, const StockKey *key)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	int64		overdue;

	(void) scan_due(inv, key, snapshot, GetCurrentTimestamp(), &overdue);
	UnregisterSnapshot(snapshot);
	return overdue;
}

/* The same of a cell that is pinned: it knows when to look. */
int64
inventory_overdue_pinned(Inventory *inv, const StockKey *key, SharedCell *cell)
{
	if ((TimestampTz) pg_atomic_read_u64(&cell->due) > GetCurrentTimestamp())
		return 0;
	return inventory_overdue(inv, key);
}

/*
 * Wait a moment for the counter of a generation.  Moments that follow each
 * other are one wait, which lock_timeout ends with 55P03 as it ends others.
 */
void
inventory_nap(int64 generation)
{
	static int64 waiting_for;
	static TimestampTz since;
	static TimestampTz last;
	TimestampTz now = GetCurrentTimestamp();

	CHECK_FOR_INTERRUPTS();
	if (generation != waiting_for || now - last > NAPS_APART)
	{
		waiting_for = generation;
		since = now;
	}
	else if (LockTimeout > 0 &&
			 TimestampDifferenceExceeds(since, now, LockTimeout))
	{
		waiting_for = 0;
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("canceling statement due to lock timeout")));
	}
	pg_usleep(NAP);
	last = GetCurrentTimestamp();
}

/* All locks that loading needs, so that it waits for none. */
static void
lock_what_is_read(Inventory *inv)
{
	LockRelationOid(inv->companion[CELL], AccessShareLock);
	LockRelationOid(inv->cell_index, AccessShareLock);
	LockRelationOid(inv->stock_index, AccessShareLock);
	LockRelationOid(inv->companion[RESERVATION], AccessShareLock);
	LockRelationOid(inv->reservation_tail, AccessShareLock);
	LockRelationOid(inv->due_index, AccessShareLock);
	LockRelationOid(inv->companion[MOVEMENT], AccessShareLock);
	LockRelationOid(inv->movement_tail, AccessShareLock);
}

/*
 * Fill in a cell that is in state LOADING.  False if its generation is over.
 */
static bool
fill(Inventory *inv, const StockKey *key, SharedCell *cell)
{
	uint64		epoch = pg_atomic_read_u64(inv->epoch);
	Snapshot	snapshot;
	CellRow		row;
	StockRow	stock;
	Tail		tail;
	bool		current;

	/* the epoch is that of before the snapshot: better loaded once too often */
	pg_memory_barrier();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	current = inventory_cell_read(inv, key, snapshot, &row) && row.escrow &&
		row.generation == cell->key.generation;
	if (current && !inventory_read_stock(inv, key, snapshot, &stock))
		inventory_unknown(inv, key);
	if (current)
	{
		inventory_tail_read(inv, &row, snapshot, InvalidFullTransactionId,
							&tail);
		pg_atomic_write_u64(&cell->units,
							stock.quantity + tail.quantity -
							stock.reserved - tail.reserved -
							row.safety_stock + row.oversell_limit);
		pg_atomic_write_u64(&cell->on_hand, stock.quantity + tail.quantity);
		pg_atomic_write_u64(&cell->beyond,
							row.oversell_limit - row.safety_stock);
		pg_atomic_write_u64(&cell->version, stock.version);
		/* a hold that this transaction has settled comes back if it aborts */
		pg_atomic_write_u64(&cell->due,
							TransactionIdIsValid(GetTopTransactionIdIfAny()) ?
							(uint64) DT_NOBEGIN :
							(uint64) inventory_first_due(inv, key, snapshot));
		pg_atomic_write_u64(&cell->epoch, epoch);
	}
	UnregisterSnapshot(snapshot);
	return current;
}

static void
put_back(int code, Datum arg)
{
	SharedCell *cell = (SharedCell *) DatumGetPointer(arg);

	pg_atomic_write_u32(&cell->state, CELL_UNLOADED);
}

/*
 * Make sure that a cell, which the caller has just pinned, can be used.  False
 * if it cannot, because its generation is over, or may be, or because it must
 * be loaded anew and others are using it: *changer is the transaction to wait
 * for, without the pin, if it is valid.
 */
bool
inventory_load(Inventory *inv, const StockKey *key, SharedCell *cell,
			   TransactionId *changer)
{
	uint32		state;
	volatile bool current = false;

	*changer = InvalidTransactionId;
	pg_memory_barrier();		/* the pin comes before the look */
	for (;;)
	{
		state = pg_atomic_read_u32(&cell->state);
		if (state == CELL_READY)
		{
			if (pg_atomic_read_u64(&cell->epoch) == pg_atomic_read_u64(inv->epoch))
				return true;

			/* loaded too long ago: anew, unless others are using it */
			lock_what_is_read(inv);
			if (!pg_atomic_compare_exchange_u32(&cell->state, &state,
												CELL_LOADING))
				continue;
			if (pg_atomic_read_u32(&cell->pins) > 1)
			{
				pg_atomic_write_u32(&cell->state, CELL_READY);
				*changer = inventory_inflight_other(cell, false);
				if (!TransactionIdIsValid(*changer))
					inventory_nap(cell->key.generation);
				return false;
			}
			break;
		}
		if (state == CELL_UNLOADED)
		{
			lock_what_is_read(inv);
			if (pg_atomic_compare_exchange_u32(&cell->state, &state,
											   CELL_LOADING))
				break;
		}
		else if (state == CELL_LOADING)
			inventory_nap(cell->key.generation);
		else if (state == CELL_DRAINING)
		{
			*changer = pg_atomic_read_u32(&cell->changer);
			return false;
		}
		else
			return false;
	}

	PG_ENSURE_ERROR_CLEANUP(put_back, PointerGetDatum(cell));
	{
		current = fill(inv, key, cell);
	}
	PG_END_ENSURE_ERROR_CLEANUP(put_back, PointerGetDatum(cell));
	pg_memory_barrier();
	pg_atomic_write_u32(&cell->state, current ? CELL_READY : CELL_UNLOADED);
	return current;
}
