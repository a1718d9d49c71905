/*
 * src/closure/functions.c
 *		The functions that stand beside a table.
 *
 * enable() makes them in the closure's schema, typed as the key is, with the
 * queries of body.c for bodies, parsed once and for all.  They run as their
 * caller.  They are ordinary functions, which a dump carries; ours are those
 * that have the name and depend on the table or the closure.
 *
 * Functions and closure depend on the table in such a way that DROP TABLE
 * takes them along, while what somebody else has built on them still has to
 * be dropped first or by CASCADE.  A dump does not carry that; it is recorded
 * again when the table gets its trigger.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* A function about to be made. */
typedef struct Function
{
	Hierarchy  *h;
	ClosureRead read;
	const ClosureReading *reading;
	bool		arrays;			/* the form that has keys in arrays */
	char	   *name;
	List	   *names;			/* of the arguments: char * */
	Oid			types[2 * CLOSURE_MAX_KEYS + 2];
	int			ntypes;
} Function;

static char *
function_name(const ClosureOptions *options, ClosureRead read)
{
	return makeObjectName(options->name, NULL, closure_readings[read].name);
}

/*
 * The name, clipped to what a name may have, with as many underscores behind
 * it as make it unlike those that are taken; it is then taken too.
 */
static char *
free_name(List **taken, const char *name)
{
	char		result[NAMEDATALEN];
	int			underscores = 0;

	for (;;)
	{
		int			len = pg_mbcliplen(name, strlen(name),
									   NAMEDATALEN - 1 - underscores);

		memcpy(result, name, len);
		memset(result + len, '_', underscores);
		result[len + underscores] = '\0';
		if (!plinth_name_in(*taken, result))
			break;
		underscores++;
	}
	*taken = lappend(*taken, pstrdup(result));
	return llast(*taken);
}

/* Names of arguments and results that key columns have to give way to. */
static List *
reserved_names(void)
{
	return list_make3("depth", "min_depth", "max_depth");
}

/*
 * How the key columns of one node are called among the arguments or results:
 * `what`, or if there are several, as they are in the table, behind `what` if
 * that is not just "node".
 */
static List *
node_names(Hierarchy *h, const char *what, List **taken)
{
	List	   *names = NIL;

	for (int i = 0; i < h->nkeys; i++)
	{
		const char *key = list_nth(h->options->key, i);

		if (h->nkeys == 1)
			names = lappend(names, pstrdup(what));
		else if (strcmp(what, "node") == 0)
			names = lappend(names, free_name(taken, key));
		else
			names = lappend(names,
							free_name(taken, psprintf("%s_%s", what, key)));
	}
	return names;
}

static char *
type_name(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY);
}

/* Describe the function that answers a question about this hierarchy. */
static Function *
describe(Hierarchy *h, ClosureRead read)
{
	Function   *function = palloc0(sizeof(Function));
	List	   *taken = reserved_names();

	function->h = h;
	function->read = read;
	function->reading = &closure_readings[read];
	function->arrays = function->reading->array_body &&
		closure_keys_fit_arrays(h);
	function->name = function_name(h->options, read);
	if (function->arrays && function->reading->array_argument)
	{
		function->names = list_make1("nodes");
		function->types[function->ntypes++] = h->arraytypes[0];
		return function;
	}
	for (int node = 0; node < closure_read_nodes(read); node++)
	{
		function->names = list_concat(function->names,
									  node_names(h, function->reading->nodes[node],
												 &taken));
		for (int i = 0; i < h->nkeys; i++)
			function->types[function->ntypes++] = h->types[i];
	}
	if (function->reading->limits)
	{
		function->names = lappend(function->names, "min_depth");
		function->types[function->ntypes++] = INT4OID;
		function->names = lappend(function->names, "max_depth");
		function->types[function->ntypes++] = INT4OID;
	}
	return function;
}

/* The arguments, as CREATE FUNCTION wants them. */
static char *
arguments(const Function *function)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < function->ntypes; i++)
	{
		const char *name = list_nth(function->names, i);

		appendStringInfo(&buf, "%s%s%s %s", i > 0 ? ", " : "",
						 function->arrays && function->reading->array_argument ?
						 "VARIADIC " : "",
						 quote_identifier(name), type_name(function->types[i]));
		if (function->reading->limits && i == function->ntypes - 2)
			appendStringInfoString(&buf, " DEFAULT 1");
		if (function->reading->limits && i == function->ntypes - 1)
			appendStringInfoString(&buf, " DEFAULT NULL");
	}
	return buf.data;
}

/*
 * What comes after RETURNS.  Functions that return rows are not STRICT,
 * because the planner would not see through them.
 */
static char *
returns(const Function *function)
{
	Hierarchy  *h = function->h;
	ClosureResult result = function->arrays ? function->reading->array_result :
		function->reading->result;
	List	   *taken = reserved_names();
	List	   *names = node_names(h, "node", &taken);
	StringInfoData buf;

	switch (result)
	{
		case CR_INTEGER:
			return "integer STRICT";
		case CR_BIGINT:
			return "bigint STRICT";
		case CR_BOOLEAN:
			return "boolean STRICT";
		case CR_ARRAY:
			return psprintf("%s STRICT", type_name(h->arraytypes[0]));
		case CR_NODE:
			if (h->nkeys == 1)
				return psprintf("%s STRICT", type_name(h->types[0]));
			break;
		case CR_NODES:
		case CR_NODES_DEPTH:
			break;
	}
	initStringInfo(&buf);
	appendStringInfoString(&buf, "TABLE (");
	for (int i = 0; i < h->nkeys; i++)
		appendStringInfo(&buf, "%s%s %s", i > 0 ? ", " : "",
						 quote_identifier(list_nth(names, i)),
						 type_name(h->types[i]));
	appendStringInfo(&buf, "%s)",
					 result == CR_NODES_DEPTH ? ", depth integer" : "");
	return buf.data;
}

/* The function of this name and arguments in a schema; or InvalidOid. */
static Oid
lookup(const Function *function, Oid nspid)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(function->name),
						   PointerGetDatum(buildoidvector(function->types,
														  function->ntypes)),
						   ObjectIdGetDatum(nspid));
}

/*
 * Does the closure go with the table?  closure_attach() says so, which does it
 * only where both have one owner: what a trigger's arguments say proves
 * nothing, since whoever owns a table can make a trigger by hand that names
 * somebody else's.
 */
bool
closure_belongs_to(Oid closureid, Oid relid)
{
	return plinth_sql_strings("SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = %u AND objsubid = 0"
							  " AND refclassid = 'pg_class'::regclass AND refobjid = %u AND refobjsubid = 0 AND deptype = 'a'",
							  closureid, relid) != NIL;
}

/* The closure of a table if it belongs to the same owner, or to the table. */
Oid
closure_own_closure(Oid relid, const ClosureOptions *options)
{
	Oid			closureid = plinth_qualified_oid(options->closure);

	if (OidIsValid(closureid) &&
		plinth_relation_owner(closureid) != plinth_relation_owner(relid) &&
		!closure_belongs_to(closureid, relid))
		return InvalidOid;
	return closureid;
}

/* Our functions, of one question or of all: a List of Oid. */
static List *
our_functions(Oid relid, const ClosureOptions *options)
{
	char	   *nspname;
	char	   *relname;
	List	   *names = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	if (options->name == NULL)
		return NIL;
	for (ClosureRead read = 0; read < CR_NFUNCTIONS; read++)
		names = lappend(names, function_name(options, read));
	plinth_split_name(options->closure, &nspname, &relname);
	foreach(lc, plinth_sql_strings("SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
								   " WHERE n.nspname = %s AND p.proname IN (%s) AND EXISTS (SELECT FROM pg_depend d"
								   " WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid"
								   " AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (%u, %u)) ORDER BY p.oid",
								   quote_literal_cstr(nspname),
								   plinth_literal_list(names), relid,
								   closure_own_closure(relid, options)))
		result = lappend_oid(result, strtoul(lfirst(lc), NULL, 10));
	return result;
}

/* Give a function to the table's owner. */
static void
give_to_owner(Oid funcid, Oid relid)
{
	Oid			owner = plinth_relation_owner(relid);

	if (plinth_function_owner(funcid) != owner)
		plinth_sql("ALTER FUNCTION %s OWNER TO %s",
				   format_procedure_qualified(funcid),
				   quote_identifier(GetUserNameFromId(owner, false)));
}

/* Make one function. */
static void
make_function(const Function *function, Oid nspid)
{
	Hierarchy  *h = function->h;
	Oid			funcid;

	if (OidIsValid(lookup(function, nspid)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FUNCTION),
				 errmsg("function %s already exists with the same argument types",
						format_procedure_qualified(lookup(function, nspid))),
				 errhint("Hierarchy \"%s\" needs that name: rename the function.",
						 get_rel_name(h->relid))));
	plinth_sql("CREATE FUNCTION %s(%s) RETURNS %s LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC %s; END",
			   plinth_quote_name(get_namespace_name(nspid), function->name),
			   arguments(function), returns(function),
			   closure_read_body(h, function->read, function->arrays));
	funcid = lookup(function, nspid);
	give_to_owner(funcid, h->relid);
	plinth_sql("COMMENT ON FUNCTION %s IS %s",
			   format_procedure_qualified(funcid),
			   quote_literal_cstr(function->reading->comment));
}

/*
 * Make those functions of a hierarchy that are not there.  42723 if others are
 * in their places.  The caller holds a lock on the table and may create in the
 * schema of the closure, which exists.
 */
void
closure_make_functions(Oid relid)
{
	Hierarchy  *h = closure_table_hierarchy(relid);
	Oid			nspid = get_rel_namespace(h->closureid);
	List	   *present = our_functions(relid, h->options);

	if (h->options->name == NULL)
		return;
	for (ClosureRead read = 0; read < CR_NFUNCTIONS; read++)
	{
		Function   *function = describe(h, read);
		Oid			funcid = lookup(function, nspid);

		if (!OidIsValid(funcid) || !list_member_oid(present, funcid))
			make_function(function, nspid);
	}
	closure_attach(relid, h->options);
}

/* Drop the functions of a hierarchy; the closure need not exist any more. */
void
closure_drop_functions(Oid relid, const ClosureOptions *options)
{
	ListCell   *lc;

	foreach(lc, our_functions(relid, options))
		plinth_sql("DROP FUNCTION %s",
				   format_procedure_qualified(lfirst_oid(lc)));
}

/* The functions belong to whom the table belongs to. */
void
closure_own_functions(Oid relid, const ClosureOptions *options)
{
	ListCell   *lc;

	foreach(lc, our_functions(relid, options))
		give_to_owner(lfirst_oid(lc), relid);
}

/* A closure that is an ordinary table again does not go with the table. */
void
closure_detach(Oid relid, Oid closureid)
{
	(void) deleteDependencyRecordsForSpecific(RelationRelationId, closureid,
											  DEPENDENCY_AUTO,
											  RelationRelationId, relid);
	CommandCounterIncrement();
}

/*
 * Make closure and functions go with the table.  Whoever makes a trigger says
 * in its arguments what the closure is, so this is done only where table,
 * closure and functions have one owner, and as that owner.
 */
void
closure_attach(Oid relid, const ClosureOptions *options)
{
	Oid			closureid = plinth_qualified_oid(options->closure);
	Oid			owner = plinth_relation_owner(relid);
	ListCell   *lc;

	if (!OidIsValid(closureid) || closureid == relid)
		return;
	LockRelationOid(closureid, AccessShareLock);
	if (plinth_qualified_oid(options->closure) != closureid ||
		plinth_relation_owner(closureid) != owner ||
		!plinth_owns_relation(relid, GetUserId()))
		return;
	plinth_drop_with(RelationRelationId, closureid, relid);
	foreach(lc, our_functions(relid, options))
	{
		if (plinth_function_owner(lfirst_oid(lc)) == owner)
			plinth_drop_with(ProcedureRelationId, lfirst_oid(lc), relid);
	}
	CommandCounterIncrement();
}
