# Links a vkernel that carries no image: link.sh OUTPUT LIBRARY... CPU_LIBRARY. The last library, the thread's CPU state,
# must come after everything that has thread-local objects, the C library too.
out=$1
shift
libs=
while [ $# -gt 1 ]; do
    libs="$libs $1"
    shift
done
exec cc -static -no-pie -w -o "$out" -Wl,--start-group $libs -lcrypto -lm -lc -lgcc -lgcc_eh -Wl,--end-group \
    -Wl,--no-warnings -Wl,--whole-archive "$1" -Wl,--no-whole-archive
