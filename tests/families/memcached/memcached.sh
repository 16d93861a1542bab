# A cache and its clients.
. /opt/server.sh
port=11211
at=127.0.0.1

serve() {
    start memcached memcached -u memcache -p $port -l $at "$@"
    up memcached $port
}

say() { # LINE...: sends them and QUIT, prints what comes
    exec 3<>/dev/tcp/$at/$port
    printf '%s\r\n' "$@" quit >&3
    sed 's/\r//' <&3
    exec 3>&-
}

case $1 in
protocol)
    serve -t 4 -U $port
    say 'set a 5 0 3' abc 'get a' 'append a 0 0 2' de 'get a' 'incr n 1' 'set n 0 0 2' 10 'incr n 5' 'decr n 100' 'gets none' 'add a 0 0 1' x
    say 'cas a 0 0 1 99999' x 'delete a' 'get a' 'touch n 100' 'verbosity 0' nonsense "set $(printf %0300d 0) 0 0 1" 'mg n v' 'ms m 2' ok 'mg m v t'
    say 'set short 0 1 1' x 'get short'
    sleep 2.1
    say 'get short' 'flush_all' 'get n'
    memccapable -h $at -p $port -a 2>&1 | grep -c pass
    memccapable -h $at -p $port -a 2>&1 | grep -v pass
    exec 4<>/dev/udp/$at/$port
    printf '\0\1\0\0\0\1\0\0version\r\n' >&4
    head -c 15 <&4 | tail -c 7
    echo
    stop memcached
    ;;
clients)
    serve -t 3
    for i in $(seq 50); do seq $((i * 100)) >f$i; done
    memccp --servers=$at:$port f*
    for i in 1 25 50; do memccat --servers=$at:$port f$i | sha256sum; done
    memcexist --servers=$at:$port f1; echo $?
    memcrm --servers=$at:$port f1
    memcexist --servers=$at:$port f1; echo $?
    memcping --servers=$at:$port; echo $?
    memcslap --servers=$at:$port --concurrency=8 --execute-number=500 --test=set | grep -c Seconds
    memcslap --servers=$at:$port --concurrency=8 --execute-number=500 --test=get --initial-load=1000 | grep -c Seconds
    memcslap --servers=$at:$port --concurrency=4 --execute-number=500 --test=mget --initial-load=1000 | grep -c Seconds
    memcstat --servers=$at:$port | grep -E ' (threads|cmd_set|evictions|get_misses|total_connections):'
    memcflush --servers=$at:$port
    stop memcached
    ;;
limits)
    serve -t 2 -m 4 -c 20 -I 2m
    head -c 500000 /dev/zero >big
    for i in $(seq 20); do cp big big$i; done
    memccp --servers=$at:$port big?*
    memcstat --servers=$at:$port | grep -E ' (evictions|curr_items):' | sed 's/: [1-9][0-9]*/: some/'
    for i in $(seq 30); do (exec 3<>/dev/tcp/$at/$port; sleep 0.5; printf 'quit\r\n' >&3) 2>/dev/null & others="$others $!"; done
    wait $others
    say 'get none'
    stop memcached INT
    start unix memcached -u memcache -s /tmp/socket -a 777
    soon test -S /tmp/socket
    memcping --servers=/tmp/socket; echo $?
    stop unix
    ;;
esac
