//! Calls of webhooks as TLS libraries have them: a request and the answer to it, by connection and order. HTTP/1 has
//! one at a time on a connection.
//!
//! Whoever follows the connection itself takes what was said on it; what nobody takes is told by itself.

mod say;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{Made, Model};
use crate::{
    input::Record,
    output::{Side, Want},
    probes::{
        names,
        tls::{Connection, Ending, Event, Request, Response},
    },
    time::Time,
};

/// Calls kept at once; the oldest goes, and is counted.
const MAX_CALLS: usize = 16_384;
/// Processes that were asked for, remembered so that each is asked for once.
const MAX_ASKED: usize = 4_096;
/// A program hands a request over before the first of it is sent. Long enough for one that was not on a CPU meanwhile.
const AHEAD_NS: u64 = 1_000_000_000;
/// Two instants of one call, where nothing else says that they are.
const JUST_THEN_NS: u64 = 50_000_000;

/// A call, as far as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub tgid: u32,
    pub tid: u32,
    pub request: Request,
    pub response: Option<Response>,
    /// It will hardly have one.
    pub over: Option<Over>,
}

/// How and when a call ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Over {
    pub at: Time,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    Said(Ending),
    /// Its connection was closed, as its packets show.
    Closed {
        by_client: bool,
    },
}

/// A connection as its packets show it.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    pub cookie: u64,
    /// Whose socket it is, where that is known.
    pub tgid: Option<u32>,
    pub side: Side,
    pub client: SocketAddr,
    pub server: SocketAddr,
}

/// By what a call is found again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Socket(u64, Side),
    Ends {
        client: SocketAddr,
        server: SocketAddr,
        side: Side,
    },
    /// The process that asks for a tunnel is the one that the tunnel ends in.
    Tunnel {
        tgid: u32,
        end: String,
    },
    /// Somewhere in this process.
    Process(u32, Side),
}

/// The process, where its library keeps the connection, and the stream on it.
type ConnectionKey = (u32, u64, Option<u32>);

/// Client and server, and the stream between them.
type StreamKey = (SocketAddr, SocketAddr, u32);

/// The calls of late, in the order in which they began to be known.
#[derive(Default)]
pub struct Calls {
    calls: BTreeMap<u64, Call>,
    next: u64,
    /// Those without an answer.
    open: BTreeMap<ConnectionKey, u64>,
    places: BTreeMap<Place, BTreeSet<u64>>,
    /// Those that will be told with their connection.
    claimed: BTreeSet<u64>,
    /// Those of HTTP/2, each by one end.
    streams: BTreeMap<StreamKey, u64>,
    asked: BTreeSet<(u32, Side)>,
    looked: Time,
    /// Calls given up to bound memory.
    pub given_up: u64,
    /// Connections on which a call may have been made that was not understood.
    pub http2: u64,
}

impl Call {
    /// What is known of its connection by now.
    fn connection(&self) -> &Connection {
        self.response.as_ref().map_or(&self.request.connection, |response| &response.connection)
    }

    /// Of HTTP/2, where the ends of its connection are known, which are the same at both: the stream.
    fn stream(&self) -> Option<StreamKey> {
        let connection = self.connection();
        let (socket, stream) = connection.socket.zip(connection.stream)?;
        let ends = (socket.local, socket.remote);
        let (client, server) = if connection.is_client { ends } else { (ends.1, ends.0) };
        Some((client, server, stream))
    }

    /// It shares its connection with others.
    fn is_stream(&self) -> bool {
        self.request.connection.stream.is_some()
    }

    fn side(&self) -> Side {
        if self.connection().is_client { Side::Client } else { Side::Server }
    }

    fn place(&self) -> Place {
        let (connection, side) = (self.connection(), self.side());
        match (&connection.socket, &connection.tunnel) {
            (Some(socket), _) => match (socket.cookie, side) {
                (Some(cookie), _) => Place::Socket(cookie, side),
                (None, Side::Client) => Place::Ends { client: socket.local, server: socket.remote, side },
                (None, Side::Server) => Place::Ends { client: socket.remote, server: socket.local, side },
            },
            (None, Some(end)) => Place::Tunnel { tgid: self.tgid, end: end.clone() },
            (None, None) => Place::Process(self.tgid, side),
        }
    }
}

impl Wire {
    /// All that a call on this connection is found by for sure.
    fn places(&self) -> [Option<Place>; 3] {
        let Wire { cookie, tgid, side, client, server } = *self;
        let tunnel = tgid.filter(|_| side == Side::Client);
        [
            Some(Place::Socket(cookie, side)),
            Some(Place::Ends { client, server, side }),
            tunnel.map(|tgid| Place::Tunnel { tgid, end: server.to_string() }),
        ]
    }
}

impl Calls {
    pub fn record(&mut self, record: &Record, event: &Event) {
        match event {
            Event::Request(request) => self.begin(record, request),
            Event::Response(response) => self.answer(record, response),
            Event::Ended(ended) => {
                let open = self.open.remove(&key(record.tgid, &ended.connection));
                if let Some(call) = open.and_then(|number| self.calls.get_mut(&number)) {
                    call.over = Some(Over { at: ended.at, how: How::Said(ended.how) });
                }
            }
            Event::Http2(_) => self.http2 += 1,
            Event::Several(events) => events.iter().for_each(|event| self.record(record, event)),
            Event::Unrelated(_) | Event::Ordinary => {}
        }
    }

    fn begin(&mut self, record: &Record, request: &Request) {
        let call =
            Call { tgid: record.tgid, tid: record.tid, request: request.clone(), response: None, over: None };
        let (number, key) = (self.next, key(record.tgid, &request.connection));
        self.next += 1;
        if !self.keep(number, call) {
            return;
        }
        self.open.insert(key, number);
        if self.calls.len() > MAX_CALLS
            && let Some(oldest) = self.calls.keys().next().copied()
        {
            self.remove(oldest);
            self.given_up += 1;
        }
    }

    fn answer(&mut self, record: &Record, response: &Response) {
        let number = self.open.remove(&key(record.tgid, &response.connection));
        let Some(number) = number else { return };
        let is_claimed = self.claimed.contains(&number);
        // By now it may be known which socket it is: it moves.
        let Some(mut call) = self.remove(number) else { return };
        if is_claimed {
            self.claimed.insert(number);
        }
        call.response = Some(response.clone());
        self.keep(number, call);
    }

    /// Keeps a call where it is found, unless its other end tells it.
    fn keep(&mut self, number: u64, call: Call) -> bool {
        if let Some(stream) = call.stream() {
            let other = self.streams.get(&stream).copied();
            if let Some(other) = other
                && let Some(theirs) = self.calls.get(&other)
                && theirs.side() != call.side()
            {
                // What both ends say is told of the one that knows more, or else of the client.
                let worth = |call: &Call| (!call.request.is_unresolved, call.side() == Side::Client);
                if worth(theirs) > worth(&call) {
                    return false;
                }
                self.remove(other);
            }
            self.streams.insert(stream, number);
        }
        self.places.entry(call.place()).or_default().insert(number);
        self.calls.insert(number, call);
        true
    }

    fn remove(&mut self, number: u64) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        self.claimed.remove(&number);
        if let Some(stream) = call.stream()
            && self.streams.get(&stream) == Some(&number)
        {
            self.streams.remove(&stream);
        }
        let key = key(call.tgid, &call.request.connection);
        if self.open.get(&key) == Some(&number) {
            self.open.remove(&key);
        }
        let place = call.place();
        if let Some(numbers) = self.places.get_mut(&place) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.places.remove(&place);
            }
        }
        Some(call)
    }

    /// This connection is closed: what was asked on its streams will not be answered, or has been by now.
    pub fn close(&mut self, wire: &Wire, at: Time, by_client: bool) {
        let places = wire.places().into_iter().flatten();
        let numbers: Vec<u64> =
            places.filter_map(|place| self.places.get(&place)).flatten().copied().collect();
        for number in numbers {
            if let Some(call) = self.calls.get_mut(&number).filter(|call| call.is_stream()) {
                call.over.get_or_insert(Over { at, how: How::Closed { by_client } });
            }
        }
    }

    /// The first call on this connection that was made between these times and that nobody else will tell: it is told
    /// with its connection from now on.
    pub fn claim(&mut self, wire: &Wire, from: Time, until: Time) -> Option<u64> {
        let number = self.surely_on(wire, from, until).or_else(|| self.by_time(wire, from))?;
        self.claimed.insert(number);
        Some(number)
    }

    pub fn get(&self, number: u64) -> Option<&Call> {
        self.calls.get(&number)
    }

    /// It is told.
    pub fn forget(&mut self, number: u64) {
        self.remove(number);
    }

    fn surely_on(&self, wire: &Wire, from: Time, until: Time) -> Option<u64> {
        let places = wire.places().into_iter().flatten();
        let is_then = |began: Time| began.plus(AHEAD_NS) >= from && began <= until;
        places.filter_map(|place| self.made(&place, is_then).next()).min()
    }

    /// A call of which nothing but the process is known, and the only one that was made just then.
    fn by_time(&self, wire: &Wire, from: Time) -> Option<u64> {
        let place = Place::Process(wire.tgid?, wire.side);
        let is_then = |began: Time| began.since(from).max(from.since(began)) <= JUST_THEN_NS;
        let mut made = self.made(&place, is_then);
        let only = made.next()?;
        made.next().is_none().then_some(only)
    }

    fn made(&self, place: &Place, is_then: impl Fn(Time) -> bool) -> impl Iterator<Item = u64> {
        let numbers = self.places.get(place).into_iter().flatten();
        let free = numbers.filter(|number| !self.claimed.contains(number));
        // Packets of HTTP/2 do not say which of its calls they are of.
        let is_one = move |call: &Call| !call.is_stream() && is_then(call.request.began);
        free.filter(move |number| self.calls.get(number).is_some_and(&is_one)).copied()
    }

    /// Takes those that are over, by what is said of each: whether it is claimed.
    fn take_over(&mut self, is_over: impl Fn(&Call, bool) -> bool) -> Vec<(Call, bool)> {
        let is_claimed = |number: &u64| self.claimed.contains(number);
        let over = self.calls.iter().filter(|(number, call)| is_over(call, is_claimed(number)));
        let over: Vec<(u64, bool)> = over.map(|(number, _)| (*number, is_claimed(number))).collect();
        over.into_iter().filter_map(|(number, claimed)| Some((self.remove(number)?, claimed))).collect()
    }

    /// Whether this process is yet to be asked for.
    fn is_new(&mut self, tgid: u32, side: Side) -> bool {
        if self.asked.len() >= MAX_ASKED {
            self.asked.clear(); // asking twice does no harm
        }
        self.asked.insert((tgid, side))
    }
}

fn key(tgid: u32, connection: &Connection) -> ConnectionKey {
    (tgid, connection.address, connection.stream)
}

fn unrelated(event: &Event) -> Option<&Connection> {
    match event {
        Event::Unrelated(connection) => Some(connection),
        Event::Several(events) => events.iter().find_map(unrelated),
        _ => None,
    }
}

impl Model {
    /// Calls in TLS libraries forgotten to bound memory.
    pub fn calls_given_up(&self) -> u64 {
        self.calls.given_up
    }

    /// Connections on which calls may have been made that are not understood.
    pub fn http2_connections(&self) -> u64 {
        self.calls.http2
    }

    /// A process that calls webhooks, by its name.
    pub(super) fn ask_caller(&mut self, tgid: u32, comm: &str, make: &mut impl FnMut(Made)) {
        // It may be another program under the same number.
        self.calls.asked.remove(&(tgid, Side::Client));
        self.calls.asked.remove(&(tgid, Side::Server));
        if names::calls_webhooks(comm) {
            self.ask_tls(tgid, Side::Client, make);
        }
    }

    /// Something passed a TLS library.
    pub(super) fn said_in_tls(&mut self, record: &Record, event: &Event, make: &mut impl FnMut(Made)) {
        self.calls.record(record, event);
        self.followed_streams(event);
        if let Some(connection) = unrelated(event) {
            make(Made::Want(Want::LeaveTls { tgid: record.tgid, connection: connection.address }));
        }
    }

    /// What this process says to its TLS library is of interest.
    pub(super) fn ask_tls(&mut self, tgid: u32, side: Side, make: &mut impl FnMut(Made)) {
        if self.lives.is_some() && self.calls.is_new(tgid, side) {
            make(Made::Want(Want::TlsLibrary { tgid, side }));
        }
    }
}

#[cfg(test)]
mod tests;
