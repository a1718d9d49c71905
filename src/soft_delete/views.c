/*
 * src/soft_delete/views.c
 *		The views beside a table: active_<table> and deleted_<table>.
 *
 * Both show all columns of the table and belong to its owner, but read with the
 * rights of whoever looks (security_invoker): privileges and policies are those
 * that he has on the table.
 *
 * deleted_<table> says in its condition that it shows the dead, by a call of
 * showing_deleted(table, deleted_at).  The planner hook knows by that call, and
 * by the column in it, which of a query's tables it must not hide the dead of.
 * The call fails for whoever may not see them, so it makes no difference who
 * writes it into which query.
 *
 * Names are in the triggers' arguments, for dumps.  In the catalogs the views
 * depend on the table automatically, so that DROP TABLE takes them along.
 *
 * Locks: the caller has AccessExclusiveLock on the table; where it is to drop
 * views, on them, too, and before: who reads a view locks it first.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PLINTH_FUNCTION(plinth_soft_delete_showing_deleted);

/* May the current role see the dead of this table through its view? */
bool
soft_may_show(const SoftTable *table)
{
	return table->visibility == VISIBILITY_NONE || soft_sees_all(table) ||
		soft_may_view(table) ||
		has_privs_of_role(GetUserId(), plinth_relation_owner(table->relid));
}

/*
 * showing_deleted(target, deleted_at): true; 42501 for whoever may not see the
 * dead.  It is the hook that acts on it.
 */
Datum
plinth_soft_delete_showing_deleted(PG_FUNCTION_ARGS)
{
	SoftTable	table;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	if (soft_table_copy(PG_GETARG_OID(0), &table) && !soft_may_show(&table))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to see deleted rows of table \"%s\"",
						get_rel_name(table.relid)),
				 errhint("A table's viewers are the role that plinth_soft_delete.enable() was told with \"viewers\", and its members.")));
	PG_RETURN_BOOL(true);
}

/* The function; InvalidOid without the extension. */
static Oid
showing_function(void)
{
	Oid			argtypes[] = {REGCLASSOID, ANYELEMENTOID};

	return plinth_function(SOFT_SCHEMA, "showing_deleted", 2, argtypes);
}

/* Is there a call of it for this table among conditions that must all hold? */
static bool
has_call(Node *qual, Index rti, Oid relid, AttrNumber deleted_at)
{
	if (qual == NULL)
		return false;
	if (IsA(qual, BoolExpr) && ((BoolExpr *) qual)->boolop == AND_EXPR)
	{
		ListCell   *lc;

		foreach(lc, ((BoolExpr *) qual)->args)
		{
			if (has_call(lfirst(lc), rti, relid, deleted_at))
				return true;
		}
	}
	else if (IsA(qual, FuncExpr) && list_length(((FuncExpr *) qual)->args) == 2 &&
			 ((FuncExpr *) qual)->funcid == showing_function())
	{
		Const	   *target = linitial(((FuncExpr *) qual)->args);
		Var		   *column = lsecond(((FuncExpr *) qual)->args);

		return IsA(target, Const) && !target->constisnull &&
			DatumGetObjectId(target->constvalue) == relid &&
			IsA(column, Var) && column->varno == rti &&
			column->varlevelsup == 0 && column->varattno == deleted_at;
	}
	return false;
}

/* Does a query show the dead of one of its tables, and may it? */
bool
soft_shows(const Query *query, Index rti, const SoftTable *table)
{
	return query->jointree &&
		has_call(query->jointree->quals, rti, table->relid, table->deleted_at) &&
		soft_may_show(table);
}

/* "active_<table>" or "deleted_<table>" beside the table. */
static char *
view_name(Oid relid, const char *prefix)
{
	return plinth_quote_name(get_namespace_name(get_rel_namespace(relid)),
							 makeObjectName(prefix, get_rel_name(relid), NULL));
}

/* Choose the names of the views. */
void
soft_name_views(Oid relid, SoftOptions *options)
{
	options->active = view_name(relid, "active");
	options->deleted = view_name(relid, "deleted");
}

/*
 * The columns of a relation by number, NULL where one was dropped, and how many
 * that makes.  The caller need not have a lock on it.
 */
char	  **
soft_column_names(Oid relid, int *natts)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	char	  **result;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	*natts = ((Form_pg_class) GETSTRUCT(tup))->relnatts;
	ReleaseSysCache(tup);
	result = palloc0(*natts * sizeof(char *));
	for (int i = 0; i < *natts; i++)
	{
		tup = SearchSysCacheAttNum(relid, i + 1);
		if (!HeapTupleIsValid(tup))
			continue;
		result[i] = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tup))->attname));
		ReleaseSysCache(tup);
	}
	return result;
}

/*
 * What a view selects: all columns of the table.  `names` is what the view calls
 * them, by attribute number, where that is NULL as the table does.
 */
static char *
select_list(Oid relid, char **names, int nnames)
{
	int			natts;
	char	  **columns = soft_column_names(relid, &natts);
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < natts; i++)
	{
		if (columns[i] == NULL)
			continue;
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 quote_identifier(columns[i]));
		if (i < nnames && names[i])
			appendStringInfo(&buf, " AS %s", quote_identifier(names[i]));
	}
	return buf.data;
}

/* CREATE [OR REPLACE] VIEW.  The caller says whose it is and who may look. */
void
soft_create_view(Oid relid, const SoftOptions *options, const SoftView *view,
				 bool replace)
{
	char	   *table = plinth_relation_name(relid);
	char	   *column = pstrdup(quote_identifier(options->deleted_at));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE %sVIEW %s", replace ? "OR REPLACE " : "", view->name);
	if (view->reloptions)
		appendStringInfo(&sql, " WITH (%s)", view->reloptions);
	appendStringInfo(&sql, " AS SELECT %s FROM %s WHERE %s IS ",
					 select_list(relid, view->names, view->nnames), table, column);
	if (view->deleted)
		appendStringInfo(&sql, "NOT NULL AND " SOFT_SCHEMA ".showing_deleted(%s, %s)",
						 quote_literal_cstr(table), column);
	else
		appendStringInfoString(&sql, "NULL");
	plinth_sql("%s", sql.data);
}

/*
 * Grant on the view what roles may do to the table.  It opens nothing, because
 * they are asked for the same on the table.
 */
static void
copy_privileges(Oid relid, const char *view)
{
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT 'GRANT ' || a.privilege_type || ' ON ' || %s || ' TO ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END"
								   " || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
								   " FROM pg_class c, aclexplode(c.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee"
								   " WHERE c.oid = %u AND a.grantee <> c.relowner AND (a.grantee = 0 OR r.oid IS NOT NULL)"
								   " AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')",
								   quote_literal_cstr(view), relid))
		plinth_sql("%s", (char *) lfirst(lc));
}

/* 42P07 if a view's name is taken. */
static void
check_name(Oid relid, const char *name)
{
	if (OidIsValid(plinth_qualified_oid(name)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", plinth_name_label(name)),
				 errdetail("It would be a view of table \"%s\".", get_rel_name(relid)),
				 errhint("Rename it, or use views => false.")));
}

/* Make one view that was not there. */
static void
make_view(Oid relid, const SoftOptions *options, bool deleted)
{
	SoftView	view = {
		.name = deleted ? options->deleted : options->active,
		.reloptions = "security_invoker=true",
		.deleted = deleted,
	};

	check_name(relid, view.name);
	soft_create_view(relid, options, &view, false);
	plinth_sql("ALTER VIEW %s OWNER TO %s", view.name,
			   quote_identifier(GetUserNameFromId(plinth_relation_owner(relid), false)));
	plinth_sql("COMMENT ON VIEW %s IS %s", view.name,
			   quote_literal_cstr(psprintf(deleted ? "Deleted rows of %s, for who may see them" :
										   "Rows of %s that are not deleted",
										   plinth_relation_name(relid))));
	if (!deleted)
		copy_privileges(relid, view.name);
	else if (options->viewers)
		plinth_sql("GRANT SELECT, UPDATE ON %s TO %s", view.name,
				   quote_identifier(options->viewers));
}

/* Make both views, whose names have been chosen. */
void
soft_make_views(Oid relid, const SoftOptions *options)
{
	make_view(relid, options, false);
	make_view(relid, options, true);
	soft_attach_views(relid, options);
}

/* Does a view read the table? */
static bool
reads_table(Oid viewid, Oid relid)
{
	return plinth_sql_strings("SELECT 1 FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
							  " WHERE r.ev_class = %u AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %u LIMIT 1",
							  viewid, relid) != NIL;
}

/* The view of this name, if it is one of the table and has the same owner. */
static Oid
named_view(Oid relid, const char *name)
{
	Oid			viewid = name ? plinth_qualified_oid(name) : InvalidOid;

	if (!OidIsValid(viewid))
		return InvalidOid;
	LockRelationOid(viewid, AccessShareLock);
	if (get_rel_relkind(viewid) != RELKIND_VIEW ||
		plinth_relation_owner(viewid) != plinth_relation_owner(relid) ||
		!reads_table(viewid, relid))
		return InvalidOid;
	return viewid;
}

/* Is it a plain reference to this column? */
static bool
is_column(const void *node, Index rti, AttrNumber attnum)
{
	const Var  *var = node;

	return node != NULL && IsA(var, Var) && var->varno == rti &&
		var->varlevelsup == 0 && var->varattno == attnum;
}

/* Is it "deleted_at IS [NOT] NULL"? */
static bool
is_test(const void *node, Index rti, AttrNumber attnum, NullTestType type)
{
	const NullTest *test = node;

	return node != NULL && IsA(test, NullTest) && test->nulltesttype == type &&
		is_column(test->arg, rti, attnum);
}

/* Is it the condition of a view of this kind? */
static bool
is_condition(Node *qual, Index rti, Oid relid, AttrNumber deleted_at, bool deleted)
{
	BoolExpr   *both = (BoolExpr *) qual;

	if (!deleted)
		return is_test(qual, rti, deleted_at, IS_NULL);
	return qual != NULL && IsA(qual, BoolExpr) && both->boolop == AND_EXPR &&
		list_length(both->args) == 2 &&
		is_test(linitial(both->args), rti, deleted_at, IS_NOT_NULL) &&
		IsA(lsecond(both->args), FuncExpr) &&
		has_call(lsecond(both->args), rti, relid, deleted_at);
}

/* Are they columns of the table in their order, and all of them if `all`? */
static bool
are_columns(const List *targetlist, Index rti, Oid relid, bool all)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	bool		result = true;
	int			i = 0;
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst(lc);

		while (i < desc->natts && TupleDescAttr(desc, i)->attisdropped)
			i++;
		if (i == desc->natts || tle->resjunk || !is_column(tle->expr, rti, ++i))
			result = false;
		if (!result)
			break;
	}
	while (i < desc->natts && TupleDescAttr(desc, i)->attisdropped)
		i++;
	result &= !all || i == desc->natts;
	relation_close(rel, AccessShareLock);
	return result;
}

/*
 * Does a view, on which as on the table the caller has a lock, still say what it
 * was made with?  CREATE OR REPLACE VIEW may have given it other columns or
 * conditions, and what these kept from people must not be shown by one that we
 * make in its place.  Columns that the table has got since may lack, unless
 * `all` are to be there.
 */
bool
soft_is_unchanged(Oid viewid, Oid relid, const SoftOptions *options, bool deleted,
				  bool all)
{
	Relation	view = relation_open(viewid, AccessShareLock);
	Query	   *query = copyObject(get_view_query(view));
	RangeTblRef *ref;
	RangeTblEntry *rte;

	relation_close(view, AccessShareLock);
	if (query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs ||
		query->hasSubLinks || query->hasForUpdate || query->cteList != NIL ||
		query->groupClause != NIL || query->groupingSets != NIL ||
		query->havingQual != NULL || query->distinctClause != NIL ||
		query->sortClause != NIL || query->limitOffset != NULL ||
		query->limitCount != NULL || query->setOperations != NULL ||
		list_length(query->jointree->fromlist) != 1)
		return false;
	ref = linitial(query->jointree->fromlist);
	if (!IsA(ref, RangeTblRef))
		return false;
	rte = rt_fetch(ref->rtindex, query->rtable);
	return rte->rtekind == RTE_RELATION && rte->relid == relid && rte->inh &&
		rte->tablesample == NULL &&
		is_condition(query->jointree->quals, ref->rtindex, relid,
					 get_attnum(relid, options->deleted_at), deleted) &&
		are_columns(query->targetList, ref->rtindex, relid, all);
}

/* Make DROP TABLE drop a view, if it is ours. */
static void
attach_view(Oid relid, const SoftOptions *options, bool deleted)
{
	Oid			viewid = named_view(relid, deleted ? options->deleted : options->active);

	if (OidIsValid(viewid) && soft_is_unchanged(viewid, relid, options, deleted, true))
		plinth_drop_with(RelationRelationId, viewid, relid);
}

/*
 * Record which views go with the table, on which the caller has a lock.  A
 * restore has made them by their names alone.
 */
void
soft_attach_views(Oid relid, const SoftOptions *options)
{
	if (!plinth_owns_relation(relid, GetUserId()))
		return;
	attach_view(relid, options, false);
	attach_view(relid, options, true);
	CommandCounterIncrement();
}

/* The view of a table of either kind that is recorded; InvalidOid if none is. */
Oid
soft_recorded_view(Oid relid, const SoftOptions *options, bool deleted)
{
	Oid			funcid = showing_function();
	List	   *found;

	found = plinth_sql_strings("SELECT c.oid FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'v'"
							   " WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
							   " AND d.refobjid = %u AND d.refobjsubid = 0 AND d.deptype = 'a'"
							   " AND %s EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend f ON f.classid = 'pg_rewrite'::regclass AND f.objid = r.oid"
							   " WHERE r.ev_class = c.oid AND f.refclassid = 'pg_proc'::regclass AND f.refobjid = %u)"
							   " AND EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend f ON f.classid = 'pg_rewrite'::regclass AND f.objid = r.oid"
							   " WHERE r.ev_class = c.oid AND r.rulename = '_RETURN' AND f.refclassid = 'pg_class'::regclass"
							   " AND f.refobjid = d.refobjid AND f.refobjsubid = %d)",
							   relid, deleted ? "" : "NOT", funcid,
							   get_attnum(relid, options->deleted_at));
	return found ? (Oid) strtoul(linitial(found), NULL, 10) : InvalidOid;
}

/*
 * The same; if none is recorded the one of this name, as pg_upgrade makes event
 * triggers last.
 */
Oid
soft_attached_view(Oid relid, const SoftOptions *options, bool deleted)
{
	Oid			viewid = soft_recorded_view(relid, options, deleted);

	return OidIsValid(viewid) ? viewid :
		named_view(relid, deleted ? options->deleted : options->active);
}

/* Does DROP TABLE drop the view? */
bool
soft_view_goes_along(Oid relid, Oid viewid)
{
	return plinth_sql_strings("SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = %u AND objsubid = 0"
							  " AND refclassid = 'pg_class'::regclass AND refobjid = %u AND refobjsubid = 0 AND deptype = 'a'",
							  viewid, relid) != NIL;
}

/*
 * Make views that are missing, unless something else has the name now, and
 * have all of them go with the table.
 */
void
soft_repair_views(Oid relid, const SoftOptions *options)
{
	if (options->active == NULL)
		return;
	for (int deleted = 0; deleted <= 1; deleted++)
	{
		const char *name = deleted ? options->deleted : options->active;

		if (!OidIsValid(soft_attached_view(relid, options, deleted)) &&
			!OidIsValid(plinth_qualified_oid(name)))
			make_view(relid, options, deleted);
	}
	soft_attach_views(relid, options);
}

/* Lock the views of a table that is to be disabled, before it. */
void
soft_lock_views(Oid relid)
{
	SoftOptions *options;

	if (!plinth_owns_relation(relid, GetUserId()) ||
		(options = soft_table_options(relid)) == NULL)
		return;
	for (int deleted = 0; deleted <= 1; deleted++)
	{
		Oid			viewid = soft_attached_view(relid, options, deleted);

		if (OidIsValid(viewid))
			LockRelationOid(viewid, AccessExclusiveLock);
	}
}

/* Drop the views of a table. */
void
soft_drop_views(Oid relid, const SoftOptions *options)
{
	for (int deleted = 0; deleted <= 1; deleted++)
	{
		Oid			viewid = soft_attached_view(relid, options, deleted);

		if (OidIsValid(viewid))
			plinth_sql("DROP VIEW %s", plinth_relation_name(viewid));
	}
}
