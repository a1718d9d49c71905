-- A life of tables that no extension has to do with: what comes of it must not depend on whether one is there.  The
-- psql variable "module" says whose names are tried; a test may add statements of its own to the table "tried".
CREATE FUNCTION catalog_of(s name) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', c.relname, relkind, relhastriggers, relchecks, relrowsecurity, relacl, (SELECT string_agg(concat(tgname, tgtype, tgenabled), ',' ORDER BY tgname) FROM pg_trigger t WHERE tgrelid = c.oid AND NOT tgisinternal),
		(SELECT count(*) FROM pg_depend d WHERE refobjid = c.oid AND deptype <> 'i'), (SELECT count(*) FROM pg_rewrite WHERE ev_class = c.oid), (SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid))
	FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = s ORDER BY 1 $$;
CREATE TABLE tried (n int GENERATED ALWAYS AS IDENTITY, stmt text);
INSERT INTO tried (stmt) SELECT replace(stmt, '<module>', :'module') FROM unnest(ARRAY[
	'CREATE TABLE plain (id int PRIMARY KEY, v text)', 'INSERT INTO plain SELECT g, ''x'' FROM generate_series(1, 100) g', 'UPDATE plain SET v = v || id', 'UPDATE plain SET id = id + 1000 WHERE id < 10', 'DELETE FROM plain WHERE id % 2 = 0',
	'INSERT INTO plain VALUES (1), (1)', 'INSERT INTO plain VALUES (1011, ''y'') ON CONFLICT (id) DO UPDATE SET v = ''z''', 'MERGE INTO plain USING generate_series(1, 5) s ON id = s WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s, ''m'')',
	'CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES plain ON DELETE CASCADE ON UPDATE CASCADE)', 'INSERT INTO child SELECT id, id FROM plain', 'DELETE FROM plain WHERE id < 20', 'TRUNCATE plain', 'TRUNCATE plain, child', 'TRUNCATE plain CASCADE',
	'CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)', 'CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (1) TO (10)', 'CREATE TABLE parts2 (v text, id int PRIMARY KEY)', 'ALTER TABLE parts ATTACH PARTITION parts2 FOR VALUES FROM (10) TO (20)',
	'INSERT INTO parts VALUES (1, ''a''), (11, ''b'')', 'UPDATE parts SET id = id + 10 WHERE id = 1', 'UPDATE parts SET id = 5 WHERE id = 11', 'ALTER TABLE parts DETACH PARTITION parts2', 'DROP TABLE parts2', 'TRUNCATE parts',
	'CREATE TABLE par (a int)', 'CREATE TABLE kid (b int) INHERITS (par)', 'CREATE TABLE kid2 (a int)', 'ALTER TABLE kid2 INHERIT par', 'INSERT INTO kid VALUES (1, 2)', 'UPDATE par SET a = 3', 'ALTER TABLE kid2 NO INHERIT par', 'DROP TABLE par CASCADE',
	'ALTER TABLE plain ADD COLUMN n int DEFAULT 5', 'ALTER TABLE plain RENAME COLUMN v TO w', 'ALTER TABLE plain ALTER COLUMN n TYPE text', 'ALTER TABLE plain DROP COLUMN n', 'ALTER TABLE plain RENAME TO simple', 'ALTER TABLE simple OWNER TO CURRENT_USER',
	'CREATE VIEW vw AS SELECT * FROM simple', 'CREATE MATERIALIZED VIEW mv AS SELECT * FROM simple', 'INSERT INTO vw VALUES (1, ''v'')', 'REFRESH MATERIALIZED VIEW mv', 'CREATE TABLE copy AS TABLE simple', 'SELECT * INTO copy2 FROM simple', 'CREATE TEMP TABLE tmp (id int) ON COMMIT DROP', 'INSERT INTO tmp VALUES (1)', 'TRUNCATE tmp', 'DROP TABLE tmp',
	'CREATE UNLOGGED TABLE ul (id int)', 'CREATE SEQUENCE sq', 'CREATE TYPE ty AS (a int)', 'ALTER TYPE ty ADD ATTRIBUTE b int', 'ALTER TYPE ty RENAME ATTRIBUTE b TO c', 'CREATE DOMAIN dm AS int', 'CREATE INDEX ix ON simple (w)', 'ALTER INDEX ix RENAME TO ix2', 'DROP INDEX ix2',
	'CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN new; END''', 'CREATE TRIGGER plinth_<module> BEFORE INSERT ON simple FOR EACH ROW EXECUTE FUNCTION tr()', 'INSERT INTO simple VALUES (2, ''x'')', 'ALTER TABLE simple DISABLE TRIGGER plinth_<module>', 'DROP TRIGGER plinth_<module> ON simple',
	'CREATE TABLE simple_<module> (id int)', 'INSERT INTO simple_<module> VALUES (1)', 'TRUNCATE simple_<module>', 'DROP TABLE simple_<module>', 'CREATE RULE ru AS ON DELETE TO simple DO ALSO INSERT INTO copy VALUES (old.id)', 'DELETE FROM simple', 'CREATE POLICY po ON simple', 'ALTER TABLE simple ENABLE ROW LEVEL SECURITY', 'COMMENT ON TABLE simple IS ''x''',
	'GRANT SELECT ON simple TO PUBLIC', 'REVOKE ALL ON ALL TABLES IN SCHEMA bees FROM PUBLIC', 'ALTER SCHEMA bees RENAME TO wasps', 'ALTER SCHEMA wasps RENAME TO bees', 'CREATE SCHEMA hive CREATE TABLE cell (id int)', 'ALTER TABLE hive.cell SET SCHEMA bees', 'DROP SCHEMA hive', 'ALTER TABLE simple SET LOGGED', 'CLUSTER simple USING plain_pkey',
	'REINDEX TABLE simple', 'ANALYZE simple', 'DROP TABLE nothing', 'DROP TABLE IF EXISTS nothing', 'DROP VIEW vw', 'DROP MATERIALIZED VIEW mv', 'ALTER TABLE ul SET LOGGED', 'CREATE PUBLICATION plinth_<module>_beeswax FOR TABLE copy', 'DROP PUBLICATION plinth_<module>_beeswax', 'DROP TABLE copy, copy2 CASCADE'
	]) WITH ORDINALITY AS s(stmt, n) ORDER BY n;

CREATE TABLE outcome (run text, n int GENERATED ALWAYS AS IDENTITY, what text);
-- Runs the statements, and keeps what each of them said and what the catalogs say in the end.
CREATE PROCEDURE live(run_name text) LANGUAGE plpgsql AS $$
DECLARE
	stmt text;
	result text;
BEGIN
	CREATE SCHEMA bees;
	SET LOCAL search_path = bees, public;
	FOREACH stmt IN ARRAY ARRAY(SELECT t.stmt FROM tried t ORDER BY n)
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
