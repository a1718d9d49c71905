/*
 * src/soft_delete/mark.c
 *		One row marked, where no plan does it.
 *
 * A trigger that stops a DELETE marks the row by the executor's own means, as an
 * apply worker updates rows (ExecSimpleRelationUpdate() in execReplication.c).
 * No statement is parsed or planned for it, so no privilege, policy or name
 * stands in the way of what the DELETE has been allowed already, and the
 * table's UPDATE triggers run as they do when a DELETE is converted: as the
 * client, in his session, at the end of his statement.
 *
 * Locks: the DELETE has locked table and row.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/tableam.h"
#include "executor/executor.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* The moment of the deletion, as the column's type has it. */
static Datum
moment(const SoftTable *table)
{
	Datum		now = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());

	if (getBaseType(table->deleted_at_type) == TIMESTAMPOID)
		return DirectFunctionCall1(timestamptz_timestamp, now);
	return now;
}

/*
 * 27000: a trigger has set one of our columns to something else than the
 * statement was to.
 */
void
soft_report_change(Relation rel, AttrNumber attnum)
{
	char	   *column = get_attname(RelationGetRelid(rel), attnum, false);

	ereport(ERROR,
			(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
			 errmsg("a trigger changed column \"%s\" of soft-deleting table \"%s\"",
					column, RelationGetRelationName(rel)),
			 errdetail("The row and the record of deletions would not agree."),
			 errhint("Let BEFORE UPDATE triggers leave the column as they find it; return NULL to keep a row from being deleted."),
			 errtablecol(rel, attnum)));
}

/* Has the row in a slot, which triggers have seen, what it was given? */
static void
check_restamped(Relation rel, TupleTableSlot *slot, const SoftTable *table,
				bool alive, int64 deletion_id)
{
	bool		isnull;
	int64		id;

	(void) slot_getattr(slot, table->deleted_at, &isnull);
	if (isnull != alive)
		soft_report_change(rel, table->deleted_at);
	id = DatumGetInt64(slot_getattr(slot, table->deletion_id, &isnull));
	if ((isnull ? 0 : id) != deletion_id)
		soft_report_change(rel, table->deletion_id);
}

/*
 * Give the row in a slot, which nobody else can change, other values in our
 * columns.  False if a trigger has kept it from being updated; 27000 if one has
 * made something else of it.
 */
bool
soft_restamp(Relation rel, TupleTableSlot *old, const SoftTable *table,
			 Datum deleted_at, bool alive, int64 deletion_id)
{
	EState	   *estate = plinth_estate_for(rel);
	ResultRelInfo *relinfo = makeNode(ResultRelInfo);
	TupleTableSlot *slot;
	EPQState	epqstate;
	int			natts = RelationGetDescr(rel)->natts;
	bool		done;

	estate->es_output_cid = GetCurrentCommandId(true);
	estate->es_snapshot = GetActiveSnapshot();
	InitResultRelInfo(relinfo, rel, 1, NULL, 0);
	ExecOpenIndices(relinfo, false);
	plinth_epq_init(&epqstate, estate);

	slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(rel),
								  table_slot_callbacks(rel));
	slot_getallattrs(old);
	memcpy(slot->tts_values, old->tts_values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, old->tts_isnull, natts * sizeof(bool));
	slot->tts_values[table->deleted_at - 1] = deleted_at;
	slot->tts_isnull[table->deleted_at - 1] = alive;
	slot->tts_values[table->deletion_id - 1] = Int64GetDatum(deletion_id);
	slot->tts_isnull[table->deletion_id - 1] = deletion_id == 0;
	ExecStoreVirtualTuple(slot);

	/* no column is noted as updated: stamp() is not called */
	ExecSimpleRelationUpdate(relinfo, estate, &epqstate, old, slot);
	done = ItemPointerIsValid(&slot->tts_tid);
	if (done)
		check_restamped(rel, slot, table, alive, deletion_id);

	EvalPlanQualEnd(&epqstate);
	ExecCloseIndices(relinfo);
	ExecResetTupleTable(estate->es_tupleTable, false);
	FreeExecutorState(estate);
	return done;
}

/*
 * Mark the row in a slot as dead by a deletion.  False if a trigger has kept it
 * from being updated.
 */
bool
soft_mark_row(Relation rel, TupleTableSlot *old, const SoftTable *table,
			  int64 deletion_id)
{
	return soft_restamp(rel, old, table, moment(table), false, deletion_id);
}
