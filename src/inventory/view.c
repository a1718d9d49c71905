/*
 * src/inventory/view.c
 *		The view of what is available: <table>_available.
 *
 * The stock row of a cell in escrow mode lags behind; the view adds the tail,
 * which is what the ledger has and the row has not, so that it is exact.  It
 * reads the tail and the overdue holds through indexes, cell by cell, so that
 * one SKU costs no more than its own rows.
 *
 * It belongs to the table's owner and reads with the owner's rights.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/type.h"

/* "left.column = right.column", whatever the search path and the type are. */
static char *
same_value(Oid relid, const char *column, const char *left, const char *right)
{
	Oid			type = get_atttype(relid, get_attnum(relid, column));

	return psprintf("%s %s %s", plinth_comparable(type, left),
					plinth_equality(type), plinth_comparable(type, right));
}

/*
 * The condition that a companion's row is of a stock row's cell.  The stock
 * row is called s.
 */
char *
inventory_same_cell(Oid relid, const InventoryOptions *options,
					const char *alias)
{
	char	   *sku = same_value(relid, options->sku,
							psprintf("%s.sku", alias),
							psprintf("s.%s", quote_identifier(options->sku)));

	if (options->warehouse == NULL)
		return sku;
	return psprintf("%s AND %s", sku,
					same_value(relid, options->warehouse,
						  psprintf("%s.warehouse", alias),
						  psprintf("s.%s", quote_identifier(options->warehouse))));
}

/* The condition that a ledger's row is in the tail of cell c. */
static char *
in_tail(const char *alias)
{
	return psprintf("c.mode = 'escrow' AND %s.generation = c.generation"
					" AND %s.xid >= pg_snapshot_xmin(c.folded)"
					" AND NOT pg_visible_in_snapshot(%s.xid, c.folded)",
					alias, alias, alias);
}

/* Make the view. */
void
inventory_make_view(Oid relid, const InventoryOptions *options)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE VIEW %s AS SELECT s.%s AS sku, ",
					 options->view, quote_identifier(options->sku));
	if (options->warehouse)
		appendStringInfo(&sql, "s.%s AS warehouse, ",
						 quote_identifier(options->warehouse));
	appendStringInfo(&sql, "e.quantity, e.reserved, o.overdue,"
					 " e.quantity - e.reserved + o.overdue - c.safety_stock + c.oversell_limit AS available,"
					 " s.%s AS version, c.mode FROM %s s JOIN %s c ON %s",
					 quote_identifier(options->version),
					 plinth_relation_name(relid), options->cell,
					 inventory_same_cell(relid, options, "c"));
	appendStringInfo(&sql, " CROSS JOIN LATERAL (SELECT coalesce(sum(r.quantity), 0)::bigint AS reserved"
					 " FROM %s r WHERE %s) rt",
					 options->reservation, in_tail("r"));
	appendStringInfo(&sql, " CROSS JOIN LATERAL (SELECT coalesce(sum(m.quantity), 0)::bigint AS quantity,"
					 " coalesce(sum(m.reserved), 0)::bigint AS reserved FROM %s m WHERE %s) mt",
					 options->movement, in_tail("m"));
	/* in a query of its own the clock is read once and can be looked up by */
	appendStringInfo(&sql, " CROSS JOIN LATERAL (SELECT coalesce(sum(h.quantity - h.confirmed - h.released), 0)::bigint AS overdue"
					 " FROM %s h WHERE %s AND h.finished_at IS NULL"
					 " AND h.expires_at <= (SELECT clock_timestamp())) o",
					 options->reservation, inventory_same_cell(relid, options, "h"));
	appendStringInfo(&sql, " CROSS JOIN LATERAL (SELECT s.%s::bigint + mt.quantity AS quantity,"
					 " s.%s::bigint + rt.reserved + mt.reserved AS reserved) e",
					 quote_identifier(options->quantity),
					 quote_identifier(options->reserved));
	plinth_sql("%s", sql.data);
	inventory_give_to_owner(relid, "VIEW", options->view);
	plinth_sql("COMMENT ON VIEW %s IS %s", options->view,
			   quote_literal_cstr(psprintf("What inventory %s has, exactly: available is what can be reserved now",
										   plinth_relation_name(relid))));
	inventory_copy_select(relid, options->view);
}
