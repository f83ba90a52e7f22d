//! `observer report`: what a recording amounts to, for a ticket or for a page.

use std::{fs::File, io};

use anyhow::{Context, Result};

use super::{answers, exit, replay};
use crate::{
    cli,
    output::Output,
    pipeline::Settings,
    sink::{GroupBy, HtmlSink, Identity, MarkdownSink, Sink},
};

/// Runs the command to its end and gives its exit code.
///
/// # Errors
/// The recording cannot be read, or a page not written.
pub fn run(args: &cli::Report) -> Result<i32> {
    let path = answers::recording(args.path.as_deref(), &args.service)?;
    let (mut reader, from) = replay::open(&path, args.last)?;
    replay::say_where_it_begins(&reader);
    let header = reader.header().header.clone();
    let settings = Settings { follow: true, ..replay::recorded_settings(&header)? };
    let identity = Identity { node: header.node.clone(), host: header.host.clone() };
    let mut sinks = sinks(args, &identity)?;
    let mut pipeline = replay::judged(settings)?;
    let mut result = Ok(());
    replay::feed_all(&mut reader, &mut pipeline, |time, output: &Output| {
        for sink in &mut sinks {
            if result.is_ok() && time >= from {
                result = sink.output(output);
            }
        }
    });
    result?;
    for sink in &mut sinks {
        match sink.finish() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(exit::RAN),
            finished => finished?,
        }
    }
    let is_whole = replay::say_what_is_missing(reader.report());
    Ok(if is_whole { exit::code(&pipeline, &[], &[], false) } else { exit::LESS_MEASURED })
}

/// Where it goes: to the files that are named; without any as Markdown to standard output.
fn sinks(args: &cli::Report, identity: &Identity) -> Result<Vec<Box<dyn Sink>>> {
    let host = identity.node.as_deref().unwrap_or(&identity.host);
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if let Some(path) = &args.html {
        let page = HtmlSink::create(path, identity.clone(), GroupBy::default());
        sinks.push(Box::new(page.with_context(|| format!("cannot write {}", path.display()))?));
    }
    if let Some(path) = &args.markdown {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        sinks.push(Box::new(MarkdownSink::new(file, host)));
    }
    if sinks.is_empty() {
        sinks.push(Box::new(MarkdownSink::new(io::stdout(), host)));
    }
    Ok(sinks)
}
