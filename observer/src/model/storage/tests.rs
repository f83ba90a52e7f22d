use super::*;
use crate::{
    input::{Device, Fact, FactKind, Filesystem, Input, Room, Sample, SampleKind},
    probes::{packet::Owner, process::CgroupIds},
};

const FULL: Room = Room { total_bytes: 1 << 30, available_bytes: 0, total_inodes: 1_000, free_inodes: 900 };
const NO_FILES: Room =
    Room { total_bytes: 1 << 30, available_bytes: 1 << 29, total_inodes: 1_000, free_inodes: 0 };
const PLENTY: Room = Room { total_bytes: 1 << 30, available_bytes: 1 << 29, total_inodes: 0, free_inodes: 0 };

fn failure(op: Op, errno: i32) -> storage::Event {
    let caller = Owner {
        tgid: 7,
        tid: 8,
        start: Time(1),
        init: None,
        role: 0,
        cgroup: CgroupIds { memory: 0, unified: 0 },
        comm: "dd".into(),
    };
    storage::Event {
        alike: Alike { who: 7, op, errno, device: Device { major: 8, minor: 1 } },
        caller: Some(caller),
        count: 1,
        parent: 6,
        asked_bytes: Some(1 << 31),
        fd: 3,
        kind: Some("ext4".into()),
        text: Some("file".into()),
    }
}

fn at(kind: &str, room: Room) -> FailedAt {
    let filesystem =
        Filesystem { kind: kind.into(), source: "/dev/sda1".into(), room, ..Filesystem::default() };
    FailedAt { path: Some("/data/file".into()), filesystem }
}

struct Node {
    model: Model,
    events: Vec<File>,
    wants: usize,
}

impl Node {
    fn new() -> Node {
        Node { model: Model::new(0, true), events: Vec::new(), wants: 0 }
    }

    fn step(&mut self, input: &Input) {
        let (events, wants) = (&mut self.events, &mut self.wants);
        self.model.step(input, &mut |made| match made {
            Made::Event(event) => {
                if let What::File(file) = event.what {
                    events.push(*file);
                }
            }
            Made::Want(Want::FailedAt { .. }) => *wants += 1,
            _ => {}
        });
    }

    fn fails(&mut self, time: u64, event: storage::Event) {
        let event = probes::Event::Storage(event);
        let record = Record { time: Time(time), tgid: 7, tid: 8, unreadable: false, late: false, event };
        self.step(&Input::Record(record));
    }

    fn is_answered(&mut self, time: u64, result: Result<FailedAt, LookupError>) {
        let what = FactKind::FailedAt { at: Time(time), tid: 8, result };
        self.step(&Input::Fact(Fact { time: Time(time + 1), what }));
    }

    /// What is told of a call that failed in such a file system.
    fn outcome(op: Op, errno: i32, found: FailedAt) -> Option<FileOutcome> {
        let mut node = Node::new();
        node.fails(5, failure(op, errno));
        assert!(node.events.is_empty(), "it waits for its answer");
        node.is_answered(5, Ok(found));
        node.events.pop().map(|file| file.outcome)
    }
}

const ENOSPC: i32 = 28;

#[test]
fn the_file_system_has_to_agree() {
    let cases = [
        (Op::Write, ENOSPC, at("ext4", FULL), FileOutcome::Bytes),
        (Op::Open, ENOSPC, at("ext4", NO_FILES), FileOutcome::Inodes),
        (Op::Write, ENOSPC, at("tmpfs", FULL), FileOutcome::TmpfsSize),
        (Op::Mkdir, ENOSPC, at("tmpfs", NO_FILES), FileOutcome::TmpfsSize),
        (Op::Fallocate, ENOSPC, at("ext4", PLENTY), FileOutcome::TooLarge),
        (Op::Write, ENOSPC, at("ext4", PLENTY), FileOutcome::Unknown),
        (Op::Write, EDQUOT, at("ext4", PLENTY), FileOutcome::Quota),
        (Op::Fsync, EIO, at("ext4", PLENTY), FileOutcome::IoError),
        (Op::Mkdir, EROFS, at("ext4", PLENTY), FileOutcome::ReadOnly),
    ];
    for (op, errno, found, expected) in cases {
        assert_eq!(Node::outcome(op, errno, found.clone()), Some(expected), "{op:?} {errno} {found:?}");
    }
}

#[test]
fn what_is_no_storage_is_not_told() {
    // A control group without CPUs takes no process, and says so with the same number.
    assert_eq!(Node::outcome(Op::Write, ENOSPC, at("cgroup2", FULL)), None);
}

#[test]
fn watches_and_keys_are_no_file_systems() {
    let mut node = Node::new();
    node.fails(5, failure(Op::Inotify, ENOSPC));
    node.fails(6, failure(Op::AddKey, EDQUOT));
    let outcomes: Vec<FileOutcome> = node.events.iter().map(|file| file.outcome).collect();
    assert_eq!((outcomes, node.wants), (vec![FileOutcome::InotifyWatches, FileOutcome::KeyQuota], 0));
}

#[test]
fn nobody_waits_for_a_file_system_that_does_not_answer() {
    let mut node = Node::new();
    node.fails(5, failure(Op::Write, ENOSPC));
    node.step(&Input::Tick(Time(5 + WAIT_NS - 1)));
    assert!(node.events.is_empty());
    node.step(&Input::Tick(Time(5 + WAIT_NS)));
    assert_eq!(node.events.len(), 1);
    assert_eq!(node.events[0].outcome, FileOutcome::Unknown);
    node.is_answered(5, Ok(at("ext4", FULL)));
    assert_eq!(node.events.len(), 1, "its answer is too late");
}

#[test]
fn a_component_is_what_is_watched_by_its_name_outside_of_containers() {
    let is_component = |role, init| {
        let mut event = failure(Op::Fsync, EIO);
        event.caller = event.caller.map(|caller| Owner { role, init, ..caller });
        let mut node = Node::new();
        node.fails(5, event);
        node.is_answered(5, Ok(at("ext4", PLENTY)));
        node.events.pop().is_some_and(|file| file.component)
    };
    assert!(is_component(role::ENGINE, None) && is_component(role::SPEAKER | role::READER, None));
    assert!(!is_component(0, None), "anybody");
    assert!(!is_component(role::PAYLOAD, Some(30)) && !is_component(role::ENGINE, Some(30)), "a workload");
}

#[test]
fn so_many_wait_at_once_and_no_more() {
    let mut node = Node::new();
    for time in 0..MAX_WAITING as u64 + 3 {
        node.fails(time, failure(Op::Write, ENOSPC));
    }
    assert_eq!((node.wants, node.events.len()), (MAX_WAITING, 3));
    node.model.tell_unanswered(None, &mut |_| {});
    assert!(node.model.failures.waiting.is_empty());
}

#[test]
fn what_is_counted_later_is_told_as_the_last_of_its_kind() {
    let mut node = Node::new();
    let event = failure(Op::Write, ENOSPC);
    let (alike, other) = (event.alike, failure(Op::Fsync, EIO).alike);
    node.fails(5, event);
    node.is_answered(5, Ok(at("ext4", FULL)));
    let what = SampleKind::Failures(vec![(alike, 41), (other, 1)]);
    node.step(&Input::Sample(Sample { time: Time(9), what }));
    assert_eq!(node.events.len(), 2, "of another kind nothing is known");
    assert_eq!((node.events[1].count, node.events[1].outcome), (41, FileOutcome::Bytes));
    assert_eq!(node.events[1].path.as_deref(), Some("/data/file"));
}
