//! `observer coldstart`: container starts, broken down.

use anyhow::Result;

use super::{
    answers, follow,
    sinks::{Outlets, Sinks},
    spans, until,
    watching::{self, Plan},
};
use crate::{
    cli,
    compare::usual::Usual,
    pipeline::{Settings, Show},
    probes::Purpose,
};

/// Runs the command to its end and gives its exit code.
///
/// # Errors
/// See [`until::the_end`]; what was learned cannot be kept.
pub fn run(args: &cli::Coldstart) -> Result<i32> {
    let plan = Plan {
        command: "coldstart",
        purpose: Purpose::Starts,
        watch: &args.watch,
        listen: &args.listen,
        settings: Settings {
            ready_wait_ns: args.watch.ready_wait.as_nanos() as u64,
            filter: watching::filter(&args.filter),
            evidence: spans::evidence(&args.listen),
            ..Settings::default()
        },
        outlets: Outlets {
            format: args.print.format,
            starts: Some(&args.starts),
            show: None,
            attention: false,
            quiet: false,
            otlp: &args.otlp,
            metrics: Some(&args.metrics),
            otlp_events: Show::default(),
            lang: None,
        },
        text: false,
        cmd: &args.cmd,
        status_line: false,
        learns: false,
        remembers: false,
        answers_at: None,
        reload: None,
        kube: None,
        k8s_events: false,
    };
    let at_end =
        |sinks: &Sinks| if args.learn { super::learn(sinks.samples(), &Usual::default()) } else { Ok(()) };
    let needs_its_own = follow::needs_its_own(&args.watch, &args.listen);
    match answers::find(&args.service)?.filter(|_| !needs_its_own) {
        Some(client) => follow::run(&client, &plan, at_end),
        None => {
            answers::say_what_is_doubled(&args.service);
            until::the_end(&plan, |edge| at_end(&edge.sinks))
        }
    }
}
