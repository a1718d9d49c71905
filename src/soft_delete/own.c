/*
 * src/soft_delete/own.c
 *		Statements of our own on tables of others.
 *
 * They run as the table's owner, whom no missing right stops halfway, and see
 * all rows, whatever policies there are: as in a foreign key's queries policies
 * that the owner has forced on himself do not count.  That is said while the
 * statement is prepared and not while it runs, because triggers of the table
 * run with it.  They are to find the session as any other statement leaves it,
 * so whatever names there are in a statement that writes are qualified.
 *
 * For the same reason what is ours is told once, and of one table: the hook
 * plans the next statement as it stands, the next UPDATE of the table sets our
 * columns as it says, and the next DELETE removes its rows for good.  What
 * triggers do meanwhile, be it before ours, is anybody's.
 *
 * Whatever a statement that reads has to call, as expressions of indexes, is the
 * owner's, and whoever looks at a table need not trust him: it may not change
 * the session, nor leave anything for later (SECURITY_RESTRICTED_OPERATION).
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "miscadmin.h"
#include "utils/lsyscache.h"

SoftOwn		soft_next_plan = SOFT_OWN_NOTHING;
SoftOwn		soft_next_statement = SOFT_OWN_NOTHING;
Oid			soft_next_table = InvalidOid;

/*
 * Run a statement within an SPI connection of the caller's, where its result is
 * afterwards.  Returns the number of rows.
 */
uint64
soft_own_execute(Oid relid, SoftOwn kind, const char *sql, int nargs,
				 Oid *types, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	PlinthIdentity saved;
	Oid			userid;
	int			sec_context;
	SPIPlanPtr	plan;
	volatile int rc = 0;

	plinth_become(&saved, plinth_relation_owner(relid));
	if (kind == SOFT_OWN_READ)
		plinth_set_for_now("search_path", "pg_catalog, pg_temp");
	GetUserIdAndSecContext(&userid, &sec_context);
	if (kind == SOFT_OWN_READ)
		sec_context |= SECURITY_RESTRICTED_OPERATION;
	SetUserIdAndSecContext(userid, sec_context | SECURITY_NOFORCE_RLS);
	plan = SPI_prepare(sql, nargs, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	SetUserIdAndSecContext(userid, sec_context);
	PG_TRY();
	{
		soft_next_plan = kind;
		soft_next_statement = kind;
		soft_next_table = relid;
		rc = SPI_execute_plan(plan, values, NULL, kind == SOFT_OWN_READ, 0);
	}
	PG_FINALLY();
	{
		soft_next_plan = SOFT_OWN_NOTHING;
		soft_next_statement = SOFT_OWN_NOTHING;
	}
	PG_END_TRY();
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s: %s",
			 SPI_result_code_string(rc), sql);
	plinth_restore_identity(&saved);
	MemoryContextSwitchTo(context); /* SPI leaves another one */
	return SPI_processed;
}

/* Run a statement whose result nobody wants.  Returns the number of rows. */
uint64
soft_own_run(Oid relid, SoftOwn kind, const char *sql, int nargs, Oid *types,
			 Datum *values)
{
	uint64		result;

	plinth_spi_begin();
	result = soft_own_execute(relid, kind, sql, nargs, types, values);
	plinth_spi_end();
	return result;
}

/* The first column of a query, as a List of strings; NULL for null. */
List *
soft_own_strings(Oid relid, const char *sql)
{
	List	   *result = NIL;

	plinth_spi_begin();
	(void) soft_own_execute(relid, SOFT_OWN_READ, sql, 0, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);

		result = lappend(result, value);
	}
	plinth_spi_end();
	return result;
}
