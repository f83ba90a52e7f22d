//! Nothing on disk is believed: cut, damaged, foreign, newer.

use std::{fs, fs::File, io::Write, path::Path};

use super::{create, header, read, recorded, samples};
use crate::{
    input::Input,
    record::{
        Damage, Ended, Item, Limits, RecordError, RecordingReader, RecordingWriter, SegmentReader,
        format::{self, MAX_FRAME},
    },
    time::Time,
};

/// What a stream yields before it ends, and where it ends.
fn stream(bytes: &[u8]) -> (Vec<Item>, u64) {
    let mut reader = SegmentReader::new(bytes);
    let items = std::iter::from_fn(|| reader.next_item()).collect();
    (items, reader.at_byte())
}

fn with_file<T>(bytes: &[u8], check: impl FnOnce(&Path) -> T) -> T {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    check(file.path())
}

#[test]
fn every_variant_survives() {
    let inputs = samples::all();
    let bytes = recorded(&inputs);
    let (again, report) = with_file(&bytes, read);
    assert_eq!(again, inputs);
    assert_eq!(report.ended, Some(Ended::Complete));
    assert_eq!((report.inputs, report.damages.len()), (inputs.len() as u64, 0));
    with_file(&bytes, |path| {
        let reader = RecordingReader::open(path).unwrap();
        assert_eq!(reader.header().header, header());
        assert_eq!((reader.header().number, reader.header().begins), (0, Time(1)));
    });
}

#[test]
fn a_cut_anywhere_replays_up_to_the_cut() {
    let inputs = samples::all();
    let bytes = recorded(&inputs);
    let mut most = 0;
    for cut in 0..bytes.len() {
        with_file(&bytes[..cut], |path| match RecordingReader::open(path) {
            Ok(mut reader) => {
                let again: Vec<Input> = reader.by_ref().collect();
                assert!(inputs.starts_with(&again), "cut at {cut}");
                let Some(Ended::Cut { at_byte }) = reader.report().ended else {
                    panic!("cut at {cut}: {:?}", reader.report())
                };
                assert!(at_byte <= cut as u64);
                most = most.max(again.len());
            }
            Err(RecordError::Empty(_)) => assert_eq!(cut, 0),
            Err(RecordError::HeaderCut { at_byte, .. }) => assert_eq!(at_byte, cut as u64),
            Err(other) => panic!("cut at {cut}: {other}"),
        });
    }
    assert_eq!(most, inputs.len());
}

#[test]
fn a_flipped_bit_anywhere_yields_no_wrong_input() {
    let bytes = recorded(&samples::all());
    let (items, _) = stream(&bytes);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let (again, ended) = stream(&damaged);
        assert!(again.len() < items.len() && items.starts_with(&again), "flipped at {at}");
        assert!(ended <= at as u64, "flipped at {at}, noticed only at {ended}");
    }
}

#[test]
fn damage_is_reported_with_its_place() {
    let inputs = samples::all();
    let mut bytes = recorded(&inputs);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let (again, report) = with_file(&bytes, read);
    assert_eq!(again, inputs);
    let Some(Ended::Damaged { at_byte, why }) = report.ended else { panic!("{report:?}") };
    assert_eq!(at_byte, (bytes.len() - store_end_len()) as u64);
    assert_eq!(why, "a checksum does not match");
}

fn store_end_len() -> usize {
    crate::record::store::end_frame().len()
}

#[test]
fn unknown_frames_are_passed_over_and_counted() {
    let mut bytes = recorded(&samples::all()[..3]);
    let before_end = bytes.len() - store_end_len();
    let mut foreign = Vec::new();
    format::push_frame(&mut foreign, 200, &"from the future", MAX_FRAME).unwrap();
    // A known kind with a payload of a later version.
    format::push_frame(&mut foreign, format::kind::INPUT, &"Teleported", MAX_FRAME).unwrap();
    bytes.splice(before_end..before_end, foreign);
    let (again, report) = with_file(&bytes, read);
    assert_eq!(again, samples::all()[..3]);
    assert_eq!((report.unknown_frames, report.undecoded_frames), (1, 1));
    assert!(report.first_undecoded.unwrap().contains("Teleported"));
    assert_eq!(report.ended, Some(Ended::Complete));
}

#[test]
fn what_is_no_recording_is_a_clear_error() {
    let open = |bytes: &[u8]| with_file(bytes, |path| RecordingReader::open(path).err().unwrap());
    assert!(matches!(open(b""), RecordError::Empty(_)));
    assert!(matches!(open(b"\x7fELF garbage"), RecordError::NotARecording(_)));
    assert!(matches!(open(b"\x89PNG\r\n\x1a\n"), RecordError::NotARecording(_)));
    assert!(matches!(open(b"\x89OBS"), RecordError::HeaderCut { at_byte: 4, .. }));
    let newer = open(b"\x89OBSREC\n\x02\x00anything");
    assert!(matches!(newer, RecordError::Version { found: 2, .. }));
    assert!(newer.to_string().contains("format 2"), "{newer}");
    // A header frame that promises 4 GiB.
    let huge = open(b"\x89OBSREC\n\x01\x00\x01\xff\xff\xff\xff\0\0\0\0");
    assert!(matches!(huge, RecordError::HeaderDamaged { .. }), "{huge}");
}

#[test]
fn pipes_devices_and_empty_directories_are_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let open = |path: &Path| RecordingReader::open(path).err().unwrap();
    assert!(matches!(open(directory.path()), RecordError::NoSegments(_)));
    assert!(matches!(open(Path::new("/dev/zero")), RecordError::NotRegular(_)));
    assert!(matches!(open(&directory.path().join("none")), RecordError::Io { .. }));
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(open(&fifo), RecordError::NotRegular(_)));
    // Named like a segment it is no segment either.
    fs::rename(&fifo, directory.path().join("segment-000001.obsrec")).unwrap();
    assert!(matches!(open(directory.path()), RecordError::NoSegments(_)));
    let begun = RecordingWriter::create(Path::new("/dev/null"), header(), Time(1), Limits::default());
    assert!(matches!(begun.err(), Some(RecordError::NotRegular(_))));
}

#[test]
fn a_damaged_segment_costs_only_its_rest() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = create(directory.path());
    let ticks = |from: u64| (from..from + 3).map(|time| Input::Tick(Time(time)));
    ticks(10).for_each(|tick| writer.write(&tick));
    // What began at 12 is lost with the damaged end of the first segment, and comes back.
    writer.begin_segment(Time(13), &[Input::Tick(Time(11)), Input::Tick(Time(12))]);
    ticks(20).for_each(|tick| writer.write(&tick));
    // This checkpoint only repeats.
    writer.begin_segment(Time(23), &[Input::Tick(Time(12)), Input::Tick(Time(22))]);
    ticks(30).for_each(|tick| writer.write(&tick));
    assert_eq!(writer.finish().unwrap().segments, 3);

    let times = |inputs: &[Input]| inputs.iter().map(|input| input.time().0).collect::<Vec<_>>();
    let (whole, report) = read(directory.path());
    assert_eq!(times(&whole), [10, 11, 12, 20, 21, 22, 30, 31, 32]);
    assert_eq!((report.segments, report.ended), (3, Some(Ended::Complete)));

    let first = directory.path().join("segment-000001.obsrec");
    let bytes = fs::read(&first).unwrap();
    // Into the last input, before the frame that ends the segment.
    let at = bytes.len() - store_end_len() - 1;
    File::options().write(true).open(&first).unwrap().set_len(at as u64).unwrap();
    let (inputs, report) = read(directory.path());
    assert_eq!(times(&inputs), [10, 11, 12, 20, 21, 22, 30, 31, 32]);
    assert_eq!(report.ended, Some(Ended::Complete));
    assert!(matches!(&report.damages[..], [Damage { path, ended: Ended::Cut { .. } }] if *path == first));

    // A segment's own file can be read, too: its checkpoint then counts.
    let (inputs, report) = read(&directory.path().join("segment-000003.obsrec"));
    assert_eq!(times(&inputs), [12, 22, 30, 31, 32]);
    assert_eq!(report.ended, Some(Ended::Complete));

    // One that is gone is counted as missing.
    fs::remove_file(directory.path().join("segment-000002.obsrec")).unwrap();
    let (_, report) = read(directory.path());
    assert_eq!((report.missing_segments, report.segments), (1, 2));
}
