//! A probe family has one file on each side of the wire, one for its records, and a fixture.

use std::path::Path;

use super::{Source, Violation};

const LIST: &str = "observer-ebpf/src/lib.rs";

/// Where the files of a family lie; `{}` stands for its name.
const MIRRORS: &[&str] = &[
    "observer-ebpf/src/wire/{}.rs",
    "observer-ebpf/src/probes/{}.rs",
    "observer/src/probes/{}.rs",
    "tests/fixtures/records/{}.bin",
];

pub(super) fn check(root: &Path, files: &[Source]) -> Vec<Violation> {
    let Some(list) = files.iter().find(|file| file.path == Path::new(LIST)) else { return Vec::new() };
    let families = families(list);
    if families.is_empty() {
        return vec![Violation::new(LIST, 1, "no probe family found in `for_each_probe!`")];
    }
    let missing = |(family, line): &(String, usize)| {
        let paths = MIRRORS.iter().map(|mirror| mirror.replace("{}", family));
        let missing = paths.filter(|path| !root.join(path).exists());
        missing
            .map(|path| Violation::new(LIST, *line, format!("probe family `{family}` has no {path}")))
            .collect::<Vec<_>>()
    };
    families.iter().flat_map(missing).collect()
}

/// The module names in `for_each_probe!`, whose lines read `<id> <module> <Name>`.
fn families(list: &Source) -> Vec<(String, usize)> {
    let is = |at: usize, text: &str| list.tokens.get(at).is_some_and(|token| token.text == text);
    let begins = |at: &usize| is(*at, "macro_rules") && is(at + 2, "for_each_probe");
    let Some(start) = (0..list.tokens.len()).find(begins) else { return Vec::new() };
    let body = list.tokens[start..].iter().skip_while(|token| token.text != "{");
    let mut depth = 0;
    let body: Vec<_> = body
        .take_while(|token| {
            depth += match token.text.as_str() {
                "{" => 1,
                "}" => -1,
                _ => 0,
            };
            depth > 0
        })
        .collect();
    let id = |text: &str| text.parse::<u8>().is_ok();
    let lines =
        body.windows(3).filter(|line| id(&line[0].text) && line[2].text.starts_with(char::is_uppercase));
    lines.map(|line| (line[1].text.clone(), line[1].line)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_tree;

    const LIB: (&str, &str) = (
        "observer-ebpf/src/lib.rs",
        "//! Doc.\nmacro_rules! for_each_probe {\n    ($each:ident) => {\n        $each! {\n            1 process Process\n            \
         2 file File\n        }\n    };\n}\nfor_each_probe!(f);\n",
    );

    fn tree(without: &str) -> Vec<(String, &'static str)> {
        let mut files = vec![(LIB.0.to_owned(), LIB.1)];
        for mirror in super::MIRRORS {
            files.extend(["process", "file"].map(|family| (mirror.replace("{}", family), "//! Doc.\n")));
        }
        files.retain(|(path, _)| path != without);
        files
    }

    fn check(without: &str) -> Vec<String> {
        let files = tree(without);
        check_tree(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
    }

    #[test]
    fn a_family_with_all_its_files_is_clean() {
        assert_eq!(check("none"), [""; 0]);
    }

    #[test]
    fn each_missing_file_is_named_at_the_family_s_line() {
        for mirror in super::MIRRORS {
            let path = mirror.replace("{}", "file");
            let expected = format!("observer-ebpf/src/lib.rs:6: probe family `file` has no {path}");
            assert_eq!(check(&path), [expected]);
        }
    }

    #[test]
    fn an_empty_list_is_not_a_clean_one() {
        assert_eq!(check_tree(&[("observer-ebpf/src/lib.rs", "//! Doc.\n")]).len(), 1);
    }
}
