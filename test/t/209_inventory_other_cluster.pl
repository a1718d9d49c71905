# A dump of an inventory, made in the middle of its life with a tail that is not folded, restored here or on another cluster, where transaction ids mean nothing, has the same exact stock, the same holds, keys and limits, its guards and its rights, and sells right from the first claim. So has a logical subscriber that is left on its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PlinthTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->start;
# Another system identifier, and transaction ids that are ahead of those of the first; and one whose ids are far behind.
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init(allows_streaming => 'logical');
$other->start;
my $young = PostgreSQL::Test::Cluster->new('young');
$young->init;
$young->start;
$_->safe_psql('postgres', q{CREATE ROLE keeper LOGIN; CREATE ROLE app LOGIN;}) for $node, $other, $young;
$node->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1..10000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
$other->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1..30000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');

my $dir = $node->basedir;
my @targets = ('shop.inventory', 'shop.goods');

sub new_db
{
	my ($on, $db) = @_;
	$on->safe_psql('postgres', "CREATE DATABASE $db");
	$on->safe_psql('postgres', "GRANT CREATE ON DATABASE $db TO keeper");
	return;
}

sub k { my ($n) = @_; return sprintf '00000000-0000-0000-0000-%012d', $n; }

new_db($node, 'src');
$node->safe_psql('src', q{
	CREATE EXTENSION plinth_inventory;
	SET ROLE keeper;
	CREATE SCHEMA shop;
	GRANT USAGE ON SCHEMA shop TO app;
	CREATE TABLE shop.inventory (
		sku varchar(50), warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
		version int NOT NULL DEFAULT 0, note text, PRIMARY KEY (sku, warehouse_id));
	CREATE TABLE shop.goods (item uuid PRIMARY KEY, on_hand bigint NOT NULL, held bigint NOT NULL DEFAULT 0, rev bigint NOT NULL DEFAULT 0);
	INSERT INTO shop.inventory SELECT s, w, 100 FROM unnest(ARRAY['hot', 'cold', 'odd, ''"{}']) s, generate_series(1, 3) w;
	INSERT INTO shop.goods SELECT md5(g::text)::uuid, 100 FROM generate_series(1, 5) g;
	SELECT plinth_inventory.enable('shop.inventory');
	SELECT plinth_inventory.enable('shop.goods', 'item', NULL, 'on_hand', 'held', 'rev', 'escrow');
	GRANT SELECT, UPDATE ON shop.inventory, shop.goods TO app;
	GRANT SELECT ON shop.inventory_available, shop.goods_available TO app;
	SELECT plinth_inventory.set_mode('hot', w, 'escrow', 'shop.inventory') FROM generate_series(1, 2) w;
	SELECT plinth_inventory.limits('hot', 1, 5, 2, 7, 'shop.inventory');}
	. sprintf(q{
	SELECT plinth_inventory.reserve('hot', 1, 3, '%s', inventory => 'shop.inventory'), plinth_inventory.reserve('hot', 1, 4, '%s', ttl => '1 day', owner => 'ann', inventory => 'shop.inventory'), plinth_inventory.reserve('cold', 1, 5, '%s', inventory => 'shop.inventory'),
		plinth_inventory.reserve('hot', 2, 6, '%s', ttl => '1 microsecond', inventory => 'shop.inventory'), plinth_inventory.reserve('cold', 2, 6, '%s', ttl => '1 microsecond', inventory => 'shop.inventory');
	SELECT plinth_inventory.fold('shop.inventory');
	SELECT plinth_inventory.reserve('hot', 1, 10, '%s', inventory => 'shop.inventory'), plinth_inventory.receive('hot', 1, 7, 'late delivery', 'shop.inventory');
	SELECT plinth_inventory.confirm('%s', 2, 'shop.inventory'), plinth_inventory.release('%s', 1, 'shop.inventory');
	UPDATE shop.inventory SET reserved = reserved + 4 WHERE warehouse_id IN (1, 3);
	SELECT plinth_inventory.reserve(md5(g::text), NULL::text, g, md5('goods' || g)::uuid, inventory => 'shop.goods') FROM generate_series(1, 5) g;
	SELECT plinth_inventory.confirm(md5('goods' || g)::uuid, inventory => 'shop.goods') FROM generate_series(2, 3) g;}, map { k($_) } 1 .. 6, 1, 2));
# A transaction that is open all the while, so that snapshots have a hole, and one that began long before and commits late.
my $open = $node->background_psql('src');
$open->query_safe(q{BEGIN; SELECT plinth_inventory.reserve('hot', 1, 20, '} . k(20) . q{', inventory => 'shop.inventory'), plinth_inventory.receive('hot', 2, 500, inventory => 'shop.inventory')});
my $late = $node->background_psql('src');
$late->query_safe(q{BEGIN; SELECT plinth_inventory.reserve('hot', 1, 2, '} . k(21) . q{', inventory => 'shop.inventory')});
$node->safe_psql('src', q{SELECT plinth_inventory.reserve('hot', 1, 1, '} . k(22) . q{', inventory => 'shop.inventory'); SELECT plinth_inventory.fold('shop.inventory')});
$late->query_safe('COMMIT');
inventory_judge($node, 'src');
my $xid = 'SELECT pg_current_xact_id()::text';
# (the counters of the source have units in flight: they are looked at when that is over)
my $stock = q{SELECT * FROM shop.inventory_available ORDER BY 1, 2};
my $goods = q{SELECT * FROM shop.goods_available ORDER BY 1};
my $holds = q{SELECT key, line, sku, warehouse, quantity, confirmed, released, owner, created_at, expires_at, finished_at, outcome FROM shop.inventory_reservation ORDER BY 1, 2};
my $cells = q{SELECT sku, warehouse, mode, priority, safety_stock, oversell_limit FROM shop.inventory_cell ORDER BY 1, 2};
my $ledger = q{SELECT * FROM ledger('shop.inventory') ORDER BY 1, 2};
my $status = q{SELECT target, mode, sku, warehouse, quantity, reserved, version, reservations, movements, cells FROM plinth_inventory.status ORDER BY target::text};
my $triggers = q{SELECT tgrelid::regclass, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE '%plinth_inventory%' ORDER BY tgrelid::regclass::text, tgname};
my $rights = q{SELECT c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner), (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) a)
	FROM pg_class c WHERE c.relnamespace = 'shop'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') ORDER BY c.relname};
like($node->safe_psql('src', $stock), qr/^hot\|1\|105\|\d+\|0\|\d+\|\d+\|escrow$/m, 'the source is what was meant');

sub dump_db
{
	my ($name, $file, @args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $node->command_ok([ 'pg_dump', '-f', "$dir/$file", @args, $node->connstr('src') ], "dump: $name");
}

sub restore_plain
{
	my ($name, $on, $db, $file) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $on->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$file", $on->connstr($db) ], "$name: restores");
}

# What must be true of a restored database, before and after it is used; "guards": with its triggers as they were.
sub restored
{
	my ($name, $on, $db, %args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	for my $query ($stock, $goods, $holds, $cells, $ledger, $status, $rights, $triggers)
	{
		my $there = $on->safe_psql($db, $query);
		ok($there ne '' && $there eq $node->safe_psql('src', $query), "$name: " . substr($query, 0, 60)) or diag($there, "\n-- should be --\n", $node->safe_psql('src', $query));
	}
	is($on->safe_psql($db, "SELECT wrong('$_')"), '', "$name: everything agrees, $_") for @targets;

	# The first claims, by a client without any right on the companions.
	my @app = (extra_params => [ '-U', 'app' ]);
	my $free = $node->safe_psql('src', q{SELECT available FROM shop.inventory_available WHERE (sku, warehouse) = ('hot', 1)});
	is($on->safe_psql($db, q{SELECT outcome, replayed FROM plinth_inventory.reserve('hot', 1, 3, '} . k(1) . q{', inventory => 'shop.inventory')}, @app), 'reserved|t', "$name: keys are remembered");
	is($on->safe_psql($db, q{SELECT outcome, available FROM plinth_inventory.reserve('hot', 1, } . ($free + 1) . q{, inventory => 'shop.inventory')}, @app), "sold_out|$free", "$name: one more than there is is sold out");
	is($on->safe_psql($db, q{SELECT outcome, available FROM plinth_inventory.reserve('hot', 1, } . $free . q{, inventory => 'shop.inventory')}, @app), 'reserved|0', "$name: all that there is is to be had");
	is($on->safe_psql($db, q{SELECT outcome, available FROM plinth_inventory.reserve('hot', 2, 100, inventory => 'shop.inventory')}, @app), 'reserved|0', "$name: overdue units are free");
	is($on->safe_psql($db, q{SELECT string_agg(outcome, ' ' ORDER BY n) FROM (SELECT 1 AS n, outcome FROM plinth_inventory.confirm('} . k(4) . q{', inventory => 'shop.inventory') UNION ALL SELECT 2, outcome FROM plinth_inventory.confirm('} . k(1) . q{', inventory => 'shop.inventory')
		UNION ALL SELECT 3, outcome FROM plinth_inventory.release('} . k(2) . q{', inventory => 'shop.inventory') UNION ALL SELECT 4, outcome FROM plinth_inventory.confirm('} . k(3) . q{', inventory => 'shop.inventory') UNION ALL SELECT 5, outcome FROM plinth_inventory.confirm('} . k(20) . q{', inventory => 'shop.inventory')) x}, @app),
		'expired confirmed released confirmed not_found', "$name: holds end as they would have");
	is($on->safe_psql($db, q{SELECT outcome FROM plinth_inventory.reserve(md5('1'), NULL::text, 99, inventory => 'shop.goods') UNION ALL SELECT outcome FROM plinth_inventory.reserve(md5('1'), NULL::text, 1, inventory => 'shop.goods')}, @app), "reserved\nsold_out", "$name: so are those of the other table");
	my ($rc, $out, $err) = $on->psql($db, "\\set VERBOSITY sqlstate\nUPDATE shop.inventory SET reserved = reserved + 1 WHERE (sku, warehouse_id) = ('hot', 2)", @app);
	like($err, qr/23514/, "$name: raw SQL is guarded");
	($rc, $out, $err) = $on->psql($db, "\\set VERBOSITY sqlstate\nDELETE FROM shop.inventory_movement");
	like($err, qr/PX003/, "$name: and so is the ledger");
	is($on->safe_psql($db, "SELECT wrong_when_folded('$_')"), '', "$name: everything agrees afterwards, $_") for @targets;
	is($on->safe_psql($db, q{SELECT plinth_inventory.set_mode('hot', 1, 'row', 'shop.inventory'), plinth_inventory.set_mode('cold', 1, 'escrow', 'shop.inventory'); SELECT plinth_inventory.disable('shop.goods', true); SELECT wrong('shop.inventory')}), "|\n\n", "$name: modes change, and a table is left");
	return;
}

dump_db('plain', 'plain.sql');
dump_db('custom', 'custom', '-Fc');
dump_db('directory', 'directory', '-Fd', '-j', '2');
dump_db('inserts', 'inserts.sql', '--inserts', '--rows-per-insert=3');
dump_db('schema only', 'schema.sql', '--schema-only');
dump_db('data only', 'data.sql', '--data-only');
dump_db('data only, triggers off', 'data_off.sql', '--data-only', '--disable-triggers');

for my $on ($node, $other, $young)
{
	my $where = 'on ' . $on->name;

	new_db($on, 'plain');
	restore_plain("plain, $where", $on, 'plain', 'plain.sql');
	restored("plain, $where", $on, 'plain');
	new_db($on, 'custom');
	$on->command_ok([ 'pg_restore', '-e', '-d', $on->connstr('custom'), "$dir/custom" ], "custom, $where: restores");
	restored("custom, $where", $on, 'custom');
}
new_db($other, 'parallel');
$other->command_ok([ 'pg_restore', '-e', '-j', '2', '-d', $other->connstr('parallel'), "$dir/directory" ], 'directory, in parallel: restores');
restored('directory, in parallel', $other, 'parallel');
new_db($other, 'inserts');
restore_plain('inserts', $other, 'inserts', 'inserts.sql');
restored('inserts', $other, 'inserts');
new_db($young, 'single');
$young->command_ok([ 'pg_restore', '-e', '--single-transaction', '-d', $young->connstr('single'), "$dir/custom" ], 'in one transaction: restores');
restored('in one transaction', $young, 'single');

cmp_ok($young->safe_psql('postgres', $xid) + 5000, '<', $node->safe_psql('postgres', $xid), 'transaction ids there are far behind');
cmp_ok($other->safe_psql('postgres', $xid), '>', $node->safe_psql('postgres', $xid) + 5000, 'or far ahead');

# Data into a schema that is there already.
for my $on ($node, $other)
{
	my $where = 'on ' . $on->name;

	new_db($on, 'off');
	restore_plain("schema only, $where", $on, 'off', 'schema.sql');
	restore_plain("data only, triggers off, $where", $on, 'off', 'data_off.sql');
	is($on->safe_psql('off', $stock), $node->safe_psql('src', $stock), "data only, triggers off, $where: the view is exact");
	$on->safe_psql('off', "SELECT plinth_inventory.repair('$_')") for @targets;
	restored("data only, triggers off, repaired, $where", $on, 'off');
}
# With triggers on it is refused, or right.
new_db($other, 'data');
restore_plain('schema only', $other, 'data', 'schema.sql');
my ($rc, $out, $err) = $other->psql('data', "\\set ON_ERROR_STOP on\n\\i $dir/data.sql\n");
if ($rc == 0)
{
	restored('data only', $other, 'data');
}
else
{
	like($err, qr/duplicate key|plinth_inventory|cannot be changed/, 'data only, triggers on: refused');
}

# One table with its companions.
dump_db('one table', 'table', '-Fc', '-t', 'shop.inventory', '-t', 'shop.inventory_*');
new_db($other, 'tab');
$other->safe_psql('tab', 'CREATE EXTENSION plinth_inventory; CREATE SCHEMA shop AUTHORIZATION keeper; GRANT USAGE ON SCHEMA shop TO app');
$other->command_ok([ 'pg_restore', '-e', '-d', $other->connstr('tab'), "$dir/table" ], 'one table: restores');
is($other->safe_psql('tab', $stock), $node->safe_psql('src', $stock), 'one table: the same stock');
is($other->safe_psql('tab', q{SELECT * FROM plinth_inventory.check('shop.inventory')}), '', 'one table: nothing is wrong');

# A logical subscriber, with its schema from a dump.
$node->safe_psql('src', 'CREATE PUBLICATION pub FOR TABLE shop.inventory, shop.inventory_reservation, shop.inventory_movement, shop.inventory_cell');
new_db($other, 'sub');
restore_plain('subscriber: schema', $other, 'sub', 'schema.sql');
inventory_judge($other, 'sub') unless $other->safe_psql('sub', q{SELECT count(*) FROM pg_proc WHERE proname = 'wrong'});
$open->query_safe('COMMIT');
my $from = $node->connstr . ' dbname=src';
$other->safe_psql('sub', "CREATE SUBSCRIPTION sub CONNECTION '$from' PUBLICATION pub");
$other->wait_for_subscription_sync($node, 'sub', 'sub');
is($other->safe_psql('sub', $stock), $node->safe_psql('src', $stock), 'subscriber: the same stock after the first copy');
$node->safe_psql('src', q{
	SELECT plinth_inventory.reserve('hot', 1, 2, md5('r' || g)::uuid, inventory => 'shop.inventory'), plinth_inventory.reserve('cold', 1, 1, md5('c' || g)::uuid, inventory => 'shop.inventory') FROM generate_series(1, 6) g;
	SELECT plinth_inventory.confirm(md5('r' || g)::uuid, inventory => 'shop.inventory') FROM generate_series(1, 3) g;
	SELECT plinth_inventory.fold('shop.inventory');
	SELECT plinth_inventory.release(md5('c' || g)::uuid, inventory => 'shop.inventory') FROM generate_series(1, 3) g;
	UPDATE shop.inventory SET quantity = quantity + 3;
	SELECT plinth_inventory.set_mode('cold', 2, 'escrow', 'shop.inventory');
	SELECT plinth_inventory.adjust('hot', 2, 42, inventory => 'shop.inventory');
	INSERT INTO shop.inventory VALUES ('new', 1, 9);
	SELECT plinth_inventory.reserve('cold', 2, 5, inventory => 'shop.inventory');});
$node->wait_for_catchup('sub');
for my $query ($stock, $holds, $cells, $ledger)
{
	my $there = $other->safe_psql('sub', $query);
	ok($there ne '' && $there eq $node->safe_psql('src', $query), 'subscriber: ' . substr($query, 0, 60)) or diag($there, "\n-- should be --\n", $node->safe_psql('src', $query));
}
is($other->safe_psql('sub', q{SELECT * FROM plinth_inventory.check('shop.inventory')}), '', 'subscriber: nothing is wrong');
# It becomes the only server.
$other->safe_psql('sub', 'DROP SUBSCRIPTION sub');
is($other->safe_psql('sub', q{SELECT plinth_inventory.repair('shop.inventory')}), 1, 'subscriber on its own: the sequence of the ledger is set on');
my $free = $other->safe_psql('sub', q{SELECT available FROM shop.inventory_available WHERE (sku, warehouse) = ('hot', 1)});
is($other->safe_psql('sub', qq{SELECT outcome, available FROM plinth_inventory.reserve('hot', 1, $free + 1, inventory => 'shop.inventory')}), "sold_out|$free", 'subscriber on its own: one more than there is is sold out');
is($other->safe_psql('sub', qq{SELECT outcome, available FROM plinth_inventory.reserve('hot', 1, $free, inventory => 'shop.inventory')}), 'reserved|0', 'subscriber on its own: all that there is is to be had');
is($other->safe_psql('sub', q{SELECT wrong_when_folded('shop.inventory')}), '', 'subscriber on its own: everything agrees');

# The source was not changed by any of this.
inventory_ok($node, 'source', db => 'src', target => $_) for @targets;

done_testing();
