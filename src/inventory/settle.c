/*
 * src/inventory/settle.c
 *		confirm(), release(), extend(): what becomes of a hold.
 *
 * Whoever changes a line holds its row's lock, so one of two that confirm and
 * expire it wins and the other sees what has become of it.  A hold is expired
 * when the clock says so, swept or not: it cannot be confirmed any more.
 *
 * Order: the lines are locked, in their order, then one after the other, in the
 * order of their stock rows, its cell is pinned and it changes.  No lock is
 * waited for with a pin that has no use yet: whoever drains a cell cannot see
 * whom he waits for, and neither can the deadlock detector.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

PLINTH_FUNCTION(plinth_inventory_confirm);
PLINTH_FUNCTION(plinth_inventory_release);
PLINTH_FUNCTION(plinth_inventory_extend);

/* What is wanted of a hold. */
typedef enum Wanted
{
	WANT_CONFIRM,
	WANT_RELEASE,
	WANT_EXTEND
} Wanted;

/* A line out of a result row of SPI, in the current memory context. */
static Hold *
read_hold(Inventory *inv, HeapTuple tuple, TupleDesc desc)
{
	Hold	   *hold = palloc0(sizeof(Hold));
	bool		isnull;
	Datum		value;

	hold->line = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
	hold->quantity = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
	hold->confirmed = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
	hold->released = DatumGetInt32(SPI_getbinval(tuple, desc, 4, &isnull));
	value = SPI_getbinval(tuple, desc, 5, &isnull);
	hold->expires_at = isnull ? CELL_NEVER_DUE : DatumGetTimestampTz(value);
	(void) SPI_getbinval(tuple, desc, 6, &isnull);
	hold->finished = !isnull;
	value = SPI_getbinval(tuple, desc, 7, &isnull);
	hold->outcome = isnull ? NULL : TextDatumGetCString(value);
	hold->key = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 8, &isnull));
	hold->request = DatumGetInt64(SPI_getbinval(tuple, desc, 9, &isnull));
	for (int i = 0; i < inv->nkeys; i++)
		hold->stock.value[i] = SPI_getbinval(tuple, desc, 11 + i, &isnull);
	hold->stock = inventory_key_copy(inv, &hold->stock);
	return hold;
}

/*
 * Lines that a statement finds: a List of Hold in the current memory context.
 * Those that are only to be found, not locked, are found as they are now.
 */
List *
inventory_holds(Inventory *inv, InventoryStatement statement, Datum *values)
{
	List	   *result = NIL;
	Snapshot	snapshot = NULL;
	uint64		n;

	if (statement == ST_FIND_HOLDS)
		snapshot = IsolationUsesXactSnapshot() ? GetTransactionSnapshot() :
			GetLatestSnapshot();
	plinth_spi_begin();
	n = inventory_execute(inv, statement, values, NULL, snapshot);
	for (uint64 i = 0; i < n; i++)
		result = lappend(result, read_hold(inv, SPI_tuptable->vals[i],
										   SPI_tuptable->tupdesc));
	plinth_spi_end();
	return result;
}

/* Lines that an owner holds, as a statement finds them for each key. */
static List *
owned(Inventory *inv, const char *owner, InventoryStatement statement)
{
	Datum		values[1];
	List	   *keys = NIL;
	List	   *result = NIL;
	ListCell   *lc;
	uint64		n;

	values[0] = CStringGetTextDatum(owner);
	plinth_spi_begin();
	n = inventory_execute(inv, ST_OWNER_HOLDS, values, NULL, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		pg_uuid_t  *key = palloc(sizeof(pg_uuid_t));
		bool		isnull;

		*key = *DatumGetUUIDP(SPI_getbinval(SPI_tuptable->vals[i],
											SPI_tuptable->tupdesc, 1, &isnull));
		keys = lappend(keys, key);
	}
	plinth_spi_end();
	foreach(lc, keys)
	{
		ListCell   *lh;

		values[0] = UUIDPGetDatum((pg_uuid_t *) lfirst(lc));
		foreach(lh, inventory_holds(inv, statement, values))
		{
			if (!((Hold *) lfirst(lh))->finished)
				result = lappend(result, lfirst(lh));
		}
	}
	return result;
}

/* What an owner holds. */
List *
inventory_find_owned(Inventory *inv, const char *owner)
{
	return owned(inv, owner, ST_FIND_HOLDS);
}

/* The same, lines locked. */
List *
inventory_lock_owned(Inventory *inv, const char *owner)
{
	return owned(inv, owner, ST_LOCK_HOLDS);
}

/* Write what becomes of a line; outcome NULL: it goes on holding units. */
void
inventory_settle(Inventory *inv, Hold *hold, int confirmed, int released,
				 const char *outcome)
{
	Datum		values[5];
	char		nulls[] = "     ";

	values[0] = UUIDPGetDatum(&hold->key);
	values[1] = Int32GetDatum(hold->line);
	values[2] = Int32GetDatum(confirmed);
	values[3] = Int32GetDatum(released);
	values[4] = (Datum) 0;
	if (outcome)
		values[4] = CStringGetTextDatum(outcome);
	else
		nulls[4] = 'n';
	if (inventory_run(inv, ST_SETTLE, values, nulls) != 1)
		elog(ERROR, "line of a reservation has gone");
	hold->confirmed += confirmed;
	hold->released += released;
	hold->finished = outcome != NULL;
	hold->outcome = outcome;
}

/* Lines in the order of their stock rows. */
static int
compare_holds(const void *a, const void *b, void *arg)
{
	const Hold *const *left = a;
	const Hold *const *right = b;
	int			result = inventory_key_compare(arg, &(*left)->stock,
											   &(*right)->stock);

	return result != 0 ? result : (*left)->line - (*right)->line;
}

/* Sort them so. */
List *
inventory_sort_holds(Inventory *inv, List *holds)
{
	int			n = list_length(holds);
	Hold	  **array = palloc(Max(n, 1) * sizeof(Hold *));
	List	   *result = NIL;
	ListCell   *lc;

	n = 0;
	foreach(lc, holds)
		array[n++] = lfirst(lc);
	qsort_arg(array, n, sizeof(Hold *), compare_holds, inv);
	for (int i = 0; i < n; i++)
		result = lappend(result, array[i]);
	return result;
}

/*
 * Give back all that locked lines hold: "release" or "expire" is the kind; what
 * is overdue expires in any case.  Stock rows change in their order.
 */
void
inventory_release_holds(Inventory *inv, List *holds, const char *kind)
{
	ListCell   *lc;
	TimestampTz now = GetCurrentTimestamp();

	foreach(lc, inventory_sort_holds(inv, holds))
	{
		Hold	   *hold = lfirst(lc);
		int			units = HOLD_UNITS(hold);
		bool		expires = strcmp(kind, "expire") == 0 ||
			(hold->expires_at != CELL_NEVER_DUE && hold->expires_at <= now);
		MovementRow movement = inventory_movement(&hold->stock,
												  expires ? "expire" : kind);
		CellRow		cell;

		movement.key = &hold->key;
		movement.line = hold->line;
		movement.reserved = -units;
		CHECK_FOR_INTERRUPTS();
		(void) inventory_pin(inv, &hold->stock, &cell);
		inventory_settle(inv, hold, 0, units, expires ? "expired" : "released");
		if (units > 0)
			inventory_event(inv, &movement);
	}
}

/* What a finished line answers to one who wants something of it. */
static const char *
finished_answer(const Hold *hold)
{
	if (strcmp(hold->outcome, "confirmed") == 0)
		return "already_confirmed";
	if (strcmp(hold->outcome, "released") == 0)
		return "already_released";
	return "expired";
}

/* Confirm or release units of a line that holds them. */
static void
take_from(Inventory *inv, Hold *hold, Wanted wanted, int units)
{
	bool		confirm = wanted == WANT_CONFIRM;
	bool		all = units == HOLD_UNITS(hold);
	const char *outcome = confirm || hold->confirmed > 0 ? "confirmed" : "released";
	MovementRow movement = inventory_movement(&hold->stock,
											  confirm ? "confirm" : "release");
	CellRow		cell;

	movement.quantity = confirm ? -units : 0;
	movement.reserved = -units;
	movement.key = &hold->key;
	movement.line = hold->line;
	(void) inventory_pin(inv, &hold->stock, &cell);
	inventory_settle(inv, hold, confirm ? units : 0, confirm ? 0 : units,
					 all ? outcome : NULL);
	inventory_event(inv, &movement);
}

/* Let a line that holds units expire at another time. */
static void
extend_to(Inventory *inv, Hold *hold, TimestampTz expires_at)
{
	Datum		values[3];
	CellRow		cell;
	SharedCell *shared;

	/* confirm and release write the stock row, where policies are asked */
	if (check_enable_rls(inv->relid, InvalidOid, true) == RLS_ENABLED)
		inventory_lock_stock(inv, &hold->stock, NULL);
	values[0] = UUIDPGetDatum(&hold->key);
	values[1] = Int32GetDatum(hold->line);
	values[2] = TimestampTzGetDatum(expires_at);
	if (inventory_run(inv, ST_EXTEND, values, NULL) != 1)
		elog(ERROR, "line of a reservation has gone");
	hold->expires_at = expires_at;
	shared = inventory_pin(inv, &hold->stock, &cell);
	if (shared)
	{
		inventory_account_note(shared);
		inventory_account_due(shared, expires_at);
	}
}

/* What stands of a cell after all. */
static void
fill_numbers(Inventory *inv, ResultRow *result)
{
	CellRow		cell;
	SharedCell *shared = inventory_pin(inv, &result->stock, &cell);
	Snapshot	snapshot;
	StockRow	stock;

	if (shared)
	{
		result->available = Max(inventory_account_free(shared) +
								inventory_overdue_pinned(inv, &result->stock, shared), 0);
		result->version = inventory_account_seen_version(shared);
		return;
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	if (inventory_read_stock(inv, &result->stock, snapshot, &stock))
	{
		result->available = Max(stock.quantity - stock.reserved -
								cell.safety_stock + cell.oversell_limit +
								inventory_overdue(inv, &result->stock), 0);
		result->version = stock.version;
	}
	UnregisterSnapshot(snapshot);
}

/*
 * All lines of a key, one after the other.  `units` is 0 for all that a line
 * holds.
 */
static void
settle_key(FunctionCallInfo fcinfo, Inventory *inv, const pg_uuid_t *key,
		   Wanted wanted, int units, TimestampTz expires_at)
{
	static const char *const done[] = {"confirmed", "released", "extended"};
	Datum		values[1];
	List	   *holds;
	ListCell   *lc;
	TimestampTz now;

	InitMaterializedSRF(fcinfo, 0);
	values[0] = UUIDPGetDatum(key);
	holds = inventory_holds(inv, ST_FIND_HOLDS, values);
	if (holds == NIL)
	{
		ResultRow	result = inventory_result_row(key, 0);

		result.outcome = "not_found";
		inventory_put_result(fcinfo, inv, &result);
		return;
	}
	if (units > 0 && list_length(holds) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantity cannot be given for a reservation of %d lines",
						list_length(holds)),
				 errhint("Leave the quantity out: it applies to the whole reservation.")));
	holds = inventory_sort_holds(inv, inventory_holds(inv, ST_LOCK_HOLDS, values));
	now = GetCurrentTimestamp();
	foreach(lc, holds)
	{
		Hold	   *hold = lfirst(lc);
		ResultRow	result = inventory_result_row(key, hold->line);

		result.stock = hold->stock;
		result.has_stock = true;
		CHECK_FOR_INTERRUPTS();
		if (hold->finished)
		{
			result.outcome = finished_answer(hold);
			result.quantity = hold->quantity;
		}
		else if (hold->expires_at <= now && hold->expires_at != CELL_NEVER_DUE)
		{
			result.quantity = HOLD_UNITS(hold);
			inventory_release_holds(inv, list_make1(hold), "expire");
			result.outcome = "expired";
		}
		else
		{
			int			held = HOLD_UNITS(hold);

			result.quantity = units > 0 ? units : held;
			if (result.quantity > held)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("cannot %s %d units of a reservation that holds %d",
								wanted == WANT_CONFIRM ? "confirm" : "release",
								units, held)));
			if (wanted == WANT_EXTEND)
				extend_to(inv, hold, expires_at);
			else
				take_from(inv, hold, wanted, result.quantity);
			result.outcome = done[wanted];
		}
		result.expires_at = hold->expires_at;
		fill_numbers(inv, &result);
		inventory_put_result(fcinfo, inv, &result);
		inventory_account_tidy();
	}
}

/* confirm(key, quantity, inventory) and release(key, quantity, inventory) */
static Datum
confirm_or_release(FunctionCallInfo fcinfo, Wanted wanted, const char *command)
{
	Inventory  *inv = inventory_of_call(fcinfo, 2, command);

	settle_key(fcinfo, inv, inventory_uuid(fcinfo, 0), wanted,
			   PG_ARGISNULL(1) ? 0 : inventory_quantity(fcinfo, 1),
			   CELL_NEVER_DUE);
	return (Datum) 0;
}

Datum
plinth_inventory_confirm(PG_FUNCTION_ARGS)
{
	return confirm_or_release(fcinfo, WANT_CONFIRM, "plinth_inventory.confirm()");
}

Datum
plinth_inventory_release(PG_FUNCTION_ARGS)
{
	return confirm_or_release(fcinfo, WANT_RELEASE, "plinth_inventory.release()");
}

/*
 * extend(key, ttl, inventory): it expires so long from now.
 */
Datum
plinth_inventory_extend(PG_FUNCTION_ARGS)
{
	Inventory  *inv = inventory_of_call(fcinfo, 2, "plinth_inventory.extend()");
	TimestampTz expires_at = inventory_expiry(fcinfo, 1);

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("time to live must not be null")));
	settle_key(fcinfo, inv, inventory_uuid(fcinfo, 0), WANT_EXTEND, 0,
			   expires_at);
	return (Datum) 0;
}
