/*
 * src/closure/follow.c
 *		DDL that concerns hierarchies: the event trigger.
 *
 * Partitions come and go with their rows, columns are renamed, tables get
 * other owners, and triggers are created that change what our triggers must
 * look at.  Nothing depends on this for safety but the rows of partitions: if
 * the event trigger is disabled, names that mean nothing any more make writes
 * fail, and check() finds the rest.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/ddl.h"

PLINTH_FUNCTION(plinth_closure_ddl_end);

/* A partition has come below a hierarchy: give it its statement triggers. */
static void
after_joining(Oid relid)
{
	Oid			root;
	ClosureOptions *options;

	if (!OidIsValid(relid) || !get_rel_relispartition(relid) ||
		closure_trigger(relid, "collect", NULL) == NULL)
		return;
	root = closure_root(relid);
	options = closure_table_options(root);
	if (options && root != relid &&
		closure_trigger(relid, "apply", NULL) == NULL)
		closure_make_statement_triggers(relid, root, options);
}

/* A partition with rows has come or gone: so have its nodes. */
static void
after_attach(Oid parent, Oid part)
{
	Oid			root;
	ListCell   *lc;

	if (!OidIsValid(parent) || closure_trigger(parent, "collect", NULL) == NULL)
		return;
	if (OidIsValid(part))
	{
		foreach(lc, find_all_inheritors(part, NoLock, NULL))
		{
			if (get_rel_relispartition(part))
				after_joining(lfirst_oid(lc));
			else
			{
				ListCell   *lt;

				foreach(lt, closure_triggers(lfirst_oid(lc)))
				{
					PlinthTrigger *trig = lfirst(lt);

					if (!OidIsValid(trig->parent))
						plinth_drop_trigger(trig);
				}
			}
		}
	}

	/* ATTACH PARTITION keeps nobody from writing to the others */
	root = closure_root(parent);
	LockRelationOid(root, ShareRowExclusiveLock);
	(void) find_all_inheritors(root, ShareRowExclusiveLock, NULL);
	(void) closure_repair(root);
}

/*
 * One of several key columns was renamed: so are those of the closure, unless
 * they have been given other names already.
 */
static void
rename_closure_columns(Oid relid, const char *from, const char *to)
{
	ClosureOptions *options = closure_table_options(relid);
	Oid			closureid = plinth_qualified_oid(options->closure);
	int			nkeys = list_length(options->key);
	static const char *const sides[] = {"ancestor", "descendant"};

	if (nkeys == 1 || !OidIsValid(closureid) || closure_root(relid) != relid ||
		!closure_belongs_to(closureid, relid))
		return;
	for (int i = 0; i < 2 * nkeys; i++)
	{
		char	   *was = get_attname(closureid, i + 1, true);
		const char *side = sides[i / nkeys];

		if (strcmp(list_nth(options->key, i % nkeys), from) == 0 && was &&
			strcmp(was, makeObjectName(side, from, NULL)) == 0)
			plinth_sql("ALTER TABLE %s RENAME COLUMN %s TO %s",
					   options->closure, quote_identifier(was),
					   quote_identifier(makeObjectName(side, to, NULL)));
	}
}

/* A column was renamed: so it is in the options, here and below. */
static void
follow_column_rename(Oid relid, const char *from, const char *to)
{
	ListCell   *lc;

	if (!OidIsValid(relid) || closure_trigger(relid, "collect", NULL) == NULL)
		return;
	rename_closure_columns(relid, from, to);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		ListCell   *lt;

		foreach(lt, closure_triggers(lfirst_oid(lc)))
		{
			PlinthTrigger *trig = lfirst(lt);
			ClosureOptions *options = closure_options_parse(trig->nargs,
															trig->args);

			(void) plinth_rename_in(options->key, from, to);
			(void) plinth_rename_in(options->parent, from, to);
			plinth_set_trigger_args(trig->oid, closure_options_args(options));
		}
	}
}

/* The closure belongs to whom the table belongs to, and is logged as it is. */
static void
follow_table(Oid relid)
{
	ClosureOptions *options = closure_table_options(relid);
	Oid			closureid;
	Oid			owner = plinth_relation_owner(relid);

	if (options == NULL || closure_root(relid) != relid)
		return;
	closureid = plinth_qualified_oid(options->closure);
	if (!OidIsValid(closureid) || !closure_belongs_to(closureid, relid))
		return;
	if (plinth_relation_owner(closureid) != owner)
		plinth_sql("ALTER TABLE %s OWNER TO %s", options->closure,
				   quote_identifier(GetUserNameFromId(owner, false)));
	if (get_rel_relkind(relid) == RELKIND_RELATION &&
		get_rel_persistence(relid) != get_rel_persistence(closureid))
		plinth_sql("ALTER TABLE %s SET %s", options->closure,
				   get_rel_persistence(relid) == RELPERSISTENCE_UNLOGGED ?
				   "UNLOGGED" : "LOGGED");
	closure_own_functions(relid, options);
}

/* Rows of a child would be rows of the hierarchy that no trigger tells of. */
static void
refuse_child(Oid relid)
{
	ListCell   *lc;

	if (get_rel_relispartition(relid) || !has_superclass(relid))
		return;
	foreach(lc, plinth_sql_strings("SELECT inhparent FROM pg_inherits WHERE inhrelid = %u", relid))
	{
		Oid			parent = strtoul(lfirst(lc), NULL, 10);

		if (closure_trigger(parent, "collect", NULL))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" cannot inherit from hierarchy \"%s\"",
							get_rel_name(relid), get_rel_name(parent)),
					 errdetail("Keys are not unique over such tables."),
					 errhint("Run plinth_closure.disable() on \"%s\" first.",
							 get_rel_name(parent))));
	}
}

/* A BEFORE trigger may change the parent of rows whatever the UPDATE names. */
static void
follow_new_trigger(PlinthTrigger *trig)
{
	Oid			root = closure_root(trig->relid);
	ClosureOptions *options = closure_table_options(root);
	PlinthTrigger *move;

	if (options == NULL || trig->internal || !TRIGGER_FOR_ROW(trig->type) ||
		!TRIGGER_FOR_BEFORE(trig->type) || !TRIGGER_FOR_UPDATE(trig->type))
		return;
	move = closure_trigger(root, "collect", CLOSURE_MOVE_TRIGGER);
	if (move && move->conditional)
		closure_watch_all_updates(root, options);
}

/*
 * One of our own triggers has come.  If a restore brought it, it finds closure
 * and functions there, but not that they belong to the table.
 */
static void
follow_our_trigger(PlinthTrigger *trig)
{
	if (!OidIsValid(trig->parent) &&
		trig->funcid == closure_function("collect") &&
		strcmp(trig->name, CLOSURE_ROW_TRIGGER) == 0)
		closure_attach(trig->relid, closure_options_parse(trig->nargs,
														  trig->args));
}

/*
 * plinth_closure.ddl_end(): event trigger at ddl_command_end.
 */
Datum
plinth_closure_ddl_end(PG_FUNCTION_ARGS)
{
	Node	   *parsetree;
	ListCell   *lc;

	parsetree = plinth_event_trigger(fcinfo,
									 "plinth_closure.ddl_end")->parsetree;
	if (!OidIsValid(closure_function("collect")) ||
		!OidIsValid(closure_function("apply")))
		PG_RETURN_NULL();

	switch (nodeTag(parsetree))
	{
		case T_CreateStmt:
			if (castNode(CreateStmt, parsetree)->inhRelations == NIL)
				break;
			/* FALLTHROUGH */
		case T_CreateSchemaStmt:
		case T_CreateTrigStmt:
		case T_AlterTableStmt:
			foreach(lc, plinth_touched_objects())
			{
				PlinthTouched *touched = lfirst(lc);

				if (touched->is_trigger)
				{
					PlinthTrigger *trig = plinth_trigger(touched->objid);

					if (trig)
					{
						follow_new_trigger(trig);
						follow_our_trigger(trig);
					}
				}
				else
				{
					/* nothing else brings a partition; see after_attach() */
					if (!IsA(parsetree, AlterTableStmt))
						after_joining(touched->objid);
					follow_table(touched->objid);
					refuse_child(touched->objid);
				}
			}
			break;
		case T_RenameStmt:
			{
				RenameStmt *stmt = castNode(RenameStmt, parsetree);

				if (stmt->renameType == OBJECT_COLUMN)
					follow_column_rename(plinth_named_relation(stmt->relation),
										 stmt->subname, stmt->newname);
			}
			break;
		default:
			break;
	}

	if (IsA(parsetree, AlterTableStmt))
	{
		AlterTableStmt *stmt = castNode(AlterTableStmt, parsetree);

		foreach(lc, stmt->cmds)
		{
			AlterTableCmd *cmd = lfirst(lc);

			if (IsA(cmd, AlterTableCmd) &&
				(cmd->subtype == AT_AttachPartition ||
				 cmd->subtype == AT_DetachPartition ||
				 cmd->subtype == AT_DetachPartitionFinalize) &&
				stmt->objtype == OBJECT_TABLE)
				after_attach(plinth_named_relation(stmt->relation),
							 plinth_named_relation(castNode(PartitionCmd, cmd->def)->name));
		}
	}
	PG_RETURN_NULL();
}
