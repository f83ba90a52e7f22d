use observer::{input::*, output::*, pipeline::*, source::live::*, time::*};
use observer_ebpf::Family;
fn now() -> Time {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Time(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
}
fn bundle(path: &str) -> Result<Bundle, LookupError> {
    let text = std::fs::read_to_string(format!("{path}/config.json"))
        .map_err(|e| LookupError { what: path.into(), why: e.to_string() })?;
    let v: serde_json::Value = serde_json::from_str(&text).unwrap();
    Ok(Bundle {
        path: path.into(),
        entrypoint: v["process"]["args"][0].as_str().map(str::to_owned),
        annotations: v["annotations"]
            .as_object()
            .map(|o| o.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect())
            .unwrap_or_default(),
        ..Default::default()
    })
}
fn main() {
    let names: Vec<_> = observer::probes::names::watched_names().iter().map(|n| (n.name, n.role)).collect();
    let begin = now();
    let mut live = Live::load(&Options {
        families: Family::ALL,
        btf: "/sys/kernel/btf/vmlinux".as_ref(),
        tracefs: Tracefs::find_or_mount(),
        names: &names,
    })
    .unwrap();
    eprintln!("attached in {} us", now().since(begin) / 1000);
    let mut p = Pipeline::new(Settings { ready_wait_ns: 2_000_000_000, ..Default::default() });
    let mut child = std::process::Command::new(std::env::args().nth(1).unwrap())
        .args(std::env::args().skip(2))
        .spawn()
        .unwrap();
    let mut wants: Vec<Want> = vec![];
    let mut facts = std::collections::BTreeMap::new();
    let mut ended = None;
    let verbose = std::env::var("V").is_ok();
    loop {
        std::thread::sleep(std::time::Duration::from_millis(3));
        let mut inputs = vec![];
        let mut fresh = |r: &Record| {
            if let observer::probes::Event::Process(observer::probes::process::Event::Executed(e)) = &r.event
            {
                if let observer::probes::invocation::Invocation::Runtime { bundle: b, .. } = &e.invocation {
                    let path = b.clone().unwrap_or_else(|| {
                        std::fs::read_link(format!("/proc/{}/cwd", r.tgid))
                            .map(|p| p.display().to_string())
                            .unwrap_or_default()
                    });
                    facts.entry(r.tgid).or_insert_with(|| bundle(&path));
                }
            }
        };
        live.poll(now(), &mut fresh, |i| inputs.push(i));
        let n = now();
        for w in wants.drain(..) {
            match w {
                Want::Bundle { tgid, .. } => inputs.push(Input::Fact(Fact {
                    time: n,
                    what: FactKind::Bundle {
                        tgid,
                        result: facts
                            .remove(&tgid)
                            .unwrap_or(Err(LookupError { what: "x".into(), why: "y".into() })),
                    },
                })),
                Want::Unwatch { tgid } => live.unwatch(tgid),
                Want::Quiet { init } => live.quiet(init),
                _ => {}
            }
        }
        if ended.is_none() && child.try_wait().unwrap().is_some() {
            ended = Some(n);
        }
        let stop = ended.is_some_and(|e| {
            n.since(e) > 100_000_000 && (p.open_starts() == 0 || n.since(e) > 4_000_000_000)
        });
        if stop {
            inputs.push(Input::Fact(Fact {
                time: n,
                what: FactKind::End(End { why: EndReason::CommandEnded, command_exit: None }),
            }));
        }
        for i in inputs {
            if verbose {
                if let Input::Record(r) = &i {
                    eprintln!("{} {:?}", r.tgid, r.event);
                }
            }
            p.step(&i, |o| match o { Output::Want(w) => wants.push(w), Output::ColdStart(c) => {
            println!("{} {:?} total {:.3} ready {:?} mile {:?} cold {:?} faults {:?} read {:?} lost {} fail {:?}\n  {:?}", c.container.id, c.t0, c.total_ns as f64/1e6, c.ready, c.milestones, c.cold, c.major_faults, c.read_bytes, c.lost, c.failure, c.container);
            for ph in &c.phases { println!("   {:>9.3} {:>9.3} {:<16} {:<4} {:<16} {}", ph.start_ns as f64/1e6, ph.duration_ns as f64/1e6, ph.name.name(), ph.layer.name(), ph.process.as_ref().map(|p| p.comm.as_str()).unwrap_or("?"), ph.detail.as_deref().unwrap_or("")); }
            println!("   unattributed {:.3}", c.unattributed_ns as f64/1e6); }, Output::Health(_) => {}, o => println!("{o:?}") });
        }
        if stop {
            break;
        }
    }
    live.detach();
}
