//! The learned baseline on disk: one JSON file, replaced whole.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{CompareError, earlier::kind_of};
use crate::{
    compare::{Sample, baseline::Baseline},
    output::{PhaseName, T0},
    sink::file,
    time::Wall,
};

const VERSION: u32 = 1;
/// 500 groups of 50 starts with 19 phases each have about 15 MiB, and 96 values of 2000 measures 4 MiB.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct BaselineJson {
    version: u32,
    starts: Vec<StartJson>,
    /// Files of earlier versions have none.
    #[serde(default)]
    usual: Vec<UsualJson>,
}

#[derive(Serialize, Deserialize)]
struct UsualJson {
    /// When it was learned last, nanoseconds since the epoch.
    last: i64,
    what: String,
    who: String,
    values: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
struct StartJson {
    /// When its group last learned something, nanoseconds since the epoch.
    last: i64,
    t0: String,
    image: Option<String>,
    namespace: Option<String>,
    runtime: Option<String>,
    kind: String,
    total_ns: u64,
    phases_ns: Vec<(String, u64)>,
}

/// Reads a baseline; `None` when there is no such file: nothing was learned yet.
///
/// # Errors
/// [`CompareError`] says whether it could not be read, is damaged, or of another version.
pub fn load(path: &Path) -> Result<Option<Baseline>, CompareError> {
    let failed = |source| CompareError::Read { path: path.to_owned(), source };
    let damaged = |why| CompareError::Damaged { path: path.to_owned(), why };
    let input = match File::open(path) {
        Ok(input) => input,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    input.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(damaged("larger than any that was written".into()));
    }
    let json: BaselineJson = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if json.version != VERSION {
        return Err(CompareError::Version { path: path.to_owned(), found: json.version, known: VERSION });
    }
    let mut baseline = Baseline::default();
    for start in json.starts {
        let (time, sample) = start.into_sample().map_err(damaged)?;
        baseline.learn(time, sample);
    }
    for usual in json.usual {
        for value in &usual.values {
            baseline.usual.learn(Wall(usual.last), &usual.what, &usual.who, *value);
        }
    }
    Ok(Some(baseline))
}

/// Replaces the file whole; its folder must exist.
///
/// # Errors
/// [`CompareError::Write`].
pub fn save(path: &Path, baseline: &Baseline) -> Result<(), CompareError> {
    let starts = baseline.starts().map(|(last, sample)| StartJson::of(last, sample)).collect();
    let usual = baseline.usual.known().map(|(what, who, last, values)| UsualJson {
        last: last.0,
        what: what.to_owned(),
        who: who.to_owned(),
        values: values.iter().copied().collect(),
    });
    let json = BaselineJson { version: VERSION, starts, usual: usual.collect() };
    file::replace(path, |out| serde_json::to_writer(out, &json).map_err(io::Error::from))
        .map_err(|source| CompareError::Write { path: path.to_owned(), source })
}

impl StartJson {
    fn of(last: Wall, sample: &Sample) -> StartJson {
        StartJson {
            last: last.0,
            t0: sample.t0.name().into(),
            image: sample.image.clone(),
            namespace: sample.namespace.clone(),
            runtime: sample.runtime.clone(),
            kind: sample.kind.name().into(),
            total_ns: sample.total_ns,
            phases_ns: sample.phases.iter().map(|(name, ns)| (name.name().into(), *ns)).collect(),
        }
    }

    fn into_sample(self) -> Result<(Wall, Sample), String> {
        let t0 = T0::ALL.iter().find(|t0| t0.name() == self.t0);
        let phase = |(name, ns): (String, u64)| {
            let known = PhaseName::ALL.iter().find(|known| known.name() == name);
            known.map(|known| (*known, ns)).ok_or_else(|| format!("unknown phase {name:?}"))
        };
        let sample = Sample {
            t0: *t0.ok_or_else(|| format!("unknown t0 {:?}", self.t0))?,
            image: self.image,
            namespace: self.namespace,
            runtime: self.runtime,
            kind: kind_of(Some(&self.kind)),
            total_ns: self.total_ns,
            phases: self.phases_ns.into_iter().map(phase).collect::<Result<_, _>>()?,
            failed: false,
        };
        Ok((Wall(self.last), sample))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::output::Kind;

    fn learned() -> Baseline {
        let mut baseline = Baseline::default();
        for n in 1..4 {
            let sample = Sample {
                t0: T0::Cri,
                image: Some("app".into()),
                namespace: None,
                runtime: Some("youki".into()),
                kind: Kind::Wasm,
                total_ns: n,
                phases: vec![(PhaseName::WasmLoad, n)],
                failed: false,
            };
            baseline.learn(Wall(n as i64), sample);
            baseline.usual.learn(Wall(n as i64), "cpu.used_percent", "app", n as f64 / 4.0);
        }
        baseline
    }

    #[test]
    fn what_is_saved_is_loaded_and_nobody_elses_business() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        assert_eq!(load(&path).unwrap(), None);
        save(&path, &Baseline::default()).unwrap();
        save(&path, &learned()).unwrap();
        assert_eq!(load(&path).unwrap(), Some(learned()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_file_of_an_earlier_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        let start = r#"{"last":1,"t0":"cri","image":"app","kind":"oci","total_ns":1,"phases_ns":[]}"#;
        std::fs::write(&path, format!("{{\"version\":1,\"starts\":[{start}]}}")).unwrap();
        assert_eq!(load(&path).unwrap().unwrap().samples().len(), 1);
    }

    #[test]
    fn a_damaged_file_is_a_clear_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            load(&path).unwrap_err().to_string()
        };
        assert!(error("{\"version\":1,\"sta").contains("is damaged"));
        assert!(error("{\"version\":2,\"starts\":[]}").contains("has format 2, this observer reads 1"));
        let start = r#"{"last":1,"t0":"dawn","kind":"oci","total_ns":1,"phases_ns":[]}"#;
        let unknown = error(&format!("{{\"version\":1,\"starts\":[{start}]}}"));
        assert!(unknown.contains("unknown t0 \"dawn\"") && unknown.contains("remove it"), "{unknown}");
    }
}
