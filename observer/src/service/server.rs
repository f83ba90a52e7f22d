//! The end that answers. A connection is a task of its own; what only the pipeline knows is asked of the main loop, which
//! never waits for whoever asks.

use std::{
    future::Future,
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{Ask, Line, MAX_ANSWER, MAX_REQUEST, Request, VERSION};

/// Connections at once; one more is turned away.
const MAX_CONNECTIONS: usize = 16;
/// How long whoever asks may take to do so, and to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be taken: for want of descriptors, which a pause may give back.
const PAUSE: Duration = Duration::from_millis(100);

/// What is left to do for an answer once the main loop has given what it knows.
pub enum Answer {
    Lines(Pin<Box<dyn Future<Output = Vec<Line>> + Send>>),
    /// Bytes of a recording, batch by batch.
    Follow(mpsc::Receiver<Vec<u8>>),
}

/// For the main loop.
pub struct Question {
    pub ask: Ask,
    pub answer: oneshot::Sender<Answer>,
}

/// A socket that is listened on. Removed when this is dropped, if it still is the one that was made.
pub struct Server {
    path: PathBuf,
    made: (u64, u64),
    questions: mpsc::Receiver<Question>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens; only the owner may ask. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be made, or something else is there. One that nobody listens on any more makes way.
    pub fn listen(path: &Path) -> io::Result<Server> {
        remove_abandoned(path)?;
        // Made as its owner's only: a change of mode afterwards would come too late for who is quick.
        let before = rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound?;
        let metadata = std::fs::symlink_metadata(path)?;
        let (sender, questions) = mpsc::channel(MAX_CONNECTIONS);
        let accepting = tokio::spawn(accept(listener, sender));
        Ok(Server { path: path.to_owned(), made: (metadata.dev(), metadata.ino()), questions, accepting })
    }

    /// The next question. Never ends by itself.
    pub async fn next(&mut self) -> Question {
        match self.questions.recv().await {
            Some(question) => question,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        let is_ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.made);
        if is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A socket that an observer left behind that was killed.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there"))
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another observer answers there")),
        },
    }
}

async fn accept(listener: UnixListener, questions: mpsc::Sender<Question>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            // Closed without a word: there is no room for a task that says why.
            continue;
        };
        let questions = questions.clone();
        tokio::spawn(async move {
            // Whoever asked has left, or takes nothing: nobody is there to be told.
            let _ = serve(stream, questions).await;
            drop(permit);
        });
    }
}

async fn serve(stream: UnixStream, questions: mpsc::Sender<Question>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX_REQUEST));
    timeout(PATIENCE, read.read_line(&mut line)).await??;
    let answer = match understood(&line) {
        Ok(ask) => ask_main_loop(ask, &questions).await,
        Err(why) => refused(why),
    };
    match answer {
        Answer::Lines(rest) => timeout(PATIENCE, write.write_all(&encoded(&rest.await))).await??,
        Answer::Follow(mut batches) => {
            write.write_all(&encoded(&[Line::Follows])).await?;
            // Who takes nothing for so long is hung up on; what it would have got waits in no queue.
            while let Some(batch) = batches.recv().await {
                timeout(PATIENCE, write.write_all(&batch)).await??;
            }
        }
    }
    write.shutdown().await
}

fn refused(why: String) -> Answer {
    Answer::Lines(Box::pin(async { vec![Line::Refused(why)] }))
}

fn understood(line: &str) -> Result<Ask, String> {
    #[derive(serde::Deserialize)]
    struct Spoken {
        observer: u32,
    }
    let spoken: Spoken = serde_json::from_str(line).map_err(|error| format!("not a request: {error}"))?;
    if spoken.observer != VERSION {
        return Err(format!("version {VERSION} is spoken here, not {}", spoken.observer));
    }
    let request: Request = serde_json::from_str(line).map_err(|error| format!("not a request: {error}"))?;
    Ok(request.ask)
}

async fn ask_main_loop(ask: Ask, questions: &mpsc::Sender<Question>) -> Answer {
    let (answer, answered) = oneshot::channel();
    let ending = || refused("the observer is ending".to_owned());
    if questions.send(Question { ask, answer }).await.is_err() {
        return ending();
    }
    answered.await.unwrap_or_else(|_| ending())
}

/// One that would be too long is refused, not cut.
fn encoded(lines: &[Line]) -> Vec<u8> {
    let encode = |lines: &[Line]| {
        let mut bytes = Vec::new();
        for line in lines {
            // Into memory and with these types encoding cannot fail.
            if serde_json::to_writer(&mut bytes, line).is_ok() {
                bytes.push(b'\n');
            }
        }
        bytes
    };
    let bytes = encode(lines);
    if bytes.len() <= MAX_ANSWER {
        return bytes;
    }
    encode(&[Line::Refused(format!("the answer has {} bytes, at most {MAX_ANSWER} are sent", bytes.len()))])
}
