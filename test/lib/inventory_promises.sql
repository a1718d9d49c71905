-- What the calls of plinth_inventory promise, in the mode that the psql variable "mode" names.  Included by
-- test/pgtap/inventory/behaviour.sql, once for each.
CREATE TABLE inventory (
	sku varchar(50), warehouse_id int,
	quantity int NOT NULL CHECK (quantity >= 0),
	reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
	version int NOT NULL DEFAULT 0,
	PRIMARY KEY (sku, warehouse_id));
INSERT INTO inventory VALUES ('A', 1, 10), ('A', 2, 4), ('B', 1, 5), ('C', 1, 0), ('D', 1, 100), ('D', 2, 50), ('D', 3, 20);
SELECT is(plinth_inventory.enable('inventory', mode => :'mode')::text, 'inventory_reservation', :'mode' || ': enabled');
SELECT set_config('test.mode', :'mode', false) IS NULL AS ignored \gset

----------------------------------------------------------------------------------------------------------------------
-- reserve()
----------------------------------------------------------------------------------------------------------------------

SELECT is((SELECT array_agg((sku, warehouse, quantity, outcome, available, expires_at, replayed)::text) FROM plinth_inventory.reserve('A', 1, 3, k(1))), '{"(A,1,3,reserved,7,,f)"}', :'mode' || ': a hold, and what is left');
SELECT is((SELECT (key, line)::text FROM plinth_inventory.reserve('A', '1', 1, k(2))), (SELECT (k(2), 1)::text), :'mode' || ': the answer has the key; a warehouse may be text');
SELECT is(plinth_inventory.available('A', 1), 6::bigint, :'mode' || ': they are not available any more');
SELECT is(plinth_inventory.available('A', '1'), 6::bigint, :'mode' || ': the warehouse as text');
SELECT is(plinth_inventory.available('A'), 10::bigint, :'mode' || ': all warehouses');
SELECT is((SELECT available::bigint FROM inventory_available WHERE (sku, warehouse) = ('A', 1)), 6::bigint, :'mode' || ': the view agrees');
SELECT isnt((plinth_inventory.reserve('D', 1, 1)).key, (plinth_inventory.reserve('D', 1, 1)).key, :'mode' || ': a key is made where none is given');
SELECT is((SELECT array_agg((outcome, available, expires_at, replayed)::text) FROM plinth_inventory.reserve('A', 1, 7, k(3))), '{"(sold_out,6,,f)"}', :'mode' || ': more than there is, is sold out, and not an exception');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', 1, 6, k(3))), 'reserved', :'mode' || ': a key that was told "sold out" may be used again');
SELECT is((SELECT array_agg((outcome, available)::text) FROM plinth_inventory.reserve('A', 1, 1, k(4))), '{"(sold_out,0)"}', :'mode' || ': the last unit is the last');
SELECT refused('SELECT plinth_inventory.reserve(''A'', 1, 1, on_shortage => ''error'')', '23514', 'A', :'mode' || ': as an error, if the caller wants one');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', 1, 1, on_shortage => 'wait')), 'sold_out', :'mode' || ': nobody to wait for');
SELECT ok(expires_at BETWEEN clock_timestamp() + interval '14 minutes' AND clock_timestamp() + interval '16 minutes', :'mode' || ': a time to live is counted from now') FROM plinth_inventory.reserve('D', 1, 1, k(5), ttl => '15 minutes');
SELECT is((SELECT (owner, quantity, confirmed, released, finished_at)::text FROM inventory_reservation WHERE key = (SELECT key FROM plinth_inventory.reserve('D', 1, 2, owner => 'ann'))), NULL, :'mode' || ': (a statement does not see its own row)');
SELECT is((SELECT array_agg((sku, warehouse, quantity, confirmed, released, finished_at)::text) FROM inventory_reservation WHERE owner = 'ann'), '{"(D,1,2,0,0,)"}', :'mode' || ': the hold is a row, with its owner');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 4, k(6))), 'reserved', :'mode' || ': no warehouse: where it is to be had');
SELECT is((SELECT warehouse::text FROM inventory_reservation WHERE key = k(6)), '2', :'mode' || ': which was the other one');
SELECT agrees('inventory', :'mode' || ': reserve()');

-- Bad input.
CREATE TEMP TABLE state AS SELECT whole('inventory') AS whole;
SELECT refused(stmt, want, pattern, format('%s: %s', :'mode', stmt)) FROM (VALUES
	('SELECT plinth_inventory.reserve(''D'', 1, 0)', '22023', '0'), ('SELECT plinth_inventory.reserve(''D'', 1, -4)', '22023', '-4'), ('SELECT plinth_inventory.reserve(''D'', 1, NULL)', '2200[34]|22023', ''),
	('SELECT plinth_inventory.reserve(''D'', 1, 1, NULL)', '22004|22023', 'key'), ('SELECT plinth_inventory.reserve(NULL, 1, 1)', '22004|22023', 'sku|SKU'), ('SELECT plinth_inventory.reserve(''Z'', 1, 1)', 'P0002', 'Z'),
	('SELECT plinth_inventory.reserve(''D'', 9, 1)', 'P0002', '9'), ('SELECT plinth_inventory.reserve(''Z'', NULL::text, 1)', 'P0002', 'Z'), ('SELECT plinth_inventory.reserve(''D'', ''one'', 1)', '22P02|P0002', 'one'),
	('SELECT plinth_inventory.reserve(''D'', 99999999999, 1)', '22003|P0002', '99999999999'), ('SELECT plinth_inventory.reserve(repeat(''D'', 60), 1, 1)', 'P0002|22001', ''),
	('SELECT plinth_inventory.reserve(''D'', 1, 1, on_shortage => ''weep'')', '22023', 'weep'), ('SELECT plinth_inventory.reserve(''D'', 1, 1, ttl => ''-1 hour'')', '22023', ''),
	('SELECT plinth_inventory.reserve(''D'', 1, 1, ttl => ''0'')', '22023', ''), ('SELECT plinth_inventory.reserve(''D'', 1, 1, ttl => ''170000000 years'')', '22008|22023|22003', ''),
	('SELECT plinth_inventory.reserve(''D'', 1, 1, inventory => ''pg_class'')', '55000|42809', 'pg_class'),
	('SELECT * FROM plinth_inventory.reserve_order(NULL)', '22004|22023', ''), ('SELECT * FROM plinth_inventory.reserve_order(''{}'')', '22023', ''), ('SELECT * FROM plinth_inventory.reserve_order(ARRAY[NULL]::plinth_inventory.line[])', '22004|22023', ''),
	('SELECT * FROM plinth_inventory.reserve_order(ARRAY[(''D'', 1, 1, NULL), (''Z'', 1, 1, NULL)]::plinth_inventory.line[])', 'P0002', 'Z'), ('SELECT * FROM plinth_inventory.reserve_order(ARRAY[(''D'', 1, 1, NULL), (''D'', 1, 0, NULL)]::plinth_inventory.line[])', '22023', '0'),
	('SELECT * FROM plinth_inventory.reserve_order(ARRAY[(''D'', 1, 1, NULL), (NULL, 1, 1, NULL)]::plinth_inventory.line[])', '22004|22023', ''), ('SELECT * FROM plinth_inventory.reserve_order(ARRAY[(''D'', 1, 1, NULL), (''D'', 1, NULL, NULL)]::plinth_inventory.line[])', '22004|22023', ''),
	('SELECT * FROM plinth_inventory.reserve_order(ARRAY[(''D'', 1, 2147483647, NULL), (''D'', 1, 2147483647, NULL)]::plinth_inventory.line[])', '22003', ''),
	('SELECT * FROM plinth_inventory.reserve_order(ARRAY[(''D'', 1, 1, NULL)]::plinth_inventory.line[], strategy => ''cheapest'')', '22023', 'cheapest'), ('SELECT * FROM plinth_inventory.reserve_order(ARRAY[(''D'', 1, 1, NULL)]::plinth_inventory.line[], key => NULL)', '22004|22023', 'key'),
	('SELECT * FROM plinth_inventory.replace_hold(NULL, ARRAY[(''D'', 1, 1, NULL)]::plinth_inventory.line[])', '22004|22023', 'owner'),
	('SELECT plinth_inventory.confirm(NULL)', '22004|22023', 'key'), ('SELECT plinth_inventory.confirm(k(5), 0)', '22023', '0'), ('SELECT plinth_inventory.confirm(k(5), -1)', '22023', '-1'), ('SELECT plinth_inventory.confirm(k(5), 2)', '22023|22003', '2'),
	('SELECT plinth_inventory.release(NULL)', '22004|22023', 'key'), ('SELECT plinth_inventory.release(k(5), 0)', '22023', '0'), ('SELECT plinth_inventory.release(k(5), 2)', '22023|22003', '2'), ('SELECT plinth_inventory.extend(NULL, ''1 hour'')', '22004|22023', 'key'),
	('SELECT plinth_inventory.extend(k(5), ''-1 hour'')', '22023', ''), ('SELECT plinth_inventory.expire(0)', '22023', '0'), ('SELECT plinth_inventory.expire(-1)', '22023', '-1'),
	('SELECT plinth_inventory.receive(''D'', 1, 0)', '22023', '0'), ('SELECT plinth_inventory.receive(''D'', 1, -5)', '22023', '-5'), ('SELECT plinth_inventory.receive(''Z'', 1, 5)', 'P0002', 'Z'), ('SELECT plinth_inventory.receive(''D'', 1, 2147483647)', '22003', ''),
	('SELECT plinth_inventory.receive(''D'', NULL::text, 1)', '22004|22023|P0002', ''), ('SELECT plinth_inventory.adjust(''D'', 1, -1)', '22023', 'negative'), ('SELECT plinth_inventory.adjust(''Z'', 1, 1)', 'P0002', 'Z'), ('SELECT plinth_inventory.adjust(''D'', 1, NULL)', '22004|22023', ''),
	('SELECT plinth_inventory.transfer(''D'', 1, 9, 1)', 'P0002', '9'), ('SELECT plinth_inventory.transfer(''D'', 9, 1, 1)', 'P0002', '9'), ('SELECT plinth_inventory.transfer(''D'', 1, 2, 0)', '22023', '0'), ('SELECT plinth_inventory.transfer(''D'', 1, 1, 1)', '22023', ''),
	('SELECT plinth_inventory.limits(''D'', 1, -1, 0)', '22023', ''), ('SELECT plinth_inventory.limits(''D'', 1, 0, -1)', '22023', ''), ('SELECT plinth_inventory.limits(''Z'', 1, 0, 1)', 'P0002', 'Z'),
	('SELECT plinth_inventory.set_mode(''D'', 1, ''turbo'')', '22023', 'turbo'), ('SELECT plinth_inventory.set_mode(''D'', 1, NULL)', '22023|22004', ''), ('SELECT plinth_inventory.set_mode(''Z'', 1, ''row'')', 'P0002', 'Z')) v (stmt, want, pattern);
SELECT is(whole('inventory'), whole, :'mode' || ': and nothing has changed') FROM state;
SELECT refused('SELECT plinth_inventory.available(''Z'', 1)', 'P0002|ok', '', :'mode' || ': available() of a SKU that is not there is an error, or no number');
SELECT is((SELECT array_agg(f || ' ' || r.outcome ORDER BY f) FROM (SELECT 'confirm' AS f, outcome FROM plinth_inventory.confirm(k(999)) UNION ALL SELECT 'release', outcome FROM plinth_inventory.release(k(999)) UNION ALL SELECT 'extend', outcome FROM plinth_inventory.extend(k(999), '1 hour')) r),
	'{"confirm not_found","extend not_found","release not_found"}', :'mode' || ': a key that nobody has used is not found');
SELECT is(whole('inventory'), whole, :'mode' || ': and that changes nothing either') FROM state;
DROP TABLE state;

----------------------------------------------------------------------------------------------------------------------
-- The key
----------------------------------------------------------------------------------------------------------------------

SELECT is((SELECT (outcome, quantity, replayed)::text FROM plinth_inventory.reserve('B', 1, 2, k(10), owner => 'eve')), '(reserved,2,f)', :'mode' || ': once');
SELECT is((SELECT (outcome, quantity, replayed)::text FROM plinth_inventory.reserve('B', 1, 2, k(10), owner => 'eve')), '(reserved,2,t)', :'mode' || ': the same again is the first answer');
SELECT is((SELECT (outcome, quantity, replayed)::text FROM plinth_inventory.reserve('B', '1', 2, k(10), ttl => '3 days', owner => 'eve', on_shortage => 'wait')), '(reserved,2,t)', :'mode' || ': also with another time to live');
SELECT is(plinth_inventory.available('B', 1), 3::bigint, :'mode' || ': and takes nothing');
SELECT refused(stmt, '23505', '', format('%s: the key with another content: %s', :'mode', stmt)) FROM unnest(ARRAY[
	'SELECT plinth_inventory.reserve(''B'', 1, 3, k(10), owner => ''eve'')', 'SELECT plinth_inventory.reserve(''D'', 1, 2, k(10), owner => ''eve'')', 'SELECT plinth_inventory.reserve(''B'', 1, 2, k(10))',
	'SELECT plinth_inventory.reserve(''B'', 1, 2, k(10), owner => ''adam'')', 'SELECT plinth_inventory.reserve(''B'', 1, 2, k(10), owner => ''eve'', expected_version => 0)', 'SELECT plinth_inventory.reserve(''B'', NULL::text, 2, k(10), owner => ''eve'')',
	'SELECT plinth_inventory.reserve_order(ARRAY[(''B'', 1, 2, NULL), (''D'', 1, 1, NULL)]::plinth_inventory.line[], k(10), owner => ''eve'')',
	-- also where it would be sold out, or have another version
	'SELECT plinth_inventory.reserve(''B'', 1, 2000, k(10), owner => ''eve'')', 'SELECT plinth_inventory.reserve(''B'', 1, 2, k(10), owner => ''eve'', expected_version => 987)']) stmt;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('B', 1, 3)), 'reserved', :'mode' || ': the rest goes');
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.reserve('B', 1, 2, k(10), owner => 'eve')), '(reserved,t)', :'mode' || ': with nothing left, the first answer still, not "sold out"');
SELECT is((SELECT outcome FROM plinth_inventory.release(k(10))), 'released', :'mode' || ': (given back)');
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.reserve('B', 1, 2, k(10), owner => 'eve')), '(reserved,t)', :'mode' || ': what has become of the hold does not matter');
SELECT is(plinth_inventory.available('B', 1), 2::bigint, :'mode' || ': nothing was taken again');
BEGIN;
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.reserve('D', 1, 1, k(11))), '(reserved,f)', :'mode' || ': a key in a transaction');
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.reserve('D', 1, 1, k(11))), '(reserved,t)', :'mode' || ': which asks again');
SAVEPOINT s;
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.reserve('D', 1, 1, k(12))), '(reserved,f)', :'mode' || ': another one after a savepoint');
ROLLBACK TO s;
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.reserve('D', 2, 2, k(12))), '(reserved,f)', :'mode' || ': which is undone, and the key is free');
ROLLBACK;
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.reserve('D', 2, 7, k(11))), '(reserved,f)', :'mode' || ': as it is after a rollback');
SELECT is((SELECT array_agg((sku, warehouse, quantity, replayed)::text) FROM (SELECT * FROM plinth_inventory.reserve_order(ARRAY[('D', 2, 1, NULL), ('D', 3, 2, NULL)]::plinth_inventory.line[], k(13)) UNION ALL SELECT * FROM plinth_inventory.reserve_order(ARRAY[('D', 2, 1, NULL), ('D', 3, 2, NULL)]::plinth_inventory.line[], k(13))) x),
	'{"(D,2,1,f)","(D,3,2,f)","(D,2,1,t)","(D,3,2,t)"}', :'mode' || ': an order is replayed line by line');
-- What the strategy chose then is the answer, wherever the units are now.
SELECT is((SELECT warehouse FROM plinth_inventory.reserve_order(ARRAY[('D', NULL, 10, NULL)]::plinth_inventory.line[], k(14), strategy => 'most_stock')), '1', :'mode' || ': chosen');
SELECT is((SELECT outcome FROM plinth_inventory.adjust('D', 1, 30)), 'adjusted', :'mode' || ': (less there now)');
SELECT is((SELECT (warehouse, quantity, replayed)::text FROM plinth_inventory.reserve_order(ARRAY[('D', NULL, 10, NULL)]::plinth_inventory.line[], k(14), strategy => 'most_stock')), '(1,10,t)', :'mode' || ': and chosen for ever');
SELECT agrees('inventory', :'mode' || ': keys');

----------------------------------------------------------------------------------------------------------------------
-- expected_version
----------------------------------------------------------------------------------------------------------------------

SELECT version AS v FROM inventory WHERE (sku, warehouse_id) = ('D', 3) \gset
SELECT is((SELECT (outcome, version)::text FROM plinth_inventory.reserve('D', 3, 1, k(20), expected_version => :v + 5)), format('(version_conflict,%s)', :v), :'mode' || ': another version is a conflict, and the answer has the current one');
SELECT is((SELECT (quantity, reserved, version)::text FROM inventory WHERE (sku, warehouse_id) = ('D', 3)), (SELECT (quantity, reserved, :v)::text FROM inventory WHERE (sku, warehouse_id) = ('D', 3)), :'mode' || ': nothing has changed');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('D', 3, 1, k(20), expected_version => :v)), 'reserved', :'mode' || ': the right version');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('D', 3, 1, k(21), expected_version => :v)), CASE :'mode' WHEN 'row' THEN 'version_conflict' ELSE 'reserved' END, :'mode' || ': a reservation is a new version in mode row, and commutes in mode escrow');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('D', 3, 1, k(20), expected_version => :v)), 'reserved', :'mode' || ': a replay has no conflict with its own change');
SELECT version AS v FROM inventory WHERE (sku, warehouse_id) = ('D', 3) \gset
SELECT is((SELECT (outcome, version > :v)::text FROM plinth_inventory.adjust('D', 3, 20, expected_version => :v, reason => 'counted')), '(adjusted,t)', :'mode' || ': a count is a new version in either');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('D', 3, 1, k(22), expected_version => :v)), 'version_conflict', :'mode' || ': after which the old one is in conflict');
SELECT is((SELECT outcome FROM plinth_inventory.adjust('D', 3, 99, expected_version => :v)), 'version_conflict', :'mode' || ': also for a second count');
SELECT version AS v FROM inventory WHERE (sku, warehouse_id) = ('D', 3) \gset
SELECT plinth_inventory.limits('D', 3, 0, 1) \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.reserve('D', 3, 1, k(22), expected_version => :v)), 'version_conflict', :'mode' || ': and after other limits');
SELECT version AS v FROM inventory WHERE (sku, warehouse_id) = ('D', 3) \gset
SELECT is((SELECT array_agg(DISTINCT outcome) FROM plinth_inventory.reserve_order(ARRAY[('D', 2, 1, NULL), ('D', 3, 1, :v + 1)]::plinth_inventory.line[], k(23))) @> '{version_conflict}', true, :'mode' || ': a line of an order may expect a version');
SELECT is((SELECT count(*) FROM inventory_reservation WHERE key = k(23)), 0::bigint, :'mode' || ': then no line is reserved');
SELECT is((SELECT array_agg(DISTINCT outcome) FROM plinth_inventory.reserve_order(ARRAY[('D', 2, 1, NULL), ('D', 3, 1, :v)]::plinth_inventory.line[], k(23))), '{reserved}', :'mode' || ': with the right one they are');
SELECT agrees('inventory', :'mode' || ': versions');

----------------------------------------------------------------------------------------------------------------------
-- confirm(), release(), extend(), expire()
----------------------------------------------------------------------------------------------------------------------

SELECT plinth_inventory.receive('C', 1, 20, 'delivery') AS on_hand \gset
SELECT is(:on_hand, 20, :'mode' || ': receive() says how many are on hand');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('C', 1, 5, k(30), ttl => '1 hour')), 'reserved', :'mode' || ': (a hold of 5)');
SELECT is((SELECT (outcome, quantity, sku, warehouse)::text FROM plinth_inventory.confirm(k(30), 2)), '(confirmed,2,C,1)', :'mode' || ': 2 of 5 are sold');
SELECT is((SELECT array_agg((quantity, confirmed, released, finished_at IS NULL)::text) FROM inventory_reservation WHERE key = k(30)), '{"(5,2,0,t)"}', :'mode' || ': and 3 held');
SELECT is(plinth_inventory.available('C', 1), 15::bigint, :'mode' || ': a sale changes nothing about what is available');
SELECT is((SELECT quantity::bigint FROM inventory_available WHERE (sku, warehouse) = ('C', 1)), 18::bigint, :'mode' || ': but what is on hand');
SELECT is((SELECT (outcome, quantity)::text FROM plinth_inventory.release(k(30), 1)), '(released,1)', :'mode' || ': one given back');
SELECT is(plinth_inventory.available('C', 1), 16::bigint, :'mode' || ': is free');
SELECT refused('SELECT plinth_inventory.confirm(k(30), 3)', '22023|22003', '', :'mode' || ': no more than what is still held');
SELECT is((SELECT (outcome, quantity)::text FROM plinth_inventory.confirm(k(30))), '(confirmed,2)', :'mode' || ': the rest');
SELECT is((SELECT array_agg((quantity, confirmed, released, finished_at IS NULL)::text) FROM inventory_reservation WHERE key = k(30)), '{"(5,4,1,f)"}', :'mode' || ': finished');
SELECT matches((SELECT outcome FROM plinth_inventory.confirm(k(30))), '^already_', :'mode' || ': nothing is sold twice');
SELECT matches((SELECT outcome FROM plinth_inventory.release(k(30))), '^already_', :'mode' || ': nor given back');
SELECT matches((SELECT outcome FROM plinth_inventory.extend(k(30), '1 hour')), '^already_', :'mode' || ': nor longer held');
SELECT is((SELECT quantity::bigint FROM inventory_available WHERE (sku, warehouse) = ('C', 1)), 16::bigint, :'mode' || ': 4 have left the stock');
SELECT is((SELECT string_agg(f || ' ' || r.outcome, ', ' ORDER BY n) FROM (SELECT 1 AS n, 'reserve' AS f, outcome FROM plinth_inventory.reserve('C', 1, 1, k(31)) UNION ALL SELECT 2, 'confirm', outcome FROM plinth_inventory.confirm(k(31))
	UNION ALL SELECT 3, 'confirm', outcome FROM plinth_inventory.confirm(k(31)) UNION ALL SELECT 4, 'release', outcome FROM plinth_inventory.release(k(31)) UNION ALL SELECT 5, 'reserve', outcome FROM plinth_inventory.reserve('C', 1, 1, k(32))
	UNION ALL SELECT 6, 'release', outcome FROM plinth_inventory.release(k(32)) UNION ALL SELECT 7, 'release', outcome FROM plinth_inventory.release(k(32)) UNION ALL SELECT 8, 'confirm', outcome FROM plinth_inventory.confirm(k(32))) r),
	'reserve reserved, confirm confirmed, confirm already_confirmed, release already_confirmed, reserve reserved, release released, release already_released, confirm already_released', :'mode' || ': the second is told what the first was, in one statement too');
-- All lines of a key.
SELECT is((SELECT array_agg(DISTINCT outcome) FROM plinth_inventory.reserve_order(ARRAY[('C', 1, 1, NULL), ('D', 2, 2, NULL)]::plinth_inventory.line[], k(33))), '{reserved}', :'mode' || ': (two lines)');
SELECT is((SELECT array_agg((sku, quantity, outcome)::text ORDER BY sku) FROM plinth_inventory.confirm(k(33))), '{"(C,1,confirmed)","(D,2,confirmed)"}', :'mode' || ': confirm() sells all lines of a key');
-- Time.
SELECT plinth_inventory.available('C', 1) AS free \gset
SELECT is((SELECT outcome FROM plinth_inventory.reserve('C', 1, 3, k(34), ttl => '1 microsecond')), 'reserved', :'mode' || ': a short hold');
SELECT is(plinth_inventory.available('C', 1), :free::bigint, :'mode' || ': overdue units are free, swept or not');
SELECT is((SELECT available::bigint FROM inventory_available WHERE (sku, warehouse) = ('C', 1)), :free::bigint, :'mode' || ': in the view too');
SELECT is((SELECT count(*) FROM inventory_reservation WHERE key = k(34) AND finished_at IS NULL), 1::bigint, :'mode' || ': (it is not swept)');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(34))), 'expired', :'mode' || ': an overdue hold is not sold');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(34), 1)), 'expired', :'mode' || ': nor a part of it');
SELECT is((SELECT outcome FROM plinth_inventory.extend(k(34), '1 hour')), 'expired', :'mode' || ': extend() does not revive it');
SELECT is((SELECT outcome FROM plinth_inventory.release(k(34))), 'expired', :'mode' || ': nor is it given back twice');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('C', 1, 3, k(34))), 'reserved', :'mode' || ': its key says what it said first');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(34))), 'expired', :'mode' || ': a replay does not revive it either');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('C', 1, 3, k(36), ttl => '1 microsecond')), 'reserved', :'mode' || ': another one');
SELECT is(plinth_inventory.available('C', 1), :free::bigint, :'mode' || ': free as well');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('C', 1, (:free)::int, k(35))), 'reserved', :'mode' || ': reserve() takes overdue units before it says that there are none');
SELECT is((SELECT finished_at IS NOT NULL AND released = 3 FROM inventory_reservation WHERE key = k(36)), true, :'mode' || ': they were given back for that');
SELECT is((SELECT array_agg(outcome) FROM plinth_inventory.confirm(k(n))), '{expired}', format('%s: the outcome is the same after the sweep (%s)', :'mode', n)) FROM unnest('{34,36}'::int[]) n;
SELECT is((SELECT outcome FROM plinth_inventory.release(k(35))), 'released', :'mode' || ': (all back)');
SELECT is((SELECT count(*) FROM generate_series(1, 5) g, plinth_inventory.reserve('C', 1, 1, k(40 + g), ttl => '1 microsecond') r WHERE r.outcome = 'reserved'), 5::bigint, :'mode' || ': (five overdue holds)');
SELECT is(ARRAY[plinth_inventory.expire(3), plinth_inventory.expire(3), plinth_inventory.expire(3)], '{3,2,0}', :'mode' || ': expire() goes in batches and says how many');
SELECT is(plinth_inventory.expire(), 0::bigint, :'mode' || ': nothing more');
SELECT is((SELECT (outcome, expires_at > clock_timestamp() + interval '50 minutes')::text FROM plinth_inventory.reserve('C', 1, 1, k(46), ttl => '1 hour')), '(reserved,t)', :'mode' || ': an hour');
SELECT is((SELECT (outcome, expires_at > clock_timestamp() + interval '3 hours')::text FROM plinth_inventory.extend(k(46), '4 hours')), '(extended,t)', :'mode' || ': four, from now');
SELECT is((SELECT expires_at > clock_timestamp() + interval '3 hours' FROM inventory_reservation WHERE key = k(46)), true, :'mode' || ': and so says the row');
SELECT is(plinth_inventory.expire(), 0::bigint, :'mode' || ': not overdue');
SELECT is((SELECT outcome FROM plinth_inventory.extend(k(46), '1 microsecond')), 'extended', :'mode' || ': or hardly any time');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(46))), 'expired', :'mode' || ': after which it is too late');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('C', 1, 2, k(47), ttl => '1 hour')), 'reserved', :'mode' || ': two');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(47), 1)), 'confirmed', :'mode' || ': one sold');
SELECT is((SELECT outcome FROM plinth_inventory.extend(k(47), '1 microsecond')), 'extended', :'mode' || ': the other too late');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(47))), 'expired', :'mode' || ': so it expires');
SELECT cmp_ok(plinth_inventory.expire(), '<=', 2::bigint, :'mode' || ': both are swept');
SELECT is((SELECT count(*) FROM inventory_reservation WHERE finished_at IS NULL AND expires_at < clock_timestamp()), 0::bigint, :'mode' || ': or have been');
SELECT is((SELECT (confirmed, released)::text FROM inventory_reservation WHERE key = k(47)), '(1,1)', :'mode' || ': what was sold stays sold');
SELECT agrees('inventory', :'mode' || ': holds and their ends');

----------------------------------------------------------------------------------------------------------------------
-- Own credit: who frees units may use them at once, at its level
----------------------------------------------------------------------------------------------------------------------

INSERT INTO inventory VALUES ('own', 1, 5);
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 5, k(50))), 'reserved', :'mode' || ': (all)');
BEGIN;
SELECT is((SELECT outcome FROM plinth_inventory.release(k(50))), 'released', :'mode' || ': given back');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 5, k(51))), 'reserved', :'mode' || ': and taken again in the same transaction');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 1, k(52))), 'sold_out', :'mode' || ': once');
ROLLBACK;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 1, k(52))), 'sold_out', :'mode' || ': the rollback has put everything back');
SELECT is((SELECT finished_at IS NULL FROM inventory_reservation WHERE key = k(50)), true, :'mode' || ': the hold too');
BEGIN;
SAVEPOINT a;
SELECT is((SELECT outcome FROM plinth_inventory.release(k(50), 3)), 'released', :'mode' || ': given back after a savepoint');
ROLLBACK TO a;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 1, k(52))), 'sold_out', :'mode' || ': and undone');
SAVEPOINT b;
SELECT is((SELECT outcome FROM plinth_inventory.release(k(50), 3)), 'released', :'mode' || ': again');
RELEASE b;
SAVEPOINT c;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 3, k(53))), 'reserved', :'mode' || ': taken after another savepoint');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 1, k(54))), 'sold_out', :'mode' || ': once');
ROLLBACK TO c;
SELECT is(plinth_inventory.available('own', 1), 3::bigint, :'mode' || ': undone, they are there again');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 2, k(55))), 'reserved', :'mode' || ': and can be taken');
SAVEPOINT d;
SELECT is((SELECT outcome FROM plinth_inventory.release(k(55))), 'released', :'mode' || ': what this transaction has taken it gives back');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 3, k(56))), 'reserved', :'mode' || ': and takes');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 1, k(57))), 'sold_out', :'mode' || ': to the last');
ROLLBACK TO d;
SELECT is(plinth_inventory.available('own', 1), 1::bigint, :'mode' || ': one level back');
COMMIT;
SELECT is(plinth_inventory.available('own', 1), 1::bigint, :'mode' || ': so it stays');
SELECT agrees('inventory', :'mode' || ': own credit');
BEGIN;
SELECT is(plinth_inventory.receive('own', 1, 4), 9::bigint, :'mode' || ': received');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 5, k(58))), 'reserved', :'mode' || ': and reserved in the same transaction');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(58))), 'confirmed', :'mode' || ': and sold');
SELECT is((SELECT quantity::bigint FROM inventory_available WHERE sku = 'own'), 4::bigint, :'mode' || ': as the view says');
COMMIT;
BEGIN;
SELECT is((SELECT outcome FROM plinth_inventory.extend(k(55), '1 microsecond')), 'extended', :'mode' || ': (to be overdue)');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('own', 1, 2, k(59))), 'reserved', :'mode' || ': overdue units are taken in the transaction that expires them');
ROLLBACK;
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(55))), 'confirmed', :'mode' || ': which has not happened');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(50))), 'confirmed', :'mode' || ': (all sold)');
SELECT is((SELECT quantity::bigint FROM inventory_available WHERE sku = 'own'), 0::bigint, :'mode' || ': nothing left');
SELECT agrees('inventory', :'mode' || ': received and sold');
-- An exception handler is a savepoint.
INSERT INTO inventory VALUES ('caught', 1, 3);
DO $$ BEGIN
	FOR i IN 1..20 LOOP
		BEGIN
			PERFORM plinth_inventory.reserve('caught', 1, 2);
			PERFORM 1 / 0;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
	IF (plinth_inventory.reserve('caught', 1, 3, '00000000-0000-0000-0000-0000000000aa')).outcome <> 'reserved' THEN
		RAISE 'units are lost';
	END IF;
	BEGIN
		PERFORM plinth_inventory.release('00000000-0000-0000-0000-0000000000aa');
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN NULL;
	END;
	IF (plinth_inventory.reserve('caught', 1, 1)).outcome <> 'sold_out' THEN
		RAISE 'units are made';
	END IF;
END $$;
SELECT is(plinth_inventory.available('caught', 1), 0::bigint, :'mode' || ': exceptions give back what was taken, and take back what was given');
SELECT agrees('inventory', :'mode' || ': exceptions');

----------------------------------------------------------------------------------------------------------------------
-- Orders
----------------------------------------------------------------------------------------------------------------------

INSERT INTO inventory VALUES ('X', 1, 10), ('X', 2, 15), ('X', 3, 3), ('Y', 1, 2), ('Y', 2, 2);
SELECT plinth_inventory.limits('X', w, priority => p) FROM (VALUES (1, 2), (2, 3), (3, 1)) v (w, p) \g /dev/null
BEGIN;
SELECT is((SELECT array_agg((sku, warehouse, quantity, outcome)::text ORDER BY sku, warehouse) FROM plinth_inventory.reserve_order(ARRAY[('X', 1, 2, NULL), ('Y', 1, 1, NULL), ('X', 1, 3, NULL)]::plinth_inventory.line[], k(60))), '{"(X,1,5,reserved)","(Y,1,1,reserved)"}', :'mode' || ': equal lines are one');
SELECT is((SELECT count(*) FROM plinth_inventory.reserve_order(ARRAY[('X', 1, 3, NULL), ('X', 1, 3, NULL)]::plinth_inventory.line[], k(61)) WHERE outcome = 'reserved'), 0::bigint, :'mode' || ': and are not tried one by one: 3 and 3 of 5 are sold out');
SELECT is(plinth_inventory.available('X', 1), 5::bigint, :'mode' || ': nothing of it is taken');
SELECT is((SELECT count(*) FROM plinth_inventory.reserve_order(ARRAY[('X', 2, 3, NULL), ('Y', 1, 2, NULL)]::plinth_inventory.line[], k(62)) WHERE outcome = 'reserved'), 0::bigint, :'mode' || ': all lines or none');
SELECT is(ARRAY(SELECT outcome FROM plinth_inventory.reserve_order(ARRAY[('X', 2, 3, NULL), ('Y', 1, 2, NULL)]::plinth_inventory.line[], k(62)) WHERE sku = 'Y'), '{sold_out}', :'mode' || ': the answer says which line');
SELECT is(plinth_inventory.available('X', 2), 15::bigint, :'mode' || ': nothing of the other line is taken');
SELECT refused('SELECT plinth_inventory.reserve_order(ARRAY[(''X'', 2, 3, NULL), (''Y'', 1, 2, NULL)]::plinth_inventory.line[], on_shortage => ''error'')', '23514', 'Y', :'mode' || ': as an error');
ROLLBACK;
-- 13 of 10 + 15 + 3: with the remainder, not with everything again
SELECT is(order_of(strategy, split, q), want, format('%s: %s of X by %s%s', :'mode', q, strategy, CASE WHEN split THEN '' ELSE ', not split' END)) FROM (VALUES
	('priority', true, 3, '3:3'), ('priority', true, 13, '1:10 3:3'), ('priority', true, 14, '1:10 2:1 3:3'), ('priority', true, 28, '1:10 2:15 3:3'), ('priority', true, 29, 'sold_out'), ('priority', false, 3, '3:3'), ('priority', false, 4, '1:4'), ('priority', false, 11, '2:11'), ('priority', false, 16, 'sold_out'),
	('most_stock', true, 3, '2:3'), ('most_stock', true, 16, '1:1 2:15'), ('most_stock', true, 27, '1:10 2:15 3:2'), ('most_stock', false, 15, '2:15'), ('most_stock', false, 16, 'sold_out'),
	('fewest_splits', true, 16, '2'), ('fewest_splits', true, 25, '2'), ('fewest_splits', true, 26, '3'), ('fewest_splits', true, 11, '2:11'), ('fewest_splits', true, 29, 'sold_out'), ('fewest_splits', false, 11, '2:11')) v (strategy, split, q, want);
-- A line that names its warehouse comes first; the others get along with what is left.
BEGIN;
SELECT is((SELECT array_agg(DISTINCT outcome) FROM plinth_inventory.reserve_order(ARRAY[('X', NULL, 18, NULL), ('X', 1, 10, NULL)]::plinth_inventory.line[], k(63))), '{reserved}', :'mode' || ': a line without a warehouse does not take the units of one that names it');
SELECT is((SELECT sum(quantity) FROM inventory_reservation WHERE key = k(63)), 28::bigint, :'mode' || ': all of it');
ROLLBACK;
BEGIN;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('X', NULL::text, 11)), 'reserved', :'mode' || ': reserve() without a warehouse takes one that has it');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('X', NULL::text, 11)), 'sold_out', :'mode' || ': and does not split');
ROLLBACK;
-- replace_hold()
SELECT is((SELECT outcome FROM plinth_inventory.reserve('Y', 1, 2, k(70), owner => 'cart')), 'reserved', :'mode' || ': a cart with all of Y in 1');
SELECT is((SELECT array_agg((sku, warehouse, quantity, outcome)::text) FROM plinth_inventory.replace_hold('cart', ARRAY[('Y', 1, 2, NULL)]::plinth_inventory.line[], k(71))), '{"(Y,1,2,reserved)"}', :'mode' || ': its own units do not stand in its way');
SELECT is((SELECT array_agg((key = k(71), quantity - confirmed - released)::text ORDER BY key) FROM inventory_reservation WHERE owner = 'cart'), '{"(f,0)","(t,2)"}', :'mode' || ': the old hold is given back');
SELECT is((SELECT array_agg(DISTINCT outcome) FROM plinth_inventory.replace_hold('cart', ARRAY[('Y', 1, 1, NULL), ('X', 3, 4, NULL)]::plinth_inventory.line[], k(72))) @> '{sold_out}', true, :'mode' || ': if the new lines are not to be had');
SELECT is((SELECT array_agg((key = k(71), quantity - confirmed - released)::text ORDER BY key) FROM inventory_reservation WHERE owner = 'cart'), '{"(f,0)","(t,2)"}', :'mode' || ': the old hold stays');
SELECT is(plinth_inventory.available('Y', 1), 0::bigint, :'mode' || ': all of it');
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.replace_hold('cart', ARRAY[('Y', 1, 2, NULL)]::plinth_inventory.line[], k(71))), '(reserved,t)', :'mode' || ': replayed');
SELECT is((SELECT array_agg((sku, quantity, outcome)::text) FROM plinth_inventory.replace_hold('cart', ARRAY[('X', 3, 3, NULL)]::plinth_inventory.line[], k(73))), '{"(X,3,reserved)"}', :'mode' || ': other lines');
SELECT is(plinth_inventory.available('Y', 1), 2::bigint, :'mode' || ': the old ones are free');
SELECT is((SELECT array_agg((sku, quantity, outcome)::text) FROM plinth_inventory.replace_hold('nobody', ARRAY[('Y', 1, 1, NULL)]::plinth_inventory.line[], k(74))), '{"(Y,1,reserved)"}', :'mode' || ': an owner who holds nothing yet');
SELECT is((SELECT count(*) FROM inventory_reservation WHERE owner = 'cart' AND quantity > confirmed + released), 1::bigint, :'mode' || ': does not touch others');
SELECT agrees('inventory', :'mode' || ': orders');

----------------------------------------------------------------------------------------------------------------------
-- Limits
----------------------------------------------------------------------------------------------------------------------

INSERT INTO inventory VALUES ('L', 1, 5);
SELECT plinth_inventory.limits('L', 1, 3, 0) \g /dev/null
SELECT is(plinth_inventory.available('L', 1), 8::bigint, :'mode' || ': three may be sold that are not there');
SELECT is((SELECT array_agg(outcome) FROM (SELECT outcome FROM plinth_inventory.reserve('L', 1, 9) UNION ALL SELECT outcome FROM plinth_inventory.reserve('L', 1, 8, k(80)) UNION ALL SELECT outcome FROM plinth_inventory.reserve('L', 1, 1)) x), '{sold_out,reserved,sold_out}', :'mode' || ': and no more');
SELECT plinth_inventory.limits('L', 1, NULL, 2) \g /dev/null
SELECT is((SELECT (oversell_limit, safety_stock)::text FROM inventory_cell WHERE sku = 'L'), '(3,2)', :'mode' || ': NULL leaves a limit as it is');
SELECT is((SELECT outcome FROM plinth_inventory.release(k(80), 3)), 'released', :'mode' || ': three back');
SELECT is(plinth_inventory.available('L', 1), 1::bigint, :'mode' || ': two are never sold');
SELECT is((SELECT array_agg(outcome) FROM (SELECT outcome FROM plinth_inventory.reserve('L', 1, 2) UNION ALL SELECT outcome FROM plinth_inventory.reserve('L', 1, 1, k(81))) x), '{sold_out,reserved}', :'mode' || ': nor by reserve()');
-- 6 held, 5 there: what is not there cannot leave, in either mode, and nothing is stuck afterwards.
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(80), 4)), 'confirmed', :'mode' || ': four of the five go');
SELECT is((run('SELECT outcome FROM plinth_inventory.confirm(k(80))')).state, 'ok', :'mode' || ': the fifth');
SELECT matches((run('SELECT outcome FROM plinth_inventory.confirm(k(81))')).state, '^23', :'mode' || ': a backorder is not sold before there is stock');
SELECT is((run('SELECT plinth_inventory.fold(''inventory'')')).state, 'ok', :'mode' || ': nothing is stuck');
SELECT is(plinth_inventory.receive('L', 1, 1), 1::bigint, :'mode' || ': now there is one');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(81))), 'confirmed', :'mode' || ': and it is sold');
-- A count may say that there is less than what was promised: then nothing is sold until there is enough.
SELECT plinth_inventory.limits('L', 1, 0, 0) \g /dev/null
SELECT is(plinth_inventory.receive('L', 1, 10), 10::bigint, :'mode' || ': (10)');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('L', 1, 8, k(82))), 'reserved', :'mode' || ': (8 of them)');
SELECT is((SELECT outcome FROM plinth_inventory.adjust('L', 1, 5, reason => 'fire')), 'adjusted', :'mode' || ': five are left');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('L', 1, 1)), 'sold_out', :'mode' || ': fewer than were promised: sold out');
SELECT is((SELECT outcome FROM plinth_inventory.release(k(82), 2)), 'released', :'mode' || ': two given back');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('L', 1, 1)), 'sold_out', :'mode' || ': still too few');
SELECT is(plinth_inventory.receive('L', 1, 2), 7::bigint, :'mode' || ': two more');
SELECT is((SELECT array_agg(outcome) FROM (SELECT outcome FROM plinth_inventory.reserve('L', 1, 2) UNION ALL SELECT outcome FROM plinth_inventory.reserve('L', 1, 1, k(83))) x), '{sold_out,reserved}', :'mode' || ': one is free');
SELECT is((SELECT (kind, quantity, reason)::text FROM inventory_movement WHERE sku = 'L' AND reason = 'fire'), (SELECT (kind, -5, 'fire')::text FROM inventory_movement WHERE sku = 'L' AND reason = 'fire'), :'mode' || ': the ledger has the difference and the reason');
SELECT agrees('inventory', :'mode' || ': limits', false);
-- A count far below what has come in since the row was last brought up to date, and far above what has gone.
INSERT INTO inventory VALUES ('N', 1, 2);
SELECT is(plinth_inventory.receive('N', 1, 30), 32::bigint, :'mode' || ': many more');
SELECT is((run('SELECT plinth_inventory.adjust(''N'', 1, 3)')).state, 'ok', :'mode' || ': most of them were not there');
SELECT is((SELECT (quantity, available)::text FROM inventory_available WHERE sku = 'N'), '(3,3)', :'mode' || ': as counted');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('N', 1, 3, k(84))), 'reserved', :'mode' || ': reserved');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(84))), 'confirmed', :'mode' || ': and sold');
SELECT is(state_of('SELECT outcome FROM plinth_inventory.adjust(''N'', 1, 7)'), 'adjusted', :'mode' || ': counted again');
SELECT is((SELECT (quantity, available)::text FROM inventory_available WHERE sku = 'N'), '(7,7)', :'mode' || ': seven');
SELECT agrees('inventory', :'mode' || ': counts', false);
SELECT is(state_of('SELECT wrong_when_folded(''inventory'', false)'), NULL, :'mode' || ': the stock rows too');
-- A promise cannot be moved to another warehouse.
INSERT INTO inventory VALUES ('O', 1, 1), ('O', 2, 0);
SELECT plinth_inventory.limits('O', 1, 5) \g /dev/null
SELECT isnt(state_of('SELECT outcome FROM plinth_inventory.transfer(''O'', 1, 2, 4)'), 'transferred', :'mode' || ': units that may be oversold are not there to be moved');
SELECT is((SELECT array_agg(quantity ORDER BY warehouse) FROM inventory_available WHERE sku = 'O'), '{1,0}', :'mode' || ': nothing has moved');
SELECT is((run('SELECT plinth_inventory.fold(''inventory'')')).state, 'ok', :'mode' || ': nor is anything stuck');
-- transfer()
INSERT INTO inventory VALUES ('T', 1, 5), ('T', 2, 0);
SELECT is((SELECT array_agg(outcome) FROM (SELECT outcome FROM plinth_inventory.reserve('T', 1, 2) UNION ALL SELECT outcome FROM plinth_inventory.transfer('T', 1, 2, 4) UNION ALL SELECT outcome FROM plinth_inventory.transfer('T', 1, 2, 3)) x), '{reserved,sold_out,transferred}', :'mode' || ': only free units move');
SELECT is((SELECT array_agg((warehouse, quantity, available)::text ORDER BY warehouse) FROM inventory_available WHERE sku = 'T'), '{"(1,2,0)","(2,3,3)"}', :'mode' || ': from one warehouse to the other');
SELECT agrees('inventory', :'mode' || ': transfer()', false);

----------------------------------------------------------------------------------------------------------------------
-- Raw SQL
----------------------------------------------------------------------------------------------------------------------

INSERT INTO inventory VALUES ('R', 1, 10), ('R', 2, 10);
SELECT is((SELECT outcome FROM plinth_inventory.reserve('R', 1, 4, k(90))), 'reserved', :'mode' || ': (6 are free)');
SELECT is((run('UPDATE inventory SET reserved = reserved + 5, version = version + 1 WHERE (sku, warehouse_id) = (''R'', 1)')).state, 'ok', :'mode' || ': old code takes units');
SELECT is(plinth_inventory.available('R', 1), 1::bigint, :'mode' || ': of the same stock');
SELECT refused('UPDATE inventory SET reserved = reserved + 2 WHERE (sku, warehouse_id) = (''R'', 1)', '23514', 'R', :'mode' || ': but not what is not there');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('R', 1, 2)), 'sold_out', :'mode' || ': nor do we');
SELECT is(plinth_inventory.fold('inventory') >= 0, true, :'mode' || ': (the row is up to date)');
SELECT is((run('UPDATE inventory SET reserved = reserved - 5, quantity = quantity - 5 WHERE (sku, warehouse_id) = (''R'', 1)')).state, 'ok', :'mode' || ': old code sells what it took');
SELECT is((SELECT (quantity, available)::text FROM inventory_available WHERE (sku, warehouse) = ('R', 1)), '(5,1)', :'mode' || ': it has left the stock');
SELECT refused('UPDATE inventory SET reserved = reserved - 1 WHERE (sku, warehouse_id) = (''R'', 1)', '23514', 'R', :'mode' || ': but cannot give back what a reservation holds');
SELECT is(plinth_inventory.available('R', 1), 1::bigint, :'mode' || ': nor has it');
SELECT is((run('UPDATE inventory SET quantity = quantity + 3 WHERE sku = ''R''')).state, 'ok', :'mode' || ': several rows');
SELECT is(ARRAY[plinth_inventory.available('R', 1), plinth_inventory.available('R', 2)], '{4,13}', :'mode' || ': each has its part');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('R', 1, 4, k(91))), 'reserved', :'mode' || ': what came in can be taken');
SELECT refused('UPDATE inventory SET quantity = quantity - 9 WHERE (sku, warehouse_id) = (''R'', 2); UPDATE inventory SET quantity = quantity - 1 WHERE (sku, warehouse_id) = (''R'', 1)', '23514', 'R', :'mode' || ': stock that is promised does not just go');
SELECT is(ARRAY[plinth_inventory.available('R', 1), plinth_inventory.available('R', 2)], '{0,13}', :'mode' || ': nor did the other statement''s');
BEGIN;
SELECT is((run('UPDATE inventory SET reserved = reserved + 13 WHERE (sku, warehouse_id) = (''R'', 2)')).state, 'ok', :'mode' || ': taken in a transaction');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('R', 2, 1)), 'sold_out', :'mode' || ': is taken');
ROLLBACK;
SELECT is(plinth_inventory.available('R', 2), 13::bigint, :'mode' || ': and comes back');
BEGIN;
UPDATE inventory SET quantity = quantity + 5 WHERE (sku, warehouse_id) = ('R', 1);
SELECT is((SELECT outcome FROM plinth_inventory.reserve('R', 1, 5)), 'reserved', :'mode' || ': a restock is used in its own transaction');
ROLLBACK;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('R', 1, 1)), 'sold_out', :'mode' || ': and not after it was undone');
-- INSERT, COPY, ON CONFLICT, MERGE
COPY inventory FROM stdin;
R	3	7	2	0
R	4	1	0	0
\.
SELECT is(ARRAY[plinth_inventory.available('R', 3), plinth_inventory.available('R', 4)], '{5,1}', :'mode' || ': COPY brings stock, units that are reserved with it');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('R', 3, 5, k(92))), 'reserved', :'mode' || ': which can be reserved');
INSERT INTO inventory VALUES ('R', 3, 2), ('R', 5, 2) ON CONFLICT (sku, warehouse_id) DO UPDATE SET quantity = inventory.quantity + excluded.quantity;
MERGE INTO inventory USING (VALUES (4, 2), (6, 2)) v (w, q) ON (sku, warehouse_id) = ('R', w) WHEN MATCHED THEN UPDATE SET quantity = quantity + q WHEN NOT MATCHED THEN INSERT VALUES ('R', w, q);
SELECT is(ARRAY(SELECT available::bigint FROM inventory_available WHERE sku = 'R' AND warehouse > 2 ORDER BY warehouse), '{2,3,2,2}', :'mode' || ': so do ON CONFLICT and MERGE');
SELECT matches((run('INSERT INTO inventory VALUES (''R'', 7, 1, 2)')).state, '^(ok|23514)$', :'mode' || ': a row that has promised more than it has');
-- DELETE, and keys that change: what has a counter is put into mode row first.
SELECT ok(state = 'ok' OR :'mode' = 'escrow' AND state ~ '^55' AND hint ~ 'set_mode', :'mode' || ': a row of which nothing is held goes, or the error says how') FROM run('DELETE FROM inventory WHERE (sku, warehouse_id) = (''R'', 6)');
SELECT plinth_inventory.set_mode('R', w, 'row') FROM generate_series(1, 6) w WHERE EXISTS (SELECT FROM inventory WHERE (sku, warehouse_id) = ('R', w)) \g /dev/null
SELECT is((run('DELETE FROM inventory WHERE (sku, warehouse_id) = (''R'', 6)')).state, 'ok', :'mode' || ': now it goes');
SELECT refused('SELECT plinth_inventory.reserve(''R'', 6, 1)', 'P0002', '', :'mode' || ': and is gone');
SELECT ok(state <> 'ok' AND hint IS NOT NULL, :'mode' || ': one with holds does not') FROM run('DELETE FROM inventory WHERE (sku, warehouse_id) = (''R'', 3)');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(92), 1)), 'confirmed', :'mode' || ': they can still be sold');
INSERT INTO inventory VALUES ('R', 6, 4);
SELECT is(plinth_inventory.available('R', 6), 4::bigint, :'mode' || ': the row again, without what was');
SELECT plinth_inventory.set_mode('R', 6, 'row') \g /dev/null
SELECT is((run('DELETE FROM inventory WHERE (sku, warehouse_id) = (''R'', 6); INSERT INTO inventory VALUES (''R'', 6, 3)')).state, 'ok', :'mode' || ': both in one transaction');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('R', 6, 4)), 'sold_out', :'mode' || ': 3, not 4');
SELECT agrees('inventory', :'mode' || ': rows that come and go', false);
SELECT plinth_inventory.set_mode('R', 6, 'row') \g /dev/null
SELECT is((run('UPDATE inventory SET warehouse_id = 66 WHERE (sku, warehouse_id) = (''R'', 6)')).state, 'ok', :'mode' || ': a row may move to another key');
SELECT isnt((run('UPDATE inventory SET sku = ''RR'' WHERE (sku, warehouse_id) = (''R'', 1)')).state, 'ok', :'mode' || ': one with holds does not');
SELECT is((SELECT array_agg((warehouse, available)::text) FROM inventory_available WHERE sku = 'R' AND warehouse IN (6, 66)), '{"(66,3)"}', :'mode' || ': its units are where it is');
SELECT agrees('inventory', :'mode' || ': keys of rows', false);
-- The companions are not for hands.
SELECT isnt((run(stmt)).state, 'ok', format('%s: refused: %s', :'mode', stmt)) FROM unnest(ARRAY['DELETE FROM inventory_movement', 'UPDATE inventory_movement SET quantity = 0', 'UPDATE inventory_reservation SET quantity = quantity + 1', 'DELETE FROM inventory_reservation', 'TRUNCATE inventory_reservation',
	'TRUNCATE inventory_movement', 'UPDATE inventory_reservation SET confirmed = 1', 'UPDATE inventory_cell SET oversell_limit = 1000', 'DELETE FROM inventory_cell', 'UPDATE inventory_reservation SET sku = ''zz''', 'UPDATE inventory_cell SET mode = CASE mode WHEN ''row'' THEN ''escrow'' ELSE ''row'' END', 'TRUNCATE inventory_cell']) stmt;
SELECT agrees('inventory', :'mode' || ': after all that', false);

----------------------------------------------------------------------------------------------------------------------
-- Modes and fold
----------------------------------------------------------------------------------------------------------------------

INSERT INTO inventory VALUES ('M', 1, 10);
SELECT is((SELECT (outcome, available)::text FROM plinth_inventory.reserve('M', 1, 3, k(100))), '(reserved,7)', :'mode' || ': a hold');
SELECT plinth_inventory.set_mode('M', 1, CASE :'mode' WHEN 'row' THEN 'escrow' ELSE 'row' END) \g /dev/null
SELECT is((SELECT (outcome, available)::text FROM plinth_inventory.reserve('M', 1, 3, k(101))), '(reserved,4)', :'mode' || ': another in the other mode');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(100))), 'confirmed', :'mode' || ': a hold of one mode is sold in the other');
SELECT plinth_inventory.set_mode('M', 1, :'mode') \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.release(k(101), 1)), 'released', :'mode' || ': and the reverse');
SELECT is((SELECT (quantity, available)::text FROM inventory_available WHERE sku = 'M'), '(7,5)', :'mode' || ': nothing is lost on the way');
SELECT is((SELECT mode FROM inventory_cell WHERE sku = 'M'), :'mode', :'mode' || ': the cell says its mode');
SELECT plinth_inventory.set_mode('M', 1, :'mode') \g /dev/null
SELECT is((SELECT (quantity, available)::text FROM inventory_available WHERE sku = 'M'), '(7,5)', :'mode' || ': to the mode that it has is nothing');
SELECT is(plinth_inventory.fold('inventory') >= 0, true, :'mode' || ': fold()');
SELECT is((SELECT (quantity, reserved)::text FROM inventory WHERE sku = 'M'), '(7,2)', :'mode' || ': the row itself is right then');
BEGIN;
SELECT plinth_inventory.set_mode('M', 1, CASE :'mode' WHEN 'row' THEN 'escrow' ELSE 'row' END) \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.reserve('M', 1, 5, k(102))), 'reserved', :'mode' || ': a change of mode, and a hold in it');
ROLLBACK;
SELECT is((SELECT mode FROM inventory_cell WHERE sku = 'M'), :'mode', :'mode' || ': undone');
SELECT is((SELECT array_agg((outcome, available)::text) FROM plinth_inventory.reserve('M', 1, 5, k(103))), '{"(reserved,0)"}', :'mode' || ': and so is the hold');
BEGIN;
SAVEPOINT s;
SELECT plinth_inventory.set_mode('M', 1, CASE :'mode' WHEN 'row' THEN 'escrow' ELSE 'row' END) \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.release(k(103))), 'released', :'mode' || ': a change after a savepoint');
ROLLBACK TO s;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('M', 1, 1)), 'sold_out', :'mode' || ': undone too');
COMMIT;
SELECT is((SELECT outcome FROM plinth_inventory.release(k(103))), 'released', :'mode' || ': as if nothing had been');
SELECT is(plinth_inventory.available('M', 1), 5::bigint, :'mode' || ': five');
SELECT plinth_inventory.set_mode('M', 1, CASE :'mode' WHEN 'row' THEN 'escrow' ELSE 'row' END) \g /dev/null
SELECT agrees('inventory', :'mode' || ': modes', false);

----------------------------------------------------------------------------------------------------------------------
-- Sold out is cheap; who may not write
----------------------------------------------------------------------------------------------------------------------

INSERT INTO inventory VALUES ('cheap', 1, 1);
SELECT is((SELECT outcome FROM plinth_inventory.reserve('cheap', 1, 1, k(110))), 'reserved', :'mode' || ': (the only one)');
-- (pgTAP's own functions would take an id)
BEGIN;
SELECT outcome FROM plinth_inventory.reserve('cheap', 1, 1) \gset
SELECT coalesce(pg_current_xact_id_if_assigned()::text, 'none') AS xid \gset
COMMIT;
SELECT is(:'outcome'::text, 'sold_out', :'mode' || ': no more');
SELECT is(:'xid'::text, 'none', :'mode' || ': "sold out" takes no transaction id') WHERE :'mode' = 'escrow';
BEGIN READ ONLY;
SELECT is(plinth_inventory.available('cheap', 1), 0::bigint, :'mode' || ': a transaction that only reads can ask');
SELECT is((SELECT available::bigint FROM inventory_available WHERE sku = 'cheap'), 0::bigint, :'mode' || ': the view too');
SELECT refused(stmt, '25006', '', format('%s: not in a transaction that only reads: %s', :'mode', stmt)) FROM unnest(ARRAY['SELECT plinth_inventory.reserve(''cheap'', 1, 1)', 'SELECT plinth_inventory.reserve(''D'', 1, 1)', 'SELECT plinth_inventory.release(k(110))', 'SELECT plinth_inventory.confirm(k(110))',
	'SELECT plinth_inventory.receive(''cheap'', 1, 1)', 'SELECT plinth_inventory.set_mode(''cheap'', 1, ''row'')', 'SELECT plinth_inventory.adjust(''cheap'', 1, 1)', 'SELECT plinth_inventory.expire()', 'SELECT plinth_inventory.fold(''inventory'')']) stmt;
ROLLBACK;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('cheap', 1, 1)), 'sold_out', :'mode' || ': nothing came of it');

-- A commit that fails at the last moment gives nothing to anybody.
INSERT INTO inventory VALUES ('late', 1, 4);
SELECT is((SELECT outcome FROM plinth_inventory.reserve('late', 1, 4, k(115))), 'reserved', :'mode' || ': (all four)');
CREATE TABLE orders (id int PRIMARY KEY, parent int REFERENCES orders DEFERRABLE INITIALLY DEFERRED);
\set ON_ERROR_STOP off
BEGIN;
SELECT outcome AS released FROM plinth_inventory.release(k(115)) \gset
SELECT outcome AS again FROM plinth_inventory.reserve('late', 1, 1, k(116)) \gset
SELECT plinth_inventory.receive('late', 1, 5) \g /dev/null
INSERT INTO orders VALUES (1, 2);
COMMIT;
\set committed :SQLSTATE
\set ON_ERROR_STOP on
SELECT is(ARRAY[:'released', :'again', :'committed'], '{released,reserved,23503}', :'mode' || ': released, reserved, and then the commit fails');
SELECT is((SELECT array_agg(outcome) FROM (SELECT outcome FROM plinth_inventory.reserve('late', 1, 1) UNION ALL SELECT outcome FROM plinth_inventory.release(k(115), 1)) x), '{sold_out,released}', :'mode' || ': nothing of it has happened');
SELECT is(plinth_inventory.available('late', 1), 1::bigint, :'mode' || ': one is free now');
DROP TABLE orders;
SELECT agrees('inventory', :'mode' || ': a commit that fails', false);

-- Two-phase commit.
INSERT INTO inventory VALUES ('2pc', 1, 5);
SELECT is(plinth_inventory.available('2pc', 1), 5::bigint, :'mode' || ': (5)');
\set ON_ERROR_STOP off
BEGIN;
SELECT outcome AS what FROM plinth_inventory.reserve('2pc', 1, 2, k(120)) \gset
PREPARE TRANSACTION 'plinth_inventory_1';
\set prepared :SQLSTATE
ROLLBACK;
SELECT count(*) = 1 AS there FROM pg_prepared_xacts WHERE gid = 'plinth_inventory_1' \gset
\if :there
COMMIT PREPARED 'plinth_inventory_1';
\endif
BEGIN;
UPDATE inventory SET reserved = reserved + 1 WHERE sku = '2pc';
PREPARE TRANSACTION 'plinth_inventory_2';
\set prepared2 :SQLSTATE
ROLLBACK;
SELECT count(*) = 1 AS there FROM pg_prepared_xacts WHERE gid = 'plinth_inventory_2' \gset
\if :there
ROLLBACK PREPARED 'plinth_inventory_2';
\endif
\set ON_ERROR_STOP on
SELECT is(:'what'::text, 'reserved', :'mode' || ': (a hold in a transaction that is to be prepared)');
SELECT is(:'prepared'::text, CASE :'mode' WHEN 'row' THEN '00000' ELSE '0A000' END, :'mode' || ': PREPARE TRANSACTION with a claim inside: allowed in mode row, refused in mode escrow');
SELECT is(:'prepared2'::text, CASE :'mode' WHEN 'row' THEN '00000' ELSE '0A000' END, :'mode' || ': the same with a raw write');
SELECT is(plinth_inventory.available('2pc', 1), CASE :'mode' WHEN 'row' THEN 3 ELSE 5 END::bigint, :'mode' || ': nothing has leaked');
SELECT agrees('inventory', :'mode' || ': two phases', false);

----------------------------------------------------------------------------------------------------------------------
-- TRUNCATE, purge(), disable()
----------------------------------------------------------------------------------------------------------------------

-- Sums stay when rows go.
INSERT INTO inventory VALUES ('P', 1, 10);
SELECT is((SELECT count(*) FROM generate_series(1, 4) g, plinth_inventory.reserve('P', 1, 2, k(130 + g)) r WHERE outcome = 'reserved'), 4::bigint, :'mode' || ': (four holds)');
SELECT is((SELECT string_agg(outcome, ' ') FROM (SELECT outcome FROM plinth_inventory.confirm(k(131)) UNION ALL SELECT outcome FROM plinth_inventory.release(k(132)) UNION ALL SELECT outcome FROM plinth_inventory.confirm(k(133), 1)) x), 'confirmed released confirmed', :'mode' || ': (two of them finished, one half)');
CREATE TEMP TABLE before_purge AS SELECT * FROM inventory_available;
SELECT is(plinth_inventory.purge('inventory', '2000-01-01'), 0::bigint, :'mode' || ': nothing is that old');
SELECT cmp_ok(plinth_inventory.purge('inventory', clock_timestamp()), '>', 2::bigint, :'mode' || ': purge() says how many rows went');
SELECT results_eq('SELECT sku::text, warehouse, quantity::bigint, available::bigint FROM inventory_available ORDER BY 1, 2', 'SELECT sku::text, warehouse, quantity::bigint, available::bigint FROM before_purge ORDER BY 1, 2', :'mode' || ': stock is as it was');
SELECT is((SELECT array_agg(key::text ORDER BY key) FROM inventory_reservation WHERE sku = 'P'), ARRAY[k(133)::text, k(134)::text], :'mode' || ': holds that live stay');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(131))), 'not_found', :'mode' || ': those that have ended are forgotten');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(133))), 'confirmed', :'mode' || ': the half one goes on');
SELECT is((SELECT (outcome, replayed)::text FROM plinth_inventory.reserve('P', 1, 2, k(132))), '(reserved,f)', :'mode' || ': a key lives as long as its row');
SELECT agrees('inventory', :'mode' || ': purge()', false);
SELECT is(plinth_inventory.purge('inventory', clock_timestamp()) >= 0, true, :'mode' || ': again');
SELECT agrees('inventory', :'mode' || ': purge() twice', false);
DROP TABLE before_purge;

-- TRUNCATE, undone and not.
BEGIN;
SELECT matches((run('TRUNCATE inventory')).state, '^(ok|55006)$', :'mode' || ': TRUNCATE with holds');
ROLLBACK;
SELECT agrees('inventory', :'mode' || ': and undone', false);
CREATE TABLE truncated (sku text PRIMARY KEY, quantity int NOT NULL, reserved int NOT NULL DEFAULT 0, version int NOT NULL DEFAULT 0);
INSERT INTO truncated VALUES ('A', 3), ('B', 3);
SELECT is(plinth_inventory.enable('truncated', warehouse => NULL, mode => :'mode')::text, 'truncated_reservation', :'mode' || ': a table without warehouses');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 1, k(140), inventory => 'truncated')), 'reserved', :'mode' || ': (a hold)');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(140), inventory => 'truncated')), 'confirmed', :'mode' || ': (sold)');
BEGIN;
TRUNCATE truncated;
SELECT refused('SELECT plinth_inventory.reserve(''A'', NULL::text, 1, inventory => ''truncated'')', 'P0002', '', :'mode' || ': after TRUNCATE there is nothing');
INSERT INTO truncated VALUES ('A', 9);
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 9, inventory => 'truncated')), 'reserved', :'mode' || ': but what came after it');
ROLLBACK;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 3, inventory => 'truncated')), 'sold_out', :'mode' || ': undone, there are two again');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 2, k(141), inventory => 'truncated')), 'reserved', :'mode' || ': two');
SELECT is((SELECT outcome FROM plinth_inventory.release(k(141), inventory => 'truncated')), 'released', :'mode' || ': (back)');
SELECT agrees('truncated', :'mode' || ': TRUNCATE undone', false);
TRUNCATE truncated;
INSERT INTO truncated VALUES ('A', 1);
SELECT is((SELECT array_agg(outcome) FROM (SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 2, inventory => 'truncated') UNION ALL SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 1, k(142), inventory => 'truncated')) x), '{sold_out,reserved}', :'mode' || ': and not undone, what came after it counts');
SELECT agrees('truncated', :'mode' || ': TRUNCATE', false);
-- disable(), undone and not.
BEGIN;
SELECT plinth_inventory.disable('truncated') \g /dev/null
UPDATE truncated SET quantity = 5;
SELECT plinth_inventory.enable('truncated', warehouse => NULL, mode => :'mode') \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 4, inventory => 'truncated')), 'reserved', :'mode' || ': disabled, changed by hand, enabled again');
ROLLBACK;
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', NULL::text, 1, inventory => 'truncated')), 'sold_out', :'mode' || ': and all of it undone');
SELECT agrees('truncated', :'mode' || ': disable() undone', false);
SELECT plinth_inventory.disable('truncated') \g /dev/null
SELECT is((SELECT (quantity, reserved)::text FROM truncated), '(1,1)', :'mode' || ': the table is exact when it is left alone');
SELECT is_empty($$ SELECT tgname FROM pg_trigger WHERE tgrelid = 'truncated'::regclass AND NOT tgisinternal $$, :'mode' || ': without a trigger');
SELECT isnt_empty('SELECT FROM truncated_reservation', :'mode' || ': the reservations stay');
UPDATE truncated SET quantity = 8, reserved = 1;
SELECT plinth_inventory.enable('truncated', warehouse => NULL, mode => :'mode') \g /dev/null
SELECT is(plinth_inventory.available('A', inventory => 'truncated'), 7::bigint, :'mode' || ': enabled again, the stock is what the table says');
SELECT is((SELECT outcome FROM plinth_inventory.confirm(k(142), inventory => 'truncated')), 'confirmed', :'mode' || ': and its holds are held');
SELECT agrees('truncated', :'mode' || ': enabled again', false);
SELECT plinth_inventory.disable('truncated', drop_companions => true) \g /dev/null
SELECT is_empty($$ SELECT relname FROM pg_class WHERE relname LIKE 'truncated\_%' AND relkind IN ('r', 'v', 'S', 'p') $$, :'mode' || ': the companions go when told');
DROP TABLE truncated;

-- Damage, seen and repaired.
SELECT plinth_inventory.disable('inventory', drop_companions => true) \g /dev/null
TRUNCATE inventory;
INSERT INTO inventory VALUES ('A', 1, 10), ('B', 1, 10);
SELECT plinth_inventory.enable('inventory', mode => :'mode') \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', 1, 4, k(150))), 'reserved', :'mode' || ': (a hold)');
-- What is applied from elsewhere comes with its own ledger, or check() sees that it did not; it is never sold over.
SET session_replication_role = replica;
UPDATE inventory SET reserved = reserved + 2 WHERE sku = 'B';
RESET session_replication_role;
SELECT is(plinth_inventory.available('B', 1), 8::bigint, :'mode' || ': session_replication_role does not lose units');
SELECT is((SELECT array_agg(outcome) FROM (SELECT outcome FROM plinth_inventory.reserve('B', 1, 9) UNION ALL SELECT outcome FROM plinth_inventory.reserve('B', 1, 8, k(151)) UNION ALL SELECT outcome FROM plinth_inventory.reserve('B', 1, 1)) x), '{sold_out,reserved,sold_out}', :'mode' || ': nor does it make them');
SELECT ok(EXISTS (SELECT FROM plinth_inventory.check('inventory')) OR wrong('inventory') IS NULL, :'mode' || ': the ledger has it, or check() sees that it has not');
SELECT plinth_inventory.repair('inventory') \g /dev/null
SELECT agrees('inventory', :'mode' || ': session_replication_role');
SELECT tgname AS guard FROM pg_trigger WHERE tgrelid = 'inventory'::regclass AND tgname = 'plinth_inventory' \gset
ALTER TABLE inventory ENABLE TRIGGER :"guard";
SELECT isnt_empty('SELECT * FROM plinth_inventory.check(''inventory'')', :'mode' || ': check() sees a guard that does not fire always');
SELECT cmp_ok(plinth_inventory.repair('inventory'), '>', 0::bigint, :'mode' || ': repair() says that it did something');
SELECT is((SELECT tgenabled::text FROM pg_trigger WHERE tgrelid = 'inventory'::regclass AND tgname = :'guard'), 'A', :'mode' || ': and the guard fires always');
ALTER TABLE inventory DISABLE TRIGGER ALL;
UPDATE inventory SET quantity = quantity + 7 WHERE sku = 'A';
SELECT isnt_empty('SELECT * FROM plinth_inventory.check(''inventory'')', :'mode' || ': check() sees guards that are off');
SELECT plinth_inventory.repair('inventory') \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', 1, 1000)), 'sold_out', :'mode' || ': (the counter is made anew)');
SELECT agrees('inventory', :'mode' || ': repaired');
SELECT is(plinth_inventory.available('A', 1), 13::bigint, :'mode' || ': what was changed by hand counts');
ALTER TABLE inventory_reservation DISABLE TRIGGER ALL;
DELETE FROM inventory_reservation WHERE key = k(150);
ALTER TABLE inventory_reservation ENABLE TRIGGER ALL;
SELECT isnt_empty('SELECT * FROM plinth_inventory.check(''inventory'')', :'mode' || ': check() misses a reservation');
SELECT plinth_inventory.repair('inventory') \g /dev/null
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', 1, 1000)), 'sold_out', :'mode' || ': (and again)');
SELECT agrees('inventory', :'mode' || ': repaired again');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', 1, plinth_inventory.available('A', 1)::int)), 'reserved', :'mode' || ': all that it has can be sold');
SELECT is((SELECT outcome FROM plinth_inventory.reserve('A', 1, 1)), 'sold_out', :'mode' || ': and no more');
SELECT is(plinth_inventory.repair('inventory'), 0::bigint, :'mode' || ': nothing more to repair');
DROP TRIGGER :"guard" ON inventory;
SELECT isnt((run('SELECT * FROM plinth_inventory.check(''inventory'')')).state, 'XX000', :'mode' || ': a table that has lost a trigger is told so, somehow');
SELECT isnt((run('SELECT plinth_inventory.disable(''inventory'', true)')).state, 'XX000', :'mode' || ': and can be left');
DROP TABLE inventory CASCADE;
DROP TABLE IF EXISTS inventory_reservation, inventory_movement, inventory_cell CASCADE;
