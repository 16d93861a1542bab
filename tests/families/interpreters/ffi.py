# ctypes: structures, callbacks (libffi closures), variadic functions, errno, threads, exceptions in callbacks, faults.
import ctypes, ctypes.util, sys, threading
from ctypes import *

libc, libm = CDLL("libc.so.6", use_errno=True), CDLL("libm.so.6")

libm.pow.restype, libm.pow.argtypes = c_double, [c_double, c_double]
libm.ldexpf.restype, libm.ldexpf.argtypes = c_float, [c_float, c_int]
print(libm.pow(2, 10), libm.ldexpf(1.5, 4), libc.abs(-5), libc.strlen(b"hello"))

class Div(Structure):
    _fields_ = [("quot", c_long), ("rem", c_long)]
libc.ldiv.restype, libc.ldiv.argtypes = Div, [c_long, c_long]
d = libc.ldiv(-17, 5)
print(d.quot, d.rem)

buffer = create_string_buffer(200)
libc.snprintf.argtypes = None
n = libc.snprintf(buffer, c_size_t(200), b"%d %s %.3f %c %llx %g", 42, b"text", c_double(3.14159), ord("x"), c_ulonglong(2**63), c_double(1e-5))
print(n, buffer.value)

COMPARE = CFUNCTYPE(c_int, POINTER(c_int), POINTER(c_int))
calls = 0
def compare(a, b):
    global calls
    calls += 1
    return a[0] - b[0]
values = (c_int * 50)(*[(i * 37) % 101 for i in range(50)])
libc.qsort(values, len(values), sizeof(c_int), COMPARE(compare))
print(list(values), calls > 50)

# Every kind of argument through a closure, structures by value included.
class Point(Structure):
    _fields_ = [("x", c_double), ("y", c_double)]
class Mixed(Structure):
    _fields_ = [("i", c_int), ("d", c_double), ("s", c_short)]
class Big(Structure):
    _fields_ = [("v", c_long * 8)]
def echo(*args):
    return sum(a.x + a.y if isinstance(a, Point) else a.i + a.d + a.s if isinstance(a, Mixed) else sum(a.v) if isinstance(a, Big) else a for a in args)
KIND = CFUNCTYPE(c_double, c_int8, c_uint16, c_int32, c_int64, c_float, c_double, Point, Mixed, Big, c_double, c_int, c_int, c_longlong)
f = KIND(echo)
print(f(-1, 2, 3, 4, 0.5, 0.25, Point(1, 2), Mixed(3, 4.5, 5), Big((c_long * 8)(*range(8))), 7.5, 1, 2, 3))

many = [CFUNCTYPE(c_int, c_int)(lambda x, i=i: x * i) for i in range(2000)]
print(sum(h(3) for h in many))

libc.open(b"/nonexistent", 0)
print(get_errno())
set_errno(0)

def bad(a, b):
    raise ValueError("in a callback")
sys.unraisablehook = lambda u: print("unraisable", u.exc_value)
libc.qsort(values, 2, sizeof(c_int), COMPARE(bad))

# A callback from a thread that C made.
START = CFUNCTYPE(c_void_p, c_void_p)
got = []
def start(p):
    got.append((p, threading.get_ident() != threading.main_thread().ident))
    return p + 1
start_c = START(start)
for i in range(3):
    t, r = c_ulong(), c_void_p()
    libc.pthread_create(byref(t), None, start_c, c_void_p(100 + i))
    libc.pthread_join(t, byref(r))
    got.append(r.value)
print(got)

def worker(i, out):
    local = CFUNCTYPE(c_int, POINTER(c_int), POINTER(c_int))(lambda a, b: b[0] - a[0])
    v = (c_int * 30)(*[(k * i) % 31 for k in range(30)])
    for _ in range(20):
        libc.qsort(v, 30, 4, local)
    out[i] = v[0]
out = {}
threads = [threading.Thread(target=worker, args=(i, out)) for i in range(1, 6)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sorted(out.items()))
print(cast(pointer(c_int(0x01020304)), POINTER(c_ubyte * 4))[0][:], sizeof(Mixed), Mixed.d.offset)
print(pythonapi.PyLong_AsLong(py_object(42)), string_at(b"abc", 2), ctypes.util.find_library("m") is not None or "none")
u = type("U", (Union,), {"_fields_": [("f", c_float), ("i", c_uint32)]})(f=1.0)
print(hex(u.i), type("B", (Structure,), {"_fields_": [("a", c_int, 3), ("b", c_int, 5)]})(3, -4).b)
