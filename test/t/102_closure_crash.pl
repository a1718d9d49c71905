# After an immediate stop in mid-move, in mid-transaction and under load the closure is that of the table: of what was committed, nothing else.

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
$node->append_conf('postgresql.conf', "autovacuum = off\ndeadlock_timeout = 20ms");
$node->start;

# 1 and 2 are roots with 3,000 nodes below the first; 9 is a root of its own.
$node->safe_psql('postgres', q{
	CREATE EXTENSION plinth_closure;
	CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node, filler text);
	INSERT INTO node VALUES (1, NULL), (2, NULL), (9, NULL), (10, 1);
	INSERT INTO node SELECT g, greatest(10, g / 4) FROM generate_series(11, 3000) g;
	CREATE INDEX ON node (parent);
	SELECT plinth_closure.enable('node');
	CREATE FUNCTION wrong() RETURNS TABLE (problem text, ancestor int, descendant int, depth int) LANGUAGE sql AS $$
		WITH RECURSIVE up (a, d, depth) AS (
			SELECT id, id, 0 FROM node
			UNION ALL SELECT p.id, u.d, u.depth + 1 FROM up u JOIN node n ON n.id = u.a JOIN node p ON p.id = n.parent)
		CYCLE a SET is_cycle USING path,
		computed AS (SELECT a, d, depth FROM up)
		(SELECT 'missing', * FROM computed EXCEPT ALL SELECT 'missing', c.ancestor, c.descendant, c.depth FROM node_closure c)
		UNION ALL (SELECT 'extra', c.ancestor, c.descendant, c.depth FROM node_closure c EXCEPT ALL SELECT 'extra', * FROM computed)
		UNION ALL SELECT 'cycle', a, d, up.depth FROM up WHERE is_cycle$$;
	-- Ends no move before it is let go; the closure has been changed by then.
	CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF current_setting('crash.linger', true) = 'on' THEN
				PERFORM pg_sleep(600);
			END IF;
			RETURN NULL;
		END$$;
	CREATE TRIGGER zzz_linger AFTER UPDATE ON node FOR EACH STATEMENT EXECUTE FUNCTION linger();});
is($node->safe_psql('postgres', 'SELECT * FROM wrong()'), '', 'the closure is right at first');

my $all = 'SELECT * FROM node_closure ORDER BY ancestor, descendant';

# One transaction between statements, with a savepoint behind it, about one
# tree; another within the statement that moves 3,000 nodes.
my $between = $node->background_psql('postgres');
my $within = $node->background_psql('postgres');
$between->query_safe(q{
	BEGIN;
	INSERT INTO node SELECT g, 2 FROM generate_series(5001, 5500) g;
	SAVEPOINT s;
	UPDATE node SET parent = 5001 WHERE id BETWEEN 5002 AND 5400;
	DELETE FROM node WHERE id = 5500;});
$within->query_until(qr/started/, q{
	\echo started
	SET crash.linger = on;
	UPDATE node SET parent = 9 WHERE id = 10;
});
$node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%UPDATE node SET parent = 9%' AND wait_event = 'PgSleep'})
  or die 'the move does not wait';
# A third one waits for it.
my $waiting = $node->background_psql('postgres');
$waiting->query_until(qr/started/, q{
	\echo started
	INSERT INTO node VALUES (6001, 3000);
});
$node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%6001%' AND wait_event_type = 'Lock'})
  or die 'the insert does not wait';
# Another tree goes on.
$node->safe_psql('postgres', 'INSERT INTO node VALUES (7001, NULL), (7003, 7002), (7002, 7001)');
my $committed = $node->safe_psql('postgres', $all);
my $table = $node->safe_psql('postgres', 'SELECT id, parent FROM node ORDER BY id');
$node->safe_psql('postgres', 'CHECKPOINT');
crash($node, $between, $within, $waiting);

ok($node->safe_psql('postgres', $all) eq $committed, 'after the crash the closure is what was committed');
ok($node->safe_psql('postgres', 'SELECT id, parent FROM node ORDER BY id') eq $table, 'and so is the table');
is($node->safe_psql('postgres', 'SELECT * FROM wrong()'), '', 'they agree');
$node->safe_psql('postgres', q{
	UPDATE node SET parent = 9 WHERE id = 10;
	INSERT INTO node VALUES (6001, 3000);});
is($node->safe_psql('postgres', 'SELECT * FROM wrong()'), '', 'what was cut off can be done again');

# Committed, not yet in the data files.
$node->safe_psql('postgres', q{
	UPDATE node SET parent = 2 WHERE id = 10;
	DELETE FROM node WHERE id = 6001;});
$committed = $node->safe_psql('postgres', $all);
crash($node);
ok($node->safe_psql('postgres', $all) eq $committed, 'a move that was committed is there after a crash');
is($node->safe_psql('postgres', 'SELECT * FROM wrong()'), '', 'and the closure is right');

# Under load, more than once.
my $script = $node->basedir . '/write.sql';
append_to_file($script, <<'END');
\set new random(10000, 1000000000)
\set a random(2000, 3000)
\set b random(1, 2)
BEGIN;
UPDATE node SET parent = :b WHERE id = :a;
SAVEPOINT s;
UPDATE node SET parent = 9 WHERE id = :a;
ROLLBACK TO s;
INSERT INTO node VALUES (:new, :a) ON CONFLICT DO NOTHING;
COMMIT;
END
for my $round (1 .. 2)
{
	my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM node');
	my $seen = crash_under_load($node, $script,
		"SELECT count(*) > $before + 300 FROM node", 'SELECT count(*) FROM node');

	is($node->safe_psql('postgres', 'SELECT * FROM wrong() LIMIT 5'), '',
		"under load, crash $round: the closure is right");
	cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM node_closure WHERE depth = 0'),
		'>=', $seen, "under load, crash $round: nothing that was seen is lost");
}
amcheck_ok($node, 'public.node*', 'heap and indexes of the closure agree');

done_testing();
