//! A long ordinary day under the rules as they are shipped: what is said that nobody should be told. A page says it;
//! nothing here passes or fails by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    ordinary::{Day, Gone},
    rig::{run::Run, stage, watch::Seen},
};

/// What came of it.
pub struct Quiet {
    pub page: String,
    /// Whether nothing was said about what the day made.
    pub is_quiet: bool,
}

/// Makes ordinary work for so long, and gives what was said of it.
///
/// # Panics
/// The stage or the observer cannot be had.
pub fn for_so_long(long: Duration) -> Option<Quiet> {
    let stage = stage();
    let day = Day::begin("quiet", &stage)?;
    // Of what happens only what is asked for at the end is kept.
    let run = Run::attached(&["--show", "findings,unproven,coldstart"]);
    let began = Instant::now();
    let (mut gone, mut failed, mut rounds, mut told) = (Vec::new(), Vec::new(), 0, 0);
    while began.elapsed() < long {
        if catch_unwind(AssertUnwindSafe(|| day.round(rounds, &mut gone))).is_err() {
            failed.push(rounds);
        }
        rounds += 1;
        let output = run.said();
        let said: Vec<Value> = output.lines().filter_map(said).collect();
        for object in &said[told..] {
            eprintln!("quiet: {}: {}", named(object), example(object));
        }
        told = said.len();
        eprintln!(
            "quiet: {rounds} rounds, {} of {} s, {told} said",
            began.elapsed().as_secs(),
            long.as_secs()
        );
    }
    let took = began.elapsed();
    let seen = run.end();
    Some(written(&seen, stage.id(), &gone, (rounds, &failed), took))
}

/// A line of output, if it says that something is wrong.
fn said(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok().filter(is_said)
}

fn is_said(object: &Value) -> bool {
    object["type"] == "finding" || object["type"] == "unproven"
}

fn named(object: &Value) -> String {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    format!("{} {}/{} {}", text("type"), text("id"), text("cause"), text("grade"))
}

fn example(object: &Value) -> String {
    let first = object["evidence"][0]["text"].as_str().or(object["seen"][0]["text"].as_str());
    format!("{}: {}", object["subject"], first.unwrap_or_default())
}

fn written(
    seen: &Seen,
    stage: &str,
    gone: &[Gone],
    (rounds, failed): (usize, &[usize]),
    took: Duration,
) -> Quiet {
    let ours: BTreeSet<&str> = gone
        .iter()
        .map(|gone| match gone {
            Gone::Id(name) | Gone::Name(name) => name.as_str(),
        })
        .collect();
    let is_ours = |object: &Value| {
        let subject = &object["subject"];
        let names = [&subject["container"]["id"], &subject["container"]["name"]];
        names.iter().any(|name| name.as_str().is_some_and(|name| ours.contains(name) || name.ends_with(stage)))
            // What is no container is the node's, or an image's.
            || subject["container"].is_null()
    };
    let said = seen.objects.iter().filter(|object| is_said(object));
    let mut counts: BTreeMap<(bool, String), (usize, String)> = BTreeMap::new();
    for object in said.filter(|object| object["status"] != "resolved") {
        counts.entry((is_ours(object), named(object))).or_insert_with(|| (0, example(object))).0 += 1;
    }
    let is_quiet = !counts.keys().any(|(ours, _)| *ours);
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut page = format!(
        "{} containers in {rounds} rounds of ordinary work, {} min on Linux {kernel}; {} starts told, {} records lost.\n",
        gone.len(),
        took.as_secs() / 60,
        seen.of_type("coldstart").count(),
        seen.lost(),
    );
    if !failed.is_empty() {
        page.push_str(&format!("Rounds of which something went wrong by itself: {failed:?}\n"));
    }
    if is_quiet {
        page.push_str("Nothing was found, and nothing suspected.\n");
    }
    for ((ours, what), (count, example)) in counts {
        let whose = if ours { "SAID" } else { "about others on this node" };
        page.push_str(&format!("{whose}: {what} (x{count}), first {example}\n"));
    }
    Quiet { page, is_quiet }
}
