# gunicorn with a Flask application and its clients.
. /opt/server.sh
at=127.0.0.1:8000
export PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1

serve() { # OPTION...
    start web gunicorn --chdir /opt/app -b 127.0.0.1:8000 --pid web.number "$@" app:app
    up web 8000
    soon curl -sf $at/
}

get() { curl -s "$@"; }
load() { ab -q "$@" 2>&1 | grep -E '^(Complete requests|Failed requests|Non-2xx|apr_)|   \(Connect'; }
workers() { pgrep -P "$(cat web.pid)" | wc -l; }
echo 'who=7&at=7' >form

site() {
    get $at/setup
    get $at/page | sha256sum
    get "$at/page?from=48"
    get -d at=5 $at/add/one
    load -n 200 -c 4 -p form -T application/x-www-form-urlencoded $at/add/two
    load -n 100 -c 4 -p form -T application/x-www-form-urlencoded $at/add/three
    get $at/visits
    load -n 1000 -c 8 $at/
    load -n 300 -c 8 $at/page
}

case $1 in
requests)
    DATABASE=$PWD/app.db serve -w 2
    site
    get -si $at/ | grep -v '^Date'
    for i in 1 2 3; do get -c jar -b jar $at/count; done
    head -c 2000000 /dev/zero >big
    get -F file=@big $at/upload
    get $at/stream | sha256sum
    for p in old refused error none; do get -o body -w '%{http_code} %{redirect_url}\n' $at/$p; done
    get -o body -w '%{http_code}\n' -X PUT $at/
    stop web
    grep -c ZeroDivisionError web.log
    ;;
workers)
    DATABASE=$PWD/app.db serve -w 2 --timeout 4 --graceful-timeout 5
    workers
    kill -TTIN $(cat web.pid)
    soon eval '[ $(workers) = 3 ]'
    kill -TTOU $(cat web.pid)
    soon eval '[ $(workers) = 2 ]'
    for i in 1 2; do start sleep$i curl -s $at/sleep; done
    wait $(cat sleep?.pid)
    cat sleep?.log
    kill -9 $(get $at/pid)
    soon eval '[ $(workers) = 2 ] && curl -s '$at/' | grep hello'
    get $at/forever # until the master ends the worker
    grep -q 'WORKER TIMEOUT' web.log && echo ended by the master
    soon eval 'curl -s '$at/' | grep hello'
    start load ab -q -t 2 -n 1000000 -c 2 $at/
    kill -HUP $(cat web.pid)
    sleep 1
    wait $(cat load.pid)
    grep -E '^(Non-2xx|apr_)' load.log
    stop web
    DATABASE=$PWD/app.db serve -k gthread --threads 4 -w 1
    for i in 3 4 5 6; do start sleep$i curl -s $at/sleep; done
    wait $(cat sleep?.pid)
    cat sleep[3-6].log
    load -k -n 1000 -c 8 $at/
    stop web
    DATABASE=$PWD/app.db serve --preload -w 2 --max-requests 50
    load -n 300 -c 2 $at/
    stop web
    ;;
postgresql)
    export PATH=/usr/lib/postgresql/15/bin:$PATH TZ=UTC
    mkdir data && chown 105 data && chmod 755 /w
    as() { setpriv --reuid 105 --regid 105 --clear-groups "$@"; }
    as initdb -D data -A trust -U postgres --no-locale >initdb.log 2>&1 || cat initdb.log
    touch db.log && chown 105 db.log
    as pg_ctl -w -D data -l db.log -o "-k /w/data -c listen_addresses=127.0.0.1" start >out 2>&1 || cat db.log
    DATABASE='host=127.0.0.1 user=postgres dbname=postgres' serve -w 2
    site
    as pg_ctl -D data -m fast -w restart -o "-k /w/data -c listen_addresses=127.0.0.1" -l db.log >out 2>&1
    get $at/visits
    stop web
    as pg_ctl -D data -m fast stop
    ;;
esac
