//! Symptoms whose causes may still show: told as not proven once nothing explains them in time.

use std::sync::Arc;

use super::{Engine, MAX_OPEN, Said};
use crate::{
    rules::{
        compile::Rule,
        judge::{Bench, Verdict},
        open::{Suspicion, Taken},
        tell,
        windows::key,
    },
    signals::Observation,
};

/// A symptom that is still there is told of again after this.
const TELL_AGAIN_NS: u64 = 300_000_000_000;

impl Engine {
    pub(super) fn suspect(&mut self, at: usize, observation: &Observation) {
        let rule = &self.rules.symptoms[at];
        let Some(key) = key(&rule.by, observation) else { return };
        let counted = self.suspicions.get(&(at, key.clone())).map_or(0, |known| known.taken.found.counted);
        let Verdict::Match(found) = self.bench().judge(rule, &key, counted) else { return };
        let taken = Taken::of(observation, found, self.now);
        let has_room = self.suspicions.len() < MAX_OPEN;
        if let Some(known) = self.suspicions.get_mut(&(at, key.clone())) {
            known.again(taken);
        } else if has_room {
            self.suspicions.insert((at, key), Suspicion::new(taken));
        } else {
            self.given_up += 1;
        }
    }

    pub(super) fn decide_suspicions(&mut self, say: &mut impl FnMut(Said)) {
        let now = self.now;
        let mut decided = Vec::new();
        for ((at, key), suspicion) in &self.suspicions {
            let rule = &self.rules.symptoms[*at];
            let is_explained = self.explains(rule, suspicion.taken.workload.as_ref());
            let is_old = now.since(suspicion.taken.time) >= rule.life.0.max(TELL_AGAIN_NS);
            let is_due = suspicion.told.is_none() && now.since(suspicion.first) >= rule.settle.0;
            if is_explained || is_old || is_due {
                decided.push(((*at, key.clone()), is_due && !is_explained));
            }
        }
        for ((at, key), is_told) in decided {
            if !is_told {
                self.suspicions.remove(&(at, key));
                continue;
            }
            let bench = Bench::of((&self.windows, &self.trust, &self.habits), now, self.began);
            let Some(suspicion) = self.suspicions.get_mut(&(at, key.clone())) else { continue };
            suspicion.told = Some(now);
            self.unproven += 1;
            say(tell::unproven(&self.rules, at, suspicion, bench, self.clock));
        }
    }

    /// Whether a finding of the same entry, or one that its causes are explained by, is open about the same workload.
    fn explains(&self, rule: &Rule, workload: Option<&Arc<str>>) -> bool {
        let others: Vec<&String> = rule.entry.causes.iter().flat_map(|cause| &cause.explained_by).collect();
        let waits =
            self.waiting.keys().any(|(at, _)| Arc::ptr_eq(&self.rules.causes[*at].entry, &rule.entry));
        waits
            || self.open.iter().any(|((at, _), open)| {
                let known = &self.rules.causes[*at].entry;
                let is_related = Arc::ptr_eq(known, &rule.entry) || others.contains(&&known.id);
                is_related
                    && (open.workload.as_ref() == workload || open.workload.is_none() || workload.is_none())
            })
    }
}
