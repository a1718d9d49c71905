-- Changes of the table's definition are followed, damage is seen and mended, and a log that is missing or altered stops
-- the write instead of losing it.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;
SELECT plan(147);

\ir ../../lib/roles.sql
SELECT drop_roles('audit_ddl_');

CREATE FUNCTION said(log regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT concat_ws('' '', op, coalesce(row_key::text, ''-''), old_data, ''>'' || new_data::text, note) FROM %s ORDER BY max(audit_id) OVER (PARTITION BY transaction_id), command_id, audit_id', log);
	EXECUTE format('DELETE FROM %s', log);
END $$;
CREATE FUNCTION says(log regclass, wanted text[], description text) RETURNS text LANGUAGE sql AS $$ SELECT is(ARRAY(SELECT said(log)), wanted, description) $$;
CREATE FUNCTION healthy(t regclass, description text) RETURNS text LANGUAGE sql AS $$ SELECT is((SELECT string_agg(c::text, E'\n') FROM plinth_audit.check(t) c), NULL, description) $$;
CREATE FUNCTION fails_closed(stmt text, description text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	message text;
BEGIN
	EXECUTE stmt;
	RETURN NEXT fail(description || ': 55000');
	RETURN NEXT fail(description || ': a hint that names repair');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, message = MESSAGE_TEXT;
	RETURN NEXT is(sqlstate, '55000', description || ': 55000') || CASE WHEN sqlstate <> '55000' THEN E'\n' || diag(message) ELSE '' END;
	RETURN NEXT ok(hint ~ 'repair', description || ': a hint that names repair');
END $$;

----------------------------------------------------------------------------------------------------------------------
-- The table changes
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE t (id int PRIMARY KEY, a int, b text);
SELECT is(plinth_audit.enable('t')::text, 't_audit', 'a table');
INSERT INTO t VALUES (1, 1, 'x');
ALTER TABLE t ADD COLUMN c numeric DEFAULT 1.50;
UPDATE t SET a = 2;
ALTER TABLE t DROP COLUMN b;
UPDATE t SET a = 3;
ALTER TABLE t RENAME COLUMN a TO "A a";
UPDATE t SET "A a" = 4;
ALTER TABLE t ALTER COLUMN "A a" TYPE text USING 'n' || "A a";
UPDATE t SET "A a" = 'five';
ALTER TABLE t RENAME COLUMN id TO key;
UPDATE t SET key = 2;
ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (key, "A a");
DELETE FROM t;
SELECT says('t_audit', ARRAY['I {"id": 1} >{"a": 1, "b": "x", "id": 1}', 'U {"id": 1} {"a": 1, "b": "x", "c": 1.50, "id": 1} >{"a": 2, "b": "x", "c": 1.50, "id": 1}', 'U {"id": 1} {"a": 2, "c": 1.50, "id": 1} >{"a": 3, "c": 1.50, "id": 1}',
	'U {"id": 1} {"c": 1.50, "id": 1, "A a": 3} >{"c": 1.50, "id": 1, "A a": 4}', 'U {"id": 1} {"c": 1.50, "id": 1, "A a": "n4"} >{"c": 1.50, "id": 1, "A a": "five"}', 'U {"key": 1} {"c": 1.50, "A a": "five", "key": 1} >{"c": 1.50, "A a": "five", "key": 2}',
	'D {"A a": "five", "key": 2} {"c": 1.50, "A a": "five", "key": 2}'], 'columns added, dropped, renamed and retyped, keys renamed and changed, between two statements of one session');
-- All that within one transaction, with writes between and a rollback.
BEGIN;
INSERT INTO t VALUES (1, 'x', 1);
SAVEPOINT s;
ALTER TABLE t ADD COLUMN gone int DEFAULT 1;
INSERT INTO t VALUES (2, 'y', 2);
ROLLBACK TO s;
INSERT INTO t VALUES (3, 'z', 3);
ALTER TABLE t DROP COLUMN c;
UPDATE t SET key = 4 WHERE key = 3;
COMMIT;
SELECT says('t_audit', ARRAY['I {"A a": "x", "key": 1} >{"c": 1, "A a": "x", "key": 1}', 'I {"A a": "z", "key": 3} >{"c": 3, "A a": "z", "key": 3}', 'U {"A a": "z", "key": 3} {"A a": "z", "key": 3} >{"A a": "z", "key": 4}'], 'within one transaction, with a rollback');
ALTER TABLE t ADD COLUMN e text;
CREATE TYPE en AS ENUM ('a', 'b');
ALTER TABLE t ADD COLUMN en en DEFAULT 'a';
ALTER TYPE en RENAME VALUE 'a' TO 'alpha';
CREATE TYPE co AS (x int);
ALTER TABLE t ADD COLUMN co co;
UPDATE t SET co = ROW (1) WHERE key = 1;
ALTER TYPE co ADD ATTRIBUTE y int CASCADE;
ALTER TYPE co RENAME ATTRIBUTE x TO z CASCADE;
DELETE FROM t_audit;
UPDATE t SET e = 'e' WHERE key = 1;
SELECT is((SELECT new_data FROM t_audit), '{"A a": "x", "key": 1, "e": "e", "en": "alpha", "co": {"y": null, "z": 1}}', 'types that change under the table');
SELECT healthy('t', 'the table is healthy after all that');

-- Names.
ALTER TABLE t RENAME TO "T t";
DELETE FROM t_audit;
UPDATE "T t" SET e = 'renamed';
SELECT is((SELECT count(*) FROM t_audit), 2::bigint, 'a renamed table keeps its log');
SELECT is((SELECT log::text FROM plinth_audit.status WHERE target = '"T t"'::regclass), 't_audit', 'under the name that it had');
CREATE SCHEMA s1;
ALTER TABLE "T t" SET SCHEMA s1;
UPDATE s1."T t" SET e = 'moved';
SELECT is((SELECT count(*) FROM t_audit), 4::bigint, 'a table moved to another schema too');
ALTER TABLE t_audit RENAME TO "History h";
UPDATE s1."T t" SET e = 'log renamed';
SELECT is((SELECT count(*) FROM "History h"), 6::bigint, 'the log may be renamed');
CREATE SCHEMA "S 2";
ALTER TABLE "History h" SET SCHEMA "S 2";
UPDATE s1."T t" SET e = 'log moved';
SELECT is((SELECT count(*) FROM "S 2"."History h"), 8::bigint, 'and moved');
ALTER SCHEMA "S 2" RENAME TO s3;
ALTER SCHEMA s1 RENAME TO "S 1";
UPDATE "S 1"."T t" SET e = 'schemas renamed';
SELECT is((SELECT count(*) FROM s3."History h"), 10::bigint, 'schemas may be renamed');
SELECT is((SELECT log::text FROM plinth_audit.status WHERE target = '"S 1"."T t"'::regclass), 's3."History h"', 'status knows where the log is');
SELECT healthy('"S 1"."T t"', 'and all is well');
SELECT is(plinth_audit.enable('"S 1"."T t"')::text, 's3."History h"', 'enable() again with the same options returns the log that there is');
-- Another table of the old name is another table.
CREATE TABLE t (id int PRIMARY KEY);
SELECT is(plinth_audit.enable('t')::text, 't_audit', 'the old names are free');
INSERT INTO t VALUES (1);
SELECT is((SELECT count(*) FROM t_audit), 1::bigint, 'for a log of its own');
-- Two tables swap their names, as people do who rebuild a table; the logs go with the tables.
CREATE TABLE sw1 (id int PRIMARY KEY);
CREATE TABLE sw2 (id int PRIMARY KEY);
SELECT plinth_audit.enable('sw1'), plinth_audit.enable('sw2') \gset
BEGIN;
ALTER TABLE sw1 RENAME TO sw0;
ALTER TABLE sw2 RENAME TO sw1;
ALTER TABLE sw0 RENAME TO sw2;
ALTER TABLE sw1_audit RENAME TO sw0_audit;
ALTER TABLE sw2_audit RENAME TO sw1_audit;
ALTER TABLE sw0_audit RENAME TO sw2_audit;
COMMIT;
INSERT INTO sw1 VALUES (1);
SELECT is((SELECT count(*) FROM sw1_audit) * 10 + (SELECT count(*) FROM sw2_audit), 10::bigint, 'two tables and their logs swap names');
SELECT healthy('sw1', 'and one is healthy'); SELECT healthy('sw2', 'and so is the other');
DROP TABLE sw1_audit, sw2_audit, sw1, sw2;

-- Storage.
CREATE TABLE st (id int PRIMARY KEY, v text);
SELECT plinth_audit.enable('st') IS NULL AS ignored \gset
INSERT INTO st VALUES (1, 'a');
VACUUM FULL st;
VACUUM FULL st_audit;
CLUSTER st USING st_pkey;
REINDEX TABLE st_audit;
TRUNCATE st_audit;
ALTER TABLE st SET UNLOGGED;
CREATE INDEX ON st_audit (row_key);
CREATE INDEX ON st_audit USING gin (new_data jsonb_path_ops);
CREATE INDEX ON st_audit ((new_data ->> 'v')) WHERE op = 'I';
INSERT INTO st VALUES (2, 'b'), (3, 'c');
SET enable_seqscan = off;
SELECT is((SELECT count(*) FROM st_audit WHERE row_key = '{"id": 2}') + (SELECT count(*) FROM st_audit WHERE new_data @> '{"v": "b"}') + (SELECT count(*) FROM st_audit WHERE new_data ->> 'v' = 'b' AND op = 'I'), 3::bigint, 'indexes that somebody puts on the log are kept up');
RESET enable_seqscan;
SELECT lives_ok($$ SELECT plinth_audit.disable('st', drop_log => true) $$, 'disabled with its log');

----------------------------------------------------------------------------------------------------------------------
-- enable, alter, disable
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE o (id int PRIMARY KEY, a text, b text);
SELECT is(plinth_audit.enable('o', mode => 'delta', exclude => '{b}')::text, 'o_audit', 'enable()');
SELECT is(plinth_audit.enable('o', mode => 'delta', exclude => '{b}')::text, 'o_audit', 'again with the same options: the log');
SELECT throws_ok($$ SELECT plinth_audit.enable('o') $$, '42710', NULL, 'with other options: an error');
SELECT throws_matching($$ SELECT plinth_audit.enable('o', mode => 'full') $$, 'o', 'that says what it is about');
SELECT throws_ok($$ SELECT plinth_audit.enable('o', mode => 'delta') $$, '42710', NULL, 'a list that is missing is another option');
SELECT throws_ok($$ SELECT plinth_audit.enable('o', mode => 'delta', exclude => '{b}', log => 'elsewhere') $$, '42710', NULL, 'and so is another log');
CREATE FUNCTION detail_of(stmt text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE a text; b text; c text; BEGIN EXECUTE stmt; RETURN 'no error'; EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS a = MESSAGE_TEXT, b = PG_EXCEPTION_DETAIL, c = PG_EXCEPTION_HINT; RETURN concat_ws(' ', a, b, c); END $$;
SELECT matches(detail_of($$ SELECT plinth_audit.enable('o', mode => 'new', mask => '{a}') $$), 'delta.*new|new.*delta', 'the error names both');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'o'::regclass AND tgname LIKE 'plinth_audit%'), 2::bigint, 'the table has the two triggers, once each');
SELECT results_eq($$ SELECT tgname::text COLLATE "default", tgenabled::text, tgfoid::regproc::text FROM pg_trigger WHERE tgrelid = 'o'::regclass ORDER BY 1 $$, $$ VALUES ('plinth_audit', 'A', 'plinth_audit.capture'), ('plinth_audit_truncate', 'A', 'plinth_audit.capture') $$, 'always on, and ours');
SELECT results_eq($$ SELECT tgname::text COLLATE "default", tgenabled::text, tgfoid::regproc::text FROM pg_trigger WHERE tgrelid = 'o_audit'::regclass $$, $$ VALUES ('plinth_audit_guard', 'A', 'plinth_audit.guard') $$, 'the log has its guard');
SELECT is(plinth_audit.alter('o', mode => 'full', exclude => '{}')::text, 'o_audit', 'alter() returns the log');
SELECT is(plinth_audit.alter('o', log => 'o_other')::text, 'o_other', 'alter() to another log');
INSERT INTO o VALUES (1, 'a', 'b');
SELECT says('o_other', ARRAY['I {"id": 1} >{"a": "a", "b": "b", "id": 1}'], 'which is used from then on');
SELECT isnt(to_regclass('o_audit'), NULL, 'the old one stays');
SELECT is(plinth_audit.alter('o', log => 'o_audit')::text, 'o_audit', 'and may be taken up again');
-- No gap: the trigger is never missing, also not within the transaction.
BEGIN;
INSERT INTO o VALUES (2, 'a', 'b');
SELECT plinth_audit.alter('o', mode => 'new', mask => '{a}') IS NULL AS ignored \gset
INSERT INTO o VALUES (3, 'a', 'b');
SAVEPOINT s;
SELECT plinth_audit.alter('o', mode => 'delta', mask => '{}') IS NULL AS ignored \gset
ROLLBACK TO s;
INSERT INTO o VALUES (4, 'a', 'b');
SELECT plinth_audit.alter('o', mode => 'full', mask => '{}') IS NULL AS ignored \gset
DELETE FROM o WHERE id = 2;
COMMIT;
SELECT says('o_audit', ARRAY['I {"id": 2} >{"a": "a", "b": "b", "id": 2}', 'I {"id": 3} >{"a": "***", "b": "b", "id": 3} {"masked": ["a"]}', 'I {"id": 4} >{"a": "***", "b": "b", "id": 4} {"masked": ["a"]}', 'D {"id": 2} {"a": "a", "b": "b", "id": 2}'], 'alter() within a transaction leaves no gap');
BEGIN;
SELECT plinth_audit.disable('o') IS NULL AS ignored \gset
ROLLBACK;
INSERT INTO o VALUES (5, 'a', 'b');
SELECT says('o_audit', ARRAY['I {"id": 5} >{"a": "a", "b": "b", "id": 5}'], 'disable() that is rolled back');
SELECT lives_ok($$ SELECT plinth_audit.disable('o') $$, 'disable()');
INSERT INTO o VALUES (6, 'a', 'b');
TRUNCATE o;
SELECT says('o_audit', '{}', 'nothing is logged then');
SELECT isnt(to_regclass('o_audit'), NULL, 'and the log stays');
SELECT is_empty($$ SELECT * FROM plinth_audit.status WHERE target = 'o'::regclass $$, 'status does not show the table any more');
SELECT is(plinth_audit.enable('o', mode => 'new')::text, 'o_audit', 'enable() takes the log up again, with other options');
INSERT INTO o VALUES (7, 'a', 'b');
SELECT says('o_audit', ARRAY['I {"id": 7} >{"a": "a", "b": "b", "id": 7}'], 'and it goes on');
SELECT lives_ok($$ SELECT plinth_audit.disable('o', drop_log => true) $$, 'disable() with drop_log');
SELECT is(to_regclass('o_audit'), NULL, 'drops the log');
SELECT is(plinth_audit.enable('o')::text, 'o_audit', 'and all can begin anew');
SELECT is((SELECT count(*) FROM o_audit), 0::bigint, 'with nothing in it');
-- A log somewhere else, named in every way.
CREATE SCHEMA "Arch ive";
CREATE TABLE l1 (id int PRIMARY KEY); CREATE TABLE l2 (id int PRIMARY KEY); CREATE TABLE l3 (id int PRIMARY KEY); CREATE SCHEMA ls; CREATE TABLE ls.l4 (id int PRIMARY KEY); CREATE TABLE ls.l5 (id int PRIMARY KEY);
SELECT is(plinth_audit.enable('l1', log => '"Arch ive"."L 1"')::text, '"Arch ive"."L 1"', 'a log with schema and quotes');
SELECT is(plinth_audit.enable('l2', log => '"L 2"')::text, '"L 2"', 'a log with quotes');
SELECT is(plinth_audit.enable('l3', log => 'LOG_three')::text, 'log_three', 'an unquoted name is folded, as everywhere');
SELECT is(plinth_audit.enable('ls.l4')::text, 'ls.l4_audit', 'a log beside its table');
SELECT is(plinth_audit.enable('ls.l5', log => 'five')::text, 'ls.five', 'a name without a schema stays beside its table');
SELECT throws_ok($$ SELECT plinth_audit.enable('o', log => 'nowhere.x') $$, NULL, NULL, 'a schema that is not there');
SELECT throws_ok($$ SELECT plinth_audit.alter('l1', log => 'a.b.c.d') $$, NULL, NULL, 'a name that is none');
SELECT throws_ok($$ SELECT plinth_audit.alter('l1', log => '"Arch ive"."L 1') $$, NULL, NULL, 'a quote that is open');
CREATE TABLE two_a (id int PRIMARY KEY); CREATE TABLE two_b (id int PRIMARY KEY);
SELECT plinth_audit.enable('two_a', log => 'shared_log') IS NULL AS ignored \gset
SELECT throws_ok($$ SELECT plinth_audit.enable('two_b', log => 'shared_log') $$, '55006', NULL, 'the log of a living table is not shared');

-- The table goes and comes back.
CREATE TABLE again (id int PRIMARY KEY, a text);
SELECT plinth_audit.enable('again') IS NULL AS ignored \gset
INSERT INTO again VALUES (1, 'first');
DROP TABLE again;
SELECT is((SELECT new_data ->> 'a' FROM again_audit), 'first', 'DROP TABLE keeps the log');
CREATE TABLE again (id bigint PRIMARY KEY, other jsonb);
INSERT INTO again VALUES (2, '{}');
SELECT is((SELECT count(*) FROM again_audit), 1::bigint, 'a new table of the same name is not audited by itself');
SELECT is(plinth_audit.enable('again', mode => 'delta')::text, 'again_audit', 'enable() adopts the orphaned log');
INSERT INTO again VALUES (3, '[]');
SELECT is((SELECT array_agg(row_key ->> 'id' ORDER BY audit_id) FROM again_audit), '{1,3}', 'and continues it');
CREATE TABLE shape (id int PRIMARY KEY);
CREATE TABLE shape_audit (audit_id bigint, op text);
SELECT throws_ok($$ SELECT plinth_audit.enable('shape') $$, '42P07', NULL, 'a name taken by something else');
DROP TABLE shape_audit;
CREATE SEQUENCE shape_audit;
SELECT throws_ok($$ SELECT plinth_audit.enable('shape') $$, '42P07', NULL, 'whatever it is');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shape'::regclass), 0::bigint, 'leaves nothing behind');

----------------------------------------------------------------------------------------------------------------------
-- Damage
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE dmg (id int PRIMARY KEY, v text);
SELECT plinth_audit.enable('dmg') IS NULL AS ignored \gset
SELECT healthy('dmg', 'a healthy table has no findings');
SELECT is_empty($$ SELECT * FROM plinth_audit.repair('dmg') $$, 'and nothing to repair');

CREATE FUNCTION damaged(stmt text, description text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE stmt;
	RETURN NEXT ok((SELECT count(*) > 0 AND bool_and(object <> '' AND problem <> '' AND remedy <> '') FROM plinth_audit.check('dmg')), description || ': seen by check()');
	RETURN NEXT ok((SELECT count(*) > 0 AND bool_and(object <> '' AND done <> '') FROM plinth_audit.repair('dmg')), description || ': mended by repair()');
	RETURN NEXT healthy('dmg', description || ': nothing left to find');
	RETURN NEXT is((SELECT array_agg(row (capturing, protected)::text) FROM plinth_audit.status WHERE target = 'dmg'::regclass), '{"(t,t)"}', description || ': status says so');
END $$;
ALTER TABLE dmg DISABLE TRIGGER plinth_audit;
SELECT is((SELECT array_agg(capturing) FROM plinth_audit.status WHERE target = 'dmg'::regclass), '{f}', 'DISABLE TRIGGER shows in status');
SELECT damaged('ALTER TABLE dmg DISABLE TRIGGER plinth_audit', 'DISABLE TRIGGER');
SELECT damaged('ALTER TABLE dmg ENABLE TRIGGER plinth_audit', 'ENABLE TRIGGER, which is not ENABLE ALWAYS');
SELECT damaged('ALTER TABLE dmg ENABLE REPLICA TRIGGER plinth_audit', 'ENABLE REPLICA TRIGGER');
SELECT damaged('ALTER TABLE dmg DISABLE TRIGGER ALL', 'DISABLE TRIGGER ALL');
SELECT damaged('DROP TRIGGER plinth_audit_truncate ON dmg', 'the trigger for TRUNCATE dropped');
SELECT damaged('ALTER TABLE dmg_audit DISABLE TRIGGER plinth_audit_guard', 'the guard disabled');
SELECT damaged('DROP TRIGGER plinth_audit_guard ON dmg_audit', 'the guard dropped');
SELECT damaged('GRANT INSERT ON dmg_audit TO PUBLIC', 'a grant on the log');
INSERT INTO dmg VALUES (1, 'still there');
SELECT is((SELECT count(*) FROM dmg_audit), 1::bigint, 'after all that the table is logged, once');

-- The trigger is gone: the table is not audited, by definition.
CREATE TABLE untriggered (id int PRIMARY KEY);
SELECT plinth_audit.enable('untriggered') IS NULL AS ignored \gset
DROP TRIGGER plinth_audit ON untriggered;
SELECT ok(NOT EXISTS (SELECT FROM plinth_audit.status WHERE target = 'untriggered'::regclass AND capturing), 'DROP TRIGGER shows in status');
SELECT throws_ok($$ SELECT * FROM plinth_audit.check('untriggered') $$, '55000', NULL, 'and check() does not say that all is well');
SELECT is(plinth_audit.enable('untriggered')::text, 'untriggered_audit', 'enable() puts it back, and the log goes on');

-- The log is gone or altered: the write fails, and repair() mends.
CREATE TABLE fc (id int PRIMARY KEY, v text);
SELECT plinth_audit.enable('fc', mask => '{v}') IS NULL AS ignored \gset
DROP TABLE fc_audit;
SELECT fails_closed('INSERT INTO fc VALUES (1)', 'the log was dropped');
SELECT is((SELECT count(*) FROM fc), 0::bigint, 'nothing was written');
SELECT ok(EXISTS (SELECT FROM plinth_audit.check('fc')), 'check() sees it');
SELECT ok(EXISTS (SELECT FROM plinth_audit.repair('fc')), 'repair() mends it');
INSERT INTO fc VALUES (1, 'secret');
SELECT says('fc_audit', ARRAY['I {"id": 1} >{"v": "***", "id": 1} {"masked": ["v"]}'], 'with the options that it had');
CREATE FUNCTION altered(stmt text, undo text, description text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE stmt;
	RETURN QUERY SELECT fails_closed('INSERT INTO fc VALUES (2)', description);
	RETURN NEXT ok(EXISTS (SELECT FROM plinth_audit.check('fc')), description || ': check() sees it');
	IF undo IS NOT NULL THEN
		EXECUTE undo;
	ELSE
		PERFORM plinth_audit.repair('fc');
	END IF;
	BEGIN
		INSERT INTO fc VALUES (2);
		RETURN NEXT is((SELECT count(*) FROM fc_audit), 1::bigint, description || ': mended');
	EXCEPTION WHEN OTHERS THEN
		RETURN NEXT fail(description || ': mended: ' || sqlerrm);
	END;
	DELETE FROM fc;
	DELETE FROM fc_audit;
	RETURN NEXT healthy('fc', description || ': healthy');
END $$;
SELECT altered('ALTER TABLE fc_audit DROP COLUMN note', NULL, 'a column of the log dropped');
SELECT altered('ALTER TABLE fc_audit RENAME COLUMN new_data TO n', 'ALTER TABLE fc_audit RENAME COLUMN n TO new_data', 'a column of the log renamed');
SELECT altered('ALTER TABLE fc_audit ALTER COLUMN new_data TYPE json', 'ALTER TABLE fc_audit ALTER COLUMN new_data TYPE jsonb', 'a column of the log with another type');
SELECT altered('CREATE FUNCTION eat() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NULL; END''; CREATE TRIGGER eat BEFORE INSERT ON fc_audit FOR EACH ROW EXECUTE FUNCTION eat()', 'DROP TRIGGER eat ON fc_audit', 'a trigger that swallows the rows of the log');
SELECT altered('CREATE RULE eat AS ON INSERT TO fc_audit DO INSTEAD NOTHING', 'DROP RULE eat ON fc_audit', 'a rule that swallows the rows of the log');
-- The owner of the table loses the reading of the log.
CREATE ROLE audit_ddl_owner;
CREATE SCHEMA own AUTHORIZATION audit_ddl_owner;
SET SESSION AUTHORIZATION audit_ddl_owner;
CREATE TABLE own.t (id int PRIMARY KEY);
SELECT plinth_audit.enable('own.t') IS NULL AS ignored \gset
RESET SESSION AUTHORIZATION;
REVOKE ALL ON own.t_audit FROM audit_ddl_owner CASCADE;
SELECT ok(EXISTS (SELECT FROM plinth_audit.check('own.t')), 'the owner''s right to read the log was revoked: check() sees it');
SELECT lives_ok('INSERT INTO own.t VALUES (1)', 'the next write gives it back');
SELECT ok(has_table_privilege('audit_ddl_owner', 'own.t_audit', 'SELECT WITH GRANT OPTION'), 'with the right to pass it on');
SELECT is((SELECT count(*) FROM own.t_audit), 1::bigint, 'and is logged');
SELECT healthy('own.t', 'and all is well');
REVOKE ALL ON own.t_audit FROM audit_ddl_owner CASCADE;
SELECT ok(EXISTS (SELECT FROM plinth_audit.repair('own.t')), 'or a superuser''s repair() does');
SELECT healthy('own.t', 'as well');

----------------------------------------------------------------------------------------------------------------------
-- Replication
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE rep (id int PRIMARY KEY, v text);
SELECT plinth_audit.enable('rep') IS NULL AS ignored \gset
SET session_replication_role = replica;
INSERT INTO rep VALUES (1, 'replica');
UPDATE rep SET v = 'x';
TRUNCATE rep;
SET session_replication_role = local;
INSERT INTO rep VALUES (2, 'local');
RESET session_replication_role;
SELECT is((SELECT string_agg(op, '' ORDER BY audit_id) FROM rep_audit), 'IUTI', 'session_replication_role = replica is logged, once');
SET session_replication_role = replica;
SELECT lives_ok('DELETE FROM rep_audit', 'a subscriber that receives the log may be written by a superuser');
RESET session_replication_role;
SELECT is((SELECT count(*) FROM rep_audit), 0::bigint, 'and does not log again');

-- The event triggers belong to the extension and fire always.
SELECT is_empty($$ SELECT evtname, evtenabled FROM pg_event_trigger e WHERE evtname LIKE 'plinth%' AND (evtenabled <> 'A' OR NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_event_trigger'::regclass AND objid = e.oid AND deptype = 'e')) $$,
	'the event triggers are members of the extension and always on');
SELECT ok(EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'plinth_audit_ddl_start') AND EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'plinth_audit_ddl_end'), 'and they are there');
SET session_replication_role = replica;
CREATE TABLE under (id int PRIMARY KEY, s text) PARTITION BY RANGE (id);
SELECT plinth_audit.enable('under', mask => '{s}') IS NULL AS ignored \gset
CREATE TABLE under1 PARTITION OF under FOR VALUES FROM (1) TO (10);
ALTER TABLE under RENAME COLUMN s TO t;
INSERT INTO under1 VALUES (1, 'secret');
TRUNCATE under1;
RESET session_replication_role;
SELECT says('under_audit', ARRAY['I {"id": 1} >{"t": "***", "id": 1} {"masked": ["t"]}', 'T {"id": 1} {"t": "***", "id": 1} {"masked": ["t"]}'], 'DDL under session_replication_role = replica is followed');

SELECT drop_roles('audit_ddl_');
SELECT * FROM finish();
