#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# nginx as SHAPE says: an access log in memory that nothing rotates, or static files from the disk.
set -eu
home=$SCRATCH/nginx
rm -rf "$home" "$SHARED/access.log"
mkdir -p "$home/www"
log=/dev/null
[ "$SHAPE" = nginx-log ] && log=$SHARED/access.log
echo ok >"$home/www/health"
i=0
while [ "$i" -lt "${COUNT:-8}" ]; do
    head -c "${SIZE:-1048576}" /dev/urandom >"$home/www/$i"
    i=$((i + 1))
done
cat >"$home/nginx.conf" <<END
daemon off;
master_process off;
pid $home/pid;
error_log /dev/stderr;
events { worker_connections 512; }
http {
    log_format long '\$request \$http_x_trace';
    access_log $log long;
    client_body_temp_path $home/body;
    proxy_temp_path $home/proxy;
    fastcgi_temp_path $home/fastcgi;
    uwsgi_temp_path $home/uwsgi;
    scgi_temp_path $home/scgi;
    keepalive_requests 1000000;
    server {
        listen $PORT;
        root $home/www;
        location = /log { return 200 "ok\n"; }
    }
}
END
exec nginx -c "$home/nginx.conf"
