# New sessions have the library, whatever other libraries there are and wherever they are set; disable() takes it out again.  Who may not set it is told the line to run.  What a dump has lost, or a role sets otherwise, check() says.  A pooled connection older than enable() deletes softly, with a warning.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
my $dir = $node->basedir;

$node->safe_psql('postgres', q{
	CREATE ROLE keeper LOGIN;
	CREATE ROLE setter LOGIN;
	GRANT SET ON PARAMETER session_preload_libraries TO setter;});

# A database with two tables, and what enable() said of the first.
sub new_db
{
	my ($db, $owner) = @_;

	$owner //= 'postgres';
	$node->safe_psql('postgres', qq{CREATE DATABASE "$db" OWNER $owner});
	$node->safe_psql($db, qq{
		CREATE EXTENSION plinth_soft_delete;
		SET ROLE $owner;
		CREATE SCHEMA s;
		CREATE TABLE s.users (id int PRIMARY KEY);
		INSERT INTO s.users SELECT generate_series(1, 20);
		CREATE TABLE s.orders (id int PRIMARY KEY);
		INSERT INTO s.orders SELECT generate_series(1, 20);});
	return;
}

# Run SQL as a role: what it printed and what it said besides.
sub said
{
	my ($db, $sql, $user) = @_;
	my ($rc, $out, $err) = $node->psql($db, $sql, connstr => $node->connstr($db) . ' user=' . ($user // 'postgres'), on_error_stop => 1);

	is($rc, 0, 'SQL works: ' . substr($sql, 0, 60)) or diag($err);
	return wantarray ? ($out, $err) : $err;
}

sub setting
{
	my ($db) = @_;
	return $node->safe_psql('postgres', "SELECT substr(c, length('session_preload_libraries=') + 1) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(setconfig) c WHERE d.datname = '$db' AND setrole = 0 AND starts_with(c, 'session_preload_libraries=')");
}

sub problems
{
	my ($db) = @_;
	return $node->safe_psql($db, "SELECT problem || ': ' || object FROM plinth_soft_delete.check('s.users')");
}

# A new session deletes one row, by its first statement, as clients expect it.
sub deletes_well
{
	my ($db, $id, $name) = @_;
	my ($stdout, $stderr) = ('', '');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	IPC::Run::run([ 'psql', '-X', '-d', $node->connstr($db), '-c', "DELETE FROM s.users WHERE id = $id" ], '<', \undef, '>', \$stdout, '2>', \$stderr);
	is($stdout . $stderr, "DELETE 1\n", "$name: a new session counts what it deletes");
	return;
}

# ----------------------------------------------------------------------------
# Nothing was set
# ----------------------------------------------------------------------------

new_db('bare');
like(said('bare', "SELECT plinth_soft_delete.enable('s.users')"),
	qr/NOTICE: .*new sessions in database "bare" load the library.*\n.*This was run: ALTER DATABASE bare SET session_preload_libraries = 'plinth_soft_delete';/,
	'enable() says what it has done');
is(setting('bare'), 'plinth_soft_delete', 'and has done it');
deletes_well('bare', 1, 'nothing set before');
is($node->safe_psql('bare', 'SELECT loaded_by FROM plinth_soft_delete.status'), 'session_preload_libraries', 'status says by what');
unlike(said('bare', "SELECT plinth_soft_delete.enable('s.orders')"), qr/NOTICE/, 'a second table has nothing to add');
is(problems('bare'), '', 'nothing is wrong');
unlike(said('bare', "SELECT plinth_soft_delete.disable('s.users', dead => 'keep')"), qr/NOTICE/, 'while there is one left, the library stays');
is(setting('bare'), 'plinth_soft_delete', 'in the setting');
like(said('bare', "SELECT plinth_soft_delete.disable('s.orders')"), qr/This was run: ALTER DATABASE bare RESET session_preload_libraries;/, 'the last one takes it away, and says so');
is(setting('bare'), '', 'and all is as it was');
said('bare', "BEGIN; SELECT plinth_soft_delete.enable('s.orders'); ROLLBACK");
is(setting('bare'), '', 'what is rolled back is not set');

# ----------------------------------------------------------------------------
# Other libraries
# ----------------------------------------------------------------------------

$node->safe_psql('postgres', q{CREATE DATABASE "it's"; ALTER DATABASE "it's" SET session_preload_libraries = '$libdir/auto_explain', 'tablefunc'});
$node->safe_psql(q{it's}, q{CREATE EXTENSION plinth_soft_delete; CREATE SCHEMA s; CREATE TABLE s.users (id int); INSERT INTO s.users VALUES (1), (2)});
said(q{it's}, "SELECT plinth_soft_delete.enable('s.users')");
is($node->safe_psql(q{it's}, 'SHOW session_preload_libraries'), '"$libdir/auto_explain", tablefunc, plinth_soft_delete', 'what the database had survives');
is($node->safe_psql(q{it's}, 'SHOW auto_explain.log_min_duration; SHOW plinth_soft_delete.dead_update;'), "-1\nrefuse", 'and is loaded');
said(q{it's}, "SELECT plinth_soft_delete.disable('s.users')");
is($node->safe_psql(q{it's}, 'SHOW session_preload_libraries'), '"$libdir/auto_explain", tablefunc', 'and stays when ours goes');

# One that was there by another name.
$node->safe_psql(q{it's}, q{ALTER DATABASE "it's" SET session_preload_libraries = '$libdir/plinth_soft_delete', 'tablefunc'});
unlike(said(q{it's}, "SELECT plinth_soft_delete.enable('s.users')"), qr/NOTICE/, 'what is there by its path is there');
said(q{it's}, "SELECT plinth_soft_delete.disable('s.users')");
is($node->safe_psql(q{it's}, 'SHOW session_preload_libraries'), 'tablefunc', 'and goes all the same');

# What the configuration got since then.
said('bare', "SELECT plinth_soft_delete.enable('s.orders')");
# From the configuration, while this role has a setting of its own.
$node->append_conf('postgresql.conf', "session_preload_libraries = '\$libdir/auto_explain, tablefunc'");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('session_preload_libraries') ~ 'auto_explain'});
said('bare', "SELECT plinth_soft_delete.disable('s.orders')");
is($node->safe_psql('bare', 'SHOW session_preload_libraries'), '$libdir/auto_explain, tablefunc', 'what the configuration got meanwhile applies again');
new_db('configured');
$node->safe_psql('postgres', q{ALTER ROLE postgres IN DATABASE configured SET session_preload_libraries = 'pg_prewarm'});
said('configured', "SELECT plinth_soft_delete.enable('s.users')");
is(setting('configured'), '"$libdir/auto_explain", tablefunc, plinth_soft_delete', 'what the configuration says is taken over, what the role says is not');
is(problems('configured'), 'library not preloaded: role "postgres"', 'check() names the role that has other libraries');
$node->safe_psql('postgres', q{ALTER ROLE postgres IN DATABASE configured RESET session_preload_libraries});
is(problems('configured'), '', 'until it has not');
deletes_well('configured', 1, 'with libraries of the configuration');
said('configured', "SET session_preload_libraries = 'x'; SELECT plinth_soft_delete.disable('s.users', dead => 'keep')");
is(setting('configured'), '', 'and the configuration applies again afterwards');
said('configured', "SET session_preload_libraries = 'x'; SELECT plinth_soft_delete.enable('s.users')");
is(setting('configured'), '"$libdir/auto_explain", tablefunc, plinth_soft_delete', 'a session that says otherwise says nothing for others');

# For all roles.
new_db('everywhere');
$node->safe_psql('postgres', q{ALTER ROLE ALL SET session_preload_libraries = 'pg_prewarm'});
said('everywhere', "SELECT plinth_soft_delete.enable('s.users')");
is(setting('everywhere'), 'pg_prewarm, plinth_soft_delete', 'what is set for all roles is taken over');
$node->safe_psql('postgres', q{ALTER ROLE ALL RESET session_preload_libraries});

# ----------------------------------------------------------------------------
# Who may not
# ----------------------------------------------------------------------------

new_db('kept', 'keeper');
my $err = said('kept', "SELECT plinth_soft_delete.enable('s.users')", 'keeper');
like($err, qr/NOTICE: .*new sessions in database "kept" do not load the library/, 'the owner of a database has no right to set libraries');
unlike($err, qr/auto_explain/, 'nor to know them');
like($err, qr/HINT: +Let a superuser run plinth_soft_delete\.repair\(\) on the table\./, 'so a superuser can do it');
is(setting('kept'), '', 'nothing is set');
is(problems('kept'), 'library not preloaded: database "kept"', 'check() says so');
is($node->safe_psql('kept', "SELECT plinth_soft_delete.repair('s.users')"), '1', 'a superuser does it');
is(setting('kept'), '"$libdir/auto_explain", tablefunc, plinth_soft_delete', 'and loses nothing');
deletes_well('kept', 1, 'repaired');
like(said('kept', "SELECT plinth_soft_delete.disable('s.users', dead => 'keep')", 'keeper'),
	qr/still load the library.*\n.*\n.*HINT: .*run: ALTER DATABASE kept RESET session_preload_libraries;/, 'nor to take them away');

$node->append_conf('postgresql.conf', "session_preload_libraries = ''");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('session_preload_libraries') = ''});
new_db("Kept too", 'keeper');
($err) = said('Kept too', "SELECT plinth_soft_delete.enable('s.users')", 'keeper') =~ /run: (ALTER DATABASE .*;)/;
is($err, q{ALTER DATABASE "Kept too" SET session_preload_libraries = 'plinth_soft_delete';}, 'where there is nothing to hide, the line is told');
$node->safe_psql('postgres', $err);
deletes_well('Kept too', 1, 'the line was run');

new_db('own', 'setter');
like(said('own', "SELECT plinth_soft_delete.enable('s.users')", 'setter'), qr/This was run/, 'who has the right needs no superuser');
deletes_well('own', 1, 'by the owner of the database');
new_db('others', 'keeper');
$node->safe_psql('others', 'ALTER TABLE s.users OWNER TO setter; GRANT ALL ON SCHEMA s TO setter');
like(said('others', "SELECT plinth_soft_delete.enable('s.users')", 'setter'), qr/do not load/, 'nor does the right suffice for the database of another');

# ----------------------------------------------------------------------------
# Uninstalled
# ----------------------------------------------------------------------------

my ($rc, undef, $dropped) = $node->psql('Kept too', 'DROP EXTENSION plinth_soft_delete');
isnt($rc, 0, 'the extension is not dropped while a table needs it');
is(setting('Kept too'), 'plinth_soft_delete', 'nor is the library');
like(said('Kept too', 'DROP EXTENSION plinth_soft_delete CASCADE'), qr/do not load the library of plinth_soft_delete any more/, 'CASCADE takes both, and says so');
is(setting('Kept too'), '', 'nothing keeps anybody from connecting when the files go');

# ----------------------------------------------------------------------------
# Dumps
# ----------------------------------------------------------------------------

$node->command_ok([ 'pg_dump', '-f', "$dir/own.sql", $node->connstr('own') ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/own.sql", $node->connstr('restored') ], 'is restored');
is(setting('restored'), '', 'the setting of the database was not in it');
is(problems('restored'), 'library not preloaded: database "restored"', 'check() says so, and finds nothing else');
is($node->safe_psql('restored', q{SELECT coalesce(loaded_by, 'nothing') || complete FROM plinth_soft_delete.status}), 'nothingtrue', 'so does status');
my ($out, $warning) = said('restored', 'DELETE FROM s.users WHERE id = 2');
like($warning, qr/WARNING: .*row of table "users" was soft-deleted, but is not counted/, 'a DELETE is soft all the same');
like(said('restored', "SELECT plinth_soft_delete.enable('s.users')"), qr/This was run/, 'enable() once more sets it');
deletes_well('restored', 3, 'restored');
is(problems('restored'), '', 'and all is well');
$node->command_ok([ 'pg_dump', '--create', '--clean', '-f', "$dir/restored.sql", $node->connstr('restored') ], 'a dump of the whole database');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/restored.sql", $node->connstr('postgres') ], 'is restored');
is(problems('restored'), '', 'with its setting');
deletes_well('restored', 4, 'the whole database restored');

# ----------------------------------------------------------------------------
# A pooled connection that is older than enable()
# ----------------------------------------------------------------------------

SKIP:
{
	my $pgbouncer = (grep { -x } '/usr/sbin/pgbouncer', map { "$_/pgbouncer" } split /:/, $ENV{PATH})[0];
	skip 'no pgbouncer', 1 unless $pgbouncer;

	my $sockets = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my ($host, $to) = ($node->host, $node->port);

	new_db('pooled');
	append_to_file("$dir/pgbouncer.ini", <<END);
[databases]
pooled = host=$host port=$to dbname=pooled user=postgres
[pgbouncer]
listen_port = $port
unix_socket_dir = $sockets
auth_type = any
admin_users = admin
pool_mode = transaction
default_pool_size = 1
ignore_startup_parameters = extra_float_digits,options
logfile = $dir/pgbouncer.log
pidfile = $dir/pgbouncer.pid
END
	my $pool = IPC::Run::start([ $pgbouncer, "$dir/pgbouncer.ini" ], '<', \undef, '>', "$dir/pgbouncer.out", '2>&1');
	for (1 .. 300)
	{
		last if -S "$sockets/.s.PGSQL.$port";
		select undef, undef, undef, 0.1;
	}

	# What psql prints, status and warnings included, through the pool.
	my $pooled = sub
	{
		my ($sql, $db) = @_;
		my ($stdout, $stderr) = ('', '');
		IPC::Run::run([ 'psql', '-X', '-A', '-t', '-h', $sockets, '-p', $port, '-U', 'admin', '-d', $db // 'pooled', '-c', $sql ], '<', \undef, '>', \$stdout, '2>', \$stderr);
		return ($stdout, $stderr);
	};

	my ($pid, $said) = $pooled->('SELECT pg_backend_pid()');
	like($pid, qr/^\d+$/, 'the pool connects') or diag($said, slurp_file("$dir/pgbouncer.log"));
	said('pooled', "SELECT plinth_soft_delete.enable('s.users')");
	($out, $said) = $pooled->('DELETE FROM s.users WHERE id = 1');
	is($out, "DELETE 0\n", 'a connection older than enable() does not count what it marks');
	like($said, qr/WARNING: .*row of table "users" was soft-deleted, but is not counted/, 'and says so');
	is($node->safe_psql('pooled', 'SELECT count(*) || count(deleted_at)::text || count(deletion_id) FROM s.users'), '2011', 'the row is marked, not lost');
	is_deeply([ $pooled->('DELETE FROM s.users WHERE id = 2') ], [ "DELETE 1\n", '' ], 'it has the library from then on');
	is(($pooled->('SELECT pg_backend_pid()'))[0], $pid, 'being the same connection');
	$pooled->('RECONNECT', 'pgbouncer');
	isnt(($pooled->('SELECT pg_backend_pid()'))[0], $pid, 'the pool connects again');
	is_deeply([ $pooled->('DELETE FROM s.users WHERE id = 3 RETURNING id') ], [ "3\nDELETE 1\n", '' ], 'and has it from the beginning');
	is($node->safe_psql('pooled', 'SELECT count(*) || count(deleted_at)::text || count(deletion_id) FROM s.users'), '2033', 'nothing is lost');

	$pool->signal('TERM');
	$pool->finish;
}

# ----------------------------------------------------------------------------
# By shared_preload_libraries
# ----------------------------------------------------------------------------

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'plinth_soft_delete'");
$node->restart;
new_db('shared');
unlike(said('shared', "SELECT plinth_soft_delete.enable('s.users')"), qr/NOTICE/, 'what the server has loaded need not be loaded again');
is(setting('shared'), '', 'nor set');
is($node->safe_psql('shared', 'SELECT loaded_by FROM plinth_soft_delete.status'), 'shared_preload_libraries', 'status says by what');
$node->safe_psql('postgres', q{ALTER ROLE postgres SET session_preload_libraries = 'tablefunc'});
is(problems('shared'), '', 'no role can lose it');
deletes_well('shared', 1, 'loaded by the server');

$node->stop;
done_testing();
