# compat: publish=80 timeout=120
# Pages by curl and wrk, and many connections at once, within the 511 that nginx lets wait.
url=http://127.0.0.1:$PORT
page=$(ls /var/www/html/index.html /var/www/html/index.nginx-debian.html 2>/dev/null | head -1)
until curl -sf -m 5 -o page "$url/"; do sleep 0.2; done
cmp page "$page"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/not-there")" = 404 ]
[ "$(curl -s -r 0-8 "$url/")" = "$(head -c 9 "$page")" ]
# One connection for three requests.
[ "$(curl -s -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects}' "$url/" "$url/" "$url/")" = 100 ]
for mode in keep-alive close; do
  wrk -t 1 -c 30 -d 2 --timeout 10 -H "Connection: $mode" "$url/" > wrk
  ! grep -E 'Socket errors|Non-2xx' wrk
  grep -q 'requests in' wrk
done
for round in 1 2 3; do python3 "$HERE/../../compat-tests/burst.py" 127.0.0.1 "$PORT" 400; done
curl -sf "$url/" | cmp - "$page"
