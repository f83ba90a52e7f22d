//! Pieces as the kernel side hands them over: calls of webhooks, and all the rest, of which nothing gets out.

use observer_ebpf::wire::{
    Header, Record as Wire, flag,
    tls::{Socket as WireSocket, library},
};
use zerocopy::IntoBytes;

use super::*;

const CONN: u64 = 0xc000;
const CALL: &str = "POST /validate?timeout=10s&token=PLANTED HTTP/1.1\r\nUser-Agent: kube-apiserver-admission\r\n\
                    Authorization: Bearer PLANTED\r\nContent-Length: 94\r\n\r\n";
const REVIEW: &str =
    r#"{"kind":"AdmissionReview","request":{"uid":"u-1","object":{"data":{"x":"PLANTED"},"a":[1,2]}}}"#;
const DENIED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 104\r\nX-Secret: PLANTED\r\n\r\n\
                      {\"kind\":\"AdmissionReview\",\"response\":{\"uid\":\"u-1\",\"allowed\":false,\"status\":\
                      {\"code\":403,\"message\":\"no\"}}}";

struct Side {
    written: bool,
    streams: Streams,
    time: u64,
    told: Vec<Event>,
}

impl Side {
    fn client() -> Self {
        Side { written: true, streams: Streams::default(), time: 0, told: Vec::new() }
    }

    fn server() -> Self {
        Side { written: false, ..Side::client() }
    }

    /// Bytes that pass a connection, as one piece of the kernel's.
    fn pass(&mut self, conn: u64, of_request: bool, part: u32, text: &str, change: impl FnOnce(&mut Piece)) {
        self.time += 10;
        let mut piece = Piece {
            header: Header { time_ns: self.time + 5, tgid: 7, ..Header::default() },
            entered_ns: self.time,
            start_ns: 3,
            conn,
            below: 0,
            socket: WireSocket::default(),
            part,
            written: u32::from(of_request == self.written),
            library: library::GO,
            omitted: 0,
            len: text.len() as u32,
            pad: 0,
            comm: *b"k3s\0\0\0\0\0\0\0\0\0\0\0\0\0",
        };
        piece.header.kind = Piece::KIND;
        change(&mut piece);
        let bytes = [piece.as_bytes(), text.as_bytes()].concat();
        match self.streams.decode(1, &bytes).unwrap() {
            Event::Ordinary => {}
            event => self.told.push(event),
        }
    }

    fn request(&mut self, text: &str) {
        self.pass(CONN, true, part::REQUEST, text, |_| {});
    }

    fn more(&mut self, of_request: bool, text: &str) {
        self.pass(CONN, of_request, part::MORE, text, |_| {});
    }

    fn response(&mut self, text: &str) {
        self.pass(CONN, false, part::RESPONSE, text, |_| {});
    }

    fn only_request(&self) -> &Request {
        match &self.told[..] {
            [Event::Request(request)] => request,
            other => panic!("{other:?}"),
        }
    }
}

/// The call in pieces: so many bytes in each, and the rest.
fn review(lengths: &[usize]) -> Vec<Event> {
    let mut side = Side::client();
    let whole = format!("{CALL}{REVIEW}");
    let mut rest = &whole[..];
    let mut part = part::REQUEST;
    for len in lengths {
        let (piece, behind) = rest.split_at(*len);
        side.pass(CONN, true, part, piece, |_| {});
        (rest, part) = (behind, part::MORE);
    }
    side.pass(CONN, true, part, rest, |_| {});
    side.told
}

#[test]
fn a_call_and_its_answer_are_told_and_nothing_they_carry() {
    for mut side in [Side::client(), Side::server()] {
        side.request(&format!("{CALL}{REVIEW}"));
        side.response(DENIED);
        let [Event::Request(request), Event::Response(response)] = &side.told[..] else {
            panic!("{:?}", side.told)
        };
        assert_eq!((request.method.as_deref(), request.path.as_deref()), (Some("POST"), Some("/validate")));
        assert_eq!(request.deadline_ns, Some(10_000_000_000));
        assert!(request.is_admission && request.is_review);
        assert_eq!(request.uid.as_deref(), Some("u-1"));
        // What is written begins when the library is called, what is read when it gives it.
        let began = if side.written { (10, 25) } else { (15, 20) };
        assert_eq!((request.began.0, response.began.0), began);
        assert_eq!(request.connection.is_client, side.written);
        assert_eq!(response.connection.is_client, side.written);
        assert_eq!((response.status, response.allowed, response.code), (Some(200), Some(false), Some(403)));
        assert_eq!((response.message.as_deref(), response.is_cut), (Some("no"), false));
        assert!(!format!("{:?}", side.told).contains("PLANTED"));
    }
}

#[test]
fn a_message_may_come_in_any_pieces() {
    let whole = review(&[]);
    assert_eq!(whole.len(), 1);
    for at in 8..CALL.len() + REVIEW.len() {
        assert_eq!(review(&[at]), whole, "cut at {at}");
    }
    assert_eq!(review(&[9, 30, 100]), whole);
}

#[test]
fn a_first_byte_that_was_read_by_itself_is_put_back() {
    let mut side = Side::server();
    let call = format!("{CALL}{REVIEW}");
    side.pass(CONN, true, part::REQUEST_REST, &call[1..], |_| {});
    assert_eq!(
        (side.only_request().method.as_deref(), side.only_request().path.as_deref()),
        (Some("POST"), Some("/validate"))
    );
}

#[test]
fn other_traffic_gives_nothing() {
    let mut side = Side::client();
    side.request("POST /api/v1/secrets HTTP/1.1\r\nUser-Agent: kubectl\r\nContent-Length: 17\r\n\r\n{\"kind\":\"Secret\"}");
    side.response("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}");
    // A look-alike: the words are there, in an object of another kind.
    side.request(&format!(
        "POST /x?timeout=5s HTTP/1.1\r\nUser-Agent: my-kube-apiserver-admission\r\nContent-Length: 54\r\n\r\n{}",
        r#"{"kind":"ConfigMap","data":{"kind":"AdmissionReview"}}"#
    ));
    side.response(DENIED);
    side.request("POST /leases?timeout=5s HTTP/1.1\r\nUser-Agent: leader-election\r\nContent-Length: 16\r\n\r\n{\"kind\":\"Lease\"}");
    side.request("POST nonsense\r\n\r\n");
    assert_eq!(side.told, []);
}

#[test]
fn a_review_is_known_without_the_name_of_who_asks() {
    let mut side = Side::client();
    side.request(&format!("POST /v HTTP/1.1\r\nContent-Length: 94\r\n\r\n{REVIEW}"));
    let request = side.only_request();
    assert_eq!((request.is_admission, request.is_review, request.deadline_ns), (false, true, None));
}

#[test]
fn what_is_cut_is_told_as_far_as_it_goes() {
    let mut side = Side::client();
    let head = CALL.replace("94", "900000");
    side.pass(CONN, true, part::REQUEST, &format!("{head}{{\"ki"), |piece| piece.omitted = 900_000);
    assert_eq!((side.only_request().is_review, &side.only_request().uid), (false, &None));
    let answer = &DENIED.replace("104", "90000")[..DENIED.len() - 30];
    side.pass(CONN, false, part::RESPONSE, answer, |piece| piece.omitted = 80_000);
    let Some(Event::Response(response)) = side.told.last() else { panic!() };
    assert_eq!((response.allowed, response.message.as_deref(), response.is_cut), (Some(false), None, true));
    // Of what could not be read at all, nothing is known.
    side.pass(CONN, true, part::REQUEST, "", |piece| piece.header.flags = flag::UNREADABLE);
    assert_eq!(side.told.len(), 2);
}

#[test]
fn an_answer_without_a_call_is_nothing() {
    let mut side = Side::client();
    side.response(DENIED);
    side.more(false, DENIED);
    assert_eq!(side.told, []);
    side.request(&format!("{CALL}{REVIEW}"));
    side.response(DENIED);
    side.response(DENIED);
    assert_eq!(side.told.len(), 2, "one answer a call");
}

#[test]
fn a_connection_inside_a_tunnel_knows_where_it_ends() {
    let mut side = Side::client();
    side.pass(1, true, part::REQUEST, "CONNECT 10.0.0.7:8443 HTTP/1.1\r\nHost: x\r\n\r\n", |_| {});
    side.pass(CONN, true, part::REQUEST, &format!("{CALL}{REVIEW}"), |piece| piece.below = 1);
    assert_eq!(side.only_request().connection.tunnel.as_deref(), Some("10.0.0.7:8443"));
    let mut other = Side::client();
    other.pass(CONN, true, part::REQUEST, &format!("{CALL}{REVIEW}"), |piece| piece.below = 1);
    assert_eq!(other.only_request().connection.tunnel, None);
}

#[test]
fn a_socket_once_known_stays_known() {
    let mut side = Side::client();
    let mut remote = [0; 16];
    (remote[10], remote[11], remote[15]) = (0xff, 0xff, 9);
    let socket = WireSocket { cookie: 5, remote, remote_port: 443, ..WireSocket::default() };
    side.pass(CONN, true, part::REQUEST, &format!("{CALL}{REVIEW}"), |piece| piece.socket = socket);
    side.response(DENIED);
    let [Event::Request(request), Event::Response(response)] = &side.told[..] else { panic!() };
    let socket = request.connection.socket.unwrap();
    assert_eq!((socket.cookie, socket.remote.to_string()), (Some(5), "0.0.0.9:443".to_owned()));
    assert_eq!(response.connection.socket, Some(socket));
}

#[test]
fn connections_are_bounded_and_the_silent_one_goes() {
    let mut side = Side::client();
    let begin = CALL;
    for conn in 0..MAX_CONNECTIONS as u64 {
        side.pass(conn, true, part::REQUEST, begin, |_| {});
    }
    side.pass(0, true, part::MORE, " ", |_| {});
    side.pass(u64::MAX, true, part::REQUEST, begin, |_| {});
    assert_eq!((side.streams.streams.len(), side.streams.used.len()), (MAX_CONNECTIONS, MAX_CONNECTIONS));
    assert!(side.streams.streams.contains_key(&(7, 0)) && !side.streams.streams.contains_key(&(7, 1)));
}

#[test]
fn records_of_no_known_kind_are_refused() {
    let mut side = Side::client();
    assert_eq!(side.streams.decode(3, &[0; 256]), Err(Malformed::Operation(3)));
    assert_eq!(side.streams.decode(1, &[0; 16]), Err(Malformed::Short));
    assert_eq!(side.streams.decode(1, &[0; 256]), Err(Malformed::Operation(0)));
}
