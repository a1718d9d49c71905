/*
 * src/soft_delete/record.c
 *		plinth_soft_delete._deletion: who deleted what, when and why.
 *
 * One row for each statement and table that it named, written as the owner of
 * the extension; nobody else may write there.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "kit/sequence.h"

#define INSERT_COLUMNS 9

/* The owner of the extension, to whom the record belongs. */
Oid
soft_owner(void)
{
	return plinth_function_owner(soft_function("mark"));
}

/* What gives deletions their numbers. */
static Oid
sequence(void)
{
	Oid			seqid = get_relname_relid("deletion_id_seq",
										  get_namespace_oid(SOFT_SCHEMA, false));

	if (!OidIsValid(seqid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist", SOFT_SEQUENCE)));
	return seqid;
}

/* A number for a deletion, which never comes again. */
int64
soft_next_deletion(void)
{
	int64		increment;

	return plinth_sequence_take(sequence(), 1, &increment);
}

/*
 * Give no deletion a number up to this one.  Returns whether one would have
 * got it.
 */
bool
soft_pass_deletion(int64 number)
{
	return number > 0 && plinth_sequence_pass(sequence(), number);
}

/* Write a row. */
void
soft_record_write(const DeletionRecord *record)
{
	static SPIPlanPtr plan = NULL;
	static Oid types[INSERT_COLUMNS] = {INT8OID, TIMESTAMPTZOID, NAMEOID,
		NAMEOID, TEXTOID, TEXTOID, XID8OID, TEXTOID, INT8OID};
	Datum		values[INSERT_COLUMNS];
	char		nulls[INSERT_COLUMNS + 1];
	NameData	session_name;
	NameData	role_name;
	PlinthIdentity self;
	bool		by_us = !record->unknown;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(record->deletion_id);
	values[1] = TimestampTzGetDatum(record->at);
	namestrcpy(&session_name, GetUserNameFromId(GetSessionUserId(), false));
	values[2] = NameGetDatum(&session_name);
	namestrcpy(&role_name, GetUserNameFromId(OidIsValid(soft_deletion_role) ? soft_deletion_role : GetUserId(), false));
	values[3] = NameGetDatum(&role_name);
	values[4] = CStringGetTextDatum(soft_actor ? soft_actor : "");
	values[5] = CStringGetTextDatum(soft_reason ? soft_reason : "");
	values[6] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	values[7] = CStringGetTextDatum(record->target);
	values[8] = Int64GetDatum(record->row_count);
	if (!by_us || soft_actor == NULL || soft_actor[0] == '\0')
		nulls[4] = 'n';
	if (!by_us || soft_reason == NULL || soft_reason[0] == '\0')
		nulls[5] = 'n';
	if (!by_us)
		nulls[2] = nulls[3] = nulls[6] = 'n';

	plinth_become(&self, soft_owner());
	plinth_spi_connect();
	if (plan == NULL)
	{
		SPIPlanPtr	made;

		made = SPI_prepare("INSERT INTO " SOFT_RECORD_TABLE
						   " (deletion_id, at, session_user_name, role_name, actor, reason, transaction_id, target, row_count)"
						   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
						   INSERT_COLUMNS, types);
		if (made == NULL)
			elog(ERROR, "SPI_prepare failed: %s",
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(made) != 0)
			elog(ERROR, "SPI_keepplan failed");
		plan = made;
	}
	if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write into \"%s\"", SOFT_RECORD_TABLE);
	plinth_spi_finish();
	plinth_restore_identity(&self);
}
