//! What the lines on a machine's console mean.

/// One line of the console, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Pid 1 made the system: the kernel's release.
    Ready(&'a str),
    Passed(&'a str),
    Failed {
        case: &'a str,
        why: &'a str,
    },
    /// The last line of a machine that came to its end.
    Finished {
        passed: usize,
        failed: usize,
    },
    /// What a case says to people.
    Said(&'a str),
    /// The kernel is lost and waiting is of no use.
    Fatal(&'a str),
    Other(&'a str),
}

/// What the kernel prints when nothing good will follow.
const FATAL: [&str; 4] =
    ["Kernel panic - not syncing", "soft lockup - CPU#", "BUG: unable to handle", "Internal error: Oops"];

pub fn parse(line: &str) -> Line<'_> {
    if let Some(said) = line.strip_prefix("vm| ") {
        return Line::Said(said);
    }
    if let Some(result) = line.strip_prefix("vm: ").and_then(parse_result) {
        return result;
    }
    if FATAL.iter().any(|mark| line.contains(mark)) { Line::Fatal(line) } else { Line::Other(line) }
}

fn parse_result(text: &str) -> Option<Line<'_>> {
    if let Some((passed, failed)) = text.strip_suffix(" failed").and_then(|text| text.split_once(" passed, "))
    {
        return Some(Line::Finished { passed: passed.parse().ok()?, failed: failed.parse().ok()? });
    }
    let (name, rest) = text.split_once(": ")?;
    if name == "ready" {
        return Some(Line::Ready(rest));
    }
    if rest == "ok" {
        return Some(Line::Passed(name));
    }
    rest.strip_prefix("failed: ").map(|why| Line::Failed { case: name, why })
}

#[cfg(test)]
mod tests {
    use super::{Line, parse};

    #[test]
    fn results_are_told_from_everything_else() {
        let cases = [
            ("vm: ready: 6.1.0-56-cloud-amd64", Line::Ready("6.1.0-56-cloud-amd64")),
            ("vm: replay: ok", Line::Passed("replay")),
            ("vm: replay: failed: a: b", Line::Failed { case: "replay", why: "a: b" }),
            ("vm: 3 passed, 1 failed", Line::Finished { passed: 3, failed: 1 }),
            ("vm| doctor: exec by raw tracepoint", Line::Said("doctor: exec by raw tracepoint")),
            ("vm| doctor: Kernel panic - not syncing", Line::Said("doctor: Kernel panic - not syncing")),
            ("[  1.0] Kernel panic - not syncing: x", Line::Fatal("[  1.0] Kernel panic - not syncing: x")),
            ("vm: replay", Line::Other("vm: replay")),
            ("  vm: replay: ok", Line::Other("  vm: replay: ok")),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected, "{line}");
        }
    }
}
