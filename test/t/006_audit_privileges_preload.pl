# Preloaded or not, only a superuser can switch capturing off, whatever a session prepares before the library is loaded; and the context says where a change came from.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE app LOGIN;
	GRANT CREATE ON SCHEMA public TO app;
	CREATE TABLE items (id int PRIMARY KEY, v text);
	GRANT ALL ON items TO app;});
# What app prepares while nobody knows the setting.  PostgreSQL may refuse it.
for my $try (
	q{CREATE FUNCTION quietly(int) RETURNS void LANGUAGE sql SET plinth_audit.capture = off
		BEGIN ATOMIC INSERT INTO items VALUES ($1); END},
	q{ALTER ROLE app SET plinth_audit.capture = off})
{
	my ($rc, $out, $err) = $node->psql('postgres', $try, extra_params => [ '-U', 'app' ]);
	note $rc ? "refused: $err" : "accepted: $try";
}
$node->safe_psql('postgres', q{
	CREATE EXTENSION plinth_audit;
	SELECT plinth_audit.enable('items');});

my $next = 0;

# Runs as app and inserts one row, :id; the answer is how often it was logged,
# or the SQLSTATE if the insert failed.
sub logged_by_app
{
	my ($sql, %with) = @_;
	my $id = ++$next;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n\\set id $id\n$sql",
		extra_params => [ '-U', $with{user} // 'app' ], on_error_stop => 0);
	my $row = $node->safe_psql('postgres', "SELECT count(*) FROM items WHERE id = $id");
	my $logged = $node->safe_psql('postgres', qq{SELECT count(*) FROM items_audit WHERE row_key = '{"id": $id}'});

	note $err;
	return "row $row, log $logged";
}

my $insert = 'INSERT INTO items VALUES (:id);';
my $once = 'row 1, log 1';

for my $preload ('', 'plinth_audit')
{
	my $how = $preload ? 'preloaded' : 'loaded on demand';

	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$preload'");
	$node->restart;
	is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), $preload, "$how: the server starts");

	is(logged_by_app($insert), $once, "$how: audited");
	is(logged_by_app("SET plinth_audit.capture = off; $insert"), $once, "$how: SET does not switch it off");
	my $was = logged_by_app("BEGIN; SAVEPOINT s; SET LOCAL plinth_audit.capture = off; RELEASE s; $insert COMMIT;");
	like($was, qr/^row (\d), log \1$/, "$how: SET LOCAL does not switch it off ($was)");
	is(logged_by_app(qq{
			SELECT set_config('plinth_audit.capture', 'off', false);
			$insert}), $once, "$how: set_config does not switch it off");
	{
		# A connection with an option that it has no right to is refused when
		# the library is there; else the option is not heeded.
		local $ENV{PGOPTIONS} = '-c plinth_audit.capture=off';
		$was = logged_by_app($insert);
		like($was, qr/^row (\d), log \1$/, "$how: PGOPTIONS do not switch it off ($was)");
	}
	logged_by_app('ALTER ROLE app SET plinth_audit.capture = off;');
	is(logged_by_app($insert), $once, "$how: their own role's setting does not switch it off");

	# A function with a SET clause, called before and after the library is there.
	$was = logged_by_app('SELECT quietly(:id);');
	like($was, qr/^row (\d), log \1$/, "$how: a function's SET clause does not switch it off ($was)");
	$was = logged_by_app('SELECT plinth_audit.set_actor(NULL); SELECT quietly(:id);');
	like($was, qr/^row (\d), log \1$/, "$how: nor when the library is there first ($was)");

	# Who may, can.
	is(logged_by_app("SET plinth_audit.capture = off; $insert", user => $node->safe_psql('postgres', 'SELECT current_user')),
		'row 1, log 0', "$how: a superuser can");
	{
		local $ENV{PGOPTIONS} = '-c plinth_audit.capture=off';
		is(logged_by_app($insert, user => $node->safe_psql('postgres', 'SELECT current_user')),
			'row 1, log 0', "$how: a superuser can by PGOPTIONS");
	}
	my ($rc, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY sqlstate\nSELECT plinth_audit.set_actor(NULL); SET plinth_audit.capture = off",
		extra_params => [ '-U', 'app' ]);
	like($err, qr/42501/, "$how: anybody else is told");
}

# Actor and context are anybody's to claim; RESET and DISCARD ALL clear them.
$node->safe_psql('postgres', q{
	SET plinth_audit.actor = 'first';
	SET plinth_audit.context = '{"a": 1}';
	INSERT INTO items VALUES (1001);
	DISCARD ALL;
	INSERT INTO items VALUES (1002);
	SET plinth_audit.actor = 'third';
	RESET ALL;
	INSERT INTO items VALUES (1003);
	BEGIN;
	SELECT plinth_audit.set_actor('fourth');
	COMMIT;
	INSERT INTO items VALUES (1004);}, extra_params => [ '-U', 'app' ]);
is( $node->safe_psql('postgres', q{
		SELECT row_key, actor, context FROM items_audit JOIN plinth_audit.transaction USING (transaction_id)
		WHERE (row_key ->> 'id')::int > 1000 ORDER BY audit_id;}),
	qq({"id": 1001}|first|{"a": 1}\n{"id": 1002}||\n{"id": 1003}||\n{"id": 1004}||),
	'a pooled session starts without the actor of the one before');

# Where it came from.
my $port = $node->port;
$node->safe_psql('postgres', 'INSERT INTO items VALUES (2001)',
	connstr => "host=127.0.0.1 port=$port dbname=postgres user=app application_name=over_tcp");
$node->safe_psql('postgres', 'INSERT INTO items VALUES (2002)',
	connstr => $node->connstr('postgres') . ' user=app application_name=over_socket');
is( $node->safe_psql('postgres', q{
		SELECT application_name, session_user_name, client_addr, client_port BETWEEN 1 AND 65535, backend_pid > 0,
			started_at <= ended_at, changed_at = started_at
		FROM items_audit JOIN plinth_audit.transaction USING (transaction_id)
		WHERE (row_key ->> 'id')::int > 2000 ORDER BY audit_id}),
	"over_tcp|app|127.0.0.1|t|t|t|t\nover_socket|app|||t|t|t",
	'address and port over TCP, neither over a socket');

done_testing();
