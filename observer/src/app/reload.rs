//! What a run does when it is told to read its options again (SIGHUP): what may change meanwhile changes, and what may not
//! is named. What cannot be read or understood changes nothing.

use std::ffi::OsString;

use anyhow::{Context, Result};
use clap::ArgMatches;

use super::{config, run, spans, talk, watching};
use crate::{
    cli::{self, Budget, Command},
    pipeline::{Settings, Show},
    probes::webhook::Target,
};

/// Reads options again.
pub struct Reload {
    typed: Vec<OsString>,
    given: ArgMatches,
    /// Whether what watches webhooks was attached at the beginning.
    watches_webhooks: bool,
}

/// What a run goes on with.
pub struct Reloaded {
    pub settings: Settings,
    pub budget: Option<Budget>,
    pub show: Option<Show>,
    pub otlp_events: Show,
}

impl Reload {
    /// `None`: nobody has named a file, and whoever closes the terminal means the run to end.
    pub fn of(options: &config::Options, webhooks: &[Target]) -> Option<Reload> {
        options.file.as_ref()?;
        Some(Reload {
            typed: std::env::args_os().collect(),
            given: options.given.clone(),
            watches_webhooks: !webhooks.is_empty(),
        })
    }

    /// What the run goes on with; says what has changed, and what cannot. `api`: the Kubernetes API may name webhooks, so
    /// they are watched in any case.
    ///
    /// # Errors
    /// The options cannot be read, or not be: then nothing changes.
    pub fn again(&mut self, api: bool) -> Result<Reloaded> {
        let options = config::read(&self.typed)?;
        let Command::Run(args) = &options.cli.command else {
            anyhow::bail!("what was typed is not `observer run`");
        };
        let mut settings = settings(args)?;
        self.take_webhooks(&mut settings.webhooks, api);
        let mut changed = Vec::new();
        for option in config::changed(&self.given, &options.given) {
            match stays(&option) {
                Some(why) => talk::say(format_args!("--{option} stays as it was until a restart: {why}")),
                None => changed.push(format!("--{option}")),
            }
        }
        let changed = if changed.is_empty() { "no option differs".to_owned() } else { changed.join(", ") };
        talk::say(format_args!("options were read again: {changed}"));
        self.given = options.given.clone();
        Ok(Reloaded {
            settings,
            budget: args.watch.budget,
            show: args.choice.show.clone(),
            otlp_events: args.choice.otlp_events.clone(),
        })
    }

    fn take_webhooks(&self, asked: &mut Vec<Target>, api: bool) {
        if !self.watches_webhooks && !api && !asked.is_empty() {
            talk::say(
                "--webhook: none was named at the beginning, so nothing is attached for it; restart for that",
            );
            asked.clear();
        }
    }
}

/// What the pipeline must know of what was typed.
///
/// # Errors
/// The user's own catalogue cannot be.
pub fn settings(args: &cli::Run) -> Result<Settings> {
    Ok(Settings {
        ready_wait_ns: args.watch.ready_wait.as_nanos() as u64,
        follow: true,
        stats_interval_ns: args.interval.as_nanos() as u64,
        filter: watching::filter(&args.filter),
        webhooks: args.webhooks.clone(),
        scenario: args.judging.scenario.clone(),
        catalogue: run::own_entries(&args.judging).context("the catalogue cannot be used")?,
        evidence: spans::evidence(&args.listen),
        ..Settings::default()
    })
}

/// Why an option cannot change while a run lasts; `None`: it can.
fn stays(option: &str) -> Option<&'static str> {
    Some(match option {
        "namespace" | "pod" | "container" | "selector" | "pid" | "webhook" | "catalogue" | "scenario"
        | "interval" | "ready-wait" | "budget" | "show" | "otlp-events" => return None,
        "probes" | "ring" | "btf" | "no-text" | "host-root" => "it says what is attached, and how",
        "record" | "record-limit" => "the recording was begun with it",
        "output" | "lang" => "the output was begun with it",
        "otlp"
        | "otlp-protocol"
        | "metrics"
        | "otlp-listen"
        | "otlp-listen-http"
        | "otlp-forward"
        | "otlp-evidence"
        | "socket"
        | "cri"
        | "otlp-listen-cert"
        | "otlp-listen-key"
        | "otlp-listen-token-file"
        | "otlp-listen-client-ca" => "connections and ports are made at the beginning",
        "for" => "the time counts from the beginning",
        _ => "it is asked for at the beginning only",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_taken_where_something_is_attached_for_them() {
        let target: Target = "10.0.0.1:443".parse().unwrap();
        let taken = |watches_webhooks, api| {
            let reload = Reload { typed: Vec::new(), given: ArgMatches::default(), watches_webhooks };
            let mut asked = vec![target.clone()];
            reload.take_webhooks(&mut asked, api);
            asked.len()
        };
        assert_eq!([taken(true, false), taken(false, true), taken(false, false)], [1, 1, 0]);
    }
}
