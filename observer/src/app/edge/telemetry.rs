//! The telemetry of others on its way into the pipeline, what became of it, and what all of this has cost.

use anyhow::Result;

use super::{super::spans::Spans, Edge, nanoseconds};
use crate::{
    health::{OwnCost, Report},
    input::Input,
    source::live::Live,
};

impl Edge {
    /// Receives the telemetry of others, too.
    pub fn with_spans(self, spans: Option<Spans>) -> Self {
        Edge { spans, ..self }
    }

    /// Puts what has come in line with the samples: among records, by its time.
    pub(super) fn take_spans(&mut self) {
        if let Some(spans) = &self.spans {
            spans.take(|span| self.samples.push_back(span));
        }
    }

    /// Takes nothing more.
    pub(super) fn stop_spans(&mut self) {
        if let Some(spans) = &self.spans {
            spans.stop();
        }
        self.take_spans();
    }

    /// Nothing comes after the last spans that they could be before.
    pub(super) fn feed_last_spans(&mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.samples);
        rest.into_iter().filter(|input| matches!(input, Input::Span(_))).try_for_each(|span| self.feed(&span))
    }

    pub(super) fn count_spans(&mut self) -> Result<()> {
        let counts = self.spans.as_ref().map(Spans::counts);
        counts.map_or(Ok(()), |counts| self.report(Report::Otlp(counts)))
    }
}

/// CPU time and memory of this process, and what its kernel programs take.
pub(super) fn measure(live: &Live) -> OwnCost {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    OwnCost {
        cpu_ns: nanoseconds(cpu),
        rss_bytes: pages * rustix::param::page_size() as u64,
        bpf_run_ns: live.run_ns(),
    }
}
