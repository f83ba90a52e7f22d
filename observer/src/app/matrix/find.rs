//! Which known problems somebody asks for.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::{
    app::Usage,
    cli,
    rules::{catalogue::Entry, grammar},
};

/// Shorter pieces are in too many lines to mean anything.
const LEAST_PIECE: usize = 6;

/// Those for which all holds that is asked for; the worst first where anything is.
///
/// # Errors
/// No entry has such a component.
pub(super) fn find<'a>(all: &'a [Entry], args: &cli::MatrixList) -> Result<Vec<&'a Entry>> {
    let component = args.component.as_deref().map(str::to_lowercase);
    if let Some(name) = &component {
        let known: BTreeSet<&str> =
            all.iter().flat_map(|entry| entry.components.iter().map(String::as_str)).collect();
        if !known.contains(name.as_str()) {
            return Err(Usage(grammar::unknown("component", name, known.into_iter())).into());
        }
    }
    let holds = |entry: &&Entry| {
        args.symptom.as_deref().is_none_or(|text| looks_like(entry, text))
            && component.as_ref().is_none_or(|name| entry.components.contains(name))
            && args.scenario.as_ref().is_none_or(|name| entry.scenarios.contains(name))
            && args
                .severity
                .as_ref()
                .is_none_or(|severity| entry.severity.name().eq_ignore_ascii_case(severity))
    };
    let mut found: Vec<&Entry> = all.iter().filter(holds).collect();
    let asked = args.symptom.is_some() || component.is_some() || args.scenario.is_some();
    if asked {
        found.sort_by_key(|entry| entry.severity);
    }
    Ok(found)
}

/// All its words are in what is written of the entry, or what people see of it is part of a longer text.
fn looks_like(entry: &Entry, text: &str) -> bool {
    let text = text.to_lowercase();
    let fixed = [&entry.id, &entry.title, &entry.title_zh, &entry.symptom, &entry.symptom_zh];
    let causes = entry.causes.iter().flat_map(|cause| [&cause.title, &cause.title_zh]);
    let parts = fixed.into_iter().chain(&entry.symptoms).chain(causes);
    let written = parts.map(|part| part.to_lowercase()).collect::<Vec<_>>().join("\n");
    text.split_whitespace().all(|word| written.contains(word))
        || entry
            .symptoms
            .iter()
            .any(|symptom| symptom.chars().count() >= LEAST_PIECE && text.contains(&symptom.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn asked(words: &[&str]) -> Result<Vec<String>> {
        let words = ["observer", "matrix", "list"].iter().chain(words);
        let cli::Command::Matrix(matrix) = cli::Cli::try_parse_from(words).unwrap().command else {
            panic!("`matrix` is `matrix`");
        };
        let cli::MatrixCommand::List(args) = matrix.command else { panic!("`list` is `list`") };
        let all = super::super::entries(None)?;
        Ok(find(&all, &args)?.into_iter().map(|entry| entry.id.clone()).collect())
    }

    #[test]
    fn by_some_words_or_by_a_whole_line_of_a_log_in_either_language() {
        assert!(asked(&["--symptom", "no such NAME or dns resolve host"]).unwrap().is_empty());
        assert_eq!(asked(&["--symptom", "Resolve Host"]).unwrap()[..2], ["k3s-install-failed", "dns-failed"]);
        let line = "E1121 write /var/lib/x: no space left on device (os error 28)";
        assert_eq!(asked(&["--symptom", line]).unwrap(), ["disk-full"]);
        assert!(asked(&["--symptom", "日志为空"]).unwrap().contains(&"kubectl-logs-empty".to_owned()));
    }

    #[test]
    fn by_component_scenario_and_severity_all_of_them() {
        let found = asked(&["--component", "K3S", "--scenario", "edge", "--severity", "p0"]).unwrap();
        assert_eq!(found, ["sqlite-corrupt"]);
    }

    #[test]
    fn a_component_that_there_is_not_is_wrong_usage_and_the_nearest_is_named() {
        let error = asked(&["--component", "wasmege"]).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("\"wasmedge\""), "{error}");
    }
}
