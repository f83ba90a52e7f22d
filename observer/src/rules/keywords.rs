//! The keywords that point to a layer or to a row of the catalogue: `catalogue/keywords.toml`, read and checked.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::{layer::Layer, probes::text::Keyword};

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

#[cfg(test)]
mod tests;
