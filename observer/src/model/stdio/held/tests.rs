//! What the log file of a container has to say, and how long that is waited for.

use super::*;
use crate::{
    input::{CriContainer, Fact, FactKind, Input, LifeFact, LogFact, LookupError, Record, StreamFact},
    output::{LogFile, Want},
    probes::{
        Event,
        stdio::{self, Object, ObjectKind, PipeState, Written},
    },
};

const INIT: u32 = 9;
const PATH: &str = "/var/log/pods/web/0.log";
const PIPE: Object = Object { ino: 7, kind: ObjectKind::Pipe };
const MS: u64 = 1_000_000;
/// When the container ends.
const END: u64 = 10_000 * MS;

/// What a model has told, and whether it wanted the log to be looked at.
struct Watched {
    model: Model,
    told: Vec<(Stdio, Option<String>)>,
    looks: usize,
    asks: usize,
}

impl Watched {
    /// With a container that writes to a pipe.
    fn new(log: Option<LogFact>) -> Self {
        let stream = StreamFact { fd: 1, object: PIPE, ..StreamFact::default() };
        Watched::of(LifeFact { since_start: true, streams: vec![stream], log, ..LifeFact::default() })
    }

    fn of(life: LifeFact) -> Self {
        let mut watched = Watched { model: Model::new(0, true), told: Vec::new(), looks: 0, asks: 0 };
        let life = LifeFact { init: INIT, id: "c".to_owned(), ..life };
        watched.fact(1, FactKind::Life(Box::new(life)));
        (watched.looks, watched.told) = (0, Vec::new());
        watched
    }

    fn step(&mut self, input: &Input) {
        let mut made = Vec::new();
        self.model.step(input, &mut |item| made.push(item));
        for item in made {
            match item {
                Made::Want(Want::LogFile { init: INIT, path }) if path == PATH => self.looks += 1,
                Made::Want(Want::Cri { .. }) => self.asks += 1,
                Made::Event(event) => {
                    if let What::Stdio(stdio) = event.what {
                        self.told.push((stdio, event.why));
                    }
                }
                _ => {}
            }
        }
    }

    fn fact(&mut self, time: u64, what: FactKind) {
        self.step(&Input::Fact(Fact { time: Time(time), what }));
    }

    fn tick(&mut self, time: u64) {
        self.step(&Input::Tick(Time(time)));
    }

    fn looked(&mut self, time: u64, result: Result<u64, LookupError>) {
        self.fact(time, FactKind::LogFile { init: INIT, path: PATH.to_owned(), result });
    }

    /// So many milliseconds after the container's end, its log is looked at.
    fn see(&mut self, after: u64, result: Result<u64, LookupError>) {
        self.tick(END + after * MS);
        self.looked(END + (after + 1) * MS, result);
        self.tick(END + (after + 20) * MS);
    }

    fn stdio(&mut self, time: u64, event: stdio::Event) {
        let event = Event::Stdio(event);
        let time = Time(time);
        self.step(&Input::Record(Record {
            time,
            tgid: INIT,
            tid: INIT,
            unreadable: false,
            late: false,
            event,
        }));
    }

    /// The container ends, having written this much at that time, all of which was taken.
    fn end(&mut self, bytes: u64, at: u64) {
        let last = (bytes > 0).then_some(Time(at));
        let pipe =
            PipeState { taken: bytes, queued: Some(0), readers: 1, alive: true, ..PipeState::default() };
        self.stdio(
            END,
            stdio::Event::Closing {
                init: INIT,
                fd: 1,
                uncounted: false,
                object: PIPE,
                written: Written { bytes, first: last, last, broken: 0 },
                pipe: Some(pipe),
                now: PIPE,
            },
        );
    }

    /// The only thing that was told: its outcome, the log file, and why.
    fn only(&self) -> (StdioOutcome, Option<LogFile>, Option<&str>) {
        assert_eq!(self.told.len(), 1, "{:?}", self.told);
        let (stdio, why) = &self.told[0];
        (stdio.outcome, stdio.log_file.clone(), why.as_deref())
    }
}

/// A file that was empty when the container began.
fn own() -> Option<LogFact> {
    Some(LogFact { path: PATH.to_owned(), began_empty: true, first: None })
}

/// A file that held something when the container began.
fn shared(time: u64, bytes: u64) -> Option<LogFact> {
    Some(LogFact { path: PATH.to_owned(), began_empty: false, first: Some((Time(time), bytes)) })
}

fn gone() -> Result<u64, LookupError> {
    Err(LookupError { what: PATH.to_owned(), why: "No such file or directory".to_owned() })
}

fn log(bytes: Option<u64>, grew: Option<bool>) -> Option<LogFile> {
    Some(LogFile { path: PATH.to_owned(), bytes, grew })
}

#[test]
fn what_was_taken_and_written_is_said_once_the_engine_can_have_written() {
    let mut watched = Watched::new(own());
    watched.end(100, END / 2);
    watched.see(0, Ok(40));
    watched.tick(END + 230 * MS);
    assert_eq!((watched.told.len(), watched.looks), (0, 1));
    watched.see(250, Ok(140));
    assert_eq!(watched.looks, 2);
    assert_eq!(watched.only(), (StdioOutcome::Delivered, log(Some(140), Some(true)), None));
}

#[test]
fn a_log_that_does_not_grow_is_looked_at_again() {
    let mut watched = Watched::new(own());
    watched.end(100, END / 2);
    watched.see(0, Ok(0));
    watched.see(250, Ok(0));
    watched.tick(END + 1_990 * MS);
    assert_eq!((watched.told.len(), watched.looks), (0, 2), "it may yet");
    watched.see(2_000, Ok(0));
    assert_eq!(watched.looks, 3);
    let (outcome, file, why) = watched.only();
    assert_eq!(
        (outcome, file),
        (StdioOutcome::Delivered, log(Some(0), Some(false))),
        "of the pipe it is true"
    );
    assert!(why.is_some_and(|why| why.contains("did not grow")), "{why:?}");
}

#[test]
fn a_log_that_grows_late_has_grown() {
    let mut watched = Watched::new(own());
    watched.end(100, END / 2);
    for (after, bytes) in [(0, 0), (250, 0), (2_000, 140)] {
        watched.see(after, Ok(bytes));
    }
    assert_eq!(watched.only(), (StdioOutcome::Delivered, log(Some(140), Some(true)), None));
}

#[test]
fn a_log_that_goes_with_its_container_is_told_as_it_was() {
    for (bytes, grew) in [(140, Some(true)), (0, None)] {
        let mut watched = Watched::new(own());
        watched.end(100, END / 2);
        watched.see(0, Ok(bytes));
        watched.see(250, gone());
        let why = Some("its log file is gone; this is how long it was before");
        assert_eq!(watched.only(), (StdioOutcome::Delivered, log(Some(bytes), grew), why));
    }
}

#[test]
fn nobody_waits_for_what_was_never_written() {
    let mut watched = Watched::new(own());
    watched.end(0, 0);
    watched.see(0, Ok(0));
    watched.see(250, Ok(0));
    assert_eq!(watched.only(), (StdioOutcome::Silent, log(Some(0), Some(false)), None));
}

#[test]
fn where_no_log_is_known_nothing_waits() {
    let mut watched = Watched::new(None);
    watched.end(100, END / 2);
    assert_eq!(watched.only(), (StdioOutcome::Delivered, None, None));
}

#[test]
fn a_log_that_is_continued_has_to_grow_by_what_was_written_since() {
    for (first, written, bytes, grew) in [
        ((5, 50), 6, 90, Some(true)),
        ((5, 50), 6, 50, Some(false)),
        // It may have been in it already.
        ((5, 50), 5, 50, None),
        // Another file by now.
        ((5, 50), 6, 40, Some(true)),
    ] {
        let mut watched = Watched::new(shared(first.0, first.1));
        watched.end(40, written);
        for after in [0, 250, 2_000] {
            watched.see(after, Ok(bytes));
        }
        assert_eq!(watched.only().1, log(Some(bytes), grew), "{first:?} {written} {bytes}");
    }
}

#[test]
fn a_look_that_fails_or_never_comes_is_said() {
    let mut watched = Watched::new(own());
    watched.end(100, END / 2);
    watched.see(0, gone());
    watched.see(250, gone());
    let why = Some("log file: No such file or directory");
    assert_eq!(watched.only(), (StdioOutcome::Delivered, log(None, None), why));

    let mut watched = Watched::new(own());
    watched.end(100, END / 2);
    watched.tick(END + 290 * MS);
    assert_eq!(watched.told.len(), 0);
    watched.tick(END + 300 * MS);
    let why = Some("its log file was not looked at in time");
    assert_eq!(watched.only(), (StdioOutcome::Delivered, log(None, None), why));
}

#[test]
fn the_end_of_a_run_waits_for_nothing() {
    let mut watched = Watched::new(own());
    watched.end(100, END / 2);
    let mut told = 0;
    watched.model.finish(Time(END), &mut |made| told += usize::from(matches!(made, Made::Event(_))));
    assert_eq!(told, 1);
}

/// A pod's container that was there before; its engine is asked where it logs to.
fn older() -> Watched {
    let sandbox = ("io.kubernetes.cri.sandbox-id".to_owned(), "s".to_owned());
    let bundle = crate::input::Bundle { annotations: [sandbox].into(), ..crate::input::Bundle::default() };
    let mut watched = Watched::of(LifeFact { bundle: Some(bundle), ..LifeFact::default() });
    assert_eq!(watched.asks, 1);
    let pipe =
        PipeState { queued: Some(0), readers: 1, alive: true, reader: Some(3), ..PipeState::default() };
    let opened = stdio::Event::Opened { init: INIT, fd: 1, attach: true, object: PIPE, pipe: Some(pipe) };
    watched.stdio(2 * MS, opened);
    watched.tick(20 * MS);
    assert_eq!(watched.told.len(), 0, "the engine may answer");
    watched
}

#[test]
fn one_that_was_there_before_is_told_with_its_log() {
    let mut watched = older();
    let said = CriContainer { log_path: Some(PATH.to_owned()), ..CriContainer::default() };
    watched.fact(30 * MS, FactKind::Cri { id: "c".to_owned(), result: Ok(said) });
    watched.looked(31 * MS, Ok(7));
    watched.tick(40 * MS);
    assert_eq!(watched.only().1, log(Some(7), None), "one look shows no growth");
}

#[test]
fn an_engine_that_does_not_answer_is_not_waited_for_for_ever() {
    let mut watched = older();
    watched.tick(1_490 * MS);
    assert_eq!(watched.told.len(), 0);
    watched.tick(1_510 * MS);
    assert_eq!(watched.only().1, None);
}
