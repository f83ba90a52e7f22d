//! Calls of webhooks by HTTP/2, as the TLS libraries of clients and servers have them: each stream by itself.

use std::{fs, process::Command, thread, time::Duration};

use observer_tests::rig::{
    run::Run,
    stdio::{expect, until},
    tls::{Client, PLANTED, SLOW_MS, Shop, Webhook},
    watch::Seen,
};
use serde_json::{Value, json};

/// What was told of calls of this server but those that made sure that they are heard. Clients that are heard by their
/// names may call others meanwhile.
fn calls(seen: &Seen, port: u16) -> Vec<&Value> {
    let is_warm = |event: &Value| event["path"].as_str().is_none_or(|path| path.starts_with("/warm"));
    seen.of_type("event")
        .filter(|event| event["probe"] == "webhook" && event["server"]["port"] == port && !is_warm(event))
        .collect()
}

fn of<'a>(calls: &[&'a Value], path: &str) -> Vec<&'a Value> {
    calls.iter().filter(|call| call["path"] == path).copied().collect()
}

/// A server that is known to be heard.
fn watched(shop: &Shop, webhook: &Webhook) -> (Run, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("recording").to_string_lossy().into_owned();
    let run = Run::attached(&["--record", &recording, "--webhook", &webhook.named()]);
    // Who has OpenSSL inside is not heard himself.
    let client = shop.openssl("someone", true);
    Client::of(Command::new(client).arg(webhook.port.to_string())).is_heard(&run);
    (run, folder)
}

/// # Panics
/// What was planted is in what was printed or recorded.
fn end(run: Run, folder: &tempfile::TempDir) -> Seen {
    let seen = run.end();
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    let recording = fs::read(folder.path().join("recording")).expect("a recording");
    let holds = |text: &str| recording.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("/warm") && !holds(PLANTED) && !holds("/leases"));
    assert!(!seen.stdout.contains(PLANTED));
    seen
}

#[test]
fn many_streams_and_a_slow_one_and_one_that_hangs() {
    let shop = Shop::open();
    let webhook = shop.serve();
    let (run, folder) = watched(&shop, &webhook);
    // A lease is renewed meanwhile, which looks like a call and is none.
    assert_eq!(shop.curl(webhook.port, &["PUT /leases?timeout=5s"], &[]), Some(0));
    shop.h2load(
        webhook.port,
        80,
        &["/allow?timeout=30s", "/deny", "/allow?timeout=30s", "/slow?timeout=30s"],
    );
    assert_eq!(shop.curl(webhook.port, &["POST /hang?timeout=1s"], &["--max-time", "2"]), Some(28));
    run.wait_for("the call that hangs", |object| object["path"] == "/hang");
    let seen = end(run, &folder);
    let calls = calls(&seen, webhook.port);
    let (allowed, denied) = (of(&calls, "/allow"), of(&calls, "/deny"));
    let (slow, hung) = (of(&calls, "/slow"), of(&calls, "/hang"));
    assert_eq!((allowed.len(), denied.len(), slow.len(), hung.len()), (40, 20, 20, 1), "{}", calls.len());
    assert_eq!(calls.len(), 81, "nothing else, and nothing twice");
    for call in &calls {
        expect(call, &[("name", json!("hook")), ("seen", json!("tls-library")), ("method", json!("POST"))]);
        assert!(call["why"].as_str().is_some_and(|why| why.contains("shares a connection")), "{call}");
    }
    for call in allowed.iter().chain(&slow) {
        expect(call, &[("outcome", json!("answered")), ("allowed", json!(true)), ("status", json!(200))]);
        expect(call, &[("deadline_ms", json!(30_000.0))]);
    }
    for call in denied {
        expect(call, &[("outcome", json!("denied")), ("message", json!("no \"latest\" here"))]);
    }
    assert!(slow.iter().all(|call| call["latency_ms"].as_f64() >= Some(SLOW_MS)), "{slow:#?}");
    expect(
        hung[0],
        &[("outcome", json!("timeout")), ("deadline_ms", json!(1_000.0)), ("allowed", Value::Null)],
    );
}

/// Two calls of curl on one connection, as the server has them.
fn by_the_server(webhook: impl Fn(&Shop) -> Webhook) {
    let shop = Shop::open();
    let webhook = webhook(&shop);
    let (run, folder) = watched(&shop, &webhook);
    let posts = ["POST /allow?timeout=10s", "PUT /leases?timeout=5s", "POST /deny?timeout=5s"];
    assert_eq!(shop.curl(webhook.port, &posts, &[]), Some(0));
    run.wait_for("the last call", |object| object["path"] == "/deny");
    let seen = end(run, &folder);
    let calls = calls(&seen, webhook.port);
    let paths: Vec<_> = calls.iter().map(|call| call["path"].as_str()).collect();
    assert_eq!(paths, [Some("/allow"), Some("/deny")], "{calls:#?}");
    expect(calls[0], &[("outcome", json!("answered")), ("deadline_ms", json!(10_000.0))]);
    expect(calls[1], &[("outcome", json!("denied")), ("message", json!("no \"latest\" here"))]);
}

#[test]
fn nginx_answers_by_openssl() {
    by_the_server(Shop::nginx);
}

#[test]
fn caddy_answers_by_go() {
    by_the_server(Shop::caddy);
}

/// A client that is known by its name, on a connection that is older than the observer and on a fresh one.
#[test]
fn a_client_on_an_old_connection() {
    let shop = Shop::open();
    let webhook = shop.serve();
    let mut client = shop.go_client("k3s", "call2", webhook.port);
    client.call("POST /before?timeout=10s");
    let run = Run::attached(&[]);
    let mut numbers = 0..;
    until("a call that is heard", || {
        // What was said before is referred to, and not known: each says something new.
        client.call(&format!("POST /warm{}?timeout=3s", numbers.next()?));
        // So seldom that what was said before stays in the table for long.
        thread::sleep(Duration::from_millis(300));
        let is_heard = |object: &Value| object["path"].as_str().is_some_and(|path| path.starts_with("/warm"));
        run.has_said(is_heard).then_some(())
    });
    client.call("POST /deny?timeout=5s");
    client.call("PUT /leases?timeout=5s");
    client.call("POST /allow?timeout=10s");
    run.wait_for("the last call", |object| object["path"] == "/allow");
    let seen = run.end();
    let calls = calls(&seen, webhook.port);
    let paths: Vec<_> = calls.iter().map(|call| call["path"].as_str()).collect();
    assert_eq!(paths, [Some("/deny"), Some("/allow")], "{calls:#?}");
    for call in &calls {
        expect(call, &[("seen", json!("tls-library")), ("side", json!("client")), ("status", json!(200))]);
        expect(&call["process"], &[("comm", json!("k3s"))]);
        assert_eq!(call["server"]["port"], json!(webhook.port));
    }
    expect(calls[0], &[("outcome", json!("denied")), ("deadline_ms", json!(5_000.0))]);
    // Who calls is said once on a connection.
    let first = seen.of_type("event").find(|event| event["probe"] == "webhook").expect("a call");
    let why = first["why"].as_str().unwrap_or_default();
    assert!(why.contains("some of its headers were said before"), "{why}");
}
