//! How long files and functions may be, in lines of code: comments, blank lines and tests do not count.

use super::{Source, Violation};

const FILE: usize = 300;
const FUNCTION: usize = 60;

/// What excuses a long one: before the first line of code for a file, above or in it for a function.
const EXCUSE: &str = "// long: ";

pub(super) fn check(file: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let excuses: Vec<usize> = file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim().strip_prefix(EXCUSE).is_some_and(|reason| !reason.trim().is_empty()))
        .map(|(index, _)| index + 1)
        .collect();

    let lines = file.code_lines.len();
    let first = file.code_lines.first().copied().unwrap_or(0);
    if lines > FILE && !excuses.iter().any(|excuse| *excuse < first) {
        found.push(Violation::new(&file.path, 1, too_long("file", lines, FILE)));
    }
    for function in &file.functions {
        let lines = file.code_lines.range(function.first_line..=function.last_line).count();
        // The excuse may stand between or above attributes and docs.
        let from = file.code_lines.range(..function.first_line).next_back().copied().unwrap_or(0);
        let excused = excuses.iter().any(|excuse| (from..=function.last_line).contains(excuse));
        if lines > FUNCTION && !excused {
            let what = format!("function `{}`", function.name);
            found.push(Violation::new(&file.path, function.first_line, too_long(&what, lines, FUNCTION)));
        }
    }
    found
}

fn too_long(what: &str, lines: usize, limit: usize) -> String {
    format!(
        "{what} has {lines} lines of code, over {limit}: make it two things, or say why with `{EXCUSE}<reason>`"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_tree;

    fn check(text: &str) -> Vec<String> {
        check_tree(&[("xtask/src/x.rs", text)])
    }

    #[test]
    fn a_file_is_measured_in_lines_of_code() {
        let lines = |count: usize| "const A: u8 = 0;\n".repeat(count);
        let comments = "// a comment\n\n/// a doc\n".repeat(200);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(200));
        assert!(check(&format!("//! Doc.\n{}{comments}{}{tests}", lines(150), lines(150))).is_empty());
        assert_eq!(check(&format!("//! Doc.\n{}", lines(301))).len(), 1);
    }

    #[test]
    fn tests_in_files_of_their_own_do_not_count() {
        let module = ("observer/src/time.rs", "//! Doc.\n#[cfg(test)]\nmod tests;\n");
        let long = format!("//! Doc.\n{}", "const A: u8 = 0;\n".repeat(301));
        let files = |path| check_tree(&[module, (path, &long)]);
        assert_eq!(files("observer/src/time/tests.rs"), [""; 0]);
        assert_eq!(files("observer/src/time/tests/many.rs"), [""; 0]);
        assert_eq!(files("observer/src/time/test.rs").len(), 1);
    }

    #[test]
    fn a_reason_excuses_a_long_file() {
        let code = "const A: u8 = 0;\n".repeat(301);
        assert!(check(&format!("//! Doc.\n// long: one table\n{code}")).is_empty());
        assert_eq!(check(&format!("//! Doc.\n// long:\n{code}")).len(), 1);
        assert_eq!(check(&format!("//! Doc.\n{code}// long: too late\n")).len(), 1);
    }

    #[test]
    fn a_function_is_measured_too() {
        let body = |count: usize| "    g();\n".repeat(count);
        assert!(check(&format!("//! Doc.\nfn f() {{\n{}}}\n", body(58))).is_empty());
        let said = check(&format!("//! Doc.\nimpl A {{\nfn f() -> u8 {{\n{}}}\n}}\n", body(59)));
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("xtask/src/x.rs:3: function `f` has 61 lines"), "{said:?}");
        assert!(check(&format!("//! Doc.\n// long: a list\nfn f() {{\n{}}}\n", body(59))).is_empty());
    }

    #[test]
    fn a_string_over_many_lines_counts_as_many() {
        let text = format!("//! Doc.\nfn f() {{\n    g(\"{}\");\n}}\n", "x\n".repeat(70));
        assert_eq!(check(&text).len(), 1);
    }
}
