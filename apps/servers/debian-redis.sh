# Redis as Debian's service starts it: its own configuration, in the background, as the user redis. Snapshots and log rewriting
# under load, and the same data after a reload and after a restart.
fail() { echo "FAILED: $*"; cat /var/log/redis/redis-server.log; exit 1; }
settled() { for i in $(seq 300); do redis-cli info persistence | tr -d '\r' | grep -q "$1" && return; sleep 0.1; done; fail "$1"; }
answers() { for i in $(seq 100); do [ "$(redis-cli ping 2>/dev/null)" = PONG ] && return; sleep 0.1; done; fail "no answer"; }
mkdir -p /run/redis /var/lib/redis /var/log/redis; chown redis:redis /run/redis /var/lib/redis /var/log/redis
start() { setpriv --reuid=redis --regid=redis --clear-groups redis-server /etc/redis/redis.conf --enable-debug-command local; answers; }
start
pid=$(cat /run/redis/redis-server.pid)
[ "$(stat -c %U /proc/$pid)" = redis ] || fail "user"
redis-cli debug populate 20000 key 200 > /dev/null
redis-cli config set save "1 10" > /dev/null
redis-benchmark -q -t set,incr,lpush -n 6000 -r 10000 -c 8 -P 4 > /dev/null & client=$!
redis-cli bgsave > /dev/null
settled rdb_bgsave_in_progress:0
redis-cli config set appendonly yes > /dev/null
settled aof_rewrite_in_progress:0
redis-cli bgrewriteaof > /dev/null
wait $client
settled aof_rewrite_in_progress:0
settled aof_last_bgrewrite_status:ok
settled rdb_bgsave_in_progress:0
settled rdb_last_bgsave_status:ok
[ "$(redis-cli info persistence | tr -d '\r' | sed -n 's/rdb_saves://p')" -ge 1 ] || fail "no snapshot"
before=$(redis-cli debug digest)
redis-cli debug reload > /dev/null
[ "$(redis-cli debug digest)" = "$before" ] && echo "the same after a reload" || fail reload
redis-cli debug loadaof > /dev/null
[ "$(redis-cli debug digest)" = "$before" ] && echo "the same from the log" || fail log
redis-cli config set appendonly no > /dev/null
redis-cli shutdown save
while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
start
[ "$(redis-cli debug digest)" = "$before" ] && echo "the same after a restart" || fail restart
redis-cli shutdown nosave
