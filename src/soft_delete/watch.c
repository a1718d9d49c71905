/*
 * src/soft_delete/watch.c
 *		Triggers of others that wait for our columns, or may change them.
 *
 * A converted DELETE does not note the two columns as updated, see convert.c;
 * nor does an UPDATE that sets others.  They are noted in the finished plan, where
 * all relations are known, if one of them has a trigger
 *
 *	- on one of the columns, for the sake of that trigger;
 *	- before a row's UPDATE, which may set the columns to anything: stamp() then
 *		looks at each row, and fails or puts right what it finds.  Tables
 *		without such triggers do not pay for it.
 *
 * So is deletion_id in an UPDATE that sets deleted_at, and both in a MERGE that
 * also updates, where columns may be generated of them: those of which nothing is
 * noted are not computed anew.
 *
 * stamp() must know that a row was to be deleted also where nothing is left of
 * that.  A DELETE says so by noting a column that no UPDATE can set.
 *
 * Permissions are checked by the same notes, so where those of UPDATE are asked
 * for, the question moves to a copy of the range table's entry as it was.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

/* What makes a note necessary. */
typedef struct Watched
{
	bool		deleted_at;		/* a trigger waits for the column */
	bool		deletion_id;
	bool		before;			/* a trigger may change it */
	bool		generated;		/* other columns may be computed of it */
} Watched;

/* Look for triggers other than ours that wait for one of the columns. */
static void
look_for_waiting(Relation rel, const SoftTable *table, Watched *watched)
{
	Oid			stamp = soft_function("stamp");
	Oid			statement = soft_function("statement");

	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgfoid == stamp || trigger->tgfoid == statement)
			continue;
		for (int k = 0; k < trigger->tgnattr; k++)
		{
			watched->deleted_at |= trigger->tgattr[k] == table->deleted_at;
			watched->deletion_id |= trigger->tgattr[k] == table->deletion_id;
		}
	}
}

/* Look at the relations that a plan writes to. */
static Watched
look_at_relations(const PlannedStmt *stmt, const ModifyTable *plan)
{
	Watched		watched = {0};
	ListCell   *lc;

	foreach(lc, plan->resultRelations)
	{
		Oid			relid = rt_fetch(lfirst_int(lc), stmt->rtable)->relid;
		SoftTable  *table = soft_table(relid);
		Relation	rel;
		TupleConstr *constr;

		if (table == NULL)
			continue;
		rel = table_open(relid, NoLock);
		constr = RelationGetDescr(rel)->constr;
		look_for_waiting(rel, table, &watched);
		watched.before |= rel->trigdesc && rel->trigdesc->trig_update_before_row;
		watched.generated |= constr && constr->has_generated_stored;
		table_close(rel, NoLock);
	}
	return watched;
}

/* Columns to be noted. */
typedef struct Notes
{
	bool		deleted_at;
	bool		deletion_id;
	bool		meant;
} Notes;

static Bitmapset *
add_column(Bitmapset *columns, AttrNumber attnum)
{
	return bms_add_member(columns, attnum - FirstLowInvalidHeapAttributeNumber);
}

/* What is to be noted of one relation. */
static Bitmapset *
columns_of(const SoftTable *table, const Notes *notes)
{
	Bitmapset  *columns = NULL;

	if (notes->deletion_id)
		columns = add_column(columns, table->deletion_id);
	if (notes->deleted_at)
		columns = add_column(columns, table->deleted_at);
	if (notes->meant)
		columns = add_column(columns, SOFT_DELETE_MEANT);
	return columns;
}

/* What is to be noted of what a statement does by these privileges. */
static Notes
choose_notes(const Watched *watched, AclMode privileges, bool sets)
{
	Notes		notes = {0};
	bool		deletes = (privileges & ACL_DELETE) != 0;
	bool		updates = (privileges & ACL_UPDATE) != 0;
	bool		waiting = watched->deleted_at || watched->deletion_id;

	if (deletes && (waiting || watched->before || (watched->generated && updates)))
	{
		/* a trigger on deleted_at is not called for what does not name it */
		notes.deleted_at = !updates || waiting || watched->generated;
		notes.deletion_id = true;
		notes.meant = !updates;
	}
	else if (sets)
		notes.deletion_id = watched->deletion_id || watched->generated;
	else if (!deletes && watched->before)
	{
		/* for stamp() alone: one that nobody else waits for, if there is one */
		notes.deleted_at = watched->deletion_id && !watched->deleted_at;
		notes.deletion_id = !notes.deleted_at;
	}
	return notes;
}

static void
watch(PlannedStmt *stmt, ModifyTable *plan)
{
	RangeTblEntry *named = rt_fetch(plan->nominalRelation, stmt->rtable);
	SoftTable  *table;
	Watched		watched;
	Notes		notes;
	ListCell   *lc;

	if (plan->operation == CMD_DELETE || !soft_is_table(named) ||
		(plan->operation == CMD_INSERT && plan->onConflictAction != ONCONFLICT_UPDATE) ||
		(table = soft_table(named->relid)) == NULL)
		return;
	watched = look_at_relations(stmt, plan);
	notes = choose_notes(&watched, plinth_required_privileges(stmt, named),
						 bms_is_member(table->deleted_at - FirstLowInvalidHeapAttributeNumber,
									   plinth_updated_columns(stmt, named)));
	if (!notes.deleted_at && !notes.deletion_id)
		return;
	plinth_note_updated(stmt, plan->nominalRelation, columns_of(table, &notes));
	foreach(lc, plan->resultRelations)
	{
		Index		rti = lfirst_int(lc);

		if (rti != plan->nominalRelation &&
			(table = soft_table(rt_fetch(rti, stmt->rtable)->relid)) != NULL)
			plinth_note_updated_below(stmt, rti, columns_of(table, &notes));
	}
}

/*
 * Note our columns as updated where triggers make it necessary.  Comes last:
 * privileges are not where they were.
 */
void
soft_watch(PlannedStmt *stmt)
{
	ListCell   *lc;

	if (IsA(stmt->planTree, ModifyTable))
		watch(stmt, (ModifyTable *) stmt->planTree);
	foreach(lc, stmt->subplans)
	{
		Plan	   *plan = lfirst(lc);

		if (plan && IsA(plan, ModifyTable))
			watch(stmt, (ModifyTable *) plan);
	}
}
