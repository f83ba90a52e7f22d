//! Time of CPUs: how long tasks wait for one (counted in the kernel, read by user space), and what a server process
//! did while a request was with it.

use super::records;

/// Buckets of a histogram of durations: four to a doubling.
pub const BUCKETS: usize = 256;

/// The bucket of a duration in nanoseconds.
#[inline(always)]
pub const fn bucket(ns: u64) -> usize {
    if ns < 4 {
        return ns as usize;
    }
    let log2 = 63 - ns.leading_zeros();
    (log2 as usize - 1) * 4 + (ns >> (log2 - 2) & 3) as usize
}

/// No duration in a bucket is longer than this.
pub const fn longest(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (log2, quarter) = (bucket as u32 / 4 + 1, bucket as u64 % 4);
    match 1_u64.checked_shl(log2) {
        Some(power) => power - 1 + (quarter + 1) * (power >> 2),
        None => u64::MAX,
    }
}

/// Of so many times that a task is ready to run one is measured.
pub const ONE_OF: u32 = 8;

/// What a process is doing: places in [`Mark::spent_ns`].
pub mod doing {
    /// No thread runs or could.
    pub const BLOCKED: usize = 0;
    /// At least one thread runs.
    pub const ON_CPU: usize = 1;
    /// None runs, and at least one waits for a CPU.
    pub const RUNNABLE: usize = 2;
    /// None runs or waits for a CPU, and at least one is kept from it by its control group's limit.
    pub const THROTTLED: usize = 3;
    pub const COUNT: usize = 4;
}

/// Of a mark: the client spoke, or ended the connection; else the server.
pub const OF_CLIENT: u32 = 1 << 0;
/// This kernel says who is throttled; else such time is in [`doing::RUNNABLE`].
pub const TELLS_THROTTLED: u32 = 1 << 1;

records! {
    Cpu {
        /// A side speaks on a connection of a watched server, or the client ends it, at the server's socket: how its process has spent its
        /// time until then. `tgid` is the process that had an earlier connection to the same address and port; whether
        /// it has this one, too, is to be verified.
        1 Mark text 0 {
            /// The socket's cookie.
            cookie: u64,
            /// CLOCK_BOOTTIME of the packet.
            at_ns: u64,
            /// By [`doing`]; only differences between two marks mean something.
            spent_ns: [u64; doing::COUNT],
            /// What it is set for: bits of [`super::webhook::what`].
            what: u32,
            /// Bits: [`OF_CLIENT`], [`TELLS_THROTTLED`].
            flags: u32,
        }
    }
}
