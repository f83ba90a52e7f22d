//! Findings and suspicions that are open.

use std::{collections::BTreeMap, sync::Arc};

use super::judge::{MAX_EVIDENCE, Match};
use crate::{
    output::{Check, Container, Grade, Process},
    rules::windows::Kept,
    signals::Label,
    time::Time,
};

/// An open finding is told again after this, where it has grown tenfold or this is long ago.
const TELL_AGAIN_NS: u64 = 60_000_000_000;

/// What may be in trouble without a container that is followed: of one nothing follows for another.
const OBJECTS: [Label; 3] = [Label::Webhook, Label::Image, Label::Pod];

/// A rule that holds, and who it was seen of.
#[derive(Debug)]
pub struct Taken {
    pub time: Time,
    pub workload: Option<Arc<str>>,
    pub container: Option<Box<Container>>,
    pub process: Option<Box<Process>>,
    pub labels: BTreeMap<Label, Arc<str>>,
    pub found: Match,
}

#[derive(Debug)]
pub struct Open {
    pub workload: Option<Arc<str>>,
    pub container: Option<Box<Container>>,
    pub process: Option<Box<Process>>,
    pub labels: BTreeMap<Label, Arc<str>>,
    pub grade: Grade,
    pub doubts: Vec<String>,
    pub first: Kept,
    pub latest: Kept,
    /// When its rule held last.
    pub last: Time,
    pub count: u64,
    /// The number of the last observation in it.
    pub counted: u64,
    pub evidence: Vec<Kept>,
    /// What was looked at, as it was when it was worst.
    pub checked: Vec<Check>,
    pub told: Time,
    pub told_count: u64,
}

#[derive(Debug)]
pub struct Suspicion {
    pub first: Time,
    pub taken: Taken,
    pub count: u64,
    pub told: Option<Time>,
}

impl Taken {
    /// The grade that it has: what has none is not kept.
    pub fn grade(&self) -> Grade {
        self.found.grade.unwrap_or(Grade::Likely)
    }
}

impl Open {
    pub fn new(taken: Taken, now: Time) -> Open {
        Open {
            grade: taken.grade(),
            workload: taken.workload,
            container: taken.container,
            process: taken.process,
            labels: taken.labels,
            doubts: taken.found.doubts,
            first: taken.found.first,
            latest: taken.found.last,
            last: now,
            // Once at least: a first condition may hold for want of anything to count.
            count: taken.found.count.max(1),
            counted: taken.found.counted,
            told_count: taken.found.count.max(1),
            evidence: taken.found.evidence,
            checked: Vec::new(),
            told: now,
        }
    }

    /// Whether it is about the same as this: the same container, or, where nobody is in one, the same webhook: who
    /// calls them calls many. What is of different file systems, devices or policies, or was asked of different hosts, is not
    /// the same.
    pub fn is_about_what(&self, taken: &Taken) -> bool {
        const PLACES: [Label; 4] = [Label::Filesystem, Label::Device, Label::Policy, Label::Host];
        let object = |labels: &BTreeMap<Label, Arc<str>>| OBJECTS.map(|label| labels.get(&label).cloned());
        // One that is full, slow or wrong says nothing of another, whoever writes to both; nor does a host of another.
        let is_elsewhere = PLACES.iter().any(|place| {
            let of_both = [&self.labels, &taken.labels].map(|labels| labels.get(place));
            matches!(of_both, [Some(one), Some(other)] if one != other)
        });
        self.workload == taken.workload
            && !is_elsewhere
            && (self.workload.is_some() || object(&self.labels) == object(&taken.labels))
    }

    /// Whether it is about no container, webhook or image: what is wrong with the node may show in any of them.
    pub fn is_of_node(&self) -> bool {
        self.workload.is_none() && !OBJECTS.iter().any(|label| self.labels.contains_key(label))
    }

    /// Its rule holds anew.
    pub fn again(&mut self, taken: &Taken, now: Time) {
        if taken.found.grade > Some(self.grade) {
            self.grade = taken.grade();
            self.doubts.clone_from(&taken.found.doubts);
        }
        self.count += taken.found.count;
        self.counted = self.counted.max(taken.found.counted);
        self.shows(taken, now);
    }

    /// Something else holds that is told by this: it makes this neither surer nor more.
    pub fn shows(&mut self, taken: &Taken, now: Time) {
        self.last = now;
        self.latest = taken.found.last.clone();
        if taken.found.last.text.is_some() {
            if self.evidence.len() >= MAX_EVIDENCE {
                self.evidence.remove(MAX_EVIDENCE / 2);
            }
            self.evidence.push(taken.found.last.clone());
        }
    }

    /// Whether it has changed enough to be told again.
    pub fn is_due(&self, now: Time) -> bool {
        let has_grown = self.count >= self.told_count.saturating_mul(10);
        self.count > self.told_count && (has_grown || now.since(self.told) >= TELL_AGAIN_NS)
    }
}

impl Suspicion {
    pub fn new(taken: Taken) -> Suspicion {
        Suspicion { first: taken.time, count: taken.found.count.max(1), taken, told: None }
    }

    pub fn again(&mut self, taken: Taken) {
        self.count += taken.found.count;
        self.taken = taken;
    }
}
