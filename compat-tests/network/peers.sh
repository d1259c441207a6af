# compat: timeout=120
# Pings from the machine; a router that says a packet was too large; peers that vanish while they are written to or read from: the
# time-outs that the program has set end the connections, and their memory comes back.
. "$HERE/lib.sh"
tap 10.9.6.1/24 fd09:6::1/64
start python3 --tap tap0 --ip 10.9.6.2/24 --ip fd09:6::2/64 --metrics 9106 --add "$HERE/peers.py:peers.py" -- peers.py 10.9.6.1 fd09:6::1
await_text ready
grep -q '^pings answered' machine-0
free() { curl -sf -m 5 http://127.0.0.1:9106/metrics | sed -n 's/^skiff_memory_free_bytes //p'; }
python3 - <<'END'
import socket, struct, time

def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

s = socket.create_connection(("10.9.6.2", 7002), timeout=10)
asked = []
def ask(count):
    s.sendall(b"%16d" % count)
    while count > 0:
        piece = s.recv(count)
        assert piece, "closed"
        count -= len(piece)
    # What it says of the size of segments comes after the bytes.
    asked.append(count)
    while open("machine-0").read().count("segments:") < len(asked):
        time.sleep(0.05)
ask(100_000)
# Destination unreachable, fragmentation needed (RFC 1191): with the head of one of the machine's packets.
(guest, gport), (here, port) = s.getpeername(), s.getsockname()
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1500, 1, 0x4000, 64, 6, 0, socket.inet_aton(guest), socket.inet_aton(here))
message = struct.pack("!BBHHH", 3, 4, 0, 0, 1000) + head + struct.pack("!HHI", gport, port, 0)
message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
raw.sendto(message, (guest, 0))
ask(300_000)
# For somebody else's connection, or less than any path must bear: no narrower than 552 bytes (ip(7), min_pmtu).
message = struct.pack("!BBHHH", 3, 4, 0, 0, 68) + head + struct.pack("!HHI", gport, port, 0)
message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
raw.sendto(message, (guest, 0))
ask(100_000)
END
[ "$(grep '^segments' machine-0 | tr '\n' ' ')" = "segments: 1460 segments: 960 segments: 512 " ]
before=$(free)
# Ten that read nothing of what is written to them, ten that say nothing; then the wire is cut.
python3 - <<'END' &
import socket, subprocess, time
held = [socket.create_connection(("10.9.6.2", 7000 + n % 2), timeout=10) for n in range(20)]
time.sleep(1)
subprocess.run(["ip", "link", "set", "tap0", "down"], check=True)
time.sleep(100)
END
held=$!
until [ "$(grep -c '^writer: ETIMEDOUT' machine-0)" = 10 ] && [ "$(grep -c '^reader: ETIMEDOUT' machine-0)" = 10 ]; do
  kill -0 "${machines[0]}"
  sleep 0.2
done
! grep -E '^(writer|reader): ' machine-0 | grep -v ETIMEDOUT
kill $held
# What the program itself keeps is its own: less than 8 MiB for twenty threads that have ended.
[ $((before - $(free))) -lt 8388608 ]
ip link set tap0 up
ip addr add fd09:6::1/64 dev tap0 nodad 2>/dev/null || true
python3 - <<'END'
import socket
s = socket.create_connection(("10.9.6.2", 7002), timeout=10)
s.sendall(b"%16d" % 1000)
assert s.recv(1000)
END
