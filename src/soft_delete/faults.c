/*
 * src/soft_delete/faults.c
 *		What is not as enable() has made it.
 *
 * Triggers and policies on the table and everything below it, its views, and
 * what makes sessions load the library.  check() reports it, repair() looks here for what
 * to put right, and status says whether there is any.
 *
 * Policies are compared as the server prints them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

const char *const soft_event_triggers[SOFT_EVENT_TRIGGERS] = {
	SOFT_START_EVENT_TRIGGER, SOFT_END_EVENT_TRIGGER,
	SOFT_VIEWS_START_EVENT_TRIGGER, SOFT_VIEWS_END_EVENT_TRIGGER
};

/*
 * The options of a table that may lack triggers: any of them will do.  55000
 * if it has none.
 */
SoftOptions *
soft_damaged_options(Oid relid)
{
	for (int i = 0; i < SOFT_TRIGGERS; i++)
	{
		PlinthTrigger *trig = soft_trigger(relid, soft_trigger_shapes[i].function, NULL);

		if (trig)
			return soft_options_parse(trig->nargs, trig->args);
	}
	return soft_present_options(relid); /* says what is to be done */
}

void
soft_add_fault(List **faults, const char *problem, char *object, char *detail)
{
	SoftFault  *fault = palloc(sizeof(SoftFault));

	fault->problem = problem;
	fault->object = object;
	fault->detail = detail;
	*faults = lappend(*faults, fault);
}

/* Does a trigger wait for our two columns, and no WHEN keep it from firing? */
static bool
watches_columns(const PlinthTrigger *trig, const SoftOptions *options)
{
	return plinth_sql_strings("SELECT 1 FROM pg_trigger t WHERE t.oid = %u AND t.tgqual IS NULL"
							  " AND ARRAY(SELECT unnest(t.tgattr) ORDER BY 1) = ARRAY(SELECT unnest(ARRAY[%d, %d]::int2[]) ORDER BY 1)",
							  trig->oid, get_attnum(trig->relid, options->deleted_at),
							  get_attnum(trig->relid, options->deletion_id)) != NIL;
}

/* Is one of our triggers another than enable() makes, apart from its arguments? */
bool
soft_trigger_altered(const PlinthTrigger *trig, const SoftOptions *options)
{
	for (int i = 0; i < SOFT_TRIGGERS; i++)
	{
		if (strcmp(trig->name, soft_trigger_shapes[i].name) != 0 ||
			trig->funcid != soft_function(soft_trigger_shapes[i].function))
			continue;
		if (trig->type != soft_trigger_shapes[i].type)
			return true;
		if (strcmp(soft_trigger_shapes[i].function, "stamp") == 0 ||
			(strcmp(soft_trigger_shapes[i].function, "statement") == 0 &&
			 !soft_moves_rows(trig->relid)))
			return !watches_columns(trig, options);
		return trig->conditional;
	}
	return true;				/* not by its name */
}

/* How a trigger fires that should fire always. */
static char *
firing(char enabled)
{
	switch (enabled)
	{
		case TRIGGER_DISABLED:
			return "It is disabled.";
		case TRIGGER_FIRES_ON_REPLICA:
			return "It fires only on a replica.";
		default:
			return "It fires only on the origin.";
	}
}

static void
examine_triggers(List **faults, Oid relid, const SoftOptions *options)
{
	List	   *args = soft_options_args(options);

	for (int i = 0; i < SOFT_TRIGGERS; i++)
	{
		PlinthTrigger *trig = soft_trigger(relid, soft_trigger_shapes[i].function, soft_trigger_shapes[i].name);
		char	   *object = psprintf("trigger \"%s\" on table \"%s\"",
									  soft_trigger_shapes[i].name, get_rel_name(relid));

		if (trig == NULL)
			soft_add_fault(faults, "trigger missing", object, NULL);
		else if (soft_trigger_altered(trig, options) || !soft_same_args(trig, args))
			soft_add_fault(faults, "trigger altered", object, NULL);
		else if (trig->enabled != TRIGGER_FIRES_ALWAYS)
			soft_add_fault(faults, "trigger not always enabled", object,
						   firing(trig->enabled));
	}
}

/* A string as the server prints it in an expression. */
static char *
printed_literal(const char *value)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '\'');
	for (; *value; value++)
	{
		if (*value == '\'')
			appendStringInfoChar(&buf, '\'');
		appendStringInfoChar(&buf, *value);
	}
	appendStringInfoChar(&buf, '\'');
	return buf.data;
}

/* Is one of our policies, which is there, another than enable() makes? */
bool
soft_policy_altered(Oid relid, const SoftOptions *options, const char *policy)
{
	bool		open = strcmp(policy, SOFT_OPEN_POLICY) == 0;
	char	   *table = printed_literal(plinth_relation_name(relid));
	char	   *qual;
	char	   *check;
	bool		result;
	int			level = NewGUCNestLevel();

	plinth_set_for_now("quote_all_identifiers", "off");
	if (open)
	{
		qual = psprintf(SOFT_SCHEMA ".only_policy(%s::regclass)", table);
		check = quote_literal_cstr(qual);
	}
	else
	{
		qual = psprintf("((%s IS NULL) OR " SOFT_SCHEMA ".show_deleted(%s::regclass))",
						quote_identifier(options->deleted_at), table);
		check = "NULL";
	}
	result = plinth_sql_strings("SELECT 1 FROM pg_policy WHERE polrelid = %u AND polname = %s AND polpermissive = %s AND polcmd = %s"
							  " AND polroles = '{0}' AND pg_get_expr(polqual, polrelid) = %s"
							  " AND pg_get_expr(polwithcheck, polrelid) IS NOT DISTINCT FROM %s",
							  relid, quote_literal_cstr(policy), open ? "true" : "false",
							  open ? "'*'" : "'r'", quote_literal_cstr(qual), check) == NIL;
	AtEOXact_GUC(false, level);
	return result;
}

static void
examine_policy(List **faults, Oid relid, const SoftOptions *options,
			   const char *policy, bool needed)
{
	char	   *object = psprintf("policy \"%s\" on table \"%s\"", policy,
								  get_rel_name(relid));

	if (plinth_sql_strings("SELECT 1 FROM pg_policy WHERE polrelid = %u AND polname = %s",
						   relid, quote_literal_cstr(policy)) == NIL)
	{
		if (needed)
			soft_add_fault(faults, "policy missing", object, NULL);
	}
	else if (soft_policy_altered(relid, options, policy))
		soft_add_fault(faults, "policy altered", object, NULL);
}

static void
examine_policies(List **faults, Oid relid, const SoftOptions *options)
{
	/* it is missed where there is nothing else that lets anybody in */
	bool		closed = options->opened &&
		plinth_sql_strings("SELECT 1 FROM pg_policy WHERE polrelid = %u AND polpermissive", relid) == NIL;

	if (!soft_is_secured(relid))
		soft_add_fault(faults, "row-level security off",
					   psprintf("table \"%s\"", get_rel_name(relid)),
					   "Sessions that have not loaded the library see deleted rows.");
	examine_policy(faults, relid, options, SOFT_POLICY, true);
	examine_policy(faults, relid, options, SOFT_OPEN_POLICY, closed);
}

/* The views that the options name. */
static void
examine_views(List **faults, Oid relid, const SoftOptions *options)
{
	if (options->active == NULL)
		return;
	for (int deleted = 0; deleted <= 1; deleted++)
	{
		const char *name = deleted ? options->deleted : options->active;
		Oid			viewid = soft_attached_view(relid, options, deleted);
		char	   *nspname;
		char	   *relname;
		char	   *object;

		plinth_split_name(name, &nspname, &relname);
		object = psprintf("view \"%s\"", OidIsValid(viewid) ?
						  get_rel_name(viewid) : relname);
		if (!OidIsValid(viewid))
			soft_add_fault(faults, "view missing", object,
						   OidIsValid(plinth_qualified_oid(name)) ?
						   "What has its name is no view of the table's owner on the table." : NULL);
		else if (!soft_view_goes_along(relid, viewid))
			soft_add_fault(faults, "view not attached", object,
						   "DROP TABLE is refused because of it.");
	}
}

/*
 * Triggers and policies of a table and everything below it, its views and its
 * viewers.
 */
List *
soft_table_faults(Oid relid, const SoftOptions *options)
{
	List	   *faults = NIL;
	PlinthIdentity self;
	ListCell   *lc;

	plinth_become(&self, plinth_relation_owner(relid));
	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		if (get_attnum(lfirst_oid(lc), options->deleted_at) <= 0 ||
			get_attnum(lfirst_oid(lc), options->deletion_id) <= 0)
		{
			soft_add_fault(&faults, "column missing",
						   psprintf("table \"%s\"", get_rel_name(lfirst_oid(lc))),
						   psprintf("It needs columns \"%s\" and \"%s\".",
									options->deleted_at, options->deletion_id));
			continue;
		}
		examine_triggers(&faults, lfirst_oid(lc), options);
		if (options->visibility == VISIBILITY_RLS)
			examine_policies(&faults, lfirst_oid(lc), options);
	}
	examine_views(&faults, relid, options);
	if (options->viewers && !OidIsValid(get_role_oid(options->viewers, true)))
		soft_add_fault(&faults, "viewers missing",
					   psprintf("role \"%s\"", options->viewers),
					   "Nobody may see deleted rows.");
	plinth_restore_identity(&self);
	return faults;
}

/* What follows DDL: it is not the table's, and only a superuser mends it. */
static void
examine_event_trigger(List **faults, const char *name)
{
	List	   *found = plinth_sql_strings("SELECT evtenabled FROM pg_event_trigger WHERE evtname = %s",
										   quote_literal_cstr(name));
	char	   *object = psprintf("event trigger \"%s\"", name);

	if (found == NIL)
		soft_add_fault(faults, "event trigger missing", object,
					   "Drop the extension and create it again, or update it.");
	else if (*(char *) linitial(found) != TRIGGER_FIRES_ALWAYS)
		soft_add_fault(faults, "event trigger not always enabled", object,
					   firing(*(char *) linitial(found)));
}

/* What is no table's: event triggers, and what loads the library. */
List *
soft_server_faults(void)
{
	List	   *faults = NIL;
	ListCell   *lc;

	for (int i = 0; i < SOFT_EVENT_TRIGGERS; i++)
		examine_event_trigger(&faults, soft_event_triggers[i]);
	if (soft_preloaded() == NULL)
		soft_add_fault(&faults, "library not preloaded",
					   psprintf("database \"%s\"", get_database_name(MyDatabaseId)),
					   "New sessions plan DELETE without it until they first fire a trigger.");
	foreach(lc, soft_roles_unloaded())
		soft_add_fault(&faults, "library not preloaded",
					   psprintf("role \"%s\"", (char *) lfirst(lc)),
					   "Its own setting of session_preload_libraries does not name it.");
	return faults;
}
