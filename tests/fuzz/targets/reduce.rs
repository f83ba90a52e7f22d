//! Bytes of the kernel's ring into `reduce`: as they are, and behind a header that is right.
//!
//! Fuzz targets need nightly and cargo-fuzz; from the root of the repository:
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz reduce tests/fuzz/corpus/reduce tests/fuzz/seeds/reduce -- -max_total_time=20
//! ```
//!
//! and the same for `dns`, `invocation` and `recording`. The first folder receives what the run finds (make it
//! before), the second holds the seeds, which `cargo run --example seeds` in tests/fuzz writes anew.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::{input::Input, probes::reduce};
use observer_ebpf::{
    FAMILIES,
    wire::{Header, MAX_RECORD},
};
use zerocopy::{FromBytes, IntoBytes};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    if let Ok((header, rest)) = Header::read_from_prefix(bytes) {
        let rest = &rest[..rest.len().min(MAX_RECORD - size_of::<Header>())];
        let len = (size_of::<Header>() + rest.len()) as u32;
        let families = FAMILIES as u16 - 1;
        let kind = (header.kind >> 8) % families + 1 << 8 | header.kind % 8;
        check(&[Header { kind, len, ..header }.as_bytes(), rest].concat());
    }
});

fn check(bytes: &[u8]) {
    let Ok(reduced) = reduce(bytes) else { return };
    assert_eq!(reduced.family, reduced.record.event.family());
    assert!(bytes.len() <= MAX_RECORD);
    // What becomes of it is a few times its size at most: replaced bytes take three.
    assert!(format!("{:?}", Input::Record(reduced.record)).len() < 64 * MAX_RECORD);
}
