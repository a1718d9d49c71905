# A claim in mode row may be prepared: its units, its key and its row stay taken, across a crash too, until it is committed or rolled back, and then everything is right. What has used a counter cannot be prepared, and leaves nothing.

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
$node->append_conf('postgresql.conf', "max_prepared_transactions = 10\nautovacuum = off");
$node->start;
inventory_shop($node);
$node->safe_psql('postgres', q{
	INSERT INTO inventory VALUES ('r', 1, 10), ('r', 2, 10), ('e', 1, 10), ('e', 2, 10);
	SELECT plinth_inventory.set_mode('e', w, 'escrow') FROM generate_series(1, 2) w;
	SELECT plinth_inventory.reserve('r', 1, 2, md5('r')::uuid, owner => 'old'), plinth_inventory.reserve('e', 1, 2, md5('e')::uuid, owner => 'old');
	SELECT plinth_inventory.reserve('e', 1, 2, md5('late')::uuid, ttl => '1 microsecond', owner => 'old');});

sub state_of
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSET lock_timeout = '50ms';\n$sql", on_error_stop => 1);
	return $err =~ /ERROR:  (\w{5})/ ? $1 : $out;
}

# Mode row.
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT plinth_inventory.reserve('r', 1, 3, md5('one')::uuid, owner => 'p');
	SELECT plinth_inventory.confirm(md5('r')::uuid, 1);
	SAVEPOINT s;
	SELECT plinth_inventory.reserve('r', 1, 5, owner => 'p');
	ROLLBACK TO s;
	UPDATE inventory SET reserved = reserved + 1 WHERE (sku, warehouse_id) = ('r', 2);
	PREPARE TRANSACTION 'one';});
for my $round ('prepared', 'after a crash')
{
	crash($node) if $round ne 'prepared';
	is($node->safe_psql('postgres', q{SELECT available FROM inventory_available WHERE sku = 'r' ORDER BY warehouse}), "8\n10", "$round: not to be seen");
	is(state_of(q{SELECT outcome FROM plinth_inventory.reserve('r', 1, 1, owner => 'q')}), '55P03', "$round: another claim waits");
	is(state_of(q{UPDATE inventory SET reserved = reserved + 1 WHERE (sku, warehouse_id) = ('r', 2)}), '55P03', "$round: so does other SQL");
	is(state_of(q{SELECT outcome FROM plinth_inventory.reserve('r', 1, 3, md5('one')::uuid, owner => 'p')}), '55P03', "$round: a twin");
	is(state_of(q{SELECT outcome FROM plinth_inventory.release(md5('r')::uuid)}), '55P03', "$round: who wants the same hold");
	is(state_of(q{SELECT plinth_inventory.set_mode('r', 1, 'escrow')}), '55P03', "$round: a change of the mode");
	is(state_of(q{SELECT plinth_inventory.adjust('r', 2, 1)}), '55P03', "$round: a count");
	is(state_of(q{SELECT plinth_inventory.disable('inventory')}), '55P03', "$round: disable()");
	is(state_of(q{TRUNCATE inventory}), '55P03', "$round: TRUNCATE");
	is(state_of(q{SELECT outcome FROM plinth_inventory.reserve('cold', 1, 1, owner => 'q') UNION ALL SELECT outcome FROM plinth_inventory.reserve('e', 2, 1, owner => 'q')}), "reserved\nreserved", "$round: other SKUs go on");
	is($node->safe_psql('postgres', q{SELECT * FROM plinth_inventory.check('inventory')}), '', "$round: check() finds nothing");
}
$node->safe_psql('postgres', q{COMMIT PREPARED 'one'});
is($node->safe_psql('postgres', q{SELECT quantity, reserved, available FROM inventory_available WHERE sku = 'r' ORDER BY warehouse}), "9|4|5\n10|1|9", 'committed: its units are gone');
is(state_of(q{SELECT outcome, replayed FROM plinth_inventory.reserve('r', 1, 3, md5('one')::uuid, owner => 'p')}), 'reserved|t', 'committed: a twin gets its answer');
is(state_of(q{SELECT plinth_inventory.set_mode('r', 1, 'escrow'); SELECT outcome, available FROM plinth_inventory.reserve('r', 1, 5, md5('two')::uuid, owner => 'q')}), "\nreserved|0", 'committed: and the mode changes');
inventory_ok($node, 'committed');
$node->safe_psql('postgres', q{
	SELECT plinth_inventory.release(md5('two')::uuid);
	SELECT plinth_inventory.set_mode('r', 1, 'row');
	BEGIN;
	SELECT plinth_inventory.reserve('r', 1, 5, md5('three')::uuid, owner => 'p');
	PREPARE TRANSACTION 'three';});
crash($node);
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'three'});
is(state_of(q{SELECT outcome, available, replayed FROM plinth_inventory.reserve('r', 1, 5, md5('three')::uuid, owner => 'p')}), 'reserved|0|f', 'rolled back: units and key are free again');
inventory_ok($node, 'rolled back');

# Mode escrow, and what changes a mode.
my $before = $node->safe_psql('postgres', 'SELECT * FROM inventory_available ORDER BY sku, warehouse');
for my $sql (
	q{SELECT plinth_inventory.reserve('e', 1, 1)}, q{SELECT plinth_inventory.reserve_order(ARRAY[('e', NULL, 1, NULL), ('r', 2, 1, NULL)]::plinth_inventory.line[])}, q{SELECT plinth_inventory.release(md5('e')::uuid)}, q{SELECT plinth_inventory.confirm(md5('e')::uuid, 1)}, q{SELECT plinth_inventory.extend(md5('e')::uuid, '1 hour')},
	q{SELECT plinth_inventory.expire()}, q{SELECT plinth_inventory.receive('e', 1, 1)}, q{SELECT plinth_inventory.adjust('e', 1, 5)}, q{SELECT plinth_inventory.limits('e', 1, 5)}, q{SELECT plinth_inventory.transfer('e', 1, 2, 1)}, q{SELECT plinth_inventory.replace_hold('old', ARRAY[('r', 2, 1, NULL)]::plinth_inventory.line[])},
	q{UPDATE inventory SET reserved = reserved + 1 WHERE (sku, warehouse_id) = ('e', 1)}, q{UPDATE inventory SET quantity = quantity + 1}, q{SELECT plinth_inventory.set_mode('e', 1, 'row')}, q{TRUNCATE inventory})
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nBEGIN;\n$sql;\nPREPARE TRANSACTION 'four';");
	my $prepared = $node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts');
	ok($err =~ /0A000|55006/ && $prepared == 0, "not to be prepared: $sql") or diag($err);
	$node->safe_psql('postgres', q{ROLLBACK PREPARED 'four'}) if $prepared > 0;
}
is($node->safe_psql('postgres', 'SELECT * FROM inventory_available ORDER BY sku, warehouse'), $before, 'and nothing has changed');
is($node->safe_psql('postgres', q{SELECT string_agg(pins::text, '') ~ '[1-9]' FROM plinth_inventory.cells}), 'f', 'nobody has a counter any more');
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT * FROM inventory_available;
	SELECT plinth_inventory.available('e', 1);
	INSERT INTO told VALUES (gen_random_uuid(), 'note', 1);
	PREPARE TRANSACTION 'five';
	COMMIT PREPARED 'five';});
pass('who only looks may prepare');
inventory_ok($node, 'refused');

done_testing();
