/*
 * src/soft_delete/status.c
 *		The rows of the view status.
 *
 * Which tables are enabled, with which options, is for everybody to see, as
 * triggers and policies are.  Nobody waits for a table that is locked: whether
 * it is complete is not known then.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_inherits.h"
#include "funcapi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PLINTH_FUNCTION(plinth_soft_delete_status);

#define STATUS_COLUMNS 9

/* A text that may be null, as a column of the result. */
static void
put_text(const char *text, Datum *value, bool *isnull)
{
	*isnull = text == NULL;
	*value = text ? CStringGetTextDatum(text) : (Datum) 0;
}

/*
 * Can a table and what is below it be looked at without waiting for somebody?
 * What is said of others does not depend on him.
 */
static bool
is_free(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			return false;
	}
	return true;
}

/* _status(): one row for each table that was enabled. */
Datum
plinth_soft_delete_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *tables = soft_enabled_tables();
	const char *loaded_by = tables == NIL ? NULL : soft_preloaded();
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, tables)
	{
		Oid			relid = lfirst_oid(lc);
		SoftOptions *options = soft_readable_options(relid);
		Datum		values[STATUS_COLUMNS];
		bool		nulls[STATUS_COLUMNS] = {0};
		int			n = 0;

		/* enable() takes no temporary table: somebody has forged that one */
		CHECK_FOR_INTERRUPTS();
		if (options == NULL || soft_root(relid) != relid ||
			!plinth_table_persists(relid))
			continue;
		values[n++] = ObjectIdGetDatum(relid);
		values[n++] = CStringGetTextDatum(soft_visibility_word(options->visibility));
		put_text(options->viewers, &values[n], &nulls[n]);
		n++;
		values[n++] = CStringGetTextDatum(options->deleted_at);
		values[n++] = CStringGetTextDatum(options->deletion_id);
		values[n++] = BoolGetDatum(options->barrier);
		values[n++] = CStringGetTextDatum(options->ignore_triggers ? "ignore" : "refuse");
		put_text(loaded_by, &values[n], &nulls[n]);
		n++;
		nulls[n] = !is_free(relid);
		values[n] = BoolGetDatum(nulls[n] ? false : soft_table_faults(relid, options) == NIL);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
