//! The observer waits behind what it watches.

use std::ffi::c_int;

use tokio::process::Command;

/// Lets this thread never preempt another when it wakes up: on a busy node it would be a container's start that
/// waits for it. Its share of the processor stays the same. Threads and programs started from here inherit it.
pub fn yield_to_others() {
    schedule(libc::SCHED_BATCH);
}

/// Lets the program that `command` starts be scheduled like any other.
pub fn not_inherited(command: &mut Command) {
    let as_usual = || {
        schedule(libc::SCHED_OTHER);
        Ok(())
    };
    // SAFETY: between fork and exec only one system call is made.
    unsafe { command.pre_exec(as_usual) };
}

/// Best effort: where it is refused, the observer is as much in the way as any other program.
fn schedule(policy: c_int) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters outlive the call; 0 is the calling thread. (musl's own function does nothing.)
    unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const parameters) };
}
