"""A ping of that size, which takes several fragments each way: ping.py ADDRESS SOURCE SIZE"""
import socket
import struct
import sys

address, _, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
s.settimeout(10)
data = bytes(n * 7 % 256 for n in range(size))
head = struct.pack("!BBHHH", 8, 0, 0, 77, 1)
whole = head + data
total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
while total >> 16:
    total = (total & 0xFFFF) + (total >> 16)
s.sendto(struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, 77, 1) + data, (address, 0))
while True:
    answer, _ = s.recvfrom(65536)
    if answer[20] == 0 and answer[24:26] == b"\0\x4d":
        assert answer[28:] == data, "the answer differs"
        break
