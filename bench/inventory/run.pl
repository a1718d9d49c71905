#!/usr/bin/perl
# Measures reservations a second, on the server that PGHOST names, and prints
# medians, ratios and targets.  script/bench makes the server; this is not
# meant to be called by hand.
#
#   run.pl inventory TMP [--quick] [--reps N] [--seconds N] [--clients N,N] [--only NAME] ...
#
# Every run has a database of its own.  After each, as many reservations have
# to be there as pgbench says, and the stock has to agree with them.

use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/../lib";
use Bench::Load;
use Bench::Measure;
use Bench::Report;
use Bench::Session;

my (undef, $tmp, @arguments) = @ARGV;
my ($reps, $seconds, $clients) = (7, 5, '16,64');
my @only;
while (defined(my $argument = shift @arguments))
{
	if ($argument eq '--quick') { ($reps, $seconds) = (3, 1); }
	elsif ($argument eq '--reps') { $reps = shift @arguments; }
	elsif ($argument eq '--seconds') { $seconds = shift @arguments; }
	elsif ($argument eq '--clients') { $clients = shift @arguments; }
	elsif ($argument eq '--only') { push @only, split /,/, shift @arguments; }
	else { die "unknown argument: $argument\n"; }
}
my @clients = split /,/, $clients;

# More than any method sells in a run, one unit a row and all of it in an int.
my $units = 40_000 * ($seconds + 1);
my $plenty = 1_000_000_000;
my $scarce = 160;

my @sets = definitions('sets.pl');
my ($methods) = definitions('methods.pl');
my $admin = Bench::Session->new('postgres');
my $report = Bench::Report->new(peers => $methods, sets => {});

# definitions(FILE): what a file beside this one returns.
sub definitions
{
	my ($file) = @_;
	my @value = do "$FindBin::Bin/$file";
	die $@ || "$file: $!\n" unless @value && defined $value[0];
	return @value;
}

# with_units(SQL, SET): the number of unit rows filled in.
sub with_units
{
	my ($sql, $set) = @_;
	my $there = $set->{sold_out} ? $scarce : $units;
	$sql =~ s/\bUNITS\b/$there/g;
	return $sql;
}

# script(METHOD, SET): what a client runs over and over.
sub script
{
	my ($method, $set) = @_;
	my $script = $method->{script};
	my $sku = $set->{sku} // "'SKU-1'";

	$script =~ s/\bSKU\b/$sku/g;
	$script .= "\\sleep $set->{thinks}\n" if $set->{thinks};
	$script = "BEGIN;\n${script}COMMIT;\n" if $set->{thinks} || $method->{transaction};
	$script = "\\set n $set->{pick}\n$script" if $set->{pick};
	return with_units($script, $set);
}

# fresh(METHOD, SET): a database with the tables of a method, in memory and
# on disk.
sub fresh
{
	my ($method, $set) = @_;
	my $stock = $set->{sold_out} ? $scarce : $plenty;
	my $skus = $set->{skus} // 1;

	$admin->run('DROP DATABASE IF EXISTS run WITH (FORCE)');
	$admin->run('CREATE DATABASE run');
	my $session = Bench::Session->new('run');
	$session->lines(
		with_units("\\set units UNITS\n\\set stock $stock\n\\set skus $skus\n", $set)
		. join "\n", map { "\\i $FindBin::Bin/sql/$_.sql" } @{ $method->{files} });
	$session->run($method->{sell}) if $set->{sold_out};
	$session->run($method->{warm}) if $method->{warm};
	$session->run('CHECKPOINT');
	return $session;
}

# How far the server is: [next transaction id, bytes of WAL].
sub position
{
	my ($session) = @_;
	return [ split /\|/, $session->value("SELECT pg_snapshot_xmax(pg_current_snapshot()),
		pg_current_wal_insert_lsn() - '0/0'") ];
}

# verify(SESSION, METHOD, SET, RUN, WRITTEN, CLIENTS): dies unless as many rows
# were written as transactions reported, give or take the last of each client,
# and the tables agree.
sub verify
{
	my ($session, $method, $set, $run, $written, $count) = @_;
	my $reported = $set->{sold_out} ? 0 : $run->{transactions};
	my $missing = $reported - $written;
	my $wrong =
	    $set->{sold_out} ? $missing != 0
	  : $method->{tries} ? $written == 0 || $missing < -$count
	  :                    abs $missing > $count;

	die "$method->{title}: $reported reservations were reported, and $written are there\n" if $wrong;
	if ($method->{problems})
	{
		my $problems = $session->value($method->{problems});
		die "$method->{title}: the check says:\n$problems\n" if $problems ne '';
	}
	return if $set->{sold_out};
	for (@{ $method->{taken} })
	{
		my $taken = $session->value(with_units($_, $set));
		die "$method->{title}: $written reservations were written and $taken units taken ($_)\n"
		  if $taken != $written;
	}
	return;
}

# From one reservation of a client to its next, all lost tries between them.
my $with_tries = 'SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY took) FROM (
	SELECT 1000000 * extract(epoch FROM created_at - lag(created_at) OVER client) AS took FROM reservation
	WINDOW client AS (PARTITION BY request ORDER BY created_at)) AS won';

# once(WHO, SET, CLIENTS, SEED): one run.
sub once
{
	my ($who, $set, $count, $seed) = @_;
	my $method = $methods->{$who};
	my $session = fresh($method, $set);
	my $rows = "SELECT count(*) FROM $method->{reservations}";

	my $rows_before = $session->value($rows);
	my $before = position($session);
	my $run = Bench::Load::run(
		'run', $tmp,
		script => script($method, $set),
		clients => $count,
		seconds => $seconds,
		seed => $seed
	);
	my $after = position($session);
	my $written = $session->value($rows) - $rows_before;
	verify($session, $method, $set, $run, $written, $count);

	# Of tries, only those that won are answers.
	my $answers = $method->{tries} ? $written : $run->{transactions};
	my $p99 = $method->{tries} ? $session->value($with_tries) : $run->{p99};
	$session->close;
	return {
		rate => $run->{tps} * $answers / $run->{transactions},
		p99 => $p99,
		xids => ($after->[0] - $before->[0]) / $answers,
		wal => ($after->[1] - $before->[1]) / $answers,
	};
}

# The others have to write the row that plinth writes, under the same key and
# into the same index for expiry.
sub same_row
{
	my (%columns, %indexes);

	for my $who (qw(plinth insert))
	{
		my $table = $methods->{$who}{reservations};
		my $session = fresh($methods->{$who}, {});
		$columns{$who} = $session->value("SELECT attname, format_type(atttypid, atttypmod), attnotnull
			FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum");
		$indexes{$who} = { map { s/INDEX \S+ ON \S+/INDEX/r => 1 }
			  $session->run("SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = '$table'::regclass") };
		$session->close;
	}
	die "sql/reservation.sql is not the row that plinth writes:\n$columns{insert}\nbut:\n$columns{plinth}\n"
	  if $columns{plinth} ne $columns{insert};
	for (keys %{ $indexes{insert} })
	{
		die "sql/reservation.sql has an index that plinth has not: $_\n" unless $indexes{plinth}{$_};
	}
	return;
}

sub print_conditions
{
	my @settings = qw(shared_buffers fsync synchronous_commit wal_sync_method full_page_writes autovacuum jit);

	print $admin->value('SELECT version()'), "\n";
	print join(', ', map { "$_ = " . $admin->value("SHOW $_") } @settings), "\n";
	chomp(my $processors = `nproc`);
	print <<"END";
$processors processors, which pgbench shares. pgbench -M prepared, runs of $seconds s, $reps of each; in each repetition every
contestant runs once, and the order rotates. Medians over runs (slowest and fastest in brackets); ratios are those of
medians. Each run has a fresh database, after a checkpoint. Compare numbers within this run only. All write the same
reservation row, and after each run as many were there as had been committed, and units taken.
END
	return;
}

# measure(SET, CLIENTS, WHO...): {contestant => [runs]}
sub measure
{
	my ($set, $count, @who) = @_;
	my (%runs, %seed);

	for my $who (Bench::Measure::rotated($reps, @who))
	{
		push @{ $runs{$who} }, once($who, $set, $count, ++$seed{$who});
	}
	return \%runs;
}

$| = 1;
for my $only (@only)
{
	die "no such number: $only; there are: @{[ map { $_->{name} } @sets ]}\n"
	  unless grep { $_->{name} eq $only } @sets;
}
same_row();
print_conditions();
for my $set (@sets)
{
	next if @only && !grep { $_ eq $set->{name} } @only;
	for my $count ($set->{sold_out} ? $clients[0] : @clients)
	{
		my %number = (
			name => "$set->{name}-$count",
			what => $set->{sold_out} ? 'refusal' : 'reservation',
			contestants => [ map { { who => $_ } } @{ $set->{contestants} } ],
			targets => [ grep { $_->{clients} == $count } @{ $set->{targets} // [] } ],
			stretch => $set->{stretch}{$count},
			nothing => $set->{sold_out},
		);
		print "\n== $number{name}: $set->{title}, $count clients\n";
		$report->rates(\%number, measure($set, $count, @{ $set->{contestants} }));
	}
}
$report->summary;
