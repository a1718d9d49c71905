/*
 * src/inventory/mode.c
 *		Row mode, escrow mode, and from one to the other; fold().
 *
 * What cannot be said as a sum (mode, limits, a count) changes under the lock of
 * the stock row, which comes before the pin of the cell: who drains a cell holds
 * that lock while he waits for pins.
 *
 * A cell in escrow mode is drained, that is, nobody can pin it any more and
 * those who have it pinned are waited for.  Then everything is in the ledger,
 * the stock row gets it, and the generation is over; what is to be true from
 * then on begins another one.  In row mode whoever reserves holds or awaits the
 * same lock, and looks at mode and limits again when he has it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

PLINTH_FUNCTION(plinth_inventory_set_mode);
PLINTH_FUNCTION(plinth_inventory_set_mode_number);
PLINTH_FUNCTION(plinth_inventory_fold);

/* Keys of cells that a statement finds: a List of StockKey. */
List *
inventory_keys(Inventory *inv, InventoryStatement statement, Datum *values)
{
	List	   *result = NIL;
	uint64		n;

	/* all cells there are: the transaction's snapshot may lack some */
	plinth_spi_begin();
	n = inventory_execute(inv, statement, values, NULL,
						  statement == ST_ESCROW_CELLS ? GetLatestSnapshot() : NULL);
	for (uint64 i = 0; i < n; i++)
	{
		StockKey   *key = palloc(sizeof(StockKey));
		StockKey	found = {{0}};
		bool		isnull;

		for (int k = 0; k < inv->nkeys; k++)
			found.value[k] = SPI_getbinval(SPI_tuptable->vals[i],
										   SPI_tuptable->tupdesc, k + 1, &isnull);
		*key = inventory_key_copy(inv, &found);
		result = lappend(result, key);
	}
	plinth_spi_end();
	return result;
}

/*
 * Bring a stock row up to date with its cell's events, apart from this
 * transaction's if `mine` is false, and note in *cell up to where that is.  The
 * stock row is locked.  Returns the number of events.
 */
static int64
fold_locked(Inventory *inv, const StockKey *key, CellRow *cell, bool mine)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Datum		folded = inventory_snapshot_value(snapshot);
	Tail		tail;

	inventory_tail_read(inv, cell, snapshot,
						mine ? InvalidFullTransactionId :
						GetTopFullTransactionIdIfAny(), &tail);
	UnregisterSnapshot(snapshot);
	if ((tail.quantity != 0 || tail.reserved != 0) &&
		!inventory_change_stock(inv, key, cell, tail.quantity, tail.reserved, 0))
		elog(ERROR, "cell has changed under the lock of its stock row");
	cell->folded = folded;
	return tail.rows;
}

/*
 * Fold one cell; was there anything to fold?  If it is the last time, because
 * nobody but this transaction can use the cell any more, its own events are
 * folded too, and the generation is over.
 */
bool
inventory_fold_cell(Inventory *inv, const StockKey *key, bool last)
{
	CellRow		cell;
	int64		events;

	inventory_lock_stock(inv, key, NULL);
	if (!inventory_cell_latest(inv, key, &cell) || !cell.escrow)
		return false;
	if (cell.foreign_system)
	{
		inventory_adopt(inv, key);
		return true;
	}
	events = fold_locked(inv, key, &cell, last);
	if (last)
		cell.generation = inventory_new_generation();
	if (last || events > 0)
		inventory_cell_write(inv, key, &cell);
	return events > 0;
}

/* Fold all cells in escrow mode, in the order of their keys. */
int64
inventory_fold_all(Inventory *inv, bool last)
{
	int64		folded = 0;
	ListCell   *lc;

	foreach(lc, inventory_keys(inv, ST_ESCROW_CELLS, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		if (inventory_fold_cell(inv, lfirst(lc), last))
			folded++;
	}
	return folded;
}

/*
 * A cell was restored on this system, where transaction ids mean other things
 * than where it comes from: everything into the stock row, by what the
 * watermark meant there, and a new generation here.
 */
void
inventory_adopt(Inventory *inv, const StockKey *key)
{
	CellRow		cell;

	inventory_lock_stock(inv, key, NULL);
	if (!inventory_cell_latest(inv, key, &cell) || !cell.foreign_system)
		return;
	(void) fold_locked(inv, key, &cell, true);
	cell.generation = inventory_new_generation();
	inventory_cell_write(inv, key, &cell);
}

/* All rows of the stock table go; the table is locked against everybody. */
void
inventory_close_all(Inventory *inv)
{
	PlinthIdentity saved;

	plinth_become(&saved, inv->owner);
	inventory_writing++;
	PG_TRY();
	{
		(void) inventory_run_latest(psprintf("INSERT INTO %s (at, %s, quantity, reserved, kind, xid)"
				   " SELECT clock_timestamp(), %s%s%s, - s.%s::int8, - s.%s::int8, 'close', pg_current_xact_id()"
				   " FROM %s AS s WHERE s.%s <> 0 OR s.%s <> 0",
				   inv->options->movement, inv->nkeys > 1 ? "sku, warehouse" : "sku",
				   quote_identifier(pstrdup(inv->options->sku)),
				   inv->nkeys > 1 ? ", " : "",
				   inv->nkeys > 1 ? quote_identifier(pstrdup(inv->options->warehouse)) : "",
				   quote_identifier(pstrdup(inv->options->quantity)),
				   quote_identifier(pstrdup(inv->options->reserved)),
				   plinth_relation_name(inv->relid),
				   quote_identifier(pstrdup(inv->options->quantity)),
				   quote_identifier(pstrdup(inv->options->reserved))));
		(void) inventory_run_latest(psprintf("DELETE FROM %s", inv->options->cell));
	}
	PG_FINALLY();
	{
		inventory_writing--;
	}
	PG_END_TRY();
	plinth_restore_identity(&saved);
}

/*
 * Begin a change that cannot be said as a sum: of mode or limits, or a count.
 * When this returns the stock row is locked, nobody else has the cell pinned or
 * can pin it, and the stock row has all its events.  *cell is the cell row.
 */
void
inventory_begin_change(Inventory *inv, const StockKey *key, CellRow *cell)
{
	SharedCell *shared;

	inventory_cell_get(inv, key, cell);
	inventory_lock_stock(inv, key, NULL);
	if (!inventory_cell_latest(inv, key, cell))
		inventory_unknown(inv, key);
	if (!cell->escrow)
		return;
	inventory_check_policies(inv);
	do
	{
		/* under the lock of its stock row it stays what it is */
		shared = inventory_account_pin(inv, key, cell);
	} while (shared == NULL);
	inventory_account_note(shared);
	inventory_account_drain(shared);
	(void) fold_locked(inv, key, cell, true);
}

/*
 * End it: the stock row's quantity changes by so much, and the cell row becomes
 * that.  In escrow mode another generation begins; what this transaction has
 * taken of the one that is over has just been brought into the stock row.
 */
void
inventory_end_change(Inventory *inv, const StockKey *key, const CellRow *was,
					 CellRow *becomes, int64 quantity)
{
	if (!inventory_change_stock(inv, key, was, quantity, 0, 1))
		elog(ERROR, "cell has changed under the lock of its stock row");
	if (was->escrow || becomes->escrow)
		becomes->generation = inventory_new_generation();
	becomes->folded = becomes->escrow ? inventory_current_snapshot() : (Datum) 0;
	inventory_cell_write(inv, key, becomes);
}

/* set_mode(sku, warehouse, mode, inventory) */
static Datum
set_mode(FunctionCallInfo fcinfo, const char *warehouse)
{
	Inventory  *inv = inventory_of_call(fcinfo, 3, "plinth_inventory.set_mode()");
	StockKey	key = inventory_key_from_text(inv, inventory_text(fcinfo, 0),
											  warehouse);
	char	   *word = inventory_text(fcinfo, 2);
	CellRow		was;
	CellRow		becomes;

	if (word == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("mode must not be null")));
	inventory_cell_get(inv, &key, &was);
	if (was.escrow != inventory_mode_parse(word))
	{
		inventory_begin_change(inv, &key, &was);
		becomes = was;
		becomes.escrow = inventory_mode_parse(word);
		if (becomes.escrow)
			inventory_check_policies(inv);
		if (becomes.escrow != was.escrow || was.escrow)
			inventory_end_change(inv, &key, &was, &becomes, 0);
	}
	inventory_account_tidy();
	PG_RETURN_VOID();
}

Datum
plinth_inventory_set_mode(PG_FUNCTION_ARGS)
{
	return set_mode(fcinfo, inventory_text(fcinfo, 1));
}

/* The same with the warehouse as a number. */
Datum
plinth_inventory_set_mode_number(PG_FUNCTION_ARGS)
{
	return set_mode(fcinfo, inventory_number(fcinfo, 1));
}

/*
 * fold(target): stock rows up to date, cells counted that were not.
 */
Datum
plinth_inventory_fold(PG_FUNCTION_ARGS)
{
	Inventory  *inv = inventory_of_call(fcinfo, 0, "plinth_inventory.fold()");
	int64		folded = inventory_fold_all(inv, false);

	inventory_account_tidy();
	PG_RETURN_INT64(folded);
}
