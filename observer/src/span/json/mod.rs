//! OTLP in JSON, made into the same request in protobuf, record by record: what real senders write is taken (nulls,
//! numbers as text, enums by name, unknown fields), and a record that cannot be understood costs itself alone.

mod schema;
mod value;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    Signal,
    parcel::{MEMBER, RESOURCE_GROUP, SUBJECT},
    wire::put_bytes,
};

/// Why a request, or a record in it, cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// A request, and what of it was not understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcoded {
    pub request: Vec<u8>,
    pub rejected: u64,
    /// Why the first of those was rejected.
    pub why: Option<String>,
}

impl Transcoded {
    fn reject(&mut self, what: &str, why: &Unreadable) {
        self.rejected += 1;
        self.why.get_or_insert_with(|| format!("{what}: {why}"));
    }
}

type Object<'a> = BTreeMap<String, &'a RawValue>;

/// Names of the lists that lead from a request to its records.
const fn lists(signal: Signal) -> [&'static str; 3] {
    match signal {
        Signal::Traces => ["resourceSpans", "scopeSpans", "spans"],
        Signal::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
        Signal::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
    }
}

/// The request in protobuf.
///
/// # Errors
/// It is no JSON, or no object with a list of groups.
pub fn request(signal: Signal, text: &[u8]) -> Result<Transcoded, Unreadable> {
    let text = std::str::from_utf8(text).map_err(|_| Unreadable("the body is not UTF-8".to_owned()))?;
    let [groups, _, _] = lists(signal);
    let whole: Object = parse(text)?;
    let mut made = Transcoded::default();
    for group in list(&whole, groups)? {
        let mut bytes = Vec::new();
        resource_group(signal, group, &mut bytes, &mut made)?;
        put_bytes(&mut made.request, RESOURCE_GROUP, &bytes);
    }
    Ok(made)
}

fn resource_group(
    signal: Signal,
    group: &RawValue,
    to: &mut Vec<u8>,
    made: &mut Transcoded,
) -> Result<(), Unreadable> {
    let [_, scopes, _] = lists(signal);
    let group: Object = parse(group.get())?;
    subject(&group, "resource", &schema::RESOURCE, to)?;
    for inner in list(&group, scopes)? {
        let mut bytes = Vec::new();
        scope_group(signal, inner, &mut bytes, made)?;
        put_bytes(to, MEMBER, &bytes);
    }
    Ok(())
}

fn scope_group(
    signal: Signal,
    group: &RawValue,
    to: &mut Vec<u8>,
    made: &mut Transcoded,
) -> Result<(), Unreadable> {
    let [_, _, records] = lists(signal);
    let schema = match signal {
        Signal::Traces => &schema::SPAN,
        Signal::Logs => &schema::LOG_RECORD,
        Signal::Metrics => &schema::METRIC,
    };
    let group: Object = parse(group.get())?;
    subject(&group, "scope", &schema::SCOPE, to)?;
    for record in list(&group, records)? {
        match parse(record.get()).and_then(|json| value::message(schema, &json)) {
            Ok(bytes) => put_bytes(to, MEMBER, &bytes),
            Err(why) => made.reject(records, &why),
        }
    }
    Ok(())
}

/// What a group says of itself: whom it is of, and by which conventions.
fn subject(
    group: &Object,
    name: &str,
    schema: &'static schema::Message,
    to: &mut Vec<u8>,
) -> Result<(), Unreadable> {
    if let Some(json) = group.get(name).filter(|json| json.get() != "null") {
        let bytes = value::message(schema, &parse(json.get())?)?;
        put_bytes(to, SUBJECT, &bytes);
    }
    if let Some(url) = group.get("schemaUrl").map(|url| parse::<Option<String>>(url.get())).transpose()? {
        url.iter().for_each(|url| put_bytes(to, 3, url.as_bytes()));
    }
    Ok(())
}

/// The list of that name; one that is absent or null is empty.
fn list<'a>(object: &Object<'a>, name: &str) -> Result<Vec<&'a RawValue>, Unreadable> {
    let list = object.get(name).map(|list| parse::<Option<Vec<&RawValue>>>(list.get())).transpose()?;
    Ok(list.flatten().unwrap_or_default())
}

fn parse<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Unreadable> {
    // Its own words repeat no value.
    serde_json::from_str(text).map_err(|why| match why.classify() {
        serde_json::error::Category::Data => {
            Unreadable(format!("another kind of value was expected at byte {}", why.column()))
        }
        _ => Unreadable(format!("not JSON (line {}, column {})", why.line(), why.column())),
    })
}

#[cfg(test)]
mod tests;
