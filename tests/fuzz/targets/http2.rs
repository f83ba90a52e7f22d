//! What passes a connection of HTTP/2, in stretches: each begins with its length and which way it goes, and whether bytes
//! are missing before and behind it. And blocks of headers, each behind its length, beside a library that reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::probes::{
    Reducer,
    tls::http2::hpack::{Decoder, Name},
};
use observer_ebpf::wire::{
    Header, MAX_RECORD, Record,
    tls::{Frames, MAX_PIECE, Socket},
};
use zerocopy::IntoBytes;

const HEADER: Header = Header { kind: Frames::KIND, flags: 0, len: 0, time_ns: 9, tgid: 7, tid: 7, lost: 0 };

fuzz_target!(|bytes: &[u8]| {
    stretches(bytes);
    blocks(bytes);
});

fn stretches(bytes: &[u8]) {
    let mut reducer = Reducer::default();
    let mut at = [0_u32; 4];
    let mut rest = bytes;
    while let [len, how, behind @ ..] = rest {
        let len = (8 * usize::from(*len)).min(behind.len()).min(MAX_PIECE);
        let (text, next) = behind.split_at(len);
        rest = next;
        let (of_client, conn) = (u32::from(how & 1), u32::from(how >> 1 & 1));
        let place = &mut at[(2 * conn + of_client) as usize];
        *place += 3 * u32::from(how >> 2 & 1);
        let omitted = 40 * u32::from(how >> 3 & 1);
        let frames = Frames {
            header: Header { len: (size_of::<Frames>() + len) as u32, ..HEADER },
            entered_ns: 8,
            start_ns: 1,
            conn: u64::from(conn),
            below: 0,
            socket: Socket::default(),
            at: *place,
            written: of_client,
            of_client,
            is_fresh: u32::from(how >> 4 & 1),
            begins: u32::from(how >> 5 & 1),
            library: 1,
            omitted,
            len: len as u32,
            comm: *b"fuzzed\0\0\0\0\0\0\0\0\0\0",
        };
        *place += len as u32 + omitted;
        let reduced = reducer.reduce(&[frames.as_bytes(), text].concat()).expect("a record");
        // A few short texts a frame come out, whatever went in.
        let most = (1 + len / 9) * 2 * MAX_RECORD;
        assert!(format!("{:?}", reduced.record).len() < most);
    }
}

fn blocks(bytes: &[u8]) {
    let (mut own, mut late, mut library) = (Decoder::default(), Decoder::default(), loona_hpack::Decoder::new());
    late.forget();
    let mut rest = bytes;
    while let [len, behind @ ..] = rest {
        let (block, next) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = next;
        let from_late = late.block(block);
        let (Ok(own), Ok(library)) = (own.block(block), library.decode(block)) else { return };
        let looked_at = |name: &[u8]| match name {
            b":authority" => Some(Name::Authority),
            b":method" => Some(Name::Method),
            b":path" => Some(Name::Path),
            b":status" => Some(Name::Status),
            b"content-encoding" => Some(Name::ContentEncoding),
            b"content-length" => Some(Name::ContentLength),
            b"host" => Some(Name::Host),
            b"user-agent" => Some(Name::UserAgent),
            _ => None,
        };
        let expected: Vec<(Name, Vec<u8>)> =
            library.into_iter().filter_map(|(name, value)| Some((looked_at(&name)?, value))).collect();
        assert_eq!((&own.fields, own.unresolved), (&expected, 0));
        // Who was not there from the beginning reads no more than that, in its order.
        let mut said = expected.iter();
        let from_late = from_late.expect("a block is one to everybody");
        assert!(from_late.fields.iter().all(|field| said.any(|one| one == field)));
    }
}
