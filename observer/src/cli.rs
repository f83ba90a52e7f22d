//! What can be typed. One declaration a command; `app` gives it its meaning.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::sink::{GroupBy, table::Waterfall};

/// Which layer of the isolation stack, and which known problem, is this symptom?
///
/// observer watches container runtimes, Wasm engines and what surrounds them from the kernel, changes nothing
/// of what it watches, and says what it saw, what that means and what it could not see.
#[derive(Debug, Parser)]
#[command(name = "observer", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Break down container starts: where each one's time went, phase by phase and layer by layer.
    Coldstart(Coldstart),
    /// Print what a recording holds, exactly as it was printed live; needs no rights.
    Replay(Replay),
    /// Say whether this node can be observed: kernel, rights, hooks, runtimes, and what each lack costs.
    Doctor(Doctor),
    /// Make real containers on this machine and show what observer says of them.
    Demo(Demo),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  observer coldstart                              every start on this node, until Ctrl-C
  observer coldstart -n shop --for 5m             one namespace, five minutes
  observer coldstart -- podman run --rm IMAGE     the starts that a command causes
  observer coldstart -o json --record /tmp/r.rec  for scripts, and to look at again
  observer coldstart --compare baseline           which phase got slower

Exit status: 0 ran; 1 error; 2 wrong usage; 3 less was measured than asked; 4 the filter never matched.")]
pub struct Coldstart {
    #[command(flatten)]
    pub watch: Watch,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub otlp: Otlp,
    /// Learn this run's starts into the baseline of this node.
    #[arg(long)]
    pub learn: bool,
    /// Run this command and break down the starts seen while it runs. Its standard output goes to standard
    /// error: ours is for data.
    #[arg(last = true, value_name = "CMD")]
    pub cmd: Vec<std::ffi::OsString>,
}

/// How long and with what to watch.
#[derive(Debug, Args)]
pub struct Watch {
    /// Stop after this time, e.g. 30s, 5m, 1h.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// How long a started container is given to listen before its first output counts as ready.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub ready_wait: Duration,
    /// Probe families to use, comma separated [default: all that cold starts need].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub probes: Vec<String>,
    /// Record what was seen to a file, or to rotating segments in a directory. No content bytes are kept.
    #[arg(long, value_name = "PATH")]
    pub record: Option<PathBuf>,
    /// Keep at most this much of a recording in a directory, e.g. 512MiB; the oldest is dropped and counted.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub record_limit: u64,
    #[command(flatten)]
    pub host: Host,
}

#[derive(Debug, Args)]
pub struct Host {
    /// Where the node's file system is [default: /, or /host in a debug container].
    #[arg(long, value_name = "PATH")]
    pub host_root: Option<PathBuf>,
    /// Type information of the running kernel, where it has none of its own.
    #[arg(long, value_name = "FILE", default_value = "/sys/kernel/btf/vmlinux")]
    pub btf: PathBuf,
    /// The container engine's CRI socket [default: the usual places].
    #[arg(long, value_name = "SOCKET")]
    pub cri: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Output {
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
    /// Whose waterfalls the table shows.
    #[arg(long, value_enum, default_value_t)]
    pub waterfall: Waterfall,
    /// What the table's percentiles are grouped by.
    #[arg(long, value_enum, default_value_t)]
    pub group_by: GroupBy,
    /// Also write one self-contained page with waterfalls and tables.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Say which phase moved against an earlier `-o json` output, or against this node's `baseline`.
    #[arg(long, value_name = "FILE|baseline")]
    pub compare: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Only these namespaces; !NAME leaves one out.
    #[arg(short, long, value_name = "NS", value_delimiter = ',')]
    pub namespace: Vec<String>,
    /// Only these pods: NAME or NS/NAME, with an optional trailing *.
    #[arg(short, long, value_name = "POD", value_delimiter = ',')]
    pub pod: Vec<String>,
    /// Only these containers: a name, an id, or its beginning.
    #[arg(short, long, value_name = "NAME|ID", value_delimiter = ',')]
    pub container: Vec<String>,
    /// Only containers with these labels, their own or their pod's: K=V, all of them.
    #[arg(short = 'l', long, value_name = "K=V", value_delimiter = ',', value_parser = label)]
    pub selector: Vec<String>,
    /// Only the container whose first process has this pid on the node.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub pid: Vec<u32>,
}

#[derive(Debug, Args)]
pub struct Otlp {
    /// Export every start as a trace to this collector, e.g. http://127.0.0.1:4317.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// [default: http/protobuf for port 4318, else grpc]
    #[arg(long, value_name = "PROTOCOL", value_parser = ["grpc", "http/protobuf"])]
    pub otlp_protocol: Option<String>,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// A recording: a file, or a directory of segments.
    pub path: PathBuf,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub otlp: Otlp,
    /// Leave out what was before this time (RFC 3339, or a duration from the recording's beginning).
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Stop at this time (RFC 3339, or a duration from the recording's beginning).
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
    #[command(flatten)]
    pub host: Host,
}

#[derive(Debug, Args)]
pub struct Demo {
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
    /// Also write the page that `coldstart --html` makes.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Run although a kubelet or K3s runs on this machine.
    #[arg(long)]
    pub on_a_real_node: bool,
    /// The part that makes the containers; started by the part that watches.
    #[arg(long, hide = true)]
    pub stage: bool,
}

/// `key=value`.
fn label(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() && !key.ends_with('!') => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not a label; write app=web")),
    }
}

/// `90`, `90s`, `1m30s`, `2h`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0);
        let digits = digits.ok_or_else(|| format!("{text:?} is not a duration; write 30s, 5m, 1h30m"))?;
        let number: u64 = rest[..digits].parse().map_err(|_| format!("{text:?} is too long"))?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let part = match &rest[digits..unit] {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            other => return Err(format!("{other:?} is no unit of time; use ms, s, m, h")),
        };
        total =
            part.and_then(|part| total.checked_add(part)).ok_or_else(|| format!("{text:?} is too long"))?;
        rest = &rest[unit..];
    }
    if total.is_zero() { Err("a duration must be longer than nothing".to_owned()) } else { Ok(total) }
}

/// `1048576`, `512KiB`, `64MiB`, `2GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write 512MiB or 2GiB");
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..at].parse().map_err(|_| wrong())?;
    let shift = match text[at..].trim() {
        "" | "B" => 0,
        "KiB" | "K" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        _ => return Err(wrong()),
    };
    number.checked_shl(shift).filter(|size| size >> shift == number && *size > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn declarations_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn reads_durations() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "s", "5x", "1h-", "99999999999999999999s", "18446744073709551615h", "0s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_sizes() {
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("7"), Ok(7));
        for wrong in ["", "0", "MiB", "5X", "99999999999GiB", "-1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
