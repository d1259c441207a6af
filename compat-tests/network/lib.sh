# What the scripts here share. They run in a network namespace of their own: SKIFF is the command, HERE this folder.
APPS=$HERE/../../apps
ip link set lo up
machines=()
trap 'jobs -p | xargs -r kill 2>/dev/null || true; wait || true; cat machine-* 2>/dev/null | tail -40 >&2' EXIT

tap() { # A device tap0 with these addresses of ours.
  ip tuntap add dev tap0 mode tap
  for address in "$@"; do ip addr add "$address" dev tap0 nodad 2> /dev/null; done
  ip link set tap0 up
}

start() { # A machine in the background; what it says is in machine-N.
  "$SKIFF" run --accel tcg --timeout 140 "$@" > "machine-${#machines[@]}" 2>&1 < /dev/null &
  machines+=($!)
}

await() { # Until a page is there.
  until curl -sf -g -m 5 -o /dev/null "$1"; do kill -0 "${machines[-1]}"; sleep 0.2; done
}

await_text() { # Until the last machine says something.
  until grep -q -e "$1" "machine-$((${#machines[@]} - 1))"; do kill -0 "${machines[-1]}"; sleep 0.2; done
}
