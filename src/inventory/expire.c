/*
 * src/inventory/expire.c
 *		Overdue holds: those of one cell when it runs short, those of all.
 *
 * Rows that somebody else has locked are skipped: they are being confirmed,
 * released or expired already.  So this waits for nobody and may be done in the
 * middle of a claim, whatever that holds.
 *
 * A cell knows when its next hold expires, so that a SKU that is sold out says
 * so without looking.  That is found anew after an expiry: first it is forgotten,
 * then the holds are read; holds that the reader cannot see yet are told by
 * their transactions when they commit (account.c).
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PLINTH_FUNCTION(plinth_inventory_expire);

/* Overdue holds of a cell, locked. */
static List *
overdue(Inventory *inv, const StockKey *key, TimestampTz now, int64 limit)
{
	Datum		values[INVENTORY_MAX_KEYS + 2];
	int			n = inventory_key_values(inv, key, values);

	values[n] = TimestampTzGetDatum(now);
	values[n + 1] = Int64GetDatum(limit);
	return inventory_holds(inv, ST_OVERDUE, values);
}

/* Find out when the next hold of a cell expires. */
static void
find_next_due(Inventory *inv, const StockKey *key, SharedCell *shared)
{
	inventory_account_looked(shared);
	pg_atomic_exchange_u64(&shared->due, (uint64) CELL_NEVER_DUE);
	PG_TRY();
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

		inventory_account_due_now(shared, inventory_first_due(inv, key, snapshot));
		UnregisterSnapshot(snapshot);
	}
	PG_CATCH();
	{
		/* nobody knows: let the next one look */
		inventory_account_due_now(shared, DT_NOBEGIN);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Give back what overdue holds of a cell hold, so many of them at most.  Returns
 * the number of holds.
 */
int64
inventory_expire_cell(Inventory *inv, const StockKey *key, int64 limit)
{
	CellRow		cell;
	SharedCell *shared = inventory_pin(inv, key, &cell);
	List	   *holds = overdue(inv, key, GetCurrentTimestamp(), limit);

	inventory_release_holds(inv, holds, "expire");
	if (shared)
		find_next_due(inv, key, shared);
	return list_length(holds);
}

/*
 * expire(batch, inventory): the same for all cells that have overdue holds,
 * until so many have been given back.
 */
Datum
plinth_inventory_expire(PG_FUNCTION_ARGS)
{
	Inventory  *inv = inventory_of_call(fcinfo, 1, "plinth_inventory.expire()");
	int			batch = PG_ARGISNULL(0) ? 1000 : PG_GETARG_INT32(0);
	int64		expired = 0;
	Datum		values[1];
	ListCell   *lc;

	if (batch <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch must be greater than zero, not %d", batch)));
	values[0] = TimestampTzGetDatum(GetCurrentTimestamp());
	foreach(lc, inventory_keys(inv, ST_OVERDUE_CELLS, values))
	{
		CHECK_FOR_INTERRUPTS();
		if (expired >= batch)
			break;
		expired += inventory_expire_cell(inv, lfirst(lc), batch - expired);
		inventory_account_tidy();
	}
	PG_RETURN_INT64(expired);
}
