"""Peers that vanish, a path that is narrower than it seemed, and pings: the part that runs in the machine. peers.py HOST HOST6"""
import errno
import socket
import struct
import sys
import threading

host, host6 = sys.argv[1:3]


def say(*words):
    print(*words, flush=True)


def ping(family, protocol, address, kind, answer):
    """Ping sockets: the kernel gives the identifier and the checksum (icmp(7))."""
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as s:
        s.settimeout(10)
        s.bind(("", 0))
        number = s.getsockname()[1]
        for sequence, data in enumerate((b"", b"x", bytes(1000), bytes(4000))):
            s.sendto(struct.pack("!BBHHH", kind, 0, 0, 1, sequence) + data, (address, 0))
            got, who = s.recvfrom(65536)
            type_, code, _, identifier, back = struct.unpack("!BBHHH", got[:8])
            assert (type_, code, identifier, back) == (answer, 0, number, sequence), (type_, code, identifier, number, back)
            assert got[8:] == data and who[0] == address
        # Nothing but requests may be sent.
        try:
            s.sendto(struct.pack("!BBHHH", answer, 0, 0, 1, 1), (address, 0))
            assert False, "an answer was sent"
        except OSError as e:
            assert e.errno == errno.EINVAL, e


for address in (host, "127.0.0.1"):
    ping(socket.AF_INET, socket.IPPROTO_ICMP, address, 8, 0)
for address in (host6, "::1"):
    ping(socket.AF_INET6, socket.IPPROTO_ICMPV6, address, 128, 129)
say("pings answered")


def listen(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", port))
    s.listen()
    return s


def writer(s):
    """Sends until the other side has not acknowledged for two seconds (TCP_USER_TIMEOUT)."""
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000)
    try:
        while True:
            s.sendall(bytes(65536))
    except OSError as e:
        say("writer:", errno.errorcode[e.errno])
    s.close()


def reader(s):
    """Reads from somebody who says nothing, and does not answer keep-alive probes."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
        s.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        say("reader:", s.recv(1))
    except OSError as e:
        say("reader:", errno.errorcode[e.errno])
    s.close()


def path(s):
    """Sends what is asked for, and says how large segments are: it shrinks when a router says that they are too large."""
    while request := s.recv(16, socket.MSG_WAITALL):
        s.sendall(bytes(int(request)))
        say("segments:", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
    s.close()


doors = [(listen(7000 + n), serve) for n, serve in enumerate((writer, reader, path))]
say("ready")


def keep(door, serve):
    while True:
        s, _ = door.accept()
        threading.Thread(target=serve, args=(s,), daemon=True).start()


for door, serve in doors:
    threading.Thread(target=keep, args=(door, serve)).start()
