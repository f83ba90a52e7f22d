//! What is concluded of backends behind the address of a service, where the node sends elsewhere what pods with a network
//! of their own ask of it, as kube-proxy's rules do; and nothing of those that only look dead.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use observer_tests::rig::{
    Bundle, Stage,
    net::Cable,
    node::Node,
    stage,
    stdio::expect,
    verdict::{Verdicts, only, quiet},
    watch::Seen,
    workload,
};
use serde_json::{Value, json};

/// What is sent there leaves the node and vanishes.
const SILENT: Ipv4Addr = Ipv4Addr::new(10, 99, 7, 2);

/// A node between pods and backends.
struct Cluster {
    stage: Stage,
    cable: Cable,
    node: Node,
    /// Of the addresses of its services: other tests have others, of which this node does not know where they lead.
    number: u8,
}

impl Cluster {
    fn new(number: u8) -> Cluster {
        let (stage, cable) = (stage(), Cable::lay());
        cable.ip_near(&["route", "add", "10.96.0.0/16", "via", &cable.far.to_string()]);
        cable.set("far", "ipv4/ip_forward", "1");
        let void = [
            "link add void0 type veth peer name void1",
            "link set void0 up",
            "link set void1 up",
            "address add 10.99.7.1/24 dev void0",
            // Nobody has this one.
            "neighbour add 10.99.7.2 lladdr 02:00:00:00:00:99 dev void0",
        ];
        for words in void {
            cable.ip_far(&words.split(' ').collect::<Vec<_>>());
        }
        let node = Node::at(&cable, "far", &stage);
        Cluster { stage, cable, node, number }
    }

    fn far(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.cable.far, port))
    }

    /// The address of a service: what is sent to it goes to these by turns.
    fn serves(&self, number: u8, of: &str, backends: &[SocketAddr]) -> String {
        let service = format!("10.96.{}.{number}", self.number);
        let turns = backends.iter().enumerate();
        let turns = turns.map(|(turn, to)| format!("{turn} : {} . {}", to.ip(), to.port()));
        let (count, turns) = (backends.len(), turns.collect::<Vec<_>>().join(", "));
        let rules = format!(
            "table ip service{number} {{\nchain pre {{\ntype nat hook prerouting priority -100\n\
             ip daddr {service} {of} dnat to numgen inc mod {count} map {{ {turns} }}\n}}\n}}\n"
        );
        self.cable.rules(&self.stage, "far", &rules);
        service
    }

    fn verdicts(&self, case: &str) -> Verdicts {
        Verdicts::begin_by(self.node.shown(), case, &[])
    }
}

/// Where the node is said to have sent a container's connections that ended so, once each.
fn backends(seen: &Seen, id: &str, outcome: &str) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for event in seen.events_of("net", id).filter(|event| event["outcome"] == outcome) {
        if !event["backend"].is_null() && !found.contains(&event["backend"]) {
            found.push(event["backend"].clone());
        }
    }
    found
}

#[test]
fn a_backend_that_refuses_or_is_silent_while_another_answers() {
    let cluster = Cluster::new(1);
    let (healthy, closed) = (cluster.far(7001), cluster.far(7002));
    let silent = SocketAddr::from((SILENT, 80));
    let _server = cluster.cable.listens(7001);
    let services = [
        cluster.serves(20, "tcp dport 80", &[healthy, closed]),
        cluster.serves(21, "tcp dport 80", &[healthy, silent]),
        cluster.serves(22, "tcp dport 80", &[closed]),
    ];
    let verdicts = cluster.verdicts("service-unreachable-backend-dead");
    let agents = [("refused", 24, 500), ("silent", 10, 500), ("all", 15, 800)];
    let dialed = agents.iter().zip(&services).map(|((name, rounds, pause), service)| {
        cluster.cable.agent(&cluster.stage, name, &format!("{rounds} {pause} 2500 {service} 80"))
    });
    let dialed: Vec<_> = dialed.collect();
    let ids: Vec<String> = dialed.into_iter().map(|dialed| dialed.ends(&verdicts.run).0).collect();
    let seen = verdicts.end();

    let place = |at: SocketAddr| json!({"address": at.ip().to_string(), "port": at.port(), "pod": null});
    for (id, dead, outcome) in [(&ids[0], closed, "refused"), (&ids[1], silent, "timeout")] {
        let finding = only(&seen, id, "service-unreachable/backend-dead proved");
        assert_eq!(finding["subject"]["object"], dead.to_string());
        assert_eq!(backends(&seen, id, outcome), [place(dead)]);
        assert_eq!(backends(&seen, id, "connected"), [place(healthy)]);
    }
    let finding = only(&seen, &ids[2], "service-unreachable/no-backend-answers likely");
    assert_eq!(finding["subject"]["object"], format!("{}:80", services[2]));
    assert_eq!(backends(&seen, &ids[2], "refused"), [place(closed)]);
}

#[test]
fn backends_that_only_look_dead() {
    let cluster = Cluster::new(2);
    let (healthy, barred, far) = (cluster.far(7001), cluster.far(7003), cluster.cable.far);
    let _servers = [7001, 7003].map(|port| cluster.cable.listens(port));
    // A rule of the node keeps this pod from one that answers others.
    cluster.cable.nft_far("input", "tcp dport 7003 reject with tcp reset");
    let service = cluster.serves(20, "tcp dport 80", &[healthy, barred]);
    let fine = cluster.serves(21, "tcp dport 80", &[healthy]);
    let verdicts = cluster.verdicts("service-unreachable-not-its-backends");
    let words = [
        ("barred", format!("10 500 2500 {service} 80")),
        // No service stands before it.
        ("closed", format!("6 800 2500 {far} 7009")),
        ("fine", format!("6 800 2500 {fine} 80")),
    ];
    let dialed = words.map(|(name, words)| cluster.cable.agent(&cluster.stage, name, &words));
    let ids = dialed.map(|dialed| dialed.ends(&verdicts.run).0);
    let seen = verdicts.end();
    for id in &ids {
        quiet(&seen, id);
    }
    let refused = backends(&seen, &ids[0], "refused");
    assert_eq!(refused, [json!({"address": barred.ip().to_string(), "port": 7003, "pod": null})]);
    let barred = seen.events_of("net", &ids[0]).find(|event| event["outcome"] == "refused");
    expect(&barred.expect("refused")["drop"], &[("reason", json!("NETFILTER_DROP"))]);
    assert_eq!(backends(&seen, &ids[1], "refused"), [Value::Null; 0]);
    // Nothing has failed there.
    assert_eq!(backends(&seen, &ids[2], "connected"), [Value::Null; 0]);
}

#[test]
fn a_name_server_behind_a_service_that_is_silent_while_another_answers() {
    let cluster = Cluster::new(3);
    let program = workload::static_program("nameserver", &cluster.stage.path(""));
    let address = cluster.cable.far.to_string();
    let server = cluster.cable.runs_at("far", &cluster.stage, &program, &[&address, "5300"]);
    let silent = cluster.far(5353);
    let _silent = cluster.cable.at_far(|| UdpSocket::bind(silent).expect("a port"));
    let service = cluster.serves(10, "udp dport 53", &[cluster.far(5300), silent]);
    let healthy = cluster.serves(11, "udp dport 53", &[cluster.far(5300)]);
    let verdicts = cluster.verdicts("dns-failed-behind-a-service");
    let asks = |name: &str, server: &str, asked: &str| {
        let words = format!(
            "for n in 1 2 3 4 5 6 7 8; do timeout 1 nslookup -type=a {asked} {server}; sleep 0.5; done; sleep 1000"
        );
        cluster.cable.holds(&cluster.stage, name, Bundle::new(&["/bin/sh", "-c", &words]))
    };
    let one = asks("one", &service, "ready.test");
    let fine = asks("fine", &healthy, "ready.test");
    verdicts.awaits("dns-failed", &one.container.id);
    let [(one, _), (fine, _)] = [one, fine].map(|asking| asking.is_killed(&cluster.stage));
    let seen = verdicts.end();
    server.running.signal(rustix::process::Signal::KILL).expect("the server");
    let finding = only(&seen, &one, "dns-failed/one-backend-dead proved");
    assert_eq!(finding["subject"]["object"], silent.to_string());
    quiet(&seen, &fine);
}
