# compat: publish=8080 timeout=120
# A page, bodies both ways, a file, timers side by side, load, and many connections at once (tokio lets 128 wait).
url=http://127.0.0.1:$PORT
until [ "$(curl -s -m 5 "$url/")" = hello ]; do sleep 0.2; done
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/not-there")" = 404 ]
head -c 3000000 /dev/urandom > body
curl -sf --data-binary @body "$url/" | cmp - body
curl -sf "$url/program" | cmp - "$HERE/../../target/debug/tokio-server"
# 100 who sleep do so at the same time: one after the other they would take 20 s.
begin=$SECONDS
seq 100 | xargs -P 100 -I{} curl -sf -o /dev/null "$url/sleep"
[ $((SECONDS - begin)) -lt 15 ]
wrk -t 1 -c 20 -d 2 --timeout 10 "$url/" > wrk
! grep -E 'Socket errors|Non-2xx' wrk
python3 "$HERE/../../compat-tests/burst.py" 127.0.0.1 "$PORT" 100
