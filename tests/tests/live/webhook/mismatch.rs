//! Handshakes that cannot succeed, between servers of OpenSSL and curl; each beside one that does.

use std::time::Duration;

use observer_tests::rig::{
    Stage, program, stage,
    stage::Running,
    stdio::{expect, until},
    webhook::{Certificate, curl, nginx, watch},
};
use serde_json::json;

/// `openssl s_server`, which answers what it is asked as a web server does. Returns once it listens.
fn s_server(stage: &Stage, port: u16, own: &Certificate, more: &[&str]) -> Running {
    let mut command = stage.command(program("openssl"));
    command.args(["s_server", "-www", "-accept", &format!("127.0.0.1:{port}")]);
    command.args(["-cert", &own.certificate, "-key", &own.key]).args(more);
    let running = stage.spawn(&mut command).expect("openssl");
    until("the server", || {
        let ended = running.ends_within(Duration::ZERO).expect("the server");
        assert!(!ended, "{more:?}: {}", running.stderr());
        running.stdout().contains("ACCEPT").then_some(())
    });
    running
}

/// How a call ended to curl, and what was told of it.
fn outcome(stage: &Stage, port: u16, own: &Certificate, client: &[&str]) -> (i32, serde_json::Value) {
    let watch = watch(&[&format!("127.0.0.1:{port},timeout=5s,name=call")]);
    let ran = curl(stage, own, port, &["/"], client);
    let told = watch.wait_for("a call", |object| object["probe"] == "webhook");
    assert_eq!(watch.end().calls_of("call").len(), 1);
    (ran.code(), told)
}

#[test]
fn what_does_not_match_is_told_from_what_does() {
    let stage = stage();
    let own = Certificate::new(&stage, "own");
    // Each of a port of its own: a server cannot take that of the one before at once.
    // Newer than what curl speaks at most.
    let _server = s_server(&stage, 8443, &own, &["-tls1_3"]);
    let (code, told) = outcome(&stage, 8443, &own, &["--tls-max", "1.2"]);
    assert_eq!(code, 35);
    expect(&told, &[("outcome", json!("tls-failed"))]);
    let expired = Certificate::expired(&stage);
    let _server = s_server(&stage, 8444, &expired, &[]);
    let (code, told) = outcome(&stage, 8444, &expired, &[]);
    assert_eq!(code, 60);
    expect(&told, &[("outcome", json!("tls-failed"))]);
    // By TLS 1.2 the server says within the handshake that it wants a certificate.
    let _server = s_server(&stage, 8445, &own, &["-Verify", "1", "-verify_return_error", "-tls1_2"]);
    let (code, told) = outcome(&stage, 8445, &own, &[]);
    assert!([35, 56].contains(&code), "{code}");
    expect(&told, &[("outcome", json!("tls-failed"))]);
    let _server = nginx(&stage, 8446, &own);
    let (code, told) = outcome(&stage, 8446, &own, &["--tls-max", "1.2"]);
    assert_eq!(code, 0);
    expect(&told, &[("outcome", json!("answered"))]);
}
