/*
 * src/audit/prepare.c
 *		Before DDL: the event trigger at ddl_command_start.
 *
 * That it loads this library, with the hook of protect.c, before any command
 * can drop anything, is half of its purpose.  The other half is what must be
 * done before a command and cannot be done after it: to make way for the
 * triggers of a root, and to keep writers away from logs whose names change.
 * What it does takes effect only if the command succeeds.
 *
 * Locks: audited tables before logs, roots before what is below them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"

#include "kit/ddl.h"

PLINTH_FUNCTION(plinth_audit_ddl_start);

/*
 * Before ATTACH PARTITION: a table that is audited by itself has a trigger
 * whose name the clone of the root's will need.  Takes effect only if the
 * command succeeds.
 */
static void
before_attach(Oid parent, Oid part)
{
	if (!OidIsValid(parent) || !OidIsValid(part) ||
		audit_row_trigger(parent) == NULL ||
		audit_row_trigger(part) == NULL ||
		!plinth_owns_relation(parent, GetUserId()) ||
		!plinth_owns_relation(part, GetUserId()))
		return;
	/* in the order in which the command itself locks them */
	LockRelationOid(parent, ShareUpdateExclusiveLock);
	LockRelationOid(part, AccessExclusiveLock);
	if (audit_row_trigger(parent) == NULL || audit_row_trigger(part) == NULL)
		return;
	ereport(NOTICE,
			(errmsg("table \"%s\" is now audited together with \"%s\"",
					get_rel_name(part), get_rel_name(parent)),
			 errdetail("Its own log \"%s\" stays as it is.",
					   plinth_name_label(audit_table_options(part)->log))));
	audit_triggers_drop(part);
}

/*
 * Before a log is renamed or moved, keep writers away: they look it up by
 * name.  Tables are locked before logs.
 */
static void
before_log_moves(Oid relid)
{
	ListCell   *lc;

	foreach(lc, audit_tables_of(plinth_relation_name(relid)))
	{
		LockRelationOid(lfirst_oid(lc), ShareRowExclusiveLock);
		(void) find_all_inheritors(lfirst_oid(lc), ShareRowExclusiveLock, NULL);
	}
}

/* The same for a relation that is renamed or moved, if it is a log at all. */
static void
before_relation_moves(Oid relid)
{
	if (OidIsValid(relid) && audit_log_guard(relid) != NULL &&
		plinth_owns_relation(relid, GetUserId()))
		before_log_moves(relid);
}

/* And for all logs of a schema that gets another name. */
static void
before_schema_moves(Oid nspid)
{
	ListCell   *lc;

	if (!OidIsValid(nspid) || !plinth_owns_schema(nspid, GetUserId()))
		return;
	foreach(lc, audit_logs_in(nspid))
		before_log_moves(lfirst_oid(lc));
	/* see plinth_hold_schema() */
	LockDatabaseObject(NamespaceRelationId, nspid, 0, AccessExclusiveLock);
}

/*
 * plinth_audit.ddl_start(): event trigger at ddl_command_start.
 */
Datum
plinth_audit_ddl_start(PG_FUNCTION_ARGS)
{
	Node	   *parsetree;

	parsetree = plinth_event_trigger(fcinfo,
									 "plinth_audit.ddl_start")->parsetree;

	if (IsA(parsetree, AlterTableStmt))
	{
		AlterTableStmt *stmt = castNode(AlterTableStmt, parsetree);
		ListCell   *lc;

		foreach(lc, stmt->cmds)
		{
			AlterTableCmd *cmd = lfirst(lc);

			if (IsA(cmd, AlterTableCmd) &&
				cmd->subtype == AT_AttachPartition)
				before_attach(plinth_named_relation(stmt->relation),
							  plinth_named_relation(castNode(PartitionCmd, cmd->def)->name));
		}
	}
	else if (IsA(parsetree, RenameStmt) &&
			 castNode(RenameStmt, parsetree)->renameType == OBJECT_TABLE)
		before_relation_moves(plinth_named_relation(castNode(RenameStmt, parsetree)->relation));
	else if (IsA(parsetree, RenameStmt) &&
			 castNode(RenameStmt, parsetree)->renameType == OBJECT_SCHEMA)
		before_schema_moves(get_namespace_oid(castNode(RenameStmt, parsetree)->subname,
											  true));
	else if (IsA(parsetree, AlterObjectSchemaStmt) &&
			 castNode(AlterObjectSchemaStmt, parsetree)->objectType == OBJECT_TABLE)
		before_relation_moves(plinth_named_relation(castNode(AlterObjectSchemaStmt, parsetree)->relation));

	PG_RETURN_NULL();
}
