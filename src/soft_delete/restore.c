/*
 * src/soft_delete/restore.c
 *		restore(), restore_row(), preview_restore().
 *
 * A deletion's rows are those that still have its number: what died by another
 * one, or was restored since, is not among them.  They come back as the table's
 * owner, whom policies and missing rights do not stop halfway; whether the
 * caller may have them is asked before.  He must be allowed to DELETE from the
 * table or be one of its viewers, and to see the rows, where other policies than
 * ours decide who does.
 *
 * Locks: the table, RowExclusiveLock; the record's row; the rows of the table.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "kit/target.h"
#include "kit/type.h"

PLINTH_FUNCTION(plinth_soft_delete_restore);
PLINTH_FUNCTION(plinth_soft_delete_restore_row);
PLINTH_FUNCTION(plinth_soft_delete_preview_restore);

/* The deletion that an argument names; 22004 if it is null. */
static int64
named_deletion(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the deletion must not be null"),
				 errhint("plinth_soft_delete.last_deletion() is null where the session has deleted nothing.")));
	return PG_GETARG_INT64(argno);
}

/* A query by the caller, who is to see the dead that other policies let him see. */
static List *
ask_as_caller(Oid relid, const char *sql)
{
	List	   *volatile result = NIL;

	soft_next_plan = SOFT_OWN_SHOW;
	soft_next_table = relid;
	PG_TRY();
	{
		result = plinth_sql_strings("%s", sql);
	}
	PG_FINALLY();
	{
		soft_next_plan = SOFT_OWN_NOTHING;
	}
	PG_END_TRY();
	return result;
}

/* 42501 unless the caller may bring back rows of this table. */
static void
check_rights(Oid relid)
{
	SoftOptions *options = soft_present_options(relid);
	Oid			role = options->viewers ? get_role_oid(options->viewers, true) : InvalidOid;
	AclResult	result;

	if (OidIsValid(role) && has_privs_of_role(GetUserId(), role))
		return;
	result = pg_class_aclcheck(relid, GetUserId(), ACL_DELETE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, get_rel_name(relid));
}

/* 42501 unless the caller may see rows of this table. */
static void
check_reader(Oid relid)
{
	if (!soft_may_read(relid))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
}

/* Do policies that are not ours decide what rows the caller sees? */
static bool
has_other_policies(Oid relid)
{
	return check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED &&
		plinth_sql_strings("SELECT 1 FROM pg_policy WHERE polrelid = %u AND polname NOT IN ('" SOFT_POLICY "', '" SOFT_OPEN_POLICY "')",
						   relid) != NIL;
}

/* 42501 if policies keep some of these rows from the caller. */
static void
check_visible(const SoftDead *dead, const char *condition)
{
	char	   *sql;
	char	   *all;
	char	   *seen;

	if (!has_other_policies(dead->relid))
		return;
	sql = psprintf("SELECT pg_catalog.count(*) FROM %s WHERE %s", dead->name, condition);
	all = linitial(soft_own_strings(dead->relid, sql));
	seen = linitial(ask_as_caller(dead->relid, sql));
	if (strcmp(all, seen) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for deleted rows of table \"%s\"",
						get_rel_name(dead->relid)),
				 errdetail("Policies let role \"%s\" see %s of %s rows.",
						   GetUserNameFromId(GetUserId(), false), seen, all)));
}

/* The rows of a deletion. */
static char *
of_deletion(const SoftDead *dead, int64 deletion_id)
{
	return psprintf("%s OPERATOR(pg_catalog.=) " INT64_FORMAT, dead->deletion_id, deletion_id);
}

/*
 * See what has been committed while this waited for a lock, and what it has done
 * itself.  The snapshot is to be popped.
 */
static void
see_latest(void)
{
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
}

/* What the record says of a deletion. */
typedef struct Recorded
{
	char	   *target;			/* its table */
	int64		row_count;
	char	   *restored;		/* what became of it; NULL: nothing */
} Recorded;

static Recorded
read_record(int64 deletion_id)
{
	Recorded	result;
	PlinthIdentity saved;
	List	   *target;
	List	   *count;
	List	   *state;

	plinth_become(&saved, soft_owner());
	target = plinth_sql_strings("SELECT target FROM " SOFT_RECORD_TABLE " WHERE deletion_id = " INT64_FORMAT,
								deletion_id);
	count = plinth_sql_strings("SELECT row_count FROM " SOFT_RECORD_TABLE " WHERE deletion_id = " INT64_FORMAT,
							   deletion_id);
	state = plinth_sql_strings("SELECT format('Restored at %%s by \"%%s\".', restored_at, restored_by) FROM " SOFT_RECORD_TABLE
							   " WHERE deletion_id = " INT64_FORMAT " AND restored_at IS NOT NULL",
							   deletion_id);
	plinth_restore_identity(&saved);
	if (target == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("deletion " INT64_FORMAT " does not exist", deletion_id)));
	result.target = linitial(target);
	result.row_count = strtoll(linitial(count), NULL, 10);
	result.restored = state == NIL ? NULL : linitial(state);
	return result;
}

/* The table that a record names; 55000 if it is not there as it was. */
static Oid
named_table(int64 deletion_id, const char *target)
{
	Oid			relid = plinth_qualified_oid(target);

	if (!OidIsValid(relid) || soft_table_options(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s of deletion " INT64_FORMAT " is not enabled for soft delete",
						target, deletion_id)));
	return relid;
}

/*
 * The table of a deletion, locked, and then the record if it is to be changed;
 * both may be others when the locks are there.  42704 if there is no such
 * deletion, 55000 if it has been restored.  When this returns the snapshot is
 * that of see_latest().
 */
static Oid
target_of(int64 deletion_id, bool change, int64 *row_count)
{
	char	   *target;
	Recorded	now;
	Oid			relid;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		see_latest();
		target = read_record(deletion_id).target;
		PopActiveSnapshot();
		relid = named_table(deletion_id, target);
		check_rights(relid);
		LockRelationOid(relid, change ? RowExclusiveLock : AccessShareLock);
		if (change)
		{
			PlinthIdentity saved;

			plinth_become(&saved, soft_owner());
			plinth_sql("SELECT FROM " SOFT_RECORD_TABLE " WHERE deletion_id = " INT64_FORMAT " FOR UPDATE",
					   deletion_id);
			plinth_restore_identity(&saved);
		}
		see_latest();
		now = read_record(deletion_id);
		if (strcmp(now.target, target) == 0 &&
			named_table(deletion_id, target) == relid)
			break;
		PopActiveSnapshot();
		UnlockRelationOid(relid, change ? RowExclusiveLock : AccessShareLock);
	}
	check_rights(relid);
	if (now.restored)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("deletion " INT64_FORMAT " has been restored", deletion_id),
				 errdetail_internal("%s", now.restored)));
	*row_count = now.row_count;
	return relid;
}

/* Write into the record that a deletion has been undone. */
static void
record_restored(int64 deletion_id)
{
	PlinthIdentity saved;
	char	   *role = pstrdup(GetUserNameFromId(GetUserId(), false));

	plinth_become(&saved, soft_owner());
	plinth_sql("UPDATE " SOFT_RECORD_TABLE " SET restored_at = now(), restored_by = %s WHERE deletion_id = " INT64_FORMAT,
			   quote_literal_cstr(role), deletion_id);
	plinth_restore_identity(&saved);
}

/* Are there rows that meet a condition, after what has just been done? */
static bool
are_left(const SoftDead *dead, const char *condition)
{
	CommandCounterIncrement();
	UpdateActiveSnapshotCommandId();
	return soft_own_strings(dead->relid, psprintf("SELECT 1 FROM %s WHERE %s LIMIT 1",
												  dead->name, condition)) != NIL;
}

/*
 * Bring back the rows that meet a condition, all of them.  Returns their
 * number.
 */
static int64
revive(const SoftDead *dead, const char *condition)
{
	int64		n;

	n = soft_own_run(dead->relid, SOFT_OWN_UPDATE,
					 psprintf("UPDATE %s SET %s = NULL, %s = NULL WHERE %s", dead->name,
							  dead->deleted_at, dead->deletion_id, condition),
					 0, NULL, NULL);
	if (are_left(dead, condition))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a trigger kept deleted rows of table \"%s\" from being restored",
						get_rel_name(dead->relid))));
	return n;
}

/*
 * restore(deletion_id): bring back what a deletion took.  Returns the number of
 * rows.  55000 if there are more than it took: who has given others its number
 * nobody knows.
 */
Datum
plinth_soft_delete_restore(PG_FUNCTION_ARGS)
{
	int64		deletion_id = named_deletion(fcinfo, 0);
	int64		row_count;
	Oid			relid;
	SoftDead	dead;
	char	   *condition;
	int64		n;

	PreventCommandIfReadOnly("plinth_soft_delete.restore()");
	soft_deletion_flush();
	relid = target_of(deletion_id, true, &row_count);
	dead = soft_dead_of(relid);
	condition = of_deletion(&dead, deletion_id);
	check_visible(&dead, condition);
	soft_check_conflicts(relid, condition);
	n = revive(&dead, condition);
	if (n > row_count)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_plural("deletion " INT64_FORMAT " took " INT64_FORMAT " row of table \"%s\", but " INT64_FORMAT " bear its number",
							   "deletion " INT64_FORMAT " took " INT64_FORMAT " rows of table \"%s\", but " INT64_FORMAT " bear its number",
							   row_count, deletion_id, row_count, get_rel_name(relid), n),
				 errdetail("Rows have come that it did not take, by COPY or a replication worker."),
				 errhint("Use plinth_soft_delete.restore_row() on those that are to come back.")));
	record_restored(deletion_id);
	PopActiveSnapshot();
	PG_RETURN_INT64(n);
}

/*
 * A row of a deletion has come back by itself.  If it was the last one, the
 * deletion is undone.  Its table may be above or below the one that was named
 * now, or another one, if somebody has given the row a foreign number.
 */
static void
note_restored_row(int64 deletion_id)
{
	PlinthIdentity saved;
	List	   *targets;
	Oid			target;
	SoftDead	dead;

	plinth_become(&saved, soft_owner());
	targets = plinth_sql_strings("SELECT target FROM " SOFT_RECORD_TABLE " WHERE deletion_id = " INT64_FORMAT
								 " AND restored_at IS NULL", deletion_id);
	plinth_restore_identity(&saved);
	target = targets == NIL ? InvalidOid : plinth_qualified_oid(linitial(targets));
	if (!OidIsValid(target) || soft_table_options(target) == NULL)
		return;
	LockRelationOid(target, AccessShareLock);
	dead = soft_dead_of(target);
	if (!are_left(&dead, of_deletion(&dead, deletion_id)))
		record_restored(deletion_id);
}

/*
 * Rows that the caller may know of: where policies of others decide that he is
 * asked himself, so that he does not learn of rows that they keep from him.
 */
static List *
find_rows(Oid relid, const char *sql)
{
	return has_other_policies(relid) ? ask_as_caller(relid, sql) :
		soft_own_strings(relid, sql);
}

/* The names in a key, which are columns of the table: "t.a = k.a AND ...". */
static char *
key_condition(Oid relid, Jsonb *key)
{
	JsonbIterator *it;
	JsonbValue	v;
	JsonbIteratorToken token;
	StringInfoData buf;

	if (!JB_ROOT_IS_OBJECT(key) || JB_ROOT_COUNT(key) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a key must be a JSON object with at least one column")));
	initStringInfo(&buf);
	it = JsonbIteratorInit(&key->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *name;
		AttrNumber	attnum;
		const char *column;
		Oid			type;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(v.val.string.val, v.val.string.len);
		attnum = get_attnum(relid, name);
		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							name, get_rel_name(relid))));

		/* whether a row has a value is what SELECT is asked for */
		if (!soft_may_read(relid) &&
			pg_attribute_aclcheck(relid, attnum, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
		type = get_atttype(relid, attnum);
		column = pstrdup(quote_identifier(name));
		appendStringInfo(&buf, "%s%s %s %s", buf.len > 0 ? " AND " : "",
						 plinth_comparable(type, psprintf("t.%s", column)),
						 plinth_equality(type),
						 plinth_comparable(type, psprintf("k.%s", column)));
	}
	return buf.data;
}

/*
 * restore_row(target, key): bring back one row.  22023 if the key fits several,
 * 42704 if it fits no deleted one.
 */
Datum
plinth_soft_delete_restore_row(PG_FUNCTION_ARGS)
{
	Oid			relid = plinth_target(fcinfo, 0);
	Jsonb	   *key;
	SoftDead	dead;
	char	   *where;
	List	   *found;
	int64		deletion_id;
	char	   *condition;
	char	   *literal;

	PreventCommandIfReadOnly("plinth_soft_delete.restore_row()");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the key must not be null")));
	key = PG_GETARG_JSONB_P(1);
	dead = soft_dead_of(relid);
	check_rights(relid);
	soft_deletion_flush();
	see_latest();
	literal = quote_literal_cstr(JsonbToCString(NULL, &key->root, VARSIZE(key)));
	where = psprintf("%s IS NOT NULL AND EXISTS (SELECT FROM pg_catalog.jsonb_populate_record(NULL::%s, %s::pg_catalog.jsonb) AS k WHERE %s)",
					 dead.deleted_at, dead.name, literal, key_condition(relid, key));
	found = find_rows(relid, psprintf("SELECT t.ctid::text || ' ' || t.tableoid::text || ' ' || coalesce(t.%s, 0)::text FROM %s AS t WHERE %s LIMIT 2",
									  dead.deletion_id, dead.name, where));
	if (found == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no deleted row of table \"%s\" has the key %s",
						get_rel_name(relid), literal)));
	if (list_length(found) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("several deleted rows of table \"%s\" have the key %s",
						get_rel_name(relid), literal),
				 errhint("Name all columns of the primary key, or use plinth_soft_delete.restore().")));
	{
		char	   *row = linitial(found);
		char	   *part = strchr(row, ' ');
		char	   *id = strrchr(row, ' ');

		*part++ = '\0';
		*id++ = '\0';
		deletion_id = strtoll(id, NULL, 10);
		condition = psprintf("ctid OPERATOR(pg_catalog.=) '%s'::pg_catalog.tid AND tableoid OPERATOR(pg_catalog.=) %s::pg_catalog.oid AND %s IS NOT NULL",
							 row, part, dead.deleted_at);
	}
	check_visible(&dead, condition);
	soft_check_conflicts(relid, condition);
	if (revive(&dead, condition) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not restore the row due to concurrent update")));
	if (deletion_id > 0)
		note_restored_row(deletion_id);
	PopActiveSnapshot();
	PG_RETURN_VOID();
}

/*
 * preview_restore(deletion_id): the rows that would come back, and what keeps
 * them from it.
 */
Datum
plinth_soft_delete_preview_restore(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		deletion_id = named_deletion(fcinfo, 0);
	int64		row_count;
	Oid			relid;
	SoftDead	dead;
	char	   *condition;
	StringInfoData sql;
	ListCell   *lc;

	relid = target_of(deletion_id, false, &row_count);
	check_reader(relid);
	dead = soft_dead_of(relid);
	condition = of_deletion(&dead, deletion_id);
	check_visible(&dead, condition);
	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, soft_parts_of(relid))
	{
		SoftDead	   *part = lfirst(lc);
		ListCell   *lq;

		initStringInfo(&sql);
		appendStringInfo(&sql, "SELECT %u::pg_catalog.regclass, r.key, c.index FROM (SELECT %s AS key FROM ONLY %s AS s WHERE %s) AS r LEFT JOIN (SELECT NULL::pg_catalog.jsonb, NULL::text WHERE false",
						 part->relid, soft_key_expression(part->relid), part->name, condition);
		foreach(lq, soft_conflict_queries(part, condition))
			appendStringInfo(&sql, " UNION ALL %s", (char *) lfirst(lq));
		appendStringInfoString(&sql, ") AS c (key, index) ON c.key = r.key ORDER BY r.key, c.index");

		plinth_spi_begin();
		(void) soft_own_execute(relid, SOFT_OWN_READ, sql.data, 0, NULL, NULL);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			Datum		values[3];
			bool		nulls[3];

			for (int c = 0; c < 3; c++)
				values[c] = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
										  c + 1, &nulls[c]);
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
		plinth_spi_end();
	}
	PopActiveSnapshot();
	return (Datum) 0;
}
