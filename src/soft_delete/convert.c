/*
 * src/soft_delete/convert.c
 *		DELETE becomes UPDATE.
 *
 * After rewriting, so that views, rules and policies have seen a DELETE: its
 * privilege is what is asked for, its policies apply, and nothing checks the
 * row that comes of it.  What is set are the two columns; the number of the
 * deletion is an uncorrelated subquery, which the executor asks once, and only
 * if there is a row.
 *
 * The columns are not noted as updated: notes are for triggers (watch.c), and
 * generated columns are all computed anew without.  deleted_at cannot be part of
 * a partition key, see columns.c.
 *
 * In a MERGE it is the action that becomes another.  Policies for both kinds of
 * action are checked by the executor according to the kind; where a MERGE has
 * both, each check moves into the conditions of the actions that it is for, as
 * a function that fails, and comes last there.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

/* A function of ours that plans call; the extension is there. */
Oid
soft_helper(const char *name, int nargs, const Oid *argtypes)
{
	Oid			funcid = plinth_function(SOFT_SCHEMA, name, nargs, argtypes);

	if (!OidIsValid(funcid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function \"%s.%s\" does not exist", SOFT_SCHEMA, name),
				 errhint("Update the extension \"plinth_soft_delete\".")));
	return funcid;
}

/* 0A000 unless a function is called by a plan of ours. */
void
soft_require_plan(FunctionCallInfo fcinfo, const char *name)
{
	FuncExpr   *call = (FuncExpr *) fcinfo->flinfo->fn_expr;

	if (call == NULL || !IsA(call, FuncExpr) || call->location != SOFT_IN_PLAN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function \"%s.%s\" is for plans only", SOFT_SCHEMA, name)));
}

/* A column of the table that is called rti. */
Var *
soft_column_var(Index rti, Oid relid, AttrNumber attnum)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(relid, attnum, &type, &typmod, &collation);
	return makeVar(rti, attnum, type, typmod, collation, 0);
}

/* "column IS [NOT] NULL" */
Node *
soft_null_test(Var *var, NullTestType which)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) var;
	test->nulltesttype = which;
	test->argisrow = false;
	test->location = -1;
	return (Node *) test;
}

/* The condition that a row of the table is alive. */
Node *
soft_live_qual(Index rti, const SoftTable *table)
{
	return soft_null_test(soft_column_var(rti, table->relid, table->deleted_at), IS_NULL);
}

/* now(), as the column's type has it. */
static Expr *
now_expression(const SoftTable *table)
{
	Oid			type;
	int32		typmod;
	Oid			collation;
	Node	   *result;

	get_atttypetypmodcoll(table->relid, table->deleted_at, &type, &typmod,
						  &collation);
	result = (Node *) makeFuncExpr(F_NOW, TIMESTAMPTZOID, NIL, InvalidOid,
								   InvalidOid, COERCE_EXPLICIT_CALL);
	result = coerce_to_target_type(NULL, result, TIMESTAMPTZOID, type, typmod,
								   COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (result == NULL)
		elog(ERROR, "cannot coerce now() to the type of column %d of table %u",
			 table->deleted_at, table->relid);
	return (Expr *) result;
}

/* (SELECT plinth_soft_delete._deletion(relid)) */
Expr *
soft_deletion_expression(const SoftTable *table)
{
	Oid			argtype = REGCLASSOID;
	Oid			funcid = soft_helper("_deletion", 1, &argtype);
	Const	   *relid = makeConst(REGCLASSOID, -1, InvalidOid, sizeof(Oid),
								  ObjectIdGetDatum(table->relid), false, true);
	FuncExpr   *call = makeFuncExpr(funcid, INT8OID, list_make1(relid),
									InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	Query	   *query = makeNode(Query);
	SubLink    *sublink = makeNode(SubLink);

	call->location = SOFT_IN_PLAN;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = list_make1(makeTargetEntry((Expr *) call, 1,
												   pstrdup(SOFT_DELETION_COLUMN), false));
	sublink->subLinkType = EXPR_SUBLINK;
	sublink->subselect = (Node *) query;
	sublink->location = -1;
	return (Expr *) sublink;
}

/* The target list, with what was there (which is junk) behind. */
static List *
target_list(const SoftTable *table, List *junk)
{
	List	   *result;
	ListCell   *lc;

	result = list_make2(makeTargetEntry(now_expression(table), table->deleted_at,
										get_attname(table->relid, table->deleted_at, false),
										false),
						makeTargetEntry(soft_deletion_expression(table), table->deletion_id,
										get_attname(table->relid, table->deletion_id, false),
										false));
	foreach(lc, junk)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		Assert(tle->resjunk);
		tle->resno = list_length(result) + 1;
		result = lappend(result, tle);
	}
	return result;
}

static Expr *
text_const(const char *value)
{
	return (Expr *) (value ? makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
									   CStringGetTextDatum(value), false, false) :
					 makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID));
}

/* A policy's check as a condition that fails. */
static Node *
required(const WithCheckOption *wco)
{
	Oid			argtypes[] = {BOOLOID, TEXTOID, TEXTOID};
	Oid			funcid = soft_helper("_require", 3, argtypes);

	return (Node *) makeFuncExpr(funcid, BOOLOID,
								 list_make3(copyObject(wco->qual),
											text_const(wco->polname),
											text_const(wco->relname)),
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* Does an UPDATE action set one of our columns? */
static bool
sets_our_columns(const MergeAction *action, const SoftTable *table)
{
	ListCell   *lc;

	foreach(lc, action->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && (tle->resno == table->deleted_at ||
							  tle->resno == table->deletion_id))
			return true;
	}
	return false;
}

/* Add a check's condition to the actions that it is for. */
static void
add_check(Query *query, const WithCheckOption *wco, List *deletes)
{
	bool		for_delete = wco->kind == WCO_RLS_MERGE_DELETE_CHECK;
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE &&
			list_member_ptr(deletes, action) == for_delete)
			action->qual = make_and_qual(action->qual, required(wco));
	}
}

/*
 * What the executor is to check.  With DELETE actions alone: DELETE's policies
 * on the old row, under the name by which they are looked for at an update, and
 * nothing on the new one.  With both: see above.
 */
static void
merge_checks(Query *query, const SoftTable *table, List *deletes, bool updates)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, query->withCheckOptions)
	{
		WithCheckOption *wco = lfirst_node(WithCheckOption, lc);

		switch (wco->kind)
		{
			case WCO_RLS_MERGE_UPDATE_CHECK:
				if (updates)
					add_check(query, wco, deletes);
				continue;
			case WCO_RLS_MERGE_DELETE_CHECK:
				if (updates)
				{
					add_check(query, wco, deletes);
					continue;
				}
				wco->kind = WCO_RLS_MERGE_UPDATE_CHECK;
				break;
			case WCO_RLS_UPDATE_CHECK:
			case WCO_VIEW_CHECK:
				if (!updates && wco->kind == WCO_RLS_UPDATE_CHECK)
					continue;

				/* what is checked is the new row: a dead one has been deleted */
				wco->qual = (Node *) makeBoolExpr(OR_EXPR,
												  list_make2(soft_null_test(soft_column_var(query->resultRelation, table->relid,
																				  table->deletion_id), IS_NOT_NULL),
															 wco->qual), -1);
				break;
			default:
				break;
		}
		result = lappend(result, wco);
	}
	query->withCheckOptions = result;
}

/* The DELETE actions of a MERGE.  Were there any? */
static bool
convert_merge(Query *query, const SoftTable *table)
{
	List	   *deletes = NIL;
	bool		updates = false;
	bool		stamps = false;
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_DELETE)
			deletes = lappend(deletes, action);
		else if (action->commandType == CMD_UPDATE)
		{
			updates = true;
			stamps |= sets_our_columns(action, table);
		}
	}
	if (deletes == NIL)
		return false;

	/* the new rows of both would look the same to the checks */
	if (stamps && query->withCheckOptions != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot both DELETE and set \"%s\" in one MERGE on table \"%s\"",
						get_attname(table->relid, table->deleted_at, false),
						get_rel_name(table->relid)),
				 errhint("Use DELETE for both.")));
	foreach(lc, deletes)
	{
		MergeAction *action = lfirst(lc);

		action->commandType = CMD_UPDATE;
		action->override = OVERRIDING_NOT_SET;
		action->targetList = target_list(table, NIL);
		action->qual = make_and_qual(action->qual,
									 soft_live_qual(query->resultRelation, table));
	}
	query->hasSubLinks = true;
	merge_checks(query, table, deletes, updates);
	return true;
}

/* deleted_at of the target; an error if that is not null. */
static FuncExpr *
alive_call(const Query *query, const SoftTable *table)
{
	Oid			argtypes[] = {ANYELEMENTOID, REGCLASSOID};
	Var		   *var = soft_column_var(query->resultRelation, table->relid,
									  table->deleted_at);

	return makeFuncExpr(soft_helper("_alive", 2, argtypes), var->vartype,
						list_make2(var, makeConst(REGCLASSOID, -1, InvalidOid, sizeof(Oid),
												  ObjectIdGetDatum(table->relid), false, true)),
						var->varcollid, var->varcollid, COERCE_EXPLICIT_CALL);
}

/* A condition that fails where the row is dead, behind others. */
static Node *
alive_as_well(Node *qual, const Query *query, const SoftTable *table)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) alive_call(query, table);
	test->nulltesttype = IS_NULL;
	test->location = -1;
	return make_and_qual(qual, (Node *) test);
}

static bool
sets_deleted_at(const List *targetlist, const SoftTable *table)
{
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno == table->deleted_at)
			return true;
	}
	return false;
}

/* Do policies say which rows ON CONFLICT DO UPDATE may meet? */
static bool
conflicts_are_checked(const Query *query)
{
	ListCell   *lc;

	foreach(lc, query->withCheckOptions)
	{
		if (lfirst_node(WithCheckOption, lc)->kind == WCO_RLS_CONFLICT_CHECK)
			return true;
	}
	return false;
}

/*
 * Keep an UPDATE by who sees the dead from changing them: it sets deleted_at to
 * what it is, and fails if that is not null.  In MERGE and ON CONFLICT DO UPDATE
 * that is a condition, the last one; a conflict is with the dead also for those
 * who do not see them, if no policy is in the way.  Who sets the column by himself knows what he does, and so do foreign
 * keys, which are not asked.
 */
void
soft_spare_dead(Query *query)
{
	OnConflictExpr *conflict = query->onConflict;
	RangeTblEntry *rte;
	SoftTable  *table;
	ListCell   *lc;

	if (soft_dead_update == SOFT_DEAD_ALLOW || query->resultRelation == 0 ||
		(query->commandType != CMD_UPDATE && query->commandType != CMD_MERGE &&
		 conflict == NULL))
		return;
	rte = rt_fetch(query->resultRelation, query->rtable);
	if (!soft_is_table(rte) || (table = soft_table(rte->relid)) == NULL)
		return;
	if (conflict && conflict->action == ONCONFLICT_UPDATE &&
		!sets_deleted_at(conflict->onConflictSet, table) &&
		(!conflicts_are_checked(query) || soft_sees_dead(table)))
		conflict->onConflictWhere = alive_as_well(conflict->onConflictWhere, query,
												  table);
	if (!soft_sees_dead(table))
		return;
	if (query->commandType == CMD_UPDATE && !sets_deleted_at(query->targetList, table))
		query->targetList = lcons(makeTargetEntry((Expr *) alive_call(query, table),
												  table->deleted_at,
												  get_attname(table->relid, table->deleted_at, false),
												  false),
								  query->targetList);
	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE &&
			!sets_deleted_at(action->targetList, table))
			action->qual = alive_as_well(action->qual, query, table);
	}
}

/*
 * Turn a DELETE, or the DELETE actions of a MERGE, on an enabled table into an
 * UPDATE.  True if it was a DELETE: then the finished plan is to be called one
 * again.
 */
bool
soft_convert(Query *query)
{
	RangeTblEntry *rte;
	SoftTable  *table;

	if (query->commandType != CMD_DELETE && query->commandType != CMD_MERGE)
		return false;
	rte = rt_fetch(query->resultRelation, query->rtable);
	if (!soft_is_table(rte) || (table = soft_table(rte->relid)) == NULL)
		return false;
	if (query->commandType == CMD_MERGE)
	{
		(void) convert_merge(query, table);
		return false;
	}
	query->commandType = CMD_UPDATE;
	query->targetList = target_list(table, query->targetList);
	query->hasSubLinks = true;
	query->jointree->quals = make_and_qual(query->jointree->quals,
										   soft_live_qual(query->resultRelation, table));
	return true;
}
