//! What is concluded of look-ups and connections that fail, by the rules of the matrix, in a hurry: the right cause
//! about the right container or component; nothing about what only looks like it.

use std::thread::sleep;

use observer_tests::rig::{
    Stage,
    dns::{Asker, DNSMASQ, Names, OWN, TOLD_AFTER, UNBOUND, contained},
    net::{Cable, Component},
    program, stage,
    verdict::{Verdicts, only, quiet},
    watch::Seen,
};
use serde_json::Value;

#[test]
fn names_that_cannot_be_looked_up() {
    let stage = stage();
    let names = Names::new(&stage);
    let (dropped, rejected) = ("127.0.1.4", "127.0.1.5");
    names.filter_to(dropped, "drop");
    names.filter_to(rejected, "reject");
    names.balance("10.96.0.10", &format!("numgen inc mod 2 map {{ 0 : {DNSMASQ}, 1 : 127.0.1.9 }}"));
    let verdicts = Verdicts::begin(&stage, "dns-failed", &[]);
    let cases = [
        ("down", Some(OWN), "silent.test", "server-down proved"),
        ("nobody", Some("127.0.1.9"), "good.test", "server-refuses proved"),
        ("servfail", Some(OWN), "servfail.test", "server-failed proved"),
        ("refused", Some(UNBOUND), "refused.test", "server-failed proved"),
        ("without", None, "good.test", "resolver-file-missing likely"),
        ("dropped", Some(dropped), "good.test", "node-drops proved"),
        ("rejected", Some(rejected), "good.test", "policy proved"),
        ("one", Some("10.96.0.10"), "good.test", "one-backend-dead proved"),
    ];
    let askers = cases.map(|(name, server, asks, _)| Asker::begin(&stage, name, server, asks));
    for asker in &askers {
        verdicts.awaits("dns-failed", &asker.id);
    }
    let ids = askers.map(|asker| asker.ends(&stage));
    let seen = verdicts.end();
    for (id, (.., expected)) in ids.iter().zip(cases) {
        let finding = only(&seen, id, &format!("dns-failed/{expected}"));
        assert_eq!(finding["slice"], "network");
    }
    let one = only(&seen, &ids[7], "dns-failed/one-backend-dead proved");
    assert_eq!(one["subject"]["object"], "127.0.1.9:53");
}

#[test]
fn a_name_that_does_not_exist() {
    let stage = stage();
    let _names = Names::new(&stage);
    let verdicts = Verdicts::begin(&stage, "dns-failed-name-wrong", &[]);
    let resolv = format!("nameserver {DNSMASQ}\n");
    let run = |name: &str, words: &str| {
        let bundle = contained(Some(&resolv), &["/bin/sh", "-c", words]);
        let written = bundle.write(&stage, &format!("{name}-{}", stage.id())).expect("bundle");
        stage.runtime(program("crun")).run(&written).expect("crun");
        written.id
    };
    let wrong = run("wrong", "getent ahosts missing.test");
    let unimportant = run("unimportant", "getent ahosts missing.test; exit 0");
    verdicts.awaits("dns-failed", &wrong);
    let seen = verdicts.end();
    only(&seen, &wrong, "dns-failed/name-wrong likely");
    quiet(&seen, &unimportant);
}

#[test]
fn look_ups_that_succeed_after_all() {
    let stage = stage();
    let _names = Names::new(&stage);
    let verdicts = Verdicts::begin(&stage, "dns-failed-healthy", &[]);
    let search = format!(
        "nameserver {DNSMASQ}\nsearch shop.svc.cluster.test svc.cluster.test cluster.test\noptions ndots:5\n"
    );
    // On its way to an answer the name does not exist several times.
    let searches = Asker::configured(&stage, "searches", Some(&search), "db", "exit 0");
    let second = format!("nameserver 127.0.1.9\nnameserver {DNSMASQ}\n");
    let second = Asker::configured(&stage, "second", Some(&second), "good.test", "exit 0");
    let absent = format!("nameserver {DNSMASQ}\n");
    let absent =
        Asker::configured(&stage, "absent", Some(&absent), "missing.test; getent ahosts good.test", "exit 0");
    let ids = [searches, second, absent].map(|asker| {
        asker.crun.finish().expect("crun");
        asker.id
    });
    sleep(TOLD_AFTER);
    let seen = verdicts.end();
    for id in &ids {
        assert!(seen.events_of("dns", id).any(|event| event["outcome"] == "answered"), "{id}");
        quiet(&seen, id);
    }
}

#[test]
fn pods_and_services_that_cannot_be_reached() {
    let (cable, stage) = (Cable::lay(), stage());
    let verdicts = Verdicts::begin(&stage, "pod-unreachable", &[]);
    let [a, b, c, _] = cable.far.octets();
    let [far, behind, service] = [2, 3, 20].map(|last| format!("{a}.{b}.{c}.{last}"));
    let _server = cable.listens(7001);
    for address in [&behind, &service] {
        cable.ip_far(&["address", "add", &format!("{address}/24"), "dev", "eth1"]);
    }
    cable.nft_far("input", &format!("ip daddr {service} tcp dport 80 reject"));
    // What it asks of this one comes from where the far end would not send an answer: a way back that differs.
    cable.set("far", "ipv4/conf/eth1/rp_filter", "1");
    cable.set("near", "ipv4/conf/eth0/arp_announce", "2");
    cable.ip_near(&["address", "add", "10.55.0.1/32", "dev", "lo"]);
    cable.ip_near(&["route", "add", &behind, "dev", "eth0", "src", "10.55.0.1"]);

    let cut = cable.agent(&stage, "cut", &format!("7 1500 2500 {far} 7001"));
    let lost = cable.agent(&stage, "lost", "5 1000 1000 10.99.0.1 80");
    let filtered = cable.agent(&stage, "filtered", &format!("4 500 2500 {behind} 7001"));
    let unserved = cable.agent(&stage, "unserved", &format!("5 1000 2500 {service} 80"));
    let id = cut.container.id.clone();
    verdicts.run.wait_for("a connection", |object| {
        object["container"]["id"] == *id && object["outcome"] == "connected"
    });
    cable.nft_far("input", "tcp dport 7001 drop");
    let [cut, lost, filtered, unserved] =
        [cut, lost, filtered, unserved].map(|dialed| dialed.ends(&verdicts.run).0);
    let seen = verdicts.end();
    only(&seen, &cut, "pod-unreachable/policy-drop likely");
    only(&seen, &lost, "pod-unreachable/no-route likely");
    only(&seen, &filtered, "pod-unreachable/dropped-here likely");
    let finding = only(&seen, &unserved, "service-unreachable/no-endpoints likely");
    assert_eq!(finding["subject"]["object"], format!("{service}:80"));
}

#[test]
fn connections_that_are_not_to_be_made_or_fail_for_good_reasons() {
    let (cable, stage) = (Cable::lay(), stage());
    let verdicts = Verdicts::begin(&stage, "pod-unreachable-healthy", &[]);
    let far = cable.far.to_string();
    let _server = cable.listens(7001);
    cable.nft_far("input", "tcp dport 7003 drop");
    cable.nft_far("input", "tcp dport 7004 drop");
    let dial = |name: &str, words: String| cable.agent(&stage, name, &words);
    // A policy that was always there, a pod's closed port, two addresses at once of which one is given up, a
    // connection now and then that fails while others do not.
    let dialed = [
        dial("policy", format!("4 500 2500 {far} 7003")),
        dial("closed", format!("5 1000 1000 {far} 7009")),
        dial("happy", format!("5 1000 250 {far} 7004 {far} 7001")),
        dial("healthy", format!("5 1000 1000 {far} 7001")),
    ];
    let ids = dialed.map(|dialed| dialed.ends(&verdicts.run).0);
    let seen = verdicts.end();
    for id in &ids {
        assert!(seen.events_of("net", id).count() >= 4, "{id}: nothing was seen of it");
        quiet(&seen, id);
    }
}

/// `row/cause grade` of what was concluded about a process, and what was suspected of it.
fn about(seen: &Seen, pid: i32) -> Vec<String> {
    let objects = seen.objects.iter().filter(|object| object["subject"]["process"]["pid"] == pid);
    let said = |object: &Value| match object["type"].as_str()? {
        "finding" if object["status"] == "open" => {
            let part = |name: &str| object[name].as_str().unwrap_or_default();
            Some(format!("{}/{} {}", part("id"), part("cause"), part("grade")))
        }
        "unproven" => Some(format!("{} unproven", object["id"])),
        _ => None,
    };
    objects.filter_map(said).collect()
}

/// STAND-IN: no registry offers K3s or Kubernetes; `agent.c` under the name of a component dials as that does. What
/// is said of it once it has ended.
fn concluded(
    case: &str,
    name: &str,
    set: impl FnOnce(&Cable, &Stage, &Verdicts) -> Component,
) -> Vec<String> {
    eprintln!("STAND-IN: {name} is tests/workloads/agent.c under that name");
    let (cable, stage) = (Cable::lay(), stage());
    let verdicts = Verdicts::begin(&stage, case, &[]);
    let component = set(&cable, &stage, &verdicts);
    let pid = component.pid();
    component.ends();
    let seen = verdicts.end();
    let dialed = seen.of_type("event").filter(|event| event["process"]["pid"] == pid);
    assert!(dialed.filter(|event| event["process"]["comm"] == name).count() >= 4, "{name}: {}", seen.stdout);
    about(&seen, pid)
}

/// Words for an agent that dials the far end.
fn far(cable: &Cable, rounds: &str, ports: &[u16]) -> String {
    ports.iter().fold(rounds.to_owned(), |words, port| format!("{words} {} {port}", cable.far))
}

fn is_told(verdicts: &Verdicts, component: &Component, outcome: &str) {
    let pid = component.pid();
    verdicts.run.wait_for(outcome, |object| object["process"]["pid"] == pid && object["outcome"] == outcome);
}

#[test]
fn an_agent_that_reaches_no_server() {
    let refused = concluded("node-join-failed-firewall-network", "k3s", |cable, stage, _| {
        cable.component(stage, "k3s", &far(cable, "5 1000 1000", &[6443]))
    });
    assert_eq!(refused, ["node-join-failed/firewall-network proved"]);
    let dropped = concluded("node-join-failed-dropped", "kubelet", |cable, stage, _| {
        cable.nft_far("input", "tcp dport 6443 drop");
        cable.component(stage, "kubelet", &far(cable, "4 500 2500", &[6443]))
    });
    assert_eq!(dropped, ["node-join-failed/firewall-network proved"]);
    let lost = concluded("node-join-failed-control-plane-lost", "k3s", |cable, stage, verdicts| {
        let server = cable.listens(6443);
        let component = cable.component(stage, "k3s", &far(cable, "8 1500 1000", &[6443]));
        is_told(verdicts, &component, "connected");
        drop(server);
        component
    });
    assert_eq!(lost, ["node-join-failed/control-plane-lost proved"]);
}

#[test]
fn an_agent_one_of_whose_servers_is_down() {
    let mut server = None;
    let told = concluded("node-join-failed-one-of-two", "k3s", |cable, stage, _| {
        server = Some(cable.listens(9345));
        // The second is there; a registry is not.
        cable.component(stage, "k3s", &far(cable, "5 800 1000", &[6443, 9345, 5000]))
    });
    assert_eq!(told, [""; 0]);
}

#[test]
fn an_api_server_without_its_etcd() {
    let down = concluded("etcd-unreachable-down", "kube-apiserver", |cable, stage, _| {
        cable.component(stage, "kube-apiserver", &far(cable, "5 1000 1000", &[2379]))
    });
    assert_eq!(down, ["etcd-unreachable/down proved"]);
    let dropped = concluded("etcd-unreachable-network", "k3s", |cable, stage, _| {
        cable.nft_far("input", "tcp dport 2379 drop");
        cable.component(stage, "k3s", &far(cable, "4 500 2500", &[2379]))
    });
    assert_eq!(dropped, ["etcd-unreachable/network proved"]);
    let mut server = None;
    let restarted = concluded("etcd-unreachable-restarted", "kube-apiserver", |cable, stage, verdicts| {
        let first = cable.listens(2379);
        let component = cable.component(stage, "kube-apiserver", &far(cable, "8 1500 1000", &[2379]));
        is_told(verdicts, &component, "connected");
        drop(first);
        is_told(verdicts, &component, "refused");
        server = Some(cable.listens(2379));
        component
    });
    assert_eq!(restarted, [""; 0]);
}
