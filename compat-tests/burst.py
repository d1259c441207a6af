"""Opens that many connections to an HTTP server at once, asks each for PATH, and fails unless every one is answered.

    burst.py ADDRESS PORT CONNECTIONS [PATH]
"""
import resource
import select
import socket
import sys

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
path = sys.argv[4] if len(sys.argv) > 4 else "/"
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, count + 64), most))
poll, waiting = select.poll(), {}
for _ in range(count):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setblocking(False)
    s.connect_ex((address, port))
    waiting[s.fileno()] = [s, b""]
    poll.register(s, select.POLLOUT)
while waiting:
    ready = poll.poll(20_000)
    if not ready:
        sys.exit(f"{len(waiting)} of {count} connections are still waiting")
    for fd, events in ready:
        s, answer = waiting[fd]
        if events & select.POLLOUT:
            error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                sys.exit(f"connect: error {error}")
            s.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            poll.modify(fd, select.POLLIN)
            continue
        piece = s.recv(65536)
        waiting[fd][1] += piece
        if not piece:
            if b" 200 OK\r\n" not in answer:
                sys.exit(f"answer: {answer[:200]}")
            poll.unregister(fd)
            s.close()
            del waiting[fd]
