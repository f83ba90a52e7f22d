//! What is kept of a start once it has been printed: enough to group it and to compare it, no more.

use crate::output::{ColdStart, Kind, PhaseName, T0};

/// One start, reduced to its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub t0: T0,
    pub image: Option<String>,
    pub namespace: Option<String>,
    pub runtime: Option<String>,
    pub kind: Kind,
    pub total_ns: u64,
    /// Sum by name, in the order of the names. With `Unattributed` they add up to the total; a phase that is
    /// not here took no time of this start.
    pub phases: Vec<(PhaseName, u64)>,
    pub failed: bool,
}

impl Sample {
    pub fn of(start: &ColdStart) -> Sample {
        let named = start.phases.iter().filter(|phase| phase.name != PhaseName::Unattributed);
        let named = named.map(|phase| (phase.name, phase.duration_ns));
        Sample {
            t0: start.t0,
            image: start.container.image.clone(),
            namespace: start.container.namespace.clone(),
            runtime: start.container.runtime.clone(),
            kind: start.container.kind,
            total_ns: start.total_ns,
            phases: sums(named.chain([(PhaseName::Unattributed, start.unattributed_ns)])),
            failed: start.failure.is_some(),
        }
    }

    /// Without what fetched its image.
    pub fn without_pulling_ns(&self) -> u64 {
        let pulled = self.phase_ns(PhaseName::ImagePull).saturating_add(self.phase_ns(PhaseName::Snapshot));
        self.total_ns.saturating_sub(pulled)
    }

    /// Loading and instantiating its module, if it did.
    pub fn loading_ns(&self) -> Option<u64> {
        let ns = self.phase_ns(PhaseName::WasmLoad).saturating_add(self.phase_ns(PhaseName::WasmInstantiate));
        (ns > 0).then_some(ns)
    }

    pub fn phase_ns(&self, name: PhaseName) -> u64 {
        self.phases.iter().find(|(phase, _)| *phase == name).map_or(0, |(_, ns)| *ns)
    }
}

/// Adds up durations by name; what adds up to nothing is left out.
pub fn sums(durations: impl IntoIterator<Item = (PhaseName, u64)>) -> Vec<(PhaseName, u64)> {
    let mut sums = std::collections::BTreeMap::<PhaseName, u64>::new();
    for (name, ns) in durations {
        let sum = sums.entry(name).or_default();
        *sum = sum.saturating_add(ns);
    }
    sums.into_iter().filter(|(_, ns)| *ns > 0).collect()
}

/// A bounded list of samples. What comes when it is full is counted and not kept.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: Vec<Sample>,
    beyond: u64,
}

impl Samples {
    pub const LIMIT: usize = 10_000;

    pub fn add(&mut self, sample: Sample) {
        if self.kept.len() < Self::LIMIT {
            self.kept.push(sample);
        } else {
            self.beyond += 1;
        }
    }

    pub fn kept(&self) -> &[Sample] {
        &self.kept
    }

    /// How many came when the list was full.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_add_up_by_name() {
        let list = [(PhaseName::Init, 4), (PhaseName::Cni, 2), (PhaseName::Exec, 0), (PhaseName::Cni, 3)];
        assert_eq!(sums(list), [(PhaseName::Cni, 5), (PhaseName::Init, 4)]);
    }

    #[test]
    fn the_list_is_bounded_and_counts_the_rest() {
        let sample = Sample {
            t0: T0::Shim,
            image: None,
            namespace: None,
            runtime: None,
            kind: Kind::Oci,
            total_ns: 1,
            phases: Vec::new(),
            failed: false,
        };
        let mut samples = Samples::default();
        for _ in 0..Samples::LIMIT + 3 {
            samples.add(sample.clone());
        }
        assert_eq!((samples.kept().len(), samples.beyond()), (Samples::LIMIT, 3));
    }
}
