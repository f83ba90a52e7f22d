//! What a bench found: a table on stdout, JSON in the target directory. A missed promise is said, and is no
//! failure of the bench: it is for people to judge whether the machine was quiet.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::stats::{Blocks, Spread};
use crate::{cmd::Cmd, paths};

pub(super) struct Report {
    name: &'static str,
    machine: Machine,
    quick: bool,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

struct Figure {
    what: String,
    unit: &'static str,
    spread: Spread,
    /// Against the baseline of the same run.
    ratio: Option<Spread>,
    promise: Option<Promise>,
}

/// About a ratio where there is one, else about the figure itself.
#[derive(Clone, Copy)]
pub(super) enum Promise {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    pub(super) fn new(name: &'static str, machine: Machine, quick: bool) -> Report {
        Report { name, machine, quick, figures: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn figure(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        samples: &Blocks,
        promise: Option<Promise>,
    ) {
        let spread = samples.spread();
        self.figures.push(Figure { what: what.into(), unit, spread, ratio: None, promise });
    }

    /// A figure that means something beside its baseline only.
    pub(super) fn compared(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        (samples, baseline): (&Blocks, &Blocks),
        promise: Option<Promise>,
    ) {
        let (spread, ratio) = (samples.spread(), Some(samples.over(baseline)));
        self.figures.push(Figure { what: what.into(), unit, spread, ratio, promise });
    }

    /// Prints it and writes it to `bench/NAME.json` in the target directory.
    pub(super) fn publish(&self) -> Result<()> {
        println!("\nbench {}: {}", self.name, self.machine.line());
        let width = self.figures.iter().map(|figure| figure.label().len()).max().unwrap_or_default();
        println!("{:width$} {:>4} {:>11} {:>24}  {:26} promise", "", "n", "median", "p10 .. p90", "ratio");
        self.figures.iter().for_each(|figure| println!("{}", figure.line(width, self.doubt().is_none())));
        self.notes.iter().for_each(|note| println!("note: {note}"));
        if let Some(doubt) = self.doubt() {
            println!("NOISE: {doubt}");
        }
        let path = paths::target().join("bench").join(self.name).with_extension("json");
        fs::write(&path, format!("{:#}\n", self.json())).with_context(|| path.display().to_string())?;
        println!("-> {}", path.display());
        Ok(())
    }

    /// Why these figures are not to be quoted, and promises not to be judged by them.
    fn doubt(&self) -> Option<String> {
        let Machine { load, cpus, .. } = self.machine;
        if load > cpus as f64 {
            return Some(format!(
                "the load was {load} on {cpus} processors at the start: do not quote these"
            ));
        }
        self.quick.then(|| "--quick takes too few samples: do not quote these".to_owned())
    }

    fn json(&self) -> Value {
        let certain = self.doubt().is_none();
        json!({
            "bench": self.name,
            "machine": self.machine.json(),
            "doubt": self.doubt(),
            "figures": self.figures.iter().map(|figure| figure.json(certain)).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl Figure {
    fn line(&self, width: usize, certain: bool) -> String {
        let Spread { n, p10, median, p90 } = self.spread;
        let ratio = self.ratio.map_or_else(String::new, |ratio| {
            format!("{:.3} ({:.3} .. {:.3})", ratio.median, ratio.p10, ratio.p90)
        });
        let (median, range) = (number(median), format!("{} .. {}", number(p10), number(p90)));
        let promise = self.verdict(certain).unwrap_or_default();
        format!("{:width$} {n:4} {median:>11} {range:>24}  {ratio:26} {promise}", self.label())
    }

    fn label(&self) -> String {
        format!("{}, {}", self.what, self.unit)
    }

    fn verdict(&self, certain: bool) -> Option<String> {
        let words = match self.keeps()? {
            _ if !certain => "not judged",
            true => "kept",
            false => "MISSED",
        };
        Some(match self.promise? {
            Promise::AtMost(limit) => format!("<= {limit}: {words}"),
            Promise::AtLeast(limit) => format!(">= {limit}: {words}"),
        })
    }

    fn keeps(&self) -> Option<bool> {
        let median = self.ratio.unwrap_or(self.spread).median;
        Some(match self.promise? {
            Promise::AtMost(limit) => median <= limit,
            Promise::AtLeast(limit) => median >= limit,
        })
    }

    fn json(&self, certain: bool) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "spread": self.spread.json(),
            "ratio": self.ratio.map(|ratio| ratio.json()),
            "promise": self.promise.map(|promise| match promise {
                Promise::AtMost(limit) => json!({ "at_most": limit }),
                Promise::AtLeast(limit) => json!({ "at_least": limit }),
            }),
            "kept": self.keeps().filter(|_| certain),
        })
    }
}

fn number(value: f64) -> String {
    let digits = if value >= 1000.0 { 0 } else { 2 };
    format!("{value:.digits$}")
}

/// Where and when: figures of different machines are not to be compared.
#[derive(Clone)]
pub(super) struct Machine {
    kernel: String,
    cpus: usize,
    date: String,
    load: f64,
}

impl Machine {
    pub(super) fn this() -> Result<Machine> {
        let load = fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
        let load = load.split(' ').next().and_then(|minute| minute.parse().ok());
        Ok(Machine {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            cpus: std::thread::available_parallelism().context("counting the processors")?.get(),
            date: Cmd::new("date").args(["-u", "+%FT%TZ"]).output()?,
            load: load.context("/proc/loadavg begins with no number")?,
        })
    }

    fn line(&self) -> String {
        let Machine { kernel, cpus, date, load } = self;
        format!("Linux {kernel}, {cpus} processors, load {load}, {date}")
    }

    fn json(&self) -> Value {
        let Machine { kernel, cpus, date, load } = self;
        json!({ "kernel": kernel, "cpus": cpus, "date": date, "load": load })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_about_the_ratio_where_there_is_one() {
        let machine = Machine { kernel: "6.1".into(), cpus: 2, date: String::new(), load: 2.5 };
        let mut report = Report::new("test", machine, false);
        let (slow, fast): (Blocks, Blocks) =
            ([20.0, 20.4].into_iter().collect(), [20.0].into_iter().collect());
        report.compared("on", "ms", (&slow, &fast), Some(Promise::AtMost(1.03)));
        report.figure("alone", "ms", &slow, Some(Promise::AtMost(1.03)));
        report.figure("speed", "records/s", &slow, Some(Promise::AtLeast(20.1)));
        let kept: Vec<_> = report.figures.iter().map(Figure::keeps).collect();
        assert_eq!(kept, [Some(true), Some(false), Some(true)]);
        assert_eq!(report.json()["figures"][0]["ratio"]["median"], 1.0);
        // The machine was busy.
        assert!(report.json()["figures"][0]["kept"].is_null());
        report.machine.load = 0.5;
        assert_eq!(report.json()["figures"][0]["kept"], true);
    }
}
