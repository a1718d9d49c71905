/* sql/plinth_closure--1.0.sql */

\echo Use "CREATE EXTENSION plinth_closure" to load this file. \quit

-- Nothing below may mean what somebody else has put into a schema.
SET LOCAL search_path = pg_catalog, pg_temp;

GRANT USAGE ON SCHEMA plinth_closure TO PUBLIC;
COMMENT ON SCHEMA plinth_closure IS 'plinth_closure: closure tables that stay exact';


-- Triggers

CREATE FUNCTION plinth_closure.collect() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_closure_collect';
COMMENT ON FUNCTION plinth_closure.collect() IS
  'Trigger function: remembers the nodes that a statement touches';

CREATE FUNCTION plinth_closure.apply() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_closure_apply';
COMMENT ON FUNCTION plinth_closure.apply() IS
  'Trigger function: brings the closure up to date when a statement has ended';

CREATE FUNCTION plinth_closure.guard() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_closure_guard';
COMMENT ON FUNCTION plinth_closure.guard() IS
  'Trigger function: keeps a closure from being changed by hand';


-- Hierarchies

CREATE FUNCTION plinth_closure._names(names text) RETURNS name[]
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN CASE WHEN names LIKE '{%}' THEN names::name[] ELSE ARRAY[names]::name[] END;
COMMENT ON FUNCTION plinth_closure._names(text) IS
  'One name, or several as the text of an array';

CREATE FUNCTION plinth_closure.enable(
    target regclass,
    key name[] DEFAULT NULL,
    parent name[] DEFAULT NULL,
    max_depth integer DEFAULT 1000,
    max_rows bigint DEFAULT NULL,
    orphans text DEFAULT 'error')
  RETURNS regclass
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_enable';
COMMENT ON FUNCTION plinth_closure.enable(regclass, name[], name[], integer, bigint, text) IS
  'Gives a table with a parent column a closure table, which is returned and kept equal to the transitive closure';

CREATE FUNCTION plinth_closure.enable(
    target regclass,
    key text,
    parent text,
    max_depth integer DEFAULT 1000,
    max_rows bigint DEFAULT NULL,
    orphans text DEFAULT 'error')
  RETURNS regclass
  LANGUAGE sql VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  BEGIN ATOMIC
    SELECT plinth_closure.enable(target, plinth_closure._names(key), plinth_closure._names(parent), max_depth, max_rows, orphans);
  END;
COMMENT ON FUNCTION plinth_closure.enable(regclass, text, text, integer, bigint, text) IS
  'The same with names as text: one column, or several as ''{a,b}''';

CREATE FUNCTION plinth_closure.disable(
    target regclass,
    drop_closure boolean DEFAULT false)
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_disable';
COMMENT ON FUNCTION plinth_closure.disable(regclass, boolean) IS
  'Stops keeping a closure up to date; the table stays, unguarded, unless drop_closure is true';

CREATE FUNCTION plinth_closure.rebuild(target regclass) RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_rebuild';
COMMENT ON FUNCTION plinth_closure.rebuild(regclass) IS
  'Makes the closure of a table anew';

CREATE FUNCTION plinth_closure.check(
    target regclass,
    OUT problem text,
    OUT ancestor text,
    OUT descendant text,
    OUT expected integer,
    OUT found integer)
  RETURNS SETOF record
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_closure_check';
COMMENT ON FUNCTION plinth_closure.check(regclass) IS
  'Compares a closure with its table: what is wrong; no rows if it is exact';

CREATE FUNCTION plinth_closure.repair(target regclass) RETURNS bigint
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_repair';
COMMENT ON FUNCTION plinth_closure.repair(regclass) IS
  'Writes what check() finds, and returns the number of rows written';

CREATE FUNCTION plinth_closure.estimate(
    target regclass,
    key name[] DEFAULT NULL,
    parent name[] DEFAULT NULL,
    OUT nodes bigint,
    OUT closure_rows bigint,
    OUT max_depth integer,
    OUT bytes bigint)
  RETURNS record
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_estimate';
COMMENT ON FUNCTION plinth_closure.estimate(regclass, name[], name[]) IS
  'How large the closure of a table is or would be; writes nothing';

CREATE FUNCTION plinth_closure.estimate(
    target regclass,
    key text,
    parent text,
    OUT nodes bigint,
    OUT closure_rows bigint,
    OUT max_depth integer,
    OUT bytes bigint)
  RETURNS record
  LANGUAGE sql STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  BEGIN ATOMIC
    SELECT e.nodes, e.closure_rows, e.max_depth, e.bytes
      FROM plinth_closure.estimate(target, plinth_closure._names(key), plinth_closure._names(parent)) AS e;
  END;
COMMENT ON FUNCTION plinth_closure.estimate(regclass, text, text) IS
  'The same with names as text: one column, or several as ''{a,b}''';

CREATE FUNCTION plinth_closure.lock(target regclass, node text) RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_lock';
COMMENT ON FUNCTION plinth_closure.lock(regclass, text) IS
  'Locks the tree that a node is in against changes by others, until the transaction ends';

CREATE FUNCTION plinth_closure.is_ancestor_of(closure regclass, VARIADIC keys "any") RETURNS boolean
  LANGUAGE c STABLE STRICT PARALLEL SAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_is_ancestor_of';
COMMENT ON FUNCTION plinth_closure.is_ancestor_of(regclass, "any") IS
  'For the functions beside tables: does a closure have the first node above the second?';

CREATE FUNCTION plinth_closure._status(
    OUT target regclass,
    OUT closure regclass,
    OUT key text,
    OUT parent text,
    OUT max_depth integer,
    OUT max_rows bigint,
    OUT orphans text)
  RETURNS SETOF record
  LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100
  AS 'MODULE_PATHNAME', 'plinth_closure_status';
COMMENT ON FUNCTION plinth_closure._status() IS
  'The rows of the view status';

CREATE VIEW plinth_closure.status AS
  SELECT s.target, s.closure, s.key, s.parent, s.max_depth, s.max_rows, s.orphans
    FROM plinth_closure._status() AS s;
COMMENT ON VIEW plinth_closure.status IS
  'Tables that are hierarchies, their closures and options';
GRANT SELECT ON plinth_closure.status TO PUBLIC;


-- Reading: for any hierarchy, with nodes as text

CREATE FUNCTION plinth_closure.descendants(
    target regclass,
    node text,
    min_depth integer DEFAULT 1,
    max_depth integer DEFAULT NULL)
  RETURNS TABLE (node text, depth integer)
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 100
  AS 'MODULE_PATHNAME', 'plinth_closure_descendants';
COMMENT ON FUNCTION plinth_closure.descendants(regclass, text, integer, integer) IS
  'Nodes below a node; with min_depth 0 the node too';

CREATE FUNCTION plinth_closure.ancestors(
    target regclass,
    node text,
    min_depth integer DEFAULT 1,
    max_depth integer DEFAULT NULL)
  RETURNS TABLE (node text, depth integer)
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_closure_ancestors';
COMMENT ON FUNCTION plinth_closure.ancestors(regclass, text, integer, integer) IS
  'Nodes above a node; with min_depth 0 the node too';

CREATE FUNCTION plinth_closure.children(target regclass, node text)
  RETURNS TABLE (node text)
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_closure_children';
COMMENT ON FUNCTION plinth_closure.children(regclass, text) IS
  'Nodes whose parent a node is';

CREATE FUNCTION plinth_closure.siblings(target regclass, node text)
  RETURNS TABLE (node text)
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_closure_siblings';
COMMENT ON FUNCTION plinth_closure.siblings(regclass, text) IS
  'Other nodes with the same parent';

CREATE FUNCTION plinth_closure.leaves(target regclass, node text)
  RETURNS TABLE (node text, depth integer)
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 100
  AS 'MODULE_PATHNAME', 'plinth_closure_leaves';
COMMENT ON FUNCTION plinth_closure.leaves(regclass, text) IS
  'Nodes without children at or below a node';

CREATE FUNCTION plinth_closure.roots(target regclass)
  RETURNS TABLE (node text)
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 100
  AS 'MODULE_PATHNAME', 'plinth_closure_roots';
COMMENT ON FUNCTION plinth_closure.roots(regclass) IS
  'Nodes without a parent';

CREATE FUNCTION plinth_closure.root(target regclass, node text)
  RETURNS text
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_root';
COMMENT ON FUNCTION plinth_closure.root(regclass, text) IS
  'The root of the tree that a node is in';

CREATE FUNCTION plinth_closure.path(target regclass, node text)
  RETURNS text[]
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_path';
COMMENT ON FUNCTION plinth_closure.path(regclass, text) IS
  'The nodes from the root down to a node';

CREATE FUNCTION plinth_closure.depth(target regclass, node text)
  RETURNS integer
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_depth';
COMMENT ON FUNCTION plinth_closure.depth(regclass, text) IS
  'How far a node is below its root';

CREATE FUNCTION plinth_closure.height(target regclass, node text)
  RETURNS integer
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_height';
COMMENT ON FUNCTION plinth_closure.height(regclass, text) IS
  'How far the deepest node below a node is below it';

CREATE FUNCTION plinth_closure.subtree_size(target regclass, node text)
  RETURNS bigint
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_subtree_size';
COMMENT ON FUNCTION plinth_closure.subtree_size(regclass, text) IS
  'The number of nodes at or below a node';

CREATE FUNCTION plinth_closure.is_ancestor(target regclass, ancestor text, descendant text)
  RETURNS boolean
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_is_ancestor';
COMMENT ON FUNCTION plinth_closure.is_ancestor(regclass, text, text) IS
  'Is one node above the other? No node is above itself';

CREATE FUNCTION plinth_closure.distance(target regclass, node text, other text)
  RETURNS integer
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_distance';
COMMENT ON FUNCTION plinth_closure.distance(regclass, text, text) IS
  'The number of steps from one node to another; NULL if they are in different trees';

CREATE FUNCTION plinth_closure.lca(target regclass, VARIADIC nodes text[])
  RETURNS text
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_closure_lca';
COMMENT ON FUNCTION plinth_closure.lca(regclass, VARIADIC text[]) IS
  'The lowest common ancestor; NULL if the nodes are in different trees';

CREATE FUNCTION plinth_closure.tree(
    target regclass,
    node text DEFAULT NULL,
    label name DEFAULT NULL,
    order_by name DEFAULT NULL,
    max_depth integer DEFAULT NULL)
  RETURNS TABLE (line text, node text, depth integer)
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 1000
  AS 'MODULE_PATHNAME', 'plinth_closure_tree';
COMMENT ON FUNCTION plinth_closure.tree(regclass, text, name, name, integer) IS
  'A hierarchy, or what is below a node, drawn depth-first';


-- Following DDL

CREATE FUNCTION plinth_closure.ddl_end() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_closure_ddl_end';
COMMENT ON FUNCTION plinth_closure.ddl_end() IS
  'Event trigger function: follows DDL on hierarchies';

CREATE EVENT TRIGGER plinth_closure_ddl_end ON ddl_command_end
  EXECUTE FUNCTION plinth_closure.ddl_end();
COMMENT ON EVENT TRIGGER plinth_closure_ddl_end IS
  'Follows DDL on hierarchies';
