# A cancelled statement leaves log and table in agreement, also where an exception handler goes on; TRUNCATE of a big table answers cancel.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nmax_wal_size = 4GB\nshared_buffers = 256MB");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION plinth_audit;
	CREATE TABLE stock (id int PRIMARY KEY, v int NOT NULL);
	SELECT plinth_audit.enable('stock');
	INSERT INTO stock SELECT g, 0 FROM generate_series(1, 50000) g;
	-- Each row's v counts its updates, so the log has one U for each.
	CREATE FUNCTION disagreements() RETURNS TABLE (what text, id bigint, counted bigint)
	BEGIN ATOMIC
		WITH u AS (
			SELECT (row_key ->> 'id')::int AS id, count(*) AS n, max((new_data ->> 'v')::int) AS v
			FROM stock_audit WHERE op = 'U' GROUP BY 1)
		SELECT 'log is not table', s.id, u.n FROM stock s LEFT JOIN u USING (id)
		WHERE coalesce(u.n, 0) <> s.v OR coalesce(u.v, 0) <> s.v
		UNION ALL SELECT 'context', count(DISTINCT l.transaction_id), count(DISTINCT x.transaction_id)
		FROM stock_audit l FULL JOIN plinth_audit.transaction x USING (transaction_id)
		HAVING count(DISTINCT l.transaction_id) <> count(DISTINCT x.transaction_id);
	END;});

my $bulk = 'UPDATE stock SET v = v + 1';

# How long it takes decides when to cancel.
my $start = time;
$node->safe_psql('postgres', $bulk);
my $duration = time - $start;
note "the bulk update takes $duration s";

# In mid-statement: while rows are updated, while their triggers run.
my $cancelled = 0;
for my $part (0.1, 0.3, 0.5, 0.7, 0.9)
{
	my $timeout = int(1000 * $duration * $part) + 1;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSET statement_timeout = $timeout; $bulk");

	$cancelled++ if $err =~ /57014/;
	is($node->safe_psql('postgres', 'SELECT * FROM disagreements() LIMIT 5'), '',
		"statement_timeout = $timeout: log and table agree");
}
cmp_ok($cancelled, '>=', 3, "statement_timeout: $cancelled of 5 statements were cancelled");

# By somebody else, in a transaction with a savepoint that goes on.
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe('BEGIN; UPDATE stock SET v = v + 1 WHERE id <= 10; SAVEPOINT s;');
$session->query_until(qr/started/, "\\echo started\n$bulk, id = id + (pg_sleep(0.001) IS NULL)::int;\n\\echo ended\n");
$node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid")
  or die 'the bulk update does not run';
is($node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', 'pg_cancel_backend');
$session->query_until(qr/ended/, '');
like($session->{stderr}, qr/canceling statement due to user request/, 'pg_cancel_backend cancels the statement');
$session->{stderr} = '';
$session->query_safe('ROLLBACK TO s; UPDATE stock SET v = v + 1 WHERE id <= 5; COMMIT');
$session->quit;
is( $node->safe_psql('postgres', 'SELECT sum(v) - 10 - 5 - 50000 * min(v) FROM stock'),
	'0', 'what the transaction did before and after is there');
is($node->safe_psql('postgres', 'SELECT * FROM disagreements() LIMIT 5'), '',
	'pg_cancel_backend: log and table agree');

# An exception handler that catches the cancel and goes on.
my $timeout = int(1000 * $duration / 2) + 1;
$node->safe_psql('postgres', qq{
	CREATE FUNCTION insistent() RETURNS text LANGUAGE plpgsql AS \$\$
		BEGIN
			UPDATE stock SET v = v + 1 WHERE id > 49990;
			BEGIN
				$bulk;
				$bulk;
			EXCEPTION WHEN query_canceled THEN
				UPDATE stock SET v = v + 1 WHERE id <= 3;
				RETURN 'cancelled';
			END;
			RETURN 'done';
		END\$\$});
is($node->safe_psql('postgres', "SET statement_timeout = $timeout; SELECT insistent()"), 'cancelled',
	'a caught cancel');
is($node->safe_psql('postgres', 'SELECT * FROM disagreements() LIMIT 5'), '', 'a caught cancel: log and table agree');

# TRUNCATE logs each row, which takes as long as there are rows: it can be
# stopped on the way.
$node->safe_psql('postgres', q{
	CREATE TABLE big (id int PRIMARY KEY, v text);
	SELECT plinth_audit.enable('big');
	SET plinth_audit.capture = off;
	INSERT INTO big SELECT g, repeat('x', 50) FROM generate_series(1, 400000) g;});
$start = time;
$node->safe_psql('postgres', 'BEGIN; TRUNCATE big; ROLLBACK');
$duration = time - $start;
$timeout = int(1000 * $duration / 10) + 1;
note "TRUNCATE takes $duration s";
my ($took, $err);
for my $try (1 .. 3)    # a busy machine may be slow for another reason
{
	$start = time;
	my ($rc, $out);
	($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\nSET statement_timeout = $timeout; TRUNCATE big");
	$took = time - $start;
	last if $err =~ /57014/ && $took < $duration * 0.6;
}
like($err, qr/57014/, 'TRUNCATE is cancelled');
cmp_ok($took, '<', $duration * 0.6, 'TRUNCATE answers cancel before it is through');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM big), (SELECT count(*) FROM big_audit)'),
	'400000|0', 'a cancelled TRUNCATE leaves the rows and logs nothing');
$node->safe_psql('postgres', 'TRUNCATE big');
is( $node->safe_psql('postgres', q{
		SELECT (SELECT count(*) FROM big), count(*), count(DISTINCT row_key), min(op), max(op) FROM big_audit}),
	'0|400000|400000|T|T', 'one that ends logs every row');

done_testing();
