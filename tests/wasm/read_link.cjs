// Runs the megabinary of read_object_a and read_object_b: read_link.cjs APP.wasm
const fs = require('fs');
const assert = require('assert');
let seen;
const instance = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(process.argv[2])), {
  kernel: { enter: (...a) => { seen = a[10]; return a.slice(0, 10); } },
  helper: { twice: v => BigInt.asIntN(64, v * 2n) },
});
const x = instance.exports;
const args = [5n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n];
assert.strictEqual(x.table.length, 4);
assert.strictEqual(x.memory.buffer.byteLength, 2 ** 32);
for (const [entry, rax, base] of [[0, 0x400005n, 0n], [1, 0x400005n, 0n], [2, 0x400000an, 2n], [3, 0x400000an, 2n]]) {
  const r = x.table.get(entry)(...args);
  assert.deepStrictEqual(r, [rax, ...args.slice(1, 10)]);
  assert.strictEqual(seen, base);
  assert.strictEqual(x['cpu.rax'].value, rax);
}
assert.strictEqual(x['cpu.zf'].value, 1);
assert.strictEqual(new DataView(x.memory.buffer).getBigUint64(65552, true), 0x400005n);
console.log('megabinary runs: %d exports', Object.keys(x).length);
