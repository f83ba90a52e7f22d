//! `observer run`: containers, followed from their start to their end.

use std::cell::RefCell;

use anyhow::Result;

use super::{
    answers, catalogue, config, exit, follow, learning,
    reload::{self, Reload},
    sinks::{Outlets, Sinks},
    until,
    watching::Plan,
};
use crate::{cli, pipeline::Settings, probes::Purpose, rules::catalogue::Entry};

/// Runs the command to its end and gives its exit code.
///
/// # Errors
/// See [`until::the_end`].
pub fn run(args: &cli::Run, options: &config::Options) -> Result<i32> {
    let mut found = false;
    let answers_at = Some(args.service.socket.as_path()).filter(|path| !answers::is_off(path));
    let learns = learning::is_wanted(args.learn);
    let record = args.watch.record.clone().or_else(super::recording_of_a_service);
    let watch = cli::Watch { record, ..args.watch.clone() };
    let plan = Plan {
        command: "run",
        purpose: Purpose::Lives,
        watch: &watch,
        listen: &args.listen,
        settings: Settings { normals: learning::known(learns), ..reload::settings(args)? },
        outlets: Outlets {
            format: args.print.format,
            starts: None,
            show: args.choice.show.clone(),
            attention: true,
            quiet: false,
            otlp: &args.otlp,
            metrics: Some(&args.metrics),
            otlp_events: args.choice.otlp_events.clone(),
            lang: args.judging.lang,
        },
        text: !args.no_text,
        cmd: &[],
        status_line: true,
        learns,
        remembers: answers_at.is_some(),
        answers_at,
        reload: Reload::of(options, &args.webhooks).map(RefCell::new),
        kube: Some(&args.kubernetes),
        k8s_events: args.k8s_events,
    };
    let mut at_end = |sinks: &Sinks| {
        found = sinks.found(args.judging.exit_on.as_deref());
        Ok(())
    };
    let needs_its_own = follow::needs_its_own(&watch, &args.listen)
        || !args.webhooks.is_empty()
        || args.k8s_events
        || args.learn;
    let code = match answers::find(&args.service)?.filter(|_| !needs_its_own) {
        Some(client) => follow::run(&client, &plan, at_end)?,
        None => {
            answers::has_place(&args.service)?;
            answers::say_what_is_doubled(&args.service);
            until::the_end(&plan, |edge| at_end(&edge.sinks))?
        }
    };
    Ok(if found { exit::FOUND } else { code })
}

/// Entries of the user's own catalogue, if any.
pub fn own_entries(judging: &cli::Judging) -> Result<Vec<Entry>> {
    let own = judging.catalogue.as_deref().map(|path| catalogue::user(path, judging.scenario.as_deref()));
    Ok(own.transpose()?.unwrap_or_default())
}
