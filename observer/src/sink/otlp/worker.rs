//! The exporting thread's work: takes starts and events off the queue, sends them in batches, tries again for a bounded
//! time, and keeps count.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::ResourceSpans};
use prost::Message as _;
use tokio::{
    select,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    OtlpStats, event, evidence,
    resource::Host,
    settings::OtlpSettings,
    spans,
    transport::{Failure, Transport},
};
use crate::{
    output::{ColdStart, Event, Evidence},
    sink::escape,
    span::Signal,
};

/// Spans of one request. With the longest texts this stays below the 4 MiB that a gRPC receiver takes.
const BATCH_SPANS: u64 = 512;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Of an error, bytes: part of it comes from the other side.
const MAX_ERROR_BYTES: usize = 400;

pub struct Queued {
    pub what: Item,
    pub spans: u64,
}

/// What becomes spans. They are made on the exporting thread.
pub enum Item {
    Start(Box<ColdStart>),
    Event(Box<Event>),
    Evidence(Box<Evidence>),
}

impl Item {
    fn spans(&self, host: &Host) -> ResourceSpans {
        match self {
            Item::Start(start) => spans::resource_spans(start, host),
            Item::Event(told) => event::resource_spans(told, host),
            Item::Evidence(told) => evidence::resource_spans(told, host),
        }
    }
}

/// What both sides of the queue count. Whatever was offered and not exported has been dropped, or will have
/// been when nobody waits for it any more: the two can not disagree.
#[derive(Default)]
pub struct Shared {
    offered: AtomicU64,
    exported: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Shared {
    pub fn offer(&self, spans: u64) {
        self.offered.fetch_add(spans, Ordering::Relaxed);
    }

    pub fn fail(&self, why: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    pub fn stats(&self) -> OtlpStats {
        let exported = self.exported.load(Ordering::Relaxed);
        OtlpStats {
            exported_spans: exported,
            dropped_spans: self.offered.load(Ordering::Relaxed).saturating_sub(exported),
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
    say: Option<Say>,
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
        Worker { transport, settings, host, queue, stop, shared, say: Some(say) }
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
            let mut spans = first.spans;
            let mut batch = vec![first.what.spans(&self.host)];
            while spans < BATCH_SPANS
                && let Ok(next) = self.queue.try_recv()
            {
                spans += next.spans;
                batch.push(next.what.spans(&self.host));
            }
            let request = ExportTraceServiceRequest { resource_spans: batch };
            self.deliver(request.encode_to_vec().into(), spans).await;
        }
    }

    async fn deliver(&mut self, request: Bytes, spans: u64) {
        let give_up = Instant::now() + self.settings.retry_for;
        let mut backoff = FIRST_PAUSE;
        loop {
            let pause =
                match timeout(self.settings.timeout, self.transport.export(Signal::Traces, request.clone()))
                    .await
                {
                    Ok(Ok(taken)) => {
                        let exported = spans.saturating_sub(taken.rejected_spans);
                        self.shared.exported.fetch_add(exported, Ordering::Relaxed);
                        if taken.rejected_spans > 0 {
                            self.failed(&format!(
                                "{} spans were rejected: {}",
                                taken.rejected_spans, taken.message
                            ));
                        }
                        return;
                    }
                    Ok(Err(Failure::Permanent { why })) => return self.failed(&why),
                    Ok(Err(Failure::Transient { why, pause })) => {
                        self.failed(&why);
                        pause
                    }
                    Err(_) => {
                        self.failed(&format!("no answer within {} ms", self.settings.timeout.as_millis()));
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

    /// Keeps the error for the end; only the first one is said at once.
    fn failed(&mut self, why: &str) {
        let why = escape::terminal(&why[..why.floor_char_boundary(MAX_ERROR_BYTES)]).into_owned();
        if let Some(say) = self.say.take() {
            say(&format!(
                "otlp: {} does not take spans: {why}; the run goes on, spans that cannot be sent are counted",
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
