//! Who wants a container to end: signals from outside to its first process, told before its end.

use observer_tests::rig::{
    Bundle, program,
    run::Run,
    stage,
    stdio::{Container, Streams, expect},
};
use serde_json::{Value, json};

fn is_stop(object: &Value, id: &str) -> bool {
    object["container"]["id"] == id && object["action"] == "stop"
}

#[test]
fn what_a_runtime_sends_is_told_once_a_signal() {
    let stage = stage();
    let run = Run::begin(&stage, &["--show", "events"]);
    let (streams, _out, _err) = Streams::pipes();
    let mut container = Container::of(&stage, "stopped", Bundle::new(&["/bin/sleep", "1000"]), streams);
    run.wait_for("its start", |object| {
        object["container"]["id"] == *container.id && object["action"] == "start"
    });
    let crun = stage.runtime(program("crun"));
    // `sleep` as the first process of its namespace has no handler: SIGTERM comes to nothing.
    for signal in ["TERM", "TERM", "KILL"] {
        let mut kill = crun.command("kill");
        stage.run(kill.args([container.id.as_str(), signal])).expect("crun").success().expect("crun");
    }
    assert_eq!(container.ends(), 137);
    run.wait_for("its end", |object| {
        object["container"]["id"] == *container.id && object["action"] == "exit"
    });
    let seen = run.end();
    let stops: Vec<&Value> = seen.of_type("event").filter(|event| is_stop(event, &container.id)).collect();
    assert_eq!(stops.len(), 2, "{stops:#?}");
    for (stop, (signal, name)) in stops.iter().zip([(15, "SIGTERM"), (9, "SIGKILL")]) {
        expect(stop, &[("signal", json!(signal)), ("signal_name", json!(name)), ("exit_code", Value::Null)]);
        assert_eq!(stop["process"]["comm"], "crun", "{stop}");
    }
    let at = |action: &str| {
        let of = |event: &&Value| event["container"]["id"] == *container.id && event["action"] == action;
        seen.of_type("event").position(|event| of(&event)).expect(action)
    };
    assert!(at("start") < at("stop") && at("stop") < at("exit"));
}

#[test]
fn what_a_container_does_to_itself_is_no_stop() {
    let stage = stage();
    let run = Run::begin(&stage, &["--show", "events"]);
    let (streams, _out, _err) = Streams::pipes();
    let script = "trap 'exit 3' TERM; (kill -TERM 1); sleep 5; exit 4";
    let mut container = Container::of(&stage, "itself", Bundle::new(&["/bin/sh", "-c", script]), streams);
    container.ends();
    run.wait_for("its end", |object| {
        object["container"]["id"] == *container.id && object["action"] == "exit"
    });
    let seen = run.end();
    assert!(!seen.of_type("event").any(|event| is_stop(event, &container.id)), "{}", seen.stdout);
}
