//! Connections and the message that each is at: pieces in, calls out. Holds the bytes of a message that is not whole
//! yet, of so many connections and so many bytes at most, and gives none of them away.

use std::collections::BTreeMap;

use observer_ebpf::wire::{
    flag,
    tls::{Frames, MAX_MESSAGE, Piece, part},
};

use super::{
    Connection, Ended, Event, Request, Response, Socket,
    http::{self, Begin, Head, Message, Reading},
    http2::{Answer, Asked, Http2, Stretch, Told},
    library_of, review, socket_of,
};
use crate::{
    probes::{Malformed, chars, fixed},
    time::Time,
};

/// Connections followed at once; the one that was silent longest goes.
const MAX_CONNECTIONS: usize = 4_096;
/// Of HTTP/2; the one of which nothing is expected and that was silent longest goes.
const MAX_HTTP2: usize = 256;

/// The process and where its library keeps the connection.
type Key = (u32, u64);

/// See the module.
#[derive(Default)]
pub struct Streams {
    streams: BTreeMap<Key, Stream>,
    /// The connections by when they were last used.
    used: BTreeMap<u64, Key>,
    uses: u64,
    /// How many are of HTTP/2.
    http2: usize,
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
    http2: Option<Box<Http2>>,
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
        match number {
            1 => self.piece(bytes),
            2 => self.frames(bytes),
            other => Err(Malformed::Operation(u32::from(other))),
        }
    }

    fn piece(&mut self, bytes: &[u8]) -> Result<Event, Malformed> {
        let (wire, bytes) = fixed::<Piece>(bytes)?;
        let bytes = bytes.get(..wire.len as usize).ok_or(Malformed::Text)?;
        if !matches!(wire.part, part::REQUEST | part::RESPONSE | part::MORE | part::REQUEST_REST) {
            return Err(Malformed::Operation(wire.part));
        }
        let key = (wire.header.tgid, wire.conn);
        let tunnel = self.streams.get(&(wire.header.tgid, wire.below)).and_then(|below| below.tunnel.clone());
        let stream = self.stream(key);
        stream.socket = socket_of(&wire.socket).or(stream.socket);
        let is_request = matches!(wire.part, part::REQUEST | part::REQUEST_REST);
        let mut connection = Connection {
            address: wire.conn,
            socket: stream.socket,
            tunnel,
            library: library_of(wire.library)?,
            is_client: (wire.written == 1) == is_request,
            start: Time(wire.start_ns),
            comm: chars::comm(&wire.comm),
            stream: None,
        };
        // A call begins when the first byte is on its way, or has come.
        let began = Time(if wire.written == 1 { wire.entered_ns } else { wire.header.time_ns });
        match wire.part {
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

    /// What passes a connection of HTTP/2.
    fn frames(&mut self, bytes: &[u8]) -> Result<Event, Malformed> {
        let (wire, bytes) = fixed::<Frames>(bytes)?;
        let bytes = bytes.get(..wire.len as usize).ok_or(Malformed::Text)?;
        let key = (wire.header.tgid, wire.conn);
        let tunnel = self.streams.get(&(wire.header.tgid, wire.below)).and_then(|below| below.tunnel.clone());
        let of_client = wire.of_client != 0;
        let is_first = of_client && wire.at == 0 && wire.is_fresh != 0;
        let is_new = self.streams.get(&key).is_none_or(|stream| stream.http2.is_none());
        if is_new && !self.has_room() {
            return Ok(Event::Ordinary);
        }
        self.http2 += usize::from(is_new);
        let stream = self.stream(key);
        stream.socket = socket_of(&wire.socket).or(stream.socket);
        if is_new || is_first {
            stream.http2 = Some(Box::new(Http2::new(is_first)));
        }
        let time = Time(if wire.written == 1 { wire.entered_ns } else { wire.header.time_ns });
        let connection = Connection {
            address: wire.conn,
            socket: stream.socket,
            tunnel,
            library: library_of(wire.library)?,
            is_client: (wire.written == 1) == of_client,
            start: Time(wire.start_ns),
            comm: chars::comm(&wire.comm),
            stream: None,
        };
        // What could not be read is missing where the next piece begins.
        let stretch = Stretch { bytes, at: wire.at, omitted: wire.omitted, begins: wire.begins != 0, time };
        let Some(http2) = &mut stream.http2 else { return Ok(Event::Ordinary) };
        let told = http2.take(of_client, &stretch);
        let mut events: Vec<Event> = told.into_iter().map(|told| event(&connection, time, told)).collect();
        Ok(match events.len() {
            0 => Event::Ordinary,
            1 => events.remove(0),
            _ => Event::Several(events),
        })
    }

    /// Whether another connection of HTTP/2 can be followed, if need be in the place of one.
    fn has_room(&mut self) -> bool {
        if self.http2 < MAX_HTTP2 {
            return true;
        }
        let is_idle = |key: &&Key| {
            let http2 = self.streams.get(*key).and_then(|stream| stream.http2.as_ref());
            http2.is_some_and(|http2| !http2.is_waiting())
        };
        let Some(idle) = self.used.values().find(is_idle).copied() else { return false };
        self.forget(idle);
        true
    }

    fn forget(&mut self, key: Key) {
        let Some(stream) = self.streams.remove(&key) else { return };
        self.used.remove(&stream.used);
        self.http2 -= usize::from(stream.http2.is_some());
    }

    fn stream(&mut self, key: Key) -> &mut Stream {
        self.uses += 1;
        if !self.streams.contains_key(&key)
            && self.streams.len() >= MAX_CONNECTIONS
            && let Some(silent) = self.used.values().next().copied()
        {
            self.forget(silent);
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
            method: Some(head.method),
            path: Some(head.path),
            host: head.host,
            deadline_ns: head.deadline_ns,
            is_admission: head.is_admission,
            is_review: body.is_review,
            uid: body.request_uid.map(name),
            length: message.length,
            parent: head.parent,
            is_unresolved: false,
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
            status: Some(status),
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

/// What was said on a connection of HTTP/2, `at` the time of the piece that told it.
fn event(connection: &Connection, at: Time, told: Told) -> Event {
    let on = |stream| Connection { stream: Some(stream), ..connection.clone() };
    match told {
        Told::Request(stream, asked) => {
            let Asked { began, method, path, host, deadline_ns, is_admission, is_review, parent, .. } = asked;
            let (uid, length, is_unresolved) = (asked.uid.map(name), asked.length, asked.is_unresolved);
            let connection = on(stream);
            Event::Request(Request {
                connection,
                began,
                method,
                path,
                host,
                deadline_ns,
                is_admission,
                is_review,
                uid,
                length,
                parent,
                is_unresolved,
            })
        }
        Told::Response(stream, answer) => {
            let Answer { began, status, body, length, is_cut } = answer;
            Event::Response(Response {
                connection: on(stream),
                began,
                status,
                is_review: body.is_review,
                uid: body.response_uid.map(name),
                allowed: body.allowed,
                message: body.message,
                code: body.code,
                length,
                is_cut,
            })
        }
        Told::Ended(stream, how) => Event::Ended(Ended { connection: on(stream), at, how }),
        Told::Unclear => Event::Http2(connection.clone()),
        Told::Unrelated => Event::Unrelated(connection.clone()),
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
