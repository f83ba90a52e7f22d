//! The schema that editors check entries by says what the types say.

use serde_json::Value;

use crate::{
    app::{catalogue, matrix::sense::FIX_TYPES},
    cli::SCENARIOS,
    layer::Layer,
    rules::catalogue::{About, Class, Detect, Expect, Grade, Severity},
};

const SCHEMA: &str = include_str!("../../../catalogue/schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// What of `value` the schema refuses: as much of JSON Schema as ours uses, but for patterns.
fn refused(value: &Value, schema: &Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is = match schema["type"].as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "integer" => value.is_u64(),
        "string" => value.is_string(),
        other => panic!("{place}: the schema has the type {other}"),
    };
    if !is {
        found.push(format!("{place}: {value} is no {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        found.push(format!("{place}: {value} is not among {}", schema["enum"]));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{place} lacks {name}"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(inner) => found.extend(refused(value, inner, &format!("{place}.{name}"))),
            None => found.push(format!("{place}.{name} is not known")),
        }
    }
    for (at, value) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(refused(value, &schema["items"], &format!("{place}[{at}]")));
    }
    found
}

fn as_json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
}

#[test]
fn every_entry_of_ours_keeps_to_it_and_names_it() {
    for file in catalogue::built_in() {
        assert_eq!(refused(&as_json(&file.text), &schema(), &file.name), Vec::<String>::new());
        assert!(file.text.starts_with("#:schema ./schema.json\n"), "{}", file.name);
    }
}

#[test]
fn it_refuses_what_the_types_refuse() {
    let file = catalogue::built_in().into_iter().find(|file| file.name == "dns-failed.toml").unwrap();
    for (from, to) in
        [("severity = \"", "severity = \"Q"), ("title = ", "titel = "), ("grade = \"", "grade = \"un")]
    {
        let text = file.text.replacen(from, to, 1);
        assert_ne!(text, file.text, "{from}");
        assert!(!refused(&as_json(&text), &schema(), "it").is_empty(), "{to}");
        let files = [catalogue::File { name: String::new(), text }];
        assert!(catalogue::parse(&files).is_err(), "{to}");
    }
}

#[test]
fn its_words_are_those_of_the_types() {
    let schema = schema();
    let entry = &schema["properties"];
    let cause = &entry["cause"]["items"]["properties"];
    let words = |value: &Value| -> Vec<String> { serde_json::from_value(value["enum"].clone()).unwrap() };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(words(&entry["class"]), names(&Class::ALL.iter().map(|of| of.name()).collect::<Vec<_>>()));
    assert_eq!(
        words(&entry["severity"]),
        names(&Severity::ALL.iter().map(|of| of.name()).collect::<Vec<_>>())
    );
    assert_eq!(words(&entry["detect"]), names(&Detect::ALL.iter().map(|of| of.name()).collect::<Vec<_>>()));
    assert_eq!(words(&cause["about"]), names(&About::ALL.iter().map(|of| of.name()).collect::<Vec<_>>()));
    assert_eq!(words(&cause["grade"]), names(&Grade::ALL.iter().map(|of| of.name()).collect::<Vec<_>>()));
    let case = &entry["case"]["items"]["properties"];
    assert_eq!(words(&case["expect"]), names(&Expect::ALL.iter().map(|of| of.name()).collect::<Vec<_>>()));
    assert_eq!(words(&cause["layer"]), names(&Layer::ALL.map(Layer::name)));
    assert_eq!(words(&entry["fix_type"]), names(&FIX_TYPES));
    assert_eq!(words(&entry["scenarios"]["items"]), names(&SCENARIOS));
}
