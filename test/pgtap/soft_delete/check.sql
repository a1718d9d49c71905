-- check() and repair(): every problem provoked by hand, found, put right; and nothing found where nothing is wrong.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
SELECT * FROM no_plan();
LOAD 'plinth_soft_delete';

\ir ../../lib/roles.sql
SELECT drop_roles('soft_check_');
CREATE ROLE soft_check_owner;
CREATE ROLE soft_check_reader;
CREATE ROLE soft_check_nobody;
CREATE ROLE soft_check_viewers;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
GRANT CREATE ON SCHEMA public TO soft_check_owner;

CREATE FUNCTION problems(target text DEFAULT 'users') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws('|', c.problem, c.object, c.detail) FROM plinth_soft_delete.check(target::regclass) AS c $$;
CREATE FUNCTION well(description text, target text DEFAULT 'users') RETURNS text LANGUAGE sql AS $$
	SELECT is((SELECT string_agg(p, E'\n') FROM problems(target) p), NULL, description) $$;
CREATE FUNCTION found(wanted text[], description text, target text DEFAULT 'users') RETURNS text LANGUAGE sql AS $$
	SELECT is(ARRAY(SELECT p FROM problems(target) p ORDER BY p COLLATE "C"), wanted, description) $$;
-- Puts right what was found, in so many steps, and finds nothing then.
CREATE FUNCTION repaired(wanted bigint, description text, target text DEFAULT 'users') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN NEXT is(plinth_soft_delete.repair(target::regclass), wanted, description);
	RETURN NEXT well(description || ', and all is well', target);
	RETURN NEXT is(plinth_soft_delete.repair(target::regclass), 0::bigint, description || ', and there is nothing left to repair');
END $$;
-- Change rows behind our back: without the trigger the table is an ordinary one.
CREATE FUNCTION by_hand(target regclass, stmt text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t name;
	def text := (SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = target AND tgname = 'plinth_soft_delete');
BEGIN
	EXECUTE format('DROP TRIGGER plinth_soft_delete ON %s', target);
	EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', target);
	EXECUTE stmt;
	EXECUTE def;
	FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = target AND NOT tgisinternal LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', target, t);
	END LOOP;
END $$;

SET ROLE soft_check_owner;
CREATE TABLE users (id int PRIMARY KEY, name text, email text);
INSERT INTO users SELECT g, 'name ' || g FROM generate_series(1, 20) g;
CREATE TABLE parts (id int, name text) PARTITION BY RANGE (id);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts SELECT g FROM generate_series(1, 19) g;
CREATE TABLE "it's" (id int);
CREATE TABLE "it's more" () INHERITS ("it's");
CREATE TABLE filtered (id int);
RESET ROLE;
GRANT SELECT ON users, parts TO soft_check_reader;
SELECT plinth_soft_delete.enable('users');
SELECT plinth_soft_delete.enable('parts', viewers => 'soft_check_viewers');
SELECT plinth_soft_delete.enable($$ "it's" $$, deleted_at => 'It''s "gone"');
SELECT plinth_soft_delete.enable('filtered', visibility => 'filter', delete_triggers => 'ignore', barrier => true);

----------------------------------------------------------------------------------------------------------------------
-- Nothing wrong, nothing found.
----------------------------------------------------------------------------------------------------------------------

SELECT well(t || ' that has just been enabled is well', t) FROM unnest(ARRAY['users', 'parts', '"it''s"', 'filtered']) t;
DELETE FROM users WHERE id < 5;
DELETE FROM parts WHERE id % 5 = 0;
DELETE FROM parts1 WHERE id < 3;
UPDATE users SET deleted_at = now() WHERE id = 5;
SELECT is(plinth_soft_delete.restore(plinth_soft_delete.last_deletion()), 1::bigint, 'a row comes back');
SELECT well(t || ' is well after deletions', t) FROM unnest('{users,parts}'::text[]) t;
SELECT is((SELECT string_agg(concat_ws('|', target, visibility, coalesce(viewers, '-'), deleted_at, deletion_id, barrier, delete_triggers, loaded_by, complete), E'\n' ORDER BY target::text COLLATE "C") FROM plinth_soft_delete.status),
E'"it''s"|rls|-|It''s "gone"|deletion_id|f|refuse|session_preload_libraries|t\nfiltered|filter|-|deleted_at|deletion_id|t|ignore|session_preload_libraries|t\nparts|rls|soft_check_viewers|deleted_at|deletion_id|f|refuse|session_preload_libraries|t\nusers|rls|-|deleted_at|deletion_id|f|refuse|session_preload_libraries|t',
	'status says what there is');

----------------------------------------------------------------------------------------------------------------------
-- Triggers and policies
----------------------------------------------------------------------------------------------------------------------

SELECT is(plinth_soft_delete.repair('users'), 0::bigint, 'there is nothing to repair');
DROP TRIGGER plinth_soft_delete ON users;
SELECT is((SELECT count(*) FROM plinth_soft_delete.status WHERE target = 'users'::regclass), 0::bigint, 'without its first trigger it is not enabled');
SELECT found('{"trigger missing|trigger \"plinth_soft_delete\" on table \"users\""}', 'but the others say that it was');
SELECT repaired(1, 'a trigger that was missing is made');
DROP TRIGGER plinth_soft_delete_update ON users;
DROP TRIGGER plinth_soft_delete_statement ON users;
DROP TRIGGER plinth_soft_delete_truncate ON users;
SELECT ok(NOT complete, 'status says that something is missing') FROM plinth_soft_delete.status WHERE target = 'users'::regclass;
SELECT found('{"trigger missing|trigger \"plinth_soft_delete_statement\" on table \"users\"","trigger missing|trigger \"plinth_soft_delete_truncate\" on table \"users\"","trigger missing|trigger \"plinth_soft_delete_update\" on table \"users\""}', 'the others are missed, too');
SELECT repaired(3, 'and made');
ALTER TABLE users DISABLE TRIGGER plinth_soft_delete, ENABLE REPLICA TRIGGER plinth_soft_delete_truncate;
UPDATE pg_trigger SET tgenabled = 'O' WHERE tgrelid = 'users'::regclass AND tgname = 'plinth_soft_delete_update';
SELECT found('{"trigger not always enabled|trigger \"plinth_soft_delete\" on table \"users\"|It is disabled.","trigger not always enabled|trigger \"plinth_soft_delete_truncate\" on table \"users\"|It fires only on a replica.","trigger not always enabled|trigger \"plinth_soft_delete_update\" on table \"users\"|It fires only on the origin."}', 'triggers that do not always fire');
SELECT repaired(3, 'they do again');
-- Who enables triggers as others do has ours fire always.
ALTER TABLE users DISABLE TRIGGER ALL;
SELECT is((SELECT count(*) FROM problems() p WHERE p LIKE '%It is disabled.'), 4::bigint, 'all triggers are disabled');
ALTER TABLE users ENABLE TRIGGER plinth_soft_delete;
SELECT is((SELECT count(*) FROM problems() p WHERE p LIKE '%It is disabled.'), 3::bigint, 'one is enabled again');
ALTER TABLE users ENABLE TRIGGER ALL;
SELECT well('and all are, and fire always');
SET ROLE soft_check_owner;
ALTER TABLE users DISABLE TRIGGER USER, ENABLE TRIGGER USER;
ALTER TABLE parts DISABLE TRIGGER USER;
ALTER TABLE parts1 DISABLE TRIGGER USER;
ALTER TABLE parts ENABLE TRIGGER USER;
ALTER TABLE ONLY parts1 ENABLE TRIGGER USER;
ALTER TABLE "it's more" DISABLE TRIGGER USER;
ALTER TABLE "it's more" ENABLE TRIGGER plinth_soft_delete, ENABLE TRIGGER USER;
RESET ROLE;
SELECT well(t || ': by its owner, too', t) FROM unnest('{users,parts,"\"it''s\""}'::text[]) t;
ALTER TABLE users DISABLE TRIGGER plinth_soft_delete;
ALTER TABLE users ENABLE TRIGGER plinth_soft_delete_update;
SELECT found('{"trigger not always enabled|trigger \"plinth_soft_delete\" on table \"users\"|It is disabled."}', 'what is disabled stays so');
SELECT repaired(1, 'until it is repaired');
CREATE OR REPLACE TRIGGER plinth_soft_delete BEFORE DELETE ON users FOR EACH ROW WHEN (OLD.id > 5) EXECUTE FUNCTION plinth_soft_delete.mark('deleted_at=deleted_at', 'deletion_id=deletion_id', 'visibility=rls', 'opened=true');
CREATE OR REPLACE TRIGGER plinth_soft_delete_update BEFORE UPDATE OF deleted_at ON users FOR EACH ROW EXECUTE FUNCTION plinth_soft_delete.stamp('deleted_at=deleted_at', 'deletion_id=deletion_id', 'visibility=rls', 'opened=true');
CREATE OR REPLACE TRIGGER plinth_soft_delete_statement BEFORE UPDATE ON users EXECUTE FUNCTION plinth_soft_delete.statement('deleted_at=deleted_at', 'deletion_id=deletion_id', 'visibility=rls', 'opened=true');
CREATE OR REPLACE TRIGGER plinth_soft_delete_truncate BEFORE TRUNCATE ON users EXECUTE FUNCTION plinth_soft_delete.empty('deleted_at=deleted_at', 'deletion_id=deletion_id', 'visibility=none');
SELECT found('{"trigger altered|trigger \"plinth_soft_delete\" on table \"users\"","trigger altered|trigger \"plinth_soft_delete_statement\" on table \"users\"","trigger altered|trigger \"plinth_soft_delete_truncate\" on table \"users\"","trigger altered|trigger \"plinth_soft_delete_update\" on table \"users\""}', 'triggers that are not what they were');
SELECT repaired(4, 'they are again');
CREATE OR REPLACE TRIGGER plinth_soft_delete_update BEFORE UPDATE OF deleted_at, deletion_id ON users FOR EACH ROW WHEN (OLD.id > 5) EXECUTE FUNCTION plinth_soft_delete.stamp('deleted_at=deleted_at', 'deletion_id=deletion_id', 'visibility=rls', 'opened=true');
ALTER TABLE users ENABLE ALWAYS TRIGGER plinth_soft_delete_update;
SELECT found('{"trigger altered|trigger \"plinth_soft_delete_update\" on table \"users\""}', 'a trigger that asks first');
SELECT repaired(1, 'it does not any more');
ALTER TRIGGER plinth_soft_delete ON users RENAME TO mine;
SELECT found('{"trigger missing|trigger \"plinth_soft_delete\" on table \"users\""}', 'a trigger of another name');
SELECT repaired(1, 'it has its own again');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'users'::regclass), 4::bigint, 'and is there once');

DROP TRIGGER plinth_soft_delete_truncate ON parts1;
ALTER TABLE parts2 DISABLE TRIGGER plinth_soft_delete;
SELECT found('{"trigger missing|trigger \"plinth_soft_delete_truncate\" on table \"parts1\"","trigger not always enabled|trigger \"plinth_soft_delete\" on table \"parts2\"|It is disabled."}', 'in partitions', 'parts');
SELECT repaired(2, 'so it is put right in partitions', 'parts');
DROP TRIGGER plinth_soft_delete ON parts;
SELECT found('{"trigger missing|trigger \"plinth_soft_delete\" on table \"parts\"","trigger missing|trigger \"plinth_soft_delete\" on table \"parts1\"","trigger missing|trigger \"plinth_soft_delete\" on table \"parts2\""}', 'a row trigger goes from partitions, too', 'parts');
SELECT repaired(3, 'and comes back to them', 'parts');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = ANY ('{parts1,parts2}'::regclass[]) AND tgparentid <> 0), 4::bigint, 'as that of their parent');
DROP TRIGGER plinth_soft_delete ON "it's more";
SELECT repaired(1, 'a child', '"it''s"');
SELECT throws_ok($$ SELECT plinth_soft_delete.repair('parts1') $$, '42809', 'table "parts1" is a part of soft-deleting table "parts"', 'a partition is not repaired alone');

DROP POLICY plinth_soft_delete ON users;
ALTER POLICY plinth_soft_delete_open ON users USING (true);
ALTER TABLE users DISABLE ROW LEVEL SECURITY;
SELECT found('{"policy altered|policy \"plinth_soft_delete_open\" on table \"users\"","policy missing|policy \"plinth_soft_delete\" on table \"users\"","row-level security off|table \"users\"|Sessions that have not loaded the library see deleted rows."}', 'policies');
SELECT repaired(3, 'they are made again');
ALTER POLICY plinth_soft_delete ON parts1 TO soft_check_reader;
ALTER POLICY plinth_soft_delete ON parts2 USING (true);
DROP POLICY plinth_soft_delete_open ON parts2;
SELECT found('{"policy altered|policy \"plinth_soft_delete\" on table \"parts1\"","policy altered|policy \"plinth_soft_delete\" on table \"parts2\"","policy missing|policy \"plinth_soft_delete_open\" on table \"parts2\""}', 'policies of partitions', 'parts');
SELECT repaired(3, 'so are those of partitions', 'parts');
DROP POLICY plinth_soft_delete_open ON users;
CREATE POLICY tenant ON users USING (id > 0);
SELECT well('where others let rows through, ours may go');
DROP POLICY tenant ON users;
SELECT repaired(1, 'where there is no other, it may not');

ALTER ROLE soft_check_viewers RENAME TO soft_check_others;
SELECT found('{"viewers missing|role \"soft_check_viewers\"|Nobody may see deleted rows."}', 'the viewers have another name', 'parts');
ALTER ROLE soft_check_others RENAME TO soft_check_viewers;

----------------------------------------------------------------------------------------------------------------------
-- Views
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_check_owner;
CREATE TABLE viewed (id int, k int) PARTITION BY LIST (k);
CREATE TABLE viewed1 PARTITION OF viewed FOR VALUES IN (1);
RESET ROLE;
SELECT plinth_soft_delete.enable('viewed', views => true, viewers => 'soft_check_viewers');
SELECT well('views that have just been made', 'viewed');
-- pg_upgrade makes views and their table, and does not know that they go with it.
DELETE FROM pg_depend WHERE classid = 'pg_class'::regclass AND refobjid = 'viewed'::regclass AND deptype = 'a' AND objid IN ('active_viewed'::regclass, 'deleted_viewed'::regclass);
SELECT found('{"view not attached|view \"active_viewed\"|DROP TABLE is refused because of it.","view not attached|view \"deleted_viewed\"|DROP TABLE is refused because of it."}', 'views that do not go with their table', 'viewed');
SELECT throws_ok('DROP TABLE viewed', '2BP01', NULL, 'it is, indeed');
SELECT repaired(2, 'they do again', 'viewed');
DROP VIEW deleted_viewed;
SELECT ok(NOT complete, 'status says that a view is missing') FROM plinth_soft_delete.status WHERE target = 'viewed'::regclass;
SELECT found('{"view missing|view \"deleted_viewed\""}', 'a view that is missing', 'viewed');
SELECT repaired(1, 'it is made', 'viewed');
SELECT is((SELECT concat_ws('|', pg_get_userbyid(relowner), reloptions, relacl) FROM pg_class WHERE oid = 'deleted_viewed'::regclass), 'soft_check_owner|{security_invoker=true}|{soft_check_owner=arwdDxt/soft_check_owner,soft_check_viewers=rw/soft_check_owner}', 'as it was') WHERE current_setting('server_version_num')::int < 170000;
DROP VIEW active_viewed;
CREATE VIEW active_viewed AS SELECT 1 AS id;
SELECT found('{"view missing|view \"active_viewed\"|What has its name is no view of the table''s owner on the table."}', 'something else has its name', 'viewed');
SELECT is(plinth_soft_delete.repair('viewed'), 0::bigint, 'and keeps it');
DROP VIEW active_viewed;
SELECT repaired(1, 'until it goes', 'viewed');
ALTER TABLE viewed DETACH PARTITION viewed1;
SELECT well('who leaves has no views', 'viewed1');
SELECT well('and takes none along', 'viewed');
DROP TABLE viewed, viewed1;
SELECT is(to_regclass('active_viewed'), NULL, 'they go with their table');

----------------------------------------------------------------------------------------------------------------------
-- Rows and record
----------------------------------------------------------------------------------------------------------------------

SELECT by_hand('users', $$ UPDATE users SET deleted_at = '2020-02-02', deletion_id = NULL WHERE id IN (10, 11) $$);
SELECT found('{"deleted without a deletion|table \"users\"|2 rows."}', 'rows that died unseen');
SELECT repaired(2, 'they get a deletion');
SELECT is((SELECT count(*) FROM plinth_soft_delete._deletion WHERE at = '2020-02-02' AND target = 'public.users' AND row_count = 2 AND role_name IS NULL), 1::bigint, 'one, of unknown origin');
SELECT by_hand('users', $$ UPDATE users SET deletion_id = 1 WHERE id = 12 $$);
SELECT found('{"alive with a deletion|table \"users\"|1 row."}', 'a row that lives has a deletion');
SELECT repaired(1, 'it has none');
SELECT by_hand('users', $$ UPDATE users SET deleted_at = '2020-03-03', deletion_id = id + 1000 WHERE id IN (13, 14) $$);
SELECT found('{"deletion not in the record|table \"users\"|2 deletions."}', 'deletions that the record does not know, and that do not come, as they were there before the trigger');
SELECT setval('plinth_soft_delete.deletion_id_seq', 100);
SELECT found('{"deletion not in the record|table \"users\"|2 deletions.","sequence behind|sequence \"plinth_soft_delete.deletion_id_seq\"|It would give numbers again that deletions have."}', 'or that are to come');
SELECT repaired(3, 'they are recorded, and do not come');
SELECT is((SELECT string_agg(concat_ws('|', deletion_id, at::date, target, row_count, role_name), ',' ORDER BY deletion_id) FROM plinth_soft_delete._deletion WHERE deletion_id > 1000), '1013|2020-03-03|public.users|1,1014|2020-03-03|public.users|1', 'as what they are');
DELETE FROM users WHERE id = 15;
SELECT ok(plinth_soft_delete.last_deletion() > 1014, 'the next deletion has another number');
-- Numbers that rows have brought along do not come again either.
CREATE TABLE carried (id int, deleted_at timestamptz, deletion_id bigint);
INSERT INTO carried VALUES (1, '2020-05-05', 5000), (2, NULL, NULL), (3, '2020-05-05', NULL);
SELECT plinth_soft_delete.enable('carried');
SELECT is((SELECT deletion_id FROM plinth_soft_delete._deletion WHERE target = 'public.carried'), 5001::bigint, 'of a table that is enabled');
CREATE TABLE carried_more (id int, deleted_at timestamptz, deletion_id bigint);
INSERT INTO carried_more VALUES (4, '2020-05-05', 6000);
ALTER TABLE carried_more INHERIT carried;
DELETE FROM carried WHERE id = 2;
SELECT is(plinth_soft_delete.last_deletion(), 6001::bigint, 'of what comes below one');
ALTER TABLE carried DISABLE TRIGGER USER;
SET row_security = off;
INSERT INTO carried VALUES (5, '2020-05-05', 7000), (6, NULL, NULL);
RESET row_security;
ALTER TABLE carried ENABLE TRIGGER USER;
DELETE FROM carried WHERE id = 6;
SELECT is(plinth_soft_delete.last_deletion(), 7001::bigint, 'of rows that have come while its triggers were disabled');
SET row_security = off;
INSERT INTO carried VALUES (7, '2020-05-05', 9223372036854775807), (8, NULL, NULL), (9, NULL, NULL);
RESET row_security;
SELECT is(plinth_soft_delete.repair('carried'), 5::bigint, 'of any');
DELETE FROM carried WHERE id = 8;
SELECT cmp_ok(plinth_soft_delete.last_deletion(), '<', 5000000000000000000, 'but nobody uses up all that there are');
SELECT well('which is as it should be', 'carried');
SELECT plinth_soft_delete.disable('carried', dead => 'purge');
SELECT is((SELECT count(*) FROM carried), 1::bigint, 'of all these one was alive');
DROP TABLE carried CASCADE;
DELETE FROM plinth_soft_delete._deletion WHERE deletion_id > 5000;
SELECT setval('plinth_soft_delete.deletion_id_seq', 5000);
SELECT by_hand('parts', $$ UPDATE parts SET deleted_at = '2020-04-04' WHERE id IN (3, 13) $$);
SELECT repaired(2, 'in partitions', 'parts');
SELECT is((SELECT target FROM plinth_soft_delete._deletion WHERE at = '2020-04-04'), 'public.parts', 'the table has one deletion');

-- Rows that an UPDATE would not leave as they are.
SELECT by_hand('users', $$ UPDATE users SET name = NULL WHERE id IN (16, 17) $$);
ALTER TABLE users ADD CONSTRAINT named CHECK (name IS NOT NULL AND name <> '') NOT VALID;
SELECT found('{"rows violate a constraint|constraint \"named\" on table \"users\"|2 rows cannot be deleted before they are mended: a soft delete is an UPDATE."}', 'rows older than a check');
SELECT throws_ok('DELETE FROM users WHERE id = 16', '23514', NULL, 'they cannot be deleted, indeed');
SELECT is(plinth_soft_delete.repair('users'), 0::bigint, 'nor repaired');
ALTER TABLE users DROP CONSTRAINT named;
-- A check is looked at with its owner's rights, also by a superuser.
CREATE TABLE who (name text);
GRANT INSERT, SELECT ON who TO PUBLIC;
SET ROLE soft_check_owner;
CREATE FUNCTION spy(int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.who VALUES (current_user);
	BEGIN
		CREATE TEMP TABLE IF NOT EXISTS trap ();
	EXCEPTION WHEN OTHERS THEN NULL;
	END;
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	RETURN true;
END $$;
ALTER TABLE users ADD CONSTRAINT spied CHECK (public.spy(id)) NOT VALID;
RESET ROLE;
SELECT well('a check that does something');
SELECT isnt((SELECT count(*) FROM who), 0::bigint, 'does it');
SELECT is((SELECT string_agg(DISTINCT name, ',') FROM who WHERE name <> 'soft_check_owner'), NULL, 'and does it with no more rights than its owner has');
SELECT is(to_regclass('pg_temp.trap'), NULL, 'and leaves nothing in the session');
ALTER TABLE users DROP CONSTRAINT spied;

ALTER TABLE users ADD CONSTRAINT one_email UNIQUE (email);
CREATE UNIQUE INDEX live_name ON users (name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX dead_name ON users (name, deleted_at);
SELECT found('{"unique counts deleted rows|index \"one_email\"|A value that a deleted row has cannot be used again; see plinth_soft_delete.make_unique_live()."}', 'a unique constraint that means the dead, too, and no other');
ALTER TABLE users DROP CONSTRAINT one_email;

----------------------------------------------------------------------------------------------------------------------
-- What is no table's
----------------------------------------------------------------------------------------------------------------------

ALTER EVENT TRIGGER plinth_soft_delete_ddl_end DISABLE;
ALTER EVENT TRIGGER plinth_soft_delete_ddl_start ENABLE REPLICA;
ALTER EVENT TRIGGER plinth_soft_delete_views_start DISABLE;
ALTER EVENT TRIGGER plinth_soft_delete_views_end ENABLE;
SELECT found('{"event trigger not always enabled|event trigger \"plinth_soft_delete_ddl_end\"|It is disabled.","event trigger not always enabled|event trigger \"plinth_soft_delete_ddl_start\"|It fires only on a replica.","event trigger not always enabled|event trigger \"plinth_soft_delete_views_end\"|It fires only on the origin.","event trigger not always enabled|event trigger \"plinth_soft_delete_views_start\"|It is disabled."}', 'event triggers');
-- What happens meanwhile is found.
CREATE TABLE orders (user_id int REFERENCES users);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER mine AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE parts3 PARTITION OF parts FOR VALUES FROM (20) TO (30);
SET ROLE soft_check_owner;
SELECT is(plinth_soft_delete.repair('users'), 0::bigint, 'the owner of a table cannot enable them');
RESET ROLE;
SELECT is(plinth_soft_delete.repair('users'), 4::bigint, 'a superuser can');
SELECT found('{"foreign key refers to the table|constraint \"orders_user_id_fkey\" on table \"orders\"|It is not asked when a row is deleted.","trigger does not fire|trigger \"mine\" on table \"users\"|A soft delete is an UPDATE to triggers: those for DELETE do not fire."}', 'what came meanwhile and would have been refused');
DROP TABLE orders;
DROP TRIGGER mine ON users;
SELECT found('{"policy missing|policy \"plinth_soft_delete\" on table \"parts3\"","policy missing|policy \"plinth_soft_delete_open\" on table \"parts3\"","row-level security off|table \"parts3\"|Sessions that have not loaded the library see deleted rows.","trigger missing|trigger \"plinth_soft_delete_statement\" on table \"parts3\"","trigger missing|trigger \"plinth_soft_delete_truncate\" on table \"parts3\""}', 'a partition that came meanwhile', 'parts');
SELECT repaired(5, 'it gets what it lacks', 'parts');

SELECT format('ALTER DATABASE %I RESET session_preload_libraries', current_database()) \gexec
SELECT found(ARRAY[format('library not preloaded|database "%s"|New sessions plan DELETE without it until they first fire a trigger.', current_database())], 'a database that does not load the library');
SELECT is((SELECT string_agg(DISTINCT coalesce(loaded_by, 'nothing'), ',') FROM plinth_soft_delete.status), 'nothing', 'status says so, too');
SELECT repaired(1, 'it does again');
ALTER ROLE soft_check_reader LOGIN;
ALTER ROLE soft_check_reader SET session_preload_libraries = auto_explain;
ALTER ROLE soft_check_owner SET session_preload_libraries = auto_explain;
SELECT found('{"library not preloaded|role \"soft_check_reader\"|Its own setting of session_preload_libraries does not name it."}', 'a role that can log in and has a setting of its own');
SELECT format('ALTER ROLE soft_check_reader IN DATABASE %I SET session_preload_libraries = auto_explain, ''$libdir/plinth_soft_delete''', current_database()) \gexec
SELECT well('or a better one in this database');

----------------------------------------------------------------------------------------------------------------------
-- Who may
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_check_reader;
SELECT well('whoever may SELECT may check');
SELECT throws_ok($$ SELECT plinth_soft_delete.repair('users') $$, '42501', 'must be owner of table users', 'but not repair');
SELECT is((SELECT count(*) FROM plinth_soft_delete.status), 4::bigint, 'and see the status');
SET ROLE soft_check_nobody;
SELECT throws_ok($$ SELECT * FROM plinth_soft_delete.check('users') $$, '42501', 'permission denied for table users', 'who may not may not');
SELECT is((SELECT count(*) FROM plinth_soft_delete.status), 4::bigint, 'but see the status');
SET ROLE soft_check_owner;
DROP TRIGGER plinth_soft_delete_truncate ON users;
SELECT repaired(1, 'its owner may repair');
RESET ROLE;
CREATE TABLE plain (id int);
SELECT throws_ok($$ SELECT * FROM plinth_soft_delete.check('plain') $$, '55000', 'table "plain" is not enabled for soft delete', 'an ordinary table');
SELECT throws_ok($$ SELECT plinth_soft_delete.repair('plain') $$, '55000', 'table "plain" is not enabled for soft delete', 'nor repaired');
SELECT throws_ok($$ SELECT * FROM plinth_soft_delete.check(1::regclass) $$, '42P01', NULL, 'nor what is not there');
BEGIN TRANSACTION READ ONLY;
SELECT well('check() only reads');
SELECT throws_ok($$ SELECT plinth_soft_delete.repair('users') $$, '25006', NULL, 'repair() does not');
ROLLBACK;

-- In one transaction: what was done before is seen.
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE TABLE fresh (id int, deleted_at timestamptz);
INSERT INTO fresh VALUES (1, NULL), (2, '2020-05-05'), (3, NULL);
SELECT plinth_soft_delete.enable('fresh');
SELECT well('enabled in the same transaction', 'fresh');
DELETE FROM fresh WHERE id = 1;
SELECT well('and deleted from', 'fresh');
DROP TRIGGER plinth_soft_delete_update ON fresh;
SELECT repaired(1, 'and damaged', 'fresh');
SELECT plinth_soft_delete.disable('fresh', dead => 'keep');
SELECT throws_ok($$ SELECT * FROM plinth_soft_delete.check('fresh') $$, '55000', NULL, 'and disabled');
COMMIT;

SELECT * FROM finish();
DROP EXTENSION plinth_soft_delete CASCADE;
SELECT drop_roles('soft_check_');
