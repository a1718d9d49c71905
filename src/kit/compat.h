/*
 * src/kit/compat.h
 *		The only place that knows which PostgreSQL it is compiled for.
 *
 * Each difference stands here once, under the name that the newest server
 * uses where there is one, with the major in which it can go.
 *
 * Copyright (c) 2026, plinth contributors
 */
#ifndef PLINTH_COMPAT_H
#define PLINTH_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "plinth needs PostgreSQL 15 or later"
#endif

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "common/jsonapi.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "storage/lock.h"
#include "storage/shmem.h"
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#endif
#include "utils/acl.h"
#include "utils/rel.h"

/* Ownership and privilege checks became generic in 16; goes with 15. */
#if PG_VERSION_NUM >= 160000
#define plinth_owns_relation(relid, roleid) \
	object_ownercheck(RelationRelationId, (relid), (roleid))
#define plinth_owns_schema(nspid, roleid) \
	object_ownercheck(NamespaceRelationId, (nspid), (roleid))
#define plinth_schema_aclcheck(nspid, roleid, mode) \
	object_aclcheck(NamespaceRelationId, (nspid), (roleid), (mode))
#else
#define plinth_owns_relation(relid, roleid) \
	pg_class_ownercheck((relid), (roleid))
#define plinth_owns_schema(nspid, roleid) \
	pg_namespace_ownercheck((nspid), (roleid))
#define plinth_schema_aclcheck(nspid, roleid, mode) \
	pg_namespace_aclcheck((nspid), (roleid), (mode))
#endif

/* 16 added onlySummarizing to ExecInsertIndexTuples; goes with 15. */
static inline List *
plinth_insert_index_tuples(ResultRelInfo *relinfo, TupleTableSlot *slot,
						   EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(relinfo, slot, estate, false, false, NULL,
								 NIL, false);
#else
	return ExecInsertIndexTuples(relinfo, slot, estate, false, false, NULL,
								 NIL);
#endif
}

/* 17 lets indexes keep things from insertion to insertion; goes with 16. */
static inline void
plinth_index_insert_cleanup(Relation index, struct IndexInfo *info)
{
#if PG_VERSION_NUM >= 170000
	index_insert_cleanup(index, info);
#endif
}

/* 18 added statistics of the scan to index_beginscan; goes with 17. */
static inline IndexScanDesc
plinth_index_beginscan(Relation rel, Relation index, Snapshot snapshot,
					   int nkeys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(rel, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(rel, index, snapshot, nkeys, 0);
#endif
}

/* 17 added orstronger to LockHeldByMe; goes with 16. */
static inline bool
plinth_relation_is_locked(Oid relid, LOCKMODE lockmode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(&tag, lockmode, false);
#else
	return LockHeldByMe(&tag, lockmode);
#endif
}

/* Relation files are named by a locator since 16; goes with 15. */
#if PG_VERSION_NUM >= 160000
#define PLINTH_SET_SEQ_LOCATOR(xlrec, rel) ((xlrec).locator = (rel)->rd_locator)
#else
#define PLINTH_SET_SEQ_LOCATOR(xlrec, rel) ((xlrec).node = (rel)->rd_node)
#endif

/* The subtransaction that gave a relation its file; renamed in 16, goes with 15. */
#if PG_VERSION_NUM >= 160000
#define PLINTH_NEW_FILE_SUBID(rel) ((rel)->rd_newRelfilelocatorSubid)
#else
#define PLINTH_NEW_FILE_SUBID(rel) ((rel)->rd_newRelfilenodeSubid)
#endif

/* getIdentitySequence takes the relation itself since 17; goes with 16. */
static inline Oid
plinth_identity_sequence(Relation rel, AttrNumber attnum)
{
#if PG_VERSION_NUM >= 170000
	return getIdentitySequence(rel, attnum, true);
#else
	return getIdentitySequence(RelationGetRelid(rel), attnum, true);
#endif
}

/* Semantic actions of the JSON parser report success since 16; goes with 15. */
#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType PlinthJsonAction;
#define PLINTH_JSON_ACTION_DONE return JSON_SUCCESS
#else
typedef void PlinthJsonAction;
#define PLINTH_JSON_ACTION_DONE return
#endif

/* The lexer may live in the caller's memory since 17; goes with 16. */
static inline JsonLexContext *
plinth_json_lexer(char *json, int len, bool need_escapes)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(NULL, json, len,
										GetDatabaseEncoding(), need_escapes);
#else
	return makeJsonLexContextCstringLen(json, len,
										GetDatabaseEncoding(), need_escapes);
#endif
}

/*
 * Until 15 the JSON lexer raises an error for an escape that the database's
 * encoding cannot hold, instead of returning a code; goes with 15.
 */
#if PG_VERSION_NUM >= 160000
#define PLINTH_JSON_ESCAPES_MAY_RAISE false
#else
#define PLINTH_JSON_ESCAPES_MAY_RAISE (GetDatabaseEncoding() != PG_UTF8)
#endif

/* Virtual generated columns came with 18; goes with 17. */
#if PG_VERSION_NUM >= 180000
#define PLINTH_HAVE_VIRTUAL_COLUMNS 1
#define PLINTH_GENERATED_VIRTUAL ATTRIBUTE_GENERATED_VIRTUAL
#define PLINTH_IS_VIRTUAL(att) \
	((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define PLINTH_GENERATED_VIRTUAL 'v'
#define PLINTH_IS_VIRTUAL(att) false
#endif

/* Hash tables in shared memory are told how to copy keys since 17; goes with 16. */
#if PG_VERSION_NUM >= 170000
#define PLINTH_DSHASH_COPY .copy_function = dshash_memcpy,
#else
#define PLINTH_DSHASH_COPY
#endif

/* A process has a number of its own since 17; goes with 16. */
#if PG_VERSION_NUM >= 170000
#define PLINTH_MY_PROC MyProcNumber
#else
#define PLINTH_MY_PROC (MyProc->pgprocno)
#endif

/*
 * A small struct in shared memory, of one name and zeroed when it is new.
 * Segments have names since 17; before that, the main segment has some slack
 * for late comers.  The caller holds AddinShmemInitLock.  Goes with 16.
 */
static inline void *
plinth_shared_struct(const char *name, Size size)
{
	bool		found;
	void	   *result;

#if PG_VERSION_NUM >= 170000
	result = GetNamedDSMSegment(name, size, NULL, &found);
#else
	result = ShmemInitStruct(name, size, &found);
#endif
	if (!found)
		memset(result, 0, size);
	return result;
}

/* A function that does not return says so in front since 18; goes with 17. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18 lets a library say its name and version; goes with 17. */
#if PG_VERSION_NUM >= 180000
#define PLINTH_MODULE_MAGIC(libname) \
	PG_MODULE_MAGIC_EXT(.name = libname, .version = "1.0")
#else
#define PLINTH_MODULE_MAGIC(libname) PG_MODULE_MAGIC
#endif

/*
 * Privileges that a statement needs stand beside its range table since 16;
 * goes with 15.
 */
static inline AclMode
plinth_required_privileges(const PlannedStmt *stmt, RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	if (rte->perminfoindex == 0)
		return ACL_NO_RIGHTS;
	return getRTEPermissionInfo(stmt->permInfos, rte)->requiredPerms;
#else
	return rte->requiredPerms;
#endif
}

/* So do the columns that it sets. */
static inline Bitmapset *
plinth_updated_columns(const PlannedStmt *stmt, RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 160000
	if (rte->perminfoindex == 0)
		return NULL;
	return getRTEPermissionInfo(stmt->permInfos, rte)->updatedCols;
#else
	return rte->updatedCols;
#endif
}

/*
 * Note columns of a plan's target as updated.  Privileges are asked for by a
 * copy of its range table entry as it was.
 */
static inline void
plinth_note_updated(PlannedStmt *stmt, Index rti, Bitmapset *columns)
{
	RangeTblEntry *rte = rt_fetch(rti, stmt->rtable);
	RangeTblEntry *asks = copyObject(rte);
#if PG_VERSION_NUM >= 160000
	RTEPermissionInfo *notes = copyObject(getRTEPermissionInfo(stmt->permInfos, rte));

	stmt->permInfos = lappend(stmt->permInfos, notes);
	rte->perminfoindex = list_length(stmt->permInfos);

	/* something has to be asked for: of one who may do everything */
	notes->checkAsUser = BOOTSTRAP_SUPERUSERID;
#else
	RangeTblEntry *notes = rte;

	notes->requiredPerms = ACL_NO_RIGHTS;
#endif

	notes->updatedCols = bms_union(notes->updatedCols, columns);
	stmt->rtable = lappend(stmt->rtable, asks);
}

/*
 * The same for a relation below the target, of which nothing is asked; since 16
 * what is noted of the target holds.
 */
static inline void
plinth_note_updated_below(PlannedStmt *stmt, Index rti, Bitmapset *columns)
{
#if PG_VERSION_NUM < 160000
	RangeTblEntry *rte = rt_fetch(rti, stmt->rtable);

	rte->updatedCols = bms_union(rte->updatedCols, columns);
#endif
}

/*
 * RETURNING may speak of the old and of the new row since 18; goes with 17.
 * What a node in a RETURNING list speaks of, if it says so.
 */
typedef enum PlinthReturning
{
	PLINTH_RETURNING_DEFAULT,
	PLINTH_RETURNING_OLD,
	PLINTH_RETURNING_NEW
} PlinthReturning;

#if PG_VERSION_NUM >= 180000
#define PLINTH_HAVE_RETURNING_OLD 1
#endif

static inline PlinthReturning
plinth_returning_of(Node *node)
{
#if PG_VERSION_NUM >= 180000
	if (IsA(node, Var))
	{
		VarReturningType kind = ((Var *) node)->varreturningtype;

		return kind == VAR_RETURNING_OLD ? PLINTH_RETURNING_OLD :
			kind == VAR_RETURNING_NEW ? PLINTH_RETURNING_NEW :
			PLINTH_RETURNING_DEFAULT;
	}
	if (IsA(node, ReturningExpr))
		return ((ReturningExpr *) node)->retold ? PLINTH_RETURNING_OLD :
			PLINTH_RETURNING_NEW;
#endif
	return PLINTH_RETURNING_DEFAULT;
}

static inline void
plinth_return_old(Var *var)
{
#if PG_VERSION_NUM >= 180000
	var->varreturningtype = VAR_RETURNING_OLD;
#endif
}

/* merge_action() came with 17; goes with 16. */
static inline bool
plinth_is_merge_action(Node *node)
{
#if PG_VERSION_NUM >= 170000
	return IsA(node, MergeSupportFunc);
#else
	return false;
#endif
}

static inline Expr *
plinth_merge_action(void)
{
#if PG_VERSION_NUM >= 170000
	MergeSupportFunc *result = makeNode(MergeSupportFunc);

	result->msftype = TEXTOID;
	result->msfcollid = DEFAULT_COLLATION_OID;
	result->location = -1;
	return (Expr *) result;
#else
	return NULL;
#endif
}

/*
 * Executor state for changing rows of one relation, as an apply worker makes it
 * (create_edata_for_relation() in worker.c).  Permissions stand beside the range
 * table since 16, and 18 wants to know which relations are not pruned; goes
 * with 17.
 */
static inline EState *
plinth_estate_for(Relation rel)
{
	EState	   *estate = CreateExecutorState();
	RangeTblEntry *rte = makeNode(RangeTblEntry);
#if PG_VERSION_NUM >= 160000
	List	   *perminfos = NIL;
#endif

	rte->rtekind = RTE_RELATION;
	rte->relid = RelationGetRelid(rel);
	rte->relkind = rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
#if PG_VERSION_NUM >= 180000
	(void) addRTEPermissionInfo(&perminfos, rte);
	ExecInitRangeTable(estate, list_make1(rte), perminfos,
					   bms_make_singleton(1));
#elif PG_VERSION_NUM >= 160000
	(void) addRTEPermissionInfo(&perminfos, rte);
	ExecInitRangeTable(estate, list_make1(rte), perminfos);
#else
	ExecInitRangeTable(estate, list_make1(rte));
#endif
	return estate;
}

/* 16 tells EvalPlanQual about result relations; goes with 15. */
static inline void
plinth_epq_init(EPQState *epqstate, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	EvalPlanQualInit(epqstate, estate, NULL, NIL, -1, NIL);
#else
	EvalPlanQualInit(epqstate, estate, NULL, NIL, -1);
#endif
}

/*
 * An entry point that SQL may name.  Until 15 PG_FUNCTION_INFO_V1 exports its
 * record but not the function, and ours are hidden by default; goes with 15.
 */
#define PLINTH_FUNCTION(name) \
	PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

#endif							/* PLINTH_COMPAT_H */
