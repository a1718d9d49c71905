# The contestants: title, and where they run ("in", themselves if not said).
# Those with a database of their own have the files that make it and the
# relation from which their pairs (ancestor, descendant, depth) can be read.

use strict;
use warnings;

return {
	plinth => { title => 'plinth', files => ['plinth'], pairs => 'node_closure' },
	function => { title => 'plinth, function', in => 'plinth' },
	cte => { title => 'WITH RECURSIVE', in => 'plain' },
	except => { title => 'recursion and EXCEPT both ways', in => 'plinth' },
	ltree => { title => 'ltree with GiST and a trigger', files => ['ltree'], pairs => 'path_pairs' },
	plpgsql => { title => 'PL/pgSQL row triggers', files => [qw(closure_table plpgsql)], pairs => 'node_closure' },
	plain => { title => 'no closure', files => [], pairs => 'recursion' },
	'plain-random' => { title => 'no closure', in => 'plain' },
	table => {
		title => 'closure table without triggers',
		files => ['closure_table'],
		pairs => 'node_closure',
		finished => 1,
	},
	finished => { title => 'INSERT .. SELECT of finished closure rows', in => 'table' },
};
