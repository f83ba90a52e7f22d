//! What pure code may not contain: `unsafe`, and maps whose order changes from run to run. (That it knows no
//! clock and no files is for clippy to see.)

use super::{Source, Violation, imports::PURE};

/// The wire is used on both sides of it and holds layout only.
const WIRE: &[&str] = &["observer-ebpf/src/lib.rs", "observer-ebpf/src/control.rs", "observer-ebpf/src/wire"];

pub(super) fn check(file: &Source) -> Vec<Violation> {
    let pure = PURE.iter().any(|module| file.is_under(&format!("observer/src/{module}")));
    let wire = WIRE.iter().any(|place| file.path.starts_with(place));
    if !pure && !wire {
        return Vec::new();
    }
    let message = |text: &str| match text {
        "unsafe" => Some("`unsafe` is for the kernel programs and the edges".to_owned()),
        "HashMap" | "HashSet" if pure => {
            Some(format!("`{text}` has no order, and replay is byte-identical: use the BTree one"))
        }
        _ => None,
    };
    let found = file.tokens.iter().filter_map(|token| Some((token.line, message(&token.text)?)));
    found.map(|(line, message)| Violation::new(&file.path, line, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_tree;

    #[test]
    fn unsafe_is_refused_in_pure_modules_and_on_the_wire() {
        let text = "//! Doc.\nfn f() { unsafe { g() } }\n";
        for path in ["observer/src/model/mod.rs", "observer/src/time.rs", "observer-ebpf/src/wire/file.rs"] {
            assert_eq!(
                check_tree(&[(path, text)]),
                [format!("{path}:2: `unsafe` is for the kernel programs and the edges")]
            );
        }
        assert!(
            check_tree(&[("observer-ebpf/src/emit.rs", text), ("observer/src/app/run.rs", text)]).is_empty()
        );
    }

    #[test]
    fn unordered_maps_are_refused_in_pure_modules() {
        let text = "//! Doc.\nuse std::collections::{BTreeMap, HashMap};\n";
        assert_eq!(check_tree(&[("observer/src/model/mod.rs", text)]).len(), 1);
        assert!(check_tree(&[("observer/src/sink/table.rs", text)]).is_empty());
        let ordered = "//! Doc. No HashMap.\nuse std::collections::BTreeMap;\n";
        assert!(check_tree(&[("observer/src/model/mod.rs", ordered)]).is_empty());
    }
}
