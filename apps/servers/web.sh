# lighttpd runs programs (CGI), haproxy's worker passes requests on to it, PHP serves by itself.
dir=$(mktemp -d)
chmod 755 "$dir"
cat > "$dir/hello.sh" <<'END'
printf 'Content-Type: text/plain\r\n\r\n'
echo "cgi $REQUEST_METHOD $QUERY_STRING"
END
cat > "$dir/lighttpd.conf" <<END
server.modules = ("mod_cgi")
server.document-root = "$dir"
server.bind = "127.0.0.1"
server.port = 24396
server.errorlog = "$dir/lighttpd.log"
cgi.assign = (".sh" => "/bin/bash")
END
cat > "$dir/haproxy.cfg" <<END
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
listen web
    bind 127.0.0.1:24395
    server one 127.0.0.1:24396
END
echo '<?php echo "php ", PHP_MAJOR_VERSION, " ", shell_exec("echo shell");' > "$dir/index.php"
get() { exec 3<> "/dev/tcp/127.0.0.1/$1" && printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3 && tail -1 <&3; exec 3>&-; }
ready() { until (exec 3<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null; do sleep 0.1; done; }
/usr/sbin/lighttpd -D -f "$dir/lighttpd.conf" & one=$!
ready 24396
get 24396 '/hello.sh?a=1'
for i in 1 2 3 4 5 6; do get 24396 "/hello.sh?$i" & done | sort; wait %2 %3 %4 %5 %6 %7 2>/dev/null
/usr/sbin/haproxy -W -f "$dir/haproxy.cfg" 2> "$dir/haproxy.log" & two=$!
ready 24395
get 24395 '/hello.sh?through'
php8.2 -S 127.0.0.1:24394 -t "$dir" 2> "$dir/php.log" & three=$!
ready 24394
get 24394 /
kill -TERM $one; wait $one
kill -TERM $two; wait $two; echo "haproxy $?"
kill -INT $three; wait $three; echo "php $?"
rm -r "$dir"
