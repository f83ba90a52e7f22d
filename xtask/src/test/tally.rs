//! What passed, failed and was skipped, over all stages; and what test runners print about it.

/// The sum of everything, with a reason for whatever did not run or did not pass.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skips: Vec<String>,
    pub failures: Vec<String>,
}

impl Tally {
    /// A check that is one thing.
    pub fn one(&mut self, what: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => self.fail(format!("{what}: {error:#}")),
        }
    }

    pub fn fail(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    pub fn skip(&mut self, what: String) {
        self.skips.push(what);
    }

    /// The last lines: what did not pass, what did not run, and the sum.
    pub fn closing(&self) -> String {
        let mut text = String::new();
        for failure in &self.failures {
            text += &format!("FAILED  {failure}\n");
        }
        for skip in &self.skips {
            text += &format!("SKIPPED {skip}\n");
        }
        text + &format!("{} passed, {} failed, {} skipped\n", self.passed, self.failed, self.skips.len())
    }
}

/// What one test binary, or nextest, said at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub ignored: usize,
}

/// Reads a closing line of `cargo test` or of `cargo nextest run`; `None` for any other line.
pub fn counts(line: &str) -> Option<Counts> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_understood() {
        let cargo = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counts(cargo), Some(Counts { passed: 5, failed: 2, ignored: 1 }));
        let nextest =
            "     Summary [   0.012s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 3 skipped";
        assert_eq!(counts(nextest), Some(Counts { passed: 6, failed: 3, ignored: 3 }));
        assert_eq!(counts("running 3 tests"), None);
        assert_eq!(counts("test tests::it ... ok"), None);
    }

    #[test]
    fn the_last_line_is_the_sum_and_every_skip_has_its_reason() {
        let mut tally = Tally { passed: 3, ..Tally::default() };
        tally.one("fmt", Ok(()));
        tally.one("clippy", Err(anyhow::anyhow!("a warning")));
        tally.skip("live: not root".to_owned());
        let closing = tally.closing();
        assert_eq!(
            closing.lines().collect::<Vec<_>>(),
            ["FAILED  clippy: a warning", "SKIPPED live: not root", "4 passed, 1 failed, 1 skipped"]
        );
    }
}
