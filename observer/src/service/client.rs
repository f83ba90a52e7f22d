//! The end that asks.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Ask, Line, MAX_ANSWER, MAX_REQUEST, Request, State, VERSION};
use crate::record::SegmentReader;

/// How long an answer may take: engines are asked for it, which have their own patience.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the observer at {} gives no answer ({source}); --standalone asks the kernel instead", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("you may not ask the observer at {}: only who runs it, or root, may (sudo)", path.display())]
    Forbidden { path: PathBuf },
    #[error("the socket {} belongs to user {owner}, neither to you nor to root; --standalone asks nobody", path.display())]
    Foreign { path: PathBuf, owner: u32 },
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
    /// The observer that answers at this socket; `None`: there is none.
    ///
    /// # Errors
    /// It may not be asked, or something is there that does not answer as an observer of this version does.
    pub fn find(path: &Path) -> Result<Option<Client>, ClientError> {
        match UnixStream::connect(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(ClientError::Forbidden { path: path.to_owned() });
            }
            Err(_) => return Ok(None),
        }
        // What it says is shown as it came: only who may be trusted with a terminal is asked.
        let owner = fs::metadata(path).map_or(u32::MAX, |metadata| metadata.uid());
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(ClientError::Foreign { path: path.to_owned(), owner });
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
        let stream = self.request(ask).map_err(|error| self.io(error))?;
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

    /// What the pipeline of that observer is fed, from now on.
    ///
    /// # Errors
    /// It gives nothing, or says why not.
    pub fn follow(&self) -> Result<SegmentReader<BufReader<UnixStream>>, ClientError> {
        let stream = self.request(Ask::Follow).map_err(|error| self.io(error))?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.by_ref().take(MAX_REQUEST).read_line(&mut line).map_err(|error| self.io(error))?;
        match serde_json::from_str(&line).map_err(|error| self.io(error.into()))? {
            Line::Follows => Ok(SegmentReader::new(stream)),
            Line::Refused(why) => Err(ClientError::Refused { path: self.path.clone(), why }),
            _ => Err(self.io(io::ErrorKind::InvalidData.into())),
        }
    }

    fn request(&self, ask: Ask) -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let request = serde_json::to_string(&Request { observer: VERSION, ask })? + "\n";
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }

    fn io(&self, source: io::Error) -> ClientError {
        ClientError::Io { path: self.path.clone(), source }
    }
}
