# The standard library's C extensions.
import array, binascii, bz2, cmath, csv, datetime, decimal, hashlib, hmac, io, itertools, json, lzma, math, mmap, os, pickle, random
import re, sqlite3, statistics, struct, sys, tempfile, unicodedata, zlib, fractions, collections, functools, heapq, bisect, operator
import xml.etree.ElementTree as ElementTree, zoneinfo, ast, gc, marshal, uuid, ipaddress, textwrap, difflib, fcntl, resource, grp, pwd, select
from decimal import Decimal as D

random.seed(5)
data = bytes(random.getrandbits(8) & 15 for _ in range(100_000))
for name in sorted(hashlib.algorithms_guaranteed):
    h = hashlib.new(name, data) if name not in ("shake_128", "shake_256") else hashlib.new(name, data)
    print(name, h.hexdigest(16) if name.startswith("shake") else h.hexdigest()[:32])
print(hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 1000).hex(), hashlib.scrypt(b"p", salt=b"s", n=64, r=8, p=1, dklen=16).hex())
print(hmac.new(b"key", data, "sha512").hexdigest()[:32], zlib.crc32(data), zlib.adler32(data), binascii.crc_hqx(data, 0))
for module in (zlib, bz2, lzma):
    packed = module.compress(data)
    print(module.__name__, len(packed), hashlib.md5(packed).hexdigest(), module.decompress(packed) == data)
    try:
        module.decompress(packed[:50] + b"x" * 50)
    except Exception as e:
        print(type(e).__name__)
print(len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_DELTA, "dist": 3}, {"id": lzma.FILTER_LZMA2, "preset": 6}])))

decimal.getcontext().prec = 60
print(D(2).sqrt(), D(1).exp(), D(10).ln(), D("1e-50") / D(7))
with decimal.localcontext() as c:
    c.prec, c.rounding = 2000, decimal.ROUND_HALF_EVEN
    print(hashlib.md5(str(D(2) ** D("0.3")).encode()).hexdigest(), str(D(3) ** 2000)[-20:])
    c.traps[decimal.DivisionByZero] = True
    try:
        D(1) / D(0)
    except decimal.DivisionByZero as e:
        print("division", e)
print(D("123.456").quantize(D("0.1")), D("NaN").is_nan(), f"{D('1234567.891'):,.2f}", fractions.Fraction(D("0.125")))

db = sqlite3.connect(":memory:")
db.create_function("half", 1, lambda x: x / 2, deterministic=True)
db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
class Product:
    def __init__(self): self.p = 1
    def step(self, x): self.p = self.p * x % 1000003
    def finalize(self): return self.p
db.create_aggregate("product", 1, Product)
db.execute("create table t(a integer primary key, b real, c text)")
with db:
    db.executemany("insert into t values(?, ?, ?)", ((i, i * 0.5, f"name {i % 97}") for i in range(5000)))
db.execute("create index i on t(c, b)")
print(db.execute("select count(*), sum(half(b)), product(a + 1) from t").fetchone())
print(db.execute("select c, count(*), max(b) from t group by c order by c collate backwards limit 3").fetchall())
print(db.execute("with recursive f(n, x, y) as (select 1, 0, 1 union all select n + 1, y, x + y from f where n < 80) select max(x) from f").fetchone())
print(db.execute("select json_extract('{\"a\":[1,2,{\"b\":3}]}', '$.a[2].b'), printf('%.3f', 2.0 / 3), sqlite_version() > '3'").fetchone())
try:
    with db:
        db.execute("insert into t values(1, 2, 3)")
except sqlite3.IntegrityError as e:
    print(e)
db.create_function("fails", 0, lambda: 1 / 0)
try:
    db.execute("select fails()")
except sqlite3.OperationalError as e:
    print(e)
print(hashlib.md5("\n".join(db.iterdump()).encode()).hexdigest())

print(struct.pack("<bHiQfd5s?", -1, 2, -3, 4, 0.1, 0.2, b"text", True).hex(), struct.unpack(">e", b"\x3e\x00"), struct.calcsize("@cP"))
print(math.fsum([0.1] * 10), math.gcd(12, 18), math.comb(50, 25), math.isqrt(10**40), cmath.sqrt(-2), math.remainder(7, 4), math.ulp(1.0))
print(random.random(), random.gauss(0, 1).__round__(9), random.sample(range(100), 5), random.choices("abc", k=5))
print(statistics.fmean([1, 2, 4]), statistics.NormalDist(5, 2).stdev, statistics.median([5, 1, 3]))
print(pow(3, 10**50, 10**30 + 57), 7**1000 % 10**20, int("9" * 500) // 7**100 % 10**20, (1 << 1000).bit_length(), float("1e22"), 0.1 + 0.2, 1e16 / 3)
print(json.loads(json.dumps({"a": [1, 2.5, None, True, "ü\n"], "b": {"c": 1e100}}, indent=1)), json.dumps("\u2028é", ensure_ascii=True))
tree = ElementTree.fromstring("<a x='1'><b>text</b><c/>tail<d>&lt;&#228;</d></a>")
print(ElementTree.tostring(tree), [e.tag for e in tree.iter()], tree.find("d").text)
try:
    ElementTree.fromstring("<a><b></a>")
except ElementTree.ParseError as e:
    print(e)
print(unicodedata.normalize("NFD", "é").encode(), unicodedata.name("☃"), unicodedata.category("Ⅷ"), "ß".casefold(), "İ".lower().encode())
print(list(csv.reader(io.StringIO('a,"b ""q"" c",d\r\n1,,3\r\n'))), re.sub(r"(?<=a)(b+)(?!c)", lambda m: m[1].upper(), "abbb abc abb"), re.findall(r"(?i)\b\w*ö\w*\b", "schön Öl Öde x"))
p = pickle.dumps({"x": [1, (2, 3), {4}, datetime.date(2024, 2, 29), D("1.5"), collections.OrderedDict(a=1)]}, 5)
print(pickle.loads(p), len(p), marshal.loads(marshal.dumps((1, "a", 2.5, b"c"))))
print(datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc).astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30))).isoformat(), datetime.date(2024, 12, 30).isocalendar())
a = array.array("d", [1.5, 2.5]); a.extend(range(3)); print(a, memoryview(a)[1:3].tolist(), memoryview(b"abcdef")[::2].tobytes(), bytearray(b"x") * 3)
heap = [random.randrange(1000) for _ in range(1000)]; heapq.heapify(heap)
print([heapq.heappop(heap) for _ in range(5)], bisect.bisect([1, 3, 5], 4), list(itertools.islice(itertools.permutations("abc"), 4)), functools.reduce(operator.xor, range(100)))
with tempfile.TemporaryFile() as f:
    f.write(bytes(8192)); f.flush()
    with mmap.mmap(f.fileno(), 8192) as m:
        m[4095:4099] = b"span"; m.flush(); print(m.find(b"span"), m.size())
    f.seek(4095); print(f.read(4)); fcntl.flock(f, fcntl.LOCK_EX)
class Cycle: pass
c = Cycle(); c.me = c; gc.collect(); del c; print(gc.collect() > 0, pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name, resource.getrlimit(resource.RLIMIT_CORE)[0] >= -1)
def recursion(n): return recursion(n + 1)
try:
    recursion(0)
except RecursionError as e:
    print(e)
print(eval(compile(ast.parse("sum(x*x for x in range(10) if x % 2)", mode="eval"), "", "eval")), uuid.uuid5(uuid.NAMESPACE_DNS, "x.org"), ipaddress.ip_network("10.0.0.0/29").num_addresses)
match [1, {"k": (2, 3)}]:
    case [int(x), {"k": (y, *rest)}]: print(x, y, rest)
try:
    raise ExceptionGroup("many", [ValueError(1), TypeError(2)])
except* ValueError as e:
    print("group", e.exceptions)
except* TypeError as e:
    print("group", e.exceptions)
