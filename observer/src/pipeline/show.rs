//! Which outputs are shown: those that were named, or for people those that need attention.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{
    health::{ProbeHealth, Status},
    output::{
        CallOutcome, CpuOutcome, Event, FileOutcome, NetOutcome, Output, RuntimeAction, StdioOutcome, What,
    },
};

/// A kind of output that can be asked for by name. The summary is always shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    Findings,
    Unproven,
    Coldstart,
    Exec,
    Runtime,
    Stdio,
    Memory,
    Dns,
    Net,
    Webhook,
    Text,
    Cpu,
    File,
    Io,
    Evidence,
    Stats,
    Health,
}

impl Shown {
    pub const ALL: [Shown; 17] = [
        Shown::Findings,
        Shown::Unproven,
        Shown::Coldstart,
        Shown::Exec,
        Shown::Runtime,
        Shown::Stdio,
        Shown::Memory,
        Shown::Dns,
        Shown::Net,
        Shown::Webhook,
        Shown::Text,
        Shown::Cpu,
        Shown::File,
        Shown::Io,
        Shown::Evidence,
        Shown::Stats,
        Shown::Health,
    ];
    /// What `events` stands for.
    pub const EVENTS: [Shown; 11] = [
        Shown::Exec,
        Shown::Runtime,
        Shown::Stdio,
        Shown::Memory,
        Shown::Dns,
        Shown::Net,
        Shown::Webhook,
        Shown::Text,
        Shown::Cpu,
        Shown::File,
        Shown::Io,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Shown::Findings => "findings",
            Shown::Unproven => "unproven",
            Shown::Coldstart => "coldstart",
            Shown::Exec => "exec",
            Shown::Runtime => "runtime",
            Shown::Stdio => "stdio",
            Shown::Memory => "memory",
            Shown::Dns => "dns",
            Shown::Net => "net",
            Shown::Webhook => "webhook",
            Shown::Text => "text",
            Shown::Cpu => "cpu",
            Shown::File => "file",
            Shown::Io => "io",
            Shown::Evidence => "evidence",
            Shown::Stats => "stats",
            Shown::Health => "health",
        }
    }

    fn of(event: &Event) -> Shown {
        match event.what {
            What::Exec(_) => Shown::Exec,
            What::Runtime(_) => Shown::Runtime,
            What::Stdio(_) => Shown::Stdio,
            What::Memory(_) => Shown::Memory,
            What::Dns(_) => Shown::Dns,
            What::Net(_) => Shown::Net,
            What::Webhook(_) => Shown::Webhook,
            What::Text(_) => Shown::Text,
            What::Cpu(_) => Shown::Cpu,
            What::File(_) => Shown::File,
            What::Io(_) => Shown::Io,
        }
    }
}

/// The kinds that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Show(BTreeSet<Shown>);

/// What was asked for by a name that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is called {name:?}; there are {known}, and events for all of {EVENTS}")]
pub struct UnknownKind {
    name: String,
    known: String,
}

const EVENTS: &str = "exec, runtime, stdio, memory, dns, net, webhook, text, cpu, file, io";

impl Show {
    /// Of a list of events alone, as an exporter takes it: `none` is none of them.
    ///
    /// # Errors
    /// [`UnknownKind`], also for kinds that are no events.
    pub fn events(list: &str) -> Result<Show, UnknownKind> {
        if list == "none" { Ok(Show::default()) } else { parse(list, &Shown::EVENTS) }
    }

    pub fn takes(&self, output: &Output) -> bool {
        match output {
            Output::ColdStart(_) => self.0.contains(&Shown::Coldstart),
            Output::Event(event) => self.takes_event(event),
            Output::Finding(_) => self.0.contains(&Shown::Findings),
            Output::Unproven(_) => self.0.contains(&Shown::Unproven),
            Output::Evidence(_) => self.0.contains(&Shown::Evidence),
            Output::Stats(_) => self.0.contains(&Shown::Stats),
            Output::Health(_) => self.takes_health(),
            Output::Summary(_) => true,
            Output::Settled(_) | Output::Want(_) => false,
        }
    }

    pub fn takes_health(&self) -> bool {
        self.0.contains(&Shown::Health)
    }

    pub fn takes_event(&self, event: &Event) -> bool {
        self.0.contains(&Shown::of(event))
    }
}

impl FromStr for Show {
    type Err = UnknownKind;

    fn from_str(list: &str) -> Result<Show, UnknownKind> {
        parse(list, &Shown::ALL)
    }
}

fn parse(list: &str, known: &[Shown]) -> Result<Show, UnknownKind> {
    let mut kinds = BTreeSet::new();
    for name in list.split(',').map(str::trim) {
        match known.iter().find(|kind| kind.name() == name) {
            Some(kind) => {
                kinds.insert(*kind);
            }
            None if name == "events" => kinds.extend(Shown::EVENTS),
            None => {
                let known: Vec<&str> = known.iter().map(|kind| kind.name()).collect();
                return Err(UnknownKind { name: name.to_owned(), known: known.join(", ") });
            }
        }
    }
    Ok(Show(kinds))
}

impl fmt::Display for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|kind| kind.name()).collect();
        f.write_str(&names.join(","))
    }
}

/// Whether somebody who watches a node wants to be told without having asked.
pub fn needs_attention(output: &Output) -> bool {
    match output {
        Output::ColdStart(start) => start.failure.is_some(),
        Output::Event(event) => event_needs_attention(event),
        Output::Finding(_) | Output::Unproven(_) | Output::Health(_) | Output::Summary(_) => true,
        Output::Evidence(_) | Output::Settled(_) | Output::Stats(_) | Output::Want(_) => false,
    }
}

/// The same of one event.
pub fn event_needs_attention(event: &Event) -> bool {
    match &event.what {
        // A start that failed says so itself; a search along PATH fails often, and a busy disk is slow now and then.
        What::Exec(_) | What::Io(_) => false,
        What::Runtime(runtime) if runtime.action == RuntimeAction::Phase => false,
        What::Runtime(runtime) => {
            let ended_badly = runtime.signal.is_some() || runtime.exit_code.is_some_and(|code| code != 0);
            runtime.errno.is_some() || (runtime.action == RuntimeAction::Exit && ended_badly)
        }
        What::Stdio(stdio) => match stdio.outcome {
            // Out of the pipe, and not in the log.
            StdioOutcome::Delivered => {
                let has_log = stdio.log_file.as_ref().is_some_and(|log| log.grew == Some(false));
                has_log && stdio.ended && stdio.delivered_bytes.is_some_and(|bytes| bytes > 0)
            }
            // Many have nothing to say. Where that is odd, a rule says so.
            StdioOutcome::Unknown | StdioOutcome::Silent => false,
            StdioOutcome::Undelivered
            | StdioOutcome::Blocked
            | StdioOutcome::Redirected
            | StdioOutcome::ReaderGone
            | StdioOutcome::HeldUntilExit => true,
        },
        What::Memory(_) => true,
        What::Dns(dns) => dns.outcome.is_failure(),
        What::Net(net) => match net.outcome {
            NetOutcome::Connected | NetOutcome::Abandoned | NetOutcome::Closed => false,
            // Clients that have what they want hang up like this.
            NetOutcome::Reset => net.received_bytes.is_none_or(|bytes| bytes == 0),
            NetOutcome::Refused
            | NetOutcome::Unreachable
            | NetOutcome::Timeout
            | NetOutcome::Forbidden
            | NetOutcome::Stalled
            | NetOutcome::TlsFailed
            | NetOutcome::Error => true,
        },
        What::Webhook(call) => match call.outcome {
            CallOutcome::Answered | CallOutcome::Denied | CallOutcome::Unknown => false,
            CallOutcome::Timeout
            | CallOutcome::Refused
            | CallOutcome::Reset
            | CallOutcome::TlsFailed
            | CallOutcome::HttpError => true,
        },
        // What a workload says is its own affair.
        What::Text(text) => text.component,
        What::Cpu(cpu) => cpu.outcome == CpuOutcome::Throttled,
        // Programs ask for more than there is, or for what they may not have, to find out.
        What::File(file) => {
            !matches!(file.outcome, FileOutcome::TooLarge | FileOutcome::ReadOnly | FileOutcome::Denied)
        }
    }
}

/// A probe that gives less than it was asked for.
pub fn is_a_problem(probe: &ProbeHealth) -> bool {
    probe.lost > 0 || matches!(probe.status, Status::Failed | Status::Degraded | Status::Shed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written_alike() {
        let read = |list: &str| list.parse::<Show>().map(|show| show.to_string());
        assert_eq!(read("events"), Ok("exec,runtime,stdio,memory,dns,net,webhook,text,cpu,file,io".into()));
        assert_eq!(read("stats, memory,coldstart"), Ok("coldstart,memory,stats".into()));
        assert_eq!(
            read("events,stdio,health"),
            Ok("exec,runtime,stdio,memory,dns,net,webhook,text,cpu,file,io,health".into())
        );
        for list in ["coldstart,runtime", "stats"] {
            assert_eq!(read(list), Ok(list.to_owned()));
        }
    }

    #[test]
    fn a_name_that_means_nothing_is_told_with_those_that_do() {
        let error = "stdio,dsn".parse::<Show>().unwrap_err().to_string();
        assert_eq!(
            error,
            "nothing is called \"dsn\"; there are findings, unproven, coldstart, exec, runtime, stdio, memory, dns, net, \
             webhook, text, cpu, file, io, evidence, stats, health, and events for all of exec, runtime, stdio, memory, dns, net, webhook, text, cpu, file, io"
        );
        assert!("".parse::<Show>().is_err() && "stdio,".parse::<Show>().is_err());
    }

    #[test]
    fn only_events_are_events() {
        assert_eq!(Show::events("none"), Ok(Show::default()));
        assert_eq!(
            Show::events("events"),
            Show::events("exec,runtime,stdio,memory,dns,net,webhook,text,cpu,file,io")
        );
        assert!(Show::events("stats").is_err());
    }
}
