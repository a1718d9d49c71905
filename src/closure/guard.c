/*
 * src/closure/guard.c
 *		The trigger that keeps a closure from being changed by hand.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "kit/errors.h"
#include "kit/type.h"

PLINTH_FUNCTION(plinth_closure_guard);

/* Is this row in the closure already? */
static bool
row_exists(Relation rel, TupleTableSlot *slot)
{
	StringInfoData sql;
	Datum		values[2 * CLOSURE_MAX_KEYS + 1];
	Oid			types[2 * CLOSURE_MAX_KEYS + 1];
	int			n = 0;
	TupleDesc	desc = RelationGetDescr(rel);
	bool		exists;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT 1 FROM %s WHERE ",
					 plinth_relation_name(RelationGetRelid(rel)));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		isnull;

		if (att->attisdropped)
			continue;
		values[n] = slot_getattr(slot, i + 1, &isnull);
		if (isnull || n > 2 * CLOSURE_MAX_KEYS)
			return false;
		types[n] = att->atttypid;
		appendStringInfo(&sql, "%s%s %s %s", n > 0 ? " AND " : "",
						 plinth_comparable(att->atttypid,
											quote_identifier(NameStr(att->attname))),
						 plinth_equality(att->atttypid),
						 plinth_comparable(att->atttypid,
											psprintf("$%d", n + 1)));
		n++;
	}
	plinth_spi_connect();
	if (SPI_execute_with_args(sql.data, n, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look into the closure");
	exists = SPI_processed > 0;
	plinth_spi_finish();
	return exists;
}

/*
 * plinth_closure.guard(): trigger before each row of a closure, and before
 * TRUNCATE.  Rows that a restore of data brings and that are there already
 * are skipped.
 */
Datum
plinth_closure_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"plinth_closure.guard")));
	if (closure_writing == 0)
	{
		if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) &&
			TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) &&
			row_exists(trigdata->tg_relation, trigdata->tg_trigslot))
			return PointerGetDatum(NULL);
		ereport(ERROR,
				(errcode(ERRCODE_PLINTH_CLOSURE_DERIVED),
				 errmsg("closure table \"%s\" cannot be changed by hand",
						RelationGetRelationName(trigdata->tg_relation)),
				 errdetail("It follows from the table that it belongs to."),
				 errhint("Change that table, or run plinth_closure.repair() on it."),
				 errtable(trigdata->tg_relation)));
	}
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		return PointerGetDatum(trigdata->tg_newtuple);
	return PointerGetDatum(trigdata->tg_trigtuple);
}
