#!/bin/bash
# The tests that need no recompiled image of a distribution, within three minutes on two processors: meson's suite "quick" (tests/meson.build).
# Installs nothing and uses no network; what needs a tool that is missing is left out and named.
# usage: quick.sh BUILD
# Builds BUILD first, and sets it up when it is not there. Ends with one line "N passed, N failed"; exit status 1 when something failed, 2 when
# nothing could be run.
set -u
[ $# = 1 ] || {
    sed -n 's/^# usage: /usage: /p' "$0" >&2
    exit 2
}
# A closed standard input would give its number to the first file that a test opens.
[ -e /proc/self/fd/0 ] || exec </dev/null
cd "$(dirname "$0")/.." || exit 2
build=$1
start=$SECONDS

missing=
for tool in cc meson ninja pkg-config python3 ld.bfd; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "missing:$missing. tools/install-deps.sh demo installs what a build needs, tools/install-deps.sh check what all tests need" >&2
    exit 2
fi
if [ ! -e "$build/build.ninja" ]; then
    meson setup "$build" || {
        echo "the tree could not be set up; tools/install-deps.sh demo installs what a build needs" >&2
        exit 2
    }
fi
log=$build/meson-logs/quick.txt
if ! ninja -C "$build" >"$build/meson-logs/quick-build.txt" 2>&1; then
    tail -n 30 "$build/meson-logs/quick-build.txt"
    echo "the tree does not build" >&2
    exit 2
fi

# Names of the tests that have both suites or none: a new test says where it belongs.
python3 - "$build" <<'END' || exit 2
import json, subprocess, sys
tests = json.loads(subprocess.run(['meson', 'introspect', '--tests', sys.argv[1]], check=True, capture_output=True, text=True).stdout)
if not tests:
    sys.exit('There are no tests in this tree: cmocka was missing when it was set up. tools/install-deps.sh check installs it (Debian\'s package '
             f'libcmocka-dev); then: meson setup --reconfigure {sys.argv[1]}')
wrong = [t['name'] for t in tests if len({s.split(':')[-1] for s in t['suite']} & {'quick', 'slow'}) != 1]
if wrong:
    sys.exit('These tests need suite: \'quick\' or suite: \'slow\' in their meson.build: ' + ', '.join(wrong))
END

meson test -C "$build" --suite quick --print-errorlogs >"$log" 2>&1
status=$?
count() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" "$log" | paste -sd+; }
passed=$(($(count Ok) + 0))
failed=$(($(count Fail) + $(count Timeout) + $(count 'Unexpected Pass') + 0))
# meson that was stopped, or failed before the first test, counts nothing.
[ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
if [ "$failed" != 0 ]; then
    # meson says it twice: when the test ends, and at the end.
    grep -E '^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR|UNEXPECTEDPASS)( |$)' "$log" | sort -u | sed 's/^/failed: /'
    grep -E -A 8 '^(not ok|FAIL|\[  ERROR)' "$log" | head -60
    [ "$passed" != 0 ] || tail -n 20 "$log"
fi
grep -E '^ *[0-9]+/[0-9]+ .* SKIP( |$)' "$log" | sort -u | sed 's/^/skipped by this machine: /'
sed '/^$/d; s/^/left out, because a tool is missing: /' "$build/tests/left_out"
echo "log in $log; $((SECONDS - start)) s"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
