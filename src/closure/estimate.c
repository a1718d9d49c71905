/*
 * src/closure/estimate.c
 *		How large a closure would be, without writing anything.
 *
 * Rows and depth are exact, from the table as it is; bytes are those of a
 * heap and two indexes that have just been built, from the mean width of the
 * keys that are there.  Formulas: storage/page/README and the page layout of
 * nbtree, whose leaf pages are filled to nine tenths and whose equal keys
 * share one tuple.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "funcapi.h"
#include "storage/bufpage.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

PLINTH_FUNCTION(plinth_closure_estimate);

/* Pages of so many items of a size, in bytes. */
static double
pages(double items, double size, double fill)
{
	double		room = (BLCKSZ - SizeOfPageHeaderData) * fill;

	return ceil(items * (size + sizeof(ItemIdData)) / room) * BLCKSZ;
}

/* Mean width of a key, aligned as it would be in a row after another one. */
static double
mean_width(Hierarchy *h, ClosureNodes *nodes)
{
	double		sum = 0;

	for (int i = 0; i < nodes->n; i++)
	{
		Size		width = 0;

		for (int k = 0; k < h->nkeys; k++)
			width = att_addlength_datum(att_align_datum(width, h->typalign[k],
														h->typlen[k],
														nodes->all[i]->key[k]),
										h->typlen[k], nodes->all[i]->key[k]);
		sum += width;
	}
	return nodes->n > 0 ? sum / nodes->n : 0;
}

static double
estimate_bytes(Hierarchy *h, ClosureSurvey *survey)
{
	double		width = mean_width(h, survey->nodes);
	double		row = 2 * width + sizeof(int32);
	double		rows = survey->rows;
	double		heap;
	double		pair_index;
	double		node_index;

	heap = pages(rows, MAXALIGN(MAXALIGN(SizeofHeapTupleHeader) + (Size) row), 1.0);
	pair_index = pages(rows, MAXALIGN(sizeof(IndexTupleData) + (Size) row), 0.9);

	/* one posting list of heap places for each node */
	node_index = pages(survey->present,
					   MAXALIGN(sizeof(IndexTupleData) + (Size) width) +
					   rows / Max(survey->present, 1) * sizeof(ItemPointerData),
					   0.9);
	return heap + pair_index + node_index;
}

/*
 * estimate(target, key, parent): nodes, rows of the closure, greatest depth and
 * bytes.  Needs SELECT on the table, and an error if row-level security hides
 * rows.  A node with a missing parent counts as a root; 23514 for a cycle.
 */
Datum
plinth_closure_estimate(PG_FUNCTION_ARGS)
{
	Oid			relid = closure_target(fcinfo);
	ClosureOptions *options = closure_target_options(fcinfo);
	Hierarchy  *h = closure_describe(relid, options);
	ClosureSurvey *survey;
	ClosureInspection inspection;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	closure_inspection_begin(&inspection);
	survey = closure_survey(h, inspection.snapshot);
	closure_inspection_end(&inspection);

	options->orphan_roots = true;
	options->max_depth = PG_INT32_MAX;
	options->max_rows = 0;
	closure_survey_refuse(h, survey);
	values[0] = Int64GetDatum(survey->present);
	values[1] = Int64GetDatum(survey->rows);
	values[2] = Int32GetDatum(survey->max_depth);
	values[3] = Int64GetDatum((int64) estimate_bytes(h, survey));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
