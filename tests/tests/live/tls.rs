//! Calls of webhooks as the TLS libraries of who makes and who answers them have them: Go and OpenSSL, stripped and
//! in containers. What they carry is nowhere to be found.

use std::{fs, path::Path};

use observer_tests::rig::{
    Bundle, program,
    run::Run,
    stage,
    stdio::expect,
    tls::{Client, PLANTED, SLOW_MS, Shop, Webhook},
    watch::Seen,
};
use serde_json::{Value, json};

/// A run that is recorded, so that nothing it keeps goes unseen.
struct Watched {
    run: Run,
    folder: tempfile::TempDir,
}

impl Watched {
    fn begin(options: &[&str]) -> Watched {
        let folder = tempfile::tempdir().expect("a folder");
        let recording = folder.path().join("recording");
        let path = recording.to_str().expect("a path");
        Watched { run: Run::attached(&[&["--record", path], options].concat()), folder }
    }

    /// # Panics
    /// Something was lost, or what was planted is in what was printed or recorded.
    fn end(self) -> Seen {
        let seen = self.run.end();
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
        let recording = fs::read(self.folder.path().join("recording")).expect("a recording");
        let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(holds(&recording, "/warm"), "it is the recording of this");
        assert!(!holds(&recording, PLANTED) && !seen.stdout.contains(PLANTED));
        assert!(!holds(&recording, "latest-is-ordinary") && !holds(&recording, "/leases"));
        seen
    }
}

fn makes_calls(client: &mut Client) {
    client.call("POST /allow?timeout=10s");
    client.call("POST /deny?timeout=5s&secret=planted-where-nobody-may-find-it");
    client.call("PUT /leases?timeout=5s");
    client.call("POST /slow");
}

fn paths<'a>(calls: &[&'a Value]) -> Vec<Option<&'a str>> {
    calls.iter().map(|call| call["path"].as_str()).collect()
}

/// The three calls that are webhook calls, in their order, and nothing of the lease.
fn are_told(calls: &[&Value], comm: &str) {
    assert_eq!(paths(calls), [Some("/allow"), Some("/deny"), Some("/slow")], "{calls:#?}");
    for call in calls {
        expect(
            call,
            &[
                ("method", json!("POST")),
                ("seen", json!("tls-library")),
                ("side", json!("client")),
                ("status", json!(200)),
            ],
        );
        expect(&call["process"], &[("comm", json!(comm))]);
    }
    expect(
        calls[0],
        &[("allowed", json!(true)), ("outcome", json!("answered")), ("deadline_ms", json!(10_000.0))],
    );
    expect(
        calls[1],
        &[
            ("allowed", json!(false)),
            ("outcome", json!("denied")),
            ("message", json!("no \"latest\" here")),
            ("deadline_ms", json!(5_000.0)),
        ],
    );
    expect(calls[2], &[("deadline_ms", Value::Null), ("outcome", json!("answered"))]);
    assert!(calls[2]["latency_ms"].as_f64() >= Some(SLOW_MS), "{}", calls[2]);
}

/// Which file was attached to, and how.
fn attached(seen: &Seen) -> String {
    let health = seen.last("health");
    let probes = health["probes"].as_array().expect("probes");
    let tls = probes.iter().find(|probe| probe["name"] == "tls").expect("tls");
    expect(tls, &[("status", json!("attached")), ("lost", json!(0))]);
    tls["why"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_stripped_go_program_that_calls_webhooks_by_its_name() {
    let shop = Shop::open();
    let webhook = shop.serve();
    let watched = Watched::begin(&[]);
    let mut client = shop.go_client("k3s", "call", webhook.port);
    client.is_heard(&watched.run);
    makes_calls(&mut client);
    client.call("ORDINARY /latest-is-ordinary?timeout=5s");
    let seen = watched.end();
    let calls = seen.calls();
    are_told(&calls, "k3s");
    for call in calls {
        assert_eq!(
            (&call["server"]["address"], &call["server"]["port"]),
            (&json!("127.0.0.1"), &json!(webhook.port))
        );
        assert!(call["client"]["port"].is_u64(), "{call}");
    }
    assert!(attached(&seen).contains("Go crypto/tls: "), "{}", attached(&seen));
}

#[test]
fn tls_inside_a_tunnel_to_itself_is_one_call() {
    let shop = Shop::open();
    let webhook = shop.serve();
    for options in [vec![], vec!["--webhook".to_owned(), webhook.named()]] {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let watched = Watched::begin(&options);
        let mut client = shop.go_client("k3s", "tunnel", webhook.port);
        client.is_heard(&watched.run);
        // Where a tunnel ends is said when it is asked for.
        client.call("RECONNECT");
        client.call("POST /allow?timeout=10s");
        client.call("POST /deny?timeout=5s");
        let seen = watched.end();
        let calls = seen.calls();
        assert_eq!(paths(&calls), [Some("/allow"), Some("/deny")], "{calls:#?}");
        for call in calls {
            expect(call, &[("seen", json!("tls-library")), ("side", json!("client"))]);
            expect(&call["process"], &[("comm", json!("k3s"))]);
            // Where the tunnel ends, which is not where the process is connected to by TLS.
            assert_eq!(call["server"]["port"], json!(webhook.port));
            assert_eq!(call["client"]["port"].is_u64(), !options.is_empty(), "{call}");
        }
    }
}

#[test]
fn a_container_with_a_library_of_its_own_and_a_filter() {
    let (shop, stage) = (Shop::open(), stage());
    let webhook = shop.serve_by(stage.command(shop.go("hook")));
    let client = fs::read(shop.openssl("client", false)).expect("a client");
    let words = ["/kube-apiserver", &webhook.port.to_string()];
    let mut bundle = Bundle::new(&words).file("kube-apiserver", &client).seccomp().host_network();
    for library in needed(&shop.path("client")) {
        let bytes = fs::read(&library).expect("a library");
        bundle = bundle.file(library.trim_start_matches('/'), &bytes);
    }
    let watched = Watched::begin(&[]);
    let written = bundle.write(&stage, &format!("caller-{}", stage.id())).expect("bundle");
    let mut client = Client::of(&mut stage.runtime(program("crun")).run_command(&written));
    client.is_heard(&watched.run);
    makes_calls(&mut client);
    drop(client);
    let seen = watched.end();
    let calls = seen.calls();
    are_told(&calls, "kube-apiserver");
    for call in &calls {
        assert_eq!(call["container"]["id"], json!(written.id));
        assert_eq!(call["server"]["host"], json!("hook.ns.svc"));
    }
    assert!(attached(&seen).contains("OpenSSL: 8 places"), "{}", attached(&seen));
}

/// The libraries that a program is linked with, its loader included.
fn needed(program: &Path) -> Vec<String> {
    let said = std::process::Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.split_ascii_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

/// The client has OpenSSL inside, where it is not looked for: what is known is known from the server.
fn by_the_server(webhook: impl Fn(&Shop) -> Webhook, library: &str) {
    let shop = Shop::open();
    let webhook = webhook(&shop);
    let watched = Watched::begin(&["--webhook", &webhook.named()]);
    let client = shop.openssl("someone", true);
    let mut client = Client::of(std::process::Command::new(client).arg(webhook.port.to_string()));
    client.is_heard(&watched.run);
    client.call("POST /allow?timeout=10s");
    client.call("POST /deny?timeout=5s");
    drop(client);
    // A server says that it has answered when it does, which may be after its client has left.
    watched.run.wait_for("the last call", |object| object["probe"] == "webhook" && object["path"] == "/deny");
    let seen = watched.end();
    let calls = seen.calls();
    assert_eq!(paths(&calls), [Some("/allow"), Some("/deny")], "{calls:#?}");
    for call in &calls {
        expect(call, &[("seen", json!("tls-library")), ("side", json!("client")), ("name", json!("hook"))]);
        assert!(call["phases_ms"]["server"].is_f64(), "{call}");
    }
    expect(calls[0], &[("allowed", json!(true)), ("deadline_ms", json!(10_000.0))]);
    expect(
        calls[1],
        &[("allowed", json!(false)), ("outcome", json!("denied")), ("message", json!("no \"latest\" here"))],
    );
    assert!(attached(&seen).starts_with(library), "{}", attached(&seen));
}

#[test]
fn nginx_answers_by_openssl() {
    by_the_server(Shop::nginx, "OpenSSL: ");
}

#[test]
fn caddy_answers_by_go() {
    by_the_server(Shop::caddy, "Go crypto/tls: ");
}

#[test]
fn a_go_program_answers() {
    by_the_server(Shop::serve, "Go crypto/tls: ");
}
