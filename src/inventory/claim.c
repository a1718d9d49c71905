/*
 * src/inventory/claim.c
 *		Units out of a cell, in either mode; units back.
 *
 * In row mode it is one conditional UPDATE.  If it finds nothing to update,
 * the row is read as it is now: if it would do, somebody changed it meanwhile,
 * and the UPDATE is tried again (at READ COMMITTED; a transaction with a
 * snapshot of its own must live with what it sees).
 *
 * In escrow mode units leave the counter of the cell, and no row is written
 * but the reservation, by the caller.
 *
 * Locks: RowExclusiveLock on the stock table, which the caller has taken; in
 * row mode the stock row.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

/* 23514: not so many units. */
void
inventory_short(Inventory *inv, const StockKey *key, int64 wanted, int64 free)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("not enough stock of %s", inventory_key_label(inv, key)),
			 errdetail("Wanted: " INT64_FORMAT ", available: " INT64_FORMAT ".",
					   wanted, Max(free, 0))));
}

/* 42501 unless the current role may UPDATE the table or what moves in it. */
static void
check_rights(Inventory *inv)
{
	AclResult	result = pg_class_aclcheck(inv->relid, GetUserId(), ACL_UPDATE);
	AttrNumber	atts[3];

	if (result == ACLCHECK_OK)
		return;
	atts[0] = inv->quantity_att;
	atts[1] = inv->reserved_att;
	atts[2] = inv->version_att;
	for (int i = 0; i < 3; i++)
	{
		if (pg_attribute_aclcheck(inv->relid, atts[i], GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_TABLE, get_rel_name(inv->relid));
	}
}

/* 23514: the units are sold, but not there. */
void
inventory_not_on_hand(Inventory *inv, const StockKey *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("not enough units of %s are on hand",
					inventory_key_label(inv, key)),
			 errdetail("More is reserved than is there."),
			 errhint("Receive units first, or release reservations.")));
}

/*
 * May the current role move stock?  It needs UPDATE on the table or on the
 * three columns, and is asked before it may lock anything.  Takes the lock on
 * the table that a claim holds to the end of its transaction, and sees that the
 * transaction may write.
 */
void
inventory_check_writer(Inventory **inv, const char *command)
{
	Oid			relid = (*inv)->relid;

	PreventCommandIfReadOnly(command);
	PreventCommandIfParallelMode(command);
	PreventCommandDuringRecovery(command);
	check_rights(*inv);
	LockRelationOid(relid, RowExclusiveLock);
	inventory_check_exists(relid);
	if (!(*inv)->valid)
	{
		*inv = inventory_get(relid);
		check_rights(*inv);
	}
	inventory_hold(inv);
}

/* 0A000 if policies would have to be asked, which escrow mode does not do. */
void
inventory_check_policies(Inventory *inv)
{
	if (check_enable_rls(inv->relid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row-level security of inventory \"%s\" applies to role \"%s\", and SKUs in escrow mode cannot honor it",
						get_rel_name(inv->relid),
						GetUserNameFromId(GetUserId(), false)),
				 errhint("Use plinth_inventory.set_mode() to put them into row mode.")));
}

/* Why the UPDATE found nothing. */
static ClaimOutcome
why_not(Inventory *inv, Claim *claim, const CellRow *cell, bool *again)
{
	StockRow	stock;
	Snapshot	snapshot;
	bool		there;

	*again = false;
	if (check_enable_rls(inv->relid, InvalidOid, true) == RLS_ENABLED)
	{
		/* policies decide what there is */
		inventory_lock_stock(inv, &claim->key, &stock);
	}
	else
	{
		snapshot = RegisterSnapshot(IsolationUsesXactSnapshot() ?
									GetTransactionSnapshot() :
									GetLatestSnapshot());
		there = inventory_read_stock(inv, &claim->key, snapshot, &stock);
		UnregisterSnapshot(snapshot);
		if (!there)
			inventory_unknown(inv, &claim->key);
	}
	claim->available = stock.quantity - stock.reserved - cell->safety_stock +
		cell->oversell_limit;
	claim->version = stock.version;
	if (claim->expected_version >= 0 && claim->expected_version != stock.version)
		return CLAIM_VERSION_CONFLICT;
	if (claim->available >= claim->quantity && !IsolationUsesXactSnapshot())
		*again = true;
	return CLAIM_SOLD_OUT;
}

/*
 * Row mode.  *stale: nothing was done because mode or limits are others than
 * those in the cell row.
 */
static ClaimOutcome
claim_row(Inventory *inv, Claim *claim, const CellRow *cell, bool *stale)
{
	Datum		values[INVENTORY_MAX_KEYS + 3];
	char		nulls[INVENTORY_MAX_KEYS + 4];
	int			n = inventory_key_values(inv, &claim->key, values);
	ClaimOutcome outcome;
	bool		again;
	Claim		before = {.version = -1};

	memset(nulls, ' ', sizeof(nulls));
	values[n] = Int64GetDatum(claim->quantity);
	values[n + 1] = Int64GetDatum(cell->safety_stock - cell->oversell_limit);
	values[n + 2] = Int64GetDatum(claim->expected_version);
	if (claim->expected_version < 0)
		nulls[n + 2] = 'n';
	do
	{
		Expected	expected = {0};
		uint64		changed;

		expected.relid = inv->relid;
		expected.key = claim->key;
		expected.reserved = claim->quantity;
		expected.row = cell;
		CHECK_FOR_INTERRUPTS();
		plinth_spi_begin();
		changed = inventory_execute_expecting(inv, ST_RESERVE, values, nulls,
											  &expected);
		if (changed > 0)
		{
			bool		isnull;

			claim->available = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
														   SPI_tuptable->tupdesc,
														   1, &isnull)) -
				cell->safety_stock + cell->oversell_limit;
			claim->version = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
														 SPI_tuptable->tupdesc,
														 2, &isnull));
		}
		plinth_spi_end();
		*stale = expected.stale;
		if (expected.stale)
			return CLAIM_SOLD_OUT;
		if (changed > 0)
		{
			inventory_expect_seen(inv, &expected);
			claim->available += inventory_overdue(inv, &claim->key);
			claim->generation = 0;
			return CLAIM_DONE;
		}
		outcome = why_not(inv, claim, cell, &again);

		/* nothing has changed, and still the row will not: it never will */
		if (again && claim->version == before.version &&
			claim->available == before.available)
			inventory_expect_seen(inv, &expected);
		before = *claim;
		if (outcome == CLAIM_SOLD_OUT && !again)
			again = inventory_expire_cell(inv, &claim->key, INVENTORY_EXPIRE_AT_ONCE) > 0;
	} while (again);
	return outcome;
}

/* Escrow mode.  *again: something was waited for, and the pin given up. */
static ClaimOutcome
claim_escrow(Inventory *inv, Claim *claim, SharedCell *cell, bool *again)
{
	ClaimOutcome outcome = CLAIM_SOLD_OUT;

	*again = false;
	claim->generation = cell->key.generation;
	claim->version = inventory_account_seen_version(cell);
	if (claim->expected_version >= 0 && claim->expected_version != claim->version)
		outcome = CLAIM_VERSION_CONFLICT;
	else
	{
		for (;;)
		{
			uint64		changes = pg_atomic_read_u64(&cell->changes);
			TransactionId other;

			CHECK_FOR_INTERRUPTS();
			if (inventory_account_take(cell, COUNTER_FREE, claim->quantity))
			{
				outcome = CLAIM_DONE;
				if (claim->expires_at != CELL_NEVER_DUE)
					inventory_account_due(cell, claim->expires_at);
				break;
			}
			if ((TimestampTz) pg_atomic_read_u64(&cell->due) <= GetCurrentTimestamp() &&
				inventory_expire_cell(inv, &claim->key, INVENTORY_EXPIRE_AT_ONCE) > 0)
				continue;
			if (claim->shortage != SHORTAGE_WAIT)
				break;
			other = inventory_inflight_other(cell, true);
			if (TransactionIdIsValid(other))
			{
				/* whoever drains a cell must not wait for who waits for him */
				inventory_account_tidy();
				XactLockTableWait(other, NULL, NULL, XLTW_None);
				*again = true;
				return outcome;
			}

			/* who was in flight and is not has taken or returned its units */
			if (pg_atomic_read_u64(&cell->changes) == changes)
				break;
		}
	}
	claim->available = inventory_account_free(cell);

	/* what is overdue counts as free, unless somebody keeps it from us */
	if (outcome != CLAIM_SOLD_OUT)
		claim->available += inventory_overdue_pinned(inv, &claim->key, cell);
	return outcome;
}

/*
 * Take units of a cell.  The caller has called inventory_check_writer(), and
 * writes the reservation with claim->generation.
 */
ClaimOutcome
inventory_claim(Inventory *inv, Claim *claim)
{
	for (;;)
	{
		CellRow		cell;
		ClaimOutcome outcome;

		CHECK_FOR_INTERRUPTS();
		inventory_cell_get(inv, &claim->key, &cell);
		if (cell.escrow)
		{
			SharedCell *shared;
			bool		again;

			inventory_check_policies(inv);
			shared = inventory_account_pin(inv, &claim->key, &cell);
			if (shared == NULL)
				continue;
			outcome = claim_escrow(inv, claim, shared, &again);
			if (again)
				continue;
		}
		else
		{
			bool		stale;

			outcome = claim_row(inv, claim, &cell, &stale);
			if (stale)
				continue;
		}
		claim->available = Max(claim->available, 0);
		if (outcome == CLAIM_SOLD_OUT && claim->shortage == SHORTAGE_ERROR)
			inventory_short(inv, &claim->key, claim->quantity, claim->available);
		return outcome;
	}
}

/*
 * Pin the cell if it is in escrow mode: before the first row that is written
 * on its behalf.  NULL if it is in row mode.
 */
SharedCell *
inventory_pin(Inventory *inv, const StockKey *key, CellRow *cell)
{
	for (;;)
	{
		SharedCell *shared;

		inventory_cell_get(inv, key, cell);
		if (!cell->escrow)
			return NULL;
		inventory_check_policies(inv);
		shared = inventory_account_pin(inv, key, cell);
		if (shared)
			return shared;
	}
}

/*
 * An event that frees units or leaves the free ones as they are (release,
 * expiry, confirmation, receipt): into the stock row and the ledger in row
 * mode, into the ledger alone in escrow mode.  The changes are of quantity and
 * reserved.
 */
void
inventory_event(Inventory *inv, MovementRow *movement)
{
	int64		freed = movement->quantity - movement->reserved;

	Assert(freed >= 0);
	for (;;)
	{
		CellRow		cell;
		SharedCell *shared = inventory_pin(inv, &movement->stock, &cell);

		if (shared)
		{
			movement->generation = cell.generation;
			inventory_account_note(shared);
			if (movement->quantity < 0 &&
				!inventory_account_take(shared, COUNTER_ON_HAND, -movement->quantity))
				inventory_not_on_hand(inv, &movement->stock);
			inventory_write_movement(inv, movement);
			if (freed > 0)
				inventory_account_give(shared, COUNTER_FREE, freed);
			if (movement->quantity > 0)
				inventory_account_give(shared, COUNTER_ON_HAND, movement->quantity);
			return;
		}
		movement->generation = 0;
		/* overdue holds count as free all along: it changes nothing that counts */
		if (inventory_change_stock(inv, &movement->stock, &cell,
								   movement->quantity, movement->reserved,
								   strcmp(movement->kind, "expire") == 0 ? 0 : 1))
		{
			inventory_write_movement(inv, movement);
			return;
		}
	}
}
