# nginx with a large file, and what the machine says of its memory, for clients outside.
trap exit TERM
mkdir -p /srv /var/log/nginx /var/lib/nginx
yes skiff | head -c 104857600 > /srv/large
echo hello > /srv/index.html
cat > /srv/nginx.conf <<END
user root;
daemon off;
master_process off;
error_log stderr;
pid /tmp/nginx.pid;
worker_rlimit_nofile 4096;
events { worker_connections 2000; }
http {
  access_log off;
  sendfile on;
  server { listen 80 backlog=2000; root /srv; }
}
END
/usr/sbin/nginx -e stderr -c /srv/nginx.conf &
while sleep 0.3; do cp /proc/meminfo /srv/meminfo.new && mv /srv/meminfo.new /srv/meminfo; done
