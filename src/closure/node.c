/*
 * src/closure/node.c
 *		Nodes, found by key, and lists of them.
 *
 * They are kept in a hash table; keys of a type that cannot be hashed in a
 * red-black tree in the order that every type with a btree operator class
 * has.  All memory is in the context in which the set was created.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct NodeEntry
{
	uint32		hash;
	char		status;
	ClosureNode *node;			/* also the key */
} NodeEntry;

#define SH_PREFIX nodehash
#define SH_ELEMENT_TYPE NodeEntry
#define SH_KEY_TYPE ClosureNode *
#define SH_KEY node
#define SH_HASH_KEY(tb, key) (key)->hash
#define SH_EQUAL(tb, a, b) \
	(closure_key_compare((Hierarchy *) (tb)->private_data, (a)->key, (b)->key) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* A node in the red-black tree. */
typedef struct TreeEntry
{
	RBTNode		rbt;
	ClosureNode *node;
} TreeEntry;

static int
compare_entries(const RBTNode *a, const RBTNode *b, void *arg)
{
	return closure_key_compare(arg, ((const TreeEntry *) a)->node->key,
							   ((const TreeEntry *) b)->node->key);
}

/* Only new nodes are inserted, so there is nothing to combine. */
static void
combine_entries(RBTNode *existing, const RBTNode *newdata, void *arg)
{
}

static RBTNode *
allocate_entry(void *arg)
{
	return palloc0(sizeof(TreeEntry));
}

ClosureNodes *
closure_nodes_create(Hierarchy *h)
{
	ClosureNodes *nodes = palloc0(sizeof(ClosureNodes));

	nodes->h = h;
	nodes->max = 64;
	nodes->all = palloc(nodes->max * sizeof(ClosureNode *));
	if (h->hashable)
		nodes->hash = nodehash_create(CurrentMemoryContext, 64, h);
	else
		nodes->tree = rbt_create(sizeof(TreeEntry), compare_entries,
								 combine_entries, allocate_entry, NULL, h);
	return nodes;
}

/* Room for a node with this key, which is not copied. */
static ClosureNode *
probe_node(ClosureNodes *nodes, const Datum *key, void *room)
{
	ClosureNode *probe = room;

	memcpy(probe->key, key, nodes->h->nkeys * sizeof(Datum));
	if (nodes->hash)
		probe->hash = closure_key_hash(nodes->h, key);
	return probe;
}

typedef union NodeRoom
{
	ClosureNode node;
	char		bytes[offsetof(ClosureNode, key) + CLOSURE_MAX_KEYS * sizeof(Datum)];
} NodeRoom;

/* The node of a key; NULL if there is none yet. */
ClosureNode *
closure_node_find(ClosureNodes *nodes, const Datum *key)
{
	NodeRoom	room;
	ClosureNode *probe = probe_node(nodes, key, &room);
	TreeEntry	tree_probe;
	TreeEntry  *found;

	if (nodes->hash)
	{
		NodeEntry  *entry = nodehash_lookup_hash(nodes->hash, probe,
												 probe->hash);

		return entry ? entry->node : NULL;
	}
	tree_probe.node = probe;
	found = (TreeEntry *) rbt_find(nodes->tree, (RBTNode *) &tree_probe);
	return found ? found->node : NULL;
}

/* The node of a key, which is copied if the node is new. */
ClosureNode *
closure_node(ClosureNodes *nodes, const Datum *key)
{
	NodeRoom	room;
	ClosureNode *probe = probe_node(nodes, key, &room);
	ClosureNode *node;
	ClosureNode **place;
	bool		isnew;

	if (nodes->hash)
	{
		bool		found;
		NodeEntry  *entry = nodehash_insert_hash(nodes->hash, probe,
												 probe->hash, &found);

		isnew = !found;
		place = &entry->node;
	}
	else
	{
		TreeEntry	tree_probe;
		TreeEntry  *entry;

		tree_probe.node = probe;
		entry = (TreeEntry *) rbt_insert(nodes->tree, (RBTNode *) &tree_probe,
										 &isnew);
		place = &entry->node;
	}
	if (!isnew)
		return *place;

	node = palloc0(offsetof(ClosureNode, key) +
				   nodes->h->nkeys * sizeof(Datum));
	node->hash = nodes->hash ? probe->hash : 0;
	closure_key_copy(nodes->h, key, node->key);
	*place = node;
	if (nodes->n == nodes->max)
	{
		nodes->max *= 2;
		nodes->all = repalloc_huge(nodes->all,
								   nodes->max * sizeof(ClosureNode *));
	}
	nodes->all[nodes->n++] = node;
	return node;
}

/* What a flush knows of a node. */
ClosureFate *
closure_fate(ClosureNode *node)
{
	if (node->fate == NULL)
		node->fate = palloc0(sizeof(ClosureFate));
	return node->fate;
}

/* Append to a list of nodes with depths. */
void
closure_link(ClosureLinks *links, ClosureNode *node, int depth)
{
	if (links->n == links->max)
	{
		links->max = Max(8, 2 * links->max);
		links->links = links->links ?
			repalloc_huge(links->links, links->max * sizeof(ClosureLink)) :
			palloc(links->max * sizeof(ClosureLink));
	}
	links->links[links->n].node = node;
	links->links[links->n].depth = depth;
	links->n++;
}

/* Append to a list of closure rows. */
void
closure_row(ClosureRows *rows, ClosureNode *ancestor, ClosureNode *descendant,
			int depth)
{
	if (rows->n == rows->max)
	{
		rows->max = Max(64, 2 * rows->max);
		rows->rows = rows->rows ?
			repalloc_huge(rows->rows, rows->max * sizeof(ClosureRow)) :
			palloc(rows->max * sizeof(ClosureRow));
	}
	rows->rows[rows->n].ancestor = ancestor;
	rows->rows[rows->n].descendant = descendant;
	rows->rows[rows->n].depth = depth;
	rows->n++;
}

static int
compare_nodes(const void *a, const void *b, void *arg)
{
	CHECK_FOR_INTERRUPTS();
	return closure_key_compare(arg, (*(ClosureNode *const *) a)->key,
							   (*(ClosureNode *const *) b)->key);
}

/* Give all nodes their place in the order of keys. */
void
closure_rank_nodes(ClosureNodes *nodes)
{
	ClosureNode **sorted;

	sorted = MemoryContextAllocHuge(CurrentMemoryContext,
									Max(nodes->n, 1) * sizeof(ClosureNode *));
	memcpy(sorted, nodes->all, nodes->n * sizeof(ClosureNode *));
	qsort_arg(sorted, nodes->n, sizeof(ClosureNode *), compare_nodes, nodes->h);
	for (int i = 0; i < nodes->n; i++)
		sorted[i]->rank = i;
	pfree(sorted);
}

/* "a -> b -> c": the keys of a List of ClosureNode. */
char *
closure_path_text(Hierarchy *h, List *path)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, path)
		appendStringInfo(&buf, "%s%s", lc == list_head(path) ? "" : " -> ",
						 closure_key_text(h, ((ClosureNode *) lfirst(lc))->key));
	return buf.data;
}
