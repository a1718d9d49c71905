# A dump of an audited table, made and restored in any of the usual ways, keeps auditing on, rights as they were and the history readable.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

my $dir = $node->basedir;
my @tables = qw(orders plain events);

sub sql
{
	my ($db, $sql, @extra) = @_;
	my ($rc, $out, $err) =
	  $node->psql($db, $sql, extra_params => [@extra], on_error_stop => 1);

	is($rc, 0, "SQL works: " . substr($sql, 0, 60)) or diag($err);
	return $out;
}

sub as
{
	my ($role, $db, $sql) = @_;
	return sql($db, $sql, '-U', $role);
}

sub dump_db
{
	my ($name, $file, @args) = @_;

	$node->command_ok([ 'pg_dump', '-f', "$dir/$file", @args ], "dump: $name");
}

sub new_db
{
	my ($db, $sql) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql('postgres', "GRANT CREATE ON DATABASE $db TO keeper");
	$node->safe_psql($db, $sql) if defined $sql;
}

# A plain dump without what names the run: newer minors put a random key into
# \restrict.
sub plain_dump
{
	my ($db, @args) = @_;
	my ($out, $err);

	IPC::Run::run([ 'pg_dump', @args, $node->connstr($db) ], '>', \$out, '2>', \$err)
	  or die "pg_dump of $db: $err";
	$out =~ s/^\\(un)?restrict .*\n//mg;
	return $out;
}

# The contents of the custom dump, an entry a line.
sub slurp_list
{
	my ($out, $err);

	IPC::Run::run([ 'pg_restore', '-l', "$dir/custom" ], '>', \$out, '2>', \$err)
	  or die "pg_restore -l: $err";
	return $out;
}

sub history
{
	my ($db, $table) = @_;
	return $node->safe_psql($db,
		"SELECT l FROM shop.${table}_audit l ORDER BY audit_id");
}

my $rights_of = q{
	SELECT c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner),
		(SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(c.relacl,
			acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a)
	FROM pg_class c
	WHERE c.relnamespace = 'shop'::regnamespace AND c.relkind IN ('r', 'p', 'S')
	ORDER BY c.relname};

# The same without who granted it: when a log changes hands, what its owner
# had granted comes from the new owner.
my $effective_rights_of = q{
	SELECT c.oid::regclass, pg_get_userbyid(c.relowner), a.grantee::regrole, a.privilege_type, a.is_grantable
	FROM pg_class c, aclexplode(c.relacl) a
	WHERE c.relnamespace = 'shop'::regnamespace AND c.relkind IN ('r', 'p', 'S') AND a.grantee <> c.relowner
	ORDER BY c.relname, 3, 4};

my $triggers_of = q{
	SELECT tgrelid::regclass, tgenabled, pg_get_triggerdef(oid)
	FROM pg_trigger WHERE tgname LIKE 'plinth_audit%'
	ORDER BY tgrelid::regclass::text, tgname};

my $status_of = q{SELECT * FROM plinth_audit.status ORDER BY target::text};

# What must be true of a restored database.
sub restored
{
	my ($name, $db, %like) = @_;
	my @here = @{ $like{tables} // \@tables };

	for my $table (@here)
	{
		is(history($db, $table), history('src', $table), "$name: history of $table");
		is($node->safe_psql($db, "TABLE shop.$table"),
			$node->safe_psql('src', "TABLE shop.$table"), "$name: rows of $table");
		is($node->safe_psql($db, "SELECT * FROM plinth_audit.check('shop.$table')"),
			'', "$name: nothing to complain about in $table")
		  unless $like{by_owner};
	}
	if (!$like{part})
	{
		is($node->safe_psql($db, $rights_of), $node->safe_psql('src', $rights_of),
			"$name: owners and rights")
		  unless $like{by_owner};
		is($node->safe_psql($db, $triggers_of),
			$node->safe_psql('src', $triggers_of),
			"$name: triggers, fired always, with their options");
		is($node->safe_psql($db, $status_of), $node->safe_psql('src', $status_of),
			"$name: status")
		  unless $like{by_owner};
	}
	if ($like{same_dump})
	{
		ok(plain_dump($db) eq plain_dump('src'), "$name: dumped again, the dump is the same");
	}
	for my $table (@here)
	{
		auditing_goes_on($name, $db, $table);
	}
}

# A writer with no right on the log; masked values stay masked.
sub auditing_goes_on
{
	my ($name, $db, $table) = @_;
	my $before = $node->safe_psql($db, "SELECT max(audit_id) FROM shop.${table}_audit");
	my %write = (
		orders => "UPDATE shop.orders SET label = 'later' WHERE id = 1",
		plain => "INSERT INTO shop.plain VALUES (77, 'later')",
		events => "INSERT INTO shop.events VALUES (77, '2026-02-02', 'later')");
	my %logged = (
		orders => 'U|app|{"id": 1}|{"label": "one"}|{"label": "later"}',
		plain => 'I|app|{"id": 77}||{"v": "later", "id": 77}',
		events =>
		  'I|app|{"id": 77, "day": "2026-02-02"}||{"v": "later", "id": 77, "day": "2026-02-02"}');

	as('app', $db, $write{$table});
	is( $node->safe_psql(
			$db,
			"SELECT op, changed_by, row_key, old_data, new_data FROM shop.${table}_audit
			 WHERE audit_id > $before"),
		$logged{$table},
		"$name: $table is still audited, with ids above the old ones");
	is( $node->safe_psql(
			$db,
			"SELECT count(*) FROM shop.${table}_audit l JOIN plinth_audit.transaction x
			 USING (transaction_id) WHERE l.audit_id > $before AND x.session_user_name = 'app'"),
		1,
		"$name: $table: the new change has its context");
}

# The source: a table's owner who is nobody special, a writer who has no right
# on the log, a reader whom the owner let read it.
$node->safe_psql('postgres',
	'CREATE ROLE keeper LOGIN; CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN');
new_db('src', 'CREATE EXTENSION plinth_audit');
as('keeper', 'src', q{
	CREATE SCHEMA shop;
	GRANT USAGE ON SCHEMA shop TO app, reader;
	CREATE TABLE shop.orders (id int PRIMARY KEY, label text, secret text);
	CREATE TABLE shop.plain (id int PRIMARY KEY, v text);
	CREATE TABLE shop.events (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
	CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	CREATE TABLE shop.events_2 PARTITION OF shop.events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
	SELECT plinth_audit.enable('shop.orders', mode => 'delta', mask => '{secret}', truncate => 'event');
	SELECT plinth_audit.enable('shop.plain');
	SELECT plinth_audit.enable('shop.events', exclude => '{}');
	GRANT SELECT, INSERT, UPDATE, DELETE ON shop.orders, shop.plain, shop.events TO app;
	GRANT SELECT ON shop.plain_audit TO reader;
});
as('app', 'src', q{
	SELECT plinth_audit.set_actor('nobody');  -- alone in its transaction: no effect
	INSERT INTO shop.orders VALUES (1, 'one', 'x'), (2, 'two', 'y');
	BEGIN;
	SELECT plinth_audit.set_actor('alice'), plinth_audit.set_context('{"request": 7}');
	INSERT INTO shop.plain SELECT g, 'v' || g FROM generate_series(1, 5) g;
	UPDATE shop.plain SET v = 'w' WHERE id = 2;
	DELETE FROM shop.plain WHERE id = 3;
	COMMIT;
	INSERT INTO shop.events VALUES (1, '2026-01-05', 'a'), (2, '2026-02-05', 'b');
	UPDATE shop.events SET day = '2026-02-06' WHERE id = 1;
	UPDATE shop.orders SET secret = 'z' WHERE id = 2;
});
as('keeper', 'src', 'TRUNCATE shop.orders; INSERT INTO shop.orders SELECT 1, $$one$$, $$x$$');
is($node->safe_psql('src', q{SELECT string_agg(op, '' ORDER BY audit_id) FROM shop.plain_audit}),
	'IIIIIUD', 'there is a history to be dumped');

# Whole databases.
dump_db('plain', 'plain.sql', $node->connstr('src'));
dump_db('custom', 'custom', '-Fc', $node->connstr('src'));
new_db('plain');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", $node->connstr('plain') ],
	'plain: restores');
restored('plain', 'plain', same_dump => 1);

new_db('custom');
$node->command_ok(
	[ 'pg_restore', '-e', '-j', '2', '-d', $node->connstr('custom'), "$dir/custom" ],
	'custom: restores in parallel');
restored('custom', 'custom', same_dump => 1);

# A parallel restore makes triggers in any order; this is the worst.
{
	my @list = split /^/, slurp_list();
	my @triggers = reverse grep { / TRIGGER / } @list;
	my $list = "$dir/list";

	append_to_file($list, join '', (grep { !/ TRIGGER / } @list), @triggers);
	cmp_ok(scalar @triggers, '>=', 10, 'custom: there are triggers to be reordered');
	new_db('reverse');
	$node->command_ok(
		[ 'pg_restore', '-e', '-L', $list, '-d', $node->connstr('reverse'), "$dir/custom" ],
		'custom: restores with its triggers in reverse order');
	restored('reverse', 'reverse', same_dump => 1);
}

# Over what is there, history and all.  (Without the partitioned table, whose
# primary key pg_restore cannot drop.)
$node->safe_psql('custom', 'DROP TABLE shop.events');
$node->command_ok(
	[ 'pg_restore', '-e', '--clean', '--if-exists', '-d', $node->connstr('custom'), "$dir/custom" ],
	'clean: restores over an audited database');
restored('clean', 'custom', same_dump => 1);

# A schema without the extension that it needs and without the context rows:
# those are in schema plinth_audit.
dump_db('schema', 'schema.sql', '-n', 'shop', $node->connstr('src'));
new_db('schema', 'CREATE EXTENSION plinth_audit');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/schema.sql", $node->connstr('schema') ],
	'-n: restores');
restored('-n', 'schema');

# One table with its log.
dump_db('table', 'table', '-Fc', '-t', 'shop.plain', '-t', 'shop.plain_audit',
	$node->connstr('src'));
new_db('tab', 'CREATE EXTENSION plinth_audit; CREATE SCHEMA shop AUTHORIZATION keeper; GRANT USAGE ON SCHEMA shop TO app');
$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('tab'), "$dir/table" ],
	'-t: restores');
restored('-t', 'tab', tables => ['plain'], part => 1);
is($node->safe_psql('tab', $rights_of),
	$node->safe_psql('src', $rights_of =~ s/ORDER BY (?=c)/AND c.relname LIKE 'plain%' ORDER BY /r),
	'-t: owners and rights');

# The table alone: nothing to log into, so writes fail until somebody decides.
dump_db('table only', 'alone', '-Fc', '-t', 'shop.plain', $node->connstr('src'));
new_db('alone', 'CREATE EXTENSION plinth_audit; CREATE SCHEMA shop AUTHORIZATION keeper; GRANT USAGE ON SCHEMA shop TO app');
$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('alone'), "$dir/alone" ],
	'-t without the log: restores');
my ($rc, $out, $err) = $node->psql('alone', q{
	\set VERBOSITY verbose
	INSERT INTO shop.plain VALUES (77, 'later')});
isnt($rc, 0, '-t without the log: a write is refused');
like($err, qr/ERROR:  55000:.*HINT:.*repair/s, '-t without the log: the error says what to do');
isnt($node->safe_psql('alone', q{SELECT count(*) FROM plinth_audit.check('shop.plain')}),
	'0', '-t without the log: check says so');
$node->safe_psql('alone', q{SELECT plinth_audit.repair('shop.plain')});
$node->safe_psql('alone', q{INSERT INTO shop.plain VALUES (77, 'later')});
is($node->safe_psql('alone', 'SELECT op, new_data FROM shop.plain_audit'),
	'I|{"v": "later", "id": 77}', '-t without the log: repair makes a new one');
is($node->safe_psql('alone', q{SELECT * FROM plinth_audit.check('shop.plain')}),
	'', '-t without the log: nothing to complain about after repair');

# Data into a schema that is audited already: what is restored was logged long
# ago, in the log that comes with it.
dump_db('schema only', 'empty.sql', '--schema-only', $node->connstr('src'));
dump_db('data only', 'data.sql', '--data-only', $node->connstr('src'));
new_db('data');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/empty.sql", $node->connstr('data') ],
	'data only: the schema restores');
{
	local $ENV{PGOPTIONS} = '-c plinth_audit.capture=off';
	$node->command_ok(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/data.sql", $node->connstr('data') ],
		'data only: restores with capture off');
}
is( $node->safe_psql('data', 'SELECT x FROM plinth_audit.transaction x ORDER BY transaction_id'),
	$node->safe_psql('src', 'SELECT x FROM plinth_audit.transaction x ORDER BY transaction_id'),
	'data only: context rows');
restored('data only', 'data', same_dump => 1);

# The table's owner, who is no superuser, dumps with the rights that enable()
# gave, and restores where somebody has created the extension.
dump_db('by the owner', 'owner', '-Fc', '-n', 'shop', $node->connstr('src') . ' user=keeper');
dump_db('one table by the owner', 'owner_table', '-Fc', '-t', 'shop.plain', '-t', 'shop.plain_audit',
	$node->connstr('src') . ' user=keeper');
# (All but the contexts of other people's transactions, which row-level
# security keeps from pg_dump, and the extension's comment, which is not theirs.)
dump_db('the whole database by the owner', 'owner_all', '-Fc', '-N', 'plinth_audit', '--no-comments',
	$node->connstr('src') . ' user=keeper');
new_db('owner', 'CREATE EXTENSION plinth_audit');
$node->command_ok(
	[ 'pg_restore', '-e', '--no-owner', '-d', $node->connstr('owner') . ' user=keeper', "$dir/owner" ],
	'by the owner: restores');
restored('by the owner', 'owner', by_owner => 1);

new_db('owner_all', 'CREATE EXTENSION plinth_audit');
$node->command_ok(
	[ 'pg_restore', '-e', '--no-owner', '-d', $node->connstr('owner_all') . ' user=keeper', "$dir/owner_all" ],
	'the whole database by the owner: restores');
restored('the whole database by the owner', 'owner_all', by_owner => 1);

# Their log is theirs now; repair gives it back.
is( $node->safe_psql('owner', q{
		SELECT DISTINCT relname, pg_get_userbyid(relowner) FROM pg_class
		WHERE relnamespace = 'shop'::regnamespace AND relname LIKE '%\_audit' ORDER BY 1}),
	"events_audit|keeper\norders_audit|keeper\nplain_audit|keeper",
	'by the owner: the log is the one who restored it');
isnt(
	$node->safe_psql('owner', q{SELECT count(*) FROM plinth_audit.check('shop.plain')}),
	'0', 'by the owner: check says that the log is not protected');
as('keeper', 'owner', q{SELECT plinth_audit.repair('shop.plain')});
$node->safe_psql('owner', q{SELECT plinth_audit.repair('shop.orders'), plinth_audit.repair('shop.events')});
is($node->safe_psql('owner', $effective_rights_of),
	$node->safe_psql('src', $effective_rights_of),
	'by the owner: after repair, owners and rights as in the source');
is($node->safe_psql('owner', $status_of), $node->safe_psql('src', $status_of),
	'by the owner: after repair, status as in the source');
for my $table (@tables)
{
	is($node->safe_psql('owner', "SELECT * FROM plinth_audit.check('shop.$table')"),
		'', "by the owner: after repair, nothing to complain about in $table");
	($rc, $out, $err) = $node->psql('owner', "\\set VERBOSITY sqlstate\nDELETE FROM shop.${table}_audit",
		extra_params => [ '-U', 'keeper' ]);
	like($err, qr/42501|PX001/, "by the owner: after repair, $table\'s log is protected from them");
}
as('keeper', 'owner', q{UPDATE shop.plain SET v = 'last' WHERE id = 1});
is( $node->safe_psql('owner', q{SELECT op, old_data ->> 'v', new_data ->> 'v', changed_by
		FROM shop.plain_audit ORDER BY audit_id DESC LIMIT 1}),
	'U|v1|last|keeper', 'by the owner: after repair, auditing goes on');

done_testing();
