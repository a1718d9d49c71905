# Measures one number: every contestant once in each repetition, the order
# rotating, so that what else the machine does meets all alike.  Times are in
# microseconds.
#
# Before anything counts, all contestants have to come to the same result.

package Bench::Measure;

use strict;
use warnings;
use Bench::Session;

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	my $half = int(@sorted / 2);
	return @sorted % 2 ? $sorted[$half] : ($sorted[ $half - 1 ] + $sorted[$half]) / 2;
}

# same_result(NUMBER, {contestant => result})
sub same_result
{
	my ($number, $result) = @_;
	my @who = sort keys %$result;

	for (@who)
	{
		die "$number->{name}: $who[0] and $_ come to different results:\n$result->{$who[0]}\n$result->{$_}\n"
		  if $result->{$_} ne $result->{ $who[0] };
	}
	return;
}

# peer_of(DATABASES, CONTESTANT): where it lives.
sub peer_of
{
	my ($databases, $contestant) = @_;
	return $contestant->{in} // $databases->{peers}{ $contestant->{who} }{in} // $contestant->{who};
}

# -- Reads: loops within the server over queries with saved plans ------------

# A function of the session that runs the query for each of its arguments and
# returns microseconds an iteration.
sub loop_function
{
	my ($name, $query) = @_;
	return "CREATE OR REPLACE FUNCTION pg_temp.$name(these int[], those int[], OUT us float8, OUT result numeric)
		LANGUAGE plpgsql AS \$loop\$
		DECLARE
			started timestamptz;
			this int;
			that int;
			n numeric;
		BEGIN
			result := 0;
			started := clock_timestamp();
			FOR i IN 1 .. array_length(these, 1) LOOP
				this := these[i];
				that := those[i];
				$query;
				result := result + n;
			END LOOP;
			us := extract(epoch FROM clock_timestamp() - started) * 1000000 / array_length(these, 1);
		END \$loop\$";
}

sub loop_query
{
	my ($contestant, $aggregate) = @_;
	return "SELECT ($contestant->{value})::int INTO n" if $contestant->{value};
	return "SELECT $aggregate INTO n FROM ($contestant->{rows}) q";
}

# The nodes of the iterations, picked once for all: two array literals.
sub picked
{
	my ($databases, $number) = @_;
	my @pairs = ('');

	if ($number->{pick})
	{
		my $session = Bench::Session->new($databases->template($number->{set}, 'plinth', 'filled'));
		@pairs = $session->run($number->{pick});
	}
	my @columns = map { [ split /\|/, $_, -1 ] } @pairs;
	return map {
		my $column = $_;
		'{' . join(',', map { length($_->[$column] // '') ? $_->[$column] : 'NULL' } @columns) . '}';
	} 0, 1;
}

sub start_reader
{
	my ($databases, $number, $contestant) = @_;
	my $session =
	  $databases->open_warm($databases->template($number->{set}, peer_of($databases, $contestant), 'filled'));

	return if $contestant->{needs} && $session->value($contestant->{needs}) ne 't';
	$session->run(loop_function('timed', loop_query($contestant, $number->{consume})));
	$session->run(loop_function('verified', loop_query($contestant, $number->{verify})));
	return $session;
}

sub read_number
{
	my ($databases, $number, $reps) = @_;
	my (%session, %result, %times);

	my ($these, $those) = picked($databases, $number);
	for my $contestant (@{ $number->{contestants} })
	{
		my $session = start_reader($databases, $number, $contestant) or next;
		my $who = $contestant->{who};
		$session{$who} = $session;
		$result{$who} = $session->value("SELECT result FROM pg_temp.verified('$these', '$those')");
		$session->run("SELECT us FROM pg_temp.timed('$these', '$those')");
	}
	same_result($number, \%result);
	for my $who (rotated($reps, grep { $session{$_} } map { $_->{who} } @{ $number->{contestants} }))
	{
		push @{ $times{$who} }, $session{$who}->value("SELECT us FROM pg_temp.timed('$these', '$those')");
	}
	$_->close for values %session;
	return \%times;
}

# rotated(REPETITIONS, CONTESTANT...): who comes when.
sub rotated
{
	my ($reps, @who) = @_;
	my @order;

	for (1 .. $reps)
	{
		push @order, @who;
		push @who, shift @who;
	}
	return @order;
}

# -- Writes: a fresh copy of a database each time ------------------------------

# All pairs in one line, the same for whoever keeps them in whatever form.
sub checksum
{
	my ($session, $pairs) = @_;
	return $session->value("SELECT count(*), sum(depth), sum(hashint8((ancestor::int8 << 32) + descendant)::int8)
		FROM $pairs");
}

sub pgbench
{
	my ($databases, $contestant, $database) = @_;
	my $file = "$databases->{tmp}/pgbench.sql";

	open my $out, '>', $file or die "$file: $!\n";
	print {$out} $contestant->{script};
	close $out or die "$file: $!\n";
	my $said = `pgbench -n -M prepared -c 1 --random-seed=1 -t $contestant->{transactions} -f '$file' '$database' 2>&1`;
	$said =~ /latency average = ([\d.]+) ms/ or die "pgbench failed:\n$said\n";
	return 1000 * $1;
}

# One repetition of one contestant: its time, and the checksum if wanted.
sub write_once
{
	my ($databases, $number, $contestant, $verify) = @_;
	my $copy = 'copy';
	my $peer = peer_of($databases, $contestant);
	my ($time, $result);

	$databases->create($copy, $databases->template($number->{set}, $peer, $number->{state}));
	my $session = $databases->open_warm($copy);
	$session->run("SELECT count(*) FROM node; $contestant->{warm}");
	# Nobody has to write out what others have left in memory.
	$session->run('CHECKPOINT');
	if ($number->{how} eq 'pgbench')
	{
		$time = pgbench($databases, $contestant, $copy);
	}
	else
	{
		$time = $session->timed($contestant->{sql}) / ($contestant->{per} // 1);
	}
	$result = checksum($session, $contestant->{pairs} // $databases->{peers}{$peer}{pairs}) if $verify;
	$session->close;
	$databases->drop($copy);
	return ($time, $result);
}

sub write_number
{
	my ($databases, $number, $reps) = @_;
	my %contestant = map { $_->{who} => $_ } @{ $number->{contestants} };
	my (%result, %times);

	for my $who (rotated($reps, map { $_->{who} } @{ $number->{contestants} }))
	{
		my ($time, $result) = write_once($databases, $number, $contestant{$who}, !$times{$who});
		push @{ $times{$who} }, $time;
		$result{$who} //= $result;
		same_result($number, \%result);
	}
	return \%times;
}

# -- Storage -------------------------------------------------------------------

# Bytes of tables and of indexes, and the rows of the largest table.
sub storage_number
{
	my ($databases, $number) = @_;
	my %storage;

	for my $contestant (@{ $number->{contestants} })
	{
		my $session = Bench::Session->new($databases->template($number->{set}, $contestant->{who}, 'filled'));
		my $sizes = $session->value("SELECT sum(pg_table_size(oid)), sum(pg_indexes_size(oid)), max(reltuples)::bigint
			FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace");
		$storage{ $contestant->{who} } = [ split /\|/, $sizes ];
	}
	return \%storage;
}

my %how = (
	read => \&read_number,
	write => \&write_number,
	pgbench => \&write_number,
	storage => \&storage_number,
);

# measure(DATABASES, NUMBER, REPETITIONS): {contestant => [times]}
sub measure
{
	my ($databases, $number, $reps) = @_;
	return $how{ $number->{how} }->($databases, $number, $reps);
}

1;
