//! Readers of kernel structures. Offsets are resolved by name when the programs are loaded; a failed read
//! is remembered in [`Reader`] and never taken for a zero.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_task, generated::bpf_probe_read_kernel};
use observer_ebpf::{
    control::{COMM_LEN, NO_OFFSET, Offsets},
    wire::cgroup::Ids,
};

#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::UNKNOWN;

/// Bytes of a page are 1 << this. Set when the programs are loaded.
#[unsafe(no_mangle)]
pub static PAGE_SHIFT: u32 = 12;

/// An offset of this kernel. Volatile: the loader rewrites the section after compilation.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a static of this program.
        unsafe { core::ptr::read_volatile(&raw const $crate::kernel::OFFSETS.$field) }
    };
}
pub(crate) use offset;

/// Reads kernel memory and remembers whether anything could not be read.
///
/// Without branches: what differs between a read that worked and one that did not would be followed by the
/// verifier through the rest of the program, for every read anew.
pub struct Reader {
    /// The results of all reads, or-ed: 0 if all worked.
    results: u64,
}

impl Reader {
    #[inline(always)]
    pub const fn new() -> Self {
        Self { results: 0 }
    }

    #[inline(always)]
    pub fn failed(&self) -> bool {
        self.results != 0
    }

    #[inline(always)]
    pub fn fail(&mut self) {
        self.results = 1;
    }

    /// The value of type `T` at `base + offset`; the helper leaves zeros where it fails.
    #[inline(always)]
    pub fn at<T: Copy + Default>(&mut self, base: u64, offset: u32) -> T {
        let mut value = T::default();
        if offset == NO_OFFSET {
            self.fail();
            return value;
        }
        let from = base.wrapping_add(u64::from(offset)) as *const c_void;
        // SAFETY: `value` has room for a `T`, and any bytes are one; the helper checks the address itself.
        let result = unsafe { bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, from) };
        self.results |= result as u64;
        value
    }

    #[inline(always)]
    pub fn comm(&mut self, task: u64) -> [u8; COMM_LEN] {
        self.at(task, offset!(task_comm))
    }

    /// What the task's process is called, whichever thread this is.
    #[inline(always)]
    pub fn process_comm(&mut self, task: u64) -> [u8; COMM_LEN] {
        let leader = self.at(task, offset!(task_group_leader));
        self.comm(leader)
    }

    #[inline(always)]
    pub fn tgid(&mut self, task: u64) -> u32 {
        self.at(task, offset!(task_tgid))
    }

    #[inline(always)]
    pub fn parent_tgid(&mut self, task: u64) -> u32 {
        let parent = self.at(task, offset!(task_real_parent));
        self.tgid(parent)
    }

    #[inline(always)]
    pub fn start_ns(&mut self, task: u64) -> u64 {
        self.at(task, offset!(task_start_boottime))
    }

    /// When the task's process started, whichever thread this is.
    #[inline(always)]
    pub fn process_start_ns(&mut self, task: u64) -> u64 {
        let leader = self.at(task, offset!(task_group_leader));
        self.start_ns(leader)
    }

    /// Where the task is in the memory hierarchy: its `cgroup_subsys_state` there.
    #[inline(always)]
    pub fn memory_css(&mut self, task: u64) -> u64 {
        let set: u64 = self.at(task, offset!(task_cgroups));
        self.memory_css_of(set)
    }

    #[inline(always)]
    fn memory_css_of(&mut self, set: u64) -> u64 {
        let subsys = offset!(css_set_subsys) as u64 + 8 * offset!(memory_cgrp_id) as u64;
        if offset!(memory_cgrp_id) > 32 {
            self.fail();
            return 0;
        }
        self.at(set, subsys as u32)
    }

    /// The task's control group: `task->cgroups`, valid without any attach event.
    #[inline(always)]
    pub fn cgroup(&mut self, task: u64) -> Ids {
        let set: u64 = self.at(task, offset!(task_cgroups));
        let unified = self.at(set, offset!(css_set_dfl_cgrp));
        let css = self.memory_css_of(set);
        let memory = self.at(css, offset!(css_cgroup));
        Ids { memory: self.cgroup_id(memory), unified: self.cgroup_id(unified) }
    }

    #[inline(always)]
    pub fn cgroup_id(&mut self, cgroup: u64) -> u64 {
        let kn = self.at(cgroup, offset!(cgroup_kn));
        self.at(kn, offset!(kernfs_node_id))
    }

    /// Major faults of the process so far: its ended threads' and the current thread's own.
    #[inline(always)]
    pub fn major_faults(&mut self, task: u64) -> u64 {
        let signal = self.at(task, offset!(task_signal));
        let ended: u64 = self.at(signal, offset!(signal_maj_flt));
        let own: u64 = self.at(task, offset!(task_maj_flt));
        ended + own
    }

    /// Bytes the process caused to be read from storage so far, counted like [`Self::major_faults`].
    #[inline(always)]
    pub fn read_bytes(&mut self, task: u64) -> u64 {
        let signal = self.at(task, offset!(task_signal));
        let ended: u64 = self.at(signal, offset!(signal_read_bytes));
        let own: u64 = self.at(task, offset!(task_read_bytes));
        ended + own
    }
}

#[inline(always)]
pub fn page_shift() -> u32 {
    // SAFETY: a static of this program, which the loader rewrites after compilation.
    unsafe { core::ptr::read_volatile(&raw const PAGE_SHIFT) }
}

#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: the helper takes no arguments.
    unsafe { bpf_get_current_task() }
}
