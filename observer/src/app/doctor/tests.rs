use std::collections::BTreeSet;

use observer_ebpf::{Family, control::role};

use super::*;
use crate::{
    health::HookPlan,
    input::RuntimeVersion,
    probes::invocation::Program,
    source::facts::host::{Capability, CgroupMode},
    time::Time,
};

fn plan(family: Family, status: Status, rung: Option<&'static str>, why: Option<&str>) -> ProbePlan {
    let hook = HookPlan { name: "sched_process_exec", rung, why: why.map(str::to_owned) };
    ProbePlan { family, status, hooks: vec![hook] }
}

/// A node on which all is well.
fn fit() -> Doctor {
    Doctor {
        time: Wall(1_700_000_000_000_000_001),
        host: HostFacts {
            kernel_release: "6.1.0-38-cloud-amd64".to_owned(),
            arch: "x86_64",
            page_size: 4096,
            hostname: "node-a".to_owned(),
            host_id: None,
            node_name: Some("worker-1".to_owned()),
            cgroup_mode: CgroupMode::V2,
            btf: true,
            tracefs: true,
            capabilities: Capability::ALL.into_iter().collect(),
            uprobes: true,
            elsewhere: false,
            initial_pids: true,
        },
        runtimes: vec![Runtime {
            path: "/usr/bin/crun".to_owned(),
            program: Program::Crun,
            version: Ok(RuntimeVersion {
                version: "1.8.4".to_owned(),
                features: vec!["+CAP".to_owned(), "+WASM:wasmedge".to_owned()],
            }),
        }],
        engines: vec![ProcessFact {
            tgid: 812,
            ppid: 1,
            start: Time(1),
            comm: "containerd".to_owned(),
            exe: Some("/usr/bin/containerd".to_owned()),
            role: role::ENGINE,
            datastore: None,
        }],
        sockets: vec![EngineSocket {
            path: "/run/containerd/containerd.sock".to_owned(),
            answer: Ok(EngineVersion { name: "containerd".to_owned(), version: "v1.7.2".to_owned() }),
        }],
        probes: vec![plan(Family::Process, Status::Attached, Some("btf-tracepoint"), None)],
        fitness: Fitness::default(),
    }
}

fn state_of(doctor: &Doctor, name: &str) -> State {
    doctor.checks().into_iter().find(|check| check.name == name).expect(name).state
}

fn table(doctor: &Doctor) -> String {
    let mut out = Vec::new();
    doctor.write_table(Page::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn json(doctor: &Doctor) -> serde_json::Value {
    let mut out = Vec::new();
    doctor.write_json(&mut out).unwrap();
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "one object, one line");
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_fit_node_lacks_nothing() {
    let doctor = fit();
    assert!(doctor.checks().iter().all(|check| check.state == State::Ok), "{:?}", doctor.checks());
    assert_eq!(doctor.exit_code(), 0);
    let table = table(&doctor);
    assert!(table.starts_with("host node-a, Kubernetes node worker-1\n"), "{table}");
    assert!(table.contains("/usr/bin/crun  1.8.4    wasmedge  +CAP +WASM:wasmedge"), "{table}");
    assert!(table.contains("This node can be observed."), "{table}");
    assert!(!table.contains("WHY NOT BETTER"), "{table}");
}

#[test]
fn the_floor_is_said() {
    let on = |release: &str| {
        let mut doctor = fit();
        doctor.host.kernel_release = release.to_owned();
        state_of(&doctor, "kernel")
    };
    assert_eq!(on("6.1.0"), State::Ok);
    assert_eq!(on("6.0.9"), State::Untested);
    assert_eq!(on("5.8.0"), State::Untested);
    assert_eq!(on("5.7.19"), State::Lacks);
    assert_eq!(on("odd"), State::Lacks);
}

#[test]
fn rights_that_stand_for_others() {
    let mut doctor = fit();
    doctor.host.capabilities = BTreeSet::from([Capability::SysAdmin]);
    for name in ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_RESOURCE"] {
        assert_eq!(state_of(&doctor, name), State::Ok, "{name}");
    }
    assert_eq!(state_of(&doctor, "CAP_SYS_PTRACE"), State::Lacks);
    doctor.host.kernel_release = "5.10.0".to_owned();
    assert_eq!(state_of(&doctor, "CAP_SYS_RESOURCE"), State::Lacks);
    doctor.host.capabilities.clear();
    assert_eq!(state_of(&doctor, "CAP_BPF"), State::Lacks);
}

#[test]
fn each_lack_is_named_with_its_cost() {
    let mut doctor = fit();
    doctor.host = HostFacts { kernel_release: "6.1.0".to_owned(), arch: "x86_64", ..HostFacts::default() };
    doctor.runtimes.clear();
    doctor.sockets.clear();
    let lacking = doctor.checks().into_iter().filter(|check| check.state == State::Lacks);
    let lacking: Vec<_> = lacking.map(|check| (check.name, check.costs, check.remedy)).collect();
    assert_eq!(lacking.len(), 12, "{lacking:?}");
    assert!(lacking.iter().all(|(_, costs, remedy)| costs.is_some() && remedy.is_some()), "{lacking:?}");
}

#[test]
fn a_probe_that_cannot_attach_is_named_with_what_it_gives() {
    let mut doctor = fit();
    doctor.probes = vec![
        plan(Family::Process, Status::Degraded, Some("raw-tracepoint"), Some("btf-tracepoint: no BTF")),
        plan(Family::Mount, Status::Failed, None, Some("tracepoint: no tracefs")),
    ];
    assert_eq!(doctor.exit_code(), 3);
    let table = table(&doctor);
    assert!(table.contains("process/sched_process_exec  raw-tracepoint  btf-tracepoint: no BTF"), "{table}");
    assert!(table.contains("mount/sched_process_exec    nothing         tracepoint: no tracefs"), "{table}");
    assert!(table.contains("mount cannot attach"), "{table}");
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    assert!(lines.join(" ").trim_end().ends_with(crate::probes::spec(Family::Mount).gives), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= Page::NARROWEST), "{table}");
}

#[test]
fn known_problems_that_would_stay_unknown_are_named() {
    let doctor = fit();
    assert_eq!(doctor.not_told(), []);
    let mut doctor = fit();
    doctor.probes = vec![
        plan(Family::Dns, Status::Failed, None, Some("cgroup-skb: Operation not permitted")),
        ProbePlan {
            family: Family::Net,
            status: Status::Degraded,
            hooks: vec![HookPlan { name: "packets", rung: None, why: None }],
        },
    ];
    let lost = doctor.not_told();
    let of = |id: &str| lost.iter().find(|problem| problem.id == id);
    let dns = of("dns-failed").expect("look-ups are not seen");
    assert_eq!((&dns.causes, dns.wants.contains("dns")), (&None, true), "{dns:?}");
    assert!(of("mtls-failed").is_some_and(|mtls| mtls.wants.contains("net")), "{lost:?}");
    // Connections are seen all the same, and so is what needs no packets.
    assert!(of("kubectl-logs-empty").is_none() && of("disk-full").is_none(), "{lost:?}");
    assert!(table(&doctor).contains("NOT TOLD"));
    assert!(json(&doctor)["not_told"].as_array().is_some_and(|all| all.len() == lost.len()));

    let mut doctor = fit();
    doctor.probes = vec![plan(Family::Tls, Status::Waiting, None, None)];
    assert_eq!(doctor.not_told(), []);
    doctor.host.uprobes = false;
    assert!(!doctor.not_told().is_empty());
    doctor.host.uprobes = true;
    doctor.host.capabilities.remove(&Capability::SysPtrace);
    assert!(doctor.not_told().iter().all(|problem| problem.wants.contains("tls")));
    assert!(!doctor.not_told().is_empty());
}

#[test]
fn json_says_the_same() {
    let mut doctor = fit();
    doctor.sockets[0].answer =
        Err(LookupError { what: "CRI Version".to_owned(), why: "no answer within 2 s".to_owned() });
    let object = json(&doctor);
    assert_eq!(object["type"], "doctor");
    assert_eq!(object["time"], "2023-11-14T22:13:20.000000001Z");
    assert_eq!(object["node"], "worker-1");
    assert_eq!(object["kernel"]["release"], "6.1.0-38-cloud-amd64");
    assert_eq!(object["cgroup_mode"], "v2");
    assert_eq!(object["runtimes"][0]["wasm"], "wasmedge");
    assert_eq!(object["sockets"][0]["engine"], serde_json::Value::Null);
    assert_eq!(object["sockets"][0]["why"], "no answer within 2 s");
    assert_eq!(object["probes"][0]["hooks"][0]["rung"], "btf-tracepoint");
    assert_eq!(object["exit_code"], 0);
}

#[test]
fn others_text_is_shown_not_obeyed() {
    let mut doctor = fit();
    doctor.engines[0].comm = "a\u{1b}[2Jb\nc\u{202e}".to_owned();
    let table = table(&doctor);
    assert!(table.contains("a\\x1b[2Jb\\x0ac\\u{202e}"), "{table}");
    assert!(!table.contains('\u{1b}'));
}

/// Shown with `--nocapture`; whatever this machine lacks, it is said and nothing fails.
#[tokio::test]
async fn this_machine_is_examined() {
    let btf = Path::new("/sys/kernel/btf/vmlinux");
    let plans = live::plan(
        btf,
        Tracefs(Some("/sys/kernel/tracing".into())),
        &HostRoot::at("/"),
        &live::LoadError::NoObject,
    );
    let doctor = Doctor::examine(&HostRoot::find(), None, plans).await;
    assert_eq!(doctor.probes.len(), Family::ALL.len());
    assert_eq!(doctor.host.kernel_release, rustix::system::uname().release().to_string_lossy());
    assert_eq!(json(&doctor)["kernel"]["page_size_bytes"], rustix::param::page_size());
    eprintln!("{}", table(&doctor));
}
