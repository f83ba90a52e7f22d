//! Metrics of a run: counted from outputs as they pass, for Prometheus to fetch and for OTLP to send. Names and labels
//! are a contract. Owns the counts, bounded: what is open-ended, such as a namespace, is told apart up to a number and
//! then called `other`. Reads no clock, and decides nothing that the outputs do not say.

mod histogram;
mod names;
pub mod serve;
mod text;

use std::collections::BTreeMap;

pub use self::{histogram::Histogram, text::exposition};
use self::{histogram::Histograms, names::Names};
use crate::{
    health::Status,
    output::{
        ColdStart, Dns, Event, Finding, FindingStatus, Health, Output, Stdio, StdioOutcome, Webhook, What,
    },
    time::Wall,
};

/// Findings that are open at once; rules keep no more either.
const MAX_OPEN: usize = 1_024;
/// Of a finding, in the order of the labels.
const OF_FINDINGS: [&str; 4] = ["row", "cause", "grade", "severity"];
const ALL_STATUSES: [Status; 6] =
    [Status::Attached, Status::Waiting, Status::Degraded, Status::Off, Status::Failed, Status::NotApplicable];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    starts: Histograms<3>,
    lookups: Histograms<2>,
    calls: Histograms<2>,
    runtimes: Names,
    namespaces: Names,
    webhooks: Names,
    rows: Names,
    undelivered_bytes: u64,
    blocked_ns: u64,
    /// Open findings, by fingerprint.
    open: BTreeMap<String, [String; 4]>,
    /// Of each kind that was ever open, how many are.
    findings: BTreeMap<[String; 4], u64>,
    health: Option<Health>,
    since: Option<Wall>,
}

/// One metric as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    /// In UCUM; empty where nothing is measured.
    pub unit: &'static str,
    pub kind: Kind,
    pub series: Vec<Series>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Histogram(Histogram),
}

/// All metrics at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Since when is counted.
    pub since: Wall,
    pub at: Wall,
    pub metrics: Vec<Metric>,
}

impl Snapshot {
    pub fn series(&self) -> usize {
        self.metrics.iter().map(|metric| metric.series.len()).sum()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            starts: Histograms::new(&histogram::OF_STARTS),
            lookups: Histograms::new(&histogram::OF_LOOKUPS),
            calls: Histograms::new(&histogram::OF_CALLS),
            runtimes: Names::at_most(16),
            namespaces: Names::at_most(100),
            webhooks: Names::at_most(100),
            rows: Names::at_most(200),
            undelivered_bytes: 0,
            blocked_ns: 0,
            open: BTreeMap::new(),
            findings: BTreeMap::new(),
            health: None,
            since: None,
        }
    }
}

impl Metrics {
    /// Counts an output.
    pub fn take(&mut self, output: &Output) {
        match output {
            Output::ColdStart(start) => self.start(start),
            Output::Event(event) => self.event(event),
            Output::Finding(finding) => self.finding(finding),
            Output::Health(health) => self.health(health),
            _ => {}
        }
    }

    /// How the probes and the observer itself are doing by now.
    pub fn health(&mut self, health: &Health) {
        self.since.get_or_insert(health.time);
        self.health = Some(health.clone());
    }

    /// A start that succeeded: the whole of it, and each of its phases.
    fn start(&mut self, start: &ColdStart) {
        if start.failure.is_some() {
            return;
        }
        let runtime = self.runtimes.known(start.container.runtime.as_deref().unwrap_or("unknown"));
        let kind = start.container.kind.name();
        let mut phases = BTreeMap::from([("total", start.total_ns)]);
        for phase in &start.phases {
            *phases.entry(phase.name.name()).or_default() += phase.duration_ns;
        }
        if start.unattributed_ns > 0 {
            phases.insert("unattributed", start.unattributed_ns);
        }
        for (phase, ns) in phases {
            self.starts.add([phase.to_owned(), runtime.clone(), kind.to_owned()], ns);
        }
    }

    fn event(&mut self, event: &Event) {
        match &event.what {
            What::Dns(lookup) => self.lookup(event, lookup),
            What::Webhook(call) => self.call(call),
            What::Stdio(stream) if stream.ended => self.stream(stream),
            _ => {}
        }
    }

    fn lookup(&mut self, event: &Event, lookup: &Dns) {
        // Without an answer, as long as it was waited for.
        let waited = event.began.map(|began| u64::try_from(event.time.0 - began.0).unwrap_or(0));
        let Some(ns) = lookup.latency_ns.or(waited) else { return };
        let namespace = event.container.as_ref().and_then(|container| container.namespace.as_deref());
        let namespace = self.namespaces.known(namespace.unwrap_or("none"));
        self.lookups.add([namespace, lookup.outcome.name().to_owned()], ns);
    }

    fn call(&mut self, call: &Webhook) {
        let Some(ns) = call.latency_ns else { return };
        let webhook = self.webhooks.known(&call.name);
        self.calls.add([webhook, call.outcome.name().to_owned()], ns);
    }

    fn stream(&mut self, stream: &Stdio) {
        self.blocked_ns += stream.blocked_ns.unwrap_or(0);
        let is_lost = matches!(
            stream.outcome,
            StdioOutcome::Undelivered | StdioOutcome::Blocked | StdioOutcome::ReaderGone
        );
        let left = stream.written_bytes.zip(stream.delivered_bytes);
        let left = left.map(|(written, delivered)| written.saturating_sub(delivered));
        if let Some(bytes) = left.or(stream.pipe_bytes).filter(|_| is_lost) {
            self.undelivered_bytes += bytes;
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let before = self.open.remove(&finding.fingerprint);
        if let Some(count) = before.and_then(|before| self.findings.get_mut(&before)) {
            *count -= 1;
        }
        if finding.status == FindingStatus::Resolved || self.open.len() >= MAX_OPEN {
            return;
        }
        let of = self.rows.known(&format!("{}\0{}", finding.id, finding.cause));
        let (row, cause) = of.split_once('\0').unwrap_or((&of, &of));
        let labels = [row, cause, finding.grade.name(), finding.severity].map(str::to_owned);
        *self.findings.entry(labels.clone()).or_default() += 1;
        self.open.insert(finding.fingerprint.clone(), labels);
    }

    /// All of it as it is at this time.
    pub fn snapshot(&self, at: Wall) -> Snapshot {
        let metrics = [self.of_containers(), self.of_the_observer()].concat();
        Snapshot { since: self.since.unwrap_or(at), at, metrics }
    }

    fn of_containers(&self) -> Vec<Metric> {
        let total = |name, help, unit, value: f64| Metric {
            name,
            help,
            unit,
            kind: Kind::Counter,
            series: vec![Series { labels: Vec::new(), value: Value::Number(value) }],
        };
        let found = self.findings.iter().map(|(labels, count)| Series {
            labels: OF_FINDINGS.into_iter().zip(labels.iter().cloned()).collect(),
            value: Value::Number(*count as f64),
        });
        vec![
            self.starts.metric(
                "observer_start_seconds",
                "Container starts that succeeded: the whole (phase total) and each phase.",
                ["phase", "runtime", "kind"],
            ),
            self.lookups.metric(
                "observer_dns_lookup_seconds",
                "Look-ups of names, until they were answered or given up.",
                ["namespace", "outcome"],
            ),
            self.calls.metric(
                "observer_webhook_seconds",
                "Calls of webhooks whose time could be seen.",
                ["webhook", "outcome"],
            ),
            total(
                "observer_stdio_undelivered_bytes_total",
                "Bytes that containers wrote to streams that have ended, and nobody took.",
                "By",
                self.undelivered_bytes as f64,
            ),
            total(
                "observer_stdio_blocked_seconds_total",
                "Time that writers waited for readers of streams that have ended.",
                "s",
                self.blocked_ns as f64 / 1e9,
            ),
            Metric {
                name: "observer_findings",
                help: "Findings that are open.",
                unit: "{finding}",
                kind: Kind::Gauge,
                series: found.collect(),
            },
        ]
    }

    fn of_the_observer(&self) -> Vec<Metric> {
        let Some(health) = &self.health else { return Vec::new() };
        let number = |labels, value| Series { labels, value: Value::Number(value) };
        let metric = |name, help, unit, kind, series| Metric { name, help, unit, kind, series };
        let probe = |name: &str| ("probe", name.to_owned());
        let lost = health.probes.iter().map(|of| number(vec![probe(of.name)], of.lost as f64)).collect();
        let states = health.probes.iter().flat_map(|of| {
            let is = |status: Status| f64::from(u8::from(of.status.name() == status.name()));
            ALL_STATUSES
                .map(|status| number(vec![probe(of.name), ("state", status.name().to_owned())], is(status)))
        });
        let mut all = vec![
            metric(
                "observer_lost_records_total",
                "Records that the kernel side could not hand over or keep.",
                "{record}",
                Kind::Counter,
                lost,
            ),
            metric(
                "observer_probe_state",
                "1 for the state that a probe is in.",
                "",
                Kind::Gauge,
                states.collect(),
            ),
        ];
        if let Some(own) = health.own {
            let cpu = vec![number(Vec::new(), own.cpu_ns as f64 / 1e9)];
            let rss = vec![number(Vec::new(), own.rss_bytes as f64)];
            let help = "CPU time of the observer itself.";
            all.push(metric("observer_self_cpu_seconds_total", help, "s", Kind::Counter, cpu));
            let help = "Resident memory of the observer itself.";
            all.push(metric("observer_self_rss_bytes", help, "By", Kind::Gauge, rss));
        }
        all
    }
}

#[cfg(test)]
mod tests;
