/*
 * src/inventory/probe.c
 *		Single rows by their keys, straight from a unique index.
 *
 * A claim reads a cell row and looks for its key among the reservations; a
 * cell that is loaded needs its stock row.  Going through SQL for each of these
 * would cost more than all the rest of a claim.
 *
 * Nothing of the caller's runs here: the indexes are plain, the operators are
 * those of the keys' types.  Row-level security is not asked: what is read
 * decides, but is not shown.
 *
 * Locks: AccessShareLock on table and index, kept to the end of the
 * transaction like any reader's.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Begin a scan that finds at most the rows that equal the keys. */
static bool
probe(Probe *result, Oid relid, Oid indexid, Snapshot snapshot, ScanKey keys,
	  int nkeys)
{
	result->rel = table_open(relid, AccessShareLock);
	result->index = index_open(indexid, AccessShareLock);
	result->slot = table_slot_create(result->rel, NULL);
	result->scan = plinth_index_beginscan(result->rel, result->index, snapshot,
										  nkeys);
	index_rescan(result->scan, keys, nkeys, NULL, 0);
	return index_getnext_slot(result->scan, ForwardScanDirection, result->slot);
}

/* A scan key for a column of SKU or warehouse. */
static void
key_equals(const Inventory *inv, ScanKey scankey, int index_att, int column,
		   const StockKey *key)
{
	ScanKeyEntryInitialize(scankey, 0, index_att, BTEqualStrategyNumber,
						   InvalidOid, inv->key[column].collation,
						   inv->key[column].equal, key->value[column]);
}

/*
 * Look up a cell row.  Returns whether it is there; call inventory_probe_end()
 * in any case, after which nothing of it may be used.
 */
bool
inventory_probe_cell(Inventory *inv, const StockKey *key, Snapshot snapshot,
					 Probe *result)
{
	ScanKeyData keys[INVENTORY_MAX_KEYS];

	for (int i = 0; i < inv->nkeys; i++)
		key_equals(inv, &keys[i], i + 1, i, key);
	return probe(result, inv->companion[CELL], inv->cell_index, snapshot, keys,
				 inv->nkeys);
}

/* The same for a stock row. */
bool
inventory_probe_stock(Inventory *inv, const StockKey *key, Snapshot snapshot,
					  Probe *result)
{
	ScanKeyData keys[INVENTORY_MAX_KEYS];

	for (int i = 0; i < inv->nkeys; i++)
		key_equals(inv, &keys[i], i + 1, inv->stock_index_att[i], key);
	return probe(result, inv->relid, inv->stock_index, snapshot, keys,
				 inv->nkeys);
}

/* The same for a line of a reservation, any of them. */
bool
inventory_probe_reservation(Inventory *inv, const pg_uuid_t *key,
							Snapshot snapshot, Probe *result)
{
	ScanKeyData scankey;

	ScanKeyInit(&scankey, 1, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(key));
	return probe(result, inv->companion[RESERVATION], inv->reservation_index,
				 snapshot, &scankey, 1);
}

/* Give a scan back. */
void
inventory_probe_end(Probe *result)
{
	index_endscan(result->scan);
	ExecDropSingleTupleTableSlot(result->slot);
	index_close(result->index, NoLock);
	table_close(result->rel, NoLock);
}

/* An integer of any size. */
int64
inventory_integer(Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

/* The numbers of a stock row. */
StockRow
inventory_stock_of_slot(const Inventory *inv, TupleTableSlot *slot)
{
	StockRow	row;
	bool		isnull[3];

	row.quantity = inventory_integer(inv->quantity_type,
									 slot_getattr(slot, inv->quantity_att,
												  &isnull[0]));
	row.reserved = inventory_integer(inv->reserved_type,
									 slot_getattr(slot, inv->reserved_att,
												  &isnull[1]));
	row.version = inventory_integer(inv->version_type,
									slot_getattr(slot, inv->version_att,
												 &isnull[2]));
	if (isnull[0] || isnull[1] || isnull[2])
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("quantity, reserved and version of inventory \"%s\" must not be null",
						get_rel_name(inv->relid))));
	return row;
}

/* Read the numbers of a stock row; false if there is none. */
bool
inventory_read_stock(Inventory *inv, const StockKey *key, Snapshot snapshot,
					 StockRow *row)
{
	Probe		found;
	bool		there = inventory_probe_stock(inv, key, snapshot, &found);

	if (there)
		*row = inventory_stock_of_slot(inv, found.slot);
	inventory_probe_end(&found);
	return there;
}
