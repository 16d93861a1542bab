#!/usr/bin/env python3
"""The WebAssembly specification's tests, as Debian's source package binaryen carries them, through reader, validator and aot
(spec_run.c). Fails when what is found differs from the list, and when the package cannot be had.

    spec.py SPEC_RUN WORK_DIR LIST [--record] [--only REGEX] [-v]

The scripts are of several ages. What wabt does not read any more is written anew (old names of assertions, old block types)
or, where that does not help, left out form by form; how many forms that were is in the list, too.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time

PACKAGE = 'binaryen'
TREE = '/test/spec/'
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|;;[^\n]*|\(;|[()]|[^\s()";]+|;|\s+', re.S)


# --- the package ---
def source_lists(folder):
    """Where apt takes packages from, made lists of their sources, in both forms that apt reads."""
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    places = ['/etc/apt/sources.list'] + [os.path.join('/etc/apt/sources.list.d', n)
                                          for n in sorted(os.listdir('/etc/apt/sources.list.d'))]
    for number, path in enumerate(places):
        if not os.path.isfile(path) or not path.endswith(('.list', '.sources')):
            continue
        text = open(path).read()
        if path.endswith('.list'):
            lines = [re.sub(r'^deb\s', 'deb-src ', line) for line in text.splitlines() if re.match(r'deb\s', line)]
            text, suffix = '\n'.join(lines) + '\n', '.list'
        else:
            text, suffix = re.sub(r'(?m)^Types:.*$', 'Types: deb-src', text), '.sources'
        open(os.path.join(folder, '%d%s' % (number, suffix)), 'w').write(text)


def fetch(work):
    """The package's source archive; it stays in the work folder."""
    def archives():
        return [n for n in sorted(os.listdir(work)) if re.match(PACKAGE + r'_[^_]*\.orig\.tar\.\w+$', n)]
    if not archives():
        source_lists(os.path.join(work, 'sources'))
        os.makedirs(os.path.join(work, 'lists/partial'), exist_ok=True)
        options = ['-qq', '-o', 'Dir::Etc::sourcelist=/dev/null', '-o', 'Dir::Etc::sourceparts=' + os.path.join(work, 'sources'),
                   '-o', 'Dir::State::lists=' + os.path.join(work, 'lists'), '-o', 'APT::Sandbox::User=root']
        for command in (['update'], ['source', '--download-only', PACKAGE]):
            if subprocess.run(['apt-get', *options, *command], cwd=work, timeout=300).returncode != 0:
                sys.exit('FAIL: apt-get %s: the specification\'s tests cannot be had' % ' '.join(command))
        shutil.rmtree(os.path.join(work, 'lists'))
    if not archives():
        sys.exit('FAIL: the source package %s has no archive' % PACKAGE)
    return os.path.join(work, archives()[0])


def scripts(archive):
    """Name and text. Those named .fail are about errors of the text format, which is wabt's."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = os.path.basename(member.name)
            if os.path.dirname(member.name).endswith(TREE.rstrip('/')) and re.match(r'[\w.]+\.wast$', name) and '.fail.' not in name:
                found[name[:-5]] = tar.extractfile(member).read().decode('utf-8', 'surrogateescape')
    return found


# --- text ---
def tokens(text):
    """(token, offset) without space and comments."""
    at = 0
    while at < len(text):
        m = TOKEN.match(text, at)
        token = m[0] if m else text[at]
        if token == '(;':
            depth, end = 1, at + 2
            while depth and end < len(text):
                two = text[end:end + 2]
                depth += (two == '(;') - (two == ';)')
                end += 2 if two in ('(;', ';)') else 1
            at = end
            continue
        if not token.isspace() and not token.startswith(';;'):
            yield token, at
        at += len(token)


def forms(text):
    """The outermost forms, as slices of the text."""
    depth, start = 0, 0
    for token, at in tokens(text):
        if token == '(':
            start = at if depth == 0 else start
            depth += 1
        elif token == ')':
            depth -= 1
            if depth == 0:
                yield text[start:at + 1]


def tree(text):
    stack = [[]]
    for token, _ in tokens(text):
        if token == '(':
            stack.append([])
        elif token == ')':
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return stack[0][0]


def result_of(module, name):
    """The first result type of an exported function."""
    functions, wanted = [f for f in module if isinstance(f, list) and f and f[0] == 'func'], None
    for f in functions:
        if ['export', name] in f:
            wanted = f
    for x in module:
        if isinstance(x, list) and x[:2] == ['export', name]:
            at = x[2][1] if isinstance(x[2], list) else x[2]
            wanted = functions[int(at)] if at.isdigit() else next(f for f in functions if f[1] == at)
    return next((x[1] for x in wanted or [] if isinstance(x, list) and x[:1] == ['result']), None)


def modern(name, text):
    """The forms, as wabt and today's specification have them."""
    module, out = [], []
    for form in forms(text):
        if re.search(r'"invalid result arity"\s*\)$', form):
            continue  # several results are right by now
        if name.startswith('old_'):  # the canonical NaN stood for any that arithmetic gives
            form = re.sub(r'(?s)^(\(assert_return .*)\((f32|f64)\.const nan:0x(400000|8000000000000)\)\)$',
                          r'\1(\2.const nan:arithmetic))', form)
        head = re.match(r'\((\w+)', form)
        if head and head[1] == 'module':
            module = tree(form)
        m = re.match(r'\(assert_return_(canonical|arithmetic)_nan(.*)\)$', form, re.S)
        if m:
            invoked = re.search(r'\(invoke\s+(?:\$\S+\s+)?("(?:[^"\\]|\\.)*")', m[2])
            kind = invoked and result_of(module, invoked[1])
            if kind:
                form = '(assert_return%s (%s.const nan:%s))' % (m[2], kind, m[1])
        form = re.sub(r'(?<=[\s-])infinity(?=[\s)])', 'inf', form)
        if re.match(r'\(assert_return \(invoke "f(32x4|64x2)\.(add|sub|mul|div|sqrt|min|max)"', form):  # of either sign
            at = form.rindex('(v128.const')
            form = form[:at] + re.sub(r'-?nan(?=[\s)])', 'nan:canonical', form[at:])
        # Vectors of eight and sixteen lanes had the name of those of four.
        form = re.sub(r'v128\.const i32x4((?:\s+[^\s()]+){8})\)', r'v128.const i16x8\1)', form)
        form = re.sub(r'v128\.const i32x4((?:\s+[^\s()]+){16})\)', r'v128.const i8x16\1)', form)
        out.append(re.sub(r'\((block|loop|if)(\s+\$[^\s()]+)?\s+(i32|i64|f32|f64)\b(?!\.)', r'(\1\2 (result \3)', form))
    return out


# --- wabt ---
def convert_once(items, path, options):
    """None, or the forms that wabt does not take, modules that are not valid to it included."""
    with open(path + '.wast', 'w', errors='surrogateescape') as f:
        f.write('\n'.join(items) + '\n')
    p = subprocess.run(['wast2json', *options, path + '.wast', '-o', path + '.json'], stderr=subprocess.PIPE,
                       stdout=subprocess.PIPE, text=True, errors='replace', timeout=60)
    if p.returncode == 0:
        lines = {c['line'] for c in json.load(open(path + '.json'))['commands'] if c['type'] == 'module' and
                 subprocess.run(['wasm-validate', *options, os.path.join(os.path.dirname(path), c['filename'])],
                                stderr=subprocess.DEVNULL).returncode != 0}
        if not lines:
            return None
    else:
        lines = {int(n) for n in re.findall(r'\.wast:(\d+):\d+: error', p.stderr)}
    bad, line = set(), 1
    for k, item in enumerate(items):
        last = line + item.count('\n')
        if any(line <= n <= last for n in lines):
            bad.add(k)
        line = last + 1
    return bad or set(range(len(items)))


def without(items, bad):
    """With a module go the assertions about it."""
    out, missing = [], False
    for k, item in enumerate(items):
        head = re.match(r'\((\w+)', item)[1] if re.match(r'\((\w+)', item) else ''
        if head == 'module':
            missing = k in bad
        if k not in bad and not (missing and head in ('invoke', 'get', 'register', 'assert_return', 'assert_trap', 'assert_exhaustion')):
            out.append(item)
    return out


def convert(name, text, work):
    """The script's JSON and how many forms were left out; None when nothing is left."""
    best = None
    for options in (['--enable-tail-call'], ['--enable-all']):
        items = modern(name, text)
        total, path = len(items), os.path.join(work, name)
        while items:
            bad = convert_once(items, path, options)
            if bad is None:
                break
            items = without(items, bad)
        dropped = total - len(items)
        if items and (best is None or dropped < best[0]):
            best = (dropped, items, options)
        if dropped == 0:
            break
    if not best:
        return None
    convert_once(best[1], path, best[2])
    return path + '.json', best[0]


# --- all of it ---
def run(command, found):
    """Results by name, and lines about failures."""
    results, failures = {}, []
    step = 16
    for at in range(0, len(found), step):
        p = subprocess.run([*command, *[path for path, _ in found[at:at + step]]],
                           stdout=subprocess.PIPE, text=True, errors='replace')
        for line in p.stdout.splitlines():
            m = re.match(r'([\w+.]+) (accepted \d+ .*)$', line)
            if m:
                results[m[1]] = m[2]
            else:
                print(line)
            if line.startswith('FAIL'):
                failures.append(line)
        if p.returncode not in (0, 1):
            failures.append('FAIL spec-run ended with %d' % p.returncode)
            print(failures[-1])
    return results, failures


def totals(results):
    sums = {}
    for text in results.values():
        for key, value in re.findall(r'([\w-]+) (\d+)', text):
            sums[key] = sums.get(key, 0) + int(value)
    return sums


def compare(results, path):
    expected = dict(line.split(' ', 1) for line in open(path).read().splitlines() if line and not line.startswith('#'))
    bad = 0
    for name in sorted(set(expected) | set(results)):
        if expected.get(name) != results.get(name):
            bad += 1
            print('FAIL %s: %s\n   listed: %s' % (name, results.get(name), expected.get(name)))
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('tool')
    parser.add_argument('work')
    parser.add_argument('list')
    parser.add_argument('--record', action='store_true')
    parser.add_argument('--only', default='')
    parser.add_argument('-v', action='store_true')
    args = parser.parse_args()
    work = os.path.realpath(args.work)
    os.makedirs(work, exist_ok=True)
    start = time.time()
    archive = fetch(work)
    texts = {n: t for n, t in scripts(archive).items() if re.search(args.only, n)}
    converted = os.path.join(work, 'json')
    shutil.rmtree(converted, ignore_errors=True)
    os.makedirs(converted)
    found, nothing = [], {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        all_made = list(pool.map(lambda name: convert(name, texts[name], converted), sorted(texts)))
    for name, made in zip(sorted(texts), all_made):
        if made:
            found.append(made)
        else:
            nothing[name] = 'left-out %d' % len(list(forms(texts[name])))
    print('%d scripts of %s, %.1f s' % (len(found), os.path.basename(archive), time.time() - start))
    command = [os.path.realpath(args.tool)] + (['-v'] if args.v else [])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        plain, precise = [pool.submit(run, command + more, found) for more in ([], ['-p'])]
        results, failures = plain.result()
        precise, more = precise.result()
    for path, dropped in found:
        name = os.path.basename(path)[:-5]
        if name in results:
            results[name] += ' left-out %d' % dropped
    results.update(nothing)
    print(', '.join('%s %d' % x for x in totals(results).items()))
    failures += more
    print(', '.join('%s %d' % x for x in totals(precise).items()))
    results.update(precise)
    print('%.1f s' % (time.time() - start))
    if args.record:
        with open(args.list, 'w') as f:
            f.write('# What spec.py finds (spec_run.c has the words), by script of %s.\n' % os.path.basename(archive))
            f.write(''.join('%s %s\n' % x for x in sorted(results.items())))
        return 1 if failures else 0
    bad = len(failures) + (0 if args.only else compare(results, args.list))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
