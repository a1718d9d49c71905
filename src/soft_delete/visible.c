/*
 * src/soft_delete/visible.c
 *		The dead are hidden.
 *
 * The policy that enable() makes says "deleted_at IS NULL OR show_deleted()".
 * It guards sessions that have not loaded the library; where the hook is, the
 * answer of show_deleted() is known, so the policy is taken out of the security
 * barrier and becomes a plain condition or none.  That gives up nothing but the
 * order in which it and other conditions are looked at, and wins back the
 * indexes that a barrier keeps from conditions that are not leakproof.  Other
 * policies stay what they are.
 *
 * Who is not subject to policies, as owners, gets the condition, too; so does
 * everybody where there is no policy (visibility "filter").  In views it does
 * not matter whose view it is, but who looks.
 *
 * A policy is ours if it calls our function on this very table and has the
 * shape that enable() gives it.  Whoever writes a policy of his own around our
 * function keeps it as it is.
 *
 * The condition is placed where the table stands, also below outer joins, as
 * a subquery that is pulled up leaves it there (prepjointree.c).  A table that
 * is a MERGE's source keeps a barrier.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

/* The function that policies call; InvalidOid without the extension. */
static Oid
policy_function(void)
{
	Oid			argtype = REGCLASSOID;

	return plinth_function(SOFT_SCHEMA, "show_deleted", 1, &argtype);
}

/* Is it a call of our function about this table? */
static bool
is_our_call(Node *node, Oid relid)
{
	FuncExpr   *call = (FuncExpr *) node;
	Const	   *arg;

	if (!IsA(node, FuncExpr) || list_length(call->args) != 1 ||
		call->funcid != policy_function())
		return false;
	arg = linitial(call->args);
	return IsA(arg, Const) && !arg->constisnull &&
		DatumGetObjectId(arg->constvalue) == relid;
}

/* Is it "deleted_at IS NULL OR show_deleted(table)"? */
static bool
is_our_policy(Node *qual, const SoftTable *table)
{
	BoolExpr   *either = (BoolExpr *) qual;
	NullTest   *test;

	if (!IsA(qual, BoolExpr) || either->boolop != OR_EXPR ||
		list_length(either->args) != 2)
		return false;
	test = linitial(either->args);
	return IsA(test, NullTest) && test->nulltesttype == IS_NULL &&
		IsA(test->arg, Var) && ((Var *) test->arg)->varattno == table->deleted_at &&
		is_our_call(lsecond(either->args), table->relid);
}

/* Is it a table that could be enabled? */
bool
soft_is_table(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION &&
		(rte->relkind == RELKIND_RELATION ||
		 rte->relkind == RELKIND_PARTITIONED_TABLE);
}

/* Take our policy out of the barrier of a table; was it there? */
static bool
take_policy(RangeTblEntry *rte, const SoftTable *table)
{
	bool		found = false;
	ListCell   *lc;

	foreach(lc, rte->securityQuals)
	{
		if (is_our_policy(lfirst(lc), table))
		{
			rte->securityQuals = foreach_delete_current(rte->securityQuals, lc);
			found = true;
		}
	}
	return found;
}

/* The condition that hides the dead of one table; NULL if there is to be none. */
static Node *
condition(Query *query, Index rti, bool *seen)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	SoftTable  *table;
	bool		barred = false;

	if (!soft_is_table(rte) || (table = soft_table(rte->relid)) == NULL ||
		table->visibility == VISIBILITY_NONE)
		return NULL;
	*seen = true;
	if (soft_sees_dead(table) || soft_shows(query, rti, table))
	{
		(void) take_policy(rte, table);
		return NULL;
	}
	if (table->barrier)
	{
		ListCell   *lc;

		foreach(lc, rte->securityQuals)
			barred |= is_our_policy(lfirst(lc), table);
	}
	else
		(void) take_policy(rte, table);
	if (barred)
		return NULL;

	/* convert.c has a condition of its own */
	if (query->commandType == CMD_DELETE && rti == query->resultRelation)
		return NULL;
	return soft_live_qual(rti, table);
}

/* Place conditions in a part of a FROM clause, which may be replaced. */
static Node *
place(Query *query, Node *item, bool *seen)
{
	ListCell   *lc;

	if (item == NULL)
		return NULL;
	if (IsA(item, RangeTblRef))
	{
		Node	   *qual = condition(query, ((RangeTblRef *) item)->rtindex, seen);

		return qual ? (Node *) makeFromExpr(list_make1(item), qual) : item;
	}
	if (IsA(item, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) item;

		join->larg = place(query, join->larg, seen);
		join->rarg = place(query, join->rarg, seen);
	}
	else if (IsA(item, FromExpr))
	{
		FromExpr   *from = (FromExpr *) item;

		foreach(lc, from->fromlist)
		{
			Node	   *part = lfirst(lc);

			if (IsA(part, RangeTblRef))
				from->quals = make_and_qual(from->quals,
											condition(query, ((RangeTblRef *) part)->rtindex, seen));
			else
				lfirst(lc) = place(query, part, seen);
		}
	}
	return item;
}

/*
 * A MERGE has conditions of its own on the target, and until 16 the join's,
 * where a FROM clause has its conditions; they may not speak of the source.  Nor
 * may the source become anything but a table or a join, so where it is a table
 * its condition goes into the barrier.
 */
static void
place_merge(Query *query, bool *seen)
{
	ListCell   *lc;

	foreach(lc, query->jointree->fromlist)
	{
		Node	   *source = lfirst(lc);
		Index		rti;
		Node	   *qual;

		if (!IsA(source, RangeTblRef))
		{
			(void) place(query, source, seen);
			continue;
		}
		rti = ((RangeTblRef *) source)->rtindex;
		qual = condition(query, rti, seen);
		if (qual)
		{
			RangeTblEntry *rte = rt_fetch(rti, query->rtable);

			rte->securityQuals = lappend(rte->securityQuals, qual);
		}
	}
	query->jointree->quals = make_and_qual(query->jointree->quals,
										   condition(query, query->resultRelation, seen));
}

/* An UPDATE may leave a row that its own role does not see. */
static void
drop_checks(Query *query)
{
	RangeTblEntry *rte;
	SoftTable  *table;
	ListCell   *lc;

	if (query->withCheckOptions == NIL || query->resultRelation == 0)
		return;
	rte = rt_fetch(query->resultRelation, query->rtable);
	if (!soft_is_table(rte) || (table = soft_table(rte->relid)) == NULL)
		return;
	foreach(lc, query->withCheckOptions)
	{
		WithCheckOption *wco = lfirst_node(WithCheckOption, lc);

		if (wco->kind == WCO_RLS_UPDATE_CHECK && wco->qual &&
			is_our_policy(wco->qual, table))
			query->withCheckOptions = foreach_delete_current(query->withCheckOptions, lc);
	}
}

/* A unique index of the living is what ON CONFLICT means. */
static void
infer_live(Query *query)
{
	RangeTblEntry *rte;
	SoftTable  *table;

	if (query->onConflict == NULL || query->onConflict->arbiterElems == NIL)
		return;
	rte = rt_fetch(query->resultRelation, query->rtable);

	/* the more is said, the more indexes are meant */
	if (soft_is_table(rte) && (table = soft_table(rte->relid)) != NULL)
		query->onConflict->arbiterWhere = make_and_qual(query->onConflict->arbiterWhere,
														soft_live_qual(query->resultRelation, table));
}

/*
 * Hide the dead of all tables of one query, without its subqueries.  True if
 * the plan depends on who asked for it.
 */
bool
soft_hide(Query *query)
{
	bool		seen = false;

	if (query->commandType == CMD_MERGE)
		place_merge(query, &seen);
	else
		(void) place(query, (Node *) query->jointree, &seen);
	drop_checks(query);
	infer_live(query);
	return seen;
}
