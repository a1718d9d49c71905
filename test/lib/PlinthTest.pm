# What several Perl tests do alike: crash a server, also under load, and judge what is left.

package PlinthTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(crash crash_under_load amcheck_ok audit_judge inventory_judge inventory_ok);

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

1;
