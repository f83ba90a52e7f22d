//! The end that asks.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Ask, Line, MAX_ANSWER, Request, State, VERSION};

/// How long an answer may take: engines are asked for it, which have their own patience.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the observer at {} gives no answer ({source}); --standalone asks the kernel instead", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the observer at {} says: {why}", path.display())]
    Refused { path: PathBuf, why: String },
}

/// An observer that runs and answers.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    pub state: State,
}

impl Client {
    /// The observer that answers at this socket; `None`: there is none, or it may not be asked.
    ///
    /// # Errors
    /// Something is there that does not answer as an observer of this version does.
    pub fn find(path: &Path) -> Result<Option<Client>, ClientError> {
        match UnixStream::connect(path) {
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
        let mut client = Client { path: path.to_owned(), state: State::default() };
        let mut state = None;
        client.ask(Ask::State, |line| {
            if let Line::State(said) = line {
                state = Some(said);
            }
            Ok(())
        })?;
        client.state = state.ok_or_else(|| client.io(io::ErrorKind::InvalidData.into()))?;
        Ok(Some(client))
    }

    /// Asks, hands on each line of the answer but the last, and gives the exit code.
    ///
    /// # Errors
    /// There is no answer, or `take` fails.
    pub fn ask(&self, ask: Ask, mut take: impl FnMut(Line) -> io::Result<()>) -> Result<i32, ClientError> {
        let mut stream = UnixStream::connect(&self.path).map_err(|error| self.io(error))?;
        let patient = |stream: &UnixStream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))
        };
        patient(&stream).map_err(|error| self.io(error))?;
        let request = serde_json::to_string(&Request { observer: VERSION, ask });
        let request = request.map_err(|error| self.io(error.into()))? + "\n";
        stream.write_all(request.as_bytes()).map_err(|error| self.io(error))?;
        // One byte more than any answer has: one that is longer is none.
        let answer = BufReader::new(stream.take(MAX_ANSWER as u64 + 1));
        for line in answer.lines() {
            let line = line.map_err(|error| self.io(error))?;
            match serde_json::from_str(&line).map_err(|error| self.io(error.into()))? {
                Line::Done(code) => return Ok(code),
                Line::Refused(why) => return Err(ClientError::Refused { path: self.path.clone(), why }),
                line => take(line).map_err(|error| self.io(error))?,
            }
        }
        Err(self.io(io::ErrorKind::UnexpectedEof.into()))
    }

    fn io(&self, source: io::Error) -> ClientError {
        ClientError::Io { path: self.path.clone(), source }
    }
}
