/*
 * src/inventory/enable.c
 *		enable() and disable().
 *
 * They run as their caller, who must own the table; nothing here needs more
 * rights than that, since the companions belong to the table's owner.
 *
 * Locks: enable() takes ShareRowExclusiveLock on the table, which waits for
 * whoever moves stock and keeps others waiting, then on companions that are
 * there already.  disable() takes AccessExclusiveLock on the table, as DROP
 * TRIGGER needs it; with it nobody has units of a cell but this transaction.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "utils/lsyscache.h"

#include "kit/target.h"

PLINTH_FUNCTION(plinth_inventory_enable);
PLINTH_FUNCTION(plinth_inventory_disable);

/* May the caller create the companions? */
static void
check_schema(Oid relid)
{
	Oid			nspid = get_rel_namespace(relid);
	AclResult	result = plinth_schema_aclcheck(nspid, GetUserId(), ACL_CREATE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_SCHEMA, get_namespace_name(nspid));
}

/* Columns and mode, which is what enable() is told, as trigger arguments. */
static char *
told_options(const InventoryOptions *options)
{
	InventoryOptions told = *options;

	told.reservation = NULL;
	return plinth_literal_list(inventory_options_args(&told));
}

/* 42710 unless the table is an inventory with the options that are asked for. */
static void
check_present(Oid relid, const InventoryOptions *present,
			  const InventoryOptions *options)
{
	char	   *was = told_options(present);
	char	   *wanted = told_options(options);

	if (strcmp(was, wanted) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is already an inventory with other options",
						get_rel_name(relid)),
				 errdetail("Present: %s. Requested: %s.", was, wanted),
				 errhint("Run plinth_inventory.disable() first.")));
}

/*
 * enable(target, sku, warehouse, quantity, reserved, version, mode): make a
 * table of stock an inventory.  Returns the table of its reservations.
 */
Datum
plinth_inventory_enable(PG_FUNCTION_ARGS)
{
	Oid			relid;
	InventoryOptions *options;
	InventoryOptions *present;

	PreventCommandIfReadOnly("plinth_inventory.enable()");
	relid = plinth_target(fcinfo, 0);
	inventory_check_kind(relid);
	plinth_lock_owned(relid, ShareRowExclusiveLock);
	inventory_check_kind(relid);	/* it may have become another */

	options = inventory_target_options(fcinfo);
	present = inventory_table_options(relid);
	if (present)
	{
		check_present(relid, present, options);
		inventory_attach(relid, present);
		PG_RETURN_OID(plinth_qualified_oid(present->reservation));
	}
	inventory_check_shape(relid, options);
	check_schema(relid);
	inventory_check_rows(relid, options);
	inventory_name_companions(relid, options);

	inventory_own_ddl++;
	PG_TRY();
	{
		inventory_make_companions(relid, options);
		inventory_make_triggers(relid, options);
		inventory_attach(relid, options);
	}
	PG_FINALLY();
	{
		inventory_own_ddl--;
	}
	PG_END_TRY();
	inventory_account_stale(relid);
	PG_RETURN_OID(plinth_qualified_oid(options->reservation));
}

/*
 * Has the inventory all of its parts, and are they its own?  If not it cannot
 * be asked anything, but it must still be possible to get rid of it.
 */
static bool
is_whole(Oid relid, const InventoryOptions *options)
{
	const char *columns[] = {options->sku, options->quantity,
	options->reserved, options->version, options->warehouse};

	for (int i = 0; i < (options->warehouse ? 5 : 4); i++)
	{
		if (get_attnum(relid, columns[i]) <= 0)
			return false;
	}
	for (Companion i = 0; i < NCOMPANIONS; i++)
	{
		Oid			companionid =
			plinth_qualified_oid(inventory_companion_name(options, i));

		if (!OidIsValid(companionid) ||
			plinth_relation_owner(companionid) != plinth_relation_owner(relid) ||
			inventory_column_misfit(relid, options, i, companionid, false) != NULL)
			return false;
	}
	return true;
}

/* Take triggers, guards and view away, and the companions if they are to go. */
static void
take_apart(Oid relid, bool drop)
{
	List	   *attached = inventory_attached(relid);
	ListCell   *lc;

	/* the view first, which depends on the tables */
	foreach(lc, attached)
	{
		if (inventory_kind(lfirst_oid(lc)) == NCOMPANIONS)
			plinth_sql("DROP VIEW %s", plinth_relation_name(lfirst_oid(lc)));
	}
	foreach(lc, attached)
	{
		int			kind = inventory_kind(lfirst_oid(lc));

		if (kind < 0 || kind == NCOMPANIONS)
			continue;
		if (drop)
			plinth_sql("DROP TABLE %s", plinth_relation_name(lfirst_oid(lc)));
		else
			inventory_drop_guards(lfirst_oid(lc));
	}
	inventory_drop_triggers(relid);
}

/*
 * disable(target, drop_companions): the table is an inventory no more.  Before
 * that its rows get what only the ledger has.
 */
Datum
plinth_inventory_disable(PG_FUNCTION_ARGS)
{
	Oid			relid;
	bool		drop = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	InventoryOptions *options;

	PreventCommandIfReadOnly("plinth_inventory.disable()");
	relid = plinth_target(fcinfo, 0);
	plinth_lock_owned(relid, AccessExclusiveLock);
	options = inventory_table_options(relid);
	if (options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not an inventory", get_rel_name(relid)),
				 errhint("Make it one with plinth_inventory.enable().")));

	inventory_attach(relid, options);
	if (is_whole(relid, options))
	{
		for (Companion i = 0; i < NCOMPANIONS; i++)
			inventory_make_indexes(options, i);
		inventory_fold_all(inventory_get(relid), true);
	}
	else
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("inventory \"%s\" is incomplete: stock in escrow mode was not folded",
						get_rel_name(relid)),
				 errhint("Compare the table with what reservations and ledger still say.")));

	inventory_own_ddl++;
	PG_TRY();
	{
		take_apart(relid, drop);
	}
	PG_FINALLY();
	{
		inventory_own_ddl--;
	}
	PG_END_TRY();
	inventory_account_stale(relid);
	PG_RETURN_VOID();
}
