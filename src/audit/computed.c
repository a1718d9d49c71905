/*
 * src/audit/computed.c
 *		The values of virtual generated columns.
 *
 * They are in no tuple: whoever reads the column computes it.  The expression
 * may fail where the row itself is fine (1 / x for x = 0), and an audited
 * statement must not, so it runs in a subtransaction, and a failure becomes a
 * remark in the note.  Only tables with such columns pay for it.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#ifdef PLINTH_HAVE_VIRTUAL_COLUMNS

#include "access/xact.h"
#include "executor/executor.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* Evaluate the column's expression for the row in the slot. */
static Datum
evaluate(Relation rel, TupleTableSlot *slot, AttrNumber attnum, bool *isnull)
{
	EState	   *estate = CreateExecutorState();
	ExprContext *econtext = GetPerTupleExprContext(estate);
	ExprState  *expr;
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	Datum		value;

	expr = ExecPrepareExpr((Expr *) build_generation_expression(rel, attnum),
						   estate);
	econtext->ecxt_scantuple = slot;
	value = ExecEvalExprSwitchContext(expr, econtext, isnull);
	if (!*isnull)
		value = datumCopy(value, att->attbyval, att->attlen);
	FreeExecutorState(estate);
	return value;
}

void
audit_compute(Relation rel, TupleTableSlot *slot, AttrNumber attnum,
			  Datum *value, bool *isnull, const char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	*problem = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		*value = evaluate(rel, slot, attnum, isnull);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;

		/* to be cancelled or shut down is no property of the value */
		if (edata->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			edata->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
			edata->sqlerrcode == ERRCODE_CRASH_SHUTDOWN)
			ReThrowError(edata);
		*value = (Datum) 0;
		*isnull = true;
		*problem = edata->message;
	}
	PG_END_TRY();
}

#else

/* No server before 18 has such columns. */
void
audit_compute(Relation rel, TupleTableSlot *slot, AttrNumber attnum,
			  Datum *value, bool *isnull, const char **problem)
{
	elog(ERROR, "column %d of relation \"%s\" cannot be computed",
		 attnum, RelationGetRelationName(rel));
}

#endif
