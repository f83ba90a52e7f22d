//! Which causes of the matrix are tested, and by what: recordings of the catalogue, and what live tests of this run have
//! seen concluded. Owns the file that those tests write it to, and the table at the end.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use crate::paths;

/// Where live tests say what was concluded, one line each: `+ ROW/CAUSE` for what had to be, `- CASE` for a subject of
/// which nothing was to be concluded. Tests find it in `OBSERVER_TEST_VERDICTS`.
pub(super) fn file() -> PathBuf {
    paths::target().join("test-verdicts")
}

/// A cause that the node detects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tested {
    row: String,
    cause: String,
    /// Recordings that show it, and those of its row that only look like it.
    recorded: (usize, usize),
    /// The same of subjects of live tests.
    live: (usize, usize),
}

/// The table; `replayed` is whether recordings were replayed in this run, and all gave what they should.
pub(super) fn table(replayed: Option<bool>) -> Result<String> {
    let folder = paths::repo().join("observer/catalogue");
    let mut tested = Vec::new();
    let listing = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files = listing.map(|item| Ok(item?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        tested.extend(causes(&text.parse().with_context(|| path.display().to_string())?));
    }
    let said = fs::read_to_string(file()).ok();
    count(&mut tested, said.as_deref().unwrap_or_default());
    Ok(lines(&tested, said.is_some(), replayed))
}

/// Of one entry; of what is none there are none.
fn causes(entry: &Table) -> Vec<Tested> {
    let text = |of: &Table, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |key: &str| -> Vec<&Table> {
        entry.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table).collect()
    };
    let cases = list("case");
    let by_node = |cause: &&Table| {
        let own = text(cause, "detect");
        let detect = if own.is_empty() { text(entry, "detect") } else { own };
        detect == "node"
    };
    let tested = |cause: &Table| {
        let id = text(cause, "id");
        let shows = |case: &&&Table| text(case, "cause") == id && text(case, "expect") != "none";
        let looks_like = |case: &&&Table| {
            text(case, "expect") == "none" && [String::new(), id.clone()].contains(&text(case, "cause"))
        };
        let recorded = (cases.iter().filter(shows).count(), cases.iter().filter(looks_like).count());
        Tested { row: text(entry, "id"), cause: id.clone(), recorded, ..Tested::default() }
    };
    list("cause").into_iter().filter(by_node).map(tested).collect()
}

/// What live tests have said. The name of a case begins with its row: the longest that fits.
fn count(tested: &mut [Tested], said: &str) {
    let mut quiet: BTreeMap<String, usize> = BTreeMap::new();
    for line in said.lines() {
        match line.split_once(' ') {
            Some(("+", of)) => {
                let of = tested.iter_mut().filter(|one| of == format!("{}/{}", one.row, one.cause));
                of.for_each(|one| one.live.0 += 1);
            }
            Some(("-", case)) => {
                let rows = tested.iter().map(|one| &one.row).filter(|row| case.starts_with(row.as_str()));
                if let Some(row) = rows.max_by_key(|row| row.len()) {
                    *quiet.entry(row.clone()).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    for one in tested {
        one.live.1 = quiet.get(&one.row).copied().unwrap_or_default();
    }
}

fn lines(tested: &[Tested], with_live: bool, replayed: Option<bool>) -> String {
    let name = |one: &Tested| format!("{}/{}", one.row, one.cause);
    let width = tested.iter().map(|one| name(one).len()).max().unwrap_or_default();
    let replayed = match replayed {
        None => "-",
        Some(true) => "yes",
        Some(false) => "FAILED",
    };
    let number = |number: usize, is_known: bool| if is_known { number.to_string() } else { "-".to_owned() };
    let mut text = format!("{:width$} recorded +   -   live +   -   replayed\n", "cause of the matrix");
    for one in tested {
        let (live, quiet) = (number(one.live.0, with_live), number(one.live.1, with_live));
        let (shown, alike) = one.recorded;
        let replayed = if shown + alike == 0 { "none" } else { replayed };
        text += &format!("{:width$} {shown:>10} {alike:>3} {live:>8} {quiet:>3}   {replayed}\n", name(one));
    }
    let untested = tested.iter().filter(|one| one.recorded.0 + one.live.0 == 0).count();
    text + &format!(
        "{} causes, {untested} of them shown by nothing; -: of live tests, or replays, none ran\n",
        tested.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"
        id = "dns"
        detect = "node"
        [[cause]]
        id = "down"
        [[cause]]
        id = "far"
        detect = "not-yet"
        [[cause]]
        id = "slow"
        [[case]]
        cause = "down"
        replay = "a.rec"
        expect = "proved"
        [[case]]
        cause = "slow"
        replay = "b.rec"
        expect = "none"
        [[case]]
        replay = "c.rec"
        expect = "none"
    "#;

    #[test]
    fn each_cause_that_the_node_detects_is_counted() {
        let mut tested = causes(&ENTRY.parse().unwrap());
        tested.extend(causes(&ENTRY.replace("\"dns\"", "\"dns-slow\"").parse().unwrap()));
        count(&mut tested, "+ dns/down\n+ dns/down\n+ dns/far\n- dns-slow-not\n- dns-not\n- other\n");
        let of = |one: &Tested| (one.row.clone(), one.cause.clone(), one.recorded, one.live);
        let expected = [
            ("dns", "down", (1, 1), (2, 1)),
            ("dns", "slow", (0, 2), (0, 1)),
            ("dns-slow", "down", (1, 1), (0, 1)),
            ("dns-slow", "slow", (0, 2), (0, 1)),
        ];
        let expected =
            expected.map(|(row, cause, recorded, live)| (row.to_owned(), cause.to_owned(), recorded, live));
        assert_eq!(tested.iter().map(of).collect::<Vec<_>>(), expected);
        let text = lines(&tested, true, Some(true));
        assert!(
            text.ends_with("4 causes, 2 of them shown by nothing; -: of live tests, or replays, none ran\n"),
            "{text}"
        );
        assert!(lines(&tested, false, None).contains(" -   -\n"));
    }
}
