//! What observing may cost, and what is given up when it costs more: in a fixed order, what a diagnosis misses least
//! first. What it is given up for is measured by the caller; time is that of the measurements.

use observer_ebpf::{Family, control::shed};

use crate::{cli::Budget, health::OwnCost, time::Time};

/// What may be given up, in this order, with what it is called in the kernel programs. Starts, ends, kills for want of
/// memory and whatever else findings rest on most stay.
const ORDER: [(Family, u32); 4] = [
    (Family::Text, shed::TEXT),
    (Family::Storage, shed::STORAGE),
    (Family::Stdio, shed::STDIO),
    (Family::Dns, shed::DNS),
];

/// In how many measurements the time is seen that the cost may be too high for, and the longest between two.
const PARTS: u64 = 3;
const SELDOMEST_NS: u64 = 10_000_000_000;
const OFTENEST_NS: u64 = 100_000_000;
/// What was given up comes back once the cost was below this share of the budget, in percent, for that many times the
/// time that it may be too high for.
const ROOM_PERCENT: f64 = 80.0;
const CALM: u64 = 4;
/// What was too much again soon after it had come back stays away twice as long, up to so many times.
const LONGEST: u64 = 32;

/// What is to be done about the cost.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Given up, and why.
    Shed(Family, String),
    Restore(Family),
    /// There is nothing left to give up. Said once.
    Exhausted(String),
}

/// Keeps a budget.
#[derive(Debug)]
pub struct Keeper {
    budget: Budget,
    /// What there is to give up, and how much of it is.
    steps: Vec<One>,
    given_up: usize,
    last: Option<(Time, OwnCost)>,
    over_since: Option<Time>,
    under_since: Option<Time>,
    is_exhausted: bool,
}

#[derive(Debug)]
struct One {
    family: Family,
    bit: u32,
    restored: Option<Time>,
    /// How long the cost must have been low before it comes back, in units of the time that it may be too high for.
    calm: u64,
}

impl Keeper {
    /// `used`: the families that there are to give up.
    pub fn new(budget: Budget, used: impl Fn(Family) -> bool) -> Keeper {
        let used = ORDER.into_iter().filter(|(family, _)| used(*family));
        let steps = used.map(|(family, bit)| One { family, bit, restored: None, calm: CALM });
        Keeper {
            budget,
            steps: steps.collect(),
            given_up: 0,
            last: None,
            over_since: None,
            under_since: None,
            is_exhausted: false,
        }
    }

    /// Another budget from now on: what was given up for the one before comes back as this one allows.
    pub fn allow(&mut self, budget: Budget) {
        self.budget = budget;
        (self.over_since, self.under_since, self.is_exhausted) = (None, None, false);
        self.steps.iter_mut().for_each(|step| (step.restored, step.calm) = (None, CALM));
    }

    /// What is given up at present, as the kernel programs are told.
    pub fn bits(&self) -> u32 {
        self.steps[..self.given_up].iter().fold(0, |bits, step| bits | step.bit)
    }

    /// Whether it is time to measure.
    pub fn is_due(&self, now: Time) -> bool {
        let every = (self.budget.over_ns / PARTS).clamp(OFTENEST_NS, SELDOMEST_NS);
        self.last.is_none_or(|(last, _)| now.since(last) >= every)
    }

    /// The cost by now, and what follows from it.
    pub fn measured(&mut self, now: Time, cost: OwnCost) -> Option<Step> {
        let (before, was) = self.last.replace((now, cost))?;
        let passed = now.since(before).max(1);
        let busy = (cost.cpu_ns - was.cpu_ns.min(cost.cpu_ns))
            + cost.bpf_run_ns.zip(was.bpf_run_ns).map_or(0, |(now, was)| now.saturating_sub(was));
        let cpu = busy as f64 * 100.0 / passed as f64;
        let shares = [
            self.budget.cpu_percent.map(|allowed| cpu / allowed),
            self.budget.memory_bytes.map(|allowed| cost.rss_bytes as f64 / allowed as f64),
        ];
        let share = shares.into_iter().flatten().fold(0.0, f64::max);
        // An interval counts from its beginning.
        let since = |kept: &mut Option<Time>, holds: bool| {
            *kept = holds.then(|| kept.unwrap_or(before));
            kept.map_or(0, |since| now.since(since))
        };
        let over = since(&mut self.over_since, share > 1.0);
        let under = since(&mut self.under_since, share * 100.0 < ROOM_PERCENT);
        if self.over_since.is_some() && over >= self.budget.over_ns {
            self.over_since = None;
            return self.shed(now, self.why(cpu, cost.rss_bytes));
        }
        let calm = self.given_up.checked_sub(1).map(|last| self.steps[last].calm)?;
        if under >= calm.saturating_mul(self.budget.over_ns) {
            self.under_since = None;
            return self.restore(now);
        }
        None
    }

    fn shed(&mut self, now: Time, why: String) -> Option<Step> {
        let over_ns = self.budget.over_ns;
        let Some(step) = self.steps.get_mut(self.given_up) else {
            return (!std::mem::replace(&mut self.is_exhausted, true)).then_some(Step::Exhausted(why));
        };
        let stayed = step.restored.map(|restored| now.since(restored));
        let was_soon = stayed.is_some_and(|stayed| stayed < 2 * step.calm.saturating_mul(over_ns));
        step.calm = if was_soon { (2 * step.calm).min(CALM * LONGEST) } else { CALM };
        self.given_up += 1;
        Some(Step::Shed(step.family, why))
    }

    fn restore(&mut self, now: Time) -> Option<Step> {
        self.given_up -= 1;
        self.is_exhausted = false;
        let step = &mut self.steps[self.given_up];
        step.restored = Some(now);
        Some(Step::Restore(step.family))
    }

    /// Has back what was given up last, whatever it costs.
    pub fn take_back(&mut self) -> Option<Family> {
        self.given_up = self.given_up.checked_sub(1)?;
        Some(self.steps[self.given_up].family)
    }

    fn why(&self, cpu: f64, rss: u64) -> String {
        let of_cpu = self.budget.cpu_percent.filter(|allowed| cpu > *allowed);
        let of_cpu = of_cpu.map(|allowed| format!("{cpu:.2} % of a CPU, of {allowed} % allowed"));
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let of_memory = self.budget.memory_bytes.filter(|allowed| rss > *allowed);
        let of_memory =
            of_memory.map(|allowed| format!("{:.1} MiB of memory, of {:.1} allowed", mib(rss), mib(allowed)));
        of_cpu.into_iter().chain(of_memory).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// What was done, by the second, under a load in percent of a CPU.
    struct Rig {
        keeper: Keeper,
        second: u64,
        cpu_ns: u64,
        done: Vec<(u64, String)>,
    }

    impl Rig {
        fn new(used: impl Fn(Family) -> bool) -> Rig {
            let budget =
                Budget { cpu_percent: Some(1.0), memory_bytes: Some(60 << 20), over_ns: 30 * SECOND };
            Rig { keeper: Keeper::new(budget, used), second: 0, cpu_ns: 0, done: Vec::new() }
        }

        fn runs(&mut self, seconds: u64, percent: u64, rss_bytes: u64) -> &mut Rig {
            for _ in 0..seconds {
                self.second += 1;
                self.cpu_ns += percent * SECOND / 100;
                let now = Time(self.second * SECOND);
                if !self.keeper.is_due(now) {
                    continue;
                }
                let half = self.cpu_ns / 2;
                let cost = OwnCost { cpu_ns: half, bpf_run_ns: Some(self.cpu_ns - half), rss_bytes };
                let done = match self.keeper.measured(now, cost) {
                    Some(Step::Shed(family, why)) => {
                        assert!(why.contains("allowed"), "{why}");
                        format!("-{}", family.name())
                    }
                    Some(Step::Restore(family)) => format!("+{}", family.name()),
                    Some(Step::Exhausted(_)) => "nothing left".to_owned(),
                    None => continue,
                };
                self.done.push((self.second, done));
            }
            self
        }

        fn runs_until_done(&mut self, percent: u64) -> u64 {
            while self.done.is_empty() {
                self.runs(1, percent, 1 << 20);
            }
            self.done().pop().expect("something").0
        }

        fn done(&mut self) -> Vec<(u64, String)> {
            std::mem::take(&mut self.done)
        }
    }

    fn all(_: Family) -> bool {
        true
    }

    fn said(done: &[(u64, &str)]) -> Vec<(u64, String)> {
        done.iter().map(|(second, what)| (*second, (*what).to_owned())).collect()
    }

    #[test]
    fn what_costs_too_much_is_given_up_in_order_and_comes_back_in_the_other() {
        let mut rig = Rig::new(all);
        let expected =
            said(&[(31, "-text"), (61, "-storage"), (91, "-stdio"), (121, "-dns"), (151, "nothing left")]);
        assert_eq!(rig.runs(400, 3, 1 << 20).done(), expected);
        assert_eq!(rig.keeper.bits(), shed::TEXT | shed::STORAGE | shed::STDIO | shed::DNS);
        let back: Vec<String> = rig.runs(600, 0, 1 << 20).done().into_iter().map(|(_, what)| what).collect();
        assert_eq!(back, ["+dns", "+stdio", "+storage", "+text"]);
        assert_eq!(rig.keeper.bits(), 0);
    }

    #[test]
    fn a_burst_is_no_reason_and_neither_is_what_just_fits() {
        let mut rig = Rig::new(all);
        for _ in 0..20 {
            rig.runs(20, 9, 1 << 20).runs(10, 0, 1 << 20);
        }
        assert_eq!(rig.runs(900, 1, 60 << 20).done(), []);
    }

    #[test]
    fn what_is_too_much_again_and_again_stays_away_longer_and_longer() {
        let mut rig = Rig::new(|family| family == Family::Text);
        let mut away = Vec::new();
        for _ in 0..8 {
            let gone = rig.runs_until_done(2);
            away.push(rig.runs_until_done(0) - gone);
        }
        assert_eq!(away, [120, 240, 480, 960, 1920, 3840, 3840, 3840]);
    }

    #[test]
    fn memory_counts_and_what_is_not_there_is_not_given_up() {
        let mut rig = Rig::new(|family| family == Family::Stdio);
        assert_eq!(rig.runs(100, 0, 61 << 20).done(), said(&[(31, "-stdio"), (61, "nothing left")]));
    }

    #[test]
    fn another_budget_counts_from_then_on() {
        let mut rig = Rig::new(all);
        rig.runs(40, 3, 1 << 20);
        rig.done();
        rig.keeper.allow(Budget { cpu_percent: Some(50.0), memory_bytes: None, over_ns: SECOND });
        assert_eq!(rig.runs(20, 3, 1 << 20).done(), said(&[(41, "+text")]));
    }
}
