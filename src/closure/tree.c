/*
 * src/closure/tree.c
 *		tree(): a hierarchy, drawn for people.
 *
 * One query numbers the nodes in the order in which siblings are to stand and
 * says the number of each one's parent.  They are then linked by number, so
 * keys need not be compared here, and walked depth-first by these links, so
 * that a deep tree needs no deep stack.
 *
 * A node whose parent is not among the rows starts a tree of its own: that is
 * a root, the node that was asked for, and what row-level security shows of a
 * tree whose upper parts it hides.
 *
 * Copyright (c) 2026, plinth contributors
 */
#include "closure/closure.h"

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PLINTH_FUNCTION(plinth_closure_tree);

/* The arguments of tree(). */
enum
{
	ARG_TARGET,
	ARG_NODE,
	ARG_LABEL,
	ARG_ORDER_BY,
	ARG_MAX_DEPTH
};

/* One node; links are numbers of nodes, from 1 on, and 0 for none. */
typedef struct TreeNode
{
	char	   *key;			/* as text */
	char	   *label;			/* as text, if it is not the key */
	int			parent;
	int			first_child;
	int			next_sibling;
} TreeNode;

typedef struct Tree
{
	Hierarchy  *h;
	ClosureNodeText *text;
	MemoryContext context;
	bool		labelled;
	TreeNode   *nodes;			/* [0] is above all trees */
	int			n;
	int			max;
} Tree;

/* How the lines are drawn. */
typedef struct TreeStyle
{
	const char *child;			/* before a node */
	const char *last_child;
	const char *down;			/* before what is below such nodes */
	const char *last_down;
} TreeStyle;

/* U+251C, U+2514, U+2502 and U+2500, where the encoding surely has them */
static const TreeStyle utf8_style = {
	"\342\224\234\342\224\200 ", "\342\224\224\342\224\200 ",
	"\342\224\202  ", "   "
};
static const TreeStyle ascii_style = {"|- ", "`- ", "|  ", "   "};

/* A column that an argument names, quoted; 42703 if there is none. */
static const char *
column_argument(FunctionCallInfo fcinfo, int arg, Hierarchy *h)
{
	const char *name = NameStr(*PG_GETARG_NAME(arg));

	if (get_attnum(h->relid, name) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, get_rel_name(h->relid)),
				 closure_errtable(h)));
	return quote_identifier(name);
}

/* The query: number, number of the parent, label, key. */
static char *
tree_query(FunctionCallInfo fcinfo, Hierarchy *h)
{
	StringInfoData buf;

	initStringInfo(&buf);
	closure_expand(&buf, h, "WITH n (num, label, {k}, {p}) AS MATERIALIZED"
				   " (SELECT pg_catalog.row_number() OVER (ORDER BY ", 1);
	if (!PG_ARGISNULL(ARG_ORDER_BY))
		appendStringInfo(&buf, "t.%s, ",
						 column_argument(fcinfo, ARG_ORDER_BY, h));
	closure_expand(&buf, h, "{t.key}), ", 1);
	if (PG_ARGISNULL(ARG_LABEL))
		appendStringInfoString(&buf, "NULL::pg_catalog.text");
	else
		appendStringInfo(&buf, "t.%s", column_argument(fcinfo, ARG_LABEL, h));
	closure_expand(&buf, h, ", {t.key}, {t.parent} FROM {table} t", 1);

	if (!PG_ARGISNULL(ARG_NODE))
	{
		closure_expand(&buf, h, " JOIN {closure} c ON {c.descendant = t.key}"
					   " WHERE {c.ancestor = #1}", 1);
		if (!PG_ARGISNULL(ARG_MAX_DEPTH))
			appendStringInfo(&buf, " AND c.depth OPERATOR(pg_catalog.<=) (%d)",
							 PG_GETARG_INT32(ARG_MAX_DEPTH));
	}
	else if (!PG_ARGISNULL(ARG_MAX_DEPTH))
	{
		closure_expand(&buf, h, " WHERE NOT EXISTS (SELECT FROM {closure} c"
					   " WHERE {c.descendant = t.key}", 1);
		appendStringInfo(&buf, " AND c.depth OPERATOR(pg_catalog.>) (%d))",
						 PG_GETARG_INT32(ARG_MAX_DEPTH));
	}
	closure_expand(&buf, h, ") SELECT n.num, p.num, n.label, {n.k} FROM n"
				   " LEFT JOIN n p ON {p.k = n.p} ORDER BY n.num", 1);
	return buf.data;
}

/* Take a row of the query into the tree. */
static void
put_node(HeapTuple row, TupleDesc desc, void *arg)
{
	Tree	   *tree = arg;
	char	   *label = tree->labelled ? SPI_getvalue(row, desc, 3) : NULL;
	char	   *key = closure_node_column(tree->text, row, desc, 4);
	TreeNode   *node;
	bool		isnull;
	Datum		parent;

	if (tree->n == tree->max)
	{
		if (tree->max > PG_INT32_MAX / 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("hierarchy \"%s\" is too large to be drawn",
							get_rel_name(tree->h->relid)),
					 errhint("Draw a part of it, with the arguments \"node\" and \"max_depth\".")));
		tree->max *= 2;
		tree->nodes = repalloc_huge(tree->nodes,
									tree->max * sizeof(TreeNode));
	}
	node = &tree->nodes[tree->n++];
	memset(node, 0, sizeof(TreeNode));
	node->key = MemoryContextStrdup(tree->context, key);
	if (label)
		node->label = MemoryContextStrdup(tree->context, label);
	parent = SPI_getbinval(row, desc, 2, &isnull);
	if (!isnull)
		node->parent = (int) DatumGetInt64(parent);
}

/* Link every node to its first child and its next sibling. */
static void
link_nodes(Tree *tree)
{
	for (int i = tree->n - 1; i > 0; i--)
	{
		TreeNode   *node = &tree->nodes[i];
		TreeNode   *parent = &tree->nodes[node->parent];

		node->next_sibling = parent->first_child;
		parent->first_child = i;
	}
}

/*
 * The code point at p if it is one that would break a line or move about on
 * it, else 0.
 */
static pg_wchar
control_at(const char *p)
{
	const unsigned char *s = (const unsigned char *) p;
	pg_wchar	c;

	if (s[0] < 0x20 || s[0] == 0x7f)
		return s[0];
	if (GetDatabaseEncoding() != PG_UTF8 || s[0] < 0xc2)
		return 0;
	c = utf8_to_unicode(s);
	if ((c >= 0x80 && c <= 0x9f) || c == 0x2028 || c == 0x2029)
		return c;
	return 0;
}

/* Append a label that must stay on its line. */
static void
append_label(StringInfo buf, const char *label)
{
	for (const char *p = label; *p; p += pg_mblen(p))
	{
		pg_wchar	c = control_at(p);

		if (c == 0)
			appendBinaryStringInfo(buf, p, pg_mblen(p));
		else if (c == '\n')
			appendStringInfoString(buf, "\\n");
		else if (c == '\r')
			appendStringInfoString(buf, "\\r");
		else if (c == '\t')
			appendStringInfoString(buf, "\\t");
		else
			appendStringInfo(buf, "\\u%04x", c);
	}
}

/* Walk the trees and return their lines. */
static void
draw(Tree *tree, ReturnSetInfo *result)
{
	const TreeStyle *style = GetDatabaseEncoding() == PG_UTF8 ?
		&utf8_style : &ascii_style;
	StringInfoData before;		/* what the line begins with */
	StringInfoData line;
	int			depth = 0;
	int			at = tree->nodes[0].first_child;

	initStringInfo(&before);
	initStringInfo(&line);
	while (at)
	{
		TreeNode   *node = &tree->nodes[at];
		Datum		values[3];
		bool		nulls[3] = {0};

		CHECK_FOR_INTERRUPTS();
		resetStringInfo(&line);
		appendBinaryStringInfo(&line, before.data, before.len);
		if (depth > 0)
			appendStringInfoString(&line, node->next_sibling ?
								   style->child : style->last_child);
		append_label(&line, node->label ? node->label : node->key);
		values[0] = PointerGetDatum(cstring_to_text_with_len(line.data,
															 line.len));
		values[1] = CStringGetTextDatum(node->key);
		values[2] = Int32GetDatum(depth);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		pfree(DatumGetPointer(values[0]));
		pfree(DatumGetPointer(values[1]));

		if (node->first_child)
		{
			if (depth > 0)
				appendStringInfoString(&before, node->next_sibling ?
									   style->down : style->last_down);
			depth++;
			at = node->first_child;
			continue;
		}
		while (node->next_sibling == 0 && node->parent != 0)
		{
			node = &tree->nodes[node->parent];
			depth--;
			if (depth > 0)
				before.len -= strlen(node->next_sibling ?
									 style->down : style->last_down);
			before.data[before.len] = '\0';
		}
		at = node->next_sibling;
	}
}

/*
 * tree(target, node, label, order_by, max_depth): depth-first, all trees or
 * the one below a node.  P0002 if there is no such node, 42703 if a column
 * does not exist.
 */
Datum
plinth_closure_tree(PG_FUNCTION_ARGS)
{
	Hierarchy  *h = closure_read_target(fcinfo);
	Tree		tree = {.h = h};
	Datum	   *node = NULL;
	Oid			types[CLOSURE_MAX_KEYS];
	char	   *sql;
	SPIPlanPtr	plan;

	tree.text = closure_node_text(h);
	tree.context = CurrentMemoryContext;
	tree.labelled = !PG_ARGISNULL(ARG_LABEL);
	tree.max = 64;
	tree.nodes = palloc0(tree.max * sizeof(TreeNode));
	tree.n = 1;
	if (!PG_ARGISNULL(ARG_NODE))
		node = closure_node_in(tree.text,
							   text_to_cstring(PG_GETARG_TEXT_PP(ARG_NODE)));
	memcpy(types, h->types, sizeof(types));
	sql = tree_query(fcinfo, h);
	InitMaterializedSRF(fcinfo, 0);

	plinth_spi_connect();
	plan = SPI_prepare(sql, node ? h->nkeys : 0, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	if (closure_each_row(plan, node, NULL, put_node, &tree) == 0 && node)
		closure_require_node(h, node);
	plinth_spi_finish();

	link_nodes(&tree);
	draw(&tree, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}
