/*
 * src/inventory/status.c
 *		The rows of the views status and cells.
 *
 * Which tables are inventories, with which options, is for everybody to see,
 * as triggers are.  Counters tell what a table holds: they are shown to those
 * who may SELECT from it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

PLINTH_FUNCTION(plinth_inventory_status);
PLINTH_FUNCTION(plinth_inventory_cells);

#define STATUS_COLUMNS 10
#define CELLS_COLUMNS 7

/* A companion by name, as a column of the result. */
static void
put_companion(const char *name, Datum *value, bool *isnull)
{
	Oid			relid = plinth_qualified_oid(name);

	*value = ObjectIdGetDatum(relid);
	*isnull = !OidIsValid(relid);
}

/* _status(): one row for each inventory. */
Datum
plinth_inventory_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, plinth_function_triggers(inventory_function("stock")))
	{
		PlinthTrigger *trig = lfirst(lc);
		InventoryOptions *options;
		Datum		values[STATUS_COLUMNS];
		bool		nulls[STATUS_COLUMNS] = {0};
		int			n = 0;

		/* enable() takes no temporary table: somebody has forged that one */
		if (strcmp(trig->name, INVENTORY_AFTER_TRIGGER) != 0 || trig->nargs == 0 ||
			!plinth_table_persists(trig->relid))
			continue;
		options = inventory_options_parse(trig->nargs, trig->args);
		values[n++] = ObjectIdGetDatum(trig->relid);
		values[n++] = CStringGetTextDatum(options->escrow ? "escrow" : "row");
		values[n++] = CStringGetTextDatum(options->sku);
		nulls[n] = options->warehouse == NULL;
		values[n++] = options->warehouse ?
			CStringGetTextDatum(options->warehouse) : (Datum) 0;
		values[n++] = CStringGetTextDatum(options->quantity);
		values[n++] = CStringGetTextDatum(options->reserved);
		values[n++] = CStringGetTextDatum(options->version);
		for (Companion i = 0; i < NCOMPANIONS; i++, n++)
			put_companion(inventory_companion_name(options, i),
						  &values[n], &nulls[n]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static const char *
state_name(SharedCellState state)
{
	switch (state)
	{
		case CELL_UNLOADED:
			return "unloaded";
		case CELL_LOADING:
			return "loading";
		case CELL_READY:
			return "ready";
		case CELL_DRAINING:
			return "draining";
		case CELL_CLOSED:
			return "closed";
	}
	return "unknown";			/* keep the compiler quiet */
}

/* Is the table there, and may the caller look into it? */
static bool
may_look(Oid relid)
{
	return get_rel_name(relid) != NULL &&
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* _cells(): one row for each counter in shared memory. */
Datum
plinth_inventory_cells(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, inventory_shared_list())
	{
		SharedCell *cell = lfirst(lc);
		SharedCellState state = pg_atomic_read_u32(&cell->state);
		TimestampTz due = (TimestampTz) pg_atomic_read_u64(&cell->due);
		bool		stale = pg_atomic_read_u64(&cell->epoch) !=
			pg_atomic_read_u64(inventory_shared_epoch(cell->key.relid));
		bool		loaded = state == CELL_DRAINING || (state == CELL_READY && !stale);
		Datum		values[CELLS_COLUMNS];
		bool		nulls[CELLS_COLUMNS] = {0};

		CHECK_FOR_INTERRUPTS();
		if (!may_look(cell->key.relid))
			continue;
		values[0] = ObjectIdGetDatum(cell->key.relid);
		values[1] = Int64GetDatum(cell->key.generation);
		values[2] = CStringGetTextDatum(state == CELL_READY && stale ?
										"stale" : state_name(state));
		values[3] = Int32GetDatum(pg_atomic_read_u32(&cell->pins));
		values[4] = Int64GetDatum(pg_atomic_read_u64(&cell->units));
		values[5] = Int64GetDatum(pg_atomic_read_u64(&cell->version));
		values[6] = TimestampTzGetDatum(due);
		nulls[4] = nulls[5] = nulls[6] = !loaded;
		nulls[6] |= due == CELL_NEVER_DUE;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
