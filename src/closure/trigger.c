/*
 * src/closure/trigger.c
 *		Which triggers of ours are on a table, and whose hierarchy it is.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* A trigger function of ours; InvalidOid while the extension is not there. */
Oid
closure_function(const char *name)
{
	Oid			nspid = get_namespace_oid(CLOSURE_SCHEMA, true);

	if (!OidIsValid(nspid))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(nspid));
}

/*
 * The trigger of a relation that calls one of our functions, with this name
 * or, if that is NULL, any; NULL if there is none.
 */
PlinthTrigger *
closure_trigger(Oid relid, const char *function, const char *name)
{
	Oid			funcid = closure_function(function);
	ListCell   *lc;

	if (!OidIsValid(funcid))
		return NULL;
	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid == funcid &&
			(name == NULL || strcmp(trig->name, name) == 0))
			return trig;
	}
	return NULL;
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
