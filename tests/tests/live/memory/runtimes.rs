//! Traps of Wasm modules that the runtime itself runs, and what becomes of the container: youki with wasmtime, by hand
//! and in pods; and a stand-in for crun with WasmEdge.

use observer_tests::rig::{
    Bundle, HELLO, program,
    run::Run,
    stage,
    stage::{
        containerd::Removed,
        cri::{ContainerSpec, PodSpec},
    },
    stdio::expect,
    wasmedge::WasmEdge,
    watch::Seen,
    workload,
};
use serde_json::{Value, json};

/// Waits until a container is told to have ended.
fn has_ended(run: &Run, id: &str) {
    run.wait_for(&format!("the end of {id}"), |object| {
        object["probe"] == "runtime" && object["action"] == "exit" && object["container"]["id"] == id
    });
}

/// What youki makes of a trap: the signal is taken, and the container ends with an exit code of no number's meaning.
fn trapped(seen: &Seen, id: &str, fields: &[(&str, Value)]) {
    let trap = seen.fault_of(id);
    let of_all = [
        ("kind", json!("wasm-trap")),
        ("handled", json!(true)),
        ("seen", json!("signal")),
        ("count", json!(1)),
        ("why", Value::Null),
    ];
    expect(trap, &[&of_all[..], fields].concat());
    expect(seen.exit_of(id), &[("code", json!(255)), ("signal", Value::Null)]);
}

fn out_of_bounds() -> [(&'static str, Value); 3] {
    [("signal", json!(11)), ("wasm_address", json!("0x7fff0000")), ("region", json!("linear-memory"))]
}

#[test]
fn modules_by_youki() {
    let stage = stage();
    let youki = stage.runtime(program("youki"));
    let run = Run::begin(&stage, &["--ready-wait", "1s"]);
    let modules = [
        ("hello", HELLO.to_vec()),
        ("oob", workload::wasm("oob")),
        ("unreachable", workload::wasm("unreachable")),
    ];
    // Created and started: `youki run` may wait for ever for a payload that has ended already.
    let [hello, oob, unreachable] = modules.map(|(name, module)| {
        let bundle = Bundle::wasm(&module, true).write(&stage, &format!("{name}-{}", stage.id()));
        let bundle = bundle.expect("bundle");
        youki.create(&bundle).expect("youki").success().expect("create");
        youki.start(&bundle.id).expect("youki").success().expect("start");
        has_ended(&run, &bundle.id);
        bundle.id
    });
    let seen = run.end();
    trapped(&seen, &oob, &out_of_bounds());
    trapped(&seen, &unreachable, &[("signal", json!(4)), ("wasm_address", Value::Null)]);
    seen.is_quiet(&hello);
    seen.nothing_was_lost();
}

#[test]
fn modules_in_pods() {
    let stage = stage();
    let fine = stage.image("fine", Some(HELLO)).expect("image");
    let wrong = stage.image("wrong", Some(&workload::wasm("oob"))).expect("image");
    let containerd = stage.containerd(&fine, &[&wrong]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let run = Run::begin(&stage, &["--ready-wait", "1s"]);
    let pod = PodSpec { name: "web", namespace: "shop", handler: "youki", host_network: false };
    let pod = Removed { cri: &cri, pod: cri.run_pod(&stage, &pod).expect("pod") };
    let [fine, wrong] = [("fine", &fine), ("wrong", &wrong)].map(|(name, image)| {
        let command = &["/app.wasm"];
        let spec = ContainerSpec { name, image: &image.name, command, is_wasm: true, ..Default::default() };
        let id = cri.run_container(&pod.pod, &spec).expect(name);
        has_ended(&run, &id);
        id
    });
    let seen = run.end();
    trapped(&seen, &wrong, &out_of_bounds());
    let names = [("name", json!("wrong")), ("pod", json!("web")), ("namespace", json!("shop"))];
    expect(&seen.fault_of(&wrong)["container"], &names);
    seen.is_quiet(&fine);
    seen.nothing_was_lost();
}

/// By a stand-in, which says so: what it shows is that the engine's own word is read, not that WasmEdge gives it.
#[test]
fn results_that_an_engine_tells() {
    let stage = stage();
    let stand_in = WasmEdge::build(&stage);
    let run = Run::begin(&stage, &["--ready-wait", "1s"]);
    let life = |name: &str, module: &[u8]| {
        let bundle = Bundle::wasm(module, true).write(&stage, &format!("{name}-{}", stage.id()));
        let bundle = bundle.expect("bundle");
        let ran = stage.run(&mut stand_in.with_library(&bundle)).expect("stand-in");
        has_ended(&run, &bundle.id);
        (bundle.id, ran.code())
    };
    // What such a file does is written in it; the stand-in has no other use for it.
    let module = |text: &str| [text.as_bytes(), &[0; 200]].concat();
    // The library is attached to when it is seen for the first time, which may be too late for the container that
    // showed it.
    let (hello, code) = life("hello", &module("hello"));
    assert_eq!(code, 0);
    let (mut missed, mut told) = (0, None);
    while told.is_none() {
        assert!(missed < 100, "the engine was never attached to");
        let (id, code) = life(&format!("interpreted-{missed}"), &module("interpreted"));
        assert_eq!(code, 1);
        missed += 1;
        // What is told of its end is told after what is told of its memory.
        told = run.has_told("memory", &id).then_some(id);
    }
    let (compiled, code) = life("compiled", &module("compiled"));
    assert_eq!(code, 1);
    let seen = run.end();
    let told = told.expect("one that was told");
    let reason = json!("WasmEdge: out of bounds memory access (0x408)");
    expect(
        seen.fault_of(&told),
        &[
            ("kind", json!("wasm-trap")),
            ("seen", json!("engine")),
            ("engine_code", json!(0x408)),
            ("signal", Value::Null),
            ("handled", Value::Null),
            ("address", Value::Null),
        ],
    );
    expect(seen.exit_of(&told), &[("code", json!(1)), ("reason", reason.clone())]);
    // Its signal says more than the code, and it is one trap.
    expect(
        seen.fault_of(&compiled),
        &[
            ("kind", json!("wasm-trap")),
            ("seen", json!("signal")),
            ("wasm_address", json!("0x7fff0000")),
            ("region", json!("linear-memory")),
            ("handled", json!(true)),
        ],
    );
    expect(seen.exit_of(&compiled), &[("code", json!(1)), ("reason", reason)]);
    seen.is_quiet(&hello);
    seen.nothing_was_lost();
}
