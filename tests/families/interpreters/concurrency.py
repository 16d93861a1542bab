# Threads, processes, sockets, TLS and asyncio.
import asyncio, concurrent.futures, faulthandler, multiprocessing, os, queue, select, selectors, signal, socket, socketserver, ssl, subprocess, sys
import threading, time, http.server, urllib.request, multiprocessing.shared_memory

CERTIFICATE = "/usr/lib/python3.11/test/keycert.pem"

def square(x):
    return x * x

def fail(x):
    raise ValueError(x)

def child(connection, lock, value, event):
    event.wait()
    for _ in range(200):
        with lock:
            value.value += 1
    connection.send(("done", os.getpid() != os.getppid()))

def threads():
    q, out, lock = queue.Queue(3), [], threading.RLock()
    def work():
        while (item := q.get()) is not None:
            with lock:
                out.append(item * 2)
            q.task_done()
    ts = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in ts]
    for i in range(300):
        q.put(i)
    q.join()
    [q.put(None) for _ in ts]
    [t.join() for t in ts]
    barrier, local = threading.Barrier(3), threading.local()
    def meet(i):
        local.x = i
        barrier.wait()
        out.append(local.x)
    ts = [threading.Thread(target=meet, args=(i,)) for i in range(3)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    print("threads", len(out), sum(out), threading.Event().wait(0.002))
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        print(sum(pool.map(square, range(100))), type(pool.submit(fail, 3).exception()).__name__)
    threading.stack_size(256 * 1024)
    timer = threading.Timer(0.002, lambda: print("timer"))
    timer.start()
    timer.join()
    threading.stack_size(0)

def processes():
    for method in ("fork", "spawn", "forkserver"):
        c = multiprocessing.get_context(method)
        with c.Pool(2) as pool:
            print(method, pool.map(square, range(10)), pool.apply_async(square, (9,)).get())
            try:
                pool.apply(fail, (7,))
            except ValueError as e:
                print("ValueError", e)
        a, b = c.Pipe()
        lock, value, event = c.Lock(), c.Value("i", 0), c.Event()
        ps = [c.Process(target=child, args=(b, lock, value, event)) for _ in range(3)]
        [p.start() for p in ps]
        event.set()
        print([a.recv() for _ in ps])
        [p.join() for p in ps]
        print(value.value, [p.exitcode for p in ps])
    p = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
    p.start()
    p.terminate()
    p.join()
    print(p.exitcode)
    shared = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    if (pid := os.fork()) == 0:
        shared.buf[:5] = b"child"
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), bytes(shared.buf[:5]))
    shared.close()
    shared.unlink()
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(square, range(5))))

def children():
    r = subprocess.run(["sh", "-c", "cat; echo err >&2; exit 3"], input=b"in" * 50_000, capture_output=True)
    print(r.returncode, len(r.stdout), r.stderr)
    try:
        subprocess.run(["sleep", "100"], timeout=0.02)
    except subprocess.TimeoutExpired as e:
        print(e)
    p = subprocess.Popen([sys.executable, "-c", "import sys; [print(l.upper(), end='', flush=True) for l in sys.stdin]"], stdin=-1, stdout=-1, text=True, bufsize=1)
    p.stdin.write("ping\n")
    print(p.stdout.readline(), p.communicate("pong\n"), p.returncode)
    try:
        subprocess.check_call(["/nonexistent"])
    except FileNotFoundError as e:
        print(e)
    r = subprocess.run([sys.executable, "-X", "faulthandler", "-c", "import ctypes; ctypes.string_at(0)"], capture_output=True, text=True)
    print(r.returncode, r.stderr.splitlines()[:4])
    hits = []
    signal.signal(signal.SIGUSR1, lambda n, f: hits.append(n))
    signal.signal(signal.SIGALRM, lambda n, f: hits.append(n))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.003)
    while len(hits) < 2:
        pass
    print(hits, signal.sigtimedwait([signal.SIGUSR2], 0.001))

def sockets():
    class Echo(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(line.upper())
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        for i in range(3):
            with socket.create_connection(server.server_address) as s, s.makefile("rw") as f:
                print(f"line {i}", file=f, flush=True)
                print(f.readline().strip())
        server.shutdown()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(CERTIFICATE)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=CERTIFICATE)
        context.minimum_version = context.maximum_version = version
        listener = socket.create_server(("127.0.0.1", 0))
        def serve():
            with server_context.wrap_socket(listener.accept()[0], server_side=True) as t:
                while chunk := t.recv(65536):
                    t.sendall(chunk[::-1])
        t = threading.Thread(target=serve)
        t.start()
        with context.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="localhost") as s:
            s.sendall(b"0123456789" * 1000)
            got = b""
            while len(got) < 10_000:
                got += s.recv(65536)
            print(s.version(), s.cipher()[0], len(got), sorted(got) == sorted(b"0123456789" * 1000))
        t.join()
        listener.close()
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.path.encode() * 1000
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *a): pass
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            url = f"http://127.0.0.1:{server.server_port}/"
            print(sum(len(b) for b in pool.map(lambda i: urllib.request.urlopen(url + str(i)).read(), range(20))))
        server.shutdown()
    a, b = socket.socketpair()
    poll = select.epoll()
    poll.register(a, select.EPOLLIN | select.EPOLLET)
    b.send(b"x")
    print(poll.poll(1)[0][1], select.select([a], [], [], 0)[0] == [a], poll.poll(0))

async def aio():
    async def handle(reader, writer):
        while line := await reader.readline():
            writer.write(line[::-1].strip() + b"\n")
            await writer.drain()
        writer.close()
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async def client(i):
        r, w = await asyncio.open_connection(*server.sockets[0].getsockname())
        out = []
        for j in range(5):
            w.write(f"{i}-{j}\n".encode())
            out.append((await r.readline()).decode().strip())
        w.close()
        await w.wait_closed()
        return out
    print((await asyncio.gather(*(client(i) for i in range(20))))[7])
    server.close()
    p = await asyncio.create_subprocess_exec("tr", "a-z", "A-Z", stdin=-1, stdout=-1)
    print(await p.communicate(b"through tr"), p.returncode)
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, square, 12))
    try:
        async with asyncio.timeout(0.002):
            await asyncio.sleep(10)
    except TimeoutError:
        print("timeout")
    q = asyncio.Queue(2)
    async def produce():
        for i in range(50):
            await q.put(i)
        await q.put(None)
    async with asyncio.TaskGroup() as g:
        g.create_task(produce())
        total = 0
        while (x := await q.get()) is not None:
            total += x
    print(total)
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR2, done.set)
    os.kill(os.getpid(), signal.SIGUSR2)
    await done.wait()
    print("signal")

if __name__ == "__main__":
    {"threads": threads, "processes": processes, "children": children, "sockets": sockets, "asyncio": lambda: asyncio.run(aio())}[sys.argv[1]]()
