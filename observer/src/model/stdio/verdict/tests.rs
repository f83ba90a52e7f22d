use super::*;
use crate::probes::stdio::{Object, PipeState, Written};

const LIFE: u64 = 10_000_000_000;
const PIPE: Object = Object { ino: 7, kind: ObjectKind::Pipe };
const TAKEN: PipeState = PipeState {
    taken: 5,
    queued: Some(0),
    readers: 1,
    waiting: false,
    alive: true,
    reader: Some(9),
    waiter: None,
};

/// A stream of a container that has written five bytes in the middle of its life, and what it left.
fn stream(pipe: PipeState) -> (Stream, End) {
    let mut stream = Stream::new(1, PIPE, Since::Start, Time(0));
    stream.written = Written { bytes: 5, first: Some(Time(LIFE / 2)), last: Some(Time(LIFE / 2)), broken: 0 };
    stream.pipe = pipe;
    let end = End { time: Time(LIFE), now: PIPE, uncounted: false, taken: 0, queued: Some(5) };
    (stream, end)
}

fn outcome(stream: &Stream, end: &End) -> Option<(StdioOutcome, Option<u64>)> {
    stream.judge(end, end.time).map(|said| (said.outcome, said.left))
}

#[test]
fn what_was_taken_is_delivered() {
    let (stream, end) = stream(TAKEN);
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::Delivered, Some(0))));
}

#[test]
fn what_a_known_reader_took_before_the_pipe_went_is_delivered() {
    let (stream, end) = stream(PipeState { alive: false, readers: 0, ..TAKEN });
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::Delivered, Some(0))));
}

#[test]
fn what_is_left_waits_for_its_reader_but_not_for_ever() {
    let (stream, end) = stream(PipeState { taken: 2, queued: Some(3), ..TAKEN });
    assert_eq!(stream.judge(&end, end.time), None);
    let late = stream.judge(&end, end.time.plus(GRACE_NS)).unwrap();
    assert_eq!((late.outcome, late.left), (StdioOutcome::Blocked, Some(3)));
}

#[test]
fn what_nobody_is_left_to_take_is_undelivered() {
    let (mut stream, end) = stream(PipeState { taken: 2, queued: Some(3), readers: 0, ..TAKEN });
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::Undelivered, Some(3))));
    stream.reader_gone = true;
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::ReaderGone, Some(3))));
}

#[test]
fn a_pipe_that_went_with_an_unknown_reader_says_nothing() {
    let (stream, end) = stream(PipeState { taken: 0, alive: false, readers: 0, reader: None, ..TAKEN });
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::Unknown, None)));
}

#[test]
fn a_write_that_nobody_could_read_is_no_silence() {
    let (mut stream, mut end) = stream(PipeState { readers: 0, ..TAKEN });
    (stream.written.bytes, stream.written.broken, end.queued) = (0, 2, Some(0));
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::ReaderGone, Some(0))));
}

#[test]
fn nothing_written_is_silent_only_if_all_was_seen() {
    let (mut stream, mut end) = stream(TAKEN);
    (stream.written, end.queued) = (Written::default(), Some(0));
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::Silent, Some(0))));
    stream.since = Since::Attach;
    assert_eq!(outcome(&stream, &end).unwrap().0, StdioOutcome::Unknown);
    stream.since = Since::Start;
    end.uncounted = true;
    assert_eq!(outcome(&stream, &end).unwrap().0, StdioOutcome::Unknown);
}

#[test]
fn a_descriptor_that_went_elsewhere_is_redirected_unless_it_wrote_first() {
    let (mut stream, mut end) = stream(TAKEN);
    end.now = Object { ino: 8, kind: ObjectKind::Null };
    assert_eq!(outcome(&stream, &end).unwrap().0, StdioOutcome::Delivered);
    (stream.written, end.queued) = (Written::default(), Some(0));
    assert_eq!(outcome(&stream, &end).unwrap().0, StdioOutcome::Redirected);
}

#[test]
fn output_is_held_back_only_in_a_long_life() {
    let (mut stream, mut end) = stream(TAKEN);
    stream.written.first = Some(Time(LIFE - HELD_LAST_NS / 2));
    assert_eq!(outcome(&stream, &end).unwrap().0, StdioOutcome::HeldUntilExit);
    stream.opened = Time(LIFE - HELD_LIFE_NS / 2);
    assert_eq!(outcome(&stream, &end).unwrap().0, StdioOutcome::Delivered);
    (stream.opened, stream.since) = (Time(0), Since::Attach);
    assert_eq!(outcome(&stream, &end).unwrap().0, StdioOutcome::Delivered);
    end.queued = None;
    stream.pipe.queued = None;
    let late = stream.judge(&end, end.time.plus(GRACE_NS)).unwrap();
    assert_eq!(late.outcome, StdioOutcome::Unknown);
}

#[test]
fn files_are_redirections_and_terminals_are_not_known() {
    let (mut stream, end) = stream(TAKEN);
    for kind in [ObjectKind::File, ObjectKind::Null, ObjectKind::Closed] {
        stream.object.kind = kind;
        assert_eq!(outcome(&stream, &end), Some((StdioOutcome::Redirected, None)));
    }
    stream.object.kind = ObjectKind::Tty;
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::Unknown, None)));
    stream.written.bytes = 0;
    assert_eq!(outcome(&stream, &end), Some((StdioOutcome::Silent, None)));
}

#[test]
fn waiting_for_room_adds_up() {
    let (mut stream, _) = stream(TAKEN);
    let waiting = PipeState { waiting: true, queued: Some(65_536), ..TAKEN };
    stream.sample(Time(100), waiting);
    assert_eq!(stream.blocked_ns(Time(300)), 200);
    stream.sample(Time(400), TAKEN);
    stream.sample(Time(500), waiting);
    assert_eq!(stream.blocked_ns(Time(600)), 400);
}
