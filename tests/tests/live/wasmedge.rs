//! A Wasm module run by crun's own handler: nothing is executed, and the engine is a library that the runtime opens
//! and links before it makes the container. By a stand-in for crun, which says so.

use observer_tests::{
    check::{number, phase_names},
    rig::{Bundle, HELLO, stage, wasmedge::WasmEdge, watch::Watch},
};
use serde_json::{Value, json};

fn details<'a>(start: &'a Value, phase: &str) -> Vec<&'a str> {
    let phases = start["phases"].as_array().into_iter().flatten().filter(|found| found["name"] == phase);
    phases.filter_map(|phase| phase["detail"].as_str()).collect()
}

#[test]
fn an_engine_that_the_runtime_links() {
    let stage = stage();
    let stand_in = WasmEdge::build(&stage);
    let id = format!("wasmedge-{}", stage.id());
    let bundle = Bundle::wasm(HELLO, true).write(&stage, &id).expect("bundle");
    let watch = Watch::begin();
    let ran = stage.run(&mut stand_in.with_library(&bundle)).expect("stand-in").success().expect("stand-in");
    assert_eq!(ran.stdout, "hello from wasm\n");
    let seen = watch.end();
    // One start, though crun executes itself twice.
    let start = seen.start(&id);
    for (pointer, value) in [
        ("/container/runtime", json!("crun")),
        ("/container/kind", json!("wasm")),
        ("/container/exit/code", json!(0)),
        ("/t0", json!("runtime")),
        ("/ready", json!("first-output")),
        ("/failure", Value::Null),
    ] {
        assert_eq!(start.pointer(pointer), Some(&value), "{pointer} of {start:#}");
    }
    let names = phase_names(start);
    let order = ["runtime-load", "wasm-engine", "namespaces", "rootfs", "wasm-load", "wasm-instantiate"];
    let places: Vec<_> = order
        .iter()
        .map(|phase| {
            let place = names.iter().position(|name| name == phase);
            place.unwrap_or_else(|| panic!("there is no {phase}: {names:?}"))
        })
        .collect();
    assert!(places.is_sorted(), "{order:?} do not begin in that order: {names:?}");
    assert_eq!(details(start, "exec"), ["payload begins inside the runtime"], "{start:#}");
    let is_named = |phase: &str, what: &str| details(start, phase).iter().any(|detail| detail.contains(what));
    assert!(is_named("wasm-engine", "libwasmedge.so.0"), "{start:#}");
    assert!(is_named("wasm-load", "/app.wasm"), "{start:#}");
    // The library's constructor alone takes this long, whatever the machine does.
    let linking =
        start["phases"].as_array().into_iter().flatten().filter(|phase| phase["name"] == "wasm-engine");
    let linking: f64 = linking.map(|phase| number(phase, "duration_ms").expect("a duration")).sum();
    assert!(linking >= 5.0, "linking took {linking} ms: {start:#}");
    seen.nothing_nameless();
    assert_eq!(seen.lost(), 0, "{}", seen.last("health"));
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
}
