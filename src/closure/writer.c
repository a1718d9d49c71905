/*
 * src/closure/writer.c
 *		Many new rows of a closure.
 *
 * Rows go straight to the heap, a page full at a time, and then to one index
 * after the other in that index's own order, which is what makes a large
 * statement fast: putting every row into every index as it comes touches a
 * different leaf page each time.  Memory is bounded: after so many rows the
 * indexes are brought up to date.
 *
 * That is right only for a closure as enable() has made it, which is looked
 * at every time: the columns are its own, nothing but the guard fires on it,
 * no index needs an expression or a condition.  Anything else that somebody
 * has put on the closure is honoured by going through SQL instead.
 *
 * Locks: RowExclusiveLock on the closure and its indexes, kept to the end of
 * the transaction.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Rows of one call of table_multi_insert(), as in COPY. */
#define HEAP_BATCH 1000

/* Rows after which the indexes are brought up to date. */
#define INDEX_BATCH (2 * 1000 * 1000)

/* A row in the heap that the indexes do not have yet. */
typedef struct WrittenRow
{
	uint64		order;			/* ranks of two nodes */
	ClosureNode *ancestor;
	ClosureNode *descendant;
	int			depth;
	ItemPointerData tid;
} WrittenRow;

#define ST_SORT sort_rows
#define ST_ELEMENT_TYPE WrittenRow
#define ST_COMPARE(a, b) ((a)->order < (b)->order ? -1 : (a)->order > (b)->order)
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

struct ClosureWriter
{
	Hierarchy  *h;
	Relation	rel;			/* NULL: by SQL */
	bool		indexes;		/* keep them up to date */
	int			nindexes;
	Relation   *index;
	IndexInfo **info;
	BulkInsertState bistate;
	int			options;		/* TABLE_INSERT_* */
	CommandId	cid;
	TupleDesc	desc;			/* a copy: each reference would be counted */
	TupleTableSlot **slots;
	int			nslots;			/* filled */
	int			maxslots;		/* made */
	WrittenRow *rows;
	int			n;
	int			max;
	ClosureRows pending;		/* by SQL */
	int64		total;
	MemoryContext context;		/* for one batch */
};

/*
 * Are the columns of the closure just ours?  They are known by their places:
 * ancestor's, descendant's, depth.
 */
static bool
has_our_columns(Relation rel, const Hierarchy *h)
{
	TupleDesc	desc = RelationGetDescr(rel);

	if (desc->natts != 2 * h->nkeys + 1)
		return false;
	for (int i = 0; i < 2 * h->nkeys; i++)
	{
		if (TupleDescAttr(desc, i)->atttypid != h->types[i % h->nkeys])
			return false;
	}
	return TupleDescAttr(desc, 2 * h->nkeys)->atttypid == INT4OID;
}

/* Is the table as enable() has made it, apart from more indexes? */
bool
closure_is_plain(Relation rel)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;
	TriggerDesc *triggers = rel->trigdesc;
	Oid			guard;

	if (rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relispartition || rel->rd_rules ||
		(constr && (constr->num_check > 0 || constr->num_defval > 0)))
		return false;
	if (triggers == NULL)
		return true;
	guard = closure_function("guard");
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		if (triggers->triggers[i].tgfoid != guard)
			return false;
	}
	return true;
}

/*
 * Has this subtransaction given the table its file?  Then rows may be frozen
 * as they are written, as by COPY FREEZE: nobody else sees the table before
 * they are right, and nobody if this is rolled back.  Index-only scans are as
 * fast at once as they are after a VACUUM.
 */
static bool
is_new(Relation rel)
{
	SubTransactionId subid = GetCurrentSubTransactionId();

	return rel->rd_createSubid == subid || PLINTH_NEW_FILE_SUBID(rel) == subid;
}

/* Open the indexes; false if one of them needs more than columns. */
static bool
open_indexes(ClosureWriter *writer)
{
	List	   *oids = RelationGetIndexList(writer->rel);
	ListCell   *lc;
	bool		plain = true;

	writer->index = palloc0(Max(list_length(oids), 1) * sizeof(Relation));
	writer->info = palloc0(Max(list_length(oids), 1) * sizeof(IndexInfo *));
	foreach(lc, oids)
	{
		Relation	index = index_open(lfirst_oid(lc), RowExclusiveLock);
		IndexInfo  *info = BuildIndexInfo(index);

		writer->index[writer->nindexes] = index;
		writer->info[writer->nindexes++] = info;
		if (info->ii_Expressions || info->ii_Predicate ||
			info->ii_ExclusionOps || !info->ii_ReadyForInserts ||
			(info->ii_Unique && !index->rd_index->indimmediate))
			plain = false;
	}
	list_free(oids);
	return plain;
}

/*
 * Begin to write rows.  Without indexes they must be built afterwards.
 * Memory is the caller's, who has called closure_enter() unless the writer
 * turns out to be direct.  If there are many rows, nodes have been ranked.
 */
ClosureWriter *
closure_writer_begin(Hierarchy *h, bool indexes)
{
	ClosureWriter *writer = palloc0(sizeof(ClosureWriter));

	writer->h = h;
	writer->indexes = indexes;
	writer->rel = table_open(h->closureid, RowExclusiveLock);
	if (!has_our_columns(writer->rel, h) || !closure_is_plain(writer->rel) ||
		(indexes && !open_indexes(writer)))
	{
		for (int i = 0; i < writer->nindexes; i++)
			index_close(writer->index[i], NoLock);
		table_close(writer->rel, NoLock);
		writer->rel = NULL;
		return writer;
	}
	writer->context = AllocSetContextCreate(CurrentMemoryContext,
											"plinth_closure writer",
											ALLOCSET_DEFAULT_SIZES);
	writer->slots = palloc0(HEAP_BATCH * sizeof(TupleTableSlot *));
	writer->cid = GetCurrentCommandId(true);
	writer->desc = CreateTupleDescCopy(RelationGetDescr(writer->rel));
	if (!indexes)
		writer->options = TABLE_INSERT_SKIP_FSM;
	if (!indexes && is_new(writer->rel))
		writer->options |= TABLE_INSERT_FROZEN;
	return writer;
}

/* The columns of a row. */
static void
fill_row(const Hierarchy *h, ClosureNode *ancestor, ClosureNode *descendant,
		 int depth, Datum *values)
{
	memcpy(values, ancestor->key, h->nkeys * sizeof(Datum));
	memcpy(values + h->nkeys, descendant->key, h->nkeys * sizeof(Datum));
	values[2 * h->nkeys] = Int32GetDatum(depth);
}

/* Do rows go straight to the heap?  Otherwise the caller runs as the owner. */
bool
closure_writer_is_direct(const ClosureWriter *writer)
{
	return writer->rel != NULL;
}

/* The buffered rows to the heap. */
static void
write_heap(ClosureWriter *writer)
{
	MemoryContext old;

	if (writer->nslots == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	if (writer->bistate == NULL && writer->nslots == HEAP_BATCH)
		writer->bistate = GetBulkInsertState();
	old = MemoryContextSwitchTo(writer->context);
	table_multi_insert(writer->rel, writer->slots, writer->nslots,
					   writer->cid, writer->options, writer->bistate);
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->context);
	if (writer->indexes)
	{
		for (int i = 0; i < writer->nslots; i++)
			writer->rows[writer->n - writer->nslots + i].tid =
				writer->slots[i]->tts_tid;
	}
	for (int i = 0; i < writer->nslots; i++)
		ExecClearTuple(writer->slots[i]);
	writer->nslots = 0;
}

/* Rows in the order of an index, as far as ranks can tell. */
static void
sort_for(ClosureWriter *writer, const IndexInfo *info)
{
	AttrNumber	first = info->ii_IndexAttrNumbers[0];
	bool		by_ancestor = first == 1;

	if (writer->n < 16 || (!by_ancestor && first != 1 + writer->h->nkeys))
		return;
	for (int i = 0; i < writer->n; i++)
	{
		WrittenRow *row = &writer->rows[i];

		row->order = by_ancestor ?
			((uint64) row->ancestor->rank << 32) | (uint32) row->descendant->rank :
			((uint64) row->descendant->rank << 32) | (uint32) row->depth;
	}
	sort_rows(writer->rows, writer->n);
}

/* The heap's new rows to all indexes. */
static void
write_indexes(ClosureWriter *writer)
{
	MemoryContext old = CurrentMemoryContext;

	write_heap(writer);
	for (int i = 0; i < writer->nindexes; i++)
	{
		IndexInfo  *info = writer->info[i];
		Relation	index = writer->index[i];

		sort_for(writer, info);
		MemoryContextSwitchTo(writer->context);
		for (int r = 0; r < writer->n; r++)
		{
			WrittenRow *row = &writer->rows[r];
			Datum		heap[2 * CLOSURE_MAX_KEYS + 1];
			Datum		values[INDEX_MAX_KEYS];
			bool		nulls[INDEX_MAX_KEYS] = {0};

			fill_row(writer->h, row->ancestor, row->descendant, row->depth,
					 heap);
			for (int k = 0; k < info->ii_NumIndexAttrs; k++)
				values[k] = heap[info->ii_IndexAttrNumbers[k] - 1];
			(void) index_insert(index, values, nulls, &row->tid, writer->rel,
								index->rd_index->indisunique ?
								UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
								false, info);
			if (r % HEAP_BATCH == HEAP_BATCH - 1)
			{
				CHECK_FOR_INTERRUPTS();
				MemoryContextReset(writer->context);
			}
		}
		MemoryContextReset(writer->context);
		MemoryContextSwitchTo(old);
	}
	writer->n = 0;
}

/* A row by SQL. */
static void
add_pending(ClosureWriter *writer, ClosureNode *ancestor,
			ClosureNode *descendant, int depth)
{
	closure_row(&writer->pending, ancestor, descendant, depth);
	if (writer->pending.n >= INDEX_BATCH)
	{
		closure_write_rows(writer->h, CQ_INSERT, &writer->pending);
		writer->pending.n = 0;
	}
}

/* One more row. */
void
closure_writer_add(ClosureWriter *writer, ClosureNode *ancestor,
				   ClosureNode *descendant, int depth)
{
	TupleTableSlot *slot;

	writer->total++;
	if (writer->rel == NULL)
	{
		add_pending(writer, ancestor, descendant, depth);
		return;
	}
	if (writer->nslots == writer->maxslots)
		writer->slots[writer->maxslots++] =
			MakeSingleTupleTableSlot(writer->desc,
									 table_slot_callbacks(writer->rel));
	slot = writer->slots[writer->nslots++];
	fill_row(writer->h, ancestor, descendant, depth, slot->tts_values);
	memset(slot->tts_isnull, 0, (2 * writer->h->nkeys + 1) * sizeof(bool));
	ExecStoreVirtualTuple(slot);

	if (writer->indexes)
	{
		if (writer->n == writer->max)
		{
			writer->max = Max(64, 2 * writer->max);
			writer->rows = writer->rows ?
				repalloc_huge(writer->rows, writer->max * sizeof(WrittenRow)) :
				palloc(writer->max * sizeof(WrittenRow));
		}
		writer->rows[writer->n].ancestor = ancestor;
		writer->rows[writer->n].descendant = descendant;
		writer->rows[writer->n].depth = depth;
		writer->n++;
	}
	if (writer->nslots == HEAP_BATCH)
		write_heap(writer);
	if (writer->n >= INDEX_BATCH)
		write_indexes(writer);
}

/* Write what is left, and give everything back.  Returns the number of rows. */
int64
closure_writer_end(ClosureWriter *writer)
{
	int64		total = writer->total;

	if (writer->rel == NULL)
	{
		closure_write_rows(writer->h, CQ_INSERT, &writer->pending);
		if (writer->pending.rows)
			pfree(writer->pending.rows);
	}
	else
	{
		write_heap(writer);
		if (writer->indexes)
			write_indexes(writer);
		if (writer->bistate)
			FreeBulkInsertState(writer->bistate);
		table_finish_bulk_insert(writer->rel, writer->options);
		for (int i = 0; i < writer->maxslots; i++)
			ExecDropSingleTupleTableSlot(writer->slots[i]);
		for (int i = 0; i < writer->nindexes; i++)
		{
			plinth_index_insert_cleanup(writer->index[i], writer->info[i]);
			index_close(writer->index[i], NoLock);
		}
		table_close(writer->rel, NoLock);
		if (writer->rows)
			pfree(writer->rows);
		pfree(writer->slots);
		MemoryContextDelete(writer->context);
	}
	pfree(writer);
	return total;
}
