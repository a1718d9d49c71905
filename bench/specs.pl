#!/usr/bin/perl
# Runs a module's isolation specs against triggers written by hand instead of
# the extension, and counts what they let pass: evidence that the specs can
# fail.  script/bench makes the server; this is not meant to be called by hand.
#
#   specs.pl MODULE TMP
#
# The program in $isolationtester is the server's own.  What replaces the
# extension is said by bench/MODULE/specs.pl.

use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/lib";
use Bench::Session;

my ($module, $tmp) = @ARGV;
my $replacement = do "$FindBin::Bin/$module/specs.pl" or die $@ || $!;
my @columns = qw(wrong refused right);

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!\n";
	local $/ = undef;
	return scalar <$in>;
}

# variant(SPEC): the spec's text, made for the triggers.
sub variant
{
	my ($text) = @_;
	my $sql = join '', map { slurp("$FindBin::Bin/$module/sql/$_.sql") } @{ $replacement->{files} };

	$text =~ s/^\s*CREATE EXTENSION [^;]*;\n//m or die "no CREATE EXTENSION\n";
	$text =~ s/^\s*(?:$replacement->{enable})[^;]*;\n/\n$sql/m or die "no enable()\n";
	return $text;
}

# level_of(PERMUTATION, STEPS): the isolation levels that it names.
sub level_of
{
	my ($permutation, $steps) = @_;
	my %level = map { $_ => 1 } map { ($steps->{$_} // '') =~ /ISOLATION LEVEL ([A-Z ]+);/g } split ' ', $permutation;
	my @levels = sort keys %level;
	return @levels > 1 ? 'several' : $levels[0] // 'READ COMMITTED';
}

# judge(OUTPUT): what became of one permutation; its last step is the oracle.
sub judge
{
	my ($output) = @_;
	my ($oracle) = $output =~ /^step oracle:.*?$(.*)\z/ms or die "no oracle in:\n$output\n";
	my @counts = $oracle =~ /^\((\d+) rows?\)$/mg;

	die "the oracle does not answer in:\n$output\n" unless @counts;
	return 'wrong' if grep { $_ > 0 } @counts;
	return $output =~ /^(?:step \S+: .*\n)?ERROR: /m ? 'refused' : 'right';
}

# run_spec(FILE): ([level, verdict], ...)
sub run_spec
{
	my ($file) = @_;
	my $text = slurp($file);
	my %steps = $text =~ /^\s*step\s+(\w+)\s*\{(.*?)\}\s*$/msg;
	my ($name) = $file =~ m{([^/]+)\.spec$};
	my $variant = "$tmp/$name.spec";
	my @verdicts;

	open my $out, '>', $variant or die "$variant: $!\n";
	print {$out} variant($text);
	close $out or die "$variant: $!\n";
	Bench::Session->new('postgres')->run(qq(CREATE DATABASE "$name"));
	my $said = `'$ENV{isolationtester}' 'dbname=$name' <'$variant' 2>&1`;
	die "isolationtester failed on $file:\n$said\n" if $?;
	for (split /^starting permutation: /m, $said)
	{
		my ($permutation, $output) = /^(.*?)\n(.*)\z/s or next;
		next if $permutation =~ /^Parsed test spec/ || $permutation !~ /\boracle\b/;
		# Permutations that switch the triggers off show the danger, not a defence.
		next if grep { ($steps{$_} // '') =~ /DISABLE TRIGGER/ } split ' ', $permutation;
		push @verdicts, [ level_of($permutation, \%steps), judge($output) ];
	}
	return @verdicts;
}

$| = 1;
$ENV{PGISOLATIONTIMEOUT} = 60;
my %total = map { $_ => 0 } @columns;
print "Isolation specs of $module against $replacement->{title}, by what a permutation leaves:\n\n";
printf "%-30s %-18s %8s %8s %8s\n", 'spec', 'isolation level', @columns;
for my $file (sort glob "$FindBin::Bin/../test/specs/$module/*.spec")
{
	# Without an oracle a spec is about functions that only the extension has.
	next unless slurp($file) =~ /^\s*step\s+oracle\b/m;
	my %count;
	my ($name) = $file =~ m{([^/]+)\.spec$};
	for (run_spec($file))
	{
		my ($level, $verdict) = @$_;
		$count{$level}{$verdict}++;
		$total{$verdict}++;
	}
	for my $level (sort keys %count)
	{
		printf "%-30s %-18s %8d %8d %8d\n", $name, $level, map { $count{$level}{$_} // 0 } @columns;
	}
}
my $all = $total{wrong} + $total{refused} + $total{right};
print <<"END";

wrong: $replacement->{wrong}; refused: a statement failed, and what is left is right

$total{wrong} of $all permutations leave $replacement->{wrong} ($total{refused} refused, $total{right} right)
END
