//! Records of standard streams.

use observer_ebpf::wire::stdio::{
    Object as WireObject, PipeState as WirePipe, Written as WireWritten, since, state,
};

use super::*;
use crate::probes::stdio::{Event as Stdio, Object, ObjectKind, PipeState, Written};

const PIPE: WireObject = WireObject { ino: 7, mode: 0o010_600, rdev: 0 };
const STATE: WirePipe =
    WirePipe { taken: 3, queued: 5, readers: 1, state: state::ALIVE | state::WAITING, reader: 9 };

fn pipe() -> Option<PipeState> {
    Some(PipeState {
        taken: 3,
        queued: Some(5),
        readers: 1,
        waiting: true,
        alive: true,
        reader: Some(9),
        waiter: None,
    })
}

fn opened(fd: u32, object: WireObject) -> Vec<u8> {
    let record = wire::stdio::Opened {
        header: HEADER,
        init: 10,
        fd,
        since: since::ATTACH,
        role: 16,
        object,
        pipe: STATE,
    };
    bytes(record, b"")
}

pub fn every_kind() -> Vec<(Vec<u8>, Event)> {
    let of = Object { ino: 7, kind: ObjectKind::Pipe };
    let written = WireWritten { bytes: 8, first_ns: 41, last_ns: 0, broken: 2 };
    vec![
        (
            opened(2, PIPE),
            Event::Stdio(Stdio::Opened { init: 10, fd: 2, attach: true, object: of, pipe: pipe() }),
        ),
        (
            bytes(
                wire::stdio::Closing {
                    header: HEADER,
                    init: 10,
                    fd: 1,
                    role: observer_ebpf::control::role::UNCOUNTED,
                    pad: 0,
                    object: PIPE,
                    written,
                    pipe: STATE,
                    now: WireObject::default(),
                },
                b"",
            ),
            Event::Stdio(Stdio::Closing {
                init: 10,
                fd: 1,
                uncounted: true,
                object: of,
                written: Written { bytes: 8, first: Some(Time(41)), last: None, broken: 2 },
                pipe: pipe(),
                now: Object::default(),
            }),
        ),
        (
            bytes(
                wire::stdio::Reader {
                    header: HEADER,
                    ino: 7,
                    reader: 9,
                    ppid: 1,
                    start_ns: 41,
                    comm: comm("cat"),
                },
                b"",
            ),
            Event::Stdio(Stdio::Reader { ino: 7, reader: 9, ppid: 1, start: Time(41), comm: "cat".into() }),
        ),
    ]
}

#[test]
fn objects_are_told_by_their_mode_and_device() {
    let kind = |mode, rdev| {
        let object = WireObject { ino: 7, mode, rdev };
        match reduce(&opened(1, object)).unwrap().record.event {
            Event::Stdio(Stdio::Opened { object, .. }) => object.kind,
            other => panic!("{other:?}"),
        }
    };
    let device = |major: u32, minor: u32| major << 20 | minor;
    assert_eq!(kind(0, 0), ObjectKind::Closed);
    assert_eq!(kind(0o100_644, 0), ObjectKind::File);
    assert_eq!(kind(0o140_777, 0), ObjectKind::Socket);
    assert_eq!(kind(0o020_666, device(1, 3)), ObjectKind::Null);
    assert_eq!(kind(0o020_666, device(1, 5)), ObjectKind::Other, "/dev/zero");
    assert_eq!(kind(0o020_620, device(136, 4)), ObjectKind::Tty);
    assert_eq!(kind(0o060_660, device(8, 0)), ObjectKind::Other);
}

#[test]
fn only_standard_output_and_error_are_streams() {
    assert_eq!(reduce(&opened(0, PIPE)), Err(Malformed::Operation(0)));
    assert_eq!(reduce(&opened(3, PIPE)), Err(Malformed::Operation(3)));
}
