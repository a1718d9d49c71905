/*
 * src/inventory/check.c
 *		check(): what is wrong with an inventory.
 *
 * Whoever may SELECT from the table may ask.  Tables are read as their owner,
 * through one snapshot, the latest, so that what transactions in flight have
 * done is seen as a whole or not at all.  With row_security off a policy in
 * force is an error instead of a wrong answer.  Problems are:
 *
 *	trigger missing, trigger altered, trigger not always enabled,
 *	table not attached, view missing, view not attached: on the table or
 *		beside it, something is not as enable() has made it
 *	event trigger not enabled: DDL is not followed
 *	cell missing, stock missing: a stock row without its cell row, or the
 *		other way round
 *	quantity differs from ledger, reserved differs from ledger: the stock row
 *		and its tail are not the sums of the ledger
 *	reserved differs from reservations: they hold other units than are
 *		reserved, those apart that other SQL has reserved
 *	reservation inconsistent: it has confirmed and released more than it had,
 *		or is finished and holds units, or holds none and is not finished
 *	reservation differs from ledger: its movements say otherwise
 *	negative quantity, negative reserved: less than nothing
 *	oversold: more is reserved than is on hand and may be sold beyond it.  An
 *		adjust() or a lower limit may have said so, and no repair() will.
 *	sequence behind: the ledger has numbers that its sequence will give again;
 *		sequences are not replicated to logical subscribers
 *	counter differs, counter of units on hand differs, next expiry differs:
 *		what is in shared memory is not what the tables say, see recount.c
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_inventory_check);

#define CHECK_COLUMNS 5

/* Rows that are fetched at once. */
#define BATCH 1000

/* A trigger as enable() makes it. */
typedef struct TriggerShape
{
	const char *name;
	int16		type;
} TriggerShape;

static const TriggerShape stock_triggers[] = {
	{INVENTORY_BEFORE_TRIGGER,
		TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT |
	TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE},
	{INVENTORY_AFTER_TRIGGER,
		TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
	TRIGGER_TYPE_DELETE},
	{INVENTORY_TRUNCATE_TRIGGER, TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_TRUNCATE},
};

static const TriggerShape guard_triggers[] = {
	{INVENTORY_GUARD_TRIGGER,
	TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT},
	{INVENTORY_GUARD_CHANGE_TRIGGER,
		TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE |
	TRIGGER_TYPE_TRUNCATE},
};

/*
 * The options of an inventory that may lack triggers: any of them will do.
 * 55000 if it has none.
 */
InventoryOptions *
inventory_damaged_options(Oid relid)
{
	PlinthTrigger *trig = inventory_trigger(relid, "stock",
											INVENTORY_AFTER_TRIGGER);

	if (trig == NULL)
		trig = inventory_trigger(relid, "stock", NULL);
	if (trig == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not an inventory", get_rel_name(relid)),
				 errhint("Make it one with plinth_inventory.enable().")));
	return inventory_options_parse(trig->nargs, trig->args);
}

static GuardFault *
add_fault(List **faults, const char *problem, const char *object)
{
	GuardFault *fault = palloc0(sizeof(GuardFault));

	fault->problem = problem;
	fault->object = object;
	*faults = lappend(*faults, fault);
	return fault;
}

/* How a trigger fires that should fire always. */
static const char *
firing(char enabled)
{
	switch (enabled)
	{
		case TRIGGER_DISABLED:
			return "disabled";
		case TRIGGER_FIRES_ON_REPLICA:
			return "only on a replica";
		default:
			return "only on the origin";
	}
}

/* Look for triggers of these shapes and arguments on a relation. */
static void
examine_triggers(List **faults, Oid relid, const char *function,
				 const TriggerShape *shapes, int n, const char *args)
{
	for (int i = 0; i < n; i++)
	{
		PlinthTrigger *trig = inventory_trigger(relid, function, shapes[i].name);
		const char *object = psprintf("trigger \"%s\" on table \"%s\"",
									  shapes[i].name, get_rel_name(relid));
		List	   *has = NIL;

		if (trig == NULL)
		{
			add_fault(faults, "trigger missing", object);
			continue;
		}
		for (int a = 0; a < trig->nargs; a++)
			has = lappend(has, trig->args[a]);
		if (trig->type != shapes[i].type || trig->conditional ||
			strcmp(plinth_literal_list(has), args) != 0)
			add_fault(faults, "trigger altered", object);
		else if (trig->enabled != TRIGGER_FIRES_ALWAYS)
		{
			GuardFault *fault = add_fault(faults, "trigger not always enabled",
										  object);

			fault->found = firing(trig->enabled);
			fault->relid = relid;
			fault->trigger = shapes[i].name;
		}
	}
}

/* What follows DDL: it is not the table's, and only a superuser mends it. */
static void
examine_event_trigger(List **faults)
{
	List	   *found = plinth_sql_strings("SELECT evtenabled FROM pg_event_trigger WHERE evtname = '"
										   INVENTORY_EVENT_TRIGGER "'");

	if (found != NIL && strchr("OA", *(char *) linitial(found)))
		return;
	add_fault(faults, "event trigger not enabled",
			  "event trigger \"" INVENTORY_EVENT_TRIGGER "\"")->found =
		found == NIL ? NULL : firing(*(char *) linitial(found));
}

/*
 * What is not as enable() has made it, apart from rows: a List of GuardFault.
 * Companions that do not exist are for inventory_get() to complain of.
 */
List *
inventory_guard_faults(Oid relid, const InventoryOptions *options)
{
	List	   *attached = inventory_attached(relid);
	List	   *faults = NIL;
	Oid			viewid = plinth_qualified_oid(options->view);
	const char *args = plinth_literal_list(inventory_options_args(options));
	const char *guard_args =
		plinth_literal_list(list_make1(plinth_relation_name(relid)));

	examine_triggers(&faults, relid, "stock", stock_triggers,
					 lengthof(stock_triggers), args);
	for (Companion i = 0; i < NCOMPANIONS; i++)
	{
		Oid			companionid =
			plinth_qualified_oid(inventory_companion_name(options, i));

		if (!OidIsValid(companionid))
			continue;
		examine_triggers(&faults, companionid, "guard", guard_triggers,
						 lengthof(guard_triggers), guard_args);
		if (!list_member_oid(attached, companionid) &&
			inventory_trigger(companionid, "guard", NULL))
			add_fault(&faults, "table not attached",
					  psprintf("table \"%s\"", get_rel_name(companionid)));
	}
	if (!OidIsValid(viewid))
		add_fault(&faults, "view missing",
				  psprintf("view \"%s\"", plinth_name_label(options->view)));
	else if (!list_member_oid(attached, viewid))
		add_fault(&faults, "view not attached",
				  psprintf("view \"%s\"", get_rel_name(viewid)));
	examine_event_trigger(&faults);
	return faults;
}

/* One row of check(); NULL for null. */
static void
put_problem(ReturnSetInfo *result, const char *problem, const char *sku,
			const char *warehouse, const char *expected, const char *found)
{
	const char *columns[CHECK_COLUMNS] = {problem, sku, warehouse, expected, found};
	Datum		values[CHECK_COLUMNS];
	bool		nulls[CHECK_COLUMNS];

	for (int i = 0; i < CHECK_COLUMNS; i++)
	{
		nulls[i] = columns[i] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(columns[i]);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Put the rows of a query, which are five columns of text, into the result. */
static void
put_rows(ReturnSetInfo *result, const char *sql, Snapshot snapshot)
{
	SPIPlanPtr	plan;
	Portal		portal;

	plinth_spi_connect();
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	PushActiveSnapshot(snapshot);
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	PopActiveSnapshot();
	do
	{
		SPI_cursor_fetch(portal, true, BATCH);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			Datum		values[CHECK_COLUMNS];
			bool		nulls[CHECK_COLUMNS];

			for (int c = 0; c < CHECK_COLUMNS; c++)
				values[c] = SPI_getbinval(SPI_tuptable->vals[i],
										  SPI_tuptable->tupdesc, c + 1, &nulls[c]);
			tuplestore_putvalues(result->setResult, result->setDesc, values,
								 nulls);
		}
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
	SPI_cursor_close(portal);
	plinth_spi_finish();
}

/* Cells against stock rows, ledger and reservations. */
static void
check_cells(Inventory *inv, ReturnSetInfo *result, Snapshot snapshot)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT p.problem, %s, p.expected::text, p.found::text FROM (%s) AS x%s CROSS JOIN LATERAL (VALUES",
					 inventory_sums_label(inv, "x"),
					 inventory_sums_of_cells(inv), inventory_sums_should());
	appendStringInfoString(&sql, " (1, 'cell missing', NULL::numeric, NULL::numeric, x.in_stock AND NOT x.in_cell),"
						   " (2, 'stock missing', NULL, NULL, x.in_cell AND NOT x.in_stock),"
						   " (3, 'quantity differs from ledger', x.ledger_quantity, x.quantity, x.ledger_quantity <> x.quantity),"
						   " (4, 'reserved differs from ledger', x.ledger_reserved, x.reserved, x.ledger_reserved <> x.reserved),"
						   " (5, 'reserved differs from reservations', w.reserved, x.reserved, w.reserved <> x.reserved),"
						   " (6, 'negative quantity', 0, x.quantity, x.quantity < 0),"
						   " (7, 'negative reserved', 0, x.reserved, x.reserved < 0),"
						   " (8, 'oversold', - x.oversell_limit, x.quantity - x.reserved, x.quantity - x.reserved < - x.oversell_limit)");
	appendStringInfo(&sql, ") AS p (n, problem, expected, found, wrong) WHERE p.wrong ORDER BY %s, p.n",
					 inventory_sums_key(inv, "x", false));
	put_rows(result, sql.data, snapshot);
}

/* Reservations by themselves, and against their movements. */
static void
check_reservations(Inventory *inv, ReturnSetInfo *result, Snapshot snapshot)
{
	StringInfoData sql;

	/* only what is found is sorted: an index would lead through all of them */
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT p.* FROM (SELECT 'reservation inconsistent'::text, %s,"
					 " format('reservation %%s line %%s: %%s units, %%s confirmed, %%s released, %%s',"
					 " r.key, r.line, w.quantity, w.confirmed, w.released, coalesce(w.outcome, 'not finished')) AS expected,",
					 inventory_sums_label(inv, "r"));
	appendStringInfo(&sql, " format('%%s units, %%s confirmed, %%s released, %%s', r.quantity, r.confirmed, r.released,"
					 " CASE WHEN r.finished_at IS NULL THEN concat_ws(', ', 'not finished', r.outcome) ELSE coalesce(r.outcome, 'finished') END)"
					 " FROM %s AS r%s WHERE %s OFFSET 0) AS p ORDER BY p.expected",
					 plinth_relation_name(inv->companion[RESERVATION]),
					 inventory_sums_reservation(), inventory_sums_reservation_wrong());
	put_rows(result, sql.data, snapshot);

	resetStringInfo(&sql);
	appendStringInfo(&sql, "SELECT 'reservation differs from ledger'::text, %s,"
					 " format('reservation %%s line %%s: %%s confirmed, %%s released', x.key, x.line, - x.quantity, x.quantity - x.reserved),"
					 " format('%%s confirmed, %%s released', x.confirmed, x.released)"
					 " FROM (%s) AS x ORDER BY x.key, x.line, %s",
					 inventory_sums_label(inv, "x"),
					 inventory_sums_of_reservations(inv),
					 inventory_sums_key(inv, "x", false));
	put_rows(result, sql.data, snapshot);
}

/* The sequence of the ledger against the ledger. */
static void
check_sequence(Inventory *inv, ReturnSetInfo *result, Snapshot snapshot)
{
	put_rows(result, psprintf("SELECT 'sequence behind'::text, NULL::text, NULL::text, x.expected::text, x.found::text FROM (%s) AS x",
							  inventory_sums_sequence(inv)), snapshot);
}

/* 42501 unless the current role may read all of the table. */
static void
check_reader(Oid relid)
{
	AclResult	aclresult = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
	int			level = NewGUCNestLevel();

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	plinth_set_for_now("row_security", "off");
	(void) check_enable_rls(relid, InvalidOid, false);
	AtEOXact_GUC(false, level);
}

/*
 * check(target): what is wrong, one row for each problem.
 */
Datum
plinth_inventory_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = plinth_target(fcinfo, 0);
	InventoryOptions *options;
	Inventory  *inv;
	PlinthIdentity saved;
	Snapshot	snapshot;
	ListCell   *lc;

	check_reader(relid);
	LockRelationOid(relid, AccessShareLock);
	(void) plinth_target(fcinfo, 0);	/* it may have gone meanwhile */
	check_reader(relid);
	options = inventory_damaged_options(relid);

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, inventory_guard_faults(relid, options))
	{
		GuardFault *fault = lfirst(lc);

		put_problem(result, fault->problem, NULL, NULL, fault->object,
					fault->found);
	}
	if (inventory_table_options(relid) == NULL)
		return (Datum) 0;		/* without its trigger it cannot be read */

	inv = inventory_get(relid);
	plinth_become(&saved, inv->owner);
	plinth_set_for_now("row_security", "off");
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	check_cells(inv, result, snapshot);
	check_reservations(inv, result, snapshot);
	check_sequence(inv, result, snapshot);
	UnregisterSnapshot(snapshot);
	plinth_restore_identity(&saved);

	foreach(lc, inventory_counter_faults(inv))
	{
		CounterFault *fault = lfirst(lc);

		put_problem(result, fault->problem, inventory_key_sku(inv, &fault->key),
					inventory_key_warehouse(inv, &fault->key), fault->expected,
					fault->found);
	}
	return (Datum) 0;
}
