/*
 * src/inventory/account.c
 *		What this transaction has taken of cells and given to them.
 *
 * A pin belongs to the transaction, uses of a pinned cell belong to its
 * (sub)transactions.  A use says how many units were taken out of a counter,
 * which return to it if the subtransaction aborts, and what the subtransaction
 * has freed less what it has spent of what this transaction freed: that
 * reaches the counter only after commit.  The sum of the latter over all open
 * levels is never negative, so it does not matter at which of them something
 * was freed.
 *
 * What becomes of pins and uses when a (sub)transaction ends is in levels.c.
 *
 * Both lists are arrays, uses in the order of their levels; pins are found
 * through a small hash table of their indexes.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/account.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#define NBUCKETS 256

Pin		   *inventory_pins;
int			inventory_npins;
Use		   *inventory_uses;
int			inventory_nuses;
static int	maxpins;
static int	maxuses;
static int	buckets[NBUCKETS];

static int
bucket_of(int64 generation)
{
	return (int) ((uint64) generation % NBUCKETS);
}

/* Room for one more element of an array that lasts as long as the session. */
void
inventory_make_room(void **array, int n, int *max, Size size)
{
	if (n < *max)
		return;
	if (*array == NULL)
		*array = MemoryContextAlloc(TopMemoryContext, 16 * size);
	else
		*array = repalloc_huge(*array, 2 * (Size) *max * size);
	*max = *max ? 2 * *max : 16;
}

static int
find_pin(Oid relid, int64 generation)
{
	int			i;

	if (inventory_npins == 0)
		return -1;
	for (i = buckets[bucket_of(generation)]; i >= 0; i = inventory_pins[i].next)
	{
		SharedCellKey *key = &inventory_pins[i].cell->key;

		if (key->generation == generation && key->relid == relid)
			break;
	}
	return i;
}

static Pin *
pin_of(SharedCell *cell)
{
	int			i = find_pin(cell->key.relid, cell->key.generation);

	if (i < 0)
		elog(ERROR, "cell is not pinned");
	return &inventory_pins[i];
}

/* The cell if this transaction has pinned it, or NULL. */
SharedCell *
inventory_account_pinned(Oid relid, int64 generation)
{
	int			i = find_pin(relid, generation);

	return i < 0 ? NULL : inventory_pins[i].cell;
}

/*
 * Pin the cell that a cell row describes, load it if need be, and keep it
 * pinned until the transaction ends.  NULL if the row does not describe it any
 * more, maybe after waiting for who has changed it: read the row again.
 *
 * To be called before the transaction's first row write that concerns the
 * cell, with RowExclusiveLock on the stock table.
 */
SharedCell *
inventory_account_pin(Inventory *inv, const StockKey *key, const CellRow *row)
{
	SharedCell *cell = inventory_account_pinned(inv->relid, row->generation);
	Pin		   *pin;
	int			bucket;
	volatile bool usable = false;
	TransactionId changer = InvalidTransactionId;

	if (cell)
		return cell;
	inventory_make_room((void **) &inventory_pins, inventory_npins, &maxpins, sizeof(Pin));
	cell = inventory_shared_pin(inv->relid, row->generation);

	/* ours before it is loaded: the session may end meanwhile */
	if (inventory_npins == 0)
		memset(buckets, -1, sizeof(buckets));
	bucket = bucket_of(row->generation);
	pin = &inventory_pins[inventory_npins];
	memset(pin, 0, sizeof(Pin));
	pin->cell = cell;
	pin->use = -1;
	pin->level = GetCurrentTransactionNestLevel();
	pin->next = buckets[bucket];
	buckets[bucket] = inventory_npins++;
	PG_TRY();
	{
		usable = inventory_load(inv, key, cell, &changer);
	}
	PG_FINALLY();
	{
		/* loading pins nothing, so it is the last one */
		if (!usable)
		{
			buckets[bucket] = inventory_pins[--inventory_npins].next;
			inventory_shared_unpin(cell);
		}
	}
	PG_END_TRY();
	if (!usable)
	{
		/* waited for without a pin: the changer waits for pins */
		CHECK_FOR_INTERRUPTS();
		if (TransactionIdIsValid(changer))
			XactLockTableWait(changer, NULL, NULL, XLTW_None);
		return NULL;
	}
	return cell;
}

/* The use of a pinned cell by the current subtransaction. */
static Use *
use_of(Pin *pin)
{
	int			level = GetCurrentTransactionNestLevel();
	Use		   *use;

	if (pin->use >= 0 && inventory_uses[pin->use].level == level)
		return &inventory_uses[pin->use];
	inventory_make_room((void **) &inventory_uses, inventory_nuses, &maxuses, sizeof(Use));
	use = &inventory_uses[inventory_nuses];
	use->pin = pin - inventory_pins;
	use->below = pin->use;
	use->level = level;
	use->slot = -1;
	use->units = false;
	memset(use->taken, 0, sizeof(use->taken));
	memset(use->freed, 0, sizeof(use->freed));
	use->due = CELL_NEVER_DUE;
	use->version = -1;
	use->looked = false;
	pin->use = inventory_nuses++;
	return use;
}

/* The counter in shared memory. */
pg_atomic_uint64 *
inventory_counter_of(SharedCell *cell, Counter counter)
{
	return counter == COUNTER_FREE ? &cell->units : &cell->on_hand;
}

/* Tell others that units are in flight, before they are. */
static void
announce(Pin *pin, Use *use, Counter counter)
{
	if (use->slot < 0)
		use->slot = inventory_inflight_add(pin->cell, GetCurrentTransactionId());
	if (!use->units && counter == COUNTER_FREE)
		inventory_inflight_units(use->slot, true);
	use->units |= counter == COUNTER_FREE;
}

/*
 * It came to nothing.  Two that wait for each other's nothing would never end.
 */
static bool
not_taken(Use *use)
{
	if (use->units && use->taken[COUNTER_FREE] == 0 &&
		use->freed[COUNTER_FREE] == 0)
	{
		inventory_inflight_units(use->slot, false);
		use->units = false;
	}
	return false;
}

/*
 * This transaction writes rows of the cell without changing what is free: who
 * drains the cell waits for it.
 */
void
inventory_account_note(SharedCell *cell)
{
	Pin		   *pin = pin_of(cell);
	Use		   *use = use_of(pin);

	if (use->slot < 0)
		use->slot = inventory_inflight_add(pin->cell, GetCurrentTransactionId());
}

/* Give up pins of these levels that were of no use. */
void
inventory_drop_unused(int level)
{
	int			kept = 0;

	for (int i = 0; i < inventory_npins; i++)
	{
		if (inventory_pins[i].use < 0 && !inventory_pins[i].draining && inventory_pins[i].level >= level)
			inventory_shared_unpin(inventory_pins[i].cell);
		else
		{
			if (kept != i)
				inventory_pins[kept] = inventory_pins[i];
			for (int u = inventory_pins[kept].use; u >= 0; u = inventory_uses[u].below)
				inventory_uses[u].pin = kept;
			kept++;
		}
	}
	if (kept == inventory_npins)
		return;
	inventory_npins = kept;
	memset(buckets, -1, sizeof(buckets));
	for (int i = 0; i < inventory_npins; i++)
	{
		int			bucket = bucket_of(inventory_pins[i].cell->key.generation);

		inventory_pins[i].next = buckets[bucket];
		buckets[bucket] = i;
	}
}

/*
 * Give pins up that were of no use: whoever drains a cell would wait for this
 * transaction in vain.
 */
void
inventory_account_tidy(void)
{
	inventory_drop_unused(0);
}

/* What a counter says to this transaction. */
int64
inventory_account_units(SharedCell *cell, Counter counter)
{
	return (int64) pg_atomic_read_u64(inventory_counter_of(cell, counter)) +
		pin_of(cell)->credit[counter];
}

/* Units that this transaction could take now. */
int64
inventory_account_free(SharedCell *cell)
{
	return inventory_account_units(cell, COUNTER_FREE);
}

/*
 * Take units, first of those that this transaction has freed itself.  False,
 * and nothing done, if there are not so many.  Then no transaction id has been
 * assigned either, unless another was faster.
 */
bool
inventory_account_take(SharedCell *cell, Counter counter, int64 units)
{
	Pin		   *pin = pin_of(cell);
	pg_atomic_uint64 *shared = inventory_counter_of(cell, counter);
	int64		own = Min(pin->credit[counter], units);
	int64		rest = units - own;
	uint64		now = pg_atomic_read_u64(shared);
	Use		   *use;

	if ((rest > 0 && (int64) now < rest) ||
		(int64) now + pin->credit[counter] < units)
		return false;
	use = use_of(pin);
	announce(pin, use, counter);
	if (rest > 0)
	{
		do
		{
			if ((int64) now < rest)
				return not_taken(use);
		} while (!pg_atomic_compare_exchange_u64(shared, &now,
												 now - (uint64) rest));
		pg_atomic_fetch_add_u64(&cell->changes, 1);
		use->taken[counter] += rest;
	}
	use->freed[counter] -= own;
	pin->credit[counter] -= own;
	return true;
}

/* Free units: others may have them after commit, this transaction at once. */
void
inventory_account_give(SharedCell *cell, Counter counter, int64 units)
{
	Pin		   *pin = pin_of(cell);
	Use		   *use = use_of(pin);

	announce(pin, use, counter);
	use->freed[counter] += units;
	pin->credit[counter] += units;
}

/* Make it known that a hold of the cell expires then. */
void
inventory_account_due_now(SharedCell *cell, TimestampTz due)
{
	uint64		now = pg_atomic_read_u64(&cell->due);

	while (due < (TimestampTz) now &&
		   !pg_atomic_compare_exchange_u64(&cell->due, &now, (uint64) due))
		;
}

/*
 * A hold of the cell expires then.  Told at once, and once more at commit: who
 * finds the first expiry anew meanwhile does not see our row.
 */
void
inventory_account_due(SharedCell *cell, TimestampTz due)
{
	Use		   *use = use_of(pin_of(cell));

	use->due = Min(use->due, due);
	inventory_account_due_now(cell, due);
}

/*
 * When the next hold expires is about to be found anew, as this transaction
 * sees it.  If it has changed holds of the cell and aborts, somebody must look
 * again.
 */
void
inventory_account_looked(SharedCell *cell)
{
	Pin		   *pin = pin_of(cell);

	if (pin->use >= 0)
		use_of(pin)->looked = true;
}

/* The version of the stock row, as this transaction sees it. */
int64
inventory_account_seen_version(SharedCell *cell)
{
	for (int i = pin_of(cell)->use; i >= 0; i = inventory_uses[i].below)
	{
		if (inventory_uses[i].version >= 0)
			return inventory_uses[i].version;
	}
	return (int64) pg_atomic_read_u64(&cell->version);
}

/* The stock row has this version once the transaction has committed. */
void
inventory_account_version(SharedCell *cell, int64 version)
{
	use_of(pin_of(cell))->version = version;
}

/*
 * Units on hand that no hold and no claim stands for, if this transaction's are
 * counted; less than zero if more is sold than is there.
 */
int64
inventory_account_slack(SharedCell *cell)
{
	return inventory_account_free(cell) - (int64) pg_atomic_read_u64(&cell->beyond);
}

/*
 * Keep everybody from pinning the cell and wait until nobody else has it
 * pinned.  If the (sub)transaction commits this generation of the cell is
 * over, otherwise it goes on.  The caller holds the stock row's lock, so there
 * is one who does this at a time.
 */
void
inventory_account_drain(SharedCell *cell)
{
	Pin		   *pin = pin_of(cell);
	TransactionId xid = GetCurrentTransactionId();
	uint32		state = CELL_READY;

	pg_atomic_write_u32(&cell->changer, xid);
	while (!pg_atomic_compare_exchange_u32(&cell->state, &state, CELL_DRAINING))
	{
		/* somebody looks whether to load it anew, and will not: we have it */
		if (state != CELL_LOADING)
			elog(ERROR, "cell is in state %u", state);
		inventory_nap(cell->key.generation);
		state = CELL_READY;
	}
	pin->draining = true;
	pin->drainer = xid;
	pin->drain_level = GetCurrentTransactionNestLevel();

	/* full barriers in the exchange above and in pinning */
	while (pg_atomic_read_u32(&cell->pins) > 1)
	{
		TransactionId other = inventory_inflight_other(cell, false);

		if (TransactionIdIsValid(other))
			XactLockTableWait(other, NULL, NULL, XLTW_None);
		else
			inventory_nap(cell->key.generation);
	}
}
