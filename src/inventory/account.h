/*
 * src/inventory/account.h
 *		What account.c notes for levels.c to settle.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_INVENTORY_ACCOUNT_H
#define PLINTH_INVENTORY_ACCOUNT_H

#include "inventory/inventory.h"

/* A cell that this transaction has pinned. */
typedef struct Pin
{
	SharedCell *cell;
	int			next;			/* in its bucket; -1: none */
	int			use;			/* of the deepest level; -1: none */
	int			level;			/* of the (sub)transaction that pinned it */
	int64		credit[NCOUNTERS];	/* sums of freed over its uses */
	bool		draining;		/* by us */
	TransactionId drainer;		/* under which id */
	int			drain_level;
} Pin;

typedef struct Use
{
	int			pin;
	int			below;			/* use of the same pin one level up, or -1 */
	int			level;			/* of the (sub)transaction */
	int			slot;			/* see inflight.c; -1: none */
	bool		units;			/* the slot says so */
	int64		taken[NCOUNTERS];	/* out of the counters */
	int64		freed[NCOUNTERS];	/* freed, less spent of what was freed */
	TimestampTz due;			/* first expiry of a new hold */
	int64		version;		/* of the stock row; -1: unchanged */
	bool		looked;			/* for the first expiry, see below */
} Use;

extern Pin *inventory_pins;
extern int	inventory_npins;
extern Use *inventory_uses;		/* in the order of their levels */
extern int	inventory_nuses;

extern void inventory_make_room(void **array, int n, int *max, Size size);
extern pg_atomic_uint64 *inventory_counter_of(SharedCell *cell,
											  Counter counter);
extern void inventory_drop_unused(int level);

#endif							/* PLINTH_INVENTORY_ACCOUNT_H */
