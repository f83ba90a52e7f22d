//! Metrics as OTLP's, counted since the run began. Pure.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    },
};

use super::{
    resource::{Attributes, Host, resource_of_observer},
    spans::{self, unix_ns},
};
use crate::sink::metrics::{self, Kind, Series, Snapshot, Value};

/// All of a snapshot, as the observer's own.
pub fn resource_metrics(snapshot: &Snapshot, host: &Host) -> ResourceMetrics {
    let of = snapshot.metrics.iter().filter(|metric| !metric.series.is_empty());
    let metrics = of.map(|metric| one(metric, snapshot)).collect();
    let metrics = ScopeMetrics { scope: Some(spans::scope()), metrics, ..ScopeMetrics::default() };
    ResourceMetrics {
        resource: Some(resource_of_observer(host)),
        scope_metrics: vec![metrics],
        ..ResourceMetrics::default()
    }
}

fn one(metric: &metrics::Metric, snapshot: &Snapshot) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let numbers =
        || metric.series.iter().filter_map(|series| number(series, metric.kind, snapshot)).collect();
    let data = match metric.kind {
        Kind::Counter => {
            Data::Sum(Sum { data_points: numbers(), aggregation_temporality, is_monotonic: true })
        }
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: metric.series.iter().filter_map(|series| histogram(series, snapshot)).collect(),
            aggregation_temporality,
        }),
    };
    Metric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: metric.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn attributes(series: &Series) -> Vec<KeyValue> {
    let mut to = Attributes::default();
    series.labels.iter().for_each(|(name, value)| to.text(name, value.as_str()));
    to.into_vec()
}

fn number(series: &Series, kind: Kind, snapshot: &Snapshot) -> Option<NumberDataPoint> {
    let Value::Number(value) = series.value else { return None };
    Some(NumberDataPoint {
        attributes: attributes(series),
        // What is a state has no beginning.
        start_time_unix_nano: if kind == Kind::Gauge { 0 } else { unix_ns(snapshot.since, 0) },
        time_unix_nano: unix_ns(snapshot.at, 0),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn histogram(series: &Series, snapshot: &Snapshot) -> Option<HistogramDataPoint> {
    let Value::Histogram(of) = &series.value else { return None };
    Some(HistogramDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: unix_ns(snapshot.since, 0),
        time_unix_nano: unix_ns(snapshot.at, 0),
        count: of.count(),
        sum: Some(of.sum),
        bucket_counts: of.counts.clone(),
        explicit_bounds: of.bounds.to_vec(),
        ..HistogramDataPoint::default()
    })
}
