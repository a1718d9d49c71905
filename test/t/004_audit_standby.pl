# A physical standby shows the log, answers status and check, and once promoted audits on with fresh ids.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION plinth_audit;
	CREATE ROLE holder LOGIN;
	GRANT CREATE ON SCHEMA public TO holder;
	SET ROLE holder;
	CREATE TABLE items (id int PRIMARY KEY, v text);
	SELECT plinth_audit.enable('items', mode => 'delta', mask => '{v}');
	INSERT INTO items VALUES (1, 'a');});
$primary->backup('copy');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', q{
	INSERT INTO items SELECT g, 'b' FROM generate_series(2, 100) g;
	UPDATE items SET v = 'c' WHERE id = 2;
	DELETE FROM items WHERE id = 3;});
$primary->wait_for_catchup($standby);

for my $query (
	'SELECT l FROM items_audit l ORDER BY audit_id',
	'SELECT x FROM plinth_audit.transaction x ORDER BY transaction_id',
	'SELECT * FROM plinth_audit.status')
{
	my $here = $standby->safe_psql('postgres', $query);
	isnt($here, '', "standby: $query");
	is($here, $primary->safe_psql('postgres', $query), "standby: $query, as on the primary");
}
is($standby->safe_psql('postgres', q{SELECT * FROM plinth_audit.check('items')}), '', 'standby: check works');
is( $standby->safe_psql('postgres',
		q{SELECT count(*) FROM items_audit l JOIN plinth_audit.transaction x USING (transaction_id)},
		extra_params => [ '-U', 'holder' ]),
	'102', 'standby: the table\'s owner reads log and context');
is( $standby->safe_psql('postgres', q{
		BEGIN; SELECT plinth_audit.set_actor('alice'); SELECT count(*) FROM items; COMMIT}),
	"\n99", 'standby: an application that names its actor is not disturbed');

for my $call (q{enable('items', mode => 'delta', mask => '{v}')}, q{alter('items', mode => 'full')}, q{disable('items')})
{
	my ($rc, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT plinth_audit.$call");
	next if $call =~ /^enable/ && $rc == 0;    # it changes nothing
	like($err, qr/25006/, "standby: plinth_audit.$call is refused as any write");
}

my $max = $standby->safe_psql('postgres', 'SELECT max(audit_id) FROM items_audit');
$primary->stop('immediate');
$standby->promote;
$standby->safe_psql('postgres', q{
	BEGIN;
	SELECT plinth_audit.set_actor('alice');
	UPDATE items SET v = 'd' WHERE id = 4;
	INSERT INTO items VALUES (200, 'e');
	COMMIT;});
is( $standby->safe_psql('postgres', qq{
		SELECT l.op, l.row_key, l.new_data, l.note, x.actor FROM items_audit l
		LEFT JOIN plinth_audit.transaction x USING (transaction_id)
		WHERE audit_id > $max ORDER BY audit_id}),
	qq(U|{"id": 4}|{"v": "***"}|{"masked": ["v"]}|alice\nI|{"id": 200}|{"v": "***", "id": 200}|{"masked": ["v"]}|alice),
	'promoted: auditing goes on, with fresh ids and context');
is($standby->safe_psql('postgres', q{SELECT * FROM plinth_audit.check('items')}), '', 'promoted: check is clean');
$standby->safe_psql('postgres', q{SELECT plinth_audit.alter('items', mode => 'full'); DELETE FROM items WHERE id = 200});
is( $standby->safe_psql('postgres', q{SELECT op, old_data FROM items_audit ORDER BY audit_id DESC LIMIT 1}),
	'D|{"v": "***", "id": 200}', 'promoted: options can be changed');

done_testing();
