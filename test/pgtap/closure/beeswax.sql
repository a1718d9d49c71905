-- Tables that are no hierarchies are not affected by the extension: not their statements, not their DDL, not their catalogs.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;

-- What happens to them, once without the extension, once with it, once while other tables are hierarchies.
CREATE FUNCTION catalog_of(s name) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', c.relname, relkind, relhastriggers, relchecks, relrowsecurity, relacl, (SELECT string_agg(concat(tgname, tgtype, tgenabled), ',' ORDER BY tgname) FROM pg_trigger t WHERE tgrelid = c.oid AND NOT tgisinternal),
		(SELECT count(*) FROM pg_depend d WHERE refobjid = c.oid AND deptype <> 'i'), (SELECT count(*) FROM pg_rewrite WHERE ev_class = c.oid), (SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid))
	FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = s ORDER BY 1 $$;
CREATE TABLE outcome (run text, n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE PROCEDURE live(run_name text) LANGUAGE plpgsql AS $$
DECLARE
	stmt text;
	result text;
BEGIN
	CREATE SCHEMA bees;
	SET LOCAL search_path = bees, public;
	FOREACH stmt IN ARRAY ARRAY[
		'CREATE TABLE plain (id int PRIMARY KEY, v text)', 'CREATE TABLE adj (id int PRIMARY KEY, parent int REFERENCES adj ON DELETE CASCADE)', 'INSERT INTO adj VALUES (2, 1), (1, 2), (3, 3)', 'UPDATE adj SET parent = id', 'INSERT INTO adj VALUES (4, 9)', 'DELETE FROM adj WHERE id = 1', 'ALTER TABLE adj RENAME COLUMN parent TO up', 'ALTER TABLE adj DROP COLUMN up', 'INSERT INTO plain SELECT g, ''x'' FROM generate_series(1, 100) g', 'UPDATE plain SET v = v || id', 'UPDATE plain SET id = id + 1000 WHERE id < 10', 'DELETE FROM plain WHERE id % 2 = 0',
		'INSERT INTO plain VALUES (1), (1)', 'INSERT INTO plain VALUES (1011, ''y'') ON CONFLICT (id) DO UPDATE SET v = ''z''', 'MERGE INTO plain USING generate_series(1, 5) s ON id = s WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s, ''m'')',
		'CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES plain ON DELETE CASCADE ON UPDATE CASCADE)', 'INSERT INTO child SELECT id, id FROM plain', 'DELETE FROM plain WHERE id < 20', 'TRUNCATE plain', 'TRUNCATE plain, child', 'TRUNCATE plain CASCADE',
		'CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)', 'CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (1) TO (10)', 'CREATE TABLE parts2 (v text, id int PRIMARY KEY)', 'ALTER TABLE parts ATTACH PARTITION parts2 FOR VALUES FROM (10) TO (20)',
		'INSERT INTO parts VALUES (1, ''a''), (11, ''b'')', 'UPDATE parts SET id = id + 10 WHERE id = 1', 'UPDATE parts SET id = 5 WHERE id = 11', 'ALTER TABLE parts DETACH PARTITION parts2', 'DROP TABLE parts2', 'TRUNCATE parts',
		'CREATE TABLE par (a int)', 'CREATE TABLE kid (b int) INHERITS (par)', 'CREATE TABLE kid2 (a int)', 'ALTER TABLE kid2 INHERIT par', 'INSERT INTO kid VALUES (1, 2)', 'UPDATE par SET a = 3', 'ALTER TABLE kid2 NO INHERIT par', 'DROP TABLE par CASCADE',
		'ALTER TABLE plain ADD COLUMN n int DEFAULT 5', 'ALTER TABLE plain RENAME COLUMN v TO w', 'ALTER TABLE plain ALTER COLUMN n TYPE text', 'ALTER TABLE plain DROP COLUMN n', 'ALTER TABLE plain RENAME TO simple', 'ALTER TABLE simple OWNER TO CURRENT_USER',
		'CREATE VIEW vw AS SELECT * FROM simple', 'CREATE MATERIALIZED VIEW mv AS SELECT * FROM simple', 'INSERT INTO vw VALUES (1, ''v'')', 'REFRESH MATERIALIZED VIEW mv', 'CREATE TABLE copy AS TABLE simple', 'SELECT * INTO copy2 FROM simple', 'CREATE TEMP TABLE tmp (id int) ON COMMIT DROP', 'INSERT INTO tmp VALUES (1)', 'TRUNCATE tmp', 'DROP TABLE tmp',
		'CREATE UNLOGGED TABLE ul (id int)', 'CREATE SEQUENCE sq', 'CREATE TYPE ty AS (a int)', 'ALTER TYPE ty ADD ATTRIBUTE b int', 'ALTER TYPE ty RENAME ATTRIBUTE b TO c', 'CREATE DOMAIN dm AS int', 'CREATE INDEX ix ON simple (w)', 'ALTER INDEX ix RENAME TO ix2', 'DROP INDEX ix2',
		'CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN new; END''', 'CREATE TRIGGER plinth_closure BEFORE INSERT ON simple FOR EACH ROW EXECUTE FUNCTION tr()', 'INSERT INTO simple VALUES (2, ''x'')', 'ALTER TABLE simple DISABLE TRIGGER plinth_closure', 'DROP TRIGGER plinth_closure ON simple',
		'CREATE TABLE simple_closure (id int)', 'INSERT INTO simple_closure VALUES (1)', 'TRUNCATE simple_closure', 'DROP TABLE simple_closure', 'CREATE RULE ru AS ON DELETE TO simple DO ALSO INSERT INTO copy VALUES (old.id)', 'DELETE FROM simple', 'CREATE POLICY po ON simple', 'ALTER TABLE simple ENABLE ROW LEVEL SECURITY', 'COMMENT ON TABLE simple IS ''x''',
		'GRANT SELECT ON simple TO PUBLIC', 'REVOKE ALL ON ALL TABLES IN SCHEMA bees FROM PUBLIC', 'ALTER SCHEMA bees RENAME TO wasps', 'ALTER SCHEMA wasps RENAME TO bees', 'CREATE SCHEMA hive CREATE TABLE cell (id int)', 'ALTER TABLE hive.cell SET SCHEMA bees', 'DROP SCHEMA hive', 'ALTER TABLE simple SET LOGGED', 'CLUSTER simple USING plain_pkey',
		'REINDEX TABLE simple', 'ANALYZE simple', 'DROP TABLE nothing', 'DROP TABLE IF EXISTS nothing', 'DROP VIEW vw', 'DROP MATERIALIZED VIEW mv', 'ALTER TABLE ul SET LOGGED', 'CREATE PUBLICATION plinth_closure_beeswax FOR TABLE copy', 'DROP PUBLICATION plinth_closure_beeswax', 'DROP TABLE copy, copy2 CASCADE']
	LOOP
		BEGIN
			EXECUTE stmt;
			GET DIAGNOSTICS result = ROW_COUNT;
		EXCEPTION WHEN OTHERS THEN
			result := sqlstate || ' ' || sqlerrm;
		END;
		INSERT INTO public.outcome (run, what) VALUES (run_name, stmt || ': ' || result);
	END LOOP;
	INSERT INTO public.outcome (run, what) SELECT run_name, catalog_of('bees');
	SET LOCAL client_min_messages = error;
	DROP SCHEMA bees CASCADE;
END $$;
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
