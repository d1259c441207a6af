# A long script for the BusyBox shell: pipes, here-documents, background jobs, traps, substitution. Every command is an applet.
set -u
section() { echo "== $1"; }
dir=$(mktemp -d)
cd "$dir" || exit 1

section "pipes"
echo hello | cat
seq 1 100 | grep 7 | wc -l
printf '%s\n' pear apple fig | sort | head -n 2 | tr a-z A-Z
echo one two three | { read -r a b c; echo "$c $b $a"; }
false | true; echo "status $?"
true | false; echo "status $?"
set -o pipefail
false | true; echo "pipefail $?"
set +o pipefail
yes | head -n 3 | wc -l
seq 1 20000 | sed -n '$p'
echo tee | tee copy.txt > /dev/null; cat copy.txt
seq 10 | while read -r n; do [ $((n % 2)) = 0 ] && echo "$n"; done | tail -n 2
! false | false; echo "negated $?"

section "here-documents"
name=world
cat <<END
hello $name
$((6 * 7)) $(echo command)
END
cat <<'END'
not $expanded
END
cat <<-END
	tabs go
	END
tr a-z A-Z <<END | rev
through a pipe
END
cat <<ONE; cat <<TWO
first of two
ONE
second of two
TWO

section "redirection"
echo first > out.txt
echo second >> out.txt
cat < out.txt
ls /no/such/file 2> err.txt; echo "status $?"
wc -l < err.txt
{ echo to stdout; echo to stderr >&2; } 2>&1 | sort
exec 3> three.txt; echo three >&3; exec 3>&-; cat three.txt
(echo closed >&9) 2>/dev/null || echo "no descriptor 9"
exec 4< out.txt; read -r line <&4; echo "$line"; read -r line <&4; echo "$line"; exec 4<&-
: > empty.txt; [ -s empty.txt ] || echo "empty"
set -C; (echo again > out.txt) 2>/dev/null || echo "no clobber"; set +C
echo both > both.txt 2>&1; cat both.txt

section "substitution"
echo "$(echo $(echo nested))"
files=$(ls | wc -l); echo "$((files)) files"
echo "lines: $(wc -l < out.txt)"
value=$(exit 5); echo "status $? <$value>"
echo `echo backquotes`
path=/usr/lib/name.tar.gz
echo "${path##*/} ${path%/*} ${path%%.*} ${path#*.} ${#path}"
echo "${unset-default} ${unset:=assigned} $unset ${unset:+other}"
(unset none; : "${none?is missing}") 2>/dev/null; echo "status $?"
text="a b  c"; set -- $text; echo "$# $1 $3"
IFS=:; set -- a:b:c; set -- $1; echo "$#"; unset IFS
echo "$((1 << 10)) $((7 / 2)) $((7 % 3)) $((0x1f)) $((1 > 0 ? 5 : 6))"

section "background jobs"
(exit 3) & wait $!; echo "status $?"
for i in 1 2 3; do (exit $i) & done
wait; echo "all: $?"
sleep 5 & second=$!
kill $second; wait $second; echo "killed: $?"
(sleep 0.05; exit 4) & wait -n; echo "wait -n: $?"
sleep 0.05 & sleep 5 & last=$!; wait -n; echo "one of two"; kill $last; wait $last; echo "the other: $?"
total=0
for i in 1 2 3 4 5 6 7 8; do { echo $((i * i)) > part.$i; } & done
wait
for i in 1 2 3 4 5 6 7 8; do total=$((total + $(cat part.$i))); done
echo "sum $total"
wait 99999 2>/dev/null; echo "not mine: $?"
(sleep 0.05; echo later >> order.txt) & echo sooner >> order.txt; wait; cat order.txt
for i in $(seq 30); do true & done; wait; echo "thirty"

section "traps and signals"
trap 'echo usr1' USR1
kill -USR1 $$
trap 'echo term' TERM
(sleep 0.05; kill -TERM $$) & wait; wait
trap - TERM USR1
trap | wc -l
(trap 'echo subshell ends' EXIT; true)
(trap 'echo with status $?' EXIT; exit 6); echo "status $?"
sh -c 'kill -9 $$'; echo "killed $?"
sh -c 'kill -SEGV $$' 2>/dev/null; echo "crashed $?"
(trap '' TERM; sh -c 'kill -TERM $$; echo survived')
sh -c 'trap "echo int; exit 7" INT; kill -INT $$'; echo "status $?"
sleep 5 & pid=$!; kill -STOP $pid; kill -CONT $pid; kill $pid; wait $pid; echo "status $?"
sh -c 'trap "exit 8" HUP; (sleep 0.05; kill -HUP $$) & while :; do sleep 0.02; done'; echo "loop ended $?"

section "functions, loops and tests"
fib() { if [ "$1" -lt 2 ]; then echo "$1"; else echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); fi; }
echo "fib 6 = $(fib 6)"
count() { local n=0; while read -r _; do n=$((n + 1)); done; echo "$n"; }
seq 50 | count
last=none; seq 3 | while read -r x; do last=$x; done; echo "last in a pipe: $last"
for i in a b c; do [ $i = b ] && continue; echo $i; done
i=0; until [ $i -ge 3 ]; do i=$((i + 1)); [ $i = 2 ] && break; done; echo "broke at $i"
case $name in w*d) echo "matches" ;; *) echo "differs" ;; esac
[ -f out.txt ] && [ ! -d out.txt ] && [ -d . ] && echo "files known"
[ "$name" = world ] && [ 3 -gt 2 ] || echo never
r() { return 12; }; r; echo "returned $?"
eval 'x=5; echo $x'
set -- one "two words" three; for a in "$@"; do echo "<$a>"; done; shift 2; echo "$1 $#"
while getopts ab:c o -a -b value -x 2>/dev/null; do echo "option $o ${OPTARG-}"; done
alias=3; readonly alias; (alias=4) 2>/dev/null || echo "readonly"

section "exec and scripts"
cat > child.sh <<'END'
#!/bin/sh
echo "child $1 of $#"
exit 9
END
./child.sh 2>/dev/null || echo "not executable: $?"
chmod +x child.sh
sh child.sh a b; echo "status $?"
(exec sh child.sh x); echo "status $?"
nosuchcommand 2>/dev/null; echo "status $?"
env -i A=1 sh -c 'echo "A=$A HOME=${HOME-unset}"'
SHARED=yes; export SHARED; sh -c 'echo $SHARED'
ONCE=1 sh -c 'echo $ONCE'; echo "${ONCE-gone}"
echo 'echo $1' | sh -s argument
. ./child.sh here 2>/dev/null | head -n 1
timeout 0.1 sleep 5; echo "timeout $?"
echo a b c | xargs -n 1 echo item
find . -name 'part.*' -exec cat {} + | sort -n | tail -n 1
sh -c 'exec sh -c "exit 4"'; echo "exec $?"
setsid sh -c 'exit 5'; echo "setsid $?"

section "fifo and locks"
mkfifo fifo
(echo from the fifo > fifo) & cat fifo; wait
{ sleep 0.02; echo late; } > fifo & read -r line < fifo; echo "$line"; wait
echo one > fifo & { read -r line; echo "$line"; read -r line || echo "end of the fifo"; } < fifo; wait

section "many at once"
for i in $(seq 20); do (sleep 0.0$((i % 5)); echo $i >> numbers) & done; wait; sort -n numbers | tail -n 1
mkdir tree; for i in 1 2 3; do mkdir tree/$i; for j in 1 2 3; do echo "$i$j" > tree/$i/$j & done; done; wait
find tree -type f | wc -l
cat tree/*/* | sort | tr '\n' ' '; echo
find tree -type f | sort | xargs -n 3 cat | md5sum | cut -c1-8
grep -r -l 22 tree
rm -r tree
producer() { for i in $(seq 200); do echo $i; done; }
consumer() { local sum=0; while read -r n; do sum=$((sum + n)); done; echo "sum $sum"; }
producer | consumer
producer | sed 's/$/0/' | grep -v 1 | awk '{ s += $1 } END { print s }'
mkfifo a b; (sed 's/x/y/' < a > b) & (echo axc > a) & cat b; wait
{ { echo inner; echo error >&2; } 2>&1 >&3 | sed 's/^/via pipe: /'; } 3>&1 | sort
x=$( (echo out; exit 3) ); echo "$x $?"
f() { trap 'echo trap in function' USR2; kill -USR2 $$; trap - USR2; }; f
(cd / && pwd); [ "$PWD" = "$dir" ] && echo "still here"
if sh -n child.sh; then echo "syntax is good"; fi
echo 'if' > broken.sh; sh -n broken.sh 2> /dev/null || echo "syntax is bad"
sh -c 'exec 2>/dev/null; exec /no/such/program'; echo "exec failed: $?"
sh -c 'echo "$0 $#"' name 1 2 3
sh -e -c 'false; echo never'; echo "errexit: $?"
sh -u -c 'echo "$never"' 2> /dev/null; echo "nounset: $?"
(sleep 0.02; echo child) | cat & wait; echo "after the pipe"
i=0; while [ $i -lt 50 ]; do i=$((i + 1)); (exit $((i % 2))) && echo "$i" ; done | wc -l

section "limits and ids"
(ulimit -n 20; ulimit -n)
(ulimit -c 0; ulimit -c)
(umask 077; touch private; ls -l private | cut -c1-10)
[ $$ -ne "$(sh -c 'echo $$')" ] && echo "other process"
[ "$(sh -c 'echo $PPID')" = $$ ] && echo "parent is known"
[ -d /proc/$$ ] && [ -d /proc/self/task ] && echo "in /proc"
ln -s out.txt link && readlink link && [ -L link ] && echo "link"
chmod 640 out.txt && stat -c '%a %s' out.txt

section "text"
awk '{ a[$1] += $2 } END { for (k in a) print k, a[k] }' <<END | sort
x 1
y 2
x 3
END
sed 's/e/E/;q' out.txt
cut -c1-3 out.txt | head -n 1
printf '%s ' $(for i in 3 1 2; do echo $i; done | sort); echo
echo "$(for i in $(seq 200); do printf x; done | md5sum | cut -d' ' -f1)"
printf '%05.1f|%-5s|%x\n' 3.14159 ab 255
expr 6 \* 7; basename /a/b.c .c; dirname /a/b.c
seq 3 > one; seq 4 > two; cmp one two > /dev/null; echo "cmp $?"; diff one two > /dev/null; echo "diff $?"
tar -c -f all.tar out.txt three.txt && tar -t -f all.tar && gzip all.tar && gunzip -c all.tar.gz | wc -c
n=0; for i in $(seq 25); do n=$((n + $(echo $i))); done; echo $n
cd / && rm -r "$dir" && [ ! -e "$dir" ] && echo "clean"
trap 'echo "exit trap, status $?"' EXIT
exit 17
