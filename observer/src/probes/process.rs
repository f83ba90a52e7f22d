//! Life of processes: fork, exec (and its failure), exit, rename.

use observer_ebpf::{
    Family,
    control::role,
    wire::process::{Exec, ExecFailed, Exit, Fork, OomVictim, Rename},
};
use serde::{Deserialize, Serialize};

use super::{
    Call, Malformed, chars, fixed,
    invocation::{self, Invocation},
    spec::{Hook, Rung, Spec, syscall, tracepoint},
};
use crate::time::Time;

pub const SPEC: Spec = Spec {
    family: Family::Process,
    gives: "which runtime was executed for which container, when its payload began and how it ended",
    cost: "a hash look-up at every fork, exec and exit",
    hooks: &[
        tracepoint!("sched_process_fork", "fork_btf", "fork_raw", ["task_struct", "task_struct"]),
        tracepoint!("sched_process_exec", "exec_btf", "exec_raw", ["task_struct", "", "linux_binprm"]),
        tracepoint!("sched_process_exit", "exit_btf", "exit_raw", ["task_struct"]),
        tracepoint!("task_rename", "rename_btf", "rename_raw", ["task_struct", ""]),
        Hook {
            covered_by: None,
            name: "mark_victim",
            required: false,
            rungs: &[
                Rung::Btf { program: "oom_task_btf", tracepoint: "mark_victim", arguments: &["task_struct"] },
                Rung::Raw { program: "oom_task_raw", tracepoint: "mark_victim", arguments: &["task_struct"] },
                // Up to 6.8 the victim's pid is all there is.
                Rung::Btf { program: "oom_pid_btf", tracepoint: "mark_victim", arguments: &["int"] },
                Rung::Raw { program: "oom_pid_raw", tracepoint: "mark_victim", arguments: &["int"] },
            ],
        },
        syscall!("execve", "enter_any", "exit_execve", ["filename", "argv", "envp"]),
        syscall!("execveat", "enter_any", "exit_execveat", ["fd", "filename", "argv", "envp", "flags"]),
    ],
};

/// A task's control group by the inode of its directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CgroupIds {
    pub memory: u64,
    pub unified: u64,
}

impl From<observer_ebpf::wire::cgroup::Ids> for CgroupIds {
    fn from(ids: observer_ebpf::wire::cgroup::Ids) -> Self {
        CgroupIds { memory: ids.memory, unified: ids.unified }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Forked {
        child: u32,
        role: u32,
        start: Time,
        cgroup: CgroupIds,
    },
    Executed(Box<Executed>),
    ExecFailed {
        call: Call,
        role: u32,
        path: String,
    },
    Exited {
        role: u32,
        exit_code: u32,
        start: Time,
        cgroup: CgroupIds,
        major_faults: u64,
        read_bytes: u64,
    },
    Renamed {
        role: u32,
        comm: String,
    },
    /// Chosen to be killed for want of memory.
    OomVictim {
        victim: u32,
        role: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Executed {
    pub ppid: u32,
    pub role: u32,
    pub start: Time,
    pub cgroup: CgroupIds,
    pub major_faults: u64,
    pub read_bytes: u64,
    pub comm: String,
    /// The file name as the kernel was given it; `/dev/fd/N` for a re-exec from memory.
    pub filename: String,
    /// What its arguments and environment say, if it is a program this tool knows.
    pub invocation: Invocation,
}

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    match number {
        1 => fixed::<Fork>(bytes).map(|(wire, _)| Event::Forked {
            child: wire.child,
            role: wire.role,
            start: Time(wire.start_ns),
            cgroup: wire.cgroup.into(),
        }),
        2 => executed(bytes).map(|event| Event::Executed(Box::new(event))),
        3 => {
            let (wire, rest) = fixed::<ExecFailed>(bytes)?;
            let (path, _) = chars::take(rest, wire.path_len as usize)?;
            Ok(Event::ExecFailed { call: Call::from_wire(&wire.header, wire.syscall), role: wire.role, path })
        }
        4 => fixed::<Exit>(bytes).map(|(wire, _)| Event::Exited {
            role: wire.role,
            exit_code: wire.exit_code,
            start: Time(wire.start_ns),
            cgroup: wire.cgroup.into(),
            major_faults: wire.major_faults,
            read_bytes: wire.read_bytes,
        }),
        5 => fixed::<Rename>(bytes)
            .map(|(wire, _)| Event::Renamed { role: wire.role, comm: chars::comm(&wire.comm) }),
        6 => fixed::<OomVictim>(bytes)
            .map(|(wire, _)| Event::OomVictim { victim: wire.victim, role: wire.role }),
        _ => Err(Malformed::Operation(u32::from(number))),
    }
}

fn executed(bytes: &[u8]) -> Result<Executed, Malformed> {
    let (wire, rest) = fixed::<Exec>(bytes)?;
    let (filename, rest) = chars::take(rest, usize::from(wire.filename_len))?;
    let (argv, rest) = rest.split_at_checked(usize::from(wire.argv_len)).ok_or(Malformed::Text)?;
    let environ = rest.get(..usize::from(wire.environ_len)).ok_or(Malformed::Text)?;
    let invocation = if wire.role & role::HELPER != 0 {
        invocation::from_environment(environ)
    } else {
        invocation::from_arguments(&filename, argv)
    };
    Ok(Executed {
        ppid: wire.ppid,
        role: wire.role,
        start: Time(wire.start_ns),
        cgroup: wire.cgroup.into(),
        major_faults: wire.major_faults,
        read_bytes: wire.read_bytes,
        comm: chars::comm(&wire.comm),
        filename,
        invocation,
    })
}

impl Executed {
    /// Whether this is the container's own program: executed after the change of root.
    pub fn is_payload(&self) -> bool {
        self.role & role::PAYLOAD != 0
    }
}
