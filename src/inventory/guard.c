/*
 * src/inventory/guard.c
 *		The triggers on the stock table: changes by other SQL.
 *
 * Old code goes on writing the table: it reserves by UPDATE, restocks, inserts
 * and deletes.  Before a row is written its cell is pinned if it is in escrow
 * mode; after it is written, the change is a movement in the ledger, and units
 * are taken from the counter or given to it.  What would oversell is refused.
 *
 * Our own statements say beforehand what they are going to change.  A change
 * that is just that is known already; a stock row that did not change just so,
 * because another trigger meddled or ours are disabled, is an error: the
 * ledger would be wrong.
 *
 * A BEFORE ROW trigger runs under the lock of the row.  What mode and limits
 * are is looked at again there: whoever changes them holds that lock.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "kit/errors.h"

PLINTH_FUNCTION(plinth_inventory_stock);
PLINTH_FUNCTION(plinth_inventory_guard);

/* Statements of ours on companions that are running. */
int			inventory_writing = 0;

/* What our own statements on stock tables are about to change, innermost first. */
static Expected *expectations;

/* From now on, a change is expected. */
void
inventory_expect(Expected *expected)
{
	expected->outer = expectations;
	expectations = expected;
}

/* It is not any more, whether it came or not. */
void
inventory_expect_no_more(Expected *expected)
{
	expectations = expected->outer;
}

/* 55000 unless the change came just as it was expected. */
void
inventory_expect_seen(Inventory *inv, const Expected *expected)
{
	if (!expected->seen || !expected->looked)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("stock of %s did not change as it should",
						inventory_key_label(inv, &expected->key)),
				 errdetail("A trigger of \"%s\" changed the row otherwise, or those of plinth_inventory are disabled.",
						   get_rel_name(inv->relid)),
				 errhint("plinth_inventory.check() says whether triggers are missing or disabled.")));
}

/* Is this row the one that a statement of ours changes? */
static Expected *
find_expected(Inventory *inv, const StockKey *key)
{
	if (expectations && expectations->relid == inv->relid &&
		!expectations->seen &&
		inventory_key_compare(inv, &expectations->key, key) == 0)
		return expectations;
	return NULL;
}

/*
 * Does our statement change the row as it should?  Then it is known to the cell
 * already, or moves what the cell has into the stock row, which changes nothing
 * that is counted: folding needs no counter.
 */
static bool
as_expected(const Expected *expected, const StockRow *old, const StockRow *now)
{
	return now->quantity - old->quantity == expected->quantity &&
		now->reserved - old->reserved == expected->reserved;
}

static bool
same_terms(const CellRow *a, const CellRow *b)
{
	return a->generation == b->generation && a->escrow == b->escrow &&
		a->safety_stock == b->safety_stock &&
		a->oversell_limit == b->oversell_limit;
}

static void
refuse(Inventory *inv, const StockKey *key, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("cannot %s %s in inventory \"%s\" while units are reserved",
					what, inventory_key_label(inv, key),
					get_rel_name(inv->relid)),
			 errhint("Confirm or release its reservations first.")));
}

/* 55006 if a cell cannot be removed: it holds units, or its counter is in use. */
static void
check_removable(Inventory *inv, const StockKey *key, const CellRow *cell,
				const StockRow *stock, const char *what)
{
	Datum		values[INVENTORY_MAX_KEYS];

	if (cell->escrow)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot %s %s in inventory \"%s\" while it is in escrow mode",
						what, inventory_key_label(inv, key),
						get_rel_name(inv->relid)),
				 errhint("Use plinth_inventory.set_mode() to put it into row mode first.")));
	(void) inventory_key_values(inv, key, values);
	if (stock->reserved != 0 ||
		inventory_run(inv, ST_HELD, values, NULL) > 0)
		refuse(inv, key, what);
}

/*
 * Before a row changes: pin its cell.  False if our own statement was made for
 * other terms than those that are true.
 */
static bool
before_row(Inventory *inv, TriggerData *trigdata)
{
	StockKey	key = inventory_key_of_slot(inv, trigdata->tg_trigslot);
	StockRow	old = inventory_stock_of_slot(inv, trigdata->tg_trigslot);
	StockRow	now = old;
	Expected   *expected = find_expected(inv, &key);
	CellRow		cell;

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		now = inventory_stock_of_slot(inv, trigdata->tg_newslot);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) && expected == NULL)
	{
		StockKey	newkey = inventory_key_of_slot(inv, trigdata->tg_newslot);

		if (old.quantity == now.quantity && old.reserved == now.reserved &&
			old.version == now.version &&
			inventory_key_compare(inv, &key, &newkey) == 0)
			return true;
	}
	if (!inventory_cell_latest(inv, &key, &cell))
		return true;
	if (expected)
		expected->looked = true;
	if (expected && expected->row && !same_terms(expected->row, &cell))
	{
		expected->stale = true;
		return false;
	}
	if (cell.escrow && !cell.foreign_system &&
		!(expected && as_expected(expected, &old, &now)))
	{
		SharedCell *shared;

		do
		{
			/* under the lock of the row it stays what it is */
			shared = inventory_account_pin(inv, &key, &cell);
		} while (shared == NULL);

		/* the pin must still be there after the row, whatever runs between */
		if (expected == NULL)
			inventory_account_note(shared);
	}
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		check_removable(inv, &key, &cell, &old, "delete");
	return true;
}

/* 23514, also where the table itself does not check it. */
static void
refuse_negative(Inventory *inv, const StockKey *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("quantity and reserved of %s must not be negative",
					inventory_key_label(inv, key))));
}

/* 23514 if other SQL has taken units of a cell that were not free. */
static void
check_free(Inventory *inv, const StockKey *key, const CellRow *cell,
		   const StockRow *now, int64 freed)
{
	int64		free = now->quantity - now->reserved - cell->safety_stock +
		cell->oversell_limit;

	if (freed < 0 && free < 0)
		inventory_short(inv, key, -freed, free - freed);
}

/*
 * 23514 if other SQL gives back units that reservations hold.  The stock row,
 * which is locked, has `reserved` now; what its cell has besides and what
 * reservations hold is read through one snapshot.
 */
static void
check_held(Inventory *inv, const StockKey *key, const CellRow *cell,
		   int64 reserved)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Datum		values[INVENTORY_MAX_KEYS];
	Tail		tail;
	bool		isnull;
	int64		held;

	inventory_tail_read(inv, cell, snapshot, InvalidFullTransactionId, &tail);
	reserved += tail.reserved;
	(void) inventory_key_values(inv, key, values);
	plinth_spi_begin();
	(void) inventory_execute(inv, ST_HELD_UNITS, values, NULL, snapshot);
	held = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
	plinth_spi_end();
	UnregisterSnapshot(snapshot);
	if (reserved < held)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("reserved of %s must not be less than what its reservations hold",
						inventory_key_label(inv, key)),
				 errdetail("Reserved would be " INT64_FORMAT ", and reservations hold " INT64_FORMAT ".",
						   reserved, held),
				 errhint("Use plinth_inventory.release() or confirm().")));
}

/* A change of numbers by other SQL: the ledger has it, and so has the counter. */
static void
follow_change(Inventory *inv, const StockKey *key, const StockRow *old,
			  const StockRow *now)
{
	MovementRow movement = inventory_movement(key, "sql");
	int64		reserved = now->reserved;
	int64		freed;
	CellRow		cell;

	movement.quantity = now->quantity - old->quantity;
	movement.reserved = now->reserved - old->reserved;
	freed = movement.quantity - movement.reserved;
	if (now->quantity < 0 || now->reserved < 0)
		refuse_negative(inv, key);
	if (!inventory_cell_latest(inv, key, &cell))
		inventory_cell_get(inv, key, &cell);
	if (cell.foreign_system)
	{
		/*
		 * Nobody has pinned the generation that begins now: who does will
		 * load what this transaction has written.
		 */
		StockRow	exact;

		inventory_adopt(inv, key);
		exact = inventory_exact_stock(inv, key, &cell);
		reserved = exact.reserved;
		cell.escrow = false;	/* nothing but what the row has */
		check_free(inv, key, &cell, &exact, freed);
	}
	else if (cell.escrow)
	{
		SharedCell *shared = inventory_account_pinned(inv->relid,
													  cell.generation);

		if (shared == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("trigger \"%s\" of inventory \"%s\" did not run",
							INVENTORY_BEFORE_TRIGGER, get_rel_name(inv->relid)),
					 errhint("Enable it with ALTER TABLE ... ENABLE ALWAYS TRIGGER.")));
		inventory_account_note(shared);
		if (movement.quantity < 0 &&
			!inventory_account_take(shared, COUNTER_ON_HAND, -movement.quantity))
			inventory_not_on_hand(inv, key);
		if (freed < 0 && !inventory_account_take(shared, COUNTER_FREE, -freed))
			inventory_short(inv, key, -freed, inventory_account_free(shared));
		if (freed > 0)
			inventory_account_give(shared, COUNTER_FREE, freed);
		if (movement.quantity > 0)
			inventory_account_give(shared, COUNTER_ON_HAND, movement.quantity);
		if (now->version != old->version)
			inventory_account_version(shared, now->version);
	}
	else
		check_free(inv, key, &cell, now, freed);
	if (movement.reserved < 0)
		check_held(inv, key, &cell, reserved);
	if (movement.quantity != 0 || movement.reserved != 0)
		inventory_write_movement(inv, &movement);
}

/* A row has come, or gone. */
static void
follow_row(Inventory *inv, const StockKey *key, const StockRow *stock, int sign)
{
	MovementRow movement = inventory_movement(key, sign > 0 ? "open" : "close");

	if (sign > 0)
	{
		if (stock->quantity < 0 || stock->reserved < 0)
			refuse_negative(inv, key);
		inventory_cell_add(inv, key);
	}
	else
	{
		Datum		values[INVENTORY_MAX_KEYS];

		(void) inventory_key_values(inv, key, values);
		(void) inventory_run(inv, ST_DROP_CELL, values, NULL);
	}
	movement.quantity = sign * stock->quantity;
	movement.reserved = sign * stock->reserved;
	if (movement.quantity != 0 || movement.reserved != 0)
		inventory_write_movement(inv, &movement);
}

/* After a row has changed. */
static void
after_row(Inventory *inv, TriggerData *trigdata)
{
	TupleTableSlot *slot = trigdata->tg_trigslot;
	StockKey	key = inventory_key_of_slot(inv, slot);
	StockRow	old = inventory_stock_of_slot(inv, slot);
	StockKey	newkey;
	StockRow	now;
	Expected   *expected;

	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
	{
		follow_row(inv, &key, &old, 1);
		return;
	}
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
	{
		follow_row(inv, &key, &old, -1);
		return;
	}
	newkey = inventory_key_of_slot(inv, trigdata->tg_newslot);
	now = inventory_stock_of_slot(inv, trigdata->tg_newslot);
	if (inventory_key_compare(inv, &key, &newkey) != 0)
	{
		CellRow		cell;

		inventory_cell_get(inv, &key, &cell);
		check_removable(inv, &key, &cell, &old, "rename");
		follow_row(inv, &key, &old, -1);
		follow_row(inv, &newkey, &now, 1);
		return;
	}
	expected = find_expected(inv, &key);
	if (expected && as_expected(expected, &old, &now))
	{
		if (now.quantity < 0 || now.reserved < 0)
			refuse_negative(inv, &key);
		expected->seen = true;
		return;
	}
	if (old.quantity != now.quantity || old.reserved != now.reserved ||
		old.version != now.version)
		follow_change(inv, &key, &old, &now);
}

/* All rows go. */
static void
before_truncate(Inventory *inv)
{
	PlinthIdentity saved;
	bool		held;

	(void) inventory_fold_all(inv, true);
	plinth_become(&saved, inv->owner);
	held = plinth_sql_strings("SELECT 1 FROM %s WHERE finished_at IS NULL LIMIT 1",
							  inv->options->reservation) != NIL;
	plinth_restore_identity(&saved);
	if (held)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot truncate inventory \"%s\" while units are reserved",
						get_rel_name(inv->relid)),
				 errhint("Confirm or release its reservations first.")));
	inventory_close_all(inv);
	inventory_account_stale(inv->relid);
}

/*
 * plinth_inventory.stock(): trigger before and after each row of an inventory,
 * and before TRUNCATE.
 */
Datum
plinth_inventory_stock(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Inventory  *inv;
	HeapTuple	result;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"plinth_inventory.stock")));
	result = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	inv = inventory_get(RelationGetRelid(trigdata->tg_relation));

	/* changes that were made elsewhere come with their own ledger */
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
	{
		inventory_account_stale(inv->relid);
		return PointerGetDatum(TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ?
							   result : NULL);
	}
	inventory_hold(&inv);
	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
	{
		before_truncate(inv);
		return PointerGetDatum(NULL);
	}
	if (TRIGGER_FIRED_BEFORE(trigdata->tg_event))
	{
		if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) &&
			!before_row(inv, trigdata))
			return PointerGetDatum(NULL);
	}
	else
		after_row(inv, trigdata);
	return PointerGetDatum(result);
}

/*
 * The stock table that a companion's guard names, if the companion is really
 * one of its own: anybody can put a trigger with any argument on a table of his.
 */
static Oid
stock_of_guard(Relation companion, Trigger *trigger)
{
	Oid			relid = trigger->tgnargs == 1 ?
		plinth_qualified_oid(trigger->tgargs[0]) : InvalidOid;
	InventoryOptions *options = OidIsValid(relid) ?
		inventory_table_options(relid) : NULL;
	Oid			companionid = RelationGetRelid(companion);

	if (options == NULL ||
		plinth_relation_owner(relid) != companion->rd_rel->relowner ||
		(plinth_qualified_oid(options->reservation) != companionid &&
		 plinth_qualified_oid(options->movement) != companionid &&
		 plinth_qualified_oid(options->cell) != companionid))
		return InvalidOid;
	return relid;
}

/*
 * plinth_inventory.guard(): trigger before each row that is inserted into a
 * companion, and before other statements on it.  Rows may come from a restore:
 * then nobody claims meanwhile, and all counters are made anew.
 */
Datum
plinth_inventory_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HeapTuple	result;
	Oid			relid;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"plinth_inventory.guard")));
	result = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	if (inventory_writing > 0)
		return PointerGetDatum(TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ?
							   result : NULL);
	relid = stock_of_guard(trigdata->tg_relation, trigdata->tg_trigger);
	if (OidIsValid(relid))
	{
		if (SessionReplicationRole != SESSION_REPLICATION_ROLE_REPLICA)
		{
			if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
				ereport(ERROR,
						(errcode(ERRCODE_PLINTH_INVENTORY_LEDGER),
						 errmsg("table \"%s\" cannot be changed by hand",
								RelationGetRelationName(trigdata->tg_relation)),
						 errdetail("It is kept by plinth_inventory for inventory \"%s\".",
								   get_rel_name(relid)),
						 errhint("Use the functions of plinth_inventory."),
						 errtable(trigdata->tg_relation)));
			LockRelationOid(relid, ShareRowExclusiveLock);
		}
		inventory_account_stale(relid);
	}
	return PointerGetDatum(TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ?
						   result : NULL);
}
