# What is measured, and the targets.
#
# how => 'write': one statement in a fresh copy of a database; 'read': pgbench
# over a database that nobody writes to; 'instructions': counted by callgrind.
# The first contestant is plinth; it is divided by the one that "over" names.

use strict;
use warnings;

my $marks = 'UPDATE account SET deleted_at = now(), deletion_id = 1 WHERE id <= 100000 AND deleted_at IS NULL';
my $deletes = 'DELETE FROM account WHERE id <= 100000';
my $dead = 'SELECT count(*) FROM account WHERE deleted_at IS NOT NULL AND deletion_id IS NOT NULL';

# Of a row before those that count.
sub warm
{
	my ($statement) = @_;
	return $statement =~ s/id <= 100000/id = 150000/r;
}

sub delete_with
{
	my ($who) = @_;
	return { who => $who, sql => $deletes, warm => warm($deletes) };
}

# the same statements on both
sub enabled_or_not
{
	my (@same) = @_;
	return [ map { { who => $_, @same } } qw(plinth plain) ];
}

# searched(NAME, TITLE, CONDITION): pgbench's :n is the number of a living row
# divided by five, :prefix four hexadecimal digits that are decimal ones, too.
sub searched
{
	my ($name, $title, $condition) = @_;
	return {
		name => $name,
		title => "$title, one row in five alive",
		how => 'read',
		condition => $condition,
		contestants => [ { who => 'plinth', from => 'person' }, { who => 'view', from => 'alive' }, { who => 'policy', from => 'person' } ],
		targets => [ { over => 'view', at_most => 1.2 } ],
	};
}

return (
	{
		name => 'delete',
		title => 'Soft delete of 100,000 rows of 200,000',
		how => 'write',
		contestants => [
			delete_with('plinth'),
			{ who => 'plain', sql => $marks, warm => warm($marks) },
			delete_with('trigger'),
			delete_with('rule'),
		],
		verify => $dead,
		wanted => 100_001,
		targets => [ { over => 'plain', at_most => 1.10, never => 1.25 } ],
	},
	{
		name => 'update-all',
		title => 'UPDATE of another column, 100,000 rows in one statement',
		how => 'write',
		contestants => enabled_or_not(
			sql => 'UPDATE account SET visits = visits + 1 WHERE id <= 100000',
			warm => 'UPDATE account SET visits = visits + 1 WHERE id = 150000',
		),
		verify => 'SELECT sum(visits) FROM account',
		wanted => 100_001,
		targets => [ { over => 'plain', at_most => 1.05 } ],
	},
	{
		name => 'update-one',
		title => 'UPDATE of another column, 20,000 rows one by one in PL/pgSQL',
		how => 'write',
		contestants => enabled_or_not(
			sql => 'DO $$ BEGIN FOR i IN 1 .. 20000 LOOP UPDATE account SET visits = visits + 1 WHERE id = i; END LOOP; END $$',
			warm => 'UPDATE account SET visits = visits + 1 WHERE id = 150000',
		),
		per => 20_000,
		verify => 'SELECT sum(visits) FROM account',
		wanted => 20_001,
		targets => [ { over => 'plain', at_most => 1.05 } ],
	},
	{
		name => 'update-pgbench',
		title => 'UPDATE of another column, each in a transaction: pgbench -M prepared',
		how => 'pgbench',
		contestants => enabled_or_not(
			script => "\\set n random(1, 200000)\nUPDATE account SET visits = visits + 1 WHERE id = :n;\n",
			warm => 'UPDATE account SET visits = visits + 1 WHERE id = 150000',
		),
		targets => [ { over => 'plain', at_most => 1.05 } ],
	},
	searched('lower', 'lower(email) = ...', "lower(email) = lower('USER' || 5 * :n || '\@example.com')"),
	searched('gin', 'tags @> ...', "tags @> ARRAY['a' || :n % 5000]"),
	searched('numeric', 'a numeric = ...', 'amount = (:n % 50000) / 100.0'),
	searched('like', "name LIKE '...%'", "name LIKE :prefix || '%'"),
	{
		name => 'others',
		title => 'Statements on tables that are not enabled, while another is: instructions',
		how => 'instructions',
		statements => [
			[ 'SELECT by key' => 'SELECT name FROM customer WHERE id = 42' ],
			[ 'SELECT of a join' => 'SELECT c.name, p.total, l.item FROM customer c JOIN purchase p ON p.customer_id = c.id JOIN line l ON l.purchase_id = p.id WHERE c.id = 42' ],
			[ 'aggregate' => 'SELECT city, count(*) FROM customer WHERE id < 20 GROUP BY city ORDER BY 2 LIMIT 3' ],
			[ 'SELECT 1' => 'SELECT 1' ],
			# What writes finds the table in another state each time.
			[ 'UPDATE of nothing' => 'UPDATE customer SET city = \'x\' WHERE id = 0' ],
			[ 'DELETE of nothing' => 'DELETE FROM customer WHERE id = 0' ],
		],
		at_most => 1.01,
	},
);
