//! How far a process may get into its linear memory, for when it traps: noted where an engine reserves one, and where it
//! makes some of it accessible. A module grows as often as it likes, so none of this is reported by itself.

use aya_ebpf::{macros::map, maps::LruHashMap};
use observer_ebpf::wire::fault::LINEAR_UNIT_SHIFT;

use crate::kernel::{Reader, current, offset};

/// What is reserved by a process, and how far of it may be accessed.
#[repr(C)]
#[derive(Clone, Copy)]
struct Linear {
    /// When the process started: addresses of what has ended are used again.
    start_ns: u64,
    begin: u64,
    /// 0: it has reserved several, and nothing is said of any.
    end: u64,
    accessible: u64,
}

/// By `mm_struct`, which a process shares with none but its threads. What is missing is not known.
#[map]
static LINEAR: LruHashMap<u64, Linear> = LruHashMap::with_max_entries(4_096, 0);

/// The memory of the current process, and when that started; `None`: they could not be read.
#[inline(always)]
fn process() -> Option<(u64, u64)> {
    let (task, mut reader) = (current(), Reader::new());
    let found = (reader.at(task, offset!(task_mm)), reader.process_start_ns(task));
    (!reader.failed()).then_some(found)
}

#[inline(always)]
fn of(mm: u64, start_ns: u64) -> Option<&'static mut Linear> {
    let pointer = LINEAR.get_ptr_mut(mm)?;
    // SAFETY: map values outlive the program run; concurrent writers only ever set whole words.
    let linear = unsafe { &mut *pointer };
    (linear.start_ns == start_ns).then_some(linear)
}

/// The current process has reserved address space.
#[inline(always)]
pub fn reserved(begin: u64, bytes: u64) {
    let Some((mm, start_ns)) = process() else { return };
    if let Some(linear) = of(mm, start_ns) {
        linear.end = 0;
        return;
    }
    let fresh = Linear { start_ns, begin, end: begin.wrapping_add(bytes), accessible: begin };
    let _ = LINEAR.insert(mm, fresh, 0);
}

/// The current process may access this from now on.
#[inline(always)]
pub fn opened(from: u64, bytes: u64) {
    let Some(linear) = process().and_then(|(mm, start_ns)| of(mm, start_ns)) else { return };
    let until = from.wrapping_add(bytes);
    if from >= linear.begin && from < linear.end && until > linear.accessible {
        linear.accessible = until;
    }
}

/// How far into its only reservation the current process may get, as a trap's record has it.
#[inline(always)]
pub fn units() -> u32 {
    match process().and_then(|(mm, start_ns)| of(mm, start_ns)) {
        Some(linear) if linear.end != 0 => {
            (linear.accessible.wrapping_sub(linear.begin) >> LINEAR_UNIT_SHIFT) as u32
        }
        _ => 0,
    }
}
