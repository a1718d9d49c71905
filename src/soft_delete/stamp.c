/*
 * src/soft_delete/stamp.c
 *		UPDATE that sets our columns: clients that mark rows by themselves.
 *
 * The assignments are changed when the statement is planned:
 *
 *	deleted_at becomes what is assigned, but stays what it is where a dead row
 *		would be marked again
 *	deletion_id becomes the number of the deletion that the statement is where
 *		a row dies, null where one comes back, and stays what it is otherwise,
 *		whatever is assigned to it
 *
 * This is so in UPDATE, in MERGE, and in ON CONFLICT DO UPDATE.  What is assigned
 * is asked for twice, so where a volatile function may be called, deletion_id is
 * left to stamp(), the trigger; but not where rows may move to other partitions,
 * nor in an INSERT, which do not call it.  A row that is
 * dead when it is inserted dies by that statement; who restores a dump, which
 * says so by row_security, is taken at his word.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

PLINTH_FUNCTION(plinth_soft_delete_mark_once);

/* The assignment to a column, or NULL. */
static TargetEntry *
assignment(List *targetlist, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno == attnum)
			return tle;
	}
	return NULL;
}

static Node *
is_null(Expr *arg)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = arg;
	test->nulltesttype = IS_NULL;
	test->argisrow = false;
	test->location = -1;
	return (Node *) test;
}

/* CASE WHEN when THEN then ELSE otherwise END */
static Expr *
if_then(Node *when, Expr *then, Expr *otherwise)
{
	CaseExpr   *result = makeNode(CaseExpr);
	CaseWhen   *arm = makeNode(CaseWhen);

	arm->expr = (Expr *) when;
	arm->result = then;
	arm->location = -1;
	result->casetype = exprType((Node *) otherwise);
	result->casecollid = exprCollation((Node *) otherwise);
	result->args = list_make1(arm);
	result->defresult = otherwise;
	result->location = -1;
	return (Expr *) result;
}

/* Is it a function that may answer differently, or do something, each time? */
static bool
is_volatile(Oid funcid, void *context)
{
	/* this is never null, and does nothing */
	return funcid != F_CLOCK_TIMESTAMP && func_volatile(funcid) == PROVOLATILE_VOLATILE;
}

static bool
calls_volatile(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr) || check_functions_in_node(node, is_volatile, context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, calls_volatile, context, 0);
	return expression_tree_walker(node, calls_volatile, context);
}

/* Is it what soft_spare_dead() assigns? */
static bool
is_alive_call(Node *node)
{
	Oid			argtypes[] = {ANYELEMENTOID, REGCLASSOID};

	return IsA(node, FuncExpr) &&
		((FuncExpr *) node)->funcid == soft_helper("_alive", 2, argtypes);
}

/* May rows go to other partitions?  Then stamp() is not called. */
static bool
may_move(const List *targetlist, const SoftTable *table)
{
	ListCell   *lc;

	if (get_rel_relkind(table->relid) != RELKIND_PARTITIONED_TABLE)
		return false;
	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno != table->deleted_at &&
			tle->resno != table->deletion_id)
			return true;
	}
	return false;
}

/* What becomes of deletion_id if this is assigned to deleted_at. */
static Expr *
number(Index rti, const SoftTable *table, Expr *assigned)
{
	Var		   *was = soft_column_var(rti, table->relid, table->deleted_at);
	Var		   *number = soft_column_var(rti, table->relid, table->deletion_id);

	return if_then(is_null(copyObject(assigned)),
				   (Expr *) makeNullConst(INT8OID, -1, InvalidOid),
				   if_then(soft_null_test(was, IS_NULL),
						   soft_deletion_expression(table), (Expr *) number));
}

/* Change the assignments of one target list.  True if there were any. */
static bool
change(List **targetlist, Index rti, const SoftTable *table)
{
	TargetEntry *at = assignment(*targetlist, table->deleted_at);
	TargetEntry *id = assignment(*targetlist, table->deletion_id);
	Expr	   *value;
	Oid			argtypes[] = {ANYELEMENTOID, ANYELEMENTOID};
	Var		   *was;
	bool		asked_once;

	if (at == NULL && id == NULL)
		return false;
	was = soft_column_var(rti, table->relid, table->deleted_at);
	value = at ? at->expr : (Expr *) was;
	asked_once = at && !is_alive_call((Node *) value) &&
		!may_move(*targetlist, table) && calls_volatile((Node *) value, NULL);
	if (id == NULL)
	{
		/* junk comes last */
		id = makeTargetEntry(NULL, table->deletion_id,
							 get_attname(table->relid, table->deletion_id, false), false);
		*targetlist = lcons(id, *targetlist);
	}
	id->expr = asked_once ?
		(Expr *) soft_column_var(rti, table->relid, table->deletion_id) :
		number(rti, table, value);
	if (at)
		at->expr = (Expr *) makeFuncExpr(soft_helper("_mark_once", 2, argtypes),
										 was->vartype, list_make2(copyObject(was), value),
										 was->varcollid, was->varcollid,
										 COERCE_EXPLICIT_CALL);
	return true;
}

/* Put an assignment where it belongs in the target list of an INSERT. */
static List *
insert_assignment(List *targetlist, TargetEntry *added)
{
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk || tle->resno > added->resno)
			return list_insert_nth(targetlist, foreach_current_index(lc), added);
	}
	return lappend(targetlist, added);
}

/* The same as change() for a row that is inserted. */
static bool
change_inserted(List **targetlist, const SoftTable *table, bool *depends)
{
	TargetEntry *at = assignment(*targetlist, table->deleted_at);
	TargetEntry *id = assignment(*targetlist, table->deletion_id);
	Expr	   *none = (Expr *) makeNullConst(INT8OID, -1, InvalidOid);

	if (at == NULL && id == NULL)
		return false;
	*depends = true;
	if (!row_security && soft_sees_all(table))
		return false;
	if (id == NULL)
	{
		id = makeTargetEntry(NULL, table->deletion_id,
							 get_attname(table->relid, table->deletion_id, false), false);
		*targetlist = insert_assignment(*targetlist, id);
	}
	id->expr = at == NULL ? none :
		if_then(is_null(copyObject(at->expr)), none, soft_deletion_expression(table));
	return true;
}

/*
 * Change what a statement assigns to our columns of an enabled table.  True if
 * it updates rows of one; *depends if the plan will depend on the role.
 */
bool
soft_stamp(Query *query, bool *depends)
{
	RangeTblEntry *rte;
	SoftTable  *table;
	bool		changed = false;
	ListCell   *lc;

	if (query->resultRelation == 0 || query->commandType == CMD_DELETE)
		return false;
	rte = rt_fetch(query->resultRelation, query->rtable);
	if (!soft_is_table(rte) || (table = soft_table(rte->relid)) == NULL)
		return false;
	if (query->commandType == CMD_UPDATE)
		changed = change(&query->targetList, query->resultRelation, table);
	else if (query->commandType == CMD_INSERT)
		changed = change_inserted(&query->targetList, table, depends);
	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE)
			changed |= change(&action->targetList, query->resultRelation, table);
		else if (action->commandType == CMD_INSERT)
			changed |= change_inserted(&action->targetList, table, depends);
	}
	if (query->onConflict && query->onConflict->action == ONCONFLICT_UPDATE)
		changed |= change(&query->onConflict->onConflictSet, query->resultRelation,
						  table);
	query->hasSubLinks |= changed;
	return query->commandType != CMD_INSERT || query->onConflict != NULL;
}

/*
 * _mark_once(was, becomes): what is assigned to deleted_at, or what it is if
 * the row is dead and is to stay so.
 */
Datum
plinth_soft_delete_mark_once(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(PG_ARGISNULL(0) ? 1 : 0));
}
