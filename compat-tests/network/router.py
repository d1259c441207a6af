"""Announces an IPv6 network on a device every second: router.py DEVICE PREFIX. Without PREFIX it prints the lower half of the
address that a machine there gives itself, taken from the first neighbour solicitation or router solicitation that it hears."""
import socket
import struct
import sys
import time

device = sys.argv[1]
if len(sys.argv) > 2:
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    index = socket.if_nametoindex(device)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    prefix = socket.inet_pton(socket.AF_INET6, sys.argv[2])
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 1800, 0) + prefix
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + option
    while True:
        try:
            s.sendto(advert, ("ff02::1", 0, 0, index))
        except OSError:
            pass
        time.sleep(0.5)
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
link.bind((device, 0x86DD))
own = link.getsockname()[4]
while True:
    frame = link.recv(2000)
    if frame[6:12] != own and frame[22:24] == b"\xfe\x80":
        print(socket.inet_ntop(socket.AF_INET6, bytes(8) + frame[30:38]).lstrip(":"))
        break
