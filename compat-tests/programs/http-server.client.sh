# A page, an upload where the server takes one, load, and many connections at once.
url=http://127.0.0.1:$PORT
until [ "$(curl -s -m 5 "$url/")" = hello ]; do sleep 0.2; done
if [ "$(curl -s -o /dev/null -w '%{http_code}' --data-binary x "$url/sum")" = 200 ]; then
  head -c 5000000 /dev/urandom > body
  [ "$(curl -s --data-binary @body "$url/sum")" = "$(sha256sum body | cut -d' ' -f1)" ]
fi
wrk -t 1 -c 20 -d 2 --timeout 10 "$url/" > wrk
! grep -E 'Socket errors|Non-2xx' wrk
python3 "$HERE/../burst.py" 127.0.0.1 "$PORT" 100
