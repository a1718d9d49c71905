-- Every mistake that a user can make gets a clear answer, and changes nothing.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_audit;
RESET client_min_messages;
CREATE SCHEMA errors;
SET search_path = errors;
CREATE ROLE regress_audit_owner;
CREATE ROLE regress_audit_other;
GRANT USAGE, CREATE ON SCHEMA errors TO regress_audit_owner;
GRANT USAGE ON SCHEMA errors TO regress_audit_other;
CREATE TABLE users (id int PRIMARY KEY, name text, secret text);
-- Messages with SQLSTATE, without source line.
\set VERBOSITY default
\set SHOW_CONTEXT never
\set say '\\echo SQLSTATE :SQLSTATE'

-- What cannot be audited.
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS id;
CREATE SEQUENCE a_sequence;
CREATE TABLE an_index (id int PRIMARY KEY);
CREATE TYPE a_type AS (id int);
CREATE TEMPORARY TABLE a_temporary (id int);
CREATE FOREIGN DATA WRAPPER regress_audit_fdw;
CREATE SERVER regress_audit_server FOREIGN DATA WRAPPER regress_audit_fdw;
CREATE FOREIGN TABLE a_foreign (id int) SERVER regress_audit_server;
SELECT plinth_audit.enable('a_view');
:say
SELECT plinth_audit.enable('a_matview');
:say
SELECT plinth_audit.enable('a_sequence');
:say
SELECT plinth_audit.enable('an_index_pkey');
:say
SELECT plinth_audit.enable('a_type');
:say
SELECT plinth_audit.enable('a_temporary');
:say
SELECT plinth_audit.enable('a_foreign');
:say
SELECT plinth_audit.enable('pg_catalog.pg_class');
:say
SELECT plinth_audit.enable('no_such_table');
:say
SELECT plinth_audit.enable(NULL);
:say

-- Options that do not exist or do not go together.
SELECT plinth_audit.enable('users', mode => 'everything');
:say
SELECT plinth_audit.enable('users', truncate => 'never');
:say
SELECT plinth_audit.enable('users', include => '{name}', exclude => '{secret}');
:say
SELECT plinth_audit.enable('users', include => '{nome}');
:say
SELECT plinth_audit.enable('users', exclude => '{name, nome}');
:say
SELECT plinth_audit.enable('users', mask => '{secrets}');
:say
SELECT plinth_audit.enable('users', mask => '{id}');
:say
SELECT plinth_audit.enable('users', include => '{name}', mask => '{secret}');
:say
SELECT plinth_audit.enable('users', exclude => '{secret}', mask => '{secret}');
:say
SELECT plinth_audit.enable('users', include => '{name, NULL}');
:say
SELECT plinth_audit.enable('users', include => '{{name}, {secret}}');
:say
SELECT plinth_audit.enable('users', mask => '{ctid}');
:say
SELECT plinth_audit.alter('users', mode => 'delta');
:say
SELECT plinth_audit.disable('users');
:say
SELECT * FROM plinth_audit.status WHERE target = 'users'::regclass;

-- Where the log goes.
CREATE TABLE users_audit (id int);
SELECT plinth_audit.enable('users');
:say
DROP TABLE users_audit;
CREATE VIEW users_audit AS SELECT 1 AS audit_id;
SELECT plinth_audit.enable('users');
:say
DROP VIEW users_audit;
SELECT plinth_audit.enable('users', log => 'no_such_schema.users_audit');
:say
SELECT plinth_audit.enable('users', log => 'a.b.c.d');
:say
SELECT plinth_audit.enable('users', log => '');
:say
SELECT plinth_audit.enable('users', log => '"unfinished');
:say
SELECT plinth_audit.enable('users', log => 'pg_temp.users_audit');
:say
SELECT plinth_audit.enable('users', log => 'users');
:say

-- Enabled already.
SELECT plinth_audit.enable('users', mask => '{secret}');
SELECT plinth_audit.enable('users', mode => 'delta');
:say
SELECT plinth_audit.enable('users');
:say
SELECT plinth_audit.enable('users', mask => '{secret}', log => 'elsewhere');
:say
SELECT plinth_audit.enable('users_audit');
:say
SELECT plinth_audit.enable('plinth_audit.transaction');
:say
SELECT plinth_audit.alter('users', mode => 'everything');
:say
SELECT plinth_audit.alter('users', include => '{name}', exclude => '{name}');
:say
SELECT plinth_audit.alter('users', include => '{name}');
:say
SELECT plinth_audit.alter('users', mask => '{id}');
:say
SELECT mode, include, exclude, mask, truncate FROM plinth_audit.status WHERE target = 'users'::regclass;
CREATE TABLE second (id int);
SELECT plinth_audit.enable('second', log => 'users_audit');
:say
CREATE TABLE parted (id int) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF parted DEFAULT;
SELECT plinth_audit.enable('parted');
SELECT plinth_audit.enable('part');
:say
SELECT plinth_audit.alter('part', mode => 'delta');
:say
SELECT plinth_audit.disable('part');
:say

-- Rights.
ALTER TABLE second OWNER TO regress_audit_owner;
GRANT ALL ON users, second TO regress_audit_other;
SET ROLE regress_audit_other;
SELECT plinth_audit.enable('second');
:say
SELECT plinth_audit.alter('users', mode => 'delta');
:say
SELECT plinth_audit.disable('users');
:say
SELECT plinth_audit.disable('users', drop_log => true);
:say
SELECT * FROM plinth_audit.repair('users');
:say
SELECT * FROM users_audit;
:say
RESET ROLE;
REVOKE CREATE ON SCHEMA errors FROM regress_audit_owner;
SET ROLE regress_audit_owner;
SELECT plinth_audit.enable('second');
:say
RESET ROLE;
GRANT CREATE ON SCHEMA errors TO regress_audit_owner;

-- The log is protected, from its table's owner and from those who were let in.
SET ROLE regress_audit_owner;
SELECT plinth_audit.enable('second');
INSERT INTO second VALUES (1);
INSERT INTO second_audit (op) VALUES ('I');
:say
UPDATE second_audit SET op = 'D';
:say
DELETE FROM second_audit;
:say
TRUNCATE second_audit;
:say
ALTER TABLE second_audit DISABLE TRIGGER ALL;
:say
DROP TABLE second_audit;
:say
SELECT plinth_audit.disable('second', drop_log => true);
:say
SELECT setval(pg_get_serial_sequence('second_audit', 'audit_id'), 1);
:say
RESET ROLE;
GRANT ALL ON ALL TABLES IN SCHEMA errors TO regress_audit_other;
SET ROLE regress_audit_other;
INSERT INTO second_audit (op) VALUES ('I');
:say
UPDATE second_audit SET op = 'D';
:say
DELETE FROM second_audit WHERE false;
:say
TRUNCATE second_audit;
:say
RESET ROLE;
SELECT op, new_data FROM second_audit ORDER BY audit_id;

-- A log that is gone or altered: nothing is written unrecorded.
DROP TABLE second_audit;
INSERT INTO second VALUES (2);
:say
TRUNCATE second;
:say
SELECT * FROM plinth_audit.repair('second');
INSERT INTO second VALUES (2);
ALTER TABLE second_audit DROP COLUMN note;
INSERT INTO second VALUES (3);
:say
ALTER TABLE second_audit ADD COLUMN note text;
INSERT INTO second VALUES (3);
:say
SELECT * FROM plinth_audit.repair('second');
:say
SELECT * FROM second ORDER BY id;
DROP TABLE second_audit;
SELECT plinth_audit.alter('second', mode => 'delta');
:say
SELECT plinth_audit.enable('second');
:say
SELECT plinth_audit.enable('parted', log => 'second_audit');
:say
SELECT plinth_audit.alter('parted', log => 'second_audit');
:say
SELECT * FROM plinth_audit.repair('second');
INSERT INTO second VALUES (4);
SELECT op, new_data FROM second_audit;
-- A column that the options name is gone, and nobody has followed it.
INSERT INTO users VALUES (1, 'a', 'b');
BEGIN;
ALTER EVENT TRIGGER plinth_audit_ddl_end DISABLE;
ALTER EVENT TRIGGER plinth_audit_ddl_drop DISABLE;
ALTER TABLE users DROP COLUMN secret;
INSERT INTO users VALUES (2, 'a');
:say
ROLLBACK;
-- Nulls stand for the defaults.
CREATE TABLE third (id int);
SELECT plinth_audit.enable('third', mode => NULL, include => NULL, exclude => NULL, mask => NULL, truncate => NULL, log => NULL);
SELECT mode, include, exclude, mask, truncate FROM plinth_audit.status WHERE target = 'third'::regclass;
SELECT plinth_audit.disable('third', drop_log => NULL);
:say

-- Settings.
SET plinth_audit.context = 'not json';
:say
SELECT plinth_audit.set_context('not json');
:say
SET plinth_audit.capture = 'perhaps';
:say
SET plinth_audit.captuer = off;
:say
SET ROLE regress_audit_other;
SET plinth_audit.capture = off;
:say
RESET ROLE;

-- The functions are triggers, and only where enable() puts them.
SELECT plinth_audit.capture();
:say
CREATE TABLE by_hand (id int);
CREATE TRIGGER plinth_audit AFTER INSERT ON by_hand FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture();
:say
CREATE TRIGGER plinth_audit AFTER INSERT ON by_hand FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=errors.by_hand_audit', 'mode=none');
:say
CREATE TRIGGER plinth_audit AFTER INSERT ON by_hand FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=errors.users_audit', 'mode=full', 'truncate=rows');
:say
CREATE TRIGGER plinth_audit BEFORE INSERT ON by_hand FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=errors.by_hand_audit', 'mode=full', 'truncate=rows');
INSERT INTO by_hand VALUES (1);
:say
DROP TABLE by_hand;
-- Nobody points a trigger of their own at somebody else's log,
SET ROLE regress_audit_owner;
CREATE TABLE by_hand (id int);
CREATE TRIGGER plinth_audit AFTER INSERT OR UPDATE OR DELETE ON by_hand FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=errors.users_audit', 'mode=full', 'truncate=rows');
:say
CREATE TRIGGER plinth_audit AFTER INSERT OR UPDATE OR DELETE ON by_hand FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=errors.nobodys', 'mode=full', 'truncate=rows');
:say
CREATE TRIGGER plinth_audit_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON by_hand EXECUTE FUNCTION plinth_audit.guard('log=errors.users_audit', 'reader=regress_audit_owner');
:say
-- one that names no log at all, as after a restore without the log, lets nothing pass,
INSERT INTO by_hand VALUES (1);
:say
SELECT count(*) FROM by_hand;
DROP TRIGGER plinth_audit ON by_hand;
RESET ROLE;
-- and a foreign log is safe even if nobody looks while the trigger is made.
BEGIN;
ALTER EVENT TRIGGER plinth_audit_ddl_end DISABLE;
SET LOCAL ROLE regress_audit_owner;
CREATE TRIGGER plinth_audit AFTER INSERT OR UPDATE OR DELETE ON by_hand FOR EACH ROW EXECUTE FUNCTION plinth_audit.capture('log=errors.users_audit', 'mode=full', 'truncate=rows');
INSERT INTO by_hand VALUES (2);
:say
ROLLBACK;
SELECT count(*) FROM users_audit;

SET client_min_messages = warning;
DROP SCHEMA errors CASCADE;
DROP FOREIGN DATA WRAPPER regress_audit_fdw CASCADE;
DROP ROLE regress_audit_owner, regress_audit_other;
