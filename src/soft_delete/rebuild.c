/*
 * src/soft_delete/rebuild.c
 *		Views make way for ALTER TABLE, and come back.
 *
 * A view keeps its table's columns from being dropped and from getting another
 * type, and CREATE OR REPLACE VIEW cannot follow either.  So a view makes way
 * for such a command before it and is made again after it, with owner,
 * privileges, options, comments, defaults, triggers, rules and labels as they
 * were.  In between it exists in the session's memory only; whatever fails, the
 * command fails with it, and the view has never been gone.  Others wait for the
 * view as they would for the table, which they need next.
 *
 * A view that its owner has given another definition does not make way: it is
 * not ours to make again.
 *
 * The view is made with the rights of the extension's owner, as who may alter a
 * table need not have CREATE on its schema.  Nothing that runs code is run with
 * them: constants in defaults, rules and conditions of triggers are read by the
 * input functions of their types, which may call whatever the owner likes.  That
 * is done as the view's owner, and may leave nothing for later.
 *
 * Names are names of what they were before: the schema's is held until the end
 * of the transaction (plinth_hold_name()), the relation's by its lock.
 *
 * Locks: views before their table, as a query takes them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/table.h"
#include "catalog/indexing.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* A statement that makes something of the view's again. */
typedef struct Statement
{
	char	   *column;			/* for which it must still be there, or NULL */
	bool		runs_code;
	char	   *sql;
} Statement;

/* Privileges on a column of the view. */
typedef struct ColumnAcl
{
	char	   *column;
	Acl		   *acl;
} ColumnAcl;

/* A view that has made way. */
typedef struct SavedView
{
	SubTransactionId subid;		/* in which it has */
	const Node *command;		/* for which it has: parse trees of commands within
								 * one another differ, names need not */
	Oid			relid;			/* the view's table */
	Oid			nspid;
	Oid			owner;
	SoftView	view;
	Acl		   *acl;			/* NULL: none but the owner's */
	List	   *column_acls;	/* of ColumnAcl */
	List	   *statements;		/* of Statement */
} SavedView;

static List *saved_views = NIL; /* of SavedView, in saved_context */
static MemoryContext saved_context = NULL;

/* -- Making way -- */

/*
 * What the table's columns are called in the view, which has them in order, in
 * the current memory context.
 */
void
soft_save_names(SoftView *view, Oid relid, Oid viewid)
{
	AttrNumber	next = 0;

	view->names = soft_column_names(relid, &view->nnames);
	for (int i = 0; i < view->nnames; i++)
	{
		if (view->names[i])
			view->names[i] = get_attname(viewid, ++next, true);
	}
}

/* Privileges, from the catalogs into the current memory context. */
static Acl *
copy_acl(int cache, HeapTuple tup, AttrNumber attnum)
{
	bool		isnull;
	Datum		acl = SysCacheGetAttr(cache, tup, attnum, &isnull);

	return isnull ? NULL : DatumGetAclPCopy(acl);
}

static void
save_acls(SavedView *saved, Oid viewid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(viewid));
	int			natts;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for relation %u", viewid);
	natts = ((Form_pg_class) GETSTRUCT(tup))->relnatts;
	saved->acl = copy_acl(RELOID, tup, Anum_pg_class_relacl);
	ReleaseSysCache(tup);
	for (AttrNumber attnum = 1; attnum <= natts; attnum++)
	{
		Acl		   *acl;

		tup = SearchSysCacheAttNum(viewid, attnum);
		if (!HeapTupleIsValid(tup))
			continue;
		acl = copy_acl(ATTNUM, tup, Anum_pg_attribute_attacl);
		if (acl)
		{
			ColumnAcl  *column = palloc(sizeof(ColumnAcl));

			column->column = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tup))->attname));
			column->acl = acl;
			saved->column_acls = lappend(saved->column_acls, column);
		}
		ReleaseSysCache(tup);
	}
}

/* One more kind of statement, of which the query has column and text. */
static void
add_statements(SavedView *saved, bool runs_code, const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	PlinthIdentity self;

	/* for the search path and quoting alone */
	plinth_become(&self, GetUserId());
	plinth_spi_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look at view \"%s\"", saved->view.name);
	PopActiveSnapshot();
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *column = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		char	   *text = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
		MemoryContext old = MemoryContextSwitchTo(caller);
		Statement  *statement = palloc(sizeof(Statement));

		statement->column = column ? pstrdup(column) : NULL;
		statement->runs_code = runs_code;
		statement->sql = pstrdup(text);
		saved->statements = lappend(saved->statements, statement);
		MemoryContextSwitchTo(old);
	}
	plinth_spi_finish();
	plinth_restore_identity(&self);
}

/* What else a view has. */
static void
save_statements(SavedView *saved, Oid viewid)
{
	char	   *name = quote_literal_cstr(saved->view.name);

	add_statements(saved, true,
				   psprintf("SELECT a.attname, format('ALTER VIEW %%s ALTER COLUMN %%I SET DEFAULT %%s', %s, a.attname, pg_get_expr(f.adbin, f.adrelid))"
							" FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE f.adrelid = %u",
							name, viewid));
	add_statements(saved, true,
				   psprintf("SELECT NULL, pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = %u AND rulename <> '_RETURN'",
							viewid));
	add_statements(saved, true,
				   psprintf("SELECT NULL, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %u AND NOT tgisinternal AND tgqual IS NOT NULL",
							viewid));

	/* the owner need not be allowed any more to call what it calls */
	add_statements(saved, false,
				   psprintf("SELECT NULL, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %u AND NOT tgisinternal AND tgqual IS NULL",
							viewid));
	add_statements(saved, false,
				   psprintf("SELECT a.attname, CASE WHEN a.attname IS NULL THEN format('COMMENT ON VIEW %%s IS %%L', %s, d.description)"
							" ELSE format('COMMENT ON COLUMN %%s.%%I IS %%L', %s, a.attname, d.description) END"
							" FROM pg_description d LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0"
							" WHERE d.classoid = 'pg_class'::regclass AND d.objoid = %u", name, name, viewid));
	add_statements(saved, false,
				   psprintf("SELECT NULL, format('COMMENT ON %%s %%I ON %%s IS %%L', o.kind, o.name, %s, d.description) FROM pg_description d"
							" JOIN (SELECT 'pg_trigger'::regclass AS classid, oid, 'TRIGGER' AS kind, tgname AS name FROM pg_trigger WHERE tgrelid = %u"
							" UNION ALL SELECT 'pg_rewrite'::regclass, oid, 'RULE', rulename FROM pg_rewrite WHERE ev_class = %u) AS o"
							" ON o.classid = d.classoid AND o.oid = d.objoid", name, viewid, viewid));
	add_statements(saved, false,
				   psprintf("SELECT a.attname, CASE WHEN a.attname IS NULL THEN format('SECURITY LABEL FOR %%I ON VIEW %%s IS %%L', l.provider, %s, l.label)"
							" ELSE format('SECURITY LABEL FOR %%I ON COLUMN %%s.%%I IS %%L', l.provider, %s, a.attname, l.label) END"
							" FROM pg_seclabel l LEFT JOIN pg_attribute a ON a.attrelid = l.objoid AND a.attnum = l.objsubid AND l.objsubid > 0"
							" WHERE l.classoid = 'pg_class'::regclass AND l.objoid = %u", name, name, viewid));
}

/* Options of a view as they stand in WITH (); NULL if it has none. */
char *
soft_view_options(Oid viewid)
{
	List	   *found = plinth_sql_strings("SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = %u AND reloptions IS NOT NULL",
										   viewid);

	return found ? linitial(found) : NULL;
}

/* Remember a view. */
static void
save_view(const Node *command, Oid relid, Oid viewid, bool deleted)
{
	MemoryContext old;
	SavedView  *saved;

	if (saved_context == NULL)
		saved_context = AllocSetContextCreate(CacheMemoryContext,
											  "plinth_soft_delete views",
											  ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(saved_context);
	saved = palloc0(sizeof(SavedView));
	saved->subid = GetCurrentSubTransactionId();
	saved->command = command;
	saved->relid = relid;
	saved->nspid = get_rel_namespace(viewid);
	saved->owner = plinth_relation_owner(viewid);
	saved->view.name = plinth_relation_name(viewid);
	saved->view.reloptions = soft_view_options(viewid);
	saved->view.deleted = deleted;
	soft_save_names(&saved->view, relid, viewid);
	save_acls(saved, viewid);
	save_statements(saved, viewid);
	saved_views = lappend(saved_views, saved);
	MemoryContextSwitchTo(old);
}

/* 2BP01 if something of somebody else's stands on a view. */
static void
check_dependents(Oid relid, Oid viewid)
{
	List	   *others = plinth_sql_strings("SELECT DISTINCT CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)"
											" ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END FROM pg_depend d"
											" LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
											" WHERE (d.refclassid = 'pg_class'::regclass AND d.refobjid = %u"
											" OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (SELECT unnest(ARRAY[t.oid, t.typarray]) FROM pg_type t WHERE t.typrelid = %u AND t.oid <> 0))"
											" AND d.deptype = 'n' AND r.ev_class IS DISTINCT FROM %u ORDER BY 1 LIMIT 1",
											viewid, viewid, viewid);

	if (others != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot alter columns of table \"%s\" under its view \"%s\"",
						get_rel_name(relid), get_rel_name(viewid)),
				 errdetail("There is something that depends on the view, and would have to go with it: %s.",
						   (char *) linitial(others)),
				 errhint("Drop that, and make it again afterwards.")));
}

/*
 * Have the views of one table make way for a command.  The caller has locked
 * them, and then the table.
 */
void
soft_make_way(const Node *command, Oid relid)
{
	SoftOptions *options = soft_table_options(relid);

	if (options == NULL)
		return;
	for (int deleted = 0; deleted <= 1; deleted++)
	{
		Oid			viewid = soft_recorded_view(relid, options, deleted);

		/* one that was not there when views were locked is in the way */
		if (!OidIsValid(viewid) || !plinth_owns_relation(viewid, GetUserId()) ||
			!plinth_relation_is_locked(viewid, AccessExclusiveLock) ||
			!soft_is_unchanged(viewid, relid, options, deleted, false))
			continue;
		plinth_hold_name(viewid);
		check_dependents(relid, viewid);
		save_view(command, relid, viewid, deleted);
		soft_own_ddl++;
		PG_TRY();
		{
			plinth_sql("DROP VIEW %s", plinth_relation_name(viewid));
		}
		PG_FINALLY();
		{
			soft_own_ddl--;
		}
		PG_END_TRY();
	}
}

/* -- Coming back -- */

/* Write privileges into a catalog row, and who they mention. */
static void
write_acl(Oid catalogid, int cache, HeapTuple tup, AttrNumber attnum,
		  Oid viewid, int32 subid, Acl *acl)
{
	Relation	catalog = table_open(catalogid, RowExclusiveLock);
	int			natts = RelationGetDescr(catalog)->natts;
	Datum	   *values = palloc0(natts * sizeof(Datum));
	bool	   *nulls = palloc0(natts * sizeof(bool));
	bool	   *replace = palloc0(natts * sizeof(bool));
	Acl		   *was = copy_acl(cache, tup, attnum);
	HeapTuple	newtup;
	Oid		   *before = NULL;
	Oid		   *after = NULL;
	int			nbefore = was ? aclmembers(was, &before) : 0;
	int			nafter = acl ? aclmembers(acl, &after) : 0;

	values[attnum - 1] = PointerGetDatum(acl);
	nulls[attnum - 1] = acl == NULL;
	replace[attnum - 1] = true;
	newtup = heap_modify_tuple(tup, RelationGetDescr(catalog), values, nulls,
							   replace);
	CatalogTupleUpdate(catalog, &newtup->t_self, newtup);
	updateAclDependencies(RelationRelationId, viewid, subid,
						  plinth_relation_owner(viewid), nbefore, before,
						  nafter, after);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

static void
write_view_acl(Oid viewid, Acl *acl)
{
	HeapTuple	tup = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(viewid));

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for relation %u", viewid);
	write_acl(RelationRelationId, RELOID, tup, Anum_pg_class_relacl, viewid, 0, acl);
}

/* Privileges as they were; the command may have given the table a new owner. */
static Acl *
acl_of(const SavedView *saved, Oid viewid, Acl *acl)
{
	Oid			owner = plinth_relation_owner(viewid);

	return acl == NULL || owner == saved->owner ? acl :
		aclnewowner(acl, saved->owner, owner);
}

static void
restore_acls(const SavedView *saved, Oid viewid)
{
	ListCell   *lc;

	write_view_acl(viewid, acl_of(saved, viewid, saved->acl));
	foreach(lc, saved->column_acls)
	{
		ColumnAcl  *column = lfirst(lc);
		AttrNumber	attnum = get_attnum(viewid, column->column);
		HeapTuple	tup;

		if (attnum > 0 &&
			HeapTupleIsValid(tup = SearchSysCacheCopyAttNum(viewid, attnum)))
			write_acl(AttributeRelationId, ATTNUM, tup, Anum_pg_attribute_attacl,
					  viewid, attnum, acl_of(saved, viewid, column->acl));
	}
}

/* A view belongs to its table's owner.  Both names are held. */
void
soft_change_owner(Oid viewid, Oid relid)
{
	plinth_sql("ALTER VIEW %s OWNER TO %s", plinth_relation_name(viewid),
			   quote_identifier(GetUserNameFromId(plinth_relation_owner(relid), false)));
}

/* Run a statement as the owner of a view, who may have written what it calls. */
static void
run_as_owner(Oid viewid, const char *sql)
{
	PlinthIdentity self;
	Oid			userid;
	int			sec_context;

	plinth_become(&self, plinth_relation_owner(viewid));
	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(userid, sec_context | SECURITY_RESTRICTED_OPERATION);
	plinth_sql("%s", sql);
	plinth_restore_identity(&self);
}

/* Where the view was; 55000 if the command has had its schema renamed. */
static char *
name_again(const SavedView *saved)
{
	char	   *nspname = get_namespace_name(saved->nspid);
	char	   *was;
	char	   *relname;

	plinth_split_name(saved->view.name, &was, &relname);
	if (nspname == NULL || strcmp(nspname, was) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("view \"%s\" cannot be made again because its schema was dropped or renamed meanwhile",
						plinth_name_label(saved->view.name))));
	return relname;
}

/* Make a view again that had made way. */
static void
restore_view(const SavedView *saved)
{
	SoftOptions *options = soft_table_options(saved->relid);
	char	   *relname;
	Oid			viewid;
	ListCell   *lc;

	if (options == NULL)
		return;
	plinth_hold_name(saved->relid);
	relname = name_again(saved);
	soft_create_view(saved->relid, options, &saved->view, false);
	viewid = get_relname_relid(relname, saved->nspid);
	soft_change_owner(viewid, saved->relid);

	/* nor is the owner in his own way */
	write_view_acl(viewid, NULL);
	foreach(lc, saved->statements)
	{
		Statement  *statement = lfirst(lc);

		if (statement->column && get_attnum(viewid, statement->column) <= 0)
			continue;
		if (statement->runs_code)
			run_as_owner(viewid, statement->sql);
		else
			plinth_sql("%s", statement->sql);
	}
	restore_acls(saved, viewid);
	soft_attach_views(saved->relid, options);
}

/* One that has made way for a command and has not come back; NULL if none is left. */
static SavedView *
next_saved(const Node *command)
{
	ListCell   *lc;

	foreach(lc, saved_views)
	{
		if (((SavedView *) lfirst(lc))->command == command)
			return lfirst(lc);
	}
	return NULL;
}

/* Make the views again that have made way for a command. */
void
soft_restore_views(const Node *command)
{
	SavedView  *saved;

	while ((saved = next_saved(command)) != NULL)
	{
		saved_views = list_delete_ptr(saved_views, saved);
		restore_view(saved);
	}
}

/* -- Forgetting -- */

/* What made way in a subtransaction that has failed never did. */
static void
forget_subtransaction(SubXactEvent event, SubTransactionId subid,
					  SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	foreach(lc, saved_views)
	{
		SavedView  *saved = lfirst(lc);

		if (saved->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			saved->subid = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			saved_views = foreach_delete_current(saved_views, lc);
	}
}

static void
forget_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	saved_views = NIL;
	if (saved_context)
		MemoryContextReset(saved_context);
}

void
soft_rebuild_init(void)
{
	RegisterSubXactCallback(forget_subtransaction, NULL);
	RegisterXactCallback(forget_transaction, NULL);
}
