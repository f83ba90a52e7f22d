//! What is done with a request, however it came: understood, counted, handed to the pipeline and passed on, or refused
//! as a whole with nothing of it kept.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};

use crate::{
    health::OtlpCounts,
    span::{OWN_SCOPE, Signal, Span, json, parcel, parcel::Record, reduce},
    time::Time,
};

/// Spans that wait for the pipeline.
const MAX_WAITING: usize = 65_536;
/// Records whose like is known again. A loop through a collector takes seconds.
const MAX_SEEN: usize = 65_536;
/// Bytes of one request that is passed on: collectors take 4 MiB, unless told otherwise.
const MAX_FORWARDED: usize = 2 << 20;

/// Takes requests that are to be passed on.
pub trait Forwarding: Send + Sync {
    /// Whether there is room for so many bytes.
    fn has_room(&self, bytes: usize) -> bool;
    /// Takes a request of so many records, or leaves it.
    fn push(&self, signal: Signal, records: u32, request: &[u8]) -> bool;
    /// What became of what it has taken: its fields of the counts.
    fn count(&self, counts: &mut OtlpCounts);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// The request was taken, perhaps not all of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub rejected: u64,
    pub why: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It will never be understood.
    Malformed(String),
    /// It will never fit.
    TooLarge(String),
    /// Worth another attempt.
    Busy(&'static str),
}

/// What identifies a record among those seen before.
type Key = [u8; 24];

pub struct Intake {
    state: Mutex<State>,
    forwarding: Option<Arc<dyn Forwarding>>,
    clock: fn() -> Time,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Span>,
    seen: Seen,
    counts: OtlpCounts,
}

/// The latest records, oldest first.
#[derive(Default)]
struct Seen {
    keys: HashSet<Key>,
    order: VecDeque<Key>,
}

/// What a request holds, before anything is done with it.
#[derive(Default)]
struct Sorted {
    spans: Vec<Span>,
    keys: Vec<Key>,
    /// By record, in order.
    keep: Vec<bool>,
    own: u64,
    seen_before: u64,
    taken: Taken,
}

impl Intake {
    pub(super) fn new(forwarding: Option<Arc<dyn Forwarding>>, clock: fn() -> Time) -> Self {
        Intake { state: Mutex::default(), forwarding, clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> OtlpCounts {
        let mut counts = self.state().counts;
        if let Some(forwarding) = &self.forwarding {
            counts.forwards = true;
            forwarding.count(&mut counts);
        }
        counts
    }

    pub(super) fn drain(&self, take: impl FnMut(Span)) {
        let waiting = std::mem::take(&mut self.state().waiting);
        waiting.into_iter().for_each(take);
    }

    /// Counts what the listeners do with connections.
    pub(super) fn count(&self, count: impl FnOnce(&mut OtlpCounts)) {
        count(&mut self.state().counts);
    }

    /// All of a request is done here, or nothing of it.
    pub(super) fn take(&self, signal: Signal, encoding: Encoding, body: &[u8]) -> Result<Taken, Refusal> {
        let mut state = self.state();
        let result = self.take_into(&mut state, signal, encoding, body);
        if matches!(result, Err(Refusal::Busy(_))) {
            state.counts.refused_requests += 1;
        }
        result
    }

    fn take_into(
        &self,
        state: &mut State,
        signal: Signal,
        encoding: Encoding,
        body: &[u8],
    ) -> Result<Taken, Refusal> {
        let malformed = |why: String| Refusal::Malformed(why);
        let transcoded = match encoding {
            Encoding::Protobuf => json::Transcoded::default(),
            Encoding::Json => json::request(signal, body).map_err(|why| malformed(why.to_string()))?,
        };
        let request = match encoding {
            Encoding::Protobuf => body,
            Encoding::Json => &transcoded.request,
        };
        let mut sorted = self.sort(state, signal, request).map_err(|why| malformed(why.to_string()))?;
        if state.waiting.len() + sorted.spans.len() > MAX_WAITING {
            return Err(Refusal::Busy("more spans wait than are kept"));
        }
        self.pass_on(signal, request, &sorted.keep)?;
        sorted.taken.rejected += transcoded.rejected;
        sorted.taken.why = transcoded.why.or(sorted.taken.why);
        let counts = &mut state.counts;
        let received = sorted.keep.len() as u64 - (sorted.taken.rejected - transcoded.rejected);
        match signal {
            Signal::Traces => counts.received_spans += received,
            Signal::Logs => counts.received_logs += received,
            Signal::Metrics => counts.received_metrics += received,
        }
        counts.rejected += sorted.taken.rejected;
        counts.own += sorted.own;
        counts.seen_before += sorted.seen_before;
        sorted.keys.into_iter().for_each(|key| state.seen.add(key));
        state.waiting.extend(sorted.spans);
        Ok(sorted.taken)
    }

    fn sort(
        &self,
        state: &State,
        signal: Signal,
        request: &[u8],
    ) -> Result<Sorted, crate::span::wire::Malformed> {
        let mut sorted = Sorted::default();
        let mut here = HashSet::new();
        let time = (self.clock)();
        parcel::each(request, |record| {
            let keep = self.is_kept(&mut sorted, &mut here, &state.seen, signal, &record, time);
            sorted.keep.push(keep);
        })?;
        Ok(sorted)
    }

    fn is_kept(
        &self,
        sorted: &mut Sorted,
        here: &mut HashSet<Key>,
        seen: &Seen,
        signal: Signal,
        record: &Record,
        time: Time,
    ) -> bool {
        let span = match signal {
            Signal::Traces => match reduce::span(record, time) {
                Ok(span) => Some(span),
                Err(why) => {
                    sorted.taken.rejected += 1;
                    sorted.taken.why.get_or_insert_with(|| why.to_string());
                    return false;
                }
            },
            Signal::Logs | Signal::Metrics => None,
        };
        if record.scope_name() == OWN_SCOPE.as_bytes() {
            sorted.own += 1;
            return false;
        }
        // Others than spans have no identity but what they say: only who passes them on has to look for loops.
        let key = match &span {
            Some(span) => Some(span_key(span)),
            None => self.forwarding.as_ref().and_then(|_| other_key(signal, record)),
        };
        if let Some(key) = key {
            if seen.keys.contains(&key) || !here.insert(key) {
                sorted.seen_before += 1;
                return false;
            }
            sorted.keys.push(key);
        }
        sorted.spans.extend(span);
        true
    }

    fn pass_on(&self, signal: Signal, request: &[u8], keep: &[bool]) -> Result<(), Refusal> {
        const FULL: Refusal = Refusal::Busy("the collector is behind, and no more is kept for it");
        let Some(forwarding) = self.forwarding.as_ref().filter(|_| keep.contains(&true)) else {
            return Ok(());
        };
        if !forwarding.has_room(request.len()) {
            return Err(FULL);
        }
        if request.len() <= MAX_FORWARDED && !keep.contains(&false) {
            return if forwarding.push(signal, keep.len() as u32, request) { Ok(()) } else { Err(FULL) };
        }
        let mut decided = keep.iter().copied();
        let parts = parcel::select(request, MAX_FORWARDED, |_| decided.next().unwrap_or(false))
            .map_err(|why| Refusal::Malformed(why.to_string()))?;
        for part in parts {
            if !forwarding.push(signal, part.records, &part.request) {
                return Err(FULL);
            }
        }
        Ok(())
    }
}

impl Seen {
    fn add(&mut self, key: Key) {
        if self.keys.insert(key) {
            self.order.push_back(key);
        }
        while self.order.len() > MAX_SEEN {
            let oldest = self.order.pop_front();
            oldest.iter().for_each(|key| {
                self.keys.remove(key);
            });
        }
    }
}

fn span_key(span: &Span) -> Key {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&span.trace);
    key[16..].copy_from_slice(&span.id);
    key
}

/// Two records of one source that say the same of the same nanosecond are one. A log record without any time may well
/// be said twice.
fn other_key(signal: Signal, record: &Record) -> Option<Key> {
    use crate::span::wire::{Fields, Value};
    if signal == Signal::Logs {
        let is_time = |number: u32, value: Value| matches!((number, value), (1 | 11, Value::Fixed64(time)) if time != 0);
        Fields::of(record.record).flatten().find(|field| is_time(field.number, field.value))?;
    }
    let mut hash = Sha256::new();
    for part in [record.resource, record.scope, record.record] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..24].try_into().ok()
}
