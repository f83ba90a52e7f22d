//! Keywords: what is looked for, compiled once. They are data handed in; a pattern that takes too much is refused.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

/// Bytes that a compiled pattern, and what it remembers while it matches, may take.
const MAX_PATTERN: usize = 1 << 20;
/// The same of all of them together.
const MAX_SET: usize = 16 << 20;
/// Keywords that are looked for at once.
const MAX_KEYWORDS: usize = 256;

/// Something that is looked for in lines, and what it points to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyword {
    pub id: String,
    /// A regular expression of the `regex` crate, bytes not Unicode. Its named groups are what is kept beside the line.
    pub pattern: String,
    /// The layer of the isolation stack that it points to, by its name.
    pub layer: String,
    /// Names of the programs that say it of themselves. None: no component does.
    #[serde(default)]
    pub components: Vec<String>,
    /// Rows of the catalogue that it supports.
    #[serde(default)]
    pub rows: Vec<String>,
}

/// Why a list of keywords is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyword {
    #[error("keyword {id}: {why}")]
    Pattern { id: String, why: String },
    #[error("there are more than {MAX_KEYWORDS} keywords")]
    TooMany,
}

/// Keywords ready to be looked for.
#[derive(Debug)]
pub(super) struct Keywords {
    /// Says which are in a line, in one go.
    all: RegexSet,
    each: Vec<(Keyword, Regex)>,
}

impl Keywords {
    pub fn new(keywords: Vec<Keyword>) -> Result<Keywords, BadKeyword> {
        if keywords.len() > MAX_KEYWORDS {
            return Err(BadKeyword::TooMany);
        }
        let bad = |id: &str, why: String| BadKeyword::Pattern { id: id.to_owned(), why };
        let patterns: Vec<String> = keywords.iter().map(|keyword| keyword.pattern.clone()).collect();
        let mut each = Vec::new();
        for keyword in keywords {
            let regex = RegexBuilder::new(&keyword.pattern)
                .unicode(false)
                .size_limit(MAX_PATTERN)
                .dfa_size_limit(MAX_PATTERN)
                .build()
                .map_err(|error| bad(&keyword.id, error.to_string()))?;
            if regex.is_match(b"") {
                return Err(bad(&keyword.id, "it is in every line".to_owned()));
            }
            each.push((keyword, regex));
        }
        let all = RegexSetBuilder::new(patterns)
            .unicode(false)
            .size_limit(MAX_SET)
            .dfa_size_limit(MAX_SET)
            .build()
            .map_err(|error| bad("all of them", error.to_string()))?;
        Ok(Keywords { all, each })
    }

    /// Those that are in a line, in their order.
    pub fn find(&self, line: &[u8]) -> impl Iterator<Item = &(Keyword, Regex)> {
        self.all.matches(line).into_iter().filter_map(|at| self.each.get(at))
    }
}

impl Keyword {
    /// Whether a process with this name is one of those that say it of themselves. The kernel keeps 15 bytes of a name;
    /// `k3s-server` and `runc:[2:INIT]` are k3s and runc.
    pub fn is_of(&self, comm: &str) -> bool {
        const KEPT: usize = 15;
        let is = |name: &str| {
            let name = name.get(..KEPT).unwrap_or(name);
            comm.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':']))
        };
        self.components.iter().any(|name| is(name))
    }
}
