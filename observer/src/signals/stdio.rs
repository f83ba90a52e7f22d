//! Signals of standard streams.

use std::collections::BTreeMap;

use super::{Label, Observation, Signal};
use crate::output::{Instance, Stdio, StdioOutcome};

/// Streams whose failed writes are remembered; of more, the oldest container's are counted anew.
const MAX: usize = 4_096;

/// Failed writes are told as totals, again and again; rules count those that are new.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<(Instance, u32), u64>);

impl Counted {
    /// How many of a stream's failed writes were not told before.
    pub fn fresh(&mut self, instance: Option<Instance>, stdio: &Stdio) -> u64 {
        self.of(instance.map(|instance| (instance, stdio.fd)), stdio.broken_pipe_writes, stdio.ended)
    }

    fn of(&mut self, stream: Option<(Instance, u32)>, total: u64, ended: bool) -> u64 {
        let Some(stream) = stream else { return total };
        let before = if ended || total == 0 { self.0.remove(&stream) } else { self.0.insert(stream, total) };
        if self.0.len() > MAX {
            self.0.pop_first();
        }
        total.saturating_sub(before.unwrap_or(0))
    }
}

pub(super) fn signals<'a>(
    stdio: &'a Stdio,
    fresh: u64,
    of: impl Fn(Signal, f64) -> Observation<'a>,
    see: &mut impl FnMut(Observation<'a>),
) {
    let stream = if stdio.fd == 2 { "stderr" } else { "stdout" };
    let of = |signal, value| {
        let reader = if stdio.reader.is_some() { "present" } else { "gone" };
        of(signal, value)
            .with(Label::Fd, stdio.fd.to_string())
            .with(Label::Outcome, stdio.outcome.name())
            .with(Label::Reader, reader)
    };
    if fresh > 0 {
        let text = match stdio.broken_pipe_writes {
            1 => format!("a write to {stream} failed with EPIPE: nobody reads its pipe"),
            all => format!("{all} writes to {stream} failed with EPIPE: nobody reads its pipe"),
        };
        see(of(Signal::StdioBroken, fresh as f64).saying(text));
    }
    if let (StdioOutcome::Blocked, Some(ns)) = (stdio.outcome, stdio.blocked_ns) {
        let queued = stdio.pipe_bytes.unwrap_or(0);
        let text = format!(
            "a write to {stream} has waited for {:.1} s for room in its pipe, {queued} bytes are queued",
            ns as f64 / 1e9
        );
        see(of(Signal::StdioBlocked, ns as f64 / 1e6).saying(text));
    }
    let queued = stdio.pipe_bytes.filter(|bytes| *bytes > 0);
    if let (StdioOutcome::Undelivered | StdioOutcome::ReaderGone, Some(bytes)) = (stdio.outcome, queued) {
        let text = format!("{bytes} bytes of {stream} are in its pipe, and nobody reads it any more");
        see(of(Signal::StdioUndelivered, bytes as f64).saying(text));
    }
    if let (StdioOutcome::HeldUntilExit, Some(bytes)) = (stdio.outcome, stdio.written_bytes) {
        let text = format!("all {bytes} bytes of {stream} were written just before it ended");
        see(of(Signal::StdioHeld, bytes as f64).saying(text));
    }
    let Some(delivered) = stdio.delivered_bytes.filter(|bytes| *bytes > 0) else { return };
    let stuck = stdio.log_file.as_ref().filter(|log| log.grew == Some(false));
    match stuck.filter(|_| stdio.outcome == StdioOutcome::Delivered) {
        Some(log) => {
            let text = format!("{delivered} bytes of {stream} were read, and {} did not grow", log.path);
            see(of(Signal::StdioLogStuck, delivered as f64).saying(text));
        }
        None => see(of(Signal::StdioDelivered, delivered as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    #[test]
    fn only_new_failures_of_a_stream_are_counted() {
        let mut counted = Counted::default();
        let stream = |pid| Some((Instance { init: pid, start: Time(1) }, 1));
        let fresh =
            [(1, 5, false), (2, 2, false), (1, 5, false), (1, 9, false), (1, 12, true), (1, 1, false)]
                .map(|(pid, total, ended)| counted.of(stream(pid), total, ended));
        assert_eq!(fresh, [5, 2, 0, 4, 3, 1]);
        assert_eq!([3, 3].map(|total| counted.of(None, total, false)), [3, 3], "nobody knows whose it is");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut counted = Counted::default();
        for pid in 0..2 * MAX as u32 {
            counted.of(Some((Instance { init: pid, start: Time(1) }, 1)), 1, false);
        }
        assert_eq!(counted.0.len(), MAX);
    }
}
