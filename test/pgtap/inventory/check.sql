-- check() and repair(): every problem provoked by hand, found, put right; and nothing found where nothing is wrong.
\set ON_ERROR_STOP on
\set VERBOSITY terse
SET client_min_messages = error;
SET jit = off;
CREATE EXTENSION plinth_inventory;
SELECT * FROM no_plan();

\ir ../../lib/roles.sql
SELECT drop_roles('inventory_check_');
GRANT USAGE ON SCHEMA pgtap TO PUBLIC;

CREATE FUNCTION key(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(n::text, 32, '0')::uuid $$;
CREATE FUNCTION problems(target text DEFAULT 'stock') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s|%s|%s|%s|%s', c.problem, c.sku, c.warehouse, c.expected, c.found) FROM plinth_inventory.check(target::regclass) AS c $$;
CREATE FUNCTION well(description text, target text DEFAULT 'stock') RETURNS text LANGUAGE sql AS $$
	SELECT is((SELECT string_agg(p, E'\n') FROM problems(target) p), NULL, description) $$;
CREATE FUNCTION found(wanted text[], description text, target text DEFAULT 'stock') RETURNS text LANGUAGE sql AS $$
	SELECT is(ARRAY(SELECT p FROM problems(target) p), wanted, description) $$;
-- Puts right what was found, in so many steps, and finds nothing then.
CREATE FUNCTION repaired(wanted bigint, description text, target text DEFAULT 'stock') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN NEXT is(plinth_inventory.repair(target::regclass), wanted, description);
	RETURN NEXT well(description || ', and all is well', target);
	RETURN NEXT is(plinth_inventory.repair(target::regclass), 0::bigint, description || ', and there is nothing left to repair');
END $$;
-- Change a table behind our back.
CREATE FUNCTION by_hand(target regclass, stmt text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t name;
BEGIN
	EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', target);
	EXECUTE stmt;
	FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = target AND NOT tgisinternal LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', target, t);
	END LOOP;
END $$;

CREATE TABLE stock (sku text, warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
	version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
INSERT INTO stock VALUES ('r', 1, 100, 3), ('e', 1, 100, 2), ('e', 2, 50, 0);
SELECT plinth_inventory.enable('stock');
SELECT well('an inventory that has just been made is well');
SELECT plinth_inventory.set_mode('e', w, 'escrow') FROM generate_series(1, 2) w;
SELECT well('so it is in escrow mode');

----------------------------------------------------------------------------------------------------------------------
-- Nothing wrong, nothing found.
----------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION busy(sku text, base int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM plinth_inventory.reserve(sku, 1, 5, key(base + n)) FROM generate_series(1, 6) n;
	PERFORM plinth_inventory.confirm(key(base + 1));
	PERFORM plinth_inventory.confirm(key(base + 2), 2);
	PERFORM plinth_inventory.release(key(base + 3));
	PERFORM plinth_inventory.release(key(base + 4), 1);
	PERFORM plinth_inventory.confirm(key(base + 4), 4);
	PERFORM plinth_inventory.reserve(sku, 1, 5, key(base + 7), ttl => '1 microsecond');
	PERFORM pg_sleep(0.001);
	PERFORM plinth_inventory.expire();
	PERFORM plinth_inventory.receive(sku, 1, 7, 'delivery');
END $$;
SELECT busy('r', 100);
SELECT well('row mode');
SELECT busy('e', 200);
SELECT well('escrow mode, stock rows behind');
SELECT plinth_inventory.fold('stock');
SELECT well('and after fold()');
UPDATE stock SET reserved = reserved + 4 WHERE sku = 'r';
UPDATE stock SET quantity = quantity - 1, reserved = reserved - 1, version = version + 1 WHERE sku = 'e' AND warehouse_id = 1;
UPDATE stock SET quantity = quantity + 10;
SELECT well('other SQL reserves, sells and restocks');
SELECT plinth_inventory.adjust('e', 1, 90, reason => 'count');
SELECT plinth_inventory.adjust('r', 1, 95);
SELECT plinth_inventory.limits('e', 1, oversell_limit => 5, safety_stock => 3);
SELECT plinth_inventory.transfer('e', 1, 2, 4);
SELECT plinth_inventory.set_mode('e', 2, 'row');
SELECT plinth_inventory.set_mode('r', 1, 'escrow');
SELECT busy('r', 300);
SELECT plinth_inventory.set_mode('r', 1, 'row');
SELECT well('counts, limits, transfers, other modes');
INSERT INTO stock VALUES ('new', 1, 5, 1);
UPDATE stock SET reserved = 0 WHERE sku = 'new';
UPDATE stock SET sku = 'newer', quantity = 3 WHERE sku = 'new';
UPDATE stock SET sku = 'newest' WHERE sku = 'newer';
DELETE FROM stock WHERE sku = 'newest';
SELECT well('rows come, are renamed, go');

BEGIN;
SELECT busy('e', 400);
SELECT plinth_inventory.reserve('r', 1, 1, key(501));
SELECT well('in the middle of a transaction');
SAVEPOINT s;
SELECT plinth_inventory.reserve('e', 1, 9, key(502));
SELECT plinth_inventory.release(key(405));
SELECT well('in a subtransaction');
ROLLBACK TO s;
SELECT well('after a rollback to a savepoint');
SELECT plinth_inventory.repair('stock') IS NOT NULL;
SELECT well('repair() does no harm there');
ROLLBACK;
SELECT well('after a rollback');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT busy('e', 600);
SELECT well('in a serializable one');
COMMIT;
SELECT well('and after it');

SELECT plinth_inventory.disable('stock');
UPDATE stock SET quantity = quantity + 3 WHERE sku = 'r';
INSERT INTO stock VALUES ('while away', 1, 5, 0);
SELECT plinth_inventory.enable('stock');
SELECT well('taken up again, with reservations that go on');
SELECT plinth_inventory.set_mode('e', w, 'escrow') FROM generate_series(1, 2) w;
SELECT is(plinth_inventory.repair('stock'), 0::bigint, 'there is nothing to repair');
SELECT throws_ok($$ SELECT plinth_inventory.check('pg_class') $$, '55000', NULL, 'no inventory, no check');
SELECT throws_ok($$ SELECT plinth_inventory.repair('pg_class') $$, '55000', NULL, 'and no repair');
SELECT is_empty($$ SELECT * FROM plinth_inventory.check(NULL) $$, 'null is no table');

----------------------------------------------------------------------------------------------------------------------
-- Guards
----------------------------------------------------------------------------------------------------------------------

ALTER TABLE stock DISABLE TRIGGER plinth_inventory_before;
SELECT found('{"trigger not always enabled|||trigger \"plinth_inventory_before\" on table \"stock\"|disabled"}', 'a disabled trigger');
SELECT repaired(1, 'it is enabled');
ALTER TABLE stock ENABLE TRIGGER plinth_inventory;
ALTER TABLE stock_cell ENABLE REPLICA TRIGGER plinth_inventory_guard_change;
SELECT found('{"trigger not always enabled|||trigger \"plinth_inventory\" on table \"stock\"|only on the origin",
	"trigger not always enabled|||trigger \"plinth_inventory_guard_change\" on table \"stock_cell\"|only on a replica"}', 'triggers that do not fire always');
SELECT repaired(2, 'they do');
SELECT is_empty($$ SELECT FROM pg_trigger WHERE tgname ~ '^plinth_inventory' AND tgenabled <> 'A' $$, 'really');

DROP TRIGGER plinth_inventory_truncate ON stock;
DROP TRIGGER plinth_inventory_guard ON stock_movement;
SELECT found('{"trigger missing|||trigger \"plinth_inventory_truncate\" on table \"stock\"|",
	"trigger missing|||trigger \"plinth_inventory_guard\" on table \"stock_movement\"|"}', 'missing triggers');
SELECT repaired(2, 'they are made');
DROP TRIGGER plinth_inventory ON stock;
SELECT found('{"trigger missing|||trigger \"plinth_inventory\" on table \"stock\"|"}', 'the one trigger that says what the table is');
SELECT repaired(1, 'the others say it, too');
SELECT is((SELECT count(*)::int FROM pg_trigger WHERE tgname ~ '^plinth_inventory' AND tgenabled = 'A'), 9, 'three on the table, two on each of those beside it');
SELECT isnt_empty($$ SELECT FROM plinth_inventory.status WHERE target = 'stock'::regclass $$, 'it is an inventory as before');

DROP TRIGGER plinth_inventory_before ON stock;
CREATE TRIGGER plinth_inventory_before BEFORE UPDATE ON stock FOR EACH ROW WHEN (false)
	EXECUTE FUNCTION plinth_inventory.stock('sku=sku', 'warehouse=warehouse_id');
ALTER TABLE stock ENABLE ALWAYS TRIGGER plinth_inventory_before;
SELECT found('{"trigger altered|||trigger \"plinth_inventory_before\" on table \"stock\"|"}', 'a trigger of the right name and another kind');
SELECT repaired(1, 'it becomes what it was');

SELECT format('CREATE TRIGGER plinth_inventory_before BEFORE INSERT OR UPDATE OR DELETE ON stock FOR EACH ROW WHEN (pg_trigger_depth() < 9) EXECUTE FUNCTION plinth_inventory.stock(%s)',
	substring(pg_get_triggerdef(oid) from '\((.*)\)$')) AS conditional FROM pg_trigger WHERE tgrelid = 'stock'::regclass AND tgname = 'plinth_inventory' \gset
DROP TRIGGER plinth_inventory_before ON stock;
:conditional;
ALTER TABLE stock ENABLE ALWAYS TRIGGER plinth_inventory_before;
SELECT found('{"trigger altered|||trigger \"plinth_inventory_before\" on table \"stock\"|"}', 'or with a condition');
SELECT repaired(1, 'that goes');

DROP VIEW stock_available;
SELECT found('{"view missing|||view \"public.stock_available\"|"}', 'no view');
SELECT repaired(1, 'there it is');
SELECT is(plinth_inventory.available('while away', 1), 5::bigint, 'and it answers');
DELETE FROM pg_depend WHERE refobjid = 'stock'::regclass AND deptype = 'a' AND classid IN ('pg_trigger'::regclass, 'pg_class'::regclass)
	AND (objid = 'stock_available'::regclass OR objid IN (SELECT oid FROM pg_trigger WHERE tgrelid = 'stock_cell'::regclass));
SELECT found('{"table not attached|||table \"stock_cell\"|","view not attached|||view \"stock_available\"|"}', 'the catalogs do not say what belongs together');
SELECT repaired(2, 'they do');
ALTER TABLE stock_cell RENAME TO cells_of_stock;
SELECT well('a renamed table is found again');
ALTER TABLE cells_of_stock RENAME TO stock_cell;

ALTER EVENT TRIGGER plinth_inventory_ddl_end DISABLE;
SELECT found('{"event trigger not enabled|||event trigger \"plinth_inventory_ddl_end\"|disabled"}', 'a disabled event trigger');
SELECT repaired(1, 'a superuser enables it');

DROP INDEX stock_reservation_generation_xid_idx;
SELECT throws_ok($$ SELECT plinth_inventory.check('stock') $$, '55000', NULL, 'an index without which nothing can be read');
SELECT is(plinth_inventory.repair('stock'), 0::bigint, 'repair() makes it');
SELECT well('so it can be read again');

----------------------------------------------------------------------------------------------------------------------
-- Cells
----------------------------------------------------------------------------------------------------------------------

SELECT by_hand('stock_cell', $$ DELETE FROM stock_cell WHERE sku = 'r' $$);
SELECT by_hand('stock_cell', $$ INSERT INTO stock_cell (sku, warehouse, generation, mode) VALUES ('ghost', 7, 4711, 'row') $$);
SELECT found('{"stock missing|ghost|7||","cell missing|r|1||"}', 'a cell without stock, stock without a cell');
SELECT repaired(2, 'one goes, one comes');
SELECT is((SELECT array_agg(concat_ws(' ', sku, warehouse, mode) ORDER BY sku, warehouse) FROM stock_cell), '{"e 1 escrow","e 2 escrow","r 1 row","while away 1 row"}', 'as it should be');

SELECT by_hand('stock', $$ INSERT INTO stock VALUES ('smuggled', 1, 20, 4) $$);
SELECT found('{"cell missing|smuggled|1||","quantity differs from ledger|smuggled|1|0|20","reserved differs from ledger|smuggled|1|0|4","reserved differs from reservations|smuggled|1|0|4"}', 'a row of which nobody knew');
SELECT repaired(3, 'what was counted counts, what nobody reserved is free');
SELECT results_eq($$ SELECT quantity, reserved FROM stock WHERE sku = 'smuggled' $$, 'VALUES (20, 0)', 'so it says');
SELECT results_eq($$ SELECT kind, quantity, reserved, key, generation FROM stock_movement WHERE sku = 'smuggled' $$, $$ VALUES ('repair', 20::bigint, 0::bigint, NULL::uuid, NULL::bigint) $$, 'so does the ledger');
SELECT plinth_inventory.reserve('smuggled', 1, 3, key(701));
SELECT by_hand('stock', $$ DELETE FROM stock WHERE sku = 'smuggled' $$);
SELECT found('{"stock missing|smuggled|1||","quantity differs from ledger|smuggled|1|20|0","reserved differs from ledger|smuggled|1|3|0","reserved differs from reservations|smuggled|1|3|0"}', 'a row that went while units of it were held');
SELECT repaired(4, 'they are not held any more');
SELECT results_eq('SELECT released, outcome, finished_at IS NOT NULL FROM stock_reservation WHERE key = key(701)', $$ VALUES (3, 'released', true) $$, 'the reservation says so');
SELECT results_eq($$ SELECT kind, quantity, reserved, key FROM stock_movement WHERE sku = 'smuggled' ORDER BY movement_id OFFSET 1 $$,
	$$ VALUES ('repair', 0::bigint, -3::bigint, key(701)), ('close', -20, 0, NULL) $$, 'and the ledger tells the story');
SELECT by_hand('stock_cell', 'DELETE FROM stock_cell');
SELECT is((SELECT count(*)::int FROM plinth_inventory.check('stock') WHERE problem = 'cell missing'), 4, 'no cells at all');
SELECT ok(plinth_inventory.repair('stock') >= 4, 'are made');
SELECT well('in the mode that enable() was told');
SELECT plinth_inventory.set_mode('e', w, 'escrow') FROM generate_series(1, 2) w;

----------------------------------------------------------------------------------------------------------------------
-- Numbers
----------------------------------------------------------------------------------------------------------------------

-- One SKU in each mode, of which the same is true: 50 on hand, 10 held, 5 reserved by other SQL.
CREATE TABLE goods (sku text PRIMARY KEY, quantity bigint NOT NULL, reserved bigint NOT NULL, version bigint NOT NULL);
INSERT INTO goods VALUES ('row', 50, 5, 0), ('escrow', 50, 5, 0);
SELECT plinth_inventory.enable('goods');
SELECT plinth_inventory.set_mode('escrow', NULL::text, 'escrow', 'goods');
SELECT plinth_inventory.reserve('row', NULL::text, 10, key(801), inventory => 'goods');
SELECT plinth_inventory.reserve('escrow', NULL::text, 10, key(802), inventory => 'goods');
SELECT well('without warehouses', 'goods');

SELECT by_hand('goods', 'UPDATE goods SET quantity = quantity + 7');
SELECT found('{"quantity differs from ledger|escrow||50|57","quantity differs from ledger|row||50|57"}', 'units that the ledger does not know', 'goods');
SELECT repaired(2, 'it gets to know them', 'goods');
SELECT results_eq('SELECT sku, quantity, reserved, version FROM goods ORDER BY 1', $$ VALUES ('escrow', 57::bigint, 5::bigint, 1::bigint), ('row', 57, 15, 1) $$, 'the table stays as it is');
SELECT is(plinth_inventory.available(s, NULL::text, 'goods'), 42::bigint, s || ': they are available') FROM unnest('{row,escrow}'::text[]) s;
SELECT is((plinth_inventory.reserve(s, NULL::text, 42, inventory => 'goods')).outcome, 'reserved', s || ': all of them can be reserved') FROM unnest('{row,escrow}'::text[]) s;
SELECT is((plinth_inventory.reserve(s, NULL::text, 1, inventory => 'goods')).outcome, 'sold_out', s || ': and no more') FROM unnest('{row,escrow}'::text[]) s;
SELECT plinth_inventory.release(key, inventory => 'goods') FROM goods_reservation WHERE quantity = 42;

SELECT by_hand('goods', 'UPDATE goods SET reserved = reserved - 3');
SELECT found('{"reserved differs from ledger|escrow||15|12","reserved differs from reservations|escrow||15|12","reserved differs from ledger|row||15|12","reserved differs from reservations|row||15|12"}', 'less reserved than is held', 'goods');
SELECT repaired(2, 'it is reserved again', 'goods');
SELECT by_hand('goods', 'UPDATE goods SET reserved = reserved + 3');
SELECT repaired(2, 'more reserved than is held: it is free again', 'goods');
SELECT results_eq('SELECT sku, quantity, reserved FROM goods_available ORDER BY 1', $$ VALUES ('escrow', 57::bigint, 15::bigint), ('row', 57, 15) $$, 'as it was before');
SELECT plinth_inventory.fold('goods');
SELECT throws_ok($$ UPDATE goods SET reserved = reserved - 12 WHERE sku = 'row' $$, '23514', 'reserved of SKU "row" must not be less than what its reservations hold', 'other SQL cannot give back what reservations hold');
SELECT throws_ok($$ UPDATE goods SET reserved = reserved - 6 WHERE sku = 'escrow' $$, '23514', 'reserved of SKU "escrow" must not be less than what its reservations hold', 'in either mode');
-- as if it could
SELECT by_hand('goods', 'UPDATE goods SET reserved = reserved - 12');
SELECT by_hand('goods_movement', $$ INSERT INTO goods_movement (at, sku, quantity, reserved, kind, xid) SELECT now(), sku, 0, -12, 'sql', '3' FROM goods $$);
SELECT found('{"reserved differs from reservations|escrow||10|3","reserved differs from reservations|row||10|3"}', 'other SQL gave back what reservations hold', 'goods');
SELECT repaired(4, 'they get it back', 'goods');

SELECT plinth_inventory.reserve('escrow', NULL::text, 1, key(803), inventory => 'goods');
SELECT by_hand('goods_movement', $$ INSERT INTO goods_movement (at, sku, quantity, reserved, kind, generation, xid)
	SELECT now(), sku, -60, -20, 'hand', generation, '3' FROM goods_cell WHERE mode = 'escrow' $$);
SELECT by_hand('goods', $$ UPDATE goods SET quantity = -3, reserved = -20 WHERE sku = 'row' $$);
SELECT ok(ARRAY(SELECT p FROM problems('goods') p) @> '{"negative quantity|row||0|-3","negative reserved|row||0|-20"}', 'less than nothing');
SELECT is(plinth_inventory.repair('goods') > 0, true, 'becomes nothing');
SELECT found('{"oversold|row||0|-10"}', 'which is less than is held', 'goods');
SELECT is((SELECT quantity FROM goods WHERE sku = 'row'), 0::bigint, 'nothing on hand');
SELECT plinth_inventory.adjust('row', NULL::text, 57, inventory => 'goods'), plinth_inventory.adjust('escrow', NULL::text, 57, inventory => 'goods');

SELECT plinth_inventory.adjust('escrow', NULL::text, 4, inventory => 'goods');
SELECT found('{"oversold|escrow||0|-7"}', 'a count below what is reserved', 'goods');
SELECT is(plinth_inventory.repair('goods'), 0::bigint, 'who is not served a person has to decide');
SELECT plinth_inventory.limits('escrow', NULL::text, oversell_limit => 7, inventory => 'goods');
SELECT well('it may be oversold so far', 'goods');
SELECT plinth_inventory.limits('escrow', NULL::text, oversell_limit => 6, inventory => 'goods');
SELECT found('{"oversold|escrow||-6|-7"}', 'and no farther', 'goods');
SELECT plinth_inventory.receive('escrow', NULL::text, 50, inventory => 'goods');
SELECT well('until there is more', 'goods');

----------------------------------------------------------------------------------------------------------------------
-- Reservations
----------------------------------------------------------------------------------------------------------------------

SELECT plinth_inventory.reserve('row', NULL::text, 4, key(900 + n), inventory => 'goods') FROM generate_series(1, 9) n;
SELECT plinth_inventory.reserve('escrow', NULL::text, 4, key(950), inventory => 'goods');
SELECT plinth_inventory.confirm(key(901), 1, inventory => 'goods');
SELECT plinth_inventory.release(key(902), inventory => 'goods');
SELECT plinth_inventory.confirm(key(903), 2, inventory => 'goods');
SELECT well('before', 'goods');
-- not by outcome but by what the units say
SELECT by_hand('goods_reservation', 'UPDATE goods_reservation SET released = 9 WHERE key = key(901)');
SELECT by_hand('goods_reservation', 'UPDATE goods_reservation SET finished_at = NULL, outcome = NULL WHERE key = key(902)');
SELECT by_hand('goods_reservation', 'UPDATE goods_reservation SET finished_at = now() WHERE key = key(903)');
SELECT by_hand('goods_reservation', $$ UPDATE goods_reservation SET outcome = 'eaten' WHERE key = key(904) $$);
SELECT by_hand('goods_reservation', 'UPDATE goods_reservation SET confirmed = -2 WHERE key = key(905)');
SELECT by_hand('goods_reservation', 'UPDATE goods_reservation SET confirmed = 2147483647, released = 2147483647 WHERE key = key(906)');
SELECT is(ARRAY(SELECT substr(p, 25) FROM problems('goods') p WHERE p ~ '^reservation inconsistent'), ARRAY[
	format('|row||reservation %s line 1: 4 units, 1 confirmed, 3 released, confirmed|4 units, 1 confirmed, 9 released, not finished', key(901)),
	format('|row||reservation %s line 1: 4 units, 0 confirmed, 4 released, released|4 units, 0 confirmed, 4 released, not finished', key(902)),
	format('|row||reservation %s line 1: 4 units, 2 confirmed, 2 released, confirmed|4 units, 2 confirmed, 0 released, finished', key(903)),
	format('|row||reservation %s line 1: 4 units, 0 confirmed, 0 released, not finished|4 units, 0 confirmed, 0 released, not finished, eaten', key(904)),
	format('|row||reservation %s line 1: 4 units, 0 confirmed, 0 released, not finished|4 units, -2 confirmed, 0 released, not finished', key(905)),
	format('|row||reservation %s line 1: 4 units, 4 confirmed, 0 released, confirmed|4 units, 2147483647 confirmed, 2147483647 released, not finished', key(906))],
	'reservations that contradict themselves');
SELECT ok(plinth_inventory.repair('goods') > 0, 'they do not any more');
SELECT well('all is well', 'goods');
SELECT results_eq('SELECT key, confirmed, released, outcome FROM goods_reservation WHERE key BETWEEN key(901) AND key(907) ORDER BY 1',
	$$ VALUES (key(901), 1, 3, 'confirmed'), (key(902), 0, 4, 'released'), (key(903), 2, 2, 'confirmed'), (key(904), 0, 0, NULL), (key(905), 0, 0, NULL), (key(906), 4, 0, 'confirmed'), (key(907), 0, 0, NULL) $$, 'each as said before');

SELECT plinth_inventory.fold('goods');
SELECT by_hand('goods_movement', 'DELETE FROM goods_movement WHERE key = key(902)');
SELECT by_hand('goods_reservation', 'DELETE FROM goods_reservation WHERE key IN (key(901), key(907), key(950))');
SELECT set_eq($$ SELECT p FROM problems('goods') p WHERE p ~ '^reservation' $$, ARRAY[
	format('reservation differs from ledger|row||reservation %s line 1: 1 confirmed, 3 released|0 confirmed, 0 released', key(901)),
	format('reservation differs from ledger|row||reservation %s line 1: 0 confirmed, 0 released|0 confirmed, 4 released', key(902))], 'a reservation whose story is lost, a story without a reservation');
SELECT bag_has($$ SELECT problem || ' ' || sku FROM plinth_inventory.check('goods') $$,
	$$ VALUES ('reserved differs from ledger row'), ('reserved differs from ledger escrow'), ('reserved differs from reservations row'), ('reserved differs from reservations escrow') $$, 'and units are held by nobody');
SELECT ok(plinth_inventory.repair('goods') > 0, 'one is told anew, the other untold, nobody''s units are free');
SELECT well('all is well', 'goods');
SELECT plinth_inventory.reserve('row', NULL::text, 2, key(901), inventory => 'goods'), plinth_inventory.confirm(key(901), 1, inventory => 'goods');
SELECT well('the key is as good as new', 'goods');

----------------------------------------------------------------------------------------------------------------------
-- Counters
----------------------------------------------------------------------------------------------------------------------

SELECT plinth_inventory.reserve('escrow', NULL::text, 1, inventory => 'goods');
CREATE FUNCTION counter() RETURNS bigint LANGUAGE sql AS $$ SELECT free FROM plinth_inventory.cells c JOIN goods_cell g USING (generation) WHERE g.sku = 'escrow' $$;
SELECT counter() AS was \gset
-- while the event trigger looks away, nobody has the counter made anew
ALTER EVENT TRIGGER plinth_inventory_ddl_end DISABLE;
SELECT by_hand('goods', $$ UPDATE goods SET quantity = quantity - 2 WHERE sku = 'escrow' $$);
ALTER EVENT TRIGGER plinth_inventory_ddl_end ENABLE;
SELECT is(counter(), :was::bigint, 'the counter does not know');
SELECT is(ARRAY(SELECT p FROM problems('goods') p WHERE p ~ 'counter'), ARRAY[format('counter differs|escrow||%s|%s', :was - 2, :was), format('counter of units on hand differs|escrow||%s|%s', quantity, quantity + 2)], 'check() does') FROM goods_available WHERE sku = 'escrow';
BEGIN;
SELECT is(plinth_inventory.repair('goods'), 3::bigint, 'the ledger and the counters');
SELECT well('are put right, which this transaction sees', 'goods');
COMMIT;
SELECT well('and all others', 'goods');
SELECT plinth_inventory.reserve('escrow', NULL::text, 1, inventory => 'goods');
SELECT is(counter(), :was::bigint - 3, 'it was made anew');
SELECT well('and is right', 'goods');
BEGIN;
SELECT plinth_inventory.reserve('escrow', NULL::text, 1, inventory => 'goods');
SELECT plinth_inventory.receive('escrow', NULL::text, 5, inventory => 'goods');
SELECT well('one''s own units are reckoned with', 'goods');
ROLLBACK;
-- a hold that nobody expects to expire
SELECT plinth_inventory.reserve('escrow', NULL::text, 1, key(1002), ttl => '1 hour', inventory => 'goods');
ALTER EVENT TRIGGER plinth_inventory_ddl_end DISABLE;
SELECT by_hand('goods_reservation', 'UPDATE goods_reservation SET expires_at = ''2026-01-01'' WHERE key = key(1002)');
ALTER EVENT TRIGGER plinth_inventory_ddl_end ENABLE;
SELECT is(ARRAY(SELECT concat_ws('|', problem, sku, expected::timestamptz, found::timestamptz > now()) FROM plinth_inventory.check('goods')), ARRAY['next expiry differs|escrow|' || '2026-01-01'::timestamptz || '|t'], 'it is found, and when the counter thinks');
SELECT is(plinth_inventory.repair('goods'), 1::bigint, 'repair() has it made anew');
SELECT well('so it is seen', 'goods');
SELECT is(plinth_inventory.expire(inventory => 'goods'), 1::bigint, 'and expires');
SELECT well('which it does', 'goods');

----------------------------------------------------------------------------------------------------------------------
-- Rights
----------------------------------------------------------------------------------------------------------------------

CREATE ROLE inventory_check_owner;
CREATE ROLE inventory_check_reader;
CREATE ROLE inventory_check_nobody;
GRANT CREATE, USAGE ON SCHEMA public TO inventory_check_owner;
SET ROLE inventory_check_owner;
CREATE TABLE mine (sku text PRIMARY KEY, quantity int NOT NULL, reserved int NOT NULL, version int NOT NULL);
INSERT INTO mine VALUES ('a', 5, 1, 0);
SELECT plinth_inventory.enable('mine');
GRANT SELECT ON mine TO inventory_check_reader;
SELECT well('the owner may check', 'mine');
UPDATE mine SET quantity = 7;
ALTER TABLE mine DISABLE TRIGGER USER;
UPDATE mine SET quantity = 9;
SET ROLE inventory_check_reader;
SELECT throws_ok('TABLE mine_movement', '42501', NULL, 'who may SELECT from the table but not from the ledger');
SELECT is((SELECT found FROM plinth_inventory.check('mine') WHERE problem = 'quantity differs from ledger'), '9', 'may check');
SELECT throws_ok($$ SELECT plinth_inventory.repair('mine') $$, '42501', NULL, 'and not repair');
SET ROLE inventory_check_nobody;
SELECT throws_ok($$ SELECT plinth_inventory.check('mine') $$, '42501', NULL, 'nobody else may');
SET ROLE inventory_check_owner;
SELECT is(plinth_inventory.repair('mine'), 4::bigint, 'the owner may repair');
SELECT well('with his own rights', 'mine');
RESET ROLE;
ALTER EVENT TRIGGER plinth_inventory_ddl_end DISABLE;
SET ROLE inventory_check_owner;
SELECT is(plinth_inventory.repair('mine'), 0::bigint, 'he may not enable the event trigger');
SELECT found('{"event trigger not enabled|||event trigger \"plinth_inventory_ddl_end\"|disabled"}', 'of which he reads', 'mine');
RESET ROLE;
SELECT plinth_inventory.repair('mine');
ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
SET ROLE inventory_check_reader;
SELECT throws_ok($$ SELECT plinth_inventory.check('mine') $$, '42501', NULL, 'a policy in force is an error, not a wrong answer');
SET ROLE inventory_check_owner;
SELECT well('the owner sees all', 'mine');
RESET ROLE;
DROP TABLE mine, mine_reservation, mine_movement, mine_cell;

----------------------------------------------------------------------------------------------------------------------
-- Keys of other types
----------------------------------------------------------------------------------------------------------------------

CREATE SCHEMA elsewhere;
CREATE DOMAIN elsewhere.code AS varchar(8) COLLATE "C" CHECK (VALUE <> '');
CREATE COLLATION elsewhere.careless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE elsewhere."Goods, all" ("SKU" text COLLATE elsewhere.careless, "where" elsewhere.code NOT NULL, "How many" smallint NOT NULL, r smallint NOT NULL, v bigint NOT NULL, PRIMARY KEY ("where", "SKU"));
INSERT INTO elsewhere."Goods, all" VALUES ('Shoe', 'x', 10, 0, 0), ('Hat', 'x', 10, 0, 0), ('Hat', 'X', 10, 0, 0);
SELECT plinth_inventory.enable('elsewhere."Goods, all"', 'SKU', 'where', 'How many', 'r', 'v', 'escrow');
SELECT plinth_inventory.reserve('SHOE', 'x', 2, key(1001), inventory => 'elsewhere."Goods, all"');
SELECT plinth_inventory.confirm(key(1001), inventory => 'elsewhere."Goods, all"');
SELECT well('keys are equal where their type says so', 'elsewhere."Goods, all"');
SELECT by_hand('elsewhere."Goods, all"', $$ UPDATE elsewhere."Goods, all" SET "SKU" = 'HAT', "How many" = 11 WHERE "where" = 'x' AND "SKU" = 'hat' $$);
SELECT by_hand('elsewhere."Goods, all_cell"', $$ DELETE FROM elsewhere."Goods, all_cell" WHERE sku = 'hat' AND warehouse = 'X' $$);
SELECT is((SELECT array_agg(concat_ws('|', problem, lower(sku), warehouse, expected, found)) FROM plinth_inventory.check('elsewhere."Goods, all"')),
	'{cell missing|hat|X,quantity differs from ledger|hat|x|10|11}', 'problems of them');
SELECT repaired(2, 'are repaired', 'elsewhere."Goods, all"');

----------------------------------------------------------------------------------------------------------------------
-- Whatever is done to it, repair() brings it back.
----------------------------------------------------------------------------------------------------------------------

CREATE TABLE torture (sku int, warehouse_id uuid, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL CHECK (reserved >= 0), version int NOT NULL, PRIMARY KEY (warehouse_id, sku));
INSERT INTO torture SELECT n, key(0), 1000, 0, 0 FROM generate_series(1, 6) n;
SELECT plinth_inventory.enable('torture');
SELECT plinth_inventory.set_mode(n::text, key(0)::text, 'escrow', 'torture') FROM generate_series(4, 6) n;
CREATE FUNCTION sell(rounds int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..rounds LOOP
		PERFORM plinth_inventory.reserve((1 + floor(random() * 6))::text, key(0)::text, (1 + floor(random() * 5))::int, ttl => CASE WHEN random() < 0.2 THEN interval '0.1 ms' END, inventory => 'torture');
		PERFORM plinth_inventory.confirm(key, (1 + floor(random() * (quantity - confirmed - released)))::int, 'torture') FROM torture_reservation WHERE finished_at IS NULL AND random() < 0.2;
		PERFORM plinth_inventory.release(key, (1 + floor(random() * (quantity - confirmed - released)))::int, 'torture') FROM torture_reservation WHERE finished_at IS NULL AND random() < 0.2;
	END LOOP;
END $$;
CREATE FUNCTION harm() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	stmts text[] := '{}';
	t text;
	s text;
BEGIN
	FOREACH t IN ARRAY ARRAY['torture', 'torture_cell', 'torture_reservation', 'torture_movement'] LOOP
		CONTINUE WHEN random() < 0.4;
		s := CASE t
			WHEN 'torture' THEN (ARRAY['UPDATE torture SET quantity = (random() * 1000)::int WHERE random() < 0.4', 'UPDATE torture SET reserved = (random() * 50)::int WHERE random() < 0.4',
				'DELETE FROM torture WHERE random() < 0.2', format('INSERT INTO torture SELECT n, key(0), 9, 4, 0 FROM generate_series(1, 6) n ON CONFLICT DO NOTHING')])[1 + floor(random() * 4)]
			WHEN 'torture_cell' THEN (ARRAY['DELETE FROM torture_cell WHERE random() < 0.3', 'UPDATE torture_cell SET sku = sku + 100 WHERE random() < 0.3'])[1 + floor(random() * 2)]
			WHEN 'torture_reservation' THEN (ARRAY['DELETE FROM torture_reservation WHERE random() < 0.2', 'UPDATE torture_reservation SET confirmed = (random() * 6 - 1)::int WHERE random() < 0.2',
				'UPDATE torture_reservation SET released = (random() * 6 - 1)::int WHERE random() < 0.2', 'UPDATE torture_reservation SET finished_at = CASE WHEN random() < 0.5 THEN now() END WHERE random() < 0.2',
				$x$ UPDATE torture_reservation SET outcome = (ARRAY[NULL, 'confirmed', 'lost'])[1 + floor(random() * 3)] WHERE random() < 0.2 $x$, 'UPDATE torture_reservation SET sku = 1 + sku % 6 WHERE random() < 0.2',
				'UPDATE torture_reservation SET quantity = (random() * 6 - 1)::int WHERE random() < 0.2'])[1 + floor(random() * 7)]
			ELSE (ARRAY['DELETE FROM torture_movement WHERE random() < 0.2', 'UPDATE torture_movement SET quantity = quantity + 1 WHERE random() < 0.2', 'UPDATE torture_movement SET reserved = reserved - 1 WHERE random() < 0.2',
				'UPDATE torture_movement SET sku = 1 + sku % 6 WHERE random() < 0.2', 'UPDATE torture_movement SET key = NULL WHERE random() < 0.2', 'TRUNCATE torture_movement'])[1 + floor(random() * 6)]
		END;
		PERFORM by_hand(t::regclass, s);
		stmts := stmts || s;
	END LOOP;
	RETURN array_to_string(stmts, '; ');
END $$;
CREATE FUNCTION torture(seed float8) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	harms text;
	was text[];
	wrong text[];
BEGIN
	PERFORM setseed(seed);
	PERFORM sell(15);
	RETURN NEXT well(format('seed %s: before', seed), 'torture');
	harms := harm();
	was := ARRAY(SELECT p FROM problems('torture') p);
	BEGIN
		PERFORM plinth_inventory.repair('torture');
		wrong := ARRAY(SELECT p FROM problems('torture') p WHERE p !~ '^oversold');
		RETURN NEXT is(wrong, '{}', format('seed %s: %s problems repaired', seed, cardinality(was)));
		IF wrong <> '{}' THEN
			RETURN NEXT diag(harms, E'\n', array_to_string(was, E'\n'));
		END IF;
	EXCEPTION WHEN OTHERS THEN
		RETURN NEXT fail(format('seed %s: %s after %s', seed, SQLERRM, harms));
	END;
	-- as many as are needed to sell again
	INSERT INTO torture SELECT n, key(0), 1000, 0, 0 FROM generate_series(1, 6) n ON CONFLICT DO NOTHING;
	PERFORM plinth_inventory.adjust(sku::text, key(0)::text, 1000, inventory => 'torture') FROM torture;
END $$;
SELECT torture(n / 100.0) FROM generate_series(1, 40) n;

SELECT drop_roles('inventory_check_');
SELECT * FROM finish();
