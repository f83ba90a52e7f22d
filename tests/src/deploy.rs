//! What is in observer/deploy, as data.

use std::{
    fs,
    path::{Path, PathBuf},
};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::Value;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../observer/deploy")
}

/// The documents of a YAML file.
///
/// # Panics
/// It is none.
pub fn documents(text: &str) -> Vec<Value> {
    Yaml::load_from_str(text).expect("YAML").iter().map(value).collect()
}

/// The DaemonSet of the plain manifest: its pod, and the observer in it.
pub struct Manifest {
    pub pod: Value,
    pub container: Value,
}

/// # Panics
/// It is not there, or has another shape.
pub fn manifest() -> Manifest {
    let text = fs::read_to_string(folder().join("kubernetes/observer.yaml")).expect("the manifest");
    let all = documents(&text);
    let set = all.iter().find(|object| object["kind"] == "DaemonSet").expect("a DaemonSet");
    let pod = set["spec"]["template"]["spec"].clone();
    let container = pod["containers"][0].clone();
    Manifest { pod, container }
}

fn value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(is)) => (*is).into(),
        Yaml::Value(Scalar::Integer(number)) => (*number).into(),
        Yaml::Value(Scalar::FloatingPoint(number)) => number.into_inner().into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(fields) => {
            let pair = |(key, of): (&Yaml, &Yaml)| (key.as_str().unwrap_or_default().to_owned(), value(of));
            Value::Object(fields.iter().map(pair).collect())
        }
        _ => Value::Null,
    }
}
