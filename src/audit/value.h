/*
 * src/audit/value.h
 *		How values of one type become jsonb: converter.c, value.c, standin.c.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_AUDIT_VALUE_H
#define PLINTH_AUDIT_VALUE_H

#include "audit/audit.h"

struct AuditConverters
{
	HTAB	   *hash;			/* of AuditConverter by type */
	MemoryContext context;		/* where all of this lives */
};

typedef enum ConverterKind
{
	SHOW_BOOL,
	SHOW_INT2,
	SHOW_INT4,
	SHOW_INT8,
	SHOW_FLOAT4,
	SHOW_FLOAT8,
	SHOW_NUMERIC,
	SHOW_DATETIME,				/* date, timestamp, timestamptz */
	SHOW_TEXT,					/* text, varchar, char(n) */
	SHOW_BYTEA,
	SHOW_JSON,
	SHOW_JSONB,
	SHOW_ARRAY,
	SHOW_COMPOSITE,
	SHOW_OUTPUT					/* by the type's output function */
} ConverterKind;

struct AuditConverter
{
	Oid			typid;			/* hash key, the type itself */
	uint32		hashvalue;		/* of the type in the syscache TYPEOID */
	Oid			basetype;		/* under all domains */
	ConverterKind kind;
	int			pins;			/* AUDIT_PIN_* */
	bool		varlena;
	FmgrInfo	output;			/* SHOW_OUTPUT */
	AuditConverter *element;	/* SHOW_ARRAY */
	int16		elemlen;
	bool		elembyval;
	char		elemalign;
};

/*
 * A value read by its output function is not even tried above this size,
 * because the text may be several times larger and end in an error.
 */
#define MAX_OUTPUT_SOURCE (64 * 1024 * 1024)

/* Depth up to which nothing needs to be checked before the jsonb is built. */
#define SAFE_DEPTH 64

/* Fill in a string that stays where it is. */
static inline void
audit_set_string(JsonbValue *scalar, char *string, int len)
{
	scalar->type = jbvString;
	scalar->val.string.val = string;
	scalar->val.string.len = len;
}

#endif							/* PLINTH_AUDIT_VALUE_H */
