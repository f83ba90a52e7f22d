//! How often something took how long, by its labels.

use std::collections::BTreeMap;

use super::{Kind, Metric, Series, Value};

/// Upper bounds of buckets, seconds: what a start, a look-up and a call of a webhook normally take, and far more.
pub(super) const OF_STARTS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
pub(super) const OF_LOOKUPS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0];
pub(super) const OF_CALLS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0];

#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    pub bounds: &'static [f64],
    /// By bucket, each without those before it; the last has no bound.
    pub counts: Vec<u64>,
    pub sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn add(&mut self, ns: u64) {
        let seconds = ns as f64 / 1e9;
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound).unwrap_or(self.bounds.len());
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// By the values of so many labels, whose number their owner bounds.
#[derive(Debug)]
pub(super) struct Histograms<const LABELS: usize> {
    bounds: &'static [f64],
    by: BTreeMap<[String; LABELS], Histogram>,
}

impl<const LABELS: usize> Histograms<LABELS> {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Histograms { bounds, by: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, labels: [String; LABELS], ns: u64) {
        self.by.entry(labels).or_insert_with(|| Histogram::new(self.bounds)).add(ns);
    }

    pub(super) fn metric(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; LABELS],
    ) -> Metric {
        let series = self.by.iter().map(|(values, histogram)| Series {
            labels: labels.into_iter().zip(values.iter().cloned()).collect(),
            value: Value::Histogram(histogram.clone()),
        });
        Metric { name, help, unit: "s", kind: Kind::Histogram, series: series.collect() }
    }
}
