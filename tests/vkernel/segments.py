#!/usr/bin/env python3
"""Programs that cannot be loaded: execve fails, and standard error and the audit log say why.

    segments.py VKERNEL MKPAYLOAD
"""
import json, os, subprocess, sys, tempfile

vkernel, mkpayload = sys.argv[1:3]

LARGE = 'char large[1500u << 20]; int main(int n, char **v) { large[n * 1000] = 1; return large[n]; }'
WRITABLE = ('__attribute__((section(".text"))) int word = 1;'
            'void _start(void) { __asm__("mov $60, %eax; xor %edi, %edi; syscall"); }')
PROGRAMS = {
    'large': (LARGE, ['-static', '-mcmodel=medium'], 'do not fit in the address space'),
    'writable': (WRITABLE, ['-static', '-nostdlib', '-Wl,-N'], 'writable and executable at the same time'),
}


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        root, image, log = work + '/root', work + '/image', work + '/audit'
        for d in ('bin', 'etc', 'tmp', 'proc', 'dev'):
            os.makedirs(f'{root}/{d}')
        for name, (source, options, _) in PROGRAMS.items():
            with open(f'{work}/{name}.c', 'w') as f:
                f.write(source)
            subprocess.run(['cc', '-w', '-O1', *options, '-o', f'{root}/bin/{name}', f'{work}/{name}.c'], check=True,
                           stderr=subprocess.DEVNULL)
        subprocess.run([sys.executable, mkpayload, vkernel, root, image], check=True)
        for name, (_, _, reason) in PROGRAMS.items():
            if os.path.exists(log):
                os.unlink(log)
            r = subprocess.run([image, '/bin/' + name], capture_output=True, text=True, timeout=60,
                               env=dict(os.environ, INGOT_OPTIONS='--audit ' + log))
            with open(log) as f:
                actions = [json.loads(line).get('event.action') for line in f if line.strip()]
            right = r.returncode == 126 and f'/bin/{name} cannot be executed' in r.stderr and reason in r.stderr and \
                'segment-refused' in actions
            print('ok' if right else 'not ok', name)
            if not right:
                failed += 1
                print(r.returncode, r.stderr, actions)
    return failed != 0


sys.exit(main())
