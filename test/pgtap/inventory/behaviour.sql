-- What a shop meets: what enable() makes and refuses, types of SKUs and warehouses, several inventories, rights, row security,
-- hostile names; and, in each mode, what every call promises (test/lib/inventory_promises.sql).
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_inventory;
SELECT * FROM no_plan();

\ir ../../lib/roles.sql
\ir ../../lib/inventory_judge.sql
SELECT drop_roles('inventory_behaviour_');
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;

CREATE FUNCTION k(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$;
-- What becomes of a statement: its SQLSTATE and all that it says.
CREATE FUNCTION run(stmt text, OUT state text, OUT says text, OUT hint text) LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE stmt;
	state := 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, says = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	says := concat_ws(' | ', says, nullif(detail, ''));
END $$;
CREATE FUNCTION refused(stmt text, wanted text, pattern text, description text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record := run(stmt);
BEGIN
	RETURN CASE WHEN r.state ~ ('^(' || wanted || ')$') AND coalesce(r.says, '') ~ pattern AND split_part(coalesce(r.says, ''), ' | ', 1) !~ '\.$' THEN pass(description)
		ELSE fail(description) || E'\n' || diag(format('have %s (%s; hint %s), want %s and %s: %s', r.state, r.says, r.hint, wanted, pattern, stmt)) END;
END $$;
-- What a call answers, or its SQLSTATE.
CREATE FUNCTION state_of(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE stmt INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END $$;
CREATE FUNCTION state_as(who name, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', who);
	BEGIN
		EXECUTE stmt INTO r;
		RESET ROLE;
		RETURN 'ok' || coalesce(' ' || (to_jsonb(r) ->> 'outcome'), '');
	EXCEPTION WHEN OTHERS THEN
		RESET ROLE;
		RETURN sqlstate;
	END;
END $$;
-- Everything that an inventory has.
CREATE FUNCTION whole(target regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT md5(string_agg(r, '' '' ORDER BY r)) FROM (SELECT t::text AS r FROM %s t UNION ALL SELECT t::text FROM %s t UNION ALL SELECT t::text FROM %s t UNION ALL SELECT t::text FROM %s t UNION ALL SELECT t::text FROM %s t) x',
		target, beside(target, 'reservation'), beside(target, 'movement'), beside(target, 'cell'), beside(target, 'available')) INTO result;
	RETURN result;
END $$;
CREATE FUNCTION agrees(target regclass, description text, strict bool DEFAULT true) RETURNS text LANGUAGE sql AS $$ SELECT is(wrong(target, strict), NULL, description || ': everything agrees') $$;
-- Where an order of X goes, "warehouse:quantity", or for fewest_splits into how many; nothing stays of it.
CREATE FUNCTION order_of(strategy text, split bool, q int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r plinth_inventory.result[];
BEGIN
	BEGIN
		r := ARRAY(SELECT x FROM plinth_inventory.reserve_order(ARRAY[('X', NULL, q, NULL)]::plinth_inventory.line[], strategy => order_of.strategy, allow_split => split) x);
		RAISE EXCEPTION SQLSTATE 'UNDO0';
	EXCEPTION WHEN SQLSTATE 'UNDO0' THEN NULL;
	END;
	IF r[1].outcome <> 'reserved' THEN
		RETURN r[1].outcome;
	ELSIF (SELECT sum(quantity) FROM unnest(r)) <> q THEN
		RETURN 'not all: ' || r::text;
	END IF;
	RETURN CASE WHEN strategy = 'fewest_splits' AND cardinality(r) > 1 THEN cardinality(r)::text ELSE (SELECT string_agg(warehouse || ':' || quantity, ' ' ORDER BY warehouse) FROM unnest(r)) END;
END $$;

----------------------------------------------------------------------------------------------------------------------
-- Both modes
----------------------------------------------------------------------------------------------------------------------

\set mode row
\ir ../../lib/inventory_promises.sql
\set mode escrow
\ir ../../lib/inventory_promises.sql

----------------------------------------------------------------------------------------------------------------------
-- enable()
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE inventory (sku varchar(50), warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0), version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
INSERT INTO inventory VALUES ('SKU-1', 1, 10, 2, 7);
SELECT refused('SELECT plinth_inventory.reserve(''SKU-1'', 1, 1)', '55000|42P01|42704', 'inventory', 'without an inventory there is nothing to reserve');
SELECT is(plinth_inventory.enable('inventory')::text, 'inventory_reservation', 'enable() returns the reservations');
SELECT is(ARRAY(SELECT relname::text FROM pg_class WHERE relname LIKE 'inventory\_%' AND relkind IN ('r', 'v') ORDER BY 1), '{inventory_available,inventory_cell,inventory_movement,inventory_reservation}', 'tables and a view stand beside it');
SELECT is(plinth_inventory.enable('inventory')::text, 'inventory_reservation', 'a second time is no error');
SELECT refused('SELECT plinth_inventory.enable(''inventory'', mode => ''escrow'')', '42710', 'row.*escrow|escrow.*row', 'other options are one that names both');
SELECT is((SELECT array_agg((target::text, mode, sku, warehouse, quantity, reserved, version, reservations::text, movements::text, cells::text)::text) FROM plinth_inventory.status), '{"(inventory,row,sku,warehouse_id,quantity,reserved,version,inventory_reservation,inventory_movement,inventory_cell)"}', 'status shows it');
SELECT is((SELECT (outcome, available)::text FROM plinth_inventory.reserve('SKU-1', 1, 2, ttl => '15 minutes')), '(reserved,6)', 'what was reserved before stays reserved');
SELECT agrees('inventory', 'a table with rows');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relname IN ('inventory', 'inventory_reservation', 'inventory_movement', 'inventory_cell')) AND tgname LIKE 'plinth_inventory%' AND tgenabled <> 'A'), 0::bigint, 'guards fire always');
SELECT cmp_ok((SELECT count(DISTINCT tgrelid) FROM pg_trigger WHERE tgname LIKE 'plinth_inventory%'), '=', 4::bigint, 'there is one on each table');

SELECT is_empty($$ SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'plinth_inventory'::regnamespace AND provolatile = 'v' AND proparallel <> 'u' $$, 'nothing that takes units runs in parallel workers');
SELECT is_empty($$ SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'plinth_inventory'::regnamespace AND prosecdef $$, 'nor with the rights of another');

CREATE VIEW a_view AS SELECT * FROM inventory;
CREATE TEMP TABLE a_temp (LIKE inventory INCLUDING ALL);
CREATE TABLE no_key (sku text, warehouse_id int, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL);
CREATE TABLE half_key (sku text PRIMARY KEY, warehouse_id int, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL);
CREATE TABLE wide_key (sku text, warehouse_id int, lot int, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL, PRIMARY KEY (sku, warehouse_id, lot));
CREATE TABLE no_version (sku text, warehouse_id int, quantity int NOT NULL, reserved int NOT NULL, PRIMARY KEY (sku, warehouse_id));
CREATE TABLE texts (sku text, warehouse_id int, quantity text NOT NULL, reserved int NOT NULL, version int NOT NULL, PRIMARY KEY (sku, warehouse_id));
CREATE TABLE floats (sku text, warehouse_id int, quantity float8 NOT NULL, reserved float8 NOT NULL, version int NOT NULL, PRIMARY KEY (sku, warehouse_id));
CREATE TABLE computed (sku text, warehouse_id int, quantity int NOT NULL, total int NOT NULL, reserved int GENERATED ALWAYS AS (total - quantity) STORED, version int NOT NULL, PRIMARY KEY (sku, warehouse_id));
CREATE TABLE broken (sku text, warehouse_id int, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL, PRIMARY KEY (sku, warehouse_id));
INSERT INTO broken VALUES ('a', 1, 5, -1, 0);
CREATE TABLE partial_key (sku text, warehouse_id int, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL);
CREATE UNIQUE INDEX ON partial_key (sku, warehouse_id) WHERE quantity > 0;
CREATE TABLE taken (LIKE inventory INCLUDING ALL);
CREATE TABLE taken_reservation (something int);
SELECT refused(format('SELECT plinth_inventory.enable(%s)', args), want, pattern, format('refused: enable(%s)', args)) FROM (VALUES
	('''a_view''', '42809', 'a_view'), ('''pg_temp.a_temp''', '0A000|42809|42P16', 'a_temp'), ('''no_key''', '22023', 'no_key'), ('''half_key''', '22023', 'half_key'), ('''wide_key''', '22023', 'wide_key'), ('''partial_key''', '22023', 'partial_key'),
	('''no_version''', '42703', 'version'), ('''texts''', '42804|42809|0A000', 'quantity'), ('''floats''', '42804|42809|0A000', 'quantity'), ('''computed''', '22023|428C9|42804|0A000|42809|55000', 'reserved'), ('''broken''', '23514|55000|22023|22003', 'broken|reserved'), ('''taken''', '42P07', 'taken_reservation'), ('''pg_class''', '42501|42809|0A000', 'pg_class'),
	('''inventory_reservation''', '42809|42703|0A000|55000', ''), ('''wide_key'', sku => ''lot'', warehouse => NULL', '22023', ''), ('''texts'', sku => ''nope''', '42703', 'nope'), ('''half_key'', warehouse => NULL, mode => ''fast''', '22023', 'fast'), ('NULL', '22004|22023', ''), ('''half_key'', sku => NULL', '22004|22023', 'sku'),
	('''half_key'', warehouse => NULL, quantity => ''reserved''', '42701|22023|42P16', 'reserved')) v (args, want, pattern);
DROP VIEW a_view;
SELECT is_empty($$ SELECT relname FROM pg_class WHERE relname ~ '^(a_view|no_key|half_key|wide_key|partial_key|no_version|texts|floats|computed|broken)_' AND relkind IN ('r', 'v') $$, 'and nothing is left behind');
SELECT is(plinth_inventory.enable('half_key', warehouse => NULL)::text, 'half_key_reservation', 'a table without warehouses has NULL for the column''s name');
SELECT plinth_inventory.disable('half_key', true) \g /dev/null
SELECT refused('SELECT plinth_inventory.disable(''half_key'')', '55000|42809', 'half_key', 'disable() of what is no inventory');
-- Long names, odd names.
CREATE SCHEMA "Sch ""1""";
SELECT format('CREATE TABLE "Sch ""1""".%I ("S k" text, "W,h" text, "q""" int NOT NULL, "R" int NOT NULL DEFAULT 0, "v" int NOT NULL DEFAULT 0, PRIMARY KEY ("W,h", "S k"))', repeat('é', 31)) \gexec
SELECT format('"Sch ""1""".%I', repeat('é', 31)) AS long \gset
SELECT format('INSERT INTO %s VALUES (''a'', ''x'', 3)', :'long') \gexec
SELECT isnt(plinth_inventory.enable(:'long'::regclass, 'S k', 'W,h', 'q"', 'R', 'v', 'escrow'), NULL, 'long and odd names');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('a', 'x', 2, inventory => :'long')), 'reserved', 'which work');
SELECT is((SELECT string_agg(c::text, ' ') FROM plinth_inventory.check(:'long') c), NULL, 'and are right');
SELECT plinth_inventory.disable(:'long', true) \g /dev/null

----------------------------------------------------------------------------------------------------------------------
-- Types
----------------------------------------------------------------------------------------------------------------------

CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN code AS text CHECK (VALUE ~ '^[a-z]+$');
CREATE COLLATION b_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FUNCTION type_test(typ text, val text, other text, mode text, q_type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	what text := format('%s, units of type %s, mode %s', typ, q_type, mode);
	got text[];
BEGIN
	EXECUTE format('CREATE TABLE typed (w %1$s, s %1$s, q %2$s NOT NULL, r %2$s NOT NULL DEFAULT 0, v %2$s NOT NULL DEFAULT 0, PRIMARY KEY (s, w))', typ, q_type);
	EXECUTE format('INSERT INTO typed VALUES (%1$L, %1$L, 5), (%2$L, %1$L, 5), (%1$L, %2$L, 5)', val, other);
	PERFORM plinth_inventory.enable('typed', 's', 'w', 'q', 'r', 'v', mode);
	got := ARRAY[(plinth_inventory.reserve(val, val, 3, k(1), inventory => 'typed')).outcome, (plinth_inventory.reserve(val, val, 3, k(2), inventory => 'typed')).outcome, (plinth_inventory.reserve(val, other, 5, k(3), inventory => 'typed')).outcome,
		(plinth_inventory.reserve(other, val, 1, k(4), inventory => 'typed')).outcome, (SELECT outcome FROM plinth_inventory.confirm(k(1), inventory => 'typed')), (SELECT outcome FROM plinth_inventory.release(k(3), inventory => 'typed'))];
	got := got || plinth_inventory.available(val, val, 'typed')::text || plinth_inventory.available(val, inventory => 'typed')::text;
	got := got || plinth_inventory.receive(other, val, 7, inventory => 'typed')::text || (plinth_inventory.adjust(val, val, 9, inventory => 'typed')).outcome;
	IF mode = 'row' THEN
		PERFORM plinth_inventory.set_mode(val, val, 'escrow', 'typed');
	END IF;
	got := got || (SELECT outcome FROM plinth_inventory.reserve(val, val, 9, inventory => 'typed')) || wrong('typed');
	PERFORM plinth_inventory.disable('typed', true);
	DROP TABLE typed;
	RETURN is(got, '{reserved,sold_out,reserved,reserved,confirmed,released,2,7,12,adjusted,reserved,NULL}', what);
EXCEPTION WHEN OTHERS THEN
	RETURN fail(what) || E'\n' || diag(sqlstate || ' ' || sqlerrm);
END $$;
SELECT type_test(typ, val, other, mode, q_type) FROM (VALUES ('text', '', 'a''"\\'), ('varchar(5)', 'a', 'bcdef'), ('char(5)', 'a', 'b'), ('citext', 'a', 'B'), ('name', 'a', 'b'), ('smallint', '-32768', '32767'), ('int', '0', '-5'), ('bigint', '9223372036854775807', '1'), ('numeric', '1e50', '-0.1'),
	('uuid', '00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), ('mood', 'ok', 'sad'), ('code', 'a', 'b'), ('text COLLATE b_ci', 'a', 'B'), ('date', '2024-02-29', 'infinity'), ('bytea', '\x', '\x00ff')) t (typ, val, other),
	(VALUES ('row', 'int'), ('escrow', 'bigint'), ('escrow', 'int'), ('row', 'smallint'), ('escrow', 'smallint')) m (mode, q_type) WHERE (mode, q_type) IN (('row', 'int'), ('escrow', 'bigint')) OR typ = 'text';
-- Equal is what the column says is equal.
CREATE TABLE nocase (sku citext PRIMARY KEY, quantity int NOT NULL, reserved int NOT NULL DEFAULT 0, version int NOT NULL DEFAULT 0);
INSERT INTO nocase VALUES ('Shoe', 5);
SELECT plinth_inventory.enable('nocase', warehouse => NULL, mode => 'escrow') \g /dev/null
SELECT is((SELECT array_agg(outcome ORDER BY n) FROM (SELECT 1 AS n, outcome FROM plinth_inventory.reserve('shoe', NULL::text, 3, inventory => 'nocase') UNION ALL SELECT 2, outcome FROM plinth_inventory.reserve('SHOE', NULL::text, 3, inventory => 'nocase')) x), '{reserved,sold_out}', 'a SKU in other letters is the same SKU where its type says so');
SELECT is((SELECT count(*) FROM plinth_inventory.reserve_order(ARRAY[('SHOE', NULL, 1, NULL), ('shoe', NULL, 1, NULL)]::plinth_inventory.line[], inventory => 'nocase') WHERE outcome = 'reserved'), 1::bigint, 'equal lines too');
SELECT is((SELECT string_agg(c::text, ' ') FROM plinth_inventory.check('nocase') c), NULL, 'and everything agrees');
SELECT refused('SELECT plinth_inventory.reserve(''x'', ''1'', 1, inventory => ''nocase'')', '22023|P0002', '', 'a warehouse where there are none');

----------------------------------------------------------------------------------------------------------------------
-- Several inventories
----------------------------------------------------------------------------------------------------------------------

SELECT refused('SELECT plinth_inventory.reserve(''SKU-1'', 1, 1)', '\w{5}', 'inventory', 'with several inventories a call has to say which');
SELECT ok(concat_ws(' ', says, hint) LIKE '%inventory%' AND concat_ws(' ', says, hint) LIKE '%nocase%', 'and the error lists them') FROM run('SELECT plinth_inventory.reserve(''SKU-1'', 1, 1)');
SELECT is((run(stmt)).state, (run('SELECT plinth_inventory.reserve(''SKU-1'', 1, 1)')).state, 'the same for ' || stmt) FROM unnest(ARRAY['SELECT plinth_inventory.confirm(k(1))', 'SELECT plinth_inventory.release(k(1))', 'SELECT plinth_inventory.extend(k(1), ''1 hour'')', 'SELECT plinth_inventory.expire()', 'SELECT plinth_inventory.fold()', 'SELECT plinth_inventory.available(''SKU-1'')',
	'SELECT plinth_inventory.receive(''SKU-1'', 1, 1)', 'SELECT plinth_inventory.adjust(''SKU-1'', 1, 1)', 'SELECT plinth_inventory.transfer(''SKU-1'', 1, 2, 1)', 'SELECT plinth_inventory.limits(''SKU-1'', 1, 1)', 'SELECT plinth_inventory.set_mode(''SKU-1'', 1, ''row'')', 'SELECT plinth_inventory.reserve_order(ARRAY[(''SKU-1'', 1, 1, NULL)]::plinth_inventory.line[])']) stmt;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('SKU-1', 1, 1, inventory => 'inventory')), 'reserved', 'named, it works');
SELECT plinth_inventory.disable('nocase', true) \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.reserve('SKU-1', 1, 1)), 'reserved', 'as it does when there is one again');
ALTER TABLE inventory RENAME TO stock;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('SKU-1', 1, 1)), 'reserved', 'also under another name');
ALTER TABLE stock RENAME sku TO item;
ALTER TABLE stock RENAME quantity TO pieces;
SELECT matches((run('SELECT plinth_inventory.reserve(''SKU-1'', 1, 1)')).state, '^(ok|42703|55000)$', 'with columns of other names it works or says so');
ALTER TABLE stock RENAME item TO sku;
ALTER TABLE stock RENAME pieces TO quantity;
ALTER TABLE stock RENAME TO inventory;
ALTER TABLE inventory ADD COLUMN note text DEFAULT 'x', ADD COLUMN seen timestamptz;
SELECT (plinth_inventory.reserve('SKU-1', 1, 1)).available AS left_over \gset
SELECT is(:left_over, available::int, 'with more columns') FROM inventory_available;
ALTER TABLE inventory DROP COLUMN note;
\set ON_ERROR_STOP off
ALTER TABLE inventory ALTER quantity TYPE bigint;
\set retyped :SQLSTATE
\set ON_ERROR_STOP on
SELECT is((run('SELECT plinth_inventory.receive(''SKU-1'', 1, 2147483647)')).state, CASE :'retyped' WHEN '00000' THEN 'ok' ELSE '22003' END, 'with a wider one, or it was refused');
SELECT agrees('inventory', 'after DDL');
SELECT plinth_inventory.disable('inventory', true) \g /dev/null
DROP TABLE inventory;

----------------------------------------------------------------------------------------------------------------------
-- Rights
----------------------------------------------------------------------------------------------------------------------

CREATE ROLE inventory_behaviour_owner;
CREATE ROLE inventory_behaviour_shop;
CREATE ROLE inventory_behaviour_reader;
CREATE ROLE inventory_behaviour_none;
GRANT CREATE, USAGE ON SCHEMA public TO inventory_behaviour_owner;
SET ROLE inventory_behaviour_owner;
CREATE TABLE inventory (sku varchar(50), warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0), version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
INSERT INTO inventory VALUES ('R', 1, 50), ('E', 1, 50);
-- Companions may be read by whoever may read the table when they are made.
GRANT SELECT ON inventory TO inventory_behaviour_reader;
SELECT plinth_inventory.enable('inventory') \g /dev/null
SELECT plinth_inventory.set_mode('E', 1, 'escrow') \g /dev/null
GRANT UPDATE ON inventory TO inventory_behaviour_shop;
RESET ROLE;
SELECT is((SELECT count(*) FROM pg_class WHERE relname LIKE 'inventory%' AND relkind IN ('r', 'v') AND relowner = 'inventory_behaviour_owner'::regrole), 5::bigint, 'companions belong to the owner of the table');
SELECT is(state_as('inventory_behaviour_' || who, replace(stmt, '@', sku)), CASE who WHEN 'shop' THEN want ELSE '42501' END, format('%s: %s', who, replace(stmt, '@', sku)))
FROM unnest('{shop,reader,none}'::text[]) who, unnest('{R,E}'::text[]) sku, (VALUES (1, 'SELECT * FROM plinth_inventory.reserve(''@'', 1, 2, k(ascii(''@'')))', 'ok reserved'), (2, 'SELECT * FROM plinth_inventory.confirm(k(ascii(''@'')), 1)', 'ok confirmed'), (3, 'SELECT * FROM plinth_inventory.release(k(ascii(''@'')))', 'ok released'),
	(4, 'SELECT * FROM plinth_inventory.reserve(''@'', 1, 2000)', 'ok sold_out'), (5, 'SELECT * FROM plinth_inventory.receive(''@'', 1, 1)', 'ok'), (6, 'SELECT * FROM plinth_inventory.adjust(''@'', 1, 40)', 'ok adjusted'), (7, 'SELECT * FROM plinth_inventory.reserve_order(ARRAY[(''@'', 1, 1, NULL)]::plinth_inventory.line[])', 'ok reserved'),
	(8, 'SELECT * FROM plinth_inventory.reserve(''@'', 1, 1, expected_version => 99999)', 'ok version_conflict'), (9, 'SELECT * FROM plinth_inventory.expire()', 'ok'), (10, 'SELECT * FROM plinth_inventory.fold()', 'ok')) s (n, stmt, want) ORDER BY who, sku, n;
SELECT is(state_as('inventory_behaviour_' || who, stmt), '42501', format('%s: %s', who, stmt)) FROM unnest('{shop,reader,none}'::text[]) who,
	unnest(ARRAY['SELECT plinth_inventory.enable(''inventory'')', 'SELECT plinth_inventory.disable(''inventory'')', 'SELECT plinth_inventory.repair(''inventory'')', 'SELECT plinth_inventory.purge(''inventory'', now())', 'INSERT INTO inventory_movement (sku, warehouse, quantity, reserved) VALUES (''R'', 1, 1, 1)', 'UPDATE inventory_cell SET oversell_limit = 9', 'DELETE FROM inventory_reservation']) stmt ORDER BY 1;
SELECT is(state_as('inventory_behaviour_reader', stmt), 'ok', 'reader: ' || stmt) FROM unnest(ARRAY['SELECT plinth_inventory.available(''R'', 1)', 'SELECT plinth_inventory.available(''E'', 1)', 'SELECT * FROM inventory_available']) stmt;
SELECT is(state_as('inventory_behaviour_none', stmt), '42501', 'none: ' || stmt) FROM unnest(ARRAY['SELECT plinth_inventory.available(''R'', 1)', 'SELECT plinth_inventory.available(''E'', 1)', 'SELECT * FROM inventory_available', 'SELECT * FROM inventory_reservation', 'SELECT * FROM inventory_movement']) stmt;
SELECT agrees('inventory', 'rights', false);

-- Row security that applies to the caller is honoured, or the table is refused.
GRANT SELECT ON inventory TO inventory_behaviour_shop;
CREATE POLICY own ON inventory TO inventory_behaviour_shop USING (sku = 'R') WITH CHECK (sku = 'R');
SELECT is((run('ALTER TABLE inventory ENABLE ROW LEVEL SECURITY')).state, '0A000', 'not while a SKU is in mode escrow');
SELECT plinth_inventory.set_mode('E', 1, 'row') \g /dev/null
ALTER TABLE inventory ENABLE ROW LEVEL SECURITY;
SELECT isnt(state_as('inventory_behaviour_shop', 'SELECT * FROM plinth_inventory.reserve(''E'', 1, 1)'), 'ok reserved', 'a row that a policy hides is not reserved');
SELECT isnt(state_as('inventory_behaviour_shop', 'SELECT * FROM plinth_inventory.receive(''E'', 1, 1)'), 'ok', 'nor received');
SELECT is(state_as('inventory_behaviour_owner', 'SELECT * FROM plinth_inventory.reserve(''E'', 1, 1)'), 'ok reserved', 'the owner is not held by the policies');
SELECT agrees('inventory', 'row security', false);
ALTER TABLE inventory DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON inventory;

-- Nothing that a caller puts into the way runs with the owner's rights, or is mistaken for what we mean.
SELECT plinth_inventory.set_mode('E', 1, 'escrow') \g /dev/null
CREATE SCHEMA evil;
GRANT ALL ON SCHEMA evil TO inventory_behaviour_shop;
SET ROLE inventory_behaviour_shop;
CREATE FUNCTION evil.oops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE FUNCTION evil.bad(varchar, varchar) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE FUNCTION evil.bad(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE FUNCTION evil.bad(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE FUNCTION evil.bad(uuid, uuid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil as %', current_user; END $$;
CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = evil.bad);
CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.bad);
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.bad);
CREATE OPERATOR evil.>= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.bad);
CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.bad);
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''-infinity''::timestamptz';
CREATE FUNCTION evil.gen_random_uuid() RETURNS uuid LANGUAGE sql AS 'SELECT ''00000000-0000-0000-0000-000000000000''::uuid';
CREATE FUNCTION evil.sum(int) RETURNS bigint LANGUAGE sql AS 'SELECT 1000000::bigint';
CREATE TABLE evil.inventory (sku text, warehouse_id int, quantity int, reserved int, version int);
CREATE TABLE evil.inventory_reservation (key uuid);
CREATE TABLE evil.inventory_movement (key uuid);
CREATE TABLE evil.inventory_cell (sku text);
SET search_path = evil, pg_catalog, public;
SELECT array_agg(outcome ORDER BY n) AS outcomes FROM (SELECT 1 AS n, outcome FROM plinth_inventory.reserve('R', 1, 1, public.k(200)) UNION ALL SELECT 2, outcome FROM plinth_inventory.reserve('E', 1, 1, public.k(201)) UNION ALL SELECT 3, outcome FROM plinth_inventory.confirm(public.k(200)) UNION ALL SELECT 4, outcome FROM plinth_inventory.confirm(public.k(201))
	UNION ALL SELECT 5, outcome FROM plinth_inventory.reserve('R', 1, 1, ttl => '1 microsecond') UNION ALL SELECT 6, outcome FROM plinth_inventory.reserve('E', 1, 1, ttl => '1 microsecond')) x \gset
SELECT plinth_inventory.expire() AS expired, plinth_inventory.receive('E', 1, 1) > 0 AS received, plinth_inventory.fold() AS folded \gset
RESET search_path;
RESET ROLE;
SET search_path = public, pgtap;
SELECT is(:'outcomes'::text, '{reserved,reserved,confirmed,confirmed,reserved,reserved}', 'a hostile search_path changes nothing');
SELECT is(:expired, 2, 'nor for expire()');
SELECT is((SELECT key::text FROM inventory_reservation WHERE key = '00000000-0000-0000-0000-000000000000'), NULL, 'nor is the default key another');
SELECT agrees('inventory', 'hostile search_path', false);
-- Triggers and checks of the owner run as they do for any UPDATE.
SELECT plinth_inventory.disable('inventory', true) \g /dev/null
DROP TABLE inventory;
DROP SCHEMA evil CASCADE;
SELECT drop_roles('inventory_behaviour_');
SELECT * FROM finish();
