//! Look-ups that never leave their process, and such as only look like it; queries that the node does not let out.

use std::thread::sleep;

use observer_tests::rig::{
    dns::{Names, OWN, TOLD_AFTER, asks_how, go, musl},
    program,
    run::Run,
    stage,
    stdio::{expect, until},
    verdict::{Verdicts, only, quiet},
};
use serde_json::{Value, json};

const FILES_AND_SERVERS: &str = "hosts: files dns\nservices: files\n";
const FILES_ONLY: &str = "hosts: files\nservices: files\n";

#[test]
// long: one container, in which names are asked for in one way after the other
fn what_never_leaves_its_process() {
    let stage = stage();
    let _names = Names::new(&stage);
    let run = Run::begin(&stage, &[]);
    let hosts = "127.0.0.1 localhost\n10.1.2.9 known.test\n";
    let server = format!("nameserver {OWN}\n");
    let nowhere = "nameserver 192.0.2.53\noptions timeout:1 attempts:1\n";
    let cases = [
        // No services, no servers, no descriptors; and what has nothing to do with any of that.
        (
            "servers",
            FILES_AND_SERVERS,
            &*server,
            "service.test,service known.test 10.9.8.7 name.test,numeric poor.test,poor",
        ),
        ("files", FILES_ONLY, &*server, "files.test known.test good.test,v6,present ten.0.0.1 a..b"),
        ("served", FILES_ONLY, &*server, "served.test,served"),
        ("nowhere", FILES_AND_SERVERS, nowhere, "nowhere.test"),
        ("asks", FILES_AND_SERVERS, &*server, "asked.test refused.test"),
    ];
    let mut containers = Vec::new();
    for (name, nsswitch, resolv, words) in cases {
        let bundle = asks_how(&stage, hosts, nsswitch, resolv, &format!("2 {words}"));
        let written = bundle.write(&stage, &format!("{name}-{}", stage.id())).expect("bundle");
        let crun = stage.spawn(&mut stage.runtime(program("crun")).run_command(&written)).expect("crun");
        containers.push((written.id, crun, 2 * words.split(' ').count()));
    }
    for (id, crun, lines) in &containers {
        until(id, || (crun.stdout().lines().count() >= *lines).then_some(()));
    }
    sleep(TOLD_AFTER);
    for (id, ..) in &containers {
        stage.runtime(program("crun")).delete(id).expect("crun");
    }
    let said: Vec<String> = containers.iter_mut().map(|(_, crun, _)| crun.stdout()).collect();
    let seen = run.end();

    let of = |n: usize| -> Vec<&Value> { seen.events_of("dns", &containers[n].0).collect() };
    let told = |n: usize, name: &str| -> Vec<&Value> {
        of(n).into_iter().filter(|event| event["name"] == name).collect()
    };
    let twice = |n: usize, name: &str, fields: &[(&str, Value)]| {
        let all = told(n, name);
        assert_eq!(all.len(), 2, "{name}: {all:#?}\n{}\n{}", said[n], seen.stderr);
        all.iter().for_each(|event| expect(event, fields));
    };
    let nobody = [
        ("outcome", json!("no-packet")),
        ("server", Value::Null),
        ("transport", Value::Null),
        ("attempts", json!(0)),
        ("errno", Value::Null),
        ("qtype", json!("A")),
        ("since", json!("start")),
    ];
    twice(0, "service.test", &nobody);
    twice(0, "service.test", &[("resolver_error", json!("EAI_SERVICE"))]);
    twice(0, "poor.test", &nobody);
    twice(1, "files.test", &nobody);
    twice(1, "files.test", &[("resolver_error", json!("EAI_NONAME"))]);
    let unreachable = [
        ("outcome", json!("error")),
        ("errno_name", json!("ENETUNREACH")),
        ("server", json!({ "address": "192.0.2.53", "port": 53 })),
    ];
    twice(3, "nowhere.test", &unreachable);
    // Nothing of the others: found in a file, no name, not to be looked up, looked up by another process.
    assert_eq!((of(0).len(), of(1).len(), of(3).len()), (4, 2, 2), "{}", seen.stdout);
    assert_eq!(of(2).len(), 0, "{:#?}", of(2));
    for event in of(4) {
        assert_eq!(event["resolver_error"], Value::Null, "somebody was asked: {event:#}");
    }
    twice(4, "asked.test", &[("outcome", json!("answered"))]);
    assert_eq!(seen.lost(), 0);
}

#[test]
fn what_the_node_does_not_let_out() {
    let stage = stage();
    let names = Names::new(&stage);
    let (musl, go) = (musl(&stage), go(&stage));
    let run = Run::attached(&["--show", "dns"]);
    let withheld = "127.0.1.6";
    names.withhold_from(withheld);
    names.configure(&[&format!("nameserver {withheld}"), "options timeout:1 attempts:1"]);
    assert_eq!(names.getent("withheld.test").code(), 2);
    assert_ne!(names.run(go, "withheld.test").code(), 0);
    assert_ne!(names.run(musl, "withheld.test").code(), 0);
    names.ask(OWN);
    assert_eq!(names.getent("let.test").code(), 0);
    run.wait_for("the last one", |event| event["process"]["comm"] == "getent" && event["name"] == "let.test");
    let seen = run.end();
    for resolver in ["getent", "resolve-go", "resolve-musl"] {
        let all = seen.lookups_by(resolver);
        let withheld: Vec<&&Value> = all.iter().filter(|event| event["name"] == "withheld.test").collect();
        assert!(!withheld.is_empty(), "{resolver}: {}", seen.stdout);
        for event in withheld {
            expect(event, &[("outcome", json!("error")), ("errno_name", json!("EPERM"))]);
            expect(event, &[("server", json!({ "address": "127.0.1.6", "port": 53 }))]);
            expect(&event["drop"], &[("reason", json!("NETFILTER_DROP")), ("of_answer", json!(false))]);
        }
    }
    expect(seen.lookup("getent", "let.test"), &[("outcome", json!("answered")), ("drop", Value::Null)]);
    assert_eq!(seen.lost(), 0);
}

#[test]
fn a_container_whose_names_never_leave_it() {
    let stage = stage();
    let _names = Names::new(&stage);
    let verdicts = Verdicts::begin(&stage, "dns-failed-no-packet", &[]);
    let (hosts, server) = ("10.1.2.9 known.test\n", format!("nameserver {OWN}\n"));
    let cases = [
        ("unsent", FILES_ONLY, "6 db.test"),
        ("known", FILES_ONLY, "6 known.test db.test,numeric"),
        ("served", FILES_ONLY, "6 db.test,served"),
        ("sent", FILES_AND_SERVERS, "6 db.test"),
    ];
    let containers = cases.map(|(name, nsswitch, words)| {
        let bundle = asks_how(&stage, hosts, nsswitch, &server, words);
        let written = bundle.write(&stage, &format!("{name}-{}", stage.id())).expect("bundle");
        let crun = stage.spawn(&mut stage.runtime(program("crun")).run_command(&written)).expect("crun");
        (written.id, crun)
    });
    verdicts.awaits("dns-failed", &containers[0].0);
    for (id, crun) in &containers {
        until(id, || (crun.stdout().lines().count() >= 6).then_some(()));
    }
    sleep(TOLD_AFTER);
    for (id, _) in &containers {
        stage.runtime(program("crun")).delete(id).expect("crun");
    }
    let seen = verdicts.end();
    only(&seen, &containers[0].0, "dns-failed/no-packet proved");
    containers[1..].iter().for_each(|(id, _)| quiet(&seen, id));
}
