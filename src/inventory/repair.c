/*
 * src/inventory/repair.c
 *		repair(): put right what check() finds.
 *
 * What is true is decided once.  Units on hand are those of the stock row with
 * its tail: somebody may have counted them.  Units held are those that
 * reservations say, which somebody may have been promised.  The ledger cannot
 * be right against either; it is never rewritten, but gets movements of the
 * kind "repair" (or "close" where there is no stock row any more) that make
 * its sums true.  Which units are oversold nobody can know from here: that is
 * left for a person to decide.
 *
 * Rows are written as the table's owner, by statements that know what is wrong
 * from the same queries as check(), in an order in which each finds right what
 * it builds on: guards, numbers, cells, reservations, their movements, stock.  Counters
 * are made anew after the transaction.
 *
 * Locks: ShareRowExclusiveLock on the table, which waits for whoever moves
 * stock, then on the companions.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_inventory_repair);

/* By how much a stock row with its tail is wrong. */
typedef struct Correction
{
	StockKey	key;
	int64		quantity;
	int64		reserved;
} Correction;

/* Enable the event trigger, if the caller may. */
static bool
enable_event_trigger(const GuardFault *fault)
{
	if (fault->found && superuser())
	{
		plinth_sql("ALTER EVENT TRIGGER " INVENTORY_EVENT_TRIGGER " ENABLE");
		return true;
	}
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("event trigger \"%s\" is not enabled", INVENTORY_EVENT_TRIGGER),
			 fault->found ?
			 errhint("Let a superuser run plinth_inventory.repair().") :
			 errhint("Drop the extension and create it again; recorded data stays.")));
	return false;
}

/* Make triggers and view as enable() makes them.  Returns how many were not. */
static int64
repair_guards(Oid relid, const InventoryOptions *options)
{
	bool		make_triggers = false;
	int64		n = 0;
	ListCell   *lc;

	foreach(lc, inventory_guard_faults(relid, options))
	{
		GuardFault *fault = lfirst(lc);

		if (strcmp(fault->problem, "event trigger not enabled") == 0)
		{
			if (!enable_event_trigger(fault))
				continue;
		}
		else if (strcmp(fault->problem, "view missing") == 0)
			inventory_make_view(relid, options);
		else if (fault->trigger)
			plinth_sql("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s",
					   plinth_relation_name(fault->relid), fault->trigger);
		else if (strncmp(fault->problem, "trigger", 7) == 0)
			make_triggers = true;
		n++;
	}
	if (make_triggers)
		inventory_make_triggers(relid, options);
	if (n > 0)
		inventory_attach(relid, options);
	return n;
}

/* Lock the companions and give them what indexes they lack. */
static void
repair_companions(const InventoryOptions *options)
{
	for (Companion i = 0; i < NCOMPANIONS; i++)
	{
		Oid			companionid =
			plinth_qualified_oid(inventory_companion_name(options, i));

		/* if not, inventory_get() says what is to be done */
		if (OidIsValid(companionid) &&
			plinth_owns_relation(companionid, GetUserId()))
		{
			plinth_lock_owned(companionid, ShareRowExclusiveLock);
			inventory_make_indexes(options, i);
		}
	}
}

/* Make reservations what check() says that they should be. */
static int64
repair_reservations(Inventory *inv)
{
	const char *reservation = plinth_relation_name(inv->companion[RESERVATION]);
	StringInfoData sql;
	int64		n;

	/* what has no stock row holds nothing */
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS r SET released = r.quantity - r.confirmed, finished_at = clock_timestamp(),"
					 " outcome = CASE WHEN r.confirmed > 0 THEN 'confirmed' ELSE 'released' END"
					 " WHERE r.finished_at IS NULL AND NOT EXISTS (SELECT FROM %s AS s WHERE %s)",
					 reservation, plinth_relation_name(inv->relid),
					 inventory_same_cell(inv->relid, inv->options, "r"));
	n = inventory_run_latest(sql.data);

	resetStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS t SET quantity = w.quantity, confirmed = w.confirmed, released = w.released,"
					 " finished_at = CASE WHEN w.finished THEN coalesce(r.finished_at, clock_timestamp()) END, outcome = w.outcome"
					 " FROM %s AS r%s WHERE r.key = t.key AND r.line = t.line AND %s",
					 reservation, reservation, inventory_sums_reservation(),
					 inventory_sums_reservation_wrong());
	n += inventory_run_latest(sql.data);

	resetStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (at, %s, quantity, reserved, kind, key, line, xid)"
					 " SELECT clock_timestamp(), %s, (- x.confirmed - x.quantity)::int8,"
					 " (- x.confirmed - x.released - x.reserved)::int8, 'repair', x.key, x.line, pg_current_xact_id() FROM (%s) AS x",
					 plinth_relation_name(inv->companion[MOVEMENT]),
					 inv->nkeys > 1 ? "sku, warehouse" : "sku",
					 inventory_sums_key(inv, "x", false),
					 inventory_sums_of_reservations(inv));
	return n + inventory_run_latest(sql.data);
}

/* Stock rows that are wrong: a List of Correction. */
static List *
find_corrections(Inventory *inv)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *result = NIL;
	SPIPlanPtr	plan;
	int			rc;

	plinth_spi_begin();
	plan = SPI_prepare(psprintf("SELECT (w.quantity - x.quantity)::int8, (w.reserved - x.reserved)::int8, %s FROM (%s) AS x%s"
								" WHERE x.in_stock AND (w.quantity <> x.quantity OR w.reserved <> x.reserved) ORDER BY %s",
								inventory_sums_key(inv, "x", false),
								inventory_sums_of_cells(inv),
								inventory_sums_should(),
								inventory_sums_key(inv, "x", false)),
					   0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	CommandCounterIncrement();
	rc = SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(),
							  InvalidSnapshot, true, true, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(rc));
	MemoryContextSwitchTo(caller);	/* SPI leaves another one */
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Correction *correction = palloc0(sizeof(Correction));
		bool		isnull;

		correction->quantity = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		correction->reserved = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
		for (int k = 0; k < inv->nkeys; k++)
			correction->key.value[k] = SPI_getbinval(tuple, desc, 3 + k, &isnull);
		correction->key = inventory_key_copy(inv, &correction->key);
		result = lappend(result, correction);
	}
	plinth_spi_end();
	return result;
}

/*
 * New numbers for movements that come after those that are there.  Nobody takes
 * any meanwhile: the table is locked.
 */
static int64
repair_sequence(Inventory *inv)
{
	return inventory_run_latest(psprintf("SELECT setval(%u::regclass, x.expected) FROM (%s) AS x",
										 inv->movement_sequence,
										 inventory_sums_sequence(inv)));
}

/* Make the sums of the ledger what the stock rows have or will have. */
static int64
repair_ledger(Inventory *inv)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (at, %s, quantity, reserved, kind, xid)"
					 " SELECT clock_timestamp(), %s, (v.quantity - x.ledger_quantity)::int8, (v.reserved - x.ledger_reserved)::int8,"
					 " CASE WHEN x.in_stock THEN 'repair' ELSE 'close' END, pg_current_xact_id() FROM (%s) AS x%s",
					 plinth_relation_name(inv->companion[MOVEMENT]),
					 inv->nkeys > 1 ? "sku, warehouse" : "sku",
					 inventory_sums_key(inv, "x", false),
					 inventory_sums_of_cells(inv), inventory_sums_should());
	appendStringInfo(&sql, " CROSS JOIN LATERAL (SELECT CASE WHEN x.in_stock THEN w.quantity ELSE 0 END AS quantity,"
					 " CASE WHEN x.in_stock THEN w.reserved ELSE 0 END AS reserved) AS v"
					 " WHERE v.quantity <> x.ledger_quantity OR v.reserved <> x.ledger_reserved ORDER BY %s",
					 inventory_sums_key(inv, "x", false));
	return inventory_run_latest(sql.data);
}

/*
 * Correct one stock row, which gets its tail at the same time: a part of the
 * whole could be less than nothing.  A cell in escrow mode begins another
 * generation.  Nobody else has it pinned while we hold the lock on the table.
 */
static void
correct_stock(Inventory *inv, const Correction *correction)
{
	CellRow		cell;
	Snapshot	snapshot;
	Tail		tail;

	inventory_lock_stock(inv, &correction->key, NULL);
	if (!inventory_cell_latest(inv, &correction->key, &cell))
		elog(ERROR, "cell row has gone");
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	inventory_tail_read(inv, &cell, snapshot, InvalidFullTransactionId, &tail);
	UnregisterSnapshot(snapshot);
	(void) inventory_change_stock(inv, &correction->key, NULL,
								  correction->quantity + tail.quantity,
								  correction->reserved + tail.reserved, 1);
	if (!cell.escrow)
		return;
	cell.generation = inventory_new_generation();
	cell.folded = inventory_current_snapshot();
	inventory_cell_write(inv, &correction->key, &cell);
}

/* Put all rows but those of the table right, as its owner. */
static int64
repair_rows(Inventory *inv, List **corrections)
{
	PlinthIdentity saved;
	volatile int64 n = 0;

	plinth_become(&saved, inv->owner);
	plinth_set_for_now("row_security", "off");
	inventory_writing++;
	PG_TRY();
	{
		n += repair_sequence(inv);
		n += inventory_remove_cells(inv->relid, inv->options);
		n += inventory_add_cells(inv->relid, inv->options, true);
		n += repair_reservations(inv);
		*corrections = find_corrections(inv);
		n += repair_ledger(inv);
	}
	PG_FINALLY();
	{
		inventory_writing--;
	}
	PG_END_TRY();
	plinth_restore_identity(&saved);
	return n;
}

/*
 * repair(target): returns the number of things that were put right.
 */
Datum
plinth_inventory_repair(PG_FUNCTION_ARGS)
{
	Oid			relid;
	InventoryOptions *options;
	Inventory  *inv;
	List	   *corrections = NIL;
	int64		n = 0;
	ListCell   *lc;

	PreventCommandIfReadOnly("plinth_inventory.repair()");
	relid = plinth_target(fcinfo, 0);
	plinth_lock_owned(relid, ShareRowExclusiveLock);
	options = inventory_damaged_options(relid);

	inventory_own_ddl++;
	PG_TRY();
	{
		repair_companions(options);
		n += repair_guards(relid, options);
	}
	PG_FINALLY();
	{
		inventory_own_ddl--;
	}
	PG_END_TRY();

	inv = inventory_get(relid);
	n += list_length(inventory_counter_faults(inv));
	n += repair_rows(inv, &corrections);
	foreach(lc, corrections)
	{
		CHECK_FOR_INTERRUPTS();
		correct_stock(inv, lfirst(lc));
		n++;
	}
	inventory_account_stale(relid);
	inventory_account_tidy();
	PG_RETURN_INT64(n);
}
