# Links a vkernel that carries no image: link.sh SANITIZERS OUTPUT LIBRARY... CPU_LIBRARY. The last library, the thread's CPU
# state, must come after everything that has thread-local objects, the C library too. SANITIZERS: the compiler and its
# options where there are any, whose run-time library wants shared libraries; else empty.
link=${1:-cc -static}
out=$2
shift 2
libs=
while [ $# -gt 1 ]; do
    libs="$libs $1"
    shift
done
exec $link -no-pie -Wl,-z,relro,-z,now -w -o "$out" "$(dirname "$0")/dev_options.c" -Wl,--start-group $libs -lcrypto -lm -lc -lgcc -lgcc_eh -Wl,--end-group \
    -Wl,--no-warnings -Wl,--whole-archive "$1" -Wl,--no-whole-archive
