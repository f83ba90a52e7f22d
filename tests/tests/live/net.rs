//! What becomes of TCP connections that containers open: real ones between two network namespaces, each failure
//! beside something that looks like it and is none.

use observer_tests::rig::{Stage, net::Cable, run::Run, stage, stdio::expect, watch::Seen};
use serde_json::{Value, json};

const OPTIONS: &[&str] = &["--show", "events,stats"];

/// What was told of the connections of a container.
fn told<'a>(seen: &'a Seen, id: &'a str) -> Vec<&'a Value> {
    seen.events_of("net", id).collect()
}

/// The one thing that was told of a container that dialled once.
fn only<'a>(seen: &'a Seen, id: &'a str) -> &'a Value {
    let told = told(seen, id);
    assert_eq!(told.len(), 1, "{told:#?}");
    told[0]
}

fn dials(cable: &Cable, stage: &Stage, run: &Run, name: &str, words: &str) -> (String, String) {
    cable.dials(stage, name, words).ends(run)
}

#[test]
fn answered_refused_and_given_up() {
    let (cable, stage) = (Cable::lay(), stage());
    let run = Run::begin(&stage, OPTIONS);
    let far = cable.far.to_string();
    let _server = cable.listens(7001);
    let (healthy, said) = dials(&cable, &stage, &run, "healthy", &format!("{far} 7001 5000 send:100"));
    let own_ms: f64 = said.strip_prefix("ok ").expect("connected").trim().parse::<f64>().expect("ns") / 1e6;
    let (refused, said) = dials(&cable, &stage, &run, "refused", &format!("{far} 7002 5000"));
    assert_eq!(said, "errno 111\n");
    let (refused6, said) = dials(&cable, &stage, &run, "refused6", "::1 7002 5000");
    assert_eq!(said, "errno 111\n");
    cable.nft_far("input", "tcp dport 7003 drop");
    let (dropped, said) = dials(&cable, &stage, &run, "dropped", &format!("{far} 7003 2500"));
    assert_eq!(said, "given-up\n");
    let (hasty, said) = dials(&cable, &stage, &run, "hasty", &format!("{far} 7003 100"));
    assert_eq!(said, "given-up\n");
    let seen = run.end();

    let event = only(&seen, &healthy);
    expect(event, &[("action", json!("connect")), ("outcome", json!("connected")), ("errno", Value::Null)]);
    expect(&event["server"], &[("address", json!(far)), ("port", json!(7001))]);
    expect(&event["local"], &[("address", json!(cable.near.to_string()))]);
    expect(&event["process"], &[("comm", json!("dialer"))]);
    let latency = event["latency_ms"].as_f64().expect("a latency");
    assert!(latency > 0.0 && latency <= own_ms, "{latency} ms, {own_ms} ms by the client itself");

    let event = only(&seen, &refused);
    expect(event, &[("outcome", json!("refused")), ("errno_name", json!("ECONNREFUSED"))]);
    let place = json!({"netns": cable.number("far")});
    expect(&event["drop"], &[("reason", json!("NO_SOCKET")), ("where", place.clone())]);
    let event = only(&seen, &refused6);
    expect(event, &[("outcome", json!("refused")), ("server", json!({"address": "::1", "port": 7002}))]);

    // While it lasted, and when it was over.
    let [stalled, event] = told(&seen, &dropped)[..] else { panic!("{:#?}", told(&seen, &dropped)) };
    expect(stalled, &[("action", json!("stall")), ("outcome", json!("stalled"))]);
    expect(event, &[("outcome", json!("timeout")), ("latency_ms", Value::Null), ("errno", Value::Null)]);
    assert!(event["syn_retransmits"].as_u64() >= Some(1), "{event:#}");
    expect(
        &event["drop"],
        &[("reason", json!("NETFILTER_DROP")), ("where", place), ("of_answer", json!(false))],
    );
    // Too soon to know whether anybody would have answered.
    expect(only(&seen, &hasty), &[("outcome", json!("abandoned")), ("latency_ms", Value::Null)]);
    assert_eq!(seen.lost(), 0);
    assert!(seen.of_type("stats").any(|stats| stats["probe"] == "net"
        && stats["key"]["server"] == json!(format!("{far}:7001"))
        && stats["outcomes"]["connected"] == 1));
}

#[test]
fn nobody_there_and_no_way_there() {
    let (cable, stage) = (Cable::lay(), stage());
    let run = Run::begin(&stage, OPTIONS);
    let [a, b, c, _] = cable.far.octets();
    let nobody = format!("{a}.{b}.{c}.77");
    let (unanswered, said) = dials(&cable, &stage, &run, "nobody", &format!("{nobody} 80 9000"));
    assert_eq!(said, "errno 113\n");
    let (no_route, said) = dials(&cable, &stage, &run, "no-route", "192.0.2.1 80 5000");
    assert_eq!(said, "errno 101\n");
    cable.ip_near(&["route", "add", "prohibit", "192.0.2.0/24"]);
    let (forbidden, said) = dials(&cable, &stage, &run, "prohibited", "192.0.2.1 80 5000");
    assert_eq!(said, "errno 13\n");
    let seen = run.end();
    // Told first that nothing answers, once that is so.
    let last = told(&seen, &unanswered).pop().expect("something was told");
    expect(last, &[("outcome", json!("unreachable")), ("errno_name", json!("EHOSTUNREACH"))]);
    let at_once = [("outcome", json!("unreachable")), ("errno_name", json!("ENETUNREACH"))];
    expect(only(&seen, &no_route), &at_once);
    expect(only(&seen, &no_route), &[("server", json!({"address": "192.0.2.1", "port": 80}))]);
    expect(only(&seen, &forbidden), &[("outcome", json!("forbidden")), ("errno_name", json!("EACCES"))]);
    assert_eq!(seen.lost(), 0);
}

#[test]
fn a_cable_that_is_cut_under_a_connection() {
    let (cable, stage) = (Cable::lay(), stage());
    let run = Run::begin(&stage, OPTIONS);
    let far = cable.far.to_string();
    let _server = cable.listens(7001);
    let idle = cable.dials(&stage, "idle", &format!("{far} 7001 5000 wait:2500"));
    let cut = cable.dials(&stage, "cut", &format!("{far} 7001 5000 wait:1500 send:10 wait:4000"));
    for dialed in [&idle, &cut] {
        let id = &dialed.container.id;
        run.wait_for("a connection", |object| {
            object["container"]["id"] == **id && object["outcome"] == "connected"
        });
    }
    cable.ip_far(&["link", "set", "eth1", "down"]);
    let ((idle, _), (cut, _)) = (idle.ends(&run), cut.ends(&run));
    let seen = run.end();
    let stalled = told(&seen, &cut).into_iter().find(|event| event["action"] == "stall");
    let stalled = stalled.unwrap_or_else(|| panic!("{:#?}", told(&seen, &cut)));
    expect(stalled, &[("outcome", json!("stalled")), ("sent_bytes", json!(0)), ("received_bytes", json!(0))]);
    assert!(stalled["retransmits"].as_u64() >= Some(2), "{stalled:#}");
    // It had nothing to send.
    assert_eq!(told(&seen, &idle).len(), 1, "{:#?}", told(&seen, &idle));
    assert_eq!(seen.lost(), 0);
}

#[test]
fn what_another_namespace_with_the_same_addresses_drops() {
    let (cable, stage) = (Cable::lay(), stage());
    let twin = cable.twin();
    let run = Run::begin(&stage, OPTIONS);
    let words = format!("{} 7003 2500", cable.far);
    cable.nft_far("input", "tcp dport 7003 drop");
    // There no rule drops anything: nobody hears.
    twin.ip_far(&["link", "set", "eth1", "down"]);
    let dialed = [cable.dials(&stage, "dropped", &words), twin.dials(&stage, "silent", &words)];
    let _names = cable.listens(853);
    let (encrypted, connected) =
        cable.dials(&stage, "encrypted", &format!("{} 853 2500", cable.far)).ends(&run);
    assert!(connected.starts_with("ok "), "{connected}");
    let [(dropped, said), (silent, also)] = dialed.map(|dialed| dialed.ends(&run));
    assert_eq!((&*said, &*also), ("given-up\n", "given-up\n"));
    let seen = run.end();
    let place = json!({"netns": cable.number("far")});
    for event in told(&seen, &dropped) {
        expect(&event["drop"], &[("reason", json!("NETFILTER_DROP")), ("where", place.clone())]);
    }
    assert_eq!(told(&seen, &dropped).len(), 2, "{}", seen.stdout);
    for event in told(&seen, &silent) {
        assert_ne!(event["drop"]["reason"], "NETFILTER_DROP", "{event:#}");
    }
    assert!(!told(&seen, &silent).is_empty(), "{}", seen.stdout);
    // What is asked there is not to be read, and that is said.
    assert_eq!(only(&seen, &encrypted)["outcome"], "connected");
    let not_measured = seen.last("summary")["not_measured"].to_string();
    assert!(not_measured.contains("1 connections to port 853"), "{not_measured}");
    assert_eq!(seen.lost(), 0);
}
