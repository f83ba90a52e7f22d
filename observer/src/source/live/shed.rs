//! What is given up while observing costs too much, and what it costs in the kernel.

use std::fs;

use aya::sys::{Stats, enable_stats};
use observer_ebpf::Family;

use super::{
    Live,
    attach::{attach_loaded, explain},
    syscalls,
};
use crate::{probes::spec::Rung, source::facts::HostRoot};

/// Whether the kernel counts how long programs run, whoever has asked it to.
const COUNTS: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Live {
    /// Gives up a family: at once by `bits`, which say all that is given up, and what is attached for it alone is detached.
    /// No family may be left that goes without hooks of this one.
    ///
    /// # Errors
    /// When the kernel refuses: for people.
    pub fn give_up(&mut self, family: Family, bits: u32) -> Result<(), String> {
        self.maps.shed(bits).map_err(|error| error.to_string())?;
        let mut links = Vec::new();
        for taken in self.taken.iter_mut().filter(|taken| taken.family == family) {
            if let Rung::SyscallExit { syscall, .. } = taken.rung {
                // What goes to the program that sees all exits is not detached: others need it.
                syscalls::keep(&mut self.ebpf, syscall)?;
            } else {
                links.append(&mut taken.links);
            }
        }
        // Classic tracepoints take long to be freed.
        std::thread::spawn(move || drop(links));
        Ok(())
    }

    /// Takes a family up again.
    ///
    /// # Errors
    /// When the kernel refuses: for people. Then it is still given up.
    pub fn take_up(&mut self, family: Family, host: &HostRoot, bits: u32) -> Result<(), String> {
        let mut again = Vec::new();
        for (at, taken) in self.taken.iter().enumerate().filter(|(_, taken)| taken.family == family) {
            again.push((at, attach_loaded(&mut self.ebpf, host, taken.rung)?));
        }
        for (at, links) in again {
            self.taken[at].links.extend(links);
        }
        self.ring.reducer.forget_lines();
        self.maps.shed(bits).map_err(|error| error.to_string())
    }

    /// How long the kernel programs have run so far, nanoseconds; `None`: the kernel does not count it.
    pub fn run_ns(&self) -> Option<u64> {
        let counts = fs::read_to_string(COUNTS).is_ok_and(|text| text.trim() == "1");
        if !counts && self.counting.is_none() {
            return None;
        }
        let infos = self.ebpf.programs().filter_map(|(_, program)| program.info().ok());
        Some(infos.map(|info| info.run_time().as_nanos() as u64).sum())
    }

    /// Has the kernel count how long programs run, until the observer ends. All programs of the node pay for it.
    ///
    /// # Errors
    /// When the kernel refuses: for people.
    pub fn count_run_time(&mut self) -> Result<(), String> {
        if self.counting.is_none() {
            self.counting = Some(enable_stats(Stats::RunTime).map_err(|error| explain(&error))?);
        }
        Ok(())
    }
}
