# After an immediate stop in mid-statement and mid-transaction the log has what was committed, nothing else, and no audit_id comes twice.

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
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION plinth_audit;
	CREATE TABLE stock (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 100));
	SELECT plinth_audit.enable('stock');
	INSERT INTO stock (id) SELECT generate_series(1, 1000);
	UPDATE stock SET v = 1 WHERE id <= 500;
	DELETE FROM stock WHERE id > 900;});
audit_judge($node);
is($node->safe_psql('postgres', 'SELECT * FROM disagreements()'), '', 'log and table agree at first');

# Two transactions that never commit, one between statements with a savepoint
# behind it, the other within a statement; their pages reach the disk.
my $between = $node->background_psql('postgres');
my $within = $node->background_psql('postgres');
$between->query_safe(q{
	BEGIN;
	INSERT INTO stock (id) SELECT generate_series(2001, 2500);
	SAVEPOINT s;
	UPDATE stock SET v = v + 10 WHERE id <= 200;});
$within->query_until(qr/started/, q{
	\echo started
	UPDATE stock SET v = v + 100, filler = pg_sleep(0.02)::text || 'y' WHERE id BETWEEN 201 AND 800;
});
$node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%UPDATE stock%' AND wait_event = 'PgSleep'})
  or die 'the long statement does not run';
$node->safe_psql('postgres', 'INSERT INTO stock (id) VALUES (5000)');
my $committed = $node->safe_psql('postgres', 'SELECT l FROM stock_audit l ORDER BY audit_id');
my $last_id = $node->safe_psql('postgres', 'SELECT max(audit_id) FROM stock_audit');
$node->safe_psql('postgres', 'CHECKPOINT');
crash($node, $between, $within);

is($node->safe_psql('postgres', 'SELECT l FROM stock_audit l ORDER BY audit_id'), $committed,
	'after the crash the log has all that was committed and nothing else');
is($node->safe_psql('postgres', 'SELECT * FROM disagreements()'), '', 'log and table agree after the crash');
$node->safe_psql('postgres', 'UPDATE stock SET v = v + 1 WHERE id = 5000');
cmp_ok($node->safe_psql('postgres', 'SELECT max(audit_id) FROM stock_audit'), '>', $last_id,
	'audit_id goes on above all that was committed');

# Under load, more than once: ids that a client has seen before the crash stay.
my $script = $node->basedir . '/write.sql';
append_to_file($script, <<'END');
\set id random(1, 1000)
\set gone random(1, 1000)
BEGIN;
UPDATE stock SET v = v + 1 WHERE id = :id;
SAVEPOINT s;
UPDATE stock SET v = v + 1000 WHERE id = :id;
ROLLBACK TO s;
INSERT INTO stock (id, v) VALUES (:id, -1) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
DELETE FROM stock WHERE id = :gone AND id > :id;
COMMIT;
END
for my $round (1 .. 2)
{
	my $before = $node->safe_psql('postgres', 'SELECT max(audit_id) FROM stock_audit');
	my $seen = crash_under_load($node, $script,
		"SELECT count(*) > 1000 FROM stock_audit WHERE audit_id > $before",
		'SELECT count(*), max(audit_id) FROM stock_audit');
	my ($count, $max) = split /\|/, $seen;

	is($node->safe_psql('postgres', 'SELECT * FROM disagreements() LIMIT 5'), '',
		"under load, crash $round: log and table agree");
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM stock_audit WHERE audit_id <= $max"),
		'>=', $count, "under load, crash $round: nothing that was seen is lost");
}
is( $node->safe_psql('postgres', q{SELECT * FROM plinth_audit.check('stock')}),
	'', 'check has nothing to complain about');

# At wal_level minimal the sequence of a new log is synced at commit, not logged.
is($node->safe_psql('postgres', 'SHOW wal_level'), 'minimal', 'at wal_level minimal');
$node->safe_psql('postgres', q{
	BEGIN;
	CREATE TABLE young (id int PRIMARY KEY);
	SELECT plinth_audit.enable('young');
	INSERT INTO young SELECT generate_series(1, 3);
	COMMIT;
	INSERT INTO young SELECT generate_series(4, 9);});
$last_id = $node->safe_psql('postgres', 'SELECT max(audit_id) FROM young_audit');
crash($node);
$node->safe_psql('postgres', 'INSERT INTO young VALUES (10)');
cmp_ok($node->safe_psql('postgres', 'SELECT max(audit_id) FROM young_audit'), '>', $last_id,
	'a log made and written to in one transaction has no audit_id twice after a crash');
amcheck_ok($node, 'public.stock*', 'heap and index of the log agree');

done_testing();
