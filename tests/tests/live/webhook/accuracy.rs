//! Latencies are those that the client itself measures.

use observer_tests::rig::{
    Stage, stage,
    webhook::{Certificate, caddy, curl, nginx, server, watch},
};

/// More than half of them have to agree: on a busy machine either may lose its CPU between packet and clock.
const CALLS: usize = 15;
const AGREE_MS: f64 = 0.5;
const AGREE_SHARE: f64 = 0.02;

/// Once more if they differ: said aloud.
fn agree(what: &str, compare: impl Fn() -> Result<(), String>) {
    let Err(first) = compare() else { return };
    eprintln!("RETRY accuracy: {what}: {first}");
    compare().unwrap_or_else(|second| panic!("{what}: {second}, before that: {first}"));
}

/// Calls on a connection of their own each, and calls on one connection.
fn all(stage: &Stage, name: &str, port: u16, own: &Certificate, path: &str) {
    let fresh = vec![vec![path]; CALLS];
    agree(name, || compare(stage, name, port, own, &fresh));
    agree(name, || compare(stage, name, port, own, &[vec![path; CALLS]]));
}

/// `runs`: the paths that each curl posts to.
fn compare(
    stage: &Stage,
    name: &str,
    port: u16,
    own: &Certificate,
    runs: &[Vec<&str>],
) -> Result<(), String> {
    // How long curl takes to notice that it is connected is curl's own, and the machine's: known from when nobody looks.
    let unwatched = if runs.len() > 1 { connect_ms(&call(stage, port, own, runs)) } else { 0.0 };
    let watch = watch(&[&format!("127.0.0.1:{port},timeout=3s,name={name}")]);
    let measured = call(stage, port, own, runs);
    let mut told = 0;
    watch.wait_for("all calls", |object| {
        told += usize::from(object["probe"] == "webhook" && object["type"] == "event");
        told == measured.len()
    });
    let seen = watch.end();
    let calls = seen.calls_of(name);
    assert_eq!(calls.len(), measured.len(), "{calls:#?}");
    let phase = |n: usize, name: &str| {
        let value = &calls[n]["phases_ms"][name];
        value.as_f64().unwrap_or_else(|| panic!("{name} of {:#}", calls[n]))
    };
    let all = |what: &str, of: &dyn Fn(usize) -> (f64, f64)| {
        let allowed = if what == "connect" { unwatched.max(AGREE_MS) } else { AGREE_MS };
        let excesses = (0..measured.len()).map(of).map(|(theirs, ours)| excess(what, allowed, theirs, ours));
        median(excesses.collect())
    };
    if runs.len() > 1 {
        all("connect", &|n| (measured[n][1] - measured[n][0], phase(n, "connect")))?;
        all("tls", &|n| (measured[n][2] - measured[n][1], phase(n, "tls")))?;
    }
    all("first byte", &|n| (measured[n][4] - measured[n][3], phase(n, "send") + phase(n, "server")))?;
    all("rest", &|n| (measured[n][5] - measured[n][4], phase(n, "receive")))
}

type Excess = (f64, String);

/// What curl measures of each call, milliseconds.
fn call(stage: &Stage, port: u16, own: &Certificate, runs: &[Vec<&str>]) -> Vec<Vec<f64>> {
    let ms = |seconds: &str| seconds.parse::<f64>().expect("seconds") * 1e3;
    let mut measured = Vec::new();
    for paths in runs {
        let ran = curl(stage, own, port, paths, &["--max-time", "3"]);
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
        measured.extend(ran.stdout.lines().map(|line| line.split(' ').map(ms).collect()));
    }
    measured
}

/// The median.
fn connect_ms(measured: &[Vec<f64>]) -> f64 {
    let mut all: Vec<f64> = measured.iter().map(|call| call[1] - call[0]).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn excess(what: &str, allowed: f64, theirs: f64, ours: f64) -> Excess {
    let difference = (theirs - ours).abs();
    let text = format!("{what} is {theirs:.3} ms to curl and {ours:.3} ms to the observer");
    (difference - allowed.max(AGREE_SHARE * theirs), text)
}

fn median(mut excesses: Vec<Excess>) -> Result<(), String> {
    excesses.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (excess, text) = excesses.swap_remove(excesses.len() / 2);
    eprintln!("median: {text}");
    if excess > 0.0 { Err(text) } else { Ok(()) }
}

#[test]
fn of_nginx() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _server = nginx(&stage, 8441, &own);
    all(&stage, "nginx", 8441, &own, "/fast");
}

#[test]
fn of_caddy() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _server = caddy(&stage, 8442, &own);
    all(&stage, "caddy", 8442, &own, "/fast");
}

#[test]
fn of_a_server_that_takes_its_time() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    let _server = server(&stage, ("127.0.0.1", 8443), Some(&own), &["handshake=50"]);
    all(&stage, "slow", 8443, &own, "/slow/60");
    all(&stage, "trickle", 8443, &own, "/trickle/60");
}
