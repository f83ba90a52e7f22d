//! Passes on to the collector what others have sent, as it came. Owns the thread that does, and its counts.
//!
//! What was taken is kept until the collector has it: it is asked again for as long as it takes, less and less often.
//! Only what it refuses for good is dropped, and counted.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc as std_mpsc,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    runtime, select,
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    OtlpError, OtlpSettings,
    settings::Protocol,
    spool::{Batch, Spool},
    transport::{Failure, Transport},
};
use crate::{health::OtlpCounts, privileges, sink::escape, source::otlp::Forwarding, span::Signal};

/// Bytes of one request, if it is made of several.
const BATCH: usize = 1 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_millis(200);
/// Of an error, bytes.
const MAX_ERROR_BYTES: usize = 400;

/// Takes a line for people.
pub type Say = Box<dyn Fn(&str) + Send>;

/// What both sides share.
struct Shared {
    spool: Mutex<Spool>,
    more: Notify,
    forwarded: AtomicU64,
    refused: AtomicU64,
    /// In memory alone when it ended.
    lost: AtomicU64,
}

impl Shared {
    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on until it is finished.
pub struct Forwarder {
    shared: Arc<Shared>,
    stop: watch::Sender<Option<Instant>>,
    done: Mutex<std_mpsc::Receiver<()>>,
}

impl Forwarder {
    /// `folder` is where what waits is kept; `say` is handed what people should know.
    ///
    /// # Errors
    /// The settings lead nowhere, or no thread can be made.
    pub fn start(
        settings: OtlpSettings,
        folder: Option<&Path>,
        say: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, OtlpError> {
        if settings.protocol() == Protocol::HttpProtobuf && !settings.is_beside_others() {
            return Err(OtlpError::TracesOnly { url: settings.url.to_string() });
        }
        let opened = folder.map_or_else(|| Ok(Spool::in_memory()), Spool::open);
        let spool = opened.unwrap_or_else(|why| {
            say(&format!("otlp: {why}"));
            Spool::in_memory()
        });
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let transport = {
            let _inside = runtime.enter();
            Transport::new(&settings)?
        };
        let shared = Arc::new(Shared {
            spool: Mutex::new(spool),
            more: Notify::new(),
            forwarded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let to_spool = privileges::to_write(folder);
        let (stop, stopping) = watch::channel(None);
        let (finished, done) = std_mpsc::channel();
        let mut sender = Sender {
            transport,
            settings,
            shared: Arc::clone(&shared),
            say: Box::new(say),
            is_down: false,
            disk_is_full: false,
        };
        thread::Builder::new().name("observer-otlp-fwd".into()).spawn(move || {
            privileges::keep_only(to_spool);
            runtime.block_on(async {
                select! {
                    () = sender.run(stopping.clone()) => {}
                    () = passed(stopping) => {}
                }
            });
            runtime.shutdown_background();
            // Nobody listens if it was dropped without being finished.
            let _ = finished.send(());
        })?;
        Ok(Forwarder { shared, stop, done: Mutex::new(done) })
    }

    /// Passes on what waits, for at most `deadline`; the rest stays where it is kept.
    pub fn finish(&self, deadline: Duration) {
        self.stop.send_replace(Some(Instant::now() + deadline));
        self.shared.more.notify_one();
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        // Either the thread has ended, or it is stuck; both leave what waits where it is.
        let _ = done.recv_timeout(deadline + GRACE);
        let lost = self.shared.spool().close();
        self.shared.lost.fetch_add(lost, Ordering::Relaxed);
    }
}

impl Forwarding for Forwarder {
    fn has_room(&self, bytes: usize) -> bool {
        self.shared.spool().has_room(bytes)
    }

    fn push(&self, signal: Signal, records: u32, request: &[u8]) -> bool {
        let taken = self.shared.spool().push(signal, records, request);
        self.shared.more.notify_one();
        taken
    }

    fn count(&self, counts: &mut OtlpCounts) {
        let spool = self.shared.spool();
        counts.resumed = spool.resumed;
        counts.waiting = spool.records();
        counts.waiting_in_memory = spool.in_memory_alone();
        counts.forwarded = self.shared.forwarded.load(Ordering::Relaxed);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        counts.dropped = of(&self.shared.refused) + of(&self.shared.lost) + spool.damaged;
    }
}

/// The thread's side.
struct Sender {
    transport: Transport,
    settings: OtlpSettings,
    shared: Arc<Shared>,
    say: Say,
    /// People know that it takes nothing.
    is_down: bool,
    /// They know that the disk has taken nothing, once.
    disk_is_full: bool,
}

impl Sender {
    /// Until all was passed on, once it is to stop.
    async fn run(&mut self, stop: watch::Receiver<Option<Instant>>) {
        loop {
            self.look_at_the_disk();
            let batch = self.shared.spool().front(BATCH);
            match batch {
                Some(batch) => self.pass_on(batch).await,
                None if stop.borrow().is_some() => return,
                None => self.shared.more.notified().await,
            }
        }
    }

    async fn pass_on(&mut self, batch: Batch) {
        let Err(why) = self.deliver(batch.signal, batch.request.clone().into(), batch.records()).await else {
            return self.shared.spool().pop(batch.parts.len());
        };
        if batch.parts.len() == 1 {
            return self.drop_one(batch.records(), &why);
        }
        // One that it cannot take must not cost the others.
        let mut at = 0;
        for (len, records) in batch.parts {
            let part = Bytes::copy_from_slice(&batch.request[at..at + len]);
            at += len;
            match self.deliver(batch.signal, part, u64::from(records)).await {
                Ok(()) => self.shared.spool().pop(1),
                Err(why) => self.drop_one(u64::from(records), &why),
            }
        }
    }

    fn drop_one(&mut self, records: u64, why: &str) {
        self.shared.refused.fetch_add(records, Ordering::Relaxed);
        self.shared.spool().pop(1);
        self.tell(&format!("refuses for good what is passed on: {why}; such is counted as dropped"));
    }

    /// Until the collector has it, or refuses it for good, which is why.
    async fn deliver(&mut self, signal: Signal, request: Bytes, records: u64) -> Result<(), String> {
        let mut backoff = FIRST_PAUSE;
        loop {
            self.look_at_the_disk();
            let attempt = self.transport.export(signal, request.clone());
            let pause = match timeout(self.settings.timeout, attempt).await {
                Ok(Ok(taken)) => {
                    let rejected = taken.rejected_spans.min(records);
                    self.shared.forwarded.fetch_add(records - rejected, Ordering::Relaxed);
                    self.shared.refused.fetch_add(rejected, Ordering::Relaxed);
                    self.is_down = false;
                    return Ok(());
                }
                Ok(Err(Failure::Permanent { why })) => return Err(why),
                Ok(Err(Failure::Transient { why, pause })) => {
                    self.tell(&format!("does not take what is passed on: {why}; it is kept and sent again"));
                    pause
                }
                Err(_) => {
                    self.tell("does not answer; what is passed on is kept and sent again");
                    None
                }
            };
            sleep(pause.unwrap_or(backoff)).await;
            backoff = (backoff * 2).min(LONGEST_PAUSE);
        }
    }

    fn look_at_the_disk(&mut self) {
        let Some(why) = self.shared.spool().disk_error.clone() else { return };
        if !std::mem::replace(&mut self.disk_is_full, true) {
            (self.say)(&format!(
                "otlp: cannot keep on disk what waits for the collector: {}; a little of it is kept in memory, which a kill \
                 would lose, and the rest refused until there is room",
                escape::terminal(&why)
            ));
        }
    }

    /// Once, until it takes something again.
    fn tell(&mut self, what: &str) {
        if !std::mem::replace(&mut self.is_down, true) {
            let what = &what[..what.floor_char_boundary(MAX_ERROR_BYTES)];
            (self.say)(&format!("otlp: {} {}", self.settings.url, escape::terminal(what)));
        }
    }
}

async fn passed(mut stop: watch::Receiver<Option<Instant>>) {
    let deadline = stop.wait_for(Option::is_some).await.ok().and_then(|at| *at);
    if let Some(at) = deadline {
        sleep_until(at).await;
    }
}
