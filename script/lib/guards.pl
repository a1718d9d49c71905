#!/usr/bin/perl
# Rules of this repository that no general tool knows, read off the sources.
# One line a finding, "file:line: what is wrong", and one line a rule, "ok" or
# "FAILED".  script/lint runs it in the top folder and counts.
#
#   guards.pl LIBRARY_DIR    LIBRARY_DIR has the built plinth_*.so

use strict;
use warnings;

my $library_dir = shift or die "usage: guards.pl LIBRARY_DIR\n";
my @findings;

sub found
{
	my ($file, $line, $message) = @_;
	push @findings, "$file:$line: $message";
	return;
}

# Ends a rule: prints what it found.
sub rule
{
	my ($name) = @_;
	print "$_\n" for @findings;
	print @findings ? "FAILED  $name\n" : "ok      $name\n";
	@findings = ();
	return;
}

sub slurp
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!\n";
	local $/ = undef;
	return scalar <$in>;
}

# Text files of the repository that are, or would be, committed.
sub repository_files
{
	my @files = split /\0/, `git ls-files -z -co --exclude-standard 2>/dev/null`;
	@files = split /\0/, `find . -name .git -prune -o -path ./build -prune -o -type f -printf '%P\\0'`
	  unless @files;
	return grep { -f && -T } @files;
}

# Splits an SQL script into [line, text]: comments become blanks, strings and
# function bodies stay, a semicolon inside them ends nothing.
sub statements
{
	my ($text) = @_;
	my ($line, $start, $statement) = (1, 1, '');
	my @result;

	while (
		$text =~ m{\G(
			  --[^\n]* | /\*.*?\*/          # comment
			| (?:\be)?'(?:[^'\\]|''|\\.)*'     # string
			| "(?:[^"]|"")*"
			| (\$(?:[A-Za-z_]\w*)?\$).*?\g{2}
			| ^\\[^\n]*                        # psql command
			| ;
			| .
		)}gsmx)
	{
		my $token = $1;
		if ($token =~ m{^(?:--|/\*|\\)}) { $statement .= ' ' if $statement =~ /\S/; }
		elsif ($token eq ';')
		{
			push @result, [ $start, $statement ] if $statement =~ /\S/;
			$statement = '';
		}
		else
		{
			$start = $line if $statement !~ /\S/;
			$statement .= $token;
		}
		$line += ($token =~ tr/\n//);
	}
	push @result, [ $start, $statement ] if $statement =~ /\S/;
	return @result;
}

# The statement without what stands between dollar quotes.
sub without_body
{
	my ($statement) = @_;
	$statement =~ s/(\$(?:[A-Za-z_]\w*)?\$).*?\g{1}/''/gs;
	return $statement;
}

my @scripts = sort glob 'sql/*.sql';
my %statements = map { $_ => [ statements(slurp($_)) ] } @scripts;

# -- SQL functions and the library, both ways ------------------------------

my %named;    # extension -> symbol -> [file, line]
for my $file (@scripts)
{
	my ($extension) = $file =~ m{^sql/(\w+?)--};
	for (@{ $statements{$file} })
	{
		my ($line, $statement) = ($_->[0], without_body($_->[1]));
		next unless $statement =~ /^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\s+(?:\w+\.)?"?(\w+)"?/i;
		my $name = $1;
		next unless $statement =~ /\bLANGUAGE\s+'?c'?\b/i;
		my ($symbol) = $statement =~ /\bAS\s+'MODULE_PATHNAME'\s*,\s*'(\w+)'/i;
		$named{$extension}{ $symbol // $name } //= [ $file, $line ];
	}
}
my %exported;    # extension -> symbol -> 1
for my $library (sort glob "$library_dir/plinth*.so")
{
	my ($extension) = $library =~ m{(\w+)\.so$};
	my %all = map { $_ => 1 } map { (split)[-1] } `nm -D --defined-only '$library'`;
	$exported{$extension}{$_} = 1 for map { /^pg_finfo_(\w+)$/ ? $1 : () } keys %all;
	for my $symbol (sort keys %all)
	{
		next if $symbol =~ /^(?:_PG_init|_PG_fini|Pg_magic_func|pg_finfo_\w+)$/;
		found("$extension.so", 0, "exports $symbol, which is no entry point: make it static or let -fvisibility=hidden hide it")
		  unless $exported{$extension}{$symbol};
	}
	for my $symbol (sort keys %{ $exported{$extension} })
	{
		found("$extension.so", 0, "$symbol has PG_FUNCTION_INFO_V1 but is not visible: declare it PGDLLEXPORT")
		  unless $all{$symbol};
	}
}
found('src', 0, 'no library was built') unless %exported;
rule('libraries export their entry points and nothing else');

for my $extension (sort keys %named)
{
	for my $symbol (sort keys %{ $named{$extension} })
	{
		found(@{ $named{$extension}{$symbol} }, "C function $symbol is not in $extension.so")
		  unless $exported{$extension}{$symbol};
	}
}
for my $extension (sort keys %exported)
{
	for my $symbol (sort keys %{ $exported{$extension} })
	{
		found("$extension.so", 0, "C function $symbol is in no sql/$extension--*.sql")
		  unless $named{$extension}{$symbol};
	}
}
rule('C functions in SQL are in the library, and the reverse');

# -- SQLSTATEs --------------------------------------------------------------

my %macros;    # code -> line in errors.h
my $errors_h = -f 'src/kit/errors.h' ? slurp('src/kit/errors.h') : '';
while ($errors_h =~ /MAKE_SQLSTATE\s*\(([^)]*)\)/g)
{
	my ($characters, $before) = ($1, substr($errors_h, 0, $-[0]));
	my $code = join '', $characters =~ /'(.)'/g;
	$macros{$code} = 1 + ($before =~ tr/\n//);
}
my %documented;
if (-f 'docs/errors.md')
{
	my $line = 0;
	for (split /\n/, slurp('docs/errors.md'))
	{
		$line++;
		$documented{$_} //= $line for /\b(PX[0-9A-Z]{3})\b/g;
	}
}
for my $code (sort keys %macros)
{
	found('src/kit/errors.h', $macros{$code}, "SQLSTATE $code is not in docs/errors.md") unless $documented{$code};
}
for my $code (sort keys %documented)
{
	found('docs/errors.md', $documented{$code}, "SQLSTATE $code is not in src/kit/errors.h") unless $macros{$code};
}
for my $file (@scripts)
{
	my $line = 0;
	for (split /\n/, slurp($file))
	{
		$line++;
		for my $code (/'(PX[0-9A-Z]{3})'/g)
		{
			found($file, $line, "SQLSTATE $code is not in src/kit/errors.h") unless $macros{$code};
		}
	}
}
rule('SQLSTATEs in src/kit/errors.h and docs/errors.md are the same');

# -- Install scripts ----------------------------------------------------------

for my $file (@scripts)
{
	my ($extension, $from, $to) = $file =~ m{^sql/(\w+?)--([^-]+)(?:--([^-]+))?\.sql$};
	if (!defined $extension)
	{
		# Both test runners would take it for a test's input.
		found($file, 1, 'only <extension>--<version>.sql may be in sql/');
		next;
	}
	my $want = defined $to ? "ALTER EXTENSION $extension UPDATE" : "CREATE EXTENSION $extension";
	my $text = slurp($file);
	$text =~ s{^((?:\s*(?:--[^\n]*\n|/\*.*?\*/))*\s*)}{}s;
	my $line = 1 + (($1 // '') =~ tr/\n//);
	my ($first) = split /\n/, $text;
	found($file, $line, "must begin with: \\echo Use \"$want\" to load this file. \\quit")
	  unless ($first // '') =~ /^\\echo Use "\Q$want\E[^"]*" to load this file\. \\quit\s*$/;
}
rule('scripts cannot be run outside CREATE EXTENSION');

for my $file (@scripts)
{
	for (@{ $statements{$file} })
	{
		my ($line, $statement) = ($_->[0], without_body($_->[1]));
		found($file, $line, 'CREATE OR REPLACE would adopt an object that somebody else made before')
		  if $statement =~ /^\s*CREATE\s+OR\s+REPLACE\b/i;
		found($file, $line, 'IF NOT EXISTS would adopt an object that somebody else made before')
		  if $statement =~ /^\s*CREATE\b[^(]*\bIF\s+NOT\s+EXISTS\b/i;
	}
}
rule('scripts have no CREATE OR REPLACE and no IF NOT EXISTS');

for my $file (@scripts)
{
	for (@{ $statements{$file} })
	{
		my ($line, $statement) = ($_->[0], without_body($_->[1]));
		next unless $statement =~ /^\s*(?:CREATE|ALTER)\b/i && $statement =~ /\bSECURITY\s+DEFINER\b/i;
		found($file, $line, 'SECURITY DEFINER without SET search_path')
		  unless $statement =~ /\bSET\s+search_path\s*(?:=|TO)/i;
	}
}
rule('every SECURITY DEFINER has a fixed search_path');

# -- C ------------------------------------------------------------------------

for my $file (sort(glob('src/*/*.c'), glob('src/*/*.h')))
{
	next if $file eq 'src/kit/compat.h';
	my $line = 0;
	for (split /\n/, slurp($file))
	{
		$line++;
		found($file, $line, 'PG_VERSION_NUM belongs in src/kit/compat.h only') if /\bPG_VERSION_NUM\b/;
	}
}
rule('PG_VERSION_NUM is in src/kit/compat.h only');

# -- Tests --------------------------------------------------------------------

my %golden = map { $_ => 1 } glob 'expected/*/*.out';
my %input;
for my $file (sort(glob('test/sql/*/*.sql'), glob('test/specs/*/*.spec')))
{
	my ($name) = $file =~ m{^test/\w+/(.*)\.\w+$};
	my $expected = "expected/$name.out";
	found($file, 1, "there is no $expected") unless $golden{$expected};
	found($file, 1, "$input{$expected} has the same $expected") if $input{$expected};
	$input{$expected} = $file;
}
for my $file (sort keys %golden)
{
	found($file, 1, 'belongs to no test') unless $input{$file};
}
# A file that the runner's wildcards do not match would never be run.
for my $file (glob('test/t/*'), glob('test/pgtap/*'), glob('test/sql/*'), glob('test/specs/*'))
{
	next if -d $file || $file =~ m{^test/t/\d{3}_\w+\.pl$};
	found($file, 1, 'has a name that script/test does not look for');
}
rule('every test has its golden, every golden its test');

# -- Words ----------------------------------------------------------------------

for my $file (repository_files())
{
	my $line = 0;
	for (split /\n/, slurp($file))
	{
		$line++;
		found($file, $line, "unfinished work: $1") if /\b(TO[D]O|FIX[M]E)\b/;
	}
}
rule('nothing is marked as unfinished');
