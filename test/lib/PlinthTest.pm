# What several Perl tests do alike: crash a server, also under load, and judge what is left.

package PlinthTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(crash crash_under_load amcheck_ok audit_judge inventory_judge inventory_ok inventory_shop inventory_clients);

# Stop a server at once and start it again; sessions from background_psql end with it.
sub crash
{
	my ($node, @sessions) = @_;

	$node->stop('immediate');
	# psql ends with an error; that is no news.
	for my $session (@sessions)
	{
		eval { $session->{run}->finish };
	}
	$node->start;
	return;
}

# Crash a server on which four clients of pgbench run the script, when the query $enough says so.  Returns what the query
# $seen has said just before.
sub crash_under_load
{
	my ($node, $script, $enough, $seen) = @_;
	my ($in, $out, $err) = ('', '', '');
	my $bench = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '4', '-T', '60', '--max-tries', '100', '-f', $script, '-h', $node->host,
			'-p', $node->port, 'postgres' ],
		'<', \$in, '>', \$out, '2>', \$err);

	$node->poll_query_until('postgres', $enough)
	  or die "pgbench writes nothing: $err";
	my $result = $node->safe_psql('postgres', $seen);
	$node->stop('immediate');
	eval { $bench->finish };
	$node->start;
	return $result;
}

# Heaps and indexes of the relations that match the pattern agree.
sub amcheck_ok
{
	my ($node, $pattern, $name) = @_;

	$node->command_ok(
		[ 'pg_amcheck', '-d', 'postgres', '--install-missing', '--heapallindexed', '-t', $pattern, '-p', $node->port, '-h', $node->host ],
		$name);
	return;
}

# Makes a function disagreements() for the audited table stock (id, ...): where the log, replayed in the documented order,
# is not the table; where an old image is not the new image before it; where a transaction has not exactly one context
# row.  A test may add SELECTs of its own.
sub audit_judge
{
	my ($node, @more) = @_;
	my $more = join '', map { "\nUNION ALL $_" } @more;

	$node->safe_psql('postgres', qq{
		CREATE FUNCTION disagreements() RETURNS TABLE (what text, image jsonb)
		BEGIN ATOMIC
			WITH ordered AS (
				SELECT *, max(audit_id) OVER (PARTITION BY transaction_id) AS last_id FROM stock_audit),
			step AS (
				SELECT last_id, command_id, audit_id, 1 AS part, row_key AS key, old_data AS gone, NULL::jsonb AS came
				FROM ordered WHERE op <> 'I'
				UNION ALL
				SELECT last_id, command_id, audit_id, 2, jsonb_build_object('id', new_data -> 'id'), NULL, new_data
				FROM ordered WHERE op IN ('I', 'U')),
			chain AS (
				SELECT *, lag(came) OVER w AS before, lead(part) OVER w IS NULL AS is_last
				FROM step WINDOW w AS (PARTITION BY key ORDER BY last_id, command_id, audit_id, part)),
			replayed AS (SELECT came FROM chain WHERE is_last AND came IS NOT NULL)
			SELECT 'broken chain', gone FROM chain WHERE before IS DISTINCT FROM gone
			UNION ALL (SELECT 'not in the log', to_jsonb(s) FROM stock s EXCEPT ALL SELECT 'not in the log', came FROM replayed)
			UNION ALL (SELECT 'not in the table', came FROM replayed EXCEPT ALL SELECT 'not in the table', to_jsonb(s) FROM stock s)
			UNION ALL SELECT 'not one context row', jsonb_build_array(transaction_id::text, logged, explained)
				FROM (SELECT transaction_id, count(*) AS logged FROM stock_audit GROUP BY 1) l
				FULL JOIN (SELECT transaction_id, count(*) AS explained FROM plinth_audit.transaction GROUP BY 1) x USING (transaction_id)
				WHERE logged IS NULL OR explained IS DISTINCT FROM 1$more;
		END;});
	return;
}

# Makes the functions wrong() and wrong_when_folded() of inventory_judge.sql.
sub inventory_judge
{
	my ($node, $db) = @_;

	$node->safe_psql($db // 'postgres', slurp_file(dirname(__FILE__) . '/inventory_judge.sql'));
	return;
}

# Stock, ledger, reservations and counters of an inventory agree, and nothing is oversold; then the same of the stock rows.
sub inventory_ok
{
	my ($node, $name, %args) = @_;
	my $db = $args{db} // 'postgres';
	my $target = $args{target} // 'inventory';
	my $strict = $args{lax} ? 'false' : 'true';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($node->safe_psql($db, "SELECT wrong('$target', $strict)"), '', "$name: everything agrees")
	  && is($node->safe_psql($db, "SELECT wrong_when_folded('$target', $strict)"), '', "$name: and so do the stock rows when they are folded");
}

# A shop: SKUs in either mode and one whose mode changes, and a function buy() for one transaction of a client, made of the
# client's key alone.  What clients are told is in the table "told".
sub inventory_shop
{
	my ($node) = @_;

	$node->safe_psql('postgres', q{
		CREATE EXTENSION plinth_inventory;
		CREATE TABLE inventory (
			sku text, warehouse_id int, quantity int NOT NULL CHECK (quantity >= 0), reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
			version int NOT NULL DEFAULT 0, PRIMARY KEY (sku, warehouse_id));
		INSERT INTO inventory VALUES ('hot', 1, 200), ('hot', 2, 50), ('cold', 1, 200), ('moving', 1, 200);
		SELECT plinth_inventory.enable('inventory');
		SELECT plinth_inventory.set_mode('hot', w, 'escrow') FROM generate_series(1, 2) w;
		CREATE TABLE told (key uuid, outcome text, quantity int);
		CREATE FUNCTION buy(k uuid) RETURNS text LANGUAGE plpgsql AS $$
			DECLARE
				h int := abs(hashtext(k::text)) % 1000;
				s text := (ARRAY['hot', 'hot', 'cold', 'moving'])[1 + h % 4];
				r plinth_inventory.result;
			BEGIN
				IF h % 50 = 7 THEN
					PERFORM plinth_inventory.set_mode('moving', 1, CASE mode WHEN 'row' THEN 'escrow' ELSE 'row' END) FROM inventory_cell WHERE sku = 'moving';
					RETURN 'switched';
				ELSIF h % 50 = 8 THEN
					PERFORM plinth_inventory.fold('inventory');
					RETURN 'folded';
				END IF;
				r := plinth_inventory.reserve(s, 1, 1 + h % 3, k, ttl => CASE WHEN h % 7 = 0 THEN '1 microsecond' WHEN h % 7 < 3 THEN '1 hour' END::interval);
				INSERT INTO told VALUES (k, r.outcome, r.quantity);
				IF r.outcome = 'sold_out' THEN
					PERFORM plinth_inventory.receive(s, 1, 20);
				ELSIF h % 5 < 2 THEN
					INSERT INTO told SELECT key, outcome, quantity FROM plinth_inventory.confirm(k, 1);
				ELSIF h % 5 = 2 THEN
					INSERT INTO told SELECT key, outcome, quantity FROM plinth_inventory.release(k);
				ELSIF h % 5 = 3 THEN
					BEGIN
						PERFORM plinth_inventory.release(k);
						PERFORM plinth_inventory.reserve(s, 1, 2);
						RAISE EXCEPTION SQLSTATE 'UNDO0';
					EXCEPTION WHEN SQLSTATE 'UNDO0' THEN NULL;
					END;
				END IF;
				RETURN r.outcome;
			END$$;
		-- What was told is what is there.
		CREATE FUNCTION betrayed() RETURNS TABLE (what text) LANGUAGE sql AS $$
			SELECT format('told %s, has %s', t, r) FROM (SELECT key, sum(quantity) FILTER (WHERE outcome = 'reserved') AS quantity, coalesce(sum(quantity) FILTER (WHERE outcome = 'confirmed'), 0) AS confirmed FROM told WHERE outcome IN ('reserved', 'confirmed') GROUP BY 1) t
				FULL JOIN (SELECT key, quantity, confirmed FROM inventory_reservation WHERE owner IS NULL) r USING (key) WHERE (t.quantity, t.confirmed) IS DISTINCT FROM (r.quantity, r.confirmed) $$;
		-- All that is free can be had, and not one more.
		CREATE FUNCTION unsellable() RETURNS TABLE (what text) LANGUAGE plpgsql AS $$
			DECLARE
				c record;
				r plinth_inventory.result;
			BEGIN
				FOR c IN SELECT * FROM inventory_available LOOP
					IF c.available > 0 THEN
						r := plinth_inventory.reserve(c.sku, c.warehouse, c.available::int, owner => 'judge');
						RETURN QUERY SELECT format('%s of %s are free, but %s', c.available, c, r) WHERE r.outcome <> 'reserved';
					END IF;
					r := plinth_inventory.reserve(c.sku, c.warehouse, 1, owner => 'judge');
					RETURN QUERY SELECT format('%s are free of %s, and one more: %s', c.available, c, r) WHERE r.outcome <> 'sold_out';
				END LOOP;
			END$$;});
	inventory_judge($node);
	return;
}

# Start clients that buy until their server is gone.  Each writes the keys of what was committed into a file of its own; the
# names of these files are returned, and what runs, for finish().
sub inventory_clients
{
	my ($node, $tag, $clients) = @_;
	my $dir = $node->basedir;
	my (@files, @runs);

	for my $c (1 .. $clients)
	{
		my $script = "$dir/$tag$c.sql";
		my $file = "$dir/$tag$c.acknowledged";
		open my $fh, '>', $script or die $!;
		print $fh "SELECT buy(md5('$tag $c $_')::uuid);\n\\echo $tag $c $_\n" for 1 .. 20000;
		close $fh;
		push @files, $file;
		push @runs,
		  IPC::Run::start(
			[ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $script, 'postgres' ],
			'<', \undef, '>', $file, '2>', '/dev/null');
	}
	return (\@files, \@runs);
}

1;
