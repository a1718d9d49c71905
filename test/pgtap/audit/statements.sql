-- Every kind of statement logs exactly the rows that it changed, in the order in which it changed them, and nothing that
-- was rolled back.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;
SELECT plan(78);

\ir ../../lib/roles.sql
SELECT drop_roles('audit_statements_');
CREATE ROLE audit_statements_alice;
CREATE ROLE audit_statements_bob;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;

-- What a log says since the last time it was asked, in the documented order: op, key, and the given column's old and new value.
CREATE FUNCTION said(log regclass, col text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT concat_ws('' '', op, (SELECT string_agg(value, '','' ORDER BY key) FROM jsonb_each_text(row_key)), (old_data -> $1)::text, ''>'' || (new_data -> $1)::text) FROM %s
		ORDER BY max(audit_id) OVER (PARTITION BY transaction_id), command_id, audit_id', log) USING col;
	EXECUTE format('DELETE FROM %s', log);
END $$;
CREATE FUNCTION says(log regclass, wanted text[], description text, col text DEFAULT 'v') RETURNS text LANGUAGE sql AS $$ SELECT is(ARRAY(SELECT said(log, col)), wanted, description) $$;
CREATE FUNCTION says_set(log regclass, wanted text[], description text, col text DEFAULT 'v') RETURNS text LANGUAGE sql AS
	$$ SELECT is(ARRAY(SELECT s FROM said(log, col) s ORDER BY s COLLATE "C"), ARRAY(SELECT w FROM unnest(wanted) w ORDER BY w COLLATE "C"), description) $$;

CREATE TABLE t (id int PRIMARY KEY, v int, note text);
SELECT plinth_audit.enable('t') IS NULL AS ignored \gset

----------------------------------------------------------------------------------------------------------------------
-- One statement
----------------------------------------------------------------------------------------------------------------------

INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);
SELECT says('t_audit', '{"I 1 >1","I 2 >2","I 3 >3"}', 'INSERT of several rows');
INSERT INTO t SELECT g, g FROM generate_series(4, 6) g;
SELECT says('t_audit', '{"I 4 >4","I 5 >5","I 6 >6"}', 'INSERT ... SELECT');
UPDATE t SET v = v * 10 WHERE id <= 2;
SELECT says_set('t_audit', '{"U 1 1 >10","U 2 2 >20"}', 'UPDATE');
UPDATE t SET v = 0 WHERE id = 99;
DELETE FROM t WHERE id = 99;
SELECT says('t_audit', '{}', 'statements that touch no row log nothing');
DELETE FROM t WHERE id IN (5, 6);
SELECT says_set('t_audit', '{"D 5 5","D 6 6"}', 'DELETE');
INSERT INTO t VALUES (1, 7) ON CONFLICT DO NOTHING;
SELECT says('t_audit', '{}', 'ON CONFLICT DO NOTHING that does nothing');
INSERT INTO t VALUES (1, 7), (7, 7) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
SELECT says('t_audit', '{"U 1 10 >7","I 7 >7"}', 'ON CONFLICT DO UPDATE: a U for the one that was there, an I for the other');
INSERT INTO t AS o VALUES (1, 8), (2, 8) ON CONFLICT (id) DO UPDATE SET v = excluded.v WHERE o.id = 2;
SELECT says('t_audit', '{"U 2 20 >8"}', 'ON CONFLICT DO UPDATE ... WHERE');
MERGE INTO t USING (VALUES (1, 100), (2, 200), (8, 800), (9, 900)) s (id, v) ON t.id = s.id WHEN MATCHED AND s.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED AND s.id = 8 THEN INSERT VALUES (s.id, s.v) WHEN NOT MATCHED THEN DO NOTHING;
SELECT says_set('t_audit', '{"D 1 7","U 2 8 >200","I 8 >800"}', 'MERGE logs what it did with each row');
WITH gone AS (DELETE FROM t WHERE id IN (7, 8) RETURNING *), changed AS (UPDATE t SET v = -v WHERE id = 2 RETURNING *), added AS (INSERT INTO t SELECT id + 10, v FROM gone RETURNING *) SELECT count(*) AS n FROM gone, changed, added \gset
SELECT says_set('t_audit', '{"D 7 7","D 8 800","U 2 200 >-200","I 17 >7","I 18 >800"}', 'writable CTEs, each of them');
COPY t (id, v) FROM stdin;
21	210
22	220
\.
SELECT says('t_audit', '{"I 21 >210","I 22 >220"}', 'COPY FROM');
SELECT format('COPY (SELECT g, g, NULL FROM generate_series(1001, 4000) g) TO %L (FORMAT binary)', current_setting('data_directory') || '/plinth_audit_statements.copy'), format('COPY t FROM %L (FORMAT binary)', current_setting('data_directory') || '/plinth_audit_statements.copy') \gexec
SELECT is((SELECT array_agg(n) FROM (SELECT count(*) AS n FROM t_audit UNION ALL SELECT count(DISTINCT row_key) FROM t_audit WHERE op = 'I' AND new_data ->> 'v' = row_key ->> 'id') c), '{3000,3000}', 'a COPY of more rows than fit into one batch');
SELECT is((SELECT count(*) FROM (SELECT (row_key ->> 'id')::int - lag((row_key ->> 'id')::int) OVER (ORDER BY audit_id) AS step FROM t_audit) s WHERE step <> 1), 0::bigint, 'in its order');
DELETE FROM t_audit;
DELETE FROM t WHERE id > 1000;
SELECT is((SELECT count(*) FROM t_audit WHERE op = 'D'), 3000::bigint, 'and a DELETE of them');
DELETE FROM t_audit;
BEGIN;
CREATE TABLE frozen (id int PRIMARY KEY, v int);
SELECT plinth_audit.enable('frozen') IS NULL AS ignored \gset
COPY frozen FROM stdin (FREEZE);
1	10
2	20
\.
UPDATE frozen SET v = 11 WHERE id = 1;
DELETE FROM frozen WHERE id = 2;
COMMIT;
SELECT says('frozen_audit', '{"I 1 >10","I 2 >20","U 1 10 >11","D 2 20"}', 'COPY FREEZE, and changes of frozen rows');
CREATE TABLE t_copy AS SELECT * FROM t;
INSERT INTO t SELECT id + 100, v FROM t WHERE id = 2;
SELECT says('t_audit', '{"I 102 >-200"}', 'INSERT ... SELECT from the table itself');
PREPARE p (int, int) AS UPDATE t SET v = $2 WHERE id = $1;
EXECUTE p (2, 1);
EXECUTE p (2, 2);
SELECT says('t_audit', '{"U 2 -200 >1","U 2 1 >2"}', 'prepared statements');
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM t WHERE id IN (2, 3) ORDER BY id FOR UPDATE;
MOVE 1 IN c;
UPDATE t SET v = 5 WHERE CURRENT OF c;
MOVE 1 IN c;
DELETE FROM t WHERE CURRENT OF c;
COMMIT;
SELECT says('t_audit', '{"U 2 2 >5","D 3 3"}', 'WHERE CURRENT OF');
SELECT count(*) AS n FROM t \gset
SELECT * FROM t ORDER BY id FOR UPDATE LIMIT 0;
SELECT says('t_audit', '{}', 'reading and locking log nothing');
CREATE VIEW vw AS SELECT id, v FROM t;
INSERT INTO vw VALUES (31, 31);
UPDATE vw SET v = 32 WHERE id = 31;
DELETE FROM vw WHERE id = 31;
SELECT says('t_audit', '{"I 31 >31","U 31 31 >32","D 31 32"}', 'through an updatable view');
CREATE FUNCTION sqlf(int) RETURNS void LANGUAGE sql AS $$ INSERT INTO t VALUES ($1, $1); UPDATE t SET v = v + 1 WHERE id = $1; DELETE FROM t WHERE id = $1 $$;
SELECT count(sqlf(g)) AS n FROM generate_series(41, 42) g \gset
SELECT says('t_audit', '{"I 41 >41","U 41 41 >42","D 41 42","I 42 >42","U 42 42 >43","D 42 43"}', 'within SQL functions called in a SELECT');

----------------------------------------------------------------------------------------------------------------------
-- What rolls back
----------------------------------------------------------------------------------------------------------------------

DELETE FROM t;
DELETE FROM t_audit;
BEGIN;
INSERT INTO t VALUES (1, 1);
ROLLBACK;
SELECT says('t_audit', '{}', 'a transaction that is rolled back');
BEGIN;
INSERT INTO t VALUES (1, 1);
SAVEPOINT a;
INSERT INTO t VALUES (2, 2);
SAVEPOINT b;
INSERT INTO t VALUES (3, 3);
RELEASE b;
UPDATE t SET v = 33 WHERE id = 3;
ROLLBACK TO a;
INSERT INTO t VALUES (4, 4);
SAVEPOINT c;
UPDATE t SET v = 44 WHERE id = 4;
RELEASE c;
COMMIT;
SELECT says('t_audit', '{"I 1 >1","I 4 >4","U 4 4 >44"}', 'savepoints: what was rolled back is not there, what was released is');
SELECT throws_ok('INSERT INTO t VALUES (5, 5), (1, 1), (6, 6)', '23505', NULL, 'a statement that fails half way');
SELECT says('t_audit', '{}', 'leaves nothing');
SELECT throws_ok('UPDATE t SET v = 1 / (id - 4)', '22012', NULL, 'an update that fails half way');
SELECT says('t_audit', '{}', 'neither');
DO $$
BEGIN
	INSERT INTO t VALUES (10, 10);
	BEGIN
		INSERT INTO t VALUES (11, 11);
		INSERT INTO t VALUES (12, 12), (10, 0);
	EXCEPTION WHEN unique_violation THEN
		INSERT INTO t VALUES (13, 13);
	END;
	BEGIN
		UPDATE t SET v = 14 WHERE id = 13;
		BEGIN
			DELETE FROM t WHERE id = 10;
			RAISE 'back';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
		UPDATE t SET v = 15 WHERE id = 13;
	END;
END $$;
SELECT says('t_audit', '{"I 10 >10","I 13 >13","U 13 13 >14","U 13 14 >15"}', 'exception blocks of PL/pgSQL');
CREATE PROCEDURE steps() LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO t VALUES (20, 20);
	COMMIT;
	INSERT INTO t VALUES (21, 21);
	ROLLBACK;
	INSERT INTO t VALUES (22, 22);
	COMMIT;
END $$;
CALL steps();
SELECT is((SELECT count(DISTINCT transaction_id) FROM t_audit), 2::bigint, 'a procedure that commits: two transactions');
SELECT says('t_audit', '{"I 20 >20","I 22 >22"}', 'and what was rolled back between them is not there');
-- An error within a statement that writes many rows, caught by a function that the statement calls.
CREATE FUNCTION maybe(i int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		INSERT INTO t VALUES (i + 500, i);
		IF i % 2 = 0 THEN
			RAISE 'even';
		END IF;
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	RETURN i;
END $$;
INSERT INTO t SELECT maybe(g) + 600, g FROM generate_series(1, 4) g;
SELECT says_set('t_audit', '{"I 501 >1","I 503 >3","I 601 >1","I 602 >2","I 603 >3","I 604 >4"}', 'exception blocks in a function that the statement calls');
DELETE FROM t;
DELETE FROM t_audit;
-- An error that comes after our trigger has seen the row.
CREATE FUNCTION too_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.v = 13 THEN RAISE 'thirteen'; END IF; RETURN NULL; END $$;
CREATE TRIGGER zz_too_late AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION too_late();
DO $$
BEGIN
	INSERT INTO t VALUES (1, 1), (2, 2);
	BEGIN
		INSERT INTO t VALUES (3, 12), (4, 13), (5, 14);
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	UPDATE t SET v = v + 1;
	BEGIN
		UPDATE t SET v = v + 10;
	EXCEPTION WHEN raise_exception THEN
		INSERT INTO t VALUES (6, 6);
	END;
END $$;
SELECT says('t_audit', '{"I 1 >1","I 2 >2","U 1 1 >2","U 2 2 >3","I 6 >6"}', 'an error in a trigger that fires after ours takes back what ours has seen');
DROP TRIGGER zz_too_late ON t;
DELETE FROM t;
DELETE FROM t_audit;

----------------------------------------------------------------------------------------------------------------------
-- Writes within writes
----------------------------------------------------------------------------------------------------------------------

-- FK actions
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (id int PRIMARY KEY, v int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE childnull (id int PRIMARY KEY, v int REFERENCES parent ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE childdefault (id int PRIMARY KEY, v int DEFAULT 0 REFERENCES parent ON DELETE SET DEFAULT);
CREATE TABLE grandchild (id int PRIMARY KEY, v int REFERENCES child ON DELETE CASCADE);
SELECT count(plinth_audit.enable(t)) AS n FROM unnest('{parent,child,childnull,childdefault,grandchild}'::regclass[]) t \gset
INSERT INTO parent SELECT g, g FROM generate_series(0, 3) g;
INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO childnull VALUES (1, 1), (2, 2);
INSERT INTO childdefault VALUES (1, 1), (2, 2);
INSERT INTO grandchild VALUES (1, 1), (2, 2), (3, 3);
DELETE FROM parent_audit; DELETE FROM child_audit; DELETE FROM childnull_audit; DELETE FROM childdefault_audit; DELETE FROM grandchild_audit;
DELETE FROM parent WHERE id = 1;
SELECT says('parent_audit', '{"D 1 1"}', 'ON DELETE CASCADE: the parent');
SELECT says_set('child_audit', '{"D 1 1","D 2 1"}', 'the children');
SELECT says_set('grandchild_audit', '{"D 1 1","D 2 2"}', 'and theirs');
SELECT says('childnull_audit', '{"U 1 1 >null"}', 'ON DELETE SET NULL');
SELECT says('childdefault_audit', '{"U 1 1 >0"}', 'ON DELETE SET DEFAULT');
UPDATE parent SET id = 20 WHERE id = 3;
INSERT INTO child VALUES (4, 20);
UPDATE parent SET id = 30 WHERE id = 20;
SELECT says('child_audit', '{"I 4 >20","U 4 20 >30"}', 'ON UPDATE CASCADE');
SELECT says('parent_audit', '{"U 3 3 >3","U 20 3 >3"}', 'and the parent''s key before the update');

-- Deferred constraint triggers that write.
CREATE TABLE deferred (id int PRIMARY KEY, v int);
SELECT plinth_audit.enable('deferred') IS NULL AS ignored \gset
CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE deferred SET v = v + 100 WHERE id = new.id AND v < 100; INSERT INTO t VALUES (new.id, 0) ON CONFLICT (id) DO UPDATE SET v = t.v + 1; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later();
BEGIN;
INSERT INTO deferred VALUES (1, 1);
INSERT INTO t VALUES (1, -1);
SELECT says('t_audit', '{"I 1 >-1"}', 'before the commit');
INSERT INTO deferred VALUES (2, 2);
COMMIT;
SELECT says_set('deferred_audit', '{"I 1 >1","I 2 >2","U 1 1 >101","U 2 2 >102"}', 'deferred triggers are logged when they write');
SELECT says('t_audit', '{"U 1 -1 >0","I 2 >0"}', 'at commit');
BEGIN;
INSERT INTO deferred VALUES (3, 3);
SET CONSTRAINTS ALL IMMEDIATE;
COMMIT;
SELECT says('deferred_audit', '{"I 3 >3","U 3 3 >103"}', 'SET CONSTRAINTS IMMEDIATE');
DELETE FROM t; DELETE FROM t_audit;

-- The true order, when a user's own trigger writes the same table: the outer change comes first though it is logged later.
CREATE TABLE nested (id int PRIMARY KEY, v int);
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.v < 3 THEN UPDATE nested SET v = v + 1 WHERE id = new.id; END IF; RETURN NULL; END $$;
CREATE TRIGGER aaa AFTER INSERT OR UPDATE ON nested FOR EACH ROW EXECUTE FUNCTION again();
SELECT plinth_audit.enable('nested') IS NULL AS ignored \gset
INSERT INTO nested VALUES (1, 0);
SELECT says('nested_audit', '{"I 1 >0","U 1 0 >1","U 1 1 >2","U 1 2 >3"}', 'a trigger that updates the same row, named before ours');
DROP TRIGGER aaa ON nested;
CREATE TRIGGER zzz AFTER INSERT OR UPDATE ON nested FOR EACH ROW EXECUTE FUNCTION again();
INSERT INTO nested VALUES (2, 0), (3, 1);
SELECT is((WITH l AS (SELECT row_number() OVER (ORDER BY command_id, audit_id) AS n, * FROM nested_audit) SELECT count(*) FROM l a JOIN l b ON a.row_key = b.row_key AND b.n = (SELECT min(c.n) FROM l c WHERE c.n > a.n AND c.row_key = a.row_key) WHERE b.old_data IS DISTINCT FROM a.new_data), 0::bigint, 'named after ours, with several rows');
SELECT is((SELECT count(*) FROM nested_audit), 7::bigint, 'each once');
DELETE FROM nested_audit;
DROP TRIGGER zzz ON nested;
CREATE FUNCTION bump(which int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE nested SET v = v + 1000 WHERE id = which; RETURN 1; END $$;
INSERT INTO nested VALUES (4, 4), (5, 5);
DELETE FROM nested_audit;
UPDATE nested SET v = v + bump(id - 1) WHERE id IN (4, 5);
SELECT is((SELECT array_agg(format('%s %s>%s', row_key ->> 'id', old_data ->> 'v', new_data ->> 'v') ORDER BY command_id, audit_id) FROM nested_audit WHERE row_key = '{"id": 4}'), '{4 4>5,4 5>1005}', 'a volatile function in an UPDATE that updates a row already updated');
SELECT is((SELECT array_agg(v ORDER BY id) FROM nested WHERE id IN (4, 5)), '{1005,6}', 'which the table bears out');
DELETE FROM nested_audit;

-- A statement trigger, a BEFORE trigger and a rule of the user.
CREATE TABLE mirror (id int PRIMARY KEY, v int);
SELECT plinth_audit.enable('mirror') IS NULL AS ignored \gset
CREATE FUNCTION copy_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO mirror SELECT id, v FROM fresh; RETURN NULL; END $$;
CREATE TRIGGER copy_rows AFTER INSERT ON t REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION copy_rows();
INSERT INTO t VALUES (1, 1), (2, 2);
SELECT says('mirror_audit', '{"I 1 >1","I 2 >2"}', 'a user''s statement trigger with a transition table');
SELECT says('t_audit', '{"I 1 >1","I 2 >2"}', 'on the table that fires it too');
DROP TRIGGER copy_rows ON t;
CREATE FUNCTION no_odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF tg_op = 'DELETE' THEN RETURN CASE WHEN old.id % 2 = 0 THEN old END; END IF; RETURN CASE WHEN new.id % 2 = 0 THEN new END; END $$;
CREATE TRIGGER no_odd BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION no_odd();
INSERT INTO t VALUES (3, 3), (4, 4);
UPDATE t SET v = 9;
DELETE FROM t;
SELECT says_set('t_audit', '{"I 4 >4","U 2 2 >9","U 4 4 >9","D 2 9","D 4 9"}', 'rows that a BEFORE trigger suppresses are not logged');
DROP TRIGGER no_odd ON t;
DELETE FROM t; DELETE FROM t_audit;
CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO mirror VALUES (new.id + 100, new.v);
INSERT INTO t VALUES (5, 5);
SELECT says('mirror_audit', '{"I 105 >5"}', 'rules');
DROP RULE r ON t;
DELETE FROM t; DELETE FROM t_audit;

----------------------------------------------------------------------------------------------------------------------
-- TRUNCATE
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE tr (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int);
CREATE TABLE tr_child (id int PRIMARY KEY, v int REFERENCES tr);
CREATE TABLE tr_event (id int PRIMARY KEY, v int REFERENCES tr);
SELECT plinth_audit.enable('tr'), plinth_audit.enable('tr_child'), plinth_audit.enable('tr_event', truncate => 'event') \gset
INSERT INTO tr (v) VALUES (10), (20);
INSERT INTO tr_child VALUES (1, 1), (2, 1);
INSERT INTO tr_event VALUES (1, 1), (2, 1);
DELETE FROM tr_audit; DELETE FROM tr_child_audit; DELETE FROM tr_event_audit;
SELECT throws_ok('TRUNCATE tr', '0A000', NULL, 'a TRUNCATE that foreign keys forbid');
SELECT says('tr_audit', '{}', 'logs nothing');
TRUNCATE tr RESTART IDENTITY CASCADE;
SELECT says_set('tr_audit', '{"T 1 10","T 2 20"}', 'TRUNCATE ... RESTART IDENTITY CASCADE: the table');
SELECT says_set('tr_child_audit', '{"T 1 1","T 2 1"}', 'the tables that it takes along');
SELECT says('tr_event_audit', '{T}', 'each in its own way');
INSERT INTO tr (v) VALUES (30);
SELECT says('tr_audit', '{"I 1 >30"}', 'the identity starts again');
BEGIN;
TRUNCATE tr CASCADE;
ROLLBACK;
SELECT says('tr_audit', '{}', 'a TRUNCATE that is rolled back');
BEGIN;
INSERT INTO tr (v) VALUES (40);
SAVEPOINT s;
UPDATE tr SET v = 41 WHERE v = 40;
TRUNCATE tr, tr_child, tr_event;
INSERT INTO tr (v) VALUES (50);
COMMIT;
SELECT says_set('tr_audit', '{"I 2 >40","U 2 40 >41","T 1 30","T 2 41","I 3 >50"}', 'TRUNCATE of rows that the same transaction wrote');
-- TRUNCATE takes all rows, also those that the snapshot of the transaction does not see.
SELECT pg_backend_pid() AS pid \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) AS n FROM tr \gset
TRUNCATE tr, tr_child, tr_event;
COMMIT;
SELECT says('tr_audit', '{"T 3 50"}', 'TRUNCATE in REPEATABLE READ');
CREATE TABLE plain (id int);
SELECT lives_ok('TRUNCATE plain, tr, tr_child, tr_event', 'TRUNCATE of several, some not audited');

----------------------------------------------------------------------------------------------------------------------
-- Who, and when
----------------------------------------------------------------------------------------------------------------------

GRANT ALL ON t, parent, child, deferred TO audit_statements_alice, audit_statements_bob;
SET ROLE audit_statements_alice;
INSERT INTO t VALUES (1, 1);
RESET ROLE;
CREATE FUNCTION definer(int) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ INSERT INTO t VALUES ($1, $1) $$;
ALTER FUNCTION definer OWNER TO audit_statements_bob;
SET ROLE audit_statements_alice;
SELECT definer(2) IS NULL AS ignored \gset
RESET ROLE;
SELECT definer(3) IS NULL AS ignored \gset
SET SESSION AUTHORIZATION audit_statements_bob;
INSERT INTO t VALUES (4, 4);
RESET SESSION AUTHORIZATION;
BEGIN;
SET LOCAL ROLE audit_statements_bob;
INSERT INTO t VALUES (5, 5);
RESET ROLE;
INSERT INTO t VALUES (6, 6);
COMMIT;
SELECT is((SELECT jsonb_object_agg(row_key ->> 'id', changed_by) FROM t_audit), '{"1": "audit_statements_alice", "2": "audit_statements_alice", "3": "postgres", "4": "audit_statements_bob", "5": "audit_statements_bob", "6": "postgres"}',
	'changed_by: SET ROLE counts, a SECURITY DEFINER function does not hide who calls it');
DELETE FROM parent_audit; DELETE FROM child_audit;
SET ROLE audit_statements_alice;
DELETE FROM parent WHERE id = 2;
RESET ROLE;
SELECT is((SELECT array_agg(DISTINCT changed_by) FROM (SELECT changed_by FROM parent_audit UNION SELECT changed_by FROM child_audit) c), '{audit_statements_alice}', 'FK cascades are the work of the role whose statement they follow from');
BEGIN;
SET LOCAL ROLE audit_statements_alice;
INSERT INTO deferred VALUES (50, 1);
RESET ROLE;
COMMIT;
SELECT is((SELECT changed_by FROM deferred_audit WHERE op = 'I' AND row_key = '{"id": 50}'), 'audit_statements_alice', 'the role of the statement, not the one at commit');

BEGIN;
SELECT now() AS started, pg_current_xact_id() AS xid \gset
SELECT pg_sleep(0.01) \gset
INSERT INTO t VALUES (60, 60);
UPDATE t SET v = 61 WHERE id = 60;
COMMIT;
SELECT is((SELECT array_agg(DISTINCT changed_at) FROM t_audit WHERE row_key = '{"id": 60}'), ARRAY[:'started'::timestamptz], 'changed_at is the time of the transaction');
SELECT is((SELECT array_agg(DISTINCT transaction_id::text) FROM t_audit WHERE row_key = '{"id": 60}'), ARRAY[:'xid'], 'transaction_id is the wrap-safe id of the transaction');
BEGIN;
SAVEPOINT s;
SELECT pg_current_xact_id() AS xid \gset
INSERT INTO t VALUES (70, 70);
COMMIT;
SELECT is((SELECT transaction_id::text FROM t_audit WHERE row_key = '{"id": 70}'), :'xid', 'of the whole transaction, also within a savepoint');

-- Roles with odd names, and roles that are renamed in mid-session.
CREATE ROLE "audit_statements_O'Br""ien é";
GRANT ALL ON t TO "audit_statements_O'Br""ien é";
SET ROLE "audit_statements_O'Br""ien é";
INSERT INTO t VALUES (80, 80);
RESET ROLE;
ALTER ROLE "audit_statements_O'Br""ien é" RENAME TO audit_statements_renamed;
SET ROLE audit_statements_renamed;
INSERT INTO t VALUES (81, 81);
RESET ROLE;
SELECT is((SELECT array_agg(changed_by ORDER BY audit_id) FROM t_audit WHERE row_key IN ('{"id": 80}', '{"id": 81}')), ARRAY['audit_statements_O''Br"ien é', 'audit_statements_renamed'], 'the name that the role has at the time, as it is');

----------------------------------------------------------------------------------------------------------------------
-- Keys
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE composite (b text, v int, "A" date, PRIMARY KEY ("A", b));
CREATE TABLE keyless (v int);
CREATE TABLE uniq (id int UNIQUE NOT NULL, v int);
SELECT plinth_audit.enable('composite'), plinth_audit.enable('keyless'), plinth_audit.enable('uniq') \gset
INSERT INTO composite VALUES ('x', 1, '2024-02-29');
UPDATE composite SET b = 'y', v = 2;
DELETE FROM composite;
SELECT results_eq('SELECT op, row_key FROM composite_audit ORDER BY audit_id', $$ VALUES ('I', '{"A": "2024-02-29", "b": "x"}'::jsonb), ('U', '{"A": "2024-02-29", "b": "x"}'), ('D', '{"A": "2024-02-29", "b": "y"}') $$, 'a composite key, for U the one before the update');
INSERT INTO keyless VALUES (1), (1);
UPDATE keyless SET v = 2;
DELETE FROM keyless;
SELECT is((SELECT array_agg(op || coalesce(row_key::text, '-') ORDER BY audit_id) FROM keyless_audit), '{I-,I-,U-,U-,D-,D-}', 'without a primary key row_key is NULL');
INSERT INTO uniq VALUES (1);
SELECT is((SELECT row_key FROM uniq_audit), NULL, 'a unique constraint is not a primary key');
ALTER TABLE uniq ADD PRIMARY KEY (id);
INSERT INTO uniq VALUES (2);
SELECT is((SELECT row_key FROM uniq_audit WHERE new_data ->> 'id' = '2'), '{"id": 2}', 'a primary key that comes later counts from then on');
ALTER TABLE uniq DROP CONSTRAINT uniq_pkey;
INSERT INTO uniq VALUES (3);
SELECT is((SELECT row_key FROM uniq_audit WHERE new_data ->> 'id' = '3'), NULL, 'until it goes');

CREATE TABLE inc (a int, k int, c int, PRIMARY KEY (k) INCLUDE (a, c));
SELECT plinth_audit.enable('inc') IS NULL AS ignored \gset
INSERT INTO inc VALUES (1, 2, 3);
SELECT is((SELECT row_key FROM inc_audit), '{"k": 2}', 'columns that a primary key only includes are not part of it');
CREATE TABLE fk (id bigint PRIMARY KEY);
CREATE TABLE genkey (a int, k int GENERATED ALWAYS AS (a + 1) STORED PRIMARY KEY);
SELECT plinth_audit.enable('genkey') IS NULL AS ignored \gset
INSERT INTO genkey VALUES (1);
UPDATE genkey SET a = 2;
SELECT is((SELECT array_agg(row_key ->> 'k' ORDER BY audit_id) FROM genkey_audit), '{2,2}', 'a generated column may be the key');

-- The shape of the log.
SELECT results_eq($$ SELECT attname::text COLLATE "default", format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't_audit'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum $$,
	$$ VALUES ('audit_id', 'bigint'), ('op', 'text'), ('changed_at', 'timestamp with time zone'), ('changed_by', 'text'), ('transaction_id', 'xid8'), ('command_id', 'integer'), ('row_key', 'jsonb'), ('old_data', 'jsonb'), ('new_data', 'jsonb'), ('note', 'jsonb') $$, 'the columns of a log');
SELECT col_is_pk('t_audit', 'audit_id', 'audit_id is the key of the log');

-- Leave no file behind.
SELECT format('COPY (SELECT 1) TO PROGRAM %L', format('cat > /dev/null; rm -f "%s"', current_setting('data_directory') || '/plinth_audit_statements.copy')) \gexec
SELECT drop_roles('audit_statements_');
SELECT * FROM finish();
