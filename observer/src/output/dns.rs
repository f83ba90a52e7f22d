//! A look-up of a name: everything that one process asked for it, and what came of it.

use std::net::SocketAddr;

use super::{Backend, Drop, names};

/// One look-up: its attempts, servers, types and search-domain steps together.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// What was decided by: the last of `questions` for the name that was answered or asked last.
    pub decided: DnsQuestion,
    pub outcome: DnsOutcome,
    /// From the first query to the last answer that counted; `None`: there was none.
    pub latency_ns: Option<u64>,
    /// What the C library returned, where that is all there is: `EAI_SERVICE`, ..
    pub resolver_error: Option<&'static str>,
    /// A message of it that this node dropped, where it failed.
    pub drop: Option<Drop>,
    /// Queries sent for all of it.
    pub attempts: u64,
    /// In the order in which they were asked first.
    pub questions: Vec<DnsQuestion>,
    /// Questions that are not among them, for want of room.
    pub questions_left_out: u64,
}

/// A name and a type that were asked for, however often.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsQuestion {
    /// As it was asked, in the notation of master files.
    pub name: String,
    /// `A`, `AAAA`, `TYPE64999`, ..
    pub qtype: String,
    pub outcome: DnsOutcome,
    /// As the socket asked it: with a service address in between, that one. `None`: nobody was asked.
    pub server: Option<SocketAddr>,
    /// Where the query really went, if that is another.
    pub backend: Option<Backend>,
    /// `None`: nothing was sent.
    pub transport: Option<DnsTransport>,
    /// Of the answer that counted.
    pub rcode: Option<u8>,
    /// What the socket was told instead of an answer.
    pub errno: Option<i32>,
    /// From the query that was answered to its answer.
    pub latency_ns: Option<u64>,
    pub attempts: u64,
}

names! {
    DnsTransport {
        Udp = "udp",
        Tcp = "tcp",
    }
}

names! {
    DnsOutcome {
        Answered = "answered",
        /// There is no such name.
        Nxdomain = "nxdomain",
        /// There is the name, but nothing of that type.
        Nodata = "nodata",
        Servfail = "servfail",
        Refused = "refused",
        /// Nobody answered in the time that resolvers wait.
        Timeout = "timeout",
        /// Cut short, and not asked for in full.
        Truncated = "truncated",
        /// The network refused, or the server found something wrong with the query.
        Error = "error",
        /// It failed, and no query left at all.
        NoPacket = "no-packet",
        Unknown = "unknown",
    }
}

impl DnsOutcome {
    /// Whether the look-up could not be done: that there is no such name is an answer.
    pub const fn is_failure(self) -> bool {
        match self {
            DnsOutcome::Answered | DnsOutcome::Nxdomain | DnsOutcome::Nodata | DnsOutcome::Unknown => false,
            DnsOutcome::Servfail
            | DnsOutcome::Refused
            | DnsOutcome::Timeout
            | DnsOutcome::Truncated
            | DnsOutcome::Error
            | DnsOutcome::NoPacket => true,
        }
    }
}
