-- The views beside a table: what they show to whom, DML through them, and that they never stand in the way of ALTER TABLE.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_soft_delete;
LOAD 'plinth_soft_delete';
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT drop_roles('soft_views_');
CREATE ROLE soft_views_owner;
CREATE ROLE soft_views_app;
CREATE ROLE soft_views_other;
CREATE ROLE soft_views_viewers;
CREATE ROLE soft_views_viewer IN ROLE soft_views_viewers;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
CREATE SCHEMA shop AUTHORIZATION soft_views_owner;
GRANT USAGE ON SCHEMA shop TO PUBLIC;

-- What a statement answers as a role, rows with commas between, or its SQLSTATE.
CREATE FUNCTION answer(who name, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	result text := '';
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', who);
	BEGIN
		FOR r IN EXECUTE stmt LOOP
			result := result || CASE WHEN result = '' THEN '' ELSE ',' END || btrim(r::text, '()');
		END LOOP;
	EXCEPTION WHEN OTHERS THEN
		result := sqlstate;
	END;
	RESET ROLE;
	RETURN result;
END $$;
-- Whether it succeeds as a role: its SQLSTATE, or the number of rows.
CREATE FUNCTION run(who name, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	result text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', who);
	BEGIN
		EXECUTE stmt;
		GET DIAGNOSTICS n = ROW_COUNT;
		result := n;
	EXCEPTION WHEN OTHERS THEN
		result := sqlstate || ': ' || sqlerrm;
	END;
	RESET ROLE;
	RETURN result;
END $$;
-- Everything about a view that must outlive a change of its table.
CREATE FUNCTION whole(view text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(E'\n', c.relowner::regrole, c.relacl, c.reloptions, obj_description(c.oid),
		(SELECT string_agg(concat_ws(' ', attname, attacl, col_description(c.oid, attnum), pg_get_expr(adbin, adrelid)), '; ' ORDER BY attnum)
			FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
		(SELECT string_agg(pg_get_triggerdef(oid), '; ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid),
		(SELECT string_agg(pg_get_ruledef(oid), '; ' ORDER BY rulename) FROM pg_rewrite WHERE ev_class = c.oid AND rulename <> '_RETURN'),
		(SELECT string_agg(refobjid::regclass::text, '; ') FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'a'),
		(SELECT string_agg(rolname, '; ' ORDER BY rolname) FROM pg_shdepend JOIN pg_roles r ON r.oid = refobjid WHERE classid = 'pg_class'::regclass AND objid = c.oid
			AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND deptype = 'a'))
	FROM pg_class c WHERE c.oid = to_regclass(view) $$;
CREATE FUNCTION columns_of(view regclass) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = view AND attnum > 0 AND NOT attisdropped $$;

----------------------------------------------------------------------------------------------------------------------
-- What is made
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_views_owner;
CREATE TABLE shop.users (id int PRIMARY KEY, name text, tenant text NOT NULL DEFAULT 'a', spare int);
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.users TO soft_views_app;
GRANT SELECT, UPDATE, DELETE ON shop.users TO soft_views_viewers;
INSERT INTO shop.users VALUES (1, 'ann', 'a'), (2, 'bob', 'b'), (3, 'cat', 'a'), (4, 'dan', 'b');
SELECT plinth_soft_delete.enable('shop.users', viewers => 'soft_views_viewers', views => true);
RESET ROLE;

SELECT is(columns_of('shop.active_users'), 'id integer, name text, tenant text, spare integer, deleted_at timestamp with time zone, deletion_id bigint', 'active_ has the columns of the table');
SELECT is(columns_of('shop.deleted_users'), columns_of('shop.active_users'), 'and so has deleted_');
SELECT is((SELECT array_agg(DISTINCT relowner::regrole::text || ' ' || reloptions::text) FROM pg_class WHERE oid IN ('shop.active_users'::regclass, 'shop.deleted_users'::regclass)),
	'{"soft_views_owner {security_invoker=true}"}', 'they belong to the table''s owner and read as who looks');
SELECT is(has_table_privilege('soft_views_app', 'shop.active_users', p), true, p || ' on active_ as on the table') FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) p;
SELECT is(has_table_privilege('soft_views_other', 'shop.active_users', 'SELECT'), false, 'and nobody else');
SELECT is(has_table_privilege('soft_views_viewer', 'shop.deleted_users', 'SELECT'), true, 'deleted_ for viewers');
SELECT is(has_table_privilege('soft_views_app', 'shop.deleted_users', 'SELECT'), false, 'and not for who may only read the table');

SET ROLE soft_views_owner;
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('shop.users', viewers => 'soft_views_viewers', views => true) $$, 'enabled twice alike');
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('shop.users', viewers => 'soft_views_viewers') $$, '42710', NULL, 'but not with other views');
CREATE TABLE shop.things (id int PRIMARY KEY);
SELECT plinth_soft_delete.enable('shop.things');
SELECT is(to_regclass('shop.active_things'), NULL, 'no views unasked');
CREATE TABLE shop.plain (id int PRIMARY KEY);
SELECT plinth_soft_delete.enable('shop.plain', visibility => 'none');
SELECT isnt(to_regclass('shop.active_plain'), NULL, 'but for visibility none');
CREATE TABLE shop.bare (id int PRIMARY KEY);
SELECT plinth_soft_delete.enable('shop.bare', visibility => 'none', views => false);
SELECT is(to_regclass('shop.active_bare'), NULL, 'if not refused');
CREATE TABLE shop.taken (id int PRIMARY KEY);
CREATE VIEW shop.deleted_taken AS SELECT 1 AS x;
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('shop.taken', views => true) $$, '42P07', 'relation "shop.deleted_taken" already exists', 'a name that is taken');
SELECT is(to_regclass('shop.active_taken'), NULL, 'and nothing is left of the attempt');
CREATE TABLE shop."Odd "" name" ("the id" int PRIMARY KEY, "select" text);
INSERT INTO shop."Odd "" name" VALUES (1, 'x');
SELECT plinth_soft_delete.enable('shop."Odd "" name"', deleted_at => 'Gone "at"', views => true);
DELETE FROM shop."active_Odd "" name" WHERE "the id" = 1;
SELECT is((SELECT "select" FROM shop."deleted_Odd "" name" WHERE "Gone ""at""" IS NOT NULL), 'x', 'odd names');
SELECT format('CREATE TABLE shop.%s (id int PRIMARY KEY); SELECT plinth_soft_delete.enable(''shop.%1$s'', views => true);', repeat('l', 63)) \gexec
SELECT isnt(to_regclass('shop.active_' || repeat('l', 56)), NULL, 'long names are cut');
RESET ROLE;

----------------------------------------------------------------------------------------------------------------------
-- Who sees what
----------------------------------------------------------------------------------------------------------------------

SELECT is(run('soft_views_app', 'DELETE FROM shop.active_users WHERE id IN (1, 2)'), '2', 'DELETE through active_');
SELECT is(answer('soft_views_app', 'DELETE FROM shop.active_users WHERE id = 3 RETURNING id, name, deleted_at'), '3,cat,', 'with RETURNING');
SELECT is(run('soft_views_app', 'DELETE FROM shop.active_users WHERE id = 1'), '0', 'once');
SELECT is(answer('soft_views_app', 'SELECT id FROM shop.active_users ORDER BY 1'), '4', 'active_ shows the living');
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.deleted_users ORDER BY 1'), '1,2,3', 'deleted_ shows viewers the dead, without the toggle');
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.users ORDER BY 1'), '4', 'but the table does not');
SELECT is(answer('soft_views_viewer', 'SELECT u.id, d.id FROM shop.users u CROSS JOIN shop.deleted_users d ORDER BY 1, 2'), '4,1,4,2,4,3', 'in one query');
SELECT is(answer('soft_views_viewer', 'SELECT (SELECT count(*) FROM shop.deleted_users), (SELECT count(*) FROM shop.users), (SELECT count(*) FROM shop.active_users)'), '3,1,1', 'in subqueries');
SELECT is(answer('soft_views_owner', 'SELECT id FROM shop.deleted_users ORDER BY 1'), '1,2,3', 'the owner sees them');
SELECT is(answer('postgres', 'SELECT id FROM shop.deleted_users ORDER BY 1'), '1,2,3', 'and a superuser');
SELECT is(answer('postgres', 'SELECT id FROM shop.active_users ORDER BY 1'), '4', 'who sees no dead in active_');
SELECT is(answer('soft_views_app', 'SELECT id FROM shop.deleted_users'), '42501', 'others do not');
SELECT is(answer('soft_views_app', 'SELECT id FROM shop.users WHERE plinth_soft_delete.showing_deleted(''shop.users'', deleted_at)'), '42501', 'nor do they with the function');
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.users WHERE plinth_soft_delete.showing_deleted(''shop.users'', deleted_at) ORDER BY 1'), '1,2,3,4', 'which viewers may call');
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.users WHERE plinth_soft_delete.showing_deleted(''shop.users'', deleted_at) AND id > 1 AND true ORDER BY 1'), '2,3,4', 'beside others');
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.users WHERE id > 0 OR plinth_soft_delete.showing_deleted(''shop.users'', deleted_at) ORDER BY 1'), '4', 'but only as a condition that must hold');
SELECT is(answer('soft_views_viewer', 'SELECT a.id FROM shop.users a, shop.users b WHERE plinth_soft_delete.showing_deleted(''shop.users'', b.deleted_at) AND b.id = 1 ORDER BY 1'), '4', 'and for the table whose column it has');
GRANT SELECT ON shop.deleted_users TO soft_views_app;
SELECT is(answer('soft_views_app', 'SELECT id FROM shop.deleted_users'), '42501', 'a grant on deleted_ makes nobody a viewer');
REVOKE SELECT ON shop.deleted_users FROM soft_views_app;
SELECT is(run('soft_views_viewer', 'UPDATE shop.deleted_users SET deleted_at = NULL WHERE id = 3'), '1', 'a viewer who may update brings a row back');
SELECT is(answer('soft_views_app', 'SELECT id, deleted_at, deletion_id FROM shop.users ORDER BY 1'), '3,,,4,,', 'and there it is');
SELECT is(run('soft_views_owner', 'DELETE FROM shop.deleted_users'), '0', 'the dead cannot be deleted');
SELECT is(run('soft_views_app', $$ INSERT INTO shop.active_users (id, name) VALUES (5, 'eve') $$), '1', 'INSERT through active_');
SELECT is(run('soft_views_app', $$ UPDATE shop.active_users SET name = 'Eve' WHERE id IN (1, 5) $$), '1', 'UPDATE through active_');
SELECT is(answer('soft_views_app', $$ WITH d AS (DELETE FROM shop.active_users WHERE id = 5 RETURNING *) SELECT name, tenant FROM d $$), 'Eve,a', 'DELETE through active_ in WITH');

-- Plans belong to whom they were made for.
SET plan_cache_mode = force_generic_plan;
PREPARE dead AS SELECT count(*) FROM shop.users WHERE plinth_soft_delete.showing_deleted('shop.users', deleted_at) AND deleted_at IS NOT NULL;
SET ROLE soft_views_viewer;
CREATE TEMP TABLE seen AS EXECUTE dead;
RESET ROLE;
SET ROLE soft_views_app;
SELECT throws_ok('EXECUTE dead', '42501', NULL, 'a viewer''s plan is not used for others');
RESET ROLE;
SELECT is((SELECT count FROM seen), 3::bigint, 'and shows the viewer the dead');
DEALLOCATE dead;
RESET plan_cache_mode;

-- The invoker's policies.
CREATE POLICY tenant ON shop.users USING (tenant = current_setting('shop.tenant', true));
SET shop.tenant = 'b';
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.deleted_users ORDER BY 1'), '2', 'a tenant policy holds in deleted_');
SELECT is(answer('soft_views_app', 'SELECT id FROM shop.active_users ORDER BY 1'), '4', 'and in active_');
SELECT is(run('soft_views_app', 'DELETE FROM shop.active_users WHERE id = 3'), '0', 'and for DELETE');
DROP POLICY tenant ON shop.users;

-- Without policies.
SET ROLE soft_views_owner;
CREATE TABLE shop.filtered (id int PRIMARY KEY);
GRANT SELECT ON shop.filtered TO soft_views_app, soft_views_viewers;
INSERT INTO shop.filtered VALUES (1), (2);
SELECT plinth_soft_delete.enable('shop.filtered', visibility => 'filter', viewers => 'soft_views_viewers', views => true);
DELETE FROM shop.filtered WHERE id = 1;
GRANT SELECT ON shop.plain TO soft_views_app;
INSERT INTO shop.plain VALUES (1), (2);
DELETE FROM shop.active_plain WHERE id = 1;
RESET ROLE;
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.deleted_filtered'), '1', 'visibility filter: deleted_');
SELECT is(answer('soft_views_app', 'SELECT id FROM shop.active_filtered'), '2', 'visibility filter: active_');
SELECT is(answer('soft_views_owner', 'SELECT (SELECT count(*) FROM shop.plain), (SELECT sum(id) FROM shop.deleted_plain), (SELECT sum(id) FROM shop.active_plain)'), '2,1,2', 'visibility none: views alone');

-- Partitions and children.
SET ROLE soft_views_owner;
CREATE TABLE shop.part (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE shop.part_1 PARTITION OF shop.part FOR VALUES IN (1);
CREATE TABLE shop.part_2 PARTITION OF shop.part FOR VALUES IN (2);
GRANT SELECT ON shop.part TO soft_views_viewers;
INSERT INTO shop.part VALUES (1, 1), (2, 2), (3, 2);
SELECT plinth_soft_delete.enable('shop.part', viewers => 'soft_views_viewers', views => true);
DELETE FROM shop.active_part WHERE id < 3;
RESET ROLE;
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.deleted_part ORDER BY 1'), '1,2', 'the dead of partitions');
SELECT is(answer('soft_views_viewer', 'SELECT id FROM shop.active_part ORDER BY 1'), '3', 'the living of partitions');
SELECT is(to_regclass('shop.active_part_1'), NULL, 'which have no views of their own');
SELECT is(run('soft_views_owner', 'ALTER TABLE shop.part ADD COLUMN note text'), '0', 'a partitioned table is altered');
SELECT is(run('soft_views_owner', 'ALTER TABLE shop.part ALTER COLUMN note TYPE varchar(9)'), '0', 'and again');
SELECT is(columns_of('shop.deleted_part'), 'id integer, k integer, deleted_at timestamp with time zone, deletion_id bigint, note character varying(9)', 'and the views follow');

----------------------------------------------------------------------------------------------------------------------
-- They are not in the way
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_views_owner;
GRANT SELECT ON shop.active_users TO soft_views_other WITH GRANT OPTION;
GRANT UPDATE (name) ON shop.active_users TO soft_views_other;
REVOKE INSERT ON shop.active_users FROM soft_views_app;
ALTER VIEW shop.active_users SET (security_barrier = true);
ALTER VIEW shop.active_users ALTER COLUMN tenant SET DEFAULT 'z';
COMMENT ON VIEW shop.active_users IS 'Those who''re there';
COMMENT ON COLUMN shop.active_users.name IS 'Name "of" a %';
RESET ROLE;
SET ROLE soft_views_other;
GRANT SELECT ON shop.active_users TO soft_views_viewers;
RESET ROLE;
CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
GRANT EXECUTE ON FUNCTION shop.note() TO PUBLIC;
SET ROLE soft_views_owner;
CREATE TRIGGER note AFTER UPDATE ON shop.active_users FOR EACH STATEMENT EXECUTE FUNCTION shop.note();
RESET ROLE;
CREATE TEMP TABLE before AS SELECT whole('shop.active_users') AS active, whole('shop.deleted_users') AS deleted;
CREATE FUNCTION unharmed(description text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT is(whole('shop.active_users'), active, description || ': active_ is what it was') FROM before
	UNION ALL SELECT is(whole('shop.deleted_users'), deleted, description || ': deleted_ is what it was') FROM before $$;

-- The owner may have lost the right to create in the schema.
ALTER SCHEMA shop OWNER TO postgres;
GRANT USAGE ON SCHEMA shop TO soft_views_owner;
SELECT is(has_schema_privilege('soft_views_owner', 'shop', 'CREATE'), false, 'the owner may not create in the schema');
SELECT is(run('soft_views_owner', 'ALTER TABLE shop.users ALTER COLUMN name TYPE varchar(20)'), '0', 'ALTER COLUMN TYPE');
SELECT unharmed('ALTER COLUMN TYPE');
SELECT is(columns_of('shop.active_users'), 'id integer, name character varying(20), tenant text, spare integer, deleted_at timestamp with time zone, deletion_id bigint', 'with the new type');
SELECT is(run('soft_views_owner', 'ALTER TABLE shop.users ALTER COLUMN name TYPE text USING upper(name), ALTER COLUMN spare TYPE bigint, ALTER COLUMN spare SET DEFAULT 5'), '0', 'several at once');
SELECT unharmed('several at once');
SELECT is(run('soft_views_owner', 'ALTER TABLE IF EXISTS shop.users DROP COLUMN IF EXISTS nothing, ALTER COLUMN name SET NOT NULL'), '0', 'what does not touch columns');
SELECT unharmed('what does not touch columns');
SELECT matches(run('soft_views_owner', 'ALTER TABLE shop.users ALTER COLUMN name TYPE int'), '^42804', 'a command that fails');
SELECT unharmed('a command that fails');
SELECT matches(run('soft_views_other', 'ALTER TABLE shop.users ALTER COLUMN name TYPE varchar'), '^42501', 'a command of who may not');
SELECT unharmed('a command of who may not');
BEGIN;
ALTER TABLE shop.users ALTER COLUMN name TYPE varchar(30);
ROLLBACK;
SELECT unharmed('ROLLBACK');
BEGIN;
SAVEPOINT one;
ALTER TABLE shop.users ALTER COLUMN name TYPE varchar(30);
ROLLBACK TO one;
ALTER TABLE shop.users ALTER COLUMN name TYPE varchar(40);
ALTER TABLE shop.users ALTER COLUMN name TYPE text;
COMMIT;
SELECT unharmed('a savepoint');
SET search_path = shop, public, pgtap;
ALTER TABLE users ALTER COLUMN name TYPE varchar(30);
ALTER TABLE users ALTER COLUMN name TYPE text;
RESET search_path;
SELECT unharmed('an unqualified name');
SET session_replication_role = replica;
ALTER TABLE shop.users ALTER COLUMN name TYPE text USING name;
RESET session_replication_role;
SELECT unharmed('as a replica');

SELECT is(run('soft_views_owner', 'ALTER TABLE shop.users DROP COLUMN spare'), '0', 'DROP COLUMN');
SELECT is(run('soft_views_owner', 'ALTER TABLE shop.users ADD COLUMN later date DEFAULT ''2026-01-01'''), '0', 'ADD COLUMN');
SELECT is(run('soft_views_owner', 'ALTER TABLE shop.users RENAME COLUMN name TO full_name'), '0', 'RENAME COLUMN');
SELECT is(columns_of('shop.active_users'), 'id integer, full_name text, tenant text, deleted_at timestamp with time zone, deletion_id bigint, later date', 'active_ has followed');
SELECT is(columns_of('shop.deleted_users'), columns_of('shop.active_users'), 'deleted_ has followed');
SELECT is(obj_description('shop.active_users'::regclass), 'Those who''re there', 'and kept its comment');
SELECT is(has_column_privilege('soft_views_other', 'shop.active_users', 'full_name', 'UPDATE'), true, 'and privileges on columns');
SELECT is(run('soft_views_owner', 'ALTER TABLE shop.users ALTER COLUMN full_name TYPE varchar, DROP COLUMN later, ADD COLUMN now int'), '0', 'all in one command');
SELECT is(columns_of('shop.active_users'), 'id integer, full_name character varying, tenant text, deleted_at timestamp with time zone, deletion_id bigint, now integer', 'all in one command: followed');

-- What somebody has made on top is his.
CREATE VIEW shop.on_top AS SELECT id, full_name FROM shop.active_users;
SELECT matches(run('postgres', 'ALTER TABLE shop.users ALTER COLUMN full_name TYPE text'), '^2BP01: cannot alter columns of table "users" under its view "active_users"', 'a view on top of ours is not dropped');
SELECT is(run('postgres', 'ALTER TABLE shop.users ADD COLUMN more int'), '0', 'and stands in the way of nothing else');
SELECT is(answer('postgres', 'SELECT id FROM shop.on_top ORDER BY 1'), '3,4', 'it works');
DROP VIEW shop.on_top;

-- Names and owners.
ALTER VIEW shop.active_users RENAME TO living;
CREATE SCHEMA "Elsewhere";
ALTER VIEW shop.deleted_users SET SCHEMA "Elsewhere";
ALTER SCHEMA "Elsewhere" RENAME TO archive;
ALTER TABLE shop.users RENAME TO people;
ALTER TABLE shop.people OWNER TO soft_views_other;
SELECT is((SELECT array_agg(a ORDER BY a) FROM pg_trigger, LATERAL unnest(string_to_array(encode(tgargs, 'escape'), '\000')) a WHERE tgrelid = 'shop.people'::regclass AND tgname = 'plinth_soft_delete' AND a ~ '^(active|deleted)='),
	'{active=shop.living,deleted=archive.deleted_users}', 'new names of views are noted');
SELECT is((SELECT array_agg(DISTINCT relowner::regrole::text) FROM pg_class WHERE oid IN ('shop.living'::regclass, 'archive.deleted_users'::regclass)), '{soft_views_other}', 'views go to the new owner');
SELECT is(run('postgres', 'ALTER TABLE shop.people ALTER COLUMN full_name TYPE text'), '0', 'ALTER COLUMN TYPE after that');
SELECT is(answer('postgres', 'SELECT (SELECT count(*) FROM shop.living), (SELECT count(*) FROM archive.deleted_users)'), '2,3', 'they work');

-- A view that its owner has dropped stays away.
DROP VIEW archive.deleted_users;
SELECT is(run('postgres', 'ALTER TABLE shop.people ALTER COLUMN full_name TYPE varchar(9)'), '0', 'without one of them');
SELECT is(to_regclass('archive.deleted_users'), NULL, 'it does not come back');

----------------------------------------------------------------------------------------------------------------------
-- What is not ours, and whose it is
----------------------------------------------------------------------------------------------------------------------

CREATE SCHEMA own AUTHORIZATION soft_views_owner;
GRANT USAGE ON SCHEMA own TO PUBLIC;
SET ROLE soft_views_owner;
CREATE TABLE own.cust (id int PRIMARY KEY, b text, hidden boolean);
INSERT INTO own.cust VALUES (1, 'a', false), (2, 'b', true);
SELECT plinth_soft_delete.enable('own.cust', views => true);
RESET ROLE;

-- Redefined by its owner it keeps rows back that ours would show.
SELECT is(run('soft_views_owner', stmt), '0', stmt) FROM unnest(ARRAY[
	'CREATE OR REPLACE VIEW own.active_cust AS SELECT id, b, hidden, deleted_at, deletion_id FROM own.cust WHERE deleted_at IS NULL AND NOT hidden',
	'GRANT SELECT ON own.active_cust TO soft_views_other']) stmt;
SELECT is(run('soft_views_owner', 'ALTER TABLE own.cust ADD COLUMN c text'), '0', 'ADD COLUMN');
SELECT is(answer('soft_views_other', 'SELECT * FROM own.active_cust'), '1,a,f,,', 'a view with a condition of its own stays as it is');
SELECT matches(run('soft_views_owner', 'ALTER TABLE own.cust ALTER COLUMN b TYPE varchar(9)'), '^0A000: cannot alter type of a column used by a view', 'and is in the way as any view');
SELECT is(run('soft_views_owner', 'ALTER TABLE own.cust RENAME COLUMN b TO name'), '0', 'RENAME COLUMN');
SELECT matches(columns_of('own.active_cust'), '^id integer, b text', 'its columns keep their names');
SELECT is(run('soft_views_owner', v), '0', v) FROM unnest(ARRAY[
	'DROP VIEW own.active_cust',
	'CREATE VIEW own.active_cust WITH (security_invoker = on) AS SELECT id, name, hidden FROM own.cust WHERE deleted_at IS NULL']) v;
SELECT matches(run('soft_views_owner', 'ALTER TABLE own.cust ALTER COLUMN name TYPE varchar(9)'), '^0A000', 'nor does one come back that has been made in the place of ours');
SELECT is(run('soft_views_owner', 'DROP VIEW own.active_cust'), '0', 'it is dropped');

-- A new owner gets the privileges with the table.
SET ROLE soft_views_owner;
CREATE TABLE own.given (id int PRIMARY KEY, b text);
GRANT SELECT ON own.given TO soft_views_app;
SELECT plinth_soft_delete.enable('own.given', views => true);
GRANT UPDATE (b) ON own.active_given TO soft_views_app;
RESET ROLE;
ALTER TABLE own.given OWNER TO soft_views_other, ALTER COLUMN b TYPE varchar(12);
SELECT is((SELECT relowner::regrole || ' ' || replace(relacl::text, 'xtm', 'xt') FROM pg_class WHERE oid = 'own.active_given'::regclass),
	'soft_views_other {soft_views_other=arwdDxt/soft_views_other,soft_views_app=r/soft_views_other}', 'in one command with the type: privileges');
SELECT is((SELECT attacl::text FROM pg_attribute WHERE attrelid = 'own.active_given'::regclass AND attname = 'b'), '{soft_views_app=w/soft_views_other}', 'and those on columns');

-- A command is known by itself, not by what its names mean when it has ended.
CREATE FUNCTION own.moves(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'public, pgtap', false); RETURN length($1); END $$;
CREATE TABLE own.sp (id int PRIMARY KEY, b text);
INSERT INTO own.sp VALUES (1, 'x');
SELECT plinth_soft_delete.enable('own.sp', views => true);
SET search_path = own, public, pgtap;
ALTER TABLE sp ALTER COLUMN b TYPE int USING own.moves(b);
RESET search_path;
SELECT isnt(to_regclass('own.active_sp'), NULL, 'the search path has changed meanwhile');
CREATE FUNCTION own.alters(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE own.sp ALTER COLUMN b TYPE bigint; RETURN length($1); END $$;
CREATE TABLE own.outer (id int PRIMARY KEY, b text);
INSERT INTO own.outer VALUES (1, 'x');
SELECT plinth_soft_delete.enable('own.outer', views => true);
ALTER TABLE own.outer ALTER COLUMN b TYPE int USING own.alters(b);
SELECT is(columns_of('own.active_sp'), 'id integer, b bigint, deleted_at timestamp with time zone, deletion_id bigint', 'a command within a command');
SELECT is(columns_of('own.active_outer'), 'id integer, b integer, deleted_at timestamp with time zone, deletion_id bigint', 'and the one around it');
CREATE FUNCTION own.renames(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN ALTER SCHEMA own RENAME TO elsewhere; RETURN $1; END $$;
SELECT throws_ok('ALTER TABLE own.outer ALTER COLUMN b TYPE int USING own.renames(b)', '55000', NULL, 'a schema that is renamed meanwhile');
SELECT isnt(to_regclass('own.active_outer'), NULL, 'nothing has happened');

-- What else a view has.
COMMENT ON TRIGGER note ON shop.living IS 'it''s noted';
SELECT is(run('postgres', 'ALTER TABLE shop.people ALTER COLUMN full_name TYPE varchar(8)'), '0', 'ALTER COLUMN TYPE once more');
SELECT is(obj_description(oid, 'pg_trigger'), 'it''s noted', 'comments on its triggers') FROM pg_trigger WHERE tgname = 'note' AND tgrelid = 'shop.living'::regclass;
ALTER VIEW own.active_outer SET (check_option = cascaded);
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER TABLE own.outer ALTER COLUMN b TYPE bigint;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC;
SELECT is((SELECT array_to_string(reloptions, ' ') || coalesce(relacl::text, ' none') FROM pg_class WHERE oid = 'own.active_outer'::regclass), 'security_invoker=true check_option=cascaded none', 'its options, and default privileges are for what is new');

-- Whatever stands on it is named.
CREATE FUNCTION own.of_row(own.active_outer) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT throws_ok('ALTER TABLE own.outer ALTER COLUMN b TYPE int', '2BP01', 'cannot alter columns of table "outer" under its view "active_outer"', 'a function of its row type');
DROP FUNCTION own.of_row;
CREATE FUNCTION own.body() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM own.active_outer; END;
SELECT throws_ok('ALTER TABLE own.outer ALTER COLUMN b TYPE int', '2BP01', 'cannot alter columns of table "outer" under its view "active_outer"', 'a function that reads it');
DROP FUNCTION own.body;
CREATE MATERIALIZED VIEW own.mat AS SELECT id FROM own.active_outer;
SELECT throws_ok('ALTER TABLE own.outer DROP COLUMN b CASCADE', '2BP01', 'cannot alter columns of table "outer" under its view "active_outer"', 'a materialized view, even with CASCADE');
DROP MATERIALIZED VIEW own.mat;
DROP SCHEMA own CASCADE;

----------------------------------------------------------------------------------------------------------------------
-- They go with the table
----------------------------------------------------------------------------------------------------------------------

SELECT lives_ok($$ SELECT plinth_soft_delete.disable('shop.people', dead => 'keep') $$, 'disable()');
SELECT is(to_regclass('shop.living'), NULL, 'drops the views');
SELECT lives_ok('DROP TABLE shop.filtered', 'DROP TABLE needs no CASCADE');
SELECT is(to_regclass('shop.active_filtered'), NULL, 'and drops the views');
SELECT is((SELECT count(*) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'shop'::regnamespace AND relname ~ 'users|people|filtered'), 0::bigint, 'nothing is left');

SELECT * FROM finish();
DROP SCHEMA shop, archive CASCADE;
SELECT drop_roles('soft_views_');
