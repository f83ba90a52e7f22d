//! When a start is settled: nothing that may still come would change what is said of it.

use super::{
    Made, Model, coldstart, container, happened, markers,
    start::{Start, StartId},
};
use crate::{
    output::{Kind, Want},
    time::Time,
};

/// How long a settled start waits for what its engine and its runtime say of themselves.
const ANSWER_WAIT_NS: u64 = 1_000_000_000;

impl Model {
    /// Starts that have begun, or may yet.
    pub fn open_starts(&self) -> usize {
        self.starts.values().filter(|start| start.progress.begun.is_some()).count()
    }

    /// Reports the starts that are settled as of `time`.
    pub(super) fn settle(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let settled: Vec<StartId> =
            self.starts.values().filter(|start| self.is_settled(start, time)).map(|start| start.id).collect();
        for id in settled {
            self.report(id, make);
        }
        self.live_on(time, make);
        self.webhooks_tick(time, make);
        self.calls_tick(time, make);
    }

    fn is_settled(&self, start: &Start, time: Time) -> bool {
        let progress = &start.progress;
        if self.unanswered.contains(&start.exe) && time.since(start.id.at) < ANSWER_WAIT_NS {
            return false;
        }
        // One that is over in no time is so before its bundle could be read.
        if start.bundle.is_none() && time.since(start.id.at) < ANSWER_WAIT_NS {
            return false;
        }
        if start.asked.is_some_and(|asked| time.since(asked) < ANSWER_WAIT_NS) {
            return false;
        }
        if progress.listening.is_some() {
            return true;
        }
        if start.has_failed() {
            // The runtime may have more to say after its child's end.
            let root_gone = progress.root_ended.is_some_and(|(ended, _)| ended < time);
            return root_gone;
        }
        if start.is_pause && progress.begun.is_some() {
            return true; // it neither speaks nor listens, and its pod's first container needs it
        }
        let ended = progress.begun.and(progress.init_ended).is_some_and(|ended| ended < time);
        ended || progress.begun.is_some_and(|begun| time.since(begun) >= self.ready_wait_ns)
    }

    /// At the end of a run: what has begun is reported as far as it came.
    pub fn finish(&mut self, time: Time, make: &mut impl FnMut(Made)) {
        let begun = |start: &&Start| start.progress.begun.is_some() || start.has_failed();
        let open: Vec<StartId> = self.starts.values().filter(begun).map(|start| start.id).collect();
        for id in open {
            self.report(id, make);
        }
        self.tell_repeated(None, make);
        self.tell_unanswered(None, make);
        self.end_lookups(time, make);
        self.end_webhooks(time, make);
        self.end_of_calls(time, make);
        self.end_streams(time, make);
        self.let_all_go(make);
    }

    fn report(&mut self, id: StartId, make: &mut impl FnMut(Made)) {
        let Some(start) = self.starts.remove(&id) else { return };
        self.member_of.retain(|_, of| *of != id);
        let container = container::container(&start, &self.context());
        match (&mut self.lives, start.init) {
            (Some(lives), Some(init)) => {
                lives.settled(init, id, &container);
                self.follow_resident(init, make);
            }
            (None, Some(init)) if start.progress.init_ended.is_none() => {
                make(Made::Want(Want::Quiet { init }));
            }
            _ => {}
        }
        if container.kind == Kind::Sandbox {
            self.keep_pause(&start);
            return;
        }
        let cold_start = coldstart::cold_start(&start, &self.context());
        if let Some(sandbox_id) = container.sandbox_id {
            self.pods.told(&sandbox_id, id);
        }
        if self.lives.is_some() {
            happened::phases(&cold_start).for_each(|event| make(Made::Event(Box::new(event))));
        }
        make(Made::ColdStart(Box::new(cold_start)));
    }

    fn keep_pause(&mut self, start: &Start) {
        let Some(id) = start.container_id.clone() else { return };
        let sandbox = self.pods.sandbox(&id);
        sandbox.records = start.records.clone();
        sandbox.bundle = start.known_bundle().map(|bundle| (start.id.root, bundle.clone()));
        sandbox.begun = start.progress.begun;
        sandbox.executed = Some(start.id.at);
        sandbox.markers = markers::markers(start);
    }
}
