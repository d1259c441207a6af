"""Servers for clients outside: http.server, an asyncio echo, ssl; and a client of servers outside (urllib, ssl)."""
import asyncio
import hashlib
import http.server
import socket
import socketserver
import ssl
import threading
import urllib.parse
import urllib.request


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        where = urllib.parse.urlparse(self.path)
        if where.path == "/meminfo":
            self.answer(open("/proc/meminfo", "rb").read())
        elif where.path == "/fetch":
            url = urllib.parse.parse_qs(where.query)["url"][0]
            self.answer(urllib.request.urlopen(url, timeout=20).read())
        elif where.path == "/fetch-ssl":
            port, name = urllib.parse.parse_qs(where.query)["port"][0], urllib.parse.parse_qs(where.query)["name"][0]
            self.answer(fetch_ssl(int(port), name))
        else:
            super().do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())


def fetch_ssl(port, name):
    context = ssl.create_default_context(cafile="test-certificate.pem")
    with socket.create_connection(("10.0.2.2", port), timeout=20) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name) as s:
                s.sendall(b"GET /body HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: s.recv(65536), b""))
                return answer.split(b"\r\n\r\n", 1)[1]
        except ssl.SSLCertVerificationError as e:
            return b"refused: " + e.reason.encode()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve_echo():
    server = await asyncio.start_server(echo, "0.0.0.0", 8001, backlog=2000)
    await server.serve_forever()


def in_thread(what, *arguments):
    threading.Thread(target=what, args=arguments, daemon=True).start()


secure = Server(("0.0.0.0", 8002), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("test-certificate.pem")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
in_thread(Server(("0.0.0.0", 8000), Handler).serve_forever)
in_thread(secure.serve_forever)
asyncio.run(serve_echo())
