//! Lines with keywords in them: whose they are, and whether a component of the node said them of itself.

use observer_ebpf::control::role;

use super::{Made, Model, container};
use crate::{
    input::Record,
    output::{Container, Event, Kind, Since, Text, What},
    probes::{
        self,
        packet::Owner,
        text::{Found, Line},
    },
};

/// Where a cluster runs its own components, and nobody else may run anything.
const OF_THE_CLUSTER: [&str; 4] = ["kube-system", "gatekeeper-system", "cosign-system", "opa"];

impl Model {
    pub(super) fn follow_text(&mut self, record: &Record, make: &mut impl FnMut(Made)) {
        let probes::Event::Text(event) = &record.event else { return };
        match event {
            probes::text::Event::Ordinary => {}
            probes::text::Event::Skipped { count, .. } => self.unread_text += count,
            probes::text::Event::Found(found) => self.tell_text(record, found, make),
        }
    }

    fn tell_text(&self, record: &Record, found: &Found, make: &mut impl FnMut(Made)) {
        let (container, since, why) = self.whose(&found.writer);
        let is_contained = container.is_some() || is_contained(&found.writer);
        let container = container.or_else(|| self.starting(&found.writer));
        if container.as_ref().is_some_and(|container| container.kind == Kind::Sandbox) {
            return;
        }
        let may_be_component = !is_contained || container.as_ref().is_some_and(is_of_the_cluster);
        let writer = self.processes.get(found.writer.tgid).filter(|info| info.began_at(found.writer.start));
        let datastore = writer.and_then(|info| info.datastore.as_deref());
        for line in &found.lines {
            make(Made::Event(Box::new(Event {
                time: self.clock.wall(record.time),
                began: None,
                since: if container.is_some() { since } else { Since::Start },
                container: container.clone(),
                process: Some(self.process_of(&found.writer)),
                why: why.map(str::to_owned),
                what: What::Text(Text {
                    keyword: line.keyword.clone(),
                    layer: line.layer.clone(),
                    component: line.is_named && may_be_component,
                    fd: found.fd,
                    line: line.text.clone(),
                    is_cut: line.is_cut,
                    captures: line.captures.clone(),
                    datastore: datastore.filter(|path| !names_another(line, path)).map(str::to_owned),
                }),
            })));
        }
    }

    /// The container that a runtime is making.
    pub(super) fn starting(&self, writer: &Owner) -> Option<Container> {
        let start = self.starts.get(self.member_of.get(&writer.tgid)?)?;
        Some(container::container(start, &self.context()))
    }
}

/// Whether a process is in a container, or at least no longer in the node's own root.
pub(super) fn is_contained(writer: &Owner) -> bool {
    writer.init.is_some() || writer.role & (role::PAYLOAD | role::ROOTFS) != 0
}

fn is_of_the_cluster(container: &Container) -> bool {
    container.namespace.as_deref().is_some_and(|namespace| OF_THE_CLUSTER.contains(&namespace))
}

/// Whether a line is about another file than this one.
fn names_another(line: &Line, path: &str) -> bool {
    let named = line.captures.iter().find(|(name, _)| name == "file");
    named.is_some_and(|(_, file)| !path.ends_with(file.trim_start_matches("./")))
}

#[cfg(test)]
mod tests;
