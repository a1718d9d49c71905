/*
 * src/closure/flush.c
 *		Bring the closure up to date: lock, look again, write.
 *
 * Lock objects are the self rows of tree roots.  Who adds leaves takes FOR
 * SHARE on the root's, who moves or removes nodes updates it without changing
 * it: a row version that REPEATABLE READ stumbles upon.  A fact read before a
 * lock was waited for may be wrong after it, so the plan is made again when
 * all locks are held, until it needs no others.  Locks are taken in the order
 * of keys and in a subtransaction: if they turn out not to be the right ones
 * it is rolled back, which gives them up, and the right ones are taken in
 * order, so that two statements cannot wait for each other.
 *
 * Why the root is enough: a closure row can only become wrong by a change
 * above the node, and whoever changes anything in a tree holds its root.
 *
 * With orphans => 'root' there is one fact more that others can change: that a
 * parent is missing.  Nobody can lock a row that is not there, so who leaves a
 * node with a missing parent and who makes a key appear lock the key itself,
 * in modes that conflict with each other but not with their own kind.  To bound
 * their number, keys share GAP_LOCKS locks, on the closure as an object with a
 * number.  They come before the self rows.  (A missing parent that a deferred
 * foreign key allows needs none: pending.c looks again before commit, when the
 * key has found its row and locked it.)
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* How often the locks may turn out to be the wrong ones. */
#define MAX_ROUNDS 100

/* How many locks the keys of one hierarchy share. */
#define GAP_LOCKS 128

/* Why a key is locked: it is missing, it has come, or both. */
#define GAP_MISSING 1
#define GAP_FILLED 2

/* What has to be locked of keys, by lock number. */
static void
find_gap_locks(ClosurePlan *plan, uint8 *gaps)
{
	ListCell   *lc;

	memset(gaps, 0, GAP_LOCKS);
	if (!plan->h->options->orphan_roots || plan->h->deferred_parent)
		return;
	foreach(lc, plan->gaps)
	{
		ClosureNode *node = lfirst(lc);

		gaps[node->hash % GAP_LOCKS] |= node->present ? GAP_FILLED : GAP_MISSING;
	}
}

static bool
any_gap_locks(const uint8 *gaps)
{
	for (int i = 0; i < GAP_LOCKS; i++)
	{
		if (gaps[i])
			return true;
	}
	return false;
}

/* Are all locks that the plan needs among those that were taken for another? */
static bool
covered(ClosurePlan *plan, ClosurePlan *taken, const uint8 *taken_gaps)
{
	uint8		gaps[GAP_LOCKS];
	ListCell   *lc;

	find_gap_locks(plan, gaps);
	for (int i = 0; i < GAP_LOCKS; i++)
	{
		if ((gaps[i] & ~taken_gaps[i]) != 0)
			return false;
	}
	foreach(lc, plan->roots)
	{
		ClosureNode *root = lfirst(lc);
		ClosureNode *had = closure_node_find(taken->nodes, root->key);

		if (had == NULL || had->fate == NULL ||
			had->fate->lock < root->fate->lock)
			return false;
	}
	return true;
}

/* For sorting with a hierarchy at hand. */
static int
compare_roots(const void *a, const void *b, void *arg)
{
	return closure_key_compare(arg, (*(ClosureNode *const *) a)->key,
							   (*(ClosureNode *const *) b)->key);
}

/*
 * Take the locks of a plan, one after the other in their order.  Returns false
 * if a root's self row is not there any more: it was deleted while we waited
 * for it, and what has been inserted in its place since is not locked.
 */
static bool
take_locks(ClosurePlan *plan, const uint8 *gaps)
{
	Hierarchy  *h = plan->h;
	bool		all = true;
	int			n = 0;
	ClosureNode **roots = palloc(Max(list_length(plan->roots), 1) * sizeof(ClosureNode *));
	ListCell   *lc;

	for (int i = 0; i < GAP_LOCKS; i++)
	{
		if (gaps[i])
			LockDatabaseObject(RelationRelationId, h->closureid, i + 1,
							   gaps[i] == GAP_MISSING ? ShareLock :
							   gaps[i] == GAP_FILLED ? RowExclusiveLock :
							   ShareRowExclusiveLock);
	}
	foreach(lc, plan->roots)
		roots[n++] = lfirst(lc);
	qsort_arg(roots, n, sizeof(ClosureNode *), compare_roots, h);
	for (int i = 0; i < n; i++)
	{
		const Datum *key = roots[i]->key;

		if (closure_write(h, roots[i]->fate->lock == LOCK_UPDATE ?
						  CQ_LOCK_UPDATE : CQ_LOCK_SHARE,
						  &key, NULL, NULL, 1) == 0)
			all = false;
	}
	pfree(roots);
	return all;
}

/*
 * Take locks in a subtransaction: a function takes them and says whether they
 * were the right ones.  If not, or after an error, they are given up.  Memory
 * context and resource owner stay the caller's.
 *
 * A transaction that is about to commit cannot roll a subtransaction back: it
 * keeps the wrong locks until it has committed.
 */
bool
closure_attempt(ClosureAttempt attempt, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		right;

	if (closure_committing)
		return attempt(arg);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		right = attempt(arg);
	}
	PG_CATCH();
	{
		ErrorData *edata;
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ReThrowError(edata);
	}
	PG_END_TRY();
	if (right)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return right;
}

/* A plan, and the one that is made under the locks of the first. */
typedef struct Attempt
{
	ClosurePlan *plan;
	ClosurePlan *again;
	uint8		gaps[GAP_LOCKS];
} Attempt;

static bool
plan_again(void *arg)
{
	Attempt    *attempt = arg;
	ClosurePlan *plan = attempt->plan;
	bool		all = take_locks(plan, attempt->gaps);

	attempt->again = closure_plan_begin(plan->h, plan->touched, false);
	closure_plan_finish(attempt->again);
	return all && covered(attempt->again, plan, attempt->gaps);
}

/* Make the plan, and take the locks that it needs, until both agree. */
static ClosurePlan *
plan_under_locks(Hierarchy *h, const ClosureTouched *touched)
{
	Attempt		attempt = {.plan = closure_plan_begin(h, touched, true)};

	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		ClosurePlan *plan = attempt.plan;

		find_gap_locks(plan, attempt.gaps);
		if (plan->roots == NIL && !any_gap_locks(attempt.gaps))
		{
			/* finishing may draw in nodes of trees that must be locked */
			closure_plan_finish(plan);
			if (plan->roots == NIL)
				return plan;
		}
		if (closure_attempt(plan_again, &attempt))
			return attempt.again;
		attempt.plan = attempt.again;
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not lock the trees of hierarchy \"%s\", which others keep moving",
					get_rel_name(h->relid)),
			 errhint("Try the transaction again.")));
}

/* How many rows may a page of the closure hold at most? */
static int
rows_per_page(Hierarchy *h)
{
	Size		width = sizeof(int32);

	for (int i = 0; i < h->nkeys; i++)
		width += 2 * (h->typlen[i] > 0 ? h->typlen[i] : 1);
	return BLCKSZ / (MAXALIGN(MAXALIGN(SizeofHeapTupleHeader) + width) +
					 sizeof(ItemIdData));
}

/* Counted only if the file is large enough for so many rows. */
static void
check_max_rows(Hierarchy *h)
{
	Relation	rel;
	BlockNumber pages;

	if (h->options->max_rows == 0)
		return;
	rel = table_open(h->closureid, AccessShareLock);
	pages = RelationGetNumberOfBlocks(rel);
	table_close(rel, NoLock);
	if ((int64) pages * rows_per_page(h) > h->options->max_rows &&
		closure_read_count(h) > h->options->max_rows)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("closure of hierarchy \"%s\" would have more than %lld rows",
						get_rel_name(h->relid),
						(long long) h->options->max_rows),
				 errdetail("That is the limit set by max_rows."),
				 closure_errtable(h)));
}

/*
 * Bring the closure up to date after nodes were touched.  Returns the keys
 * (List of Datum *, in the caller's memory context) of nodes whose parent a
 * deferred foreign key lets be missing.
 */
List *
closure_flush(Hierarchy *h, const ClosureTouched *touched)
{
	MemoryContext context;
	MemoryContext old;
	PlinthIdentity saved;
	ClosurePlan *plan;
	List	   *waiting = NIL;
	ListCell   *lc;

	context = AllocSetContextCreate(CurrentMemoryContext,
									"plinth_closure flush",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	closure_enter(h, &saved);
	plan = plan_under_locks(h, touched);
	closure_plan_write(plan);
	if (plan->inserts.n > plan->deletes.n || plan->arrivals != NIL)
		check_max_rows(h);

	closure_leave(&saved);
	MemoryContextSwitchTo(old);
	foreach(lc, h->deferred_parent ? plan->waiting : NIL)
	{
		Datum	   *key = palloc(h->nkeys * sizeof(Datum));

		closure_key_copy(h, ((ClosureNode *) lfirst(lc))->key, key);
		waiting = lappend(waiting, key);
	}
	MemoryContextDelete(context);
	return waiting;
}
