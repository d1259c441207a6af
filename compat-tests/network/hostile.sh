# compat: timeout=150
# Malformed frames, floods and peers that misbehave: others are still served, and memory stays where it was.
. "$HERE/lib.sh"
tap 10.9.1.1/24
start python3 --tap tap0 --ip 10.9.1.2/24 --memory 256M --add "$APPS/python3/served.py:served.py" \
  --add "$APPS/python3/test-certificate.pem:test-certificate.pem" -- served.py
url=http://10.9.1.2:8000
await "$url/meminfo"
available() { curl -sf -m 10 "$url/meminfo" | awk '/^MemAvailable/ {print $2}'; }
for n in $(seq 20); do curl -sf -m 10 -o /dev/null "$url/served.py"; done
before=$(available)
python3 "$HERE/hostile.py" tap0 10.9.1.2 8000 & attack=$!
# Others are served meanwhile, if slowly.
served=0
while kill -0 $attack 2>/dev/null; do
  if curl -sf -m 20 "$url/served.py" | cmp -s - "$APPS/python3/served.py"; then served=$((served + 1)); fi
done
wait $attack
python3 - <<'END'
import socket, time
def connect():
    return socket.create_connection(("10.9.1.2", 8001), timeout=20)
# Peers that send and never read: an echo server stops taking, and holds no more than the buffers.
deaf = [connect() for _ in range(20)]
for s in deaf:
    s.setblocking(False)
    try:
        for _ in range(200):
            s.send(bytes(65536))
    except BlockingIOError:
        pass
# One byte at a time, and answers all the same.
slow = connect()
slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for n in range(300):
    slow.send(bytes([n % 256]))
got = b""
while len(got) < 300:
    got += slow.recv(1000)
assert got == bytes(n % 256 for n in range(300))
# Peers that leave without a word: with a reset.
for s in deaf:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    s.close()
END
curl -sf -m 20 "$url/served.py" | cmp - "$APPS/python3/served.py"
# Fragments and half-open connections are forgotten within half a minute; what is still held by then is bounded.
for n in $(seq 40); do
  after=$(available)
  [ "$after" -gt $((before - 8000)) ] && break
  sleep 1
done
echo "served $served times meanwhile; available before $before KiB, after $after KiB"
[ "$served" -gt 0 ] && [ "$after" -gt $((before - 8000)) ]
