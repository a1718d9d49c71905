# Eight clients that insert, update, delete and roll back at every isolation level leave a log that replays to the table, and one context row a transaction.

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
$node->append_conf('postgresql.conf', "deadlock_timeout = 20ms\nlog_statement = none\nlog_min_messages = fatal");
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION plinth_audit;
	CREATE TABLE stock (id int PRIMARY KEY, v int NOT NULL, writer bigint DEFAULT txid_current());
	SELECT plinth_audit.enable('stock');
	INSERT INTO stock SELECT g, 0 FROM generate_series(1, 100) g;

	-- A user's own trigger that writes the same table.
	CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			UPDATE stock SET v = v + 1 WHERE id = new.id + 1;
			RETURN NULL;
		END$$;
	CREATE TRIGGER aaa AFTER UPDATE ON stock FOR EACH ROW
		WHEN (new.v % 5 = 0 AND pg_trigger_depth() = 0) EXECUTE FUNCTION follow();
	CREATE TRIGGER zzz AFTER UPDATE ON stock FOR EACH ROW
		WHEN (new.v % 7 = 0 AND pg_trigger_depth() = 0) EXECUTE FUNCTION follow();

	-- Changes a key, or nothing at all.
	CREATE FUNCTION move(old_id int, new_id int) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO stock VALUES (old_id, -1) ON CONFLICT DO NOTHING;
			UPDATE stock SET id = new_id WHERE id = old_id;
			UPDATE stock SET v = 1 / (v % 2) WHERE id = new_id;
		EXCEPTION WHEN unique_violation OR division_by_zero THEN
			UPDATE stock SET v = v + 1 WHERE id = new_id;
		END$$;});
audit_judge($node, q{
	SELECT 'not its transaction', new_data FROM stock_audit
		WHERE op = 'I' AND (new_data ->> 'writer')::bigint <> transaction_id::text::bigint});
is($node->safe_psql('postgres', 'SELECT * FROM disagreements()'), '', 'at first: log and table agree');

my %script = (
	'010_upsert@4' => q{
		\set id random(1, 100)
		INSERT INTO stock VALUES (:id, 1) ON CONFLICT (id) DO UPDATE SET v = stock.v + 1;},
	'011_savepoints@4' => q{
		\set a random(1, 100)
		\set b random(1, 100)
		BEGIN;
		UPDATE stock SET v = v + 1 WHERE id = :a;
		SAVEPOINT s;
		UPDATE stock SET v = v + 1000 WHERE id = :b;
		DELETE FROM stock WHERE id = :a;
		ROLLBACK TO s;
		SAVEPOINT t;
		UPDATE stock SET v = v - 1 WHERE id = :b;
		RELEASE t;
		COMMIT;},
	'012_delete@2' => q{
		\set id random(1, 100)
		WITH gone AS (DELETE FROM stock WHERE id BETWEEN :id AND :id + 1 RETURNING id, v)
		INSERT INTO stock SELECT id + 100, v FROM gone ON CONFLICT (id) DO NOTHING;},
	'013_move@2' => q{
		\set a random(1, 200)
		\set b random(1, 200)
		SELECT move(:a, :b);},
	# Statements whose triggers change a row that they have changed themselves.
	'014_pair@4' => q{
		\set id random(1, 100)
		UPDATE stock SET v = v + 1 WHERE id BETWEEN :id AND :id + 2;},
	'015_undo@1' => q{
		\set id random(1, 100)
		BEGIN;
		UPDATE stock SET v = 0 WHERE id > :id;
		ROLLBACK;},
	'016_back@1' => q{
		BEGIN;
		DELETE FROM stock WHERE id > 180;
		INSERT INTO stock SELECT g, 0 FROM generate_series(1, 20) g ON CONFLICT DO NOTHING;
		COMMIT;});

for my $level ('read committed', 'repeatable read', 'serializable')
{
	local $ENV{PGOPTIONS} = '-c default_transaction_isolation=' . $level =~ s/ /\\ /r;
	my %named = map { ("$level $_" =~ s/ /_/gr) => $script{$_} } keys %script;

	$node->pgbench(
		'-n -c 8 -j 2 -t 100 --max-tries=10000', 0,
		[qr{number of transactions actually processed: 800/800}, qr{number of failed transactions: 0 }],
		[qr{^$}], "$level: eight clients", \%named);
	is($node->safe_psql('postgres', 'SELECT * FROM disagreements() LIMIT 10'), '',
		"$level: log replays to table, each transaction has one context row");
}
my ($ops, $rows, $transactions) = split /\|/, $node->safe_psql('postgres', q{
	SELECT string_agg(DISTINCT op, '' ORDER BY op), count(*), count(DISTINCT transaction_id) FROM stock_audit});
is($ops, 'DIU', 'there were all kinds of changes');
cmp_ok($transactions, '>', 1000, "and many of them ($rows rows in $transactions transactions)");
is( $node->safe_psql('postgres', q{
		SELECT count(*) > 0 FROM (SELECT transaction_id FROM stock_audit
			WHERE op = 'U' GROUP BY transaction_id HAVING count(DISTINCT command_id) > 1) x}),
	't', 'and statements within statements');

done_testing();
