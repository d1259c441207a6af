# compat: publish=8000 args=http.js files=http.js timeout=120
# A page, an upload, a request from inside to a server on the host, and load.
url=http://127.0.0.1:$PORT
until [ "$(curl -s -m 10 "$url/")" = hello ]; do sleep 0.5; done
head -c 5000000 /dev/urandom > body
[ "$(curl -s --data-binary @body "$url/sum")" = "$(sha256sum body | cut -d' ' -f1)" ]
python3 -m http.server --bind 127.0.0.1 0 > log 2>&1 & server=$!
trap 'kill $server' EXIT
until host=$(grep -o 'port [0-9]*' log | cut -d' ' -f2) && [ -n "$host" ]; do sleep 0.1; done 2>/dev/null || true
curl -s "$url/fetch?url=http://10.0.2.2:$host/body" | cmp - body
wrk -t 1 -c 20 -d 2 --timeout 10 "$url/" > wrk
! grep -E 'Socket errors|Non-2xx' wrk
