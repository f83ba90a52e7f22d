//! The last part of a recording.

use super::*;

const INPUTS: u64 = 4_000;

/// Ticks a second apart, in segments that are small.
fn recorded_into(path: &Path) {
    let limits = Limits { segment: 16 << 10, ..Limits::default() };
    let mut writer = RecordingWriter::create(path, header(), Time(0), limits).unwrap();
    for second in 0..INPUTS {
        let input = Input::Tick(Time(second * 1_000_000_000));
        if writer.needs_checkpoint() {
            writer.begin_segment(input.time(), []);
        }
        writer.write(&input);
    }
    assert_eq!(writer.finish().unwrap().lost, 0);
}

fn last(path: &Path, seconds: u64) -> (Time, Vec<Input>, ReadReport) {
    let (mut reader, from) = RecordingReader::open_last(path, seconds * 1_000_000_000).unwrap();
    let inputs = reader.by_ref().collect();
    (from, inputs, reader.report().clone())
}

#[test]
fn only_the_segments_that_are_needed_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segments/");
    recorded_into(&path);
    let (all, report) = read(&path);
    assert!(report.segments > 4 && all.len() as u64 == INPUTS, "{report:?}");
    let (from, inputs, report) = last(&path, 60);
    assert_eq!(from, Time((INPUTS - 61) * 1_000_000_000));
    assert!(inputs[0].time() <= from && inputs.len() < all.len() / 2, "{report:?}");
    assert_eq!(all[all.len() - inputs.len()..], inputs[..]);
    assert_eq!((report.damages.len(), report.missing_segments), (0, 0), "{report:?}");
}

#[test]
fn more_than_there_is_is_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["segments/", "file"] {
        let path = directory.path().join(name);
        recorded_into(&path);
        let (from, inputs, _) = last(&path, 10 * INPUTS);
        assert_eq!((from, inputs.len() as u64), (Time(0), INPUTS), "{name}");
    }
}
