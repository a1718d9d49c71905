/*
 * src/inventory/init.c
 *		Loading the library, and its settings.
 *
 * No preloading is needed: a session loads the library when it first fires
 * one of our triggers or calls one of our functions, and finds the cells that
 * others have made in shared memory.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "utils/guc.h"

PLINTH_MODULE_MAGIC("plinth_inventory");

PGDLLEXPORT void _PG_init(void);

/* setting: memory for cells, of all databases, in kB */
int			inventory_memory;

void
_PG_init(void)
{
	DefineCustomIntVariable("plinth_inventory.memory",
							"Sets how much shared memory the counters of SKUs in escrow mode may take.",
							"Counters that no transaction uses give way to others; they are rebuilt from the tables.",
							&inventory_memory,
							64 * 1024, 64, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	MarkGUCPrefixReserved("plinth_inventory");
	inventory_cache_init();
	inventory_account_init();
}
