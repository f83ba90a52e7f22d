//! What people and programs read of events and counts: golden outputs (UPDATE_EXPECT=1 rewrites them), and
//! which of them need nobody to ask.

use expect_test::{ExpectFile, expect_file};
use observer::{
    output::{Output, StdioOutcome, What},
    pipeline::{Show, needs_attention},
    sink::{GroupBy, HtmlSink, Identity, JsonSink, Sink, TableSink, table::Options},
};
use observer_tests::{check, events, starts};
use serde_json::Value;

fn table(options: Options, outputs: &[Output]) -> String {
    let mut out = Vec::new();
    let mut sink = TableSink::new(&mut out, options);
    outputs.iter().for_each(|output| sink.output(output).unwrap());
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

fn json(outputs: &[Output]) -> String {
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out, Identity { node: Some("node-1".into()), host: "host-1".into() });
    outputs.iter().for_each(|output| sink.output(output).unwrap());
    sink.finish().unwrap();
    drop(sink);
    String::from_utf8(out).unwrap()
}

fn check_table(text: &str, width: usize, golden: &ExpectFile) {
    check::table(text, width);
    golden.assert_eq(text);
}

#[test]
fn table_at_80_columns() {
    let text = table(Options::default(), &events::outputs());
    check_table(&text, 80, &expect_file!["golden/events-80.txt"]);
}

#[test]
fn wide_enough_an_event_is_one_line() {
    let text = table(Options { width: 240, ..Options::default() }, &events::outputs());
    check_table(&text, 240, &expect_file!["golden/events-240.txt"]);
    let lines = text.lines().take_while(|line| !line.is_empty()).count();
    let told = events::outputs().len() - 2;
    assert_eq!(lines, told + 1, "a line each, below the names of the columns");
}

#[test]
fn what_needs_attention_is_told_in_brief() {
    let failed = Output::ColdStart(Box::new(starts::enoexec()));
    let fine = Output::ColdStart(Box::new(starts::crun_hello()));
    let all: Vec<Output> = [fine, failed].into_iter().chain(events::outputs()).collect();
    let shown: Vec<Output> = all.into_iter().filter(needs_attention).collect();
    let options = Options { width: 140, brief: true, all_probes: false, ..Options::default() };
    check_table(&table(options, &shown), 140, &expect_file!["golden/attention-140.txt"]);
    for output in &shown {
        let Output::Event(event) = output else { continue };
        if let What::Stdio(stdio) = &event.what {
            use StdioOutcome::{Delivered, Silent, Unknown};
            assert!(!matches!(stdio.outcome, Delivered | Unknown | Silent), "{stdio:?} is no news");
        }
    }
}

#[test]
fn json_lines() {
    let text = json(&events::outputs());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    expect_file!["golden/events.jsonl"].assert_eq(&text);
    for line in text.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        if object["type"] == "event" {
            let is_of_one = object["container"]["id"].is_string() || object["process"]["pid"].is_number();
            let is_of_device = object["probe"] == "io" && object["device"].is_string();
            assert!((is_of_one || is_of_device) && object["probe"].is_string(), "{line}");
            assert!(["start", "attach"].contains(&object["since"].as_str().unwrap()), "{line}");
        }
    }
}

#[test]
fn a_list_shows_what_is_on_it_and_the_summary() {
    let kinds = |list: &str| -> Vec<String> {
        let show: Show = list.parse().unwrap();
        let all = starts::outputs().into_iter().chain(events::outputs());
        let shown: Vec<Output> = all.filter(|output| show.takes(output)).collect();
        let mut kinds: Vec<String> = json(&shown)
            .lines()
            .map(|line| {
                let object: Value = serde_json::from_str(line).unwrap();
                object["probe"]
                    .as_str()
                    .filter(|_| object["type"] == "event")
                    .map_or_else(|| object["type"].as_str().unwrap().to_owned(), ToOwned::to_owned)
            })
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds
    };
    assert_eq!(
        kinds("events"),
        ["cpu", "dns", "exec", "io", "memory", "net", "runtime", "stdio", "summary", "webhook"]
    );
    assert_eq!(kinds("stats"), ["stats", "summary"]);
    assert_eq!(kinds("coldstart,memory,health"), ["coldstart", "health", "memory", "summary"]);
}

#[test]
fn a_page_is_about_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    let page = |outputs: &[Output]| {
        let mut sink = HtmlSink::create(&path, Identity::default(), GroupBy::Image).unwrap();
        outputs.iter().for_each(|output| sink.output(output).unwrap());
        sink.finish().unwrap();
        std::fs::read_to_string(&path).unwrap()
    };
    let ending: Vec<Output> = events::outputs()
        .into_iter()
        .filter(|output| matches!(output, Output::Summary(_) | Output::Health(_)))
        .collect();
    assert_eq!(page(&events::outputs()), page(&ending));
}
