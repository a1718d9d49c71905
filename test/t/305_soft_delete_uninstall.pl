# Taking soft deletion off again: disable() leaves an ordinary table, DROP EXTENSION goes without a trace, a library that is gone from the preload list is not missed, and nobody is locked out on the way.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

sub refused
{
	my ($sql, $state, $name) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	like($err, qr/ERROR:  $state/, $name);
	return $err;
}
my $look = q{
	SELECT 'column', attname::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped
	UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE tgrelid = 't'::regclass
	UNION ALL SELECT 'policy', polname::text FROM pg_policy WHERE polrelid = 't'::regclass
	UNION ALL SELECT 'row security', concat(relrowsecurity, relforcerowsecurity) FROM pg_class WHERE oid = 't'::regclass
	UNION ALL SELECT 'rule', rulename::text FROM pg_rewrite WHERE ev_class = 't'::regclass ORDER BY 1, 2};

$node->safe_psql('postgres', q{
	CREATE ROLE app;
	CREATE EXTENSION plinth_soft_delete;
	CREATE TABLE t (id int PRIMARY KEY, v int);
	GRANT SELECT, INSERT, DELETE ON t TO app;
	INSERT INTO t SELECT g, g FROM generate_series(1, 10) g;});
my $before = $node->safe_psql('postgres', $look);

# disable(): refused, keep, purge.
$node->safe_psql('postgres', q{SELECT plinth_soft_delete.enable('t'); DELETE FROM t WHERE id <= 3});
my $err = refused(q{SELECT plinth_soft_delete.disable('t')}, '55000', 'disable() does not bring the dead back unasked');
is($node->safe_psql('postgres', q{LOAD 'plinth_soft_delete'; SET ROLE app; SELECT count(*) FROM t}), '7', 'and nothing has happened');
$node->safe_psql('postgres', q{SELECT plinth_soft_delete.disable('t', dead => 'purge')});
is($node->safe_psql('postgres', q{SET ROLE app; SELECT count(*), min(id) FROM t}), '7|4', 'purge removes them');
$node->safe_psql('postgres', q{ALTER TABLE t DROP COLUMN deleted_at, DROP COLUMN deletion_id});
is($node->safe_psql('postgres', $look), $before, 'and the table is as it was');
$node->safe_psql('postgres', q{DELETE FROM t WHERE id = 4});
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), '6', 'DELETE removes');
$node->safe_psql('postgres', q{SELECT plinth_soft_delete.enable('t'); DELETE FROM t WHERE id = 5});
my $dead = $node->safe_psql('postgres', 'SELECT id, deleted_at, deletion_id FROM t WHERE deleted_at IS NOT NULL');
$node->safe_psql('postgres', q{SELECT plinth_soft_delete.disable('t', dead => 'keep')});
is($node->safe_psql('postgres', q{SET ROLE app; SELECT id, deleted_at, deletion_id FROM t WHERE deleted_at IS NOT NULL}), $dead, 'keep keeps them, with their marks');
$node->safe_psql('postgres', q{SELECT plinth_soft_delete.enable('t')});
is($node->safe_psql('postgres', q{LOAD 'plinth_soft_delete'; SET ROLE app; SELECT count(*) FROM t}), '5', 'and they are hidden when it is enabled again');
is($node->safe_psql('postgres', 'SELECT id, deleted_at, deletion_id FROM t WHERE deleted_at IS NOT NULL'), $dead, 'by the same deletion');

# DROP EXTENSION.
refused('DROP EXTENSION plinth_soft_delete', '2BP01', 'DROP EXTENSION is refused while a table is enabled');
refused('DROP FUNCTION plinth_soft_delete.mark()', '2BP01', 'so is DROP FUNCTION');
is($node->safe_psql('postgres', 'DELETE FROM t WHERE id = 6; SELECT count(*) FROM t WHERE deleted_at IS NOT NULL'), '2', 'and nothing has happened');

# A session that goes on over all of this.
my $session = $node->background_psql('postgres');
$session->query_safe(q{LOAD 'plinth_soft_delete'; PREPARE d (int) AS DELETE FROM t WHERE id = $1 RETURNING id; SET plan_cache_mode = force_generic_plan});
is($session->query_safe('EXECUTE d (7)'), '7', 'a session with a plan');
$node->safe_psql('postgres', 'SET client_min_messages = warning; DROP EXTENSION plinth_soft_delete CASCADE');
is($node->safe_psql('postgres', q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM t}), '5 6 7 8 9 10', 'DROP EXTENSION ... CASCADE loses no row');
is($node->safe_psql('postgres', $look) =~ s/column\|delet\w+\n//gr, $before =~ s/row security\|ff/row security|tf/r, 'triggers and policies are gone; row-level security stays on, so that what was hidden is not seen');
is($session->query_safe('EXECUTE d (8)'), '8', 'the session goes on');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE id = 8'), '0', 'and its DELETE removes');
is($session->query_safe('SELECT count(*) FROM t'), '5', 'and it sees what there is');
$node->safe_psql('postgres', q{ALTER TABLE t DISABLE ROW LEVEL SECURITY; CREATE EXTENSION plinth_soft_delete; SELECT plinth_soft_delete.enable('t')});
is($session->query_safe('EXECUTE d (9)'), '9', 'installed again: it deletes');
is($node->safe_psql('postgres', 'SELECT deleted_at IS NOT NULL, (SELECT count(*) FROM plinth_soft_delete._deletion d WHERE d.deletion_id = t.deletion_id) FROM t WHERE id = 9'), 't|1', 'and marks');
$session->quit;

# The library in the list of one database and of the server.
for my $where (q{ALTER DATABASE postgres SET session_preload_libraries = 'plinth_soft_delete'}, q{ALTER SYSTEM SET session_preload_libraries = 'plinth_soft_delete'}, q{ALTER SYSTEM SET shared_preload_libraries = 'plinth_soft_delete'})
{
	$node->safe_psql('postgres', $where);
	$node->restart;
	is($node->safe_psql('postgres', 'INSERT INTO t VALUES (100); DELETE FROM t WHERE id = 100 RETURNING id; SELECT count(*) FROM t WHERE id = 100 AND deleted_at IS NOT NULL'), "100\n1", "$where: the first DELETE of a session is like any");
	$node->safe_psql('postgres', q{SELECT plinth_soft_delete.disable('t', 'purge')});
	is($node->safe_psql('postgres', 'INSERT INTO t (id) VALUES (100); DELETE FROM t WHERE id = 100; SELECT count(*) FROM t WHERE id = 100'), '0', 'disabled: loaded, and without effect');
	$node->safe_psql('postgres', 'DROP EXTENSION plinth_soft_delete');
	is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM t; CREATE TABLE u (id int); INSERT INTO u VALUES (1); DELETE FROM u RETURNING id; DROP TABLE u'), "t\n1", 'without the extension: sessions connect and delete');
	$node->safe_psql('template1', 'SELECT 1');
	$node->safe_psql('postgres', $where =~ s/ SET (\w+) = .*/ RESET $1/r);
	$node->restart;
	is($node->safe_psql('postgres', 'SHOW session_preload_libraries') . $node->safe_psql('postgres', 'SHOW shared_preload_libraries'), '', 'off the list');
	$node->safe_psql('postgres', q{CREATE EXTENSION plinth_soft_delete; SELECT plinth_soft_delete.enable('t'); ALTER DATABASE postgres RESET session_preload_libraries});
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE deleted_at IS NOT NULL'), '0', 'in the end nobody is dead');

done_testing();
