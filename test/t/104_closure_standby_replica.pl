# A physical standby reads the closure as the primary has it and maintains it when it is promoted; a logical subscriber that receives table and closure has both exactly, once, and maintains them when it is on its own.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 'logical');
$primary->start;

my $schema = q{
	CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node ON DELETE CASCADE ON UPDATE CASCADE);
	CREATE TABLE part (id int, place text, above int, above_place text, PRIMARY KEY (id, place)) PARTITION BY LIST (place);
	CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
	CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b');
	SELECT plinth_closure.enable('node');
	SELECT plinth_closure.enable('part', '{id,place}'::name[], '{above,above_place}'::name[]);};
my $rows = q{
	INSERT INTO node SELECT g, nullif(g / 4, 0) FROM generate_series(1, 300) g;
	INSERT INTO part VALUES (1, 'a', NULL, NULL), (3, 'a', 2, 'b'), (2, 'b', 1, 'a');};
my $changes = q{
	INSERT INTO node VALUES (1002, 1001), (1001, 300), (1003, NULL);
	UPDATE node SET parent = 1002 WHERE id = 2;
	UPDATE node SET parent = CASE id WHEN 10 THEN 1 ELSE 2 END WHERE id IN (10, 5);
	UPDATE node SET id = 2000 WHERE id = 1001;
	DELETE FROM node WHERE id = 12;
	BEGIN;
	UPDATE node SET parent = 1003 WHERE parent = 3;
	SAVEPOINT s;
	DELETE FROM node WHERE id = 1003;
	ROLLBACK TO s;
	INSERT INTO node VALUES (1004, 1003);
	COMMIT;
	INSERT INTO part VALUES (4, 'b', 3, 'a');
	UPDATE part SET above = NULL, above_place = NULL WHERE id = 2;
	UPDATE part SET place = 'b' WHERE id = 1;
	DELETE FROM part WHERE id = 4;};
my $more = q{
	INSERT INTO node VALUES (3001, 1004), (3002, 3001);
	UPDATE node SET parent = 3002 WHERE id = 1;
	UPDATE part SET above = 3, above_place = 'a' WHERE id = 1;};

# Where closure and table disagree.
my $wrong = q{
	WITH RECURSIVE up (a, d, depth) AS (
		SELECT id, id, 0 FROM node
		UNION ALL SELECT p.id, u.d, u.depth + 1 FROM up u JOIN node n ON n.id = u.a JOIN node p ON p.id = n.parent)
	CYCLE a SET is_cycle USING path,
	computed AS (SELECT a, d, depth FROM up)
	(SELECT 'missing', * FROM computed EXCEPT ALL SELECT 'missing', ancestor, descendant, depth FROM node_closure)
	UNION ALL (SELECT 'extra', ancestor, descendant, depth FROM node_closure EXCEPT ALL SELECT 'extra', * FROM computed)
	UNION ALL SELECT 'cycle', a, d, up.depth FROM up WHERE is_cycle};
my $wrong_part = q{
	WITH RECURSIVE up (a, ap, d, dp, depth) AS (
		SELECT id, place, id, place, 0 FROM part
		UNION ALL SELECT p.id, p.place, u.d, u.dp, u.depth + 1 FROM up u
			JOIN part n ON (n.id, n.place) = (u.a, u.ap) JOIN part p ON (p.id, p.place) = (n.above, n.above_place))
	CYCLE a, ap SET is_cycle USING path,
	computed AS (SELECT a, ap, d, dp, depth FROM up),
	stored AS (SELECT ancestor_id, ancestor_place, descendant_id, descendant_place, depth FROM part_closure)
	(SELECT 'missing', * FROM computed EXCEPT ALL SELECT 'missing', * FROM stored)
	UNION ALL (SELECT 'extra', * FROM stored EXCEPT ALL SELECT 'extra', * FROM computed)
	UNION ALL SELECT 'cycle', a, ap, d, dp, up.depth FROM up WHERE is_cycle};
my @all = (
	'SELECT * FROM node_closure ORDER BY ancestor, descendant',
	'SELECT * FROM part_closure ORDER BY 1, 2, 3, 4',
	'SELECT * FROM node ORDER BY id');

sub exact
{
	my ($name, $node) = @_;
	is($node->safe_psql('postgres', $wrong), '', "$name: no difference");
	is($node->safe_psql('postgres', $wrong_part), '', "$name: no difference in the partitioned table");
}

sub same
{
	my ($name, $node) = @_;
	for my $query (@all)
	{
		my $here = $node->safe_psql('postgres', $query);
		ok($here ne '' && $here eq $primary->safe_psql('postgres', $query), "$name: $query");
	}
}

sub guarded
{
	my ($name, $node) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', 'DELETE FROM node_closure');
	like($err, qr/cannot be changed by hand/, "$name: the closure is guarded");
	($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nUPDATE node SET parent = 3002 WHERE id = 1004");
	like($err, qr/23514/, "$name: a cycle is refused");
}

$primary->safe_psql('postgres', "CREATE EXTENSION plinth_closure; $schema $rows");
exact('primary', $primary);

# A physical standby.
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', $changes);
exact('primary after changes', $primary);
$primary->wait_for_catchup($standby);
same('standby', $standby);
exact('standby', $standby);
is( $standby->safe_psql('postgres', q{
		SELECT count(*) FROM node n JOIN node_closure c ON c.descendant = n.id WHERE c.ancestor = 1003}),
	$primary->safe_psql('postgres', 'SELECT count(*) FROM node_closure WHERE ancestor = 1003'),
	'standby: a subtree is read');
for my $read ('SELECT id, node_path(id), node_root(id), node_height(id) FROM node ORDER BY id',
	q{SELECT line FROM plinth_closure.tree('node')}, q{SELECT node, depth FROM plinth_closure.descendants('node', '1003') ORDER BY 1},
	q{SELECT plinth_closure.lca('node', VARIADIC (SELECT array_agg(node::text) FROM node_leaves(1003)))})
{
	my $there = $standby->safe_psql('postgres', $read);
	ok($there ne '' && $there eq $primary->safe_psql('postgres', $read), "standby: $read");
}
for my $write ('INSERT INTO node VALUES (9999, 1)', q{SELECT plinth_closure.disable('node')}, 'DELETE FROM node_closure')
{
	my ($rc, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\n$write");
	like($err, qr/25006/, "standby: refused as any write: $write");
}

# A logical subscriber with the same triggers on both sides.
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(allows_streaming => 'logical');
$subscriber->start;
$subscriber->safe_psql('postgres', "CREATE EXTENSION plinth_closure; $schema");
$primary->safe_psql('postgres', 'CREATE PUBLICATION pub FOR TABLE node, node_closure, part, part_closure');
my $from = $primary->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION sub CONNECTION '$from' PUBLICATION pub");
$subscriber->wait_for_subscription_sync($primary, 'sub');
same('subscriber after the initial copy', $subscriber);
exact('subscriber after the initial copy', $subscriber);
$primary->safe_psql('postgres', $more);
exact('primary after more', $primary);
$primary->wait_for_catchup('sub');
same('subscriber', $subscriber);
exact('subscriber', $subscriber);
$primary->safe_psql('postgres', 'TRUNCATE part; INSERT INTO part VALUES (7, $$b$$, NULL, NULL)');
$primary->wait_for_catchup('sub');
same('subscriber after TRUNCATE', $subscriber);
exact('subscriber after TRUNCATE', $subscriber);

# Each on its own.
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION sub');
$primary->wait_for_catchup($standby);
$primary->stop('immediate');
$standby->promote;
for my $node ($standby, $subscriber)
{
	my $name = $node->name . ' on its own';
	$node->safe_psql('postgres', q{
		BEGIN ISOLATION LEVEL REPEATABLE READ;
		INSERT INTO node VALUES (4002, 4001), (4001, 1004);
		UPDATE node SET parent = 4002 WHERE id = 2000;
		DELETE FROM node WHERE id = 3;
		UPDATE node SET id = 5000 WHERE id = 1002;
		COMMIT;
		INSERT INTO part VALUES (8, 'a', 7, 'b');
		UPDATE part SET place = 'b' WHERE id = 8;});
	exact($name, $node);
	guarded($name, $node);
}

done_testing();
