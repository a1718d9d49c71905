/*
 * src/inventory/purge.c
 *		purge(): old reservations and movements go, their sums stay.
 *
 * What is removed of a cell is replaced by one movement of the kind "purge",
 * without a key and without a generation, so that the sums of the ledger are
 * what they were.  For what check() builds on this to hold, too, a movement
 * with a key goes together with its reservation and never without it: both
 * together hold nothing, so what is left of them is nothing that "other SQL
 * has reserved".  Reservations of one key go together, because the key means
 * all of its lines when it comes again; until then it is remembered.
 *
 * Rows that a stock row does not have yet must stay.  So cells are folded
 * first, and what their new watermark does not see is left for another time.
 *
 * All is one statement: rows go through it by way of files, not memory.
 *
 * Locks: ShareUpdateExclusiveLock on the table, against another purge; the
 * stock rows of cells in escrow mode, by fold(), in their order; after that
 * reservations, of which those that somebody else has locked are skipped.
 * Nobody claims from a stock row in escrow mode, so claims go on.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "kit/target.h"
#include "kit/type.h"

PLINTH_FUNCTION(plinth_inventory_purge);

/* "a.sku = b.sku AND a.warehouse = b.warehouse" */
static char *
same_cell(const Inventory *inv, const char *a, const char *b)
{
	static const char *const columns[INVENTORY_MAX_KEYS] = {"sku", "warehouse"};
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < inv->nkeys; i++)
	{
		Oid			type = inv->key[i].type;

		appendStringInfo(&buf, "%s%s %s %s", i > 0 ? " AND " : "",
						 plinth_comparable(type, psprintf("%s.%s", a, columns[i])),
						 plinth_equality(type),
						 plinth_comparable(type, psprintf("%s.%s", b, columns[i])));
	}
	return buf.data;
}

/* The statement; $1 is the time. */
static char *
purge_text(const Inventory *inv)
{
	const char *reservation = plinth_relation_name(inv->companion[RESERVATION]);
	const char *movement = plinth_relation_name(inv->companion[MOVEMENT]);
	const char *cell = plinth_relation_name(inv->companion[CELL]);
	const char *key = inv->nkeys > 1 ? "sku, warehouse" : "sku";
	StringInfoData sql;

	initStringInfo(&sql);

	/* keys that are still needed: not finished so long ago, or in a tail */
	appendStringInfo(&sql, "WITH stay AS (SELECT r.key FROM %s AS r WHERE r.finished_at IS NULL OR r.finished_at >= $1",
					 reservation);
	appendStringInfo(&sql, " UNION ALL SELECT r.key FROM %s AS r JOIN %s AS c ON %s",
					 reservation, cell, inventory_sums_tail("r"));
	appendStringInfo(&sql, " UNION ALL SELECT m.key FROM %s AS m JOIN %s AS c ON %s WHERE m.key IS NOT NULL)",
					 movement, cell, inventory_sums_tail("m"));

	/* reservations that may go and are nobody's now; of their keys, whole ones */
	appendStringInfo(&sql, ", old AS (SELECT r.key, r.line FROM %s AS r WHERE r.finished_at < $1"
					 " AND NOT EXISTS (SELECT FROM stay WHERE stay.key = r.key))",
					 reservation);
	appendStringInfo(&sql, ", free AS MATERIALIZED (SELECT r.key, r.line FROM %s AS r WHERE r.finished_at < $1"
					 " AND NOT EXISTS (SELECT FROM stay WHERE stay.key = r.key) FOR UPDATE OF r SKIP LOCKED)",
					 reservation);
	appendStringInfoString(&sql, ", whole AS (SELECT o.key FROM"
						   " (SELECT key, 1 AS n FROM old UNION ALL SELECT key, -1 FROM free) AS o GROUP BY o.key HAVING sum(o.n) = 0)");

	/* they go, and their movements, and other old movements */
	appendStringInfo(&sql, ", gone_r AS (DELETE FROM %s AS r USING whole AS w WHERE r.key = w.key RETURNING %s, r.key, r.line, r.quantity)",
					 reservation, inventory_sums_key(inv, "r", false));
	appendStringInfo(&sql, ", gone_k AS (DELETE FROM %s AS m USING gone_r AS g WHERE m.key = g.key AND m.line = g.line"
					 " RETURNING %s, m.quantity, m.reserved)",
					 movement, inventory_sums_key(inv, "m", false));
	appendStringInfo(&sql, ", gone_m AS (DELETE FROM %s AS m WHERE m.key IS NULL AND m.at < $1 AND m.kind <> 'purge'"
					 " AND NOT EXISTS (SELECT FROM %s AS c WHERE %s) RETURNING %s, m.quantity, m.reserved)",
					 movement, cell, inventory_sums_tail("m"),
					 inventory_sums_key(inv, "m", false));
	appendStringInfo(&sql, ", gone AS (SELECT %s, 0::int8 AS quantity, quantity::int8 AS reserved FROM gone_r"
					 " UNION ALL TABLE gone_k UNION ALL TABLE gone_m)", key);

	/* an earlier sum goes into the new one, if there is one */
	appendStringInfo(&sql, ", gone_p AS (DELETE FROM %s AS m USING (SELECT DISTINCT %s FROM gone) AS g"
					 " WHERE m.key IS NULL AND m.at < $1 AND m.kind = 'purge' AND %s RETURNING %s, m.quantity, m.reserved)",
					 movement, key, same_cell(inv, "m", "g"),
					 inventory_sums_key(inv, "m", false));
	appendStringInfo(&sql, ", sums AS (INSERT INTO %s (at, %s, quantity, reserved, kind, xid)"
					 " SELECT least($1, clock_timestamp()), %s, sum(g.quantity)::int8, sum(g.reserved)::int8, 'purge', pg_current_xact_id()"
					 " FROM (TABLE gone UNION ALL TABLE gone_p) AS g GROUP BY %s HAVING sum(g.quantity) <> 0 OR sum(g.reserved) <> 0)",
					 movement, key, inventory_sums_key(inv, "g", false),
					 inventory_sums_key(inv, "g", false));
	appendStringInfoString(&sql, " SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM gone_p)");
	return sql.data;
}

/* Run it.  Returns the number of rows removed. */
static int64
run_purge(Inventory *inv, TimestampTz before)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1];
	SPIPlanPtr	plan;
	bool		isnull;
	int64		result;
	int			rc;

	values[0] = TimestampTzGetDatum(before);
	plinth_spi_begin();
	plan = SPI_prepare(purge_text(inv), 1, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	rc = SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(),
							  InvalidSnapshot, false, true, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(rc));
	MemoryContextSwitchTo(caller);	/* SPI leaves another one */
	result = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	plinth_spi_end();
	return result;
}

/*
 * purge(target, before): reservations finished before that time go, with their
 * movements, and other movements made before it.  Returns the number of rows
 * removed, of which each cell has got one back.
 */
Datum
plinth_inventory_purge(PG_FUNCTION_ARGS)
{
	Oid			relid;
	TimestampTz before = PG_GETARG_TIMESTAMPTZ(1);
	Inventory  *inv;
	PlinthIdentity saved;
	volatile int64 result = 0;

	PreventCommandIfReadOnly("plinth_inventory.purge()");
	relid = plinth_target(fcinfo, 0);
	plinth_lock_owned(relid, ShareUpdateExclusiveLock);
	inv = inventory_of_call(fcinfo, 0, "plinth_inventory.purge()");
	inventory_fold_all(inv, false);

	plinth_become(&saved, inv->owner);
	plinth_set_for_now("row_security", "off");
	/* the planner cannot know how much goes: whole tables are to be hashed */
	plinth_set_for_now("enable_nestloop", "off");
	plinth_set_for_now("enable_mergejoin", "off");
	inventory_writing++;
	PG_TRY();
	{
		result = run_purge(inv, before);
	}
	PG_FINALLY();
	{
		inventory_writing--;
	}
	PG_END_TRY();
	plinth_restore_identity(&saved);
	inventory_account_tidy();
	PG_RETURN_INT64(result);
}
