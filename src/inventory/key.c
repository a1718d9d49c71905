/*
 * src/inventory/key.c
 *		SKU and warehouse, of any type.
 *
 * Callers say SKU and warehouse as text; it is cast to the columns' types once,
 * by their input functions, and compared by their B-tree operators from then
 * on, so that '007' and '7' are the same number and 'a' and 'A' the same citext.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

/* One column's value out of its text. */
static Datum
parse(KeyColumn *column, const char *text)
{
	return InputFunctionCall(&column->input, unconstify(char *, text),
							 column->ioparam, column->typmod);
}

/* A key of which only the SKU is known; 22004 if that is null. */
StockKey
inventory_key_of_sku(Inventory *inv, const char *sku)
{
	StockKey	key = {{0}};

	if (sku == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("SKU must not be null")));
	key.value[0] = parse(&inv->key[0], sku);
	return key;
}

/*
 * The key that a caller names, in the current memory context.  22004 if a
 * column is null, 22023 if a warehouse is given where there is none.
 */
StockKey
inventory_key_from_text(Inventory *inv, const char *sku, const char *warehouse)
{
	StockKey	key = inventory_key_of_sku(inv, sku);

	if (inv->nkeys > 1 && warehouse == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("warehouse must not be null"),
				 errhint("Inventory \"%s\" has several.", get_rel_name(inv->relid))));
	if (inv->nkeys == 1 && warehouse != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("inventory \"%s\" has no warehouses",
						get_rel_name(inv->relid)),
				 errhint("Pass NULL for the warehouse.")));
	if (inv->nkeys > 1)
		key.value[1] = parse(&inv->key[1], warehouse);
	return key;
}

/* The SKU as text, palloc'd. */
char *
inventory_key_sku(Inventory *inv, const StockKey *key)
{
	return OutputFunctionCall(&inv->key[0].output, key->value[0]);
}

/* The warehouse as text, palloc'd; NULL if there is none. */
char *
inventory_key_warehouse(Inventory *inv, const StockKey *key)
{
	if (inv->nkeys == 1)
		return NULL;
	return OutputFunctionCall(&inv->key[1].output, key->value[1]);
}

/* For messages: SKU "x" in warehouse "y". */
char *
inventory_key_label(Inventory *inv, const StockKey *key)
{
	char	   *sku = inventory_key_sku(inv, key);

	if (inv->nkeys == 1)
		return psprintf(_("SKU \"%s\""), sku);
	return psprintf(_("SKU \"%s\" in warehouse \"%s\""), sku,
					inventory_key_warehouse(inv, key));
}

/* A copy in the current memory context. */
StockKey
inventory_key_copy(const Inventory *inv, const StockKey *key)
{
	StockKey	copy = {{0}};

	for (int i = 0; i < inv->nkeys; i++)
		copy.value[i] = datumCopy(key->value[i], inv->key[i].typbyval,
								  inv->key[i].typlen);
	return copy;
}

/* Less than, equal to or greater than zero: the order in which rows are locked. */
int
inventory_key_compare(Inventory *inv, const StockKey *a, const StockKey *b)
{
	for (int i = 0; i < inv->nkeys; i++)
	{
		KeyColumn  *column = &inv->key[i];
		int			result = DatumGetInt32(FunctionCall2Coll(&column->compare,
															 column->collation,
															 a->value[i],
															 b->value[i]));

		if (result != 0)
			return result;
	}
	return 0;
}

/* The key of a stock row, pointing into the slot. */
StockKey
inventory_key_of_slot(const Inventory *inv, TupleTableSlot *slot)
{
	StockKey	key = {{0}};

	for (int i = 0; i < inv->nkeys; i++)
	{
		bool		isnull;

		key.value[i] = slot_getattr(slot, inv->key_att[i], &isnull);
		if (isnull)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("SKU and warehouse of inventory \"%s\" must not be null",
							get_rel_name(inv->relid))));
	}
	return key;
}
