/*
 * src/audit/target.c
 *		What the trigger must know of a table, looked up once.
 *
 * An AuditTarget is made from the trigger's arguments and the catalogs when a
 * trigger fires first, and kept for the session, one a trigger.  It holds no
 * pointer into the relcache.  An invalidation only marks it; it is made anew
 * when it is next asked for.  The old one is freed then, or at the end of the
 * transaction if a capture further down the stack is using it.
 *
 * Invariant: a target that audit_target_valid() says yes to describes the
 * table, the options and the log as they are for as long as the caller holds
 * a lock on table and log.
 *
 * Everything that would let a row go unrecorded or show a column that was to
 * be hidden is an error here: the statement fails closed.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "audit/audit.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_index.h"
#include "catalog/pg_subscription_rel.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "kit/cache.h"
#include "kit/catalog.h"

typedef struct CachedTarget
{
	Oid			tgoid;			/* hash key */
	AuditTarget *target;
} CachedTarget;

/*
 * The one being made is not in the table yet; this is how an invalidation
 * finds it.  Plain values, so that an error leaves nothing behind.
 */
static struct
{
	Oid			relid;
	Oid			rootid;
	Oid			logid;
	bool		stale;
}			making;

/*
 * The targets of the captures that are running, the innermost last, each with
 * the nesting level of its transaction: one can be running inside another if
 * an output function or a query of ours runs code that writes.
 */
static struct
{
	AuditTarget *target;
	int			level;
}		   *running = NULL;
static int	nrunning = 0;
static int	maxrunning = 0;

static HTAB *targets = NULL;
static bool any_stale = false;	/* is one of them marked? */
static MemoryContext targets_context = NULL;
static List *retired = NIL;		/* of MemoryContext, in targets_context */

/* Mark a target. */
static void
mark_stale(AuditTarget *target)
{
	target->valid = false;
	any_stale = true;
}

/* Mark what an invalidation of this relation (0: of all) concerns. */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CachedTarget *entry;

	if (OidIsValid(relid) && (relid == making.relid ||
							  relid == making.rootid || relid == making.logid))
		making.stale = true;

	hash_seq_init(&status, targets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		AuditTarget *target = entry->target;

		if (!OidIsValid(relid) || relid == target->relid ||
			relid == target->rootid || relid == target->logid)
			mark_stale(target);
	}
}

/*
 * A type changed.  That of a new table, also of a temporary one, is announced
 * to everybody, so look closely whether it is one of ours.
 */
static void
type_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	CachedTarget *entry;

	hash_seq_init(&status, targets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (hashvalue == 0 ||
			audit_converters_concern(entry->target->converters, hashvalue))
			mark_stale(entry->target);
	}
}

/* A schema, a role's membership or a subscription changed: that is rare. */
static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed(arg, InvalidOid);
}

void
audit_target_init(void)
{
	targets = plinth_cache_create("plinth_audit targets",
								  sizeof(CachedTarget), &targets_context);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMMEMROLE, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(SUBSCRIPTIONRELMAP, catalog_changed,
								  (Datum) 0);
}

/*
 * Nobody uses a target between transactions: free what is outdated, also
 * because its trigger may be gone.  Called when failing is not allowed.
 */
void
audit_target_xact_end(void)
{
	HASH_SEQ_STATUS status;
	CachedTarget *entry;
	ListCell   *lc;

	nrunning = 0;
	foreach(lc, retired)
		MemoryContextDelete(lfirst(lc));
	list_free(retired);
	retired = NIL;

	if (!any_stale)
		return;
	any_stale = false;
	hash_seq_init(&status, targets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->target->valid)
			continue;
		MemoryContextDelete(entry->target->context);
		hash_search(targets, &entry->tgoid, HASH_REMOVE, NULL);
	}
}

/* Is the target still what the catalogs say? */
bool
audit_target_valid(const AuditTarget *target)
{
	return target->valid;
}

/* A capture begins to use a target. */
void
audit_target_use(AuditTarget *target)
{
	if (nrunning == maxrunning)
	{
		int			size = Max(2 * maxrunning, 16);

		running = running ? repalloc(running, size * sizeof(running[0])) :
			MemoryContextAlloc(targets_context, size * sizeof(running[0]));
		maxrunning = size;
	}
	running[nrunning].target = target;
	running[nrunning].level = GetCurrentTransactionNestLevel();
	nrunning++;
}

/* The innermost capture has ended. */
void
audit_target_release(void)
{
	Assert(nrunning > 0);
	nrunning--;
}

/* So have those that the failed subtransaction had begun. */
void
audit_target_subxact_abort(void)
{
	while (nrunning > 0 &&
		   running[nrunning - 1].level >= GetCurrentTransactionNestLevel())
		nrunning--;
}

/* Free a target, or see that it is freed when nobody can be using it. */
static void
retire(AuditTarget *target)
{
	MemoryContext old;

	for (int i = 0; i < nrunning; i++)
	{
		if (running[i].target != target)
			continue;
		old = MemoryContextSwitchTo(targets_context);
		retired = lappend(retired, target->context);
		MemoryContextSwitchTo(old);
		return;
	}
	MemoryContextDelete(target->context);
}

/* Is the log filled by a subscription on this node? */
static bool
log_is_received(Oid logid)
{
	Relation	rel = table_open(SubscriptionRelRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(logid));
	scan = systable_beginscan(rel, SubscriptionRelSrrelidSrsubidIndexId,
							  true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* In the order in which jsonb keeps keys: by length, then by bytes. */
static int
compare_columns(const void *a, const void *b)
{
	const AuditColumn *ca = a;
	const AuditColumn *cb = b;

	if (ca->namelen != cb->namelen)
		return ca->namelen - cb->namelen;
	return memcmp(ca->name, cb->name, ca->namelen);
}

/* Every name in an option must be a column, or something is not hidden. */
static void
check_names(Relation rel, const List *names, const char *option)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel), lfirst(lc));

		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("audit option \"%s\" of table \"%s\" names column \"%s\", which does not exist",
							option, RelationGetRelationName(rel),
							(char *) lfirst(lc)),
					 errhint("Correct the option with plinth_audit.alter()."),
					 errtable(rel)));
	}
}

/*
 * Names of a table's primary key columns, as char *; NIL if there is none.
 * From the catalogs, without a lock on the table: the one that is asked for
 * may be the parent of the one that is being written to, and whoever changes
 * both locks the parent first.
 */
List *
audit_key_names(Oid relid)
{
	Relation	rel = table_open(IndexRelationId, AccessShareLock);
	List	   *names = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tup;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tup = systable_getnext(scan)))
	{
		Form_pg_index index = (Form_pg_index) GETSTRUCT(tup);

		if (!index->indisprimary)
			continue;
		for (int i = 0; i < index->indnkeyatts; i++)
			names = lappend(names, get_attname(relid, index->indkey.values[i],
											   false));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return names;
}

static void
fill_column(AuditTarget *target, AuditColumn *column, Form_pg_attribute att)
{
	column->attnum = att->attnum;
	column->computed = PLINTH_IS_VIRTUAL(att);
	target->any_computed |= column->computed;
	column->name = pstrdup(NameStr(att->attname));
	column->namelen = strlen(column->name);
	column->converter = audit_converter(target->converters, att->atttypid);
	column->pins = audit_converter_pins(column->converter);
	column->masked = plinth_name_in(target->options->mask, column->name);
}

/* Sort the table's columns into images, key and the rest. */
static void
fill_columns(AuditTarget *target, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	const AuditOptions *options = target->options;
	List	   *key;

	check_names(rel, options->include, "include");
	check_names(rel, options->exclude, "exclude");
	check_names(rel, options->mask, "mask");

	/* rows of all partitions and children go by the key of the root */
	key = audit_key_names(target->rootid);
	if (key == NIL && target->child)
		key = audit_key_names(target->relid);

	target->natts = desc->natts;
	target->image = palloc0(desc->natts * sizeof(AuditColumn));
	target->key = palloc0(desc->natts * sizeof(AuditColumn));
	target->leftout = palloc0(desc->natts * sizeof(AuditColumn));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = NameStr(att->attname);
		bool		in_key;
		bool		in_image;

		if (att->attisdropped)
			continue;
		in_key = plinth_name_in(key, name);
		in_image = (!options->has_include ||
					plinth_name_in(options->include, name)) &&
			!plinth_name_in(options->exclude, name);

		if (in_key)
		{
			fill_column(target, &target->key[target->nkey], att);
			target->pins |= target->key[target->nkey++].pins;
			if (!in_image)
				target->key_hidden = true;
			if (plinth_name_in(options->mask, name))
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("column \"%s\" of table \"%s\" is masked in the audit log but part of the primary key",
								name, RelationGetRelationName(rel)),
						 errhint("Correct the option with plinth_audit.alter()."),
						 errtable(rel)));
		}
		if (in_image)
		{
			AuditColumn *column = &target->image[target->nimage++];

			fill_column(target, column, att);
			target->pins |= column->pins;
			target->namebytes += column->namelen + 32;
			target->any_masked |= column->masked;
		}
		else
			fill_column(target, &target->leftout[target->nleftout++], att);
	}
	qsort(target->image, target->nimage, sizeof(AuditColumn), compare_columns);
	qsort(target->key, target->nkey, sizeof(AuditColumn), compare_columns);
}

/* May this table's changes go into this log? */
static void
check_right(AuditTarget *target, Relation rel)
{
	if (!audit_log_accepts(target->logid, target->rootid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" may not write to audit log \"%s\"",
						RelationGetRelationName(rel), target->logname),
				 errdetail("The table's owner has no SELECT privilege with grant option on the log."),
				 errhint("Let a superuser run plinth_audit.repair() on the table."),
				 errtable(rel)));
}

/*
 * Find the log and how to write to it; 55000 if it is not fit for that.  The
 * log stays locked, so that what is found stays true.
 */
static void
bind_log(AuditTarget *target, Relation rel)
{
	const char *name = target->options->log;
	Relation	log;

	/* a name may come to mean another relation until that is locked */
	for (;;)
	{
		target->logid = plinth_qualified_oid(name);
		log = OidIsValid(target->logid) ?
			try_relation_open(target->logid, RowExclusiveLock) : NULL;
		if (plinth_qualified_oid(name) == target->logid)
			break;
		if (log)
			relation_close(log, RowExclusiveLock);
		CHECK_FOR_INTERRUPTS();
	}
	if (log == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("audit log \"%s\" of table \"%s\" does not exist",
						plinth_name_label(name), RelationGetRelationName(rel)),
				 errhint("Run plinth_audit.repair() to make it again, or plinth_audit.disable() to stop auditing the table."),
				 errtable(rel)));
	target->logname = pstrdup(RelationGetRelationName(log));
	audit_log_bind(log, target->logatts, &target->seqid);
	target->received = log_is_received(target->logid);
	relation_close(log, NoLock);
}

/* Make the target for a trigger, in the current memory context. */
static AuditTarget *
make_target(Relation rel, Trigger *trigger)
{
	AuditTarget *target = palloc0(sizeof(AuditTarget));

	target->context = CurrentMemoryContext;
	target->tgoid = trigger->tgoid;
	target->relid = RelationGetRelid(rel);
	target->options = audit_options_parse(trigger->tgnargs, trigger->tgargs);
	target->converters = audit_converters_create(CurrentMemoryContext);

	/*
	 * The table is locked by the statement, the log by bind_log().  From then
	 * on only news about these relations matters, say, of the log's
	 * privileges.  That everything may have changed is no news: it comes when
	 * messages were lost, and we are looking at the catalogs anyway.
	 */
	bind_log(target, rel);
	making.relid = target->relid;
	making.rootid = InvalidOid;
	making.logid = target->logid;
	making.stale = false;
	target->rootid = audit_root(target->relid, target->logid, &target->child);
	making.rootid = target->rootid;
	check_right(target, rel);
	fill_columns(target, rel);
	target->valid = !making.stale;
	return target;
}

/*
 * The target for a trigger that is firing on `rel`.  Good until the end of
 * the transaction; whoever has opened more relations since must look at
 * audit_target_valid().
 */
AuditTarget *
audit_target(Relation rel, Trigger *trigger)
{
	CachedTarget *entry;
	bool		found;

	entry = hash_search(targets, &trigger->tgoid, HASH_FIND, NULL);
	if (entry && entry->target->valid &&
		entry->target->relid == RelationGetRelid(rel))
		return entry->target;

	for (;;)
	{
		MemoryContext context;
		MemoryContext old;
		AuditTarget *target;

		CHECK_FOR_INTERRUPTS();
		context = AllocSetContextCreate(CurrentMemoryContext,
										"plinth_audit target",
										ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(context);

		target = make_target(rel, trigger);
		MemoryContextSwitchTo(old);

		if (!target->valid)
		{
			MemoryContextDelete(context);
			continue;
		}

		MemoryContextSetParent(context, targets_context);
		entry = hash_search(targets, &trigger->tgoid, HASH_ENTER, &found);
		if (found)
			retire(entry->target);
		entry->target = target;
		return target;
	}
}
