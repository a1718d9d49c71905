# What is written.  Every repetition has a database of its own, "empty" (no
# nodes yet, but tables to insert them from) or "filled"; "beyond" names the
# contestant whose time is subtracted.

use strict;
use warnings;

my $columns = 'id, parent, name';

# loop(COUNT, STATEMENT): so many single statements, the variable i counting.
sub loop
{
	my ($count, $statement) = @_;
	return (per => $count, sql => "DO \$\$ BEGIN FOR i IN 1..$count LOOP $statement; END LOOP; END \$\$");
}

# One tiny write of the kind that is measured, and the tables empty again.
my $warm_insert = "INSERT INTO node ($columns) VALUES (1, NULL, 'warm'), (2, 1, 'warm'); TRUNCATE node";

# Where nodes come from: source has parents first only if it is sorted.
my %from = ('parents first' => 'source ORDER BY id', 'random order' => 'shuffled');

# all_at_once(WHO, ORDER, ...): every node in one statement.
sub all_at_once
{
	my ($who, $order, @more) = @_;
	my $sql = "INSERT INTO node ($columns) SELECT $columns FROM $from{$order}";
	return { who => $who, note => $order, warm => $warm_insert, sql => $sql, @more };
}

sub bulk
{
	my ($set) = @_;
	return {
		name => "bulk-$set",
		title => 'All nodes in one statement, time beyond that without a closure',
		how => 'write',
		set => $set,
		state => 'empty',
		contestants => [
			all_at_once('plinth', 'random order', beyond => 'plain-random'),
			all_at_once('plpgsql', 'parents first', beyond => 'plain'),
			{
				who => 'finished',
				in => 'table',
				warm => 'INSERT INTO node_closure VALUES (1, 1, 0); TRUNCATE node_closure',
				sql => 'INSERT INTO node_closure SELECT ancestor, descendant, depth FROM finished',
			},
			all_at_once('ltree', 'parents first', beyond => 'plain'),
			all_at_once('plain', 'parents first', baseline => 1),
			all_at_once('plain-random', 'random order', in => 'plain', baseline => 1),
		],
		targets => [ { over => 'plpgsql', at_least => 1.7 }, { over => 'finished', at_least => 1 } ],
	};
}

# The same statements for several contestants.
sub each_of
{
	my ($contestants, @same) = @_;
	return [ map { { @$_, @same } } @$contestants ];
}

my @beyond_plain = (
	[ who => 'plinth', beyond => 'plain' ],
	[ who => 'plpgsql', beyond => 'plain' ],
	[ who => 'ltree', beyond => 'plain' ],
	[ who => 'plain', baseline => 1 ],
);
my $warm_leaf = "INSERT INTO node ($columns) VALUES (999999, 1112, 'warm')";
my $warm_update = "UPDATE node SET name = name || 'w' WHERE id = 1";
my @kept_or_not = ([ who => 'plinth' ], [ who => 'plain' ]);

return (
	bulk('a'), bulk('b'), bulk('c'),
	{
		name => 'enable',
		title => 'enable() on a table with rows',
		how => 'write',
		set => 'e',
		reps => 3,
		state => 'filled',
		contestants => [
			{
				who => 'plinth',
				in => 'plain',
				pairs => 'node_closure',
				warm => "CREATE EXTENSION plinth_closure; CREATE TABLE warm (id int PRIMARY KEY, parent int);
					INSERT INTO warm VALUES (1, NULL), (2, 1); SELECT plinth_closure.enable('warm', 'id', 'parent')",
				sql => "SELECT plinth_closure.enable('node', 'id', 'parent')",
			},
			{
				who => 'cte',
				in => 'table',
				pairs => 'node_closure',
				warm => 'INSERT INTO node_closure VALUES (1, 1, 0); TRUNCATE node_closure',
				sql => 'INSERT INTO node_closure SELECT ancestor, descendant, depth FROM recursion',
			},
		],
		targets => [ { over => 'cte', at_least => 2.5 } ],
	},
	{
		name => 'move',
		title => 'Move of 1,111 nodes to the side of their parent, 9 of them',
		how => 'write',
		set => 'a',
		state => 'filled',
		contestants => each_of(
			[ [ who => 'plinth' ], [ who => 'plpgsql' ], [ who => 'ltree' ] ],
			warm => 'UPDATE node SET parent = 11110 WHERE id = 111111',
			sql => join('; ', map { "UPDATE node SET parent = 3 WHERE id = $_" } 12 .. 20),
			per => 9,
		),
		targets => [ { over => 'plpgsql', at_least => 6, stretch => 8 }, { over => 'ltree', at_least => 'parity' } ],
	},
	{
		name => 'leaf',
		title => 'Insert of a leaf of depth 5, time beyond the plain insert, 2,000 in one transaction',
		how => 'write',
		set => 'a',
		state => 'filled',
		contestants => each_of(
			\@beyond_plain,
			warm => $warm_leaf,
			loop(2000, "INSERT INTO node ($columns) VALUES (1000000 + i, 1112 + (i * 7919) % 10000, 'leaf')"),
		),
		targets => [ { over => 'plpgsql', at_least => 2 } ],
	},
	{
		name => 'leaf-pgbench',
		title => 'The same with pgbench -c 1 -M prepared, 5,000 transactions',
		how => 'pgbench',
		set => 'a',
		state => 'filled',
		contestants => each_of(
			\@beyond_plain,
			warm => 'CREATE SEQUENCE leaf START 1000001',
			transactions => 5000,
			script => "\\set parent random(1112, 11111)\n"
				. "INSERT INTO node ($columns) VALUES (nextval('leaf'), :parent, 'leaf');\n",
		),
		targets => [ { over => 'plpgsql', at_least => 2 } ],
	},
	{
		name => 'update-all',
		title => 'UPDATE of another column, all rows',
		how => 'write',
		set => 'a',
		reps => 15,
		state => 'filled',
		contestants => each_of(\@kept_or_not, warm => $warm_update, sql => "UPDATE node SET name = name || 'x'"),
		targets => [ { over => 'plain', at_most => 1.03 } ],
	},
	{
		name => 'update-one',
		title => 'UPDATE of another column, row by row',
		how => 'write',
		set => 'a',
		reps => 15,
		state => 'filled',
		contestants => each_of(
			\@kept_or_not,
			warm => $warm_update,
			loop(20000, "UPDATE node SET name = name || 'x' WHERE id = 1 + (i * 7919) % 100000"),
		),
		targets => [ { over => 'plain', at_most => 1.03 } ],
	},
	{
		name => 'chain',
		title => 'A whole chain in one statement',
		how => 'write',
		set => 'd',
		state => 'empty',
		contestants => [ map { all_at_once($_, 'parents first') } qw(plinth plpgsql plain) ],
	},
	{
		name => 'chain-leaf',
		title => 'Insert of a leaf at the end of a chain, 100 in one transaction',
		how => 'write',
		set => 'd',
		state => 'filled',
		contestants => each_of(
			[ map { [ who => $_ ] } qw(plinth plpgsql plain) ],
			warm => "INSERT INTO node ($columns) VALUES (9999, 999, 'warm')",
			loop(100, "INSERT INTO node ($columns) VALUES (1000 + i, 999, 'leaf')"),
		),
	},
	(
		map {
			{
				name => "storage-$_",
				title => 'Storage of the nodes and of what is kept about them',
				how => 'storage',
				set => $_,
				state => 'filled',
				contestants => [ map { { who => $_ } } ($_ eq 'd' ? qw(plinth plain) : qw(plinth ltree plain)) ],
			}
		} qw(a b c d)
	),
);
