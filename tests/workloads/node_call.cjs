// Calls one function of a module, so many times; or without one lets plain JavaScript fail in its own ways.
const [file, name, times = '1'] = process.argv.slice(2);

function plain() {
    let caught = 0;
    const deeper = () => deeper() + 1;
    const wrong = [() => null.member, () => new Array(-1), deeper, () => Buffer.alloc(8).readInt32LE(16)];
    for (let n = 0; n < 1000; n++) {
        try {
            wrong[n % wrong.length]();
        } catch {
            caught++;
        }
    }
    return caught;
}

function call() {
    const module = new WebAssembly.Module(require('fs').readFileSync(file));
    const instance = new WebAssembly.Instance(module);
    let said;
    for (let n = 0; n < times; n++) {
        try {
            instance.exports[name]();
            said = 'returned';
        } catch (trap) {
            said = `trapped: ${trap.message}`;
        }
    }
    return said;
}

console.log(file ? call() : plain());
