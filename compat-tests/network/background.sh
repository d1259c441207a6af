# compat: timeout=60
# A machine in the background: it is listed, heard, served from, stopped and forgotten.
. "$HERE/lib.sh"
export XDG_STATE_HOME=$PWD/state
[ "$("$SKIFF" run nginx --detach --accel tcg --name web --publish 18080:80 2> said)" = web ]
grep -q 'http://127.0.0.1:18080/' said
until curl -sf -m 5 http://127.0.0.1:18080/ | grep -q -i "<html"; do sleep 0.2; done
"$SKIFF" ps | grep -q '^web  *running .*nginx .*http://127.0.0.1:18080/'
! "$SKIFF" run nginx --detach --accel tcg --name web 2> said
grep -q 'runs already' said
! "$SKIFF" rm web 2> said
[ "$("$SKIFF" run busybox --detach --accel tcg --name end -- sh -c 'echo said; exit 7')" = end ]
until "$SKIFF" ps | grep -q '^end  *exited 7'; do sleep 0.2; done
"$SKIFF" logs end | grep -qx said
"$SKIFF" stop web
"$SKIFF" ps | grep -q '^web  *exited'
! curl -s -m 5 http://127.0.0.1:18080/
"$SKIFF" rm web end
[ "$("$SKIFF" ps | wc -l)" = 1 ]
! "$SKIFF" stop web 2> said
