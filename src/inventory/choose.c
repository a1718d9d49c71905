/*
 * src/inventory/choose.c
 *		Which warehouse a line is served from.
 *
 * A line that names its warehouse is one piece.  For the others the cells of
 * the SKU are looked at, and pieces are cut by the order's strategy:
 *
 *	priority		warehouses by priority, then by name
 *	most_stock		those with most free units first
 *	fewest_splits	the first by priority that can serve the whole line; if none
 *					can, those with most first
 *
 * What is free is read without a lock and may be wrong by the time it is
 * claimed; the claim decides.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

/* A warehouse that has the SKU. */
typedef struct Candidate
{
	StockKey	key;
	int			rank;			/* by priority */
	int64		free;
	int64		own;			/* of what the owner gives up for it */
	int64		version;
	SharedCell *shared;			/* in escrow mode */
	bool		hidden;			/* a policy hides the row from the caller */
} Candidate;

/* 22023 if there is no such strategy. */
Strategy
inventory_strategy(const char *word)
{
	if (word == NULL || strcmp(word, "priority") == 0)
		return STRATEGY_PRIORITY;
	if (strcmp(word, "most_stock") == 0)
		return STRATEGY_MOST_STOCK;
	if (strcmp(word, "fewest_splits") == 0)
		return STRATEGY_FEWEST_SPLITS;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized strategy \"%s\"", word),
			 errhint("Valid values are \"priority\", \"most_stock\" and \"fewest_splits\".")));
}

/* What a cell has free, as far as can be seen without claiming. */
static void
look_at(Order *order, Candidate *candidate)
{
	Inventory  *inv = order->inv;
	CellRow		cell;
	ListCell   *lc;

	candidate->shared = inventory_pin(inv, &candidate->key, &cell);
	if (candidate->shared)
	{
		candidate->free = inventory_account_free(candidate->shared);
		candidate->version = inventory_account_seen_version(candidate->shared);
	}
	else
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		StockRow	stock = {0};

		candidate->hidden =
			check_enable_rls(inv->relid, InvalidOid, true) == RLS_ENABLED ?
			!inventory_see_stock(inv, &candidate->key, &stock) :
			!inventory_read_stock(inv, &candidate->key, snapshot, &stock);
		if (!candidate->hidden)
			candidate->free = stock.quantity - stock.reserved -
				cell.safety_stock + cell.oversell_limit;
		candidate->version = stock.version;
		UnregisterSnapshot(snapshot);
	}

	/* what other lines of the order are to have of it */
	foreach(lc, order->lines)
	{
		ListCell   *lp;

		foreach(lp, ((OrderLine *) lfirst(lc))->pieces)
		{
			OrderPiece *piece = lfirst(lp);

			if (inventory_key_compare(inv, &piece->claim.key, &candidate->key) == 0)
				candidate->free -= piece->claim.quantity;
		}
	}
	candidate->own = 0;
	foreach(lc, order->owned)
	{
		Hold	   *hold = lfirst(lc);

		if (inventory_key_compare(inv, &hold->stock, &candidate->key) == 0)
			candidate->own += HOLD_UNITS(hold);
	}
}

/* All warehouses of a SKU, by priority: a List of Candidate. */
static List *
find_candidates(Order *order, OrderLine *line)
{
	Inventory  *inv = order->inv;
	List	   *result = NIL;
	Datum		values[1];
	uint64		n;
	ListCell   *lc;

	values[0] = line->key.value[0];
	plinth_spi_begin();
	n = inventory_execute(inv, ST_CELLS, values, NULL, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		Candidate  *candidate = palloc0(sizeof(Candidate));
		StockKey	key = line->key;
		bool		isnull;

		key.value[1] = SPI_getbinval(SPI_tuptable->vals[i],
									 SPI_tuptable->tupdesc, 1, &isnull);
		candidate->key = inventory_key_copy(inv, &key);
		candidate->rank = i;
		result = lappend(result, candidate);
	}
	plinth_spi_end();
	if (result == NIL)
		inventory_unknown_sku(inv, inventory_key_sku(inv, &line->key));
	foreach(lc, result)
	{
		Candidate  *candidate = lfirst(lc);

		look_at(order, candidate);
		if (candidate->hidden)
			result = foreach_delete_current(result, lc);
	}
	if (result == NIL)
		inventory_unknown_sku(inv, inventory_key_sku(inv, &line->key));
	return result;
}

static int64
can_give(const Candidate *candidate)
{
	return Max(candidate->free + candidate->own, 0);
}

static int
by_most(const ListCell *a, const ListCell *b)
{
	const Candidate *left = lfirst(a);
	const Candidate *right = lfirst(b);

	if (can_give(left) != can_give(right))
		return can_give(left) > can_give(right) ? -1 : 1;
	return left->rank - right->rank;
}

/* One more piece of a line. */
static void
add_piece(Order *order, OrderLine *line, const StockKey *key, int quantity)
{
	OrderPiece *piece = palloc0(sizeof(OrderPiece));

	piece->line = line;
	piece->claim.key = *key;
	piece->claim.quantity = quantity;
	piece->claim.expected_version = line->expected_version;
	piece->claim.expires_at = order->expires_at;
	piece->claim.shortage = line->open ? SHORTAGE_FAIL : order->shortage;
	line->pieces = lappend(line->pieces, piece);
}

/* Cut pieces out of the candidates; false if they do not have enough. */
static bool
cut(Order *order, OrderLine *line, List *candidates)
{
	int64		rest = line->quantity;
	ListCell   *lc;
	bool		one = !order->allow_split ||
		order->strategy == STRATEGY_FEWEST_SPLITS;

	if (order->strategy == STRATEGY_MOST_STOCK)
		list_sort(candidates, by_most);
	if (one)
	{
		foreach(lc, candidates)
		{
			Candidate  *candidate = lfirst(lc);

			if (can_give(candidate) >= rest)
			{
				add_piece(order, line, &candidate->key, rest);
				return true;
			}
		}
		if (!order->allow_split)
			return false;
		list_sort(candidates, by_most);
	}
	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);
		int64		units = Min(can_give(candidate), rest);

		if (units <= 0)
			continue;
		add_piece(order, line, &candidate->key, units);
		rest -= units;
		if (rest == 0)
			return true;
	}
	line->pieces = NIL;
	return false;
}

/*
 * Short of units: give overdue holds back, or wait for somebody who has units
 * in flight.  False if neither changes anything.
 */
static bool
find_more(Order *order, List *candidates)
{
	ListCell   *lc;
	bool		more = false;

	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);

		if (candidate->shared == NULL ||
			(TimestampTz) pg_atomic_read_u64(&candidate->shared->due) <= GetCurrentTimestamp())
			more |= inventory_expire_cell(order->inv, &candidate->key,
										  INVENTORY_EXPIRE_AT_ONCE) > 0;
	}
	if (more || order->shortage != SHORTAGE_WAIT)
		return more;
	foreach(lc, candidates)
	{
		Candidate  *candidate = lfirst(lc);
		TransactionId other = candidate->shared == NULL ? InvalidTransactionId :
			inventory_inflight_other(candidate->shared, true);

		if (TransactionIdIsValid(other))
		{
			/* without our pins: whoever drains one of them may be the other */
			inventory_account_tidy();
			XactLockTableWait(other, NULL, NULL, XLTW_None);
			return true;
		}
	}
	return false;
}

/* Choose for one line; false if it cannot be served. */
static bool
choose_line(Order *order, OrderLine *line)
{
	line->pieces = NIL;
	if (!line->open)
	{
		add_piece(order, line, &line->key, line->quantity);
		return true;
	}
	for (;;)
	{
		List	   *candidates = find_candidates(order, line);
		List	   *allowed = NIL;
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		line->available = 0;
		foreach(lc, candidates)
		{
			Candidate  *candidate = lfirst(lc);

			line->available += Max(candidate->free, 0);
			if (line->expected_version < 0 ||
				candidate->version == line->expected_version)
				allowed = lappend(allowed, candidate);
		}
		if (allowed == NIL)
		{
			line->outcome = CLAIM_VERSION_CONFLICT;
			return false;
		}
		if (cut(order, line, allowed))
			return true;
		if (!find_more(order, candidates))
		{
			line->outcome = CLAIM_SOLD_OUT;
			return false;
		}
	}
}

/*
 * Choose for all lines.  False if one cannot be served; the outcomes of lines
 * say which, and nothing has been claimed.
 */
bool
inventory_choose(Order *order)
{
	bool		all = true;
	ListCell   *lc;

	order->owned = order->replace ?
		inventory_find_owned(order->inv, order->owner) : NIL;
	foreach(lc, order->lines)
		((OrderLine *) lfirst(lc))->pieces = NIL;

	/* those that name their warehouse have no choice */
	for (int open = 0; open <= 1; open++)
	{
		foreach(lc, order->lines)
		{
			OrderLine  *line = lfirst(lc);

			if (line->open == (open == 1) && !choose_line(order, line))
				all = false;
		}
	}
	return all;
}

/* 23514 for the first line that cannot be served. */
void
inventory_short_order(Order *order)
{
	ListCell   *lc;

	foreach(lc, order->lines)
	{
		OrderLine  *line = lfirst(lc);

		if (line->outcome == CLAIM_SOLD_OUT)
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("not enough stock of SKU \"%s\"",
							inventory_key_sku(order->inv, &line->key)),
					 errdetail("Wanted: " INT64_FORMAT ", available: " INT64_FORMAT ".",
							   line->quantity, line->available)));
	}
}
