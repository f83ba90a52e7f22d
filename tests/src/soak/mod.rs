//! A service that runs for long while containers come and go: does it stay within its bounds, does what it recorded
//! replay at any moment, and what is lost when it is killed. A page says it, with what was promised and not kept.

mod churn;
mod service;

use std::{
    fmt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use self::{
    churn::{Churn, Ended},
    service::{Replayed, Service, Taken, copied, each_replayed, replayed, text},
};
use crate::rig::{Stage, stage};

/// Threads that make containers.
const MAKERS: usize = 2;
/// How often it is looked at what the service takes.
const LOOK: Duration = Duration::from_secs(5);
/// How often questions are asked of it, in all its life.
const QUESTIONS: usize = 6;
/// What has ended this long ago is on disk, unless the service gets no time at all.
const WRITTEN: Duration = Duration::from_secs(5);
/// Its second life lasts at least so long.
const LIFE: Duration = Duration::from_secs(30);
/// Memory at the end against that of when all had been used once: the same as is promised of rules.
const FLAT: f64 = 1.1;
/// Descriptors that come and go.
const SOME_FILES: usize = 16;

/// What came of it.
pub struct Page {
    lines: Vec<Line>,
}

struct Line {
    what: &'static str,
    figure: String,
    kept: bool,
}

impl Page {
    pub fn is_kept(&self) -> bool {
        self.lines.iter().all(|line| line.kept)
    }

    fn say(&mut self, what: &'static str, figure: impl Into<String>, kept: bool) {
        let figure = figure.into();
        eprintln!("soak: {what}: {figure}{}", if kept { "" } else { " - NOT KEPT" });
        self.lines.push(Line { what, figure, kept });
    }
}

impl fmt::Display for Page {
    fn fmt(&self, page: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(page, "| what | measured | kept |\n| --- | --- | --- |")?;
        self.lines.iter().try_for_each(|line| {
            writeln!(
                page,
                "| {} | {} | {} |",
                line.what,
                line.figure,
                if line.kept { "yes" } else { "**no**" }
            )
        })
    }
}

/// Runs a service for that long, kills it, runs it again for a tenth of that, and gives the page.
///
/// # Panics
/// The stage or the observer cannot be had.
pub fn page(lasts: Duration, mib: u64) -> Page {
    let (stage, churn) = (stage(), Churn::new());
    let mut page = Page { lines: Vec::new() };
    thread::scope(|scope| {
        // Whatever happens to this thread, those that make containers come to their end.
        let _stop = Stop(&churn);
        let service = Service::begin(&stage, mib, 1);
        for _ in 0..MAKERS {
            scope.spawn(|| churn.make(&stage));
        }
        let begun = Instant::now();
        let taken = live(&mut page, &stage, &churn, &service, lasts);
        says_what_it_takes(&mut page, &taken, mib << 20);
        let cpu = 100.0 * service.cpu_seconds() / begun.elapsed().as_secs_f64();
        page.say("CPU time, of one processor", format!("{cpu:.1} %"), true);
        let recording = service.recording.clone();
        let killed = Instant::now();
        service.kill();
        is_cut(&mut page, &churn, &recording, killed);

        let service = Service::begin(&stage, mib, 2);
        let again = Instant::now();
        watch(&churn, &service, again + (lasts / 10).max(LIFE), &mut Vec::new());
        churn.stop();
        thread::sleep(WRITTEN);
        begins_again(&mut page, &churn, &service, (killed, again));
        let (summary, code) = service.end();
        let figure = format!("exit status {code:?}, {} records lost", summary["lost"]);
        page.say("`systemctl stop` ends it with a summary", figure, summary["type"] == "summary");
    });
    page.say("containers made", churn.made().to_string(), true);
    page
}

struct Stop<'churn>(&'churn Churn);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Its first life, with questions at moments that are spread over it.
fn live(page: &mut Page, stage: &Stage, churn: &Churn, service: &Service, lasts: Duration) -> Vec<Taken> {
    let (begun, mut taken, mut trouble) = (Instant::now(), Vec::new(), Vec::new());
    for question in 1..=QUESTIONS {
        watch(churn, service, begun + lasts * question as u32 / QUESTIONS as u32, &mut taken);
        trouble.extend(
            question_at(stage, churn, service, begun).err().map(|why| format!("no. {question}: {why}")),
        );
    }
    let figure = format!("{QUESTIONS} moments; {}", listed(&trouble));
    page.say(
        "`report --last 10m`, `describe` and a replay of a copy, while it runs",
        figure,
        trouble.is_empty(),
    );
    taken
}

fn watch(churn: &Churn, service: &Service, until: Instant, taken: &mut Vec<Taken>) {
    while Instant::now() < until {
        thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        let now = service.taken();
        taken.push(now);
        if taken.len() % 12 == 1 {
            let (resident, recorded) = (now.resident as f64 / 1e6, now.recorded as f64 / 1e6);
            let made = churn.made();
            eprintln!(
                "soak: {made} containers; {resident:.1} MB, {} files, {recorded:.1} MB recorded",
                now.files
            );
        }
    }
}

/// Whoever comes at this moment is told of what was, by the service and by a copy of what it has recorded.
fn question_at(stage: &Stage, churn: &Churn, service: &Service, begun: Instant) -> Result<(), String> {
    let known = churn.ended_before(Instant::now().checked_sub(WRITTEN).unwrap_or(begun));
    let last = known.last().ok_or("no container has ended yet")?;
    let report = service.asked(&["report", "--last", "10m"]);
    let told = text(&report.stdout);
    if !matches!(report.status.code(), Some(0 | 3)) || !told.contains("ended with exit status 3") {
        return Err(format!("report: {}: {}", report.status, text(&report.stderr)));
    }
    let described = service.asked(&["describe", &last.id]);
    if !text(&described.stdout).contains("exit status 3") {
        return Err(format!("describe {}: {}", last.id, text(&described.stderr)));
    }
    let copy = stage.path("copy");
    copied(&service.recording, &copy);
    let replayed = replayed(&copy);
    let ids: Vec<&str> = known.iter().map(|ended| ended.id.as_str()).collect();
    match gap(&replayed, &ids) {
        _ if !replayed.is_whole => Err(format!("replay: {}", replayed.said)),
        Some(_) | None if replayed.ended.is_empty() => Err("replay: it knows of none".to_owned()),
        Some(missing) => Err(format!("replay: {missing} is missing: {}", replayed.said)),
        None => Ok(()),
    }
}

/// The first that is missing after one that is there: what is kept has its beginning, and from then on everything.
fn gap<'id>(replayed: &Replayed, ids: &[&'id str]) -> Option<&'id str> {
    let is_there = |id: &&&str| replayed.ended.contains(**id);
    ids.iter().skip_while(|id| !is_there(id)).find(|id| !is_there(id)).copied()
}

fn says_what_it_takes(page: &mut Page, taken: &[Taken], limit: u64) {
    let fifth = taken.len() / 5;
    let (early, late) = (&taken[fifth..2 * fifth], &taken[taken.len() - fifth..]);
    let resident = |of: &[Taken]| middle(of.iter().map(|taken| taken.resident).collect()) as f64 / 1e6;
    let most = taken.iter().map(|taken| taken.resident).max().unwrap_or(0) as f64 / 1e6;
    let (before, after) = (resident(early), resident(late));
    let figure =
        format!("{before:.1} MB in the second fifth, {after:.1} MB in the last; at most {most:.1} MB");
    page.say(
        "resident memory is flat, but for pages of the program",
        figure,
        after <= before * FLAT && fifth > 0,
    );
    let files = |of: &[Taken]| of.iter().map(|taken| taken.files).max().unwrap_or(0);
    let (before, after) = (files(early), files(late));
    page.say("descriptors", format!("at most {before}, then {after}"), after <= before + SOME_FILES);
    let recorded = taken.iter().map(|taken| taken.recorded).max().unwrap_or(0);
    let figure = format!("{:.1} of {:.1} MB", recorded as f64 / 1e6, limit as f64 / 1e6);
    page.say("the recording is within its limit", figure, recorded <= limit);
}

fn middle(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or(0)
}

/// Of what was killed all is there but the end, which is said to be cut.
fn is_cut(page: &mut Page, churn: &Churn, recording: &Path, killed: Instant) {
    let replayed = replayed(recording);
    let known = churn.ended_before(killed);
    let tail = known.iter().rev().take_while(|ended| !replayed.ended.contains(&ended.id)).count();
    let there = &known[..known.len() - tail];
    let ids: Vec<&str> = there.iter().map(|ended| ended.id.as_str()).collect();
    let lost = there.last().map_or(Duration::ZERO, |last| killed.saturating_duration_since(last.at));
    let has_gap = gap(&replayed, &ids);
    let figure = format!(
        "{tail} of {} ends missing, the last that is there is {:.1} s older than its death; {}",
        known.len(),
        lost.as_secs_f64(),
        has_gap.map_or_else(|| "none is missing before".to_owned(), |id| format!("{id} is missing before"))
    );
    page.say(
        "`kill -9` loses the end of what was being written",
        figure,
        !there.is_empty() && has_gap.is_none(),
    );
    page.say(
        "the recording says that it is cut",
        said_of_the_cut(&replayed),
        replayed.said.contains("is cut at byte"),
    );
}

fn said_of_the_cut(replayed: &Replayed) -> String {
    let line = replayed.said.lines().find(|line| line.contains("is cut at byte"));
    line.unwrap_or("no word of it").trim().to_owned()
}

/// Both lives are in one recording, and whoever asks is told of both.
fn begins_again(page: &mut Page, churn: &Churn, service: &Service, (killed, again): (Instant, Instant)) {
    let known = churn.ended_before(Instant::now().checked_sub(WRITTEN).unwrap_or(again));
    let replayed = replayed(&service.recording);
    let is_there = |ended: &&Ended| replayed.ended.contains(&ended.id);
    // A directory is replayed from where its last run begins; what is left of others, file by file.
    let left = each_replayed(&service.recording);
    let before = known.iter().filter(|ended| ended.at < killed && left.contains(&ended.id)).count();
    // One that began before it was attached may be known in part.
    let since: Vec<&Ended> = known.iter().filter(|ended| ended.at > again + WRITTEN).collect();
    let there = since.iter().copied().filter(is_there).count();
    let figure = format!("{there} of {} ends since then, {before} from before", since.len());
    page.say("begun anew, it records on", figure, there == since.len() && there > 0 && before > 0);
    let report = service.asked(&["report", "--last", "10m"]);
    let told = matches!(report.status.code(), Some(0 | 3)) && !report.stdout.is_empty();
    page.say("`report --last 10m` after that", format!("{}", report.status), told);
}

fn listed(trouble: &[String]) -> String {
    if trouble.is_empty() { "nothing is missing".to_owned() } else { trouble.join("; ") }
}
