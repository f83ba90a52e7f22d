//! Control groups: made, and entered by a process.

use observer_ebpf::{
    Family,
    wire::cgroup::{Attach, Mkdir},
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, chars, fixed,
    spec::{Spec, tracepoint},
};

pub const SPEC: Spec = Spec {
    family: Family::Cgroup,
    gives: "how long a start spent on its control groups, and their paths",
    cost: "nothing but at the making and entering of control groups",
    hooks: &[
        tracepoint!("cgroup_mkdir", "cgroup_mkdir_btf", "cgroup_mkdir_raw", ["cgroup", ""]),
        tracepoint!(
            "cgroup_attach_task",
            "cgroup_attach_btf",
            "cgroup_attach_raw",
            ["cgroup", "", "task_struct", ""]
        ),
    ],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Made {
        /// The directory's inode.
        id: u64,
        /// 1 is the unified hierarchy.
        hierarchy: u32,
        path: String,
    },
    Entered {
        id: u64,
        hierarchy: u32,
        target: u32,
        role: u32,
        path: String,
    },
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    match number {
        1 => {
            let (wire, rest) = fixed::<Mkdir>(bytes)?;
            let (path, _) = chars::take(rest, wire.path_len as usize)?;
            Ok(Event::Made { id: wire.id, hierarchy: wire.hierarchy, path })
        }
        2 => {
            let (wire, rest) = fixed::<Attach>(bytes)?;
            let (path, _) = chars::take(rest, wire.path_len as usize)?;
            Ok(Event::Entered {
                id: wire.id,
                hierarchy: wire.hierarchy,
                target: wire.target,
                role: wire.role,
                path,
            })
        }
        _ => Err(Malformed::Operation(u32::from(number))),
    }
}
