#!/usr/bin/env python3
"""Rewritten code in artifacts: ingot verify, and the end of ingot build, refuse what breaks a rule although all hashes are right.

    artifact.py INGOT
"""
import glob, hashlib, json, os, re, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cli'))
from artifact_file import CODE_MAP, Image

ingot = os.path.abspath(sys.argv[1])
LEVEL_AT = 102 # in the header
failed = 0
# It has a table of labels, calls through pointers, and an empty first word in some table.
PROGRAM = r'''
#include <stdio.h>
#include <stdlib.h>
static int one(int x) { return x + 1; }
static int two(int x) { return x * 2; }
static int (*const functions[])(int) = {one, two};
int main(int argc, char **argv)
{
    int x = argc > 1 ? atoi(argv[1]) : 3;
    switch (x) {
    case 0: puts("a"); break; case 1: puts("b"); break; case 2: puts("c"); break; case 3: x = functions[argc & 1](x); break;
    case 4: puts("e"); break; case 5: puts("f"); break; case 6: puts("g"); break; default: puts("h");
    }
    return x;
}
'''


def expect(what, condition, shown=''):
    global failed
    print('ok' if condition else 'not ok', what, '' if condition else shown)
    failed += not condition


def call(*args):
    r = subprocess.run([ingot, *args], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout + r.stderr


def make_root(work):
    root = work + '/root'
    os.makedirs(root + '/bin')
    with open(work + '/program.c', 'w') as f:
        f.write(PROGRAM)
    subprocess.run(['cc', '-O2', '-static', '-o', root + '/bin/program', work + '/program.c'], check=True)
    return root


def refused(image, path, what, *texts):
    image.rehash()
    code, text = call('verify', image.write(path))
    expect(what, code == 1 and all(t in text for t in ('match their hashes', '/bin/program: ', *texts)), text)


def change_code(image):
    """A memory operand loses its segment: 65 becomes 3e, which means nothing."""
    at, size, address = image.elf_section('ingot_direct_text')
    where = image.data.index(b'\x65\x67\x48\x8b', at, at + size)
    image.data[where] = 0x3e
    return '%#x: 3e 67 48 8b ' % (address + where - at)


def entries_of(image, section):
    at, size, *_ = image.elf_section(section) if isinstance(section, str) else image.section(section)
    return at, struct.unpack_from('<%dI' % (size // 4), image.data, at)


def test_verify(good, bad):
    image = Image(good)
    where = change_code(image)
    refused(image, bad, 'a changed instruction', 'host address ' + where, '(rule ')

    image = Image(good)
    at, entries = entries_of(image, CODE_MAP)
    k = next(i for i, entry in enumerate(entries) if entry)
    struct.pack_into('<I', image.data, at + 4 * k, entries[k] + 1)
    refused(image, bad, 'an entry of the code map', 'code map, offset ', '(rule CODE_MAP)')

    image = Image(good)
    _, size, text = image.elf_section('ingot_direct_text')
    at, entries = entries_of(image, 'ingot_direct_tables')
    k = next(i for i, entry in enumerate(entries) if text <= entry < text + size)
    struct.pack_into('<I', image.data, at + 4 * k, text)
    refused(image, bad, 'a label', '(rule LABELS)')

    image = Image(good)
    at, _, _ = image.elf_section('ingot_direct_index')
    struct.pack_into('<I', image.data, at + 4, struct.unpack_from('<I', image.data, at + 4)[0] + 1)
    refused(image, bad, 'the index of the map of instructions', '(rule ')

    image = Image(good)
    at, _, _ = image.elf_section('ingot_direct_units')
    struct.pack_into('<I', image.data, at + 32, struct.unpack_from('<I', image.data, at + 32)[0] + 1)
    image.rehash()
    code, text = call('verify', image.write(bad))
    expect('a longer text', code == 1 and 'not where the texts are' in text, text)


def unconfined(data):
    data[data.index(b'\x65\x67\x48\x8b')] = 0x3e


def another_section(data):
    """Its index becomes an initialiser of the executable."""
    at = data.rindex(b'ingot_direct_index\0')
    data[at:at + 19] = b'.init_array.00001\0\0'


def poison(cache, change):
    """A change of the native object in the cache, with its hash."""
    path, = glob.glob(cache + '/native/*.0.o')
    with open(path, 'rb') as f:
        data = bytearray(f.read())
    good = bytes(data)
    change(data)
    put(path, data)
    return lambda: put(path, good)


def put(path, data):
    with open(path, 'wb') as f:
        f.write(data)
    with open(path + '.sum', 'w') as f:
        f.write(hashlib.sha256(data).hexdigest() + '\n')


def test_left_out(work, root, build, good):
    """What is refused is not linked, which is said; --strict makes it an error."""
    out, report = work + '/partly', work + '/report'
    for change, why in ((unconfined, 'its rewritten code is refused by the verifier: /bin/program: host address'),
                        (another_section, 'its native object is refused by the verifier: ')):
        restore = poison(work + '/cache', change)
        code, text = call(*build, good, '--strict')
        expect('--strict', code == 1 and why in text and '/bin/program' in text, text)
        expect('leaves what was there', not glob.glob(good + '.tmp*'))
        code, text = call(*build, out, '--report', report)
        expect('without', code == 0 and 'warning: /bin/program is left to the evaluator' in text and why in text, text)
        with open(report) as f:
            said = json.load(f)
        expect('the report', said['total']['left_out'] == 1 and why in said['programs'][0]['left_out'] and
               said['total']['covered_bytes'] == 0, said['total'])
        code, text = call('verify', out)
        expect('what is left is right', code == 0 and 'the code of 0 programs' in text, text)
        code, text = call('run', '--stats', out, '/bin/program')
        expect('it runs', code == 6 and re.search(r'evaluated: 0x', text), (code, text))
        restore()
    # As if the rewriter could not make it.
    native, = glob.glob(work + '/cache/native/*.0.o')
    why = native.removesuffix('.0.o') + '.why'
    put(why, b'it is too beautiful')
    code, text = call(*build, good, '--strict')
    expect('not made, --strict', code == 1 and 'it is too beautiful' in text, text)
    code, text = call(*build, out)
    expect('not made', code == 0 and 'warning: /bin/program is left to the evaluator' in text and 'it is too beautiful' in text, text)
    expect('it runs, too', call('run', out, '/bin/program')[0] == 6)
    os.unlink(why)
    code, text = call(*build, out, '--report', report)
    with open(report) as f:
        expect('and is back', code == 0 and json.load(f)['total']['left_out'] == 0, text)


def test_level(build, good, bad):
    """The C library in the program has AVX2 variants, which an artifact of level v2 may not have."""
    code, text = call(*build, good, '--cpu', 'x86-64-v3')
    expect('build for v3', code == 0, text)
    code, text = call('verify', good)
    expect('verify v3', code == 0 and 'the code of 1 programs and libraries keeps to its rules' in text, text)
    image = Image(good)
    struct.pack_into('<H', image.data, image.payload + LEVEL_AT, 2)
    refused(image, bad, 'code of v3 in an artifact that says v2', 'these bytes are no instruction (rule DECODE)')
    struct.pack_into('<H', image.data, image.payload + LEVEL_AT, 4)
    image.rehash()
    code, text = call('verify', image.write(bad))
    expect('a level that there is not', code == 1 and 'no such level of processors' in text, text)
    code, text = call('run', bad, '/bin/program')
    expect('it does not start', code == 125 and 'a processor that this version of ingot does not know' in text, (code, text))


def main():
    with tempfile.TemporaryDirectory() as work:
        root, good, bad = make_root(work), work + '/good', work + '/bad'
        build = ('build', '-q', '--backend', 'direct', '--cache', work + '/cache', root, '-o')
        code, text = call(*build, good)
        expect('build', code == 0, text)
        code, text = call('verify', good)
        expect('verify', code == 0 and 'the code of 1 programs and libraries keeps to its rules' in text, text)
        test_verify(good, bad)
        before = open(good, 'rb').read()
        test_left_out(work, root, build, good)
        expect('the good one is as it was', open(good, 'rb').read() == before)
        test_level(build, work + '/good-v3', bad)
    sys.exit(failed != 0)


main()
