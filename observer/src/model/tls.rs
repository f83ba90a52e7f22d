//! Calls of webhooks as TLS libraries have them: a request and the answer to it, by connection and order. HTTP/1 has
//! one at a time on a connection.

use std::collections::BTreeMap;

use super::{Made, Model};
use crate::{
    input::Record,
    output::{TlsSide, Want},
    probes::{
        names,
        tls::{Connection, Event, Request, Response},
    },
};

/// Calls kept at once; the oldest goes, and is counted.
const MAX_CALLS: usize = 4_096;

/// A call, as far as it is.
#[derive(Clone, Debug)]
pub struct Call {
    pub tgid: u32,
    pub tid: u32,
    pub request: Request,
    pub response: Option<Response>,
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
    /// Calls given up to bound memory.
    pub given_up: u64,
    /// Connections of a kind that is not understood.
    pub http2: u64,
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
        if self.calls.len() > MAX_CALLS {
            self.calls.pop_first();
            self.given_up += 1;
        }
        let calls = &self.calls;
        self.open.retain(|_, number| calls.contains_key(number));
    }

    fn answer(&mut self, record: &Record, response: &Response) {
        let number = self.open.remove(&key(record, &response.connection));
        if let Some(call) = number.and_then(|number| self.calls.get_mut(&number)) {
            call.response = Some(response.clone());
        }
    }
}

fn key(record: &Record, connection: &Connection) -> ConnectionKey {
    (record.tgid, connection.address)
}

impl Model {
    /// A process that calls webhooks, by its name.
    pub(super) fn ask_caller(&self, tgid: u32, comm: &str, make: &mut impl FnMut(Made)) {
        if self.lives.is_some() && names::calls_webhooks(comm) {
            make(Made::Want(Want::TlsLibrary { tgid, side: TlsSide::Client }));
        }
    }
}
