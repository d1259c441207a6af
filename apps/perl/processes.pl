use strict;
use warnings;
use POSIX ":sys_wait_h";
$| = 1;
my $pid = fork() // die;
exit 7 if $pid == 0;
waitpid $pid, 0;
print "fork ", $? >> 8, "\n";
print "system ", system("exit 3;") >> 8, " ", system($^X, "-e", "exit 4") >> 8, "\n";
print "backquotes ", `echo hello | tr a-z A-Z`;
open my $from, "-|", "echo piped; exit 5" or die;
print "read ", <$from>;
close $from;
print "status ", $? >> 8, "\n";
open my $to, "|-", "cat" or die;
print $to "written\n";
close $to;
pipe my $reader, my $writer or die;
for my $n (1 .. 5) {
    next if fork;
    close $reader;
    print $writer $n * $n, "\n";
    exit 0;
}
close $writer;
print "squares ", join(" ", sort { $a <=> $b } map { chomp; $_ } <$reader>), "\n";
1 while wait() > 0;
local $SIG{CHLD} = sub { 1 while waitpid(-1, WNOHANG) > 0; print "child\n" };
unless (fork) { exit 0 }
select undef, undef, undef, 2;
$SIG{CHLD} = "DEFAULT";
my $victim = fork() // die;
unless ($victim) { sleep 100; exit 0 }
kill TERM => $victim;
waitpid $victim, 0;
print "killed ", $? & 127, "\n";
my $line = open(my $self, "-|") // die;
if ($line == 0) { print "from myself\n"; exit 0 }
print <$self>;
close $self;
exec $^X, "-e", 'print "executed\n"; exit 11';
