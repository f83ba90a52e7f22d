//! What changes while it goes on: probes that are given up, what is watched, the rules themselves.

use super::{Engine, Said};
use crate::{
    output::Container,
    rules::{Rules, checks::OVER, judge::Bench, open::Open, tell, trust::shed, windows::Windows},
    time::{ClockOffset, Time},
};

impl Engine {
    /// Findings that rely on a probe which is given up say so: from here on nothing shows that they are over.
    pub(super) fn doubt_open(&mut self, family: u8, say: &mut impl FnMut(Said)) {
        let bench = Bench::of((&self.windows, &self.trust, &self.habits), self.now, self.began);
        for ((at, key), open) in &mut self.open {
            let mut needs = self.rules.causes[*at].signals().flat_map(|signal| signal.spec().needs);
            let Some(family) = needs.find(|need| **need as u8 == family) else { continue };
            let doubt = shed(*family);
            if !open.doubts.contains(&doubt) {
                open.doubts.push(doubt);
                (open.told_count, open.told) = (open.count, self.now);
                say(tell::updated(&self.rules, *at, key, open, bench, self.clock));
            }
        }
    }

    /// Closes what is open about these, and says why. What waits is forgotten.
    pub fn leave(
        &mut self,
        why: &str,
        is: impl Fn(Option<&Container>) -> bool,
        now: Time,
        clock: ClockOffset,
        say: &mut impl FnMut(Said),
    ) {
        (self.now, self.clock) = (self.now.max(now), clock);
        self.waiting.retain(|_, taken| !is(taken.container.as_deref()));
        self.suspicions.retain(|_, suspicion| !is(suspicion.taken.container.as_deref()));
        let left = self.open.iter().filter(|(_, open)| is(open.container.as_deref()));
        let left: Vec<_> = left.map(|(key, _)| key.clone()).collect();
        for (at, key) in left {
            if let Some(mut open) = self.open.remove(&(at, key.clone())) {
                open.doubts.push(why.to_owned());
                say(tell::resolved(&self.rules, at, &key, &open, self.bench(), self.clock));
            }
        }
    }

    /// Goes on with other rules, which begin to look now. Nothing may be open by those before.
    pub fn replace(&mut self, rules: Rules, now: Time) {
        self.windows = Windows::new(rules.series.len());
        self.rules = rules;
        self.began = Some(now);
    }

    /// Learns what is usual, of what nothing is wrong with.
    pub(super) fn learn(&mut self) {
        if !self.habits.is_due(self.now) {
            return;
        }
        let from = Time(self.now.0.saturating_sub(OVER.0));
        let (open, trust, now) = (&self.open, &self.trust, self.now);
        self.habits.learn(&self.rules.checks, &self.windows, (now, self.clock.wall(now)), |check, key| {
            let is_told = open.values().any(|open| match &open.workload {
                None => true,
                Some(workload) => !check.of_container || key.first() == Some(workload),
            });
            is_told || trust.absent(check.signal).is_some() || trust.doubt(check.signal, from).is_some()
        });
    }

    /// From when on it counts that a rule has not held: nothing could show it while a probe that it needs was given up.
    pub(super) fn unseen_since(&self, at: usize, open: &Open) -> Time {
        let shed = self.rules.causes[at].signals().filter_map(|signal| self.trust.shed_until(signal));
        shed.fold(open.last, Time::max)
    }
}
