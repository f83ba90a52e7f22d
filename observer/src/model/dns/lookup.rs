//! One look-up: what was asked for it, what came back, and what that means.

use std::net::SocketAddr;

use super::name::are_steps;
use crate::{
    output::{Dns, DnsOutcome, DnsQuestion, DnsTransport},
    probes::{
        Record,
        dns::{Message, RecordType},
        packet::{Flow, Transport},
    },
    time::Time,
};

/// How long after the last query nobody has answered: resolvers send it anew after at most 5 s by default.
pub const NO_ANSWER_NS: u64 = 6_000_000_000;
/// How long an answered look-up waits for the query of another type, which may be sent only now.
const SIBLING_NS: u64 = 50_000_000;
/// How long one that came to nothing waits for the next search domain, or the next server.
const NEXT_STEP_NS: u64 = 500_000_000;
/// A query that is sent again at once is another look-up's: resolvers wait before they do.
const RESEND_NS: u64 = 200_000_000;
/// After this long without an answer a resolver may have gone on to the next search domain.
const GIVEN_UP_NS: u64 = 900_000_000;
/// Resolvers give up by then, with as many servers as they take. They send a query anew with the id that it had,
/// but for a few, whose own limit is the shorter one: then somebody asks anew.
const LONGEST_NS: u64 = 30_000_000_000;
const LONGEST_WITH_OTHER_IDS_NS: u64 = 12_000_000_000;
const MAX_QUESTIONS: usize = 32;
/// Attempts of a question that are kept; of more the last is replaced.
const MAX_ATTEMPTS: usize = 16;
const MAX_RECORDS: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    pub began: Time,
    last: Time,
    questions: Vec<Question>,
    left_out: u64,
    attempts: u64,
    /// What all this is known from.
    pub records: Vec<Record>,
}

#[derive(Clone, Debug)]
struct Question {
    name: String,
    /// In lower case: resolvers may mix cases, and servers answer in theirs.
    key: String,
    qtype: RecordType,
    attempts: Vec<Attempt>,
    count: u64,
}

#[derive(Clone, Debug)]
struct Attempt {
    sent: Time,
    cookie: u64,
    id: u16,
    server: SocketAddr,
    backend: Option<SocketAddr>,
    transport: DnsTransport,
    came: Option<Came>,
}

/// What came back for an attempt.
#[derive(Clone, Copy, Debug)]
struct Came {
    at: Time,
    outcome: DnsOutcome,
    rcode: Option<u8>,
    errno: Option<i32>,
}

/// A query that was sent.
pub struct Query<'a> {
    pub time: Time,
    pub flow: &'a Flow,
    pub id: u16,
    pub name: &'a str,
    pub qtype: RecordType,
}

impl Query<'_> {
    fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }
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
        let key = query.key();
        self.questions.iter().any(|question| {
            question.key == key && question.qtype == query.qtype && question.has(query.flow.cookie, query.id)
        })
    }

    /// Whether any of it went through this socket.
    pub fn uses(&self, cookie: u64) -> bool {
        self.questions.iter().any(|question| question.attempts.iter().any(|attempt| attempt.cookie == cookie))
    }

    fn knows(&self, id: u16) -> bool {
        self.questions.iter().any(|question| question.attempts.iter().any(|attempt| attempt.id == id))
    }

    /// Whether a query of the same process is part of this look-up.
    pub fn takes(&self, query: &Query) -> bool {
        let age = query.time.since(self.began);
        let longest = if self.knows(query.id) { LONGEST_NS } else { LONGEST_WITH_OTHER_IDS_NS };
        if age >= longest {
            return false;
        }
        let key = query.key();
        let same: Vec<&Question> = self.questions.iter().filter(|question| question.key == key).collect();
        if let Some(question) = same.iter().find(|question| question.qtype == query.qtype) {
            return question.may_be_sent_again(query.time);
        }
        if !same.is_empty() {
            let is_address = |question: &&Question| asks_for_address(question.qtype);
            return asks_for_address(query.qtype) && same.iter().all(is_address);
        }
        let Some(last) = self.questions.last() else { return false };
        let came_to_nothing = |question: &Question| question.came_to_nothing(query.time);
        asks_for_address(query.qtype)
            && are_steps(&last.key, &key)
            && self.questions.iter().all(came_to_nothing)
    }

    pub fn sent(&mut self, query: &Query) {
        self.last = self.last.max(query.time);
        self.attempts += 1;
        let key = query.key();
        let known =
            self.questions.iter().position(|question| question.key == key && question.qtype == query.qtype);
        let at = match known {
            Some(at) => at,
            None if self.questions.len() >= MAX_QUESTIONS => {
                self.left_out += 1;
                return;
            }
            None => {
                let (name, qtype) = (query.name.to_owned(), query.qtype);
                self.questions.push(Question { name, key, qtype, attempts: Vec::new(), count: 0 });
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
        let attempts = self.questions.iter_mut().flat_map(|question| &mut question.attempts);
        let mut any = false;
        for attempt in attempts.filter(|attempt| attempt.cookie == cookie && attempt.came.is_none()) {
            let outcome = DnsOutcome::Error;
            attempt.came = Some(Came { at: time, outcome, rcode: None, errno: Some(errno) });
            any = true;
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

    /// What came of it. `cut`: the run ended before it did.
    pub fn tell(&self, cut: bool) -> Option<Dns> {
        let told: Vec<DnsQuestion> = self.questions.iter().map(|question| question.tell(cut)).collect();
        let answered = told.iter().rfind(|question| question.outcome == DnsOutcome::Answered);
        let name = &answered.or(told.last())?.name;
        // Of what was asked for the name: the best, then the worst thing that can be said.
        let rank = |question: &&DnsQuestion| RANKS.iter().position(|outcome| *outcome == question.outcome);
        let decided = told.iter().filter(|question| question.name == *name).min_by_key(rank)?.clone();
        let ended =
            self.questions.iter().filter(|question| question.name == *name).filter_map(Question::ended);
        let is_known = !matches!(decided.outcome, DnsOutcome::Timeout | DnsOutcome::Unknown);
        let latency_ns = ended.max().filter(|_| is_known).map(|ended| ended.since(self.began));
        Some(Dns {
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

/// Nobody asks further after these.
fn is_final(outcome: DnsOutcome) -> bool {
    matches!(outcome, DnsOutcome::Answered | DnsOutcome::Nxdomain | DnsOutcome::Nodata)
}

impl Question {
    fn has(&self, cookie: u64, id: u16) -> bool {
        self.attempts.iter().any(|attempt| attempt.cookie == cookie && attempt.id == id)
    }

    /// The attempt that decides, if one does: the first whose answer was final, else the last.
    fn deciding(&self) -> Option<&Attempt> {
        let came = |attempt: &&Attempt| attempt.came.is_some_and(|came| is_final(came.outcome));
        let first = self.attempts.iter().filter(came).min_by_key(|attempt| attempt.came.map(|came| came.at));
        first.or(self.attempts.last())
    }

    /// `None` while an answer may come.
    fn outcome(&self) -> Option<DnsOutcome> {
        self.deciding()?.came.map(|came| came.outcome)
    }

    fn ended(&self) -> Option<Time> {
        self.deciding()?.came.map(|came| came.at)
    }

    /// Since when an answer is waited for that could still decide.
    fn waits_since(&self) -> Option<Time> {
        if self.outcome().is_some_and(is_final) {
            return None;
        }
        let silent = self.attempts.iter().filter(|attempt| attempt.came.is_none());
        silent.map(|attempt| attempt.sent).max()
    }

    fn may_be_sent_again(&self, time: Time) -> bool {
        match self.outcome() {
            Some(outcome) => !is_final(outcome),
            None => self.is_silent_for(time, RESEND_NS),
        }
    }

    fn came_to_nothing(&self, time: Time) -> bool {
        match self.outcome() {
            Some(outcome) => outcome != DnsOutcome::Answered,
            None => self.is_silent_for(time, GIVEN_UP_NS),
        }
    }

    fn is_silent_for(&self, time: Time, ns: u64) -> bool {
        self.waits_since().is_some_and(|since| time.since(since) >= ns)
    }

    fn sent(&mut self, query: &Query) {
        let flow = query.flow;
        let server = flow.peer.unwrap_or(flow.remote);
        self.count += 1;
        if self.attempts.len() >= MAX_ATTEMPTS {
            self.attempts.pop();
        }
        self.attempts.push(Attempt {
            sent: query.time,
            cookie: flow.cookie,
            id: query.id,
            server,
            backend: (flow.remote != server).then_some(flow.remote),
            transport: match flow.transport {
                Transport::Udp => DnsTransport::Udp,
                Transport::Tcp => DnsTransport::Tcp,
            },
            came: None,
        });
    }

    fn answered(&mut self, time: Time, flow: &Flow, message: &Message) {
        let open = |attempt: &Attempt| {
            attempt.cookie == flow.cookie && attempt.id == message.id && attempt.came.is_none()
        };
        let from = |attempt: &Attempt| attempt.server == flow.remote || attempt.backend == Some(flow.remote);
        let at = self.attempts.iter().position(|attempt| open(attempt) && from(attempt));
        let Some(at) = at.or_else(|| self.attempts.iter().position(open)) else { return };
        let attempt = &mut self.attempts[at];
        if !from(attempt) && flow.peer.is_none() {
            // A socket that is connected to nobody does not say whom it asked; the answer comes from there.
            attempt.backend = Some(attempt.server);
            attempt.server = flow.remote;
        }
        let outcome = outcome_of(message);
        attempt.came = Some(Came { at: time, outcome, rcode: Some(message.rcode), errno: None });
    }

    fn tell(&self, cut: bool) -> DnsQuestion {
        let nobody: SocketAddr = ([0, 0, 0, 0], 0).into();
        let deciding = self.deciding();
        let came = deciding.and_then(|attempt| attempt.came);
        let silent = if cut { DnsOutcome::Unknown } else { DnsOutcome::Timeout };
        DnsQuestion {
            name: self.name.clone(),
            qtype: self.qtype.name(),
            outcome: came.map_or(silent, |came| came.outcome),
            server: deciding.map_or(nobody, |attempt| attempt.server),
            backend: deciding.and_then(|attempt| attempt.backend),
            transport: deciding.map_or(DnsTransport::Udp, |attempt| attempt.transport),
            rcode: came.and_then(|came| came.rcode),
            errno: came.and_then(|came| came.errno),
            latency_ns: came.zip(deciding).map(|(came, attempt)| came.at.since(attempt.sent)),
            attempts: self.count,
        }
    }
}

fn outcome_of(message: &Message) -> DnsOutcome {
    const NOERROR: u8 = 0;
    const SERVFAIL: u8 = 2;
    const NXDOMAIN: u8 = 3;
    const REFUSED: u8 = 5;
    match message.rcode {
        NOERROR if message.is_truncated => DnsOutcome::Truncated,
        // Names that lead on to others are no answer by themselves.
        NOERROR if message.answers == 0 || message.matching == Some(0) => DnsOutcome::Nodata,
        NOERROR => DnsOutcome::Answered,
        SERVFAIL => DnsOutcome::Servfail,
        NXDOMAIN => DnsOutcome::Nxdomain,
        REFUSED => DnsOutcome::Refused,
        _ => DnsOutcome::Error,
    }
}
