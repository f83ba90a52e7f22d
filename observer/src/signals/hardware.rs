//! Signals of the node's devices: how long block devices take and components wait for them, what network devices and
//! the hardware report. From every sample.

use std::collections::BTreeMap;

use super::{About, Label, Observation, Signal};
use crate::{
    output::{BlockUse, HardwareUse, Histogram, Process, Since, SyncUse},
    time::{Time, Wall},
};

/// Of fewer requests percentiles say little: they are put together with those of the next samples,
const LEAST: u64 = 10;
/// until so long after the first of them.
const PATIENCE_NS: u64 = 30_000_000_000;
/// What is fewer then is not judged at all.
const LEAST_AT_LAST: u64 = 3;
/// The same of the waits of a component, which are fewer.
const LEAST_SYNCS: u64 = 4;
const SYNC_PATIENCE_NS: u64 = 10_000_000_000;
/// With more requests under way at a time a device is asked for much, and waiting is no fault of its own.
const MANY_UNDER_WAY: f64 = 4.0;

/// What was too little to judge by.
#[derive(Debug, Default)]
pub(super) struct Devices {
    block: BTreeMap<String, Gathered<BlockUse>>,
    synced: BTreeMap<u32, Gathered<Histogram>>,
}

#[derive(Debug, Default)]
struct Gathered<T> {
    interval_ns: u64,
    of: T,
}

/// An interval, and what was measured in it.
pub(super) struct Measured<'a> {
    pub interval_ns: u64,
    pub of: &'a HardwareUse,
    pub now: Time,
    pub at: Wall,
}

const ABOUT: About<'_> = About {
    probe: "hardware",
    container: None,
    process: None,
    since: Since::Attach,
    in_teardown: false,
    is_young: false,
};

impl Devices {
    pub(super) fn signals(&mut self, measured: &Measured, see: &mut impl FnMut(Observation)) {
        let Measured { interval_ns, of, now, at } = *measured;
        for (name, used) in of.block.iter().flatten() {
            let gathered = self.block.entry(name.clone()).or_default();
            gathered.interval_ns += interval_ns;
            gathered.of.add(used);
        }
        // One that has nothing to do any more is waited for no longer than others.
        let idle = |name: &String| of.block.as_ref().is_none_or(|all| !all.contains_key(name));
        self.block
            .iter_mut()
            .filter(|(name, _)| idle(name))
            .for_each(|(_, of)| of.interval_ns += interval_ns);
        let due = |_: &String, of: &mut Gathered<BlockUse>| {
            of.of.is_stuck || of.of.waited.count() >= LEAST || of.interval_ns >= PATIENCE_NS
        };
        self.block.extract_if(.., due).for_each(|(name, of)| block(&name, &of, (now, at), see));
        self.synced(measured, see);
        counted(measured, see);
    }

    fn synced(&mut self, measured: &Measured, see: &mut impl FnMut(Observation)) {
        let all = measured.of.synced.as_ref();
        for (tgid, SyncUse { comm, waited }) in all.into_iter().flatten() {
            let gathered = self.synced.entry(*tgid).or_default();
            gathered.interval_ns += measured.interval_ns;
            gathered.of.add(waited);
            if gathered.of.count() < LEAST_SYNCS && gathered.interval_ns < SYNC_PATIENCE_NS {
                continue;
            }
            let waited = std::mem::take(gathered).of;
            let Some(ms) = percentile(&waited, 99) else { continue };
            let process = Process { pid: *tgid, tid: *tgid, comm: comm.clone(), ..Process::default() };
            let text = format!(
                "{comm} waited {} times until its files were on their device, one of 100 times {ms:.1} ms or longer",
                waited.count()
            );
            let about = About { process: Some(&process), ..ABOUT };
            see(Observation::new(measured.now, measured.at, Signal::IoSync, ms, about).saying(text));
        }
        self.synced.retain(|tgid, of| of.of.count() > 0 && all.is_some_and(|all| all.contains_key(tgid)));
    }
}

/// What is counted. That there was none is seen, too: a sum of nothing would be there without anybody counting.
fn counted(measured: &Measured, see: &mut impl FnMut(Observation)) {
    let of = |signal, value| Observation::new(measured.now, measured.at, signal, value, ABOUT);
    if let Some(all) = &measured.of.timed_out {
        see(of(Signal::NetTxTimeout, 0.0));
        for (name, count) in all {
            let text = format!("{name} did not send in time what it was given, {count} times");
            see(of(Signal::NetTxTimeout, *count as f64).with(Label::Device, name.as_str()).saying(text));
        }
    }
    if let Some(all) = &measured.of.checked {
        see(of(Signal::MachineCheck, 0.0));
        for ((cpu, bank, uncorrected), count) in all {
            let state = if *uncorrected { "uncorrected" } else { "corrected" };
            let text = format!("{count} {state} errors of the hardware, by CPU {cpu}, bank {bank}");
            see(of(Signal::MachineCheck, *count as f64).with(Label::State, state).saying(text));
        }
    }
}

fn block(
    name: &str,
    gathered: &Gathered<BlockUse>,
    (now, at): (Time, Wall),
    see: &mut impl FnMut(Observation),
) {
    let (used, interval_ns) = (&gathered.of, gathered.interval_ns);
    // virtio's names, and Xen's.
    let kind = if name.starts_with("vd") || name.starts_with("xvd") { "paravirtual" } else { "device" };
    let of = |signal, value| {
        let one = Observation::new(now, at, signal, value, ABOUT);
        one.with(Label::Device, name.to_owned()).with(Label::Kind, kind)
    };
    if used.is_stuck {
        let ms = interval_ns as f64 / 1e6;
        let text = format!("nothing that was asked of {name} was done within {:.1} s", ms / 1e3);
        for signal in [Signal::IoLatency, Signal::IoMost] {
            see(of(signal, ms).with(Label::State, "stuck").saying(text.clone()));
        }
        return;
    }
    let count = used.waited.count();
    let percentiles = percentile(&used.waited, 90).zip(percentile(&used.waited, 99));
    let Some((p90, p99)) = percentiles.filter(|_| count >= LEAST_AT_LAST) else { return };
    let under_way = used.under_way(interval_ns).unwrap_or_default();
    let state = if under_way > MANY_UNDER_WAY { "busy" } else { "calm" };
    let slowest = used.slowest.as_ref().map_or_else(String::new, |slow| {
        format!("; a {} of {} bytes took {:.1} ms", slow.op.name(), slow.bytes, slow.took_ns as f64 / 1e6)
    });
    let text = format!(
        "of {count} requests to {name} that somebody waited for 90 of 100 took up to {p90:.1} ms, 99 of 100 up to \
         {p99:.1} ms, with {under_way:.1} under way at a time{slowest}"
    );
    see(of(Signal::IoMost, p90).with(Label::State, state).saying(text.clone()));
    see(of(Signal::IoLatency, p99).with(Label::State, state).saying(text));
}

fn percentile(of: &Histogram, p: u64) -> Option<f64> {
    of.percentile(p).map(|ns| ns as f64 / 1e6)
}

#[cfg(test)]
mod tests;
