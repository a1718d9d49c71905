/*
 * src/audit/capture.c
 *		The trigger function: what happened to a row, into the log.
 *
 * One function serves as row trigger after INSERT, UPDATE and DELETE, where
 * it sees rows as they have become, and as statement trigger before TRUNCATE,
 * where the rows are still there to be read.
 *
 * A statement that a trigger or a function runs is recorded before the rows
 * of the statement that it is nested in; order.c finds the place of each.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/heapam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PLINTH_FUNCTION(plinth_audit_capture);

bool		audit_capture_on = true;

/*
 * A D of a row that is moving to another partition, until the I that follows
 * it in the same command.  A trigger may run commands in between, so there
 * may be several; an insert that a trigger suppresses leaves one behind.
 */
typedef struct PendingMove
{
	Oid			rootid;
	CommandId	command;
	SubTransactionId subid;
	int64		audit_id;
} PendingMove;

static List *moves = NIL;		/* of PendingMove, in TopTransactionContext */

/*
 * The tables that take part in the TRUNCATE of a root, whose event is
 * recorded with the root's: their own triggers, which fire in the same
 * command, have nothing to say.  And those that have already fired in it.
 */
static struct
{
	CommandId	command;
	SubTransactionId subid;
	List	   *covered;		/* of Oid, in TopTransactionContext */
	List	   *fired;
}			truncation;

/*
 * Find the target and open its log.  Taking the lock may bring news that the
 * target is outdated.  One made while table and log are locked is not, and
 * what else may be announced meanwhile does not concern it.
 */
static AuditTarget *
begin_capture(Relation rel, Trigger *trigger, Relation *log)
{
	for (;;)
	{
		AuditTarget *target = audit_target(rel, trigger);
		Oid			logid = target->logid;

		CHECK_FOR_INTERRUPTS();
		*log = try_relation_open(logid, RowExclusiveLock);
		if (*log == NULL)
			continue;
		if (!audit_target_valid(target))
			target = audit_target(rel, trigger);
		if (target->logid == logid)
		{
			audit_target_use(target);
			return target;
		}
		relation_close(*log, RowExclusiveLock);
	}
}

/* Does this process apply changes whose log comes with them? */
static bool
is_received(const AuditTarget *target)
{
	return target->received && IsLogicalWorker();
}

/*
 * Take the D that an insert belongs to off the list; 0 if there is none.
 * Commands that came later than this one have ended, and with them whatever
 * they left.
 */
static int64
take_move(Oid rootid, CommandId command)
{
	int64		audit_id = 0;
	ListCell   *lc;

	foreach(lc, moves)
	{
		PendingMove *move = lfirst(lc);

		if (move->command == command && move->rootid == rootid)
			audit_id = move->audit_id;
		else if (move->command <= command)
			continue;
		moves = foreach_delete_current(moves, lc);
	}
	return audit_id;
}

static void
remember_move(Oid rootid, CommandId command, int64 audit_id)
{
	MemoryContext old;
	PendingMove *move;

	(void) take_move(rootid, command);
	old = MemoryContextSwitchTo(TopTransactionContext);
	move = palloc(sizeof(PendingMove));
	move->rootid = rootid;
	move->command = command;
	move->subid = GetCurrentSubTransactionId();
	move->audit_id = audit_id;
	moves = lappend(moves, move);
	MemoryContextSwitchTo(old);
}

/* An inserted row. */
static void
capture_insert(AuditTarget *target, Relation log, TriggerData *trigdata)
{
	AuditRow   *row = audit_row(target, trigdata->tg_relation,
								trigdata->tg_trigslot);
	AuditNote	note = {0};
	AuditEntry	entry = {0};

	entry.op = 'I';
	entry.command = audit_order(trigdata->tg_relation, trigdata->tg_trigtuple,
								false, trigdata->tg_trigslot, false);
	entry.key = audit_key(target, row);
	entry.new = audit_image(target, row, NULL, &note.mishaps[AUDIT_NEW]);
	note.has_image = true;
	note.moved_from = take_move(target->rootid,
								audit_maker(trigdata->tg_relation,
											trigdata->tg_trigtuple));
	entry.note = audit_note(target, &note);
	(void) audit_write(target, log, &entry);
}

/* A deleted row, or one that moves to another partition. */
static void
capture_delete(AuditTarget *target, Relation log, TriggerData *trigdata)
{
	AuditRow   *row = audit_row(target, trigdata->tg_relation,
								trigdata->tg_trigslot);
	AuditNote	note = {0};
	AuditEntry	entry = {0};
	int64		audit_id;

	entry.op = 'D';
	entry.command = audit_order(trigdata->tg_relation, trigdata->tg_trigtuple,
								true, NULL, false);
	entry.key = audit_key(target, row);
	if (target->options->mode != AUDIT_MODE_NEW)
	{
		entry.old = audit_image(target, row, NULL, &note.mishaps[AUDIT_OLD]);
		note.has_image = true;
	}
	note.moved =
		trigdata->tg_relation->rd_tableam == GetHeapamTableAmRoutine() &&
		HeapTupleHeaderIndicatesMovedPartitions(trigdata->tg_trigtuple->t_data);
	entry.note = audit_note(target, &note);
	audit_id = audit_write(target, log, &entry);

	if (note.moved)
		remember_move(target->rootid, entry.command, audit_id);
}

/* An updated row. */
static void
capture_update(AuditTarget *target, Relation log, TriggerData *trigdata)
{
	Relation	rel = trigdata->tg_relation;
	AuditRow   *old = audit_row(target, rel, trigdata->tg_trigslot);
	AuditRow   *new = audit_row(target, rel, trigdata->tg_newslot);
	AuditMode	mode = target->options->mode;
	AuditNote	note = {0};
	AuditEntry	entry = {0};
	AuditDiff	diff;
	bool		key_differs;

	key_differs = audit_key_differs(target, rel, old, new);
	if (mode == AUDIT_MODE_DELTA || target->nleftout > 0)
	{
		audit_diff(target, rel, old, new, &diff);
		if (!diff.any_image && !key_differs &&
			(mode == AUDIT_MODE_DELTA || diff.any_leftout))
			return;
		if (target->key_hidden && key_differs)
			note.new_key = audit_key(target, new);
		if (mode == AUDIT_MODE_DELTA)
			note.shown = diff.image;
	}

	entry.op = 'U';
	entry.command = audit_order(rel, trigdata->tg_newtuple, false,
								key_differs ? trigdata->tg_newslot : NULL,
								key_differs);
	entry.key = audit_key(target, old);
	if (mode != AUDIT_MODE_NEW)
		entry.old = audit_image(target, old, note.shown,
								&note.mishaps[AUDIT_OLD]);
	entry.new = audit_image(target, new, note.shown,
							&note.mishaps[AUDIT_NEW]);
	note.has_image = true;
	entry.note = audit_note(target, &note);
	(void) audit_write(target, log, &entry);
}

/* Every row that a TRUNCATE is about to remove from this very table. */
static void
capture_truncated_rows(AuditTarget *target, Relation log, Relation rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "plinth_audit truncate",
												  ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan;
	Snapshot	snapshot;

	/*
	 * TRUNCATE removes all rows there are, also those that a repeatable read
	 * transaction does not see, so the transaction's own snapshot will not
	 * do.  Nobody else can change the table: TRUNCATE has locked it.
	 */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan(rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		AuditRow   *row = audit_row(target, rel, slot);
		AuditNote	note = {0};
		AuditEntry	entry = {0};

		CHECK_FOR_INTERRUPTS();
		entry.op = 'T';
		entry.command = GetCurrentCommandId(false);
		entry.key = audit_key(target, row);
		if (target->options->mode != AUDIT_MODE_NEW)
		{
			entry.old = audit_image(target, row, NULL,
									&note.mishaps[AUDIT_OLD]);
			note.has_image = true;
		}
		entry.note = audit_note(target, &note);
		(void) audit_write(target, log, &entry);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(context);
}

/*
 * Is this table's TRUNCATE a part of that of a table above it?  If not, all
 * that is below it and locked for TRUNCATE is now a part of its own.
 */
static bool
is_covered(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	CommandId	command = GetCurrentCommandId(false);
	MemoryContext old;
	ListCell   *lc;
	bool		covered;

	if (truncation.command != command)
	{
		truncation.covered = NIL;
		truncation.fired = NIL;
		truncation.command = command;
		truncation.subid = GetCurrentSubTransactionId();
	}
	covered = list_member_oid(truncation.covered, relid);

	old = MemoryContextSwitchTo(TopTransactionContext);
	truncation.fired = lappend_oid(truncation.fired, relid);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Oid			below = lfirst_oid(lc);

		/* TRUNCATE ONLY leaves them alone, and does not lock them */
		if (below != relid && !list_member_oid(truncation.fired, below) &&
			plinth_relation_is_locked(below, AccessExclusiveLock))
			truncation.covered = lappend_oid(truncation.covered, below);
	}
	MemoryContextSwitchTo(old);
	return covered;
}

/* One entry for the whole TRUNCATE, of a root and all below it. */
static void
capture_truncate_event(AuditTarget *target, Relation log, Relation rel)
{
	AuditNote	note = {0};
	AuditEntry	entry = {0};

	if (is_covered(rel))
		return;
	entry.op = 'T';
	entry.command = GetCurrentCommandId(false);
	entry.note = audit_note(target, &note);
	(void) audit_write(target, log, &entry);
}

/*
 * plinth_audit.capture(): the trigger function.
 */
Datum
plinth_audit_capture(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TriggerEvent event;
	AuditTarget *target;
	Relation	log;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"plinth_audit.capture")));
	event = trigdata->tg_event;
	if (!(TRIGGER_FIRED_FOR_ROW(event) && TRIGGER_FIRED_AFTER(event)) &&
		!(TRIGGER_FIRED_BY_TRUNCATE(event) && TRIGGER_FIRED_BEFORE(event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" on table \"%s\" must fire after the row or before TRUNCATE",
						trigdata->tg_trigger->tgname,
						RelationGetRelationName(trigdata->tg_relation)),
				 errhint("Use plinth_audit.enable() to audit a table.")));

	if (!audit_capture_on)
		return PointerGetDatum(NULL);

	target = begin_capture(trigdata->tg_relation, trigdata->tg_trigger, &log);
	if (!is_received(target))
	{
		if (TRIGGER_FIRED_BY_INSERT(event))
			capture_insert(target, log, trigdata);
		else if (TRIGGER_FIRED_BY_UPDATE(event))
			capture_update(target, log, trigdata);
		else if (TRIGGER_FIRED_BY_DELETE(event))
			capture_delete(target, log, trigdata);
		else if (!target->options->truncate_rows)
			capture_truncate_event(target, log, trigdata->tg_relation);
		else if (trigdata->tg_relation->rd_rel->relkind == RELKIND_RELATION)
			capture_truncated_rows(target, log, trigdata->tg_relation);
	}
	relation_close(log, NoLock);
	audit_target_release();
	return PointerGetDatum(NULL);
}

static void
at_xact_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* their memory goes with the transaction */
			moves = NIL;
			truncation.covered = NIL;
			truncation.fired = NIL;
			truncation.command = InvalidCommandId;
			audit_order_xact_end();
			audit_target_xact_end();
			break;
		default:
			break;
	}
}

/*
 * What a failed subtransaction left half-done concerns nobody any more; what
 * a successful one left is its parent's.
 */
static void
at_subxact_event(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		audit_target_subxact_abort();
	foreach(lc, moves)
	{
		PendingMove *move = lfirst(lc);

		if (move->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			move->subid = parent;
		else
			moves = foreach_delete_current(moves, lc);
	}
	if (truncation.subid == subid)
	{
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			truncation.subid = parent;
		else
			truncation.command = InvalidCommandId;
	}
}

void
audit_capture_init(void)
{
	RegisterXactCallback(at_xact_event, NULL);
	RegisterSubXactCallback(at_subxact_event, NULL);
}
