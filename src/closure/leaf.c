/*
 * src/closure/leaf.c
 *		One new leaf, quickly.
 *
 * Most statements insert one row below a parent that is there.  The parent's
 * ancestors are then read through one snapshot, straight from an index, and
 * the row version of the root's self row that this snapshot sees is locked
 * FOR SHARE if that is possible at once.  If it is, nobody has moved anything
 * in the tree since the snapshot, because whoever does updates that row: what
 * was read is still true, and stays so.  So nothing need be read again, and no
 * subtransaction is needed, since nothing is waited for.  This holds for
 * a snapshot of any age, hence at every isolation level.
 *
 * In every other case nothing has been locked or written and the long way of
 * flush.c is taken.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* What is known of the new leaf. */
typedef struct Leaf
{
	Hierarchy  *h;
	Relation	closure;
	Snapshot	snapshot;
	ClosureNode *node;
	ClosureNode *parent;		/* NULL: it is a root */
	ClosureLinks ancestors;		/* with distances from the parent */
	ClosureNode *root;
	ItemPointerData root_tid;	/* of its self row */
} Leaf;

static ClosureNode *
make_node(Hierarchy *h, const Datum *key)
{
	ClosureNode *node = palloc0(offsetof(ClosureNode, key) +
								h->nkeys * sizeof(Datum));

	closure_key_copy(h, key, node->key);
	return node;
}

/*
 * Is it in the closure already?  Then a statement inside this one has changed
 * its row before we were told of its insertion.
 */
static bool
is_known(Leaf *leaf, TupleTableSlot *slot)
{
	IndexScanDesc scan = closure_probe_begin(leaf->h, leaf->closure,
											 leaf->h->descendant_index,
											 leaf->node->key, NULL,
											 leaf->snapshot);
	bool		known = index_getnext_slot(scan, ForwardScanDirection, slot);

	closure_probe_end(scan);
	return known;
}

/* The ancestors of the parent; false if it is not in the closure. */
static bool
read_ancestors(Leaf *leaf, TupleTableSlot *slot)
{
	Hierarchy  *h = leaf->h;
	int			farthest = -1;
	IndexScanDesc scan = closure_probe_begin(h, leaf->closure,
											 h->descendant_index,
											 leaf->parent->key, NULL,
											 leaf->snapshot);

	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		Datum		key[CLOSURE_MAX_KEYS];
		bool		isnull;
		int			depth = DatumGetInt32(slot_getattr(slot,
													   2 * h->nkeys + 1,
													   &isnull));

		CHECK_FOR_INTERRUPTS();
		if (!closure_slot_key(h, slot, 1, key))
			continue;
		closure_link(&leaf->ancestors, depth == 0 ? leaf->parent :
					 make_node(h, key), depth);
		if (depth <= farthest)
			continue;
		farthest = depth;
		leaf->root = leaf->ancestors.links[leaf->ancestors.n - 1].node;
		leaf->root_tid = slot->tts_tid;
	}
	closure_probe_end(scan);
	return farthest >= 0 && farthest < h->options->max_depth;
}

/* Lock the version of the root's self row that the snapshot sees. */
static bool
lock_root(Leaf *leaf, TupleTableSlot *slot)
{
	Hierarchy  *h = leaf->h;
	TM_FailureData tmfd;

	if (leaf->root != leaf->parent)
	{
		IndexScanDesc scan = closure_probe_begin(h, leaf->closure,
												 h->pair_index,
												 leaf->root->key,
												 leaf->root->key,
												 leaf->snapshot);
		bool		found = index_getnext_slot(scan, ForwardScanDirection,
											   slot);

		leaf->root_tid = slot->tts_tid;
		closure_probe_end(scan);
		if (!found)
			return false;
	}
	return table_tuple_lock(leaf->closure, &leaf->root_tid, leaf->snapshot,
							slot, GetCurrentCommandId(false), LockTupleShare,
							LockWaitSkip, 0, &tmfd) == TM_Ok;
}

static void
write_rows(Leaf *leaf, ClosureWriter *writer)
{
	closure_writer_add(writer, leaf->node, leaf->node, 0);
	for (int i = 0; i < leaf->ancestors.n; i++)
		closure_writer_add(writer, leaf->ancestors.links[i].node, leaf->node,
						   leaf->ancestors.links[i].depth + 1);
}

/*
 * Bring the closure up to date after one row was inserted, if nobody is in the
 * way.  Returns whether that was so.
 */
bool
closure_flush_leaf(Hierarchy *h, const ClosureTouched *touched)
{
	Leaf		leaf = {.h = h};
	const Datum *parent = touched->below[0] ? touched->parents : NULL;
	MemoryContext context;
	MemoryContext old;
	ClosureWriter *writer;
	TupleTableSlot *slot;
	bool		done;

	if (h->options->orphan_roots || h->deferred_parent ||
		h->options->max_rows > 0 || !OidIsValid(h->pair_index) ||
		!OidIsValid(h->descendant_index) ||
		(parent && closure_key_compare(h, touched->keys, parent) == 0))
		return false;

	context = AllocSetContextCreate(CurrentMemoryContext,
									"plinth_closure leaf",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	leaf.node = make_node(h, touched->keys);
	leaf.closure = table_open(h->closureid, RowExclusiveLock);
	slot = table_slot_create(leaf.closure, NULL);
	CommandCounterIncrement();
	writer = closure_writer_begin(h, true);
	leaf.snapshot = RegisterSnapshot(GetTransactionSnapshot());

	/*
	 * Waiting for the lock may have shown that the indexes are others now.
	 * SQL would need the owner's rights, and would cost what is saved here.
	 */
	done = h->valid && closure_writer_is_direct(writer) &&
		!is_known(&leaf, slot);
	if (done && parent)
	{
		leaf.parent = make_node(h, parent);
		done = read_ancestors(&leaf, slot) && lock_root(&leaf, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(leaf.snapshot);
	if (done)
		write_rows(&leaf, writer);
	(void) closure_writer_end(writer);
	table_close(leaf.closure, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return done;
}
