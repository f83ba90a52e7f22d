//! Time of CPUs: how long tasks of the node wait for one, and how the processes that answer webhook calls spend theirs.

use observer_ebpf::{
    Family,
    wire::cpu::{self as wire, doing},
};
use serde::{Deserialize, Serialize};

use super::{
    Malformed, fixed,
    spec::{Spec, tracepoint},
};
use crate::time::Time;

pub const SPEC: Spec = Spec {
    family: Family::Cpu,
    gives: "how long tasks of the node wait for a CPU, and what servers of webhooks do while a request is with them",
    cost: "a look-up in an array at each wake-up and two at each switch of tasks; of one in 8 waits its duration; while \
           a webhook is named and answers, a look-up of the process for each task that is woken or switched",
    hooks: &[
        tracepoint!(
            "sched_switch",
            "cpu_switch_btf",
            "cpu_switch_raw",
            ["", "task_struct", "task_struct", "int"]
        ),
        tracepoint!("sched_wakeup", "cpu_wakeup_btf", "cpu_wakeup_raw", ["task_struct"]),
        tracepoint!("sched_wakeup_new", "cpu_wakeup_new_btf", "cpu_wakeup_new_raw", ["task_struct"]),
    ],
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A side spoke on a connection of a server, or its client ended it.
    Mark(Mark),
}

/// How a process has spent its time up to an instant. Only differences between two of them mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The server's socket.
    pub cookie: u64,
    /// A process that has served at the same address before: to be verified.
    pub tgid: u32,
    pub at: Time,
    pub of_client: bool,
    /// Bits of `observer_ebpf::wire::webhook::what`.
    pub what: u32,
    pub spent: Spent,
}

/// Sums of nanoseconds, modulo 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// At least one thread ran.
    pub on_cpu: u64,
    /// None ran, and at least one waited for a CPU.
    pub runnable: u64,
    /// None ran or waited, and at least one was kept from a CPU by a limit. `None`: the kernel does not say, and such
    /// time is in `runnable`.
    pub throttled: Option<u64>,
    /// None of these.
    pub blocked: u64,
}

pub(super) fn decode(number: u8, bytes: &[u8]) -> Result<Event, Malformed> {
    if number != 1 {
        return Err(Malformed::Operation(number.into()));
    }
    let (record, _) = fixed::<wire::Mark>(bytes)?;
    let spent = record.spent_ns;
    let tells_throttled = record.flags & wire::TELLS_THROTTLED != 0;
    Ok(Event::Mark(Mark {
        cookie: record.cookie,
        tgid: record.header.tgid,
        at: Time(record.at_ns),
        of_client: record.flags & wire::OF_CLIENT != 0,
        what: record.what,
        spent: Spent {
            on_cpu: spent[doing::ON_CPU],
            runnable: spent[doing::RUNNABLE],
            throttled: tells_throttled.then_some(spent[doing::THROTTLED]),
            blocked: spent[doing::BLOCKED],
        },
    }))
}
