//! What is known, in a sentence. Text in it is escaped by whoever shows it.

use super::engine::Logs;
use crate::{
    output::{Condition, Described, Known, PastExit},
    time::Wall,
};

pub fn sentence(
    known: Known,
    containers: &[Described],
    logs: Option<&Logs>,
    from: Wall,
    now: Wall,
) -> String {
    let running = containers.iter().filter(|it| it.condition == Some(Condition::Running)).count();
    let last = containers
        .iter()
        .flat_map(|it| it.exits.iter().map(move |exit| (it, exit)))
        .max_by_key(|(_, exit)| exit.time);
    let last = last.map(|(it, exit)| ended(it, exit, now)).unwrap_or_default();
    match known {
        Known::Here if containers.len() == 1 && last.is_empty() => "it runs".to_owned(),
        Known::Here => {
            let all = containers.len();
            let some =
                format!("{running} of {all} container{} run{}", s(all), if running == 1 { "s" } else { "" });
            if last.is_empty() { some } else { format!("{some}; the last to end: {last}") }
        }
        Known::Down if last.is_empty() => "its containers were made, and none of them runs".to_owned(),
        Known::Down => format!("none of its containers runs at this moment; the last to end: {last}"),
        Known::Gone => gone(containers, &last, logs, now),
        Known::Never => format!(
            "not on this node: no process of it runs, no engine that answered knows it, and nothing of it was seen in \
             the {} before now",
            span(now, from)
        ),
    }
}

fn gone(containers: &[Described], last: &str, logs: Option<&Logs>, now: Wall) -> String {
    match (last, logs) {
        ("", Some(logs)) => {
            let changed = logs.changed.map(|time| format!(", changed {} ago", span(now, time)));
            format!(
                "not on this node any more; its logs are still in {}{}",
                logs.path,
                changed.unwrap_or_default()
            )
        }
        ("", None) if containers.is_empty() => "not on this node any more".to_owned(),
        ("", None) => "it was seen, and its end was not".to_owned(),
        (last, _) => format!("not on this node any more: {last}"),
    }
}

/// `app 2 min ago, with exit status 137 (OOMKilled), started anew 4 times`.
fn ended(described: &Described, exit: &PastExit, now: Wall) -> String {
    let name = described.container.name.clone().unwrap_or_else(|| exit.id.chars().take(12).collect());
    let ago =
        exit.time.map_or_else(|| ", nobody says when".to_owned(), |time| format!(" {} ago", span(now, time)));
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!(", with exit status {code}"),
        (None, Some(signal)) => format!(", by signal {signal}"),
        (None, None) => ", nobody says how".to_owned(),
    };
    let why = exit.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let anew = described.restarts.filter(|times| *times > 0);
    let anew =
        anew.map(|times| format!(", started anew {times} time{}", s(times as usize))).unwrap_or_default();
    format!("{name}{ago}{how}{why}{anew}")
}

const fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// From the earlier to the later, as people say it.
fn span(later: Wall, earlier: Wall) -> String {
    let seconds = later.0.saturating_sub(earlier.0).max(0) / 1_000_000_000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Container;

    const MINUTE: i64 = 60_000_000_000;

    fn crashed(times: u32) -> Described {
        let exit = PastExit {
            id: "c1".to_owned(),
            time: Some(Wall(10 * MINUTE)),
            code: Some(1),
            reason: Some("Error".to_owned()),
            ..PastExit::default()
        };
        Described {
            container: Container { name: Some("app".to_owned()), ..Container::default() },
            condition: Some(Condition::Exited),
            restarts: Some(times),
            exits: vec![exit],
            ..Described::default()
        }
    }

    #[test]
    fn one_that_crashes_says_how_often_and_how_last() {
        let said = sentence(Known::Down, &[crashed(4)], None, Wall(0), Wall(12 * MINUTE));
        assert!(said.ends_with("app 2 min ago, with exit status 1 (Error), started anew 4 times"), "{said}");
    }

    #[test]
    fn who_was_never_here_is_not_said_to_be_gone() {
        let said = sentence(Known::Never, &[], None, Wall(7 * MINUTE), Wall(12 * MINUTE));
        assert!(said.starts_with("not on this node: ") && said.contains("5 min"), "{said}");
        let logs = Logs { path: "/var/log/pods/a_b_c".to_owned(), changed: Some(Wall(10 * MINUTE)) };
        let said = sentence(Known::Gone, &[], Some(&logs), Wall(0), Wall(12 * MINUTE));
        assert!(said.contains("any more") && said.contains("changed 2 min ago"), "{said}");
    }
}
