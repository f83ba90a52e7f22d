//! The head of an HTTP/1 message, and its body as far as it is there. Of the head only what tells a webhook call is
//! kept.

use crate::probes::context::{Parent, parent};

/// Headers looked at; a message with more is not understood.
const MAX_HEADERS: usize = 64;
/// Bytes of a path, or of a tunnel's end, that are kept.
const MAX_PATH: usize = 256;

/// How kube-apiserver calls itself when it calls a webhook.
pub(super) const ADMISSION: &[u8] = b"kube-apiserver-admission";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    Request(Head),
    /// Its status.
    Response(u16),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub method: String,
    /// Without what follows a `?`; of a tunnel its end.
    pub path: String,
    /// Whom it is for, without a port.
    pub host: Option<String>,
    /// `?timeout=`, nanoseconds.
    pub deadline_ns: Option<u64>,
    /// Its `User-Agent` is kube-apiserver's for webhooks.
    pub is_admission: bool,
    /// What it says, once, of the trace that it belongs to.
    pub parent: Option<Parent>,
}

/// A message as far as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub begin: Begin,
    /// What its head says of the length of its body.
    pub length: Option<u64>,
    /// The body as it was meant; `None`: it is encoded in a way that is not understood.
    pub body: Option<Vec<u8>>,
    /// Nothing of it is missing.
    pub is_whole: bool,
}

/// What can be said of the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The head goes on.
    Partial,
    /// No HTTP.
    Refused,
    Message(Message),
}

pub fn request(bytes: &[u8]) -> Reading {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(at)) => {
            let target = request.path.unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let header =
                |name: &str| request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            let host = header("host").and_then(|header| std::str::from_utf8(header.value).ok());
            let is_admission = request
                .headers
                .iter()
                .any(|header| header.name.eq_ignore_ascii_case("user-agent") && header.value == ADMISSION);
            let mut parents =
                request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("traceparent"));
            let parent = parents.next().and_then(|header| parent(header.value.trim_ascii()));
            let parent = parent.filter(|_| parents.next().is_none());
            let head = Head {
                method: capped(request.method.unwrap_or_default()),
                path: capped(path),
                host: host.map(without_port).map(capped),
                deadline_ns: timeout(query),
                is_admission,
                parent,
            };
            Reading::Message(message(Begin::Request(head), request.headers, &bytes[at..]))
        }
        Ok(httparse::Status::Partial) => Reading::Partial,
        Err(_) => Reading::Refused,
    }
}

/// The answer to a request; interim ones before it are passed over.
pub fn response(mut bytes: &[u8]) -> Reading {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let at = match response.parse(bytes) {
            Ok(httparse::Status::Complete(at)) => at,
            Ok(httparse::Status::Partial) => return Reading::Partial,
            Err(_) => return Reading::Refused,
        };
        let status = response.code.unwrap_or_default();
        if (100..200).contains(&status) && status != 101 {
            bytes = &bytes[at..];
            continue;
        }
        return Reading::Message(message(Begin::Response(status), response.headers, &bytes[at..]));
    }
}

fn message(begin: Begin, headers: &[httparse::Header], rest: &[u8]) -> Message {
    let header = |name: &str| {
        let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let encoded = header("content-encoding").is_some_and(|value| !value.eq_ignore_ascii_case("identity"));
    let empty = matches!(begin, Begin::Response(204 | 304));
    let length = header("content-length").and_then(|value| value.parse().ok());
    let length = length.or(empty.then_some(0));
    // A request says how long it is; an answer may end with its connection.
    let length = length.or((matches!(begin, Begin::Request(_)) && !chunked).then_some(0));
    let (body, ended) = if chunked {
        dechunked(rest)
    } else {
        let whole = length.is_some_and(|length| rest.len() as u64 >= length);
        let end =
            length.map_or(rest.len(), |length| rest.len().min(usize::try_from(length).unwrap_or(usize::MAX)));
        (rest[..end].to_vec(), whole)
    };
    Message { begin, length: length.filter(|_| !chunked), body: (!encoded).then_some(body), is_whole: ended }
}

/// Chunks put together, and whether the last one was there.
fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((at, size))) = httparse::parse_chunk_size(rest) else {
            return (body, false);
        };
        if size == 0 {
            return (body, true);
        }
        let behind = &rest[at..];
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(behind.len());
        body.extend_from_slice(&behind[..size]);
        match behind[size..].strip_prefix(b"\r\n") {
            Some(next) => rest = next,
            None => return (body, false),
        }
    }
}

pub(super) fn capped(text: &str) -> String {
    let mut end = text.len().min(MAX_PATH);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// `[::1]:443` is `::1`.
pub(super) fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

pub(super) fn timeout(query: &str) -> Option<u64> {
    query.split('&').find_map(|pair| duration(pair.strip_prefix("timeout=")?))
}

/// As Go writes durations: `10s`, `1m30s`, `1.5s`, `500ms`.
fn duration(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 6] =
        [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
    let (mut rest, mut sum) = (text, 0.0);
    if rest.is_empty() || rest.len() > 32 {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(letters);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum += number.parse::<f64>().ok()? * scale;
        rest = next;
    }
    // A year is no deadline.
    (sum > 0.0 && sum < 3.2e16).then_some(sum as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reading: Reading) -> Message {
        match reading {
            Reading::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_of_kube_apiserver_is_known_by_its_name() {
        let call = b"POST /validate?timeout=10s HTTP/1.1\r\nHost: hook.ns.svc:443\r\nUser-Agent: \
                     kube-apiserver-admission\r\nTraceparent: \
                     00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nContent-Length: 4\r\n\r\n{}xyz";
        let message = of(request(call));
        let head = Head {
            method: "POST".into(),
            path: "/validate".into(),
            host: Some("hook.ns.svc".into()),
            deadline_ns: Some(10_000_000_000),
            is_admission: true,
            parent: parent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        };
        assert!(head.parent.is_some());
        assert_eq!(message.begin, Begin::Request(head));
        assert_eq!((message.body, message.length, message.is_whole), (Some(b"{}xy".to_vec()), Some(4), true));
        let other = String::from_utf8_lossy(call).replace("-admission", "/v1.30");
        let Begin::Request(head) = of(request(other.as_bytes())).begin else { panic!() };
        assert!(!head.is_admission);
        for end in 1..call.len() - 7 {
            assert_eq!(request(&call[..end]), Reading::Partial, "{end}");
        }
        assert_eq!(request(b"POST \0"), Reading::Refused);
    }

    #[test]
    fn answers_in_chunks_behind_interim_ones_are_put_together() {
        let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                     3\r\n{\"a\r\n3\r\n\":1\r\n1\r\n}\r\n0\r\n\r\n";
        let message = of(response(text));
        assert_eq!(message.begin, Begin::Response(200));
        assert_eq!(message.body.as_deref(), Some(&b"{\"a\":1}"[..]));
        assert!(message.is_whole);
        let message = of(response(&text[..text.len() - 5]));
        assert_eq!((message.body.as_deref(), message.is_whole), (Some(&b"{\"a\":1}"[..]), false));
    }

    #[test]
    fn a_body_that_is_packed_is_not_read() {
        let packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxy";
        assert_eq!(of(response(packed)).body, None);
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert!(of(response(empty)).is_whole);
        let until_the_end = b"HTTP/1.0 200 OK\r\n\r\n{";
        assert!(!of(response(until_the_end)).is_whole);
    }

    #[test]
    fn hosts_lose_their_port_and_brackets() {
        for (text, host) in [("a:443", "a"), ("a", "a"), ("[::1]:443", "::1"), ("[::1]", "::1"), ("", "")] {
            assert_eq!(without_port(text), host);
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        let cases = [
            ("10s", Some(10_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("500ms", Some(500_000_000)),
            ("s", None),
            ("10", None),
            ("-1s", None),
            ("10x", None),
            ("99999999h", None),
            ("0s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(timeout(&format!("a=b&timeout={text}&c")), expected, "{text}");
        }
        assert_eq!(timeout("nottimeout=1s"), None);
    }

    #[test]
    fn lies_about_lengths_do_no_harm() {
        let huge = b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n{}";
        assert!(!of(request(huge)).is_whole);
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}";
        assert_eq!(of(response(chunk)).body.as_deref(), Some(&b"{}"[..]));
        let more = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
        assert_eq!(request(more.as_bytes()), Reading::Refused);
    }
}
