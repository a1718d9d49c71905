-- Tables without statistics: the condition that hides the dead does not change how a statement runs.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_soft_delete;
LOAD 'plinth_soft_delete';
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT drop_roles('soft_estimate_');
CREATE ROLE soft_estimate_app;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;

-- Two tables alike, one of them enabled; nobody analyzes them.
CREATE TABLE plain (id int PRIMARY KEY, state text, deleted_at timestamptz, deletion_id bigint) WITH (autovacuum_enabled = off);
CREATE TABLE soft (LIKE plain INCLUDING ALL) WITH (autovacuum_enabled = off);
CREATE INDEX ON plain (deletion_id) WHERE deletion_id IS NOT NULL;
CREATE TABLE keyless_plain (id int, state text) WITH (autovacuum_enabled = off);
CREATE TABLE keyless_soft (id int, state text) WITH (autovacuum_enabled = off);
CREATE TABLE parted (id int, state text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10000) WITH (autovacuum_enabled = off);
SELECT plinth_soft_delete.enable('soft');
SELECT plinth_soft_delete.enable('keyless_soft');
SELECT plinth_soft_delete.enable('parted');
INSERT INTO plain (id, state) SELECT i, 'new' FROM generate_series(1, 5000) i;
INSERT INTO soft (id, state) SELECT i, 'new' FROM generate_series(1, 5000) i;
INSERT INTO keyless_plain (id, state) SELECT i, 'new' FROM generate_series(1, 100) i;
INSERT INTO keyless_soft (id, state) SELECT i, 'new' FROM generate_series(1, 100) i;
INSERT INTO parted (id, state) SELECT i, 'new' FROM generate_series(1, 5000) i;
GRANT ALL ON plain, soft, keyless_plain, keyless_soft, parted TO soft_estimate_app;

-- How many rows the planner takes a query to give.
CREATE FUNCTION estimated(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
-- How it joins in a statement on a table.
CREATE FUNCTION joins(target text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) DELETE FROM %1$I WHERE id IN (SELECT id FROM %1$I LIMIT 30 FOR UPDATE SKIP LOCKED)', target) LOOP
		IF line ~ 'Join|Loop|Materialize|Aggregate' THEN
			RETURN NEXT trim(line);
		END IF;
	END LOOP;
END $$;
CREATE FUNCTION taken(target text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	FOR i IN 1 .. 3 LOOP
		EXECUTE format('DELETE FROM %1$I WHERE id IN (SELECT id FROM %1$I WHERE state = ''new'' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)', target);
		GET DIAGNOSTICS n = ROW_COUNT;
		RETURN NEXT format('IN: %s', n);
		EXECUTE format('DELETE FROM %1$I WHERE id IN (SELECT id FROM %1$I LIMIT 3 FOR UPDATE SKIP LOCKED)', target);
		GET DIAGNOSTICS n = ROW_COUNT;
		RETURN NEXT format('IN, three: %s', n);
		EXECUTE format('DELETE FROM %1$I t USING (SELECT id FROM %1$I LIMIT 2 FOR UPDATE SKIP LOCKED) q WHERE q.id = t.id', target);
		GET DIAGNOSTICS n = ROW_COUNT;
		RETURN NEXT format('USING, two: %s', n);
	END LOOP;
END $$;

SET ROLE soft_estimate_app;
SELECT cmp_ok(estimated('SELECT * FROM soft'), '>=', estimated('SELECT * FROM plain') * 8 / 10, 'most rows are taken to be alive');
SELECT cmp_ok(estimated('SELECT * FROM soft'), '<=', estimated('SELECT * FROM plain'), 'but not more than there are');
SELECT cmp_ok(estimated('SELECT * FROM parted'), '>=', estimated('SELECT * FROM plain') * 8 / 10, 'in partitioned tables, too');
SELECT results_eq($$ SELECT joins('keyless_soft') $$, $$ SELECT joins('keyless_plain') $$, 'statements are planned alike');
SELECT results_eq($$ SELECT taken('soft') $$, $$ SELECT taken('plain') $$, 'what a queue takes is what it asks for');
SELECT results_eq($$ SELECT taken('keyless_soft') $$, $$ SELECT taken('keyless_plain') $$, 'without a key, too');
SELECT is((SELECT array_agg(t) FROM taken('parted') t WHERE t LIKE 'IN:%'), ARRAY['IN: 1', 'IN: 1', 'IN: 1'], 'from a partitioned one, too');
RESET ROLE;

-- Real statistics come first.
DELETE FROM soft WHERE id > 1000;
ANALYZE soft;
SET ROLE soft_estimate_app;
SELECT cmp_ok(estimated('SELECT * FROM soft'), '<', 1500::bigint, 'what ANALYZE has found is believed');
SELECT cmp_ok(estimated('SELECT * FROM soft WHERE deleted_at IS NULL'), '<', 1500::bigint, 'also where it is asked for');
RESET ROLE;

SELECT * FROM finish();
SELECT drop_roles('soft_estimate_');
