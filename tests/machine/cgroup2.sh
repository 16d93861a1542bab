#!/bin/busybox sh
# The first process of the test's machine, whose only hierarchy of cgroups is that of version 2. It starts the container in groups of
# different kinds and prints what is in the files of the group that the container made. cgroup2.py knows what it should be.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev 2>/dev/null
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmp /tmp
chmod 1777 /tmp
top=/sys/fs/cgroup
echo
echo "+cpu +memory +pids" >$top/cgroup.subtree_control

# start GROUP USER OPTIONS WORD...: the container in that group, waiting for a line from $line.
start() {
    group=$top$1 user=$2 options=$3
    shift 3
    line=/tmp/line
    rm -f $line
    mkfifo -m 666 $line
    (
        echo 0 >"$group/cgroup.procs"
        exec su "$user" -c "INGOT_OPTIONS='--isolate full $options' exec /image /bin/guest $*" <$line >/tmp/out 2>&1
    ) &
    waiting=$!
    exec 9>$line
    # What the container made, once it is in there.
    made= tries=0
    while [ -z "$made" ] && [ $tries -lt 100 ] && kill -0 $waiting 2>/dev/null; do
        for d in "$group"/ingot-*[0-9]; do
            [ -n "$(cat "$d/cgroup.procs" 2>/dev/null)" ] && made=$d
        done
        tries=$((tries + 1))
        usleep 100000
    done
}

# finish NAME: its end. What the container and its group said, and whether something is left of it.
finish() {
    name=$1
    echo >&9
    exec 9>&-
    wait $waiting
    echo "$name: status $?"
    sed "s/^/$name: said /" /tmp/out
    for d in "$group"/ingot-*; do
        [ -e "$d" ] && echo "$name: left ${d##*/}"
    done
}

show() { # NAME FILE...
    name=$1
    shift
    for f; do
        echo "$name: $f $(cat "$made/$f")"
    done
}

limits="--memory 128m --cpus 0.5 --pids 10"
delegate() { # GROUP
    mkdir "$top$1"
    chown -R user "$top$1"
}

start "" root "$limits" w
show top pids.max memory.max memory.swap.max cpu.max
finish top

mkdir $top/alone
start /alone root "$limits" w
show alone pids.max memory.max memory.swap.max cpu.max
finish alone

delegate /delegated
start /delegated user "$limits" w
show delegated pids.max memory.max memory.swap.max cpu.max
finish delegated

delegate /shared
sleep 1000 &
sleeper=$!
echo $sleeper >$top/shared/cgroup.procs
start /shared user "$limits" w
finish shared
kill $sleeper

mkdir $top/foreign
start /foreign user "$limits" w
finish foreign

# Two processors are two threads.
delegate /processors
start /processors user "--cpus 2" w
show processors pids.max cpu.max pids.current
finish processors

# The vkernel's own limit comes first.
delegate /memory
start /memory user "--memory 64m" w f200 w
echo >&9
sleep 5
finish memory

# The host's limit, when the vkernel's does not hold.
delegate /full
start /full user "--memory 128m" w f100 w
[ -n "$made" ] && echo 50m >"$made/memory.max"
echo >&9
sleep 10
finish full

# So does its share of a processor: less than the container takes for its own.
delegate /share
start /share user "--cpus 0.9" w b5 w
echo "30000 100000" >"$made/cpu.max"
before=$(sed -n 's/usage_usec //p' "$made/cpu.stat")
echo >&9
sleep 4
after=$(sed -n 's/usage_usec //p' "$made/cpu.stat")
echo "share: used $(((after - before) / 40000)) % of a processor, $(sed -n 's/nr_throttled //p' "$made/cpu.stat") times held back"
finish share

echo "the end"
poweroff -f
