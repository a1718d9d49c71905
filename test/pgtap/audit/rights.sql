-- A writer needs no right on the log, nobody but a superuser or the log's owner can write or drop it, and no user code
-- runs with more rights than the statement's own role.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;

\ir ../../lib/roles.sql
SELECT drop_roles('audit_rights_');
CREATE ROLE audit_rights_owner LOGIN;
CREATE ROLE audit_rights_writer LOGIN;
CREATE ROLE audit_rights_other LOGIN;
CREATE ROLE audit_rights_chief LOGIN SUPERUSER;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;

-- A setting that only superusers may change, set by somebody else before the library is loaded, in every way that there is.
CREATE TABLE early (id int PRIMARY KEY);
SELECT plinth_audit.enable('early') IS NULL AS ignored \gset
GRANT INSERT ON early TO audit_rights_writer;
SELECT current_user AS me, current_database() AS db \gset
\c - audit_rights_writer
SET client_min_messages = error;
SET plinth_audit.capture = off;
INSERT INTO early VALUES (1);
\c - audit_rights_writer
SET client_min_messages = error;
BEGIN;
SET LOCAL plinth_audit.capture = off;
SAVEPOINT s;
SET plinth_audit.capture = off;
INSERT INTO early VALUES (2);
COMMIT;
INSERT INTO early VALUES (3);
\setenv PGOPTIONS '-c plinth_audit.capture=off -c client_min_messages=error'
\c - audit_rights_writer
INSERT INTO early VALUES (4);
\setenv PGOPTIONS '-c client_min_messages=warning'
\c - :me

SELECT plan(261);
SET client_min_messages = error;
SELECT is((SELECT count(*) FROM early_audit), 4::bigint, 'nobody switches the capture off before the library is loaded');

-- What becomes of a statement run by a role: its SQLSTATE ("ok" if it succeeds), its message and hint.
CREATE FUNCTION run_as(who name, stmt text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', who);
	BEGIN
		EXECUTE stmt;
		state := 'ok';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	END;
	RESET ROLE;
END $$;
CREATE FUNCTION state_as(who name, stmt text, wanted text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record := run_as(who, stmt);
BEGIN
	RETURN CASE WHEN r.state = wanted THEN pass(description)
		ELSE fail(description) || E'\n' || diag(format('have %s (%s), want %s: %s', r.state, r.message, wanted, stmt)) END;
END $$;
-- Refused by the protection of the log, with a hint.
CREATE FUNCTION protected_as(who name, stmt text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record := run_as(who, stmt);
BEGIN
	RETURN CASE WHEN r.state = 'PX001' AND r.hint <> '' THEN pass(description)
		ELSE fail(description) || E'\n' || diag(format('have %s (%s; hint: %s), want PX001 with a hint: %s', r.state, r.message, r.hint, stmt)) END;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- A role with only INSERT writes, and is logged
----------------------------------------------------------------------------------------------------------------------

CREATE SCHEMA app AUTHORIZATION audit_rights_owner;
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.users (id int PRIMARY KEY, name text, balance numeric DEFAULT 0);
SELECT is(plinth_audit.enable('app.users')::text, 'app.users_audit', 'the owner of the table enables it, and owns nothing else');
GRANT USAGE ON SCHEMA app TO audit_rights_writer, audit_rights_other;
GRANT INSERT ON app.users TO audit_rights_writer;
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION audit_rights_writer;
INSERT INTO app.users VALUES (1, 'ann'), (2, 'bob');
RESET SESSION AUTHORIZATION;
SELECT results_eq($$ SELECT op, changed_by, row_key, old_data, new_data, note FROM app.users_audit ORDER BY audit_id $$,
	$$ VALUES ('I', 'audit_rights_writer', '{"id": 1}'::jsonb, NULL::jsonb, '{"id": 1, "name": "ann", "balance": 0}'::jsonb, NULL::jsonb),
		('I', 'audit_rights_writer', '{"id": 2}', NULL, '{"id": 2, "name": "bob", "balance": 0}', NULL) $$,
	'a role with only INSERT on the table writes it and is logged');
SELECT is((SELECT count(*) FROM plinth_audit.transaction x JOIN (SELECT DISTINCT transaction_id FROM app.users_audit) l USING (transaction_id) WHERE session_user_name = 'audit_rights_writer'), 1::bigint,
	'and the transaction is recorded with its session user');

-- UPDATE of one column only, without SELECT: the image is whole all the same.
GRANT UPDATE (name) ON app.users TO audit_rights_writer;
SET SESSION AUTHORIZATION audit_rights_writer;
UPDATE app.users SET name = 'eve';
RESET SESSION AUTHORIZATION;
SELECT is((SELECT array_agg(old_data ->> 'name' ORDER BY audit_id) FROM app.users_audit WHERE op = 'U' AND new_data ? 'balance'), '{ann,bob}', 'a role with UPDATE on one column is logged with the whole image');
REVOKE UPDATE (name) ON app.users FROM audit_rights_writer;

-- The same with nothing granted to PUBLIC, not even the schema of the extension, the log's or pg_catalog's functions.
REVOKE USAGE ON SCHEMA plinth_audit FROM PUBLIC;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA plinth_audit FROM PUBLIC;
SELECT state_as('audit_rights_writer', 'INSERT INTO app.users VALUES (3, ''carl'')', 'ok', 'a writer needs no right on the schema plinth_audit nor on its functions');
GRANT USAGE ON SCHEMA plinth_audit TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA plinth_audit TO PUBLIC;
CREATE SCHEMA admin;
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.accounts (id int PRIMARY KEY);
RESET SESSION AUTHORIZATION;
SELECT is(plinth_audit.enable('app.accounts', log => 'admin.accounts_history')::text, 'admin.accounts_history', 'an administrator puts the log into a schema of theirs');
GRANT INSERT ON app.accounts TO audit_rights_writer;
SELECT state_as('audit_rights_writer', 'INSERT INTO app.accounts VALUES (1)', 'ok', 'a writer needs no right on the schema of the log');
SELECT is((SELECT count(*) FROM admin.accounts_history), 1::bigint, 'and is logged there');

----------------------------------------------------------------------------------------------------------------------
-- The log's own rights
----------------------------------------------------------------------------------------------------------------------

SELECT is((SELECT relowner FROM pg_class WHERE oid = 'app.users_audit'::regclass), (SELECT proowner FROM pg_proc WHERE oid = 'plinth_audit.capture'::regproc), 'the log belongs to the owner of plinth_audit.capture()');
SELECT state_as('audit_rights_writer', stmt, '42501', 'the writer cannot: ' || stmt) FROM unnest(ARRAY[
	'SELECT FROM app.users_audit', 'INSERT INTO app.users_audit (op) VALUES (''I'')', 'UPDATE app.users_audit SET op = ''X''', 'DELETE FROM app.users_audit', 'TRUNCATE app.users_audit',
	'DROP TABLE app.users_audit', 'LOCK TABLE app.users_audit IN ACCESS EXCLUSIVE MODE', 'ALTER TABLE app.users_audit DISABLE TRIGGER ALL', 'CREATE RULE r AS ON INSERT TO app.users_audit DO INSTEAD NOTHING',
	'SELECT nextval(pg_get_serial_sequence(''app.users_audit'', ''audit_id''))', 'SELECT setval(pg_get_serial_sequence(''app.users_audit'', ''audit_id''), 1)', 'SET plinth_audit.capture = off',
	'SELECT plinth_audit.disable(''app.users'')', 'SELECT plinth_audit.alter(''app.users'', mode => ''new'')', 'SELECT plinth_audit.enable(''app.users'')', 'SELECT * FROM plinth_audit.repair(''app.users'')',
	'INSERT INTO plinth_audit.transaction DEFAULT VALUES', 'UPDATE plinth_audit.transaction SET actor = ''me''', 'DELETE FROM plinth_audit.transaction', 'TRUNCATE plinth_audit.transaction', 'DROP TABLE plinth_audit.transaction']) stmt;

SELECT ok(has_table_privilege('audit_rights_owner', 'app.users_audit', 'SELECT WITH GRANT OPTION'), 'the table''s owner may read the log and let others read it');
SELECT ok(has_sequence_privilege('audit_rights_owner', pg_get_serial_sequence('app.users_audit', 'audit_id'), 'SELECT WITH GRANT OPTION'), 'and its sequence');
SELECT ok(NOT has_table_privilege('audit_rights_owner', 'app.users_audit', p), 'the table''s owner has no ' || p || ' on the log') FROM unnest('{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p;
SELECT ok(NOT has_any_column_privilege('audit_rights_owner', 'app.users_audit', 'UPDATE, INSERT'), 'nor on its columns');
SELECT ok(NOT has_sequence_privilege('audit_rights_owner', pg_get_serial_sequence('app.users_audit', 'audit_id'), p), 'nor ' || p || ' on its sequence') FROM unnest('{USAGE,UPDATE}'::text[]) p;
SELECT state_as('audit_rights_owner', stmt, '42501', 'the table''s owner cannot: ' || stmt) FROM unnest(ARRAY[
	'INSERT INTO app.users_audit (op) VALUES (''I'')', 'UPDATE app.users_audit SET op = ''X''', 'DELETE FROM app.users_audit', 'TRUNCATE app.users_audit', 'ALTER TABLE app.users_audit ADD x int', 'ALTER TABLE app.users_audit DROP new_data',
	'ALTER TABLE app.users_audit RENAME TO y', 'ALTER TABLE app.users_audit SET SCHEMA public', 'ALTER TABLE app.users_audit OWNER TO audit_rights_owner', 'ALTER TABLE app.users_audit DISABLE TRIGGER plinth_audit_guard',
	'DROP TRIGGER plinth_audit_guard ON app.users_audit', 'CREATE TRIGGER t BEFORE INSERT ON app.users_audit EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'ALTER TABLE app.users_audit ENABLE ROW LEVEL SECURITY',
	'CREATE TABLE app.kid () INHERITS (app.users_audit)', 'CREATE INDEX ON app.users_audit (op)', 'CREATE RULE r AS ON INSERT TO app.users_audit DO INSTEAD NOTHING', 'DROP EVENT TRIGGER plinth_audit_ddl_start', 'ALTER EVENT TRIGGER plinth_audit_ddl_end DISABLE',
	'SET session_replication_role = replica', 'SET plinth_audit.capture = off', 'DROP EXTENSION plinth_audit CASCADE', 'DROP FUNCTION plinth_audit.capture() CASCADE']) stmt;
SELECT state_as('audit_rights_owner', 'SELECT FROM app.users_audit', 'ok', 'the table''s owner reads the log');

-- Grants by the owner: reading may be passed on, writing may not.
SELECT run_as('audit_rights_owner', 'GRANT SELECT ON app.users_audit TO audit_rights_other') IS NULL AS ignored \gset
SELECT state_as('audit_rights_other', 'SELECT FROM app.users_audit', 'ok', 'the table''s owner lets somebody read the log');
SELECT run_as('audit_rights_owner', 'GRANT ALL ON app.users_audit TO audit_rights_other') IS NULL AS ignored \gset
SELECT run_as('audit_rights_owner', 'GRANT INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER ON app.users_audit TO audit_rights_other') IS NULL AS ignored \gset
SELECT run_as('audit_rights_owner', 'GRANT ALL ON ALL TABLES IN SCHEMA app TO audit_rights_other') IS NULL AS ignored \gset
SELECT ok(NOT has_table_privilege('audit_rights_other', 'app.users_audit', p), 'a GRANT by the table''s owner gives no ' || p) FROM unnest('{INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER}'::text[]) p;

-- A careless GRANT by an administrator.
GRANT ALL ON ALL TABLES IN SCHEMA app TO audit_rights_writer, audit_rights_owner;
GRANT ALL ON ALL SEQUENCES IN SCHEMA app TO audit_rights_writer, audit_rights_owner;
GRANT ALL ON ALL TABLES IN SCHEMA plinth_audit TO audit_rights_writer;
SELECT protected_as(who, stmt, format('after GRANT ALL ON ALL TABLES, %s cannot: %s', who, stmt)) FROM unnest('{audit_rights_writer,audit_rights_owner}'::name[]) who, unnest(ARRAY[
	'INSERT INTO app.users_audit (op) VALUES (''I'')', 'INSERT INTO app.users_audit (op) SELECT ''I'' WHERE false', 'UPDATE app.users_audit SET op = ''X''', 'UPDATE app.users_audit SET op = ''X'' WHERE false', 'DELETE FROM app.users_audit', 'TRUNCATE app.users_audit',
	'COPY app.users_audit (op) FROM PROGRAM ''echo X''', 'MERGE INTO app.users_audit USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE', 'WITH d AS (DELETE FROM app.users_audit RETURNING 1) SELECT FROM d',
	'INSERT INTO app.users_audit (audit_id, op) OVERRIDING SYSTEM VALUE VALUES (1, ''I'') ON CONFLICT (audit_id) DO UPDATE SET op = ''X''']) stmt
	WHERE stmt NOT LIKE 'COPY%';
SELECT protected_as('audit_rights_writer', stmt, 'nor: ' || stmt) FROM unnest(ARRAY['INSERT INTO plinth_audit.transaction (transaction_id, started_at) VALUES (''1'', now())', 'UPDATE plinth_audit.transaction SET actor = ''me''', 'DELETE FROM plinth_audit.transaction', 'TRUNCATE plinth_audit.transaction']) stmt;
SELECT state_as('audit_rights_writer', 'SET LOCAL session_replication_role = replica', '42501', 'nor can the guard be switched off by session_replication_role');

-- TRIGGER came with GRANT ALL: a trigger on the log never runs somebody's code.
CREATE TABLE trap (what text, who name);
GRANT ALL ON trap TO PUBLIC;
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE FUNCTION app.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.trap VALUES ('trigger on the log', current_user); RETURN NULL; END $$;
RESET SESSION AUTHORIZATION;
SELECT run_as('audit_rights_writer', 'CREATE TRIGGER a BEFORE INSERT ON app.users_audit FOR EACH ROW EXECUTE FUNCTION app.trap()') IS NULL AS ignored \gset
SELECT run_as('audit_rights_writer', 'CREATE TRIGGER b AFTER INSERT ON app.users_audit FOR EACH STATEMENT EXECUTE FUNCTION app.trap()') IS NULL AS ignored \gset
SELECT count(*) AS before FROM app.users_audit \gset
SELECT state AS state FROM run_as('audit_rights_chief', 'INSERT INTO app.users VALUES (4, ''dan'')') \gset
SELECT is((SELECT count(*) FROM trap), 0::bigint, 'a trigger that somebody puts on the log is never called');
SELECT ok(:'state' = '55000' OR (:'state' = 'ok' AND (SELECT count(*) FROM app.users_audit) = :before + 1), 'and loses nothing: the write is logged, or fails closed');
DROP TRIGGER IF EXISTS a ON app.users_audit;
DROP TRIGGER IF EXISTS b ON app.users_audit;
SELECT ok(EXISTS (SELECT FROM plinth_audit.check('app.users')), 'check() sees the careless GRANT');
SELECT ok(EXISTS (SELECT FROM plinth_audit.repair('app.users')), 'repair() takes it back');
SELECT is_empty($$ SELECT * FROM plinth_audit.check('app.users') $$, 'and all is well');
SELECT is((SELECT string_agg(x.grantee::regrole || ' ' || x.privilege_type, ', ') FROM pg_class, aclexplode(relacl) x WHERE oid = 'app.users_audit'::regclass AND x.grantee <> 'postgres'::regrole AND x.privilege_type <> 'SELECT'), NULL, 'nobody else can do more than read');
REVOKE ALL ON ALL TABLES IN SCHEMA app FROM audit_rights_writer;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA app FROM audit_rights_writer;
GRANT INSERT ON app.users, app.accounts TO audit_rights_writer;
REVOKE ALL ON ALL TABLES IN SCHEMA plinth_audit FROM audit_rights_writer;

-- A superuser may correct the record, and so may the log's owner.
SELECT state_as('audit_rights_chief', 'DELETE FROM app.users_audit WHERE audit_id < 0', 'ok', 'a superuser may write the log');
SELECT state_as('postgres', 'UPDATE app.users_audit SET op = op WHERE audit_id < 0', 'ok', 'the log''s owner may write the log');

-- Default privileges, of the role that makes the log, in the schema and everywhere.
ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON SEQUENCES TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA app GRANT ALL ON TABLES TO audit_rights_writer WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE audit_rights_owner GRANT ALL ON TABLES TO PUBLIC;
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.defaults (id int PRIMARY KEY);
SELECT is(plinth_audit.enable('app.defaults')::text, 'app.defaults_audit', 'enabled under wide default privileges');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT array_agg(DISTINCT x.grantee::regrole::text ORDER BY x.grantee::regrole::text) FROM pg_class, aclexplode(relacl) x WHERE oid = 'app.defaults_audit'::regclass), '{audit_rights_owner,postgres}',
	'default privileges do not reach the log');
SELECT is((SELECT array_agg(DISTINCT x.grantee::regrole::text ORDER BY x.grantee::regrole::text) FROM pg_class, aclexplode(relacl) x WHERE oid = pg_get_serial_sequence('app.defaults_audit', 'audit_id')::regclass), '{audit_rights_owner,postgres}',
	'nor its sequence');
SELECT is((SELECT array_agg(x.privilege_type || x.is_grantable) FROM pg_class, aclexplode(relacl) x WHERE oid = 'app.defaults_audit'::regclass AND x.grantee = 'audit_rights_owner'::regrole), '{SELECTtrue}',
	'the table''s owner gets SELECT with grant option and nothing else');
ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE ALL ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE ALL ON SEQUENCES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA app REVOKE ALL ON TABLES FROM audit_rights_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE audit_rights_owner REVOKE ALL ON TABLES FROM PUBLIC;

----------------------------------------------------------------------------------------------------------------------
-- Dropping the log
----------------------------------------------------------------------------------------------------------------------

-- The owner of a schema may drop whatever is in it: here the protection is ours.
SELECT protected_as('audit_rights_owner', stmt, 'refused: ' || stmt) FROM unnest(ARRAY[
	'DROP TABLE app.users_audit', 'DROP TABLE app.users_audit CASCADE', 'DROP TABLE app.users, app.users_audit', 'DROP SCHEMA app CASCADE', 'DROP OWNED BY audit_rights_owner CASCADE', 'SELECT plinth_audit.disable(''app.users'', drop_log => true)']) stmt;
SELECT is((SELECT count(*) FROM plinth_audit.status WHERE target = 'app.users'::regclass AND log = 'app.users_audit'::regclass AND capturing AND protected), 1::bigint, 'and the table is audited as before');
SELECT state_as('audit_rights_owner', 'DROP OWNED BY audit_rights_owner', '2BP01', 'DROP OWNED without CASCADE stops at the log');
SELECT state_as('audit_rights_writer', 'INSERT INTO app.users VALUES (5, ''fay'')', 'ok', 'writes go on after refused drops');
-- With the event trigger's usual blind spots: another schema in the same command, a temporary table of the same name, an owner by membership.
GRANT audit_rights_owner TO audit_rights_other;
SELECT protected_as('audit_rights_other', 'DROP TABLE app.users_audit', 'a member of the schema''s owner cannot drop the log either');
REVOKE audit_rights_owner FROM audit_rights_other;
CREATE SCHEMA app2 AUTHORIZATION audit_rights_owner;
SELECT protected_as('audit_rights_owner', 'DROP SCHEMA app2, app CASCADE', 'DROP SCHEMA of several is refused if one holds a log');
SELECT state_as('audit_rights_owner', 'DROP SCHEMA app2 CASCADE', 'ok', 'other schemas can be dropped');

SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.passing (id int PRIMARY KEY);
CREATE TABLE app.passing2 (id int PRIMARY KEY);
SELECT lives_ok($$ SELECT plinth_audit.enable('app.passing'), plinth_audit.enable('app.passing2') $$, 'two tables for the superuser''s turn');
RESET SESSION AUTHORIZATION;
SELECT state_as('audit_rights_chief', 'SELECT plinth_audit.disable(''app.passing'', drop_log => true)', 'ok', 'a superuser may disable and drop the log');
SELECT is(to_regclass('app.passing_audit'), NULL, 'which is gone then');
SELECT state_as('audit_rights_chief', 'DROP TABLE app.passing2_audit', 'ok', 'a superuser may drop the log');
SELECT state_as('audit_rights_writer', 'DROP TABLE app.passing2', '42501', 'other people''s tables are protected as ever');
SELECT state_as('audit_rights_owner', 'DROP TABLE app.passing, app.passing2', 'ok', 'a table without its log can be dropped');

-- Where the schema is somebody else's, DROP OWNED takes the table and leaves the log.
GRANT CREATE, USAGE ON SCHEMA public TO audit_rights_other;
SET SESSION AUTHORIZATION audit_rights_other;
CREATE TABLE public.mine (id int PRIMARY KEY);
SELECT is(plinth_audit.enable('public.mine')::text, 'mine_audit', 'enabled in somebody else''s schema');
INSERT INTO mine VALUES (1);
DROP OWNED BY audit_rights_other CASCADE;
RESET SESSION AUTHORIZATION;
SELECT is(to_regclass('public.mine'), NULL, 'DROP OWNED took the table');
SELECT is((SELECT count(*) FROM public.mine_audit), 1::bigint, 'and left the log');
GRANT USAGE ON SCHEMA app TO audit_rights_other;

----------------------------------------------------------------------------------------------------------------------
-- Who may enable
----------------------------------------------------------------------------------------------------------------------

GRANT TRIGGER, SELECT, INSERT ON app.users TO audit_rights_other;
SELECT state_as('audit_rights_other', stmt, '42501', 'a role that is not the owner cannot: ' || stmt) FROM unnest(ARRAY[
	'SELECT plinth_audit.enable(''app.users'')', 'SELECT plinth_audit.alter(''app.users'', mode => ''new'')', 'SELECT plinth_audit.disable(''app.users'')', 'SELECT plinth_audit.disable(''app.users'', true)', 'SELECT * FROM plinth_audit.repair(''app.users'')']) stmt;
CREATE SCHEMA locked;
GRANT USAGE ON SCHEMA locked TO audit_rights_owner;
CREATE TABLE locked.t (id int PRIMARY KEY);
ALTER TABLE locked.t OWNER TO audit_rights_owner;
SELECT state_as('audit_rights_owner', 'SELECT plinth_audit.enable(''locked.t'')', '42501', 'enable needs CREATE on the schema of the log');
SELECT state_as('audit_rights_owner', 'SELECT plinth_audit.enable(''locked.t'', log => ''admin.t_audit'')', '42501', 'also when it is named');
SELECT state_as('audit_rights_owner', 'SELECT plinth_audit.enable(''locked.t'', log => ''pg_catalog.t_audit'')', '42501', 'and system schemas are out of reach');
SELECT state_as('audit_rights_owner', 'SELECT plinth_audit.enable(''locked.t'', log => ''plinth_audit.t_audit'')', '42501', 'and so is the extension''s own');
SELECT state_as('audit_rights_owner', 'SELECT plinth_audit.enable(''locked.t'', log => ''app.locked_log'')', 'ok', 'a schema of one''s own will do');
SELECT is((SELECT count(*) FROM pg_class WHERE relname = 't_audit'), 0::bigint, 'refusals leave nothing behind');

----------------------------------------------------------------------------------------------------------------------
-- User code never runs with more rights
----------------------------------------------------------------------------------------------------------------------

-- A user's cast to json is not called, whoever writes.
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TYPE app.mood AS ENUM ('sad', 'glad');
CREATE TYPE app.mood_range AS RANGE (subtype = app.mood);
CREATE DOMAIN app.mood_domain AS app.mood;
CREATE TYPE app.mood_pair AS (a app.mood, b app.mood[]);
CREATE FUNCTION app.cast_json(app.mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.trap VALUES ('cast to json', current_user); RETURN '"pwned"'; END $$;
CREATE FUNCTION app.cast_json(app.mood_range) RETURNS json LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.trap VALUES ('cast to json', current_user); RAISE 'pwned'; END $$;
CREATE FUNCTION app.cast_json(app.mood_pair) RETURNS json LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.trap VALUES ('cast to json', current_user); RAISE 'pwned'; END $$;
CREATE FUNCTION app.cast_jsonb(app.mood) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.trap VALUES ('cast to jsonb', current_user); RETURN '"pwned"'; END $$;
CREATE FUNCTION app.cast_text(app.mood) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.trap VALUES ('cast to text', current_user); RETURN 'pwned'; END $$;
CREATE CAST (app.mood AS json) WITH FUNCTION app.cast_json(app.mood) AS IMPLICIT;
CREATE CAST (app.mood_range AS json) WITH FUNCTION app.cast_json(app.mood_range) AS IMPLICIT;
CREATE CAST (app.mood_pair AS json) WITH FUNCTION app.cast_json(app.mood_pair) AS IMPLICIT;
CREATE CAST (app.mood AS jsonb) WITH FUNCTION app.cast_jsonb(app.mood) AS IMPLICIT;
CREATE CAST (app.mood AS text) WITH FUNCTION app.cast_text(app.mood) AS IMPLICIT;
CREATE TABLE app.hostile (id app.mood PRIMARY KEY, m app.mood, r app.mood_range, p app.mood_pair, d app.mood_domain, a app.mood[], pa app.mood_pair[]);
SELECT is(plinth_audit.enable('app.hostile')::text, 'app.hostile_audit', 'a table with hostile types is enabled');
RESET SESSION AUTHORIZATION;
SELECT lives_ok($$ INSERT INTO app.hostile VALUES ('sad', 'glad', '[sad,glad]', ROW ('sad', '{glad}'), 'sad', '{sad,glad}', ARRAY[ROW ('sad', '{glad}')::app.mood_pair]) $$, 'a superuser writes it');
SELECT lives_ok($$ UPDATE app.hostile SET m = 'sad' $$, 'a superuser updates it');
SELECT lives_ok($$ TRUNCATE app.hostile $$, 'a superuser truncates it');
SELECT is((SELECT new_data FROM app.hostile_audit WHERE op = 'I'),
	'{"id": "sad", "m": "glad", "r": "[sad,glad]", "p": {"a": "sad", "b": ["glad"]}, "d": "sad", "a": ["sad", "glad"], "pa": [{"a": "sad", "b": ["glad"]}]}', 'the image holds what the output function prints');
SELECT is((SELECT row_key FROM app.hostile_audit WHERE op = 'T'), '{"id": "sad"}', 'and so does the key');
SELECT is_empty('TABLE trap', 'no cast of a user is called when a superuser writes');
SELECT state_as('audit_rights_owner', $$ INSERT INTO app.hostile VALUES ('sad', 'glad', '[sad,glad]', ROW ('sad', '{glad}')) $$, 'ok', 'the owner of the cast writes too');
SELECT is_empty('TABLE trap', 'and the cast is not called then either');
-- The trap works: to_jsonb() itself walks into it.
SELECT count(to_jsonb(m)) AS n FROM app.hostile \gset
SELECT isnt_empty('TABLE trap', 'though to_jsonb() calls it');
DELETE FROM trap;

-- Functions and operators of the same names, first in the search path.
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE SEQUENCE evil.sprung;
GRANT ALL ON SEQUENCE evil.sprung TO PUBLIC;
-- Sequences do not roll back, so that a trap shows even if somebody swallows the error.
CREATE FUNCTION evil.note(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.nextval('evil.sprung'); RAISE EXCEPTION 'trapped in %', what; END $$;
CREATE FUNCTION forge() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	f record;
	made bigint := 0;
BEGIN
	FOR f IN SELECT p.oid, proname, pg_get_function_identity_arguments(p.oid) AS args, pg_get_function_result(p.oid) AS result FROM pg_proc p
		WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND (proname ~ '^(now|clock_timestamp|statement_timestamp|transaction_timestamp|format|quote_.*|to_json.*|jsonb?_.*|jsonb_.*|has_.*_privilege|pg_has_role|pg_get_.*|nextval|currval|setval|unnest|array_.*|string_to_array|to_reg.*|pg_.*_is_visible|current_setting|set_config|left|right|substr|substring|length|lower|upper|concat|replace|regexp_.*|pg_current_xact_id|txid_current|inet_client_.*|pg_backend_pid|pg_partition_.*|coalesce|aclexplode|acldefault|generate_series|textcat|(name|oid|text|int4|int8|bool|char)(eq|ne)|namelike|textlike|starts_with|obj_description|current_user|getpgusername|pg_event_trigger_.*|format_type|pg_describe_object|pg_identify_object|parse_ident|cardinality|sha256|encode)$')
			AND NOT ('internal'::regtype = ANY (proargtypes) OR '"any"'::regtype = ANY (proargtypes) OR 'cstring'::regtype = ANY (proargtypes) OR prorettype IN ('internal'::regtype, 'cstring'::regtype))
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.proname, f.args, f.result, format('BEGIN PERFORM evil.note(%L); END', f.proname));
			made := made + 1;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	FOR f IN SELECT oprname, oprleft::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result FROM pg_operator
		WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0 AND oprname = ANY ('{=,<>,||,<,>,~~,!~~,~,!~,->,->>,@>,?,-,+,#>>}')
			AND oprleft = ANY ('{oid,name,text,int2,int4,int8,bool,"\"char\"",jsonb,timestamptz,xid8,regclass,anyarray,anycompatiblearray,anyelement,pg_lsn}'::regtype[])
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION evil.%I(a %s, b %s) RETURNS %s LANGUAGE plpgsql AS %L', 'op' || made, f.l, f.r, f.result, format('BEGIN PERFORM evil.note(%L); END', f.oprname));
			EXECUTE format('CREATE OPERATOR evil.%s (leftarg = %s, rightarg = %s, function = evil.%I)', f.oprname, f.l, f.r, 'op' || made);
			made := made + 1;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	RETURN made;
END $$;
SELECT cmp_ok(forge(), '>', 300::bigint, 'traps are laid');
SELECT ok((run_as('postgres', 'SET LOCAL search_path = evil, pg_catalog; SELECT ' || call)).message LIKE 'trapped in %', 'and spring: ' || call) FROM unnest(ARRAY['now()', '1::oid = 1::oid', 'quote_ident(''x'')', '''a''::text || ''b''::text']) call;
SELECT setval('evil.sprung', 1, false) AS n \gset

CREATE TABLE app.pathed (id int PRIMARY KEY, j jsonb, t text DEFAULT 'x');
CREATE TABLE app.pathed_parts (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);
ALTER TABLE app.pathed OWNER TO audit_rights_owner;
\set ON_ERROR_STOP off
SET search_path = evil, pg_catalog, app;
-- relations of the same names, where everybody finds them first
CREATE TEMP TABLE pathed_audit (audit_id bigint, op text);
CREATE TEMP TABLE transaction (transaction_id xid8);
CREATE TEMP TABLE pg_class (oid oid);
CREATE TEMP TABLE pg_trigger (oid oid);
CREATE TEMP TABLE pg_authid (oid oid);
SELECT plinth_audit.enable('app.pathed'), plinth_audit.enable('app.pathed_parts', mode => 'delta', exclude => '{t}'), plinth_audit.alter('app.pathed_parts', exclude => '{}') \gset
CREATE TABLE app.pathed_p1 PARTITION OF app.pathed_parts FOR VALUES FROM (1) TO (10);
CREATE TABLE app.pathed_p2 (id int PRIMARY KEY, t text);
ALTER TABLE app.pathed_parts ATTACH PARTITION app.pathed_p2 FOR VALUES FROM (10) TO (20);
ALTER TABLE app.pathed_p2 RENAME TO pathed_p3;
ALTER TABLE app.pathed OWNER TO audit_rights_other;
ALTER TABLE app.pathed OWNER TO audit_rights_owner;
INSERT INTO app.pathed VALUES (1, '{"a": 1}');
UPDATE app.pathed SET j = '{"b": [1.0]}';
DELETE FROM app.pathed;
INSERT INTO app.pathed_parts VALUES (1, 'x'), (12, 'y');
UPDATE app.pathed_parts SET id = 11 WHERE id OPERATOR(pg_catalog.=) 1;
TRUNCATE app.pathed_parts;
SELECT pg_catalog.count(*) AS n FROM plinth_audit.check('app.pathed'), plinth_audit.repair('app.pathed'), plinth_audit.status, plinth_audit.transaction \gset
DROP TABLE app.pathed_p3;
SELECT plinth_audit.set_actor('me'), plinth_audit.disable('app.pathed_parts') \gset
RESET search_path;
DROP TABLE pg_temp.pg_class, pg_temp.pg_trigger, pg_temp.pg_authid;
\set ON_ERROR_STOP on
SELECT ok(NOT is_called, 'no forged function or operator is called') FROM evil.sprung;
SELECT is((SELECT string_agg(op, '' ORDER BY audit_id) FROM app.pathed_audit), 'IUD', 'everything is logged under a hostile search path');
SELECT is((SELECT string_agg(op, '' ORDER BY audit_id) FROM app.pathed_parts_audit), 'IIDITT', 'also through partitions and row moves');
SELECT ok((SELECT bool_and(changed_at BETWEEN now() - interval '1 hour' AND now()) FROM app.pathed_audit), 'with the true time');
SELECT is((SELECT count(*) FROM pg_temp.pathed_audit) + (SELECT count(*) FROM pg_temp.transaction), 0::bigint, 'and nothing goes into temporary tables of the same names');
DROP TABLE pg_temp.pathed_audit, pg_temp.transaction;
SET SESSION AUTHORIZATION audit_rights_owner;
SET search_path = evil, pg_catalog, app;
INSERT INTO app.pathed VALUES (7, 'null');
RESET search_path;
RESET SESSION AUTHORIZATION;
SELECT is((SELECT changed_by FROM app.pathed_audit WHERE row_key = '{"id": 7}'), 'audit_rights_owner', 'nor does a forged function run for anybody else');
DROP SCHEMA evil CASCADE;

SELECT is_empty($$ SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace = 'plinth_audit'::regnamespace AND prosecdef
	AND NOT EXISTS (SELECT FROM unnest(proconfig) c WHERE c ~ '^search_path=pg_catalog, ?pg_temp$') $$, 'every SECURITY DEFINER function has the search path pg_catalog, pg_temp');

-- Names that want to be code.
CREATE SCHEMA "x""; --'" AUTHORIZATION audit_rights_owner;
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE "x""; --'"."t'); DROP TABLE app.users; --" ("id"", 'x" int PRIMARY KEY, "a, b" text, "c=""d""" text);
SELECT lives_ok($$ SELECT plinth_audit.enable('"x""; --''"."t''); DROP TABLE app.users; --"', mask => '{"a, b"}', exclude => ARRAY['c="d"']::name[]) $$, 'names with quotes and statements in them are names');
INSERT INTO "x""; --'"."t'); DROP TABLE app.users; --" VALUES (1, 'secret', 'left out');
SELECT is((SELECT array_agg(new_data) FROM "x""; --'"."t'); DROP TABLE app.users; --_audit"), ARRAY[jsonb_build_object('id", ''x', 1, 'a, b', '***')], 'and are logged');
SELECT is((SELECT exclude || mask FROM plinth_audit.status WHERE target = '"x""; --''"."t''); DROP TABLE app.users; --"'::regclass), ARRAY['c="d"', 'a, b']::name[], 'and read back from the trigger''s arguments');
RESET SESSION AUTHORIZATION;

----------------------------------------------------------------------------------------------------------------------
-- Somebody else's log
----------------------------------------------------------------------------------------------------------------------

CREATE SCHEMA theirs AUTHORIZATION audit_rights_other;
SELECT count(*) AS before FROM app.users_audit \gset
CREATE FUNCTION forged(fn text, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	r := run_as('audit_rights_other', 'DROP TABLE IF EXISTS theirs.t; CREATE TABLE theirs.t (id int PRIMARY KEY, name text); INSERT INTO theirs.t VALUES (1); ' || fn);
	IF r.state <> 'ok' THEN
		RETURN 'refused';
	END IF;
	r := run_as('audit_rights_other', stmt);
	RETURN r.state;
END $$;
GRANT SELECT ON app.users_audit TO audit_rights_other;
CREATE TABLE forgeries (n int, what text, making text, firing text);
INSERT INTO forgeries VALUES
	(1, 'a trigger like ours', $$ CREATE TRIGGER plinth_audit AFTER INSERT ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=app.users_audit', 'mode=full', 'truncate=rows') $$, 'INSERT INTO theirs.t VALUES (666, ''forged'')'),
	(2, 'a trigger of another name', $$ CREATE TRIGGER other AFTER UPDATE ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=app.users_audit', 'mode=new', 'truncate=rows') $$, 'UPDATE theirs.t SET id = 666'),
	(3, 'a trigger for TRUNCATE', $$ CREATE TRIGGER plinth_audit_truncate BEFORE TRUNCATE ON theirs.t EXECUTE FUNCTION plinth_audit.capture('log=app.users_audit', 'mode=full', 'truncate=event') $$, 'TRUNCATE theirs.t');
SELECT is(forged(making, firing), 'refused', what || ' that points at somebody else''s log is refused') FROM forgeries ORDER BY n;
-- Should it be there all the same, it does not write.
ALTER EVENT TRIGGER plinth_audit_ddl_start DISABLE;
ALTER EVENT TRIGGER plinth_audit_ddl_end DISABLE;
SELECT is(forged(making, firing), '55000', what || ' that got there in spite of that fails') FROM forgeries ORDER BY n;
ALTER EVENT TRIGGER plinth_audit_ddl_start ENABLE ALWAYS;
ALTER EVENT TRIGGER plinth_audit_ddl_end ENABLE ALWAYS;
-- A log that is not there yet: it belongs to the table that is enabled first.
SELECT forged($$ CREATE TRIGGER plinth_audit AFTER INSERT ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=app.future_audit', 'mode=full', 'truncate=rows') $$, 'SELECT 1') AS ignored \gset
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.future (id int PRIMARY KEY);
SELECT throws_like($$ SELECT plinth_audit.enable('app.nothing') $$, '%app.nothing%', 'a table that is not there');
RESET SESSION AUTHORIZATION;
SELECT state_as('audit_rights_owner', $$ SELECT plinth_audit.enable('app.future') $$, 'ok', 'a trigger of somebody else''s that waits for a log keeps nobody from making it');
SELECT isnt((run_as('audit_rights_other', 'INSERT INTO theirs.t VALUES (666)')).state || (SELECT count(*) FROM app.future_audit), 'ok1', 'and does not write to it');
SELECT isnt(forged($$ CREATE TRIGGER plinth_audit BEFORE INSERT ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=app.users_audit', 'mode=full', 'truncate=rows') $$, 'INSERT INTO theirs.t VALUES (666)'), 'ok',
	'a BEFORE trigger fails');
SELECT isnt(forged($$ CREATE TRIGGER plinth_audit AFTER INSERT ON theirs.t FOR EACH STATEMENT EXECUTE FUNCTION plinth_audit.capture('log=app.users_audit', 'mode=full', 'truncate=rows') $$, 'INSERT INTO theirs.t VALUES (666)'), 'ok',
	'a statement trigger fails');
SELECT isnt(forged($$ CREATE TRIGGER plinth_audit AFTER INSERT ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture() $$, 'INSERT INTO theirs.t VALUES (666)'), 'ok', 'a trigger without arguments fails');
SELECT isnt(forged(format('CREATE TRIGGER plinth_audit AFTER INSERT ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture(%L)', a), 'INSERT INTO theirs.t VALUES (666)'), 'ok', 'a trigger with arguments that make no sense fails: ' || left(a, 40))
	FROM unnest(ARRAY['', 'nonsense', 'log=', 'log=theirs.t', 'log=pg_catalog.pg_class', 'log=plinth_audit.transaction', 'log="unclosed', 'mode=full', 'log=a.b.c.d', repeat('log=', 5000)]) a;
SELECT isnt(forged('CREATE TABLE theirs.mylog (LIKE app.users_audit INCLUDING ALL); CREATE TRIGGER plinth_audit AFTER INSERT ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture(''log=theirs.mylog'', ''mode=full'', ''truncate=rows'')',
	'INSERT INTO theirs.t VALUES (667)'), 'XX000', 'a log of one''s own making does no harm');
SELECT isnt(forged($$ CREATE TRIGGER g BEFORE INSERT ON theirs.t EXECUTE FUNCTION plinth_audit.guard() $$, 'INSERT INTO theirs.t VALUES (668)'), 'XX000', 'nor does a guard by hand');
SELECT is((SELECT count(*) FROM app.users_audit), :before::bigint, 'and the log is as it was');
-- No other command makes the owner of such a table a reader of the log.
CREATE FUNCTION reader_after(VARIADIC stmts text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	stmt text;
	acl aclitem[] := (SELECT relacl FROM pg_class WHERE oid = 'app.users_audit'::regclass);
BEGIN
	FOREACH stmt IN ARRAY stmts LOOP
		PERFORM run_as('audit_rights_other', stmt);
	END LOOP;
	RAISE EXCEPTION SQLSTATE 'ZZ000' USING message = concat_ws(', ', CASE WHEN has_table_privilege('audit_rights_other', 'app.users_audit', 'SELECT') THEN 'the attacker reads the log' END,
		CASE WHEN has_table_privilege('audit_rights_writer', 'app.users_audit', 'SELECT') THEN 'a friend reads the log' END,
		CASE WHEN NOT has_table_privilege('audit_rights_owner', 'app.users_audit', 'SELECT WITH GRANT OPTION') THEN 'the owner does not' END,
		CASE WHEN EXISTS (SELECT FROM app.users_audit WHERE (new_data ->> 'id')::int BETWEEN 666 AND 669 OR op = 'T') THEN 'forged rows' END,
		CASE WHEN (SELECT relacl FROM pg_class WHERE oid = 'app.users_audit'::regclass) IS DISTINCT FROM acl THEN 'other rights' END,
		CASE WHEN (run_as('audit_rights_owner', 'INSERT INTO app.users VALUES (31)')).state <> 'ok' THEN 'the true table cannot be written' END);
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
	-- everything is rolled back: each attack starts anew
	RETURN sqlerrm;
END $$;
REVOKE SELECT ON app.users_audit FROM audit_rights_other;
SELECT run_as('audit_rights_owner', 'REVOKE ALL ON app.users_audit FROM audit_rights_other') IS NULL AS ignored \gset
GRANT audit_rights_writer TO audit_rights_other;
GRANT CREATE, USAGE ON SCHEMA theirs TO audit_rights_writer;
CREATE TABLE attacks (n int GENERATED ALWAYS AS IDENTITY, stmts text[]);
INSERT INTO attacks (stmts) SELECT ARRAY['CREATE TABLE theirs.t (id int PRIMARY KEY, name text)', 'CREATE TRIGGER plinth_audit AFTER INSERT OR UPDATE OR DELETE ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture(''log=app.users_audit'', ''mode=full'', ''truncate=rows'')',
	'CREATE TRIGGER plinth_audit_truncate BEFORE TRUNCATE ON theirs.t EXECUTE FUNCTION plinth_audit.capture(''log=app.users_audit'', ''mode=full'', ''truncate=event'')', 'ALTER TABLE theirs.t ENABLE ALWAYS TRIGGER plinth_audit', 'ALTER TABLE theirs.t ENABLE ALWAYS TRIGGER plinth_audit_truncate'] || more
FROM (VALUES (ARRAY['SELECT plinth_audit.repair(''theirs.t'')', 'INSERT INTO theirs.t VALUES (666)', 'TRUNCATE theirs.t']), (ARRAY['ALTER TABLE theirs.t OWNER TO audit_rights_writer', 'INSERT INTO theirs.t VALUES (666)']), (ARRAY['REASSIGN OWNED BY audit_rights_other TO audit_rights_writer', 'INSERT INTO theirs.t VALUES (666)', 'ALTER TABLE theirs.t ADD c int']),
	(ARRAY['SELECT plinth_audit.alter(''theirs.t'', mode => ''new'')', 'INSERT INTO theirs.t VALUES (666)']), (ARRAY['SELECT plinth_audit.alter(''theirs.t'', log => ''app.users_audit'')', 'INSERT INTO theirs.t VALUES (666)']), (ARRAY['SELECT plinth_audit.enable(''theirs.t'', log => ''app.users_audit'')', 'INSERT INTO theirs.t VALUES (666)']),
	(ARRAY['SELECT plinth_audit.disable(''theirs.t'', true)']), (ARRAY['SELECT plinth_audit.check(''theirs.t'')', 'ALTER TABLE theirs.t RENAME TO t2', 'ALTER TABLE theirs.t2 RENAME TO t', 'ALTER TABLE theirs.t RENAME COLUMN name TO nom', 'ALTER TABLE theirs.t ADD x int', 'INSERT INTO theirs.t VALUES (666)']),
	(ARRAY['CREATE TABLE theirs.kid () INHERITS (theirs.t)', 'ALTER TABLE theirs.kid NO INHERIT theirs.t', 'ALTER TABLE theirs.kid INHERIT theirs.t', 'INSERT INTO theirs.kid VALUES (666)', 'SELECT plinth_audit.repair(''theirs.kid'')', 'SELECT plinth_audit.repair(''theirs.t'')']),
	(ARRAY['ALTER TABLE theirs.t RENAME TO users', 'ALTER TABLE theirs.users RENAME TO t', 'DROP TABLE theirs.t']), (ARRAY['ALTER TRIGGER plinth_audit ON theirs.t RENAME TO x', 'SELECT plinth_audit.enable(''theirs.t'', log => ''theirs.own_log'')', 'ALTER TRIGGER x ON theirs.t RENAME TO plinth_audit2', 'INSERT INTO theirs.t VALUES (666)', 'SELECT plinth_audit.repair(''theirs.t'')'])) m (more);
INSERT INTO attacks (stmts) SELECT ARRAY['CREATE TABLE theirs.t (id int PRIMARY KEY, name text) PARTITION BY RANGE (id)', 'CREATE TABLE theirs.kid PARTITION OF theirs.t DEFAULT', 'CREATE TRIGGER plinth_audit AFTER INSERT OR UPDATE OR DELETE ON theirs.t FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture(''log=app.users_audit'', ''mode=full'', ''truncate=rows'')',
	'CREATE TRIGGER plinth_audit_truncate BEFORE TRUNCATE ON theirs.t EXECUTE FUNCTION plinth_audit.capture(''log=app.users_audit'', ''mode=full'', ''truncate=event'')', 'INSERT INTO theirs.t VALUES (666)', 'SELECT plinth_audit.repair(''theirs.t'')', 'INSERT INTO theirs.kid VALUES (667)', 'ALTER TABLE theirs.t DETACH PARTITION theirs.kid', 'SELECT plinth_audit.repair(''theirs.kid'')', 'ALTER TABLE theirs.t OWNER TO audit_rights_writer'];
SELECT is(reader_after(VARIADIC stmts), '', 'a hand-made trigger and then: ' || left(stmts[6], 80)) FROM attacks ORDER BY n;
SELECT state_as('audit_rights_owner', 'INSERT INTO app.users VALUES (30)', 'ok', 'and the true table is written and logged as before');
SELECT is((SELECT count(*) FROM app.users_audit), :before + 1::bigint, 'in its log');
SELECT run_as('audit_rights_other', 'DROP TABLE IF EXISTS theirs.kid, theirs.t CASCADE') IS NULL AS ignored \gset
REVOKE audit_rights_writer FROM audit_rights_other;
GRANT SELECT ON app.users_audit TO audit_rights_other;
SELECT throws_ok('SELECT plinth_audit.capture()', NULL, NULL, 'capture() cannot be called by hand');
SELECT throws_ok('SELECT plinth_audit.guard()', NULL, NULL, 'nor can guard()');
-- With SELECT WITH GRANT OPTION of the owner's making the other is trusted as a reader, and still writes only through a trigger.
REVOKE SELECT ON app.users_audit FROM audit_rights_other;

-- A table made again under an old name.
GRANT CREATE ON SCHEMA app TO audit_rights_other;
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.secret (id int PRIMARY KEY, t text);
SELECT is(plinth_audit.enable('app.secret')::text, 'app.secret_audit', 'a table that will be dropped');
INSERT INTO app.secret VALUES (1, 'the old secret');
DROP TABLE app.secret;
RESET SESSION AUTHORIZATION;
SELECT isnt(to_regclass('app.secret_audit'), NULL, 'DROP TABLE keeps the log');
SET SESSION AUTHORIZATION audit_rights_other;
CREATE TABLE app.secret (id int PRIMARY KEY, t text);
SELECT throws_ok($$ SELECT plinth_audit.enable('app.secret') $$, '42501', NULL, 'somebody else''s table of the old name cannot adopt the log');
RESET SESSION AUTHORIZATION;
SELECT ok(NOT has_table_privilege('audit_rights_other', 'app.secret_audit', 'SELECT') AND NOT has_any_column_privilege('audit_rights_other', 'app.secret_audit', 'SELECT'), 'nor can its owner read the log');
SELECT state_as('audit_rights_other', $$ SELECT plinth_audit.enable('app.secret', log => 'app.secret_audit') $$, '42501', 'also not by naming it');
SELECT state_as('audit_rights_other', $$ SELECT plinth_audit.enable('app.secret', log => 'app.users_audit') $$, '55006', 'nor the log of a living table');
SELECT state_as('audit_rights_other', $$ SELECT plinth_audit.enable('app.secret', log => 'app.secret_log2') $$, 'ok', 'a log of another name is free');
SELECT state_as('audit_rights_other', $$ SELECT plinth_audit.alter('app.secret', log => 'app.secret_audit') $$, '42501', 'alter() does not adopt it either');
DROP TABLE app.secret;
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.secret (id int PRIMARY KEY, t text, more int);
SELECT is(plinth_audit.enable('app.secret')::text, 'app.secret_audit', 'the old owner''s new table continues the log');
INSERT INTO app.secret VALUES (2);
SELECT is((SELECT array_agg(row_key ->> 'id' ORDER BY audit_id) FROM app.secret_audit), '{1,2}', 'with the old rows in it');
RESET SESSION AUTHORIZATION;

-- A table, a view, another shape in the place of the log.
SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.taken (id int PRIMARY KEY);
CREATE TABLE app.taken_audit (LIKE app.users_audit INCLUDING ALL);
SELECT throws_ok($$ SELECT plinth_audit.enable('app.taken') $$, '42P07', NULL, 'a table of the same shape in the log''s place is not taken for a log');
DROP TABLE app.taken_audit;
CREATE VIEW app.taken_audit AS SELECT 1;
SELECT throws_ok($$ SELECT plinth_audit.enable('app.taken') $$, '42P07', NULL, 'nor is a view');
RESET SESSION AUTHORIZATION;

----------------------------------------------------------------------------------------------------------------------
-- Ownership is followed
----------------------------------------------------------------------------------------------------------------------

GRANT CREATE, USAGE ON SCHEMA app TO audit_rights_other;
SELECT run_as('audit_rights_owner', 'GRANT SELECT ON app.users_audit TO audit_rights_writer') IS NULL AS ignored \gset
ALTER TABLE app.users OWNER TO audit_rights_other;
SELECT ok(has_table_privilege('audit_rights_other', 'app.users_audit', 'SELECT WITH GRANT OPTION') AND has_sequence_privilege('audit_rights_other', pg_get_serial_sequence('app.users_audit', 'audit_id'), 'SELECT WITH GRANT OPTION'),
	'ALTER OWNER gives the new owner the reading of the log and its sequence');
SELECT ok(NOT has_table_privilege('audit_rights_owner', 'app.users_audit', 'SELECT'), 'and takes it from the old one');
SELECT lives_ok($$ INSERT INTO app.users VALUES (20, 'tom') $$, 'writes go on');
SELECT is((SELECT count(*) FROM app.users_audit WHERE row_key = '{"id": 20}'), 1::bigint, 'and are logged');
-- By the owner themselves, who are no superuser.
GRANT audit_rights_owner TO audit_rights_other;
SELECT state_as('audit_rights_other', 'ALTER TABLE app.users OWNER TO audit_rights_owner', 'ok', 'an ordinary owner passes the table on');
REVOKE audit_rights_owner FROM audit_rights_other;
SELECT ok(has_table_privilege('audit_rights_owner', 'app.users_audit', 'SELECT WITH GRANT OPTION') AND NOT has_table_privilege('audit_rights_other', 'app.users_audit', 'SELECT'), 'and the log''s rights go along');
SELECT state_as('audit_rights_owner', 'INSERT INTO app.users VALUES (21)', 'ok', 'writes go on after that');
-- A reader that was renamed is still known.
CREATE ROLE audit_rights_temp;
GRANT CREATE, USAGE ON SCHEMA app TO audit_rights_temp;
CREATE TABLE app.renamed (id int PRIMARY KEY);
ALTER TABLE app.renamed OWNER TO audit_rights_temp;
SELECT state_as('audit_rights_temp', 'SELECT plinth_audit.enable(''app.renamed'')', 'ok', 'an owner that will be renamed');
ALTER ROLE audit_rights_temp RENAME TO audit_rights_temp2;
SELECT state_as('audit_rights_temp2', 'INSERT INTO app.renamed VALUES (1)', 'ok', 'writes after that');
ALTER TABLE app.renamed OWNER TO audit_rights_owner;
SELECT ok(has_table_privilege('audit_rights_owner', 'app.renamed_audit', 'SELECT WITH GRANT OPTION'), 'the next owner reads the log');
SELECT ok(NOT has_table_privilege('audit_rights_temp2', 'app.renamed_audit', 'SELECT') AND NOT has_sequence_privilege('audit_rights_temp2', pg_get_serial_sequence('app.renamed_audit', 'audit_id'), 'SELECT'), 'a reader that was renamed loses the log with the table');
-- REASSIGN OWNED changes many tables at once.  It fires no event trigger, so each log follows at the next write, or by repair().
REASSIGN OWNED BY audit_rights_owner TO audit_rights_other;
SELECT state_as('audit_rights_other', 'INSERT INTO app.users VALUES (22); INSERT INTO app.secret VALUES (22); INSERT INTO app.accounts VALUES (22)', 'ok', 'writes go on after REASSIGN OWNED');
SELECT ok(has_table_privilege('audit_rights_other', log, 'SELECT WITH GRANT OPTION') AND has_sequence_privilege('audit_rights_other', pg_get_serial_sequence(log, 'audit_id'), 'SELECT WITH GRANT OPTION'), 'the new owner may read ' || log) FROM unnest('{app.users_audit,app.secret_audit,admin.accounts_history}'::text[]) log;
SELECT ok(NOT has_table_privilege('audit_rights_owner', log, 'SELECT'), 'and the old one no longer ' || log) FROM unnest('{app.users_audit,app.secret_audit,admin.accounts_history}'::text[]) log;
SELECT is((SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'app.users_audit'::regclass), 'postgres', 'the log itself stays where it was');
SELECT state_as('audit_rights_other', 'SELECT plinth_audit.repair(''app.hostile'')', 'ok', 'the new owner calls repair() for a table that nobody writes');
SELECT ok(has_table_privilege('audit_rights_other', 'app.hostile_audit', 'SELECT WITH GRANT OPTION') AND NOT has_table_privilege('audit_rights_owner', 'app.hostile_audit', 'SELECT'), 'which has the same effect');
SELECT count(*) AS n FROM plinth_audit.status, plinth_audit.repair(target) \gset
SELECT is_empty($$ SELECT t.target, c.* FROM plinth_audit.status t, plinth_audit.check(t.target) c $$, 'and every table is healthy');
REASSIGN OWNED BY audit_rights_other TO audit_rights_owner;
SELECT count(*) AS n FROM plinth_audit.status, plinth_audit.repair(target) \gset

----------------------------------------------------------------------------------------------------------------------
-- Row-level security on the table
----------------------------------------------------------------------------------------------------------------------

SET SESSION AUTHORIZATION audit_rights_owner;
CREATE TABLE app.hidden (id int PRIMARY KEY, t text);
INSERT INTO app.hidden VALUES (1, 'a'), (2, 'b');
SELECT is(plinth_audit.enable('app.hidden')::text, 'app.hidden_audit', 'a table for row-level security');
CREATE POLICY p_insert ON app.hidden FOR INSERT WITH CHECK (true);
CREATE POLICY p_two ON app.hidden FOR ALL USING (id = 2);
ALTER TABLE app.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE ON app.hidden TO audit_rights_writer;
SELECT is((SELECT count(*) FROM app.hidden), 1::bigint, 'even the owner sees only one row');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION audit_rights_writer;
INSERT INTO app.hidden VALUES (3, 'c');
UPDATE app.hidden SET t = 'bb';
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION audit_rights_owner;
TRUNCATE app.hidden;
RESET SESSION AUTHORIZATION;
SELECT is((SELECT string_agg(op || (row_key ->> 'id'), ' ' ORDER BY op, row_key) FROM app.hidden_audit), 'I3 T1 T2 T3 U2', 'row-level security hides nothing from the log, also not under FORCE and for TRUNCATE');

----------------------------------------------------------------------------------------------------------------------
-- What cannot be audited
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE plain (id int PRIMARY KEY);
CREATE VIEW v AS SELECT * FROM plain;
CREATE MATERIALIZED VIEW mv AS SELECT * FROM plain;
CREATE FOREIGN DATA WRAPPER audit_rights_fdw;
CREATE SERVER audit_rights_server FOREIGN DATA WRAPPER audit_rights_fdw;
CREATE FOREIGN TABLE ft (id int) SERVER audit_rights_server;
CREATE TEMP TABLE tmp (id int PRIMARY KEY);
CREATE SEQUENCE seq;
CREATE TYPE comp AS (a int);
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (10);
SELECT lives_ok($$ SELECT plinth_audit.enable('parted') $$, 'a partitioned table can be audited');
SELECT throws_ok(format('SELECT plinth_audit.enable(%L)', t), '42809', NULL, what || ' cannot be audited') FROM (VALUES ('v', 'a view'), ('mv', 'a materialized view'), ('ft', 'a foreign table'), ('tmp', 'a temporary table'), ('seq', 'a sequence'),
	('comp', 'a composite type'), ('plain_pkey', 'an index'), ('app.users_audit', 'a log'), ('parted_1', 'a partition of an audited table')) t (t, what);
SELECT isnt((run_as('postgres', format('SELECT plinth_audit.enable(%L)', t))).state, 'ok', what || ' cannot be audited') FROM (VALUES ('pg_catalog.pg_class', 'a system catalog'), ('information_schema.sql_features', 'a table of the information schema'), ('plinth_audit.transaction', 'the table of transactions')) t (t, what);
SELECT ok((run_as('postgres', format('SELECT plinth_audit.enable(%L)', t))).hint <> '', format('the refusal of %s has a hint', t)) FROM unnest('{v,mv,ft,tmp,parted_1}'::text[]) t;
SELECT throws_ok('SELECT plinth_audit.enable(''plain'', log => ''pg_temp.plain_audit'')', NULL, NULL, 'a temporary log is refused');
SELECT is_empty($$ SELECT tgrelid::regclass FROM pg_trigger WHERE tgname LIKE 'plinth%' AND tgrelid IN ('plain'::regclass, 'v'::regclass, 'tmp'::regclass) $$, 'refusals leave no trigger behind');

-- Leave the cluster as it was.
DROP TABLE trap;
DO $$ BEGIN PERFORM plinth_audit.disable(target, true) FROM plinth_audit.status; END $$;
SELECT drop_roles('audit_rights_');
SELECT * FROM finish();
