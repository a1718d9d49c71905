/*
 * src/closure/node_text.c
 *		Nodes as text, for the functions that serve every table.
 *
 * A key of one column is the text of its value; one of several columns is that
 * of a row: (1,x).  Both are read with PostgreSQL's input functions, so errors
 * are the type's own, and what is written can be read again.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/lsyscache.h"

/* Prepare to read and write keys, in the current memory context. */
ClosureNodeText *
closure_node_text(Hierarchy *h)
{
	ClosureNodeText *text = palloc0(sizeof(ClosureNodeText));
	Oid			type = h->types[0];
	Oid			function;
	bool		varlena;

	text->h = h;
	text->typmod = -1;
	if (h->nkeys > 1)
	{
		text->desc = CreateTemplateTupleDesc(h->nkeys);
		for (int i = 0; i < h->nkeys; i++)
			TupleDescInitEntry(text->desc, i + 1,
							   list_nth(h->options->key, i), h->types[i],
							   -1, 0);
		text->desc = BlessTupleDesc(text->desc);
		text->typmod = text->desc->tdtypmod;
		type = RECORDOID;
	}
	getTypeInputInfo(type, &function, &text->ioparam);
	fmgr_info(function, &text->input);
	getTypeOutputInfo(type, &function, &varlena);
	fmgr_info(function, &text->output);
	return text;
}

/*
 * Read a key.  Errors are those of the key's type, and 22004 if a column is
 * null.
 */
Datum *
closure_node_in(ClosureNodeText *text, char *string)
{
	Hierarchy  *h = text->h;
	Datum	   *key = palloc(h->nkeys * sizeof(Datum));
	Datum		value = InputFunctionCall(&text->input, string, text->ioparam,
										  text->typmod);
	HeapTupleHeader header;
	HeapTupleData tuple;
	bool		nulls[CLOSURE_MAX_KEYS];

	if (text->desc == NULL)
	{
		key[0] = value;
		return key;
	}
	header = DatumGetHeapTupleHeader(value);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, text->desc, key, nulls);
	for (int i = 0; i < h->nkeys; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("node %s of hierarchy \"%s\" must not contain nulls",
							string, get_rel_name(h->relid)),
					 closure_errtable(h)));
	}
	return key;
}

/* Write a key; closure_node_in() reads it again. */
char *
closure_node_out(ClosureNodeText *text, const Datum *key)
{
	bool		nulls[CLOSURE_MAX_KEYS] = {0};

	if (text->desc == NULL)
		return OutputFunctionCall(&text->output, key[0]);
	return OutputFunctionCall(&text->output,
							  HeapTupleGetDatum(heap_form_tuple(text->desc,
																(Datum *) key,
																nulls)));
}

/* Write the key that begins at this column of a row; NULL if it is null. */
char *
closure_node_column(ClosureNodeText *text, HeapTuple row, TupleDesc desc,
					int column)
{
	Datum		key[CLOSURE_MAX_KEYS];

	for (int i = 0; i < text->h->nkeys; i++)
	{
		bool		isnull;

		key[i] = SPI_getbinval(row, desc, column + i, &isnull);
		if (isnull)
			return NULL;
	}
	return closure_node_out(text, key);
}
