/*
 * src/inventory/follow.c
 *		DDL that concerns inventories: the event trigger.
 *
 * Triggers name columns and companions, and guards name the table, so that
 * dumps carry it; here the names are kept true when something is renamed or
 * moved, from the OIDs that attach.c has recorded.  Companions go with their
 * table to another owner.  What an inventory cannot be is refused.
 *
 * Nothing depends on this for safety: if the event trigger is disabled, a name
 * that means nothing any more makes the next write fail, and check() finds the
 * rest.  All of it compares what is with what should be, and may run twice.
 *
 * Locks: ShareRowExclusiveLock on the table before its triggers are changed.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/ddl.h"

PLINTH_FUNCTION(plinth_inventory_ddl_end);

int			inventory_own_ddl = 0;

/* Write new options into all triggers of a table. */
static void
set_options(Oid relid, const InventoryOptions *options)
{
	Oid			stock = inventory_function("stock");
	ListCell   *lc;

	LockRelationOid(relid, ShareRowExclusiveLock);
	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid == stock)
			plinth_set_trigger_args(trig->oid, inventory_options_args(options));
	}
}

/* The guards of a companion say which table it belongs to. */
static void
set_guards(Oid companionid, const char *table)
{
	Oid			guard = inventory_function("guard");
	ListCell   *lc;

	foreach(lc, plinth_relation_triggers(companionid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (trig->funcid == guard && trig->nargs > 0 &&
			!plinth_same_name(trig->args[0], table))
		{
			LockRelationOid(companionid, ShareRowExclusiveLock);
			plinth_set_trigger_args(trig->oid, list_make1(pstrdup(table)));
		}
	}
}

/* Put a name right; was it wrong? */
static bool
follow_name(char **name, const char *is)
{
	if (plinth_same_name(*name, is))
		return false;
	*name = pstrdup(is);
	return true;
}

/* A companion belongs to whom the table belongs to, and is logged as it is. */
static void
follow_table(Oid relid, Oid companionid, bool is_view)
{
	const char *name = plinth_relation_name(companionid);

	if (plinth_relation_owner(companionid) != plinth_relation_owner(relid))
		inventory_give_to_owner(relid, is_view ? "VIEW" : "TABLE", name);
	if (!is_view &&
		get_rel_persistence(relid) != get_rel_persistence(companionid))
		plinth_sql("ALTER TABLE %s SET %s", name,
				   get_rel_persistence(relid) == RELPERSISTENCE_UNLOGGED ?
				   "UNLOGGED" : "LOGGED");
}

/* Bring names, owners and persistence of an inventory up to date. */
static void
follow_inventory(Oid relid)
{
	InventoryOptions *options = inventory_table_options(relid);
	char	   *table = plinth_relation_name(relid);
	bool		changed = false;
	ListCell   *lc;

	if (options == NULL)
		return;
	foreach(lc, inventory_attached(relid))
	{
		Oid			companionid = lfirst_oid(lc);
		char	   *name = plinth_relation_name(companionid);
		int			kind = inventory_kind(companionid);

		switch (kind)
		{
			case RESERVATION:
				changed |= follow_name(&options->reservation, name);
				break;
			case MOVEMENT:
				changed |= follow_name(&options->movement, name);
				break;
			case CELL:
				changed |= follow_name(&options->cell, name);
				break;
			case NCOMPANIONS:
				changed |= follow_name(&options->view, name);
				break;
			default:
				continue;
		}
		if (kind != NCOMPANIONS)
			set_guards(companionid, table);
		follow_table(relid, companionid, kind == NCOMPANIONS);
	}
	if (changed)
		set_options(relid, options);
}

/* The inventory that a relation is or belongs to; InvalidOid if none. */
static Oid
inventory_of(Oid relid)
{
	if (inventory_trigger(relid, "stock", INVENTORY_AFTER_TRIGGER))
		return relid;
	return inventory_attached_table(relid);
}

/* Put a column's new name into an option. */
static bool
rename_option(char **option, const char *from, const char *to)
{
	if (*option == NULL || strcmp(*option, from) != 0)
		return false;
	*option = pstrdup(to);
	return true;
}

/* A column was renamed: so it is in the options. */
static void
follow_column_rename(Oid relid, const char *from, const char *to)
{
	InventoryOptions *options;
	bool		changed = false;

	if (!OidIsValid(relid))
		return;
	options = inventory_table_options(relid);
	if (options == NULL)
		return;
	changed |= rename_option(&options->sku, from, to);
	changed |= rename_option(&options->warehouse, from, to);
	changed |= rename_option(&options->quantity, from, to);
	changed |= rename_option(&options->reserved, from, to);
	changed |= rename_option(&options->version, from, to);
	if (changed)
		set_options(relid, options);
}

/* Typed tables whose type has a new name for a column. */
static void
follow_attribute_rename(Oid typrel, const char *from, const char *to)
{
	ListCell   *lc;

	if (!OidIsValid(typrel))
		return;
	foreach(lc, plinth_sql_strings("SELECT c.oid FROM pg_class c JOIN pg_class t ON c.reloftype = t.reltype"
								   " WHERE t.oid = %u", typrel))
		follow_column_rename(strtoul(lfirst(lc), NULL, 10), from, to);
}

/* A schema was renamed: look after all inventories that may be in it. */
static void
follow_schema_rename(void)
{
	ListCell   *lc;

	foreach(lc, plinth_function_triggers(inventory_function("stock")))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (strcmp(trig->name, INVENTORY_AFTER_TRIGGER) == 0)
			follow_inventory(trig->relid);
	}
}

/* Is this an inventory, or a table beside one? */
static bool
is_ours(Oid relid)
{
	return inventory_trigger(relid, "stock", NULL) != NULL ||
		inventory_trigger(relid, "guard", NULL) != NULL;
}

/* Say no to inheritance: keys would not be unique, and triggers not fire. */
static void
refuse_family(Oid relid)
{
	bool		ours;
	ListCell   *lc;

	if (!OidIsValid(relid) || !has_superclass(relid))
		return;
	ours = is_ours(relid);
	foreach(lc, plinth_sql_strings("SELECT inhparent FROM pg_inherits WHERE inhrelid = %u", relid))
	{
		Oid			parent = strtoul(lfirst(lc), NULL, 10);
		Oid			which = ours ? relid : parent;

		if (ours || is_ours(parent))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" cannot inherit from table \"%s\"",
							get_rel_name(relid), get_rel_name(parent)),
					 errdetail("Keys are not unique over such tables, and \"%s\" belongs to an inventory.",
							   get_rel_name(which)),
					 errhint("Run plinth_inventory.disable() first.")));
	}
}

/* For errors about DDL that an inventory does not outlive. */
static void
refuse_change(Oid relid, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" cannot be altered like this while it is an inventory",
					get_rel_name(relid)),
			 errdetail_internal("%s", why),
			 errhint("Run plinth_inventory.disable() first.")));
}

/* Say no to columns that do not fit together any more. */
static void
refuse_columns(Relation rel, const InventoryOptions *options)
{
	Oid			relid = RelationGetRelid(rel);
	const char *columns[] = {options->sku, options->quantity,
	options->reserved, options->version, options->warehouse};

	for (int i = 0; i < (options->warehouse ? 5 : 4); i++)
	{
		if (get_attnum(relid, columns[i]) <= 0)
			refuse_change(relid, psprintf("It needs column \"%s\".", columns[i]));
	}
	inventory_check_columns(rel, options);
	for (Companion i = 0; i < NCOMPANIONS; i++)
	{
		Oid			companionid =
			plinth_qualified_oid(inventory_companion_name(options, i));
		char	   *why = NULL;

		if (OidIsValid(companionid))
			why = inventory_column_misfit(relid, options, i, companionid, false);
		if (why)
			refuse_change(relid, psprintf("Table \"%s\" would not fit. %s",
										  get_rel_name(companionid), why));
	}
}

/* Say no to row-level security that cannot be honoured. */
static void
refuse_policies(Relation rel, const InventoryOptions *options)
{
	Oid			cellid = plinth_qualified_oid(options->cell);
	PlinthIdentity saved;
	bool		escrow;

	inventory_check_row_security(rel, options);
	if (!rel->rd_rel->relrowsecurity || !OidIsValid(cellid) ||
		get_rel_relkind(cellid) != RELKIND_RELATION)
		return;

	/* with the owner's rights: triggers name what their makers like */
	plinth_become(&saved, rel->rd_rel->relowner);
	escrow = plinth_sql_strings("SELECT 1 FROM %s WHERE mode = 'escrow' LIMIT 1",
								options->cell) != NIL;
	plinth_restore_identity(&saved);
	if (escrow)
		refuse_change(RelationGetRelid(rel), "Cells of it are in escrow mode, which does not honour row-level security.");
}

/* A table was altered that is an inventory or belongs to one. */
static void
follow_alter(Oid relid)
{
	InventoryOptions *options = inventory_table_options(relid);
	Relation	rel;

	if (options == NULL)
		return;
	rel = relation_open(relid, AccessShareLock);
	refuse_columns(rel, options);
	refuse_policies(rel, options);
	relation_close(rel, NoLock);
	follow_inventory(relid);
	inventory_account_stale(relid);
}

/*
 * One of our own triggers has come by another hand than enable()'s: a restore
 * brings them one by one, without what the catalogs know of companions.
 */
static void
follow_our_trigger(PlinthTrigger *trig)
{
	InventoryOptions *options;
	Oid			relid = InvalidOid;

	if (trig->funcid == inventory_function("stock"))
		relid = trig->relid;
	else if (trig->funcid == inventory_function("guard") && trig->nargs > 0)
		relid = plinth_qualified_oid(trig->args[0]);
	if (!OidIsValid(relid))
		return;
	options = inventory_table_options(relid);
	if (options)
		inventory_attach(relid, options);
}

/* What only the parse tree tells. */
static void
follow_parse_tree(Node *parsetree)
{
	if (IsA(parsetree, RenameStmt))
	{
		RenameStmt *stmt = castNode(RenameStmt, parsetree);

		if (stmt->renameType == OBJECT_COLUMN)
			follow_column_rename(plinth_named_relation(stmt->relation),
								 stmt->subname, stmt->newname);
		else if (stmt->renameType == OBJECT_ATTRIBUTE)
			follow_attribute_rename(plinth_named_relation(stmt->relation),
									stmt->subname, stmt->newname);
		else if (stmt->renameType == OBJECT_SCHEMA)
			follow_schema_rename();
	}
	else if (IsA(parsetree, AlterTableStmt))
	{
		ListCell   *lc;

		foreach(lc, castNode(AlterTableStmt, parsetree)->cmds)
		{
			AlterTableCmd *cmd = lfirst(lc);

			if (IsA(cmd, AlterTableCmd) && cmd->subtype == AT_AttachPartition)
				refuse_family(plinth_named_relation(castNode(PartitionCmd, cmd->def)->name));
		}
	}
}

/* Look after all that a command has created or changed. */
static void
follow_touched_objects(Node *parsetree)
{
	ListCell   *lc;

	foreach(lc, plinth_touched_objects())
	{
		PlinthTouched *touched = lfirst(lc);
		Oid			relid;

		CHECK_FOR_INTERRUPTS();
		if (touched->is_trigger)
		{
			PlinthTrigger *trig = plinth_trigger(touched->objid);

			if (trig)
				follow_our_trigger(trig);
			continue;
		}
		refuse_family(touched->objid);
		relid = inventory_of(touched->objid);
		if (!OidIsValid(relid))
			continue;
		if (IsA(parsetree, AlterTableStmt))
			follow_alter(relid);
		else
			follow_inventory(relid);
	}
}

/* Can this command concern us at all? */
static bool
is_relevant(Node *parsetree)
{
	switch (nodeTag(parsetree))
	{
		case T_CreateStmt:
			return castNode(CreateStmt, parsetree)->inhRelations != NIL;
		case T_CreateForeignTableStmt:
		case T_CreateSchemaStmt:
		case T_CreateTrigStmt:
		case T_AlterTableStmt:
		case T_AlterObjectSchemaStmt:
		case T_RenameStmt:
			return true;
		default:
			return false;
	}
}

/*
 * plinth_inventory.ddl_end(): event trigger at ddl_command_end.
 */
Datum
plinth_inventory_ddl_end(PG_FUNCTION_ARGS)
{
	Node	   *parsetree;
	Oid			stock;

	parsetree = plinth_event_trigger(fcinfo,
									 "plinth_inventory.ddl_end")->parsetree;
	stock = inventory_function("stock");
	if (inventory_own_ddl > 0 || !is_relevant(parsetree) ||
		!OidIsValid(stock) || !OidIsValid(inventory_function("guard")) ||
		plinth_function_triggers(stock) == NIL)
		PG_RETURN_NULL();

	follow_parse_tree(parsetree);
	follow_touched_objects(parsetree);
	PG_RETURN_NULL();
}
