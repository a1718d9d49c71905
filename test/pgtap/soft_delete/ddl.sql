-- DDL on a soft-deleting table: columns, tables and schemas are renamed, partitions and children come and go, and it goes on
-- deleting softly; what it cannot be is refused.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
SELECT * FROM no_plan();

\ir ../../lib/roles.sql
SELECT drop_roles('soft_ddl_');
CREATE ROLE soft_ddl_owner;
CREATE ROLE soft_ddl_other;
CREATE ROLE soft_ddl_app;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
GRANT CREATE ON SCHEMA public TO soft_ddl_owner, soft_ddl_other;

CREATE FUNCTION well(target regclass, description text) RETURNS text LANGUAGE sql AS $$
	SELECT is((SELECT string_agg(concat_ws('|', c.problem, c.object, c.detail), E'\n') FROM plinth_soft_delete.check(target) c
		WHERE c.problem NOT IN ('library not preloaded', 'unique counts deleted rows', 'deletion of another table')), NULL, description) $$;
-- A DELETE marks the row, says so, and hides it from everybody but those who ask.
CREATE FUNCTION soft(target regclass, condition text, description text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	seen bigint;
	there bigint;
	n bigint;
BEGIN
	SET LOCAL row_security = off;
	EXECUTE format('SELECT count(*) FROM %s', target) INTO there;
	RESET row_security;
	EXECUTE format('SET LOCAL ROLE soft_ddl_app; SELECT count(*) FROM %s', target) INTO seen;
	EXECUTE format('DELETE FROM %s WHERE %s', target, condition);
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN NEXT ok(n > 0, description || ': DELETE counts');
	EXECUTE format('SELECT %s - count(*) FROM %s', seen, target) INTO seen;
	RESET ROLE;
	RETURN NEXT is(seen, n, description || ': the deleted are hidden');
	SET LOCAL row_security = off;
	EXECUTE format('SELECT %s - count(*) FROM %s', there, target) INTO there;
	RESET row_security;
	RETURN NEXT is(there, 0::bigint, description || ': and nothing is lost');
END $$;
CREATE FUNCTION targets() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(DISTINCT target, ', ' ORDER BY target) FROM plinth_soft_delete._deletion $$;
-- The library is there only now: it is loaded by the first trigger or by this.
LOAD 'plinth_soft_delete';

----------------------------------------------------------------------------------------------------------------------
-- Names
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_ddl_owner;
CREATE TABLE users (id int PRIMARY KEY, name text);
INSERT INTO users SELECT g, 'name ' || g FROM generate_series(1, 20) g;
SELECT plinth_soft_delete.enable('users');
GRANT SELECT, DELETE ON users TO soft_ddl_app;
RESET ROLE;
SELECT soft('users', 'id = 1', 'before anything');
SELECT well('users', 'a table that has just been enabled is well');

ALTER TABLE users RENAME deleted_at TO "Gone at";
SELECT soft('users', 'id = 2', 'deleted_at renamed');
SELECT well('users', 'it is well when deleted_at is renamed');
ALTER TABLE users RENAME deletion_id TO deleted_at;
SELECT soft('users', 'id = 3', 'deletion_id renamed');
SELECT well('users', 'and when deletion_id is, to the name that the other had');
ALTER TABLE users RENAME deleted_at TO deletion_id;
ALTER TABLE users RENAME "Gone at" TO deleted_at;
SELECT is((SELECT deleted_at FROM plinth_soft_delete.status), 'deleted_at', 'status knows the new names');

SELECT is(targets(), 'public.users', 'the record says what the table is called');
ALTER TABLE users RENAME TO "People";
SELECT is(targets(), 'public."People"', 'and after it was renamed');
CREATE SCHEMA shop;
SET search_path = public, pgtap;
ALTER TABLE "People" SET SCHEMA shop;
SELECT is(targets(), 'shop."People"', 'moved to another schema');
ALTER SCHEMA shop RENAME TO "The shop";
SELECT is(targets(), '"The shop"."People"', 'the schema renamed');
ALTER TABLE "The shop"."People" SET SCHEMA public;
ALTER TABLE "People" RENAME TO users;
SELECT is(targets(), 'public.users', 'and all the way back');
SELECT well('users', 'it is well after all that');
SELECT soft('users', 'id = 4', 'after all that');
BEGIN;
ALTER TABLE users RENAME TO nobody;
ROLLBACK;
SELECT is(targets(), 'public.users', 'a rename that was rolled back is not in the record');

-- Another table of a name that was free is not the one that had it.
CREATE TABLE passing (id int);
ALTER TABLE passing RENAME TO passed;
SELECT is(targets(), 'public.users', 'other tables are called what they like');

CREATE TYPE row_type AS (id int, deleted_at timestamptz, deletion_id bigint);
CREATE TABLE typed OF row_type;
SELECT plinth_soft_delete.enable('typed');
GRANT SELECT, DELETE ON typed TO soft_ddl_app;
INSERT INTO typed VALUES (1), (2);
ALTER TYPE row_type RENAME ATTRIBUTE deleted_at TO died CASCADE;
SELECT soft('typed', 'id = 1', 'an attribute of the type of a typed table renamed');
SELECT well('typed', 'and a typed table is well then');

----------------------------------------------------------------------------------------------------------------------
-- What is refused
----------------------------------------------------------------------------------------------------------------------

SELECT throws_ok('ALTER TABLE users DROP COLUMN deleted_at', '2BP01', NULL, 'deleted_at is not dropped');
SELECT throws_ok('ALTER TABLE users DROP COLUMN deleted_at CASCADE', '0A000',
	'table "users" cannot be altered like this while it is enabled for soft delete', 'nor with CASCADE');
SELECT throws_ok('ALTER TABLE users DROP COLUMN deletion_id CASCADE', '0A000',
	'table "users" cannot be altered like this while it is enabled for soft delete', 'nor is deletion_id');
SELECT throws_ok('ALTER TYPE row_type DROP ATTRIBUTE died CASCADE', '0A000',
	'table "typed" cannot be altered like this while it is enabled for soft delete', 'nor are they by the type of a typed table');
SELECT throws_ok('ALTER TABLE users ALTER deleted_at TYPE text', '0A000', NULL, 'deleted_at keeps its type');
SELECT throws_ok('ALTER TABLE users ALTER deletion_id TYPE int', '0A000', NULL, 'so does deletion_id');
SELECT throws_ok($$ DO 'BEGIN
	DROP TRIGGER plinth_soft_delete_update ON users; DROP TRIGGER plinth_soft_delete_statement ON users; DROP POLICY plinth_soft_delete ON users;
	ALTER TABLE users ALTER deleted_at TYPE text; END' $$, '42804', NULL, 'also when nothing holds it');
CREATE TABLE empty_one (id int);
SELECT plinth_soft_delete.enable('empty_one');
SELECT throws_ok('ALTER TABLE empty_one ALTER deleted_at SET NOT NULL', '22023',
	'column "deleted_at" of table "empty_one" cannot say that a row is alive', 'a row may be alive');
DROP TABLE empty_one;

SELECT throws_ok('CREATE TABLE orders (user_id int REFERENCES users)', '0A000',
	'foreign key of table "orders" cannot refer to a soft-deleting table', 'a new table with a foreign key');
CREATE TABLE orders (user_id int);
SELECT throws_ok('ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users', '0A000',
	'foreign key of table "orders" cannot refer to a soft-deleting table', 'a new foreign key');
SELECT throws_ok('ALTER TABLE orders ADD COLUMN u int REFERENCES users', '0A000',
	'foreign key of table "orders" cannot refer to a soft-deleting table', 'a new column with a foreign key');
SELECT throws_ok('ALTER TABLE users ADD COLUMN boss int REFERENCES users', '0A000',
	'foreign key of table "users" cannot refer to a soft-deleting table', 'a foreign key to itself');
SELECT throws_ok('CREATE SCHEMA more CREATE TABLE orders (u int REFERENCES public.users)', '0A000',
	'foreign key of table "orders" cannot refer to a soft-deleting table', 'a new schema with such a table');
CREATE TABLE free (id int PRIMARY KEY);
SELECT lives_ok('ALTER TABLE users ADD COLUMN free_id int REFERENCES free', 'a foreign key of its own to another table');
SELECT lives_ok('ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES free', 'and of others to others');

CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SELECT throws_ok('CREATE TRIGGER t AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION nothing()', '55000',
	'table "users" has the DELETE trigger "t"', 'a DELETE trigger');
SELECT throws_ok('CREATE TRIGGER t AFTER INSERT OR DELETE ON users EXECUTE FUNCTION nothing()', '55000',
	'table "users" has the DELETE trigger "t"', 'also for the statement, among others');
SELECT lives_ok('CREATE TRIGGER t AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION nothing()', 'others may be');
CREATE TABLE ignoring (id int);
SELECT plinth_soft_delete.enable('ignoring', delete_triggers => 'ignore');
SELECT lives_ok('CREATE TRIGGER t AFTER DELETE ON ignoring FOR EACH ROW EXECUTE FUNCTION nothing()', 'those that are to be ignored, too');
SELECT well('ignoring', 'and are no problem then');
SELECT well('users', 'what was refused has left nothing');

----------------------------------------------------------------------------------------------------------------------
-- Partitions
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_ddl_owner;
CREATE TABLE parts (id int, name text) PARTITION BY RANGE (id);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
SELECT plinth_soft_delete.enable('parts');
CREATE TABLE parts2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
CREATE TABLE parts3 PARTITION OF parts FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (id);
CREATE TABLE parts3a PARTITION OF parts3 FOR VALUES FROM (20) TO (30);
CREATE TABLE parts4 (extra text, id int, name text, deletion_id bigint, deleted_at timestamptz);
ALTER TABLE parts4 DROP COLUMN extra;
INSERT INTO parts4 (id, name, deleted_at) VALUES (40, 'attached', NULL), (41, 'dead', '2020-01-01'), (42, 'attached', NULL);
ALTER TABLE parts ATTACH PARTITION parts4 FOR VALUES FROM (40) TO (50);
INSERT INTO parts SELECT g, 'name ' || g FROM generate_series(1, 29) g;
GRANT SELECT, DELETE ON parts, parts1, parts2, parts3, parts3a, parts4 TO soft_ddl_app;
RESET ROLE;
SELECT well('parts', 'with partitions that were made and attached later, it is well');
SELECT is((SELECT target || '|' || row_count || '|' || at::date FROM plinth_soft_delete._deletion WHERE session_user_name IS NULL),
	'public.parts|1|2020-01-01', 'what was dead in a partition that is attached is a deletion of unknown origin');
SELECT soft('parts', 'id IN (1, 11, 21, 40)', 'all partitions');
SELECT soft(p, 'true', 'partition ' || p) FROM unnest('{parts1,parts2,parts3a,parts4}'::regclass[]) p;
SELECT is((SELECT count(*) FROM pg_class WHERE relname ~ '^parts' AND relkind IN ('r', 'p') AND NOT relrowsecurity), 0::bigint, 'row-level security is on for all');
SELECT throws_ok(format('TRUNCATE %s', p), '55000', NULL, 'no TRUNCATE of ' || p) FROM unnest('{parts2,parts3a,parts4}'::regclass[]) p;
SELECT throws_ok($$ SELECT plinth_soft_delete.check('parts2') $$, '42809', NULL, 'a partition is not checked alone');

-- It leaves: it deletes softly by itself.
INSERT INTO parts SELECT g, 'more' FROM generate_series(1, 29) g;
ALTER TABLE parts DETACH PARTITION parts2;
SELECT soft('parts2', 'id < 15', 'a partition that was detached');
SELECT well('parts2', 'it is well');
SELECT well('parts', 'and so is what it has left');
SELECT is((SELECT string_agg(target::text, ',' ORDER BY target::text) FROM plinth_soft_delete.status), 'ignoring,parts,parts2,typed,users', 'status has it as a table of its own');
ALTER TABLE parts DETACH PARTITION parts3;
SELECT soft('parts3', 'id < 25', 'a partition that has partitions, detached');
SELECT well('parts3', 'it is well');
SELECT well('parts', 'and so is the rest');
-- And comes back.
ALTER TABLE parts ATTACH PARTITION parts2 FOR VALUES FROM (10) TO (20);
ALTER TABLE parts ATTACH PARTITION parts3 FOR VALUES FROM (20) TO (40);
SELECT well('parts', 'both come back, and it is well');
SELECT is((SELECT string_agg(target::text, ',' ORDER BY target::text) FROM plinth_soft_delete.status), 'ignoring,parts,typed,users', 'as one table');
SELECT soft('parts', 'id IN (15, 25)', 'both back');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'parts2'::regclass AND tgparentid <> 0), 2::bigint, 'with the row triggers of their parent');

-- An attach that fails takes nothing away.
ALTER TABLE parts DETACH PARTITION parts2;
SELECT throws_ok('ALTER TABLE parts ATTACH PARTITION parts2 FOR VALUES FROM (0) TO (5)', '42P17', NULL, 'a range that is taken');
SELECT well('parts2', 'it keeps its triggers');
-- Another's options are replaced, other columns are refused.
SELECT plinth_soft_delete.disable('parts2', dead => 'keep');
SELECT plinth_soft_delete.enable('parts2', visibility => 'filter');
ALTER TABLE parts ATTACH PARTITION parts2 FOR VALUES FROM (10) TO (20);
SELECT well('parts', 'a table with other options gets those of its parent');
ALTER TABLE parts DETACH PARTITION parts2;
ALTER TABLE parts2 ADD COLUMN d timestamptz;
SELECT plinth_soft_delete.disable('parts2', dead => 'keep');
SELECT plinth_soft_delete.enable('parts2', deleted_at => 'd');
SELECT throws_ok('ALTER TABLE parts ATTACH PARTITION parts2 FOR VALUES FROM (10) TO (20)', '55000',
	'tables "parts" and "parts2" mark deleted rows in different columns', 'but not other columns');
SELECT is(plinth_soft_delete.repair('parts2'), 16::bigint, 'what was deleted by another column lives again');
SELECT well('parts2', 'and is left as it was');

-- Whoever detaches need not own what leaves.
ALTER TABLE parts3a OWNER TO soft_ddl_other;
SET ROLE soft_ddl_owner;
SELECT lives_ok('ALTER TABLE parts3 DETACH PARTITION parts3a', 'a partition of somebody else''s leaves');
RESET ROLE;
SELECT well('parts3a', 'and deletes softly by itself');
ALTER TABLE parts3a OWNER TO soft_ddl_owner;

-- Without keeping anybody waiting.
ALTER TABLE parts DETACH PARTITION parts4 CONCURRENTLY;
INSERT INTO parts4 (id) VALUES (43), (44);
SELECT soft('parts4', 'id = 43', 'detached concurrently');
SELECT well('parts4', 'it is well');
ALTER TABLE parts ATTACH PARTITION parts4 FOR VALUES FROM (40) TO (50);
SELECT well('parts', 'and comes back');

-- What was deleted by one statement before it left is two deletions then.
CREATE TABLE split (id int) PARTITION BY RANGE (id);
CREATE TABLE split1 PARTITION OF split FOR VALUES FROM (0) TO (10);
CREATE TABLE split2 PARTITION OF split FOR VALUES FROM (10) TO (20);
SELECT plinth_soft_delete.enable('split');
INSERT INTO split SELECT generate_series(1, 19);
SET plinth_soft_delete.actor = 'somebody';
DELETE FROM split WHERE id IN (1, 2, 11);
RESET plinth_soft_delete.actor;
SELECT plinth_soft_delete.last_deletion() AS first \gset
DELETE FROM split2 WHERE id = 12;
ALTER TABLE split DETACH PARTITION split1;
SELECT is(plinth_soft_delete.restore(:first), 1::bigint, 'restore() brings back what is left');
SELECT is((SELECT problem || '|' || detail FROM plinth_soft_delete.check('split1')), 'deletion of another table|1 deletion, which restore() cannot bring back from here.', 'check() knows of what is not');
SELECT is(plinth_soft_delete.repair('split1'), 1::bigint, 'repair() makes a deletion of it');
SELECT is((SELECT deletion_id || target || row_count || actor FROM plinth_soft_delete._deletion ORDER BY deletion_id DESC LIMIT 1), plinth_soft_delete.last_deletion() + 1 || 'public.split12somebody', 'by the same person');
SELECT is(plinth_soft_delete.restore((SELECT max(deletion_id) FROM plinth_soft_delete._deletion)), 2::bigint, 'that can be restored');
SELECT is((SELECT count(*) FROM plinth_soft_delete.check('split')) + (SELECT count(*) FROM plinth_soft_delete.check('split1')), 0::bigint, 'and all is well');
DROP TABLE split, split1;

-- A column is renamed everywhere.
ALTER TABLE parts RENAME deleted_at TO gone;
SELECT well('parts', 'columns are renamed below, too');
SELECT soft('parts1', 'id = 5', 'a partition whose column was renamed');
ALTER TABLE parts RENAME gone TO deleted_at;

-- What cannot be a partition.
CREATE TABLE guarded (id int, name text, deleted_at timestamptz, deletion_id bigint);
CREATE POLICY dormant ON guarded USING (false);
SELECT throws_ok('ALTER TABLE parts ATTACH PARTITION guarded FOR VALUES FROM (60) TO (70)', '55000',
	'table "guarded" has policies, but row-level security is off', 'policies would begin to work');
CREATE TABLE guards (id int) PARTITION BY RANGE (id);
CREATE TABLE guards1 PARTITION OF guards FOR VALUES FROM (0) TO (10);
CREATE POLICY dormant ON guards1 USING (false);
SELECT throws_ok($$ SELECT plinth_soft_delete.enable('guards') $$, '55000',
	'table "guards1" has policies, but row-level security is off', 'also those of a partition that was there before');
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
SELECT lives_ok('ALTER TABLE parts ATTACH PARTITION guarded FOR VALUES FROM (60) TO (70)', 'unless they do already');
SELECT is((SELECT string_agg(polname, ',' ORDER BY polname) FROM pg_policy WHERE polrelid = 'guarded'::regclass), 'dormant,plinth_soft_delete',
	'then nothing else lets anybody in');
SELECT well('parts', 'and that is no problem');
CREATE TABLE fired (id int, name text, deleted_at timestamptz, deletion_id bigint);
CREATE TRIGGER t AFTER DELETE ON fired FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT throws_ok('ALTER TABLE parts ATTACH PARTITION fired FOR VALUES FROM (70) TO (80)', '55000',
	'table "fired" has the DELETE trigger "t"', 'a partition with a DELETE trigger');
DROP TABLE fired;
CREATE TABLE wanted (id int PRIMARY KEY, name text, deleted_at timestamptz, deletion_id bigint);
CREATE TABLE wants (id int REFERENCES wanted);
SELECT throws_ok('ALTER TABLE parts ATTACH PARTITION wanted FOR VALUES FROM (70) TO (80)', '0A000',
	'table "wanted" is referenced by a foreign key', 'a partition that a foreign key refers to');
CREATE TABLE parts5 PARTITION OF parts (PRIMARY KEY (id)) FOR VALUES FROM (80) TO (90);
SELECT throws_ok('ALTER TABLE wants ADD FOREIGN KEY (id) REFERENCES parts5', '0A000',
	'foreign key of table "wants" cannot refer to a soft-deleting table', 'a foreign key to a partition');

-- Row-level security that was on for the table and off for partitions does not lock them.
SET ROLE soft_ddl_owner;
CREATE TABLE tenants (id int, tenant text) PARTITION BY RANGE (id);
CREATE TABLE tenants1 PARTITION OF tenants FOR VALUES FROM (0) TO (10);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenants USING (tenant = 'a');
SELECT plinth_soft_delete.enable('tenants');
CREATE TABLE tenants2 PARTITION OF tenants FOR VALUES FROM (10) TO (20);
INSERT INTO tenants SELECT g, CASE g % 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 19) g;
GRANT SELECT, DELETE ON tenants, tenants1, tenants2 TO soft_ddl_app;
SET ROLE soft_ddl_app;
SELECT is((SELECT count(*) FROM tenants), 9::bigint, 'policies of the table are asked');
SELECT is((SELECT count(*) FROM tenants1), 9::bigint, 'who names a partition sees what he saw before');
SELECT is((SELECT count(*) FROM tenants2), 10::bigint, 'also in one that was made later');
RESET ROLE;
SELECT soft('tenants1', 'id < 5', 'named themselves');
SELECT well('tenants', 'and all is well');
SELECT plinth_soft_delete.disable('tenants', dead => 'keep');
SELECT is((SELECT string_agg(relname || relrowsecurity, ',' ORDER BY relname) FROM pg_class WHERE relname ~ '^tenants\d*$'),
	'tenantstrue,tenants1false,tenants2false', 'disable() leaves row-level security as it was, everywhere');

----------------------------------------------------------------------------------------------------------------------
-- Inheritance
----------------------------------------------------------------------------------------------------------------------

SET ROLE soft_ddl_owner;
CREATE TABLE ancestor (id int, name text);
SELECT plinth_soft_delete.enable('ancestor');
CREATE TABLE child1 (more text) INHERITS (ancestor);
CREATE TABLE child2 (id int, name text, deleted_at timestamptz, deletion_id bigint);
INSERT INTO child2 VALUES (30, 'x', '2021-01-01', NULL);
ALTER TABLE child2 INHERIT ancestor;
INSERT INTO ancestor SELECT g FROM generate_series(1, 5) g;
INSERT INTO child1 SELECT g FROM generate_series(11, 15) g;
INSERT INTO child2 SELECT g FROM generate_series(21, 25) g;
GRANT SELECT, DELETE ON ancestor, child1, child2 TO soft_ddl_app;
RESET ROLE;
SELECT well('ancestor', 'with children that were made and came later, it is well');
SELECT soft('ancestor', 'id IN (1, 11, 21)', 'all children');
SELECT soft(c, 'id % 10 = 2', 'child ' || c) FROM unnest('{child1,child2}'::regclass[]) c;
SELECT is((SELECT string_agg(target::text, ',' ORDER BY target::text) FROM plinth_soft_delete.status WHERE target::text ~ 'ancestor|child'), 'ancestor', 'children are no tables of their own');
ALTER TABLE child2 NO INHERIT ancestor;
SELECT soft('child2', 'id = 23', 'a child that has left');
SELECT well('child2', 'it is well');
SELECT well('ancestor', 'and so is its parent');
ALTER TABLE child2 INHERIT ancestor;
SELECT well('ancestor', 'also when it comes back');
ALTER TABLE ancestor RENAME deleted_at TO gone;
SELECT well('ancestor', 'columns of children are renamed');
SELECT throws_ok('CREATE TEMP TABLE child3 () INHERITS (ancestor)', '0A000',
	'table "child3" cannot be below soft-deleting table "ancestor"', 'a temporary child');
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
SELECT throws_ok('CREATE FOREIGN TABLE child3 () INHERITS (ancestor) SERVER nowhere', '0A000',
	'table "child3" cannot be below soft-deleting table "ancestor"', 'a foreign child');
SELECT throws_ok('CREATE FOREIGN TABLE parts9 PARTITION OF parts FOR VALUES FROM (90) TO (91) SERVER nowhere', '0A000',
	'table "parts9" cannot be below soft-deleting table "parts"', 'a foreign partition');

-- Nobody sees the dead through a table that is not enabled.
CREATE TABLE above (id int);
SELECT throws_ok('ALTER TABLE users INHERIT above', '0A000',
	'table "users" cannot be altered like this while it is enabled for soft delete', 'a parent that is not enabled');
SELECT throws_ok('CREATE TABLE child3 () INHERITS (ancestor, above)', '0A000',
	'table "child3" cannot be altered like this while it is enabled for soft delete', 'nor one beside one that is');
CREATE TABLE whole (LIKE parts2) PARTITION BY RANGE (id);
SELECT throws_ok('ALTER TABLE whole ATTACH PARTITION parts2 FOR VALUES FROM (10) TO (20)', '0A000',
	'table "parts2" cannot be altered like this while it is enabled for soft delete', 'nor a partitioned table that is not');

-- Tables that are not enabled are let alone.
CREATE TABLE plain (id int PRIMARY KEY, deleted_at timestamptz) PARTITION BY RANGE (id);
CREATE TABLE plain1 PARTITION OF plain FOR VALUES FROM (0) TO (10);
CREATE TABLE plain2 (LIKE plain INCLUDING ALL);
ALTER TABLE plain ATTACH PARTITION plain2 FOR VALUES FROM (10) TO (20);
ALTER TABLE plain RENAME deleted_at TO gone;
ALTER TABLE plain ALTER gone TYPE text;
ALTER TABLE plain DROP COLUMN gone;
ALTER TABLE plain DETACH PARTITION plain2;
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = ANY ('{plain,plain1,plain2}'::regclass[])) + (SELECT count(*) FROM pg_policy WHERE polrelid = ANY ('{plain,plain1,plain2}'::regclass[])),
	0::bigint, 'tables that are not enabled get nothing');
SELECT is((SELECT count(*) FROM pg_class WHERE relname ~ '^plain' AND relrowsecurity), 0::bigint, 'and no row-level security');

SELECT * FROM finish();
DROP EXTENSION plinth_soft_delete CASCADE;
SELECT drop_roles('soft_ddl_');
