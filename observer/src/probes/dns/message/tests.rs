//! Messages whole, cut and hostile. What a library makes of the same bytes is the oracle.

use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE, rdata};

use super::*;

fn query(name: &str, qtype: TYPE) -> Packet<'_> {
    let mut packet = Packet::new_query(0x1234);
    let name = Name::new_unchecked(name);
    packet.questions.push(simple_dns::Question::new(name, QTYPE::TYPE(qtype), CLASS::IN.into(), false));
    packet
}

fn answer<'a>(name: &'a str, rdata: rdata::RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, 30, rdata)
}

/// A reply with a name that leads to another, and two addresses of that.
fn reply() -> Packet<'static> {
    let mut packet = query("www.shop.test", TYPE::A).into_reply();
    packet.set_flags(PacketFlag::RESPONSE | PacketFlag::RECURSION_AVAILABLE);
    let alias = rdata::RData::CNAME(rdata::CNAME(Name::new_unchecked("web.shop.test")));
    packet.answers.push(answer("www.shop.test", alias));
    for last in 1..=2 {
        let address = rdata::RData::A(rdata::A { address: 0x0a00_0000 + last });
        packet.answers.push(answer("web.shop.test", address));
    }
    packet
}

#[test]
fn a_library_reads_the_same() {
    let mut failed = query("gone.test", TYPE::AAAA).into_reply();
    *failed.rcode_mut() = RCODE::NameError;
    failed.set_flags(PacketFlag::TRUNCATION);
    let mut empty = query("empty.test", TYPE::MX).into_reply();
    empty.answers.push(answer("empty.test", rdata::RData::A(rdata::A { address: 1 })));
    for packet in [query("db.svc.cluster.local", TYPE::SRV), reply(), failed, empty] {
        for bytes in [packet.build_bytes_vec().unwrap(), packet.build_bytes_vec_compressed().unwrap()] {
            let theirs = Packet::parse(&bytes).unwrap();
            let ours = parse(&bytes).unwrap();
            let question = &theirs.questions[0];
            let matching = theirs.answers.iter().filter(|record| record.match_qtype(question.qtype)).count();
            assert_eq!(ours.id, theirs.id());
            assert_eq!(ours.is_reply, theirs.has_flags(PacketFlag::RESPONSE));
            assert_eq!(ours.is_truncated, theirs.has_flags(PacketFlag::TRUNCATION));
            assert_eq!(u16::from(ours.rcode), theirs.rcode() as u16);
            assert_eq!(usize::from(ours.answers), theirs.answers.len());
            assert_eq!(ours.matching, Some(matching as u16));
            let asked = ours.question.unwrap();
            assert_eq!(asked.name, question.qname.to_string());
            assert_eq!(asked.qtype.0, u16::from(question.qtype));
        }
    }
}

#[test]
fn a_cut_message_says_what_is_left_of_it() {
    let whole = reply().build_bytes_vec_compressed().unwrap();
    let asked = parse(&whole).unwrap().question;
    let end_of_question = HEADER + "www.shop.test".len() + 2 + 4;
    for cut in 0..whole.len() {
        let Ok(message) = parse(&whole[..cut]) else {
            assert!(cut < end_of_question, "{cut}");
            continue;
        };
        assert_eq!(message.question, asked);
        assert_eq!((message.answers, message.matching), (3, None), "{cut}");
    }
}

#[test]
fn a_library_needs_the_whole() {
    let whole = reply().build_bytes_vec_compressed().unwrap();
    assert!(Packet::parse(&whole[..whole.len() - 3]).is_err(), "then it could do our work");
}

/// A query for whatever name these bytes are.
fn asking(name: &[u8]) -> Vec<u8> {
    [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, 1, 0, 1]].concat()
}

#[test]
fn names_that_are_none_are_refused() {
    let long: Vec<u8> = [[1, b'a'].repeat(127), vec![0]].concat();
    assert!(parse(&asking(&long)).is_ok(), "255 bytes are a name");
    let too_long: Vec<u8> = [[1, b'a'].repeat(128), vec![0]].concat();
    for name in [
        &[0xc0, 12][..],       // points to itself
        &[1, b'a', 0xc0, 12],  // leads back to its own beginning, for ever
        &[0xc0, 14, 0xc0, 12], // forward, then back
        &[0x40, 1, 2],         // a kind of label that there is not
        &[63, b'a'],           // longer than the message
        &too_long,
    ] {
        assert!(parse(&asking(name)).is_err(), "{name:?}");
    }
    assert_eq!(parse(&[0; 11]), Err(NotAMessage::Short));
    let half_a_pointer = asking(&[1, b'a', 0xc0]);
    assert_eq!(parse(&half_a_pointer[..HEADER + 3]), Err(NotAMessage::Name));
}

#[test]
fn bytes_of_a_name_are_written_as_master_files_write_them() {
    let name = |bytes: &[u8]| parse(&asking(bytes)).unwrap().question.unwrap().name;
    assert_eq!(name(b"\x05a.b\\c\x03\x1b[m\0"), "a\\.b\\\\c.\\027[m");
    assert_eq!(name(b"\x02\xff \0"), "\\255\\032");
    assert_eq!(name(b"\0"), ".");
}

#[test]
fn a_header_alone_is_a_message() {
    let message = parse(&[0, 1, 0x84, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!((message.question, message.rcode, message.is_reply), (None, 1, true));
}
