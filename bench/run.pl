#!/usr/bin/perl
# Measures the numbers of one module on the server that PGHOST names, and
# prints medians, ratios and targets.  script/bench makes the server; this is
# not meant to be called by hand.
#
#   run.pl MODULE TMP [--quick] [--reps N] [--only NAME] ...

use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Bench::Databases;
use Bench::Measure;
use Bench::Report;

my ($module, $tmp, @arguments) = @ARGV;
my ($quick, $reps, @only);
while (defined(my $argument = shift @arguments))
{
	if ($argument eq '--quick') { $quick = 1; }
	elsif ($argument eq '--reps') { $reps = shift @arguments; }
	elsif ($argument eq '--only') { push @only, split /,/, shift @arguments; }
	else { die "unknown argument: $argument\n"; }
}

# definitions(FILE): what a file of the module returns.
sub definitions
{
	my ($file) = @_;
	local @ARGV = ($quick);
	my @value = do "$FindBin::Bin/$module/$file";
	die $@ || "$file: $!\n" unless @value && defined $value[0];
	return @value;
}

# 5 repetitions where nothing else is said, 9 of what is short.
sub repetitions
{
	my ($number) = @_;
	return $reps if $reps;
	my $wanted = $number->{reps} // ($number->{how} eq 'read' ? 9 : 5);
	return $wanted unless $quick;
	return $wanted > 5 ? 5 : 2;
}

sub print_conditions
{
	my ($admin) = @_;
	my @settings = qw(shared_buffers work_mem maintenance_work_mem fsync synchronous_commit full_page_writes
	  jit autovacuum max_parallel_workers_per_gather max_parallel_maintenance_workers);

	print $admin->value('SELECT version()'), "\n";
	print join(', ', map { "$_ = " . $admin->value("SHOW $_") } @settings), "\n";
	chomp(my $processors = `nproc`);
	print <<"END";
$processors processors. Nothing is synced to disk. Medians over repetitions (fastest and slowest in brackets); in
each repetition every contestant runs once, and the order rotates. Compare times within this run only.
Reads: a PL/pgSQL loop within the server over static SQL, whose saved plans are prepared statements, with
other nodes in each iteration; nothing is subtracted. Writes: each in a fresh, prewarmed copy of a database,
in a session that has done one such write before. All contestants came to the same result.
END
	return;
}

$| = 1;
my ($sets) = definitions('sets.pl');
my ($peers) = definitions('peers.pl');
my @numbers = (definitions('reads.pl'), definitions('writes.pl'));
for my $only (@only)
{
	die "no such number: $only; there are: @{[ map { $_->{name} } @numbers ]}\n"
	  unless grep { $_->{name} eq $only } @numbers;
}
my $folder = "$FindBin::Bin/$module/sql";
my $databases = Bench::Databases->new(folder => $folder, sets => $sets, peers => $peers, tmp => $tmp);
my $report = Bench::Report->new(sets => $sets, peers => $peers);

print_conditions($databases->{admin});
for my $number (@numbers)
{
	next if @only && !grep { $_ eq $number->{name} } @only;
	$report->heading($number);
	if (!$databases->data($number->{set}))
	{
		$report->note('not measured: this machine does not have that many');
		next;
	}
	my $measured = Bench::Measure::measure($databases, $number, repetitions($number));
	if ($number->{how} eq 'storage') { $report->storage($number, $measured); }
	else { $report->times($number, $measured); }
}
$report->summary;
