-- make_unique_live(): what it keeps of a constraint or index, what it refuses, and ON CONFLICT afterwards.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_soft_delete;
LOAD 'plinth_soft_delete';
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT drop_roles('soft_unique_');
CREATE ROLE soft_unique_owner;
CREATE ROLE soft_unique_app;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
CREATE SCHEMA shop AUTHORIZATION soft_unique_owner;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
-- The definition before and after, but for the condition.
CREATE FUNCTION kept(target regclass, name text, condition text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text := pg_get_indexdef(('shop.' || quote_ident(name))::regclass);
	result regclass := plinth_soft_delete.make_unique_live(target, name);
BEGIN
	RETURN is(pg_get_indexdef(result), regexp_replace(before, ' WHERE .*', '') || ' WHERE ' || condition, description);
END $$;
SET ROLE soft_unique_owner;

----------------------------------------------------------------------------------------------------------------------
-- What is kept
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE shop.users (id int PRIMARY KEY, email text NOT NULL CONSTRAINT users_email UNIQUE, name text, tenant int DEFAULT 1, score numeric, "Odd "" column" text, tags text[]);
COMMENT ON CONSTRAINT users_email ON shop.users IS 'One account''s address';
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.users TO soft_unique_app;
CREATE UNIQUE INDEX by_expression ON shop.users (lower(name) COLLATE "C" text_pattern_ops DESC NULLS LAST, (score * 2)) INCLUDE (email, id) WITH (fillfactor = 70);
ALTER INDEX shop.by_expression ALTER COLUMN 2 SET STATISTICS 321;
CREATE UNIQUE INDEX partial ON shop.users (tenant, name) WHERE tenant > 5 OR name ~ ' WHERE x';
CREATE UNIQUE INDEX nulls ON shop.users (tenant, score) NULLS NOT DISTINCT WHERE tenant > 100;
CREATE UNIQUE INDEX "Odd "" index" ON shop.users ("Odd "" column");
CREATE UNIQUE INDEX live_already ON shop.users (score, id);
SELECT throws_ok($$ SELECT plinth_soft_delete.make_unique_live('shop.users', 'users_email') $$, '55000', 'table "users" is not enabled for soft delete', 'first comes enable()');
SELECT plinth_soft_delete.enable('shop.users');
CREATE UNIQUE INDEX live_too ON shop.users (name, id) WHERE deleted_at IS NULL AND tenant = 1;

SELECT kept('shop.users', 'users_email', '(deleted_at IS NULL)', 'a constraint');
SELECT is((SELECT count(*) FROM pg_constraint WHERE conname = 'users_email'), 0::bigint, 'which is a constraint no more');
SELECT is(obj_description('shop.users_email'::regclass), 'One account''s address', 'and keeps its comment');
SELECT kept('shop.users', 'by_expression', '(deleted_at IS NULL)', 'expressions, collation, operator class, order, INCLUDE, options');
SELECT is((SELECT attstattarget::int FROM pg_attribute WHERE attrelid = 'shop.by_expression'::regclass AND attnum = 2), 321, 'and statistics targets');
SELECT kept('shop.users', 'partial', '(((tenant > 5) OR (name ~ '' WHERE x''::text)) AND (deleted_at IS NULL))', 'a condition');
SELECT kept('shop.users', 'nulls', '((tenant > 100) AND (deleted_at IS NULL))', 'NULLS NOT DISTINCT');
SELECT matches(pg_get_indexdef('shop.nulls'::regclass), 'NULLS NOT DISTINCT', 'really');
SELECT kept('shop.users', 'Odd " index', '(deleted_at IS NULL)', 'odd names');

-- Twice is once.
CREATE TEMP TABLE same AS SELECT 'shop.partial'::regclass::oid AS was;
SELECT is(plinth_soft_delete.make_unique_live('shop.users', 'partial')::oid, was, 'again: the same index') FROM same;
SELECT is(plinth_soft_delete.make_unique_live('shop.users', 'live_too'), 'shop.live_too'::regclass, 'one that is partial already');

-- Another tablespace needs a folder, so this one is the database's own.
SELECT is((SELECT array_agg(DISTINCT reltablespace) FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind = 'i'), '{0}', 'the tablespace');
SET default_tablespace = 'pg_global';
SELECT kept('shop.users', 'live_already', '(deleted_at IS NULL)', 'whatever default_tablespace says');
RESET default_tablespace;

----------------------------------------------------------------------------------------------------------------------
-- What it is for
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_unique_app;
INSERT INTO shop.users (id, email) VALUES (1, 'ann@x'), (2, 'bob@x');
SELECT throws_ok($$ INSERT INTO shop.users (id, email) VALUES (3, 'ann@x') $$, '23505', NULL, 'the living are unique');
DELETE FROM shop.users WHERE id = 1;
SELECT lives_ok($$ INSERT INTO shop.users (id, email, name) VALUES (3, 'ann@x', 'new') $$, 'a deleted address is free again');
SELECT throws_ok($$ INSERT INTO shop.users (id, email) VALUES (4, 'ann@x') $$, '23505', NULL, 'once');
SELECT throws_ok($$ UPDATE shop.users SET email = 'ann@x' WHERE id = 2 $$, '23505', NULL, 'for UPDATE, too');
DELETE FROM shop.users WHERE id = 3;
SELECT lives_ok($$ INSERT INTO shop.users (id, email) VALUES (5, 'ann@x') $$, 'and again after another DELETE');

-- ON CONFLICT names no condition.
SELECT lives_ok($$ INSERT INTO shop.users (id, email) VALUES (6, 'ann@x') ON CONFLICT (email) DO NOTHING $$, 'ON CONFLICT DO NOTHING');
SELECT results_eq($$ INSERT INTO shop.users (id, email, name) VALUES (6, 'ann@x', 'Ann'), (7, 'cat@x', 'Cat')
	ON CONFLICT (email) DO UPDATE SET name = excluded.name RETURNING id, name $$, $$ VALUES (5, 'Ann'), (7, 'Cat') $$, 'ON CONFLICT DO UPDATE: the living row');
SELECT results_eq($$ INSERT INTO shop.users (id, email, name) VALUES (8, 'cat@x', 'Kat')
	ON CONFLICT (email) DO UPDATE SET name = excluded.name WHERE users.id = 99 RETURNING id $$, $$ SELECT 1 WHERE false $$, 'ON CONFLICT DO UPDATE WHERE');
SELECT results_eq($$ INSERT INTO shop.users (id, email) VALUES (9, 'bob@x') ON CONFLICT DO NOTHING RETURNING id $$, $$ SELECT 1 WHERE false $$, 'ON CONFLICT without columns');
SELECT results_eq($$ INSERT INTO shop.users (id, email, name) VALUES (9, 'bob@x', 'Bob') ON CONFLICT (email) WHERE deleted_at IS NULL DO UPDATE SET name = excluded.name RETURNING id $$,
	$$ VALUES (2) $$, 'ON CONFLICT that names the condition itself');
SELECT results_eq($$ INSERT INTO shop.users (id, email, name, tenant) VALUES (10, 'dan@x', 'Dan', 6), (11, 'eve@x', 'Eve', 6) ON CONFLICT (tenant, name) WHERE tenant > 5 OR name ~ ' WHERE x' DO NOTHING RETURNING id $$,
	$$ VALUES (10), (11) $$, 'ON CONFLICT that names the condition that there was before');
SELECT results_eq($$ INSERT INTO shop.users (id, email, name, tenant) VALUES (12, 'fay@x', 'Eve', 6) ON CONFLICT (tenant, name) WHERE tenant > 5 OR name ~ ' WHERE x' DO UPDATE SET score = 1 RETURNING id $$,
	$$ VALUES (11) $$, 'and it finds the row');
SELECT throws_ok($$ INSERT INTO shop.users (id, email) VALUES (9, 'bob@x') ON CONFLICT ON CONSTRAINT users_email DO NOTHING $$, '42704', NULL, 'ON CONFLICT ON CONSTRAINT: there is none');
SELECT throws_ok($$ INSERT INTO shop.users (id, email) VALUES (9, 'x') ON CONFLICT (tags) DO NOTHING $$, '42P10', NULL, 'ON CONFLICT without an index');
SELECT results_eq($$ INSERT INTO shop.users (id, email) VALUES (2, 'new@x') ON CONFLICT (id) DO UPDATE SET email = excluded.email RETURNING id, email $$, $$ VALUES (2, 'new@x') $$, 'ON CONFLICT on the primary key');
SET plan_cache_mode = force_generic_plan;
PREPARE upsert (int, text) AS INSERT INTO shop.users (id, email) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET tenant = users.tenant + 1 RETURNING id;
SELECT results_eq($$ EXECUTE upsert(20, 'new@x') $$, $$ VALUES (2) $$, 'ON CONFLICT, prepared');
DELETE FROM shop.users WHERE email = 'new@x';
SELECT results_eq($$ EXECUTE upsert(20, 'new@x') $$, $$ VALUES (20) $$, 'ON CONFLICT, prepared, after a DELETE');
DEALLOCATE upsert;
RESET plan_cache_mode;
SET ROLE soft_unique_owner;
SELECT is((SELECT count(*) FROM (SELECT email FROM shop.users GROUP BY 1 HAVING count(*) > 1) d), 0::bigint, 'no two living rows alike');

-- The same through a view.
CREATE TABLE shop.viewed (id int PRIMARY KEY, email text CONSTRAINT viewed_email UNIQUE, n int DEFAULT 0);
SELECT plinth_soft_delete.enable('shop.viewed', views => true);
SELECT plinth_soft_delete.make_unique_live('shop.viewed', 'viewed_email');
INSERT INTO shop.active_viewed VALUES (1, 'a');
DELETE FROM shop.active_viewed;
SELECT results_eq($$ INSERT INTO shop.active_viewed VALUES (2, 'a') ON CONFLICT (email) DO UPDATE SET n = 1 RETURNING id, n $$, $$ VALUES (2, 0) $$, 'through active_: inserted');
SELECT results_eq($$ INSERT INTO shop.active_viewed VALUES (3, 'a') ON CONFLICT (email) DO UPDATE SET n = 1 RETURNING id, n $$, $$ VALUES (2, 1) $$, 'through active_: updated');

----------------------------------------------------------------------------------------------------------------------
-- Partitions
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE shop.odd (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE shop.odd_1 PARTITION OF shop.odd FOR VALUES FROM (0) TO (10);
CREATE UNIQUE INDEX "x ON ONLY shop.odd y" ON shop.odd (id, k);
SELECT plinth_soft_delete.enable('shop.odd');
SELECT is(plinth_soft_delete.make_unique_live('shop.odd', 'x ON ONLY shop.odd y')::text, 'shop."x ON ONLY shop.odd y"', 'a name like a definition');
SELECT is((SELECT count(*) FROM pg_index WHERE indrelid IN ('shop.odd'::regclass, 'shop.odd_1'::regclass) AND indisunique AND indpred IS NOT NULL AND indisvalid), 2::bigint, 'table and partition have it');
CREATE TABLE shop.part (id int, k int, email text, CONSTRAINT part_email UNIQUE (email, k)) PARTITION BY RANGE (k);
CREATE TABLE shop.part_1 PARTITION OF shop.part FOR VALUES FROM (0) TO (10);
CREATE TABLE shop.part_2 (email text, k int, id int);
ALTER TABLE shop.part_2 ADD CONSTRAINT own_name UNIQUE (email, k) WITH (fillfactor = 55);
ALTER TABLE shop.part ATTACH PARTITION shop.part_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE shop.part_3 PARTITION OF shop.part FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (k);
CREATE TABLE shop.part_3a PARTITION OF shop.part_3 FOR VALUES FROM (20) TO (30);
SELECT plinth_soft_delete.enable('shop.part');
CREATE TEMP TABLE parts AS SELECT c.oid::regclass::text AS name, c.reloptions, t.relid::regclass AS of FROM pg_partition_tree('shop.part_email') t JOIN pg_class c ON c.oid = t.relid;
SELECT throws_ok($$ SELECT plinth_soft_delete.make_unique_live('shop.part_2', 'own_name') $$, '42809', NULL, 'a part of an index');
SELECT is(plinth_soft_delete.make_unique_live('shop.part', 'part_email')::text, 'shop.part_email', 'a partitioned table');
SELECT set_eq($$ SELECT c.oid::regclass::text, c.reloptions FROM pg_partition_tree('shop.part_email') t JOIN pg_class c ON c.oid = t.relid $$, 'SELECT name, reloptions FROM parts', 'all parts keep their names and options');
SELECT is((SELECT array_agg(DISTINCT format('%s %s', indisvalid, pg_get_expr(indpred, indrelid))) FROM pg_partition_tree('shop.part_email') t JOIN pg_index i ON i.indexrelid = t.relid), '{"t (deleted_at IS NULL)"}', 'valid, with the condition');
INSERT INTO shop.part VALUES (1, 1, 'a'), (2, 11, 'a'), (3, 21, 'a');
SELECT throws_ok($$ INSERT INTO shop.part VALUES (4, 21, 'a') $$, '23505', NULL, 'unique below');
DELETE FROM shop.part WHERE id > 1;
SELECT results_eq($$ INSERT INTO shop.part VALUES (4, 21, 'a'), (5, 1, 'a') ON CONFLICT (email, k) DO UPDATE SET id = 99 RETURNING id $$, $$ VALUES (4), (99) $$, 'ON CONFLICT on a partitioned table');
CREATE TABLE shop.part_4 PARTITION OF shop.part FOR VALUES FROM (40) TO (50);
SELECT matches((SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'shop.part_4'::regclass AND indisunique), 'WHERE \(deleted_at IS NULL\)$', 'later partitions get it, too');

----------------------------------------------------------------------------------------------------------------------
-- What is refused
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE shop.t (id int PRIMARY KEY, a int CONSTRAINT t_a UNIQUE DEFERRABLE, b int, c int NOT NULL, r int4range, EXCLUDE USING gist (r WITH &&), CHECK (b > 0));
CREATE INDEX t_b ON shop.t (b);
CREATE UNIQUE INDEX t_c ON shop.t (c);
CREATE UNIQUE INDEX t_cl ON shop.t (c, b);
ALTER TABLE shop.t CLUSTER ON t_cl;
ALTER TABLE shop.t REPLICA IDENTITY USING INDEX t_c;
SELECT plinth_soft_delete.enable('shop.t');
SELECT throws_ok(format('SELECT plinth_soft_delete.make_unique_live(%L, %L)', 'shop.t', name), state, NULL, description)
FROM (VALUES ('t_pkey', '0A000', 'a primary key'), ('t_a', '0A000', 'a deferrable constraint'), ('t_r_excl', '0A000', 'an exclusion constraint'), ('t_b', '42809', 'an index that is not unique'),
	('t_b_check', '42809', 'a constraint of another kind'), ('t_c', '55000', 'the replica identity'), ('t_cl', '55000', 'the clustered one'), ('nothing', '42704', 'no such index'), ('users_email', '42704', 'another table''s')) v (name, state, description);
SELECT throws_ok($$ SELECT plinth_soft_delete.make_unique_live('shop.t', NULL) $$, '22004', NULL, 'null');
SELECT throws_ok($$ SELECT plinth_soft_delete.make_unique_live(NULL, 't_c') $$, '22004', NULL, 'no table');
SELECT current_setting('server_version_num')::int >= 180000 AS eighteen \gset
\if :eighteen
CREATE TABLE shop.bookings (id int PRIMARY KEY, room int4range, during daterange, CONSTRAINT bookings_key UNIQUE (room, during WITHOUT OVERLAPS));
SELECT plinth_soft_delete.enable('shop.bookings');
SELECT throws_ok($$ SELECT plinth_soft_delete.make_unique_live('shop.bookings', 'bookings_key') $$, '0A000', NULL, 'a key WITHOUT OVERLAPS');
\endif
CREATE TABLE shop.child (t int);
INSERT INTO shop.t VALUES (1, 1, 1, 1);
SELECT lives_ok('ALTER TABLE shop.t REPLICA IDENTITY DEFAULT', 'another identity');
-- Foreign keys are refused for now, so nobody is to notice this one.
RESET ROLE;
ALTER EVENT TRIGGER plinth_soft_delete_ddl_end DISABLE;
SET ROLE soft_unique_owner;
ALTER TABLE shop.child ADD FOREIGN KEY (t) REFERENCES shop.t (c);
RESET ROLE;
ALTER EVENT TRIGGER plinth_soft_delete_ddl_end ENABLE ALWAYS;
SET ROLE soft_unique_owner;
SELECT throws_ok($$ SELECT plinth_soft_delete.make_unique_live('shop.t', 't_c') $$, '2BP01', 'index "t_c" cannot be made unique among live rows only', 'one that a foreign key needs');
DROP TABLE shop.child;
SELECT lives_ok($$ SELECT plinth_soft_delete.make_unique_live('shop.t', 't_c') $$, 'when it is gone');
RESET ROLE;
SET ROLE soft_unique_app;
SELECT throws_ok($$ SELECT plinth_soft_delete.make_unique_live('shop.users', 'users_email') $$, '42501', NULL, 'for the owner only');
RESET ROLE;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop.t_cl'::regclass;
SET ROLE soft_unique_owner;
ALTER TABLE shop.t SET WITHOUT CLUSTER;
SELECT throws_ok($$ SELECT plinth_soft_delete.make_unique_live('shop.t', 't_cl') $$, '55000', NULL, 'one that is not valid');
RESET ROLE;

-- Where nulls are one key, that is taken like any other; a row of nulls is another one.
SET ROLE soft_unique_owner;
CREATE TYPE shop.pair AS (a int, b int);
CREATE TABLE shop.unknowns (id int PRIMARY KEY, n int, p shop.pair);
SELECT plinth_soft_delete.enable('shop.unknowns');
CREATE UNIQUE INDEX unknowns_one ON shop.unknowns (n, p) NULLS NOT DISTINCT WHERE deleted_at IS NULL;
INSERT INTO shop.unknowns VALUES (1, NULL, NULL), (2, NULL, ROW(NULL, NULL));
DELETE FROM shop.unknowns;
INSERT INTO shop.unknowns VALUES (3, NULL, NULL);
SELECT throws_ok('SELECT plinth_soft_delete.restore(plinth_soft_delete.last_deletion())', '23505',
	'deleted rows of table "unknowns" cannot be restored because living ones have taken their keys', 'nulls that are not distinct are a key that is taken');
SELECT plinth_soft_delete.last_deletion() AS id \gset
DELETE FROM shop.unknowns WHERE id = 3;
INSERT INTO shop.unknowns VALUES (4, 1, NULL);
SELECT is(plinth_soft_delete.restore(:id), 2::bigint, 'and are none that only looks like it');

-- Keys are compared as the index compares them, in rows as they would be.
CREATE TABLE shop.alike (id int PRIMARY KEY, name text, code text);
SELECT plinth_soft_delete.enable('shop.alike');
ALTER TABLE shop.alike ADD alive boolean GENERATED ALWAYS AS (deleted_at IS NULL AND tableoid > 0) STORED;
CREATE UNIQUE INDEX alike_code ON shop.alike (code) WHERE alive;
SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i') AS icu \gset
\if :icu
CREATE COLLATION shop.whatever_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE UNIQUE INDEX alike_name ON shop.alike (name COLLATE shop.whatever_case) WHERE deleted_at IS NULL;
\else
CREATE UNIQUE INDEX alike_name ON shop.alike (lower(name)) WHERE deleted_at IS NULL;
\endif
INSERT INTO shop.alike VALUES (1, 'Ann', 'a'), (2, 'Bob', 'b');
DELETE FROM shop.alike;
SELECT plinth_soft_delete.last_deletion() AS id \gset
INSERT INTO shop.alike VALUES (3, 'ann', 'c'), (4, 'dora', 'b');
SELECT results_eq('SELECT key, conflict FROM plinth_soft_delete.preview_restore(' || :id || ') ORDER BY key::text',
	$$ VALUES ('{"id": 1}'::jsonb, 'alike_name'), ('{"id": 2}', 'alike_code') $$, 'by a collation of its own, and by what is generated');
SELECT throws_ok('SELECT plinth_soft_delete.restore(' || :id || ')', '23505',
	'deleted rows of table "alike" cannot be restored because living ones have taken their keys', 'and named');
RESET ROLE;

SELECT * FROM finish();
DROP SCHEMA shop CASCADE;
SELECT drop_roles('soft_unique_');
