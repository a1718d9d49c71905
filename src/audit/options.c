/*
 * src/audit/options.c
 *		The options of an audited table, as its triggers' arguments.
 *
 * An option is one argument "name=value"; lists are quoted identifiers with
 * commas between.  The arguments are the only place where options are kept:
 * they go where the trigger goes, into a dump and into every partition.  An
 * argument that is not understood is an error, never ignored, because it may
 * be the one that hides a column.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

/* The word for a mode, as in enable(mode => ...). */
const char *
audit_mode_name(AuditMode mode)
{
	switch (mode)
	{
		case AUDIT_MODE_FULL:
			return "full";
		case AUDIT_MODE_DELTA:
			return "delta";
		case AUDIT_MODE_NEW:
			return "new";
	}
	return NULL;				/* keep compiler quiet */
}

/* The mode for a word; 22023 if there is none. */
AuditMode
audit_mode_parse(const char *word)
{
	if (strcmp(word, "full") == 0)
		return AUDIT_MODE_FULL;
	if (strcmp(word, "delta") == 0)
		return AUDIT_MODE_DELTA;
	if (strcmp(word, "new") == 0)
		return AUDIT_MODE_NEW;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized audit mode \"%s\"", word),
			 errhint("Valid modes are \"full\", \"delta\" and \"new\".")));
}

const char *
audit_truncate_name(bool truncate_rows)
{
	return truncate_rows ? "rows" : "event";
}

/* true for "rows", false for "event"; 22023 otherwise. */
bool
audit_truncate_parse(const char *word)
{
	return plinth_option_choice("truncate", word, "rows", "event") == 0;
}

/*
 * Read trigger arguments.  The result and all it points to are in the current
 * memory context.  55000 if they do not make sense, because then the trigger
 * was not made by enable().
 */
AuditOptions *
audit_options_parse(int nargs, char **args)
{
	AuditOptions *options = palloc0(sizeof(AuditOptions));

	options->mode = AUDIT_MODE_FULL;
	options->truncate_rows = true;

	for (int i = 0; i < nargs; i++)
	{
		const char *arg = args[i];
		const char *value;

		if ((value = plinth_arg_value(arg, "log")) != NULL)
			options->log = pstrdup(value);
		else if ((value = plinth_arg_value(arg, "mode")) != NULL)
			options->mode = audit_mode_parse(value);
		else if ((value = plinth_arg_value(arg, "truncate")) != NULL)
			options->truncate_rows = audit_truncate_parse(value);
		else if ((value = plinth_arg_value(arg, "include")) != NULL)
		{
			options->has_include = true;
			options->include = plinth_names_parse(arg, value);
		}
		else if ((value = plinth_arg_value(arg, "exclude")) != NULL)
			options->exclude = plinth_names_parse(arg, value);
		else if ((value = plinth_arg_value(arg, "mask")) != NULL)
			options->mask = plinth_names_parse(arg, value);
		else
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("unrecognized audit trigger argument \"%s\"", arg),
					 errhint("Use plinth_audit.enable() to audit a table.")));
	}
	if (options->log == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("audit trigger has no argument \"log\""),
				 errhint("Use plinth_audit.enable() to audit a table.")));
	return options;
}

/*
 * The opposite of audit_options_parse(): a List of palloc'd strings.  What is
 * at its default and may be left out is left out, so that \d stays short.
 */
List *
audit_options_args(const AuditOptions *options)
{
	List	   *args = NIL;

	args = lappend(args, psprintf("log=%s", options->log));
	args = lappend(args, psprintf("mode=%s", audit_mode_name(options->mode)));
	args = lappend(args, psprintf("truncate=%s",
								  audit_truncate_name(options->truncate_rows)));
	if (options->has_include)
		args = lappend(args, plinth_names_arg("include", options->include));
	if (options->exclude != NIL)
		args = lappend(args, plinth_names_arg("exclude", options->exclude));
	if (options->mask != NIL)
		args = lappend(args, plinth_names_arg("mask", options->mask));
	return args;
}

/* Do two lists hold the same names, in any order? */
static bool
same_names(const List *a, const List *b)
{
	ListCell   *lc;

	if (list_length(a) != list_length(b))
		return false;
	foreach(lc, a)
	{
		if (!plinth_name_in(b, lfirst(lc)))
			return false;
	}
	return true;
}

/* Do two sets of options mean the same? */
bool
audit_options_equal(const AuditOptions *a, const AuditOptions *b)
{
	return plinth_same_name(a->log, b->log) &&
		a->mode == b->mode &&
		a->truncate_rows == b->truncate_rows &&
		a->has_include == b->has_include &&
		same_names(a->include, b->include) &&
		same_names(a->exclude, b->exclude) &&
		same_names(a->mask, b->mask);
}
