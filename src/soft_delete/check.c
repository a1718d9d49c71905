/*
 * src/soft_delete/check.c
 *		Small functions that policies and plans call.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "rewrite/rowsecurity.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PLINTH_FUNCTION(plinth_soft_delete_require);
PLINTH_FUNCTION(plinth_soft_delete_only_policy);
PLINTH_FUNCTION(plinth_soft_delete_may_see);
PLINTH_FUNCTION(plinth_soft_delete_alive);

/*
 * _require(allowed, policy, relation): true, or the error that the executor
 * raises when a row does not pass a policy.
 */
Datum
plinth_soft_delete_require(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || !PG_GETARG_BOOL(0))
	{
		char	   *relation = PG_ARGISNULL(2) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(2));

		if (PG_ARGISNULL(1))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("target row violates row-level security policy (USING expression) for table \"%s\"",
							relation)));
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("target row violates row-level security policy \"%s\" (USING expression) for table \"%s\"",
						text_to_cstring(PG_GETARG_TEXT_PP(1)), relation)));
	}
	PG_RETURN_BOOL(true);
}

/*
 * only_policy(target): is there no permissive policy but ours?  Plans are made
 * anew when one comes, so the answer may become part of them.  It is asked
 * whenever a statement is planned, and the relcache knows.
 */
Datum
plinth_soft_delete_only_policy(PG_FUNCTION_ARGS)
{
	Relation	rel = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	bool		result = true;
	ListCell   *lc;

	if (rel == NULL)
		PG_RETURN_BOOL(false);
	foreach(lc, rel->rd_rsdesc ? rel->rd_rsdesc->policies : NIL)
	{
		RowSecurityPolicy *policy = lfirst(lc);

		if (policy->permissive &&
			strcmp(policy->policy_name, SOFT_OPEN_POLICY) != 0)
			result = false;
	}
	relation_close(rel, AccessShareLock);
	PG_RETURN_BOOL(result);
}

/*
 * Is the current role a viewer of a table?  Whoever reads the record asks about
 * everybody's tables: he neither waits for one that is locked, nor stumbles over
 * one that is damaged.
 */
static bool
is_viewer(Oid relid)
{
	SoftTable  *table;
	SoftOptions *options;
	Oid			role;

	if (ConditionalLockRelationOid(relid, AccessShareLock))
	{
		bool		result;

		table = get_rel_name(relid) ? soft_readable_table(relid) : NULL;
		result = table != NULL && soft_may_view(table);
		UnlockRelationOid(relid, AccessShareLock);
		return result;
	}
	options = soft_readable_options(relid);
	role = options && options->viewers ? get_role_oid(options->viewers, true) : InvalidOid;
	return OidIsValid(role) && has_privs_of_role(GetUserId(), role);
}

/*
 * _may_see(target): who may see the dead may know how they died, and so may the
 * table's owner.
 */
Datum
plinth_soft_delete_may_see(PG_FUNCTION_ARGS)
{
	Oid			relid;

	if (has_bypassrls_privilege(GetUserId()))
		PG_RETURN_BOOL(true);
	relid = plinth_qualified_oid(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (!OidIsValid(relid))
		PG_RETURN_BOOL(false);
	if (plinth_owns_relation(relid, GetUserId()))
		PG_RETURN_BOOL(true);
	if (get_rel_relkind(relid) != RELKIND_RELATION &&
		get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(is_viewer(relid));
}

/*
 * _alive(deleted_at, target): null, which is what an UPDATE leaves in the
 * column; an error if the row is dead.
 */
Datum
plinth_soft_delete_alive(PG_FUNCTION_ARGS)
{
	if (!PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot update a deleted row of table \"%s\"",
						PG_ARGISNULL(1) ? "" : get_rel_name(PG_GETARG_OID(1))),
				 errhint("Restore it first, leave deleted rows out, or set \"plinth_soft_delete.dead_update\" to \"allow\".")));
	PG_RETURN_NULL();
}
