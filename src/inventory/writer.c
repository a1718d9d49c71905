/*
 * src/inventory/writer.c
 *		Rows of reservations and movements.
 *
 * A claim writes one row, and that row is most of what it costs: it goes
 * straight to the heap and its B-trees.  That is right only for tables as
 * enable() has made them, which is looked at whenever the catalogs say that
 * something has changed: columns of ours, nothing but the guard fires on
 * INSERT, no index needs more than columns and IS [NOT] NULL.  Anything else
 * that their owner has put on them is honoured by an INSERT through SQL.
 *
 * Locks: RowExclusiveLock on table and indexes, kept to the end of the
 * transaction.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/xid8.h"

#include "kit/sequence.h"

/* Is it a test of a column for null?  If so, remember it. */
static bool
add_test(DirectIndex *index, Node *node)
{
	NullTest   *test = (NullTest *) node;

	if (!IsA(node, NullTest) || !IsA(test->arg, Var) || test->argisrow ||
		index->ntests == MAX_TESTS)
		return false;
	index->test_att[index->ntests] = ((Var *) test->arg)->varattno;
	index->test_null[index->ntests++] = test->nulltesttype == IS_NULL;
	return true;
}

/* Describe an index; false if it needs more than we can do. */
bool
inventory_describe_index(Relation index, DirectIndex *result)
{
	Form_pg_index form = index->rd_index;
	ListCell   *lc;

	memset(result, 0, sizeof(DirectIndex));
	result->indexid = RelationGetRelid(index);
	result->natts = form->indnatts;
	result->unique = form->indisunique;
	for (int i = 0; i < form->indnatts; i++)
		result->att[i] = form->indkey.values[i];
	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisready ||
		form->indisexclusion || (form->indisunique && !form->indimmediate) ||
		RelationGetIndexExpressions(index) != NIL)
		return false;
	foreach(lc, RelationGetIndexPredicate(index))
	{
		Node	   *clause = lfirst(lc);

		if (is_andclause(clause))
		{
			ListCell   *la;

			foreach(la, ((BoolExpr *) clause)->args)
			{
				if (!add_test(result, lfirst(la)))
					return false;
			}
		}
		else if (!add_test(result, clause))
			return false;
	}
	return true;
}

/* Does anything but our guard fire when a row is inserted, or ask for more? */
static bool
is_plain(Relation rel, int natts)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TupleConstr *constr = desc->constr;
	Oid			guard = inventory_function("guard");

	if (rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relispartition || rel->rd_rules || desc->natts != natts ||
		(constr && (constr->num_check > 0 || constr->has_generated_stored)))
		return false;
	for (int i = 0; i < natts; i++)
	{
		/* a domain may have constraints, old ones too */
		if (TupleDescAttr(desc, i)->attisdropped ||
			get_typtype(TupleDescAttr(desc, i)->atttypid) == TYPTYPE_DOMAIN)
			return false;
	}
	if (rel->trigdesc)
	{
		for (int i = 0; i < rel->trigdesc->numtriggers; i++)
		{
			Trigger    *trigger = &rel->trigdesc->triggers[i];

			if (TRIGGER_FOR_INSERT(trigger->tgtype) && trigger->tgfoid != guard)
				return false;
		}
	}
	return true;
}

/* See how rows get into reservations and movements; into the current context. */
void
inventory_writer_prepare(Inventory *inv)
{
	static const int counts[] = {R_NCOLUMNS, M_NCOLUMNS};

	for (int c = 0; c < 2; c++)
	{
		Relation	rel = table_open(inv->companion[c], AccessShareLock);
		List	   *indexes = RelationGetIndexList(rel);
		ListCell   *lc;

		inv->direct[c] = is_plain(rel, counts[c] - (inv->nkeys == 1 ? 1 : 0));
		inv->indexes[c] = palloc(Max(list_length(indexes), 1) * sizeof(DirectIndex));
		inv->nindexes[c] = 0;
		foreach(lc, indexes)
		{
			Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

			if (!inventory_describe_index(index, &inv->indexes[c][inv->nindexes[c]++]))
				inv->direct[c] = false;
			index_close(index, NoLock);
		}
		list_free(indexes);
		table_close(rel, NoLock);
	}
}

/* One row into heap and indexes. */
static void
insert_directly(Inventory *inv, Companion companion, Datum *values, bool *nulls)
{
	Relation	rel = table_open(inv->companion[companion], RowExclusiveLock);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													table_slot_callbacks(rel));

	memcpy(slot->tts_values, values, RelationGetDescr(rel)->natts * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, RelationGetDescr(rel)->natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(rel);
	table_tuple_insert(rel, slot, GetCurrentCommandId(true), 0, NULL);

	for (int i = 0; i < inv->nindexes[companion]; i++)
	{
		DirectIndex *direct = &inv->indexes[companion][i];
		Datum		index_values[INDEX_MAX_KEYS];
		bool		index_nulls[INDEX_MAX_KEYS];
		Relation	index;
		bool		wanted = true;

		for (int t = 0; t < direct->ntests; t++)
		{
			if (nulls[direct->test_att[t] - 1] != direct->test_null[t])
				wanted = false;
		}
		if (!wanted)
			continue;
		for (int a = 0; a < direct->natts; a++)
		{
			index_values[a] = values[direct->att[a] - 1];
			index_nulls[a] = nulls[direct->att[a] - 1];
		}
		index = index_open(direct->indexid, RowExclusiveLock);
		(void) index_insert(index, index_values, index_nulls, &slot->tts_tid,
							rel, direct->unique ? UNIQUE_CHECK_YES :
							UNIQUE_CHECK_NO, false, NULL);
		index_close(index, NoLock);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* One row through SQL. */
static void
insert_by_sql(Inventory *inv, InventoryStatement statement, int natts,
			  Datum *values, const bool *nulls)
{
	char		flags[INVENTORY_MAX_COLUMNS + 1];

	for (int i = 0; i < natts; i++)
		flags[i] = nulls[i] ? 'n' : ' ';
	flags[natts] = '\0';
	(void) inventory_run(inv, statement, values, flags);
}

static void
insert_row(Inventory *inv, Companion companion, InventoryStatement statement,
		   int natts, Datum *values, bool *nulls)
{
	if (inv->direct[companion])
		insert_directly(inv, companion, values, nulls);
	else
		insert_by_sql(inv, statement, natts, values, nulls);
}

/* Set a column by its name in inventory.h. */
#define SET(companion, column, value) \
	do { \
		AttrNumber	att_ = inventory_column(inv, companion, column); \
		values[att_ - 1] = (value); \
		nulls[att_ - 1] = false; \
	} while (0)

/*
 * Write a reservation: the event of units being reserved.  23505 if its key
 * and line are there.
 */
void
inventory_write_reservation(Inventory *inv, const ReservationRow *row)
{
	Datum		values[R_NCOLUMNS];
	bool		nulls[R_NCOLUMNS];

	memset(nulls, true, sizeof(nulls));
	memset(values, 0, sizeof(values));
	SET(RESERVATION, R_KEY, UUIDPGetDatum(&row->key));
	SET(RESERVATION, R_LINE, Int32GetDatum(row->line));
	for (int i = 0; i < inv->nkeys; i++)
		SET(RESERVATION, R_SKU + i, row->stock.value[i]);
	SET(RESERVATION, R_QUANTITY, Int32GetDatum(row->quantity));
	SET(RESERVATION, R_CONFIRMED, Int32GetDatum(0));
	SET(RESERVATION, R_RELEASED, Int32GetDatum(0));
	if (row->owner)
		SET(RESERVATION, R_OWNER, CStringGetTextDatum(row->owner));
	SET(RESERVATION, R_CREATED_AT, TimestampTzGetDatum(GetCurrentTimestamp()));
	if (row->expires_at != CELL_NEVER_DUE)
		SET(RESERVATION, R_EXPIRES_AT, TimestampTzGetDatum(row->expires_at));
	if (row->generation != 0)
		SET(RESERVATION, R_GENERATION, Int64GetDatum(row->generation));
	SET(RESERVATION, R_XID,
		FullTransactionIdGetDatum(GetTopFullTransactionId()));
	SET(RESERVATION, R_REQUEST, Int64GetDatum(row->request));
	insert_row(inv, RESERVATION, ST_INSERT_RESERVATION,
			   R_NCOLUMNS - (inv->nkeys == 1 ? 1 : 0), values, nulls);
}

/* A movement of a kind that changes nothing yet. */
MovementRow
inventory_movement(const StockKey *stock, const char *kind)
{
	MovementRow row = {0};

	row.stock = *stock;
	row.kind = kind;
	return row;
}

/* Write a movement: any other event. */
void
inventory_write_movement(Inventory *inv, const MovementRow *row)
{
	Datum		values[M_NCOLUMNS];
	bool		nulls[M_NCOLUMNS];
	int64		increment;

	memset(nulls, true, sizeof(nulls));
	memset(values, 0, sizeof(values));
	SET(MOVEMENT, M_ID,
		Int64GetDatum(plinth_sequence_take(inv->movement_sequence, 1,
										   &increment)));
	SET(MOVEMENT, M_AT, TimestampTzGetDatum(GetCurrentTimestamp()));
	for (int i = 0; i < inv->nkeys; i++)
		SET(MOVEMENT, M_SKU + i, row->stock.value[i]);
	SET(MOVEMENT, M_QUANTITY, Int64GetDatum(row->quantity));
	SET(MOVEMENT, M_RESERVED, Int64GetDatum(row->reserved));
	SET(MOVEMENT, M_KIND, CStringGetTextDatum(row->kind));
	if (row->reason)
		SET(MOVEMENT, M_REASON, CStringGetTextDatum(row->reason));
	if (row->key)
	{
		SET(MOVEMENT, M_KEY, UUIDPGetDatum(row->key));
		SET(MOVEMENT, M_LINE, Int32GetDatum(row->line));
	}
	if (row->generation != 0)
		SET(MOVEMENT, M_GENERATION, Int64GetDatum(row->generation));
	SET(MOVEMENT, M_XID,
		FullTransactionIdGetDatum(GetTopFullTransactionId()));
	insert_row(inv, MOVEMENT, ST_INSERT_MOVEMENT,
			   M_NCOLUMNS - (inv->nkeys == 1 ? 1 : 0), values, nulls);
}
