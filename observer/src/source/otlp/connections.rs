//! Which protocol a connection speaks, and which connections are kept: those that speak, up to a number, and of those that have not spoken yet the youngest.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::TcpStream, select, sync::oneshot, time::sleep};

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

/// Those that have said nothing yet, oldest first.
#[derive(Default)]
pub(super) struct Silent {
    waiting: Mutex<(u64, BTreeMap<u64, oneshot::Sender<()>>)>,
}

impl Silent {
    /// Waits until it speaks; `None`: it did not before others needed its place.
    pub(super) async fn until_it_speaks(&self, stream: &TcpStream) -> Option<Spoken> {
        let (give_way, given_way) = oneshot::channel();
        let number = self.enter(give_way);
        let spoke = select! {
            spoken = first_words(stream) => spoken,
            _ = given_way => None,
            () = sleep(PATIENCE) => None,
        };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number);
        spoke
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
