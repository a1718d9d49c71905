# A session: one psql that stays open, so that the server's process keeps its
# caches and plans from one statement to the next.

package Bench::Session;

use strict;
use warnings;
use IPC::Open2 qw(open2);

my $end = '-- end of the answer --';

sub new
{
	my ($class, $database) = @_;
	my $self = bless { database => $database }, $class;

	$self->{pid} = open2($self->{from}, $self->{to}, qw(psql -X -q -A -t -v ON_ERROR_STOP=1 -d), $database);
	return $self;
}

# Lines that psql prints for the text; dies where it gives up, after psql has
# said why.
sub lines
{
	my ($self, $text) = @_;
	my @lines;

	print { $self->{to} } "$text\n\\echo '$end'\n";
	$self->{to}->flush;
	while (defined(my $line = readline $self->{from}))
	{
		chomp $line;
		return @lines if $line eq $end;
		push @lines, $line;
	}
	die "a statement failed in database $self->{database}\n";
}

# run(SQL): the rows, columns separated by "|".
sub run
{
	my ($self, $sql) = @_;
	return $self->lines("$sql;");
}

# Several rows as one text, for comparisons.
sub value
{
	my ($self, $sql) = @_;
	return join "\n", $self->run($sql);
}

# timed(SQL): how long its statements took, in microseconds, as psql sees it.
sub timed
{
	my ($self, $sql) = @_;
	my $total = 0;

	for ($self->lines("\\timing on\n$sql;\n\\timing off"))
	{
		$total += 1000 * $1 if /^Time: ([\d.]+) ms/;
	}
	return $total;
}

sub close
{
	my ($self) = @_;

	return unless $self->{pid};
	CORE::close $self->{to};
	CORE::close $self->{from};
	waitpid delete $self->{pid}, 0;
	return;
}

sub DESTROY
{
	local ($?, $@, $!);
	$_[0]->close;
	return;
}

1;
