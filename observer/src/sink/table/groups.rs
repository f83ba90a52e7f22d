//! Percentiles by image, namespace or runtime, and by phase.

use super::text::{Page, Tone, join, left, left_keeping_end, right};
use crate::{
    compare::{Samples, Spread},
    sink::{
        group::{Group, GroupBy, groups},
        units::{self, ms_text},
    },
};

const GROUPS: usize = 20;
const PHASES: usize = 8;
const T0: usize = 7;
const COUNT: usize = 6;
const MS: usize = 9;
const FIXED: usize = T0 + COUNT + 3 * MS + 5;

pub(super) fn table(page: Page, samples: &Samples, by: GroupBy) -> String {
    let all = groups(samples.kept(), by);
    let key = (page.width - FIXED).min(60);
    let heading = join(&[
        left(&format!("BY {}", by.name().to_uppercase()), key),
        left("T0", T0),
        right("STARTS", COUNT),
        right("p50 ms", MS),
        right("p90 ms", MS),
        right("max ms", MS),
    ]);
    let mut text = page.paint(Tone::Heading, heading.trim_end()) + "\n";
    for group in all.iter().take(GROUPS) {
        text.push_str(&group_lines(group, key));
    }
    let mut notes =
        vec!["percentiles are nearest-rank; a phase's are over the starts that have it".to_owned()];
    if all.len() > GROUPS {
        notes.push(format!("{} more groups: -o json has every start", all.len() - GROUPS));
    }
    if samples.beyond() > 0 {
        notes.push(format!(
            "only the first {} starts are in this table, {} came later",
            Samples::LIMIT,
            samples.beyond()
        ));
    }
    for note in notes {
        text.push_str(&page.paint(Tone::Dim, page.wrapped(0, &note).trim_end()));
        text.push('\n');
    }
    text
}

fn group_lines(group: &Group, key: usize) -> String {
    let mut text =
        line(&left_keeping_end(&group.key, key), group.t0.name(), group.starts(), group.total.as_ref());
    if group.failed > 0 {
        let note = format!("  {} failed, not in the percentiles", group.failed);
        text.push_str(&(note + "\n"));
    }
    for (name, spread) in group.phases.iter().take(PHASES) {
        let name = left(&format!("  {}", name.name()), key);
        text.push_str(&line(&name, "", spread.count, Some(spread)));
    }
    if group.phases.len() > PHASES {
        let smaller = units::count((group.phases.len() - PHASES) as u64, "smaller phase");
        text.push_str(&format!("  and {smaller}\n"));
    }
    text
}

fn line(name: &str, t0: &str, count: usize, spread: Option<&Spread>) -> String {
    let ms = |value: fn(&Spread) -> u64| {
        right(&spread.map_or_else(|| "-".to_owned(), |spread| ms_text(value(spread))), MS)
    };
    join(&[
        name.to_owned(),
        left(t0, T0),
        right(&count.to_string(), COUNT),
        ms(|spread| spread.p50),
        ms(|spread| spread.p90),
        ms(|spread| spread.max),
    ])
}
