/*
 * src/audit/check.c
 *		check(), repair() and the view status.
 *
 * check() and repair() are one walk over what belongs to an audited table;
 * the second mends what the first reports.  What a person must decide (an
 * option that names a column that is no more, a log that somebody filled with
 * expressions) is reported by both and mended by neither.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_audit_check);
PLINTH_FUNCTION(plinth_audit_repair);
PLINTH_FUNCTION(plinth_audit_status);

/* One walk. */
typedef struct Examination
{
	Oid			relid;
	Oid			root;			/* the table that was enabled */
	AuditOptions *options;
	bool		mend;
	ReturnSetInfo *result;
} Examination;

/* Report what was found and what to do; repair() does not report these. */
static void
report_problem(Examination *exam, const char *object, const char *problem,
			   const char *remedy)
{
	Datum		values[3];
	bool		nulls[3] = {0};

	if (exam->mend)
		return;
	values[0] = CStringGetTextDatum(object);
	values[1] = CStringGetTextDatum(problem);
	values[2] = CStringGetTextDatum(remedy);
	tuplestore_putvalues(exam->result->setResult, exam->result->setDesc,
						 values, nulls);
}

/*
 * Something that can be mended: for check() say so and return false, for
 * repair() report what is being done and return true.
 */
static bool
mend_problem(Examination *exam, const char *object, const char *problem,
			 const char *done)
{
	Datum		values[2];
	bool		nulls[2] = {0};

	if (!exam->mend)
	{
		report_problem(exam, object, problem, "Run plinth_audit.repair().");
		return false;
	}
	values[0] = CStringGetTextDatum(object);
	values[1] = CStringGetTextDatum(done);
	tuplestore_putvalues(exam->result->setResult, exam->result->setDesc,
						 values, nulls);
	return true;
}

/* The event triggers that follow DDL and load the guard. */
static void
examine_event_triggers(Examination *exam)
{
	static const char *const names[] = {
		"plinth_audit_ddl_start", "plinth_audit_ddl_end",
		"plinth_audit_ddl_drop"
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		List	   *found;
		PlinthIdentity self;

		found = plinth_sql_strings("SELECT evtenabled FROM pg_event_trigger WHERE evtname = %s",
								   quote_literal_cstr(names[i]));
		if (found == NIL)
			report_problem(exam, names[i], "event trigger is missing",
						   "Drop the extension and create it again; recorded data stays.");
		else if (strcmp(linitial(found), "A") != 0 && !superuser())
			report_problem(exam, names[i], "event trigger does not fire always",
						   "Let a superuser run plinth_audit.repair().");
		else if (strcmp(linitial(found), "A") != 0 &&
				 mend_problem(exam, names[i], "event trigger does not fire always",
							  "enabled event trigger"))
		{
			plinth_become(&self, audit_owner());
			plinth_sql("ALTER EVENT TRIGGER %s ENABLE ALWAYS",
					   quote_identifier(names[i]));
			plinth_restore_identity(&self);
		}
	}
}

/* Options that name columns which are no more. */
static void
examine_names(Examination *exam, List *names, const char *option)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (get_attnum(exam->relid, lfirst(lc)) == InvalidAttrNumber)
			report_problem(exam, plinth_relation_name(exam->relid),
						   psprintf("option \"%s\" names column \"%s\", which does not exist",
									option, (char *) lfirst(lc)),
						   "Correct the option with plinth_audit.alter().");
	}
}

/* Is the trigger as enable() makes it? */
static const char *
trigger_problem(const PlinthTrigger *trig, const AuditOptions *options)
{
	AuditOptions *own;

	if (trig == NULL)
		return "is missing";
	if (trig->enabled != TRIGGER_FIRES_ALWAYS)
		return trig->enabled == TRIGGER_DISABLED ? "is disabled" :
			"does not fire always";
	own = audit_options_parse(trig->nargs, trig->args);
	if (!audit_options_equal(own, options))
		return "has other options than the table's";
	return NULL;
}

/* The triggers on the table and on everything below it. */
static void
examine_triggers(Examination *exam)
{
	Oid			logid = plinth_qualified_oid(exam->options->log);
	bool		make = false;
	bool		alter = false;
	ListCell   *lc;

	foreach(lc, audit_family(exam->relid, NoLock))
	{
		Oid			member = lfirst_oid(lc);
		PlinthTrigger *trigs[2];

		trigs[0] = audit_row_trigger(member);
		trigs[1] = audit_truncate_trigger(member);

		/* a child with a log of its own is none of our business */
		if (member != exam->relid && trigs[0] && OidIsValid(logid) &&
			!OidIsValid(trigs[0]->parent) &&
			!audit_captured_into(member, logid))
			continue;
		for (int i = 0; i < lengthof(trigs); i++)
		{
			const char *problem = trigger_problem(trigs[i],
														audit_member_options(member, exam->relid,
																			 exam->options));

			if (problem == NULL)
				continue;
			if (mend_problem(exam, plinth_relation_name(member),
							 psprintf("trigger \"%s\" %s",
									  i == 0 ? AUDIT_ROW_TRIGGER : AUDIT_TRUNCATE_TRIGGER,
									  problem),
							 psprintf("made trigger \"%s\" as it should be",
									  i == 0 ? AUDIT_ROW_TRIGGER : AUDIT_TRUNCATE_TRIGGER)))
			{
				if (trigs[i] == NULL || trigs[i]->enabled != TRIGGER_FIRES_ALWAYS)
					make = true;
				else
					alter = true;
			}
		}
	}
	if (make)
		audit_triggers_make(exam->relid, exam->options);
	if (alter)
		audit_triggers_alter(exam->relid, exam->options);
}

/* Put an unusable log aside, under a name that is free. */
static void
set_aside(Oid logid)
{
	char	   *nspname = get_namespace_name(get_rel_namespace(logid));
	char	   *relname = get_rel_name(logid);

	for (int i = 1;; i++)
	{
		char	   *aside = makeObjectName(relname, NULL,
										   psprintf("old_%d", i));
		PlinthTrigger *guard = audit_log_guard(logid);

		if (OidIsValid(get_relname_relid(aside, get_rel_namespace(logid))))
			continue;
		/* the triggers must not follow it: they get a new log */
		if (guard)
			plinth_set_trigger_args(guard->oid, NIL);
		plinth_sql("ALTER TABLE %s RENAME TO %s",
				   plinth_quote_name(nspname, relname),
				   quote_identifier(aside));
		return;
	}
}

/* Make the log anew, as enable() would for the table's owner. */
static void
make_log(Examination *exam)
{
	PlinthIdentity self;
	char	   *nspname;
	char	   *relname;
	Oid			nspid;
	Oid			logid;
	AclResult	aclresult;

	plinth_split_name(exam->options->log, &nspname, &relname);
	nspid = plinth_hold_schema(nspname);
	aclresult = plinth_schema_aclcheck(nspid, GetUserId(), ACL_CREATE);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_SCHEMA, nspname);
	plinth_become(&self, audit_owner());
	logid = audit_log_make(exam->root, nspname, relname);
	CommandCounterIncrement();
	audit_log_protect(logid, exam->root, true);
	plinth_restore_identity(&self);
}

/* A log that a restore has left to somebody else becomes the extension's. */
static void
take_over(Examination *exam, Oid logid)
{
	Oid			owner = plinth_relation_owner(logid);
	const char *object = exam->options->log;
	const char *unsafe;
	PlinthIdentity self;

	if (!plinth_owns_relation(logid, GetUserId()))
	{
		report_problem(exam, object,
					   psprintf("belongs to role \"%s\"",
								GetUserNameFromId(owner, false)),
					   "Let that role or a superuser run plinth_audit.repair().");
		return;
	}

	/* whoever could still change it must not do so between look and deed */
	if (exam->mend)
	{
		LockRelationOid(logid, AccessExclusiveLock);
		plinth_hold_name(logid);
	}
	unsafe = audit_log_unsafe(logid);
	if (unsafe)
	{
		report_problem(exam, object,
					   psprintf("belongs to role \"%s\" and cannot be taken over: %s",
								GetUserNameFromId(owner, false), unsafe),
					   "Remove what stands in the way, then run plinth_audit.repair().");
		if (exam->mend)
			ereport(WARNING,
					(errmsg("audit log \"%s\" cannot be taken over",
							plinth_name_label(object)),
					 errdetail_internal("%s", unsafe)));
		return;
	}
	if (!mend_problem(exam, object,
					  psprintf("belongs to role \"%s\"",
							   GetUserNameFromId(owner, false)),
					  psprintf("gave it to role \"%s\"",
							   GetUserNameFromId(audit_owner(), false))))
		return;
	plinth_become(&self, audit_owner());
	plinth_sql("ALTER TABLE %s OWNER TO %s", plinth_relation_name(logid),
			   quote_identifier(GetUserNameFromId(audit_owner(), false)));
	plinth_restore_identity(&self);
	CommandCounterIncrement();
}

/* Is this column, and no other, the primary key? */
static bool
is_primary_key(Oid relid, const char *column)
{
	List	   *key = audit_key_names(relid);

	return list_length(key) == 1 && strcmp(linitial(key), column) == 0;
}

/*
 * Has this relation been a log?  The guard says so, and without a guard at
 * least its columns, if the table's owner may read it as enable() would have
 * arranged, or a superuser asks.
 */
static bool
was_log(Examination *exam, Oid logid, bool fits)
{
	PlinthTrigger *guard = audit_log_guard(logid);
	const char *name = guard ? audit_guard_arg(guard, "log") : NULL;

	if (name)
		return plinth_same_name(name, exam->options->log);
	return fits && (superuser() ||
					audit_log_is_reader(logid,
										plinth_relation_owner(exam->root)));
}

/* The log: there, fit, and protected. */
static void
examine_log(Examination *exam)
{
	const char *object = exam->options->log;
	Oid			logid = plinth_qualified_oid(object);
	Relation	log;
	AttrNumber	atts[LOG_NCOLUMNS];
	Oid			seqid;
	const char *misfit;
	const char *unprotected;
	PlinthIdentity self;

	if (!OidIsValid(logid))
	{
		if (mend_problem(exam, object, "log does not exist", "made a new log"))
			make_log(exam);
		return;
	}

	if (plinth_relation_owner(logid) != audit_owner())
	{
		take_over(exam, logid);
		if (plinth_relation_owner(logid) != audit_owner())
			return;
	}

	/* what never was this table's log is somebody else's table */
	log = relation_open(logid, AccessShareLock);
	misfit = audit_log_misfit(log, atts, &seqid);
	relation_close(log, AccessShareLock);
	if (!was_log(exam, logid, misfit == NULL))
	{
		report_problem(exam, object, "relation is not this table's log",
					   "Rename it, then run plinth_audit.repair().");
		return;
	}
	if (misfit)
	{
		if (mend_problem(exam, object,
						 psprintf("log has been altered: %s", misfit),
						 "put the altered log aside and made a new one"))
		{
			LockRelationOid(logid, AccessExclusiveLock);
			plinth_hold_name(logid);
			plinth_become(&self, audit_owner());
			set_aside(logid);
			plinth_restore_identity(&self);
			CommandCounterIncrement();
			make_log(exam);
		}
		return;
	}

	if (!audit_log_belongs(logid, exam->root) && !superuser())
	{
		report_problem(exam, object, "log belongs to another table",
					   "Use a log of the table's own: plinth_audit.alter().");
		return;
	}
	if (!is_primary_key(logid, "audit_id") &&
		mend_problem(exam, object, "log has no primary key (audit_id)",
					 "added the primary key"))
	{
		LockRelationOid(logid, AccessExclusiveLock);
		plinth_hold_name(logid);
		plinth_become(&self, audit_owner());
		plinth_sql("ALTER TABLE %s ADD PRIMARY KEY (audit_id)",
				   plinth_relation_name(logid));
		plinth_restore_identity(&self);
	}
	unprotected = audit_log_unprotected(logid, exam->root);
	if (unprotected &&
		mend_problem(exam, object,
					 psprintf("log is not protected: %s", unprotected),
					 "protected the log"))
	{
		plinth_become(&self, audit_owner());
		audit_log_protect(logid, exam->root, false);
		plinth_restore_identity(&self);
	}
}

/* plinth_audit.transaction */
static void
examine_transaction_table(Examination *exam)
{
	const char *object = AUDIT_SCHEMA "." AUDIT_TRANSACTION_TABLE;
	Oid			relid = audit_transaction_oid();
	PlinthIdentity self;
	Relation	rel;
	bool		fits;

	if (OidIsValid(relid))
	{
		rel = relation_open(relid, AccessShareLock);
		fits = audit_transaction_fits(rel);
		relation_close(rel, AccessShareLock);
		if (fits && audit_log_guard(relid) != NULL &&
			plinth_relation_owner(relid) == audit_owner())
			return;
		if (plinth_relation_owner(relid) != audit_owner())
		{
			report_problem(exam, object, "belongs to another role",
						   "Change its owner as a superuser after you have looked at it.");
			return;
		}
		if (!mend_problem(exam, object,
						  fits ? "has no guard" : "has been altered",
						  fits ? "protected the table" :
						  "put the altered table aside and made a new one"))
			return;
		plinth_become(&self, audit_owner());
		if (!fits)
		{
			set_aside(relid);
			CommandCounterIncrement();
		}
		audit_transaction_make();
		plinth_restore_identity(&self);
	}
	else if (mend_problem(exam, object, "table does not exist",
						  "made a new table"))
	{
		plinth_become(&self, audit_owner());
		audit_transaction_make();
		plinth_restore_identity(&self);
	}
}

/* check() and repair() */
static Datum
examine(FunctionCallInfo fcinfo, bool mend)
{
	Examination exam;
	Oid			relid = plinth_target(fcinfo, 0);
	char	   *name = plinth_existing_name(relid);
	bool		child;

	if (mend)
	{
		PreventCommandIfReadOnly("plinth_audit.repair()");
		plinth_lock_owned(relid, ShareRowExclusiveLock);
	}
	else if (!plinth_owns_relation(relid, GetUserId()) &&
			 pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, name);
	exam.relid = relid;
	exam.options = audit_table_options(relid);
	if (exam.options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not audited", name),
				 errhint("Audit it with plinth_audit.enable().")));
	exam.root = audit_root(relid, plinth_qualified_oid(exam.options->log), &child);
	exam.mend = mend;
	InitMaterializedSRF(fcinfo, 0);
	exam.result = (ReturnSetInfo *) fcinfo->resultinfo;

	examine_event_triggers(&exam);
	examine_transaction_table(&exam);
	examine_log(&exam);
	examine_names(&exam, exam.options->include, "include");
	examine_names(&exam, exam.options->exclude, "exclude");
	examine_names(&exam, exam.options->mask, "mask");
	examine_triggers(&exam);
	return (Datum) 0;
}

/* check(target): what is wrong; no rows if nothing is. */
Datum
plinth_audit_check(PG_FUNCTION_ARGS)
{
	return examine(fcinfo, false);
}

/* repair(target): what was done about it. */
Datum
plinth_audit_repair(PG_FUNCTION_ARGS)
{
	return examine(fcinfo, true);
}

/* A List of names as name[]. */
static Datum
name_array(List *names)
{
	Datum	   *elems = palloc(Max(list_length(names), 1) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, names)
		elems[n++] = DirectFunctionCall1(namein, CStringGetDatum(lfirst(lc)));
	return PointerGetDatum(construct_array(elems, n, NAMEOID, NAMEDATALEN,
										   false, TYPALIGN_CHAR));
}

/* Do all triggers that belong to the table fire, and into a fit log? */
static bool
is_capturing(Oid relid, const AuditOptions *options, Oid logid)
{
	Relation	log;
	AttrNumber	atts[LOG_NCOLUMNS];
	Oid			seqid;
	const char *misfit;
	ListCell   *lc;

	if (!OidIsValid(logid))
		return false;
	log = try_relation_open(logid, AccessShareLock);
	if (log == NULL)
		return false;
	misfit = audit_log_misfit(log, atts, &seqid);
	relation_close(log, AccessShareLock);
	if (misfit)
		return false;
	foreach(lc, audit_family(relid, NoLock))
	{
		PlinthTrigger *row = audit_row_trigger(lfirst_oid(lc));
		AuditOptions *own;

		if (lfirst_oid(lc) != relid && row && !OidIsValid(row->parent) &&
			!audit_captured_into(lfirst_oid(lc), logid))
			continue;
		own = audit_member_options(lfirst_oid(lc), relid, options);
		if (trigger_problem(row, own) ||
			trigger_problem(audit_truncate_trigger(lfirst_oid(lc)), own))
			return false;
	}
	return true;
}

/* The rows of the view status. */
Datum
plinth_audit_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, plinth_function_triggers(audit_capture_function()))
	{
		PlinthTrigger *trig = lfirst(lc);
		AuditOptions *options;
		Oid			logid;
		Datum		values[9];
		bool		nulls[9] = {0};
		bool		child;

		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(trig->parent) || !TRIGGER_FOR_ROW(trig->type))
			continue;
		options = audit_options_parse(trig->nargs, trig->args);
		logid = plinth_qualified_oid(options->log);
		if (OidIsValid(logid) &&
			audit_root(trig->relid, logid, &child) != trig->relid)
			continue;

		values[0] = ObjectIdGetDatum(trig->relid);
		values[1] = ObjectIdGetDatum(logid);
		nulls[1] = !OidIsValid(logid);
		values[2] = CStringGetTextDatum(audit_mode_name(options->mode));
		/* to include nothing is something else than to have no such list */
		values[3] = name_array(options->include);
		nulls[3] = !options->has_include;
		values[4] = name_array(options->exclude);
		nulls[4] = options->exclude == NIL;
		values[5] = name_array(options->mask);
		nulls[5] = options->mask == NIL;
		values[6] = CStringGetTextDatum(audit_truncate_name(options->truncate_rows));
		values[7] = BoolGetDatum(is_capturing(trig->relid, options, logid));
		values[8] = BoolGetDatum(OidIsValid(logid) &&
								 audit_log_unprotected(logid, trig->relid) == NULL);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
