//! Who may import whom in `observer/src`, and which crate may be named where.

use std::path::Path;

use super::{Source, Violation};

/// The pure modules: each may import those before it, none those after it and no edge.
pub(super) const PURE: &[&str] = &[
    "time",
    "layer",
    "health",
    "probes",
    "span",
    "input",
    // Types only: the model asks for what it needs with an `output::Want`.
    "output",
    "filter",
    "compare",
    "model",
    "signals",
    "rules",
    "correlate",
    "pipeline",
];

/// Edges import what they like.
const EDGES: &[&str] = &[
    "source",
    "record",
    "service",
    "sink",
    "config",
    "cli",
    "credentials",
    "app",
    "main",
    "privileges",
    "skips",
];

/// Crates with one home, by the first part of their paths.
const HOMES: &[(&[&str], &str)] = &[
    (&["aya", "aya_obj", "aya_log"], "observer/src/source/live"),
    (&["opentelemetry", "opentelemetry_http", "opentelemetry_proto"], "observer/src/sink/otlp"),
];

/// Pure modules that may be serialised: what is recorded (the options of a run too), and what is read from the
/// catalogue. The model and what is made from it are not: outer formats are separate types.
const SERIALISED: &[&str] =
    &["time", "layer", "health", "probes", "span", "input", "filter", "rules", "pipeline"];

pub(super) fn check(root: &Path, file: &Source) -> Vec<Violation> {
    let Some(module) = module_path(&file.path) else { return Vec::new() };
    let mut found = homes(file);
    let Some(top) = module.first() else { return found };
    if let Some(rank) = PURE.iter().position(|name| name == top) {
        found.extend(order(root, file, &module, rank));
        if !SERIALISED.contains(&top.as_str()) {
            found.extend(named(file, "serde").map(|line| {
                Violation::new(
                    &file.path,
                    line,
                    format!("`{top}` may not be serialised: outer formats are types of their own"),
                )
            }));
        }
    } else if !EDGES.contains(&top.as_str()) {
        let message =
            format!("module `{top}` is neither a pure one nor an edge: add it to xtask/src/tidy/imports.rs");
        found.push(Violation::new(&file.path, 1, message));
    }
    found
}

/// `observer/src/a/b.rs` and `observer/src/a/b/mod.rs` are `[a, b]`; the crate's root is `[]`.
fn module_path(path: &Path) -> Option<Vec<String>> {
    let inside = path.strip_prefix("observer/src").ok()?.with_extension("");
    let mut parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    Some(parts)
}

/// Imports of modules that come later, or of edges.
fn order(root: &Path, file: &Source, module: &[String], rank: usize) -> Vec<Violation> {
    let allowed = &PURE[..=rank];
    let exists = |name: &str| {
        let base = root.join("observer/src").join(name);
        base.is_dir() || base.with_extension("rs").exists()
    };
    let forbidden = imported_modules(file, module).into_iter().filter(|(name, _)| {
        let is_module = PURE.contains(&name.as_str()) || EDGES.contains(&name.as_str()) || exists(name);
        is_module && !allowed.contains(&name.as_str())
    });
    forbidden
        .map(|(name, line)| {
            let may = if rank == 0 { "nothing".to_owned() } else { PURE[..rank].join(", ") };
            Violation::new(
                &file.path,
                line,
                format!("`{}` may not import `{name}`: it may import {may}", module[0]),
            )
        })
        .collect()
}

/// The top-level modules that paths in this file go through, with their lines.
fn imported_modules(file: &Source, module: &[String]) -> Vec<(String, usize)> {
    let text = |at: usize| file.tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    let mut at = 0;
    while at < file.tokens.len() {
        let begins = matches!(text(at), "crate" | "super") && text(at + 1) == "::";
        let continues = at > 0 && text(at - 1) == "::";
        if !begins || continues {
            at += 1;
            continue;
        }
        // How far up the path goes: `crate` all the way, each `super` one step.
        let mut depth = if text(at) == "crate" { 0 } else { module.len() };
        while text(at) == "super" && text(at + 1) == "::" {
            depth = depth.saturating_sub(1);
            at += 2;
        }
        at += if text(at) == "crate" { 2 } else { 0 };
        if depth == 0 {
            found.extend(first_names(file, at));
        }
    }
    found
}

/// The first name of a path that continues at `at`, or of each path in the braces there.
fn first_names(file: &Source, at: usize) -> Vec<(String, usize)> {
    let Some(first) = file.tokens.get(at) else { return Vec::new() };
    if first.text != "{" {
        return vec![(first.text.clone(), first.line)];
    }
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expected = false;
    for token in &file.tokens[at..] {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                expected = depth == 1;
            }
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => expected = depth == 1,
            name if expected => {
                names.push((name.to_owned(), token.line));
                expected = false;
            }
            _ => {}
        }
    }
    names
}

fn homes(file: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (crates, home) in HOMES {
        for name in crates.iter().filter(|_| !file.is_under(home)) {
            let message = format!("`{name}` may be named in {home} only");
            found.extend(named(file, name).map(|line| Violation::new(&file.path, line, message.clone())));
        }
    }
    found
}

/// The lines in which a path begins with this crate.
fn named(file: &Source, name: &str) -> impl Iterator<Item = usize> {
    let text = |at: usize| file.tokens.get(at).map_or("", |token| token.text.as_str());
    (0..file.tokens.len())
        .filter(move |&at| {
            let begins = at == 0 || text(at - 1) != "::";
            let used = text(at + 1) == "::" || (at > 0 && matches!(text(at - 1), "use" | "crate"));
            text(at) == name && begins && used
        })
        .map(|at| file.tokens[at].line)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_tree;

    /// Violations of `text` as the file at `path`, beside a module of each kind.
    fn check(path: &str, text: &str) -> Vec<String> {
        let text = format!("//! Doc.\n{text}");
        check_tree(&[(path, &text)])
    }

    #[test]
    fn a_later_module_may_import_an_earlier_one() {
        assert!(
            check("observer/src/model/process.rs", "use crate::{probes::Event, time::Time};\n").is_empty()
        );
        assert!(check("observer/src/pipeline.rs", "use crate::model::{Model, pipeline};\n").is_empty());
    }

    #[test]
    fn an_earlier_module_may_not_import_a_later_one() {
        let said = check(
            "observer/src/probes/mod.rs",
            "use crate::{\n    time::Time,\n    model::{self, time::X},\n};\n",
        );
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("observer/src/probes/mod.rs:4: `probes` may not import `model`"),
            "{said:?}"
        );
    }

    #[test]
    fn a_path_in_code_and_a_way_through_super_are_imports_too() {
        assert_eq!(check("observer/src/time.rs", "fn f() { crate::model::f(); }\n").len(), 1);
        assert_eq!(check("observer/src/model/process.rs", "use super::super::pipeline::X;\n").len(), 1);
        assert!(check("observer/src/model/process.rs", "use super::pipeline::X;\n").is_empty());
    }

    #[test]
    fn a_pure_module_may_not_import_an_edge_but_an_edge_a_pure_one() {
        assert_eq!(check("observer/src/pipeline.rs", "use crate::sink::Sink;\n").len(), 1);
        assert!(check("observer/src/sink/table.rs", "use crate::output::Output;\n").is_empty());
    }

    #[test]
    fn tests_and_comments_import_what_they_like() {
        let text = "// crate::sink::X\n/// [`crate::sink`]\nfn f() {}\n#[cfg(test)]\nmod tests { use crate::sink::X; }\n";
        assert!(check("observer/src/time.rs", text).is_empty());
    }

    #[test]
    fn a_module_in_no_list_is_named() {
        assert_eq!(check("observer/src/misc.rs", "fn f() {}\n").len(), 1);
        assert!(check("observer/src/app/run.rs", "fn f() {}\n").is_empty());
    }

    #[test]
    fn aya_and_opentelemetry_have_one_home_each() {
        for (home, line) in
            [("source/live", "use aya::Ebpf;\n"), ("sink/otlp", "use opentelemetry_proto::tonic::X;\n")]
        {
            assert!(check(&format!("observer/src/{home}/load.rs"), line).is_empty());
            assert!(check(&format!("observer/src/{home}.rs"), line).is_empty());
            assert_eq!(check("observer/src/app/run.rs", line).len(), 1, "{line}");
        }
        assert!(check("observer/src/app/run.rs", "use crate::aya::X;\n").is_empty());
    }

    #[test]
    fn the_model_is_not_serialised() {
        assert_eq!(check("observer/src/model/process.rs", "use serde::Serialize;\n").len(), 1);
        assert_eq!(check("observer/src/output.rs", "#[derive(serde::Serialize)]\nstruct X;\n").len(), 1);
        assert!(check("observer/src/input.rs", "use serde::Serialize;\n").is_empty());
    }
}
