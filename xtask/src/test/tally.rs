//! What passed, failed and was skipped, over all stages.

/// The sum of everything, with a reason for whatever did not run or did not pass.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skips: Vec<String>,
    pub failures: Vec<String>,
    /// What failed at first and passed when it was run again.
    pub again: Vec<String>,
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
        for again in &self.again {
            text += &format!("AGAIN   {again}\n");
        }
        for skip in &self.skips {
            text += &format!("SKIPPED {skip}\n");
        }
        text += &format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skips.len());
        if !self.again.is_empty() {
            text += &format!(", {} passed only when run again", self.again.len());
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_sum_and_every_skip_has_its_reason() {
        let mut tally = Tally { passed: 3, ..Tally::default() };
        tally.one("fmt", Ok(()));
        tally.one("clippy", Err(anyhow::anyhow!("a warning")));
        tally.skip("live: not root".to_owned());
        tally.again.push("live: late".to_owned());
        let closing = tally.closing();
        assert_eq!(
            closing.lines().collect::<Vec<_>>(),
            [
                "FAILED  clippy: a warning",
                "AGAIN   live: late",
                "SKIPPED live: not root",
                "4 passed, 1 failed, 1 skipped, 1 passed only when run again"
            ]
        );
    }
}
