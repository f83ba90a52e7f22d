//! Cold starts, findings and, where asked for, events as OTLP traces, one trace each; what becomes of findings as log
//! records; metrics. To a collector over gRPC or HTTP.
//!
//! Owns the queue in front of the collector and the count of what did not get through it. The caller is never
//! made to wait: a full queue, a collector that is down, slow or no collector at all costs records, which are
//! counted, and nothing else. Refuses compression (every receiver takes plain bodies). Spans of others go past all of that, as they came, if they go at all: [`Forwarder`].
//!
//! The messages are OTLP's own and the clients are used directly, without an SDK exporter: that one cannot say
//! how many spans the collector rejected, and has one resource where every container here has its own.

mod event;
mod evidence;
mod finding;
mod forward;
mod ids;
mod metrics;
mod resource;
mod secure;
mod settings;
mod spans;
mod spool;
mod transport;
mod worker;

use std::{
    fmt, io,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::{mpsc, watch},
    time::Instant,
};

pub use self::{
    forward::Forwarder,
    resource::Host,
    settings::{OtlpSettings, Protocol},
    spans::resource_spans,
};
use self::{
    transport::Transport,
    worker::{Item, Queued, Shared, Worker},
};
use crate::{
    output::{ColdStart, Event, Evidence, Finding},
    privileges,
    sink::metrics::Snapshot,
    span::Signal,
};

/// What waits for the collector, starts, events and all; one more is dropped and counted.
const QUEUE: usize = 2048;
/// How much longer than its deadline [`OtlpSink::flush`] waits for the exporting thread to notice it.
const GRACE: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    #[error("--otlp {url}: {why}; write it as http://HOST:PORT or https://HOST:PORT")]
    Url { url: String, why: String },
    #[error("--otlp {url}: {why}")]
    Tls { url: String, why: String },
    #[error(
        "{url} takes traces alone: --otlp-forward all needs an endpoint for all signals, whose path ends in /v1/traces"
    )]
    TracesOnly { url: String },
    #[error("OTLP protocol {name:?} is not known: use grpc or http/protobuf")]
    Protocol { name: String },
    /// Only the header's name: its value is often a secret.
    #[error("{variable}: header {name:?} is malformed: use NAME=VALUE[,NAME=VALUE], values percent-encoded")]
    Header { variable: &'static str, name: String },
    #[error("{variable}: {value:?} is not a positive number of milliseconds")]
    Timeout { variable: &'static str, value: String },
    #[error("cannot start the thread that exports spans: {0}")]
    Thread(#[from] io::Error),
}

/// What became of the spans of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpStats {
    /// Taken by the collector.
    pub exported_spans: u64,
    /// Everything else: queue full, rejected, given up, not sent or not confirmed before the deadline.
    pub dropped_spans: u64,
    pub logs: Sent,
    /// By series.
    pub metrics: Sent,
    /// Safe to print.
    pub last_error: Option<String>,
}

/// The same of another signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub exported: u64,
    pub dropped: u64,
}

impl fmt::Display for OtlpStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "otlp: {} spans exported, {} dropped", self.exported_spans, self.dropped_spans)?;
        for (signal, sent) in [(Signal::Logs, self.logs), (Signal::Metrics, self.metrics)] {
            if sent != Sent::default() {
                write!(f, "; {} {} exported, {} dropped", sent.exported, signal.records(), sent.dropped)?;
            }
        }
        match &self.last_error {
            Some(why) => write!(f, "; last error: {why}"),
            None => Ok(()),
        }
    }
}

/// Sends cold starts and events to a collector from a thread of its own.
pub struct OtlpSink {
    queue: mpsc::Sender<Queued>,
    stop: watch::Sender<Option<Instant>>,
    done: std_mpsc::Receiver<()>,
    shared: Arc<Shared>,
    /// The collector's place for other signals than traces is not known.
    traces_only: bool,
}

impl OtlpSink {
    /// `say` is handed the one line about a collector that does not take spans, at most once a run.
    pub fn new(
        settings: OtlpSettings,
        host: Host,
        say: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, OtlpError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let transport = {
            let _inside = runtime.enter();
            Transport::new(&settings)?
        };
        let (queue, queued) = mpsc::channel(QUEUE);
        let (stop, stopping) = watch::channel(None);
        let (finished, done) = std_mpsc::channel();
        let shared = Arc::new(Shared::default());
        let traces_only = settings.traces_only;
        let worker =
            Worker::new(transport, settings, host, queued, stopping, Arc::clone(&shared), Box::new(say));
        thread::Builder::new().name("observer-otlp".into()).spawn(move || {
            privileges::keep_only(privileges::NONE);
            runtime.block_on(worker.run());
            // A name look-up may still sit in a thread of the runtime's; nobody waits for it.
            runtime.shutdown_background();
            // Nobody listens if the sink was dropped without a flush.
            let _ = finished.send(());
        })?;
        Ok(OtlpSink { queue, stop, done, shared, traces_only })
    }

    /// Queues one start. Never blocks.
    pub fn send(&self, start: &ColdStart) {
        self.queue(Item::Start(Box::new(start.clone())), spans::count(start));
    }

    /// Queues one event. Never blocks.
    pub fn send_event(&self, event: &Event) {
        self.queue(Item::Event(Box::new(event.clone())), 1);
    }

    /// Queues what belongs to spans of others. Never blocks.
    pub fn send_evidence(&self, evidence: &Evidence) {
        self.queue(Item::Evidence(Box::new(evidence.clone())), evidence::count(evidence));
    }

    /// Queues a finding as a span, with links to what it explains. Never blocks.
    pub fn send_finding(&self, finding: &Finding) {
        self.queue(Item::Finding(Box::new(finding.clone())), 1);
    }

    /// Queues what has become of a finding, as a log record. Never blocks.
    pub fn send_status(&self, finding: &Finding) {
        self.queue(Item::Status(Box::new(finding.clone())), 1);
    }

    /// Queues all metrics as they are now. Never blocks.
    pub fn send_metrics(&self, snapshot: Snapshot) {
        let series = snapshot.series() as u64;
        if self.traces_only {
            return;
        }
        // Each says all that the ones before it have said.
        if !self.shared.has_room_for_snapshot() {
            self.shared.offer(Signal::Metrics, series);
            return self.shared.fail("older metrics were still waiting for the collector".into());
        }
        if !self.queue(Item::Metrics(Box::new(snapshot)), series) {
            self.shared.snapshot_left();
        }
    }

    /// Whether it waits now.
    fn queue(&self, what: Item, records: u64) -> bool {
        let signal = what.signal();
        if self.traces_only && signal != Signal::Traces {
            return false;
        }
        self.shared.offer(signal, records);
        let queued = Queued { what, records };
        match self.queue.try_send(queued) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.shared.fail(format!(
                    "more than {QUEUE} starts, events and others were waiting for the collector"
                ));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                self.shared.fail("the thread that exports spans has ended".into());
            }
        }
        false
    }

    /// Sends what is queued, for at most `deadline`; what is left then is counted as dropped.
    pub fn flush(self, deadline: Duration) -> OtlpStats {
        let OtlpSink { queue, stop, done, shared, .. } = self;
        drop(queue);
        stop.send_replace(Some(Instant::now() + deadline));
        // Either the thread has ended, or it is stuck and what it holds counts as dropped.
        let _ = done.recv_timeout(deadline + GRACE);
        shared.stats()
    }
}
