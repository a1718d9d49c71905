/*
 * src/inventory/target.c
 *		Which table a call is about, and what cannot be an inventory.
 *
 * The shape of the table is judged once, here.  What the rest of the library
 * builds on is: a plain table, one row for each SKU and warehouse by an index
 * whose equality is that of the type, whole numbers that are not null, and
 * nothing that the server computes by itself.
 *
 * Locks: the caller holds one on the table that keeps its shape as it is.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/relation.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "kit/target.h"

/* The arguments of enable(). */
enum
{
	ARG_TARGET,
	ARG_SKU,
	ARG_WAREHOUSE,
	ARG_QUANTITY,
	ARG_RESERVED,
	ARG_VERSION,
	ARG_MODE
};

/* What a table without warehouses need not have. */
#define DEFAULT_WAREHOUSE "warehouse_id"

/* A trigger function of ours; InvalidOid while the extension is not there. */
Oid
inventory_function(const char *name)
{
	return plinth_trigger_function(INVENTORY_SCHEMA, name);
}

/*
 * The trigger of a relation that calls one of our functions, with this name
 * or, if that is NULL, any; NULL if there is none.
 */
PlinthTrigger *
inventory_trigger(Oid relid, const char *function, const char *name)
{
	return plinth_find_trigger(relid, inventory_function(function), name);
}

/* The options of a table that is an inventory; NULL if it is none. */
InventoryOptions *
inventory_table_options(Oid relid)
{
	PlinthTrigger *trig = inventory_trigger(relid, "stock",
											INVENTORY_AFTER_TRIGGER);

	return trig ? inventory_options_parse(trig->nargs, trig->args) : NULL;
}

/* Say no to a relation that cannot be an inventory. */
void
inventory_check_kind(Oid relid)
{
	char	   *name = plinth_existing_name(relid);
	char		relkind = get_rel_relkind(relid);
	const char *why = NULL;

	if (relkind == RELKIND_PARTITIONED_TABLE)
		why = "It is partitioned.";
	else if (relkind != RELKIND_RELATION)
		why = "It is not a table.";
	else if (!plinth_table_persists(relid))
		why = "A temporary table goes with its session.";
	else if (relid < FirstNormalObjectId)
		why = "It belongs to the system.";
	else if (inventory_trigger(relid, "guard", NULL))
		why = "It belongs to another inventory.";
	else if (get_rel_relispartition(relid))
		why = "It is a partition.";
	else if (has_superclass(relid) ||
			 list_length(find_all_inheritors(relid, NoLock, NULL)) > 1)
		why = "It inherits or is inherited from, and keys are not unique over such tables.";
	if (why)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" cannot be an inventory", name),
				 errdetail_internal("%s", why)));
}

/* An option that is a name; 22004 if it is null. */
static char *
name_argument(FunctionCallInfo fcinfo, int arg, const char *option)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("option \"%s\" must not be null", option)));
	return pstrdup(NameStr(*PG_GETARG_NAME(arg)));
}

/*
 * Options as enable() was told, without the names of companions.  There are no
 * warehouses if that is said by NULL, or if the table has no column of the
 * default's name.
 */
InventoryOptions *
inventory_target_options(FunctionCallInfo fcinfo)
{
	Oid			relid = PG_GETARG_OID(ARG_TARGET);
	InventoryOptions *options = palloc0(sizeof(InventoryOptions));

	options->sku = name_argument(fcinfo, ARG_SKU, "sku");
	if (!PG_ARGISNULL(ARG_WAREHOUSE))
	{
		options->warehouse = name_argument(fcinfo, ARG_WAREHOUSE, "warehouse");
		if (strcmp(options->warehouse, DEFAULT_WAREHOUSE) == 0 &&
			get_attnum(relid, options->warehouse) == InvalidAttrNumber)
			options->warehouse = NULL;
	}
	options->quantity = name_argument(fcinfo, ARG_QUANTITY, "quantity");
	options->reserved = name_argument(fcinfo, ARG_RESERVED, "reserved");
	options->version = name_argument(fcinfo, ARG_VERSION, "version");
	if (PG_ARGISNULL(ARG_MODE))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("option \"%s\" must not be null", "mode")));
	options->escrow = inventory_mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODE)));
	return options;
}

/* Do all columns exist, once each? */
static void
check_names(Relation rel, const InventoryOptions *options)
{
	const char *names[] = {options->sku, options->quantity, options->reserved,
	options->version, options->warehouse};
	int			n = options->warehouse ? 5 : 4;

	for (int i = 0; i < n; i++)
	{
		if (get_attnum(RelationGetRelid(rel), names[i]) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							names[i], RelationGetRelationName(rel)),
					 errtable(rel)));
		for (int j = 0; j < i; j++)
		{
			if (strcmp(names[i], names[j]) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("column \"%s\" is named twice", names[i]),
						 errhint("SKU, warehouse, quantity, reserved and version are different columns.")));
		}
	}
}

/* Is the column really never null?  From 18 on it may only be promised. */
static bool
is_not_null(Form_pg_attribute att)
{
	return att->attnotnull &&
		plinth_sql_strings("SELECT 1 FROM pg_constraint WHERE conrelid = %u AND contype = 'n' AND NOT convalidated AND conkey = ARRAY[%d::int2]",
						   att->attrelid, att->attnum) == NIL;
}

/* What every column must be: stored, written by us, and not null. */
static void
check_column(Relation rel, const char *name, bool number)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel),
										  get_attnum(RelationGetRelid(rel), name) - 1);
	Oid			base = getBaseType(att->atttypid);

	if (att->attgenerated != '\0' || (number && att->attidentity != '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of table \"%s\" is computed by the server",
						name, RelationGetRelationName(rel)),
				 errdetail("Generated columns cannot be columns of an inventory, identity columns no numbers of it."),
				 errtablecol(rel, att->attnum)));
	if (number && base != INT2OID && base != INT4OID && base != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" has type %s",
						name, RelationGetRelationName(rel),
						format_type_with_typemod(att->atttypid, att->atttypmod)),
				 errhint("Quantity, reserved and version are smallint, integer or bigint."),
				 errtablecol(rel, att->attnum)));
	if (!number && !OidIsValid(GetDefaultOpClass(att->atttypid, BTREE_AM_OID)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("data type %s of column \"%s\" has no default operator class for access method \"btree\"",
						format_type_be(att->atttypid), name),
				 errtablecol(rel, att->attnum)));
	if (!is_not_null(att))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of table \"%s\" may be null",
						name, RelationGetRelationName(rel)),
				 errhint("Use ALTER TABLE ... ALTER COLUMN ... SET NOT NULL first."),
				 errtablecol(rel, att->attnum)));
}

/* Does an index column say "equal" just where the table's column does? */
static bool
is_equality_of(Relation index, int column, Form_pg_attribute att)
{
	Oid			opclass = GetDefaultOpClass(att->atttypid, BTREE_AM_OID);

	return index->rd_opfamily[column] == get_opclass_family(opclass) &&
		index->rd_indcollation[column] == att->attcollation;
}

/*
 * Does an index make SKU and warehouse unique, at once and for every row?
 */
static bool
is_key_index(Relation rel, Relation index, const AttrNumber *key, int nkeys)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid ||
		form->indnkeyatts != nkeys ||
		index->rd_rel->relam != BTREE_AM_OID ||
		RelationGetIndexPredicate(index) != NIL)
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		bool		found = false;

		for (int j = 0; j < nkeys && !found; j++)
			found = form->indkey.values[j] == key[i] &&
				is_equality_of(index, j,
							   TupleDescAttr(RelationGetDescr(rel), key[i] - 1));
		if (!found)
			return false;
	}
	return true;
}

/* The index that makes SKU and warehouse a key; InvalidOid if none does. */
static Oid
key_index(Relation rel, const InventoryOptions *options)
{
	AttrNumber	key[INVENTORY_MAX_KEYS];
	int			nkeys = 0;
	Oid			result = InvalidOid;
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	key[nkeys++] = get_attnum(RelationGetRelid(rel), options->sku);
	if (options->warehouse)
		key[nkeys++] = get_attnum(RelationGetRelid(rel), options->warehouse);
	foreach(lc, indexes)
	{
		Relation	index = relation_open(lfirst_oid(lc), AccessShareLock);

		if (is_key_index(rel, index, key, nkeys))
			result = RelationGetRelid(index);
		relation_close(index, AccessShareLock);
		if (OidIsValid(result))
			break;
	}
	list_free(indexes);
	return result;
}

/* Say no to row-level security that cannot be honoured. */
void
inventory_check_row_security(Relation rel, const InventoryOptions *options)
{
	if (!rel->rd_rel->relrowsecurity)
		return;
	if (options->escrow)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" has row-level security and cannot be in escrow mode",
						RelationGetRelationName(rel)),
				 errdetail("A claim in escrow mode does not touch the row that a policy looks at."),
				 errhint("Use mode => 'row', which honours it."),
				 errtable(rel)));
	if (rel->rd_rel->relforcerowsecurity)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" forces row-level security on its owner",
						RelationGetRelationName(rel)),
				 errdetail("The ledger is kept as the owner, who must see all rows."),
				 errhint("Use ALTER TABLE ... NO FORCE ROW LEVEL SECURITY first."),
				 errtable(rel)));
}

/* Say no to columns that are not those of an inventory. */
void
inventory_check_columns(Relation rel, const InventoryOptions *options)
{
	check_names(rel, options);
	check_column(rel, options->sku, false);
	if (options->warehouse)
		check_column(rel, options->warehouse, false);
	check_column(rel, options->quantity, true);
	check_column(rel, options->reserved, true);
	check_column(rel, options->version, true);
}

/* Say no to a table that lacks what an inventory needs. */
void
inventory_check_shape(Oid relid, const InventoryOptions *options)
{
	Relation	rel = relation_open(relid, NoLock);

	inventory_check_columns(rel, options);
	if (!OidIsValid(key_index(rel, options)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 options->warehouse ?
				 errmsg("columns \"%s\" and \"%s\" of table \"%s\" are no key",
						options->sku, options->warehouse,
						RelationGetRelationName(rel)) :
				 errmsg("column \"%s\" of table \"%s\" is no key",
						options->sku, RelationGetRelationName(rel)),
				 errdetail("An inventory has one row for each SKU, or for each SKU in each warehouse."),
				 errhint("Add a primary key or unique index on just these columns, immediate and without conditions, or name others with the options \"sku\" and \"warehouse\"."),
				 errtable(rel)));
	inventory_check_row_security(rel, options);
	relation_close(rel, NoLock);
}
