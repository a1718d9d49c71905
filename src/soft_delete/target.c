/*
 * src/soft_delete/target.c
 *		Our triggers on tables, and what cannot be enabled.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "utils/lsyscache.h"

#include "kit/target.h"

const SoftTriggerShape soft_trigger_shapes[SOFT_TRIGGERS] = {
	{SOFT_ROW_TRIGGER, "mark",
	TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_DELETE},
	{SOFT_UPDATE_TRIGGER, "stamp",
	TRIGGER_TYPE_ROW | TRIGGER_TYPE_UPDATE},
	{SOFT_STATEMENT_TRIGGER, "statement",
	TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE},
	{SOFT_TRUNCATE_TRIGGER, "empty",
	TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_TRUNCATE},
};

/* A function of ours without arguments; InvalidOid while there is no extension. */
Oid
soft_function(const char *name)
{
	return plinth_trigger_function(SOFT_SCHEMA, name);
}

/* The trigger that a function of ours is for; NULL if it is for none. */
const SoftTriggerShape *
soft_shape_of(Oid funcid)
{
	for (int i = 0; i < SOFT_TRIGGERS; i++)
	{
		if (OidIsValid(funcid) &&
			soft_function(soft_trigger_shapes[i].function) == funcid)
			return &soft_trigger_shapes[i];
	}
	return NULL;
}

/* Does it call a function of ours, as those that enable() makes? */
bool
soft_is_our_trigger(const PlinthTrigger *trig)
{
	return soft_shape_of(trig->funcid) != NULL;
}

/*
 * The trigger of a relation that calls one of our functions, with this name
 * or, if that is NULL, any that fires when ours does, ours before all others;
 * NULL if there is none.  Two triggers cannot have one name, so whoever may only
 * add triggers to a table does not say what becomes of it.
 */
PlinthTrigger *
soft_trigger(Oid relid, const char *function, const char *name)
{
	Oid			funcid = soft_function(function);
	const SoftTriggerShape *shape = soft_shape_of(funcid);
	PlinthTrigger *result = NULL;
	ListCell   *lc;

	if (name || shape == NULL)
		return plinth_find_trigger(relid, funcid, name);
	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid != funcid || trig->type != shape->type)
			continue;
		if (strcmp(trig->name, shape->name) == 0)
			return trig;
		if (result == NULL)
			result = trig;
	}
	return result;
}

/* The options of a table that is enabled; NULL if it is not. */
SoftOptions *
soft_table_options(Oid relid)
{
	PlinthTrigger *trig = soft_trigger(relid, "mark", NULL);

	return trig ? soft_options_parse(trig->nargs, trig->args) : NULL;
}

/*
 * The same where many tables are looked at: NULL, too, if the options make no
 * sense.  Nobody is to be stopped by what somebody else has put there.
 */
SoftOptions *
soft_readable_options(Oid relid)
{
	PlinthTrigger *trig = soft_trigger(relid, "mark", NULL);

	return trig ? soft_options_try(trig->nargs, trig->args) : NULL;
}

/* The same; 55000 if it is not. */
SoftOptions *
soft_present_options(Oid relid)
{
	SoftOptions *options = soft_table_options(relid);

	if (options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not enabled for soft delete",
						plinth_existing_name(relid)),
				 errhint("Use plinth_soft_delete.enable().")));
	return options;
}

/*
 * The table that was enabled: itself, or for a partition or child the topmost
 * ancestor that has our trigger.
 */
Oid
soft_root(Oid relid)
{
	for (;;)
	{
		List	   *parents = plinth_sql_strings("SELECT inhparent FROM pg_inherits WHERE inhrelid = %u", relid);
		ListCell   *lc;
		Oid			up = InvalidOid;

		foreach(lc, parents)
		{
			Oid			parent = strtoul(lfirst(lc), NULL, 10);

			if (soft_trigger(parent, "mark", NULL))
				up = parent;
		}
		if (!OidIsValid(up))
			return relid;
		relid = up;
	}
}

/* All tables that were enabled: a List of Oid. */
List *
soft_enabled_tables(void)
{
	List	   *result = NIL;
	Oid			funcid = soft_function("mark");
	ListCell   *lc;

	if (!OidIsValid(funcid))
		return NIL;
	foreach(lc, plinth_function_triggers(funcid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (!OidIsValid(trig->parent) && trig->type == soft_trigger_shapes[0].type)
			result = list_append_unique_oid(result, trig->relid);
	}
	return result;
}

/* Say no to a relation that cannot be enabled. */
void
soft_check_kind(Oid relid)
{
	char	   *name = plinth_existing_name(relid);
	char		relkind = get_rel_relkind(relid);
	const char *why = NULL;
	const char *hint = NULL;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		why = "It is not a table.";
	else if (!plinth_table_persists(relid))
		why = "A temporary table goes with its session.";
	else if (relid < FirstNormalObjectId)
		why = "It belongs to the system.";
	else if (get_rel_namespace(relid) == get_namespace_oid(SOFT_SCHEMA, true))
		why = "It belongs to plinth_soft_delete.";
	else if (soft_trigger(relid, "mark", NULL))
		return;					/* it is, maybe as a part of another */
	else if (get_rel_relispartition(relid))
	{
		why = "It is a partition.";
		hint = "Enable the partitioned table.";
	}
	else if (has_superclass(relid))
	{
		why = "It inherits from another table, whose rows it shows.";
		hint = "Enable that table.";
	}
	if (why)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" cannot be enabled for soft delete", name),
				 errdetail_internal("%s", why),
				 hint ? errhint("%s", hint) : 0));
}

/* Say no to a table whose rows others refer to. */
void
soft_check_keys(Oid relid)
{
	List	   *keys = plinth_sql_strings("SELECT format('constraint \"%%s\" of table \"%%s\"', c.conname, c.conrelid::regclass)"
										  " FROM pg_constraint c WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = ANY (ARRAY(%s)::oid[]) ORDER BY 1 LIMIT 1",
										  psprintf("WITH RECURSIVE d AS (SELECT %u::oid AS oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN d ON i.inhparent = d.oid) SELECT oid FROM d",
												   relid));

	if (keys != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is referenced by a foreign key",
						get_rel_name(relid)),
				 errdetail_internal("%s", psprintf("By %s.", (char *) linitial(keys)))));
}

/* Say no to a table that is below the one that was enabled. */
void
soft_require_root(Oid relid)
{
	Oid			root = soft_root(relid);

	if (root != relid)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is a part of soft-deleting table \"%s\"",
						get_rel_name(relid), get_rel_name(root)),
				 errhint("Name that one.")));
}

/*
 * A DELETE trigger of the owner's, which would never fire again; NULL if there
 * is none.  Those of plinth_audit record updates, too.
 */
PlinthTrigger *
soft_unfired_trigger(Oid relid)
{
	Oid			audit = plinth_trigger_function("plinth_audit", "capture");
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (!trig->internal && TRIGGER_FOR_DELETE(trig->type) &&
			trig->funcid != soft_function("mark") &&
			trig->funcid != soft_function("statement") &&
			!(OidIsValid(audit) && trig->funcid == audit))
			return trig;
	}
	return NULL;
}

/* Say no to a table with such triggers. */
void
soft_check_triggers(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		PlinthTrigger *trig = soft_unfired_trigger(lfirst_oid(lc));

		if (trig)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" has the DELETE trigger \"%s\"",
							get_rel_name(trig->relid), trig->name),
					 errdetail("A soft delete is an UPDATE to triggers: those for DELETE do not fire."),
					 errhint("Make it an UPDATE trigger, or use delete_triggers => 'ignore'.")));
	}
}

/*
 * Say no to policies, of the table or below it, that do nothing because
 * row-level security is off, and would begin to.
 */
void
soft_check_policies(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (!soft_is_secured(lfirst_oid(lc)) &&
			plinth_sql_strings("SELECT 1 FROM pg_policy WHERE polrelid = %u AND polname NOT IN ('" SOFT_POLICY "', '" SOFT_OPEN_POLICY "')",
							   lfirst_oid(lc)) != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" has policies, but row-level security is off",
							get_rel_name(lfirst_oid(lc))),
					 errdetail("It must be on for visibility \"rls\", and they would be in force."),
					 errhint("Drop the policies, enable row-level security first, or use visibility => 'filter'.")));
	}
}
