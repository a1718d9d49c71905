/*
 * src/soft_delete/returning.c
 *		What a converted statement returns: the row as DELETE would.
 *
 * RETURNING speaks of the new row after an UPDATE.  What a client is to see is
 * the old one: our two columns null, and nothing of what triggers made of the
 * others.  The lists are changed in the finished plan, where every reference to
 * the target is a plain Var, in sublinks, partitions and views alike.
 *
 * From 18 on the executor has both rows, and references are made to the old one.
 * Before, the new row is the old one, our columns apart, unless there are BEFORE
 * UPDATE triggers; then each column is fetched from the version that this
 * statement has replaced.  It is found by following the chain of versions from
 * the one that the plan found first (its junk column "ctid") to the one that
 * this transaction updated: with concurrent updates these are different ones,
 * and nothing else in the plan leads to the right one.  Versions on the way
 * cannot go away, because our snapshot sees the first of them.
 *
 * Of MERGE (RETURNING since 17) only what the converted actions did is meant:
 * a CASE tells them apart.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/heapam.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

PLINTH_FUNCTION(plinth_soft_delete_old);

/* One result relation of a ModifyTable. */
typedef struct Target
{
	Index		rti;
	Relation	rel;
	const SoftTable *table;		/* its columns; a copy */
	AttrNumber	ctid;			/* junk columns of the plan below; 0: none */
	AttrNumber	tableoid;
	bool		fetch;			/* triggers may have changed anything */
	bool		inserts;		/* a MERGE that also inserts */
	bool		updates;		/* or updates */
} Target;

static Node *old_row(Node *node, void *context);

/* A reference to a column of the plan below. */
static Node *
below(AttrNumber resno, Oid type)
{
	return (Node *) makeVar(OUTER_VAR, resno, type, -1, InvalidOid, 0);
}

/* The column as the version that was replaced has it. */
static Node *
fetched(const Target *target, Var *var)
{
	Oid			argtypes[] = {ANYELEMENTOID, OIDOID, TIDOID, OIDOID};
	Var		   *here = makeVar(target->rti, TableOidAttributeNumber, OIDOID, -1,
							   InvalidOid, 0);
	Node	   *source = target->tableoid ? below(target->tableoid, OIDOID) :
		(Node *) copyObject(here);
	FuncExpr   *call;

	if (var->varattno == TableOidAttributeNumber)
		return source;
	call = makeFuncExpr(soft_helper("_old", 4, argtypes), var->vartype,
						list_make4(var, here, below(target->ctid, TIDOID), source),
						var->varcollid, var->varcollid, COERCE_EXPLICIT_CALL);
	call->location = SOFT_IN_PLAN;
	return (Node *) call;
}

/* A generated column that is made of ours, or NULL. */
static Node *
generated(const Target *target, AttrNumber attnum)
{
	Node	   *expr = build_column_default(target->rel, attnum);
	Bitmapset  *used = NULL;

	pull_varattnos(expr, 1, &used);
	if (!bms_is_member(target->table->deleted_at - FirstLowInvalidHeapAttributeNumber, used) &&
		!bms_is_member(target->table->deletion_id - FirstLowInvalidHeapAttributeNumber, used))
		return NULL;
	ChangeVarNodes(expr, 1, target->rti, 0);
	return (Node *) expression_planner((Expr *) old_row(expr, unconstify(Target *, target)));
}

/* One column of the old row. */
static Node *
old_column(const Target *target, Var *var)
{
	AttrNumber	attnum = var->varattno;
	bool		foreign = target->rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE;
	Node	   *result;

#ifdef PLINTH_HAVE_RETURNING_OLD
	if (!foreign)				/* which may be changed without a plan's old row */
	{
		plinth_return_old(var);
		return (Node *) var;
	}
#endif
	if (attnum == target->table->deleted_at || attnum == target->table->deletion_id)
		return (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
	if (!foreign && target->ctid > 0 && (target->fetch || attnum < 0))
		return fetched(target, var);
	if (attnum > 0 &&
		TupleDescAttr(RelationGetDescr(target->rel), attnum - 1)->attgenerated != '\0')
	{
		result = generated(target, attnum);
		if (result)
			return result;
	}
	return (Node *) var;
}

#ifndef PLINTH_HAVE_RETURNING_OLD
/* The whole old row. */
static Node *
whole_row(const Target *target, const Var *var)
{
	TupleDesc	desc = RelationGetDescr(target->rel);
	RowExpr    *row = makeNode(RowExpr);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			row->args = lappend(row->args, makeNullConst(INT4OID, -1, InvalidOid));
		else
			row->args = lappend(row->args,
								old_column(target, makeVar(target->rti, i + 1,
														   att->atttypid, att->atttypmod,
														   att->attcollation, 0)));
		row->colnames = lappend(row->colnames, makeString(pstrdup(NameStr(att->attname))));
	}
	row->row_typeid = var->vartype;
	row->row_format = COERCE_IMPLICIT_CAST;
	row->location = -1;
	return (Node *) row;
}
#endif

/* Was it a converted action of a MERGE that took the row? */
static Expr *
was_delete(const Target *target)
{
	Expr	   *result;
	NullTest   *test;

	result = (Expr *) makeFuncExpr(F_TEXTEQ, BOOLOID,
								   list_make2(plinth_merge_action(),
											  makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
														CStringGetTextDatum("UPDATE"), false, false)),
								   InvalidOid, DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
	if (!target->updates)
		return result;
	test = makeNode(NullTest);
	test->arg = (Expr *) makeVar(target->rti, target->table->deletion_id, INT8OID,
								 -1, InvalidOid, 0);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return makeBoolExpr(AND_EXPR, list_make2(result, test), -1);
}

/* One thing if a converted action took the row, else another. */
static Node *
if_deleted(const Target *target, Node *then, Node *otherwise)
{
	CaseExpr   *result = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = was_delete(target);
	when->result = (Expr *) then;
	when->location = -1;
	result->casetype = exprType(otherwise);
	result->casecollid = exprCollation(otherwise);
	result->args = list_make1(when);
	result->defresult = (Expr *) otherwise;
	result->location = -1;
	return (Node *) result;
}

/* A reference to the target's row. */
static Node *
reference(Target *target, Var *var)
{
	Node	   *result;

	switch (plinth_returning_of((Node *) var))
	{
		case PLINTH_RETURNING_OLD:
			return (Node *) var;
		case PLINTH_RETURNING_NEW:
			result = (Node *) makeNullConst(var->vartype, var->vartypmod, var->varcollid);
			break;
		default:
#ifdef PLINTH_HAVE_RETURNING_OLD
			result = old_column(target, copyObject(var));
#else
			result = var->varattno == 0 ? whole_row(target, var) :
				old_column(target, copyObject(var));
#endif
			break;
	}
	if ((target->inserts || target->updates) && !equal(result, var))
		return if_deleted(target, result, (Node *) copyObject(var));
	return result;
}

/* The mutator that makes references to the old row. */
static Node *
old_row(Node *node, void *context)
{
	Target	   *target = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == target->rti)
		return reference(target, (Var *) node);
	if (plinth_is_merge_action(node))
		return if_deleted(target,
						  (Node *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
											 CStringGetTextDatum("DELETE"), false, false),
						  copyObject(node));
	if (!IsA(node, Var) && plinth_returning_of(node) == PLINTH_RETURNING_NEW)
	{
		Node	   *nothing = (Node *) makeNullConst(exprType(node), exprTypmod(node),
													 exprCollation(node));

		return target->inserts || target->updates ?
			if_deleted(target, nothing, copyObject(node)) : nothing;
	}
	return expression_tree_mutator(node, old_row, context);
}

/* May a trigger change rows of one of these relations? */
static bool
has_before_triggers(const PlannedStmt *stmt, const List *relations)
{
	ListCell   *lc;
	bool		result = false;

	foreach(lc, relations)
	{
		Relation	rel = table_open(rt_fetch(lfirst_int(lc), stmt->rtable)->relid, NoLock);

		result |= rel->trigdesc && rel->trigdesc->trig_update_before_row;
		table_close(rel, NoLock);
	}
	return result;
}

/* The number of a junk column; 0 if there is none of this name. */
static AttrNumber
junk_column(const Plan *plan, const char *name)
{
	ListCell   *lc;

	foreach(lc, plan->targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk && tle->resname && strcmp(tle->resname, name) == 0)
			return tle->resno;
	}
	return 0;
}

/* Change the lists of one ModifyTable, if it is a converted one. */
static void
change_lists(PlannedStmt *stmt, ModifyTable *plan)
{
	RangeTblEntry *named = rt_fetch(plan->nominalRelation, stmt->rtable);
	AclMode		privileges = plinth_required_privileges(stmt, named);
	Target		target = {0};
	ListCell   *lc;
	ListCell   *ll;

	/* what is an UPDATE and asks for DELETE alone is ours */
	if (plan->returningLists == NIL || (privileges & ACL_DELETE) == 0 ||
		!(plan->operation == CMD_MERGE ||
		  (plan->operation == CMD_UPDATE && (privileges & ACL_UPDATE) == 0)) ||
		soft_table(named->relid) == NULL)
		return;
	if (plan->operation == CMD_MERGE)
	{
		target.inserts = (privileges & ACL_INSERT) != 0;
		target.updates = (privileges & ACL_UPDATE) != 0;
	}
	target.ctid = junk_column(outerPlan(plan), "ctid");
	target.tableoid = junk_column(outerPlan(plan), "tableoid");
	target.fetch = has_before_triggers(stmt, plan->resultRelations);
	forboth(lc, plan->resultRelations, ll, plan->returningLists)
	{
		Oid			relid;
		SoftTable  *found;
		SoftTable	columns;

		target.rti = lfirst_int(lc);
		relid = rt_fetch(target.rti, stmt->rtable)->relid;
		found = soft_table(relid);
		columns = found ? *found : soft_columns_below(named->relid, relid);
		target.table = &columns;
		target.rel = table_open(relid, NoLock);
		lfirst(ll) = old_row(lfirst(ll), &target);
		table_close(target.rel, NoLock);
	}
	plan->plan.targetlist = linitial(plan->returningLists);
}

/*
 * Make the converted parts of a plan return what a DELETE does.
 */
void
soft_returning(PlannedStmt *stmt)
{
	ListCell   *lc;

	/* a ModifyTable is at the top, or at the top of a CTE */
	if (IsA(stmt->planTree, ModifyTable))
		change_lists(stmt, (ModifyTable *) stmt->planTree);
	foreach(lc, stmt->subplans)
	{
		Plan	   *plan = lfirst(lc);

		if (plan && IsA(plan, ModifyTable))
			change_lists(stmt, (ModifyTable *) plan);
	}
}

/* Room for a version of a row, kept for the statement. */
typedef struct OldVersion
{
	Oid			relid;
	TupleTableSlot *slot;
} OldVersion;

static TupleTableSlot *
slot_for(FmgrInfo *flinfo, Relation rel)
{
	OldVersion *version = flinfo->fn_extra;
	MemoryContext old;

	if (version && version->relid == RelationGetRelid(rel))
		return version->slot;
	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	if (version == NULL)
		flinfo->fn_extra = version = palloc0(sizeof(OldVersion));
	else
		ExecDropSingleTupleTableSlot(version->slot);

	/* of a copy, which nobody counts references to, with missing values */
	version->slot = MakeSingleTupleTableSlot(CreateTupleDescCopyConstr(RelationGetDescr(rel)),
											 table_slot_callbacks(rel));
	version->relid = RelationGetRelid(rel);
	MemoryContextSwitchTo(old);
	return version->slot;
}

/* The version that this transaction has replaced, from one before it. */
static void
find_replaced(Relation rel, ItemPointer tid, TupleTableSlot *slot)
{
	for (;;)
	{
		HeapTuple	tuple;
		HeapTupleHeader header;
		ItemPointerData next;

		CHECK_FOR_INTERRUPTS();
		if (!table_tuple_fetch_row_version(rel, tid, SnapshotAny, slot))
			elog(ERROR, "could not fetch the deleted row of table \"%s\"",
				 RelationGetRelationName(rel));
		tuple = ExecFetchSlotHeapTuple(slot, false, NULL);
		header = tuple->t_data;
		next = header->t_ctid;
		if (TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header)) ||
			ItemPointerEquals(&next, tid) ||
			HeapTupleHeaderIndicatesMovedPartitions(header))
			return;
		*tid = next;
	}
}

/*
 * _old(column, tableoid, ctid, source): the value that a column, a plain
 * reference, has in the version of the row that has been replaced; ctid and
 * source say which one the plan found.  For finished plans only.
 */
Datum
plinth_soft_delete_old(PG_FUNCTION_ARGS)
{
	FuncExpr   *call = (FuncExpr *) fcinfo->flinfo->fn_expr;
	Var		   *var;
	Oid			relid = PG_GETARG_OID(1);
	Oid			source = PG_GETARG_OID(3);
	ItemPointerData tid;
	AttrNumber	attnum;
	Relation	rel;
	TupleTableSlot *slot;
	Datum		value;
	bool		isnull;

	soft_require_plan(fcinfo, "_old");
	var = linitial(call->args);
	attnum = var->varattno;
	tid = *(ItemPointer) PG_GETARG_POINTER(2);
	rel = table_open(source, AccessShareLock);
	if (relid != source && attnum > 0)	/* the row has moved */
		attnum = get_attnum(source, get_attname(relid, attnum, false));
	slot = slot_for(fcinfo->flinfo, rel);
	find_replaced(rel, &tid, slot);
	value = attnum < 0 ? slot_getsysattr(slot, attnum, &isnull) :
		slot_getattr(slot, attnum, &isnull);
	if (!isnull)
		value = datumCopy(value, get_typbyval(var->vartype), get_typlen(var->vartype));
	ExecClearTuple(slot);		/* lets the page go */
	table_close(rel, NoLock);
	fcinfo->isnull = isnull;
	return value;
}
