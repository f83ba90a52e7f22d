//! A run as it is recorded, for who follows it: the same bytes as in a file, handed over instead of written.

use super::{
    format::{self, Header, MAX_FRAME, MAX_HEADER, SegmentHeader, kind},
    store,
};
use crate::{input::Input, time::Time};

/// A batch this large is handed over without waiting for a tick.
const BATCH: usize = 64 << 10;

/// Makes the bytes. Whoever sends them says what could not be sent.
#[derive(Debug, Default)]
pub struct Follower {
    batch: Vec<u8>,
    frames: u64,
    /// Inputs that are missing, and of which nothing has been said yet.
    unsaid: u64,
}

impl Follower {
    /// What everything begins with: the header, and the inputs that are still open.
    pub fn begin<'a>(&mut self, header: Header, begins: Time, open: impl IntoIterator<Item = &'a Input>) {
        self.batch.extend_from_slice(&format::preamble());
        let header = SegmentHeader { run: 0, number: 0, begins, dropped_segments: 0, header };
        // One that did not fit could not have been recorded either; who reads finds no header, and says so.
        let _ = format::push_frame(&mut self.batch, kind::HEADER, &header, MAX_HEADER);
        open.into_iter().for_each(|input| self.push(kind::CHECKPOINT, input));
    }

    /// Takes an input; gives what is to be sent now, and how many inputs that is.
    pub fn write(&mut self, input: &Input) -> Option<(Vec<u8>, u64)> {
        self.push(kind::INPUT, input);
        if self.batch.len() < BATCH && !matches!(input, Input::Tick(_)) {
            return None;
        }
        Some((std::mem::take(&mut self.batch), std::mem::take(&mut self.frames)))
    }

    /// So many inputs could not be sent.
    pub fn lose(&mut self, inputs: u64) {
        self.unsaid += inputs;
    }

    fn push(&mut self, kind: u8, input: &Input) {
        if self.unsaid > 0 {
            self.batch.extend_from_slice(&store::lost_frame(std::mem::take(&mut self.unsaid)));
        }
        match format::push_frame(&mut self.batch, kind, input, MAX_FRAME) {
            Ok(()) => self.frames += 1,
            Err(_) => self.unsaid += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Item, SegmentReader};

    #[test]
    fn what_is_sent_reads_as_a_recording_does_and_says_what_is_missing() {
        let mut follower = Follower::default();
        let tick = |time| Input::Tick(Time(time));
        follower.begin(Header::default(), Time(5), &[tick(1)]);
        let (first, count) = follower.write(&tick(6)).expect("a tick ends a batch");
        assert_eq!(count, 2);
        let (_, count) = follower.write(&tick(7)).expect("a tick ends a batch");
        follower.lose(count);
        let (third, _) = follower.write(&tick(8)).expect("a tick ends a batch");
        let bytes = [first, third].concat();
        let mut reader = SegmentReader::new(&bytes[..]);
        let Some(Item::Segment(header)) = reader.next_item() else { panic!("a header comes first") };
        assert_eq!(header.begins, Time(5));
        let rest: Vec<Item> = std::iter::from_fn(|| reader.next_item()).collect();
        let expected = [Item::Checkpoint(tick(1)), Item::Input(tick(6)), Item::Lost(1), Item::Input(tick(8))];
        assert_eq!(rest, expected);
    }
}
