-- Foreign keys' own queries are left alone; what triggers ask within them is not, nor what they ask later with the same plans.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_soft_delete;
LOAD 'plinth_soft_delete';
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT drop_roles('soft_foreign_');
CREATE ROLE soft_foreign_owner;
CREATE ROLE soft_foreign_app;
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
CREATE SCHEMA shop AUTHORIZATION soft_foreign_owner;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SET ROLE soft_foreign_owner;

-- Neither parent nor child is enabled; what the child's trigger writes to is.
CREATE TABLE shop.parent (id int PRIMARY KEY, code int UNIQUE);
CREATE TABLE shop.child (
	id int PRIMARY KEY,
	parent_id int REFERENCES shop.parent ON DELETE CASCADE,
	parent_code int REFERENCES shop.parent (code) ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TABLE shop.note (child_id int, step int);
CREATE TABLE shop.seen (child_id int, op text, notes bigint, deleted bigint);
INSERT INTO shop.parent SELECT i, 10 * i FROM generate_series(1, 8) i;
INSERT INTO shop.child SELECT i, i, 10 * i FROM generate_series(1, 8) i;
INSERT INTO shop.note SELECT i, s FROM generate_series(1, 8) i, generate_series(1, 3) s;
GRANT ALL ON ALL TABLES IN SCHEMA shop TO soft_foreign_app;
SELECT plinth_soft_delete.enable('shop.note');

-- The same plans serve wherever the function is called.
CREATE FUNCTION shop.drop_note(child int, of_step int, op text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
	gone int;
BEGIN
	SELECT count(*) INTO before FROM shop.note n WHERE n.child_id = child;
	DELETE FROM shop.note n WHERE n.child_id = child AND n.step = of_step;
	GET DIAGNOSTICS gone = ROW_COUNT;
	INSERT INTO shop.seen VALUES (child, op, before, gone);
	RETURN gone;
END $$;
CREATE FUNCTION shop.child_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM shop.drop_note(OLD.id, 1, TG_OP);
	EXECUTE 'DELETE FROM shop.note WHERE child_id = $1 AND step = 2' USING OLD.id;
	RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER child_changes BEFORE UPDATE OR DELETE ON shop.child FOR EACH ROW EXECUTE FUNCTION shop.child_changes();
RESET ROLE;

CREATE FUNCTION raw(child int) RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(step || CASE WHEN deleted_at IS NULL THEN '+' ELSE '-' END, ' ' ORDER BY step) FROM shop.note WHERE child_id = child $$;

SET ROLE soft_foreign_app;
SELECT lives_ok('DELETE FROM shop.parent WHERE id = 1', 'a trigger under ON DELETE CASCADE deletes from an enabled table');
SELECT results_eq('SELECT op, notes, deleted FROM shop.seen WHERE child_id = 1', $$ VALUES ('DELETE', 3::bigint, 1::bigint) $$,
	'it is told how many rows went');
SELECT is((SELECT count(*) FROM shop.child WHERE id = 1), 0::bigint, 'the key has done its work');
SELECT lives_ok('UPDATE shop.parent SET code = 21 WHERE id = 2', 'and under ON UPDATE CASCADE');
SELECT is((SELECT parent_code FROM shop.child WHERE id = 2), 21, 'which went through');
SELECT lives_ok('UPDATE shop.child SET parent_id = 4 WHERE id = 3; DELETE FROM shop.parent WHERE id = 3', 'and under ON DELETE SET NULL');
SELECT is(shop.drop_note(2, 3, 'call'), 1, 'the plan that was made under a key serves outside');
SELECT is(shop.drop_note(2, 3, 'call'), 0, 'and finds no dead row there');
SELECT results_eq($$ SELECT notes FROM shop.seen WHERE child_id = 2 AND op = 'call' ORDER BY 1 $$, 'VALUES (0::bigint), (1)',
	'nor counts one');
SELECT is(shop.drop_note(5, 1, 'call'), 1, 'the plan that was made outside');
SELECT lives_ok('DELETE FROM shop.parent WHERE id = 5', 'serves under a key');
SELECT results_eq($$ SELECT notes, deleted FROM shop.seen WHERE child_id = 5 AND op = 'DELETE' $$, 'VALUES (2::bigint, 0::bigint)',
	'and is as exact there');
RESET ROLE;
SELECT is(raw(1), '1- 2- 3+', 'nothing is gone: deleted');
SELECT is(raw(2), '1- 2- 3-', 'nothing is gone: updated, and called');
SELECT is(raw(3), '1- 2- 3+', 'nothing is gone: set to null');
SELECT is(raw(5), '1- 2- 3+', 'nothing is gone: deleted after a call');
SELECT is((SELECT count(*) FROM plinth_soft_delete.deletion), (SELECT count(DISTINCT deletion_id) FROM shop.note WHERE deletion_id IS NOT NULL),
	'each with its record');

-- The child of a table that is not enabled: the key itself would remove rows.
SET ROLE soft_foreign_owner;
CREATE TABLE shop.item (id int PRIMARY KEY, parent_id int CONSTRAINT item_parent REFERENCES shop.parent ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO shop.item VALUES (1, 6), (2, 6), (3, 7);
SELECT plinth_soft_delete.enable('shop.item');
DELETE FROM shop.item WHERE id = 3;
DELETE FROM shop.child WHERE parent_id = 7;
SELECT throws_ok('DELETE FROM shop.parent WHERE id = 6', '23503', 'a foreign key would remove rows of soft-deleting table "item"',
	'a key does not remove living rows');
SELECT throws_ok('DELETE FROM shop.parent WHERE id = 7', '23503', 'a foreign key would remove rows of soft-deleting table "item"',
	'nor dead ones');
SELECT lives_ok('UPDATE shop.parent SET id = 70 WHERE id = 7', 'but ON UPDATE CASCADE reaches the dead');
RESET ROLE;
SELECT results_eq('SELECT id, parent_id, deleted_at IS NULL FROM shop.item ORDER BY id', 'VALUES (1, 6, true), (2, 6, true), (3, 70, false)',
	'and leaves them dead');
SELECT throws_ok('INSERT INTO shop.item VALUES (4, 7)', '23503', NULL, 'the key holds');

-- A key that is added is checked for the dead, too, or a dump could not be restored.
SET ROLE soft_foreign_owner;
CREATE TABLE shop.late (id int PRIMARY KEY, parent_id int);
INSERT INTO shop.late VALUES (1, 8), (2, 999);
SELECT plinth_soft_delete.enable('shop.late', visibility => 'filter');
DELETE FROM shop.late WHERE id = 2;
SELECT throws_ok('ALTER TABLE shop.late ADD CONSTRAINT late_parent FOREIGN KEY (parent_id) REFERENCES shop.parent', '23503',
	'insert or update on table "late" violates foreign key constraint "late_parent"', 'a dead row keeps a key from being added');
SELECT lives_ok('ALTER TABLE shop.late ADD CONSTRAINT late_parent FOREIGN KEY (parent_id) REFERENCES shop.parent NOT VALID', 'but not one that is not valid');
SELECT throws_ok('ALTER TABLE shop.late VALIDATE CONSTRAINT late_parent', '23503', NULL, 'which cannot be validated');
SELECT is((SELECT count(*) FROM (SELECT fk."id" FROM ONLY "shop"."late" fk LEFT OUTER JOIN ONLY "shop"."parent" pk ON (pk."id" = fk."parent_id")) q),
	1::bigint, 'a query that looks like the check is none');
RESET ROLE;

-- A partition that dead rows refer to stays, or they would come back referring to nothing.
SET ROLE soft_foreign_owner;
CREATE TABLE shop.years (year int PRIMARY KEY) PARTITION BY RANGE (year);
CREATE TABLE shop.years_old PARTITION OF shop.years FOR VALUES FROM (0) TO (2000);
CREATE TABLE shop.years_new PARTITION OF shop.years FOR VALUES FROM (2000) TO (3000);
INSERT INTO shop.years VALUES (1999), (2001);
CREATE TABLE shop.made (id int PRIMARY KEY, year int REFERENCES shop.years);
SELECT plinth_soft_delete.enable('shop.made');
INSERT INTO shop.made VALUES (1, 1999), (2, 2001);
DELETE FROM shop.made WHERE id = 1;
SELECT throws_ok('ALTER TABLE shop.years DETACH PARTITION shop.years_old', '23503', NULL, 'a dead row keeps a partition from being detached');
UPDATE shop.made SET year = NULL;
SELECT lives_ok('ALTER TABLE shop.years DETACH PARTITION shop.years_new', 'one that nothing refers to is');

-- Whose columns are gone by some other way: keys that refer from it hold all the same.
RESET ROLE;
ALTER EVENT TRIGGER plinth_soft_delete_ddl_end DISABLE;
SET ROLE soft_foreign_owner;
ALTER TABLE shop.made RENAME deleted_at TO gone_at;
RESET ROLE;
ALTER EVENT TRIGGER plinth_soft_delete_ddl_end ENABLE ALWAYS;
SET ROLE soft_foreign_owner;
INSERT INTO shop.years VALUES (1998);
SELECT throws_ok('SELECT * FROM shop.made', '42703', NULL, 'a table whose column was renamed unseen');
SELECT lives_ok('DELETE FROM shop.years WHERE year = 1998', 'does not stop others from deleting what nothing refers to');
SELECT throws_ok('DELETE FROM shop.years WHERE year = 1999', '23503', NULL, 'and stops them from deleting what it refers to');
RESET ROLE;

SELECT * FROM finish();
SELECT drop_roles('soft_foreign_');
