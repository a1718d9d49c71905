# A prepared transaction's log rows and its one context row appear with COMMIT PREPARED and never with ROLLBACK PREPARED, across restarts too.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 10');
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION plinth_audit;
	CREATE ROLE app LOGIN;
	CREATE TABLE items (id int PRIMARY KEY, v text, note_of int REFERENCES items DEFERRABLE INITIALLY DEFERRED);
	CREATE TABLE others (id int PRIMARY KEY);
	GRANT SELECT, INSERT, UPDATE, DELETE ON items, others TO app;
	SELECT plinth_audit.enable('items'), plinth_audit.enable('others');
	INSERT INTO items VALUES (1, 'first');});

sub log_rows
{
	return $node->safe_psql('postgres', q{
		SELECT 'items', op, row_key FROM items_audit WHERE changed_by = 'app'
		UNION ALL SELECT 'others', op, row_key FROM others_audit WHERE changed_by = 'app'
		ORDER BY 1, 2, 3});
}

sub context_rows
{
	return $node->safe_psql('postgres', q{
		SELECT actor, context, session_user_name, logs FROM plinth_audit.transaction
		WHERE session_user_name = 'app' ORDER BY transaction_id});
}

# Statements before and after a savepoint that is rolled back, two tables, a
# deferred constraint that is checked at PREPARE.
sub prepare
{
	my ($gid, $id) = @_;

	my ($rc, $out, $err) = $node->psql('postgres', qq{
		BEGIN;
		SELECT plinth_audit.set_actor('$gid'), plinth_audit.set_context('{"n": $id}');
		INSERT INTO items VALUES ($id, 'x', $id + 1);
		SAVEPOINT s;
		UPDATE items SET v = 'never' WHERE id = $id;
		ROLLBACK TO s;
		SAVEPOINT s2;
		INSERT INTO items VALUES ($id + 1, 'y');
		RELEASE s2;
		INSERT INTO others VALUES ($id);
		PREPARE TRANSACTION '$gid';}, extra_params => [ '-U', 'app' ]);
	is($rc, 0, "prepared $gid") or diag $err;
}

prepare('kept', 10);
prepare('dropped', 20);
prepare('crashed', 30);
is(log_rows(), '', 'prepared: nobody sees the log rows');
is(context_rows(), '', 'prepared: nobody sees the context row');
# The session that prepared must not carry anything into its next transaction.
is( $node->safe_psql('postgres', q{
		BEGIN;
		INSERT INTO items VALUES (40, 'p');
		PREPARE TRANSACTION 'short';
		INSERT INTO items VALUES (41, 'q');
		ROLLBACK PREPARED 'short';
		SELECT count(*) FROM items_audit WHERE row_key IN ('{"id": 40}', '{"id": 41}');
		SELECT count(*) FROM plinth_audit.transaction JOIN items_audit USING (transaction_id) WHERE row_key = '{"id": 41}'}),
	"1\n1", 'the next transaction of the same session is logged by itself');

$node->restart;
is(log_rows(), '', 'after a restart: nobody sees the log rows');
$node->safe_psql('postgres', q{COMMIT PREPARED 'kept'; ROLLBACK PREPARED 'dropped'});
my $kept = join("\n",
	'items|I|{"id": 10}', 'items|I|{"id": 11}', 'others|I|{"id": 10}');
is(log_rows(), $kept, 'committed: the log rows, without what its savepoint undid, and by the one who prepared');
is(context_rows(), 'kept|{"n": 10}|app|{public.items_audit,public.others_audit}',
	'committed: one context row, as at PREPARE; none of the one rolled back');

$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', q{INSERT INTO items VALUES (50, 'between')});
$node->safe_psql('postgres', q{COMMIT PREPARED 'crashed'});
is( $node->safe_psql('postgres', q{
		SELECT string_agg(op || (row_key ->> 'id'), ' ' ORDER BY (row_key ->> 'id')::int) FROM items_audit}),
	'I1 I10 I11 I30 I31 I41 I50', 'after a crash: the prepared one can still be committed');
is( context_rows(),
	"kept|{\"n\": 10}|app|{public.items_audit,public.others_audit}\ncrashed|{\"n\": 30}|app|{public.items_audit,public.others_audit}",
	'after a crash: with its one context row');
is( $node->safe_psql('postgres', q{SELECT count(*) - count(DISTINCT audit_id) FROM items_audit}),
	'0', 'no audit_id came twice');

is( $node->safe_psql('postgres', q{
		(SELECT new_data FROM items_audit EXCEPT ALL SELECT to_jsonb(i) FROM items i)
		UNION ALL (SELECT to_jsonb(i) FROM items i EXCEPT ALL SELECT new_data FROM items_audit)}),
	'', 'log and table agree in the end');

done_testing();
