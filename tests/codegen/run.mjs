// Runs the code objects of emit under V8, with a small kernel: node run.mjs DIRECTORY
import fs from 'node:fs';

const dir = process.argv[2];
const memory = new WebAssembly.Memory({initial: 65536, maximum: 65536});
const view = new DataView(memory.buffer);
const order = ['rax', 'rcx', 'rdx', 'rdi', 'rsi', 'r12', 'r13', 'rsp', 'rbp', 'rbx'];
const CODE_MAP = 0x40000000, RETURN = 0x7fff0000n;
let failures = 0;

class Leave extends Error {
    constructor(state) {
        super();
        this.state = state;
    }
}

function check(what, got, expected) {
    if (got === expected)
        return;
    console.log(`${what}: got ${got}, expected ${expected}`);
    failures++;
}

// A v128 global cannot be made from JavaScript, but a module may export one.
function v128Global() {
    const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 6, 22, 1, 0x7b, 1, 0xfd, 12, ...Array(16).fill(0), 11,
                   7, 5, 1, 1, 103, 3, 0];
    return new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports.g;
}

function sections(bytes) {
    const out = {};
    let at = 8;
    const uleb = () => { let r = 0, s = 0, b; do { b = bytes[at++]; r += (b & 127) * 2 ** s; s += 7; } while (b & 128); return r; };
    while (at < bytes.length) {
        const id = bytes[at++], size = uleb(), end = at + size;
        if (id === 0) {
            const n = uleb(), name = Buffer.from(bytes.slice(at, at + n)).toString();
            at += n;
            if (name === 'ingot.entries') {
                const count = uleb();
                let address = 0;
                out.entries = [];
                for (let i = 0; i < count; i++)
                    out.entries.push(address += uleb());
            }
        }
        at = end;
    }
    return out;
}

function load(name, base) {
    const bytes = fs.readFileSync(`${dir}/${name}.wasm`);
    const module = new WebAssembly.Module(bytes);
    const entries = sections(bytes).entries;
    const table = new WebAssembly.Table({element: 'anyfunc', initial: entries.length + 5});
    const g = {};
    const log = [];
    const env = {memory, table, code_base: new WebAssembly.Global({value: 'i64'}, BigInt(base)),
                 table_base: new WebAssembly.Global({value: 'i32'}, 5)};
    const cpu = {}, kernel = {}, intrinsic = {}, helper = {};
    for (const i of WebAssembly.Module.imports(module)) {
        if (i.module === 'cpu') {
            const type = /^xmm/.test(i.name) ? 'v128' : /^[cpazsod]f$/.test(i.name) ? 'i32' : 'i64';
            cpu[i.name] = g[i.name] = type === 'v128' ? v128Global() :
                new WebAssembly.Global({value: type, mutable: true}, type === 'i64' ? 0n : 0);
        }
    }
    kernel.syscall = (...r) => { log.push(['syscall', r[10]]); r[0] = 500n; return r.slice(0, 10); };
    // What does not come back throws the registers and the pc, up to the dispatcher in call().
    kernel.poll = pc => { log.push(['poll', pc]); if (g.limit.value === 2000n) g.limit.value = 0n; };
    kernel.enter = (...r) => {
        log.push(['enter', g.tmp0.value]);
        if (r[10] === 0n)
            throw new Leave([...r.slice(0, 10), g.tmp0.value]);
        r[0] = 900n;
        r[7] += 8n;
        return r.slice(0, 10);
    };
    kernel.unwind = (...r) => { throw new Leave(r); };
    kernel.trap = (...r) => { log.push(['trap', r[10], g.tmp0.value]); r[10] = -1n; throw new Leave(r); };
    intrinsic.cvttsd2si64 = v => v >= -(2 ** 63) && v < 2 ** 63 ? BigInt(Math.trunc(v)) : -(1n << 63n);
    intrinsic.cvttsd2si32 = v => v > -(2 ** 31) - 1 && v < 2 ** 31 ? Math.trunc(v) : -(2 ** 31);
    intrinsic.sp = () => 1000n;
    intrinsic.mulhu = (a, b) => BigInt.asIntN(64, (BigInt.asUintN(64, a) * BigInt.asUintN(64, b)) >> 64n);
    new WebAssembly.Instance(module, {env, cpu, kernel, intrinsic, helper});
    for (let i = CODE_MAP; i < CODE_MAP + 0x800000; i += 8)
        view.setBigUint64(i, 0n, true);
    entries.forEach((address, i) => {
        const a = base + address, at = CODE_MAP + (a >> 4) * 8, bits = view.getUint16(at + 4, true);
        if (bits === 0)
            view.setUint32(at, 5 + i, true);
        view.setUint16(at + 4, bits | 1 << (a & 15), true);
    });
    const call = (address, regs) => {
        const r = order.map(n => BigInt.asIntN(64, BigInt(regs[n] ?? 0)));
        for (const n of Object.keys(regs))
            if (!order.includes(n) && g[n])
                g[n].value = BigInt.asIntN(64, BigInt(regs[n]));
        r[7] = 0x60000000n;
        view.setBigUint64(0x60000000, RETURN, true);
        let out;
        try {
            table.get(5 + entries.indexOf(address))(...r, 0n);
            throw new Error('returned to link 0');
        } catch (e) {
            if (!(e instanceof Leave))
                throw e;
            out = e.state;
        }
        const named = Object.fromEntries(order.map((n, i) => [n, out[i]]));
        for (const n of ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'])
            named[n] ??= g[n]?.value;
        named.pc = out[10];
        return named;
    };
    return {call, g, log, base, entries};
}

let m = load('loop', 0x400000), r = m.call(0x1000, {rdi: 100});
check('loop rax', r.rax, 5050n);
check('loop r12', r.r12, 5050n);
check('loop pc', r.pc, RETURN);
check('loop rsp', r.rsp, 0x60000008n);
m.g.limit.value = 2000n;
check('loop polled rax', m.call(0x1000, {rdi: 3}).rax, 6n);
check('loop poll', String(m.log), `poll,${0x401010n}`);

m = load('fib', 0);
r = m.call(0x2000, {rdi: 20, rbx: 7, r12: 42});
check('fib', r.rax, 6765n);
check('fib rbx', r.rbx, 7n);
check('fib r12', r.r12, 42n);
check('fib rsp', r.rsp, 0x60000008n);

m = load('switch', 0x400000);
check('switch 0', m.call(0x3000, {rdi: 0, rsi: 0x123}).rax, 10n);
check('switch 1', m.call(0x3000, {rdi: 1, rsi: 0x123}).rax, 30n);
check('switch 2', m.call(0x3000, {rdi: 2}).rax, 30n);
check('switch 3', m.call(0x3000, {rdi: 3}).rax, 10n);
check('switch 4', m.call(0x3000, {rdi: 4, rsi: 0x123}).pc, 0x123n);
check('switch self', m.call(0x3000, {rdi: 4, rsi: 0x999999999}).pc, 0x999999999n);

m = load('irreducible', 0x400000);
check('irreducible 1', m.call(0x4000, {rdi: 3, rsi: 0}).rax, 303n);
check('irreducible 2', m.call(0x4000, {rdi: 3, rsi: 1}).rax, 302n);

m = load('entries', 0x400000);
check('entries 0', m.call(0x5000, {rdi: 3}).rax, 1003n);
check('entries 1', m.call(0x5010, {rdi: 3, rax: 1}).rax, 4n);

m = load('interpreter', 0x400000);
[0x6010, 0x6020, 0x6030, 0x6040].forEach((a, i) => view.setBigUint64(0x50000000 + 8 * i, BigInt(m.base + a), true));
[1, 2, 3, 1, 0].forEach((v, i) => view.setUint8(0x50001000 + i, v));
check('interpreter', m.call(0x6000, {rsi: 0x50001000, rdx: 0x50000000}).rax, -11n);
m.g.limit.value = 2000n;
check('interpreter polled', m.call(0x6000, {rsi: 0x50001000, rdx: 0x50000000}).rax, -11n);
check('interpreter inside', m.call(0x6030, {rsi: 0x50001004, rdx: 0x50000000, r12: 8}).rax, 16n);
view.setUint8(0x50001000, 4);
view.setBigUint64(0x50000020, 0x12345n, true);
check('interpreter leaves', m.call(0x6000, {rsi: 0x50001000, rdx: 0x50000000}).pc, 0x12345n);

m = load('calls', 0x400000);
check('call unknown', m.call(0x7000, {rdi: 0x123456}).rax, 901n);
check('call unknown log', String(m.log), `enter,${0x123456}`);
check('call known', m.call(0x7000, {rdi: 0x407100}).rax, 578n);
check('call far', m.call(0x7000, {rdi: 0x123456789a}).rax, 901n);
r = m.call(0x7100, {r12: 0});
check('syscall', r.rax, 577n);
check('syscall r12', r.r12, 77n);
m.log.length = 0;
r = m.call(0x7200, {});
check('trap', String(m.log), `trap,${0x407200},6`);
check('trap pc', r.pc, -1n);
const bits = d => { const v = new DataView(new ArrayBuffer(8)); v.setFloat64(0, d); return v.getBigInt64(0); };
view.setUint32(0x50000000, 5, true);
view.setBigUint64(0x50000008, 99n, true);
r = m.call(0x7300, {rdi: bits(-3.99), rsi: 0x50000000, rbp: 4});
check('trunc64', r.rax, -3n);
check('trunc32', r.rcx, 0xfffffffdn);
check('xadd', r.r8, 5n);
check('cmpxchg', r.r9, 8n);
check('cmpxchg memory', view.getUint8(0x50000000), 0x55);
check('load before store', r.rbx, 99n);
check('store', view.getBigUint64(0x50000008, true), 1n);
check('exchange', r.rbp, bits(-3.99));
check('exchange 2', r.rdi, 4n);
const u = BigInt.asUintN(64, bits(-3.99));
check('mulhu', BigInt.asUintN(64, r.rdx), (u * u) >> 64n);
for (const d of [NaN, 1e300, -1e300, Infinity]) {
    r = m.call(0x7300, {rdi: bits(d), rsi: 0x50000000});
    check(`trunc64 ${d}`, r.rax, -(2n ** 63n));
    check(`trunc32 ${d}`, r.rcx, 0x80000000n);
}
r = m.call(0x7300, {rdi: bits(2147483648.5), rsi: 0x50000000});
check('trunc64 2^31', r.rax, 2147483648n);
check('trunc32 2^31', r.rcx, 0x80000000n);
r = m.call(0x7300, {rdi: bits(-2147483648.5), rsi: 0x50000000});
check('trunc32 -2^31', r.rcx, 0x80000000n);

m = load('chain', 0x400000);
check('chain 17', m.call(0x10000, {rdi: 17}).rax, 119n);
check('chain 2997', m.call(0x10000, {rdi: 2997}).rax, 2997n * 7n);
check('chain past', m.call(0x10000, {rdi: 999999}).rax, 0n);

// Each run once as it is, and once with a poll at every check.
m = load('random', 0x400000);
for (const [address, rax, r12, r13, r14, r15, start] of JSON.parse(fs.readFileSync(`${dir}/random.json`))) {
    for (const limit of [0n, 3000n]) {
        m.g.cf.value = 0;
        m.call(0x2000, {});
        m.g.limit.value = limit;
        r = m.call(address, {rax: start, rdi: 300, r12: 0, r13: 0, r14: 0, r15: 0});
        const what = `random ${address.toString(16)} limit ${limit}`;
        check(what, BigInt.asUintN(64, r.rax), BigInt(rax));
        check(`${what} r12`, BigInt.asUintN(64, r.r12), BigInt(r12));
        check(`${what} r13`, BigInt.asUintN(64, r.r13), BigInt(r13));
        check(`${what} r14`, BigInt.asUintN(64, r.r14), BigInt(r14));
        check(`${what} r15`, BigInt.asUintN(64, r.r15), BigInt(r15));
        check(`${what} rsp`, r.rsp, 0x60000008n);
        check(`${what} pc`, r.pc, RETURN);
    }
}

console.log(failures === 0 ? 'ok' : `${failures} failures`);
process.exit(failures === 0 ? 0 : 1);
