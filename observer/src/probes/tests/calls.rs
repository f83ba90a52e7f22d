//! Records of calls of webhooks in a TLS library.

use observer_ebpf::wire::tls::{Frames, Piece, Socket, library, part};

use super::*;
use crate::probes::tls::{Connection, Library, Request};

const CALL: &[u8] =
    b"POST /v?timeout=3s HTTP/1.1\r\nHost: hook:443\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: 2\r\n\r\n{}";

fn piece(library: u32) -> Piece {
    let ten = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last];
    let socket =
        Socket { cookie: 5, local: ten(1), remote: ten(2), local_port: 40_000, remote_port: 443, pad: 0 };
    Piece {
        header: HEADER,
        entered_ns: 40,
        start_ns: 41,
        conn: 0xc0_0000,
        below: 0,
        socket,
        part: part::REQUEST,
        written: 1,
        library,
        omitted: 0,
        len: CALL.len() as u32,
        pad: 0,
        comm: comm("k3s"),
    }
}

/// An empty frame of settings, behind what a client says first.
const FRAMES: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn frames() -> Frames {
    let Piece { header, entered_ns, start_ns, conn, below, socket, written, library, omitted, comm, .. } =
        piece(library::GO);
    Frames {
        header,
        entered_ns,
        start_ns,
        conn,
        below,
        socket,
        at: 0,
        written,
        of_client: 1,
        is_fresh: 1,
        begins: 1,
        library,
        omitted,
        len: FRAMES.len() as u32,
        comm,
    }
}

pub(super) fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let socket = tls::Socket {
        cookie: Some(5),
        local: ([10, 0, 0, 1], 40_000).into(),
        remote: ([10, 0, 0, 2], 443).into(),
    };
    let connection = Connection {
        address: 0xc0_0000,
        socket: Some(socket),
        tunnel: None,
        library: Library::Go,
        is_client: true,
        start: Time(41),
        comm: "k3s".into(),
        stream: None,
    };
    let request = Request {
        connection,
        began: Time(40),
        method: Some("POST".into()),
        path: Some("/v".into()),
        host: Some("hook".into()),
        deadline_ns: Some(3_000_000_000),
        is_admission: true,
        is_review: false,
        uid: None,
        length: Some(2),
        parent: None,
        is_unresolved: false,
    };
    vec![
        (bytes(piece(library::GO), CALL), Event::Tls(tls::Event::Request(request))),
        (bytes(frames(), FRAMES), Event::Tls(tls::Event::Ordinary)),
    ]
}

#[test]
fn a_library_of_no_known_kind_is_an_error() {
    assert_eq!(reduce(&bytes(piece(9), CALL)), Err(Malformed::Operation(9)));
}
