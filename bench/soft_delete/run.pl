#!/usr/bin/perl
# Measures plinth_soft_delete on the server that PGHOST names, and prints
# medians, ratios of pairs and targets.  script/bench makes the server; this is
# not meant to be called by hand.
#
#   run.pl soft_delete TMP [--quick] [--reps N] [--seconds N] [--only NAME] ...
#
# What is measured runs as a role that owns nothing and bypasses nothing.

use strict;
use warnings;
use FindBin ();
use lib "$FindBin::Bin/../lib";
use Bench::Measure;
use Bench::Report;
use Bench::Session;

my (undef, $tmp, @arguments) = @ARGV;
my ($reps, $seconds, $people) = (15, 2, 1_000_000);
my @only;
while (defined(my $argument = shift @arguments))
{
	if ($argument eq '--quick') { ($reps, $seconds, $people) = (3, 1, 200_000); }
	elsif ($argument eq '--reps') { $reps = shift @arguments; }
	elsif ($argument eq '--seconds') { $seconds = shift @arguments; }
	elsif ($argument eq '--only') { push @only, split /,/, shift @arguments; }
	else { die "unknown argument: $argument\n"; }
}

my %title = (
	plinth => 'plinth',
	plain => 'plain UPDATE, without plinth',
	trigger => 'PL/pgSQL BEFORE DELETE trigger',
	rule => 'rule ON DELETE DO INSTEAD UPDATE',
	view => 'security_invoker view',
	policy => 'the same policy in pure SQL',
);
my @numbers = do "$FindBin::Bin/sets.pl";
die $@ || "sets.pl: $!\n" unless @numbers && defined $numbers[0];
my $admin = Bench::Session->new('postgres');
my ($met, @missed) = (0);
my %made;

# -- Databases -----------------------------------------------------------------

sub load
{
	my ($database, $table, @files) = @_;
	my $session = Bench::Session->new($database);
	$session->lines("\\set target $table\n\\set people $people\n" . join "\n", map { "\\i $FindBin::Bin/sql/$_.sql" } @files);
	$session->run('VACUUM (FREEZE, ANALYZE)');
	$session->close;
	return;
}

# template(TABLE, WHO): a database with the table as a contestant has it.
sub template
{
	my ($table, $who) = @_;
	my $name = "${table}_$who";

	return $name if $made{$name}++;
	if (!$made{$table}++)
	{
		$admin->run("CREATE DATABASE $table");
		load($table, $table, $table);
	}
	$admin->run("CREATE DATABASE $name TEMPLATE $table");
	load($name, $table, $who) if $who ne 'plain';
	return $name;
}

# as_app(DATABASE): a session of the role that uses tables.
sub as_app
{
	my ($database) = @_;
	local $ENV{PGUSER} = 'app';
	return Bench::Session->new($database);
}

# Have all tables and indexes in memory, and nothing left to write out.
sub settle
{
	my ($database) = @_;
	my $session = Bench::Session->new($database);
	$session->run("SELECT sum(pg_prewarm(oid)) FROM pg_class
		WHERE relkind IN ('r', 'i', 't') AND relnamespace = 'public'::regnamespace");
	$session->run('CHECKPOINT');
	$session->close;
	return;
}

# pgbench(DATABASE, SCRIPT, SEED): microseconds a transaction.
sub pgbench
{
	my ($database, $script, $seed) = @_;
	my $file = "$tmp/script.sql";

	open my $out, '>', $file or die "$file: $!\n";
	print {$out} $script;
	close $out or die "$file: $!\n";
	my $said = `pgbench -n -M prepared -c 1 -T $seconds --random-seed=$seed -U app -f '$file' '$database' 2>&1`;
	die "pgbench failed:\n$said\n" if $? || $said =~ /aborted/;
	my ($tps) = $said =~ /^tps = ([\d.]+)/m or die "pgbench says nothing:\n$said\n";
	return 1e6 / $tps;
}

# -- Measuring -----------------------------------------------------------------

# One statement, or one run of pgbench, in a fresh copy of a database.
sub write_once
{
	my ($number, $contestant, $seed) = @_;
	my $template = template('account', $contestant->{who});
	my $time;

	$admin->run('DROP DATABASE IF EXISTS run WITH (FORCE)');
	$admin->run("CREATE DATABASE run TEMPLATE $template");
	# settings of a database do not come with its copy
	$admin->run('ALTER DATABASE run SET session_preload_libraries = plinth_soft_delete')
	  if $contestant->{who} eq 'plinth';
	my $session = as_app('run');
	$session->run("SELECT count(*) FROM account; $contestant->{warm}");
	settle('run');
	if ($number->{how} eq 'pgbench')
	{
		$time = pgbench('run', $contestant->{script}, $seed);
	}
	else
	{
		$time = $session->timed($contestant->{sql}) / ($number->{per} // 1);
	}
	$session->close;
	if ($number->{verify})
	{
		my $check = Bench::Session->new('run');
		my $found = $check->value($number->{verify});
		die "$number->{name}: $contestant->{who}: $found, not $number->{wanted}\n" if $found != $number->{wanted};
		$check->close;
	}
	return $time;
}

# What a contestant asks, with the parameters filled in.
sub filled
{
	my ($sql, $n) = @_;
	my $prefix = 1000 + $n % 9000;
	return $sql =~ s/:n\b/$n/gr =~ s/:prefix\b/'$prefix'/gr;
}

# Indexes of a contestant's plan, in one line.
sub indexes
{
	my ($session, $query) = @_;
	my @found = map { /(?:using|on) (person_\w+)/ ? $1 : /(Seq Scan)/ ? $1 : () } $session->run("EXPLAIN (COSTS OFF) $query");
	return join ', ', @found;
}

# All find the same rows; plinth by the same index as the view.
sub compare_plans
{
	my ($number) = @_;
	my (%plan, %rows);

	for my $contestant (@{ $number->{contestants} })
	{
		my $who = $contestant->{who};
		my $session = as_app(template('person', $who));
		my $query = "SELECT id, email FROM $contestant->{from} WHERE $number->{condition}";

		$plan{$who} = indexes($session, filled($query, 1234));
		$rows{$who} = join ' ', map {
			$session->value('SELECT count(*), sum(id) FROM (' . filled($query, $_) . ') q')
		} 1, 77, 1234, 33_333;
		$session->close;
		printf "   %-48s %s\n", "$title{$who}: plan", $plan{$who};
	}
	Bench::Measure::same_result($number, \%rows);
	if ($plan{plinth} eq $plan{view}) { $met++; }
	else { push @missed, "$number->{name}: $plan{plinth}, where the view has $plan{view}"; }
	return;
}

sub read_once
{
	my ($number, $contestant, $seed) = @_;
	my $living = $people / 5;

	return pgbench(template('person', $contestant->{who}),
		"\\set n random(1, $living)\n\\set prefix random(1000, 9999)\n"
		. "SELECT id, email FROM $contestant->{from} WHERE $number->{condition};\n", $seed);
}

sub measure
{
	my ($number) = @_;
	my %contestant = map { $_->{who} => $_ } @{ $number->{contestants} };
	my $once = $number->{how} eq 'read' ? \&read_once : \&write_once;
	my (%times, %seed);

	if ($number->{how} eq 'read')
	{
		settle(template('person', $_)) for keys %contestant;
		compare_plans($number);
	}
	for my $who (Bench::Measure::rotated($reps, map { $_->{who} } @{ $number->{contestants} }))
	{
		push @{ $times{$who} }, $once->($number, $contestant{$who}, ++$seed{$who});
	}
	return \%times;
}

# -- Instructions --------------------------------------------------------------

# instructions(BINARIES, CLUSTER, LOADED, STATEMENT, COUNT): what a backend of
# its own needs that runs a statement so many times.
sub instructions
{
	my ($bin, $cluster, $loaded, $statement, $count) = @_;
	my ($file, $log) = ("$tmp/single.sql", "$tmp/callgrind.log");

	open my $out, '>', $file or die "$file: $!\n";
	print {$out} "LOAD 'plinth_soft_delete'\n" if $loaded;
	# caches are filled, and the hook has met the table that is enabled
	print {$out} "SELECT count(*) FROM thing\n", "$statement\n" x (10 + $count);
	close $out or die "$file: $!\n";
	system("valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file='$log' \\
		'$bin/postgres' --single -D '$cluster' others <'$file' >'$tmp/single.out' 2>&1") == 0
	  or die "a backend under valgrind failed: see $tmp/single.out\n" . `tail -n 5 '$tmp/single.out' '$log'`;
	open my $in, '<', $log or die "$log: $!\n";
	my ($collected) = map { /Collected : (\d+)/ ? $1 : () } <$in>;
	close $in;
	return $collected // die "callgrind has counted nothing\n";
}

# A cluster that nobody else uses, with an enabled table and others.
sub instruction_cluster
{
	my ($bin) = @_;
	my $cluster = "$tmp/single";

	system("'$bin/initdb' -D '$cluster' -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >'$tmp/initdb.log' 2>&1") == 0
	  or die "initdb failed: see $tmp/initdb.log\n";
	open my $conf, '>>', "$cluster/postgresql.conf" or die "$cluster: $!\n";
	print {$conf} "fsync = off\nautovacuum = off\njit = off\nlisten_addresses = ''\nunix_socket_directories = '$tmp'\nport = 54321\n";
	close $conf;
	system("'$bin/pg_ctl' -D '$cluster' -l '$tmp/single.log' -w -s start </dev/null") == 0 or die "see $tmp/single.log\n";
	{
		local @ENV{qw(PGHOST PGPORT)} = ($tmp, 54321);
		eval {
			my $session = Bench::Session->new('postgres');
			$session->run('CREATE DATABASE others');
			$session->close;
			$session = Bench::Session->new('others');
			$session->lines("\\i $FindBin::Bin/sql/other.sql");
			$session->run('CREATE EXTENSION plinth_soft_delete; CREATE TABLE thing (id int PRIMARY KEY)');
			$session->run(q(SET client_min_messages = warning; SELECT plinth_soft_delete.enable('thing')));
			# who loads it is for us to say
			$session->run('ALTER DATABASE others RESET session_preload_libraries');
			$session->close;
		};
	}
	my $failed = $@;
	system("'$bin/pg_ctl' -D '$cluster' -w -s -m fast stop </dev/null");
	die $failed if $failed;
	return $cluster;
}

sub count_instructions
{
	my ($number) = @_;
	my $count = $reps < 15 ? 200 : 1000;

	if (system('valgrind --version >/dev/null 2>&1') != 0)
	{
		print "   (not measured: there is no valgrind)\n";
		return;
	}
	my $bin = $admin->value(q(SELECT setting FROM pg_config WHERE name = 'BINDIR'));
	my $cluster = instruction_cluster($bin);
	printf "   %-24s %12s %12s %9s\n", 'callgrind, a statement', 'not loaded', 'loaded', 'ratio';
	for (@{ $number->{statements} })
	{
		my ($title, $statement) = @$_;
		my @each = map {
			my $loaded = $_;
			my @total = map { instructions($bin, $cluster, $loaded, $statement, $_) } $count, 2 * $count;
			($total[1] - $total[0]) / $count;
		} 0, 1;
		verdict($number, $title, $each[1] / $each[0], $number, sprintf('   %-24s %12.0f %12.0f', $title, @each));
	}
	return;
}

# -- The report ------------------------------------------------------------------

# verdict(NUMBER, AGAINST, RATIO, TARGET, LINE): prints the line with the ratio
# and whether the target is met.
sub verdict
{
	my ($number, $against, $ratio, $target, $line) = @_;
	my $text = '';

	if ($target)
	{
		my $ok = $ratio <= $target->{at_most};
		my $never = $target->{never} // $target->{at_most};
		$text = sprintf '   target at most %s%s: %s', $target->{at_most},
		  $target->{never} ? ", never above $never" : '', $ok ? 'met' : $ratio <= $never ? 'above' : 'MISSED';
		$met++ if $ok;
		push @missed, sprintf '%-14s %.3f, %s, target at most %s', $number->{name}, $ratio, $against, $target->{at_most}
		  unless $ok;
	}
	printf "%s %9.3f%s\n", $line, $ratio, $text;
	return;
}

sub print_number
{
	my ($number, $times) = @_;
	my %target = map { $_->{over} => $_ } @{ $number->{targets} };
	my ($own, @others) = map { $_->{who} } @{ $number->{contestants} };

	for my $who ($own, @others)
	{
		my @sorted = sort { $a <=> $b } @{ $times->{$who} };
		printf "   %-48s %12s  (%s to %s)\n", $title{$who}, map { Bench::Report::duration($_) }
		  Bench::Measure::median(@sorted), @sorted[ 0, -1 ];
	}
	for my $who (@others)
	{
		my @ratios = sort { $a <=> $b }
		  map { $times->{$own}[$_] / $times->{$who}[$_] } 0 .. $reps - 1;
		my $spread = sprintf ' (%.3f to %.3f)', @ratios[ int($#ratios / 4), int($#ratios * 3 / 4 + 0.5) ];
		verdict($number, $title{$who}, Bench::Measure::median(@ratios), $target{$who},
			sprintf('   %-64s', "plinth / $title{$who}$spread"));
	}
	return;
}

sub print_conditions
{
	my @settings = qw(shared_buffers fsync full_page_writes autovacuum jit max_parallel_workers_per_gather);

	print $admin->value('SELECT version()'), "\n";
	print join(', ', map { "$_ = " . $admin->value("SHOW $_") } @settings), "\n";
	chomp(my $processors = `nproc`);
	print <<"END";
$processors processors. $reps pairs: in each repetition every contestant runs once, and the order rotates. Ratios are medians
of those of the pairs, with the middle half of them in brackets; times are medians (fastest to slowest). Compare them within
this run only. Everything runs as a role that owns nothing. Each write has a fresh, prewarmed copy of its database, in a
session that has done one such write before. Searches: $people rows, pgbench -M prepared, runs of $seconds s.
END
	return;
}

$| = 1;
for my $only (@only)
{
	die "no such number: $only; there are: @{[ map { $_->{name} } @numbers ]}\n"
	  unless grep { $_->{name} eq $only } @numbers;
}
$admin->run('CREATE ROLE app LOGIN');
print_conditions();
for my $number (@numbers)
{
	next if @only && !grep { $_ eq $number->{name} } @only;
	print "\n== $number->{name}: $number->{title}\n";
	if ($number->{how} eq 'instructions') { count_instructions($number); }
	else { print_number($number, measure($number)); }
}
printf "\n== Targets: %d met, %d missed\n", $met, scalar @missed;
print "   $_\n" for @missed;
