//! The exporting thread's work: takes what is told off the queue, sends it in batches, tries again for a bounded time,
//! and keeps count.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    logs::v1::ResourceLogs,
    metrics::v1::ResourceMetrics,
    trace::v1::ResourceSpans,
};
use prost::Message as _;
use tokio::{
    select,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    OtlpStats, Sent, event, evidence, finding, metrics,
    resource::Host,
    settings::OtlpSettings,
    spans,
    transport::{Failure, Transport},
};
use crate::{
    output::{ColdStart, Event, Evidence, Finding},
    sink::{escape, metrics::Snapshot},
    span::Signal,
};

/// Records of one request. With the longest texts this stays below the 4 MiB that a gRPC receiver takes.
const BATCH: u64 = 512;
/// Snapshots of metrics that wait: each is as large as there are series.
const MAX_SNAPSHOTS: u64 = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Of an error, bytes: part of it comes from the other side.
const MAX_ERROR_BYTES: usize = 400;

pub struct Queued {
    pub what: Item,
    pub records: u64,
}

/// What becomes spans, log records and metrics. They are made on the exporting thread.
pub enum Item {
    Start(Box<ColdStart>),
    Event(Box<Event>),
    Evidence(Box<Evidence>),
    Finding(Box<Finding>),
    /// A finding was opened, has changed, or is over.
    Status(Box<Finding>),
    Metrics(Box<Snapshot>),
}

impl Item {
    pub fn signal(&self) -> Signal {
        match self {
            Item::Start(_) | Item::Event(_) | Item::Evidence(_) | Item::Finding(_) => Signal::Traces,
            Item::Status(_) => Signal::Logs,
            Item::Metrics(_) => Signal::Metrics,
        }
    }
}

/// What goes out together: at most one request of each signal.
#[derive(Default)]
struct Batch {
    spans: Vec<ResourceSpans>,
    logs: Vec<ResourceLogs>,
    metrics: Vec<ResourceMetrics>,
    /// Records by signal.
    records: [u64; 3],
}

impl Batch {
    fn add(&mut self, queued: &Queued, host: &Host) {
        self.records[queued.what.signal() as usize] += queued.records;
        match &queued.what {
            Item::Start(start) => self.spans.push(spans::resource_spans(start, host)),
            Item::Event(told) => self.spans.push(event::resource_spans(told, host)),
            Item::Evidence(told) => self.spans.push(evidence::resource_spans(told, host)),
            Item::Finding(told) => self.spans.push(finding::resource_spans(told, host)),
            Item::Status(told) => self.logs.push(finding::resource_logs(told, host)),
            Item::Metrics(taken) => self.metrics.push(metrics::resource_metrics(taken, host)),
        }
    }

    fn is_full(&self) -> bool {
        self.records.iter().any(|records| *records >= BATCH)
    }

    fn requests(self) -> [(Signal, u64, Vec<u8>); 3] {
        let [spans, logs, metrics] = self.records;
        let traces = ExportTraceServiceRequest { resource_spans: self.spans };
        let of_logs = ExportLogsServiceRequest { resource_logs: self.logs };
        let of_metrics = ExportMetricsServiceRequest { resource_metrics: self.metrics };
        [
            (Signal::Traces, spans, traces.encode_to_vec()),
            (Signal::Logs, logs, of_logs.encode_to_vec()),
            (Signal::Metrics, metrics, of_metrics.encode_to_vec()),
        ]
    }
}

/// What both sides of the queue count. Whatever was offered and not exported has been dropped, or will have
/// been when nobody waits for it any more: the two can not disagree.
#[derive(Default)]
pub struct Shared {
    /// By signal.
    offered: [AtomicU64; 3],
    exported: [AtomicU64; 3],
    /// Of metrics, in the queue.
    snapshots: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Shared {
    pub fn offer(&self, signal: Signal, records: u64) {
        self.offered[signal as usize].fetch_add(records, Ordering::Relaxed);
    }

    /// Whether one more may wait; it then does.
    pub fn has_room_for_snapshot(&self) -> bool {
        let one_more = |waiting| (waiting < MAX_SNAPSHOTS).then_some(waiting + 1);
        self.snapshots.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// One that had room waits no more.
    pub fn snapshot_left(&self) {
        self.snapshots.fetch_sub(1, Ordering::Relaxed);
    }

    fn sent(&self, signal: Signal) -> Sent {
        let exported = self.exported[signal as usize].load(Ordering::Relaxed);
        let offered = self.offered[signal as usize].load(Ordering::Relaxed);
        Sent { exported, dropped: offered.saturating_sub(exported) }
    }

    pub fn fail(&self, why: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    pub fn stats(&self) -> OtlpStats {
        let spans = self.sent(Signal::Traces);
        OtlpStats {
            exported_spans: spans.exported,
            dropped_spans: spans.dropped,
            logs: self.sent(Signal::Logs),
            metrics: self.sent(Signal::Metrics),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Takes a line for people.
pub type Say = Box<dyn Fn(&str) + Send>;

pub struct Worker {
    transport: Transport,
    settings: OtlpSettings,
    host: Host,
    queue: mpsc::Receiver<Queued>,
    /// When to have ended, once that is known.
    stop: watch::Receiver<Option<Instant>>,
    shared: Arc<Shared>,
    say: Say,
    /// Signals that the collector was said not to take.
    said: [bool; 3],
}

impl Worker {
    pub fn new(
        transport: Transport,
        settings: OtlpSettings,
        host: Host,
        queue: mpsc::Receiver<Queued>,
        stop: watch::Receiver<Option<Instant>>,
        shared: Arc<Shared>,
        say: Say,
    ) -> Self {
        Worker { transport, settings, host, queue, stop, shared, say, said: [false; 3] }
    }

    /// Until the queue is empty and closed, or the deadline has passed, or the sink is gone.
    pub async fn run(mut self) {
        let deadline = passed(self.stop.clone());
        select! {
            () = self.drain() => {}
            () = deadline => {}
        }
    }

    async fn drain(&mut self) {
        while let Some(first) = self.queue.recv().await {
            let mut batch = Batch::default();
            self.put(&first, &mut batch);
            while !batch.is_full()
                && let Ok(next) = self.queue.try_recv()
            {
                self.put(&next, &mut batch);
            }
            for (signal, records, request) in batch.requests() {
                if records > 0 {
                    self.deliver(signal, request.into(), records).await;
                }
            }
        }
    }

    fn put(&self, queued: &Queued, batch: &mut Batch) {
        if matches!(queued.what, Item::Metrics(_)) {
            self.shared.snapshot_left();
        }
        batch.add(queued, &self.host);
    }

    async fn deliver(&mut self, signal: Signal, request: Bytes, records: u64) {
        let give_up = Instant::now() + self.settings.retry_for;
        let mut backoff = FIRST_PAUSE;
        loop {
            let pause = match timeout(self.settings.timeout, self.transport.export(signal, request.clone()))
                .await
            {
                Ok(Ok(taken)) => {
                    let rejected = taken.rejected_spans;
                    let exported = records.saturating_sub(rejected);
                    self.shared.exported[signal as usize].fetch_add(exported, Ordering::Relaxed);
                    if rejected > 0 {
                        let what = signal.records();
                        self.failed(signal, &format!("{rejected} {what} were rejected: {}", taken.message));
                    }
                    return;
                }
                Ok(Err(Failure::Permanent { why })) => return self.failed(signal, &why),
                Ok(Err(Failure::Transient { why, pause })) => {
                    self.failed(signal, &why);
                    pause
                }
                Err(_) => {
                    let ms = self.settings.timeout.as_millis();
                    self.failed(signal, &format!("no answer within {ms} ms"));
                    None
                }
            };
            let pause = pause.unwrap_or(backoff);
            if Instant::now() + pause >= give_up {
                return;
            }
            self.pause(pause).await;
            backoff = (backoff * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits, but not through the start of a flush: its deadline is short and deserves one more attempt.
    async fn pause(&mut self, pause: Duration) {
        if self.stop.borrow().is_some() {
            return sleep(pause).await;
        }
        select! {
            () = sleep(pause) => {}
            _ = self.stop.changed() => {}
        }
    }

    /// Keeps the error for the end; only the first one of a signal is said at once.
    fn failed(&mut self, signal: Signal, why: &str) {
        let why = escape::terminal(&why[..why.floor_char_boundary(MAX_ERROR_BYTES)]).into_owned();
        if !std::mem::replace(&mut self.said[signal as usize], true) {
            let what = signal.records();
            (self.say)(&format!(
                "otlp: {} does not take {what}: {why}; the run goes on, {what} that cannot be sent are counted",
                self.settings.url
            ));
        }
        self.shared.fail(why);
    }
}

/// The deadline has passed, or nobody is left who could set one.
async fn passed(mut stop: watch::Receiver<Option<Instant>>) {
    let deadline = stop.wait_for(Option::is_some).await.ok().and_then(|at| *at);
    if let Some(at) = deadline {
        sleep_until(at).await;
    }
}
