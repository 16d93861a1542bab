#!/bin/sh
# The container of the fuzzer's guest: the executor in three forms, a script, and damaged copies.
# usage: root.sh BUILT ROOT
set -e
rm -rf "$2"
mkdir -p "$2/bin" "$2/etc" "$2/tmp" "$2/proc" "$2/dev" "$2/volume"
chmod 1777 "$2/tmp"
cp "$1/executor" "$2/bin/executor"
cp "$1/executor-pie" "$2/bin/pie"
cp "$1/executor-dynamic" "$2/bin/dynamic"
printf '#!/bin/executor exit\n' >"$2/bin/script"
chmod 755 "$2/bin/script"
exec python3 - "$2/bin" <<'END'
# Numbers of the file's and its program headers replaced. What the builder would refuse is not in the ledger then, and is refused.
import os, random, sys

random.seed(1)
values = [0, 1, 2, 7, 8, 0x38, 0x40, 0xfff, 0x1000, 0x1001, 0x10000, 0x400000, 0x3fffffff, 0x40000000, 0x7fffffff, 0xffffffff, 0x100000000,
          0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffff000]
for i in range(16):
    with open(os.path.join(sys.argv[1], ('executor', 'pie', 'dynamic')[i % 3]), 'rb') as f:
        data = bytearray(f.read())
    for _ in range(random.choice((1, 1, 2))):
        size = random.choice((2, 4, 8))
        at = random.randrange(16, 64 + 4 * 56, size)
        data[at:at + size] = random.choice(values).to_bytes(8, 'little')[:size]
    path = os.path.join(sys.argv[1], 'm%02d' % i)
    with open(path, 'wb') as f:
        f.write(data)
    os.chmod(path, 0o755)
END
