//! Whose a socket is: the process that it sends for, and the container that this is in.

use observer_ebpf::control::role;

use super::{Model, lives::Life};
use crate::{
    output::{Container, Process, Since},
    probes::packet::Owner,
};

/// Why no container is named.
const NO_CONTAINER: &str = "its container is not known";

impl Model {
    /// The container of a process; or why it cannot be told whether it is in one.
    pub(super) fn whose(&self, owner: &Owner) -> (Option<Container>, Since, Option<&'static str>) {
        let lives = self.lives.as_ref();
        let life = owner.init.and_then(|init| lives?.get(init)).or_else(|| self.life_in_cgroup(owner));
        if let Some((life, container)) = life.and_then(|life| Some((life, self.container_of(life)?))) {
            return (Some(container), life.since, None);
        }
        let is_contained = owner.init.is_some() || owner.role & role::PAYLOAD != 0;
        (None, Since::Attach, is_contained.then_some(NO_CONTAINER))
    }

    /// Whatever joins a container later (`exec`) is no descendant of its init, but is in its control group.
    fn life_in_cgroup(&self, owner: &Owner) -> Option<&Life> {
        let ids = [owner.cgroup.memory, owner.cgroup.unified];
        // The root of a hierarchy is nobody's own.
        let own = |id: u64| id > 1 && ids.contains(&id);
        let lives = self.lives.as_ref()?;
        lives.iter().filter(|life| life.ended.is_none()).find(|life| self.cgroup_id_of(life).is_some_and(own))
    }

    /// The process itself.
    pub(super) fn process_of(&self, owner: &Owner) -> Process {
        let info = self.processes.get(owner.tgid).filter(|info| info.start == owner.start);
        Process {
            pid: owner.tgid,
            tid: owner.tid,
            ppid: info.map(|info| info.ppid).filter(|ppid| *ppid != 0),
            comm: owner.comm.clone(),
            exe: info.and_then(|info| info.exe.clone()),
            start: Some(self.clock.wall(owner.start)),
        }
    }
}
