/*
 * src/kit/names.c
 *		Options and names, in calls and in trigger arguments.
 *
 * In trigger arguments an option is one argument "name=value".  Lists are
 * quoted identifiers with commas between, names of relations are
 * schema-qualified and quoted.  Both read the same whatever the session's
 * settings are.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "kit/compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "kit/names.h"

/* The value of an argument "name=value" if it has this name, or NULL. */
const char *
plinth_arg_value(const char *arg, const char *name)
{
	size_t		len = strlen(name);

	if (strncmp(arg, name, len) == 0 && arg[len] == '=')
		return arg + len + 1;
	return NULL;
}

/*
 * Which of its two values an option has: 0 for the first, 1 for the second;
 * 22023 for any other word.
 */
int
plinth_option_choice(const char *option, const char *word, const char *first,
					 const char *second)
{
	if (strcmp(word, first) == 0)
		return 0;
	if (strcmp(word, second) == 0)
		return 1;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized value \"%s\" for option \"%s\"", word,
					option),
			 errhint("Valid values are \"%s\" and \"%s\".", first, second)));
}

/*
 * An option that is a name[] as a List of palloc'd strings; 22004 if one of
 * them is null.
 */
List *
plinth_names_of(ArrayType *array, const char *option)
{
	Datum	   *elems;
	bool	   *nulls;
	int			n;
	List	   *names = NIL;

	deconstruct_array(array, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elems, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("option \"%s\" must not contain nulls", option)));
		names = lappend(names, pstrdup(NameStr(*DatumGetName(elems[i]))));
	}
	return names;
}

/*
 * Read a list of quoted identifiers into palloc'd strings.  55000 if it is
 * none; `arg` is for the message.
 */
List *
plinth_names_parse(const char *arg, const char *value)
{
	List	   *parsed;
	List	   *result = NIL;
	ListCell   *lc;

	if (!SplitIdentifierString(pstrdup(value), ',', &parsed))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("invalid list of columns in trigger argument \"%s\"",
						arg)));
	foreach(lc, parsed)
		result = lappend(result, pstrdup(lfirst(lc)));
	return result;
}

/* "name=" and the quoted names */
char *
plinth_names_arg(const char *name, const List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	bool		quote_all = quote_all_identifiers;

	quote_all_identifiers = false;
	initStringInfo(&buf);
	appendStringInfo(&buf, "%s=", name);
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s", lc == list_head(names) ? "" : ", ",
						 quote_identifier(lfirst(lc)));
	quote_all_identifiers = quote_all;
	return buf.data;
}

/* Is the name among the names? */
bool
plinth_name_in(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* Put one name in another's place in the list; was it there? */
bool
plinth_rename_in(List *names, const char *from, const char *to)
{
	bool		found = false;
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), from) == 0)
		{
			lfirst(lc) = pstrdup(to);
			found = true;
		}
	}
	return found;
}

/* Trigger arguments as they stand in CREATE TRIGGER. */
char *
plinth_literal_list(const List *args)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, args)
		appendStringInfo(&buf, "%s%s", lc == list_head(args) ? "" : ", ",
						 quote_literal_cstr(lfirst(lc)));
	return buf.data;
}

/* Take a schema-qualified, quoted name apart. */
void
plinth_split_name(const char *qualified, char **nspname, char **relname)
{
	List	   *names;

	if (!SplitIdentifierString(pstrdup(qualified), '.', &names) ||
		list_length(names) != 2)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("invalid qualified name: %s", qualified)));
	*nspname = linitial(names);
	*relname = lsecond(names);
}

/*
 * Look up a schema-qualified, quoted name, without regard to anybody's right
 * to look into the schema.  InvalidOid if there is no such relation.
 */
Oid
plinth_qualified_oid(const char *qualified)
{
	char	   *nspname;
	char	   *relname;
	Oid			nspid;

	plinth_split_name(qualified, &nspname, &relname);
	nspid = get_namespace_oid(nspname, true);
	if (!OidIsValid(nspid))
		return InvalidOid;
	return get_relname_relid(relname, nspid);
}

/* Do two qualified names mean the same, however they are quoted? */
bool
plinth_same_name(const char *a, const char *b)
{
	char	   *nspa;
	char	   *rela;
	char	   *nspb;
	char	   *relb;

	plinth_split_name(a, &nspa, &rela);
	plinth_split_name(b, &nspb, &relb);
	return strcmp(nspa, nspb) == 0 && strcmp(rela, relb) == 0;
}

/*
 * quote_qualified_identifier() whatever quote_all_identifiers says: names are
 * stored, and the session that stores one must not decide its form.
 */
char *
plinth_quote_name(const char *nspname, const char *relname)
{
	bool		quote_all = quote_all_identifiers;
	char	   *result;

	quote_all_identifiers = false;
	result = quote_qualified_identifier(nspname, relname);
	quote_all_identifiers = quote_all;
	return result;
}

/* The same name for messages, which have quotes of their own. */
char *
plinth_name_label(const char *qualified)
{
	char	   *nspname;
	char	   *relname;

	plinth_split_name(qualified, &nspname, &relname);
	return psprintf("%s.%s", nspname, relname);
}
