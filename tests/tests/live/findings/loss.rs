//! What is concluded while something is lost: no more than can be answered for, and why.

use observer_tests::rig::{
    Bundle, program, stage,
    verdict::{Verdicts, findings, only, quiet},
};
use rustix::process::Signal;

/// Far more than there is room for in the smallest ring.
const MANY: usize = 40;

#[test]
fn a_finding_while_records_are_lost_is_less_sure() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "pod-not-starting-loss", &["--ring", "256KiB"]);
    let run = |name: &str, words: &[&str]| {
        let bundle = Bundle::new(words).write(&stage, &format!("{name}-{}", stage.id())).expect("bundle");
        stage.runtime(program("crun")).run(&bundle).expect("crun");
        bundle.id
    };
    let before = run("before", &["/bin/nothing"]);
    verdicts.awaits("pod-not-starting", &before);
    // Nobody takes anything out, until what comes then is lost.
    verdicts.run.signal(Signal::STOP);
    for number in 0..MANY {
        run(&format!("many-{number}"), &["/bin/true"]);
    }
    verdicts.run.signal(Signal::CONT);
    let has_lost = |object: &serde_json::Value| {
        let first = object["container"]["id"].as_str().is_some_and(|id| id.starts_with("many-"));
        first && object["type"] == "coldstart"
    };
    verdicts.run.wait_for("the first of those that were not lost", has_lost);
    let after = run("after", &["/bin/nothing"]);
    let well = run("well", &["/bin/true"]);
    let finding = verdicts.awaits("pod-not-starting", &after);
    let seen = verdicts.run.end();
    assert!(seen.lost() > 0, "nothing was lost: {}", seen.last("health"));
    assert_eq!(findings(&seen, &before), ["pod-not-starting/entrypoint proved"]);
    only(&seen, &after, "pod-not-starting/entrypoint likely");
    let note = finding["confidence_note"].as_str();
    assert!(note.is_some_and(|note| note.contains("of probe process were lost")), "{finding:#}");
    quiet(&seen, &well);
}
