//! Events and counts as the pipeline hands them to the sinks: made up, one of each kind of news.

mod connections;
mod cpu;
mod lookups;
mod webhooks;

use std::collections::BTreeMap;

use observer::{
    output::*,
    probes::{
        hardware::{Op, Slow},
        storage::Device,
    },
    time::Time,
};

use crate::starts::{at, cri_pod, crun_hello, hostile, process, youki_wasm};

fn event(ms: i64, container: Container, what: What) -> Event {
    Event {
        time: at(ms),
        began: None,
        container: Some(container),
        process: Some(process("app", 7_100)),
        since: Since::Start,
        why: None,
        what,
    }
}

fn runtime(action: RuntimeAction) -> Runtime {
    Runtime::of(action)
}

/// A pipe through which all went.
pub fn stdio(fd: u32) -> Stdio {
    Stdio {
        fd,
        shared_with_fd: None,
        target: StdioTarget::Pipe,
        target_now: None,
        written_bytes: Some(1_258_291),
        delivered_bytes: Some(1_258_291),
        pipe_bytes: Some(0),
        blocked_ns: Some(0),
        waiter: None,
        broken_pipe_writes: 0,
        reader: Some(process("containerd-shim", 7_001)),
        log_file: None,
        outcome: StdioOutcome::Delivered,
        unflushed: None,
        ended: true,
    }
}

/// A null pointer that nothing took.
pub fn fault() -> Memory {
    Memory {
        kind: FaultKind::Fault,
        signal: Some(11),
        code: Some(1),
        address: Some(0x10),
        wasm_address: None,
        linear_bytes: None,
        linear_max_bytes: None,
        handled: Some(false),
        region: Some(FaultRegion::Null),
        engine_code: None,
        seen: Seen::Signal,
        scope: None,
        errno: None,
        asked_bytes: None,
        rss_bytes: Some(9_437_184),
        limit_bytes: None,
        count: 1,
    }
}

fn runtime_events() -> Vec<Event> {
    let of = |ms, what| event(ms, crun_hello().container, What::Runtime(what));
    let exec = |ms, errno| {
        let exe = Some("/bin/app".to_owned());
        event(ms, crun_hello().container, What::Exec(Exec { exe, errno }))
    };
    let phase = |ms, phase, errno| Event {
        began: Some(at(ms - 20)),
        ..of(ms, Runtime { phase: Some(phase), errno, ..runtime(RuntimeAction::Phase) })
    };
    vec![
        phase(90, PhaseName::Rootfs, None),
        phase(95, PhaseName::Exec, Some(2)),
        exec(98, Some(2)),
        exec(99, None),
        of(100, runtime(RuntimeAction::Create)),
        of(120, runtime(RuntimeAction::Start)),
        of(900, Runtime { exit_code: Some(0), ..runtime(RuntimeAction::Exit) }),
        of(950, Runtime { exit_code: Some(3), ..runtime(RuntimeAction::Exit) }),
        of(990, Runtime { exit_code: Some(137), signal: Some(9), ..runtime(RuntimeAction::Exit) }),
        of(995, runtime(RuntimeAction::Delete)),
    ]
}

fn stdio_events() -> Vec<Event> {
    let of = |ms, what| event(ms, cri_pod().container, What::Stdio(what));
    let gone = Stdio {
        delivered_bytes: Some(1_192_755),
        pipe_bytes: Some(65_536),
        waiter: None,
        broken_pipe_writes: 12,
        reader: None,
        outcome: StdioOutcome::ReaderGone,
        unflushed: None,
        ended: false,
        ..stdio(2)
    };
    let path = "/var/log/pods/shop_web_uid/nginx/0.log".to_owned();
    let blocked = Stdio {
        pipe_bytes: Some(65_536),
        delivered_bytes: None,
        blocked_ns: Some(2_500_000_000),
        log_file: Some(LogFile { path, bytes: Some(4_096), grew: Some(false) }),
        outcome: StdioOutcome::Blocked,
        unflushed: None,
        ended: false,
        ..stdio(1)
    };
    let redirected = Stdio {
        target_now: Some(StdioTarget::Null),
        written_bytes: Some(0),
        delivered_bytes: Some(0),
        outcome: StdioOutcome::Redirected,
        ..stdio(1)
    };
    let unknown = Stdio {
        written_bytes: None,
        delivered_bytes: None,
        blocked_ns: None,
        outcome: StdioOutcome::Unknown,
        ..stdio(1)
    };
    let silent = |fd| Stdio {
        written_bytes: Some(0),
        delivered_bytes: Some(0),
        outcome: StdioOutcome::Silent,
        ..stdio(fd)
    };
    let mut events = vec![
        of(1_000, stdio(1)),
        of(1_100, gone),
        of(1_200, blocked),
        of(1_300, redirected),
        of(1_400, unknown),
        of(1_500, Stdio { outcome: StdioOutcome::HeldUntilExit, ..stdio(1) }),
        of(1_600, Stdio { outcome: StdioOutcome::Undelivered, delivered_bytes: Some(0), ..stdio(2) }),
        of(1_700, silent(1)),
        of(1_701, silent(2)),
    ];
    events[2].began = Some(at(1_050));
    events[4].since = Since::Attach;
    events[4].why = Some("a 32-bit process wrote, whose calls are not seen".to_owned());
    events
}

fn memory_events() -> Vec<Event> {
    let of = |ms, container, what| event(ms, container, What::Memory(what));
    let wasm = || youki_wasm().container;
    let none = Memory { signal: None, code: None, address: None, handled: None, ..fault() };
    let trap = Memory {
        kind: FaultKind::WasmTrap,
        address: Some(0x7f12_8001_0000),
        wasm_address: Some(0x1_0000),
        linear_bytes: None,
        linear_max_bytes: None,
        handled: Some(true),
        region: Some(FaultRegion::LinearMemory),
        count: 3,
        ..fault()
    };
    let told = Memory {
        kind: FaultKind::WasmTrap,
        region: None,
        engine_code: Some(0x88),
        seen: Seen::Engine,
        ..none.clone()
    };
    let oom = Memory {
        kind: FaultKind::OomKill,
        scope: Some(OomScope::Memcg),
        rss_bytes: Some(133_169_152),
        limit_bytes: Some(134_217_728),
        region: None,
        ..none.clone()
    };
    let refused = Memory {
        kind: FaultKind::MapFailed,
        errno: Some(12),
        asked_bytes: Some(12_884_901_888),
        rss_bytes: None,
        region: None,
        ..none.clone()
    };
    let limit = Memory { kind: FaultKind::Limit, count: 41, region: None, ..none };
    vec![
        of(2_000, crun_hello().container, fault()),
        of(2_100, wasm(), trap),
        of(2_200, wasm(), told),
        of(2_300, cri_pod().container, oom),
        of(2_400, wasm(), refused),
        of(2_500, cri_pod().container, limit),
    ]
}

fn io_event() -> Event {
    let device = Device { major: 8, minor: 0 };
    let name = "sda".to_owned();
    let slow = Slow { device, name, op: Op::Read, took_ns: 140_000_000, bytes: 4_096, count: 3 };
    Event { container: None, process: None, ..event(2_550, crun_hello().container, What::Io(Io(slow))) }
}

/// Names and reasons that try something.
fn hostile_event() -> Event {
    let mut told = event(2_600, hostile().container, What::Stdio(stdio(1)));
    told.container.as_mut().expect("told of one").instance = Some(Instance { init: 8_002, start: Time(3) });
    told.process = Some(process("\x1b]0;owned\x07", 8_002));
    told.why = Some("because\r\n\x1b[2J\u{202e}of it".to_owned());
    told
}

fn resident() -> Resident {
    Resident {
        rss_bytes: 48 << 20,
        rss_peak_bytes: 64 << 20,
        rss_growth_bytes: -(2 << 20),
        working_set_bytes: Some(40 << 20),
        limit_bytes: Some(128 << 20),
        linear_bytes: None,
        anonymous_bytes: None,
        of_sidecar: false,
    }
}

pub fn stats() -> Vec<Stats> {
    let of = |probe, key: &[(&'static str, &str)], outcomes: &[(&'static str, u64)]| Stats {
        probe,
        key: key.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        count: outcomes.iter().map(|(_, count)| count).sum(),
        failed: 0,
        outcomes: outcomes.iter().copied().collect::<BTreeMap<_, _>>(),
        p50_ns: None,
        p90_ns: None,
        p99_ns: None,
        max_ns: None,
        worst: Vec::new(),
        resident: None,
        cpu: None,
        node: None,
        from: at(0),
        to: at(5_000),
    };
    let image = [("image", "registry.example/shop/app:1.2"), ("t0", "shim")];
    let stream = [("container", "0123456789abcdef"), ("name", "nginx"), ("pod", "web-0")];
    vec![
        Stats {
            failed: 1,
            p50_ns: Some(120_000_000),
            p90_ns: Some(310_000_000),
            p99_ns: Some(310_000_000),
            max_ns: Some(310_000_000),
            worst: vec!["0123".to_owned(), "4567".to_owned()],
            ..of("coldstart", &image, &[("failed", 1), ("listen", 3)])
        },
        of("memory", &[("container", "other")], &[("oom-kill", 2)]),
        Stats { resident: Some(resident()), ..of("memory", &stream, &[]) },
        Stats {
            failed: 2,
            p50_ns: Some(1_234_567),
            p90_ns: Some(2_000_000),
            p99_ns: Some(2_000_000),
            max_ns: Some(2_000_000),
            worst: vec!["db.shop.svc.cluster.local".to_owned()],
            ..of(
                "dns",
                &[&stream[..], &[("server", "10.96.0.10:53"), ("zone", "cluster.local")]].concat(),
                &[("answered", 90), ("timeout", 2)],
            )
        },
        Stats { cpu: Some(cpu::THROTTLED), failed: 1, ..of("cpu", &stream, &[("throttled", 1)]) },
        Stats { node: Some(Box::new(cpu::node())), ..of("node", &[], &[]) },
        Stats { failed: 1, ..of("webhook", &webhooks::KEY, &[("answered", 1), ("timeout", 1)]) },
        Stats { failed: 1, ..of("stdio", &stream, &[("delivered", 4), ("reader-gone", 1)]) },
    ]
}

/// Every event, the counts, then what a run ends with.
pub fn outputs() -> Vec<Output> {
    let events = [
        runtime_events(),
        stdio_events(),
        memory_events(),
        webhooks::webhook_events(),
        vec![hostile_event(), io_event()],
        lookups::lookups(),
        connections::connections(),
        cpu::events(),
    ]
    .concat();
    let mut summary = crate::starts::summary(2, 1);
    summary.events =
        Some(BTreeMap::from([("dns", 6), ("memory", 6), ("runtime", 5), ("stdio", 10), ("webhook", 4)]));
    summary.command_exit = None;
    let events = events.into_iter().map(|event| Output::Event(Box::new(event)));
    let ending = [Output::Health(crate::starts::health()), Output::Summary(summary)];
    events.chain(stats().into_iter().map(Output::Stats)).chain(ending).collect()
}
