/*
 * src/inventory/companions.c
 *		The tables beside the table: reservations, ledger, cells.
 *
 * They are ordinary tables of the table's owner, so that dumps carry them and
 * recorded data outlives the inventory.  Columns are known by their places
 * elsewhere, which is why tables that are there already are taken only if they
 * have just these columns in this order.
 *
 * No table here has a CHECK constraint: most rows are written straight into
 * the table, without the executor that would look at constraints.  What they
 * would say holds because nobody but the library writes: see guard.c.
 *
 * Locks: the caller has ShareRowExclusiveLock on the table; the same is taken
 * on companions that are there already.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/relation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "kit/target.h"
#include "kit/type.h"

const char *const inventory_reservation_columns[R_NCOLUMNS] = {
	[R_KEY] = "key",
	[R_LINE] = "line",
	[R_SKU] = "sku",
	[R_WAREHOUSE] = "warehouse",
	[R_QUANTITY] = "quantity",
	[R_CONFIRMED] = "confirmed",
	[R_RELEASED] = "released",
	[R_OWNER] = "owner",
	[R_CREATED_AT] = "created_at",
	[R_EXPIRES_AT] = "expires_at",
	[R_FINISHED_AT] = "finished_at",
	[R_OUTCOME] = "outcome",
	[R_GENERATION] = "generation",
	[R_XID] = "xid",
	[R_REQUEST] = "request",
};

const char *const inventory_movement_columns[M_NCOLUMNS] = {
	[M_ID] = "movement_id",
	[M_AT] = "at",
	[M_SKU] = "sku",
	[M_WAREHOUSE] = "warehouse",
	[M_QUANTITY] = "quantity",
	[M_RESERVED] = "reserved",
	[M_KIND] = "kind",
	[M_REASON] = "reason",
	[M_KEY] = "key",
	[M_LINE] = "line",
	[M_GENERATION] = "generation",
	[M_XID] = "xid",
};

const char *const inventory_cell_columns[C_NCOLUMNS] = {
	[C_SKU] = "sku",
	[C_WAREHOUSE] = "warehouse",
	[C_GENERATION] = "generation",
	[C_MODE] = "mode",
	[C_PRIORITY] = "priority",
	[C_SAFETY_STOCK] = "safety_stock",
	[C_OVERSELL_LIMIT] = "oversell_limit",
	[C_FOLDED] = "folded",
	[C_FOLDED_AT] = "folded_at",
	[C_SYSTEM_IDENTIFIER] = "system_identifier",
};

/* What a column holds. */
typedef struct ColumnShape
{
	Oid			type;			/* InvalidOid: as the table's key column */
	bool		not_null;
	const char *more;			/* the rest of its definition, or NULL */
} ColumnShape;

static const ColumnShape reservation_shape[R_NCOLUMNS] = {
	[R_KEY] = {UUIDOID, true, NULL},
	[R_LINE] = {INT4OID, true, NULL},
	[R_SKU] = {InvalidOid, true, NULL},
	[R_WAREHOUSE] = {InvalidOid, true, NULL},
	[R_QUANTITY] = {INT4OID, true, NULL},
	[R_CONFIRMED] = {INT4OID, true, "DEFAULT 0"},
	[R_RELEASED] = {INT4OID, true, "DEFAULT 0"},
	[R_OWNER] = {TEXTOID, false, NULL},
	[R_CREATED_AT] = {TIMESTAMPTZOID, true, NULL},
	[R_EXPIRES_AT] = {TIMESTAMPTZOID, false, NULL},
	[R_FINISHED_AT] = {TIMESTAMPTZOID, false, NULL},
	[R_OUTCOME] = {TEXTOID, false, NULL},
	[R_GENERATION] = {INT8OID, false, NULL},
	[R_XID] = {XID8OID, true, NULL},
	[R_REQUEST] = {INT8OID, true, NULL},
};

static const ColumnShape movement_shape[M_NCOLUMNS] = {
	[M_ID] = {INT8OID, true, "GENERATED ALWAYS AS IDENTITY"},
	[M_AT] = {TIMESTAMPTZOID, true, NULL},
	[M_SKU] = {InvalidOid, true, NULL},
	[M_WAREHOUSE] = {InvalidOid, true, NULL},
	[M_QUANTITY] = {INT8OID, true, NULL},
	[M_RESERVED] = {INT8OID, true, NULL},
	[M_KIND] = {TEXTOID, true, NULL},
	[M_REASON] = {TEXTOID, false, NULL},
	[M_KEY] = {UUIDOID, false, NULL},
	[M_LINE] = {INT4OID, false, NULL},
	[M_GENERATION] = {INT8OID, false, NULL},
	[M_XID] = {XID8OID, true, NULL},
};

static const ColumnShape cell_shape[C_NCOLUMNS] = {
	[C_SKU] = {InvalidOid, true, NULL},
	[C_WAREHOUSE] = {InvalidOid, true, NULL},
	[C_GENERATION] = {INT8OID, true, NULL},
	[C_MODE] = {TEXTOID, true, NULL},
	[C_PRIORITY] = {INT4OID, true, "DEFAULT 0"},
	[C_SAFETY_STOCK] = {INT8OID, true, "DEFAULT 0"},
	[C_OVERSELL_LIMIT] = {INT8OID, true, "DEFAULT 0"},
	[C_FOLDED] = {PG_SNAPSHOTOID, false, NULL},
	[C_FOLDED_AT] = {TIMESTAMPTZOID, false, NULL},
	[C_SYSTEM_IDENTIFIER] = {INT8OID, false, NULL},
};

typedef struct CompanionShape
{
	const char *suffix;			/* of the name */
	const char *comment;		/* with the table's name for %s */
	int			ncolumns;
	int			sku;
	int			warehouse;
	const char *const *names;
	const ColumnShape *columns;
} CompanionShape;

static const CompanionShape shapes[NCOMPANIONS] = {
	[RESERVATION] = {"reservation",
	"Reservations of inventory %s: who holds or held how many units",
	R_NCOLUMNS, R_SKU, R_WAREHOUSE,
	inventory_reservation_columns, reservation_shape},
	[MOVEMENT] = {"movement",
	"Ledger of inventory %s: every change of stock that is not a reservation",
	M_NCOLUMNS, M_SKU, M_WAREHOUSE,
	inventory_movement_columns, movement_shape},
	[CELL] = {"cell",
	"Cells of inventory %s: mode and limits of each SKU in each warehouse",
	C_NCOLUMNS, C_SKU, C_WAREHOUSE,
	inventory_cell_columns, cell_shape},
};

#define MAX_INDEX_COLUMNS 3
#define NONE (-1)

/* Indexes; warehouse is left out where there is none. */
static const struct
{
	Companion	companion;
	bool		primary;
	bool		unique;
	int			columns[MAX_INDEX_COLUMNS];
	const char *predicate;
}			indexes[] = {
	{RESERVATION, true, true, {R_KEY, R_LINE, NONE}, NULL},
	/* overdue holds of a cell */
	{RESERVATION, false, false, {R_SKU, R_WAREHOUSE, R_EXPIRES_AT},
	"finished_at IS NULL AND expires_at IS NOT NULL"},
	/* the tail of a cell */
	{RESERVATION, false, false, {R_GENERATION, R_XID, NONE},
	"generation IS NOT NULL"},
	{RESERVATION, false, false, {R_OWNER, NONE, NONE},
	"finished_at IS NULL AND owner IS NOT NULL"},
	{MOVEMENT, true, true, {M_ID, NONE, NONE}, NULL},
	{MOVEMENT, false, false, {M_GENERATION, M_XID, NONE},
	"generation IS NOT NULL"},
	{CELL, true, true, {C_SKU, C_WAREHOUSE, NONE}, NULL},
	{CELL, false, true, {C_GENERATION, NONE, NONE}, NULL},
};

/* The name of a companion, schema-qualified and quoted. */
char *
inventory_companion_name(const InventoryOptions *options, Companion companion)
{
	switch (companion)
	{
		case RESERVATION:
			return options->reservation;
		case MOVEMENT:
			return options->movement;
		case CELL:
			return options->cell;
	}
	return NULL;				/* keep the compiler quiet */
}

/* How companions of a table are called when they are made. */
void
inventory_name_companions(Oid relid, InventoryOptions *options)
{
	char	   *nspname = get_namespace_name(get_rel_namespace(relid));
	char	   *relname = get_rel_name(relid);

	options->reservation =
		plinth_quote_name(nspname, makeObjectName(relname, NULL, "reservation"));
	options->movement =
		plinth_quote_name(nspname, makeObjectName(relname, NULL, "movement"));
	options->cell =
		plinth_quote_name(nspname, makeObjectName(relname, NULL, "cell"));
	options->view =
		plinth_quote_name(nspname, makeObjectName(relname, NULL, "available"));
}

/* Is this column left out because there are no warehouses? */
static bool
left_out(const CompanionShape *shape, const InventoryOptions *options,
		 int column)
{
	return options->warehouse == NULL && column == shape->warehouse;
}

/* The number that a column has in the companion of this inventory. */
static AttrNumber
column_number(const CompanionShape *shape, const InventoryOptions *options,
			  int column)
{
	return column + 1 -
		(options->warehouse == NULL && column > shape->warehouse ? 1 : 0);
}

/* Type, typmod and collation of a column. */
static void
column_type(Oid relid, const InventoryOptions *options,
			const CompanionShape *shape, int column,
			Oid *type, int32 *typmod, Oid *collation)
{
	if (OidIsValid(shape->columns[column].type))
	{
		*type = shape->columns[column].type;
		*typmod = -1;
		*collation = get_typcollation(*type);
		return;
	}
	get_atttypetypmodcoll(relid,
						  get_attnum(relid, column == shape->sku ?
									 options->sku : options->warehouse),
						  type, typmod, collation);
}

/* A table, a view or what else belongs to whom the table belongs to. */
void
inventory_give_to_owner(Oid relid, const char *what, const char *name)
{
	plinth_sql("ALTER %s %s OWNER TO %s", what, name,
			   quote_identifier(GetUserNameFromId(plinth_relation_owner(relid), false)));
}

/*
 * Everybody who may SELECT from the table may SELECT from its companions.
 * Policies of the table would not hold there, so with row-level security it is
 * for the owner to say who may look.
 */
void
inventory_copy_select(Oid relid, const char *name)
{
	Relation	rel = relation_open(relid, NoLock);
	bool		secured = rel->rd_rel->relrowsecurity;

	relation_close(rel, NoLock);
	if (!secured)
		plinth_copy_select(relid, name);
}

/* Make one companion, without indexes. */
static void
make_table(Oid relid, const InventoryOptions *options, Companion companion)
{
	const CompanionShape *shape = &shapes[companion];
	const char *name = inventory_companion_name(options, companion);
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;

		if (left_out(shape, options, i))
			continue;
		column_type(relid, options, shape, i, &type, &typmod, &collation);
		appendStringInfo(&buf, "%s%s %s%s%s%s", i > 0 ? ", " : "",
						 quote_identifier(shape->names[i]),
						 plinth_column_type(type, typmod, collation),
						 shape->columns[i].not_null ? " NOT NULL" : "",
						 shape->columns[i].more ? " " : "",
						 shape->columns[i].more ? shape->columns[i].more : "");
	}
	plinth_sql("CREATE %sTABLE %s (%s)",
			   get_rel_persistence(relid) == RELPERSISTENCE_UNLOGGED ? "UNLOGGED " : "",
			   name, buf.data);
	inventory_give_to_owner(relid, "TABLE", name);
	plinth_sql("COMMENT ON TABLE %s IS %s", name,
			   quote_literal_cstr(psprintf(shape->comment,
										   plinth_relation_name(relid))));
	inventory_copy_select(relid, name);
}

/* Is there an index like this one? */
static bool
has_index(Oid companionid, const InventoryOptions *options, int which)
{
	const CompanionShape *shape = &shapes[indexes[which].companion];
	StringInfoData key;

	initStringInfo(&key);
	for (int i = 0; i < MAX_INDEX_COLUMNS && indexes[which].columns[i] != NONE; i++)
	{
		if (!left_out(shape, options, indexes[which].columns[i]))
			appendStringInfo(&key, "%s%d", key.len > 0 ? " " : "",
							 column_number(shape, options,
										   indexes[which].columns[i]));
	}
	return plinth_sql_strings("SELECT 1 FROM pg_index WHERE indrelid = %u AND indkey::text = %s AND indisvalid"
							  " AND indisprimary = %s AND indisunique = %s AND indpred IS %s NULL",
							  companionid, quote_literal_cstr(key.data),
							  indexes[which].primary ? "true" : "false",
							  indexes[which].unique ? "true" : "false",
							  indexes[which].predicate ? "NOT" : "") != NIL;
}

/* Make what indexes a companion lacks. */
void
inventory_make_indexes(const InventoryOptions *options, Companion companion)
{
	const CompanionShape *shape = &shapes[companion];
	const char *name = inventory_companion_name(options, companion);
	Oid			companionid = plinth_qualified_oid(name);

	for (int which = 0; which < lengthof(indexes); which++)
	{
		StringInfoData columns;

		if (indexes[which].companion != companion ||
			has_index(companionid, options, which))
			continue;
		initStringInfo(&columns);
		for (int i = 0; i < MAX_INDEX_COLUMNS && indexes[which].columns[i] != NONE; i++)
		{
			if (!left_out(shape, options, indexes[which].columns[i]))
				appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "",
								 quote_identifier(shape->names[indexes[which].columns[i]]));
		}
		if (indexes[which].primary)
			plinth_sql("ALTER TABLE %s ADD PRIMARY KEY (%s)", name, columns.data);
		else
			plinth_sql("CREATE %sINDEX ON %s (%s)%s%s",
					   indexes[which].unique ? "UNIQUE " : "", name, columns.data,
					   indexes[which].predicate ? " WHERE " : "",
					   indexes[which].predicate ? indexes[which].predicate : "");
	}
}

/* In what a column differs from what it should be; NULL if in nothing. */
static char *
column_misfit(Form_pg_attribute att, const ColumnShape *shape,
			  const char *name, Oid type, int32 typmod, Oid collation)
{
	if (att->atttypid != type || att->atttypmod != typmod)
		return psprintf("Column \"%s\" has type %s instead of %s.", name,
						format_type_with_typemod(att->atttypid, att->atttypmod),
						format_type_with_typemod(type, typmod));
	if (att->attcollation != collation)
		return psprintf("Column \"%s\" has another collation.", name);
	if (shape->not_null && !att->attnotnull)
		return psprintf("Column \"%s\" may be null.", name);
	return NULL;
}

/*
 * In what the columns of a table differ from those that the companion of this
 * inventory has: a sentence, or NULL if in nothing.  There may be more columns
 * behind them.  Names count only if the caller goes by names.  Takes no locks,
 * since DDL on one companion must not wait for DDL on another.
 */
char *
inventory_column_misfit(Oid relid, const InventoryOptions *options,
						Companion companion, Oid companionid, bool names)
{
	const CompanionShape *shape = &shapes[companion];

	for (int i = 0; i < shape->ncolumns; i++)
	{
		AttrNumber	attnum = column_number(shape, options, i);
		HeapTuple	tup;
		Form_pg_attribute att;
		Oid			type;
		int32		typmod;
		Oid			collation;
		char	   *why;

		if (left_out(shape, options, i))
			continue;
		tup = SearchSysCacheAttNum(companionid, attnum);
		if (!HeapTupleIsValid(tup))
			return psprintf("Column %d is not \"%s\".", attnum, shape->names[i]);
		att = (Form_pg_attribute) GETSTRUCT(tup);
		column_type(relid, options, shape, i, &type, &typmod, &collation);
		if (names && strcmp(NameStr(att->attname), shape->names[i]) != 0)
			why = psprintf("Column %d is not \"%s\".", attnum, shape->names[i]);
		else
			why = column_misfit(att, &shape->columns[i], shape->names[i],
								type, typmod, collation);
		ReleaseSysCache(tup);
		if (why)
			return why;
	}
	return NULL;
}

/* Why a table that has a companion's name cannot be the companion, or NULL. */
static char *
misfit(Oid relid, const InventoryOptions *options, Companion companion,
	   Oid companionid)
{
	PlinthTrigger *guard;

	if (get_rel_relkind(companionid) != RELKIND_RELATION)
		return "It is not an ordinary table.";
	if (plinth_relation_owner(companionid) != plinth_relation_owner(relid))
		return "It belongs to another owner.";
	if (get_rel_persistence(companionid) != get_rel_persistence(relid))
		return "One is unlogged and the other is not.";
	if (get_rel_relispartition(companionid) || has_superclass(companionid) ||
		list_length(find_all_inheritors(companionid, NoLock, NULL)) > 1)
		return "It inherits or is inherited from.";
	if (inventory_trigger(companionid, "stock", NULL))
		return "It is an inventory itself.";
	guard = inventory_trigger(companionid, "guard", NULL);
	if (guard && (guard->nargs < 1 ||
				  plinth_qualified_oid(guard->args[0]) != relid))
		return "It belongs to another inventory.";
	return inventory_column_misfit(relid, options, companion, companionid, true);
}

/* Take a table that is there as a companion; 42P07 if it does not fit. */
static void
reuse(Oid relid, const InventoryOptions *options, Companion companion,
	  Oid companionid)
{
	char	   *why;

	plinth_lock_owned(companionid, ShareRowExclusiveLock);
	why = misfit(relid, options, companion, companionid);
	if (why)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists and cannot be a table of inventory \"%s\"",
						get_rel_name(companionid), get_rel_name(relid)),
				 errdetail_internal("%s", why),
				 errhint("Alter it to fit, rename it, or drop it.")));
	inventory_drop_guards(companionid);
}

/*
 * Make the tables and the view beside the table, and write down what the table
 * has now.  Tables that disable() has left are taken up again.
 */
void
inventory_make_companions(Oid relid, const InventoryOptions *options)
{
	if (OidIsValid(plinth_qualified_oid(options->view)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists",
						get_rel_name(plinth_qualified_oid(options->view))),
				 errhint("The view of what is available in inventory \"%s\" needs that name.",
						 get_rel_name(relid))));
	for (Companion i = 0; i < NCOMPANIONS; i++)
	{
		Oid			companionid =
			plinth_qualified_oid(inventory_companion_name(options, i));

		if (OidIsValid(companionid))
			reuse(relid, options, i, companionid);
		else
			make_table(relid, options, i);
		inventory_make_indexes(options, i);
	}
	inventory_open(relid, options);
	inventory_make_view(relid, options);
	plinth_sql("ANALYZE %s", options->cell);
	plinth_sql("ANALYZE %s", options->movement);
}
