//! What is said on standard error: lines, and below them, on a terminal, one line that says how a run goes. That
//! line is wiped before anything else is written, to standard output too: both may be the same terminal.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often the line changes at most.
const PACE: Duration = Duration::from_secs(1);
/// To its first column, and everything behind it away.
const WIPE: &str = "\r\x1b[K";

/// Whether the line stands on the terminal.
static STANDS: Mutex<bool> = Mutex::new(false);

/// Says a line.
pub fn say(line: impl Display) {
    let mut stands = STANDS.lock().unwrap_or_else(PoisonError::into_inner);
    wipe(&mut stands);
    eprintln!("observer: {line}");
}

/// Makes room for what is written elsewhere.
pub fn make_room() {
    wipe(&mut STANDS.lock().unwrap_or_else(PoisonError::into_inner));
}

fn wipe(stands: &mut bool) {
    if std::mem::take(stands) {
        // A terminal that has gone needs no wiping.
        let _ = io::stderr().write_all(WIPE.as_bytes());
    }
}

/// The line that says how a run goes.
pub struct StatusLine {
    columns: Option<usize>,
    written: Instant,
}

impl StatusLine {
    /// It stays away unless it is wanted and standard error is a terminal.
    pub fn new(wanted: bool) -> Self {
        let columns = rustix::termios::tcgetwinsize(io::stderr()).ok().map(|size| usize::from(size.ws_col));
        let is_seen = wanted && io::stderr().is_terminal();
        StatusLine { columns: columns.filter(|columns| is_seen && *columns > 1), written: Instant::now() }
    }

    /// Writes the line anew if it is time for it.
    pub fn update(&mut self, line: impl FnOnce() -> String) {
        let Some(columns) = self.columns.filter(|_| self.written.elapsed() >= PACE) else { return };
        self.written = Instant::now();
        // A line that fills the last column would wrap, and could not be wiped.
        let line: String = line().chars().take(columns - 1).collect();
        let mut stands = STANDS.lock().unwrap_or_else(PoisonError::into_inner);
        *stands = io::stderr().write_all(format!("{WIPE}{line}").as_bytes()).is_ok();
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        make_room();
    }
}
