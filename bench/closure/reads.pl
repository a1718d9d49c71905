# What is read.  In the queries, this and that are the nodes of an iteration;
# enough of them are picked for a loop of some tenths of a second.

use strict;
use warnings;

my %subtree = (
	plinth => 'SELECT descendant AS id FROM node_closure WHERE ancestor = this',
	cte => 'WITH RECURSIVE down (id) AS (
			SELECT id FROM node WHERE id = this
			UNION ALL SELECT n.id FROM down d JOIN node n ON n.parent = d.id)
		SELECT id FROM down',
	ltree => 'SELECT id FROM node WHERE path <@ (SELECT path FROM node WHERE id = this)',
);

my %ancestors = (
	plinth => 'SELECT ancestor AS id FROM node_closure WHERE descendant = this',
	cte => 'WITH RECURSIVE up (id, parent) AS (
			SELECT id, parent FROM node WHERE id = this
			UNION ALL SELECT n.id, n.parent FROM up u JOIN node n ON n.id = u.parent)
		SELECT id FROM up',
	ltree => 'SELECT id FROM node WHERE path @> (SELECT path FROM node WHERE id = this)',
);

# contestants(HASH): those that read sets of nodes, in the order of the report.
sub contestants
{
	my ($sql) = @_;
	return [ map { { who => $_, rows => $sql->{$_} } } grep { $sql->{$_} } qw(plinth cte ltree) ];
}

my %ids = (how => 'read', consume => 'count(id)', verify => 'sum(id)');

return (
	{
		%ids,
		name => 'subtree',
		title => 'Subtree of 1,111 nodes',
		set => 'a',
		pick => 'SELECT id FROM node, generate_series(1, 10) WHERE id BETWEEN 12 AND 111',
		contestants => contestants(\%subtree),
		targets => [ { over => 'cte', at_least => 8 }, { over => 'ltree', at_least => 2 } ],
	},
	{
		%ids,
		name => 'subtree-files',
		title => 'Subtrees of 1,000 to 5,000 nodes',
		set => 'c',
		pick => 'SELECT ancestor FROM node_closure, generate_series(1, 10) i
			GROUP BY i, ancestor HAVING count(*) BETWEEN 1000 AND 5000 ORDER BY i, ancestor LIMIT 1000',
		contestants => contestants(\%subtree),
		targets => [ { over => 'cte', at_least => 8 }, { over => 'ltree', at_least => 2 } ],
	},
	{
		%ids,
		name => 'subtree-small',
		title => 'Subtree of 11 nodes',
		set => 'a',
		pick => 'SELECT id FROM node WHERE id BETWEEN 1112 AND 11111',
		contestants => contestants(\%subtree),
	},
	{
		how => 'read',
		name => 'sizes',
		title => 'Sizes of all subtrees at once',
		set => 'a',
		reps => 5,
		consume => 'sum(size)',
		verify => 'sum(size * id)',
		contestants => [
			{ who => 'plinth', rows => 'SELECT ancestor AS id, count(*) AS size FROM node_closure GROUP BY ancestor' },
			{ who => 'cte', rows => 'SELECT ancestor AS id, count(*) AS size FROM recursion GROUP BY ancestor' },
		],
		targets => [ { over => 'cte', at_least => 3 } ],
	},
	{
		how => 'read',
		name => 'is-ancestor',
		title => 'Is a node an ancestor of another? Half of the pairs are',
		set => 'a',
		consume => 'count(*)',
		verify => 'count(*)',
		# Nodes of depth 5; an ancestor of depth 0 to 4, or any node that is none.
		pick => 'SELECT CASE WHEN i % 2 = 0
					THEN (SELECT ancestor FROM node_closure WHERE descendant = d AND depth = 1 + i / 2 % 5)
					ELSE (SELECT min(id) FROM node WHERE id > (i * 6353) % 11000
						AND NOT EXISTS (SELECT FROM node_closure WHERE ancestor = id AND descendant = d)) END, d
				FROM (SELECT i, 11112 + (i * 7919) % 100000 AS d FROM generate_series(1, 10000) i) s',
		contestants => [
			{
				who => 'function',
				value => 'node_is_ancestor(this, that)',
				needs => "SELECT to_regproc('node_is_ancestor') IS NOT NULL",
			},
			{
				who => 'plinth',
				value => 'EXISTS (SELECT FROM node_closure WHERE ancestor = this AND descendant = that)',
			},
			{
				who => 'cte',
				value => 'EXISTS (
						WITH RECURSIVE up (id) AS (
							SELECT parent FROM node WHERE id = that
							UNION ALL SELECT n.parent FROM up u JOIN node n ON n.id = u.id)
						SELECT FROM up WHERE id = this)',
			},
			{
				who => 'ltree',
				value => '(SELECT path FROM node WHERE id = that) <@ (SELECT path FROM node WHERE id = this)',
			},
		],
		targets => [ { over => 'cte', at_least => 2 } ],
	},
	{
		%ids,
		name => 'ancestors',
		title => 'Ancestors of a node of depth 5',
		set => 'a',
		pick => 'SELECT 11112 + (i * 7919) % 100000 FROM generate_series(1, 10000) i',
		contestants => contestants(\%ancestors),
		targets => [ { over => 'cte', at_least => 'parity' } ],
	},
	{
		how => 'read',
		name => 'subtree-join',
		title => 'Names in a subtree of 11,111 nodes',
		set => 'a',
		consume => 'count(name)',
		verify => 'sum(hashtext(name))',
		pick => 'SELECT id FROM node WHERE parent = 1',
		contestants => contestants(
			{
				plinth => 'SELECT n.name FROM node_closure c JOIN node n ON n.id = c.descendant WHERE c.ancestor = this',
				# What the recursion visits anyway it need not join again.
				cte => 'WITH RECURSIVE down (id, name) AS (
						SELECT id, name FROM node WHERE id = this
						UNION ALL SELECT n.id, n.name FROM down d JOIN node n ON n.parent = d.id)
					SELECT name FROM down',
				ltree => 'SELECT name FROM node WHERE path <@ (SELECT path FROM node WHERE id = this)',
			}
		),
		targets => [ { over => 'cte', at_least => 'parity' } ],
	},
	{
		how => 'read',
		name => 'check',
		title => 'Check of the closure',
		set => 'b',
		reps => 5,
		consume => 'count(*)',
		verify => 'count(*)',
		contestants => [
			{ who => 'plinth', rows => "SELECT * FROM plinth_closure.check('node')" },
			{
				who => 'except',
				in => 'plinth',
				rows => 'WITH computed AS MATERIALIZED (SELECT * FROM recursion)
					(SELECT * FROM computed EXCEPT SELECT ancestor, descendant, depth FROM node_closure)
					UNION ALL
					(SELECT ancestor, descendant, depth FROM node_closure EXCEPT SELECT * FROM computed)',
			},
		],
		targets => [ { over => 'except', at_least => 4 } ],
	},
);
