//! One pod or container on one screen: what is known, each of its containers, findings, what was looked at.

use std::collections::BTreeMap;

use super::{
    Lang, finding, module, stream,
    text::{Page, Tone},
};
use crate::{
    input::Tracked,
    output::{
        Api, CheckState, Condition, Container, Described, Description, Direction, Kind, Known, NotMeasured,
        PastExit, Since,
    },
    sink::{
        escape, timeline,
        units::{self, bytes_text, date_time, ms_text},
        words::{self, checks::checks},
    },
};

/// Where the text of a line begins.
const INDENT: usize = 13;
/// Ends that are shown; JSON has more.
const EXITS: usize = 4;
const EVENTS: usize = 6;

pub(super) fn screen(page: Page, lang: Lang, of: &Description) -> String {
    let tone = match of.known {
        Known::Here => Tone::Good,
        Known::Down | Known::Gone => Tone::Warn,
        Known::Never => Tone::Bad,
    };
    let mut text = page.paint(Tone::Heading, &escape::terminal(&of.asked));
    text.push_str(&format!("  {}\n", page.paint(tone, of.known.name())));
    text.push_str(&page.wrapped(2, &of.said));
    let watched = format!(
        "as of {} UTC, {} since {}",
        date_time(of.time),
        match of.source {
            crate::output::Source::Snapshot => "by a look at what is there, watched",
            crate::output::Source::Observer => "by the observer that has watched",
        },
        date_time(of.from),
    );
    text.push_str(&page.paint(Tone::Dim, page.wrapped(2, &watched).trim_end()));
    text.push('\n');
    text.push_str(&of.api.as_ref().map(|api| said_by_api(page, api)).unwrap_or_default());
    of.containers.iter().for_each(|described| text.push_str(&container(page, described)));
    if of.left_out > 0 {
        text.push_str(&page.wrapped(0, &format!("and {} more containers", of.left_out)));
    }
    text.push('\n');
    if of.findings.is_empty() && of.unproven.is_empty() {
        text.push_str(&line(page, "findings", &none_found(of)));
    } else {
        text.push_str(&page.paint(Tone::Heading, "FINDINGS"));
        text.push('\n');
        of.findings.iter().for_each(|found| text.push_str(&finding::finding(page, lang, found)));
        of.unproven.iter().for_each(|found| text.push_str(&finding::unproven(page, lang, found)));
    }
    text.push_str(&not_measured(page, &of.not_measured));
    text
}

/// What the Kubernetes API says: how the pod is, what is not as it should be, and the latest Events.
fn said_by_api(page: Page, api: &Api) -> String {
    let Api::Pod(pod) = api else { return line(page, "kubernetes", "has no pod of this name") };
    let with = |name: &str, text: &Option<String>| text.as_ref().map(|text| format!("{name}{text}"));
    let how = [
        with("phase ", &pod.phase),
        with("node ", &pod.node).or_else(|| Some("no node yet".to_owned())),
        with("", &pod.reason),
        with("", &pod.message),
    ];
    let mut text = line(page, "kubernetes", &how.into_iter().flatten().collect::<Vec<_>>().join(", "));
    for condition in pod.conditions.iter().filter(|condition| condition.status != "True") {
        let parts = [
            Some(format!("{} is {}", condition.kind, condition.status)),
            condition.reason.clone(),
            condition.message.clone(),
        ];
        text.push_str(&line(page, "", &parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
    }
    for (container, reason, message) in &pod.waiting {
        text.push_str(&line(page, "", &format!("{container} waits: {reason} {message}")));
    }
    match &pod.events {
        Ok(events) => events.iter().for_each(|event| {
            let time = event
                .time
                .map_or_else(|| "at some time".to_owned(), |time| format!("{} UTC", date_time(time)));
            let times = if event.count > 1 { format!(" ({} times)", event.count) } else { String::new() };
            text.push_str(&line(
                page,
                "event",
                &format!("{time} {}{times}: {}", event.reason, event.message),
            ));
        }),
        Err(why) => text.push_str(&line(page, "event", &format!("not known: {why}"))),
    }
    text
}

/// None is only told together with what was looked at.
fn none_found(of: &Description) -> String {
    format!("none of it. Looked at on this node, and normal: {}", checks(&of.checked, CheckState::Ok))
}

fn not_measured(page: Page, lacks: &[NotMeasured]) -> String {
    let mut text = String::new();
    for lack in lacks {
        let how = lack.how.as_ref().map(|how| format!(" ({how})")).unwrap_or_default();
        let said = format!("{} {}: {}{how}", lack.layer.name(), lack.what, lack.why);
        text.push_str(&line(page, if text.is_empty() { "not measured" } else { "" }, &said));
    }
    text
}

fn container(page: Page, of: &Described) -> String {
    let condition = of.condition.unwrap_or(Condition::Unknown);
    let tone = if condition == Condition::Running { Tone::Good } else { Tone::Warn };
    let name = timeline::full_name(&of.container);
    let heading = page.paint(Tone::Heading, &escape::terminal(&name));
    let mut text = format!("\n{heading}  {}\n", page.paint(tone, condition.name()));
    text.push_str(&line(page, "who", &who(of)));
    text.push_str(&module(page, &of.container));
    text.push_str(&line(page, "restarts", &restarts(of)));
    for exit in of.exits.iter().take(EXITS) {
        text.push_str(&line(page, "ended", &ended(exit)));
    }
    of.streams
        .iter()
        .for_each(|stream| text.push_str(&line(page, stream::name(stream), &stream::hops(stream))));
    if of.streams.is_empty() {
        text.push_str(&line(page, "stdio", "not known: it was not watched while it lived"));
    }
    for (probe, name) in [("dns", "look-ups"), ("net", "connections"), ("webhook", "webhooks")] {
        text.push_str(&line(page, name, &outcomes(of.outcomes.get(probe), of.since)));
    }
    text.push_str(&network(page, of));
    text.push_str(&line(page, "memory", &memory(of)));
    text.push_str(&line(page, "cpu", &cpu(of)));
    text.push_str(&line(page, "cold start", &cold_start(of)));
    let skipped = of.recent.len().saturating_sub(EVENTS);
    for event in of.recent.iter().skip(skipped) {
        let said = format!("{} {}", units::time_of_day(event.time), words::event(event));
        text.push_str(&line(page, "seen", &said));
    }
    text
}

fn who(of: &Described) -> String {
    let it = &of.container;
    let runtime = it.runtime.as_ref().map(|runtime| {
        let version = it.runtime_version.as_ref().map(|version| format!(" {version}"));
        format!("runtime {runtime}{}", version.unwrap_or_default())
    });
    let parts = [
        Some(format!("id {}", it.id.chars().take(12).collect::<String>())),
        it.instance.map(|instance| format!("pid {}", instance.init)),
        it.image.as_ref().map(|image| format!("image {image}")),
        Some(runtime.unwrap_or_else(|| "runtime not known".to_owned())),
        it.handler.as_ref().map(|handler| format!("handler {handler}")),
        it.engine.as_ref().map(|engine| format!("engine {engine}")),
        Some(it.kind.name().to_owned()),
        it.wasm_engine.as_ref().map(|engine| format!("Wasm engine {engine}")),
        it.started_at.map(|time| format!("started {}", date_time(time))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What a Wasm module says of itself, or why that is not known.
fn module(page: Page, container: &Container) -> String {
    let why = || container.unknown.iter().find(|why| why.starts_with("Wasm module"));
    match &container.module {
        Some(module) => line(page, "module", &module::said(module)),
        None if container.kind == Kind::Wasm => {
            let why = why().map_or("nobody watched when it was opened", String::as_str);
            line(page, "module", &format!("not known: {why}"))
        }
        None => String::new(),
    }
}

fn restarts(of: &Described) -> String {
    let times = match of.restarts {
        Some(0) => "none, by its engine".to_owned(),
        Some(times) => format!("{times}, by its engine"),
        None => "not known: no engine says".to_owned(),
    };
    if of.exits.is_empty() { format!("{times}; no earlier end is known") } else { times }
}

fn ended(exit: &PastExit) -> String {
    let time = exit.time.map_or_else(|| "at a time not known".to_owned(), date_time);
    let how = match (exit.code, exit.signal) {
        (Some(code), Some(signal)) => format!("exit status {code} ({})", crate::output::signal::text(signal)),
        (Some(code), None) => format!("exit status {code}"),
        (None, Some(signal)) => crate::output::signal::text(signal),
        (None, None) => "nobody says how".to_owned(),
    };
    let reason = exit.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
    let attempt = exit.attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
    format!("{time}, {how}{reason}{attempt} ({})", exit.id.chars().take(12).collect::<String>())
}

fn outcomes(counts: Option<&BTreeMap<&'static str, u64>>, since: Option<Since>) -> String {
    match counts {
        Some(counts) => {
            let each: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
            each.join(", ")
        }
        None if since.is_none() => "not known: it was not watched while it lived".to_owned(),
        None => "none seen while it was watched".to_owned(),
    }
}

/// What it listens at, what it is connected to, and what its table of connections has lost.
fn network(page: Page, of: &Described) -> String {
    let Some(look) = &of.network else {
        let runs = of.condition == Some(Condition::Running);
        return if runs {
            line(page, "sockets", "not measured: it could not be looked at")
        } else {
            String::new()
        };
    };
    let listening = look.listening.iter().map(|it| {
        let waiting = it.waiting.filter(|count| *count > 0);
        let waiting = waiting.map(|count| format!(" ({count} wait to be accepted)")).unwrap_or_default();
        format!("{} {}{waiting}", it.transport.name(), it.at)
    });
    let connected = look.connections.iter().map(|it| {
        let way = if it.direction == Direction::In { "at" } else { "to" };
        let bytes = [(it.unsent_bytes, "not acknowledged"), (it.unread_bytes, "not read")];
        let bytes = bytes.into_iter().filter(|(bytes, _)| *bytes > 0);
        let bytes = bytes.map(|(bytes, what)| format!(", {} {what}", bytes_text(bytes))).collect::<String>();
        format!("{} {} {way} {} {}{bytes}", it.count, it.transport.name(), it.at, it.state)
    });
    let list = |all: Vec<String>| if all.is_empty() { "nothing".to_owned() } else { all.join("; ") };
    let more = if look.left_out > 0 { format!("; and {} more", look.left_out) } else { String::new() };
    let mut text = line(page, "listens at", &list(listening.collect()));
    text.push_str(&line(page, "connected", &format!("{}{more}", list(connected.collect()))));
    if let Some(Tracked { entries, max, collided, refused, evicted }) = look.tracked {
        let whose = if look.is_nodes { "the node's" } else { "its own" };
        text.push_str(&line(
            page,
            "conntrack",
            &format!(
                "{whose}: {entries} of {max} connections; since it is there {collided} packets lost to collisions, {refused} \
                 for want of room, {evicted} connections forgotten"
            ),
        ));
    }
    text
}

fn memory(of: &Described) -> String {
    let limit = of.resident.and_then(|resident| resident.limit_bytes).or(of.limits.memory_bytes);
    let limit =
        limit.map_or_else(|| "no limit is known".to_owned(), |bytes| format!("limit {}", bytes_text(bytes)));
    let Some(resident) = of.resident else { return format!("not measured; {limit}") };
    let used = resident.working_set_bytes.map(|bytes| format!(", {} of it in use", bytes_text(bytes)));
    let (now, peak) = (bytes_text(resident.rss_bytes), bytes_text(resident.rss_peak_bytes));
    format!("{now}{}, {peak} at most, {limit}", used.unwrap_or_default())
}

fn cpu(of: &Described) -> String {
    let limit = of.limits.milli_cpus.map(|cpus| format!("limit {:.2} CPUs", cpus as f64 / 1_000.0));
    match &of.cpu {
        Some(used) => words::cpu::used(used),
        None => format!("not measured; {}", limit.unwrap_or_else(|| "no limit is known".to_owned())),
    }
}

fn cold_start(of: &Described) -> String {
    let Some(start) = &of.start else { return "not seen: nobody watched when it started".to_owned() };
    let largest = timeline::largest(start);
    let largest = largest.map(|(name, ns)| format!(", most of it {} ({} ms)", name.name(), ms_text(ns)));
    let failed =
        start.failure.as_ref().map(|failure| format!(", failed in {}", timeline::failure_in_short(failure)));
    format!(
        "{} ms from {} to {}{}{}",
        ms_text(start.total_ns),
        start.t0.name(),
        start.ready.name(),
        largest.unwrap_or_default(),
        failed.unwrap_or_default()
    )
}

/// Words with a name before them.
fn line(page: Page, name: &str, said: &str) -> String {
    let label = super::text::left(name, INDENT);
    let wrapped = page.wrapped(INDENT + 3, said);
    let rest = wrapped.get(INDENT + 3..).unwrap_or("\n");
    format!("  {} {rest}", page.paint(Tone::Dim, &label))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        input::Module,
        output::{LogFile, Process, Source, Stdio, StdioOutcome, StdioTarget},
        time::Wall,
    };

    const HOSTILE: &str = "\u{1b}[2J\u{202e}\nx";

    fn stream() -> Stdio {
        Stdio {
            fd: 1,
            shared_with_fd: Some(2),
            target: StdioTarget::Pipe,
            target_now: None,
            written_bytes: Some(2_048),
            delivered_bytes: Some(1_024),
            pipe_bytes: Some(1_024),
            blocked_ns: Some(3_000_000),
            waiter: None,
            broken_pipe_writes: 0,
            reader: Some(Process { pid: 7, comm: HOSTILE.to_owned(), ..Process::default() }),
            log_file: Some(LogFile { path: HOSTILE.to_owned(), bytes: Some(4_096), grew: Some(false) }),
            outcome: StdioOutcome::Blocked,
            unflushed: None,
            ended: false,
        }
    }

    fn description() -> Description {
        let container = Container {
            id: HOSTILE.to_owned(),
            name: Some(HOSTILE.to_owned()),
            pod: Some(HOSTILE.to_owned()),
            namespace: Some(HOSTILE.to_owned()),
            image: Some(HOSTILE.to_owned()),
            module: Some(Arc::new(Module {
                path: HOSTILE.to_owned(),
                imports: vec![HOSTILE.to_owned()],
                ..Module::default()
            })),
            ..Container::default()
        };
        let exit = PastExit {
            id: HOSTILE.to_owned(),
            code: Some(137),
            signal: Some(9),
            reason: Some(HOSTILE.to_owned()),
            ..PastExit::default()
        };
        let described = Described {
            container,
            condition: Some(Condition::Running),
            exits: vec![exit],
            streams: vec![stream()],
            ..Described::default()
        };
        Description {
            time: Wall(0),
            asked: HOSTILE.to_owned(),
            source: Source::Snapshot,
            from: Wall(0),
            known: Known::Here,
            said: HOSTILE.to_owned(),
            api: None,
            containers: vec![described],
            left_out: 0,
            findings: Vec::new(),
            unproven: Vec::new(),
            checked: Vec::new(),
            not_measured: Vec::new(),
        }
    }

    #[test]
    fn whatever_things_are_called_the_screen_stays_whole() {
        let page = Page { width: 100, color: false };
        let text = screen(page, Lang::En, &description());
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(text.lines().all(|line| super::super::text::columns(line) <= 100), "{text}");
        assert!(text.contains("no memory; imports"), "{text}");
        assert!(text.contains("blocked: 2.0 KiB written -> pipe, 1.0 KiB queued"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_said_to_be() {
        let module = Container { kind: Kind::Wasm, ..Container::default() };
        let unknown = Described { container: module, ..Described::default() };
        let text = container(Page { width: 200, color: false }, &unknown);
        for said in [
            "runtime not known",
            "nobody watched when it was opened",
            "not known: no engine says",
            "stdio",
            "not measured; no limit is known",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains(" 0 "), "{text}");
    }
}
