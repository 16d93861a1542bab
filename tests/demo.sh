#!/bin/sh
# A first session with a recompiled Debian image, shown as it would be typed.
# usage: demo.sh ARTIFACT
set -eu
artifact=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

show() {
    printf '\n\033[1m$ %s\033[0m\n' "$1"
    shift
    "$@" || { echo "(exit status $?)"; failed=1; }
}

cat > "$work/session.sh" <<'END'
#!/bin/bash
echo "bash $BASH_VERSION on $(uname -s) $(uname -m), Debian $(cat /etc/debian_version)"

echo; echo "== a pipeline: the five most frequent lengths of file names under /usr/bin"
ls /usr/bin | awk '{ print length($0) }' | sort -n | uniq -c | sort -rn | head -5

echo; echo "== python: classes, generators, regular expressions, a child process"
python3 - <<'PY'
import hashlib, os, re, subprocess
class Prime:
    def __iter__(self):
        n, found = 2, []
        while True:
            if all(n % p for p in found):
                found.append(n)
                yield n
            n += 1
primes = [p for p, _ in zip(Prime(), range(12))]
print("primes", primes, "sha256", hashlib.sha256(bytes(primes)).hexdigest()[:16])
print("words", re.findall(r"\b\w{9,}\b", "every instruction recompiled ahead of time"))
print("child says", subprocess.run(["echo", "hello from", "a child"], capture_output=True, text=True).stdout.strip())
pid = os.fork()
if pid == 0:
    os._exit(42)
print("fork: the child ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY

echo; echo "== perl: die, eval and a hash"
perl -e 'my %n; $n{length $_}++ for qw(melt a whole image into one piece);
    print "length $_: $n{$_}\n" for sort { $a <=> $b } keys %n;
    eval { die { code => 7 } }; print "caught $@->{code}\n"'

echo; echo "== sqlite3: a database in a file"
sqlite3 /tmp/demo.db "create table t(n integer primary key, sq int);
    with recursive c(i) as (select 1 union all select i + 1 from c where i < 1000) insert into t select i, i * i from c;
    select 'rows ' || count(*) || ', sum ' || sum(sq) from t; pragma integrity_check;"
ls -l /tmp/demo.db | cut -d' ' -f1,5

echo; echo "== lua: coroutines"
lua5.4 -e 'local c = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end) print(c(), c(), c())'

echo; echo "== tar | gzip | tar, a trap and a signal"
mkdir -p /tmp/a /tmp/b && seq 10000 > /tmp/a/n && tar -C /tmp/a -c . | gzip | tar -C /tmp/b -xz && md5sum < /tmp/b/n
trap 'echo "got SIGUSR1"' USR1; kill -USR1 $$
exit 3
END

show "$(basename "$artifact") /bin/echo 'one file, no container runtime'" "$artifact" /bin/echo 'one file, no container runtime'
printf '\n\033[1m$ ingot run --volume .:/demo %s bash /demo/session.sh\033[0m\n' "$(basename "$artifact")"
ingot=${INGOT:-$(dirname "$artifact")/src/cli/ingot}
status=0
if [ -x "$ingot" ]; then
    "$ingot" run --volume "$work:/demo:ro" "$artifact" bash /demo/session.sh || status=$?
else
    "$artifact" bash -c "$(cat "$work/session.sh")" || status=$?
fi
echo "exit status $status"
[ "$status" = 3 ] || failed=1

printf '\n\033[1m$ # what was added to the image is refused: no executable memory, no unknown program\033[0m\n'
{ cat /bin/true; echo; } > "$work/stranger" && chmod +x "$work/stranger"
if [ -x "$ingot" ]; then
    "$ingot" run --volume "$work:/demo:ro" --audit "$work/audit" "$artifact" /demo/stranger || echo "exit status $?"
    cat "$work/audit" 2>/dev/null || true
fi
exit $failed
