/*
 * src/inventory/cell.c
 *		The cell row: mode, limits and watermark of one SKU in one warehouse.
 *
 * Cell rows are written by their table's owner through us alone, and only
 * under the lock of the stock row, so whoever holds that lock and reads the
 * cell row through a snapshot taken since knows what is true until the end of
 * the transaction.  Others know what was true a moment ago, and what they do
 * with it fails or is tried again if it is true no more: see guard.c for row
 * mode and inventory_load() for escrow mode.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* P0002: there is no such stock row. */
void
inventory_unknown(Inventory *inv, const StockKey *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("inventory \"%s\" has no %s", get_rel_name(inv->relid),
					inventory_key_label(inv, key)),
			 errhint("Insert a row for it first.")));
	pg_unreachable();
}

/* P0002: there is no stock row of this SKU in any warehouse. */
void
inventory_unknown_sku(Inventory *inv, const char *sku)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("inventory \"%s\" has no SKU \"%s\"",
					get_rel_name(inv->relid), sku),
			 errhint("Insert a row for it first.")));
	pg_unreachable();
}

/* A number that no cell has had and no cell will have. */
int64
inventory_new_generation(void)
{
	uint64		result;

	do
	{
		if (!pg_strong_random(&result, sizeof(result)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		result &= PG_INT64_MAX;
	} while (result == 0);
	return (int64) result;
}

/* One column of a cell row. */
static Datum
column(Inventory *inv, TupleTableSlot *slot, CellColumn which, bool *isnull)
{
	return slot_getattr(slot, inventory_column(inv, CELL, which), isnull);
}

/* Read a cell row; false if there is none. */
bool
inventory_cell_read(Inventory *inv, const StockKey *key, Snapshot snapshot,
					CellRow *cell)
{
	Probe		found;
	bool		there = inventory_probe_cell(inv, key, snapshot, &found);

	memset(cell, 0, sizeof(CellRow));
	if (there)
	{
		TupleTableSlot *slot = found.slot;
		Datum		value;
		bool		isnull;

		cell->generation = DatumGetInt64(column(inv, slot, C_GENERATION, &isnull));
		value = column(inv, slot, C_MODE, &isnull);
		cell->escrow = inventory_mode_parse(TextDatumGetCString(value));
		cell->priority = DatumGetInt32(column(inv, slot, C_PRIORITY, &isnull));
		cell->safety_stock = DatumGetInt64(column(inv, slot, C_SAFETY_STOCK, &isnull));
		cell->oversell_limit = DatumGetInt64(column(inv, slot, C_OVERSELL_LIMIT, &isnull));
		value = column(inv, slot, C_FOLDED, &isnull);
		if (!isnull)
			cell->folded = datumCopy(value, false, -1);
		value = column(inv, slot, C_SYSTEM_IDENTIFIER, &isnull);
		cell->foreign_system = cell->escrow &&
			(isnull || (uint64) DatumGetInt64(value) != GetSystemIdentifier());
	}
	inventory_probe_end(&found);
	return there;
}

/* The cell row as it is committed now, or as this transaction has made it. */
bool
inventory_cell_latest(Inventory *inv, const StockKey *key, CellRow *cell)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		there = inventory_cell_read(inv, key, snapshot, cell);

	UnregisterSnapshot(snapshot);
	return there;
}

/*
 * The same; if there is none although there is a stock row, it is made.  P0002
 * if there is no stock row.  A cell that was restored on another system is
 * adopted: transaction ids mean other things here.
 */
void
inventory_cell_get(Inventory *inv, const StockKey *key, CellRow *cell)
{
	if (!inventory_cell_latest(inv, key, cell))
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		StockRow	stock;
		bool		there = inventory_read_stock(inv, key, snapshot, &stock);

		UnregisterSnapshot(snapshot);
		if (!there)
			inventory_unknown(inv, key);
		inventory_cell_add(inv, key);
		if (!inventory_cell_latest(inv, key, cell))
			elog(ERROR, "cell row has not come");
	}
	if (cell->foreign_system)
	{
		inventory_adopt(inv, key);
		if (!inventory_cell_latest(inv, key, cell))
			elog(ERROR, "cell row has gone");
	}
}

/* Values for ST_ADD_CELL and ST_SET_CELL. */
static void
run_with(Inventory *inv, InventoryStatement statement, const StockKey *key,
		 const CellRow *cell)
{
	Datum		values[INVENTORY_MAX_KEYS + 7];
	char		nulls[INVENTORY_MAX_KEYS + 8];
	int			n = inv->nkeys;

	memset(nulls, ' ', sizeof(nulls));
	for (int i = 0; i < inv->nkeys; i++)
		values[i] = key->value[i];
	values[n] = Int64GetDatum(cell->generation);
	values[n + 1] = CStringGetTextDatum(cell->escrow ? "escrow" : "row");
	values[n + 2] = Int32GetDatum(cell->priority);
	values[n + 3] = Int64GetDatum(cell->safety_stock);
	values[n + 4] = Int64GetDatum(cell->oversell_limit);
	values[n + 5] = cell->folded;
	if (!cell->escrow || DatumGetPointer(cell->folded) == NULL)
		nulls[n + 5] = 'n';
	values[n + 6] = Int64GetDatum((int64) GetSystemIdentifier());
	(void) inventory_run(inv, statement, values, nulls);
}

/* Make the cell row of a stock row that has come, unless there is one. */
void
inventory_cell_add(Inventory *inv, const StockKey *key)
{
	CellRow		cell = {0};

	cell.generation = inventory_new_generation();
	cell.escrow = inv->options->escrow;
	if (cell.escrow)
		cell.folded = inventory_current_snapshot();
	run_with(inv, ST_ADD_CELL, key, &cell);
}

/* Write a cell row.  The caller holds the lock of the stock row. */
void
inventory_cell_write(Inventory *inv, const StockKey *key, const CellRow *cell)
{
	run_with(inv, ST_SET_CELL, key, cell);
}
