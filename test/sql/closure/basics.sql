-- A hierarchy from the first call to the last, as a person sees it in psql.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_closure;

CREATE TABLE categories (id int PRIMARY KEY, parent_id int REFERENCES categories, name text);
INSERT INTO categories VALUES (1, NULL, 'all'), (2, 1, 'books'), (3, 2, 'novels'), (4, 1, 'music');

-- How large would it be?
SELECT nodes, closure_rows, max_depth, bytes > 0 AS bytes FROM plinth_closure.estimate('categories');

SELECT plinth_closure.enable('categories');
\d categories_closure
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger
  WHERE tgrelid = 'categories'::regclass AND NOT tgisinternal ORDER BY tgname;
\df categories_*
SELECT * FROM plinth_closure.status;
TABLE categories_closure ORDER BY depth, ancestor, descendant;

-- It follows.
INSERT INTO categories VALUES (7, 6, 'deep'), (6, 5, 'crime'), (5, 3, 'pulp');
SELECT line FROM plinth_closure.tree('categories', label => 'name');
UPDATE categories SET parent_id = CASE id WHEN 3 THEN 4 ELSE 3 END WHERE id IN (3, 6);
SELECT line FROM plinth_closure.tree('categories', label => 'name');
SELECT categories_path(7), categories_depth(7), categories_lca(7, 5), categories_distance(7, 5),
  categories_is_ancestor(4, 7), categories_subtree_size(4);
SELECT * FROM categories_descendants(3);
SELECT * FROM plinth_closure.check('categories');

-- Nothing to see through: the plan has the closure in it.
EXPLAIN (COSTS OFF) SELECT node FROM categories_children(1);
EXPLAIN (COSTS OFF, VERBOSE) SELECT categories_is_ancestor(id, 7) FROM categories;

-- Several moves of one transaction.
BEGIN;
SELECT plinth_closure.lock('categories', '3');
UPDATE categories SET parent_id = 1 WHERE id = 6;
UPDATE categories SET parent_id = 2 WHERE id = 5;
COMMIT;
SELECT line FROM plinth_closure.tree('categories', label => 'name', order_by => 'name', max_depth => 2);

-- Damage, and its repair.
ALTER TABLE categories DISABLE TRIGGER plinth_closure_move;
UPDATE categories SET parent_id = 4 WHERE id = 5;
ALTER TABLE categories ENABLE TRIGGER plinth_closure_move;
SELECT * FROM plinth_closure.check('categories') ORDER BY 1, 2, 3;
SELECT plinth_closure.repair('categories');
SELECT * FROM plinth_closure.check('categories');

-- And away again.
SELECT plinth_closure.disable('categories', drop_closure => true);
\d categories
\df categories_*
DROP TABLE categories;
