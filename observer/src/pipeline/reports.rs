//! What is reported of probes, and of the observer itself: kept, judged by, and told as health.

use observer_ebpf::Family;

use super::Pipeline;
use crate::{
    health::{ProbeHealth, ProbeReport, Report},
    output::{Health, Output},
};

impl Pipeline {
    /// Whether a probe is given up by this, or taken up again: that is told at once.
    pub(super) fn is_shed_news(&mut self, report: &ProbeReport) -> bool {
        let Report::Status { family, status, .. } = &report.what else { return false };
        self.shed.report(*family, *status, report.time)
    }

    pub(super) fn report(&mut self, report: &ProbeReport) -> Vec<Output> {
        match &report.what {
            Report::Status { family, status, hook, why } => {
                let before = self.probes.get(family);
                let health = ProbeHealth {
                    name: family_name(*family),
                    status: *status,
                    hook: hook.clone(),
                    why: why.clone(),
                    records: before.map_or(0, |before| before.records),
                    lost: before.map_or(0, |before| before.lost),
                };
                self.probes.insert(*family, health);
                self.statuses.insert(*family, report.clone());
            }
            Report::Records { family, count } => {
                if let Some(probe) = self.probes.get_mut(family) {
                    probe.records = *count;
                }
            }
            Report::Own(cost) => {
                self.own_before.get_or_insert((report.time, *cost));
                self.own = Some(*cost);
            }
            Report::Otlp(counts) => self.otlp = Some(*counts),
        }
        self.judging.report(report)
    }

    /// How the probes and the observer itself are doing.
    pub fn health(&self) -> Health {
        let cpu_percent = self.own.zip(self.own_before).and_then(|(now, (since, before))| {
            let passed = self.now.since(since);
            (passed > 0).then(|| now.cpu_ns.saturating_sub(before.cpu_ns) as f64 * 100.0 / passed as f64)
        });
        Health {
            time: self.wall(self.now),
            probes: self.probes.values().cloned().collect(),
            own: self.own,
            cpu_percent,
            otlp: self.otlp,
        }
    }
}

pub(super) fn family_name(id: u8) -> &'static str {
    Family::of(u16::from(id) << 8).map_or("unknown", Family::name)
}
