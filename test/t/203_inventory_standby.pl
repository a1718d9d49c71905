# A physical standby shows an inventory as the primary does and sells it to the last unit when it is promoted; so does a logical subscriber that receives the table and its companions, and nothing is counted twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PlinthTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 'logical');
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION plinth_inventory;
	CREATE TABLE inventory (
		sku text, warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
		version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
	INSERT INTO inventory VALUES ('hot', 1, 500), ('hot', 2, 200), ('cold', 1, 300), ('beyond', 1, 10);
	SELECT plinth_inventory.enable('inventory', mode => 'escrow');
	SELECT plinth_inventory.set_mode('cold', 1, 'row');
	SELECT plinth_inventory.limits('beyond', 1, 5), plinth_inventory.limits('hot', 2, safety_stock => 20, priority => -1);});
inventory_judge($primary);

# Something of everything, with keys by number; the tail is folded at half time or not at all.
sub deals
{
	my ($n, $fold) = @_;
	my $key = "('00000000-0000-4000-8000-' || lpad(($n * 1000 + g)::text, 12, '0'))::uuid";
	$primary->safe_psql('postgres', qq{
		SELECT plinth_inventory.reserve((ARRAY['hot', 'hot', 'cold'])[1 + g % 3], 1 + (g % 3 = 1)::int, 1 + g % 4, key => $key) FROM generate_series(1, 30) g;
		SELECT plinth_inventory.confirm($key) FROM generate_series(1, 30, 4) g;
		SELECT plinth_inventory.release($key) FROM generate_series(2, 30, 5) g;
		SELECT $fold;
		SELECT plinth_inventory.reserve('beyond', 1, 3, key => '10000000-0000-4000-8000-00000000000$n');
		SELECT plinth_inventory.confirm('10000000-0000-4000-8000-00000000000$n', 1);
		SELECT plinth_inventory.release($key, 1) FROM generate_series(4, 30, 7) g;
		SELECT plinth_inventory.reserve('hot', 1, 2, ttl => '1 microsecond');
		SELECT plinth_inventory.receive('hot', 1, 7);
		UPDATE inventory SET reserved = reserved + 1, quantity = quantity + 2;
		BEGIN;
		SELECT plinth_inventory.reserve('hot', 1, 20);
		ROLLBACK;});
}

my $view = 'SELECT * FROM inventory_available ORDER BY sku, warehouse';
my $functions = q{SELECT sku, warehouse, plinth_inventory.available(sku, warehouse), plinth_inventory.available(sku) FROM inventory_cell ORDER BY sku, warehouse};
my $rows = 'SELECT * FROM inventory_reservation ORDER BY key, line';
my $behind = q{SELECT count(*) > 0 FROM inventory i JOIN inventory_available a ON (a.sku, a.warehouse) = (i.sku, i.warehouse_id) WHERE (a.quantity, a.reserved) <> (i.quantity, i.reserved)};
my $check = q{SELECT * FROM plinth_inventory.check('inventory')};

sub same
{
	my ($name, $node) = @_;
	for my $query ($view, $functions, $rows, 'SELECT * FROM inventory ORDER BY sku, warehouse_id', 'SELECT * FROM plinth_inventory.status')
	{
		my $here = $node->safe_psql('postgres', $query);
		ok($here ne '', "$name: rows of $query");
		is($here, $primary->safe_psql('postgres', $query), "$name: as on the publisher: $query");
	}
	is($node->safe_psql('postgres', q{SELECT sku, warehouse FROM inventory_available WHERE plinth_inventory.available(sku, warehouse) <> greatest(available, 0)}), '', "$name: view and function agree");
	is($node->safe_psql('postgres', $check), '', "$name: nothing is wrong");
}

# As the only server: it has what was promised, and sells the rest.
sub on_its_own
{
	my ($name, $node, $view_before, $rows_before) = @_;
	is($node->safe_psql('postgres', $behind), 't', "$name: stock rows are behind");
	is($node->safe_psql('postgres', $rows), $rows_before, "$name: all reservations are there");
	is($node->safe_psql('postgres', $check), '', "$name: nothing is wrong at first");
	is($node->safe_psql('postgres', q{
			BEGIN;
			SELECT missold('inventory');
			SELECT sku FROM inventory_available WHERE available <> 0;
			ROLLBACK;}), '', "$name: what is free can be sold, and no more");
	is($node->safe_psql('postgres', $view), $view_before, "$name: it shows what was there before");
	is($node->safe_psql('postgres', q{SELECT (plinth_inventory.reserve('hot', 1, g, key => r.key)).replayed FROM (SELECT key, quantity AS g FROM inventory_reservation WHERE (sku, warehouse, finished_at IS NULL, expires_at IS NULL) = ('hot', 1, true, true) ORDER BY key LIMIT 1) r}),
		't', "$name: keys are known");
	is($node->safe_psql('postgres', q{
			SELECT count(*) FROM inventory_reservation r, plinth_inventory.confirm(r.key) c
			WHERE r.finished_at IS NULL AND r.expires_at IS NULL AND r.sku <> 'beyond' AND c.outcome <> 'confirmed'}), '0', "$name: holds can be confirmed");
	inventory_ok($node, $name);
	is($node->safe_psql('postgres', q{SELECT missold('inventory')}), '', "$name: all is sold");
	is($node->safe_psql('postgres', q{SELECT DISTINCT (plinth_inventory.reserve(sku, warehouse, 1)).outcome FROM inventory_cell}), 'sold_out', "$name: and nothing is left");
	inventory_ok($node, "$name, sold out");
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nDELETE FROM inventory_reservation");
	like($err, qr/PX003/, "$name: reservations are guarded");
}

deals(1, 1);

# A physical standby.
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
same('standby at first', $standby);
deals(2, q{plinth_inventory.fold()});
deals(3, 1);
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $behind), 't', 'standby: there is a tail');
same('standby', $standby);
for my $write (q{reserve('hot', 1, 1)}, q{reserve('cold', 1, 1)}, q{reserve_order(ARRAY[('hot', NULL, 1, NULL)]::plinth_inventory.line[])},
	q{confirm('00000000-0000-4000-8000-000000003003')}, q{release('00000000-0000-4000-8000-000000003003')}, q{extend('00000000-0000-4000-8000-000000003003', '1 hour')},
	q{receive('hot', 1, 1)}, q{adjust('hot', 1, 1)}, q{transfer('hot', 1, 2, 1)}, q{limits('hot', 1, 1)}, q{set_mode('hot', 1, 'row')}, 'expire()', 'fold()', q{repair('inventory')}, q{purge('inventory', now())})
{
	my ($rc, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT plinth_inventory.$write");
	like($err, qr/25006/, "standby: refused as any write: $write");
}

# A logical subscriber; its schema is that of the publisher.
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(allows_streaming => 'logical');
$subscriber->start;
$subscriber->safe_psql('postgres', 'CREATE EXTENSION plinth_inventory');
my $schema = $primary->basedir . '/schema.sql';
$primary->command_ok([ 'pg_dump', '--schema-only', '-t', 'inventory', '-t', 'inventory_*', '-f', $schema, $primary->connstr('postgres') ], 'the schema is dumped');
$subscriber->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $schema, $subscriber->connstr('postgres') ], 'and restored');
inventory_judge($subscriber);
$primary->safe_psql('postgres', 'CREATE PUBLICATION pub FOR TABLE inventory, inventory_reservation, inventory_movement, inventory_cell');
my $from = $primary->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION sub CONNECTION '$from' PUBLICATION pub");
$subscriber->wait_for_subscription_sync($primary, 'sub');
same('subscriber after the initial copy', $subscriber);
for my $n (4 .. 7)
{
	deals($n, $n % 2 ? 1 : 'plinth_inventory.fold()');
	$primary->safe_psql('postgres', q{
		SELECT plinth_inventory.adjust('hot', 1, 480);
		SELECT plinth_inventory.transfer('hot', 1, 2, 3);
		SELECT plinth_inventory.expire(1);
		INSERT INTO inventory VALUES ('new', 1, 5);
		SELECT plinth_inventory.reserve('new', 1, 2);}) if $n == 5;
	$primary->safe_psql('postgres', q{
		SELECT plinth_inventory.set_mode('hot', 1, 'row');
		SELECT plinth_inventory.set_mode('hot', 1, 'escrow');
		SELECT plinth_inventory.purge('inventory', now());}) if $n == 6;
	$primary->wait_for_catchup('sub');
	same("subscriber, deals $n", $subscriber);
}

# Each on its own.
$primary->wait_for_catchup($standby);
$primary->wait_for_catchup('sub');
my $view_before = $primary->safe_psql('postgres', $view);
my $rows_before = $primary->safe_psql('postgres', $rows);
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION sub');
$primary->stop('immediate');
$standby->promote;
on_its_own('promoted', $standby, $view_before, $rows_before);
# Sequences are not replicated.
like($subscriber->safe_psql('postgres', q{SELECT problem, expected, found FROM plinth_inventory.check('inventory')}), qr/^sequence behind\|\d+\|1$/, 'subscriber: check() says that the sequence has stayed behind');
is($subscriber->safe_psql('postgres', q{SELECT plinth_inventory.repair('inventory')}), 1, 'subscriber: repair() sets it on');
on_its_own('subscriber', $subscriber, $view_before, $rows_before);
# What it has sold is there after a restart.
$standby->restart;
is($standby->safe_psql('postgres', q{SELECT DISTINCT (plinth_inventory.reserve(sku, warehouse, 1)).outcome FROM inventory_cell}), 'sold_out', 'promoted: still sold out after a restart');

done_testing();
