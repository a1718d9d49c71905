/*
 * src/inventory/stock.c
 *		Stock that comes, moves and is counted; limits; what is available.
 *
 * What can be said as a sum (a receipt, a transfer) is an event like any other.
 * A count and new limits are changes of the cell, see mode.c.
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

PLINTH_FUNCTION(plinth_inventory_receive);
PLINTH_FUNCTION(plinth_inventory_receive_number);
PLINTH_FUNCTION(plinth_inventory_adjust);
PLINTH_FUNCTION(plinth_inventory_adjust_number);
PLINTH_FUNCTION(plinth_inventory_transfer);
PLINTH_FUNCTION(plinth_inventory_transfer_number);
PLINTH_FUNCTION(plinth_inventory_limits);
PLINTH_FUNCTION(plinth_inventory_limits_number);
PLINTH_FUNCTION(plinth_inventory_available);
PLINTH_FUNCTION(plinth_inventory_available_number);

/* The largest number that a column of the stock table can hold. */
static int64
largest(Oid type)
{
	return type == INT2OID ? PG_INT16_MAX :
		type == INT4OID ? PG_INT32_MAX : PG_INT64_MAX;
}

/*
 * 22003 if the columns of the stock table cannot hold what may come of so many
 * units: a fold would fail.
 */
static void
check_range(Inventory *inv, const StockKey *key, int64 quantity,
			const CellRow *cell)
{
	if (quantity > largest(inv->quantity_type) ||
		quantity > largest(inv->reserved_type) - cell->oversell_limit)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("quantity of %s is out of range",
						inventory_key_label(inv, key)),
				 errdetail("Units on hand and those that may be sold beyond them must fit into columns \"%s\" and \"%s\".",
						   inv->options->quantity, inv->options->reserved)));
}

/* receive(sku, warehouse, quantity, reason, inventory) */
static Datum
receive(FunctionCallInfo fcinfo, const char *warehouse)
{
	Inventory  *inv = inventory_of_call(fcinfo, 4, "plinth_inventory.receive()");
	StockKey	key = inventory_key_from_text(inv, inventory_text(fcinfo, 0),
											  warehouse);
	MovementRow movement = inventory_movement(&key, "receive");
	CellRow		cell;
	int64		quantity;

	movement.quantity = inventory_quantity(fcinfo, 2);
	movement.reason = inventory_text(fcinfo, 3);
	inventory_event(inv, &movement);
	inventory_cell_get(inv, &key, &cell);
	quantity = inventory_exact_stock(inv, &key, &cell).quantity;
	check_range(inv, &key, quantity, &cell);
	inventory_account_tidy();
	PG_RETURN_INT64(quantity);
}

Datum
plinth_inventory_receive(PG_FUNCTION_ARGS)
{
	return receive(fcinfo, inventory_text(fcinfo, 1));
}

Datum
plinth_inventory_receive_number(PG_FUNCTION_ARGS)
{
	return receive(fcinfo, inventory_number(fcinfo, 1));
}

/* adjust(sku, warehouse, new_quantity, expected_version, reason, inventory) */
static Datum
adjust(FunctionCallInfo fcinfo, const char *warehouse)
{
	Inventory  *inv = inventory_of_call(fcinfo, 5, "plinth_inventory.adjust()");
	StockKey	key = inventory_key_from_text(inv, inventory_text(fcinfo, 0),
											  warehouse);
	MovementRow movement = inventory_movement(&key, "adjust");
	ResultRow	result = inventory_result_row(NULL, 0);
	CellRow		cell;
	CellRow		becomes;
	StockRow	stock;
	int			wanted;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("quantity must not be null")));
	wanted = PG_GETARG_INT32(2);
	if (wanted < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantity must not be negative")));
	result.stock = key;
	result.has_stock = true;
	result.quantity = wanted;
	inventory_cell_get(inv, &key, &cell);
	inventory_lock_stock(inv, &key, &stock);
	if (!PG_ARGISNULL(3) && PG_GETARG_INT64(3) != stock.version)
	{
		result.outcome = "version_conflict";
		stock = inventory_exact_stock(inv, &key, &cell);
	}
	else
	{
		inventory_begin_change(inv, &key, &cell);
		inventory_lock_stock(inv, &key, &stock);
		check_range(inv, &key, wanted, &cell);
		movement.quantity = wanted - stock.quantity;
		movement.reason = inventory_text(fcinfo, 4);
		becomes = cell;
		inventory_end_change(inv, &key, &cell, &becomes, movement.quantity);
		inventory_write_movement(inv, &movement);
		stock.quantity = wanted;
		stock.version++;
		result.outcome = "adjusted";
	}
	result.version = stock.version;
	result.available = Max(stock.quantity - stock.reserved -
						   cell.safety_stock + cell.oversell_limit, 0);
	inventory_account_tidy();
	return inventory_result(fcinfo, inv, &result);
}

Datum
plinth_inventory_adjust(PG_FUNCTION_ARGS)
{
	return adjust(fcinfo, inventory_text(fcinfo, 1));
}

Datum
plinth_inventory_adjust_number(PG_FUNCTION_ARGS)
{
	return adjust(fcinfo, inventory_number(fcinfo, 1));
}

/*
 * Take free units of a cell out of the stock.  False if there are not so many.
 */
static bool
take_out(Inventory *inv, const StockKey *key, int units, const char *reason,
		 ResultRow *result)
{
	MovementRow movement = inventory_movement(key, "transfer");

	movement.quantity = -units;
	movement.reason = reason;
	for (;;)
	{
		CellRow		cell;
		SharedCell *shared = inventory_pin(inv, key, &cell);
		StockRow	stock;

		if (shared)
		{
			bool		taken = inventory_account_take(shared, COUNTER_FREE, units);

			/* what may be sold beyond the stock is not there to be moved */
			if (taken && (inventory_account_slack(shared) < 0 ||
						  !inventory_account_take(shared, COUNTER_ON_HAND, units)))
			{
				inventory_account_give(shared, COUNTER_FREE, units);
				taken = false;
			}
			result->available = Max(inventory_account_free(shared), 0);
			result->version = inventory_account_seen_version(shared);
			if (!taken && inventory_expire_cell(inv, key, INVENTORY_EXPIRE_AT_ONCE) > 0)
				continue;
			if (!taken)
				return false;
			movement.generation = cell.generation;
			inventory_write_movement(inv, &movement);
			return true;
		}
		inventory_lock_stock(inv, key, &stock);
		result->version = stock.version;
		result->available = Max(stock.quantity - stock.reserved -
								cell.safety_stock + cell.oversell_limit, 0);
		if (result->available < units || stock.quantity - stock.reserved < units)
		{
			if (inventory_expire_cell(inv, key, INVENTORY_EXPIRE_AT_ONCE) > 0)
				continue;
			return false;
		}
		if (!inventory_change_stock(inv, key, &cell, -units, 0, 1))
			continue;
		result->version++;
		result->available -= units;
		inventory_write_movement(inv, &movement);
		return true;
	}
}

/* transfer(sku, from_warehouse, to_warehouse, quantity, reason, inventory) */
static Datum
transfer(FunctionCallInfo fcinfo, const char *from, const char *to)
{
	Inventory  *inv = inventory_of_call(fcinfo, 5, "plinth_inventory.transfer()");
	char	   *sku = inventory_text(fcinfo, 0);
	StockKey	source = inventory_key_from_text(inv, sku, from);
	StockKey	target = inventory_key_from_text(inv, sku, to);
	int			units = inventory_quantity(fcinfo, 3);
	char	   *reason = inventory_text(fcinfo, 4);
	MovementRow movement = inventory_movement(&target, "transfer");
	ResultRow	result = inventory_result_row(NULL, 0);
	int			order = inventory_key_compare(inv, &source, &target);
	CellRow		cell;

	if (order == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot transfer within one warehouse")));

	movement.quantity = units;
	movement.reason = reason;
	result.stock = source;
	result.has_stock = true;
	result.quantity = units;

	/* stock rows in the order of their keys */
	inventory_cell_get(inv, order < 0 ? &source : &target, &cell);
	if (!cell.escrow)
		inventory_lock_stock(inv, order < 0 ? &source : &target, NULL);
	inventory_cell_get(inv, order < 0 ? &target : &source, &cell);
	if (take_out(inv, &source, units, reason, &result))
	{
		inventory_event(inv, &movement);
		result.outcome = "transferred";
	}
	else
		result.outcome = "sold_out";
	inventory_account_tidy();
	return inventory_result(fcinfo, inv, &result);
}

Datum
plinth_inventory_transfer(PG_FUNCTION_ARGS)
{
	return transfer(fcinfo, inventory_text(fcinfo, 1), inventory_text(fcinfo, 2));
}

Datum
plinth_inventory_transfer_number(PG_FUNCTION_ARGS)
{
	return transfer(fcinfo, inventory_number(fcinfo, 1),
					inventory_number(fcinfo, 2));
}

/* limits(sku, warehouse, oversell_limit, safety_stock, priority, inventory) */
static Datum
limits(FunctionCallInfo fcinfo, const char *warehouse)
{
	Inventory  *inv = inventory_of_call(fcinfo, 5, "plinth_inventory.limits()");
	StockKey	key = inventory_key_from_text(inv, inventory_text(fcinfo, 0),
											  warehouse);
	CellRow		was;
	CellRow		becomes;
	StockRow	stock;

	for (int i = 2; i <= 3; i++)
	{
		if (!PG_ARGISNULL(i) &&
			(PG_GETARG_INT64(i) < 0 || PG_GETARG_INT64(i) > PG_INT32_MAX))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("limits must be between 0 and %d", PG_INT32_MAX)));
	}
	inventory_begin_change(inv, &key, &was);
	becomes = was;
	if (!PG_ARGISNULL(2))
		becomes.oversell_limit = PG_GETARG_INT64(2);
	if (!PG_ARGISNULL(3))
		becomes.safety_stock = PG_GETARG_INT64(3);
	if (!PG_ARGISNULL(4))
		becomes.priority = PG_GETARG_INT32(4);
	inventory_lock_stock(inv, &key, &stock);
	check_range(inv, &key, stock.quantity, &becomes);
	inventory_end_change(inv, &key, &was, &becomes, 0);
	inventory_account_tidy();
	PG_RETURN_VOID();
}

Datum
plinth_inventory_limits(PG_FUNCTION_ARGS)
{
	return limits(fcinfo, inventory_text(fcinfo, 1));
}

Datum
plinth_inventory_limits_number(PG_FUNCTION_ARGS)
{
	return limits(fcinfo, inventory_number(fcinfo, 1));
}

/*
 * available(sku, warehouse, inventory): by the view, through the caller's
 * snapshot and with the caller's rights; also on a standby.
 */
static Datum
available(FunctionCallInfo fcinfo, const char *warehouse)
{
	Inventory  *inv = inventory_get(inventory_argument(fcinfo, 2));
	char	   *sku = inventory_text(fcinfo, 0);
	Datum		values[INVENTORY_MAX_KEYS];
	StockKey	key;
	bool		all = inv->nkeys > 1 && warehouse == NULL;
	int64		result;
	bool		isnull;

	key = all ? inventory_key_of_sku(inv, sku) :
		inventory_key_from_text(inv, sku, warehouse);
	(void) inventory_key_values(inv, &key, values);
	plinth_spi_begin();
	(void) inventory_execute(inv, all ? ST_AVAILABLE_ALL : ST_AVAILABLE, values,
							 NULL, GetActiveSnapshot());
	result = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	plinth_spi_end();
	if (isnull && all)
		inventory_unknown_sku(inv, sku);
	if (isnull)
		inventory_unknown(inv, &key);
	PG_RETURN_INT64(Max(result, 0));
}

Datum
plinth_inventory_available(PG_FUNCTION_ARGS)
{
	return available(fcinfo, inventory_text(fcinfo, 1));
}

Datum
plinth_inventory_available_number(PG_FUNCTION_ARGS)
{
	return available(fcinfo, inventory_number(fcinfo, 1));
}
