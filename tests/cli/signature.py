#!/usr/bin/env python3
"""Signatures of built images: ingot sign, verify --key, run --require-signature. On a vkernel without compiled code.

    signature.py VKERNEL MKPAYLOAD INGOT SHOW.c
"""
import os, shutil, stat, struct, subprocess, sys, tempfile

from artifact_file import FOOTER, SIGNATURE, Image

vkernel, mkpayload, ingot, source = (os.path.abspath(a) for a in sys.argv[1:])
failed = 0


def expect(what, condition, shown=''):
    global failed
    print('ok' if condition else 'not ok', what, '' if condition else shown)
    failed += not condition


def call(*args):
    r = subprocess.run([ingot, *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout + r.stderr


def key(path, algorithm='ed25519'):
    subprocess.run(['openssl', 'genpkey', '-algorithm', algorithm, '-out', path + '.key'], check=True, capture_output=True)
    subprocess.run(['openssl', 'pkey', '-in', path + '.key', '-pubout', '-out', path + '.pub'], check=True)
    return path + '.key', path + '.pub'


def main():
    with tempfile.TemporaryDirectory() as work:
        root, image, bad = (os.path.join(work, name) for name in ('root', 'image', 'bad'))
        for d in ('bin', 'run', 'var', 'etc'):
            os.makedirs(os.path.join(root, d))
        subprocess.run(['cc', '-O1', '-static', '-o', root + '/bin/show', source], check=True)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image, '/bin/show'], check=True)
        (a, a_pub), (b, b_pub), (rsa, rsa_pub) = key(work + '/a'), key(work + '/b'), key(work + '/rsa', 'RSA')

        def started(*options, path=image):
            code, text = call('run', *options, path, 'show')
            return code == 7 and '/ 0 ' in text

        def refused(why, *options, path=image):
            code, text = call('run', *options, path, 'show')
            return code == 125 and why in text and '/ 0 ' not in text

        expect('an unsigned image verifies', call('verify', image)[0] == 0, call('verify', image))
        expect('but not with a key', call('verify', '--key', a_pub, image)[0] == 1)
        expect('and is not run', refused('not signed', '--require-signature', a_pub))
        unsigned = open(image, 'rb').read()
        expect('sign', call('sign', '--key', a, image) == (0, ''), call('sign', '--key', a, image))
        expect('still executable', stat.S_IMODE(os.stat(image).st_mode) == 0o755)
        expect('verify', call('verify', '--key', a_pub, image)[0] == 0, call('verify', '--key', a_pub, image))
        expect('verify with the private key\'s file', call('verify', '--key', a, image)[0] == 0)
        expect('another key', call('verify', '--key', b_pub, image)[0] == 1 and refused('not by this key', '--require-signature', b_pub))
        expect('run', started('--require-signature', a_pub) and started())
        code, text = call('run', '--require-signature', a_pub, '--lockstep=' + image, image)
        expect('another artifact beside it, which nobody checked', code == 2 and 'does not go with' in text, text)
        once = open(image, 'rb').read()
        expect('sign again', call('sign', '--key', a, image)[0] == 0 and open(image, 'rb').read() == once)
        expect('a second key', call('sign', '--key', b, image)[0] == 0 and
               call('verify', '--key', a_pub, '--key', b_pub, image)[0] == 0 and
               started('--require-signature', a_pub, '--require-signature', b_pub))
        expect('content as before', open(image, 'rb').read()[:len(unsigned) - FOOTER] == unsigned[:-FOOTER])
        for what, keyfile in (('RSA', rsa), ('public only', a_pub), ('missing', work + '/none'), ('no key', image)):
            before = open(image, 'rb').read()
            code, text = call('sign', '--key', keyfile, image)
            expect('sign with a wrong key: ' + what, code == 1 and text.startswith('ingot: sign: ') and open(image, 'rb').read() == before, text)
        expect('require an RSA key', refused('no Ed25519 key', '--require-signature', rsa_pub))

        # A false image whose hashes all match, with the signatures of the right one.
        for what, change in (('config', lambda i: i.data.replace(b'/bin/show', b'/bin/evil', 1)),
                             ('code', lambda i: i.data.replace(b'unknown option', b'unknown optioN', 1))):
            false = Image(image)
            size = len(false.data)
            false.data = bytearray(change(false))
            assert len(false.data) == size
            false.rehash()
            false.write(bad)
            expect(f'false {what}: hashes match', call('verify', bad)[0] == 0, call('verify', bad))
            expect(f'false {what}: the signature does not', call('verify', '--key', a_pub, bad)[0] == 1 and
                   refused('does not match', '--require-signature', a_pub, path=bad))
        # Code changed without its hash: found although the signature is right.
        false = Image(image)
        false.data = bytearray(false.data.replace(b'unknown option', b'unknown optioN', 1))
        false.write(bad)
        expect('changed code', refused('native code does not match', '--require-signature', a_pub, path=bad))
        expect('is not signed', call('sign', '--key', a, bad)[0] == 1)
        # The signatures of another image.
        shutil.copy(vkernel, work + '/other')
        with open(root + '/bin/more', 'w') as f:
            f.write('more')
        subprocess.run([sys.executable, mkpayload, vkernel, root, work + '/other', '/bin/show'], check=True)
        call('sign', '--key', a, work + '/other')
        other, mine = Image(work + '/other'), Image(image)
        tail = len(mine.data) - FOOTER - mine.signatures * SIGNATURE
        mine.data[tail:tail + SIGNATURE] = other.data[-FOOTER - SIGNATURE:-FOOTER]
        mine.write(bad)
        expect('the signature of another image', call('verify', '--key', a_pub, bad)[0] == 1, call('verify', '--key', a_pub, bad))
        for count in (3, 1, 0, 64, 65, 1 << 60, (1 << 64) - 1):
            wrong = Image(image)
            struct.pack_into('<Q', wrong.data, len(wrong.data) - 8, count)
            wrong.write(bad)
            expect(f'{count} signatures in the footer', call('verify', bad)[0] == 1 and refused('', '--require-signature', a_pub, path=bad))
    return failed != 0


sys.exit(main())
