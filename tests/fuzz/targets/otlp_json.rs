//! Export requests in JSON, of each signal: what is made of them is a request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::span::{Signal, json, parcel};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else { return };
    let signal = Signal::ALL[usize::from(*first) % Signal::ALL.len()];
    let Ok(made) = json::request(signal, text) else { return };
    assert_eq!(made.rejected > 0, made.why.is_some());
    parcel::each(&made.request, |_| {}).expect("made by us");
});
