//! A connection to a watched endpoint as it goes on, and the call that is under way on it.

use std::collections::BTreeSet;

use observer_ebpf::wire::webhook::{known, what};

use super::{answer::Answer, served::Marks};
use crate::{
    input::Record,
    probes::{
        context::Parent,
        packet::Owner,
        webhook::{
            Connection, Flow, Moved,
            head::{Head, Hello, Offers, Request},
        },
    },
    time::Time,
};

/// A client that pauses for longer within what it says may have begun another request.
const PAUSE_NS: u64 = 100_000_000;
/// A client sends the rest of a request this soon after a ticket came in between.
const REST_WITHIN_NS: u64 = 100_000_000;
/// A request of HTTP/1 is longer than this; control frames of HTTP/2 are not.
const SHORTEST_REQUEST: u64 = 64;
/// And a record that begins an answer of HTTP/1 than this, a line of its status in TLS 1.3: control frames, by which
/// servers of HTTP/2 take in what a request carries, are not.
const SHORTEST_STATUS: u16 = 34;
/// Processes that are asked whether the socket is theirs, at most.
const MAX_CANDIDATES: usize = 8;

/// A request and what has come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its first byte, where it is one of several parts.
    pub began: Time,
    /// No request came before it on this connection, which was seen from its start.
    pub is_first: bool,
    /// Tickets of the server may come before the answer.
    pub awaits_tickets: bool,
    pub request: Flow,
    pub answer: Option<Flow>,
    pub head: Option<Request>,
    pub status: Option<u16>,
    /// What its content says, where a library was asked.
    pub said: Option<Said>,
    /// When the answer's first byte was read, or written, where a library said so.
    pub answered: Option<Time>,
    /// Which calls in libraries it is: of this end, and of the other.
    pub heard: [Option<u64>; 2],
    pub overlapping: bool,
    pub told: bool,
}

/// What the content of a call says, seen before it was encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub method: Option<String>,
    pub path: Option<String>,
    pub deadline_ns: Option<u64>,
    pub status: Option<u16>,
    pub allowed: Option<bool>,
    pub message: Option<String>,
    pub parent: Option<Parent>,
}

impl Said {
    /// Request and answer are seen one after the other.
    pub fn add(&mut self, more: Said) {
        self.method = more.method.or(self.method.take());
        self.path = more.path.or(self.path.take());
        self.deadline_ns = more.deadline_ns.or(self.deadline_ns);
        self.status = more.status.or(self.status);
        self.allowed = more.allowed.or(self.allowed);
        self.message = more.message.or(self.message.take());
        self.parent = more.parent.or(self.parent);
    }
}

/// What ended a call, or made clear that it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client went on with its next request.
    Next,
    /// Nothing more came of the answer.
    Quiet,
    /// Its time is over, and nothing was heard.
    Overdue,
    /// The connection was ended.
    Closed { by_client: bool, reset: bool },
    /// It was still under way when the run ended.
    RunOver,
}

/// Of a connection that is followed.
#[derive(Clone, Debug)]
pub struct Followed {
    pub cookie: u64,
    pub seen: Connection,
    pub owner: Option<Owner>,
    /// Who was asked whether the socket is theirs.
    pub candidates: BTreeSet<u32>,
    /// Who has not answered yet.
    pub questions: u32,
    pub hello: Option<Hello>,
    pub call: Option<Call>,
    /// Requests on this connection cannot be told apart.
    pub shared: Option<&'static str>,
    /// Its streams are read by a library of this end, and told one by one.
    pub is_read: bool,
    /// Alerts of TLS that passed: bits of `what`.
    pub alerts: u32,
    /// Something came of it before the first request, and was told.
    pub told: bool,
    pub calls: u64,
    pub last: Time,
    /// What a recording needs to go on from here.
    pub began: Option<Record>,
    pub latest: Option<Record>,
    /// At the server's socket: what its process was doing.
    pub marks: Marks,
}

impl Followed {
    pub fn new(time: Time, moved: &Moved) -> Followed {
        Followed {
            cookie: moved.cookie,
            seen: moved.connection.clone(),
            owner: None,
            candidates: BTreeSet::new(),
            questions: 0,
            hello: None,
            call: None,
            shared: None,
            is_read: false,
            alerts: 0,
            told: false,
            calls: 0,
            last: time,
            began: None,
            latest: None,
            marks: Marks::default(),
        }
    }

    /// Takes in what has happened: what ended by it, in order. `ticket`: how long those of its server are.
    pub fn moved(&mut self, time: Time, moved: &Moved, ticket: Option<u16>) -> Vec<(Option<Call>, End)> {
        let before = std::mem::replace(&mut self.seen, moved.connection.clone());
        self.last = time;
        self.alerts |= moved.what & (what::ALERT_CLIENT | what::ALERT_SERVER);
        if moved.owner.is_some() {
            self.owner.clone_from(&moved.owner);
        }
        let mut ended = Vec::new();
        if moved.what & what::REQUEST != 0 {
            self.begin(&before, ticket, &mut ended);
        }
        self.go_on(moved);
        if self.speaks_frames() {
            self.shared.get_or_insert("an answer on it is too short for HTTP/1: taken for HTTP/2");
        }
        let end = closed(moved.what);
        if let Some(end) = end {
            ended.push((self.take_untold(), end));
        }
        ended
    }

    /// A request begins, or goes on after tickets came in between.
    fn begin(&mut self, before: &Connection, ticket: Option<u16>, ended: &mut Vec<(Option<Call>, End)>) {
        let is_first = self.calls == 0 && self.is_fresh();
        if let Some(call) = &mut self.call {
            let tickets = call.awaits_tickets && before.answer.first.is_some_and(|first| first >= call.began);
            let answer = Answer::of(before, call.awaits_tickets, call.began, Some(&before.answer));
            let is_ticket = self.seen.request.first.is_some_and(|again| may_be_ticket(before, ticket, again));
            if tickets && (answer == Answer::None || (matches!(answer, Answer::Lone(_)) && is_ticket)) {
                call.awaits_tickets = false;
                call.answer = None;
                return;
            }
            if call.answer.is_some() && before.request.bytes < SHORTEST_REQUEST && self.seen.is(known::TLS) {
                self.shared.get_or_insert("it is too short for a request of HTTP/1: taken for HTTP/2");
            }
            ended.push((self.take_untold(), End::Next));
        }
        let Some(began) = self.seen.request.first else { return };
        self.calls += 1;
        self.call = Some(Call {
            began,
            is_first,
            awaits_tickets: is_first,
            request: Flow::default(),
            answer: None,
            head: None,
            status: None,
            said: None,
            answered: None,
            heard: [None; 2],
            overlapping: false,
            told: false,
        });
    }

    fn go_on(&mut self, moved: &Moved) {
        let is_http1 = self.hello.as_ref().is_some_and(|hello| hello.offers == Offers::Http1);
        let is_plain = self.seen.is(known::PLAIN);
        let Some(call) = &mut self.call else { return };
        let now = &moved.connection;
        if let (Some(before), Some(last)) = (call.request.last, now.request.last)
            && last.since(before) > PAUSE_NS
            && call.answer.is_none()
        {
            call.overlapping |= !is_http1 && !is_plain;
        }
        call.request = now.request.clone();
        if now.answer.first.is_some_and(|first| Some(first) >= now.request.first) {
            call.answer = Some(now.answer.clone());
        }
    }

    /// Of a connection that was there before: the server says what nobody says in HTTP/1.
    fn speaks_frames(&self) -> bool {
        let is_unknown = self.hello.is_none() && !self.is_fresh() && self.seen.is(known::TLS);
        let first = self.seen.answer.first_records.first();
        let is_unheard = self.call.as_ref().is_some_and(|call| call.said.is_none());
        is_unknown && is_unheard && first.is_some_and(|record| record.len < SHORTEST_STATUS)
    }

    /// The first bytes of a message were read.
    pub fn head(&mut self, head: &Head) {
        match (head, &mut self.call) {
            (Head::Hello(hello), _) => {
                if hello.offers == Offers::Http2 {
                    self.shared = Some("HTTP/2 was offered, whose requests share a connection");
                }
                self.hello = Some(hello.clone());
            }
            (Head::Request(request), Some(call)) => call.head.clone_from(request),
            (Head::Answer(status), Some(call)) => call.status = *status,
            (_, None) => {}
        }
    }

    /// A request was read, one after the other: whatever was offered, HTTP/1 was taken.
    pub fn speaks_http1(&mut self) {
        self.shared = None;
        if let Some(hello) = &mut self.hello {
            hello.offers = Offers::Http1;
        }
    }

    /// Seen from its start on: by the request for it, or by the first message of its handshake.
    pub fn is_fresh(&self) -> bool {
        self.seen.syn.is_some() || self.seen.hello.is_some()
    }

    /// The client's part of the handshake is over.
    pub fn is_secured(&self) -> bool {
        let both = known::CLIENT_CHANGED | known::SERVER_CHANGED;
        let changed = self.seen.flags & both == both && !self.seen.is(known::ENCRYPTED_HANDSHAKE);
        self.seen.is(known::SECURED) || changed
    }

    /// The call that is under way and was not told; it is from now on.
    pub fn take_untold(&mut self) -> Option<Call> {
        let call = self.call.as_mut().filter(|call| !call.told)?;
        call.told = true;
        Some(call.clone())
    }

    pub fn answer(&self, call: &Call) -> Answer {
        let by_packets = Answer::of(&self.seen, call.awaits_tickets, call.began, call.answer.as_ref());
        match (by_packets, call.answered) {
            (Answer::Began(_), _) | (_, None) => by_packets,
            (_, Some(answered)) => Answer::Began(answered),
        }
    }

    /// Something may come of it by time alone.
    pub fn is_pending(&self) -> bool {
        self.call.as_ref().is_some_and(|call| !call.told)
            || (self.calls == 0 && !self.told && self.is_opening())
    }

    /// The client asks for the connection, and has no answer.
    pub fn is_opening(&self) -> bool {
        self.seen.syn.is_some() && self.seen.established.is_none() && self.seen.is_clients()
    }

    pub fn keep(&mut self, record: &Record, happened: u32) {
        if happened & what::REQUEST != 0 {
            self.began = Some(record.clone());
            self.latest = None;
        } else {
            self.latest = Some(record.clone());
        }
    }

    /// A process that may own the socket and was not asked yet.
    pub fn candidate(&mut self, candidate: Option<u32>) -> Option<u32> {
        let candidate = candidate.filter(|_| self.owner.is_none())?;
        let is_new = self.candidates.len() < MAX_CANDIDATES && self.candidates.insert(candidate);
        self.questions += u32::from(is_new);
        is_new.then_some(candidate)
    }
}

/// Whether what came alone from the server is a ticket, by its length, and what the client says `again` the rest of its
/// request.
fn may_be_ticket(before: &Connection, ticket: Option<u16>, again: Time) -> bool {
    let Some(lone) = before.answer.first_records.first() else { return false };
    again.since(lone.time) <= REST_WITHIN_NS && ticket == Some(lone.len)
}

fn closed(happened: u32) -> Option<End> {
    let is = |bit: u32| happened & bit != 0;
    let by_client = is(what::FIN_CLIENT | what::RST_CLIENT);
    let ends = by_client || is(what::FIN_SERVER | what::RST_SERVER);
    ends.then(|| End::Closed { by_client, reset: is(what::RST_CLIENT | what::RST_SERVER) })
}
