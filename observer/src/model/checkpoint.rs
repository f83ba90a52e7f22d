//! What a recording needs to begin in the middle of a run.

use super::Model;
use crate::{
    input::{Fact, FactKind, Input, Record, RuntimeVersion},
    time::Time,
};

impl Model {
    /// The inputs behind everything that is still open, in the order of time.
    pub fn open_inputs(&self, now: Time) -> Vec<Input> {
        let fact = |what| Input::Fact(Fact { time: now, what });
        let mut inputs =
            vec![fact(FactKind::Clock(self.clock)), fact(FactKind::DropReasons(self.drops.names()))];
        inputs.extend(self.lost.iter().map(|(family, count)| Input::Lost {
            time: now,
            family: *family,
            count: *count,
        }));
        let version = |(exe, known): (&String, &Option<RuntimeVersion>)| {
            let result = Ok(known.clone()?);
            Some(fact(FactKind::RuntimeVersion { exe: exe.clone(), result }))
        };
        inputs.extend(self.versions.iter().filter_map(version));
        let places = self.webhooks.places.all();
        if !places.is_empty() {
            inputs.push(fact(FactKind::WebhookPlaces(places.to_vec())));
        }
        inputs.extend(self.kube.inputs(now).map(Input::Fact));
        inputs.extend(self.processes.alive().map(|process| fact(FactKind::Process(process))));
        let mut records: Vec<&Record> = self.pods.records().collect();
        records.extend(self.starts.values().flat_map(|start| &start.records));
        records.extend(self.lookups.records());
        records.extend(self.webhooks.records());
        records.sort_by_key(|record| record.time);
        records.dedup();
        inputs.extend(records.into_iter().cloned().map(Input::Record));
        inputs.extend(self.open_lives().into_iter().map(|life| fact(FactKind::Life(Box::new(life)))));
        inputs.extend(self.entrances.inputs(now));
        let bundle_of = |tgid, result| fact(FactKind::Bundle { tgid, result });
        inputs.extend(self.pods.bundles().map(|(tgid, bundle)| bundle_of(*tgid, Ok(bundle.clone()))));
        for start in self.starts.values() {
            if let Some(result) = &start.bundle {
                inputs.push(bundle_of(start.id.root, result.clone()));
            }
            if let (Some(init), Some(result)) = (start.init, &start.module) {
                let result = result.clone().map(|module| Box::new((*module).clone()));
                inputs.push(fact(FactKind::Module { init, result }));
            }
        }
        inputs
    }
}
