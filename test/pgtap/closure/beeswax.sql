-- Tables that are no hierarchies are not affected by the extension: not their statements, not their DDL, not their catalogs.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;

-- What happens to them, once without the extension, once with it, once while other tables are hierarchies.
\set module closure
\ir ../../lib/beeswax.sql
INSERT INTO tried (stmt) SELECT unnest(ARRAY['CREATE TABLE adj (id int PRIMARY KEY, parent int REFERENCES adj ON DELETE CASCADE)', 'INSERT INTO adj VALUES (2, 1), (1, 2), (3, 3)', 'UPDATE adj SET parent = id', 'INSERT INTO adj VALUES (4, 9)', 'DELETE FROM adj WHERE id = 1', 'ALTER TABLE adj RENAME COLUMN parent TO up', 'ALTER TABLE adj DROP COLUMN up']);
CALL live('before');

CREATE EXTENSION plinth_closure;
SELECT plan(11);
CALL live('installed');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'installed' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'the extension alone changes nothing for tables that are no hierarchies');
SELECT cmp_ok((SELECT count(*) FROM outcome WHERE run = 'before'), '>', 95::bigint, 'and something was tried');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgname LIKE 'plinth%' $$, 'there is no trigger before the first enable()');

CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
CREATE TABLE tree_parts (id int PRIMARY KEY, parent int) PARTITION BY RANGE (id);
CREATE TABLE tree_parts1 PARTITION OF tree_parts DEFAULT;
CREATE TABLE beside (id int PRIMARY KEY REFERENCES tree, parent int, v text);
SELECT plinth_closure.enable('tree'), plinth_closure.enable('tree_parts', 'id', 'parent') \gset
INSERT INTO tree VALUES (1, NULL), (2, 1);
CREATE TEMP TABLE before AS SELECT ctid AS c, xmin AS x, * FROM tree_closure;
CALL live('others');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'others' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'nor does it while other tables are hierarchies');
BEGIN;
INSERT INTO beside VALUES (1, 1, 'y'), (2, 1, 'y');
UPDATE beside SET parent = 2 WHERE id = 1;
DELETE FROM beside;
TRUNCATE beside;
COMMIT;
SELECT set_eq('SELECT ctid AS c, xmin AS x, * FROM tree_closure', 'TABLE before', 'no row in somebody else''s closure');
SELECT is_empty($$ SELECT tgrelid::regclass FROM pg_trigger WHERE tgname LIKE 'plinth%' AND tgrelid NOT IN ('tree'::regclass, 'tree_parts'::regclass, 'tree_parts1'::regclass, 'tree_closure'::regclass, 'tree_parts_closure'::regclass) $$, 'no trigger on any other table');
CREATE TABLE lone (LIKE tree INCLUDING ALL);
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid = 'lone'::regclass $$, 'a copy of a hierarchy is none');
SELECT plinth_closure.disable('tree'), plinth_closure.disable('tree_parts') \gset
INSERT INTO tree VALUES (3, 1);
SELECT is((SELECT count(*) FROM tree_closure), 3::bigint, 'a table that is no hierarchy any longer is a table like any other');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid IN ('tree'::regclass, 'tree_parts'::regclass, 'tree_parts1'::regclass) AND NOT tgisinternal $$, 'without a trigger');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgname LIKE 'plinth%' $$, 'nor is its closure guarded');
DROP EXTENSION plinth_closure CASCADE;
CALL live('dropped');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'dropped' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'and nothing stays when the extension goes');
SELECT * FROM finish();
