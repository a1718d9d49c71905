/*
 * src/audit/trigger.c
 *		Our triggers on a table and on everything below it.
 *
 * A table is audited if and only if it has the row trigger.  PostgreSQL gives
 * partitions a clone of it; children by inheritance, and the trigger before
 * TRUNCATE on everything below the root, are our work.
 *
 * Locks: root before descendants, in the order of find_all_inheritors();
 * tables before logs.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* The trigger of a relation that calls capture(), for rows or TRUNCATE. */
static PlinthTrigger *
find_trigger(Oid relid, bool for_row)
{
	Oid			capture = audit_capture_function();
	ListCell   *lc;

	if (!OidIsValid(capture))
		return NULL;
	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid == capture &&
			(TRIGGER_FOR_ROW(trig->type) != 0) == for_row)
			return trig;
	}
	return NULL;
}

/* The trigger that makes a table audited, or NULL. */
PlinthTrigger *
audit_row_trigger(Oid relid)
{
	return find_trigger(relid, true);
}

/* The trigger before TRUNCATE, or NULL. */
PlinthTrigger *
audit_truncate_trigger(Oid relid)
{
	return find_trigger(relid, false);
}

/* The options of an audited table; NULL if it is not audited. */
AuditOptions *
audit_table_options(Oid relid)
{
	PlinthTrigger *trig = audit_row_trigger(relid);

	return trig ? audit_options_parse(trig->nargs, trig->args) : NULL;
}

/* Does a table's row trigger write to this log? */
bool
audit_captured_into(Oid relid, Oid logid)
{
	AuditOptions *options = audit_table_options(relid);

	return options && plinth_qualified_oid(options->log) == logid;
}

/*
 * The table that was enabled when this one got its trigger: itself, or the
 * topmost ancestor by partitioning or inheritance that writes to the same
 * log.  *child says whether inheritance, not partitioning, leads there.
 */
Oid
audit_root(Oid relid, Oid logid, bool *child)
{
	Oid			root = relid;

	*child = false;
	for (;;)
	{
		Oid			parent = InvalidOid;
		Relation	inherits;
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tup;

		inherits = table_open(InheritsRelationId, AccessShareLock);
		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(root));
		scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true,
								  NULL, 1, &key);
		while (!OidIsValid(parent) &&
			   HeapTupleIsValid(tup = systable_getnext(scan)))
		{
			parent = ((Form_pg_inherits) GETSTRUCT(tup))->inhparent;
			if (!audit_captured_into(parent, logid))
				parent = InvalidOid;
		}
		systable_endscan(scan);
		table_close(inherits, AccessShareLock);

		if (!OidIsValid(parent))
			return root;
		if (!get_rel_relispartition(root))
			*child = true;
		root = parent;
	}
}

/*
 * The tables that were enabled with the log of this qualified name, whether
 * that exists or not: a List of OIDs, of which there is one at most unless
 * somebody made triggers by hand.
 */
List *
audit_tables_of(const char *log)
{
	Oid			logid = plinth_qualified_oid(log);
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, plinth_function_triggers(audit_capture_function()))
	{
		PlinthTrigger *trig = lfirst(lc);
		AuditOptions *options;
		bool		child;

		if (OidIsValid(trig->parent) || !TRIGGER_FOR_ROW(trig->type))
			continue;
		options = audit_options_parse(trig->nargs, trig->args);
		if (plinth_same_name(options->log, log) ||
			(OidIsValid(logid) && plinth_qualified_oid(options->log) == logid))
			tables = list_append_unique_oid(tables,
											audit_root(trig->relid, logid,
													   &child));
	}
	return tables;
}

/*
 * A table and all below it that can have our triggers, root first: a List of
 * OIDs.  Temporary children of other sessions are theirs alone.
 */
List *
audit_family(Oid relid, LOCKMODE lockmode)
{
	List	   *family = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, lockmode, NULL))
	{
		char		relkind = get_rel_relkind(lfirst_oid(lc));

		if ((relkind == RELKIND_RELATION ||
			 relkind == RELKIND_PARTITIONED_TABLE) &&
			!isOtherTempNamespace(get_rel_namespace(lfirst_oid(lc))))
			family = lappend_oid(family, lfirst_oid(lc));
	}
	return family;
}

/* Create one of our triggers; it fires whatever the replication role. */
static void
make_trigger(Oid relid, bool for_row, const AuditOptions *options)
{
	const char *name = plinth_relation_name(relid);
	const char *trigger = for_row ? AUDIT_ROW_TRIGGER : AUDIT_TRUNCATE_TRIGGER;
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(relid))
	{
		if (strcmp(((PlinthTrigger *) lfirst(lc))->name, trigger) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("table \"%s\" has a trigger \"%s\" of its own",
							get_rel_name(relid), trigger),
					 errhint("Rename that trigger first.")));
	}
	plinth_sql("CREATE TRIGGER %s %s ON %s FOR EACH %s EXECUTE FUNCTION "
			   AUDIT_SCHEMA ".capture(%s)",
			   trigger,
			   for_row ? "AFTER INSERT OR UPDATE OR DELETE" : "BEFORE TRUNCATE",
			   name, for_row ? "ROW" : "STATEMENT",
			   plinth_literal_list(audit_options_args(options)));
	plinth_sql("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", name, trigger);
}

/*
 * Give a table and all below it the triggers that they lack, with these
 * options, and make all of them fire always.  A descendant that was audited
 * by itself, into another log, is from now on audited with the rest.  Runs as
 * the current role, which owns the tables.
 */
void
audit_triggers_make(Oid relid, const AuditOptions *options)
{
	Oid			logid = plinth_qualified_oid(options->log);
	List	   *family = audit_family(relid, ShareRowExclusiveLock);
	ListCell   *lc;

	/* a trigger of the same name would be in the way of the clone */
	foreach(lc, family)
	{
		Oid			member = lfirst_oid(lc);
		PlinthTrigger *trig = audit_row_trigger(member);

		if (member != relid && trig && !OidIsValid(trig->parent) &&
			!audit_captured_into(member, logid))
		{
			ereport(NOTICE,
					(errmsg("table \"%s\" is now audited together with \"%s\"",
							get_rel_name(member), get_rel_name(relid)),
					 errdetail("Its own log \"%s\" stays as it is.",
							   plinth_name_label(audit_table_options(member)->log))));
			plinth_drop_trigger(trig);
			trig = audit_truncate_trigger(member);
			if (trig)
				plinth_drop_trigger(trig);
		}
	}

	foreach(lc, family)
	{
		Oid			member = lfirst_oid(lc);
		const char *name = plinth_relation_name(member);
		PlinthTrigger *trig;

		CHECK_FOR_INTERRUPTS();
		trig = audit_row_trigger(member);
		if (trig == NULL)
			make_trigger(member, true, options);
		else if (trig->enabled != TRIGGER_FIRES_ALWAYS)
			plinth_sql("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", name,
					   quote_identifier(trig->name));
		trig = audit_truncate_trigger(member);
		if (trig == NULL)
			make_trigger(member, false, options);
		else if (trig->enabled != TRIGGER_FIRES_ALWAYS)
			plinth_sql("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", name,
					   quote_identifier(trig->name));
	}
}

/* The names, and those in `own` that are no columns of the root. */
static List *
with_own_names(List *names, List *own, Oid root)
{
	List	   *result = list_copy(names);
	ListCell   *lc;

	foreach(lc, own)
	{
		if (get_attnum(root, lfirst(lc)) == InvalidAttrNumber &&
			!plinth_name_in(result, lfirst(lc)))
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * The options that a table below the root should have: the root's, and what
 * is said of columns that only this table has.  Such is left when a parent
 * drops a column and a child keeps it, and it must stay masked there.
 */
AuditOptions *
audit_member_options(Oid member, Oid root, const AuditOptions *options)
{
	AuditOptions *result = palloc(sizeof(AuditOptions));
	AuditOptions *own = audit_table_options(member);

	*result = *options;
	if (member != root && own)
	{
		result->include = with_own_names(options->include, own->include, root);
		result->exclude = with_own_names(options->exclude, own->exclude, root);
		result->mask = with_own_names(options->mask, own->mask, root);
	}
	return result;
}

/*
 * Change the options of a table and of all below it that are audited with it.
 * Writers are locked out, so every row is recorded under one set of options.
 */
void
audit_triggers_alter(Oid relid, const AuditOptions *options)
{
	Oid			logid = plinth_qualified_oid(audit_table_options(relid)->log);
	List	   *family = audit_family(relid, ShareRowExclusiveLock);
	List	   *members = NIL;
	ListCell   *lc;

	foreach(lc, family)
	{
		if (audit_captured_into(lfirst_oid(lc), logid))
			members = lappend_oid(members, lfirst_oid(lc));
	}
	foreach(lc, members)
	{
		PlinthTrigger *row = audit_row_trigger(lfirst_oid(lc));
		PlinthTrigger *truncate = audit_truncate_trigger(lfirst_oid(lc));
		List	   *args;

		CHECK_FOR_INTERRUPTS();
		args = audit_options_args(audit_member_options(lfirst_oid(lc), relid,
													   options));
		plinth_set_trigger_args(row->oid, args);
		if (truncate)
			plinth_set_trigger_args(truncate->oid, args);
	}
}

/*
 * Take the triggers from a table and from all below it that are audited with
 * it.  Runs as the current role, which owns the tables.
 */
void
audit_triggers_drop(Oid relid)
{
	AuditOptions *options = audit_table_options(relid);
	Oid			logid = options ? plinth_qualified_oid(options->log) : InvalidOid;
	List	   *family = audit_family(relid, AccessExclusiveLock);
	List	   *left = NIL;
	ListCell   *lc;

	foreach(lc, family)
	{
		Oid			member = lfirst_oid(lc);
		PlinthTrigger *row = audit_row_trigger(member);
		PlinthTrigger *truncate = audit_truncate_trigger(member);

		CHECK_FOR_INTERRUPTS();
		/* a child with a log of its own keeps its triggers */
		if (member != relid && row && !OidIsValid(row->parent) &&
			!audit_captured_into(member, logid))
			continue;
		if (truncate)
			plinth_drop_trigger(truncate);
		/* clones go with the trigger that they are clones of */
		if (row && !OidIsValid(row->parent))
			plinth_drop_trigger(row);
		if (member != relid)
			left = lappend_oid(left, member);
	}

	/* a child may have another parent that is audited */
	foreach(lc, left)
		audit_follow_joining(lfirst_oid(lc));
}
