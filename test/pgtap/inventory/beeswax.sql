-- Tables that are no inventories are not affected by the extension: not their statements, not their DDL, not their catalogs.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;

-- What happens to them, once without the extension, once with it, once while other tables are inventories.
\set module inventory
\ir ../../lib/beeswax.sql
INSERT INTO tried (stmt) SELECT unnest(ARRAY['CREATE TABLE inv (sku text, warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0), version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id))', 'INSERT INTO inv VALUES (''a'', 1, 5, 9), (''b'', 1, 5, 0)',
	'UPDATE inv SET reserved = reserved + 20', 'UPDATE inv SET quantity = quantity - 9', 'CREATE TABLE inv_reservation (key uuid)', 'INSERT INTO inv_reservation VALUES (NULL)', 'DELETE FROM inv_reservation', 'ALTER TABLE inv RENAME COLUMN quantity TO q', 'TRUNCATE inv', 'DROP TABLE inv, inv_reservation']);
CALL live('before');

CREATE EXTENSION plinth_inventory;
SELECT plan(11);
CALL live('installed');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'installed' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'the extension alone changes nothing for tables that are no inventories');
SELECT cmp_ok((SELECT count(*) FROM outcome WHERE run = 'before'), '>', 95::bigint, 'and something was tried');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgname LIKE 'plinth%' $$, 'there is no trigger before the first enable()');

CREATE TABLE stock (sku text, warehouse_id int, quantity int NOT NULL, reserved int NOT NULL DEFAULT 0, version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
CREATE TABLE hot (sku text PRIMARY KEY, quantity int NOT NULL, reserved int NOT NULL DEFAULT 0, version int NOT NULL DEFAULT 0);
CREATE TABLE beside (sku text REFERENCES hot, warehouse_id int, quantity int, reserved int, version int);
SELECT plinth_inventory.enable('stock'), plinth_inventory.enable('hot', warehouse => NULL, mode => 'escrow') \gset
INSERT INTO stock VALUES ('a', 1, 5);
INSERT INTO hot VALUES ('a', 5);
SELECT plinth_inventory.reserve('a', NULL::text, 2, inventory => 'hot') \gset
CREATE TEMP TABLE before AS SELECT ctid AS c, xmin AS x, * FROM hot_movement;
CALL live('others');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'others' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'nor does it while other tables are inventories');
BEGIN;
INSERT INTO beside VALUES ('a', 1, 1, 1, 0), ('a', 2, 1, 5, 0);
UPDATE beside SET reserved = reserved + 100;
DELETE FROM beside;
TRUNCATE beside;
COMMIT;
SELECT set_eq('SELECT ctid AS c, xmin AS x, * FROM hot_movement', 'TABLE before', 'no row in somebody else''s ledger');
SELECT is_empty($$ SELECT tgrelid::regclass FROM pg_trigger WHERE tgname LIKE 'plinth%' AND tgrelid::regclass::text !~ '^(stock|hot)(_reservation|_movement|_cell)?$' $$, 'no trigger on any other table');
CREATE TABLE lone (LIKE stock INCLUDING ALL);
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid = 'lone'::regclass $$, 'a copy of an inventory is none');
SELECT plinth_inventory.disable('stock'), plinth_inventory.disable('hot') \gset
UPDATE hot SET quantity = 1, reserved = 7;
SELECT is((SELECT (quantity, reserved)::text FROM hot), '(1,7)', 'a table that is no inventory any longer is a table like any other');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid IN ('stock'::regclass, 'hot'::regclass) AND NOT tgisinternal $$, 'without a trigger');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgname LIKE 'plinth%' $$, 'nor are its companions guarded');
DROP EXTENSION plinth_inventory CASCADE;
CALL live('dropped');
SELECT results_eq($$ SELECT what FROM outcome WHERE run = 'dropped' ORDER BY n $$, $$ SELECT what FROM outcome WHERE run = 'before' ORDER BY n $$, 'and nothing stays when the extension goes');
SELECT * FROM finish();
