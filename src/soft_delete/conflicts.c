/*
 * src/soft_delete/conflicts.c
 *		What keeps dead rows from coming back.
 *
 * A row that died gave up its place in the unique indexes of the living, and
 * another may have it by now.  Each such index is asked with the rows as they
 * would be: its own expressions and condition, on their columns with ours null.
 *
 * Locks: the caller has one on the table.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/type.h"

/* So many conflicts are named in an error. */
#define CONFLICTS_NAMED 10

/* A table of deleted rows; 55000 if it is not enabled. */
SoftDead
soft_dead_of(Oid relid)
{
	SoftOptions *options = soft_present_options(relid);
	SoftDead	dead;

	dead.relid = relid;
	dead.name = plinth_relation_name(relid);
	dead.deleted_at = pstrdup(quote_identifier(options->deleted_at));
	dead.deletion_id = pstrdup(quote_identifier(options->deletion_id));
	return dead;
}

/* May the caller read all columns of this table?  What is in it is told to nobody else. */
bool
soft_may_read(Oid relid)
{
	return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* A row's key for a person to read, as SQL on the row. */
char *
soft_key_expression(Oid relid)
{
	List	   *columns = plinth_sql_strings("SELECT format('%%L, %%I', a.attname, a.attname) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, n)"
											 " JOIN pg_attribute a ON a.attrelid = %u AND a.attnum = k.attnum WHERE i.indrelid = %u AND i.indisprimary ORDER BY k.n",
											 relid, relid);
	StringInfoData buf;
	ListCell   *lc;

	if (columns == NIL)
		return pstrdup("pg_catalog.to_jsonb(s.*)");
	initStringInfo(&buf);
	foreach(lc, columns)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", (char *) lfirst(lc));
	return psprintf("pg_catalog.jsonb_build_object(%s)", buf.data);
}

/* Items of a SELECT list, one for each row of a query's result. */
static char *
joined(const List *items)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, items)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", (char *) lfirst(lc));
	return buf.data;
}

/*
 * The rows of one relation as they would be alive, as a subquery: our columns
 * are null, and what is generated of them follows.
 */
static char *
revived(const SoftDead *dead, const char *condition)
{
	char	   *stored = joined(plinth_sql_strings("SELECT CASE WHEN quote_ident(attname) IN (%s, %s) THEN format('NULL::%%s AS %%I', format_type(atttypid, atttypmod), attname) ELSE quote_ident(attname) END"
												   " FROM pg_attribute WHERE attrelid = %u AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
												   quote_literal_cstr(dead->deleted_at),
												   quote_literal_cstr(dead->deletion_id), dead->relid));
	char	   *all = joined(plinth_sql_strings("SELECT CASE WHEN attgenerated <> '' THEN format('(%%s) AS %%I', pg_get_expr(adbin, adrelid), attname) ELSE quote_ident(attname) END"
												" FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
												" WHERE attrelid = %u AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
												dead->relid));

	return psprintf("(SELECT %s FROM (SELECT tableoid, %s FROM ONLY %s WHERE %s) AS s) AS s",
					all, stored, dead->name, condition);
}

/*
 * Queries for rows that cannot come back because a living one has their key in
 * a unique index of the living: key (jsonb), index (text).
 */
List *
soft_conflict_queries(const SoftDead *dead, const char *condition)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT indexrelid FROM pg_index WHERE indrelid = %u AND indisunique AND indisvalid AND indpred IS NOT NULL ORDER BY 1",
								   dead->relid))
	{
		Oid			indexid = strtoul(lfirst(lc), NULL, 10);
		List	   *columns = plinth_sql_strings("SELECT format('(%%s)', pg_get_indexdef(a.attrelid, a.attnum, true)) || coalesce(' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname), '')"
												 " FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum <= i.indnkeyatts"
												 " LEFT JOIN pg_collation c ON c.oid = a.attcollation LEFT JOIN pg_namespace n ON n.oid = c.collnamespace"
												 " WHERE i.indexrelid = %u ORDER BY a.attnum", indexid);
		char	   *nulls = linitial(plinth_sql_strings("SELECT indnullsnotdistinct::text FROM pg_index WHERE indexrelid = %u", indexid));
		char	   *predicate = linitial(plinth_sql_strings("SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = %u", indexid));
		StringInfoData list;
		StringInfoData on;
		ListCell   *lk;

		initStringInfo(&list);
		initStringInfo(&on);
		foreach(lk, columns)
		{
			int			k = foreach_current_index(lk) + 1;
			Oid			type = get_atttype(indexid, k);

			appendStringInfo(&list, ", %s AS k%d", (char *) lfirst(lk), k);
			appendStringInfo(&on, "%s(%s %s %s", k > 1 ? " AND " : "",
							 plinth_comparable(type, psprintf("d.k%d", k)),
							 plinth_equality(type),
							 plinth_comparable(type, psprintf("l.k%d", k)));
			/* no IS NULL, which asks the fields of a row */
			if (strcmp(nulls, "true") == 0)
				appendStringInfo(&on, " OR (d.k%d IS NOT DISTINCT FROM NULL AND l.k%d IS NOT DISTINCT FROM NULL)", k, k);
			appendStringInfoChar(&on, ')');
		}
		result = lappend(result,
						 psprintf("SELECT d.key, %s::text FROM (SELECT %s AS key%s FROM %s WHERE %s) AS d"
								  " WHERE EXISTS (SELECT FROM (SELECT 1%s FROM ONLY %s AS s WHERE %s) AS l WHERE %s)",
								  quote_literal_cstr(get_rel_name(indexid)),
								  soft_key_expression(dead->relid), list.data,
								  revived(dead, condition), predicate,
								  list.data, dead->name, predicate, on.data));
	}
	return result;
}

/* The table and what is below it, as far as it has rows: a List of Dead. */
List *
soft_parts_of(Oid relid)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		SoftDead	   *part;

		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_RELATION)
			continue;
		part = palloc(sizeof(SoftDead));
		*part = soft_dead_of(lfirst_oid(lc));
		result = lappend(result, part);
	}
	return result;
}

/* 23505 with a list if rows cannot come back. */
void
soft_check_conflicts(Oid relid, const char *condition)
{
	StringInfoData detail;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, soft_parts_of(relid))
	{
		ListCell   *lq;

		foreach(lq, soft_conflict_queries(lfirst(lc), condition))
		{
			ListCell   *lr;

			foreach(lr, soft_own_strings(relid, psprintf("SELECT format('%%s (\"%%s\")', c.key, c.index) FROM (%s) AS c (key, index) ORDER BY 1 LIMIT %d",
									 (char *) lfirst(lq), CONFLICTS_NAMED + 1)))
			{
				if (++n <= CONFLICTS_NAMED)
					appendStringInfo(&detail, "%s%s", n > 1 ? ", " : "", (char *) lfirst(lr));
			}
		}
	}
	if (n > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("deleted rows of table \"%s\" cannot be restored because living ones have taken their keys",
						get_rel_name(relid)),
				 soft_may_read(relid) ?
				 errdetail("Rows and indexes: %s%s.", detail.data,
						   n > CONFLICTS_NAMED ? " and more" : "") : 0,
				 errhint("plinth_soft_delete.preview_restore() lists them; delete or change the living rows first.")));
}
