/*
 * src/inventory/inventory.c
 *		A table, its companions and its columns, as a session knows them.
 *
 * Everything about an inventory is in the arguments of its triggers and in the
 * catalogs.  It is read once and kept until an invalidation concerns the table
 * or one of its companions; a claim asks no catalog.
 *
 * An entry that was invalidated is replaced when it is asked for again, and
 * freed in a later transaction: whoever has a pointer may run SQL meanwhile.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "inventory/inventory.h"

#include "access/nbtree.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "kit/cache.h"

/* What the cache has of a table: the newest entry. */
typedef struct CacheEntry
{
	Oid			relid;			/* hash key */
	Inventory  *inv;
} CacheEntry;

static HTAB *cache;
static MemoryContext cache_context;

/* Entries that were replaced, and a count of transactions to know since when. */
static Inventory *retired;
static uint64 transactions;

/* To see that something has come while the catalogs were read. */
static uint64 invalidations;

/* What inventory_only_one() has found, and for whom. */
static Oid	only_one = InvalidOid;
static Oid	only_one_user;

/* Does an invalidation of a relation concern the entry? */
static bool
concerns(const Inventory *inv, Oid relid)
{
	if (!OidIsValid(relid) || relid == inv->relid)
		return true;
	for (int i = 0; i < NCOMPANIONS; i++)
	{
		if (inv->companion[i] == relid)
			return true;
	}
	return relid == inv->cell_index || relid == inv->stock_index ||
		relid == inv->reservation_index || relid == inv->reservation_tail ||
		relid == inv->movement_tail || relid == inv->due_index;
}

static void
invalidate(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	only_one = InvalidOid;
	invalidations++;
	if (cache == NULL)
		return;
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->inv && concerns(entry->inv, relid))
			entry->inv->valid = false;
	}
}

/* A type, function or operator has changed: rare, so everything goes. */
static void
invalidate_all(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidate(arg, InvalidOid);
}

/* The number of a companion's column; 0 where there are no warehouses. */
AttrNumber
inventory_column(const Inventory *inv, Companion companion, int column)
{
	int			warehouse = companion == RESERVATION ? (int) R_WAREHOUSE :
		companion == MOVEMENT ? (int) M_WAREHOUSE : (int) C_WAREHOUSE;

	if (inv->nkeys == 1 && column >= warehouse)
		return column == warehouse ? InvalidAttrNumber : column;
	return column + 1;
}

/* Are the columns of a companion those that enable() has given it? */
static void
check_columns(Inventory *inv, Companion companion)
{
	static const char *const *const names[NCOMPANIONS] = {
		inventory_reservation_columns,
		inventory_movement_columns,
		inventory_cell_columns
	};
	static const int counts[NCOMPANIONS] = {R_NCOLUMNS, M_NCOLUMNS, C_NCOLUMNS};

	for (int i = 0; i < counts[companion]; i++)
	{
		AttrNumber	attnum = inventory_column(inv, companion, i);

		if (attnum != InvalidAttrNumber &&
			get_attnum(inv->companion[companion], names[companion][i]) != attnum)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" of inventory \"%s\" lacks column \"%s\" at its place",
							get_rel_name(inv->companion[companion]),
							get_rel_name(inv->relid), names[companion][i]),
					 errhint("Run plinth_inventory.disable() and enable(); rename the table if it is to be kept.")));
	}
}

/*
 * And their types?  Rows are read and written without asking again, and not
 * every table that a trigger names was made by enable().
 */
static void
check_types(Inventory *inv, Companion companion)
{
	Oid			companionid = inv->companion[companion];
	char	   *why = get_rel_relkind(companionid) != RELKIND_RELATION ?
		"It is not an ordinary table." :
		inventory_column_misfit(inv->relid, inv->options, companion,
								companionid, true);

	if (why)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" cannot be a table of inventory \"%s\"",
						get_rel_name(companionid), get_rel_name(inv->relid)),
				 errdetail_internal("%s", why),
				 errhint("Run plinth_inventory.disable() and enable(); rename the table if it is to be kept.")));
}

/* The type of a column that is a number. */
static Oid
number_type(const Inventory *inv, AttrNumber attnum)
{
	Oid			type = getBaseType(get_atttype(inv->relid, attnum));

	if (type != INT2OID && type != INT4OID && type != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of inventory \"%s\" has type %s",
						get_attname(inv->relid, attnum, false),
						get_rel_name(inv->relid), format_type_be(type)),
				 errhint("Quantity, reserved and version are smallint, integer or bigint.")));
	return type;
}

/* A column of the stock table. */
static AttrNumber
stock_column(const Inventory *inv, const char *name)
{
	AttrNumber	attnum = get_attnum(inv->relid, name);

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of inventory \"%s\" does not exist",
						name, get_rel_name(inv->relid)),
				 errhint("Run plinth_inventory.disable() and enable() with the names of today.")));
	return attnum;
}

/* What is needed to read, write and compare a column of the key. */
static void
describe_key(Inventory *inv, int i, const char *name)
{
	KeyColumn  *key = &inv->key[i];
	TypeCacheEntry *type;
	Oid			function;
	bool		isvarlena;

	inv->key_att[i] = stock_column(inv, name);
	get_atttypetypmodcoll(inv->relid, inv->key_att[i], &key->type, &key->typmod,
						  &key->collation);
	get_typlenbyval(key->type, &key->typlen, &key->typbyval);
	getTypeInputInfo(key->type, &function, &key->ioparam);
	fmgr_info_cxt(function, &key->input, inv->context);
	getTypeOutputInfo(key->type, &function, &isvarlena);
	fmgr_info_cxt(function, &key->output, inv->context);
	type = lookup_type_cache(key->type, TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC |
							 TYPECACHE_HASH_EXTENDED_PROC);
	if (!OidIsValid(type->eq_opr) || !OidIsValid(type->cmp_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s of column \"%s\" has no default B-tree operators",
						format_type_be(key->type), name)));
	key->equal = get_opcode(type->eq_opr);
	fmgr_info_cxt(type->cmp_proc, &key->compare, inv->context);
	if (OidIsValid(type->hash_extended_proc))
		fmgr_info_cxt(type->hash_extended_proc, &key->hash, inv->context);
}

/* The plain unique B-tree index of a relation on just these columns. */
static Oid
find_unique(const Inventory *inv, Relation rel, const AttrNumber *atts, int n,
			int *order)
{
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;
	Oid			result = InvalidOid;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		int			matched = 0;

		if (form->indisunique && form->indisvalid && form->indimmediate &&
			!form->indisexclusion && form->indnkeyatts == n &&
			index->rd_rel->relam == BTREE_AM_OID &&
			RelationGetIndexPredicate(index) == NIL &&
			RelationGetIndexExpressions(index) == NIL)
		{
			for (int i = 0; i < n; i++)
			{
				for (int k = 0; k < n; k++)
				{
					if (form->indkey.values[i] == atts[k] &&
						(order == NULL || index->rd_indcollation[i] == inv->key[k].collation))
					{
						if (order)
							order[i] = k;
						matched++;
						break;
					}
				}
			}
		}
		if (matched == n)
			result = RelationGetRelid(index);
		index_close(index, NoLock);
		if (OidIsValid(result))
			break;
	}
	list_free(indexes);
	if (!OidIsValid(result))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" lacks a unique index that inventory \"%s\" needs",
						RelationGetRelationName(rel), get_rel_name(inv->relid)),
				 errhint("The primary keys of an inventory and of the tables beside it must stay as they were when plinth_inventory.enable() was called.")));
	return result;
}

/*
 * Has an index all rows that are looked for in it?  They have values in its
 * columns, and if only holds are looked for they are not finished.
 */
static bool
has_all_rows(const Inventory *inv, Relation index, const AttrNumber *atts,
			 int n, bool holds)
{
	DirectIndex description;

	if (!inventory_describe_index(index, &description))
		return false;
	for (int i = 0; i < description.ntests; i++)
	{
		AttrNumber	att = description.test_att[i];
		bool		searched = false;

		for (int k = 0; k < n; k++)
			searched |= att == atts[k];
		if (description.test_null[i] ?
			!holds || att != inventory_column(inv, RESERVATION, R_FINISHED_AT) :
			!searched)
			return false;
	}
	return true;
}

/* A B-tree index of a companion that begins with these columns. */
static Oid
find_index(const Inventory *inv, Companion companion, const AttrNumber *atts,
		   int n, bool holds)
{
	Relation	rel = table_open(inv->companion[companion], AccessShareLock);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;
	Oid			result = InvalidOid;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (form->indisvalid && index->rd_rel->relam == BTREE_AM_OID &&
			form->indnkeyatts >= n &&
			memcmp(form->indkey.values, atts, n * sizeof(int16)) == 0 &&
			has_all_rows(inv, index, atts, n, holds))
			result = RelationGetRelid(index);
		index_close(index, NoLock);
		if (OidIsValid(result))
			break;
	}
	list_free(indexes);
	if (!OidIsValid(result))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" lacks an index that inventory \"%s\" needs",
						RelationGetRelationName(rel), get_rel_name(inv->relid)),
				 errhint("Run plinth_inventory.repair().")));
	table_close(rel, NoLock);
	return result;
}

static void
find_indexes(Inventory *inv)
{
	AttrNumber	atts[3];
	Relation	rel = table_open(inv->relid, AccessShareLock);

	inv->only_our_triggers = rel->rd_rules == NULL;
	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (!trigger->tgisinternal && trigger->tgfoid != inventory_function("stock"))
			inv->only_our_triggers = false;
	}
	inv->stock_index = find_unique(inv, rel, inv->key_att, inv->nkeys,
								   inv->stock_index_att);
	table_close(rel, NoLock);

	for (int i = 0; i < inv->nkeys; i++)
		atts[i] = inventory_column(inv, CELL, C_SKU + i);
	inv->cell_index = find_index(inv, CELL, atts, inv->nkeys, false);

	atts[0] = inventory_column(inv, RESERVATION, R_KEY);
	atts[1] = inventory_column(inv, RESERVATION, R_LINE);
	inv->reservation_index = find_index(inv, RESERVATION, atts, 2, false);
	atts[0] = inventory_column(inv, RESERVATION, R_GENERATION);
	atts[1] = inventory_column(inv, RESERVATION, R_XID);
	inv->reservation_tail = find_index(inv, RESERVATION, atts, 2, false);
	atts[0] = inventory_column(inv, MOVEMENT, M_GENERATION);
	atts[1] = inventory_column(inv, MOVEMENT, M_XID);
	inv->movement_tail = find_index(inv, MOVEMENT, atts, 2, false);
	for (int i = 0; i < inv->nkeys; i++)
		atts[i] = inventory_column(inv, RESERVATION, R_SKU + i);
	atts[inv->nkeys] = inventory_column(inv, RESERVATION, R_EXPIRES_AT);
	inv->due_index = find_index(inv, RESERVATION, atts, inv->nkeys + 1, true);
}

/* The companions, by name. */
static void
find_companions(Inventory *inv)
{
	const char *names[NCOMPANIONS];

	names[RESERVATION] = inv->options->reservation;
	names[MOVEMENT] = inv->options->movement;
	names[CELL] = inv->options->cell;
	for (int i = 0; i < NCOMPANIONS; i++)
	{
		inv->companion[i] = plinth_qualified_oid(names[i]);
		if (!OidIsValid(inv->companion[i]))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("table \"%s\" of inventory \"%s\" does not exist",
							plinth_name_label(names[i]),
							get_rel_name(inv->relid)),
					 errhint("Restore it, or run plinth_inventory.disable() and enable().")));

		/* rows go there with its rights */
		if (plinth_relation_owner(inv->companion[i]) != inv->owner)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" does not belong to the owner of inventory \"%s\"",
							plinth_name_label(names[i]),
							get_rel_name(inv->relid)),
					 errhint("Use ALTER TABLE ... OWNER TO.")));
		check_columns(inv, i);
		check_types(inv, i);
	}
}

/* 42P01 if a table, which is locked now, was dropped meanwhile. */
void
inventory_check_exists(Oid relid)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
}

/* Read everything about an inventory; 55000 if the table is none. */
static Inventory *
describe(Oid relid)
{
	MemoryContext context = AllocSetContextCreate(cache_context,
												  "plinth_inventory",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old;
	Inventory  *inv;
	Oid			sequence;
	Relation	rel;

	LockRelationOid(relid, AccessShareLock);
	inventory_check_exists(relid);

	/* goes with an error: reparented when it is complete */
	MemoryContextSetParent(context, CurrentMemoryContext);
	old = MemoryContextSwitchTo(context);
	inv = palloc0(sizeof(Inventory));
	inv->relid = relid;
	inv->context = context;
	inv->options = inventory_table_options(relid);
	if (inv->options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not an inventory", get_rel_name(relid)),
				 errhint("Make it one with plinth_inventory.enable().")));
	inv->owner = plinth_relation_owner(relid);
	inv->nkeys = inv->options->warehouse ? 2 : 1;
	describe_key(inv, 0, inv->options->sku);
	if (inv->nkeys > 1)
		describe_key(inv, 1, inv->options->warehouse);
	inv->quantity_att = stock_column(inv, inv->options->quantity);
	inv->reserved_att = stock_column(inv, inv->options->reserved);
	inv->version_att = stock_column(inv, inv->options->version);
	inv->quantity_type = number_type(inv, inv->quantity_att);
	inv->reserved_type = number_type(inv, inv->reserved_att);
	inv->version_type = number_type(inv, inv->version_att);
	find_companions(inv);
	find_indexes(inv);
	inventory_writer_prepare(inv);
	rel = table_open(inv->companion[MOVEMENT], AccessShareLock);
	sequence = plinth_identity_sequence(rel, inventory_column(inv, MOVEMENT, M_ID));
	table_close(rel, NoLock);
	inv->movement_sequence = sequence;
	inv->epoch = inventory_shared_epoch(relid);
	MemoryContextSwitchTo(old);
	return inv;
}

/* Free entries that were replaced in earlier transactions. */
static void
free_retired(void)
{
	Inventory **link = &retired;

	while (*link)
	{
		Inventory  *inv = *link;

		if (inv->retired_in == transactions)
			link = &inv->next_retired;
		else
		{
			*link = inv->next_retired;
			for (int i = 0; i < ST_COUNT; i++)
			{
				if (inv->plans[i])
					SPI_freeplan(inv->plans[i]);
			}
			MemoryContextDelete(inv->context);
		}
	}
}

/*
 * An inventory; 55000 if the table is none.  What is returned stays in memory
 * to the end of the transaction; it is true for as long as the caller holds a
 * lock on the table.
 */
Inventory *
inventory_get(Oid relid)
{
	CacheEntry *entry;
	bool		found;

	if (cache == NULL)
		cache = plinth_cache_create("plinth_inventory cache",
									sizeof(CacheEntry), &cache_context);
	entry = hash_search(cache, &relid, HASH_ENTER, &found);
	if (!found)
		entry->inv = NULL;
	if (entry->inv == NULL || !entry->inv->valid)
	{
		uint64		before = invalidations;
		Inventory  *inv;

		free_retired();
		inv = describe(relid);
		inv->valid = before == invalidations;

		/* nothing but our own calls changes the hash table */
		if (entry->inv)
		{
			entry->inv->retired_in = transactions;
			entry->inv->next_retired = retired;
			retired = entry->inv;
		}
		MemoryContextSetParent(inv->context, cache_context);
		entry->inv = inv;
	}
	return entry->inv;
}

/* May the current role read or move stock of a table? */
static bool
may_use(Oid relid)
{
	return pg_class_aclcheck(relid, GetUserId(), ACL_UPDATE | ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_UPDATE | ACL_SELECT,
								  ACLMASK_ANY) == ACLCHECK_OK;
}

/*
 * Keep what is known of an inventory true to the end of the transaction: lock
 * the tables that are read and written without asking the catalogs again.  The
 * caller has a lock on the stock table.
 */
void
inventory_hold(Inventory **inv)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if ((*inv)->valid)
		{
			LockRelationOid((*inv)->companion[CELL], AccessShareLock);
			LockRelationOid((*inv)->companion[RESERVATION], RowExclusiveLock);
			LockRelationOid((*inv)->companion[MOVEMENT], RowExclusiveLock);
			if ((*inv)->valid)
				return;
		}
		*inv = inventory_get((*inv)->relid);
	}
}

/*
 * What a call means that names no inventory: the only one that the current role
 * may use, or the only one there is.  55000 if there is none, 42P08 if there
 * are several, which are listed.
 */
Oid
inventory_only_one(void)
{
	List	   *all = NIL;
	List	   *found = NIL;
	ListCell   *lc;
	StringInfoData names;

	if (OidIsValid(only_one) && only_one_user == GetUserId())
		return only_one;
	initStringInfo(&names);
	foreach(lc, plinth_function_triggers(inventory_function("stock")))
	{
		PlinthTrigger *trig = lfirst(lc);

		/* nobody can make a temporary table an inventory for others */
		if (!plinth_table_persists(trig->relid) ||
			list_member_oid(all, trig->relid))
			continue;
		all = lappend_oid(all, trig->relid);
		if (!may_use(trig->relid))
			continue;
		appendStringInfo(&names, "%s%s", found == NIL ? "" : ", ",
						 plinth_relation_name(trig->relid));
		found = lappend_oid(found, trig->relid);
	}
	if (found == NIL && list_length(all) == 1)
		return linitial_oid(all);
	if (found == NIL)
		ereport(ERROR,
				all == NIL ?
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no inventory in this database"),
				 errhint("Make one with plinth_inventory.enable().")) :
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may use none of the inventories in this database",
						GetUserNameFromId(GetUserId(), false))));
	if (list_length(found) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("there are several inventories in this database"),
				 errdetail("They are: %s.", names.data),
				 errhint("Say which with the parameter \"inventory\".")));
	only_one = linitial_oid(found);
	only_one_user = GetUserId();
	return only_one;
}

/* The inventory that a call names in an argument, or the only one. */
Oid
inventory_argument(FunctionCallInfo fcinfo, int arg)
{
	Oid			relid = PG_ARGISNULL(arg) ? inventory_only_one() :
		PG_GETARG_OID(arg);

	inventory_check_exists(relid);
	return relid;
}

static void
count_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		transactions++;
}

void
inventory_cache_init(void)
{
	RegisterXactCallback(count_transaction, NULL);
	CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, invalidate_all, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, invalidate_all, (Datum) 0);
}
