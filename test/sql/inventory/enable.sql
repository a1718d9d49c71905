-- An inventory from enable() to disable(), as a person sees it in psql.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_inventory;
SET timezone = 'UTC';

CREATE TABLE inventory (
  sku varchar(50), warehouse_id int,
  quantity int NOT NULL CHECK (quantity >= 0),
  reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  version int NOT NULL DEFAULT 0,
  PRIMARY KEY (sku, warehouse_id));
INSERT INTO inventory VALUES ('SKU-1', 1, 10, 0), ('SKU-1', 2, 5, 2), ('SKU-2', 1, 0, 0);

SELECT plinth_inventory.enable('inventory');
\d inventory
\d inventory_reservation
\d inventory_movement
\d inventory_cell
\d inventory_available
SELECT relname, obj_description(oid, 'pg_class') FROM pg_class
  WHERE starts_with(relname, 'inventory_') AND relkind IN ('r', 'v') ORDER BY 1;
SELECT * FROM plinth_inventory.status;

-- What it begins with.
SELECT movement_id, sku, warehouse, quantity, reserved, kind, reason, key, line, generation,
       at <= now() AS at, xid IS NOT NULL AS xid
  FROM inventory_movement ORDER BY 1;
SELECT sku, warehouse, generation > 0 AS generation, mode, priority, safety_stock, oversell_limit,
       folded, folded_at, system_identifier
  FROM inventory_cell ORDER BY 1, 2;
TABLE inventory_available ORDER BY 1, 2;

-- Again: the same options are no news, others are.
SELECT plinth_inventory.enable('inventory');
SELECT plinth_inventory.enable('inventory', mode => 'escrow');
SELECT plinth_inventory.enable('inventory', version => 'reserved');

-- Away, with all that was recorded; and back.  The ledger goes on.
SELECT plinth_inventory.disable('inventory');
\d inventory
\dtv inventory*
SELECT tgname FROM pg_trigger WHERE tgrelid = 'inventory_cell'::regclass;
SELECT * FROM plinth_inventory.status;
UPDATE inventory SET quantity = quantity + 7 WHERE sku = 'SKU-1' AND warehouse_id = 1;
DELETE FROM inventory WHERE warehouse_id = 2;
INSERT INTO inventory VALUES ('SKU-3', 3, 4, 4);
UPDATE inventory_cell SET safety_stock = 3 WHERE sku = 'SKU-1';
CREATE TEMPORARY TABLE before AS TABLE inventory_cell;
SELECT plinth_inventory.enable('inventory', mode => 'escrow');
SELECT movement_id, sku, warehouse, quantity, reserved, kind FROM inventory_movement ORDER BY 1;
SELECT sku, warehouse, sum(quantity), sum(reserved) FROM inventory_movement GROUP BY 1, 2 ORDER BY 1, 2;
SELECT sku, warehouse, mode, priority, safety_stock, oversell_limit, generation IN (SELECT generation FROM before) AS old,
       folded IS NOT NULL AS folded, folded_at <= now() AS at,
       system_identifier = (SELECT system_identifier FROM pg_control_system()) AS here
  FROM inventory_cell ORDER BY 1, 2;
TABLE inventory_available ORDER BY 1, 2;

-- One SKU costs no more than its own rows: all is found by index.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
SELECT plan FROM pg_temp.plan($$SELECT available FROM inventory_available WHERE sku = 'SKU-1' AND warehouse = 1$$) AS plan
  WHERE plan ~ 'Scan|Filter';
RESET enable_seqscan;
RESET enable_bitmapscan;

-- What this transaction has reserved is in the table when it is no inventory any more.
BEGIN;
SELECT outcome, available FROM plinth_inventory.reserve('SKU-1', 1, 4, key => '00000000-0000-0000-0000-000000000001');
SELECT outcome, available FROM plinth_inventory.reserve('SKU-1', 1, 1, key => '00000000-0000-0000-0000-000000000002');
SELECT outcome, available FROM plinth_inventory.confirm('00000000-0000-0000-0000-000000000001');
SELECT quantity, reserved FROM inventory WHERE sku = 'SKU-1';
SELECT plinth_inventory.disable('inventory');
SELECT quantity, reserved FROM inventory WHERE sku = 'SKU-1';
SELECT plinth_inventory.enable('inventory', mode => 'escrow');
SELECT outcome, available FROM plinth_inventory.release('00000000-0000-0000-0000-000000000002');
TABLE inventory_available ORDER BY 1, 2;
COMMIT;
TABLE inventory_available ORDER BY 1, 2;
SELECT outcome, available FROM plinth_inventory.reserve('SKU-1', 1, 1, key => '00000000-0000-0000-0000-000000000003');

-- Away without a trace.
SELECT plinth_inventory.disable('inventory', drop_companions => true);
\d inventory
\dtv inventory*
DROP TABLE inventory;

-- No warehouses, other names, other types; unlogged.
CREATE DOMAIN product AS bigint CHECK (VALUE > 0);
CREATE UNLOGGED TABLE "Stock, all" (
  "product id" product NOT NULL, "on ""hand""" bigint NOT NULL, "select" smallint NOT NULL, "Version=" bigint NOT NULL,
  UNIQUE ("product id"));
INSERT INTO "Stock, all" VALUES (1, 3000000000, 1, 1), (2, 5, 5, 1);
SELECT plinth_inventory.enable('"Stock, all"', sku => 'product id', quantity => 'on "hand"', reserved => 'select', version => 'Version=');
SELECT plinth_inventory.enable('"Stock, all"', 'product id', NULL, 'on "hand"', 'select', 'Version=');
SELECT * FROM plinth_inventory.status;
\d "Stock, all_reservation"
\d "Stock, all_movement"
\d "Stock, all_cell"
TABLE "Stock, all_available" ORDER BY 1;
SELECT sku, quantity, reserved, kind FROM "Stock, all_movement" ORDER BY 1;
SELECT plinth_inventory.disable('"Stock, all"', true);
DROP TABLE "Stock, all";
DROP DOMAIN product;

-- Names that are cut, at 63 bytes, and a collation of its own.
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE a23456789_123456789_123456789_123456789_123456789_123456789_123 (
  code text COLLATE nocase, store text, on_hand int NOT NULL, taken int NOT NULL, v int NOT NULL, PRIMARY KEY (store, code));
INSERT INTO a23456789_123456789_123456789_123456789_123456789_123456789_123 VALUES ('Abc', 'x', 2, 1, 0);
SELECT plinth_inventory.enable('a23456789_123456789_123456789_123456789_123456789_123456789_123', 'code', 'store', 'on_hand', 'taken', 'v');
\pset format unaligned
SELECT reservations, movements, cells FROM plinth_inventory.status;
SELECT relname AS view FROM pg_class WHERE relkind = 'v' AND relname LIKE 'a23%' \gset
SELECT * FROM :view WHERE sku = 'aBC';
SELECT plinth_inventory.disable('a23456789_123456789_123456789_123456789_123456789_123456789_123', true);
DROP TABLE a23456789_123456789_123456789_123456789_123456789_123456789_123;
DROP COLLATION nocase;
