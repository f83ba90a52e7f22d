//! A request and its answer on a stream of HTTP/2: whether it is the call of a webhook, and what is said.

use super::{
    super::{http, review},
    frames::Frame,
    hpack::{Block, Name},
};
use crate::{
    probes::context::{Parent, parent},
    time::Time,
};

/// Bytes of a body that are looked at: as many as of a message of HTTP/1.
const MAX_BODY: usize = observer_ebpf::wire::tls::MAX_MESSAGE as usize;

/// A request that is a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub began: Time,
    /// `None`, as path, host and deadline: it may have been said, in a way that is not resolved.
    pub method: Option<String>,
    pub path: Option<String>,
    pub host: Option<String>,
    pub deadline_ns: Option<u64>,
    pub is_admission: bool,
    pub is_review: bool,
    pub uid: Option<String>,
    pub length: Option<u64>,
    /// What it says, once, of the trace that it belongs to.
    pub parent: Option<Parent>,
    /// Some headers refer to what was said before the observer listened.
    pub is_unresolved: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub began: Time,
    /// `None`: it refers to what was said before the observer listened.
    pub status: Option<u16>,
    pub body: review::Review,
    pub length: Option<u64>,
    /// More of it was there than is looked at, or it is packed.
    pub is_cut: bool,
}

/// What comes of a step.
pub enum Step {
    Wait,
    Call(Asked),
    /// It is none. Unclear: it may have been one.
    Other {
        is_unclear: bool,
    },
    Answered(Answer),
}

pub struct Exchange {
    asked: Asked,
    /// Its body.
    body: Body,
    /// It was told as a call.
    pub is_call: bool,
    answer: Option<(Answer, Body)>,
}

#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    is_cut: bool,
    /// It is packed in a way that is not understood.
    is_packed: bool,
}

impl Body {
    fn add(&mut self, frame: &Frame, room: usize) {
        let bytes = frame.body();
        let room = MAX_BODY.saturating_sub(self.bytes.len()).min(room);
        // What comes behind something that is missing is not looked at.
        if !self.is_cut {
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        self.is_cut |= frame.is_cut || bytes.len() > room;
    }

    fn read(&self) -> review::Review {
        review::scan(if self.is_packed { b"" } else { &self.bytes })
    }
}

impl Exchange {
    pub fn new(frame: &Frame) -> Exchange {
        let block = frame.block.as_ref();
        let text = |name| block.and_then(|block| text(block, name));
        let target = text(Name::Path);
        let (path, query) = target.map_or((None, ""), |target| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            (Some(path), query)
        });
        let host = text(Name::Authority).or(text(Name::Host));
        let asked = Asked {
            began: frame.began,
            method: text(Name::Method).map(http::capped),
            path: path.map(http::capped),
            host: host.map(http::without_port).map(http::capped),
            deadline_ns: http::timeout(query),
            is_admission: text(Name::UserAgent).is_some_and(|name| name.as_bytes() == http::ADMISSION),
            is_review: false,
            uid: None,
            length: text(Name::ContentLength).and_then(|length| length.parse().ok()),
            parent: block.and_then(parent_of),
            is_unresolved: block.is_none_or(|block| block.unresolved > 0),
        };
        let body = Body { is_packed: is_packed(block), ..Body::default() };
        Exchange { asked, body, is_call: false, answer: None }
    }

    /// Bytes of bodies that it holds.
    pub fn held(&self) -> usize {
        self.body.bytes.len() + self.answer.as_ref().map_or(0, |(_, body)| body.bytes.len())
    }

    pub fn data(&mut self, of_client: bool, frame: &Frame, room: usize) -> Step {
        if of_client {
            if self.is_call {
                return Step::Wait;
            }
            self.body.add(frame, room);
            return self.consider(frame.ends_stream());
        }
        let Some((_, body)) = &mut self.answer else { return Step::Wait };
        body.add(frame, room);
        self.hear(frame.ends_stream())
    }

    /// Whether it is a call, once that is clear. `is_all`: no more of the request will be there.
    pub fn consider(&mut self, is_all: bool) -> Step {
        if self.is_call {
            return Step::Wait;
        }
        let is_post = self.asked.method.as_deref().is_none_or(|method| method == "POST");
        if !is_post || (self.asked.method.is_none() && !self.asked.is_unresolved) {
            return Step::Other { is_unclear: false };
        }
        let body = self.body.read();
        let is_all = is_all || body.is_whole || self.body.is_cut || self.body.is_packed;
        if !(self.asked.is_admission || body.is_review) {
            let is_read = body.is_whole || !self.asked.is_unresolved;
            return if is_all { Step::Other { is_unclear: !is_read } } else { Step::Wait };
        }
        if !is_all && body.request_uid.is_none() {
            return Step::Wait;
        }
        self.is_call = true;
        self.body = Body::default();
        self.asked.is_review = body.is_review;
        self.asked.uid = body.request_uid;
        Step::Call(self.asked.clone())
    }

    pub fn answered(&mut self, frame: &Frame) -> Step {
        if self.answer.is_some() {
            // What comes behind a body.
            return self.hear(true);
        }
        let block = frame.block.as_ref();
        let text = |name| block.and_then(|block| text(block, name));
        let status: Option<u16> = text(Name::Status).and_then(|status| status.parse().ok());
        // An interim one.
        if status.is_some_and(|status| (100..200).contains(&status)) {
            return Step::Wait;
        }
        let answer = Answer {
            began: frame.began,
            status,
            body: review::Review::default(),
            length: text(Name::ContentLength).and_then(|length| length.parse().ok()),
            is_cut: false,
        };
        let body = Body { is_packed: is_packed(block), ..Body::default() };
        self.answer = Some((answer, body));
        self.hear(frame.ends_stream())
    }

    fn hear(&mut self, is_all: bool) -> Step {
        let Some((answer, body)) = &self.answer else { return Step::Wait };
        let read = body.read();
        if !(is_all || read.is_whole || body.is_cut || body.is_packed) {
            return Step::Wait;
        }
        let is_cut = body.is_packed || !(read.is_whole || is_all && !body.is_cut);
        Step::Answered(Answer { body: read, is_cut, ..answer.clone() })
    }

    /// What there was of an answer that was not heard to its end.
    pub fn cut_answer(self) -> Option<Answer> {
        let (answer, body) = self.answer?;
        Some(Answer { body: body.read(), is_cut: true, ..answer })
    }
}

fn text(block: &Block, name: Name) -> Option<&str> {
    let (_, value) = block.fields.iter().find(|(one, _)| *one == name)?;
    std::str::from_utf8(value).ok()
}

fn parent_of(block: &Block) -> Option<Parent> {
    let mut said = block.fields.iter().filter(|(name, _)| *name == Name::Traceparent);
    let (_, value) = said.next()?;
    parent(value.trim_ascii()).filter(|_| said.next().is_none())
}

fn is_packed(block: Option<&Block>) -> bool {
    block.and_then(|block| text(block, Name::ContentEncoding)).is_some_and(|encoding| encoding != "identity")
}
