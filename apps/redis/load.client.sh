# compat: publish=6379 timeout=120
# redis-cli and redis-benchmark.
cli() { redis-cli -p "$PORT" "$@"; }
until [ "$(timeout 5 redis-cli -p "$PORT" ping)" = PONG ]; do sleep 0.2; done
[ "$(cli set key 'a value')" = OK ]
[ "$(cli get key)" = 'a value' ]
head -c 3000000 /dev/urandom > large
[ "$(cli -x set large < large)" = OK ]
cli --raw get large | head -c 3000000 | cmp - large
(echo MULTI; for n in $(seq 200); do echo "RPUSH list $n"; done; echo EXEC) | cli > /dev/null
[ "$(cli llen list)" = 200 ]
# A subscriber hears what others publish.
(timeout 20 redis-cli -p "$PORT" subscribe news || true) > heard &
until [ "$(cli publish news hello)" = 1 ]; do sleep 0.2; done
until grep -q hello heard; do sleep 0.1; done
for pipeline in 1 16; do
  redis-benchmark -p "$PORT" -c 30 -P "$pipeline" -n 8000 -t set,get,lpush --csv > result
  [ "$(wc -l < result)" = 4 ]
  ! grep -i error result
done
[ "$(cli ping)" = PONG ]
kill %1 2>/dev/null || true
