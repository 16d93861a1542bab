# For the scripts of the families of services, which read it: servers in the background, each with its number and its log.
# All of a case runs inside one container (or one native root), its clients too.

# start NAME COMMAND...: what it writes goes to NAME.log.
start() {
    local name=$1
    shift
    "$@" >>"$name.log" 2>&1 </dev/null &
    echo $! >"$name.pid"
}

# soon COMMAND...: until it succeeds, for half a minute of tries; then says so and ends the case.
soon() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "never: $*"
    exit 1
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# up NAME PORT: until the server takes connections; its log if it ends before that.
up() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        listens "$2" && return
        kill -0 "$(cat "$1.pid")" 2>/dev/null || break
        sleep 0.1
    done
    echo "$1 does not listen on port $2:"
    cat "$1.log"
    exit 1
}

# stop NAME [SIGNAL]: a child of this shell; says how it ended.
stop() {
    local pid
    pid=$(cat "$1.pid")
    kill -s "${2:-TERM}" "$pid"
    wait "$pid" 2>/dev/null
    echo "$1: ended with $?"
}

# stopped PID-FILE [SIGNAL]: a server that made itself a daemon; until it is gone.
stopped() {
    local pid
    pid=$(cat "$1")
    kill -s "${2:-TERM}" "$pid"
    soon gone "$pid"
}

gone() { ! kill -0 "$1" 2>/dev/null; }
