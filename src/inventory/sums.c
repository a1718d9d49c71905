/*
 * src/inventory/sums.c
 *		Stock, reservations and ledger compared, as SQL for whole tables.
 *
 * check() reports what these queries find, repair() writes what they say
 * instead, so the two cannot disagree about what is right.  Tables may have
 * many millions of rows: each is read once by a query, and what is compared
 * are sums over hashes that spill to disk.
 *
 * What must hold for each cell, with "exact" for the stock row and its tail:
 *
 *	exact quantity = sum of movement.quantity
 *	exact reserved = sum of reservation.quantity + sum of movement.reserved
 *	exact reserved = units held + units reserved by other means
 *
 * Held are the units of reservations that are not finished.  What becomes of a
 * reservation is in movements that bear its key, and they take from reserved
 * what it has confirmed and released; so together with its row they amount to
 * what it holds.  Movements without a key are all the rest, and the sum of
 * their reserved is what other SQL has reserved, purged or not: see purge.c.
 *
 * Where keys are equal is for the types of SKU and warehouse to say, by the
 * operators that GROUP BY takes, whatever the search_path is.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "utils/builtins.h"

/* SKU and warehouse of a row that is called so; a companion's, or the stock's. */
char *
inventory_sums_key(const Inventory *inv, const char *alias, bool stock)
{
	const char *sku = stock ? inv->options->sku : "sku";
	const char *warehouse = stock ? inv->options->warehouse : "warehouse";
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s.%s", alias, quote_identifier(sku));
	if (inv->nkeys > 1)
		appendStringInfo(&buf, ", %s.%s", alias, quote_identifier(warehouse));
	return buf.data;
}

/* SKU and warehouse for a person to read: two columns of text. */
char *
inventory_sums_label(const Inventory *inv, const char *alias)
{
	return psprintf("format('%%s', %s.sku), %s", alias,
					inv->nkeys > 1 ? psprintf("format('%%s', %s.warehouse)", alias) :
					"NULL::text");
}

/*
 * The condition that a row of the ledger is in the tail of cell c.  It joins
 * by generation, of which the cells have a unique index.
 */
char *
inventory_sums_tail(const char *alias)
{
	return psprintf("c.generation = %s.generation AND c.mode = 'escrow'"
					" AND NOT pg_visible_in_snapshot(%s.xid, c.folded)",
					alias, alias);
}

/*
 * A branch of inventory_sums_of_cells(): rows of the ledger, which are called
 * l, summed up by `sums` as quantity, reserved, raw and held.  Those in a tail
 * count for their own cell and for the one that will fold them, which should be
 * the same.
 */
static void
append_ledger(const Inventory *inv, StringInfo sql, Companion companion,
			  const char *sums)
{
	const char *tail_key = inv->nkeys > 1 ? "c.sku AS tail_sku, c.warehouse AS tail_warehouse" :
		"c.sku AS tail_sku";

	appendStringInfo(sql, " UNION ALL SELECT v.* FROM (SELECT %s, %s, %s FROM %s AS l LEFT JOIN %s AS c ON %s GROUP BY %s, %s) AS a",
					 inventory_sums_key(inv, "l", false), tail_key, sums,
					 plinth_relation_name(inv->companion[companion]),
					 plinth_relation_name(inv->companion[CELL]),
					 inventory_sums_tail("l"),
					 inventory_sums_key(inv, "l", false),
					 inventory_sums_key(inv, "c", false));
	appendStringInfo(sql, " CROSS JOIN LATERAL (VALUES (%s, false, false, 0, 0, 0, a.quantity, a.reserved, a.raw, a.held),"
					 " (%s, false, false, a.quantity, a.reserved, 0, 0, 0, 0, 0)) AS v (sku) WHERE v.sku IS NOT NULL",
					 inventory_sums_key(inv, "a", false),
					 inv->nkeys > 1 ? "a.tail_sku, a.tail_warehouse" : "a.tail_sku");
}

/*
 * A query for one row per cell, wherever it is mentioned: sku, warehouse,
 * in_stock, in_cell, quantity and reserved (exact; of no stock row: 0),
 * oversell_limit, ledger_quantity and ledger_reserved, raw (reserved by other
 * means), held.
 */
char *
inventory_sums_of_cells(const Inventory *inv)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s, bool_or(u.in_stock) AS in_stock, bool_or(u.in_cell) AS in_cell,"
					 " CASE WHEN bool_or(u.in_stock) THEN sum(u.quantity) ELSE 0 END AS quantity,"
					 " CASE WHEN bool_or(u.in_stock) THEN sum(u.reserved) ELSE 0 END AS reserved,"
					 " sum(u.oversell_limit) AS oversell_limit,"
					 " sum(u.ledger_quantity) AS ledger_quantity, sum(u.ledger_reserved) AS ledger_reserved,"
					 " sum(u.raw) AS raw, sum(u.held) AS held FROM (",
					 inventory_sums_key(inv, "u", false));
	appendStringInfo(&sql, "SELECT %s, true, false, s.%s::numeric, s.%s::numeric, 0::numeric, 0::numeric, 0::numeric, 0::numeric, 0::numeric FROM %s AS s",
					 inventory_sums_key(inv, "s", true),
					 quote_identifier(inv->options->quantity),
					 quote_identifier(inv->options->reserved),
					 plinth_relation_name(inv->relid));
	appendStringInfo(&sql, " UNION ALL SELECT %s, false, true, 0, 0, c.oversell_limit, 0, 0, 0, 0 FROM %s AS c",
					 inventory_sums_key(inv, "c", false),
					 plinth_relation_name(inv->companion[CELL]));
	append_ledger(inv, &sql, MOVEMENT,
				  "sum(l.quantity) AS quantity, sum(l.reserved) AS reserved,"
				  " coalesce(sum(l.reserved) FILTER (WHERE l.key IS NULL), 0) AS raw, 0 AS held");
	append_ledger(inv, &sql, RESERVATION,
				  "0 AS quantity, sum(l.quantity) AS reserved, 0 AS raw,"
				  " coalesce(sum(l.quantity::int8 - l.confirmed - l.released) FILTER (WHERE l.finished_at IS NULL), 0) AS held");
	appendStringInfo(&sql, ") AS u (%s, in_stock, in_cell, quantity, reserved, oversell_limit, ledger_quantity, ledger_reserved, raw, held) GROUP BY %s",
					 inv->nkeys > 1 ? "sku, warehouse" : "sku",
					 inventory_sums_key(inv, "u", false));
	return sql.data;
}

/*
 * Joins that say of each row x of inventory_sums_of_cells() what quantity and
 * reserved have to be, as w.  Somebody may have counted what is on hand; other
 * SQL may have reserved some itself, but it cannot have given back what a
 * reservation holds.
 */
const char *
inventory_sums_should(void)
{
	return " CROSS JOIN LATERAL (SELECT greatest(x.quantity, 0) AS quantity,"
		" x.held + greatest(x.raw, 0) AS reserved) AS w";
}

/*
 * Joins that say of each reservation r what its columns should be, as w:
 * quantity, confirmed, released, finished, outcome.  Those that are finished
 * hold nothing, and those that hold nothing are finished.
 */
const char *
inventory_sums_reservation(void)
{
	return " CROSS JOIN LATERAL (SELECT greatest(r.quantity, 0) AS quantity) AS w1"
		" CROSS JOIN LATERAL (SELECT least(greatest(r.confirmed, 0), w1.quantity) AS confirmed) AS w2"
		" CROSS JOIN LATERAL (SELECT r.finished_at IS NOT NULL OR w2.confirmed::int8 + greatest(r.released, 0) >= w1.quantity AS finished) AS w3"
		" CROSS JOIN LATERAL (SELECT w1.quantity, w2.confirmed, w3.finished,"
		" CASE WHEN w3.finished THEN w1.quantity - w2.confirmed ELSE greatest(r.released, 0) END AS released,"
		" CASE WHEN NOT w3.finished THEN NULL WHEN r.outcome IN ('confirmed', 'released', 'expired') THEN r.outcome"
		" WHEN w2.confirmed > 0 THEN 'confirmed' ELSE 'released' END AS outcome) AS w";
}

/* The condition that a reservation r is not as it should be. */
const char *
inventory_sums_reservation_wrong(void)
{
	return "(w.quantity, w.confirmed, w.released, w.finished, w.outcome) IS DISTINCT FROM"
		" (r.quantity, r.confirmed, r.released, r.finished_at IS NOT NULL, r.outcome)";
}

/*
 * A query for reservations whose row and whose movements differ, also if there
 * is no such row: sku, warehouse, key, line, confirmed, released (as in the
 * row), quantity, reserved (sums of the movements).
 */
char *
inventory_sums_of_reservations(const Inventory *inv)
{
	const char *key = inv->nkeys > 1 ? "sku, warehouse" : "sku";
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s, u.key, u.line, sum(u.confirmed) AS confirmed, sum(u.released) AS released,"
					 " sum(u.quantity) AS quantity, sum(u.reserved) AS reserved FROM (",
					 inventory_sums_key(inv, "u", false));
	appendStringInfo(&sql, "SELECT %s, r.key, r.line, r.confirmed::int8, r.released::int8, 0::int8, 0::int8 FROM %s AS r",
					 inventory_sums_key(inv, "r", false),
					 plinth_relation_name(inv->companion[RESERVATION]));
	appendStringInfo(&sql, " UNION ALL SELECT %s, m.key, m.line, 0, 0, m.quantity, m.reserved FROM %s AS m WHERE m.key IS NOT NULL",
					 inventory_sums_key(inv, "m", false),
					 plinth_relation_name(inv->companion[MOVEMENT]));
	appendStringInfo(&sql, ") AS u (%s, key, line, confirmed, released, quantity, reserved) GROUP BY %s, u.key, u.line"
					 " HAVING sum(u.confirmed) + sum(u.quantity) <> 0 OR sum(u.confirmed) + sum(u.released) + sum(u.reserved) <> 0",
					 key, inventory_sums_key(inv, "u", false));
	return sql.data;
}

/*
 * A query for the sequence of the ledger if it is behind: one row, expected
 * (what it should have given last) and found.  While rows come from another
 * server that is as it should be.
 */
char *
inventory_sums_sequence(const Inventory *inv)
{
	return psprintf("SELECT m.last AS expected, s.last_value AS found FROM %s AS s, (SELECT max(movement_id) AS last FROM %s) AS m"
					" WHERE (m.last > s.last_value OR m.last = s.last_value AND NOT s.is_called)"
					" AND NOT EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = %u)",
					plinth_relation_name(inv->movement_sequence),
					plinth_relation_name(inv->companion[MOVEMENT]),
					inv->companion[MOVEMENT]);
}
