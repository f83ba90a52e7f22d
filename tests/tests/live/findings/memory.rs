//! What is concluded of Wasm modules that access what is not theirs, by the rules of the matrix, in a hurry: by real
//! engines under crun; and nothing about programs that only raise the same signals.

use observer_tests::rig::{
    Bundle, HELLO,
    engines::{go, java, machine, needs, needs_package, node, wasmtime},
    memory::ends,
    program, stage,
    stdio::expect,
    verdict::{Verdicts, only, quiet},
    wasmedge::WasmEdge,
    watch::Seen,
    workload,
};
use serde_json::{Value, json};

/// What ends when its module does: the trap is not caught.
const CALL_AND_END: &[u8] = b"import sys\n\
    packages, module, function = sys.argv[1:]\n\
    sys.path.insert(0, packages)\n\
    import wasmtime\n\
    store = wasmtime.Store()\n\
    instance = wasmtime.Instance(store, wasmtime.Module.from_file(store.engine, module), [])\n\
    instance.exports(store)[function](store)\n";

/// The same by Node.js, without catching what is thrown.
const NODE_CALL_AND_END: &[u8] = b"const [file, name] = process.argv.slice(2);\n\
    const wasm = new WebAssembly.Module(require('fs').readFileSync(file));\n\
    new WebAssembly.Instance(wasm).exports[name]();\n";

#[test]
fn modules_of_wasmtime() {
    let Some(package) = needs_package("modules_of_wasmtime", "wasmtime") else { return };
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "wasm-out-of-bounds-outside-memory", &[]);
    let ending = |name: &str, function: &str| {
        let bundle = wasmtime(&package, function).file("call.py", CALL_AND_END);
        let (id, ran) = ends(&stage, name, bundle);
        assert_eq!(ran.code(), 1, "{name}: {}{}", ran.stdout, ran.stderr);
        id
    };
    let outside = ending("outside", "out-of-bounds");
    let guard = ending("guard", "guard");
    let unreachable = ending("unreachable", "unreachable");
    // A trap that its host takes, and goes on.
    let (caught, ran) = ends(&stage, "caught", wasmtime(&package, "out-of-bounds"));
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let seen = verdicts.end();
    only(&seen, &outside, "wasm-out-of-bounds/outside-memory proved");
    only(&seen, &guard, "wasm-out-of-bounds/outside-memory proved");
    quiet(&seen, &unreachable);
    quiet(&seen, &caught);
}

#[test]
fn an_address_space_too_small_for_an_engine() {
    let Some(package) = needs_package("an_address_space_too_small_for_an_engine", "wasmtime") else { return };
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "wasm-out-of-bounds-reservation-failed", &[]);
    let python = package.python.display();
    let limited = |name: &str, limit: &str| {
        let script = format!("ulimit -v {limit}; exec {python} /call.py /packages /traps.wasm growth");
        let bundle =
            wasmtime(&package, "growth").file("call.py", CALL_AND_END).words(&["/bin/sh", "-c", &script]);
        ends(&stage, name, bundle)
    };
    let (refused, ran) = limited("refused", "3000000");
    assert_eq!(ran.code(), 1, "{}{}", ran.stdout, ran.stderr);
    let (granted, ran) = limited("granted", "unlimited");
    assert_eq!(ran.code(), 0, "{}{}", ran.stdout, ran.stderr);
    let seen = verdicts.end();
    only(&seen, &refused, "wasm-out-of-bounds/reservation-failed proved");
    quiet(&seen, &granted);
}

#[test]
fn modules_of_node() {
    let Some(program) = needs("modules_of_node", "node") else { return };
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "wasm-out-of-bounds-repeated", &[]);
    let (often, ran) = ends(&stage, "often", node(&program, &["out-of-bounds", "3000"]));
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let (once, ran) = ends(&stage, "once", node(&program, &["out-of-bounds"]));
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let uncaught = node(&program, &["out-of-bounds"]).file("call.cjs", NODE_CALL_AND_END);
    let (uncaught, ran) = ends(&stage, "uncaught", uncaught);
    assert_eq!(ran.code(), 1, "{}", ran.stdout);
    let (plain, ran) = ends(&stage, "plain", node(&program, &[]));
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let seen = verdicts.end();
    only(&seen, &often, "wasm-out-of-bounds/repeated proved");
    only(&seen, &uncaught, "wasm-out-of-bounds/outside-memory proved");
    quiet(&seen, &once);
    quiet(&seen, &plain);
}

/// What is concluded of a module that ends well and of one that ends as its text says, by their ids. By a stand-in, which
/// says so: that the engine's own word is enough, not that WasmEdge gives it.
fn told_by_the_engine(case: &str, others: &[&str], text: &str) -> (Seen, String, String) {
    let stage = stage();
    let stand_in = WasmEdge::build(&stage);
    let verdicts = Verdicts::begin_of(&stage, case, others, &[]);
    let life = |name: &str, text: &str| {
        let module = [text.as_bytes(), &[0; 200]].concat();
        let bundle = Bundle::wasm(&module, true).write(&stage, &format!("{name}-{}", stage.id()));
        let bundle = bundle.expect("bundle");
        stage.run(&mut stand_in.with_library(&bundle)).expect("stand-in");
        verdicts.run.wait_for(&format!("the end of {name}"), |object| {
            object["probe"] == "runtime"
                && object["action"] == "exit"
                && object["container"]["id"] == *bundle.id
        });
        bundle.id
    };
    // The library is attached to when it is seen for the first time, which may be too late for whoever showed it.
    let hello = life("hello", "hello");
    let told = (0..100).find_map(|number| {
        let id = life(&format!("{text}-{number}"), text);
        verdicts.run.has_told("memory", &id).then_some(id)
    });
    (verdicts.end(), hello, told.expect("the engine is attached to"))
}

#[test]
fn a_module_of_which_only_its_engine_tells() {
    let (seen, hello, told) = told_by_the_engine("wasm-out-of-bounds-engine-reported", &[], "interpreted");
    only(&seen, &told, "wasm-out-of-bounds/engine-reported proved");
    quiet(&seen, &hello);
}

#[test]
fn an_atomic_operation_that_is_not_aligned() {
    let (seen, hello, told) = told_by_the_engine("wasm-threads", &[], "atomic");
    only(&seen, &told, "wasm-threads/atomics proved");
    quiet(&seen, &hello);
}

#[test]
fn a_trap_that_has_nothing_to_do_with_threads() {
    let (seen, hello, told) =
        told_by_the_engine("wasm-threads-not-other-traps", &["wasm-out-of-bounds"], "interpreted");
    only(&seen, &told, "wasm-out-of-bounds/engine-reported proved");
    quiet(&seen, &hello);
}

#[test]
fn a_module_that_youki_runs() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "wasm-out-of-bounds-youki", &[]);
    let youki = stage.runtime(program("youki"));
    let [oob, hello] = [("oob", workload::wasm("oob")), ("hello", HELLO.to_vec())].map(|(name, module)| {
        let bundle = Bundle::wasm(&module, true).write(&stage, &format!("{name}-{}", stage.id()));
        let bundle = bundle.expect("bundle");
        youki.run(&bundle).expect("youki");
        bundle.id
    });
    let seen = verdicts.end();
    only(&seen, &oob, "wasm-out-of-bounds/outside-memory proved");
    quiet(&seen, &hello);
}

/// What youki makes of a module that grows by three pages and loads from the next one, by the limits of its memory, and the
/// signal that it gets.
fn grown<const N: usize>(case: &str, limits: [&str; N]) -> (Seen, [String; N]) {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, case, &[]);
    let youki = stage.runtime(program("youki"));
    let ids = limits.map(|limits| {
        let name = format!("grows-{}-{}", limits.replace(' ', "-"), stage.id());
        let bundle = Bundle::wasm(&workload::grows(limits), true).write(&stage, &name).expect("bundle");
        assert_eq!(youki.run(&bundle).expect("youki").code(), 255, "{name}");
        bundle.id
    });
    (verdicts.end(), ids)
}

const MIB: u64 = 1 << 20;

#[test]
fn a_memory_at_the_maximum_that_its_module_declares() {
    let (seen, [id]) = grown("wasm-out-of-bounds-at-maximum", ["1 4"]);
    only(&seen, &id, "wasm-out-of-bounds/at-maximum proved");
    let sizes = [("linear_bytes", json!(MIB / 4)), ("linear_max_bytes", json!(MIB / 4))];
    expect(seen.fault_of(&id), &sizes);
}

#[test]
fn a_memory_that_may_still_grow() {
    let (seen, [below, without]) = grown("wasm-out-of-bounds-not-at-maximum", ["1 5", "1"]);
    for (id, max) in [(&below, json!(5 * MIB / 16)), (&without, Value::Null)] {
        only(&seen, id, "wasm-out-of-bounds/outside-memory proved");
        expect(seen.fault_of(id), &[("linear_bytes", json!(MIB / 4)), ("linear_max_bytes", max)]);
    }
}

#[test]
fn languages_that_take_the_same_signals() {
    let test = "languages_that_take_the_same_signals";
    let (Some(java_program), Some(javac), Some(go_program), Some(package)) =
        (needs(test, "java"), needs(test, "javac"), needs(test, "go"), needs_package(test, "wasmtime"))
    else {
        return;
    };
    let stage = stage();
    let go = go(&stage, &go_program);
    let verdicts = Verdicts::begin(&stage, "wasm-out-of-bounds-not-handled-faults-of-java", &[]);
    let large = &["-Xmx8g", "-XX:HeapBaseMinAddress=64g"];
    let python = machine(&package.python, &["-c", "import sys\nsys.exit(3)"]);
    let all = [
        ("java", java(&stage, &java_program, &javac, large), 0),
        ("java-wrong", java(&stage, &java_program, &javac, &["-XX:NoSuchOption"]), 1),
        ("go", go, 0),
        ("python", python, 3),
    ];
    let ids = all.map(|(name, bundle, code)| {
        let (id, ran) = ends(&stage, name, bundle);
        assert_eq!(ran.code(), code, "{name}: {}{}", ran.stdout, ran.stderr);
        id
    });
    let seen = verdicts.end();
    ids.iter().for_each(|id| quiet(&seen, id));
}

/// V8 compares each address with the end of the memory where it may not use signals: all there is is what it says.
#[test]
fn an_engine_that_raises_no_signal() {
    let Some(program) = needs("an_engine_that_raises_no_signal", "node") else { return };
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "wasm-out-of-bounds-text-reported", &[]);
    let script = |end: &[u8]| {
        let words = ["--wasm-enforce-bounds-checks", "/call.cjs", "/traps.wasm", "out-of-bounds"];
        machine(&program, &words).file("call.cjs", end).file("traps.wasm", &workload::wasm("traps"))
    };
    let (outside, ran) = ends(&stage, "outside", script(NODE_CALL_AND_END));
    assert_eq!(ran.code(), 1, "{}{}", ran.stdout, ran.stderr);
    // It says the same, and goes on.
    let (caught, ran) = ends(&stage, "caught", script(&workload::source("node_call.cjs")));
    assert_eq!(ran.code(), 0, "{}{}", ran.stdout, ran.stderr);
    let seen = verdicts.end();
    assert_eq!(seen.memory_of(&outside).len(), 0, "it raised a signal");
    only(&seen, &outside, "wasm-out-of-bounds/text-reported likely");
    quiet(&seen, &caught);
}
