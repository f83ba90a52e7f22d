//! Trace and span ids that follow from the start itself: sending a start again, or replaying its recording,
//! gives the same ids, and a back end sees one trace.

use sha2::{Digest, Sha256};

use super::resource::Host;
use crate::output::{ColdStart, Event, Finding, What};

pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];

/// From the host, the container, its instance and what the start's first instant is. A start that never got as
/// far as an init has no instance; its time tells it from the next attempt under the same id.
pub fn trace_id(start: &ColdStart, host: &Host) -> TraceId {
    let mut hash = Sha256::new();
    hash.update(b"observer cold start 1");
    for part in [host.id.as_deref().unwrap_or(&host.name), &start.container.id, start.t0.name()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    match start.container.instance {
        Some(instance) => {
            hash.update([1]);
            hash.update(instance.init.to_le_bytes());
            hash.update(instance.start.0.to_le_bytes());
        }
        None => {
            hash.update([0]);
            hash.update(start.time.0.to_le_bytes());
        }
    }
    leading(&hash.finalize())
}

/// From the host, the container, its instance, what is told and when.
pub fn event_trace_id(event: &Event, name: &str, host: &Host) -> TraceId {
    let mut hash = Sha256::new();
    hash.update(b"observer event 1");
    let process = event.process.as_ref().map_or(0, |process| process.tid);
    let fd = match &event.what {
        What::Stdio(stdio) => stdio.fd,
        // A process may make many calls at once.
        What::Webhook(call) => call.client.port.map_or(0, u32::from),
        What::Exec(_)
        | What::Runtime(_)
        | What::Memory(_)
        | What::Dns(_)
        | What::Net(_)
        | What::Cpu(_)
        | What::File(_)
        | What::Io(_) => 0,
        What::Text(text) => text.fd,
    };
    let container = event.container.as_ref();
    let id = container.map_or("", |container| &container.id);
    for part in [host.id.as_deref().unwrap_or(&host.name), id, name] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let instance = container.and_then(|container| container.instance);
    let instance = instance.map_or((0, 0), |instance| (instance.init, instance.start.0));
    for number in [u64::from(instance.0), instance.1, u64::from(process), u64::from(fd)] {
        hash.update(number.to_le_bytes());
    }
    hash.update(event.time.0.to_le_bytes());
    // One write may hold several lines.
    if let What::Text(text) = &event.what {
        hash.update(text.keyword.as_bytes());
        hash.update(text.line.as_bytes());
    }
    leading(&hash.finalize())
}

/// From the host, what was found about whom, and since when: what is found again after it was over is another.
pub fn finding_trace_id(finding: &Finding, host: &Host) -> TraceId {
    let mut hash = Sha256::new();
    hash.update(b"observer finding 1");
    for part in [host.id.as_deref().unwrap_or(&host.name), &finding.fingerprint] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(finding.first_seen.0.to_le_bytes());
    leading(&hash.finalize())
}

/// Span `index` of a trace; the root is 0.
pub fn span_id(trace: &TraceId, index: usize) -> SpanId {
    let mut hash = Sha256::new();
    hash.update(b"observer span 1");
    hash.update(trace);
    hash.update((index as u64).to_le_bytes());
    leading(&hash.finalize())
}

/// The first `N` bytes, made valid: an id of zeros means "none".
pub(super) fn leading<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut id = [0; N];
    id.copy_from_slice(&digest[..N]);
    if id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::leading;

    #[test]
    fn an_id_is_never_zero() {
        assert_eq!(leading::<8>(&[0; 32]), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(leading::<4>(&[0, 0, 9, 0, 7]), [0, 0, 9, 0]);
    }
}
