/*
 * src/audit/writer.c
 *		Rows into the log and into plinth_audit.transaction.
 *
 * Rows are written straight to the heap and its indexes, without SPI, without
 * triggers and without privileges: the writer of the audited table needs none
 * on the log.  That is right only because log.c has made sure that these
 * tables are ours and plain (no triggers that would fire, no partitions, no
 * generated columns, no row-level security to apply).
 *
 * Each row is written when its trigger fires, so nothing is left to be written
 * when a statement or a savepoint ends, and a rolled-back change takes its log
 * row with it.
 *
 * Locks: RowExclusiveLock on the table written to, kept to the end of the
 * transaction, always after the audited table's.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "kit/sequence.h"

/* The text of changed_by for the role that wrote last. */
static Oid	author_role = InvalidOid;
static text *author = NULL;

/* A role was renamed or dropped. */
static void
role_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	author_role = InvalidOid;
}

void
audit_writer_init(void)
{
	CacheRegisterSyscacheCallback(AUTHOID, role_changed, (Datum) 0);
}

/*
 * The role that current_user would name outside SECURITY DEFINER functions:
 * SET ROLE counts, a change of user by a function, by a foreign key's cascade
 * or by logical replication does not.
 */
static text *
changed_by(void)
{
	Oid			role = GetOuterUserId();

	if (role != author_role)
	{
		char	   *name = GetUserNameFromId(role, true);
		text	   *fresh;

		/* the role of a running session may be dropped under it */
		if (name == NULL)
			name = psprintf("%u", role);
		fresh = cstring_to_text(name);
		fresh = memcpy(MemoryContextAlloc(TopMemoryContext, VARSIZE(fresh)),
					   fresh, VARSIZE(fresh));
		if (author)
			pfree(author);
		author = fresh;
		author_role = role;
	}
	return author;
}

/*
 * Insert one row into a table of ours, indexes included.
 */
void
audit_insert(Relation rel, Datum *values, bool *isnull)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *relinfo = makeNode(ResultRelInfo);
	TupleTableSlot *slot;
	TupleDesc	desc = RelationGetDescr(rel);

	InitResultRelInfo(relinfo, rel, 0, NULL, 0);
	ExecOpenIndices(relinfo, false);

	slot = table_slot_create(rel, NULL);
	memcpy(slot->tts_values, values, desc->natts * sizeof(Datum));
	memcpy(slot->tts_isnull, isnull, desc->natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);

	table_tuple_insert(rel, slot, GetCurrentCommandId(true), 0, NULL);
	if (relinfo->ri_NumIndices > 0)
		plinth_insert_index_tuples(relinfo, slot, estate);

	ExecDropSingleTupleTableSlot(slot);
	ExecCloseIndices(relinfo);
	FreeExecutorState(estate);
}

/*
 * Write one entry to the target's log, which the caller has open.  Returns
 * its audit_id.
 */
int64
audit_write(AuditTarget *target, Relation log, const AuditEntry *entry)
{
	int			natts = RelationGetDescr(log)->natts;
	Datum	   *values = palloc0(natts * sizeof(Datum));
	bool	   *isnull = palloc(natts * sizeof(bool));
	int64		increment;
	int64		audit_id = plinth_sequence_take(target->seqid, 1, &increment);

	memset(isnull, true, natts * sizeof(bool));

#define SET_COLUMN(column, datum) \
	do { \
		values[target->logatts[column] - 1] = (datum); \
		isnull[target->logatts[column] - 1] = false; \
	} while (0)

	SET_COLUMN(LOG_AUDIT_ID, Int64GetDatum(audit_id));
	SET_COLUMN(LOG_OP, PointerGetDatum(cstring_to_text_with_len(&entry->op, 1)));
	SET_COLUMN(LOG_CHANGED_AT,
			   TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()));
	SET_COLUMN(LOG_CHANGED_BY, PointerGetDatum(changed_by()));
	SET_COLUMN(LOG_TRANSACTION_ID,
			   FullTransactionIdGetDatum(GetTopFullTransactionId()));
	SET_COLUMN(LOG_COMMAND_ID,
			   Int32GetDatum((int32) Min(entry->command, (CommandId) PG_INT32_MAX)));
	if (entry->key)
		SET_COLUMN(LOG_ROW_KEY, JsonbPGetDatum(entry->key));
	if (entry->old)
		SET_COLUMN(LOG_OLD_DATA, JsonbPGetDatum(entry->old));
	if (entry->new)
		SET_COLUMN(LOG_NEW_DATA, JsonbPGetDatum(entry->new));
	if (entry->note)
		SET_COLUMN(LOG_NOTE, JsonbPGetDatum(entry->note));
#undef SET_COLUMN

	audit_insert(log, values, isnull);
	audit_context_wrote(target->logid);
	return audit_id;
}
