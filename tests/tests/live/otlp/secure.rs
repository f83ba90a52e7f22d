//! Spans from other machines: by TLS, with a token or a certificate, from senders that others wrote; and what comes of
//! those that have neither.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::senders::{PYTHON, listens, otlp, passing_on, plain_span, python, send};
use observer_tests::rig::{Ran, Stage, program, run::Run, stage, stdio::until, watch::observer};
use serde_json::json;

const TOKEN: &str = "planted-where-nobody-may-find-it";

/// An authority (`ca.pem`), what it vouches for (`cert.pem`, `key.pem`: localhost), and a token.
struct Papers(PathBuf);

impl Papers {
    fn make(stage: &Stage) -> Papers {
        let papers = Papers(stage.path("papers"));
        fs::create_dir_all(&papers.0).expect("a folder");
        let of = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
        fs::write(papers.0.join("of"), of).expect("a file");
        fs::write(papers.0.join("token"), format!("{TOKEN}\n")).expect("a file");
        fs::write(papers.0.join("body.json"), plain_span(7).to_string()).expect("a file");
        let words = "cd $0; new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'; \
                     $new -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem; \
                     $new -subj /CN=localhost -keyout key.pem -out request.pem; \
                     openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                     -extfile of -out cert.pem";
        let mut command = stage.command(program("sh"));
        command.args(["-ec", words]).arg(&papers.0);
        stage.run(&mut command).and_then(Ran::success).expect("openssl");
        papers
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// An observer that receives from anywhere, by what is asked for.
    fn guarded(&self, more: &[(&str, &str)]) -> Run {
        let mut command = Command::new(observer());
        command.args(["run", "--socket", "off", "--probes", "process", "--show", "stats"]);
        command.args(["--otlp-listen", "0.0.0.0:0"]);
        for (option, file) in [("cert", "cert.pem"), ("key", "key.pem")].iter().chain(more) {
            command.arg(format!("--otlp-listen-{option}")).arg(self.path(file));
        }
        Run::by(command)
    }

    /// curl, as somebody in another place: its exit code, and the status that it was answered with.
    fn curl(&self, port: u16, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(program("curl"));
        command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "60"]);
        command.args(["-H", "Content-Type: application/json", "--cacert", &self.path("ca.pem")]);
        command.args(["--data-binary", &format!("@{}", self.path("body.json"))]).args(words);
        let ran = command.arg(format!("https://localhost:{port}/v1/traces")).output().expect("curl");
        (ran.status.code(), said(&ran.stdout))
    }

    /// The SDK of Python, by what its users put into the environment.
    fn sdk(&self, python: &Path, kind: &str, port: u16, token: &str) -> Output {
        let mut command = Command::new(python);
        // What they trust comes before what is asked for.
        for variable in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
            command.env_remove(variable);
        }
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://localhost:{port}"));
        command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", self.path("ca.pem"));
        command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{token}"));
        command.args(["-c", PYTHON, kind, kind, "20"]).output().expect("python")
    }
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All that is said on a connection until it is closed.
fn heard_out(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // It may be reset.
    let _ = stream.read_to_end(&mut answer);
    said(&answer)
}

#[test]
// long: one run, to which all kinds of senders come
fn only_who_speaks_tls_and_has_the_token_is_taken() {
    let test = "otlp::secure::only_who_speaks_tls_and_has_the_token_is_taken";
    let Some(python) = python(test) else { return };
    let stage = stage();
    let papers = Papers::make(&stage);
    let run = papers.guarded(&[("token-file", "token")]);
    let port = listens(&run).port();
    let dial = || TcpStream::connect(("127.0.0.1", port)).expect("it listens");

    // Begins a handshake, and says no more.
    let mut half = dial();
    half.write_all(&[22, 3, 1, 2, 0, 1, 0]).expect("it listens");
    let half = std::thread::spawn(move || heard_out(half));

    for kind in ["grpc", "http"] {
        let sent = papers.sdk(&python, kind, port, TOKEN);
        assert!(sent.status.success() && sent.stderr.is_empty(), "{kind}: {}", said(&sent.stderr));
        let refused = said(&papers.sdk(&python, kind, port, "another").stderr);
        let says = if kind == "grpc" { "UNAUTHENTICATED" } else { "401" };
        assert!(refused.contains(says), "{kind}: {refused}");
    }
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    for (header, version, status) in [
        (bearer(TOKEN), "--http1.1", "200"),
        (bearer(TOKEN), "--http2", "200"),
        (bearer("wrong"), "--http1.1", "401"),
        (bearer("wrong"), "--http2", "401"),
        ("X-Nothing: 1".to_owned(), "--http2", "401"),
    ] {
        assert_eq!(papers.curl(port, &["-H", &header, version]), (Some(0), status.to_owned()), "{version}");
    }
    let mut openssl = Command::new(program("openssl"));
    openssl.args([
        "s_client",
        "-connect",
        &format!("127.0.0.1:{port}"),
        "-alpn",
        "h2",
        "-verify_return_error",
    ]);
    let shaken =
        openssl.arg("-CAfile").arg(papers.path("ca.pem")).stdin(Stdio::null()).output().expect("openssl");
    let shaken = said(&shaken.stdout);
    assert!(shaken.contains("ALPN protocol: h2") && shaken.contains("Verify return code: 0"), "{shaken}");
    // Whoever does not trust this certificate leaves, too.
    assert_eq!(papers.curl(port, &["--cacert", "/dev/null"]).1, "000");

    let mut plain = dial();
    write!(plain, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}")
        .expect("it listens");
    let answer = heard_out(plain);
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("this port speaks TLS: use https://\n"),
        "{answer}"
    );
    assert_eq!(
        half.join().expect("a connection"),
        "",
        "nothing is said to half a handshake, and it is not kept"
    );

    let line = fs::read_to_string(format!("/proc/{}/cmdline", run.pid())).expect("its command line");
    assert!(line.contains("token-file") && !line.contains(TOKEN));
    let seen = run.end();
    for text in [&seen.stdout, &seen.stderr] {
        assert!(!text.contains(TOKEN), "{text}");
    }
    assert!(seen.stderr.contains("(with TLS, a token)"), "{}", seen.stderr);
    let counts = otlp(&seen);
    // Of the two requests of curl one span was the other's.
    assert_eq!((&counts["received"]["spans"], &counts["seen_before"]), (&json!(42), &json!(1)), "{counts:#}");
    // One for each protocol of the SDK, which does not try again, and three of curl.
    assert_eq!(counts["unauthorized_requests"], 5, "{counts:#}");
    // Half a handshake, plain text, and a certificate that was not trusted.
    assert_eq!(counts["failed_handshakes"], 3, "{counts:#}");
    assert_eq!(counts["silent_connections"], 1, "who shook hands and said nothing: {counts:#}");
}

#[test]
fn an_observer_sends_to_another_with_tls_a_certificate_and_a_token() {
    let stage = stage();
    let papers = Papers::make(&stage);
    let far = papers.guarded(&[("token-file", "token"), ("client-ca", "ca.pem")]);
    let port = listens(&far).port();
    let near = |protocol: &str, folder: &str| {
        let mut command =
            passing_on(&stage.path(folder), &format!("https://localhost:{port}"), "127.0.0.1:0");
        command.args(["--otlp-protocol", protocol]);
        command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", papers.path("ca.pem"));
        command.env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", papers.path("cert.pem"));
        command.env("OTEL_EXPORTER_OTLP_CLIENT_KEY", papers.path("key.pem"));
        command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{TOKEN}"));
        Run::by(command)
    };
    for (protocol, from) in [("grpc", 0), ("http/protobuf", 100)] {
        let run = near(protocol, &format!("state-{from}"));
        let to = listens(&run);
        for number in 1..=20 {
            send(to, &plain_span(from + number));
        }
        until("all to be passed on", || {
            let folder = stage.path(format!("state-{from}")).join("otlp");
            is_empty(&folder).then_some(())
        });
        let counts = otlp(&run.end());
        assert_eq!(counts["forward"]["forwarded"], 20, "{protocol}: {counts:#}");
    }
    // With the token, but nobody vouches for it.
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(papers.curl(port, &["-H", &bearer]).1, "000");
    let (certificate, key) = (papers.path("cert.pem"), papers.path("key.pem"));
    let known = ["-H", &bearer, "--cert", &certificate, "--key", &key];
    assert_eq!(papers.curl(port, &known), (Some(0), "200".to_owned()));
    let counts = otlp(&far.end());
    assert_eq!(
        (&counts["received"]["spans"], &counts["failed_handshakes"]),
        (&json!(41), &json!(1)),
        "{counts:#}"
    );
}

/// Whether all of a spool was taken: its cursor is at the end of its only segment.
fn is_empty(folder: &Path) -> bool {
    let Ok(cursor) = fs::read(folder.join("cursor")) else { return false };
    let at = cursor.get(8..16).and_then(|at| at.try_into().ok()).map(u64::from_le_bytes);
    let segment = fs::metadata(folder.join("0000000000000000.segment"));
    segment.is_ok_and(|segment| segment.len() > 0 && Some(segment.len()) == at)
}

#[test]
fn nothing_is_listened_to_that_others_reach_unless_it_is_guarded() {
    let stage = stage();
    let papers = Papers::make(&stage);
    let (certificate, key) = (papers.path("cert.pem"), papers.path("key.pem"));
    let cert_and_key = ["--otlp-listen-cert", &certificate, "--otlp-listen-key", &key];
    let authority = papers.path("ca.pem");
    for (more, says) in [
        (vec![], "neither encrypted nor asked for its name: add --otlp-listen-cert FILE"),
        (cert_and_key.to_vec(), "neither encrypted nor asked for its name"),
        (
            [&cert_and_key[..3], &[&authority, "--otlp-listen-client-ca", &authority]].concat(),
            "ca.pem: it is no PEM of a key",
        ),
    ] {
        let mut command = Command::new(observer());
        command.args(["run", "--socket", "off", "--for", "1s", "--otlp-listen", "0.0.0.0:0"]).args(more);
        let ran = command.output().expect("the observer");
        let said = said(&ran.stderr);
        assert!(!ran.status.success() && said.contains(says), "{said}");
        assert!(!said.contains("attached"), "it is found before anything is attached: {said}");
    }
}
