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
    webhooks: Vec<Target>,
}

/// What a run goes on with.
pub struct Reloaded {
    pub settings: Settings,
    /// Of its webhooks, whether any is new.
    pub has_new_webhooks: bool,
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
            webhooks: webhooks.to_vec(),
        })
    }

    /// What the run goes on with; says what has changed, and what cannot. `api`: the Kubernetes API names webhooks, too.
    ///
    /// # Errors
    /// The options cannot be read, or not be: then nothing changes.
    pub fn again(&mut self, api: bool) -> Result<Reloaded> {
        let options = config::read(&self.typed)?;
        let Command::Run(args) = &options.cli.command else {
            anyhow::bail!("what was typed is not `observer run`");
        };
        let mut settings = settings(args)?;
        let has_new_webhooks = self.take_webhooks(&mut settings.webhooks, api);
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
            has_new_webhooks,
            budget: args.watch.budget,
            show: args.choice.show.clone(),
            otlp_events: args.choice.otlp_events.clone(),
        })
    }

    /// Records name webhooks by their places, which must not change: what is new comes behind what was there.
    fn take_webhooks(&mut self, asked: &mut Vec<Target>, api: bool) -> bool {
        if self.webhooks.is_empty() && !asked.is_empty() {
            talk::say(
                "--webhook: none was named at the beginning, so nothing is attached for it; restart for that",
            );
            asked.clear();
        }
        if self.webhooks.iter().any(|target| !asked.contains(target)) {
            talk::say("--webhook: what was named before stays watched until a restart");
        }
        let fresh: Vec<Target> =
            asked.iter().filter(|target| !self.webhooks.contains(target)).cloned().collect();
        if api && !fresh.is_empty() {
            talk::say(
                "--webhook: those that the Kubernetes API names have the places behind; restart for more",
            );
            asked.clone_from(&self.webhooks);
            return false;
        }
        let has_new = !fresh.is_empty();
        self.webhooks.extend(fresh);
        asked.clone_from(&self.webhooks);
        has_new
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
    fn webhooks_keep_their_places() {
        let target = |text: &str| text.parse::<Target>().unwrap();
        let (a, b, c) = (target("10.0.0.1:443"), target("10.0.0.2:443"), target("10.0.0.3:443"));
        let reload = |webhooks: &[Target]| Reload {
            typed: Vec::new(),
            given: ArgMatches::default(),
            webhooks: webhooks.to_vec(),
        };
        let mut asked = vec![c.clone(), b.clone()];
        let mut before = reload(&[a.clone(), b.clone()]);
        let before_api = asked.clone();
        assert!(!before.take_webhooks(&mut asked, true), "the API's have the places behind");
        assert_eq!(asked, [a.clone(), b.clone()]);
        asked = before_api;
        assert!(before.take_webhooks(&mut asked, false));
        assert_eq!(asked, [a, b, c.clone()]);
        assert!(!before.take_webhooks(&mut vec![c.clone()], false));
        let mut none = vec![c];
        assert!(!reload(&[]).take_webhooks(&mut none, false) && none.is_empty());
    }
}
