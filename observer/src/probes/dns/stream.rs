//! Messages in connections: each with its length in front, over as many segments as it takes. Of a message only its
//! beginning is kept, as of a datagram; where something is missing, the next segment is taken to begin with a message.

use std::collections::BTreeMap;

use observer_ebpf::wire::{dns::MAX_MESSAGE, packet::Packet};

/// Directions of connections remembered at once. Of the others the oldest socket's is forgotten: what it says next
/// is taken to begin with a message.
const MAX_STREAMS: usize = 1_024;
/// Bytes of the length in front of a message.
const PREFIX: usize = 2;
/// Messages that one segment may hold; what is behind them is passed over.
const MAX_IN_SEGMENT: usize = 64;

/// What is begun and not ended, by socket and direction.
#[derive(Debug, Default)]
pub struct Streams(BTreeMap<(u64, u8), Stream>);

#[derive(Debug, Default)]
struct Stream {
    /// Number of the byte that comes next.
    next: u32,
    /// The message under way, with its length in front, as far as it is kept.
    held: Vec<u8>,
    /// Bytes of it that are still to come and of no interest.
    skip: u32,
}

impl Streams {
    /// Hands on every message that is complete with this segment, or of which no more will be kept.
    pub(super) fn segment(&mut self, packet: &Packet, copied: &[u8], mut take: impl FnMut(&[u8])) {
        let key = (packet.cookie, packet.direction);
        if self.0.len() >= MAX_STREAMS && !self.0.contains_key(&key) {
            self.0.pop_first();
        }
        let stream =
            self.0.entry(key).or_insert_with(|| Stream { next: packet.sequence, ..Stream::default() });
        let end = packet.sequence.wrapping_add(packet.payload_len);
        let known = stream.next.wrapping_sub(packet.sequence);
        let copied = if known == 0 {
            copied
        } else if known <= packet.payload_len {
            // Some of it was sent before.
            copied.get(known as usize..).unwrap_or_default()
        } else if known < 1 << 31 {
            // All of it was.
            return;
        } else {
            *stream = Stream { next: packet.sequence, ..Stream::default() };
            copied
        };
        let missing = end.wrapping_sub(stream.next).saturating_sub(copied.len() as u32);
        stream.next = end;
        stream.take_in(copied, &mut take);
        stream.pass_over(missing, &mut take);
    }
}

impl Stream {
    fn take_in(&mut self, mut bytes: &[u8], take: &mut impl FnMut(&[u8])) {
        for _ in 0..MAX_IN_SEGMENT {
            let skipped = bytes.len().min(self.skip as usize);
            self.skip -= skipped as u32;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let wanted = self.wanted().saturating_sub(self.held.len());
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            self.held.extend_from_slice(now);
            bytes = later;
            if self.held.len() >= PREFIX && self.held.len() >= self.wanted() {
                self.hand_on(take);
            }
        }
        *self = Stream { next: self.next, ..Stream::default() };
    }

    /// Bytes that have come and were not copied.
    fn pass_over(&mut self, missing: u32, take: &mut impl FnMut(&[u8])) {
        if missing == 0 {
            return;
        }
        if let Some(len) = self.len() {
            take(&self.held[PREFIX..]);
            self.skip = (PREFIX + len).saturating_sub(self.held.len()) as u32;
        }
        self.held.clear();
        self.skip = self.skip.saturating_sub(missing);
    }

    /// The length of the message under way.
    fn len(&self) -> Option<usize> {
        let prefix = self.held.get(..PREFIX)?;
        Some(usize::from(u16::from_be_bytes([prefix[0], prefix[1]])))
    }

    /// Bytes to hold of the message under way, its length included.
    fn wanted(&self) -> usize {
        PREFIX + self.len().map_or(0, |len| len.min(MAX_MESSAGE))
    }

    fn hand_on(&mut self, take: &mut impl FnMut(&[u8])) {
        let rest = self.len().unwrap_or_default().saturating_sub(MAX_MESSAGE);
        take(&self.held[PREFIX..]);
        self.held.clear();
        self.skip = rest as u32;
    }
}

#[cfg(test)]
mod tests;
