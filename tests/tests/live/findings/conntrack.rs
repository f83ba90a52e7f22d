//! What is concluded of connection tables: of the node's and of a pod's own, that are full, and in which connections
//! collide; and nothing where a few do, and much is left.
//!
//! Networks of our own are full and collide.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::Range,
    thread::{scope, sleep},
    time::Duration,
};

use observer_tests::rig::{
    Bundle, Stage,
    net::{Cable, Dialed},
    node::Node,
    stage,
    stdio::until,
    verdict::{Verdicts, is_about, only, quiet},
    watch::Seen,
};
use serde_json::Value;

const ROW: &str = "conntrack-full";

/// Connections are followed; those to one port all get the same source; what is sent to another comes to nothing.
const RULES: &str = "\
table inet t {
  chain nothing { type filter hook prerouting priority -300; udp dport 9 drop; }
  chain same { type nat hook postrouting priority 100; tcp dport 7000 snat ip to 127.0.0.1:5000; }
  chain follows { type filter hook output priority 0; ct state new counter; }
}
";

struct Networks {
    stage: Stage,
    cable: Cable,
    node: Node,
}

/// Of the two ends: where pods are, and what is shown as the node's.
const POD: &str = "near";
const NODE: &str = "far";

impl Networks {
    fn lay() -> Networks {
        let (stage, cable) = (stage(), Cable::lay());
        for end in [POD, NODE] {
            cable.rules(&stage, end, RULES);
            cable.set(end, "netfilter/nf_conntrack_udp_timeout", "600");
        }
        let node = Node::at(&cable, NODE, &stage);
        Networks { stage, cable, node }
    }

    /// An observer that sees them, and a container that is known to be followed.
    fn verdicts(&self, case: &str) -> (Verdicts, Dialed) {
        let verdicts = Verdicts::begin_by(self.node.shown(), case, &["--probes", "process,stdio"]);
        let pod = self.cable.holds(&self.stage, "pod", Bundle::new(&["/bin/sleep", "1000"]));
        verdicts.run.wait_for("its start", |object| {
            object["container"]["id"] == *pod.container.id && object["action"] == "start"
        });
        (verdicts, pod)
    }

    fn ends(self, verdicts: Verdicts, pod: Dialed) -> (Seen, String) {
        let seen = verdicts.end();
        let (id, _) = pod.is_killed(&self.stage);
        (seen, id)
    }

    /// Each of so many loses two packets: the first, and the one that is sent again after a second.
    fn collide(&self, end: &str, count: usize) {
        self.cable.at(end, || {
            let server = TcpListener::bind("127.0.0.1:7000").expect("a port");
            let address = server.local_addr().expect("its address");
            let _first = TcpStream::connect(address).expect("the first one");
            scope(|scope| {
                for _ in 0..count {
                    scope.spawn(|| TcpStream::connect_timeout(&address, Duration::from_millis(1_500)));
                }
            });
        });
    }

    /// As many connections as the table takes.
    fn fill(&self, end: &str) {
        let max = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").expect("a table");
        self.sends(end, 0..max.trim().parse().expect("a number"));
    }

    fn sends(&self, end: &str, numbers: Range<u32>) {
        self.cable.at(end, || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
            for number in numbers {
                let to = SocketAddr::from((Ipv4Addr::from(first + number), 9));
                socket.send_to(b"x", to).expect("to be sent");
            }
        });
    }
}

/// Does it again and again, until it is told: what was before a table was looked at first is no news.
fn again(verdicts: &Verdicts, mut fault: impl FnMut(u32), is: impl Fn(&Value) -> bool) {
    let mut times = 0;
    until("a finding", || {
        fault(times);
        times += 1;
        sleep(Duration::from_millis(500));
        verdicts.run.has_said(&is).then_some(())
    });
}

fn is_of(id: &str) -> impl Fn(&Value) -> bool {
    move |object| object["type"] == "finding" && object["id"] == ROW && is_about(object, id)
}

fn is_of_node(object: &Value) -> bool {
    object["type"] == "finding" && object["id"] == ROW && object["subject"]["kind"] == "node"
}

/// What is concluded of the node.
fn of_node(seen: &Seen) -> Vec<String> {
    let told = seen.of_type("finding").filter(|finding| is_of_node(finding) && finding["status"] == "open");
    told.map(|finding| format!("{} {}", finding["cause"], finding["grade"])).collect()
}

#[test]
fn a_node_whose_table_is_full_and_a_pod_whose_connections_collide() {
    let networks = Networks::lay();
    let (verdicts, pod) = networks.verdicts(ROW);
    networks.fill(NODE);
    // Others than those that are there.
    again(
        &verdicts,
        |times| networks.sends(NODE, (1 << 22) + times * 200..(1 << 22) + (times + 1) * 200),
        is_of_node,
    );
    again(&verdicts, |_| networks.collide(POD, 8), is_of(&pod.container.id));
    let (seen, id) = networks.ends(verdicts, pod);
    assert_eq!(of_node(&seen), ["\"table-full\" \"proved\""]);
    only(&seen, &id, "conntrack-full/pod-insert-failed proved");
}

#[test]
fn a_node_whose_connections_collide_and_a_pod_whose_table_is_full() {
    let networks = Networks::lay();
    let (verdicts, pod) = networks.verdicts("conntrack-full-other-way-round");
    networks.fill(POD);
    let of_pod = is_of(&pod.container.id);
    again(
        &verdicts,
        |times| networks.sends(POD, (1 << 22) + times * 200..(1 << 22) + (times + 1) * 200),
        of_pod,
    );
    again(&verdicts, |_| networks.collide(NODE, 8), is_of_node);
    let (seen, id) = networks.ends(verdicts, pod);
    assert_eq!(of_node(&seen), ["\"insert-failed\" \"proved\""]);
    only(&seen, &id, "conntrack-full/pod-table-full proved");
}

#[test]
fn a_few_collisions_are_nobodys_concern() {
    let networks = Networks::lay();
    let (verdicts, pod) = networks.verdicts("conntrack-full-few");
    // It has been looked at once, as a rule: what was before that is no news in any case.
    sleep(Duration::from_secs(6));
    for end in [POD, NODE] {
        networks.collide(end, 2);
    }
    // It is looked at once more.
    sleep(Duration::from_secs(6));
    let (seen, id) = networks.ends(verdicts, pod);
    assert_eq!(of_node(&seen), [""; 0]);
    quiet(&seen, &id);
}
