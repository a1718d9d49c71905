/*
 * src/closure/pending.c
 *		The nodes that statements have touched, until the closure is right.
 *
 * What is remembered belongs to the subtransaction that was running and dies
 * with it.  Ids of subtransactions only grow, so what an aborted one has left
 * is at the end.  A statement inside another may bring up to date what the
 * outer one has touched so far; if its subtransaction is then rolled back, as
 * by an exception block, that has still to be done, so it is kept until then.
 *
 * A node whose parent is missing because a deferred foreign key lets it be is
 * remembered once more, for the end of the transaction: the key has found the
 * parent by then, and locked it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

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
struct ClosurePending
{
	Oid			relid;
	bool		late;			/* not before the transaction ends */
	Batch		batch;
};

/* What a subtransaction has brought up to date, or is about to. */
typedef struct Flushed
{
	ClosurePending *from;
	Batch		batch;
	SubTransactionId subid;
} Flushed;

static List *pending = NIL;		/* of ClosurePending, in TopTransactionContext */
static List *flushed = NIL;		/* of Flushed, likewise */

/* What is waiting for a hierarchy; made if asked for. */
static ClosurePending *
find_pending(Oid relid, bool late, bool make)
{
	MemoryContext old;
	ClosurePending *found;
	ListCell   *lc;

	foreach(lc, pending)
	{
		ClosurePending *p = lfirst(lc);

		if (p->relid == relid && p->late == late)
			return p;
	}
	if (!make)
		return NULL;
	old = MemoryContextSwitchTo(TopTransactionContext);
	found = palloc0(sizeof(ClosurePending));
	found->relid = relid;
	found->late = late;
	pending = lappend(pending, found);
	MemoryContextSwitchTo(old);
	return found;
}

/* What statements have touched of a hierarchy; made if asked for. */
ClosurePending *
closure_pending(Oid relid, bool make)
{
	return find_pending(relid, false, make);
}

bool
closure_any_pending(void)
{
	return pending != NIL;
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

void
closure_wrong_columns(Hierarchy *h)
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
void
closure_pending_add(ClosurePending *to, Hierarchy *h, const Datum *key,
					bool inserted, const Datum *parent)
{
	Batch	   *batch = &to->batch;
	ClosureTouched *nodes = &batch->nodes;
	Size		at = (Size) nodes->n * h->nkeys;
	MemoryContext old;

	reserve(batch, h->nkeys, h->types, 1);
	if (!fits(batch, h))
		closure_wrong_columns(h);
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
keep_flushed(ClosurePending *from, const Batch *batch, SubTransactionId subid)
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
void
closure_pending_flush(ClosurePending *from, int nargs, char **args)
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
		closure_wrong_columns(h);

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
			closure_pending_add(find_pending(h->relid, true, true), h,
								lfirst(lc), false, NULL);
		}
	}
	if (!keep)
		MemoryContextDelete(batch.context);
}

/* What has waited for the end of the transaction. */
static void
flush_all(bool late)
{
	ListCell   *lc;

	foreach(lc, pending)
	{
		ClosurePending *from = lfirst(lc);
		PlinthTrigger *trig;

		if (from->batch.nodes.n == 0 || from->late != late)
			continue;
		trig = closure_trigger(from->relid, "collect", NULL);
		if (trig == NULL)
			continue;			/* dropped or disabled meanwhile */
		PushActiveSnapshot(GetTransactionSnapshot());
		closure_pending_flush(from, trig->nargs, trig->args);
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
		Batch	   *batch = &((ClosurePending *) lfirst(lc))->batch;

		while (batch->nodes.n > 0 &&
			   batch->subids[batch->nodes.n - 1] >= subid)
			batch->nodes.n--;
	}
	end_flushed(subid, parent, true);
}

void
closure_pending_init(void)
{
	RegisterXactCallback(at_xact_event, NULL);
	RegisterSubXactCallback(at_subxact_event, NULL);
}
