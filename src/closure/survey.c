/*
 * src/closure/survey.c
 *		The whole table in memory: parents, depths, cycles, orphans.
 *
 * enable(), rebuild(), check() and estimate() look at all rows once and keep
 * no more of them than keys and pointers.  Depths are found by walking up to
 * the nearest node whose depth is known, so every node is visited once.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* States of the walk, in a node's colour. */
enum
{
	UNSEEN,
	ON_PATH,
	DONE
};

static void
receive_row(TupleTableSlot *slot, void *arg)
{
	ClosureSurvey *survey = arg;
	Hierarchy  *h = survey->nodes->h;
	Datum		key[CLOSURE_MAX_KEYS];
	ClosureNode *node;

	if (!closure_slot_key(h, slot, 1, key))
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("table \"%s\" has a row whose key is null",
						get_rel_name(h->relid)),
				 closure_errtable(h)));
	node = closure_node(survey->nodes, key);
	if (node->present)
		closure_twice(h, node);
	node->present = true;
	survey->present++;
	node->parent = closure_slot_key(h, slot, 1 + h->nkeys, key) ?
		closure_node(survey->nodes, key) : NULL;
}

/* Key and parent of all rows. */
static void
read_table(ClosureSurvey *survey, Snapshot snapshot)
{
	Hierarchy  *h = survey->nodes->h;
	StringInfoData sql;
	SPIPlanPtr	plan;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < 2 * h->nkeys; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(list_nth(i < h->nkeys ? h->options->key :
												   h->options->parent,
												   i % h->nkeys)));
	appendStringInfo(&sql, " FROM %s", plinth_relation_name(h->relid));
	plan = closure_prepare(sql.data, 0, NULL, 0);
	closure_stream(plan, NULL, NULL, 0, snapshot, receive_row, survey);
	SPI_freeplan(plan);
}

/* The way round the cycle that a walk has come upon, ending where it began. */
static List *
cycle_path(ClosureNode *start)
{
	List	   *path = list_make1(start);
	ClosureNode *node = start;

	do
	{
		node = node->parent;
		path = lappend(path, node);
	} while (node != start);
	return path;
}

/*
 * Find the depth of every node, orphans and cycles on the way.  A cycle is cut
 * at the node where the walk first came upon it, which then counts as a root;
 * so does an orphan.
 */
static void
find_depths(ClosureSurvey *survey)
{
	ClosureNodes *nodes = survey->nodes;
	ClosureNode **path = MemoryContextAllocHuge(CurrentMemoryContext,
												Max(nodes->n, 1) * sizeof(ClosureNode *));

	for (int i = 0; i < nodes->n; i++)
	{
		ClosureNode *node = nodes->all[i];
		int			n = 0;
		int			depth;

		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		if (!node->present)
			continue;
		while (node && node->colour == UNSEEN)
		{
			if (node->parent && !node->parent->present)
			{
				survey->orphans = lappend(survey->orphans, node);
				node->fragment = node->parent;
				node->parent = NULL;
			}
			if (node->parent && node->parent->colour == ON_PATH)
			{
				survey->cycles = lappend(survey->cycles, cycle_path(node));
				node->parent = NULL;
			}
			else if (node->parent == node)
			{
				survey->cycles = lappend(survey->cycles,
										 list_make2(node, node));
				node->parent = NULL;
			}
			node->colour = ON_PATH;
			path[n++] = node;
			node = node->parent;
		}
		depth = node ? node->mark : 0;
		while (n > 0)
		{
			node = path[--n];
			node->mark = ++depth;
			node->colour = DONE;
			survey->rows += depth;
			if (depth - 1 > survey->max_depth || survey->deepest == NULL)
			{
				survey->max_depth = depth - 1;
				survey->deepest = node;
			}
		}
	}
	pfree(path);
}

/*
 * Look at the whole table through a snapshot, in the current memory context.
 * The caller is connected to SPI.
 */
ClosureSurvey *
closure_survey(Hierarchy *h, Snapshot snapshot)
{
	ClosureSurvey *survey = palloc0(sizeof(ClosureSurvey));

	survey->nodes = closure_nodes_create(h);
	read_table(survey, snapshot);
	find_depths(survey);
	return survey;
}

/* Say no to a table that cannot have a closure as it is. */
void
closure_survey_refuse(Hierarchy *h, const ClosureSurvey *survey)
{
	if (survey->cycles != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("table \"%s\" contains a cycle",
						get_rel_name(h->relid)),
				 errdetail("Parents: %s.",
						   closure_path_text(h, linitial(survey->cycles))),
				 errhint("Correct the table first."),
				 closure_errtable(h)));
	if (survey->orphans != NIL && !h->options->orphan_roots &&
		!h->deferred_parent)
	{
		ClosureNode *orphan = linitial(survey->orphans);

		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("node %s of table \"%s\" has parent %s, which does not exist",
						closure_key_text(h, orphan->key),
						get_rel_name(h->relid),
						closure_key_text(h, orphan->fragment->key)),
				 errhint("Correct the table first, or use the option orphans => 'root'."),
				 closure_errtable(h)));
	}
	if (survey->max_depth > h->options->max_depth)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("node %s of table \"%s\" is %d levels below its root",
						closure_key_text(h, survey->deepest->key),
						get_rel_name(h->relid), survey->max_depth),
				 errdetail_plural("At most %d level is allowed by max_depth.",
						  "At most %d levels are allowed by max_depth.",
						  h->options->max_depth,
						   h->options->max_depth),
				 closure_errtable(h)));
	if (h->options->max_rows > 0 && survey->rows > h->options->max_rows)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("closure of table \"%s\" would have %lld rows",
						get_rel_name(h->relid), (long long) survey->rows),
				 errdetail("At most %lld are allowed by max_rows.",
						   (long long) h->options->max_rows),
				 closure_errtable(h)));
}
