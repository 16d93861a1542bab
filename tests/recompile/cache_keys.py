#!/usr/bin/env python3
"""The keys of the cache count every source file that can change an entry.

usage: cache_keys.py BUILD COVERED PROGRAM

COVERED is what tools/source_version.py wrote: the files behind each hash in the keys. What should stand there is found in another way,
from what was built: starting at the function that makes entries, the linker's own symbols lead to every object in PROGRAM's
libraries that it can reach, ninja's records of the compiler to every file that was read for these objects, and ninja's
rules from generated files to those that they are made of.
"""
import collections
import json
import os
import subprocess
import sys

# For each hash: where entries begin to be made, and functions that belong to another hash, with one that must be reached.
ROOTS = {
    'RECOMPILER_VERSION': ('recompile_objects', {'direct_rewrite'}, 'wasm_object_finish'),
    'DIRECT_SOURCE_VERSION': ('recompile_objects', {'code_object_make'}, 'direct_rewrite'),
    'AOT_SOURCE_VERSION': ('recompile_native', set(), 'aot_compile'),
}
VERSIONS = 'recompiler_version.h'  # holds the hashes themselves

build, covered_path, program = sys.argv[1:]
build = os.path.realpath(build)
source = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))


def run(*command):
    return subprocess.run(command, cwd=build, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked_objects():
    """The objects in the libraries that PROGRAM is linked from, and in itself."""
    link = run('ninja', '-t', 'commands', '-s', os.path.relpath(program, build)).split()
    objects = [word for word in link if word.endswith('.o')]
    for archive in [word for word in link if word.endswith('.a') and os.path.exists(os.path.join(build, word))]:
        if not os.path.isabs(archive): # ours, and thin: the names that it lists are those of files in BUILD
            objects += run('ar', 't', archive).split()
    return objects


def symbols(objects):
    """symbol -> object that defines it, object -> symbols that it wants."""
    defined, wanted = {}, collections.defaultdict(set)
    for line in run('nm', '-A', '-P', '-g', *objects).splitlines():
        name, symbol, kind = line.split()[:3]
        name = name.rstrip(':')
        if kind in 'Uwv':
            wanted[name].add(symbol)
        else:
            defined[symbol] = name
    return defined, wanted


def reached(root, stops, defined, wanted):
    todo, seen, names = [root], set(), set()
    while todo:
        symbol = todo.pop()
        if symbol in names or symbol in stops:
            continue
        names.add(symbol)
        name = defined.get(symbol)
        if name and name not in seen:
            seen.add(name)
            todo += wanted[name]
    return seen, names


def compiler_read(objects):
    """object -> files that the compiler read for it, as ninja recorded."""
    files, target = collections.defaultdict(set), None
    for line in run('ninja', '-t', 'deps', *objects).splitlines():
        if line.startswith('    '):
            files[target].add(line.strip())
        elif ': #deps' in line:
            target = line.split(': #deps')[0]
    return files


def made_of(path, seen):
    """The sources of a generated file, through other generated ones."""
    if path in seen:
        return set()
    seen.add(path)
    found, listed = set(), False
    for line in run('ninja', '-t', 'query', path).splitlines():
        if line == '  outputs:':
            break
        if line.startswith('  input:'):
            listed = True
        elif listed and line.startswith('    '):
            name = line.strip().lstrip('| ')
            absolute = os.path.realpath(os.path.join(build, name))
            if absolute.startswith(build + os.sep):
                found |= made_of(os.path.relpath(absolute, build), seen)
            elif absolute.startswith(source + os.sep):
                found.add(os.path.relpath(absolute, source))
    if not listed:
        sys.exit(f'{path} is read but no rule of the build makes it')
    return found


def sources(files, generated):
    """Those of the project, as names in its tree; what is generated stands for its sources."""
    found = set()
    for name in files:
        absolute = os.path.realpath(os.path.join(build, name))
        if absolute.startswith(build + os.sep):
            name = os.path.relpath(absolute, build)
            if os.path.basename(name) != VERSIONS:
                if name not in generated:
                    generated[name] = made_of(name, set())
                found |= generated[name]
        elif absolute.startswith(source + os.sep):
            found.add(os.path.relpath(absolute, source))
    return found


def main():
    with open(covered_path, encoding='utf-8') as f:
        covered = json.load(f)
    if set(covered) != set(ROOTS):
        sys.exit(f'the hashes are {sorted(covered)}, and this test knows {sorted(ROOTS)}')
    objects = linked_objects()
    defined, wanted = symbols(objects)
    read, generated, failed = compiler_read(objects), {}, False
    for version, (root, stops, must) in ROOTS.items():
        for symbol in {root, must} | stops:
            if symbol not in defined:
                sys.exit(f'{program} has no {symbol}()')
        seen, names = reached(root, stops, defined, wanted)
        if must not in names:
            sys.exit(f'{root}() does not lead to {must}()')
        needed = set()
        for name in seen:
            if not read[name]:
                sys.exit(f'ninja has no record of what {name} was compiled from')
            needed |= sources(read[name], generated)
        for missing in sorted(needed - set(covered[version])):
            print(f'{version} does not count {missing}')
            failed = True
        print(f'{version}: {len(seen)} objects, {len(needed)} files, {len(covered[version])} counted')
    sys.exit(failed)


main()
