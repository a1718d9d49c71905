-- Within a transaction (command_id, audit_id) is the true order of the changes of each key, whatever runs inside what.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION plinth_audit;
SELECT plan(14);

-- The log in the documented order: op, key and value.
CREATE FUNCTION story(log regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(op || '' '' || (row_key ->> ''id'') || coalesce('' '' || (old_data ->> ''v''), '''') || coalesce('' > '' || (new_data ->> ''id'') || '' '' || (new_data ->> ''v''), ''''),
		'', '' ORDER BY last, command_id, audit_id) FROM (SELECT *, max(audit_id) OVER (PARTITION BY transaction_id) AS last FROM %s) l', log) INTO result;
	EXECUTE format('DELETE FROM %s', log);
	RETURN result;
END $$;

CREATE TABLE o (id int PRIMARY KEY, v text);
SELECT plinth_audit.enable('o') IS NOT NULL AS ignored \gset

-- A BEFORE trigger that makes room for the new row.
CREATE FUNCTION replace_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = 'INSERT' OR new.id <> old.id THEN DELETE FROM o WHERE id = new.id; END IF; RETURN new; END $$;
CREATE TRIGGER replace_it BEFORE INSERT OR UPDATE OF id ON o FOR EACH ROW EXECUTE FUNCTION replace_it();
INSERT INTO o VALUES (1, 'a');
INSERT INTO o VALUES (1, 'b');
SELECT is(story('o_audit'), 'I 1 > 1 a, D 1 a, I 1 > 1 b', 'BEFORE INSERT that deletes the row in the way');
INSERT INTO o VALUES (1, 'c'), (1, 'd'), (1, 'e');
SELECT is(story('o_audit'), 'D 1 b, I 1 > 1 c, D 1 c, I 1 > 1 d, D 1 d, I 1 > 1 e', 'several times in one statement');
INSERT INTO o VALUES (2, 'x');
SELECT story('o_audit') IS NULL AS ignored \gset
UPDATE o SET id = 1 WHERE id = 2;
SELECT is(story('o_audit'), 'D 1 e, U 2 x > 1 x', 'BEFORE UPDATE that deletes the row that has the new key');
BEGIN;
INSERT INTO o VALUES (3, 'p'), (3, 'q');
SAVEPOINT s;
INSERT INTO o VALUES (3, 'r'), (3, 's');
ROLLBACK TO s;
INSERT INTO o VALUES (3, 't'), (3, 'u');
COMMIT;
SELECT is(story('o_audit'), 'I 3 > 3 p, D 3 p, I 3 > 3 q, D 3 q, I 3 > 3 t, D 3 t, I 3 > 3 u', 'what a savepoint has undone does not count');
COPY o FROM stdin;
4	m
4	n
\.
SELECT is(story('o_audit'), 'I 4 > 4 m, D 4 m, I 4 > 4 n', 'COPY');
DROP TRIGGER replace_it ON o;
TRUNCATE o;
DELETE FROM o_audit;

-- A function in the statement itself.
CREATE FUNCTION room(k int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM o WHERE id = k; RETURN k; END $$;
INSERT INTO o VALUES (1, 'a'), (2, 'a');
INSERT INTO o SELECT room(g), 'b' FROM generate_series(1, 2) g;
SELECT is(story('o_audit'), 'I 1 > 1 a, I 2 > 2 a, D 1 a, I 1 > 1 b, D 2 a, I 2 > 2 b', 'INSERT ... SELECT of a function that deletes');
INSERT INTO o SELECT room(1), v FROM unnest(ARRAY['c', 'd']) v;
SELECT is(story('o_audit'), 'D 1 b, I 1 > 1 c, D 1 c, I 1 > 1 d', 'for one key twice');
DO $$ BEGIN
	INSERT INTO o SELECT room(1), 'e';
	UPDATE o SET v = 'f' WHERE id = 1;
	INSERT INTO o SELECT room(1), 'g';
END $$;
SELECT is(story('o_audit'), 'D 1 d, I 1 > 1 e, U 1 e > 1 f, D 1 f, I 1 > 1 g', 'statements of one transaction');

-- An AFTER trigger, fired when all rows of its statement are changed.
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF length(new.v) < 4 THEN UPDATE o SET v = v || '+' WHERE id = new.id; END IF; RETURN NULL; END $$;
CREATE TRIGGER a_bump AFTER INSERT OR UPDATE ON o FOR EACH ROW EXECUTE FUNCTION bump();
TRUNCATE o;
DELETE FROM o_audit;
INSERT INTO o VALUES (1, 'a'), (2, 'b');
SELECT is(story('o_audit'), 'I 1 > 1 a, I 2 > 2 b, U 1 a > 1 a+, U 1 a+ > 1 a++, U 1 a++ > 1 a+++, U 2 b > 2 b+, U 2 b+ > 2 b++, U 2 b++ > 2 b+++', 'AFTER INSERT that updates the row, and again');
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO o VALUES (old.id, 'back'); RETURN NULL; END $$;
CREATE TRIGGER a_again AFTER DELETE ON o FOR EACH ROW EXECUTE FUNCTION again();
DELETE FROM o;
SELECT is(story('o_audit'), 'D 1 a+++, D 2 b+++, I 1 > 1 back, I 2 > 2 back', 'AFTER DELETE that puts a row in its place');
DROP TRIGGER a_again ON o;
DROP TRIGGER a_bump ON o;

-- An AFTER trigger that fires before ours and takes the key that the row has just given up.
CREATE FUNCTION tombstone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF old.id <> new.id THEN
		INSERT INTO o VALUES (old.id, 'tombstone');
		UPDATE o SET v = 'moved' WHERE id = new.id;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER a_tombstone AFTER UPDATE ON o FOR EACH ROW EXECUTE FUNCTION tombstone();
TRUNCATE o;
INSERT INTO o VALUES (1, 'a');
DELETE FROM o_audit;
UPDATE o SET id = 101 WHERE id = 1;
SELECT is(story('o_audit'), 'U 1 a > 101 a, I 1 > 1 tombstone, U 101 a > 101 moved', 'AFTER UPDATE that inserts under the old key');
DROP TRIGGER a_tombstone ON o;
TRUNCATE o;
DELETE FROM o_audit;

-- Both at once, on a partitioned table, across a move.
CREATE TABLE m (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);
SELECT plinth_audit.enable('m') IS NOT NULL AS ignored \gset
CREATE FUNCTION make_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM m WHERE id = new.id; RETURN new; END $$;
CREATE TRIGGER make_room BEFORE INSERT ON m2 FOR EACH ROW EXECUTE FUNCTION make_room();
INSERT INTO m VALUES (1, 'a'), (11, 'b');
UPDATE m SET id = 11 WHERE id = 1;
SELECT is((SELECT string_agg(op || ' ' || (row_key ->> 'id') || coalesce(' ' || note::text, ''), ', ' ORDER BY command_id, audit_id) FROM m_audit WHERE audit_id > 2),
	'D 1 {"moved": true}, D 11, I 11 {"moved_from": 4}', 'a row that moves to where another makes room');

-- Replay by keys, the way that docs/audit.md shows, agrees with the table.
CREATE TABLE state (id int PRIMARY KEY, v text);
DO $$
DECLARE
	e record;
BEGIN
	CREATE TRIGGER replace_it BEFORE INSERT OR UPDATE OF id ON o FOR EACH ROW EXECUTE FUNCTION replace_it();
	CREATE TRIGGER a_bump AFTER INSERT OR UPDATE ON o FOR EACH ROW EXECUTE FUNCTION bump();
	TRUNCATE o;
	DELETE FROM o_audit;
	FOR i IN 1..200 LOOP
		INSERT INTO o SELECT 1 + (i * j) % 7, chr(97 + (i + j) % 26) FROM generate_series(1, 1 + i % 5) j;
		IF i % 3 = 0 THEN UPDATE o SET id = 1 + (id + i) % 7 WHERE id = 1 + i % 7; END IF;
		IF i % 7 = 0 THEN DELETE FROM o WHERE id = 1 + i % 5; END IF;
	END LOOP;
	FOR e IN SELECT op, (row_key ->> 'id')::int AS k, new_data FROM (SELECT *, max(audit_id) OVER (PARTITION BY transaction_id) AS last FROM o_audit) l ORDER BY last, command_id, audit_id LOOP
		IF e.op <> 'I' THEN
			DELETE FROM state WHERE id = e.k;
			IF NOT FOUND THEN RAISE 'no row % to %', e.k, e.op; END IF;
		END IF;
		IF e.new_data IS NOT NULL THEN INSERT INTO state SELECT * FROM jsonb_populate_record(NULL::state, e.new_data); END IF;
	END LOOP;
END $$;
SELECT cmp_ok((SELECT count(*) FROM o_audit), '>', 1000::bigint, 'a thousand changes, nested in both ways, replay without a gap');
SELECT set_eq('TABLE state', 'TABLE o', 'and give the table');

SELECT * FROM finish();
