-- BEFORE triggers of others that change our columns, and rows that come dead: a statement that deletes or restores does what
-- it says or fails, and restore() brings back what the deletion took and nothing else.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_soft_delete;
LOAD 'plinth_soft_delete';
SELECT * FROM no_plan();
\ir ../../lib/roles.sql
SELECT drop_roles('soft_tampering_');
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;
CREATE ROLE soft_tampering_app;
CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SET search_path = shop, pgtap, public;

CREATE TABLE users (id int PRIMARY KEY, email text, state text DEFAULT 'new');
CREATE TABLE parts (id int, k int, state text DEFAULT 'new') PARTITION BY LIST (k);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts2 PARTITION OF parts FOR VALUES IN (2);
CREATE TABLE others (id int PRIMARY KEY);
INSERT INTO users SELECT g, 'u' || g FROM generate_series(1, 40) g;
INSERT INTO parts SELECT g, 1 + g % 2 FROM generate_series(1, 20) g;
INSERT INTO others SELECT generate_series(1, 10);
GRANT SELECT, INSERT, DELETE, UPDATE ON users, parts, others TO soft_tampering_app;
SELECT plinth_soft_delete.enable(t) FROM unnest('{users,parts,others}'::regclass[]) t;

-- Does what the setting "tampering.how" says with a row that is updated or inserted.
CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	CASE current_setting('tampering.how', true)
	WHEN 'revive' THEN NEW.deleted_at := NULL;
	WHEN 'undo' THEN NEW.deleted_at := NULL; NEW.deletion_id := NULL;
	WHEN 'ignore' THEN RETURN OLD;
	WHEN 'skip' THEN RETURN NULL;
	WHEN 'date' THEN NEW.deleted_at := '2001-01-01';
	WHEN 'number' THEN NEW.deletion_id := 1;
	WHEN 'forget' THEN NEW.deletion_id := NULL;
	WHEN 'mark' THEN IF NEW.state = 'gone' THEN NEW.deleted_at := '2002-02-02'; END IF;
	ELSE NULL;
	END CASE;
	RETURN NEW;
END $$;
CREATE TRIGGER before_all BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION tamper();
-- only one of the partitions
CREATE TRIGGER before_all BEFORE UPDATE ON parts2 FOR EACH ROW EXECUTE FUNCTION tamper();

-- What rows and record do not agree in.
CREATE FUNCTION at_odds(target text DEFAULT 'users') RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws('|', c.problem, c.detail), E'\n') FROM plinth_soft_delete.check(target::regclass) AS c $$;
-- Runs a statement while triggers do this; what it said, or its error.
CREATE FUNCTION tampered(how text, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	PERFORM set_config('tampering.how', how, false);
	EXECUTE stmt;
	GET DIAGNOSTICS n = ROW_COUNT;
	PERFORM set_config('tampering.how', '', false);
	RETURN n;
EXCEPTION WHEN OTHERS THEN
	PERFORM set_config('tampering.how', '', false);
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION newest() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws('|', target, row_count) FROM plinth_soft_delete._deletion ORDER BY deletion_id DESC LIMIT 1 $$;

----------------------------------------------------------------------------------------------------------------------
-- Triggers that change our columns while a row is deleted
----------------------------------------------------------------------------------------------------------------------

DELETE FROM users WHERE id = 1;
SELECT plinth_soft_delete.last_deletion() AS first \gset
SELECT is(tampered(how, 'DELETE FROM users WHERE id IN (2, 3)'),
	'27000 a trigger changed column "' || col || '" of soft-deleting table "users"', 'DELETE fails rather than not delete: ' || how)
	FROM (VALUES ('revive', 'deleted_at'), ('undo', 'deleted_at'), ('ignore', 'deleted_at'), ('number', 'deletion_id'), ('forget', 'deletion_id')) v (how, col);
SELECT is(tampered(how, 'WITH d AS (DELETE FROM users WHERE id IN (2, 3) RETURNING id) SELECT count(*) FROM d'),
	'27000 a trigger changed column "' || col || '" of soft-deleting table "users"', 'so it does in WITH: ' || how)
	FROM (VALUES ('revive', 'deleted_at'), ('ignore', 'deleted_at'), ('number', 'deletion_id')) v (how, col);
SELECT is(tampered(how, 'MERGE INTO users USING (VALUES (2), (3)) s (id) ON users.id = s.id WHEN MATCHED THEN DELETE'),
	'27000 a trigger changed column "' || col || '" of soft-deleting table "users"', 'and in MERGE: ' || how)
	FROM (VALUES ('revive', 'deleted_at'), ('ignore', 'deleted_at'), ('number', 'deletion_id')) v (how, col);
SELECT is(tampered(how, 'MERGE INTO users USING (VALUES (2), (3)) s (id) ON users.id = s.id WHEN MATCHED AND s.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET email = $$x$$'),
	'27000 a trigger changed column "' || col || '" of soft-deleting table "users"', 'also in one that updates: ' || how)
	FROM (VALUES ('revive', 'deleted_at'), ('number', 'deletion_id')) v (how, col);
SELECT is(tampered(how, 'DELETE FROM parts WHERE id IN (3, 4)'),
	'27000 a trigger changed column "deleted_at" of soft-deleting table "parts2"', 'a trigger of one partition: ' || how)
	FROM unnest('{revive,ignore}'::text[]) how;
SELECT is(tampered('skip', 'DELETE FROM users WHERE id IN (2, 3)'), '0', 'a trigger may keep rows: then they are not counted');
SELECT is(tampered('skip', 'DELETE FROM parts WHERE id IN (3, 4)'), '1', 'or those of a partition');
SELECT is(newest(), 'shop.parts|1', 'nor recorded');
SELECT is(tampered('date', 'DELETE FROM users WHERE id IN (2, 3)'), '2', 'a trigger may say when it was');
SELECT is(newest(), 'shop.users|2', 'which is on record');
SELECT results_eq('SELECT id, deleted_at::date, deletion_id = plinth_soft_delete.last_deletion() FROM users WHERE id IN (2, 3) ORDER BY 1',
	$$ VALUES (2, '2001-01-01'::date, true), (3, '2001-01-01', true) $$, 'and is what the row says');
SELECT is(at_odds(), NULL, 'rows and record agree');
SELECT is(at_odds('parts'), NULL, 'in partitions, too');

-- Clients that mark rows by themselves, and triggers that do.
SELECT is(tampered('number', 'UPDATE users SET deleted_at = now() WHERE id = 5'), '27000 a trigger changed column "deletion_id" of soft-deleting table "users"', 'an UPDATE that marks');
SELECT is(tampered('mark', $$ UPDATE users SET state = 'gone' WHERE id IN (6, 7) $$), '2', 'a trigger that marks rows by their state');
SELECT is(newest(), 'shop.users|2', 'deletes them, on record');
SELECT is(plinth_soft_delete.restore(plinth_soft_delete.last_deletion()), 2::bigint, 'and they come back');
SELECT is(tampered('mark', $$ UPDATE parts SET state = 'gone' WHERE id IN (5, 6, 7) $$), '3', 'where one partition has the trigger');
SELECT results_eq('SELECT id FROM parts WHERE deleted_at IS NULL AND id BETWEEN 5 AND 7 ORDER BY 1', ARRAY[6], 'it marks the rows there');
SELECT is(newest(), 'shop.parts|2', 'as one deletion');
SELECT is(tampered('mark', $$ INSERT INTO users VALUES (8, 'x') ON CONFLICT (id) DO UPDATE SET state = 'gone' $$), '1', 'in ON CONFLICT');
SELECT is(newest(), 'shop.users|1', 'on record');
SELECT is(tampered('mark', $$ MERGE INTO users USING (VALUES (9)) s (id) ON users.id = s.id WHEN MATCHED THEN UPDATE SET state = 'gone' $$), '1', 'in MERGE');
SELECT is(newest(), 'shop.users|1', 'on record');
CREATE TABLE narrow (id int PRIMARY KEY, state text, secret text);
INSERT INTO narrow VALUES (1, 'new', 's'), (2, 'new', 's');
SELECT plinth_soft_delete.enable('narrow');
GRANT SELECT, UPDATE (state) ON narrow TO soft_tampering_app;
CREATE TRIGGER before_all BEFORE UPDATE ON narrow FOR EACH ROW EXECUTE FUNCTION tamper();
SET ROLE soft_tampering_app;
SELECT is(tampered('mark', $$ UPDATE narrow SET state = 'gone' WHERE id = 1 $$), '1', 'who may update the state alone deletes by that');
SELECT is(tampered('mark', $$ UPDATE narrow SET secret = 'gone' WHERE id = 2 $$), '42501 permission denied for table narrow', 'and may not update more');
SELECT is(tampered('', $$ UPDATE narrow SET deletion_id = 2 WHERE id = 2 $$), '42501 permission denied for table narrow', 'nor our columns');
RESET ROLE;
SELECT is(newest(), 'shop.narrow|1', 'which is on record');
SELECT is(at_odds(t), NULL, 'rows and record of ' || t || ' agree') FROM unnest('{users,parts,narrow}'::text[]) t;
-- A trigger on our columns is not called by statements that do not name them.
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('tampering.noted', current_setting('tampering.noted') || TG_NAME, false); RETURN NEW; END $$;
CREATE TRIGGER on_mark AFTER UPDATE OF deleted_at ON users FOR EACH ROW EXECUTE FUNCTION noted();
SET tampering.noted = '';
UPDATE users SET email = 'y' WHERE id = 10;
SELECT is(current_setting('tampering.noted'), '', 'a trigger on deleted_at is not called by another UPDATE');
DELETE FROM users WHERE id = 10;
SELECT is(current_setting('tampering.noted'), 'on_mark', 'but by DELETE');
DROP TRIGGER on_mark ON users;

----------------------------------------------------------------------------------------------------------------------
-- Triggers while rows are restored, adopted or repaired
----------------------------------------------------------------------------------------------------------------------

DELETE FROM users WHERE id IN (11, 12);
SELECT plinth_soft_delete.last_deletion() AS pair \gset
SELECT is(tampered(how, format('SELECT plinth_soft_delete.restore(%s)', :pair)), said, 'restore() brings all back or fails: ' || how)
	FROM (VALUES ('skip', '27000 a trigger kept deleted rows of table "users" from being restored'),
		('ignore', '27000 a trigger changed column "deleted_at" of soft-deleting table "users"'),
		('date', '27000 a trigger changed column "deleted_at" of soft-deleting table "users"'),
		('number', '27000 a trigger changed column "deletion_id" of soft-deleting table "users"')) v (how, said);
SELECT is(tampered('skip', $$ SELECT plinth_soft_delete.restore_row('users', '{"id": 11}') $$), '27000 a trigger kept deleted rows of table "users" from being restored', 'restore_row() does not say that somebody else was there');
SELECT is(plinth_soft_delete.restore(:pair), 2::bigint, 'without them all come back');
CREATE TABLE marked (id int, deleted_at timestamptz);
INSERT INTO marked VALUES (1, NULL), (2, '2020-01-01');
CREATE TRIGGER before_all BEFORE UPDATE ON marked FOR EACH ROW EXECUTE FUNCTION tamper();
SELECT is(tampered(how, $$ SELECT plinth_soft_delete.enable('shop.marked') $$), '27000 a trigger kept deleted rows of table "marked" from getting a "deletion_id"', 'dead rows are adopted, or the table is not: ' || how)
	FROM unnest('{skip,ignore,forget}'::text[]) how;
SELECT is_empty($$ SELECT 1 FROM plinth_soft_delete._deletion WHERE target = 'shop.marked' $$, 'and nothing is on record');
SELECT lives_ok($$ SELECT plinth_soft_delete.enable('shop.marked') $$, 'without them it is');
SELECT is(newest(), 'shop.marked|1', 'and the row is on record');

-- A partition alone: the rest of the deletion can still be restored.
DELETE FROM parts WHERE id IN (9, 10);
SELECT plinth_soft_delete.last_deletion() AS both \gset
SELECT lives_ok($$ SELECT plinth_soft_delete.restore_row('parts1', '{"id": 10}') $$, 'a row of a partition');
SELECT is(plinth_soft_delete.restore(:both), 1::bigint, 'and the rest of what was deleted with it');

----------------------------------------------------------------------------------------------------------------------
-- Rows that come dead
----------------------------------------------------------------------------------------------------------------------

DELETE FROM users WHERE id = 20;
SELECT plinth_soft_delete.last_deletion() AS mine \gset
SET ROLE soft_tampering_app;
SELECT lives_ok(format($$ INSERT INTO users (id, deleted_at, deletion_id) VALUES (101, '2003-03-03', %1$s), (102, NULL, %1$s), (103, now(), NULL), (104, now(), 100000) $$, :mine), 'rows are inserted dead, with numbers of others');
RESET ROLE;
SELECT results_eq('SELECT id, deleted_at IS NULL, deletion_id = plinth_soft_delete.last_deletion() FROM users WHERE id BETWEEN 101 AND 104 ORDER BY 1',
	'VALUES (101, false, true), (102, true, NULL), (103, false, true), (104, false, true)', 'they are a deletion of their own, and living ones have none');
SELECT is(newest(), 'shop.users|3', 'on record');
SELECT is((SELECT deleted_at::date FROM users WHERE id = 101), '2003-03-03', 'and died when they say');
SELECT is(at_odds(), NULL, 'rows and record agree');
SELECT is(plinth_soft_delete.restore(:mine), 1::bigint, 'restore() brings back what was deleted');
SELECT is(plinth_soft_delete.restore(plinth_soft_delete.last_deletion()), 3::bigint, 'and what came dead');
INSERT INTO users (id, deleted_at, deletion_id) SELECT 110 + id, now(), :mine FROM generate_series(1, 2) AS id;
SELECT is(newest(), 'shop.users|2', 'INSERT ... SELECT');
INSERT INTO users (id, deleted_at, deletion_id) VALUES (21, now(), :mine), (120, now(), :mine) ON CONFLICT (id) DO UPDATE SET deleted_at = EXCLUDED.deleted_at, deletion_id = EXCLUDED.deletion_id;
SELECT is(newest(), 'shop.users|2', 'ON CONFLICT');
MERGE INTO users USING (VALUES (130), (131)) s (id) ON users.id = s.id WHEN NOT MATCHED THEN INSERT (id, deleted_at, deletion_id) VALUES (s.id, CASE WHEN s.id = 130 THEN now() END, :mine);
SELECT is(newest(), 'shop.users|1', 'MERGE');
INSERT INTO parts (id, k, deleted_at, deletion_id) VALUES (50, 1, now(), :mine), (51, 2, now(), :mine);
SELECT is(newest(), 'shop.parts|2', 'partitions');
SELECT is(at_odds(t), NULL, 'rows and record of ' || t || ' agree') FROM unnest('{users,parts}'::text[]) t;

-- A dump says so with row_security off, and is taken at its word; so is COPY.
DELETE FROM others WHERE id IN (1, 2);
SELECT plinth_soft_delete.last_deletion() AS theirs \gset
SET row_security = off;
INSERT INTO others VALUES (11, '2020-01-01', :theirs);
RESET row_security;
SELECT results_eq('SELECT deleted_at::date, deletion_id FROM others WHERE id = 11', format($$ VALUES ('2020-01-01'::date, %s::bigint) $$, :theirs), 'a restored row is what it was');
SELECT is(at_odds('others'), 'more rows than were deleted|1 deletion, which restore() does not bring back.', 'check() finds what does not fit the record');
SELECT throws_ok(format('SELECT plinth_soft_delete.restore(%s)', :theirs), '55000', format('deletion %s took 2 rows of table "others", but 3 bear its number', :theirs), 'restore() does not bring back more than was deleted');
SELECT is(plinth_soft_delete.repair('others'), 0::bigint, 'and which those are nobody can tell');
SELECT lives_ok($$ SELECT plinth_soft_delete.restore_row('others', '{"id": 11}') $$, 'a person can say so');
SELECT is(at_odds('others'), NULL, 'then all is well');
SELECT is(plinth_soft_delete.restore(:theirs), 2::bigint, 'and the others come back');

-- A number that is to come.
SELECT last_value + 1 AS coming FROM plinth_soft_delete.deletion_id_seq \gset
SET row_security = off;
INSERT INTO others VALUES (12, '2020-01-01', :coming);
RESET row_security;
SELECT is(at_odds('others'), E'deletion not in the record|1 deletion.\nsequence behind|It would give numbers again that deletions have.', 'check() finds it before it comes');
DELETE FROM others WHERE id = 3;
SELECT is(plinth_soft_delete.last_deletion(), :coming::bigint, 'it comes');
SELECT throws_ok(format('SELECT plinth_soft_delete.restore(%s)', :coming), '55000', format('deletion %s took 1 row of table "others", but 2 bear its number', :coming), 'and brings back nothing else');

-- The number of another table's deletion: its rows can still be restored.
DELETE FROM users WHERE id = 30;
SELECT plinth_soft_delete.last_deletion() AS foreign \gset
SET row_security = off;
INSERT INTO others VALUES (13, '2020-01-01', :foreign);
RESET row_security;
SELECT lives_ok($$ SELECT plinth_soft_delete.restore_row('others', '{"id": 13}') $$, 'a row with the number of another table''s deletion');
SELECT is(plinth_soft_delete.restore(:foreign), 1::bigint, 'does not use it up');

SELECT * FROM finish();
DROP SCHEMA shop CASCADE;
SELECT drop_roles('soft_tampering_');
