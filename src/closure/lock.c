/*
 * src/closure/lock.c
 *		lock(): the tree that a node is in, before it is changed.
 *
 * For transactions of several statements, which could otherwise wait for each
 * other in a circle, or upgrade a shared lock while another does the same.
 * The lock is the one that a move takes, see flush.c, in the same way: if the
 * node has another root once the lock is held, it is given up and the right
 * one is taken.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PLINTH_FUNCTION(plinth_closure_lock);

/* The root of a node now; NULL if the closure does not have it. */
static ClosureNode *
find_root(Hierarchy *h, const Datum *key)
{
	ClosureNodes *nodes = closure_nodes_create(h);
	ClosureNode *node = closure_node(nodes, key);

	closure_read_links(nodes, CQ_ANCESTORS, &node, 1);
	return node->known ? closure_old_root(node) : NULL;
}

static void
no_such_node(Hierarchy *h, const Datum *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("node %s of hierarchy \"%s\" does not exist",
					closure_key_text(h, key), get_rel_name(h->relid)),
			 closure_errtable(h)));
}

/* What lock() is about. */
typedef struct Attempt
{
	Hierarchy  *h;
	const Datum *key;
	ClosureNode *root;
} Attempt;

/* Lock the root; is it still the node's? */
static bool
lock_root(void *arg)
{
	Attempt    *attempt = arg;
	ClosureNode *had = attempt->root;
	const Datum *root_key = had->key;
	bool		held;

	held = closure_write(attempt->h, CQ_LOCK_UPDATE, &root_key, NULL, NULL,
						 1) > 0;
	attempt->root = find_root(attempt->h, attempt->key);
	return held && attempt->root &&
		closure_key_compare(attempt->h, attempt->root->key, had->key) == 0;
}

/*
 * lock(target, node): who may write to the table may lock its trees.  P0002 if
 * there is no such node, 40001 if the tree has changed since the transaction's
 * snapshot.
 */
Datum
plinth_closure_lock(PG_FUNCTION_ARGS)
{
	Hierarchy  *h;
	Datum	   *key;
	PlinthIdentity saved;
	Attempt		attempt;

	PreventCommandIfReadOnly("plinth_closure.lock()");
	h = closure_read_target(fcinfo);
	if (pg_class_aclmask(h->relid, GetUserId(),
						 ACL_INSERT | ACL_UPDATE | ACL_DELETE,
						 ACLMASK_ANY) == 0)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE,
					   get_rel_name(h->relid));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a node of hierarchy \"%s\" must not be null",
						get_rel_name(h->relid)),
				 closure_errtable(h)));
	key = closure_node_in(closure_node_text(h),
						  text_to_cstring(PG_GETARG_TEXT_PP(1)));
	attempt.h = h;
	attempt.key = key;
	closure_enter(h, &saved);
	attempt.root = find_root(h, key);
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (attempt.root == NULL)
			no_such_node(h, key);
	} while (!closure_attempt(lock_root, &attempt));
	closure_leave(&saved);
	PG_RETURN_VOID();
}
