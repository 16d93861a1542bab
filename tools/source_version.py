#!/usr/bin/env python3
"""Writes a header with hashes over source files: what the cache keys of the recompiler stand on.

usage: source_version.py HEADER COVERED DEPFILE SRC --version NAME FILE... [--version NAME FILE...] ...

NAME becomes a macro with a hash over the FILEs and over every file that they include, directly or through others; an
#include "..." is looked for beside the file that has it and in SRC, as the compiler does. An include that is found in neither is a
generated header: the files that it is made of are among the FILEs. COVERED gets the names of the files behind each hash as JSON,
for tests; DEPFILE tells ninja to run this again when one of them changes.
"""
import hashlib
import json
import os
import re
import sys

INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def included(path, text, src):
    for name in INCLUDE.findall(text):
        for folder in (os.path.dirname(path), src):
            found = os.path.normpath(os.path.join(folder, os.fsdecode(name)))
            if os.path.isfile(found):
                yield found
                break


def closure(paths, src, texts):
    """All files that count, as absolute names; texts keeps what was read of each."""
    todo, seen = [os.path.realpath(p) for p in paths], set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if path not in texts:
            with open(path, 'rb') as f:
                texts[path] = f.read()
        todo += included(path, texts[path], src)
    return seen


def digest(paths, root, texts):
    """Names count as well as contents, each with its length, and no name of a folder outside of the sources."""
    h = hashlib.sha256()
    for name, path in sorted((os.path.relpath(p, root), p) for p in paths):
        for part in (os.fsencode(name), texts[path]):
            h.update(len(part).to_bytes(8, 'little') + part)
    return h.hexdigest()


def write_if_changed(path, text):
    """Whatever depends on the file is built again only when it says something else."""
    try:
        with open(path, encoding='utf-8') as f:
            if f.read() == text:
                return
    except OSError:
        pass
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)


def main():
    header, covered_path, depfile, src, *rest = sys.argv[1:]
    src = os.path.realpath(src)
    root = os.path.dirname(src)
    versions = []
    while rest:
        option, name, *rest = rest
        if option != '--version':
            sys.exit(__doc__)
        end = rest.index('--version') if '--version' in rest else len(rest)
        versions.append((name, rest[:end]))
        rest = rest[end:]
    texts, covered, lines = {}, {}, ['/* Generated. */']
    for name, paths in versions:
        counted = closure(paths, src, texts)
        covered[name] = sorted(os.path.relpath(p, root) for p in counted)
        lines.append(f'#define {name} "{digest(counted, root, texts)}"')
    write_if_changed(header, '\n'.join(lines) + '\n')
    write_if_changed(covered_path, json.dumps(covered, indent=1) + '\n')
    with open(depfile, 'w', encoding='utf-8') as f:
        f.write(f'{header}: ' + ' '.join(p.replace(' ', '\\ ') for p in sorted(texts)) + '\n')


main()
