/*
 * src/closure/probe.c
 *		Straight into an index: single keys, without a plan.
 *
 * A statement that touches one row should not cost several others.  The
 * indexes are found once for each hierarchy; only those will do that order and
 * compare keys as the hierarchy does.  Scans go through an MVCC snapshot, so
 * that SERIALIZABLE sees them.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

PLINTH_FUNCTION(plinth_closure_is_ancestor_of);

/*
 * Are the first columns of an index these ones, in this order, and compared
 * as keys are?  nsets times all columns of the key.
 */
static bool
index_fits(Relation index, const Hierarchy *h, const AttrNumber *attnums,
		   int nsets)
{
	Form_pg_index form = index->rd_index;
	int			n = nsets * h->nkeys;

	if (index->rd_rel->relkind != RELKIND_INDEX ||
		index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid ||
		RelationGetIndexPredicate(index) != NIL ||
		form->indnkeyatts < n)
		return false;
	for (int i = 0; i < n; i++)
	{
		int			k = i % h->nkeys;

		if (form->indkey.values[i] != attnums[i] ||
			index->rd_indcollation[i] != h->collations[k] ||
			get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
								index->rd_opcintype[i],
								BTEqualStrategyNumber) != h->equal_op[k])
			return false;
	}
	return true;
}

/* An index of a relation for equality with keys; InvalidOid if none fits. */
static Oid
find_index(Relation rel, const Hierarchy *h, const AttrNumber *attnums,
		   int nsets)
{
	List	   *oids = RelationGetIndexList(rel);
	Oid			found = InvalidOid;
	ListCell   *lc;

	foreach(lc, oids)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index_fits(index, h, attnums, nsets))
			found = lfirst_oid(lc);
		index_close(index, AccessShareLock);
		if (OidIsValid(found))
			break;
	}
	list_free(oids);
	return found;
}

/* Find the indexes of a hierarchy's closure. */
void
closure_probe_prepare(Hierarchy *h)
{
	AttrNumber	attnums[2 * CLOSURE_MAX_KEYS] = {0};
	Relation	rel = table_open(h->closureid, AccessShareLock);

	for (int i = 0; i < 2 * h->nkeys; i++)
		attnums[i] = i + 1;
	h->pair_index = find_index(rel, h, attnums, 2);
	h->descendant_index = find_index(rel, h, attnums + h->nkeys, 1);
	table_close(rel, AccessShareLock);
	if (OidIsValid(h->pair_index) && h->nkeys == 1)
	{
		Relation	index = index_open(h->pair_index, AccessShareLock);
		Oid			op = get_opfamily_member(index->rd_opfamily[1],
											 index->rd_opcintype[1],
											 index->rd_opcintype[1],
											 BTGreaterEqualStrategyNumber);

		/* an index on names holds something shorter */
		if (OidIsValid(op) &&
			TupleDescAttr(RelationGetDescr(index), 1)->atttypid == h->types[0])
			h->at_least = get_opcode(op);
		index_close(index, AccessShareLock);
	}
}

/*
 * Begin to look for rows with a key, or with two of them one after the other,
 * in the first columns of an index.  The index stays open with the scan.
 */
IndexScanDesc
closure_probe_begin(Hierarchy *h, Relation rel, Oid indexid, const Datum *key,
					const Datum *second, Snapshot snapshot)
{
	Relation	index = index_open(indexid, AccessShareLock);
	IndexScanDesc scan = plinth_index_beginscan(rel, index, snapshot,
												second ? 2 * h->nkeys : h->nkeys);

	closure_probe_again(h, scan, key, second);
	return scan;
}

/* The same scan for other keys, as many as it was begun with. */
void
closure_probe_again(Hierarchy *h, IndexScanDesc scan, const Datum *key,
					const Datum *second)
{
	ScanKeyData keys[2 * CLOSURE_MAX_KEYS];

	for (int i = 0; i < scan->numberOfKeys; i++)
	{
		int			k = i % h->nkeys;

		ScanKeyEntryInitializeWithInfo(&keys[i], 0, i + 1,
									   BTEqualStrategyNumber, InvalidOid,
									   h->collations[k], &h->equal[k],
									   i < h->nkeys ? key[k] : second[k]);
	}
	index_rescan(scan, keys, scan->numberOfKeys, NULL, 0);
}

void
closure_probe_end(IndexScanDesc scan)
{
	Relation	index = scan->indexRelation;

	index_endscan(scan);
	index_close(index, NoLock);
}

/* What is_ancestor_of() keeps from call to call. */
typedef struct Probe
{
	Oid			closureid;
	Hierarchy  *h;				/* of the closure alone, without a table */
} Probe;

/* The keys of a closure, seen from the closure. */
static Hierarchy *
describe_closure(Relation rel)
{
	Hierarchy  *h = palloc0(sizeof(Hierarchy));
	TupleDesc	desc = RelationGetDescr(rel);
	AttrNumber	attnums[2 * CLOSURE_MAX_KEYS];

	h->closureid = RelationGetRelid(rel);
	h->nkeys = desc->natts / 2;
	if (desc->natts % 2 == 0 || h->nkeys > CLOSURE_MAX_KEYS)
		return NULL;
	for (int i = 0; i < 2 * h->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		TypeCacheEntry *typentry;

		if (att->attisdropped)
			return NULL;
		attnums[i] = i + 1;
		if (i >= h->nkeys)
			continue;
		typentry = lookup_type_cache(att->atttypid,
									 TYPECACHE_EQ_OPR_FINFO);
		h->types[i] = att->atttypid;
		h->collations[i] = att->attcollation;
		h->equal_op[i] = typentry->eq_opr;
		fmgr_info_copy(&h->equal[i], &typentry->eq_opr_finfo,
					   CurrentMemoryContext);
	}
	h->pair_index = find_index(rel, h, attnums, 2);
	return OidIsValid(h->pair_index) ? h : NULL;
}

/*
 * is_ancestor_of(closure, ancestor..., descendant...): is the one an ancestor
 * of the other?  The functions that enable() makes call it; a query would be
 * planned in each of them anew.  Needs SELECT on the closure.
 */
Datum
plinth_closure_is_ancestor_of(PG_FUNCTION_ARGS)
{
	Oid			closureid = PG_GETARG_OID(0);
	Probe	   *probe = fcinfo->flinfo->fn_extra;
	Relation	rel = table_open(closureid, AccessShareLock);
	AclResult	aclresult = pg_class_aclcheck(closureid, GetUserId(),
											  ACL_SELECT);
	Datum		keys[2 * CLOSURE_MAX_KEYS];
	IndexScanDesc scan;
	TupleTableSlot *slot;
	bool		found = false;

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_TABLE, RelationGetRelationName(rel));
	if (check_enable_rls(closureid, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("closure table \"%s\" has row-level security",
						RelationGetRelationName(rel)),
				 errhint("Query the table itself.")));
	if (probe == NULL || probe->closureid != closureid ||
		!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(probe->h->pair_index)))
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		probe = palloc0(sizeof(Probe));
		probe->closureid = closureid;
		probe->h = describe_closure(rel);
		MemoryContextSwitchTo(old);
		if (probe->h == NULL || PG_NARGS() != 2 * probe->h->nkeys + 1)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("relation \"%s\" is not the closure of such keys",
							RelationGetRelationName(rel))));
		for (int i = 1; i < PG_NARGS(); i++)
		{
			if (getBaseType(get_fn_expr_argtype(fcinfo->flinfo, i)) !=
				getBaseType(probe->h->types[(i - 1) % probe->h->nkeys]))
				ereport(ERROR,
						(errcode(ERRCODE_DATATYPE_MISMATCH),
						 errmsg("argument %d does not have the type of the key of \"%s\"",
								i + 1, RelationGetRelationName(rel))));
		}
		fcinfo->flinfo->fn_extra = probe;
	}

	for (int i = 1; i < PG_NARGS(); i++)
		keys[i - 1] = PG_GETARG_DATUM(i);
	slot = table_slot_create(rel, NULL);
	scan = closure_probe_begin(probe->h, rel, probe->h->pair_index, keys,
							   keys + probe->h->nkeys, GetActiveSnapshot());
	if (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;

		found = DatumGetInt32(slot_getattr(slot, 2 * probe->h->nkeys + 1,
										   &isnull)) > 0;
	}
	closure_probe_end(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	PG_RETURN_BOOL(found);
}
