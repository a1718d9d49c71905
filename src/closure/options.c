/*
 * src/closure/options.c
 *		The options of a hierarchy, as its triggers' arguments.
 *
 * One argument is one option, "name=value"; lists are quoted identifiers with
 * commas between.  They travel with the table in every dump and into every
 * partition, and nothing that the triggers need is anywhere else.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "utils/builtins.h"

/* true for "root", false for "error"; 22023 otherwise. */
bool
closure_orphans_parse(const char *word)
{
	return plinth_option_choice("orphans", word, "error", "root") == 1;
}

/*
 * Read trigger arguments into the current memory context.  55000 if they do
 * not make sense, because then the trigger was not made by enable().
 */
ClosureOptions *
closure_options_parse(int nargs, char **args)
{
	ClosureOptions *options = palloc0(sizeof(ClosureOptions));

	options->max_depth = 1000;
	for (int i = 0; i < nargs; i++)
	{
		const char *arg = args[i];
		const char *value;

		if ((value = plinth_arg_value(arg, "closure")) != NULL)
			options->closure = pstrdup(value);
		else if ((value = plinth_arg_value(arg, "key")) != NULL)
			options->key = plinth_names_parse(arg, value);
		else if ((value = plinth_arg_value(arg, "parent")) != NULL)
			options->parent = plinth_names_parse(arg, value);
		else if ((value = plinth_arg_value(arg, "max_depth")) != NULL)
			options->max_depth = pg_strtoint32(value);
		else if ((value = plinth_arg_value(arg, "max_rows")) != NULL)
			options->max_rows = strtoll(value, NULL, 10);
		else if ((value = plinth_arg_value(arg, "orphans")) != NULL)
			options->orphan_roots = closure_orphans_parse(value);
		else if ((value = plinth_arg_value(arg, "name")) != NULL)
			options->name = pstrdup(value);
		else
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("unrecognized closure trigger argument \"%s\"", arg),
					 errhint("Use plinth_closure.enable() to make a hierarchy.")));
	}
	if (options->closure == NULL || options->key == NIL ||
		list_length(options->key) != list_length(options->parent) ||
		list_length(options->key) > CLOSURE_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("closure trigger lacks arguments"),
				 errhint("Use plinth_closure.enable() to make a hierarchy.")));
	return options;
}

/* The opposite of closure_options_parse(): a List of palloc'd strings. */
List *
closure_options_args(const ClosureOptions *options)
{
	List	   *args = NIL;

	args = lappend(args, psprintf("closure=%s", options->closure));
	args = lappend(args, plinth_names_arg("key", options->key));
	args = lappend(args, plinth_names_arg("parent", options->parent));
	args = lappend(args, psprintf("max_depth=%d", options->max_depth));
	if (options->max_rows > 0)
		args = lappend(args, psprintf("max_rows=" INT64_FORMAT,
									  options->max_rows));
	if (options->orphan_roots)
		args = lappend(args, "orphans=root");
	if (options->name)
		args = lappend(args, psprintf("name=%s", options->name));
	return args;
}
