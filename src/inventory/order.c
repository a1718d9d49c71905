/*
 * src/inventory/order.c
 *		reserve_order() and replace_hold(): all lines of an order or none.
 *
 * Equal lines are merged and the lines sorted, so two orders take the same
 * locks in the same order, whatever theirs was.  For lines that leave the
 * warehouse open, choose.c says which; since that is known only roughly until
 * units are claimed, it is asked again when a claim fails.
 *
 * Claims are made in a subtransaction: if one fails, rolling it back undoes the
 * others, in either mode, and wakes who waits for them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/typcache.h"

PLINTH_FUNCTION(plinth_inventory_reserve_order);
PLINTH_FUNCTION(plinth_inventory_replace_hold);

/* How often warehouses are chosen anew because a claim has failed. */
#define MAX_ROUNDS 20

/* One line out of the caller's array. */
static OrderLine *
read_line(Inventory *inv, HeapTupleHeader header)
{
	OrderLine  *line = palloc0(sizeof(OrderLine));
	char	   *texts[2];
	bool		isnull;
	Datum		value;

	value = GetAttributeByNum(header, 1, &isnull);
	texts[0] = isnull ? NULL : TextDatumGetCString(value);
	value = GetAttributeByNum(header, 2, &isnull);
	texts[1] = isnull ? NULL : TextDatumGetCString(value);
	value = GetAttributeByNum(header, 3, &isnull);
	line->quantity = isnull ? 0 : DatumGetInt32(value);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("quantity must not be null")));
	if (line->quantity <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantity must be greater than zero, not " INT64_FORMAT,
						line->quantity)));
	value = GetAttributeByNum(header, 4, &isnull);
	line->expected_version = isnull ? -1 : inventory_version(DatumGetInt64(value));
	line->open = inv->nkeys > 1 && texts[1] == NULL;
	line->key = line->open ? inventory_key_of_sku(inv, texts[0]) :
		inventory_key_from_text(inv, texts[0], texts[1]);
	return line;
}

/* By SKU, open lines before those with a warehouse. */
static int
compare_lines(const void *a, const void *b, void *arg)
{
	OrderLine  *left = *(OrderLine *const *) a;
	OrderLine  *right = *(OrderLine *const *) b;
	Inventory  *inv = arg;

	if (!left->open && !right->open)
		return inventory_key_compare(inv, &left->key, &right->key);
	else
	{
		KeyColumn  *sku = &inv->key[0];
		int			result = DatumGetInt32(FunctionCall2Coll(&sku->compare,
															 sku->collation,
															 left->key.value[0],
															 right->key.value[0]));

		return result != 0 ? result : (int) right->open - (int) left->open;
	}
}

/* Lines in order, equal ones merged: a List of OrderLine. */
static List *
merge_lines(Inventory *inv, OrderLine **lines, int n)
{
	List	   *result = NIL;
	OrderLine  *last = NULL;

	qsort_arg(lines, n, sizeof(OrderLine *), compare_lines, inv);
	for (int i = 0; i < n; i++)
	{
		OrderLine  *line = lines[i];

		if (last && compare_lines(&last, &line, inv) == 0)
		{
			if (last->expected_version != line->expected_version)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("lines for the same SKU \"%s\" expect different versions",
								inventory_key_sku(inv, &line->key))));
			last->quantity += line->quantity;
			if (last->quantity > PG_INT32_MAX)
				ereport(ERROR,
						(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						 errmsg("quantity of SKU \"%s\" is out of range",
								inventory_key_sku(inv, &line->key))));
		}
		else
		{
			result = lappend(result, line);
			last = line;
		}
	}
	return result;
}

/* The lines that a call names. */
static List *
read_lines(Inventory *inv, FunctionCallInfo fcinfo, int arg)
{
	ArrayType  *array;
	Datum	   *elems;
	bool	   *nulls;
	int			n;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	OrderLine **lines;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("lines must not be null")));
	array = PG_GETARG_ARRAYTYPE_P(arg);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
					  &elems, &nulls, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an order must have at least one line")));
	lines = palloc(n * sizeof(OrderLine *));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("lines must not contain nulls")));
		lines[i] = read_line(inv, DatumGetHeapTupleHeader(elems[i]));
	}
	return merge_lines(inv, lines, n);
}

/* A hash of what was asked. */
static int64
request_of(Inventory *inv, List *lines, const char *owner)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, lines)
	{
		OrderLine  *line = lfirst(lc);

		inventory_describe_line(&buf, inv, &line->key, line->open,
								line->quantity, line->expected_version);
	}
	return inventory_request_hash(&buf, owner);
}

/* The first answer again. */
static void
put_replay(FunctionCallInfo fcinfo, Inventory *inv, List *holds)
{
	ListCell   *lc;

	foreach(lc, holds)
	{
		Hold	   *hold = lfirst(lc);
		ResultRow	result = inventory_result_row(&hold->key, hold->line);

		result.stock = hold->stock;
		result.has_stock = true;
		result.quantity = hold->quantity;
		result.outcome = "reserved";
		result.expires_at = hold->expires_at;
		result.replayed = true;
		inventory_put_result(fcinfo, inv, &result);
	}
}

/* Pieces in the order in which they are claimed. */
static int
compare_pieces(const void *a, const void *b, void *arg)
{
	return inventory_key_compare(arg, &(*(OrderPiece *const *) a)->claim.key,
								 &(*(OrderPiece *const *) b)->claim.key);
}

/* All pieces of an order, sorted. */
static OrderPiece **
sorted_pieces(Order *order, int *n)
{
	ListCell   *lc;
	OrderPiece **result;

	*n = 0;
	foreach(lc, order->lines)
		*n += list_length(((OrderLine *) lfirst(lc))->pieces);
	result = palloc(Max(*n, 1) * sizeof(OrderPiece *));
	*n = 0;
	foreach(lc, order->lines)
	{
		ListCell   *lp;

		foreach(lp, ((OrderLine *) lfirst(lc))->pieces)
			result[(*n)++] = lfirst(lp);
	}
	qsort_arg(result, *n, sizeof(OrderPiece *), compare_pieces, order->inv);
	return result;
}

/* A piece that cannot be claimed: its line says why. */
static void
blame(Order *order, OrderPiece *piece, ClaimOutcome outcome)
{
	piece->line->outcome = outcome;
	piece->line->available = piece->claim.available;
	piece->line->version = piece->claim.version;
	order->chosen = piece->line->open;
}

/*
 * Versions are those of before the order, which may change stock rows itself
 * on the way: so those of cells in row mode are compared first, under the locks
 * of their stock rows, and not again.  False if one is another.
 */
static bool
check_versions(Order *order, OrderPiece **pieces, int n)
{
	for (int i = 0; i < n; i++)
	{
		Claim	   *claim = &pieces[i]->claim;
		CellRow		cell;
		StockRow	stock;

		if (claim->expected_version < 0)
			continue;
		inventory_cell_get(order->inv, &claim->key, &cell);
		if (cell.escrow)
			continue;
		inventory_lock_stock(order->inv, &claim->key, &stock);
		claim->version = stock.version;
		claim->available = Max(stock.quantity - stock.reserved -
							   cell.safety_stock + cell.oversell_limit, 0);
		if (claim->expected_version != stock.version)
		{
			blame(order, pieces[i], CLAIM_VERSION_CONFLICT);
			return false;
		}
		claim->expected_version = -1;
	}
	return true;
}

/*
 * Give back what the owner holds, if that is wanted, and claim all pieces.
 * False if one of them could not be claimed: its line says why.
 */
static bool
claim_pieces(Order *order)
{
	int			n;
	OrderPiece **pieces;

	List	   *owned = order->replace ?
		inventory_lock_owned(order->inv, order->owner) : NIL;

	pieces = sorted_pieces(order, &n);
	if (!check_versions(order, pieces, n))
		return false;
	inventory_release_holds(order->inv, owned, "release");
	for (int i = 0; i < n; i++)
	{
		OrderPiece *piece = pieces[i];
		ClaimOutcome outcome = inventory_claim(order->inv, &piece->claim);

		if (outcome == CLAIM_DONE)
			continue;
		blame(order, piece, outcome);
		return false;
	}
	return true;
}

/* Write the reservations of all pieces, in the order of the lines. */
static void
write_pieces(Order *order)
{
	int			number = 0;
	ListCell   *lc;

	foreach(lc, order->lines)
	{
		ListCell   *lp;

		foreach(lp, ((OrderLine *) lfirst(lc))->pieces)
		{
			OrderPiece *piece = lfirst(lp);
			ReservationRow row;

			piece->number = ++number;
			row.key = order->key;
			row.line = number;
			row.stock = piece->claim.key;
			row.quantity = piece->claim.quantity;
			row.owner = order->owner;
			row.expires_at = order->expires_at;
			row.generation = piece->claim.generation;
			row.request = order->request;
			inventory_write_reservation(order->inv, &row);
		}
	}
}

/* One attempt, in a subtransaction that is rolled back if it fails. */
static bool
attempt(Order *order)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = claim_pieces(order);
		if (done)
			write_pieces(order);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		RollbackAndReleaseCurrentSubTransaction();
		CurrentResourceOwner = owner;
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (done)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return done;
}

/*
 * Reserve all lines or none.  If none, each line's outcome says whether it was
 * at fault.
 */
static bool
reserve_all(Order *order)
{
	for (int round = 0;; round++)
	{
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		foreach(lc, order->lines)
		{
			OrderLine  *line = lfirst(lc);

			line->outcome = CLAIM_DONE;
			line->available = -1;
			line->version = -1;
		}
		if (!inventory_choose(order))
		{
			/* nothing was claimed, and nothing has been written */
			if (order->shortage == SHORTAGE_ERROR)
				inventory_short_order(order);
			return false;
		}

		/* nothing is waited for with pins that have no use yet */
		inventory_account_tidy();
		if (attempt(order))
			return true;

		/* only another choice can help */
		if (!order->chosen || round >= MAX_ROUNDS)
			return false;
	}
}

/* What came of it. */
static void
put_order(FunctionCallInfo fcinfo, Order *order, bool reserved)
{
	ListCell   *lc;
	int			number = 0;

	foreach(lc, order->lines)
	{
		OrderLine  *line = lfirst(lc);
		ListCell   *lp;

		if (!reserved)
		{
			ResultRow	result = inventory_result_row(&order->key, ++number);

			result.stock = line->key;
			result.has_stock = true;
			result.no_warehouse = line->open;
			result.quantity = line->quantity;
			result.available = line->available;
			result.version = line->version;
			result.outcome = line->outcome == CLAIM_SOLD_OUT ? "sold_out" :
				line->outcome == CLAIM_VERSION_CONFLICT ? "version_conflict" :
				"not_reserved";
			inventory_put_result(fcinfo, order->inv, &result);
			continue;
		}
		foreach(lp, line->pieces)
		{
			OrderPiece *piece = lfirst(lp);
			ResultRow	result = inventory_result_row(&order->key,
													   piece->number);

			result.stock = piece->claim.key;
			result.has_stock = true;
			result.quantity = piece->claim.quantity;
			result.outcome = "reserved";
			result.available = piece->claim.available;
			result.version = piece->claim.version;
			result.expires_at = order->expires_at;
			inventory_put_result(fcinfo, order->inv, &result);
		}
	}
}

/* The same for one line whose warehouse is open: reserve(). */
Datum
inventory_reserve_anywhere(FunctionCallInfo fcinfo, Inventory *inv,
						   const char *sku, int quantity, const pg_uuid_t *key,
						   const Claim *claim, const char *owner)
{
	OrderLine	line = {0};
	Order		order = {0};
	ResultRow	result = inventory_result_row(key, 1);
	List	   *twin;

	order.inv = inv;
	order.key = *key;
	order.owner = owner;
	order.expires_at = claim->expires_at;
	order.shortage = claim->shortage;
	order.strategy = STRATEGY_PRIORITY;
	line.open = true;
	line.quantity = quantity;
	line.expected_version = claim->expected_version;
	line.key = inventory_key_of_sku(inv, sku);
	order.lines = list_make1(&line);
	order.request = request_of(inv, order.lines, owner);
	result.has_stock = true;
	result.quantity = quantity;
	twin = inventory_replay(inv, key, order.request);
	if (twin != NIL)
	{
		Hold	   *hold = linitial(twin);

		result.stock = hold->stock;
		result.outcome = "reserved";
		result.expires_at = hold->expires_at;
		result.replayed = true;
	}
	else if (reserve_all(&order))
	{
		OrderPiece *piece = linitial(line.pieces);

		result.stock = piece->claim.key;
		result.available = piece->claim.available;
		result.version = piece->claim.version;
		result.outcome = "reserved";
		result.expires_at = order.expires_at;
	}
	else
	{
		result.stock = line.key;
		result.no_warehouse = true;
		result.available = line.available;
		result.version = line.version;
		result.outcome = line.outcome == CLAIM_VERSION_CONFLICT ?
			"version_conflict" : "sold_out";
	}
	inventory_unlock_key(inv, key);
	inventory_account_tidy();
	return inventory_result(fcinfo, inv, &result);
}

/* What both functions do when their arguments have been read. */
static Datum
run_order(FunctionCallInfo fcinfo, Order *order)
{
	List	   *twin;
	bool		reserved;

	InitMaterializedSRF(fcinfo, 0);
	order->request = request_of(order->inv, order->lines, order->owner);
	twin = inventory_replay(order->inv, &order->key, order->request);
	if (twin != NIL)
		put_replay(fcinfo, order->inv, twin);
	else
	{
		reserved = reserve_all(order);
		put_order(fcinfo, order, reserved);
	}
	inventory_unlock_key(order->inv, &order->key);
	inventory_account_tidy();
	return (Datum) 0;
}

/*
 * reserve_order(lines, key, ttl, owner, strategy, allow_split, on_shortage,
 * inventory)
 */
Datum
plinth_inventory_reserve_order(PG_FUNCTION_ARGS)
{
	Order		order = {0};

	order.inv = inventory_of_call(fcinfo, 7, "plinth_inventory.reserve_order()");
	order.key = *inventory_uuid(fcinfo, 1);
	order.owner = inventory_text(fcinfo, 3);
	order.lines = read_lines(order.inv, fcinfo, 0);
	order.expires_at = inventory_expiry(fcinfo, 2);
	order.strategy = inventory_strategy(inventory_text(fcinfo, 4));
	order.allow_split = PG_ARGISNULL(5) || PG_GETARG_BOOL(5);
	order.shortage = inventory_shortage(fcinfo, 6);
	return run_order(fcinfo, &order);
}

/*
 * replace_hold(owner, lines, key, ttl, strategy, allow_split, on_shortage,
 * inventory)
 */
Datum
plinth_inventory_replace_hold(PG_FUNCTION_ARGS)
{
	Order		order = {0};

	order.replace = true;
	order.inv = inventory_of_call(fcinfo, 7, "plinth_inventory.replace_hold()");
	order.owner = inventory_text(fcinfo, 0);
	if (order.owner == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("owner must not be null")));
	inventory_lock_owner(order.inv, order.owner);
	order.lines = read_lines(order.inv, fcinfo, 1);
	order.key = *inventory_uuid(fcinfo, 2);
	order.expires_at = inventory_expiry(fcinfo, 3);
	order.strategy = inventory_strategy(inventory_text(fcinfo, 4));
	order.allow_split = PG_ARGISNULL(5) || PG_GETARG_BOOL(5);
	order.shortage = inventory_shortage(fcinfo, 6);
	return run_order(fcinfo, &order);
}
