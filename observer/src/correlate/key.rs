//! What a span can be tied by, and what evidence claims to belong to.

use std::net::{IpAddr, SocketAddr};

use crate::{
    output::{Container, Dns, Event, Finding, Join, Process, Told, Webhook, What},
    span::{Kind, Span, TraceId},
};

/// Of a connection: who opened it, and to whom.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// By what spans are found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A connection, by who opened it and to whom.
    Ends(SocketAddr, SocketAddr),
    /// Who opened a connection of which the span names both ends.
    From(SocketAddr),
    /// To whom a connection was opened.
    Peer(SocketAddr),
    /// The name of whom.
    Name(String),
    Container(String),
    PodUid(String),
    Pod(String, String),
    Pid(u32),
    /// A container that a span is about, not that it comes from.
    About(String),
    /// All spans of a trace.
    Trace(TraceId),
}

/// Evidence belongs to spans with this key.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) join: Join,
    pub(super) key: Key,
    /// It belongs to all of them; otherwise to one.
    pub(super) concerns_all: bool,
    /// Whose spans alone, where the key does not say so.
    owner: Option<Owner>,
}

/// Who was seen.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    Container(Box<Container>),
    /// A process of the node that is in no container.
    Process {
        pid: u32,
        names: Vec<String>,
    },
}

impl Claim {
    pub(super) fn of_ends((client, server): Ends) -> Claim {
        Claim { join: Join::Socket, key: Key::Ends(client, server), concerns_all: false, owner: None }
    }

    pub(super) fn is_met_by(&self, span: &Span) -> bool {
        self.owner.as_ref().is_none_or(|owner| owner.has_sent(span))
    }
}

impl Owner {
    pub(super) fn of(container: Option<&Container>, process: Option<&Process>) -> Option<Owner> {
        match (container, process) {
            (Some(container), _) => Some(Owner::Container(Box::new(container.clone()))),
            (None, Some(process)) => {
                let exe = process.exe.as_deref().and_then(|exe| exe.rsplit('/').next());
                let names = [Some(process.comm.as_str()), exe];
                let names = names.into_iter().flatten().map(ToOwned::to_owned).collect();
                Some(Owner::Process { pid: process.pid, names })
            }
            (None, None) => None,
        }
    }

    pub(super) fn has_sent(&self, span: &Span) -> bool {
        match self {
            Owner::Container(container) => is_of(span, container),
            // A pid means something on one machine, outside of containers; who names its program says more.
            Owner::Process { pid, names } => {
                let is_outside = ["container.id", "k8s.pod.uid", "k8s.pod.name"]
                    .iter()
                    .all(|key| span.resource(key).is_none());
                let program = span.resource("process.executable.name");
                is_outside
                    && pid_of(span) == Some(*pid)
                    && program.is_none_or(|program| names.iter().any(|name| name == last(program)))
            }
        }
    }
}

/// Whether a span says who has sent it, so that its absence from what was seen says something.
pub(super) fn names_its_owner(span: &Span) -> bool {
    ["container.id", "k8s.pod.uid", "k8s.pod.name", "process.pid"]
        .iter()
        .any(|key| span.resource(key).is_some())
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether the span comes from this container, by the best that both say of it.
pub fn is_of(span: &Span, container: &Container) -> bool {
    if let Some(id) = span.resource("container.id") {
        return same_id(id, &container.id);
    }
    let same_name = match (span.resource("k8s.container.name"), &container.name) {
        (Some(theirs), Some(ours)) => theirs == ours,
        // Of a pod with several containers it may be any.
        _ => true,
    };
    if let (Some(theirs), Some(ours)) = (span.resource("k8s.pod.uid"), &container.pod_uid) {
        return theirs == ours && same_name;
    }
    let pod = span.resource("k8s.pod.name").zip(span.resource("k8s.namespace.name"));
    let ours = container.pod.as_deref().zip(container.namespace.as_deref());
    pod.is_some() && pod == ours && same_name
}

/// Ids are written whole, or as their first twelve digits.
fn same_id(theirs: &str, ours: &str) -> bool {
    theirs == ours || (theirs.len() >= 12 && ours.starts_with(theirs))
}

fn pid_of(span: &Span) -> Option<u32> {
    span.resource("process.pid").and_then(|pid| pid.parse().ok())
}

/// An address and a port; some senders write both into the address (Traefik, Envoy).
fn address(ip: Option<&str>, port: Option<&str>) -> Option<SocketAddr> {
    let Some(port) = port else { return ip?.parse().ok().map(canonical).filter(|both| both.port() != 0) };
    let ip: IpAddr = ip?.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(ip.to_canonical(), port.parse().ok().filter(|port| *port != 0)?))
}

/// Whom a client's span asked, as it names it.
fn host_and_port(span: &Span) -> Option<(&str, Option<&str>)> {
    let of = |key: &str| span.attribute(key);
    if let Some(host) = of("server.address").or(of("net.peer.name")) {
        return Some((host, of("server.port").or(of("net.peer.port"))));
    }
    let url = of("url.full").or(of("http.url")).filter(|authority| !authority.is_empty())?;
    match url.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some((host, Some(port))),
        _ => Some((url, None)),
    }
}

fn of_ends((client, server): Ends) -> [Key; 2] {
    [Key::Ends(client, server), Key::From(client)]
}

pub(super) fn keys(span: &Span) -> Vec<Key> {
    let mut keys = Vec::new();
    let of = |key: &str| span.attribute(key);
    let either = |new: (&str, &str), old: (&str, &str)| {
        address(of(new.0), of(new.1)).or(address(of(old.0), of(old.1)))
    };
    let peer =
        either(("network.peer.address", "network.peer.port"), ("net.sock.peer.addr", "net.sock.peer.port"))
            .or(address(of("net.peer.ip"), of("net.peer.port")))
            .or(address(of("peer.address"), None));
    let local = address(of("network.local.address"), of("network.local.port"));
    match span.kind {
        Kind::Server | Kind::Consumer => {
            let client = peer.or(address(of("client.address"), of("client.port")));
            let server = local.or(address(of("server.address"), of("server.port")));
            keys.extend(client.zip(server).into_iter().flat_map(of_ends));
        }
        Kind::Client | Kind::Producer | Kind::Internal | Kind::Unspecified => {
            let host = host_and_port(span);
            let named = host.and_then(|(host, port)| address(Some(host), port));
            if let Some(server) = peer.or(named) {
                keys.push(Key::Peer(server));
                keys.extend(local.into_iter().flat_map(|local| of_ends((local, server))));
            }
            let name = host.map(|(host, _)| host).filter(|host| host.parse::<IpAddr>().is_err());
            let asked = name.or(of("dns.question.name"));
            keys.extend(asked.map(|name| Key::Name(name_of(name))));
        }
    }
    for key in ["task.container.id", "container.id", "sandbox.id"] {
        keys.extend(of(key).map(|id| Key::About(id.to_owned())));
    }
    keys.extend(span.resource("container.id").map(|id| Key::Container(short(id))));
    keys.extend(span.resource("k8s.pod.uid").map(|uid| Key::PodUid(uid.to_owned())));
    let pod = span.resource("k8s.namespace.name").zip(span.resource("k8s.pod.name"));
    keys.extend(pod.map(|(namespace, name)| Key::Pod(namespace.to_owned(), name.to_owned())));
    keys.extend(pid_of(span).map(Key::Pid));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// What all ways to write an id begin with.
fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

fn name_of(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// What it may belong to, best first. Nothing of it is by time.
pub(super) fn claims(told: &Told) -> Vec<Claim> {
    match told {
        Told::Event(event) => of_event(event),
        Told::Start(start) => {
            let claim = Claim {
                join: Join::Container,
                key: Key::About(start.container.id.clone()),
                concerns_all: true,
                owner: None,
            };
            vec![claim]
        }
    }
}

/// Whom a finding is about was all that its container, or its process, did meanwhile; where it names whom was asked,
/// first of all what was asked of that one.
pub(super) fn claims_of_finding(finding: &Finding) -> Vec<Claim> {
    let subject = &finding.subject;
    let Some(owner) = Owner::of(subject.container.as_ref(), subject.process.as_ref()) else {
        return Vec::new();
    };
    let asked = subject.object.as_deref().and_then(|object| object.parse().ok()).map(canonical);
    let asked = asked.map(|server| Claim {
        join: Join::Address,
        key: Key::Peer(server),
        concerns_all: true,
        owner: Some(owner.clone()),
    });
    asked.into_iter().chain(of_owner(&owner)).collect()
}

fn of_event(event: &Event) -> Vec<Claim> {
    let owner = Owner::of(event.container.as_ref(), event.process.as_ref());
    match &event.what {
        What::Net(net) => connection(net.local, net.server, owner),
        What::Webhook(call) => {
            let (client, server) = ends(call);
            connection(client, server, owner)
        }
        What::Dns(dns) => look_up(dns, owner),
        // What happens to a container happens to all that it does meanwhile.
        What::Exec(_)
        | What::Stdio(_)
        | What::Memory(_)
        | What::Runtime(_)
        | What::Cpu(_)
        | What::File(_)
        | What::Io(_) => owner.as_ref().map(of_owner).unwrap_or_default(),
        // A line says nothing of what it was written for.
        What::Text(_) => Vec::new(),
    }
}

fn ends(call: &Webhook) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let end = |address: Option<IpAddr>, port: Option<u16>| Some(SocketAddr::new(address?, port?));
    (end(call.client.address, call.client.port), end(call.server.address, call.server.port))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// One connection is one span's; so is one that was asked for, if only one span asked whom it was asked of.
fn connection(local: Option<SocketAddr>, remote: Option<SocketAddr>, owner: Option<Owner>) -> Vec<Claim> {
    let (local, remote) = (local.map(canonical), remote.map(canonical));
    let mut claims = Vec::new();
    if let Some((local, remote)) = local.zip(remote) {
        claims.push(Claim::of_ends((local, remote)));
    }
    if let Some((remote, owner)) = remote.zip(owner) {
        let key = Key::Peer(remote);
        claims.push(Claim { join: Join::Address, key, concerns_all: false, owner: Some(owner) });
    }
    claims
}

/// Any of the names that were asked for is the one that the span names: the others are steps of a search list.
fn look_up(dns: &Dns, owner: Option<Owner>) -> Vec<Claim> {
    let Some(owner) = owner else { return Vec::new() };
    let mut names: Vec<String> = dns.questions.iter().map(|question| name_of(&question.name)).collect();
    names.push(name_of(&dns.decided.name));
    names.sort_unstable();
    names.dedup();
    let claim = |name| Claim {
        join: Join::Address,
        key: Key::Name(name),
        concerns_all: false,
        owner: Some(owner.clone()),
    };
    names.into_iter().map(claim).collect()
}

fn of_owner(owner: &Owner) -> Vec<Claim> {
    let claim = |join, key| Claim { join, key, concerns_all: true, owner: Some(owner.clone()) };
    match owner {
        Owner::Container(container) => {
            let uid = container.pod_uid.clone().map(Key::PodUid);
            let pod = container.namespace.clone().zip(container.pod.clone());
            let pod = pod.map(|(namespace, name)| Key::Pod(namespace, name));
            let keys = [Some(Key::Container(short(&container.id))), uid, pod];
            keys.into_iter().flatten().map(|key| claim(Join::Container, key)).collect()
        }
        Owner::Process { pid, .. } => vec![claim(Join::Pid, Key::Pid(*pid))],
    }
}
