# A redis server and its own clients. What depends on time or chance is not printed.
. /opt/server.sh
port=6379

serve() { # NAME PORT OPTION...: with a folder of its own
    local name=$1 at=$2
    shift 2
    mkdir -p "$name"
    start "$name" redis-server --port "$at" --dir "$PWD/$name" --save '' --enable-debug-command yes "$@"
    up "$name" "$at"
    soon eval "redis-cli -p $at ping | grep -q PONG" # it is LOADING while it reads its files
}

cli() { redis-cli -p $port "$@"; }
info() { cli info "$1" | sed 's/\r//' | grep -E "^($2):"; }
saved() { info persistence 'rdb_bgsave_in_progress|aof_rewrite_in_progress|aof_rewrite_scheduled' | grep -q ':1' && return 1 || return 0; }
digest() { cli debug digest; }

# Writes one key after the other until the server is gone, and says how many it acknowledged.
writes() {
    local i=0 line
    trap '' PIPE
    exec 3<>/dev/tcp/127.0.0.1/$port
    while printf 'SET %s:%d %d\r\n' "$1" $i $i >&3 && read -r line <&3 && [ "$line" = $'+OK\r' ]; do ((i++)); done
    echo $i
}

case $1 in
benchmark)
    serve redis $port
    redis-benchmark -p $port -q --csv -n 2000 -c 20 -r 1000 | cut -d, -f1
    redis-benchmark -p $port -q --csv -n 500 -c 5 -d 100000 -t set,get | cut -d, -f1
    info clients connected_clients
    info stats 'rejected_connections|total_error_replies'
    stop redis
    ;;
pipelining)
    serve redis $port
    for ((i = 0; i < 20000; i++)); do printf 'SET key:%d value-%d\r\n' $i $((i * i)); done | cli --pipe
    cli dbsize
    cli get key:12345
    redis-benchmark -p $port -q --csv -n 20000 -P 64 -t set,get,incr,lpush,mset | cut -d, -f1
    exec 3<>/dev/tcp/127.0.0.1/$port # a pipeline cut into pieces, inside words too
    printf 'PING\r\nECHO he' >&3
    sleep 0.1
    printf 'llo\r\nDEL key:1\r\nGET key:1\r\nSET a ' >&3
    sleep 0.1
    printf '1\r\nINCR a\r\nQUIT\r\n' >&3
    cat <&3
    stop redis
    ;;
pubsub)
    serve redis $port
    start one redis-cli -p $port subscribe news sport
    start two redis-cli -p $port psubscribe 'n*'
    soon grep -q 2 one.log
    soon grep -q 1 two.log
    for i in 1 2 3; do cli publish news "news $i"; done
    cli publish sport goal
    cli publish nobody nothing
    cli pubsub numsub news sport none
    cli pubsub numpat
    soon grep -q goal one.log
    soon grep -q nothing two.log
    stop one
    stop two
    cat one.log two.log
    cli publish news late
    cli config set notify-keyspace-events KEA
    start events redis-cli -p $port psubscribe '__key*__:*'
    soon grep -q 1 events.log
    cli set volatile 1 px 30
    soon grep -q expired events.log
    stop events
    cat events.log
    stop redis
    ;;
lua)
    serve redis $port
    cli eval 'local s = 0 for i = 1, 200000 do s = s + i % 7 end return s' 0
    cli eval 'for i = 1, tonumber(ARGV[1]) do redis.call("rpush", KEYS[1], i * i) end return redis.call("lrange", KEYS[1], -3, -1)' 1 list 1000
    cli eval 'return {cjson.encode({a = {1, 2, {b = false}}}), cmsgpack.unpack(cmsgpack.pack("x", 1.5))}' 0
    cli eval 'return redis.sha1hex(string.rep("x", 10000))' 0
    cli eval 'return bit.bxor(0xff, 0x0f) + struct.unpack(">I", struct.pack(">I", 77))' 0
    cli eval 'return redis.pcall("nothing")["err"]' 0
    cli eval 'error("thrown")' 0
    sha=$(cli script load 'return redis.call("incr", KEYS[1])')
    cli evalsha $sha 1 counter
    cli evalsha $sha 1 counter
    cli function load '#!lua name=mine
redis.register_function("double", function(keys, args) return args[1] * 2 end)'
    cli fcall double 0 21
    cli config set busy-reply-threshold 100
    start endless redis-cli -p $port eval 'while true do end' 0
    soon eval 'cli get list | grep -q BUSY'
    cli ping
    cli script kill
    wait "$(cat endless.pid)"
    cat endless.log
    cli ping
    stop redis
    ;;
streams)
    serve redis $port
    cli xgroup create s g '$' mkstream
    start reader redis-cli -p $port xreadgroup group g one count 2 block 0 streams s '>'
    sleep 0.2
    for i in $(seq 1 5); do cli xadd s $i-1 n $i; done
    wait "$(cat reader.pid)"
    cat reader.log
    cli xreadgroup group g two streams s '>'
    cli xack s g 1-1 4-1
    cli xpending s g
    cli xautoclaim s g three 0 0 count 1 justid
    cli xrange s - + count 2
    cli xread count 1 streams s 4-1
    cli xtrim s maxlen 2
    cli xlen s
    for ((i = 0; i < 5000; i++)); do printf 'XADD big * i %d text %01000d\r\n' $i $i; done | cli --pipe | tail -1
    cli xlen big
    cli xinfo stream big | grep -A 1 -E 'length|groups'
    stop redis
    ;;
blocking)
    serve redis $port
    for i in 1 2 3; do
        start wait$i redis-cli -p $port blpop queue 0
        sleep 0.1
    done
    cli rpush queue a b c
    wait $(cat wait?.pid)
    cat wait?.log
    cli blpop none 0.2
    start move redis-cli -p $port blmove from to left right 0
    sleep 0.1
    cli rpush from x
    cli lrange to 0 -1
    printf 'multi\nset k 1\nincr k\nget k\nexec\nwatch k\nmulti\nset k 5\ndiscard\nget k\n' | cli
    cli set short 1 px 50
    sleep 0.1
    cli get short
    start paused redis-cli -p $port client no-evict on
    cli client pause 100 write
    cli set after pause
    cli client list | grep -c addr
    exec 3<>/dev/tcp/127.0.0.1/$port
    printf 'CLIENT SETNAME doomed\r\n' >&3
    read -r line <&3
    cli client kill type normal skipme yes | grep -c -E '^[1-9]'
    cat <&3
    cli object encoding k
    stop redis
    ;;
persistence)
    serve redis $port --appendonly yes --appendfsync everysec
    for ((i = 0; i < 20000; i++)); do printf 'SET key:%d %0100d\r\n' $i $i; done | cli --pipe | tail -1
    start writer redis-benchmark -p $port -q -n 2000000 -c 8 -r 50000 -t set,lpush,incr,sadd
    for i in 1 2 3; do
        cli bgsave
        sleep 0.2
        soon saved
        cli bgrewriteaof
        sleep 0.2
        soon saved
    done
    info persistence 'rdb_last_bgsave_status|aof_last_bgrewrite_status|aof_last_write_status|rdb_saves'
    stop writer KILL
    soon eval '[ "$(info clients connected_clients)" = connected_clients:1 ]'
    before=$(digest) size=$(cli dbsize)
    stop redis
    serve redis $port --appendonly yes
    [ "$before" = "$(digest)" ] && [ "$size" = "$(cli dbsize)" ] && echo the append-only file has all
    cli save
    redis-check-rdb redis/dump.rdb | grep -c 'looks OK'
    redis-check-aof redis/appendonlydir/*.manifest | grep -c 'is valid'
    stop redis
    rm -r redis/appendonlydir
    serve redis $port
    [ "$before" = "$(digest)" ] && echo the snapshot has all
    stop redis
    ;;
crash)
    for round in 1 2 3; do
        serve redis $port --appendonly yes --appendfsync always
        for writer in 1 2 3; do start writer$writer writes $round:$writer; done
        sleep 1
        stop redis KILL
        wait $(cat writer?.pid)
        serve redis $port --appendonly yes --appendfsync always
        for writer in 1 2 3; do
            n=$(tail -1 writer$writer.log)
            ((n > 10)) || echo "only $n writes"
            lost=$(for ((i = 0; i < n; i++)); do echo "EXISTS $round:$writer:$i"; done | cli | grep -c '^0')
            echo "round $round, writer $writer: $lost acknowledged writes lost"
        done
        stop redis
    done
    ;;
replication)
    serve master $port
    for ((i = 0; i < 5000; i++)); do printf 'SET key:%d %0200d\r\n' $i $i; done | cli --pipe | tail -1
    serve replica 6380 --replicaof 127.0.0.1 $port
    soon eval 'redis-cli -p 6380 info replication | grep -q master_link_status:up'
    cli set late yes
    soon eval '[ "$(redis-cli -p 6380 get late)" = yes ]'
    printf 'set later yes\nwait 1 10000\n' | cli
    redis-cli -p 6380 get later
    redis-cli -p 6380 set no no
    stop replica KILL
    redis-benchmark -p $port -q -n 5000 -r 1000 -t set,lpush,hset >/dev/null
    serve replica 6380 --replicaof 127.0.0.1 $port
    soon eval '[ "$(digest)" = "$(redis-cli -p 6380 debug digest)" ]' && echo same
    stop master
    redis-cli -p 6380 replicaof no one
    redis-cli -p 6380 set yes yes
    stop replica
    ;;
io-threads)
    serve redis $port --io-threads 3 --io-threads-do-reads yes
    redis-benchmark -p $port -q --csv -n 30000 -c 30 --threads 2 -P 16 -t set,get,incr,lrange_100 | cut -d, -f1
    redis-benchmark -p $port -q --csv -n 3000 -c 20 -d 20000 -t set,get | cut -d, -f1
    cli get counter:__rand_int__
    info server io_threads_active | wc -l
    info stats total_error_replies
    stop redis
    ;;
esac
