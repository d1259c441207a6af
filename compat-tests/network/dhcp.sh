# compat: timeout=90
# An address, a router and a name server by DHCP; and a network without a server, where the machine says so and goes on.
. "$HERE/lib.sh"
tap 10.9.3.1/24
show='cat /etc/resolv.conf; ip addr show dev eth0 | grep "inet "; ip route | grep default; echo done'
start busybox --tap tap0 -- sh -c "$show"
await_text '^done'
grep 'no DHCP server answers' machine-0
! grep -q 'inet ' machine-0
cat > udhcpd.conf <<END
interface tap0
start 10.9.3.50
end 10.9.3.50
max_leases 1
lease_file leases
pidfile pid
option subnet 255.255.255.0
option router 10.9.3.1
option dns 10.9.3.1 10.9.3.7
option domain example.com
END
touch leases
busybox udhcpd -f udhcpd.conf 2> udhcpd.log & server=$!
start busybox --tap tap0 -- sh -c "$show"
await_text '^done'
kill $server
! grep 'no DHCP' machine-1
for line in 'domain example.com' 'nameserver 10.9.3.1' 'nameserver 10.9.3.7' 'inet 10.9.3.50/24' 'default via 10.9.3.1'; do
  grep -q "$line" machine-1
done
