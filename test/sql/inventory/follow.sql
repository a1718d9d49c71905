-- DDL on an inventory and on the tables beside it: followed, or refused.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plinth_inventory;
CREATE ROLE regress_inventory_follow_owner;
CREATE ROLE regress_inventory_follow_heir;
CREATE ROLE regress_inventory_follow_reader;
CREATE ROLE regress_inventory_follow_auditor;
CREATE SCHEMA shop;
GRANT ALL ON SCHEMA shop TO regress_inventory_follow_owner, regress_inventory_follow_heir;
SET search_path = shop;

CREATE TABLE inventory (sku text, warehouse_id int, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL,
  PRIMARY KEY (sku, warehouse_id));
INSERT INTO inventory VALUES ('A', 1, 10, 0, 0), ('B', 1, 10, 4, 0);
ALTER TABLE inventory OWNER TO regress_inventory_follow_owner;
GRANT SELECT ON inventory TO regress_inventory_follow_reader;
SET ROLE regress_inventory_follow_owner;
GRANT SELECT ON inventory TO regress_inventory_follow_auditor WITH GRANT OPTION;
RESET ROLE;
SELECT plinth_inventory.enable('inventory');

-- Who owns, who reads.
CREATE VIEW beside AS
  SELECT relname, relowner::regrole AS owner, relpersistence AS persistence,
         (SELECT string_agg(grantee::regrole || CASE WHEN is_grantable THEN '*' ELSE '' END, ', ' ORDER BY 1)
            FROM aclexplode(relacl) WHERE grantee <> relowner AND privilege_type = 'SELECT') AS readers
    FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relname ~* 'inventory|available|stock' AND relkind IN ('r', 'v') AND nspname IN ('shop', 'Other Shop', 'depot') ORDER BY 1;
TABLE beside;

-- What our triggers say.
CREATE VIEW says AS
  SELECT tgrelid::regclass, tgname, array_to_string((string_to_array(encode(tgargs, 'escape'), '\000'))[:tgnargs], ' ') AS args
    FROM pg_trigger WHERE tgfoid::regproc::text LIKE 'plinth_inventory.%' ORDER BY tgrelid, tgname;
TABLE says;

-- Columns, tables, schemas and the view get other names.
ALTER TABLE inventory RENAME sku TO "Product";
ALTER TABLE inventory RENAME warehouse_id TO "ware,house";
ALTER TABLE inventory RENAME quantity TO "on=hand";
ALTER TABLE inventory RENAME reserved TO "select";
ALTER TABLE inventory RENAME version TO v;
ALTER TABLE inventory_reservation RENAME TO "Held stock";
CREATE SCHEMA depot;
GRANT ALL ON SCHEMA depot TO regress_inventory_follow_owner, regress_inventory_follow_heir;
ALTER TABLE inventory_cell SET SCHEMA depot;
ALTER VIEW inventory_available RENAME TO available;
ALTER TABLE inventory RENAME TO "Stock";
TABLE says;
SELECT * FROM plinth_inventory.status;
ALTER TABLE "Stock" SET SCHEMA depot;
ALTER SCHEMA shop RENAME TO "Other Shop";
SET search_path = "Other Shop";
TABLE says;
TABLE available ORDER BY 1, 2;
INSERT INTO depot."Stock" VALUES ('C', 1, 5, 0, 0);
UPDATE depot."Stock" SET "on=hand" = 6 WHERE "Product" = 'C';
TABLE available ORDER BY 1, 2;
SELECT sku, warehouse, quantity, reserved, kind FROM inventory_movement ORDER BY movement_id;
-- Two names change places.
BEGIN;
ALTER TABLE depot."Stock" RENAME TO aside;
ALTER TABLE inventory_movement RENAME TO "Stock";
ALTER TABLE depot.aside RENAME TO inventory_movement;
TABLE says;
ROLLBACK;

-- Another owner; unlogged and back.
ALTER TABLE depot."Stock" OWNER TO regress_inventory_follow_heir;
ALTER TABLE depot."Stock" SET UNLOGGED;
TABLE beside;
ALTER TABLE depot."Stock" SET LOGGED;
SELECT DISTINCT persistence FROM beside WHERE relname <> 'available';

-- A name in a trigger gives nobody anything: those tables are not beside this one.
CREATE TABLE trap (LIKE depot."Stock" INCLUDING ALL);
CREATE TRIGGER plinth_inventory AFTER INSERT ON trap FOR EACH ROW EXECUTE FUNCTION
  plinth_inventory.stock('sku="Product"', 'warehouse="ware,house"', 'quantity="on=hand"', 'reserved="select"', 'version=v', 'mode=row',
    'reservation="Other Shop"."Held stock"', 'movement="Other Shop".inventory_movement', 'cell=depot.inventory_cell',
    'view="Other Shop".available');
ALTER TABLE trap OWNER TO regress_inventory_follow_owner;
SELECT relname, owner FROM beside;
SELECT relowner::regrole FROM pg_class WHERE oid = 'trap'::regclass;
SELECT plinth_inventory.disable('trap', true);
DROP TABLE trap;

-- Other columns are nobody's business.
ALTER TABLE depot."Stock" ADD note text DEFAULT '-';
ALTER TABLE "Held stock" ADD order_id bigint;
ALTER TABLE depot."Stock" RENAME note TO remark;
ALTER TABLE depot."Stock" DROP remark;

-- What cannot be.
ALTER TABLE depot."Stock" DROP "select";
ALTER TABLE depot."Stock" DROP "select" CASCADE;
ALTER TABLE depot."Stock" ALTER "Product" TYPE varchar(20);
BEGIN;
DROP VIEW available;
ALTER TABLE depot."Stock" ALTER "Product" TYPE varchar(20);
ROLLBACK;
BEGIN;
DROP VIEW available;
ALTER TABLE depot."Stock" ALTER "on=hand" TYPE bigint;
ROLLBACK;
ALTER TABLE depot."Stock" ALTER v DROP NOT NULL;
CREATE TABLE child () INHERITS (depot."Stock");
CREATE TABLE child () INHERITS (inventory_movement);
CREATE TABLE parent ("Product" text, "ware,house" int);
ALTER TABLE depot."Stock" INHERIT parent;
DROP TABLE parent;
CREATE TABLE parts (LIKE depot."Stock") PARTITION BY LIST ("Product");
ALTER TABLE parts ATTACH PARTITION depot."Stock" DEFAULT;
DROP TABLE parts;
ALTER TABLE depot."Stock" FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY;
DROP TABLE inventory_movement;
DROP TABLE depot.inventory_cell;
ALTER TABLE depot."Stock" ENABLE ROW LEVEL SECURITY;
ALTER TABLE depot."Stock" DISABLE ROW LEVEL SECURITY;

-- Without a part it cannot go on, but it can go.
BEGIN;
DROP TABLE depot.inventory_cell CASCADE;
SAVEPOINT s;
UPDATE depot."Stock" SET "on=hand" = 7;
ROLLBACK TO s;
SELECT plinth_inventory.disable('depot."Stock"', true);
SELECT relname FROM beside;
ROLLBACK;

-- Off and on again: tables with other names stay where they are.
BEGIN;
SELECT plinth_inventory.disable('depot."Stock"');
SELECT relname FROM beside;
TABLE says;
ROLLBACK;

-- The table goes; view and guards go with it, reservations and ledger stay.
DROP TABLE depot."Stock";
SELECT relname FROM beside;
TABLE says;
DELETE FROM inventory_movement;

-- Row-level security hides no less beside the table: nobody may look.
CREATE TABLE inventory (sku text PRIMARY KEY, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL);
GRANT SELECT ON inventory TO regress_inventory_follow_reader;
ALTER TABLE inventory ENABLE ROW LEVEL SECURITY;
DROP TABLE inventory_movement;
SELECT plinth_inventory.enable('inventory');
SELECT relname, readers FROM beside;
ALTER TABLE inventory DISABLE ROW LEVEL SECURITY;
SELECT plinth_inventory.disable('inventory', true);
SELECT plinth_inventory.enable('inventory', mode => 'escrow');
ALTER TABLE inventory ENABLE ROW LEVEL SECURITY;
DROP TABLE inventory;

SET client_min_messages = error;
DROP SCHEMA depot, "Other Shop" CASCADE;
DROP ROLE regress_inventory_follow_owner, regress_inventory_follow_heir, regress_inventory_follow_reader, regress_inventory_follow_auditor;
