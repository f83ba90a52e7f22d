//! Life of processes: fork, exec (and its failure), exit, rename.

use super::{Syscall, records};
use crate::control::COMM_LEN;

records! { Process {
    /// A watched process made a new process (threads are not reported).
    1 Fork text 0 {
        child: u32,
        /// Bits of [`crate::control::role`] that the child was given.
        role: u32,
        /// The child's `task->start_boottime`: with its pid, the process's identity.
        start_ns: u64,
        cgroup: super::cgroup::Ids,
    }
    /// A program was executed. Text: file name, arguments, environment (each word NUL terminated).
    2 Exec text 5120 {
        ppid: u32,
        role: u32,
        start_ns: u64,
        cgroup: super::cgroup::Ids,
        /// Major faults and bytes read from disk by this process so far.
        major_faults: u64,
        read_bytes: u64,
        comm: [u8; COMM_LEN],
        filename_len: u16,
        argv_len: u16,
        environ_len: u16,
        pad: u16,
    }
    /// execve or execveat returned an error. Text: the file name.
    3 ExecFailed text 256 {
        syscall: Syscall,
        role: u32,
        path_len: u32,
    }
    /// The last thread of a process ended.
    4 Exit text 0 {
        role: u32,
        /// `task->exit_code`: status << 8 | core dumped << 7 | signal.
        exit_code: u32,
        start_ns: u64,
        cgroup: super::cgroup::Ids,
        major_faults: u64,
        read_bytes: u64,
    }
    /// A thread changed its name: how a Wasm payload begins inside crun.
    5 Rename text 0 {
        role: u32,
        pad: u32,
        comm: [u8; COMM_LEN],
    }
    /// The kernel chose a watched process to be killed for want of memory. `header` is of whoever asked for it.
    6 OomVictim text 0 {
        victim: u32,
        role: u32,
    }
} }
