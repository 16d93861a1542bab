# Links a vkernel that carries no image, with the start that artifacts have: link.sh OPTIONS OUTPUT START LIBRARY... CPU_LIBRARY. The last library,
# the thread's CPU state, must come after everything that has thread-local objects, the C library too. OPTIONS: more of the linker's, or, with
# sanitizers, the compiler and its options: their run-time library wants shared libraries and the C library's own start.
case $1 in
*-fsanitize=*) link=$1 ;;
*) link="cc -static -nostartfiles $3 $(cc -print-file-name=crti.o) $(cc -print-file-name=crtn.o) $1" ;;
esac
out=$2
shift 3
libs=
while [ $# -gt 1 ]; do
    libs="$libs $1"
    shift
done
here=$(dirname "$0")
exec $link -no-pie -Wl,-z,relro,-z,now -w -o "$out" -I"$here/../../src" "$here/dev_options.c" -Wl,--start-group $libs -lm -lc -lgcc -lgcc_eh -Wl,--end-group \
    -Wl,--no-warnings -Wl,--whole-archive "$1" -Wl,--no-whole-archive
