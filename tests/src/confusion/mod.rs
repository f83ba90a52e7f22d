//! Faults made two or three at a time, in random order, each in a container of its own and beside one that is well:
//! which of them is taken for what. A page says it; nothing here passes or fails by itself.

mod faults;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use serde_json::Value;

use self::faults::{DROPPED, FAULTS, Fault, NOBODY, Place, REJECTED, healthy, image_of, subject_of_webhook};
use crate::rig::{
    dns::Names,
    stage,
    verdict::{Verdicts, findings_where, is_about},
    wasmedge::WasmEdge,
    watch::Seen,
    webhook::Certificate,
};

/// What was to be said of a subject, and what was.
struct Case {
    expected: Option<&'static str>,
    subjects: Vec<String>,
}

/// Makes each fault so many times and gives the page.
///
/// # Panics
/// The stage or the observer cannot be had; the observer has lost something.
pub fn page(times: usize, seed: u64) -> String {
    let stage = stage();
    let names = Names::new(&stage);
    names.filter_to(DROPPED, "drop");
    names.filter_to(REJECTED, "reject");
    let certificate = Certificate::new(&stage, "own");
    // Only calls of those that are named are seen.
    let cases = times * FAULTS.len();
    let named: Vec<String> = (0..cases)
        .map(|number| format!("127.0.0.1:{},timeout=2s,name=hook-{number}", usize::from(NOBODY) + number))
        .collect();
    let hooks: Vec<&str> = named.iter().flat_map(|named| ["--webhook", named]).collect();
    let verdicts = Verdicts::begin(&stage, "confusion", &hooks);
    let wasmedge = WasmEdge::build(&stage);
    let place = Place { stage: &stage, run: &verdicts.run, certificate, wasmedge };
    let mut random = Random(seed | 1);
    let mut deck: Vec<(usize, &Fault)> = (0..times).flat_map(|_| FAULTS).enumerate().collect();
    random.shuffle(&mut deck);
    let (mut all, mut round) = (Vec::new(), 0);
    while !deck.is_empty() {
        let together = deck.split_off(deck.len().saturating_sub(2 + random.below(2)));
        eprintln!("confusion: {} to go; now {}", deck.len(), expected(&together));
        let well = format!("well-{round}");
        round += 1;
        thread::scope(|scope| {
            scope.spawn(|| made(|| healthy(&place, &well)));
            for (number, fault) in &together {
                let place = &place;
                scope.spawn(move || made(|| (fault.make)(place, &format!("case-{number}"))));
            }
        });
        let id = |name: &str| format!("{name}-{}", stage.id());
        all.push(Case { expected: None, subjects: vec![id(&well)] });
        all.extend(together.into_iter().map(|(number, fault)| {
            let port = u16::try_from(number).map_or(0, |number| NOBODY + number);
            let name = format!("case-{number}");
            let subjects =
                vec![id(&name), image_of(&name), subject_of_webhook(port), format!("hook-{number}")];
            Case { expected: Some(fault.expected), subjects }
        }));
    }
    let seen = verdicts.end();
    all.extend(strays(&all, &seen, stage.id()));
    written(&all, &seen, times, seed)
}

/// What fails to be made, or of which nothing is said, shows as that: the others go on.
fn made(fault: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(fault));
}

fn expected(together: &[(usize, &Fault)]) -> String {
    together.iter().map(|(_, fault)| fault.expected).collect::<Vec<_>>().join(", ")
}

/// By what was made: how often, how often exactly that was said, how often nothing, and what else was.
#[derive(Default)]
struct Row {
    made: usize,
    right: usize,
    nothing: usize,
    wrong: BTreeMap<String, usize>,
}

/// What is found about any of these subjects, and what is suspected.
fn concluded(seen: &Seen, subjects: &[String]) -> Vec<String> {
    let is = |object: &Value| subjects.iter().any(|subject| is_about(object, subject));
    let mut said = findings_where(seen, is);
    let suspected = seen.of_type("unproven").filter(|unproven| is(unproven));
    said.extend(
        suspected.map(|unproven| format!("{} unproven", unproven["id"].as_str().unwrap_or_default())),
    );
    said
}

/// Subjects of the stage that nothing was done to, and of which something is concluded all the same.
fn strays(all: &[Case], seen: &Seen, stage: &str) -> Vec<Case> {
    let ids = seen.of_type("finding").filter_map(|finding| finding["subject"]["container"]["id"].as_str());
    let is_known = |id: &&str| all.iter().any(|case| case.subjects.iter().any(|subject| subject == id));
    let mut strays: Vec<&str> = ids.filter(|id| id.ends_with(stage) && !is_known(id)).collect();
    strays.sort_unstable();
    strays.dedup();
    strays.into_iter().map(|id| Case { expected: None, subjects: vec![id.to_owned()] }).collect()
}

fn written(all: &[Case], seen: &Seen, times: usize, seed: u64) -> String {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for case in all {
        let said = concluded(seen, &case.subjects);
        let row = rows.entry(case.expected.unwrap_or("nothing: it is well")).or_default();
        row.made += 1;
        let expected: Vec<&str> = case.expected.into_iter().collect();
        if said == expected {
            row.right += 1;
        } else if said.is_empty() {
            row.nothing += 1;
        }
        for other in said.into_iter().filter(|said| Some(said.as_str()) != case.expected) {
            *row.wrong.entry(other).or_default() += 1;
        }
    }
    let sum = |of: fn(&Row) -> usize| rows.values().map(of).sum::<usize>();
    let (made, right) = (sum(|row| row.made), sum(|row| row.right));
    let wrong = sum(|row| row.wrong.values().sum());
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut page = format!(
        "# What is taken for what\n\n\
         Written by `cargo xtask confusion --times {times} --seed {seed}` on Linux {kernel}.\n\n\
         Real faults, two or three at a time in random order, each in a container of its own (webhooks: on a port of\n\
         their own) and each time beside a container that is well, on one node and watched by one observer in a hurry\n\
         (no warm-up, and evidence over two seconds where the matrix asks for more). Right is: this row, this cause, this\n\
         grade, about this container, and nothing else about it.\n\n\
         {made} made: {right} right, {} of which nothing was said, {wrong} findings that are wrong.\n\n\
         | made | times | right | nothing said | said besides, or instead |\n| --- | ---: | ---: | ---: | --- |\n",
        sum(|row| row.nothing)
    );
    for (expected, row) in &rows {
        let wrong: Vec<String> = row.wrong.iter().map(|(what, count)| format!("{what} ({count})")).collect();
        // Writing to a text does not fail.
        let _ = writeln!(
            page,
            "| {expected} | {} | {} | {} | {} |",
            row.made,
            row.right,
            row.nothing,
            wrong.join(", ")
        );
    }
    page
}

/// Xorshift: as random as an order has to be.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % bound
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let other = self.below(last + 1);
            all.swap(last, other);
        }
    }
}
