/*
 * src/audit/value.c
 *		One datum as jsonb, whatever the session has set, without failing.
 *
 * The result is what to_jsonb() makes of the value (jsonb_categorize_type()
 * and datum_to_jsonb() in src/backend/utils/adt/jsonb.c) under the settings
 * that pin.c pins, with two differences:
 *
 * - a cast to json of a type that is not built in is not called; its output
 *   function is.  Anybody who may create a type could otherwise have code of
 *   theirs run by whoever writes to an audited table.
 *
 * - what jsonb cannot hold is no error: it is noted in the AuditValue, and
 *   the caller puts something else in its place.  An audited statement must
 *   not fail because of a value.  So everything that could raise an error in
 *   jsonb's own code is looked at beforehand: lengths, numbers of elements,
 *   depth, and for json text its escapes and numbers (json.c).
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/value.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/*
 * Stack that the recursions of jsonb_util.c and jsonapi.c need for one level:
 * about 160 bytes in an optimized build, and there are others.
 */
#define STACK_PER_LEVEL 512

static void show_value(AuditShow *show, AuditConverters *converters,
					   AuditConverter *converter, JsonbIteratorToken token,
					   Datum datum, bool isnull);

/* Note that the value cannot be held as it is; the first reason stays. */
void
audit_show_fail(AuditShow *show, const char *problem)
{
	if (show->value->problem == NULL)
		show->value->problem = problem;
	show->stop = true;
}

/*
 * Account for one more element whose payload has so many bytes.  The charge
 * is an upper bound for what it takes in the jsonb.  The least charge also
 * keeps every container below the number of elements at which
 * jsonb.c's work arrays would outgrow the largest palloc.
 */
void
audit_show_charge(AuditShow *show, Size bytes)
{
	show->value->size += Max(AUDIT_LEAST_CHARGE, bytes + 8);
	if (show->value->size > AUDIT_MAX_JSONB)
	{
		show->value->too_large = true;
		audit_show_fail(show, "too large for jsonb");
	}
}

/* Begin an array or object within the current one. */
void
audit_show_open(AuditShow *show, JsonbIteratorToken token)
{
	if (show->stop)
		return;
	audit_show_charge(show, 0);
	show->depth++;
	show->value->depth = Max(show->value->depth, show->depth);
	pushJsonbValue(&show->state, token, NULL);
}

/* End the current array or object. */
void
audit_show_close(AuditShow *show, JsonbIteratorToken token)
{
	if (show->stop)
		return;
	show->depth--;
	show->result = pushJsonbValue(&show->state, token, NULL);
}

/* A key, element or value; without a container it is the whole value. */
void
audit_show_scalar(AuditShow *show, JsonbIteratorToken token,
				  JsonbValue *scalar)
{
	Size		bytes = 0;

	if (show->stop)
		return;
	if (scalar->type == jbvString)
		bytes = scalar->val.string.len;
	else if (scalar->type == jbvNumeric)
		bytes = VARSIZE_ANY(scalar->val.numeric) + 3;
	audit_show_charge(show, bytes);
	if (show->stop)
		return;
	if (show->state)
		pushJsonbValue(&show->state, token, scalar);
	else
		show->value->json = *scalar;
}

/*
 * Is there stack for jsonb.c to work on something nested that deep?  Goes
 * down in steps of a few kilobytes until the server's own limit says no, so
 * it never leaves the part of the stack that the server keeps in reserve.
 */
static pg_noinline bool
stack_reaches(Size bytes)
{
	volatile char frame[8192];

	frame[0] = 1;
	frame[sizeof(frame) - 1] = 1;
	if (stack_is_too_deep())
		return false;
	if (bytes <= sizeof(frame))
		return true;
	return stack_reaches(bytes - sizeof(frame)) && frame[0] == 1;
}

bool
audit_stack_has_room(int depth)
{
	if (depth <= SAFE_DEPTH)
		return true;
	return stack_reaches((Size) depth * STACK_PER_LEVEL);
}

/* A float as the shortest text that reads back the same: float8out's text. */
static void
set_float(JsonbValue *scalar, double number, bool is_double)
{
	char	   *text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);

	if (isnan(number))
		strcpy(text, "NaN");
	else if (isinf(number))
		strcpy(text, number > 0 ? "Infinity" : "-Infinity");
	else
	{
		if (is_double)
			double_to_shortest_decimal_buf(number, text);
		else
			float_to_shortest_decimal_buf((float) number, text);
		scalar->type = jbvNumeric;
		scalar->val.numeric =
			DatumGetNumeric(DirectFunctionCall3(numeric_in,
												CStringGetDatum(text),
												ObjectIdGetDatum(InvalidOid),
												Int32GetDatum(-1)));
		return;
	}
	audit_set_string(scalar, text, strlen(text));
}

/* bytea as hexadecimal digits, whatever bytea_output says */
static void
set_bytea(AuditShow *show, JsonbValue *scalar, Datum datum)
{
	bytea	   *bytes;
	Size		len;
	char	   *text;

	/* look at the size first: the digits might not fit into memory */
	if (toast_raw_datum_size(datum) - VARHDRSZ > AUDIT_MAX_JSONB / 2)
	{
		audit_show_charge(show, AUDIT_MAX_JSONB);
		return;
	}
	bytes = DatumGetByteaPP(datum);
	len = VARSIZE_ANY_EXHDR(bytes);
	text = palloc(2 * len + 3);
	text[0] = '\\';
	text[1] = 'x';
	hex_encode(VARDATA_ANY(bytes), len, text + 2);
	audit_set_string(scalar, text, 2 * len + 2);
}

/* Everything that is neither container nor json. */
static void
show_scalar(AuditShow *show, AuditConverter *converter,
			JsonbIteratorToken token, Datum datum)
{
	JsonbValue	scalar;

	switch (converter->kind)
	{
		case SHOW_BOOL:
			scalar.type = jbvBool;
			scalar.val.boolean = DatumGetBool(datum);
			break;
		case SHOW_INT2:
			scalar.type = jbvNumeric;
			scalar.val.numeric = int64_to_numeric(DatumGetInt16(datum));
			break;
		case SHOW_INT4:
			scalar.type = jbvNumeric;
			scalar.val.numeric = int64_to_numeric(DatumGetInt32(datum));
			break;
		case SHOW_INT8:
			scalar.type = jbvNumeric;
			scalar.val.numeric = int64_to_numeric(DatumGetInt64(datum));
			break;
		case SHOW_FLOAT4:
			set_float(&scalar, DatumGetFloat4(datum), false);
			break;
		case SHOW_FLOAT8:
			set_float(&scalar, DatumGetFloat8(datum), true);
			break;
		case SHOW_NUMERIC:
			{
				Numeric		number = DatumGetNumeric(datum);

				if (numeric_is_nan(number))
					audit_set_string(&scalar, "NaN", 3);
				else if (numeric_is_inf(number))
				{
					char	   *text;

					text = DatumGetCString(DirectFunctionCall1(numeric_out,
															   NumericGetDatum(number)));
					audit_set_string(&scalar, text, strlen(text));
				}
				else
				{
					scalar.type = jbvNumeric;
					scalar.val.numeric = number;
				}
			}
			break;
		case SHOW_DATETIME:
			{
				int			utc = 0;
				char	   *text;

				text = JsonEncodeDateTime(NULL, datum, converter->basetype,
										  converter->basetype == TIMESTAMPTZOID ?
										  &utc : NULL);
				audit_set_string(&scalar, text, strlen(text));
			}
			break;
		case SHOW_TEXT:
			{
				text	   *string = DatumGetTextPP(datum);

				audit_set_string(&scalar, VARDATA_ANY(string),
						   VARSIZE_ANY_EXHDR(string));
			}
			break;
		case SHOW_BYTEA:
			set_bytea(show, &scalar, datum);
			break;
		default:
			{
				char	   *text;

				if (converter->varlena && converter->basetype != XMLOID &&
					toast_raw_datum_size(datum) > MAX_OUTPUT_SOURCE)
				{
					audit_show_charge(show, AUDIT_MAX_JSONB);
					break;
				}
				text = OutputFunctionCall(&converter->output, datum);
				audit_set_string(&scalar, text, strlen(text));
			}
			break;
	}
	if (!show->stop)
		audit_show_scalar(show, token, &scalar);
}

/* One dimension of an array; *next walks through the elements. */
static void
show_dimension(AuditShow *show, AuditConverters *converters, AuditConverter *element,
			   JsonbIteratorToken token,
			   int ndims, const int *dims, const Datum *elems,
			   const bool *nulls, int *next)
{
	audit_show_open(show, WJB_BEGIN_ARRAY);
	for (int i = 0; i < dims[0] && !show->stop; i++)
	{
		if (ndims > 1)
			show_dimension(show, converters, element, WJB_ELEM,
						   ndims - 1, dims + 1, elems, nulls, next);
		else
		{
			show_value(show, converters, element, WJB_ELEM, elems[*next],
					   nulls[*next]);
			(*next)++;
		}
	}
	audit_show_close(show, WJB_END_ARRAY);
}

static void
show_array(AuditShow *show, AuditConverters *converters, AuditConverter *converter,
		   JsonbIteratorToken token, Datum datum)
{
	ArrayType  *array = DatumGetArrayTypeP(datum);
	AuditConverter *element = converter->element;
	int			ndims = ARR_NDIM(array);
	int			nitems = ArrayGetNItems(ndims, ARR_DIMS(array));
	int			next = 0;
	Datum	   *elems;
	bool	   *nulls;

	if (nitems <= 0)
	{
		audit_show_open(show, WJB_BEGIN_ARRAY);
		audit_show_close(show, WJB_END_ARRAY);
		return;
	}
	/* only a catalog's anyarray column can be like that */
	if (ARR_ELEMTYPE(array) != element->typid)
	{
		audit_show_fail(show, "unexpected element type");
		return;
	}
	if (nitems > AUDIT_MAX_JSONB / 16)
	{
		audit_show_charge(show, AUDIT_MAX_JSONB);
		return;
	}
	deconstruct_array(array, element->typid, converter->elemlen,
					  converter->elembyval, converter->elemalign,
					  &elems, &nulls, &nitems);
	show_dimension(show, converters, element, token, ndims, ARR_DIMS(array),
				   elems, nulls, &next);
}

static void
show_composite(AuditShow *show, AuditConverters *converters, Datum datum)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(datum);
	HeapTupleData tuple;
	TupleDesc	desc;

	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header),
								  HeapTupleHeaderGetTypMod(header));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	tuple.t_data = header;

	audit_show_open(show, WJB_BEGIN_OBJECT);
	for (int i = 0; i < desc->natts && !show->stop; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		JsonbValue	key;
		Datum		value;
		bool		isnull;

		if (att->attisdropped)
			continue;
		/* the descriptor may be gone when the jsonb is written down */
		audit_set_string(&key, pstrdup(NameStr(att->attname)),
				   strlen(NameStr(att->attname)));
		audit_show_scalar(show, WJB_KEY, &key);
		value = heap_getattr(&tuple, i + 1, desc, &isnull);
		show_value(show, converters, audit_converter(converters, att->atttypid),
				   WJB_VALUE, value, isnull);
	}
	audit_show_close(show, WJB_END_OBJECT);
	ReleaseTupleDesc(desc);
}

static void
show_jsonb(AuditShow *show, JsonbIteratorToken token, Datum datum)
{
	Jsonb	   *jsonb = DatumGetJsonbP(datum);
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken type;
	JsonbValue	v;

	if (JB_ROOT_IS_SCALAR(jsonb))
	{
		(void) JsonbIteratorNext(&it, &v, true);
		(void) JsonbIteratorNext(&it, &v, true);
		audit_show_scalar(show, token, &v);
		return;
	}
	while (!show->stop &&
		   (type = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		switch (type)
		{
			case WJB_BEGIN_ARRAY:
			case WJB_BEGIN_OBJECT:
				audit_show_open(show, type);
				break;
			case WJB_END_ARRAY:
			case WJB_END_OBJECT:
				audit_show_close(show, type);
				break;
			default:
				audit_show_scalar(show, type, &v);
				break;
		}
	}
}

/* Add one datum to what is being built. */
static void
show_value(AuditShow *show, AuditConverters *converters, AuditConverter *converter,
		   JsonbIteratorToken token, Datum datum, bool isnull)
{
	CHECK_FOR_INTERRUPTS();
	if (show->stop)
		return;
	if (stack_is_too_deep())
	{
		audit_show_fail(show, "nested too deeply");
		return;
	}
	if (isnull)
	{
		JsonbValue	null;

		null.type = jbvNull;
		audit_show_scalar(show, token, &null);
		return;
	}
	switch (converter->kind)
	{
		case SHOW_ARRAY:
			show_array(show, converters, converter, token, datum);
			break;
		case SHOW_COMPOSITE:
			show_composite(show, converters, datum);
			break;
		case SHOW_JSON:
			audit_show_json(show, DatumGetTextPP(datum));
			break;
		case SHOW_JSONB:
			show_jsonb(show, token, datum);
			break;
		default:
			show_scalar(show, converter, token, datum);
			break;
	}
}

/*
 * Show a datum that is not null.  value->json points into palloc'd memory or
 * into the datum.  Where value->problem is set, value->json is null, and
 * audit_cut() or the caller must find something to say instead.
 */
void
audit_show(AuditConverters *converters, AuditConverter *converter, Datum datum,
		   AuditValue *value)
{
	AuditShow	show = {0};

	memset(value, 0, sizeof(*value));
	show.value = value;
	show_value(&show, converters, converter, WJB_VALUE, datum, false);
	if (value->problem == NULL && show.result)
		value->json = *show.result;
	if (value->problem == NULL && !audit_stack_has_room(value->depth))
		value->problem = "nested too deeply";
	if (value->problem)
	{
		value->json.type = jbvNull;
		value->size = 16;
	}
}
