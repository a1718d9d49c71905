/*
 * src/closure/plan.c
 *		What has to change in the closure after rows were touched.
 *
 * Given the nodes that a statement touched, the table as it is now and the
 * closure as it was, find the rows to delete, to update and to insert: the
 * least that makes the closure the transitive closure of the table again.
 *
 * change.c tells which of the touched nodes have changed.  These cut the old
 * trees into fragments: a fragment is a changed node with everything below it
 * down to the next changed ones.  Inside a fragment nothing changes.  What
 * changes is its head's list of ancestors, and the difference between the old
 * list and the new one, multiplied by the members of the fragment, is what has
 * to be written.  A parent that lies in another fragment makes that one come
 * first; a circle of those is a cycle in the table.  Only the final state of
 * the statement is judged.
 *
 * A plan is begun, which finds what has changed and the locks that it needs,
 * and, once these are held, begun again and finished.  New nodes have no list
 * of ancestors of their own, since a statement may bring many: their rows are
 * found by walking up when they are written.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

enum
{
	WHITE,						/* not visited */
	GREY,						/* being visited */
	BLACK						/* done */
};

static void
too_deep(Hierarchy *h, ClosureNode *node, int depth)
{
	ereport(ERROR,
			(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
			 errmsg("node %s of hierarchy \"%s\" would be %d levels below its root",
					closure_key_text(h, node->key), get_rel_name(h->relid),
					depth),
			 errdetail_plural("At most %d level is allowed by max_depth.",
						  "At most %d levels are allowed by max_depth.",
						  h->options->max_depth,
					   h->options->max_depth),
			 closure_errtable(h)));
}

/* Cut the old trees into fragments. */
static void
find_fragments(ClosureNodes *nodes)
{
	ClosureNode **set;
	int			n;

	CLOSURE_SELECT(nodes, set, n, node->changed && node->known &&
				 !node->have_descendants);
	closure_read_links(nodes, CQ_DESCENDANTS, set, n);
	pfree(set);

	/* reading draws no further changed nodes in, but the list may grow */
	for (int i = 0; i < nodes->n; i++)
	{
		ClosureNode *head = nodes->all[i];

		if (!head->changed)
			continue;
		if (!head->known)
		{
			head->fragment = head;
			head->fragment_depth = 0;
			continue;
		}
		for (int j = 0; j < head->fate->descendants.n; j++)
		{
			ClosureNode *node = head->fate->descendants.links[j].node;
			int			depth = head->fate->descendants.links[j].depth;

			if (node->fragment == NULL || depth < node->fragment_depth)
			{
				node->fragment = head;
				node->fragment_depth = depth;
			}
		}
	}
	for (int i = 0; i < nodes->n; i++)
	{
		ClosureNode *node = nodes->all[i];

		if (node->fragment && node->fragment->known)
			closure_link(&node->fragment->fate->members, node,
						 node->fragment_depth);
	}
}

/* The ancestor of a node at a given distance in the old closure. */
static ClosureNode *
old_ancestor(ClosureNode *node, int depth)
{
	for (int i = 0; i < node->fate->ancestors.n; i++)
	{
		if (node->fate->ancestors.links[i].depth == depth)
			return node->fate->ancestors.links[i].node;
	}
	elog(ERROR, "closure has no ancestor %d levels up", depth);
}

/* The way round a cycle through this changed node, which ends where it began. */
static List *
cycle_path(ClosureNode *start)
{
	List	   *path = list_make1(start);
	ClosureNode *head = start;

	do
	{
		ClosureNode *parent = head->parent;

		for (int depth = 0; depth <= parent->fragment_depth; depth++)
			path = lappend(path, depth == 0 ? parent :
						   old_ancestor(parent, depth));
		head = parent->fragment;
	} while (head != start);
	return path;
}

/*
 * All ancestors that a changed node has now, nearest first up to the first
 * that was in the closure before.  The fragment that it hangs on is done.
 */
static void
each_ancestor(ClosureNode *node,
			  void (*found)(ClosureNode *ancestor, ClosureNode *node,
							int depth, void *arg),
			  void *arg)
{
	ClosureNode *up = node->parent;
	ClosureNode *head;
	int			depth = 1;

	for (; up && !up->known; up = up->parent)
		found(up, node, depth++, arg);
	if (up == NULL)
		return;
	found(up, node, depth, arg);
	head = up->fragment;
	for (int i = 0; i < up->fate->ancestors.n; i++)
	{
		ClosureLink *link = &up->fate->ancestors.links[i];

		if (head == NULL || link->depth <= up->fragment_depth)
			found(link->node, node, link->depth + depth, arg);
	}
	if (head == NULL)
		return;
	for (int i = 0; i < head->fate->new_ancestors.n; i++)
	{
		ClosureLink *link = &head->fate->new_ancestors.links[i];

		found(link->node, node, link->depth + up->fragment_depth + depth, arg);
	}
}

static void
link_new_ancestor(ClosureNode *ancestor, ClosureNode *node, int depth,
				  void *arg)
{
	closure_link(&node->fate->new_ancestors, ancestor, depth);
}

static void
see_depth(ClosureNode *ancestor, ClosureNode *node, int depth, void *arg)
{
	node->count = Max(node->count, depth);
}

/* How deep a new node is, that of a new parent being known. */
static void
find_depth(ClosureNode *node)
{
	if (node->parent->known)
		each_ancestor(node, see_depth, NULL);
	else
		node->count = node->parent->count + 1;
}

/*
 * Order the fragments so that each comes after the one its head now hangs
 * on, without recursion: a chain may be long.  Returns a node on a cycle, or
 * NULL if there is none.
 */
static ClosureNode *
order_fragments(ClosureNodes *nodes)
{
	ClosureNode **stack = MemoryContextAllocHuge(CurrentMemoryContext,
												 Max(nodes->n, 1) * sizeof(ClosureNode *));

	for (int i = 0; i < nodes->n; i++)
	{
		int			n = 0;

		if (!nodes->all[i]->changed || !nodes->all[i]->present ||
			nodes->all[i]->colour != WHITE)
			continue;
		CHECK_FOR_INTERRUPTS();
		stack[n++] = nodes->all[i];
		while (n > 0)
		{
			ClosureNode *head = stack[n - 1];
			ClosureNode *above = head->parent ? head->parent->fragment : NULL;

			head->colour = GREY;
			if (above && above->colour == GREY)
				return above;
			if (above && above->colour == WHITE)
			{
				stack[n++] = above;
				continue;
			}
			if (head->known)
				each_ancestor(head, link_new_ancestor, NULL);
			else if (head->parent)
				find_depth(head);
			head->colour = BLACK;
			n--;
		}
	}
	pfree(stack);
	return NULL;
}

/* One ancestor more, less or farther for all members of a fragment. */
static void
add_rows(ClosureRows *rows, ClosureNode *ancestor, ClosureNode *head,
		 int depth)
{
	ClosureLinks *members = &head->fate->members;

	for (int i = 0; i < members->n; i++)
		closure_row(rows, ancestor, members->links[i].node,
					depth + members->links[i].depth);
}

/* Compare old and new ancestors of a changed node that was there before. */
static void
compare_ancestors(ClosurePlan *plan, ClosureNode *head)
{
	ClosureLinks *old = &head->fate->ancestors;
	ClosureLinks *new = &head->fate->new_ancestors;

	for (int j = 0; j < old->n; j++)
		old->links[j].node->mark = old->links[j].depth + 1;
	for (int j = 0; j < new->n; j++)
	{
		ClosureNode *node = new->links[j].node;
		int			depth = new->links[j].depth;

		if (node->mark == 0)
			add_rows(&plan->inserts, node, head, depth);
		else if (node->mark != depth + 1)
			add_rows(&plan->updates, node, head, depth);
		node->mark = 0;
	}
	for (int j = 0; j < old->n; j++)
	{
		ClosureNode *node = old->links[j].node;

		if (node->mark == 0)
			continue;
		add_rows(&plan->deletes, node, head, 0);
		node->mark = 0;
	}
	if (!head->present)
		closure_row(&plan->deletes, head, head, 0);
}

/* The deepest of the rows to be written that is too deep, if one is. */
static ClosureRow *
deepest_row(ClosurePlan *plan)
{
	ClosureRow *found = NULL;

	for (int64 i = 0; i < plan->inserts.n + plan->updates.n; i++)
	{
		ClosureRow *row = i < plan->inserts.n ? &plan->inserts.rows[i] :
			&plan->updates.rows[i - plan->inserts.n];

		if (row->depth > (found ? found->depth : plan->h->options->max_depth))
			found = row;
	}
	return found;
}

/* Returns false if a node is too deep, but its parent is trusted only. */
static bool
find_differences(ClosurePlan *plan)
{
	ClosureRow *row;

	plan->deletes.n = plan->updates.n = plan->inserts.n = 0;
	plan->arrivals = NIL;
	for (int i = 0; i < plan->nodes->n; i++)
	{
		ClosureNode *head = plan->nodes->all[i];

		if (!head->changed)
			continue;
		if (head->known)
		{
			CHECK_FOR_INTERRUPTS();
			compare_ancestors(plan, head);
			continue;
		}
		plan->arrivals = lappend(plan->arrivals, head);
		if (head->count <= plan->h->options->max_depth)
			continue;
		if (plan->trusting)
			return false;
		too_deep(plan->h, head, head->count);
	}
	row = deepest_row(plan);
	if (row && plan->trusting)
		return false;
	if (row)
		too_deep(plan->h, row->descendant, row->depth);
	return true;
}

/* Look at what was touched, and at what has been drawn in. */
static bool
try_to_look(ClosurePlan *plan)
{
	Hierarchy  *h = plan->h;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	plan->nodes = closure_nodes_create(h);
	plan->gaps = plan->waiting = plan->roots = NIL;
	if (plan->trusting)
		closure_note_inserts(plan);
	for (int i = 0; i < plan->touched->n && !plan->trusting; i++)
		closure_node(plan->nodes, plan->touched->keys + (Size) i * h->nkeys)->touched = true;
	foreach(lc, plan->drawn_in)
		closure_node(plan->nodes, lfirst(lc))->touched = true;
	if (!closure_find_changes(plan))
		return false;
	closure_find_roots(plan);
	return true;
}

static void
look(ClosurePlan *plan)
{
	while (!try_to_look(plan))
		plan->trusting = false;
}

/*
 * What has changed, and which roots have to be locked, in the current memory
 * context.  Errors: 23503 for a missing parent, 40001.
 */
ClosurePlan *
closure_plan_begin(Hierarchy *h, const ClosureTouched *touched,
				   bool locks_only)
{
	ClosurePlan *plan = palloc0(sizeof(ClosurePlan));

	plan->h = h;
	plan->touched = touched;
	plan->trusting = touched->inserted;
	plan->locks_only = locks_only;
	look(plan);
	return plan;
}

/*
 * A statement that is still running may have moved nodes on the way round a
 * cycle that it has not told of yet.  Draw those in that have not been looked
 * at; returns whether there are any.
 */
static bool
draw_in(ClosurePlan *plan, List *path)
{
	bool		any = false;
	ListCell   *lc;

	foreach(lc, path)
	{
		ClosureNode *node = lfirst(lc);

		if (node->stated)
			continue;
		plan->drawn_in = lappend(plan->drawn_in, node->key);
		any = true;
	}
	return any;
}

/*
 * What has to be written.  Errors: 23514 for a cycle, 54001 beyond max_depth,
 * those of closure_plan_begin().  The roots to be locked may become more.
 */
void
closure_plan_finish(ClosurePlan *plan)
{
	for (;;)
	{
		ClosureNode *cycle;
		List	   *path;

		find_fragments(plan->nodes);
		cycle = order_fragments(plan->nodes);
		if (cycle == NULL && find_differences(plan))
			return;

		path = cycle ? cycle_path(cycle) : NIL;
		if (!draw_in(plan, path))
		{
			if (!plan->trusting)
				ereport(ERROR,
						(errcode(ERRCODE_CHECK_VIOLATION),
						 errmsg("hierarchy \"%s\" would contain a cycle",
								get_rel_name(plan->h->relid)),
						 errdetail("Parents: %s.",
								   closure_path_text(plan->h, path)),
						 closure_errtable(plan->h)));
			plan->trusting = false;
		}
		look(plan);
	}
}

static void
write_arrival(ClosureNode *ancestor, ClosureNode *node, int depth, void *arg)
{
	closure_writer_add(arg, ancestor, node, depth);
}

/*
 * Write a finished plan.  Deletions come first: what is inserted may have been
 * there in another place.
 */
void
closure_plan_write(ClosurePlan *plan)
{
	ClosureWriter *writer;
	ListCell   *lc;

	closure_rank_nodes(plan->nodes);
	closure_erase(plan->h, &plan->deletes);
	closure_write_rows(plan->h, CQ_UPDATE, &plan->updates);
	if (plan->inserts.n == 0 && plan->arrivals == NIL)
		return;

	CommandCounterIncrement();
	writer = closure_writer_begin(plan->h, true);
	for (int64 i = 0; i < plan->inserts.n; i++)
		closure_writer_add(writer, plan->inserts.rows[i].ancestor,
						   plan->inserts.rows[i].descendant,
						   plan->inserts.rows[i].depth);
	foreach(lc, plan->arrivals)
	{
		ClosureNode *node = lfirst(lc);

		closure_writer_add(writer, node, node, 0);
		each_ancestor(node, write_arrival, writer);
	}
	(void) closure_writer_end(writer);
}
