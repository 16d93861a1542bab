# php-fpm behind nginx.
. /opt/server.sh
at='127.0.0.1:8080/page.php?do='

mkdir -p site temp
cp /opt/page.php site
chown www-data temp
cp /opt/nginx.conf .
echo 'server { listen 8080; root site; location ~ \.php$ { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME /w/site$fastcgi_script_name;' \
    'fastcgi_pass unix:/w/php.sock; } }' >settings.conf
cat >fpm.conf <<'END'
[global]
error_log = /w/fpm.log
daemonize = no
log_limit = 8192
[www]
user = www-data
group = www-data
listen = /w/php.sock
listen.owner = www-data
pm = dynamic
pm.max_children = 6
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
pm.max_requests = 200
pm.status_path = /status.php
catch_workers_output = yes
php_admin_value[memory_limit] = 32M
php_admin_value[opcache.jit] = disable
END
cat >php.ini <<'END'
extension_dir = /usr/lib/php/20220829
zend_extension = opcache.so
extension = posix.so
extension = pdo.so
extension = pdo_sqlite.so
date.timezone = UTC
opcache.enable = 1
display_errors = 1
html_errors = 0
END
start php php-fpm8.2 -c /w/php.ini -y /w/fpm.conf
nginx -p "$PWD" -c nginx.conf -e error.log || cat error.log
soon test -S php.sock
soon listens 8080
get() { curl -s "$@"; }
children() { pgrep -P "$(cat php.pid)" | wc -l; }
load() { ab -q "$@" 2>&1 | grep -E '^(Complete requests|Failed requests|Non-2xx|apr_)|   \(Connect'; }

case $1 in
requests)
    get "${at}hello"
    get "${at}post" -d a=1 -d b=two -d 'c[]=3' -d 'c[]=4'
    head -c 300000 /dev/zero | tr '\0' x >big
    get "${at}post" --data-urlencode x@big | tail -c 10
    get "${at}upload" -F file=@big
    for i in 1 2 3; do get -c jar -b jar "${at}session"; done
    for i in 1 2 3; do get "${at}fatal" | head -2; done
    get "${at}memory" | grep -o 'Allowed memory size of [0-9]* bytes exhausted'
    get "${at}long" | grep -o 'Maximum execution time.*exceeded'
    get "${at}database"
    load -n 200 -c 4 "${at}database"
    get "${at}count"
    load -n 1000 -c 8 "${at}hello"
    load -n 60 -c 4 "${at}work"
    get "${at}work"
    get 127.0.0.1:8080/none.php
    ;;
processes)
    children
    for i in 1 2 3 4 5 6; do start sleep$i curl -s "${at}sleep"; done
    wait $(cat sleep?.pid)
    cat sleep?.log | grep -cE '^[0-9]+$'
    (($(sort -u sleep?.log | wc -l) > 1)) && echo by several
    old=$(get "${at}pid")
    get -o body -w '%{http_code}\n' "${at}die"
    soon grep -q 'exited on signal 9' fpm.log
    get "${at}hello"
    start load ab -q -t 2 -n 1000000 -c 4 "${at}hello"
    kill -USR1 $(cat php.pid) # its log again
    sleep 0.5
    kill -USR1 $(cat php.pid)
    wait $(cat load.pid)
    grep -E '^(Failed|Non-2xx|apr_)' load.log
    get 127.0.0.1:8080/status.php | grep -E '^(pool|process manager|listen queue len)'
    kill -USR2 $(cat php.pid) # itself again, by exec
    sleep 0.5
    soon eval 'get "${at}hello" | grep hello'
    get "${at}hello"
    ;;
esac
stop php QUIT
stopped nginx.pid QUIT
grep -cE 'ALERT|ERROR' fpm.log
