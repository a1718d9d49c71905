/*
 * src/soft_delete/planner.c
 *		The planner hook: every query on its way to the planner.
 *
 * A statement is walked once, with all its subqueries.  Functions in FROM that
 * are written in SQL are inlined before, as the planner would do it later,
 * behind our back; what the planner notes about that is added to the plan.
 *
 * The planner may scribble on what it is given, and so may we: whoever keeps a
 * query to plan it again hands out a copy.
 *
 * Left alone are the queries of foreign keys, and what this library asks about
 * its own tables.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"

static planner_hook_type previous_planner = NULL;

typedef struct Walk
{
	PlannerGlobal *glob;		/* of inlined functions; NULL if there are none */
	ParamListInfo params;
	bool		enabled;		/* there is an enabled table somewhere */
	bool		converted;		/* some statement, or part of it */
	bool		updates;		/* an enabled table */
	bool		depends;		/* on the role */
} Walk;

static bool walk_node(Node *node, void *context);

/* Inline functions in FROM, as preprocess_function_rtes() does it later. */
static void
inline_functions(Query *query, Walk *walk)
{
	PlannerInfo *root;
	bool		any = false;
	ListCell   *lc;

	foreach(lc, query->rtable)
		any |= ((RangeTblEntry *) lfirst(lc))->rtekind == RTE_FUNCTION;
	if (!any)
		return;
	if (walk->glob == NULL)
	{
		walk->glob = makeNode(PlannerGlobal);
		walk->glob->boundParams = walk->params;
	}
	root = makeNode(PlannerInfo);
	root->glob = walk->glob;
	root->parse = query;
	root->query_level = 1;
	root->planner_cxt = CurrentMemoryContext;
	preprocess_function_rtes(root);
}

/* Is there another query within?  Most have none, and need not be searched. */
static bool
has_subqueries(const Query *query)
{
	ListCell   *lc;

	if (query->hasSubLinks || query->cteList != NIL)
		return true;
	foreach(lc, query->rtable)
	{
		if (((RangeTblEntry *) lfirst(lc))->subquery != NULL)
			return true;
	}
	return false;
}

/* Is there an enabled table?  Most queries have none, and are not to pay. */
static bool
names_enabled(const Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		const RangeTblEntry *rte = lfirst(lc);

		if (soft_is_table(rte) && soft_table(rte->relid) != NULL)
			return true;
	}
	return false;
}

/* True if it was a DELETE and is an UPDATE now. */
static bool
walk_query(Query *query, Walk *walk)
{
	bool		converted;

	inline_functions(query, walk);
	if (has_subqueries(query))
		(void) query_tree_walker(query, walk_node, walk, 0);
	if (!names_enabled(query))
		return false;
	walk->enabled = true;
	walk->depends |= soft_hide(query);
	soft_spare_dead(query);
	walk->updates |= soft_stamp(query, &walk->depends);
	converted = soft_convert(query);
	walk->converted |= converted || query->commandType == CMD_MERGE;
	return converted;
}

static bool
walk_node(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		(void) walk_query((Query *) node, context);
		return false;
	}
	return expression_tree_walker(node, walk_node, context);
}

static PlannedStmt *
plan(Query *parse, const char *query_string, int cursor_options,
	 ParamListInfo params)
{
	Walk		walk = {.params = params};
	SoftOwn		own = soft_next_plan;
	volatile bool converted = false;
	bool		outer = soft_estimating;
	PlannedStmt *stmt;

	soft_next_plan = SOFT_OWN_NOTHING;
	if (own == SOFT_OWN_NOTHING &&
		!soft_is_foreign_key_query(query_string, params))
		converted = walk_query(parse, &walk);
	else if (own == SOFT_OWN_SHOW)
	{
		PG_TRY();
		{
			soft_showing = soft_next_table;
			converted = walk_query(parse, &walk);
		}
		PG_FINALLY();
		{
			soft_showing = InvalidOid;
		}
		PG_END_TRY();
	}

	/* pg_stat_statements, where its hooks are within ours, takes it for the client's */
	if (soft_keeping_record)
		parse->queryId = 0;
	soft_estimating = walk.enabled;
	stmt = previous_planner ?
		previous_planner(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);
	soft_estimating = outer;
	if (walk.converted)
		soft_returning(stmt);
	if (walk.converted || walk.updates)
		soft_watch(stmt);
	if (converted)
		stmt->commandType = CMD_DELETE;
	stmt->dependsOnRole |= walk.depends;
	if (walk.glob)
	{
		stmt->invalItems = list_concat(stmt->invalItems, walk.glob->invalItems);
		stmt->dependsOnRole |= walk.glob->dependsOnRole;
	}
	return stmt;
}

void
soft_planner_init(void)
{
	previous_planner = planner_hook;
	planner_hook = plan;
}
