/*
 * src/soft_delete/deletion.c
 *		The deletions of this transaction.
 *
 * A statement that deletes gets a number for each table that it names when the
 * first row is about to go, and when it has ended a record with the number of
 * rows, or none if there were no rows after all.  Statements are known by the
 * memory context of their executor state, so those that run within others are
 * told apart.  What an apply worker deletes has no statement: it is written
 * down when the transaction commits.
 *
 * Numbers that are pending and the number of this session's last deletion die
 * with the subtransaction that made them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PLINTH_FUNCTION(plinth_soft_delete_deletion);
PLINTH_FUNCTION(plinth_soft_delete_last_deletion);

char	   *soft_actor = NULL;
char	   *soft_reason = NULL;

/* Who deletes, if not the current role. */
Oid			soft_deletion_role = InvalidOid;

/* A deletion whose record is not written yet. */
typedef struct Pending
{
	MemoryContext statement;	/* es_query_cxt; NULL: of the transaction */
	Oid			target;
	int64		deletion_id;
	int			asked;			/* how often the statement asked for it */
	SubTransactionId subid;
} Pending;

/* What last_deletion() said before. */
typedef struct Earlier
{
	int64		deletion_id;
	SubTransactionId subid;
} Earlier;

/* The statement that fires its AFTER triggers now. */
MemoryContext soft_finishing = NULL;

/* Whatever is planned now is about the record. */
bool		soft_keeping_record = false;

static List *pending = NIL;		/* of Pending, in TopTransactionContext */
static List *earlier = NIL;		/* of Earlier, newest last */
static int64 last_deletion = 0;
static ExecutorFinish_hook_type previous_finish = NULL;

/*
 * The number of the deletion of a table by a statement; NULL: by the
 * transaction.
 */
int64
soft_deletion_of_statement(MemoryContext statement, Oid target)
{
	MemoryContext old;
	Pending    *entry;
	ListCell   *lc;

	foreach(lc, pending)
	{
		entry = lfirst(lc);
		if (entry->statement == statement && entry->target == target)
		{
			entry->asked++;
			return entry->deletion_id;
		}
	}
	/* what comes from a publisher has its numbers */
	if (statement == NULL)
		(void) soft_pass_numbers(target, soft_present_options(target));
	old = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc(sizeof(Pending));
	entry->statement = statement;
	entry->target = target;
	entry->deletion_id = soft_next_deletion();
	entry->asked = 1;
	entry->subid = GetCurrentSubTransactionId();
	pending = lappend(pending, entry);
	MemoryContextSwitchTo(old);
	return entry->deletion_id;
}

/* Has a statement that has not ended got this number? */
bool
soft_deletion_is_pending(int64 deletion_id)
{
	ListCell   *lc;

	foreach(lc, pending)
	{
		if (((Pending *) lfirst(lc))->deletion_id == deletion_id)
			return true;
	}
	return false;
}

/* Remember what this session's last deletion is. */
static void
set_last(int64 deletion_id)
{
	MemoryContext old;
	Earlier    *was = earlier == NIL ? NULL : llast(earlier);

	if (was && was->subid == GetCurrentSubTransactionId())
	{
		/* what was before this subtransaction is remembered */
		last_deletion = deletion_id;
		return;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	was = palloc(sizeof(Earlier));
	was->deletion_id = last_deletion;
	was->subid = GetCurrentSubTransactionId();
	earlier = lappend(earlier, was);
	last_deletion = deletion_id;
	MemoryContextSwitchTo(old);
}

/* How many rows of a table a deletion has taken. */
static int64
count_rows(Oid target, int64 deletion_id)
{
	SoftTable	table;
	char	   *text;

	if (!soft_table_copy(target, &table) || !table.whole)
		return 0;				/* its columns went in the same transaction */

	/* the statement that deleted them is not seen before another begins */
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	text = linitial(soft_own_strings(target,
									 psprintf("SELECT count(*) FROM %s WHERE %s = " INT64_FORMAT,
											  plinth_relation_name(target),
											  quote_identifier(get_attname(target, table.deletion_id, false)),
											  deletion_id)));
	PopActiveSnapshot();
	return strtoll(text, NULL, 10);
}

/* Count the rows of one deletion, if rows < 0, and write its record. */
static void
count_and_write(const Pending *entry, int64 rows)
{
	DeletionRecord record = {0};

	if (get_rel_name(entry->target) == NULL)
		return;					/* dropped in the same transaction */
	if (rows < 0)
		rows = count_rows(entry->target, entry->deletion_id);
	if (rows == 0)
		return;
	record.deletion_id = entry->deletion_id;
	record.at = GetCurrentTransactionStartTimestamp();
	record.target = plinth_relation_name(entry->target);
	record.row_count = rows;
	soft_record_write(&record);
	set_last(entry->deletion_id);
}

/* The same, as nobody's statement. */
static void
write_pending(const Pending *entry, int64 rows)
{
	bool		outer = soft_keeping_record;

	soft_keeping_record = true;
	PG_TRY();
	{
		count_and_write(entry, rows);
	}
	PG_FINALLY();
	{
		soft_keeping_record = outer;
	}
	PG_END_TRY();
}

/* The table that a finished statement has deleted from with its tag. */
static Oid
counted_target(QueryDesc *desc)
{
	ModifyTable *plan = (ModifyTable *) desc->plannedstmt->planTree;
	Index		rti;

	if (desc->plannedstmt->commandType != CMD_DELETE || !IsA(plan, ModifyTable) ||
		plan->operation != CMD_UPDATE || !plan->canSetTag)
		return InvalidOid;
	rti = plan->rootRelation > 0 ? plan->rootRelation :
		linitial_int(plan->resultRelations);
	return rt_fetch(rti, desc->plannedstmt->rtable)->relid;
}

/* Write down what a statement has deleted. */
static void
flush_statement(QueryDesc *desc)
{
	MemoryContext statement = desc->estate->es_query_cxt;
	List	   *mine = NIL;
	List	   *rest = NIL;
	MemoryContext old;
	ListCell   *lc;
	Oid			counted = counted_target(desc);

	old = MemoryContextSwitchTo(TopTransactionContext);
	foreach(lc, pending)
	{
		Pending    *entry = lfirst(lc);

		if (entry->statement == statement)
			mine = lappend(mine, entry);
		else
			rest = lappend(rest, entry);
	}
	list_free(pending);
	pending = rest;
	MemoryContextSwitchTo(old);
	foreach(lc, mine)
	{
		Pending    *entry = lfirst(lc);

		write_pending(entry, entry->target == counted && entry->asked == 1 ?
					  (int64) desc->estate->es_processed : -1);
	}
	list_free_deep(mine);		/* a transaction may have millions of them */
}

/* What was to be done before there was our hook. */
static void
finish_others(QueryDesc *desc)
{
	if (previous_finish)
		previous_finish(desc);
	else
		standard_ExecutorFinish(desc);
}

/* ExecutorFinish hook: a statement has done all that it will do. */
static void
finish(QueryDesc *desc)
{
	/* whatever names none of our tables is not to pay for it */
	if (soft_statement_known(desc->estate->es_query_cxt))
	{
		MemoryContext outer = soft_finishing;

		soft_finishing = desc->estate->es_query_cxt;
		PG_TRY();
		{
			finish_others(desc);
		}
		PG_FINALLY();
		{
			soft_finishing = outer;
		}
		PG_END_TRY();
	}
	else
		finish_others(desc);
	if (pending != NIL)
		flush_statement(desc);
}

/* Write down what is left, whose statement has ended or never was. */
void
soft_deletion_flush(void)
{
	List	   *all = pending;
	ListCell   *lc;

	pending = NIL;
	foreach(lc, all)
		write_pending(lfirst(lc), -1);
}

/* Entries of a subtransaction become its parent's. */
static void
merge(SubTransactionId subid, SubTransactionId parent)
{
	ListCell   *lc;

	foreach(lc, pending)
	{
		if (((Pending *) lfirst(lc))->subid == subid)
			((Pending *) lfirst(lc))->subid = parent;
	}
	/* what is not this one's any more is followed by nothing that is */
	for (int i = list_length(earlier) - 1; i >= 0; i--)
	{
		Earlier    *was = list_nth(earlier, i);

		if (was->subid != subid)
			break;
		was->subid = parent;
	}

	/* the first one is what the parent goes back to */
	while (list_length(earlier) > 1 &&
		   ((Earlier *) llast(earlier))->subid == parent &&
		   ((Earlier *) list_nth(earlier, list_length(earlier) - 2))->subid == parent)
		earlier = list_delete_last(earlier);
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	ListCell   *lc;

	if (event == SUBXACT_EVENT_COMMIT_SUB)
		merge(mySubid, parentSubid);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		foreach(lc, pending)
		{
			if (((Pending *) lfirst(lc))->subid == mySubid)
				pending = foreach_delete_current(pending, lc);
		}
		while (earlier != NIL && ((Earlier *) llast(earlier))->subid == mySubid)
		{
			last_deletion = ((Earlier *) llast(earlier))->deletion_id;
			earlier = list_delete_last(earlier);
		}
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (pending != NIL)
			{
				/* there is none any more */
				PushActiveSnapshot(GetTransactionSnapshot());
				soft_deletion_flush();
				PopActiveSnapshot();
			}
			break;
		case XACT_EVENT_ABORT:
			if (earlier != NIL)
				last_deletion = ((Earlier *) linitial(earlier))->deletion_id;
			/* FALLTHROUGH */
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			/* memory goes with the transaction */
			pending = NIL;
			earlier = NIL;
			break;
		default:
			break;
	}
}

/*
 * _deletion(target): what a converted statement asks, once.
 */
Datum
plinth_soft_delete_deletion(PG_FUNCTION_ARGS)
{
	soft_require_plan(fcinfo, "_deletion");
	PG_RETURN_INT64(soft_deletion_of_statement(fcinfo->flinfo->fn_mcxt,
											   PG_GETARG_OID(0)));
}

/* last_deletion(): of this session; NULL if there was none. */
Datum
plinth_soft_delete_last_deletion(PG_FUNCTION_ARGS)
{
	if (last_deletion == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(last_deletion);
}

void
soft_deletion_init(void)
{
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
