#!/usr/bin/env python3
"""The arrows between the rooms of the vkernel: a room includes and calls itself and what stands before it in src/vkernel/meson.build, nothing
that stands behind.

    rooms.py SOURCE_FOLDER LIBRARY...    the libraries from the ground up: .../libvkernel_ROOM.a

What a room needs of a later one comes by its hooks: a constant table NAME_hooks, which boot/hooks.c fills. The table of system calls is of
that kind, too. Two includes are no arrows: abi/syscall.h, which has the handlers' prototypes for those who define them, and
ops.h, which belongs to no room.
"""
import pathlib, re, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from arrows import symbols

TABLE = 'syscall_table'
PROTOTYPES = ('abi', 'syscall.h')


def rooms_of(libraries):
    names = [re.fullmatch(r'libvkernel_(\w+)\.a', pathlib.Path(l).name) for l in libraries]
    assert all(names), 'a library is not of a room'
    return [m[1] for m in names]


def main():
    source, libraries = pathlib.Path(sys.argv[1]) / 'src/vkernel', sys.argv[2:]
    rooms = rooms_of(libraries)
    rank = {room: i for i, room in enumerate(rooms)}
    defined, used, failures, calls, includes = {}, [], [], 0, 0

    for room, library in zip(rooms, libraries):
        for member, name, is_defined in symbols(library):
            if is_defined:
                defined[name] = room
            else:
                used.append((room, member, name))
    for room, member, name in used:
        to = defined.get(name)
        calls += to is not None
        if to is not None and rank[to] > rank[room] and name != TABLE and not name.endswith('_hooks'):
            failures.append(f'{room}/{member} uses {name} of {to}/')
    for name, room in defined.items():
        if name.endswith('_hooks') and room != 'boot':
            failures.append(f'{name} is defined in {room}/: it belongs into boot/hooks.c')

    folders = {p.name for p in source.iterdir() if p.is_dir()}
    for room in folders ^ set(rooms):
        failures.append(f'{room}: ' + ('a folder that is no room' if room in folders else 'a room without a folder'))
    for room in folders & set(rooms):
        for path in sorted((source / room).glob('*.[ch]')):
            for to, header in re.findall(r'^#include "vkernel/(?:(\w+)/)?([\w.]+)"', path.read_text(), re.M):
                includes += 1
                if to and (to, header) != PROTOTYPES and rank.get(to, len(rank)) > rank[room]:
                    failures.append(f'{room}/{path.name} includes {to}/{header}')
                if header.endswith('_internal.h') and to != room:
                    failures.append(f'{room}/{path.name} includes {to}/{header}, which is for {to}/ alone')
    for failure in failures:
        print(f'not ok - {failure}')
    if calls < 1000 or includes < 300:
        print(f'not ok - only {calls} calls and {includes} includes were found')
        return 1
    print(f'{"not ok" if failures else "ok"} - {len(rooms)} rooms, {calls} uses of functions and variables, {includes} includes')
    return bool(failures)


if __name__ == '__main__':
    sys.exit(main())
