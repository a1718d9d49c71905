/*
 * src/kit/sequence.h
 *		Numbers from a sequence that the session does not notice.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_SEQUENCE_H
#define PLINTH_SEQUENCE_H

extern int64 plinth_sequence_take(Oid seqid, int64 count, int64 *increment);
extern bool plinth_sequence_pass(Oid seqid, int64 number);

#endif							/* PLINTH_SEQUENCE_H */
