/*
 * src/soft_delete/table.c
 *		What the planner must know of a table, remembered by the session.
 *
 * The hook asks for every table of every statement, so the answer "not
 * enabled" is remembered, too.  Entries hold no pointers; they are outdated by
 * relcache invalidation, which whatever changes triggers, columns or policies
 * sends, and read again when they are next asked for.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "kit/cache.h"

static HTAB *cache = NULL;
static MemoryContext cache_context = NULL;

/* Counts invalidations, so that one that comes while reading is noticed. */
static uint64 invalidations = 0;

static void
invalidate(Datum arg, Oid relid)
{
	invalidations++;
	if (cache == NULL)
		return;
	if (OidIsValid(relid))
	{
		SoftTable  *table = hash_search(cache, &relid, HASH_FIND, NULL);

		if (table)
			table->valid = false;
	}
	else
	{
		HASH_SEQ_STATUS status;
		SoftTable  *table;

		hash_seq_init(&status, cache);
		while ((table = hash_seq_search(&status)) != NULL)
			table->valid = false;
	}
}

/* Is there such a column, of one of these types? */
static bool
fits(Oid relid, AttrNumber attnum, Oid type, Oid other)
{
	return attnum > 0 && (get_atttype(relid, attnum) == type ||
						  get_atttype(relid, attnum) == other);
}

/* 42703 if the table has lost a column, 42804 if it has another type. */
static void
require_column(Oid relid, const char *name, Oid type, Oid other)
{
	AttrNumber	attnum = get_attnum(relid, name);

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of soft-deleting table \"%s\" does not exist",
						name, get_rel_name(relid)),
				 errhint("Run plinth_soft_delete.disable() on the table, or give the column back.")));
	if (!fits(relid, attnum, type, other))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of soft-deleting table \"%s\" has type %s, not %s",
						name, get_rel_name(relid),
						format_type_be(get_atttype(relid, attnum)), format_type_be(type)),
				 errhint("Only plinth_soft_delete.enable() makes its triggers as they should be.")));
}

/* The same of both columns that options name. */
void
soft_require_columns(Oid relid, const SoftOptions *options)
{
	require_column(relid, options->deleted_at, TIMESTAMPTZOID, TIMESTAMPOID);
	require_column(relid, options->deletion_id, INT8OID, INT8OID);
}

/*
 * Our row trigger among those that the relcache has, as soft_trigger() finds it;
 * NULL if there is none.
 */
static Trigger *
row_trigger(Relation rel)
{
	Oid			funcid;
	Trigger    *result = NULL;

	if (rel->trigdesc == NULL)
		return NULL;
	funcid = soft_function("mark");
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (!OidIsValid(funcid) || trigger->tgfoid != funcid ||
			trigger->tgtype != soft_trigger_shapes[0].type)
			continue;
		if (strcmp(trigger->tgname, SOFT_ROW_TRIGGER) == 0)
			return trigger;
		if (result == NULL)
			result = trigger;
	}
	return result;
}

static void
describe(SoftTable *table)
{
	Relation	rel = try_relation_open(table->relid, AccessShareLock);
	Trigger    *trigger = rel ? row_trigger(rel) : NULL;
	SoftOptions *options = NULL;

	/* anybody may make a trigger on a view of his */
	table->enabled = trigger != NULL &&
		(rel->rd_rel->relkind == RELKIND_RELATION ||
		 rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE);
	table->whole = false;
	table->root = InvalidOid;
	if (rel == NULL)
		return;
	namestrcpy(&table->viewers, "");
	if (table->enabled)
		options = soft_options_try(trigger->tgnargs, trigger->tgargs);
	if (options)
	{
		table->deleted_at = get_attnum(table->relid, options->deleted_at);
		table->deletion_id = get_attnum(table->relid, options->deletion_id);
		table->whole = fits(table->relid, table->deleted_at, TIMESTAMPTZOID, TIMESTAMPOID) &&
			fits(table->relid, table->deletion_id, INT8OID, INT8OID);
		if (table->whole)
			table->deleted_at_type = get_atttype(table->relid, table->deleted_at);
		table->visibility = options->visibility;
		table->barrier = options->barrier;
		if (options->viewers)
			namestrcpy(&table->viewers, options->viewers);
	}
	relation_close(rel, AccessShareLock);
}

/*
 * What is known of a table, which may not be whole; NULL if it is not enabled.
 */
static SoftTable *
known(Oid relid)
{
	SoftTable  *table;
	bool		found;

	if (cache == NULL)
		cache = plinth_cache_create("plinth_soft_delete cache",
									sizeof(SoftTable), &cache_context);
	table = hash_search(cache, &relid, HASH_ENTER, &found);
	if (!found)
		table->valid = false;
	if (!table->valid)
	{
		uint64		before = invalidations;

		describe(table);
		table->valid = before == invalidations;
	}
	return table->enabled ? table : NULL;
}

/*
 * What is known of a table; NULL if it is not enabled.  The result stays true
 * until the next invalidation, so whoever acts on it has a lock on the table.
 * An error if it lacks columns or bears a trigger that makes no sense, except
 * for who sees everything anyway: whoever has put it there is not to stop
 * pg_dump.
 */
SoftTable *
soft_table(Oid relid)
{
	SoftTable  *table = known(relid);

	if (table == NULL || table->whole)
		return table;
	if (row_security || !has_bypassrls_privilege(GetUserId()))
	{
		soft_require_columns(relid, soft_present_options(relid));
		elog(ERROR, "soft-deleting table %u is damaged", relid);
	}
	return NULL;
}

/* The same where many tables are looked at: NULL instead of an error. */
SoftTable *
soft_readable_table(Oid relid)
{
	SoftTable  *table = known(relid);

	return table && table->whole ? table : NULL;
}

/*
 * The same for callers that have no lock, or do not know whether there is such
 * a table: false then, too.  It may not be whole.  Nothing stays locked, since
 * anybody may call the functions that ask.
 */
bool
soft_table_copy(Oid relid, SoftTable *copy)
{
	SoftTable  *table = NULL;

	LockRelationOid(relid, AccessShareLock);
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) &&
		(get_rel_relkind(relid) == RELKIND_RELATION ||
		 get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE))
		table = known(relid);
	if (table)
		*copy = *table;
	UnlockRelationOid(relid, AccessShareLock);
	return table != NULL;
}

/* The table that was enabled, of which this is it or a part. */
Oid
soft_named_root(SoftTable *table)
{
	Oid			relid = table->relid;

	if (!OidIsValid(table->root))
	{
		Oid			root = soft_root(relid);

		/* looking may have read other tables, and moved nothing */
		table->root = root;
	}
	return table->root;
}

/*
 * The same of a relation below an enabled table that has no trigger of ours, as
 * a foreign table: its columns are those of the same names.
 */
SoftTable
soft_columns_below(Oid relid, Oid child)
{
	SoftTable  *parent = soft_table(relid);
	SoftTable	result = {0};

	if (parent == NULL)
		elog(ERROR, "table %u is not enabled", relid);
	result = *parent;
	result.relid = child;
	result.deleted_at = get_attnum(child, get_attname(relid, parent->deleted_at, false));
	result.deletion_id = get_attnum(child, get_attname(relid, parent->deletion_id, false));
	return result;
}

void
soft_table_init(void)
{
	CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
}
