//! Entries of the catalogue, and what checking them gave, as objects of their own: one a line.

use serde::Serialize;

use crate::rules::catalogue;

/// All about an entry.
pub fn entry(of: &catalogue::Entry) -> String {
    line(&Entry {
        r#type: "problem",
        id: &of.id,
        section: &of.section,
        title: &of.title,
        title_zh: &of.title_zh,
        class: of.class.name(),
        severity: of.severity.name(),
        respond_within: &of.respond_within,
        fix_type: &of.fix_type,
        expected_minutes: of.expected_minutes,
        slice: of.slice.as_deref(),
        components: &of.components,
        scenarios: &of.scenarios,
        symptoms: &of.symptoms,
        cases: &of.cases,
        detect: of.detect.name(),
        why_not: of.why_not.as_deref(),
        symptom: &of.symptom,
        symptom_zh: &of.symptom_zh,
        remedy: of.remedy.as_deref(),
        remedy_zh: of.remedy_zh.as_deref(),
        verify: &of.verify,
        causes: of.causes.iter().map(|cause| Cause::of(cause, of)).collect(),
    })
}

#[derive(Serialize)]
struct Entry<'a> {
    r#type: &'static str,
    id: &'a str,
    section: &'a str,
    title: &'a str,
    title_zh: &'a str,
    class: &'static str,
    severity: &'static str,
    respond_within: &'a str,
    fix_type: &'a str,
    expected_minutes: Option<u32>,
    slice: Option<&'a str>,
    components: &'a [String],
    scenarios: &'a [String],
    symptoms: &'a [String],
    cases: &'a [String],
    detect: &'static str,
    why_not: Option<&'a str>,
    symptom: &'a str,
    symptom_zh: &'a str,
    remedy: Option<&'a str>,
    remedy_zh: Option<&'a str>,
    verify: &'a str,
    causes: Vec<Cause<'a>>,
}

/// What a cause leaves to its entry is the entry's.
#[derive(Serialize)]
struct Cause<'a> {
    id: &'a str,
    title: &'a str,
    title_zh: &'a str,
    layer: &'a str,
    grade: &'static str,
    about: &'static str,
    detect: &'static str,
    why_not: Option<&'a str>,
    when: &'a [String],
    unless: &'a [String],
    scenarios: &'a [String],
    explained_by: &'a [String],
    severity: &'static str,
    fix_type: &'a str,
    remedy: Option<&'a str>,
    remedy_zh: Option<&'a str>,
    verify: &'a str,
}

impl<'a> Cause<'a> {
    fn of(cause: &'a catalogue::Cause, entry: &'a catalogue::Entry) -> Cause<'a> {
        Cause {
            id: &cause.id,
            title: &cause.title,
            title_zh: &cause.title_zh,
            layer: &cause.layer,
            grade: cause.grade.name(),
            about: cause.about.name(),
            detect: cause.detect.unwrap_or(entry.detect).name(),
            why_not: cause.why_not.as_deref().or(entry.why_not.as_deref()),
            when: &cause.when,
            unless: &cause.unless,
            scenarios: &cause.scenarios,
            explained_by: &cause.explained_by,
            severity: cause.severity.unwrap_or(entry.severity).name(),
            fix_type: cause.fix_type.as_deref().unwrap_or(&entry.fix_type),
            remedy: cause.remedy.as_deref().or(entry.remedy.as_deref()),
            remedy_zh: cause.remedy_zh.as_deref().or(entry.remedy_zh.as_deref()),
            verify: cause.verify.as_deref().unwrap_or(&entry.verify),
        }
    }
}

/// Something that is wrong in a catalogue, with file and line.
pub fn problem(text: &str) -> String {
    #[derive(Serialize)]
    struct Wrong<'a> {
        r#type: &'static str,
        text: &'a str,
    }
    line(&Wrong { r#type: "wrong", text })
}

/// A recording that was replayed, or is missing: then `ok` and `got` are null.
#[derive(Serialize)]
pub struct Case<'a> {
    pub entry: &'a str,
    pub cause: Option<&'a str>,
    pub replay: &'a str,
    pub expect: &'static str,
    pub got: Option<&'a str>,
    pub ok: Option<bool>,
}

impl Case<'_> {
    pub fn line(&self) -> String {
        typed("case", self)
    }
}

/// What came of all of it: the last line.
#[derive(Serialize)]
pub struct Check {
    pub entries: usize,
    pub causes: usize,
    pub detected_on_a_node: usize,
    pub problems: usize,
    pub cases: usize,
    pub without_recording: usize,
    pub ok: bool,
}

impl Check {
    pub fn line(&self) -> String {
        typed("check", self)
    }
}

fn typed(kind: &'static str, body: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Typed<'a, B> {
        r#type: &'static str,
        #[serde(flatten)]
        body: &'a B,
    }
    line(&Typed { r#type: kind, body })
}

/// What these types hold can always be written: there is no map with keys other than text.
fn line(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap_or_default() + "\n"
}
