//! The keywords that point to a layer or to a row of the catalogue: `catalogue/keywords.toml`, read and checked.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    catalogue::Entry,
    compile::Problem,
    grammar::{Condition, How, Matcher, unknown},
};
use crate::{layer::Layer, probes::text::Keyword, signals::Label};

const SHIPPED: &str = include_str!("../../catalogue/keywords.toml");

/// Why a file of keywords is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadKeywords {
    #[error("keywords: {0}")]
    Toml(#[from] toml::de::Error),
    #[error("keyword {id}: there is no layer {layer:?}; there are L-0 to L-4, and host")]
    Layer { id: String, layer: String },
    #[error("two keywords are called {0}")]
    Twice(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keyword: Vec<Keyword>,
}

/// The keywords that this program comes with.
///
/// # Errors
/// As [`read`].
pub fn shipped() -> Result<Vec<Keyword>, BadKeywords> {
    read(SHIPPED)
}

/// The keywords of a file. Patterns are checked where they are compiled.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<Vec<Keyword>, BadKeywords> {
    let File { keyword: keywords } = toml::from_str(text)?;
    let mut ids = BTreeSet::new();
    for Keyword { id, layer, .. } in &keywords {
        if Layer::of(layer).is_none() {
            return Err(BadKeywords::Layer { id: id.clone(), layer: layer.clone() });
        }
        if !ids.insert(id.clone()) {
            return Err(BadKeywords::Twice(id.clone()));
        }
    }
    Ok(keywords)
}

/// Keywords that conditions of an entry ask for and that there are not: no line would ever be of one.
pub fn unknown_in(entry: &Entry, known: &[Keyword]) -> Vec<Problem> {
    let of_causes = entry.causes.iter().flat_map(|cause| {
        let texts = cause.when.iter().chain(&cause.unless);
        texts.map(move |text| (Some(cause.id.clone()), text))
    });
    let of_symptom = entry.seen.iter().flat_map(|seen| seen.when.iter().chain(&seen.unless));
    let conditions = of_causes.chain(of_symptom.map(|text| (None, text)));
    let problem = |(cause, text): (Option<String>, &String)| {
        // What cannot be parsed at all is said elsewhere.
        let why = Condition::parse(text).ok().and_then(|condition| unknown_of(&condition, known))?;
        Some(Problem { entry: entry.id.clone(), cause, words: text.clone(), why })
    };
    conditions.filter_map(problem).collect()
}

fn unknown_of(condition: &Condition, known: &[Keyword]) -> Option<String> {
    let selectors = [Some(&condition.of), condition.since.as_ref()];
    let matchers = selectors.into_iter().flatten().flat_map(|selector| &selector.matchers);
    let is_known = |matcher: &Matcher, value: &str| {
        known.iter().any(|keyword| match matcher.how {
            How::Contains => keyword.id.contains(value),
            How::IsOneOf | How::IsNoneOf => keyword.id == value,
        })
    };
    matchers.filter(|matcher| matcher.label == Label::Keyword).find_map(|matcher| {
        let wrong = matcher.values.iter().find(|value| !is_known(matcher, value))?;
        Some(unknown("keyword", wrong, known.iter().map(|keyword| keyword.id.as_str())))
    })
}

#[cfg(test)]
mod tests;
