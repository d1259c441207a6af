# A master with two workers: reloaded and replaced by a new binary while clients ask. No request is lost.
dir=$(mktemp -d)
chmod 755 "$dir"
mkdir -p "$dir/logs" "$dir/html" "$dir/body"
echo first > "$dir/html/index.html"
cat > "$dir/nginx.conf" <<END
user www-data;
worker_processes 2;
pid $dir/nginx.pid;
error_log $dir/logs/error.log notice;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
    server { listen 127.0.0.1:24397; root $dir/html; }
}
END
get() { exec 3<> /dev/tcp/127.0.0.1/24397 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && tail -1 <&3; exec 3>&-; }
load() { for i in $(seq 40); do get || echo lost; done | sort | uniq -c | tr -s ' ' > "$dir/load"; }
/usr/sbin/nginx -e "$dir/logs/error.log" -c "$dir/nginx.conf" 2> "$dir/messages" || cat "$dir/messages"
until [ -s "$dir/nginx.pid" ]; do sleep 0.1; done
get
load & client=$!
kill -HUP "$(cat "$dir/nginx.pid")"
wait $client
cat "$dir/load"
until [ "$(grep -c 'exited with code 0' "$dir/logs/error.log")" = 2 ]; do sleep 0.1; done
echo "old workers ended"
old=$(cat "$dir/nginx.pid")
kill -USR2 "$old"
until [ -s "$dir/nginx.pid.oldbin" ] && [ -s "$dir/nginx.pid" ] && [ "$(cat "$dir/nginx.pid")" != "$old" ]; do sleep 0.1; done
load & client=$!
kill -QUIT "$old"
wait $client
cat "$dir/load"
while kill -0 "$old" 2>/dev/null; do sleep 0.1; done
echo "old master ended"
ls -l "/proc/$(cat "$dir/nginx.pid")/exe" | grep -c nginx
grep -l '^Name:.*nginx' /proc/[0-9]*/status | while read -r f; do grep '^Uid' "$f" | cut -f2; done | sort | uniq -c | tr -s ' '
kill "$(cat "$dir/nginx.pid")"
while [ -e "$dir/nginx.pid" ]; do sleep 0.1; done
echo "ended"
rm -r "$dir"
