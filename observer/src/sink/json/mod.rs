//! JSON lines: one object a line. These types are the outer format, apart from the model: fields are added,
//! never renamed, and written in the order in which they are declared.

mod address;
mod api;
mod coldstart;
mod comparison;
mod container;
mod cpu;
mod describe;
mod dns;
mod event;
mod evidence;
mod file;
mod finding;
mod hardware;
mod health;
mod line;
pub mod matrix;
mod module;
mod net;
mod network;
mod node;
mod otlp;
mod stats;
mod summary;
mod text;
mod webhook;

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    output::{Description, Output, Summary},
    sink::{Identity, Sink, compare::Report},
    time::Wall,
};

pub(super) use line::to_vec;

pub struct JsonSink<W> {
    out: W,
    identity: Identity,
    summary: Option<Summary>,
    /// The time of the latest output: a comparison has none of its own.
    latest: Wall,
}

/// What every object begins with.
#[derive(Serialize)]
struct Common<'a> {
    r#type: &'static str,
    time: String,
    node: Option<&'a str>,
    host: &'a str,
}

impl<W: Write> JsonSink<W> {
    pub fn new(out: W, identity: Identity) -> JsonSink<W> {
        JsonSink { out, identity, summary: None, latest: Wall(0) }
    }

    /// A line is written whole and at once: whoever reads it live sees no halves.
    fn line(&mut self, kind: &'static str, time: Wall, body: &impl Serialize) -> io::Result<()> {
        #[derive(Serialize)]
        struct Object<'a, B> {
            #[serde(flatten)]
            common: Common<'a>,
            #[serde(flatten)]
            body: &'a B,
        }
        self.latest = time;
        let common = Common {
            r#type: kind,
            time: super::units::rfc3339(time),
            node: self.identity.node.as_deref(),
            host: &self.identity.host,
        };
        let mut line = to_vec(&Object { common, body })?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

impl<W: Write> JsonSink<W> {
    /// # Errors
    /// As [`Sink::output`].
    pub fn describe(&mut self, description: &Description) -> io::Result<()> {
        self.line("describe", description.time, &describe::DescribeBody::of(description))
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        match output {
            Output::ColdStart(start) => {
                self.line("coldstart", start.time, &coldstart::ColdStartBody::of(start))
            }
            Output::Health(health) => self.line("health", health.time, &health::HealthBody::of(health)),
            Output::Summary(summary) => {
                self.latest = summary.to;
                self.summary = Some(summary.clone());
                Ok(())
            }
            Output::Event(event) => self.line("event", event.time, &event::EventBody::of(event)),
            Output::Finding(finding) => {
                self.line("finding", finding.time, &finding::FindingBody::of(finding))
            }
            Output::Unproven(unproven) => {
                self.line("unproven", unproven.time, &finding::UnprovenBody::of(unproven))
            }
            Output::Evidence(evidence) => {
                self.line("evidence", evidence::time(evidence), &evidence::EvidenceBody::of(evidence))
            }
            Output::Stats(stats) => self.line("stats", stats.to, &stats::StatsBody::of(stats)),
            // Told already, as a finding.
            Output::Settled(_) | Output::Want(_) => Ok(()),
        }
    }

    fn comparison(&mut self, report: &Report) -> io::Result<()> {
        self.line("comparison", self.latest, &comparison::ComparisonBody::of(report))
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.summary.take() {
            Some(summary) => self.line("summary", summary.to, &summary::SummaryBody::of(&summary)),
            None => self.out.flush(),
        }
    }
}
