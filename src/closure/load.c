/*
 * src/closure/load.c
 *		Fill an empty closure, and say beforehand how large it would be.
 *
 * The table is read once, through a snapshot taken after the lock; what cannot
 * have a closure is refused.  Rows are found by walking up from each node and
 * go to the heap as they are found; indexes are built over the full heap
 * afterwards, which is several times faster than keeping them up to date.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/htup_details.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"


/* Every node with all its ancestors. */
static void
write_all(Hierarchy *h, ClosureSurvey *survey)
{
	ClosureWriter *writer = closure_writer_begin(h, false);

	for (int i = 0; i < survey->nodes->n; i++)
	{
		ClosureNode *node = survey->nodes->all[i];
		int			depth = 0;

		if (!node->present)
			continue;			/* only a missing parent */
		for (ClosureNode *up = node; up; up = up->parent)
			closure_writer_add(writer, up, node, depth++);
	}
	(void) closure_writer_end(writer);
}

/*
 * Fill the closure of a table, which is empty and has no index that matters:
 * the caller builds them.  The caller holds a lock that keeps writers away.
 * Errors: 23514 for a cycle, 23503 for an orphan, 54001 beyond the limits.
 */
void
closure_load(Oid relid)
{
	PlinthTrigger *trig = closure_trigger(relid, "collect", NULL);
	Hierarchy  *h = closure_hierarchy(relid, trig->nargs, trig->args);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "plinth_closure load",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	PlinthIdentity saved;
	Snapshot	snapshot;
	ClosureSurvey *survey;

	CommandCounterIncrement();
	closure_enter(h, &saved);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	survey = closure_survey(h, snapshot);
	UnregisterSnapshot(snapshot);
	closure_survey_refuse(h, survey);
	write_all(h, survey);
	closure_leave(&saved);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	CommandCounterIncrement();
}
