/*
 * src/closure/change.c
 *		Which nodes have changed, and which roots that concerns.
 *
 * A touched node has changed if it came, went, or has another parent.
 *
 * Nodes may be drawn in that the statement did not touch: the children of a
 * node that went, and a parent that is in the table but not yet in the
 * closure, because the statement that inserts it is still running and this
 * one is nested in it.  What is touched twice is right twice.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static void
missing_parent(Hierarchy *h, ClosureNode *node)
{
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("node %s of hierarchy \"%s\" has parent %s, which does not exist",
					closure_key_text(h, node->key), get_rel_name(h->relid),
					closure_key_text(h, node->parent->key)),
			 node->known && node->parent == node->fate->old_parent ?
			 errhint("Delete it too, or give it another parent in the same statement.") :
			 errhint("Insert the parent first or in the same statement."),
			 closure_errtable(h)));
}

/*
 * Nodes whose rows were inserted, with these parents.  One that the closure has
 * already in another place was changed by a statement inside this one before
 * we were told of its insertion: it has to be looked at like others.  In the
 * same place, it is there because a restore has brought the closure first, and
 * the table, whose partitions may be locked, need not be asked.
 *
 * That a row still has the parent that it was inserted with is trusted, not
 * known: a referential action may have changed it already, of which we will
 * be told later.  The closure is then right in the end; only nothing may be
 * refused until the table has been asked.
 */
void
closure_note_inserts(ClosurePlan *plan)
{
	const ClosureTouched *touched = plan->touched;
	Hierarchy  *h = plan->h;
	ClosureNode **set = MemoryContextAllocHuge(CurrentMemoryContext,
											   touched->n * sizeof(ClosureNode *));

	for (int i = 0; i < touched->n; i++)
	{
		Size		at = (Size) i * h->nkeys;
		ClosureNode *node = closure_node(plan->nodes, touched->keys + at);

		if (node->touched)
			closure_twice(h, node);
		node->touched = true;
		node->parent = touched->below[i] ?
			closure_node(plan->nodes, touched->parents + at) : NULL;
		set[i] = node;
	}
	closure_read_links(plan->nodes, CQ_ANCESTORS, set, touched->n);
	for (int i = 0; i < touched->n; i++)
	{
		if (set[i]->known && set[i]->parent != set[i]->fate->old_parent)
			continue;
		set[i]->stated = set[i]->present = true;
		set[i]->changed = !set[i]->known;
	}
	pfree(set);
}

/*
 * Put the parents of nodes in their place, each of them once, and only those
 * whose ancestors are not known.  Returns how many are left.
 */
static int
distinct_parents(ClosureNode **set, int n)
{
	int			distinct = 0;

	for (int i = 0; i < n; i++)
	{
		ClosureNode *parent = set[i]->parent;

		if (parent->have_ancestors)
			continue;
		parent->have_ancestors = true;
		set[distinct++] = parent;
	}
	return distinct;
}

/* The ancestors of those nodes for which they have not been read. */
static void
read_ancestors(ClosureNodes *nodes, ClosureNode **set, int n)
{
	ClosureNode **unread = MemoryContextAllocHuge(CurrentMemoryContext,
												  Max(n, 1) * sizeof(ClosureNode *));
	int			nunread = 0;

	for (int i = 0; i < n; i++)
	{
		if (!set[i]->have_ancestors)
			unread[nunread++] = set[i];
	}
	closure_read_links(nodes, CQ_ANCESTORS, unread, nunread);
	pfree(unread);
}

/* Children of nodes that went will find no parent, or have another. */
static void
touch_children_of_gone(ClosureNodes *nodes)
{
	ClosureNode **set;
	int			n;

	CLOSURE_SELECT(nodes, set, n, node->touched && !node->present &&
				 node->known && !node->have_descendants);
	closure_read_links(nodes, CQ_DESCENDANTS, set, n);
	for (int i = 0; i < n; i++)
	{
		ClosureLinks *below = &set[i]->fate->descendants;

		for (int j = 0; j < below->n; j++)
		{
			if (below->links[j].depth == 1)
				below->links[j].node->touched = true;
		}
	}
	pfree(set);
}

/* Where parents may be missing, a node that comes may have children already. */
static void
touch_waiting_children(ClosureNodes *nodes)
{
	ClosureNode **set;
	int			n;

	CLOSURE_SELECT(nodes, set, n, node->touched && node->present &&
				 !node->known && !node->have_descendants);
	closure_read_links(nodes, CQ_CHILDREN, set, n);
	for (int i = 0; i < n; i++)
		set[i]->have_descendants = true;
	pfree(set);
}

/*
 * Find out about all touched nodes, drawing in others until nothing is left
 * to ask.  Returns false if a parent is missing, but trusted only.
 */
bool
closure_find_changes(ClosurePlan *plan)
{
	ClosureNodes *nodes = plan->nodes;
	Hierarchy  *h = plan->h;
	bool		late = h->options->orphan_roots || h->deferred_parent;
	bool		looked = false;

	for (;;)
	{
		ClosureNode **set;
		int			n;

		CHECK_FOR_INTERRUPTS();
		CLOSURE_SELECT(nodes, set, n, node->touched && !node->stated);
		if (n == 0 && looked)
			break;
		looked = true;
		closure_read_parents(nodes, set, n);
		read_ancestors(nodes, set, n);
		for (int i = 0; i < n; i++)
		{
			ClosureNode *node = set[i];

			node->changed = node->present != node->known ||
				(node->present && node->parent != node->fate->old_parent);
		}
		pfree(set);

		/* they are in the same trees: no other locks */
		if (!plan->locks_only)
			touch_children_of_gone(nodes);
		if (late)
			touch_waiting_children(nodes);

		/* parents that nobody has touched: are they in the closure? */
		CLOSURE_SELECT(nodes, set, n, node->changed && node->present &&
					 node->parent && !node->parent->touched &&
					 !node->parent->have_ancestors);
		n = distinct_parents(set, n);
		closure_read_links(nodes, CQ_ANCESTORS, set, n);
		for (int i = 0; i < n; i++)
		{
			if (!set[i]->known)
				set[i]->touched = true;
		}
		pfree(set);
	}

	for (int i = 0; i < nodes->n; i++)
	{
		ClosureNode *node = nodes->all[i];

		if (!node->stated || !node->present)
			continue;
		if (!node->known)
			plan->gaps = lappend(plan->gaps, node);
		if (node->parent == NULL || !node->parent->stated ||
			node->parent->present)
			continue;
		if (!late && plan->trusting)
			return false;
		if (!late)
			missing_parent(h, node);
		plan->gaps = lappend(plan->gaps, node->parent);
		plan->waiting = lappend(plan->waiting, node);
		node->parent = NULL;
		node->changed = !node->known || node->fate->old_parent != NULL;
	}
	return true;
}

/* The root of a node in the closure: its farthest ancestor, or itself. */
ClosureNode *
closure_old_root(ClosureNode *node)
{
	int			depth = 0;
	ClosureNode *root = node;

	for (int i = 0; i < node->fate->ancestors.n; i++)
	{
		ClosureLink *link = &node->fate->ancestors.links[i];

		if (link->depth > depth)
		{
			depth = link->depth;
			root = link->node;
		}
	}
	return root;
}

static void
need_lock(ClosurePlan *plan, ClosureNode *root, int lock)
{
	ClosureFate *fate = closure_fate(root);

	if (fate->lock == LOCK_NONE)
		plan->roots = lappend(plan->roots, root);
	fate->lock = Max(fate->lock, lock);
}

/*
 * The roots whose self rows have to be locked: those of the trees, as they
 * were, that changed nodes are in or go to.  Who only adds leaves shares the
 * root with others; who changes what is below or above other nodes does not.
 * A node that goes below a new one goes where that one does.  Ancestors have
 * been read of all nodes that changed and of their parents.
 */
void
closure_find_roots(ClosurePlan *plan)
{
	ClosureNodes *nodes = plan->nodes;

	for (int i = 0; i < nodes->n; i++)
	{
		ClosureNode *node = nodes->all[i];
		ClosureNode *up = node->parent;
		int			steps = 0;

		if (!node->changed)
			continue;
		if (node->known)
			need_lock(plan, closure_old_root(node), LOCK_UPDATE);
		if (!node->present)
			continue;
		if (!node->known)
		{
			if (up && up->known)
				need_lock(plan, closure_old_root(up), LOCK_SHARE);
			continue;
		}
		/* new nodes on the way may go round in a circle */
		while (up && !up->known && steps++ < nodes->n)
			up = up->parent;
		if (up && up->known)
			need_lock(plan, closure_old_root(up), LOCK_UPDATE);
	}
}
