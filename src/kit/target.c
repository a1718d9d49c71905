/*
 * src/kit/target.c
 *		The table that a call is about.
 *
 * Whoever calls enable() and its like must own the table, and is asked before
 * the table is locked: not everybody may make everybody else wait.  Until the
 * lock is there the table may be dropped or given away, so the question is
 * asked again.  What kind of table will do is the extension's affair.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "kit/compat.h"

#include "catalog/objectaddress.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"

#include "kit/target.h"

/* The name of a relation, without its schema; 42P01 if there is none. */
char *
plinth_existing_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return name;
}

/* An argument that names a table: not null, and it exists. */
Oid
plinth_target(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the table must not be null")));
	(void) plinth_existing_name(PG_GETARG_OID(arg));
	return PG_GETARG_OID(arg);
}

/* 42501 unless the current role owns the relation. */
void
plinth_require_owner(Oid relid)
{
	if (!plinth_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/*
 * Lock a relation of the current role.  When this returns it exists and still
 * belongs to the role, and stays so: the lock is kept.
 */
void
plinth_lock_owned(Oid relid, LOCKMODE lockmode)
{
	char	   *name = plinth_existing_name(relid);

	plinth_require_owner(relid);
	LockRelationOid(relid, lockmode);
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" was dropped meanwhile", name)));
	plinth_require_owner(relid);
}
