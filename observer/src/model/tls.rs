//! Calls of webhooks as TLS libraries have them: a request and the answer to it, by connection and order. HTTP/1 has
//! one at a time on a connection.
//!
//! Whoever follows the connection itself takes what was said on it; what nobody takes is told by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{Made, Model};
use crate::{
    input::Record,
    output::{TlsSide, Want},
    probes::{
        names,
        tls::{Connection, Event, Request, Response},
    },
    time::Time,
};

/// Calls kept at once; the oldest goes, and is counted.
const MAX_CALLS: usize = 4_096;
/// Processes that were asked for, remembered so that each is asked for once.
const MAX_ASKED: usize = 4_096;
/// A program hands a request over before the first of it is sent. Long enough for one that was not on a CPU meanwhile.
const AHEAD_NS: u64 = 1_000_000_000;

/// A call, as far as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub tgid: u32,
    pub tid: u32,
    pub request: Request,
    pub response: Option<Response>,
}

/// A connection as its packets show it.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    pub cookie: u64,
    /// Whose socket it is, where that is known.
    pub tgid: Option<u32>,
    pub is_client: bool,
    pub client: SocketAddr,
    pub server: SocketAddr,
}

/// The process, and where its library keeps the connection.
type ConnectionKey = (u32, u64);

/// The calls of late, in the order in which they began to be known.
#[derive(Default)]
pub struct Calls {
    calls: BTreeMap<u64, Call>,
    next: u64,
    /// Those without an answer.
    open: BTreeMap<ConnectionKey, u64>,
    asked: BTreeSet<(u32, bool)>,
    /// Calls given up to bound memory.
    pub given_up: u64,
    /// Connections of a kind that is not understood.
    pub http2: u64,
}

impl Call {
    /// What is known of its connection by now.
    pub fn connection(&self) -> &Connection {
        self.response.as_ref().map_or(&self.request.connection, |response| &response.connection)
    }

    /// Whether it was made on this connection.
    fn is_on(&self, wire: &Wire) -> bool {
        let connection = self.connection();
        if connection.is_client != wire.is_client {
            return false;
        }
        match (&connection.socket, &connection.tunnel) {
            (Some(socket), _) => match socket.cookie {
                Some(cookie) => cookie == wire.cookie,
                None => {
                    let ends =
                        if wire.is_client { (wire.client, wire.server) } else { (wire.server, wire.client) };
                    (socket.local, socket.remote) == ends
                }
            },
            // The process that asks for a tunnel is the one that the tunnel ends in.
            (None, Some(end)) => {
                wire.is_client && wire.tgid == Some(self.tgid) && *end == wire.server.to_string()
            }
            (None, None) => false,
        }
    }
}

impl Calls {
    pub fn record(&mut self, record: &Record, event: &Event) {
        match event {
            Event::Request(request) => self.begin(record, request),
            Event::Response(response) => self.answer(record, response),
            Event::Http2(_) => self.http2 += 1,
            Event::Ordinary => {}
        }
    }

    fn begin(&mut self, record: &Record, request: &Request) {
        let call = Call { tgid: record.tgid, tid: record.tid, request: request.clone(), response: None };
        self.open.insert(key(record, &request.connection), self.next);
        self.calls.insert(self.next, call);
        self.next += 1;
        if self.calls.len() > MAX_CALLS
            && let Some((_, call)) = self.calls.pop_first()
        {
            self.forget(&call);
            self.given_up += 1;
        }
    }

    fn answer(&mut self, record: &Record, response: &Response) {
        let number = self.open.remove(&key(record, &response.connection));
        if let Some(call) = number.and_then(|number| self.calls.get_mut(&number)) {
            call.response = Some(response.clone());
        }
    }

    fn forget(&mut self, call: &Call) {
        let key = (call.tgid, call.request.connection.address);
        if self.open.get(&key).is_some_and(|number| !self.calls.contains_key(number)) {
            self.open.remove(&key);
        }
    }

    /// The first call on this connection that was made between these times and that nobody has taken.
    pub fn on(&self, wire: &Wire, from: Time, until: Time) -> Option<&Call> {
        self.number_of(wire, from, until).and_then(|number| self.calls.get(&number))
    }

    /// The same, taken: it is told with its connection.
    pub fn take(&mut self, wire: &Wire, from: Time, until: Time) -> Option<Call> {
        let number = self.number_of(wire, from, until)?;
        let call = self.calls.remove(&number)?;
        self.forget(&call);
        Some(call)
    }

    fn number_of(&self, wire: &Wire, from: Time, until: Time) -> Option<u64> {
        let is_then = |call: &Call| {
            let began = call.request.began;
            began.plus(AHEAD_NS) >= from && began <= until
        };
        self.calls.iter().find(|(_, call)| is_then(call) && call.is_on(wire)).map(|(number, _)| *number)
    }

    /// Takes those that are over by `time` and that nobody has taken.
    pub fn take_over(&mut self, is_over: impl Fn(&Call) -> bool) -> Vec<Call> {
        let over: Vec<u64> =
            self.calls.iter().filter(|(_, call)| is_over(call)).map(|(number, _)| *number).collect();
        let mut taken = Vec::new();
        for number in over {
            if let Some(call) = self.calls.remove(&number) {
                self.forget(&call);
                taken.push(call);
            }
        }
        taken
    }

    /// Whether this process is yet to be asked for.
    fn is_new(&mut self, tgid: u32, side: TlsSide) -> bool {
        if self.asked.len() >= MAX_ASKED {
            self.asked.clear(); // asking twice does no harm
        }
        self.asked.insert((tgid, side == TlsSide::Client))
    }
}

fn key(record: &Record, connection: &Connection) -> ConnectionKey {
    (record.tgid, connection.address)
}

impl Model {
    /// A process that calls webhooks, by its name.
    pub(super) fn ask_caller(&mut self, tgid: u32, comm: &str, make: &mut impl FnMut(Made)) {
        if names::calls_webhooks(comm) {
            // Another program under the same number.
            self.calls.asked.remove(&(tgid, true));
            self.ask_tls(tgid, TlsSide::Client, make);
        }
    }

    /// What this process says to its TLS library is of interest.
    pub(super) fn ask_tls(&mut self, tgid: u32, side: TlsSide, make: &mut impl FnMut(Made)) {
        if self.lives.is_some() && self.calls.is_new(tgid, side) {
            make(Made::Want(Want::TlsLibrary { tgid, side }));
        }
    }
}

#[cfg(test)]
mod tests;
