# Many clients that reserve, confirm, release, extend, expire, receive, count, roll back and use savepoints, in both modes, while modes switch and sessions are cancelled and terminated: nothing is oversold, nothing is lost, every hold that was told of is there as it was told, and what is free can be sold to the last unit. 1,000 units against 5,000 buyers who wait sell exactly 1,000.
#
# One run a seed.  PLINTH_LONG (script/test --long) makes them more; PLINTH_SEEDS=17 or 17-20 tries those alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run;
use PlinthTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my ($first, $last) = (1, $ENV{PLINTH_LONG} ? 200 : 50);
($first, $last) = ($1, $2 // $1) if ($ENV{PLINTH_SEEDS} // '') =~ /^(\d+)(?:-(\d+))?$/;
diag("seeds $first to $last");

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf',
	"deadlock_timeout = 20ms\nfsync = off\nsynchronous_commit = off\nmax_connections = 80\nautovacuum_naptime = 5s\nlog_statement = none\nlog_min_messages = fatal");
$node->start;
inventory_judge($node) if $node->safe_psql('postgres', 'CREATE EXTENSION plinth_inventory; SELECT true');

# Cells by what happens to them: which SKUs are hot, cold, change their mode, are counted, may be sold beyond the stock.
$node->safe_psql('postgres', q{
	CREATE TABLE inventory (
		sku text, warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
		version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
	SELECT plinth_inventory.enable('inventory');
	CREATE TABLE first (sku text, warehouse_id int, quantity int);
	INSERT INTO first VALUES ('hot', 1, 30), ('hot', 2, 12), ('cold', 1, 30), ('cold', 2, 12), ('moving', 1, 25), ('moving', 2, 9), ('counted', 1, 20), ('beyond', 1, 5), ('big', 1, 100000);

	-- What clients were told, in the transaction in which they were; and what has happened to them otherwise.
	CREATE TABLE told (kind text, outcome text, sku text, warehouse_id int, quantity int, key uuid);
	CREATE TABLE seen (seed int, what text, n bigint);

	-- An answer is kept; what was reserved must have been there.
	CREATE FUNCTION tell(kind text, r plinth_inventory.result) RETURNS void LANGUAGE sql AS $$
		INSERT INTO told VALUES (kind, CASE WHEN r.replayed THEN 'replayed' ELSE r.outcome END, r.sku, r.warehouse::int, r.quantity, r.key) $$;

	CREATE FUNCTION act(seed bigint) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			kind text;
			s text;
			w int;
			k uuid;
			shortage text;
			late text;
		BEGIN
			PERFORM setseed((seed % 1000000) / 1000000.0);
			kind := (ARRAY['reserve', 'reserve', 'reserve', 'reserve', 'reserve', 'reserve', 'order', 'order', 'replace', 'confirm', 'confirm', 'confirm', 'release', 'release', 'release', 'extend', 'expire', 'receive', 'raw', 'again', 'undo', 'fold', 'transfer', 'version'])[1 + trunc(random() * 24)];
			s := (ARRAY['hot', 'hot', 'hot', 'hot', 'cold', 'cold', 'moving', 'moving', 'counted', 'beyond', 'big'])[1 + trunc(random() * 11)];
			w := CASE WHEN s IN ('hot', 'cold', 'moving') AND random() < 0.3 THEN 2 ELSE 1 END;
			shortage := CASE WHEN random() < 0.1 THEN 'wait' ELSE 'fail' END;
			-- Some holds are overdue before the next statement.
			late := CASE WHEN random() < 0.15 THEN '1 microsecond' WHEN random() < 0.5 THEN '1 hour' END;
			IF kind IN ('confirm', 'release', 'extend') THEN
				SELECT key INTO k FROM inventory_reservation WHERE finished_at IS NULL OR random() < 0.01 ORDER BY random() LIMIT 1;
				k := coalesce(k, gen_random_uuid());
			END IF;
			CASE kind
				WHEN 'reserve' THEN
					PERFORM tell(kind, r) FROM plinth_inventory.reserve(s, w, 1 + trunc(random() * 4)::int, ttl => late::interval, on_shortage => shortage) r;
				WHEN 'order' THEN
					PERFORM tell(kind, r) FROM plinth_inventory.reserve_order(ARRAY[('hot', NULL, 1 + trunc(random() * 3)::int, NULL), ('cold', CASE WHEN random() < 0.5 THEN 1 END, 1, NULL), (s, NULL, 1 + trunc(random() * 3)::int, NULL)]::plinth_inventory.line[],
						ttl => late::interval, strategy => (ARRAY['priority', 'most_stock', 'fewest_splits'])[1 + trunc(random() * 3)], allow_split => random() < 0.7, on_shortage => shortage) r;
				WHEN 'replace' THEN
					PERFORM tell(kind, r) FROM plinth_inventory.replace_hold((ARRAY['ann', 'bob', 'eve'])[1 + trunc(random() * 3)], ARRAY[(s, w, 1 + trunc(random() * 4)::int, NULL)]::plinth_inventory.line[], ttl => late::interval) r;
				WHEN 'confirm' THEN
					BEGIN
						PERFORM tell(kind, r) FROM plinth_inventory.confirm(k) r;
					EXCEPTION WHEN check_violation THEN
						-- sold beyond the stock, and not there yet
						INSERT INTO told VALUES (kind, 'backorder', s, w);
					END;
				WHEN 'release' THEN
					-- sometimes a part
					BEGIN
						PERFORM tell(kind, r) FROM plinth_inventory.release(k, CASE WHEN random() < 0.4 THEN 1 END) r;
					EXCEPTION WHEN invalid_parameter_value OR numeric_value_out_of_range THEN
						INSERT INTO told VALUES (kind, 'not so many', s, w);
					END;
				WHEN 'extend' THEN
					PERFORM tell(kind, r) FROM plinth_inventory.extend(k, CASE WHEN random() < 0.3 THEN '1 microsecond' ELSE '1 hour' END::interval) r;
				WHEN 'expire' THEN
					INSERT INTO told SELECT kind, 'expired', NULL, NULL, n FROM plinth_inventory.expire(1 + trunc(random() * 10)::int) n WHERE n > 0;
				WHEN 'receive' THEN
					IF s IN ('hot', 'cold', 'moving', 'beyond') THEN
						INSERT INTO told SELECT kind, 'received', s, w, 2 FROM plinth_inventory.receive(s, w, 2);
					END IF;
				WHEN 'raw' THEN
					BEGIN
						IF random() < 0.5 THEN
							UPDATE inventory SET reserved = reserved + 1, version = version + 1 WHERE (sku, warehouse_id) = (s, w) AND quantity - reserved >= 1;
							IF FOUND THEN
								INSERT INTO told VALUES (kind, 'taken', s, w, 1);
							END IF;
						ELSIF s <> 'counted' THEN
							UPDATE inventory SET quantity = quantity + 1 WHERE (sku, warehouse_id) = (s, w);
							INSERT INTO told VALUES (kind, 'restocked', s, w, 1);
						END IF;
					EXCEPTION WHEN check_violation THEN
						INSERT INTO told VALUES (kind, 'refused', s, w);
					END;
				WHEN 'again' THEN
					-- asked twice, in one transaction or by two of them
					k := md5(trunc(random() * 40)::text || s)::uuid;
					BEGIN
						PERFORM tell('reserve', r) FROM plinth_inventory.reserve(s, 1, 1, k, ttl => late::interval) r;
						IF random() < 0.5 THEN
							PERFORM tell('reserve', r) FROM plinth_inventory.reserve(s, 1, 1, k) r;
						END IF;
					END;
				WHEN 'undo' THEN
					BEGIN
						PERFORM tell('reserve', r) FROM plinth_inventory.reserve(s, w, 3) r;
						PERFORM tell('release', r) FROM inventory_reservation h, plinth_inventory.release(h.key) r WHERE h.ctid = (SELECT ctid FROM inventory_reservation WHERE finished_at IS NULL ORDER BY random() LIMIT 1);
						PERFORM tell('reserve', r) FROM plinth_inventory.reserve(s, w, 1) r;
						RAISE EXCEPTION SQLSTATE 'UNDO0';
					EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
						INSERT INTO told VALUES (kind, 'undone');
					END;
				WHEN 'fold' THEN
					IF random() < 0.3 THEN
						PERFORM plinth_inventory.fold('inventory');
						INSERT INTO told VALUES (kind, 'folded');
					END IF;
				WHEN 'transfer' THEN
					IF s IN ('hot', 'cold', 'moving') THEN
						INSERT INTO told SELECT kind, r.outcome, s, w, 1 FROM plinth_inventory.transfer(s, w, 3 - w, 1) r;
					END IF;
				WHEN 'version' THEN
					PERFORM tell('reserve', r) FROM plinth_inventory.reserve(s, w, 1, expected_version => (SELECT version + (random() < 0.2)::int FROM inventory WHERE (sku, warehouse_id) = (s, w))) r;
			END CASE;
		END$$;

	-- Alone in a transaction: what waits for everybody who has the cell.
	CREATE FUNCTION rule(seed bigint) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			r plinth_inventory.result;
			n int;
		BEGIN
			PERFORM setseed((seed % 1000000) / 1000000.0);
			IF random() < 0.6 THEN
				n := 1 + trunc(random() * 2);
				PERFORM plinth_inventory.set_mode('moving', n, CASE mode WHEN 'row' THEN 'escrow' ELSE 'row' END) FROM inventory_cell WHERE (sku, warehouse) = ('moving', n);
				INSERT INTO told VALUES ('rule', 'switched');
			ELSIF random() < 0.5 THEN
				-- never less than there is: nothing else brings units here, and sales only take them away
				r := plinth_inventory.adjust('counted', 1, (SELECT quantity::int + trunc(random() * 3)::int FROM inventory_available WHERE sku = 'counted'), CASE WHEN random() < 0.5 THEN (SELECT version + (random() < 0.3)::int FROM inventory WHERE sku = 'counted') END);
				PERFORM tell('rule', r);
			ELSE
				PERFORM plinth_inventory.limits((ARRAY['hot', 'cold', 'moving', 'beyond'])[1 + trunc(random() * 4)], 1, NULL, trunc(random() * 3)::int);
				INSERT INTO told VALUES ('rule', 'limited');
			END IF;
		END$$;

	-- What was told is what is there.
	CREATE FUNCTION betrayed() RETURNS TABLE (what text) LANGUAGE sql AS $$
		WITH asked AS (
			SELECT key, sku, warehouse_id, sum(quantity) FILTER (WHERE outcome = 'reserved') AS quantity, sum(quantity) FILTER (WHERE outcome = 'confirmed') AS confirmed, sum(quantity) FILTER (WHERE outcome = 'released') AS released
			FROM told WHERE outcome IN ('reserved', 'confirmed', 'released') GROUP BY 1, 2, 3),
		held AS (
			SELECT key, sku, warehouse AS warehouse_id, sum(quantity) AS quantity, sum(confirmed) AS confirmed, sum(released) AS released, bool_or(outcome = 'expired') AS expired, bool_or(owner IS NOT NULL) AS replaced FROM inventory_reservation GROUP BY 1, 2, 3)
		SELECT format('told %s, has %s', a, h) FROM asked a FULL JOIN held h USING (key, sku, warehouse_id)
			WHERE a.quantity IS DISTINCT FROM h.quantity OR coalesce(a.confirmed, 0) IS DISTINCT FROM h.confirmed OR coalesce(a.released, 0) > h.released OR coalesce(a.released, 0) < h.released AND NOT (h.expired OR h.replaced)
		UNION ALL
		SELECT format('%s %s: %s on hand, should be %s', sku, warehouse_id, v.quantity, f.quantity + t.n + coalesce(m.n, 0)) FROM (SELECT sku, warehouse AS warehouse_id, quantity FROM inventory_available) v JOIN first f USING (sku, warehouse_id)
			CROSS JOIN LATERAL (SELECT coalesce(sum(CASE WHEN outcome IN ('received', 'restocked') AND warehouse_id = v.warehouse_id THEN quantity WHEN outcome = 'confirmed' AND warehouse_id = v.warehouse_id THEN -quantity
				WHEN outcome = 'transferred' THEN CASE WHEN warehouse_id = v.warehouse_id THEN -quantity ELSE quantity END ELSE 0 END), 0) AS n FROM told t WHERE t.sku = v.sku) t
			CROSS JOIN LATERAL (SELECT sum(quantity) AS n FROM inventory_movement m WHERE (m.sku, m.warehouse) = (v.sku, v.warehouse_id) AND kind = 'adjust') m
			WHERE v.quantity <> f.quantity + t.n + coalesce(m.n, 0) $$;

	-- All that is free can be had, and not one more.
	CREATE FUNCTION unsellable() RETURNS TABLE (what text) LANGUAGE plpgsql AS $$
		DECLARE
			c record;
			r plinth_inventory.result;
		BEGIN
			FOR c IN SELECT * FROM inventory_available LOOP
				IF c.available > 0 THEN
					r := plinth_inventory.reserve(c.sku, c.warehouse, c.available::int);
					IF r.outcome <> 'reserved' THEN
						RETURN QUERY SELECT format('%s of %s are free, but %s', c.available, c, r);
					END IF;
				END IF;
				r := plinth_inventory.reserve(c.sku, c.warehouse, 1);
				IF r.outcome <> 'sold_out' THEN
					RETURN QUERY SELECT format('%s are free of %s, and one more: %s', c.available, c, r);
				END IF;
			END LOOP;
		END$$;

	-- Cancels and terminates the clients that are there for it, for as long as others work.
	CREATE PROCEDURE trouble(seed int) LANGUAGE plpgsql AS $$
		DECLARE
			victim record;
			cancelled int := 0;
			terminated int := 0;
		BEGIN
			PERFORM setseed(seed / 1000.0);
			FOR i IN 1..1000 LOOP
				PERFORM pg_sleep(random() * 0.04);
				PERFORM pg_stat_clear_snapshot();
				EXIT WHEN i > 5 AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'bench');
				-- those who are at it are cancelled; others have a transaction open, or not
				SELECT pid, state INTO victim FROM pg_stat_activity WHERE application_name = 'victim' ORDER BY state = 'active' AND random() < 0.7 DESC, random() LIMIT 1;
				IF victim.state = 'active' AND random() < 0.8 THEN
					cancelled := cancelled + pg_cancel_backend(victim.pid)::int;
				ELSIF victim.state IS NOT NULL AND random() < 0.2 THEN
					terminated := terminated + pg_terminate_backend(victim.pid)::int;
				END IF;
				COMMIT;
			END LOOP;
			INSERT INTO seen VALUES (seed, 'cancelled', cancelled), (seed, 'terminated', terminated);
		END$$;});

# pgbench tries again what fails for serialization or in a deadlock; anything else is an error.
my %scripts = (
	'three@10' => 'READ COMMITTED|SELECT act(:a)|SELECT act(:b)|SELECT act(:c)|COMMIT',
	'one@10' => 'READ COMMITTED|SELECT act(:a)|COMMIT',
	'back@4' => 'READ COMMITTED|SELECT act(:a)|SELECT act(:b)|ROLLBACK',
	'savepoints@8' => 'READ COMMITTED|SELECT act(:a)|SAVEPOINT s|SELECT act(:b)|SELECT act(:c)|ROLLBACK TO s|SELECT act(:d)|SAVEPOINT t|SELECT act(:e)|RELEASE t|ROLLBACK TO s|SELECT act(:f)|COMMIT',
	'rr@5' => 'REPEATABLE READ|SELECT act(:a)|SELECT act(:b)|COMMIT',
	'ser@5' => 'SERIALIZABLE|SELECT act(:a)|SAVEPOINT s|SELECT act(:b)|RELEASE s|COMMIT',
	'rule@3' => 'READ COMMITTED|SELECT rule(:a)|COMMIT',
	# What is committed is never oversold, not for a moment.
	'look@2' => q{REPEATABLE READ READ ONLY|SELECT 1 / (NOT EXISTS (SELECT FROM ledger('inventory') l JOIN inventory_cell c ON (c.sku, c.warehouse::text) = (l.sku, l.warehouse) WHERE l.held + l.taken > l.on_hand + c.oversell_limit))::int|COMMIT});
my $dir = $node->basedir;
my @files;
for my $name (sort keys %scripts)
{
	my ($level, @statements) = split /\|/, $scripts{$name};
	my ($file, $weight) = split /@/, $name;
	append_to_file("$dir/$file.sql", join '', map({ "\\set $_ random(1, 1000000000)\n" } 'a' .. 'f'), "BEGIN ISOLATION LEVEL $level;\n", map { "$_;\n" } @statements);
	push @files, '-f', "$dir/$file.sql\@$weight";
}

# Whose sessions are cancelled and terminated: psql, again and again, until it is told to stop.
for my $n (1 .. 4)
{
	my @levels = ('READ COMMITTED', 'REPEATABLE READ', 'READ COMMITTED', 'SERIALIZABLE');
	# a cancelled query sets no variables
	my $sql = "\\set a 1\n\\set b 2\n\\set c 3\nSELECT setseed(:seed / 1000.0) \\gset\n";
	for my $m (1 .. 25)
	{
		$sql .= "SELECT (random() * 1e9)::bigint AS a, (random() * 1e9)::bigint AS b, (random() * 1e9)::bigint AS c \\gset\nBEGIN ISOLATION LEVEL $levels[$n - 1];\nSELECT act(:a);\nSAVEPOINT s;\nSELECT act(:b);\n"
		  . ($m % 3 ? "RELEASE s;\n" : "ROLLBACK TO s;\n") . "SELECT act(:c);\n" . ($m % 5 ? 'COMMIT' : 'ROLLBACK') . ";\n";
	}
	append_to_file("$dir/victim$n.sql", $sql);
}

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
my $started = time;
my $transactions = 0;
for my $seed ($first .. $last)
{
	# A new inventory: sometimes all of it in one mode.
	my $mode = (qw(mixed mixed escrow row))[ $seed % 4 ];
	$node->safe_psql('postgres', qq{
		SELECT plinth_inventory.disable('inventory', true);
		TRUNCATE inventory, told;
		INSERT INTO inventory SELECT * FROM first;
		SELECT plinth_inventory.enable('inventory', mode => CASE '$mode' WHEN 'row' THEN 'row' ELSE 'escrow' END);
		SELECT plinth_inventory.set_mode('cold', g, 'row') FROM generate_series(1, 2) g WHERE '$mode' = 'mixed';
		SELECT plinth_inventory.limits('beyond', 1, 3, 0), plinth_inventory.limits('hot', 2, priority => -1);});

	my $stop = "$dir/stop$seed";
	my ($out, $err, $bench_err) = ('', '', '');
	my @victims = map {
		IPC::Run::start([ 'sh', '-c', "while [ ! -e $stop ]; do psql -X -q -A -t -v seed=\$((($seed * 7 + \${i:=0}) % 1000)) -f $dir/victim$_.sql; i=\$((i + 1)); done" ],
			'<', \undef, '>', '/dev/null', '2>>', "$dir/victims$seed", init => sub { $ENV{PGAPPNAME} = 'victim' })
	} ($seed % 2 ? (1, 2) : (3, 4));
	my $trouble = IPC::Run::start([ 'psql', '-X', '-q', '-c', "CALL trouble($seed)" ], '<', \undef, '>', '/dev/null', '2>', \$err, init => sub { $ENV{PGAPPNAME} = 'trouble' });
	my $bench = IPC::Run::run([ 'pgbench', '-n', '-c', '5', '-j', '1', '-t', '60', '--max-tries=1000', "--random-seed=$seed", @files ], '<', \undef, '>', \$out, '2>', \$bench_err, init => sub { $ENV{PGAPPNAME} = 'bench' });
	$trouble->finish;
	append_to_file($stop, '');
	$_->finish for @victims;

	# What clients may meet: conflicts that are tried again, cancels and terminations.
	ok($bench && $out =~ /number of failed transactions: 0 /, "seed $seed ($mode): clients meet no error") or diag($out, $bench_err);
	my $victims_err = slurp_file("$dir/victims$seed");
	unlike($victims_err, qr/ERROR:(?!  (could not (?:serialize|change)|deadlock detected|canceling statement|current transaction is aborted|restart transaction|savepoint "s" does not exist))/, "seed $seed: nor do those who are cancelled");
	unlike($err, qr/^(?!WARNING:  PID \d+ is not a PostgreSQL backend process$|$)/m, "seed $seed: nobody else does");
	is($node->safe_psql('postgres', q{SELECT wrong('inventory')}), '', "seed $seed: stock, ledger, reservations and counters agree, nothing is oversold");
	is($node->safe_psql('postgres', 'SELECT * FROM betrayed() LIMIT 5'), '', "seed $seed: what was told is what is there");
	is($node->safe_psql('postgres', 'BEGIN; SELECT * FROM unsellable(); ROLLBACK'), '', "seed $seed: all that is free can be sold, and no more");
	is($node->safe_psql('postgres', q{SELECT wrong_when_folded('inventory')}), '', "seed $seed: the stock rows, folded, are what the ledger says");
	$node->safe_psql('postgres', "INSERT INTO seen SELECT $seed, kind || ' ' || outcome, count(*) FROM told GROUP BY 2");
	last unless Test::More->builder->is_passing;
}
diag(sprintf '%d seeds in %.0f s', $last - $first + 1, time - $started);

# A shop that always says "sold out" does not pass.
my $n = $last - $first + 1;
diag($node->safe_psql('postgres', q{SELECT string_agg(what || ' ' || n, ', ' ORDER BY what) FROM (SELECT what, sum(n) AS n FROM seen GROUP BY 1) x}));
my %least = (
	'reserve reserved' => 20, 'reserve sold_out' => 3, 'order reserved' => 3, 'order sold_out' => 1, 'replace reserved' => 1, 'confirm confirmed' => 5, 'release released' => 5, 'extend extended' => 1, 'expire expired' => 0.5,
	'receive received' => 2, 'reserve replayed' => 1, 'reserve version_conflict' => 0.5, 'raw taken' => 1, 'raw restocked' => 1, 'undo undone' => 3, 'fold folded' => 0.5, 'transfer transferred' => 1,
	'rule switched' => 1, 'rule adjusted' => 0.3, 'rule limited' => 0.3, 'cancelled' => 0.3, 'terminated' => 0.07);
for my $what (sort keys %least)
{
	cmp_ok($node->safe_psql('postgres', "SELECT coalesce(sum(n), 0) FROM seen WHERE what = '$what'"), '>=', int($least{$what} * $n), "$what: often enough");
}
is($node->safe_psql('postgres', q{SELECT seed FROM seen GROUP BY 1 HAVING coalesce(sum(n) FILTER (WHERE what = 'reserve reserved'), 0) < 10}), '', 'something was reserved with every seed');

# 1,000 units, 5,000 buyers who wait, some of whom think better of it.  "Sold out" is told when all are sold, not before.
$node->safe_psql('postgres', q{
	SELECT plinth_inventory.disable('inventory', true);
	TRUNCATE inventory;
	INSERT INTO inventory VALUES ('hot', 1, 1000), ('cold', 1, 1000);
	SELECT plinth_inventory.enable('inventory', mode => 'escrow');
	SELECT plinth_inventory.set_mode('cold', 1, 'row');
	CREATE TABLE answer (sku text, outcome text);
	CREATE FUNCTION buy(s text) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			r plinth_inventory.result := plinth_inventory.reserve(s, 1, 1, on_shortage => 'wait');
			sold bigint;
		BEGIN
			IF r.outcome = 'sold_out' THEN
				SELECT sum(quantity) INTO sold FROM inventory_reservation WHERE sku = s;
				IF sold IS DISTINCT FROM 1000 THEN
					RAISE EXCEPTION '% of 1000 are sold, and the answer is %', sold, r;
				END IF;
			END IF;
			INSERT INTO answer VALUES (s, r.outcome);
		END$$;});
for my $sku ('hot', 'cold')
{
	append_to_file("$dir/buy_$sku.sql", "BEGIN;\nSELECT buy('$sku');\nCOMMIT;\n");
	append_to_file("$dir/regret_$sku.sql", "BEGIN;\nSELECT buy('$sku');\nROLLBACK;\n");
	append_to_file("$dir/second_$sku.sql", "BEGIN;\nSAVEPOINT s;\nSELECT buy('$sku');\nROLLBACK TO s;\nSELECT buy('$sku');\nCOMMIT;\n");
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ 'pgbench', '-n', '-c', '50', '-j', '2', '-t', '100', '--random-seed=5000', '-f', "$dir/buy_$sku.sql\@6", '-f', "$dir/regret_$sku.sql\@2", '-f', "$dir/second_$sku.sql\@2" ], '<', \undef, '>', \$out, '2>', \$err);
	ok($ok && $out =~ m{transactions actually processed: 5000/5000}, "$sku: 5,000 buyers have their answers") or diag($out, $err);
	is($node->safe_psql('postgres', "SELECT count(*), sum(quantity), sum(quantity - released) FROM inventory_reservation WHERE sku = '$sku'"), '1000|1000|1000', "$sku: exactly 1,000 units are sold");
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM answer WHERE sku = '$sku' AND outcome = 'sold_out'"), '>', 2000, "$sku: and the others were told so");
}
inventory_ok($node, 'after the sale');

# The judges can find.
$node->safe_psql('postgres', q{
	ALTER TABLE inventory DISABLE TRIGGER ALL;
	UPDATE inventory SET quantity = quantity - 1 WHERE sku = 'cold';
	ALTER TABLE inventory ENABLE ALWAYS TRIGGER plinth_inventory;});
like($node->safe_psql('postgres', q{SELECT wrong('inventory')}), qr/row of cold/, 'the judge sees a unit that is missing');
like($node->safe_psql('postgres', q{SELECT string_agg(what, ' ') FROM betrayed()}), qr/should be|told/, 'and a promise that is not kept');

done_testing();
