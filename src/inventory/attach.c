/*
 * src/inventory/attach.c
 *		Our triggers, and which companions go with which table.
 *
 * Trigger arguments name companions and table, so that dumps carry it.  Names
 * prove nothing, though: whoever may make a trigger can write into it what he
 * likes.  What does is a dependency in the catalogs: the guards of companions,
 * and the view, depend on the table.  It is recorded only where all have one
 * owner and by somebody who may act for that owner.  It also makes guards and
 * view go when the table is dropped, while reservations and ledger stay.
 *
 * Locks: the caller has ShareRowExclusiveLock on the table.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_trigger.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Make a trigger fire in every session_replication_role. */
static void
enable_always(const char *table, const char *trigger)
{
	plinth_sql("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table, trigger);
}

/* Make the triggers on the table and those on its companions. */
void
inventory_make_triggers(Oid relid, const InventoryOptions *options)
{
	const char *name = plinth_relation_name(relid);
	const char *args = plinth_literal_list(inventory_options_args(options));

	inventory_drop_triggers(relid);
	plinth_sql("CREATE TRIGGER " INVENTORY_BEFORE_TRIGGER
			   " BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION "
			   INVENTORY_SCHEMA ".stock(%s)", name, args);
	plinth_sql("CREATE TRIGGER " INVENTORY_AFTER_TRIGGER
			   " AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION "
			   INVENTORY_SCHEMA ".stock(%s)", name, args);
	plinth_sql("CREATE TRIGGER " INVENTORY_TRUNCATE_TRIGGER
			   " BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION "
			   INVENTORY_SCHEMA ".stock(%s)", name, args);
	enable_always(name, INVENTORY_BEFORE_TRIGGER);
	enable_always(name, INVENTORY_AFTER_TRIGGER);
	enable_always(name, INVENTORY_TRUNCATE_TRIGGER);

	for (Companion i = 0; i < NCOMPANIONS; i++)
	{
		const char *companion = inventory_companion_name(options, i);

		inventory_drop_guards(plinth_qualified_oid(companion));
		/* a restore of data inserts row by row: let each be seen */
		plinth_sql("CREATE TRIGGER " INVENTORY_GUARD_TRIGGER
				   " BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION "
				   INVENTORY_SCHEMA ".guard(%s)",
				   companion, quote_literal_cstr(name));
		plinth_sql("CREATE TRIGGER " INVENTORY_GUARD_CHANGE_TRIGGER
				   " BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION "
				   INVENTORY_SCHEMA ".guard(%s)",
				   companion, quote_literal_cstr(name));
		enable_always(companion, INVENTORY_GUARD_TRIGGER);
		enable_always(companion, INVENTORY_GUARD_CHANGE_TRIGGER);
	}
}

/* Drop the triggers of a relation that call a function of ours. */
static void
drop_triggers(Oid relid, const char *function)
{
	Oid			funcid = inventory_function(function);
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid == funcid)
			plinth_drop_trigger(trig);
	}
}

/* Drop our triggers on a table of stock. */
void
inventory_drop_triggers(Oid relid)
{
	drop_triggers(relid, "stock");
}

/* Drop the guards of a companion. */
void
inventory_drop_guards(Oid companionid)
{
	drop_triggers(companionid, "guard");
}

/*
 * The OID of a relation of this name that has the same owner as the table;
 * locked, so that it stays.  InvalidOid if there is none.
 */
static Oid
of_same_owner(const char *name, Oid relid)
{
	Oid			otherid = plinth_qualified_oid(name);

	if (!OidIsValid(otherid) || otherid == relid)
		return InvalidOid;
	LockRelationOid(otherid, AccessShareLock);
	if (plinth_qualified_oid(name) != otherid ||
		plinth_relation_owner(otherid) != plinth_relation_owner(relid))
		return InvalidOid;
	return otherid;
}

/* Record which companions go with the table. */
void
inventory_attach(Oid relid, const InventoryOptions *options)
{
	Oid			guard = inventory_function("guard");
	Oid			viewid;

	if (!plinth_owns_relation(relid, GetUserId()))
		return;
	for (Companion i = 0; i < NCOMPANIONS; i++)
	{
		Oid			companionid =
			of_same_owner(inventory_companion_name(options, i), relid);
		ListCell   *lc;

		if (!OidIsValid(companionid))
			continue;
		foreach(lc, plinth_relation_triggers(companionid))
		{
			PlinthTrigger *trig = lfirst(lc);

			if (trig->funcid == guard && trig->nargs > 0 &&
				plinth_qualified_oid(trig->args[0]) == relid)
				plinth_drop_with(TriggerRelationId, trig->oid, relid);
		}
	}
	viewid = of_same_owner(options->view, relid);
	if (OidIsValid(viewid) && get_rel_relkind(viewid) == RELKIND_VIEW)
		plinth_drop_with(RelationRelationId, viewid, relid);
	CommandCounterIncrement();
}

/*
 * Relations that go with a table, of which inventory_kind() says what they
 * are: a List of Oid.
 */
List *
inventory_attached(Oid relid)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT CASE WHEN t.oid IS NULL THEN c.oid ELSE t.tgrelid END"
								   " FROM pg_depend d LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND t.tgfoid = %u"
								   " LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'v'"
								   " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %u AND d.refobjsubid = 0 AND d.deptype = 'a'"
								   " AND (t.tgrelid <> d.refobjid OR c.oid <> d.refobjid)",
								   inventory_function("guard"), relid))
		result = list_append_unique_oid(result, strtoul(lfirst(lc), NULL, 10));
	return result;
}

/*
 * What a relation looks like: one of the companions, the view (NCOMPANIONS),
 * or neither (-1).  Other extensions may have made views that go with the
 * table, too.
 */
int
inventory_kind(Oid relid)
{
	if (get_rel_relkind(relid) == RELKIND_VIEW)
		return get_attnum(relid, "overdue") > 0 ? NCOMPANIONS : -1;
	if (inventory_trigger(relid, "guard", NULL) == NULL)
		return -1;
	if (get_attnum(relid, inventory_reservation_columns[R_REQUEST]) > 0)
		return RESERVATION;
	if (get_attnum(relid, inventory_movement_columns[M_ID]) > 0)
		return MOVEMENT;
	if (get_attnum(relid, inventory_cell_columns[C_FOLDED]) > 0)
		return CELL;
	return -1;
}

/* The table that a companion or view goes with; InvalidOid if with none. */
Oid
inventory_attached_table(Oid relid)
{
	List	   *found;

	if (inventory_kind(relid) < 0)
		return InvalidOid;
	found = plinth_sql_strings("SELECT d.refobjid FROM (SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE tgrelid = %u AND tgfoid = %u"
							   " UNION ALL SELECT 'pg_class'::regclass, %u) AS o (classid, objid)"
							   " JOIN pg_depend d ON d.classid = o.classid AND d.objid = o.objid AND d.objsubid = 0"
							   " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> %u AND d.refobjsubid = 0 AND d.deptype = 'a'"
							   " AND EXISTS (SELECT FROM pg_trigger s WHERE s.tgrelid = d.refobjid AND s.tgfoid = %u) LIMIT 1",
							   relid, inventory_function("guard"), relid, relid,
							   inventory_function("stock"));
	return found == NIL ? InvalidOid : strtoul(linitial(found), NULL, 10);
}
