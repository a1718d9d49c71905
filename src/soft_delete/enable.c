/*
 * src/soft_delete/enable.c
 *		enable() and disable().
 *
 * Both run as their caller, who must own the table.
 *
 * Locks: AccessExclusiveLock on the table and all below it, because columns
 * and policies come and go.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/heapam.h"
#include "access/relation.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_soft_delete_enable);
PLINTH_FUNCTION(plinth_soft_delete_disable);

/* The arguments of enable(). */
enum
{
	ARG_TARGET,
	ARG_VISIBILITY,
	ARG_VIEWERS,
	ARG_DELETED_AT,
	ARG_BARRIER,
	ARG_VIEWS,
	ARG_DELETE_TRIGGERS,
	ARG_FORCE
};

/* An option as text; 22004 if it is null. */
static char *
word_argument(FunctionCallInfo fcinfo, int arg, const char *option)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("option \"%s\" must not be null", option)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* Options as enable() was told. */
static SoftOptions *
told_options(FunctionCallInfo fcinfo)
{
	SoftOptions *options = palloc0(sizeof(SoftOptions));

	options->visibility = soft_visibility_parse(word_argument(fcinfo, ARG_VISIBILITY,
															  "visibility"));
	if (!PG_ARGISNULL(ARG_VIEWERS))
		options->viewers = GetUserNameFromId(PG_GETARG_OID(ARG_VIEWERS), false);
	if (PG_ARGISNULL(ARG_DELETED_AT))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("option \"%s\" must not be null", "deleted_at")));
	options->deleted_at = pstrdup(NameStr(*PG_GETARG_NAME(ARG_DELETED_AT)));
	if (options->deleted_at[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("option \"%s\" must not be empty", "deleted_at")));
	options->deletion_id = SOFT_DELETION_COLUMN;
	options->barrier = !PG_ARGISNULL(ARG_BARRIER) && PG_GETARG_BOOL(ARG_BARRIER);
	options->ignore_triggers =
		plinth_option_choice("delete_triggers",
							 word_argument(fcinfo, ARG_DELETE_TRIGGERS, "delete_triggers"),
							 "refuse", "ignore") == 1;
	if (PG_ARGISNULL(ARG_VIEWS) ? options->visibility == VISIBILITY_NONE :
		PG_GETARG_BOOL(ARG_VIEWS))
		soft_name_views(PG_GETARG_OID(ARG_TARGET), options);
	return options;
}

/* What enable() is told, as trigger arguments. */
static char *
comparable(const SoftOptions *options)
{
	SoftOptions told = *options;

	told.opened = false;
	told.deletion_id = SOFT_DELETION_COLUMN;
	told.active = NULL;
	told.deleted = NULL;
	return plinth_literal_list(lappend(soft_options_args(&told),
									   psprintf("views=%s", options->active ? "true" : "false")));
}

/* 42710 unless the table is enabled with the options that are asked for. */
static void
check_present(Oid relid, const SoftOptions *present, const SoftOptions *options)
{
	char	   *was = comparable(present);
	char	   *wanted = comparable(options);

	if (strcmp(was, wanted) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is already enabled for soft delete with other options",
						get_rel_name(relid)),
				 errdetail("Present: %s. Requested: %s.", was, wanted),
				 errhint("Run plinth_soft_delete.disable() first.")));
}

/* Lock the table and all below it, and say no to what cannot be there. */
static void
lock_all(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessExclusiveLock, NULL))
	{
		Relation	rel = relation_open(lfirst_oid(lc), NoLock);
		char		relkind = rel->rd_rel->relkind;

		if (relkind == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" has the foreign table \"%s\" below it",
							get_rel_name(relid), RelationGetRelationName(rel)),
					 errdetail("Rows of foreign tables cannot be kept.")));
		if (relkind == RELKIND_RELATION && rel->rd_tableam != GetHeapamTableAmRoutine())
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" does not use the access method \"heap\"",
							RelationGetRelationName(rel)),
					 errdetail("What DELETE returns is read from versions of rows as \"heap\" keeps them.")));
		relation_close(rel, NoLock);
	}
}

/*
 * enable(target, visibility, viewers, deleted_at, barrier, views,
 * delete_triggers, force).
 */
Datum
plinth_soft_delete_enable(PG_FUNCTION_ARGS)
{
	Oid			relid;
	SoftOptions *options;
	SoftOptions *present;

	PreventCommandIfReadOnly("plinth_soft_delete.enable()");
	relid = plinth_target(fcinfo, ARG_TARGET);
	soft_check_kind(relid);
	plinth_lock_owned(relid, AccessExclusiveLock);
	soft_check_kind(relid);		/* it may have become another */
	lock_all(relid);

	options = told_options(fcinfo);
	present = soft_table_options(relid);
	if (present)
	{
		check_present(relid, present, options);
		(void) soft_preload_add();
		PG_RETURN_VOID();
	}
	soft_check_keys(relid);
	if (!options->ignore_triggers)
		soft_check_triggers(relid);
	soft_check_columns(relid, options);
	if (options->visibility == VISIBILITY_RLS)
	{
		soft_check_policies(relid);
		options->opened = !soft_is_secured(relid);
	}

	soft_own_ddl++;
	PG_TRY();
	{
		soft_make_columns(relid, options);
		soft_adopt_rows(relid, options);
		if (options->active)
			soft_make_views(relid, options);
		soft_make_triggers(relid, options);
		if (options->visibility == VISIBILITY_RLS)
			soft_make_policies(relid, options);
		if (!PG_ARGISNULL(ARG_FORCE) && PG_GETARG_BOOL(ARG_FORCE))
			plinth_sql("ALTER TABLE %s FORCE ROW LEVEL SECURITY", plinth_relation_name(relid));
	}
	PG_FINALLY();
	{
		soft_own_ddl--;
	}
	PG_END_TRY();
	(void) soft_preload_add();
	PG_RETURN_VOID();
}

/* Are there dead rows? */
static bool
has_dead(Oid relid, const SoftOptions *options)
{
	return soft_own_strings(relid, psprintf("SELECT 1 FROM %s WHERE %s IS NOT NULL LIMIT 1",
											plinth_relation_name(relid),
											quote_identifier(options->deleted_at))) != NIL;
}

/* Remove dead rows for good. */
static void
purge_dead(Oid relid, const SoftOptions *options)
{
	(void) soft_own_run(relid, SOFT_OWN_REMOVE,
						psprintf("DELETE FROM %s WHERE %s IS NOT NULL",
								 plinth_relation_name(relid),
								 quote_identifier(options->deleted_at)),
						0, NULL, NULL);
}

/*
 * disable(target, dead): "refuse" if there are dead rows, "keep" or "purge"
 * them.
 */
Datum
plinth_soft_delete_disable(PG_FUNCTION_ARGS)
{
	Oid			relid;
	SoftOptions *options;
	char	   *dead = word_argument(fcinfo, 1, "dead");
	bool		keep = strcmp(dead, "keep") == 0;
	bool		purge = strcmp(dead, "purge") == 0;

	PreventCommandIfReadOnly("plinth_soft_delete.disable()");
	if (!keep && !purge && strcmp(dead, "refuse") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized value \"%s\" for option \"%s\"", dead, "dead"),
				 errhint("Valid values are \"refuse\", \"keep\" and \"purge\".")));
	relid = plinth_target(fcinfo, 0);
	soft_lock_views(relid);
	plinth_lock_owned(relid, AccessExclusiveLock);
	lock_all(relid);
	options = soft_present_options(relid);
	soft_require_root(relid);
	soft_own_ddl++;
	PG_TRY();
	{
		if (purge)
			purge_dead(relid, options);
		else if (!keep && has_dead(relid, options))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" has deleted rows, which would be seen again",
							get_rel_name(relid)),
					 errhint("Use dead => 'keep' to have them seen, or dead => 'purge' to remove them for good.")));
		soft_drop_views(relid, options);
		soft_drop_policies(relid);
		soft_drop_triggers(relid);
	}
	PG_FINALLY();
	{
		soft_own_ddl--;
	}
	PG_END_TRY();
	if (soft_enabled_tables() == NIL)
		soft_preload_remove();
	PG_RETURN_VOID();
}
