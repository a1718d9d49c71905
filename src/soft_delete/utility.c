/*
 * src/soft_delete/utility.c
 *		Commands that the planner does not see: COPY ... TO, TRUNCATE.
 *
 * COPY of a table reads it without a plan.  Where policies apply to who copies,
 * PostgreSQL makes a query of it by itself (DoCopy() in copy.c); for everybody
 * else from whom the dead are hidden, the owner above all, it is done here.
 * pg_dump sets row_security off and gets all rows.
 *
 * TRUNCATE is refused by a trigger, or, if plinth_soft_delete.truncate is
 * "soft", deletes what is alive.  The right to TRUNCATE is enough for that, and
 * as always with it policies do not count.
 *
 * ALTER TABLE asks queries of its own (foreign.c).
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

enum
{
	TRUNCATE_REFUSE,
	TRUNCATE_SOFT
};

static const struct config_enum_entry truncate_options[] = {
	{"refuse", TRUNCATE_REFUSE, false},
	{"soft", TRUNCATE_SOFT, false},
	{NULL, 0, false}
};

/* > 0: within ALTER TABLE */
int			soft_altering = 0;

static int	truncate_mode = TRUNCATE_REFUSE;
static ProcessUtility_hook_type previous_utility = NULL;

/* SELECT columns FROM ONLY table, as the parser gives it. */
static RawStmt *
select_statement(CopyStmt *copy, Oid relid)
{
	SelectStmt *select = makeNode(SelectStmt);
	RangeVar   *from = copyObject(copy->relation);
	RawStmt    *raw = makeNode(RawStmt);
	List	   *names = NIL;
	ListCell   *lc;

	if (copy->attlist)
	{
		foreach(lc, copy->attlist)
			names = lappend(names, strVal(lfirst(lc)));
	}
	else
		names = plinth_sql_strings("SELECT attname FROM pg_attribute WHERE attrelid = %u AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
								   relid);
	foreach(lc, names)
	{
		ColumnRef  *column = makeNode(ColumnRef);
		ResTarget  *target = makeNode(ResTarget);

		column->fields = list_make1(makeString(lfirst(lc)));
		column->location = -1;
		target->val = (Node *) column;
		target->location = -1;
		select->targetList = lappend(select->targetList, target);
	}
	from->inh = false;
	select->fromClause = list_make1(from);
	raw->stmt = (Node *) select;
	return raw;
}

/* The COPY of a query, if there is something to hide in the table; else NULL. */
static CopyStmt *
copy_of_query(CopyStmt *copy)
{
	Oid			relid;
	SoftTable  *table;
	CopyStmt   *result;

	if (copy->is_from || copy->relation == NULL)
		return NULL;
	relid = RangeVarGetRelid(copy->relation, AccessShareLock, true);
	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_RELATION ||
		(table = soft_table(relid)) == NULL ||
		table->visibility == VISIBILITY_NONE || soft_sees_dead(table) ||
		check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		return NULL;
	result = copyObject(copy);
	result->query = select_statement(copy, relid)->stmt;
	result->relation = NULL;
	result->attlist = NIL;
	return result;
}

/* Delete what is alive in a table that is to be truncated. */
static void
truncate_softly(RangeVar *relation, Oid relid)
{
	AclResult	aclresult = pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE);
	PlinthIdentity saved;

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_TABLE, get_rel_name(relid));
	plinth_become(&saved, plinth_relation_owner(relid));
	soft_deletion_role = saved.userid;
	PG_TRY();
	{
		plinth_sql("DELETE FROM %s%s", relation->inh ? "" : "ONLY ",
				   plinth_relation_name(relid));
	}
	PG_FINALLY();
	{
		soft_deletion_role = InvalidOid;
	}
	PG_END_TRY();
	plinth_restore_identity(&saved);
}

/* What is left of a TRUNCATE without our tables; NULL if nothing is. */
static TruncateStmt *
truncate_rest(TruncateStmt *truncate)
{
	TruncateStmt *result = copyObject(truncate);
	ListCell   *lc;

	foreach(lc, result->relations)
	{
		RangeVar   *relation = lfirst_node(RangeVar, lc);
		Oid			relid = RangeVarGetRelid(relation, RowExclusiveLock, true);

		if (!OidIsValid(relid) ||
			(get_rel_relkind(relid) != RELKIND_RELATION &&
			 get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE) ||
			soft_table(relid) == NULL)
			continue;
		if (truncate->restart_seqs)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot restart sequences of soft-deleting table \"%s\"",
							get_rel_name(relid)),
					 errdetail("Its deleted rows keep their keys.")));
		truncate_softly(relation, relid);
		result->relations = foreach_delete_current(result->relations, lc);
	}
	return result->relations == NIL ? NULL : result;
}

/* What was to be done before there was our hook. */
static void
run(PlannedStmt *stmt, const char *query_string, bool read_only_tree,
	ProcessUtilityContext context, ParamListInfo params,
	QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	if (previous_utility)
		previous_utility(stmt, query_string, read_only_tree, context, params,
						 environment, dest, qc);
	else
		standard_ProcessUtility(stmt, query_string, read_only_tree, context,
								params, environment, dest, qc);
}

static void
run_altering(PlannedStmt *stmt, const char *query_string, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *environment, DestReceiver *dest,
			 QueryCompletion *qc)
{
	soft_altering++;
	PG_TRY();
	{
		run(stmt, query_string, read_only_tree, context, params, environment,
			dest, qc);
	}
	PG_FINALLY();
	{
		soft_altering--;
	}
	PG_END_TRY();
}

static void
utility(PlannedStmt *stmt, const char *query_string, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	Node	   *parsetree = stmt->utilityStmt;
	Node	   *other = NULL;

	if (IsA(parsetree, CopyStmt))
		other = (Node *) copy_of_query((CopyStmt *) parsetree);
	else if (IsA(parsetree, TruncateStmt) && truncate_mode == TRUNCATE_SOFT)
	{
		PreventCommandIfReadOnly("TRUNCATE TABLE");
		other = (Node *) truncate_rest((TruncateStmt *) parsetree);
		if (other == NULL)
		{
			if (qc)
				SetQueryCompletion(qc, CMDTAG_TRUNCATE_TABLE, 0);
			return;
		}
	}
	if (other)
	{
		stmt = copyObject(stmt);
		stmt->utilityStmt = other;
		read_only_tree = false;
	}
	if (IsA(parsetree, AlterTableStmt))
		run_altering(stmt, query_string, read_only_tree, context, params,
					 environment, dest, qc);
	else
		run(stmt, query_string, read_only_tree, context, params, environment,
			dest, qc);
}

void
soft_utility_init(void)
{
	DefineCustomEnumVariable("plinth_soft_delete.truncate",
							 "Whether TRUNCATE is refused or deletes softly.",
							 NULL,
							 &truncate_mode,
							 TRUNCATE_REFUSE,
							 truncate_options,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
}
