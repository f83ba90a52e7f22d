//! `observer replay`: the same pipeline and sinks, fed from a recording.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};

use super::{
    catalogue, exit,
    sinks::{Observer, Outlets, Sinks},
    watching,
};
use crate::{
    cli,
    input::{End, EndReason, Fact, FactKind, Input},
    output::Output,
    pipeline::{Pipeline, Settings, Show},
    record::{Damage, Ended, Header, ReadReport, RecordingReader},
    rules::catalogue::Entry,
    sink::Identity,
    time::{ClockOffset, Time},
};

pub fn run(args: &cli::Replay) -> Result<i32> {
    let mut reader = RecordingReader::open(&args.path)?;
    say_where_it_begins(&reader);
    let header = reader.header().header.clone();
    let begins = reader.header().begins;
    let mut settings = recorded_settings(&header)?;
    say_what_differs(&header, args, &settings);
    let own = super::run::own_entries(&args.judging)?;
    overrule(&mut settings, args, &own);
    let outlets = Outlets {
        format: args.print.format,
        starts: Some(&args.starts),
        show: args.choice.show.clone().or(recorded_show(&header)?),
        attention: settings.follow,
        quiet: false,
        otlp: &args.otlp,
        metrics: None,
        otlp_events: args.choice.otlp_events.clone(),
        lang: args.judging.lang,
    };
    let identity = Identity { node: header.node.clone(), host: header.host.clone() };
    let mut sinks = Sinks::open(&outlets, &Observer { identity, host_id: None })?;
    let mut pipeline = judged(settings)?;
    let mut window = Window::new(args, begins);
    let mut last = begins;
    let mut ended = false;
    for input in &mut reader {
        window.note(&input)?;
        if window.is_over(&input) {
            break;
        }
        last = last.max(input.time());
        ended = is_end(&input);
        let input = overruled(input, args, &own)?;
        feed(&mut pipeline, &mut sinks, &input, window.shows(&input) || ended)?;
        if sinks.reader_left {
            return Ok(exit::RAN);
        }
    }
    if !ended {
        // Cut, or stopped before its end: what is known so far is reported as far as it came.
        let end = End { why: EndReason::Interrupted, command_exit: None };
        let input = Input::Fact(Fact { time: last, what: FactKind::End(end) });
        feed(&mut pipeline, &mut sinks, &input, true)?;
    }
    sinks.finish()?;
    let is_whole = say_what_is_missing(reader.report());
    if sinks.found(args.judging.exit_on.as_deref()) {
        return Ok(exit::FOUND);
    }
    Ok(if is_whole { exit::code(&pipeline, &[], &[], true) } else { exit::LESS_MEASURED })
}

/// A pipeline that judges what it sees, if containers are followed.
pub fn judged(settings: Settings) -> Result<Pipeline> {
    let rules = settings.follow.then(|| catalogue::rules(&settings)).transpose()?;
    let pipeline = Pipeline::new(settings);
    Ok(match rules {
        Some(rules) => pipeline.with_rules(rules).with_rules_of(|settings| catalogue::rules(settings).ok()),
        None => pipeline,
    })
}

fn feed(pipeline: &mut Pipeline, sinks: &mut Sinks, input: &Input, shown: bool) -> Result<()> {
    let mut result = Ok(());
    pipeline.step(input, |output| {
        if shown && result.is_ok() && !matches!(output, Output::Want(_)) {
            result = sinks.output(&output);
        }
    });
    result
}

/// A recording, or the last part of it, and from when on what is told of it is wanted.
///
/// # Errors
/// It cannot be read.
pub fn open(path: &Path, last: Option<Duration>) -> Result<(RecordingReader, Time)> {
    Ok(match last {
        Some(last) => {
            let ns = u64::try_from(last.as_nanos()).unwrap_or(u64::MAX);
            RecordingReader::open_last(path, ns)?
        }
        None => (RecordingReader::open(path)?, Time(0)),
    })
}

/// All of a recording through a pipeline, with the time of the input that an output follows from. Cut, or stopped
/// before its end, it is taken to end there.
pub fn feed_all(reader: &mut RecordingReader, pipeline: &mut Pipeline, mut take: impl FnMut(Time, &Output)) {
    let mut last = reader.header().begins;
    let mut ended = false;
    for input in reader {
        last = last.max(input.time());
        ended = is_end(&input);
        pipeline.step(&input, |output| take(input.time(), &output));
    }
    if !ended {
        let end = End { why: EndReason::Interrupted, command_exit: None };
        let input = Input::Fact(Fact { time: last, what: FactKind::End(end) });
        pipeline.step(&input, |output| take(last, &output));
    }
}

fn is_end(input: &Input) -> bool {
    matches!(input, Input::Fact(Fact { what: FactKind::End(_), .. }))
}

pub(super) fn recorded_settings(header: &Header) -> Result<Settings> {
    let text = header
        .options
        .get("settings")
        .context("the recording does not say with which settings it was made")?;
    settings_of(text)
}

fn settings_of(text: &str) -> Result<Settings> {
    serde_json::from_str(text).context("the recording's settings cannot be read by this version")
}

/// What the run was told to show; another choice can be made now.
fn recorded_show(header: &Header) -> Result<Option<Show>> {
    let show = header.options.get("show").map(|list| list.parse());
    show.transpose().context("what the recorded run showed is not known to this version")
}

/// Another binary or other options give another result: said, so that nobody takes it for the recorded one.
fn say_what_differs(header: &Header, args: &cli::Replay, settings: &Settings) {
    let version = env!("CARGO_PKG_VERSION");
    if header.observer_version != version {
        eprintln!("observer: recorded by version {}, replayed by {version}", header.observer_version);
    }
    let asked = watching::filter(&args.filter);
    if !asked.is_empty() && asked != settings.filter {
        eprintln!(
            "observer: recorded with {}, replayed with {}",
            settings.filter.describe(),
            asked.describe()
        );
    }
}

/// What is asked for now counts more than what was then.
fn overrule(settings: &mut Settings, args: &cli::Replay, own: &[Entry]) {
    let asked = watching::filter(&args.filter);
    if !asked.is_empty() {
        settings.filter = asked;
    }
    if args.judging.catalogue.is_some() {
        settings.catalogue = own.to_vec();
    }
    settings.scenario = args.judging.scenario.clone().or(settings.scenario.take());
}

/// The same, of options that were read again meanwhile.
fn overruled(input: Input, args: &cli::Replay, own: &[Entry]) -> Result<Input> {
    let Input::Fact(Fact { time, what: FactKind::Settings(text) }) = input else { return Ok(input) };
    let mut settings = settings_of(&text)?;
    overrule(&mut settings, args, own);
    let text = serde_json::to_string(&settings).context("cannot encode the settings")?;
    Ok(Input::Fact(Fact { time, what: FactKind::Settings(text) }))
}

/// What was there before it, and is not in it.
pub fn say_where_it_begins(reader: &RecordingReader) {
    let (first, report) = (reader.header(), reader.report());
    let dropped = first.number.saturating_sub(report.skipped_segments);
    if dropped > 0 {
        eprintln!("observer: {dropped} earlier segments of this run were dropped to keep the limit");
    }
    if report.other_segments > 0 {
        let count = report.other_segments;
        eprintln!(
            "observer: {count} segments are of earlier runs, and not in this: name one of them to see its own"
        );
    }
}

/// What the recording lacks; whether that is nothing of what it was to hold. Up to where one is cut, it is whole.
pub fn say_what_is_missing(report: &ReadReport) -> bool {
    for damage in &report.damages {
        match &damage.ended {
            Ended::Complete => {}
            Ended::Cut { at_byte } => {
                eprintln!(
                    "observer: {} is cut at byte {at_byte}, or still being written; read up to there",
                    damage.path.display()
                );
            }
            Ended::Damaged { at_byte, why } => {
                eprintln!("observer: {} is damaged at byte {at_byte}: {why}", damage.path.display());
            }
        }
    }
    let counts = [
        (report.lost, "inputs were not written"),
        (report.missing_segments, "segments are missing"),
        (report.unknown_frames, "frames are of a kind that a newer observer may know"),
        (report.undecoded_frames, "frames cannot be read by this version"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        eprintln!("observer: {count} {what}");
    }
    let is_damaged = |damage: &Damage| matches!(damage.ended, Ended::Damaged { .. });
    !report.damages.iter().any(is_damaged)
        && report.lost + report.missing_segments + report.undecoded_frames == 0
}

/// `--since` and `--until`, which may be given on either clock.
struct Window {
    since: Option<String>,
    until: Option<String>,
    begins: Time,
    clock: Option<ClockOffset>,
    from: Option<Time>,
    to: Option<Time>,
}

impl Window {
    fn new(args: &cli::Replay, begins: Time) -> Self {
        let (since, until) = (args.since.clone(), args.until.clone());
        Window { since, until, begins, clock: None, from: None, to: None }
    }

    /// The first clock offset of the recording gives the bounds their meaning.
    fn note(&mut self, input: &Input) -> Result<()> {
        let Input::Fact(Fact { what: FactKind::Clock(offset), .. }) = input else { return Ok(()) };
        if self.clock.is_none() {
            self.clock = Some(*offset);
            self.from = self.since.as_deref().map(|text| self.instant(text, *offset)).transpose()?;
            self.to = self.until.as_deref().map(|text| self.instant(text, *offset)).transpose()?;
        }
        Ok(())
    }

    fn instant(&self, text: &str, offset: ClockOffset) -> Result<Time> {
        if let Ok(duration) = cli::duration(text) {
            return Ok(self.begins.plus(duration.as_nanos() as u64));
        }
        let Ok(wall) = text.parse::<jiff::Timestamp>() else {
            bail!(super::Usage(format!("{text:?} is neither a time (RFC 3339) nor a duration")));
        };
        let boot = wall.as_nanosecond() - i128::from(offset.wall_minus_boot_ns);
        Ok(Time(u64::try_from(boot).unwrap_or(0)))
    }

    /// Earlier inputs are taken in, for what they tell of later ones, but not shown.
    fn shows(&self, input: &Input) -> bool {
        self.from.is_none_or(|from| input.time() >= from)
    }

    fn is_over(&self, input: &Input) -> bool {
        self.to.is_some_and(|to| input.time() > to) && !is_end(input)
    }
}
