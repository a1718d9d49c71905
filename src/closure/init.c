/*
 * src/closure/init.c
 *		Loading the library.
 *
 * No preloading is needed: a session loads the library when it first fires
 * one of our triggers or calls one of our functions.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

PLINTH_MODULE_MAGIC("plinth_closure");

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	closure_hierarchy_init();
	closure_collect_init();
	closure_pending_init();
}
