/*
 * src/audit/protect.c
 *		Nobody but a superuser or its owner changes a log.
 *
 * Three walls, because the log often stands in a schema that belongs to the
 * people whose doings it records:
 *
 * - privileges: nobody gets any but SELECT, which the owner of the audited
 *   table (its "reader") may hand on;
 * - a guard trigger, for the day when somebody runs GRANT ALL ON ALL TABLES;
 * - a hook on the dropping of that trigger, because who owns a schema may
 *   drop what is in it.  The trigger goes with the table however that is
 *   dropped, by name, by CASCADE or by DROP OWNED, so the hook sees them all.
 *   The event trigger plinth_audit_ddl_start loads this library, and with it
 *   the hook, before any command can drop anything.
 *
 * The guard's arguments say what the log was called and who its reader was
 * when they were last looked at, so that follow.c can tell what changed.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "kit/errors.h"

PLINTH_FUNCTION(plinth_audit_guard);
PLINTH_FUNCTION(plinth_audit_may_read);

static object_access_hook_type previous_object_access_hook = NULL;

/* Events of the guard trigger. */
#define GUARD_TYPE \
	(TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | \
	 TRIGGER_TYPE_DELETE | TRIGGER_TYPE_TRUNCATE)

/* May the current role do as it likes with a log? */
static bool
may_change(Oid relid)
{
	return superuser() || plinth_owns_relation(relid, GetUserId());
}

/*
 * plinth_audit.guard(): statement trigger on a log.
 */
Datum
plinth_audit_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"plinth_audit.guard")));
	rel = trigdata->tg_relation;
	if (!may_change(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_PLINTH_LOG_PROTECTED),
				 errmsg("audit log \"%s\" can only be written by its trigger",
						RelationGetRelationName(rel)),
				 errhint("Only a superuser or the log's owner may change it by hand."),
				 errtable(rel)));
	return PointerGetDatum(NULL);
}

/*
 * plinth_audit.may_read(text[]): may the current role SELECT from one of the
 * logs with these qualified names?  Names of logs that are no more count for
 * nothing, also if somebody has made a table of that name.
 */
Datum
plinth_audit_may_read(PG_FUNCTION_ARGS)
{
	ArrayType  *names = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		Oid			relid;

		if (nulls[i])
			continue;
		relid = plinth_qualified_oid(TextDatumGetCString(elems[i]));
		if (OidIsValid(relid) &&
			pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
			superuser_arg(plinth_relation_owner(relid)) &&
			audit_log_guard(relid) != NULL)
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

/* Refuse to drop a guard, and with it the log. */
static void
check_drop(Oid tgoid)
{
	PlinthTrigger *trig = plinth_trigger(tgoid);

	if (trig && OidIsValid(trig->funcid) &&
		trig->funcid == audit_guard_function() && !may_change(trig->relid))
		ereport(ERROR,
				(errcode(ERRCODE_PLINTH_LOG_PROTECTED),
				 errmsg("audit log \"%s\" cannot be dropped",
						get_rel_name(trig->relid)),
				 errdetail("It stays as the record of what was done to the audited table."),
				 errhint("A superuser or the log's owner can drop it, or move it to another schema first.")));
}

static void
on_object_access(ObjectAccessType access, Oid classId, Oid objectId,
				 int subId, void *arg)
{
	if (previous_object_access_hook)
		previous_object_access_hook(access, classId, objectId, subId, arg);
	if (access == OAT_DROP && classId == TriggerRelationId)
		check_drop(objectId);
}

void
audit_protect_init(void)
{
	previous_object_access_hook = object_access_hook;
	object_access_hook = on_object_access;
}

/*
 * The privileges on a relation that others than its owner hold: a List of
 * strings "privilege FROM grantee", ready for REVOKE.
 */
static List *
foreign_privileges(Oid relid, bool select_too)
{
	return plinth_sql_strings("SELECT a.privilege_type || ' ON ' || CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END"
							  " || format('%%I.%%I', n.nspname, c.relname) || ' FROM '"
							  " || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END"
							  " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,"
							  " aclexplode(c.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee"
							  " WHERE c.oid = %u AND a.grantee <> c.relowner AND (a.privilege_type <> 'SELECT' OR %s)"
							  " ORDER BY a.grantor = c.relowner DESC, a.grantee, a.privilege_type",
							  relid, select_too ? "true" : "false");
}

static void
revoke_foreign(Oid relid, bool select_too)
{
	ListCell   *lc;

	foreach(lc, foreign_privileges(relid, select_too))
		plinth_sql("REVOKE %s CASCADE", (char *) lfirst(lc));
}

/* The sequence behind audit_id; InvalidOid for plinth_audit.transaction. */
static Oid
sequence_of(Oid logid)
{
	Relation	log = table_open(logid, AccessShareLock);
	AttrNumber	attnum = get_attnum(logid, "audit_id");
	Oid			seqid = InvalidOid;

	if (attnum != InvalidAttrNumber)
		seqid = plinth_identity_sequence(log, attnum);
	table_close(log, AccessShareLock);
	return seqid;
}

/* Does anybody else hold more than SELECT on the log's sequence? */
bool
audit_sequence_is_open(Oid logid)
{
	Oid			seqid = sequence_of(logid);

	return OidIsValid(seqid) && foreign_privileges(seqid, false) != NIL;
}

/* Take it from them; runs as the log's owner. */
void
audit_sequence_close(Oid logid)
{
	LockRelationOid(logid, ShareUpdateExclusiveLock);
	plinth_hold_name(logid);
	revoke_foreign(sequence_of(logid), false);
}

/* Take a former reader's rights; what they had handed on stays, from us. */
static void
dismiss_reader(Oid relid, const char *kind, Oid role)
{
	const char *name = plinth_relation_name(relid);
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END"
								   " || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
								   " FROM pg_class c, aclexplode(c.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee"
								   " WHERE c.oid = %u AND a.grantor = %u AND a.privilege_type = 'SELECT'",
								   relid, role))
		plinth_sql("GRANT SELECT ON %s %s TO %s", kind, name,
				   (char *) lfirst(lc));
	plinth_sql("REVOKE ALL ON %s %s FROM %s CASCADE", kind, name,
			   quote_identifier(GetUserNameFromId(role, false)));
}

/*
 * Hand a relation from one reader to the next.  A role that was renamed is
 * known by what it may do.
 */
static void
change_reader(Oid relid, const char *kind, Oid reader, const char *former)
{
	const char *name = plinth_relation_name(relid);
	Oid			owner = plinth_relation_owner(relid);
	Oid			former_role;
	ListCell   *lc;

	if (OidIsValid(reader) && reader != owner)
		plinth_sql("GRANT SELECT ON %s %s TO %s WITH GRANT OPTION", kind, name,
				   quote_identifier(GetUserNameFromId(reader, false)));
	if (former == NULL)
		return;
	former_role = get_role_oid(former, true);
	if (OidIsValid(former_role))
	{
		if (former_role != reader && former_role != owner)
			dismiss_reader(relid, kind, former_role);
		return;
	}
	foreach(lc, plinth_sql_strings("SELECT a.grantee FROM pg_class c, aclexplode(c.relacl) AS a"
								   " WHERE c.oid = %u AND a.grantor = c.relowner AND a.grantee NOT IN (0, %u)"
								   " AND a.privilege_type = 'SELECT' AND a.is_grantable",
								   relid, reader))
		dismiss_reader(relid, kind, strtoul(lfirst(lc), NULL, 10));
}

/*
 * Put up the walls around the log of a table, or mend them.  Without a table
 * it is plinth_audit.transaction, which has no reader.  A fresh one loses all
 * that default privileges gave away.  Runs as the log's owner.
 */
void
audit_log_protect(Oid logid, Oid table, bool fresh)
{
	Oid			reader = OidIsValid(table) ? plinth_relation_owner(table) :
		InvalidOid;
	const char *name;
	PlinthTrigger *guard;
	const char *former;
	Oid			seqid;
	List	   *args;

	LockRelationOid(logid, ShareUpdateExclusiveLock);
	plinth_hold_name(logid);
	name = plinth_relation_name(logid);
	guard = audit_log_guard(logid);
	former = guard ? audit_guard_arg(guard, "reader") : NULL;
	seqid = sequence_of(logid);
	args = list_make1(psprintf("log=%s", name));

	revoke_foreign(logid, fresh);
	change_reader(logid, "TABLE", reader, former);
	if (OidIsValid(seqid))
	{
		revoke_foreign(seqid, fresh);
		change_reader(seqid, "SEQUENCE", reader, former);
	}

	if (OidIsValid(reader))
		args = lappend(args, psprintf("reader=%s",
									  GetUserNameFromId(reader, false)));
	if (guard && (guard->type != GUARD_TYPE ||
				  strcmp(guard->name, AUDIT_GUARD_TRIGGER) != 0))
	{
		plinth_drop_trigger(guard);
		guard = NULL;
	}
	if (guard == NULL)
	{
		plinth_sql("CREATE TRIGGER " AUDIT_GUARD_TRIGGER
				   " BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s"
				   " FOR EACH STATEMENT EXECUTE FUNCTION " AUDIT_SCHEMA ".guard()",
				   name);
		guard = audit_log_guard(logid);
		if (guard == NULL)
			elog(ERROR, "guard trigger of relation %u is missing", logid);
	}
	plinth_set_trigger_args(guard->oid, args);
	if (guard->enabled != TRIGGER_FIRES_ALWAYS)
		plinth_sql("ALTER TABLE %s ENABLE ALWAYS TRIGGER " AUDIT_GUARD_TRIGGER,
				   name);
}

/* May a role hand on SELECT on the log?  Its owner and its reader may. */
bool
audit_log_is_reader(Oid logid, Oid role)
{
	return pg_class_aclmask(logid, role, ACL_GRANT_OPTION_FOR(ACL_SELECT),
							ACLMASK_ANY) != 0;
}

/*
 * Does the log belong to this table and no other?  A table comes to name a
 * log in its trigger only by enable(), a superuser, or a role that may hand on
 * SELECT on the log: audit_check_trigger() sees to that.
 */
bool
audit_log_belongs(Oid logid, Oid table)
{
	List	   *tables = audit_tables_of(plinth_relation_name(logid));

	return list_length(tables) == 1 && linitial_oid(tables) == table;
}

/*
 * May changes of this table go into this log?  Its owner must be the log's
 * reader.  REASSIGN OWNED fires no event trigger; if the log belongs to the
 * table, its new owner becomes the reader now.
 */
bool
audit_log_accepts(Oid logid, Oid table)
{
	Oid			logowner = plinth_relation_owner(logid);
	Oid			owner = plinth_relation_owner(table);
	PlinthIdentity self;

	/*
	 * A restore by the table's owner leaves the log to them.  Nobody else's
	 * table will do, whatever its name: it would collect foreign secrets.
	 */
	if (logowner != audit_owner() && logowner != owner &&
		!superuser_arg(logowner))
		return false;
	if (audit_log_is_reader(logid, owner))
		return true;
	if (logowner != audit_owner() || !audit_log_belongs(logid, table))
		return false;

	/* one session sees to it, the others need not wait */
	if (ConditionalLockRelationOid(logid, ShareUpdateExclusiveLock))
	{
		plinth_become(&self, audit_owner());
		audit_log_protect(logid, table, false);
		plinth_restore_identity(&self);
	}
	return true;
}

/* A table and all its ancestors, whether by partitioning or inheritance. */
static List *
lineage(Oid relid)
{
	List	   *result = list_make1_oid(relid);
	ListCell   *lc;

	/* the list grows while it is walked */
	foreach(lc, result)
	{
		ListCell   *lp;

		foreach(lp, plinth_sql_strings("SELECT inhparent FROM pg_inherits WHERE inhrelid = %u",
									   lfirst_oid(lc)))
			result = list_append_unique_oid(result,
											strtoul(lfirst(lp), NULL, 10));
	}
	return result;
}

/* Do two lists of OIDs have a member in common? */
static bool
overlap(const List *a, const List *b)
{
	ListCell   *lc;

	foreach(lc, a)
	{
		if (list_member_oid(b, lfirst_oid(lc)))
			return true;
	}
	return false;
}

/* Is one of the tables' owners the log's reader? */
static bool
any_reader(Oid logid, List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		if (audit_log_is_reader(logid, plinth_relation_owner(lfirst_oid(lc))))
			return true;
	}
	return false;
}

/* May the current role create a relation of this name? */
static bool
may_create(const char *qualified)
{
	char	   *nspname;
	char	   *relname;
	Oid			nspid;

	plinth_split_name(qualified, &nspname, &relname);
	nspid = get_namespace_oid(nspname, true);
	return OidIsValid(nspid) &&
		plinth_schema_aclcheck(nspid, GetUserId(), ACL_CREATE) == ACLCHECK_OK;
}

/*
 * A trigger was created that calls guard().  What it remembers as the log's
 * name decides whose triggers follow when the log gets another, so it must be
 * the name of the very table that it is on.
 */
void
audit_check_guard(const PlinthTrigger *trig)
{
	const char *name = audit_guard_arg(trig, "log");

	if (!may_change(trig->relid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table \"%s\" to make it an audit log",
						get_rel_name(trig->relid))));
	if (name && plinth_qualified_oid(name) != trig->relid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("guard trigger on table \"%s\" names another log: \"%s\"",
						get_rel_name(trig->relid), plinth_name_label(name))));
}

/*
 * A trigger was created that calls capture(): by enable(), by a restore, or
 * by hand to write into, or claim, a log of somebody else.  Such a one is an
 * error.
 */
void
audit_check_trigger(const PlinthTrigger *trig)
{
	AuditOptions *options = audit_options_parse(trig->nargs, trig->args);
	Oid			logid = plinth_qualified_oid(options->log);
	List	   *family = lineage(trig->relid);
	const char *detail;
	ListCell   *lc;

	if (!may_change(trig->relid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table \"%s\" to audit it",
						get_rel_name(trig->relid))));
	if (trig->conditional || OidIsValid(trig->constraint) ||
		(trig->type != AUDIT_ROW_TYPE && trig->type != AUDIT_TRUNCATE_TYPE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("audit trigger \"%s\" on table \"%s\" must fire unconditionally and for all events",
						trig->name, get_rel_name(trig->relid)),
				 errhint("Use plinth_audit.enable() to audit a table.")));
	foreach(lc, plinth_relation_triggers(trig->relid))
	{
		PlinthTrigger *other = lfirst(lc);

		if (other->oid != trig->oid && other->funcid == trig->funcid &&
			other->type == trig->type)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("table \"%s\" is already audited by trigger \"%s\"",
							get_rel_name(trig->relid), other->name)));
	}

	foreach(lc, audit_tables_of(options->log))
	{
		if (!overlap(family, lineage(lfirst_oid(lc))))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("audit log \"%s\" is in use by table \"%s\"",
							plinth_name_label(options->log),
							get_rel_name(lfirst_oid(lc)))));
	}
	if (superuser())
		return;
	if (!OidIsValid(logid))
	{
		/* as after a restore without the log; repair() can make it */
		if (may_create(options->log))
			return;
		detail = "It does not exist.";
	}
	else if (audit_log_guard(logid) == NULL &&
			 plinth_relation_owner(logid) != plinth_relation_owner(trig->relid))
		detail = "It is not an audit log.";
	else if (!any_reader(logid, family))
		detail = psprintf("The owner of table \"%s\" has no SELECT privilege with grant option on it.",
						  get_rel_name(trig->relid));
	else
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to write to audit log \"%s\"",
					plinth_name_label(options->log)),
			 errdetail_internal("%s", detail),
			 errhint("Use plinth_audit.enable() to audit a table.")));
}

/*
 * What is missing of the protection of a table's log, or NULL if it stands.
 */
const char *
audit_log_unprotected(Oid logid, Oid table)
{
	Oid			reader = plinth_relation_owner(table);
	PlinthTrigger *guard = audit_log_guard(logid);
	Oid			owner = plinth_relation_owner(logid);
	Oid			seqid = sequence_of(logid);
	List	   *foreign;

	if (owner != audit_owner())
		return psprintf("it belongs to role \"%s\"",
						GetUserNameFromId(owner, false));
	if (guard == NULL)
		return "it has no guard trigger";
	if (guard->type != GUARD_TYPE || guard->enabled != TRIGGER_FIRES_ALWAYS)
		return "its guard trigger does not fire always";
	foreign = plinth_sql_strings("SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'"
								 " ELSE quote_ident(r.rolname) END, ', ')"
								 " FROM pg_class c, aclexplode(c.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee"
								 " WHERE c.oid IN (%u, %u) AND a.grantee <> c.relowner AND a.privilege_type <> 'SELECT'",
								 logid, seqid);
	if (linitial(foreign))
		return psprintf("more than SELECT is granted to %s",
						(char *) linitial(foreign));
	if (!audit_log_is_reader(logid, reader))
		return psprintf("the table's owner \"%s\" cannot read it",
						GetUserNameFromId(reader, false));
	return NULL;
}
