/*
 * src/closure/target.c
 *		Which table and which columns a call is about.
 *
 * Key and parent come from the primary key and the foreign key of the table to
 * itself unless they are named.  What cannot be a hierarchy is refused here.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/transam.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/target.h"

/* The arguments of enable() and estimate() that say which columns. */
enum
{
	ARG_TARGET,
	ARG_KEY,
	ARG_PARENT
};

/* Say no to a relation that cannot be a hierarchy. */
static void
check_kind(Oid relid, const char *name)
{
	char		relkind = get_rel_relkind(relid);
	const char *why = NULL;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		why = "It is not a table.";
	else if (!plinth_table_persists(relid))
		why = "A temporary table goes with its session.";
	else if (relid < FirstNormalObjectId)
		why = "It belongs to the system.";
	else if (closure_trigger(relid, "guard", NULL))
		why = "It is a closure itself.";
	else if (get_rel_relispartition(relid))
		why = "It is a partition; its root can.";
	else if (relkind == RELKIND_RELATION &&
			 (has_superclass(relid) ||
			  list_length(find_all_inheritors(relid, NoLock, NULL)) > 1))
		why = "It inherits or is inherited from, and keys are not unique over such tables.";
	if (why)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" cannot be a hierarchy", name),
				 errdetail_internal("%s", why)));
}

/* The columns of a self-referencing key that reference these columns. */
static List *
parent_columns(Oid relid, List *key, const char *constraint)
{
	List	   *parent = NIL;
	ListCell   *lc;

	foreach(lc, key)
	{
		List	   *found;

		found = plinth_sql_strings("SELECT a.attname FROM pg_constraint c, unnest(c.conkey, c.confkey) AS k(con, conf), pg_attribute a"
								   " WHERE c.oid = %s AND a.attrelid = c.conrelid AND a.attnum = k.con AND k.conf = %d",
								   constraint, get_attnum(relid, lfirst(lc)));
		if (found == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the foreign key of table \"%s\" to itself does not reference column \"%s\"",
							get_rel_name(relid), (char *) lfirst(lc)),
					 errhint("Name the columns with the options \"key\" and \"parent\".")));
		parent = lappend(parent, linitial(found));
	}
	return parent;
}

/* Fill in key and parent from the catalogs where they are not given. */
static void
find_columns(Oid relid, ClosureOptions *options)
{
	if (options->key == NIL &&
		plinth_sql_strings("SELECT 1 FROM pg_index WHERE indrelid = %u AND indisprimary AND indisexclusion", relid) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the primary key of table \"%s\" is WITHOUT OVERLAPS",
						get_rel_name(relid)),
				 errhint("A hierarchy needs one row for each key.")));
	if (options->key == NIL)
		options->key = plinth_sql_strings("SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(num, ord), pg_attribute a"
										  " WHERE i.indrelid = %u AND i.indisprimary AND k.ord <= i.indnkeyatts"
										  " AND a.attrelid = i.indrelid AND a.attnum = k.num ORDER BY k.ord",
										  relid);
	if (options->key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" has no primary key", get_rel_name(relid)),
				 errhint("Add one, or name the columns of a unique key with the option \"key\".")));
	if (options->parent == NIL)
	{
		List	   *keys = plinth_sql_strings("SELECT oid FROM pg_constraint WHERE contype = 'f' AND conrelid = %u"
											  " AND confrelid = %u AND conparentid = 0", relid, relid);

		if (list_length(keys) != 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 keys == NIL ?
					 errmsg("table \"%s\" has no foreign key to itself",
							get_rel_name(relid)) :
					 errmsg("table \"%s\" has several foreign keys to itself",
							get_rel_name(relid)),
					 errhint("Name the columns that hold the parent's key with the option \"parent\".")));

		/* in the order of the key's columns */
		options->parent = parent_columns(relid, options->key,
										 linitial(keys));
	}
	if (list_length(options->key) != list_length(options->parent))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"key\" and \"parent\" must name the same number of columns")));
}

/* Do the columns exist and fit together? */
static void
check_columns(Oid relid, const ClosureOptions *options)
{
	ListCell   *lc;

	for (int i = 0; i < list_length(options->key); i++)
	{
		const char *names[2];
		Oid			types[2];

		names[0] = list_nth(options->key, i);
		names[1] = list_nth(options->parent, i);
		for (int j = 0; j < 2; j++)
		{
			AttrNumber	attnum = get_attnum(relid, names[j]);

			if (attnum <= 0)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("column \"%s\" of relation \"%s\" does not exist",
								names[j], get_rel_name(relid))));
			if (get_attgenerated(relid, attnum) == PLINTH_GENERATED_VIRTUAL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("column \"%s\" of relation \"%s\" is a virtual generated column",
								names[j], get_rel_name(relid)),
						 errhint("Key and parent must be stored.")));
			types[j] = get_atttype(relid, attnum);
		}
		if (types[0] != types[1])
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("columns \"%s\" and \"%s\" of table \"%s\" have different types",
							names[0], names[1], get_rel_name(relid))));
	}
	foreach(lc, options->parent)
	{
		if (plinth_name_in(options->key, lfirst(lc)) &&
			list_length(options->key) == 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" cannot be both key and parent",
							(char *) lfirst(lc))));
	}
	if (plinth_sql_strings("SELECT 1 FROM pg_index WHERE indrelid = %u AND indisunique AND NOT indisexclusion AND indpred IS NULL AND indexprs IS NULL"
						   " AND indisvalid AND indnkeyatts = %d AND NOT EXISTS (SELECT FROM unnest((indkey::int2[])[0:indnkeyatts-1]) AS k(n)"
						   "  WHERE k.n NOT IN (SELECT attnum FROM pg_attribute WHERE attrelid = %u AND attname IN (%s)))",
						   relid, list_length(options->key), relid,
						   plinth_literal_list(options->key)) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the key columns of table \"%s\" are not unique",
						get_rel_name(relid)),
				 errhint("They need a primary key or a unique index without conditions.")));
}

/*
 * Options with the columns that a call names, or else those that the table is
 * a hierarchy of already, or those that the catalogs suggest.  The other
 * options have their defaults.
 */
ClosureOptions *
closure_target_options(FunctionCallInfo fcinfo)
{
	Oid			relid = PG_GETARG_OID(ARG_TARGET);
	ClosureOptions *options = palloc0(sizeof(ClosureOptions));
	ClosureOptions *present = closure_table_options(relid);

	options->max_depth = 1000;
	if (!PG_ARGISNULL(ARG_KEY))
		options->key = plinth_names_of(PG_GETARG_ARRAYTYPE_P(ARG_KEY), "key");
	if (!PG_ARGISNULL(ARG_PARENT))
		options->parent = plinth_names_of(PG_GETARG_ARRAYTYPE_P(ARG_PARENT), "parent");
	if (options->key == NIL && options->parent == NIL && present)
		return present;
	find_columns(relid, options);
	check_columns(relid, options);
	return options;
}

/* The table that a call is about: it exists and may be a hierarchy. */
Oid
closure_target(FunctionCallInfo fcinfo)
{
	Oid			relid = plinth_target(fcinfo, ARG_TARGET);

	check_kind(relid, plinth_existing_name(relid));
	return relid;
}
