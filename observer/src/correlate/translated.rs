//! Connections that the node translates, as it does with those to a service: who opened one knows another server than who
//! accepted it. Where a span names the client of a connection that was seen, and another server, the node is asked, and what
//! its table of connections says is one connection is one. Owns what is asked, and when; refuses to guess without an answer.
//! Not asked is of what a span names just as it was seen: where a client has one port to a service and to its server at once,
//! and that to the service was first, the server's span of the one is taken for that of the other.

use super::{
    Correlator, Waiting,
    key::{Claim, Ends, Key},
};
use crate::{
    input::{LookupError, Route, Translated},
    output::Want,
    probes::packet::Transport,
    time::Time,
};

/// How often it is looked whether there is something to ask: the node's table may be long, and keeps a connection that was
/// reset for ten seconds.
const EVERY_NS: u64 = 1_000_000_000;
/// Connections that are asked about at once.
const MAX_ASKED: usize = 1024;

/// What is known of the connection that evidence is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Known {
    #[default]
    Nothing,
    Asked,
    /// It is tied to what is one with it, or there is nothing.
    All,
}

#[derive(Debug, Default)]
pub(super) struct Asking {
    looked: Option<Time>,
    /// An answer is to come.
    waits: bool,
    wanted: Vec<Route>,
}

impl Correlator {
    /// What is to be asked of the node, once.
    pub fn wanted(&mut self) -> Option<Want> {
        let routes = std::mem::take(&mut self.asking.wanted);
        (!routes.is_empty()).then_some(Want::Translated { routes })
    }

    /// The node has answered, or cannot: then what is known of these connections is what was seen.
    pub fn translated(&mut self, result: &Result<Vec<Translated>, LookupError>) {
        self.asking.waits = false;
        let translated = result.as_deref().unwrap_or_default();
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.known == Known::Asked) {
            waiting.known = Known::All;
            let Some(seen) = waiting.ends() else { continue };
            let mut others = translated.iter().filter_map(|one| other(one, seen));
            // What could be either of two is none.
            if let (Some(other), None) = (others.next(), others.next()) {
                waiting.claims.insert(1, Claim::of_ends(other));
            }
        }
    }

    pub(super) fn ask(&mut self, now: Time) {
        let is_early = self.asking.looked.is_some_and(|looked| now.since(looked) < EVERY_NS);
        if is_early || self.asking.waits {
            return;
        }
        self.asking.looked = Some(now);
        let is_asked = |waiting: &Waiting| waiting.known == Known::Nothing && self.is_in_question(waiting);
        let asked: Vec<usize> =
            (0..self.waiting.len()).filter(|at| is_asked(&self.waiting[*at])).take(MAX_ASKED).collect();
        for at in asked {
            self.waiting[at].known = Known::Asked;
            self.asking.wanted.extend(self.waiting[at].ends().map(route));
        }
        self.asking.waits = !self.asking.wanted.is_empty();
    }

    /// Whether a span is of the same client meanwhile, with another server, and none with this one.
    pub(super) fn is_in_question(&self, waiting: &Waiting) -> bool {
        let Some((client, server)) = waiting.ends().filter(|_| waiting.known != Known::All) else {
            return false;
        };
        let is_there = |key| self.in_time(waiting, &key).next().is_some();
        is_there(Key::From(client)) && !is_there(Key::Ends(client, server))
    }
}

impl Waiting {
    /// Of the connection that it is of, as they were seen.
    fn ends(&self) -> Option<Ends> {
        self.claims.iter().find_map(|claim| match claim.key {
            Key::Ends(client, server) => Some((client, server)),
            _ => None,
        })
    }
}

fn route((from, to): Ends) -> Route {
    Route { transport: Transport::Tcp, from, to }
}

/// The ends of a connection as who is at the other one sees them, if it is this one.
fn other(one: &Translated, seen: Ends) -> Option<Ends> {
    let seen = route(seen);
    let other = match () {
        () if one.sent == seen => one.arrives,
        () if one.arrives == seen => one.sent,
        () => return None,
    };
    Some((other.from, other.to))
}

#[cfg(test)]
mod tests;
