# A backend that is killed, an immediate stop and terminated backends, all of them under load: what clients were told is there, nothing is oversold, counters are made again as the tables are, and what is free can be sold to the last unit.

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
$node->append_conf('postgresql.conf', "restart_after_crash = on\ndeadlock_timeout = 20ms\nautovacuum_naptime = 1s");
$node->start;
my $dir = $node->basedir;

# S1 never runs out, S2 always does, S3 is in row mode.
$node->safe_psql('postgres', q{
	CREATE EXTENSION plinth_inventory;
	CREATE TABLE inventory (
		sku text, warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
		version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
	INSERT INTO inventory SELECT 'S' || s, w, (ARRAY[50000, 60, 3000])[s] FROM generate_series(1, 3) s, generate_series(1, 2) w;
	SELECT plinth_inventory.enable('inventory', mode => 'escrow');
	SELECT plinth_inventory.set_mode('S3', w, 'row') FROM generate_series(1, 2) w;
	SELECT plinth_inventory.limits('S2', 1, 5, 2);
	CREATE TABLE told (what text, key uuid, quantity int);});
inventory_judge($node);

# What a client was told, it writes down when it has been told that it is committed, or rolled back.
append_to_file("$dir/deal.sql", <<"END_OF_SCRIPT");
\\set s random(1, 10)
\\set sku case when :s <= 6 then 1 when :s <= 9 then 2 else 3 end
\\set w random(1, 2)
\\set q random(1, 3)
\\set way random(1, 10)
\\if :way <= 2
BEGIN;
SELECT key FROM plinth_inventory.reserve('S' || :sku, :w, :q) \\gset
ROLLBACK;
\\shell echo undone :key :q >> $dir/told
\\else
BEGIN;
SAVEPOINT s;
SELECT key AS other FROM plinth_inventory.reserve('S' || :sku, :w, :q) \\gset
\\if :way <= 5
ROLLBACK TO s;
\\endif
SELECT key, (outcome = 'reserved')::int AS got FROM plinth_inventory.reserve('S' || :sku, :w, :q, ttl => CASE WHEN :way = 10 THEN '1 microsecond' ELSE '1 hour' END::interval) \\gset
COMMIT;
\\if :way <= 5
\\shell echo undone :other :q >> $dir/told
\\endif
\\if :got = 1
\\shell echo reserved :key :q >> $dir/told
\\if :way <= 4
SELECT (outcome = 'confirmed')::int AS done FROM plinth_inventory.confirm(':key') \\gset
\\if :done = 1
\\shell echo confirmed :key :q >> $dir/told
\\endif
\\elif :way <= 8
SELECT (outcome = 'released')::int AS done FROM plinth_inventory.release(':key') \\gset
\\if :done = 1
\\shell echo released :key :q >> $dir/told
\\endif
\\endif
\\endif
\\endif
END_OF_SCRIPT
append_to_file("$dir/upkeep.sql", "SELECT plinth_inventory.fold();\nSELECT plinth_inventory.expire(20);\n");

# Eight clients at work, and one that has taken many units in a transaction that stays open.
my ($out, $err, $open);
sub load
{
	my ($seconds) = @_;
	($out, $err) = ('', '');
	unlink "$dir/told";
	$node->safe_psql('postgres', q{SELECT plinth_inventory.receive('S2', w, 30) FROM generate_series(1, 2) w});
	$open = $node->background_psql('postgres');
	$open->query_safe(q{
		BEGIN;
		SELECT plinth_inventory.reserve('S1', 1, 500);
		SAVEPOINT s;
		SELECT plinth_inventory.reserve('S2', 2, 5);});
	my $bench = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '8', '-j', '8', '-T', $seconds, '-f', "$dir/deal.sql\@60", '-f', "$dir/upkeep.sql\@1", '-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err, init => sub { $ENV{PGAPPNAME} = 'pgbench' });
	for (1 .. 200)
	{
		return $bench if -e "$dir/told" && -s "$dir/told" > 20000;
		select undef, undef, undef, 0.1;
	}
	die "clients are told nothing: $out $err";
}

# What must be true after it.
sub right
{
	my ($name) = @_;
	$node->safe_psql('postgres', "TRUNCATE told;\n\\copy told FROM '$dir/told' (DELIMITER ' ')");
	is($node->safe_psql('postgres', q{SELECT bool_and(n > 20) FROM (SELECT count(t.*) AS n FROM unnest('{reserved,confirmed,released,undone}'::text[]) w LEFT JOIN told t ON t.what = w GROUP BY w) x}),
		't', "$name: clients were told of everything");
	is($node->safe_psql('postgres', q{
			SELECT t.*, r FROM told t LEFT JOIN inventory_reservation r USING (key)
			WHERE CASE t.what WHEN 'undone' THEN r.key IS NOT NULL ELSE r.quantity IS DISTINCT FROM t.quantity END
				OR t.what IN ('confirmed', 'released') AND r.outcome IS DISTINCT FROM t.what
			LIMIT 5}),
		'', "$name: what they were told is there, what was rolled back is not");
	is($node->safe_psql('postgres', q{SELECT * FROM plinth_inventory.check('inventory')}), '', "$name: nothing is wrong");

	# A claim that is rolled back lets every counter be made.
	$node->safe_psql('postgres', 'BEGIN; SELECT plinth_inventory.reserve(sku, warehouse, 1) FROM inventory_cell; ROLLBACK');
	is($node->safe_psql('postgres', q{
			SELECT c.sku, c.warehouse, s.state, s.pins, s.free, a.available, a.overdue
			FROM inventory_cell c JOIN inventory_available a USING (sku, warehouse) LEFT JOIN plinth_inventory.cells s USING (generation)
			WHERE c.mode = 'escrow' AND (s.state, s.pins, s.free) IS DISTINCT FROM ('ready', 0, a.available - a.overdue)}),
		'', "$name: counters are as the tables are");
	is($node->safe_psql('postgres', q{BEGIN; SELECT missold('inventory'); ROLLBACK}), '', "$name: what is free can be sold, and no more");
	inventory_ok($node, $name);
	is($node->safe_psql('postgres', q{BEGIN; SELECT missold('inventory'); ROLLBACK}), '', "$name: also after it is folded");
}

# A backend is killed: the others are thrown out.
for my $round (1 .. 2)
{
	my $bench = load(60);
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' ORDER BY state, random() LIMIT 1});
	is(kill(9, $pid), 1, 'a backend is killed');
	eval { $bench->finish };
	eval { $open->{run}->finish };
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	is($node->safe_psql('postgres', 'SELECT count(*) FROM plinth_inventory.cells'), '0', "killed $round: no counter is left") if $round == 1;
	right("killed $round");
}

# The server is stopped at once.
for my $round (1 .. 2)
{
	my $bench = load(60);
	$node->safe_psql('postgres', 'CHECKPOINT') if $round == 2;
	$node->stop('immediate');
	eval { $bench->finish };
	eval { $open->{run}->finish };
	$node->start;
	right("stopped $round");
}

# Backends are terminated: others go on, and counters with them.
my $bench = load(3);
my $terminated = 0;
for (1 .. 6)
{
	$terminated += $node->safe_psql('postgres', q{
		SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
		FROM (SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' ORDER BY state, random() LIMIT 1) x});
	select undef, undef, undef, 0.1;
}
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE '%SELECT plinth_inventory.reserve%' AND state = 'idle in transaction' AND application_name <> 'pgbench'});
eval { $bench->finish };
eval { $open->{run}->finish };
is($terminated, 6, 'backends are terminated');
like($out, qr/number of transactions actually processed/, 'other clients go on to the end');
unlike($err, qr/ERROR:/, 'and meet no error') or diag($err);
right('terminated');

# For good.
is($node->safe_psql('postgres', q{SELECT missold('inventory')}), '', 'all is sold');
is($node->safe_psql('postgres', 'SELECT DISTINCT available FROM inventory_available'), '0', 'and nothing is left');
crash($node);
is($node->safe_psql('postgres', q{SELECT DISTINCT (plinth_inventory.reserve(sku, warehouse, 1)).outcome FROM inventory_cell}), 'sold_out', 'nor after another crash');
inventory_ok($node, 'in the end');
amcheck_ok($node, 'public.inventory*', 'heaps and indexes agree');

done_testing();
