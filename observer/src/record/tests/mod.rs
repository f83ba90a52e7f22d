//! Recordings are made by the real writer, in real files.

mod damage;
mod last;
mod samples;
mod writing;

use std::{fs, path::Path};

use super::{Header, Limits, ReadReport, RecordingReader, RecordingWriter};
use crate::{input::Input, time::Time};

fn header() -> Header {
    Header {
        observer_version: "0.1.0".into(),
        command: "coldstart".into(),
        host: "h".into(),
        offsets: [("task_struct.pid".to_owned(), Some(1234)), ("cgroup.gone".to_owned(), None)].into(),
        ..Header::default()
    }
}

fn create(path: &Path) -> RecordingWriter {
    RecordingWriter::create(path, header(), Time(1), Limits::default()).unwrap()
}

/// One finished file with these inputs, as bytes.
fn recorded(inputs: &[Input]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.rec");
    let mut writer = create(&path);
    inputs.iter().for_each(|input| writer.write(input));
    let stats = writer.finish().unwrap();
    assert_eq!((stats.inputs, stats.lost, stats.complete), (inputs.len() as u64, 0, true));
    fs::read(&path).unwrap()
}

fn read(path: &Path) -> (Vec<Input>, ReadReport) {
    let mut reader = RecordingReader::open(path).unwrap();
    let inputs = reader.by_ref().collect();
    (inputs, reader.report().clone())
}
