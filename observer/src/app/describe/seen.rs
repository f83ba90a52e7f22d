//! What an observer knows that concerns a question: how its containers are, what was told of them, what was looked at.

use crate::{
    app::edge::Edge,
    filter::Asked,
    layer::Layer,
    output::{Check, Finding, NotMeasured, Standing, Subject, Unproven},
    pipeline::Past,
    time::Wall,
};

/// Findings that one answer tells.
const MAX_FINDINGS: usize = 32;

/// See the module.
pub struct Seen {
    pub standings: Vec<Standing>,
    pub pasts: Vec<Past>,
    pub findings: Vec<Finding>,
    pub unproven: Vec<Unproven>,
    pub checked: Vec<Check>,
    pub not_measured: Vec<NotMeasured>,
    pub from: Wall,
    pub now: Wall,
}

impl Seen {
    pub fn of(edge: &Edge, asked: &Asked) -> Seen {
        let pipeline = &edge.pipeline;
        let (from, now) = pipeline.span();
        let (found, mut not_measured) = pipeline.looked_at();
        not_measured.extend(pipeline.scope().map(|scope| NotMeasured {
            layer: Layer::L3,
            what: "what containers did that the observer that answers does not watch".to_owned(),
            why: format!("it watches {scope}"),
            how: Some("--standalone".to_owned()),
        }));
        let standings = pipeline.standings(|container| asked.takes(container));
        let pasts = edge.history.as_ref().map(|history| history.of(asked)).unwrap_or_default();
        let images: Vec<&String> = standings
            .iter()
            .map(|standing| &standing.container)
            .chain(pasts.iter().map(|past| &past.container))
            .filter_map(|container| container.image.as_ref())
            .collect();
        let concerns = |subject: &Subject| match &subject.container {
            _ if subject.kind == "pod" && subject.object.as_deref().is_some_and(|pod| asked.names(pod)) => {
                true
            }
            Some(container) => asked.takes(container),
            None if subject.kind == "image" => {
                subject.object.as_ref().is_some_and(|image| images.contains(&image))
            }
            None => subject.kind == "node",
        };
        let history = edge.history.as_ref();
        let mut findings = history.map(|history| history.findings(concerns)).unwrap_or_default();
        findings.sort_by_key(|finding| (finding.severity, std::cmp::Reverse(finding.grade)));
        findings.truncate(MAX_FINDINGS);
        // What is suspected of the node may be about any process of it.
        let is_of_these = |subject: &Subject| subject.kind != "node" && concerns(subject);
        let mut unproven = history.map(|history| history.unproven(is_of_these)).unwrap_or_default();
        unproven.truncate(MAX_FINDINGS);
        let checked = found.map(|found| found.checked).unwrap_or_default();
        Seen { standings, pasts, findings, unproven, checked, not_measured, from, now }
    }
}
