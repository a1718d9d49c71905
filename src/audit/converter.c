/*
 * src/audit/converter.c
 *		How values of one type are shown, looked up once.
 *
 * The categories are those of jsonb_categorize_type() in
 * src/backend/utils/adt/jsonb.c, but a cast to json of a type that is not
 * built in is never looked for: anybody who may create a type could otherwise
 * have code of theirs run by whoever writes to an audited table.
 *
 * Converters live with the target that uses them (target.c), which dies when
 * one of its types changes.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/value.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/*
 * A table of converters in the given context, to be passed to the functions
 * below.
 */
AuditConverters *
audit_converters_create(MemoryContext context)
{
	AuditConverters *converters;
	HASHCTL		ctl;

	converters = MemoryContextAlloc(context, sizeof(AuditConverters));
	converters->context = context;
	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(AuditConverter);
	ctl.hcxt = context;
	converters->hash = hash_create("plinth_audit converters", 32, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return converters;
}

/* Which settings does the output function of this type look at? */
static int
output_pins(Oid typid)
{
	switch (typid)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case CHAROID:
		case UUIDOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
		case OIDOID:
		case XIDOID:
		case XID8OID:
		case CIDOID:
		case TIDOID:
		case TIMEOID:
		case TIMETZOID:
		case TSVECTOROID:
		case TSQUERYOID:
		case XMLOID:
		case PG_LSNOID:
		case INT4RANGEOID:
		case INT8RANGEOID:
		case NUMRANGEOID:
		case INT4MULTIRANGEOID:
		case INT8MULTIRANGEOID:
		case NUMMULTIRANGEOID:
			return 0;
		case INTERVALOID:
			return AUDIT_PIN_INTERVALSTYLE;
		case CASHOID:
			return AUDIT_PIN_MONEY;
		case DATERANGEOID:
		case DATEMULTIRANGEOID:
		case TSRANGEOID:
		case TSMULTIRANGEOID:
			return AUDIT_PIN_DATESTYLE;
		case TSTZRANGEOID:
		case TSTZMULTIRANGEOID:
			return AUDIT_PIN_DATESTYLE | AUDIT_PIN_TIMEZONE;
		case POINTOID:
		case LSEGOID:
		case PATHOID:
		case BOXOID:
		case POLYGONOID:
		case LINEOID:
		case CIRCLEOID:
			return AUDIT_PIN_FLOAT;
		default:
			if (get_typtype(typid) == TYPTYPE_ENUM)
				return 0;
			return AUDIT_PIN_ALL;
	}
}

/*
 * The converter for a type, made when first asked for.  It stays where it is
 * as long as the table of converters.
 */
AuditConverter *
audit_converter(AuditConverters *converters, Oid typid)
{
	AuditConverter *converter;
	AuditConverter made = {0};
	Oid			elemtype;

	converter = hash_search(converters->hash, &typid, HASH_FIND, NULL);
	if (converter)
		return converter;

	made.typid = typid;
	made.hashvalue = GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(typid));
	made.basetype = getBaseType(typid);
	made.varlena = get_typlen(made.basetype) == -1;
	switch (made.basetype)
	{
		case BOOLOID:
			made.kind = SHOW_BOOL;
			break;
		case INT2OID:
			made.kind = SHOW_INT2;
			break;
		case INT4OID:
			made.kind = SHOW_INT4;
			break;
		case INT8OID:
			made.kind = SHOW_INT8;
			break;
		case FLOAT4OID:
			made.kind = SHOW_FLOAT4;
			break;
		case FLOAT8OID:
			made.kind = SHOW_FLOAT8;
			break;
		case NUMERICOID:
			made.kind = SHOW_NUMERIC;
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			made.kind = SHOW_DATETIME;
			break;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			made.kind = SHOW_TEXT;
			break;
		case BYTEAOID:
			made.kind = SHOW_BYTEA;
			break;
		case JSONOID:
			made.kind = SHOW_JSON;
			break;
		case JSONBOID:
			made.kind = SHOW_JSONB;
			break;
		default:
			elemtype = get_element_type(made.basetype);
			if (OidIsValid(elemtype))
			{
				made.kind = SHOW_ARRAY;
				made.element = audit_converter(converters, elemtype);
				made.pins = made.element->pins;
				get_typlenbyvalalign(elemtype, &made.elemlen,
									 &made.elembyval, &made.elemalign);
			}
			else if (type_is_rowtype(made.basetype))
			{
				/* its columns may change without notice: assume the worst */
				made.kind = SHOW_COMPOSITE;
				made.pins = AUDIT_PIN_ALL;
			}
			else
			{
				Oid			outfunc;
				bool		varlena;

				made.kind = SHOW_OUTPUT;
				made.pins = output_pins(made.basetype);
				getTypeOutputInfo(made.basetype, &outfunc, &varlena);
				fmgr_info_cxt(outfunc, &made.output, converters->context);
			}
			break;
	}

	/* entered only now: what may fail has been done */
	converter = hash_search(converters->hash, &typid, HASH_ENTER, NULL);
	*converter = made;
	return converter;
}

/* Is one of the types the one that an invalidation is about? */
bool
audit_converters_concern(AuditConverters *converters, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	AuditConverter *converter;

	hash_seq_init(&status, converters->hash);
	while ((converter = hash_seq_search(&status)) != NULL)
	{
		if (converter->hashvalue == hashvalue)
		{
			hash_seq_term(&status);
			return true;
		}
	}
	return false;
}

/* The AUDIT_PIN_* settings that a conversion depends on. */
int
audit_converter_pins(const AuditConverter *converter)
{
	return converter->pins;
}
