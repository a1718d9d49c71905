# Drivers cannot tell a soft delete from a DELETE: psycopg2 and JDBC do the same to an ordinary and to an enabled set of tables, and every count, row, status, update count of a batch and error is the same, while nothing is lost.

use strict;
use warnings;

use FindBin;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $jar = '/usr/share/java/postgresql.jar';
my $clients = "$FindBin::RealBin/../clients";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# JDBC knows no unix sockets.
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nsession_preload_libraries = 'plinth_soft_delete'");
$node->append_conf('pg_hba.conf', "host all all 127.0.0.1/32 trust");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION plinth_soft_delete; CREATE ROLE app LOGIN; CREATE ROLE keeper LOGIN; GRANT CREATE ON DATABASE postgres TO keeper');

my @protected = qw(users parts parts_more forbidden);

# Both sets of tables, new.  The ordinary one has the columns too, and nobody fills them.
sub build
{
	for my $schema (qw(plain soft))
	{
		my $marks = $schema eq 'plain' ? ', deleted_at timestamptz, deletion_id bigint' : '';
		$node->safe_psql('postgres', qq{
			SET client_min_messages = error;
			DROP SCHEMA IF EXISTS $schema CASCADE;
			SET ROLE keeper;
			CREATE SCHEMA $schema;
			SET search_path = $schema;
			CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, age int$marks);
			INSERT INTO users SELECT g, 'name ' || g, nullif(g % 7, 0) FROM generate_series(1, 50) g;
			CREATE TABLE orders (id int PRIMARY KEY, user_id int);
			INSERT INTO orders VALUES (1, 48), (2, 49), (3, 49), (4, 77);
			CREATE TABLE parts (id int PRIMARY KEY, name text$marks) PARTITION BY RANGE (id);
			CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
			CREATE TABLE parts2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
			INSERT INTO parts VALUES (1, 'a'), (2, 'b'), (11, 'c'), (12, 'd');
			CREATE TABLE parts_more (id int PRIMARY KEY, name text$marks) PARTITION BY HASH (id);
			CREATE TABLE parts_more1 PARTITION OF parts_more FOR VALUES WITH (MODULUS 2, REMAINDER 0);
			CREATE TABLE parts_more2 PARTITION OF parts_more FOR VALUES WITH (MODULUS 2, REMAINDER 1);
			INSERT INTO parts_more TABLE parts;
			CREATE TABLE forbidden (id int PRIMARY KEY$marks);
			CREATE VIEW user_list AS SELECT id, name FROM users WHERE id > 5;
			CREATE FUNCTION delete_user(i int) RETURNS SETOF text LANGUAGE sql AS 'DELETE FROM users WHERE id = i RETURNING name';
			GRANT USAGE ON SCHEMA $schema TO app;
			GRANT SELECT, DELETE ON users, parts, parts_more, user_list TO app;
			GRANT ALL ON orders TO app;});
		$node->safe_psql('postgres', "SET ROLE keeper; SELECT " . join(', ', map { "plinth_soft_delete.enable('$schema.$_')" } @protected)) if $schema eq 'soft';
	}
	return;
}

# What each set has in the end: rows that live, and, by number, rows there are.
sub rows_of
{
	my ($schema, $condition) = @_;
	return $node->safe_psql('postgres', join ' UNION ALL ', map { "SELECT '$_', id, name FROM $schema.$_ WHERE $condition" } qw(users parts parts_more)) =~ s/^/ /mgr;
}

# promise NAME, LINES, COMMAND: the word SCHEMA of the command stands for the schema; at least so many LINES are printed.
sub promise
{
	my ($name, $least, @command) = @_;
	my %said;

	build();
	my $before = rows_of('soft', 'true');
	for my $schema (qw(plain soft))
	{
		my ($stdout, $stderr) = ('', '');
		my $ok = IPC::Run::run([ map { s/SCHEMA/$schema/r } @command ], '<', \undef, '>', \$stdout, '2>', \$stderr);
		ok($ok, "$name: comes to its end on the tables of schema $schema") or diag($stderr);
		# names in errors
		$said{$schema} = ($stdout . $stderr) =~ s/\b$schema\b/SCHEMA/gr;
	}
	cmp_ok(() = $said{plain} =~ /\n/g, '>=', $least, "$name: and has much to tell");
	is($said{soft}, $said{plain}, "$name: the same of both");
	is(rows_of('soft', 'deleted_at IS NULL'), rows_of('plain', 'true'), "$name: the same rows live");
	isnt(rows_of('plain', 'true'), $before, "$name: others do not");
	is(join("\n", sort split /\n/, rows_of('soft', 'true')), join("\n", sort split /\n/, $before), "$name: and nothing is lost");
	return;
}

my ($host, $port) = ('127.0.0.1', $node->port);
promise('psycopg2', 40, '/usr/bin/python3', "$clients/soft_delete.py", "host=$host port=$port dbname=postgres user=app", 'SCHEMA');
promise('psycopg2 as the owner', 40, '/usr/bin/python3', "$clients/soft_delete.py", "host=$host port=$port dbname=postgres user=keeper", 'SCHEMA');
# the modes of the protocol that the driver has
for my $mode (qw(extended simple extendedForPrepared extendedCacheEverything))
{
	promise("JDBC, $mode", 50, 'java', '-XX:TieredStopAtLevel=1', '-cp', $jar, "$clients/SoftDelete.java", "jdbc:postgresql://$host:$port/postgres", 'SCHEMA', 'app', $mode);
}

$node->stop;
done_testing();
