/*
 * src/kit/target.h
 *		The table that a call is about.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_TARGET_H
#define PLINTH_TARGET_H

#include "fmgr.h"
#include "storage/lockdefs.h"

extern char *plinth_existing_name(Oid relid);
extern Oid	plinth_target(FunctionCallInfo fcinfo, int arg);
extern void plinth_require_owner(Oid relid);
extern void plinth_lock_owned(Oid relid, LOCKMODE lockmode);

#endif							/* PLINTH_TARGET_H */
