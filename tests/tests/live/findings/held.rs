//! What is concluded of Wasm modules whose output comes all at once, at their end; and nothing where that is nobody's fault.

use std::{
    io::{pipe, read_to_string},
    thread,
};

use observer_tests::rig::{
    Bundle, Stage, stage,
    verdict::{Verdicts, only, quiet},
    wasmedge::WasmEdge,
    watch::Seen,
};

/// A version of crun, what the module does, and whether its annotations say that it is one.
type Life = (&'static str, &'static str, bool);

/// What is concluded of such modules, each by its id.
fn lived(case: &str, lives: &[Life]) -> (Seen, Vec<String>) {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, case, &[]);
    let ids: Vec<String> = thread::scope(|scope| {
        let begin = |(number, life): (usize, &Life)| {
            let (stage, life) = (&stage, *life);
            scope.spawn(move || live(stage, number, life))
        };
        let running: Vec<_> = lives.iter().enumerate().map(begin).collect();
        running.into_iter().map(|running| running.join().expect("a life")).collect()
    });
    for id in &ids {
        verdicts.run.stream_ends(id, 1);
    }
    (verdicts.end(), ids)
}

fn live(stage: &Stage, number: usize, (version, does, is_handled): Life) -> String {
    let stand_in = WasmEdge::with_wasmer(stage, version);
    let module = [does.as_bytes(), &[0; 200]].concat();
    let bundle = Bundle::wasm(&module, is_handled).write(stage, &format!("{does}-{number}-{}", stage.id()));
    let bundle = bundle.expect("bundle");
    let (out, stdout) = pipe().expect("a pipe");
    let mut command = stand_in.with_library(&bundle);
    let mut crun = command.stdout(stdout).spawn().expect("stand-in");
    // With it goes this process's end of the pipe.
    drop(command);
    let said = read_to_string(out).expect("text");
    assert!(crun.wait().expect("stand-in").success());
    assert_eq!(said, "hello from wasm\n");
    bundle.id
}

#[test]
fn an_old_crun_holds_output_until_the_module_ends() {
    let lives = [("1.8.4", "works", true), ("1.9", "works", true)];
    let (seen, ids) = lived("crun-too-old-wasmer-capture", &lives);
    only(&seen, &ids[0], "crun-too-old/wasmer-capture likely");
    assert_eq!(seen.outcomes(&ids[1], 1), ["delivered"]);
    quiet(&seen, &ids[1]);
}

#[test]
fn modules_that_say_something_at_their_end_only() {
    // By one that holds nothing; and by an old one, without being what its handler is for.
    let lives = [("1.9", "late", true), ("1.8.5", "works", false)];
    let (seen, ids) = lived("crun-too-old-not-held", &lives);
    for id in &ids {
        assert_eq!(seen.outcomes(id, 1), ["held-until-exit"]);
        quiet(&seen, id);
    }
}
