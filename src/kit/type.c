/*
 * src/kit/type.c
 *		How SQL names a type and compares its values.
 *
 * Companions have columns of the types that the table has, whatever they are.
 * In the statements about them every type, collation and operator is
 * qualified, so that they mean the same on any search path.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "kit/compat.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "kit/names.h"
#include "kit/type.h"

/* The qualified name of a collation. */
char *
plinth_collation_name(Oid collation)
{
	HeapTuple	tup = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *result;

	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tup);
	result = plinth_quote_name(get_namespace_name(form->collnamespace),
							   NameStr(form->collname));
	ReleaseSysCache(tup);
	return result;
}

/* What stands behind a column's name in CREATE TABLE. */
char *
plinth_column_type(Oid type, int32 typmod, Oid collation)
{
	char	   *name = format_type_extended(type, typmod,
											FORMAT_TYPE_TYPEMOD_GIVEN |
											FORMAT_TYPE_FORCE_QUALIFY);

	return OidIsValid(collation) ?
		psprintf("%s COLLATE %s", name, plinth_collation_name(collation)) : name;
}

/* The equality operator of a type's default btree opclass, qualified; 42883 if it has none. */
char *
plinth_equality(Oid type)
{
	TypeCacheEntry *typentry = lookup_type_cache(type, TYPECACHE_EQ_OPR);
	HeapTuple	tup;
	Form_pg_operator form;
	char	   *result;

	if (!OidIsValid(typentry->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an equality operator for type %s",
						format_type_be(type))));
	tup = SearchSysCache1(OPEROID, ObjectIdGetDatum(typentry->eq_opr));
	if (!HeapTupleIsValid(tup))
		elog(ERROR, "cache lookup failed for operator %u", typentry->eq_opr);
	form = (Form_pg_operator) GETSTRUCT(tup);
	result = psprintf("OPERATOR(%s.%s)",
					  quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tup);
	return result;
}

/*
 * What makes of a value something that the equality operator can only mean.
 * For a domain, anybody who may create in the operator's schema could add one
 * that fits better: it has to be compared as its base type.
 */
char *
plinth_comparable(Oid type, const char *value)
{
	Oid			base = getBaseType(type);

	if (base == type)
		return pstrdup(value);
	return psprintf("(%s)::%s", value,
					format_type_extended(base, -1, FORMAT_TYPE_FORCE_QUALIFY));
}
