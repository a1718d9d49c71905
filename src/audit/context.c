/*
 * src/audit/context.c
 *		Who, from where and why: one row for each writing transaction.
 *
 * plinth_audit.transaction gets its row just before the transaction commits
 * or is prepared, when it is certain what of it survives.  So savepoints can
 * neither lose the row nor leave one that explains nothing.  What is kept in
 * memory until then is which logs were written to, and in which
 * subtransaction: entries die with the subtransaction that made them and pass
 * to its parent when it ends well.
 *
 * Actor and context are what the application claims, by two settings; their
 * values at commit are recorded.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

char	   *audit_actor = NULL;
char	   *audit_context = NULL;

/* A log that the current transaction has written to. */
typedef struct WrittenLog
{
	Oid			logid;
	SubTransactionId subid;		/* dies with this one */
} WrittenLog;

static List *written = NIL;		/* of WrittenLog, in TopTransactionContext */

/*
 * Set when the row has been written: what another library writes from its own
 * callback after that is added to it.
 */
static bool row_written = false;

static void write_context(void);

/*
 * GUC check hook of plinth_audit.context: empty or JSON.  Must not raise
 * errors, so it only parses.
 */
bool
audit_context_valid(char **newval, void **extra, GucSource source)
{
	JsonLexContext *lex;

	if (*newval == NULL || **newval == '\0')
		return true;
	lex = plinth_json_lexer(*newval, strlen(*newval), false);
	if (pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS)
		return true;
	GUC_check_errdetail("The value must be JSON.");
	return false;
}

/* One more log after the row was written, or the first of all. */
static void
add_to_row(Oid logid)
{
	PlinthIdentity self;

	if (list_length(written) == 1)
	{
		write_context();
		return;
	}
	plinth_become(&self, audit_owner());
	plinth_sql("UPDATE " AUDIT_SCHEMA "." AUDIT_TRANSACTION_TABLE
			   " SET logs = logs OPERATOR(pg_catalog.||) %s::pg_catalog.text"
			   " WHERE transaction_id OPERATOR(pg_catalog.=) '" UINT64_FORMAT "'::pg_catalog.xid8"
			   " AND started_at OPERATOR(pg_catalog.=) pg_catalog.transaction_timestamp()",
			   quote_literal_cstr(plinth_relation_name(logid)),
			   U64FromFullTransactionId(GetTopFullTransactionId()));
	plinth_restore_identity(&self);
}

/* Note that the current subtransaction has written to a log. */
void
audit_context_wrote(Oid logid)
{
	MemoryContext old;
	WrittenLog *log;
	ListCell   *lc;

	/* an entry that is there belongs to this subtransaction or a parent */
	foreach(lc, written)
	{
		if (((WrittenLog *) lfirst(lc))->logid == logid)
			return;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	log = palloc(sizeof(WrittenLog));
	log->logid = logid;
	log->subid = GetCurrentSubTransactionId();
	written = lappend(written, log);
	MemoryContextSwitchTo(old);

	if (row_written)
		add_to_row(logid);
}

/* The names of the logs written to, as text[]. */
static Datum
log_names(void)
{
	Datum	   *names = palloc(list_length(written) * sizeof(Datum));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, written)
	{
		char	   *name;

		/* a log may have been dropped in the same transaction */
		name = plinth_relation_name(((WrittenLog *) lfirst(lc))->logid);
		if (name)
			names[n++] = CStringGetTextDatum(name);
	}
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

/* Call one of the functions that tell of the client; they may say null. */
static Datum
client_value(PGFunction function, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 0);
	Datum		value;

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	value = function(fcinfo);
	*isnull = fcinfo->isnull;
	return value;
}

/* plinth_audit.context as jsonb; what jsonb refuses, as a string. */
static Jsonb *
context_jsonb(void)
{
	AuditConverters *converters = audit_converters_create(CurrentMemoryContext);
	AuditConverter *converter = audit_converter(converters, JSONOID);
	Datum		json = CStringGetTextDatum(audit_context);
	AuditValue	value;

	audit_show(converters, converter, json, &value);
	if (value.problem)
		audit_keep_text(converter, json, AUDIT_MAX_JSONB / 2, &value);
	return JsonbValueToJsonb(&value.json);
}

/* Is there anything set? */
static bool
is_set(const char *setting)
{
	return setting != NULL && setting[0] != '\0';
}

/* Open plinth_audit.transaction; 55000 if it is not what it has to be. */
static Relation
open_table(void)
{
	Oid			relid = audit_transaction_oid();
	Relation	rel = NULL;

	if (OidIsValid(relid))
		rel = try_relation_open(relid, RowExclusiveLock);
	if (rel == NULL || !audit_transaction_fits(rel))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s.%s\" is missing or altered",
						AUDIT_SCHEMA, AUDIT_TRANSACTION_TABLE),
				 errdetail("Audited transactions cannot commit without it."),
				 errhint("Run plinth_audit.repair() on an audited table.")));
	return rel;
}

/* Write the transaction's row. */
static void
write_context(void)
{
	MemoryContext context;
	MemoryContext old;
	Relation	rel;
	Datum		values[TX_NCOLUMNS] = {0};
	bool		isnull[TX_NCOLUMNS] = {0};
	char	   *name;

	context = AllocSetContextCreate(CurrentMemoryContext,
									"plinth_audit transaction",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);

	/* at this point no query is running, and TOAST wants a snapshot */
	PushActiveSnapshot(GetTransactionSnapshot());
	rel = open_table();

	values[TX_TRANSACTION_ID] =
		FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[TX_STARTED_AT] =
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	values[TX_ENDED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	name = GetUserNameFromId(GetSessionUserId(), true);
	values[TX_SESSION_USER_NAME] =
		CStringGetTextDatum(name ? name : psprintf("%u", GetSessionUserId()));
	values[TX_APPLICATION_NAME] =
		CStringGetTextDatum(application_name ? application_name : "");
	values[TX_CLIENT_ADDR] = client_value(inet_client_addr,
										  &isnull[TX_CLIENT_ADDR]);
	values[TX_CLIENT_PORT] = client_value(inet_client_port,
										  &isnull[TX_CLIENT_PORT]);
	values[TX_BACKEND_PID] = Int32GetDatum(MyProcPid);
	if (is_set(audit_actor))
		values[TX_ACTOR] = CStringGetTextDatum(audit_actor);
	else
		isnull[TX_ACTOR] = true;
	if (is_set(audit_context))
		values[TX_CONTEXT] = JsonbPGetDatum(context_jsonb());
	else
		isnull[TX_CONTEXT] = true;
	values[TX_LOGS] = log_names();

	audit_insert(rel, values, isnull);

	table_close(rel, NoLock);
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
at_xact_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (written != NIL)
				write_context();
			row_written = true;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* its memory goes with the transaction */
			written = NIL;
			row_written = false;
			break;
		default:
			break;
	}
}

static void
at_subxact_event(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, written)
	{
		WrittenLog *log = lfirst(lc);

		if (log->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			log->subid = parent;
		else
			written = foreach_delete_current(written, lc);
	}
}

void
audit_context_init(void)
{
	RegisterXactCallback(at_xact_event, NULL);
	RegisterSubXactCallback(at_subxact_event, NULL);
}
