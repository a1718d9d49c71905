-- The functions that enable() makes beside the table, and their generic forms, say what a recursive query says; the
-- planner sees through the former.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_closure;
SELECT * FROM no_plan();

CREATE FUNCTION state_of(stmt text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE stmt; RETURN 'ok'; EXCEPTION WHEN OTHERS THEN RETURN sqlstate; END $$;

-- 1                 20
-- ├─ 2              └─ 21
-- │  ├─ 4
-- │  │  └─ 7
-- │  └─ 5
-- └─ 3
--    └─ 6
CREATE TABLE categories (id bigint PRIMARY KEY, parent_id bigint REFERENCES categories, name text, pos int);
INSERT INTO categories VALUES (1, NULL, 'root', 1), (2, 1, 'b', 2), (3, 1, 'a', 1), (4, 2, 'x', 2), (5, 2, 'y', 1), (6, 3, 'z', 1), (7, 4, 'deep', 1), (20, NULL, 'other', 0), (21, 20, 'leaf', 1);
SELECT plinth_closure.enable('categories') IS NULL AS ignored \gset

----------------------------------------------------------------------------------------------------------------------
-- Typed functions
----------------------------------------------------------------------------------------------------------------------

SELECT results_eq('SELECT node, depth FROM categories_descendants(1) ORDER BY depth, node', 'VALUES (2::bigint, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 3)', 'descendants, without the node itself');
SELECT results_eq('SELECT node, depth FROM categories_descendants(1, 0) ORDER BY depth, node', 'VALUES (1::bigint, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 3)', 'with it');
SELECT results_eq('SELECT node, depth FROM categories_descendants(1, min_depth => 2, max_depth => 2) ORDER BY node', 'VALUES (4::bigint, 2), (5, 2), (6, 2)', 'of one depth');
SELECT results_eq('SELECT node, depth FROM categories_ancestors(7) ORDER BY depth', 'VALUES (4::bigint, 1), (2, 2), (1, 3)', 'ancestors, nearest first by depth');
SELECT results_eq('SELECT node, depth FROM categories_ancestors(7, 0, 1) ORDER BY depth', 'VALUES (7::bigint, 0), (4, 1)', 'ancestors between depths');
SELECT is_empty('SELECT * FROM categories_descendants(7)', 'a leaf has no descendants');
SELECT is_empty('SELECT * FROM categories_ancestors(1)', 'a root has no ancestors');
-- Whatever further columns these have, the first is the node.
CREATE FUNCTION nodes(query text) RETURNS bigint[] LANGUAGE plpgsql AS $$ DECLARE r bigint[]; BEGIN EXECUTE format('SELECT array_agg((to_jsonb(q) ->> (SELECT k FROM jsonb_object_keys(to_jsonb(q)) k ORDER BY k <> ''node'' LIMIT 1))::bigint ORDER BY 1) FROM (%s) q', query) INTO r; RETURN (SELECT array_agg(x ORDER BY x) FROM unnest(r) x); END $$;
SELECT is(nodes('SELECT * FROM categories_children(2)'), '{4,5}', 'children');
SELECT is(nodes('SELECT * FROM categories_children(7)'), NULL, 'of a leaf');
SELECT is(nodes('SELECT * FROM categories_siblings(2)'), '{3}', 'siblings');
SELECT is(nodes('SELECT * FROM categories_siblings(4)'), '{5}', 'siblings of an inner node');
SELECT is(nodes('SELECT * FROM categories_siblings(6)'), NULL, 'of an only child');
SELECT is(nodes('SELECT * FROM categories_leaves(1)'), '{5,6,7}', 'leaves below a node');
SELECT is(nodes('SELECT * FROM categories_roots()'), '{1,20}', 'roots');
SELECT is(categories_root(7), 1::bigint, 'the root of a node');
SELECT is(categories_root(20), 20::bigint, 'of a root');
SELECT is(categories_path(7), '{1,2,4,7}'::bigint[], 'path, root first');
SELECT is(categories_path(1), '{1}'::bigint[], 'of a root');
SELECT is(categories_depth(7), 3, 'depth');
SELECT is(categories_depth(1), 0, 'of a root');
SELECT is(categories_height(1), 3, 'height');
SELECT is(categories_height(7), 0, 'of a leaf');
SELECT is(categories_subtree_size(2)::bigint, 4::bigint, 'subtree size, the node included');
SELECT is(categories_is_ancestor(1, 7), true, 'is_ancestor');
SELECT is(categories_is_ancestor(7, 1), false, 'the other way round');
SELECT is(categories_is_ancestor(20, 7), false, 'in another tree');
SELECT is(categories_is_ancestor(7, 7), false, 'no node is its own ancestor');
SELECT is(categories_distance(7, 6)::int, 5, 'distance');
SELECT is(categories_distance(7, 7)::int, 0, 'to itself');
SELECT is(categories_distance(7, 2)::int, 2, 'to an ancestor');
SELECT is(categories_distance(7, 21)::int, NULL, 'to another tree: none');
SELECT is(categories_lca(7, 5), 2::bigint, 'lowest common ancestor');
SELECT is(categories_lca(7, 5, 6), 1::bigint, 'of three');
SELECT is(categories_lca(7, 4), 4::bigint, 'of a node and its ancestor');
SELECT is(categories_lca(7), 7::bigint, 'of one');
SELECT is(categories_lca(7, 21), NULL, 'of two trees: none');
SELECT is(categories_lca(VARIADIC ARRAY[5, 5, 7]::bigint[]), 2::bigint, 'of an array, with one twice');

-- 5, '5' and $1
SELECT is((SELECT count(*) FROM categories_descendants('2')), 3::bigint, 'an untyped literal');
PREPARE typed AS SELECT count(*) FROM categories_descendants($1);
SELECT is((SELECT parameter_types[1]::text FROM pg_prepared_statements WHERE name = 'typed'), 'bigint', 'a parameter gets its type from the function');
SELECT is(categories_path('7'), '{1,2,4,7}'::bigint[], 'everywhere');
SELECT is((SELECT array_agg(c.name ORDER BY d.depth, c.id) FROM categories_descendants(2) d JOIN categories c ON c.id = d.node), '{x,y,deep}', 'joined to the table');
SELECT is((SELECT string_agg(c.id || ':' || (SELECT count(*) FROM categories_descendants(c.id)), ' ' ORDER BY c.id) FROM categories c), '1:6 2:3 3:1 4:1 5:0 6:0 7:0 20:1 21:0', 'lateral');
SELECT is_empty('SELECT * FROM categories_descendants(NULL)', 'NULL has no descendants');
SELECT is(categories_depth(NULL), NULL, 'nor a depth');
SELECT is(array_agg(DISTINCT p.provolatile::text), '{s}', 'all are STABLE') FROM pg_proc p WHERE proname LIKE 'categories\_%' AND pronamespace = 'public'::regnamespace;
SELECT is((SELECT array_agg(proname::text) FROM pg_proc WHERE proname LIKE 'categories\_%' AND pronamespace = 'public'::regnamespace) @>
	'{categories_ancestors,categories_children,categories_depth,categories_descendants,categories_distance,categories_height,categories_is_ancestor,categories_lca,categories_leaves,categories_path,categories_root,categories_roots,categories_siblings,categories_subtree_size}', true, 'all are there');
SELECT is((SELECT bool_or(prosecdef) FROM pg_proc WHERE proname LIKE 'categories\_%' AND pronamespace = 'public'::regnamespace), false, 'none runs with the rights of another');

-- The planner sees through them: the plan has the closure in it and no function scan.
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO r; RETURN r; END $$;
SELECT ok(plan_of('SELECT * FROM ' || q) !~ 'Function Scan', 'inlined: ' || q) FROM unnest('{categories_descendants(1),"categories_descendants(1, 0, 2)",categories_ancestors(7),categories_children(2),categories_siblings(2),categories_leaves(1),categories_roots()}'::text[]) q;
SELECT ok(plan_of('SELECT * FROM categories_descendants(1) d JOIN categories c ON c.id = d.node') !~ 'Function Scan', 'also in a join');

-- They follow the table's definition and rights.
\ir ../../lib/roles.sql
SELECT drop_roles('closure_reads_');
CREATE ROLE closure_reads_reader;
GRANT USAGE ON SCHEMA pgtap, public TO closure_reads_reader;
SET ROLE closure_reads_reader;
SELECT is(state_of('SELECT * FROM categories_descendants(1)'), '42501', 'who may not read the closure gets nothing from the functions');
SELECT is(state_of('SELECT * FROM plinth_closure.descendants(''categories'', ''1'')'), '42501', 'nor from the generic ones');
RESET ROLE;
SELECT drop_roles('closure_reads_');
ALTER TABLE categories RENAME COLUMN id TO key;
SELECT is((SELECT count(*) FROM categories_descendants(1)), 6::bigint, 'a renamed key');
SELECT is(nodes('SELECT * FROM categories_children(2)'), '{4,5}', 'and its children');
ALTER TABLE categories RENAME COLUMN key TO id;
SELECT is(state_of('ALTER TABLE categories ALTER COLUMN id TYPE numeric'), '0A000', 'the type of the key stays as long as they are there');

----------------------------------------------------------------------------------------------------------------------
-- Generic forms
----------------------------------------------------------------------------------------------------------------------

SELECT results_eq($$ SELECT node, depth FROM plinth_closure.descendants('categories', '1') ORDER BY depth, node $$, $$ VALUES ('2', 1), ('3', 1), ('4', 2), ('5', 2), ('6', 2), ('7', 3) $$, 'generic descendants');
SELECT results_eq($$ SELECT node, depth FROM plinth_closure.ancestors('categories', '7') ORDER BY depth $$, $$ VALUES ('4', 1), ('2', 2), ('1', 3) $$, 'generic ancestors');
SELECT is(plinth_closure.path('categories', '7'), '{1,2,4,7}'::text[], 'generic path');
SELECT is(plinth_closure.root('categories', '7'), '1', 'generic root');
SELECT is(plinth_closure.depth('categories', '7'), 3, 'generic depth');
SELECT is(plinth_closure.height('categories', '1'), 3, 'generic height');
SELECT is(plinth_closure.is_ancestor('categories', '1', '7'), true, 'generic is_ancestor');
SELECT is(plinth_closure.distance('categories', '7', '6')::int, 5, 'generic distance');
SELECT is(plinth_closure.subtree_size('categories', '2')::bigint, 4::bigint, 'generic subtree_size');
SELECT is(state_of($$ SELECT * FROM plinth_closure.descendants('categories', 'x') $$), '22P02', 'a node of another type');
SELECT isnt(state_of($$ SELECT * FROM plinth_closure.descendants('categories', '999') $$), 'ok', 'a node that is not there is an error');
SELECT is(state_of($$ SELECT * FROM plinth_closure.descendants('pg_class', '1') $$), '55000', 'a table that is no hierarchy');
SELECT is(array_agg(DISTINCT provolatile::text), '{s}', 'all are STABLE') FROM pg_proc WHERE pronamespace = 'plinth_closure'::regnamespace AND proname = ANY ('{descendants,ancestors,path,root,depth,height,is_ancestor,distance,subtree_size,lca,tree,children,siblings,leaves,roots}');

----------------------------------------------------------------------------------------------------------------------
-- tree()
----------------------------------------------------------------------------------------------------------------------

SELECT results_eq($$ SELECT line, node, depth FROM plinth_closure.tree('categories') $$,
	$$ VALUES ('1', '1', 0), ('├─ 2', '2', 1), ('│  ├─ 4', '4', 2), ('│  │  └─ 7', '7', 3), ('│  └─ 5', '5', 2), ('└─ 3', '3', 1), ('   └─ 6', '6', 2), ('20', '20', 0), ('└─ 21', '21', 1) $$, 'tree(): depth first, drawn');
SELECT results_eq($$ SELECT line FROM plinth_closure.tree('categories', node => '1', label => 'name', order_by => 'name') $$, $$ VALUES ('root'), ('├─ a'), ('│  └─ z'), ('└─ b'), ('   ├─ x'), ('   │  └─ deep'), ('   └─ y') $$, 'below one node, by name');
SELECT results_eq($$ SELECT line FROM plinth_closure.tree('categories', '1', 'name', 'pos', 1) $$, $$ VALUES ('root'), ('├─ a'), ('└─ b') $$, 'by another column, to a depth');
SELECT results_eq($$ SELECT node, depth FROM plinth_closure.tree('categories', '2') $$, $$ VALUES ('2', 0), ('4', 1), ('7', 2), ('5', 1) $$, 'depth from the node that was asked for');
SELECT is(state_of($$ SELECT * FROM plinth_closure.tree('categories', label => 'nothing') $$), '42703', 'a label that is no column');
SELECT is(state_of($$ SELECT * FROM plinth_closure.tree('categories', '999') $$) <> 'ok', true, 'a node that is not there');

----------------------------------------------------------------------------------------------------------------------
-- Composite and odd keys
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE "Odd ""t""" ("K k" text COLLATE "C" PRIMARY KEY, "P p" text COLLATE "C" REFERENCES "Odd ""t""");
INSERT INTO "Odd ""t""" VALUES ('a,b', NULL), ('"q"', 'a,b'), ('\{}', '"q"'), ('', '"q"');
SELECT plinth_closure.enable('"Odd ""t"""') IS NULL AS ignored \gset
SELECT is("Odd ""t""_path"('\{}'), ARRAY['a,b', '"q"', '\{}'], 'odd names and odd keys');
SELECT is((SELECT count(*) FROM "Odd ""t""_descendants"('a,b')), 3::bigint, 'descendants of them');
SELECT is((SELECT array_agg(node ORDER BY node COLLATE "C") FROM plinth_closure.descendants('"Odd ""t"""', '"q"')), ARRAY['', '\{}'], 'generic too');
CREATE TABLE comp (a int, b text, pa int, pb text, PRIMARY KEY (a, b), FOREIGN KEY (pa, pb) REFERENCES comp);
INSERT INTO comp VALUES (1, 'x', NULL, NULL), (1, 'y', 1, 'x'), (2, 'x', 1, 'y');
SELECT lives_ok($$ SELECT plinth_closure.enable('comp') $$, 'a composite key');
SELECT is((SELECT count(*) FROM comp_closure c WHERE (ancestor_a, ancestor_b) = (1, 'x')), 3::bigint, 'whose closure can be joined');
CREATE FUNCTION taken_descendants(node int, min_depth int DEFAULT 1, max_depth int DEFAULT NULL) RETURNS TABLE (n int) LANGUAGE sql AS 'SELECT 42';
CREATE TABLE taken (id int PRIMARY KEY, parent int REFERENCES taken);
SELECT is(state_of($$ SELECT plinth_closure.enable('taken') $$), '42723', 'a function that has the name is not replaced');
SELECT is((SELECT n FROM taken_descendants(1)), 42, 'it is as it was');

----------------------------------------------------------------------------------------------------------------------
-- Random trees against recursion
----------------------------------------------------------------------------------------------------------------------

SELECT setseed(0.5) IS NULL AS ignored \gset
CREATE TABLE r (id int PRIMARY KEY, parent int REFERENCES r);
INSERT INTO r SELECT g, CASE WHEN random() < 0.97 AND g > 1 THEN 1 + floor(random() * (g - 1))::int END FROM generate_series(1, 150) g;
SELECT plinth_closure.enable('r') IS NULL AS ignored \gset
UPDATE r SET parent = 1 WHERE id % 10 = 0;
CREATE TEMP TABLE x AS WITH RECURSIVE x AS (SELECT id AS a, id AS d, 0 AS n FROM r UNION ALL SELECT p.parent, x.d, n + 1 FROM x JOIN r p ON p.id = x.a WHERE p.parent IS NOT NULL) TABLE x;
SELECT set_eq('SELECT id, node, depth FROM r, r_descendants(id, 0)', 'TABLE x', 'descendants of all');
SELECT set_eq('SELECT node, id, depth FROM r, r_ancestors(id, 0)', 'TABLE x', 'ancestors of all');
SELECT set_eq('SELECT id, r_depth(id), r_height(id), r_subtree_size(id)::bigint, r_root(id) FROM r', 'SELECT id, (SELECT max(n) FROM x WHERE d = id) AS depth, (SELECT max(n) FROM x WHERE a = id) AS height, (SELECT count(*) FROM x WHERE a = id), (SELECT a FROM x WHERE d = id ORDER BY n DESC LIMIT 1) FROM r', 'depth, height, size and root of all');
SELECT set_eq('SELECT id, r_path(id) FROM r', 'SELECT d, array_agg(a ORDER BY n DESC) FROM x GROUP BY d', 'path of all');
SELECT set_eq('SELECT a.id AS a, b.id AS b, r_lca(a.id, b.id), r_distance(a.id, b.id)::int, r_is_ancestor(a.id, b.id) FROM r a, r b WHERE a.id % 7 = 0 AND b.id % 5 = 0',
	'SELECT a.id AS a, b.id AS b, l.a AS lca, l.n, EXISTS (SELECT FROM x WHERE x.a = a.id AND x.d = b.id AND n > 0) FROM r a CROSS JOIN r b LEFT JOIN LATERAL (SELECT p.a, p.n + q.n AS n FROM x p JOIN x q ON p.a = q.a WHERE p.d = a.id AND q.d = b.id ORDER BY p.n LIMIT 1) l ON true WHERE a.id % 7 = 0 AND b.id % 5 = 0', 'lca, distance and is_ancestor of many pairs');
SELECT results_eq('SELECT node::int, depth FROM plinth_closure.tree(''r'', order_by => ''id'')', 'WITH RECURSIVE t AS (SELECT id, ARRAY[id] AS path, 0 AS depth FROM r WHERE parent IS NULL UNION ALL SELECT r.id, path || r.id, depth + 1 FROM t JOIN r ON r.parent = t.id) SELECT id, depth FROM t ORDER BY path', 'tree() of all');

----------------------------------------------------------------------------------------------------------------------
-- Composite and odd keys: typed functions
----------------------------------------------------------------------------------------------------------------------

SELECT results_eq($$ SELECT a, b, depth FROM comp_descendants(1, 'x') ORDER BY depth $$, $$ VALUES (1, 'y', 1), (2, 'x', 2) $$, 'composite: descendants');
SELECT results_eq($$ SELECT a, b, depth FROM comp_descendants(a => 1, b => 'x', min_depth => 0, max_depth => 1) ORDER BY depth $$, $$ VALUES (1, 'x', 0), (1, 'y', 1) $$, 'composite: arguments by name');
SELECT results_eq($$ SELECT * FROM comp_ancestors(2, 'x') ORDER BY depth $$, $$ VALUES (1, 'y', 1), (1, 'x', 2) $$, 'composite: ancestors');
SELECT results_eq($$ SELECT a, b, depth FROM comp_path(2, 'x') $$, $$ VALUES (1, 'x', 0), (1, 'y', 1), (2, 'x', 2) $$, 'composite: path, root first, with the depth of each');
SELECT results_eq($$ SELECT a, b FROM comp_root(2, 'x') $$, $$ VALUES (1, 'x') $$, 'composite: root');
SELECT results_eq($$ SELECT a, b FROM comp_roots() $$, $$ VALUES (1, 'x') $$, 'composite: roots');
SELECT results_eq($$ SELECT a, b FROM comp_children(1, 'x') $$, $$ VALUES (1, 'y') $$, 'composite: children');
SELECT is_empty($$ SELECT * FROM comp_siblings(1, 'y') $$, 'composite: siblings');
SELECT results_eq($$ SELECT a, b, depth FROM comp_leaves(1, 'x') $$, $$ VALUES (2, 'x', 2) $$, 'composite: leaves');
SELECT results_eq($$ SELECT a, b FROM comp_lca(2, 'x', 1, 'y') $$, $$ VALUES (1, 'y') $$, 'composite: lca');
SELECT is(comp_is_ancestor(1, 'x', 2, 'x'), true, 'composite: is_ancestor');
SELECT is(comp_is_ancestor(ancestor_a => 2, ancestor_b => 'x', descendant_a => 1, descendant_b => 'x'), false, 'composite: by name');
SELECT is(comp_distance(2, 'x', 1, 'x'), 2, 'composite: distance');
SELECT is(ARRAY[comp_depth(2, 'x'), comp_height(1, 'x'), comp_subtree_size(1, 'y')], '{2,2,2}', 'composite: numbers');
SELECT ok(plan_of($$ SELECT * FROM $$ || q) !~ 'Function Scan', 'composite: inlined: ' || q) FROM unnest(ARRAY[$$comp_descendants(1, 'x')$$, $$comp_path(2, 'x')$$, $$comp_root(2, 'x')$$, $$comp_lca(2, 'x', 1, 'y')$$]) q;
SELECT is(plinth_closure.path('comp', '(2,x)'), '{"(1,x)","(1,y)","(2,x)"}', 'composite: generic');
SELECT is(plinth_closure.lca('comp', '(2,x)', '( 1,"y")'), '(1,y)', 'composite: generic, read as a row');
SELECT results_eq($$ SELECT node FROM plinth_closure.leaves('comp', '(1,x)') $$, $$ VALUES ('(2,x)') $$, 'composite: generic rows');
SELECT is(state_of($$ SELECT plinth_closure.path('comp', '2,x') $$), '22P02', 'composite: not a row');
SELECT is(state_of($$ SELECT plinth_closure.path('comp', '(x,2)') $$), '22P02', 'composite: columns of the wrong type');
SELECT is(state_of($$ SELECT plinth_closure.path('comp', '(2,)') $$), '22004', 'composite: a null in it');
SELECT is(state_of($$ SELECT plinth_closure.path('comp', '(3,x)') $$), 'P0002', 'composite: not there');
SELECT results_eq($$ SELECT line FROM plinth_closure.tree('comp') $$, $$ VALUES ('(1,x)'), ('└─ (1,y)'), ('   └─ (2,x)') $$, 'composite: tree()');

-- Key columns that are called like our own arguments give way to them; the table keeps its names.
CREATE TABLE clash (min_depth int, depth int, other_depth int, p1 int, p2 int, p3 int, PRIMARY KEY (min_depth, depth, other_depth), FOREIGN KEY (p1, p2, p3) REFERENCES clash);
INSERT INTO clash VALUES (1, 1, 1), (1, 1, 2);
UPDATE clash SET p1 = 1, p2 = 1, p3 = 1 WHERE other_depth = 2;
SELECT plinth_closure.enable('clash') IS NULL AS ignored \gset
SELECT results_eq('SELECT min_depth_, depth_, other_depth, depth FROM clash_descendants(1, 1, 1, min_depth => 0) ORDER BY depth', 'VALUES (1, 1, 1, 0), (1, 1, 2, 1)', 'a key column called min_depth is min_depth_ there');
SELECT is(pg_get_function_arguments('clash_distance'::regproc), 'min_depth_ integer, depth_ integer, other_depth integer, other_min_depth integer, other_depth_ integer, other_other_depth integer', 'and other_depth is no second time');
SELECT is(clash_distance(1, 1, 1, 1, 1, 2), 1, 'it works');

-- Keys that cannot be in an array.
CREATE DOMAIN label_path AS text[];
CREATE TABLE arr (id label_path PRIMARY KEY, parent label_path REFERENCES arr);
INSERT INTO arr VALUES ('{}', NULL), ('{a}', '{}'), ('{a,b}', '{a}'), ('{c}', '{}');
SELECT plinth_closure.enable('arr') IS NULL AS ignored \gset
SELECT results_eq($$ SELECT node::text, depth FROM arr_path('{a,b}') $$, $$ VALUES ('{}', 0), ('{a}', 1), ('{a,b}', 2) $$, 'array keys: path has a row for each node');
SELECT is(arr_lca('{a,b}', '{c}')::text, '{}', 'array keys: lca of two');
SELECT is(arr_root('{a,b}')::text, '{}', 'array keys: root');
SELECT is(plinth_closure.path('arr', '{a,b}'), ARRAY['{}', '{a}', '{a,b}'], 'array keys: generic');
SELECT is(plinth_closure.lca('arr', '{a,b}', '{a}', '{c}'), '{}', 'array keys: generic lca');

-- Keys of many types go through both.
CREATE COLLATION reads_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE ci (id text COLLATE reads_ci PRIMARY KEY, parent text COLLATE reads_ci REFERENCES ci);
INSERT INTO ci VALUES ('Root', NULL), ('a', 'ROOT'), ('B', 'root'), ('c', 'A');
SELECT plinth_closure.enable('ci') IS NULL AS ignored \gset
SELECT is(ARRAY[ci_lca('C', 'b', 'c'), ci_root('C'), (ci_path('C'))[2]], '{Root,Root,a}', 'a key that ignores case');
SELECT is((SELECT array_agg(node ORDER BY node) FROM ci_children('ROOT')), '{a,B}', 'and its children');
SELECT is(plinth_closure.is_ancestor('ci', 'rOOt', 'C'), true, 'generic too');
CREATE FUNCTION key_types(type text, keys text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE format('CREATE TABLE kt (id %s PRIMARY KEY, parent %1$s REFERENCES kt)', type);
	EXECUTE format('INSERT INTO kt SELECT k::%s, (lag(k) OVER (ORDER BY o))::%1$s FROM unnest($1) WITH ORDINALITY AS u(k, o)', type) USING keys;
	PERFORM plinth_closure.enable('kt');
	EXECUTE format('SELECT concat_ws('' '', kt_path(%L) = $1::%4$s[], kt_lca(%2$L, %1$L), (SELECT count(*) FROM kt_descendants(%3$L)), plinth_closure.path(''kt'', %1$L) = $1)', keys[3], keys[2], keys[1], type) INTO answer USING keys;
	DROP TABLE kt;
	RETURN answer;
END $$;
SELECT is(key_types(type, keys), concat_ws(' ', true, keys[2], 2, true), 'key of type ' || type)
FROM (VALUES ('uuid', '{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000003,00000000-0000-0000-0000-000000000002}'::text[]), ('varchar(3)', '{a,b,c}'), ('char(4)', '{"a   ","b   ","c   "}'), ('numeric(6,2)', '{1.00,2.00,0.50}'), ('date', '{2020-01-01,2020-01-03,2020-01-02}'), ('name', '{a,b,c}'), ('int4range', '{empty,"[1,2)","[1,)"}'), ('bytea', '{"\\x00","\\x01","\\x02"}'), ('inet', '{10.0.0.1,10.0.0.3,10.0.0.2}')) AS t(type, keys);
SELECT is_empty($$ SELECT proname FROM pg_proc WHERE proname LIKE 'kt\_%' $$, 'and DROP TABLE took all of them');

----------------------------------------------------------------------------------------------------------------------
-- Questions about what is not there
----------------------------------------------------------------------------------------------------------------------

SELECT is(ARRAY[categories_root(999), categories_depth(999), categories_height(999), categories_subtree_size(999), categories_distance(999, 1), categories_distance(1, 999), categories_lca(1, 999), categories_lca(999)], array_fill(NULL::bigint, '{8}'), 'typed: NULL of a node that is not there');
SELECT is(categories_path(999), NULL, 'and no path');
SELECT is(categories_is_ancestor(999, 1), false, 'it is nobody''s ancestor');
SELECT is(categories_is_ancestor(NULL, 1), NULL, 'NULL is unknown');
SELECT is(categories_lca(7, NULL), NULL, 'so is an ancestor of NULL');
SELECT is(categories_lca(VARIADIC '{}'), NULL, 'or of nobody');
SELECT is(categories_lca(NULL, 7), NULL, 'in any order');
SELECT is_empty('SELECT * FROM ' || q, 'typed: no rows of ' || q) FROM unnest('{categories_descendants(999),categories_children(999),categories_siblings(999),categories_leaves(999),categories_siblings(1),categories_siblings(NULL),categories_children(NULL)}'::text[]) q;
SELECT is(state_of('SELECT * FROM plinth_closure.' || q), 'P0002', 'generic: an error: ' || q)
FROM unnest(ARRAY['descendants(''categories'', ''999'')', 'ancestors(''categories'', ''999'')', 'children(''categories'', ''999'')', 'siblings(''categories'', ''999'')', 'leaves(''categories'', ''999'')', 'root(''categories'', ''999'')', 'path(''categories'', ''999'')', 'depth(''categories'', ''999'')', 'height(''categories'', ''999'')', 'subtree_size(''categories'', ''999'')',
	'is_ancestor(''categories'', ''1'', ''999'')', 'is_ancestor(''categories'', ''999'', ''1'')', 'distance(''categories'', ''1'', ''999'')', 'lca(''categories'', ''999'')', 'lca(''categories'', ''1'', ''21'', ''999'')', 'tree(''categories'', ''999'')']) q;
SELECT is(state_of('SELECT * FROM plinth_closure.' || q), '22004', 'generic: NULL is an error: ' || q)
FROM unnest(ARRAY['descendants(NULL, ''1'')', 'descendants(''categories'', NULL)', 'descendants(''categories'', ''1'', NULL)', 'roots(NULL)', 'root(''categories'', NULL)', 'path(NULL, NULL)', 'depth(''categories'', NULL)', 'is_ancestor(''categories'', ''1'', NULL)', 'is_ancestor(''categories'', NULL, ''1'')', 'distance(NULL, ''1'', ''1'')', 'lca(''categories'', ''1'', NULL)', 'lca(''categories'', VARIADIC NULL)', 'tree(NULL)']) q;
SELECT is(state_of($$ SELECT plinth_closure.lca('categories', VARIADIC '{}') $$), '22023', 'generic: lca of nobody');
SELECT is(state_of($$ SELECT plinth_closure.lca('categories', '1', 'x') $$), '22P02', 'generic: of something else');
SELECT throws_like($$ SELECT plinth_closure.depth('categories', '999') $$, 'node 999 of hierarchy "categories" does not exist', 'the message names both');
SELECT throws_like($$ SELECT * FROM plinth_closure.tree('pg_class') $$, 'table "pg_class" is not a hierarchy', 'so does this');
SELECT is(state_of($$ SELECT plinth_closure.depth('categories_closure', '1') $$), '55000', 'a closure is no hierarchy');
SELECT is(state_of($$ SELECT plinth_closure.depth(0::regclass, '1') $$), '42P01', 'nor is nothing');
CREATE TABLE parted (id int PRIMARY KEY, parent int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
SELECT plinth_closure.enable('parted', 'id', 'parent') IS NULL AS ignored \gset
INSERT INTO parted VALUES (1, NULL), (11, 1), (2, 11);
SELECT is(parted_path(2), '{1,11,2}', 'a partitioned table');
SELECT is(nodes('SELECT * FROM parted_children(11)'), '{2}', 'children in other partitions');
SELECT is(state_of($$ SELECT plinth_closure.depth('parted_1', '1') $$), '55000', 'a partition is no hierarchy');

-- Generic questions that are answered with NULL or nothing, because that is the answer.
SELECT is(plinth_closure.distance('categories', '7', '21'), NULL, 'generic: no way between trees');
SELECT is(plinth_closure.lca('categories', '7', '21', '5'), NULL, 'generic: nor a common ancestor');
SELECT is(plinth_closure.lca('categories', '7', '5', '6'), '1', 'generic: lca of three');
SELECT is(plinth_closure.lca('categories', '7', '7', '7'), '7', 'generic: of one, three times');
SELECT is(plinth_closure.lca('categories', '7'), '7', 'generic: of one');
SELECT is(plinth_closure.is_ancestor('categories', '7', '7'), false, 'generic: no node is its own ancestor');
SELECT is_empty($$ SELECT * FROM plinth_closure.descendants('categories', '7') $$, 'generic: a leaf');
SELECT is_empty($$ SELECT * FROM plinth_closure.siblings('categories', '20') $$, 'generic: siblings of a root');
SELECT set_eq($$ SELECT node FROM plinth_closure.siblings('categories', '4') $$, $$ VALUES ('5') $$, 'generic: siblings');
SELECT set_eq($$ SELECT node FROM plinth_closure.children('categories', '2') $$, $$ VALUES ('4'), ('5') $$, 'generic: children');
SELECT set_eq($$ SELECT node FROM plinth_closure.roots('categories') $$, $$ VALUES ('1'), ('20') $$, 'generic: roots');
SELECT set_eq($$ SELECT node, depth FROM plinth_closure.leaves('categories', '1') $$, $$ VALUES ('7', 3), ('5', 2), ('6', 2) $$, 'generic: leaves');
SELECT set_eq($$ SELECT node, depth FROM plinth_closure.leaves('categories', '7') $$, $$ VALUES ('7', 0) $$, 'a leaf is its own leaf');
SELECT is(categories_lca(4, 5, 7), 2::bigint, 'lca of siblings and one below them');
SELECT is(categories_lca(7, 2, 5), 2::bigint, 'of nodes and one above them all');
SELECT is(categories_lca(6, 5), categories_lca(5, 6), 'in any order');

-- Orphans are roots, and nobody's children or siblings.
CREATE TABLE orph (id int PRIMARY KEY, parent int);
INSERT INTO orph VALUES (1, NULL), (2, 1), (3, 9), (4, 9);
SELECT plinth_closure.enable('orph', 'id', 'parent', orphans => 'root') IS NULL AS ignored \gset
SELECT is(nodes('SELECT * FROM orph_roots()'), '{1,3,4}', 'orphans are roots');
SELECT is(nodes('SELECT * FROM orph_siblings(3)'), NULL, 'without siblings');
SELECT is(nodes('SELECT * FROM orph_children(9)'), NULL, 'and nobody''s children');
SELECT is(nodes('SELECT * FROM orph_children(1)'), '{2}', 'others are as ever');
SELECT results_eq($$ SELECT line FROM plinth_closure.tree('orph') $$, $$ VALUES ('1'), ('└─ 2'), ('3'), ('4') $$, 'tree() of orphans');
INSERT INTO orph VALUES (9, 1);
SELECT is(nodes('SELECT * FROM orph_siblings(3)'), '{4}', 'until the parent comes');
CREATE TABLE twocoll (id text COLLATE "C" PRIMARY KEY, parent text COLLATE "POSIX");
INSERT INTO twocoll VALUES ('a', NULL), ('b', 'a'), ('c', 'x');
SELECT lives_ok($$ SELECT plinth_closure.enable('twocoll', 'id', 'parent', orphans => 'root') $$, 'columns of two collations');
SELECT set_eq('SELECT * FROM twocoll_roots()', $$ VALUES ('a'), ('c') $$, 'have their roots');
SELECT results_eq($$ SELECT line FROM plinth_closure.tree('twocoll') $$, $$ VALUES ('a'), ('└─ b'), ('c') $$, 'and a tree()');

----------------------------------------------------------------------------------------------------------------------
-- tree() for people
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE lab (id int PRIMARY KEY, parent int REFERENCES lab, label text, "Weird {col} ""%s""" int, j json);
INSERT INTO lab VALUES (1, NULL, E'two\nlines', 3), (2, 1, E'tab\there\x1b[31m', 2), (3, 1, E'\u0085\u2028\u0101', 1), (4, 3, NULL, NULL), (5, 3, '', NULL);
SELECT plinth_closure.enable('lab') IS NULL AS ignored \gset
SELECT results_eq($$ SELECT line FROM plinth_closure.tree('lab', label => 'label', order_by => 'Weird {col} "%s"') $$, $$ VALUES ('two\nlines'), (E'├─ \\u0085\\u2028\u0101'), ('│  ├─ 4'), ('│  └─ '), ('└─ tab\there\u001b[31m') $$, 'labels stay on their lines, NULL is the key, ties are ordered by key');
SELECT results_eq($$ SELECT line FROM plinth_closure.tree('lab', '3', 'Weird {col} "%s"') $$, $$ VALUES ('1'), ('├─ 4'), ('└─ 5') $$, 'a label of another type');
SELECT is(state_of($$ SELECT * FROM plinth_closure.tree('lab', order_by => 'nothing') $$), '42703', 'an order that is no column');
SELECT is(state_of($$ SELECT * FROM plinth_closure.tree('lab', order_by => 'id, (SELECT 1)') $$), '42703', 'nor an expression');
SELECT is(state_of($$ SELECT * FROM plinth_closure.tree('lab', order_by => 'ctid') $$), '42703', 'nor of the system');
SELECT is(state_of($$ SELECT * FROM plinth_closure.tree('lab', order_by => 'j') $$), '42883', 'a column without an order');
SELECT is(state_of($$ SELECT * FROM plinth_closure.tree('lab', 'x') $$), '22P02', 'a node of another type');
SELECT results_eq($$ SELECT node, depth FROM plinth_closure.tree('categories', max_depth => 0) $$, $$ VALUES ('1', 0), ('20', 0) $$, 'all trees, to a depth');
SELECT results_eq($$ SELECT node, depth FROM plinth_closure.tree('categories', max_depth => 1) $$, $$ VALUES ('1', 0), ('2', 1), ('3', 1), ('20', 0), ('21', 1) $$, 'to another');
CREATE TABLE chain (id int PRIMARY KEY, parent int);
INSERT INTO chain SELECT g, nullif(g - 1, 0) FROM generate_series(1, 1000) g;
SELECT plinth_closure.enable('chain', 'id', 'parent') IS NULL AS ignored \gset
SELECT results_eq($$ SELECT count(*), max(depth), max(length(line)) FROM plinth_closure.tree('chain') $$, $$ VALUES (1000::bigint, 999, 3 * 998 + 3 + 4) $$, 'a deep tree');
SELECT is(cardinality(chain_path(1000)), 1000, 'and its path');
CREATE TABLE empty (id int PRIMARY KEY, parent int REFERENCES empty);
SELECT plinth_closure.enable('empty') IS NULL AS ignored \gset
SELECT is_empty($$ SELECT * FROM plinth_closure.tree('empty') $$, 'an empty table has no trees');

----------------------------------------------------------------------------------------------------------------------
-- Names, owners, rights, dependencies
----------------------------------------------------------------------------------------------------------------------

-- Names are shortened as those of indexes are.
CREATE TABLE a23456789012345678901234567890123456789012345678901234567890123 (id int PRIMARY KEY, parent int REFERENCES a23456789012345678901234567890123456789012345678901234567890123);
SELECT plinth_closure.enable('a23456789012345678901234567890123456789012345678901234567890123') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'a2345%' AND length(proname) <= 63), 14::bigint, 'a name of 63 characters');
SELECT is_empty('SELECT * FROM a23456789012345678901234567890123456789012345678901_descendants(1)', 'is shortened');
SELECT plinth_closure.disable('a23456789012345678901234567890123456789012345678901234567890123') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'a2345%'), 0::bigint, 'and found again; disable() takes the functions away even if the closure stays');

-- Nothing in a schema in front is used, neither when they are made nor when they run.
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.eq(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR hostile.= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.eq);
CREATE OPERATOR hostile.>= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.eq);
CREATE OPERATOR hostile.> (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.eq);
CREATE OPERATOR hostile.<= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.eq);
CREATE FUNCTION hostile.neg(boolean) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION hostile.unnest(int[]) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION hostile.max(int) RETURNS int LANGUAGE sql AS 'SELECT 42';
SET search_path = hostile, pg_catalog, public, pgtap;
CREATE TABLE public.calm (id int PRIMARY KEY, parent int, min_depth int, "$1" int, node int);
INSERT INTO public.calm VALUES (1, NULL), (2, 1), (3, 2), (4, 1);
SELECT plinth_closure.enable('calm', 'id', 'parent') IS NULL AS ignored \gset
SELECT is(nodes('SELECT node FROM calm_descendants(2)'), '{3}', 'hostile search path: descendants');
SELECT is(nodes('SELECT node FROM calm_children(1)'), '{2,4}', 'children');
SELECT is(nodes('SELECT node FROM calm_siblings(2)'), '{4}', 'siblings');
SELECT is(nodes('SELECT node FROM calm_leaves(1)'), '{3,4}', 'leaves');
SELECT is(ARRAY[calm_lca(3, 4), calm_root(3), calm_depth(3), calm_height(1), calm_distance(3, 4), calm_subtree_size(2)::int], '{1,1,2,2,3,2}'::int[], 'numbers');
SELECT is(ARRAY[plinth_closure.lca('calm', '3', '4'), plinth_closure.root('calm', '3'), plinth_closure.depth('calm', '3')::pg_catalog.text, plinth_closure.distance('calm', '3', '4')::pg_catalog.text], '{1,1,2,3}', 'generic ones');
SELECT is((SELECT array_agg(line) FROM plinth_closure.tree('calm', '2', max_depth => 1)), '{2,"└─ 3"}', 'tree()');
RESET search_path;

-- The caller's rights and policies apply.
CREATE ROLE closure_reads_owner;
CREATE ROLE closure_reads_other;
GRANT USAGE, CREATE ON SCHEMA public TO closure_reads_owner, closure_reads_other;
GRANT USAGE ON SCHEMA pgtap TO closure_reads_owner, closure_reads_other;
SET ROLE closure_reads_owner;
CREATE TABLE secret (id int PRIMARY KEY, parent int REFERENCES secret, visible boolean DEFAULT true);
INSERT INTO secret VALUES (1, NULL, true), (2, 1, false), (3, 2, true), (4, 1, true);
SELECT plinth_closure.enable('secret') IS NULL AS ignored \gset
SELECT is((SELECT array_agg(DISTINCT pg_get_userbyid(proowner)::text) FROM pg_proc WHERE proname LIKE 'secret\_%'), '{closure_reads_owner}', 'functions belong to the owner');
GRANT SELECT ON secret_closure TO closure_reads_other;
SET ROLE closure_reads_other;
SELECT is(secret_path(3), '{1,2,3}', 'with SELECT on the closure alone');
SELECT is(plinth_closure.depth('secret', '3'), 2, 'generic too');
SELECT is(state_of('SELECT * FROM secret_children(1)'), '42501', 'but not what is in the table');
SELECT is(state_of($$ SELECT * FROM plinth_closure.tree('secret') $$), '42501', 'nor tree()');
SET ROLE closure_reads_owner;
GRANT SELECT ON secret TO closure_reads_other;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON secret USING (visible);
SET ROLE closure_reads_other;
SELECT is(nodes('SELECT * FROM secret_children(1)'), '{4}', 'row-level security of the table applies to children');
SELECT results_eq($$ SELECT line FROM plinth_closure.tree('secret') $$, $$ VALUES ('1'), ('└─ 4'), ('3') $$, 'and to tree(), where what is below a hidden node stands alone');
SET ROLE closure_reads_owner;
SELECT is(nodes('SELECT * FROM secret_children(1)'), '{2,4}', 'but not to the owner, in the same session');
SELECT is((SELECT count(*) FROM plinth_closure.tree('secret')), 4::bigint, 'nor his tree()');
RESET ROLE;
ALTER TABLE secret OWNER TO closure_reads_other;
SELECT is((SELECT array_agg(DISTINCT pg_get_userbyid(proowner)::text) FROM pg_proc WHERE proname LIKE 'secret\_%'), '{closure_reads_other}', 'functions follow the table to another owner');

-- Nobody makes another's tables go with his own.
CREATE TABLE victim (a int);
SET ROLE closure_reads_owner;
CREATE TABLE bait (id int PRIMARY KEY, parent int);
CREATE TRIGGER plinth_closure AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION plinth_closure.collect('closure=public.victim', 'key=id', 'parent=parent', 'name=secret');
DROP TABLE bait;
RESET ROLE;
SELECT isnt(to_regclass('victim'), NULL, 'a trigger made by hand takes nothing along');
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'secret\_%'), 14::bigint, 'nor functions');

-- DROP TABLE takes closure and functions, but nothing that others have made.
CREATE VIEW on_function AS SELECT d.node FROM categories_descendants(1) d;
SELECT is(state_of('DROP TABLE categories'), '2BP01', 'a view on a function is in the way of DROP TABLE');
SELECT is(state_of($$ SELECT plinth_closure.disable('categories') $$), '2BP01', 'and of disable()');
DROP VIEW on_function;
CREATE VIEW on_closure AS SELECT descendant FROM secret_closure;
SELECT is(state_of('DROP TABLE secret'), '2BP01', 'a view on the closure is too');
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'secret\_%'), 14::bigint, 'all is there still');
DROP VIEW on_closure;
SELECT lives_ok('DROP TABLE secret', 'else it is plain DROP TABLE');
SELECT is(to_regclass('secret_closure'), NULL, 'and the closure is gone');
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'secret\_%'), 0::bigint, 'with the functions');
DROP TABLE parted;
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'parted\_%'), 0::bigint, 'also of a partitioned table');
CREATE FUNCTION r_depth(text) RETURNS int LANGUAGE sql AS 'SELECT 42';
SELECT is(state_of('DROP TABLE r_closure'), '2BP01', 'the closure alone does not go without CASCADE');
DROP TABLE r_closure CASCADE;
SELECT is(to_regprocedure('r_path(int)'), NULL, 'which takes functions along');
SELECT plinth_closure.rebuild('r') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'r\_%' AND pronamespace = 'public'::regnamespace), 15::bigint, 'rebuild() makes them again');
SELECT set_eq('SELECT id, r_path(id) FROM r', 'SELECT d, array_agg(a ORDER BY n DESC) FROM x GROUP BY d', 'as they were');
ALTER TABLE r RENAME TO renamed;
SELECT is((SELECT count(*) FROM r_descendants(1, 0)), (SELECT count(*) FROM x WHERE a = 1), 'a renamed table');
SELECT plinth_closure.disable('renamed') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pg_proc WHERE proname LIKE 'r\_%' AND pronamespace = 'public'::regnamespace), 1::bigint, 'its functions are found all the same, and one of the same name that is not ours stays');
SELECT isnt(to_regclass('r_closure'), NULL, 'the closure stays');
SELECT drop_roles('closure_reads_');

----------------------------------------------------------------------------------------------------------------------
-- estimate() and lock()
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE e (id int PRIMARY KEY, parent int REFERENCES e);
INSERT INTO e SELECT g, CASE WHEN g > 2 THEN 1 + (g * 31) % (g - 1) END FROM generate_series(1, 150) g;
CREATE VIEW e_x AS WITH RECURSIVE x AS (SELECT id AS a, id AS d, 0 AS n FROM e UNION ALL SELECT p.parent, x.d, n + 1 FROM x JOIN e p ON p.id = x.a WHERE p.parent IS NOT NULL) TABLE x;
SELECT results_eq($$ SELECT nodes, closure_rows, max_depth FROM plinth_closure.estimate('e') $$, 'SELECT (SELECT count(*) FROM e), count(*), max(n) FROM e_x', 'estimate() before enable() says how much it will be');
SELECT cmp_ok((SELECT bytes FROM plinth_closure.estimate('e')), '>', (SELECT 50 * count(*) FROM e_x), 'and how big');
SELECT is(to_regclass('e_closure'), NULL, 'and writes nothing');
SELECT results_eq($$ SELECT * FROM plinth_closure.estimate('e', 'id', 'parent') $$, $$ SELECT * FROM plinth_closure.estimate('e', '{id}'::name[], '{parent}'::name[]) $$, 'with columns named one way or the other');
CREATE TABLE large (id int PRIMARY KEY, parent int REFERENCES large);
INSERT INTO large SELECT g, CASE WHEN g > 1 THEN (g - 2) / 3 + 1 END FROM generate_series(1, 20000) g;
SELECT bytes AS estimated FROM plinth_closure.estimate('large') \gset
SELECT plinth_closure.enable('large') IS NULL AS ignored \gset
SELECT cmp_ok(pg_total_relation_size('large_closure'), '<', 5 * :estimated::bigint / 4, 'bytes are not too few');
SELECT cmp_ok(pg_total_relation_size('large_closure'), '>', 4 * :estimated::bigint / 5, 'nor too many');
SELECT is((SELECT closure_rows FROM plinth_closure.estimate('large')), (SELECT count(*) FROM large_closure), 'of a table that is a hierarchy already too');
CREATE TABLE round (id int PRIMARY KEY, parent int);
INSERT INTO round VALUES (1, 2), (2, 1), (3, 77);
SELECT is(state_of($$ SELECT plinth_closure.estimate('round', 'id', 'parent') $$), '23514', 'a cycle has no closure');
DELETE FROM round WHERE id = 2;
SELECT is((SELECT closure_rows FROM plinth_closure.estimate('round', 'id', 'parent')), 2::bigint, 'a node with a missing parent counts as a root');
SELECT is(state_of('SELECT plinth_closure.estimate(NULL)'), '22004', 'estimate(NULL)');
SELECT is(state_of('SELECT plinth_closure.estimate(''round'')'), '22023', 'estimate() of a table that does not say what its parents are');
SELECT is(state_of('SELECT plinth_closure.estimate(''large_closure'')'), '42809', 'estimate() of a closure');

SELECT is(state_of($$ SELECT plinth_closure.lock('large', '5') $$), 'ok', 'lock()');
SELECT is(state_of($$ SELECT plinth_closure.lock('large', '-5') $$), 'P0002', 'lock() of a node that is not there');
SELECT is(state_of($$ SELECT plinth_closure.lock('large', NULL) $$), '22004', 'lock() of no node');
SELECT is(state_of($$ SELECT plinth_closure.lock('large', 'x') $$), '22P02', 'lock() of what is no node');
SELECT is(state_of($$ SELECT plinth_closure.lock('e', '5') $$), '55000', 'lock() of a table that is none');
CREATE ROLE closure_reads_locker;
GRANT USAGE ON SCHEMA pgtap, public TO closure_reads_locker;
GRANT SELECT ON large TO closure_reads_locker;
SET ROLE closure_reads_locker;
SELECT is(state_of($$ SELECT plinth_closure.lock('large', '5') $$), '42501', 'who may only read the table may not lock its trees');
SELECT is(state_of($$ SELECT plinth_closure.estimate('e') $$), '42501', 'who may not read the table gets no estimate');
RESET ROLE;
GRANT DELETE ON large TO closure_reads_locker;
SET ROLE closure_reads_locker;
SELECT is(state_of($$ SELECT plinth_closure.lock('large', '5') $$), 'ok', 'who may delete rows may');
RESET ROLE;
SELECT drop_roles('closure_reads_');
SELECT is_empty($$ SELECT * FROM plinth_closure.check('large') $$, 'and nothing is changed');

-- disable() takes the functions away with the closure.
SELECT plinth_closure.disable('categories', drop_closure => true) IS NULL AS ignored \gset
SELECT is_empty($$ SELECT proname FROM pg_proc WHERE proname LIKE 'categories\_%' AND pronamespace = 'public'::regnamespace $$, 'no function stays without its closure');
SELECT * FROM finish();
