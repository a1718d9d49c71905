-- What plans, policies and triggers call does no harm when anybody else does, foreign keys reach the dead, parallel workers
-- take the settings of their leader, and a default is no way to be born dead.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
LOAD 'plinth_soft_delete';
\ir ../../lib/roles.sql
SELECT drop_roles('soft_internals_');
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
CREATE ROLE soft_internals_owner;
CREATE ROLE soft_internals_viewer;
CREATE ROLE soft_internals_login LOGIN NOINHERIT IN ROLE soft_internals_viewer;
CREATE ROLE soft_internals_nobody;
SELECT session_user AS tester \gset
CREATE SCHEMA shop AUTHORIZATION soft_internals_owner;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SET search_path = shop, pgtap, public;

SET ROLE soft_internals_owner;
CREATE TABLE users (id int PRIMARY KEY, name text);
INSERT INTO users SELECT g, 'u' || g FROM generate_series(1, 1000) g;
GRANT SELECT, UPDATE, DELETE ON users TO soft_internals_viewer;
GRANT SELECT ON users TO soft_internals_login;
SELECT plinth_soft_delete.enable('users', viewers => 'soft_internals_viewer');
CREATE TABLE secrets (id int PRIMARY KEY);
INSERT INTO secrets VALUES (1), (2);
SELECT plinth_soft_delete.enable('secrets');
DELETE FROM users WHERE id > 900;
RESET ROLE;

----------------------------------------------------------------------------------------------------------------------
-- Parallel workers: the leader's setting was checked when it was set; who has that setting by now need not be a viewer.
----------------------------------------------------------------------------------------------------------------------

\connect - soft_internals_login
SET ROLE soft_internals_viewer;
SELECT set_config(CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END, 'on', false);
SET search_path = shop;
SET plinth_soft_delete.show_deleted = on;
SELECT count(*) AS in_parallel FROM users WHERE length(name) > 0 \gset
RESET ROLE;
SELECT count(*) AS hidden_in_parallel FROM users WHERE length(name) > 0 \gset
CREATE FUNCTION pg_temp.plan(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || stmt INTO result;
	RETURN result;
END $$;
SELECT pg_temp.plan('SELECT count(*) FROM users WHERE length(name) > 0') ~ '"Workers Launched": 1' AS launched \gset
----------------------------------------------------------------------------------------------------------------------
-- Triggers that somebody makes by hand, fired by the first statement of a session that has not loaded the library.
----------------------------------------------------------------------------------------------------------------------

\connect - :tester
SET client_min_messages = error;
-- as if the event triggers had not been there
SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname) FROM pg_event_trigger \gexec
SET ROLE soft_internals_owner;
SET search_path = shop;
CREATE TABLE by_hand (name text PRIMARY KEY, stmt text NOT NULL, said text);
CREATE TABLE hand_text (id int, d text, n bigint);
CREATE TABLE hand_int (id int, d timestamptz, n int);
CREATE TABLE hand_statement (id int, d timestamptz, n bigint);
CREATE TABLE hand_after (id int, d timestamptz, n bigint);
CREATE TABLE hand_stamp (id int, d timestamptz, n bigint);
CREATE TABLE hand_note (id int, d timestamptz, n bigint);
CREATE VIEW hand_view AS SELECT 1 AS id, NULL::timestamptz AS d, NULL::bigint AS n;
INSERT INTO hand_text VALUES (1); INSERT INTO hand_int VALUES (1); INSERT INTO hand_statement VALUES (1); INSERT INTO hand_after VALUES (1); INSERT INTO hand_stamp VALUES (1); INSERT INTO hand_note VALUES (1);
CREATE TRIGGER t BEFORE DELETE ON hand_text FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=d', 'deletion_id=n', 'visibility=none');
CREATE TRIGGER t BEFORE DELETE ON hand_int FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=d', 'deletion_id=n', 'visibility=none');
CREATE TRIGGER t BEFORE DELETE ON hand_statement FOR EACH STATEMENT EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=d', 'deletion_id=n', 'visibility=none');
CREATE TRIGGER t AFTER DELETE ON hand_after FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=d', 'deletion_id=n', 'visibility=none');
CREATE TRIGGER t INSTEAD OF DELETE ON hand_view FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=d', 'deletion_id=n', 'visibility=none');
CREATE TRIGGER t BEFORE DELETE ON hand_stamp FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=d', 'deletion_id=n', 'visibility=none');
CREATE TRIGGER u AFTER UPDATE ON hand_stamp FOR EACH STATEMENT EXECUTE FUNCTION plinth_soft_delete.stamp('deleted_at=d', 'deletion_id=n', 'visibility=none');
CREATE TRIGGER u AFTER UPDATE ON hand_note FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.statement();
INSERT INTO by_hand VALUES ('columns of other types', 'DELETE FROM shop.hand_text'), ('narrow numbers', 'DELETE FROM shop.hand_int'), ('mark() for a statement', 'DELETE FROM shop.hand_statement'),
	('mark() afterwards', 'DELETE FROM shop.hand_after'), ('mark() of a view', 'DELETE FROM shop.hand_view'), ('stamp() for a statement', 'UPDATE shop.hand_stamp SET d = now()'), ('statement() for a row', 'UPDATE shop.hand_note SET id = 2');
CREATE FUNCTION try_by_hand(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	result text := 'nothing';
BEGIN
	BEGIN
		EXECUTE (SELECT b.stmt FROM shop.by_hand b WHERE b.name = try_by_hand.name);
	EXCEPTION WHEN OTHERS THEN
		result := SQLSTATE;
	END;
	UPDATE shop.by_hand b SET said = result WHERE b.name = try_by_hand.name;
END $$;
RESET ROLE;
SELECT format('ALTER EVENT TRIGGER %I ENABLE ALWAYS', evtname) FROM pg_event_trigger \gexec
\connect - :tester
SELECT shop.try_by_hand('columns of other types');
\connect - :tester
SELECT shop.try_by_hand('narrow numbers');
\connect - :tester
SELECT shop.try_by_hand('mark() for a statement');
\connect - :tester
SELECT shop.try_by_hand('mark() afterwards');
\connect - :tester
SELECT shop.try_by_hand('mark() of a view');
\connect - :tester
SELECT shop.try_by_hand('stamp() for a statement');
\connect - :tester
SELECT shop.try_by_hand('statement() for a row');

\connect - :tester
DO $$
BEGIN
	UPDATE shop.secrets SET deleted_at = now(), deletion_id = plinth_soft_delete._deletion('shop.users') WHERE id = 1;
EXCEPTION WHEN OTHERS THEN
	PERFORM set_config('internals.said', SQLSTATE || ' ' || SQLERRM, false);
END $$;
SELECT current_setting('internals.said', true) AS unloaded \gset
SET client_min_messages = error;
SET search_path = shop, pgtap, public;
SELECT * FROM no_plan();
-- What rows and record do not agree in; only a superuser can set what sessions load.
CREATE FUNCTION at_odds(target text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(problem, ',') FROM plinth_soft_delete.check(target::regclass) WHERE problem <> 'library not preloaded' $$;
SELECT is(:'unloaded'::text, '0A000 function "plinth_soft_delete._deletion" is for plans only', 'a session without the library cannot take the number of another table''s deletion');
SELECT is(:in_parallel, 1000, 'a viewer sees the dead in parallel');
SELECT is(:hidden_in_parallel, 900, 'and another role with the same setting goes on and does not');
SELECT ok(:'launched', 'there was a worker');

SELECT results_eq('SELECT name, said FROM by_hand ORDER BY name COLLATE "C"', $$ VALUES ('columns of other types', '42804'), ('mark() afterwards', '39P01'), ('mark() for a statement', '39P01'),
	('mark() of a view', '39P01'), ('narrow numbers', '42804'), ('stamp() for a statement', '39P01'), ('statement() for a row', '39P01') $$, 'triggers that enable() does not make so are refused');
DROP VIEW hand_view;
DROP TABLE hand_text, hand_int, hand_statement, hand_after, hand_stamp, hand_note;

----------------------------------------------------------------------------------------------------------------------
-- Foreign keys: what they do to rows they do to dead ones, too, whoever asks.
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_internals_owner;
CREATE TABLE orders (id int PRIMARY KEY);
CREATE TABLE followers (id int PRIMARY KEY, order_id int REFERENCES orders ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TABLE defaulted (id int PRIMARY KEY, order_id int DEFAULT 99 REFERENCES orders ON UPDATE SET DEFAULT ON DELETE SET DEFAULT);
CREATE TABLE bound (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE);
CREATE TABLE bare (id int PRIMARY KEY, order_id int REFERENCES orders);
INSERT INTO orders VALUES (1), (2), (3), (4), (5), (6), (7), (8), (99);
INSERT INTO followers VALUES (1, 1), (2, 1), (3, 2), (4, 2), (5, 7), (6, 7);
INSERT INTO defaulted VALUES (1, 3), (2, 3), (3, 4), (4, 4);
INSERT INTO bound VALUES (1, 5);
INSERT INTO bare VALUES (1, 6);
SELECT plinth_soft_delete.enable(t) FROM unnest('{followers,defaulted,bound,bare}'::regclass[]) t;
DELETE FROM followers WHERE id IN (1, 3, 5);
DELETE FROM defaulted WHERE id IN (1, 3);
DELETE FROM bound;
DELETE FROM bare;
SELECT lives_ok('UPDATE orders SET id = 10 WHERE id = 1', 'ON UPDATE CASCADE does not stop at a dead row');
SELECT lives_ok('DELETE FROM orders WHERE id = 2', 'nor ON DELETE SET NULL');
SELECT lives_ok('UPDATE orders SET id = 30 WHERE id = 3', 'nor ON UPDATE SET DEFAULT');
SELECT lives_ok('DELETE FROM orders WHERE id = 4', 'nor ON DELETE SET DEFAULT');
RESET ROLE;
SELECT lives_ok('UPDATE orders SET id = 70 WHERE id = 7', 'not for who sees the dead either');
SELECT results_eq('SELECT id, order_id, deleted_at IS NULL FROM followers ORDER BY 1', 'VALUES (1, 10, false), (2, 10, true), (3, NULL, false), (4, NULL, true), (5, 70, false), (6, 70, true)', 'dead rows follow, and stay dead');
SELECT results_eq('SELECT id, order_id, deleted_at IS NULL FROM defaulted ORDER BY 1', 'VALUES (1, 99, false), (2, 99, true), (3, 99, false), (4, 99, true)', 'they get the default');
SET ROLE soft_internals_owner;
SELECT throws_ok('DELETE FROM orders WHERE id = 5', '23503', 'a foreign key would remove rows of soft-deleting table "bound"', 'ON DELETE CASCADE does not leave a dead row without what it refers to');
SELECT throws_ok('DELETE FROM orders WHERE id = 6', '23503', NULL, 'a dead row refers to what it refers to');
RESET ROLE;
SELECT throws_ok('DELETE FROM orders WHERE id = 5', '23503', 'a foreign key would remove rows of soft-deleting table "bound"', 'not for who sees the dead either');
SELECT is(plinth_soft_delete.restore(max(deletion_id)), 3::bigint, 'what has followed comes back') FROM plinth_soft_delete._deletion WHERE target = 'shop.followers';
SELECT is(at_odds('followers'), NULL, 'and all is well');

----------------------------------------------------------------------------------------------------------------------
-- Columns with defaults
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_internals_owner;
CREATE TABLE stillborn (id int, deleted_at timestamptz DEFAULT now());
CREATE TABLE numbered (id int, deletion_id bigint DEFAULT 1);
CREATE TABLE parts (id int) PARTITION BY LIST (id);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE heirs (id int, gone timestamptz);
CREATE TABLE heirs1 (gone timestamptz DEFAULT now()) INHERITS (heirs);
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('stillborn') $$, '22023', 'column "deleted_at" of table "stillborn" has a default', 'rows that would be born dead');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('numbered') $$, '22023', 'column "deletion_id" of table "numbered" has a default', 'or of a deletion');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('heirs', deleted_at => 'gone') $$, '22023', 'column "gone" of table "heirs1" has a default', 'or in a child');
ALTER TABLE heirs1 ALTER gone DROP DEFAULT, ALTER gone SET NOT NULL;
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('heirs', deleted_at => 'gone') $$, '22023', 'column "gone" of table "heirs1" cannot say that a row is alive', 'or never alive');
ALTER TABLE heirs1 ALTER gone DROP NOT NULL;
ALTER TABLE stillborn ALTER deleted_at DROP DEFAULT;
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('heirs', deleted_at => 'gone') $$, 'the default gone, it is enabled');
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('stillborn') $$, 'so is the other');
SELECT throws_ok('ALTER TABLE users ALTER deleted_at SET DEFAULT now()', '22023', NULL, 'and a default is not given to it afterwards');
SELECT throws_ok('ALTER TABLE users ALTER deletion_id SET DEFAULT 1', '22023', NULL, 'nor to the other column');
SELECT throws_ok('ALTER TABLE heirs1 ALTER gone SET DEFAULT now()', '22023', NULL, 'nor below');
SELECT throws_ok('CREATE TABLE heirs2 (gone timestamptz DEFAULT now()) INHERITS (heirs)', '22023', NULL, 'nor in a new child');
SELECT throws_ok('CREATE TABLE heirs2 (gone timestamptz NOT NULL) INHERITS (heirs)', '22023', NULL, 'nor without a way to be alive');
SELECT throws_ok('ALTER TABLE heirs1 ALTER gone SET NOT NULL', '22023', NULL, 'which no child gets later');
SELECT lives_ok('ALTER TABLE users ALTER name SET DEFAULT 1', 'others may have one');
RESET ROLE;

----------------------------------------------------------------------------------------------------------------------
-- Functions that are for plans, policies and views, called by hand
----------------------------------------------------------------------------------------------------------------------

CREATE SEQUENCE a_sequence;
CREATE VIEW a_view AS SELECT 1 AS one;
CREATE TYPE a_type AS (a int);
SELECT count(*) AS records FROM plinth_soft_delete._deletion \gset
-- Every table, and what is none, as anybody.
CREATE FUNCTION call_all(OUT call text, OUT said text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	about text;
BEGIN
	FOREACH about IN ARRAY ARRAY['shop.users', 'shop.secrets', 'shop.orders', 'shop.parts', 'shop.a_view', 'shop.a_sequence', 'shop.a_type', 'shop.users_pkey', 'pg_catalog.pg_class',
		'plinth_soft_delete._deletion', 'plinth_soft_delete.deletion', 'pg_catalog.pg_toast_1255'] LOOP
		about := coalesce(to_regclass(about)::oid, 'pg_toast.pg_toast_1255'::regclass::oid);
		FOREACH call IN ARRAY ARRAY['_deletion(%s)', 'show_deleted(%s)', 'only_policy(%s)', 'showing_deleted(%s, now())', '_alive(NULL::timestamptz, %s)', '_may_see(%s::regclass::text)'] LOOP
			call := 'SELECT plinth_soft_delete.' || format(call, about);
			BEGIN
				EXECUTE call INTO said;
			EXCEPTION WHEN OTHERS THEN
				said := SQLSTATE || ' ' || SQLERRM;
			END;
			RETURN NEXT;
		END LOOP;
	END LOOP;
	FOREACH about IN ARRAY ARRAY['0', '1', '4294967295', '2147483648', 'NULL'] LOOP
		FOREACH call IN ARRAY ARRAY['_deletion(%s)', 'show_deleted(%s)', 'only_policy(%s)', 'showing_deleted(%s, now())', '_alive(now(), %s)', '_alive(NULL::int, %s)'] LOOP
			call := 'SELECT plinth_soft_delete.' || format(call, about || '::oid::regclass');
			BEGIN
				EXECUTE call INTO said;
			EXCEPTION WHEN OTHERS THEN
				said := SQLSTATE || ' ' || SQLERRM;
			END;
			RETURN NEXT;
		END LOOP;
	END LOOP;
	FOREACH call IN ARRAY ARRAY[$q$_may_see('')$q$, $q$_may_see('no.such')$q$, $q$_may_see('a.b.c.d.e')$q$, $q$_may_see('"')$q$, $q$_may_see(NULL)$q$, $q$_require(true, NULL, NULL)$q$, $q$_require(NULL, NULL, NULL)$q$,
		$q$_mark_once(NULL::text, 'a')$q$, $q$_mark_once('b'::text, 'a')$q$, $q$_old(1, 'shop.secrets'::regclass, '(0,1)', 'shop.secrets'::regclass)$q$, $q$mark()$q$, $q$stamp()$q$, $q$statement()$q$, $q$empty()$q$,
		$q$_fold(NULL)$q$, $q$ddl_start()$q$, $q$views_end()$q$, $q$restore(NULL)$q$, $q$restore(-1)$q$, $q$preview_restore(0)$q$, $q$restore_row(NULL, NULL)$q$, $q$restore_row(1::regclass, '{}')$q$, $q$check(1::regclass)$q$, $q$repair(1::regclass)$q$, $q$disable(1::regclass)$q$, $q$make_unique_live(1::regclass, 'x')$q$] LOOP
		call := 'SELECT plinth_soft_delete.' || call;
		BEGIN
			EXECUTE call INTO said;
		EXCEPTION WHEN OTHERS THEN
			said := SQLSTATE || ' ' || SQLERRM;
		END;
		RETURN NEXT;
	END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION call_all() TO PUBLIC;
GRANT USAGE ON SCHEMA shop TO PUBLIC;

SET plinth_soft_delete.show_deleted = on;	-- a superuser may
SELECT is_empty(format($$ SELECT * FROM call_all() WHERE said ~ '^XX' $$), 'nothing is an internal error for superusers');
SELECT is(count(*), :records::bigint, 'nor leaves a record') FROM plinth_soft_delete._deletion;
BEGIN;
SET LOCAL ROLE soft_internals_nobody;
CREATE TEMP TABLE said AS SELECT * FROM call_all();
SELECT is_empty('SELECT * FROM said WHERE said ~ ''^XX''', 'nor for anybody else');
SELECT is_empty($$ SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation = ANY ('{users,secrets,orders,parts,a_view,a_sequence,users_pkey}'::regclass[]) $$, 'no table that he may not use stays locked');
SELECT results_eq($$ SELECT call FROM said WHERE call ~ 'show_deleted' AND said = 'true' $$, ARRAY[]::text[], 'he may not see the dead of any');
SELECT results_eq($$ SELECT call FROM said WHERE call ~ 'may_see' AND said = 'true' $$, ARRAY[]::text[], 'nor knows of them');
SELECT is_empty($$ SELECT call, said FROM said WHERE call ~ '_deletion|_old|ddl_|views_|_fold|mark\(\)|stamp\(\)|statement\(\)|empty\(\)' AND said !~ '^(0A000|39P0|42|54|0A)' $$, 'what only triggers and plans call is refused');
SELECT is_empty('SELECT * FROM plinth_soft_delete.deletion', 'and there is no record for him');
COMMIT;
SELECT is(count(*), :records::bigint, 'nor by him') FROM plinth_soft_delete._deletion;
SELECT is(at_odds(t), NULL, t || ' is well') FROM unnest('{users,secrets}'::text[]) t;
SET plinth_soft_delete.show_deleted = off;

-- A table that has lost a column keeps nobody from the record.
CREATE TABLE halved (id int);
INSERT INTO halved VALUES (1), (2);
SELECT plinth_soft_delete.enable('halved', viewers => 'soft_internals_viewer');
DELETE FROM halved WHERE id = 1;
ALTER EVENT TRIGGER plinth_soft_delete_ddl_end DISABLE;
ALTER TABLE halved DROP deleted_at CASCADE;
ALTER EVENT TRIGGER plinth_soft_delete_ddl_end ENABLE ALWAYS;
SELECT throws_ok('DELETE FROM halved', '42703', 'column "deleted_at" of soft-deleting table "halved" does not exist', 'a table without its column says so');
SET ROLE soft_internals_viewer;
SELECT isnt_empty($$ SELECT 1 FROM plinth_soft_delete.deletion WHERE target = 'shop.users' $$, 'and keeps nobody from the record of others');
RESET ROLE;

SELECT * FROM finish();
DROP SCHEMA shop CASCADE;
SELECT drop_roles('soft_internals_');
