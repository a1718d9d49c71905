/*
 * src/kit/cache.c
 *		What a session remembers by OID.
 *
 * Which invalidation concerns which entry is known to the cache's owner alone,
 * so callbacks are registered there.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "kit/compat.h"

#include "utils/memutils.h"

#include "kit/cache.h"

/*
 * A hash table whose entries begin with an OID, the key.  It lives as long as
 * the session, in a memory context of its own; what entries point to may be
 * kept there too.
 */
HTAB *
plinth_cache_create(const char *name, Size entrysize, MemoryContext *context)
{
	HASHCTL		ctl;

	/* the name must be a constant, but that is not to be seen here */
	*context = AllocSetContextCreateInternal(CacheMemoryContext, name,
											 ALLOCSET_SMALL_SIZES);
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = entrysize;
	ctl.hcxt = *context;
	return hash_create(name, 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}
