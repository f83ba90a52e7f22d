//! Whoever asks is seen, however it asks: several C libraries, c-ares, Go, and in containers.

use std::thread::sleep;

use observer_tests::rig::{
    dns::{DNSMASQ, DNSMASQ6, Names, OWN, TOLD_AFTER, UNBOUND, cares, contained, go, musl},
    program,
    run::Run,
    stage,
    stdio::expect,
};
use serde_json::{Value, json};

#[test]
fn each_resolver_is_seen() {
    let stage = stage();
    let names = Names::new(&stage);
    let resolvers = [musl(&stage), cares(&stage), go(&stage)];
    let run = Run::attached(&["--show", "dns"]);
    for resolver in &resolvers {
        for (server, name, code) in [
            (DNSMASQ, "good.test", 0),
            (DNSMASQ6, "four.test", 0),
            (DNSMASQ, "missing.test", 1),
            (UNBOUND, "refused.test", 1),
            (OWN, "slow.test", 0),
        ] {
            names.configure(&[&format!("nameserver {server}"), "options timeout:1 attempts:1"]);
            let ran = names.run(resolver.clone(), name);
            assert_eq!(ran.code().min(1), code, "{}: {}{}", ran.what, ran.stdout, ran.stderr);
        }
    }
    // Go and musl wait for an answer that does not come; c-ares is told that nobody is there.
    run.wait_for("the last look-up", |event| {
        event["process"]["comm"] == "resolve-go" && event["name"] == "slow.test"
    });
    sleep(TOLD_AFTER);
    let seen = run.end();
    for resolver in ["resolve-musl", "resolve-cares", "resolve-go"] {
        let outcome = |name: &str| seen.lookup(resolver, name)["outcome"].clone();
        assert_eq!(outcome("good.test"), "answered", "{resolver}");
        assert_eq!(outcome("four.test"), "answered", "{resolver}");
        assert_eq!(outcome("missing.test"), "nxdomain", "{resolver}");
        assert_eq!(outcome("refused.test"), "refused", "{resolver}");
        let slow = seen.lookup(resolver, "slow.test");
        assert_eq!((&slow["outcome"], &slow["server"]["address"]), (&json!("answered"), &json!(OWN)));
        assert!(slow["latency_ms"].as_f64().is_some_and(|ms| ms >= 300.0), "{slow:#}");
        assert_eq!(seen.lookup(resolver, "four.test")["server"]["address"], DNSMASQ6);
    }
    assert_eq!(seen.lost(), 0);
}

#[test]
fn behind_a_service_address() {
    let stage = stage();
    let names = Names::new(&stage);
    names.serve("10.96.0.10", DNSMASQ);
    let musl = musl(&stage);
    let run = Run::attached(&["--show", "dns"]);
    names.ask("10.96.0.10");
    assert_eq!(names.getent("good.test").code(), 0);
    assert_eq!(names.run(musl, "good.test").code(), 0);
    sleep(TOLD_AFTER);
    let seen = run.end();
    // The one asks by a socket that is connected, the other by one that is not.
    for resolver in ["getent", "resolve-musl"] {
        expect(
            seen.lookup(resolver, "good.test"),
            &[
                ("outcome", json!("answered")),
                ("server", json!({ "address": "10.96.0.10", "port": 53 })),
                ("backend", json!({ "address": DNSMASQ, "port": 53, "pod": null })),
            ],
        );
    }
}

#[test]
fn containers_with_and_without_resolver_files() {
    let stage = stage();
    let _names = Names::new(&stage);
    let run = Run::begin(&stage, &[]);
    let crun = stage.runtime(program("crun"));
    let ends = |name: &str, resolv_conf: Option<&str>, asked: &str| {
        let name = format!("{name}-{}", stage.id());
        let bundle =
            contained(resolv_conf, &["/bin/getent", "ahosts", asked]).write(&stage, &name).expect("bundle");
        (crun.run(&bundle).expect("crun").code(), bundle.id)
    };
    let (code, with) = ends("with", Some(&format!("nameserver {DNSMASQ}\n")), "good.test");
    assert_eq!(code, 0);
    let (code, without) = ends("without", None, "good.test");
    assert_eq!(code, 2);
    sleep(TOLD_AFTER);
    let seen = run.end();
    let of = |id: &str| {
        let all: Vec<&Value> = seen.events_of("dns", id).collect();
        let [one] = all[..] else { panic!("{id}: {all:#?}\n{}", seen.stdout) };
        assert_eq!(one["process"]["comm"], "getent");
        one.clone()
    };
    expect(
        &of(&with),
        &[
            ("outcome", json!("answered")),
            ("name", json!("good.test")),
            ("since", json!("start")),
            ("transport", json!("udp")),
        ],
    );
    // Without the file glibc asks this machine, which says that nobody is there; recv does not show it.
    expect(
        &of(&without),
        &[
            ("outcome", json!("error")),
            ("errno_name", json!("ECONNREFUSED")),
            ("server", json!({ "address": "127.0.0.1", "port": 53 })),
            ("rcode", Value::Null),
        ],
    );
}

#[test]
fn what_is_executed_in_a_container_asks_for_it() {
    let stage = stage();
    let _names = Names::new(&stage);
    let run = Run::begin(&stage, &[]);
    let crun = stage.runtime(program("crun"));
    let bundle = contained(Some(&format!("nameserver {DNSMASQ}\n")), &["/bin/sleep", "1000"]);
    let bundle = bundle.write(&stage, &format!("exec-{}", stage.id())).expect("bundle");
    crun.create(&bundle).expect("crun").success().expect("create");
    crun.start(&bundle.id).expect("crun").success().expect("start");
    let ran = crun.exec(&bundle.id, &["/bin/getent", "ahosts", "good.test"]).expect("crun");
    assert_eq!(ran.code(), 0, "{}", ran.stderr);
    let event = run.wait_for("its look-up", |event| event["name"] == "good.test");
    assert_eq!(event["container"]["id"], bundle.id, "{event:#}");
    crun.delete(&bundle.id).expect("crun");
    run.end();
}
