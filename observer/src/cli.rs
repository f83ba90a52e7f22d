//! What can be typed. One declaration a command; `app` gives it its meaning.

mod kubernetes;
mod matrix;
mod questions;
mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    pipeline::Show,
    probes::webhook::Target,
    sink::{
        GroupBy,
        table::{Lang, Waterfall},
    },
};

pub use kubernetes::Kubernetes;
pub use matrix::{CatalogueArgs, Matrix, MatrixCheck, MatrixCommand, MatrixList, MatrixShow};
pub use questions::{Describe, Explain, Report, SOCKET, Service};
pub use values::{Budget, budget, duration, ring, size};
use values::{events, label, name, namespace, pod};

/// Which layer of the isolation stack, and which known problem, is this symptom?
///
/// observer watches container runtimes, Wasm engines and what surrounds them from the kernel, changes nothing
/// of what it watches, and says what it saw, what that means and what it could not see.
#[derive(Debug, Parser)]
#[command(name = "observer", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// Options from a file: lines of TOML, OPTION = VALUE, by the long names of options. What is typed counts more.
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch containers from their start to their end: what began, ended, failed, or lost what it said.
    Run(Run),
    /// Break down container starts: where each one's time went, phase by phase and layer by layer.
    Coldstart(Coldstart),
    /// Say what is known of one pod or container on this node: one screen.
    Describe(Describe),
    /// Print what a recording holds, exactly as it was printed live; needs no rights.
    Replay(Replay),
    /// Say what a recording amounts to: findings, evidence, timeline; for a ticket or as a page; needs no rights.
    Report(Report),
    /// Look up known problems: what they look like, their causes, what to do; needs no rights.
    Matrix(Matrix),
    /// Say where the time of one trace went, and what was measured meanwhile, layer by layer; needs no rights.
    Explain(Explain),
    /// Say whether this node can be observed: kernel, rights, hooks, runtimes, and what each lack costs.
    Doctor(Doctor),
    /// Make real containers on this machine and show what observer says of them.
    Demo(Demo),
}

/// What a node may be there for.
pub const SCENARIOS: [&str; 5] = ["edge", "serverless", "ai", "hybrid", "microservice"];

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
What --show may name: findings (known problems, by the rules of the matrix: which cause, how sure, on
what evidence, what to do), unproven (their symptoms, where no cause is known), coldstart (where a
start's time went), exec (what the init of a container executes, or could not), runtime (created,
each part of its start, started, ended, deleted), stdio (what became of what was written), memory
(faults, OOM kills, refusals), dns (look-ups of names), net (TCP connections), webhook (calls of those
named by --webhook, and of kube-apiserver and k3s), text (keywords in what components and containers
print), cpu (containers that their limit keeps from CPU time), file (calls that failed for want of
room), io (block devices that were slow), events (all from exec on), evidence (which spans received by
--otlp-listen they belong to), stats (counts of each interval), health (the probes). The summary is
always there.

Without --show, -o json writes all of it; the table shows findings, symptoms without a cause, and what
else needs attention: starts that failed, memory events, throttling, streams whose text did not
arrive, look-ups, connections and calls of webhooks that failed, ends other than exit status 0, probes
that give less than they should.

Examples:
  observer run                                    what is wrong on this node and why, until Ctrl-C
  observer run --for 2m --exit-on proved          for scripts: exit status 5 if anything is proved
  observer run --show events                      everything that happens to containers
  observer run -n shop -p 'web-*' --for 10m       some pods only
  observer run -o json --show memory,stats        for scripts: faults, and counts every 10 s
  observer run --record /var/tmp/node/ --for 1d   keep the last 512 MiB, look at it with replay
  observer run --webhook 10.43.0.9:443,timeout=3s,name=gatekeeper
                                                  calls of an admission webhook, too
  observer run --otlp http://127.0.0.1:4317 --otlp-events stdio,memory
  observer run --metrics 9464                     for Prometheus: http://127.0.0.1:9464/metrics

Exit status: 0 ran; 1 error; 2 wrong usage; 3 less was measured than asked; 4 the filter never matched
in a run with an end; 5 a finding of the grade that --exit-on names was made.")]
pub struct Run {
    #[command(flatten)]
    pub service: Service,
    #[command(flatten)]
    pub watch: Watch,
    /// How often counts are told, from the beginning of the run on.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub interval: Duration,
    /// A webhook to watch the calls of, once for each: HOST:PORT[/PATH][,timeout=3s][,name=NAME]; timeout is
    /// how long its callers wait, * is any host.
    #[arg(long = "webhook", value_name = "WEBHOOK")]
    pub webhooks: Vec<Target>,
    /// Leave what containers and components write to their standard streams alone: look for no keywords in it.
    #[arg(long)]
    pub no_text: bool,
    /// Learn what is usual on this node into its baseline: what later runs compare with. A service does.
    #[arg(long)]
    pub learn: bool,
    #[command(flatten)]
    pub kubernetes: Kubernetes,
    /// Tell proved findings as Events of Kubernetes, too, on their pod or node: it takes the right to create events.
    #[arg(long)]
    pub k8s_events: bool,
    #[command(flatten)]
    pub print: Print,
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub judging: Judging,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub otlp: Otlp,
    #[command(flatten)]
    pub metrics: Metrics,
    #[command(flatten)]
    pub listen: Listen,
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
    pub service: Service,
    #[command(flatten)]
    pub watch: Watch,
    #[command(flatten)]
    pub print: Print,
    #[command(flatten)]
    pub starts: Starts,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub otlp: Otlp,
    #[command(flatten)]
    pub metrics: Metrics,
    #[command(flatten)]
    pub listen: Listen,
    /// Learn this run's starts into the baseline of this node.
    #[arg(long)]
    pub learn: bool,
    /// Run this command and break down the starts seen while it runs. Its standard output goes to standard
    /// error: ours is for data.
    #[arg(last = true, value_name = "CMD")]
    pub cmd: Vec<std::ffi::OsString>,
}

/// How long and with what to watch.
#[derive(Clone, Debug, Args)]
pub struct Watch {
    /// Stop after this time, e.g. 30s, 5m, 1h.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// How long a started container is given to listen before its first output counts as ready.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub ready_wait: Duration,
    /// Probe families to use, comma separated; exec, runtime and io stand for those that they are made of [default: all
    /// that the command needs].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub probes: Vec<String>,
    /// Record what was seen to a file, or to rotating segments in a directory. No content bytes are kept.
    #[arg(long, value_name = "PATH")]
    pub record: Option<PathBuf>,
    /// Keep at most this much of a recording in a directory, e.g. 512MiB; the oldest is dropped and counted.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub record_limit: u64,
    /// Room for what the kernel has to tell and has not told yet, a power of two from 4KiB on: on a busy node
    /// more of it means that less is lost.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = ring)]
    pub ring: u32,
    /// What observing may cost, e.g. cpu=1%,memory=60MiB: if it costs more for 30 s (or for=TIME), the look at text, at
    /// calls that fail for want of room, at each write and read of streams and at look-ups is given up, in this order,
    /// until it costs less.
    #[arg(long, value_name = "BUDGET", value_parser = budget)]
    pub budget: Option<Budget>,
    #[command(flatten)]
    pub host: Host,
}

#[derive(Clone, Debug, Args)]
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
pub struct Print {
    #[arg(short = 'o', long = "output", value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

/// How cold starts are shown.
#[derive(Debug, Args)]
pub struct Starts {
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

/// Which outputs go where.
#[derive(Debug, Args)]
pub struct Choice {
    /// What to show, comma separated: findings, unproven, coldstart, exec, runtime, stdio, memory, dns, net,
    /// webhook, text, cpu, file, io, events, evidence, stats, health [default: json all, table what needs attention].
    #[arg(long, value_name = "LIST")]
    pub show: Option<Show>,
    /// Events to export as spans, too: exec, runtime, stdio, memory, dns, net, webhook, text, cpu, file, io,
    /// events for all of them, or none.
    #[arg(long, value_name = "LIST", default_value = "none", value_parser = events, hide_default_value = true)]
    pub otlp_events: Show,
}

/// By which rules findings are made, and how they are told.
#[derive(Debug, Args)]
pub struct Judging {
    /// Entries of the problem matrix to add to the built-in ones, or to have in place of those of the same id.
    #[arg(long, value_name = "DIR")]
    pub catalogue: Option<PathBuf>,
    /// Whose thresholds and priorities apply: edge, serverless, ai, hybrid or microservice.
    #[arg(long, value_name = "NAME", value_parser = SCENARIOS)]
    pub scenario: Option<String>,
    /// Language of titles and remedies in the table [default: the locale's].
    #[arg(long, value_enum, value_name = "LANG")]
    pub lang: Option<Lang>,
    /// End with exit status 5 if a finding of this grade or a surer one was made.
    #[arg(long, value_name = "GRADE", value_parser = ["proved", "likely"])]
    pub exit_on: Option<String>,
}

#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Only these namespaces; !NAME leaves one out.
    #[arg(short, long, value_name = "NS", value_delimiter = ',', value_parser = namespace)]
    pub namespace: Vec<String>,
    /// Only these pods: NAME or NS/NAME, with an optional trailing *.
    #[arg(short, long, value_name = "POD", value_delimiter = ',', value_parser = pod)]
    pub pod: Vec<String>,
    /// Only these containers: a name, an id, or its beginning.
    #[arg(short, long, value_name = "NAME|ID", value_delimiter = ',', value_parser = name)]
    pub container: Vec<String>,
    /// Only containers with these labels, their own or their pod's: K=V, all of them.
    #[arg(short = 'l', long, value_name = "K=V", value_delimiter = ',', value_parser = label)]
    pub selector: Vec<String>,
    /// Only the container whose first process has this pid on the node.
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Vec<u32>,
}

#[derive(Debug, Default, Args)]
pub struct Otlp {
    /// Export starts and findings to this collector, and metrics of the run, e.g. http://127.0.0.1:4317.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// [default: http/protobuf for port 4318, else grpc]
    #[arg(long, value_name = "PROTOCOL", value_parser = ["grpc", "http/protobuf"])]
    pub otlp_protocol: Option<String>,
}

/// What can be fetched from the run.
#[derive(Debug, Args)]
pub struct Metrics {
    /// Serve metrics for Prometheus here, at /metrics: a port of this machine, or an address that others reach, too.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
}

/// Telemetry of others.
#[derive(Debug, Default, Args)]
pub struct Listen {
    /// Receive OTLP here, e.g. 127.0.0.1:4317: spans are tied to what the kernel saw.
    #[arg(long, value_name = "ADDR")]
    pub otlp_listen: Option<String>,
    /// A second port to receive OTLP on, e.g. 127.0.0.1:4318; either takes gRPC and HTTP.
    #[arg(long, value_name = "ADDR")]
    pub otlp_listen_http: Option<String>,
    /// Receive with TLS, by this certificate and those that vouch for it (PEM). With that, and a token or an authority, the
    /// ports may be open to other machines, too.
    #[arg(long, value_name = "FILE")]
    pub otlp_listen_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub otlp_listen_key: Option<PathBuf>,
    /// Holds the token that each request has to bring: Authorization: Bearer TOKEN.
    #[arg(long, value_name = "FILE")]
    pub otlp_listen_token_file: Option<PathBuf>,
    /// Authorities (PEM): only who has a certificate of theirs may send.
    #[arg(long, value_name = "FILE")]
    pub otlp_listen_client_ca: Option<PathBuf>,
    /// What of it goes on to the collector of --otlp: none of it, or all, as it came.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub otlp_forward: Forward,
    /// How what was seen is told of the spans that it belongs to: as their children where it belongs to one alone,
    /// as spans of our own that point to them, or not at all.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub otlp_evidence: Evidence,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Evidence {
    #[default]
    Child,
    Link,
    Off,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Forward {
    #[default]
    None,
    All,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// A recording: a file, or a directory of segments.
    pub path: PathBuf,
    #[command(flatten)]
    pub print: Print,
    #[command(flatten)]
    pub starts: Starts,
    #[command(flatten)]
    pub choice: Choice,
    #[command(flatten)]
    pub judging: Judging,
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
    #[command(flatten)]
    pub print: Print,
    #[command(flatten)]
    pub host: Host,
}

#[derive(Debug, Args)]
pub struct Demo {
    #[command(flatten)]
    pub print: Print,
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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    #[test]
    fn declarations_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_what_is_documented() {
        let words = "observer run --for 5m --show events,stats --interval 2s -o json -n shop,!pay -p web-* \
                     -l app=web --record r/ --record-limit 1GiB --otlp http://127.0.0.1:4317 \
                     --otlp-protocol grpc --otlp-events stdio,memory --ready-wait 1s --probes process";
        let Command::Run(run) =
            Cli::try_parse_from(words.split(' ').filter(|word| !word.is_empty())).unwrap().command
        else {
            panic!("`run` is `run`");
        };
        assert_eq!(
            run.choice.show.map(|show| show.to_string()).as_deref(),
            Some("exec,runtime,stdio,memory,dns,net,webhook,text,cpu,file,io,stats")
        );
        assert_eq!(run.choice.otlp_events.to_string(), "stdio,memory");
        assert_eq!((run.interval, run.print.format), (Duration::from_secs(2), Format::Json));
    }

    #[test]
    fn an_unknown_kind_is_wrong_usage_and_the_known_ones_are_named() {
        for words in ["run --show dsn", "run --otlp-events stats", "replay r.rec --show ,"] {
            let error = Cli::try_parse_from(format!("observer {words}").split(' ')).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{words}");
            assert!(error.to_string().contains("there are "), "{error}");
        }
    }
}
