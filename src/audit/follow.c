/*
 * src/audit/follow.c
 *		DDL that concerns audited tables and logs: the event triggers.
 *
 * Options and names stand in trigger arguments, so that they travel; here
 * they are kept true when something is renamed, moved, attached, inherited,
 * dropped or given to another owner.  Nothing depends on this for safety: if
 * an event trigger is disabled, the next write finds a name that means
 * nothing and fails closed.
 *
 * What a command touched is read from pg_event_trigger_ddl_commands(), what
 * exactly it did from the parse tree where that matters, and everything else
 * is found by comparing what is with what should be.  All of it may run twice
 * without harm, because the commands issued here fire the triggers again.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/ddl.h"
#include "kit/errors.h"

PLINTH_FUNCTION(plinth_audit_ddl_end);
PLINTH_FUNCTION(plinth_audit_ddl_drop);

/* The logs in a schema, in the order of their OIDs. */
List *
audit_logs_in(Oid nspid)
{
	List	   *logs = NIL;
	ListCell   *lc;

	foreach(lc, plinth_function_triggers(audit_guard_function()))
	{
		PlinthTrigger *guard = lfirst(lc);

		if (get_rel_namespace(guard->relid) == nspid)
			logs = list_append_unique_oid(logs, guard->relid);
	}
	list_sort(logs, list_oid_cmp);
	return logs;
}

/* A column was renamed: so it is in the options, here and below. */
static void
follow_column_rename(Oid relid, const char *from, const char *to)
{
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	foreach(lc, audit_family(relid, NoLock))
	{
		Oid			member = lfirst_oid(lc);
		PlinthTrigger *trigs[2];

		trigs[0] = audit_row_trigger(member);
		trigs[1] = audit_truncate_trigger(member);
		for (int i = 0; i < lengthof(trigs); i++)
		{
			AuditOptions *options;
			bool		found;

			if (trigs[i] == NULL)
				continue;
			options = audit_options_parse(trigs[i]->nargs, trigs[i]->args);
			found = plinth_rename_in(options->include, from, to);
			found |= plinth_rename_in(options->exclude, from, to);
			found |= plinth_rename_in(options->mask, from, to);
			if (found)
				plinth_set_trigger_args(trigs[i]->oid,
										audit_options_args(options));
		}
	}
}

/* Take a name out of a list. */
static List *
without(List *names, const char *name, bool *found)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
		{
			*found = true;
			return list_delete_cell(names, lc);
		}
	}
	return names;
}

/*
 * A column was dropped: options need not speak of it.  Only what the server
 * reports as dropped counts.  A name that is missing for another reason, a
 * renaming that went unseen, must stay and make writes fail, because it may
 * have hidden the column.
 */
static void
follow_dropped_column(PlinthTrigger *trig, const char *column)
{
	AuditOptions *options;
	bool		found = false;

	if (trig == NULL)
		return;
	options = audit_options_parse(trig->nargs, trig->args);
	options->include = without(options->include, column, &found);
	options->exclude = without(options->exclude, column, &found);
	options->mask = without(options->mask, column, &found);
	if (found)
		plinth_set_trigger_args(trig->oid, audit_options_args(options));
}

/* The log of a table whose owner changed gets the new owner as reader. */
static void
follow_owner(Oid relid, const AuditOptions *options)
{
	Oid			logid = plinth_qualified_oid(options->log);
	Oid			owner = plinth_relation_owner(relid);
	PlinthTrigger *guard;
	const char *reader;
	PlinthIdentity self;
	bool		child;

	if (!OidIsValid(logid) || audit_root(relid, logid, &child) != relid ||
		plinth_relation_owner(logid) != audit_owner())
		return;
	guard = audit_log_guard(logid);
	if (guard == NULL)
		return;
	reader = audit_guard_arg(guard, "reader");
	if ((reader && strcmp(reader, GetUserNameFromId(owner, false)) == 0) ||
		!audit_log_belongs(logid, relid))
		return;
	plinth_become(&self, audit_owner());
	audit_log_protect(logid, relid, false);
	plinth_restore_identity(&self);
}

/* A log has another name or schema: tell the triggers that write to it. */
static void
follow_log_name(Oid logid, PlinthTrigger *guard)
{
	const char *was = audit_guard_arg(guard, "log");
	char	   *name = plinth_relation_name(logid);
	List	   *others;
	List	   *args = NIL;
	ListCell   *lc;

	if (was == NULL || plinth_same_name(was, name))
		return;
	others = audit_tables_of(name);
	if (others != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("audit log \"%s\" is in use by table \"%s\"",
						plinth_name_label(name),
						get_rel_name(linitial_oid(others))),
				 errhint("Choose another name.")));
	foreach(lc, plinth_function_triggers(audit_capture_function()))
	{
		PlinthTrigger *trig = lfirst(lc);
		AuditOptions *options = audit_options_parse(trig->nargs, trig->args);

		CHECK_FOR_INTERRUPTS();
		if (!plinth_same_name(options->log, was))
			continue;
		options->log = name;
		plinth_set_trigger_args(trig->oid, audit_options_args(options));
	}
	for (int i = 0; i < guard->nargs; i++)
		args = lappend(args, strncmp(guard->args[i], "log=", 4) == 0 ?
					   psprintf("log=%s", name) : guard->args[i]);
	plinth_set_trigger_args(guard->oid, args);

	/* whoever may read the log under its new name may read its context */
	if (OidIsValid(audit_transaction_oid()))
	{
		PlinthIdentity self;

		plinth_become(&self, audit_owner());
		plinth_sql("UPDATE " AUDIT_SCHEMA "." AUDIT_TRANSACTION_TABLE
				   " SET logs = array_replace(logs, %s, %s) WHERE %s = ANY (logs)",
				   quote_literal_cstr(was), quote_literal_cstr(name),
				   quote_literal_cstr(was));
		plinth_restore_identity(&self);
	}
}

/*
 * A table has come below an audited one: give it the triggers that it lacks.
 * Only for commands that bring it there; a restore makes the triggers one by
 * one, in any order, and must find no more than it has made.
 */
void
audit_follow_joining(Oid relid)
{
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';
	ListCell   *lc;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_FOREIGN_TABLE)
		return;
	foreach(lc, plinth_sql_strings("SELECT inhparent FROM pg_inherits WHERE inhrelid = %u ORDER BY inhseqno",
								   relid))
	{
		Oid			parent = strtoul(lfirst(lc), NULL, 10);
		AuditOptions *options = audit_table_options(parent);

		if (options == NULL)
			continue;
		if (relkind == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("foreign table \"%s\" cannot come below audited table \"%s\"",
							get_rel_name(relid), get_rel_name(parent)),
					 errdetail("Its changes happen on another server, unseen by this one."),
					 errhint("Stop auditing \"%s\" with plinth_audit.disable() first.",
							 get_rel_name(parent))));
		audit_triggers_make(relid, options);
		return;
	}
}

/*
 * A partition has left an audited table, and with it the row trigger, which
 * was a clone: take away the other.
 */
static void
after_detach(Oid part)
{
	ListCell   *lc;

	if (!OidIsValid(part))
		return;
	foreach(lc, audit_family(part, NoLock))
	{
		PlinthTrigger *truncate = audit_truncate_trigger(lfirst_oid(lc));

		if (truncate && audit_row_trigger(lfirst_oid(lc)) == NULL)
			plinth_drop_trigger(truncate);
	}
}

/* Look after a relation that a command has created or changed. */
static void
follow_relation(Oid relid)
{
	char		relkind = get_rel_relkind(relid);
	PlinthTrigger *guard;
	PlinthTrigger *row;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		return;
	guard = audit_log_guard(relid);
	if (guard)
	{
		follow_log_name(relid, guard);
		return;
	}
	row = audit_row_trigger(relid);
	if (row == NULL)
		return;
	follow_owner(relid, audit_options_parse(row->nargs, row->args));
}

/* A child by inheritance leaves an audited parent. */
static void
after_no_inherit(Oid relid, Oid parent)
{
	AuditOptions *options = OidIsValid(relid) ? audit_table_options(relid) : NULL;

	if (options && OidIsValid(parent) &&
		audit_captured_into(parent, plinth_qualified_oid(options->log)))
		audit_triggers_drop(relid);
	/* it may have another parent that is audited */
	audit_follow_joining(relid);
}

/*
 * A trigger was created.  Nobody but its owner puts one on a log, and one of
 * ours is not made by hand for a foreign log.  A restore of single tables
 * brings audit triggers but not the table for their context.
 */
static void
follow_new_trigger(Oid tgoid)
{
	PlinthTrigger *trig = plinth_trigger(tgoid);
	PlinthIdentity self;

	if (trig == NULL)
		return;
	if (trig->funcid == audit_capture_function())
	{
		audit_check_trigger(trig);
		if (!OidIsValid(audit_transaction_oid()))
		{
			plinth_become(&self, audit_owner());
			audit_transaction_make();
			plinth_restore_identity(&self);
		}
	}
	else if (trig->funcid == audit_guard_function())
		audit_check_guard(trig);
	else if (audit_log_guard(trig->relid) != NULL &&
			 !superuser() && !plinth_owns_relation(trig->relid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_PLINTH_LOG_PROTECTED),
				 errmsg("trigger cannot be created on audit log \"%s\"",
						get_rel_name(trig->relid)),
				 errhint("Only a superuser or the log's owner can do that.")));
}

/* Typed tables whose type has a new name for a column. */
static void
after_attribute_rename(RenameStmt *stmt)
{
	Oid			typrel = plinth_named_relation(stmt->relation);
	ListCell   *lc;

	if (!OidIsValid(typrel))
		return;
	foreach(lc, plinth_sql_strings("SELECT c.oid FROM pg_class c JOIN pg_class t ON c.reloftype = t.reltype"
								   " WHERE t.oid = %u", typrel))
		follow_column_rename(strtoul(lfirst(lc), NULL, 10), stmt->subname,
							 stmt->newname);
}

/*
 * A sweeping GRANT may have given away the sequence of a log, which no guard
 * trigger protects: setting it back would stop all writes.
 */
static void
after_grant(GrantStmt *stmt)
{
	PlinthIdentity self;
	ListCell   *lc;

	if (!stmt->is_grant || (stmt->objtype != OBJECT_SEQUENCE &&
							stmt->objtype != OBJECT_TABLE))
		return;
	foreach(lc, plinth_function_triggers(audit_guard_function()))
	{
		Oid			logid = ((PlinthTrigger *) lfirst(lc))->relid;

		if (!audit_sequence_is_open(logid) ||
			plinth_relation_owner(logid) != audit_owner())
			continue;
		ereport(WARNING,
				(errmsg("no privileges but SELECT can be granted on the sequence of audit log \"%s\"",
						get_rel_name(logid))));
		plinth_become(&self, audit_owner());
		audit_sequence_close(logid);
		plinth_restore_identity(&self);
	}
}

/* What only the command itself tells. */
static void
follow_parse_tree(Node *parsetree)
{
	if (IsA(parsetree, RenameStmt))
	{
		RenameStmt *stmt = castNode(RenameStmt, parsetree);
		ListCell   *lc;

		if (stmt->renameType == OBJECT_COLUMN)
			follow_column_rename(plinth_named_relation(stmt->relation),
								 stmt->subname, stmt->newname);
		else if (stmt->renameType == OBJECT_ATTRIBUTE)
			after_attribute_rename(stmt);
		else if (stmt->renameType == OBJECT_SCHEMA)
		{
			foreach(lc, audit_logs_in(get_namespace_oid(stmt->newname, true)))
				follow_log_name(lfirst_oid(lc),
								audit_log_guard(lfirst_oid(lc)));
		}
	}
	else if (IsA(parsetree, GrantStmt))
		after_grant(castNode(GrantStmt, parsetree));
	else if (IsA(parsetree, AlterTableStmt))
	{
		AlterTableStmt *stmt = castNode(AlterTableStmt, parsetree);
		ListCell   *lc;

		foreach(lc, stmt->cmds)
		{
			AlterTableCmd *cmd = lfirst(lc);

			if (!IsA(cmd, AlterTableCmd))
				continue;
			if (cmd->subtype == AT_DropInherit)
				after_no_inherit(plinth_named_relation(stmt->relation),
								 plinth_named_relation(castNode(RangeVar, cmd->def)));
			else if (cmd->subtype == AT_AddInherit)
				audit_follow_joining(plinth_named_relation(stmt->relation));
			else if (cmd->subtype == AT_AttachPartition)
				audit_follow_joining(plinth_named_relation(castNode(PartitionCmd, cmd->def)->name));
			else if (cmd->subtype == AT_DetachPartition ||
					 cmd->subtype == AT_DetachPartitionFinalize)
				after_detach(plinth_named_relation(castNode(PartitionCmd, cmd->def)->name));
		}
	}
}

/*
 * Can this command concern us at all?  Sessions that make temporary tables
 * all day should not notice that somebody else's tables are audited.
 */
static bool
is_relevant(Node *parsetree)
{
	switch (nodeTag(parsetree))
	{
		case T_CreateStmt:
			/* a temporary table may still inherit from an audited one */
			return castNode(CreateStmt, parsetree)->relation->relpersistence !=
				RELPERSISTENCE_TEMP ||
				castNode(CreateStmt, parsetree)->inhRelations != NIL;
		case T_CreateForeignTableStmt:
		case T_CreateSchemaStmt:
		case T_AlterTableStmt:
		case T_RenameStmt:
		case T_AlterObjectSchemaStmt:
		case T_AlterOwnerStmt:
		case T_CreateTrigStmt:
		case T_GrantStmt:
			return true;
		default:
			return false;
	}
}

/* Look after all that a command has created or changed. */
static void
follow_touched_objects(void)
{
	ListCell   *lc;

	foreach(lc, plinth_touched_objects())
	{
		PlinthTouched *touched = lfirst(lc);

		if (touched->is_trigger)
		{
			follow_new_trigger(touched->objid);
			continue;
		}
		if (touched->is_new_table)
			audit_follow_joining(touched->objid);
		follow_relation(touched->objid);
	}
}

/*
 * plinth_audit.ddl_end(): event trigger at ddl_command_end.
 */
Datum
plinth_audit_ddl_end(PG_FUNCTION_ARGS)
{
	Node	   *parsetree;

	parsetree = plinth_event_trigger(fcinfo,
									 "plinth_audit.ddl_end")->parsetree;

	/* while the extension itself comes or goes there is nothing to follow */
	if (!is_relevant(parsetree) ||
		!OidIsValid(audit_capture_function()) ||
		!OidIsValid(audit_guard_function()))
		PG_RETURN_NULL();

	follow_parse_tree(parsetree);
	follow_touched_objects();
	PG_RETURN_NULL();
}

/*
 * plinth_audit.ddl_drop(): event trigger at sql_drop, for columns that are
 * dropped, be it by ALTER TABLE or because their type was.
 */
Datum
plinth_audit_ddl_drop(PG_FUNCTION_ARGS)
{
	ListCell   *lc;

	(void) plinth_event_trigger(fcinfo, "plinth_audit.ddl_drop");
	if (!OidIsValid(audit_capture_function()))
		PG_RETURN_NULL();

	foreach(lc, plinth_sql_strings("SELECT objid || ' ' || address_names[3]"
								   " FROM pg_event_trigger_dropped_objects()"
								   " WHERE classid = 'pg_class'::regclass AND objsubid > 0"
								   " AND object_type = 'table column' AND NOT is_temporary"))
	{
		char	   *column;
		Oid			relid = strtoul(lfirst(lc), &column, 10);

		follow_dropped_column(audit_row_trigger(relid), column + 1);
		follow_dropped_column(audit_truncate_trigger(relid), column + 1);
	}
	PG_RETURN_NULL();
}
