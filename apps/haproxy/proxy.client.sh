# compat: publish=8080 timeout=90
# Answers of its own, and through a connection inside the machine.
url=http://127.0.0.1:$PORT
until [ "$(curl -s -m 5 "$url/straight")" = straight ]; do sleep 0.2; done
[ "$(curl -s "$url/other")" = through ]
wrk -t 1 -c 30 -d 2 --timeout 10 "$url/other" > wrk
! grep -E 'Socket errors|Non-2xx' wrk
python3 "$HERE/../../compat-tests/burst.py" 127.0.0.1 "$PORT" 300 /straight
