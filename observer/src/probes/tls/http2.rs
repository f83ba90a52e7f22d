//! HTTP/2 connections: what passes them becomes frames, frames become exchanges of a request and its answer, and of
//! those that are calls of webhooks is told what is said. Holds bytes of messages that are not whole yet, so many at
//! most; refuses to guess what was said before it listened.

mod exchange;
mod frames;
pub mod hpack;

use std::collections::BTreeMap;

use super::Ending;
pub use exchange::{Answer, Asked};
use exchange::{Exchange, Step};
pub use frames::Stretch;
use frames::{Frame, Way, kind};

/// Exchanges followed at once on a connection; the oldest goes.
const MAX_EXCHANGES: usize = 256;
/// Bytes of bodies held of a connection.
const MAX_HELD: usize = 256 << 10;
/// A connection whose first so many requests are no calls of webhooks carries none.
const OTHERS: u32 = 64;
/// Pieces in a row of which nothing is understood, after which it is no HTTP/2.
const MAX_LOST: u32 = 1_024;

/// What was said on a connection.
#[derive(Debug)]
pub enum Told {
    Request(u32, Asked),
    Response(u32, Answer),
    /// A call has ended without an answer.
    Ended(u32, Ending),
    /// Something was asked, and it cannot be told whether it was a call.
    Unclear,
    /// It carries other things than calls.
    Unrelated,
}

/// One connection.
pub struct Http2 {
    client: Way,
    server: Way,
    exchanges: BTreeMap<u32, Exchange>,
    held: usize,
    others: u32,
    lost: u32,
    is_related: bool,
    is_unclear: bool,
    is_left: bool,
}

impl Http2 {
    /// `from_beginning`: the next that the client says is the first that it says.
    pub fn new(from_beginning: bool) -> Http2 {
        Http2 {
            client: Way::new(from_beginning, true),
            server: Way::new(from_beginning, false),
            exchanges: BTreeMap::new(),
            held: 0,
            others: 0,
            lost: 0,
            is_related: false,
            is_unclear: false,
            is_left: false,
        }
    }

    /// Whether something is expected of it.
    pub fn is_waiting(&self) -> bool {
        self.exchanges.values().any(|exchange| exchange.is_call)
    }

    /// Takes in a stretch of what the client (or else the server) said.
    pub fn take(&mut self, of_client: bool, stretch: &Stretch) -> Vec<Told> {
        let mut told = Vec::new();
        let way = if of_client { &mut self.client } else { &mut self.server };
        let (frames, has_missed) = way.take(stretch);
        if has_missed {
            self.miss(&mut told);
        }
        self.lost = if frames.is_empty() && self.client.is_lost() && self.server.is_lost() {
            self.lost + 1
        } else {
            0
        };
        for frame in frames {
            self.frame(of_client, &frame, &mut told);
        }
        let is_unrelated = !self.is_related && self.others >= OTHERS || self.lost >= MAX_LOST;
        if is_unrelated && !std::mem::replace(&mut self.is_left, true) {
            told.push(Told::Unrelated);
        }
        told
    }

    /// Something passed unseen: what becomes of what is open may have been among it.
    fn miss(&mut self, told: &mut Vec<Told>) {
        for (stream, exchange) in std::mem::take(&mut self.exchanges) {
            told.extend(exchange.is_call.then_some(Told::Ended(stream, Ending::Missed)));
        }
        self.held = 0;
    }

    fn frame(&mut self, of_client: bool, frame: &Frame, told: &mut Vec<Told>) {
        match frame.kind {
            kind::HEADERS if of_client => self.asks(frame, told),
            kind::HEADERS => self.answers(frame, told),
            kind::DATA => {
                let room = MAX_HELD.saturating_sub(self.held);
                self.step(frame.stream, told, |exchange| exchange.data(of_client, frame, room));
            }
            kind::RST_STREAM => {
                let ending = Ending::Reset { by_client: of_client, code: frame.word(0).unwrap_or(0) };
                self.end(frame.stream, ending, told);
            }
            kind::GOAWAY if !of_client => {
                let Some((last, code)) = frame.word(0).zip(frame.word(4)) else { return };
                let unseen = self.exchanges.range((last & !(1 << 31)).saturating_add(1)..);
                let unseen: Vec<u32> = unseen.map(|(stream, _)| *stream).collect();
                for stream in unseen {
                    self.end(stream, Ending::GoneAway { code }, told);
                }
            }
            _ => {}
        }
    }

    fn asks(&mut self, frame: &Frame, told: &mut Vec<Told>) {
        if self.exchanges.contains_key(&frame.stream) {
            // What comes behind a body.
            return self.step(frame.stream, told, |exchange| exchange.consider(true));
        }
        if self.exchanges.len() >= MAX_EXCHANGES
            && let Some(oldest) = self.exchanges.keys().next().copied()
        {
            self.end(oldest, Ending::Missed, told);
        }
        let (stream, exchange) = (frame.stream, Exchange::new(frame));
        self.exchanges.insert(stream, exchange);
        self.step(stream, told, |exchange| exchange.consider(frame.ends_stream()));
    }

    fn answers(&mut self, frame: &Frame, told: &mut Vec<Told>) {
        // A server may answer before it has heard all.
        self.step(frame.stream, told, |exchange| exchange.consider(true));
        self.step(frame.stream, told, |exchange| exchange.answered(frame));
    }

    /// Lets an exchange go on, and tells what comes of it.
    fn step(&mut self, stream: u32, told: &mut Vec<Told>, go_on: impl FnOnce(&mut Exchange) -> Step) {
        let Some(exchange) = self.exchanges.get_mut(&stream) else { return };
        let before = exchange.held();
        let step = go_on(exchange);
        self.held = self.held + exchange.held() - before;
        match step {
            Step::Wait => {}
            Step::Call(asked) => {
                self.is_related = true;
                told.push(Told::Request(stream, asked));
            }
            Step::Other { is_unclear } => {
                self.drop_exchange(stream);
                self.others = self.others.saturating_add(1);
                if is_unclear && !std::mem::replace(&mut self.is_unclear, true) {
                    told.push(Told::Unclear);
                }
            }
            Step::Answered(answer) => {
                self.drop_exchange(stream);
                told.push(Told::Response(stream, answer));
            }
        }
    }

    fn end(&mut self, stream: u32, ending: Ending, told: &mut Vec<Told>) {
        // A request that was given up before it was whole is known by what there was of it.
        self.step(stream, told, |exchange| exchange.consider(true));
        let Some(exchange) = self.drop_exchange(stream) else { return };
        told.push(match exchange.cut_answer() {
            Some(answer) => Told::Response(stream, answer),
            None => Told::Ended(stream, ending),
        });
    }

    fn drop_exchange(&mut self, stream: u32) -> Option<Exchange> {
        let exchange = self.exchanges.remove(&stream)?;
        self.held -= exchange.held();
        Some(exchange)
    }
}

#[cfg(test)]
mod tests;
