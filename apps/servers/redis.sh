# Snapshots and rewritten logs, made by children while the parent goes on serving, hold the same data.
dir=$(mktemp -d)
cd "$dir" || exit 1
redis-server --port 24398 --bind 127.0.0.1 --dir "$dir" --save "" --enable-debug-command yes --daemonize no --logfile "$dir/log" &
server=$!
cli() { redis-cli -p 24398 "$@"; }
until [ "$(cli ping 2>/dev/null)" = PONG ]; do sleep 0.1; done
settled() { until cli info persistence | tr -d '\r' | grep -q "$1"; do sleep 0.1; done; }
writes() { for i in $(seq 300); do echo "set $1:$i $i"; done | cli > /dev/null; }
cli debug populate 5000 key 100
cli bgsave > /dev/null
writes during
settled rdb_bgsave_in_progress:0
cli info persistence | tr -d '\r' | grep rdb_last_bgsave_status
before=$(cli debug digest)
cli debug reload
[ "$before" = "$(cli debug digest)" ] && echo "the same after a reload"
cli config set appendonly yes
settled aof_rewrite_in_progress:0
cli bgrewriteaof > /dev/null
writes rewritten
settled aof_rewrite_in_progress:0
cli info persistence | tr -d '\r' | grep aof_last_bgrewrite_status
before=$(cli debug digest)
cli debug loadaof
[ "$before" = "$(cli debug digest)" ] && echo "the same from the log"
cli dbsize
cli shutdown
wait $server; echo "status $?"
rm -r "$dir"
