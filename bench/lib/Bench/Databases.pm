# The databases of a run.  For each set of data, peer and state there is one
# template, made when it is first asked for and not written to again; what
# writes gets a copy.

package Bench::Databases;

use strict;
use warnings;
use Bench::Session;

# new(folder => where <peer>.sql are, sets => {...}, peers => {...},
# tmp => folder).  A peer is the list of SQL files that make it.
sub new
{
	my ($class, %self) = @_;
	return bless { %self, admin => Bench::Session->new('postgres') }, $class;
}

sub create
{
	my ($self, $name, $template) = @_;
	$self->{admin}->run(qq(CREATE DATABASE "$name") . ($template ? qq( TEMPLATE "$template") : ''));
	return;
}

sub drop
{
	my ($self, $name) = @_;
	$self->{admin}->run(qq(DROP DATABASE "$name" WITH (FORCE)));
	return;
}

# The rows of a set: source, parents first, and shuffled.  False where this
# machine does not have enough of them.
sub data
{
	my ($self, $letter) = @_;
	my $set = $self->{sets}{$letter};
	my $name = "data_$letter";

	return $set->{rows} if defined $set->{rows};
	$self->create($name);
	my $session = Bench::Session->new($name);
	$session->run('CREATE EXTENSION pg_prewarm; CREATE TABLE source (id int, parent int, name text)');
	if ($set->{file})
	{
		my $file = "$self->{tmp}/$letter.tsv";
		$set->{file}->($file);
		$session->lines("\\copy source from '$file'");
	}
	else
	{
		$session->run($set->{sql});
	}
	$session->run('SELECT setseed(0.7); CREATE TABLE shuffled AS SELECT * FROM source ORDER BY random(); ANALYZE');
	my $rows = $session->value('SELECT count(*) FROM source');
	return $set->{rows} = $rows < ($set->{least} // 0) ? 0 : $rows;
}

# The files that make a peer; its tables see the rows of node that are there.
sub load
{
	my ($self, $session, @files) = @_;
	$session->lines(join "\n", map { "\\i $self->{folder}/$_.sql" } @files);
	return;
}

# template(SET, PEER, STATE): its name.  An empty one is never vacuumed: the
# planner takes a table that it knows nothing of for larger than one that it
# knows to be empty, and plans made now have to serve later.
sub template
{
	my ($self, $letter, $peer, $state) = @_;
	my $name = "${letter}_${peer}_$state";
	my $fill = 'INSERT INTO node (id, parent, name) SELECT id, parent, name FROM source';

	return $name if $self->{made}{$name}++;
	$self->data($letter);
	$self->create($name, "data_$letter");
	my $session = Bench::Session->new($name);
	$self->load($session, qw(node recursion));
	if ($state eq 'filled')
	{
		# The planner has to know the table for what a peer computes from it.
		$session->run("$fill; ANALYZE node");
		$self->load($session, @{ $self->{peers}{$peer}{files} });
		$session->run('DROP TABLE source, shuffled; VACUUM (FULL, ANALYZE) node; VACUUM (ANALYZE)');
	}
	elsif ($self->{peers}{$peer}{finished})
	{
		# As they come when nodes do, one node after the other in any order.
		$session->run("$fill; ANALYZE node; CREATE TABLE finished AS
			SELECT * FROM recursion ORDER BY hashint4(descendant), descendant, depth;
			DROP VIEW recursion; DROP TABLE node, source, shuffled; ANALYZE finished");
		$self->load($session, qw(node recursion), @{ $self->{peers}{$peer}{files} });
	}
	else
	{
		$self->load($session, @{ $self->{peers}{$peer}{files} });
	}
	return $name;
}

# open_warm(NAME): a session with all tables and indexes in memory.
sub open_warm
{
	my ($self, $name) = @_;
	my $session = Bench::Session->new($name);
	$session->run("SELECT sum(pg_prewarm(oid)) FROM pg_class
		WHERE relkind IN ('r', 'i', 't') AND relnamespace = 'public'::regnamespace");
	return $session;
}

1;
