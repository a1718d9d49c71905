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

#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/event_trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PLINTH_FUNCTION(plinth_closure_ddl_end);

static Oid
named_relation(RangeVar *name)
{
	return name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
}

/* Our triggers on a relation. */
static List *
our_triggers(Oid relid)
{
	Oid			collect = closure_function("collect");
	Oid			apply = closure_function("apply");
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid == collect || trig->funcid == apply)
			result = lappend(result, trig);
	}
	return result;
}

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

				foreach(lt, our_triggers(lfirst_oid(lc)))
				{
					PlinthTrigger *trig = lfirst(lt);

					if (!OidIsValid(trig->parent))
						plinth_sql("DROP TRIGGER %s ON %s",
								   quote_identifier(trig->name),
								   plinth_relation_name(trig->relid));
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

/* One of several key columns was renamed: so are those of the closure. */
static void
rename_closure_columns(Oid relid, const char *from, const char *to)
{
	ClosureOptions *options = closure_table_options(relid);
	Oid			closureid = plinth_qualified_oid(options->closure);
	static const char *const sides[] = {"ancestor", "descendant"};

	if (list_length(options->key) == 1 || !plinth_name_in(options->key, from) ||
		!OidIsValid(closureid) || closure_root(relid) != relid ||
		!closure_belongs_to(closureid, relid))
		return;
	for (int i = 0; i < 2; i++)
		plinth_sql("ALTER TABLE %s RENAME COLUMN %s TO %s", options->closure,
				   quote_identifier(psprintf("%s_%s", sides[i], from)),
				   quote_identifier(psprintf("%s_%s", sides[i], to)));
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

		foreach(lt, our_triggers(lfirst_oid(lc)))
		{
			PlinthTrigger *trig = lfirst(lt);
			ClosureOptions *options = closure_options_parse(trig->nargs,
															trig->args);
			ListCell   *ln;

			foreach(ln, options->key)
			{
				if (strcmp(lfirst(ln), from) == 0)
					lfirst(ln) = pstrdup(to);
			}
			foreach(ln, options->parent)
			{
				if (strcmp(lfirst(ln), from) == 0)
					lfirst(ln) = pstrdup(to);
			}
			plinth_set_trigger_args(trig->oid, closure_options_args(options));
		}
	}
}

/* The closure belongs to whom the table belongs to. */
static void
follow_owner(Oid relid)
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
	closure_own_functions(relid, options);
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
	EventTriggerData *trigdata;
	ListCell   *lc;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by event trigger manager",
						"plinth_closure.ddl_end")));
	trigdata = (EventTriggerData *) fcinfo->context;
	if (!OidIsValid(closure_function("collect")) ||
		!OidIsValid(closure_function("apply")))
		PG_RETURN_NULL();

	switch (nodeTag(trigdata->parsetree))
	{
		case T_CreateStmt:
			if (castNode(CreateStmt, trigdata->parsetree)->partbound == NULL)
				break;
			/* FALLTHROUGH */
		case T_CreateSchemaStmt:
		case T_CreateTrigStmt:
		case T_AlterTableStmt:
			foreach(lc, plinth_sql_strings("SELECT DISTINCT CASE WHEN classid = 'pg_trigger'::regclass THEN 't' ELSE 'r' END || objid"
										   " FROM pg_event_trigger_ddl_commands()"
										   " WHERE classid IN ('pg_class'::regclass, 'pg_trigger'::regclass) AND objsubid = 0"))
			{
				char	   *what = lfirst(lc);
				Oid			objid = strtoul(what + 1, NULL, 10);

				if (*what == 't')
				{
					PlinthTrigger *trig = plinth_trigger(objid);

					if (trig)
					{
						follow_new_trigger(trig);
						follow_our_trigger(trig);
					}
				}
				else
				{
					/* nothing else brings a partition; see after_attach() */
					if (!IsA(trigdata->parsetree, AlterTableStmt))
						after_joining(objid);
					follow_owner(objid);
				}
			}
			break;
		case T_RenameStmt:
			{
				RenameStmt *stmt = castNode(RenameStmt, trigdata->parsetree);

				if (stmt->renameType == OBJECT_COLUMN)
					follow_column_rename(named_relation(stmt->relation),
										 stmt->subname, stmt->newname);
			}
			break;
		default:
			break;
	}

	if (IsA(trigdata->parsetree, AlterTableStmt))
	{
		AlterTableStmt *stmt = castNode(AlterTableStmt, trigdata->parsetree);

		foreach(lc, stmt->cmds)
		{
			AlterTableCmd *cmd = lfirst(lc);

			if (IsA(cmd, AlterTableCmd) &&
				(cmd->subtype == AT_AttachPartition ||
				 cmd->subtype == AT_DetachPartition ||
				 cmd->subtype == AT_DetachPartitionFinalize) &&
				stmt->objtype == OBJECT_TABLE)
				after_attach(named_relation(stmt->relation),
							 named_relation(castNode(PartitionCmd, cmd->def)->name));
		}
	}
	PG_RETURN_NULL();
}
