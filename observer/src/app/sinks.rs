//! Every place that outputs of a run go to, opened before anything is attached.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    cli,
    compare::{Sample, Samples},
    output::Output,
    sink::{
        HtmlSink, Identity, JsonSink, Sink, TableSink,
        compare::{self, Earlier, Report},
        is_broken_pipe,
        otlp::{Host, OtlpSettings, OtlpSink},
        table,
    },
};

/// How long a collector is given at the end of a run.
const FLUSH: Duration = Duration::from_millis(800);

pub struct Sinks {
    sinks: Vec<Box<dyn Sink>>,
    otlp: Option<OtlpSink>,
    comparison: Option<(String, Earlier)>,
    samples: Samples,
    /// Whoever read standard output has left.
    pub reader_left: bool,
}

/// Who observed, for all sinks.
pub struct Observer {
    pub identity: Identity,
    pub host_id: Option<String>,
}

impl Sinks {
    pub fn open(output: &cli::Output, otlp: &cli::Otlp, observer: &Observer) -> Result<Self> {
        let stdout = io::stdout();
        let identity = observer.identity.clone();
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        match output.output {
            cli::Format::Json => sinks.push(Box::new(JsonSink::new(stdout, identity.clone()))),
            cli::Format::Table => {
                let options = table::Options {
                    width: terminal_width().unwrap_or(table::Options::NARROWEST),
                    color: stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
                    waterfall: output.waterfall,
                    group_by: output.group_by,
                };
                sinks.push(Box::new(TableSink::new(stdout, options)));
            }
        }
        if let Some(path) = &output.html {
            let page = HtmlSink::create(path, identity, output.group_by).with_context(|| {
                format!("cannot write {}; name a file in a folder that exists", path.display())
            })?;
            sinks.push(Box::new(page));
        }
        Ok(Sinks {
            sinks,
            otlp: open_otlp(otlp, observer)?,
            comparison: output.compare.as_deref().map(read_earlier).transpose()?,
            samples: Samples::default(),
            reader_left: false,
        })
    }

    pub fn output(&mut self, output: &Output) -> Result<()> {
        if let Output::ColdStart(start) = output {
            self.samples.add(Sample::of(start));
            if let Some(otlp) = &self.otlp {
                otlp.send(start);
            }
        }
        for sink in &mut self.sinks {
            match sink.output(output) {
                Err(error) if is_broken_pipe(&error) => self.reader_left = true,
                result => result.context("cannot write the output")?,
            }
        }
        Ok(())
    }

    /// The starts of this run, for the baseline.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Writes what waited for the end, then gives the collector a moment.
    pub fn finish(&mut self) -> Result<()> {
        if let Some((against, before)) = self.comparison.take() {
            let report = Report::new(against, &before, &self.samples);
            for sink in &mut self.sinks {
                sink.comparison(&report).or_else(unless_broken_pipe)?;
            }
        }
        for sink in &mut self.sinks {
            sink.finish().or_else(unless_broken_pipe).context("cannot write the output")?;
        }
        io::stdout().flush().or_else(unless_broken_pipe)?;
        if let Some(otlp) = self.otlp.take() {
            eprintln!("observer: {}", otlp.flush(FLUSH));
        }
        Ok(())
    }
}

fn unless_broken_pipe(error: io::Error) -> io::Result<()> {
    if is_broken_pipe(&error) { Ok(()) } else { Err(error) }
}

fn open_otlp(otlp: &cli::Otlp, observer: &Observer) -> Result<Option<OtlpSink>> {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(settings) =
        OtlpSettings::resolve(otlp.otlp.as_deref(), otlp.otlp_protocol.as_deref(), variable)?
    else {
        return Ok(None);
    };
    let host = Host {
        name: observer.identity.host.clone(),
        id: observer.host_id.clone(),
        node: observer.identity.node.clone(),
        cluster: None,
    };
    Ok(Some(OtlpSink::new(settings, host, |line| eprintln!("observer: {line}"))?))
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
