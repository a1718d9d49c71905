/*
 * src/soft_delete/names.c
 *		Tables and columns that get other names.
 *
 * Columns are called by name in the triggers' arguments, tables in the record.
 * What a table was called is noted before the command, so that it is found in
 * the record after it.
 *
 * Locks: those of the command.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "kit/ddl.h"

/* What the command that is under way renames, by its name before. */
static struct
{
	Oid			relid;			/* InvalidOid: nothing */
	NameData	nspname;
	NameData	relname;
}			renamed;

/* A column was renamed: so it is in the options, here and below. */
static void
follow_column_rename(Oid relid, const char *from, const char *to)
{
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		ListCell   *lt;

		foreach(lt, plinth_relation_triggers(lfirst_oid(lc)))
		{
			PlinthTrigger *trig = lfirst(lt);
			SoftOptions *options;

			if (!soft_is_our_trigger(trig))
				continue;
			options = soft_options_parse(trig->nargs, trig->args);
			if (strcmp(options->deleted_at, from) == 0)
				options->deleted_at = pstrdup(to);
			if (strcmp(options->deletion_id, from) == 0)
				options->deletion_id = pstrdup(to);
			if (!soft_same_args(trig, soft_options_args(options)))
				plinth_set_trigger_args(trig->oid, soft_options_args(options));
		}
	}
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

/*
 * A table has another name: so it has in the record of its deletions, also of
 * those that are newer than the snapshot of the transaction.
 */
static void
rename_in_record(const char *from, const char *to)
{
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[2];
	PlinthIdentity self;
	SPIPlanPtr	plan;

	values[0] = CStringGetTextDatum(from);
	values[1] = CStringGetTextDatum(to);
	plinth_become(&self, soft_owner());
	plinth_spi_connect();
	plan = SPI_prepare("UPDATE " SOFT_RECORD_TABLE " SET target = $2 WHERE target = $1",
					   2, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	CommandCounterIncrement();
	if (SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(),
							 InvalidSnapshot, false, true, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not rename a table in \"%s\"", SOFT_RECORD_TABLE);
	plinth_spi_finish();
	plinth_restore_identity(&self);
}

/* Note what a relation is called, if it is going to be called differently. */
void
soft_note_name(Oid relid)
{
	char	   *nspname;

	renamed.relid = InvalidOid;
	if (!OidIsValid(relid) || soft_table_options(relid) == NULL)
		return;
	nspname = get_namespace_name(get_rel_namespace(relid));
	if (nspname == NULL || get_rel_name(relid) == NULL)
		return;
	renamed.relid = relid;
	namestrcpy(&renamed.nspname, nspname);
	namestrcpy(&renamed.relname, get_rel_name(relid));
}

/* Is there a new name for what was noted? */
void
soft_follow_rename(void)
{
	char	   *from;
	char	   *to;

	if (!OidIsValid(renamed.relid))
		return;
	to = plinth_relation_name(renamed.relid);
	renamed.relid = InvalidOid;
	from = plinth_quote_name(NameStr(renamed.nspname), NameStr(renamed.relname));
	if (to && strcmp(from, to) != 0)
		rename_in_record(from, to);
}

/* A schema was renamed: so were the tables in it. */
static void
follow_schema_rename(const char *from, const char *to)
{
	ListCell   *lc;

	foreach(lc, soft_enabled_tables())
	{
		char	   *nspname = get_namespace_name(get_rel_namespace(lfirst_oid(lc)));

		if (nspname && strcmp(nspname, to) == 0)
			rename_in_record(plinth_quote_name(from, get_rel_name(lfirst_oid(lc))),
							 plinth_relation_name(lfirst_oid(lc)));
	}
}

/* A command that renames something has ended. */
void
soft_follow_names(RenameStmt *stmt)
{
	if (stmt->renameType == OBJECT_COLUMN)
		follow_column_rename(plinth_named_relation(stmt->relation),
							 stmt->subname, stmt->newname);
	else if (stmt->renameType == OBJECT_ATTRIBUTE)
		follow_attribute_rename(plinth_named_relation(stmt->relation),
								stmt->subname, stmt->newname);
	else if (stmt->renameType == OBJECT_SCHEMA)
		follow_schema_rename(stmt->subname, stmt->newname);
	else
		soft_follow_rename();
}
