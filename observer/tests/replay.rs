//! Recordings of real starts and lives replay to the output that was printed when they were made, without root.
//! `UPDATE_EXPECT=1` rewrites what is expected.

use std::{fs, path::PathBuf, process::Command};

use expect_test::expect_file;

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/starts")
}

/// All recordings that are kept.
fn recordings() -> Vec<PathBuf> {
    let folders = [fixtures(), fixtures().join("../runs")];
    let files =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rec")).collect()
}

fn replay(path: &PathBuf, more: &[&str]) -> (String, String, Option<i32>) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_observer")).arg("replay").arg(path).args(more).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn recordings_replay_as_they_were_printed() {
    for path in recordings() {
        let (json, complaints, code) = replay(&path, &["-o", "json"]);
        assert_eq!((complaints.as_str(), code), ("", Some(0)), "{}", path.display());
        expect_file![path.with_extension("json")].assert_eq(&json);
        let (table, ..) = replay(&path, &[]);
        expect_file![path.with_extension("txt")].assert_eq(&table);
    }
    let seen = recordings().len();
    assert!(seen >= 6, "only {seen} recordings in {}", fixtures().display());
}

#[test]
fn what_a_replay_shows_can_be_chosen_anew() {
    let lives = fixtures().join("../runs/lives.rec");
    let kinds = |show: &str| {
        let (json, ..) = replay(&lives, &["-o", "json", "--show", show]);
        let kind = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].clone();
        let mut kinds: Vec<serde_json::Value> = json.lines().map(kind).collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds("runtime"), ["event", "summary"]);
    assert_eq!(kinds("stats,health"), ["stats", "health", "summary"]);
    assert_eq!(replay(&lives, &["--show", "nothing-such"]).2, Some(2));
}

#[test]
fn phases_do_not_overlap_and_add_up() {
    for path in recordings() {
        let (json, ..) = replay(&path, &["-o", "json"]);
        for line in json.lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            if object["type"] == "coldstart" {
                add_up(&object);
            }
        }
    }
}

fn add_up(start: &serde_json::Value) {
    const ROUNDING_MS: f64 = 1e-4;
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let mut end = 0.0;
    let mut told = 0.0;
    for phase in start["phases"].as_array().unwrap() {
        assert!(number(&phase["start_ms"]) >= end - ROUNDING_MS, "{phase} begins before {end}");
        end = number(&phase["start_ms"]) + number(&phase["duration_ms"]);
        told += number(&phase["duration_ms"]);
    }
    let total = number(&start["total_ms"]);
    assert!(end <= total + ROUNDING_MS, "{end} is after {total}");
    assert!((told + number(&start["unattributed_ms"]) - total).abs() < ROUNDING_MS, "{start}");
}

#[test]
fn a_cut_recording_replays_up_to_the_cut_and_says_so() {
    let whole = fs::read(fixtures().join("crun.rec")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.rec");
    for end in [whole.len() - 1, whole.len() / 2] {
        fs::write(&path, &whole[..end]).unwrap();
        let (json, complaints, code) = replay(&path, &["-o", "json"]);
        assert_eq!(code, Some(0), "{complaints}");
        assert!(complaints.contains("is cut at byte"), "{complaints}");
        assert!(json.lines().last().is_some_and(|line| line.contains(r#""type":"summary""#)), "{json}");
    }
}

#[test]
fn a_damaged_recording_says_so_and_that_less_was_read() {
    let mut bytes = fs::read(fixtures().join("crun.rec")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xff);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.rec");
    fs::write(&path, &bytes).unwrap();
    let (json, complaints, code) = replay(&path, &["-o", "json"]);
    assert!(complaints.contains("is damaged at byte"), "{complaints}");
    assert_eq!(code, Some(3), "{complaints}");
    assert!(json.lines().last().is_some_and(|line| line.contains(r#""type":"summary""#)), "{json}");
}

#[test]
fn what_is_no_recording_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("garbage");
    for bytes in [&b""[..], b"hello", &[0xff; 4096]] {
        fs::write(&path, bytes).unwrap();
        let (json, complaints, code) = replay(&path, &[]);
        assert_eq!((json.as_str(), code), ("", Some(1)));
        assert!(complaints.starts_with("observer: "), "{complaints}");
    }
    let (_, complaints, code) = replay(&folder.path().join("nothing"), &[]);
    assert_eq!(code, Some(1));
    assert!(complaints.contains("nothing"), "{complaints}");
}

#[test]
fn a_filter_that_matches_nothing_is_told_by_the_exit_code() {
    let (json, _, code) = replay(&fixtures().join("crun.rec"), &["-o", "json", "-n", "no-such-namespace"]);
    assert_eq!(code, Some(4));
    assert!(!json.contains(r#""type":"coldstart""#), "{json}");
}
