# compat: publish=80 timeout=120
# Pages by curl and wrk, and a thousand connections at once.
url=http://127.0.0.1:$PORT
until curl -sf -m 5 -o page "$url/"; do sleep 0.2; done
cmp page "$HERE/index.html"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/not-there")" = 404 ]
[ "$(curl -s -r 0-8 "$url/")" = "$(head -c 9 "$HERE/index.html")" ]
# One connection for three requests.
[ "$(curl -s -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects}' "$url/" "$url/" "$url/")" = 100 ]
for mode in keep-alive close; do
  wrk -t 1 -c 30 -d 2 --timeout 10 -H "Connection: $mode" "$url/" > wrk
  ! grep -E 'Socket errors|Non-2xx' wrk
  grep -q 'requests in' wrk
done
for round in 1 2 3; do python3 "$HERE/../../compat-tests/burst.py" 127.0.0.1 "$PORT" 1000; done
curl -sf "$url/" | cmp - "$HERE/index.html"
