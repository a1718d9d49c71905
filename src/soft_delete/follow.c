/*
 * src/soft_delete/follow.c
 *		DDL that concerns enabled tables: the event triggers.
 *
 * What is renamed is for names.c.  What comes below an enabled table gets what enable()
 * would have given it; a partition that leaves keeps its marks and goes on
 * marking by itself, with row triggers of its own in the place of those that
 * PostgreSQL takes from it.  So when it comes back, these have to go before,
 * because they have the names of those that it gets.  What an enabled table
 * cannot be is refused as enable() refuses it.  Where our triggers are enabled
 * like any others they fire always again; who disables them means it, and
 * check() says so.  Rows that have come meanwhile, or out of a dump, have
 * numbers of deletions, which are not to be given again.
 *
 * ddl_start() does what is too late when the command has ended: it notes the
 * old name of what is renamed, removes row triggers from what is attached, and
 * takes the library out of new sessions when the extension goes.  If the command
 * fails, so does that.
 *
 * Without the event triggers a partition that is detached is an ordinary table:
 * they are always enabled.  All else fails closed, and check() finds it.
 *
 * Locks: those of the command.  ddl_start() takes them in its order: the
 * parent with ShareUpdateExclusiveLock, then what is attached and all below it
 * with AccessExclusiveLock.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/ddl.h"

PLINTH_FUNCTION(plinth_soft_delete_ddl_start);
PLINTH_FUNCTION(plinth_soft_delete_ddl_end);

int			soft_own_ddl = 0;

/* ----------
 * What comes below an enabled table, and what leaves it
 * ----------
 */

/* For errors about DDL that an enabled table does not outlive. */
static void
refuse_change(Oid relid, char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" cannot be altered like this while it is enabled for soft delete",
					get_rel_name(relid)),
			 errdetail_internal("%s", why),
			 errhint("Run plinth_soft_delete.disable() first.")));
}

/* Say no to a table that shows the rows of an enabled one and is not enabled. */
static void
refuse_parents(Oid relid)
{
	ListCell   *lc;

	foreach(lc, plinth_sql_strings("SELECT inhparent FROM pg_inherits WHERE inhrelid = %u", relid))
	{
		Oid			parent = strtoul(lfirst(lc), NULL, 10);

		if (soft_trigger(parent, "mark", NULL) == NULL)
			refuse_change(relid, psprintf("Its rows would be seen through table \"%s\", which is not.",
										  get_rel_name(parent)));
	}
}

/* Say no to what cannot be below an enabled table. */
static void
refuse_part(Oid relid, Oid root, const SoftOptions *options)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Oid			part = lfirst_oid(lc);
		const char *why = NULL;

		if (get_rel_relkind(part) == RELKIND_FOREIGN_TABLE)
			why = "Rows of foreign tables cannot be kept.";
		else if (!plinth_table_persists(part))
			why = "A temporary table goes with its session.";
		if (why)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" cannot be below soft-deleting table \"%s\"",
							get_rel_name(part), get_rel_name(root)),
					 errdetail_internal("%s", why)));
	}
	if (options->visibility == VISIBILITY_RLS)
		soft_check_policies(relid);
	soft_check_keys(relid);
	if (!options->ignore_triggers)
		soft_check_triggers(relid);
}

/*
 * Make triggers and policies, as the table's owner: whoever detaches a
 * partition need not own it.
 */
static void
make_parts(Oid relid, const SoftOptions *options, bool policies)
{
	PlinthIdentity self;

	plinth_become(&self, plinth_relation_owner(relid));
	soft_own_ddl++;
	PG_TRY();
	{
		soft_make_triggers(relid, options);
		if (policies)
			soft_make_policies(relid, options);
	}
	PG_FINALLY();
	{
		soft_own_ddl--;
	}
	PG_END_TRY();
	plinth_restore_identity(&self);
}

/* A table has come below an enabled one, or may have: give it what they have. */
static void
after_joining(Oid relid)
{
	Oid			root;
	SoftOptions *options;

	if (!OidIsValid(relid) || !has_superclass(relid))
		return;
	root = soft_root(relid);
	options = soft_table_options(root);
	if (options == NULL)
		return;
	refuse_parents(relid);
	if (root == relid)
		return;
	refuse_part(relid, root, options);
	soft_check_columns(relid, options);
	make_parts(relid, options, options->visibility == VISIBILITY_RLS);
	soft_adopt_rows(relid, options);
}

/* A table has left its parent: it goes on by itself if it has our triggers. */
static void
after_leaving(Oid relid, Oid parent)
{
	SoftOptions *options = NULL;
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	foreach(lc, plinth_relation_triggers(relid))
	{
		PlinthTrigger *trig = lfirst(lc);

		if (soft_is_our_trigger(trig))
			options = soft_options_parse(trig->nargs, trig->args);
	}
	if (options == NULL && OidIsValid(parent))
		options = soft_table_options(parent);
	if (options == NULL)
		return;
	if (soft_root(relid) == relid)
		options->active = options->deleted = NULL;	/* they are its parent's */
	make_parts(relid, options, false);
}

/* Have no deletion get a number that a row has brought along. */
static void
follow_numbers(Oid relid)
{
	SoftOptions *options = soft_table_options(relid);
	SoftTable	table;

	/* a trigger that somebody has made by hand may be on anything */
	if (options != NULL && soft_table_copy(relid, &table) && table.whole)
		(void) soft_pass_numbers(relid, options);
}

/* Triggers have been enabled: ours fire always, here and below. */
static void
after_enabling(Oid relid, bool below)
{
	List	   *all;
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	all = below ? find_all_inheritors(relid, NoLock, NULL) : list_make1_oid(relid);
	soft_own_ddl++;
	PG_TRY();
	{
		foreach(lc, all)
		{
			PlinthIdentity self;

			plinth_become(&self, plinth_relation_owner(lfirst_oid(lc)));
			soft_fire_always(lfirst_oid(lc));
			plinth_restore_identity(&self);
		}
	}
	PG_FINALLY();
	{
		soft_own_ddl--;
	}
	PG_END_TRY();
	follow_numbers(relid);
}

/*
 * A table is going to be attached as a partition.  If it has row triggers of
 * its own, they make room for those of its new parent.
 */
static void
before_attach(Oid parent, Oid part)
{
	SoftOptions *options;
	SoftOptions *own;
	static const char *const functions[] = {"mark", "stamp"};

	if (!OidIsValid(parent) || !OidIsValid(part) ||
		soft_table_options(parent) == NULL || soft_table_options(part) == NULL ||
		get_rel_relispartition(part) ||
		!plinth_owns_relation(parent, GetUserId()) ||
		!plinth_owns_relation(part, GetUserId()))
		return;					/* nothing to do, or no right to */
	LockRelationOid(parent, ShareUpdateExclusiveLock);
	LockRelationOid(part, AccessExclusiveLock);
	(void) find_all_inheritors(part, AccessExclusiveLock, NULL);
	options = soft_table_options(parent);
	own = soft_table_options(part);
	if (options == NULL || own == NULL)
		return;
	if (strcmp(options->deleted_at, own->deleted_at) != 0 ||
		strcmp(options->deletion_id, own->deletion_id) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tables \"%s\" and \"%s\" mark deleted rows in different columns",
						get_rel_name(parent), get_rel_name(part)),
				 errhint("Run plinth_soft_delete.disable() on \"%s\" first, with dead => 'keep'.",
						 get_rel_name(part))));
	soft_own_ddl++;
	PG_TRY();
	{
		for (int i = 0; i < lengthof(functions); i++)
		{
			PlinthTrigger *trig = soft_trigger(part, functions[i], NULL);

			if (trig && !OidIsValid(trig->parent))
				plinth_drop_trigger(trig);
		}
	}
	PG_FINALLY();
	{
		soft_own_ddl--;
	}
	PG_END_TRY();
}

/* ----------
 * What is refused
 * ----------
 */

/* Say no to foreign keys of a table that refer to an enabled one. */
static void
refuse_keys(Oid relid)
{
	List	   *keys = plinth_sql_strings("SELECT format('constraint \"%%s\" refers to table \"%%s\"', c.conname, r.relname)"
										  " FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid"
										  " WHERE c.contype = 'f' AND c.conrelid = %u"
										  " AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.confrelid AND t.tgfoid = %u) ORDER BY 1 LIMIT 1",
										  relid, soft_function("mark"));

	if (keys != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key of table \"%s\" cannot refer to a soft-deleting table",
						get_rel_name(relid)),
				 errdetail_internal("%s", psprintf("Its %s.", (char *) linitial(keys)))));
}

/* Say no to columns that have gone, or cannot say any more what they say. */
static void
refuse_columns(Oid relid)
{
	SoftOptions *options = soft_table_options(relid);

	if (options == NULL)
		return;
	if (get_attnum(relid, options->deleted_at) <= 0)
		refuse_change(relid, psprintf("It needs column \"%s\".", options->deleted_at));
	if (get_attnum(relid, options->deletion_id) <= 0)
		refuse_change(relid, psprintf("It needs column \"%s\".", options->deletion_id));
	soft_check_columns(relid, options);
}

/* The same for typed tables, if it is their type that was altered. */
static void
refuse_typed_columns(Oid relid)
{
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_COMPOSITE_TYPE)
		return;
	foreach(lc, plinth_sql_strings("SELECT c.oid FROM pg_class c JOIN pg_class t ON c.reloftype = t.reltype"
								   " WHERE t.oid = %u", relid))
		refuse_columns(strtoul(lfirst(lc), NULL, 10));
}

/* Say no to a new trigger that would never fire. */
static void
refuse_trigger(const PlinthTrigger *trig)
{
	SoftOptions *options = soft_table_options(trig->relid);

	if (options && !options->ignore_triggers && !trig->internal &&
		TRIGGER_FOR_DELETE(trig->type) && !soft_is_our_trigger(trig))
		soft_check_triggers(trig->relid);
}

/* ----------
 * The commands
 * ----------
 */

/* What has come below, or left, by ALTER TABLE. */
static void
follow_families(AlterTableStmt *stmt)
{
	Oid			relid = plinth_named_relation(stmt->relation);
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		switch (cmd->subtype)
		{
			case AT_AttachPartition:
				after_joining(plinth_named_relation(castNode(PartitionCmd, cmd->def)->name));
				break;
			case AT_AddInherit:
				after_joining(relid);
				break;
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				after_leaving(plinth_named_relation(castNode(PartitionCmd, cmd->def)->name),
							  relid);
				break;
			case AT_DropInherit:
				after_leaving(relid, InvalidOid);
				break;
			case AT_EnableTrig:
			case AT_EnableTrigAll:
			case AT_EnableTrigUser:
				after_enabling(relid, stmt->relation->inh);
				break;
			default:
				break;
		}
	}
}

/* May the command have made a foreign key? */
static bool
makes_keys(Node *parsetree)
{
	ListCell   *lc;

	if (!IsA(parsetree, AlterTableStmt))
		return true;
	foreach(lc, castNode(AlterTableStmt, parsetree)->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AddConstraint || cmd->subtype == AT_AddColumn)
			return true;
	}
	return false;
}

/* Look after all that a command has created or changed. */
static void
follow_touched_objects(Node *parsetree)
{
	bool		alters = IsA(parsetree, AlterTableStmt);
	ListCell   *lc;

	foreach(lc, plinth_touched_objects())
	{
		PlinthTouched *touched = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (touched->is_trigger)
		{
			PlinthTrigger *trig = plinth_trigger(touched->objid);

			if (trig)
				refuse_trigger(trig);
			if (trig && trig->funcid == soft_function("mark"))
				follow_numbers(trig->relid);
			continue;
		}
		if (makes_keys(parsetree))
			refuse_keys(touched->objid);
		if (alters)
		{
			refuse_columns(touched->objid);
			refuse_typed_columns(touched->objid);
		}
		else
			after_joining(touched->objid);
	}
}

/* Is it DROP EXTENSION of ours? */
static bool
drops_extension(DropStmt *stmt)
{
	ListCell   *lc;

	if (stmt->removeType != OBJECT_EXTENSION)
		return false;
	foreach(lc, stmt->objects)
	{
		if (strcmp(strVal(lfirst(lc)), "plinth_soft_delete") == 0)
			return true;
	}
	return false;
}

/* Is there nothing that these commands could concern? */
static bool
is_idle(void)
{
	Oid			funcid = soft_function("mark");

	return soft_own_ddl > 0 || !OidIsValid(funcid) ||
		plinth_function_triggers(funcid) == NIL;
}

/*
 * plinth_soft_delete.ddl_start(): event trigger at ddl_command_start.
 */
Datum
plinth_soft_delete_ddl_start(PG_FUNCTION_ARGS)
{
	Node	   *parsetree;

	parsetree = plinth_event_trigger(fcinfo,
									 "plinth_soft_delete.ddl_start")->parsetree;
	switch (nodeTag(parsetree))
	{
		case T_RenameStmt:
			if (!is_idle())
				soft_note_name(plinth_named_relation(castNode(RenameStmt, parsetree)->relation));
			break;
		case T_AlterObjectSchemaStmt:
			if (!is_idle())
				soft_note_name(plinth_named_relation(castNode(AlterObjectSchemaStmt, parsetree)->relation));
			break;
		case T_AlterTableStmt:
			{
				AlterTableStmt *stmt = castNode(AlterTableStmt, parsetree);
				ListCell   *lc;

				foreach(lc, stmt->cmds)
				{
					AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

					if (cmd->subtype == AT_AttachPartition &&
						stmt->objtype == OBJECT_TABLE && !is_idle())
						before_attach(plinth_named_relation(stmt->relation),
									  plinth_named_relation(castNode(PartitionCmd, cmd->def)->name));
				}
			}
			break;
		case T_DropStmt:
			if (drops_extension(castNode(DropStmt, parsetree)))
				soft_preload_remove();
			break;
		default:
			break;
	}
	PG_RETURN_NULL();
}

/*
 * plinth_soft_delete.ddl_end(): event trigger at ddl_command_end.
 */
Datum
plinth_soft_delete_ddl_end(PG_FUNCTION_ARGS)
{
	Node	   *parsetree;

	parsetree = plinth_event_trigger(fcinfo,
									 "plinth_soft_delete.ddl_end")->parsetree;
	switch (nodeTag(parsetree))
	{
		case T_RenameStmt:
			if (!is_idle())
				soft_follow_names(castNode(RenameStmt, parsetree));
			break;
		case T_AlterObjectSchemaStmt:
			if (!is_idle())
				soft_follow_rename();
			break;
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_CreateSchemaStmt:
		case T_CreateTrigStmt:
			if (!is_idle())
				follow_touched_objects(parsetree);
			break;
		case T_AlterTableStmt:
			if (!is_idle())
			{
				if (castNode(AlterTableStmt, parsetree)->objtype == OBJECT_TABLE)
					follow_families(castNode(AlterTableStmt, parsetree));
				follow_touched_objects(parsetree);
			}
			break;
		default:
			break;
	}
	PG_RETURN_NULL();
}
