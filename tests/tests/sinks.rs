//! What people and programs read: golden outputs of the table and of the JSON lines (UPDATE_EXPECT=1 rewrites
//! them), and what must hold whatever comes in.

use std::{fs, io, io::Write};

use expect_test::{ExpectFile, expect_file};
use observer::{
    compare::{Sample, Samples},
    output::{ColdStart, Output, PhaseName},
    sink::{
        GroupBy, Identity, JsonSink, Sink, TableSink,
        compare::{Report, read},
        is_broken_pipe,
        table::{Options, Waterfall},
    },
};
use observer_tests::{check, starts};
use serde_json::Value;

fn run(sink: &mut dyn Sink, outputs: &[Output], report: Option<&Report>) {
    outputs.iter().for_each(|output| sink.output(output).unwrap());
    report.iter().for_each(|report| sink.comparison(report).unwrap());
    sink.finish().unwrap();
}

fn table_with(options: Options, outputs: &[Output], report: Option<&Report>) -> String {
    let mut out = Vec::new();
    run(&mut TableSink::new(&mut out, options), outputs, report);
    String::from_utf8(out).unwrap()
}

fn table(options: Options, outputs: &[Output]) -> String {
    table_with(options, outputs, None)
}

fn json(outputs: &[Output], report: Option<&Report>) -> String {
    let identity = Identity { node: Some("node-1".into()), host: "host-1".into() };
    let mut out = Vec::new();
    run(&mut JsonSink::new(&mut out, identity), outputs, report);
    String::from_utf8(out).unwrap()
}

fn cold_start(start: ColdStart) -> Output {
    Output::ColdStart(Box::new(start))
}

fn check_table(text: &str, width: usize, golden: &ExpectFile) {
    check::table(text, width);
    golden.assert_eq(text);
}

#[test]
fn table_at_80_columns() {
    check_table(&table(Options::default(), &starts::outputs()), 80, &expect_file!["golden/table-80.txt"]);
}

#[test]
fn table_at_140_columns_by_runtime_with_all_waterfalls() {
    // Two of one runtime: its phases get percentiles.
    let mut outputs = starts::outputs();
    let mut again = starts::crun_hello();
    again.time = starts::at(160);
    outputs.insert(1, cold_start(again));
    let options =
        Options { width: 140, waterfall: Waterfall::All, group_by: GroupBy::Runtime, ..Options::default() };
    check_table(&table(options, &outputs), 140, &expect_file!["golden/table-140.txt"]);
}

#[test]
fn nothing_seen_says_what_was_watched_and_what_was_not() {
    let outputs = [Output::Health(starts::health()), Output::Summary(starts::summary(0, 0))];
    check_table(&table(Options::default(), &outputs), 80, &expect_file!["golden/table-nothing.txt"]);
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plain = table(Options::default(), &starts::outputs());
    let coloured = table(Options { color: true, ..Options::default() }, &starts::outputs());
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        stripped.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_ne!(plain, coloured);
    assert_eq!(trimmed(&plain), trimmed(&stripped));
}

#[test]
fn no_waterfall_means_none() {
    let outputs = [cold_start(starts::crun_hello())];
    let bars = |waterfall| table(Options { waterfall, ..Options::default() }, &outputs).matches('│').count();
    assert_eq!([bars(Waterfall::None), bars(Waterfall::Slowest), bars(Waterfall::All)], [0, 16, 16]);
}

#[test]
fn json_lines() {
    let text = json(&starts::outputs(), None);
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["coldstart", "coldstart", "coldstart", "coldstart", "coldstart", "health", "summary"]);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    expect_file!["golden/all.jsonl"].assert_eq(&text);
}

#[test]
fn json_phases_and_the_unattributed_add_up_to_the_total() {
    for line in json(&starts::outputs(), None).lines().take(5) {
        let start: Value = serde_json::from_str(line).unwrap();
        let phases = start["phases"].as_array().unwrap().iter();
        let sum: f64 = phases.map(|phase| phase["duration_ms"].as_f64().unwrap()).sum();
        let sum = sum + start["unattributed_ms"].as_f64().unwrap();
        let total = start["total_ms"].as_f64().unwrap();
        assert!((sum - total).abs() < 1e-6, "{sum} is not {total}");
    }
}

#[test]
fn the_summary_is_the_last_line_whatever_comes_after_it() {
    let outputs = [Output::Summary(starts::summary(1, 0)), cold_start(starts::crun_hello())];
    assert!(json(&outputs, None).lines().last().unwrap().starts_with("{\"type\":\"summary\""));
}

/// An earlier run in which the root file system was ready sooner, as its own output.
fn earlier_and_now() -> (tempfile::TempDir, Report) {
    let runs = |rootfs_us: u64| -> Vec<Output> {
        let run = |n: u64| {
            let mut start = starts::crun_hello();
            let rootfs = start.phases.iter_mut().find(|phase| phase.name == PhaseName::Rootfs).unwrap();
            let more = (rootfs_us + 10 * n) * 1000;
            rootfs.duration_ns += more;
            start.total_ns += more;
            cold_start(start)
        };
        (0..4).map(run).chain([cold_start(starts::cri_pod()), cold_start(starts::enoexec())]).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("before.jsonl");
    fs::write(&path, json(&runs(0), None) + "{\"type\":\"coldst").unwrap();
    let mut after = Samples::default();
    for output in runs(25_000) {
        let Output::ColdStart(start) = output else { unreachable!("only starts were made") };
        after.add(Sample::of(&start));
    }
    (folder, Report::new("before.jsonl".into(), &read(&path).unwrap(), &after))
}

#[test]
fn what_moved_against_an_earlier_output() {
    let (_folder, report) = earlier_and_now();
    let options = Options { waterfall: Waterfall::None, ..Options::default() };
    let outputs = [Output::Summary(starts::summary(6, 1))];
    let text = table_with(options, &outputs, Some(&report));
    check_table(&text, 80, &expect_file!["golden/table-compared.txt"]);
    expect_file!["golden/compared.jsonl"].assert_eq(&json(&outputs, Some(&report)));
}

#[test]
fn a_start_is_read_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.jsonl");
    fs::write(&path, json(&starts::outputs(), None)).unwrap();
    let earlier = read(&path).unwrap();
    let samples: Vec<Sample> = starts::all().iter().map(Sample::of).collect();
    assert_eq!((earlier.samples.kept(), earlier.broken_lines), (&samples[..], 0));
}

#[test]
fn memory_is_bounded_and_the_slowest_are_still_right() {
    let mut out = Vec::new();
    let options = Options { waterfall: Waterfall::Slowest, ..Options::default() };
    let mut sink = TableSink::new(&mut out, options);
    let mut start = starts::crun_hello();
    for n in 0..Samples::LIMIT as u64 + 2 {
        start.total_ns = 17_000_000 + n;
        sink.output(&cold_start(start.clone())).unwrap();
    }
    start.total_ns = 99_000_000;
    start.container.name = Some("the-very-last".into());
    sink.output(&cold_start(start)).unwrap();
    sink.finish().unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("the-very-last  99.00 ms"), "the slowest came after the bound");
    assert!(text.contains("only the first 10000 starts are in this table, 3 came later"));
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_left_is_known_as_such() {
    let start = cold_start(starts::crun_hello());
    let table = TableSink::new(Closed, Options::default()).output(&start).unwrap_err();
    let json = JsonSink::new(Closed, Identity::default()).output(&start).unwrap_err();
    assert!(is_broken_pipe(&table) && is_broken_pipe(&json));
    assert!(!is_broken_pipe(&io::ErrorKind::StorageFull.into()));
}
