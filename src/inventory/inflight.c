/*
 * src/inventory/inflight.c
 *		Who has units of a cell in an open transaction.
 *
 * Each process has a block of slots in shared memory which it alone writes: a
 * cell's generation and the transaction id of the (sub)transaction that has
 * taken units of the cell or will give it some.  Whoever is short of units and
 * willing to wait reads all blocks and waits for one of the ids, so that the
 * lock manager sees the wait: lock_timeout and the deadlock detector work.
 *
 * A slot is filled before the counter is touched and emptied after it has been
 * put right.  The id is the subtransaction's own: its lock goes at ROLLBACK TO.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/memutils.h"

#define FIRST_SLOTS 16

typedef struct InFlight
{
	pg_atomic_uint64 generation;	/* 0: empty */
	pg_atomic_uint32 xid;
	pg_atomic_uint32 units;		/* it has some, or will give some */
} InFlight;

typedef struct SlotBlock
{
	uint32		nslots;
	InFlight		slots[FLEXIBLE_ARRAY_MEMBER];
} SlotBlock;

/* This process's block, and which of its slots are empty. */
static SlotBlock *block;
static int *empty;
static int	nempty;

/* Find the block, or make it, or a larger one in its place. */
static void
make_block(void)
{
	int			had = block ? block->nslots : 0;
	SlotBlock	   *new = block ? NULL : inventory_shared_block(PLINTH_MY_PROC);
	int			n;

	/* before anything that cannot be taken back */
	n = new ? new->nslots : had > 0 ? 2 * had : FIRST_SLOTS;
	empty = empty ? repalloc(empty, n * sizeof(int)) :
		MemoryContextAlloc(TopMemoryContext, n * sizeof(int));
	if (new == NULL)
	{
		uint64		handle;

		new = inventory_shared_block_make(offsetof(SlotBlock, slots) +
										  n * sizeof(InFlight), &handle);
		new->nslots = n;
		for (int i = 0; i < n; i++)
		{
			pg_atomic_init_u64(&new->slots[i].generation, i < had ?
							   pg_atomic_read_u64(&block->slots[i].generation) : 0);
			pg_atomic_init_u32(&new->slots[i].xid, i < had ?
							   pg_atomic_read_u32(&block->slots[i].xid) : 0);
			pg_atomic_init_u32(&new->slots[i].units, i < had ?
							   pg_atomic_read_u32(&block->slots[i].units) : 0);
		}
		inventory_shared_block_publish(PLINTH_MY_PROC, handle);
	}
	for (int i = n - 1; i >= had; i--)
		empty[nempty++] = i;
	block = new;
}

/*
 * Say that a transaction writes rows of a cell.  Returns the slot.
 */
int
inventory_inflight_add(SharedCell *cell, TransactionId xid)
{
	int			i;
	InFlight	   *slot;

	if (nempty == 0)
		make_block();
	i = empty[--nempty];
	slot = &block->slots[i];
	pg_atomic_write_u32(&slot->xid, xid);
	pg_atomic_write_u32(&slot->units, 0);
	pg_write_barrier();
	pg_atomic_write_u64(&slot->generation, cell->key.generation);
	pg_memory_barrier();
	return i;
}

/*
 * Say whether the transaction of a slot has, or will give, units of the cell.
 * To be called before the counter is touched.
 */
void
inventory_inflight_units(int i, bool units)
{
	pg_atomic_write_u32(&block->slots[i].units, units ? 1 : 0);
	pg_memory_barrier();
}

/* Empty a slot; cannot fail. */
void
inventory_inflight_remove(int i)
{
	pg_memory_barrier();
	pg_atomic_write_u64(&block->slots[i].generation, 0);
	empty[nempty++] = i;
}

/* The id in one process's block; InvalidTransactionId if it has none. */
static TransactionId
find_in_block(SlotBlock *other, SharedCell *cell, bool with_units)
{
	for (uint32 i = 0; i < other->nslots; i++)
	{
		InFlight   *slot = &other->slots[i];
		TransactionId xid;
		bool		units;

		if (pg_atomic_read_u64(&slot->generation) != cell->key.generation)
			continue;
		pg_read_barrier();
		xid = pg_atomic_read_u32(&slot->xid);
		units = pg_atomic_read_u32(&slot->units) != 0;
		pg_read_barrier();

		/* it may have become another's meanwhile */
		if (pg_atomic_read_u64(&slot->generation) == cell->key.generation &&
			TransactionIdIsValid(xid) && (units || !with_units))
			return xid;
	}
	return InvalidTransactionId;
}

/*
 * The id of another transaction that writes rows of a cell or, if only those
 * are asked for, has units of it in flight; InvalidTransactionId if there is
 * none.
 */
TransactionId
inventory_inflight_other(SharedCell *cell, bool with_units)
{
	int			n = inventory_shared_nblocks();

	pg_memory_barrier();
	for (int p = 0; p < n; p++)
	{
		SlotBlock  *other = p == PLINTH_MY_PROC ? NULL :
			inventory_shared_block(p);
		TransactionId xid = other ? find_in_block(other, cell, with_units) :
			InvalidTransactionId;

		if (TransactionIdIsValid(xid))
			return xid;
	}
	return InvalidTransactionId;
}
