-- Statements inside statements, rolled back or not, odd keys, and triggers made by hand: the closure stays exact, and
-- nobody gets at what is not theirs.
\set VERBOSITY terse
\set ON_ERROR_STOP on
SET client_min_messages = error;
CREATE EXTENSION plinth_closure;
SELECT * FROM no_plan();

-- A trigger before ours in name deletes the row before we are told of its insertion.
CREATE TABLE ghost (id int PRIMARY KEY, parent int);
SELECT plinth_closure.enable('ghost', 'id', 'parent');
CREATE FUNCTION unwanted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM ghost WHERE id = 2;
	UPDATE ghost SET id = 30 WHERE id = 3;
	RETURN NULL;
END $$;
CREATE TRIGGER aaa AFTER INSERT ON ghost FOR EACH ROW EXECUTE FUNCTION unwanted();
INSERT INTO ghost VALUES (1, NULL);
INSERT INTO ghost VALUES (2, 1);
SELECT is_empty($$ SELECT * FROM plinth_closure.check('ghost') $$, 'a row that a trigger deletes at once leaves no node');
INSERT INTO ghost VALUES (4, 1), (2, 4), (3, 4);
SELECT is_empty($$ SELECT * FROM plinth_closure.check('ghost') $$, 'nor do rows that go, or get another key, before the closure is told of them');
DROP TRIGGER aaa ON ghost;
CREATE TRIGGER zzz AFTER INSERT ON ghost FOR EACH ROW EXECUTE FUNCTION unwanted();
DELETE FROM ghost WHERE id > 1;
INSERT INTO ghost VALUES (4, 1), (2, 4), (3, 4);
SELECT is_empty($$ SELECT * FROM plinth_closure.check('ghost') $$, 'nor if the trigger comes after ours');

-- What a statement inside an exception block has brought up to date is not lost with it.
CREATE TABLE lost (id int PRIMARY KEY, parent int);
SELECT plinth_closure.enable('lost', 'id', 'parent');
CREATE FUNCTION tries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() > 1 THEN
		RETURN NULL;
	END IF;
	BEGIN
		INSERT INTO lost VALUES (100, NULL);
		IF NEW.id % 2 = 0 THEN
			INSERT INTO lost VALUES (101, 4711);
		END IF;
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
	RETURN NULL;
END $$;
CREATE TRIGGER zzz AFTER INSERT OR UPDATE ON lost FOR EACH ROW EXECUTE FUNCTION tries();
INSERT INTO lost VALUES (1, NULL);
INSERT INTO lost VALUES (2, 1), (3, 2), (4, 3);
SELECT is_empty($$ SELECT * FROM plinth_closure.check('lost') $$, 'rows inserted before a statement that is rolled back are in the closure');
UPDATE lost SET parent = 1 WHERE id IN (3, 4);
SELECT is_empty($$ SELECT * FROM plinth_closure.check('lost') $$, 'and so are moves');
BEGIN;
SAVEPOINT a;
INSERT INTO lost VALUES (5, 4);
ROLLBACK TO a;
INSERT INTO lost VALUES (6, 4);
RELEASE a;
COMMIT;
SELECT is_empty($$ SELECT * FROM plinth_closure.check('lost') $$, 'with savepoints too');

-- A deferred foreign key of other columns does not let parents be missing.
CREATE TABLE friends (id int PRIMARY KEY, parent int, friend int REFERENCES friends DEFERRABLE INITIALLY DEFERRED);
SELECT plinth_closure.enable('friends', 'id', 'parent');
SELECT throws_ok('INSERT INTO friends VALUES (1, 99, NULL)', '23503', NULL, 'a deferred foreign key of another column does not count');
CREATE TABLE tenants (tenant int NOT NULL, id int PRIMARY KEY, parent int, UNIQUE (tenant, id), FOREIGN KEY (tenant, parent) REFERENCES tenants (tenant, id) DEFERRABLE INITIALLY DEFERRED);
SELECT plinth_closure.enable('tenants', 'id', 'parent');
BEGIN;
INSERT INTO tenants VALUES (1, 2, 1);
INSERT INTO tenants VALUES (1, 1, NULL);
COMMIT;
SELECT is_empty($$ SELECT * FROM plinth_closure.check('tenants') $$, 'one that has the parent and a column that is never null does');

-- Renaming one of several key columns.
CREATE TABLE pairs (a int, b int, pa int, pb int, PRIMARY KEY (a, b));
SELECT plinth_closure.enable('pairs', '{a,b}', '{pa,pb}');
INSERT INTO pairs VALUES (1, 1, NULL, NULL);
ALTER TABLE pairs RENAME b TO "B b";
ALTER TABLE pairs RENAME pa TO ppa;
INSERT INTO pairs VALUES (2, 1, 1, 1);
SELECT is_empty($$ SELECT * FROM plinth_closure.check('pairs') $$, 'columns of a composite key can be renamed');
SELECT has_column('pairs_closure', 'ancestor_B b', 'and those of the closure follow');

-- A parent column of another collation.
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE words (id text COLLATE nocase PRIMARY KEY, parent text COLLATE "C");
SELECT plinth_closure.enable('words', 'id', 'parent', orphans => 'root');
INSERT INTO words VALUES ('b', 'a');
INSERT INTO words VALUES ('A', NULL);
SELECT is_empty($$ SELECT * FROM plinth_closure.check('words') $$, 'children are found as the collation of the key has it');

-- Rights: triggers made by hand.
CREATE FUNCTION public.state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN '00000';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
CREATE ROLE mallory;
CREATE ROLE victim;
CREATE SCHEMA m AUTHORIZATION mallory;
CREATE SCHEMA v AUTHORIZATION victim;
CREATE TABLE important (x int);
INSERT INTO important VALUES (1);
SET ROLE victim;
CREATE TABLE v.tree (id int PRIMARY KEY, parent int);
SELECT plinth_closure.enable('v.tree', 'id', 'parent');
SET ROLE mallory;
CREATE TABLE m.super (id int, parent int);
CREATE TRIGGER x AFTER TRUNCATE ON m.super FOR EACH STATEMENT EXECUTE FUNCTION plinth_closure.apply('closure=public.important', 'key=id', 'parent=parent');
SELECT public.state_of('TRUNCATE m.super') AS state1 \gset
CREATE TABLE m.thief (id int, parent int);
CREATE TRIGGER plinth_closure AFTER INSERT OR DELETE ON m.thief FOR EACH ROW EXECUTE FUNCTION plinth_closure.collect('closure=v.tree_closure', 'key=id', 'parent=parent', 'name=tree');
CREATE TABLE m.kinds (a int8, b int8, c text, d text);
CREATE TABLE m.kinds_closure (ancestor text, descendant text, depth int);
INSERT INTO m.kinds VALUES (4096);
CREATE TRIGGER x1 AFTER INSERT ON m.kinds FOR EACH ROW EXECUTE FUNCTION plinth_closure.collect('closure=m.kinds_closure', 'key=a', 'parent=b');
CREATE TRIGGER x2 AFTER DELETE ON m.kinds FOR EACH ROW EXECUTE FUNCTION plinth_closure.collect('closure=m.kinds_closure', 'key=c', 'parent=d');
BEGIN;
INSERT INTO m.kinds VALUES (1);
ALTER TABLE m.kinds_closure ALTER ancestor SET STATISTICS 5;
SELECT public.state_of('DELETE FROM m.kinds WHERE a = 4096') AS state2 \gset
ROLLBACK;
CREATE TABLE m.parts (a int, d int, depth int, PRIMARY KEY (a, d)) PARTITION BY RANGE (a);
SELECT public.state_of($$ SELECT plinth_closure.is_ancestor_of('m.parts', 1, 2) $$) AS state3 \gset
SET ROLE victim;
CREATE TABLE v.parts (id int PRIMARY KEY, parent int) PARTITION BY RANGE (id);
SELECT plinth_closure.enable('v.parts', 'id', 'parent');
CREATE TABLE v.precious (ancestor int, descendant int, depth int);
RESET ROLE;
CREATE TABLE m.part (id int PRIMARY KEY, parent int);
ALTER TABLE m.part OWNER TO mallory;
ALTER TABLE v.parts ATTACH PARTITION m.part FOR VALUES FROM (0) TO (10);
SET ROLE mallory;
ALTER TABLE m.part DISABLE TRIGGER plinth_closure;
DROP TRIGGER plinth_closure_flush ON m.part;
CREATE TRIGGER p AFTER INSERT ON m.part FOR EACH ROW EXECUTE FUNCTION plinth_closure.collect('closure=v.precious', 'key=id', 'parent=parent');
CREATE TRIGGER q AFTER INSERT ON m.part FOR EACH STATEMENT EXECUTE FUNCTION plinth_closure.apply('closure=v.precious', 'key=id', 'parent=parent');
SELECT public.state_of('INSERT INTO m.part VALUES (1, NULL)') AS state4 \gset
RESET ROLE;
SELECT is(:'state4'::text, '55000', 'a trigger made by hand on a partition does not speak for the hierarchy');
SELECT is_empty('SELECT * FROM v.precious', 'nor write elsewhere');
SELECT is(:'state1'::text, '55000', 'a trigger made by hand cannot name a table of a superuser');
SELECT is(:'state2'::text, '55000', 'two that name columns of different types do not meet');
SELECT is(:'state3'::text, '42809', 'is_ancestor_of() refuses a partitioned table');
ALTER TABLE m.thief SET (fillfactor = 90);
SELECT table_owner_is('v', 'tree_closure', 'victim', 'ALTER TABLE by a superuser gives nobody''s closure away');
SELECT function_owner_is('v', 'tree_roots', '{}'::name[], 'victim', 'nor functions');
SELECT plinth_closure.disable('m.thief', drop_closure => true);
SELECT has_table('v', 'tree_closure', 'nor does disable() drop it');
SELECT results_eq('SELECT x FROM important', 'VALUES (1)', 'nothing was truncated');

-- An operator for a domain does not slip in between.
CREATE EXTENSION citext SCHEMA m;
CREATE DOMAIN m.tag AS m.citext;
CREATE FUNCTION m.never(m.tag, m.tag) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''I am %'', current_user; END';
CREATE OPERATOR m.= (LEFTARG = m.tag, RIGHTARG = m.tag, FUNCTION = m.never);
CREATE TABLE tags (id m.tag PRIMARY KEY, parent m.tag);
SELECT plinth_closure.enable('tags', 'id', 'parent');
INSERT INTO tags VALUES ('a', NULL), ('b', 'A'), ('c', 'B');
UPDATE tags SET parent = 'a' WHERE id::text = 'c';
SELECT is_empty($$ SELECT * FROM plinth_closure.check('tags') $$, 'keys of a domain are compared as its base type is');
SELECT is((SELECT count(*) FROM tags_descendants('A'::m.tag)), 2::bigint, 'by the functions too');

-- An index of another kind on the closure.
CREATE INDEX ON lost_closure USING brin (depth);
INSERT INTO lost VALUES (7, 1), (8, 7);
SELECT is_empty($$ SELECT * FROM plinth_closure.check('lost') $$, 'a BRIN index on the closure does no harm');
SELECT * FROM finish();
