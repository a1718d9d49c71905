# The trees, by letter: what they are, and the rows (id, parent, name).  Seeds
# are fixed, so the trees are the same in every run; set c is this machine's.

use strict;
use warnings;

my ($quick) = @ARGV;
my $million = $quick ? 200_000 : 1_000_000;

# Each node's parent is any of those before it.
sub random_tree
{
	my ($nodes) = @_;
	return "SELECT setseed(0.42);
		INSERT INTO source SELECT i, CASE WHEN i > 1 THEN 1 + floor(random() * (i - 1))::int END, 'node ' || i
		FROM generate_series(1, $nodes) i";
}

# The directories and files under /usr in find's order, names in ASCII.
sub file_tree
{
	my ($file) = @_;
	my (%id, $count);

	# What the server's user may not read is not there.
	open my $find, '-|', 'find /usr -xdev -print0 2>/dev/null' or die "find: $!\n";
	open my $out, '>', $file or die "$file: $!\n";
	local $/ = "\0";
	while (my $path = <$find>)
	{
		chomp $path;
		my ($above, $name) = $path =~ m{^(.*)/([^/]*)$}s;
		$id{$path} = ++$count;
		$name =~ s/[^ -\[\]-~]/?/g;
		print {$out} join("\t", $count, $id{$above} // '\N', $name), "\n";
	}
	close $find;
	close $out or die "$file: $!\n";
	return $count;
}

return {
	a => {
		title => '111,111 nodes, fan-out 10, depth 5',
		sql => "INSERT INTO source SELECT i, CASE WHEN i > 1 THEN (i + 8) / 10 END, 'node ' || i
			FROM generate_series(1, 111111) i",
	},
	b => { title => 'random recursive tree of 100,000 nodes', sql => random_tree(100_000) },
	c => {
		title => "this machine's files under /usr",
		least => 1_000,
		file => \&file_tree,
	},
	d => {
		title => 'a chain of 1,000 nodes',
		sql => "INSERT INTO source SELECT i, nullif(i - 1, 0), 'node ' || i FROM generate_series(1, 1000) i",
	},
	e => { title => "random recursive tree of $million nodes", sql => random_tree($million) },
};
