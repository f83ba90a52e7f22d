//! Every way in which a look-up ends, by real servers; asked by glibc.

mod backends;
mod quiet;
mod resolvers;
mod unasked;

use std::thread::sleep;

use observer_tests::rig::{
    dns::{DEAD, DNSMASQ, DNSMASQ6, Names, OWN, TOLD_AFTER, UNBOUND},
    program,
    run::Run,
    stage,
    stdio::{expect, until},
};
use serde_json::{Value, json};

fn address(address: &str) -> Value {
    json!({ "address": address, "port": 53 })
}

/// `name` was asked for of `server`, in vain, and why.
fn failed(event: &Value, server: &str, outcome: &str, rcode: Value) {
    expect(
        event,
        &[
            ("outcome", json!(outcome)),
            ("rcode_name", rcode),
            ("server", address(server)),
            ("backend", Value::Null),
            ("transport", json!("udp")),
            ("errno", Value::Null),
            ("container", Value::Null),
            ("why", Value::Null),
        ],
    );
}

#[test]
fn what_servers_say() {
    let stage = stage();
    let names = Names::new(&stage);
    let run = Run::attached(&["--show", "dns"]);
    names.ask(DNSMASQ);
    assert_eq!(names.getent("good.test").code(), 0);
    assert_eq!(names.getent("four.test").code(), 0);
    assert_eq!(names.getent("missing.test").code(), 2);
    names.ask(UNBOUND);
    for name in ["refused.test", "nothing.test"] {
        assert_eq!(names.getent(name).code(), 2, "{name}");
    }
    names.ask(OWN);
    assert_eq!(names.getent("servfail.test").code(), 2);
    names.ask(DNSMASQ6);
    assert_eq!(names.getent("good.test").code(), 0);
    sleep(TOLD_AFTER);
    let seen = run.end();

    let both: Vec<&Value> =
        seen.lookups_by("getent").into_iter().filter(|event| event["name"] == "good.test").collect();
    for (event, server) in both.iter().zip([DNSMASQ, DNSMASQ6]) {
        failed(event, server, "answered", json!("NOERROR"));
        expect(event, &[("attempts", json!(2)), ("qtype", json!("A"))]);
        let types: Vec<&Value> =
            event["questions"].as_array().unwrap().iter().map(|one| &one["qtype"]).collect();
        assert_eq!(types, ["A", "AAAA"]);
        assert!(event["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{event:#}");
    }
    assert_eq!(both.len(), 2, "{}", seen.stdout);
    let four = seen.lookup("getent", "four.test");
    let outcomes: Vec<&Value> =
        four["questions"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(
        (&four["outcome"], outcomes),
        (&json!("answered"), vec![&json!("answered"), &json!("nodata")])
    );
    failed(seen.lookup("getent", "missing.test"), DNSMASQ, "nxdomain", json!("NXDOMAIN"));
    failed(seen.lookup("getent", "refused.test"), UNBOUND, "refused", json!("REFUSED"));
    failed(seen.lookup("getent", "nothing.test"), UNBOUND, "nodata", json!("NOERROR"));
    failed(seen.lookup("getent", "servfail.test"), OWN, "servfail", json!("SERVFAIL"));
    assert_eq!(seen.lost(), 0);
}

#[test]
fn what_is_silent_and_what_is_slow() {
    let stage = stage();
    let names = Names::new(&stage);
    let run = Run::attached(&["--show", "dns"]);
    names.configure(&[&format!("nameserver {OWN}"), "options timeout:1 attempts:2"]);
    assert_eq!(names.getent("slow.test").code(), 0);
    assert_eq!(names.getent("silent.test").code(), 2);
    // A server whose own server is not there has nothing to say either.
    names.configure(&[&format!("nameserver {UNBOUND}"), "options timeout:1 attempts:1"]);
    assert_eq!(names.getent("dead.test").code(), 2);
    // The second server answers what the first does not.
    names.configure(&[&format!("nameserver {DEAD}"), &format!("nameserver {DNSMASQ}")]);
    assert_eq!(names.getent("good.test").code(), 0);
    names.configure(&[&format!("nameserver {UNBOUND}"), &format!("nameserver {OWN}"), "options timeout:1"]);
    assert_eq!(names.getent("any.silent.test").code(), 0);
    // Nothing but time tells that nobody will answer.
    let by_getent = |event: &Value| event["process"]["comm"] == "getent";
    run.wait_for("the end of waiting", |event| by_getent(event) && event["name"] == "silent.test");
    run.wait_for("the end of waiting", |event| by_getent(event) && event["name"] == "dead.test");
    let seen = run.end();

    let slow = seen.lookup("getent", "slow.test");
    failed(slow, OWN, "answered", json!("NOERROR"));
    assert!(slow["latency_ms"].as_f64().is_some_and(|ms| ms >= 300.0), "{slow:#}");
    let silent = seen.lookup("getent", "silent.test");
    failed(silent, OWN, "timeout", Value::Null);
    expect(silent, &[("attempts", json!(4)), ("latency_ms", Value::Null)]);
    failed(seen.lookup("getent", "dead.test"), UNBOUND, "timeout", Value::Null);
    let forwarded = seen.lookups_by("unbound");
    assert!(!forwarded.is_empty(), "{}", seen.stdout);
    for event in forwarded {
        expect(event, &[("errno_name", json!("ECONNREFUSED")), ("outcome", json!("error"))]);
        expect(event, &[("name", json!("dead.test")), ("server", address(DEAD))]);
    }
    let second = seen.lookup("getent", "good.test");
    failed(second, DNSMASQ, "answered", json!("NOERROR"));
    assert!(second["attempts"].as_u64().is_some_and(|attempts| attempts > 2), "{second:#}");
    let third = seen.lookup("getent", "any.silent.test");
    failed(third, OWN, "answered", json!("NOERROR"));
    assert!(third["latency_ms"].as_f64().is_some_and(|ms| ms >= 900.0), "it waited for the first: {third:#}");
}

#[test]
fn what_this_node_drops() {
    let stage = stage();
    let names = Names::new(&stage);
    let run = Run::attached(&["--show", "dns"]);
    names.drop_to(DNSMASQ);
    names.configure(&[&format!("nameserver {DNSMASQ}"), "options timeout:1 attempts:1"]);
    assert_eq!(names.getent("good.test").code(), 2);
    names.configure(&[&format!("nameserver {OWN}"), "options timeout:1 attempts:1"]);
    assert_eq!(names.getent("silent.test").code(), 2);
    run.wait_for("the end of waiting", |event| event["name"] == "silent.test");
    let seen = run.end();
    let dropped = seen.lookup("getent", "good.test");
    failed(dropped, DNSMASQ, "timeout", Value::Null);
    expect(&dropped["drop"], &[("reason", json!("NETFILTER_DROP")), ("of_answer", json!(false))]);
    assert!(dropped["drop"]["where"]["netns"].is_u64(), "{dropped:#}");
    expect(seen.lookup("getent", "silent.test"), &[("outcome", json!("timeout")), ("drop", Value::Null)]);
}

#[test]
fn what_is_too_much_for_a_datagram() {
    let stage = stage();
    let names = Names::new(&stage);
    let run = Run::attached(&["--show", "dns"]);
    names.ask(UNBOUND);
    let ran = names.getent("big.test");
    assert!(ran.stdout.contains("10.2.0.60"), "{}", ran.stdout);
    sleep(TOLD_AFTER);
    let seen = run.end();
    // glibc asks anew with more room when there are more addresses than it expected.
    let all = seen.lookups_by("getent");
    assert!((1..=4).contains(&all.len()), "{}", seen.stdout);
    for event in all {
        expect(event, &[("name", json!("big.test")), ("outcome", json!("answered"))]);
        expect(event, &[("transport", json!("tcp")), ("server", address(UNBOUND))]);
        assert!(event["attempts"].as_u64().is_some_and(|attempts| attempts >= 3), "UDP first: {event:#}");
    }
}

#[test]
fn names_on_the_way_to_an_answer() {
    let stage = stage();
    let names = Names::new(&stage);
    let run = Run::attached(&["--show", "dns,stats"]);
    let search = "search shop.svc.cluster.test svc.cluster.test cluster.test elsewhere.test";
    names.configure(&[&format!("nameserver {DNSMASQ}"), search, "options ndots:5"]);
    assert_eq!(names.getent("db").code(), 0);
    assert_eq!(names.getent("no").code(), 2);
    sleep(TOLD_AFTER);
    let seen = run.end();
    let found = seen.lookup("getent", "db.cluster.test");
    expect(found, &[("outcome", json!("answered")), ("attempts", json!(6))]);
    let steps: Vec<&str> =
        found["questions"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let [first, second, third] = ["db.shop.svc.cluster.test", "db.svc.cluster.test", "db.cluster.test"];
    assert_eq!(steps, [first, first, second, second, third, third]);
    // None of them is there, nor is the name itself, which nobody serves: one look-up all the same.
    let missing = seen.lookup("getent", "no");
    assert_eq!(missing["attempts"].as_u64().map(|attempts| attempts >= 10), Some(true), "{missing:#}");
    assert_eq!(seen.lookups_by("getent").len(), 2, "{}", seen.stdout);
    let counted: Vec<&Value> = seen.of_type("stats").filter(|stats| stats["probe"] == "dns").collect();
    let of_zone = |zone: &str| counted.iter().find(|stats| stats["key"]["zone"] == zone);
    let cluster = of_zone("cluster.test").unwrap_or_else(|| panic!("{counted:#?}"));
    assert_eq!(cluster["key"]["server"], format!("{DNSMASQ}:53"));
    expect(cluster, &[("count", json!(1)), ("failed", json!(0))]);
}

#[test]
fn what_a_tracer_of_the_c_library_sees() {
    let stage = stage();
    let names = Names::new(&stage);
    names.configure(&[&format!("nameserver {OWN}"), "options timeout:1 attempts:1"]);
    // Line by line, whatever it writes to.
    let mut tracer = stage.command(program("stdbuf"));
    let tracer = stage.spawn(tracer.arg("-oL").arg(program("gethostlatency"))).expect("gethostlatency");
    until("the tracer", || {
        names.getent("canary.test");
        tracer.stdout().contains("canary.test").then_some(())
    });
    let run = Run::attached(&["--show", "dns"]);
    let asked = ["one.test", "two.test", "slow.test", "refused.test"];
    asked.iter().for_each(|name| drop(names.getent(name)));
    until("the tracer's last line", || tracer.stdout().contains("refused.test").then_some(()));
    sleep(TOLD_AFTER);
    let seen = run.end();
    for name in asked {
        let said = tracer.stdout();
        let line = said.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("{name}: {said}"));
        let [_, pid, _, theirs, _] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let event = seen.lookup("getent", name);
        assert_eq!(event["process"]["pid"].to_string(), pid, "{line}");
        // The library has more to do than to ask and to wait; it tells microseconds.
        let (ours, theirs) = (event["latency_ms"].as_f64().unwrap(), theirs.parse::<f64>().unwrap());
        assert!(ours <= theirs + 0.001, "{ours} ms of {line}");
    }
}
