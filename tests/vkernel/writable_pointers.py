#!/usr/bin/env python3
"""No function pointer may lie in memory that is writable while guests run: whoever can write there would choose what runs next.

    writable_pointers.py VK_DEV INGOT

Two executables are read: the vkernel for development, and an artifact of nothing, linked as all artifacts are. From their DWARF: every
variable whose type holds a pointer to a function must lie in memory that is read-only after start, no type of the heap's pools may hold one,
and every table of operations lies in its type's section (vkernel/ops.h). What has no DWARF (the C library) is searched for
initial values that are addresses of code. Exceptions are named below, with the reason; one that is not needed any more is a failure as well.
"""
import os, re, struct, subprocess, sys, tempfile

CALLED = 'is called through CALLED (vkernel/ops.h), which takes callbacks only'
# Variables in writable memory.
VARIABLES = {
    'aio_timer': CALLED, 'memory_timer': CALLED, 'grace': CALLED, 'timeout': CALLED, 'late': CALLED, 'host_watch': CALLED, 'net_watch': CALLED, 'clock_watch': CALLED,
    'r': 'lockstep only (run/lockstep.c), which nobody runs with a guest that they do not trust',
    'main_fiber': 'the entry of a fiber is called once, when it begins, and this one has begun',
}
# Types of the heap's pools: their memory is never another type's, and cleared when it is freed.
OBJECTS = {
    'process': CALLED, 'task': CALLED, 'timerfd': CALLED, 'posix_timer': CALLED, 'aio_poll': CALLED, 'async': CALLED, 'host_file': CALLED, 'epoll_item': CALLED,
    'socket': CALLED, 'lookup': CALLED, 'asker': CALLED, 'superblock': CALLED, 'tty': CALLED,
    'platform_fiber': 'the entry of a fiber is called once, when it begins; its stack is as writable',
}
# Of the C library: initial values that are addresses of code, by the beginning of the name.
INITIAL = {
    '_IO_': 'streams: the C library looks that a table lies among its own, which are writable in a static link',
    '__elf_set___libc_subfreeres': 'called by nobody but memory checkers',
    '__elf_set___libc_atexit': 'called at an ordinary exit; the vkernel ends by _exit',
    'DW.ref.__gcc_personality_v0': 'unwinding, which nobody does',
}
TABLES = ('file_ops', 'inode_ops', 'socket_ops', 'pseudo')


def segments(data):
    phoff, = struct.unpack_from('<Q', data, 32)
    size, count = struct.unpack_from('<HH', data, 54)
    for i in range(count):
        kind, flags, offset, vaddr, _, filesz, memsz, _ = struct.unpack_from('<IIQQQQQQ', data, phoff + i * size)
        yield kind, flags, offset, vaddr, filesz, memsz


class Memory:
    """What of the executable is writable after start (PT_LOAD with W, without PT_GNU_RELRO), and what is code."""

    def __init__(self, path):
        self.data = open(path, 'rb').read()
        all_ = list(segments(self.data))
        self.writable = [s for s in all_ if s[0] == 1 and s[1] & 2]
        self.code = list(self.code_sections())
        self.relro = [(s[3], s[3] + s[5]) for s in all_ if s[0] == 0x6474e552]

    def code_sections(self):
        """By section: lld's code segment may begin with data."""
        shoff, = struct.unpack_from('<Q', self.data, 40)
        size, count = struct.unpack_from('<HH', self.data, 58)
        for i in range(count):
            _, _, flags, address, _, length = struct.unpack_from('<IIQQQQ', self.data, shoff + i * size)
            if flags & 4:
                yield address, address + length

    def is_writable(self, a):
        return any(s[3] <= a < s[3] + s[5] for s in self.writable) and not any(lo <= a < hi & ~4095 for lo, hi in self.relro)

    def initial_code_pointers(self):
        for _, _, offset, vaddr, filesz, _ in self.writable:
            for at in range(-vaddr % 8, filesz - 7, 8):
                value, = struct.unpack_from('<Q', self.data, offset + at)
                if any(lo <= value < hi for lo, hi in self.code) and self.is_writable(vaddr + at):
                    yield vaddr + at


class Dies:
    """The debugging information, read from readelf's text: {offset: entry}."""
    HEAD = re.compile(r'^ <([0-9a-f]+)><([0-9a-f]+)>: Abbrev Number: \d+(?: \(DW_TAG_(\w+)\))?')
    ATTRIBUTE = re.compile(r'^    <[0-9a-f]+>   DW_AT_(\w+) *: ?(.*)$')
    KEPT = {'name', 'type', 'location', 'declaration', 'specification', 'abstract_origin'}
    TYPES = {'structure_type', 'union_type', 'array_type', 'pointer_type', 'subroutine_type', 'typedef', 'const_type', 'volatile_type',
             'restrict_type', 'atomic_type', 'member', 'variable', 'base_type', 'enumeration_type'}

    def __init__(self, path):
        self.entries, stack, entry = {}, [], None
        p = subprocess.Popen(['readelf', '-W', '--debug-dump=info', path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                             errors='replace')
        for line in p.stdout:
            m = self.HEAD.match(line)
            if m:
                entry = None
                if not m[3]:
                    continue
                depth = int(m[1], 16)
                entry = {'tag': m[3], 'children': []}
                del stack[depth:]
                if m[3] in self.TYPES:
                    self.entries[int(m[2], 16)] = entry
                    if stack and stack[-1] is not None:
                        stack[-1]['children'].append(entry)
                stack.append(entry)
            elif entry is not None:
                m = self.ATTRIBUTE.match(line)
                if m and m[1] in self.KEPT:
                    entry[m[1]] = m[2].strip()
        p.wait()
        self.known = {}

    def reference(self, entry, attribute):
        m = re.search(r'<0x([0-9a-f]+)>', entry.get(attribute, ''))
        return int(m[1], 16) if m else None

    def name(self, entry):
        return entry.get('name', '').rsplit(': ', 1)[-1].replace('(string) ', '').strip()

    def holds(self, offset):
        """Does a value of the type at this offset hold a pointer to a function?"""
        if offset is None or offset not in self.entries:
            return False
        if offset not in self.known:
            self.known[offset] = False  # what refers to itself does so through a pointer
            e = self.entries[offset]
            target = self.reference(e, 'type')
            if e['tag'] == 'pointer_type':
                while target in self.entries and self.entries[target]['tag'] in ('typedef', 'const_type', 'volatile_type'):
                    target = self.reference(self.entries[target], 'type')
                self.known[offset] = target in self.entries and self.entries[target]['tag'] == 'subroutine_type'
            elif e['tag'] in ('structure_type', 'union_type'):
                self.known[offset] = any(self.holds(self.reference(c, 'type')) for c in e['children'] if c['tag'] == 'member')
            elif e['tag'] != 'subroutine_type':
                self.known[offset] = self.holds(target)
        return self.known[offset]

    def element(self, offset):
        """The name of the structure that this type is, or is an array of."""
        while offset in self.entries and self.entries[offset]['tag'] in ('const_type', 'volatile_type', 'array_type', 'typedef'):
            offset = self.reference(self.entries[offset], 'type')
        e = self.entries.get(offset)
        return self.name(e) if e and e['tag'] == 'structure_type' else None

    def variables(self):
        """(name, address, type); None for an address of the thread's own memory."""
        for e in self.entries.values():
            if e['tag'] != 'variable' or 'location' not in e:
                continue
            origin = e
            while 'type' not in origin:
                at = self.reference(origin, 'specification') or self.reference(origin, 'abstract_origin')
                if at not in self.entries:
                    break
                origin = self.entries[at]
            m = re.search(r'\(DW_OP_addr: ([0-9a-f]+)\)', e['location'])
            if m or 'tls' in e['location']:
                yield self.name(origin), int(m[1], 16) if m else None, self.reference(origin, 'type')


def check(executable):
    memory, dies, complaints, needed = Memory(executable), Dies(executable), set(), set()

    def complain(kind, name, exceptions, text):
        if kind == 'initial':
            name = next((e for e in exceptions if name.startswith(e)), name)
        needed.add((kind, name))
        if name not in exceptions:
            complaints.add(text)

    symbols, bounds = [], {}
    for line in subprocess.run(['nm', '-S', '--defined-only', executable], capture_output=True, text=True).stdout.splitlines():
        f = line.split()
        if len(f) == 4:
            symbols.append((int(f[0], 16), int(f[1], 16), f[3]))
        elif f[2].startswith(('__start_ops_', '__stop_ops_')):
            bounds[f[2]] = int(f[0], 16)
    structs, seen, tables = {}, {}, 0
    for offset, e in dies.entries.items():
        if e['tag'] == 'structure_type' and 'declaration' not in e and e['children']:
            structs.setdefault(dies.name(e), offset)
    for name, address, kind in dies.variables():
        seen[name, address] = True
        table = dies.element(kind)
        if table in TABLES and address is not None:
            tables += 1
            if not bounds.get(f'__start_ops_{table}', 0) <= address < bounds.get(f'__stop_ops_{table}', 0):
                complaints.add(f'{name} is a struct {table} without OPS_TABLE')
        if dies.holds(kind) and (address is None or memory.is_writable(address)):
            complain('variable', name, VARIABLES, f'{name} holds a pointer to a function and is writable')
        if name.startswith('pool_') and name[5:] in structs and dies.holds(structs[name[5:]]):
            complain('object', name[5:], OBJECTS, f'struct {name[5:]}, which lies on the heap, holds a pointer to a function')
    ours = {name for name, _ in seen}
    for address in memory.initial_code_pointers():
        names = [n for a, size, n in symbols if a <= address < a + size]
        name = re.sub(r'\.\d+$', '', names[0]) if names else f'{address:#x}'
        if name not in ours:
            complain('initial', name, INITIAL, f'{name} at {address:#x} is writable and begins as an address of code')
    for kind, exceptions in (('variable', VARIABLES), ('object', OBJECTS), ('initial', INITIAL)):
        complaints |= {f'the exception for {kind} {name} is not needed' for name in exceptions if (kind, name) not in needed}
    if len(seen) < 300 or tables < 60:
        complaints.add(f'only {len(seen)} variables and {tables} tables were found')
    for c in sorted(complaints):
        print('not ok -', c)
    print(f'{"not ok" if complaints else "ok"} - {os.path.basename(executable)}: {len(seen)} variables, {tables} tables of operations')
    return len(complaints)


def main():
    vk_dev, ingot = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as work:
        os.mkdir(work + '/root')
        subprocess.run([ingot, 'build', '-q', '--cache', work + '/cache', work + '/root', '-o', work + '/artifact'], check=True)
        return check(vk_dev) + check(work + '/artifact') != 0


sys.exit(main())
