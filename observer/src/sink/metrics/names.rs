//! Values of a label that others choose: so many are told apart, the rest is `other`.

use std::collections::BTreeSet;

const OTHER: &str = "other";
/// Of one value, bytes.
const MAX_BYTES: usize = 200;

#[derive(Debug)]
pub(super) struct Names {
    known: BTreeSet<String>,
    at_most: usize,
}

impl Names {
    pub(super) fn at_most(at_most: usize) -> Names {
        Names { known: BTreeSet::new(), at_most }
    }

    /// The name as it is counted.
    pub(super) fn known(&mut self, name: &str) -> String {
        let name = &name[..name.floor_char_boundary(MAX_BYTES)];
        if self.known.contains(name) {
            return name.to_owned();
        }
        if self.known.len() >= self.at_most {
            return OTHER.to_owned();
        }
        self.known.insert(name.to_owned());
        name.to_owned()
    }
}
