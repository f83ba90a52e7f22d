//! When a run that watches is over: its time is up, its CMD has ended and what that left is settled, or it was told to.

use std::{process::ExitStatus, time::Duration};

use tokio::{
    process::Child,
    time::{Instant, sleep_until},
};

use crate::{
    cli,
    input::{End, EndReason},
};

/// After CMD's end, what it left behind in the kernel is still coming.
const DRAIN: Duration = Duration::from_millis(60);

pub struct Ending {
    deadline: Option<Instant>,
    ready_wait: Duration,
    why: EndReason,
    command_exit: Option<i32>,
    drained_from: Option<Instant>,
}

impl Ending {
    pub fn of(watch: &cli::Watch) -> Ending {
        Ending {
            deadline: watch.duration.map(|duration| Instant::now() + duration),
            ready_wait: watch.ready_wait,
            why: EndReason::Deadline,
            command_exit: None,
            drained_from: None,
        }
    }

    /// Whether CMD is still to end.
    pub fn awaits(&self, child: Option<&Child>) -> bool {
        self.command_exit.is_none() && child.is_some()
    }

    /// What it started may still have to listen: that is waited for, but not longer than was asked for.
    pub fn command_ended(&mut self, status: ExitStatus) {
        let now = Instant::now();
        self.command_exit = Some(exit_number(status));
        self.why = EndReason::CommandEnded;
        self.drained_from = Some(now + DRAIN);
        let patience = now + DRAIN + self.ready_wait;
        self.deadline = Some(self.deadline.map_or(patience, |deadline| deadline.min(patience)));
    }

    /// When the run is over whatever happens, if there is such a time.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether nothing more will come of CMD.
    pub fn is_settled(&self, open_starts: usize) -> bool {
        self.drained_from.is_some_and(|from| Instant::now() >= from) && open_starts == 0
    }

    pub fn over(self) -> End {
        End { why: self.why, command_exit: self.command_exit }
    }

    pub fn interrupted(self) -> End {
        End { why: EndReason::Interrupted, command_exit: self.command_exit }
    }
}

pub async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

pub async fn ended(child: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// The exit code, or the negative number of the signal that ended it.
fn exit_number(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}
