#!/bin/bash
# Every test of the project. quick is what `make check` runs; long, of `make check-long`, has the whole program table
# under each stress mode by both backends, and all families of programs (docs/testing.md).
# usage: check.sh BUILD quick|long
# BUILD holds the built tree, debian/ (the test image) and debian.ingot (the image, recompiled by the direct backend).
# By the backend wasm it holds the whole image, debian-wasm.ingot (long), or debian-part.ingot and
# debian-part-wasm.ingot, made of debian-part/ (quick). The last line is "N passed, N failed"; the exit status is 1
# when something failed.
set -u
# A closed standard input would give its number to the first file that a test opens.
[ -e /proc/self/fd/0 ] || exec </dev/null
build=$(realpath "$1")
mode=${2:-quick}
cd "$(dirname "$0")/.." || exit 1
ingot=$build/src/cli/ingot
artifact=$build/debian.ingot
image=$build/debian
# LLVM takes ten minutes for the whole image: the quick mode has the part of it that the table's quick cases run.
wasm_image=$image wasm_quick=
[ "$mode" = long ] || wasm_image=$image-part wasm_quick=--quick
wasm_artifact=$wasm_image-wasm.ingot
# The same image by the direct backend: what programs see of a root filesystem is the same in both.
direct_artifact=$wasm_image.ingot
logs=$build/check-logs
export INGOT_PLAIN=$ingot INGOT_RUNTIME=$build/src/runtime
mkdir -p "$logs"
counts=$logs/counts     # of each part: passed, failed
failures=$logs/failures # what failed and why in short: printed again at the end, where a shortened log still shows it
: >"$counts"
: >"$failures"

# A part has ended. It is a shell of its own, whose programs' processor time is told beside the seconds that it took.
# Its lines come out together, as another part may run beside it.
count() { # NAME PASSED FAILED SECONDS, standard input: why it failed
    local spent why
    times >"$logs/$1.times"
    spent=$(tail -n 1 "$logs/$1.times" | tr ms '  ' | awk '{ printf "%d", ($1 + $3) * 60 + $2 + $4 }')
    rm -f "$logs/$1.times"
    why=$([ "$3" = 0 ] || { echo "failed: $1"; cut -c1-300; })
    {
        flock 9
        echo "$2 $3" >>"$counts"
        printf '%-28s %5d passed  %3d failed  %4d s, processors %4d s\n' "$1" "$2" "$3" "$4" "$spent"
        [ -z "$why" ] || tee -a "$failures" <<<"$why"
    } 9>"$counts.lock"
}

# Two parts at a time, for such as keep no more than one processor busy and measure no time. What comes after
# `together` finds them done.
beside() { # PART NAME ARGUMENTS...: script, single, or a function of such; what is killed itself counts as failed
    [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
    {
        trap - INT QUIT # which a shell without job control lets its background ignore, and programs would inherit that
        "$@" || { echo "0 1" >>"$counts"; echo "failed: $2 was killed" | tee -a "$failures"; }
    } &
}

together() {
    wait
}

# A test script that ends in "N passed, N failed"; one that does not is one failure.
script() ( # NAME COMMAND...
    name=$1 log=$logs/$1.log start=$SECONDS
    shift
    "$@" >"$log" 2>&1
    status=$?
    sums=$(tail -n 1 "$log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
    if [ -z "$sums" ]; then
        sums="0 1"
    elif [ "$status" != 0 ] && [ "${sums#* }" = 0 ]; then
        sums="${sums% *} 1"
    fi
    # shellcheck disable=SC2086
    count "$name" $sums $((SECONDS - start)) < <(grep -A 14 -m 6 '^FAIL' "$log" || tail -n 5 "$log")
)

# One command that passes or fails.
single() ( # NAME COMMAND...
    name=$1 log=$logs/$1.log start=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        count "$name" 1 0 $((SECONDS - start))
    else
        count "$name" 0 1 $((SECONDS - start)) < <(tail -n 20 "$log")
    fi
)

# What meson's log says of the tests that failed: their names, and the lines by which each says what went wrong.
why() { # BUILD-DIR
    tests/why.py "$1/meson-logs/testlog.json" | head -n 60
}

# The tests that meson knows; each is one. Without: those whose names match. Times: how much longer each may take.
unit() ( # NAME BUILD-DIR [WITHOUT [TIMES]]
    log=$logs/$1.log start=$SECONDS
    mapfile -t tests < <(meson test -C "$2" --list 2>/dev/null | sed 's|^.* / ||' | grep -vE "^(${3:-}|ninja: .*)$")
    meson test -C "$2" -t "${4:-1}" --print-errorlogs "${tests[@]}" >"$log" 2>&1
    ok=$(sed -n 's/^Ok: *\([0-9]*\).*/\1/p' "$log")
    bad=$(sed -n 's/^\(Fail\|Timeout\|Unexpected Pass\): *\([0-9]*\).*/\2/p' "$log" | paste -sd+)
    [ -n "$ok" ] || bad=1
    bad=$((${bad:-0}))
    count "$1" "${ok:-0}" "$bad" $((SECONDS - start)) < <(why "$2")
)

# All of the tree by clang, with its sanitizers. Without warnings: warnings are errors.
sanitized_build() {
    make sanitized BUILD="$build" && ninja -C "$build-san"
}

# The same tree once more: all but src/aot is as it was.
without_llvm() {
    local status
    meson configure "$build-san" -Dllvm=disabled && ninja -C "$build-san" src/cli/ingot src/cli/ingot-build &&
        tests/recompile/without_llvm.sh "$build-san/src/cli/ingot"
    status=$?
    meson configure "$build-san" -Dllvm=auto
    return "$status"
}

megabinary() {
    "$ingot" build -q --cache "$build/cache" --emit=wasm "$wasm_image" -o "$build/debian.wasm"
}

# As WebAssembly, it is made, validated by wabt and compiled by V8.
web() { # NAME
    single megabinary megabinary
    single wasm-validate wasm-validate --enable-tail-call "$build/debian.wasm"
    single v8-compile v8_compile
}

verify_artifact() { # ARTIFACT
    "$ingot" verify "$1" && "$ingot" inspect --json "$1" >/dev/null && "$ingot" inspect "$1"
}

v8_compile() {
    tests/node.sh --max-old-space-size=8192 tests/recompile/compile_wasm.cjs "$build/debian.wasm"
}

# Every fuzzer builds, and finds nothing in its corpus and in what some thousand changes make of it. Two at a time.
fuzzers() {
    local targets="decode lift elf wasm layer image cache artifact config start signed audit verify dns"
    # shellcheck disable=SC2046,SC2086
    ninja -C "$build" $(printf 'fuzz/fuzz_%s ' $targets) >/dev/null || return 1
    # shellcheck disable=SC2016,SC2086
    printf '%s\n' $targets | xargs -P 2 -I {} sh -c 'found=$1/fuzz/found-$2
        rm -rf "$found" && mkdir "$found" && corpus=$PWD/fuzz/corpus/$2 && cd "$found" &&
            "../fuzz_$2" -seed=1 -runs=3000 -verbosity=0 . "$corpus" || { echo "fuzz_$2 failed"; exit 255; }' sh "$build" {}
}

warm_rebuild() { # BACKEND IMAGE ARTIFACT REPORT: at most 15 s
    local start=$SECONDS
    "$ingot" build -q --backend "$1" --cache "$build/cache" --report "$4" "$2" -o "$build/rebuilt.ingot" || return 1
    cmp "$build/rebuilt.ingot" "$3" || { echo "a rebuild from the cache differs"; return 1; }
    rm -f "$build/rebuilt.ingot"
    echo "$((SECONDS - start)) s"
    [ $((SECONDS - start)) -le 15 ]
}

table() { # NAME ARTIFACT OPTIONS...
    local name=$1 of=$2
    shift 2
    script "$name" tests/programs/run.py --rootfs "$image" --artifact "$of" --ingot "$ingot" "$@"
}

# The table, or its quick part, with what the evaluator ran, and its quick part (long: the whole) in each stress mode.
tables() { # NAME ARTIFACT [--quick]
    rm -f "$logs/$1.stats"
    # shellcheck disable=SC2086
    table "$1" "$2" --stats "$logs/$1.stats" ${3-}
    for stress in unwind budget evaluate; do
        if [ "$mode" = long ]; then
            table "$1-$stress" "$2" --stress "$stress"
        else
            table "$1-$stress-quick" "$2" --stress "$stress" --quick
        fi
    done
}

terminal() { # NAME ARTIFACT
    script "$1" tests/programs/terminal.py --rootfs "$image" --artifact "$2" --ingot "$ingot"
}

has_v3() { # this processor
    "$build/tests/eval/oracle" --level v3 --list >/dev/null
}

# Processors and hypervisors differ (tests/eval/deviations.def): the log says which ones this was.
"$build/tests/eval/oracle" --host
start=$SECONDS
unit unit-tests "$build"
if [ "$mode" = long ]; then
    single decode-image "$build/tests/x86/x86_oracle" elf --every-byte "$image"
    single instructions "$build/tests/eval/oracle" --count 8 --states 16 --executions evaluator,aot,direct --seed time
    single machine-kernel tools/get-kernel.sh "$build/kernel"
    single machine-cgroup2 tests/machine/cgroup2.py "$build/kernel" "$build/tests/vkernel/vk-dev" tools/mkpayload.py
    single machine-crash tests/machine/crash.py "$build/kernel" "$build/tests/vkernel/vk-dev" tools/mkpayload.py
    single largest tests/vkernel/largest.py "$ingot" tests/direct/mkdirect.py tests/vkernel/largest.c
    single neighbour tests/vkernel/neighbour.py --rounds 24 "$ingot" tests/direct/mkdirect.py tests/vkernel/neighbour.c tests/vkernel/bombs.c
    single sequences make fuzz-insn BUILD="$build" FUZZ='--sequences=100000 --share 10 --seed time'
    if has_v3; then
        single instructions-v3 "$build/tests/eval/oracle" --level v3 --count 8 --states 16 --executions evaluator,aot,direct --seed time
        single sequences-v3 make fuzz-insn BUILD="$build" LEVEL=v3 FUZZ='--sequences=100000 --share 10 --seed time'
    fi
fi

# Each keeps both processors busy.
# Both backends: what is named for none is the default's.
tables programs "$artifact"
tables programs-wasm "$wasm_artifact" $wasm_quick
# Without --cpus that was on as many processors as this process may use. Now on one, and the quick part on two, between
# which every task moves at each call.
table programs-one-processor "$artifact" --cpus 1
table programs-migrate-quick "$artifact" --cpus 2 --stress migrate --quick
# Level v3, where this processor has it: programs with 256-bit registers, and a part of the table on the image, whose libraries find AVX2 then.
if has_v3; then
    v3_artifact=$build/debian-v3.ingot
    single build-v3 "$ingot" build -q --cpu x86-64-v3 --cache "$build/cache" "$image" -o "$v3_artifact"
    table programs-v3-quick "$v3_artifact" --quick
    beside script compiled-v3 tests/compiled/run.py --ingot "$ingot" --cpu x86-64-v3
    beside single verify-v3 verify_artifact "$v3_artifact"
else
    echo "this processor does not have x86-64-v3"
fi
script analyzer tools/analyze.sh "$build"
single fuzzers fuzzers

# Two at a time. The families, which wait for packages in between, are the longest.
beside script families tests/families/run.py --build "$build" --set "$mode"
for backend in direct wasm; do
    suffix=${backend/direct/}
    suffix=${suffix:+-$suffix}
    beside script "compiled$suffix" tests/compiled/run.py --ingot "$ingot" --backend "$backend"
    beside script "hostile$suffix" tests/compiled/hostile.py --ingot "$ingot" --backend "$backend"
    beside script "profile$suffix" tests/compiled/profile.py --ingot "$ingot" --backend "$backend"
    beside script "reproducible$suffix" tests/recompile/reproducible.py --ingot "$ingot" --backend "$backend"
done
beside terminal programs-terminal "$artifact"
beside terminal programs-wasm-terminal "$wasm_artifact"
beside script looks tests/compiled/looks.py --ingot "$ingot"
beside script lockstep tests/compiled/lockstep.py --ingot "$ingot" --artifact "$direct_artifact" --artifact "$wasm_artifact"
beside web web
beside single verify verify_artifact "$artifact"
beside single verify-wasm verify_artifact "$wasm_artifact"
beside single format tools/format.sh --check
[ "$mode" = long ] || beside single decode-image "$build/tests/x86/x86_oracle" elf "$image"
together
[ "$mode" = quick ] || script services-pairs tests/families/services/pairs.py --build "$build"
[ "$mode" = quick ] || script families-wasm tests/families/run.py --build "$build" --set "$mode" --backend wasm

# Figures: each alone.
for backend in direct wasm; do
    suffix=${backend/direct/}
    script "full-speed${suffix:+-$suffix}" tests/compiled/speed.py --ingot "$ingot" --cache "$build/cache" --backend "$backend"
done
script start-of-artifact tests/programs/start.py "$artifact" "$build/tests/cli/start_count"
single warm-rebuild warm_rebuild direct "$image" "$artifact" "$build/report.json"
single warm-rebuild-wasm warm_rebuild wasm "$wasm_image" "$wasm_artifact" "$build/report-wasm.json"
script bars tests/programs/bars.py "$build/report.json" "$logs/programs.stats"
script bars-wasm tests/programs/bars.py $wasm_quick "$build/report-wasm.json" "$logs/programs-wasm.stats"
script growth tests/recompile/growth.py --ingot "$ingot"
# What forks cost is a ratio within one run: a tenth to two fifths of the bars, which would be missed without shelves.
[ "$(nproc)" -lt 2 ] || single fork-bars bench/smp.py --build "$build" --rounds 3 --only '^fork' --check

# The sanitized tree. Whoever runs beside others builds nothing in it, but for the fuzzer.
single sanitized-build sanitized_build
unit sanitized-unit-tests "$build-san" "vkernel.*|start|options|hosts|lockdown.*|audit|host-signals|signature|syscalls.*|wasm-spec|sandbox" 3
beside single sanitized-vkernel meson test -C "$build-san" --no-rebuild --print-errorlogs vkernel vkernel-stress vkernel-net-host vkernel-attacks
beside single fuzz-syscalls make fuzz-syscalls BUILD="$build" FUZZ='--seconds 60 --seed 1'
beside script image tests/image/test_image.py --ingot "$build-san/src/cli/ingot"
beside script bad-input tests/recompile/bad_input.py --ingot "$build-san/src/cli/ingot"
beside single demo tests/demo.sh "$artifact"
together
single fuzz-syscalls-processors make fuzz-syscalls BUILD="$build" FUZZ='--seconds 60 --seed 1 --cpus 2'
single tsan make tsan BUILD="$build" TSAN="$([ "$mode" = long ] || echo --short)"
single without-llvm without_llvm

echo "logs in $logs; $((SECONDS - start)) s"
cat "$failures"
read -r passed failed < <(awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }' "$counts")
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
