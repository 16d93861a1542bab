"""Reader, validator and linker against wabt and V8: read_run.py SOURCE_DIR READ_MUTATE READ_LINK WORK_DIR

What we accept wabt must accept (we reject more: features that nothing here uses). A linked megabinary must
pass wasm-validate, load in V8 and compute with each object's own bases.
"""
import os
import subprocess
import sys

source, mutate, link, work = sys.argv[1:5]
os.makedirs(os.path.join(work, 'sample'), exist_ok=True)
FEATURES = ['--enable-tail-call']


def path(name):
    return os.path.join(work, name)


def run(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout


def wabt_accepts(name):
    return subprocess.run(['wasm-validate', *FEATURES, name], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def add_entries(name, addresses):
    """Section ingot.entries, which the text format has no word for."""
    leb, last = bytearray([len(addresses)]), 0
    for a in addresses:
        assert a - last < 128
        leb.append(a - last)
        last = a
    body = bytes([13]) + b'ingot.entries' + bytes(leb)
    with open(name, 'ab') as f:
        f.write(bytes([0, len(body)]) + body)


failures = 0
for text in ('object_a', 'object_b'):
    run('wat2wasm', *FEATURES, os.path.join(source, 'read_%s.wat' % text), '-o', path(text + '.wasm'))
    add_entries(path(text + '.wasm'), [0x10, 0x20])
for old in os.listdir(path('sample')):
    os.remove(os.path.join(path('sample'), old))
print(run(mutate, path('object_a.wasm'), path('sample')), end='')
yes = no = stricter = 0
for name in sorted(os.listdir(path('sample'))):
    wabt = wabt_accepts(os.path.join(path('sample'), name))
    ours = name.startswith('yes')
    yes, no, stricter = yes + (ours and wabt), no + (not ours and not wabt), stricter + (wabt and not ours)
    if ours and not wabt:
        print('%s: we accept it, wabt does not' % name)
        failures += 1
print('sample: both accept %d, both reject %d, only wabt accepts %d' % (yes, no, stricter))
print(run(link, path('app.wasm'), path('object_a.wasm'), '0x400000', path('object_b.wasm'), '0x2000000'), end='')
if not wabt_accepts(path('app.wasm')):
    print('app.wasm: wabt does not accept it')
    failures += 1
run(mutate, path('app.wasm'))
print(run(os.path.join(source, '../node.sh'), os.path.join(source, 'read_link.cjs'), path('app.wasm')), end='')
sys.exit(1 if failures else 0)
