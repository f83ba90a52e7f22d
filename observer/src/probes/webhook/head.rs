//! What the first bytes of a message say: of a request method, path, deadline and whether it is the API server's; of
//! an answer its status; of a TLS handshake the server's name and the protocols that are offered. Everything else
//! of them is dropped here: no header, no query, no body gets past this file.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    Hello(Hello),
    Request(Option<Request>),
    /// The status, where it is an answer.
    Answer(Option<u16>),
}

/// The client's first message of a TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub server_name: Option<String>,
    pub offers: Offers,
}

/// What is to be spoken inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Offers {
    /// HTTP/1.1, or nothing: HTTP/2 has to be offered.
    Http1,
    /// HTTP/2, perhaps with others.
    Http2,
    /// What was seen of it ends before.
    #[default]
    Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub method: String,
    /// Without its query; `None`: too long to be seen whole.
    pub path: Option<String>,
    /// The query's `timeout`, nanoseconds.
    pub timeout_ns: Option<u64>,
    /// It says that it asks for an admission: by the API server's name for itself, or by the kind of its body.
    pub is_admission: bool,
}

/// How long a method, and a path, may be.
const MAX_METHOD: usize = 16;
const MAX_PATH: usize = 256;
/// What the API server calls itself when it calls a webhook.
const API_SERVER: &str = "kube-apiserver-admission";

/// The head of a request, if it is one.
pub fn request(bytes: &[u8]) -> Option<Request> {
    let space = bytes.iter().take(MAX_METHOD).position(|byte| *byte == b' ')?;
    let method = std::str::from_utf8(&bytes[..space]).ok()?;
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut request = Request { method: method.to_owned(), ..Request::default() };
    let rest = &bytes[space + 1..];
    let Some(end) = find(rest, b"\r\n") else { return Some(request) };
    let line = String::from_utf8_lossy(&rest[..end]);
    let (target, _) = line.rsplit_once(' ').filter(|(_, version)| version.starts_with("HTTP/1."))?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    request.path = Some(path.to_owned()).filter(|path| path.len() <= MAX_PATH);
    request.timeout_ns = query.split('&').find_map(|pair| go_duration(pair.strip_prefix("timeout=")?));
    let (headers, body) = split_at_body(&rest[end..]);
    request.is_admission = calls_itself_admission(headers) || is_review(body);
    Some(request)
}

/// Lines of headers that are whole, and what is behind them.
fn split_at_body(rest: &[u8]) -> (&[u8], &[u8]) {
    match find(rest, b"\r\n\r\n") {
        Some(end) => (&rest[..end], &rest[end + 4..]),
        None => (rest, &[]),
    }
}

fn calls_itself_admission(headers: &[u8]) -> bool {
    let text = String::from_utf8_lossy(headers);
    text.split("\r\n").filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("user-agent") && value.trim_start().starts_with(API_SERVER)
    })
}

fn is_review(body: &[u8]) -> bool {
    [&br#""kind":"AdmissionReview""#[..], br#""kind": "AdmissionReview""#]
        .into_iter()
        .any(|kind| find(body, kind).is_some())
}

/// The status of an answer, if it is one.
pub fn answer(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/1.")?.get(1..)?.strip_prefix(b" ")?;
    let status: u16 = std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?;
    (100..600).contains(&status).then_some(status)
}

/// A TLS record with the client's first message, as far as it goes.
pub fn hello(bytes: &[u8]) -> Hello {
    let mut hello = Hello::default();
    let _ = extensions(bytes, &mut hello);
    hello
}

/// `None`: it ends before the last extension.
fn extensions(bytes: &[u8], hello: &mut Hello) -> Option<()> {
    const RECORD: usize = 5;
    const CLIENT_HELLO: u8 = 1;
    const SERVER_NAME: u16 = 0;
    const ALPN: u16 = 16;
    let mut at = Cursor(bytes.get(RECORD..)?);
    if at.byte()? != CLIENT_HELLO {
        return None;
    }
    // Its length, its version, its random.
    at.take(3 + 2 + 32)?;
    let session = at.byte()?;
    at.take(session.into())?;
    let suites = at.word()?;
    at.take(suites.into())?;
    let compressions = at.byte()?;
    at.take(compressions.into())?;
    let mut left = usize::from(at.word()?);
    while left >= 4 {
        let (kind, len) = (at.word()?, at.word()?);
        let body = at.take(len.into())?;
        match kind {
            SERVER_NAME => hello.server_name = server_name(body),
            ALPN => hello.offers = offers(body),
            _ => {}
        }
        left = left.saturating_sub(4 + usize::from(len));
    }
    if hello.offers == Offers::Unknown {
        hello.offers = Offers::Http1;
    }
    Some(())
}

fn server_name(body: &[u8]) -> Option<String> {
    let mut at = Cursor(body);
    at.take(2)?;
    if at.byte()? != 0 {
        return None;
    }
    let len = at.word()?;
    let name = at.take(len.into())?;
    Some(String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty() && name.len() <= MAX_PATH)
}

fn offers(body: &[u8]) -> Offers {
    let mut at = Cursor(body.get(2..).unwrap_or_default());
    let mut found = Offers::Http1;
    while let Some(protocol) = at.byte().and_then(|len| at.take(len.into())) {
        if protocol != b"http/1.1" && protocol != b"http/1.0" {
            found = Offers::Http2;
        }
    }
    found
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A duration as Go writes it (`1m30s`, `1.5s`, `500ms`), in nanoseconds.
pub(super) fn go_duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_f64;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..unit].parse().ok()?;
        rest = &rest[unit..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "h" => 3.6e12,
                "m" => 6e10,
                "s" => 1e9,
                "ms" => 1e6,
                "us" | "µs" => 1e3,
                "ns" => 1.0,
                _ => return None,
            };
        rest = &rest[end..];
    }
    (!text.is_empty() && total < u64::MAX as f64).then_some(total as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_the_api_server() {
        let bytes = b"POST /v1/admit?timeout=10s&secret=x HTTP/1.1\r\nHost: webhook.ns.svc\r\n\
            User-Agent: kube-apiserver-admission\r\nContent-Length: 3\r\n\r\nabc";
        let request = request(bytes).unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.path.as_deref(), Some("/v1/admit"));
        assert_eq!(request.timeout_ns, Some(10_000_000_000));
        assert!(request.is_admission);
    }

    #[test]
    fn the_kind_of_its_body_tells_an_admission_too() {
        let with =
            |body: &str| request(format!("POST / HTTP/1.1\r\nHost: h\r\n\r\n{body}").as_bytes()).unwrap();
        assert!(with(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#).is_admission);
        assert!(!with(r#"{"kind":"Lease"}"#).is_admission);
        // A header is no body, and the name of another client is not the API server's.
        let lease = b"PUT /apis/coordination.k8s.io/v1/leases/x?timeout=5s HTTP/1.1\r\n\
            User-Agent: kube-scheduler/v1.30 leader-election\r\nX: \"kind\":\"AdmissionReview\"\r\n\r\n";
        let lease = request(lease).unwrap();
        assert_eq!((lease.is_admission, lease.timeout_ns), (false, Some(5_000_000_000)));
    }

    #[test]
    fn a_head_that_is_cut_is_read_as_far_as_it_goes() {
        let whole = b"POST /v1/admit?timeout=10s HTTP/1.1\r\nUser-Agent: kube-apiserver-admission\r\n\r\n{}";
        for end in 0..whole.len() {
            let request = request(&whole[..end]);
            assert_eq!(request.is_some(), end >= 5, "cut at {end}");
            let has_path = request.and_then(|request| request.path).is_some();
            assert_eq!(has_path, end >= 37, "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_request_is_none() {
        for bytes in [
            &b""[..],
            b"GET",
            b"get / HTTP/1.1\r\n",
            b"\x16\x03\x01 ",
            b"POST /x HTTP/2\r\n",
            b" / HTTP/1.1\r\n",
        ] {
            assert_eq!(request(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_status_of_an_answer() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(answer(b"HTTP/1.0 503"), Some(503));
        for bytes in
            [&b""[..], b"HTTP/1.1", b"HTTP/1.1 20", b"HTTP/1.1 999 x", b"HTTP/1.1 -20", b"HTTP/2 200"]
        {
            assert_eq!(answer(bytes), None, "{bytes:?}");
        }
    }

    fn a_hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        let extensions: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, bytes)| {
                [&kind.to_be_bytes()[..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
            })
            .collect();
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let len = body.len() as u32;
        let message = [&[1], &len.to_be_bytes()[1..], &body].concat();
        [&[22, 3, 1], &(message.len() as u16).to_be_bytes()[..], &message].concat()
    }

    #[test]
    fn a_handshake_says_whom_it_is_for_and_what_it_offers() {
        let name: &[u8] = b"\0\x06\0\0\x03svc";
        let both: &[u8] = b"\0\x0c\x02h2\x08http/1.1";
        let one: &[u8] = b"\0\x09\x08http/1.1";
        let svc = || Some("svc".to_owned());
        let read = |extensions: &[(u16, &[u8])]| hello(&a_hello(extensions));
        assert_eq!(read(&[(0, name), (16, both)]), Hello { server_name: svc(), offers: Offers::Http2 });
        assert_eq!(read(&[(16, one), (0, name)]), Hello { server_name: svc(), offers: Offers::Http1 });
        // Without the extension there can be no HTTP/2.
        assert_eq!(read(&[(0, name), (43, b"\x02\x03\x04")]).offers, Offers::Http1);
        let whole = a_hello(&[(0, name), (16, both)]);
        let cut = hello(&whole[..whole.len() - 5]);
        assert_eq!(cut, Hello { server_name: svc(), offers: Offers::Unknown });
        for end in 0..whole.len() {
            let _ = hello(&whole[..end]);
        }
    }

    #[test]
    fn durations_as_go_writes_them() {
        assert_eq!(go_duration("1m30s"), Some(90_000_000_000));
        assert_eq!(go_duration("1.5s"), Some(1_500_000_000));
        assert_eq!(go_duration("500ms"), Some(500_000_000));
        for text in ["", "5", "s", "5x", "-5s", "..s", "1e3s"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }
}
