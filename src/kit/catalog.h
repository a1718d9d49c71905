/*
 * src/kit/catalog.h
 *		Small questions to the system catalogs, and SQL with rights.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_CATALOG_H
#define PLINTH_CATALOG_H

#include "nodes/pg_list.h"
#include "utils/relcache.h"

/* One trigger of a relation, as read from pg_trigger. */
typedef struct PlinthTrigger
{
	Oid			oid;
	Oid			relid;
	Oid			parent;			/* trigger this one was cloned from, or 0 */
	Oid			funcid;
	int16		type;			/* TRIGGER_TYPE_* bits */
	char		enabled;		/* TRIGGER_FIRES_* or TRIGGER_DISABLED */
	bool		internal;
	bool		conditional;	/* WHEN or a list of columns */
	Oid			constraint;		/* of a constraint trigger */
	char	   *name;
	int			nargs;
	char	  **args;
} PlinthTrigger;

/* A change of user and search path, see plinth_become(). */
typedef struct PlinthIdentity
{
	Oid			userid;
	int			sec_context;
	int			guc_level;
} PlinthIdentity;

extern char *plinth_relation_name(Oid relid);
extern Oid	plinth_relation_owner(Oid relid);
extern Oid	plinth_function_owner(Oid funcid);
extern Oid	plinth_trigger_function(const char *nspname, const char *name);
extern PlinthTrigger *plinth_trigger(Oid tgoid);
extern List *plinth_relation_triggers(Oid relid);
extern PlinthTrigger *plinth_find_trigger(Oid relid, Oid funcid,
										  const char *name);
extern List *plinth_function_triggers(Oid funcid);
extern void plinth_set_trigger_args(Oid tgoid, List *args);
extern Oid	plinth_function(const char *nspname, const char *name, int nargs,
							const Oid *argtypes);
extern bool plinth_table_persists(Oid relid);
extern void plinth_hold_name(Oid relid);
extern Oid	plinth_hold_schema(const char *nspname);

extern void plinth_become(PlinthIdentity *saved, Oid userid);
extern void plinth_restore_identity(const PlinthIdentity *saved);

extern void plinth_set_for_now(const char *name, const char *value);

extern void plinth_spi_connect(void);
extern void plinth_spi_finish(void);
extern void plinth_spi_begin(void);
extern void plinth_spi_end(void);
extern void plinth_sql(const char *fmt,...) pg_attribute_printf(1, 2);
extern List *plinth_sql_strings(const char *fmt,...) pg_attribute_printf(1, 2);
extern void plinth_drop_trigger(const PlinthTrigger *trig);
extern void plinth_drop_with(Oid classid, Oid objid, Oid relid);
extern void plinth_copy_select(Oid relid, const char *to);

#endif							/* PLINTH_CATALOG_H */
