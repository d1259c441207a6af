# A day in the life of a shell: what scripts do with processes. Output is the same on every run.
set -u
section() { echo "== $1"; }
dir=$(mktemp -d)
cd "$dir" || exit 1

section "pipes"
echo hello | cat
seq 1 100 | grep 7 | wc -l
printf '%s\n' pear apple fig | sort | head -2 | tr a-z A-Z
echo one two three | { read -r a b c; echo "$c $b $a"; }
false | true; echo "status ${PIPESTATUS[*]}"
set -o pipefail
false | true; echo "pipefail $?"
set +o pipefail
yes | head -3 | wc -l
seq 1 20000 | sed -n '$p'
cat <(echo process) <(echo substitution)
echo tee | tee copy.txt > /dev/null; cat copy.txt

section "here-documents"
name=world
cat <<END
hello $name
$((6 * 7))
END
cat <<'END'
not $expanded
END
cat <<-END
	tabs go
	END
cat <<< "a here-string"

section "redirection"
echo first > out.txt
echo second >> out.txt
cat < out.txt
ls /no/such/file 2> err.txt; echo "status $?"
wc -l < err.txt
{ echo to stdout; echo to stderr >&2; } 2>&1 | sort
exec 3> three.txt; echo three >&3; exec 3>&-; cat three.txt
echo closed 2>/dev/null >&9 || echo "no descriptor 9"

section "substitution"
echo "$(echo $(echo nested))"
files=$(ls | wc -l); echo "$files files"
echo "lines: $(wc -l < out.txt)"
value=$(exit 5); echo "status $?"
echo `echo backquotes`

section "background jobs"
(exit 3) & wait $!; echo "status $?"
for i in 1 2 3; do (exit $i) & done
wait; echo "all: $?"
sleep 0.05 & first=$!
sleep 5 & second=$!
wait -n $first $second; echo "wait -n: $?"
kill $second; wait $second 2>/dev/null; echo "killed: $?"
(sleep 0.02; exit 4) & first=$!; (sleep 5; exit 5) & last=$!
wait -n $first $last; echo "first to end: $?"
kill $last 2>/dev/null; wait 2>/dev/null
jobs | wc -l
total=0
for i in 1 2 3 4 5 6 7 8; do { echo $((i * i)) > part.$i; } & done
wait
for i in 1 2 3 4 5 6 7 8; do total=$((total + $(cat part.$i))); done
echo "sum $total"

section "traps and signals"
trap 'echo usr1' USR1
kill -USR1 $$
kill -USR1 $BASHPID
trap 'echo term' TERM
(sleep 0.02; kill -TERM $$) & wait; wait
trap - TERM USR1
(trap 'echo subshell ends' EXIT; true)
bash -c 'kill -9 $$'; echo "killed $?"
bash -c 'kill -SEGV $$' 2>/dev/null; echo "crashed $?"
(trap '' TERM; kill -TERM $BASHPID; echo survived)
bash -c 'trap "echo int; exit 7" INT; kill -INT $$'; echo "status $?"
sleep 5 & pid=$!; kill -STOP $pid; kill -CONT $pid; kill $pid; wait $pid 2>/dev/null; echo "status $?"

section "functions and recursion"
fib() { if [ "$1" -lt 2 ]; then echo "$1"; else echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); fi; }
echo "fib 7 = $(fib 7)"
count() { local n=0; while read -r _; do n=$((n + 1)); done; echo "$n"; }
seq 50 | count
last=none; seq 3 | while read -r x; do last=$x; done; echo "last in a pipe: $last"
shopt -s lastpipe; seq 3 | while read -r x; do last=$x; done; echo "with lastpipe: $last"

section "exec and scripts"
cat > child.sh <<'END'
#!/bin/bash
echo "child $1 of $#"
exit 9
END
./child.sh 2>/dev/null || echo "not executable: $?"
chmod +x child.sh
./child.sh a b; echo "status $?"
(exec ./child.sh x); echo "status $?"
nosuchcommand 2>/dev/null; echo "status $?"
printf 'echo plain text runs\n' > plain; chmod +x plain; ./plain
env -i A=1 /bin/bash -c 'echo "A=$A HOME=${HOME-unset}"'
export SHARED=yes; bash -c 'echo $SHARED'
echo 'echo $0 $1' | bash -s argument
nice -n 3 nice
time_out=$(timeout 0.1 sleep 5; echo $?); echo "timeout $time_out"
echo a b c | xargs -n 1 echo item
seq 4 | xargs -P 2 -I{} bash -c 'exit 0'; echo "xargs $?"
find . -name 'part.*' -exec cat {} + | sort -n | tail -1

section "coprocess and fifo"
coproc CAT { cat; }
echo through >&"${CAT[1]}"; read -r line <&"${CAT[0]}"; echo "$line"
eval "exec ${CAT[1]}>&-"; wait
mkfifo fifo
(echo from the fifo > fifo) & cat fifo; wait
{ sleep 0.02; echo late; } > fifo & read -r line < fifo; echo "$line"; wait

section "limits and ids"
(ulimit -n 20; ulimit -n)
(ulimit -c 0; ulimit -c)
(umask 077; touch private; ls -l private | cut -c1-10)
[ $$ -ne "$(bash -c 'echo $$')" ] && echo "other process"
[ "$(bash -c 'echo $PPID')" = $$ ] && echo "parent is known"
echo $BASH_SUBSHELL $(echo $BASH_SUBSHELL)
[ -d /proc/$$ ] && [ -d /proc/self/task ] && echo "in /proc"
tr '\0' ' ' < /proc/self/cmdline; echo

section "many children"
for ((i = 0; i < 60; i++)); do true & done; wait; echo "waited"
for ((i = 0; i < 40; i++)); do :; (exit 0) || echo bad; done; echo "forty subshells"
n=0; while IFS= read -r x; do n=$((n + x)); done < <(for i in $(seq 20); do echo $i; done); echo $n
printf '%s ' $(for i in 3 1 2; do echo $i; done | sort); echo
str=$(for i in $(seq 500); do printf x; done | md5sum | cut -d' ' -f1); echo "$str"

section "select parts of text"
mawk 'BEGIN { while (("echo a; echo b" | getline line) > 0) print "awk got " line }'
mawk 'BEGIN { print "to sort" | "sort"; close("sort"); print system("exit 3") }'
sed 's/e/E/;q' out.txt
cut -d: -f1 /etc/passwd | head -1
diff <(seq 3) <(seq 4); echo "diff $?"
cd / && rm -r "$dir" && [ ! -e "$dir" ] && echo "clean"
trap 'echo "exit trap, status $?"' EXIT
exit 17
