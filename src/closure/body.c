/*
 * src/closure/body.c
 *		What can be asked of a hierarchy, as SQL.
 *
 * One text for each question serves the functions that stand beside a table
 * (functions.c), as their body, and the generic ones (read.c).  It is written
 * once, for keys of any number of columns:
 *
 *		{table}, {closure}		the relations, qualified
 *		{c.descendant}			columns of one side, with commas between
 *		{c.ancestor = #1}		all equal to those of the first node asked about
 *		{p.key = t.parent}		all equal
 *		{t.parent IS NULL}		any is null
 *		{closure id}			the closure as a regclass
 *		{#1}					the columns of the first node asked about
 *		{min}, {max}			the limits of depth, arguments after the nodes
 *
 * Sides are `ancestor` and `descendant` of the closure, `key` and `parent` of
 * the table, and `k` and `p` of a query that calls its columns k0, k1, ... and
 * p0, p1, ...  Equality is that of the key's type and collation.  Everything
 * is qualified and arguments go by number: the search path of the caller and
 * the names of columns have no say in what the texts mean.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "kit/type.h"

#define LIMITS(depth) \
	depth " OPERATOR(pg_catalog.>=) {min} AND" \
	" ({max} IS NULL OR " depth " OPERATOR(pg_catalog.<=) {max})"

/* Two ways up, which meet at common ancestors. */
#define MEETING \
	"{closure} a JOIN {closure} b ON {b.ancestor = a.ancestor}" \
	" WHERE {a.descendant = #1} AND {b.descendant = #2}"

const ClosureReading closure_readings[CR_NREADS] = {
	[CR_DESCENDANTS] = {
		.name = "descendants",
		.nodes = {"node"},
		.limits = true,
		.result = CR_NODES_DEPTH,
		.body = "SELECT {c.descendant}, c.depth FROM {closure} c WHERE {c.ancestor = #1} AND " LIMITS("c.depth"),
		.comment = "Nodes below a node; with min_depth 0 the node too"
	},
	[CR_ANCESTORS] = {
		.name = "ancestors",
		.nodes = {"node"},
		.limits = true,
		.result = CR_NODES_DEPTH,
		.body = "SELECT {c.ancestor}, c.depth FROM {closure} c WHERE {c.descendant = #1} AND " LIMITS("c.depth"),
		.comment = "Nodes above a node; with min_depth 0 the node too"
	},
	[CR_CHILDREN] = {
		.name = "children",
		.nodes = {"node"},
		.result = CR_NODES,
		.body = "SELECT {t.key} FROM {table} t WHERE {t.parent = #1}",
		.orphans = " AND EXISTS (SELECT FROM {table} p WHERE {p.key = #1})",
		.comment = "Nodes whose parent a node is"
	},
	[CR_SIBLINGS] = {
		.name = "siblings",
		.nodes = {"node"},
		.result = CR_NODES,
		.body = "SELECT {t.key} FROM {table} s JOIN {table} t ON {t.parent = s.parent} WHERE {s.key = #1} AND NOT ({t.key = #1})",
		.orphans = " AND EXISTS (SELECT FROM {table} p WHERE {p.key = s.parent})",
		.comment = "Other nodes with the same parent"
	},
	[CR_LEAVES] = {
		.name = "leaves",
		.nodes = {"node"},
		.result = CR_NODES_DEPTH,
		.body = "SELECT {c.descendant}, c.depth FROM {closure} c WHERE {c.ancestor = #1} AND NOT EXISTS"
		" (SELECT FROM {closure} l WHERE {l.ancestor = c.descendant} AND l.depth OPERATOR(pg_catalog.>) 0)",
		.comment = "Nodes without children at or below a node"
	},
	[CR_ROOTS] = {
		.name = "roots",
		.result = CR_NODES,
		.body = "SELECT {t.key} FROM {table} t WHERE {t.parent IS NULL}",
		.orphans = " OR NOT EXISTS (SELECT FROM {table} p WHERE {p.key = t.parent})",
		.comment = "Nodes without a parent"
	},
	[CR_ROOT] = {
		.name = "root",
		.nodes = {"node"},
		.result = CR_NODE,
		.body = "SELECT {c.ancestor} FROM {closure} c WHERE {c.descendant = #1} ORDER BY c.depth DESC LIMIT 1",
		.comment = "The root of the tree that a node is in"
	},
	[CR_PATH] = {
		.name = "path",
		.nodes = {"node"},
		.result = CR_NODES_DEPTH,
		.body = "SELECT {c.ancestor}, pg_catalog.max(c.depth) OVER () OPERATOR(pg_catalog.-) c.depth"
		" FROM {closure} c WHERE {c.descendant = #1} ORDER BY c.depth DESC",
		.array_result = CR_ARRAY,
		.array_body = "SELECT pg_catalog.array_agg({c.ancestor} ORDER BY c.depth DESC) FROM {closure} c WHERE {c.descendant = #1}",
		.comment = "The nodes from the root down to a node"
	},
	[CR_DEPTH] = {
		.name = "depth",
		.nodes = {"node"},
		.result = CR_INTEGER,
		.body = "SELECT pg_catalog.max(c.depth) FROM {closure} c WHERE {c.descendant = #1}",
		.comment = "How far a node is below its root"
	},
	[CR_HEIGHT] = {
		.name = "height",
		.nodes = {"node"},
		.result = CR_INTEGER,
		.body = "SELECT pg_catalog.max(c.depth) FROM {closure} c WHERE {c.ancestor = #1}",
		.comment = "How far the deepest node below a node is below it"
	},
	[CR_SUBTREE_SIZE] = {
		.name = "subtree_size",
		.nodes = {"node"},
		.result = CR_BIGINT,
		.body = "SELECT pg_catalog.count(*) FROM {closure} c WHERE {c.ancestor = #1}"
		" HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0",
		.comment = "The number of nodes at or below a node"
	},
	[CR_IS_ANCESTOR] = {
		.name = "is_ancestor",
		.nodes = {"ancestor", "descendant"},
		.result = CR_BOOLEAN,
		/* an expression, so that the planner puts it in the place of the call */
		.body = "SELECT " CLOSURE_SCHEMA ".is_ancestor_of({closure id}, {#1}, {#2})",
		.comment = "Is one node above the other? No node is above itself"
	},
	[CR_DISTANCE] = {
		.name = "distance",
		.nodes = {"node", "other"},
		.result = CR_INTEGER,
		.body = "SELECT pg_catalog.min(a.depth OPERATOR(pg_catalog.+) b.depth) FROM " MEETING,
		.comment = "The number of steps from one node to another; NULL if they are in different trees"
	},
	[CR_LCA] = {
		.name = "lca",
		.nodes = {"node", "other"},
		.result = CR_NODE,
		.body = "SELECT {a.ancestor} FROM " MEETING " ORDER BY a.depth LIMIT 1",
		.array_argument = true,
		.array_result = CR_NODE,
		/* nearest ancestor of any of them that none of them lacks */
		.array_body = "SELECT {c.ancestor} FROM {closure} c WHERE {c.descendant = #} AND NOT EXISTS"
		" (SELECT FROM pg_catalog.unnest($1) AS n({k}) WHERE NOT EXISTS"
		" (SELECT FROM {closure} s WHERE {s.ancestor = c.ancestor} AND {s.descendant = n.k}))"
		" ORDER BY c.depth LIMIT 1",
		.comment = "The lowest common ancestor; NULL if the nodes are in different trees"
	},
	[CR_EXISTS] = {
		.nodes = {"node"},
		.result = CR_BOOLEAN,
		.body = "SELECT true FROM {closure} c WHERE {c.ancestor = #1} AND {c.descendant = #1}"
	}
};

/* The number of nodes that a question is about. */
int
closure_read_nodes(ClosureRead read)
{
	int			n = 0;

	while (n < lengthof(closure_readings[read].nodes) &&
		   closure_readings[read].nodes[n] != NULL)
		n++;
	return n;
}

/*
 * Do arrays of this hierarchy's keys exist?  There are none of several
 * columns, and none of arrays.
 */
bool
closure_keys_fit_arrays(const Hierarchy *h)
{
	return h->nkeys == 1 && !h->textual[0] &&
		!OidIsValid(get_base_element_type(h->types[0]));
}

/* "alias.side" of one key column, for the parser. */
static char *
column(Hierarchy *h, const char *what, int i)
{
	const char *dot = strchr(what, '.');
	const char *side = dot ? dot + 1 : what;
	const char *name;

	if (strcmp(side, "key") == 0)
		name = list_nth(h->options->key, i);
	else if (strcmp(side, "parent") == 0)
		name = list_nth(h->options->parent, i);
	else if (strcmp(side, "k") == 0 || strcmp(side, "p") == 0)
		name = psprintf("%s%d", side, i);
	else
		name = closure_column(h, side, i);
	return psprintf("%.*s%s", (int) (side - what), what,
					quote_identifier(name));
}

/* One column of the right side of an equality. */
static char *
operand(Hierarchy *h, const char *what, int i)
{
	if (what[0] != '#')
		return column(h, what, i);
	if (what[1] == '\0')
		return "(SELECT pg_catalog.unnest($1) LIMIT 1)";
	return psprintf("$%d", (what[1] - '1') * h->nkeys + i + 1);
}

/* The collation in which the left side is compared, if it must be said. */
static char *
collation_of(Hierarchy *h, const char *left, int i)
{
	Oid			collation = h->collations[i];
	int32		typmod;
	Oid			type;

	if (strcmp(strchr(left, '.') + 1, "parent") == 0)
		get_atttypetypmodcoll(h->relid,
							  get_attnum(h->relid,
										 list_nth(h->options->parent, i)),
							  &type, &typmod, &collation);
	if (!OidIsValid(collation) || collation == DEFAULT_COLLATION_OID)
		return "";
	return psprintf(" COLLATE %s", plinth_collation_name(collation));
}

/* What stands in braces. */
static void
expand_item(StringInfo buf, Hierarchy *h, char *item, int nodes)
{
	char	   *equal = strstr(item, " = ");
	char	   *isnull = strstr(item, " IS NULL");

	if (strcmp(item, "table") == 0)
		appendStringInfoString(buf, plinth_relation_name(h->relid));
	else if (strcmp(item, "closure") == 0)
		appendStringInfoString(buf, plinth_relation_name(h->closureid));
	else if (strcmp(item, "closure id") == 0)
		appendStringInfo(buf, "%s::pg_catalog.regclass",
						 quote_literal_cstr(plinth_relation_name(h->closureid)));
	else if (strcmp(item, "min") == 0)
		appendStringInfo(buf, "$%d", nodes * h->nkeys + 1);
	else if (strcmp(item, "max") == 0)
		appendStringInfo(buf, "$%d", nodes * h->nkeys + 2);
	else if (equal)
	{
		*equal = '\0';
		for (int i = 0; i < h->nkeys; i++)
			appendStringInfo(buf, "%s%s %s %s%s", i > 0 ? " AND " : "",
							 plinth_comparable(h->types[i], column(h, item, i)),
							 plinth_equality(h->types[i]),
							 plinth_comparable(h->types[i],
												operand(h, equal + strlen(" = "), i)),
							 collation_of(h, item, i));
	}
	else if (isnull)
	{
		*isnull = '\0';
		for (int i = 0; i < h->nkeys; i++)
			appendStringInfo(buf, "%s%s IS NULL", i > 0 ? " OR " : "",
							 column(h, item, i));
	}
	else
	{
		for (int i = 0; i < h->nkeys; i++)
			appendStringInfo(buf, "%s%s", i > 0 ? ", " : "",
							 operand(h, item, i));
	}
}

/*
 * Append a text with what is in braces filled in; `nodes` is the number of
 * nodes among its arguments.
 */
void
closure_expand(StringInfo buf, Hierarchy *h, const char *text, int nodes)
{
	while (*text)
	{
		size_t		plain = strcspn(text, "{");
		const char *end;

		appendBinaryStringInfo(buf, text, plain);
		text += plain;
		if (*text == '\0')
			break;
		end = strchr(text, '}');
		expand_item(buf, h, pnstrdup(text + 1, end - text - 1), nodes);
		text = end + 1;
	}
}

/*
 * Can a node have a parent that does not exist?  Such nodes are roots, and
 * nobody's children.
 */
static bool
may_have_orphans(const Hierarchy *h)
{
	return h->options->orphan_roots || h->deferred_parent;
}

/*
 * The query that answers a question; `arrays` chooses the form in which keys
 * go into arrays.
 */
char *
closure_read_body(Hierarchy *h, ClosureRead read, bool arrays)
{
	const ClosureReading *reading = &closure_readings[read];
	int			nodes = closure_read_nodes(read);
	StringInfoData buf;

	initStringInfo(&buf);
	closure_expand(&buf, h, arrays && reading->array_body ?
				   reading->array_body : reading->body, nodes);
	if (reading->orphans && may_have_orphans(h))
		closure_expand(&buf, h, reading->orphans, nodes);
	return buf.data;
}

/* The saved plan of a question; the caller is connected to SPI. */
SPIPlanPtr
closure_read_plan(Hierarchy *h, ClosureRead read)
{
	Oid			types[2 * CLOSURE_MAX_KEYS + 2];
	int			ntypes = 0;
	char	   *text;
	SPIPlanPtr	plan;

	if (h->reads[read])
		return h->reads[read];
	text = closure_read_body(h, read, false);
	for (int node = 0; node < closure_read_nodes(read); node++)
	{
		for (int i = 0; i < h->nkeys; i++)
			types[ntypes++] = h->types[i];
	}
	if (closure_readings[read].limits)
	{
		types[ntypes++] = INT4OID;
		types[ntypes++] = INT4OID;
	}
	plan = SPI_prepare(text, ntypes, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), text);
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	h->reads[read] = plan;
	return plan;
}
