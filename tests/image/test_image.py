#!/usr/bin/env python3
"""Image loading from end to end: layouts, archives and folders in; the artifact's inode table must be what was put in.

usage: test_image.py --ingot FILE [--only REGEX]
Ends with a line "N passed, N failed". The images hold no programs, so that building takes no time.
"""
import argparse
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import tarfile
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import imagekit as kit
from imagekit import hardlink, layer, member, symlink

TESTS = []


def test(f):
    TESTS.append(f)
    return f


class World:
    def __init__(self, ingot, folder):
        self.ingot, self.folder = ingot, folder

    def build(self, source, fails=None):
        out = self.folder + "/out"
        if os.path.exists(out):
            os.unlink(out)
        r = kit.run([self.ingot, "build", "--quiet", "--cache", self.folder + "/cache", source, "-o", out])
        assert not r.crashed, r.err
        left = [n for n in os.listdir(self.folder) if ".tmp-" in n or n.startswith(".ingot")]
        assert not left, f"temporary files left: {left}"
        if fails:
            assert r.status == 1, f"status {r.status}, expected 1: {r.err}"
            assert re.search(fails, r.err), r.err
            assert not os.path.exists(out), "OUT was written"
            return None
        assert r.status == 0, r.err
        v = kit.run([self.ingot, "verify", out])
        assert v.status == 0, v.out + v.err
        return kit.Artifact(out)

    def layout(self, *layers, **more):
        path = self.folder + "/layout"
        shutil.rmtree(path, ignore_errors=True)
        l = kit.Layout(path)
        l.image(list(layers), **more)
        return path


def names(a):
    return sorted(a.paths)


@test
def plain_files(w):
    a = w.build(w.layout(layer(member("etc/"), member("etc/f", "hello", mode=0o640, uid=5, gid=6, mtime=123456789),
                               member("etc/empty", ""), member("./dot/x", "x"), member("/abs", "abs"))))
    assert names(a) == ["/", "/abs", "/dot", "/dot/x", "/etc", "/etc/empty", "/etc/f"], names(a)
    assert a.content("/etc/f") == b"hello" and a.content("/etc/empty") == b""
    f = a.at("/etc/f")
    assert (f["mode"], f["uid"], f["gid"], f["mtime"], f["nlink"]) == (stat.S_IFREG | 0o640, 5, 6, 123456789, 1), f
    assert a.at("/dot")["mode"] == stat.S_IFDIR | 0o755
    assert a.at("/")["nlink"] == 4 and a.at("/etc")["nlink"] == 2


@test
def modes_and_types(w):
    a = w.build(w.layout(layer(
        member("su", "s", mode=0o4755), member("sg", "g", mode=0o2755), member("tmp/", mode=0o1777),
        member("null", kind=tarfile.CHRTYPE, device=(1, 3), mode=0o666),
        member("blk", kind=tarfile.BLKTYPE, device=(259, 70000), mode=0o660), member("fifo", kind=tarfile.FIFOTYPE),
        symlink("l", "a/../b"))))
    assert a.at("/su")["mode"] == stat.S_IFREG | 0o4755 and a.at("/sg")["mode"] == stat.S_IFREG | 0o2755
    assert a.at("/tmp")["mode"] == stat.S_IFDIR | 0o1777
    assert (a.at("/null")["mode"], a.at("/null")["major"], a.at("/null")["minor"]) == (stat.S_IFCHR | 0o666, 1, 3)
    assert (a.at("/blk")["major"], a.at("/blk")["minor"]) == (259, 70000)
    assert stat.S_ISFIFO(a.at("/fifo")["mode"])
    assert a.content("/l") == "a/../b" and a.at("/l")["size"] == 6


@test
def later_layers_replace(w):
    a = w.build(w.layout(layer(member("f", "one"), member("d/"), member("d/keep", "k"), member("x", "file"),
                               member("y/"), member("y/in", "y")),
                         layer(member("f", "two!"), member("d/", mode=0o700), member("x/"), member("x/now", "dir"),
                               member("y", "now a file"))))
    assert a.content("/f") == b"two!" and a.content("/d/keep") == b"k" and a.at("/d")["mode"] & 0o777 == 0o700
    assert a.content("/x/now") == b"dir" and a.content("/y") == b"now a file" and "/y/in" not in a.paths


@test
def whiteouts(w):
    a = w.build(w.layout(layer(member("a", "1"), member("d/"), member("d/x", "x"), member("d/y", "y"), member("gone/"),
                               member("gone/deep/"), member("gone/deep/f", "f"), symlink("link", "d")),
                         layer(member(".wh.a", ""), member("d/.wh.x", ""), member(".wh.gone", ""), member(".wh.link", ""),
                               member(".wh.never-there", ""), member("no/such/.wh.thing", ""))))
    assert names(a) == ["/", "/d", "/d/y"] or names(a) == ["/", "/d", "/d/y", "/no", "/no/such"], names(a)


@test
def whiteout_and_again(w):
    """A whiteout hides what was below, not what its own layer puts there, in whichever order."""
    a = w.build(w.layout(layer(member("d/"), member("d/old", "o"), member("f", "old")),
                         layer(member("f", "new"), member(".wh.f", ""), member("d/new", "n"),
                               member("d/.wh..wh..opq", ""))))
    assert a.content("/f") == b"new" and names(a) == ["/", "/d", "/d/new", "/f"], names(a)


@test
def whiteouts_and_links(w):
    """A whiteout below a link follows it, unless its own layer puts a folder there; below a file there is nothing."""
    base = layer(member("target/"), member("target/keep", "k"), symlink("link", "/target"), member("plain", "p"))
    a = w.build(w.layout(base, layer(member("link/"), member("link/.wh.keep", ""), member("link/new", "n"))))
    assert a.content("/target/keep") == b"k" and a.content("/link/new") == b"n", names(a)
    a = w.build(w.layout(base, layer(member("link/.wh.keep", ""))))
    assert "/target/keep" not in a.paths and stat.S_ISLNK(a.at("/link")["mode"])
    a = w.build(w.layout(base, layer(member("plain/.wh.x", ""), member("plain/y/.wh.z", ""))))
    assert a.content("/plain") == b"p"


@test
def aufs_files_left_out(w):
    a = w.build(w.layout(layer(member(".wh..wh.aufs", ""), member(".wh..wh.orph/"), member(".wh..wh.plnk/"),
                               member(".wh..wh.plnk/12.34", "x"), member("ok", "o"))))
    assert names(a) == ["/", "/ok"], names(a)


@test
def opaque_root_and_missing(w):
    a = w.build(w.layout(layer(member("a", "1"), member("b/c/", )), layer(member(".wh..wh..opq", ""), member("z", "z"),
                                                                       member("q/.wh..wh..opq", ""))))
    assert "/a" not in a.paths and "/b" not in a.paths and a.content("/z") == b"z"


@test
def whiteout_of_nothing_refused(w):
    w.build(w.layout(layer(member("d/"), member("d/f", "f")), layer(member("d/.wh.", ""))), fails="whiteout")
    w.build(w.layout(layer(member("d/"), member("d/f", "f")), layer(member("d/.wh..", ""))), fails="whiteout")


@test
def hard_links(w):
    a = w.build(w.layout(layer(member("a", "data"), member("d/"), hardlink("d/b", "a"), hardlink("c", "./d/b"),
                               symlink("s", "a"), hardlink("s2", "s")),
                         layer(hardlink("e", "a"), member("a", "new"))))
    assert a.paths["/d/b"] == a.paths["/c"] == a.paths["/e"] != a.paths["/a"]
    assert a.at("/c")["nlink"] == 3 and a.at("/a")["nlink"] == 1
    assert a.content("/e") == b"data" and a.content("/a") == b"new"
    assert a.paths["/s"] == a.paths["/s2"] and a.at("/s")["nlink"] == 2


@test
def hard_link_errors(w):
    w.build(w.layout(layer(hardlink("a", "nowhere"))), fails="hard link")
    w.build(w.layout(layer(member("d/"), hardlink("a", "d"))), fails="hard link")
    w.build(w.layout(layer(hardlink("a", "../../etc/passwd"))), fails="hard link")


@test
def symlinked_parents(w):
    """Entries under a symbolic link land where it leads, inside the image."""
    a = w.build(w.layout(layer(member("usr/"), member("usr/lib/"), symlink("lib", "usr/lib"), symlink("abs", "/usr"),
                               member("usr/share/"), symlink("usr/lib/up", "../share")),
                         layer(member("lib/f", "1"), member("abs/g", "2"), member("lib/up/h", "3"))))
    assert a.content("/usr/lib/f") == b"1" and a.content("/usr/g") == b"2" and a.content("/usr/share/h") == b"3"
    assert stat.S_ISLNK(a.at("/lib")["mode"]) and "/share" not in a.paths


@test
def symlinks_never_leave(w):
    a = w.build(w.layout(layer(symlink("up", "../../../.."), symlink("etc", "/tmp/../../.."), member("up/a", "1"),
                               member("etc/b", "2"))))
    assert a.content("/a") == b"1" and a.content("/b") == b"2"
    assert not os.path.exists("/a") and not os.path.exists("/b")


@test
def symlink_loops(w):
    w.build(w.layout(layer(symlink("a", "b"), symlink("b", "a"), member("a/f", "x"))), fails="symbolic links")
    w.build(w.layout(layer(member("f", "x"), member("f/g", "y"))), fails="not a directory")


@test
def dot_dot(w):
    """".." takes back a component, whether there is such a folder or a link of that name, and never leads out."""
    a = w.build(w.layout(layer(member("d/"), symlink("l", "d/deep"), member("d/deep/"), member("d/../x", "1"), member("l/../y", "2"),
                               member("no/./../z", "3"), hardlink("d/h", "d/../x")),
                         layer(member("d/../.wh.z", ""))))
    assert a.content("/x") == b"1" and a.content("/y") == b"2" and a.paths["/d/h"] == a.paths["/x"], names(a)
    assert "/z" not in a.paths and "/d/y" not in a.paths and "/no" not in a.paths
    w.build(w.layout(layer(member("a/..", "x"))), fails="root must be a directory")
    for name in ("../ingot-escaped", "a/../../ingot-escaped", ".."):
        w.build(w.layout(layer(member(name, "x"))), fails="out of the image")
    assert not os.path.exists(w.folder + "/../ingot-escaped")


@test
def long_names(w):
    deep = "/".join(["d" * 100] * 5)
    name = "n" * 255
    target = "t" * 3000
    for fmt in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        a = w.build(w.layout(layer(member(deep + "/" + name, "x"), symlink("l", target), format=fmt)))
        assert a.content(f"/{deep}/{name}") == b"x" and a.content("/l") == target
    w.build(w.layout(layer(member("n" * 256, "x"))), fails="too long")
    w.build(w.layout(layer(member("/".join(["d"] * 600) + "/x", "x"))), fails="too deep")


@test
def names_of_all_bytes(w):
    odd = ["spa ce", "new\nline", "tab\t", "ünïcode", "日本", "quote'\"", "\udcff\udcfe", "-dash", "back\\slash", "*"]
    for fmt in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        a = w.build(w.layout(layer(*[member(n, n.encode("utf-8", "surrogateescape")) for n in odd
                                     if fmt == tarfile.GNU_FORMAT or "\udcff" not in n], format=fmt)))
        for n in odd:
            if fmt == tarfile.GNU_FORMAT or "\udcff" not in n:
                assert a.content("/" + n) == n.encode("utf-8", "surrogateescape"), n


@test
def pax_numbers(w):
    a = w.build(w.layout(layer(member("f", "x", uid=3000000, gid=4000000000, pax={"mtime": "1700000000.123456789"}),
                               member("old", "x", mtime=-5))))
    f = a.at("/f")
    assert (f["uid"], f["gid"]) == (3000000, 4000000000), f
    assert (f["mtime"], f["mtime_nsec"]) == (1700000000, 123456789), f
    assert a.at("/old")["mtime"] == -5


@test
def sparse_files(w):
    path = w.folder + "/sparse"
    with open(path, "wb") as f:
        f.seek(1000000)
        f.write(b"middle")
        f.truncate(3000000)
    for fmt in ("gnu", "pax"):
        data = subprocess.run(["tar", "-C", w.folder, f"--format={fmt}", "-S", "-cf", "-", "sparse"],
                              stdout=subprocess.PIPE, check=True).stdout
        assert len(data) < 100000, "tar did not store it sparsely"
        a = w.build(w.layout(data))
        have = a.content("/sparse")
        assert len(have) == 3000000 and have[1000000:1000006] == b"middle" and have.count(0) == 2999994


@test
def identical_contents_once(w):
    big = os.urandom(100000)
    a = w.build(w.layout(layer(*[member(f"f{i}", big) for i in range(20)])))
    assert len({a.at(f"/f{i}")["data"] for i in range(20)}) == 1
    assert a.sections["data"][1] < 110000 and all(a.content(f"/f{i}") == big for i in range(20))


@test
def compressions(w):
    for how in ("plain", "gzip", "bzip2", "xz") + (("zstd",) if shutil.which("zstd") else ()):
        a = w.build(w.layout(kit.compressed(layer(member("f", how)), how)))
        assert a.content("/f") == how.encode()


@test
def empty_layers(w):
    a = w.build(w.layout(layer(), b"\0" * 1024, layer(member("f", "x"))))
    assert names(a) == ["/", "/f"]
    assert names(w.build(w.layout())) == ["/"]


@test
def many_layers(w):
    a = w.build(w.layout(*[layer(member("f", str(i)), member(f"d{i}", "x")) for i in range(60)]))
    assert a.content("/f") == b"59" and len(a.paths) == 62


@test
def many_files(w):
    a = w.build(w.layout(layer(*[member(f"d/{i:05}", str(i)) for i in range(3000)])))
    assert a.at("/d")["count"] == 3000 and a.content("/d/01234") == b"1234"


@test
def config_kept(w):
    config = {"Entrypoint": ["/init", "--flag"], "Cmd": ["a", "b c"], "Env": ["PATH=/bin", "X=a=b"], "WorkingDir": "/w",
              "User": "1000:1000", "StopSignal": "SIGQUIT", "Labels": {"ignored": "yes"}}
    a = w.build(w.layout(layer(), config=config))
    for k in ("Entrypoint", "Cmd", "Env", "WorkingDir", "User", "StopSignal"):
        assert a.config[k] == config[k], k
    a = w.build(w.layout(layer(), document={"architecture": "amd64", "os": "linux"}))
    assert a.config["WorkingDir"] == "/" and a.config["Entrypoint"] == [] and a.config["Cmd"] == []
    a = w.build(w.layout(layer(), config={"Entrypoint": None, "Cmd": None, "Env": None, "User": None, "WorkingDir": ""}))
    assert a.config["WorkingDir"] == "/" and a.config["User"] == ""


def strictly(statement):
    """The exit status of the parser that the formats are defined by; the system's python has it."""
    return subprocess.run([os.path.dirname(os.path.abspath(__file__)) + "/statement.py"], input=json.dumps(statement), text=True,
                          stderr=subprocess.PIPE)


def check_provenance(statement, artifact):
    """What in-toto's Statement v1 and SLSA's provenance v1 ask for: types of all members, which there must be, and no others."""
    r = strictly(statement)
    assert r.returncode == 0, r.stderr
    for member, value in (("subject", [{"name": "x", "digest": {"sha256": None}}]), ("predicateType", 1), ("more", ""),
                          ("predicate", {**statement["predicate"], "runDetails": {"builder": {"id": "a:b", "other": "x"}}})):
        r = strictly({**statement, member: value})
        assert r.returncode == 1 and "ParseError" in r.stderr, (member, r.stderr)

    def resource(r):
        assert set(r) <= {"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}, r
        assert all(re.fullmatch("[0-9a-f]{64}", v) for v in r["digest"].values()) and set(r["digest"]) == {"sha256"}, r
        assert isinstance(r["name"], str)

    assert set(statement) == {"_type", "subject", "predicateType", "predicate"}
    assert statement["_type"].endswith("/Statement/v1") and statement["predicateType"].endswith("/provenance/v1")
    assert len(statement["subject"]) == 1
    resource(statement["subject"][0])
    assert statement["subject"][0]["digest"]["sha256"] == kit.hashlib.sha256(artifact.data).hexdigest()
    predicate = statement["predicate"]
    assert set(predicate) == {"buildDefinition", "runDetails"}
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    assert set(definition) == {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"}
    assert ":" in definition["buildType"] and isinstance(definition["externalParameters"], dict)
    for r in definition["resolvedDependencies"] + run["byproducts"]:
        resource(r)
    assert set(run) == {"builder", "byproducts"} and ":" in run["builder"]["id"]
    assert all(isinstance(v, str) for v in run["builder"]["version"].values())
    return {r["name"]: r["digest"]["sha256"] for r in definition["resolvedDependencies"]}


@test
def attested(w):
    """The statement names the image and every program of it; signed, openssl accepts it."""
    import base64
    program = kit.tiny_elf()
    layout = w.layout(layer(member("bin/sh", program, mode=0o755), member("data", "no program")))
    a = w.build(layout)
    r = kit.run([w.ingot, "attest", w.folder + "/out"])
    assert r.status == 0, r.err
    materials = check_provenance(json.loads(r.out), a)
    index = json.load(open(layout + "/index.json"))["manifests"][0]
    assert materials == {"/bin/sh": kit.hashlib.sha256(program).hexdigest(), "image manifest": index["digest"][7:],
                         "image config": a.config["Build"]["Source"]["config"][7:]}, materials
    key, public = w.folder + "/key.pem", w.folder + "/public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    r = kit.run([w.ingot, "attest", "--key", key, "--builder-id", "urn:example:farm", w.folder + "/out"])
    assert r.status == 0, r.err
    envelope = json.loads(r.out)
    payload = base64.b64decode(envelope["payload"], validate=True)
    statement = json.loads(payload)
    check_provenance(statement, a)
    assert statement["predicate"]["runDetails"]["builder"]["id"] == "urn:example:farm"
    kind = envelope["payloadType"].encode()
    with open(w.folder + "/signed", "wb") as f:
        f.write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    with open(w.folder + "/signature", "wb") as f:
        f.write(base64.b64decode(envelope["signatures"][0]["sig"], validate=True))
    subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", w.folder + "/signed", "-sigfile",
                    w.folder + "/signature"], check=True, stdout=subprocess.DEVNULL)
    with open(w.folder + "/out", "r+b") as f:
        f.seek(a.sections["data"][0])
        f.write(b"changed")
    r = kit.run([w.ingot, "attest", w.folder + "/out"])
    assert r.status == 1 and "does not match" in r.err and not r.out, (r.status, r.out, r.err)


@test
def tags(w):
    path = w.folder + "/layout"
    l = kit.Layout(path)
    l.image([layer(member("f", "one"))], tag="one")
    assert w.build(path).content("/f") == b"one"
    l.image([layer(member("f", "two"))], tag="two")
    assert w.build(path + ":two").content("/f") == b"two"
    w.build(path, fails="2 manifests fit")
    w.build(path + ":three", fails="three")
    kit.pack(path, w.folder + "/image.tar")
    assert w.build(w.folder + "/image.tar:one").content("/f") == b"one"


@test
def nested_index_and_platforms(w):
    path = w.folder + "/layout"
    l = kit.Layout(path)
    amd = l.image([layer(member("f", "amd64"))], platform={"architecture": "amd64", "os": "linux"}, tag=None)
    arm = l.image([layer(member("f", "arm64"))], platform={"architecture": "arm64", "os": "linux"}, tag=None)
    inner = l.blob({"schemaVersion": 2, "manifests": [arm, amd]})
    l.index({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", **inner}]})
    assert w.build(path).content("/f") == b"amd64"


def manifest_of(l, text, **platform):
    return l.image([layer(member("f", text))], tag=None, platform=platform)


@test
def variants(w):
    """Code for x86-64-v2 is better than for v1, and code for v3 is taken only where there is nothing else."""
    l = kit.Layout(w.folder + "/layout")
    amd = dict(architecture="amd64", os="linux")
    of = {v: manifest_of(l, v or "plain", **amd, **({"variant": v} if v else {})) for v in ("", "v1", "v2", "v3")}
    for among, best in ((("", "v3"), "plain"), (("v3", "v2", "v1"), "v2"), (("v1", "v3"), "v1"), (("v3",), "v3")):
        l.index({"schemaVersion": 2, "manifests": [of[v] for v in among]})
        assert w.build(l.path).content("/f") == best.encode(), among
    l.index({"schemaVersion": 2, "manifests": [of[""], of["v1"]]})
    w.build(l.path, fails="2 manifests fit")
    l.index({"schemaVersion": 2, "manifests": [of["v1"], of["v2"]] * 33}) # each would be read
    w.build(l.path, fails="more than 64 manifests fit")


@test
def names_of_the_architecture(w):
    l = kit.Layout(w.folder + "/layout")
    manifest_of(l, "uname", architecture="x86_64", os="linux")
    assert w.build(l.path).content("/f") == b"uname"
    for arch in ("x86_64", ""):
        document = {"architecture": arch, "os": "linux", "config": {}, "rootfs": {"type": "layers"}}
        assert w.build(w.layout(layer(member("f", "x")), document=document)).content("/f") == b"x"
    w.build(w.layout(layer(member("f", "x")), document={"architecture": "arm64", "os": "linux"}), fails="linux/arm64")


@test
def two_tags_of_one_manifest(w):
    l = kit.Layout(w.folder + "/layout")
    d = l.image([layer(member("f", "x"))], tag="1.0")
    l.index({"schemaVersion": 2, "manifests": [d, {**d, "annotations": {"org.opencontainers.image.ref.name": "latest"}}]})
    assert w.build(l.path).content("/f") == b"x" and w.build(l.path + ":latest").content("/f") == b"x"


@test
def artifacts_beside_the_image(w):
    """Signatures, attestations and lists of parts lie beside an image, and are none."""
    l = kit.Layout(w.folder + "/layout")
    d = l.image([layer(member("f", "x"))])
    kind = "application/vnd.oci.image.manifest.v1+json"
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", **l.blob({})}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **l.blob({"architecture": "amd64", "os": "linux"})}
    signed = {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", **l.blob({"critical": {}})}
    beside = [{"mediaType": kind, **l.blob({}), "artifactType": "application/spdx+json"},
              {"mediaType": kind, **l.blob({"config": empty, "layers": []})},
              {"mediaType": kind, **l.blob({"config": config, "layers": [signed]})},
              {"mediaType": kind, **l.blob({"artifactType": "application/x", "config": config, "layers": []})},
              {"mediaType": kind, **l.blob({"s": 1}), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}]
    for k in range(len(beside)):
        l.index({"schemaVersion": 2, "manifests": [beside[k], d]})
        assert w.build(l.path).content("/f") == b"x", k
        l.index({"schemaVersion": 2, "manifests": [beside[k]]})
        w.build(l.path, fails="no image")


@test
def docker_archives(w):
    path = w.folder + "/image.tar"
    kit.docker_archive(path, [layer(member("f", "one"), member("g", "g")), layer(member("f", "two"))],
                       config={"Cmd": ["x"], "Env": ["A=b"]}, tags=["repo/name:1.0"])
    a = w.build(path)
    assert a.content("/f") == b"two" and a.content("/g") == b"g" and a.config["Cmd"] == ["x"]
    assert w.build(path + ":repo/name:1.0").content("/f") == b"two"
    assert w.build(path + ":1.0").content("/f") == b"two"
    w.build(path + ":2.0", fails="0 images fit")


@test
def docker_linked_layers(w):
    path = w.folder + "/image.tar"
    kit.docker_archive(path, [layer(member("f", "one")), layer(member("f", "two")), "../layer0/layer.tar"])
    assert w.build(path).content("/f") == b"one"
    kit.docker_archive(path, [layer(member("f", "one")), "../../../../../../etc/passwd"])
    w.build(path, fails="layer")


@test
def umoci_images(w):
    if not shutil.which("umoci"):
        return
    path = w.folder + "/u"
    bundle = w.folder + "/bundle"

    def umoci(*args):
        subprocess.run(["umoci", *args], check=True, stdout=subprocess.DEVNULL)

    umoci("init", "--layout", path)
    umoci("new", "--image", path + ":t")
    umoci("config", "--image", path + ":t", "--config.cmd", "/bin/prog", "--config.env", "K=v", "--config.workingdir", "/w")
    umoci("unpack", "--image", path + ":t", bundle)
    root = bundle + "/rootfs"
    os.makedirs(root + "/a/b")
    open(root + "/a/b/f", "w").write("one")
    open(root + "/a/x", "w").write("x")
    os.link(root + "/a/b/f", root + "/hard")
    os.symlink("a/b", root + "/sym")
    umoci("repack", "--image", path + ":t", bundle)
    shutil.rmtree(bundle)
    umoci("unpack", "--image", path + ":t", bundle)
    os.unlink(root + "/a/x")
    open(root + "/a/b/g", "w").write("g")
    umoci("repack", "--image", path + ":t", bundle)
    a = w.build(path + ":t")
    assert names(a) == ["/", "/a", "/a/b", "/a/b/f", "/a/b/g", "/hard", "/sym"], names(a)
    assert a.paths["/hard"] == a.paths["/a/b/f"] and a.content("/a/b/f") == b"one"
    assert a.config["Cmd"] == ["/bin/prog"] and "K=v" in a.config["Env"] and a.config["WorkingDir"] == "/w"


@test
def root_folders(w):
    root = w.folder + "/root"
    os.makedirs(root + "/bin")
    os.makedirs(root + "/deep/er")
    open(root + "/bin/f", "w").write("f")
    os.chmod(root + "/bin/f", 0o4711)
    os.link(root + "/bin/f", root + "/deep/er/h")
    os.symlink("/nowhere", root + "/s")
    os.mkfifo(root + "/p")
    if os.geteuid() == 0:
        os.mknod(root + "/n", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    os.utime(root + "/bin/f", ns=(0, 1234567890123456789))
    a = w.build(root)
    assert a.paths["/bin/f"] == a.paths["/deep/er/h"] and a.at("/bin/f")["nlink"] == 2
    assert a.at("/bin/f")["mode"] == stat.S_IFREG | 0o4711
    assert (a.at("/bin/f")["mtime"], a.at("/bin/f")["mtime_nsec"]) == (1234567890, 123456789)
    assert a.content("/s") == "/nowhere" and stat.S_ISFIFO(a.at("/p")["mode"])
    if os.geteuid() == 0:
        assert (a.at("/n")["major"], a.at("/n")["minor"]) == (1, 5)
    assert a.config["Cmd"] == ["/bin/sh"] and a.config["Env"][0].startswith("PATH=")


@test
def reproducible(w):
    source = w.layout(layer(member("a", "1"), member("b/c", "2"), symlink("l", "a")))
    first = w.build(source).data
    assert w.build(source).data == first


@test
def inspect_tells(w):
    w.build(w.layout(layer(member("bin/tiny", kit.tiny_elf(), mode=0o755), member("data/tiny", kit.tiny_elf()),
                           member("bin/i386", kit.tiny_elf(ident=b"\x7fELF\1\1\1" + bytes(9))))))
    r = kit.run([w.ingot, "inspect", "--json", w.folder + "/out"])
    assert r.status == 0, r.err
    j = json.loads(r.out)
    assert len(j["programs"]) == 1 and j["programs"][0]["path"] == "/bin/tiny", j
    assert j["programs"][0]["functions"] >= 1 and j["config"]["Cmd"] == ["/bin/sh"]
    r = kit.run([w.ingot, "inspect", w.folder + "/out"])
    assert r.status == 0 and "/bin/tiny" in r.out
    r = kit.run([w.folder + "/out", "/bin/tiny"])
    assert (r.status, r.out) == (7, "tiny\n"), (r.status, r.out, r.err)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ingot", required=True)
    parser.add_argument("--only")
    args = parser.parse_args()
    passed = failed = 0
    for t in TESTS:
        if args.only and not re.search(args.only, t.__name__):
            continue
        with tempfile.TemporaryDirectory(prefix="ingot-image-") as folder:
            try:
                t(World(os.path.abspath(args.ingot), folder))
                passed += 1
            except Exception as e:
                failed += 1
                print(f"FAIL {t.__name__}: {e or traceback.format_exc(limit=-1)}")
                if not isinstance(e, AssertionError) or not str(e):
                    traceback.print_exc(limit=-1, file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
