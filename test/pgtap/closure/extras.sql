-- What its owner puts on a closure is honoured: indexes of any kind, columns, constraints, triggers and rules. Rows
-- then go there by SQL instead of straight to the heap, and the closure stays exact.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_closure;
SELECT * FROM no_plan();

CREATE TABLE seen (what text, ancestor int, descendant int);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seen VALUES (TG_OP, coalesce(new.ancestor, old.ancestor), coalesce(new.descendant, old.descendant));
	RETURN coalesce(new, old);
END $$;
CREATE FUNCTION exact(description text) RETURNS text LANGUAGE sql AS $$
	SELECT set_eq('SELECT ancestor, descendant, depth FROM t_closure',
		'WITH RECURSIVE x AS (SELECT id AS a, id AS d, 0 AS depth FROM t UNION ALL SELECT p.id, x.d, depth + 1 FROM x JOIN t c ON c.id = x.a JOIN t p ON p.id = c.parent) TABLE x', description) $$;
CREATE FUNCTION state_of(stmt text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE stmt; RETURN 'ok'; EXCEPTION WHEN OTHERS THEN RETURN sqlstate || ' ' || sqlerrm; END $$;

-- One row, many rows, moves of one and of many, keys, deletions.
CREATE FUNCTION everything(what text, extra text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
	INSERT INTO t VALUES (1, NULL);
	PERFORM plinth_closure.enable('t');
	EXECUTE extra;
	RETURN NEXT is(state_of('INSERT INTO t VALUES (2, 1)'), 'ok', what || ': one row');
	RETURN NEXT is(state_of('INSERT INTO t VALUES (3, NULL)'), 'ok', what || ': a root');
	RETURN NEXT is(state_of('INSERT INTO t SELECT g, g / 3 FROM generate_series(200, 4, -1) g'), 'ok', what || ': many rows');
	RETURN NEXT exact(what || ': inserted');
	RETURN NEXT is(state_of('UPDATE t SET parent = 3 WHERE id = 5'), 'ok', what || ': a move');
	RETURN NEXT is(state_of('UPDATE t SET parent = 4 WHERE id IN (7, 8, 9, 10, 20)'), 'ok', what || ': moves');
	RETURN NEXT is(state_of('UPDATE t SET id = 1000 WHERE id = 6'), 'ok', what || ': a key');
	RETURN NEXT exact(what || ': moved');
	RETURN NEXT is(state_of('DELETE FROM t WHERE id = 4'), 'ok', what || ': a subtree deleted');
	RETURN NEXT exact(what || ': deleted');
	RETURN NEXT is_empty('SELECT * FROM plinth_closure.check(''t'')', what || ': check() agrees');
	SET CONSTRAINTS ALL IMMEDIATE;
	RETURN NEXT is(state_of('SELECT plinth_closure.rebuild(''t'')'), 'ok', what || ': rebuilt');
	RETURN NEXT exact(what || ': rebuilt');
END $$;

SELECT everything('nothing', 'SELECT 1');
DROP TABLE t;
SELECT everything('an index with an expression', 'CREATE INDEX extra ON t_closure ((depth + 1))');
SET enable_seqscan = off;
SELECT is((SELECT count(*) FROM t_closure WHERE depth + 1 = 1), (SELECT count(*) FROM t), 'which has all rows');
RESET enable_seqscan;
DROP TABLE t;
SELECT everything('an index with a condition', 'CREATE INDEX extra ON t_closure (ancestor) WHERE depth = 1');
DROP TABLE t;
SELECT everything('another plain index', 'CREATE INDEX extra ON t_closure (depth, descendant)');
SET enable_seqscan = off;
SELECT is((SELECT count(*) FROM t_closure WHERE depth = 0), (SELECT count(*) FROM t), 'which has all rows');
RESET enable_seqscan;
DROP TABLE t;
SELECT everything('another column', 'ALTER TABLE t_closure ADD COLUMN note text DEFAULT ''new''');
SELECT is((SELECT count(*) FROM t_closure WHERE note = 'new'), (SELECT count(*) FROM t_closure), 'which has its default');
DROP TABLE t;
SELECT everything('a constraint', 'ALTER TABLE t_closure ADD CHECK (depth < 100)');
DROP TABLE t;
SELECT everything('an index less', 'DROP INDEX t_closure_descendant_idx');
DROP TABLE t;
SELECT everything('a foreign key', 'ALTER TABLE t_closure ADD FOREIGN KEY (descendant) REFERENCES t DEFERRABLE INITIALLY DEFERRED');
DROP TABLE t CASCADE;
SELECT everything('a trigger', 'CREATE TRIGGER see AFTER INSERT OR DELETE ON t_closure FOR EACH ROW EXECUTE FUNCTION see()');
-- rebuild() empties and fills at once; before that, row by row
TRUNCATE seen;
INSERT INTO t VALUES (5000, 1), (5001, 5000);
DELETE FROM t WHERE id = 5001;
SELECT set_eq('TABLE seen', $$ VALUES ('INSERT', 5000, 5000), ('INSERT', 1, 5000), ('INSERT', 5001, 5001), ('INSERT', 5000, 5001), ('INSERT', 1, 5001), ('DELETE', 5001, 5001), ('DELETE', 5000, 5001), ('DELETE', 1, 5001) $$, 'which sees every row that comes or goes');
INSERT INTO t VALUES (5002, 5000);
SELECT set_has('TABLE seen', $$ VALUES ('INSERT', 5002, 5002), ('INSERT', 5000, 5002), ('INSERT', 1, 5002) $$, 'of a single leaf too');
DROP TABLE t;
TRUNCATE seen;
SELECT everything('a rule', 'CREATE RULE see AS ON INSERT TO t_closure DO ALSO INSERT INTO seen VALUES (''rule'', new.ancestor, new.descendant)');
SELECT isnt_empty($$ SELECT FROM seen WHERE what = 'rule' AND descendant = 2 $$, 'which is followed');
DROP TABLE t CASCADE;
-- A trigger is a guard by what it calls, not by its name.
SELECT everything('a trigger that is called like ours', 'CREATE TRIGGER plinth_closure_guard_too AFTER INSERT ON t_closure FOR EACH ROW EXECUTE FUNCTION see()');
TRUNCATE seen;
INSERT INTO t VALUES (6000, 1);
SELECT is((SELECT count(*) FROM seen), 2::bigint, 'fires all the same');
DROP TABLE t;

-- Who may write to the table and nothing else can do all that.
CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t);
INSERT INTO t VALUES (1, NULL);
SELECT plinth_closure.enable('t') IS NULL AS ignored \gset
CREATE INDEX extra ON t_closure ((depth + 1));
\ir ../../lib/roles.sql
SELECT drop_roles('closure_extras_');
CREATE ROLE closure_extras_writer;
GRANT USAGE ON SCHEMA public, pgtap TO closure_extras_writer;
GRANT INSERT ON t TO closure_extras_writer;
SET ROLE closure_extras_writer;
SELECT is(state_of('INSERT INTO t VALUES (2, 1)'), 'ok', 'a writer without rights on the closure, by SQL');
RESET ROLE;
SELECT exact('and exactly');
SELECT drop_roles('closure_extras_');
SELECT * FROM finish();
