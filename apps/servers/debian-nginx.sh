# nginx as Debian configures it, its files as the package left them: a master, a worker for each CPU, reload and a new binary
# while clients ask. Not a request may be lost. (Natively this would be the host's own web server.)
fail() { echo "FAILED: $*"; cat /var/log/nginx/error.log; exit 1; }
count() { pgrep -u "$1" nginx | wc -l; }
workers() { [ "$(count www-data)" = "$1" ] && [ "$(count root)" = "${2:-1}" ]; }
settle() { for i in $(seq 150); do "$@" && return; sleep 0.2; done; fail "$*"; }
cpus=$(nproc)
nginx -t 2>&1 || fail "configuration"
# nginx heeds USR2 only after its parent has gone, by which it knows that it is not itself the new binary.
(/usr/sbin/nginx -g 'daemon off;' & sleep 1)
settle workers "$cpus"
master=$(cat /run/nginx.pid)
# A request is lost if it has no answer after 5 s: a crowded host may hold one up for longer than wrk's own 2 s.
load() { wrk -t 1 -c 4 -d "$1" --timeout 5s -H 'Connection: close' http://127.0.0.1/ > /tmp/load; }
lossless() {
  grep -q 'Socket errors\|Non-2xx' /tmp/load && { cat /tmp/load; fail "$1"; }
  [ "$(sed -n 's/ *\([0-9]*\) requests in.*/\1/p' /tmp/load)" -gt 20 ] || { cat /tmp/load; fail "$1: hardly a request"; }
  echo "$1: no request lost"
}
load 8 & client=$!
for i in 1 2 3 4; do sleep 0.8; kill -HUP $master; done
wait $client
lossless "reload"
settle workers "$cpus"
load 9 & client=$!
sleep 1
kill -USR2 $master
settle test -s /run/nginx.pid.oldbin
settle test -s /run/nginx.pid
new=$(cat /run/nginx.pid)
settle workers "$((2 * cpus))" 2
kill -QUIT $master
wait $client
lossless "new binary"
while kill -0 $master 2>/dev/null; do sleep 0.1; done
[ "$new" != $master ] && settle workers "$cpus"
# Workers are nobody's friends: what root alone may read is a 403, by the very permissions.
echo secret > /var/www/html/secret.html; chmod 600 /var/www/html/secret.html
get() { exec 3<> "/dev/tcp/127.0.0.1/80" && printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3 && head -1 <&3; exec 3>&-; }
case $(get /secret.html) in *403*) echo "root's file: 403" ;; *) fail "root's file was served" ;; esac
case $(get /) in *200*) ;; *) fail "index" ;; esac
[ "$(wc -l < /var/log/nginx/access.log)" -gt 40 ] || fail "access log"
kill -QUIT "$new"
settle workers 0 0
