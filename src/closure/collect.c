/*
 * src/closure/collect.c
 *		The triggers: remember what was touched, then bring it up to date.
 *
 * The row triggers only remember keys.  When the statement has ended, its
 * statement trigger reads the table as it has become: the order in which rows
 * were changed, and what other triggers have done to them since, does not
 * matter.  Where no statement trigger fires, the rows wait for the next one,
 * or for the end of the transaction, which does not come without them.
 *
 * A node whose parent is missing because a deferred foreign key lets it be is
 * remembered once more, for the end of the transaction: the key has found the
 * parent by then, and locked it.
 *
 * What is remembered belongs to the subtransaction that was running and dies
 * with it.  Ids of subtransactions only grow, so what an aborted one has left
 * is at the end.  A statement inside another may bring up to date what the
 * outer one has touched so far; if its subtransaction is then rolled back, as
 * by an exception block, that has still to be done, so it is kept until then.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "kit/errors.h"

PLINTH_FUNCTION(plinth_closure_collect);
PLINTH_FUNCTION(plinth_closure_apply);
PLINTH_FUNCTION(plinth_closure_guard);

int			closure_writing = 0;
bool		closure_committing = false;

/* Touched nodes, and the subtransactions that touched them. */
typedef struct Batch
{
	MemoryContext context;		/* of all this; NULL if there are none */
	int			nkeys;
	Oid		   *types;			/* of the keys */
	ClosureTouched nodes;
	SubTransactionId *subids;
	int			max;
} Batch;

/* The touched nodes of one hierarchy. */
typedef struct Pending
{
	Oid			relid;
	bool		late;			/* not before the transaction ends */
	Batch		batch;
} Pending;

/* What a subtransaction has brought up to date, or is about to. */
typedef struct Flushed
{
	Pending    *from;
	Batch		batch;
	SubTransactionId subid;
} Flushed;

static List *pending = NIL;		/* of Pending, in TopTransactionContext */
static List *flushed = NIL;		/* of Flushed, likewise */

/* Where the columns are in each relation, by its OID. */
static HTAB *sources = NULL;

static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	ClosureSource *source;

	hash_seq_init(&status, sources);
	while ((source = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relid) || relid == source->relid ||
			relid == source->rootid)
			source->valid = false;
	}
}

/* Where key and parent are in the relation that a trigger is on. */
static ClosureSource *
find_source(Relation rel, Trigger *trigger)
{
	Oid			relid = RelationGetRelid(rel);
	ClosureSource *source;
	ClosureSource made = {0};
	ClosureOptions *options;
	int			i = 0;
	ListCell   *lc;

	source = hash_search(sources, &relid, HASH_FIND, NULL);
	if (source && source->valid)
		return source;

	options = closure_options_parse(trigger->tgnargs, trigger->tgargs);
	made.relid = relid;
	made.rootid = closure_root(relid);
	made.valid = true;
	made.armed = closure_trigger(relid, "apply", NULL) != NULL;
	foreach(lc, options->key)
	{
		made.key[i] = get_attnum(relid, lfirst(lc));
		made.parent[i] = get_attnum(relid, list_nth(options->parent, i));
		if (made.key[i] <= 0 || made.parent[i] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("hierarchy \"%s\" has lost its column \"%s\" or \"%s\"",
							RelationGetRelationName(rel), (char *) lfirst(lc),
							(char *) list_nth(options->parent, i)),
					 errhint("Run plinth_closure.disable() and plinth_closure.enable() again."),
					 errtable(rel)));
		i++;
	}
	made.nkeys = i;
	source = hash_search(sources, &relid, HASH_ENTER, NULL);
	*source = made;
	return source;
}

/* What is waiting for a hierarchy; made if asked for. */
static Pending *
find_pending(Oid relid, bool late, bool make)
{
	MemoryContext old;
	Pending    *found;
	ListCell   *lc;

	foreach(lc, pending)
	{
		Pending    *p = lfirst(lc);

		if (p->relid == relid && p->late == late)
			return p;
	}
	if (!make)
		return NULL;
	old = MemoryContextSwitchTo(TopTransactionContext);
	found = palloc0(sizeof(Pending));
	found->relid = relid;
	found->late = late;
	pending = lappend(pending, found);
	MemoryContextSwitchTo(old);
	return found;
}

/* An array of a pending list, made larger. */
static void *
enlarge(void *array, Size size)
{
	return array ? repalloc_huge(array, size) :
		MemoryContextAllocHuge(CurrentMemoryContext, size);
}

/* Room for more nodes. */
static void
reserve(Batch *batch, int nkeys, const Oid *types, int more)
{
	MemoryContext old;
	Size		max;

	if (batch->context == NULL)
	{
		batch->context = AllocSetContextCreate(TopTransactionContext,
											   "plinth_closure pending",
											   ALLOCSET_DEFAULT_SIZES);
		batch->nkeys = nkeys;
		batch->types = MemoryContextAlloc(batch->context,
										  nkeys * sizeof(Oid));
		memcpy(batch->types, types, nkeys * sizeof(Oid));
	}
	if (batch->nodes.n + more <= batch->max)
		return;
	old = MemoryContextSwitchTo(batch->context);
	max = batch->max = Max(Max(64, 2 * batch->max), batch->nodes.n + more);
	batch->nodes.keys = enlarge(batch->nodes.keys,
								max * nkeys * sizeof(Datum));
	batch->nodes.parents = enlarge(batch->nodes.parents,
								   max * nkeys * sizeof(Datum));
	batch->nodes.below = enlarge(batch->nodes.below, max * sizeof(bool));
	batch->subids = enlarge(batch->subids, max * sizeof(SubTransactionId));
	MemoryContextSwitchTo(old);
}

static void
wrong_columns(Hierarchy *h)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("triggers of hierarchy \"%s\" do not agree about its columns",
					get_rel_name(h->relid)),
			 errhint("Run plinth_closure.disable() and plinth_closure.enable() again."),
			 closure_errtable(h)));
}

/* Were these keys collected for the hierarchy as it is now described? */
static bool
fits(const Batch *batch, const Hierarchy *h)
{
	return batch->nkeys == h->nkeys &&
		memcmp(batch->types, h->types, h->nkeys * sizeof(Oid)) == 0;
}

/*
 * Append a key.  If its row was inserted and so were all others, its parent
 * (or NULL) is kept too: the row need not be read again, since whatever
 * changes it later appends it again.
 */
static void
append_key(Pending *to, Hierarchy *h, const Datum *key, bool inserted,
		   const Datum *parent)
{
	Batch	   *batch = &to->batch;
	ClosureTouched *nodes = &batch->nodes;
	Size		at = (Size) nodes->n * h->nkeys;
	MemoryContext old;

	reserve(batch, h->nkeys, h->types, 1);
	if (!fits(batch, h))
		wrong_columns(h);
	old = MemoryContextSwitchTo(batch->context);
	closure_key_copy(h, key, nodes->keys + at);
	nodes->inserted = inserted && (nodes->n == 0 || nodes->inserted);
	nodes->below[nodes->n] = parent != NULL;
	if (nodes->inserted && parent)
		closure_key_copy(h, parent, nodes->parents + at);
	batch->subids[nodes->n] = GetCurrentSubTransactionId();
	nodes->n++;
	MemoryContextSwitchTo(old);
}

/*
 * Is a row still as it was inserted?  A statement of a trigger may have changed
 * it, and brought the closure up to date, before we are told of the insertion.
 * Nobody else can see the row yet, and the trigger got it as it is now.
 */
static bool
as_inserted(Relation rel, HeapTuple tuple)
{
	uint16		infomask = tuple->t_data->t_infomask;

	return rel->rd_tableam == GetHeapamTableAmRoutine() &&
		((infomask & HEAP_XMAX_INVALID) ||
		 HEAP_XMAX_IS_LOCKED_ONLY(infomask));
}

/* Remember the key of one row version. */
static void
remember(Pending *to, Hierarchy *h, ClosureSource *source,
		 TupleTableSlot *slot, Relation rel, bool inserted)
{
	Datum		key[CLOSURE_MAX_KEYS];
	Datum		parent[CLOSURE_MAX_KEYS];
	bool		below;

	for (int i = 0; i < h->nkeys; i++)
	{
		bool		isnull;

		key[i] = slot_getattr(slot, source->key[i], &isnull);
		if (isnull)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("key column \"%s\" of hierarchy \"%s\" must not be null",
							(char *) list_nth(h->options->key, i),
							RelationGetRelationName(rel)),
					 errtable(rel)));
	}
	below = inserted && closure_row_key(h, slot, source->parent, parent);
	append_key(to, h, key, inserted, below ? parent : NULL);
}

/*
 * Are the columns of a relation those that the hierarchy has keys of?  The
 * triggers that told of them may not be the same, if one was made by hand.
 */
static void
check_columns(Hierarchy *h, ClosureSource *source, TupleDesc desc)
{
	if (source->nkeys != h->nkeys)
		wrong_columns(h);
	for (int i = 0; i < h->nkeys; i++)
	{
		if (TupleDescAttr(desc, source->key[i] - 1)->atttypid != h->types[i] ||
			TupleDescAttr(desc, source->parent[i] - 1)->atttypid != h->types[i])
			wrong_columns(h);
	}
}

/* Did an update leave key and parent as they were? */
static bool
unchanged(Hierarchy *h, ClosureSource *source, TupleTableSlot *old,
		  TupleTableSlot *new)
{
	for (int i = 0; i < 2 * h->nkeys; i++)
	{
		int			column = i < h->nkeys ? i : i - h->nkeys;
		AttrNumber	attnum = i < h->nkeys ? source->key[column] :
			source->parent[column];
		bool		oldnull;
		bool		newnull;
		Datum		oldvalue = slot_getattr(old, attnum, &oldnull);
		Datum		newvalue = slot_getattr(new, attnum, &newnull);

		if (oldnull != newnull)
			return false;
		if (!oldnull && !datum_image_eq(oldvalue, newvalue,
										h->typbyval[column], h->typlen[column]))
			return false;
	}
	return true;
}

/* Did a subtransaction around this one touch any of these nodes? */
static bool
touched_before(const Batch *batch, SubTransactionId subid)
{
	for (int i = 0; i < batch->nodes.n; i++)
	{
		if (batch->subids[i] < subid)
			return true;
	}
	return false;
}

/* Keep what a subtransaction brings up to date, in case it is rolled back. */
static void
keep_flushed(Pending *from, const Batch *batch, SubTransactionId subid)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Flushed    *entry = palloc(sizeof(Flushed));

	entry->from = from;
	entry->batch = *batch;
	entry->subid = subid;
	flushed = lappend(flushed, entry);
	MemoryContextSwitchTo(old);
}

/*
 * A subtransaction has ended: what it brought up to date is its parent's work
 * now, or has to be done again.
 */
static void
end_flushed(SubTransactionId subid, SubTransactionId parent, bool aborted)
{
	ListCell   *lc;

	foreach(lc, flushed)
	{
		Flushed    *entry = lfirst(lc);
		Batch	   *batch = &entry->batch;
		Batch	   *to = &entry->from->batch;

		if (entry->subid < subid)
			continue;
		if (!aborted && touched_before(batch, parent))
		{
			entry->subid = parent;
			continue;
		}
		flushed = foreach_delete_current(flushed, lc);
		if (!aborted || !touched_before(batch, subid))
		{
			MemoryContextDelete(batch->context);
			continue;
		}
		reserve(to, batch->nkeys, batch->types, batch->nodes.n);
		for (int i = 0; i < batch->nodes.n; i++)
		{
			if (batch->subids[i] >= subid)
				continue;
			memcpy(to->nodes.keys + (Size) to->nodes.n * batch->nkeys,
				   batch->nodes.keys + (Size) i * batch->nkeys,
				   batch->nkeys * sizeof(Datum));
			to->nodes.below[to->nodes.n] = false;
			to->subids[to->nodes.n++] = batch->subids[i];
		}
		to->nodes.inserted = false;
		MemoryContextSetParent(batch->context, to->context);
	}
}

/* Bring one hierarchy up to date. */
static void
flush(Pending *from, int nargs, char **args)
{
	Batch		batch = from->batch;
	SubTransactionId subid = GetCurrentSubTransactionId();
	bool		keep;
	Hierarchy  *h;
	ListCell   *lc;

	if (batch.nodes.n == 0)
		return;

	/* its indexes must not change between looking for them and using them */
	h = closure_hierarchy(from->relid, nargs, args);
	for (;;)
	{
		LockRelationOid(h->closureid, RowExclusiveLock);
		if (h->valid)
			break;
		h = closure_hierarchy(from->relid, nargs, args);
	}
	if (!fits(&batch, h))
		wrong_columns(h);

	/* what our own writes might touch is another round's */
	memset(&from->batch, 0, sizeof(Batch));
	keep = touched_before(&batch, subid);
	if (keep)
		keep_flushed(from, &batch, subid);
	if (batch.nodes.n != 1 || !batch.nodes.inserted ||
		!closure_flush_leaf(h, &batch.nodes))
	{
		foreach(lc, closure_flush(h, &batch.nodes))
		{
			if (from->late && !h->options->orphan_roots)
				ereport(ERROR,
						(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
						 errmsg("the parent of node %s of hierarchy \"%s\" does not exist",
								closure_key_text(h, lfirst(lc)),
								get_rel_name(h->relid)),
						 closure_errtable(h)));
			append_key(find_pending(h->relid, true, true), h, lfirst(lc),
					   false, NULL);
		}
	}
	if (!keep)
		MemoryContextDelete(batch.context);
}

/*
 * plinth_closure.collect(): row trigger after INSERT, UPDATE or DELETE.
 */
Datum
plinth_closure_collect(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	ClosureSource *source;
	Hierarchy  *h;
	Pending    *to;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger after each row",
						"plinth_closure.collect")));
	source = find_source(trigdata->tg_relation, trigdata->tg_trigger);
	if (source->rootid == source->relid)
		h = closure_hierarchy(source->rootid, trigdata->tg_trigger->tgnargs,
							  trigdata->tg_trigger->tgargs);
	else
	{
		/* a partition may belong to somebody else: the root's count */
		h = closure_hierarchy(source->rootid, 0, NULL);
		if (!trigdata->tg_trigger->tgisclone)
			wrong_columns(h);
	}
	check_columns(h, source, RelationGetDescr(trigdata->tg_relation));
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) &&
		unchanged(h, source, trigdata->tg_trigslot, trigdata->tg_newslot))
		return PointerGetDatum(NULL);

	/*
	 * A parallel restore may make the triggers of a partitioned table before
	 * it fills a partition.  The closure is being restored then, too.
	 */
	if (!source->armed && !OidIsValid(h->pair_index))
		return PointerGetDatum(NULL);
	to = find_pending(source->rootid, false, true);
	remember(to, h, source, trigdata->tg_trigslot, trigdata->tg_relation,
			 TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) &&
			 as_inserted(trigdata->tg_relation, trigdata->tg_trigtuple));
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		remember(to, h, source, trigdata->tg_newslot, trigdata->tg_relation,
				 false);
	return PointerGetDatum(NULL);
}

/* Is a query of this session using the closure? */
static bool
closure_is_open(Hierarchy *h)
{
	Relation	rel = table_open(h->closureid, AccessShareLock);
	bool		open = rel->rd_refcnt > 1;

	table_close(rel, NoLock);
	return open;
}

/*
 * After TRUNCATE: if all of the table was truncated and no row is left, and no
 * query of this session is reading the closure, it is truncated too; otherwise
 * the nodes that the table has no more are touched.  TRUNCATE of a partition
 * lets others write to the rest, and that may be anything once we have waited
 * for them.
 */
static void
collect_truncated(Hierarchy *h, Pending *to, bool whole)
{
	PlinthIdentity saved;
	ListCell   *lc;

	closure_enter(h, &saved);
	if (whole && !closure_is_open(h) && closure_read_empty(h))
		closure_truncate(plinth_relation_name(h->closureid));
	else
	{
		foreach(lc, closure_read_gone(closure_nodes_create(h)))
			append_key(to, h, ((ClosureNode *) lfirst(lc))->key, false, NULL);
	}
	closure_leave(&saved);
}

/*
 * plinth_closure.apply(): statement trigger after INSERT, UPDATE, DELETE or
 * TRUNCATE.
 */
Datum
plinth_closure_apply(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Trigger    *trigger;
	Oid			rootid;
	Pending    *from;
	char	  **args;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger after each statement",
						"plinth_closure.apply")));
	trigger = trigdata->tg_trigger;
	if (!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) && pending == NIL)
		return PointerGetDatum(NULL);

	rootid = find_source(trigdata->tg_relation, trigger)->rootid;
	args = rootid == RelationGetRelid(trigdata->tg_relation) ?
		trigger->tgargs : NULL;
	from = find_pending(rootid, false,
						TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event));
	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		collect_truncated(closure_hierarchy(rootid, trigger->tgnargs, args),
						  from, RelationGetRelid(trigdata->tg_relation) == rootid);
	if (from)
		flush(from, trigger->tgnargs, args);
	return PointerGetDatum(NULL);
}

/* Is this row in the closure already? */
static bool
row_exists(Relation rel, TupleTableSlot *slot)
{
	StringInfoData sql;
	Datum		values[2 * CLOSURE_MAX_KEYS + 1];
	Oid			types[2 * CLOSURE_MAX_KEYS + 1];
	int			n = 0;
	TupleDesc	desc = RelationGetDescr(rel);
	bool		exists;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT 1 FROM %s WHERE ",
					 plinth_relation_name(RelationGetRelid(rel)));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		isnull;

		if (att->attisdropped)
			continue;
		values[n] = slot_getattr(slot, i + 1, &isnull);
		if (isnull || n > 2 * CLOSURE_MAX_KEYS)
			return false;
		types[n] = att->atttypid;
		appendStringInfo(&sql, "%s%s %s %s", n > 0 ? " AND " : "",
						 closure_comparable(att->atttypid,
											quote_identifier(NameStr(att->attname))),
						 closure_equality(att->atttypid),
						 closure_comparable(att->atttypid,
											psprintf("$%d", n + 1)));
		n++;
	}
	plinth_spi_connect();
	if (SPI_execute_with_args(sql.data, n, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look into the closure");
	exists = SPI_processed > 0;
	plinth_spi_finish();
	return exists;
}

/*
 * plinth_closure.guard(): trigger before each row of a closure, and before
 * TRUNCATE.  Rows that a restore of data brings and that are there already
 * are skipped.
 */
Datum
plinth_closure_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"plinth_closure.guard")));
	if (closure_writing == 0)
	{
		if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) &&
			TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) &&
			row_exists(trigdata->tg_relation, trigdata->tg_trigslot))
			return PointerGetDatum(NULL);
		ereport(ERROR,
				(errcode(ERRCODE_PLINTH_CLOSURE_DERIVED),
				 errmsg("closure table \"%s\" cannot be changed by hand",
						RelationGetRelationName(trigdata->tg_relation)),
				 errdetail("It follows from the table that it belongs to."),
				 errhint("Change that table, or run plinth_closure.repair() on it."),
				 errtable(trigdata->tg_relation)));
	}
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		return PointerGetDatum(trigdata->tg_newtuple);
	return PointerGetDatum(trigdata->tg_trigtuple);
}

/* What has waited for the end of the transaction. */
static void
flush_all(bool late)
{
	ListCell   *lc;

	foreach(lc, pending)
	{
		Pending    *from = lfirst(lc);
		PlinthTrigger *trig;

		if (from->batch.nodes.n == 0 || from->late != late)
			continue;
		trig = closure_trigger(from->relid, "collect", NULL);
		if (trig == NULL)
			continue;			/* dropped or disabled meanwhile */
		PushActiveSnapshot(GetTransactionSnapshot());
		flush(from, trig->nargs, trig->args);
		PopActiveSnapshot();
	}
}

static void
at_xact_event(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			closure_committing = true;
			flush_all(false);
			flush_all(true);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			pending = flushed = NIL;
			closure_writing = 0;
			closure_committing = false;
			closure_hierarchy_xact_end();
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

	if (event == SUBXACT_EVENT_COMMIT_SUB)
		end_flushed(subid, parent, false);
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, pending)
	{
		Batch	   *batch = &((Pending *) lfirst(lc))->batch;

		while (batch->nodes.n > 0 &&
			   batch->subids[batch->nodes.n - 1] >= subid)
			batch->nodes.n--;
	}
	end_flushed(subid, parent, true);
}

void
closure_collect_init(void)
{
	HASHCTL		ctl;

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(ClosureSource);
	ctl.hcxt = CacheMemoryContext;
	sources = hash_create("plinth_closure sources", 32, &ctl,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	RegisterXactCallback(at_xact_event, NULL);
	RegisterSubXactCallback(at_subxact_event, NULL);
}
