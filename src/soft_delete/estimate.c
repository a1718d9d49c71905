/*
 * src/soft_delete/estimate.c
 *		How many rows are alive, where nothing is known.
 *
 * Without statistics the planner takes one row in 200 for one whose deleted_at
 * is null (DEFAULT_UNK_SEL), so the condition that hides the dead would give a
 * table that was never analyzed other plans than it has without: nested loops
 * where there are many rows, and a subquery with LIMIT and FOR UPDATE SKIP
 * LOCKED, as queues have it, would be run once for each row of them.  Most rows
 * of such a table are alive.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_statistic.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

/* Which part is alive. */
#define LIVE_FRACTION 0.9

/*
 * Has the query that is planned now an enabled table?  An error in a plan within
 * a plan may leave the answer for the wrong one, which is an estimate's harm.
 */
bool		soft_estimating = false;

static get_relation_stats_hook_type previous_stats = NULL;

/* A row of pg_statistic that says nothing but how many are null. */
static HeapTuple
guess(Oid relid, AttrNumber attnum, bool inherited)
{
	Relation	catalog = table_open(StatisticRelationId, AccessShareLock);
	Datum		values[Natts_pg_statistic] = {0};
	bool		nulls[Natts_pg_statistic] = {false};
	HeapTuple	result;

	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
	{
		nulls[Anum_pg_statistic_stanumbers1 - 1 + i] = true;
		nulls[Anum_pg_statistic_stavalues1 - 1 + i] = true;
	}
	values[Anum_pg_statistic_starelid - 1] = ObjectIdGetDatum(relid);
	values[Anum_pg_statistic_staattnum - 1] = Int16GetDatum(attnum);
	values[Anum_pg_statistic_stainherit - 1] = BoolGetDatum(inherited);
	values[Anum_pg_statistic_stanullfrac - 1] = Float4GetDatum(LIVE_FRACTION);
	values[Anum_pg_statistic_stawidth - 1] = Int32GetDatum(sizeof(int64));
	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(0);
	result = heap_form_tuple(RelationGetDescr(catalog), values, nulls);
	table_close(catalog, AccessShareLock);
	return result;
}

/* get_relation_stats_hook: true if there is something in vardata. */
static bool
stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
	  VariableStatData *vardata)
{
	SoftTable  *table;

	if (previous_stats && previous_stats(root, rte, attnum, vardata))
		return true;
	/* whoever is to hear of a damaged table hears of it elsewhere */
	if (!soft_estimating || !soft_is_table(rte) || (table = soft_readable_table(rte->relid)) == NULL ||
		attnum != table->deleted_at ||
		SearchSysCacheExists3(STATRELATTINH, ObjectIdGetDatum(rte->relid),
							  Int16GetDatum(attnum), BoolGetDatum(rte->inh)))
		return false;
	vardata->statsTuple = guess(rte->relid, attnum, rte->inh);
	vardata->freefunc = heap_freetuple;
	return true;
}

void
soft_estimate_init(void)
{
	previous_stats = get_relation_stats_hook;
	get_relation_stats_hook = stats;
}
