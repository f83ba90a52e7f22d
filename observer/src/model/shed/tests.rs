use super::*;
use crate::{
    input::{Fact, FactKind, Input, LifeFact, Record, Sample, SampleKind, StreamFact},
    output::{StdioOutcome, What},
    probes::{
        self,
        stdio::{self, Object, ObjectKind, PipeState, Written},
    },
};

const SECOND: u64 = 1_000_000_000;
const FULL: PipeState = PipeState {
    taken: 0,
    queued: Some(65_536),
    readers: 1,
    waiting: true,
    alive: true,
    reader: Some(9),
    waiter: None,
};
const PIPE: Object = Object { ino: 7, kind: ObjectKind::Pipe };

struct Rig {
    model: Model,
    told: Vec<(StdioOutcome, bool, Option<u64>)>,
}

impl Rig {
    /// With a container whose output goes into a pipe.
    fn new() -> Rig {
        let stream = StreamFact { fd: 1, object: PIPE, ..StreamFact::default() };
        let life = LifeFact {
            init: 42,
            id: "c1".to_owned(),
            since_start: true,
            streams: vec![stream],
            ..LifeFact::default()
        };
        let mut rig = Rig { model: Model::new(0, true), told: Vec::new() };
        rig.step(&Input::Fact(Fact { time: Time(SECOND), what: FactKind::Life(Box::new(life)) }));
        rig
    }

    fn step(&mut self, input: &Input) {
        let told = &mut self.told;
        self.model.step(input, &mut |made| {
            if let Made::Event(event) = made
                && let What::Stdio(stdio) = event.what
            {
                told.push((stdio.outcome, stdio.ended, stdio.written_bytes));
            }
        });
    }

    fn status(&mut self, second: u64, status: Status) {
        let what = Report::Status { family: Family::Stdio as u8, status, hook: None, why: None };
        self.step(&Input::Probe(ProbeReport { time: Time(second * SECOND), what }));
    }

    /// Seconds of a writer that waits, with ticks, as they are sampled.
    fn waits(&mut self, seconds: std::ops::Range<u64>) {
        for tenth in 10 * seconds.start..10 * seconds.end {
            let time = Time(tenth * SECOND / 10);
            let written = vec![(42, Written { bytes: 65_536, ..Written::default() })];
            let what = SampleKind::Pipe { ino: 7, state: FULL, written };
            self.step(&Input::Sample(Sample { time, what }));
            self.step(&Input::Tick(time));
        }
    }

    fn ends(&mut self, second: u64) {
        let event = stdio::Event::Closing {
            init: 42,
            fd: 1,
            uncounted: false,
            object: PIPE,
            written: Written { bytes: 8, first: Some(Time(2 * SECOND)), ..Written::default() },
            pipe: Some(PipeState { queued: Some(0), alive: true, readers: 1, ..PipeState::default() }),
            now: PIPE,
        };
        let record = Record {
            time: Time(second * SECOND),
            tgid: 42,
            tid: 42,
            unreadable: false,
            late: false,
            event: probes::Event::Stdio(event),
        };
        self.step(&Input::Record(record));
        for tenth in 10 * second..10 * (second + 8) {
            self.step(&Input::Tick(Time(tenth * SECOND / 10)));
        }
    }

    fn told(&mut self) -> Vec<(StdioOutcome, bool, Option<u64>)> {
        std::mem::take(&mut self.told)
    }
}

#[test]
fn a_writer_that_waits_while_nothing_is_counted_is_not_blocked() {
    let mut rig = Rig::new();
    rig.waits(2..6);
    assert_eq!(rig.told().first(), Some(&(StdioOutcome::Blocked, false, Some(65_536))));
    rig.status(7, Status::Shed);
    rig.waits(7..12);
    assert_eq!(rig.told(), [(StdioOutcome::Unknown, false, None)], "it is not known any more");
    rig.status(13, Status::Attached);
    rig.waits(13..17);
    assert_eq!(rig.told(), [(StdioOutcome::Blocked, false, None)], "it is looked at again");
}

#[test]
fn of_what_was_not_counted_all_the_time_nothing_is_said_at_its_end() {
    let mut counted = Rig::new();
    counted.ends(9);
    assert_eq!(counted.told(), [(StdioOutcome::Delivered, true, Some(8))]);
    let mut rig = Rig::new();
    rig.status(3, Status::Shed);
    rig.status(5, Status::Attached);
    // A recording may begin anew in between.
    let mut again = Rig { model: Model::new(0, true), told: Vec::new() };
    rig.model.open_inputs(Time(6 * SECOND)).iter().for_each(|input| again.step(input));
    for rig in [&mut rig, &mut again] {
        rig.ends(9);
        assert_eq!(rig.told(), [(StdioOutcome::Unknown, true, None)]);
    }
}

#[test]
fn what_came_before_a_probe_was_taken_up_again_is_not_taken_for_all() {
    let mut shed = Shed::default();
    assert!(!shed.missed(Family::Dns, Time(5)));
    shed.0.insert(Family::Dns as u8, FOREVER);
    assert!(shed.missed(Family::Dns, Time(5)) && !shed.missed(Family::Stdio, Time(5)));
    shed.0.insert(Family::Dns as u8, Time(7));
    assert!(shed.missed(Family::Dns, Time(6)) && !shed.missed(Family::Dns, Time(7)));
}
