/*
 * src/closure/enable.c
 *		enable(), disable() and rebuild().
 *
 * They run as their caller, who must own the table; nothing here needs more
 * rights than that, since the closure belongs to the table's owner.
 *
 * Locks: ShareRowExclusiveLock on the table and its partitions, which waits
 * for writers and keeps new ones waiting, then the closure.  check() takes
 * none: it reads both sides through one snapshot.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "kit/target.h"
#include "kit/type.h"

PLINTH_FUNCTION(plinth_closure_enable);
PLINTH_FUNCTION(plinth_closure_disable);
PLINTH_FUNCTION(plinth_closure_rebuild);

/* The arguments of enable(). */
enum
{
	ARG_MAX_DEPTH = 3,			/* after those of target.c */
	ARG_MAX_ROWS,
	ARG_ORPHANS
};

/* The table that a call is about: exists, is the caller's, and locked. */
static Oid
lock_target(FunctionCallInfo fcinfo, const char *command, LOCKMODE lockmode)
{
	Oid			relid;

	PreventCommandIfReadOnly(command);
	relid = closure_target(fcinfo);
	plinth_lock_owned(relid, lockmode);
	(void) find_all_inheritors(relid, lockmode, NULL);
	return relid;
}

/* The options of a table that must be a hierarchy. */
static ClosureOptions *
present_options(Oid relid)
{
	ClosureOptions *options = closure_table_options(relid);

	if (options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not a hierarchy", get_rel_name(relid)),
				 errhint("Make it one with plinth_closure.enable().")));
	return options;
}

static void
check_limits(const ClosureOptions *options)
{
	if (options->max_depth < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_depth must be at least 1")));
	if (options->max_rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must not be negative")));
}

/* "ancestor" and "descendant" columns with type and collation. */
static char *
column_definitions(Oid relid, const ClosureOptions *options)
{
	StringInfoData buf;
	static const char *const sides[] = {"ancestor", "descendant"};

	initStringInfo(&buf);
	for (int side = 0; side < 2; side++)
	{
		ListCell   *lc;

		foreach(lc, options->key)
		{
			Oid			type;
			int32		typmod;
			Oid			collation;
			const char *name = list_length(options->key) == 1 ? sides[side] :
				makeObjectName(sides[side], lfirst(lc), NULL);

			get_atttypetypmodcoll(relid, get_attnum(relid, lfirst(lc)),
								  &type, &typmod, &collation);
			appendStringInfo(&buf, "%s %s NOT NULL, ", quote_identifier(name),
							 plinth_column_type(type, typmod, collation));
		}
	}
	appendStringInfoString(&buf, "depth integer NOT NULL");
	return buf.data;
}

/* Names of one side's columns in the closure, with commas between. */
static char *
side_columns(const ClosureOptions *options, const char *side)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, options->key)
		appendStringInfo(&buf, "%s%s", lc == list_head(options->key) ? "" : ", ",
						 quote_identifier(list_length(options->key) == 1 ? side :
										  makeObjectName(side, lfirst(lc), NULL)));
	return buf.data;
}

/* Take the closure's indexes off, or put them on. */
static void
make_indexes(const ClosureOptions *options)
{
	plinth_sql("ALTER TABLE %s ADD PRIMARY KEY (%s, %s) INCLUDE (depth)",
			   options->closure, side_columns(options, "ancestor"),
			   side_columns(options, "descendant"));
	plinth_sql("CREATE INDEX ON %s (%s)", options->closure,
			   side_columns(options, "descendant"));
}

/* Make the closure table, without indexes and rows. */
static void
make_closure(Oid relid, const ClosureOptions *options)
{
	/* index-only scans live from vacuum, also where rows are only inserted */
	plinth_sql("CREATE %sTABLE %s (%s) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.05)",
			   get_rel_persistence(relid) == RELPERSISTENCE_UNLOGGED ? "UNLOGGED " : "",
			   options->closure, column_definitions(relid, options));
	plinth_sql("ALTER TABLE %s OWNER TO %s", options->closure,
			   quote_identifier(GetUserNameFromId(plinth_relation_owner(relid), false)));
	plinth_sql("COMMENT ON TABLE %s IS %s", options->closure,
			   quote_literal_cstr(psprintf("Transitive closure of %s: every node with all its ancestors and itself",
										   plinth_relation_name(relid))));
	plinth_copy_select(relid, options->closure);
	/* a restore of data inserts rows that are there already: look at each */
	plinth_sql("CREATE TRIGGER " CLOSURE_GUARD_TRIGGER
			   " BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION "
			   CLOSURE_SCHEMA ".guard()", options->closure);
	plinth_sql("CREATE TRIGGER " CLOSURE_GUARD_TRIGGER "_change"
			   " BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION "
			   CLOSURE_SCHEMA ".guard()", options->closure);
}

/*
 * Does an UPDATE of a column list miss changes of the key or the parent?  It
 * does where a BEFORE trigger may change them, or where they are generated.
 */
static bool
needs_all_updates(Oid relid, const ClosureOptions *options)
{
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (!trig->internal && TRIGGER_FOR_ROW(trig->type) &&
			TRIGGER_FOR_BEFORE(trig->type) && TRIGGER_FOR_UPDATE(trig->type))
			return true;
	}
	foreach(lc, list_concat_copy(options->key, options->parent))
	{
		if (get_attgenerated(relid, get_attnum(relid, lfirst(lc))) != '\0')
			return true;
	}
	return false;
}

/* The column list of our UPDATE triggers. */
static char *
update_list(Oid relid, const ClosureOptions *options)
{
	StringInfoData buf;
	ListCell   *lc;
	List	   *names = NIL;

	if (needs_all_updates(relid, options))
		return "";
	foreach(lc, list_concat_copy(options->key, options->parent))
	{
		if (!plinth_name_in(names, lfirst(lc)))
			names = lappend(names, lfirst(lc));
	}
	initStringInfo(&buf);
	appendStringInfoString(&buf, " OF ");
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s", lc == list_head(names) ? "" : ", ",
						 quote_identifier(lfirst(lc)));
	return buf.data;
}

/* The statement triggers of a table or a partition. */
void
closure_make_statement_triggers(Oid relid, Oid root,
								const ClosureOptions *options)
{
	const char *name = plinth_relation_name(relid);
	const char *args = plinth_literal_list(closure_options_args(options));

	plinth_sql("CREATE TRIGGER " CLOSURE_FLUSH_TRIGGER
			   " AFTER INSERT OR DELETE OR UPDATE%s ON %s FOR EACH STATEMENT EXECUTE FUNCTION "
			   CLOSURE_SCHEMA ".apply(%s)", update_list(root, options), name, args);
	plinth_sql("CREATE TRIGGER " CLOSURE_TRUNCATE_TRIGGER
			   " AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION "
			   CLOSURE_SCHEMA ".apply(%s)", name, args);
}

static void
make_triggers(Oid relid, const ClosureOptions *options)
{
	const char *name = plinth_relation_name(relid);
	const char *args = plinth_literal_list(closure_options_args(options));
	ListCell   *lc;

	plinth_sql("CREATE TRIGGER " CLOSURE_ROW_TRIGGER
			   " AFTER INSERT OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION "
			   CLOSURE_SCHEMA ".collect(%s)", name, args);
	plinth_sql("CREATE TRIGGER " CLOSURE_MOVE_TRIGGER
			   " AFTER UPDATE%s ON %s FOR EACH ROW EXECUTE FUNCTION "
			   CLOSURE_SCHEMA ".collect(%s)", update_list(relid, options), name, args);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		closure_make_statement_triggers(lfirst_oid(lc), relid, options);
}

/*
 * Make the triggers on UPDATE look at every one, because a BEFORE trigger has
 * come that may change parents.
 */
void
closure_watch_all_updates(Oid relid, const ClosureOptions *options)
{
	const char *args = plinth_literal_list(closure_options_args(options));
	ListCell   *lc;

	plinth_sql("DROP TRIGGER " CLOSURE_MOVE_TRIGGER " ON %s",
			   plinth_relation_name(relid));
	plinth_sql("CREATE TRIGGER " CLOSURE_MOVE_TRIGGER
			   " AFTER UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION "
			   CLOSURE_SCHEMA ".collect(%s)", plinth_relation_name(relid), args);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		plinth_sql("DROP TRIGGER " CLOSURE_FLUSH_TRIGGER " ON %s",
				   plinth_relation_name(lfirst_oid(lc)));
		plinth_sql("CREATE TRIGGER " CLOSURE_FLUSH_TRIGGER
				   " AFTER INSERT OR DELETE OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION "
				   CLOSURE_SCHEMA ".apply(%s)",
				   plinth_relation_name(lfirst_oid(lc)), args);
	}
}

/*
 * enable(target, key, parent, max_depth, max_rows, orphans): make a table a
 * hierarchy.
 */
Datum
plinth_closure_enable(PG_FUNCTION_ARGS)
{
	Oid			relid = lock_target(fcinfo, "plinth_closure.enable()",
									ShareRowExclusiveLock);
	ClosureOptions *options = closure_target_options(fcinfo);
	ClosureOptions *present = closure_table_options(relid);
	char	   *nspname = get_namespace_name(get_rel_namespace(relid));
	char	   *relname;
	AclResult	aclresult;

	options->max_depth = PG_ARGISNULL(ARG_MAX_DEPTH) ? 1000 :
		PG_GETARG_INT32(ARG_MAX_DEPTH);
	options->max_rows = PG_ARGISNULL(ARG_MAX_ROWS) ? 0 :
		PG_GETARG_INT64(ARG_MAX_ROWS);
	options->orphan_roots = !PG_ARGISNULL(ARG_ORPHANS) &&
		closure_orphans_parse(text_to_cstring(PG_GETARG_TEXT_PP(ARG_ORPHANS)));
	check_limits(options);
	relname = makeObjectName(get_rel_name(relid), NULL, "closure");
	options->closure = plinth_quote_name(nspname, relname);
	options->name = get_rel_name(relid);

	if (present)
	{
		char	   *was = plinth_literal_list(closure_options_args(present));
		char	   *wanted;

		options->closure = present->closure;
		options->name = present->name;
		wanted = plinth_literal_list(closure_options_args(options));
		if (strcmp(was, wanted) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("table \"%s\" is already a hierarchy with other options",
							get_rel_name(relid)),
					 errdetail("Present: %s. Requested: %s.", was, wanted),
					 errhint("Run plinth_closure.disable() first.")));
		closure_attach(relid, present);
		PG_RETURN_OID(plinth_qualified_oid(present->closure));
	}

	aclresult = plinth_schema_aclcheck(get_rel_namespace(relid), GetUserId(),
									   ACL_CREATE);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_SCHEMA, nspname);
	if (OidIsValid(get_relname_relid(relname, get_rel_namespace(relid))))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", relname),
				 errhint("The closure of table \"%s\" needs that name.",
						 get_rel_name(relid))));

	make_closure(relid, options);
	make_triggers(relid, options);
	closure_load(relid);
	make_indexes(options);
	closure_make_functions(relid);
	plinth_sql("ANALYZE %s", options->closure);
	PG_RETURN_OID(plinth_qualified_oid(options->closure));
}

/*
 * disable(target, drop_closure): the table is a hierarchy no more.
 */
Datum
plinth_closure_disable(PG_FUNCTION_ARGS)
{
	Oid			relid = lock_target(fcinfo, "plinth_closure.disable()",
									AccessExclusiveLock);
	bool		drop = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	ClosureOptions *options = present_options(relid);
	Oid			closureid = closure_own_closure(relid, options);
	ListCell   *lc;

	closure_drop_functions(relid, options);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		ListCell   *lt;

		foreach(lt, closure_triggers(lfirst_oid(lc)))
		{
			PlinthTrigger *trig = lfirst(lt);

			if (!OidIsValid(trig->parent))
				plinth_drop_trigger(trig);
		}
	}
	if (!OidIsValid(closureid))
		PG_RETURN_VOID();
	if (drop)
		plinth_sql("DROP TABLE %s", options->closure);
	else
	{
		foreach(lc, plinth_relation_triggers(closureid))
		{
			PlinthTrigger *trig = lfirst(lc);

			if (trig->funcid == closure_function("guard"))
				plinth_drop_trigger(trig);
		}
		closure_detach(relid, closureid);
	}
	PG_RETURN_VOID();
}

/*
 * rebuild(target): make the closure anew.
 */
Datum
plinth_closure_rebuild(PG_FUNCTION_ARGS)
{
	Oid			relid = lock_target(fcinfo, "plinth_closure.rebuild()",
									ShareRowExclusiveLock);
	ClosureOptions *options = present_options(relid);

	if (!OidIsValid(plinth_qualified_oid(options->closure)))
	{
		make_closure(relid, options);
		closure_load(relid);
		make_indexes(options);
	}
	else
	{
		PlinthIdentity saved;

		/* the closure must be this table's, and its owner may have triggers */
		closure_enter(closure_table_hierarchy(relid), &saved);
		closure_truncate(options->closure);
		closure_leave(&saved);
		closure_load(relid);
		plinth_sql("REINDEX TABLE %s", options->closure);
	}
	closure_make_functions(relid);
	plinth_sql("ANALYZE %s", options->closure);
	PG_RETURN_VOID();
}
