/*
 * src/kit/names.h
 *		Options and names, in calls and in trigger arguments.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_NAMES_H
#define PLINTH_NAMES_H

#include "nodes/pg_list.h"
#include "utils/array.h"

extern const char *plinth_arg_value(const char *arg, const char *name);
extern int	plinth_option_choice(const char *option, const char *word,
								 const char *first, const char *second);
extern List *plinth_names_of(ArrayType *array, const char *option);
extern List *plinth_names_parse(const char *arg, const char *value);
extern char *plinth_names_arg(const char *name, const List *names);
extern bool plinth_name_in(const List *names, const char *name);
extern bool plinth_rename_in(List *names, const char *from, const char *to);
extern char *plinth_literal_list(const List *args);

extern void plinth_split_name(const char *qualified, char **nspname,
							  char **relname);
extern Oid	plinth_qualified_oid(const char *qualified);
extern bool plinth_same_name(const char *a, const char *b);
extern char *plinth_quote_name(const char *nspname, const char *relname);
extern char *plinth_name_label(const char *qualified);

#endif							/* PLINTH_NAMES_H */
