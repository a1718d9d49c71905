/*
 * src/inventory/recount.c
 *		What is in shared memory of a table's cells, compared with the tables.
 *
 * A counter moves after its transaction has become visible, so it is compared
 * only while nobody else has its cell pinned, before and after the tables are
 * read; whoever pinned and unpinned it meanwhile has changed something that is
 * looked at.  A cell that is always busy is passed over.  It is not pinned for
 * this, nor loaded: nobody waits for a check.
 *
 * The first expiry may be too early, then somebody looks in vain.  If it is too
 * late, overdue holds are not found when a claim is short.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Cells that are looked up at once. */
#define BATCH 1000

/* How often a cell that is in use is looked at. */
#define MAX_LOOKS 10

/* What is in shared memory of a cell, or should be. */
typedef struct Counted
{
	int64		units[NCOUNTERS];
	TimestampTz due;
} Counted;

/* Is the cell loaded, not to be loaded anew, and pinned by nobody else? */
static bool
is_quiet(Inventory *inv, SharedCell *cell, bool own, bool *loaded)
{
	*loaded = pg_atomic_read_u32(&cell->state) == CELL_READY &&
		pg_atomic_read_u64(&cell->epoch) == pg_atomic_read_u64(inv->epoch);
	return *loaded && pg_atomic_read_u32(&cell->pins) == (own ? 1 : 0);
}

/* What the tables say of a cell; false if it is not this cell's row. */
static bool
recompute(Inventory *inv, const StockKey *key, int64 generation,
		  Counted *counted)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	CellRow		row;
	StockRow	stock;
	Tail		tail;
	bool		current;

	current = inventory_cell_read(inv, key, snapshot, &row) && row.escrow &&
		row.generation == generation &&
		inventory_read_stock(inv, key, snapshot, &stock);
	if (current)
	{
		inventory_tail_read(inv, &row, snapshot, InvalidFullTransactionId,
							&tail);
		counted->units[COUNTER_ON_HAND] = stock.quantity + tail.quantity;
		counted->units[COUNTER_FREE] = stock.quantity + tail.quantity -
			stock.reserved - tail.reserved - row.safety_stock +
			row.oversell_limit;
		counted->due = inventory_first_due(inv, key, snapshot);
	}
	UnregisterSnapshot(snapshot);
	return current;
}

/* What shared memory says, to this transaction if it has the cell pinned. */
static void
read_counters(SharedCell *look, SharedCell *own, Counted *counted)
{
	counted->units[COUNTER_FREE] = own ?
		inventory_account_units(own, COUNTER_FREE) :
		(int64) pg_atomic_read_u64(&look->units);
	counted->units[COUNTER_ON_HAND] = own ?
		inventory_account_units(own, COUNTER_ON_HAND) :
		(int64) pg_atomic_read_u64(&look->on_hand);
	counted->due = (TimestampTz) pg_atomic_read_u64(&look->due);
}

/*
 * Compare one cell with the tables.  False if that could not be done: the cell
 * is not loaded, or somebody is always using it.
 */
static bool
compare_cell(Inventory *inv, const StockKey *key, int64 generation,
			 Counted *expected, Counted *found)
{
	SharedCell *own = inventory_account_pinned(inv->relid, generation);

	for (int i = 0; i < MAX_LOOKS; i++)
	{
		SharedCell	before;
		SharedCell	after;
		bool		loaded;

		if (i > 0)
			inventory_nap(generation);
		if (!inventory_shared_look(inv->relid, generation, &before))
			return false;
		if (!is_quiet(inv, &before, own != NULL, &loaded))
		{
			if (!loaded)
				return false;
			continue;
		}
		if (!recompute(inv, key, generation, expected))
			return false;
		if (!inventory_shared_look(inv->relid, generation, &after))
			return false;
		if (!is_quiet(inv, &after, own != NULL, &loaded) ||
			pg_atomic_read_u64(&before.changes) != pg_atomic_read_u64(&after.changes) ||
			pg_atomic_read_u64(&before.due) != pg_atomic_read_u64(&after.due))
			continue;
		read_counters(&after, own, found);
		return true;
	}
	return false;
}

static void
add_counter_fault(Inventory *inv, List **faults, const StockKey *key,
				  const char *problem, char *expected, char *found)
{
	CounterFault *fault = palloc(sizeof(CounterFault));

	fault->key = inventory_key_copy(inv, key);
	fault->problem = problem;
	fault->expected = expected;
	fault->found = found;
	*faults = lappend(*faults, fault);
}

/* In what a cell differs from the tables. */
static void
examine_cell(Inventory *inv, List **faults, const StockKey *key,
			 const Counted *expected, const Counted *found)
{
	static const char *const problems[NCOUNTERS] = {
		[COUNTER_FREE] = "counter differs",
		[COUNTER_ON_HAND] = "counter of units on hand differs"
	};

	for (int i = 0; i < NCOUNTERS; i++)
	{
		if (expected->units[i] != found->units[i])
			add_counter_fault(inv, faults, key, problems[i],
							  psprintf(INT64_FORMAT, expected->units[i]),
							  psprintf(INT64_FORMAT, found->units[i]));
	}
	if (found->due > expected->due)
		add_counter_fault(inv, faults, key, "next expiry differs",
						  pstrdup(timestamptz_to_str(expected->due)),
						  found->due == CELL_NEVER_DUE ? NULL :
						  pstrdup(timestamptz_to_str(found->due)));
}

/* Compare the counters of some generations. */
static void
examine_counters(Inventory *inv, const char *generations, List **faults)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(caller, "plinth_inventory recount",
												  ALLOCSET_SMALL_SIZES);
	PlinthIdentity saved;
	SPIPlanPtr	plan;
	int			rc;

	plinth_spi_begin();
	plinth_become(&saved, inv->owner);
	plan = SPI_prepare(psprintf("SELECT c.generation, %s FROM %s AS c WHERE c.mode = 'escrow' AND c.generation = ANY ('{%s}'::int8[])",
								inventory_sums_key(inv, "c", false),
								plinth_relation_name(inv->companion[CELL]), generations),
					   0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	rc = SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(),
							  InvalidSnapshot, true, true, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(rc));
	plinth_restore_identity(&saved);
	for (uint64 i = 0; i < SPI_tuptable->numvals; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		StockKey	key = {{0}};
		Counted		expected;
		Counted		found;
		bool		comparable;
		bool		isnull;
		int64		generation = DatumGetInt64(SPI_getbinval(tuple, desc, 1,
															 &isnull));

		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < inv->nkeys; k++)
			key.value[k] = SPI_getbinval(tuple, desc, 2 + k, &isnull);
		MemoryContextSwitchTo(scratch);
		comparable = compare_cell(inv, &key, generation, &expected, &found);
		MemoryContextSwitchTo(caller);
		if (comparable)
			examine_cell(inv, faults, &key, &expected, &found);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(caller);
	plinth_spi_end();
	MemoryContextDelete(scratch);
}

/*
 * Counters of an inventory that are not what the tables say: a List of
 * CounterFault.  What is to be made anew anyway is not looked at.
 */
List *
inventory_counter_faults(Inventory *inv)
{
	List	   *faults = NIL;
	StringInfoData generations;
	int			n = 0;
	ListCell   *lc;

	if (RecoveryInProgress() || inventory_account_is_stale(inv->relid))
		return NIL;
	initStringInfo(&generations);
	foreach(lc, inventory_shared_list())
	{
		SharedCell *cell = lfirst(lc);

		if (cell->key.relid != inv->relid)
			continue;
		appendStringInfo(&generations, "%s" INT64_FORMAT, n > 0 ? "," : "",
						 cell->key.generation);
		if (++n == BATCH)
		{
			examine_counters(inv, generations.data, &faults);
			resetStringInfo(&generations);
			n = 0;
		}
	}
	if (n > 0)
		examine_counters(inv, generations.data, &faults);
	return faults;
}
