/*
 * src/kit/errors.h
 *		SQLSTATEs of plinth's own class PX.
 *
 * Only for what a client may want to tell apart and no standard code says.
 * docs/errors.md explains each, and script/lint compares the two.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_ERRORS_H
#define PLINTH_ERRORS_H

#include "utils/elog.h"

/* An audit log was about to be written, emptied or dropped by hand. */
#define ERRCODE_PLINTH_LOG_PROTECTED MAKE_SQLSTATE('P','X','0','0','1')

/* A closure table was about to be changed by hand. */
#define ERRCODE_PLINTH_CLOSURE_DERIVED MAKE_SQLSTATE('P','X','0','0','2')

/* A table beside an inventory was about to be changed by hand. */
#define ERRCODE_PLINTH_INVENTORY_LEDGER MAKE_SQLSTATE('P','X','0','0','3')

#endif							/* PLINTH_ERRORS_H */
