//! Messages of the domain name system: as they are, and as segments of connections, cut and numbered at will.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::probes::{Event, Reducer, dns};
use observer_ebpf::wire::{
    Header, Record,
    dns::{MAX_MESSAGE, Message},
    packet::{Owner, Packet, protocol},
};
use zerocopy::IntoBytes;

/// A name of 255 bytes, none of which can be printed, takes four times as many.
const MAX_NAME: usize = 4 * 255;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = dns::parse(bytes) {
        check(&message);
    }
    let mut reducer = Reducer::default();
    let mut rest = bytes;
    while let [control, sequence, len, after @ ..] = rest {
        let (segment, next) = after.split_at(after.len().min(usize::from(*len)));
        rest = next;
        let packet = Packet {
            cookie: u64::from(control >> 4),
            direction: control & 1,
            protocol: if control & 2 == 0 { protocol::TCP } else { protocol::UDP },
            // Near where numbers begin again; sometimes more is said to be there than was copied.
            sequence: u32::from(*sequence).wrapping_sub(64),
            payload_len: segment.len() as u32 + if control & 4 == 0 { 0 } else { 1_000 },
            ..Packet::default()
        };
        let Ok(reduced) = reducer.reduce(&record(packet, segment)) else { continue };
        let Event::Dns(dns::Event::Packet(packet)) = reduced.record.event else { panic!("another family") };
        packet.messages.iter().for_each(check);
    }
});

fn record(packet: Packet, segment: &[u8]) -> Vec<u8> {
    let copied = segment.len().min(MAX_MESSAGE);
    let len = (size_of::<Message>() + copied) as u32;
    let header = Header { kind: Message::KIND, len, ..Header::default() };
    let message = Message { header, packet, owner: Owner::default(), copied: copied as u32, pad: 0 };
    [message.as_bytes(), &segment[..copied]].concat()
}

fn check(message: &dns::Message) {
    if let Some(question) = &message.question {
        assert!(
            question.name.len() <= MAX_NAME && question.name.bytes().all(|byte| (0x21..0x7f).contains(&byte))
        );
    }
    assert!(message.matching.is_none_or(|matching| matching <= message.answers));
}
