# A cluster made, used by eight clients at once, stopped and started again: the data is the same. Arguments are pgbench's
# measure of how long; -T 30 for half a minute.
set -e
long=${*:--t 20}
bin=/usr/lib/postgresql/15/bin
dir=$(mktemp -d)
chown 65534:65534 $dir
as() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp PATH=$bin:/usr/bin:/bin "$@"; }
as initdb -D $dir/data -A trust -U postgres --locale=C -E UTF8 --no-sync > $dir/log 2>&1 || cat $dir/log
echo "initdb done"
as pg_ctl -D $dir/data -w -t 60 -l $dir/data/log -o "-p 24399 -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off" start > /dev/null || cat $dir/data/log
sql() { as psql -X -q -A -t -h 127.0.0.1 -p 24399 -U postgres -c "$1"; }
sql "create table t(id int primary key, x text)"
sql "insert into t select n, md5(n::text) from generate_series(1, 2000) n"
sql "select count(*), sum(length(x)) from t"
as pgbench -h 127.0.0.1 -p 24399 -U postgres -i -s 1 -q postgres > /dev/null 2>&1
as pgbench -h 127.0.0.1 -p 24399 -U postgres -c 8 -j 2 $long postgres 2>/dev/null | grep -E "actually processed|failed"
sql "select count(*) from pgbench_history"
sql "select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)"
as pg_ctl -D $dir/data -w -m fast stop > /dev/null
as pg_ctl -D $dir/data -w -t 60 -l $dir/data/log2 -o "-p 24399 -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off" start > /dev/null
sql "select count(*), sum(length(x)) from t"
sql "select count(*) from pgbench_history"
as pg_ctl -D $dir/data -w -m immediate stop > /dev/null
rm -r $dir
