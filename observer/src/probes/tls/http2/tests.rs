//! Connections of HTTP/2 in any pieces, from their beginning and joined late: the calls among what is said, and nothing
//! of the rest.

use super::*;
use crate::time::Time;

const REVIEW: &str =
    r#"{"kind":"AdmissionReview","request":{"uid":"u-1","object":{"data":{"x":"PLANTED"}}}}"#;
const DENIED: &str =
    r#"{"kind":"AdmissionReview","response":{"uid":"u-1","allowed":false,"status":{"message":"no"}}}"#;
const ADMISSION: &str = "kube-apiserver-admission";
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A header that is kept in the table, or with `0` is not.
fn header(first: u8, name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    [&[first][..], &text(name), &text(value)].concat()
}

/// The headers of a call: all said, and kept.
fn call(path: &str) -> Vec<u8> {
    let agent = header(0x40, "user-agent", ADMISSION);
    [&[0x83][..], &header(0x40, ":path", path), &agent, &header(0x10, "authorization", "PLANTED")].concat()
}

fn asks(stream: u32, headers: &[u8], body: &str) -> Vec<u8> {
    let head = frame(kind::HEADERS, END_HEADERS, stream, headers);
    [head, frame(kind::DATA, END_STREAM, stream, body.as_bytes())].concat()
}

fn answers(stream: u32, body: &str) -> Vec<u8> {
    asks(stream, &[0x88], body)
}

fn begins() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(kind::SETTINGS, 0, 0, &[0; 6])].concat()
}

struct Line {
    http2: Http2,
    at: [u32; 2],
    time: u64,
    told: Vec<Told>,
}

impl Line {
    fn fresh() -> Line {
        let mut line = Line { http2: Http2::new(true), at: [0; 2], time: 0, told: Vec::new() };
        line.says(&begins());
        line.hears(&frame(kind::SETTINGS, 0, 0, &[]));
        line
    }

    fn late() -> Line {
        Line { http2: Http2::new(false), at: [0; 2], time: 0, told: Vec::new() }
    }

    fn pass(&mut self, of_client: bool, bytes: &[u8], omitted: u32) {
        self.time += 10;
        let at = &mut self.at[usize::from(of_client)];
        let stretch = Stretch { bytes, at: *at, omitted, begins: true, time: Time(self.time) };
        *at = at.wrapping_add(bytes.len() as u32).wrapping_add(omitted);
        self.told.extend(self.http2.take(of_client, &stretch));
        assert!(self.http2.held <= MAX_HELD && self.http2.exchanges.len() <= MAX_EXCHANGES);
        let held: usize = self.http2.exchanges.values().map(Exchange::held).sum();
        assert_eq!(self.http2.held, held);
    }

    fn says(&mut self, bytes: &[u8]) {
        self.pass(true, bytes, 0);
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.pass(false, bytes, 0);
    }

    /// Bytes that nobody hands over.
    fn misses(&mut self, of_client: bool, bytes: usize) {
        self.at[usize::from(of_client)] += bytes as u32;
    }

    /// In a few words.
    fn told(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.told);
        let words = |told: &Told| match told {
            Told::Request(stream, asked) => {
                let unresolved = if asked.is_unresolved { " unresolved" } else { "" };
                format!("{stream} asks {:?} {:?}{unresolved}", asked.path.as_deref(), asked.uid.as_deref())
            }
            Told::Response(stream, answer) => {
                let cut = if answer.is_cut { " cut" } else { "" };
                format!("{stream} hears {:?} {:?}{cut}", answer.status, answer.body.allowed)
            }
            other => format!("{other:?}"),
        };
        assert!(!format!("{told:?}").contains("PLANTED"));
        told.iter().map(words).collect()
    }
}

const ASKS: &str = r#"1 asks Some("/v") Some("u-1")"#;
const HEARS: &str = "1 hears Some(200) Some(false)";

#[test]
fn a_call_in_any_pieces() {
    let (said, heard) = ([begins(), asks(1, &call("/v?timeout=3s"), REVIEW)].concat(), answers(1, DENIED));
    for size in (1..40).chain([said.len()]) {
        let mut line = Line { http2: Http2::new(true), ..Line::late() };
        said.chunks(size).for_each(|bytes| line.says(bytes));
        heard.chunks(size).for_each(|bytes| line.hears(bytes));
        let Some(Told::Request(_, asked)) = line.told.first() else { panic!("{:?}", line.told) };
        assert_eq!(
            (asked.deadline_ns, asked.is_admission, asked.is_review),
            (Some(3_000_000_000), true, true)
        );
        assert_eq!(asked.began.0 as usize, 10 * (begins().len() / size + 1), "its first byte, {size}");
        assert_eq!(line.told(), [ASKS, HEARS], "{size}");
        assert!(!line.http2.is_waiting() && line.http2.exchanges.is_empty());
    }
}

#[test]
fn streams_are_told_apart() {
    let mut line = Line::fresh();
    for stream in [1, 3, 5] {
        line.says(&frame(kind::HEADERS, END_HEADERS, stream, &call(&format!("/{stream}"))));
    }
    for stream in [5, 1, 3] {
        line.says(&frame(kind::DATA, END_STREAM, stream, REVIEW.as_bytes()));
    }
    line.hears(&answers(3, DENIED));
    line.hears(&answers(5, &DENIED.replace("false", "true")));
    let asks = |stream: u32| format!("{stream} asks Some(\"/{stream}\") Some(\"u-1\")");
    let hears = |stream: u32, allowed| format!("{stream} hears Some(200) Some({allowed})");
    assert_eq!(line.told(), [asks(5), asks(1), asks(3), hears(3, false), hears(5, true)]);
    assert!(line.http2.is_waiting());
}

#[test]
fn other_requests_give_nothing() {
    let mut line = Line::fresh();
    let post = |agent: &str| {
        [&[0x83][..], &header(0, ":path", "/x?timeout=5s"), &header(0, "user-agent", agent)].concat()
    };
    let put = [header(0, ":method", "PUT"), call("/leases?timeout=5s")[1..].to_vec()].concat();
    line.says(&asks(1, &put, r#"{"kind":"Lease"}"#));
    line.says(&asks(3, &post("my-kube-apiserver-admission"), r#"{"data":{"kind":"AdmissionReview"}}"#));
    line.says(&frame(kind::HEADERS, END_HEADERS | END_STREAM, 5, &[0x82, 0x84]));
    (1..=5).step_by(2).for_each(|stream| line.hears(&answers(stream, DENIED)));
    assert_eq!(line.told(), Vec::<String>::new());
    assert!(line.http2.exchanges.is_empty());
    // By its body alone.
    line.says(&asks(7, &post("someone"), REVIEW));
    assert_eq!(line.told(), [r#"7 asks Some("/x") Some("u-1")"#]);
}

#[test]
fn how_calls_end_without_an_answer() {
    let code = |code: u32| code.to_be_bytes();
    let mut line = Line::fresh();
    (1..=9).step_by(2).for_each(|stream| line.says(&asks(stream, &call("/v"), REVIEW)));
    line.told();
    line.says(&frame(kind::RST_STREAM, 0, 1, &code(8)));
    line.hears(&frame(kind::RST_STREAM, 0, 3, &code(2)));
    // Answered in part.
    line.hears(&frame(kind::HEADERS, END_HEADERS, 5, &[0x88]));
    line.hears(&frame(kind::RST_STREAM, 0, 5, &code(2)));
    line.hears(&frame(kind::GOAWAY, 0, 0, &[code(7), code(0)].concat()));
    let ended = |stream: u32, how: &str| format!("Ended({stream}, {how})");
    assert_eq!(
        line.told(),
        [
            ended(1, "Reset { by_client: true, code: 8 }"),
            ended(3, "Reset { by_client: false, code: 2 }"),
            "5 hears Some(200) None cut".to_owned(),
            ended(9, "GoneAway { code: 0 }"),
        ]
    );
    line.hears(&answers(7, DENIED));
    assert_eq!(line.told(), ["7 hears Some(200) Some(false)"], "it was looked at before it went away");
}

#[test]
fn headers_may_be_continued_padded_and_follow_a_body() {
    let mut line = Line::fresh();
    let headers = call("/v");
    let (one, two) = headers.split_at(30);
    let padded = [&[4, 0, 0, 0, 0, 9][..], one, &[0; 4]].concat();
    line.says(&frame(kind::HEADERS, 8 | 32, 1, &padded));
    line.says(&frame(kind::CONTINUATION, END_HEADERS, 1, two));
    line.says(&frame(kind::DATA, 8, 1, &[&[3][..], REVIEW.as_bytes(), &[0; 3]].concat()));
    line.says(&frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[]));
    // An interim answer, a push, an answer with a trailer.
    line.hears(&frame(kind::HEADERS, END_HEADERS, 1, &header(0, ":status", "103")));
    line.hears(&frame(kind::PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]));
    line.hears(&frame(kind::HEADERS, END_HEADERS, 1, &header(0x40, ":status", "503")));
    line.hears(&frame(kind::DATA, 0, 1, b"sorry"));
    line.hears(&frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[0xbe]));
    assert_eq!(line.told(), [ASKS, "1 hears Some(503) None"]);
}

#[test]
fn joined_late_what_was_said_before_is_not_known_and_not_guessed() {
    let mut early = Line::fresh();
    early.says(&asks(1, &call("/v"), REVIEW));
    // The same again, by reference: the youngest is the agent, then the path.
    let again = [0x83, 0xbf, 0xbe];
    early.says(&asks(3, &again, REVIEW));
    assert_eq!(early.told(), [ASKS, r#"3 asks Some("/v") Some("u-1")"#]);
    let mut late = Line::late();
    late.says(&asks(3, &again, REVIEW));
    assert_eq!(late.told(), [r#"3 asks None Some("u-1") unresolved"#]);
    // What is said from then on is known when it is referred to.
    late.says(&asks(5, &call("/w"), REVIEW));
    late.says(&asks(7, &again, REVIEW));
    late.hears(&answers(7, DENIED));
    assert_eq!(
        late.told(),
        [
            r#"5 asks Some("/w") Some("u-1")"#,
            r#"7 asks Some("/w") Some("u-1")"#,
            "7 hears Some(200) Some(false)"
        ]
    );
    // Somebody asked something: what for is not known. It is said once.
    late.says(&asks(9, &[0x83, 0xc5], "no JSON"));
    late.says(&asks(11, &[0x83, 0xc5], "no JSON"));
    late.says(&asks(13, &[0x83, 0xc5], r#"{"kind":"Lease"}"#));
    assert_eq!(late.told(), ["Unclear"]);
}

#[test]
fn what_is_missed_ends_what_is_open_and_nothing_is_taken_for_an_answer() {
    for of_client in [true, false] {
        let mut line = Line::fresh();
        line.says(&asks(1, &call("/v"), REVIEW));
        assert_eq!(line.told(), [ASKS]);
        line.misses(of_client, 40);
        line.pass(of_client, &frame(kind::PING, 0, 0, &[0; 8]), 0);
        assert_eq!(line.told(), ["Ended(1, Missed)"]);
        line.hears(&answers(1, DENIED));
        assert_eq!(line.told(), Vec::<String>::new());
        line.says(&asks(3, &call("/v"), REVIEW));
        line.hears(&answers(3, DENIED));
        assert_eq!(line.told().len(), 2);
    }
}

#[test]
fn of_long_bodies_the_rest_is_passed_over() {
    let mut line = Line::fresh();
    let long = format!("{REVIEW}{}", " ".repeat(20_000));
    let asked = asks(1, &call("/v"), &long);
    line.pass(true, &asked[..1_000], asked.len() as u32 - 1_000);
    line.says(&asks(3, &call("/w"), REVIEW));
    assert_eq!(line.told(), [ASKS, r#"3 asks Some("/w") Some("u-1")"#]);
    // Into the next frame: where that begins is not known.
    line.pass(true, &asked[..100], asked.len() as u32);
    assert_eq!(line.told(), ["Ended(1, Missed)", "Ended(3, Missed)"]);
}

#[test]
fn a_connection_that_carries_other_things_is_left() {
    let mut line = Line::fresh();
    let other = |stream| frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &[0x82, 0x84]);
    (0..OTHERS).for_each(|n| line.says(&other(2 * n + 1)));
    assert_eq!(line.told(), ["Unrelated"]);
    (0..OTHERS).for_each(|n| line.says(&other(2 * n + 1_001)));
    assert_eq!(line.told(), Vec::<String>::new(), "said once");
    // One among them: it is not left.
    let mut line = Line::fresh();
    line.says(&asks(1, &call("/v"), REVIEW));
    (0..2 * OTHERS).for_each(|n| line.says(&other(2 * n + 3)));
    assert_eq!(line.told(), [ASKS]);
    let mut garbage = Line::late();
    (0..=MAX_LOST).for_each(|_| garbage.says(b"no HTTP/2 at all"));
    assert_eq!(garbage.told(), ["Unrelated"]);
}

#[test]
fn streams_and_bytes_are_bounded() {
    let mut line = Line::fresh();
    for n in 0..2 * MAX_EXCHANGES as u32 {
        line.says(&frame(kind::HEADERS, END_HEADERS, 2 * n + 1, &call("/v")));
        line.says(&frame(kind::DATA, 0, 2 * n + 1, " ".repeat(4_000).as_bytes()));
    }
    assert_eq!(line.http2.exchanges.len(), MAX_EXCHANGES);
    line.says(&frame(kind::HEADERS, 0, 9_999, &[0; 1_000]));
    (0..40).for_each(|_| line.says(&frame(kind::CONTINUATION, 0, 9_999, &[0; 1_000])));
    line.says(&frame(kind::CONTINUATION, END_HEADERS, 9_999, &[]));
    assert!(!line.http2.client.is_lost());
}
