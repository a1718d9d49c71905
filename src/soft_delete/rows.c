/*
 * src/soft_delete/rows.c
 *		Rows that contradict themselves or the record.
 *
 * A row is dead if it has a deleted_at, and then it has a deletion_id that the
 * record knows.  Tables are read as their owner, who sees all rows; what others
 * have written, as the expressions of checks, runs with no more rights than
 * that, and may not change the session.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/*
 * Numbers beyond this are not passed: whoever owns a table could use up all
 * that there are, and nobody else gets there.
 */
#define HIGHEST_PASSED (PG_INT64_MAX / 2)

/* Strings from a table as it is now, read as its owner. */
static List *
read_strings(Oid relid, const char *sql)
{
	List	   *result;

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	result = soft_own_strings(relid, sql);
	PopActiveSnapshot();
	return result;
}

/* The first of them as a number. */
static int64
number_of(List *strings)
{
	return strings == NIL || linitial(strings) == NULL ? 0 :
		strtoll(linitial(strings), NULL, 10);
}

/* How many rows of a table meet a condition? */
static int64
count_rows(Oid relid, const char *condition)
{
	return number_of(read_strings(relid, psprintf("SELECT count(*) FROM %s WHERE %s",
												  plinth_relation_name(relid), condition)));
}

/*
 * Numbers of deletions of dead rows of which the record (d, all null if there
 * is none) and the number of the rows (n) meet a condition: a List of strings.
 * Others may write meanwhile, so rows are read before the record.
 */
static List *
deletions(Oid relid, const SoftOptions *options, const char *condition)
{
	char	   *id = pstrdup(quote_identifier(options->deletion_id));
	PlinthIdentity self;
	List	   *found;
	List	   *result;

	found = read_strings(relid, psprintf("SELECT array_agg(ARRAY[u, n]) FROM (SELECT %s, count(*) FROM %s WHERE %s IS NOT NULL AND %s IS NOT NULL GROUP BY 1 ORDER BY 1) AS r (u, n)",
										 id, plinth_relation_name(relid), id,
										 quote_identifier(options->deleted_at)));
	if (linitial(found) == NULL)
		return NIL;
	plinth_become(&self, soft_owner());
	result = plinth_sql_strings("SELECT u FROM (SELECT a[i][1], a[i][2] FROM (SELECT %s::bigint[]) AS f (a), generate_subscripts(a, 1) AS i) AS r (u, n)"
								" LEFT JOIN " SOFT_RECORD_TABLE " d ON d.deletion_id = u WHERE %s",
								quote_literal_cstr(linitial(found)), condition);
	plinth_restore_identity(&self);
	return result;
}

/* Those that the record does not know. */
static List *
lost_deletions(Oid relid, const SoftOptions *options)
{
	return deletions(relid, options, "d.deletion_id IS NULL");
}

/*
 * Those whose restore() does not bring the rows back, because they are of
 * another table, from which these have been detached, or have been restored
 * there.
 */
static List *
stray_deletions(Oid relid, const SoftOptions *options)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		names = lappend(names, plinth_relation_name(lfirst_oid(lc)));
	return deletions(relid, options,
					 psprintf("d.restored_at IS NOT NULL OR d.target <> ALL (ARRAY[%s])",
							  plinth_literal_list(names)));
}

/*
 * Those of which there are more rows than were deleted; restore() refuses them.
 * Fewer are no fault: rows come back or are purged one by one.
 */
static List *
swollen_deletions(Oid relid, const SoftOptions *options)
{
	return deletions(relid, options, "n > d.row_count");
}

/* The highest number that is taken: by a row, or in the record. */
static int64
highest_deletion(Oid relid, const SoftOptions *options)
{
	PlinthIdentity self;
	int64		in_table;
	int64		in_record;

	in_table = number_of(read_strings(relid, psprintf("SELECT max(%s) FROM %s",
													  quote_identifier(options->deletion_id),
													  plinth_relation_name(relid))));
	plinth_become(&self, soft_owner());
	in_record = number_of(plinth_sql_strings("SELECT max(deletion_id) FROM " SOFT_RECORD_TABLE));
	plinth_restore_identity(&self);
	return Min(Max(in_table, in_record), HIGHEST_PASSED);
}

/*
 * Have no deletion get a number that is taken already: rows have come with
 * theirs, out of a dump, another table or another server.  Others may delete
 * meanwhile.  Returns whether one would have got it.
 */
bool
soft_pass_numbers(Oid relid, const SoftOptions *options)
{
	return soft_pass_deletion(highest_deletion(relid, options));
}

/* The last number that the sequence has given. */
static int64
last_number(void)
{
	PlinthIdentity self;
	int64		result;

	plinth_become(&self, soft_owner());
	result = number_of(plinth_sql_strings("SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM " SOFT_SEQUENCE));
	plinth_restore_identity(&self);
	return result;
}

/* Live rows that do not pass a check that has never been validated. */
static void
examine_checks(List **faults, Oid relid, const SoftOptions *options)
{
	char	   *live = psprintf("%s IS NULL", quote_identifier(options->deleted_at));
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		List	   *names;
		List	   *conditions;
		char	   *select;
		ListCell   *ln;
		ListCell   *le;

		/* since 18 some are not enforced, nor is there harm in them */
		select = psprintf("FROM pg_constraint c WHERE c.conrelid = %u AND c.contype IN ('c', 'n') AND NOT c.convalidated"
						  " AND to_jsonb(c) ->> 'conenforced' IS DISTINCT FROM 'false' ORDER BY c.conname",
						  lfirst_oid(lc));
		names = plinth_sql_strings("SELECT c.conname %s", select);
		conditions = plinth_sql_strings("SELECT CASE c.contype WHEN 'c' THEN 'NOT (' || pg_get_expr(c.conbin, c.conrelid) || ')'"
										" ELSE (SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = c.conkey[1]) || ' IS NULL' END %s",
										select);
		forboth(ln, names, le, conditions)
		{
			char	   *sql = psprintf("SELECT count(*) FROM ONLY %s WHERE %s AND (%s)",
									   plinth_relation_name(lfirst_oid(lc)), live,
									   (char *) lfirst(le));
			int64		n = number_of(read_strings(lfirst_oid(lc), sql));

			if (n > 0)
				soft_add_fault(faults, "rows violate a constraint",
							   psprintf("constraint \"%s\" on table \"%s\"", (char *) lfirst(ln),
										get_rel_name(lfirst_oid(lc))),
							   psprintf(INT64_FORMAT " rows cannot be deleted before they are mended: a soft delete is an UPDATE.", n));
		}
	}
}

/* Dead rows take keys that the living may want. */
static void
examine_unique(List **faults, Oid relid, const SoftOptions *options)
{
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
								   " WHERE i.indrelid = %u AND i.indisunique AND NOT i.indisprimary AND i.indpred IS NULL"
								   " AND %d <> ALL (i.indkey::int2[]) ORDER BY 1",
								   relid, get_attnum(relid, options->deleted_at)))
		soft_add_fault(faults, "unique counts deleted rows",
					   psprintf("index \"%s\"", (char *) lfirst(lc)),
					   "A value that a deleted row has cannot be used again; see plinth_soft_delete.make_unique_live().");
}

/* What enable() would have refused. */
static void
examine_refused(List **faults, Oid relid, const SoftOptions *options)
{
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT format('constraint \"%%s\" on table \"%%s\"', c.conname, r.relname)"
								   " FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid"
								   " WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confrelid = ANY ('{%s}') ORDER BY 1",
								   soft_oid_list(find_all_inheritors(relid, NoLock, NULL))))
		soft_add_fault(faults, "foreign key refers to the table", lfirst(lc),
					   "It is not asked when a row is deleted.");
	if (options->ignore_triggers)
		return;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		PlinthTrigger *trig = soft_unfired_trigger(lfirst_oid(lc));

		if (trig)
			soft_add_fault(faults, "trigger does not fire",
						   psprintf("trigger \"%s\" on table \"%s\"", trig->name,
									get_rel_name(trig->relid)),
						   "A soft delete is an UPDATE to triggers: those for DELETE do not fire.");
	}
}

static char *
rows_detail(int64 n)
{
	return psprintf(n == 1 ? INT64_FORMAT " row." : INT64_FORMAT " rows.", n);
}

/* What is wrong with rows, and what makes them hard to delete. */
List *
soft_row_faults(Oid relid, const SoftOptions *options)
{
	List	   *faults = NIL;
	char	   *at = pstrdup(quote_identifier(options->deleted_at));
	char	   *id = pstrdup(quote_identifier(options->deletion_id));
	char	   *object = psprintf("table \"%s\"", get_rel_name(relid));
	int			lost;
	int64		n;

	n = count_rows(relid, psprintf("%s IS NOT NULL AND %s IS NULL", at, id));
	if (n > 0)
		soft_add_fault(&faults, "deleted without a deletion", object, rows_detail(n));
	n = count_rows(relid, psprintf("%s IS NULL AND %s IS NOT NULL", at, id));
	if (n > 0)
		soft_add_fault(&faults, "alive with a deletion", object, rows_detail(n));
	lost = list_length(lost_deletions(relid, options));
	if (lost > 0)
		soft_add_fault(&faults, "deletion not in the record", object,
					   psprintf(lost == 1 ? "%d deletion." : "%d deletions.", lost));
	lost = list_length(stray_deletions(relid, options));
	if (lost > 0)
		soft_add_fault(&faults, "deletion of another table", object,
					   psprintf(lost == 1 ? "%d deletion, which restore() cannot bring back from here." :
								"%d deletions, which restore() cannot bring back from here.", lost));
	lost = list_length(swollen_deletions(relid, options));
	if (lost > 0)
		soft_add_fault(&faults, "more rows than were deleted", object,
					   psprintf(lost == 1 ? "%d deletion, which restore() does not bring back." :
								"%d deletions, which restore() does not bring back.", lost));
	if (last_number() < highest_deletion(relid, options))
		soft_add_fault(&faults, "sequence behind", "sequence \"" SOFT_SEQUENCE "\"",
					   "It would give numbers again that deletions have.");
	examine_checks(&faults, relid, options);
	examine_refused(&faults, relid, options);
	examine_unique(&faults, relid, options);
	return faults;
}

/* Write a record of a deletion that rows have and nobody knows of. */
static void
record_lost(Oid relid, const SoftOptions *options, char *deletion_id)
{
	DeletionRecord record = {0};
	char	   *at = pstrdup(quote_identifier(options->deleted_at));
	char	   *of = psprintf("FROM %s WHERE %s = %s AND %s IS NOT NULL",
							  plinth_relation_name(relid),
							  quote_identifier(options->deletion_id), deletion_id, at);
	char	   *first = linitial(read_strings(relid, psprintf("SELECT min(%s)::timestamptz %s", at, of)));

	record.deletion_id = strtoll(deletion_id, NULL, 10);
	record.at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
														CStringGetDatum(first),
														ObjectIdGetDatum(InvalidOid),
														Int32GetDatum(-1)));
	record.unknown = true;
	record.target = plinth_relation_name(relid);
	record.row_count = number_of(read_strings(relid, psprintf("SELECT count(*) %s", of)));
	soft_record_write(&record);
}

/* Make a deletion of its own of what is left of one. */
static void
split_deletion(Oid relid, const SoftOptions *options, const char *deletion_id)
{
	int64		own = soft_next_deletion();
	char	   *id = pstrdup(quote_identifier(options->deletion_id));
	PlinthIdentity self;
	int64		n;

	n = soft_own_run(relid, SOFT_OWN_UPDATE,
					 psprintf("UPDATE %s SET %s = " INT64_FORMAT " WHERE %s = %s AND %s IS NOT NULL",
							  plinth_relation_name(relid), id, own, id, deletion_id,
							  quote_identifier(options->deleted_at)),
					 0, NULL, NULL);
	plinth_become(&self, soft_owner());
	plinth_sql("INSERT INTO " SOFT_RECORD_TABLE " (deletion_id, at, session_user_name, role_name, actor, reason, transaction_id, target, row_count, held)"
			   " SELECT " INT64_FORMAT ", at, session_user_name, role_name, actor, reason, transaction_id, %s, " INT64_FORMAT ", held"
			   " FROM " SOFT_RECORD_TABLE " WHERE deletion_id = %s",
			   own, quote_literal_cstr(plinth_relation_name(relid)), n, deletion_id);
	plinth_restore_identity(&self);
}

/*
 * Make rows and record agree; returns the number of rows and records that did
 * not.  The caller holds AccessExclusiveLock on the table and all below it.
 */
int64
soft_repair_rows(Oid relid, const SoftOptions *options)
{
	char	   *at = pstrdup(quote_identifier(options->deleted_at));
	char	   *id = pstrdup(quote_identifier(options->deletion_id));
	int64		n = 0;
	ListCell   *lc;

	if (soft_pass_numbers(relid, options))
		n++;
	n += count_rows(relid, psprintf("%s IS NOT NULL AND %s IS NULL", at, id));
	soft_adopt_rows(relid, options);
	n += soft_own_run(relid, SOFT_OWN_UPDATE,
					  psprintf("UPDATE %s SET %s = NULL WHERE %s IS NULL AND %s IS NOT NULL",
							   plinth_relation_name(relid), id, at, id),
					  0, NULL, NULL);
	foreach(lc, lost_deletions(relid, options))
	{
		CHECK_FOR_INTERRUPTS();
		record_lost(relid, options, lfirst(lc));
		n++;
	}
	foreach(lc, stray_deletions(relid, options))
	{
		CHECK_FOR_INTERRUPTS();
		split_deletion(relid, options, lfirst(lc));
		n++;
	}
	return n;
}
