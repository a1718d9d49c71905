-- purge(): what goes, what stays, and that all sums are what they were.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_inventory;
SELECT * FROM no_plan();

\ir ../../lib/roles.sql
SELECT drop_roles('inventory_purge_');
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;

CREATE FUNCTION key(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(n::text, 32, '0')::uuid $$;
CREATE FUNCTION well(description text, target text DEFAULT 'stock') RETURNS text LANGUAGE sql AS $$
	SELECT is((SELECT string_agg(concat_ws('|', problem, sku, warehouse, expected, found), E'\n') FROM plinth_inventory.check(target::regclass) WHERE problem <> 'oversold'), NULL, description) $$;
-- What must be as it was: independent of check().
CREATE FUNCTION state(target text DEFAULT 'stock') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT format(''%%s %%s %%s: %%s'', sku, warehouse, what, n) FROM ('
		'SELECT sku, warehouse, ''available'' AS what, available AS n FROM %1$s_available UNION ALL SELECT sku, warehouse, ''quantity'', quantity FROM %1$s_available'
		' UNION ALL SELECT sku, warehouse, ''reserved'', reserved FROM %1$s_available'
		' UNION ALL SELECT sku, warehouse, ''ledger quantity'', sum(quantity) FROM %1$s_movement GROUP BY 1, 2 HAVING sum(quantity) <> 0'
		' UNION ALL SELECT sku, warehouse, ''ledger reserved'', sum(reserved) FROM (SELECT sku, warehouse, reserved FROM %1$s_movement UNION ALL SELECT sku, warehouse, quantity FROM %1$s_reservation) x GROUP BY 1, 2 HAVING sum(reserved) <> 0'
		' UNION ALL SELECT sku, warehouse, ''held'', sum(quantity - confirmed - released) FROM %1$s_reservation WHERE finished_at IS NULL GROUP BY 1, 2) AS x ORDER BY 1', target);
END $$;

CREATE TABLE stock (sku text, warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
	version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
INSERT INTO stock VALUES ('r', 1, 100, 3), ('e', 1, 100, 2), ('n', 1, 10, 0);
SELECT plinth_inventory.enable('stock');
SELECT plinth_inventory.set_mode('e', 1, 'escrow');
SELECT is(plinth_inventory.purge('stock', '-infinity'), 0::bigint, 'nothing is so old');
SELECT is(plinth_inventory.purge('stock', NULL), NULL, 'null is no time');

----------------------------------------------------------------------------------------------------------------------
-- What goes and what stays
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION history(sku text, base int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM plinth_inventory.reserve(sku, 1, 4, key(base + n)) FROM generate_series(1, 5) n;
	PERFORM plinth_inventory.reserve_order(ARRAY[(sku, '1', 2, NULL), ('n', '1', 1, NULL)]::plinth_inventory.line[], key(base + 6));
	PERFORM plinth_inventory.confirm(key(base + 1));
	PERFORM plinth_inventory.confirm(key(base + 2), 1);
	PERFORM plinth_inventory.release(key(base + 2));
	PERFORM plinth_inventory.release(key(base + 3));
	PERFORM plinth_inventory.confirm(key(base + 4), 1);
	PERFORM plinth_inventory.receive(sku, 1, 6, 'delivery');
END $$;
SELECT history('r', 100);
SELECT history('e', 200);
UPDATE stock SET reserved = reserved + 2 WHERE sku <> 'n';
SELECT clock_timestamp() AS then \gset
-- a line that is finished later keeps its key
SELECT plinth_inventory.confirm(key(106));
SELECT plinth_inventory.receive('r', 1, 1);
SELECT well('before');
CREATE TEMPORARY TABLE before AS SELECT s FROM state() s;
SELECT (SELECT count(*) FROM stock_reservation) AS reservations, (SELECT count(*) FROM stock_movement) AS movements \gset

SELECT plinth_inventory.purge('stock', :'then') AS purged \gset
SELECT set_eq('SELECT state()', 'SELECT s FROM before', 'nothing has changed');
SELECT well('all is well');
SELECT is((SELECT count(*) FROM stock_reservation) + (SELECT count(*) FROM stock_movement), (:reservations + :movements - :purged + 3)::bigint, 'rows are gone, as many as it says, and there is one for each cell instead');
SELECT set_eq('SELECT DISTINCT key FROM stock_reservation', ARRAY[key(104), key(105), key(106), key(204), key(205), key(206)], 'reservations that hold units stay, and those that were finished later');
SELECT set_eq('SELECT DISTINCT key FROM stock_movement WHERE key IS NOT NULL', ARRAY[key(104), key(106), key(204)], 'movements stay with their reservations');
SELECT results_eq($$ SELECT sku, quantity, reserved, generation, key, at <= now() FROM stock_movement WHERE kind = 'purge' ORDER BY sku $$,
	$$ VALUES ('e', 101::bigint, 4::bigint, NULL::bigint, NULL::uuid, true), ('n', 10, 0, NULL, NULL, true), ('r', 101, 5, NULL, NULL, true) $$, 'and a sum of what is gone');
SELECT is((SELECT array_agg(kind ORDER BY movement_id) FROM stock_movement WHERE sku = 'r' AND kind <> 'purge'), '{confirm,confirm,receive}', 'with what came later');
SELECT is(plinth_inventory.purge('stock', :'then'), 0::bigint, 'a second time there is nothing to do');
SELECT is((plinth_inventory.reserve('r', 1, 4, key(105))).replayed, true, 'a key is known as long as its reservation is there');
SELECT is((plinth_inventory.reserve('r', 1, 3, key(101))).replayed, false, 'and can be used again when it is not');
SELECT throws_ok($$ SELECT plinth_inventory.reserve('r', 1, 4, key(101)) $$, '23505', NULL, 'as any other');
SELECT well('all is well');
SELECT plinth_inventory.release(key(105)), plinth_inventory.confirm(key(104)), plinth_inventory.release(key(101));

-- finished, all of it, is gone, all of it
SELECT clock_timestamp() AS then \gset
TRUNCATE before;
INSERT INTO before SELECT state();
SELECT ok(plinth_inventory.purge('stock', :'then') > 0, 'later');
SELECT set_eq('SELECT state()', 'SELECT s FROM before', 'nothing has changed');
SELECT set_eq('SELECT key FROM stock_reservation', ARRAY[key(204), key(205), key(206), key(206)], 'more is finished');
SELECT is((SELECT array_agg(concat_ws(' ', sku, kind) ORDER BY sku, movement_id) FROM stock_movement WHERE key IS NULL), '{e purge,n purge,r purge}', 'sums are summed up');
SELECT well('all is well');
SELECT is(plinth_inventory.purge('stock', 'infinity'), 0::bigint, 'nothing is left to go');

-- lines of one key of which one is finished
SELECT count(*) FROM plinth_inventory.reserve_order(ARRAY[('r', '1', 1, NULL), ('n', '1', 1, NULL)]::plinth_inventory.line[], key(302), ttl => '1 microsecond');
SELECT is(plinth_inventory.expire(1), 1::bigint, 'one line is finished, one is not');
SELECT plinth_inventory.purge('stock', 'infinity');
SELECT is((SELECT count(*)::int FROM stock_reservation WHERE key = key(302)), 2, 'both stay');
SELECT well('all is well');
SELECT is(plinth_inventory.expire(), 1::bigint, 'both are finished');
SELECT plinth_inventory.purge('stock', 'infinity');
SELECT is((SELECT count(*)::int FROM stock_reservation WHERE key = key(302)), 0, 'both go');

-- a cell that is no more
INSERT INTO stock VALUES ('gone', 1, 9, 0);
SELECT plinth_inventory.reserve('gone', 1, 2, key(301)), plinth_inventory.confirm(key(301));
DELETE FROM stock WHERE sku = 'gone';
SELECT is(plinth_inventory.purge('stock', 'infinity'), 4::bigint, 'what comes to nothing');
SELECT is_empty($$ SELECT FROM stock_movement WHERE sku = 'gone' $$, 'leaves nothing');

----------------------------------------------------------------------------------------------------------------------
-- In the middle of things
----------------------------------------------------------------------------------------------------------------------

BEGIN;
SELECT plinth_inventory.reserve('e', 1, 3, key(401)), plinth_inventory.reserve('r', 1, 3, key(402));
SELECT plinth_inventory.confirm(key(401)), plinth_inventory.confirm(key(402));
SELECT plinth_inventory.receive('e', 1, 5);
SELECT is(plinth_inventory.purge('stock', 'infinity'), 3::bigint, 'what this transaction wrote in escrow mode is not in the stock row yet');
SELECT set_eq('SELECT key FROM stock_reservation', ARRAY[key(204), key(205), key(206), key(206), key(401)], 'so it stays');
SELECT is((SELECT array_agg(kind ORDER BY movement_id) FROM stock_movement WHERE sku = 'e' AND generation IS NOT NULL AND key IS DISTINCT FROM key(204)), '{confirm,receive}', 'movements, too');
SELECT well('all is well');
COMMIT;
SELECT well('and after the transaction');
SELECT is(plinth_inventory.purge('stock', 'infinity'), 4::bigint, 'now it goes');
SELECT well('all is well');
BEGIN;
SELECT plinth_inventory.reserve('e', 1, 3, key(403));
SELECT plinth_inventory.release(key(403));
SELECT plinth_inventory.purge('stock', 'infinity');
ROLLBACK;
SELECT well('a purge that came to nothing');
SELECT is((SELECT free FROM plinth_inventory.cells c JOIN stock_cell s USING (generation) WHERE s.sku = 'e'), plinth_inventory.available('e', 1), 'counters do not care');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT plinth_inventory.release(key(205));
SELECT plinth_inventory.purge('stock', 'infinity');
SELECT well('in a serializable transaction');
COMMIT;
SELECT well('and after it');

-- a mode that was left has nothing in any tail
SELECT plinth_inventory.reserve('e', 1, 3, key(404)), plinth_inventory.confirm(key(404));
SELECT plinth_inventory.set_mode('e', 1, 'row');
SELECT plinth_inventory.purge('stock', 'infinity');
SELECT is_empty('SELECT FROM stock_reservation WHERE key = key(404)', 'events of an earlier generation go');
SELECT well('all is well');

-- what must not happen has happened: purge() makes it no worse, and repair() finds it
ALTER TABLE stock_reservation DISABLE TRIGGER USER;
UPDATE stock_reservation SET confirmed = 3 WHERE key = key(204);
ALTER TABLE stock_reservation ENABLE ALWAYS TRIGGER plinth_inventory_guard;
ALTER TABLE stock_reservation ENABLE ALWAYS TRIGGER plinth_inventory_guard_change;
TRUNCATE before;
INSERT INTO before SELECT problem || found FROM plinth_inventory.check('stock');
SELECT isnt_empty('TABLE before', 'damage');
SELECT plinth_inventory.purge('stock', 'infinity');
SELECT set_eq($$ SELECT problem || found FROM plinth_inventory.check('stock') $$, 'TABLE before', 'is the same after it');
SELECT ok(plinth_inventory.repair('stock') > 0, 'and is repaired');
SELECT plinth_inventory.release(key) FROM stock_reservation;
SELECT plinth_inventory.purge('stock', 'infinity');
SELECT is_empty('SELECT FROM stock_reservation', 'when all is finished all can go');
SELECT well('all is well');

----------------------------------------------------------------------------------------------------------------------
-- Rights
----------------------------------------------------------------------------------------------------------------------

CREATE ROLE inventory_purge_owner;
CREATE ROLE inventory_purge_seller;
GRANT CREATE, USAGE ON SCHEMA public TO inventory_purge_owner;
SET ROLE inventory_purge_owner;
CREATE TABLE mine (sku text PRIMARY KEY, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL);
INSERT INTO mine VALUES ('a', 5, 1, 0);
SELECT plinth_inventory.enable('mine');
GRANT SELECT, UPDATE ON mine TO inventory_purge_seller;
SET ROLE inventory_purge_seller;
SELECT plinth_inventory.reserve('a', NULL::text, 1, key(501), inventory => 'mine');
SELECT plinth_inventory.confirm(key(501), inventory => 'mine');
SELECT throws_ok($$ SELECT plinth_inventory.purge('mine', now()) $$, '42501', NULL, 'who sells may not purge');
SET ROLE inventory_purge_owner;
SELECT is(plinth_inventory.purge('mine', clock_timestamp()), 3::bigint, 'the owner may');
SELECT well('with his own rights', 'mine');
SELECT throws_ok($$ DELETE FROM mine_movement $$, 'PX003', NULL, 'but not by hand');
SELECT throws_ok($$ SELECT plinth_inventory.purge('pg_class', now()) $$, '42501', NULL, 'nor what is not his');
RESET ROLE;
SELECT throws_ok($$ SELECT plinth_inventory.purge('pg_class', now()) $$, '55000', NULL, 'nor what is no inventory');
DROP TABLE mine, mine_reservation, mine_movement, mine_cell;

----------------------------------------------------------------------------------------------------------------------
-- Any history can be purged at any time.
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE torture (sku int, warehouse_id uuid, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL CHECK (reserved >= 0), version int NOT NULL, PRIMARY KEY (warehouse_id, sku));
INSERT INTO torture SELECT n, key(0), 100, 0, 0 FROM generate_series(1, 6) n;
SELECT plinth_inventory.enable('torture');
SELECT plinth_inventory.set_mode(n::text, key(0)::text, 'escrow', 'torture') FROM generate_series(4, 6) n;
CREATE FUNCTION sku() RETURNS text LANGUAGE sql AS 'SELECT (1 + floor(random() * 6))::text';
CREATE FUNCTION act() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CASE floor(random() * 13)
		WHEN 0, 1, 2 THEN PERFORM plinth_inventory.reserve(sku(), key(0)::text, (1 + floor(random() * 5))::int, ttl => CASE WHEN random() < 0.2 THEN interval '0.1 ms' END, inventory => 'torture');
		WHEN 3 THEN PERFORM plinth_inventory.reserve_order(ARRAY[(sku(), key(0), 1, NULL), (sku(), key(0), 2, NULL)]::plinth_inventory.line[], inventory => 'torture');
		WHEN 4, 5 THEN PERFORM plinth_inventory.confirm(key, inventory => 'torture') FROM (SELECT DISTINCT key FROM torture_reservation WHERE finished_at IS NULL) k WHERE random() < 0.2;
		WHEN 6, 7 THEN PERFORM plinth_inventory.release(key, inventory => 'torture') FROM (SELECT DISTINCT key FROM torture_reservation WHERE finished_at IS NULL) k WHERE random() < 0.2;
		WHEN 8 THEN PERFORM plinth_inventory.expire(inventory => 'torture');
		WHEN 9 THEN PERFORM plinth_inventory.receive(sku(), key(0)::text, 5, inventory => 'torture');
		WHEN 10 THEN UPDATE torture SET reserved = reserved + 1 WHERE sku = sku()::int AND reserved < quantity - 5;
		WHEN 11 THEN PERFORM plinth_inventory.set_mode(sku(), key(0)::text, (ARRAY['row', 'escrow'])[1 + floor(random() * 2)], 'torture');
		ELSE PERFORM plinth_inventory.fold('torture');
	END CASE;
EXCEPTION WHEN check_violation THEN
	NULL;
END $$;
CREATE FUNCTION torture(seed float8) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	was text[];
	moment timestamptz;
	n bigint;
BEGIN
	PERFORM setseed(seed);
	PERFORM act() FROM generate_series(1, 15);
	moment := CASE WHEN random() < 0.2 THEN 'infinity' ELSE clock_timestamp() - random() * interval '50 ms' END;
	was := ARRAY(SELECT state('torture'));
	n := plinth_inventory.purge('torture', moment);
	RETURN NEXT is(ARRAY(SELECT state('torture')), was, format('seed %s: %s rows purged, nothing has changed', seed, n));
	RETURN NEXT well(format('seed %s: all is well', seed), 'torture');
	PERFORM act() FROM generate_series(1, 5);
	RETURN NEXT well(format('seed %s: and goes on so', seed), 'torture');
END $$;
SELECT torture(n / 100.0) FROM generate_series(1, 25) n;
BEGIN;
SELECT torture(n / 100.0) FROM generate_series(26, 50) n;
COMMIT;
SELECT plinth_inventory.release(key, inventory => 'torture') FROM torture_reservation WHERE finished_at IS NULL;
SELECT plinth_inventory.purge('torture', 'infinity');
SELECT is_empty('SELECT FROM torture_reservation', 'when all is finished all can go');
SELECT cmp_ok((SELECT count(*)::int FROM torture_movement), '<=', 6, 'but for one sum a cell');
SELECT well('all is well', 'torture');

SELECT drop_roles('inventory_purge_');
SELECT * FROM finish();
