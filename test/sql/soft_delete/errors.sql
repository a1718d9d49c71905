-- What a person is told who asks for what cannot be.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_soft_delete;
LOAD 'plinth_soft_delete';

CREATE TABLE plain (id int PRIMARY KEY, v text);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent);
CREATE TABLE texts (id int, deleted_at text);
CREATE TABLE parts (id int, deleted_at timestamptz) PARTITION BY RANGE (deleted_at);
CREATE TABLE shards (id int) PARTITION BY RANGE (id);
CREATE TABLE shard PARTITION OF shards DEFAULT;
CREATE TABLE watched (id int);
CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TRIGGER watch AFTER DELETE ON watched FOR EACH ROW EXECUTE FUNCTION noop();
CREATE TEMP TABLE passing (id int);
CREATE VIEW looks AS SELECT 1 AS id;

-- enable()
SELECT plinth_soft_delete.enable('nothing');
SELECT plinth_soft_delete.enable(NULL);
SELECT plinth_soft_delete.enable('looks');
SELECT plinth_soft_delete.enable('passing');
SELECT plinth_soft_delete.enable('pg_catalog.pg_class');
SELECT plinth_soft_delete.enable('shard');
SELECT plinth_soft_delete.enable('parent');
SELECT plinth_soft_delete.enable('texts');
SELECT plinth_soft_delete.enable('parts');
SELECT plinth_soft_delete.enable('watched');
SELECT plinth_soft_delete.enable('plain', visibility => 'hidden');
SELECT plinth_soft_delete.enable('plain', visibility => NULL);
SELECT plinth_soft_delete.enable('plain', viewers => 'nobody_at_all');
SELECT plinth_soft_delete.enable('plain', deleted_at => 'v');
SELECT plinth_soft_delete.enable('plain', deleted_at => '');
SELECT plinth_soft_delete.enable('plain', deleted_at => 'ctid');
SELECT plinth_soft_delete.enable('plain', delete_triggers => 'maybe');
SELECT plinth_soft_delete.enable('plain', visibilty => 'rls');

-- A table that is not enabled.
SELECT plinth_soft_delete.disable('plain');
SELECT plinth_soft_delete.check('plain');
SELECT plinth_soft_delete.repair('plain');
SELECT plinth_soft_delete.make_unique_live('plain', 'plain_pkey');
SELECT plinth_soft_delete.restore_row('plain', '{"id": 1}');

-- One that is.
SELECT plinth_soft_delete.enable('plain');
INSERT INTO plain VALUES (1, 'a'), (2, 'b');
DELETE FROM plain WHERE id = 2;
TRUNCATE plain;
SET plinth_soft_delete.truncate = 'soft';
TRUNCATE plain RESTART IDENTITY;
RESET plinth_soft_delete.truncate;
SET plinth_soft_delete.truncate = 'maybe';
SET plinth_soft_delete.tuncate = 'soft';
SELECT plinth_soft_delete.restore(4711);
SELECT plinth_soft_delete.restore(NULL);
SELECT plinth_soft_delete.restore_row('plain', '{"id": 1}');
SELECT plinth_soft_delete.restore_row('plain', '{"idd": 2}');
SELECT plinth_soft_delete.restore_row('plain', '{}');
SELECT plinth_soft_delete.restore_row('plain', '[2]');
SELECT plinth_soft_delete.make_unique_live('plain', 'plain_pkey');
SELECT plinth_soft_delete.make_unique_live('plain', 'plain_key');
SELECT plinth_soft_delete.disable('plain');
SELECT plinth_soft_delete.disable('plain', dead => 'forget');
CREATE TABLE refers (id int REFERENCES plain);
CREATE TRIGGER watch AFTER DELETE ON plain FOR EACH ROW EXECUTE FUNCTION noop();
\set VERBOSITY terse
ALTER TABLE plain DROP COLUMN deleted_at;
ALTER TABLE plain ALTER COLUMN deletion_id TYPE int;
\set VERBOSITY default

-- By whom it is not.
CREATE ROLE regress_soft_nobody;
SET ROLE regress_soft_nobody;
SELECT plinth_soft_delete.enable('watched');
SELECT plinth_soft_delete.disable('plain');
SELECT plinth_soft_delete.restore(max(deletion_id)) FROM plinth_soft_delete.deletion;
SELECT plinth_soft_delete.restore_row('plain', '{"id": 2}');
SET plinth_soft_delete.show_deleted = on;
SET plinth_soft_delete.unconverted = 'error';
INSERT INTO plinth_soft_delete.deletion (target) VALUES ('public.plain');
SELECT plinth_soft_delete._deletion('plain');
RESET ROLE;

SELECT plinth_soft_delete.disable('plain', dead => 'purge');
DROP TABLE plain, parent, child, texts, parts, shards, watched;
DROP VIEW looks;
DROP FUNCTION noop;
DROP ROLE regress_soft_nobody;
