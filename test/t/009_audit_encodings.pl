# In a database of another encoding than UTF8 images are what to_jsonb makes.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

# Escapes of json by encoding: 1 if the encoding has the character.
my %has = (
	LATIN1 => { '\u00e9' => 1, '\u4e2d' => 0, '\ud83d\ude00' => 0, '\u0041' => 1 },
	EUC_JP => { '\u00e9' => 1, '\u4e2d' => 1, '\ud83d\ude00' => 0, '\u0041' => 1 },
	UTF8 => { '\u00e9' => 1, '\u4e2d' => 1, '\ud83d\ude00' => 1, '\u0041' => 1 },
	SQL_ASCII => { '\u00e9' => 0, '\u4e2d' => 0, '\ud83d\ude00' => 0, '\u0041' => 1 });

for my $encoding (sort keys %has)
{
	my $db = lc "db_$encoding";
	$node->safe_psql('postgres', "CREATE DATABASE $db ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
	$node->safe_psql($db, q{
		CREATE EXTENSION plinth_audit;
		CREATE TABLE t (id int PRIMARY KEY, j json);
		SELECT plinth_audit.enable('t');
	});
	for my $escape (sort keys %{ $has{$encoding} })
	{
		my $json = qq({"k": "a${escape}z"});
		my $id = $node->safe_psql($db, "INSERT INTO t SELECT count(*) + 1, '$json' FROM t RETURNING id");
		my $same = $has{$encoding}{$escape}
			? "(SELECT to_jsonb(j)::text FROM t WHERE id = $id)"
			: "to_jsonb('$json'::text)::text";
		is($node->safe_psql($db, "SELECT (new_data -> 'j')::text = $same, note IS NULL FROM t_audit ORDER BY audit_id DESC LIMIT 1"),
			$has{$encoding}{$escape} ? 't|t' : 't|f', "$encoding: $escape");
	}
}

$node->stop;
done_testing();
