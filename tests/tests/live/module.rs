//! What a Wasm module says of itself, read when it is opened: by a runtime with an engine in it, and by a stand-in for crun
//! with WasmEdge, which says so.

use observer_tests::rig::{
    Bundle, HELLO, program, stage,
    wasmedge::WasmEdge,
    watch::{Seen, Watch},
    workload,
};
use serde_json::{Value, json};

/// A section as WasmEdge's compiler adds it to a module, for another machine than there is a kernel program for.
fn with_foreign_code(module: &[u8]) -> Vec<u8> {
    let content = [b"\x08wasmedge\x03\x01\x03", &[0_u8; 24][..]].concat();
    [module, &[0, u8::try_from(content.len()).expect("a short one")], &content].concat()
}

/// What `HELLO` imports.
const IMPORTS: [&str; 2] = ["wasi_snapshot_preview1.fd_write", "wasi_snapshot_preview1.proc_exit"];

/// Why nothing is known of the module of a start.
fn why(start: &Value) -> Vec<&str> {
    let unknown = start["container"]["unknown"].as_array().expect("a list");
    let all = unknown.iter().filter_map(Value::as_str);
    all.filter(|why| why.starts_with("Wasm module")).collect()
}

fn nothing_missed(seen: &Seen) {
    seen.nothing_nameless();
    assert_eq!((seen.lost(), seen.code), (0, Some(0)), "{}{}", seen.last("health"), seen.stderr);
}

#[test]
fn what_modules_say_of_themselves() {
    let stage = stage();
    let cut = HELLO[..HELLO.len() - 1].to_vec();
    let cases = [
        ("hello", HELLO.to_vec(), 0),
        ("grows", workload::grows("1 4"), 255),
        ("foreign", with_foreign_code(HELLO), 0),
        ("cut", cut, 255),
    ];
    let youki = stage.runtime(program("youki"));
    let watch = Watch::begin();
    let ids = cases.map(|(name, module, code)| {
        let bundle = Bundle::wasm(&module, true).write(&stage, &format!("{name}-{}", stage.id()));
        let bundle = bundle.expect("bundle");
        let ran = youki.run(&bundle).expect("youki");
        assert_eq!(ran.code(), code, "{name}: {}{}", ran.stdout, ran.stderr);
        bundle.id
    });
    let plain = Bundle::new(&["/bin/echo", "hello"]).write(&stage, &format!("plain-{}", stage.id()));
    let plain = plain.expect("bundle");
    youki.run(&plain).expect("youki").success().expect("youki");
    let seen = watch.end();
    let [hello, grows, foreign, cut] = ids.each_ref().map(|id| seen.start(id));
    let memory = |max: Value| json!([{"imported_as": null, "min_pages": 1, "max_pages": max, "page_bytes": 65_536, "shared": false}]);
    let expected = json!({
        "path": "app.wasm",
        "format": "core",
        "memories": memory(Value::Null),
        "imports": IMPORTS,
        "imports_left_out": 0,
        "ahead_of_time": null,
    });
    assert_eq!(hello["module"], expected, "{hello:#}");
    assert_eq!((&grows["module"]["memories"], &grows["module"]["imports"]), (&memory(json!(4)), &json!([])));
    let code = json!({"form": "wasmedge-section", "version": 3, "os": "linux", "machine": "riscv64"});
    assert_eq!(foreign["module"]["ahead_of_time"], code, "{foreign:#}");
    assert_eq!(foreign["module"]["memories"], expected["memories"], "{foreign:#}");
    assert_eq!(
        (&cut["module"], why(cut)),
        (&Value::Null, vec!["Wasm module app.wasm: it ends within a section"])
    );
    let plain = seen.start(&plain.id);
    assert_eq!((&plain["module"], why(plain).len()), (&Value::Null, 0), "{plain:#}");
    nothing_missed(&seen);
}

#[test]
fn a_module_that_an_engine_of_its_own_library_opens() {
    let stage = stage();
    let stand_in = WasmEdge::build(&stage);
    let [hello, text] =
        [("hello", HELLO.to_vec()), ("text", b"(module)".repeat(16))].map(|(name, module)| {
            let bundle = Bundle::wasm(&module, true).write(&stage, &format!("{name}-{}", stage.id()));
            bundle.expect("bundle")
        });
    let watch = Watch::begin();
    for bundle in [&hello, &text] {
        stage.run(&mut stand_in.with_library(bundle)).expect("stand-in");
    }
    let seen = watch.end();
    let of_hello = seen.start(&hello.id);
    assert_eq!(of_hello["module"]["imports"], json!(IMPORTS), "{of_hello:#}");
    let of_text = seen.start(&text.id);
    let expected = "Wasm module /app.wasm: neither a Wasm module in binary form nor compiled code";
    assert_eq!((&of_text["module"], why(of_text)), (&Value::Null, vec![expected]));
    nothing_missed(&seen);
}
