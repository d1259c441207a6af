# compat: timeout=90
# nginx over IPv6 and IPv4 on a tap, over MMIO and PCI; large pings, which come in fragments; addresses of somebody else, and by a router's word.
. "$HERE/lib.sh"
page=$(ls /var/www/html/index.html /var/www/html/index.nginx-debian.html 2>/dev/null | head -1)
tap 10.9.2.1/24 fd09::1/64
for kind in microvm q35; do
  start nginx --machine $kind --tap tap0 --ip 10.9.2.2/24 --ip fd09::2/64
  for url in http://10.9.2.2 'http://[fd09::2]'; do
    await "$url/"
    curl -sf -g -m 10 "$url/" | cmp - "$page"
  done
  python3 "$HERE/../burst.py" fd09::2 80 200
  python3 "$HERE/ping.py" 10.9.2.2 10.9.2.1 5000
  kill "${machines[-1]}"
  wait "${machines[-1]}" || true
done
# The address of somebody else on the link is not used.
start busybox --tap tap0 --ip 10.9.2.2/24 --ip fd09::1/64 --ip fd09::3/64 -- sh -c 'sleep 2; cat /proc/net/if_inet6; echo end'
await_text '^end'
told=machine-$((${#machines[@]} - 1))
grep -q 'somebody else has the address fd09::1,' "$told"
! grep -q '^fd090000000000000000000000000001' "$told"
grep -q '^fd090000000000000000000000000003' "$told"
wait "${machines[-1]}"
# A router says which network this is; QEMU's first card has the hardware address 52:54:00:12:34:56.
start nginx --tap tap0 --ip off
python3 "$HERE/router.py" tap0 fd0a:: &
ip addr add fd0a::1/64 dev tap0 nodad
url='http://[fd0a::5054:ff:fe12:3456]'
await "$url/"
curl -sf -g -m 10 "$url/" | cmp - "$page"
