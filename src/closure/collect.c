/*
 * src/closure/collect.c
 *		The triggers: remember what was touched, then bring it up to date.
 *
 * The row triggers only remember keys (pending.c).  When the statement has
 * ended, its statement trigger reads the table as it has become: the order in
 * which rows were changed, and what other triggers have done to them since,
 * does not matter.  Where no statement trigger fires, the rows wait for the
 * next one, or for the end of the transaction, which does not come without
 * them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "kit/cache.h"

PLINTH_FUNCTION(plinth_closure_collect);
PLINTH_FUNCTION(plinth_closure_apply);

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

/* The parent of a row; false if one of its columns is null. */
static bool
parent_of(Hierarchy *h, ClosureSource *source, TupleTableSlot *slot,
		  Datum *key)
{
	for (int i = 0; i < h->nkeys; i++)
	{
		bool		isnull;

		key[i] = slot_getattr(slot, source->parent[i], &isnull);
		if (isnull)
			return false;
	}
	return true;
}

/* Remember the key of one row version. */
static void
remember(ClosurePending *to, Hierarchy *h, ClosureSource *source,
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
	below = inserted && parent_of(h, source, slot, parent);
	closure_pending_add(to, h, key, inserted, below ? parent : NULL);
}

/*
 * Are the columns of a relation those that the hierarchy has keys of?  The
 * triggers that told of them may not be the same, if one was made by hand.
 */
static void
check_columns(Hierarchy *h, ClosureSource *source, TupleDesc desc)
{
	if (source->nkeys != h->nkeys)
		closure_wrong_columns(h);
	for (int i = 0; i < h->nkeys; i++)
	{
		if (TupleDescAttr(desc, source->key[i] - 1)->atttypid != h->types[i] ||
			TupleDescAttr(desc, source->parent[i] - 1)->atttypid != h->types[i])
			closure_wrong_columns(h);
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

/*
 * plinth_closure.collect(): row trigger after INSERT, UPDATE or DELETE.
 */
Datum
plinth_closure_collect(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	ClosureSource *source;
	Hierarchy  *h;
	ClosurePending *to;

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
			closure_wrong_columns(h);
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
	to = closure_pending(source->rootid, true);
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
collect_truncated(Hierarchy *h, ClosurePending *to, bool whole)
{
	PlinthIdentity saved;
	ListCell   *lc;

	closure_enter(h, &saved);
	if (whole && !closure_is_open(h) && closure_read_empty(h))
		closure_truncate(plinth_relation_name(h->closureid));
	else
	{
		foreach(lc, closure_read_gone(closure_nodes_create(h)))
			closure_pending_add(to, h, ((ClosureNode *) lfirst(lc))->key, false, NULL);
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
	ClosurePending *from;
	char	  **args;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as a trigger after each statement",
						"plinth_closure.apply")));
	trigger = trigdata->tg_trigger;
	if (!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) &&
		!closure_any_pending())
		return PointerGetDatum(NULL);

	rootid = find_source(trigdata->tg_relation, trigger)->rootid;
	args = rootid == RelationGetRelid(trigdata->tg_relation) ?
		trigger->tgargs : NULL;
	from = closure_pending(rootid,
						   TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event));
	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		collect_truncated(closure_hierarchy(rootid, trigger->tgnargs, args),
						  from, RelationGetRelid(trigdata->tg_relation) == rootid);
	if (from)
		closure_pending_flush(from, trigger->tgnargs, args);
	return PointerGetDatum(NULL);
}

void
closure_collect_init(void)
{
	MemoryContext context;

	sources = plinth_cache_create("plinth_closure sources",
								  sizeof(ClosureSource), &context);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}
