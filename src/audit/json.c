/*
 * src/audit/json.c
 *		The text of a json value as jsonb, without failing.
 *
 * json accepts what jsonb refuses: the escape \u0000, halves of surrogate
 * pairs, characters that the database's encoding lacks, numbers beyond the
 * range of numeric.  jsonb_from_cstring() in src/backend/utils/adt/jsonb.c
 * raises errors for these; here they are noted in the AuditShow.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/* What the on-disk format of numeric can hold, see numeric.c. */
#define MAX_DIGITS_BEFORE_POINT 131072
#define MAX_DIGITS_AFTER_POINT 16383

/*
 * Would numeric_in() take this JSON number?  Its text is valid JSON, so it is
 * [-]digits[.digits][e[+-]digits].
 */
static bool
number_fits(const char *token)
{
	const char *p = token;
	int64		before = 0;		/* digits before the point */
	int64		after = 0;		/* digits after it */
	int64		leading = 0;	/* zeros in front of the first other digit */
	bool		significant = false;
	int64		exponent = 0;
	bool		negative = false;

	if (*p == '-')
		p++;
	for (; *p >= '0' && *p <= '9'; p++)
	{
		before++;
		if (*p != '0')
			significant = true;
		else if (!significant)
			leading++;
	}
	if (*p == '.')
	{
		for (p++; *p >= '0' && *p <= '9'; p++)
		{
			after++;
			if (*p != '0')
				significant = true;
			else if (!significant)
				leading++;
		}
	}
	if (*p == 'e' || *p == 'E')
	{
		p++;
		if (*p == '+' || *p == '-')
			negative = *p++ == '-';
		for (; *p >= '0' && *p <= '9'; p++)
		{
			exponent = exponent * 10 + (*p - '0');
			if (exponent >= INT_MAX / 2)
				return false;
		}
		if (negative)
			exponent = -exponent;
	}

	/* the scale counts even for zero, the weight does not */
	if (after - exponent > MAX_DIGITS_AFTER_POINT)
		return false;
	return !significant ||
		before - leading + exponent <= MAX_DIGITS_BEFORE_POINT;
}

static PlinthJsonAction
object_start(void *state)
{
	audit_show_open(state, WJB_BEGIN_OBJECT);
	PLINTH_JSON_ACTION_DONE;
}

static PlinthJsonAction
object_end(void *state)
{
	audit_show_close(state, WJB_END_OBJECT);
	PLINTH_JSON_ACTION_DONE;
}

static PlinthJsonAction
array_start(void *state)
{
	audit_show_open(state, WJB_BEGIN_ARRAY);
	PLINTH_JSON_ACTION_DONE;
}

static PlinthJsonAction
array_end(void *state)
{
	audit_show_close(state, WJB_END_ARRAY);
	PLINTH_JSON_ACTION_DONE;
}

static PlinthJsonAction
object_field_start(void *state, char *fname, bool isnull)
{
	AuditShow  *show = state;
	JsonbValue	key;

	if (show->stop)
	{
		pfree(fname);
		PLINTH_JSON_ACTION_DONE;
	}
	key.type = jbvString;
	key.val.string.val = fname;
	key.val.string.len = strlen(fname);
	audit_show_scalar(state, WJB_KEY, &key);
	PLINTH_JSON_ACTION_DONE;
}

static PlinthJsonAction
scalar(void *state, char *token, JsonTokenType tokentype)
{
	AuditShow  *show = state;
	JsonbValue	v;

	CHECK_FOR_INTERRUPTS();
	if (show->stop)
	{
		pfree(token);
		PLINTH_JSON_ACTION_DONE;
	}
	switch (tokentype)
	{
		case JSON_TOKEN_STRING:
			v.type = jbvString;
			v.val.string.val = token;
			v.val.string.len = strlen(token);
			break;
		case JSON_TOKEN_NUMBER:
			if (!number_fits(token))
			{
				audit_show_fail(show, "number out of range for jsonb");
				PLINTH_JSON_ACTION_DONE;
			}
			v.type = jbvNumeric;
			v.val.numeric =
				DatumGetNumeric(DirectFunctionCall3(numeric_in,
													CStringGetDatum(token),
													ObjectIdGetDatum(InvalidOid),
													Int32GetDatum(-1)));
			pfree(token);
			break;
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
			v.type = jbvBool;
			v.val.boolean = tokentype == JSON_TOKEN_TRUE;
			break;
		default:
			v.type = jbvNull;
			break;
	}
	/* the enclosing container knows whether this is an element or a value */
	audit_show_scalar(show,
					  show->state && show->state->contVal.type == jbvObject ?
					  WJB_VALUE : WJB_ELEM, &v);
	PLINTH_JSON_ACTION_DONE;
}

/* Can the database's encoding hold this character? */
static bool
character_fits(pg_wchar c)
{
	unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1];
	unsigned char server[MAX_CONVERSION_GROWTH * (MAX_MULTIBYTE_CHAR_LEN + 1)];
	Oid			proc;
	int			len;

	if (c <= 0x7f)
		return true;
	proc = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
	if (!OidIsValid(proc))
		return false;
	unicode_to_utf8(c, utf8);
	len = pg_utf_mblen(utf8);
	utf8[len] = '\0';
	return pg_do_encoding_conversion_buf(proc, PG_UTF8, GetDatabaseEncoding(),
										 utf8, len, server, sizeof(server),
										 true) == len;
}

/* The four hexadecimal digits of an escape; valid JSON has them. */
static pg_wchar
hex_digits(const char *digits)
{
	char		text[5];

	memcpy(text, digits, 4);
	text[4] = '\0';
	return strtoul(text, NULL, 16);
}

/*
 * Look through the text before it is parsed, since parsing takes memory by
 * the token.  How deeply are containers nested?  *separators counts what is
 * between elements, keys and values.  *fits tells whether the database's
 * encoding can hold what all \u escapes stand for.  Halves of surrogate pairs
 * that have no partner are for the lexer to find.
 */
static int
text_depth(const char *json, int len, bool *fits, Size *separators)
{
	int			depth = 0;
	int			deepest = 0;
	bool		in_string = false;

	*fits = true;
	*separators = 0;
	for (int i = 0; i < len; i++)
	{
		char		c = json[i];

		if (in_string)
		{
			if (c == '\\' && i + 1 < len)
			{
				i++;
				if (json[i] == 'u' && i + 4 < len &&
					PLINTH_JSON_ESCAPES_MAY_RAISE && *fits)
				{
					pg_wchar	c = hex_digits(json + i + 1);

					if (is_utf16_surrogate_first(c) && i + 10 < len &&
						json[i + 5] == '\\' && json[i + 6] == 'u' &&
						is_utf16_surrogate_second(hex_digits(json + i + 7)))
					{
						c = surrogate_pair_to_codepoint(c, hex_digits(json + i + 7));
						i += 6;
					}
					if (!is_utf16_surrogate_first(c) &&
						!is_utf16_surrogate_second(c))
						*fits = character_fits(c);
				}
			}
			else if (c == '"')
				in_string = false;
		}
		else if (c == '"')
			in_string = true;
		else if (c == '{' || c == '[')
			deepest = Max(deepest, ++depth);
		else if (c == '}' || c == ']')
			depth--;
		else if (c == ',' || c == ':')
			(*separators)++;
	}
	return deepest;
}

/*
 * Add a json value to what is being built.
 */
void
audit_show_json(AuditShow *show, text *json)
{
	char	   *data = VARDATA_ANY(json);
	int			len = VARSIZE_ANY_EXHDR(json);
	JsonLexContext *lex;
	JsonSemAction sem;
	JsonParseErrorType error;
	bool		fits;
	Size		separators;
	int			depth = text_depth(data, len, &fits, &separators);

	if (!audit_stack_has_room(depth + show->depth))
	{
		audit_show_fail(show, "nested too deeply");
		return;
	}
	if (separators * AUDIT_LEAST_CHARGE > AUDIT_MAX_JSONB)
	{
		audit_show_charge(show, AUDIT_MAX_JSONB);
		return;
	}
	if (!fits)
	{
		audit_show_fail(show, "unicode escape that the database's encoding cannot hold");
		return;
	}

	memset(&sem, 0, sizeof(sem));
	sem.semstate = show;
	sem.object_start = object_start;
	sem.object_end = object_end;
	sem.array_start = array_start;
	sem.array_end = array_end;
	sem.object_field_start = object_field_start;
	sem.scalar = scalar;

	lex = plinth_json_lexer(data, len, true);
	error = pg_parse_json(lex, &sem);
	switch (error)
	{
		case JSON_SUCCESS:
			break;
		case JSON_UNICODE_CODE_POINT_ZERO:
			audit_show_fail(show, "\\u0000 cannot be converted to text");
			break;
		case JSON_UNICODE_HIGH_SURROGATE:
		case JSON_UNICODE_LOW_SURROGATE:
			audit_show_fail(show, "incomplete surrogate pair");
			break;
		default:
			audit_show_fail(show, "cannot be converted to jsonb");
			break;
	}
}
