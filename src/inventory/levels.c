/*
 * src/inventory/levels.c
 *		What becomes of it when a (sub)transaction ends: the callbacks.
 *
 * They move uses from level to level, and settle or undo them.  Nothing in them
 * can fail: they allocate no memory and take no lock.  At commit they run after
 * the transaction has become visible and before its locks go, at abort before
 * its transaction ids' locks go, so whoever waits for one of those finds the
 * counter put right.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/account.h"

#include "access/xact.h"

/* Epochs that go up when the transaction ends, one way or the other. */
static pg_atomic_uint64 **stale;
static int	nstale;
static int	maxstale;

/* Will the cells of a table be loaded anew after this transaction? */
bool
inventory_account_is_stale(Oid relid)
{
	pg_atomic_uint64 *epoch = inventory_shared_epoch(relid);

	for (int i = 0; i < nstale; i++)
	{
		if (stale[i] == epoch)
			return true;
	}
	return false;
}

/* Have them loaded anew. */
void
inventory_account_stale(Oid relid)
{
	if (inventory_account_is_stale(relid))
		return;
	inventory_make_room((void **) &stale, nstale, &maxstale,
						sizeof(pg_atomic_uint64 *));
	stale[nstale++] = inventory_shared_epoch(relid);
}

/* Take back what a use has done; it is the last one of its pin. */
static void
undo_use(Use *use)
{
	Pin		   *pin = &inventory_pins[use->pin];

	for (int i = 0; i < NCOUNTERS; i++)
	{
		if (use->taken[i] != 0)
		{
			pg_atomic_fetch_add_u64(inventory_counter_of(pin->cell, i), use->taken[i]);
			pg_atomic_fetch_add_u64(&pin->cell->changes, 1);
		}
		pin->credit[i] -= use->freed[i];
	}

	/* holds are again what they were */
	if (use->looked)
		inventory_account_due_now(pin->cell, DT_NOBEGIN);
	if (use->slot >= 0)
		inventory_inflight_remove(use->slot);
	pin->use = use->below;
}

/* A drained cell goes on after all. */
static void
undo_drain(Pin *pin)
{
	pg_atomic_write_u32(&pin->cell->changer, InvalidTransactionId);
	pg_memory_barrier();
	pg_atomic_write_u32(&pin->cell->state, CELL_READY);
	pin->draining = false;
}

/* The uses of a subtransaction become its parent's. */
static void
merge_uses(int level)
{
	int			first = inventory_nuses;
	int			kept;

	while (first > 0 && inventory_uses[first - 1].level >= level)
		first--;
	kept = first;
	for (int i = first; i < inventory_nuses; i++)
	{
		Use		   *use = &inventory_uses[i];
		Pin		   *pin = &inventory_pins[use->pin];
		Use		   *parent = use->below >= 0 ? &inventory_uses[use->below] : NULL;

		if (parent && parent->level == level - 1)
		{
			for (int c = 0; c < NCOUNTERS; c++)
			{
				parent->taken[c] += use->taken[c];
				parent->freed[c] += use->freed[c];
			}
			parent->due = Min(parent->due, use->due);
			if (use->version >= 0)
				parent->version = use->version;
			parent->looked |= use->looked;

			/* one id stands for both: each leads to the transaction */
			if (use->slot >= 0 && (parent->slot < 0 || !parent->units))
			{
				if (parent->slot >= 0)
					inventory_inflight_remove(parent->slot);
				parent->slot = use->slot;
				parent->units = use->units;
			}
			else if (use->slot >= 0)
				inventory_inflight_remove(use->slot);
			pin->use = use->below;
		}
		else
		{
			inventory_uses[kept] = *use;
			inventory_uses[kept].level = level - 1;
			pin->use = kept++;
		}
	}
	inventory_nuses = kept;
	for (int i = 0; i < inventory_npins; i++)
	{
		if (inventory_pins[i].draining && inventory_pins[i].drain_level >= level)
			inventory_pins[i].drain_level = level - 1;
		if (inventory_pins[i].level >= level)
			inventory_pins[i].level = level - 1;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	int			level;

	if (inventory_npins == 0)
		return;
	level = GetCurrentTransactionNestLevel();
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		merge_uses(level);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (inventory_nuses > 0 && inventory_uses[inventory_nuses - 1].level >= level)
			undo_use(&inventory_uses[--inventory_nuses]);
		for (int i = 0; i < inventory_npins; i++)
		{
			if (inventory_pins[i].draining && inventory_pins[i].drain_level >= level)
				undo_drain(&inventory_pins[i]);
		}

		/* whoever was going to use them is gone */
		inventory_drop_unused(level);
	}
}

/* The transaction has committed: what it freed is free. */
static void
settle_use(Use *use)
{
	SharedCell *cell = inventory_pins[use->pin].cell;

	if (use->due != CELL_NEVER_DUE)
		inventory_account_due_now(cell, use->due);
	if (use->version >= 0)
	{
		uint64		now = pg_atomic_read_u64(&cell->version);

		while ((int64) now < use->version &&
			   !pg_atomic_compare_exchange_u64(&cell->version, &now,
											   (uint64) use->version))
			;
	}
	for (int i = 0; i < NCOUNTERS; i++)
	{
		if (use->freed[i] != 0)
		{
			pg_atomic_fetch_add_u64(inventory_counter_of(cell, i), use->freed[i]);
			pg_atomic_fetch_add_u64(&cell->changes, 1);
		}
	}
	if (use->slot >= 0)
		inventory_inflight_remove(use->slot);
}

static void
end_transaction(bool committed)
{
	while (inventory_nuses > 0)
	{
		if (committed)
			settle_use(&inventory_uses[--inventory_nuses]);
		else
			undo_use(&inventory_uses[--inventory_nuses]);
	}
	for (int i = 0; i < nstale; i++)
		pg_atomic_fetch_add_u64(stale[i], 1);
	nstale = 0;
	for (int i = 0; i < inventory_npins; i++)
	{
		if (inventory_pins[i].draining && committed)
			pg_atomic_write_u32(&inventory_pins[i].cell->state, CELL_CLOSED);
		else if (inventory_pins[i].draining)
			undo_drain(&inventory_pins[i]);
		inventory_shared_unpin(inventory_pins[i].cell);
	}
	inventory_npins = 0;
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			end_transaction(true);
			break;
		case XACT_EVENT_ABORT:
			end_transaction(false);
			break;
		case XACT_EVENT_PRE_PREPARE:
			/* nobody tells us when a prepared transaction ends */
			if (inventory_npins > 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has used a SKU in escrow mode"),
						 errhint("Use plinth_inventory.set_mode() to put the SKU into row mode, or commit without PREPARE.")));
			if (nstale > 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has changed the tables of an inventory")));
			break;
		default:
			break;
	}
}

void
inventory_account_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
