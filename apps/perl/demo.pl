# Hashes, regular expressions, sorting, files, core modules: each line of output is compared with Linux's own.
use strict;
use warnings;
use File::Temp qw(tempfile);
use List::Util qw(sum max reduce);
use POSIX qw(floor strftime);
use Data::Dumper;

my %count;
$count{$_}++ for split /\W+/, lc "It was the best of times, it was the worst of times";
print "$_=$count{$_}\n" for sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;

(my $text = "2024-02-29") =~ s/(\d+)-(\d+)-(\d+)/$3.$2.$1/;
print "$text ", join("|", "a1b22c333" =~ /(\d+)/g), "\n";
print sum(1 .. 100), " ", max(3, 9, 2), " ", (reduce { $a * $b } 1 .. 10), " ", floor(-2.5), "\n";
print strftime("%Y-%m-%d", gmtime(0)), "\n";

my ($fh, $name) = tempfile(UNLINK => 1);
print $fh "line $_\n" for 1 .. 500;
close $fh;
open my $in, '<', $name or die $!;
my @lines = <$in>;
close $in;
print scalar(@lines), " ", $lines[-1];
print -s $name, "\n";

local $Data::Dumper::Sortkeys = 1;
local $Data::Dumper::Indent = 1;
print Dumper({ list => [1, 2, { x => undef }], s => "q'uote" });
eval { die { code => 42 } };
print "caught $@->{code}\n";
local $SIG{ALRM} = sub { print "alarm\n" };
alarm 1;
select undef, undef, undef, 3;
printf "%.10f %e %s\n", atan2(1, 1) * 4, 1 / 3, 1e21;
exit 5;
