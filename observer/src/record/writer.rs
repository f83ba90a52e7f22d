//! The pipeline's side of the writer. It encodes, hands over in batches, and never waits for the disk.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    RecordError,
    format::{self, Header, MAX_FRAME, MAX_HEADER, SegmentHeader, kind},
    store::{self, Store},
};
use crate::{input::Input, privileges, time::Time};

/// A batch this large is handed over without waiting for a tick.
const BATCH: usize = 64 << 10;
/// How long [`RecordingWriter::finish`] waits for the disk.
const FINISH: Duration = Duration::from_secs(1);

/// What a recording may take. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub segment: u64,
    /// Of a directory, with the segments of earlier runs; a plain file grows.
    pub total: u64,
    /// Memory for what the disk has not taken yet.
    pub queue: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { segment: 64 << 20, total: 512 << 20, queue: 16 << 20 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Inputs on disk, checkpoints not counted.
    pub inputs: u64,
    /// Written, dropped segments included.
    pub bytes: u64,
    pub segments: u64,
    /// Inputs that are missing: the disk was too slow, full or failing, or one was too large.
    pub lost: u64,
    /// Segments removed to keep the limit, those of earlier runs included.
    pub dropped_segments: u64,
    /// The recording has its last frame.
    pub complete: bool,
    pub last_error: Option<String>,
}

enum Message {
    Batch(Batch),
    Segment(Time, Batch),
    Finish,
}

/// Whole frames.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    frames: u64,
    /// Inputs lost between the last batch and this.
    lost_before: u64,
}

#[derive(Default)]
struct Shared {
    queued: AtomicU64,
    stats: Mutex<WriteStats>,
}

impl Shared {
    fn stats(&self) -> std::sync::MutexGuard<'_, WriteStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records inputs as they pass. Dropping it without [`RecordingWriter::finish`] leaves a recording that reads
/// as cut.
pub struct RecordingWriter {
    path: PathBuf,
    limits: Limits,
    sender: mpsc::Sender<Message>,
    done: mpsc::Receiver<()>,
    shared: Arc<Shared>,
    batch: Batch,
    segment_bytes: u64,
    /// Lost on this side, those already told to the other side included.
    lost: u64,
}

impl RecordingWriter {
    /// Begins a recording at `path`: a directory (or a name that ends with `/`) gets segments in files of
    /// their own, up to `limits.total`; anything else is one file. A recording that is there is replaced, a
    /// file that is no recording is not. Only the owner may read what is made.
    ///
    /// # Errors
    /// When the first segment cannot be written. Later trouble is counted, not returned.
    pub fn create(path: &Path, header: Header, begins: Time, limits: Limits) -> Result<Self, RecordError> {
        // A quarter at most, so that dropping one segment never drops all there is.
        let limits = Limits { segment: limits.segment.min(limits.total / 4), ..limits };
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let header = SegmentHeader { run, number: 0, begins, dropped_segments: 0, header };
        let mut fits = Vec::new();
        format::push_frame(&mut fits, kind::HEADER, &header, MAX_HEADER)
            .map_err(|bytes| RecordError::HeaderTooLarge { bytes, limit: MAX_HEADER })?;
        let mut store = Store::new(path, header, limits.segment, limits.total)?;
        store.begin(begins, &[]).map_err(|error| RecordError::io("write", store.path(), error))?;

        let (sender, receiver) = mpsc::channel();
        let (finished, done) = mpsc::channel();
        let shared = Arc::<Shared>::default();
        let to_write = privileges::to_write([store.path().as_path(), path]);
        let thread = Thread { store, shared: Arc::clone(&shared), unsaid: 0, pending: None };
        thread.publish();
        thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || {
                privileges::keep_only(to_write);
                thread.run(&receiver);
                let _ = finished.send(());
            })
            .map_err(|error| RecordError::io("start a thread to write", path, error))?;
        Ok(RecordingWriter {
            path: path.to_owned(),
            limits,
            sender,
            done,
            shared,
            batch: Batch::default(),
            segment_bytes: 0,
            lost: 0,
        })
    }

    /// Records one input. Never waits; what there is no room for is counted.
    pub fn write(&mut self, input: &Input) {
        match format::push_frame(&mut self.batch.bytes, kind::INPUT, input, MAX_FRAME) {
            Ok(()) => self.batch.frames += 1,
            Err(_) => self.lose(1),
        }
        // A tick is where nothing more is coming for the moment.
        if self.batch.bytes.len() >= BATCH || matches!(input, Input::Tick(_)) {
            self.hand_over();
        }
    }

    /// Whether the segment is full: [`RecordingWriter::begin_segment`] should be called soon.
    pub fn needs_checkpoint(&self) -> bool {
        self.segment_bytes + self.batch.bytes.len() as u64 >= self.limits.segment
    }

    /// Begins the next segment at `begins` with the inputs that are still open. When there is no room for
    /// them at the moment nothing happens, and [`RecordingWriter::needs_checkpoint`] goes on asking.
    pub fn begin_segment<'a>(&mut self, begins: Time, open: impl IntoIterator<Item = &'a Input>) {
        self.hand_over();
        let mut checkpoint = Batch::default();
        for input in open {
            match format::push_frame(&mut checkpoint.bytes, kind::CHECKPOINT, input, MAX_FRAME) {
                Ok(()) => checkpoint.frames += 1,
                Err(_) => self.lose(1),
            }
        }
        // However large, a checkpoint fits into an empty queue.
        if self.fits(checkpoint.bytes.len()) || self.shared.queued.load(Relaxed) == 0 {
            self.send(checkpoint, |batch| Message::Segment(begins, batch));
            self.segment_bytes = 0;
        }
    }

    /// As of now; what is still queued is in none of the counts.
    pub fn stats(&self) -> WriteStats {
        let mut stats = self.shared.stats().clone();
        stats.lost += self.lost;
        stats
    }

    /// Writes what is queued and the last frame.
    ///
    /// # Errors
    /// When the disk did not take all of it within a second. A full disk is no error but in the stats.
    pub fn finish(mut self) -> Result<WriteStats, RecordError> {
        self.hand_over();
        // Says what was lost since the last batch.
        self.send(Batch::default(), Message::Batch);
        let _ = self.sender.send(Message::Finish);
        match self.done.recv_timeout(FINISH) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(RecordError::Unfinished { path: self.path.clone(), seconds: FINISH.as_secs() })
            }
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => Ok(self.stats()),
        }
    }

    fn hand_over(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let lost_before = batch.lost_before;
        if batch.frames == 0 || !self.fits(batch.bytes.len()) {
            self.batch.lost_before = lost_before;
            self.lose(batch.frames);
            return;
        }
        self.segment_bytes += batch.bytes.len() as u64;
        self.batch.lost_before = lost_before;
        self.send(batch, Message::Batch);
    }

    fn send(&mut self, mut batch: Batch, message: impl FnOnce(Batch) -> Message) {
        batch.lost_before = std::mem::take(&mut self.batch.lost_before);
        let frames = batch.frames;
        self.shared.queued.fetch_add(batch.bytes.len() as u64, Relaxed);
        if self.sender.send(message(batch)).is_err() {
            self.lose(frames);
        }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.shared.queued.load(Relaxed) + bytes as u64 <= self.limits.queue
    }

    fn lose(&mut self, frames: u64) {
        self.lost += frames;
        self.batch.lost_before += frames;
    }
}

/// The disk's side.
struct Thread {
    store: Store,
    shared: Arc<Shared>,
    /// Lost inputs of which the recording does not tell yet.
    unsaid: u64,
    /// A segment that could not be begun yet.
    pending: Option<(Time, Batch)>,
}

impl Thread {
    fn run(mut self, receiver: &mpsc::Receiver<Message>) {
        for message in receiver {
            match message {
                Message::Batch(batch) => self.batch(&batch),
                Message::Segment(begins, checkpoint) => {
                    self.unsaid += checkpoint.lost_before;
                    self.taken(&checkpoint);
                    self.pending = Some((begins, checkpoint));
                    let begun = self.begin_pending();
                    self.note(begun);
                }
                Message::Finish => {
                    self.finish();
                    return;
                }
            }
            self.publish();
        }
    }

    fn batch(&mut self, batch: &Batch) {
        self.unsaid += batch.lost_before;
        self.taken(batch);
        match self.append(&batch.bytes) {
            Ok(()) => self.shared.stats().inputs += batch.frames,
            Err(error) => {
                self.unsaid += batch.frames;
                let mut stats = self.shared.stats();
                stats.lost += batch.frames;
                stats.last_error = Some(error.to_string());
            }
        }
    }

    /// Frames, after word of what is missing before them.
    fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        self.begin_pending()?;
        if self.unsaid == 0 {
            return self.store.append(frames);
        }
        let mut unit = store::lost_frame(self.unsaid);
        unit.extend_from_slice(frames);
        self.store.append(&unit)?;
        self.unsaid = 0;
        Ok(())
    }

    fn begin_pending(&mut self) -> io::Result<()> {
        if let Some((begins, checkpoint)) = &self.pending {
            self.store.begin(*begins, &checkpoint.bytes)?;
            self.pending = None;
        }
        Ok(())
    }

    fn finish(&mut self) {
        let end = self.append(&store::end_frame());
        self.shared.stats().complete = end.is_ok();
        self.note(end);
        self.publish();
    }

    fn taken(&self, batch: &Batch) {
        self.shared.queued.fetch_sub(batch.bytes.len() as u64, Relaxed);
    }

    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result {
            self.shared.stats().last_error = Some(error.to_string());
        }
    }

    fn publish(&self) {
        let mut stats = self.shared.stats();
        stats.segments = self.store.segments;
        stats.dropped_segments = self.store.dropped_segments;
        stats.bytes = self.store.bytes;
    }
}
