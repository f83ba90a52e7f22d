//! The telemetry of others on its way into the pipeline, and what became of it.

use anyhow::Result;

use super::{super::spans::Spans, Edge};
use crate::{health::Report, input::Input};

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
