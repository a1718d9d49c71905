# Statistics of statements: a DELETE on an enabled table is counted as it is on any other, whichever library is loaded first.
# What is done to keep the record is nobody's statement.  Plans that are explained at length can be.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track_utility = off
pg_stat_statements.track_planning = on
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_verbose = on
auto_explain.log_nested_statements = on
});
$node->start;

# What a client sends; whatever it does is done in both databases.
my $script = q{
	DELETE FROM t WHERE id = 1;
	DELETE FROM t WHERE id = 2;
	DELETE FROM t WHERE id < 5 RETURNING *;
	DELETE FROM t WHERE id = 1;
	DELETE FROM p WHERE id < 3;
	WITH d AS (DELETE FROM t WHERE id = 5 RETURNING id) SELECT id FROM d;
	WITH d AS (DELETE FROM t WHERE id = 6 RETURNING id) DELETE FROM p USING d WHERE p.id = d.id;
	MERGE INTO t USING (VALUES (7), (8)) s (i) ON t.id = s.i WHEN MATCHED THEN DELETE;
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM t WHERE id = 9;
	FETCH c;
	DELETE FROM t WHERE CURRENT OF c;
	COMMIT;
	PREPARE g (int) AS DELETE FROM t WHERE id BETWEEN $1 AND $1 + 1;
	SET plan_cache_mode = force_generic_plan;
	EXECUTE g (10);
	EXECUTE g (12);
	EXECUTE g (12);
};

for my $db ('plain', 'soft')
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, q{
		CREATE EXTENSION pg_stat_statements;
		CREATE EXTENSION plinth_soft_delete;
		CREATE TABLE t (id int PRIMARY KEY, name text);
		CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);});
}
$node->safe_psql('plain', "ALTER TABLE $_ ADD COLUMN deleted_at timestamptz, ADD COLUMN deletion_id bigint") for 't', 'p';

# Queries keep their number.
my $number = q{SELECT count(*), sum(calls), sum(rows) FROM pg_stat_statements WHERE query LIKE 'DELETE FROM t WHERE name = %'};
$node->safe_psql('soft', q{INSERT INTO t VALUES (100, 'a'), (101, 'b'); DELETE FROM t WHERE name = 'a';});
$node->safe_psql('soft', q{SET client_min_messages = error; SELECT plinth_soft_delete.enable('t'), plinth_soft_delete.enable('p')});
$node->safe_psql('soft', q{DELETE FROM t WHERE name = 'b'});
is($node->safe_psql('soft', $number), '1|2|2', 'enabled: the query is the same');

# The script's answers, and what has been counted of it.
sub counted
{
	my ($db, $remove) = @_;

	$node->safe_psql($db, "$remove; INSERT INTO t SELECT g, 'n' || g FROM generate_series(1, 20) g; INSERT INTO p SELECT generate_series(1, 20)");
	$node->safe_psql($db, 'SELECT pg_stat_statements_reset()');
	my $said = $node->safe_psql($db, $script);
	return ($said, $node->safe_psql($db, q{
		SELECT calls, plans, rows, regexp_replace(query, '\s+', ' ', 'g') FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
		WHERE datname = current_database() AND toplevel AND query !~ 'pg_stat_statements' ORDER BY query COLLATE "C"}));
}

for my $libraries ('pg_stat_statements', 'pg_stat_statements, plinth_soft_delete', 'plinth_soft_delete, pg_stat_statements',
	'auto_explain, pg_stat_statements, plinth_soft_delete', 'plinth_soft_delete, pg_stat_statements, auto_explain')
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$libraries'");
	$node->restart;
	my ($said, $counted) = counted('plain', 'TRUNCATE t, p');
	my ($soft_said, $soft_counted) = counted('soft', q{SET client_min_messages = error; SELECT plinth_soft_delete.disable('t', 'purge'), plinth_soft_delete.disable('p', 'purge');
		TRUNCATE t, p; SELECT plinth_soft_delete.enable('t'), plinth_soft_delete.enable('p')});

	like($counted, qr/^3\|3\|2\|DELETE FROM t WHERE id = \$1$/m, "$libraries: an ordinary table is counted as the test believes");
	is($soft_said, $said, "$libraries: the answers are the same");
	is($soft_counted, $counted, "$libraries: what is counted is the same");
	is($node->safe_psql('soft', q{
			WITH dead (id) AS (SELECT deletion_id FROM t UNION ALL SELECT deletion_id FROM p)
			SELECT count(id), (SELECT sum(row_count) FROM plinth_soft_delete.deletion WHERE deletion_id IN (SELECT id FROM dead)) FROM dead}), '16|16', "$libraries: and all of it is recorded");
}

# What was explained: the converted statements, at whatever place the library stood.
my $log = slurp_file($node->logfile);
my @explained = $log =~ /^\s*Update on public\.t /mg;
cmp_ok(scalar @explained, '>=', 16, 'auto_explain shows the updates');
unlike($log, qr/(ERROR|PANIC|TRAP): /, 'and nothing fails');

done_testing();
