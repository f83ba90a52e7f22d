//! Every place that outputs of a run go to, opened before anything is attached.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{metering::Metering, talk};
use crate::{
    cli,
    compare::{Sample, Samples},
    output::{Event, Grade, Health, Output, RuntimeAction, What},
    pipeline::{Show, needs_attention},
    sink::{
        GroupBy, HtmlSink, Identity, JsonSink, Sink, TableSink,
        compare::{self, Earlier, Report},
        is_broken_pipe,
        otlp::{Host, OtlpSettings, OtlpSink},
        table::{self, Waterfall},
    },
};

/// How long a collector is given at the end of a run.
const FLUSH: Duration = Duration::from_millis(800);

/// Its own spans say it.
fn is_part_of_a_start(event: &Event) -> bool {
    matches!(&event.what, What::Runtime(runtime) if runtime.action == RuntimeAction::Phase)
}

pub struct Sinks {
    outlets: Vec<Outlet>,
    otlp: Option<OtlpSink>,
    metering: Option<Metering>,
    /// Until the end: how the observer was doing when that was said last.
    health: Option<Health>,
    /// Events that are exported, too.
    otlp_events: Show,
    comparison: Option<(String, Earlier)>,
    samples: Samples,
    /// The surest grade of any finding so far.
    surest: Option<Grade>,
    /// Whoever read standard output has left.
    pub reader_left: bool,
}

/// Who observed, for all sinks.
pub struct Observer {
    pub identity: Identity,
    pub host_id: Option<String>,
}

/// What goes where, as typed.
pub struct Outlets<'a> {
    pub format: cli::Format,
    /// How cold starts are shown, where that can be chosen.
    pub starts: Option<&'a cli::Starts>,
    /// What is shown; `None`: all of it.
    pub show: Option<Show>,
    /// People are shown what needs attention unless they ask for more.
    pub attention: bool,
    /// Nothing goes to standard output.
    pub quiet: bool,
    pub otlp: &'a cli::Otlp,
    /// Of a run that watches.
    pub metrics: Option<&'a cli::Metrics>,
    pub otlp_events: Show,
    /// Of the table; `None`: the locale's.
    pub lang: Option<table::Lang>,
}

impl Outlets<'_> {
    fn choice(&self) -> Shows {
        match &self.show {
            Some(show) => Shows::Asked(show.clone()),
            None if self.attention && self.format == cli::Format::Table => Shows::Attention,
            None => Shows::All,
        }
    }

    fn table(&self) -> table::Options {
        let choice = self.choice();
        table::Options {
            waterfall: self.starts.map_or_else(Waterfall::default, |starts| starts.waterfall),
            group_by: self.starts.map_or_else(GroupBy::default, |starts| starts.group_by),
            brief: matches!(choice, Shows::Attention),
            all_probes: match choice {
                Shows::All => true,
                Shows::Asked(show) => show.takes_health(),
                Shows::Attention => false,
            },
            ..page_options(self.lang)
        }
    }
}

/// For this terminal, or for none; `lang` as asked for, else the locale's.
pub fn page_options(lang: Option<table::Lang>) -> table::Options {
    table::Options {
        width: terminal_width().unwrap_or(table::Options::NARROWEST),
        color: wants_color(),
        lang: lang.unwrap_or_else(locale),
        ..table::Options::default()
    }
}

/// Where outputs go, and which.
struct Outlet {
    sink: Box<dyn Sink>,
    shows: Shows,
    /// The table says of health what it must, whatever is shown.
    always_health: bool,
}

impl Outlet {
    fn takes(&self, output: &Output) -> bool {
        self.shows.take(output) || (self.always_health && matches!(output, Output::Health(_)))
    }
}

/// What is shown.
enum Shows {
    All,
    Asked(Show),
    Attention,
}

impl Shows {
    fn take(&self, output: &Output) -> bool {
        match self {
            Shows::All => true,
            Shows::Asked(show) => show.takes(output),
            Shows::Attention => needs_attention(output),
        }
    }
}

impl Sinks {
    pub fn open(outlets: &Outlets, observer: &Observer) -> Result<Self> {
        let stdout = io::stdout();
        let identity = observer.identity.clone();
        let is_table = outlets.format == cli::Format::Table;
        let sink: Box<dyn Sink> = match outlets.format {
            cli::Format::Json => Box::new(JsonSink::new(stdout, identity.clone())),
            cli::Format::Table => Box::new(TableSink::new(stdout, outlets.table())),
        };
        let mut all = vec![Outlet { sink, shows: outlets.choice(), always_health: is_table }];
        all.retain(|_| !outlets.quiet);
        let starts = outlets.starts;
        if let Some((path, by)) = starts.and_then(|starts| Some((starts.html.as_ref()?, starts.group_by))) {
            let page = HtmlSink::create(path, identity, by).with_context(|| {
                format!("cannot write {}; name a file in a folder that exists", path.display())
            })?;
            all.push(Outlet { sink: Box::new(page), shows: Shows::All, always_health: true });
        }
        let otlp = open_otlp(outlets.otlp, observer)?;
        Ok(Sinks {
            outlets: all,
            metering: Metering::open(outlets.metrics, otlp.is_some())?,
            health: None,
            otlp,
            otlp_events: outlets.otlp_events.clone(),
            comparison: starts.and_then(|starts| starts.compare.as_deref()).map(read_earlier).transpose()?,
            samples: Samples::default(),
            surest: None,
            reader_left: false,
        })
    }

    pub fn output(&mut self, output: &Output) -> Result<()> {
        match (output, &self.otlp) {
            (Output::ColdStart(start), otlp) => {
                self.samples.add(Sample::of(start));
                if let Some(otlp) = otlp {
                    otlp.send(start);
                }
            }
            (Output::Evidence(evidence), Some(otlp)) => otlp.send_evidence(evidence),
            (Output::Event(event), Some(otlp))
                if self.otlp_events.takes_event(event) && !is_part_of_a_start(event) =>
            {
                otlp.send_event(event);
            }
            (Output::Finding(finding), otlp) => {
                self.surest = self.surest.max(Some(finding.grade));
                if let Some(otlp) = otlp {
                    otlp.send_status(finding);
                }
            }
            (Output::Settled(finding), Some(otlp)) => otlp.send_finding(finding),
            (Output::Health(health), _) => self.health = Some(health.clone()),
            _ => {}
        }
        if let Some(metering) = &self.metering {
            metering.take(output);
        }
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.takes(output)) {
            talk::make_room();
            match outlet.sink.output(output) {
                Err(error) if is_broken_pipe(&error) => self.reader_left = true,
                result => result.context("cannot write the output")?,
            }
        }
        Ok(())
    }

    /// Shows, and exports, these events from now on.
    pub fn show(&mut self, outlets: &Outlets) {
        self.otlp_events = outlets.otlp_events.clone();
        if let Some(first) = self.outlets.first_mut().filter(|_| !outlets.quiet) {
            first.shows = outlets.choice();
        }
    }

    /// How the observer is doing by now, for metrics; which are sent as they are then.
    pub fn measured(&self, health: &Health) {
        let Some(metering) = &self.metering else { return };
        let snapshot = metering.snapshot(health);
        if let Some(otlp) = &self.otlp {
            otlp.send_metrics(snapshot);
        }
    }

    /// Whether there was a finding of the grade that is asked for, or a surer one.
    pub fn found(&self, asked: Option<&str>) -> bool {
        let asked = asked.and_then(|name| Grade::ALL.iter().copied().find(|grade| grade.name() == name));
        asked.is_some_and(|asked| self.surest >= Some(asked))
    }

    /// The starts of this run, for the baseline.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The same, once; for a run without an end that compares them.
    pub fn take_samples(&mut self) -> Samples {
        std::mem::take(&mut self.samples)
    }

    /// Writes what waited for the end, then gives the collector a moment.
    pub fn finish(&mut self) -> Result<()> {
        if let Some((against, before)) = self.comparison.take() {
            let report = Report::new(against, &before, &self.samples);
            for outlet in &mut self.outlets {
                outlet.sink.comparison(&report).or_else(unless_broken_pipe)?;
            }
        }
        for outlet in &mut self.outlets {
            outlet.sink.finish().or_else(unless_broken_pipe).context("cannot write the output")?;
        }
        io::stdout().flush().or_else(unless_broken_pipe)?;
        if let Some(health) = self.health.take() {
            self.measured(&health);
        }
        if let Some(otlp) = self.otlp.take() {
            talk::say(otlp.flush(FLUSH));
        }
        Ok(())
    }
}

/// The language of the first variable that says one.
fn locale() -> table::Lang {
    let said = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    said.map_or_else(table::Lang::default, |locale| table::Lang::of_locale(&locale))
}

fn unless_broken_pipe(error: io::Error) -> io::Result<()> {
    if is_broken_pipe(&error) { Ok(()) } else { Err(error) }
}

/// The collector, where one was named.
///
/// # Errors
/// What was typed, or the environment, leads nowhere.
pub fn collector(otlp: &cli::Otlp) -> Result<Option<OtlpSettings>> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = OtlpSettings::resolve(otlp.otlp.as_deref(), otlp.otlp_protocol.as_deref(), variable);
    Ok(settings.map_err(|why| super::Usage(why.to_string()))?)
}

fn open_otlp(otlp: &cli::Otlp, observer: &Observer) -> Result<Option<OtlpSink>> {
    let Some(settings) = collector(otlp)? else { return Ok(None) };
    let host = Host {
        name: observer.identity.host.clone(),
        id: observer.host_id.clone(),
        node: observer.identity.node.clone(),
        cluster: None,
    };
    Ok(Some(OtlpSink::new(settings, host, |line| talk::say(line))?))
}

/// On a terminal that has colours, and whose user wants them (no-color.org: `NO_COLOR`, if it is not empty).
fn wants_color() -> bool {
    let is =
        |name: &str, of: fn(&std::ffi::OsStr) -> bool| std::env::var_os(name).is_some_and(|value| of(&value));
    io::stdout().is_terminal()
        && !is("NO_COLOR", |value| !value.is_empty())
        && !is("TERM", |value| value == "dumb")
}

fn read_earlier(path: &std::path::Path) -> Result<(String, Earlier)> {
    if path.as_os_str() == "baseline" {
        let path = super::baseline_path();
        let Some(baseline) = compare::load(&path)? else {
            bail!(
                "there is no baseline on this node yet ({}): run `observer coldstart --learn` first",
                path.display()
            );
        };
        let mut samples = Samples::default();
        baseline.samples().into_iter().for_each(|sample| samples.add(sample));
        return Ok(("baseline".to_owned(), Earlier { samples, broken_lines: 0 }));
    }
    Ok((path.display().to_string(), compare::read(path)?))
}

/// Columns of the terminal on standard output, if it is one.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
