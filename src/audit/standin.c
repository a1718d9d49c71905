/*
 * src/audit/standin.c
 *		What an image shows of a value that jsonb cannot hold.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/value.h"

#include "access/detoast.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* What is kept of a string that is cut. */
#define CUT_BYTES (1024 * 1024)

/* SHA-256 as hexadecimal digits */
static char *
sha256_hex(const void *data, Size len)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *hex = palloc(2 * sizeof(digest) + 1);

	if (pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, data, len) < 0 ||
		pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-256 digest");
	pg_cryptohash_free(ctx);
	hex_encode((const char *) digest, sizeof(digest), hex);
	hex[2 * sizeof(digest)] = '\0';
	return hex;
}

/*
 * What to show of a value that is too large: of a string its beginning, as
 * much as fits into `room` bytes, otherwise null.  *bytes is the size of the
 * whole, *sha256 its digest or NULL.
 */
void
audit_cut(AuditConverter *converter, Datum datum, Size room,
		  AuditValue *value, Size *bytes, char **sha256)
{
	Size		keep = Min(CUT_BYTES, room);

	value->json.type = jbvNull;
	*sha256 = NULL;
	*bytes = converter->varlena ? toast_raw_datum_size(datum) - VARHDRSZ : 0;

	if (converter->kind == SHOW_TEXT)
	{
		text	   *string = DatumGetTextPP(datum);
		char	   *data = VARDATA_ANY(string);
		int			len = VARSIZE_ANY_EXHDR(string);

		*sha256 = sha256_hex(data, len);
		audit_set_string(&value->json, data,
				   pg_mbcliplen(data, len, Min(keep, len)));
	}
	else if (converter->kind == SHOW_BYTEA)
	{
		bytea	   *string = DatumGetByteaPP(datum);
		Size		len = VARSIZE_ANY_EXHDR(string);
		Size		shown = Min(keep / 2, len);
		char	   *digits = palloc(2 * shown + 3);

		*sha256 = sha256_hex(VARDATA_ANY(string), len);
		digits[0] = '\\';
		digits[1] = 'x';
		hex_encode(VARDATA_ANY(string), shown, digits + 2);
		audit_set_string(&value->json, digits, 2 * shown + 2);
	}
	value->size = value->json.type == jbvString ?
		value->json.val.string.len + 16 : 16;
}

/*
 * What to show of a value that jsonb refuses for another reason than its
 * size: its text as a string, so that nothing is lost, or null if even that
 * is too long or nested so deeply that making it could fail.
 */
void
audit_keep_text(AuditConverter *converter, Datum datum, Size room,
				AuditValue *value)
{
	char	   *string = NULL;
	Size		len = 0;

	if (converter->kind == SHOW_JSON)
	{
		text	   *json = DatumGetTextPP(datum);

		string = VARDATA_ANY(json);
		len = VARSIZE_ANY_EXHDR(json);
	}
	else if (converter->kind == SHOW_JSONB)
	{
		Jsonb	   *jsonb = DatumGetJsonbP(datum);

		/* its text may be several times as long */
		if (VARSIZE(jsonb) < Min(room / 8, MAX_OUTPUT_SOURCE))
			string = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
		len = string ? strlen(string) : 0;
	}
	else if (converter->varlena && value->depth <= SAFE_DEPTH &&
			 toast_raw_datum_size(datum) < MAX_OUTPUT_SOURCE)
	{
		Oid			outfunc;
		bool		varlena;

		getTypeOutputInfo(converter->basetype, &outfunc, &varlena);
		string = OidOutputFunctionCall(outfunc, datum);
		len = strlen(string);
	}

	value->json.type = jbvNull;
	value->size = 16;
	if (string && len < room)
	{
		audit_set_string(&value->json, string, len);
		value->size += len;
	}
}
