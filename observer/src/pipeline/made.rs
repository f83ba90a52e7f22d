//! What the model has made, on its way out: counted, judged, tied to traces, told.

use super::{Pipeline, evidence};
use crate::{
    model::Made,
    output::{ColdStart, Container, CpuUse, Event, Output, Resident, Told, ToolFailed},
};

impl Pipeline {
    pub(super) fn hand_on(&mut self, made: Made, out: &mut impl FnMut(Output)) {
        match made {
            Made::Want(want) => out(Output::Want(want)),
            Made::ColdStart(start) => self.cold_start(start, out),
            Made::Event(event) => self.event(event, out),
            Made::Resident(container, resident) => self.resident(&container, resident),
            Made::Linear(container, bytes) => {
                if self.settings.filter.takes(&container) {
                    let said = self.judging.linear(&container, bytes, self.now, self.model.clock());
                    said.into_iter().for_each(out);
                }
            }
            Made::Node(used) => {
                if let Some(tally) = &mut self.tally {
                    tally.node(&used);
                }
                let said = self.judging.node(&used, self.now, self.model.clock());
                self.say(said, out);
            }
            Made::Tracked(container, counts) => {
                if container.as_ref().is_none_or(|container| self.settings.filter.takes(container)) {
                    let container = container.as_deref();
                    let said = self.judging.tracked(container, &counts, self.now, self.model.clock());
                    self.say(said, out);
                }
            }
            Made::Listening(Some(container), at) => self.judging.container_listens(&container, &at),
            Made::Listening(None, at) => {
                let said = self.judging.node_listens(&at, self.now, self.model.clock());
                self.say(said, out);
            }
            Made::Filesystems(all) => {
                let said = self.judging.filesystems(&all, self.now, self.model.clock());
                said.into_iter().for_each(out);
            }
            Made::Certificates(found) => {
                let said = self.judging.certificates(&found, self.now, self.model.clock());
                said.into_iter().for_each(out);
            }
            Made::ToolFailed(failed) => self.tool_failed(&failed, out),
            Made::Cpu(container, used) => self.cpu(&container, &used, out),
        }
    }

    fn resident(&mut self, container: &Container, resident: Resident) {
        if !self.settings.filter.takes(container) {
            return;
        }
        self.judging.resident(container, resident);
        if let Some(tally) = &mut self.tally {
            tally.resident(container, resident);
        }
    }

    fn cpu(&mut self, container: &Container, used: &CpuUse, out: &mut impl FnMut(Output)) {
        if !self.settings.filter.takes(container) {
            // Whoever uses most of it may be somebody that nobody asked about.
            self.judging.cpu_of_another(container, used, self.now);
            return;
        }
        if let Some(tally) = &mut self.tally {
            tally.cpu(container, used);
        }
        let said = self.judging.cpu(container, used, self.now, self.model.clock());
        self.say(said, out);
    }

    fn tool_failed(&mut self, failed: &ToolFailed, out: &mut impl FnMut(Output)) {
        if self.settings.filter.takes_process(Some(failed.process.pid)) {
            let said = self.judging.tool(failed, self.now, self.model.clock());
            self.say(said, out);
        }
    }

    fn cold_start(&mut self, start: Box<ColdStart>, out: &mut impl FnMut(Output)) {
        if !self.settings.filter.takes(&start.container) {
            return;
        }
        self.seen.start(&start);
        if let Some(tally) = &mut self.tally {
            tally.start(&start);
        }
        let said = self.judging.start(&start, self.now, self.model.clock());
        if let Some(correlator) = &mut self.correlator {
            correlator.told(self.now, Told::Start(start.clone()));
        }
        out(Output::ColdStart(start));
        self.say(said, out);
    }

    fn event(&mut self, event: Box<Event>, out: &mut impl FnMut(Output)) {
        let is_wanted = match &event.container {
            Some(container) => self.settings.filter.takes(container),
            None => self.settings.filter.takes_process(event.process.as_ref().map(|process| process.pid)),
        };
        if !is_wanted {
            return;
        }
        self.seen.event(&event);
        if let Some(tally) = &mut self.tally {
            tally.event(&event);
        }
        let said = self.judging.event(&event, self.model.kube(), self.now, self.model.clock());
        if let Some(correlator) = self.correlator.as_mut().filter(|_| evidence::explains_a_span(&event)) {
            correlator.told(self.now, Told::Event(event.clone()));
        }
        out(Output::Event(event));
        self.say(said, out);
    }
}
