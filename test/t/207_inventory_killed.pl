# Backends and the postmaster are killed with signal 9 under load and in the middle of transactions: after recovery every acknowledged reservation is there, no other unit is gone, counters are made anew from the tables and claims are right at once.

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
	"restart_after_crash = on\nautovacuum = off\ndeadlock_timeout = 20ms\nmax_prepared_transactions = 5\nlog_min_messages = warning");
$node->start;
inventory_shop($node);
inventory_ok($node, 'at first');

# Whether the server is there again; connections fail meanwhile.
sub wait_back
{
	for (1 .. 1800)
	{
		my ($rc, $out) = $node->psql('postgres', 'SELECT NOT pg_is_in_recovery()', timeout => 10, timed_out => \my $late);
		return if $rc == 0 && $out eq 't';
		select undef, undef, undef, 0.1;
	}
	die 'the server does not come back';
}

# Everything that was committed is there, and everything else is not.
sub judge
{
	my ($name, @files) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($node->safe_psql('postgres', q{SELECT count(*) FROM plinth_inventory.cells WHERE state <> 'unloaded'}), 0, "$name: no counter has outlived it");
	my @acknowledged = map { grep { /^\w+ \d+ \d+$/ } split /\n/, slurp_file($_) } @files;
	cmp_ok(scalar @acknowledged, '>', 20, "$name: " . @acknowledged . ' transactions were acknowledged');
	my $keys = join ',', map { "('$_')" } @acknowledged;
	is($node->safe_psql('postgres', qq{
			CREATE TEMP TABLE k AS SELECT md5(v)::uuid AS key FROM (VALUES $keys) x (v);
			SELECT count(*) FROM k WHERE abs(hashtext(key::text)) % 1000 % 50 NOT IN (7, 8) AND NOT EXISTS (SELECT FROM told t WHERE t.key = k.key)}),
		0, "$name: none of them is lost");
	is($node->safe_psql('postgres', 'SELECT * FROM betrayed() LIMIT 5'), '', "$name: what was told is what is there");
	is($node->safe_psql('postgres', 'BEGIN; SELECT * FROM unsellable(); ROLLBACK'), '', "$name: all that is free can be sold, and no more");
	inventory_ok($node, $name);
	return;
}

# A backend, three times: one that works; one that has units in an open transaction; one that changes the mode of a SKU.
for my $round (1 .. 3)
{
	my $victim;
	my $session;
	my $before = $node->safe_psql('postgres', 'SELECT coalesce(sum(quantity), 0) FROM told');
	my ($files, $runs) = inventory_clients($node, "backend$round", 6);
	$node->poll_query_until('postgres', "SELECT sum(quantity) > $before + 300 FROM told") or die 'nothing is sold';
	if ($round == 1)
	{
		$victim = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%buy(%' AND pid <> pg_backend_pid() ORDER BY state = 'active' DESC LIMIT 1});
	}
	else
	{
		$session = $node->background_psql('postgres');
		$victim = $session->query_safe('SELECT pg_backend_pid()');
		$session->query_safe(
			$round == 2
			? q{BEGIN; SELECT plinth_inventory.reserve('hot', 2, 40, owner => 'open'); SAVEPOINT s; SELECT plinth_inventory.release(key) FROM inventory_reservation WHERE finished_at IS NULL AND expires_at IS NULL AND sku = 'cold' LIMIT 3; SELECT plinth_inventory.receive('hot', 2, 1000)}
			: q{BEGIN; SELECT plinth_inventory.set_mode('hot', 2, 'row'); UPDATE inventory SET quantity = quantity + 1000 WHERE (sku, warehouse_id) = ('hot', 2)});
	}
	kill 9, $victim;
	$_->finish for @$runs;
	eval { $session->{run}->finish } if $session;
	wait_back();
	judge("backend killed, round $round", @$files);
	is($node->safe_psql('postgres', q{SELECT quantity, reserved, available FROM inventory_available WHERE (sku, warehouse) = ('hot', 2)}), '50|0|50', "round $round: nothing is left of an open transaction") if $round > 1;
}

# The postmaster, with everybody at work, a transaction open and another prepared.
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; SELECT plinth_inventory.reserve('hot', 2, 50, owner => 'open')});
$node->safe_psql('postgres', q{
	INSERT INTO inventory VALUES ('prepared', 1, 10);
	BEGIN;
	SELECT plinth_inventory.reserve('prepared', 1, 4, 'aaaaaaaa-0000-0000-0000-000000000001', owner => 'prepared');
	PREPARE TRANSACTION 'one';});
my ($files, $runs) = inventory_clients($node, 'postmaster', 6);
my $sold = $node->safe_psql('postgres', 'SELECT sum(quantity) FROM told');
$node->poll_query_until('postgres', "SELECT sum(quantity) > $sold + 300 FROM told") or die 'nothing is sold';
$node->kill9;
$_->finish for @$runs;
eval { $session->{run}->finish };
# Its children need a moment to notice.
for (1 .. 600)
{
	last if $node->start(fail_ok => 1);
	select undef, undef, undef, 0.1;
	$node->stop('fast', fail_ok => 1);
}
wait_back();
$node->safe_psql('postgres', q{COMMIT PREPARED 'one'});
is($node->safe_psql('postgres', q{SELECT quantity, reserved, available FROM inventory_available WHERE sku = 'prepared'}), '10|4|6', 'a prepared claim in mode row survives, and is committed');
judge('postmaster killed', @$files);
is($node->safe_psql('postgres', q{SELECT quantity, reserved, available FROM inventory_available WHERE (sku, warehouse) = ('hot', 2)}), '50|0|50', 'postmaster killed: nothing is left of an open transaction');

# Twice in a row, with no work between, and a long tail to load from.
$node->safe_psql('postgres', q{
	INSERT INTO inventory VALUES ('tail', 1, 20000);
	SELECT plinth_inventory.set_mode('tail', 1, 'escrow');
	SELECT count(*) FROM generate_series(1, 10000) g, plinth_inventory.reserve('tail', 1, 1, md5(g::text)::uuid, owner => 'tail');});
crash($node);
crash($node);
is($node->safe_psql('postgres', q{SELECT outcome, available FROM plinth_inventory.reserve('tail', 1, 1, owner => 'tail')}), 'reserved|9999', 'a counter is made from a tail of 10,000 rows');
is($node->safe_psql('postgres', q{SELECT plinth_inventory.fold('inventory'); SELECT quantity, reserved FROM inventory WHERE sku = 'tail'}) =~ s/^\d+\n//r, '20000|10001', 'which is folded');

# All goes on.
($files, $runs) = inventory_clients($node, 'after', 2);
$sold = $node->safe_psql('postgres', 'SELECT sum(quantity) FROM told');
$node->poll_query_until('postgres', "SELECT sum(quantity) > $sold + 100 FROM told") or die 'nothing is sold';
$node->stop('immediate');
$_->finish for @$runs;
$node->start;
judge('after an immediate stop', @$files);
amcheck_ok($node, 'public.inventory*', 'heap and indexes agree');

done_testing();
