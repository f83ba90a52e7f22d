//! `observer describe`: one pod or container, on one screen. Without an observer that runs already: a look at what is
//! there, and a few seconds of watching.

pub mod engine;
pub mod merge;
pub mod seen;
mod sentence;

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    Usage, answers, exit,
    kube::Api,
    sinks::{self, Outlets},
    until,
    watching::{self, Plan},
};
use crate::{
    cli,
    filter::Asked,
    output::{Description, Known, Source},
    pipeline::{Settings, Show},
    probes::Purpose,
    sink::{self, Identity, is_broken_pipe, table},
    source::facts::{cri, host::HostFacts},
};
use engine::Said;
use seen::Seen;

/// How long is watched, unless told otherwise.
const A_LOOK: Duration = Duration::from_secs(5);

/// Runs the command and gives its exit code.
///
/// # Errors
/// It is not known who is meant; nothing can be attached; see [`until::the_end`].
pub fn run(args: &cli::Describe) -> Result<i32> {
    let asked = Asked::parse(&args.who).map_err(Usage)?;
    if let Some(client) = answers::find(&args.service)? {
        return answers::ask_to_describe(&client, args);
    }
    answers::say_what_is_doubled(&args.service);
    let (seen, code) = look(args, &asked)?;
    let host = watching::host_root(&args.watch.host)?;
    let sockets = cri::sockets(&host, args.watch.host.cri.as_deref());
    let facts = HostFacts::read(&host);
    let api = Api::find(&args.kubernetes, &host, &facts)?;
    let access = api.as_ref().map(|api| api.access.as_ref());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let said = runtime.block_on(async { Said::ask(&host, &cri::Cri::new(&sockets), access, &asked).await });
    let mut description = merge::describe(&args.who, Source::Snapshot, seen, said);
    engine::measure_logs(&host, &mut description);
    engine::look_at_networks(&host, &mut description);
    let identity = watching::observer(&facts).identity;
    let stdout = io::stdout();
    show(&mut stdout.lock(), args.print.format, &identity, sinks::page_options(args.lang), &description)?;
    Ok(if code == exit::RAN && description.known == Known::Never { exit::NO_MATCH } else { code })
}

/// Attaches, looks and watches for a moment.
fn look(args: &cli::Describe, asked: &Asked) -> Result<(Seen, i32)> {
    let watch = cli::Watch { duration: Some(args.watch.duration.unwrap_or(A_LOOK)), ..args.watch.clone() };
    let (otlp, listen) = (cli::Otlp::default(), cli::Listen::default());
    let plan = Plan {
        command: "describe",
        purpose: Purpose::Lives,
        watch: &watch,
        listen: &listen,
        settings: Settings {
            ready_wait_ns: watch.ready_wait.as_nanos() as u64,
            follow: true,
            ..Settings::default()
        },
        outlets: Outlets {
            format: args.print.format,
            starts: None,
            show: None,
            attention: false,
            quiet: true,
            otlp: &otlp,
            metrics: None,
            otlp_events: Show::default(),
            lang: args.lang,
        },
        text: true,
        cmd: &[],
        status_line: false,
        learns: false,
        remembers: true,
        answers_at: None,
        reload: None,
        kube: Some(&args.kubernetes),
        k8s_events: false,
    };
    let mut seen = None;
    let code = until::the_end(&plan, |edge| {
        seen = Some(Seen::of(edge, asked));
        Ok(())
    })?;
    Ok((seen.context("the observer ended before it had looked")?, code))
}

/// Writes it as it was asked for.
pub fn show(
    out: &mut impl Write,
    format: cli::Format,
    identity: &Identity,
    page: table::Options,
    description: &Description,
) -> Result<()> {
    let written = match format {
        cli::Format::Table => out.write_all(table::describe(page, description).as_bytes()),
        cli::Format::Json => sink::JsonSink::new(&mut *out, identity.clone()).describe(description),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if !is_broken_pipe(&error) => Err(error).context("cannot write the output"),
        _ => Ok(()),
    }
}
