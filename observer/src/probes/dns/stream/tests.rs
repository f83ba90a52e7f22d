//! Messages over segments, however these are cut, lost or sent again.

use observer_ebpf::wire::packet::Packet;

use super::*;

fn framed(len: usize, fill: u8) -> Vec<u8> {
    let mut bytes = (len as u16).to_be_bytes().to_vec();
    bytes.resize(PREFIX + len, fill);
    bytes
}

/// What comes of segments: where each begins, its bytes, and how many of those were copied.
fn messages(segments: &[(u32, &[u8], usize)]) -> Vec<(usize, u8)> {
    let mut streams = Streams::default();
    let mut found = Vec::new();
    for (sequence, bytes, copied) in segments {
        let packet =
            Packet { cookie: 1, sequence: *sequence, payload_len: bytes.len() as u32, ..Packet::default() };
        streams.segment(&packet, &bytes[..*copied], |message| {
            found.push((message.len(), message.first().copied().unwrap_or_default()));
        });
    }
    found
}

#[test]
fn messages_are_whole_however_they_are_cut() {
    let bytes = [framed(30, b'a'), framed(12, b'b'), framed(400, b'c')].concat();
    // Numbers begin again at zero in the middle of it.
    let first = u32::MAX - 40;
    for size in 1..=bytes.len() {
        let mut at = first;
        let segments: Vec<(u32, &[u8], usize)> = bytes
            .chunks(size)
            .map(|chunk| {
                let segment = (at, chunk, chunk.len());
                at = at.wrapping_add(chunk.len() as u32);
                segment
            })
            .collect();
        assert_eq!(messages(&segments), [(30, b'a'), (12, b'b'), (400, b'c')], "{size}");
    }
}

#[test]
fn of_a_long_message_the_beginning_is_kept() {
    let (long, next) = (framed(2_000, b'l'), framed(20, b'n'));
    // In one segment of which only 512 bytes were copied, and in two.
    assert_eq!(messages(&[(5, &long, 512), (2_007, &next, 22)]), [(510, b'l'), (20, b'n')]);
    let (one, two) = long.split_at(700);
    assert_eq!(messages(&[(5, one, 512), (705, two, 512), (2_007, &next, 22)]), [(510, b'l'), (20, b'n')]);
    let small: Vec<(u32, &[u8], usize)> =
        long.chunks(100).enumerate().map(|(n, chunk)| (5 + 100 * n as u32, chunk, chunk.len())).collect();
    assert_eq!(messages(&[&small[..], &[(2_007, &next, 22)]].concat()), [(512, b'l'), (20, b'n')]);
}

#[test]
fn what_is_sent_again_counts_once() {
    let bytes = [framed(30, b'a'), framed(12, b'b')].concat();
    let (one, two) = bytes.split_at(20);
    let all = messages(&[(9, one, 20), (9, one, 20), (29, two, 26), (9, &bytes, 46)]);
    assert_eq!(all, [(30, b'a'), (12, b'b')]);
    assert_eq!(messages(&[(9, one, 20), (9, &bytes, 46)]), [(30, b'a'), (12, b'b')], "with more behind it");
}

#[test]
fn after_a_gap_the_next_segment_begins_anew() {
    let (one, two) = (framed(30, b'a'), framed(12, b'b'));
    assert_eq!(messages(&[(9, &one[..10], 10), (500, &two, 14)]), [(12, b'b')]);
}

#[test]
fn streams_are_bounded() {
    let mut streams = Streams::default();
    for cookie in 0..3 * MAX_STREAMS as u64 {
        let packet = Packet { cookie, payload_len: 3, ..Packet::default() };
        streams.segment(&packet, &[0, 9, 1], |_| panic!("not whole"));
    }
    assert_eq!(streams.0.len(), MAX_STREAMS);
    let held: usize = streams.0.values().map(|stream| stream.held.len()).sum();
    assert_eq!(held, 3 * MAX_STREAMS);
}

#[test]
fn nothing_is_kept_of_a_message_of_no_length() {
    assert_eq!(messages(&[(1, &[0; 300], 300)]).len(), MAX_IN_SEGMENT);
}
