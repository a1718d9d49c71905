-- No row is ever lost: after any statement the rows that are alive are those that an ordinary table would have, every other
-- row that there ever was is there, dead, as it was when it died, and marked by the one deletion that took it, whose record
-- says how many rows it took and from which table.
--
-- Random statements with fixed seeds (printed).  Every table is there twice: enabled in schema r, ordinary in schema s.
-- What a statement takes away in s is what it must delete in r; the model keeps what has died, and of what.
-- A failing assertion prints the statement.  psql -v seed=... tries another.
\if :{?seed}
\set seeds :seed
\else
\set seeds '11,23'
\endif
\if :{?steps}
\else
\set steps 300
\endif
\set VERBOSITY terse
\set ON_ERROR_STOP on
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT diag(concat('seeds ', :'seeds'));
SELECT drop_roles('soft_fuzz_');
CREATE ROLE soft_fuzz_owner;
CREATE ROLE soft_fuzz_client;
GRANT SET ON PARAMETER session_replication_role TO soft_fuzz_owner, soft_fuzz_client;
CREATE SCHEMA m;
GRANT USAGE ON SCHEMA m TO PUBLIC;

----------------------------------------------------------------------------------------------------------------------
-- The tables
----------------------------------------------------------------------------------------------------------------------

-- uid: a row, for ever.  k decides where it is, v is what it holds.
CREATE TABLE m.families (family text PRIMARY KEY, body text, after text DEFAULT '', names text[], key text DEFAULT 'uid');
INSERT INTO m.families VALUES
('plain', 'CREATE TABLE plain (uid bigint PRIMARY KEY, k int NOT NULL, v int, touched int DEFAULT 0); CREATE INDEX ON plain (v)', DEFAULT, '{plain}', DEFAULT),
('filtered', 'CREATE TABLE filtered (touched int DEFAULT 0, uid bigint PRIMARY KEY, k int NOT NULL, v int)', DEFAULT, '{filtered}', DEFAULT),
('viewed', 'CREATE TABLE viewed (uid bigint PRIMARY KEY, gone text, k int NOT NULL, v int, touched int DEFAULT 0); ALTER TABLE viewed DROP COLUMN gone', $$
	CREATE VIEW all_of_it AS SELECT * FROM viewed;
	CREATE VIEW part_of_it WITH (security_barrier) AS SELECT k AS place, v, uid, touched FROM all_of_it WHERE k < 6;
	CREATE VIEW by_rule AS SELECT uid, k, v FROM viewed;
	CREATE RULE remove AS ON DELETE TO by_rule DO INSTEAD DELETE FROM viewed WHERE uid = OLD.uid; $$, '{viewed}', DEFAULT),
('ruled', 'CREATE TABLE ruled (uid bigint PRIMARY KEY, k int NOT NULL, v int, touched int DEFAULT 0)', $$
	CREATE TABLE ruled_log (uid bigint);
	CREATE RULE also AS ON DELETE TO ruled DO ALSO INSERT INTO ruled_log VALUES (OLD.uid); $$, '{ruled}', DEFAULT),
('triggered', 'CREATE TABLE triggered (uid bigint PRIMARY KEY, k int NOT NULL, v int, touched int DEFAULT 0)', $$
	CREATE TRIGGER touch BEFORE UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION m.touch();
	CREATE TRIGGER notice AFTER UPDATE ON triggered REFERENCING OLD TABLE AS olds NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION m.notice(); $$, '{triggered}', DEFAULT),
('parts', $$ CREATE TABLE parts (uid bigint, k int NOT NULL, v int, touched int DEFAULT 0, PRIMARY KEY (uid, k)) PARTITION BY RANGE (k);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (3);
	CREATE TABLE parts_2 (touched int DEFAULT 0, gone text, v int, k int NOT NULL, uid bigint NOT NULL);
	ALTER TABLE parts_2 DROP COLUMN gone;
	ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (3) TO (6);
	CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (6) TO (100) PARTITION BY HASH (uid);
	CREATE TABLE parts_3a PARTITION OF parts_3 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
	CREATE TABLE parts_3b PARTITION OF parts_3 FOR VALUES WITH (MODULUS 2, REMAINDER 1) $$,
	'CREATE TRIGGER touch BEFORE UPDATE ON parts_2 FOR EACH ROW EXECUTE FUNCTION m.touch()', '{parts,parts_1,parts_2,parts_3,parts_3a}', 'uid, k'),
('heirs', $$ CREATE TABLE heirs (uid bigint PRIMARY KEY, k int NOT NULL, v int, touched int DEFAULT 0);
	CREATE TABLE heirs_1 (more text, PRIMARY KEY (uid)) INHERITS (heirs);
	CREATE TABLE heirs_2 (PRIMARY KEY (uid)) INHERITS (heirs_1) $$, DEFAULT, '{heirs,heirs_1,heirs_2}', DEFAULT);

GRANT SELECT ON m.families TO PUBLIC;
CREATE FUNCTION m.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := OLD.touched + 1; RETURN NEW; END $$;
CREATE FUNCTION m.notice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM olds; PERFORM count(*) FROM news; RETURN NULL; END $$;

-- In s a DELETE of a row of "triggered" takes its followers away by a DELETE trigger, in r by an UPDATE trigger.
CREATE FUNCTION m.follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'UPDATE' THEN
		IF NEW.deleted_at IS NULL OR OLD.deleted_at IS NOT NULL THEN
			RETURN NULL;
		END IF;
	END IF;
	DELETE FROM ruled WHERE uid = -OLD.uid;
	RETURN NULL;
END $$;

CREATE FUNCTION m.build() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	f m.families;
	n text;
BEGIN
	DROP SCHEMA IF EXISTS r, s CASCADE;
	CREATE SCHEMA r AUTHORIZATION soft_fuzz_owner;
	CREATE SCHEMA s AUTHORIZATION soft_fuzz_owner;
	GRANT USAGE ON SCHEMA r, s TO soft_fuzz_client;
	SET LOCAL ROLE soft_fuzz_owner;
	FOREACH n IN ARRAY ARRAY['r', 's'] LOOP
		PERFORM set_config('search_path', n, true);
		FOR f IN SELECT * FROM m.families LOOP
			EXECUTE f.body;
			IF n = 'r' THEN
				PERFORM plinth_soft_delete.enable(f.family::regclass, visibility => CASE f.family WHEN 'filtered' THEN 'filter' ELSE 'rls' END);
			END IF;
			EXECUTE f.after;
		END LOOP;
	END LOOP;
	CREATE TRIGGER follow AFTER UPDATE ON r.triggered FOR EACH ROW EXECUTE FUNCTION m.follow();
	CREATE TRIGGER follow AFTER DELETE ON s.triggered FOR EACH ROW EXECUTE FUNCTION m.follow();
	GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA r TO soft_fuzz_client;
	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA s TO soft_fuzz_client;
	RESET ROLE;
	TRUNCATE m.dead, m.deletions, m.trouble;
	INSERT INTO m.deletions SELECT deletion_id, target, row_count FROM plinth_soft_delete._deletion;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- The model
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE m.dead (family text, uid bigint, k int, v int, deletion_id bigint);
CREATE TABLE m.deletions (deletion_id bigint, target text, row_count bigint);
CREATE TABLE m.trouble (step int, what text, statement text, detail text);
CREATE TABLE m.done (kind text PRIMARY KEY, times int NOT NULL, deleted int NOT NULL);

-- All rows, by this or that schema, as one that sees everything.
CREATE FUNCTION m.everything(schema text) RETURNS TABLE (family text, uid bigint, k int, v int, deleted_at timestamptz, deletion_id bigint) LANGUAGE plpgsql SET row_security = off AS $$
DECLARE
	f text;
BEGIN
	FOR f IN SELECT x.family FROM m.families x LOOP
		RETURN QUERY EXECUTE format('SELECT %L::text, uid, k, v, %s FROM %I.%I', f,
			CASE schema WHEN 'r' THEN 'deleted_at, deletion_id' ELSE 'NULL::timestamptz, NULL::bigint' END, schema, f);
	END LOOP;
END $$;

-- Where model and tables disagree.
CREATE FUNCTION m.differences() RETURNS TABLE (difference text) LANGUAGE sql AS $$
	WITH r AS MATERIALIZED (SELECT * FROM m.everything('r')),
		s AS MATERIALIZED (SELECT * FROM m.everything('s')),
		alive AS (SELECT family, uid, k, v FROM r WHERE deleted_at IS NULL),
		should AS (SELECT family, uid, k, v FROM s),
		died AS (SELECT family, uid, k, v, deletion_id FROM r WHERE deleted_at IS NOT NULL)
	SELECT concat('alive, and should not be: ', x) FROM (SELECT * FROM alive EXCEPT ALL SELECT * FROM should) x
	UNION ALL SELECT concat('not alive: ', x) FROM (SELECT * FROM should EXCEPT ALL SELECT * FROM alive) x
	UNION ALL SELECT concat('dead, and should not be: ', x) FROM (SELECT * FROM died EXCEPT ALL SELECT * FROM m.dead) x
	UNION ALL SELECT concat('LOST: ', x) FROM (SELECT * FROM m.dead EXCEPT ALL SELECT * FROM died) x
	UNION ALL SELECT concat('a mark on a living row: ', x) FROM r x WHERE deleted_at IS NULL AND deletion_id IS NOT NULL
	UNION ALL SELECT concat('no such deletion: ', x) FROM (SELECT deletion_id, target, row_count FROM plinth_soft_delete._deletion EXCEPT ALL SELECT * FROM m.deletions) x
	UNION ALL SELECT concat('no record: ', x) FROM (SELECT * FROM m.deletions EXCEPT ALL SELECT deletion_id, target, row_count FROM plinth_soft_delete._deletion) x $$;

-- One statement in one schema; its count of rows, or its error.
CREATE FUNCTION m.run(schema text, statement text, role_name text, replica boolean, OUT rows bigint, OUT state text, OUT message text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', schema, true), set_config('role', role_name, true);
	IF replica THEN
		PERFORM set_config('session_replication_role', 'replica', true);
	END IF;
	BEGIN
		EXECUTE statement;
		GET DIAGNOSTICS rows = ROW_COUNT;
		state := '';
	EXCEPTION WHEN OTHERS THEN
		state := SQLSTATE;
		message := SQLERRM;
	END;
	PERFORM set_config('session_replication_role', 'origin', true);
	PERFORM set_config('role', 'none', true);
	PERFORM set_config('search_path', 'public', true);
	DROP TABLE IF EXISTS pg_temp.copied;
END $$;

-- What a statement has taken away, and the records that must be there for it: one for each table that it has named.
-- several: statements within the statement.
CREATE FUNCTION m.learn(named text[], several boolean) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE taken ON COMMIT DROP AS
		SELECT b.* FROM before b WHERE NOT EXISTS (SELECT FROM m.everything('s') a WHERE (a.family, a.uid) = (b.family, b.uid));
	CREATE TEMP TABLE news ON COMMIT DROP AS
		SELECT d.deletion_id, d.target, d.row_count, f.family FROM plinth_soft_delete._deletion d
			LEFT JOIN m.families f ON d.target = ANY (SELECT 'r.' || x FROM unnest(f.names || f.family) x)
		WHERE d.deletion_id NOT IN (SELECT deletion_id FROM m.deletions);
	INSERT INTO m.dead SELECT t.family, t.uid, t.k, t.v, r.deletion_id FROM taken t LEFT JOIN m.everything('r') r USING (family, uid);
	INSERT INTO m.deletions SELECT deletion_id, target, row_count FROM news;

	RETURN QUERY SELECT concat('rows of another deletion: ', t) FROM taken t JOIN m.dead d USING (family, uid)
		WHERE NOT EXISTS (SELECT FROM news n WHERE (n.family, n.deletion_id) = (t.family, d.deletion_id));
	RETURN QUERY SELECT concat('a wrong count: ', n) FROM news n
		WHERE row_count <> (SELECT count(*) FROM m.dead d WHERE (d.family, d.deletion_id) = (n.family, n.deletion_id));
	IF NOT several THEN
		RETURN QUERY SELECT concat('another table than the one that was named: ', n) FROM news n
			WHERE target <> ALL (SELECT 'r.' || x FROM unnest(named) x) AND target <> 'r.' || family;
		RETURN QUERY SELECT concat('more than one record: ', array_agg(n)) FROM news n GROUP BY family HAVING count(*) > 1;
		RETURN QUERY SELECT concat('not the last deletion: ', plinth_soft_delete.last_deletion()) WHERE plinth_soft_delete.last_deletion() <> ALL (SELECT deletion_id FROM news) AND EXISTS (SELECT FROM news);
	END IF;
	DROP TABLE taken, news;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- The statements
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION m.dice(n int) RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * n)::int $$;
CREATE FUNCTION m.one_of(VARIADIC words text[]) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN words[1 + m.dice(cardinality(words))]; END $$;
-- Rows that are alive, as a list; one that there never was if there are none.
CREATE FUNCTION m.pick(name text, n int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(uid::text, '', '') FROM (SELECT uid FROM s.%I ORDER BY md5(concat(uid, %L)) LIMIT %s) x', name, random(), n) INTO result;
	RETURN coalesce(result, '0');
END $$;
CREATE SEQUENCE m.uids;

-- What is run in r, in s (the same if it is null), which tables it names, whether there are statements within it, and what it must fail with.
CREATE TYPE m.statement AS (kind text, r text, s text, named text[], several boolean, fails text);

CREATE FUNCTION m.statement(kind text) RETURNS m.statement LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	x m.statement;
	f m.families;
	t text;		-- what is named
	u text;		-- another table
	c text;		-- a condition
	ids text;
	part text;
BEGIN
	SELECT * INTO f FROM m.families ORDER BY md5(concat(family, random())) LIMIT 1;
	t := f.names[1 + m.dice(cardinality(f.names))];
	SELECT family INTO u FROM m.families WHERE family NOT IN (f.family, 'triggered') ORDER BY md5(concat(family, random())) LIMIT 1;
	ids := m.pick(t, 1 + m.dice(4));
	part := m.one_of('v', 'k', 'uid') || ' % ' || 2 + m.dice(5) || ' = ' || m.dice(3);
	c := m.one_of('uid IN (' || ids || ')', part, 'v BETWEEN ' || m.dice(60) || ' AND ' || m.dice(90), 'k = ' || m.dice(9), 'v = (SELECT max(v) FROM ' || t || ')',
		'uid = ANY (ARRAY(SELECT uid FROM ' || t || ' ORDER BY v, uid LIMIT 2))', 'EXISTS (SELECT FROM ' || u || ' o WHERE o.v = ' || t || '.v)', 'false', 'NULL');
	x := (kind, NULL, NULL, ARRAY[t], false, '')::m.statement;
	CASE kind
	WHEN 'delete' THEN x.r := format('DELETE FROM %s WHERE %s', t, c);
	WHEN 'delete returning' THEN x.r := format('WITH d AS (DELETE FROM %s WHERE %s RETURNING uid, k, v) SELECT uid, k, v FROM d', t, c);
	WHEN 'delete all' THEN x.r := format('DELETE FROM %s', CASE WHEN f.family = 'parts' THEN 'parts_2' ELSE t END); x.named := x.named || CASE WHEN f.family = 'parts' THEN 'parts_2' END;
	WHEN 'delete only' THEN x.r := format('DELETE FROM ONLY %s WHERE %s', t, c);
	WHEN 'delete using' THEN x.r := format('DELETE FROM %s a USING %s b WHERE a.v = b.v AND b.k < %s', t, u, m.dice(9));
	WHEN 'delete using itself' THEN x.r := format('DELETE FROM %s a USING %s b WHERE a.v = b.v AND a.uid > b.uid', t, f.family);
	WHEN 'delete twice in one' THEN x.r := format('WITH a AS (DELETE FROM %1$s WHERE %2$s RETURNING uid), b AS (DELETE FROM %1$s WHERE %2$s RETURNING uid) SELECT * FROM a UNION ALL SELECT * FROM b', t, c);
	WHEN 'chain' THEN x.r := format('WITH a AS (DELETE FROM %1$s WHERE %2$s RETURNING uid, v), b AS (DELETE FROM %3$s WHERE v IN (SELECT v FROM a) RETURNING uid) SELECT count(*) FROM b', t, c, u); x.named := ARRAY[t, u];
	WHEN 'archive' THEN x.r := format('WITH a AS (DELETE FROM %1$s WHERE %2$s RETURNING *) INSERT INTO %3$s (uid, k, v) SELECT uid + 1000000, k, v FROM a', t, c, u);
	WHEN 'put back' THEN x.r := format('WITH a AS (DELETE FROM %1$s WHERE %2$s RETURNING *) INSERT INTO %1$s (uid, k, v) SELECT -uid - 2000000 - %3$s, k, v FROM a', f.family, c, nextval('m.uids') * 10000000); x.named := ARRAY[f.family];
	WHEN 'merge delete' THEN x.r := format('MERGE INTO %s t USING (SELECT unnest(ARRAY[%s]::bigint[]) AS uid) q ON t.uid = q.uid WHEN MATCHED AND %s THEN DELETE WHEN MATCHED THEN DO NOTHING', f.family, ids, 't.' || part); x.named := ARRAY[f.family];
	WHEN 'merge all' THEN x.r := format('MERGE INTO %1$s t USING (SELECT unnest(ARRAY[%2$s]::bigint[]) AS uid UNION ALL SELECT %3$s) q ON t.uid = q.uid WHEN MATCHED AND %4$s THEN DELETE WHEN MATCHED THEN UPDATE SET v = v + 1, k = %5$s WHEN NOT MATCHED AND q.uid = %3$s THEN INSERT (uid, k, v) VALUES (%3$s, %5$s, 7)',
			f.family, ids, nextval('m.uids') * 10 + 9, 't.' || part, m.dice(12)); x.named := ARRAY[f.family];
	WHEN 'insert' THEN x.r := format('INSERT INTO %s (uid, k, v) SELECT n + i, (n + i * %s) %% 9, (n + i) %% 17 FROM generate_series(0, %s) i, (SELECT %s::bigint * 10 AS n) n', CASE f.family WHEN 'heirs' THEN t ELSE f.family END, 1 + m.dice(5), m.dice(9), nextval('m.uids'));
	WHEN 'insert followed' THEN
		x.r := format('WITH a AS (INSERT INTO triggered (uid, k, v) SELECT %1$s::bigint * 10 + i, 1, i FROM generate_series(0, 4) i RETURNING uid, v) INSERT INTO ruled (uid, k, v) SELECT -uid, 2, v FROM a', nextval('m.uids')); x.named := '{}';
	WHEN 'delete followed' THEN x.r := format('DELETE FROM triggered WHERE uid IN (%s)', m.pick('triggered', 3)); x.several := true;
	WHEN 'upsert' THEN x.r := format('INSERT INTO %s (uid, k, v) SELECT uid, k, 3 FROM %s WHERE uid IN (%s) UNION ALL SELECT %s, 1, 1 ON CONFLICT (%s) DO %s', f.family, f.family, ids, nextval('m.uids') * 10 + 8, f.key, m.one_of('NOTHING', 'UPDATE SET v = excluded.v + 1'));
		IF f.family IN ('heirs', 'ruled') THEN x.r := 'SELECT 1'; END IF;
	WHEN 'upsert that deletes' THEN
		IF f.family IN ('heirs', 'ruled') THEN x.r := 'SELECT 1'; ELSE
		x.r := format('INSERT INTO %1$s (uid, k, v) SELECT uid, k, 3 FROM %1$s WHERE uid IN (%2$s) ON CONFLICT (%3$s) DO UPDATE SET deleted_at = now()', f.family, ids, f.key);
		x.s := format('DELETE FROM %s WHERE uid IN (%s)', f.family, ids); x.named := ARRAY[f.family]; END IF;
	WHEN 'update' THEN x.r := format('UPDATE %s SET v = v + %s WHERE %s', t, m.dice(5), c);
	WHEN 'update that moves' THEN x.r := format('UPDATE parts SET k = (k + %s) %% 9 WHERE %s', 1 + m.dice(7), part); x.named := '{}';
	WHEN 'update and delete' THEN x.r := format('WITH a AS (DELETE FROM parts WHERE %1$s RETURNING uid) UPDATE parts SET k = (k + %2$s) %% 9 WHERE uid IN (SELECT uid + 1 FROM a) AND NOT %1$s', 'coalesce(' || part || ', false)', 1 + m.dice(7)); x.named := '{parts}';
	WHEN 'stamp' THEN x.r := format('UPDATE %s SET deleted_at = %s WHERE %s', t, m.one_of('now()', 'clock_timestamp()', '''2001-01-01'''), c); x.s := format('DELETE FROM %s WHERE %s', t, c);
	WHEN 'stamp and more' THEN x.r := format('UPDATE %s SET touched = touched + 1, deletion_id = %s, deleted_at = now() WHERE uid IN (%s)', t, m.dice(9), ids); x.s := format('DELETE FROM %s WHERE uid IN (%s)', t, ids);
	WHEN 'stamp in with' THEN
		IF 'ruled' IN (t, u) THEN t := 'plain'; u := 'parts'; ids := m.pick(t, 3); END IF;
		x.r := format('WITH a AS (UPDATE %1$s SET deleted_at = now() WHERE uid IN (%2$s) RETURNING v) DELETE FROM %3$s WHERE v IN (SELECT v FROM a)', t, ids, u);
		x.s := format('WITH a AS (DELETE FROM %1$s WHERE uid IN (%2$s) RETURNING v) DELETE FROM %3$s WHERE v IN (SELECT v FROM a)', t, ids, u); x.named := ARRAY[t, u];
	WHEN 'mark without a death' THEN x.r := format('UPDATE %s SET deletion_id = %s, deleted_at = NULL WHERE %s', t, m.dice(9), c); x.s := format('UPDATE %s SET touched = touched WHERE %s', t, c);
	WHEN 'view' THEN x.r := format('DELETE FROM %s WHERE %s', m.one_of('all_of_it', 'part_of_it', 'by_rule'), 'v % 5 = ' || m.dice(5)); x.named := '{viewed}';
	WHEN 'view update' THEN x.r := format('UPDATE part_of_it SET v = v + 1, place = %s WHERE %s', m.dice(9), 'v % 5 = ' || m.dice(5)); x.named := '{}';
	WHEN 'cursor' THEN x.r := format('DO $x$ DECLARE c CURSOR FOR SELECT uid FROM %1$s WHERE %2$s FOR UPDATE; BEGIN FOR q IN c LOOP IF q.uid %% 3 = 0 THEN DELETE FROM %1$s WHERE CURRENT OF c; ELSE UPDATE %1$s SET v = v + 1 WHERE CURRENT OF c; END IF; END LOOP; END $x$', t, 'uid IN (' || ids || ')'); x.several := true;
	WHEN 'loop' THEN x.r := format('DO $x$ DECLARE q record; BEGIN FOR q IN DELETE FROM %1$s WHERE %2$s RETURNING uid LOOP EXIT WHEN q.uid %% 2 = 0; END LOOP; END $x$', t, c); x.several := true;
	WHEN 'exception' THEN x.r := format('DO $x$ BEGIN DELETE FROM %1$s WHERE uid IN (%2$s); BEGIN DELETE FROM %1$s; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END; BEGIN DELETE FROM %1$s WHERE %3$s; EXCEPTION WHEN division_by_zero THEN NULL; END; END $x$', t, ids, part); x.several := true;
	WHEN 'failure' THEN x.r := format('DELETE FROM %s WHERE 1 / (v - v) > uid', t); x.fails := '22012'; IF m.pick(t, 1) = '0' THEN x.r := 'SELECT 1/0'; END IF;
	WHEN 'failure when returning' THEN x.r := format('DELETE FROM %s RETURNING 1 / (v - v)', t); x.fails := '22012'; IF m.pick(t, 1) = '0' THEN x.r := 'SELECT 1/0'; END IF;
	WHEN 'truncate' THEN x.r := format('TRUNCATE %s', m.one_of(t, t || ', ' || u, 'ONLY ' || f.names[cardinality(f.names)], t || ' CASCADE', t || ' RESTART IDENTITY')); x.fails := '55000';
	WHEN 'prepared' THEN x.r := format('DO $x$ BEGIN PERFORM m.prepared(%L, %L) FROM generate_series(1, 7); END $x$', t, part); x.several := true;
	WHEN 'queue' THEN x.r := format('DELETE FROM %1$s WHERE uid IN (SELECT uid FROM %1$s ORDER BY v, uid FOR UPDATE SKIP LOCKED LIMIT %2$s)', t, m.dice(4));
	WHEN 'by ctid' THEN x.r := format('DELETE FROM %1$s WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM %1$s ORDER BY v, uid LIMIT %2$s)', t, m.dice(4));
	WHEN 'copy' THEN x.r := format('CREATE TEMP TABLE copied ON COMMIT DROP AS WITH a AS (DELETE FROM %s WHERE %s RETURNING *) SELECT * FROM a', t, c);
	END CASE;
	RETURN x;
END $$;

-- A plan that is kept: one row of a table, by a parameter.
CREATE FUNCTION m.prepared(t text, condition text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	uid bigint;
	plan text := t || '_' || current_setting('search_path') || '_' || current_user;
BEGIN
	EXECUTE format('SELECT uid FROM %I WHERE %s ORDER BY v, uid LIMIT 1', t, condition) INTO uid;
	IF NOT EXISTS (SELECT FROM pg_prepared_statements p WHERE p.name = plan) THEN
		EXECUTE format('PREPARE %I AS DELETE FROM %I WHERE uid = $1', plan, t);
	END IF;
	IF uid IS NOT NULL THEN
		EXECUTE format('EXECUTE %I (%s)', plan, uid);
	END IF;
END $$;

CREATE TABLE m.kinds (kind text, weight int);
INSERT INTO m.kinds VALUES ('delete', 6), ('delete returning', 3), ('delete all', 1), ('delete only', 2), ('delete using', 3), ('delete using itself', 2), ('delete twice in one', 2), ('chain', 3),
	('archive', 2), ('put back', 2), ('merge delete', 3), ('merge all', 4), ('insert', 16), ('insert followed', 2), ('delete followed', 2), ('upsert', 3), ('upsert that deletes', 2), ('update', 3), ('update that moves', 5),
	('update and delete', 2), ('stamp', 3), ('stamp and more', 2), ('stamp in with', 2), ('mark without a death', 2), ('view', 4), ('view update', 1), ('cursor', 2), ('loop', 1), ('exception', 2), ('failure', 1),
	('failure when returning', 1), ('truncate', 2), ('prepared', 2), ('queue', 2), ('by ctid', 1), ('copy', 1);

----------------------------------------------------------------------------------------------------------------------
-- The run
----------------------------------------------------------------------------------------------------------------------

CREATE PROCEDURE m.fuzz(seed int, steps int) LANGUAGE plpgsql AS $$
DECLARE
	kind text;
	x m.statement;
	a record;
	b record;
	role_name text;
	replica boolean;
	undone boolean;
	last bigint;
BEGIN
	PERFORM m.build();
	PERFORM setseed(seed / 1000.0);
	COMMIT;
	FOR step IN 1 .. steps LOOP
		SELECT d.kind INTO kind FROM m.kinds d, generate_series(1, d.weight) ORDER BY md5(concat(d.kind, generate_series, random())) LIMIT 1;
		role_name := m.one_of('soft_fuzz_owner', 'soft_fuzz_client');
		x := m.statement(kind);
		replica := m.dice(8) = 0 AND kind NOT IN ('view', 'archive', 'delete followed', 'truncate') AND x.r !~ 'triggered|by_rule|ruled';
		undone := m.dice(8) = 0;
		last := plinth_soft_delete.last_deletion();
		CREATE TEMP TABLE before ON COMMIT DROP AS SELECT * FROM m.everything('s');
		BEGIN
			a := m.run('r', x.r, role_name, replica);
			b := m.run('s', CASE WHEN kind = 'truncate' THEN 'DO $x$ BEGIN RAISE SQLSTATE ''55000''; END $x$' ELSE coalesce(x.s, x.r) END, role_name, replica);
			IF a.state <> b.state OR x.fails <> '' AND a.state <> x.fails THEN
				INSERT INTO m.trouble VALUES (step, kind, x.r, concat_ws(' ', 'ends with', a.state, a.message, 'and on an ordinary table with', b.state, b.message));
			ELSIF a.rows IS DISTINCT FROM b.rows AND kind <> 'truncate' AND x.s IS NULL AND x.r !~ 'by_rule' THEN
				INSERT INTO m.trouble VALUES (step, kind, x.r, concat_ws(' ', 'has', a.rows, 'rows, and on an ordinary table', b.rows));
			END IF;
			IF undone THEN
				RAISE 'undone' USING ERRCODE = 'ZZZZZ';
			END IF;
		EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
			IF last IS DISTINCT FROM plinth_soft_delete.last_deletion() THEN
				INSERT INTO m.trouble VALUES (step, kind, x.r, 'a deletion that was rolled back is the last one');
			END IF;
		END;
		INSERT INTO m.done SELECT kind, 1, greatest(0, (SELECT count(*) FROM before) - (SELECT count(*) FROM m.everything('s')))
			ON CONFLICT ON CONSTRAINT done_pkey DO UPDATE SET times = done.times + 1, deleted = done.deleted + greatest(excluded.deleted, 0);
		INSERT INTO m.trouble SELECT step, kind, x.r, l FROM m.learn(x.named, x.several OR x.r ~ 'triggered|by_rule') l;
		INSERT INTO m.trouble SELECT step, kind, x.r, d FROM m.differences() d;
		COMMIT;
		EXIT WHEN EXISTS (SELECT FROM m.trouble);
	END LOOP;
END $$;

SELECT format('CALL m.fuzz(%s, %s)', seed, :steps),
	format('SELECT is((SELECT string_agg(format(''step %%s (%%s): %%s: %%s'', step, what, statement, detail), E''\n'') FROM (SELECT * FROM m.trouble LIMIT 5) t), NULL, ''seed %s: nothing is lost and nothing is wrong'')', seed),
	'SELECT diag(concat((SELECT count(*) FROM m.everything(''s'')), '' alive, '', (SELECT count(*) FROM m.dead), '' dead''))'
FROM unnest(string_to_array(:'seeds', ',')) seed \gexec

-- A test that cannot fail is none.
SELECT is((SELECT string_agg(DISTINCT kind, ', ') FROM m.kinds LEFT JOIN m.done USING (kind) WHERE times IS NULL), NULL, 'every kind of statement was run');
SELECT cmp_ok((SELECT count(*) FROM m.done WHERE deleted > 0), '>=', 15::bigint, 'most kinds that delete have deleted something');
SELECT diag(string_agg(concat(kind, ' ', times, '/', deleted), ', ')) FROM m.done;
SET plinth_soft_delete.dead_update = 'allow';
UPDATE r.parts SET v = v + 1 WHERE uid = (SELECT min(uid) FROM r.parts);
SELECT isnt_empty('SELECT * FROM m.differences()', 'what is not in the model is noticed');

SELECT * FROM finish();
DROP SCHEMA r, s, m CASCADE;
SELECT drop_roles('soft_fuzz_');
