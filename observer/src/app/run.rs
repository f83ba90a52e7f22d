//! `observer run`: containers, followed from their start to their end.

use anyhow::Result;

use super::{
    sinks::Outlets,
    spans, until,
    watching::{self, Plan},
};
use crate::{cli, pipeline::Settings, probes::Purpose};

/// Runs the command to its end and gives its exit code.
///
/// # Errors
/// See [`until::the_end`].
pub fn run(args: &cli::Run) -> Result<i32> {
    let plan = Plan {
        command: "run",
        purpose: Purpose::Lives,
        watch: &args.watch,
        listen: &args.listen,
        settings: Settings {
            ready_wait_ns: args.watch.ready_wait.as_nanos() as u64,
            follow: true,
            stats_interval_ns: args.interval.as_nanos() as u64,
            filter: watching::filter(&args.filter),
            webhooks: args.webhooks.clone(),
            evidence: spans::evidence(&args.listen),
            ..Settings::default()
        },
        outlets: Outlets {
            format: args.print.format,
            starts: None,
            show: args.choice.show.clone(),
            attention: true,
            otlp: &args.otlp,
            otlp_events: args.choice.otlp_events.clone(),
        },
        cmd: &[],
        status_line: true,
    };
    until::the_end(&plan, |_| Ok(()))
}
