# A dump of a hierarchy, made and restored in any of the usual ways, has an exact closure, its triggers and its guard, and works on; data that is restored over the triggers brings no row twice.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

my $dir = $node->basedir;
my @tables = qw(cats groups parts);
my %key = (cats => 'id', groups => 'code', parts => 'id');
my %parent = (cats => 'parent_id', groups => 'above', parts => 'parent');

sub sql
{
	my ($db, $sql, @extra) = @_;
	my ($rc, $out, $err) = $node->psql($db, $sql, extra_params => [@extra], on_error_stop => 1);

	is($rc, 0, 'SQL works: ' . substr($sql, 0, 60)) or diag($err);
	return $out;
}

sub dump_db
{
	my ($name, $file, @args) = @_;
	$node->command_ok([ 'pg_dump', '-f', "$dir/$file", @args ], "dump: $name");
}

sub restore_plain
{
	my ($name, $db, $file) = @_;
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/$file", $node->connstr($db) ],
		"$name: restores");
}

sub new_db
{
	my ($db) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql('postgres', "GRANT CREATE ON DATABASE $db TO keeper");
}

# The rows in which closure and table disagree.
sub wrong
{
	my ($db, $table) = @_;
	my ($id, $parent) = ($key{$table}, $parent{$table});

	return $node->safe_psql($db, qq{
		WITH RECURSIVE up (a, d, depth) AS (
			SELECT $id, $id, 0 FROM shop.$table
			UNION ALL SELECT p.$id, u.d, u.depth + 1 FROM up u
				JOIN shop.$table n ON n.$id = u.a JOIN shop.$table p ON p.$id = n.$parent)
		CYCLE a SET is_cycle USING path,
		computed AS (SELECT a::text, d::text, depth FROM up),
		stored AS (SELECT ancestor::text, descendant::text, depth FROM shop.${table}_closure)
		(SELECT 'missing', * FROM computed EXCEPT ALL SELECT 'missing', * FROM stored)
		UNION ALL (SELECT 'extra', * FROM stored EXCEPT ALL SELECT 'extra', * FROM computed)
		UNION ALL SELECT 'cycle', a::text, d::text, up.depth FROM up WHERE is_cycle});
}

my $triggers_of = q{
	SELECT tgrelid::regclass, tgenabled, pg_get_triggerdef(oid)
	FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE '%plinth_closure%'
	ORDER BY tgrelid::regclass::text, tgname};

my $rights_of = q{
	SELECT c.oid::regclass, c.relkind, pg_get_userbyid(c.relowner),
		(SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) a)
	FROM pg_class c WHERE c.relnamespace = 'shop'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname};

my $indexes_of = q{SELECT indexdef FROM pg_indexes WHERE schemaname = 'shop' ORDER BY 1};

my $functions_of = q{
	SELECT p.oid::regprocedure, pg_get_userbyid(p.proowner), pg_get_functiondef(p.oid), obj_description(p.oid)
	FROM pg_proc p WHERE p.pronamespace = 'shop'::regnamespace ORDER BY p.oid::regprocedure::text};

my $reads = q{
	SELECT shop.cats_path(100), shop.cats_subtree_size(3), shop.groups_lca('A', 'a'), (SELECT count(*) FROM shop.parts_descendants(1)),
		(SELECT string_agg(line, E'\\n') FROM plinth_closure.tree('shop.parts'))};

# What must be true of a restored database.
sub restored
{
	my ($name, $db) = @_;

	for my $table (@tables)
	{
		is($node->safe_psql($db, "SELECT count(*) FROM shop.$table"),
			$node->safe_psql('src', "SELECT count(*) FROM shop.$table"), "$name: rows of $table");
		is($node->safe_psql($db, "SELECT c FROM shop.${table}_closure c ORDER BY c"),
			$node->safe_psql('src', "SELECT c FROM shop.${table}_closure c ORDER BY c"), "$name: closure of $table");
		is(wrong($db, $table), '', "$name: no difference in $table");
	}
	is($node->safe_psql($db, $triggers_of), $node->safe_psql('src', $triggers_of), "$name: triggers, with their options");
	is($node->safe_psql($db, $rights_of), $node->safe_psql('src', $rights_of), "$name: owners and rights");
	is($node->safe_psql($db, $indexes_of), $node->safe_psql('src', $indexes_of), "$name: indexes");
	is($node->safe_psql($db, $functions_of), $node->safe_psql('src', $functions_of), "$name: functions, with their owners");
	is($node->safe_psql($db, $reads), $node->safe_psql('src', $reads), "$name: what they say");

	# By a writer who has no right on the closure.
	sql($db, q{
		BEGIN;
		INSERT INTO shop.cats VALUES (901, 900, 'below'), (900, 3, 'above');
		UPDATE shop.cats SET parent_id = 901 WHERE id = 4;
		UPDATE shop.groups SET code = 'Z' WHERE code = 'A';
		INSERT INTO shop.parts VALUES (151, 51), (51, 1);
		DELETE FROM shop.parts WHERE id = 12;
		COMMIT;}, '-U', 'app');
	is(wrong($db, $_), '', "$name: goes on, no difference in $_") for @tables;
	for my $write (
		q{INSERT INTO shop.cats_closure VALUES (1, 1, 3)},
		q{INSERT INTO shop.cats_closure VALUES (77, 78, 1)},
		q{UPDATE shop.cats_closure SET depth = 9 WHERE ancestor = 1},
		q{DELETE FROM shop.groups_closure},
		q{TRUNCATE shop.parts_closure})
	{
		my ($rc, $out, $err) = $node->psql($db, $write);
		like($err, qr/cannot be changed by hand/, "$name: guarded: $write");
	}
	my ($rc, $out, $err) = $node->psql($db, "\\set VERBOSITY sqlstate\nUPDATE shop.cats SET parent_id = 4 WHERE id = 3");
	like($err, qr/23514/, "$name: a cycle is refused");
}

# The source: keys of several types, a partitioned table, a writer who has no
# right on the closures.
$node->safe_psql('postgres', 'CREATE ROLE keeper LOGIN; CREATE ROLE app LOGIN; CREATE ROLE reader LOGIN');
new_db('src');
$node->safe_psql('src', 'CREATE EXTENSION plinth_closure');
sql('src', q{
	CREATE SCHEMA shop;
	GRANT USAGE ON SCHEMA shop TO app, reader;
	CREATE TABLE shop.cats (id bigint PRIMARY KEY, parent_id bigint REFERENCES shop.cats, label text);
	CREATE TABLE shop.groups (code text COLLATE "C" PRIMARY KEY, above text COLLATE "C");
	CREATE TABLE shop.parts (id int PRIMARY KEY, parent int) PARTITION BY RANGE (id);
	CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (10);
	CREATE TABLE shop.parts_2 PARTITION OF shop.parts FOR VALUES FROM (10) TO (1000);
	GRANT SELECT, INSERT, UPDATE, DELETE ON shop.cats, shop.groups, shop.parts TO app;
	GRANT SELECT ON shop.cats TO reader;
	SELECT plinth_closure.enable('shop.cats', max_depth => 50);
	SELECT plinth_closure.enable('shop.groups', 'code', 'above');
	SELECT plinth_closure.enable('shop.parts', 'id', 'parent');
}, '-U', 'keeper');
sql('src', q{
	INSERT INTO shop.cats SELECT g, nullif(g / 3, 0), 'c' || g FROM generate_series(200, 1, -1) g;
	INSERT INTO shop.groups VALUES ('a', 'A'), ('A', NULL), ('ab', 'a'), ('Q', NULL);
	INSERT INTO shop.parts VALUES (1, NULL), (11, 1), (12, 11), (3, 2), (2, 1), (13, 3);
	DELETE FROM shop.groups WHERE code IN ('a', 'ab');
}, '-U', 'app');
is(wrong('src', $_), '', "source: no difference in $_") for @tables;

# Whole databases.
dump_db('plain', 'plain.sql', $node->connstr('src'));
dump_db('custom', 'custom', '-Fc', $node->connstr('src'));
new_db('plain');
restore_plain('plain', 'plain', 'plain.sql');
restored('plain', 'plain');

new_db('custom');
$node->command_ok([ 'pg_restore', '-e', '-j', '2', '-d', $node->connstr('custom'), "$dir/custom" ],
	'custom: restores in parallel');
restored('custom', 'custom');

# Closures and functions still go with their tables.
for my $db (qw(plain custom))
{
	sql($db, "DROP TABLE shop.$_", '-U', 'keeper') for @tables;
	is($node->safe_psql($db, q{SELECT relname FROM pg_class WHERE relnamespace = 'shop'::regnamespace
		UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'shop'::regnamespace}),
		'', "$db: nothing is left of dropped tables");
}

# One table with its closure.
dump_db('table', 'table', '-Fc', '-t', 'shop.cats', '-t', 'shop.cats_closure', $node->connstr('src'));
new_db('tab');
$node->safe_psql('tab', 'CREATE EXTENSION plinth_closure; CREATE SCHEMA shop AUTHORIZATION keeper; GRANT USAGE ON SCHEMA shop TO app');
$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('tab'), "$dir/table" ], '-t: restores');
is(wrong('tab', 'cats'), '', '-t: no difference');
$node->safe_psql('tab', 'UPDATE shop.cats SET parent_id = 2 WHERE id = 4', extra_params => [ '-U', 'app' ]);
is(wrong('tab', 'cats'), '', '-t: goes on, no difference');

# Data into a schema that has the triggers already.  With the triggers on, the
# table's rows make the closure's, which then come again and are skipped.
dump_db('schema only', 'empty.sql', '--schema-only', $node->connstr('src'));
dump_db('data only', 'data.sql', '--data-only', $node->connstr('src'));
dump_db('data only, triggers off', 'data_off.sql', '--data-only', '--disable-triggers', $node->connstr('src'));

new_db('data_off');
restore_plain('--disable-triggers: schema', 'data_off', 'empty.sql');
restore_plain('--disable-triggers', 'data_off', 'data_off.sql');
restored('--disable-triggers', 'data_off');

new_db('data');
restore_plain('data only: schema', 'data', 'empty.sql');
restore_plain('data only', 'data', 'data.sql');
restored('data only', 'data');

# Restored twice: the table refuses its rows, the closure skips its own.
my ($rc, $out, $err) = $node->psql('data_off', q{INSERT INTO shop.cats_closure VALUES (1, 1, 0), (1, 3, 1)});
is($err, '', 'rows that are there are skipped');
is(wrong('data_off', 'cats'), '', 'and not doubled');

done_testing();
