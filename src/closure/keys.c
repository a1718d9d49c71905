/*
 * src/closure/keys.c
 *		Keys of a hierarchy: comparing, hashing, copying, showing, packing.
 *
 * A key is an array of nkeys Datums, none of them null.  Keys are compared
 * with the type's own btree order and the column's collation, so numeric 1.0
 * and 1.00 are one node, and so are equal strings of a nondeterministic
 * collation.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

/* Order of two keys: negative, zero, positive. */
int
closure_key_compare(Hierarchy *h, const Datum *a, const Datum *b)
{
	for (int i = 0; i < h->nkeys; i++)
	{
		int			order;

		order = DatumGetInt32(FunctionCall2Coll(&h->compare[i],
												h->collations[i], a[i], b[i]));
		if (order != 0)
			return order;
	}
	return 0;
}

/* Equal keys have equal hashes; only for hierarchies that are hashable. */
uint32
closure_key_hash(Hierarchy *h, const Datum *key)
{
	uint32		hash = 0;

	for (int i = 0; i < h->nkeys; i++)
		hash = hash_combine(hash,
							DatumGetUInt32(FunctionCall1Coll(&h->hash[i],
															 h->collations[i],
															 key[i])));
	return hash;
}

/* Copy into an array of the caller's, detoasted, in the current context. */
void
closure_key_copy(Hierarchy *h, const Datum *key, Datum *copy)
{
	for (int i = 0; i < h->nkeys; i++)
	{
		if (h->typbyval[i])
			copy[i] = key[i];
		else if (h->typlen[i] == -1)
			copy[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(key[i]));
		else
			copy[i] = datumCopy(key[i], false, h->typlen[i]);
	}
}

/* A key for people: its text, or "(a, b)" of several columns. */
char *
closure_key_text(Hierarchy *h, const Datum *key)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (h->nkeys > 1)
		appendStringInfoChar(&buf, '(');
	for (int i = 0; i < h->nkeys; i++)
	{
		Oid			outfunc;
		bool		varlena;

		getTypeOutputInfo(h->types[i], &outfunc, &varlena);
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "",
						 OidOutputFunctionCall(outfunc, key[i]));
	}
	if (h->nkeys > 1)
		appendStringInfoChar(&buf, ')');
	return buf.data;
}

/*
 * Keys of a type that has no arrays, being one, go as text.  The settings are
 * those under which text loses nothing and reads the same everywhere.
 */
static void
keys_as_text(Hierarchy *h, int column, const Datum **keys, int nkeys,
			 Datum *elems)
{
	int			level = NewGUCNestLevel();
	Oid			outfunc;
	bool		varlena;

	plinth_set_for_now("extra_float_digits", "3");
	plinth_set_for_now("datestyle", "ISO");
	plinth_set_for_now("intervalstyle", "postgres");
	getTypeOutputInfo(h->types[column], &outfunc, &varlena);
	for (int i = 0; i < nkeys; i++)
		elems[i] = CStringGetTextDatum(OidOutputFunctionCall(outfunc,
															 keys[i][column]));
	AtEOXact_GUC(false, level);
}

/* One column of a set of keys as an array. */
Datum
closure_key_array(Hierarchy *h, int column, const Datum **keys, int nkeys)
{
	Datum	   *elems = palloc(Max(nkeys, 1) * sizeof(Datum));
	ArrayType  *array;

	if (h->textual[column])
	{
		keys_as_text(h, column, keys, nkeys, elems);
		array = construct_array(elems, nkeys, TEXTOID, -1, false,
								TYPALIGN_INT);
	}
	else
	{
		for (int i = 0; i < nkeys; i++)
			elems[i] = keys[i][column];
		array = construct_array(elems, nkeys, h->types[column],
								h->typlen[column], h->typbyval[column],
								h->typalign[column]);
	}
	pfree(elems);
	return PointerGetDatum(array);
}
