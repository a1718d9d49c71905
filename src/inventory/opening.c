/*
 * src/inventory/opening.c
 *		What enable() writes: the opening entries of the ledger, and the cells.
 *
 * The ledger of an inventory that was one before goes on: an entry says by how
 * much the table has changed meanwhile, so that its sums are those of the
 * table again.  All cells get a new generation, whatever has one already is in
 * the table by now.
 *
 * All of it is read and written as the table's owner, so that no code of a
 * user runs with more rights than that, and through the latest snapshot: one
 * that a transaction took before it had the lock may lack rows.
 *
 * Locks: the caller has ShareRowExclusiveLock on the table and its companions.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/table.h"
#include "access/xlog.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Work as the owner, and see all rows or fail. */
static void
become_owner(Oid relid, PlinthIdentity *saved)
{
	plinth_become(saved, plinth_relation_owner(relid));
	plinth_set_for_now("row_security", "off");
}

/*
 * Run one statement that sees what is committed now.  Returns the number of
 * rows.
 */
uint64
inventory_run_latest(const char *sql)
{
	SPIPlanPtr	plan;
	uint64		n;
	int			rc;

	plinth_spi_connect();
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	rc = SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(),
							  InvalidSnapshot, false, true, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s: %s",
			 SPI_result_code_string(rc), sql);
	n = SPI_processed;
	plinth_spi_finish();
	return n;
}

/* SKU and warehouse of the stock rows, which are called s. */
static char *
stock_key(const InventoryOptions *options)
{
	char	   *sku = psprintf("s.%s", quote_identifier(options->sku));

	return options->warehouse == NULL ? sku :
		psprintf("%s, s.%s", sku, quote_identifier(options->warehouse));
}

/* SKU and warehouse of a companion's rows. */
static char *
ledger_key(const InventoryOptions *options, const char *alias)
{
	return options->warehouse ?
		psprintf("%ssku, %swarehouse", alias, alias) : psprintf("%ssku", alias);
}

/* Say no to stock that no rule of an inventory allows: 23514. */
void
inventory_check_rows(Oid relid, const InventoryOptions *options)
{
	const char *quantity = quote_identifier(options->quantity);
	const char *reserved = quote_identifier(options->reserved);
	PlinthIdentity saved;
	StringInfoData sql;
	List	   *rows;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT format('SKU \"%%s\"%s has %%s on hand and %%s reserved.', %s, s.%s, s.%s)",
					 options->warehouse ? " in warehouse \"%s\"" : "",
					 stock_key(options), quantity, reserved);
	appendStringInfo(&sql, " FROM %s s WHERE s.%s < 0 OR s.%s < 0 OR s.%s < s.%s ORDER BY %s LIMIT 1",
					 plinth_relation_name(relid), quantity, reserved, quantity,
					 reserved, stock_key(options));
	become_owner(relid, &saved);
	rows = plinth_sql_strings("%s", sql.data);
	plinth_restore_identity(&saved);
	if (rows != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("table \"%s\" has stock that cannot be",
						get_rel_name(relid)),
				 errdetail_internal("%s", (char *) linitial(rows)),
				 errhint("Neither may be negative, and no more be reserved than is on hand: correct the table first."),
				 err_generic_string(PG_DIAG_SCHEMA_NAME,
									get_namespace_name(get_rel_namespace(relid))),
				 err_generic_string(PG_DIAG_TABLE_NAME, get_rel_name(relid))));
}

/*
 * At wal_level minimal a sequence made in this transaction is synced at commit,
 * as it is then, instead of being logged; but nextval() notes in it that the
 * next numbers are logged already, and after a crash they would come again.
 * setval() takes that note away.
 */
static void
forget_logged_ahead(const InventoryOptions *options)
{
	Oid			movement = plinth_qualified_oid(options->movement);
	Relation	rel = table_open(movement, AccessShareLock);
	Oid			sequence = plinth_identity_sequence(rel, get_attnum(movement, "movement_id"));

	table_close(rel, NoLock);
	(void) inventory_run_latest(psprintf("SELECT setval(%u::regclass, last_value, is_called) FROM %s",
										 sequence, plinth_relation_name(sequence)));
}

/* What the table has and the ledger has not. */
static void
open_ledger(Oid relid, const InventoryOptions *options)
{
	const char *key = ledger_key(options, "");
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (at, %s, quantity, reserved, kind, xid)"
					 " SELECT now(), %s, sum(u.quantity), sum(u.reserved), 'open', pg_current_xact_id() FROM (",
					 options->movement, key, ledger_key(options, "u."));
	appendStringInfo(&sql, "SELECT %s, s.%s::bigint, s.%s::bigint, true FROM %s s",
					 stock_key(options), quote_identifier(options->quantity),
					 quote_identifier(options->reserved),
					 plinth_relation_name(relid));
	appendStringInfo(&sql, " UNION ALL SELECT %s, - m.quantity, - m.reserved, false FROM %s m",
					 ledger_key(options, "m."), options->movement);
	appendStringInfo(&sql, " UNION ALL SELECT %s, 0, - r.quantity, false FROM %s r",
					 ledger_key(options, "r."), options->reservation);
	appendStringInfo(&sql, ") AS u (%s, quantity, reserved, is_stock) GROUP BY %s"
					 " HAVING sum(u.quantity) <> 0 OR sum(u.reserved) <> 0 OR bool_and(u.is_stock) ORDER BY %s",
					 key, ledger_key(options, "u."), ledger_key(options, "u."));
	(void) inventory_run_latest(sql.data);
	forget_logged_ahead(options);
}

/* Cells without stock go.  Returns how many. */
uint64
inventory_remove_cells(Oid relid, const InventoryOptions *options)
{
	return inventory_run_latest(psprintf("DELETE FROM %s c WHERE NOT EXISTS (SELECT FROM %s s WHERE %s)",
										 options->cell, plinth_relation_name(relid),
										 inventory_same_cell(relid, options, "c")));
}

/*
 * A cell for each stock row, or only for those that have none.  Cells that are
 * there keep their limits; the mode is what enable() was told.  Returns how
 * many were written.
 */
uint64
inventory_add_cells(Oid relid, const InventoryOptions *options, bool missing)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (%s, generation, mode, folded, folded_at, system_identifier)"
					 " SELECT %s, hashtextextended(gen_random_uuid()::text, 0) & " INT64_FORMAT ", ",
					 options->cell, ledger_key(options, ""), stock_key(options),
					 PG_INT64_MAX);
	if (options->escrow)
		appendStringInfo(&sql, "'escrow', %s::pg_snapshot, now(), '" INT64_FORMAT "'::bigint",
						 quote_literal_cstr(DatumGetCString(DirectFunctionCall1(pg_snapshot_out,
																				inventory_current_snapshot()))),
						 (int64) GetSystemIdentifier());
	else
		appendStringInfoString(&sql, "'row', NULL, NULL, NULL");
	appendStringInfo(&sql, " FROM %s s", plinth_relation_name(relid));
	if (missing)
		appendStringInfo(&sql, " WHERE NOT EXISTS (SELECT FROM %s c WHERE %s)",
						 options->cell, inventory_same_cell(relid, options, "c"));
	appendStringInfo(&sql, " ORDER BY %s ON CONFLICT (%s) DO UPDATE"
					 " SET generation = excluded.generation, mode = excluded.mode, folded = excluded.folded,"
					 " folded_at = excluded.folded_at, system_identifier = excluded.system_identifier",
					 stock_key(options), ledger_key(options, ""));
	return inventory_run_latest(sql.data);
}

/* Write down what the table has. */
void
inventory_open(Oid relid, const InventoryOptions *options)
{
	PlinthIdentity saved;

	become_owner(relid, &saved);
	open_ledger(relid, options);
	(void) inventory_remove_cells(relid, options);
	(void) inventory_add_cells(relid, options, false);
	plinth_restore_identity(&saved);
}
