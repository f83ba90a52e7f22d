//! Records built as the kernel side builds them, and records that no kernel side would build.

use std::collections::BTreeSet;

use observer_ebpf::{
    control::COMM_LEN,
    wire::{self, Record as Wire, Syscall, cgroup::Ids},
};
use zerocopy::IntoBytes;

mod calls;
mod cpu;
mod faults;
mod hardware;
mod net;
mod packets;
mod requests;
mod storage;
mod streams;
mod webhooks;

use super::{
    invocation::{Command, Invocation, Program},
    *,
};

const HEADER: Header = Header { kind: 0, flags: 0, len: 0, time_ns: 42, tgid: 7, tid: 8, lost: 3 };
const SYSCALL: Syscall = Syscall { entered_ns: 40, ret: -2 };
const CALL: Call = Call { entered: Time(40), ret: -2 };
const IDS: Ids = Ids { memory: 5, unified: 6 };

fn comm(name: &str) -> [u8; COMM_LEN] {
    let mut comm = [0; COMM_LEN];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    comm
}

fn bytes<R: Wire>(mut record: R, text: &[u8]) -> Vec<u8> {
    let len = (size_of::<R>() + text.len()) as u32;
    record.set_header(Header { kind: R::KIND, len, ..HEADER });
    [record.as_bytes(), text].concat()
}

fn set_len(bytes: &mut [u8], len: usize) {
    bytes[4..8].copy_from_slice(&(len as u32).to_ne_bytes());
}

fn exec(filename: &[u8], argv: &[u8], environ: &[u8]) -> Vec<u8> {
    let record = wire::process::Exec {
        header: HEADER,
        ppid: 1,
        role: observer_ebpf::control::role::RUNTIME,
        start_ns: 41,
        cgroup: IDS,
        major_faults: 2,
        read_bytes: 4096,
        comm: comm("crun"),
        filename_len: filename.len() as u16,
        argv_len: argv.len() as u16,
        environ_len: environ.len() as u16,
        pad: 0,
    };
    bytes(record, &[filename, argv, environ].concat())
}

/// One record of every kind, and what becomes of it. `op` is the operation of those that have one.
fn every_kind(op: u32) -> Vec<(Vec<u8>, Event)> {
    let (role, init, fd, cgroup) = (4, 9, 1, IDS.into());
    let (header, syscall, major_faults, read_bytes, start_ns) = (HEADER, SYSCALL, 2, 4096, 41);
    let path = || "/p\u{fffd}".to_owned();
    let (text, len) = (b"/p\xff", 3);
    let process = |event| Event::Process(event);
    vec![
        (
            bytes(wire::process::Fork { header, child: 10, role, start_ns, cgroup: IDS }, b""),
            process(process::Event::Forked { child: 10, role, start: Time(41), cgroup }),
        ),
        (
            bytes(wire::process::ExecFailed { header, syscall, role, path_len: len }, text),
            process(process::Event::ExecFailed { call: CALL, role, path: path() }),
        ),
        (
            bytes(
                wire::process::Exit {
                    header,
                    role,
                    exit_code: 9,
                    start_ns,
                    cgroup: IDS,
                    major_faults,
                    read_bytes,
                },
                b"",
            ),
            process(process::Event::Exited {
                role,
                exit_code: 9,
                start: Time(41),
                cgroup,
                major_faults,
                read_bytes,
            }),
        ),
        (
            bytes(wire::process::Rename { header, role, pad: 0, comm: comm("wasmedge") }, b""),
            process(process::Event::Renamed { role, comm: "wasmedge".into() }),
        ),
        (
            bytes(wire::process::OomVictim { header, victim: 10, role }, b""),
            process(process::Event::OomVictim { victim: 10, role }),
        ),
        (
            bytes(wire::cgroup::Mkdir { header, id: 11, hierarchy: 1, path_len: len }, text),
            Event::Cgroup(cgroup::Event::Made { id: 11, hierarchy: 1, path: path() }),
        ),
        (
            bytes(
                wire::cgroup::Attach { header, id: 11, hierarchy: 1, target: 12, role, path_len: len },
                text,
            ),
            Event::Cgroup(cgroup::Event::Entered { id: 11, hierarchy: 1, target: 12, role, path: path() }),
        ),
        (
            bytes(wire::namespace::Namespace { header, syscall, flags: 13, op, role }, b""),
            Event::Namespace(namespace::Event { call: CALL, flags: 13, op: namespace::Op::Clone, role }),
        ),
        (
            bytes(wire::mount::Mount { header, syscall, op, role, target_len: len, pad: 0 }, text),
            Event::Mount(mount::Event { call: CALL, op: mount::Op::Mount, role, target: Some(path()) }),
        ),
        (
            bytes(wire::mount::Mount { header, syscall, op, role, target_len: 0, pad: 0 }, b""),
            Event::Mount(mount::Event { call: CALL, op: mount::Op::Mount, role, target: None }),
        ),
        (
            bytes(wire::security::Security { header, syscall, arg: 15, op, role }, b""),
            Event::Security(security::Event { call: CALL, op: security::Op::Seccomp, arg: 15, role }),
        ),
        (
            bytes(wire::file::File { header, syscall, flags: 14, role, path_len: len, op }, text),
            Event::File(file::Event { call: CALL, op: file::Op::Open, path: path(), flags: 14, role }),
        ),
        (
            bytes(
                wire::memory::Memory {
                    header,
                    syscall,
                    hint: 14,
                    bytes: 15,
                    start_ns,
                    prot: 1,
                    flags: 2,
                    role,
                    init,
                    comm: comm("node"),
                },
                b"",
            ),
            Event::Memory(memory::Event {
                call: CALL,
                hint: Some(14),
                bytes: 15,
                start: Some(Time(41)),
                prot: 1,
                flags: 2,
                role,
                init: Some(9),
                comm: "node".into(),
            }),
        ),
        (
            bytes(
                // A name of full length has no terminator.
                wire::output::Output {
                    header,
                    syscall,
                    fd,
                    op,
                    role,
                    init,
                    major_faults,
                    read_bytes,
                    comm: [b'x'; COMM_LEN],
                },
                b"",
            ),
            Event::Output(output::Event {
                call: CALL,
                fd,
                op: output::Op::Write,
                role,
                init: Some(9),
                major_faults,
                read_bytes,
                comm: "x".repeat(COMM_LEN),
            }),
        ),
        (
            bytes(
                wire::socket::Socket {
                    header,
                    syscall,
                    fd,
                    op,
                    role,
                    init: 0,
                    major_faults,
                    read_bytes,
                    comm: comm("srv"),
                },
                b"",
            ),
            Event::Socket(socket::Event {
                call: CALL,
                fd,
                op: socket::Op::Listen,
                role,
                init: None,
                major_faults,
                read_bytes,
                comm: "srv".into(),
            }),
        ),
    ]
    .into_iter()
    .chain(faults::every_kind())
    .chain(streams::every_kind())
    .chain(text_written())
    .chain(calls::every_kind())
    .chain(packets::every_kind())
    .chain(net::every_kind())
    .chain(webhooks::every_kind())
    .chain(cpu::every_kind())
    .chain(hardware::every_kind())
    .chain(storage::every_kind())
    .chain(requests::every_kind())
    .collect()
}

/// Text, for whoever looks for nothing in it.
fn text_written() -> Vec<(Vec<u8>, Event)> {
    let owner = wire::packet::Owner {
        tgid: 7,
        tid: 8,
        init: 0,
        role: 1,
        start_ns: 41,
        cgroup: IDS,
        comm: comm("containerd"),
    };
    let piece =
        wire::text::Piece { header: HEADER, writer: owner, ino: 1, fd: 2, len: 3, omitted: 0, pad: 0 };
    let skipped = wire::text::Skipped { header: HEADER, writer: owner, skipped: 9 };
    let ended = wire::text::Ended { header: HEADER, writer: owner };
    let told = text::Event::Skipped { writer: packet::process(&owner), count: 9 };
    vec![
        (bytes(piece, b"/p\xff"), Event::Text(text::Event::Ordinary)),
        (bytes(skipped, b""), Event::Text(told)),
        (bytes(ended, b""), Event::Text(text::Event::Ordinary)),
    ]
}

#[test]
fn every_kind_is_reduced() {
    for (bytes, event) in every_kind(1) {
        let family = event.family();
        let record = Record { time: Time(42), tgid: 7, tid: 8, unreadable: false, late: false, event };
        assert_eq!(reduce(&bytes), Ok(Reduced { record, family, lost: 3 }));
    }
}

#[test]
fn unknown_operations_are_an_error() {
    let with_operation = every_kind(0)
        .iter()
        .zip(every_kind(1))
        .filter(|((zero, _), (one, _))| zero != one)
        .map(|((zero, _), _)| assert_eq!(reduce(zero), Err(Malformed::Operation(0))))
        .count();
    assert_eq!(with_operation, 7, "namespace, mount twice, security, file, output, socket");
}

#[test]
fn an_exec_keeps_what_names_a_container_and_nothing_else() {
    let argv = b"crun\0--root\0/secret-root\0run\0--bundle\0/b\0c1\0";
    let reduced = reduce(&exec(b"/usr/bin/crun", argv, b"PASSWORD=hunter2\0")).unwrap();
    let text = format!("{reduced:?}");
    assert!(!text.contains("secret") && !text.contains("hunter2"), "{text}");
    let Event::Process(process::Event::Executed(executed)) = reduced.record.event else { panic!("{text}") };
    assert_eq!(executed.filename, "/usr/bin/crun");
    let expected = Invocation::Runtime {
        program: Program::Crun,
        command: Command::Run,
        id: Some("c1".into()),
        bundle: Some("/b".into()),
    };
    assert_eq!(executed.invocation, expected);
}

#[test]
fn a_cut_record_is_an_error_wherever_it_is_cut() {
    let mut records: Vec<Vec<u8>> = every_kind(1).into_iter().map(|(bytes, _)| bytes).collect();
    records.push(exec(b"/usr/bin/crun", b"crun\0run\0c1\0", b"A=b\0"));
    for record in records {
        for cut in 0..record.len() {
            let expected = if cut < size_of::<Header>() { Malformed::Short } else { Malformed::Length };
            assert_eq!(reduce(&record[..cut]), Err(expected));
            // With a length that fits, what is missing is noticed behind it.
            let mut honest = record[..cut].to_vec();
            if cut >= size_of::<Header>() {
                set_len(&mut honest, cut);
                assert!(
                    matches!(reduce(&honest), Err(Malformed::Short | Malformed::Text)),
                    "{:?} {cut}",
                    reduce(&honest)
                );
            }
        }
        let mut longer = record.clone();
        longer.push(0);
        assert_eq!(reduce(&longer), Err(Malformed::Length), "leftovers are no part of a record");
        longer.resize(MAX_RECORD + 1, 0);
        set_len(&mut longer, MAX_RECORD + 1);
        assert_eq!(reduce(&longer), Err(Malformed::Length));
    }
}

#[test]
fn lying_text_lengths_are_an_error() {
    let mut record =
        wire::file::File { header: HEADER, syscall: SYSCALL, flags: 0, role: 0, path_len: 4, op: 1 };
    assert_eq!(reduce(&bytes(record, b"abc")), Err(Malformed::Text));
    record.path_len = u32::MAX;
    assert_eq!(reduce(&bytes(record, b"abc")), Err(Malformed::Text));
}

#[test]
fn unknown_kinds_are_an_error() {
    let mut records: Vec<Vec<u8>> = every_kind(1).into_iter().map(|(bytes, _)| bytes).collect();
    records.push(exec(b"", b"", b""));
    let known: BTreeSet<u16> = records.iter().map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]])).collect();
    for kind in 0..=u16::MAX {
        let header = Header { kind, len: size_of::<Header>() as u32, ..HEADER };
        let expected = match Family::of(kind) {
            None => Malformed::Kind(kind),
            Some(_) if known.contains(&kind) => Malformed::Short,
            Some(_) => Malformed::Operation(u32::from(kind as u8)),
        };
        assert_eq!(
            reduce(header.as_bytes()),
            Err(expected),
            "kind {kind:#06x}: has `every_kind` a record of it?"
        );
    }
}

#[test]
fn flags_and_return_values() {
    let (mut record, _) = every_kind(1).remove(0);
    record[2..4].copy_from_slice(&(flag::UNREADABLE | flag::TRUNCATED).to_ne_bytes());
    assert!(reduce(&record).unwrap().record.unreadable);
    let errno = |ret| Call { entered: Time(0), ret }.errno();
    assert_eq!(
        [errno(-1), errno(-4095), errno(-4096), errno(0), errno(3)],
        [Some(1), Some(4095), None, None, None]
    );
    assert_eq!((errno(i64::MIN), errno(i64::MAX)), (None, None));
}

#[test]
fn events_that_no_family_is_called_after_are_made_of_some() {
    for event in MADE_OF_OTHERS {
        assert!(Family::ALL.iter().all(|family| family.name() != event), "{event} is a family itself");
        assert!(made_of(event).is_some_and(|families| !families.is_empty()), "{event}");
    }
    assert_eq!(made_of("events"), None);
}
