//! Which protocol a connection speaks, and which connections are kept: those that speak, up to a number, and of those that
//! have not spoken yet, or are still shaking hands, the youngest.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    select,
    sync::oneshot,
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Connections that have spoken.
pub(super) const MAX_SPEAKING: usize = 512;
/// Connections that have not said anything; one more costs the oldest of them.
const MAX_SILENT: usize = 128;
/// How long a connection may say nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between two looks at what has not come whole.
const LOOK: Duration = Duration::from_millis(5);
/// How a handshake of TLS begins.
const HANDSHAKE: u8 = 22;
/// For whoever speaks HTTP where TLS is spoken, and of whom so much is heard, bytes, for the answer to arrive.
const NOT_TLS: &str = "this port speaks TLS: use https://\n";
const HEARD: u64 = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// Enough of what it says to tell the two apart, left where it is.
async fn first_words(stream: &TcpStream) -> Option<Spoken> {
    let mut words = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut words).await {
            Ok(0) | Err(_) => return None,
            Ok(len) if words[..len] != PREFACE[..len] => return Some(Spoken::Http1),
            Ok(len) if len == PREFACE.len() => return Some(Spoken::Http2),
            Ok(_) => sleep(LOOK).await,
        }
    }
}

/// A connection that has spoken.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why a connection was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It said nothing.
    Silent,
    /// What it said did not become a connection of TLS.
    NoHandshake,
}

/// Waits for the first words, with TLS after its handshake. `heard`: it has begun one.
async fn arrive(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    heard: &mut bool,
) -> Result<(Stream, Spoken), Lost> {
    let Some(tls) = tls else {
        let spoken = first_words(&stream).await.ok_or(Lost::Silent)?;
        return Ok((Stream::Plain(stream), spoken));
    };
    let mut first = [0];
    if !matches!(stream.peek(&mut first).await, Ok(1)) {
        return Err(Lost::Silent);
    }
    *heard = true;
    if first != [HANDSHAKE] {
        explain(stream).await;
        return Err(Lost::NoHandshake);
    }
    let mut stream = tls.accept(stream).await.map_err(|_| Lost::NoHandshake)?;
    // Who only shakes hands has not said anything either.
    if !matches!(stream.fill_buf().await, Ok(words) if !words.is_empty()) {
        return Err(Lost::Silent);
    }
    // HTTP/2 is agreed on in the handshake, where it is spoken with TLS.
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok((Stream::Tls(Box::new(stream)), if is_http2 { Spoken::Http2 } else { Spoken::Http1 }))
}

/// Says what is wrong to whoever is not encrypted, in the words of most of them.
async fn explain(mut stream: TcpStream) {
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length";
    let answer = format!("{head}: {}\r\n\r\n{NOT_TLS}", NOT_TLS.len());
    if stream.write_all(answer.as_bytes()).await.is_ok() && stream.shutdown().await.is_ok() {
        // Closed before it was heard out, it would not have the answer.
        let _ = stream.take(HEARD).read_to_end(&mut Vec::new()).await;
    }
}

/// Those that have said nothing yet, oldest first.
#[derive(Default)]
pub(super) struct Silent {
    waiting: Mutex<(u64, BTreeMap<u64, oneshot::Sender<()>>)>,
}

impl Silent {
    /// Waits until it speaks, and shakes hands before that where TLS is spoken, unless others need its place.
    pub(super) async fn until_it_speaks(
        &self,
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
    ) -> Result<(Stream, Spoken), Lost> {
        let (give_way, given_way) = oneshot::channel();
        let number = self.enter(give_way);
        let mut heard = false;
        let arrived = select! {
            arrived = arrive(stream, tls, &mut heard) => Some(arrived),
            _ = given_way => None,
            () = sleep(PATIENCE) => None,
        };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number);
        arrived.unwrap_or(Err(if heard { Lost::NoHandshake } else { Lost::Silent }))
    }

    fn enter(&self, give_way: oneshot::Sender<()>) -> u64 {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, silent) = &mut *waiting;
        *next += 1;
        silent.insert(*next, give_way);
        if silent.len() > MAX_SILENT
            && let Some((_, oldest)) = silent.pop_first()
        {
            // It may have spoken just now.
            let _ = oldest.send(());
        }
        *next
    }
}
