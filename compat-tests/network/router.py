"""Announces an IPv6 network on a device, twice a second: router.py DEVICE PREFIX"""
import socket
import struct
import sys
import time

device, prefix = sys.argv[1], socket.inet_pton(socket.AF_INET6, sys.argv[2])
index = socket.if_nametoindex(device)
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 1800, 0) + prefix
advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + option
while True:
    try:
        s.sendto(advert, ("ff02::1", 0, 0, index))
    except OSError:
        # The device is not up yet.
        pass
    time.sleep(0.5)
