//! What is concluded of the ports by which a cluster is entered: that whoever served them is gone, or cannot reach what it
//! forwards to; and nothing of those that only look like it.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use crate::receivers::{skip, venv};
use observer_tests::rig::{
    Bundle, Stage,
    net::{Cable, Component, Dialed},
    nginx,
    node::Node,
    program,
    run::Run,
    stage,
    stdio::until,
    verdict::{Verdicts, only, quiet},
};
use rustix::process::Signal;
use serde_json::Value;

/// A real server at an end of a cable.
struct Nginx<'a> {
    cable: &'a Cable,
    stage: &'a Stage,
    end: &'static str,
    /// Where it listens, and what it answers, in its own words.
    at: SocketAddr,
    words: &'static str,
}

impl Nginx<'_> {
    /// Returns once it listens.
    fn begin(&self) -> Component {
        let config = nginx::configured(self.stage, self.at, self.words);
        let words = ["-c", config.to_str().expect("a path")];
        let server = self.cable.runs_at(self.end, self.stage, &program("nginx"), &words);
        let listens = || self.cable.at(self.end, || TcpStream::connect(self.at).is_ok());
        until("nginx", || listens().then_some(()));
        server
    }
}

/// One more address of the far end: others' tests, which are seen as well, have the same ones besides.
fn entrance(cable: &Cable, number: u8) -> Ipv4Addr {
    let address = Ipv4Addr::new(10, 202, number, 1);
    cable.ip_far(&["address", "add", &format!("{address}/32"), "dev", "eth1"]);
    cable.ip_near(&["route", "add", &address.to_string(), "via", &cable.far.to_string()]);
    address
}

fn kill(server: Component) {
    server.running.signal(Signal::KILL).expect("a server");
    server.running.finish().expect("a server");
}

/// Whether it is a connection of a container to a port that has ended so.
fn is_connect(object: &Value, id: &str, port: u16, outcome: &str) -> bool {
    object["probe"] == "net"
        && object["container"]["id"] == id
        && object["server"]["port"] == port
        && object["outcome"] == outcome
}

/// Waits until a container was refused so often at port 80.
fn is_refused(run: &Run, id: &str, times: usize) {
    let mut seen = 0;
    run.wait_for("refusals", |object| {
        seen += usize::from(is_connect(object, id, 80, "refused"));
        seen == times
    });
}

/// Waits until it was answered there, after so many refusals.
fn is_answered(run: &Run, id: &str, after: usize) {
    let mut seen = 0;
    run.wait_for("an answer", |object| {
        seen += usize::from(is_connect(object, id, 80, "refused"));
        seen >= after && is_connect(object, id, 80, "connected")
    });
}

#[test]
fn nobody_listens_any_more_where_the_controller_did() {
    let (stage, cable) = (stage(), Cable::lay());
    let (node, far) = (Node::at(&cable, "far", &stage), entrance(&cable, 1));
    let at = SocketAddr::from((far, 80));
    let controller = Nginx { cable: &cable, stage: &stage, end: "far", at, words: "return 200;" }.begin();
    let verdicts = Verdicts::begin_by(node.shown(), "ingress-unreachable-controller", &[]);
    // Nobody has ever listened at port 443.
    let asks = cable.agent(&stage, "asks", &format!("100 500 2500 {far} 80 {far} 443"));
    let id = asks.container.id.clone();
    is_answered(&verdicts.run, &id, 0);
    kill(controller);
    verdicts.awaits("ingress-unreachable", "80");
    asks.is_killed(&stage);
    let seen = verdicts.end();
    let finding = only(&seen, "80", "ingress-unreachable/controller-not-running proved");
    assert_eq!(finding["subject"]["kind"], "node", "{finding:#}");
    quiet(&seen, "443");
    quiet(&seen, &id);
}

#[test]
fn entrances_that_are_not_lost() {
    let (stage, cable) = (stage(), Cable::lay());
    let (node, far) = (Node::at(&cable, "far", &stage), entrance(&cable, 2));
    // A rule of the node rejects who comes to port 443; that somebody listens there is not in question.
    cable.nft_far("input", "tcp dport 443 ip saddr != 127.0.0.1 reject with tcp reset");
    let barred = cable.at_far(|| std::net::TcpListener::bind((far, 443)).expect("a port"));
    let at = SocketAddr::from((far, 80));
    let controller = Nginx { cable: &cable, stage: &stage, end: "far", at, words: "return 200;" };
    let before = controller.begin();
    let verdicts = Verdicts::begin_by(node.shown(), "ingress-unreachable-not-comes-back", &[]);
    // What was refused is told 3 s later at the latest, before this one asks again.
    let asks = cable.agent(&stage, "asks", &format!("100 6000 2500 {far} 80 {far} 7009"));
    let rejected = cable.agent(&stage, "rejected", &format!("100 6000 2500 {far} 443"));
    let id = asks.container.id.clone();
    is_answered(&verdicts.run, &id, 0);
    // Rolled out twice: each time twice refused.
    kill(before);
    is_refused(&verdicts.run, &id, 2);
    let again = controller.begin();
    is_answered(&verdicts.run, &id, 2);
    kill(again);
    is_refused(&verdicts.run, &id, 4);
    let last = controller.begin();
    is_answered(&verdicts.run, &id, 4);
    let ids = [asks, rejected].map(|agent| agent.is_killed(&stage).0);
    let seen = verdicts.end();
    kill(last);
    drop(barred);
    ["80", "443", &id].into_iter().for_each(|about| quiet(&seen, about));
    for (id, port) in ids.iter().zip([7009, 443]) {
        let is_refused = seen.events_of("net", id).any(|event| is_connect(event, id, port, "refused"));
        assert!(is_refused, "{port} did not refuse: {}", seen.stdout);
    }
}

/// Traefik in a container in the near network, as others are given it.
fn gateway(cable: &Cable, stage: &Stage, program: &Path, at: &str, routes: &[(&str, u16)]) -> Dialed {
    let name = format!("gateway-{}", at.replace(['.', ':'], "-"));
    let config = format!(
        "entryPoints: {{web: {{address: \"{at}\"}}}}\nproviders: {{file: {{filename: /etc/routes.yml}}}}\n\
         global: {{checkNewVersion: false, sendAnonymousUsage: false}}\n\
         tracing: {{serviceName: {name}, otlp: {{grpc: {{endpoint: \"127.0.0.1:4317\", insecure: true}}}}}}\n"
    );
    let router =
        |(host, port): &(&str, u16)| format!("r{port}: {{rule: \"Host(`{host}`)\", service: s{port}}}");
    let service = |(_, port): &(&str, u16)| {
        format!("s{port}: {{loadBalancer: {{servers: [{{url: \"http://127.0.0.1:{port}\"}}]}}}}")
    };
    let all = |of: &dyn Fn(&(&str, u16)) -> String| routes.iter().map(of).collect::<Vec<_>>().join(", ");
    let routes = format!("http: {{routers: {{{}}}, services: {{{}}}}}\n", all(&router), all(&service));
    // Who it is says the SDK, as its users tell it.
    let id = format!("{name}-{}", stage.id());
    let words = format!(
        "export OTEL_RESOURCE_ATTRIBUTES=container.id={id} OTEL_BSP_SCHEDULE_DELAY=500; \
         exec /bin/traefik --configFile=/etc/traefik.yml"
    );
    let bundle = Bundle::new(&["/bin/sh", "-c", &words])
        .mount("/bin/traefik", "bind", program.to_str().expect("a path"), &["bind", "ro"])
        .file("etc/traefik.yml", config.as_bytes())
        .file("etc/routes.yml", routes.as_bytes());
    let running = cable.holds(stage, &name, bundle);
    until(&name, || cable.at("near", || TcpStream::connect(at).is_ok()).then_some(()));
    running
}

/// The status that is answered.
fn asks(cable: &Cable, at: &str, host: &str, path: &str) -> u16 {
    let answer = cable.at("near", || {
        let mut stream = TcpStream::connect(at).expect("a gateway");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("{answer:?}"))
}

/// Traefik as it was installed.
fn traefik(test: &str) -> Option<PathBuf> {
    let path = venv().join("bin/traefik");
    if !path.exists() {
        skip(test, "no traefik: run `cargo xtask setup`");
    }
    path.canonicalize().ok()
}

/// Where gateways listen, what is behind them and what is asked of each.
const DEAD: &str = "127.0.0.2:80";
const BACK: &str = "127.0.0.3:80";
const WELL: &str = "127.0.0.4:443";
const INSIDE: &str = "127.0.0.5:8080";

#[test]
fn gateways_that_cannot_reach_what_they_forward_to() {
    let test = "findings::ingress::gateways_that_cannot_reach_what_they_forward_to";
    let Some(traefik) = traefik(test) else { return };
    let (stage, cable) = (stage(), Cable::lay());
    let server = |port: u16| Nginx {
        cable: &cable,
        stage: &stage,
        end: "near",
        at: SocketAddr::from(([127, 0, 0, 1], port)),
        words: "location / { return 200; } location /missing { return 404; }",
    };
    let behind = server(9_000).begin();
    let verdicts = Verdicts::begin_by(
        cable.inside("near"),
        "ingress-unreachable-upstream",
        &["--otlp-listen", "127.0.0.1:4317"],
    );
    let gateways = [
        (DEAD, &[("shop.example", 9_001)][..]),
        // What it forwards to is away for a moment.
        (BACK, &[("shop.example", 9_002)]),
        // One of what it forwards to is away, of which little is asked.
        (WELL, &[("shop.example", 9_000), ("dead.example", 9_001)]),
        // Nobody comes in by it.
        (INSIDE, &[("shop.example", 9_001)]),
    ];
    let gateways = gateways.map(|(at, routes)| gateway(&cable, &stage, &traefik, at, routes));
    // Who listens may not have read its routes yet.
    for (at, expected) in [(DEAD, 502), (BACK, 502), (WELL, 200), (INSIDE, 502)] {
        until("its routes", || (asks(&cable, at, "shop.example", "/") == expected).then_some(()));
    }
    for _ in 0..30 {
        assert_eq!(asks(&cable, WELL, "shop.example", "/"), 200);
    }
    let mut back = None;
    for round in 0..40 {
        assert_eq!(asks(&cable, DEAD, "shop.example", "/"), 502);
        assert_eq!(asks(&cable, INSIDE, "shop.example", "/"), 502);
        assert_eq!(asks(&cable, WELL, "dead.example", "/"), 502);
        for _ in 0..4 {
            assert_eq!(asks(&cable, WELL, "shop.example", "/"), 200);
            assert_eq!(asks(&cable, WELL, "shop.example", "/missing"), 404);
        }
        let expected = if back.is_some() { 200 } else { 502 };
        assert_eq!(asks(&cable, BACK, "shop.example", "/"), expected);
        if round == 1 {
            back = Some(server(9_002).begin());
        }
        sleep(Duration::from_millis(500));
    }
    let dead = gateways[0].container.id.clone();
    verdicts.awaits("ingress-unreachable", &dead);
    let ids = gateways.map(|gateway| gateway.is_killed(&stage).0);
    let seen = verdicts.end();
    [Some(behind), back].into_iter().flatten().for_each(kill);
    let finding = only(&seen, &dead, "ingress-unreachable/upstream proved");
    assert_eq!(finding["subject"]["object"], "127.0.0.1:9001", "{finding:#}");
    ids[1..].iter().for_each(|id| quiet(&seen, id));
}
