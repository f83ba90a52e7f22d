//! What can be asked of an observer that runs, or of what it has recorded.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{Kubernetes, Print, Watch, duration};
use crate::sink::table::Lang;

/// Where an observer answers questions, unless told otherwise.
pub const SOCKET: &str = "/run/observer/observer.sock";

/// The observer that runs on this node already.
#[derive(Clone, Debug, Args)]
pub struct Service {
    /// Where the observer that runs on this node answers questions: a socket, or off.
    #[arg(long, value_name = "PATH|off", default_value = SOCKET)]
    pub socket: PathBuf,
    /// Attach probes although an observer runs on this node already.
    #[arg(long)]
    pub standalone: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  observer describe shop/web-0                    a pod, also one that crashes or has gone
  observer describe 3f2a91c0                      a container by the beginning of its id
  observer describe shop/web-0 --for 30s          watch it for longer before it is described
  observer describe shop/web-0 -o json            for scripts: one object

Exit status: 0 told; 1 error; 2 wrong usage; 3 less was measured than asked; 4 it was never seen here.")]
pub struct Describe {
    /// NAMESPACE/POD, or a container's name, its id or the beginning of that.
    #[arg(value_name = "NS/POD|ID|NAME")]
    pub who: String,
    #[command(flatten)]
    pub service: Service,
    #[command(flatten)]
    pub watch: Watch,
    #[command(flatten)]
    pub kubernetes: Kubernetes,
    #[command(flatten)]
    pub print: Print,
    /// Language of titles and remedies in the table [default: the locale's].
    #[arg(long, value_enum, value_name = "LANG")]
    pub lang: Option<Lang>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  observer report --last 30m                            by the observer that runs on this node
  observer report /var/tmp/node/                        Markdown to standard output
  observer report incident.rec --html incident.html     one self-contained page")]
pub struct Report {
    /// A recording: a file, or a directory of segments [default: that of the observer that runs here].
    pub path: Option<PathBuf>,
    /// Only what was told in the last part of it, e.g. 10m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub last: Option<Duration>,
    #[command(flatten)]
    pub service: Service,
    /// Write one self-contained page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write Markdown to a file [default: to standard output, unless --html is given].
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  observer run --otlp-listen 127.0.0.1:4317 --record r.rec
  observer explain 4bf92f3577b34da6a3ce929d0e0e4736 --from r.rec")]
pub struct Explain {
    /// As a tracing back end shows it: 32 hexadecimal digits.
    #[arg(value_name = "TRACE_ID")]
    pub trace: String,
    /// A recording of a run that received the trace's spans: a file, or a directory of segments [default: that of
    /// the observer that runs here].
    #[arg(long, value_name = "PATH")]
    pub from: Option<PathBuf>,
    /// Look at the last part of the recording only, e.g. 30m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub last: Option<Duration>,
    #[command(flatten)]
    pub service: Service,
    #[command(flatten)]
    pub print: Print,
}
