/*
 * src/closure/query.c
 *		The queries of a hierarchy, run.
 *
 * Reads see what is committed now and what this transaction has done, at
 * every isolation level: what other transactions have done to the hierarchy
 * since decides what is right.  But a transaction with a snapshot of its own
 * (REPEATABLE READ, SERIALIZABLE) promised its user another picture, so where
 * the two differ in what is read here, it fails with 40001 and can be tried
 * again.  The read through its own snapshot also lets SERIALIZABLE see it.
 *
 * Rows are received one by one as the executor finds them; nothing is held.
 *
 * The caller has called closure_enter().
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* How many rows one statement writes: their keys are parameters. */
#define WRITE_BATCH 100000

/*
 * Connect to SPI, and run as the closure's owner and without row-level
 * security, as foreign keys do: the writer of the table needs no right on the
 * closure.  The memory context stays the caller's.  An error undoes both.
 */
void
closure_enter(Hierarchy *h, PlinthIdentity *saved)
{
	plinth_spi_begin();
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	SetUserIdAndSecContext(h->owner,
						   saved->sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
}

void
closure_leave(const PlinthIdentity *saved)
{
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
	plinth_spi_end();
}

typedef struct StreamReceiver
{
	DestReceiver pub;
	MemoryContext context;		/* of the caller of closure_stream() */
	ClosureReceive receive;
	void	   *arg;
} StreamReceiver;

/*
 * A plan for few keys must look them up one by one, however small the closure
 * was when it was made: it will be used when the closure is large.  Returns
 * the level for AtEOXact_GUC().
 */
static int
plan_by_index(void)
{
	static const char *const names[] = {"enable_seqscan", "enable_hashjoin",
	"enable_mergejoin"};
	int			level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(names); i++)
		plinth_set_for_now(names[i], "off");
	return level;
}

static void
stream_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static bool
stream_slot(TupleTableSlot *slot, DestReceiver *self)
{
	StreamReceiver *receiver = (StreamReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	receiver->receive(slot, receiver->arg);
	MemoryContextSwitchTo(old);
	return true;
}

static void
stream_nothing(DestReceiver *self)
{
}

/*
 * Run a plan that only reads, through one snapshot; its rows go to a function
 * that runs in the caller's memory context.
 */
void
closure_stream(SPIPlanPtr plan, Oid *types, Datum *values, int n,
			   Snapshot snapshot, ClosureReceive receive, void *arg)
{
	StreamReceiver receiver = {0};
	SPIExecuteOptions options = {0};
	MemoryContext context = CurrentMemoryContext;
	int			rc;

	receiver.pub.receiveSlot = stream_slot;
	receiver.pub.rStartup = stream_startup;
	receiver.pub.rShutdown = stream_nothing;
	receiver.pub.rDestroy = stream_nothing;
	receiver.pub.mydest = DestNone;
	receiver.context = context;
	receiver.receive = receive;
	receiver.arg = arg;
	options.read_only = true;
	options.dest = (DestReceiver *) &receiver;
	if (n > 0)
	{
		options.params = makeParamList(n);
		for (int i = 0; i < n; i++)
		{
			options.params->params[i].value = values[i];
			options.params->params[i].isnull = false;
			options.params->params[i].pflags = PARAM_FLAG_CONST;
			options.params->params[i].ptype = types[i];
		}
	}
	PushActiveSnapshot(snapshot);
	rc = SPI_execute_plan_extended(plan, &options);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s",
			 SPI_result_code_string(rc));
	PopActiveSnapshot();
	MemoryContextSwitchTo(context);
}

/* A number that two results share only if they have the same rows. */
static void
add_to_fingerprint(TupleTableSlot *slot, void *arg)
{
	uint64	   *sum = arg;
	uint64		row = 1;

	slot_getallattrs(slot);
	for (int i = 0; i < slot->tts_nvalid; i++)
	{
		Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, i);

		row = hash_combine64(row, slot->tts_isnull[i] ? 0 :
							 hash_bytes_uint32_extended(datum_image_hash(slot->tts_values[i],
																		 att->attbyval,
																		 att->attlen),
														i + 1));
	}
	*sum += row;
}

/* One read, and what its receiver needs. */
typedef struct Reading
{
	ClosureNodes *nodes;
	ClosureQuery query;
	ClosureNode **set;			/* what was asked about, by ordinality */
	List	   *gone;
	int64		count;
	uint64		fingerprint;
	ClosureReceive receive;
} Reading;

static void
receive_and_sum(TupleTableSlot *slot, void *arg)
{
	Reading    *reading = arg;

	add_to_fingerprint(slot, &reading->fingerprint);
	reading->receive(slot, reading);
}

/* Run a query that only reads. */
static void
run_read(Reading *reading, Datum *values, int nkeys)
{
	Hierarchy  *h = reading->nodes->h;
	SPIPlanPtr	plan = closure_plan(h, reading->query, nkeys);
	Oid			types[2 * CLOSURE_MAX_KEYS + 1];
	int			n = closure_plan_types(h, reading->query, types);
	Snapshot	snapshot;
	uint64		own = 0;
	int			level = 0;

	CHECK_FOR_INTERRUPTS();
	CommandCounterIncrement();
	if (nkeys > 0 && nkeys < CLOSURE_MANY_KEYS)
		level = plan_by_index();
	if (!IsolationUsesXactSnapshot() || reading->query == CQ_COUNT)
	{
		/* a count that has changed is nobody's conflict */
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		closure_stream(plan, types, values, n, snapshot, reading->receive,
					   reading);
		UnregisterSnapshot(snapshot);
	}
	else
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		UpdateActiveSnapshotCommandId();
		closure_stream(plan, types, values, n, GetActiveSnapshot(),
					   add_to_fingerprint, &own);
		PopActiveSnapshot();
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		closure_stream(plan, types, values, n, snapshot, receive_and_sum,
					   reading);
		UnregisterSnapshot(snapshot);
	}
	if (level > 0)
		AtEOXact_GUC(false, level);
	if (reading->fingerprint != own)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent change of hierarchy \"%s\"",
						get_rel_name(h->relid))));
}

/* The keys of nodes as parameters of a query. */
static void
key_params(Hierarchy *h, const Datum **keys, int n, Datum *values)
{
	for (int i = 0; i < h->nkeys; i++)
		values[i] = closure_key_array(h, i, keys, n);
}

static const Datum **
keys_of(ClosureNode **set, int n)
{
	const Datum **keys = MemoryContextAllocHuge(CurrentMemoryContext,
												Max(n, 1) * sizeof(Datum *));

	for (int i = 0; i < n; i++)
		keys[i] = set[i]->key;
	return keys;
}

/* A key out of a result; false if one of its columns is null. */
bool
closure_slot_key(Hierarchy *h, TupleTableSlot *slot, int first, Datum *key)
{
	for (int i = 0; i < h->nkeys; i++)
	{
		bool		isnull;

		key[i] = slot_getattr(slot, first + i, &isnull);
		if (isnull)
			return false;
	}
	return true;
}

/* A deferred unique constraint may allow that until commit; we cannot. */
void
closure_twice(Hierarchy *h, ClosureNode *node)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("hierarchy \"%s\" has two rows with the key %s",
					get_rel_name(h->relid), closure_key_text(h, node->key)),
			 closure_errtable(h)));
}

static void
receive_parent(TupleTableSlot *slot, void *arg)
{
	Reading    *reading = arg;
	Hierarchy  *h = reading->nodes->h;
	bool		isnull;
	ClosureNode *node = reading->set[DatumGetInt64(slot_getattr(slot, 1, &isnull)) - 1];
	Datum		key[CLOSURE_MAX_KEYS];

	if (node->present)
		closure_twice(h, node);
	node->present = true;
	node->parent = closure_slot_key(h, slot, 2, key) ?
		closure_node(reading->nodes, key) : NULL;
}

/* Which of these nodes are in the table, and below which parents? */
void
closure_read_parents(ClosureNodes *nodes, ClosureNode **set, int n)
{
	Reading		reading = {.nodes = nodes, .query = CQ_PARENT, .set = set,
	.receive = receive_parent};
	Datum		values[CLOSURE_MAX_KEYS];

	if (n == 0)
		return;
	key_params(nodes->h, keys_of(set, n), n, values);
	for (int i = 0; i < n; i++)
	{
		set[i]->stated = true;
		set[i]->present = false;
		set[i]->parent = NULL;
	}
	run_read(&reading, values, n);
}

static void
receive_link(TupleTableSlot *slot, void *arg)
{
	Reading    *reading = arg;
	bool		isnull;
	ClosureNode *node = reading->set[DatumGetInt64(slot_getattr(slot, 1, &isnull)) - 1];
	int			depth = DatumGetInt32(slot_getattr(slot, 2, &isnull));
	Datum		key[CLOSURE_MAX_KEYS];
	ClosureNode *other;

	if (!closure_slot_key(reading->nodes->h, slot, 3, key))
		return;
	other = closure_node(reading->nodes, key);
	if (reading->query == CQ_CHILDREN)
	{
		other->touched = true;
		return;
	}
	other->known = true;
	if (reading->query == CQ_DESCENDANTS)
		closure_link(&closure_fate(node)->descendants, other, depth);
	else if (depth > 0)
		closure_link(&closure_fate(node)->ancestors, other, depth);
	if (reading->query == CQ_ANCESTORS && depth == 1)
		node->fate->old_parent = other;
}

/* Ancestors, descendants or children of these nodes, into their lists. */
void
closure_read_links(ClosureNodes *nodes, ClosureQuery query, ClosureNode **set,
				   int n)
{
	Reading		reading = {.nodes = nodes, .query = query, .set = set,
	.receive = receive_link};
	Datum		values[CLOSURE_MAX_KEYS];

	if (n == 0)
		return;
	key_params(nodes->h, keys_of(set, n), n, values);
	run_read(&reading, values, n);
	for (int i = 0; i < n; i++)
	{
		(void) closure_fate(set[i]);
		if (query == CQ_ANCESTORS)
			set[i]->have_ancestors = true;
		else if (query == CQ_DESCENDANTS)
			set[i]->have_descendants = true;
	}
}

static void
receive_gone(TupleTableSlot *slot, void *arg)
{
	Reading    *reading = arg;
	Datum		key[CLOSURE_MAX_KEYS];

	if (closure_slot_key(reading->nodes->h, slot, 1, key))
		reading->gone = lappend(reading->gone,
								closure_node(reading->nodes, key));
}

/* Nodes of the closure that the table has no more: a List of ClosureNode. */
List *
closure_read_gone(ClosureNodes *nodes)
{
	Reading		reading = {.nodes = nodes, .query = CQ_GONE,
	.receive = receive_gone};

	run_read(&reading, NULL, 0);
	return reading.gone;
}

static void
receive_count(TupleTableSlot *slot, void *arg)
{
	Reading    *reading = arg;
	bool		isnull;

	reading->count = DatumGetInt64(slot_getattr(slot, 1, &isnull));
}

/* How many rows has the closure, as far as max_rows needs to know? */
int64
closure_read_count(Hierarchy *h)
{
	ClosureNodes nodes = {.h = h};
	Reading		reading = {.nodes = &nodes, .query = CQ_COUNT,
	.receive = receive_count};

	run_read(&reading, NULL, 0);
	return reading.count;
}

/* Has the table no rows? */
bool
closure_read_empty(Hierarchy *h)
{
	ClosureNodes nodes = {.h = h};
	Reading		reading = {.nodes = &nodes, .query = CQ_EMPTY,
	.receive = receive_count};

	run_read(&reading, NULL, 0);
	return reading.count == 0;
}

/*
 * Run a query that writes, or takes row locks: the first keys, the second
 * ones (or NULL) and depths (or NULL) are its parameters.  Returns the number
 * of rows.  A transaction with a snapshot of its own fails here with 40001 if
 * a row was changed since.
 */
uint64
closure_write(Hierarchy *h, ClosureQuery query, const Datum **first,
			  const Datum **second, const int *depths, int n)
{
	Datum		values[2 * CLOSURE_MAX_KEYS + 1];
	int			nvalues = 0;
	int			rc;
	volatile int level = 0;
	MemoryContext context = CurrentMemoryContext;

	if (n == 0)
		return 0;
	key_params(h, first, n, values);
	nvalues += h->nkeys;
	if (second)
	{
		key_params(h, second, n, values + nvalues);
		nvalues += h->nkeys;
	}
	if (depths)
	{
		Datum	   *elems = palloc(n * sizeof(Datum));

		for (int i = 0; i < n; i++)
			elems[i] = Int32GetDatum(depths[i]);
		values[nvalues++] =
			PointerGetDatum(construct_array(elems, n, INT4OID, sizeof(int32),
											true, TYPALIGN_INT));
		pfree(elems);
	}

	if (n < CLOSURE_MANY_KEYS)
		level = plan_by_index();
	closure_writing++;
	PG_TRY();
	{
		rc = SPI_execute_plan(closure_plan(h, query, n), values, NULL, false, 0);
		if (rc < 0)
			elog(ERROR, "SPI_execute_plan failed: %s",
				 SPI_result_code_string(rc));
	}
	PG_FINALLY();
	{
		closure_writing--;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (level > 0)
		AtEOXact_GUC(false, level);
	return SPI_processed;
}

/* Empty a closure, whatever its guard says. */
void
closure_truncate(const char *closure)
{
	closure_writing++;
	PG_TRY();
	{
		plinth_sql("TRUNCATE %s", closure);
	}
	PG_FINALLY();
	{
		closure_writing--;
	}
	PG_END_TRY();
}

/* Delete, update or insert the rows of a list. */
void
closure_write_rows(Hierarchy *h, ClosureQuery query, ClosureRows *rows)
{
	MemoryContext batch;
	MemoryContext old;

	if (rows->n == 0)
		return;
	batch = AllocSetContextCreate(CurrentMemoryContext,
								  "plinth_closure batch",
								  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(batch);
	for (int64 done = 0; done < rows->n; done += WRITE_BATCH)
	{
		int			n = Min(rows->n - done, WRITE_BATCH);
		const Datum **first = palloc(n * sizeof(Datum *));
		const Datum **second = palloc(n * sizeof(Datum *));
		int		   *depths = palloc(n * sizeof(int));

		for (int i = 0; i < n; i++)
		{
			first[i] = rows->rows[done + i].ancestor->key;
			second[i] = rows->rows[done + i].descendant->key;
			depths[i] = rows->rows[done + i].depth;
		}
		(void) closure_write(h, query, first, second,
							 query == CQ_DELETE ? NULL : depths, n);
		MemoryContextSwitchTo(batch);
		MemoryContextReset(batch);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(batch);
}
