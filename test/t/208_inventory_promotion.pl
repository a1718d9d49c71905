# A standby reads the same exact stock as the primary, at any moment under load, and writes nothing; promoted in mid-load, it makes counters from its tables, oversells nothing, loses nothing that has arrived, and sells on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PlinthTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "deadlock_timeout = 20ms\nautovacuum = off\nlog_min_messages = warning");
$primary->start;
inventory_shop($primary);
# An overdue hold and one that lives, in either mode, and a tail that is not folded.
$primary->safe_psql('postgres', q{
	INSERT INTO inventory VALUES ('still', 1, 10), ('still', 2, 10);
	SELECT plinth_inventory.set_mode('still', 1, 'escrow'), plinth_inventory.limits('still', 1, 2, 1);
	SELECT plinth_inventory.reserve('still', w, 3, md5('live' || w)::uuid, owner => 'still'), plinth_inventory.reserve('still', w, 2, md5('late' || w)::uuid, ttl => '1 microsecond', owner => 'still') FROM generate_series(1, 2) w;
	SELECT plinth_inventory.confirm(md5('live' || w)::uuid, 1) FROM generate_series(1, 2) w;});

$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\nhot_standby_feedback = on");
$standby->start;
$primary->wait_for_catchup($standby);

# Reads.
for my $read (
	'SELECT * FROM inventory_available ORDER BY sku, warehouse',
	q{SELECT sku, warehouse, plinth_inventory.available(sku, warehouse), plinth_inventory.available(sku) FROM inventory_cell ORDER BY 1, 2},
	q{SELECT * FROM plinth_inventory.status},
	q{SELECT * FROM ledger('inventory') ORDER BY 1, 2})
{
	my $there = $standby->safe_psql('postgres', $read);
	ok($there ne '' && $there eq $primary->safe_psql('postgres', $read), "standby: $read");
}
is($standby->safe_psql('postgres', q{SELECT * FROM plinth_inventory.check('inventory')}), '', 'standby: check() finds nothing');
is($standby->safe_psql('postgres', q{SELECT wrong('inventory')}), '', 'standby: nor does anybody else');
is($standby->safe_psql('postgres', q{SELECT available FROM inventory_available WHERE sku = 'still' ORDER BY warehouse}), "8\n7", 'standby: overdue holds are free');

# No writes, and no harm in trying.
my $whole = q{SELECT md5(string_agg(x::text, ' ' ORDER BY x::text)) FROM (SELECT v::text AS x FROM inventory_available v UNION ALL SELECT r::text FROM inventory_reservation r) y};
my $before = $standby->safe_psql('postgres', $whole);
for my $write (
	q{SELECT plinth_inventory.reserve('hot', 1, 1)}, q{SELECT plinth_inventory.reserve('cold', 1, 1)}, q{SELECT plinth_inventory.reserve('still', 1, 8)}, q{SELECT plinth_inventory.reserve('hot', 1, 1000000)},
	q{SELECT plinth_inventory.reserve_order(ARRAY[('hot', NULL, 1, NULL)]::plinth_inventory.line[])}, q{SELECT plinth_inventory.replace_hold('still', ARRAY[('hot', NULL, 1, NULL)]::plinth_inventory.line[])},
	q{SELECT plinth_inventory.confirm(md5('live1')::uuid)}, q{SELECT plinth_inventory.release(md5('live2')::uuid)}, q{SELECT plinth_inventory.extend(md5('live1')::uuid, '1 hour')}, q{SELECT plinth_inventory.expire()},
	q{SELECT plinth_inventory.receive('hot', 1, 1)}, q{SELECT plinth_inventory.adjust('hot', 1, 1)}, q{SELECT plinth_inventory.transfer('hot', 1, 2, 1)}, q{SELECT plinth_inventory.limits('hot', 1, 1)},
	q{SELECT plinth_inventory.set_mode('hot', 1, 'row')}, q{SELECT plinth_inventory.fold()}, q{SELECT plinth_inventory.repair('inventory')}, q{SELECT plinth_inventory.purge('inventory', now())}, q{SELECT plinth_inventory.disable('inventory')},
	q{UPDATE inventory SET quantity = quantity + 1}, q{TRUNCATE inventory}, q{DELETE FROM inventory_reservation})
{
	my ($rc, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\n$write");
	like($err, qr/25006/, "standby: refused as any write: $write");
}
is($standby->safe_psql('postgres', $whole), $before, 'standby: nothing came of it');

# Under load each snapshot of the standby is exact.
my ($files, $runs) = inventory_clients($primary, 'load', 4);
for my $n (1 .. 15)
{
	my $sold = $standby->safe_psql('postgres', 'SELECT count(*) FROM told');
	$standby->poll_query_until('postgres', "SELECT count(*) > $sold + 100 FROM told") or die 'nothing arrives';
	is($standby->safe_psql('postgres', q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT wrong('inventory'); SELECT * FROM betrayed() LIMIT 3; COMMIT}), '', "standby under load, look $n: exact");
}

# The primary goes, in mid-load.
my $arrived = $standby->safe_psql('postgres', 'SELECT sum(quantity) FROM told');
$primary->stop('immediate');
$_->finish for @$runs;
$standby->promote;
cmp_ok($standby->safe_psql('postgres', 'SELECT sum(quantity) FROM told'), '>=', $arrived, 'promoted: what had arrived is there');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM plinth_inventory.cells}), 0, 'promoted: no counter yet');
is($standby->safe_psql('postgres', q{SELECT wrong('inventory')}), '', 'promoted: everything agrees');
is($standby->safe_psql('postgres', 'SELECT * FROM betrayed() LIMIT 5'), '', 'promoted: what was told is what is there');
is($standby->safe_psql('postgres', q{SELECT outcome, available, replayed FROM plinth_inventory.reserve('still', 1, 3, md5('live1')::uuid, owner => 'still')}), 'reserved||t', 'promoted: keys are remembered');
is($standby->safe_psql('postgres', q{SELECT outcome, available FROM plinth_inventory.reserve('still', 1, 9, owner => 'still')}), 'sold_out|8', 'promoted: the first claim is right: nine of eight are not to be had');
is($standby->safe_psql('postgres', q{SELECT outcome, available FROM plinth_inventory.reserve('still', 1, 8, owner => 'still')}), 'reserved|0', 'promoted: eight are, overdue ones among them');
is($standby->safe_psql('postgres', q{SELECT outcome FROM plinth_inventory.confirm(md5('late1')::uuid)}), 'expired', 'promoted: whose hold is over');
is($standby->safe_psql('postgres', 'BEGIN; SELECT * FROM unsellable(); ROLLBACK'), '', 'promoted: all that is free can be sold, and no more');

# It sells on.
($files, $runs) = inventory_clients($standby, 'promoted', 4);
my $sold = $standby->safe_psql('postgres', 'SELECT sum(quantity) FROM told');
$standby->poll_query_until('postgres', "SELECT sum(quantity) > $sold + 1000 FROM told") or die 'nothing is sold';
$standby->stop('fast');
$_->finish for @$runs;
$standby->start;
is($standby->safe_psql('postgres', 'SELECT * FROM betrayed() LIMIT 5'), '', 'sold on: what was told is what is there');
inventory_ok($standby, 'sold on');

# The old primary comes back as a server of its own: its counters are its own.
$primary->start;
is($primary->safe_psql('postgres', 'BEGIN; SELECT * FROM unsellable(); ROLLBACK'), '', 'the old one: all that is free can be sold, and no more');
inventory_ok($primary, 'the old one');

done_testing();
