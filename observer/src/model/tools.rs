//! Policy tools that are run outside of containers: what each has been asked to do, what it has said, and how it ended.
//! Those of containers are their workload's own business.

use std::collections::BTreeMap;

use observer_ebpf::control::role;

use super::{Made, Model, container, text::is_contained};
use crate::{
    input::Record,
    output::{Exit, ToolFailed},
    probes::{
        self,
        invocation::{Invocation, ToolCall},
        packet::Owner,
        process,
        text::{self, Line},
    },
    time::Time,
};

/// Tools that run at once; the one that began first is given up.
const MAX_TOOLS: usize = 256;
/// Keywords of which a line is kept, of each.
const MAX_SAID: usize = 8;

#[derive(Default)]
pub(super) struct Tools {
    /// Those that run, by pid.
    running: BTreeMap<u32, Tool>,
    given_up: u64,
}

struct Tool {
    executed: Time,
    call: ToolCall,
    image: Option<String>,
    /// As it wrote last, with the first line of each keyword.
    said: Option<(Owner, Vec<Line>)>,
}

impl Tools {
    fn begin(&mut self, tgid: u32, tool: Tool) {
        self.running.insert(tgid, tool);
        let oldest = || self.running.iter().min_by_key(|(_, tool)| tool.executed).map(|(tgid, _)| *tgid);
        if self.running.len() > MAX_TOOLS
            && let Some(oldest) = oldest()
        {
            self.running.remove(&oldest);
            self.given_up += 1;
        }
    }

    fn hear(&mut self, found: &text::Found) {
        let Some(tool) = self.running.get_mut(&found.writer.tgid) else { return };
        let (writer, said) = tool.said.get_or_insert_with(|| (found.writer.clone(), Vec::new()));
        writer.clone_from(&found.writer);
        for line in found.lines.iter().filter(|line| line.is_named) {
            if said.len() < MAX_SAID && said.iter().all(|known| known.keyword != line.keyword) {
                said.push(line.clone());
            }
        }
    }
}

impl Model {
    /// Tools forgotten to bound memory.
    pub fn tools_given_up(&self) -> u64 {
        self.tools.given_up
    }

    pub(super) fn follow_tools(&mut self, record: &Record, make: &mut impl FnMut(Made)) {
        match &record.event {
            probes::Event::Process(process::Event::Executed(exec)) => {
                // Whatever it was before.
                self.tools.running.remove(&record.tgid);
                let is_contained = exec.role & (role::PAYLOAD | role::ROOTFS) != 0;
                if let (Invocation::Tool { call, image }, false) = (&exec.invocation, is_contained) {
                    let tool = Tool { executed: record.time, call: *call, image: image.clone(), said: None };
                    self.tools.begin(record.tgid, tool);
                }
            }
            probes::Event::Text(text::Event::Found(found)) => self.tools.hear(found),
            probes::Event::Process(process::Event::Exited { exit_code, .. }) => {
                if let Some(tool) = self.tools.running.remove(&record.tgid) {
                    self.tool_ended(&tool, *exit_code, make);
                }
            }
            _ => {}
        }
    }

    /// One that was stopped has not failed, and of one that says nothing nobody knows why it has.
    fn tool_ended(&self, tool: &Tool, exit_code: u32, make: &mut impl FnMut(Made)) {
        let Exit { code: Some(exit @ 1..), signal: None, .. } = container::exit(exit_code) else { return };
        let Some((writer, said)) = tool.said.as_ref().filter(|(_, said)| !said.is_empty()) else { return };
        if !is_contained(writer) && self.whose(writer).0.is_none() {
            make(Made::ToolFailed(Box::new(ToolFailed {
                process: self.process_of(writer),
                call: tool.call.name(),
                image: tool.image.clone(),
                exit,
                said: said.clone(),
            })));
        }
    }
}

#[cfg(test)]
mod tests;
