/*
 * src/soft_delete/inspect.c
 *		check(): what is wrong with an enabled table.
 *
 * Whoever may SELECT from the table may ask: only numbers of rows are told.
 * Problems are:
 *
 *	column missing, trigger missing, trigger altered, trigger not always
 *		enabled, policy missing, policy altered, row-level security off: on
 *		the table or below it something is not as enable() has made it
 *	viewers missing: the role that may see the dead does not exist
 *	view missing, view not attached: a view that the options name is not there,
 *		or does not go with the table
 *	event trigger missing, event trigger not always enabled: DDL is not
 *		followed
 *	library not preloaded: new sessions, or those of a role, plan DELETE
 *		without the library
 *	deleted without a deletion, alive with a deletion, deletion not in the
 *		record, sequence behind: rows, record and its numbers disagree
 *	deletion of another table: rows came or went with a partition
 *	more rows than were deleted: rows came dead, with the number of a deletion
 *	rows violate a constraint: an UPDATE of them fails, so does a DELETE
 *	foreign key refers to the table, trigger does not fire: enable() would
 *		have refused it
 *	unique counts deleted rows: not wrong, but perhaps not what is meant
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_soft_delete_check);

#define CHECK_COLUMNS 3

/* 42501 unless the current role may read the table. */
static void
check_reader(Oid relid)
{
	AclResult	aclresult = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/* Rows of the result. */
static void
put_faults(ReturnSetInfo *result, List *faults)
{
	ListCell   *lc;

	foreach(lc, faults)
	{
		SoftFault  *fault = lfirst(lc);
		Datum		values[CHECK_COLUMNS];
		bool		nulls[CHECK_COLUMNS] = {0};

		values[0] = CStringGetTextDatum(fault->problem);
		values[1] = CStringGetTextDatum(fault->object);
		nulls[2] = fault->detail == NULL;
		values[2] = fault->detail ? CStringGetTextDatum(fault->detail) : (Datum) 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* Is there something that keeps rows from being looked at? */
static bool
is_readable(Oid relid, const SoftOptions *options)
{
	return get_attnum(relid, options->deleted_at) > 0 &&
		get_attnum(relid, options->deletion_id) > 0;
}

/*
 * check(target): what is wrong, one row for each problem.
 */
Datum
plinth_soft_delete_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = plinth_target(fcinfo, 0);
	SoftOptions *options;

	check_reader(relid);
	LockRelationOid(relid, AccessShareLock);
	(void) plinth_target(fcinfo, 0);	/* it may have gone meanwhile */
	check_reader(relid);
	options = soft_damaged_options(relid);
	soft_require_root(relid);

	InitMaterializedSRF(fcinfo, 0);
	put_faults(result, soft_table_faults(relid, options));
	put_faults(result, soft_server_faults());
	if (is_readable(relid, options))
		put_faults(result, soft_row_faults(relid, options));
	return (Datum) 0;
}
