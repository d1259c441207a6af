# compat: timeout=150
# nginx: a file of 100 MiB arrives whole; 1,000 connections at once; load leaves memory where it was, and its system calls are
# direct. LOAD_SECONDS=30 for longer.
. "$HERE/lib.sh"
tap 10.9.7.1/24
head -c 104857600 /dev/urandom > big.bin
cat > nginx.conf <<'END'
user root;
worker_processes 1;
worker_rlimit_nofile 4096;
events { worker_connections 3000; }
http {
  access_log off;
  keepalive_timeout 300;
  server { listen 80 backlog=2048; root /srv; }
}
END
start nginx --memory 512M --tap tap0 --ip 10.9.7.2/24 --metrics 9107 --add big.bin:/srv/big.bin \
  --add /usr/share/nginx/html/index.html:/srv/index.html --add nginx.conf:/etc/nginx/nginx.conf
url=http://10.9.7.2
await "$url/"
free() { curl -sf -m 5 http://127.0.0.1:9107/metrics | sed -n 's/^skiff_memory_free_bytes //p'; }
[ "$(curl -sf -m 100 "$url/big.bin" | sha256sum)" = "$(sha256sum < big.bin)" ]
python3 - <<'END'
import resource, select, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
for _ in range(1000):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("10.9.7.2", 80))
    held.append(s)
# All are open; each is asked twice, and stays open.
for _ in range(2):
    for s in held:
        s.setblocking(True)
        s.settimeout(60)
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for s in held:
        answer = b""
        while b"</html>" not in answer:
            piece = s.recv(65536)
            assert piece, "closed"
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
END
load() {
  for mode in keep-alive close; do
    wrk -t 1 -c 30 -d "$1" --timeout 10 -H "Connection: $mode" "$url/" > wrk
    ! grep -E 'Socket errors|Non-2xx' wrk
  done
}
load 1
# So many that all who may wait in TIME_WAIT do so (a connection for every 256 KiB of memory).
ended=0
until [ "$ended" -gt 3000 ]; do
  load 1
  ended=$((ended + $(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' wrk)))
done
before=$(free)
[ "$before" -gt 0 ]
load $(((${LOAD_SECONDS:-6} + 1) / 2))
after=$(free)
echo "free before: $before, after: $after"
# Less than a MiB, of some 30,000 requests and more; for half a minute the heap still takes some for its caches, and then none.
[ "$after" -gt 0 ]
[ $((before - after)) -lt 1048576 ]
calls() { curl -sf -m 5 http://127.0.0.1:9107/metrics | awk -v way="way=\"$1\"" '/^skiff_syscalls_total/ && index($0, way) { n += $NF } END { print n + 0 }'; }
direct=$(calls direct) trapped=$(calls trap)
echo "calls: $direct direct, $trapped trapped"
# 99 of 100 at least.
[ "$direct" -gt 10000 ]
[ $((trapped * 99)) -le "$direct" ]
