# Redis under load from its benchmark: nearly every system call of both must be direct.
dir=$(mktemp -d)
cd "$dir" || exit 1
redis-server --port 24396 --bind 127.0.0.1 --dir "$dir" --save "" --logfile "$dir/log" &
server=$!
until redis-cli -p 24396 ping > pong 2> /dev/null; do sleep 0.2; done
redis-benchmark -p 24396 -c 20 -n 15000 -t set,get --csv | cut -d, -f1
redis-cli -p 24396 shutdown
wait $server
echo "status $?"
rm -r "$dir"
