//! The mount family and the change of root.

use observer_ebpf::{
    Family,
    wire::mount::{Mount, op},
};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, chars, fixed,
    spec::{Spec, syscall},
};

pub const SPEC: Spec = Spec {
    family: Family::Mount,
    gives: "the rootfs phase with its mounts counted, and where the payload may begin",
    cost: "a hash look-up at the exit of the mount family",
    hooks: &[
        syscall!("mount", "exit_mount", ["dev_name", "dir_name"]),
        syscall!("umount", "exit_umount", ["name"]),
        syscall!("pivot_root", "exit_pivot_root", ["new_root"]),
        syscall!("chroot", "exit_chroot", ["filename"]),
        syscall!("open_tree", "exit_open_tree", ["dfd"]),
        syscall!("move_mount", "exit_move_mount", ["from_dfd"]),
        syscall!("fsopen", "exit_fsopen", []),
        syscall!("fsconfig", "exit_fsconfig", ["fd"]),
        syscall!("fsmount", "exit_fsmount", ["fs_fd"]),
        syscall!("mount_setattr", "exit_mount_setattr", ["dfd"]),
    ],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Mount,
    Umount,
    PivotRoot,
    Chroot,
    OpenTree,
    MoveMount,
    Fsopen,
    Fsconfig,
    Fsmount,
    MountSetattr,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Op::Mount => "mount",
            Op::Umount => "umount2",
            Op::PivotRoot => "pivot_root",
            Op::Chroot => "chroot",
            Op::OpenTree => "open_tree",
            Op::MoveMount => "move_mount",
            Op::Fsopen => "fsopen",
            Op::Fsconfig => "fsconfig",
            Op::Fsmount => "fsmount",
            Op::MountSetattr => "mount_setattr",
        }
    }

    /// Whether it puts something at a place: what "N mounts" counts.
    pub const fn is_mount(self) -> bool {
        matches!(self, Op::Mount | Op::MoveMount)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub call: Call,
    pub op: Op,
    pub role: u32,
    /// For `mount` by an engine, and for a failed one.
    pub target: Option<String>,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(u32::from(number)));
    }
    let (wire, rest) = fixed::<Mount>(bytes)?;
    let op = match wire.op {
        op::MOUNT => Op::Mount,
        op::UMOUNT => Op::Umount,
        op::PIVOT_ROOT => Op::PivotRoot,
        op::CHROOT => Op::Chroot,
        op::OPEN_TREE => Op::OpenTree,
        op::MOVE_MOUNT => Op::MoveMount,
        op::FSOPEN => Op::Fsopen,
        op::FSCONFIG => Op::Fsconfig,
        op::FSMOUNT => Op::Fsmount,
        op::MOUNT_SETATTR => Op::MountSetattr,
        other => return Err(Malformed::Operation(other)),
    };
    let (target, _) = chars::take(rest, wire.target_len as usize)?;
    let target = (!target.is_empty()).then_some(target);
    Ok(Event { call: Call::from_wire(&wire.header, wire.syscall), op, role: wire.role, target })
}

impl Event {
    /// Whether the caller has a new root from here on.
    pub fn changes_root(&self) -> bool {
        matches!(self.op, Op::PivotRoot | Op::Chroot) && self.call.ret == 0
    }
}
