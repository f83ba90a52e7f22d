//! Reads back the output of an earlier run, leniently: other objects and unknown fields are passed over,
//! lines that make no sense are counted.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde::Deserialize;

use super::CompareError;
use crate::{
    compare::{Sample, Samples, sums},
    output::{Kind, PhaseName, T0},
};

/// Longer lines are broken ones: a start with a hundred phases has 40 KiB.
const MAX_LINE: u64 = 1 << 20;
/// Milliseconds beyond a year are nobody's start.
const MAX_MS: f64 = 3.2e10;

/// The starts to compare with.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    pub samples: Samples,
    pub broken_lines: u64,
}

/// Reads the `coldstart` lines of an earlier `-o json` output.
///
/// # Errors
/// [`CompareError::Read`] when the file cannot be read, [`CompareError::NoStarts`] when it holds none.
pub fn read(path: &Path) -> Result<Earlier, CompareError> {
    let failed = |source| CompareError::Read { path: path.to_owned(), source };
    let mut input = BufReader::new(File::open(path).map_err(failed)?);
    let mut earlier = Earlier::default();
    let mut lines = 0;
    let mut line = Vec::new();
    while let Some(whole) = next_line(&mut input, &mut line).map_err(failed)? {
        lines += 1;
        match whole.then(|| parse(&line)) {
            Some(Ok(Some(sample))) => earlier.samples.add(sample),
            Some(Ok(None)) => {}
            Some(Err(_)) | None => earlier.broken_lines += 1,
        }
    }
    if earlier.samples.kept().is_empty() {
        return Err(CompareError::NoStarts { path: path.to_owned(), lines, broken: earlier.broken_lines });
    }
    Ok(earlier)
}

/// Reads a line into `line`: `None` at the end, `Some(false)` if it was too long to be kept.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    if input.by_ref().take(MAX_LINE).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
        return Ok(Some(false));
    }
    Ok(Some(true))
}

#[derive(Deserialize)]
struct Line {
    r#type: String,
}

#[derive(Deserialize)]
struct StartLine {
    #[serde(default)]
    container: ContainerPart,
    t0: String,
    total_ms: f64,
    #[serde(default)]
    phases: Vec<PhasePart>,
    #[serde(default)]
    failure: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct ContainerPart {
    image: Option<String>,
    namespace: Option<String>,
    runtime: Option<String>,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct PhasePart {
    name: String,
    duration_ms: f64,
}

/// `Ok(None)`: another object, or an empty line.
fn parse(line: &[u8]) -> Result<Option<Sample>, Broken> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let kind: Line = serde_json::from_slice(line)?;
    if kind.r#type != "coldstart" {
        return Ok(None);
    }
    let start: StartLine = serde_json::from_slice(line)?;
    let t0 = T0::ALL.iter().find(|t0| t0.name() == start.t0).ok_or(Broken)?;
    let total_ns = ns(start.total_ms)?;
    let mut known = Vec::with_capacity(start.phases.len() + 1);
    for phase in &start.phases {
        // A name that this version does not know is time that it cannot attribute.
        if let Some(name) = PhaseName::ALL.iter().find(|name| name.name() == phase.name) {
            known.push((*name, ns(phase.duration_ms)?));
        }
    }
    let attributed = known.iter().fold(0_u64, |sum, (_, ns)| sum.saturating_add(*ns));
    known.push((PhaseName::Unattributed, total_ns.saturating_sub(attributed)));
    Ok(Some(Sample {
        t0: *t0,
        image: start.container.image,
        namespace: start.container.namespace,
        runtime: start.container.runtime,
        kind: kind_of(start.container.kind.as_deref()),
        total_ns,
        phases: sums(known),
        failed: start.failure.is_some(),
    }))
}

pub(super) fn kind_of(name: Option<&str>) -> Kind {
    let kinds = [Kind::Oci, Kind::Wasm, Kind::Sandbox];
    kinds.into_iter().find(|kind| Some(kind.name()) == name).unwrap_or_default()
}

struct Broken;

impl From<serde_json::Error> for Broken {
    fn from(_: serde_json::Error) -> Self {
        Broken
    }
}

fn ns(ms: f64) -> Result<u64, Broken> {
    if (0.0..MAX_MS).contains(&ms) { Ok((ms * 1e6).round() as u64) } else { Err(Broken) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read_text(text: &[u8]) -> Result<Earlier, CompareError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        read(file.path())
    }

    #[test]
    fn starts_are_read_and_the_rest_is_passed_over_or_counted() {
        let earlier = read_text(
            br#"{"type":"health","probes":[]}

{"type":"coldstart","t0":"runtime","total_ms":12.345678,"container":{"image":"app","kind":"wasm","new":1},"phases":[{"name":"exec","duration_ms":2.0},{"name":"exec","duration_ms":1.5},{"name":"later-invention","duration_ms":3}],"unattributed_ms":5.845678,"failure":null}
{"type":"coldstart","t0":"runtime","total_ms":-1}
{"type":"coldstart","t0":"runtime","total_ms":1e300}
{"type":"coldstart","t0":"unheard-of","total_ms":1}
{"type":"coldstart"}
not json
{"type":"coldstart","t0":"shim","total_ms":3,"failure":{"phase":"exec"}}
{"type":"coldstart","t0":"shi"#,
        )
        .unwrap();
        assert_eq!(earlier.broken_lines, 6);
        let [fine, failed] = earlier.samples.kept() else { panic!("two starts") };
        assert_eq!((fine.total_ns, fine.kind, fine.image.as_deref()), (12_345_678, Kind::Wasm, Some("app")));
        assert_eq!(fine.phases, [(PhaseName::Exec, 3_500_000), (PhaseName::Unattributed, 8_845_678)]);
        assert!(failed.failed && !fine.failed);
    }

    #[test]
    fn a_line_without_end_is_one_broken_line() {
        let mut text = vec![b'x'; 3 * MAX_LINE as usize];
        text.extend_from_slice(b"\n{\"type\":\"coldstart\",\"t0\":\"shim\",\"total_ms\":3}\n");
        let earlier = read_text(&text).unwrap();
        assert_eq!((earlier.broken_lines, earlier.samples.kept().len()), (1, 1));
    }

    #[test]
    fn a_file_without_starts_says_so() {
        let error = read_text(b"hello\n{\"type\":\"summary\"}\n").unwrap_err().to_string();
        assert!(error.contains("holds no cold starts (2 lines, 1 of them broken)"), "{error}");
        let error = read(Path::new("/nonexistent/earlier.jsonl")).unwrap_err().to_string();
        assert!(error.contains("cannot read /nonexistent/earlier.jsonl: No such file"), "{error}");
    }
}
