-- Tables that are not audited are not affected by the extension: not their statements, not their DDL, not their catalogs.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;

-- What happens to them, once without the extension, once with it, once while other tables are audited.
\set module audit
\ir ../../lib/beeswax.sql
CALL live('before');

CREATE EXTENSION plinth_audit;
SELECT plan(12);
CALL live('installed');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'installed' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'the extension alone changes nothing for tables that are not audited');
SELECT cmp_ok((SELECT count(*) FROM outcome WHERE run = 'before'), '>', 90::bigint, 'and something was tried');
SELECT is(to_regclass('plinth_audit.transaction'), NULL, 'there is no table of transactions before the first enable()');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgname LIKE 'plinth%' $$, 'and no trigger');

CREATE TABLE audited (id int PRIMARY KEY, v text);
CREATE TABLE audited_parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE beside (id int PRIMARY KEY REFERENCES audited, v text);
SELECT plinth_audit.enable('audited'), plinth_audit.enable('audited_parts') \gset
INSERT INTO audited VALUES (1, 'x');
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM audited_audit) AS logged, (SELECT count(*) FROM plinth_audit.transaction) AS transactions;
CALL live('others');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'others' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'nor does it while other tables are audited');
BEGIN;
INSERT INTO beside VALUES (1, 'y');
UPDATE beside SET v = 'z';
DELETE FROM beside;
TRUNCATE beside;
COMMIT;
SELECT is((SELECT count(*) FROM audited_audit), (SELECT logged FROM before), 'no row in somebody else''s log');
SELECT is((SELECT count(*) FROM plinth_audit.transaction), (SELECT transactions FROM before), 'no row in the table of transactions');
SELECT is_empty($$ SELECT tgrelid::regclass FROM pg_trigger WHERE tgname LIKE 'plinth%' AND tgrelid NOT IN ('audited'::regclass, 'audited_parts'::regclass, 'audited_audit'::regclass, 'audited_parts_audit'::regclass) AND tgrelid::regclass::text NOT LIKE 'plinth\_audit.%' $$, 'no trigger on any other table');
SELECT lives_ok('SET plinth_audit.capture = off; CREATE TABLE off1 (id int); INSERT INTO off1 VALUES (1); DROP TABLE off1; RESET plinth_audit.capture', 'with capture off neither');
SELECT plinth_audit.disable('audited'), plinth_audit.disable('audited_parts') \gset
INSERT INTO audited VALUES (2, 'x');
SELECT is((SELECT count(*) FROM audited_audit), (SELECT logged FROM before), 'a table that is audited no longer is a table like any other');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid IN ('audited'::regclass, 'audited_parts'::regclass) AND NOT tgisinternal $$, 'without a trigger');
DROP EXTENSION plinth_audit CASCADE;
CALL live('dropped');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'dropped' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'and nothing stays when the extension goes');
SELECT * FROM finish();
