//! What is concluded of calls of webhooks that fail, by the rules of the matrix, in a hurry: the right cause about the
//! right webhook; nothing about one that is slow in time, denies once, or comes back.

use std::thread::{self, sleep};
use std::time::Duration;

use observer_tests::rig::{
    Ran, Stage,
    group::Group,
    program, stage,
    stdio::until,
    tls::Shop,
    verdict::{Verdicts, findings, only, quiet},
    watch::Seen,
    webhook::{Certificate, curl, server},
};

const LOOPBACK: &str = "127.0.0.1";

/// How often, and how far apart: more than the rules ask for, in a hurry.
const TIMES: usize = 5;
const APART: Duration = Duration::from_millis(1_000);

/// Runs words of a shell on the stage.
fn shell(stage: &Stage, words: &str) {
    stage.run(stage.command("/bin/sh").args(["-ec", words])).and_then(Ran::success).expect(words);
}

/// A webhook that is called in vain, or not.
struct Hook<'a> {
    name: &'a str,
    port: u16,
    trusted: &'a Certificate,
    path: &'a str,
    options: &'a str,
    expected: Option<&'a str>,
}

impl Hook<'_> {
    fn calls(&self, stage: &Stage) {
        for _ in 0..TIMES {
            curl(stage, self.trusted, self.port, &[self.path], &["--max-time", "2"]);
            sleep(APART);
        }
    }

    fn named(&self) -> String {
        format!("{LOOPBACK}:{}{},name={}", self.port, self.options, self.name)
    }
}

/// What is concluded of these webhooks, called all at once.
fn called(stage: &Stage, case: &str, hooks: &[Hook]) -> Seen {
    let named: Vec<String> = hooks.iter().map(Hook::named).collect();
    let options: Vec<&str> = named.iter().flat_map(|named| ["--webhook", named]).collect();
    let verdicts = Verdicts::begin(stage, case, &options);
    thread::scope(|scope| {
        for hook in hooks {
            scope.spawn(|| hook.calls(stage));
        }
    });
    for hook in hooks {
        let calls = |seen: &str| seen.matches(&format!("\"name\":\"{}\"", hook.name)).count();
        until("the last call", || (calls(&verdicts.run.said()) >= TIMES).then_some(()));
    }
    verdicts.end()
}

const NOT_ANSWERED: &str = "webhook-timeout/not-answered proved";

#[test]
fn webhooks_that_do_not_answer() {
    let stage = stage();
    let (own, other) = (Certificate::new(&stage, "own"), Certificate::new(&stage, "other"));
    let hook = |name, port, path, options, expected| Hook {
        name,
        port,
        trusted: &own,
        path,
        options,
        expected: Some(expected),
    };
    let hooks = [
        hook("hangs", 8443, "/hang", ",timeout=2s", "webhook-timeout/server-slow proved"),
        hook("given-up", 8444, "/hang", "", "webhook-timeout/given-up likely"),
        Hook {
            trusted: &other,
            ..hook("untrusted", 8445, "/fast", ",timeout=2s", "webhook-timeout/tls-failed proved")
        },
        hook("nobody", 8446, "/fast", ",timeout=2s", "gatekeeper-down/crashed proved"),
        hook("dropped", 8447, "/fast", ",timeout=2s", "gatekeeper-down/no-answer likely"),
    ];
    let _servers = [8443, 8444, 8445, 8447].map(|port| server(&stage, (LOOPBACK, port), Some(&own), &[]));
    shell(
        &stage,
        "nft add table ip t; nft 'add chain ip t i { type filter hook input priority 0; }'; \
         nft add rule ip t i tcp dport 8447 tcp flags syn drop",
    );
    let seen = called(&stage, "webhook-timeout", &hooks);
    for hook in &hooks {
        let told = all(&seen, hook);
        if hook.name == "hangs" {
            // What it did meanwhile is known if it is found in time whose its sockets are.
            let may_be = |told: &String| told == NOT_ANSWERED || Some(told.as_str()) == hook.expected;
            assert!(!told.is_empty() && told.iter().all(may_be), "{told:?}");
        } else {
            assert_eq!(told, [hook.expected.expect("one of them")], "{}", hook.name);
        }
    }
}

/// What is told of a webhook, by its name or by its address.
fn all(seen: &Seen, hook: &Hook) -> Vec<String> {
    [findings(seen, hook.name), findings(seen, &format!("{LOOPBACK}:{}", hook.port))].concat()
}

/// A twentieth of a CPU, less than a busy machine leaves it.
const QUOTA_US: u32 = 5_000;

/// Whose time it is shows when a server answers for the first time.
const SERVED_TIMES: usize = TIMES + 1;

/// Name, port, path, and what is concluded of it.
type Served = (&'static str, u16, &'static str, Option<&'static str>);

/// What is concluded of these, asked all at once, again and again, without TLS, within a time.
fn served(stage: &Stage, case: &str, within: &str, hooks: &[Served]) -> Seen {
    let named =
        hooks.iter().map(|(name, port, ..)| format!("{LOOPBACK}:{port},timeout={within},name={name}"));
    let named: Vec<String> = named.collect();
    let options: Vec<&str> = named.iter().flat_map(|named| ["--webhook", named]).collect();
    let verdicts = Verdicts::begin(stage, case, &options);
    let called = |name: &str, port: u16, path: &str, time: usize| {
        let mut curl = stage.command(program("curl"));
        let most = within.trim_end_matches('s');
        curl.args(["-sS", "-o", "/dev/null", "--max-time", most, "-d", "{}"]);
        stage.run(curl.arg(format!("http://{LOOPBACK}:{port}{path}"))).expect("curl");
        let calls = |seen: &str| seen.matches(&format!("\"name\":\"{name}\"")).count();
        until("a call", || (calls(&verdicts.run.said()) >= time).then_some(()));
    };
    for time in 1..=SERVED_TIMES {
        thread::scope(|scope| {
            for (name, port, path, _) in hooks {
                let called = &called;
                let path = if time == 1 { "/fast" } else { path };
                scope.spawn(move || called(name, *port, path, time));
            }
        });
        // What the first is still busy with is done before it is asked again.
        sleep(2 * APART);
    }
    verdicts.end()
}

#[test]
fn servers_that_compute_for_long() {
    let stage = stage();
    let hooks = [("computes", 8454, "/spin/150", None), ("quick", 8456, "/spin/20", None)];
    let _servers = hooks.map(|(_, port, ..)| server(&stage, (LOOPBACK, port), None, &[]));
    let seen = served(&stage, "policy-slow", "20s", &hooks);
    only(&seen, "computes", "policy-slow/on-cpu proved");
    quiet(&seen, "quick");
}

#[test]
fn servers_that_take_their_time_without_computing() {
    let stage = stage();
    let hooks = [("waits", 8457, "/slow/300", None), ("brief", 8458, "/spin/20", None)];
    let _servers = hooks.map(|(_, port, ..)| server(&stage, (LOOPBACK, port), None, &[]));
    let seen = served(&stage, "policy-slow-not-computing", "20s", &hooks);
    for (name, ..) in hooks {
        let known = seen.calls_of(name).iter().filter(|call| !call["server_time_ms"].is_null()).count();
        assert!(known >= TIMES - 1, "{name}: what its server did is known of {known} calls");
        quiet(&seen, name);
    }
}

#[test]
fn servers_that_are_throttled_or_slow() {
    let groups = ["busy", "in-time"].map(|name| Group::limited(&format!("observer-{name}"), QUOTA_US));
    let stage = stage();
    let hooks = [
        ("throttled", 8451, "/spin/130", Some("webhook-timeout/server-throttled proved")),
        ("sleeps", 8452, "/hang", Some("webhook-timeout/server-slow proved")),
        // As little CPU time as the first, and enough for what it is asked.
        ("in-time", 8453, "/fast", None),
    ];
    let servers = hooks.map(|(_, port, ..)| server(&stage, (LOOPBACK, port), None, &[]));
    groups[0].takes(&servers[0]);
    groups[1].takes(&servers[2]);
    let seen = served(&stage, "webhook-timeout-server", "2s", &hooks);
    for (name, port, _, expected) in hooks {
        let told = [findings(&seen, name), findings(&seen, &format!("{LOOPBACK}:{port}"))].concat();
        let states: Vec<_> = seen.calls_of(name).iter().map(|call| call["server_time_ms"].clone()).collect();
        assert_eq!(told, Vec::from_iter(expected), "{name}: {states:#?}");
    }
    quiet(&seen, "in-time");
}

const LOOKS: &str = "for time in 1 2 3 4; do (exec 3<>/dev/tcp/127.0.0.1/8443); sleep 1; done";

#[test]
fn webhooks_that_answer_in_time_or_again() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let hook =
        |name, port, path| Hook { name, port, trusted: &own, path, options: ",timeout=2s", expected: None };
    let hooks = [hook("fast", 8443, "/fast"), hook("slow", 8444, "/slow/900"), hook("away", 8445, "/fast")];
    let _servers = [8443, 8444].map(|port| server(&stage, (LOOPBACK, port), Some(&own), &[]));
    let named: Vec<String> = hooks.iter().map(Hook::named).collect();
    let options: Vec<&str> = named.iter().flat_map(|named| ["--webhook", named]).collect();
    let verdicts = Verdicts::begin(&stage, "webhook-timeout-healthy", &options);
    thread::scope(|scope| {
        for hook in &hooks[..2] {
            scope.spawn(|| hook.calls(&stage));
        }
        // Whoever only looks whether somebody listens hangs up before anything is said.
        scope.spawn(|| {
            let mut bash = stage.command("/bin/bash");
            stage.run(bash.args(["-ec", LOOKS])).and_then(Ran::success).expect(LOOKS);
        });
        // Rolled out: it is away for one call, there, and away for another.
        for _ in 0..2 {
            curl(&stage, &own, 8445, &["/fast"], &["--max-time", "2"]);
            verdicts.run.call("away", "refused");
            sleep(2 * APART);
            let there = server(&stage, (LOOPBACK, 8445), Some(&own), &[]);
            curl(&stage, &own, 8445, &["/fast"], &["--max-time", "2"]);
            there.signal(rustix::process::Signal::KILL).expect("the server");
            there.finish().expect("the server");
        }
    });
    verdicts.run.call("slow", "answered");
    let seen = verdicts.end();
    for hook in &hooks {
        assert!(seen.calls_of(hook.name).iter().any(|call| call["outcome"] == "answered"), "{}", hook.name);
        assert_eq!(all(&seen, hook), [""; 0], "{}", hook.name);
        quiet(&seen, hook.name);
        quiet(&seen, &format!("{LOOPBACK}:{}", hook.port));
    }
}

/// STAND-IN: no registry offers K3s; the caller is `tls_peer.go` under its name.
fn denied(case: &str, times: usize) -> Seen {
    eprintln!("STAND-IN: k3s is tests/workloads/tls_peer.go under that name");
    let (stage, shop) = (stage(), Shop::open());
    let webhook = shop.serve();
    let verdicts = Verdicts::begin(&stage, case, &[]);
    let mut client = shop.go_client("k3s", "call", webhook.port);
    client.is_heard(&verdicts.run);
    for _ in 0..times {
        client.call("POST /deny?timeout=5s");
    }
    client.call("POST /allow?timeout=5s");
    verdicts.run.wait_for("the last call", |object| object["path"] == "/allow");
    drop(client);
    verdicts.end()
}

const MESSAGE: &str = "no \"latest\" here";

#[test]
fn what_is_denied_again_and_again() {
    let seen = denied("policy-denied-rule", 4);
    let finding = only(&seen, MESSAGE, "policy-denied/rule proved");
    assert!(finding["count"].as_u64() >= Some(3), "{finding:#}");
}

#[test]
fn what_is_denied_twice() {
    let seen = denied("policy-denied-twice", 2);
    assert!(seen.calls().iter().any(|call| call["outcome"] == "denied"), "{}", seen.stdout);
    quiet(&seen, MESSAGE);
}
