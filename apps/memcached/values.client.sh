# compat: publish=11211 timeout=60
# Values set and read over many connections.
python3 - "$PORT" <<'END'
import socket, sys, time

port = int(sys.argv[1])

class Client:
    def __init__(self):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.f = self.s.makefile("rb")

    def ask(self, line, data=None):
        self.s.sendall(line + b"\r\n" + (data + b"\r\n" if data is not None else b""))
        return self.f.readline()

    def get(self, key):
        first = self.ask(b"get " + key).split()
        if first == [b"END"]:
            return None
        value = self.f.read(int(first[3]) + 2)[:-2]
        assert self.f.readline() == b"END\r\n"
        return value

while True:
    try:
        client = Client()
        if client.ask(b"version").startswith(b"VERSION"):
            break
    except OSError:
        pass
    time.sleep(0.2)
clients = [client] + [Client() for _ in range(99)]
for n, c in enumerate(clients):
    value = bytes([n]) * (n * 500 + 1)
    assert c.ask(b"set k%d 0 0 %d" % (n, len(value)), value) == b"STORED\r\n"
for n, c in enumerate(reversed(clients)):
    assert c.get(b"k%d" % n) == bytes([n]) * (n * 500 + 1)
assert clients[3].ask(b"set n 0 0 1", b"5") == b"STORED\r\n"
for c in clients:
    c.ask(b"incr n 2")
assert clients[0].get(b"n") == b"205"
assert clients[0].get(b"nothing") is None
big = bytes(1000) * 1000
assert clients[0].ask(b"set big 0 0 %d" % len(big), big) == b"STORED\r\n" and clients[1].get(b"big") == big
END
