//! What the machine does for the node: how long its block devices take, how long components wait for them, and what
//! its network devices and its hardware report. Counted in the kernel, read by user space.

use super::{cpu::BUCKETS, records};

/// Bytes of a block device's name, as the kernel keeps it.
pub const MAX_NAME: usize = 32;
/// Bytes of a network device's name, as the kernel keeps it.
pub const MAX_LINK: usize = 16;
/// Bytes of a process's name.
pub const MAX_COMM: usize = 16;

/// Devices, processes, links and places of machine checks that are told apart. What does not fit is lost.
pub const MAX_DEVICES: u32 = 128;
pub const MAX_SYNCING: u32 = 64;
pub const MAX_LINKS: u32 = 64;
pub const MAX_CHECKS: u32 = 256;

/// A request that somebody waited for this long is told.
pub const SLOW_NS: u64 = 100_000_000;
/// Of the slow requests of a device one is told within this time.
pub const EVERY_NS: u64 = 1_000_000_000;

/// Values of [`Slow::op`]: the kernel's.
pub mod op {
    pub const READ: u32 = 0;
    pub const WRITE: u32 = 1;
    pub const FLUSH: u32 = 2;
}

/// What was counted of a block device, by its number (20 bits of minor).
#[derive(
    Clone, Copy, Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
)]
#[repr(C)]
pub struct Block {
    /// Requests that somebody waited for (reads, synchronous writes, flushes), by the bucket of their duration from
    /// when they were made until they were done: `super::cpu::bucket`.
    pub waited: [u64; BUCKETS],
    /// Writes that nobody waited for.
    pub behind: u64,
    /// How long all of them took together.
    pub taken_ns: u64,
    /// Requests of which the kernel did not say when they were made.
    pub untimed: u64,
    /// Slow requests, and those of them that records have told.
    pub slow: u64,
    pub told: u64,
    /// CLOCK_BOOTTIME of the last record.
    pub told_ns: u64,
    pub name: [u8; MAX_NAME],
}

/// How long a component waited until its files were on their device, by process.
#[derive(
    Clone, Copy, Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
)]
#[repr(C)]
pub struct Syncing {
    /// By the bucket of the call's duration.
    pub waited: [u64; BUCKETS],
    pub comm: [u8; MAX_COMM],
}

/// Where a machine check was.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
)]
#[repr(C)]
pub struct Check {
    pub cpu: u32,
    pub bank: u16,
    /// 1: the hardware could not correct it.
    pub uncorrected: u16,
}

records! {
    Hardware {
        /// Somebody waited long for a request to a block device. It is nobody's: the process that was interrupted when it
        /// was done has nothing to do with it.
        1 Slow text 0 {
            took_ns: u64,
            /// As the kernel numbers devices (20 bits of minor).
            device: u32,
            op: u32,
            bytes: u32,
            /// How many of this device were slow since one was last told, this one included.
            count: u32,
            /// Padded with zeros or whatever comes behind them.
            name: [u8; MAX_NAME],
        }
    }
}
