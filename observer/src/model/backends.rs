//! Look-ups and connections on their way to an address which may be that of a service: the node is asked where it sent
//! those that failed, and for a while also those that are answered from there. They are told once it has answered, or has
//! not in time. Where not every answer could be asked about, no backend is named: one that seems silent may have answered.
//!
//! Of a connection that is refused the node knows nothing any more: it forgets it with the reset (Linux 6.18, and long
//! before). Where it went is known by the packet for which there was no socket, if that was on this node.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use super::{Made, Model, net::Way};
use crate::{
    input::Route,
    output::{Backend, DnsOutcome, Drop, Event, NetAction, NetOutcome, Want, What},
    probes::packet::Transport,
    time::Time,
};

/// How long the node may take to answer: its table is read now and then, for all that is asked meanwhile.
const PATIENCE_NS: u64 = 3_000_000_000;
/// What waits for its answers. Others are told without.
const MAX_WAITING: usize = 512;
/// Of those, so many are for what was answered alone: where much fails, a server that answers is not to be taken for one
/// that is silent.
const FOR_ANSWERS: usize = 128;

/// How long after a failure behind a service address answers from there are of interest, and for how long one that could
/// not be asked about counts: as long as rules look back.
const SUSPECTED_NS: u64 = 300_000_000_000;
/// Addresses of services that are known to have failed.
const MAX_SUSPECTED: usize = 64;

/// What is asked of whom: names by the name of that probe, or connections. A server may give the one, and not the other.
type Service = (&'static str, SocketAddr);

/// See the module.
#[derive(Debug, Default)]
pub struct Backends {
    waiting: VecDeque<Waiting>,
    /// When an answer could last not be asked about for want of room.
    left_out: Option<Time>,
    suspected: BTreeMap<Service, Suspected>,
}

/// A service behind which something failed.
#[derive(Debug)]
struct Suspected {
    failed: Time,
    /// When somebody behind it answered, and who is not known.
    answered_unseen: Option<Time>,
}

#[derive(Debug)]
struct Waiting {
    route: Route,
    came: Came,
    asked: Time,
    began: Time,
    event: Box<Event>,
    /// Where it was sent, as far as that is known.
    remote: Option<SocketAddr>,
    /// Nothing more will be known.
    is_due: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Answered,
    Failed,
    /// By a reset, with which the node has forgotten it.
    Reset,
}

impl Model {
    /// Tells what is over, at once if there is nothing to ask.
    pub(super) fn tell_with_backend(
        &mut self,
        mut event: Box<Event>,
        route: Option<Route>,
        (began, asked): (Time, Time),
        make: &mut impl FnMut(Made),
    ) {
        let came = parts(&mut event.what).map(|(came, ..)| came);
        let route = route.filter(|route| !route.to.ip().is_loopback() && event.container.is_some());
        let Some((came, route)) = came.zip(route) else { return self.hand_over(event, make) };
        let mut waiting = Waiting { route, came, asked, began, event, remote: None, is_due: true };
        waiting.remote = self.bound_for(&waiting);
        if waiting.remote.is_none() && self.backends.is_asked(&waiting) {
            waiting.is_due = false;
            make(Made::Want(Want::Backend { route }));
        }
        if waiting.is_due && !self.backends.keeps(&waiting) {
            return self.tell_asked(waiting, make);
        }
        self.backends.waiting.push_back(waiting);
    }

    /// The node has answered, or cannot.
    pub(super) fn backend_found(
        &mut self,
        route: &Route,
        backend: Option<SocketAddr>,
        make: &mut impl FnMut(Made),
    ) {
        let is_it = |waiting: &&mut Waiting| !waiting.is_due && waiting.route == *route;
        if let Some(waiting) = self.backends.waiting.iter_mut().find(is_it) {
            (waiting.remote, waiting.is_due) = (backend, true);
        }
        while let Some(waiting) = self.backends.waiting.pop_front_if(|waiting| waiting.is_due) {
            self.tell_asked(waiting, make);
        }
    }

    /// Tells those that have waited for long enough; `all`: no answer will come.
    pub(super) fn tell_without_backend(&mut self, time: Time, all: bool, make: &mut impl FnMut(Made)) {
        let is_over =
            |waiting: &mut Waiting| all || waiting.is_due || time.since(waiting.asked) >= PATIENCE_NS;
        while let Some(waiting) = self.backends.waiting.pop_front_if(is_over) {
            self.tell_asked(waiting, make);
        }
    }

    /// Where a packet of it was dropped. Others may come from the port of a datagram's socket, too.
    fn bound_for(&self, waiting: &Waiting) -> Option<SocketAddr> {
        let is_told_by_drops = waiting.came != Came::Answered && waiting.route.transport == Transport::Tcp;
        is_told_by_drops.then(|| self.drops.bound_for(waiting.began, &waiting.route)).flatten()
    }

    fn tell_asked(&mut self, mut waiting: Waiting, make: &mut impl FnMut(Made)) {
        match waiting.remote {
            Some(remote) => self.name(&mut waiting, remote),
            None => self.backends.unseen(&waiting),
        }
        self.hand_over(waiting.event, make);
    }

    fn name(&mut self, waiting: &mut Waiting, remote: SocketAddr) {
        let is_named = waiting.came == Came::Answered || self.backends.suspect(waiting);
        let Some((came, drop, backend)) = parts(&mut waiting.event.what) else { return };
        if came != Came::Answered {
            let way = Way { remote, port: waiting.route.from.port(), netns: None };
            *drop = drop.take().or_else(|| self.drops.since(waiting.began, &way));
        }
        *backend = is_named.then_some(Backend::at(remote));
    }

    fn hand_over(&self, mut event: Box<Event>, make: &mut impl FnMut(Made)) {
        if let Some((.., Some(backend))) = parts(&mut event.what) {
            let pod = self.kube.pod_at(backend.address.ip().to_canonical());
            backend.pod = pod.map(|pod| format!("{}/{}", pod.namespace, pod.name));
        }
        make(Made::Event(event));
    }
}

impl Backends {
    /// Whether it is worth the node's time.
    fn is_asked(&mut self, waiting: &Waiting) -> bool {
        let (service, time) = (waiting.service(), waiting.asked);
        let suspected = self.suspected.get(&service).filter(|it| time.since(it.failed) < SUSPECTED_NS);
        match waiting.came {
            Came::Reset => false,
            Came::Failed => {
                let is_blind = suspected.is_some_and(|it| it.is_blind(time));
                !is_blind && self.has_room_for(waiting.came)
            }
            Came::Answered => {
                // What failed may be found to have been behind it only after this.
                let is_wanted = suspected.is_some() || self.awaits(service);
                let has_room = self.has_room_for(waiting.came);
                if is_wanted && !has_room {
                    self.left_out = Some(time);
                }
                is_wanted && has_room
            }
        }
    }

    /// Whether it is told only after what waits: what was answered before a failure is not to be taken for later.
    fn keeps(&self, waiting: &Waiting) -> bool {
        self.has_room_for(waiting.came) && self.awaits(waiting.service())
    }

    fn has_room_for(&self, came: Came) -> bool {
        let spared = if came == Came::Answered { 0 } else { FOR_ANSWERS };
        self.waiting.len() < MAX_WAITING - spared
    }

    fn awaits(&self, service: Service) -> bool {
        self.waiting.iter().any(|waiting| waiting.service() == service)
    }

    /// It is not known who answered, if somebody did.
    fn unseen(&mut self, waiting: &Waiting) {
        let suspected = self.suspected.get_mut(&waiting.service());
        if let Some(suspected) = suspected.filter(|_| waiting.came == Came::Answered) {
            suspected.answered_unseen = Some(waiting.asked);
        }
    }

    /// Says whether answers from there can be told from silence from now on.
    fn suspect(&mut self, waiting: &Waiting) -> bool {
        let (service, time) = (waiting.service(), waiting.asked);
        self.suspected.retain(|_, it| time.since(it.failed) < SUSPECTED_NS);
        if self.suspected.len() >= MAX_SUSPECTED && !self.suspected.contains_key(&service) {
            return false;
        }
        let new = Suspected { failed: time, answered_unseen: self.left_out };
        let suspected = self.suspected.entry(service).or_insert(new);
        suspected.failed = time;
        !suspected.is_blind(time)
    }
}

impl Waiting {
    fn service(&self) -> Service {
        (self.event.what.probe(), self.route.to)
    }
}

impl Suspected {
    fn is_blind(&self, time: Time) -> bool {
        self.answered_unseen.is_some_and(|at| time.since(at) < SUSPECTED_NS)
    }
}

/// What became of it, and what is filled in; `None`: it says nothing of who was asked.
fn parts(what: &mut What) -> Option<(Came, &mut Option<Drop>, &mut Option<Backend>)> {
    match what {
        What::Dns(dns) => {
            use DnsOutcome::{Error, Refused, Servfail, Timeout};
            let has_failed = matches!(dns.outcome, Timeout | Servfail | Refused | Error);
            let came = if has_failed { Came::Failed } else { Came::Answered };
            Some((came, &mut dns.drop, &mut dns.decided.backend))
        }
        What::Net(net) if net.action == NetAction::Connect => {
            let came = match net.outcome {
                NetOutcome::Connected => Came::Answered,
                NetOutcome::Timeout | NetOutcome::Unreachable => Came::Failed,
                NetOutcome::Refused => Came::Reset,
                _ => return None,
            };
            Some((came, &mut net.drop, &mut net.backend))
        }
        _ => None,
    }
}
