/*
 * src/closure/closure.h
 *		What the files of plinth_closure share.  README.md tells the story.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_CLOSURE_H
#define PLINTH_CLOSURE_H

#include "kit/compat.h"

#include "access/genam.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "lib/rbtree.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/sortsupport.h"

#include "kit/catalog.h"
#include "kit/names.h"

/* Names that are part of the interface. */
#define CLOSURE_SCHEMA "plinth_closure"
#define CLOSURE_ROW_TRIGGER "plinth_closure"
#define CLOSURE_MOVE_TRIGGER "plinth_closure_move"
#define CLOSURE_FLUSH_TRIGGER "plinth_closure_flush"
#define CLOSURE_TRUNCATE_TRIGGER "plinth_closure_truncate"
#define CLOSURE_GUARD_TRIGGER "plinth_closure_guard"

#define CLOSURE_MAX_KEYS INDEX_MAX_KEYS

/* From how many keys on a query is planned for their number. */
#define CLOSURE_MANY_KEYS 1000

/* ----------
 * options.c: what the triggers say in their arguments
 * ----------
 */
typedef struct ClosureOptions
{
	char	   *closure;		/* schema-qualified, quoted name */
	List	   *key;			/* of char *: column names */
	List	   *parent;
	int			max_depth;
	int64		max_rows;		/* 0: no limit */
	bool		orphan_roots;	/* a missing parent makes a root */
	char	   *name;			/* what the functions' names begin with */
} ClosureOptions;

extern ClosureOptions *closure_options_parse(int nargs, char **args);
extern List *closure_options_args(const ClosureOptions *options);
extern bool closure_orphans_parse(const char *word);

/* ----------
 * hierarchy.c: a table, its closure and their queries, cached
 * ----------
 */

/* The queries of a hierarchy; $n are arrays of keys, see hierarchy.c. */
typedef enum ClosureQuery
{
	CQ_PARENT,					/* in the table */
	CQ_ANCESTORS,				/* of a set of nodes */
	CQ_DESCENDANTS,				/* of a set of nodes */
	CQ_CHILDREN,				/* in the table */
	CQ_DELETE,
	CQ_UPDATE,
	CQ_INSERT,
	CQ_LOCK_SHARE,
	CQ_LOCK_UPDATE,
	CQ_GONE,					/* closure nodes that are not in the table */
	CQ_COUNT,					/* closure rows, up to a limit */
	CQ_EMPTY,					/* has the table no rows? */
	CQ_NQUERIES
} ClosureQuery;

/* The questions that can be asked of a hierarchy, see body.c. */
typedef enum ClosureRead
{
	CR_DESCENDANTS,
	CR_ANCESTORS,
	CR_CHILDREN,
	CR_SIBLINGS,
	CR_LEAVES,
	CR_ROOTS,
	CR_ROOT,
	CR_PATH,
	CR_DEPTH,
	CR_HEIGHT,
	CR_SUBTREE_SIZE,
	CR_IS_ANCESTOR,
	CR_DISTANCE,
	CR_LCA,
	CR_NFUNCTIONS,				/* those above are functions beside the table */
	CR_EXISTS = CR_NFUNCTIONS,
	CR_NREADS
} ClosureRead;

typedef struct Hierarchy
{
	Oid			relid;			/* hash key: the table that was enabled */
	bool		valid;
	Oid			closureid;
	Oid			owner;			/* of the closure */
	ClosureOptions *options;
	int			nkeys;
	Oid			types[CLOSURE_MAX_KEYS];
	int16		typlen[CLOSURE_MAX_KEYS];
	bool		typbyval[CLOSURE_MAX_KEYS];
	char		typalign[CLOSURE_MAX_KEYS];
	Oid			arraytypes[CLOSURE_MAX_KEYS];
	Oid			collations[CLOSURE_MAX_KEYS];
	Oid			equal_op[CLOSURE_MAX_KEYS];
	FmgrInfo	equal[CLOSURE_MAX_KEYS];
	Oid			at_least;		/* >= of a key of one column, if there is */
	FmgrInfo	compare[CLOSURE_MAX_KEYS];
	FmgrInfo	hash[CLOSURE_MAX_KEYS];
	bool		hashable;		/* all of them */
	bool		textual[CLOSURE_MAX_KEYS];	/* sets of it go as text[] */
	bool		deferred_parent;	/* self key is INITIALLY DEFERRED */
	AttrNumber	key_att[CLOSURE_MAX_KEYS];	/* in the table */
	AttrNumber	parent_att[CLOSURE_MAX_KEYS];
	Oid			pair_index;		/* on ancestor and descendant, see probe.c */
	Oid			descendant_index;
	SPIPlanPtr	plans[CQ_NQUERIES][2];	/* for few keys, for many */
	SPIPlanPtr	reads[CR_NREADS];
	MemoryContext context;
} Hierarchy;

extern void closure_hierarchy_init(void);
extern Hierarchy *closure_hierarchy(Oid relid, int nargs, char **args);
extern Hierarchy *closure_table_hierarchy(Oid relid);
extern void closure_hierarchy_xact_end(void);
extern Hierarchy *closure_describe(Oid relid, ClosureOptions *options);
extern SPIPlanPtr closure_prepare(const char *text, int ntypes, Oid *types,
								  int options);
extern SPIPlanPtr closure_plan(Hierarchy *h, ClosureQuery query, int nkeys);
extern int	closure_plan_types(Hierarchy *h, ClosureQuery query, Oid *types);

extern int	closure_errtable(const Hierarchy *h);
extern char *closure_column(const Hierarchy *h, const char *side, int column);

/* Where the key and parent columns of one relation of a hierarchy are. */
typedef struct ClosureSource
{
	Oid			relid;			/* hash key: the root, or a partition */
	Oid			rootid;
	bool		valid;
	bool		armed;			/* has our statement triggers */
	int			nkeys;
	AttrNumber	key[CLOSURE_MAX_KEYS];
	AttrNumber	parent[CLOSURE_MAX_KEYS];
} ClosureSource;

extern Oid	closure_root(Oid relid);
extern Oid	closure_function(const char *name);
extern PlinthTrigger *closure_trigger(Oid relid, const char *function,
									  const char *name);
extern List *closure_triggers(Oid relid);
extern ClosureOptions *closure_table_options(Oid relid);

/* ----------
 * pending.c: touched nodes, as a flush gets them
 * ----------
 */
typedef struct ClosureTouched
{
	int			n;
	Datum	   *keys;			/* one after the other */
	bool		inserted;		/* all of them; then: */
	Datum	   *parents;		/* that they were inserted with, */
	bool	   *below;			/* if any */
} ClosureTouched;

/* ----------
 * keys.c: keys of a hierarchy and sets of them
 * ----------
 */
extern int	closure_key_compare(Hierarchy *h, const Datum *a, const Datum *b);
extern uint32 closure_key_hash(Hierarchy *h, const Datum *key);
extern void closure_key_copy(Hierarchy *h, const Datum *key, Datum *copy);
extern char *closure_key_text(Hierarchy *h, const Datum *key);
extern Datum closure_key_array(Hierarchy *h, int column, const Datum **keys,
							   int nkeys);

/* ----------
 * node.c: nodes, found by key, and lists of them
 * ----------
 */
typedef struct ClosureNode ClosureNode;

typedef struct ClosureLink
{
	ClosureNode *node;
	int			depth;
} ClosureLink;

typedef struct ClosureLinks
{
	ClosureLink *links;
	int			n;
	int			max;
} ClosureLinks;

/* What a flush knows of a node that its statement has touched, or its parent. */
typedef struct ClosureFate
{
	ClosureNode *old_parent;	/* in the closure */
	ClosureLinks ancestors;		/* in the closure, without itself */
	ClosureLinks descendants;	/* in the closure, with itself */
	ClosureLinks members;		/* of the fragment that it heads */
	ClosureLinks new_ancestors; /* of a head that was in the closure before */
	int			lock;			/* LOCK_* that its self row needs as a root */
} ClosureFate;

struct ClosureNode
{
	ClosureNode *parent;		/* in the table; NULL for a root */
	ClosureNode *fragment;		/* nearest changed ancestor or itself */
	ClosureFate *fate;			/* made when first asked for */
	uint32		hash;
	int			fragment_depth;
	int			rank;			/* place in the order of keys */
	int			mark;			/* depth + 1 while lists are compared */
	int			count;			/* of good rows, in a survey; depth if new */
	uint8		colour;			/* of the search for cycles */
	bool		touched;		/* the statement changed its row, or may have */
	bool		stated;			/* the table has been asked */
	bool		present;		/* in the table */
	bool		known;			/* in the closure */
	bool		changed;		/* its parent, or its existence */
	bool		have_ancestors;
	bool		have_descendants;
	Datum		key[FLEXIBLE_ARRAY_MEMBER];
};

typedef struct ClosureNodes
{
	Hierarchy  *h;
	struct nodehash_hash *hash; /* if the key can be hashed */
	RBTree	   *tree;			/* otherwise */
	ClosureNode **all;			/* in the order in which they were met */
	int			n;
	int			max;
} ClosureNodes;

/* One row of a closure that is to be, or should not be. */
typedef struct ClosureRow
{
	ClosureNode *ancestor;
	ClosureNode *descendant;
	int			depth;
} ClosureRow;

typedef struct ClosureRows
{
	ClosureRow *rows;
	int64		n;
	int64		max;
} ClosureRows;

/* The nodes that a condition holds for. */
#define CLOSURE_SELECT(nodes, set, n, condition) \
	do { \
		(n) = 0; \
		(set) = MemoryContextAllocHuge(CurrentMemoryContext, \
									   Max((nodes)->n, 1) * sizeof(ClosureNode *)); \
		for (int i_ = 0; i_ < (nodes)->n; i_++) \
		{ \
			ClosureNode *node = (nodes)->all[i_]; \
			if (condition) \
				(set)[(n)++] = node; \
		} \
	} while (0)

extern ClosureNodes *closure_nodes_create(Hierarchy *h);
extern ClosureNode *closure_node(ClosureNodes *nodes, const Datum *key);
extern ClosureNode *closure_node_find(ClosureNodes *nodes, const Datum *key);
extern ClosureFate *closure_fate(ClosureNode *node);
extern void closure_link(ClosureLinks *links, ClosureNode *node, int depth);
extern void closure_row(ClosureRows *rows, ClosureNode *ancestor,
						ClosureNode *descendant, int depth);
extern void closure_rank_nodes(ClosureNodes *nodes);
extern char *closure_path_text(Hierarchy *h, List *path);

/* ----------
 * query.c: the queries of a hierarchy, run
 * ----------
 */
extern void closure_enter(Hierarchy *h, PlinthIdentity *saved);
extern void closure_leave(const PlinthIdentity *saved);

typedef void (*ClosureReceive)(TupleTableSlot *slot, void *arg);

extern void closure_stream(SPIPlanPtr plan, Oid *types, Datum *values, int n,
						   Snapshot snapshot, ClosureReceive receive,
						   void *arg);
extern bool closure_slot_key(Hierarchy *h, TupleTableSlot *slot, int first,
							 Datum *key);
pg_noreturn extern void closure_twice(Hierarchy *h, ClosureNode *node);
extern void closure_read_parents(ClosureNodes *nodes, ClosureNode **set, int n);
extern void closure_read_links(ClosureNodes *nodes, ClosureQuery query,
							   ClosureNode **set, int n);
extern List *closure_read_gone(ClosureNodes *nodes);
extern int64 closure_read_count(Hierarchy *h);
extern bool closure_read_empty(Hierarchy *h);
extern uint64 closure_write(Hierarchy *h, ClosureQuery query,
							const Datum **first, const Datum **second,
							const int *depths, int n);
extern void closure_truncate(const char *closure);
extern void closure_write_rows(Hierarchy *h, ClosureQuery query,
							   ClosureRows *rows);

/* ----------
 * writer.c: many new rows
 * ----------
 */
typedef struct ClosureWriter ClosureWriter;

extern bool closure_is_plain(Relation rel);
extern ClosureWriter *closure_writer_begin(Hierarchy *h, bool indexes);
extern bool closure_writer_is_direct(const ClosureWriter *writer);
extern void closure_writer_add(ClosureWriter *writer, ClosureNode *ancestor,
							   ClosureNode *descendant, int depth);
extern int64 closure_writer_end(ClosureWriter *writer);

/* ----------
 * eraser.c: rows that have to go
 * ----------
 */
extern void closure_erase(Hierarchy *h, ClosureRows *rows);

/* ----------
 * change.c: which nodes have changed; plan.c: what has to be written
 * ----------
 */
enum
{
	LOCK_NONE,
	LOCK_SHARE,
	LOCK_UPDATE
};

typedef struct ClosurePlan
{
	Hierarchy  *h;
	const ClosureTouched *touched;
	bool		locks_only;		/* it will not be finished */
	bool		trusting;		/* that rows are as they were inserted */
	List	   *drawn_in;		/* of Datum *: more keys to look at */
	ClosureNodes *nodes;
	ClosureRows deletes;
	ClosureRows updates;
	ClosureRows inserts;		/* into trees that were there */
	List	   *arrivals;		/* of ClosureNode: new ones */
	List	   *roots;			/* of ClosureNode: to be locked */
	List	   *gaps;			/* of ClosureNode: missing parents, new keys */
	List	   *waiting;		/* of ClosureNode: their parents are missing */
} ClosurePlan;

extern void closure_note_inserts(ClosurePlan *plan);
extern bool closure_find_changes(ClosurePlan *plan);
extern void closure_find_roots(ClosurePlan *plan);
extern ClosureNode *closure_old_root(ClosureNode *node);
extern ClosurePlan *closure_plan_begin(Hierarchy *h,
									   const ClosureTouched *touched,
									   bool locks_only);
extern void closure_plan_finish(ClosurePlan *plan);
extern void closure_plan_write(ClosurePlan *plan);

/* ----------
 * probe.c: single keys, straight from an index
 * ----------
 */
extern void closure_probe_prepare(Hierarchy *h);
extern IndexScanDesc closure_probe_begin(Hierarchy *h, Relation rel,
										 Oid indexid, const Datum *key,
										 const Datum *second,
										 Snapshot snapshot);
extern void closure_probe_again(Hierarchy *h, IndexScanDesc scan,
								const Datum *key, const Datum *second);
extern void closure_probe_end(IndexScanDesc scan);

/* ----------
 * flush.c: the closure after a set of nodes was touched
 * ----------
 */
typedef bool (*ClosureAttempt)(void *arg);

extern bool closure_attempt(ClosureAttempt attempt, void *arg);
extern List *closure_flush(Hierarchy *h, const ClosureTouched *touched);

/* ----------
 * leaf.c: the same for one new leaf, quickly
 * ----------
 */
extern bool closure_flush_leaf(Hierarchy *h, const ClosureTouched *touched);

/* ----------
 * survey.c: the whole table in memory
 * ----------
 */
typedef struct ClosureSurvey
{
	ClosureNodes *nodes;		/* mark: depth below the root, plus one */
	List	   *cycles;			/* of List of ClosureNode: the way round */
	List	   *orphans;		/* of ClosureNode; fragment: the missing parent */
	int64		present;		/* nodes in the table */
	int64		rows;			/* of the closure */
	int			max_depth;
	ClosureNode *deepest;
} ClosureSurvey;

extern ClosureSurvey *closure_survey(Hierarchy *h, Snapshot snapshot);
extern void closure_survey_refuse(Hierarchy *h, const ClosureSurvey *survey);

/* ----------
 * target.c: which table and which columns a call is about
 * ----------
 */
extern Oid	closure_target(FunctionCallInfo fcinfo);
extern ClosureOptions *closure_target_options(FunctionCallInfo fcinfo);

/* ----------
 * enable.c, check.c
 * ----------
 */
extern void closure_make_statement_triggers(Oid relid, Oid root,
											const ClosureOptions *options);
extern void closure_watch_all_updates(Oid relid, const ClosureOptions *options);
extern int64 closure_repair(Oid relid);

/* A reading of whole tables with the rights of the caller. */
typedef struct ClosureInspection
{
	Snapshot	snapshot;
	int			guc_level;
} ClosureInspection;

extern void closure_inspection_begin(ClosureInspection *inspection);
extern void closure_inspection_end(ClosureInspection *inspection);

/* ----------
 * load.c: an empty closure
 * ----------
 */
extern void closure_load(Oid relid);

/* ----------
 * pending.c: the nodes that statements have touched, for the triggers in
 * collect.c
 * ----------
 */
typedef struct ClosurePending ClosurePending;

extern int	closure_writing;	/* are we writing the closure ourselves? */
extern bool closure_committing; /* is the transaction about to commit? */
extern ClosurePending *closure_pending(Oid relid, bool make);
extern bool closure_any_pending(void);
extern void closure_pending_add(ClosurePending *to, Hierarchy *h,
								const Datum *key, bool inserted,
								const Datum *parent);
extern void closure_pending_flush(ClosurePending *from, int nargs,
								  char **args);
pg_noreturn extern void closure_wrong_columns(Hierarchy *h);
extern void closure_pending_init(void);
extern void closure_collect_init(void);

/* ----------
 * body.c: what can be asked of a hierarchy, as SQL
 * ----------
 */
typedef enum ClosureResult
{
	CR_NODES,					/* rows of nodes */
	CR_NODES_DEPTH,				/* rows of nodes with a depth */
	CR_NODE,
	CR_ARRAY,					/* of nodes */
	CR_INTEGER,
	CR_BIGINT,
	CR_BOOLEAN
} ClosureResult;

typedef struct ClosureReading
{
	const char *name;
	const char *comment;
	const char *nodes[2];		/* what the nodes asked about are called */
	bool		limits;			/* min_depth and max_depth follow */
	ClosureResult result;
	const char *body;
	const char *orphans;		/* to be added if parents may be missing */

	/* where there is another form that has keys in arrays */
	bool		array_argument;
	ClosureResult array_result;
	const char *array_body;
} ClosureReading;

extern const ClosureReading closure_readings[CR_NREADS];

extern int	closure_read_nodes(ClosureRead read);
extern bool closure_keys_fit_arrays(const Hierarchy *h);
extern void closure_expand(StringInfo buf, Hierarchy *h, const char *text,
						   int nodes);
extern char *closure_read_body(Hierarchy *h, ClosureRead read, bool arrays);
extern SPIPlanPtr closure_read_plan(Hierarchy *h, ClosureRead read);

/* ----------
 * functions.c: the functions beside a table
 * ----------
 */
extern void closure_make_functions(Oid relid);
extern void closure_drop_functions(Oid relid, const ClosureOptions *options);
extern void closure_own_functions(Oid relid, const ClosureOptions *options);
extern void closure_attach(Oid relid, const ClosureOptions *options);
extern void closure_detach(Oid relid, Oid closureid);
extern bool closure_belongs_to(Oid closureid, Oid relid);
extern Oid	closure_own_closure(Oid relid, const ClosureOptions *options);

/* ----------
 * node_text.c: nodes as text
 * ----------
 */
typedef struct ClosureNodeText
{
	Hierarchy  *h;
	TupleDesc	desc;			/* of a key of several columns */
	FmgrInfo	input;
	FmgrInfo	output;
	Oid			ioparam;
	int32		typmod;
} ClosureNodeText;

extern ClosureNodeText *closure_node_text(Hierarchy *h);
extern Datum *closure_node_in(ClosureNodeText *text, char *string);
extern char *closure_node_out(ClosureNodeText *text, const Datum *key);
extern char *closure_node_column(ClosureNodeText *text, HeapTuple row,
								 TupleDesc desc, int column);

/* ----------
 * read.c: the generic functions
 * ----------
 */
typedef void (*ClosureRowFunction)(HeapTuple row, TupleDesc desc, void *arg);

extern uint64 closure_each_row(SPIPlanPtr plan, Datum *values,
							   const char *nulls, ClosureRowFunction function,
							   void *arg);
extern Hierarchy *closure_read_target(FunctionCallInfo fcinfo);
extern void closure_require_node(Hierarchy *h, Datum *node);

#endif							/* PLINTH_CLOSURE_H */
