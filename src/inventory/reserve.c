/*
 * src/inventory/reserve.c
 *		reserve(): one line, and what all calls have in common.
 *
 * The key is the idempotency key.  It is locked for the call before anything
 * else and then looked for among the reservations through a dirty snapshot; a
 * twin that is in flight is waited for.  The same request gets the first answer
 * again, another one is refused.  Only then units are claimed.  A refusal
 * leaves no trace: the same key may be tried again.
 *
 * What was asked is kept as a hash of its lines, owner and expected versions;
 * neither the time to live nor what was chosen is part of it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

PLINTH_FUNCTION(plinth_inventory_reserve);
PLINTH_FUNCTION(plinth_inventory_reserve_number);

/* The inventory that a call is about, which the caller may write to. */
Inventory *
inventory_of_call(FunctionCallInfo fcinfo, int arg, const char *command)
{
	Inventory  *inv = inventory_get(inventory_argument(fcinfo, arg));

	inventory_check_writer(&inv, command);
	return inv;
}

/* When a hold expires that has this time to live; never if that is null. */
TimestampTz
inventory_expiry(FunctionCallInfo fcinfo, int arg)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz result;

	if (PG_ARGISNULL(arg))
		return CELL_NEVER_DUE;
	result = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													 TimestampTzGetDatum(now),
													 PG_GETARG_DATUM(arg)));
	if (result <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time to live must be positive")));
	return result;
}

/* What is to be done if there are not enough units. */
Shortage
inventory_shortage(FunctionCallInfo fcinfo, int arg)
{
	char	   *word = inventory_text(fcinfo, arg);

	if (word == NULL || strcmp(word, "fail") == 0)
		return SHORTAGE_FAIL;
	if (strcmp(word, "wait") == 0)
		return SHORTAGE_WAIT;
	if (strcmp(word, "error") == 0)
		return SHORTAGE_ERROR;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized value \"%s\" for option \"%s\"", word,
					"on_shortage"),
			 errhint("Valid values are \"fail\", \"wait\" and \"error\".")));
}

/* A key; 22004 if it is null. */
const pg_uuid_t *
inventory_uuid(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key of a reservation must not be null")));
	return PG_GETARG_UUID_P(arg);
}

/* A version that is expected; 22023 if there cannot be such a one. */
int64
inventory_version(int64 version)
{
	if (version < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expected version must not be negative")));
	return version;
}

/* A text argument, palloc'd; NULL if it is null. */
char *
inventory_text(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* A number of units; 22004 or 22023 if it is none. */
int
inventory_quantity(FunctionCallInfo fcinfo, int arg)
{
	int			quantity;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("quantity must not be null")));
	quantity = PG_GETARG_INT32(arg);
	if (quantity <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantity must be greater than zero, not %d", quantity)));
	return quantity;
}

/* A result about a line of a reservation, everything else null. */
ResultRow
inventory_result_row(const pg_uuid_t *key, int line)
{
	ResultRow	row = {0};

	if (key)
		row.key = *key;
	row.no_key = key == NULL;
	row.line = line;
	row.available = -1;
	row.version = -1;
	row.expires_at = CELL_NEVER_DUE;
	return row;
}

/* A result's columns. */
static void
fill_result(Inventory *inv, const ResultRow *row, Datum *values, bool *nulls)
{
	memset(nulls, 0, 10 * sizeof(bool));
	values[0] = UUIDPGetDatum(&row->key);
	nulls[0] = row->no_key;
	values[1] = Int32GetDatum(row->line);
	nulls[1] = row->line == 0;
	nulls[2] = !row->has_stock;
	nulls[3] = !row->has_stock || row->no_warehouse || inv->nkeys == 1;
	if (!nulls[2])
		values[2] = CStringGetTextDatum(inventory_key_sku(inv, &row->stock));
	if (!nulls[3])
		values[3] = CStringGetTextDatum(inventory_key_warehouse(inv, &row->stock));
	values[4] = Int32GetDatum(row->quantity);
	nulls[4] = row->quantity == 0;
	values[5] = CStringGetTextDatum(row->outcome);
	values[6] = Int64GetDatum(row->available);
	nulls[6] = row->available < 0;
	values[7] = Int64GetDatum(row->version);
	nulls[7] = row->version < 0;
	values[8] = TimestampTzGetDatum(row->expires_at);
	nulls[8] = row->expires_at == CELL_NEVER_DUE;
	values[9] = BoolGetDatum(row->replayed);
}

/* The result of a function that returns one row. */
Datum
inventory_result(FunctionCallInfo fcinfo, Inventory *inv, const ResultRow *row)
{
	TupleDesc	desc;
	Datum		values[10];
	bool		nulls[10];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != 10)
		elog(ERROR, "return type must be plinth_inventory.result");
	fill_result(inv, row, values, nulls);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* One more row of a set that InitMaterializedSRF() has begun. */
void
inventory_put_result(FunctionCallInfo fcinfo, Inventory *inv,
					 const ResultRow *row)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[10];
	bool		nulls[10];

	fill_result(inv, row, values, nulls);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* What is locked of a key: an object that does not exist, but has a number. */
static LOCKTAG
hash_tag(Inventory *inv, const void *data, int len)
{
	LOCKTAG		tag;
	uint64		hash = hash_bytes_extended(data, len, 0);

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, inv->companion[RESERVATION],
					   (uint32) hash, (uint16) (hash >> 32));
	return tag;
}

/*
 * Let nobody else replace what an owner holds, to the end of the transaction.
 */
void
inventory_lock_owner(Inventory *inv, const char *owner)
{
	LOCKTAG		tag = hash_tag(inv, owner, strlen(owner));

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * Let the twins of a key go on: from now on they find its row, and wait for
 * that, or there is none.
 */
void
inventory_unlock_key(Inventory *inv, const pg_uuid_t *key)
{
	LOCKTAG		tag = hash_tag(inv, key->data, UUID_LEN);

	(void) LockRelease(&tag, ExclusiveLock, false);
}

/* Lock a key against its twins. */
static void
lock_key(Inventory *inv, const pg_uuid_t *key)
{
	LOCKTAG		tag = hash_tag(inv, key->data, UUID_LEN);

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * Lock a key and look whether it has been used.  If it was for the same
 * request: its lines, a List of Hold; if not at all: NIL.  23505 if it was for
 * another one, 40001 if this transaction's snapshot does not see it.
 */
List *
inventory_replay(Inventory *inv, const pg_uuid_t *key, int64 request)
{
	Datum		values[1];
	List	   *holds;

	lock_key(inv, key);
	for (;;)
	{
		SnapshotData dirty;
		Probe		found;
		bool		there;

		InitDirtySnapshot(dirty);
		there = inventory_probe_reservation(inv, key, &dirty, &found);
		inventory_probe_end(&found);
		if (!there)
			return NIL;
		if (!TransactionIdIsValid(dirty.xmin) ||
			TransactionIdIsCurrentTransactionId(dirty.xmin))
			break;

		/* without the lock: its transaction may want it again */
		inventory_unlock_key(inv, key);
		XactLockTableWait(dirty.xmin, NULL, NULL, XLTW_None);
		lock_key(inv, key);
	}

	values[0] = UUIDPGetDatum(key);
	holds = inventory_holds(inv, ST_FIND_HOLDS, values);
	if (holds == NIL)
	{
		if (IsolationUsesXactSnapshot())
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent use of a reservation's key")));
		inventory_unlock_key(inv, key);
		return inventory_replay(inv, key, request); /* purged meanwhile */
	}
	if (((Hold *) linitial(holds))->request != request)
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(uuid_out,
															   UUIDPGetDatum(key)));

		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("key %s has been used for another reservation", text),
				 errdetail("What was asked with it differs in lines, owner or expected versions."),
				 errhint("Use a new key for every request, and the same only to repeat it.")));
	}
	return holds;
}

/* One column of a key, equal for equal values however they are written. */
static void
describe_value(StringInfo buf, KeyColumn *column, Datum value)
{
	char	   *text;

	if (OidIsValid(column->hash.fn_oid))
	{
		appendStringInfo(buf, UINT64_FORMAT ",",
						 DatumGetUInt64(FunctionCall2Coll(&column->hash,
														  column->collation,
														  value,
														  UInt64GetDatum(0))));
		return;
	}
	text = OutputFunctionCall(&column->output, value);
	appendStringInfo(buf, "%zu:%s,", strlen(text), text);
}

/* One line of a request, for its hash. */
void
inventory_describe_line(StringInfo buf, Inventory *inv, const StockKey *key,
						bool open, int64 quantity, int64 expected_version)
{
	for (int i = 0; i < (open ? 1 : inv->nkeys); i++)
		describe_value(buf, &inv->key[i], key->value[i]);
	appendStringInfo(buf, INT64_FORMAT "," INT64_FORMAT ";", quantity,
					 expected_version);
}

/* The hash of a request: its lines, one after the other, and its owner. */
int64
inventory_request_hash(StringInfo buf, const char *owner)
{
	if (owner)
		appendStringInfo(buf, "by %s", owner);
	return (int64) hash_bytes_extended((const unsigned char *) buf->data,
									   buf->len, 0);
}

/*
 * reserve(sku, warehouse, quantity, key, ttl, owner, expected_version,
 * on_shortage, inventory)
 */
static Datum
reserve(FunctionCallInfo fcinfo, const char *warehouse)
{
	Inventory  *inv = inventory_of_call(fcinfo, 8, "plinth_inventory.reserve()");
	char	   *sku = inventory_text(fcinfo, 0);
	int			quantity = inventory_quantity(fcinfo, 2);
	const pg_uuid_t *key = inventory_uuid(fcinfo, 3);
	char	   *owner = inventory_text(fcinfo, 5);
	ResultRow	result = inventory_result_row(key, 1);
	ReservationRow row = {0};
	Claim		claim = {0};
	StringInfoData asked;
	List	   *twin;

	result.has_stock = true;
	row.key = *key;
	row.line = 1;
	row.quantity = quantity;
	row.owner = owner;
	claim.quantity = quantity;
	claim.expected_version = PG_ARGISNULL(6) ? -1 :
		inventory_version(PG_GETARG_INT64(6));
	claim.expires_at = inventory_expiry(fcinfo, 4);
	claim.shortage = inventory_shortage(fcinfo, 7);
	if (inv->nkeys > 1 && warehouse == NULL)
		return inventory_reserve_anywhere(fcinfo, inv, sku, quantity, key,
										  &claim, owner);
	claim.key = inventory_key_from_text(inv, sku, warehouse);
	initStringInfo(&asked);
	inventory_describe_line(&asked, inv, &claim.key, false, quantity,
							claim.expected_version);
	row.request = inventory_request_hash(&asked, owner);
	result.stock = claim.key;

	twin = inventory_replay(inv, key, row.request);
	if (twin != NIL)
	{
		Hold	   *hold = linitial(twin);

		result.quantity = hold->quantity;
		result.outcome = "reserved";
		result.expires_at = hold->expires_at;
		result.replayed = true;
		inventory_unlock_key(inv, key);
		return inventory_result(fcinfo, inv, &result);
	}

	switch (inventory_claim(inv, &claim))
	{
		case CLAIM_DONE:
			row.stock = claim.key;
			row.expires_at = claim.expires_at;
			row.generation = claim.generation;
			inventory_write_reservation(inv, &row);
			result.outcome = "reserved";
			result.expires_at = claim.expires_at;
			break;
		case CLAIM_SOLD_OUT:
			result.outcome = "sold_out";
			break;
		case CLAIM_VERSION_CONFLICT:
			result.outcome = "version_conflict";
			break;
	}
	inventory_unlock_key(inv, key);
	inventory_account_tidy();
	result.quantity = quantity;
	result.available = claim.available;
	result.version = claim.version;
	return inventory_result(fcinfo, inv, &result);
}

Datum
plinth_inventory_reserve(PG_FUNCTION_ARGS)
{
	return reserve(fcinfo, inventory_text(fcinfo, 1));
}

/* The same with the warehouse as a number. */
Datum
plinth_inventory_reserve_number(PG_FUNCTION_ARGS)
{
	return reserve(fcinfo, inventory_number(fcinfo, 1));
}

/* An argument of type bigint as text; NULL if it is null. */
char *
inventory_number(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : psprintf(INT64_FORMAT, PG_GETARG_INT64(arg));
}
