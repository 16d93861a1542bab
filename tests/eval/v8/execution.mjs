// The oracle's execution in V8 (oracle_v8.c): code objects as they are, beside the portable helpers compiled to WebAssembly,
// over one linear memory. Requests come on standard input, answers go to standard output, in the formats below:
//
//   states   JSON text of a line: {"cpuSize", "states": [{"name", "type", "offset"}], "windowAt", "windowSize", "codeBase"}
//   'L'      u32 size, u32 entry count, a code object: the next programs                          (no answer)
//   'R'      u32 table index, struct x86_cpu, window                    -> i32 trap, u64 pc, struct x86_cpu, window
//
// Traps: -1 none, -2 not covered here (a helper that needs the host's instructions), else the exception vector.
import fs from 'node:fs';

const NO_TRAP = -1, UNCOVERED = -2, DIVIDE_ERROR = 0;
const VALUE_TYPES = {i32: 0x7f, i64: 0x7e, v128: 0x7b};
const PROMOTED = ['rax', 'rcx', 'rdx', 'rdi', 'rsi', 'r12', 'r13', 'rsp', 'rbp', 'rbx'];

class Leave {
    constructor(trap, registers, pc) {
        Object.assign(this, {trap, registers, pc});
    }
}

function readFully(size) {
    const out = Buffer.alloc(size);
    for (let at = 0; at < size;) {
        const n = fs.readSync(0, out, at, size - at);
        if (n === 0)
            process.exit(0);
        at += n;
    }
    return out;
}

function readLine() {
    const bytes = [];
    for (let b; (b = readFully(1)[0]) !== 10;)
        bytes.push(b);
    return Buffer.from(bytes).toString();
}

function writeFully(bytes) {
    for (let at = 0; at < bytes.length;)
        at += fs.writeSync(1, bytes, at);
}

const layout = JSON.parse(readLine());
const memory = new WebAssembly.Memory({initial: 65536, maximum: 65536});
const view = new DataView(memory.buffer);
const cpuGlobals = {};

// --- modules made here: v128 globals, which JavaScript can neither make nor look into ---
const uleb = v => { const out = []; do { out.push(v > 127 ? v & 127 | 128 : v); v = Math.floor(v / 128); } while (v); return out; };
const sleb = v => { const out = []; for (;;) { const b = v & 127; v >>= 7; if (v === 0 && !(b & 64) || v === -1 && b & 64) { out.push(b); return out; } out.push(b | 128); } };
const text = s => [...uleb(s.length), ...Buffer.from(s)];
const section = (id, items) => { const body = [...uleb(items.length), ...items.flat()]; return [id, ...uleb(body.length), ...body]; };
const module = (...sections) => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...sections.flat()]));

function makeGlobals() {
    const zero = {i32: [0x41, 0], i64: [0x42, 0], v128: [0xfd, 12, ...Array(16).fill(0)]};
    const m = module(section(6, layout.states.map(s => [VALUE_TYPES[s.type], 1, ...zero[s.type], 0x0b])),
                     section(7, layout.states.map((s, i) => [...text(s.name), 3, ...uleb(i)])));
    Object.assign(cpuGlobals, new WebAssembly.Instance(m).exports);
}

// save and load: all globals to and from a struct x86_cpu at `base`.
function makeTransfer(base) {
    const store = {i32: [0x36, 2], i64: [0x37, 3], v128: [0xfd, 11, 4]}, load = {i32: [0x28, 2], i64: [0x29, 3], v128: [0xfd, 0, 4]};
    const constant = [0x41, ...sleb(base)];
    const save = layout.states.map((s, i) => [...constant, 0x23, ...uleb(i), ...store[s.type], ...uleb(s.offset)]).flat();
    const restore = layout.states.map((s, i) => [...constant, ...load[s.type], ...uleb(s.offset), 0x24, ...uleb(i)]).flat();
    const body = code => { const b = [0, ...code, 0x0b]; return [...uleb(b.length), ...b]; };
    const m = module(section(1, [[0x60, 0, 0]]),
                     section(2, [[...text('env'), ...text('memory'), 2, 0, 1],
                                 ...layout.states.map(s => [...text('cpu'), ...text(s.name), 3, VALUE_TYPES[s.type], 1])]),
                     section(3, [[0], [0]]), section(7, [[...text('save'), 0, 0], [...text('load'), 0, 1]]),
                     section(10, [body(save), body(restore)]));
    return new WebAssembly.Instance(m, {env: {memory}, cpu: cpuGlobals}).exports;
}

makeGlobals();
const helpers = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(process.argv[2])), {
    env: {memory, raise: (vector, pc) => { throw new Leave(vector, null, pc); }},
}).exports;
helpers.__wasm_call_ctors();
const cpuAt = helpers.cpu_address();
const transfer = makeTransfer(cpuAt);

// --- the kernel's imports ---
const kernel = {
    enter: (...r) => { throw new Leave(NO_TRAP, r, cpuGlobals.tmp0.value); },
    unwind: (...r) => { throw new Leave(NO_TRAP, r, r[10]); },
    trap: (...r) => { throw new Leave(Number(cpuGlobals.tmp0.value), r, r[10]); },
    syscall: (...r) => { throw new Leave(1000, r, r[10]); },
    poll: () => {},
};
const product = (a, b) => BigInt.asIntN(64, (a * b) >> 64n);
const intrinsic = {
    sp: () => 1n << 40n,
    mulhu: (a, b) => product(BigInt.asUintN(64, a), BigInt.asUintN(64, b)),
    mulhs: (a, b) => product(a, b),
    ...Object.fromEntries(Object.entries(helpers).filter(([name]) => name.startsWith('intrinsic_'))
        .map(([name, f]) => [name.slice('intrinsic_'.length), f])),
};

// State goes through memory, where the helper looks for it.
function wrap(name) {
    const f = helpers[`helper_${name}`];
    if (f === undefined)
        return () => { throw new Leave(UNCOVERED, null, 0n); };
    return (...args) => {
        transfer.save();
        const result = f(...args);
        transfer.load();
        return result;
    };
}

let table = null;

function load() {
    const head = readFully(8), bytes = readFully(head.readUInt32LE(0)), count = head.readUInt32LE(4);
    const m = new WebAssembly.Module(bytes), helper = {};
    for (const i of WebAssembly.Module.imports(m))
        if (i.module === 'helper')
            helper[i.name] = wrap(i.name);
    table = new WebAssembly.Table({element: 'anyfunc', initial: count});
    const env = {memory, table, code_base: new WebAssembly.Global({value: 'i64'}, BigInt(layout.codeBase)),
                 table_base: new WebAssembly.Global({value: 'i32'}, 0)};
    new WebAssembly.Instance(m, {env, cpu: cpuGlobals, kernel, intrinsic, helper});
}

function enter(index) {
    try {
        table.get(index)(...PROMOTED.map(n => cpuGlobals[n].value), 0n);
        throw new Error('returned to link 0');
    } catch (e) {
        if (e instanceof Leave)
            return e;
        if (e instanceof WebAssembly.RuntimeError && /divi|remainder/.test(e.message))
            return new Leave(DIVIDE_ERROR, null, 0n);
        throw e;
    }
}

function run() {
    const head = readFully(4 + layout.cpuSize + layout.windowSize), answer = Buffer.alloc(12 + layout.cpuSize + layout.windowSize);
    const all = new Uint8Array(memory.buffer);
    all.set(head.subarray(4, 4 + layout.cpuSize), cpuAt);
    all.set(head.subarray(4 + layout.cpuSize), layout.windowAt);
    transfer.load();
    const left = enter(head.readUInt32LE(0));
    left.registers?.slice(0, PROMOTED.length).forEach((v, i) => { cpuGlobals[PROMOTED[i]].value = v; });
    transfer.save();
    answer.writeInt32LE(left.trap, 0);
    answer.writeBigUInt64LE(BigInt.asUintN(64, left.pc), 4);
    answer.set(all.subarray(cpuAt, cpuAt + layout.cpuSize), 12);
    answer.set(all.subarray(layout.windowAt, layout.windowAt + layout.windowSize), 12 + layout.cpuSize);
    writeFully(answer);
}

for (;;) {
    if (readFully(1)[0] === 0x4c)
        load();
    else
        run();
}
