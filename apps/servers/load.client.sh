# compat: publish=80 args=outside.sh files=outside.sh timeout=170
# A large file arrives whole, a thousand connections at once are served, and load leaves memory where it was. LOAD is how many
# seconds of it.
url=http://127.0.0.1:$PORT
until curl -sf -m 5 -o /dev/null "$url/meminfo"; do sleep 0.3; done
[ "$(curl -sf "$url/large" | sha256sum)" = "$(yes skiff | head -c 104857600 | sha256sum)" ]
for round in 1 2; do python3 "$HERE/../../compat-tests/burst.py" 127.0.0.1 "$PORT" 1000; done
available() { sleep 0.7; curl -sf -m 10 "$url/meminfo" | awk '/^MemAvailable/ {print $2}'; }
wrk -t 1 -c 30 -d 1 --timeout 10 "$url/" > /dev/null
before=$(available)
wrk -t 1 -c 30 -d "${LOAD:-3}" --timeout 10 "$url/" > wrk
! grep -E 'Socket errors|Non-2xx' wrk
after=$(available)
cat wrk
echo "available before $before KiB, after $after KiB"
[ "$after" -gt $((before - 4096)) ]
