//! Connections and the message that each is at: pieces in, calls out. Holds the bytes of a message that is not whole
//! yet, of so many connections and so many bytes at most, and gives none of them away.

use std::collections::BTreeMap;

use observer_ebpf::wire::{
    flag,
    tls::{MAX_MESSAGE, Piece, part},
};

use super::{
    Connection, Event, Request, Response, Socket,
    http::{self, Begin, Head, Message, Reading},
    library_of, review, socket_of,
};
use crate::{
    probes::{Malformed, chars, fixed},
    time::Time,
};

/// Connections followed at once; the one that was silent longest goes.
const MAX_CONNECTIONS: usize = 4_096;

/// The process and where its library keeps the connection.
type Key = (u32, u64);

/// See the module.
#[derive(Default)]
pub struct Streams {
    streams: BTreeMap<Key, Stream>,
    /// The connections by when they were last used.
    used: BTreeMap<u64, Key>,
    uses: u64,
}

#[derive(Default)]
struct Stream {
    used: u64,
    socket: Option<Socket>,
    /// It is a tunnel to there.
    tunnel: Option<String>,
    /// The last request was a call of a webhook, so that an answer is one, too.
    called: bool,
    message: Option<Gathered>,
}

/// A message of which nothing was told yet.
struct Gathered {
    is_request: bool,
    began: Time,
    bytes: Vec<u8>,
}

impl Streams {
    /// Takes in one record. Most give [`Event::Ordinary`]: nothing to tell, or not yet.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are no record of this version.
    pub fn decode(&mut self, number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
        if number != 1 {
            return Err(Malformed::Operation(u32::from(number)));
        }
        let (wire, bytes) = fixed::<Piece>(bytes)?;
        let bytes = bytes.get(..wire.len as usize).ok_or(Malformed::Text)?;
        if !(part::REQUEST..=part::REQUEST_REST).contains(&wire.part) {
            return Err(Malformed::Operation(wire.part));
        }
        let key = (wire.header.tgid, wire.conn);
        let tunnel = self.streams.get(&(wire.header.tgid, wire.below)).and_then(|below| below.tunnel.clone());
        let stream = self.stream(key);
        stream.socket = socket_of(&wire.socket).or(stream.socket);
        let is_request = matches!(wire.part, part::REQUEST | part::REQUEST_REST | part::HTTP2);
        let mut connection = Connection {
            address: wire.conn,
            socket: stream.socket,
            tunnel,
            library: library_of(wire.library)?,
            is_client: (wire.written == 1) == is_request,
            start: Time(wire.start_ns),
            comm: chars::comm(&wire.comm),
        };
        // A call begins when the first byte is on its way, or has come.
        let began = Time(if wire.written == 1 { wire.entered_ns } else { wire.header.time_ns });
        match wire.part {
            part::HTTP2 => return Ok(Event::Http2(connection)),
            part::MORE => {}
            _ => {
                stream.called &= !is_request;
                let first = if wire.part == part::REQUEST_REST { &b"P"[..] } else { b"" };
                stream.message = Some(Gathered { is_request, began, bytes: first.to_vec() });
            }
        }
        let Some(message) = &mut stream.message else { return Ok(Event::Ordinary) };
        connection.is_client = (wire.written == 1) == message.is_request;
        let room = (MAX_MESSAGE as usize).saturating_sub(message.bytes.len());
        message.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let unreadable = wire.header.flags & flag::UNREADABLE != 0;
        let is_full = unreadable || wire.omitted > 0 || message.bytes.len() >= MAX_MESSAGE as usize;
        Ok(stream.tell(connection, is_full))
    }

    fn stream(&mut self, key: Key) -> &mut Stream {
        self.uses += 1;
        if !self.streams.contains_key(&key)
            && self.streams.len() >= MAX_CONNECTIONS
            && let Some((_, silent)) = self.used.pop_first()
        {
            self.streams.remove(&silent);
        }
        let stream = self.streams.entry(key).or_default();
        self.used.remove(&std::mem::replace(&mut stream.used, self.uses));
        self.used.insert(self.uses, key);
        stream
    }
}

impl Stream {
    /// What the message says, once it says enough. `is_full`: no more of it will be there.
    fn tell(&mut self, connection: Connection, is_full: bool) -> Event {
        let Some(gathered) = &self.message else { return Event::Ordinary };
        let reading = if gathered.is_request {
            http::request(&gathered.bytes)
        } else {
            http::response(&gathered.bytes)
        };
        let (message, began) = match reading {
            Reading::Message(message) => (message, gathered.began),
            Reading::Partial if !is_full => return Event::Ordinary,
            Reading::Partial | Reading::Refused => return self.ignore(),
        };
        match message.begin.clone() {
            Begin::Request(head) => self.request(connection, began, head, &message, is_full),
            Begin::Response(status) => self.response(connection, began, status, &message, is_full),
        }
    }

    /// Nothing of the message is of interest.
    fn ignore(&mut self) -> Event {
        self.message = None;
        Event::Ordinary
    }

    fn request(
        &mut self,
        connection: Connection,
        began: Time,
        head: Head,
        message: &Message,
        is_full: bool,
    ) -> Event {
        if head.method == "CONNECT" {
            self.tunnel = Some(head.path);
            return self.ignore();
        }
        let body = review::scan(message.body.as_deref().unwrap_or_default());
        let is_all = is_full || message.is_whole || body.is_whole;
        if !(head.is_admission || body.is_review) {
            return if is_all { self.ignore() } else { Event::Ordinary };
        }
        if !is_all && body.request_uid.is_none() {
            return Event::Ordinary;
        }
        self.called = true;
        self.message = None;
        Event::Request(Request {
            connection,
            began,
            method: head.method,
            path: head.path,
            host: head.host,
            deadline_ns: head.deadline_ns,
            is_admission: head.is_admission,
            is_review: body.is_review,
            uid: body.request_uid.map(name),
            length: message.length,
        })
    }

    fn response(
        &mut self,
        connection: Connection,
        began: Time,
        status: u16,
        message: &Message,
        is_full: bool,
    ) -> Event {
        if !self.called {
            return self.ignore();
        }
        let body = review::scan(message.body.as_deref().unwrap_or_default());
        let is_whole = message.is_whole || body.is_whole;
        if !(is_full || is_whole || message.body.is_none()) {
            return Event::Ordinary;
        }
        self.called = false;
        self.message = None;
        Event::Response(Response {
            connection,
            began,
            status,
            is_review: body.is_review,
            uid: body.response_uid.map(name),
            allowed: body.allowed,
            message: body.message,
            code: body.code,
            length: message.length,
            is_cut: !is_whole || message.body.is_none(),
        })
    }
}

/// Long enough for any id, and no longer.
fn name(mut text: String) -> String {
    const MAX_UID: usize = 64;
    while text.len() > MAX_UID {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests;
