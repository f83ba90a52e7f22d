//! Every probe family's real records, as a kernel handed them over, decode to what they decoded to before.
//! `UPDATE_EXPECT=1` rewrites what is expected; `examples/capture_records.rs` makes the records.

use std::{fs, path::PathBuf};

use expect_test::expect_file;
use observer::{
    probes::{Reducer, reduce},
    rules::keywords,
};
use observer_ebpf::Family;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/records")
}

/// Records follow each other; each says how long it is.
fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while bytes.len() >= 8 {
        let len = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        let (record, rest) = bytes.split_at(len);
        records.push(record);
        bytes = rest;
    }
    records
}

#[test]
fn real_records_decode_as_before() {
    for family in Family::ALL {
        let path = fixtures().join(format!("{}.bin", family.name()));
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut text = String::new();
        let mut reducer = Reducer::new(keywords::shipped().expect("keywords")).expect("keywords");
        for record in split(&bytes) {
            let reduced =
                reducer.reduce(record).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(reduced.family, *family);
            text.push_str(&format!("{:?}\n", reduced.record));
        }
        assert!(!text.is_empty(), "{} holds no record", path.display());
        expect_file![path.with_extension("txt")].assert_eq(&text);
    }
}

/// Whatever is cut off or flipped: an error or another record, never a panic.
#[test]
fn damaged_records_are_refused_or_read() {
    for family in Family::ALL {
        let bytes = fs::read(fixtures().join(format!("{}.bin", family.name()))).unwrap_or_default();
        for record in split(&bytes) {
            for end in 0..record.len() {
                assert!(reduce(&record[..end]).is_err(), "{} cut at {end}", family.name());
            }
            for at in 0..record.len() {
                let mut flipped = record.to_vec();
                flipped[at] ^= 0xff;
                let _ = reduce(&flipped);
            }
        }
    }
}
