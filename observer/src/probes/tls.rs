//! Calls of admission webhooks, in clear as their TLS library has them. Bytes of messages end here: what gets past is
//! what was asked and answered of a webhook, and nothing at all of other traffic.

pub mod http;
pub mod http2;
pub mod pclntab;
pub mod review;
mod streams;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use observer_ebpf::{
    Family,
    wire::{
        packet::Address,
        tls::{self, library},
    },
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed,
    context::Parent,
    spec::{LibraryHook, Spec},
};
use crate::time::Time;

pub use streams::Streams;

pub const SPEC: Spec = Spec {
    family: Family::Tls,
    gives: "path, deadline, verdict and message of webhook calls",
    cost: "a breakpoint at reads and writes of every process that has the same TLS library or program file as one \
           that calls or serves webhooks, and nothing before one is seen",
    hooks: &[],
};

/// A function whose calls and returns are seen.
#[derive(Debug)]
pub struct Function {
    pub entry: LibraryHook,
    /// The program at its RET instructions, where it has to be seen how it returned.
    pub returned: Option<&'static str>,
}

const fn openssl(symbol: &'static str, program: &'static str) -> Function {
    let entry = LibraryHook { library: "libssl.so", symbol, program };
    Function { entry, returned: Some("openssl_returned") }
}

/// Where a function is missing, the library is too old to have it.
pub const OPENSSL: &[Function] = &[
    openssl("SSL_read", "openssl_read"),
    openssl("SSL_read_ex", "openssl_read_ex"),
    openssl("SSL_write", "openssl_write"),
    openssl("SSL_write_ex", "openssl_write_ex"),
];

/// Of programs that are their own library.
pub const GO: &[Function] = &[
    Function {
        entry: LibraryHook { library: "", symbol: "crypto/tls.(*Conn).Write", program: "go_write" },
        returned: None,
    },
    Function {
        entry: LibraryHook { library: "", symbol: "crypto/tls.(*Conn).Read", program: "go_read" },
        returned: Some("go_returned"),
    },
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A webhook is called.
    Request(Request),
    /// What it answers.
    Response(Response),
    /// A connection on which something was asked, in a way that is not understood: it may have been a call.
    Http2(Connection),
    /// A call has ended without an answer.
    Ended(Ended),
    /// A connection that carries other things than calls: nothing more of it is of interest.
    Unrelated(Connection),
    /// What one piece says of several streams, in order.
    Several(Vec<Event>),
    /// Nothing of what passed concerns a webhook, as far as it is known: of no interest to anyone.
    Ordinary,
}

/// A connection of a TLS library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Where the library keeps it: with the process, its identity.
    pub address: u64,
    /// Its socket, where it has one of its own and that is known.
    pub socket: Option<Socket>,
    /// Where the tunnel ends that it is made through.
    pub tunnel: Option<String>,
    pub library: Library,
    /// The process is the one that asks.
    pub is_client: bool,
    /// When the process started.
    pub start: Time,
    pub comm: String,
    /// Of HTTP/2, which carries several calls at once: the stream.
    #[serde(default)]
    pub stream: Option<u32>,
}

/// A TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// The kernel's number of it; `None`: nobody has asked for it yet.
    pub cookie: Option<u64>,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Library {
    OpenSsl,
    Go,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub connection: Connection,
    /// When its first byte was written, or had been read.
    pub began: Time,
    pub method: Option<String>,
    /// Without what follows a `?`.
    pub path: Option<String>,
    /// Whom it is for, by its `Host`.
    pub host: Option<String>,
    /// `?timeout=`, nanoseconds.
    pub deadline_ns: Option<u64>,
    /// It says of itself that it comes from kube-apiserver.
    pub is_admission: bool,
    /// Its body is an AdmissionReview.
    pub is_review: bool,
    pub uid: Option<String>,
    /// Bytes of its body.
    pub length: Option<u64>,
    /// What it says of the trace that it belongs to.
    #[serde(default)]
    pub parent: Option<Parent>,
    /// Some of its headers refer to what was said before the observer listened: what is `None` may have been said.
    #[serde(default)]
    pub is_unresolved: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub connection: Connection,
    pub at: Time,
    pub how: Ending,
}

/// How a call ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// With this code, by the client or the server.
    Reset { by_client: bool, code: u32 },
    /// The server goes away, with this code, and has not looked at it.
    GoneAway { code: u32 },
    /// What came of it passed unseen.
    Missed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    pub connection: Connection,
    pub began: Time,
    /// `None`: it refers to what was said before the observer listened.
    pub status: Option<u16>,
    pub is_review: bool,
    pub uid: Option<String>,
    pub allowed: Option<bool>,
    pub message: Option<String>,
    /// `status.code` of its AdmissionReview.
    pub code: Option<u32>,
    pub length: Option<u64>,
    /// More of it was there than is looked at, or it is packed.
    pub is_cut: bool,
}

fn library_of(wire: u32) -> Result<Library, Malformed> {
    match wire {
        library::OPENSSL => Ok(Library::OpenSsl),
        library::GO => Ok(Library::Go),
        other => Err(Malformed::Operation(other)),
    }
}

fn socket_of(wire: &tls::Socket) -> Option<Socket> {
    let end =
        |address: Address, port| SocketAddr::new(IpAddr::V6(Ipv6Addr::from(address)).to_canonical(), port);
    (wire.remote_port != 0).then(|| Socket {
        cookie: (wire.cookie != 0).then_some(wire.cookie),
        local: end(wire.local, wire.local_port),
        remote: end(wire.remote, wire.remote_port),
    })
}
