/*
 * src/soft_delete/follow_views.c
 *		Views follow their tables: two event triggers.
 *
 * views_start() has views make way for commands that they would be in the way
 * of (rebuild.c), and locks those that are going to follow one; views_end() has
 * the former come back and the latter follow: a new column is added to a view,
 * one that is renamed is renamed in it, and it goes to the table's new owner.
 * Where views have other names now, the triggers' arguments say so, for dumps.
 *
 * All this is done by name and with the rights of the extension's owner, so
 * nobody may put another relation or schema in the place of one that is named:
 * relations are locked, and names of schemas are held, see plinth_hold_name().
 * Its counterpart is here, too: ALTER SCHEMA ... RENAME waits for whoever holds
 * the name.
 *
 * Triggers of our functions may be anybody's: what follows a command that did not
 * name a table neither fails nor waits because of it.
 *
 * Locks: views before their table, as a query takes them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/ddl.h"

PLINTH_FUNCTION(plinth_soft_delete_views_start);
PLINTH_FUNCTION(plinth_soft_delete_views_end);

/* ----------
 * Before a command
 * ----------
 */

/* Lock the views of one table; were there any? */
static bool
lock_views(Oid relid)
{
	SoftOptions *options = soft_table_options(relid);
	bool		any = false;

	if (options == NULL)
		return false;
	for (int deleted = 0; deleted <= 1; deleted++)
	{
		Oid			viewid = soft_attached_view(relid, options, deleted);

		if (!OidIsValid(viewid) || !plinth_owns_relation(viewid, GetUserId()))
			continue;
		LockRelationOid(viewid, AccessExclusiveLock);
		any = true;
	}
	return any;
}

/* The table that a command names and, if it concerns them, those below it. */
static List *
named_tables(Oid relid, bool inh, LOCKMODE lockmode)
{
	/* what it is asked about find_all_inheritors() does not lock */
	if (lockmode != NoLock)
		LockRelationOid(relid, lockmode);
	return inh ? find_all_inheritors(relid, lockmode, NULL) : list_make1_oid(relid);
}

/*
 * Lock the views of the tables that a command of their owner's names, and then
 * the tables, as it will: a List of Oid.
 */
static List *
lock_family(Oid relid, bool inh)
{
	bool		any = false;
	List	   *tables;
	ListCell   *lc;

	if (!OidIsValid(relid) || !plinth_owns_relation(relid, GetUserId()))
		return NIL;
	foreach(lc, named_tables(relid, inh, NoLock))
		any |= lock_views(lfirst_oid(lc));
	if (!any)
		return NIL;
	tables = named_tables(relid, inh, AccessExclusiveLock);
	foreach(lc, tables)
	{
		SoftOptions *options = soft_table_options(lfirst_oid(lc));

		/* pg_upgrade makes event triggers last, so nobody may have done it */
		if (options)
			soft_attach_views(lfirst_oid(lc), options);
	}
	return tables;
}

/* Does a command drop a column that is there, or give it another type? */
static bool
changes_columns(const AlterTableStmt *stmt, Oid relid)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst(lc);

		if (IsA(cmd, AlterTableCmd) &&
			(cmd->subtype == AT_DropColumn || cmd->subtype == AT_AlterColumnType) &&
			get_attnum(relid, cmd->name) > 0)
			return true;
	}
	return false;
}

/* Is it one that views follow? */
static bool
is_followed(const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst(lc);

		if (IsA(cmd, AlterTableCmd) &&
			(cmd->subtype == AT_AddColumn || cmd->subtype == AT_ChangeOwner))
			return true;
	}
	return false;
}

static void
before_alter(const AlterTableStmt *stmt)
{
	Oid			relid = plinth_named_relation(stmt->relation);
	bool		changes = OidIsValid(relid) && changes_columns(stmt, relid);
	ListCell   *lc;

	if (!changes && !is_followed(stmt))
		return;
	foreach(lc, lock_family(relid, stmt->relation->inh))
	{
		if (changes && get_rel_name(lfirst_oid(lc)))
			soft_make_way((const Node *) stmt, lfirst_oid(lc));
	}
}

/* See plinth_hold_name(). */
static void
before_schema_rename(const char *nspname)
{
	Oid			nspid = get_namespace_oid(nspname, true);

	if (OidIsValid(nspid) && plinth_owns_schema(nspid, GetUserId()) &&
		soft_enabled_tables() != NIL)
		LockDatabaseObject(NamespaceRelationId, nspid, 0, AccessExclusiveLock);
}

/*
 * views_start(): event trigger at ddl_command_start.
 */
Datum
plinth_soft_delete_views_start(PG_FUNCTION_ARGS)
{
	Node	   *parsetree = plinth_event_trigger(fcinfo, SOFT_SCHEMA ".views_start")->parsetree;

	if (soft_own_ddl > 0)
		PG_RETURN_NULL();
	if (IsA(parsetree, AlterTableStmt))
		before_alter(castNode(AlterTableStmt, parsetree));
	else if (IsA(parsetree, RenameStmt))
	{
		RenameStmt *stmt = castNode(RenameStmt, parsetree);

		if (stmt->renameType == OBJECT_SCHEMA)
			before_schema_rename(stmt->subname);
		else if (stmt->renameType == OBJECT_COLUMN && stmt->relation)
			(void) lock_family(plinth_named_relation(stmt->relation), stmt->relation->inh);
	}
	PG_RETURN_NULL();
}

/* ----------
 * After it
 * ----------
 */

/* Has the table more columns than a view of it that is as we have made it? */
static bool
lacks_columns(Oid relid, const SoftOptions *options, Oid viewid, bool deleted)
{
	Relation	rel = relation_open(viewid, NoLock);
	int			have = RelationGetDescr(rel)->natts;
	int			wanted = 0;

	relation_close(rel, NoLock);
	rel = relation_open(relid, NoLock);
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
		wanted += !TupleDescAttr(RelationGetDescr(rel), i)->attisdropped;
	relation_close(rel, NoLock);
	return have < wanted && soft_is_unchanged(viewid, relid, options, deleted, false);
}

/* Columns that have come to the table come to the view. */
static void
add_columns(Oid relid, const SoftOptions *options, Oid viewid, bool deleted)
{
	SoftView	view = {0};

	view.name = plinth_relation_name(viewid);
	view.reloptions = soft_view_options(viewid);
	view.deleted = deleted;
	soft_save_names(&view, relid, viewid);
	soft_create_view(relid, options, &view, true);
}

/* The names of the views in the triggers' arguments. */
static bool
follow_name(char **name, Oid viewid)
{
	char	   *is = plinth_relation_name(viewid);

	if (*name && plinth_same_name(*name, is))
		return false;
	*name = is;
	return true;
}

/* Write options into the triggers of tables that are locked against writers. */
static void
set_options(List *tables, const SoftOptions *options)
{
	List	   *args = soft_options_args(options);
	ListCell   *lc;

	foreach(lc, tables)
	{
		for (int i = 0; i < SOFT_TRIGGERS; i++)
		{
			PlinthTrigger *trig = soft_trigger(lfirst_oid(lc),
											   soft_trigger_shapes[i].function, NULL);

			if (trig)
				plinth_set_trigger_args(trig->oid, args);
		}
	}
}

/*
 * Give a view of a table what it lacks.  Commands that have made a difference
 * have locked it before; what has been left of another is mended if nobody is in
 * the way, as the table comes before the view now.
 */
static void
follow_with_view(Oid viewid, Oid relid, const SoftOptions *options, bool deleted)
{
	bool		given;
	bool		lacks;

	LockRelationOid(viewid, AccessShareLock);
	LockRelationOid(relid, AccessShareLock);
	if (get_rel_name(viewid) == NULL || get_rel_name(relid) == NULL)
		return;
	given = plinth_relation_owner(viewid) != plinth_relation_owner(relid);
	lacks = lacks_columns(relid, options, viewid, deleted);
	if ((!given && !lacks) ||
		(!plinth_relation_is_locked(viewid, AccessExclusiveLock) &&
		 !ConditionalLockRelationOid(viewid, AccessExclusiveLock)))
		return;
	plinth_hold_name(viewid);
	plinth_hold_name(relid);
	if (given)
		soft_change_owner(viewid, relid);
	if (lacks)
		add_columns(relid, options, viewid, deleted);
}

/* Bring the views of a table up to date that a command has named, or whose view. */
static void
follow_table(Oid relid)
{
	SoftOptions *options = soft_readable_options(relid);
	bool		renamed = false;

	if (options == NULL)
		return;
	for (int deleted = 0; deleted <= 1; deleted++)
	{
		Oid			viewid = soft_recorded_view(relid, options, deleted);

		if (!OidIsValid(viewid))
			continue;
		follow_with_view(viewid, relid, options, deleted);
		if (get_rel_name(viewid))
			renamed |= follow_name(deleted ? &options->deleted : &options->active, viewid);
	}
	if (renamed)
		set_options(named_tables(relid, true, ShareRowExclusiveLock), options);
}

/* Lock a table and all below it if nobody is in the way: a List of Oid, or NIL. */
static List *
lock_if_free(Oid relid)
{
	List	   *tables = find_all_inheritors(relid, NoLock, NULL);
	ListCell   *lc;

	foreach(lc, tables)
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), ShareRowExclusiveLock))
			return NIL;
	}
	return tables;
}

/*
 * A schema was renamed: so were the views in it.  Their tables are anybody's;
 * whoever renames does not wait for one, and the next command that concerns it
 * finds the new names, too.
 */
static void
follow_schema(Oid nspid)
{
	ListCell   *lc;

	foreach(lc, soft_enabled_tables())
	{
		Oid			relid = lfirst_oid(lc);
		SoftOptions *options = soft_readable_options(relid);
		bool		renamed = false;
		List	   *tables;

		CHECK_FOR_INTERRUPTS();
		for (int deleted = 0; options && deleted <= 1; deleted++)
		{
			Oid			viewid = soft_recorded_view(relid, options, deleted);

			if (OidIsValid(viewid) && get_rel_namespace(viewid) == nspid)
				renamed |= follow_name(deleted ? &options->deleted : &options->active, viewid);
		}
		if (renamed && (tables = lock_if_free(relid)) != NIL)
			set_options(tables, options);
	}
}

/* A column that was renamed is renamed in the views, if it had its name there. */
static void
follow_column(Oid relid, const char *from, const char *to)
{
	SoftOptions *options = OidIsValid(relid) ? soft_readable_options(relid) : NULL;

	if (options == NULL)
		return;
	/* follow.c may come after us */
	if (strcmp(options->deleted_at, from) == 0)
		options->deleted_at = pstrdup(to);
	for (int deleted = 0; deleted <= 1; deleted++)
	{
		Oid			viewid = soft_recorded_view(relid, options, deleted);

		/* one that is not locked was not there before */
		if (!OidIsValid(viewid) ||
			!plinth_relation_is_locked(viewid, AccessExclusiveLock) ||
			get_attnum(viewid, from) <= 0 ||
			get_attnum(viewid, to) != InvalidAttrNumber ||
			!soft_is_unchanged(viewid, relid, options, deleted, false))
			continue;
		plinth_hold_name(viewid);
		plinth_sql("ALTER VIEW %s RENAME COLUMN %s TO %s",
				   plinth_relation_name(viewid),
				   pstrdup(quote_identifier(from)), quote_identifier(to));
	}
}

/* The enabled table that a view is of; InvalidOid if it is none of ours. */
static Oid
table_of_view(Oid viewid)
{
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT refobjid FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = %u"
								   " AND refclassid = 'pg_class'::regclass AND refobjsubid = 0 AND deptype = 'a'",
								   viewid))
	{
		Oid			relid = strtoul(lfirst(lc), NULL, 10);

		if (soft_trigger(relid, "mark", NULL))
			return relid;
	}
	return InvalidOid;
}

/* Whatever a command has touched. */
static void
follow_touched(void)
{
	ListCell   *lc;

	foreach(lc, plinth_touched_objects())
	{
		PlinthTouched *touched = lfirst(lc);
		PlinthTrigger *trig;

		CHECK_FOR_INTERRUPTS();
		if (!touched->is_trigger)
		{
			Oid			relid = get_rel_relkind(touched->objid) == RELKIND_VIEW ?
				table_of_view(touched->objid) : touched->objid;

			if (OidIsValid(relid))
				follow_table(relid);
		}
		else if ((trig = plinth_trigger(touched->objid)) != NULL &&
				 trig->funcid == soft_function("mark"))
			soft_attach_views(trig->relid, soft_present_options(trig->relid));
	}
}

/* Triggers of our functions that somebody has made by hand. */
static void
judge_triggers(void)
{
	ListCell   *lc;

	foreach(lc, plinth_touched_objects())
	{
		PlinthTouched *touched = lfirst(lc);
		PlinthTrigger *trig = touched->is_trigger ? plinth_trigger(touched->objid) : NULL;

		if (trig)
			soft_judge_trigger(trig);
	}
}

/* What becomes of a command. */
static void
follow(const Node *parsetree, Oid named, List *family)
{
	const RenameStmt *rename = (const RenameStmt *) parsetree;
	ListCell   *lc;

	soft_restore_views(parsetree);
	if (!IsA(parsetree, RenameStmt))
		follow_touched();
	else if (rename->renameType == OBJECT_SCHEMA)
		follow_schema(named);
	else if (rename->renameType == OBJECT_COLUMN)
	{
		foreach(lc, family)
			follow_column(lfirst_oid(lc), rename->subname, rename->newname);
	}
	else
		follow_touched();
}

/*
 * views_end(): event trigger at ddl_command_end.
 */
Datum
plinth_soft_delete_views_end(PG_FUNCTION_ARGS)
{
	Node	   *parsetree = plinth_event_trigger(fcinfo, SOFT_SCHEMA ".views_end")->parsetree;
	Oid			named = InvalidOid;
	List	   *family = NIL;
	PlinthIdentity self;

	if (soft_own_ddl > 0 ||
		!(IsA(parsetree, AlterTableStmt) || IsA(parsetree, RenameStmt) ||
		  IsA(parsetree, CreateTrigStmt) || IsA(parsetree, AlterObjectSchemaStmt)) ||
		!OidIsValid(soft_function("mark")))
		PG_RETURN_NULL();

	/* names and rights are those of the session */
	if (IsA(parsetree, RenameStmt))
	{
		RenameStmt *stmt = castNode(RenameStmt, parsetree);

		named = stmt->renameType == OBJECT_SCHEMA ?
			get_namespace_oid(stmt->newname, true) : plinth_named_relation(stmt->relation);
		if (stmt->renameType == OBJECT_COLUMN && OidIsValid(named))
			family = find_all_inheritors(named, NoLock, NULL);
	}
	else if (IsA(parsetree, CreateTrigStmt))
		judge_triggers();
	plinth_become(&self, soft_owner());
	soft_own_ddl++;
	PG_TRY();
	{
		follow(parsetree, named, family);
	}
	PG_FINALLY();
	{
		soft_own_ddl--;
	}
	PG_END_TRY();
	plinth_restore_identity(&self);
	PG_RETURN_NULL();
}
