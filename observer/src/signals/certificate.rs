//! Signals of certificates on the node's disk: for how long they are valid.

use super::{About, Label, Observation, Signal};
use crate::{
    input::Certificate,
    output::Since,
    time::{Time, Wall},
};

const DAY_S: f64 = 86_400.0;

/// One of each. Of one that is valid no more the days are negative.
pub fn signals(found: &[Certificate], now: Time, at: Wall, mut see: impl FnMut(Observation)) {
    for certificate in found {
        let days = (certificate.not_after as f64 - at.0 as f64 / 1e9) / DAY_S;
        let about = About {
            probe: "node",
            container: None,
            process: None,
            since: Since::Attach,
            in_teardown: false,
            is_young: false,
        };
        let path = &certificate.path;
        let text = if days > 0.0 {
            format!("{path} is valid for {days:.1} more days")
        } else {
            format!("{path} is valid no more, since {:.1} days", -days)
        };
        see(Observation::new(now, at, Signal::CertificateValid, days, about)
            .with(Label::Path, path.as_str())
            .with(Label::Object, path.as_str())
            .saying(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_now_and_below_zero() {
        let of = |not_after| Certificate { path: "/etc/kubernetes/pki/ca.crt".to_owned(), not_after };
        let now = Wall(10 * 86_400 * 1_000_000_000);
        let mut seen = Vec::new();
        signals(&[of(11 * 86_400), of(9 * 86_400)], Time(5), now, |observation| {
            assert_eq!(observation.label(Label::Path), Some("/etc/kubernetes/pki/ca.crt"));
            seen.push((observation.value, observation.text));
        });
        let text = |text: &str| Some(format!("/etc/kubernetes/pki/ca.crt is valid {text}"));
        assert_eq!(seen, [(1.0, text("for 1.0 more days")), (-1.0, text("no more, since 1.0 days"))]);
    }
}
