//! Signals of proxies: what they answer themselves, by the spans that they send of it.

use std::collections::{BTreeMap, VecDeque};

use super::{About, Label, Observation, Signal, workload, yes_no};
use crate::{
    output::{Container, Since},
    span::{Answer, Span},
    time::{Time, Wall},
};

/// Proxies whose answers are counted; of more no share is known.
const MAX: usize = 1_024;
/// Over which shares are, in parts of a second.
const WINDOW_S: u64 = 60;

/// How many answers of each proxy there were of late, and of these those that nobody behind it gave.
#[derive(Debug, Default)]
pub(super) struct Answers(BTreeMap<String, VecDeque<Second>>);

#[derive(Debug)]
struct Second {
    number: u64,
    all: u64,
    failed: u64,
}

/// A proxy that has answered.
#[derive(Clone, Copy)]
pub struct Answered<'a> {
    pub span: &'a Span,
    pub answer: Answer<'a>,
    /// It has sent the span, as far as that is known.
    pub container: Option<&'a Container>,
}

impl Answers {
    /// `serves`: the proxy listens where a cluster is entered.
    pub fn signals<'a>(
        &mut self,
        by: Answered<'a>,
        serves: bool,
        now: Time,
        mut see: impl FnMut(Observation<'a>),
    ) {
        let Answered { span, answer, container } = by;
        let service = span.service.as_deref().unwrap_or("unknown");
        let proxy = container.map_or(service.into(), workload);
        let failed = answer.is_of_gateway();
        let percent = self.count(&proxy, failed, now);
        if !failed && answer.flags.is_none() {
            return;
        }
        let about = About {
            probe: "otlp",
            container,
            process: None,
            since: Since::Attach,
            in_teardown: false,
            is_young: false,
        };
        let at = Wall(i64::try_from(span.end).unwrap_or(i64::MAX));
        let of = |signal, value| {
            Observation::new(now, at, signal, value, about)
                .with(Label::Proxy, proxy.clone())
                .with_some(Label::Host, answer.host)
                .with_some(Label::Flags, answer.flags)
                .with_some(Label::Status, answer.status.map(|status| status.to_string()))
                .with(Label::Serves, yes_no(serves))
        };
        if let Some(percent) = percent.filter(|_| failed) {
            let text = format!("{percent:.0} % of what {proxy} has answered in a minute was 502, 503 or 504");
            see(of(Signal::ProxyFailed, percent).saying(text));
        }
        see(of(Signal::ProxyAnswer, 1.0).saying(text(&proxy, answer)));
    }

    /// Takes in an answer; the share of those that failed.
    fn count(&mut self, proxy: &str, failed: bool, now: Time) -> Option<f64> {
        if self.0.len() >= MAX && !self.0.contains_key(proxy) {
            return None;
        }
        let number = now.0 / 1_000_000_000;
        let seconds = self.0.entry(proxy.to_owned()).or_default();
        while seconds.pop_front_if(|second| second.number + WINDOW_S <= number).is_some() {}
        match seconds.back_mut().filter(|second| second.number == number) {
            Some(second) => {
                second.all += 1;
                second.failed += u64::from(failed);
            }
            None => seconds.push_back(Second { number, all: 1, failed: u64::from(failed) }),
        }
        let sum = |of: fn(&Second) -> u64| seconds.iter().map(of).sum::<u64>() as f64;
        Some(sum(|second| second.failed) * 100.0 / sum(|second| second.all))
    }

    /// Time has passed: who has answered nothing of late is forgotten.
    pub fn forget(&mut self, now: Time) {
        let number = now.0 / 1_000_000_000;
        self.0.retain(|_, seconds| seconds.back().is_some_and(|last| last.number + WINDOW_S > number));
    }
}

fn text(proxy: &str, answer: Answer) -> String {
    let status = answer.status.map_or_else(|| "an answer".to_owned(), |status| status.to_string());
    let host = answer.host.map(|host| format!(" for {host}")).unwrap_or_default();
    let flags = answer.flags.map(|flags| format!(", by its response flags {flags}")).unwrap_or_default();
    format!("{proxy} gave {status}{host}{flags}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(status: &str, flags: &str) -> Span {
        let pairs = [("http.url", "shop.example"), ("http.status_code", status), ("response_flags", flags)];
        let attributes = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Span { service: Some("gateway".to_owned()), attributes, ..Span::default() }
    }

    /// What is seen of such an answer: signal, value, host and flags.
    fn seen(answers: &mut Answers, span: &Span, second: u64) -> Vec<(Signal, f64, String)> {
        let by = Answered { span, answer: span.answer().expect("a proxy's"), container: None };
        let mut seen = Vec::new();
        answers.signals(by, false, Time(second * 1_000_000_000), |observation| {
            let label = |label| observation.label(label).unwrap_or("none").to_owned();
            let labels = [Label::Proxy, Label::Host, Label::Status, Label::Flags].map(label).join(" ");
            seen.push((observation.signal, observation.value, labels));
        });
        seen
    }

    #[test]
    fn what_a_proxy_answers_itself_is_seen_and_nothing_else() {
        let mut answers = Answers::default();
        assert_eq!(seen(&mut answers, &span("200", "-"), 1), []);
        // Whoever was asked has said so.
        assert_eq!(seen(&mut answers, &span("404", "-"), 1), []);
        let labels = "gateway shop.example 404 NR".to_owned();
        assert_eq!(seen(&mut answers, &span("404", "NR"), 1), [(Signal::ProxyAnswer, 1.0, labels)]);
        let labels = || "gateway shop.example 503 UF,URX".to_owned();
        assert_eq!(
            seen(&mut answers, &span("503", "UF,URX"), 2),
            [(Signal::ProxyFailed, 25.0, labels()), (Signal::ProxyAnswer, 1.0, labels())]
        );
    }

    #[test]
    fn shares_are_of_the_last_minute_and_bounded_in_number() {
        let mut answers = Answers::default();
        (0..3).for_each(|_| drop(seen(&mut answers, &span("200", "-"), 1)));
        assert_eq!(seen(&mut answers, &span("502", "-"), 60)[0].1, 25.0);
        assert_eq!(seen(&mut answers, &span("502", "-"), 61)[0].1, 100.0);
        answers.forget(Time(200_000_000_000));
        assert!(answers.0.is_empty());
        for number in 0..=MAX {
            assert_eq!(answers.count(&number.to_string(), true, Time(0)).is_some(), number < MAX);
        }
    }
}
