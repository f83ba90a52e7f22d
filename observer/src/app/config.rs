//! Options from a file: what was typed, and of the file what was not. A key is the long name of an option; what it means,
//! and whether its value can be, is decided where options are declared.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, parser::ValueSource};
use toml::{Spanned, Value};

use super::Usage;
use crate::{cli::Cli, rules::grammar};

/// Longer than any that somebody wrote.
const MAX_FILE: u64 = 1 << 20;
/// Options that say where options are, or are none of their own.
const NOT_KEYS: [&str; 4] = ["config", "help", "version", "stage"];

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// What was typed.
    #[error(transparent)]
    Typed(#[from] clap::Error),
    /// The file.
    #[error(transparent)]
    File(#[from] Usage),
}

/// All options of a command, and where they are from.
pub struct Options {
    pub cli: Cli,
    /// What was typed and read, option by option.
    pub given: ArgMatches,
    pub file: Option<PathBuf>,
}

/// Reads what was typed, and the file that it names, if any.
///
/// # Errors
/// What was typed cannot be; the file cannot be read, or something in it cannot be: with its line.
pub fn read(typed: &[OsString]) -> Result<Options, ConfigError> {
    let matches = Cli::command().try_get_matches_from(typed)?;
    let file = leaf(&matches).get_one::<PathBuf>("config").cloned();
    let matches = match &file {
        Some(path) => Cli::command().try_get_matches_from(merged(typed, &matches, path)?)?,
        None => matches,
    };
    Ok(Options { cli: Cli::from_arg_matches(&matches)?, given: leaf(&matches).clone(), file })
}

/// The long names of the options that two readings differ in.
pub fn changed(before: &ArgMatches, now: &ArgMatches) -> BTreeSet<String> {
    let words = |of: &ArgMatches, id: &str| -> Vec<OsString> {
        of.get_raw(id).into_iter().flatten().map(Into::into).collect()
    };
    let differs = |id: &&clap::Id| words(before, id.as_str()) != words(now, id.as_str());
    let ids = before.ids().filter(|id| before.try_get_raw(id.as_str()).is_ok());
    let command = Cli::command();
    let long = |id: &clap::Id| {
        let mut all = command.get_subcommands().flat_map(Command::get_arguments);
        all.find(|arg| arg.get_id() == id).and_then(Arg::get_long).map(str::to_owned)
    };
    let added = now.ids().filter(|id| !before.ids().any(|of| of == *id));
    let added = added.filter(|id| now.try_get_raw(id.as_str()).is_ok());
    ids.filter(differs).chain(added).filter_map(long).collect()
}

/// Of the command that was typed, however deep.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, of)| leaf(of))
}

/// What was typed, and what the file adds to it.
fn merged(typed: &[OsString], matches: &ArgMatches, path: &Path) -> Result<Vec<OsString>, Usage> {
    let text = text_of(path)?;
    let at = |byte: usize| {
        let line = text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1;
        format!("{}:{line}", path.display())
    };
    let keys: BTreeMap<Spanned<String>, Spanned<Value>> = toml::from_str(&text).map_err(|error| {
        Usage(format!("{}: {}", at(error.span().map_or(0, |span| span.start)), error.message()))
    })?;
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    let mut given = matches;
    while let Some((name, of)) = given.subcommand() {
        (command, given) = (command.find_subcommand(name).unwrap_or(command), of);
    }
    let mut words = Vec::new();
    for (key, value) in &keys {
        let place = at(key.span().start);
        let Some(option) = own(command).find(|arg| arg.get_long() == Some(key.as_ref())) else {
            let known: BTreeSet<&str> = all(&root).filter_map(Arg::get_long).collect();
            if known.contains(key.as_ref().as_str()) {
                // Of another command: the file may be for several.
                continue;
            }
            let why = grammar::unknown("option", key.as_ref(), known.into_iter());
            return Err(Usage(format!("{place}: {why}")));
        };
        if given.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        let of_key = said(option, value.as_ref()).map_err(|why| Usage(format!("{place}: {key}: {why}")))?;
        if let Err(error) = Cli::command().try_get_matches_from(inserted(typed, &of_key)) {
            let error = error.to_string();
            let why = error.lines().next().unwrap_or_default().trim_start_matches("error: ");
            return Err(Usage(format!("{place}: {why}")));
        }
        words.extend(of_key);
    }
    Ok(inserted(typed, &words))
}

fn text_of(path: &Path) -> Result<String, Usage> {
    let wrong = |why: &dyn std::fmt::Display| Usage(format!("cannot read {}: {why}", path.display()));
    let file = fs::File::open(path).map_err(|error| wrong(&error))?;
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if text.len() as u64 > MAX_FILE { Err(wrong(&"it is longer than 1 MiB")) } else { Ok(text) }
}

fn own(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_key = |arg: &&Arg| arg.get_long().is_some_and(|long| !NOT_KEYS.contains(&long));
    command.get_arguments().filter(is_key)
}

fn all(command: &Command) -> Box<dyn Iterator<Item = &Arg> + '_> {
    Box::new(own(command).chain(command.get_subcommands().flat_map(all)))
}

/// An option as it would be typed.
fn said(option: &Arg, value: &Value) -> Result<Vec<OsString>, String> {
    let long = option.get_long().unwrap_or_default();
    let takes_value = option.get_action().takes_values();
    let one = |value: &Value| match value {
        Value::String(text) => Ok(format!("--{long}={text}").into()),
        Value::Integer(number) => Ok(format!("--{long}={number}").into()),
        other => Err(format!("it takes a text or a number, not a {}", other.type_str())),
    };
    match (value, takes_value) {
        (Value::Boolean(yes), false) => Ok(yes.then(|| format!("--{long}").into()).into_iter().collect()),
        (other, false) => Err(format!("it is true or false, not a {}", other.type_str())),
        (Value::Array(values), true) => {
            let is_list = matches!(option.get_action(), ArgAction::Append);
            if is_list {
                values.iter().map(one).collect()
            } else {
                Err("it takes one value, not a list".to_owned())
            }
        }
        (value, true) => Ok(vec![one(value)?]),
    }
}

/// Before what is another command's to run.
fn inserted(typed: &[OsString], words: &[OsString]) -> Vec<OsString> {
    let at = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    typed[..at].iter().chain(words).chain(&typed[at..]).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::cli;

    fn read_with(text: &str, typed: &str) -> Result<Options, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().display().to_string();
        let typed = typed.replace("FILE", &path);
        let words: Vec<OsString> = typed.split(' ').map(Into::into).collect();
        read(&words).map_err(|error| error.to_string().replace(&path, "FILE"))
    }

    fn run(text: &str, typed: &str) -> cli::Run {
        match read_with(text, typed).map(|options| options.cli.command) {
            Ok(cli::Command::Run(run)) => run,
            Ok(other) => panic!("{other:?}"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_is_typed_counts_more_than_the_file() {
        let text = "for = \"5m\"\nnamespace = [\"shop\", \"pay\"]\noutput = \"json\"\nno-text = true\n\
                    standalone = false\nbudget = 'cpu=1%,memory=60MiB'\npid = 7\n";
        let of_file = run(text, "observer run --config FILE");
        assert_eq!(of_file.filter.namespace, ["shop", "pay"]);
        assert_eq!((of_file.filter.pid, of_file.no_text, of_file.service.standalone), (vec![7], true, false));
        assert_eq!(of_file.watch.duration.map(|time| time.as_secs()), Some(300));
        assert_eq!(of_file.watch.budget.and_then(|budget| budget.cpu_percent), Some(1.0));
        let typed = run(text, "observer --config FILE run -n other --for 1s -o table");
        assert_eq!(
            (typed.filter.namespace, typed.print.format),
            (vec!["other".to_owned()], cli::Format::Table)
        );
        assert_eq!(typed.watch.duration.map(|time| time.as_secs()), Some(1));
    }

    #[test]
    fn a_file_may_be_for_several_commands_and_stays_before_what_is_run() {
        let options = read_with(
            "show = 'memory'\nfor = '3s'\n",
            "observer coldstart --config FILE -- sh -c x --for 9s",
        );
        let Ok(cli::Command::Coldstart(args)) = options.map(|options| options.cli.command) else { panic!() };
        assert_eq!((args.watch.duration.map(|time| time.as_secs()), args.cmd.len()), (Some(3), 5));
        assert!(read_with("severity = 'P0'\n", "observer matrix list --config FILE").is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_comes_nearest() {
        let refusal = |text| read_with(text, "observer run --config FILE").err().unwrap_or_default();
        let unknown = refusal("for = '1s'\nnamspace = 'shop'\n");
        assert_eq!(unknown, "FILE:2: there is no option \"namspace\"; the nearest is \"namespace\"");
        let value = refusal("\n\nbudget = 'cpu=much'\n");
        assert!(value.starts_with("FILE:3: invalid value 'cpu=much' for '--budget"), "{value}");
        assert!(refusal("a = [\n").starts_with("FILE:"), "{}", refusal("a = [\n"));
        assert_eq!(refusal("for = ['1s', '2s']\n"), "FILE:1: for: it takes one value, not a list");
        assert_eq!(refusal("no-text = 1\n"), "FILE:1: no-text: it is true or false, not a integer");
        assert!(refusal("config = 'x'\n").contains("there is no option"));
        let missing = read(&["observer", "run", "--config", "/no/such"].map(OsString::from)).err();
        assert!(missing.is_some_and(|error| error.to_string().starts_with("cannot read /no/such")));
    }

    #[test]
    fn the_file_that_a_service_begins_with_can_be_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/observer.toml");
        let options = read(&["observer", "run", "--config", path].map(OsString::from));
        let Ok(cli::Command::Run(run)) = options.map(|options| options.cli.command) else { panic!() };
        assert_eq!(run.print.format, cli::Format::Json);
    }

    #[test]
    fn what_differs_is_named() {
        let before =
            read_with("show = 'memory'\nring = '4MiB'\n", "observer run -n a --config FILE").unwrap();
        let now = read_with("ring = '8MiB'\nbudget = 'cpu=1%'\n", "observer run -n a --config FILE").unwrap();
        let changed: Vec<String> = changed(&before.given, &now.given).into_iter().collect();
        assert_eq!(changed, ["budget", "ring", "show"]);
    }
}
