//! How memory was lacking, or touched where it may not be.

use super::names;

/// How memory was lacking, or touched where it may not be.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    pub kind: FaultKind,
    pub signal: Option<i32>,
    /// `si_code`.
    pub code: Option<i32>,
    pub address: Option<u64>,
    /// `address` relative to the linear memory that it lies in.
    pub wasm_address: Option<u64>,
    /// How much of that linear memory could be accessed at that time.
    pub linear_bytes: Option<u64>,
    /// The most that the module declares for it.
    pub linear_max_bytes: Option<u64>,
    /// Whether a handler of the process took the signal.
    pub handled: Option<bool>,
    /// Where `address` lies; `None` where nothing at an address was touched, or where it is not known.
    pub region: Option<FaultRegion>,
    /// The engine's own error code.
    pub engine_code: Option<u32>,
    pub seen: Seen,
    pub scope: Option<OomScope>,
    pub errno: Option<i32>,
    /// How much was asked for (`map-failed`).
    pub asked_bytes: Option<u64>,
    pub rss_bytes: Option<u64>,
    pub limit_bytes: Option<u64>,
    /// How many alike are told by this one.
    pub count: u64,
}

impl Memory {
    /// Whether linear memory had grown to all that its module declares.
    pub fn is_at_maximum(&self) -> Option<bool> {
        let (bytes, max) = self.linear_bytes.zip(self.linear_max_bytes)?;
        Some(bytes == max)
    }
}

names! {
    FaultKind {
        /// Wasm code touched what it may not, and its engine took the signal.
        WasmTrap = "wasm-trap",
        /// A signal that nothing took.
        Fault = "fault",
        OomKill = "oom-kill",
        /// A memory limit was reached, and nothing was killed.
        Limit = "limit",
        /// Address space was refused.
        MapFailed = "map-failed",
    }
}

names! {
    FaultRegion {
        LinearMemory = "linear-memory",
        Guard = "guard",
        Stack = "stack",
        /// The first pages: a null pointer.
        Null = "null",
        Other = "other",
    }
}

names! {
    /// By what it is known.
    Seen {
        Engine = "engine",
        Signal = "signal",
        Text = "text",
        Exit = "exit",
        /// The kernel's own answer or decision.
        Kernel = "kernel",
    }
}

names! {
    /// Whose memory ran out.
    OomScope {
        Memcg = "memcg",
        Global = "global",
        Unknown = "unknown",
    }
}
