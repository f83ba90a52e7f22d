//! What was missing for a complete picture, and what it would have given.

use std::collections::BTreeMap;

use observer_ebpf::Family;

use super::{Pipeline, family_name};
use crate::{
    health::{ProbeHealth, Status},
    layer::Layer,
    output::NotMeasured,
    probes,
};

impl Pipeline {
    /// What was given up because observing cost too much.
    fn given_up(&self) -> impl Iterator<Item = NotMeasured> {
        self.shed.all(self.now).map(|(family, ns)| {
            let (name, seconds) = (family_name(family), ns as f64 / 1e9);
            NotMeasured {
                layer: Layer::L3,
                what: gives(name).to_owned(),
                why: format!("probe {name} was given up for {seconds:.1} s: observing cost more than it may"),
                how: Some("a larger --budget, or fewer --probes".to_owned()),
            }
        })
    }

    // long: one lack after the other
    pub(super) fn not_measured(&self) -> Vec<NotMeasured> {
        // What waits for something that is not there has missed nothing.
        let lacking =
            |probe: &&ProbeHealth| !matches!(probe.status, Status::Attached | Status::Waiting | Status::Shed);
        let mut lacks: Vec<NotMeasured> = self
            .probes
            .values()
            .filter(lacking)
            .map(|probe| NotMeasured {
                layer: Layer::L3,
                what: gives(probe.name).to_owned(),
                why: format!("probe {} is {}", probe.name, probe.status.name()),
                how: Some("observer doctor says what this node lacks".to_owned()),
            })
            .collect();
        lacks.extend(self.given_up());
        let counts = [
            (self.model.given_up, "starts", "more containers were being created at once than are followed"),
            (
                self.model.lives_given_up(),
                "containers",
                "more containers were alive at once than are followed",
            ),
            (
                self.model.webhooks_given_up(),
                "connections to webhooks",
                "more were open at once than are followed",
            ),
            (
                self.model.calls_given_up(),
                "calls of webhooks in TLS libraries",
                "more were under way at once than are remembered",
            ),
            (
                self.model.http2_connections(),
                "connections of HTTP/2 in TLS libraries",
                "something was asked on them by headers that were said before the observer listened: it may have been a call",
            ),
            (self.model.evicted(), "processes", "more processes were of interest than are remembered"),
            (
                self.model.lookups_given_up(),
                "look-ups",
                "more names were being looked up at once than are followed",
            ),
            (self.model.tools_given_up(), "policy tools", "more were running at once than are followed"),
            (self.model.dns_garbage(), "messages to or from port 53", "they are none that can be read"),
            (
                self.model.encrypted_lookups(),
                "connections to port 853",
                "names are looked up over TLS there: neither what is asked nor what is answered can be read",
            ),
            (
                self.model.unread_text,
                "writes to standard output and error",
                "they were not looked at for keywords: one process wrote too often, or they could not be read",
            ),
            (self.model.late, "records", "they came so late that others may have been judged without them"),
        ];
        lacks.extend(self.not_said());
        lacks.extend(self.judging.not_measured());
        lacks.extend(counts.into_iter().filter(|(count, ..)| *count > 0).map(|(count, what, why)| {
            NotMeasured { layer: Layer::L3, what: format!("{count} {what}"), why: why.to_owned(), how: None }
        }));
        lacks
    }
}

impl Pipeline {
    /// What the Kubernetes API was asked and has not said. What has one reason is told once.
    fn not_said(&self) -> Vec<NotMeasured> {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (kind, error) in self.model.kube().refusals() {
            by_reason.entry(&error.why).or_default().push(kind.name());
        }
        let how = "--kubeconfig names who may read them; NODE_NAME says what this node is called";
        let lack = |(why, kinds): (&str, Vec<&str>)| NotMeasured {
            layer: Layer::L3,
            what: format!("what the Kubernetes API knows of {}", kinds.join(", ")),
            why: why.to_owned(),
            how: Some(how.to_owned()),
        };
        by_reason.into_iter().map(lack).collect()
    }
}

fn gives(name: &str) -> &'static str {
    let family = Family::ALL.iter().find(|family| family.name() == name);
    family.map_or("", |family| probes::spec(*family).gives)
}
