//! What a span says, as far as it ties it to anything: ids, times, who it is about. Its other attributes, its events
//! and the text of its status are not kept: they may hold secrets, and nothing here needs them.

use super::{
    Kind, Span, StatusCode,
    parcel::Record,
    wire::{Field, Fields, Malformed, Value},
};
use crate::time::Time;

/// Longest text kept, bytes.
const MAX_TEXT: usize = 256;
/// Most pairs kept of a span, and of a resource.
const MAX_PAIRS: usize = 32;

/// Attributes by which a span may be tied to something, in the conventions' names of today and of before, and those
/// of containerd and kube-apiserver; and how a request was answered.
const OF_USE: &[&str] = &[
    "client.address",
    "client.port",
    "server.address",
    "server.port",
    "net.host.port",
    "net.peer.ip",
    "net.peer.name",
    "net.peer.port",
    "net.sock.peer.addr",
    "net.sock.peer.port",
    "network.local.address",
    "network.local.port",
    "network.peer.address",
    "network.peer.port",
    "peer.address",
    "container.id",
    "container.name",
    "host.id",
    "host.name",
    "k8s.container.name",
    "k8s.namespace.name",
    "k8s.node.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "process.executable.name",
    "process.pid",
    "service.name",
    "service.namespace",
    "dns.question.name",
    "http.response.status_code",
    "http.status_code",
    "http.url",
    "url.full",
    "response_flags",
    "sandbox.id",
    "task.container.id",
    "task.process.id",
    "webhook",
    "configuration",
    "operation",
];

/// Of these only the host and the port are kept.
pub const IS_URL: &[&str] = &["http.url", "url.full"];

pub fn is_of_use(key: &str) -> bool {
    OF_USE.contains(&key)
}

/// Why a span is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("a trace id has 16 bytes that are not all zero")]
    TraceId,
    #[error("a span id has 8 bytes that are not all zero")]
    SpanId,
}

/// The span of a record, received at this time.
///
/// # Errors
/// It has no valid ids, or is no message.
pub fn span(of: &Record, time: Time) -> Result<Span, Unusable> {
    let mut span = Span { time, scope: text(of.scope_name()), ..Span::default() };
    let (mut has_trace, mut has_id) = (false, false);
    for field in Fields::of(of.record) {
        let field = field?;
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => has_trace = id(bytes, &mut span.trace),
            (2, Value::Bytes(bytes)) => has_id = id(bytes, &mut span.id),
            // A part of it would be another one.
            (3, Value::Bytes(bytes)) if bytes.len() <= MAX_TEXT => span.state = text(bytes),
            (4, Value::Bytes(bytes)) => {
                let mut parent = [0; 8];
                span.parent = id(bytes, &mut parent).then_some(parent);
            }
            (5, Value::Bytes(bytes)) => span.name = text(bytes),
            (6, Value::Varint(kind)) => span.kind = kind_of(kind),
            (7, Value::Fixed64(time)) => span.start = time,
            (8, Value::Fixed64(time)) => span.end = time,
            (9, Value::Bytes(pair)) => keep(&mut span.attributes, pair)?,
            (15, Value::Bytes(status)) => span.status = status_of(status)?,
            (16, Value::Fixed32(flags)) => span.flags = flags,
            _ => {}
        }
    }
    if !has_trace {
        return Err(Unusable::TraceId);
    }
    if !has_id {
        return Err(Unusable::SpanId);
    }
    for field in Fields::of(of.resource) {
        let field = field?;
        if field.number == 1 {
            keep(&mut span.resource, field.bytes()?)?;
        }
    }
    span.service = span.resource("service.name").map(ToOwned::to_owned);
    Ok(span)
}

/// Whether these bytes are an id, which is then `to`.
fn id<const N: usize>(bytes: &[u8], to: &mut [u8; N]) -> bool {
    let Ok(id) = <[u8; N]>::try_from(bytes) else { return false };
    *to = id;
    id != [0; N]
}

fn kind_of(kind: u64) -> Kind {
    match kind {
        1 => Kind::Internal,
        2 => Kind::Server,
        3 => Kind::Client,
        4 => Kind::Producer,
        5 => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

fn status_of(status: &[u8]) -> Result<StatusCode, Malformed> {
    let mut code = StatusCode::Unset;
    for field in Fields::of(status) {
        if let Field { number: 3, value: Value::Varint(number), .. } = field? {
            code = match number {
                1 => StatusCode::Ok,
                2 => StatusCode::Error,
                _ => StatusCode::Unset,
            };
        }
    }
    Ok(code)
}

/// Keeps a pair, if its key is of use and its value a text or a number.
fn keep(pairs: &mut Vec<(String, String)>, pair: &[u8]) -> Result<(), Malformed> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(pair) {
        let field = field?;
        match field.number {
            1 => key = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    let Some(key) = std::str::from_utf8(key).ok().filter(|key| is_of_use(key)) else { return Ok(()) };
    if pairs.len() >= MAX_PAIRS {
        return Ok(());
    }
    if let Some(value) = scalar(value)? {
        let value = if IS_URL.contains(&key) { authority(&value).to_owned() } else { value };
        pairs.push((key.to_owned(), value));
    }
    Ok(())
}

/// The host and port of a URL. Its path and query may hold secrets, as may what is before the host.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn scalar(value: &[u8]) -> Result<Option<String>, Malformed> {
    let mut scalar = None;
    for field in Fields::of(value) {
        let field = field?;
        scalar = match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => Some(text(bytes)),
            (3, Value::Varint(number)) => Some((number as i64).to_string()),
            _ => None,
        };
    }
    Ok(scalar)
}

/// As much of it as is kept; what is no text is made visible as such.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT * 2)]);
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}
