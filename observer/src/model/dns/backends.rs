//! Look-ups that failed on their way to an address which may be that of a service: the node is asked where it sends them,
//! and for a while also where those go that are answered from there. They are told once it has answered, or has not in
//! time. Where not every answer can be asked about, no backend is named: one that seems silent may have answered.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use super::super::{Made, Model, net::Way};
use crate::{
    input::Route,
    output::{DnsOutcome, Event, Want, What},
    time::Time,
};

/// How long the node may take to answer.
const PATIENCE_NS: u64 = 1_000_000_000;
/// How often it is asked, after as many times as this at once: its table may be long. Others are told without.
const EVERY_NS: u64 = 1_000_000_000;
const AT_ONCE: u64 = 16;
/// Of those, so many are for answers alone: where much fails, a server that answers is not to be taken for one that is
/// silent.
const FOR_ANSWERS: u64 = 4;

/// How long after a failure behind a service address answers from there are of interest, and for how long one that could
/// not be asked about counts: as long as rules look back.
const SUSPECTED_NS: u64 = 300_000_000_000;
/// Addresses of services that are known to have failed.
const MAX_SUSPECTED: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub struct Backends {
    waiting: VecDeque<Waiting>,
    /// Until when it has been asked as often as it may be.
    spent: Time,
    /// By the addresses of services.
    suspected: BTreeMap<SocketAddr, Suspected>,
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
    asked: Time,
    began: Time,
    event: Box<Event>,
}

impl Model {
    /// Tells a look-up that is over, at once if there is nothing to ask.
    pub(super) fn tell_with_backend(
        &mut self,
        event: Box<Event>,
        route: Option<Route>,
        (began, time): (Time, Time),
        make: &mut impl FnMut(Made),
    ) {
        let route = route.filter(|route| !route.to.ip().is_loopback() && event.container.is_some());
        match route {
            Some(route) if self.backends.is_asked(&event, &route, time) => {
                self.backends.waiting.push_back(Waiting { route, asked: time, began, event });
                make(Made::Want(Want::Backend { route }));
            }
            _ => make(Made::Event(event)),
        }
    }

    /// The node has answered, or cannot.
    pub(in super::super) fn backend_found(
        &mut self,
        route: &Route,
        backend: Option<SocketAddr>,
        make: &mut impl FnMut(Made),
    ) {
        let at = self.backends.waiting.iter().position(|waiting| waiting.route == *route);
        let Some(mut waiting) = at.and_then(|at| self.backends.waiting.remove(at)) else { return };
        let Some(remote) = backend else { return make(Made::Event(self.backends.unseen(waiting))) };
        if let What::Dns(dns) = &mut waiting.event.what {
            let failed = has_failed(dns.outcome);
            if failed {
                let way = Way { remote, port: route.from.port(), netns: None };
                dns.drop = dns.drop.take().or_else(|| self.drops.since(waiting.began, &way));
            }
            if !failed || self.backends.suspect(route.to, waiting.asked) {
                dns.decided.backend = Some(remote);
            }
        }
        make(Made::Event(waiting.event));
    }

    /// Tells those that have waited for long enough; `all`: no answer will come.
    pub(super) fn tell_without_backend(&mut self, time: Time, all: bool, make: &mut impl FnMut(Made)) {
        while let Some(waiting) =
            self.backends.waiting.pop_front_if(|waiting| all || time.since(waiting.asked) >= PATIENCE_NS)
        {
            make(Made::Event(self.backends.unseen(waiting)));
        }
    }
}

impl Backends {
    /// Whether it is worth the node's time.
    fn is_asked(&mut self, event: &Event, route: &Route, time: Time) -> bool {
        let What::Dns(dns) = &event.what else { return false };
        let suspected = self.suspected.get(&route.to).filter(|it| time.since(it.failed) < SUSPECTED_NS);
        if has_failed(dns.outcome) {
            return !suspected.is_some_and(|it| it.is_blind(time))
                && self.may_ask(time, AT_ONCE - FOR_ANSWERS);
        }
        let may = suspected.is_some() && self.may_ask(time, AT_ONCE);
        if !may {
            self.answered_unseen(route.to, time);
        }
        may
    }

    /// One of which it is not known who answered, or did not.
    fn unseen(&mut self, waiting: Waiting) -> Box<Event> {
        if matches!(&waiting.event.what, What::Dns(dns) if !has_failed(dns.outcome)) {
            self.answered_unseen(waiting.route.to, waiting.asked);
        }
        waiting.event
    }

    fn answered_unseen(&mut self, service: SocketAddr, time: Time) {
        if let Some(suspected) = self.suspected.get_mut(&service) {
            suspected.answered_unseen = Some(time);
        }
    }

    fn may_ask(&mut self, time: Time, at_once: u64) -> bool {
        let spent = self.spent.max(time);
        let may = spent.since(time) < at_once * EVERY_NS;
        if may {
            self.spent = spent.plus(EVERY_NS);
        }
        may
    }

    /// Says whether answers from there can be told from silence from now on.
    fn suspect(&mut self, service: SocketAddr, time: Time) -> bool {
        self.suspected.retain(|_, it| time.since(it.failed) < SUSPECTED_NS);
        if self.suspected.len() >= MAX_SUSPECTED && !self.suspected.contains_key(&service) {
            return false;
        }
        let new = Suspected { failed: time, answered_unseen: None };
        let suspected = self.suspected.entry(service).or_insert(new);
        suspected.failed = time;
        !suspected.is_blind(time)
    }
}

impl Suspected {
    fn is_blind(&self, time: Time) -> bool {
        self.answered_unseen.is_some_and(|at| time.since(at) < SUSPECTED_NS)
    }
}

fn has_failed(outcome: DnsOutcome) -> bool {
    use DnsOutcome::{Error, Refused, Servfail, Timeout};
    matches!(outcome, Timeout | Servfail | Refused | Error)
}
