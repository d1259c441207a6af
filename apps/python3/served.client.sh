# compat: publish=8000,8001,8002 args=served.py files=served.py,test-certificate.pem timeout=180
# http.server, asyncio, ssl as server and client, urllib to a server on the host.
url=http://127.0.0.1:$PORT
until curl -sf -m 10 -o /dev/null "$url/"; do sleep 0.5; done
curl -sf "$url/served.py" | cmp - "$HERE/served.py"
head -c 3000000 /dev/urandom > body
sum=$(sha256sum body | cut -d' ' -f1)
[ "$(curl -s --data-binary @body "$url")" = "$sum" ]
# ssl as a server; the certificate names localhost.
secure() { curl -sf --cacert "$HERE/test-certificate.pem" --resolve "localhost:$PORT3:127.0.0.1" "$@"; }
secure "https://localhost:$PORT3/served.py" | cmp - "$HERE/served.py"
[ "$(secure --data-binary @body "https://localhost:$PORT3/")" = "$sum" ]
! curl -sf "https://127.0.0.1:$PORT3/"
python3 - "$PORT2" "$PORT" "$HERE" <<'END'
import asyncio, functools, http.server, os, ssl, sys, threading, urllib.request

echo_port, port, here = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

async def one(n):
    reader, writer = await asyncio.open_connection("127.0.0.1", echo_port)
    data = bytes([n % 256]) * (1000 + n * 10)
    for _ in range(5):
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()

async def all():
    await asyncio.gather(*(one(n) for n in range(200)))

asyncio.run(asyncio.wait_for(all(), 100))

class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

def start(wrap):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=os.getcwd()))
    server.socket = wrap(server.socket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]

def fetch(url):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/fetch?url={url}", timeout=60).read()

body = open("body", "rb").read()
plain = start(lambda s: s)
assert fetch(f"http://10.0.2.2:{plain}/body") == body
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(here, "test-certificate.pem"))
secure = start(functools.partial(context.wrap_socket, server_side=True))
inside = f"http://127.0.0.1:{port}/fetch-ssl?port={secure}"
assert urllib.request.urlopen(inside + "&name=localhost", timeout=60).read() == body
# Trusted, but for somebody else.
assert urllib.request.urlopen(inside + "&name=example.com", timeout=60).read() == b"refused: CERTIFICATE_VERIFY_FAILED"
END
