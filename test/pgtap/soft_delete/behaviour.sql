-- What enable(), the record, the toggle, restore() and settings promise; bad input gets a clear error, and nothing is lost.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT drop_roles('soft_behaviour_');
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
CREATE ROLE soft_behaviour_owner;
CREATE ROLE soft_behaviour_app;
CREATE ROLE soft_behaviour_auditor;
CREATE ROLE soft_behaviour_boss IN ROLE soft_behaviour_auditor;
CREATE ROLE soft_behaviour_other;
CREATE SCHEMA shop AUTHORIZATION soft_behaviour_owner;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SET search_path = shop, pgtap, public;

-- What a role sees or does.
CREATE FUNCTION public.as_role(role text, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE stmt INTO result;
	RESET ROLE;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RESET ROLE;
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- enable() and disable()
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_behaviour_owner;
CREATE TABLE users (id int PRIMARY KEY, email text);
INSERT INTO users SELECT g, 'u' || g FROM generate_series(1, 20) g;
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO soft_behaviour_app, soft_behaviour_auditor;
CREATE VIEW a_view AS SELECT * FROM users;
CREATE TEMP TABLE a_temp (id int);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent);
CREATE TABLE wrong_type (id int, deleted_at text);
CREATE TABLE wrong_id (id int, deletion_id uuid);
CREATE TABLE not_null (id int, deleted_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE parts (id int, deleted_at timestamptz) PARTITION BY RANGE (deleted_at);
CREATE TABLE two (id int) PARTITION BY RANGE (id);
CREATE TABLE two_a PARTITION OF two FOR VALUES FROM (1) TO (10);
CREATE TABLE old_way (id int PRIMARY KEY, gone timestamp);
INSERT INTO old_way VALUES (1, NULL), (2, '2020-01-01'), (3, '2020-01-01'), (4, '2021-01-01');
CREATE TABLE triggered (id int);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER t AFTER DELETE ON triggered FOR EACH STATEMENT EXECUTE FUNCTION nothing();
CREATE TABLE dormant (id int);
CREATE POLICY p ON dormant USING (true);

SELECT throws_ok($$ SELECT plinth_soft_delete.enable('a_view') $$, '42809', 'relation "a_view" cannot be enabled for soft delete', 'a view');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('a_temp') $$, '42809', 'relation "a_temp" cannot be enabled for soft delete', 'a temporary table');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('pg_class') $$, '42809', NULL, 'a catalog');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable(NULL) $$, '22004', NULL, 'null');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable(1::oid::regclass) $$, '42P01', NULL, 'no table');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('parent') $$, '0A000', 'table "parent" is referenced by a foreign key', 'a table that others refer to');
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('child') $$, 'a table that refers to others');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('wrong_type') $$, '42804', 'column "deleted_at" of table "wrong_type" has type text, not timestamp with time zone', 'a column of another type');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('wrong_id') $$, '42804', NULL, 'a second column of another type');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('not_null') $$, '22023', NULL, 'a column that may not be null');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('users', deleted_at => 'ctid') $$, '22023', NULL, 'a system column');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('users', deleted_at => '') $$, '42602', 'option "deleted_at" must not be empty', 'no name');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('users', deleted_at => 'deletion_id') $$, '22023', NULL, 'one column for both');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('parts') $$, '0A000', NULL, 'partitioned by the mark');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('two_a') $$, '42809', NULL, 'a partition alone');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('triggered') $$, '55000', 'table "triggered" has the DELETE trigger "t"', 'a DELETE trigger');
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('triggered', delete_triggers => 'ignore') $$, 'unless it is not needed');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('users', delete_triggers => 'maybe') $$, '22023', NULL, 'another word');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('users', visibility => 'dark') $$, '22023', NULL, 'another visibility');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('dormant') $$, '55000', NULL, 'policies that were asleep');
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('dormant', visibility => 'filter') $$, 'may sleep on');
SELECT throws_ok($$ SELECT plinth_soft_delete.disable('parent') $$, '55000', 'table "parent" is not enabled for soft delete', 'nothing to disable');
RESET ROLE;
SELECT is(as_role('soft_behaviour_other', $$ SELECT plinth_soft_delete.enable('users') $$), '42501 must be owner of table users', 'somebody else''s table');
SET ROLE soft_behaviour_owner;

SELECT lives_ok($$ SELECT plinth_soft_delete.enable('users', viewers => 'soft_behaviour_auditor') $$, 'enabled');
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('users', viewers => 'soft_behaviour_auditor') $$, 'twice is once');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('users') $$, '42710', 'table "users" is already enabled for soft delete with other options', 'not with other options');
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('two') $$, 'a partitioned table');
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('two_a') $$, 'its partition is, too');
SELECT throws_ok($$ SELECT plinth_soft_delete.disable('two_a') $$, '42809', NULL, 'and is not disabled alone');

-- a table that marked its rows before
SELECT plinth_soft_delete.enable('old_way', deleted_at => 'gone');
SELECT results_eq('SELECT id FROM old_way ORDER BY 1', ARRAY[1], 'dead rows stay dead');
SELECT results_eq($$ SELECT at::timestamp, row_count, session_user_name IS NULL, role_name IS NULL, transaction_id IS NULL FROM plinth_soft_delete.deletion WHERE target = 'shop.old_way' ORDER BY at $$,
	$$ VALUES ('2020-01-01'::timestamp, 2::bigint, true, true, true), ('2021-01-01', 1, true, true, true) $$, 'what died at one moment is one deletion, by nobody knows whom');
SELECT is(plinth_soft_delete.restore(deletion_id), 2::bigint, 'which can be restored') FROM plinth_soft_delete.deletion WHERE target = 'shop.old_way' AND row_count = 2;
DELETE FROM old_way WHERE id = 2;
SELECT results_eq('SELECT id FROM old_way ORDER BY 1', ARRAY[1, 3], 'a column of another name and type');
SELECT throws_ok($$ SELECT plinth_soft_delete.disable('old_way', 'later') $$, '22023', NULL, 'another word for the dead');
SELECT throws_ok($$ SELECT plinth_soft_delete.disable('old_way') $$, '55000', 'table "old_way" has deleted rows, which would be seen again', 'the dead do not come back unasked');
SELECT plinth_soft_delete.disable('old_way', 'keep');
SELECT results_eq('SELECT id, gone IS NULL FROM old_way ORDER BY 1', 'VALUES (1, true), (2, false), (3, true), (4, false)', 'but if asked');
SELECT is((SELECT relrowsecurity FROM pg_class WHERE relname = 'old_way'), false, 'and row-level security is off as it was');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid = 'old_way'::regclass $$, 'no trigger is left');
SELECT plinth_soft_delete.enable('old_way', deleted_at => 'gone');
SELECT plinth_soft_delete.disable('old_way', 'purge');
SELECT results_eq('SELECT id, gone IS NULL FROM old_way ORDER BY 1', 'VALUES (1, true), (3, true)', 'or they are gone for good');
DELETE FROM old_way WHERE id = 1;
SELECT results_eq('SELECT id FROM old_way', ARRAY[3], 'DELETE removes again');

----------------------------------------------------------------------------------------------------------------------
-- The record
----------------------------------------------------------------------------------------------------------------------

RESET ROLE;
SELECT is(as_role('soft_behaviour_app', 'SELECT plinth_soft_delete._may_see(''shop.users'')'), 'false', 'who only deletes knows of no deletions');
SET ROLE soft_behaviour_app;
SET plinth_soft_delete.actor = 'ann';
SET plinth_soft_delete.reason = 'asked for it';
DELETE FROM users WHERE id <= 3;
RESET plinth_soft_delete.actor;
RESET plinth_soft_delete.reason;
SELECT plinth_soft_delete.last_deletion() AS first \gset
DELETE FROM users WHERE id <= 3;
SELECT is(plinth_soft_delete.last_deletion(), :first::bigint, 'nothing deleted is no deletion');
BEGIN;
DELETE FROM users WHERE id = 4;
SAVEPOINT s;
DELETE FROM users WHERE id = 5;
SELECT plinth_soft_delete.last_deletion() AS undone \gset
ROLLBACK TO s;
SELECT ok(plinth_soft_delete.last_deletion() > :first AND plinth_soft_delete.last_deletion() < :undone, 'what is undone was not the last one');
ROLLBACK;
SELECT is(plinth_soft_delete.last_deletion(), :first::bigint, 'nor after ROLLBACK');
WITH a AS (DELETE FROM users WHERE id = 4 RETURNING id), b AS (DELETE FROM users WHERE id IN (5, 6) RETURNING id) DELETE FROM users WHERE id = 7;
SELECT is_empty('SELECT * FROM plinth_soft_delete.deletion', 'who may not see the dead sees no record');
SELECT throws_ok('TABLE plinth_soft_delete._deletion', '42501', NULL, 'not in the table either');
SELECT throws_ok('DELETE FROM plinth_soft_delete._deletion', '42501', NULL, 'and changes nothing there');
RESET ROLE;
SET ROLE soft_behaviour_boss;
SELECT results_eq($$ SELECT role_name, actor, reason, row_count, held, restored_at FROM plinth_soft_delete.deletion WHERE target = 'shop.users' ORDER BY deletion_id $$,
	$$ VALUES ('soft_behaviour_app'::name, 'ann', 'asked for it', 3::bigint, false, NULL::timestamptz), ('soft_behaviour_app', NULL, NULL, 4, false, NULL) $$, 'one record for each statement and table');
RESET ROLE;
SELECT results_eq($$ SELECT deletion_id = plinth_soft_delete.last_deletion(), count(*) FROM users WHERE id BETWEEN 4 AND 7 GROUP BY 1 $$, 'VALUES (true, 4::bigint)', 'all parts of a statement are one deletion');
SELECT is((SELECT transaction_id IS NOT NULL AND session_user_name = session_user AND at <= now() FROM plinth_soft_delete.deletion WHERE deletion_id = plinth_soft_delete.last_deletion()), true, 'who and when');

----------------------------------------------------------------------------------------------------------------------
-- Who sees the dead
----------------------------------------------------------------------------------------------------------------------

SELECT is(count(*), 20::bigint, 'a superuser sees all') FROM users;
SELECT is(as_role(r, 'SELECT count(*) FROM shop.users'), '13', r || ' sees the living') FROM unnest('{soft_behaviour_owner,soft_behaviour_app,soft_behaviour_boss}'::text[]) r;
SET ROLE soft_behaviour_owner;
SET row_security = off;
SELECT is(count(*), 20::bigint, 'the owner sees all if he says so') FROM users;
RESET row_security;
SELECT is(count(*), 13::bigint, 'and not otherwise') FROM a_view;
RESET ROLE;
SET ROLE soft_behaviour_app;
SELECT throws_ok('SET plinth_soft_delete.show_deleted = on', '42501', 'permission denied to see deleted rows', 'who is no viewer cannot ask');
RESET ROLE;
SET ROLE soft_behaviour_boss;
PREPARE seen AS SELECT count(*) FROM users;
EXECUTE seen;
SET plan_cache_mode = force_generic_plan;
SELECT lives_ok('SET plinth_soft_delete.show_deleted = on', 'a viewer can');
SELECT is(count(*), 20::bigint, 'and sees them') FROM users;
SELECT results_eq('seen', ARRAY[20::bigint], 'also by a plan that was there before');
SELECT throws_ok($$ UPDATE users SET email = 'x' $$, '55000', 'cannot update a deleted row of table "users"', 'which are not updated by mistake');
SELECT lives_ok($$ UPDATE users SET email = 'x' WHERE deleted_at IS NULL $$, 'others are');
SELECT throws_ok($$ MERGE INTO users u USING (VALUES (4)) v (i) ON u.id = v.i WHEN MATCHED THEN UPDATE SET email = 'm' $$, '55000', 'cannot update a deleted row of table "users"', 'nor by MERGE');
SELECT throws_ok($$ MERGE INTO users u USING (VALUES (4), (5)) v (i) ON u.id = v.i WHEN MATCHED AND i = 5 THEN DELETE WHEN MATCHED THEN UPDATE SET email = 'm' $$, '55000', NULL, 'also where it deletes');
SELECT lives_ok($$ MERGE INTO users u USING (VALUES (4), (12)) v (i) ON u.id = v.i WHEN MATCHED AND deleted_at IS NULL THEN UPDATE SET email = email $$, 'unless it leaves them out');
SELECT throws_ok($$ INSERT INTO users (id, email) VALUES (4, 'c') ON CONFLICT (id) DO UPDATE SET email = 'c' $$, '55000', 'cannot update a deleted row of table "users"', 'nor by ON CONFLICT DO UPDATE');
SELECT lives_ok($$ INSERT INTO users (id, email) VALUES (4, 'c') ON CONFLICT (id) DO UPDATE SET email = 'c' WHERE users.deleted_at IS NULL $$, 'unless that leaves them out');
SET plinth_soft_delete.dead_update = allow;
SELECT lives_ok($$ UPDATE users SET email = 'y' WHERE id = 4 $$, 'unless that is meant');
SELECT lives_ok($$ MERGE INTO users u USING (VALUES (4)) v (i) ON u.id = v.i WHEN MATCHED THEN UPDATE SET email = 'm' $$, 'in MERGE');
RESET plinth_soft_delete.dead_update;
SET plinth_soft_delete.show_deleted = off;
SELECT results_eq('seen', ARRAY[13::bigint], 'until they are hidden again');
SET plinth_soft_delete.show_deleted = on;
RESET ROLE;
SET ROLE soft_behaviour_app;
SELECT is(count(*), 13::bigint, 'somebody else with the same setting does not see them') FROM users;
SELECT results_eq('seen', ARRAY[13::bigint], 'nor by the same plan');
RESET ROLE;
SET ROLE soft_behaviour_boss;
SELECT results_eq('seen', ARRAY[20::bigint], 'a viewer again');
RESET ROLE;
REVOKE soft_behaviour_auditor FROM soft_behaviour_boss;
GRANT SELECT ON users TO soft_behaviour_boss;
SET ROLE soft_behaviour_boss;
SELECT results_eq('seen', ARRAY[13::bigint], 'and one no more');
RESET ROLE;
DEALLOCATE seen;
SELECT is(as_role('soft_behaviour_owner', $$ INSERT INTO shop.users (id, email) VALUES (4, 'c') ON CONFLICT (id) DO UPDATE SET email = 'c' RETURNING id $$), '55000 cannot update a deleted row of table "users"', 'who does not see them and meets one does not change it');
SELECT is(as_role('soft_behaviour_app', $$ INSERT INTO shop.users (id, email) VALUES (4, 'c') ON CONFLICT (id) DO UPDATE SET email = 'c' RETURNING id $$), '42501 new row violates row-level security policy "plinth_soft_delete" (USING expression) for table "users"', 'where a policy hides them it says so');
RESET plan_cache_mode;
SET plinth_soft_delete.show_deleted = off;
GRANT soft_behaviour_auditor TO soft_behaviour_boss;

-- a later policy is not void
SET ROLE soft_behaviour_owner;
CREATE TABLE tenants (id int PRIMARY KEY, tenant text);
INSERT INTO tenants VALUES (1, 'a'), (2, 'b'), (3, 'a');
GRANT SELECT, DELETE ON tenants TO soft_behaviour_app;
SELECT plinth_soft_delete.enable('tenants');
RESET ROLE;
SELECT is(as_role('soft_behaviour_app', 'SELECT count(*) FROM shop.tenants'), '3', 'all rows without policies of others');
SET ROLE soft_behaviour_owner;
CREATE POLICY mine ON tenants USING (tenant = 'a');
RESET ROLE;
SELECT is(as_role('soft_behaviour_app', 'SELECT count(*) FROM shop.tenants'), '2', 'theirs decide when they come');
SELECT is(as_role('soft_behaviour_app', 'WITH d AS (DELETE FROM shop.tenants RETURNING id) SELECT count(*) FROM d'), '2', 'over DELETE, too');
SELECT plinth_soft_delete.last_deletion() AS both \gset
SET ROLE soft_behaviour_owner;
ALTER POLICY mine ON tenants USING (id = 1);
RESET ROLE;
SELECT is(as_role('soft_behaviour_app', format('SELECT plinth_soft_delete.restore(%s)', :both)), '42501 permission denied for deleted rows of table "tenants"', 'nobody restores what policies keep from him');
SELECT is(as_role('soft_behaviour_app', $$ SELECT plinth_soft_delete.restore_row('shop.tenants', '{"id": 3}') $$), '42704 no deleted row of table "tenants" has the key ''{"id": 3}''', 'nor learns that there is such a row');
SELECT is(as_role('soft_behaviour_app', $$ SELECT plinth_soft_delete.restore_row('shop.tenants', '{"id": 1}') $$), '', 'but his own');
SELECT results_eq('SELECT id FROM tenants WHERE deleted_at IS NULL ORDER BY 1', ARRAY[1, 2], 'is back');

-- filter and none
SET ROLE soft_behaviour_owner;
CREATE TABLE filtered (id int PRIMARY KEY);
CREATE TABLE open (id int PRIMARY KEY);
INSERT INTO filtered VALUES (1), (2);
INSERT INTO open VALUES (1), (2);
SELECT plinth_soft_delete.enable('filtered', visibility => 'filter'), plinth_soft_delete.enable('open', visibility => 'none', views => false);
DELETE FROM filtered WHERE id = 1;
DELETE FROM open WHERE id = 1;
COPY filtered (id) FROM stdin;
3
\.
SELECT results_eq('SELECT id FROM filtered ORDER BY 1', ARRAY[2, 3], 'filter: hidden without a policy, and COPY goes on');
SELECT results_eq('SELECT id, deleted_at IS NULL FROM open ORDER BY 1', 'VALUES (1, false), (2, true)', 'none: all are there to be seen');
SELECT is((SELECT count(*) FROM pg_policy WHERE polrelid IN ('filtered'::regclass, 'open'::regclass)), 0::bigint, 'neither has policies');
RESET ROLE;
SELECT results_eq('SELECT id FROM filtered ORDER BY 1', ARRAY[2, 3], 'filter: for superusers, too');
SET row_security = off;
SELECT results_eq('SELECT id FROM filtered ORDER BY 1', ARRAY[1, 2, 3], 'filter: but not for a dump');
RESET row_security;

----------------------------------------------------------------------------------------------------------------------
-- Clients that mark rows by themselves
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_behaviour_app;
UPDATE users SET deleted_at = '2001-01-01' WHERE id IN (8, 9);
SELECT is(count(*), 11::bigint, 'an UPDATE that marks deletes') FROM users;
SELECT plinth_soft_delete.last_deletion() AS stamped \gset
UPDATE users SET deletion_id = 1 WHERE id = 10;
UPDATE users SET deletion_id = 1, deleted_at = now() WHERE id = 11;
RESET ROLE;
SELECT results_eq('SELECT id, deleted_at::date, deletion_id FROM users WHERE id IN (8, 9, 10) ORDER BY 1', format($$ VALUES (8, '2001-01-01'::date, %1$s::bigint), (9, '2001-01-01', %1$s), (10, NULL, NULL) $$, :stamped), 'with a record, and nobody makes up numbers');
SELECT is((SELECT deletion_id FROM users WHERE id = 11) > :stamped, true, 'not for a dead row either');
SELECT is((SELECT row_count FROM plinth_soft_delete.deletion WHERE deletion_id = :stamped), 2::bigint, 'of two rows');
UPDATE users SET deleted_at = now(), deletion_id = 5 WHERE id = 8;
SELECT results_eq('SELECT deleted_at::date, deletion_id FROM users WHERE id = 8', format($$ VALUES ('2001-01-01'::date, %s::bigint) $$, :stamped), 'dead is dead, since when it was');
SET ROLE soft_behaviour_boss;
SET plinth_soft_delete.show_deleted = on;
UPDATE users SET deleted_at = NULL WHERE id = 8;
SET plinth_soft_delete.show_deleted = off;
SELECT is(deletion_id, NULL, 'a mark taken off restores') FROM users WHERE id = 8;
RESET ROLE;
SELECT is(plinth_soft_delete.restore(:stamped), 1::bigint, 'what a deletion took and was not restored since');

----------------------------------------------------------------------------------------------------------------------
-- restore()
----------------------------------------------------------------------------------------------------------------------

SELECT throws_ok(format('SELECT plinth_soft_delete.restore(%s)', :stamped), '55000', format('deletion %s has been restored', :stamped), 'once');
SELECT throws_ok('SELECT plinth_soft_delete.restore(1000000)', '42704', 'deletion 1000000 does not exist', 'no such deletion');
SELECT is(as_role('soft_behaviour_other', format('SELECT plinth_soft_delete.restore(%s)', :first)), '42501 permission denied for table users', 'who may not delete may not restore');
SELECT results_eq(format('SELECT target::text, key, conflict FROM plinth_soft_delete.preview_restore(%s)', :first), $$ VALUES ('users', '{"id": 1}'::jsonb, NULL), ('users', '{"id": 2}', NULL), ('users', '{"id": 3}', NULL) $$, 'what would come back');
UPDATE users SET email = 'u' || id WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_email ON users (lower(email)) WHERE deleted_at IS NULL AND id < 100;
INSERT INTO users VALUES (50, 'U2');
SELECT results_eq(format('SELECT key, conflict FROM plinth_soft_delete.preview_restore(%s)', :first), $$ VALUES ('{"id": 1}'::jsonb, NULL), ('{"id": 2}', 'users_email'), ('{"id": 3}', NULL) $$, 'and what could not');
SELECT throws_ok(format('SELECT plinth_soft_delete.restore(%s)', :first), '23505', 'deleted rows of table "users" cannot be restored because living ones have taken their keys', 'is not half restored');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row('users', '{"id": 2}') $$, '23505', NULL, 'nor is a row');
SELECT lives_ok($$ SELECT plinth_soft_delete.restore_row('users', '{"id": 3}') $$, 'others are');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row('users', '{"id": 3}') $$, '42704', NULL, 'a living row');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row('users', '{"idd": 3}') $$, '42703', 'column "idd" of relation "users" does not exist', 'no such column');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row('users', '[3]') $$, '22023', NULL, 'no key');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row('users', '{"email": "u2", "id": "x"}') $$, '22P02', NULL, 'no number');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row('parent', '{"id": 1}') $$, '55000', NULL, 'a table that is not enabled');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore(NULL) $$, '22004', 'the deletion must not be null', 'no deletion: nobody is to believe that it is undone');
SELECT throws_ok($$ SELECT plinth_soft_delete.preview_restore(NULL) $$, '22004', 'the deletion must not be null', 'nor a preview of it');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row(NULL, '{"id": 1}') $$, '22004', 'the table must not be null', 'no table');
SELECT throws_ok($$ SELECT plinth_soft_delete.restore_row('users', NULL) $$, '22004', 'the key must not be null', 'no key at all');
DELETE FROM users WHERE id = 50;
INSERT INTO users VALUES (200, 'U2');
SELECT is(plinth_soft_delete.restore(:first), 2::bigint, 'the rest comes back');
SELECT is((SELECT restored_by FROM plinth_soft_delete.deletion WHERE deletion_id = :first), current_user, 'and it is known by whom');

-- COPY and TRUNCATE
SET ROLE soft_behaviour_owner;
SELECT throws_ok('TRUNCATE users', '55000', 'cannot truncate soft-deleting table "users"', 'TRUNCATE is refused');
SET plinth_soft_delete.truncate = soft;
SELECT throws_ok('TRUNCATE users RESTART IDENTITY', '0A000', NULL, 'not all of it can be soft');
SELECT lives_ok('TRUNCATE filtered, wrong_id', 'or deletes');
SELECT is_empty('SELECT * FROM filtered', 'everything');
SELECT is(plinth_soft_delete.restore(plinth_soft_delete.last_deletion()), 2::bigint, 'that was alive');
RESET plinth_soft_delete.truncate;
RESET ROLE;

-- Columns generated of ours, however a row dies.
SET ROLE soft_behaviour_owner;
CREATE TABLE made (id int PRIMARY KEY, v int);
SELECT plinth_soft_delete.enable('made');
ALTER TABLE made ADD dead boolean GENERATED ALWAYS AS (deleted_at IS NOT NULL) STORED, ADD numbered boolean GENERATED ALWAYS AS (deletion_id IS NOT NULL) STORED;
INSERT INTO made SELECT g, g FROM generate_series(1, 6) g;
DELETE FROM made WHERE id = 1;
UPDATE made SET deleted_at = now() WHERE id = 2;
MERGE INTO made USING (VALUES (3), (4)) s (i) ON id = s.i WHEN MATCHED AND s.i = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 0;
INSERT INTO made VALUES (5, 5) ON CONFLICT (id) DO UPDATE SET deleted_at = now();
RESET ROLE;
SELECT results_eq('SELECT id, deletion_id IS NOT NULL, dead, numbered FROM made ORDER BY id',
	'VALUES (1, true, true, true), (2, true, true, true), (3, true, true, true), (4, false, false, false), (5, true, true, true), (6, false, false, false)',
	'generated columns agree with what they are generated of');
UPDATE made SET deleted_at = NULL WHERE id = 2;
SELECT results_eq('SELECT dead, numbered FROM made WHERE id = 2', 'VALUES (false, false)', 'also of a row that has come back');

-- What is assigned to deleted_at may answer differently each time.
SET ROLE soft_behaviour_owner;
CREATE TABLE dice (id int PRIMARY KEY);
CREATE SEQUENCE throws;
SELECT plinth_soft_delete.enable('dice');
INSERT INTO dice SELECT generate_series(1, 10);
CREATE FUNCTION thrown() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT CASE WHEN nextval('throws') % 2 = 0 THEN now() END $$;
SELECT lives_ok('UPDATE dice SET deleted_at = thrown()', 'a volatile function says which rows die');
SELECT is((SELECT last_value FROM throws), 10::bigint, 'is called once for each');
SELECT is((SELECT count(*) FROM dice), 5::bigint, 'is believed');
SELECT is((SELECT row_count FROM plinth_soft_delete.deletion WHERE target = 'shop.dice'), 5::bigint, 'and there is a record');
SELECT is(plinth_soft_delete.restore(plinth_soft_delete.last_deletion()), 5::bigint, 'by which they come back');
SELECT lives_ok('UPDATE dice SET deleted_at = (SELECT thrown() WHERE id > 0)', 'also within a query');
SELECT is((SELECT last_value FROM throws), 20::bigint, 'once');
CREATE TABLE moved (id int, place int) PARTITION BY RANGE (place);
CREATE TABLE moved_1 PARTITION OF moved FOR VALUES FROM (0) TO (10);
CREATE TABLE moved_2 PARTITION OF moved FOR VALUES FROM (10) TO (20);
SELECT plinth_soft_delete.enable('moved');
INSERT INTO moved SELECT g, g FROM generate_series(1, 3) g;
UPDATE moved SET deleted_at = clock_timestamp() + random() * interval '1 s' WHERE id = 1;
UPDATE moved SET deleted_at = clock_timestamp() + random() * interval '1 s', place = 11 WHERE id = 2;
RESET ROLE;
SELECT results_eq('SELECT id, place, deleted_at IS NULL, deletion_id IS NULL FROM moved ORDER BY id', 'VALUES (1, 1, false, false), (2, 11, false, false), (3, 3, true, true)', 'with a number where a row moves, too');
SET ROLE soft_behaviour_owner;

-- Who waits for deletion_id does not hear of an UPDATE that leaves it alone.
CREATE TABLE heard (id int PRIMARY KEY, v int);
CREATE TABLE hearsay (what text);
SELECT plinth_soft_delete.enable('heard');
INSERT INTO heard VALUES (1, 1), (2, 2);
CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO shop.hearsay VALUES (tg_name); RETURN new; END';
CREATE TRIGGER leave BEFORE UPDATE ON heard FOR EACH ROW EXECUTE FUNCTION leave();
CREATE TRIGGER numbered AFTER UPDATE OF deletion_id ON heard FOR EACH ROW EXECUTE FUNCTION hear();
UPDATE heard SET v = 0 WHERE id = 1;
SELECT is_empty('SELECT * FROM hearsay', 'a trigger on deletion_id does not fire for another column');
DELETE FROM heard WHERE id = 1;
UPDATE heard SET deleted_at = now() WHERE id = 2;
SELECT results_eq('SELECT what FROM hearsay', $$ VALUES ('numbered'), ('numbered') $$, 'but for rows that die');

-- A transaction of many statements.
INSERT INTO dice SELECT generate_series(11, 2010);
BEGIN;
DO $$ BEGIN FOR i IN 11..1010 LOOP DELETE FROM dice WHERE id = i; END LOOP; END $$;
RESET ROLE;
SELECT used_bytes AS used FROM pg_backend_memory_contexts WHERE name = 'TopTransactionContext' \gset
SET ROLE soft_behaviour_owner;
DO $$ BEGIN FOR i IN 1011..2010 LOOP DELETE FROM dice WHERE id = i; END LOOP; END $$;
RESET ROLE;
SELECT cmp_ok(used_bytes, '<', :used + 20000::bigint, 'does not keep memory for each') FROM pg_backend_memory_contexts WHERE name = 'TopTransactionContext';
COMMIT;

-- Caches that forget everything at every turn, where the server can do that.
SELECT max_val::int > 0 AS can_discard FROM pg_settings WHERE name = 'debug_discard_caches' \gset
\if :can_discard
CREATE TABLE d (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE d_low PARTITION OF d FOR VALUES FROM (0) TO (5);
CREATE TABLE d_high (v int, id int NOT NULL);
ALTER TABLE d ATTACH PARTITION d_high FOR VALUES FROM (5) TO (10);
INSERT INTO d SELECT g, g FROM generate_series(1, 9) g;
CREATE FUNCTION negate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.v := -1; RETURN new; END';
CREATE TRIGGER negate BEFORE UPDATE ON d FOR EACH ROW EXECUTE FUNCTION negate();
SELECT plinth_soft_delete.enable('d') IS NOT NULL AS ignored \gset
SET debug_discard_caches = 1;
CREATE TEMP TABLE returned AS WITH x AS (DELETE FROM d WHERE id IN (1, 6) RETURNING d.*, tableoid::regclass::text AS place) SELECT * FROM x;
MERGE INTO d USING (VALUES (2), (7)) s (i) ON d.id = s.i WHEN MATCHED THEN DELETE;
UPDATE d SET deleted_at = now() WHERE id = 3;
DELETE FROM d_high WHERE id = 8;
RESET debug_discard_caches;
SELECT results_eq('SELECT id, v, place, deleted_at IS NULL FROM returned ORDER BY id', $$ VALUES (1, 1, 'd_low', true), (6, 6, 'd_high', true) $$, 'under debug_discard_caches the old rows are returned');
SELECT results_eq('SELECT id FROM d WHERE deleted_at IS NOT NULL AND deletion_id IS NOT NULL ORDER BY id', 'VALUES (1), (2), (3), (6), (7), (8)', 'and rows are marked');
\else
SELECT skip('the server has no debug_discard_caches', 2);
\endif

SELECT * FROM finish();
DROP SCHEMA shop CASCADE;
SELECT drop_roles('soft_behaviour_');
