-- Which columns are recorded, and how, and what alter() does to that.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_audit;
RESET client_min_messages;
CREATE SCHEMA options;
SET search_path = options;
\set changes 'SELECT op, row_key, old_data, new_data, note FROM users_audit WHERE audit_id > :seen ORDER BY audit_id; SELECT coalesce(max(audit_id), 0) AS seen FROM users_audit \\gset'
\set seen 0
\set see 'SELECT mode, include, exclude, mask, truncate FROM plinth_audit.status WHERE target = \'users\'::regclass;'

CREATE TABLE users (id int PRIMARY KEY, name text, secret text, seen_at date);

-- mode
SELECT plinth_audit.enable('users', mode => 'delta');
:see
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
UPDATE users SET name = 'Anna', secret = 'x' WHERE id = 1;
UPDATE users SET name = 'Anna' WHERE id = 1;
UPDATE users SET seen_at = NULL WHERE id = 1;
UPDATE users SET id = 2 WHERE id = 1;
DELETE FROM users;
:changes
SELECT plinth_audit.alter('users', mode => 'new');
:see
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
UPDATE users SET name = 'Anna' WHERE id = 1;
UPDATE users SET name = 'Anna' WHERE id = 1;
DELETE FROM users;
INSERT INTO users VALUES (3);
TRUNCATE users;
:changes
SELECT plinth_audit.alter('users', mode => 'full');
:see
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
UPDATE users SET name = 'Ann' WHERE id = 1;
DELETE FROM users;
:changes

-- exclude: what touches only those columns is not recorded
SELECT plinth_audit.alter('users', exclude => '{seen_at, id}');
:see
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
UPDATE users SET seen_at = '2026-01-02';
UPDATE users SET seen_at = '2026-01-03', name = 'Anna';
-- nothing changes: recorded, as no column left out is the reason
UPDATE users SET name = name;
-- a key column out of the images is still the key
UPDATE users SET id = 2;
DELETE FROM users;
:changes
SELECT plinth_audit.alter('users', mode => 'delta');
:see
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
UPDATE users SET seen_at = '2026-01-02';
UPDATE users SET seen_at = '2026-01-03', name = 'Anna';
UPDATE users SET id = 2;
DELETE FROM users;
:changes

-- include
SELECT plinth_audit.alter('users', mode => 'full', exclude => '{}', include => '{name}');
:see
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
UPDATE users SET secret = 'y';
UPDATE users SET name = 'Anna', secret = 'z';
ALTER TABLE users ADD COLUMN added int DEFAULT 7;
UPDATE users SET added = 8;
UPDATE users SET name = 'Ann';
DELETE FROM users;
:changes
ALTER TABLE users DROP COLUMN added;

-- mask: that it changed, not what it was
SELECT plinth_audit.alter('users', include => '{}', mask => '{secret}');
:see
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01'), (2, 'Bob', NULL, NULL);
UPDATE users SET secret = 'y' WHERE id = 1;
UPDATE users SET name = 'Anna' WHERE id = 1;
ALTER TABLE users RENAME COLUMN secret TO "Pass""word";
UPDATE users SET "Pass""word" = 'z' WHERE id = 1;
DELETE FROM users;
:changes
:see
ALTER TABLE users RENAME COLUMN "Pass""word" TO secret;
SELECT plinth_audit.alter('users', mode => 'delta');
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
UPDATE users SET secret = 'y';
UPDATE users SET name = 'Anna';
DELETE FROM users;
:changes
SELECT plinth_audit.alter('users', mask => '{}', mode => 'full');
:see

-- truncate
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01'), (2, 'Bob', NULL, NULL);
TRUNCATE users;
:changes
SELECT plinth_audit.alter('users', truncate => 'event');
:see
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01'), (2, 'Bob', NULL, NULL);
TRUNCATE users;
TRUNCATE users;
:changes
SELECT plinth_audit.alter('users', truncate => 'rows', mask => '{secret}', exclude => '{seen_at}');
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
TRUNCATE users;
:changes
SELECT plinth_audit.alter('users', mask => '{}', exclude => '{}');

-- log: from now on into another one; what was recorded stays where it is
INSERT INTO users VALUES (1, 'Ann', 'x', '2026-01-01');
:changes
CREATE SCHEMA options_log;
SELECT plinth_audit.alter('users', log => 'options_log.history');
SELECT target, log FROM plinth_audit.status WHERE target = 'users'::regclass;
UPDATE users SET name = 'Anna';
:changes
SELECT op, row_key, old_data ->> 'name' AS was, new_data ->> 'name' AS became FROM options_log.history ORDER BY audit_id;
SELECT * FROM plinth_audit.check('users');
-- the same log under another name
ALTER TABLE options_log.history RENAME TO record;
ALTER TABLE options_log.record SET SCHEMA options;
UPDATE users SET name = 'Ann';
SELECT op, row_key, old_data ->> 'name' AS was, new_data ->> 'name' AS became FROM record ORDER BY audit_id;
SELECT target, log FROM plinth_audit.status WHERE target = 'users'::regclass;
SELECT * FROM plinth_audit.check('users');
-- the old one again: it goes on
SELECT plinth_audit.alter('users', log => 'users_audit');
DELETE FROM users;
:changes
SELECT plinth_audit.disable('users', drop_log => true);

-- The options are the trigger's arguments.
SELECT plinth_audit.enable('users', mode => 'delta', exclude => '{seen_at}', mask => '{secret}', truncate => 'event', log => 'options_log.second');
SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'users'::regclass AND NOT tgisinternal ORDER BY tgname;
-- the same again, the other way round: nothing to do
SELECT plinth_audit.enable('users', mode => 'delta', exclude => '{seen_at}', mask => '{secret}', truncate => 'event', log => 'options_log.second');
SELECT plinth_audit.disable('users', drop_log => true);
-- lists in any order, with a name twice
SELECT plinth_audit.enable('users', exclude => '{seen_at, secret}');
SELECT plinth_audit.enable('users', exclude => '{secret, seen_at, secret}');
SELECT plinth_audit.disable('users', drop_log => true);

-- A table without a primary key, with every mode.
CREATE TABLE loose (a int, b text);
SELECT plinth_audit.enable('loose', mode => 'delta');
INSERT INTO loose VALUES (1, 'x'), (1, 'x');
UPDATE loose SET b = 'y';
SELECT plinth_audit.alter('loose', mode => 'new');
UPDATE loose SET a = 2;
DELETE FROM loose;
SELECT op, row_key, old_data, new_data FROM loose_audit ORDER BY audit_id;
SELECT plinth_audit.disable('loose', drop_log => true);

SET client_min_messages = warning;
DROP SCHEMA options, options_log CASCADE;
