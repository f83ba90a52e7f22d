//! One name and type that is asked for: the attempts, and what came back for each.

use std::net::SocketAddr;

use crate::{
    input::Route,
    output::{Backend, DnsOutcome, DnsQuestion, DnsTransport},
    probes::{
        dns::{Message, RecordType},
        packet::{Flow, Transport},
    },
    time::Time,
};

/// A query that is sent again at once is another look-up's: resolvers wait before they do.
const RESEND_NS: u64 = 200_000_000;
/// After this long without an answer a resolver may have gone on to the next search domain.
const GIVEN_UP_NS: u64 = 900_000_000;
/// Attempts of a question that are kept; of more the last is replaced.
const MAX_ATTEMPTS: usize = 16;

/// A query that was sent.
pub struct Query<'a> {
    pub time: Time,
    pub flow: &'a Flow,
    pub id: u16,
    pub name: &'a str,
    /// The name in lower case: resolvers may mix cases, and servers answer in theirs.
    pub key: &'a str,
    pub qtype: RecordType,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Question {
    name: String,
    /// In lower case.
    pub key: String,
    pub qtype: RecordType,
    attempts: Vec<Attempt>,
    count: u64,
}

#[derive(Clone, Debug)]
struct Attempt {
    sent: Time,
    cookie: u64,
    id: u16,
    /// The socket's place.
    local: SocketAddr,
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

/// Nobody asks further after these.
fn is_final(outcome: DnsOutcome) -> bool {
    matches!(outcome, DnsOutcome::Answered | DnsOutcome::Nxdomain | DnsOutcome::Nodata)
}

impl Question {
    pub fn new(query: &Query) -> Self {
        let (name, qtype) = (query.name.to_owned(), query.qtype);
        Question { name, key: query.key.to_owned(), qtype, attempts: Vec::new(), count: 0 }
    }

    /// Whether any of it went through this socket.
    pub fn uses(&self, cookie: u64) -> bool {
        self.attempts.iter().any(|attempt| attempt.cookie == cookie)
    }

    /// Takes what a socket was told; says whether it was waited for there.
    pub fn failed(&mut self, time: Time, cookie: u64, errno: i32) -> bool {
        let mut any = false;
        let waiting = |attempt: &&mut Attempt| attempt.cookie == cookie && attempt.came.is_none();
        for attempt in self.attempts.iter_mut().filter(waiting) {
            let outcome = DnsOutcome::Error;
            attempt.came = Some(Came { at: time, outcome, rcode: None, errno: Some(errno) });
            any = true;
        }
        any
    }

    /// The name, as it was asked.
    pub fn is_for(&self, name: &str) -> bool {
        self.name == name
    }

    pub fn has(&self, cookie: u64, id: u16) -> bool {
        self.attempts.iter().any(|attempt| attempt.cookie == cookie && attempt.id == id)
    }

    pub fn knows(&self, id: u16) -> bool {
        self.attempts.iter().any(|attempt| attempt.id == id)
    }

    /// The attempt that decides, if one does: the first whose answer was final, else the last.
    fn deciding(&self) -> Option<&Attempt> {
        let came = |attempt: &&Attempt| attempt.came.is_some_and(|came| is_final(came.outcome));
        let first = self.attempts.iter().filter(came).min_by_key(|attempt| attempt.came.map(|came| came.at));
        first.or(self.attempts.last())
    }

    /// `None` while an answer may come.
    pub fn outcome(&self) -> Option<DnsOutcome> {
        self.deciding()?.came.map(|came| came.outcome)
    }

    pub fn ended(&self) -> Option<Time> {
        self.deciding()?.came.map(|came| came.at)
    }

    /// Since when an answer is waited for that could still decide.
    pub fn waits_since(&self) -> Option<Time> {
        if self.outcome().is_some_and(is_final) {
            return None;
        }
        let silent = self.attempts.iter().filter(|attempt| attempt.came.is_none());
        silent.map(|attempt| attempt.sent).max()
    }

    pub fn may_be_sent_again(&self, time: Time) -> bool {
        match self.outcome() {
            Some(outcome) => !is_final(outcome),
            None => self.is_silent_for(time, RESEND_NS),
        }
    }

    pub fn came_to_nothing(&self, time: Time) -> bool {
        match self.outcome() {
            Some(outcome) => outcome != DnsOutcome::Answered,
            None => self.is_silent_for(time, GIVEN_UP_NS),
        }
    }

    fn is_silent_for(&self, time: Time, ns: u64) -> bool {
        self.waits_since().is_some_and(|since| time.since(since) >= ns)
    }

    pub fn sent(&mut self, query: &Query) {
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
            local: flow.local,
            server,
            backend: (flow.remote != server).then_some(flow.remote),
            transport: match flow.transport {
                Transport::Udp => DnsTransport::Udp,
                Transport::Tcp => DnsTransport::Tcp,
            },
            came: None,
        });
    }

    pub fn answered(&mut self, time: Time, flow: &Flow, message: &Message) {
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

    /// Where its queries went, as asked and really, and the ports that they came from.
    pub fn ways(&self) -> impl Iterator<Item = (SocketAddr, u16)> {
        let places = |attempt: &Attempt| {
            [Some(attempt.server), attempt.backend].map(|to| Some((to?, attempt.local.port())))
        };
        self.attempts.iter().flat_map(places).flatten()
    }

    /// Which way the attempt went that decides; `None`: where it really went is known.
    pub fn route(&self) -> Option<Route> {
        let attempt = self.deciding().filter(|attempt| attempt.backend.is_none())?;
        let transport = match attempt.transport {
            DnsTransport::Udp => Transport::Udp,
            DnsTransport::Tcp => Transport::Tcp,
        };
        Some(Route { transport, from: attempt.local, to: attempt.server })
    }

    pub fn tell(&self, cut: bool) -> DnsQuestion {
        let deciding = self.deciding();
        let came = deciding.and_then(|attempt| attempt.came);
        let silent = if cut { DnsOutcome::Unknown } else { DnsOutcome::Timeout };
        DnsQuestion {
            name: self.name.clone(),
            qtype: self.qtype.name(),
            outcome: came.map_or(silent, |came| came.outcome),
            server: deciding.map(|attempt| attempt.server),
            backend: deciding.and_then(|attempt| attempt.backend).map(Backend::at),
            transport: deciding.map(|attempt| attempt.transport),
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
