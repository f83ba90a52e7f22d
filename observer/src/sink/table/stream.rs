//! What becomes of what a container writes to a standard stream, hop by hop.

use crate::{
    output::{Stdio, StdioTarget, Unflushed},
    sink::{
        units::{bytes_text, ms_text, process_text},
        words,
    },
};

pub(super) fn name(stream: &Stdio) -> &'static str {
    match (stream.fd, stream.shared_with_fd) {
        (1, Some(_)) => "stdout+stderr",
        (1, None) => "stdout",
        _ => "stderr",
    }
}

/// `delivered: 120 B written -> pipe, 0 B queued -> containerd-shim[12] -> /var/log/pods/... 4.0 KiB, grew`.
pub(super) fn hops(stream: &Stdio) -> String {
    let written = match stream.written_bytes {
        Some(bytes) => format!("{} written", bytes_text(bytes)),
        None => "bytes written not known".to_owned(),
    };
    let mut hops = vec![written];
    match stream.target {
        StdioTarget::Pipe | StdioTarget::Fifo => {
            let queued = stream.pipe_bytes.map_or_else(
                || "what is queued not known".to_owned(),
                |bytes| format!("{} queued", bytes_text(bytes)),
            );
            hops.push(format!("pipe, {queued}"));
            hops.push(stream.reader.as_ref().map_or_else(|| "reader not known".to_owned(), process_text));
        }
        StdioTarget::Closed => hops.push("closed".to_owned()),
        target => hops.push(words::target_text(target).to_owned()),
    }
    if let Some(log) = &stream.log_file {
        let bytes = log.bytes.map(|bytes| format!(" {}", bytes_text(bytes))).unwrap_or_default();
        let grew = match log.grew {
            Some(true) => ", grew",
            Some(false) => ", does not grow",
            None => "",
        };
        hops.push(format!("{}{bytes}{grew}", log.path));
    }
    let waited = stream.blocked_ns.filter(|ns| *ns > 0);
    let waited = waited.map(|ns| format!("; writers waited {} ms", ms_text(ns))).unwrap_or_default();
    let lost = match stream.unflushed {
        Some(Unflushed::Likely) => {
            "; what it had not written yet is likely lost: it was killed, SIGTERM ignored"
        }
        Some(Unflushed::Possible) => {
            "; what it may have had to write is lost: it was killed, SIGTERM ignored"
        }
        None => "",
    };
    format!("{}: {}{waited}{lost}", stream.outcome.name(), hops.join(" -> "))
}
