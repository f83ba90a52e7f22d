//! Signals of standard streams.

use super::{Label, Observation, Signal};
use crate::output::{Stdio, StdioOutcome};

pub(super) fn signals<'a>(
    stdio: &'a Stdio,
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
    if stdio.broken_pipe_writes > 0 {
        let text = format!(
            "{} writes to {stream} failed with EPIPE: nobody reads its pipe",
            stdio.broken_pipe_writes
        );
        see(of(Signal::StdioBroken, stdio.broken_pipe_writes as f64).saying(text));
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
