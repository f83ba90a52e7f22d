//! Which known problems could not be told here, and for want of which probe. Pure: it judges how the probes attach.

use std::collections::{BTreeMap, BTreeSet};

use observer_ebpf::Family;

use super::Doctor;
use crate::{health::Status, rules::Rules, signals::Signal, source::facts::host::Capability};

/// A known problem that could not be told, or not by these causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTold {
    pub id: String,
    /// Of its causes; `None`: all that the observer would tell.
    pub causes: Option<Vec<String>>,
    /// The probes that they rest on and that are not there.
    pub wants: BTreeSet<&'static str>,
}

/// By the rules of the built-in matrix.
pub(super) fn not_told(doctor: &Doctor, rules: &Rules) -> Vec<NotTold> {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut lost: BTreeMap<&str, (Vec<String>, BTreeSet<&'static str>)> = BTreeMap::new();
    for rule in &rules.causes {
        let id = rule.entry.id.as_str();
        let signals = rule.when.iter().map(|test| test.condition.of.signal);
        let wants: BTreeSet<&str> = signals.filter_map(|signal| lacking(doctor, signal)).collect();
        if wants.is_empty() {
            told.insert(id);
            continue;
        }
        let (causes, all) = lost.entry(id).or_default();
        causes.extend(rule.cause.as_ref().map(|cause| cause.id.clone()));
        all.extend(wants);
    }
    let entry = |(id, (causes, wants)): (&str, (Vec<String>, _))| NotTold {
        id: id.to_owned(),
        causes: told.contains(id).then_some(causes),
        wants,
    };
    lost.into_iter().map(entry).collect()
}

/// The probe without which a signal is not measured here.
fn lacking(doctor: &Doctor, signal: Signal) -> Option<&'static str> {
    let sees_maps = doctor.host.capabilities.contains(&Capability::SysPtrace);
    let is_lacking = |family: &Family| {
        let Some(plan) = doctor.probes.iter().find(|plan| plan.family == *family) else { return false };
        let hook = |name: &str| plan.hooks.iter().any(|hook| hook.name == name && hook.rung.is_none());
        plan.status == Status::Failed
            || signal.hook().is_some_and(hook)
            // Attached to when it is found, by who has it mapped.
            || *family == Family::Tls && !(sees_maps && doctor.host.uprobes)
    };
    signal.spec().needs.iter().find(|family| is_lacking(family)).map(|family| family.name())
}
