//! One look-up: what was asked for it, what came back, and what that means.

use std::net::SocketAddr;

use super::{
    name::{base, begins_with},
    question::{Query, Question},
};
use crate::{
    input::Route,
    output::{Dns, DnsOutcome, DnsQuestion},
    probes::{
        Record,
        dns::{Message, RecordType},
        packet::Flow,
    },
    time::Time,
};

/// How long after the last query nobody has answered: resolvers send it anew after at most 5 s by default.
pub const NO_ANSWER_NS: u64 = 6_000_000_000;
/// How long an answered look-up waits for the query of another type, which may be sent only now.
const SIBLING_NS: u64 = 50_000_000;
/// How long one that came to nothing waits for the next search domain, or the next server.
const NEXT_STEP_NS: u64 = 500_000_000;
/// Resolvers give up by then, with as many servers as they take. They send a query anew with the id that it had,
/// but for a few, whose own limit is the shorter one: then somebody asks anew.
const LONGEST_NS: u64 = 30_000_000_000;
const LONGEST_WITH_OTHER_IDS_NS: u64 = 12_000_000_000;
const MAX_QUESTIONS: usize = 32;
const MAX_RECORDS: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    pub began: Time,
    last: Time,
    questions: Vec<Question>,
    left_out: u64,
    /// What is looked up, in lower case, once search domains have shown it.
    base: Option<String>,
    attempts: u64,
    /// What all this is known from.
    pub records: Vec<Record>,
}

impl Lookup {
    pub fn new(time: Time) -> Self {
        Lookup { began: time, last: time, ..Lookup::default() }
    }

    pub fn keep(&mut self, record: &Record) {
        if self.records.len() < MAX_RECORDS {
            self.records.push(record.clone());
        }
    }

    /// Whether this very message was sent before: to several servers, or once more.
    pub fn has_sent(&self, query: &Query) -> bool {
        let key = query.key;
        self.questions.iter().any(|question| {
            question.key == key && question.qtype == query.qtype && question.has(query.flow.cookie, query.id)
        })
    }

    /// Whether any of it went through this socket.
    pub fn uses(&self, cookie: u64) -> bool {
        self.questions.iter().any(|question| question.uses(cookie))
    }

    /// Whether a query of the same process is part of this look-up.
    pub fn takes(&self, query: &Query) -> bool {
        let age = query.time.since(self.began);
        let longest = if self.questions.iter().any(|question| question.knows(query.id)) {
            LONGEST_NS
        } else {
            LONGEST_WITH_OTHER_IDS_NS
        };
        if age >= longest {
            return false;
        }
        let key = query.key;
        let same: Vec<&Question> = self.questions.iter().filter(|question| question.key == key).collect();
        if let Some(question) = same.iter().find(|question| question.qtype == query.qtype) {
            // Answers may be thrown away, and the same be asked by TCP, or once more.
            return question.knows(query.id) || question.may_be_sent_again(query.time);
        }
        if !same.is_empty() {
            let is_address = |question: &&Question| asks_for_address(question.qtype);
            return asks_for_address(query.qtype) && same.iter().all(is_address);
        }
        let came_to_nothing = |question: &Question| question.came_to_nothing(query.time);
        asks_for_address(query.qtype)
            && self.questions.iter().all(came_to_nothing)
            && self.base_with(key).is_some()
    }

    /// What is looked up, if this name is a step towards it, too. Once it is known, any domain will do.
    fn base_with(&self, key: &str) -> Option<String> {
        match &self.base {
            Some(known) => begins_with(key, known).then(|| known.clone()),
            None => base(&self.questions.last()?.key, key),
        }
    }

    pub fn sent(&mut self, query: &Query) {
        self.last = self.last.max(query.time);
        self.attempts += 1;
        let key = query.key;
        let known =
            self.questions.iter().position(|question| question.key == key && question.qtype == query.qtype);
        let at = match known {
            Some(at) => at,
            None if self.questions.len() >= MAX_QUESTIONS => {
                self.left_out += 1;
                return;
            }
            None => {
                if self.questions.last().is_some_and(|last| last.key != key) {
                    self.base = self.base_with(key);
                }
                self.questions.push(Question::new(query));
                self.questions.len() - 1
            }
        };
        self.questions[at].sent(query);
    }

    /// Takes an answer to something that was asked; says whether it was.
    pub fn answered(&mut self, time: Time, flow: &Flow, message: &Message) -> bool {
        let key = message.question.as_ref().map(|question| question.name.to_ascii_lowercase());
        let asked = self.questions.iter_mut().find(|question| {
            // Some answers to what a server does not understand do not repeat the question.
            key.as_ref().is_none_or(|key| *key == question.key)
                && message.question.as_ref().is_none_or(|asked| asked.qtype == question.qtype)
                && question.has(flow.cookie, message.id)
        });
        let Some(question) = asked else { return false };
        self.last = self.last.max(time);
        question.answered(time, flow, message);
        true
    }

    /// Takes what a socket was told.
    pub fn failed(&mut self, time: Time, cookie: u64, errno: i32) -> bool {
        let mut any = false;
        for question in &mut self.questions {
            any |= question.failed(time, cookie, errno);
        }
        if any {
            self.last = self.last.max(time);
        }
        any
    }

    /// When it is over if nothing else comes.
    pub fn due(&self) -> Time {
        let grace = if self.is_answered() { SIBLING_NS } else { NEXT_STEP_NS };
        let waiting = self.questions.iter().filter_map(Question::waits_since).max();
        let waiting = waiting.map(|since| since.plus(NO_ANSWER_NS));
        waiting.unwrap_or_default().max(self.last.plus(grace))
    }

    fn is_answered(&self) -> bool {
        self.questions.iter().any(|question| question.outcome() == Some(DnsOutcome::Answered))
    }

    /// Where its queries went, as asked and really, and the ports that they came from.
    pub fn ways(&self) -> impl Iterator<Item = (SocketAddr, u16)> {
        self.questions.iter().flat_map(Question::ways)
    }

    /// Which way the query went that decides over it, as far as the process's own network shows it.
    pub fn route(&self, decided: &DnsQuestion) -> Option<Route> {
        let is_it =
            |question: &&Question| question.is_for(&decided.name) && question.qtype.name() == decided.qtype;
        self.questions.iter().find(is_it)?.route()
    }

    /// What came of it. `cut`: the run ended before it did.
    pub fn tell(&self, cut: bool) -> Option<Dns> {
        let told: Vec<DnsQuestion> = self.questions.iter().map(|question| question.tell(cut)).collect();
        let answered = told.iter().rfind(|question| question.outcome == DnsOutcome::Answered);
        let name = &answered.or(told.last())?.name;
        // Of what was asked for the name: the best, then the worst thing that can be said.
        let rank = |question: &&DnsQuestion| RANKS.iter().position(|outcome| *outcome == question.outcome);
        let decided = told.iter().filter(|question| question.name == *name).min_by_key(rank)?.clone();
        let ended =
            self.questions.iter().filter(|question| question.is_for(name)).filter_map(Question::ended);
        let is_known = !matches!(decided.outcome, DnsOutcome::Timeout | DnsOutcome::Unknown);
        let latency_ns = ended.max().filter(|_| is_known).map(|ended| ended.since(self.began));
        Some(Dns {
            resolver_error: None,
            drop: None,
            outcome: decided.outcome,
            decided,
            latency_ns,
            attempts: self.attempts,
            questions: told,
            questions_left_out: self.left_out,
        })
    }
}

/// Which question decides over a look-up.
const RANKS: [DnsOutcome; 10] = [
    DnsOutcome::Answered,
    DnsOutcome::Unknown,
    DnsOutcome::Timeout,
    DnsOutcome::Error,
    DnsOutcome::Servfail,
    DnsOutcome::Refused,
    DnsOutcome::Truncated,
    DnsOutcome::Nodata,
    DnsOutcome::Nxdomain,
    DnsOutcome::NoPacket,
];

fn asks_for_address(qtype: RecordType) -> bool {
    [RecordType::A, RecordType::AAAA, RecordType::HTTPS, RecordType::SVCB].contains(&qtype)
}
