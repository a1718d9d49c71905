/*
 * src/closure/read.c
 *		The generic functions: the questions of body.c to any hierarchy, with
 *		nodes as text.
 *
 * They run as their caller and read through his snapshot, so rights, row-level
 * security and isolation are those of a query that he writes himself, and they
 * work on a standby.  Other than that query, they tell a node that does not
 * exist from one of which there is nothing to say: if no answer comes, the
 * nodes are looked for.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_closure_descendants);
PLINTH_FUNCTION(plinth_closure_ancestors);
PLINTH_FUNCTION(plinth_closure_children);
PLINTH_FUNCTION(plinth_closure_siblings);
PLINTH_FUNCTION(plinth_closure_leaves);
PLINTH_FUNCTION(plinth_closure_roots);
PLINTH_FUNCTION(plinth_closure_root);
PLINTH_FUNCTION(plinth_closure_path);
PLINTH_FUNCTION(plinth_closure_depth);
PLINTH_FUNCTION(plinth_closure_height);
PLINTH_FUNCTION(plinth_closure_subtree_size);
PLINTH_FUNCTION(plinth_closure_is_ancestor);
PLINTH_FUNCTION(plinth_closure_distance);
PLINTH_FUNCTION(plinth_closure_lca);

/* How many rows are held at a time. */
#define BATCH 1000

/* A question, and where its answer goes. */
typedef struct Question
{
	Hierarchy  *h;
	ClosureNodeText *text;
	MemoryContext context;		/* the caller's */
	Datum	   *nodes[2];
	int			nnodes;
	ReturnSetInfo *rows;		/* of functions that return rows */
	ArrayBuildState *array;		/* of text */
	Datum	   *node;
	int64		number;
} Question;

/*
 * Run a plan as a read-only query and hand its rows to a function, in a memory
 * context that is emptied now and then.  The caller is connected to SPI.
 */
uint64
closure_each_row(SPIPlanPtr plan, Datum *values, const char *nulls,
				 ClosureRowFunction function, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "plinth_closure rows",
												  ALLOCSET_DEFAULT_SIZES);
	Portal		portal = SPI_cursor_open(NULL, plan, values, nulls, true);
	uint64		n = 0;

	if (portal == NULL)
		elog(ERROR, "SPI_cursor_open failed: %s",
			 SPI_result_code_string(SPI_result));
	for (;;)
	{
		MemoryContext old;

		SPI_cursor_fetch(portal, true, BATCH);
		if (SPI_processed == 0)
			break;
		old = MemoryContextSwitchTo(context);
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			CHECK_FOR_INTERRUPTS();
			function(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, arg);
		}
		MemoryContextSwitchTo(old);
		n += SPI_processed;
		SPI_freetuptable(SPI_tuptable);
		MemoryContextReset(context);
	}
	SPI_freetuptable(SPI_tuptable);
	SPI_cursor_close(portal);
	MemoryContextDelete(context);
	return n;
}

/* The hierarchy that a call is about, its first argument. */
Hierarchy *
closure_read_target(FunctionCallInfo fcinfo)
{
	return closure_table_hierarchy(plinth_target(fcinfo, 0));
}

static void
null_node(Hierarchy *h)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("a node of hierarchy \"%s\" must not be null",
					get_rel_name(h->relid)),
			 closure_errtable(h)));
}

/* Begin with the target and nodes among the arguments. */
static Question *
begin(FunctionCallInfo fcinfo, int nnodes)
{
	Question   *question = palloc0(sizeof(Question));

	question->h = closure_read_target(fcinfo);
	question->text = closure_node_text(question->h);
	question->context = CurrentMemoryContext;
	question->nnodes = nnodes;
	for (int i = 0; i < nnodes; i++)
	{
		if (PG_ARGISNULL(1 + i))
			null_node(question->h);
		question->nodes[i] =
			closure_node_in(question->text,
							text_to_cstring(PG_GETARG_TEXT_PP(1 + i)));
	}
	return question;
}

static void
ignore_row(HeapTuple row, TupleDesc desc, void *arg)
{
}

/* P0002 if there is no such node; the caller is connected to SPI. */
void
closure_require_node(Hierarchy *h, Datum *node)
{
	if (closure_each_row(closure_read_plan(h, CR_EXISTS), node, NULL,
						 ignore_row, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("node %s of hierarchy \"%s\" does not exist",
						closure_key_text(h, node), get_rel_name(h->relid)),
				 closure_errtable(h)));
}

/*
 * Ask, and hand the rows of the answer to a function.  If there are none, all
 * nodes must exist.
 */
static bool
ask(Question *question, ClosureRead read, const NullableDatum *limits,
	ClosureRowFunction function)
{
	Hierarchy  *h = question->h;
	Datum		values[2 * CLOSURE_MAX_KEYS + 2];
	char		nulls[2 * CLOSURE_MAX_KEYS + 2];
	int			n = 0;

	memset(nulls, ' ', sizeof(nulls));
	for (int node = 0; node < question->nnodes; node++)
	{
		for (int i = 0; i < h->nkeys; i++)
			values[n++] = question->nodes[node][i];
	}
	for (int i = 0; limits && i < 2; i++)
	{
		values[n] = limits[i].value;
		nulls[n++] = limits[i].isnull ? 'n' : ' ';
	}
	if (closure_each_row(closure_read_plan(h, read), values, nulls, function,
						 question) > 0)
		return true;
	for (int i = 0; i < question->nnodes; i++)
		closure_require_node(h, question->nodes[i]);
	return false;
}

/* Keep a row for the caller: the node, and the depth if there is one. */
static void
put_row(HeapTuple row, TupleDesc desc, void *arg)
{
	Question   *question = arg;
	int			nkeys = question->h->nkeys;
	Datum		values[2];
	bool		nulls[2] = {0};

	values[0] = CStringGetTextDatum(closure_node_column(question->text, row,
														desc, 1));
	if (desc->natts > nkeys)
		values[1] = SPI_getbinval(row, desc, nkeys + 1, &nulls[1]);
	tuplestore_putvalues(question->rows->setResult, question->rows->setDesc,
						 values, nulls);
}

/* Append the node of a row to the array. */
static void
put_element(HeapTuple row, TupleDesc desc, void *arg)
{
	Question   *question = arg;

	question->array =
		accumArrayResult(question->array,
						 CStringGetTextDatum(closure_node_column(question->text,
																 row, desc, 1)),
						 false, TEXTOID, question->context);
}

/* Keep the node of the only row. */
static void
put_node(HeapTuple row, TupleDesc desc, void *arg)
{
	Question   *question = arg;
	Datum		key[CLOSURE_MAX_KEYS];
	MemoryContext old;
	bool		isnull;

	for (int i = 0; i < question->h->nkeys; i++)
		key[i] = SPI_getbinval(row, desc, i + 1, &isnull);
	old = MemoryContextSwitchTo(question->context);
	question->node = palloc(question->h->nkeys * sizeof(Datum));
	closure_key_copy(question->h, key, question->node);
	MemoryContextSwitchTo(old);
}

/* Keep the number of the only row; -1 if it is null. */
static void
put_number(HeapTuple row, TupleDesc desc, void *arg)
{
	Question   *question = arg;
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, 1, &isnull);

	if (isnull)
		question->number = -1;
	else if (SPI_gettypeid(desc, 1) == INT8OID)
		question->number = DatumGetInt64(value);
	else if (SPI_gettypeid(desc, 1) == BOOLOID)
		question->number = DatumGetBool(value);
	else
		question->number = DatumGetInt32(value);
}

/* A function that returns rows. */
static Datum
read_rows(FunctionCallInfo fcinfo, ClosureRead read)
{
	Question   *question = begin(fcinfo, closure_read_nodes(read));
	NullableDatum *limits = NULL;

	if (closure_readings[read].limits)
	{
		limits = &fcinfo->args[2];
		if (limits[0].isnull)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("min_depth must not be null")));
	}
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	question->rows = (ReturnSetInfo *) fcinfo->resultinfo;
	plinth_spi_connect();
	(void) ask(question, read, limits, put_row);
	plinth_spi_finish();
	return (Datum) 0;
}

/*
 * A function that returns a number, which is none below `least`: then the
 * nodes must exist.  Returns the number, or -1 for none.
 */
static int64
read_number(FunctionCallInfo fcinfo, ClosureRead read, int64 least)
{
	Question   *question = begin(fcinfo, closure_read_nodes(read));

	question->number = -1;
	plinth_spi_connect();
	(void) ask(question, read, NULL, put_number);
	for (int i = 0; i < question->nnodes && question->number < least; i++)
		closure_require_node(question->h, question->nodes[i]);
	plinth_spi_finish();
	return question->number;
}

Datum
plinth_closure_descendants(PG_FUNCTION_ARGS)
{
	return read_rows(fcinfo, CR_DESCENDANTS);
}

Datum
plinth_closure_ancestors(PG_FUNCTION_ARGS)
{
	return read_rows(fcinfo, CR_ANCESTORS);
}

Datum
plinth_closure_children(PG_FUNCTION_ARGS)
{
	return read_rows(fcinfo, CR_CHILDREN);
}

Datum
plinth_closure_siblings(PG_FUNCTION_ARGS)
{
	return read_rows(fcinfo, CR_SIBLINGS);
}

Datum
plinth_closure_leaves(PG_FUNCTION_ARGS)
{
	return read_rows(fcinfo, CR_LEAVES);
}

Datum
plinth_closure_roots(PG_FUNCTION_ARGS)
{
	return read_rows(fcinfo, CR_ROOTS);
}

Datum
plinth_closure_depth(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) read_number(fcinfo, CR_DEPTH, 0));
}

Datum
plinth_closure_height(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) read_number(fcinfo, CR_HEIGHT, 0));
}

Datum
plinth_closure_subtree_size(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(read_number(fcinfo, CR_SUBTREE_SIZE, 0));
}

Datum
plinth_closure_is_ancestor(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(read_number(fcinfo, CR_IS_ANCESTOR, 1) > 0);
}

/* distance(target, node, other): NULL if they are in different trees. */
Datum
plinth_closure_distance(PG_FUNCTION_ARGS)
{
	int64		distance = read_number(fcinfo, CR_DISTANCE, 0);

	if (distance < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT32((int32) distance);
}

/* root(target, node) */
Datum
plinth_closure_root(PG_FUNCTION_ARGS)
{
	Question   *question = begin(fcinfo, 1);

	plinth_spi_connect();
	(void) ask(question, CR_ROOT, NULL, put_node);
	plinth_spi_finish();
	PG_RETURN_TEXT_P(cstring_to_text(closure_node_out(question->text,
													  question->node)));
}

/* path(target, node): an array of text, root first. */
Datum
plinth_closure_path(PG_FUNCTION_ARGS)
{
	Question   *question = begin(fcinfo, 1);

	plinth_spi_connect();
	(void) ask(question, CR_PATH, NULL, put_element);
	plinth_spi_finish();
	PG_RETURN_DATUM(makeArrayResult(question->array, question->context));
}

/*
 * lca(target, VARIADIC nodes): that of the first two, then that of this and
 * the third, and so on.  NULL if they are in different trees.
 */
Datum
plinth_closure_lca(PG_FUNCTION_ARGS)
{
	Question   *question = begin(fcinfo, 0);
	Hierarchy  *h = question->h;
	Datum	   *elems;
	bool	   *nulls;
	int			n = 0;
	Datum	  **nodes;

	if (PG_ARGISNULL(1))
		null_node(h);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false,
					  TYPALIGN_INT, &elems, &nulls, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no node of hierarchy \"%s\" is given",
						get_rel_name(h->relid)),
				 closure_errtable(h)));
	nodes = palloc(n * sizeof(Datum *));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			null_node(h);
		nodes[i] = closure_node_in(question->text,
								   TextDatumGetCString(elems[i]));
	}

	plinth_spi_connect();
	for (int i = 0; i < n; i++)
		closure_require_node(h, nodes[i]);
	question->node = nodes[0];
	question->nnodes = 2;
	for (int i = 1; i < n && question->node; i++)
	{
		question->nodes[0] = question->node;
		question->nodes[1] = nodes[i];
		question->node = NULL;
		(void) ask(question, CR_LCA, NULL, put_node);
	}
	plinth_spi_finish();
	if (question->node == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(closure_node_out(question->text,
													  question->node)));
}
