/*
 * src/soft_delete/columns.c
 *		The two columns, and dead rows that are there already.
 *
 * A table that marked its rows before keeps its column and its marks: rows that
 * died at the same moment become one deletion, of which nobody knows by whom.
 *
 * Locks: the caller has AccessExclusiveLock on the table and all below it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_inherits.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* One moment at which rows died. */
typedef struct Moment
{
	Datum		value;			/* as the column has it */
	int64		deletion_id;
} Moment;

/* Say no to a column of another kind. */
static void
check_column(Oid relid, const char *name, Oid type, Oid other)
{
	AttrNumber	attnum = get_attnum(relid, name);
	HeapTuple	tup;
	Form_pg_attribute att;
	Oid			found;

	if (attnum == InvalidAttrNumber)
		return;
	tup = attnum > 0 ? SearchSysCacheAttNum(relid, attnum) : NULL;
	if (!HeapTupleIsValid(tup))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of table \"%s\" belongs to the system",
						name, get_rel_name(relid))));
	att = (Form_pg_attribute) GETSTRUCT(tup);
	found = att->atttypid;
	if (found != type && found != other)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" has type %s, not %s",
						name, get_rel_name(relid), format_type_be(found),
						format_type_be(type)),
				 errhint("Change its type, or name another column.")));
	if (att->attgenerated != '\0' || att->attidentity != '\0' || att->attnotnull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of table \"%s\" cannot say that a row is alive",
						name, get_rel_name(relid)),
				 errdetail("It is generated or may not be null.")));
	if (att->atthasdef)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of table \"%s\" has a default",
						name, get_rel_name(relid)),
				 errdetail("Rows are alive as long as the column is null."),
				 errhint("Use ALTER TABLE ... ALTER COLUMN ... DROP DEFAULT, and set it to null in rows that are alive.")));
	ReleaseSysCache(tup);
}

/* A row's death must not decide in which partition it is. */
static void
check_partition_key(Oid relid, const SoftOptions *options)
{
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT p.partrelid::regclass FROM pg_partitioned_table p WHERE p.partrelid = ANY ('{%s}')"
								   " AND (EXISTS (SELECT FROM unnest(p.partattrs) k JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k AND a.attname = ANY (ARRAY[%s, %s]::name[]))"
								   " OR EXISTS (SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass AND d.objid = p.partrelid"
								   " AND d.objsubid = 0 AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.partrelid AND a.attname = ANY (ARRAY[%s, %s]::name[])))",
								   soft_oid_list(find_all_inheritors(relid, NoLock, NULL)),
								   quote_literal_cstr(options->deleted_at),
								   quote_literal_cstr(options->deletion_id),
								   quote_literal_cstr(options->deleted_at),
								   quote_literal_cstr(options->deletion_id)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" is partitioned by \"%s\"",
						(char *) lfirst(lc), options->deleted_at),
				 errdetail("A row that moves to another partition when it is deleted can fail concurrent statements.")));
}

/*
 * Say no to columns that are there, in the table or below it, and cannot be
 * ours.
 */
void
soft_check_columns(Oid relid, const SoftOptions *options)
{
	ListCell   *lc;

	if (strcmp(options->deleted_at, options->deletion_id) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is named twice", options->deleted_at)));
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		check_column(lfirst_oid(lc), options->deleted_at, TIMESTAMPTZOID, TIMESTAMPOID);
		check_column(lfirst_oid(lc), options->deletion_id, INT8OID, INT8OID);
	}
	check_partition_key(relid, options);
}

/* Is there an index that leads to the rows of a deletion? */
static bool
has_index(Oid relid, const SoftOptions *options)
{
	return plinth_sql_strings("SELECT 1 FROM pg_index WHERE indrelid = %u AND indisvalid AND indkey[0] = %d AND indexprs IS NULL"
							  " AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = %s)",
							  relid, get_attnum(relid, options->deletion_id),
							  quote_literal_cstr(psprintf("(%s IS NOT NULL)", quote_identifier(options->deletion_id)))) != NIL;
}

/* Make the columns that are not there, and the index. */
void
soft_make_columns(Oid relid, const SoftOptions *options)
{
	char	   *name = plinth_relation_name(relid);

	if (get_attnum(relid, options->deleted_at) == InvalidAttrNumber)
	{
		plinth_sql("ALTER TABLE %s ADD COLUMN %s timestamptz", name,
				   quote_identifier(options->deleted_at));
		plinth_sql("COMMENT ON COLUMN %s.%s IS 'When the row was deleted; null while it is alive'",
				   name, quote_identifier(options->deleted_at));
	}
	if (get_attnum(relid, options->deletion_id) == InvalidAttrNumber)
	{
		plinth_sql("ALTER TABLE %s ADD COLUMN %s bigint", name,
				   quote_identifier(options->deletion_id));
		plinth_sql("COMMENT ON COLUMN %s.%s IS 'The row of " SOFT_SCHEMA ".deletion that says by whom and why'",
				   name, quote_identifier(options->deletion_id));
	}
	if (!has_index(relid, options))
		plinth_sql("CREATE INDEX ON %s (%s) WHERE %s IS NOT NULL", name,
				   quote_identifier(options->deletion_id),
				   quote_identifier(options->deletion_id));
}

/* Write records for rows that are dead already.  Returns the moments. */
static List *
record_moments(Oid relid, const SoftOptions *options, Oid *type)
{
	char	   *column = pstrdup(quote_identifier(options->deleted_at));
	List	   *result = NIL;
	SPITupleTable *rows;
	uint64		n;

	plinth_spi_begin();
	n = soft_own_execute(relid, SOFT_OWN_READ,
						 psprintf("SELECT %s, %s::timestamptz, count(*) FROM %s WHERE %s IS NOT NULL AND %s IS NULL GROUP BY 1 ORDER BY 1",
								  column, column, plinth_relation_name(relid), column,
								  quote_identifier(options->deletion_id)), 0, NULL, NULL);
	rows = SPI_tuptable;
	*type = SPI_gettypeid(rows->tupdesc, 1);
	for (uint64 i = 0; i < n; i++)
	{
		DeletionRecord record = {0};
		Moment	   *moment = palloc(sizeof(Moment));
		bool		isnull;

		moment->value = SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull);
		moment->deletion_id = soft_next_deletion();
		record.deletion_id = moment->deletion_id;
		record.at = DatumGetTimestampTz(SPI_getbinval(rows->vals[i], rows->tupdesc, 2, &isnull));
		record.unknown = true;
		record.target = plinth_relation_name(soft_root(relid));
		record.row_count = DatumGetInt64(SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &isnull));
		soft_record_write(&record);
		result = lappend(result, moment);
	}
	plinth_spi_end();
	return result;
}

/* 27000 if triggers have kept rows from getting a number. */
static void
check_adopted(Oid relid, const SoftOptions *options)
{
	List	   *left;

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	left = soft_own_strings(relid, psprintf("SELECT 1 FROM %s WHERE %s IS NOT NULL AND %s IS NULL LIMIT 1",
											plinth_relation_name(relid),
											quote_identifier(pstrdup(options->deleted_at)),
											quote_identifier(pstrdup(options->deletion_id))));
	PopActiveSnapshot();
	if (left != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a trigger kept deleted rows of table \"%s\" from getting a \"%s\"",
						get_rel_name(relid), options->deletion_id),
				 errhint("Disable UPDATE triggers of the table meanwhile.")));
}

/*
 * Give rows that are dead already the numbers of their deletions, which no row
 * has.
 */
void
soft_adopt_rows(Oid relid, const SoftOptions *options)
{
	Oid			type;
	List	   *moments;
	int			n;
	Datum	   *values;
	Datum	   *ids;
	Oid			types[2];
	Datum		args[2];
	ListCell   *lc;

	(void) soft_pass_numbers(relid, options);
	moments = record_moments(relid, options, &type);
	n = list_length(moments);
	if (n == 0)
		return;
	values = palloc(n * sizeof(Datum));
	ids = palloc(n * sizeof(Datum));
	foreach(lc, moments)
	{
		Moment	   *moment = lfirst(lc);

		values[foreach_current_index(lc)] = moment->value;
		ids[foreach_current_index(lc)] = Int64GetDatum(moment->deletion_id);
	}
	types[0] = get_array_type(type);
	types[1] = INT8ARRAYOID;
	args[0] = PointerGetDatum(construct_array(values, n, type, 8, FLOAT8PASSBYVAL,
											  TYPALIGN_DOUBLE));
	args[1] = PointerGetDatum(construct_array(ids, n, INT8OID, 8, FLOAT8PASSBYVAL,
											  TYPALIGN_DOUBLE));
	(void) soft_own_run(relid, SOFT_OWN_UPDATE,
						psprintf("UPDATE %s AS t SET %s = m.id FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS m (at, id)"
								 " WHERE t.%s OPERATOR(pg_catalog.=) m.at AND t.%s IS NULL",
								 plinth_relation_name(relid),
								 quote_identifier(pstrdup(options->deletion_id)),
								 quote_identifier(pstrdup(options->deleted_at)),
								 quote_identifier(pstrdup(options->deletion_id))),
						2, types, args);
	check_adopted(relid, options);
}
