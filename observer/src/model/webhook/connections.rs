//! The connections that are followed, by the cookies of their sockets; which two sockets are ends of one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use observer_ebpf::wire::webhook::what;

use super::call::{Call, End, Followed};
use crate::{
    input::Record,
    probes::{packet::Owner, webhook::Moved},
    time::Time,
};

/// Connections followed at once, as many as on the kernel side; the oldest is given up, and counted.
const MAX_CONNECTIONS: usize = 16_384;

/// Servers of which it is known how long their tickets are; the lowest address is forgotten.
const MAX_SERVERS: usize = 1_024;

/// How long one that has ended is remembered.
const AFTERLIFE_NS: u64 = 1_000_000_000;

/// Client and server, and whether it is the client's socket.
type Ends = (SocketAddr, SocketAddr, bool);

#[derive(Default)]
pub(super) struct Connections {
    by_cookie: BTreeMap<u64, Followed>,
    by_ends: BTreeMap<Ends, u64>,
    /// Those of which something may come by time alone.
    pending: BTreeSet<u64>,
    /// Those of which one side has closed.
    half_closed: BTreeMap<u64, u32>,
    /// Those that have ended, and when: the other end of one is a moment behind.
    gone: BTreeMap<u64, Time>,
    /// How long the tickets of a server are. They are all of one length.
    tickets: BTreeMap<SocketAddr, u16>,
    pub(super) evicted: u64,
}

impl Connections {
    pub(super) fn get(&self, cookie: u64) -> Option<&Followed> {
        self.by_cookie.get(&cookie)
    }

    pub(super) fn get_mut(&mut self, cookie: u64) -> Option<&mut Followed> {
        self.by_cookie.get_mut(&cookie)
    }

    /// What ended by it, and a process that may own the socket.
    pub(super) fn moved(
        &mut self,
        record: &Record,
        moved: &Moved,
    ) -> (Vec<(Option<Call>, End)>, Option<u32>) {
        let time = record.time;
        let (_, server) = moved.connection.ends();
        if let Some(len) = moved.connection.ticket_len {
            self.tickets.insert(server, len);
            if self.tickets.len() > MAX_SERVERS {
                self.tickets.pop_first();
            }
        }
        let ticket = self.tickets.get(&server).copied();
        let followed = self.by_cookie.entry(moved.cookie).or_insert_with(|| Followed::new(time, moved));
        let before = ends(followed);
        let ended = followed.moved(time, moved, ticket);
        followed.keep(record, moved.what);
        let candidate = followed.candidate(moved.candidate);
        let now = ends(followed);
        if before != now {
            self.by_ends.remove(&before);
        }
        self.by_ends.insert(now, moved.cookie);
        self.note(moved.cookie);
        if self.by_cookie.len() > MAX_CONNECTIONS
            && let Some(oldest) = self.by_cookie.keys().next().copied()
        {
            self.remove(oldest);
            self.evicted += 1;
        }
        (ended, candidate)
    }

    /// Whether time alone may bring something has changed.
    pub(super) fn note(&mut self, cookie: u64) {
        if self.by_cookie.get(&cookie).is_some_and(Followed::is_pending) {
            self.pending.insert(cookie);
        } else {
            self.pending.remove(&cookie);
        }
    }

    /// What has ended is forgotten a moment later.
    pub(super) fn after(&mut self, time: Time, moved: &Moved) {
        let fins = what::FIN_CLIENT | what::FIN_SERVER;
        let closed = self.half_closed.get(&moved.cookie).copied().unwrap_or(0) | moved.what & fins;
        if closed == fins || moved.what & (what::RST_CLIENT | what::RST_SERVER) != 0 {
            self.gone.insert(moved.cookie, time);
        } else if closed != 0 {
            self.half_closed.insert(moved.cookie, closed);
        }
        self.note(moved.cookie);
    }

    pub(super) fn remove(&mut self, cookie: u64) {
        self.pending.remove(&cookie);
        self.half_closed.remove(&cookie);
        self.gone.remove(&cookie);
        let Some(followed) = self.by_cookie.remove(&cookie) else { return };
        let ends = ends(&followed);
        if self.by_ends.get(&ends) == Some(&cookie) {
            self.by_ends.remove(&ends);
        }
    }

    /// The same connection by the socket of its other end, where that is of this node.
    pub(super) fn other_end(&self, followed: &Followed) -> Option<&Followed> {
        let (client, server, is_clients) = ends(followed);
        self.by_cookie.get(self.by_ends.get(&(client, server, !is_clients))?)
    }

    /// Whose the two sockets are by now; gives whether somebody was asked and has not answered.
    pub(super) fn ask_owners(&self, followed: &mut Followed, others: &mut Option<Owner>) -> bool {
        let own = self.by_cookie.get(&followed.cookie);
        let other = self.other_end(followed);
        followed.owner = followed.owner.take().or_else(|| own?.owner.clone());
        *others = others.take().or_else(|| other?.owner.clone());
        let is_asked = |known: bool, socket: Option<&Followed>| {
            !known && socket.is_some_and(|socket| socket.questions > 0)
        };
        is_asked(followed.owner.is_some(), own) || is_asked(others.is_some(), other)
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = &Followed> {
        self.pending.iter().filter_map(|cookie| self.by_cookie.get(cookie))
    }

    /// Forgets what ended a moment ago.
    pub(super) fn forget_gone(&mut self, time: Time) {
        let over = self.gone.iter().filter(|(_, since)| time.since(**since) >= AFTERLIFE_NS);
        let over: Vec<u64> = over.map(|(cookie, _)| *cookie).collect();
        over.into_iter().for_each(|cookie| self.remove(cookie));
    }

    /// Of those that are followed: the record by which the call under way began, and the latest.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.by_cookie.values().flat_map(|followed| followed.began.iter().chain(&followed.latest))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Followed> {
        self.by_cookie.values()
    }
}

fn ends(followed: &Followed) -> Ends {
    let (client, server) = followed.seen.ends();
    (client, server, followed.seen.is_clients())
}
