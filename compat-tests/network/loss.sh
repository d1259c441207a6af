# compat: timeout=90
# Questions and answers over UDP, a fifth of which the network loses: who asks again has its answer. Where the host has netem the
# tap loses them, else a relay does.
. "$HERE/lib.sh"
tap 10.9.4.1/24
cat > echo.py <<'END'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 5300))
print("ready", flush=True)
while True:
    data, who = s.recvfrom(4096)
    s.sendto(data[::-1], who)
END
start python3 --tap tap0 --ip 10.9.4.2/24 --add echo.py -- echo.py
await_text ready
lossy=no
tc qdisc add dev tap0 root netem loss 20% 2>/dev/null && lossy=yes
python3 - $lossy <<'END'
import random, select, socket, sys, threading
guest = ("10.9.4.2", 5300)
random.seed(1)
def relay(front):
    back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client = None
    while True:
        for s in select.select([front, back], [], [])[0]:
            data, who = s.recvfrom(4096)
            if s is front:
                client = who
            if random.random() >= 0.2:
                back.sendto(data, guest) if s is front else front.sendto(data, client)
target = guest
if sys.argv[1] == "no":
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind(("127.0.0.1", 0))
    target = front.getsockname()
    threading.Thread(target=relay, args=(front,), daemon=True).start()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(target)
lost = 0
for n in range(300):
    question = b"%d " % n + bytes(random.getrandbits(8) for _ in range(random.randrange(600)))
    for attempt in range(60):
        s.send(question)
        s.settimeout(1 if n == 0 else 0.1)
        try:
            while (answer := s.recv(4096)) != question[::-1]:
                # An answer to an earlier copy of an earlier question.
                pass
            break
        except OSError:
            lost += 1
    else:
        sys.exit(f"question {n} has no answer")
print(f"300 answers, {lost} asked again")
END
