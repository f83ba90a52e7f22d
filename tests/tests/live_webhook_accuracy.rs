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
    let watch = watch(&[&format!("127.0.0.1:{port},timeout=3s,name={name}")]);
    let mut measured: Vec<Vec<f64>> = Vec::new();
    for paths in runs {
        let ran = curl(stage, own, port, paths, &["--max-time", "3"]);
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
        let ms = |seconds: &str| seconds.parse::<f64>().expect("seconds") * 1e3;
        measured.extend(ran.stdout.lines().map(|line| line.split(' ').map(ms).collect()));
    }
    let mut told = 0;
    watch.wait_for("all calls", |object| {
        told += usize::from(object["probe"] == "webhook" && object["type"] == "event");
        told == measured.len()
    });
    let seen = watch.end();
    let calls = seen.calls_of(name);
    assert_eq!(calls.len(), measured.len());
    let phase = |n: usize, name: &str| {
        let value = &calls[n]["phases_ms"][name];
        value.as_f64().unwrap_or_else(|| panic!("{name} of {:#}", calls[n]))
    };
    let all = |what: &str, of: &dyn Fn(usize) -> (f64, f64)| {
        let excesses = (0..measured.len()).map(of).map(|(theirs, ours)| excess(what, theirs, ours));
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

fn excess(what: &str, theirs: f64, ours: f64) -> Excess {
    let difference = (theirs - ours).abs();
    let text = format!("{what} is {theirs:.3} ms to curl and {ours:.3} ms to the observer");
    (difference - AGREE_MS.max(AGREE_SHARE * theirs), text)
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
