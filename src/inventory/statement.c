/*
 * src/inventory/statement.c
 *		SQL on the stock table and on the companions.
 *
 * The stock table is somebody's: it may have triggers, policies, generated
 * columns, so it is written by SQL and, as a rule, with the caller's rights.  Companions
 * are read and written with their owner's rights, who is the table's; callers
 * need none on them.
 *
 * Statements are prepared once for a session and an inventory, under a
 * search_path that nobody can put anything into.  Parameters $1 and, where
 * there are warehouses, $2 are the key; the others follow.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "kit/type.h"

#define MAX_PARAMETERS (R_NCOLUMNS + 2)

typedef struct Text
{
	StringInfoData sql;
	Oid			types[MAX_PARAMETERS];
	int			n;
} Text;

/* One more parameter: its number. */
static int
parameter(Text *text, Oid type)
{
	text->types[text->n++] = type;
	return text->n;
}

/* "column = $n" by the operator of the key's type. */
static char *
equals(Inventory *inv, int i, const char *column, const char *value)
{
	Oid			type = inv->key[i].type;

	return psprintf("%s %s %s", plinth_comparable(type, column),
					plinth_equality(type), plinth_comparable(type, value));
}

/* "sku = $1 AND warehouse = $2", for the columns of a companion or the table. */
static char *
key_condition(Inventory *inv, Text *text, const char *alias, bool stock)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < inv->nkeys; i++)
	{
		const char *name = stock ?
			(i == 0 ? inv->options->sku : inv->options->warehouse) :
			(i == 0 ? "sku" : "warehouse");

		while (text->n < inv->nkeys)
			(void) parameter(text, inv->key[text->n].type);
		appendStringInfo(&buf, "%s%s", i > 0 ? " AND " : "",
						 equals(inv, i, psprintf("%s.%s", alias, quote_identifier(name)),
								psprintf("$%d", i + 1)));
	}
	return buf.data;
}

/* An INSERT of whole rows. */
static void
insert_text(Inventory *inv, Text *text, Companion companion, int n)
{
	appendStringInfo(&text->sql, "INSERT INTO %s OVERRIDING SYSTEM VALUE VALUES (",
					 plinth_relation_name(inv->companion[companion]));
	for (int i = 0; i < n; i++)
		appendStringInfo(&text->sql, "%s$%d", i > 0 ? ", " : "",
						 parameter(text, get_atttype(inv->companion[companion], i + 1)));
	appendStringInfoChar(&text->sql, ')');
}

/* "sku, warehouse" */
static const char *
key_columns(Inventory *inv)
{
	return inv->nkeys > 1 ? "sku, warehouse" : "sku";
}

/* What is asked of a line that holds units. */
static char *
hold_columns(Inventory *inv)
{
	return psprintf("r.line, r.quantity, r.confirmed, r.released, r.expires_at, r.finished_at, r.outcome, r.key, r.request, r.owner, r.sku%s",
					inv->nkeys > 1 ? ", r.warehouse" : "");
}

/* The view of what is available; 42P01 if it is gone. */
static const char *
view_name(Inventory *inv)
{
	char	   *name = plinth_relation_name(plinth_qualified_oid(inv->options->view));

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("view \"%s\" of inventory \"%s\" does not exist",
						plinth_name_label(inv->options->view),
						get_rel_name(inv->relid)),
				 errhint("Run plinth_inventory.repair().")));
	return name;
}

/* The text and the parameters' types of a statement. */
static void
write_statement(Inventory *inv, InventoryStatement statement, Text *text)
{
	StringInfo	sql = &text->sql;
	const char *stock = plinth_relation_name(inv->relid);
	const char *quantity = quote_identifier(pstrdup(inv->options->quantity));
	const char *reserved = quote_identifier(pstrdup(inv->options->reserved));
	const char *version = quote_identifier(pstrdup(inv->options->version));
	const char *reservation = plinth_relation_name(inv->companion[RESERVATION]);
	const char *cell = plinth_relation_name(inv->companion[CELL]);
	char	   *where;
	int			p;

	initStringInfo(sql);
	text->n = 0;
	switch (statement)
	{
		case ST_RESERVE:
			where = key_condition(inv, text, "s", true);
			p = parameter(text, INT8OID);	/* units */
			(void) parameter(text, INT8OID);	/* may not become less free */
			(void) parameter(text, INT8OID);	/* expected version or null */
			appendStringInfo(sql, "UPDATE %s AS s SET %s = s.%s + $%d, %s = s.%s + 1 WHERE %s"
							 " AND s.%s::int8 - s.%s >= $%d + $%d AND ($%d IS NULL OR s.%s = $%d)"
							 " RETURNING s.%s::int8 - s.%s, s.%s::int8",
							 stock, reserved, reserved, p, version, version, where,
							 quantity, reserved, p, p + 1, p + 2, version, p + 2,
							 quantity, reserved, version);
			break;
		case ST_CHANGE:
			where = key_condition(inv, text, "s", true);
			p = parameter(text, INT8OID);
			(void) parameter(text, INT8OID);
			(void) parameter(text, INT8OID);
			appendStringInfo(sql, "UPDATE %s AS s SET %s = s.%s + $%d, %s = s.%s + $%d, %s = s.%s + $%d WHERE %s",
							 stock, quantity, quantity, p, reserved, reserved, p + 1,
							 version, version, p + 2, where);
			break;
		case ST_LOCK:
			where = key_condition(inv, text, "s", true);
			appendStringInfo(sql, "SELECT s.%s::int8, s.%s::int8, s.%s::int8 FROM %s AS s WHERE %s FOR NO KEY UPDATE",
							 quantity, reserved, version, stock, where);
			break;
		case ST_SEE:
			where = key_condition(inv, text, "s", true);
			appendStringInfo(sql, "SELECT s.%s::int8, s.%s::int8, s.%s::int8 FROM %s AS s WHERE %s",
							 quantity, reserved, version, stock, where);
			break;
		case ST_HELD:
			where = key_condition(inv, text, "r", false);
			appendStringInfo(sql, "SELECT FROM %s AS r WHERE %s AND r.finished_at IS NULL LIMIT 1",
							 reservation, where);
			break;
		case ST_HELD_UNITS:
			where = key_condition(inv, text, "r", false);
			appendStringInfo(sql, "SELECT coalesce(pg_catalog.sum(r.quantity - r.confirmed - r.released), 0)::int8"
							 " FROM %s AS r WHERE %s AND r.finished_at IS NULL",
							 reservation, where);
			break;
		case ST_AVAILABLE:
			appendStringInfo(sql, "SELECT pg_catalog.sum(GREATEST(a.available, 0))::int8 FROM %s AS a WHERE %s",
							 view_name(inv), key_condition(inv, text, "a", false));
			break;
		case ST_AVAILABLE_ALL:
			(void) parameter(text, inv->key[0].type);
			appendStringInfo(sql, "SELECT pg_catalog.sum(GREATEST(a.available, 0))::int8 FROM %s AS a WHERE %s",
							 view_name(inv), equals(inv, 0, "a.sku", "$1"));
			break;
		case ST_FIND_HOLDS:
		case ST_LOCK_HOLDS:
			p = parameter(text, UUIDOID);
			appendStringInfo(sql, "SELECT %s FROM %s AS r WHERE r.key = $%d ORDER BY r.line%s",
							 hold_columns(inv), reservation, p,
							 statement == ST_LOCK_HOLDS ? " FOR UPDATE" : "");
			break;
		case ST_OWNER_HOLDS:
			p = parameter(text, TEXTOID);
			appendStringInfo(sql, "SELECT DISTINCT r.key FROM %s AS r WHERE r.owner = $%d AND r.finished_at IS NULL AND r.owner IS NOT NULL ORDER BY r.key",
							 reservation, p);
			break;
		case ST_OVERDUE:
			where = key_condition(inv, text, "r", false);
			p = parameter(text, TIMESTAMPTZOID);
			(void) parameter(text, INT8OID);
			appendStringInfo(sql, "SELECT %s FROM %s AS r WHERE %s AND r.finished_at IS NULL AND r.expires_at IS NOT NULL AND r.expires_at <= $%d"
							 " ORDER BY r.expires_at LIMIT $%d FOR UPDATE SKIP LOCKED",
							 hold_columns(inv), reservation, where, p, p + 1);
			break;
		case ST_OVERDUE_CELLS:
			p = parameter(text, TIMESTAMPTZOID);
			appendStringInfo(sql, "SELECT c.sku%s FROM %s AS c WHERE EXISTS (SELECT FROM %s AS r WHERE %s%s%s"
							 " AND r.finished_at IS NULL AND r.expires_at IS NOT NULL AND r.expires_at <= $%d) ORDER BY 1%s",
							 inv->nkeys > 1 ? ", c.warehouse" : "", cell, reservation,
							 equals(inv, 0, "r.sku", "c.sku"),
							 inv->nkeys > 1 ? " AND " : "",
							 inv->nkeys > 1 ? equals(inv, 1, "r.warehouse", "c.warehouse") : "",
							 p, inv->nkeys > 1 ? ", 2" : "");
			break;
		case ST_SETTLE:
			p = parameter(text, UUIDOID);
			(void) parameter(text, INT4OID);	/* line */
			(void) parameter(text, INT4OID);	/* confirmed more */
			(void) parameter(text, INT4OID);	/* released more */
			(void) parameter(text, TEXTOID);	/* outcome or null */
			appendStringInfo(sql, "UPDATE %s AS r SET confirmed = r.confirmed + $3, released = r.released + $4,"
							 " finished_at = CASE WHEN $5 IS NOT NULL THEN clock_timestamp() END, outcome = $5"
							 " WHERE r.key = $%d AND r.line = $2", reservation, p);
			break;
		case ST_EXTEND:
			p = parameter(text, UUIDOID);
			(void) parameter(text, INT4OID);
			(void) parameter(text, TIMESTAMPTZOID);
			appendStringInfo(sql, "UPDATE %s AS r SET expires_at = $3 WHERE r.key = $%d AND r.line = $2",
							 reservation, p);
			break;
		case ST_CELLS:
			(void) parameter(text, inv->key[0].type);
			appendStringInfo(sql, "SELECT c.warehouse, c.priority FROM %s AS c WHERE %s ORDER BY c.priority, c.warehouse",
							 cell, equals(inv, 0, "c.sku", "$1"));
			break;
		case ST_ADD_CELL:
		case ST_SET_CELL:
			where = key_condition(inv, text, "c", false);
			p = parameter(text, INT8OID);
			(void) parameter(text, TEXTOID);
			(void) parameter(text, INT4OID);
			(void) parameter(text, INT8OID);
			(void) parameter(text, INT8OID);
			(void) parameter(text, PG_SNAPSHOTOID);
			(void) parameter(text, INT8OID);
			if (statement == ST_ADD_CELL)
				appendStringInfo(sql, "INSERT INTO %s (%s, generation, mode, priority, safety_stock, oversell_limit, folded, folded_at, system_identifier)"
								 " VALUES ($1%s, $%d, $%d, $%d, $%d, $%d, $%d, CASE WHEN $%d IS NOT NULL THEN clock_timestamp() END, $%d) ON CONFLICT (%s) DO NOTHING",
								 cell, key_columns(inv), inv->nkeys > 1 ? ", $2" : "",
								 p, p + 1, p + 2, p + 3, p + 4, p + 5, p + 5, p + 6,
								 key_columns(inv));
			else
				appendStringInfo(sql, "UPDATE %s AS c SET generation = $%d, mode = $%d, priority = $%d, safety_stock = $%d, oversell_limit = $%d,"
								 " folded = $%d, folded_at = CASE WHEN $%d IS NOT NULL THEN clock_timestamp() END, system_identifier = $%d WHERE %s",
								 cell, p, p + 1, p + 2, p + 3, p + 4, p + 5, p + 5,
								 p + 6, where);
			break;
		case ST_DROP_CELL:
			where = key_condition(inv, text, "c", false);
			appendStringInfo(sql, "DELETE FROM %s AS c WHERE %s", cell, where);
			break;
		case ST_ESCROW_CELLS:
			appendStringInfo(sql, "SELECT c.sku%s FROM %s AS c WHERE c.mode = 'escrow' ORDER BY 1%s",
							 inv->nkeys > 1 ? ", c.warehouse" : "", cell,
							 inv->nkeys > 1 ? ", 2" : "");
			break;
		case ST_INSERT_RESERVATION:
			insert_text(inv, text, RESERVATION, R_NCOLUMNS - (inv->nkeys == 1 ? 1 : 0));
			break;
		case ST_INSERT_MOVEMENT:
			insert_text(inv, text, MOVEMENT, M_NCOLUMNS - (inv->nkeys == 1 ? 1 : 0));
			break;
		case ST_COUNT:
			elog(ERROR, "no such statement");
	}
}

/* The saved plan of a statement. */
static SPIPlanPtr
prepare(Inventory *inv, InventoryStatement statement)
{
	Text		text;
	SPIPlanPtr	plan;
	int			level = NewGUCNestLevel();

	plinth_set_for_now("search_path", "pg_catalog, pg_temp");
	write_statement(inv, statement, &text);
	plan = SPI_prepare(text.sql.data, text.n, text.types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), text.sql.data);
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	AtEOXact_GUC(false, level);
	return plan;
}

/* Is a statement about companions? */
static bool
runs_as_owner(InventoryStatement statement)
{
	return statement >= ST_FIND_HOLDS;
}

/* May the current role read what statements on the stock table look at? */
static bool
may_read(Inventory *inv)
{
	AttrNumber	atts[INVENTORY_MAX_KEYS + 3];
	int			n = 0;

	if (pg_class_aclcheck(inv->relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < inv->nkeys; i++)
		atts[n++] = inv->key_att[i];
	atts[n++] = inv->quantity_att;
	atts[n++] = inv->reserved_att;
	atts[n++] = inv->version_att;
	for (int i = 0; i < n; i++)
	{
		if (pg_attribute_aclcheck(inv->relid, atts[i], GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return false;
	}
	return true;
}

/*
 * UPDATE is all that a caller needs, who has been asked for it.  The columns
 * that our statements read besides are read with the owner's rights, but only
 * where neither policies nor triggers of others make a difference between the
 * two: their code is to run as the caller.
 */
static bool
reads_for_caller(Inventory *inv, InventoryStatement statement)
{
	return statement <= ST_SEE && !may_read(inv) && inv->only_our_triggers &&
		check_enable_rls(inv->relid, InvalidOid, true) != RLS_ENABLED;
}

/*
 * Run a statement within an SPI connection of the caller's, where its result
 * is afterwards.  Returns the number of rows.
 */
uint64
inventory_execute(Inventory *inv, InventoryStatement statement, Datum *values,
				  const char *nulls, Snapshot snapshot)
{
	volatile int rc = 0;
	PlinthIdentity saved;
	bool		owner = runs_as_owner(statement) ||
		reads_for_caller(inv, statement);
	MemoryContext context = CurrentMemoryContext;

	if (inv->plans[statement] == NULL)
		inv->plans[statement] = prepare(inv, statement);
	if (!owner)
		rc = SPI_execute_snapshot(inv->plans[statement], values, nulls, snapshot,
								  InvalidSnapshot, snapshot != NULL, true, 0);
	else
	{
		plinth_become(&saved, inv->owner);
		inventory_writing++;
		PG_TRY();
		{
			rc = SPI_execute_snapshot(inv->plans[statement], values, nulls,
									  snapshot, InvalidSnapshot,
									  snapshot != NULL, true, 0);
		}
		PG_FINALLY();
		{
			inventory_writing--;
		}
		PG_END_TRY();
		plinth_restore_identity(&saved);
	}
	MemoryContextSwitchTo(context); /* SPI leaves another one */
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s",
			 SPI_result_code_string(rc));
	return SPI_processed;
}

/* The same for an UPDATE of a stock row, of which the guard knows beforehand. */
uint64
inventory_execute_expecting(Inventory *inv, InventoryStatement statement,
							Datum *values, const char *nulls,
							Expected *expected)
{
	volatile uint64 changed = 0;

	inventory_expect(expected);
	PG_TRY();
	{
		changed = inventory_execute(inv, statement, values, nulls, NULL);
	}
	PG_FINALLY();
	{
		inventory_expect_no_more(expected);
	}
	PG_END_TRY();
	return changed;
}

/* Run a statement whose rows nobody wants.  Returns their number. */
uint64
inventory_run(Inventory *inv, InventoryStatement statement, Datum *values,
			  const char *nulls)
{
	uint64		result;

	plinth_spi_begin();
	result = inventory_execute(inv, statement, values, nulls, NULL);
	plinth_spi_end();
	return result;
}

/* The key, as the first parameters. */
int
inventory_key_values(const Inventory *inv, const StockKey *key, Datum *values)
{
	for (int i = 0; i < inv->nkeys; i++)
		values[i] = key->value[i];
	return inv->nkeys;
}

/*
 * Change a stock row with the caller's rights.  `row` is what the caller takes
 * for mode and limits: false, and nothing has changed, if they are others now.
 * P0002 if the caller sees no such row.
 */
bool
inventory_change_stock(Inventory *inv, const StockKey *key, const CellRow *row,
					   int64 quantity, int64 reserved, int64 version)
{
	Datum		values[INVENTORY_MAX_KEYS + 3];
	int			n = inventory_key_values(inv, key, values);
	uint64		changed;
	Expected	expected = {0};

	expected.relid = inv->relid;
	expected.key = *key;
	expected.quantity = quantity;
	expected.reserved = reserved;
	expected.row = row;
	values[n] = Int64GetDatum(quantity);
	values[n + 1] = Int64GetDatum(reserved);
	values[n + 2] = Int64GetDatum(version);
	plinth_spi_begin();
	changed = inventory_execute_expecting(inv, ST_CHANGE, values, NULL,
										  &expected);
	plinth_spi_end();
	if (expected.stale)
		return false;
	if (changed == 0)
		inventory_unknown(inv, key);
	inventory_expect_seen(inv, &expected);
	return true;
}

/*
 * There is no such row, or this transaction's snapshot is too old for it, or a
 * policy hides it: then there is none as far as the caller is concerned.
 */
static void
refuse_unseen(Inventory *inv, const StockKey *key)
{
	if (IsolationUsesXactSnapshot() &&
		check_enable_rls(inv->relid, InvalidOid, true) != RLS_ENABLED)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		StockRow	latest;
		bool		there = inventory_read_stock(inv, key, snapshot, &latest);

		UnregisterSnapshot(snapshot);
		if (there)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent insert of %s",
							inventory_key_label(inv, key))));
	}
	inventory_unknown(inv, key);
}

/* The numbers of a stock row that a statement has found. */
static StockRow
found_stock(void)
{
	StockRow	row;
	HeapTuple	tuple = SPI_tuptable->vals[0];
	TupleDesc	desc = SPI_tuptable->tupdesc;
	bool		isnull;

	row.quantity = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	row.reserved = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
	row.version = DatumGetInt64(SPI_getbinval(tuple, desc, 3, &isnull));
	return row;
}

/*
 * Lock a stock row, with the caller's rights, and read it.  P0002 if the
 * caller sees no such row.
 */
void
inventory_lock_stock(Inventory *inv, const StockKey *key, StockRow *row)
{
	Datum		values[INVENTORY_MAX_KEYS];

	(void) inventory_key_values(inv, key, values);
	plinth_spi_begin();
	if (inventory_execute(inv, ST_LOCK, values, NULL, NULL) == 0)
		refuse_unseen(inv, key);
	if (row)
		*row = found_stock();
	plinth_spi_end();
}

/* Read a stock row with the caller's rights; false if he sees none. */
bool
inventory_see_stock(Inventory *inv, const StockKey *key, StockRow *row)
{
	Datum		values[INVENTORY_MAX_KEYS];
	bool		there;

	(void) inventory_key_values(inv, key, values);
	plinth_spi_begin();
	there = inventory_execute(inv, ST_SEE, values, NULL, NULL) > 0;
	if (there)
		*row = found_stock();
	plinth_spi_end();
	return there;
}
