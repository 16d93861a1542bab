# A web server and its clients: curl, ab, openssl s_client. What depends on time or chance is not printed.
. /opt/server.sh
at=127.0.0.1:8080 # curl and ab take that for HTTP

server() { # serves: the settings are standard input
    mkdir -p temp site
    cp /opt/nginx.conf .
    cat >settings.conf
    chown www-data temp
    chmod 755 /w
    /usr/sbin/nginx -p "$PWD" -c nginx.conf -e error.log || cat error.log
    soon listens 8080
}

quit() { # SIGNAL
    stopped nginx.pid "${1:-QUIT}"
    grep -E '\[(alert|crit|emerg)\]' error.log
    echo ended
}

files() {
    mkdir -p site/list
    echo '<h1>hello</h1>' >site/index.html
    seq 20000 >site/numbers.txt
    head -c 3000000 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null >site/random.bin
    touch -d '2024-01-02 03:04:05 UTC' site/index.html site/numbers.txt site/random.bin site/list/{a,b,c} site/list
    echo secret >site/secret && chmod 600 site/secret
}

plain='server { listen 8080; root site; location /list/ { autoindex on; } }'
workers() { pgrep -P "$(cat nginx.pid)" -f 'worker process$' | sort -n | tr '\n' ' '; }
load() { ab -q "$@" 2>&1 | grep -E '^(Complete requests|Failed requests|Non-2xx|Document Length|apr_)|   \(Connect'; }

case $1 in
static)
    files
    server <<<"$plain"
    curl -si $at/ | grep -v '^Date'
    curl -sI $at/numbers.txt | grep -v '^Date'
    for f in numbers.txt random.bin; do curl -s $at/$f | sha256sum; done
    curl -s -r 1000000-1000999 $at/random.bin | sha256sum
    curl -s -r 0-9,-10 $at/numbers.txt | grep -v '^--' | sed 's/\r//'
    tag=$(curl -sI $at/numbers.txt | sed -n 's/^ETag: //p')
    curl -s -o body -w '%{http_code} %{size_download}\n' -H "If-None-Match: ${tag%?}" $at/numbers.txt
    curl -s -o body -w '%{http_code}\n' -z 'Wed, 03 Jan 2024 00:00:00 GMT' $at/numbers.txt
    curl -s $at/list/
    for p in none list secret '..%2f..%2fetc/passwd' ; do curl -s -o body -w "%{http_code} %{redirect_url}\n" $at/$p; done
    curl -s -o body -w '%{http_code}\n' -X DELETE $at/
    curl -s -Z --no-progress-meter --parallel-max 20 "$at/random.bin?[1-20]" | wc -c
    load -n 2000 -c 16 $at/index.html
    load -k -n 5000 -c 16 $at/index.html
    load -k -n 200 -c 16 $at/random.bin
    quit
    cut -d' ' -f1-4 access.log | sort | uniq -c | sort -rn | head -3
    ;;
gzip)
    files
    gzip -k site/index.html
    server <<<'gzip on; gzip_types text/plain; gzip_min_length 100; server { listen 8080; root site; gzip_static on; gunzip on; }'
    curl -s -H 'Accept-Encoding: gzip' $at/numbers.txt | gzip -d | sha256sum
    curl -s -H 'Accept-Encoding: gzip' $at/numbers.txt | wc -c
    curl -sI -H 'Accept-Encoding: gzip' $at/numbers.txt | grep -iE 'encoding|length|etag'
    curl -s --compressed $at/index.html
    curl -s -H 'Accept-Encoding: gzip' -o body -w '%{size_download}\n' $at/index.html
    load -n 300 -c 8 -H 'Accept-Encoding: gzip' $at/numbers.txt
    quit
    ;;
tls)
    files
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 3000 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost 2>&1 | grep -v '^-'
    server <<<'server { listen 8080; listen 8443 ssl http2; root site; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_session_cache shared:tls:1m; }'
    get() { curl -s --cacert cert.pem "$@"; }
    secure=https s=$secure://localhost:8443
    get -w '%{http_version} %{ssl_verify_result}\n' $s/
    get --http1.1 --tls-max 1.2 -w '%{http_version}\n' $s/
    get $s/random.bin | sha256sum
    get -Z --no-progress-meter "$s/numbers.txt?[1-30]" | wc -c
    curl -s $s/; echo $?
    for v in tls1_2 tls1_3; do
        (echo 'GET / HTTP/1.0'; echo; sleep 0.3) | openssl s_client -connect localhost:8443 -$v -CAfile cert.pem -sess_out session 2>&1 | grep -aE '^ *(Protocol|New|Verification|<h1>)' | sort | uniq
        (echo 'GET / HTTP/1.0'; echo; sleep 0.3) | openssl s_client -connect localhost:8443 -$v -CAfile cert.pem -sess_in session 2>&1 | grep -aE '^ *(New|Reused|<h1>)' | sort | uniq
    done
    load -n 200 -c 8 -f TLS1.2 $s/numbers.txt
    printf 'GET / HTTP/1.0\r\n\r\n' >plain
    (exec 3<>/dev/tcp/127.0.0.1/8443; cat plain >&3; grep -a -o '400 Bad Request' <&3 | head -1)
    quit
    ;;
proxy)
    files
    server <<'END'
upstream behind { server 127.0.0.1:8081; server 127.0.0.1:8082; server unix:/w/behind.sock; keepalive 8; }
server { listen 8081; listen 8082; listen unix:/w/behind.sock; root site; access_log behind.log short; location /down { return 503; } location /to { return 200 "to $http_x_forwarded_for $request_method $content_length\n"; } }
client_max_body_size 5m;
server { listen 8080; client_body_buffer_size 16k;
    location / { proxy_pass $scheme://behind; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }
    location /gone/ { proxy_pass $scheme://127.0.0.1:9; }
    location /slow/ { rewrite ^/slow(/.*)$ $1 break; proxy_pass $scheme://behind; proxy_buffering off; limit_rate 2m; } }
END
    for i in 1 2 3 4 5 6; do curl -s $at/; done
    curl -s $at/random.bin | sha256sum
    curl -s $at/slow/random.bin | sha256sum
    curl -s $at/to
    curl -s --data-binary @site/random.bin $at/to
    head -c 6000000 /dev/zero | curl -s -o body -w '%{http_code}\n' --data-binary @- $at/to
    for p in down gone/; do curl -s -o body -w '%{http_code}\n' $at/$p; done
    load -n 2000 -c 16 $at/index.html
    load -k -n 2000 -c 16 $at/numbers.txt
    quit
    grep -c 'GET /index.html 200' behind.log
    ;;
processes)
    files
    server <<<"$plain"
    soon eval '[ $(pgrep -c -u www-data -P $(cat nginx.pid) -f "worker process") = 2 ]'
    set -- $(workers)
    stat -c %U /proc/$(cat nginx.pid) /proc/$1 /proc/$2
    kill -9 $1 # the master makes another
    soon eval '[ $(workers | wc -w) = 2 ] && ! workers | grep -q "\b'$1'\b"'
    curl -s $at/
    grep -c "worker process $1 exited on signal 9" error.log
    kill -TERM $2
    soon eval '[ $(workers | wc -w) = 2 ] && ! workers | grep -q "\b'$2'\b"'
    curl -s $at/
    nginx -p "$PWD" -c nginx.conf -s stop 2>/dev/null
    soon eval '! listens 8080'
    nginx -p "$PWD" -c nginx.conf -t 2>&1 | sed 's/.*nginx: //'
    echo 'nonsense;' >>settings.conf
    nginx -p "$PWD" -c nginx.conf 2>&1 | grep -o 'unknown directive.*'
    ;;
reload)
    files
    server <<<"$plain"
    soon eval '[ $(workers | wc -w) = 2 ]'
    first=$(workers)
    start load ab -q -t 2 -n 1000000 -c 8 $at/index.html
    start more curl -s -o body --limit-rate 1500k $at/random.bin -w '%{size_download}\n'
    for i in 1 2 3 4 5; do
        sleep 0.2
        sed -i "s/ listen 8080;.*/ listen 8080; add_header Round $i; root site; }/" settings.conf
        nginx -p "$PWD" -c nginx.conf -s reload 2>/dev/null
    done
    wait $(cat load.pid more.pid)
    grep -E '^(Failed|Non-2xx|apr_)' load.log
    cat more.log
    curl -sI $at/ | grep Round
    for pid in $first; do gone $pid && echo gone; done
    soon eval '[ $(workers | wc -w) = 2 ]'
    echo 'nonsense;' >>settings.conf
    kill -HUP $(cat nginx.pid)
    soon grep -q 'unknown directive' error.log
    curl -s $at/
    kill -TERM $(cat nginx.pid)
    soon eval '! listens 8080'
    grep -cE '\[(alert|crit)\]' error.log
    ;;
rotation)
    files
    server <<<"$plain"
    start load ab -q -t 2 -n 1000000 -c 8 $at/index.html
    for i in 1 2 3; do
        sleep 0.2
        mv access.log access.log.$i
        kill -USR1 $(cat nginx.pid)
        soon test -s access.log
    done
    wait $(cat load.pid)
    grep -E '^(Failed|Non-2xx|apr_)' load.log
    quit
    complete=$(sed -n 's/^Complete requests: *//p' load.log) logged=$(cat access.log access.log.? | wc -l)
    ((complete > 100 && logged >= complete && logged <= complete + 8)) && echo all are logged || echo "$complete requests, $logged lines"
    cat access.log access.log.? | sort | uniq
    stat -c '%U %a' access.log access.log.1
    ;;
upgrade)
    files
    server <<<"$plain"
    first=$(cat nginx.pid)
    start load ab -q -t 2 -n 1000000 -c 4 $at/index.html
    kill -USR2 $first
    soon test -s nginx.pid.oldbin
    soon test -s nginx.pid
    kill -WINCH $first
    kill -QUIT $first
    soon gone $first
    wait $(cat load.pid)
    grep -E '^(Failed|Non-2xx|apr_)' load.log
    curl -s $at/
    [ "$first" != "$(cat nginx.pid)" ] && echo another
    quit
    ;;
options)
    files
    server <<'END'
limit_req_zone $binary_remote_addr zone=slow:1m rate=1r/s;
aio threads;
proxy_cache_path temp/cache keys_zone=cache:1m;
map $uri $kind { default other; ~\.txt$ text; }
server { listen 8080 reuseport backlog=64 so_keepalive=on rcvbuf=64k; listen [::]:8080; root site;
    location /limited { limit_req zone=slow; alias site/index.html; }
    location /direct/ { alias site/; directio 4k; output_buffers 2 64k; sendfile off; }
    location /kind { return 200 "$kind $server_protocol $remote_addr\n"; }
    location /put/ { root temp; dav_methods PUT DELETE; }
    location /cached { proxy_pass $scheme://127.0.0.1:8080/numbers.txt; proxy_cache cache; proxy_cache_valid 1h; add_header Cache $upstream_cache_status; }
    location ~ ^/re/(\d+)$ { return 302 /to/$1; } }
END
    for i in 1 2 3; do curl -s -o body -w '%{http_code}\n' $at/limited; done
    curl -s $at/direct/random.bin | sha256sum
    for i in 1 2 3; do curl -s $at/random.bin | sha256sum; done
    curl -s -g "[::1]:8080/kind"
    for i in 1 2; do curl -si $at/cached | grep Cache; done
    soon eval 'curl -si $at/cached | grep -q HIT'
    curl -si $at/re/77 | grep Location
    load -n 1000 -c 16 $at/numbers.txt
    printf 'GET /index.html HTTP/1.1\r\nHost: x\r\n\r\nGET /kind HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >two
    (exec 3<>/dev/tcp/127.0.0.1/8080; cat two >&3; cat <&3) | grep -cE '200 OK|hello|other'
    quit TERM
    ;;
esac
