//! Whether an entry says all that it has to, beyond what its types and the grammar of conditions ask for.

use crate::{
    cli::SCENARIOS,
    layer::Layer,
    rules::{
        Problem,
        catalogue::{Case, Cause, Detect, Entry, Expect, Grade, Period},
        grammar::unknown,
    },
};

/// What kinds of mending there are.
pub(super) const FIX_TYPES: [&str; 9] =
    ["configuration", "upgrade", "install", "restart", "scale", "network", "permission", "code", "replace"];

/// All that an entry lacks, or has too much of.
pub(super) fn lacks(entry: &Entry) -> Vec<Problem> {
    let mut lacks = Lacks { entry, cause: None, found: Vec::new() };
    lacks.known("fix type", &entry.fix_type, &FIX_TYPES);
    for scenario in &entry.scenarios {
        lacks.known("scenario", scenario, &SCENARIOS);
    }
    if entry.respond_within != "now" && Period::parse(&entry.respond_within).is_err() {
        lacks.say(&entry.respond_within, "respond_within is a time like 4h, or now".to_owned());
    }
    lacks.reason(entry.detect, entry.why_not.as_deref());
    for case in &entry.recorded {
        lacks.case(case);
    }
    for (at, cause) in entry.causes.iter().enumerate() {
        lacks.cause = Some(cause);
        if entry.causes[..at].iter().any(|other| other.id == cause.id) {
            lacks.say_of_cause("there is another cause of this id");
        }
        lacks.cause(cause);
    }
    lacks.found
}

struct Lacks<'a> {
    entry: &'a Entry,
    cause: Option<&'a Cause>,
    found: Vec<Problem>,
}

impl Lacks<'_> {
    fn say(&mut self, words: &str, why: String) {
        let cause = self.cause.map(|cause| cause.id.clone());
        self.found.push(Problem { entry: self.entry.id.clone(), cause, words: words.to_owned(), why });
    }

    fn say_of_cause(&mut self, why: &str) {
        let words = self.cause.map_or_else(|| "id = ".to_owned(), |cause| format!("id = {:?}", cause.id));
        self.say(&words, why.to_owned());
    }

    fn known(&mut self, what: &str, name: &str, known: &[&str]) {
        if !known.contains(&name) {
            self.say(&format!("{name:?}"), unknown(what, name, known.iter().copied()));
        }
    }

    /// What nothing finds says why; what is found needs no excuse.
    fn reason(&mut self, detect: Detect, why_not: Option<&str>) {
        match (detect, why_not) {
            (Detect::Node, Some(why)) => self.say(why, "it is detected, and says why not".to_owned()),
            (Detect::Node, None) | (_, Some(_)) => {}
            (_, None) => self.say("detect", "it is not detected, and `why_not` is missing".to_owned()),
        }
    }

    fn cause(&mut self, cause: &Cause) {
        self.known("layer", &cause.layer, &Layer::ALL.map(Layer::name));
        for scenario in &cause.scenarios {
            self.known("scenario", scenario, &SCENARIOS);
        }
        if let Some(fix_type) = &cause.fix_type {
            self.known("fix type", fix_type, &FIX_TYPES);
        }
        if let Some(detect) = cause.detect {
            self.reason(detect, cause.why_not.as_deref());
        }
        let has = |own: &Option<String>, entry: &Option<String>| own.is_some() || entry.is_some();
        if !has(&cause.remedy, &self.entry.remedy) || !has(&cause.remedy_zh, &self.entry.remedy_zh) {
            self.say_of_cause("it needs a remedy and a remedy_zh, or its entry does");
        }
        if !cause.is_found(self.entry) {
            return;
        }
        let shows = |case: &&Case| case.cause.as_ref() == Some(&cause.id) && is_told(case.expect);
        if !self.entry.recorded.iter().any(|case| shows(&case)) {
            self.say_of_cause("no [[case]] shows it: it needs a recording that it is told of");
        }
        let is_silent =
            |case: &Case| case.expect == Expect::None && case.cause.as_ref().is_none_or(|of| of == &cause.id);
        if !self.entry.recorded.iter().any(is_silent) {
            self.say_of_cause(
                "no [[case]] looks like it and is none: it needs a recording with `expect = \"none\"`",
            );
        }
    }

    fn case(&mut self, case: &Case) {
        let Some(id) = &case.cause else { return };
        let ids = || self.entry.causes.iter().map(|cause| cause.id.as_str());
        match self.entry.causes.iter().find(|cause| &cause.id == id) {
            None => {
                let why = unknown("cause", id, ids());
                self.say(&case.replay, why);
            }
            Some(cause) if case.expect == Expect::Proved && cause.grade == Grade::Likely => {
                self.say(&case.replay, format!("{id} is likely at best, and this expects it proved"));
            }
            Some(_) => {}
        }
    }
}

fn is_told(expect: Expect) -> bool {
    matches!(expect, Expect::Proved | Expect::Likely)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::catalogue::{File, parse};

    const WHOLE: &str = r#"
id = "a"
section = "1"
title = "A"
title_zh = "甲"
class = "runtime"
severity = "P1"
respond_within = "1h"
fix_type = "code"
detect = "node"
symptom = "A."
symptom_zh = "甲。"
verify = "a"

[[cause]]
id = "b"
title = "B"
title_zh = "乙"
layer = "L-3"
grade = "likely"
about = "node"
when = ["runtime.exit_count >= 3 over 60s"]
remedy = "c"
remedy_zh = "丙"

[[case]]
cause = "b"
replay = "b.rec"
expect = "likely"

[[case]]
replay = "not-b.rec"
expect = "none"
"#;

    fn said(text: &str) -> Vec<String> {
        let files = [File { name: "a.toml".to_owned(), text: text.to_owned() }];
        lacks(&parse(&files).unwrap()[0]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_whole_lacks_nothing() {
        assert_eq!(said(WHOLE), Vec::<String>::new());
    }

    #[test]
    fn each_lack_is_said() {
        for (from, to, says) in [
            ("fix_type = \"code\"", "fix_type = \"cods\"", "the nearest is \"code\""),
            ("detect = \"node\"", "detect = \"not-yet\"", "`why_not` is missing"),
            ("layer = \"L-3\"", "layer = \"L-9\"", "there is no layer"),
            ("remedy_zh = \"丙\"", "", "a remedy_zh"),
            ("expect = \"likely\"", "expect = \"proved\"", "likely at best"),
            ("expect = \"likely\"", "expect = \"none\"", "no [[case]] shows it"),
            ("expect = \"none\"", "expect = \"unproven\"", "looks like it and is none"),
            ("cause = \"b\"", "cause = \"c\"", "there is no cause"),
            ("\"1h\"", "\"soon\"", "respond_within"),
        ] {
            let text = WHOLE.replace(from, to);
            let said = said(&text);
            assert!(said.iter().any(|line| line.contains(says)), "{from} -> {to}: {said:?}");
        }
    }
}
