# What counters cost. With memory for a few hundred of them thousands of SKUs in escrow mode are sold right, counters that nobody uses giving way to others; if all are in use it is a clear error and nothing has changed. A transaction may use thousands of SKUs, at many levels. "Sold out" takes no transaction id and writes no WAL. A copy of a database has counters of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PlinthTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf',
	"plinth_inventory.memory = '64kB'\nautovacuum = off\nbgwriter_lru_maxpages = 0\ncheckpoint_timeout = 1h\ndeadlock_timeout = 50ms\nlog_min_messages = fatal");
$node->start;
inventory_shop($node);
$node->safe_psql('postgres', q{
	INSERT INTO inventory SELECT 's' || g, 1, 5 FROM generate_series(1, 3000) g;
	SELECT count(*) FROM (SELECT plinth_inventory.set_mode('s' || g, 1, 'escrow') FROM generate_series(1, 3000) g) x;
	CREATE FUNCTION deal(a int, b int, c int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM plinth_inventory.reserve('s' || a, 1, 2, owner => 'deal');
			BEGIN
				PERFORM plinth_inventory.reserve('s' || b, 1, 1, owner => 'deal');
				PERFORM plinth_inventory.release(key) FROM inventory_reservation WHERE sku = 's' || c AND finished_at IS NULL;
				IF b % 3 = 0 THEN
					RAISE EXCEPTION SQLSTATE 'UNDO0';
				END IF;
			EXCEPTION WHEN SQLSTATE 'UNDO0' THEN NULL;
			END;
			PERFORM plinth_inventory.confirm(key, 1) FROM (SELECT key FROM inventory_reservation WHERE sku = 's' || a AND finished_at IS NULL LIMIT 1) h;
		END$$;});
my $count = 'SELECT count(*) FROM plinth_inventory.cells';
is($node->safe_psql('postgres', q{SHOW plinth_inventory.memory}), '64kB', 'memory for few counters');

# Uniform, so that most counters are made anew.
$node->pgbench('-n -c 6 -j 2 -t 1000 --max-tries=100', 0, [qr{number of failed transactions: 0 }], [qr{^$}], 'six clients and 3,000 SKUs',
	{ '205_deal@8' => "\\set a random(1, 3000)\n\\set b random(1, 3000)\n\\set c random(1, 3000)\nSELECT deal(:a, :b, :c);\n",
		'205_back@2' => "\\set a random(1, 3000)\n\\set b random(1, 3000)\n\\set c random(1, 3000)\nBEGIN;\nSELECT deal(:a, :b, :c);\nROLLBACK;\n" });
my $cells = $node->safe_psql('postgres', $count);
cmp_ok($cells, '<', 1500, "$cells counters in memory, not 3,000");
cmp_ok($cells, '>', 50, 'but some');
is($node->safe_psql('postgres', q{SELECT wrong('inventory')}), '', 'evicted and made anew: everything agrees');
my ($rc, $out, $err) = $node->psql('postgres', q{SELECT plinth_inventory.fold('inventory')});
is($err, '', 'fold() needs no counter of its own for each of them');
($rc, $out, $err) = $node->psql('postgres', q{SELECT wrong_when_folded('inventory')});
is("$rc$out", '0', 'and the stock rows agree then');

# All of them in one transaction are too many.
my $before = $node->safe_psql('postgres', 'SELECT sum(available) FROM inventory_available');
($rc, $out, $err) = $node->psql('postgres', q{
	\set VERBOSITY verbose
	BEGIN;
	SELECT count(*) FROM generate_series(1, 3000) g, plinth_inventory.reserve('s' || g, 1, 1) r;});
like($err, qr/53200: no shared memory left.*HINT: .*plinth_inventory\.memory/s, 'if all counters are in use it is an error with a hint');
is($node->safe_psql('postgres', 'SELECT sum(available) FROM inventory_available'), $before, 'and nothing has changed');
is($node->safe_psql('postgres', q{BEGIN; SELECT count(*) FILTER (WHERE r.outcome = 'reserved') FROM generate_series(1, 100) g, plinth_inventory.reserve('s' || g, 1, 1) r; ROLLBACK} ) > 20, 1, 'fewer are served right after');
is($node->safe_psql('postgres', q{SELECT wrong('inventory')}), '', 'after too many: everything agrees');

# With enough memory they are not.
$node->append_conf('postgresql.conf', "plinth_inventory.memory = '64MB'");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('plinth_inventory.memory') = '64MB' FROM plinth_inventory.status LIMIT 1}) or die 'not reloaded';
my $all = q{SELECT outcome, count(*) FROM plinth_inventory.reserve_order(ARRAY(SELECT ('s' || g, '1', 1, NULL)::plinth_inventory.line FROM generate_series(1, 3000) g WHERE plinth_inventory.available('s' || g, 1) > 0), owner => 'all') GROUP BY 1};
my $free = $node->safe_psql('postgres', q{SELECT count(*) FROM inventory_available WHERE sku LIKE 's%' AND available > 0});
is($node->safe_psql('postgres', "BEGIN; $all; ROLLBACK"), "reserved|$free", 'an order of thousands of lines');
is($node->safe_psql('postgres', 'SELECT sum(available) FROM inventory_available'), $before, 'undone');
is($node->safe_psql('postgres', "BEGIN; SAVEPOINT a; $all; ROLLBACK TO a; SAVEPOINT b; $all; RELEASE b; COMMIT"), "reserved|$free\nreserved|$free", 'undone to a savepoint, and done');
is($node->safe_psql('postgres', 'SELECT sum(available) FROM inventory_available'), $before - $free, 'once');
inventory_ok($node, 'an order of thousands of lines');

# Levels upon levels.
is($node->safe_psql('postgres', q{
	INSERT INTO inventory VALUES ('deep', 1, 1000);
	SELECT plinth_inventory.set_mode('deep', 1, 'escrow');
	CREATE FUNCTION deep(n int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM plinth_inventory.reserve('deep', 1, 1, owner => 'deep' || n);
			IF n > 0 THEN
				BEGIN
					PERFORM deep(n - 1);
					-- every third level takes back what is below it; every fifth gives back what the level above has
					IF n % 5 = 0 THEN
						PERFORM plinth_inventory.release(key) FROM inventory_reservation WHERE owner = 'deep' || n AND finished_at IS NULL;
					END IF;
					IF n % 30 = 0 THEN
						RAISE EXCEPTION SQLSTATE 'UNDO0';
					END IF;
				EXCEPTION WHEN SQLSTATE 'UNDO0' THEN NULL;
				END;
			END IF;
		END$$;
	SELECT deep(200);
	SELECT available, 1000 - (SELECT sum(quantity - released) FROM inventory_reservation WHERE sku = 'deep') FROM inventory_available WHERE sku = 'deep';}) =~ s/^\n+//r, '983|983', 'hundreds of levels, some undone');
inventory_ok($node, 'hundreds of levels');

# "Sold out" is cheap.
$node->safe_psql('postgres', q{
	INSERT INTO inventory VALUES ('gone', 1, 1);
	SELECT plinth_inventory.set_mode('gone', 1, 'escrow');
	SELECT plinth_inventory.reserve('gone', 1, 1, owner => 'gone');
	CREATE PROCEDURE ask(times int) LANGUAGE plpgsql AS $$
		BEGIN
			FOR i IN 1..times LOOP
				IF (plinth_inventory.reserve('gone', 1, 1)).outcome <> 'sold_out' OR pg_current_xact_id_if_assigned() IS NOT NULL THEN
					RAISE EXCEPTION 'not sold out, or with a transaction id';
				END IF;
				COMMIT;
			END LOOP;
		END$$;
	CALL ask(10);
	VACUUM ANALYZE;
	CHECKPOINT;
	CALL ask(10);});
my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$node->safe_psql('postgres', 'CALL ask(2000)');
my $written = $node->safe_psql('postgres', "SELECT pg_current_wal_insert_lsn() - '$lsn'");
cmp_ok($written, '<', 2000, "2,000 times \"sold out\": $written bytes of WAL and no transaction id");

# Another database with the same tables, under the same numbers.
$node->safe_psql('postgres', q{INSERT INTO inventory VALUES ('twin', 1, 10); SELECT plinth_inventory.set_mode('twin', 1, 'escrow'); SELECT plinth_inventory.reserve('twin', 1, 3, owner => 'first')});
$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
is($node->safe_psql('copy', q{SELECT outcome, available FROM plinth_inventory.reserve('twin', 1, 7, owner => 'second')}), 'reserved|0', 'a copy of a database sells its own units');
is($node->safe_psql('postgres', q{SELECT outcome, available FROM plinth_inventory.reserve('twin', 1, 6, owner => 'third')}), 'reserved|1', 'not those of the first');
inventory_ok($node, 'copy', db => 'copy');
inventory_ok($node, 'first');
$node->safe_psql('template1', 'DROP DATABASE copy');
$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
is($node->safe_psql('copy', q{SELECT outcome, available FROM plinth_inventory.reserve('twin', 1, 2, owner => 'fourth')}), 'sold_out|1', 'nor does a second one have those of the first copy');
inventory_ok($node, 'second copy', db => 'copy');

done_testing();
