"""Servers and clients of the standard library, over the loopback interface."""
import asyncio
import http.server
import os
import selectors
import socket
import ssl
import tempfile
import threading
import urllib.request

# http.server and urllib, a large answer included.
BODY = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[::-1])

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = "http://127.0.0.1:%d/" % server.server_port
with urllib.request.urlopen(url) as answer:
    assert answer.status == 200 and answer.read() == BODY
with urllib.request.urlopen(url, data=b"abc" * 100000) as answer:
    assert answer.status == 201 and answer.read() == b"cba" * 100000
server.shutdown()
server.server_close()
try:
    urllib.request.urlopen(url)
    assert False
except OSError as error:
    print("closed:", error)
print("http")


# asyncio: a hundred connections at once, over IPv4 and AF_UNIX.
async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def client(open_connection, number):
    reader, writer = await open_connection()
    text = (b"%d," % number) * 2000
    writer.write(text)
    writer.write_eof()
    assert await reader.read(-1) == text
    writer.close()
    await writer.wait_closed()


async def many():
    tcp = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    await asyncio.gather(*(client(lambda: asyncio.open_connection("127.0.0.1", port), n) for n in range(100)))
    tcp.close()
    path = os.path.join(tempfile.mkdtemp(dir="."), "socket")
    unix = await asyncio.start_unix_server(echo, path)
    await asyncio.gather(*(client(lambda: asyncio.open_unix_connection(path), n) for n in range(20)))
    unix.close()
    os.unlink(path)
    os.rmdir(os.path.dirname(path))


asyncio.run(many())
print("asyncio")

# UDP, IPv6, time-outs, files over AF_UNIX.
a = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
a.bind(("::1", 0))
b = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
b.sendto(b"six", a.getsockname())
data, sender = a.recvfrom(10)
assert data == b"six" and sender[0] == "::1"
a.settimeout(0.05)
try:
    a.recv(1)
    assert False
except TimeoutError:
    pass
left, right = socket.socketpair()
with tempfile.TemporaryFile() as file:
    file.write(b"travels")
    file.flush()
    socket.send_fds(left, [b"x"], [file.fileno()])
message, fds, flags, _ = socket.recv_fds(right, 10, 1)
assert os.pread(fds[0], 10, 0) == b"travels"
chooser = selectors.EpollSelector()
chooser.register(right, selectors.EVENT_READ | selectors.EVENT_WRITE)
assert chooser.select(0)[0][1] == selectors.EVENT_WRITE
print("sockets")

# TLS on both ends.
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("test-certificate.pem")
trust = ssl.create_default_context(cafile="test-certificate.pem")
trust.check_hostname = False
listener = socket.create_server(("127.0.0.1", 0))


def serve():
    raw, _ = listener.accept()
    with context.wrap_socket(raw, server_side=True) as secure:
        secure.sendall(secure.recv(100).upper() * 50000)


thread = threading.Thread(target=serve)
thread.start()
with trust.wrap_socket(socket.create_connection(listener.getsockname())) as secure:
    secure.sendall(b"secret")
    received = b""
    while piece := secure.recv(65536):
        received += piece
thread.join()
assert received == b"SECRET" * 50000
print("ssl")
