//! Messages in a TLS library, in pieces: each begins with its length, its part and the way it goes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::probes::{Reducer, tls::review};
use observer_ebpf::wire::{
    Header, MAX_RECORD, Record,
    tls::{MAX_PIECE, Piece, Socket},
};
use zerocopy::IntoBytes;

const HEADER: Header = Header { kind: Piece::KIND, flags: 0, len: 0, time_ns: 9, tgid: 7, tid: 7, lost: 0 };

fuzz_target!(|bytes: &[u8]| {
    review::scan(bytes);
    let mut reducer = Reducer::default();
    let mut rest = bytes;
    while let [len, part, way, behind @ ..] = rest {
        let len = (8 * usize::from(*len)).min(behind.len()).min(MAX_PIECE);
        let (text, next) = behind.split_at(len);
        rest = next;
        let piece = Piece {
            header: Header { len: (size_of::<Piece>() + len) as u32, ..HEADER },
            entered_ns: 8,
            start_ns: 1,
            conn: u64::from(*way >> 4),
            below: u64::from(*way >> 2 & 3),
            socket: Socket::default(),
            part: u32::from(*part % 8),
            written: u32::from(*way & 1),
            library: 1,
            omitted: u32::from(*way & 2),
            len: len as u32,
            pad: 0,
            comm: *b"fuzzed\0\0\0\0\0\0\0\0\0\0",
        };
        if let Ok(reduced) = reducer.reduce(&[piece.as_bytes(), text].concat()) {
            // A few short texts come out, whatever went in.
            assert!(format!("{:?}", reduced.record).len() < 4 * MAX_RECORD);
        }
    }
});
