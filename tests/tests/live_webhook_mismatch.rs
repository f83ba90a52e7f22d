//! Handshakes that cannot succeed, between servers of OpenSSL and curl; each beside one that does.

use std::time::Duration;

use observer_tests::rig::{
    Ran, Stage, program, stage,
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

/// A certificate of years ago.
fn expired(stage: &Stage) -> Certificate {
    let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
                  policy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\n\
                  subjectAltName=DNS:webhook.test,IP:127.0.0.1\n";
    std::fs::create_dir_all(stage.path("ca")).expect("a folder");
    std::fs::write(stage.path("ca/ca.cnf"), config).expect("a file");
    let words = "cd $0; : > index; echo 01 > serial; \
                 openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=webhook.test \
                 -keyout key.pem -out request.pem; \
                 openssl ca -batch -selfsign -config ca.cnf -in request.pem -keyfile key.pem -out own.pem -notext \
                 -startdate 20200101000000Z -enddate 20200102000000Z";
    let mut command = stage.command(program("sh"));
    command.args(["-ec", words]).arg(stage.path("ca"));
    stage.run(&mut command).and_then(Ran::success).expect("openssl");
    let path = |name: &str| stage.path(format!("ca/{name}.pem")).to_string_lossy().into_owned();
    Certificate { certificate: path("own"), key: path("key") }
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
    let expired = expired(&stage);
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
