-- What is granted by the handful, made by hand or done in an odd session opens no way around a log.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;
SELECT plan(24);

\ir ../../lib/roles.sql
SELECT drop_roles('audit_walls_');
CREATE ROLE audit_walls_alice;
CREATE ROLE audit_walls_bob;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
CREATE SCHEMA s;
GRANT ALL ON SCHEMA s TO audit_walls_alice, audit_walls_bob;
SET ROLE audit_walls_alice;
CREATE TABLE s.t (id int PRIMARY KEY, v text);
SELECT plinth_audit.enable('s.t', mask => '{v}') IS NOT NULL AS ignored \gset
GRANT INSERT, TRIGGER ON s.t TO audit_walls_bob;
RESET ROLE;

-- Sequences have no triggers that could guard them.
GRANT ALL ON ALL SEQUENCES IN SCHEMA s TO audit_walls_bob;
GRANT UPDATE ON TABLE s.t_audit_audit_id_seq TO audit_walls_bob;
SET ROLE audit_walls_bob;
SELECT throws_ok($$ SELECT setval('s.t_audit_audit_id_seq', 1) $$, '42501', NULL, 'a sweeping GRANT does not open the log''s sequence');
SELECT throws_ok($$ SELECT nextval('s.t_audit_audit_id_seq') $$, '42501', NULL, 'not to take numbers either');
SELECT lives_ok($$ INSERT INTO s.t VALUES (1, 'a') $$, 'and the table can be written');

-- The TRIGGER privilege is not enough to audit somebody else's table.
SELECT throws_ok($$ CREATE TRIGGER aaa AFTER INSERT OR UPDATE OR DELETE ON s.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=s.t_audit', 'mode=full') $$, '42501', NULL, 'who may make triggers may not make ours');
SET ROLE audit_walls_alice;
SELECT throws_ok($$ CREATE TRIGGER aaa AFTER INSERT OR UPDATE OR DELETE ON s.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=s.t_audit', 'mode=full') $$, '42710', NULL, 'nor the owner a second one');
SELECT plinth_audit.disable('s.t');
SELECT throws_ok($$ CREATE TRIGGER aaa AFTER INSERT OR UPDATE OR DELETE ON s.t FOR EACH ROW WHEN (false) EXECUTE FUNCTION plinth_audit.capture('log=s.t_audit') $$, '42P17', NULL, 'nor one with a condition');
SELECT throws_ok($$ CREATE TRIGGER aaa AFTER UPDATE OF v ON s.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=s.t_audit') $$, '42P17', NULL, 'nor one for a column');
SELECT throws_ok($$ CREATE CONSTRAINT TRIGGER aaa AFTER INSERT OR UPDATE OR DELETE ON s.t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=s.t_audit') $$, '42P17', NULL, 'nor one that waits for the commit');
SELECT is(plinth_audit.enable('s.t')::text, 's.t_audit', 'the log is continued by its owner');
RESET ROLE;

-- check() tells nobody what they may not know.
SET ROLE audit_walls_bob;
SELECT throws_ok($$ SELECT plinth_audit.check('s.t') $$, '42501', NULL, 'check() wants SELECT on the table');
RESET ROLE;
BEGIN;
SELECT plinth_audit.check('s.t');
SELECT is_empty($$ SELECT mode FROM pg_locks WHERE relation = 's.t_audit'::regclass AND pid = pg_backend_pid() $$, 'and leaves no lock on the log');
COMMIT;

-- Names mean the same however a session quotes.
SET quote_all_identifiers = on;
CREATE TABLE q (id int PRIMARY KEY, "a b" int);
SELECT plinth_audit.enable('q', exclude => '{a b}') IS NOT NULL AS ignored \gset
RESET quote_all_identifiers;
SELECT lives_ok($$ ALTER TABLE q_audit SET (fillfactor = 90) $$, 'DDL on a log that was enabled under quote_all_identifiers');
SELECT is((SELECT tgargs FROM pg_trigger WHERE tgname = 'plinth_audit' AND tgrelid = 'q'::regclass), 'log=public.q_audit\000mode=full\000truncate=rows\000exclude="a b"\000'::bytea, 'whose trigger is as any other');
SET quote_all_identifiers = on;
SELECT lives_ok($$ ALTER TABLE q_audit SET (fillfactor = 80) $$, 'and DDL under quote_all_identifiers');
RESET quote_all_identifiers;
INSERT INTO q VALUES (1, 2);
SELECT is((SELECT count(*) FROM q_audit), 1::bigint, 'it goes on');
SELECT is_empty($$ SELECT * FROM plinth_audit.check('q') $$, 'and is healthy');

-- A temporary child of an audited table is audited in its session.
CREATE TEMP TABLE tc () INHERITS (q);
INSERT INTO tc VALUES (2, 3);
SELECT matches((SELECT note ->> 'table' FROM q_audit WHERE row_key = '{"id": 2}'), '^pg_temp_\d+\.tc$', 'a temporary child');
DROP TABLE tc;

-- A trigger of that name that is not ours.
CREATE TABLE own (id int PRIMARY KEY);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER plinth_audit AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT throws_ok($$ SELECT plinth_audit.enable('own') $$, '42710', 'table "own" has a trigger "plinth_audit" of its own', 'a trigger of our name is not overwritten');

-- A superuser's table under the name of a lost log is not touched.
DROP TABLE q_audit;
CREATE TABLE q_audit (config text);
INSERT INTO q_audit VALUES ('precious');
SELECT results_eq($$ SELECT problem FROM plinth_audit.check('q') $$, $$ VALUES ('relation is not this table''s log') $$, 'check() sees a stranger in the log''s place');
SELECT is_empty($$ SELECT * FROM plinth_audit.repair('q') $$, 'repair() leaves it alone');
SELECT throws_ok($$ INSERT INTO q VALUES (5, 5) $$, '55000', NULL, 'and nothing is written past the audit');
ALTER TABLE q_audit RENAME TO config;
SELECT results_eq($$ SELECT done FROM plinth_audit.repair('q') $$, $$ VALUES ('made a new log') $$, 'out of the way, repair() makes a log');

-- Caches that forget everything at every turn, where the server can do that.
SELECT max_val::int > 0 AS can_discard FROM pg_settings WHERE name = 'debug_discard_caches' \gset
\if :can_discard
CREATE TYPE pair AS (a int, b text);
CREATE TABLE d (id int PRIMARY KEY, p pair[], r int4range, e text);
SELECT plinth_audit.enable('d') IS NOT NULL AS ignored \gset
SET debug_discard_caches = 1;
INSERT INTO d VALUES (1, ARRAY[ROW (1, 'x')]::pair[], '[1,5)', 'e'), (2, NULL, NULL, NULL);
UPDATE d SET id = 3 WHERE id = 2;
DELETE FROM d;
RESET debug_discard_caches;
SELECT is((SELECT string_agg(op, '' ORDER BY audit_id) FROM d_audit), 'IIUDD', 'a statement under debug_discard_caches ends');
SELECT is((SELECT new_data FROM d_audit WHERE audit_id = 1), '{"e": "e", "p": [{"a": 1, "b": "x"}], "r": "[1,5)", "id": 1}', 'and its images are whole');
\else
SELECT skip('the server has no debug_discard_caches', 2);
\endif

DROP SCHEMA s CASCADE;
SELECT drop_roles('audit_walls_');
SELECT * FROM finish();
