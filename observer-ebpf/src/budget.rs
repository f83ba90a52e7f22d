//! How much a container may report of what it can do as often as it likes. What is beyond is counted.

use aya_ebpf::{macros::map, maps::HashMap};
use observer_ebpf::{
    Family,
    control::{BUDGET_NS, MAX_RESERVATIONS, MAX_RESULTS, MAX_SIGNALS},
};

use crate::emit::{lose, now};

/// What a container has reported. Processes on several CPUs may count at once: it is as good as it has to be.
#[repr(C)]
#[derive(Clone, Copy)]
struct Budget {
    /// When the time began in which `signals` and `reservations` are counted.
    since_ns: u64,
    /// Handled signals, reported or not, and how many there were when one was last reported.
    handled: u64,
    reported: u64,
    signals: u32,
    reservations: u32,
    results: u32,
    pad: u32,
}

/// By the container's init. Entries go when it ends.
#[map]
static BUDGETS: HashMap<u32, Budget> = HashMap::with_max_entries(16_384, 0);

#[inline(always)]
fn budget(init: u32, family: Family) -> Option<&'static mut Budget> {
    let fresh =
        Budget { since_ns: now(), handled: 0, reported: 0, signals: 0, reservations: 0, results: 0, pad: 0 };
    let mut pointer = BUDGETS.get_ptr_mut(init);
    if pointer.is_none() {
        if BUDGETS.insert(init, fresh, 0).is_err() {
            lose(family as u16);
        }
        pointer = BUDGETS.get_ptr_mut(init);
    }
    // SAFETY: map values outlive the program run; concurrent writers only ever set whole words.
    let budget = unsafe { &mut *pointer? };
    if fresh.since_ns.wrapping_sub(budget.since_ns) >= BUDGET_NS {
        budget.since_ns = fresh.since_ns;
        budget.signals = 0;
        budget.reservations = 0;
        budget.results = 0;
    }
    Some(budget)
}

/// Counts a signal that a handler takes: how many there were, if this one is to be reported.
#[inline(always)]
pub fn handled_signal(init: u32) -> Option<u64> {
    let budget = budget(init, Family::Fault)?;
    budget.handled += 1;
    if budget.signals >= MAX_SIGNALS {
        return None;
    }
    budget.signals += 1;
    budget.reported = budget.handled;
    Some(budget.handled)
}

/// Whether one more reservation is to be reported.
#[inline(always)]
pub fn reservation(init: u32) -> bool {
    let Some(budget) = budget(init, Family::Memory) else { return false };
    if budget.reservations >= MAX_RESERVATIONS {
        lose(Family::Memory as u16);
        return false;
    }
    budget.reservations += 1;
    true
}

/// Whether one more result of an engine is to be reported.
#[inline(always)]
pub fn result(init: u32) -> bool {
    let Some(budget) = budget(init, Family::Fault) else { return false };
    if budget.results >= MAX_RESULTS {
        lose(Family::Fault as u16);
        return false;
    }
    budget.results += 1;
    true
}

/// The container has ended: how many signals its handlers took, if more than were reported.
#[inline(always)]
pub fn forget(init: u32) -> Option<u64> {
    // SAFETY: the value is only read.
    let budget = unsafe { BUDGETS.get(init) }.copied()?;
    let _ = BUDGETS.remove(init);
    (budget.handled > budget.reported).then_some(budget.handled)
}
