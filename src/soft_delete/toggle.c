/*
 * src/soft_delete/toggle.c
 *		Who sees the dead.
 *
 * Superusers, roles with BYPASSRLS and whoever has set row_security off see
 * everything, as with any policy; so pg_dump is complete.  Others see the dead
 * rows of a table if they are members of its role "viewers" and have set
 * plinth_soft_delete.show_deleted.
 *
 * The answer is found when a statement is planned and becomes part of the plan,
 * so that partial indexes are used.  Plans are bound to the role that they were
 * made for (PlannedStmt.dependsOnRole), and made anew when the setting or
 * somebody's membership changes.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "access/parallel.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/plancache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

PLINTH_FUNCTION(plinth_soft_delete_show_deleted);
PLINTH_FUNCTION(plinth_soft_delete_fold);

bool		soft_show_deleted = false;

/* The table whose dead are seen by what is planned now, whoever asks. */
Oid			soft_showing = InvalidOid;

/*
 * Does the current role see whatever there is in a table, like pg_dump?  The
 * owner does if he says so; who is subject to policies gets an error from
 * PostgreSQL instead, but not where he looks through a view of the owner's.
 */
bool
soft_sees_all(const SoftTable *table)
{
	return has_bypassrls_privilege(GetUserId()) ||
		(!row_security && plinth_owns_relation(table->relid, GetUserId()));
}

/* May the current role see the dead of this table, if it asks to? */
bool
soft_may_view(const SoftTable *table)
{
	Oid			role;

	if (NameStr(table->viewers)[0] == '\0')
		return false;
	role = get_role_oid(NameStr(table->viewers), true);
	return OidIsValid(role) && has_privs_of_role(GetUserId(), role);
}

/* Does the current role see the dead of this table? */
bool
soft_sees_dead(const SoftTable *table)
{
	if (soft_showing == table->relid || (soft_show_deleted && soft_may_view(table)))
		return true;

	/* the filter is for superusers, too, but pg_dump must be complete */
	if (table->visibility == VISIBILITY_FILTER)
		return !row_security && soft_sees_all(table);
	return soft_sees_all(table);
}

/*
 * show_deleted(target): what the policies ask.  They are asked by sessions that
 * have not loaded the library, too, until now.
 */
Datum
plinth_soft_delete_show_deleted(PG_FUNCTION_ARGS)
{
	SoftTable	table;

	PG_RETURN_BOOL(soft_show_deleted &&
				   soft_table_copy(PG_GETARG_OID(0), &table) &&
				   soft_may_view(&table));
}

/*
 * _fold(internal): support function of what policies ask, whose answers are
 * known when a statement is planned.
 */
Datum
plinth_soft_delete_fold(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestSimplify *simplify;
	Const	   *arg;

	if (!IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(NULL);
	simplify = (SupportRequestSimplify *) request;
	arg = linitial(simplify->fcall->args);
	if (simplify->root == NULL || !IsA(arg, Const) || arg->constisnull)
		PG_RETURN_POINTER(NULL);
	simplify->root->glob->dependsOnRole = true;
	PG_RETURN_POINTER(makeBoolConst(DatumGetBool(OidFunctionCall1(simplify->fcall->funcid,
																   arg->constvalue)),
									false));
}

/* GUC check hook: only who may see the dead of some table may ask to. */
static bool
check_show_deleted(bool *newval, void **extra, GucSource source)
{
	ListCell   *lc;

	/* where it is used it is asked again, table by table */
	if (!*newval || source < PGC_S_CLIENT || !IsTransactionState() ||
		InitializingParallelWorker ||
		has_bypassrls_privilege(GetUserId()))
		return true;
	foreach(lc, soft_enabled_tables())
	{
		SoftOptions *options = soft_readable_options(lfirst_oid(lc));
		Oid			role;

		if (options == NULL || options->viewers == NULL)
			continue;
		role = get_role_oid(options->viewers, true);
		if (OidIsValid(role) && has_privs_of_role(GetUserId(), role))
			return true;
	}
	GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
	GUC_check_errmsg("permission denied to see deleted rows");
	GUC_check_errdetail("Role \"%s\" is no viewer of any table.",
						GetUserNameFromId(GetUserId(), false));
	GUC_check_errhint("A table's viewers are the role that plinth_soft_delete.enable() was told with \"viewers\", and its members.");
	return false;
}

/* GUC assign hook: plans have the old answer in them. */
static void
assign_show_deleted(bool newval, void *extra)
{
	if (newval != soft_show_deleted)
		ResetPlanCache();
}

/* Somebody has become a member of a role, or is no more; or a role was renamed. */
static void
roles_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	ResetPlanCache();
}

void
soft_toggle_init(void)
{
	DefineCustomBoolVariable("plinth_soft_delete.show_deleted",
							 "Shows deleted rows of the tables whose viewer the current role is.",
							 NULL,
							 &soft_show_deleted,
							 false,
							 PGC_USERSET,
							 0,
							 check_show_deleted, assign_show_deleted, NULL);
	CacheRegisterSyscacheCallback(AUTHMEMMEMROLE, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
}
