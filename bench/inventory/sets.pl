# What is measured: loads, for each number of clients, and the targets.
#
# "skus" is how many there are and "pick" how a client chooses one; one hot SKU
# if not said.  "thinks" is the application's time within the transaction.

use strict;
use warnings;

# against(PEER, at least, at 16 clients, at 64)
sub against
{
	my ($peer, $few, $many, @more) = @_;
	return (
		{ over => $peer, clients => 16, at_least => $few, @more },
		{ over => $peer, clients => 64, at_least => $many, @more });
}

my %many = (
	skus => 10_000,
	sku => "'SKU-' || :n",
	contestants => [qw(plinth update)],
);

return (
	{
		name => 'hot',
		title => 'One hot SKU',
		contestants => [qw(plinth plinth-ttl update for-update compare units scattered slots insert)],
		targets => [
			against('update', 4, 6), against('for-update', 5, 7),
			against('compare', 10, 15), against('units', 1.2, 1.7),
			against('slots', 1.2, 1.6), against('insert', 0.6, 0.6, floor => 0.5),
		],
		stretch => { 16 => 10_000 },
	},
	{
		name => 'thinking',
		title => 'One hot SKU, 5 ms of application time in the transaction',
		thinks => '5 ms',
		contestants => [qw(plinth update)],
		targets => [ against('update', 12, 30) ],
	},
	{
		%many,
		name => 'zipf',
		title => '10,000 SKUs, Zipf(1.1)',
		pick => 'random_zipfian(1, 10000, 1.1)',
		targets => [ against('update', 1.3, 1.8) ],
	},
	{
		%many,
		name => 'uniform',
		title => '10,000 SKUs, all alike',
		pick => 'random(1, 10000)',
		targets => [ against('update', 0.9, 0.9) ],
	},
	{
		name => 'sold-out',
		title => 'One SKU, sold out, nothing overdue',
		sold_out => 1,
		contestants => [qw(plinth update for-update units slots)],
	},
);
