/*
 * src/soft_delete/failsafe.c
 *		The triggers: what the planner hook has not seen.
 *
 * Sessions that planned a DELETE before they had the library, apply workers,
 * COPY and everything else that writes without our planner ends here.  The
 * triggers always fire, and nothing is physically removed that is not meant
 * to be.
 *
 *	mark: before each row's DELETE.  The row is marked (mark.c), and the DELETE
 *		is told to leave it: the client hears of one row less than it
 *		asked for, so there is a warning, or an error if that is preferred.
 *		An UPDATE that moves a row to another partition deletes it, too, and
 *		must not be stopped.
 *	statement: before a statement that deletes, or sets one of our columns, or
 *		can move rows.  It notes what kind of statement it is, by the memory of
 *		its executor state; mark knows row moves by that.
 *	stamp: after each row of an UPDATE that sets one of our columns: clients
 *		that mark rows by themselves get what DELETE gives them.  A trigger that
 *		comes before would make every UPDATE of the table lock its rows first.
 *	empty: before TRUNCATE.
 *
 * Locks: those of the statement.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"

PLINTH_FUNCTION(plinth_soft_delete_mark);
PLINTH_FUNCTION(plinth_soft_delete_statement);
PLINTH_FUNCTION(plinth_soft_delete_stamp);
PLINTH_FUNCTION(plinth_soft_delete_empty);

static const struct config_enum_entry unconverted_options[] = {
	{"soft", SOFT_UNCONVERTED_SOFT, false},
	{"error", SOFT_UNCONVERTED_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry dead_update_options[] = {
	{"refuse", SOFT_DEAD_REFUSE, false},
	{"allow", SOFT_DEAD_ALLOW, false},
	{NULL, 0, false}
};

int			soft_dead_update = SOFT_DEAD_REFUSE;
int			soft_unconverted = SOFT_UNCONVERTED_SOFT;

/* A statement that has named one of our tables. */
typedef struct Statement
{
	MemoryContext context;		/* es_query_cxt */
	bool		updates;
	bool		deletes;
	List	   *named;			/* the tables that it names: Oids */
	SoftOwn		own;
	MemoryContextCallback callback;
} Statement;

static List *statements = NIL;	/* of Statement, in TopMemoryContext */

/*
 * The executor state that fires a trigger: triggers run in its per-tuple
 * memory, which is a child of its own.
 */
static MemoryContext
firing_statement(void)
{
	return MemoryContextGetParent(CurrentMemoryContext);
}

/* The statement has ended: its memory goes. */
static void
forget_statement(void *arg)
{
	statements = list_delete_ptr(statements, arg);
}

static Statement *
find_statement(MemoryContext context)
{
	ListCell   *lc;

	foreach(lc, statements)
	{
		if (((Statement *) lfirst(lc))->context == context)
			return lfirst(lc);
	}
	return NULL;
}

/* Does a statement that runs name one of our tables? */
bool
soft_statement_known(MemoryContext context)
{
	return statements != NIL && find_statement(context) != NULL;
}

/*
 * Does an apply worker change rows by itself?  What a trigger runs in it is a
 * statement like any other.
 */
static bool
is_applied(MemoryContext context)
{
	return IsLogicalWorker() &&
		(context == NULL || find_statement(context) == NULL);
}

/* Is the statement one of ours? */
static SoftOwn
own_statement(MemoryContext context)
{
	Statement  *statement = find_statement(context);

	return statement ? statement->own : SOFT_OWN_NOTHING;
}

/*
 * The table that the firing statement names, of which this is it or a part; its
 * root if that is not known.
 */
static Oid
named_table(SoftTable *table, MemoryContext context)
{
	Statement  *statement = find_statement(context);
	Oid			root = soft_named_root(table);
	ListCell   *lc;

	if (statement == NULL || list_member_oid(statement->named, table->relid))
		return statement ? table->relid : root;
	foreach(lc, statement->named)
	{
		SoftTable  *named = soft_table(lfirst_oid(lc));

		if (named && soft_named_root(named) == root)
			return lfirst_oid(lc);
	}
	return root;
}

#define LEVEL_AND_TIMING (TRIGGER_EVENT_ROW | TRIGGER_EVENT_TIMINGMASK)
#define ALL_OF_IT (LEVEL_AND_TIMING | TRIGGER_EVENT_OPMASK)

/*
 * What a trigger function was called with.  Anybody may make triggers of them
 * on his own relations: what they do is done on tables, and when enable() has
 * them fire, and nowhere else.
 */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *function, TriggerEvent when,
			 TriggerEvent mask)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	char		relkind;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s.%s\" was not called by trigger manager",
						SOFT_SCHEMA, function)));
	relkind = trigdata->tg_relation->rd_rel->relkind;
	if ((trigdata->tg_event & mask) != when ||
		(relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s.%s\" was called by a trigger that plinth_soft_delete has not made",
						SOFT_SCHEMA, function),
				 errhint("Drop trigger \"%s\" of relation \"%s\", and use plinth_soft_delete.enable().",
						 trigdata->tg_trigger->tgname,
						 RelationGetRelationName(trigdata->tg_relation))));
	return trigdata;
}

/* The table as we know it; 55000 if the trigger is not enable()'s. */
static SoftTable *
triggered_table(TriggerData *trigdata)
{
	SoftTable  *table = soft_table(RelationGetRelid(trigdata->tg_relation));

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not enabled for soft delete",
						RelationGetRelationName(trigdata->tg_relation)),
				 errhint("Use plinth_soft_delete.enable() to make the triggers.")));
	return table;
}

/*
 * statement(): before a statement that names the table.
 */
Datum
plinth_soft_delete_statement(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "statement",
										TRIGGER_EVENT_BEFORE, LEVEL_AND_TIMING);
	MemoryContext context = firing_statement();
	Statement  *statement;

	statement = find_statement(context);
	if (statement == NULL)
	{
		MemoryContext old;

		statement = MemoryContextAllocZero(context, sizeof(Statement));
		statement->context = context;
		old = MemoryContextSwitchTo(TopMemoryContext);
		statements = lappend(statements, statement);
		MemoryContextSwitchTo(old);
		statement->callback.func = forget_statement;
		statement->callback.arg = statement;
		MemoryContextRegisterResetCallback(context, &statement->callback);
	}
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		statement->named = list_append_unique_oid(statement->named,
												  RelationGetRelid(trigdata->tg_relation));
		MemoryContextSwitchTo(old);
	}
	if (soft_next_statement != SOFT_OWN_NOTHING &&
		soft_next_table == RelationGetRelid(trigdata->tg_relation))
	{
		statement->own = soft_next_statement;
		soft_next_statement = SOFT_OWN_NOTHING;
	}
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		statement->updates = true;
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		statement->deletes = true;
	PG_RETURN_POINTER(NULL);
}

/* Does an UPDATE take the row away, to put it into another partition? */
static bool
row_moves(Relation rel)
{
	Statement  *statement;

	if (!rel->rd_rel->relispartition)
		return false;
	statement = find_statement(firing_statement());
	if (statement == NULL || !statement->updates)
		return false;
	if (statement->deletes)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot both update and delete rows of table \"%s\" in one MERGE",
						RelationGetRelationName(rel)),
				 errdetail("The library of plinth_soft_delete was not loaded when the statement was planned."),
				 errhint("Run the statement again.")));
	return true;
}

/*
 * mark(): before a row's DELETE that was not converted.
 */
Datum
plinth_soft_delete_mark(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "mark",
										TRIGGER_EVENT_ROW | TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_DELETE,
										ALL_OF_IT);
	Relation	rel = trigdata->tg_relation;
	MemoryContext statement = firing_statement();
	bool		applied = is_applied(statement);
	SoftTable  *table;
	bool		isnull;

	if (own_statement(statement) == SOFT_OWN_REMOVE || row_moves(rel))
		return PointerGetDatum(trigdata->tg_trigtuple);
	table = triggered_table(trigdata);
	(void) heap_getattr(trigdata->tg_trigtuple, table->deleted_at,
						RelationGetDescr(rel), &isnull);
	if (applied && soft_applied_removes(rel, isnull))
		return PointerGetDatum(trigdata->tg_trigtuple);
	if (InNoForceRLSOperation())
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("a foreign key would remove rows of soft-deleting table \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("The table that it refers to is not enabled, and its rows go for good."),
				 errhint("Delete the rows of \"%s\" first, or enable the other table, too.",
						 RelationGetRelationName(rel)),
				 errtable(rel)));
	if (!isnull)
		return PointerGetDatum(NULL);	/* it is dead */

	if (!applied && soft_unconverted == SOFT_UNCONVERTED_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("DELETE on soft-deleting table \"%s\" was planned without plinth_soft_delete",
						RelationGetRelationName(rel)),
				 errhint("Have the library loaded when a session begins: see plinth_soft_delete.status."),
				 errtable(rel)));
	if (soft_mark_row(rel, trigdata->tg_trigslot, table,
					  soft_deletion_of_statement(applied ? NULL : statement,
												 named_table(table, statement))) &&
		!applied)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("row of table \"%s\" was soft-deleted, but is not counted",
						RelationGetRelationName(rel)),
				 errdetail("The library of plinth_soft_delete was not loaded when the statement was planned."),
				 errhint("Have the library loaded when a session begins: see plinth_soft_delete.status.")));
	return PointerGetDatum(NULL);
}

/* A column of a row; 0 if it is null. */
static Datum
column_of(TupleTableSlot *slot, AttrNumber attnum, bool *isnull)
{
	Datum		value = slot_getattr(slot, attnum, isnull);

	return *isnull ? (Datum) 0 : value;
}

/* Give a row that the statement has updated other values in our columns. */
static void
correct(TriggerData *trigdata, const SoftTable *table, Datum deleted_at,
		bool alive, int64 deletion_id)
{
	/* it is not seen before another command begins */
	CommandCounterIncrement();
	if (!soft_restamp(trigdata->tg_relation, trigdata->tg_newslot, table,
					  deleted_at, alive, deletion_id))
		soft_report_change(trigdata->tg_relation, table->deletion_id);
}

/* Our columns in one version of a row. */
typedef struct Mark
{
	Datum		deleted_at;
	bool		alive;
	int64		deletion_id;	/* 0: null */
} Mark;

static Mark
mark_of(TupleTableSlot *slot, const SoftTable *table)
{
	Mark		mark;
	bool		isnull;

	mark.deleted_at = column_of(slot, table->deleted_at, &mark.alive);
	mark.deletion_id = DatumGetInt64(column_of(slot, table->deletion_id, &isnull));
	return mark;
}

/*
 * After an update of our own (own.c), which makes marks and numbers agree, and
 * changes one of them: a trigger may have changed them back.
 */
static void
check_own(Relation rel, const SoftTable *table, const Mark *was,
		  const Mark *becomes)
{
	if (was->alive == becomes->alive && was->deletion_id == becomes->deletion_id)
		soft_report_change(rel, was->deletion_id ? table->deleted_at : table->deletion_id);
	if (becomes->alive != (becomes->deletion_id == 0))
		soft_report_change(rel, becomes->alive ? table->deletion_id : table->deleted_at);
}

/* Was the row to be deleted?  Only plans of ours say so, see watch.c. */
static bool
delete_meant(const TriggerData *trigdata, const Mark *becomes)
{
	return bms_is_member(SOFT_DELETE_MEANT - FirstLowInvalidHeapAttributeNumber,
						 trigdata->tg_updatedcols) ||
		soft_deletion_is_pending(becomes->deletion_id);
}

/*
 * stamp(): after each row of an UPDATE that sets one of our columns.  Where the
 * statement was planned with the hook they are what they should be (stamp.c),
 * unless a trigger has changed them; otherwise they are corrected now.
 */
Datum
plinth_soft_delete_stamp(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "stamp",
										TRIGGER_EVENT_ROW | TRIGGER_EVENT_AFTER | TRIGGER_EVENT_UPDATE,
										ALL_OF_IT);
	Relation	rel = trigdata->tg_relation;
	SoftTable  *table;
	Mark		was;
	Mark		becomes;

	if (is_applied(soft_finishing))
		PG_RETURN_POINTER(NULL);
	table = triggered_table(trigdata);
	was = mark_of(trigdata->tg_trigslot, table);
	becomes = mark_of(trigdata->tg_newslot, table);

	if (own_statement(soft_finishing) == SOFT_OWN_UPDATE)
		check_own(rel, table, &was, &becomes);
	else if (becomes.alive)
	{
		if (delete_meant(trigdata, &becomes))
			soft_report_change(rel, table->deleted_at);
		if (becomes.deletion_id != 0)
			correct(trigdata, table, (Datum) 0, true, 0);
	}
	else if (was.alive)
	{
		if (!soft_deletion_is_pending(becomes.deletion_id))
			correct(trigdata, table, becomes.deleted_at, false,
					soft_deletion_of_statement(soft_finishing,
											   named_table(table, soft_finishing)));
	}
	else if (was.deletion_id != 0 && becomes.deletion_id != was.deletion_id)
		correct(trigdata, table, was.deleted_at, false, was.deletion_id);
	PG_RETURN_POINTER(NULL);
}

/*
 * empty(): before TRUNCATE.
 */
Datum
plinth_soft_delete_empty(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo, "empty",
										TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_TRUNCATE,
										ALL_OF_IT);
	Relation	rel = trigdata->tg_relation;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot truncate soft-deleting table \"%s\"",
					RelationGetRelationName(rel)),
			 errhint("Use DELETE, or plinth_soft_delete.disable() first."),
			 errtable(rel)));
	PG_RETURN_POINTER(NULL);	/* keep compiler quiet */
}

/* GUC assign hook: plans have been made for one of the two. */
static void
assign_dead_update(int newval, void *extra)
{
	if (newval != soft_dead_update)
		ResetPlanCache();
}

void
soft_failsafe_init(void)
{
	DefineCustomEnumVariable("plinth_soft_delete.dead_update",
							 "Whether an UPDATE by who sees deleted rows may change them.",
							 NULL,
							 &soft_dead_update,
							 SOFT_DEAD_REFUSE,
							 dead_update_options,
							 PGC_USERSET,
							 0,
							 NULL, assign_dead_update, NULL);
	DefineCustomEnumVariable("plinth_soft_delete.unconverted",
							 "What becomes of a DELETE that was planned without the library.",
							 NULL,
							 &soft_unconverted,
							 SOFT_UNCONVERTED_SOFT,
							 unconverted_options,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
}
