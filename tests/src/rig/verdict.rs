//! What the observer concludes: findings about what a test has broken, none about its healthy twin.

use std::{fs, io::Write as _, path::PathBuf, process::Command};

use observer::rules::catalogue::Entry;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Stage,
    run::Run,
    watch::{Seen, observer},
};

/// An observer whose rules have little patience: without a warm-up, and where evidence must be spread over a time,
/// over two seconds. Counts, grades and exclusions are those of the matrix.
pub struct Verdicts {
    pub run: Run,
    case: String,
    _catalogue: TempDir,
}

/// Where the matrix is written.
fn catalogue() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../observer/catalogue"))
}

/// Entries of the matrix in a hurry, as a folder for `--catalogue`.
///
/// # Panics
/// An entry cannot be read.
pub fn hurried(wanted: impl Fn(&str) -> bool) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let listing = fs::read_dir(catalogue()).expect("the catalogue");
    for path in listing.map(|item| item.expect("an entry").path()) {
        let is_entry = path.extension().is_some_and(|extension| extension == "toml")
            && path.file_stem().is_some_and(|stem| stem != "keywords");
        if is_entry {
            let text = fs::read_to_string(&path).expect("an entry");
            let entry: Entry =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if !wanted(&entry.id) {
                continue;
            }
            let text = toml::to_string(&entry.hurried()).expect("an entry can be written");
            fs::write(folder.path().join(path.file_name().expect("a name")), text).expect("a file");
        }
    }
    folder
}

impl Verdicts {
    /// Returns once whatever starts from now on is followed from its start. With `OBSERVER_KEEP_CASES=DIR` what it
    /// sees is recorded there, under the name of the case.
    ///
    /// # Panics
    /// The observer cannot be run.
    pub fn begin(stage: &Stage, case: &str, options: &[&str]) -> Verdicts {
        Verdicts::begin_of(stage, case, &[], options)
    }

    /// The same for a case that shows causes of these other entries, too.
    ///
    /// # Panics
    /// The observer cannot be run.
    pub fn begin_of(stage: &Stage, case: &str, others: &[&str], options: &[&str]) -> Verdicts {
        let (catalogue, words) = Verdicts::words(case, others);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(options.iter().copied()).collect();
        Verdicts { run: Run::begin(stage, &words), case: case.to_owned(), _catalogue: catalogue }
    }

    /// The same by a command that runs what it is given. Returns once it is attached.
    ///
    /// # Panics
    /// The observer cannot be run.
    pub fn begin_by(mut command: Command, case: &str, options: &[&str]) -> Verdicts {
        let (catalogue, words) = Verdicts::words(case, &[]);
        command.arg(observer()).args(["run", "--socket", "off"]).args(words).args(options);
        Verdicts { run: Run::by(command), case: case.to_owned(), _catalogue: catalogue }
    }

    fn words(case: &str, others: &[&str]) -> (TempDir, Vec<String>) {
        let kept = std::env::var_os("OBSERVER_KEEP_CASES")
            .map(|folder| PathBuf::from(folder).join(format!("{case}.rec")).display().to_string());
        // A recording holds the entries that were given: of one that is kept only its own.
        let catalogue = hurried(|id| kept.is_none() || case.starts_with(id) || others.contains(&id));
        let folder = catalogue.path().to_str().expect("a path").to_owned();
        let record = kept.map_or_else(Vec::new, |path| vec!["--record".to_owned(), path]);
        let words = [vec!["--catalogue".to_owned(), folder], record].concat();
        (catalogue, words)
    }

    /// The finding of this entry about this container, told already or awaited.
    ///
    /// # Panics
    /// None comes.
    pub fn awaits(&self, row: &str, id: &str) -> Value {
        self.run.wait_for(&format!("{row} of {id}"), |object| {
            object["type"] == "finding" && object["id"] == row && is_about(object, id)
        })
    }

    /// # Panics
    /// The observer does not end, or has lost something.
    pub fn end(self) -> Seen {
        let mut seen = self.run.end();
        seen.nothing_was_lost();
        seen.case = Some(self.case);
        seen
    }
}

/// Whether an object is about this container, or, for what is in none, this object.
pub fn is_about(object: &Value, id: &str) -> bool {
    object["subject"]["container"]["id"] == id || object["subject"]["object"] == id
}

/// `row/cause grade` of all findings about a container, in the order in which they were opened.
pub fn findings(seen: &Seen, id: &str) -> Vec<String> {
    findings_where(seen, |finding| is_about(finding, id))
}

/// The same of all findings of which this holds.
pub fn findings_where(seen: &Seen, is: impl Fn(&Value) -> bool) -> Vec<String> {
    let opened = seen.of_type("finding").filter(|finding| finding["status"] == "open" && is(finding));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    opened
        .map(|finding| {
            format!("{}/{} {}", text(&finding["id"]), text(&finding["cause"]), text(&finding["grade"]))
        })
        .collect()
}

/// Nothing is concluded about a container, and nothing suspected.
///
/// # Panics
/// Something is.
pub fn quiet(seen: &Seen, id: &str) {
    assert_eq!(findings(seen, id), [""; 0], "about {id}");
    let suspected = seen.of_type("unproven").find(|unproven| is_about(unproven, id));
    assert!(suspected.is_none(), "about {id}: {suspected:#?}");
    if let Some(case) = &seen.case {
        note(&format!("- {case}"));
    }
}

/// For the table of causes at the end of a run of all tests, if anybody makes one.
fn note(line: &str) {
    let Some(path) = std::env::var_os("OBSERVER_TEST_VERDICTS") else { return };
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.expect("the file for verdicts");
}

/// Exactly this is concluded about a container; of every layer something is said.
///
/// # Panics
/// Something else is.
pub fn only<'a>(seen: &'a Seen, id: &str, expected: &str) -> &'a Value {
    assert_eq!(findings(seen, id), [expected], "about {id}");
    let of_it = |finding: &&Value| finding["status"] == "open" && is_about(finding, id);
    let finding = seen.of_type("finding").find(of_it).expect("counted above");
    for layer in ["L-4", "L-3", "L-2", "L-1", "L-0", "host"] {
        let checked = finding["checked"].as_array().expect("checks");
        assert!(checked.iter().any(|check| check["layer"] == layer), "nothing of {layer}: {finding:#}");
    }
    assert!(finding["evidence"].as_array().is_some_and(|evidence| !evidence.is_empty()), "{finding:#}");
    note(&format!("+ {}", expected.split(' ').next().unwrap_or_default()));
    finding
}
