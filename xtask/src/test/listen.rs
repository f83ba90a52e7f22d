//! What a test runner says, line by line: `cargo nextest run` or `cargo test`.

use std::collections::BTreeMap;

/// Of a test's reason to fail, the last lines repeat so many characters.
const LONGEST: usize = 300;

/// The sum of what was heard, and why what failed did.
#[derive(Debug, Default)]
pub struct Heard {
    pub counts: Counts,
    /// What failed in its last run, with the place and the first line of its panic.
    pub failed: BTreeMap<String, String>,
    /// What failed at first and passed when it was run again.
    pub flaky: BTreeMap<String, String>,
    /// nextest speaks: what looks like a verdict of `cargo test` is the output of a test binary of its own.
    is_nextest: bool,
    /// Whose output follows.
    current: Option<String>,
    /// Where it panicked: the message is on the next line.
    place: Option<String>,
}

impl Heard {
    pub fn line(&mut self, line: &str) {
        self.is_nextest |= of_nextest(line.trim_start()).is_some();
        if self.is_nextest && is_of_cargo_test(line) {
            return;
        }
        if let Some(counts) = counts(line) {
            self.counts.add(counts);
        } else if let Some(place) = self.place.take() {
            self.because(&format!("{place} {}", line.trim()));
        } else if let Some((_, place)) = line.split_once("panicked at ") {
            self.place = Some(place.to_owned());
        } else if let Some(name) = flaky(line) {
            let why = self.failed.remove(name).unwrap_or_default();
            self.flaky.insert(name.to_owned(), why);
        } else if let Some(name) = failed(line) {
            self.failed.entry(name.to_owned()).or_default();
            self.current = Some(name.to_owned());
        }
    }

    /// A test's first panic is its reason; what its threads and its end add is not.
    fn because(&mut self, why: &str) {
        let Some(reason) = self.current.as_ref().and_then(|name| self.failed.get_mut(name)) else { return };
        if reason.is_empty() {
            *reason = why.chars().take(LONGEST).collect();
        }
    }
}

/// What one test binary, or nextest, said at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub ignored: usize,
}

impl Counts {
    fn add(&mut self, more: Counts) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.ignored += more.ignored;
    }
}

/// Reads a closing line; `None` for any other line.
fn counts(line: &str) -> Option<Counts> {
    let line = line.trim_start();
    let list = match line.strip_prefix("test result: ") {
        Some(result) => result.split_once(". ")?.1,
        None => line.strip_prefix("Summary [").and_then(|rest| rest.split_once("run: "))?.1,
    };
    let mut counts = Counts::default();
    for part in list.split([',', ';']) {
        let mut words = part.split_whitespace();
        let (Some(Ok(number)), Some(word)) = (words.next().map(str::parse::<usize>), words.next()) else {
            continue;
        };
        match word {
            "passed" => counts.passed += number,
            "failed" | "timed" | "exec" => counts.failed += number,
            "ignored" | "skipped" => counts.ignored += number,
            _ => {}
        }
    }
    Some(counts)
}

/// The test that a line says has failed, or whose output it begins.
fn failed(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(name) = failed_in_cargo_test(line) {
        return Some(name);
    }
    let (verdict, name) = of_nextest(line)?;
    let verdict = verdict.split_whitespace().last()?;
    (verdict.starts_with("FAIL") || verdict.starts_with("SIG") || matches!(verdict, "TIMEOUT" | "ABORT"))
        .then_some(name)
}

fn failed_in_cargo_test(line: &str) -> Option<&str> {
    let verdict = || line.strip_prefix("test ")?.strip_suffix(" ... FAILED");
    let heading = || line.strip_prefix("---- ")?.strip_suffix(" stdout ----");
    verdict().or_else(heading)
}

/// Whether a line is a verdict of `cargo test`.
fn is_of_cargo_test(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("test result: ") || failed_in_cargo_test(line).is_some()
}

fn flaky(line: &str) -> Option<&str> {
    let (verdict, name) = of_nextest(line.trim_start())?;
    verdict.starts_with("FLAKY").then_some(name)
}

/// `VERDICT [ 1.234s] ( 1/20) NAME`, with or without the second bracket: verdict and name.
fn of_nextest(line: &str) -> Option<(&str, &str)> {
    let (verdict, rest) = line.split_once(" [")?;
    let (time, rest) = rest.split_once("] ")?;
    time.trim().strip_suffix('s')?.parse::<f64>().ok()?;
    let name = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(") ")?.1,
        None => rest,
    };
    (!verdict.is_empty() && !name.is_empty()).then_some((verdict, name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Heard {
        let mut heard = Heard::default();
        text.lines().for_each(|line| heard.line(line));
        heard
    }

    #[test]
    fn closing_lines_of_both_runners() {
        let cargo = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counts(cargo), Some(Counts { passed: 5, failed: 2, ignored: 1 }));
        let nextest =
            "     Summary [   0.012s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 3 skipped";
        assert_eq!(counts(nextest), Some(Counts { passed: 6, failed: 3, ignored: 3 }));
        assert_eq!(counts("running 3 tests"), None);
        assert_eq!(counts("test tests::it ... ok"), None);
    }

    #[test]
    fn what_nextest_says_of_a_failure() {
        let heard = heard(
            "        PASS [   0.020s] (1/3) all::good it_is\n\
             TRY 1 FAIL [  10.879s] (2/3) all::bad it_is_not\n  stdout ───\n\
             \n    running 1 test\n    test it_is_not ... FAILED\n\
             \n    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out; finished in 9.90s\n\
             \n  stderr ───\n\
             \n    thread 'it_is_not' (99) panicked at tests/bad.rs:7:5:\n    one is two\n\
             \n    thread 'other' (98) panicked at tests/bad.rs:9:5:\n    later\n\
             TRY 2 FAIL [  10.879s] (2/3) all::bad it_is_not\n\
             TRY 1 SIGABRT [   0.1s] (3/3) all::bad at_times\n\
             \n    thread 'at_times' (99) panicked at tests/bad.rs:8:5:\n    late\n\
             TRY 2 PASS [   0.1s] (3/3) all::bad at_times\n\
             Summary [   0.012s] 3 tests run: 2 passed (1 flaky), 1 failed, 0 skipped\n\
             FLAKY 2/2 [   0.1s] (3/3) all::bad at_times\n\
             TRY 2 FAIL [  10.879s] (2/3) all::bad it_is_not\n",
        );
        let of = |name: &str, why: &str| BTreeMap::from([(name.to_owned(), why.to_owned())]);
        assert_eq!(heard.failed, of("all::bad it_is_not", "tests/bad.rs:7:5: one is two"));
        assert_eq!(heard.flaky, of("all::bad at_times", "tests/bad.rs:8:5: late"));
        assert_eq!(heard.counts, Counts { passed: 2, failed: 1, ignored: 0 });
    }

    #[test]
    fn what_cargo_test_says_of_a_failure() {
        let heard = heard(
            "test one ... ok\ntest two ... FAILED\n\nfailures:\n\n---- two stdout ----\n\
             thread 'two' (1) panicked at src/lib.rs:3:1:\nno\n\n\nfailures:\n    two\n\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s\n",
        );
        assert_eq!(heard.failed, BTreeMap::from([("two".to_owned(), "src/lib.rs:3:1: no".to_owned())]));
        assert_eq!(heard.counts, Counts { passed: 1, failed: 1, ignored: 0 });
    }
}
