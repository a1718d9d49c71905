/*
 * src/audit/enable.c
 *		enable(), alter() and disable().
 *
 * They run as their caller, who must own the table.  Only the log, which
 * belongs to the extension's owner, is made and protected as that role; no
 * code of the caller's runs in between.
 *
 * Locks: ShareRowExclusiveLock on the table and all below it, which waits for
 * writers and keeps new ones waiting (disable() needs AccessExclusiveLock, as
 * DROP TRIGGER does), then the log.  Two calls for one table come one after
 * the other.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "kit/errors.h"
#include "kit/target.h"

PLINTH_FUNCTION(plinth_audit_enable);
PLINTH_FUNCTION(plinth_audit_alter);
PLINTH_FUNCTION(plinth_audit_disable);

/* The arguments of enable() and alter(), which are the same. */
enum
{
	ARG_TARGET,
	ARG_MODE,
	ARG_INCLUDE,
	ARG_EXCLUDE,
	ARG_MASK,
	ARG_TRUNCATE,
	ARG_LOG
};

/* An option that is a list of columns, each of them once. */
static List *
names_of(ArrayType *array, const char *option)
{
	List	   *names = NIL;
	ListCell   *lc;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("option \"%s\" must be a one-dimensional array",
						option)));
	foreach(lc, plinth_names_of(array, option))
	{
		if (!plinth_name_in(names, lfirst(lc)))
			names = lappend(names, lfirst(lc));
	}
	return names;
}

/* Every name must be a column of the table. */
static void
check_columns(Oid relid, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		AttrNumber	attnum = get_attnum(relid, lfirst(lc));

		if (attnum == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							(char *) lfirst(lc), get_rel_name(relid))));
		if (attnum < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("system column \"%s\" cannot be named in an audit option",
							(char *) lfirst(lc))));
	}
}

/* Do the options make sense for the table? */
static void
check_options(Oid relid, const AuditOptions *options)
{
	List	   *key = audit_key_names(relid);
	ListCell   *lc;

	check_columns(relid, options->include);
	check_columns(relid, options->exclude);
	check_columns(relid, options->mask);

	if (options->has_include && options->exclude != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"include\" and \"exclude\" cannot be used together"),
				 errhint("\"include\" alone leaves all other columns out.")));
	foreach(lc, options->mask)
	{
		const char *name = lfirst(lc);

		if (plinth_name_in(key, name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is part of the primary key of table \"%s\" and cannot be masked",
							name, get_rel_name(relid)),
					 errdetail("The log identifies rows by their primary key.")));
		if (plinth_name_in(options->exclude, name) ||
			(options->has_include && !plinth_name_in(options->include, name)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" cannot be masked because it is left out of the log",
							name)));
	}
}

/* The options that are given replace those that are there. */
static void
read_options(FunctionCallInfo fcinfo, AuditOptions *options)
{
	if (!PG_ARGISNULL(ARG_MODE))
		options->mode =
			audit_mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(ARG_MODE)));
	if (!PG_ARGISNULL(ARG_INCLUDE))
	{
		/* an empty list means no list here: nothing to include is no wish */
		options->include = names_of(PG_GETARG_ARRAYTYPE_P(ARG_INCLUDE),
									"include");
		options->has_include = options->include != NIL;
	}
	if (!PG_ARGISNULL(ARG_EXCLUDE))
		options->exclude = names_of(PG_GETARG_ARRAYTYPE_P(ARG_EXCLUDE),
									"exclude");
	if (!PG_ARGISNULL(ARG_MASK))
		options->mask = names_of(PG_GETARG_ARRAYTYPE_P(ARG_MASK), "mask");
	if (!PG_ARGISNULL(ARG_TRUNCATE))
		options->truncate_rows =
			audit_truncate_parse(text_to_cstring(PG_GETARG_TEXT_PP(ARG_TRUNCATE)));
}

/* Say no to what cannot be audited. */
static void
check_kind(Oid relid, const char *name)
{
	const char *why = NULL;
	const char *hint = NULL;

	switch (get_rel_relkind(relid))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			break;
		case RELKIND_VIEW:
			why = "Changes through a view happen in its tables.";
			hint = "Audit the tables behind the view.";
			break;
		case RELKIND_MATVIEW:
			why = "A materialized view is only ever computed anew.";
			hint = "Audit the tables behind it.";
			break;
		case RELKIND_FOREIGN_TABLE:
			why = "Changes of a foreign table happen on another server, unseen by this one.";
			hint = "Audit the table where it is.";
			break;
		default:
			why = "It is not a table.";
			break;
	}
	if (why == NULL && !plinth_table_persists(relid))
	{
		why = "A temporary table goes with its session.";
		hint = "Audit a permanent table.";
	}
	if (why == NULL && relid < FirstNormalObjectId)
		why = "It belongs to the system.";
	if (why == NULL && audit_log_guard(relid) != NULL)
		why = "It is written by the audit trigger itself.";
	if (why)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation \"%s\" cannot be audited", name),
				 errdetail_internal("%s", why),
				 hint ? errhint("%s", hint) : 0));
}

/*
 * The table that a call is about: exists, is the caller's, and locked.  The
 * lock is as strong as any that will be needed, so that it need not grow.
 */
static Oid
lock_target(FunctionCallInfo fcinfo, const char *command, LOCKMODE lockmode)
{
	Oid			relid;
	ListCell   *lc;

	PreventCommandIfReadOnly(command);
	relid = plinth_target(fcinfo, ARG_TARGET);
	plinth_require_owner(relid);
	check_kind(relid, plinth_existing_name(relid));
	plinth_lock_owned(relid, lockmode);

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("table \"%s\" cannot be audited",
							get_rel_name(relid)),
					 errdetail("Its partition or child \"%s\" is a foreign table, whose changes happen on another server.",
							   get_rel_name(lfirst_oid(lc)))));
	}
	return relid;
}

/* A table that is audited as a part of another is not for options of its own. */
static void
check_is_root(Oid relid, const AuditOptions *options)
{
	bool		child;
	Oid			root = audit_root(relid, plinth_qualified_oid(options->log), &child);

	if (root != relid)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is audited together with table \"%s\"",
						get_rel_name(relid), get_rel_name(root)),
				 errhint("Call the function for \"%s\".", get_rel_name(root))));
}

/* Where does the log go?  *nspname and *relname are the answer. */
static void
log_place(FunctionCallInfo fcinfo, Oid relid, char **nspname, char **relname)
{
	*nspname = get_namespace_name(get_rel_namespace(relid));
	if (PG_ARGISNULL(ARG_LOG))
		*relname = makeObjectName(get_rel_name(relid), NULL, "audit");
	else
	{
		List	   *names = textToQualifiedNameList(PG_GETARG_TEXT_PP(ARG_LOG));

		if (list_length(names) > 2)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_NAME),
					 errmsg("invalid name of an audit log: %s",
							text_to_cstring(PG_GETARG_TEXT_PP(ARG_LOG)))));
		*relname = strVal(llast(names));
		if (list_length(names) == 2)
			*nspname = strVal(linitial(names));
	}
}

/* A log belongs to one table, also while it is missing. */
static void
check_unused(const char *log, Oid relid)
{
	ListCell   *lc;

	foreach(lc, audit_tables_of(log))
	{
		if (lfirst_oid(lc) != relid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("audit log \"%s\" is in use by table \"%s\"",
							plinth_name_label(log), get_rel_name(lfirst_oid(lc))),
					 errhint("Choose another name with the option \"log\".")));
	}
}

/* An existing relation may only serve as log if it is one. */
static void
check_adoptable(Oid logid, Oid relid)
{
	Oid			tableowner = plinth_relation_owner(relid);
	Relation	log;
	AttrNumber	atts[LOG_NCOLUMNS];
	Oid			seqid;
	const char *misfit;

	log = relation_open(logid, AccessShareLock);
	misfit = audit_log_misfit(log, atts, &seqid);
	relation_close(log, NoLock);
	if (misfit == NULL && plinth_relation_owner(logid) != audit_owner())
		misfit = psprintf("It does not belong to role \"%s\".",
						  GetUserNameFromId(audit_owner(), false));
	if (misfit)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists and is not a usable audit log",
						get_rel_name(logid)),
				 errdetail_internal("%s", misfit),
				 errhint("Choose another name with the option \"log\".")));

	/* the history in it must not become readable for a newcomer */
	if (!superuser() &&
		pg_class_aclmask(logid, tableowner,
						 ACL_GRANT_OPTION_FOR(ACL_SELECT), ACLMASK_ANY) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to continue audit log \"%s\"",
						get_rel_name(logid)),
				 errdetail("It was kept for a table of another owner."),
				 errhint("Choose another name with the option \"log\", or ask a superuser.")));
}

/*
 * Find or make the log, protect it, and see that plinth_audit.transaction is
 * there.  Returns its OID and sets options->log.
 */
static Oid
provide_log(FunctionCallInfo fcinfo, Oid relid, AuditOptions *options)
{
	char	   *nspname;
	char	   *relname;
	Oid			nspid;
	Oid			logid;
	bool		fresh;
	AclResult	aclresult;
	PlinthIdentity self;

	log_place(fcinfo, relid, &nspname, &relname);
	nspid = plinth_hold_schema(nspname);
	aclresult = plinth_schema_aclcheck(nspid, GetUserId(), ACL_CREATE);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_SCHEMA, nspname);
	if (isTempNamespace(nspid) || isAnyTempNamespace(nspid) ||
		IsCatalogNamespace(nspid) || IsToastNamespace(nspid))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("audit log cannot be created in schema \"%s\"",
						nspname)));

	check_unused(plinth_quote_name(nspname, relname), relid);
	logid = get_relname_relid(relname, nspid);
	fresh = !OidIsValid(logid);
	if (!fresh)
	{
		LockRelationOid(logid, ShareRowExclusiveLock);
		check_adoptable(logid, relid);
	}

	plinth_become(&self, audit_owner());
	audit_transaction_make();
	if (fresh)
		logid = audit_log_make(relid, nspname, relname);
	CommandCounterIncrement();
	audit_log_protect(logid, relid, fresh);
	options->log = plinth_relation_name(logid);
	plinth_restore_identity(&self);
	CommandCounterIncrement();
	return logid;
}

/* The options as a person would write them, for messages. */
static char *
describe(const AuditOptions *options)
{
	StringInfoData buf;
	ListCell   *lc;
	List	   *args = audit_options_args(options);

	initStringInfo(&buf);
	foreach(lc, args)
		appendStringInfo(&buf, "%s%s", lc == list_head(args) ? "" : "; ",
						 (char *) lfirst(lc));
	return buf.data;
}

/* The log of an audited table, which must be there. */
static Oid
existing_log(Oid relid, const AuditOptions *options)
{
	Oid			logid = plinth_qualified_oid(options->log);

	if (!OidIsValid(logid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("audit log \"%s\" of table \"%s\" does not exist",
						plinth_name_label(options->log), get_rel_name(relid)),
				 errhint("Run plinth_audit.repair() to make it again.")));
	return logid;
}

/*
 * enable(target, mode, include, exclude, mask, truncate, log): audit a table.
 */
Datum
plinth_audit_enable(PG_FUNCTION_ARGS)
{
	Oid			relid = lock_target(fcinfo, "plinth_audit.enable()",
								   ShareRowExclusiveLock);
	AuditOptions *options = palloc0(sizeof(AuditOptions));
	AuditOptions *present = audit_table_options(relid);
	Oid			logid;

	options->mode = AUDIT_MODE_FULL;
	options->truncate_rows = true;
	read_options(fcinfo, options);
	check_options(relid, options);

	if (present)
	{
		char	   *nspname;
		char	   *relname;

		check_is_root(relid, present);
		if (PG_ARGISNULL(ARG_LOG))
			options->log = present->log;
		else
		{
			log_place(fcinfo, relid, &nspname, &relname);
			options->log = plinth_quote_name(nspname, relname);
		}
		if (!audit_options_equal(present, options))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("table \"%s\" is already audited with other options",
							get_rel_name(relid)),
					 errdetail("Present: %s. Requested: %s.",
							   describe(present), describe(options)),
					 errhint("Change them with plinth_audit.alter().")));
		PG_RETURN_OID(existing_log(relid, present));
	}

	logid = provide_log(fcinfo, relid, options);
	audit_triggers_make(relid, options);
	PG_RETURN_OID(logid);
}

/* The options of a table that must be audited. */
static AuditOptions *
present_options(Oid relid)
{
	AuditOptions *options = audit_table_options(relid);

	if (options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not audited", get_rel_name(relid)),
				 errhint("Audit it with plinth_audit.enable().")));
	check_is_root(relid, options);
	return options;
}

/*
 * alter(target, ...): change options; what is null stays as it is.
 */
Datum
plinth_audit_alter(PG_FUNCTION_ARGS)
{
	Oid			relid = lock_target(fcinfo, "plinth_audit.alter()",
								   ShareRowExclusiveLock);
	AuditOptions *options = present_options(relid);
	Oid			logid;

	read_options(fcinfo, options);

	/* to include one column and exclude another, one list takes turns */
	if (!PG_ARGISNULL(ARG_INCLUDE) && PG_ARGISNULL(ARG_EXCLUDE) &&
		options->has_include)
		options->exclude = NIL;
	if (!PG_ARGISNULL(ARG_EXCLUDE) && PG_ARGISNULL(ARG_INCLUDE) &&
		options->exclude != NIL)
	{
		options->include = NIL;
		options->has_include = false;
	}
	check_options(relid, options);

	if (!PG_ARGISNULL(ARG_LOG))
		logid = provide_log(fcinfo, relid, options);
	else
		logid = existing_log(relid, options);
	audit_triggers_alter(relid, options);
	PG_RETURN_OID(logid);
}

/*
 * disable(target, drop_log): stop auditing; the log stays unless its owner
 * or a superuser says otherwise.
 */
Datum
plinth_audit_disable(PG_FUNCTION_ARGS)
{
	Oid			relid = lock_target(fcinfo, "plinth_audit.disable()",
								   AccessExclusiveLock);
	bool		drop_log = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	AuditOptions *options = present_options(relid);
	Oid			logid = plinth_qualified_oid(options->log);

	if (drop_log && OidIsValid(logid) && !superuser() &&
		!plinth_owns_relation(logid, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_PLINTH_LOG_PROTECTED),
				 errmsg("audit log \"%s\" cannot be dropped",
						get_rel_name(logid)),
				 errdetail("It stays as the record of what was done to table \"%s\".",
						   get_rel_name(relid)),
				 errhint("Only a superuser or the log's owner can drop it.")));

	audit_triggers_drop(relid);
	if (drop_log && OidIsValid(logid))
	{
		LockRelationOid(logid, AccessExclusiveLock);
		plinth_hold_name(logid);
		plinth_sql("DROP TABLE %s", plinth_relation_name(logid));
	}
	PG_RETURN_VOID();
}
