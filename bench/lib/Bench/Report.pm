# Prints what was measured: medians, ratios, targets, and at the end where
# plinth loses.

package Bench::Report;

use strict;
use warnings;
use Bench::Measure;

# What parity allows for, on a machine that does other things too.
my $parity = 0.95;

sub new
{
	my ($class, %self) = @_;
	return bless { %self, met => 0, missed => [], losses => [] }, $class;
}

sub duration
{
	my ($us) = @_;
	return sprintf('%.1f us', $us) if abs $us < 1_000;
	return sprintf('%.2f ms', $us / 1_000) if abs $us < 1_000_000;
	return sprintf('%.2f s', $us / 1_000_000);
}

sub bytes
{
	my ($bytes) = @_;
	return $bytes < 1e6 ? sprintf('%.0f kB', $bytes / 1e3) : sprintf('%.1f MB', $bytes / 1e6);
}

# As many digits as tell something.
sub ratio
{
	my ($ratio) = @_;
	return sprintf $ratio < 0.1 ? '%.4f' : $ratio < 100 ? '%.2f' : '%.0f', $ratio;
}

sub heading
{
	my ($self, $number) = @_;
	print "\n== $number->{name}: $number->{title}\n";
	print "   set $number->{set}: $self->{sets}{$number->{set}}{title}\n";
	return;
}

sub note
{
	my ($self, $text) = @_;
	print "   ($text)\n";
	return;
}

# verdict(NUMBER, TARGET, FACTOR): met or missed, in words.
sub verdict
{
	my ($self, $number, $target, $factor) = @_;
	my ($text, $met, $near);

	return '' unless $target;
	if (defined $target->{at_most})
	{
		$text = "at most $target->{at_most}";
		$met = $factor <= $target->{at_most};
	}
	elsif ($target->{at_least} eq 'parity')
	{
		$text = 'parity';
		$met = $factor >= $parity;
	}
	else
	{
		$text = "at least $target->{at_least}";
		$met = $factor >= $target->{at_least};
		$text .= ", stretch $target->{stretch}" if $target->{stretch};
		# Below the target, but not below what counts as missed.
		$text .= ", missed below $target->{floor}" if $target->{floor};
		$near = !$met && $target->{floor} && $factor >= $target->{floor};
	}
	$self->{met}++ if $met;
	push @{ $self->{missed} }, sprintf '%-14s %s over %s, target %s', $number->{name}, ratio($factor),
	  $self->title($target->{over}), $text
	  unless $met || $near;
	return "   target $text: " . ($met ? 'met' : $near ? 'below' : 'MISSED');
}

sub title
{
	my ($self, $who) = @_;
	return $self->{peers}{$who}{title} // $who;
}

# Who speaks for plinth in a number, and whom it is compared with.
sub sides
{
	my ($number, $values) = @_;
	my @there = grep { defined $values->{ $_->{who} } } @{ $number->{contestants} };
	my ($own) = grep { $_->{who} =~ /^(?:function|plinth)$/ } @there;
	return ($own, grep { !$_->{baseline} && $_->{who} !~ /^(?:function|plinth)$/ } @there);
}

# compare(NUMBER, {contestant => value}, FORMAT): the ratios of a number.
sub compare
{
	my ($self, $number, $value, $format) = @_;
	my ($own, @others) = sides($number, $value);
	my %target = map { $_->{over} => $_ } @{ $number->{targets} // [] };

	for my $who (map { $_->{who} } @others)
	{
		my $target = $target{$who};
		my ($mine, $theirs) = ($value->{ $own->{who} }, $value->{$who});

		if ($mine <= 0 || $theirs <= 0)
		{
			$self->note('too small to be told from noise: ' . $self->title($who));
			next;
		}
		my $factor = $target && defined $target->{at_most} ? $mine / $theirs : $theirs / $mine;
		my $what =
		  $number->{per_second} || $target && defined $target->{at_most}
		  ? 'plinth / ' . $self->title($who)
		  : $self->title($who) . ' / plinth';
		printf "   %-48s %9s%s\n", $what, ratio($factor), $self->verdict($number, $target, $factor);
		push @{ $self->{losses} },
		  [ $number->{name}, $self->title($who), $format->($mine), $format->($theirs), ratio($mine / $theirs) ]
		  if $theirs / $mine < $parity;
	}
	return;
}

# times(NUMBER, {contestant => [microseconds]})
sub times
{
	my ($self, $number, $times) = @_;
	my %median = map { $_ => Bench::Measure::median(@{ $times->{$_} }) } keys %$times;
	my %value = %median;

	for my $contestant (grep { $times->{ $_->{who} } } @{ $number->{contestants} })
	{
		my $who = $contestant->{who};
		my @sorted = sort { $a <=> $b } @{ $times->{$who} };
		my $added = '';

		if ($contestant->{beyond})
		{
			$value{$who} = $median{$who} - $median{ $contestant->{beyond} };
			$added = '  added ' . duration($value{$who});
		}
		printf "   %-48s %12s  (%s to %s)%s\n",
		  $self->title($who) . ($contestant->{note} ? ", $contestant->{note}" : ''),
		  duration($median{$who}), duration($sorted[0]), duration($sorted[-1]), $added;
	}
	$self->compare($number, \%value, \&duration);
	return;
}

# nothing(NUMBER, MEDIANS): whether plinth left no trace when it said no.
sub nothing
{
	my ($self, $number, $median) = @_;
	my ($xids, $wal) = @{ $median->{plinth} }{qw(xids wal)};
	my $met = $xids == 0 && $wal <= 1;

	printf "   plinth: target no transaction id, at most 1 B of WAL: %s\n", $met ? 'met' : 'MISSED';
	$self->{met}++ if $met;
	push @{ $self->{missed} }, sprintf '%-14s %.3f transaction ids and %.1f B of WAL per refusal', $number->{name},
	  $xids, $wal
	  unless $met;
	return;
}

# rates(NUMBER, {contestant => [{rate, p99, xids, wal}]}): how many a second,
# and what each costs.
sub rates
{
	my ($self, $number, $runs) = @_;
	my (%median, %time);

	printf "   %-42s %9s  %-20s %9s %10s %7s\n", "per $number->{what}", 'a second', '', 'p99', 'WAL', 'xids';
	for my $who (map { $_->{who} } @{ $number->{contestants} })
	{
		my @rates = sort { $a <=> $b } map { $_->{rate} } @{ $runs->{$who} };

		for my $what (qw(rate p99 xids wal))
		{
			$median{$who}{$what} = Bench::Measure::median(map { $_->{$what} } @{ $runs->{$who} });
		}
		$time{$who} = 1e6 / $median{$who}{rate};
		printf "   %-42s %9.0f  %-20s %9s %8.0f B %7.3f\n", $self->title($who), $median{$who}{rate},
		  sprintf('(%.0f to %.0f)', @rates[ 0, -1 ]), duration($median{$who}{p99}), @{ $median{$who} }{qw(wal xids)};
	}
	printf "   stretch %d a second: %s\n", $number->{stretch},
	  $median{plinth}{rate} >= $number->{stretch} ? 'reached' : 'not reached'
	  if $number->{stretch};
	$self->nothing($number, \%median) if $number->{nothing};
	$self->compare({ %$number, per_second => 1 }, \%time, sub { sprintf '%.0f /s', 1e6 / $_[0] });
	return;
}

# storage(NUMBER, {contestant => [table bytes, index bytes, rows]})
sub storage
{
	my ($self, $number, $sizes) = @_;
	my %total;

	for my $who (map { $_->{who} } @{ $number->{contestants} })
	{
		my ($table, $index, $rows) = @{ $sizes->{$who} };
		$total{$who} = $table + $index;
		printf "   %-48s %12s  (tables %s, indexes %s, largest table %d rows)\n", $self->title($who), bytes($total{$who}),
		  bytes($table), bytes($index), $rows;
	}
	$self->compare($number, \%total, \&bytes);
	return;
}

sub summary
{
	my ($self) = @_;
	my @missed = @{ $self->{missed} };

	printf "\n== Targets: %d met, %d missed\n", $self->{met}, scalar @missed;
	print "   $_\n" for @missed;
	print "\n== Where it loses\n";
	printf "   %-14s %-42s %12s %12s %7s\n", 'number', 'against', 'plinth', 'the other', 'factor';
	printf "   %-14s %-42s %12s %12s %7s\n", @$_ for @{ $self->{losses} };
	print "   nowhere\n" unless @{ $self->{losses} };
	return;
}

1;
