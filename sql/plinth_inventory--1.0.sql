/* sql/plinth_inventory--1.0.sql */

\echo Use "CREATE EXTENSION plinth_inventory" to load this file. \quit

-- Nothing below may mean what somebody else has put into a schema.
SET LOCAL search_path = pg_catalog, pg_temp;

GRANT USAGE ON SCHEMA plinth_inventory TO PUBLIC;
COMMENT ON SCHEMA plinth_inventory IS 'plinth_inventory: reservations that never oversell';


-- Types

CREATE TYPE plinth_inventory.result AS (
    key uuid,
    line integer,
    sku text,
    warehouse text,
    quantity integer,
    outcome text,
    available bigint,
    version bigint,
    expires_at timestamptz,
    replayed boolean);
COMMENT ON TYPE plinth_inventory.result IS
  'What became of one line of a reservation';

CREATE TYPE plinth_inventory.line AS (
    sku text,
    warehouse text,
    quantity integer,
    expected_version bigint);
COMMENT ON TYPE plinth_inventory.line IS
  'One line of an order; warehouse NULL lets the strategy choose, expected_version NULL takes any';


-- Triggers

CREATE FUNCTION plinth_inventory.stock() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_inventory_stock';
COMMENT ON FUNCTION plinth_inventory.stock() IS
  'Trigger function: takes changes of stock by other SQL into account';

CREATE FUNCTION plinth_inventory.guard() RETURNS trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_inventory_guard';
COMMENT ON FUNCTION plinth_inventory.guard() IS
  'Trigger function: keeps the tables beside an inventory from being changed by hand';


-- Inventories

CREATE FUNCTION plinth_inventory.enable(
    target regclass,
    sku name DEFAULT 'sku',
    warehouse name DEFAULT 'warehouse_id',
    quantity name DEFAULT 'quantity',
    reserved name DEFAULT 'reserved',
    version name DEFAULT 'version',
    mode text DEFAULT 'row')
  RETURNS regclass
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_enable';
COMMENT ON FUNCTION plinth_inventory.enable(regclass, name, name, name, name, name, text) IS
  'Makes a table of stock an inventory; returns the table of its reservations';

CREATE FUNCTION plinth_inventory.disable(
    target regclass,
    drop_companions boolean DEFAULT false)
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_disable';
COMMENT ON FUNCTION plinth_inventory.disable(regclass, boolean) IS
  'Makes an inventory an ordinary table again; reservations and ledger stay unless drop_companions is true';

CREATE FUNCTION plinth_inventory.check(
    target regclass,
    OUT problem text,
    OUT sku text,
    OUT warehouse text,
    OUT expected text,
    OUT found text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_inventory_check';
COMMENT ON FUNCTION plinth_inventory.check(regclass) IS
  'What is wrong with an inventory: stock, ledger, reservations, counters, guards; no rows if nothing is';

CREATE FUNCTION plinth_inventory.repair(
    target regclass)
  RETURNS bigint
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_repair';
COMMENT ON FUNCTION plinth_inventory.repair(regclass) IS
  'Puts right what check() finds, and returns how many things that were';

CREATE FUNCTION plinth_inventory.purge(
    target regclass,
    before timestamptz)
  RETURNS bigint
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_purge';
COMMENT ON FUNCTION plinth_inventory.purge(regclass, timestamptz) IS
  'Removes reservations finished and movements made before a time, keeping their sums; returns the number of rows removed';

CREATE FUNCTION plinth_inventory.fold(
    target regclass DEFAULT NULL)
  RETURNS bigint
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_fold';
COMMENT ON FUNCTION plinth_inventory.fold(regclass) IS
  'Brings the stock rows of cells in escrow mode up to date; returns the number of cells';


-- Reservations

CREATE FUNCTION plinth_inventory.reserve(
    sku text,
    warehouse text,
    quantity integer,
    key uuid DEFAULT gen_random_uuid(),
    ttl interval DEFAULT NULL,
    owner text DEFAULT NULL,
    expected_version bigint DEFAULT NULL,
    on_shortage text DEFAULT 'fail',
    inventory regclass DEFAULT NULL)
  RETURNS plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_reserve';
COMMENT ON FUNCTION plinth_inventory.reserve(text, text, integer, uuid, interval, text, bigint, text, regclass) IS
  'Takes units of a SKU out of what is available and holds them; the key makes it idempotent';

CREATE FUNCTION plinth_inventory.reserve(
    sku text,
    warehouse bigint,
    quantity integer,
    key uuid DEFAULT gen_random_uuid(),
    ttl interval DEFAULT NULL,
    owner text DEFAULT NULL,
    expected_version bigint DEFAULT NULL,
    on_shortage text DEFAULT 'fail',
    inventory regclass DEFAULT NULL)
  RETURNS plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_reserve_number';
COMMENT ON FUNCTION plinth_inventory.reserve(text, bigint, integer, uuid, interval, text, bigint, text, regclass) IS
  'Takes units of a SKU out of what is available and holds them; the key makes it idempotent (warehouse as a number)';

CREATE FUNCTION plinth_inventory.reserve_order(
    lines plinth_inventory.line[],
    key uuid DEFAULT gen_random_uuid(),
    ttl interval DEFAULT NULL,
    owner text DEFAULT NULL,
    strategy text DEFAULT 'priority',
    allow_split boolean DEFAULT true,
    on_shortage text DEFAULT 'fail',
    inventory regclass DEFAULT NULL)
  RETURNS SETOF plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_inventory_reserve_order';
COMMENT ON FUNCTION plinth_inventory.reserve_order(plinth_inventory.line[], uuid, interval, text, text, boolean, text, regclass) IS
  'Reserves all lines of an order or none';

CREATE FUNCTION plinth_inventory.replace_hold(
    owner text,
    lines plinth_inventory.line[],
    key uuid DEFAULT gen_random_uuid(),
    ttl interval DEFAULT NULL,
    strategy text DEFAULT 'priority',
    allow_split boolean DEFAULT true,
    on_shortage text DEFAULT 'fail',
    inventory regclass DEFAULT NULL)
  RETURNS SETOF plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_inventory_replace_hold';
COMMENT ON FUNCTION plinth_inventory.replace_hold(text, plinth_inventory.line[], uuid, interval, text, boolean, text, regclass) IS
  'Swaps everything that an owner holds for new lines, in one step';

CREATE FUNCTION plinth_inventory.confirm(
    key uuid,
    quantity integer DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS SETOF plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_inventory_confirm';
COMMENT ON FUNCTION plinth_inventory.confirm(uuid, integer, regclass) IS
  'Sells what a reservation holds, or part of it: the units leave the stock';

CREATE FUNCTION plinth_inventory.release(
    key uuid,
    quantity integer DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS SETOF plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_inventory_release';
COMMENT ON FUNCTION plinth_inventory.release(uuid, integer, regclass) IS
  'Gives back what a reservation holds, or part of it';

CREATE FUNCTION plinth_inventory.extend(
    key uuid,
    ttl interval,
    inventory regclass DEFAULT NULL)
  RETURNS SETOF plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_inventory_extend';
COMMENT ON FUNCTION plinth_inventory.extend(uuid, interval, regclass) IS
  'Lets a reservation expire later: so long from now';

CREATE FUNCTION plinth_inventory.expire(
    batch integer DEFAULT 1000,
    inventory regclass DEFAULT NULL)
  RETURNS bigint
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_expire';
COMMENT ON FUNCTION plinth_inventory.expire(integer, regclass) IS
  'Gives back what overdue reservations hold, at most so many of them, skipping those in use; returns their number';


-- Stock

CREATE FUNCTION plinth_inventory.receive(
    sku text,
    warehouse text,
    quantity integer,
    reason text DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS bigint
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_receive';
COMMENT ON FUNCTION plinth_inventory.receive(text, text, integer, text, regclass) IS
  'Adds units to the stock; returns how many are on hand';

CREATE FUNCTION plinth_inventory.adjust(
    sku text,
    warehouse text,
    new_quantity integer,
    expected_version bigint DEFAULT NULL,
    reason text DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_adjust';
COMMENT ON FUNCTION plinth_inventory.adjust(text, text, integer, bigint, text, regclass) IS
  'Sets the number of units on hand to what was counted';

CREATE FUNCTION plinth_inventory.transfer(
    sku text,
    from_warehouse text,
    to_warehouse text,
    quantity integer,
    reason text DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_transfer';
COMMENT ON FUNCTION plinth_inventory.transfer(text, text, text, integer, text, regclass) IS
  'Moves units that are free from one warehouse to another';

CREATE FUNCTION plinth_inventory.limits(
    sku text,
    warehouse text,
    oversell_limit bigint DEFAULT NULL,
    safety_stock bigint DEFAULT NULL,
    priority integer DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_limits';
COMMENT ON FUNCTION plinth_inventory.limits(text, text, bigint, bigint, integer, regclass) IS
  'Sets how many units may be sold beyond the stock, how many never, and how early a warehouse is chosen; NULL leaves as it is';

CREATE FUNCTION plinth_inventory.set_mode(
    sku text,
    warehouse text,
    mode text,
    inventory regclass DEFAULT NULL)
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_set_mode';
COMMENT ON FUNCTION plinth_inventory.set_mode(text, text, text, regclass) IS
  'Lets the row lock (row) or a counter in shared memory (escrow) guard a SKU in a warehouse';

CREATE FUNCTION plinth_inventory.receive(
    sku text,
    warehouse bigint,
    quantity integer,
    reason text DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS bigint
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_receive_number';
COMMENT ON FUNCTION plinth_inventory.receive(text, bigint, integer, text, regclass) IS
  'Adds units to the stock; returns how many are on hand (warehouse as a number)';

CREATE FUNCTION plinth_inventory.adjust(
    sku text,
    warehouse bigint,
    new_quantity integer,
    expected_version bigint DEFAULT NULL,
    reason text DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_adjust_number';
COMMENT ON FUNCTION plinth_inventory.adjust(text, bigint, integer, bigint, text, regclass) IS
  'Sets the number of units on hand to what was counted (warehouse as a number)';

CREATE FUNCTION plinth_inventory.transfer(
    sku text,
    from_warehouse bigint,
    to_warehouse bigint,
    quantity integer,
    reason text DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS plinth_inventory.result
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_transfer_number';
COMMENT ON FUNCTION plinth_inventory.transfer(text, bigint, bigint, integer, text, regclass) IS
  'Moves units that are free from one warehouse to another (warehouse as a number)';

CREATE FUNCTION plinth_inventory.limits(
    sku text,
    warehouse bigint,
    oversell_limit bigint DEFAULT NULL,
    safety_stock bigint DEFAULT NULL,
    priority integer DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_limits_number';
COMMENT ON FUNCTION plinth_inventory.limits(text, bigint, bigint, bigint, integer, regclass) IS
  'Sets how many units may be sold beyond the stock, how many never, and how early a warehouse is chosen; NULL leaves as it is (warehouse as a number)';

CREATE FUNCTION plinth_inventory.set_mode(
    sku text,
    warehouse bigint,
    mode text,
    inventory regclass DEFAULT NULL)
  RETURNS void
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_set_mode_number';
COMMENT ON FUNCTION plinth_inventory.set_mode(text, bigint, text, regclass) IS
  'Lets the row lock (row) or a counter in shared memory (escrow) guard a SKU in a warehouse (warehouse as a number)';

CREATE FUNCTION plinth_inventory.available(
    sku text,
    warehouse text DEFAULT NULL,
    inventory regclass DEFAULT NULL)
  RETURNS bigint
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_available';
COMMENT ON FUNCTION plinth_inventory.available(text, text, regclass) IS
  'How many units can be reserved now, overdue holds counted as free; of all warehouses if warehouse is NULL';

CREATE FUNCTION plinth_inventory.available(
    sku text,
    warehouse bigint,
    inventory regclass DEFAULT NULL)
  RETURNS bigint
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE
  AS 'MODULE_PATHNAME', 'plinth_inventory_available_number';
COMMENT ON FUNCTION plinth_inventory.available(text, bigint, regclass) IS
  'How many units can be reserved now, overdue holds counted as free; of all warehouses if warehouse is NULL (warehouse as a number)';


-- Looking

CREATE FUNCTION plinth_inventory._status(
    OUT target regclass,
    OUT mode text,
    OUT sku text,
    OUT warehouse text,
    OUT quantity text,
    OUT reserved text,
    OUT version text,
    OUT reservations regclass,
    OUT movements regclass,
    OUT cells regclass)
  RETURNS SETOF record
  LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 10
  AS 'MODULE_PATHNAME', 'plinth_inventory_status';
COMMENT ON FUNCTION plinth_inventory._status() IS
  'The rows of the view status';

CREATE VIEW plinth_inventory.status AS
  SELECT s.target, s.mode, s.sku, s.warehouse, s.quantity, s.reserved, s.version, s.reservations, s.movements, s.cells
    FROM plinth_inventory._status() AS s;
COMMENT ON VIEW plinth_inventory.status IS
  'Tables that are inventories, their options and the tables beside them';
GRANT SELECT ON plinth_inventory.status TO PUBLIC;

CREATE FUNCTION plinth_inventory._cells(
    OUT target regclass,
    OUT generation bigint,
    OUT state text,
    OUT pins integer,
    OUT free bigint,
    OUT version bigint,
    OUT next_expiry timestamptz)
  RETURNS SETOF record
  LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE ROWS 100
  AS 'MODULE_PATHNAME', 'plinth_inventory_cells';
COMMENT ON FUNCTION plinth_inventory._cells() IS
  'The rows of the view cells';

CREATE VIEW plinth_inventory.cells AS
  SELECT c.target, c.generation, c.state, c.pins, c.free, c.version, c.next_expiry
    FROM plinth_inventory._cells() AS c;
COMMENT ON VIEW plinth_inventory.cells IS
  'Counters of this database in shared memory; generation is that of a row of <table>_cell';
GRANT SELECT ON plinth_inventory.cells TO PUBLIC;


-- Following DDL

CREATE FUNCTION plinth_inventory.ddl_end() RETURNS event_trigger
  LANGUAGE c VOLATILE
  AS 'MODULE_PATHNAME', 'plinth_inventory_ddl_end';
COMMENT ON FUNCTION plinth_inventory.ddl_end() IS
  'Event trigger function: follows DDL on inventories';

CREATE EVENT TRIGGER plinth_inventory_ddl_end ON ddl_command_end
  EXECUTE FUNCTION plinth_inventory.ddl_end();
COMMENT ON EVENT TRIGGER plinth_inventory_ddl_end IS
  'Follows DDL on inventories';
