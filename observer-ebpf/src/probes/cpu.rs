//! Who waits for a CPU, and for how long: a histogram of the node that user space reads, of one in
//! [`ONE_OF`] waits. Of the servers that answer webhook calls what they do with their time, see [`served`].

pub mod served;

use aya_ebpf::{
    macros::map,
    maps::{Array, PerCpuArray},
};
use observer_ebpf::wire::cpu::{BUCKETS, ONE_OF, bucket};

use super::{arg, raw_rungs};
use crate::{
    emit::now,
    kernel::{Reader, offset},
};

raw_rungs!(cpu_wakeup_btf, cpu_wakeup_raw, "sched_wakeup", woken);
raw_rungs!(cpu_wakeup_new_btf, cpu_wakeup_new_raw, "sched_wakeup_new", woken);
raw_rungs!(cpu_switch_btf, cpu_switch_raw, "sched_switch", switched);

/// Counts since the programs were attached, in buckets of durations.
#[map]
static RUN_QUEUE: PerCpuArray<[u64; BUCKETS]> = PerCpuArray::with_max_entries(1, 0);

#[map]
static READY: PerCpuArray<Ready> = PerCpuArray::with_max_entries(1, 0);

/// Of each CPU. Its programs do not interrupt each other: tasks are woken and switched with interrupts off.
#[repr(C)]
struct Ready {
    /// How often a task was ready to run: which waits are measured.
    times: u64,
    /// Where an address becomes a number: the verifier lets nobody calculate with pointers to tasks.
    task: u64,
}

/// Few, so that they stay in a CPU's cache: every switch of tasks looks at two.
const PLACES: u32 = 1 << 9;

/// Waits that are measured, by the task's address. One that finds its place taken is not: how long it will be says
/// nothing about that.
#[map]
static WAITS: Array<Wait> = Array::with_max_entries(PLACES, 0);

#[repr(C)]
struct Wait {
    /// 0: none.
    task: u64,
    since_ns: u64,
}

/// `sched_wakeup(p)`: it waits for a CPU from now on, unless it has one.
#[inline(always)]
fn woken(args: *const u64) {
    let task = arg(args, 0);
    if let Some(ready) = ready().filter(|ready| is_measured(*ready)) {
        begin(ready, task);
    }
    served::woken(task);
}

/// `sched_switch(preempt, prev, next, prev_state)`.
#[inline(always)]
fn switched(args: *const u64) {
    let (prev, next) = (arg(args, 1), arg(args, 2));
    // What is preempted is ready to run, whatever it was about to become.
    let stays = arg(args, 0) & 0xff != 0 || arg(args, 3) as u32 == 0;
    if let Some(ready) = ready() {
        end(ready, next);
        left(ready, prev, stays);
    }
    served::switched(prev, next, stays, arg(args, 3) as u32);
}

#[inline(always)]
fn ready() -> Option<*mut Ready> {
    READY.get_ptr_mut(0)
}

#[inline(always)]
fn is_measured(ready: *mut Ready) -> bool {
    // SAFETY: this CPU's own value.
    unsafe {
        (*ready).times += 1;
        (*ready).times % u64::from(ONE_OF) == 0
    }
}

/// The task as a number, and its place.
#[inline(always)]
fn place(ready: *mut Ready, task: u64) -> Option<(u64, *mut Wait)> {
    // SAFETY: this CPU's own value. Volatile: what is read is to be no pointer.
    let task = unsafe {
        core::ptr::write_volatile(&raw mut (*ready).task, task);
        core::ptr::read_volatile(&raw const (*ready).task)
    };
    // Tasks are allocated in multiples of 64 bytes.
    Some((task, WAITS.get_ptr_mut((task >> 6) as u32 & (PLACES - 1))?))
}

#[inline(always)]
fn begin(ready: *mut Ready, task: u64) {
    let Some((task, wait)) = place(ready, task) else { return };
    // SAFETY: map values outlive the program run; of two that take a place at once, one is measured from the other's
    // beginning, which is this very moment, too.
    unsafe {
        if (*wait).task != 0 || !waits(task) {
            return;
        }
        (*wait).since_ns = now();
        (*wait).task = task;
    }
}

/// Idle tasks wait for nothing, and who is throttled does not wait for a CPU.
#[inline(always)]
fn waits(task: u64) -> bool {
    let mut reader = Reader::new();
    let pid: u32 = reader.at(task, offset!(task_pid));
    !reader.failed() && pid != 0 && !served::is_throttled(task)
}

#[inline(always)]
fn end(ready: *mut Ready, task: u64) {
    let Some((task, wait)) = place(ready, task) else { return };
    // SAFETY: as above.
    let since = unsafe {
        if (*wait).task != task {
            return;
        }
        (*wait).task = 0;
        (*wait).since_ns
    };
    let waited = now().saturating_sub(since);
    if let Some(counts) = RUN_QUEUE.get_ptr_mut(0) {
        // The verifier does not follow a logarithm; what it is told here it believes.
        let bucket = core::hint::black_box(bucket(waited)) & (BUCKETS - 1);
        // SAFETY: this CPU's own value, and tasks are not switched within each other.
        if let Some(count) = unsafe { &mut *counts }.get_mut(bucket) {
            *count += 1;
        }
    }
}

/// A task leaves its CPU. What was measured of one that was woken while it had one is no wait.
#[inline(always)]
fn left(ready: *mut Ready, task: u64, stays: bool) {
    let Some((number, wait)) = place(ready, task) else { return };
    // SAFETY: as above.
    unsafe {
        if (*wait).task == number {
            (*wait).task = 0;
        }
    }
    if stays && is_measured(ready) {
        begin(ready, task);
    }
}
