//! What every command that watches begins with: look at the host, open what is written to, attach.

use std::{cell::RefCell, ffi::OsString, os::fd::OwnedFd, path::Path};

use anyhow::{Context, Result, bail};
use observer_ebpf::Family;

use super::{
    edge::{Edge, now},
    kube::Api,
    reload::Reload,
    replay::judged,
    sinks::{Observer, Outlets, Sinks},
    spans::Spans,
    talk,
    webhooks::Webhooks,
};
use crate::{
    cli,
    filter::Filter,
    health::ProbePlan,
    pipeline::{Relation, Settings},
    probes::{self, Purpose, names},
    record::{Header, HookTaken, Limits, RecordingWriter},
    rules::keywords,
    sink::Identity,
    source::{
        facts::{HostRoot, cri, host::HostFacts},
        live::{Live, Options, Tracefs},
    },
    time::Time,
};

/// What a command watches, and how it tells of it.
pub struct Plan<'a> {
    /// Its name, for the recording.
    pub command: &'static str,
    pub purpose: Purpose,
    pub watch: &'a cli::Watch,
    pub listen: &'a cli::Listen,
    pub settings: Settings,
    pub outlets: Outlets<'a>,
    /// Whether what is written to standard streams is looked at for keywords.
    pub text: bool,
    /// What is run meanwhile, if anything.
    pub cmd: &'a [OsString],
    /// Whether a line on the terminal says how it goes.
    pub status_line: bool,
    /// Whether what is usual is learned of it.
    pub learns: bool,
    /// Whether what was told of each container is remembered for who asks.
    pub remembers: bool,
    /// Where questions are answered meanwhile.
    pub answers_at: Option<&'a Path>,
    /// Reads options again when it is told to.
    pub reload: Option<RefCell<Reload>>,
    /// The Kubernetes API, where it may be asked.
    pub kube: Option<&'a cli::Kubernetes>,
    /// Proved findings are told there as Events.
    pub k8s_events: bool,
}

pub struct Watching {
    pub edge: Edge,
    pub plans: Vec<ProbePlan>,
    /// The families that were asked for, by name or by the command.
    pub asked: Vec<Family>,
    pub observer: Observer,
    /// What a recording of it begins with.
    pub header: Header,
    began: Time,
}

/// Attaches what the plan needs.
pub fn attach(plan: &Plan) -> Result<Watching> {
    let asked = asked_by(plan)?;
    let host_root = host_root(&plan.watch.host)?;
    look_for_cri(&plan.watch.host);
    let host = HostFacts::read(&host_root);
    let observer = observer(&host);
    let api = plan.kube.map(|args| Api::find(args, &host_root, &host)).transpose()?.flatten();
    if plan.k8s_events && api.is_none() {
        bail!(
            "--k8s-events needs the Kubernetes API, and no kubeconfig was found: name one with --kubeconfig FILE"
        );
    }
    let sinks = Sinks::open(&plan.outlets, &observer)?;
    let spans = Spans::listen(plan.listen, plan.outlets.otlp)?;
    let began = now();
    let pipeline = judged(plan.settings.clone())?;
    let names: Vec<_> = names::watched_names().iter().map(|name| (name.name, name.role)).collect();
    let webhooks = Webhooks::find(pipeline.webhook_places());
    let idle: &[_] = if plan.settings.webhooks.is_empty() && api.is_none() {
        &[(Family::Webhook, "no webhook is named: --webhook HOST:PORT")]
    } else {
        &[]
    };
    let options = Options {
        families: &asked,
        btf: &plan.watch.host.btf,
        tracefs: Tracefs::find_or_mount(&host_root.path("/")),
        host: &host_root,
        idle,
        names: &names,
        ring: plan.watch.ring,
        keywords: if asked.contains(&Family::Text) { keywords::shipped()? } else { Vec::new() },
    };
    let mut live = Live::load(&options).context(hint(&host))?;
    live.watch_endpoints(&webhooks.endpoints(), |number| webhooks.has(number))?;
    // Of no concern: neither asked for nor missed.
    let needed = plan.purpose.families();
    let concerns = |plan: &&ProbePlan| needed.contains(&plan.family) || asked.contains(&plan.family);
    let plans: Vec<ProbePlan> = live.plans().iter().filter(concerns).cloned().collect();
    let header = header(plan, &host, &observer, &live)?;
    let recorder = match &plan.watch.record {
        Some(path) => {
            let limits = Limits { total: plan.watch.record_limit, ..Limits::default() };
            Some(RecordingWriter::create(path, header.clone(), now(), limits)?)
        }
        None => None,
    };
    let sockets = cri::sockets(&host_root, plan.watch.host.cri.as_deref());
    let mut edge = Edge::new(live, pipeline, sinks, recorder, host_root, &sockets, webhooks)
        .with_spans(spans)
        .with_history(plan.remembers)
        .asking(api, plan.k8s_events)?;
    edge.keep_within(plan.watch.budget)?;
    Ok(Watching { edge, plans, asked, observer, header, began })
}

impl Watching {
    /// Whoever waits for this may begin: also what was there before is watched by now.
    pub fn say_attached(&self) {
        talk::say(format_args!(
            "{} probe families attached in {} ms; Ctrl-C ends",
            self.plans.iter().filter(|plan| plan.hooks.iter().any(|hook| hook.rung.is_some())).count(),
            now().since(self.began) / 1_000_000,
        ));
    }
}

/// What is named or needed, as far as this run has a use for it.
fn asked_by(plan: &Plan) -> Result<Vec<Family>> {
    let mut asked = families(&plan.watch.probes, plan.purpose)?;
    asked.retain(|family| plan.text || *family != Family::Text);
    // Of no use where there are no spans to tie anything to.
    if plan.purpose == Purpose::Lives && plan.settings.evidence != Relation::Off {
        asked.push(Family::Context);
        asked.extend(probes::needs(Family::Context));
        asked.sort_unstable();
        asked.dedup();
    }
    Ok(asked)
}

/// The named probe families and what they need; all that are needed when none was named.
fn families(names: &[String], purpose: Purpose) -> Result<Vec<Family>> {
    if names.is_empty() {
        return Ok(purpose.families());
    }
    let find = |name: &String| Family::ALL.iter().copied().find(|family| family.name() == name);
    let mut found = Vec::new();
    for name in names {
        let Some(named) = find(name).map(|family| vec![family]).or_else(|| probes::made_of(name)) else {
            let known = Family::ALL.iter().map(|family| family.name()).chain(probes::MADE_OF_OTHERS);
            let known = known.collect::<Vec<_>>().join(", ");
            bail!(super::Usage(format!("no probe is called {name:?}; there are {known}")));
        };
        found.extend(named.iter().flat_map(|family| probes::needs(*family)));
        found.extend(named);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Where the node's file system is.
///
/// # Errors
/// It is not where the user says.
pub fn host_root(args: &cli::Host) -> Result<HostRoot> {
    match &args.host_root {
        None => Ok(HostRoot::find()),
        Some(path) if path.is_dir() => Ok(HostRoot::at(path)),
        Some(path) => bail!(
            "--host-root {}: there is no such folder; name the one that the node's file system is mounted at",
            path.display()
        ),
    }
}

/// What is asked of an engine that is not there stays unknown: who named it is told.
fn look_for_cri(args: &cli::Host) {
    if let Some(path) = args.cri.as_ref().filter(|path| !path.exists()) {
        talk::say(format_args!(
            "--cri {}: nothing is there so far; what only an engine knows is not known",
            path.display()
        ));
    }
}

pub fn observer(host: &HostFacts) -> Observer {
    let identity = Identity { node: host.node_name.clone(), host: host.hostname.clone() };
    Observer { identity, host_id: host.host_id.clone() }
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

fn header(plan: &Plan, host: &HostFacts, observer: &Observer, live: &Live) -> Result<Header> {
    let hooks = live.plans().iter().flat_map(|plan| {
        plan.hooks.iter().filter_map(|hook| {
            Some(HookTaken {
                family: plan.family.name().to_owned(),
                hook: hook.name.to_owned(),
                rung: hook.rung?.to_owned(),
            })
        })
    });
    let settings = serde_json::to_string(&plan.settings).context("cannot encode the settings")?;
    let mut options =
        vec![("command".to_owned(), plan.command.to_owned()), ("settings".to_owned(), settings)];
    options.extend(plan.outlets.show.as_ref().map(|show| ("show".to_owned(), show.to_string())));
    Ok(Header {
        observer_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: typed(),
        options: options.into_iter().collect(),
        filters: vec![plan.settings.filter.describe()],
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
