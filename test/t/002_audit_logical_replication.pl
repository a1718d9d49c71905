# A logical replication subscriber audits the rows that it applies, once; one that receives the log too does not log them again.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = PostgreSQL::Test::Cluster->new('publisher');
$publisher->init(allows_streaming => 'logical');
# Streams early, see below.
$publisher->append_conf('postgresql.conf', "logical_decoding_work_mem = 64kB\nmax_prepared_transactions = 10");
$publisher->start;
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(allows_streaming => 'logical');
$subscriber->append_conf('postgresql.conf', 'max_prepared_transactions = 10');
$subscriber->start;

my $major = int($subscriber->pg_version =~ s/^(\d+).*/$1/r);
my $from = $publisher->connstr . ' dbname=postgres';

# Applies everything that is committed on the publisher.
sub catch_up
{
	my ($sub) = @_;
	$publisher->wait_for_catchup($sub);
}

sub initial_copy_done
{
	my ($sub) = @_;
	$subscriber->poll_query_until('postgres',
		q{SELECT count(*) > 0 AND bool_and(srsubstate IN ('r', 's')) FROM pg_subscription_rel})
	  or die 'the initial copy does not end';
	$publisher->wait_for_catchup($sub);
}

# As a role of its own: who applies is neither who owns the tables nor who
# installed the extension.
sub subscribe
{
	my ($sql) = @_;
	$subscriber->safe_psql('postgres', $sql, extra_params => [ '-U', 'replicant' ]);
}

for my $node ($publisher, $subscriber)
{
	$node->safe_psql('postgres', q{
		CREATE ROLE holder;
		CREATE EXTENSION plinth_audit;
		GRANT CREATE ON SCHEMA public TO holder;
		SET ROLE holder;
		CREATE TABLE items (id int PRIMARY KEY, v text);
		CREATE TABLE both_ways (id int PRIMARY KEY, v text);
		CREATE TABLE parts (id int, place text, v text, PRIMARY KEY (id, place)) PARTITION BY LIST (place);
		CREATE TABLE leaf (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
		CREATE TABLE leaf_1 PARTITION OF leaf FOR VALUES FROM (0) TO (1000);
	});
}
$publisher->safe_psql('postgres', q{CREATE TABLE parts_all PARTITION OF parts DEFAULT});
$subscriber->safe_psql('postgres', q{
	CREATE ROLE replicant SUPERUSER LOGIN;
	SET ROLE holder;
	CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
	CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');
	SELECT plinth_audit.enable('items'), plinth_audit.enable('parts'), plinth_audit.enable('leaf');
});

# The initial copy and what follows.
$publisher->safe_psql('postgres', q{
	INSERT INTO items VALUES (1, 'old'), (2, 'old');
	CREATE PUBLICATION pub FOR TABLE items});
subscribe("CREATE SUBSCRIPTION sub CONNECTION '$from' PUBLICATION pub");
initial_copy_done('sub');
is( $subscriber->safe_psql('postgres',
		'SELECT op, changed_by, row_key, old_data, new_data FROM items_audit ORDER BY audit_id'),
	qq(I|replicant|{"id": 1}||{"v": "old", "id": 1}\nI|replicant|{"id": 2}||{"v": "old", "id": 2}),
	'the initial copy is audited, once, as the subscription owner');

$publisher->safe_psql('postgres', q{
	BEGIN;
	INSERT INTO items VALUES (3, 'new');
	UPDATE items SET v = 'newer' WHERE id = 3;
	SAVEPOINT s;
	INSERT INTO items VALUES (4, 'never');
	ROLLBACK TO s;
	DELETE FROM items WHERE id = 1;
	COMMIT;
	TRUNCATE items;});
catch_up('sub');
is( $subscriber->safe_psql('postgres', q{
		SELECT op, changed_by, row_key, old_data, new_data FROM items_audit
		WHERE audit_id > 2 ORDER BY audit_id}),
	join("\n",
		'I|replicant|{"id": 3}||{"v": "new", "id": 3}',
		# The publisher sends no old row (replica identity default); the
		# subscriber has it.
		'U|replicant|{"id": 3}|{"v": "new", "id": 3}|{"v": "newer", "id": 3}',
		'D|replicant|{"id": 1}|{"v": "old", "id": 1}|',
		'T|replicant|{"id": 2}|{"v": "old", "id": 2}|',
		'T|replicant|{"id": 3}|{"v": "newer", "id": 3}|'),
	'applied rows are audited, once, in order, truncated ones too');
is( $subscriber->safe_psql('postgres', q{
		SELECT count(*), count(DISTINCT l.transaction_id), count(x.transaction_id), bool_and(x.session_user_name = 'replicant')
		FROM (SELECT DISTINCT transaction_id FROM items_audit) l
		LEFT JOIN plinth_audit.transaction x USING (transaction_id)}),
	'3|3|3|t', 'each applied transaction has one context row');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM items_audit'), '7',
	'and nothing was logged twice');

# A write of somebody else on the subscriber, and one that calls itself a replica.
$subscriber->safe_psql('postgres', q{
	INSERT INTO items VALUES (100, 'here');
	SET session_replication_role = replica;
	INSERT INTO items VALUES (101, 'replica')});
is( $subscriber->safe_psql('postgres', q{
		SELECT op, new_data FROM items_audit WHERE audit_id > 7 ORDER BY audit_id}),
	qq(I|{"v": "here", "id": 100}\nI|{"v": "replica", "id": 101}),
	'a local write is audited, with session_replication_role = replica too');
subscribe('DROP SUBSCRIPTION sub');

# Rows that come through the publisher's root and land in leaves that only the
# subscriber has; and rows that the publisher sends as the leaf's.
$publisher->safe_psql('postgres', q{
	INSERT INTO parts VALUES (1, 'a', 'copied');
	INSERT INTO leaf VALUES (1, 'copied');
	CREATE PUBLICATION root FOR TABLE parts WITH (publish_via_partition_root);
	CREATE PUBLICATION leaves FOR TABLE leaf});
subscribe("CREATE SUBSCRIPTION sub_parts CONNECTION '$from' PUBLICATION root, leaves");
initial_copy_done('sub_parts');
$publisher->safe_psql('postgres', q{
	INSERT INTO parts VALUES (2, 'b', 'x');
	UPDATE parts SET v = 'y' WHERE id = 1;
	UPDATE parts SET place = 'a' WHERE id = 2;
	INSERT INTO leaf VALUES (2, 'x');
	UPDATE leaf SET v = 'y' WHERE id = 1;
	DELETE FROM leaf WHERE id = 2;});
catch_up('sub_parts');
is( $subscriber->safe_psql('postgres', q{SELECT * FROM parts ORDER BY id}),
	"1|a|y\n2|a|x", 'rows are routed to the subscriber\'s leaves');
is( $subscriber->safe_psql('postgres', q{
		SELECT op, row_key, old_data ->> 'v', new_data ->> 'v'
		FROM parts_audit ORDER BY audit_id}),
	join("\n",
		'I|{"id": 1, "place": "a"}||copied',
		'I|{"id": 2, "place": "b"}||x',
		'U|{"id": 1, "place": "a"}|copied|y',
		# The worker deletes and inserts; nothing says that it is one row.
		'D|{"id": 2, "place": "b"}|x|',
		'I|{"id": 2, "place": "a"}||x'),
	'rows that come through the root are audited, once, one that moves too');
is( $subscriber->safe_psql('postgres', q{
		SELECT op, row_key, old_data ->> 'v', new_data ->> 'v' FROM leaf_audit ORDER BY audit_id}),
	join("\n",
		'I|{"id": 1}||copied', 'I|{"id": 2}||x', 'U|{"id": 1}|copied|y', 'D|{"id": 2}|x|'),
	'rows that come as the leaf\'s are audited, once, in the root\'s log');
subscribe('DROP SUBSCRIPTION sub_parts');

# The log is in the publication: the subscriber has the same triggers, for the
# day when it is promoted, and the same log.
for my $node ($publisher, $subscriber)
{
	$node->safe_psql('postgres', q{SET ROLE holder; SELECT plinth_audit.enable('both_ways')});
}
$publisher->safe_psql('postgres', q{
	INSERT INTO both_ways SELECT g, 'old' FROM generate_series(1, 10) g;
	UPDATE both_ways SET v = 'copied' WHERE id < 5;
	CREATE PUBLICATION with_log FOR TABLE both_ways, both_ways_audit});
subscribe("CREATE SUBSCRIPTION sub_log CONNECTION '$from' PUBLICATION with_log");
initial_copy_done('sub_log');
my $log = 'SELECT l FROM both_ways_audit l ORDER BY audit_id';
is($subscriber->safe_psql('postgres', $log), $publisher->safe_psql('postgres', $log),
	'log in the publication: equal after the initial copy');
$publisher->safe_psql('postgres', q{
	UPDATE both_ways SET v = 'new' WHERE id > 5;
	DELETE FROM both_ways WHERE id = 7;
	TRUNCATE both_ways;
	INSERT INTO both_ways VALUES (1, 'again');});
catch_up('sub_log');
is($subscriber->safe_psql('postgres', $log), $publisher->safe_psql('postgres', $log),
	'log in the publication: equal after changes, nothing logged twice');
is($subscriber->safe_psql('postgres', 'TABLE both_ways'), '1|again',
	'log in the publication: the table came too');
subscribe('DROP SUBSCRIPTION sub_log');

# The day has come: it audits on its own as soon as it does not receive the log.
$subscriber->safe_psql('postgres', q{
	SELECT setval(pg_get_serial_sequence('both_ways_audit', 'audit_id'), max(audit_id)) FROM both_ways_audit;
	INSERT INTO both_ways VALUES (2, 'mine')});
is( $subscriber->safe_psql('postgres',
		q{SELECT op, new_data FROM both_ways_audit ORDER BY audit_id DESC LIMIT 1}),
	'I|{"v": "mine", "id": 2}', 'log in the publication: the promoted subscriber audits');

# A transaction that is applied while it still runs, one that is prepared, and
# parts of both that are undone.
for my $streaming ('on', $major < 16 ? () : ('parallel'))
{
	$subscriber->safe_psql('postgres', 'TRUNCATE items; TRUNCATE items_audit; DELETE FROM plinth_audit.transaction');
	$publisher->safe_psql('postgres', 'TRUNCATE items');
	subscribe(
		"CREATE SUBSCRIPTION sub_$streaming CONNECTION '$from' PUBLICATION pub
		 WITH (streaming = '$streaming', two_phase = true)");
	initial_copy_done("sub_$streaming");
	$subscriber->poll_query_until('postgres',
		"SELECT subtwophasestate = 'e' FROM pg_subscription WHERE subname = 'sub_$streaming'")
	  or die 'two_phase is not enabled';
	$publisher->safe_psql('postgres', q{
		BEGIN;
		INSERT INTO items SELECT g, repeat('x', 50) FROM generate_series(1, 3000) g;
		SAVEPOINT a;
		INSERT INTO items SELECT g, repeat('never', 10) FROM generate_series(3001, 6000) g;
		ROLLBACK TO a;
		UPDATE items SET v = 'y' WHERE id <= 1000;
		COMMIT;
		BEGIN;
		DELETE FROM items WHERE id <= 500;
		SAVEPOINT a;
		DELETE FROM items WHERE id <= 2000;
		ROLLBACK TO a;
		PREPARE TRANSACTION 'kept';
		BEGIN;
		INSERT INTO items VALUES (9999, 'never');
		PREPARE TRANSACTION 'dropped';
		COMMIT PREPARED 'kept';
		ROLLBACK PREPARED 'dropped'});
	catch_up("sub_$streaming");
	is( $subscriber->safe_psql('postgres', q{
			SELECT op, count(*), count(DISTINCT row_key), min(changed_by), max(changed_by)
			FROM items_audit GROUP BY op ORDER BY op}),
		"D|500|500|replicant|replicant\nI|3000|3000|replicant|replicant\nU|1000|1000|replicant|replicant",
		"streaming = $streaming, two_phase: audited, once, without what was undone");
	is( $subscriber->safe_psql('postgres', q{
			SELECT count(*), count(DISTINCT x.transaction_id), count(DISTINCT l.transaction_id)
			FROM plinth_audit.transaction x LEFT JOIN items_audit l USING (transaction_id)}),
		'4500|2|2', "streaming = $streaming, two_phase: one context row a transaction");
	subscribe("DROP SUBSCRIPTION sub_$streaming");
}

# From 16 on the worker becomes the table's owner for each change unless the
# subscription says otherwise; who made the change is the same.
SKIP:
{
	skip 'run_as_owner came with PostgreSQL 16', 2 if $major < 16;

	for my $run_as_owner ('true', 'false')
	{
		$subscriber->safe_psql('postgres', 'TRUNCATE items; TRUNCATE items_audit');
		$publisher->safe_psql('postgres', 'TRUNCATE items; INSERT INTO items VALUES (1)');
		subscribe(
			"CREATE SUBSCRIPTION sub_$run_as_owner CONNECTION '$from' PUBLICATION pub
			 WITH (run_as_owner = $run_as_owner)");
		initial_copy_done("sub_$run_as_owner");
		$publisher->safe_psql('postgres', q{UPDATE items SET v = 'x'});
		catch_up("sub_$run_as_owner");
		is( $subscriber->safe_psql('postgres',
				q{SELECT op, changed_by, new_data FROM items_audit ORDER BY audit_id}),
			qq(I|replicant|{"v": null, "id": 1}\nU|replicant|{"v": "x", "id": 1}),
			"run_as_owner = $run_as_owner: audited, once, as the subscription owner");
		subscribe("DROP SUBSCRIPTION sub_$run_as_owner");
	}
}

done_testing();
