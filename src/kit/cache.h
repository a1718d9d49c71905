/*
 * src/kit/cache.h
 *		What a session remembers by OID.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_CACHE_H
#define PLINTH_CACHE_H

#include "utils/hsearch.h"
#include "utils/palloc.h"

extern HTAB *plinth_cache_create(const char *name, Size entrysize,
								 MemoryContext *context);

#endif							/* PLINTH_CACHE_H */
