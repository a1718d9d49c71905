/*
 * src/kit/catalog.c
 *		Small questions to the system catalogs, and SQL with rights.
 *
 * All of this but the connection to SPI is for DDL time: nothing here may be
 * called for each row.  Results are palloc'd in the current memory context.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "kit/compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "kit/catalog.h"
#include "kit/names.h"

/*
 * The schema-qualified, quoted name of a relation, or NULL if there is no
 * such relation (any more).
 */
char *
plinth_relation_name(Oid relid)
{
	char	   *relname = get_rel_name(relid);
	char	   *nspname;

	if (relname == NULL)
		return NULL;
	nspname = get_namespace_name(get_rel_namespace(relid));
	if (nspname == NULL)
		return NULL;
	return plinth_quote_name(nspname, relname);
}

/* The owner of a relation; InvalidOid if there is none. */
Oid
plinth_relation_owner(Oid relid)
{
	HeapTuple	tup = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tup))
	{
		owner = ((Form_pg_class) GETSTRUCT(tup))->relowner;
		ReleaseSysCache(tup);
	}
	return owner;
}

/* The owner of a function; an error if there is no such function. */
Oid
plinth_function_owner(Oid funcid)
{
	HeapTuple	tup = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Oid			owner;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for function %u", funcid);
	owner = ((Form_pg_proc) GETSTRUCT(tup))->proowner;
	ReleaseSysCache(tup);
	return owner;
}

/*
 * A function without arguments, as trigger functions are; InvalidOid if there
 * is none of this name, or no such schema.
 */
Oid
plinth_trigger_function(const char *nspname, const char *name)
{
	return plinth_function(nspname, name, 0, NULL);
}

/* The same of a function with arguments of these types. */
Oid
plinth_function(const char *nspname, const char *name, int nargs,
				const Oid *argtypes)
{
	Oid			nspid = get_namespace_oid(nspname, true);

	if (!OidIsValid(nspid))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(argtypes, nargs)),
						   ObjectIdGetDatum(nspid));
}

/* Does the relation outlive the session? */
bool
plinth_table_persists(Oid relid)
{
	return get_rel_persistence(relid) != RELPERSISTENCE_TEMP;
}

/*
 * Keep a schema's name as it is until the end of the transaction, and return
 * its OID.  Statements go by name, and those that run as another role must not
 * be sent to another relation by renaming schemas under them.  Works together
 * with an event trigger that takes AccessExclusiveLock on a schema before it
 * is renamed.
 */
Oid
plinth_hold_schema(const char *nspname)
{
	for (;;)
	{
		Oid			nspid = get_namespace_oid(nspname, false);

		LockDatabaseObject(NamespaceRelationId, nspid, 0, AccessShareLock);
		if (get_namespace_oid(nspname, true) == nspid)
			return nspid;
		UnlockDatabaseObject(NamespaceRelationId, nspid, 0, AccessShareLock);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * The same for the name of a relation, on which the caller holds a lock that
 * keeps it from being renamed.
 */
void
plinth_hold_name(Oid relid)
{
	for (;;)
	{
		Oid			nspid = get_rel_namespace(relid);

		if (!OidIsValid(nspid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("relation with OID %u does not exist", relid)));
		LockDatabaseObject(NamespaceRelationId, nspid, 0, AccessShareLock);
		if (get_rel_namespace(relid) == nspid)
			return;
		UnlockDatabaseObject(NamespaceRelationId, nspid, 0, AccessShareLock);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Copy what we need of a pg_trigger row. */
static PlinthTrigger *
read_trigger(HeapTuple tup, TupleDesc desc)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tup);
	PlinthTrigger *trig = palloc0(sizeof(PlinthTrigger));

	trig->oid = form->oid;
	trig->relid = form->tgrelid;
	trig->parent = form->tgparentid;
	trig->funcid = form->tgfoid;
	trig->type = form->tgtype;
	trig->enabled = form->tgenabled;
	trig->internal = form->tgisinternal;
	trig->conditional = form->tgattr.dim1 > 0 ||
		!heap_attisnull(tup, Anum_pg_trigger_tgqual, desc);
	trig->constraint = form->tgconstraint;
	trig->name = pstrdup(NameStr(form->tgname));
	trig->nargs = form->tgnargs;
	if (trig->nargs > 0)
	{
		bool		isnull;
		Datum		value = heap_getattr(tup, Anum_pg_trigger_tgargs, desc,
										 &isnull);
		char	   *p;

		if (isnull)
			elog(ERROR, "tgargs is null in trigger %u", form->oid);
		/* each argument ends in a zero byte; see RelationBuildTriggers() */
		p = VARDATA_ANY(DatumGetByteaPCopy(value));
		trig->args = palloc(trig->nargs * sizeof(char *));
		for (int i = 0; i < trig->nargs; i++)
		{
			trig->args[i] = pstrdup(p);
			p += strlen(p) + 1;
		}
	}
	return trig;
}

/* Triggers by one indexed column of pg_trigger: a List of PlinthTrigger. */
static List *
read_triggers(AttrNumber attnum, Oid indexid, Oid value)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	List	   *result = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;

	ScanKeyInit(&key, attnum, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(value));
	scan = systable_beginscan(catalog, indexid, true, NULL, 1, &key);
	while (HeapTupleIsValid(tup = systable_getnext(scan)))
		result = lappend(result, read_trigger(tup, RelationGetDescr(catalog)));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* One trigger, or NULL if there is none of this OID. */
PlinthTrigger *
plinth_trigger(Oid tgoid)
{
	List	   *found = read_triggers(Anum_pg_trigger_oid, TriggerOidIndexId,
									 tgoid);

	return found == NIL ? NULL : linitial(found);
}

/*
 * All triggers of a relation, in order of name: a List of PlinthTrigger.
 */
List *
plinth_relation_triggers(Oid relid)
{
	return read_triggers(Anum_pg_trigger_tgrelid, TriggerRelidNameIndexId,
						 relid);
}

/*
 * The trigger of a relation that calls a function, with this name or, if that
 * is NULL, the first one; NULL if there is none, or no such function.
 */
PlinthTrigger *
plinth_find_trigger(Oid relid, Oid funcid, const char *name)
{
	ListCell   *lc;

	if (!OidIsValid(funcid))
		return NULL;
	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid == funcid &&
			(name == NULL || strcmp(trig->name, name) == 0))
			return trig;
	}
	return NULL;
}

/*
 * All triggers that call a function, clones in partitions included: a List of
 * PlinthTrigger.  pg_depend leads there by index; pg_trigger has none on the
 * function.
 */
List *
plinth_function_triggers(Oid funcid)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	List	   *result = NIL;
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tup;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(funcid));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL,
							  2, key);
	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tup);
		PlinthTrigger *trig;

		CHECK_FOR_INTERRUPTS();
		if (form->classid != TriggerRelationId)
			continue;
		trig = plinth_trigger(form->objid);
		if (trig)
			result = lappend(result, trig);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return result;
}

/*
 * Replace the arguments of one trigger, leaving all else (name, clones, when
 * it fires) as it is, which CREATE OR REPLACE TRIGGER would not.  The caller
 * holds a lock on the table that keeps writers out.
 */
void
plinth_set_trigger_args(Oid tgoid, List *args)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	StringInfoData buf;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;
	HeapTuple	newtup;
	Datum		values[Natts_pg_trigger] = {0};
	bool		nulls[Natts_pg_trigger] = {0};
	bool		replace[Natts_pg_trigger] = {0};
	ListCell   *lc;
	Oid			relid;

	initStringInfo(&buf);
	foreach(lc, args)
	{
		char	   *arg = lfirst(lc);

		appendBinaryStringInfo(&buf, arg, strlen(arg) + 1);
	}

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(tgoid));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tup = systable_getnext(scan);
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "could not find trigger %u", tgoid);
	relid = ((Form_pg_trigger) GETSTRUCT(tup))->tgrelid;

	values[Anum_pg_trigger_tgnargs - 1] = Int16GetDatum(list_length(args));
	replace[Anum_pg_trigger_tgnargs - 1] = true;
	values[Anum_pg_trigger_tgargs - 1] =
		PointerGetDatum(cstring_to_text_with_len(buf.data, buf.len));
	replace[Anum_pg_trigger_tgargs - 1] = true;

	newtup = heap_modify_tuple(tup, RelationGetDescr(catalog), values, nulls,
							   replace);
	CatalogTupleUpdate(catalog, &newtup->t_self, newtup);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);

	CacheInvalidateRelcacheByRelid(relid);
	CommandCounterIncrement();
}

/* Set a parameter until the caller's GUC nest level ends. */
void
plinth_set_for_now(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* A path that nobody else can put anything into. */
static void
set_safe_search_path(void)
{
	plinth_set_for_now("search_path", "pg_catalog, pg_temp");
}

/*
 * Run what follows as another role and with a search path that nobody else
 * can write to.  To be undone by plinth_restore_identity(); an error undoes
 * it by itself, as transaction abort restores user and settings.
 */
void
plinth_become(PlinthIdentity *saved, Oid userid)
{
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	saved->guc_level = NewGUCNestLevel();
	SetUserIdAndSecContext(userid,
						   saved->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	set_safe_search_path();
	/* what we create follows our own wishes, not the session's */
	plinth_set_for_now("default_tablespace", "");
	plinth_set_for_now("default_table_access_method", "heap");
	plinth_set_for_now("quote_all_identifiers", "off");
	plinth_set_for_now("client_min_messages", "warning");
}

/* Undo plinth_become(). */
void
plinth_restore_identity(const PlinthIdentity *saved)
{
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
}

/*
 * Connect to SPI.  As after SPI_connect(), what is palloc'd from now on goes
 * with plinth_spi_finish().
 */
void
plinth_spi_connect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* Undo plinth_spi_connect(), memory context included. */
void
plinth_spi_finish(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

/* Connect to SPI and stay in the caller's memory context. */
void
plinth_spi_begin(void)
{
	MemoryContext context = CurrentMemoryContext;

	plinth_spi_connect();
	MemoryContextSwitchTo(context);
}

/* Undo plinth_spi_begin(), and stay in whatever context is the current one. */
void
plinth_spi_end(void)
{
	MemoryContext context = CurrentMemoryContext;

	plinth_spi_finish();
	MemoryContextSwitchTo(context);
}

/*
 * Run a statement through SPI; any failure is an error.  Whatever is not
 * qualified in it means what it means in pg_catalog.
 */
static int
run_sql(const char *sql, bool read_only)
{
	int			level = NewGUCNestLevel();
	int			rc;

	set_safe_search_path();
	rc = SPI_execute(sql, read_only, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s: %s",
			 SPI_result_code_string(rc), sql);
	AtEOXact_GUC(false, level);
	return rc;
}

#define FORMAT_SQL(buf, fmt) \
	do { \
		initStringInfo(&(buf)); \
		for (;;) \
		{ \
			va_list		args_; \
			int			needed_; \
			va_start(args_, fmt); \
			needed_ = appendStringInfoVA(&(buf), fmt, args_); \
			va_end(args_); \
			if (needed_ == 0) \
				break; \
			enlargeStringInfo(&(buf), needed_); \
		} \
	} while (0)

/*
 * Run one formatted statement with the current role's rights.  Identifiers
 * come quoted from the caller (quote_identifier, plinth_relation_name),
 * literals through quote_literal_cstr.
 */
void
plinth_sql(const char *fmt,...)
{
	StringInfoData buf;

	FORMAT_SQL(buf, fmt);
	plinth_spi_connect();
	run_sql(buf.data, false);
	plinth_spi_finish();
	pfree(buf.data);
}

/*
 * Run one formatted query and return its first column as a List of palloc'd
 * strings, NULL for null, in the caller's memory context.  It sees what is
 * committed now: the snapshot of a repeatable read transaction may be older
 * than the catalogs that are asked about.
 */
List *
plinth_sql_strings(const char *fmt,...)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *result = NIL;
	StringInfoData buf;

	FORMAT_SQL(buf, fmt);
	plinth_spi_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	if (run_sql(buf.data, true) != SPI_OK_SELECT)
		elog(ERROR, "not a query: %s", buf.data);
	PopActiveSnapshot();
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i],
										 SPI_tuptable->tupdesc, 1);
		MemoryContext old = MemoryContextSwitchTo(caller);

		result = lappend(result, value ? pstrdup(value) : NULL);
		MemoryContextSwitchTo(old);
	}
	plinth_spi_finish();
	pfree(buf.data);
	return result;
}

/* Drop a trigger, with the current role's rights. */
void
plinth_drop_trigger(const PlinthTrigger *trig)
{
	plinth_sql("DROP TRIGGER %s ON %s", quote_identifier(trig->name),
			   plinth_relation_name(trig->relid));
}

/*
 * Everybody who may SELECT from a table may SELECT from another one, whose
 * name is qualified and quoted.
 */
void
plinth_copy_select(Oid relid, const char *to)
{
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END"
								   " || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
								   " FROM pg_class c, aclexplode(c.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee"
								   " WHERE c.oid = %u AND a.grantee <> c.relowner AND a.privilege_type = 'SELECT'",
								   relid))
		plinth_sql("GRANT SELECT ON %s TO %s", to, (char *) lfirst(lc));
}

/*
 * Make DROP TABLE of a table drop another object, once.  The caller owns both.
 */
void
plinth_drop_with(Oid classid, Oid objid, Oid relid)
{
	ObjectAddress dependent;
	ObjectAddress table;

	(void) deleteDependencyRecordsForSpecific(classid, objid, DEPENDENCY_AUTO,
											  RelationRelationId, relid);
	ObjectAddressSet(dependent, classid, objid);
	ObjectAddressSet(table, RelationRelationId, relid);
	recordDependencyOn(&dependent, &table, DEPENDENCY_AUTO);
}
