# A physical standby hides the dead as its primary does; to a logical subscriber a deletion comes as an UPDATE, whether it has the extension or not; what is removed for good goes there, too; rows that move between its own partitions move; and a DELETE of a living row that arrives at an enabled table, as one half of a row's move on the publisher does, marks it, or removes it where the subscriber has been told so.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 'logical');
$primary->append_conf('postgresql.conf', "session_preload_libraries = 'plinth_soft_delete'");
$primary->start;

my $schema = q{
	CREATE TABLE users (id int PRIMARY KEY, v int);
	CREATE TABLE parts (id int, k int, v int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
	CREATE TABLE parts_2 PARTITION OF parts DEFAULT;};
# Partitioned on subscribers only.
my $flat = 'CREATE TABLE flat (id int, k int, v int, PRIMARY KEY (id, k))';
$primary->safe_psql('postgres', qq{
	CREATE EXTENSION plinth_soft_delete;
	CREATE ROLE app;
	GRANT pg_read_all_data, pg_write_all_data TO app;
	$schema
	$flat;
	SELECT plinth_soft_delete.enable('users', viewers => 'app'), plinth_soft_delete.enable('parts', visibility => 'filter'), plinth_soft_delete.enable('flat');
	INSERT INTO flat SELECT g, 1, g FROM generate_series(1, 10) g;
	DELETE FROM flat WHERE id = 1;
	INSERT INTO users SELECT g, g FROM generate_series(1, 10) g;
	INSERT INTO parts SELECT g, 1 + g % 2, g FROM generate_series(1, 10) g;
	DELETE FROM users WHERE id <= 2;
	DELETE FROM parts WHERE id <= 2;});

sub app
{
	my ($node, $sql) = @_;
	return $node->safe_psql('postgres', "SET ROLE app; $sql");
}
my $state = q{SELECT 'users', id, NULL::int, v, deleted_at, deletion_id FROM users UNION ALL SELECT 'parts', id, k, v, deleted_at, deletion_id FROM parts UNION ALL SELECT 'flat', id, k, v, deleted_at, deletion_id FROM flat ORDER BY 1, 2, 3};
my $all = "SET row_security = off; $state";

# A physical standby.
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', q{
	DELETE FROM users WHERE id = 3;
	UPDATE users SET deleted_at = now() WHERE id = 4;
	UPDATE parts SET k = 3 - k WHERE id = 5;
	DELETE FROM parts_1 WHERE id IN (4, 6);});
$primary->wait_for_catchup($standby);
for my $query ($state, 'SELECT count(*) FROM users', 'SELECT count(*) FROM parts', 'SELECT count(*) FROM parts_1', 'EXPLAIN (COSTS OFF) SELECT * FROM users WHERE id = 3',
	'SET plinth_soft_delete.show_deleted = on; SELECT count(*) FROM users', 'SELECT plinth_soft_delete.last_deletion() IS NULL')
{
	is(app($standby, $query), app($primary, $query), "standby: as on the primary: $query");
}
is(app($standby, 'SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM users'), '5 6 7 8 9 10', 'standby: the dead are hidden');
is($standby->safe_psql('postgres', $all), $primary->safe_psql('postgres', $all), 'standby: and are there');
for my $write ('DELETE FROM users WHERE id = 5', 'WITH d AS (DELETE FROM parts RETURNING 1) SELECT count(*) FROM d', q{SELECT plinth_soft_delete.enable('users')}, q{SELECT plinth_soft_delete.disable('users', 'keep')}, 'DELETE FROM plinth_soft_delete._deletion')
{
	my ($rc, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\n$write");
	like($err, qr/25006/, "standby: refused as any write: $write");
}
for my $call (q{_deletion('users')}, q{show_deleted('users')}, q{only_policy('users')})
{
	my ($rc, $out, $err) = $standby->psql('postgres', "SELECT plinth_soft_delete.$call");
	isnt($rc, 2, "standby: goes on after $call");
}

# Logical subscribers: without the extension; with the tables enabled; the same, told to remove what the publisher deletes,
# which publishes partitioned tables as such or each partition by itself.
my $from = $primary->connstr . ' dbname=postgres';
my $remove = "plinth_soft_delete.replicated_delete = 'remove'";
$primary->safe_psql('postgres', q{
	CREATE PUBLICATION roots FOR TABLE users, parts, flat WITH (publish_via_partition_root);
	CREATE PUBLICATION leaves FOR TABLE users, parts, flat;});
my %settings = (ordinary => '', enabled => '', removing => $remove, leaves => '');
my %subscribers;
for my $name (sort keys %settings)
{
	my $node = $subscribers{$name} = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "wal_retrieve_retry_interval = '100ms'\n$settings{$name}");
	$node->start;
	$node->safe_psql('postgres', qq{
		$schema
		$flat PARTITION BY LIST (k);
		CREATE TABLE flat_1 PARTITION OF flat FOR VALUES IN (1);
		CREATE TABLE flat_2 (v int, id int NOT NULL, k int NOT NULL);
		ALTER TABLE flat ATTACH PARTITION flat_2 DEFAULT;
		ALTER TABLE users ADD deleted_at timestamptz, ADD deletion_id bigint; ALTER TABLE parts ADD deleted_at timestamptz, ADD deletion_id bigint; ALTER TABLE flat ADD deleted_at timestamptz, ADD deletion_id bigint;});
	$node->safe_psql('postgres', q{
		CREATE EXTENSION plinth_soft_delete;
		SELECT plinth_soft_delete.enable('users'), plinth_soft_delete.enable('parts'), plinth_soft_delete.enable('flat')}) if $name ne 'ordinary';
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET $remove") if $name eq 'leaves';
	$node->safe_psql('postgres', "CREATE SUBSCRIPTION $name CONNECTION '$from' PUBLICATION " . ($name eq 'leaves' ? 'leaves' : 'roots'));
	$node->wait_for_subscription_sync($primary, $name);
	is($node->safe_psql('postgres', $all), $primary->safe_psql('postgres', $all), "$name: the initial copy has the dead");
}
my ($enabled, $ordinary) = @subscribers{qw(enabled ordinary)};
sub caught_up
{
	my ($what, @but) = @_;
	for my $name (grep { my $name = $_; !grep { $_ eq $name } @but } sort keys %subscribers)
	{
		$primary->wait_for_catchup($name);
		is($subscribers{$name}->safe_psql('postgres', $all), $primary->safe_psql('postgres', $all), "$name: $what");
	}
	return;
}
$primary->safe_psql('postgres', q{
	DELETE FROM users WHERE id = 5;
	WITH d AS (DELETE FROM parts WHERE id = 7 RETURNING id) UPDATE users SET v = 0 FROM d WHERE users.id = d.id;
	UPDATE users SET deleted_at = now() WHERE id = 6;
	DELETE FROM flat WHERE id IN (2, 3);
	BEGIN; DELETE FROM users; ROLLBACK;});
caught_up('a deletion arrives as an update');
$primary->safe_psql('postgres', 'UPDATE users SET deleted_at = NULL WHERE id = 5; INSERT INTO users VALUES (5, 5) ON CONFLICT (id) DO NOTHING');
caught_up('a row that comes back comes back');

# Rows that move between partitions that the subscriber alone has: there is an UPDATE to tell them by.
$primary->safe_psql('postgres', 'UPDATE flat SET k = 2, v = -v WHERE id IN (4, 5, 6); UPDATE flat SET k = 2, deleted_at = now() WHERE id = 7');
caught_up('rows move between partitions of the subscriber');
$primary->safe_psql('postgres', 'UPDATE flat SET k = 3 - k WHERE deleted_at IS NULL');
caught_up('and back');
is($enabled->safe_psql('postgres', 'SELECT count(*) FROM plinth_soft_delete._deletion'), '0', 'enabled: nothing has died of it');

# Rows that move on the publisher come as a DELETE and an INSERT.
my $dead = q{SELECT id, k FROM parts WHERE deletion_id IN (SELECT deletion_id FROM plinth_soft_delete._deletion) ORDER BY 1};
$primary->safe_psql('postgres', 'UPDATE parts SET k = 3 - k WHERE id IN (3, 8)');
caught_up('rows that move on the publisher move', 'enabled');
$primary->wait_for_catchup('enabled');
is($enabled->safe_psql('postgres', "$state") =~ s/^parts\|[38]\|.*\|\d+\n//gmr, $primary->safe_psql('postgres', $all), 'enabled: they come where they have gone');
is($enabled->safe_psql('postgres', $dead), "3|2\n8|1", 'enabled: and are kept where they were, dead');
is($enabled->safe_psql('postgres', q{SELECT target, row_count, deletion_id > (SELECT max(p.deletion_id) FROM parts p WHERE p.deletion_id <> d.deletion_id), (SELECT count(*) FROM parts p WHERE p.deletion_id = d.deletion_id) FROM plinth_soft_delete._deletion d}), 'public.parts|2|t|2', 'enabled: by a deletion of their own, with a number that none has that has come');

# There they are in the way if they come back; changing their keys is the way out.
$primary->safe_psql('postgres', 'UPDATE parts SET k = 3 - k WHERE id = 3');
caught_up('rows that move back on the publisher move back', 'enabled');
ok($enabled->poll_query_until('postgres', 'SELECT apply_error_count > 0 FROM pg_stat_subscription_stats'), 'enabled: a dead row is in the way of one that comes back');
ok($enabled->log_contains(qr/duplicate key value violates unique constraint "parts_2_pkey"|Key already exists in unique index "parts_2_pkey"/), 'enabled: which says so');
$enabled->safe_psql('postgres', q{SET plinth_soft_delete.dead_update = 'allow'; UPDATE parts SET id = -id WHERE id = 3 AND k = 2 AND deleted_at IS NOT NULL});
$primary->wait_for_catchup('enabled');
is($enabled->safe_psql('postgres', 'SELECT id, k, deleted_at IS NULL FROM parts WHERE abs(id) = 3 ORDER BY 1, 2'), "-3|2|f\n3|1|f\n3|2|t", 'enabled: it comes when the key is free');

# From then on this one is told to remove them, too.
$enabled->append_conf('postgresql.conf', $remove);
$enabled->restart;
$enabled->safe_psql('postgres', q{SET plinth_soft_delete.dead_update = 'allow'; UPDATE parts SET id = -id WHERE id > 0 AND deletion_id IN (SELECT deletion_id FROM plinth_soft_delete._deletion)});
$all =~ s/FROM parts/FROM parts WHERE id > 0/;
$primary->safe_psql('postgres', 'UPDATE parts SET k = 3 - k WHERE deleted_at IS NULL');
caught_up('all rows move');
$enabled->append_conf('postgresql.conf', 'plinth_soft_delete.replicated_delete = soft');
$enabled->restart;

is($enabled->safe_psql('postgres', q{CREATE ROLE app; GRANT pg_read_all_data TO app; LOAD 'plinth_soft_delete'; SET ROLE app; SELECT string_agg(id::text, ' ' ORDER BY id) FROM users}), '5 7 8 9 10', 'enabled: the dead are hidden');
$primary->safe_psql('postgres', q{SELECT plinth_soft_delete.disable('users', dead => 'purge')});
caught_up('what is removed for good is removed');

# A trigger on a subscriber that deletes is a client like any other.
$enabled->safe_psql('postgres', q{
	CREATE TABLE notes (id int);
	INSERT INTO notes VALUES (1), (2);
	SELECT plinth_soft_delete.enable('notes');
	DELETE FROM notes WHERE id = 1;
	CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.notes; RETURN NULL; END';
	CREATE TRIGGER tidy AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION tidy();
	ALTER TABLE users ENABLE ALWAYS TRIGGER tidy;});
# Its worker has no library until then.
$enabled->restart;
my $count = $enabled->safe_psql('postgres', 'SELECT count(*) FROM plinth_soft_delete._deletion');
$primary->safe_psql('postgres', 'INSERT INTO users VALUES (11, 11)');
caught_up('a row comes');
is($enabled->safe_psql('postgres', 'SELECT id, deleted_at IS NOT NULL FROM notes ORDER BY 1'), "1|t\n2|t", 'enabled: a trigger that deletes marks what is alive and leaves what is dead');
is($enabled->safe_psql('postgres', "SELECT count(*) - $count FROM plinth_soft_delete._deletion"), '1', 'enabled: with a record');

# The publisher is an ordinary table now: what it deletes the subscriber marks.
$primary->safe_psql('postgres', 'DELETE FROM users WHERE id IN (7, 8)');
$primary->safe_psql('postgres', 'DELETE FROM users WHERE id = 9');
$primary->wait_for_catchup($_) for sort keys %subscribers;
is($subscribers{$_}->safe_psql('postgres', 'SELECT count(*) FROM users WHERE id IN (7, 8, 9)'), '0', "$_: a DELETE removes") for qw(ordinary removing leaves);
is($enabled->safe_psql('postgres', 'SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM users WHERE deleted_at IS NOT NULL'), '7 8 9', 'enabled: a DELETE marks');
is($enabled->safe_psql('postgres', q{SELECT target, row_count, (SELECT count(*) FROM users u WHERE u.deletion_id = d.deletion_id) FROM plinth_soft_delete._deletion d WHERE target = 'public.users' ORDER BY deletion_id}), "public.users|2|2\npublic.users|1|1", 'enabled: one record for each transaction');
is($subscribers{$_}->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_subscription_stats WHERE apply_error_count + sync_error_count > 0}), '0', "$_: without errors") for qw(ordinary removing leaves);
$primary->safe_psql('postgres', 'TRUNCATE users');
ok($enabled->wait_for_log(qr/cannot truncate soft-deleting table "users"/), 'enabled: a TRUNCATE is refused');

# As the only servers.
$enabled->safe_psql('postgres', 'DROP SUBSCRIPTION enabled');
$primary->wait_for_catchup($standby);
$standby->promote;
is($standby->safe_psql('postgres', 'DELETE FROM parts WHERE id = 10 RETURNING id; SELECT plinth_soft_delete.last_deletion() > (SELECT max(deletion_id) FROM plinth_soft_delete._deletion d WHERE d.deletion_id <> plinth_soft_delete.last_deletion())'), "10\nt", 'promoted: deletes, and numbers do not come again');
is(app($standby, 'SELECT count(*) FROM parts WHERE id = 10'), '0', 'promoted: hidden');

done_testing();
