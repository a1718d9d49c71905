/*
 * src/closure/check.c
 *		check() and repair(): the closure against the table.
 *
 * The table is read once into memory as parent pointers.  Every row of the
 * closure is then judged by walking up from its descendant, and counted: a
 * node whose good rows are fewer than its ancestors lacks some.  No second
 * closure is computed, and both sides are read through one snapshot.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_closure_check);
PLINTH_FUNCTION(plinth_closure_repair);
PLINTH_FUNCTION(plinth_closure_status);

/* What is wrong. */
typedef struct Findings
{
	ClosureSurvey *survey;
	ClosureNode *last;			/* descendant of the row before */
	ClosureRows missing;
	ClosureRows extra;
	ClosureRows wrong;			/* depth is what it should be */
	int		   *found;			/* depth that a wrong row has */
} Findings;

/*
 * In a node here: `mark` is its depth below its root plus one, `count` the
 * number of its good rows, `present` says that the table has it.
 */

/* The ancestor so many levels up; NULL above the root. */
static ClosureNode *
ancestor_at(ClosureNode *node, int depth)
{
	while (node && depth-- > 0)
		node = node->parent;
	return node;
}

/* At what distance is a node an ancestor of another?  -1 if it is none. */
static int
distance(ClosureNode *ancestor, ClosureNode *node)
{
	for (int depth = 0; node; node = node->parent, depth++)
	{
		if (node == ancestor)
			return depth;
	}
	return -1;
}

/* Judge one row of the closure. */
static void
judge_row(TupleTableSlot *slot, void *arg)
{
	Findings   *findings = arg;
	ClosureNodes *nodes = findings->survey->nodes;
	Hierarchy  *h = nodes->h;
	Datum		key[2 * CLOSURE_MAX_KEYS];
	bool		isnull;
	int			depth = DatumGetInt32(slot_getattr(slot, 2 * h->nkeys + 1,
												   &isnull));
	ClosureNode *descendant = findings->last;
	ClosureNode *ancestor;
	int			expected;

	(void) closure_slot_key(h, slot, 1, key);
	(void) closure_slot_key(h, slot, 1 + h->nkeys, key + h->nkeys);
	/* rows of one node often lie side by side */
	if (descendant == NULL ||
		closure_key_compare(h, descendant->key, key + h->nkeys) != 0)
		descendant = findings->last = closure_node(nodes, key + h->nkeys);

	if (descendant->present && depth >= 0 && depth < descendant->mark)
	{
		ancestor = ancestor_at(descendant, depth);
		if (closure_key_compare(h, ancestor->key, key) == 0)
		{
			descendant->count++;
			return;
		}
	}
	ancestor = closure_node(nodes, key);
	expected = descendant->present && ancestor->present ?
		distance(ancestor, descendant) : -1;
	if (expected < 0)
	{
		closure_row(&findings->extra, ancestor, descendant, depth);
		return;
	}
	closure_row(&findings->wrong, ancestor, descendant, expected);
	findings->found = findings->found ?
		repalloc_huge(findings->found, findings->wrong.max * sizeof(int)) :
		palloc(findings->wrong.max * sizeof(int));
	findings->found[findings->wrong.n - 1] = depth;
	descendant->count++;
}

/* The ancestors that nodes which lack some do have. */
static void
note_ancestor(TupleTableSlot *slot, void *arg)
{
	Findings   *findings = arg;
	ClosureNodes *nodes = findings->survey->nodes;
	Hierarchy  *h = nodes->h;
	Datum		key[CLOSURE_MAX_KEYS];
	ClosureNode *node;

	(void) closure_slot_key(h, slot, 1 + h->nkeys, key);
	node = closure_node_find(nodes, key);
	if (node == NULL || !node->touched)
		return;
	(void) closure_slot_key(h, slot, 1, key);
	closure_link(&closure_fate(node)->ancestors, closure_node(nodes, key), 0);
}

/* Nodes with fewer rows than ancestors: which ones are missing? */
static bool
find_lacking(Findings *findings)
{
	ClosureNodes *nodes = findings->survey->nodes;
	bool		any = false;

	for (int i = 0; i < nodes->n; i++)
	{
		ClosureNode *node = nodes->all[i];

		node->touched = node->present && node->count < node->mark;
		any |= node->touched;
	}
	return any;
}

static void
find_missing(Findings *findings)
{
	ClosureNodes *nodes = findings->survey->nodes;

	for (int i = 0; i < nodes->n; i++)
	{
		ClosureNode *node = nodes->all[i];
		ClosureLinks *links;
		int			depth = 0;

		if (!node->touched)
			continue;
		CHECK_FOR_INTERRUPTS();
		links = &closure_fate(node)->ancestors;
		for (ClosureNode *up = node; up; up = up->parent, depth++)
		{
			bool		there = false;

			for (int j = 0; j < links->n && !there; j++)
				there = links->links[j].node == up;
			if (!there)
				closure_row(&findings->missing, up, node, depth);
		}
	}
}

/* Read the closure and judge every row; again if rows are missing. */
static void
read_closure(Findings *findings, Hierarchy *h, Snapshot snapshot)
{
	StringInfoData sql;
	SPIPlanPtr	plan;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < 2 * h->nkeys; i++)
		appendStringInfo(&sql, "%s, ",
						 quote_identifier(closure_column(h, i < h->nkeys ? "ancestor" : "descendant",
														 i % h->nkeys)));
	appendStringInfo(&sql, "depth FROM %s", plinth_relation_name(h->closureid));
	plan = closure_prepare(sql.data, 0, NULL, 0);
	closure_stream(plan, NULL, NULL, 0, snapshot, judge_row, findings);
	if (find_lacking(findings))
	{
		closure_stream(plan, NULL, NULL, 0, snapshot, note_ancestor, findings);
		find_missing(findings);
	}
	SPI_freeplan(plan);
}

/*
 * Begin to read whole tables with the rights of the caller: connected to SPI,
 * through one snapshot, and with an error in place of rows that row-level
 * security would hide.  The memory context stays the caller's.
 */
void
closure_inspection_begin(ClosureInspection *inspection)
{
	plinth_spi_begin();
	inspection->guc_level = NewGUCNestLevel();
	plinth_set_for_now("row_security", "off");
	inspection->snapshot = RegisterSnapshot(GetTransactionSnapshot());
}

/* Undo closure_inspection_begin(). */
void
closure_inspection_end(ClosureInspection *inspection)
{
	UnregisterSnapshot(inspection->snapshot);
	AtEOXact_GUC(false, inspection->guc_level);
	plinth_spi_end();
}

/*
 * Compare table and closure through one snapshot; the caller is connected to
 * SPI.
 */
static Findings *
compare(Hierarchy *h, Snapshot snapshot)
{
	Findings   *findings = palloc0(sizeof(Findings));

	findings->survey = closure_survey(h, snapshot);
	read_closure(findings, h, snapshot);
	return findings;
}

/* One row of check(). */
static void
put_finding(ReturnSetInfo *result, Hierarchy *h, const char *problem,
			ClosureNode *ancestor, ClosureNode *descendant, int expected,
			int found)
{
	Datum		values[5];
	bool		nulls[5];

	memset(nulls, 0, sizeof(nulls));
	values[0] = CStringGetTextDatum(problem);
	nulls[1] = ancestor == NULL;
	if (ancestor)
		values[1] = CStringGetTextDatum(closure_key_text(h, ancestor->key));
	values[2] = CStringGetTextDatum(closure_key_text(h, descendant->key));
	values[3] = Int32GetDatum(expected);
	nulls[3] = expected < 0;
	values[4] = Int32GetDatum(found);
	nulls[4] = found < 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * check(target): what is wrong with the closure; no rows if it is exact.
 * Needs SELECT on table and closure, and sees what row-level security lets
 * the caller see only if nothing is hidden: with row_security off a policy in
 * force is an error instead of a wrong answer.
 */
Datum
plinth_closure_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Hierarchy  *h = closure_table_hierarchy(PG_GETARG_OID(0));
	Findings   *findings;
	ClosureInspection inspection;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	closure_inspection_begin(&inspection);
	findings = compare(h, inspection.snapshot);
	closure_inspection_end(&inspection);

	foreach(lc, findings->survey->cycles)
		put_finding(result, h, "cycle", NULL,
					linitial((List *) lfirst(lc)), -1, -1);
	if (!h->options->orphan_roots && !h->deferred_parent)
	{
		foreach(lc, findings->survey->orphans)
			put_finding(result, h, "orphan", NULL, lfirst(lc), -1, -1);
	}
	for (int64 i = 0; i < findings->missing.n; i++)
		put_finding(result, h, "missing row", findings->missing.rows[i].ancestor,
					findings->missing.rows[i].descendant,
					findings->missing.rows[i].depth, -1);
	for (int64 i = 0; i < findings->extra.n; i++)
		put_finding(result, h, "extra row", findings->extra.rows[i].ancestor,
					findings->extra.rows[i].descendant, -1,
					findings->extra.rows[i].depth);
	for (int64 i = 0; i < findings->wrong.n; i++)
		put_finding(result, h, "wrong depth", findings->wrong.rows[i].ancestor,
					findings->wrong.rows[i].descendant,
					findings->wrong.rows[i].depth, findings->found[i]);
	return (Datum) 0;
}

/*
 * Write what check() finds, and no more.  Returns the number of rows written.
 * The caller holds a lock that keeps writers away.
 */
int64
closure_repair(Oid relid)
{
	Hierarchy  *h = closure_table_hierarchy(relid);
	Findings   *findings;
	Snapshot	snapshot;
	PlinthIdentity saved;

	closure_enter(h, &saved);
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	findings = compare(h, snapshot);
	UnregisterSnapshot(snapshot);
	closure_survey_refuse(h, findings->survey);
	closure_write_rows(h, CQ_DELETE, &findings->extra);
	closure_write_rows(h, CQ_UPDATE, &findings->wrong);
	closure_write_rows(h, CQ_INSERT, &findings->missing);
	closure_leave(&saved);
	return findings->extra.n + findings->wrong.n + findings->missing.n;
}

/*
 * repair(target): returns the number of rows written.
 */
Datum
plinth_closure_repair(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);

	PreventCommandIfReadOnly("plinth_closure.repair()");
	(void) closure_table_hierarchy(relid);
	plinth_lock_owned(relid, ShareRowExclusiveLock);
	PG_RETURN_INT64(closure_repair(relid));
}

/* The rows of the view status. */
Datum
plinth_closure_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, plinth_function_triggers(closure_function("collect")))
	{
		PlinthTrigger *trig = lfirst(lc);
		ClosureOptions *options;
		Datum		values[7];
		bool		nulls[7] = {0};
		Oid			closureid;

		if (OidIsValid(trig->parent) ||
			strcmp(trig->name, CLOSURE_ROW_TRIGGER) != 0)
			continue;
		options = closure_options_parse(trig->nargs, trig->args);
		closureid = plinth_qualified_oid(options->closure);
		values[0] = ObjectIdGetDatum(trig->relid);
		values[1] = ObjectIdGetDatum(closureid);
		nulls[1] = !OidIsValid(closureid);
		values[2] = CStringGetTextDatum(plinth_names_arg("", options->key) + 1);
		values[3] = CStringGetTextDatum(plinth_names_arg("", options->parent) + 1);
		values[4] = Int32GetDatum(options->max_depth);
		values[5] = Int64GetDatum(options->max_rows);
		nulls[5] = options->max_rows == 0;
		values[6] = CStringGetTextDatum(options->orphan_roots ? "root" : "error");
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
