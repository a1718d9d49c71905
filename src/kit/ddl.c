/*
 * src/kit/ddl.c
 *		What event triggers ask of a command.
 *
 * The parse tree says what exactly a command did, but not everything that it
 * touched: CREATE SCHEMA may create several tables.  The server is asked for
 * that.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "kit/compat.h"

#include "catalog/namespace.h"
#include "kit/catalog.h"
#include "kit/ddl.h"

/* What the event trigger was called with; 39P03 if it was not called as one. */
EventTriggerData *
plinth_event_trigger(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by event trigger manager",
						function)));
	return (EventTriggerData *) fcinfo->context;
}

/* The relation that a command names, without a lock; InvalidOid if none. */
Oid
plinth_named_relation(RangeVar *name)
{
	return name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
}

/*
 * At ddl_command_end: all relations and triggers that the command has created
 * or changed, each once, the relations first.  A List of PlinthTouched.
 */
List *
plinth_touched_objects(void)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT objid || CASE WHEN classid = 'pg_trigger'::regclass THEN 't'"
								   " WHEN bool_or(command_tag IN ('CREATE TABLE', 'CREATE FOREIGN TABLE')) THEN '+' ELSE '' END"
								   " FROM pg_event_trigger_ddl_commands()"
								   " WHERE classid IN ('pg_class'::regclass, 'pg_trigger'::regclass) AND objsubid = 0"
								   " GROUP BY classid, objid ORDER BY classid, objid"))
	{
		PlinthTouched *touched = palloc(sizeof(PlinthTouched));
		char	   *end;

		touched->objid = strtoul(lfirst(lc), &end, 10);
		touched->is_trigger = *end == 't';
		touched->is_new_table = *end == '+';
		result = lappend(result, touched);
	}
	return result;
}
