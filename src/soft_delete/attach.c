/*
 * src/soft_delete/attach.c
 *		Triggers and policies on a table and what is below it.
 *
 * Row triggers on a partitioned table come to its partitions by themselves;
 * children that inherit, statement triggers and policies are made one by one,
 * because a statement may name each of them.
 *
 * Locks: the caller has AccessExclusiveLock on the table and all below it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/objectaddress.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* OIDs with commas between. */
char *
soft_oid_list(List *oids)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, oids)
		appendStringInfo(&buf, "%s%u", buf.len > 0 ? "," : "", lfirst_oid(lc));
	return buf.data;
}

/* Has a trigger these arguments? */
bool
soft_same_args(const PlinthTrigger *trig, const List *args)
{
	if (trig->nargs != list_length(args))
		return false;
	for (int i = 0; i < trig->nargs; i++)
	{
		if (strcmp(trig->args[i], list_nth(args, i)) != 0)
			return false;
	}
	return true;
}

static void
make_trigger(Oid relid, const char *trigger, const char *when,
			 const char *level, const char *function, List *args)
{
	char	   *name = plinth_relation_name(relid);
	PlinthTrigger *present = soft_trigger(relid, function, trigger);

	if (present == NULL)
		plinth_sql("CREATE TRIGGER %s %s ON %s FOR EACH %s EXECUTE FUNCTION "
				   SOFT_SCHEMA ".%s(%s)", trigger, when, name, level, function,
				   plinth_literal_list(args));
	else if (!soft_same_args(present, args))
		plinth_set_trigger_args(present->oid, args);
	if (present == NULL || present->enabled != TRIGGER_FIRES_ALWAYS)
		plinth_sql("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %s", name, trigger);
}

/*
 * Can an UPDATE of a table move rows to another?  Then its statements must be
 * noted, whatever they update; others are not to pay for it.
 */
bool
soft_moves_rows(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE;
}

/*
 * Make the triggers that are missing, and have them fire always and know these
 * options.
 */
void
soft_make_triggers(Oid relid, const SoftOptions *options)
{
	List	   *args = soft_options_args(options);
	char	   *columns = psprintf("UPDATE OF %s, %s",
								   quote_identifier(pstrdup(options->deleted_at)),
								   quote_identifier(pstrdup(options->deletion_id)));
	char	   *after = psprintf("AFTER %s", columns);
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Oid			part = lfirst_oid(lc);

		make_trigger(part, SOFT_ROW_TRIGGER, "BEFORE DELETE", "ROW", "mark", args);
		make_trigger(part, SOFT_UPDATE_TRIGGER, after, "ROW", "stamp", args);
		make_trigger(part, SOFT_STATEMENT_TRIGGER,
					 psprintf("BEFORE DELETE OR %s",
							  soft_moves_rows(part) ? "UPDATE" : columns),
					 "STATEMENT", "statement", args);
		make_trigger(part, SOFT_TRUNCATE_TRIGGER, "BEFORE TRUNCATE", "STATEMENT", "empty",
					 args);
	}
}

/*
 * Have our triggers on one table fire always that fire on the origin: whoever
 * enables all triggers, as the loading of a dump may do, means them, too.
 */
void
soft_fire_always(Oid relid)
{
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->enabled == TRIGGER_FIRES_ON_ORIGIN && soft_is_our_trigger(trig))
			plinth_sql("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %s",
					   plinth_relation_name(relid), quote_identifier(trig->name));
	}
}

/*
 * A trigger of one of our functions that somebody has made by hand: only the
 * table's owner decides what becomes of its rows, and the one that enables the
 * table has to be what enable() could have made.  The others do nothing without
 * it; check() finds what they lack.
 */
void
soft_judge_trigger(const PlinthTrigger *trig)
{
	const SoftTriggerShape *shape = soft_shape_of(trig->funcid);
	char		relkind = get_rel_relkind(trig->relid);

	if (shape == NULL)
		return;
	if (!plinth_owns_relation(trig->relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(relkind),
					   get_rel_name(trig->relid));
	if (trig->funcid != soft_function("mark"))
		return;
	if (trig->type != shape->type ||
		(relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" of relation \"%s\" is none that plinth_soft_delete makes",
						trig->name, get_rel_name(trig->relid)),
				 errhint("Use plinth_soft_delete.enable().")));
	soft_require_columns(trig->relid, soft_options_parse(trig->nargs, trig->args));
}

/* Drop whatever calls our functions, on the table and below it. */
void
soft_drop_triggers(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		ListCell   *lt;

		foreach(lt, plinth_relation_triggers(lfirst_oid(lc)))
		{
			PlinthTrigger *trig = lfirst(lt);

			/* clones go with what they were cloned from */
			if (soft_shape_of(trig->funcid) && !OidIsValid(trig->parent))
				plinth_drop_trigger(trig);
		}
	}
}

/* Is there a policy of this name? */
static bool
has_policy(Oid relid, const char *name)
{
	return plinth_sql_strings("SELECT 1 FROM pg_policy WHERE polrelid = %u AND polname = %s",
							  relid, quote_literal_cstr(name)) != NIL;
}

/* Is row-level security on? */
bool
soft_is_secured(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		result;

	if (!HeapTupleIsValid(tup))
		return false;			/* dropped meanwhile */
	result = ((Form_pg_class) GETSTRUCT(tup))->relrowsecurity;
	ReleaseSysCache(tup);
	return result;
}

/* Make the policy that lets everything through while it is alone. */
void
soft_make_open_policy(Oid relid)
{
	char	   *name = plinth_relation_name(relid);
	char	   *literal = quote_literal_cstr(name);

	if (!has_policy(relid, SOFT_OPEN_POLICY))
		plinth_sql("CREATE POLICY " SOFT_OPEN_POLICY " ON %s USING ("
				   SOFT_SCHEMA ".only_policy(%s)) WITH CHECK (" SOFT_SCHEMA ".only_policy(%s))",
				   name, literal, literal);
}

/* Make the policies of one table. */
static void
make_policies(Oid relid, const SoftOptions *options)
{
	char	   *name = plinth_relation_name(relid);

	/* each may have been off by itself: partitions are not as their parents */
	if (!soft_is_secured(relid))
	{
		plinth_sql("ALTER TABLE ONLY %s ENABLE ROW LEVEL SECURITY", name);
		soft_make_open_policy(relid);
	}
	if (!has_policy(relid, SOFT_POLICY))
		plinth_sql("CREATE POLICY " SOFT_POLICY " ON %s AS RESTRICTIVE FOR SELECT USING (%s IS NULL OR "
				   SOFT_SCHEMA ".show_deleted(%s))", name,
				   quote_identifier(options->deleted_at), quote_literal_cstr(name));
}

/*
 * Let policies hide the dead.  Where row-level security was off until now they
 * alone let everything else through, for as long as there is no other.
 */
void
soft_make_policies(Oid relid, const SoftOptions *options)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		make_policies(lfirst_oid(lc), options);
}

/* Drop our policies; row-level security is off again where we put it on. */
void
soft_drop_policies(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		char	   *name = plinth_relation_name(lfirst_oid(lc));
		bool		opened = has_policy(lfirst_oid(lc), SOFT_OPEN_POLICY);

		plinth_sql("DROP POLICY IF EXISTS " SOFT_POLICY " ON %s", name);
		plinth_sql("DROP POLICY IF EXISTS " SOFT_OPEN_POLICY " ON %s", name);
		if (opened &&
			plinth_sql_strings("SELECT 1 FROM pg_policy WHERE polrelid = %u", lfirst_oid(lc)) == NIL)
			plinth_sql("ALTER TABLE ONLY %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY", name);
	}
}
