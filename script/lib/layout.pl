#!/usr/bin/perl
# Is a C file laid out as .clang-format says?  clang-format cannot do the
# columns of pgindent, nor leave the line breaks within a statement to the
# author as pgindent does.  So its output is compared with the file statement
# by statement: indentation, braces, empty lines and spacing count, what
# pgindent would leave alone does not.
#
#   layout.pl FILE...         prints what differs; exit status 1 if anything
#   layout.pl --fix FILE...   puts clang-format's text where it differs

use strict;
use warnings;
use File::Temp ();

my $fix = @ARGV && $ARGV[0] eq '--fix' ? shift @ARGV : '';
my $different = 0;

# The line's code alone: no comments, nothing inside quotes.
sub bare
{
	my ($line) = @_;
	$line =~ s{'(?:[^'\\]|\\.)*'}{''}g;
	$line =~ s{"(?:[^"\\]|\\.)*"}{""}g;
	$line =~ s{/\*.*?(?:\*/|$)}{}g;
	$line =~ s/\s+$//;
	return $line;
}

# One spelling for everything that may differ within a statement.
sub squeeze
{
	my ($text) = @_;
	$text =~ s/\s+/ /g;
	$text =~ s/([({]) /$1/g;
	$text =~ s/ ([)}])/$1/g;
	$text =~ s/,\.\.\./, .../g;    # as pgindent has it
	$text =~ s/ ->/->/g;
	return $text;
}

# Splits lines into [key, first, last]; equal keys mean equal layout.
sub units
{
	my @lines = @_;
	my (@units, $comment, $macro, $text, $code, $first);

	for my $n (0 .. $#lines)
	{
		my $line = $lines[$n];
		if ($comment)
		{
			push @units, [ squeeze($line), $n, $n ] unless defined $text;
			$text .= $line if defined $text;
			$comment = 0 if $line =~ m{\*/};
			next;
		}
		if ($macro || (!defined $text && $line =~ /^\s*#/))
		{
			$text .= $line;
			$first = $n unless $macro;
			$macro = $line =~ /\\$/;
			next if $macro;
			$text =~ s/[\s\\]+//g;
			push @units, [ "macro $text", $first, $n ];
			$text = undef;
			next;
		}
		$comment = 1 if $line =~ m{/\*(?!.*\*/)};
		if (!defined $text)
		{
			if ($line =~ m{^\s*(?:/\*.*)?$})
			{
				my ($indent) = $line =~ /^(\s*)/;
				push @units, [ ($line =~ /\S/ ? $indent : '') . squeeze($line), $n, $n ];
				next;
			}
			($text, $code, $first) = ('', '', $n);
		}
		$text .= $line;
		$code .= bare($line) . ' ';
		my $level = ($code =~ tr/(//) - ($code =~ tr/)//);
		my $initializer = $code =~ /[^=!<>]=[^=].*\{|[^=!<>]=\s*\{/ && $code !~ /;\s*$/;
		next unless $level == 0 && !$initializer;
		next unless $code =~ /[;{}]\s*$/
		  || $code =~ /^\s*(?:case\b.*|default\s*|\w+\s*):\s*$/
		  || $code =~ /^\s*(?:\}\s*)?(?:else\s+)?(?:if|for|while|switch|for\w*each\w*|foreach\w*)\s*\(.*\)\s*$/
		  || $code =~ /^\s*(?:else|do)\s*$/
		  || $code =~ /^[A-Za-z_](?:[\w\s*]*|.*\)\s*)$/;
		my ($indent) = $text =~ /^(\s*)/;
		push @units, [ $indent . squeeze($text), $first, $n ];
		$text = undef;
	}
	push @units, [ squeeze($text), $first, $#lines ] if defined $text;
	return @units;
}

sub key_file
{
	my $file = File::Temp->new;
	print {$file} map { "$_\n" } map { s/\n/ /gr } map { $_->[0] } @_;
	close $file;
	return $file;
}

for my $file (@ARGV)
{
	open my $in, '<', $file or die "$file: $!\n";
	my @mine = <$in>;
	close $in;
	my @theirs = `clang-format '$file'`;
	die "clang-format $file failed\n" if $?;
	my @a = units(@mine);
	my @b = units(@theirs);
	my ($old, $new) = (key_file(@a), key_file(@b));
	my @changes = `diff '$old' '$new'`;
	my @result = @mine;

	# From the end, so that line numbers before stay right.
	for (reverse grep { /^\d/ } @changes)
	{
		my ($a1, $a2, $op, $b1, $b2) = /^(\d+)(?:,(\d+))?([acd])(\d+)(?:,(\d+))?$/ or next;
		$a2 //= $a1;
		$b2 //= $b1;
		my $at = $op eq 'a' ? $a[ $a1 - 1 ][2] + 1 : $a[ $a1 - 1 ][1];
		my $count = $op eq 'a' ? 0 : $a[ $a2 - 1 ][2] + 1 - $at;
		my @text = $op eq 'd' ? () : @theirs[ $b[ $b1 - 1 ][1] .. $b[ $b2 - 1 ][2] ];
		splice @result, $at, $count, @text;
		$different = 1;
		next if $fix;
		print "$file:", $at + 1, ":\n", (map { "-$_" } @mine[ $at .. $at + $count - 1 ]), map { "+$_" } @text;
	}
	if ($fix && "@result" ne "@mine")
	{
		open my $out, '>', $file or die "$file: $!\n";
		print {$out} @result;
		close $out or die "$file: $!\n";
		print "laid out $file\n";
	}
}
exit($fix ? 0 : $different);
