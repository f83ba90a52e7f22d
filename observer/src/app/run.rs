//! What every live command begins with: look at the host, open what is written to, attach.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use observer_ebpf::Family;

use super::{
    edge::{Edge, now},
    sinks::{Observer, Sinks},
};
use crate::{
    cli,
    filter::Filter,
    health::ProbePlan,
    pipeline::{Pipeline, Settings},
    probes::names,
    record::{Header, HookTaken, Limits, RecordingWriter},
    sink::Identity,
    source::{
        facts::{HostRoot, cri, host::HostFacts},
        live::{Live, Options, Tracefs},
    },
};

pub struct Watching {
    pub edge: Edge,
    pub plans: Vec<ProbePlan>,
}

/// Attaches for `observer coldstart`.
pub fn attach(args: &cli::Coldstart, families: &[Family]) -> Result<Watching> {
    let host_root = host_root(&args.watch.host);
    let host = HostFacts::read(&host_root);
    let observer = observer(&host);
    let sinks = Sinks::open(&args.output, &args.otlp, &observer)?;
    let settings = settings(args);
    let began = now();
    let names: Vec<_> = names::watched_names().iter().map(|name| (name.name, name.role)).collect();
    let options = Options {
        families,
        btf: &args.watch.host.btf,
        tracefs: Tracefs::find_or_mount(&host_root.path("/")),
        names: &names,
    };
    let live = Live::load(&options).context(hint(&host))?;
    let plans = live.plans().to_vec();
    eprintln!(
        "observer: {} probe families attached in {} ms; Ctrl-C ends",
        plans.iter().filter(|plan| plan.hooks.iter().any(|hook| hook.rung.is_some())).count(),
        now().since(began) / 1_000_000,
    );
    let recorder = match &args.watch.record {
        Some(path) => {
            let header = header(args, &settings, &host, &observer, &live)?;
            let limits = Limits { total: args.watch.record_limit, ..Limits::default() };
            Some(RecordingWriter::create(path, header, now(), limits)?)
        }
        None => None,
    };
    let sockets = cri::sockets(&host_root, args.watch.host.cri.as_deref());
    let edge = Edge::new(live, Pipeline::new(settings), sinks, recorder, host_root, &sockets);
    Ok(Watching { edge, plans })
}

pub fn host_root(args: &cli::Host) -> HostRoot {
    args.host_root.as_ref().map_or_else(HostRoot::find, HostRoot::at)
}

pub fn observer(host: &HostFacts) -> Observer {
    let identity = Identity { node: host.node_name.clone(), host: host.hostname.clone() };
    Observer { identity, host_id: host.host_id.clone() }
}

fn settings(args: &cli::Coldstart) -> Settings {
    Settings {
        ready_wait_ns: args.watch.ready_wait.as_nanos() as u64,
        filter: filter(&args.filter),
        ..Settings::default()
    }
}

pub fn filter(args: &cli::FilterArgs) -> Filter {
    Filter {
        namespaces: args.namespace.clone(),
        pods: args.pod.clone(),
        containers: args.container.clone(),
        labels: args.selector.clone(),
        pids: args.pid.clone(),
    }
}

/// What to do about a kernel that lets nothing be loaded.
fn hint(host: &HostFacts) -> String {
    let root = rustix::process::geteuid().is_root();
    let who = if root { "" } else { "; run it as root" };
    format!(
        "cannot observe this node (Linux {}){who}; `observer doctor` says what is missing",
        host.kernel_release
    )
}

fn header(
    args: &cli::Coldstart,
    settings: &Settings,
    host: &HostFacts,
    observer: &Observer,
    live: &Live,
) -> Result<Header> {
    let hooks = live.plans().iter().flat_map(|plan| {
        plan.hooks.iter().filter_map(|hook| {
            Some(HookTaken {
                family: plan.family.name().to_owned(),
                hook: hook.name.to_owned(),
                rung: hook.rung?.to_owned(),
            })
        })
    });
    let settings = serde_json::to_string(settings).context("cannot encode the settings")?;
    Ok(Header {
        observer_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: typed(),
        options: [("settings".to_owned(), settings)].into(),
        filters: vec![filter(&args.filter).describe()],
        language: "en".to_owned(),
        node: observer.identity.node.clone(),
        host: observer.identity.host.clone(),
        kernel_release: host.kernel_release.clone(),
        arch: std::env::consts::ARCH.to_owned(),
        page_size: rustix::param::page_size() as u64,
        cgroup_mode: host.cgroup_mode.name().to_owned(),
        hooks: hooks.collect(),
        offsets: live.offsets(),
        ..Header::default()
    })
}

/// A descriptor of the ring of its own: waiting for it must not borrow the programs.
pub fn ring_fd(live: &Live) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(live.ring_fd(), 3).context("cannot wait for the kernel's records")
}

/// The command line without CMD, whose words are not ours to keep.
fn typed() -> String {
    let words = std::env::args_os().skip(1).take_while(|word| word != "--");
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
