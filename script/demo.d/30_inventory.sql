\echo
\echo '=============================================================================='
\echo ' plinth_inventory: reservations that never oversell'
\echo '=============================================================================='
\echo
\echo '-- 1. A table of stock that you have already, and one call.'
\echo
CREATE TABLE inventory (
	sku varchar(50),
	warehouse_id int,
	quantity int NOT NULL CHECK (quantity >= 0),
	reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
	version int NOT NULL DEFAULT 0,
	PRIMARY KEY (sku, warehouse_id)
);
INSERT INTO inventory VALUES
	('lamp', 1, 3), ('chair', 1, 4), ('chair', 2, 6), ('ticket', 1, 1000);
CREATE EXTENSION plinth_inventory;
SELECT plinth_inventory.enable('inventory');
\echo '-- 2. Reserve two lamps. Two more are too many: that is an answer, no error.'
\echo
\set key '''5eed0000-0000-4000-8000-000000000001'''
SELECT sku, quantity, outcome, available, version
FROM plinth_inventory.reserve('lamp', 1, 2,
	key => :key);
SELECT sku, quantity, outcome, available, version
FROM plinth_inventory.reserve('lamp', 1, 2);
\echo '-- 3. The network failed, and the client asks again with the same key: it gets'
\echo '--    the first answer, and no more lamps. Then the customer pays.'
\echo
SELECT sku, quantity, outcome, replayed
FROM plinth_inventory.reserve('lamp', 1, 2,
	key => :key);
SELECT sku, quantity, outcome
FROM plinth_inventory.confirm(:key);
\echo '-- 4. An order: eight chairs from wherever they are, and a lamp. All or nothing.'
\echo
SELECT line, sku, warehouse, quantity, outcome
FROM plinth_inventory.reserve_order(
	ARRAY[('chair', NULL, 8, NULL),
		('lamp', 1, 2, NULL)]::plinth_inventory.line[]);
SELECT line, sku, warehouse, quantity, outcome
FROM plinth_inventory.reserve_order(
	ARRAY[('chair', NULL, 8, NULL),
		('lamp', 1, 1, NULL)]::plinth_inventory.line[]);
\echo '-- 5. The last two chairs are held for half a second, and nobody pays.'
\echo
\set key '''5eed0000-0000-4000-8000-000000000002'''
SELECT sku, quantity, outcome, available
FROM plinth_inventory.reserve('chair', NULL, 2,
	key => :key, ttl => '0.5 s');
SELECT plinth_inventory.available('chair');
\echo '-- ... half a second later'
\set ECHO none
SELECT pg_sleep(0.6) \g /dev/null
\set ECHO queries
\echo
SELECT plinth_inventory.available('chair');
SELECT sku, quantity, outcome
FROM plinth_inventory.confirm(:key);
\echo '-- 6. Old code goes on writing the table; it cannot oversell either.'
\echo
UPDATE inventory SET reserved = reserved + 1
WHERE sku = 'chair' AND warehouse_id = 2;
\set ON_ERROR_STOP 0
UPDATE inventory SET reserved = reserved + 2
WHERE sku = 'chair' AND warehouse_id = 2;
\set ON_ERROR_STOP 1
\echo
\echo '-- 7. The sale starts: 1,000 tickets, 16 sessions, 3,200 buyers. In escrow mode'
\echo '--    a counter in shared memory guards the tickets, and no row is locked.'
\echo
SELECT plinth_inventory.set_mode('ticket', 1, 'escrow');
\echo '-- pgbench -c 16 -t 200: SELECT plinth_inventory.reserve(...)'
\set ECHO none
SELECT setting || '/pgbench' AS pgbench FROM pg_config WHERE name = 'BINDIR' \gset
\setenv PGBENCH :pgbench
\setenv PGHOST :HOST
\setenv PGUSER :USER
\setenv PGDATABASE :DBNAME
\! echo "SELECT plinth_inventory.reserve('ticket', 1, 1)" | "$PGBENCH" -n -c 16 -t 200 -f - 2>/dev/null | grep 'actually processed'
\set ECHO queries
\echo
SELECT count(*) AS reservations, sum(quantity) AS tickets
FROM inventory_reservation WHERE sku = 'ticket';
\echo '-- 8. The stock row lags behind until fold(); the view beside it is exact.'
\echo
SELECT reserved FROM inventory WHERE sku = 'ticket';
SELECT quantity, reserved, available, mode
FROM inventory_available WHERE sku = 'ticket';
SELECT plinth_inventory.fold();
SELECT reserved FROM inventory WHERE sku = 'ticket';
\echo '-- 9. The ledger: whatever changed the stock and is no reservation.'
\echo
SELECT kind, sku, warehouse, quantity, reserved
FROM inventory_movement
WHERE kind <> 'open' ORDER BY movement_id;
\echo '-- 10. Are stock, ledger, reservations and counters one? No rows: they are.'
\echo
SELECT * FROM plinth_inventory.check('inventory');
