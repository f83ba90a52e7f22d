//! Look-ups of containers that the node sends elsewhere, as kube-proxy's rules do: their own network does not show it.

use std::net::UdpSocket;

use observer_tests::rig::{Bundle, net::Cable, node::Node, run::Run, stage, watch::observer};
use serde_json::{Value, json};

/// Addresses of services: of a server that is silent, of one that is not there; and the address of nobody's service.
const SILENT: &str = "10.96.0.10";
const CLOSED: &str = "10.96.0.11";
const PLAIN: &str = "10.96.0.12";

#[test]
fn what_fails_behind_a_service_names_who_did_not_answer() {
    let (stage, cable) = (stage(), Cable::lay());
    let far = cable.far;
    cable.ip_near(&["route", "add", "10.96.0.0/16", "via", &far.to_string()]);
    cable.ip_far(&["address", "add", &format!("{PLAIN}/32"), "dev", "lo"]);
    let rules = format!(
        "table ip services {{\nchain pre {{\ntype nat hook prerouting priority -100\n\
         ip daddr {SILENT} udp dport 53 dnat to {far}:5353\nip daddr {CLOSED} udp dport 53 dnat to {far}:5454\n}}\n}}\n"
    );
    cable.rules(&stage, "far", &rules);
    let silent = [format!("{far}:5353"), format!("{PLAIN}:53")]
        .map(|address| cable.at_far(|| UdpSocket::bind(address).expect("a port")));
    let node = Node::at(&cable, "far", &stage);
    let mut command = node.shown();
    command.arg(observer()).args(["run", "--socket", "off", "--show", "dns"]);
    let run = Run::by(command);
    let asked = [("silent", SILENT), ("closed", CLOSED), ("plain", PLAIN)].map(|(name, server)| {
        let words = format!("timeout 3 nslookup -type=a name.test {server}; sleep 1000");
        cable.holds(&stage, name, Bundle::new(&["/bin/sh", "-c", &words]))
    });
    let told = asked.map(|asking| {
        let id = asking.container.id.clone();
        let told = run
            .wait_for("its look-up", |object| object["probe"] == "dns" && object["container"]["id"] == *id);
        asking.is_killed(&stage);
        told
    });
    run.end();
    drop((silent, node));

    let [silent, closed, plain] = &told;
    let backend = |told: &Value| json!([told["backend"]["address"], told["backend"]["port"]]);
    let far = far.to_string();
    let expected = [
        (silent, "timeout", SILENT, json!([far, 5353])),
        (closed, "error", CLOSED, json!([far, 5454])),
        (plain, "timeout", PLAIN, json!([null, null])),
    ];
    for (told, outcome, server, sent_to) in expected {
        assert_eq!(
            (&told["outcome"], &told["server"]["address"]),
            (&json!(outcome), &json!(server)),
            "{told}"
        );
        assert_eq!(backend(told), sent_to, "{told}");
    }
}
