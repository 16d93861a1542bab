// V8 must accept the module: node compile_wasm.cjs FILE. Tries plainly first, then with the flags that older versions of V8
// need for features of WebAssembly 3.0, and says which it took.
const fs = require('fs');
const v8 = require('v8');

const bytes = fs.readFileSync(process.argv[2]);
const attempts = [[], ['--experimental-wasm-return_call'], ['--experimental-wasm-return_call', '--experimental-wasm-gc']];

function attempt(i) {
    for (const flag of attempts[i])
        v8.setFlagsFromString(flag);
    v8.setFlagsFromString('--wasm-lazy-compilation'); // validated whole; compiled when called
    try {
        new WebAssembly.Module(bytes);
        console.log(`accepted (${process.version}, V8 ${process.versions.v8}${attempts[i].map(f => ', ' + f).join('')})`);
    } catch (e) {
        if (i + 1 < attempts.length)
            return attempt(i + 1);
        console.log(String(e).slice(0, 500));
        process.exitCode = 1;
    }
}

attempt(0);
