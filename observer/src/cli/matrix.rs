//! What can be typed after `observer matrix`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Print, SCENARIOS};
use crate::sink::table::Lang;

#[derive(Debug, Args)]
pub struct Matrix {
    #[command(subcommand)]
    pub command: MatrixCommand,
}

#[derive(Debug, Subcommand)]
pub enum MatrixCommand {
    /// Known problems, one a line; all that is asked for has to hold.
    List(MatrixList),
    /// All about one problem: its causes, when each is told, what to do, how to verify.
    Show(MatrixShow),
    /// Check a catalogue: that it can be read, makes sense, and says of its recordings what it should.
    Check(MatrixCheck),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  observer matrix list                                  all of them
  observer matrix list --symptom 'no such host'         by what somebody sees, or a line of a log
  observer matrix list --component crun --severity P1
  observer matrix list --scenario edge --lang zh

Exit status: 0 ran; 1 error; 2 wrong usage.")]
pub struct MatrixList {
    /// Only those that look like this: some words, or a line of a log.
    #[arg(long, value_name = "TEXT")]
    pub symptom: Option<String>,
    /// Only those that this component has a part in.
    #[arg(long, value_name = "NAME")]
    pub component: Option<String>,
    /// Only those of this scenario.
    #[arg(long, value_name = "NAME", value_parser = SCENARIOS)]
    pub scenario: Option<String>,
    /// Only those that are so bad: P0, P1, P2 or P3.
    #[arg(long, value_name = "SEVERITY", value_parser = ["P0", "P1", "P2", "P3"], ignore_case = true)]
    pub severity: Option<String>,
    /// Write a page in Markdown, with all about each, in both languages.
    #[arg(long, conflicts_with = "format")]
    pub markdown: bool,
    #[command(flatten)]
    pub source: CatalogueArgs,
    #[command(flatten)]
    pub print: Print,
}

#[derive(Debug, Args)]
pub struct MatrixShow {
    /// The problem's id, e.g. dns-failed.
    pub id: String,
    #[command(flatten)]
    pub source: CatalogueArgs,
    #[command(flatten)]
    pub print: Print,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A folder of one's own holds one file a problem, NAME.toml, and the recordings of its cases in cases/.

Exit status: 0 all is well; 1 something is not; 2 wrong usage.")]
pub struct MatrixCheck {
    /// The folder [default: what is inside this binary, without its recordings].
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub print: Print,
}

#[derive(Debug, Args)]
pub struct CatalogueArgs {
    /// Entries to add to the built-in ones, or to have in place of those of the same id.
    #[arg(long, value_name = "DIR")]
    pub catalogue: Option<PathBuf>,
    /// Language of the table [default: the locale's].
    #[arg(long, value_enum, value_name = "LANG")]
    pub lang: Option<Lang>,
}
