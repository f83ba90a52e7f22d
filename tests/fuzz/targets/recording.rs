//! Any bytes as a recording. Checksums are not looked at in a fuzzing build: no fuzzer guesses them, and
//! what lies behind them is to be tried, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::record::SegmentReader;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = SegmentReader::new(bytes);
    let mut at = 0;
    while reader.next_item().is_some() {
        assert!(reader.at_byte() > at, "every item takes it further");
        at = reader.at_byte();
    }
    assert!(at <= bytes.len() as u64);
});
