//! What a finding walks through: for each layer the things that are looked at, and what is normal.

use super::{
    catalogue::Period,
    grammar::{Func, Op, Selector},
};
use crate::{
    layer::Layer,
    signals::{Label, Signal},
};

/// How far back a check looks.
pub const OVER: Period = Period::seconds(300);

/// One thing that is looked at.
#[derive(Clone, Debug)]
pub struct Check {
    pub layer: Layer,
    pub what: &'static str,
    /// The signal and its labels, as written.
    pub of: &'static str,
    pub signal: Signal,
    pub func: Func,
    /// What is not normal.
    pub op: Op,
    /// `None`: it is looked at only where it is known what is usual.
    pub bound: Option<f64>,
    pub usual: Option<Beyond>,
    /// Of the finding's container; else of the node.
    pub of_container: bool,
    pub series: usize,
}

/// What is beyond what is usual: so many times as much, and no less than this.
#[derive(Clone, Copy, Debug)]
pub struct Beyond {
    times: f64,
    least: f64,
}

impl Beyond {
    pub fn of(self, usual: f64) -> f64 {
        (usual * self.times).max(self.least)
    }
}

/// Where the bound of the matrix stays, whatever is usual.
const FIXED: Option<Beyond> = None;

const fn beyond(times: f64, least: f64) -> Option<Beyond> {
    Some(Beyond { times, least })
}

/// Of what is counted in samples, nothing is a sample, too: the sum of none would be told for nothing.
struct Plan(Layer, &'static str, &'static str, Func, Op, Option<f64>, bool, Option<Beyond>);

/// In the order of the dependency chain: application, container, guest, machine, node.
const PLANS: &[Plan] = &[
    Plan(
        Layer::L4,
        "faults of Wasm code",
        "memory.trap_count",
        Func::Sum,
        Op::AtLeast,
        Some(1.0),
        true,
        FIXED,
    ),
    Plan(
        Layer::L3,
        "kills for want of memory",
        "memory.oom_kill_count",
        Func::Sum,
        Op::AtLeast,
        Some(1.0),
        true,
        FIXED,
    ),
    Plan(
        Layer::L3,
        "CPU throttling",
        "cpu.throttled_percent",
        Func::Max,
        Op::AtLeast,
        Some(25.0),
        true,
        beyond(1.5, 25.0),
    ),
    Plan(
        Layer::L3,
        "CPU time that it uses",
        "cpu.used_percent",
        Func::Max,
        Op::Above,
        None,
        true,
        beyond(1.5, 50.0),
    ),
    Plan(
        Layer::L3,
        "its working set, of its limit",
        "memory.limit_percent",
        Func::Max,
        Op::Above,
        None,
        true,
        beyond(1.2, 50.0),
    ),
    Plan(
        Layer::L3,
        "writes to a log pipe without a reader",
        "stdio.broken_write_count",
        Func::Sum,
        Op::AtLeast,
        Some(1.0),
        true,
        FIXED,
    ),
    Plan(
        Layer::L3,
        "look-ups that failed",
        "dns.lookup_failed_count",
        Func::Sum,
        Op::AtLeast,
        Some(3.0),
        true,
        FIXED,
    ),
    Plan(
        Layer::L3,
        "time that look-ups take",
        "dns.latency_ms",
        Func::Max,
        Op::Above,
        None,
        true,
        beyond(3.0, 100.0),
    ),
    Plan(
        Layer::L3,
        "connections that failed",
        "net.connect_failed_count",
        Func::Sum,
        Op::AtLeast,
        Some(3.0),
        true,
        FIXED,
    ),
    Plan(
        Layer::L2,
        "transmit queues of virtual network devices that hung",
        "net.tx_timeout_count",
        Func::Max,
        Op::AtLeast,
        Some(1.0),
        false,
        FIXED,
    ),
    Plan(
        Layer::L2,
        "waiting for paravirtual block devices",
        "io.latency_p90_ms{kind=paravirtual}",
        Func::Max,
        Op::Above,
        Some(100.0),
        false,
        beyond(3.0, 20.0),
    ),
    Plan(
        Layer::L1,
        "CPU time stolen by the hypervisor",
        "cpu.steal_percent",
        Func::Max,
        Op::Above,
        Some(10.0),
        false,
        beyond(1.5, 10.0),
    ),
    Plan(
        Layer::L0,
        "machine checks",
        "node.machine_check_count",
        Func::Max,
        Op::AtLeast,
        Some(1.0),
        false,
        FIXED,
    ),
    Plan(
        Layer::Host,
        "operations that failed for want of room, or of a device",
        "file.failed_count",
        Func::Sum,
        Op::AtLeast,
        Some(1.0),
        false,
        FIXED,
    ),
    Plan(
        Layer::Host,
        "waiting for block devices",
        "io.latency_p90_ms",
        Func::Max,
        Op::Above,
        Some(100.0),
        false,
        beyond(3.0, 20.0),
    ),
    Plan(
        Layer::Host,
        "waiting for a CPU",
        "cpu.runqueue_p99_ms",
        Func::Max,
        Op::Above,
        Some(20.0),
        false,
        beyond(3.0, 20.0),
    ),
    Plan(
        Layer::Host,
        "kills for want of memory of the node",
        "memory.oom_kill_count{scope=global}",
        Func::Sum,
        Op::AtLeast,
        Some(1.0),
        false,
        FIXED,
    ),
];

/// All of them, each with the series that `number` gives it.
pub(super) fn all(mut number: impl FnMut(Selector, Vec<Label>, Period) -> usize) -> Vec<Check> {
    let check = |plan: &Plan| {
        let Plan(layer, what, of, func, op, bound, of_container, usual) = *plan;
        let selector = Selector::parse(of).ok()?;
        let signal = selector.signal;
        let key = if of_container { vec![Label::Container] } else { Vec::new() };
        let series = number(selector, key, OVER);
        Some(Check { layer, what, of, signal, func, op, bound, usual, of_container, series })
    };
    PLANS.iter().filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_names_a_signal() {
        assert_eq!(all(|_, _, _| 0).len(), PLANS.len());
    }
}
