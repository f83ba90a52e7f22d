//! What is concluded of TLS handshakes that fail again and again between two addresses of a cluster, by the rules of the
//! matrix, in a hurry: which side said what; nothing about what only looks like it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use observer_tests::rig::{
    Bundle, Stage,
    net::{Cable, Component, Dialed},
    program, stage,
    stdio::until,
    verdict::{Verdicts, only, quiet},
    watch::Seen,
    webhook::Certificate,
    workload::{SOURCES, build},
};
use serde_json::Value;

/// Servers of OpenSSL at the far end, each with a port of its own; clients in containers at the near end.
struct Mesh {
    cable: Cable,
    stage: Stage,
    own: Certificate,
    other: Certificate,
    expired: Certificate,
    servers: Vec<Component>,
}

impl Mesh {
    fn begin() -> Mesh {
        let (cable, stage) = (Cable::lay(), stage());
        let (own, other) = (Certificate::new(&stage, "own"), Certificate::new(&stage, "other"));
        let expired = Certificate::expired(&stage);
        Mesh { cable, stage, own, other, expired, servers: Vec::new() }
    }

    /// Its address, once it listens. The certificate is its own.
    fn serves(&mut self, more: &[&str]) -> String {
        let own = [self.own.certificate.clone(), self.own.key.clone()];
        self.serves_as(&[&["-cert", &own[0], "-key", &own[1]], more].concat())
    }

    fn serves_as(&mut self, words: &[&str]) -> String {
        self.serves_at(7_441 + self.servers.len(), words)
    }

    fn serves_at(&mut self, port: usize, words: &[&str]) -> String {
        let listens = format!("{port}");
        let words = [&["s_server", "-www", "-accept", &listens], words].concat();
        let server = self.cable.runs_at("far", &self.stage, &program("openssl"), &words);
        let running = &server.running;
        until("the server", || {
            let ended = running.ends_within(Duration::ZERO).expect("the server");
            assert!(!ended, "{words:?}: {}", running.stderr());
            running.stdout().contains("ACCEPT").then_some(())
        });
        self.servers.push(server);
        format!("{}:{port}", self.cable.far)
    }

    /// A container that does this and goes on to live: what fails while it ends is no evidence.
    fn client(&self, name: &str, words: &str) -> Dialed {
        let mut bundle = Bundle::new(&["/bin/sh", "-c", &format!("{words}; sleep 1000")]);
        for path in with_libraries(&program("openssl")) {
            bundle = bundle.file(&path.display().to_string()[1..], &fs::read(&path).expect("a library"));
        }
        self.puts(name, bundle)
    }

    fn puts(&self, name: &str, mut bundle: Bundle) -> Dialed {
        let files = [
            ("own.pem", &self.own.certificate),
            ("own.key", &self.own.key),
            ("other.pem", &self.other.certificate),
            ("expired.pem", &self.expired.certificate),
        ];
        for (path, from) in files {
            bundle = bundle.file(path, &fs::read(from).expect("a certificate"));
        }
        self.cable.holds(&self.stage, name, bundle)
    }

    /// A container with a client of Go.
    fn go(&self, name: &str, words: &[&str]) -> Dialed {
        let binary = self.stage.path("tls_dial");
        if !binary.exists() {
            let source = Path::new(SOURCES).join("tls_dial.go");
            let mut command = Command::new(program("go"));
            build(
                command
                    .args(["build", "-o"])
                    .arg(&binary)
                    .arg(source)
                    .env("CGO_ENABLED", "0")
                    .env("GO111MODULE", "off"),
            );
        }
        let bundle = Bundle::new(&[&["/bin/tls_dial"], words].concat());
        self.puts(name, bundle.file("bin/tls_dial", &fs::read(binary).expect("the workload just built")))
    }
}

/// A program and what it is linked with.
fn with_libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().expect("ldd");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    // Each line has one path: that of the library, or of the loader.
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    libraries.chain([program.to_owned()]).collect()
}

/// Asks once, and waits for an answer.
fn ask(server: &str, more: &str) -> String {
    let openssl = program("openssl");
    format!("echo GET / | {} s_client -connect {server} -ign_eof {more}; sleep 0.6", openssl.display())
}

fn again(words: &str) -> String {
    format!("for n in 1 2 3 4 5; do {words}; done")
}

const TRUSTS_OTHER: &str = "-CAfile /other.pem -verify_return_error";
const TRUSTS_OWN: &str = "-CAfile /own.pem -verify_return_error";

/// The handshakes that a container was seen to make, by how they ended.
fn ends(seen: &Seen, id: &str) -> Vec<String> {
    let handshakes = seen.events_of("net", id).filter(|event| event["action"] == "tls-handshake");
    let end = |event: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("encrypted").to_owned();
        if event["alert"].is_null() {
            text(&event["outcome"])
        } else {
            format!("{} {}", text(&event["alert"]["by"]), text(&event["alert"]["name"]))
        }
    };
    handshakes.map(end).collect()
}

/// Waits until a container was seen to make so many handshakes.
fn shakes(verdicts: &Verdicts, id: &str, count: usize) {
    let mut seen = 0;
    verdicts.run.wait_for(&format!("{count} handshakes of {id}"), |object| {
        seen += usize::from(object["container"]["id"] == id && object["action"] == "tls-handshake");
        seen >= count
    });
}

#[test]
fn handshakes_that_cannot_succeed() {
    let mut mesh = Mesh::begin();
    let expired = [mesh.expired.certificate.clone(), mesh.expired.key.clone()];
    let asks = ["-Verify", "1", "-verify_return_error"];
    let servers: Vec<String> = vec![
        mesh.serves(&[]),
        mesh.serves(&[]),
        mesh.serves_as(&["-cert", &expired[0], "-key", &expired[1]]),
        mesh.serves(&asks),
        mesh.serves(&asks),
        mesh.serves(&["-tls1_3"]),
        mesh.serves(&[]),
        // It wants another group than the client begins with: both say hello twice.
        mesh.serves(&["-groups", "P-384"]),
    ];
    let verdicts = Verdicts::begin(&mesh.stage, "mtls-failed", &[]);
    let words = |server: usize, more: &str| again(&ask(&servers[server], more));
    let clients = [
        mesh.client("trust", &words(0, TRUSTS_OTHER)),
        mesh.client("trust-12", &words(1, &format!("-tls1_2 {TRUSTS_OTHER}"))),
        mesh.client("expired", &words(2, "-CAfile /expired.pem -verify_return_error")),
        mesh.client("nameless-12", &words(3, "-tls1_2")),
        mesh.client("nameless", &words(4, "")),
        mesh.client("old", &words(5, "-tls1_2")),
        mesh.go("go", &["5", "700", &servers[6], "/other.pem"]),
        mesh.client("twice", &words(7, &format!("-groups X25519:P-384 {TRUSTS_OTHER}"))),
    ];
    let expected = [
        ("client unknown_ca", "wrong-ca proved"),
        ("client unknown_ca", "wrong-ca proved"),
        ("client certificate_expired", "expired proved"),
        ("server handshake_failure", "no-client-certificate proved"),
        ("server encrypted", "encrypted-alert likely"),
        ("server protocol_version", "protocol proved"),
        ("client encrypted", "encrypted-alert likely"),
        ("client unknown_ca", "wrong-ca proved"),
    ];
    for client in &clients {
        shakes(&verdicts, &client.container.id, 5);
    }
    let said = clients.map(|client| client.is_killed(&mesh.stage));
    let seen = verdicts.end();
    for (((id, said), server), (end, cause)) in said.iter().zip(&servers).zip(expected) {
        assert_eq!(ends(&seen, id), [end; 5], "{id}: {said}");
        let finding = only(&seen, server, &format!("mtls-failed/{cause}"));
        assert_eq!(finding["slice"], "network", "{id}");
    }
}

#[test]
fn handshakes_that_succeed_or_fail_for_good_reasons() {
    let mut mesh = Mesh::begin();
    let public = "203.0.113.2";
    mesh.cable.ip_far(&["address", "add", &format!("{public}/32"), "dev", "eth1"]);
    mesh.cable.ip_near(&["route", "add", public, "dev", "eth0"]);
    let authority = mesh.own.certificate.clone();
    let servers: Vec<String> = vec![
        mesh.serves(&[]),
        mesh.serves(&["-tls1_2"]),
        mesh.serves(&["-groups", "P-384"]),
        mesh.serves(&[]),
        mesh.serves(&["-num_tickets", "0"]),
        mesh.serves(&[]),
        mesh.serves(&[]),
        mesh.serves(&[]),
        mesh.serves(&["-Verify", "1", "-CAfile", &authority, "-verify_return_error"]),
    ];
    let verdicts = Verdicts::begin(&mesh.stage, "mtls-failed-not-healthy", &[]);
    let sometimes = format!("{}; {}", ask(&servers[3], TRUSTS_OTHER), ask(&servers[3], TRUSTS_OWN));
    let leaves = ask(&servers[4], TRUSTS_OWN).replace("echo GET / |", "true |").replace("-ign_eof", "");
    let outside = servers[6].replace(&mesh.cable.far.to_string(), public);
    let twice = format!("-groups X25519:P-384 {TRUSTS_OWN}");
    let mutual = format!("-cert /own.pem -key /own.key {TRUSTS_OWN}");
    let shaking = [
        (mesh.client("healthy", &again(&ask(&servers[0], TRUSTS_OWN))), vec!["connected"; 5]),
        (mesh.client("healthy-12", &again(&ask(&servers[1], TRUSTS_OWN))), vec!["connected"; 5]),
        (mesh.client("twice", &again(&ask(&servers[2], &twice))), vec!["connected"; 5]),
        (mesh.client("sometimes", &again(&sometimes)), ["client unknown_ca", "connected"].repeat(5)),
        (mesh.client("public", &again(&ask(&outside, TRUSTS_OTHER))), vec!["client unknown_ca"; 5]),
        (mesh.client("once", &ask(&servers[7], TRUSTS_OTHER)), vec!["client unknown_ca"]),
        (mesh.client("mutual", &again(&ask(&servers[8], &mutual))), vec!["connected"; 5]),
    ];
    // One whose handshake is done and who says goodbye at once, and one who only looks whether somebody listens.
    let hasty = mesh.client("hasty", &again(&leaves));
    let (far, port) = servers[5].rsplit_once(':').expect("a port");
    let prober = mesh.cable.agent(&mesh.stage, "prober", &format!("5 600 1000 {far} {port}"));
    for (client, ends) in &shaking {
        shakes(&verdicts, &client.container.id, ends.len());
    }
    prober.ends(&verdicts.run);
    until("the hasty one", || {
        let said = verdicts.run.said();
        let of_it =
            |line: &&str| line.contains(&hasty.container.id) && line.contains(r#""action":"connect""#);
        (said.lines().filter(of_it).count() >= 5).then_some(())
    });
    let ids = shaking.map(|(client, ends)| (client.is_killed(&mesh.stage), ends));
    let (hasty, _) = hasty.is_killed(&mesh.stage);
    let seen = verdicts.end();
    for ((id, said), expected) in &ids {
        assert_eq!(ends(&seen, id), *expected, "{id}: {said}");
        quiet(&seen, id);
    }
    let hasty = ends(&seen, &hasty);
    assert!(hasty.iter().all(|end| end == "connected"), "{hasty:?}");
    for server in servers.iter().chain([&outside]) {
        quiet(&seen, server);
    }
}

/// STAND-IN: no registry offers K3s; `openssl s_client` under the name of an agent shakes hands as that does.
fn agent(mesh: &Mesh, name: &str, words: &str) -> Component {
    eprintln!("STAND-IN: {name} is openssl under that name");
    let copy = mesh.stage.path(name);
    fs::copy(program("openssl"), &copy).expect("a copy");
    let words = again(words).replace(&program("openssl").display().to_string(), &copy.display().to_string());
    mesh.cable.runs_at("near", &mesh.stage, &program("sh"), &["-c", &words])
}

#[test]
fn an_agent_that_does_not_trust_its_server() {
    let mut mesh = Mesh::begin();
    let [own, other] = [&mesh.own, &mesh.other].map(|of| [of.certificate.clone(), of.key.clone()]);
    let mut serves = |port, of: &[String; 2]| mesh.serves_at(port, &["-cert", &of[0], "-key", &of[1]]);
    let (wrong, old, new) = (serves(6_443, &other), serves(9_345, &other), serves(6_444, &own));
    let verdicts = Verdicts::begin(&mesh.stage, "node-join-failed-tls", &[]);
    let trusts = format!("-CAfile {} -verify_return_error", own[0]);
    let lost = agent(&mesh, "k3s-agent", &ask(&wrong, &trusts));
    // One of its servers has a certificate that it does not know, the other one is as it should be.
    let joined = agent(&mesh, "kubelet", &format!("{}; {}", ask(&new, &trusts), ask(&old, &trusts)));
    verdicts.awaits("node-join-failed", &wrong);
    for component in [lost, joined] {
        component.running.finish().expect("an agent");
    }
    let seen = verdicts.end();
    only(&seen, &wrong, "node-join-failed/tls proved");
    let ends: Vec<&Value> =
        seen.of_type("event").filter(|event| event["process"]["comm"] == "kubelet").collect();
    let alerts = ends.iter().filter(|event| event["alert"]["name"] == "unknown_ca");
    assert_eq!(alerts.count(), 5, "{ends:#?}");
    for finding in seen.of_type("finding").filter(|finding| finding["id"] == "node-join-failed") {
        assert_eq!(finding["subject"]["object"], *wrong, "{finding:#}");
    }
}
