/*
 * src/closure/hierarchy.c
 *		A table, its closure and the queries between them, cached.
 *
 * A Hierarchy is made from the arguments of the table's triggers and kept for
 * the session.  It holds no pointer into the relcache; an invalidation marks
 * it, and it is made anew when next asked for.  Plans are made on first use,
 * and the plan cache revalidates them by itself.
 *
 * The queries take sets of keys as arrays, one array for each key column.
 * Every name, function and operator in them is qualified: they mean the same
 * whatever the search path, which matters, because they run as the closure's
 * owner.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "access/relation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "kit/cache.h"
#include "kit/target.h"
#include "kit/type.h"

typedef struct CachedHierarchy
{
	Oid			relid;			/* hash key */
	Hierarchy  *hierarchy;
} CachedHierarchy;

static HTAB *hierarchies = NULL;
static MemoryContext hierarchies_context = NULL;
static List *retired = NIL;		/* of Hierarchy *, in hierarchies_context */

/* Mark what an invalidation of this relation (0: of all) concerns. */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CachedHierarchy *entry;

	hash_seq_init(&status, hierarchies);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relid) || relid == entry->relid ||
			relid == entry->hierarchy->closureid)
			entry->hierarchy->valid = false;
	}
}

static void
catalog_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	relation_changed(arg, InvalidOid);
}

void
closure_hierarchy_init(void)
{
	hierarchies = plinth_cache_create("plinth_closure hierarchies",
									  sizeof(CachedHierarchy),
									  &hierarchies_context);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, catalog_changed, (Datum) 0);
}

/* Give back what nobody can be using between transactions. */
void
closure_hierarchy_xact_end(void)
{
	ListCell   *lc;

	foreach(lc, retired)
	{
		Hierarchy  *h = lfirst(lc);

		for (int i = 0; i < CQ_NQUERIES; i++)
		{
			for (int many = 0; many < 2; many++)
			{
				if (h->plans[i][many])
					SPI_freeplan(h->plans[i][many]);
			}
		}
		for (int i = 0; i < CR_NREADS; i++)
		{
			if (h->reads[i])
				SPI_freeplan(h->reads[i]);
		}
		MemoryContextDelete(h->context);
	}
	list_free(retired);
	retired = NIL;
}

/* For ereport: which table the error is about. */
int
closure_errtable(const Hierarchy *h)
{
	err_generic_string(PG_DIAG_SCHEMA_NAME,
					   get_namespace_name(get_rel_namespace(h->relid)));
	return err_generic_string(PG_DIAG_TABLE_NAME, get_rel_name(h->relid));
}

/*
 * How a column of the closure is called now.  They are known by their places:
 * ancestor's, descendant's, depth.  What the key was called when they were
 * made does not matter.
 */
char *
closure_column(const Hierarchy *h, const char *side, int column)
{
	AttrNumber	attnum = 1 + column +
		(strcmp(side, "descendant") == 0 ? h->nkeys : 0);

	return get_attname(h->closureid, attnum, false);
}

/* Describe the key columns. */
static void
fill_keys(Hierarchy *h)
{
	ListCell   *lc;
	int			i = 0;

	h->hashable = true;
	foreach(lc, h->options->key)
	{
		AttrNumber	attnum = get_attnum(h->relid, lfirst(lc));
		AttrNumber	parent = get_attnum(h->relid, list_nth(h->options->parent, i));
		int32		typmod;
		TypeCacheEntry *typentry;

		if (attnum == InvalidAttrNumber || parent == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("key column \"%s\" or parent column \"%s\" of hierarchy \"%s\" does not exist",
							(char *) lfirst(lc),
							(char *) list_nth(h->options->parent, i),
							get_rel_name(h->relid)),
					 errhint("Run plinth_closure.disable() and plinth_closure.enable() again.")));
		get_atttypetypmodcoll(h->relid, attnum, &h->types[i], &typmod,
							  &h->collations[i]);
		h->key_att[i] = attnum;
		h->parent_att[i] = parent;
		get_typlenbyvalalign(h->types[i], &h->typlen[i], &h->typbyval[i],
							 &h->typalign[i]);
		h->arraytypes[i] = get_array_type(h->types[i]);
		if (!OidIsValid(h->arraytypes[i]) ||
			type_is_rowtype(getBaseType(h->types[i])))
		{
			h->textual[i] = true;
			h->arraytypes[i] = TEXTARRAYOID;
		}
		typentry = lookup_type_cache(h->types[i], TYPECACHE_EQ_OPR_FINFO |
									 TYPECACHE_CMP_PROC_FINFO |
									 TYPECACHE_HASH_PROC_FINFO);
		if (!OidIsValid(typentry->cmp_proc))
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("type %s of key column \"%s\" has no order",
							format_type_be(h->types[i]), (char *) lfirst(lc))));
		h->equal_op[i] = typentry->eq_opr;
		fmgr_info_copy(&h->equal[i], &typentry->eq_opr_finfo,
					   CurrentMemoryContext);
		fmgr_info_copy(&h->compare[i], &typentry->cmp_proc_finfo,
					   CurrentMemoryContext);
		if (OidIsValid(typentry->hash_proc))
			fmgr_info_copy(&h->hash[i], &typentry->hash_proc_finfo,
						   CurrentMemoryContext);
		else
			h->hashable = false;
		i++;
	}
	h->nkeys = i;
}

/* Attribute numbers as the text of an array. */
static char *
attnum_array(const AttrNumber *attnums, int n)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "%s%d", i > 0 ? "," : "", attnums[i]);
	return buf.data;
}

/*
 * Is the parent a foreign key to the key that is checked at commit only?  It
 * may have further columns, but only such as are never null: with them it
 * would not be checked.
 */
static bool
parent_is_deferred(Hierarchy *h)
{
	char	   *parents = attnum_array(h->parent_att, h->nkeys);

	return plinth_sql_strings("SELECT c.conname FROM pg_constraint c WHERE c.conrelid = %u AND c.confrelid = %u"
							  " AND c.contype = 'f' AND c.condeferred"
							  " AND NOT EXISTS (SELECT FROM unnest('{%s}'::int2[], '{%s}'::int2[]) AS h(parent, key)"
							  "  WHERE NOT EXISTS (SELECT FROM unnest(c.conkey, c.confkey) AS f(parent, key)"
							  "   WHERE f.parent = h.parent AND f.key = h.key))"
							  " AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)"
							  "  AND NOT a.attnotnull AND a.attnum <> ALL ('{%s}'::int2[]))",
							  h->relid, h->relid, parents,
							  attnum_array(h->key_att, h->nkeys), parents) != NIL;
}

/* A table as a hierarchy, in the current context; it need not have a closure. */
Hierarchy *
closure_describe(Oid relid, ClosureOptions *options)
{
	Hierarchy  *h = palloc0(sizeof(Hierarchy));

	h->context = CurrentMemoryContext;
	h->relid = relid;
	h->valid = true;
	h->options = options;
	fill_keys(h);
	h->deferred_parent = parent_is_deferred(h);
	return h;
}

static Hierarchy *
make_hierarchy(Oid relid, int nargs, char **args)
{
	Hierarchy  *h = closure_describe(relid, closure_options_parse(nargs, args));

	h->closureid = plinth_qualified_oid(h->options->closure);
	if (!OidIsValid(h->closureid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("closure table \"%s\" of hierarchy \"%s\" does not exist",
						plinth_name_label(h->options->closure),
						get_rel_name(relid)),
				 errhint("Run plinth_closure.rebuild() to make it again, or plinth_closure.disable().")));
	h->owner = plinth_relation_owner(h->closureid);
	/* whoever makes a trigger by hand names what it writes to */
	if (h->owner != plinth_relation_owner(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("closure table \"%s\" does not belong to the owner of table \"%s\"",
						plinth_name_label(h->options->closure),
						get_rel_name(relid))));
	closure_probe_prepare(h);
	return h;
}

/*
 * The hierarchy of a table whose triggers have these arguments; if they are
 * NULL, they are looked up.  Good until the end of the transaction.
 */
Hierarchy *
closure_hierarchy(Oid relid, int nargs, char **args)
{
	CachedHierarchy *entry;
	MemoryContext context;
	MemoryContext old;
	Hierarchy  *h;
	bool		found;

	entry = hash_search(hierarchies, &relid, HASH_FIND, NULL);
	if (entry && entry->hierarchy->valid)
		return entry->hierarchy;
	if (args == NULL)
		return closure_table_hierarchy(relid);

	context = AllocSetContextCreate(CurrentMemoryContext,
									"plinth_closure hierarchy",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	h = make_hierarchy(relid, nargs, args);
	MemoryContextSwitchTo(old);

	MemoryContextSetParent(context, hierarchies_context);
	entry = hash_search(hierarchies, &relid, HASH_ENTER, &found);
	if (found)
	{
		old = MemoryContextSwitchTo(hierarchies_context);
		retired = lappend(retired, entry->hierarchy);
		MemoryContextSwitchTo(old);
	}
	entry->hierarchy = h;
	return h;
}

/*
 * The hierarchy of a table that must be one: 42P01 or 55000 if it is not.
 */
Hierarchy *
closure_table_hierarchy(Oid relid)
{
	char	   *name = plinth_existing_name(relid);
	PlinthTrigger *trig = closure_trigger(relid, "collect", NULL);

	if (trig && OidIsValid(trig->parent))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not a hierarchy", name),
				 errdetail("It is a partition of hierarchy \"%s\".",
						   get_rel_name(closure_root(relid))),
				 errhint("Name the partitioned table instead.")));
	if (trig == NULL && closure_trigger(relid, "guard", NULL))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not a hierarchy", name),
				 errdetail("It is the closure of one."),
				 errhint("Name the table that has the nodes instead.")));
	if (trig == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not a hierarchy", name),
				 errhint("Make it one with plinth_closure.enable().")));
	return closure_hierarchy(relid, trig->nargs, trig->args);
}

/* "a.x OPERATOR(=) b.y AND ...", over all key columns */
static char *
equal_keys(Hierarchy *h, char **left, char **right)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < h->nkeys; i++)
		appendStringInfo(&buf, "%s%s %s %s", i > 0 ? " AND " : "",
						 plinth_comparable(h->types[i], left[i]),
						 plinth_equality(h->types[i]),
						 plinth_comparable(h->types[i], right[i]));
	return buf.data;
}

/* Column names with a prefix, one for each key column. */
static char **
columns(Hierarchy *h, const char *alias, const char *kind)
{
	char	  **result = palloc(h->nkeys * sizeof(char *));

	for (int i = 0; i < h->nkeys; i++)
	{
		const char *name;

		if (strcmp(kind, "key") == 0)
			name = list_nth(h->options->key, i);
		else if (strcmp(kind, "parent") == 0)
			name = list_nth(h->options->parent, i);
		else if (strcmp(kind, "array") == 0)
			name = psprintf("k%d", i);
		else if (strcmp(kind, "array2") == 0)
			name = psprintf("l%d", i);
		else
			name = closure_column(h, kind, i);
		result[i] = psprintf("%s%s%s", alias, *alias ? "." : "",
							 quote_identifier(name));
		if (h->textual[i] && *alias && strncmp(kind, "array", 5) == 0)
			result[i] = psprintf("%s::%s", result[i],
								 format_type_extended(h->types[i], -1,
													  FORMAT_TYPE_FORCE_QUALIFY));
	}
	return result;
}

static char *
list_of(Hierarchy *h, char **names)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < h->nkeys; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", names[i]);
	return buf.data;
}

/* So many arrays from $1 on, side by side as rows. */
static char *
rows_from(int n)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "ROWS FROM (");
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "%spg_catalog.unnest($%d)", i > 0 ? ", " : "",
						 i + 1);
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

/* The text of a query; closure_plan_types() tells of its parameters. */
static char *
query_text(Hierarchy *h, ClosureQuery query)
{
	char	   *table = plinth_relation_name(h->relid);
	char	   *closure = plinth_relation_name(h->closureid);
	char	   *keys = psprintf("%s WITH ORDINALITY AS k(%s, ord)",
								rows_from(h->nkeys),
								list_of(h, columns(h, "", "array")));
	char	   *pairs = psprintf("%s AS k(%s, %s)", rows_from(2 * h->nkeys),
								 list_of(h, columns(h, "", "array")),
								 list_of(h, columns(h, "", "array2")));
	char	   *triples = psprintf("%s AS k(%s, %s, depth)",
								   rows_from(2 * h->nkeys + 1),
								   list_of(h, columns(h, "", "array")),
								   list_of(h, columns(h, "", "array2")));
	char	  **k = columns(h, "k", "array");
	char	  **l = columns(h, "k", "array2");
	char	  **tkey = columns(h, "t", "key");
	char	  **tparent = columns(h, "t", "parent");
	char	  **anc = columns(h, "c", "ancestor");
	char	  **desc = columns(h, "c", "descendant");

	switch (query)
	{
		case CQ_PARENT:
			return psprintf("SELECT k.ord, %s FROM %s JOIN %s t ON %s",
							list_of(h, tparent), keys, table,
							equal_keys(h, tkey, k));
		case CQ_ANCESTORS:
			return psprintf("SELECT k.ord, c.depth, %s FROM %s JOIN %s c ON %s",
							list_of(h, anc), keys, closure,
							equal_keys(h, desc, k));
		case CQ_DESCENDANTS:
			return psprintf("SELECT k.ord, c.depth, %s FROM %s JOIN %s c ON %s",
							list_of(h, desc), keys, closure,
							equal_keys(h, anc, k));
		case CQ_CHILDREN:
			/* the parent column may have another collation than the key */
			for (int i = 0; i < h->nkeys; i++)
			{
				Oid			type;
				int32		typmod;
				Oid			collation;

				get_atttypetypmodcoll(h->relid, h->parent_att[i], &type,
									  &typmod, &collation);
				if (collation != h->collations[i])
					k[i] = psprintf("%s COLLATE %s", k[i],
									plinth_collation_name(h->collations[i]));
			}
			return psprintf("SELECT k.ord, 1, %s FROM %s JOIN %s t ON %s",
							list_of(h, tkey), keys, table,
							equal_keys(h, tparent, k));
		case CQ_DELETE:
			return psprintf("DELETE FROM %s c USING %s WHERE %s AND %s",
							closure, pairs, equal_keys(h, anc, k),
							equal_keys(h, desc, l));
		case CQ_UPDATE:
			return psprintf("UPDATE %s c SET depth = k.depth FROM %s WHERE %s AND %s",
							closure, triples, equal_keys(h, anc, k),
							equal_keys(h, desc, l));
		case CQ_INSERT:
			return psprintf("INSERT INTO %s (%s, %s, depth) SELECT %s, %s, k.depth FROM %s",
							closure,
							list_of(h, columns(h, "", "ancestor")),
							list_of(h, columns(h, "", "descendant")),
							list_of(h, k), list_of(h, l), triples);
		case CQ_LOCK_SHARE:
			return psprintf("SELECT 1 FROM %s JOIN %s c ON %s AND %s ORDER BY k.ord FOR SHARE OF c",
							keys, closure, equal_keys(h, anc, k),
							equal_keys(h, desc, k));
		case CQ_LOCK_UPDATE:
			return psprintf("UPDATE %s c SET depth = c.depth FROM %s WHERE %s AND %s",
							closure, keys, equal_keys(h, anc, k),
							equal_keys(h, desc, k));
		case CQ_GONE:
			return psprintf("SELECT %s FROM %s c WHERE c.depth OPERATOR(pg_catalog.=) 0 AND NOT EXISTS (SELECT FROM %s t WHERE %s)",
							list_of(h, desc), closure, table,
							equal_keys(h, tkey, desc));
		case CQ_COUNT:
			return psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s LIMIT " INT64_FORMAT ") AS q",
							closure, h->options->max_rows + 1);
		case CQ_EMPTY:
			return psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s LIMIT 1) AS q",
							table);
		case CQ_NQUERIES:
			break;
	}
	elog(ERROR, "unrecognized closure query %d", (int) query);
}

/* The types of a query's parameters; returns how many there are. */
int
closure_plan_types(Hierarchy *h, ClosureQuery query, Oid *types)
{
	int			n = 0;
	int			nsets = 1;
	bool		depths = query == CQ_UPDATE || query == CQ_INSERT;

	if (query == CQ_DELETE || depths)
		nsets = 2;
	else if (query == CQ_GONE || query == CQ_COUNT || query == CQ_EMPTY)
		nsets = 0;
	for (int set = 0; set < nsets; set++)
	{
		for (int i = 0; i < h->nkeys; i++)
			types[n++] = h->arraytypes[i];
	}
	if (depths)
		types[n++] = INT4ARRAYOID;
	return n;
}

/* SPI_prepare_cursor(), which leaves the memory context as it is. */
SPIPlanPtr
closure_prepare(const char *text, int ntypes, Oid *types, int options)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	plan = SPI_prepare_cursor(text, ntypes, types, options);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s: %s",
			 SPI_result_code_string(SPI_result), text);
	MemoryContextSwitchTo(context);
	return plan;
}

/*
 * The saved plan of a query for about so many keys; the caller is connected to
 * SPI.  For few keys it is one generic plan, which looks each of them up; for
 * many it pays to plan for their number every time.
 */
SPIPlanPtr
closure_plan(Hierarchy *h, ClosureQuery query, int nkeys)
{
	bool		many = nkeys >= CLOSURE_MANY_KEYS;
	Oid			types[2 * CLOSURE_MAX_KEYS + 1];
	int			ntypes;
	char	   *text;
	SPIPlanPtr	plan;

	if (h->plans[query][many])
		return h->plans[query][many];
	text = query_text(h, query);
	ntypes = closure_plan_types(h, query, types);
	plan = closure_prepare(text, ntypes, types, many ?
						   CURSOR_OPT_CUSTOM_PLAN : CURSOR_OPT_GENERIC_PLAN);
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	h->plans[query][many] = plan;
	return plan;
}
