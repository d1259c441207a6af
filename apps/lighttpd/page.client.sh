# compat: publish=80 timeout=90
# Pages by curl and wrk, and many connections at once.
url=http://127.0.0.1:$PORT
until curl -sf -m 5 -o page "$url/"; do sleep 0.2; done
cmp page "$HERE/index.html"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/not-there")" = 404 ]
wrk -t 1 -c 30 -d 2 --timeout 10 "$url/" > wrk
! grep -E 'Socket errors|Non-2xx' wrk
python3 "$HERE/../../compat-tests/burst.py" 127.0.0.1 "$PORT" 500
