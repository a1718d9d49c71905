/*
 * src/soft_delete/init.c
 *		Loading the library.
 *
 * The planner hook must be there when a statement is planned, so the library
 * is to be loaded when a session begins: enable() sees to that (preload.c).
 * Until then a session loads it when it first fires one of our triggers; what
 * it has planned before is planned anew.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "utils/guc.h"
#include "utils/plancache.h"

PLINTH_MODULE_MAGIC("plinth_soft_delete");

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	DefineCustomStringVariable("plinth_soft_delete.actor",
							   "Who deletes, as the application knows him.",
							   "Recorded with each deletion.",
							   &soft_actor,
							   "",
							   PGC_USERSET,
							   0,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("plinth_soft_delete.reason",
							   "Why is deleted.",
							   "Recorded with each deletion.",
							   &soft_reason,
							   "",
							   PGC_USERSET,
							   0,
							   NULL, NULL, NULL);
	soft_table_init();
	soft_toggle_init();
	soft_failsafe_init();
	soft_apply_init();
	soft_deletion_init();
	soft_planner_init();
	soft_estimate_init();
	soft_utility_init();
	soft_rebuild_init();
	MarkGUCPrefixReserved(SOFT_SCHEMA);
	ResetPlanCache();
}
