//! What a reader expects of every file: it says what it owns, and its lines end where they end.

use super::{Source, Violation};

pub(super) fn check(file: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let documented = file.text.lines().any(|line| line.starts_with("//! ") || line.starts_with("/*!"));
    if !file.tokens.is_empty() && !documented {
        found.push(Violation::new(&file.path, 1, "no module doc: say what it owns and what it refuses"));
    }
    let trailing = file.text.lines().enumerate().filter(|(_, line)| line.ends_with([' ', '\t']));
    found.extend(trailing.map(|(index, _)| Violation::new(&file.path, index + 1, "trailing whitespace")));
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_tree;

    #[test]
    fn every_file_says_what_it_owns() {
        assert_eq!(check_tree(&[("tests/src/lib.rs", "pub fn f() {}\n")]).len(), 1);
        assert!(check_tree(&[("tests/src/lib.rs", "#![no_std]\n//! Rigs.\npub fn f() {}\n")]).is_empty());
    }

    #[test]
    fn trailing_whitespace_is_named_by_line() {
        let said = check_tree(&[("tests/src/lib.rs", "//! Rigs.\npub fn f() {} \n")]);
        assert_eq!(said, ["tests/src/lib.rs:2: trailing whitespace"]);
        assert!(check_tree(&[("tests/src/lib.rs", "//! Rigs.\npub fn f() {}\n")]).is_empty());
    }
}
