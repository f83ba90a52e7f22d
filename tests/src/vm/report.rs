//! The lines the host reads. Each begins with `vm:` and says one thing; text that a case prints for people
//! begins with `vm|`. Nothing else that reaches the console is taken for a result.

use std::fmt::Write as _;

#[derive(Default)]
pub struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    pub fn ready(&self, release: &str) {
        println!("vm: ready: {release}");
    }

    /// Runs one case; what it returns is printed for people, its error is the reason of the failure.
    pub fn case(&mut self, name: &str, case: impl FnOnce() -> anyhow::Result<String>) {
        match case() {
            Ok(said) => {
                for line in said.lines() {
                    println!("vm| {name}: {}", printable(line));
                }
                println!("vm: {name}: ok");
                self.passed += 1;
            }
            Err(error) => self.failed(name, &format!("{error:#}")),
        }
    }

    pub fn failed(&mut self, name: &str, why: &str) {
        println!("vm: {name}: failed: {}", printable(why));
        self.failed += 1;
    }

    pub fn finish(&self) {
        println!("vm: {} passed, {} failed", self.passed, self.failed);
    }
}

/// One line without control characters: a container's output must not be able to forge a result.
fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut line, c| {
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
        line
    })
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn text_cannot_begin_a_line_of_its_own() {
        assert_eq!(printable("a\nvm: forged: ok\x1b[0m"), "a\\nvm: forged: ok\\u{1b}[0m");
    }
}
