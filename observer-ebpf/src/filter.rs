//! Is this task watched, and as what: decided here, because a runtime's children cannot wait for user space.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::bpf_get_current_pid_tgid,
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
};
use observer_ebpf::{
    Family,
    control::{COMM_LEN, MAX_OUTPUTS, NAME_PREFIX_LENS, SEVERAL, SLOT_COUNT, Watch, role},
};

use crate::emit::lose;

/// Watched processes by tgid. Entries go when the process ends.
#[map]
static WATCH: HashMap<u32, Watch> = HashMap::with_max_entries(65_536, 0);

/// What the processes are whose ids end alike: 0 if none of them is watched, the id of the only one that is, or
/// [`SEVERAL`]. Most look-ups are of processes that are not watched, and need no hash then.
#[map]
static SLOTS: Array<u32> = Array::with_max_entries(SLOT_COUNT, 0);

/// Names (`task->comm`, zero padded) of engines, shims and runtimes, exact or as a prefix.
#[map]
static NAMES: HashMap<[u8; COMM_LEN], u32> = HashMap::with_max_entries(128, 0);

/// Where a prefix of a name is zero padded for its look-up.
#[map]
static PREFIX: PerCpuArray<[u8; COMM_LEN]> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
pub fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Set before the process is watched, so that no look-up misses it.
#[inline(always)]
fn take_slot(tgid: u32) {
    let Some(slot) = SLOTS.get_ptr_mut(tgid % SLOT_COUNT) else { return };
    // SAFETY: map values outlive the program run; whole words are read and written.
    unsafe {
        if *slot != tgid {
            *slot = if *slot == 0 { tgid } else { SEVERAL };
        }
    }
}

#[inline(always)]
fn free_slot(tgid: u32) {
    let Some(slot) = SLOTS.get_ptr_mut(tgid % SLOT_COUNT) else { return };
    // SAFETY: as above.
    unsafe {
        if *slot == tgid {
            *slot = 0;
        }
    }
}

#[inline(always)]
fn may_be_watched(tgid: u32) -> bool {
    SLOTS.get(tgid % SLOT_COUNT).is_none_or(|slot| *slot == tgid || *slot == SEVERAL)
}

#[inline(always)]
pub fn lookup(tgid: u32) -> Option<&'static mut Watch> {
    if !may_be_watched(tgid) {
        return None;
    }
    let pointer = WATCH.get_ptr_mut(tgid)?;
    // SAFETY: map values outlive the program run; concurrent writers only ever set whole words.
    Some(unsafe { &mut *pointer })
}

/// The current process, if it is watched in one of the given roles.
#[inline(always)]
pub fn current(roles: u32) -> Option<&'static mut Watch> {
    lookup(current_tgid()).filter(|watch| watch.flags & roles != 0)
}

#[inline(always)]
pub fn watch(tgid: u32, value: &Watch) {
    take_slot(tgid);
    if WATCH.insert(tgid, value, 0).is_err() {
        lose(Family::Process as u16);
    }
}

/// Gives a process one more role; whatever else it is.
#[inline(always)]
pub fn add_role(tgid: u32, role: u32) {
    match lookup(tgid) {
        Some(watch) => watch.flags |= role,
        None => watch(tgid, &Watch { flags: role, init: 0, outputs: 0, pad: 0 }),
    }
}

/// Watches a new process unless user space already said what it is.
#[inline(always)]
pub fn watch_new(tgid: u32, value: &Watch) {
    take_slot(tgid);
    if WATCH.insert(tgid, value, u64::from(BPF_NOEXIST)).is_err() && lookup(tgid).is_none() {
        lose(Family::Process as u16);
    }
}

#[inline(always)]
pub fn forget(tgid: u32) {
    let _ = WATCH.remove(tgid);
    free_slot(tgid);
}

/// The role that a program's name gives, 0 for none.
#[inline(always)]
pub fn role_of_name(comm: &[u8; COMM_LEN]) -> u32 {
    // SAFETY: the value is only copied; entries are written before the programs are attached.
    if let Some(role) = unsafe { NAMES.get(comm) } {
        return *role;
    }
    let Some(prefix) = PREFIX.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own value.
    let prefix = unsafe { &mut *prefix };
    for len in NAME_PREFIX_LENS {
        *prefix = [0; COMM_LEN];
        prefix[..len].copy_from_slice(&comm[..len]);
        // SAFETY: as above.
        if let Some(role) = unsafe { NAMES.get(&*prefix) } {
            return *role;
        }
    }
    0
}

/// What a child of `parent` is: payloads beget payloads, runtimes beget runtimes, engines beget helpers.
#[inline(always)]
pub fn inherited(parent: &Watch) -> Option<Watch> {
    let flags = parent.flags;
    if flags & role::QUIET != 0 || is_quiet(parent.init) {
        return None;
    }
    const CHILDLESS: u32 = role::CALLER | role::SPEAKER;
    if flags & CHILDLESS != 0 && flags & !(role::READER | CHILDLESS) == 0 {
        return None;
    }
    if flags == role::READER {
        return Some(Watch { flags, init: 0, outputs: 0, pad: 0 }); // it has the reading end, too
    }
    let child = if flags & role::PAYLOAD != 0 {
        role::PAYLOAD
    } else if flags & role::RUNTIME != 0 {
        flags & (role::RUNTIME | role::ROOTFS)
    } else {
        role::HELPER
    };
    Some(Watch { flags: child, init: parent.init, outputs: 0, pad: 0 })
}

/// Whether user space wants nothing more of the container with this init.
#[inline(always)]
pub fn is_quiet(init: u32) -> bool {
    init != 0 && lookup(init).is_some_and(|watch| watch.flags & role::QUIET != 0)
}

/// Counts an output of the container and says whether it is still to be reported.
#[inline(always)]
pub fn take_output(watch: &mut Watch, tgid: u32) -> bool {
    let owner = if watch.init != 0 && watch.init != tgid { lookup(watch.init) } else { Some(watch) };
    let Some(owner) = owner else { return false };
    if owner.flags & role::QUIET != 0 || owner.outputs >= MAX_OUTPUTS {
        return false;
    }
    owner.outputs += 1;
    true
}
