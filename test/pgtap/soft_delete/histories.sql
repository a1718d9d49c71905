-- Random histories of deletions and restorations: restore() brings back exactly the rows that a deletion took and that are
-- still dead by it, with what they held, or nothing at all if a living row has taken a key of one of them.
--
-- 10,000 steps with fixed seeds (printed).  The model is what was asked for, in ordinary tables: which rows there are, and by
-- which deletion they are dead; after every step tables, records and model are compared both ways.
-- psql -v seed=... tries another.
\if :{?seed}
\set seeds :seed
\else
\set seeds '3,17,29,58,71,83,95,104,118,127'
\endif
\if :{?steps}
\else
\set steps 1000
\endif
\set VERBOSITY terse
\set ON_ERROR_STOP on
SET client_min_messages = error;
SET jit = off;
SET check_function_bodies = off;
CREATE EXTENSION IF NOT EXISTS plinth_soft_delete;
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT diag(concat('seeds ', :'seeds'));
SELECT drop_roles('soft_history_');
CREATE ROLE soft_history_owner;
CREATE ROLE soft_history_client;

CREATE SCHEMA m;
CREATE TABLE m.rows (t text, uid int, code int, v int, deletion_id bigint, PRIMARY KEY (t, uid));
CREATE TABLE m.deletions (deletion_id bigint PRIMARY KEY, t text, row_count bigint, restored boolean);
CREATE TABLE m.base (deletion_id bigint);
CREATE TABLE m.trouble (step int, what text, detail text);
CREATE TABLE m.done (what text PRIMARY KEY, times int, "rows" bigint);
CREATE SEQUENCE m.uids;

-- One table with a key that only living rows have for themselves, one with partitions between which rows move.
CREATE PROCEDURE m.build() LANGUAGE plpgsql AS $$
BEGIN
	DROP SCHEMA IF EXISTS r CASCADE;
	CREATE SCHEMA r AUTHORIZATION soft_history_owner;
	GRANT USAGE ON SCHEMA r TO soft_history_client;
	SET LOCAL ROLE soft_history_owner;
	CREATE TABLE r.coded (v int, uid int PRIMARY KEY, code int);
	CREATE TABLE r.parts (uid int, code int, v int, PRIMARY KEY (uid, code)) PARTITION BY LIST (code);
	CREATE TABLE r.parts_1 PARTITION OF r.parts FOR VALUES IN (0, 1, 2, 3);
	CREATE TABLE r.parts_2 (v int, uid int NOT NULL, code int NOT NULL);
	ALTER TABLE r.parts ATTACH PARTITION r.parts_2 DEFAULT;
	PERFORM plinth_soft_delete.enable('r.coded'), plinth_soft_delete.enable('r.parts');
	CREATE UNIQUE INDEX coded_live ON r.coded (code) WHERE deleted_at IS NULL;
	GRANT SELECT, INSERT, UPDATE, DELETE ON r.coded, r.parts TO soft_history_client;
	RESET ROLE;
	TRUNCATE m.rows, m.deletions, m.trouble;
	-- Records of histories before this one are nobody's business.
	TRUNCATE m.base;
	INSERT INTO m.base SELECT coalesce(max(deletion_id), 0) FROM plinth_soft_delete._deletion;
	COMMIT;
END $$;

CREATE FUNCTION m.differences() RETURNS TABLE (difference text) LANGUAGE sql AS $$
	WITH r AS MATERIALIZED (SELECT 'coded', uid, code, v, deletion_id, deleted_at IS NULL AS alive FROM r.coded UNION ALL SELECT 'parts', uid, code, v, deletion_id, deleted_at IS NULL FROM r.parts),
		m AS MATERIALIZED (SELECT *, deletion_id IS NULL FROM m.rows),
		d AS MATERIALIZED (SELECT deletion_id, row_count, restored_at IS NOT NULL AS restored, restored_by IS NOT NULL FROM plinth_soft_delete._deletion WHERE deletion_id > (SELECT deletion_id FROM m.base))
	SELECT concat('should not be: ', x) FROM (SELECT * FROM r EXCEPT ALL SELECT * FROM m) x
	UNION ALL SELECT concat('should be: ', x) FROM (SELECT * FROM m EXCEPT ALL SELECT * FROM r) x
	UNION ALL SELECT concat('record should not be: ', x) FROM (SELECT * FROM d EXCEPT ALL SELECT deletion_id, row_count, restored, restored FROM m.deletions) x
	UNION ALL SELECT concat('record should be: ', x) FROM (SELECT deletion_id, row_count, restored, restored FROM m.deletions EXCEPT ALL SELECT * FROM d) x $$;

CREATE FUNCTION m.dice(n int) RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * n)::int $$;

-- As the client; the count of rows, or the SQLSTATE.
CREATE FUNCTION m.run(statement text, OUT count bigint, OUT state text) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE soft_history_client;
	BEGIN
		EXECUTE statement;
		GET DIAGNOSTICS count = ROW_COUNT;
		state := '';
	EXCEPTION WHEN OTHERS THEN
		state := SQLSTATE;
	END;
	RESET ROLE;
END $$;
CREATE FUNCTION m.restore(id bigint, OUT count bigint, OUT state text) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE soft_history_client;
	BEGIN
		count := plinth_soft_delete.restore(id);
		state := '';
	EXCEPTION WHEN OTHERS THEN
		state := SQLSTATE;
	END;
	RESET ROLE;
END $$;

-- Rows of a table that a statement takes have died by the deletion that it has made.
CREATE FUNCTION m.died(name text, ids int[], named text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
	n bigint;
BEGIN
	SELECT count(*) INTO n FROM m.rows WHERE t = name AND uid = ANY (ids) AND deletion_id IS NULL;
	IF n = 0 THEN
		RETURN;
	END IF;
	SELECT d.deletion_id INTO id FROM plinth_soft_delete._deletion d
		WHERE d.target = 'r.' || coalesce(named, name) AND d.deletion_id > (SELECT b.deletion_id FROM m.base b) AND d.deletion_id NOT IN (SELECT x.deletion_id FROM m.deletions x);
	INSERT INTO m.deletions VALUES (coalesce(id, -1), name, n, false);
	UPDATE m.rows SET deletion_id = coalesce(id, -1) WHERE t = name AND uid = ANY (ids) AND deletion_id IS NULL;
END $$;

CREATE FUNCTION m.step(step int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	name text := (ARRAY['coded', 'parts'])[1 + m.dice(2)];
	other text := CASE name WHEN 'coded' THEN 'parts' ELSE 'coded' END;
	dice int := m.dice(100);
	ids int[];
	others int[];
	d m.deletions;
	q m.rows;
	got record;
	what text;
	expected bigint := NULL;	-- NULL: an error
	n int;
BEGIN
	n := 1 + m.dice(4);
	ids := ARRAY(SELECT uid FROM m.rows WHERE t = name AND deletion_id IS NULL ORDER BY md5(concat(uid, random())) LIMIT n);
	IF dice < 22 AND (SELECT count(*) FROM m.rows) < 120 OR cardinality(ids) = 0 THEN
		what := 'insert';
		ids := ARRAY(SELECT nextval('m.uids') FROM generate_series(1, n));
		INSERT INTO m.rows SELECT name, uid, CASE name WHEN 'coded' THEN m.dice(50) * 5 + u.n ELSE m.dice(8) END, m.dice(50) FROM unnest(ids) WITH ORDINALITY u (uid, n);
		got := m.run(format('INSERT INTO r.%I (uid, code, v) SELECT * FROM unnest(%L::int[], %L::int[], %L::int[])', name, ids, ARRAY(SELECT code FROM m.rows JOIN unnest(ids) WITH ORDINALITY u (uid, n) USING (uid) WHERE t = name ORDER BY u.n), ARRAY(SELECT v FROM m.rows JOIN unnest(ids) WITH ORDINALITY u (uid, n) USING (uid) WHERE t = name ORDER BY u.n)));
		IF got.state = '23505' THEN
			DELETE FROM m.rows WHERE t = name AND uid = ANY (ids);
			expected := NULL;
		ELSE
			expected := n;
		END IF;
	ELSIF dice < 35 THEN
		what := 'delete';
		got := m.run(format('DELETE FROM r.%I WHERE uid = ANY (%L)', name, ids));
		expected := cardinality(ids);
		PERFORM m.died(name, ids);
	ELSIF dice < 42 THEN
		what := 'delete by value';
		ids := ARRAY(SELECT uid FROM m.rows WHERE t = name AND deletion_id IS NULL AND v % 7 = n);
		got := m.run(format('DELETE FROM r.%I WHERE v %% 7 = %s', name, n));
		expected := cardinality(ids);
		PERFORM m.died(name, ids);
	ELSIF dice < 46 THEN
		what := 'delete in two tables';
		others := ARRAY(SELECT uid FROM m.rows WHERE t = other AND deletion_id IS NULL ORDER BY md5(concat(uid, random())) LIMIT n);
		got := m.run(format('WITH a AS (DELETE FROM r.%I WHERE uid = ANY (%L)) DELETE FROM r.%I WHERE uid = ANY (%L)', other, others, name, ids));
		expected := cardinality(ids);
		PERFORM m.died(name, ids), m.died(other, others);
	ELSIF dice < 51 THEN
		what := 'stamp';
		got := m.run(format('UPDATE r.%I SET deleted_at = now(), v = v + 1 WHERE uid = ANY (%L)', name, ids));
		expected := cardinality(ids);
		UPDATE m.rows SET v = v + 1 WHERE t = name AND uid = ANY (ids);
		PERFORM m.died(name, ids);
	ELSIF dice < 55 THEN
		what := 'rolled back';
		BEGIN
			got := m.run(format('DELETE FROM r.%I', name));
			SELECT * INTO d FROM m.deletions WHERE NOT restored ORDER BY md5(concat(deletion_id, random())) LIMIT 1;
			PERFORM m.restore(d.deletion_id);
			RAISE SQLSTATE 'ZZZZZ';
		EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
			SELECT count(*) INTO expected FROM m.rows WHERE t = name AND deletion_id IS NULL;
		END;
	ELSIF dice < 61 THEN
		what := 'update';
		got := m.run(format('UPDATE r.%I SET v = v + 1, code = %s WHERE uid = ANY (%L)', name, CASE name WHEN 'parts' THEN format('(code + %s) %% 9', n) ELSE 'code' END, ids));
		UPDATE m.rows SET v = v + 1, code = CASE name WHEN 'parts' THEN (code + n) % 9 ELSE code END WHERE t = name AND uid = ANY (ids);
		expected := cardinality(ids);
	ELSIF dice < 67 THEN
		-- By somebody who sees the dead.
		what := 'one row by hand';
		SELECT * INTO q FROM m.rows WHERE t = name AND deletion_id IS NOT NULL ORDER BY md5(concat(uid, random())) LIMIT 1;
		IF NOT FOUND OR name = 'coded' AND EXISTS (SELECT FROM m.rows WHERE t = name AND deletion_id IS NULL AND code = q.code) THEN
			RETURN;
		END IF;
		EXECUTE format('UPDATE r.%I SET deleted_at = NULL WHERE uid = %s', name, q.uid);
		UPDATE m.rows SET deletion_id = NULL WHERE t = name AND uid = q.uid;
		SELECT 1::bigint AS count, '' AS state INTO got;
		expected := 1;
	ELSIF dice < 69 THEN
		what := 'what there never was';
		got := m.restore(1000000 + dice);
	ELSIF dice < 72 THEN
		what := 'restore again';
		SELECT * INTO d FROM m.deletions WHERE restored ORDER BY md5(concat(deletion_id, random())) LIMIT 1;
		IF NOT FOUND THEN
			RETURN;
		END IF;
		got := m.restore(d.deletion_id);
	ELSE
		what := CASE WHEN dice < 80 THEN 'restore the last' ELSE 'restore' END;
		SELECT * INTO d FROM m.deletions WHERE NOT restored ORDER BY CASE WHEN dice < 80 THEN -deletion_id END, md5(concat(deletion_id, random())) LIMIT 1;
		IF NOT FOUND THEN
			RETURN;
		END IF;
		got := m.restore(d.deletion_id);
		SELECT count(*) INTO expected FROM m.rows x WHERE x.t = d.t AND x.deletion_id = d.deletion_id;
		IF d.t = 'coded' AND (EXISTS (SELECT FROM m.rows x JOIN m.rows y ON (y.t, y.code) = (x.t, x.code) AND y.deletion_id IS NULL WHERE (x.t, x.deletion_id) = (d.t, d.deletion_id))
				OR EXISTS (SELECT FROM m.rows x WHERE (x.t, x.deletion_id) = (d.t, d.deletion_id) GROUP BY code HAVING count(*) > 1)) THEN
			what := 'restore what is taken';
			expected := NULL;
		ELSIF expected = 0 AND got.state <> '' THEN
			what := 'restore what is back';
			expected := NULL;
		ELSE
			UPDATE m.rows x SET deletion_id = NULL WHERE x.t = d.t AND x.deletion_id = d.deletion_id;
			UPDATE m.deletions x SET restored = true WHERE x.deletion_id = d.deletion_id;
		END IF;
	END IF;
	IF got.count IS DISTINCT FROM expected OR (got.state <> '') <> (expected IS NULL) OR got.state LIKE 'XX%' THEN
		INSERT INTO m.trouble VALUES (step, what, concat_ws(' ', name, ids, d, 'expected', coalesce(expected::text, 'an error'), 'got', got.count, got.state));
	END IF;
	INSERT INTO m.done VALUES (what, 1, coalesce(expected, 0)) ON CONFLICT ON CONSTRAINT done_pkey DO UPDATE SET times = done.times + 1, "rows" = done."rows" + excluded."rows";
	INSERT INTO m.trouble SELECT step, what, concat_ws(' ', name, ids, d, 'expected', expected, 'got', got.count, got.state, difference) FROM m.differences();
END $$;

CREATE PROCEDURE m.history(seed int, steps int) LANGUAGE plpgsql AS $$
BEGIN
	CALL m.build();
	PERFORM setseed(seed / 1000.0);
	FOR step IN 1 .. steps LOOP
		PERFORM m.step(step);
		IF m.dice(4) = 0 THEN
			COMMIT;
		END IF;
		EXIT WHEN EXISTS (SELECT FROM m.trouble);
	END LOOP;
	COMMIT;
END $$;

SELECT format('CALL m.history(%s, %s)', seed, :steps),
	format('SELECT is((SELECT string_agg(format(''step %%s (%%s): %%s'', step, what, detail), E''\n'') FROM (SELECT * FROM m.trouble LIMIT 5) t), NULL, ''seed %s: tables and records are what the history makes of them'')', seed),
	'SELECT diag(concat((SELECT count(*) FROM m.rows), '' rows, '', (SELECT count(deletion_id) FROM m.rows), '' dead, '', (SELECT count(*) FROM m.deletions), '' deletions''))'
FROM unnest(string_to_array(:'seeds', ',')) seed \gexec

-- A test that cannot fail is none.
SELECT diag(string_agg(concat(what, ' ', times, '/', "rows"), ', ' ORDER BY what)) FROM m.done;
SELECT cmp_ok((SELECT count(*) FROM m.done WHERE times >= 5), '>=', 13::bigint, 'everything has happened, more than once');
SET plinth_soft_delete.dead_update = 'allow';
UPDATE r.coded SET v = v + 1 WHERE uid = (SELECT min(uid) FROM r.coded);
SELECT isnt_empty('SELECT * FROM m.differences()', 'a row that has changed is noticed');

SELECT * FROM finish();
DROP SCHEMA r, m CASCADE;
SELECT drop_roles('soft_history_');
