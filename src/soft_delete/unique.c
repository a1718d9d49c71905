/*
 * src/soft_delete/unique.c
 *		make_unique_live(): unique among the living.
 *
 * A unique constraint cannot have a condition, so it gives way to a unique
 * index of the same name that has one.  What the index is made of is what the
 * server says of the old one, with the condition behind; it is weaker than the
 * old one, so no row can violate it.
 *
 * INSERT ... ON CONFLICT (columns) finds it, because the planner hook says that
 * the living are meant (visible.c).
 *
 * Locks: AccessExclusiveLock on the table and all below it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/genam.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_soft_delete_make_unique_live);

/* An index that is to be made anew. */
typedef struct Remake
{
	char	   *sql;
	char	   *tablespace;		/* "" for the database's */
	char	   *name;			/* qualified */
	List	   *more;			/* statements for what CREATE INDEX cannot say */
} Remake;

/* The index that is called so, of a table; 42704 or 42809 if there is none. */
static Oid
find_index(Oid relid, const char *name)
{
	Oid			indexid = get_relname_relid(name, get_rel_namespace(relid));
	HeapTuple	tup = OidIsValid(indexid) ?
		SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid)) : NULL;
	bool		found = false;

	if (HeapTupleIsValid(tup))
	{
		found = ((Form_pg_index) GETSTRUCT(tup))->indrelid == relid;
		ReleaseSysCache(tup);
	}
	if (found)
		return indexid;
	if (OidIsValid(get_relation_constraint_oid(relid, name, true)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("constraint \"%s\" of table \"%s\" is not unique", name,
						get_rel_name(relid))));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("table \"%s\" has no constraint or index \"%s\"",
					get_rel_name(relid), name)));
	return InvalidOid;			/* keep compiler quiet */
}

/* For errors about indexes that have to stay as they are. */
static void
refuse(int code, Oid indexid, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(code),
			 errmsg("index \"%s\" cannot be made unique among live rows only",
					get_rel_name(indexid)),
			 errdetail_internal("%s", why),
			 hint ? errhint("%s", hint) : 0));
}

/* Say no to an index for what it is. */
static void
check_index(Oid indexid)
{
	HeapTuple	tup = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));
	FormData_pg_index form;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for index %u", indexid);
	form = *(Form_pg_index) GETSTRUCT(tup);
	ReleaseSysCache(tup);
	if (form.indisprimary)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, indexid,
			   "A primary key identifies deleted rows, too.",
			   "Give new rows new keys, or restore the deleted row.");
	if (form.indisexclusion)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, indexid,
			   "It belongs to an exclusion constraint.",
			   "Make the constraint anew, with a WHERE clause.");
	if (!form.indisunique)
		refuse(ERRCODE_WRONG_OBJECT_TYPE, indexid, "It is not unique.", NULL);
	if (!form.indimmediate)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, indexid,
			   "It belongs to a deferrable constraint, and an index with a condition cannot be deferred.",
			   "Make the constraint anew, not deferrable.");
	if (form.indisreplident)
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, indexid,
			   "It is the replica identity of its table.",
			   "Choose another one with ALTER TABLE ... REPLICA IDENTITY first.");
	if (form.indisclustered)
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, indexid,
			   "Its table is clustered on it.",
			   "Run ALTER TABLE ... SET WITHOUT CLUSTER first.");
	if (!form.indisvalid)
		refuse(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, indexid, "It is not valid.",
			   "Run REINDEX, or drop it, first.");
	if (get_rel_relispartition(indexid))
		refuse(ERRCODE_WRONG_OBJECT_TYPE, indexid,
			   "It is a part of an index of the partitioned table.",
			   "Name the table and index above it.");
}

/* Say no to an index that a foreign key needs. */
static void
check_keys(Oid indexid, List *parts)
{
	List	   *keys = plinth_sql_strings("SELECT format('Foreign key \"%%s\" of table \"%%s\" needs it.', c.conname, c.conrelid::regclass)"
										  " FROM pg_constraint c WHERE c.contype = 'f' AND c.conindid = ANY ('{%s}') ORDER BY c.conparentid, 1 LIMIT 1",
										  soft_oid_list(parts));

	if (keys != NIL)
		refuse(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, indexid, linitial(keys),
			   "Only unique rows can be referred to, and what is referred to may be dead.");
}

/* Is it unique among the living already? */
static bool
is_live(Oid relid, Oid indexid)
{
	Relation	index = index_open(indexid, AccessShareLock);
	List	   *predicate = RelationGetIndexPredicate(index);
	bool		result;

	result = predicate != NIL &&
		predicate_implied_by(list_make1(soft_live_qual(1, soft_table(relid))),
							 predicate, false);
	index_close(index, NoLock);
	return result;
}

/* One value of a query about an index; NULL for null and none. */
static char *
value_of(const char *expression, Oid indexid)
{
	List	   *found = plinth_sql_strings("SELECT %s FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indexrelid = %u",
										   expression, indexid);

	return found ? linitial(found) : NULL;
}

/* How to make an index anew among the living. */
static Remake *
plan_index(Oid indexid, const char *deleted_at)
{
	Remake	   *remake = palloc(sizeof(Remake));
	char	   *predicate = value_of("pg_get_expr(i.indpred, i.indrelid)", indexid);
	char	   *def = value_of("pg_get_indexdef(i.indexrelid)", indexid);
	char	   *head = value_of("format('CREATE UNIQUE INDEX %I ON ', c.relname)", indexid);
	char	   *rest = def + strlen(head);
	StringInfoData sql;

	/* the condition is the end of the definition */
	if (predicate)
		def[strlen(def) - strlen(predicate) - strlen(" WHERE ")] = '\0';

	/* parts that are there already are taken */
	if (get_rel_relkind(indexid) == RELKIND_PARTITIONED_INDEX &&
		strncmp(def, head, strlen(head)) == 0 &&
		strncmp(rest, "ONLY ", strlen("ONLY ")) == 0)
		memmove(rest, rest + strlen("ONLY "), strlen(rest + strlen("ONLY ")) + 1);

	initStringInfo(&sql);
	appendStringInfo(&sql, "%s WHERE ", def);
	if (predicate)
		appendStringInfo(&sql, "(%s) AND ", predicate);
	appendStringInfo(&sql, "(%s IS NULL)", quote_identifier(deleted_at));
	remake->sql = sql.data;
	remake->name = plinth_relation_name(indexid);
	remake->tablespace = value_of("coalesce((SELECT spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace), '')",
								  indexid);
	remake->more = plinth_sql_strings("SELECT format('COMMENT ON INDEX %%s IS %%L', %s, d.description) FROM pg_description d"
									  " LEFT JOIN pg_constraint k ON d.classoid = 'pg_constraint'::regclass AND d.objoid = k.oid AND k.conindid = %u AND k.conrelid <> 0 AND k.contype = 'u'"
									  " WHERE (d.classoid = 'pg_class'::regclass AND d.objoid = %u OR k.oid IS NOT NULL) AND d.objsubid = 0"
									  " UNION ALL SELECT format('ALTER INDEX %%s ALTER COLUMN %%s SET STATISTICS %%s', %s, attnum, attstattarget)"
									  " FROM pg_attribute WHERE attrelid = %u AND attstattarget >= 0",
									  quote_literal_cstr(remake->name), indexid, indexid,
									  quote_literal_cstr(remake->name), indexid);
	return remake;
}

/* Make an index. */
static void
make_index(const Remake *remake)
{
	PlinthIdentity self;
	ListCell   *lc;

	/* as oneself, with a tablespace of our choice */
	plinth_become(&self, GetUserId());
	plinth_set_for_now("default_tablespace", remake->tablespace);
	plinth_sql("%s", remake->sql);
	foreach(lc, remake->more)
		plinth_sql("%s", (char *) lfirst(lc));
	plinth_restore_identity(&self);
}

/* Drop the old index, or the constraint that it belongs to. */
static void
drop_index(Oid relid, Oid indexid)
{
	Oid			constraintid = get_index_constraint(indexid);
	char	   *table = plinth_relation_name(relid);

	if (!OidIsValid(constraintid))
	{
		plinth_sql("DROP INDEX %s", plinth_relation_name(indexid));
		return;
	}
	ereport(NOTICE,
			(errmsg("constraint \"%s\" of table \"%s\" is a unique index from now on",
					get_constraint_name(constraintid), get_rel_name(relid)),
			 errdetail("INSERT ... ON CONFLICT (columns) finds it, ON CONFLICT ON CONSTRAINT does not.")));
	plinth_sql("ALTER TABLE %s DROP CONSTRAINT %s", table,
			   quote_identifier(get_constraint_name(constraintid)));
}

/* Put indexes that are planned in the place of one that is there. */
static void
replace_index(Oid relid, Oid indexid, List *remakes)
{
	ListCell   *lc;

	soft_own_ddl++;
	PG_TRY();
	{
		drop_index(relid, indexid);
		foreach(lc, remakes)
			make_index(lfirst(lc));
	}
	PG_FINALLY();
	{
		soft_own_ddl--;
	}
	PG_END_TRY();
}

/*
 * make_unique_live(target, constraint_or_index): the index, which is the same
 * one if it was unique among the living already.
 */
Datum
plinth_soft_delete_make_unique_live(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Oid			indexid;
	SoftOptions *options;
	List	   *parts;
	List	   *remakes = NIL;
	char	   *name;
	ListCell   *lc;

	PreventCommandIfReadOnly("plinth_soft_delete.make_unique_live()");
	relid = plinth_target(fcinfo, 0);
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("option \"%s\" must not be null", "constraint_or_index")));
	plinth_lock_owned(relid, AccessExclusiveLock);
	options = soft_present_options(relid);
	indexid = find_index(relid, NameStr(*PG_GETARG_NAME(1)));
	(void) find_all_inheritors(relid, AccessExclusiveLock, NULL);
	LockRelationOid(indexid, AccessExclusiveLock);
	parts = find_all_inheritors(indexid, AccessExclusiveLock, NULL);
	check_index(indexid);
	if (is_live(relid, indexid))
		PG_RETURN_OID(indexid);
	check_keys(indexid, parts);

	/* what is below comes first, so that what is above finds it */
	foreach(lc, parts)
		remakes = lcons(plan_index(lfirst_oid(lc), options->deleted_at), remakes);
	name = plinth_relation_name(indexid);
	replace_index(relid, indexid, remakes);
	PG_RETURN_OID(plinth_qualified_oid(name));
}
