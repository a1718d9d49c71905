/*
 * src/kit/type.h
 *		How SQL names a type and compares its values.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_TYPE_H
#define PLINTH_TYPE_H

extern char *plinth_collation_name(Oid collation);
extern char *plinth_column_type(Oid type, int32 typmod, Oid collation);
extern char *plinth_equality(Oid type);
extern char *plinth_comparable(Oid type, const char *value);

#endif							/* PLINTH_TYPE_H */
