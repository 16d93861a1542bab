"""Every operator compiled by aot and executed on this processor, and by V8: both must agree.

    run_operators.py SOURCE_DIR OPERATORS_DEF AOT_TOOL WORK_DIR
"""
import os
import re
import shutil
import subprocess
import sys

source, table, tool, work = sys.argv[1:5]
os.makedirs(work, exist_ok=True)
CC = os.environ.get('CC', 'cc').split()


def path(name):
    return os.path.join(work, name)


def run(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout


def lld_folder():
    """The compiler looks for ld.lld; Debian's package has it under the name with its version only."""
    folder = path('lld')
    os.makedirs(folder, exist_ok=True)
    if not os.path.lexists(folder + '/ld.lld'):
        os.symlink(shutil.which('ld.lld-19'), folder + '/ld.lld')
    return folder + '/'


def link(offset):
    """offset: of cpu_tls from the FS base."""
    symbols = {'cpu.rax': offset, 'cpu.zf': offset + 8, 'cpu.xmm3': offset + 16, 'env.code_base.K': 0x1230000,
               'env.table_base.K': 0, 'ingot_table_size': 4096}
    flags = ['-Wl,--defsym=%s=%#x' % (k, v & (1 << 64) - 1) for k, v in symbols.items()]
    objects = [path(f) for f in sorted(os.listdir(work)) if re.match(r'code\.\d+\.o$', f)]
    run(*CC, '-O1', '-g', '-static', '-no-pie', '-fuse-ld=lld', '-B' + lld_folder(), *flags, '-Wl,--defsym=ingot_table=__start_ingot_table',
        '-o', path('harness'), os.path.join(source, 'harness.c'), *objects)


def tls_offset():
    header = re.search(r'TLS +\S+ \S+ \S+ \S+ (\S+) +\S+ +(\S+)', run('readelf', '-lW', path('harness')))
    size, align = int(header[1], 16), int(header[2], 16)
    symbol = re.search(r'^(\w+) \w cpu_tls$', run('nm', path('harness')), re.M)
    return int(symbol[1], 16) - (size + align - 1) // align * align


for old in os.listdir(work):
    if old.endswith('.o'):
        os.remove(path(old))
script = os.path.join(source, 'operators.py')
run(sys.executable, script, 'generate', table, os.path.join(source, 'control.wat'), path('operators.wat'),
    path('vectors.bin'), path('names.json'))
run('wat2wasm', '--enable-tail-call', path('operators.wat'), '-o', path('operators.wasm'))
run(tool, path('operators.wasm'), 'K', path('code'))
link(-64)
link(tls_offset())
run(path('harness'), path('vectors.bin'), path('native.bin'))
run(os.path.join(source, '../node.sh'), os.path.join(source, 'operators.cjs'), path('operators.wasm'), path('vectors.bin'), path('v8.bin'))
sys.exit(subprocess.run([sys.executable, script, 'compare', path('names.json'), path('vectors.bin'),
                         path('native.bin'), path('v8.bin')]).returncode)
