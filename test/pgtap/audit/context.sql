-- Each writing transaction has one row in plinth_audit.transaction, which says who claims to have done it and why.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;

-- First, because DISCARD ALL takes pgTAP's temporary tables with it.
CREATE TABLE pooled (id int PRIMARY KEY);
SELECT plinth_audit.enable('pooled') IS NULL AS ignored \gset
SET plinth_audit.actor = 'the client before';
SET plinth_audit.context = '{"client": "before"}';
INSERT INTO pooled VALUES (1);
DISCARD ALL;
INSERT INTO pooled VALUES (2);
SET client_min_messages = error;

-- Settings made before the library is loaded: a new session.
\c
SET plinth_audit.actor = 'early bird';
SET plinth_audit.context = 'not json';
SET client_min_messages = error;
INSERT INTO pooled VALUES (3);
RESET plinth_audit.actor;
RESET plinth_audit.context;

SELECT plan(66);
SELECT results_eq('SELECT actor, context FROM plinth_audit.transaction ORDER BY ended_at', $$ VALUES ('the client before', '{"client": "before"}'::jsonb), (NULL, NULL), ('early bird', NULL) $$, 'DISCARD ALL clears actor and context, as poolers expect; what was set before the library was loaded counts, if it is valid');

\ir ../../lib/roles.sql
SELECT drop_roles('audit_context_');
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;

CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE "B b" (id int PRIMARY KEY, v text);
CREATE TABLE other (id int PRIMARY KEY);
SELECT plinth_audit.enable('a'), plinth_audit.enable('"B b"'), plinth_audit.enable('other', mode => 'delta') \gset

-- The rows that came since the last time: actor, context, logs.
CREATE TABLE seen (id xid8);
CREATE FUNCTION new_rows() RETURNS SETOF text LANGUAGE sql VOLATILE AS $$
	WITH n AS (SELECT * FROM plinth_audit.transaction WHERE transaction_id NOT IN (TABLE seen)), s AS (INSERT INTO seen SELECT transaction_id FROM n)
	SELECT concat_ws(' ', coalesce(actor, '-'), coalesce(context::text, '-'), logs) FROM n ORDER BY ended_at $$;
CREATE FUNCTION rows_are(wanted text[], description text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT is(ARRAY(SELECT new_rows()), wanted, description) $$;
SELECT count(*) AS n FROM new_rows() \gset

----------------------------------------------------------------------------------------------------------------------
-- One row for each writing transaction
----------------------------------------------------------------------------------------------------------------------

SELECT has_table('plinth_audit', 'transaction', 'the table is made by the first enable()');
SELECT results_eq($$ SELECT attname::text COLLATE "default", format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'plinth_audit.transaction'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum $$,
	$$ VALUES ('transaction_id', 'xid8'), ('started_at', 'timestamp with time zone'), ('ended_at', 'timestamp with time zone'), ('session_user_name', 'text'), ('application_name', 'text'), ('client_addr', 'inet'), ('client_port', 'integer'), ('backend_pid', 'integer'), ('actor', 'text'), ('context', 'jsonb'), ('logs', 'text[]') $$, 'its columns');
SELECT col_is_pk('plinth_audit', 'transaction', '{transaction_id,started_at}'::name[], 'its key');

SET application_name = 'context.sql "test"';
BEGIN;
SELECT pg_current_xact_id() AS xid, now() AS started \gset
INSERT INTO a VALUES (1, 'x'), (2, 'x');
UPDATE a SET v = 'y';
INSERT INTO "B b" VALUES (1, 'x');
COMMIT;
SELECT rows_are(ARRAY['- - {public.a_audit,"public.\"B b_audit\""}'], 'one row for a transaction that writes two tables with several statements');
SELECT results_eq($$ SELECT transaction_id::text, started_at, ended_at BETWEEN started_at AND clock_timestamp(), session_user_name, application_name, backend_pid, client_addr IS NOT DISTINCT FROM inet_client_addr(), client_port IS NOT DISTINCT FROM inet_client_port()
	FROM plinth_audit.transaction ORDER BY ended_at DESC LIMIT 1 $$, format('VALUES (%L, %L::timestamptz, true, %L, %L, %s, true, true)', :'xid', :'started', 'postgres', 'context.sql "test"', pg_backend_pid()), 'with everything that it says');
SELECT is((SELECT array_agg(DISTINCT transaction_id::text) FROM a_audit), ARRAY[:'xid'], 'and the id under which the log has it');
INSERT INTO a VALUES (3, 'x');
SELECT rows_are(ARRAY['- - {public.a_audit}'], 'a single statement');
CREATE TABLE unaudited (id int);
INSERT INTO unaudited VALUES (1);
UPDATE a SET v = 'x' WHERE id = 99;
INSERT INTO other VALUES (1) ON CONFLICT DO NOTHING;
SELECT count(*) AS n FROM new_rows() \gset
UPDATE other SET id = id;
INSERT INTO other VALUES (1) ON CONFLICT DO NOTHING;
SELECT count(*) AS n FROM a \gset
BEGIN;
INSERT INTO a VALUES (4, 'x');
ROLLBACK;
SELECT rows_are('{}', 'no row for a transaction that logs nothing or is rolled back');

----------------------------------------------------------------------------------------------------------------------
-- Savepoints
----------------------------------------------------------------------------------------------------------------------

BEGIN;
SAVEPOINT s;
INSERT INTO a VALUES (10, 'x');
ROLLBACK TO s;
COMMIT;
SELECT rows_are('{}', 'no row if nothing survives');
BEGIN;
SAVEPOINT s;
INSERT INTO a VALUES (10, 'x');
ROLLBACK TO s;
INSERT INTO "B b" VALUES (10, 'x');
COMMIT;
SELECT rows_are(ARRAY['- - {"public.\"B b_audit\""}'], 'one row if something survives, with the logs that have it');
BEGIN;
INSERT INTO a VALUES (11, 'x');
SAVEPOINT s;
INSERT INTO a VALUES (12, 'x');
INSERT INTO "B b" VALUES (12, 'x');
ROLLBACK TO s;
SAVEPOINT t;
INSERT INTO a VALUES (13, 'x');
RELEASE t;
COMMIT;
SELECT rows_are(ARRAY['- - {public.a_audit}'], 'one row, not two');
DO $$
BEGIN
	BEGIN
		INSERT INTO a VALUES (14, 'x');
		RAISE 'x';
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	BEGIN
		INSERT INTO a VALUES (15, 'x');
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
END $$;
SELECT rows_are(ARRAY['- - {public.a_audit}'], 'exception blocks');
CREATE PROCEDURE two() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO a VALUES (16, 'x'); COMMIT; INSERT INTO a VALUES (17, 'x'); COMMIT; END $$;
CALL two();
SELECT rows_are(ARRAY['- - {public.a_audit}', '- - {public.a_audit}'], 'a procedure that commits has two transactions');
BEGIN;
INSERT INTO a VALUES (18, 'x');
COMMIT AND CHAIN;
INSERT INTO a VALUES (19, 'x');
COMMIT;
SELECT rows_are(ARRAY['- - {public.a_audit}', '- - {public.a_audit}'], 'COMMIT AND CHAIN as well');

-- What is written at commit by deferred triggers counts too.
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO a VALUES (new.id + 1000, 'late'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON unaudited DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
INSERT INTO unaudited VALUES (2);
SELECT rows_are(ARRAY['- - {public.a_audit}'], 'a transaction that writes only at commit');
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO a VALUES (20, 'x');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) AS n FROM a \gset
INSERT INTO a VALUES (21, 'x');
COMMIT;
SELECT rows_are(ARRAY['- - {public.a_audit}', '- - {public.a_audit}'], 'at every isolation level');

-- Two-phase commit.
SELECT current_setting('max_prepared_transactions')::int > 0 AS can_prepare \gset
\if :can_prepare
	BEGIN;
	SET LOCAL plinth_audit.actor = 'prepared';
	INSERT INTO a VALUES (30, 'x');
	SELECT pg_current_xact_id() AS xid \gset
	PREPARE TRANSACTION 'audit_context';
	SELECT rows_are('{}', 'a prepared transaction is not there yet');
	INSERT INTO a VALUES (31, 'x');
	SELECT rows_are(ARRAY['- - {public.a_audit}'], 'the next transaction of the session has its own row');
	COMMIT PREPARED 'audit_context';
	SELECT is((SELECT actor || transaction_id::text FROM plinth_audit.transaction WHERE transaction_id::text = :'xid'), 'prepared' || :'xid', 'and is when it is committed, as it was when it was prepared');
	SELECT count(*) AS n FROM new_rows() \gset
	BEGIN;
	INSERT INTO a VALUES (32, 'x');
	PREPARE TRANSACTION 'audit_context';
	ROLLBACK PREPARED 'audit_context';
	SELECT rows_are('{}', 'one that is rolled back never');
\else
	SELECT skip('max_prepared_transactions is 0', 4);
\endif

----------------------------------------------------------------------------------------------------------------------
-- Actor and context
----------------------------------------------------------------------------------------------------------------------

BEGIN;
SET LOCAL plinth_audit.actor = 'jane "x" é';
SET LOCAL plinth_audit.context = '{"request": 7, "amount": 1.00}';
INSERT INTO a VALUES (40, 'x');
COMMIT;
INSERT INTO a VALUES (41, 'x');
SELECT rows_are(ARRAY['jane "x" é {"amount": 1.00, "request": 7} {public.a_audit}', '- - {public.a_audit}'], 'SET LOCAL ends with the transaction');
BEGIN;
SELECT plinth_audit.set_actor('joe'), plinth_audit.set_context('{"a": [1, null]}') \gset
INSERT INTO a VALUES (42, 'x');
COMMIT;
INSERT INTO a VALUES (43, 'x');
SELECT rows_are(ARRAY['joe {"a": [1, null]} {public.a_audit}', '- - {public.a_audit}'], 'set_actor() and set_context() as well');
SELECT is(current_setting('plinth_audit.actor', true), '', 'nothing stays in the session');
SET plinth_audit.actor = 'session';
SET plinth_audit.context = '{"s": 1}';
INSERT INTO a VALUES (44, 'x');
RESET plinth_audit.actor;
INSERT INTO a VALUES (45, 'x');
RESET ALL;
SET client_min_messages = error;
INSERT INTO a VALUES (46, 'x');
SELECT rows_are(ARRAY['session {"s": 1} {public.a_audit}', '- {"s": 1} {public.a_audit}', '- - {public.a_audit}'], 'SET for the session, until RESET');
BEGIN;
INSERT INTO a VALUES (48, 'x');
SET LOCAL plinth_audit.actor = 'after the writing';
COMMIT;
SELECT rows_are(ARRAY['after the writing - {public.a_audit}'], 'what counts is the value in force at commit');
BEGIN;
SET LOCAL plinth_audit.actor = 'outer';
SAVEPOINT s;
SET LOCAL plinth_audit.actor = 'inner';
ROLLBACK TO s;
INSERT INTO a VALUES (49, 'x');
COMMIT;
SELECT rows_are(ARRAY['outer - {public.a_audit}'], 'a setting that is rolled back does not count');
CREATE FUNCTION with_set() RETURNS void LANGUAGE sql SET plinth_audit.actor = 'function' AS $$ INSERT INTO a VALUES (50, 'x') $$;
SELECT with_set() IS NULL AS ignored \gset
SELECT rows_are(ARRAY['- - {public.a_audit}'], 'nor does that of a function that is over');
SELECT plinth_audit.set_actor(NULL), plinth_audit.set_context(NULL) \gset
INSERT INTO a VALUES (51, 'x');
SELECT rows_are(ARRAY['- - {public.a_audit}'], 'NULL is no actor and no context');
BEGIN;
SELECT plinth_audit.set_actor(''), plinth_audit.set_context('{}') \gset
INSERT INTO a VALUES (52, 'x');
COMMIT;
SELECT rows_are(ARRAY['- {} {public.a_audit}'], 'an empty actor is none; an empty context is one');
SELECT throws_ok($$ SET plinth_audit.context = 'no json' $$, '22023', NULL, 'context must be JSON');
SELECT throws_ok($$ SET plinth_audit.context = '{"a": 1' $$, '22023', NULL, 'all of it');
SELECT is(coalesce(current_setting('plinth_audit.context', true), ''), '', 'a refused value changes nothing');
SELECT lives_ok($$ SET plinth_audit.context = ' [1, "two", {"three": null}] ' $$, 'any JSON will do');
INSERT INTO a VALUES (53, 'x');
SELECT rows_are(ARRAY['- [1, "two", {"three": null}] {public.a_audit}'], 'and is recorded');
-- JSON that jsonb cannot hold: either refused at once, or the commit survives it.
\set ON_ERROR_STOP off
SET plinth_audit.context = '{"a": "x\u0000y"}';
INSERT INTO a VALUES (54, 'x');
SET plinth_audit.context = '[1e1000000]';
INSERT INTO a VALUES (55, 'x');
SET plinth_audit.context = '"\ud800"';
INSERT INTO a VALUES (56, 'x');
RESET plinth_audit.context;
SELECT set_config('plinth_audit.context', repeat('[', 3000) || repeat(']', 3000), false) IS NULL AS ignored \gset
INSERT INTO a VALUES (57, 'x');
RESET plinth_audit.context;
SELECT set_config('plinth_audit.context', to_jsonb(repeat('x', 5000000))::text, false) IS NULL AS ignored \gset
INSERT INTO a VALUES (58, 'x');
RESET plinth_audit.context;
SELECT set_config('plinth_audit.actor', repeat('y', 5000000), false) IS NULL AS ignored \gset
INSERT INTO a VALUES (59, 'x');
RESET plinth_audit.actor;
\set ON_ERROR_STOP on
SELECT is((SELECT count(*) FROM a WHERE id BETWEEN 54 AND 59), 6::bigint, 'no context makes a commit fail');
SELECT is((SELECT count(*) FROM new_rows()), 6::bigint, 'and each transaction has its row');
SELECT set_config('plinth_audit.context', '', false) IS NULL AS ignored \gset
INSERT INTO a VALUES (60, 'x');
SELECT rows_are(ARRAY['- - {public.a_audit}'], 'an empty string is no context');

----------------------------------------------------------------------------------------------------------------------
-- Who may read it
----------------------------------------------------------------------------------------------------------------------

CREATE ROLE audit_context_reader;
CREATE ROLE audit_context_owner;
CREATE ROLE audit_context_nobody;
CREATE SCHEMA own AUTHORIZATION audit_context_owner;
SET SESSION AUTHORIZATION audit_context_owner;
CREATE TABLE own.t (id int PRIMARY KEY);
SELECT plinth_audit.enable('own.t') IS NULL AS ignored \gset
INSERT INTO own.t VALUES (1);
INSERT INTO own.t VALUES (2);
SELECT is((SELECT count(*) FROM plinth_audit.transaction), 2::bigint, 'the owner of a table reads the transactions that wrote it, and no others');
SELECT is((SELECT array_agg(DISTINCT logs::text) FROM plinth_audit.transaction), ARRAY['{own.t_audit}'], 'as they are');
RESET SESSION AUTHORIZATION;
GRANT SELECT ON "B b_audit" TO audit_context_reader;
SET ROLE audit_context_reader;
SELECT is((SELECT count(*) FROM plinth_audit.transaction WHERE NOT logs @> ARRAY['public."B b_audit"']), 0::bigint, 'whoever may read a log reads the transactions that it has');
SELECT is((SELECT count(*) FROM plinth_audit.transaction), 2::bigint, 'all of them');
RESET ROLE;
SET ROLE audit_context_nobody;
SELECT is((SELECT count(*) FROM plinth_audit.transaction), 0::bigint, 'nobody else reads any');
RESET ROLE;
GRANT SELECT (op) ON a_audit TO audit_context_nobody;
SET ROLE audit_context_nobody;
SELECT lives_ok('SELECT count(*) FROM plinth_audit.transaction', 'one column of a log does no harm');
RESET ROLE;
GRANT pg_read_all_data TO audit_context_nobody;
SET ROLE audit_context_nobody;
SELECT cmp_ok((SELECT count(*) FROM plinth_audit.transaction), '>', 10::bigint, 'pg_read_all_data reads all');
RESET ROLE;
REVOKE pg_read_all_data FROM audit_context_nobody;
-- A log that is gone or renamed.
ALTER TABLE own.t_audit RENAME TO t_history;
SET ROLE audit_context_owner;
SELECT lives_ok('SELECT count(*) FROM plinth_audit.transaction', 'a log that was renamed makes no reader fail');
INSERT INTO own.t VALUES (3);
SELECT is((SELECT logs FROM plinth_audit.transaction ORDER BY ended_at DESC LIMIT 1), '{own.t_history}', 'the new name is recorded from then on');
RESET ROLE;
DROP TABLE own.t, own.t_history;
SET ROLE audit_context_owner;
SELECT lives_ok('SELECT count(*) FROM plinth_audit.transaction', 'nor does a log that is gone');
RESET ROLE;
SELECT ok(relrowsecurity, 'row-level security is on') FROM pg_class WHERE oid = 'plinth_audit.transaction'::regclass;

-- The claim may be made by anybody, the capture may not be switched off by anybody.
SELECT is((SELECT context FROM pg_settings WHERE name = 'plinth_audit.capture'), 'superuser', 'plinth_audit.capture is for superusers');
SET plinth_audit.capture = off;
INSERT INTO a VALUES (70, 'uncaptured');
TRUNCATE "B b";
RESET plinth_audit.capture;
SELECT is((SELECT count(*) FROM a_audit WHERE row_key = '{"id": 70}') + (SELECT count(*) FROM "B b_audit" WHERE op = 'T'), 0::bigint, 'capture = off logs nothing');
SELECT count(*) AS n FROM new_rows() \gset
INSERT INTO a VALUES (71, 'captured');
SELECT rows_are(ARRAY['- - {public.a_audit}'], 'and on again');

-- Without the table no audited transaction commits; the log may go in the very transaction that wrote it.
ALTER TABLE plinth_audit.transaction RENAME TO elsewhere;
\set ON_ERROR_STOP off
INSERT INTO a VALUES (72, 'x');
SELECT :'LAST_ERROR_SQLSTATE' AS state \gset
\set ON_ERROR_STOP on
ALTER TABLE plinth_audit.elsewhere RENAME TO transaction;
SELECT is(:'state'::text, '55000', 'without the table of transactions no audited transaction commits');
SELECT is((SELECT count(*) FROM a WHERE id = 72) + (SELECT count(*) FROM a_audit WHERE row_key = '{"id": 72}'), 0::bigint, 'and nothing of it stays');
INSERT INTO a VALUES (72, 'x');
SELECT count(*) AS n FROM new_rows() \gset
CREATE TABLE brief (id int PRIMARY KEY);
SELECT plinth_audit.enable('brief') IS NULL AS ignored \gset
BEGIN;
INSERT INTO brief VALUES (1);
SELECT plinth_audit.disable('brief', drop_log => true) IS NULL AS ignored \gset
COMMIT;
SELECT ok(to_regclass('brief_audit') IS NULL AND (SELECT count(*) FROM brief) = 1, 'disable() in the transaction that wrote');
SELECT plinth_audit.enable('brief') IS NULL AS ignored \gset
BEGIN;
INSERT INTO brief VALUES (2);
DROP TABLE brief;
COMMIT;
SELECT is((SELECT count(*) FROM brief_audit), 1::bigint, 'DROP TABLE in the transaction that wrote');
BEGIN;
CREATE TABLE brief (id int PRIMARY KEY);
SELECT plinth_audit.enable('brief') IS NULL AS ignored \gset
INSERT INTO brief VALUES (3);
COMMIT;
SELECT is((SELECT count(*) FROM brief_audit JOIN plinth_audit.transaction USING (transaction_id)), 2::bigint, 'enable() in the transaction that wrote');
SELECT count(*) AS n FROM new_rows() \gset

----------------------------------------------------------------------------------------------------------------------
-- It outlives the extension
----------------------------------------------------------------------------------------------------------------------

SELECT is((SELECT count(*) FROM pg_depend WHERE objid = 'plinth_audit.transaction'::regclass AND deptype = 'e'), 0::bigint, 'the table is not a member of the extension, so that pg_dump takes it');
SELECT count(*) AS before FROM plinth_audit.transaction \gset
SELECT count(*) AS logged FROM a_audit \gset
DROP EXTENSION plinth_audit CASCADE;
SELECT is((SELECT count(*) FROM a_audit), :logged::bigint, 'DROP EXTENSION CASCADE keeps the logs');
SELECT CASE WHEN to_regclass('plinth_audit.transaction') IS NOT NULL THEN is((SELECT count(*) FROM plinth_audit.transaction), :before::bigint, 'and the table of transactions') ELSE fail('and the table of transactions') END;
INSERT INTO a VALUES (80, 'x');
SELECT is((SELECT count(*) FROM a_audit), :logged::bigint, 'the table is an ordinary one again');
CREATE EXTENSION plinth_audit;
SELECT is(plinth_audit.enable('a')::text, 'a_audit', 'the log is adopted when the extension comes back');
BEGIN;
SET LOCAL plinth_audit.actor = 'back';
INSERT INTO a VALUES (81, 'x');
COMMIT;
SELECT is((SELECT count(*) FROM plinth_audit.transaction), :before + 1::bigint, 'and so is the table of transactions');
SELECT is((SELECT actor FROM plinth_audit.transaction ORDER BY ended_at DESC LIMIT 1), 'back', 'with new rows in it');
SELECT is((SELECT count(*) FROM a_audit), :logged + 1::bigint, 'and in the log');
SET ROLE audit_context_nobody;
SELECT is((SELECT count(*) FROM plinth_audit.transaction), 0::bigint, 'with its policy');
RESET ROLE;

SELECT drop_roles('audit_context_');
SELECT * FROM finish();
