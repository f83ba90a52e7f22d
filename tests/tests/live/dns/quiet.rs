//! What is no look-up is not told, and nothing that is looked at is changed.

use std::{thread::sleep, time::Duration};

use observer_tests::rig::{
    dns::{DNSMASQ, Names, OWN, TOLD_AFTER},
    program,
    run::Run,
    stage,
};
use serde_json::Value;

#[test]
fn what_only_looks_like_a_look_up() {
    let stage = stage();
    let names = Names::new(&stage);
    names.ask(DNSMASQ);
    let other_port = names.on_port(5_300);
    let run = Run::attached(&["--show", "dns"]);
    for words in [
        &["id", "root"][..],
        &["ls", "-l", "/etc"],
        &["python3", "-c", "print(open('/etc/resolv.conf').read())"],
        &["getent", "hosts", "127.0.0.1"],
        &["dig", "+time=1", "+tries=1", "-p", "5300", &format!("@{OWN}"), "other.test"],
    ] {
        let ran = stage.run(stage.command(program(words[0])).args(&words[1..])).expect("a program");
        assert_eq!(ran.code(), 0, "{words:?}: {}", ran.stderr);
    }
    assert!(other_port.stdout().contains("other.test"), "it was asked, and answered");
    assert_eq!(names.getent("good.test").code(), 0);
    sleep(TOLD_AFTER);
    let seen = run.end();
    let told: Vec<&Value> = seen.of_type("event").collect();
    assert_eq!(told.len(), 1, "only what is one: {told:#?}");
    seen.lookup("getent", "good.test");
}

/// What a client was told and what a server was asked, many times over.
fn traffic(names: &Names) -> (Vec<String>, Vec<String>) {
    names.configure(&[&format!("nameserver {OWN}"), "options timeout:1 attempts:2"]);
    let before = names.asked().len();
    let told = (0..40).map(|n| names.getent(&format!("name{n}.test")).stdout).collect();
    let more = ["servfail.test", "refused.test", "garbage.test"].map(|name| names.getent(name).stdout);
    let told: Vec<String> = [told, more.to_vec()].concat();
    // Until the server has written what it was asked last.
    sleep(Duration::from_millis(200));
    (told, names.asked().split_off(before))
}

#[test]
fn traffic_is_what_it_was() {
    let stage = stage();
    let names = Names::new(&stage);
    let alone = traffic(&names);
    assert!(alone.1.len() >= 80, "{:?}", alone.1);
    let run = Run::attached(&["--show", "dns"]);
    let observed = traffic(&names);
    sleep(TOLD_AFTER);
    let seen = run.end();
    assert_eq!(alone, observed, "answers, and queries with their sizes and their order");
    let told = seen.lookups_by("getent");
    assert_eq!(told.len(), 43, "{}", seen.stdout);
    // As many queries as the server was asked; garbage in between is no answer.
    let attempts: u64 = told.iter().filter_map(|event| event["attempts"].as_u64()).sum();
    assert_eq!(attempts, observed.1.len() as u64);
    assert_eq!(seen.lookup("getent", "garbage.test")["outcome"], "answered");
    let not_measured = seen.last("summary")["not_measured"].to_string();
    assert!(not_measured.contains("messages to or from port 53"), "{not_measured}");
}
