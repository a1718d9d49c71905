/*
 * src/soft_delete/options.c
 *		The options of a table, as its triggers' arguments.
 *
 * One argument is one option, "name=value"; names of columns are quoted
 * identifiers.  They travel with the table in every dump and into every
 * partition, and nothing that the hook needs is anywhere else.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "soft_delete/soft_delete.h"

#include "utils/varlena.h"

static const char *const visibility_words[] = {
	[VISIBILITY_RLS] = "rls",
	[VISIBILITY_FILTER] = "filter",
	[VISIBILITY_NONE] = "none"
};

/* 22023 if it is none of the words. */
SoftVisibility
soft_visibility_parse(const char *word)
{
	for (SoftVisibility v = VISIBILITY_RLS; v <= VISIBILITY_NONE; v++)
	{
		if (strcmp(word, visibility_words[v]) == 0)
			return v;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized value \"%s\" for option \"%s\"", word, "visibility"),
			 errhint("Valid values are \"rls\", \"filter\" and \"none\".")));
	return VISIBILITY_RLS;		/* keep compiler quiet */
}

const char *
soft_visibility_word(SoftVisibility visibility)
{
	return visibility_words[visibility];
}

/*
 * The one name that stands in an argument, in the current memory context; NULL
 * if that is not what stands there.
 */
static char *
name_parse(const char *value)
{
	List	   *names;

	if (!SplitIdentifierString(pstrdup(value), ',', &names) ||
		list_length(names) != 1)
		return NULL;
	return pstrdup(linitial(names));
}

/* A qualified name, as it stands; NULL if it is none. */
static char *
qualified_parse(const char *value)
{
	List	   *names;

	if (!SplitIdentifierString(pstrdup(value), '.', &names) ||
		list_length(names) != 2)
		return NULL;
	return pstrdup(value);
}

/* The same the other way round. */
static char *
name_arg(const char *option, char *name)
{
	return plinth_names_arg(option, list_make1(name));
}

/* Read one argument; false if it makes no sense. */
static bool
parse_argument(SoftOptions *options, const char *arg)
{
	const char *value;

	if ((value = plinth_arg_value(arg, "deleted_at")) != NULL)
		return (options->deleted_at = name_parse(value)) != NULL;
	if ((value = plinth_arg_value(arg, "deletion_id")) != NULL)
		return (options->deletion_id = name_parse(value)) != NULL;
	if ((value = plinth_arg_value(arg, "viewers")) != NULL)
		return (options->viewers = name_parse(value)) != NULL;
	if ((value = plinth_arg_value(arg, "active")) != NULL)
		return (options->active = qualified_parse(value)) != NULL;
	if ((value = plinth_arg_value(arg, "deleted")) != NULL)
		return (options->deleted = qualified_parse(value)) != NULL;
	if ((value = plinth_arg_value(arg, "visibility")) != NULL)
	{
		for (SoftVisibility v = VISIBILITY_RLS; v <= VISIBILITY_NONE; v++)
		{
			if (strcmp(value, visibility_words[v]) == 0)
			{
				options->visibility = v;
				return true;
			}
		}
		return false;
	}
	if (strcmp(arg, "barrier=true") == 0)
		return options->barrier = true;
	if (strcmp(arg, "opened=true") == 0)
		return options->opened = true;
	if (strcmp(arg, "delete_triggers=ignore") == 0)
		return options->ignore_triggers = true;
	return false;
}

/*
 * Read trigger arguments into the current memory context.  Anybody may make a
 * trigger of our functions on a table of his own, with any arguments: NULL if
 * they make no sense, and `wrong` is the one, or NULL if one is missing.
 */
static SoftOptions *
parse(int nargs, char **args, const char **wrong)
{
	SoftOptions *options = palloc0(sizeof(SoftOptions));

	*wrong = NULL;
	for (int i = 0; i < nargs; i++)
	{
		if (!parse_argument(options, args[i]))
		{
			*wrong = args[i];
			return NULL;
		}
	}
	return options->deleted_at && options->deletion_id ? options : NULL;
}

/* The same; 55000 if they make no sense, as the trigger was not made by enable(). */
SoftOptions *
soft_options_parse(int nargs, char **args)
{
	const char *wrong;
	SoftOptions *options = parse(nargs, args, &wrong);

	if (options)
		return options;
	if (wrong)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("unrecognized soft delete trigger argument \"%s\"", wrong),
				 errhint("Use plinth_soft_delete.enable().")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("soft delete trigger lacks arguments"),
			 errhint("Use plinth_soft_delete.enable().")));
	return NULL;				/* keep compiler quiet */
}

/* The same; NULL if they make no sense. */
SoftOptions *
soft_options_try(int nargs, char **args)
{
	const char *wrong;

	return parse(nargs, args, &wrong);
}

/* The opposite of soft_options_parse(): a List of palloc'd strings. */
List *
soft_options_args(const SoftOptions *options)
{
	List	   *args = NIL;

	args = lappend(args, name_arg("deleted_at", options->deleted_at));
	args = lappend(args, name_arg("deletion_id", options->deletion_id));
	args = lappend(args, psprintf("visibility=%s",
								  soft_visibility_word(options->visibility)));
	if (options->viewers)
		args = lappend(args, name_arg("viewers", options->viewers));
	if (options->barrier)
		args = lappend(args, "barrier=true");
	if (options->opened)
		args = lappend(args, "opened=true");
	if (options->ignore_triggers)
		args = lappend(args, "delete_triggers=ignore");
	if (options->active)
		args = lappend(args, psprintf("active=%s", options->active));
	if (options->deleted)
		args = lappend(args, psprintf("deleted=%s", options->deleted));
	return args;
}
