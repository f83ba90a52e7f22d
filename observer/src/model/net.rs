//! What became of the TCP connections of containers and engines, and which packets of them this node dropped.
//!
//! The kernel side tells each connection's end, and when it stalls; a drop is told apart from it, and joined by where the
//! connection goes, and by its port: a connection that nobody answered may be one whose packets never left.

mod drops;
mod handshake;

use std::net::SocketAddr;

use super::{Made, Model};
use crate::{
    input::{Record, Route},
    output::{Event, Net, NetAction, NetOutcome, Since, What},
    probes::{
        net::{self, Connection, State},
        packet::{Owner, Transport},
    },
    time::Time,
};
pub(super) use drops::{Drops, Way};

/// The port of name servers that speak TLS.
const DNS_OVER_TLS: u16 = 853;

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENETUNREACH: i32 = 101;
const ECONNRESET: i32 = 104;
const ETIMEDOUT: i32 = 110;
const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;

impl Model {
    /// What a record means for the connections that are followed.
    pub(super) fn follow_connections(
        &mut self,
        record: &Record,
        event: &net::Event,
        make: &mut impl FnMut(Made),
    ) {
        match event {
            net::Event::Dropped(dropped) => self.drops.remember(record.time, dropped),
            net::Event::Handshake(shaken) => {
                let what = What::Net(handshake::said(record.time, shaken));
                self.tell_of(&shaken.owner, record.time, Some(shaken.began), what, make);
            }
            net::Event::Connection(connection) => {
                let is_encrypted = connection.remote.port() == DNS_OVER_TLS;
                self.lookups.encrypted += u64::from(is_encrypted && connection.state == State::Established);
                if let Some(errno) = connection.errno {
                    self.drops.told.insert(connection.owner.tid, (record.time, errno));
                }
                if let Some(what) = self.connection(record.time, connection) {
                    let began = (connection.state != State::Closed).then_some(connection.began);
                    let event = self.event_by(&connection.owner, record.time, began, What::Net(what));
                    let (from, to) = (connection.local, connection.remote);
                    let route = Route { transport: Transport::Tcp, from, to };
                    self.tell_with_backend(event, Some(route), (connection.began, record.time), make);
                }
            }
            net::Event::Refused { owner, remote, errno } => {
                let told = self.drops.told.get(&owner.tid);
                if !told.is_some_and(|(time, told)| {
                    told == errno && record.time.since(*time) < drops::SAME_CALL_NS
                }) {
                    self.tell_of(owner, record.time, None, What::Net(refused(*remote, *errno)), make);
                }
            }
        }
    }

    fn connection(&self, time: Time, seen: &Connection) -> Option<Net> {
        let (action, outcome) = match seen.state {
            State::Established => (NetAction::Connect, NetOutcome::Connected),
            State::Failed => (NetAction::Connect, failed(seen)),
            State::Stalled => (NetAction::Stall, NetOutcome::Stalled),
            State::Closed => (NetAction::Close, closed(seen)?),
        };
        let is_answered = outcome == NetOutcome::Connected || outcome == NetOutcome::Refused;
        let answered = seen.established.unwrap_or(time);
        Some(Net {
            action,
            outcome,
            server: Some(seen.remote),
            backend: None,
            local: Some(seen.local),
            latency_ns: (action == NetAction::Connect && is_answered).then(|| answered.since(seen.began)),
            age_ns: Some(time.since(seen.began)),
            errno: seen.errno,
            retransmits: seen.retransmits,
            syn_retransmits: seen.syn_retransmits,
            rtt_ns: seen.rtt_ns,
            sent_bytes: seen.established.map(|_| seen.bytes_acked),
            received_bytes: seen.established.map(|_| seen.bytes_received),
            drop: (outcome != NetOutcome::Connected)
                .then(|| {
                    let netns = (seen.netns != 0).then_some(seen.netns);
                    self.drops.since(seen.began, &Way { remote: seen.remote, port: seen.local.port(), netns })
                })
                .flatten(),
            alert: None,
        })
    }

    /// Hands on what a process did with a socket: of its container, if it is in one.
    pub(super) fn tell_of(
        &self,
        owner: &Owner,
        time: Time,
        began: Option<Time>,
        what: What,
        make: &mut impl FnMut(Made),
    ) {
        make(Made::Event(self.event_by(owner, time, began, what)));
    }

    fn event_by(&self, owner: &Owner, time: Time, began: Option<Time>, what: What) -> Box<Event> {
        let (container, since, why) = self.whose(owner);
        Box::new(Event {
            time: self.clock.wall(time),
            began: began.map(|began| self.clock.wall(began)),
            // It was there before the observer, or not: this was seen from its beginning.
            since: if container.is_some() { since } else { Since::Start },
            container,
            process: Some(self.process_of(owner)),
            why: why.map(str::to_owned),
            what,
        })
    }
}

fn failed(seen: &Connection) -> NetOutcome {
    match seen.errno {
        Some(errno) => of_errno(errno),
        // Whoever asked has given up, after something was sent again in vain, or for reasons of its own.
        None if seen.syn_retransmits > 0 => NetOutcome::Timeout,
        None => NetOutcome::Abandoned,
    }
}

fn of_errno(errno: i32) -> NetOutcome {
    match errno {
        ECONNREFUSED => NetOutcome::Refused,
        ETIMEDOUT => NetOutcome::Timeout,
        EHOSTUNREACH | ENETUNREACH => NetOutcome::Unreachable,
        ECONNRESET => NetOutcome::Reset,
        EACCES | EPERM => NetOutcome::Forbidden,
        _ => NetOutcome::Error,
    }
}

/// How an established connection ended; nothing if it did as it should.
fn closed(seen: &Connection) -> Option<NetOutcome> {
    match seen.errno {
        _ if seen.was_reset => Some(NetOutcome::Reset),
        Some(errno) => Some(of_errno(errno)),
        None if seen.retransmits > seen.syn_retransmits => Some(NetOutcome::Closed),
        None => None,
    }
}

fn refused(remote: Option<SocketAddr>, errno: i32) -> Net {
    Net { server: remote, errno: Some(errno), ..Net::of(NetAction::Connect, of_errno(errno)) }
}

#[cfg(test)]
mod tests;
