//! Signals that programs take themselves: of a Wasm module's traps, which are told, and of languages that work that
//! way, which are not. By real engines, under crun.

use observer_tests::rig::{
    Bundle, Stage,
    engines::{go, java, machine, needs, needs_package, node, wasmtime},
    memory::ends,
    run::Run,
    stage,
    stdio::expect,
    watch::Seen,
};
use serde_json::{Value, json};

/// Whatever begins from now on is followed from its start.
fn watch(stage: &Stage) -> Run {
    Run::begin(stage, &["--ready-wait", "1s"])
}

/// Runs a container that ends well and says this.
fn says(stage: &Stage, name: &str, bundle: Bundle, text: &str) -> String {
    let (id, ran) = ends(stage, name, bundle);
    assert_eq!(ran.code(), 0, "{name}: {}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.starts_with(text), "{name} said {}{}", ran.stdout, ran.stderr);
    id
}

/// A trap that a signal showed, of a program that went on.
fn trapped(seen: &Seen, id: &str, comm: &str, fields: &[(&str, Value)]) {
    let trap = seen.fault_of(id);
    let of_all = [
        ("kind", json!("wasm-trap")),
        ("handled", json!(true)),
        ("seen", json!("signal")),
        ("count", json!(1)),
        ("engine_code", Value::Null),
        ("since", json!("start")),
        ("why", Value::Null),
    ];
    expect(trap, &[&of_all[..], fields].concat());
    expect(&trap["process"], &[("comm", json!(comm))]);
    expect(seen.exit_of(id), &[("code", json!(0)), ("reason", Value::Null)]);
}

/// An access beyond the memory: address and region as the module would say it.
fn access(address: &str, region: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("signal", json!(11)),
        ("code", json!(2)),
        ("wasm_address", json!(address)),
        ("region", json!(region)),
        ("linear_bytes", json!(65_536)),
    ]
}

/// Functions of `workloads/traps.wat` that access what is not theirs, and what is said of that.
const ACCESSES: [(&str, &str, &str); 2] =
    [("out-of-bounds", "0x7ffffff0", "linear-memory"), ("guard", "0x100000010", "guard")];
const OTHER_TRAPS: [&str; 3] = ["unreachable", "division", "recursion"];

#[test]
fn traps_of_wasmtime() {
    let Some(package) = needs_package("traps_of_wasmtime", "wasmtime") else { return };
    let stage = stage();
    let watch = watch(&stage);
    let call = |function: &str, text: &str| {
        says(&stage, &format!("wasmtime-{function}"), wasmtime(&package, function), text)
    };
    let accesses = ACCESSES.map(|(function, ..)| call(function, "trapped:"));
    let others = OTHER_TRAPS.map(|function| call(function, "trapped:"));
    let growth = call("growth", "returned");
    let script = "try: None.member\nexcept AttributeError: print('caught')";
    let plain = says(&stage, "python", machine(&package.python, &["-c", script]), "caught");
    let seen = watch.end();
    let python = package.python.file_name().expect("a name").to_string_lossy();
    for (id, (_, address, region)) in accesses.iter().zip(ACCESSES) {
        trapped(&seen, id, &python, &access(address, region));
    }
    for id in &others {
        let fields = [("signal", json!(4)), ("wasm_address", Value::Null), ("region", Value::Null)];
        trapped(&seen, id, &python, &fields);
    }
    seen.is_quiet(&growth);
    seen.is_quiet(&plain);
    seen.nothing_was_lost();
}

#[test]
fn traps_of_node() {
    let Some(program) = needs("traps_of_node", "node") else { return };
    let stage = stage();
    let watch = watch(&stage);
    let call = |function: &str, text: &str| {
        says(&stage, &format!("node-{function}"), node(&program, &[function]), text)
    };
    let accesses = ACCESSES.map(|(function, ..)| call(function, "trapped:"));
    // V8 needs no signal for these: nothing shows them from outside.
    let others = OTHER_TRAPS.map(|function| call(function, "trapped:"));
    let growth = call("growth", "returned");
    let plain = says(&stage, "node-plain", node(&program, &[]), "1000");
    let seen = watch.end();
    for (id, (_, address, region)) in accesses.iter().zip(ACCESSES) {
        trapped(&seen, id, "node", &access(address, region));
    }
    for id in others.iter().chain([&growth, &plain]) {
        seen.is_quiet(id);
    }
    seen.nothing_was_lost();
}

#[test]
fn traps_that_come_thousands_of_times() {
    let Some(program) = needs("traps_that_come_thousands_of_times", "node") else { return };
    let stage = stage();
    let watch = watch(&stage);
    let bundle = node(&program, &["out-of-bounds", "3000"]);
    let id = says(&stage, "node-often", bundle, "trapped:");
    let seen = watch.end();
    let told = seen.memory_of(&id);
    let counts: Vec<u64> = told.iter().filter_map(|trap| trap["count"].as_u64()).collect();
    assert_eq!((counts.first(), counts.iter().sum::<u64>()), (Some(&1), 3_000), "{told:#?}");
    // The first at once, and the rest from time to time; that takes long only on a machine that hardly moves.
    assert!(counts.len() <= 5, "{told:#?}");
    for trap in told {
        expect(trap, &access("0x7ffffff0", "linear-memory"));
        expect(trap, &[("kind", json!("wasm-trap"))]);
    }
    seen.nothing_was_lost();
}

/// Records of faults that came from the kernel: that a test's program raised signals at all.
fn faults_recorded(seen: &Seen) -> u64 {
    let families = seen.last("health")["probes"].as_array().expect("probes");
    let faults = families.iter().find(|family| family["name"] == "fault").expect("the family");
    faults["records"].as_u64().expect("a number of records")
}

#[test]
fn null_pointers_of_java() {
    let test = "null_pointers_of_java";
    let (Some(java_program), Some(javac)) = (needs(test, "java"), needs(test, "javac")) else { return };
    let stage = stage();
    let watch = watch(&stage);
    // Heaps of every kind, most with a reservation that is as large as that of an engine.
    let kinds = [
        ("small", &["-Xmx64m"][..]),
        ("large", &["-Xmx8g", "-XX:HeapBaseMinAddress=64g"]),
        ("z", &["-Xmx64m", "-XX:+UseZGC"]),
        ("wide", &["-Xmx12g", "-XX:-UseCompressedOops"]),
    ];
    let ids = kinds.map(|(name, options)| {
        let bundle = java(&stage, &java_program, &javac, options);
        says(&stage, &format!("java-{name}"), bundle, "10000")
    });
    let seen = watch.end();
    for id in &ids {
        seen.is_quiet(id);
    }
    assert!(faults_recorded(&seen) >= 20, "{}", seen.last("health"));
    seen.nothing_was_lost();
}

#[test]
fn nil_pointers_of_go() {
    let Some(program) = needs("nil_pointers_of_go", "go") else { return };
    let stage = stage();
    let bundle = go(&stage, &program);
    let watch = watch(&stage);
    let id = says(&stage, "go", bundle, "recovered");
    let seen = watch.end();
    seen.is_quiet(&id);
    assert!(faults_recorded(&seen) >= 10, "{}", seen.last("health"));
    seen.nothing_was_lost();
}
