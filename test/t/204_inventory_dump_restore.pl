# A dump of an inventory, made and restored in any of the usual ways, within a cluster and into another, has all units, holds, limits and guards, and sells what is free to the last unit, whether it was folded or not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run;
use PlinthTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->start;
my $dir = $node->basedir;
isnt($node->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()'),
	$other->safe_psql('postgres', 'SELECT system_identifier FROM pg_control_system()'), 'another cluster is another system');

$_->safe_psql('postgres', 'CREATE ROLE app LOGIN') for $node, $other;
$node->safe_psql('postgres', 'CREATE DATABASE src');
$node->safe_psql('src', 'CREATE EXTENSION plinth_inventory; CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO app');
inventory_judge($node, 'src');
# A table with warehouses, in both modes, and one without and with other names; both were folded once and have gone on.
$node->safe_psql('src', q{
	SET search_path = shop, public;
	CREATE TABLE inventory (
		sku varchar(50), warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
		version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
	CREATE TABLE "Seat" (id uuid PRIMARY KEY, n bigint NOT NULL, taken bigint NOT NULL, v bigint NOT NULL);
	INSERT INTO inventory VALUES ('hot', 1, 500, 3), ('hot', 2, 200, 0), ('cold', 1, 300, 4), ('cold', 2, 30, 0), ('beyond', 1, 10, 0);
	INSERT INTO "Seat" SELECT ('00000000-0000-0000-0000-00000000000' || g)::uuid, 100 * g, g, 7 FROM generate_series(1, 3) g;
	GRANT SELECT, UPDATE ON inventory, "Seat" TO app;
	SELECT plinth_inventory.enable('inventory');
	SELECT plinth_inventory.enable('"Seat"', 'id', NULL, 'n', 'taken', 'v', mode => 'escrow');
	SELECT plinth_inventory.set_mode('hot', g, 'escrow', inventory => 'inventory'), plinth_inventory.limits('hot', g, safety_stock => 5 * g, priority => -g, inventory => 'inventory') FROM generate_series(1, 2) g;
	SELECT plinth_inventory.set_mode('beyond', 1, 'escrow', inventory => 'inventory'), plinth_inventory.limits('beyond', 1, 6, inventory => 'inventory');
	CREATE FUNCTION shop.deals(n int) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			k uuid;
			c record;
		BEGIN
			FOR c IN SELECT 'shop.inventory'::regclass AS t, sku::text, warehouse::text FROM shop.inventory_cell UNION ALL SELECT 'shop."Seat"', sku::text, NULL FROM shop."Seat_cell" LOOP
				FOR g IN 1 .. 4 LOOP
					k := md5(format('%s %s %s %s', c, n, g, c.t))::uuid;
					PERFORM plinth_inventory.reserve(c.sku, c.warehouse, 1 + (g + n) % 2, key => k, owner => 'o' || g, ttl => CASE g WHEN 3 THEN '1 microsecond' WHEN 4 THEN '1 day' END::interval, inventory => c.t);
					PERFORM plinth_inventory.confirm(k, inventory => c.t) WHERE g = 1;
					PERFORM plinth_inventory.release(k, 1, inventory => c.t) WHERE g = 2 AND n % 2 = 0;
				END LOOP;
				PERFORM plinth_inventory.receive(c.sku, c.warehouse, n, 'delivery', inventory => c.t);
			END LOOP;
		END$$;
	SELECT shop.deals(1);
	SELECT plinth_inventory.fold('inventory'), plinth_inventory.fold('"Seat"');
	SELECT shop.deals(2);
	UPDATE inventory SET reserved = reserved + 1 WHERE sku IN ('hot', 'cold');});

my @tables = ('shop.inventory', 'shop."Seat"');
my %of = ('shop.inventory' => [ 'shop.inventory', 'shop.inventory_reservation', 'shop.inventory_movement', 'shop.inventory_cell', 'shop.inventory_available' ],
	'shop."Seat"' => [ 'shop."Seat"', 'shop."Seat_reservation"', 'shop."Seat_movement"', 'shop."Seat_cell"', 'shop."Seat_available"' ]);
my $triggers = q{SELECT tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(oid), obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgrelid::regclass::text, tgname};
my $rights = q{SELECT oid::regclass, relkind, pg_get_userbyid(relowner), relacl FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'v', 'S') ORDER BY oid::regclass::text};
my $status = q{SELECT * FROM plinth_inventory.status ORDER BY target::text};
my $behind = q{SELECT count(*) > 0 FROM shop.inventory i JOIN shop.inventory_available a ON (a.sku, a.warehouse) = (i.sku, i.warehouse_id) WHERE (a.quantity, a.reserved) <> (i.quantity, i.reserved)};
my %src;

sub look
{
	my ($from, $db) = @_;
	return map { $_ => scalar $from->safe_psql($db, $_) } $status, $triggers, $rights, $behind,
	  map { ("SELECT count(*) FROM $_", "SELECT * FROM $_ x ORDER BY x::text") } map { @{ $of{$_} } } @tables;
}
my $sellable = q{SELECT sum(greatest(available, 0)) FROM (SELECT available FROM shop.inventory_available UNION ALL SELECT available FROM shop."Seat_available") x};

# What must be true of a restored database, which is used up.
sub restored
{
	my ($name, $to, $db, %args) = @_;
	my %here = look($to, $db);
	for my $query (sort keys %src)
	{
		next if $args{repaired} && $query =~ /movement|_cell/;
		is($here{$query}, $src{$query}, "$name: $query");
	}
	is($to->safe_psql($db, qq{SELECT * FROM plinth_inventory.check('$_')}), '', "$name: nothing is wrong with $_") for @tables;
	is($to->safe_psql($db, q{SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE '%plinth_inventory%' AND tgenabled <> 'A'}), '', "$name: triggers are in force always");
	for my $table (@tables)
	{
		my ($rc, $out, $err) = $to->psql($db, "\\set VERBOSITY sqlstate\nDELETE FROM $of{$table}[1]");
		like($err, qr/PX003/, "$name: reservations of $table are guarded");
	}

	# A claim as the first touch, by one who may no more than UPDATE and SELECT.
	is($to->safe_psql($db, q{
			BEGIN;
			SET ROLE app;
			SELECT outcome FROM plinth_inventory.reserve('hot', 1, 1, inventory => 'shop.inventory');
			SELECT outcome FROM plinth_inventory.reserve('00000000-0000-0000-0000-000000000001', NULL::text, 1, inventory => 'shop."Seat"');
			ROLLBACK;}), "reserved\nreserved", "$name: a first claim");
	is($to->safe_psql($db, "BEGIN; SELECT missold('$_'); ROLLBACK"), '', "$name: what is free of $_ can be sold, and no more") for @tables;
	my $free = $to->safe_psql($db, $sellable);
	$to->safe_psql($db, 'SELECT shop.deals(3)');
	cmp_ok($to->safe_psql($db, $sellable), '<', $free + 3 * 8, "$name: it goes on");
	for my $table (@tables)
	{
		inventory_ok($to, "$name, $table", db => $db, target => $table);
		is($to->safe_psql($db, "SELECT missold('$table')"), '', "$name: all of $table is sold");
		inventory_ok($to, "$name, $table, sold out", db => $db, target => $table);
	}
	is($to->safe_psql($db, $sellable), '0', "$name: and nothing is left");
}

sub dump_db
{
	my ($file, @args) = @_;
	$node->command_ok([ 'pg_dump', '-f', "$dir/$file", @args, $node->connstr('src') ], "dump: $file");
}

sub restore_plain
{
	my ($name, $to, $db, $file) = @_;
	$to->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$file", $to->connstr($db) ], "$name: restores");
}

%src = look($node, 'src');
is($src{$behind}, 't', 'source: there is a tail');
is($node->safe_psql('src', "SELECT wrong('$_')"), '', "source: everything of $_ agrees") for @tables;
dump_db('plain.sql');
dump_db('custom', '-Fc');
dump_db('schema.sql', '--schema-only');
dump_db('data.sql', '--data-only', '--disable-triggers');

for my $to ($node, $other)
{
	my $where = $to->name;
	$to->safe_psql('postgres', "CREATE DATABASE $_") for qw(plain custom data);

	restore_plain("plain, $where", $to, 'plain', 'plain.sql');
	restored("plain, $where", $to, 'plain');

	$to->command_ok([ 'pg_restore', '-e', '-j', '2', '-d', $to->connstr('custom'), "$dir/custom" ], "custom, $where: restores in parallel");
	restored("custom, $where", $to, 'custom');

	# Data alone; then repair().
	restore_plain("schema, $where", $to, 'data', 'schema.sql');
	restore_plain("data, $where", $to, 'data', 'data.sql');
	$to->safe_psql('data', "SELECT plinth_inventory.repair('$_')") for @tables;
	restored("data, $where", $to, 'data', repaired => 1);
}

# Of a dump that is made while clients are at work all is there or nothing.
my ($out, $err) = ('', '');
append_to_file("$dir/deal.sql", "\\set n random(100, 1000000000)\nSELECT plinth_inventory.reserve('hot', 1 + :n % 2, 1, inventory => 'shop.inventory');\nSELECT plinth_inventory.receive('hot', 1 + :n % 2, 1, inventory => 'shop.inventory');\n");
append_to_file("$dir/fold.sql", "SELECT plinth_inventory.fold('shop.inventory');\n");
my $bench = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', '3', '-f', "$dir/deal.sql\@20", '-f', "$dir/fold.sql\@1", '-h', $node->host, '-p', $node->port, 'src' ],
	'<', \undef, '>', \$out, '2>', \$err);
my $before = $node->safe_psql('src', 'SELECT count(*) FROM shop.inventory_reservation');
$node->poll_query_until('src', "SELECT count(*) > $before + 100 FROM shop.inventory_reservation") or die "pgbench writes nothing: $err";
dump_db('busy', '-Fc');
$bench->finish;
unlike($err, qr/ERROR/, 'clients that are at work meet no error') or diag($err);
for my $to ($node, $other)
{
	my $name = 'busy, ' . $to->name;
	$to->safe_psql('postgres', 'CREATE DATABASE busy');
	$to->command_ok([ 'pg_restore', '-e', '-d', $to->connstr('busy'), "$dir/busy" ], "$name: restores");
	cmp_ok($to->safe_psql('busy', 'SELECT count(*) FROM shop.inventory_reservation'), '>', $before, "$name: with what has come meanwhile");
	is($to->safe_psql('busy', "BEGIN; SELECT missold('shop.inventory'); ROLLBACK"), '', "$name: what is free can be sold, and no more");
	inventory_ok($to, $name, db => 'busy', target => 'shop.inventory');
}

done_testing();
