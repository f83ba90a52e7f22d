//! Memory that was touched where it may not be, or was not to be had: signals and kills for want of memory.

use super::records;
use crate::control::COMM_LEN;

/// Bits of [`OomKill::known`]. What is not known holds zero and means nothing.
pub mod known {
    /// `rss_bytes` could be read.
    pub const RSS: u32 = 1 << 0;
    /// A memory limit above the victim was reached: `usage_bytes` and `limit_bytes` are of its control group.
    pub const LIMIT: u32 = 1 << 1;
}

/// [`Delivered::linear_units`] are of 1 << this bytes.
pub const LINEAR_UNIT_SHIFT: u32 = 12;

/// What a process does about a signal: [`Delivered::action`].
pub mod action {
    pub const DEFAULT: u32 = 0;
    pub const IGNORE: u32 = 1;
    pub const HANDLER: u32 = 2;
}

records! { Fault {
    /// A watched payload gets a signal that faults raise. `header` is of the thread that gets it.
    1 Delivered text 0 {
        signal: u32,
        /// `si_code`: what the kernel found wrong if positive, else somebody sent it.
        code: i32,
        /// `si_addr`, meaningful where `code` is positive.
        address: u64,
        /// The stack pointer.
        stack: u64,
        /// When the process started: with its pid, its identity.
        start_ns: u64,
        /// Signals of these kinds that handlers of this container have taken, reported or not.
        handled: u64,
        /// One of [`action`].
        action: u32,
        role: u32,
        init: u32,
        /// How far into the address space that it has reserved for a linear memory the process may get. 0, as before
        /// there was this field: not known.
        linear_units: u32,
        comm: [u8; COMM_LEN],
    }
    /// SIGTERM was sent to the init of a container, which neither handles it nor can be ended by it. `header` is of
    /// the sender.
    2 Ignored text 0 {
        init: u32,
        role: u32,
    }
    /// The kernel chose a process of a container to be killed for want of memory. `header` is of whoever asked for it.
    3 OomKill text 0 {
        victim: u32,
        role: u32,
        init: u32,
        /// Bits of [`known`].
        known: u32,
        /// The kernel counts it per CPU: it may be some hundred pages off.
        rss_bytes: u64,
        usage_bytes: u64,
        limit_bytes: u64,
        start_ns: u64,
        comm: [u8; COMM_LEN],
    }
    /// A container has ended whose handlers took more signals than were reported. `header` is of its init.
    4 Handled text 0 {
        /// All of them.
        handled: u64,
        role: u32,
        pad: u32,
    }
    /// An engine that runs a module inside a runtime has told its result, which was no success. `header` is of the
    /// thread that did.
    5 EngineResult text 0 {
        /// As the engine's own interface has it.
        code: u32,
        role: u32,
        init: u32,
        pad: u32,
        start_ns: u64,
        comm: [u8; COMM_LEN],
    }
    /// A process outside of a container sent its init a signal that engines stop containers with. `header` is of the
    /// sender.
    6 Stop text 0 {
        signal: u32,
        init: u32,
        /// Of the init.
        role: u32,
        pad: u32,
        /// When the sender started.
        start_ns: u64,
        /// What the sender is called.
        comm: [u8; COMM_LEN],
    }
} }
