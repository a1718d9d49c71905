# One run of pgbench: many clients, one script, some seconds.

package Bench::Load;

use strict;
use warnings;

# The smallest that so large a share of them do not exceed.
sub percentile
{
	my ($share, @values) = @_;
	my @sorted = sort { $a <=> $b } @values;
	return unless @sorted;
	my $at = int($share * @sorted);
	return $sorted[ $at < @sorted ? $at : -1 ];
}

# Microseconds of every transaction in pgbench's logs, which it removes.
sub latencies
{
	my @times;

	for my $file (@_)
	{
		open my $in, '<', $file or die "$file: $!\n";
		while (<$in>) { push @times, (split ' ')[2]; }
		close $in;
		unlink $file;
	}
	return @times;
}

# run(DATABASE, TMP, script =>, clients =>, seconds =>, seed =>):
# {transactions, tps, p99}.  Dies if any client met an error.
sub run
{
	my ($database, $tmp, %load) = @_;
	my ($file, $log) = ("$tmp/load.sql", "$tmp/load.log");

	open my $out, '>', $file or die "$file: $!\n";
	print {$out} $load{script};
	close $out or die "$file: $!\n";
	chomp(my $threads = `nproc`);
	$threads = $load{clients} if $threads > $load{clients};
	my $said = `pgbench -n -M prepared -c $load{clients} -j $threads -T $load{seconds} --random-seed=$load{seed} \\
		-l --log-prefix='$log' -f '$file' '$database' 2>&1`;
	die "pgbench failed:\n$said\n" if $? || $said =~ /aborted/;
	my ($transactions) = $said =~ /actually processed: (\d+)/ or die "pgbench says nothing:\n$said\n";
	my ($tps) = $said =~ /^tps = ([\d.]+)/m;
	return {
		transactions => $transactions,
		tps => $tps,
		p99 => percentile(0.99, latencies(glob "$log.*")),
	};
}

1;
