#!/usr/bin/env python3
"""Same image, same recompiler, same bytes: builds of one image in other folders, with other locales, time zones, clocks of its files,
processors, workers, orders of its files, with cold and warm caches.

usage: reproducible.py --ingot FILE [--backend direct|wasm]
Ends with a line "N passed, N failed".
"""
import argparse, os, random, shutil, struct, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../image"))
import imagekit as kit
from imagekit import layer, member

PROGRAMS = ["/usr/bin/env", "/usr/bin/true", "/usr/bin/cut", "/usr/bin/basename"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--backend", default="direct")
    args = parser.parse_args()
    ingot = os.path.abspath(args.ingot)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="ingot-same-") as work:
        members = [member("bin/" + os.path.basename(p), open(p, "rb").read(), mode=0o755) for p in PROGRAMS]
        members += [member(f"etc/f{i}", f"content {i}") for i in range(50)]
        layout = kit.Layout(work + "/layout")
        layout.image([layer(*members)])
        kit.pack(work + "/layout", work + "/image.tar")

        def build(name, *options, source=work + "/image.tar", prefix=(), folder=work, **environment):
            out = f"{folder}/{name}"
            env = {**os.environ, **environment}
            for key in [k for k, v in env.items() if v is None]:
                del env[key]
            subprocess.run([*prefix, ingot, "build", "-q", "--backend", args.backend, *options, source, "-o", out], check=True, env=env, cwd=folder)
            with open(out, "rb") as f:
                return f.read()

        first = build("first", "--cache", work + "/cache")

        def same(what, *arguments, **more):
            nonlocal passed, failed
            ok = build(*arguments, **more) == first
            print("ok" if ok else "FAIL", what, flush=True)
            passed += ok
            failed += not ok

        same("warm cache", "warm", "--cache", work + "/cache")
        deep = work + "/another/folder with spaces/and a longer name"
        os.makedirs(deep)
        shutil.copy(work + "/image.tar", deep + "/source.tar")
        same("another folder, cold cache, one worker on one processor, another locale and time zone", "out", "--cache", deep + "/cache", "-j", "1",
             source="source.tar", folder=deep, prefix=("taskset", "-c", "0"), LC_ALL="tr_TR.UTF-8", LANG="C", TZ="Pacific/Kiritimati",
             HOME="/nonexistent", SOURCE_DATE_EPOCH="1", TMPDIR=deep)
        same("more workers than processors, warm cache of another folder", "workers", "--cache", deep + "/cache", "-j", "7")
        same("a layout folder instead of an archive", "folder", "--cache", work + "/cache", source=work + "/layout")

        # The order of files in a folder is the file system's own.
        trees = []
        for seed in (1, 2):
            root = f"{work}/root{seed}"
            names = PROGRAMS[:2] + [f"f{i}" for i in range(200)]
            random.Random(seed).shuffle(names)
            os.makedirs(root + "/bin")
            for name in names:
                path = f"{root}/bin/{os.path.basename(name)}"
                with open(path, "wb") as f:
                    f.write(open(name, "rb").read() if name[0] == "/" else name.encode())
                os.chmod(path, 0o755)
                os.utime(path, (1000000, 1000000))
            os.utime(root + "/bin", (1000000, 1000000))
            os.utime(root, (1000000, 1000000))
            trees.append(root)
        # Programs decide where the executable lies.
        def place(executable):
            offset, = struct.unpack_from("<Q", executable, 32)
            return struct.unpack_from("<Q", executable, offset + 16)[0] & ~0xffff

        whole = first
        first = build("root1.out", "--cache", work + "/cache", source=trees[0])
        same("files made in another order", "root2.out", "--cache", work + "/cache", source=trees[1])
        ok = place(first) != place(whole)
        print("ok" if ok else "FAIL", f"other programs, another place: {place(first):#x}, {place(whole):#x}", flush=True)
        passed += ok
        failed += not ok
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
