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

section "jobs by name"
sleep 5 & first=$!; sleep 5 & jobs -r | wc -l
kill %%; wait %% 2>/dev/null; echo "the current job: $?"
disown $first && jobs -r | wc -l; kill %sleep 2>/dev/null || echo "no such job"; kill $first
(sleep 0.02; exit 6) & first=$!; sleep 5 & second=$!
wait -n -p which $first $second; echo "wait -n -p: $?, the first: $((which == first))"; kill $second; wait
wait 99999 2>/dev/null; echo "not a child: $?"
sleep 0.02 & pid=$!; wait $pid; wait $pid; echo "waited for twice: $?"
(trap 'exit 12' TERM; echo ready; while :; do sleep 0.01; done) > ready & pid=$!
until [ -s ready ]; do sleep 0.01; done; kill $pid; wait $pid; echo "caught TERM: $?"
set -m; (sleep 5; echo never) & kill -TERM -- -$!; wait $! 2>/dev/null; echo "killed a group: $?"; set +m

section "more traps"
(trap 'echo "error $?"' ERR; false; (exit 3); if false; then :; fi; true)
(set -e; trap 'echo "left with $?"' EXIT; false; echo never); echo "set -e: $?"
(returning() { trap 'echo returned' RETURN; return 4; }; returning; echo "status $?")
(trap 'n=$((n + 1))' CHLD; n=0; for i in 1 2 3; do sleep 0.01 & wait $!; done; [ $n -ge 3 ] && echo "children were seen to end")
(trap 'echo "interrupted wait"' USR1; (sleep 0.02; kill -USR1 $BASHPID $PPID 2>/dev/null) & wait $!; echo "status over 128: $(($? > 128))")
(set +o pipefail; yes | head -1 > /dev/null; echo "writer of a closed pipe: ${PIPESTATUS[0]}")
(trap '' PIPE; yes 2>/dev/null | head -1 > /dev/null; echo "with SIGPIPE ignored: ${PIPESTATUS[0]}")
bash -c 'trap "echo first" EXIT; trap "echo second" EXIT; exec true'; echo "exec runs no exit trap: $?"
bash -c 'trap - INT; kill -INT $$' ; echo "by SIGINT: $?"
trap 'echo hup' HUP; trap -p HUP; kill -HUP $$; trap - HUP
kill -l 15 9; kill -0 $$ && echo "alive"

section "descriptors"
exec {fd}> numbered; echo "to a descriptor of its own" >&$fd; exec {fd}>&-; cat numbered
exec 7<> both; echo written >&7; read -r -u 7 line || echo "at the end"; exec 7>&-; cat both
echo swapped 3>&1 1>&2 2>&3 2>/dev/null | wc -l
{ echo out; echo err >&2; } > >(sed 's/^/o:/' > o) 2> >(sed 's/^/e:/' > e); while [ ! -s o ] || [ ! -s e ]; do sleep 0.01; done; cat o e
read -r -t 0.02 line < <(sleep 1); echo "time is over: $(($? > 128))"
read -r -d ';' -a words <<< "some words; not these"; echo "${#words[@]}: ${words[*]}"
read -r -n 3 line <<< "letters"; echo "$line"
while read -r -u 4 one && read -r -u 5 two; do echo "$one$two"; done 4< <(seq 3) 5< <(printf '%s\n' a b c)
echo through /dev/fd | cat /dev/fd/0; cat /dev/stdin <<< "and /dev/stdin"
set -o noclobber; echo again 2>/dev/null > out.txt; echo "noclobber $?"; echo forced >| copy.txt; set +o noclobber; cat copy.txt
mapfile -t lines < <(seq 5); echo "${lines[@]:1:3}"
printf '%s\n' {1..3}{a,b} > >(paste -sd ' ' - > pasted); while [ ! -s pasted ]; do sleep 0.01; done; cat pasted

section "the shell's own"
declare -A ages=([ann]=30 [bob]=25); for who in $(printf '%s\n' "${!ages[@]}" | sort); do echo "$who ${ages[$who]}"; done
path=/usr/lib/file.tar.gz; echo "${path##*/} ${path%%.*} ${path/lib/share} ${path: -2} ${#path} ${path^^}"
[[ 2026-01-31 =~ ^([0-9]+)-([0-9]+) ]] && echo "year ${BASH_REMATCH[1]} month ${BASH_REMATCH[2]}"
case abc in a*) echo begins ;;& *c) echo ends ;& none) echo falls through ;; esac
while getopts "ab:" option -a -b value; do echo "$option ${OPTARG-}"; done
shopt -s extglob nullglob
(touch x1 x2 y1; echo !(y*|[^x]*) no-*-match); shopt -u extglob nullglob
printf -v padded '%05d|%-4s|%x' 42 ab 255; echo "$padded"; printf '%q\n' "it's"
echo $((0x1f | 3 << 4)) $((7 % -4)) $((1 ? 2 : 3)) $((RANDOM < 32768))
echo 'sourced=$1; return 3' > lib.sh; . ./lib.sh value; echo "source: $? $sourced"
command -v cd true; type -t section; hash -r; (exec -a other bash -c 'echo $0')
pushd / > /dev/null; pwd; popd > /dev/null; [ "$PWD" = "$dir" ] && echo "back again"
bash -c 'f() { f; }; ulimit -s 256; (FUNCNEST=50 f) 2>/dev/null; echo "bounded recursion"'
bash -c 'echo "$0 $# $*"; shift 2; echo "$1 ${@: -1}"' zero one two three four
eval "$(declare -f count | sed 's/^count/counted/')"; seq 6 | counted

section "select parts of text"
mawk 'BEGIN { while (("echo a; echo b" | getline line) > 0) print "awk got " line }'
mawk 'BEGIN { print "to sort" | "sort"; close("sort"); print system("exit 3") }'
sed 's/e/E/;q' out.txt
cut -d: -f1 /etc/passwd | head -1
diff <(seq 3) <(seq 4); echo "diff $?"
cd / && rm -r "$dir" && [ ! -e "$dir" ] && echo "clean"
trap 'echo "exit trap, status $?"' EXIT
exit 17
