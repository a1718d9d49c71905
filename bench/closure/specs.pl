# What the isolation specs are run against in the extension's place.

use strict;
use warnings;

return {
	title => 'PL/pgSQL row triggers',
	enable => qr/SELECT plinth_closure\.enable\(/,
	files => [qw(recursion closure_table plpgsql)],
	wrong => 'a wrong closure or a cycle',
};
