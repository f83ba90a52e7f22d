//! Records of signals and of kills for want of memory.

use super::*;
use crate::probes::fault::{Action, OomVictim, Signal};

const DELIVERED: wire::fault::Delivered = wire::fault::Delivered {
    header: HEADER,
    signal: 11,
    code: 2,
    address: 0x7f00_0000_1000,
    stack: 0x7ffd_0000_0000,
    start_ns: 41,
    handled: 3,
    action: wire::fault::action::HANDLER,
    role: 16,
    init: 9,
    linear_units: 0x210,
    comm: *b"node\0\0\0\0\0\0\0\0\0\0\0\0",
};

fn signal() -> Signal {
    Signal {
        signal: 11,
        code: 2,
        address: Some(0x7f00_0000_1000),
        stack: 0x7ffd_0000_0000,
        start: Time(41),
        handled: 3,
        action: Action::Handler,
        role: 16,
        init: Some(9),
        linear_reach: Some(0x21_0000),
        comm: "node".into(),
    }
}

fn killed(known: u32) -> wire::fault::OomKill {
    wire::fault::OomKill {
        header: HEADER,
        victim: 10,
        role: 16,
        init: 9,
        known,
        rss_bytes: 4096,
        usage_bytes: 8192,
        limit_bytes: 8193,
        start_ns: 41,
        comm: comm("hog"),
    }
}

fn victim() -> OomVictim {
    OomVictim {
        victim: 10,
        role: 16,
        init: Some(9),
        rss_bytes: Some(4096),
        reached: Some((8192, 8193)),
        start: Some(Time(41)),
        comm: "hog".into(),
    }
}

pub fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let ignored = wire::fault::Ignored { header: HEADER, init: 9, role: 16 };
    let counted = wire::fault::Handled { header: HEADER, handled: 500, role: 16, pad: 0 };
    let (role, init, start_ns) = (4, 9, 41);
    let result = wire::fault::EngineResult {
        header: HEADER,
        code: 0x408,
        role,
        init,
        pad: 0,
        start_ns,
        comm: comm("wasmedge"),
    };
    let told = fault::Event::EngineResult {
        code: 0x408,
        role,
        init: Some(init),
        start: Time(start_ns),
        comm: "wasmedge".into(),
    };
    let stop =
        wire::fault::Stop { header: HEADER, signal: 15, init, role, pad: 0, start_ns, comm: comm("crun") };
    let stopped = fault::Event::Stop { signal: 15, init, role, start: Time(41), comm: "crun".into() };
    vec![
        (bytes(stop, b""), Event::Fault(stopped)),
        (bytes(result, b""), Event::Fault(told)),
        (bytes(counted, b""), Event::Fault(fault::Event::Handled { handled: 500, role: 16 })),
        (bytes(DELIVERED, b""), Event::Fault(fault::Event::Signal(signal()))),
        (bytes(ignored, b""), Event::Fault(fault::Event::TermIgnored { init: 9, role: 16 })),
        (bytes(killed(3), b""), Event::Fault(fault::Event::OomKill(victim()))),
    ]
}

fn reduced(bytes: &[u8]) -> fault::Event {
    match reduce(bytes).unwrap().record.event {
        Event::Fault(event) => event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_is_believed_only_if_the_kernel_gave_one() {
    for code in [0, -6, 0x80] {
        let sent = wire::fault::Delivered { code, ..DELIVERED };
        assert_eq!(
            reduced(&bytes(sent, b"")),
            fault::Event::Signal(Signal { code, address: None, ..signal() })
        );
    }
}

#[test]
fn what_could_not_be_read_of_a_victim_is_not_known() {
    let expected = OomVictim { rss_bytes: None, reached: None, ..victim() };
    assert_eq!(reduced(&bytes(killed(0), b"")), fault::Event::OomKill(expected));
}

#[test]
fn an_action_that_is_none_is_an_error() {
    let odd = wire::fault::Delivered { action: 3, ..DELIVERED };
    assert_eq!(reduce(&bytes(odd, b"")), Err(Malformed::Operation(3)));
}
