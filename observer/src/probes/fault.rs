//! Signals that faults raise, a SIGTERM that is ignored, kills for want of memory.

use observer_ebpf::{
    Family,
    wire::fault::{
        Delivered, EngineResult, Handled, Ignored, LINEAR_UNIT_SHIFT, OomKill, Stop, action, known,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, chars, fixed,
    spec::{Hook, LibraryHook, Rung, Spec, tracepoint},
};
use crate::time::Time;

pub const SPEC: Spec = Spec {
    family: Family::Fault,
    gives: "Wasm traps, crashes and kills for want of memory, with address and limit",
    cost: "a comparison at every signal",
    hooks: &[
        tracepoint!(
            "signal_deliver",
            "signal_deliver_btf",
            "signal_deliver_raw",
            ["int", "kernel_siginfo", "k_sigaction"]
        ),
        tracepoint!(
            "signal_generate",
            "signal_generate_btf",
            "signal_generate_raw",
            ["int", "kernel_siginfo", "task_struct", "int", "int"]
        ),
        Hook {
            covered_by: None,
            name: "mark_victim",
            required: false,
            rungs: &[
                Rung::Btf {
                    program: "fault_oom_task_btf",
                    tracepoint: "mark_victim",
                    arguments: &["task_struct"],
                },
                Rung::Raw {
                    program: "fault_oom_task_raw",
                    tracepoint: "mark_victim",
                    arguments: &["task_struct"],
                },
                // Up to 6.8 the victim's pid is all there is.
                Rung::Btf { program: "fault_oom_pid_btf", tracepoint: "mark_victim", arguments: &["int"] },
                Rung::Raw { program: "fault_oom_pid_raw", tracepoint: "mark_victim", arguments: &["int"] },
            ],
        },
    ],
};

/// How an engine's own error code is seen.
pub const ENGINE: LibraryHook =
    LibraryHook { library: "libwasmedge.so", symbol: "WasmEdge_ResultOK", program: "wasmedge_result" };

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A payload's thread gets a signal that faults raise.
    Signal(Signal),
    /// Somebody sent SIGTERM to a container's init, and nothing came of it.
    TermIgnored { init: u32, role: u32 },
    /// A process outside of a container sent its init a signal that engines stop containers with.
    Stop { signal: i32, init: u32, role: u32, start: Time, comm: String },
    /// The kernel chose a process of a container to be killed for want of memory.
    OomKill(OomVictim),
    /// A container has ended whose handlers took more signals than were reported: all of them. Told of its init.
    Handled { handled: u64, role: u32 },
    /// An engine that runs a module inside a runtime says how it ended, which was no success.
    EngineResult { code: u32, role: u32, init: Option<u32>, start: Time, comm: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    pub signal: i32,
    /// `si_code`: positive where the kernel raised it.
    pub code: i32,
    /// `si_addr`, where the kernel gave one.
    pub address: Option<u64>,
    /// The stack pointer.
    pub stack: u64,
    /// When the process started.
    pub start: Time,
    /// Signals of these kinds that handlers of this container have taken, reported or not.
    pub handled: u64,
    pub action: Action,
    pub role: u32,
    /// The container's init as the kernel side knows it.
    pub init: Option<u32>,
    /// How far into the address space that it has reserved for a linear memory the process may get, bytes; `None`: it has
    /// none, or several, or that is not known.
    #[serde(default)]
    pub linear_reach: Option<u64>,
    pub comm: String,
}

/// What a process does about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    Default,
    Ignore,
    Handler,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OomVictim {
    pub victim: u32,
    pub role: u32,
    pub init: Option<u32>,
    pub rss_bytes: Option<u64>,
    /// Usage and limit of the first control group from the victim's upwards whose limit was used up.
    pub reached: Option<(u64, u64)>,
    pub start: Option<Time>,
    pub comm: String,
}

/// `SI_KERNEL`: the kernel raised it and says no more; on x86-64 an address that no program can have.
const SI_KERNEL: i32 = 0x80;

pub fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    match number {
        1 => signal(bytes).map(Event::Signal),
        2 => fixed::<Ignored>(bytes).map(|(wire, _)| Event::TermIgnored { init: wire.init, role: wire.role }),
        3 => fixed::<OomKill>(bytes).map(|(wire, _)| {
            let is_known = |bit: u32| wire.known & bit != 0;
            Event::OomKill(OomVictim {
                victim: wire.victim,
                role: wire.role,
                init: (wire.init != 0).then_some(wire.init),
                rss_bytes: is_known(known::RSS).then_some(wire.rss_bytes),
                reached: is_known(known::LIMIT).then_some((wire.usage_bytes, wire.limit_bytes)),
                start: (wire.start_ns != 0).then_some(Time(wire.start_ns)),
                comm: chars::comm(&wire.comm),
            })
        }),
        4 => {
            fixed::<Handled>(bytes).map(|(wire, _)| Event::Handled { handled: wire.handled, role: wire.role })
        }
        5 => fixed::<EngineResult>(bytes).map(|(wire, _)| Event::EngineResult {
            code: wire.code,
            role: wire.role,
            init: (wire.init != 0).then_some(wire.init),
            start: Time(wire.start_ns),
            comm: chars::comm(&wire.comm),
        }),
        6 => fixed::<Stop>(bytes).map(|(wire, _)| Event::Stop {
            signal: wire.signal as i32,
            init: wire.init,
            role: wire.role,
            start: Time(wire.start_ns),
            comm: chars::comm(&wire.comm),
        }),
        _ => Err(Malformed::Operation(u32::from(number))),
    }
}

fn signal(bytes: &[u8]) -> Result<Signal, Malformed> {
    let (wire, _) = fixed::<Delivered>(bytes)?;
    let action = match wire.action {
        action::DEFAULT => Action::Default,
        action::IGNORE => Action::Ignore,
        action::HANDLER => Action::Handler,
        other => return Err(Malformed::Operation(other)),
    };
    Ok(Signal {
        signal: wire.signal as i32,
        code: wire.code,
        // Who sends a signal leaves other things in the address's place.
        address: (wire.code > 0 && wire.code != SI_KERNEL).then_some(wire.address),
        stack: wire.stack,
        start: Time(wire.start_ns),
        handled: wire.handled,
        action,
        role: wire.role,
        init: (wire.init != 0).then_some(wire.init),
        linear_reach: (wire.linear_units != 0).then_some(u64::from(wire.linear_units) << LINEAR_UNIT_SHIFT),
        comm: chars::comm(&wire.comm),
    })
}
