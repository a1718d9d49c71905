/*
 * src/soft_delete/repair.c
 *		repair(): put right what check() finds.
 *
 * Triggers, policies and views are made as enable() makes them; views that a
 * restore or pg_upgrade has made go with their table again.  Rows that are dead
 * without a deletion get one, as enable() adopts them; deletions that only rows
 * know of get a record, of unknown origin, and rows that have left the table of
 * their deletion get one of their own; rows that live lose the number of their
 * deletion, because deleted_at is what says that a row is dead.  Columns, roles,
 * foreign keys and the triggers of others are for a person to decide.
 *
 * Locks: AccessExclusiveLock on the table and all below it, as enable().
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_soft_delete_repair);

/* Drop triggers that are not what their name says; clones go with their parents. */
static void
drop_altered_triggers(Oid relid, const SoftOptions *options)
{
	static const char *const functions[] = {"mark", "stamp", "statement", "empty"};
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);
		bool		ours = false;

		for (int i = 0; i < lengthof(functions); i++)
			ours |= trig->funcid == soft_function(functions[i]);
		if (ours && !OidIsValid(trig->parent) && soft_trigger_altered(trig, options))
			plinth_drop_trigger(trig);
	}
}

/* Drop our policies if they are not what their name says. */
static void
drop_altered_policies(Oid relid, const SoftOptions *options)
{
	static const char *const policies[] = {SOFT_POLICY, SOFT_OPEN_POLICY};

	for (int i = 0; i < lengthof(policies); i++)
	{
		if (soft_policy_altered(relid, options, policies[i]))
			plinth_sql("DROP POLICY IF EXISTS %s ON %s", policies[i],
					   plinth_relation_name(relid));
	}
}

/* Make triggers and policies what they should be. */
static void
repair_table(Oid relid, const SoftOptions *options)
{
	List	   *all = find_all_inheritors(relid, NoLock, NULL);
	ListCell   *lc;

	soft_own_ddl++;
	PG_TRY();
	{
		foreach(lc, all)
			drop_altered_triggers(lfirst_oid(lc), options);
		soft_make_triggers(relid, options);
		if (options->visibility == VISIBILITY_RLS)
		{
			foreach(lc, all)
				drop_altered_policies(lfirst_oid(lc), options);
			soft_make_policies(relid, options);

			/* where nothing else lets anybody in */
			foreach(lc, all)
			{
				if (options->opened &&
					plinth_sql_strings("SELECT 1 FROM pg_policy WHERE polrelid = %u AND polpermissive",
									   lfirst_oid(lc)) == NIL)
					soft_make_open_policy(lfirst_oid(lc));
			}
		}
		soft_repair_views(relid, options);
	}
	PG_FINALLY();
	{
		soft_own_ddl--;
	}
	PG_END_TRY();
}

/* Enable the event triggers, if the caller may. */
static void
repair_event_triggers(void)
{
	for (int i = 0; i < SOFT_EVENT_TRIGGERS; i++)
	{
		const char *name = soft_event_triggers[i];

		if (plinth_sql_strings("SELECT 1 FROM pg_event_trigger WHERE evtname = '%s' AND evtenabled <> 'A'",
							   name) == NIL)
			continue;
		if (superuser())
			plinth_sql("ALTER EVENT TRIGGER %s ENABLE ALWAYS", name);
		else
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("event trigger \"%s\" is not always enabled", name),
					 errhint("Let a superuser run plinth_soft_delete.repair().")));
	}
}

/*
 * repair(target): returns the number of things that were put right.
 */
Datum
plinth_soft_delete_repair(PG_FUNCTION_ARGS)
{
	Oid			relid;
	SoftOptions *options;
	int			before;
	int64		n;

	PreventCommandIfReadOnly("plinth_soft_delete.repair()");
	relid = plinth_target(fcinfo, 0);
	plinth_lock_owned(relid, AccessExclusiveLock);
	(void) find_all_inheritors(relid, AccessExclusiveLock, NULL);
	options = soft_damaged_options(relid);
	soft_require_root(relid);

	/* without its columns it cannot be a soft-deleting table */
	if (get_attnum(relid, options->deleted_at) <= 0 ||
		get_attnum(relid, options->deletion_id) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" lacks column \"%s\" or \"%s\"", get_rel_name(relid),
						options->deleted_at, options->deletion_id),
				 errhint("Run plinth_soft_delete.disable() on the table, or give the column back.")));
	before = list_length(soft_table_faults(relid, options)) +
		list_length(soft_server_faults());
	repair_table(relid, options);
	repair_event_triggers();
	(void) soft_preload_add();
	n = before - list_length(soft_table_faults(relid, options)) -
		list_length(soft_server_faults());
	PG_RETURN_INT64(n + soft_repair_rows(relid, options));
}
