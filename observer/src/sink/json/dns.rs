//! The fields of an `event` of probe `dns`: a look-up and its questions.

use serde::Serialize;

use super::address::{AddressJson, BackendJson, DropJson};
use crate::{
    output::{Dns, DnsQuestion, DnsTransport},
    sink::{errno, rcode, units::ms},
};

#[derive(Serialize)]
pub(super) struct DnsJson<'a> {
    /// The question that decided, with what holds for the whole look-up.
    #[serde(flatten)]
    whole: QuestionJson<'a>,
    /// Only of what the C library alone has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolver_error: Option<&'static str>,
    drop: Option<DropJson<'a>>,
    questions: Vec<QuestionJson<'a>>,
    /// Questions that are not listed, for want of room.
    questions_left_out: u64,
}

#[derive(Serialize)]
struct QuestionJson<'a> {
    name: &'a str,
    qtype: &'a str,
    server: Option<AddressJson>,
    backend: Option<BackendJson<'a>>,
    transport: Option<&'static str>,
    rcode: Option<u8>,
    rcode_name: Option<&'static str>,
    latency_ms: Option<f64>,
    attempts: u64,
    errno: Option<i32>,
    errno_name: Option<&'static str>,
    outcome: &'static str,
}

impl<'a> DnsJson<'a> {
    pub(super) fn of(dns: &'a Dns) -> Self {
        DnsJson {
            whole: QuestionJson {
                latency_ms: dns.latency_ns.map(ms),
                attempts: dns.attempts,
                outcome: dns.outcome.name(),
                ..QuestionJson::of(&dns.decided)
            },
            resolver_error: dns.resolver_error,
            drop: dns.drop.as_ref().map(DropJson::of),
            questions: dns.questions.iter().map(QuestionJson::of).collect(),
            questions_left_out: dns.questions_left_out,
        }
    }
}

impl<'a> QuestionJson<'a> {
    fn of(question: &'a DnsQuestion) -> Self {
        QuestionJson {
            name: &question.name,
            qtype: &question.qtype,
            server: question.server.map(AddressJson::of),
            backend: question.backend.as_ref().map(BackendJson::of),
            transport: question.transport.map(DnsTransport::name),
            rcode: question.rcode,
            rcode_name: question.rcode.and_then(rcode::name),
            latency_ms: question.latency_ns.map(ms),
            attempts: question.attempts,
            errno: question.errno,
            errno_name: question.errno.and_then(errno::name),
            outcome: question.outcome.name(),
        }
    }
}
