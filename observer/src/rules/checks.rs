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
    pub signal: Signal,
    pub func: Func,
    /// What is not normal.
    pub op: Op,
    pub bound: f64,
    /// Of the finding's container; else of the node.
    pub of_container: bool,
    pub series: usize,
}

/// Of what is counted in samples, nothing is a sample, too: the sum of none would be told for nothing.
struct Plan(Layer, &'static str, &'static str, Func, Op, f64, bool);

/// In the order of the dependency chain: application, container, guest, machine, node.
const PLANS: &[Plan] = &[
    Plan(Layer::L4, "faults of Wasm code", "memory.trap_count", Func::Sum, Op::AtLeast, 1.0, true),
    Plan(Layer::L3, "kills for want of memory", "memory.oom_kill_count", Func::Sum, Op::AtLeast, 1.0, true),
    Plan(Layer::L3, "CPU throttling", "cpu.throttled_percent", Func::Max, Op::AtLeast, 25.0, true),
    Plan(
        Layer::L3,
        "writes to a log pipe without a reader",
        "stdio.broken_write_count",
        Func::Sum,
        Op::AtLeast,
        1.0,
        true,
    ),
    Plan(Layer::L3, "look-ups that failed", "dns.lookup_failed_count", Func::Sum, Op::AtLeast, 3.0, true),
    Plan(Layer::L3, "connections that failed", "net.connect_failed_count", Func::Sum, Op::AtLeast, 3.0, true),
    Plan(
        Layer::L2,
        "transmit queues of virtual network devices that hung",
        "net.tx_timeout_count",
        Func::Max,
        Op::AtLeast,
        1.0,
        false,
    ),
    Plan(
        Layer::L2,
        "waiting for paravirtual block devices",
        "io.latency_p90_ms{kind=paravirtual}",
        Func::Max,
        Op::Above,
        100.0,
        false,
    ),
    Plan(
        Layer::L1,
        "CPU time stolen by the hypervisor",
        "cpu.steal_percent",
        Func::Max,
        Op::Above,
        10.0,
        false,
    ),
    Plan(Layer::L0, "machine checks", "node.machine_check_count", Func::Max, Op::AtLeast, 1.0, false),
    Plan(
        Layer::Host,
        "operations that failed for want of room, or of a device",
        "file.failed_count",
        Func::Sum,
        Op::AtLeast,
        1.0,
        false,
    ),
    Plan(Layer::Host, "waiting for block devices", "io.latency_p90_ms", Func::Max, Op::Above, 100.0, false),
    Plan(Layer::Host, "waiting for a CPU", "cpu.runqueue_p99_ms", Func::Max, Op::Above, 20.0, false),
    Plan(
        Layer::Host,
        "kills for want of memory of the node",
        "memory.oom_kill_count{scope=global}",
        Func::Sum,
        Op::AtLeast,
        1.0,
        false,
    ),
];

/// All of them, each with the series that `number` gives it.
pub(super) fn all(mut number: impl FnMut(Selector, Vec<Label>, Period) -> usize) -> Vec<Check> {
    let check = |plan: &Plan| {
        let Plan(layer, what, of, func, op, bound, of_container) = *plan;
        let of = Selector::parse(of).ok()?;
        let signal = of.signal;
        let key = if of_container { vec![Label::Container] } else { Vec::new() };
        Some(Check { layer, what, signal, func, op, bound, of_container, series: number(of, key, OVER) })
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
