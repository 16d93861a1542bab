"""ctypes: calls, structures, callbacks from C, from threads, with exceptions in them; the interpreter's own API."""
import ctypes
import ctypes.util
import threading

libc = ctypes.CDLL("libc.so.6", use_errno=True)
libm = ctypes.CDLL("libm.so.6")
libm.pow.restype = ctypes.c_double
libm.pow.argtypes = [ctypes.c_double, ctypes.c_double]
print(libm.pow(2.0, 0.5), libc.strlen(b"twelve chars"), libc.abs(-5))

buffer = ctypes.create_string_buffer(100)
libc.snprintf(buffer, 100, b"%d %s %.3f %ld", 42, b"text", ctypes.c_double(2.5), ctypes.c_long(-1))
print(buffer.value)
libc.open(b"/nonexistent", 0)
print(ctypes.get_errno())

Compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
calls = 0


def compare(a, b):
    global calls
    calls += 1
    return a[0] - b[0]


values = (ctypes.c_int * 200)(*[(i * 7919) % 1009 for i in range(200)])
libc.qsort(values, 200, ctypes.sizeof(ctypes.c_int), Compare(compare))
print(list(values)[:10], calls > 200)


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("n", ctypes.c_int), ("flags", ctypes.c_uint, 3), ("rest", ctypes.c_uint, 29)]


class Both(ctypes.Union):
    _fields_ = [("d", ctypes.c_double), ("q", ctypes.c_uint64)]


p = Point(1.5, 7, 5, 1000)
print(ctypes.sizeof(Point), p.x, p.n, p.flags, p.rest, hex(Both(d=-2.0).q))
Div = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_float, ctypes.c_longdouble, ctypes.c_byte, ctypes.c_ushort)
div = Div(lambda a, b, c, d, e: a * b + float(c) + d - e)
print(div(1.5, 2.0, 3.25, -4, 60000))


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def body(argument):
    results.append(argument * 2)
    return argument + 1


results = []
libc.pthread_create.argtypes = [ctypes.POINTER(ctypes.c_ulong), ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.POINTER(ctypes.c_void_p)]
out = ctypes.c_void_p()
total = 0
for i in range(1, 6):
    t = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(t), None, ctypes.cast(body, ctypes.c_void_p), i)
    libc.pthread_join(t, ctypes.byref(out))
    total += out.value
print(sorted(results), total)

many = [ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)(lambda x, k=k: x * k) for k in range(500)]
print(sum(f(i) for i, f in enumerate(many)))
threads = [threading.Thread(target=lambda k=k: [many[j](k) for j in range(100)]) for k in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
ctypes.pythonapi.PyLong_AsLong.argtypes = [ctypes.py_object]
print(ctypes.pythonapi.PyLong_AsLong(12345), ctypes.string_at(buffer, 5), ctypes.addressof(buffer) != 0)
