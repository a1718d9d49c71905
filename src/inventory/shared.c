/*
 * src/inventory/shared.c
 *		Cells in shared memory.
 *
 * The anchor is a small struct in the main shared memory segment (a named
 * segment since PostgreSQL 17), which a plain backend may create; it holds the
 * handle of a dynamic shared memory area that outlives whoever made it.  In the
 * area there are a hash table of cells, one of epochs of tables, and for each
 * backend a block that says which cells it uses (inflight.c).  After a restart
 * all of this is gone, and nothing is lost: counters are made from the tables
 * (load.c).
 *
 * A cell is found, and pinned, under its partition's lock of the hash table;
 * it is removed under that lock taken exclusively, and only without a pin.  So
 * a pinned cell stays where it is, and is used without any lock.
 *
 * Locks: AddinShmemInitLock while the anchor is made; partitions of the hash
 * tables, for moments.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "lib/dshash.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/dsa.h"
#include "utils/memutils.h"

#define ANCHOR_NAME "plinth_inventory"

/* Of constant size, so that another layout is seen to be another layout. */
#define ANCHOR_SIZE 256

/* To be changed with everything that is in shared memory. */
#define LAYOUT 0x504c0001

/* What a cell takes, with its share of the hash table. */
#define BYTES_PER_CELL (sizeof(SharedCell) + 64)

typedef struct Anchor
{
	uint32		layout;			/* 0: not made yet */
	int			tranche;
	int			nblocks;		/* one for each process */
	dsa_handle	area;
	dshash_table_handle cells;
	dshash_table_handle epochs;
	dsa_pointer blocks;			/* of pg_atomic_uint64: dsa_pointers */
	pg_atomic_uint64 ncells;
	pg_atomic_uint64 swept;		/* when cells were evicted last */
} Anchor;

typedef struct Epoch
{
	Oid			dbid;			/* hash key, must be first */
	Oid			relid;
	pg_atomic_uint64 epoch;
} Epoch;

#define EPOCH_KEY_SIZE (2 * sizeof(Oid))

StaticAssertDecl(sizeof(Anchor) <= ANCHOR_SIZE, "anchor is too large");

static const dshash_parameters cell_parameters = {
	.key_size = sizeof(SharedCellKey),
	.entry_size = sizeof(SharedCell),
	.compare_function = dshash_memcmp,
	.hash_function = dshash_memhash,
	PLINTH_DSHASH_COPY
};

static const dshash_parameters epoch_parameters = {
	.key_size = EPOCH_KEY_SIZE,
	.entry_size = sizeof(Epoch),
	.compare_function = dshash_memcmp,
	.hash_function = dshash_memhash,
	PLINTH_DSHASH_COPY
};

/* This session's way to all of it; NULL until it is needed. */
static Anchor *anchor;
static dsa_area *area;
static dshash_table *cells;
static dshash_table *epochs;

/* Make what the anchor leads to.  AddinShmemInitLock is held. */
static void
make_area(Anchor *new)
{
	dshash_parameters parameters;

	new->tranche = LWLockNewTrancheId();
	area = dsa_create(new->tranche);
	new->area = dsa_get_handle(area);
	parameters = cell_parameters;
	parameters.tranche_id = new->tranche;
	cells = dshash_create(area, &parameters, NULL);
	new->cells = dshash_get_hash_table_handle(cells);
	parameters = epoch_parameters;
	parameters.tranche_id = new->tranche;
	epochs = dshash_create(area, &parameters, NULL);
	new->epochs = dshash_get_hash_table_handle(epochs);
	new->nblocks = ProcGlobal->allProcCount;
	new->blocks = dsa_allocate_extended(area,
										new->nblocks * sizeof(pg_atomic_uint64),
										DSA_ALLOC_ZERO);
	pg_atomic_init_u64(&new->ncells, 0);
	pg_atomic_init_u64(&new->swept, 0);
	dsa_pin(area);
	new->layout = LAYOUT;
}

/* Find what the anchor leads to. */
static void
attach_area(Anchor *found)
{
	dshash_parameters parameters;

	area = dsa_attach(found->area);
	parameters = cell_parameters;
	parameters.tranche_id = found->tranche;
	cells = dshash_attach(area, &parameters, found->cells, NULL);
	parameters = epoch_parameters;
	parameters.tranche_id = found->tranche;
	epochs = dshash_attach(area, &parameters, found->epochs, NULL);
}

/*
 * Attach this session to the cells.  55000 if the segment was laid out by
 * another version of the library: nothing is known of its counters, so nothing
 * may be claimed until the server has been restarted.
 */
void
inventory_shared_attach(void)
{
	MemoryContext old;
	Anchor	   *found;

	if (anchor)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	found = plinth_shared_struct(ANCHOR_NAME, ANCHOR_SIZE);
	if (found->layout != 0 && found->layout != LAYOUT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("counters of plinth_inventory in shared memory belong to another version of the library"),
				 errdetail("Their layout is %08x, this library knows %08x.",
						   found->layout, LAYOUT),
				 errhint("Restart the server, or use plinth_inventory.set_mode() to put SKUs into row mode with the other version.")));
	if (found->layout == 0)
		make_area(found);
	else
		attach_area(found);
	LWLockRegisterTranche(found->tranche, "plinth_inventory");
	LWLockRelease(AddinShmemInitLock);
	dsa_pin_mapping(area);
	anchor = found;
	MemoryContextSwitchTo(old);
}

/* The epoch of a table, which stays where it is. */
pg_atomic_uint64 *
inventory_shared_epoch(Oid relid)
{
	Oid			key[] = {MyDatabaseId, relid};	/* as Epoch begins */
	Epoch	   *entry;
	bool		found;

	inventory_shared_attach();
	entry = dshash_find_or_insert(epochs, key, &found);
	if (!found)
		pg_atomic_init_u64(&entry->epoch, 1);
	dshash_release_lock(epochs, entry);
	return &entry->epoch;
}

/*
 * Make room: remove cells that nobody has pinned, first those that nobody has
 * touched since the last time.
 */
static void
evict(uint64 limit)
{
	uint64		target = limit - limit / 8;
	uint64		since = pg_atomic_exchange_u64(&anchor->swept,
											   GetCurrentStatementStartTimestamp());

	for (int pass = 0; pass < 2; pass++)
	{
		dshash_seq_status status;
		SharedCell *cell;

		dshash_seq_init(&status, cells, true);
		while ((cell = dshash_seq_next(&status)) != NULL)
		{
			if (pg_atomic_read_u64(&anchor->ncells) <= target)
				break;
			if (pg_atomic_read_u32(&cell->pins) > 0 ||
				(pass == 0 && pg_atomic_read_u64(&cell->touched) > since))
				continue;
			dshash_delete_current(&status);
			pg_atomic_fetch_sub_u64(&anchor->ncells, 1);
		}
		dshash_seq_term(&status);
		if (pg_atomic_read_u64(&anchor->ncells) <= target)
			return;
	}
	if (pg_atomic_read_u64(&anchor->ncells) > limit)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("no shared memory left for counters of plinth_inventory"),
				 errdetail("All of " UINT64_FORMAT " counters are in use by open transactions.",
						   pg_atomic_read_u64(&anchor->ncells)),
				 errhint("Raise \"plinth_inventory.memory\".")));
}

/*
 * Find or make the cell of a generation and pin it.  It may not be loaded, and
 * the generation may be over: see inventory_load().  To be undone by
 * inventory_shared_unpin().
 */
SharedCell *
inventory_shared_pin(Oid relid, int64 generation)
{
	SharedCellKey key = {
		.dbid = MyDatabaseId,
		.relid = relid,
		.generation = generation
	};
	SharedCell *cell;
	bool		found;

	inventory_shared_attach();
	cell = dshash_find(cells, &key, false);
	if (cell == NULL)
	{
		uint64		limit = (uint64) inventory_memory * 1024 / BYTES_PER_CELL;

		if (pg_atomic_read_u64(&anchor->ncells) >= limit)
			evict(limit);
		cell = dshash_find_or_insert(cells, &key, &found);
		if (!found)
		{
			pg_atomic_init_u32(&cell->state, CELL_UNLOADED);
			pg_atomic_init_u32(&cell->pins, 0);
			pg_atomic_init_u64(&cell->units, 0);
			pg_atomic_init_u64(&cell->changes, 0);
			pg_atomic_init_u64(&cell->on_hand, 0);
			pg_atomic_init_u64(&cell->beyond, 0);
			pg_atomic_init_u64(&cell->version, 0);
			pg_atomic_init_u64(&cell->due, (uint64) CELL_NEVER_DUE);
			pg_atomic_init_u64(&cell->epoch, 0);
			pg_atomic_init_u64(&cell->touched, 0);
			pg_atomic_init_u32(&cell->changer, InvalidTransactionId);
			pg_atomic_fetch_add_u64(&anchor->ncells, 1);
		}
	}
	pg_atomic_fetch_add_u32(&cell->pins, 1);
	pg_atomic_write_u64(&cell->touched, GetCurrentStatementStartTimestamp());
	dshash_release_lock(cells, cell);
	return cell;
}

/* Undo inventory_shared_pin(); cannot fail. */
void
inventory_shared_unpin(SharedCell *cell)
{
	pg_atomic_fetch_sub_u32(&cell->pins, 1);
}

/*
 * Copy a cell as it is, without a pin: whoever pins a cell that is to be
 * loaded anew would have others use it as it is.  False if it is not there.
 */
bool
inventory_shared_look(Oid relid, int64 generation, SharedCell *copy)
{
	SharedCellKey key = {
		.dbid = MyDatabaseId,
		.relid = relid,
		.generation = generation
	};
	SharedCell *cell;

	inventory_shared_attach();
	cell = dshash_find(cells, &key, false);
	if (cell == NULL)
		return false;
	memcpy(copy, cell, sizeof(SharedCell));
	dshash_release_lock(cells, cell);
	return true;
}

/* The block of a process, or NULL if it has none. */
void *
inventory_shared_block(int procno)
{
	pg_atomic_uint64 *blocks;
	dsa_pointer block;

	inventory_shared_attach();
	Assert(procno >= 0 && procno < anchor->nblocks);
	blocks = dsa_get_address(area, anchor->blocks);
	block = pg_atomic_read_u64(&blocks[procno]);
	pg_read_barrier();
	return DsaPointerIsValid(block) ? dsa_get_address(area, block) : NULL;
}

/* Zeroed memory for a block. */
void *
inventory_shared_block_make(Size size, uint64 *handle)
{
	inventory_shared_attach();
	*handle = dsa_allocate_extended(area, size, DSA_ALLOC_ZERO);
	return dsa_get_address(area, *handle);
}

/*
 * Let others see a block.  The one before it is not freed, for somebody may be
 * reading it: all that a process ever had are together less than its last.
 */
void
inventory_shared_block_publish(int procno, uint64 handle)
{
	pg_atomic_uint64 *blocks = dsa_get_address(area, anchor->blocks);

	pg_write_barrier();
	pg_atomic_write_u64(&blocks[procno], handle);
}

/* The number of processes that may have a block. */
int
inventory_shared_nblocks(void)
{
	inventory_shared_attach();
	return anchor->nblocks;
}

/* Copies of all cells of this database, palloc'd: a List of SharedCell. */
List *
inventory_shared_list(void)
{
	dshash_seq_status status;
	SharedCell *cell;
	List	   *result = NIL;

	inventory_shared_attach();
	dshash_seq_init(&status, cells, false);
	while ((cell = dshash_seq_next(&status)) != NULL)
	{
		if (cell->key.dbid == MyDatabaseId)
		{
			SharedCell *copy = palloc(sizeof(SharedCell));

			memcpy(copy, cell, sizeof(SharedCell));
			result = lappend(result, copy);
		}
	}
	dshash_seq_term(&status);
	return result;
}
