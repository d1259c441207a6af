"""Frames that nobody should send, to the machine behind a tap device: hostile.py DEVICE ADDRESS PORT

Needs the device and the right to open packet sockets, as in a network namespace of one's own.
"""
import random
import socket
import struct
import sys

device, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(1)
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind((device, 0))
own_mac = link.getsockname()[4]
# Known by now: somebody has asked it for a page.
with open("/proc/net/arp") as table:
    mac = next(line.split()[3] for line in table if line.startswith(address + " "))
mac = bytes.fromhex(mac.replace(":", ""))
guest = socket.inet_aton(address)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, protocol, payload, field=0, number=None, options=b""):
    number = random.getrandbits(16) if number is None else number
    length = 20 + len(options)
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | length // 4, 0, length + len(payload), number, field, 64, protocol, 0, source, guest)
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def with_sum(source, protocol, payload, at):
    total = checksum(source + guest + struct.pack("!BBH", 0, protocol, len(payload)) + payload)
    return payload[:at] + struct.pack("!H", total) + payload[at + 2 :]


def tcp(source, sport, flags, options=b"", payload=b"", seq=None, ack=0):
    seq = random.getrandbits(32) if seq is None else seq
    head = struct.pack("!HHIIBBHHH", sport, port, seq, ack, (5 + len(options) // 4) << 4, flags, 4096, 0, 0)
    return with_sum(source, 6, head + options + payload, 16)


def udp(source, payload):
    return with_sum(source, 17, struct.pack("!HHHH", 9, 9, 8 + len(payload), 0) + payload, 6)


def send(packet, kind=0x0800):
    frame = mac + own_mac + struct.pack("!H", kind) + packet
    while True:
        try:
            return link.send(frame[:1514])
        except OSError:
            # The device's queue is full.
            pass


def stranger():
    return bytes([10, random.randrange(1, 255), random.randrange(256), random.randrange(1, 255)])


# A flood of SYNs from addresses that do not exist.
for _ in range(5000):
    send(ipv4(stranger(), 6, tcp(stranger(), random.randrange(1024, 65536), 2, b"\2\4\5\xb4\1\3\3\7")))
for _ in range(5000):
    source = stranger()
    send(ipv4(source, 6, tcp(source, random.randrange(1024, 65536), 2, b"\2\4\5\xb4\1\3\3\7")))

# Fragments of packets that never become whole, that overlap, and that reach beyond 64 KiB.
for n in range(3000):
    source = stranger()
    send(ipv4(source, 17, bytes(1200), 0x2000, n))
    send(ipv4(source, 17, bytes(1200), 0x2000 | random.randrange(160), n))
    send(ipv4(source, 17, bytes(800), random.choice([8191, 8150, 0x2000 | 8190]), n))

# Good packets with bad places.
neighbor = guest[:3] + b"\1"
good = [
    ipv4(neighbor, 6, tcp(neighbor, 5000, 2, b"\2\4\5\xb4\4\2\1\3\3\7\1\1")),
    ipv4(neighbor, 6, tcp(neighbor, 5001, 16, b"\1\1\5\12" + bytes(8), b"x" * 40)),
    ipv4(neighbor, 17, udp(neighbor, b"y" * 30)),
    ipv4(neighbor, 1, with_sum(b"", 0, struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"z" * 30, 2)),
    ipv4(neighbor, 1, struct.pack("!BBHHH", 3, 4, 0, 0, 68) + ipv4(guest, 6, bytes(20))),
    ipv4(neighbor, 2, b"\x11\x01\0\0" + bytes(8)),
    ipv4(neighbor, 17, bytes(8), options=b"\x44\4\5\0" + b"\x83\3\4\0"),
]
six = [
    b"\x60\0\0\0" + struct.pack("!HBB", 24, 0, 64) + bytes(15) + b"\1" + bytes(16) + b"\x2c\0\1\4\0\0\0\0" + b"\6\0\0\1" + bytes(12),
    b"\x60\0\0\0" + struct.pack("!HBB", 32, 58, 255) + b"\xfe\x80" + bytes(13) + b"\1" + b"\xff\2" + bytes(13) + b"\1" + b"\x86" + bytes(31),
    b"\x60\0\0\0" + struct.pack("!HBB", 16, 43, 64) + bytes(32) + b"\x3c\0\0\0" + bytes(12),
]
requests = b"\0\1\x08\0\6\4\0\1" + own_mac + neighbor + bytes(6) + guest
for _ in range(20000):
    packet, kind = random.choice([(p, 0x0800) for p in good] + [(p, 0x86DD) for p in six] + [(requests, 0x0806)])
    packet = bytearray(packet)
    for _ in range(random.randrange(1, 5)):
        packet[random.randrange(len(packet))] = random.getrandbits(8)
    if kind == 0x0800 and random.random() < 0.7:
        # Where the header's sum is right, more is looked at.
        size = (packet[0] & 15) * 4
        packet[10:12] = bytes(2)
        packet[10:12] = struct.pack("!H", checksum(bytes(packet[:size])))
    if random.random() < 0.2:
        packet = packet[: random.randrange(len(packet))]
    send(bytes(packet), kind)
