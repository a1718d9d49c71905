/*
 * src/closure/trigger.c
 *		Which triggers of ours are on a table, and whose hierarchy it is.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "catalog/partition.h"
#include "utils/lsyscache.h"

/* A trigger function of ours; InvalidOid while the extension is not there. */
Oid
closure_function(const char *name)
{
	return plinth_trigger_function(CLOSURE_SCHEMA, name);
}

/*
 * The trigger of a relation that calls one of our functions, with this name
 * or, if that is NULL, any; NULL if there is none.
 */
PlinthTrigger *
closure_trigger(Oid relid, const char *function, const char *name)
{
	return plinth_find_trigger(relid, closure_function(function), name);
}

/* Those of our triggers on a table or partition that keep a closure. */
List *
closure_triggers(Oid relid)
{
	Oid			collect = closure_function("collect");
	Oid			apply = closure_function("apply");
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid == collect || trig->funcid == apply)
			result = lappend(result, trig);
	}
	return result;
}

/* The options of a table that is a hierarchy; NULL if it is none. */
ClosureOptions *
closure_table_options(Oid relid)
{
	PlinthTrigger *trig = closure_trigger(relid, "collect", NULL);

	return trig ? closure_options_parse(trig->nargs, trig->args) : NULL;
}

/*
 * The table that was enabled: itself, or for a partition the topmost ancestor
 * that has our triggers.
 */
Oid
closure_root(Oid relid)
{
	while (get_rel_relispartition(relid))
	{
		Oid			parent = get_partition_parent(relid, true);

		if (closure_trigger(parent, "collect", NULL) == NULL)
			break;
		relid = parent;
	}
	return relid;
}
