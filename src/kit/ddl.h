/*
 * src/kit/ddl.h
 *		What event triggers ask of a command.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_DDL_H
#define PLINTH_DDL_H

#include "commands/event_trigger.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

/* A relation or trigger that a command has created or changed. */
typedef struct PlinthTouched
{
	Oid			objid;
	bool		is_trigger;		/* otherwise a relation */
	bool		is_new_table;	/* CREATE TABLE or CREATE FOREIGN TABLE */
} PlinthTouched;

extern EventTriggerData *plinth_event_trigger(FunctionCallInfo fcinfo,
											  const char *function);
extern Oid	plinth_named_relation(RangeVar *name);
extern List *plinth_touched_objects(void);

#endif							/* PLINTH_DDL_H */
