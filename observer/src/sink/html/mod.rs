//! One self-contained page: no requests, no script, every text escaped. Written whole at the end of the run.

mod closing;
mod findings;
mod markup;
mod numbers;
mod page;
mod starts;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    compare::{Sample, Samples},
    output::{Health, Output, Summary},
    sink::{GroupBy, Identity, Sink, compare::Report, file, keep::Keep, story::Story},
};

/// Starts shown one by one: the failed and the slowest. All count in the percentiles.
const SHOWN: usize = 200;

pub struct HtmlSink {
    path: PathBuf,
    content: Content,
}

/// All that a page is made of.
struct Content {
    identity: Identity,
    group_by: GroupBy,
    story: Story,
    shown: Keep,
    samples: Samples,
    report: Option<Report>,
    health: Option<Health>,
    summary: Option<Summary>,
}

impl HtmlSink {
    /// # Errors
    /// Why the file cannot be written, without its name: better said now than after the run.
    pub fn create(path: &Path, identity: Identity, group_by: GroupBy) -> io::Result<HtmlSink> {
        file::check(path)?;
        let content = Content {
            identity,
            group_by,
            story: Story::default(),
            shown: Keep::failed_and_slowest(SHOWN),
            samples: Samples::default(),
            report: None,
            health: None,
            summary: None,
        };
        Ok(HtmlSink { path: path.to_owned(), content })
    }
}

impl Sink for HtmlSink {
    fn output(&mut self, output: &Output) -> io::Result<()> {
        self.content.story.take(output);
        match output {
            Output::ColdStart(start) => {
                self.content.samples.add(Sample::of(start));
                self.content.shown.add(start);
            }
            Output::Health(health) => self.content.health = Some(health.clone()),
            Output::Summary(summary) => self.content.summary = Some(summary.clone()),
            Output::Event(_)
            | Output::Evidence(_)
            | Output::Finding(_)
            | Output::Unproven(_)
            | Output::Settled(_)
            | Output::Stats(_)
            | Output::Want(_) => {}
        }
        Ok(())
    }

    fn comparison(&mut self, report: &Report) -> io::Result<()> {
        self.content.report = Some(report.clone());
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let page = page::page(&self.content);
        file::replace(&self.path, |out| out.write_all(page.as_bytes())).map_err(|error| {
            let text = format!("cannot write the page {}: {error}", self.path.display());
            io::Error::new(error.kind(), text)
        })
    }
}
