use super::*;
use crate::{
    app::doctor::State,
    input::{Filesystem, LookupError, Purpose, Room, RuntimeVersion},
};

const NOW: i64 = 1_700_000_000;

fn disk(available: u64, free_inodes: u64) -> NodeFilesystem {
    let room = Room {
        total_bytes: 100_000_000_000,
        available_bytes: available * 1_000_000_000,
        total_inodes: 100,
        free_inodes,
    };
    let filesystem = Filesystem { mount: "/".to_owned(), room, ..Filesystem::default() };
    NodeFilesystem { purpose: Purpose::Nodefs, filesystem }
}

/// A server of K3s that wants nothing.
fn server() -> Fitness {
    Fitness {
        processors: 2,
        memory_bytes: memory("MemTotal:        3915776 kB\nMemFree: 1 kB\n"),
        filesystems: vec![disk(10, 5)],
        agents: BTreeSet::from(["k3s-server".to_owned()]),
        listening: BTreeSet::from([
            (Transport::Tcp, API),
            (Transport::Tcp, KUBELET),
            (Transport::Udp, VXLAN),
        ]),
        has_flannel: true,
        certificates: vec![Certificate { path: "/etc/a.crt".to_owned(), not_after: NOW + 31 * 86_400 }],
        tracked: Some(Tracked { entries: 79, max: 100, ..Tracked::default() }),
        watches: Some((100, 128)),
        backup_hours: Some(Some(12)),
    }
}

fn crun(version: &str) -> Runtime {
    let version = RuntimeVersion { version: version.to_owned(), features: Vec::new() };
    Runtime { path: "/usr/bin/crun".to_owned(), program: Program::Crun, version: Ok(version) }
}

fn lacking(fit: &Fitness, runtimes: &[Runtime]) -> Vec<(&'static str, String)> {
    let checks = checks(fit, runtimes, NOW);
    assert!(checks.iter().all(|check| check.costs.is_some() == (check.state == State::Lacks)), "{checks:?}");
    checks.into_iter().filter(|check| check.state == State::Lacks).map(|one| (one.name, one.found)).collect()
}

#[test]
fn what_is_just_enough_is_enough() {
    assert_eq!(lacking(&server(), &[crun("1.8.5"), crun("1.14")]), []);
    let unknown = LookupError { what: "crun".to_owned(), why: "a script".to_owned() };
    let unasked = Runtime { version: Err(unknown), ..crun("1") };
    assert_eq!(lacking(&server(), &[unasked]), [], "what is not known lacks nothing");
}

#[test]
fn what_is_too_little_is_named() {
    let poor = Fitness {
        processors: 1,
        memory_bytes: Some(2_000_000_000),
        filesystems: vec![disk(9, 50), disk(50, 4)],
        listening: BTreeSet::from([(Transport::Udp, API), (Transport::Tcp, KUBELET)]),
        certificates: vec![
            Certificate { path: "/etc/b.crt".to_owned(), not_after: NOW - 86_400 },
            Certificate { path: "/etc/a.crt".to_owned(), not_after: NOW + 86_400 },
        ],
        tracked: Some(Tracked { entries: 80, max: 100, ..Tracked::default() }),
        watches: Some((128, 128)),
        backup_hours: Some(None),
        ..server()
    };
    let expected = [
        ("processors", "1"),
        ("memory", "2.0 GB"),
        ("disk room", "/: 9 % free, 50 % of its inodes"),
        ("disk room", "/: 50 % free, 4 % of its inodes"),
        ("crun", "1.8.4"),
        ("ports", "nobody listens at 6443/tcp, 8472/udp"),
        ("certificates", "/etc/b.crt has expired 1 days ago"),
        ("conntrack", "80 of 100 (80 %)"),
        ("inotify", "128 of 128 of one user"),
        ("backup", "never"),
    ];
    let expected = expected.map(|(name, found)| (name, found.to_owned()));
    assert_eq!(lacking(&poor, &[crun("1.14"), crun("1.8.4")]), expected);
}

#[test]
fn what_is_no_node_of_kubernetes_needs_no_ports_and_an_agent_no_api() {
    let plain = Fitness { agents: BTreeSet::new(), listening: BTreeSet::new(), ..server() };
    assert_eq!(lacking(&plain, &[]), []);
    let agent = Fitness {
        agents: BTreeSet::from(["kubelet".to_owned()]),
        listening: BTreeSet::from([(Transport::Tcp, KUBELET)]),
        has_flannel: false,
        ..server()
    };
    assert_eq!(lacking(&agent, &[]), []);
}

#[test]
fn tables_of_sockets_are_read() {
    let listens = "   0: 00000000:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 15351 1";
    assert_eq!(port(listens, Transport::Tcp), Some(KUBELET));
    assert_eq!(port(&listens.replace(" 0A ", " 01 "), Transport::Tcp), None);
    let bound = "  12: 00000000:2118 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 0 2";
    assert_eq!(port(bound, Transport::Udp), Some(VXLAN));
    assert_eq!(port(&bound.replace(" 00000000:0000 ", " 0100007F:0035 "), Transport::Udp), None);
    assert_eq!(port("nonsense", Transport::Tcp), None);
}

#[test]
fn the_last_backup_of_the_datastore_is_found() {
    let root = tempfile::tempdir().unwrap();
    let host = HostRoot::at(root.path());
    assert_eq!(backup_hours(&host, 0), None, "no datastore");
    let db = root.path().join("var/lib/rancher/k3s/server/db");
    fs::create_dir_all(db.join("etcd")).unwrap();
    assert_eq!(backup_hours(&host, 0), Some(None));
    fs::create_dir_all(db.join("snapshots")).unwrap();
    fs::write(db.join("snapshots/etcd-snapshot-a"), "").unwrap();
    let made = fs::metadata(db.join("snapshots/etcd-snapshot-a")).unwrap().mtime().unsigned_abs();
    assert_eq!(backup_hours(&host, made + 7_200), Some(Some(2)));
}

#[test]
fn this_machine_has_processors_and_memory() {
    let fit = Fitness::read(&HostRoot::find(), NOW.unsigned_abs());
    assert!(fit.processors > 0 && fit.memory_bytes.is_some_and(|bytes| bytes > 100_000_000), "{fit:?}");
    assert!(!fit.filesystems.is_empty(), "{fit:?}");
}
