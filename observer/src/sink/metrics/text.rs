//! Prometheus' text exposition format, version 0.0.4.

use std::fmt::Write as _;

use super::{Histogram, Kind, Metric, Snapshot, Value};

/// All metrics as a page to be fetched.
pub fn exposition(snapshot: &Snapshot) -> String {
    let mut page = String::new();
    for metric in &snapshot.metrics {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a text does not fail.
        let _ = writeln!(page, "# HELP {} {}\n# TYPE {} {kind}", metric.name, metric.help, metric.name);
        series(&mut page, metric);
    }
    page
}

fn series(page: &mut String, metric: &Metric) {
    for series in &metric.series {
        let labels: Vec<String> =
            series.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        match &series.value {
            Value::Number(number) => line(page, metric.name, &labels, *number),
            Value::Histogram(of) => histogram(page, metric.name, &labels, of),
        }
    }
}

fn histogram(page: &mut String, name: &str, labels: &[String], of: &Histogram) {
    let mut sum = 0;
    let bounds = of.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(&of.counts) {
        sum += count;
        let labels = [labels, &[format!("le=\"{bound}\"")]].concat();
        line(page, &format!("{name}_bucket"), &labels, sum as f64);
    }
    line(page, &format!("{name}_sum"), labels, of.sum);
    line(page, &format!("{name}_count"), labels, of.count() as f64);
}

fn line(page: &mut String, name: &str, labels: &[String], value: f64) {
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(page, "{name}{labels} {value}");
}

/// Three characters mean something inside of quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
