# Sessions that have no library, or get it by the trigger: no row is lost by any of them, the first DELETE marks and says so, the next one is like any; and with the library before or behind another planner hook nothing changes.

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
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->start;

my $loaded = q{LOAD 'plinth_soft_delete'; };
$node->safe_psql('postgres', q{
	CREATE EXTENSION plinth_soft_delete;
	CREATE TABLE t (id int PRIMARY KEY, v int);
	CREATE TABLE p (id int, k int, v int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
	CREATE TABLE p2 (v int, k int NOT NULL, id int NOT NULL);
	ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
	CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (100) PARTITION BY LIST (k);
	CREATE TABLE p3a PARTITION OF p3 FOR VALUES IN (20);
	CREATE TABLE p3b PARTITION OF p3 DEFAULT;
	SELECT plinth_soft_delete.enable('t'), plinth_soft_delete.enable('p');
	ALTER DATABASE postgres RESET session_preload_libraries;
	CREATE TABLE ever (id int, k int);
	CREATE VIEW dead AS SELECT count(*) FILTER (WHERE deleted_at IS NOT NULL) AS dead, count(*) FILTER (WHERE deleted_at IS NULL) AS alive FROM t;
	CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $$
		INSERT INTO t SELECT g, g FROM generate_series((SELECT coalesce(max(id), 0) + 1 FROM t), (SELECT coalesce(max(id), 0) + 10 FROM t)) g;
		INSERT INTO p SELECT n + g, g * 5, g FROM generate_series(0, 9) g, (SELECT coalesce(max(id), 0) + 1 AS n FROM p) m;
	$$;});

# What a new session prints that begins with this; each row that there was is still there.
sub session
{
	my ($name, $sql, $out, $err, %is) = @_;

	$node->safe_psql('postgres', 'SELECT fill()');
	my $before = $node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM t) || $$ $$ || (SELECT count(*) FROM p)');
	my ($rc, $got, $said) = $node->psql('postgres', $sql, on_error_stop => 0);
	is($got, $out, "$name: answers");
	if (ref $err)
	{
		like($said, $err, "$name: and says so");
	}
	else
	{
		is($said, $err, "$name: silently");
	}
	is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM t) || $$ $$ || (SELECT count(*) FROM p)'), $before, "$name: no row is lost") unless $is{more};
	is($node->safe_psql('postgres', q{
			SELECT 't', count(*) FROM t WHERE (deleted_at IS NULL) <> (deletion_id IS NULL) HAVING count(*) > 0
			UNION ALL SELECT 'p', count(*) FROM p WHERE (deleted_at IS NULL) <> (deletion_id IS NULL) HAVING count(*) > 0
			UNION ALL SELECT 'record ' || d.deletion_id, d.row_count FROM plinth_soft_delete._deletion d
				WHERE row_count <> (SELECT count(*) FROM t WHERE t.deletion_id = d.deletion_id) + (SELECT count(*) FROM p WHERE p.deletion_id = d.deletion_id)
			UNION ALL SELECT 'no record', x.deletion_id FROM (SELECT deletion_id FROM t UNION SELECT deletion_id FROM p) x
				WHERE x.deletion_id NOT IN (SELECT deletion_id FROM plinth_soft_delete._deletion)}), '', "$name: every dead row has its record");
}

my $warning = qr/WARNING:  row of table "\w+" was soft-deleted, but is not counted/;

session('DELETE', q{WITH d AS (DELETE FROM t WHERE id <= 3 RETURNING 1) SELECT count(*) FROM d; DELETE FROM t WHERE id = 4 RETURNING id; SELECT dead, alive FROM dead},
	"0\n4\n4|6", $warning);
session('DELETE that says how many', q{DO $$ DECLARE n int; BEGIN DELETE FROM t WHERE id = 11; GET DIAGNOSTICS n = ROW_COUNT; RAISE NOTICE 'first % %', n, found; END $$; DO $$ DECLARE n int; BEGIN DELETE FROM t WHERE id = 12; GET DIAGNOSTICS n = ROW_COUNT; RAISE NOTICE 'second % %', n, found; END $$;},
	'', qr/WARNING.*first 0 f.*second 1 t/s);
session('a plan that was made before', q{SET plan_cache_mode = force_generic_plan; PREPARE d (int) AS DELETE FROM t WHERE id = $1 RETURNING id; EXECUTE d (-1); EXECUTE d (5); EXECUTE d (6); EXECUTE d (7)},
	"5\n6\n7", '');
session('nothing to delete', q{DELETE FROM t WHERE id = -1 RETURNING id; DELETE FROM t WHERE id = 8 RETURNING id}, '8', '');
session('what is dead', q{DELETE FROM t WHERE id = 1 RETURNING id; SELECT 'then'}, 'then', '');
session('replica role', q{SET session_replication_role = replica; DELETE FROM t WHERE id IN (9, 10) RETURNING id; DELETE FROM t WHERE id = 13 RETURNING id}, '13', $warning);
session('MERGE', q{MERGE INTO t USING (VALUES (14), (15), (16)) s (id) ON t.id = s.id WHEN MATCHED AND s.id < 16 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 1000; SELECT count(*) FROM t WHERE v = 1000}, '1', $warning);
session('one more than one table', q{WITH d AS (DELETE FROM t WHERE id = 17 RETURNING id) DELETE FROM p WHERE k = 0 RETURNING id; SELECT 'then'}, 'then', $warning);
session('TRUNCATE', q{TRUNCATE t; TRUNCATE p; TRUNCATE p2, t; TRUNCATE p3 CASCADE; SELECT 'then'}, 'then', qr/cannot truncate soft-deleting table "t".*"p".*soft-deleting table "p2".*soft-deleting table "p3"/s);
session('TRUNCATE as a replica', q{SET session_replication_role = replica; TRUNCATE p3a; SELECT 'then'}, 'then', qr/cannot truncate/);
# The trigger that completes it comes after RETURNING.
session('UPDATE that marks', q{UPDATE t SET deleted_at = now() WHERE id = 18 RETURNING id; SELECT deletion_id IS NOT NULL FROM t WHERE id = 18; UPDATE t SET deleted_at = now() WHERE id = 19 RETURNING id, deletion_id IS NOT NULL},
	"18\nt\n19|t", '');
# Nothing dies of a move.
my $count = 'CREATE TEMP TABLE c AS SELECT count(*) AS n FROM p WHERE deleted_at IS NULL; ';
my $same = '; SELECT count(*) = (SELECT n FROM c) FROM p WHERE deleted_at IS NULL';
session('row moves', "${count}UPDATE p SET k = 95 - k, v = -1 WHERE k < 45 AND deleted_at IS NULL$same; SELECT count(*) > 9 FROM p3b WHERE v = -1", "t\nt", '');
session('row moves as a replica', "${count}SET session_replication_role = replica; UPDATE p SET k = 25 - k / 4, v = -2 WHERE v = -1 AND deleted_at IS NULL$same; SELECT count(*) > 9 FROM p WHERE v = -2 AND k < 20", "t\nt", '');
session('row moves within a part', "${count}UPDATE p3 SET k = CASE k WHEN 20 THEN 21 ELSE 20 END, v = -3 WHERE deleted_at IS NULL$same; SELECT count(*) > 0 FROM p3a WHERE v = -3", "t\nt", '');
session('row moves by MERGE', "${count}MERGE INTO p USING (SELECT id, k FROM p2 WHERE deleted_at IS NULL LIMIT 3) s ON (p.id, p.k) = (s.id, s.k) WHEN MATCHED THEN UPDATE SET k = 5, v = -4$same; SELECT count(*) FROM p1 WHERE v = -4", "t\n3", '');
session('row moves and DELETE in one MERGE', q{MERGE INTO p USING p2 s ON (p.id, p.k) = (s.id, s.k) WHEN MATCHED AND p.v = 2 THEN DELETE WHEN MATCHED AND p.deleted_at IS NULL THEN UPDATE SET k = 7; SELECT 'then'}, 'then', qr/cannot both update and delete rows.*HINT:  Run the statement again/s);
session('row moves and DELETE in one WITH', q{WITH d AS (DELETE FROM p WHERE k = 10) UPDATE p SET k = 50 WHERE k = 15 AND deleted_at IS NULL; SELECT 'then'}, 'then', qr/cannot both update and delete/);
session('DELETE of parts', q{DELETE FROM p1; DELETE FROM p2; DELETE FROM p3; SELECT count(*) FROM p WHERE deleted_at IS NULL}, '0', $warning);
session('a trigger that stops it', q{BEGIN; CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER a BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stop(); DELETE FROM t WHERE id = 21; SELECT count(*) FROM t WHERE id = 21 AND deleted_at IS NULL; ROLLBACK}, '1', qr/^(?!.*was soft-deleted)/s);
session('rolled back', q{BEGIN; DELETE FROM t WHERE id = 22; ROLLBACK; SELECT count(*) FROM t WHERE id = 22 AND deleted_at IS NULL}, '1', $warning);
session('error instead', q{SET plinth_soft_delete.unconverted = 'error'; SELECT deleted_at IS NULL FROM t WHERE id = 23; DELETE FROM t WHERE id = 23; SELECT deleted_at IS NULL FROM t WHERE id = 23; DELETE FROM t WHERE id = 23 RETURNING id},
	"t\nt\n23", qr/DELETE on soft-deleting table "t" was planned without plinth_soft_delete/);
session('error instead, row moves', q{SET plinth_soft_delete.unconverted = 'error'; UPDATE p SET k = 99, v = -6 WHERE k = 5 AND deleted_at IS NULL; SELECT count(*) > 0 FROM p3b WHERE v = -6}, 't', '');

# Columns, policies and identity: a role that has DELETE alone, a table of somebody else, and a trigger that is not to notice.
$node->safe_psql('postgres', q{
	CREATE ROLE keeper; CREATE ROLE guest;
	CREATE SCHEMA shop AUTHORIZATION keeper;
	SET ROLE keeper;
	GRANT USAGE ON SCHEMA shop TO guest;
	CREATE TABLE shop.items (id int PRIMARY KEY);
	CREATE TABLE shop.log (t text);
	INSERT INTO shop.items SELECT generate_series(1, 5);
	SELECT plinth_soft_delete.enable('shop.items');
	RESET ROLE;
	ALTER DATABASE postgres RESET session_preload_libraries;
	SET ROLE keeper;
	GRANT DELETE, SELECT ON shop.items TO guest;
	GRANT INSERT ON shop.log TO guest;
	CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (current_user); RETURN NEW; END $$;
	CREATE TRIGGER tell BEFORE UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.tell();});
my ($rc, $out, $err) = $node->psql('postgres', q{SET search_path = shop; SET ROLE guest; DELETE FROM items WHERE id = 1; DELETE FROM items WHERE id = 2});
like($err, qr/\A\S+ WARNING:  row of table "items" was soft-deleted, but is not counted\nDETAIL: .*\nHINT: .*\Z/, 'triggers of the table run as they would at any DELETE, and the first one alone was not converted');
is($node->safe_psql('postgres', 'SELECT * FROM shop.log'), "guest\nguest", 'with the rights of whoever deletes');
is($node->safe_psql('postgres', 'SELECT id FROM shop.items WHERE deleted_at IS NULL ORDER BY 1'), "3\n4\n5", 'and the rows are dead');
my $name = $node->safe_psql('postgres', q{SELECT role_name FROM plinth_soft_delete._deletion WHERE target = 'shop.items' ORDER BY deletion_id LIMIT 1});
is($name, 'guest', 'the record names who deleted');

# What is killed in the middle has done nothing.
$node->safe_psql('postgres', q{INSERT INTO t SELECT g, g FROM generate_series(10001, 12000) g});
for my $load ('', $loaded)
{
	my $kind = $load ? 'loaded' : 'not loaded';
	my $alive = $node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE deleted_at IS NULL');
	my $records = $node->safe_psql('postgres', 'SELECT count(*) FROM plinth_soft_delete._deletion');
	my $psql = $node->background_psql('postgres');
	my $pid = $psql->query_safe("SET client_min_messages = error; ${load}SELECT pg_backend_pid()") =~ s/\D//gr;
	$psql->query_until(qr/started/, "\\echo started\nDELETE FROM t WHERE id > 10000 AND pg_sleep(0.01) IS NOT NULL;\n");
	$node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid") or die 'it does not run';
	$node->safe_psql('postgres', 'SELECT pg_sleep(0.3); CHECKPOINT');
	kill 'KILL', $pid;
	eval { $psql->quit; };
	$node->poll_query_until('postgres', 'SELECT true');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE deleted_at IS NULL'), $alive, "$kind: no row has died with it");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM plinth_soft_delete._deletion'), $records, "$kind: nor is there a record");
}
my $max = $node->safe_psql('postgres', 'SELECT max(deletion_id) FROM plinth_soft_delete._deletion');
is($node->safe_psql('postgres', "${loaded}DELETE FROM t WHERE id = 10001; SELECT plinth_soft_delete.last_deletion() > $max"), 't', 'numbers do not come again');

# Another planner hook, in both orders, and in every session from its start.
for my $order ('pg_stat_statements, plinth_soft_delete', 'plinth_soft_delete, pg_stat_statements')
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$order'\npg_stat_statements.track = all\npg_stat_statements.track_planning = on");
	$node->restart;
	$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset(); INSERT INTO t SELECT g, g FROM generate_series(20001, 20010) g ON CONFLICT (id) DO NOTHING');
	my $id = $order =~ /^pg/ ? 20001 : 20006;
	is($node->safe_psql('postgres', qq{
			DELETE FROM t WHERE id = $id RETURNING id, deleted_at IS NULL;
			PREPARE d (int) AS DELETE FROM t WHERE id = \$1 RETURNING id;
			EXECUTE d ($id + 1);
			MERGE INTO t USING (VALUES ($id + 2)) s (id) ON t.id = s.id WHEN MATCHED THEN DELETE;
			SET ROLE keeper;
			SELECT count(*) FROM shop.items;}), "$id|t\n" . ($id + 1) . "\n3", "$order: as without");
	is($node->safe_psql('postgres', "SELECT count(*) FROM t WHERE id BETWEEN $id AND $id + 2 AND deleted_at IS NOT NULL"), '3', "$order: marked");
	is($node->safe_psql('postgres', q{SELECT calls, plans, rows FROM pg_stat_statements WHERE query LIKE 'DELETE FROM t WHERE id = $1 RETURNING id, deleted_at%'}), '1|1|1', "$order: counted, planning too");
}

done_testing();
