//! Signals of policy tools that have failed. What they said and that they failed is of the same process.

use super::{About, Label, Observation, Signal};
use crate::{
    output::{Since, ToolFailed},
    time::{Time, Wall},
};

/// One a keyword.
pub fn signals(failed: &ToolFailed, now: Time, at: Wall, mut see: impl FnMut(Observation)) {
    let about = About {
        probe: "exec",
        container: None,
        process: Some(&failed.process),
        since: Since::Start,
        in_teardown: false,
        // It is done: it has no peers to find.
        is_young: false,
    };
    let (tool, call, exit) = (&failed.process.comm, failed.call, failed.exit);
    for line in &failed.said {
        let policy = line.captures.iter().find(|(name, _)| name == "policy");
        see(Observation::new(now, at, Signal::ToolFailed, 1.0, about)
            .with_some(Label::Image, failed.image.as_deref())
            .with_some(Label::Policy, policy.map(|(_, file)| file.as_str()))
            .with(Label::Call, call)
            .with(Label::Exit, exit.to_string())
            .with(Label::Keyword, line.keyword.as_str())
            .with(Label::Message, line.text.as_str())
            .saying(format!("{tool} {call} ended with exit status {exit}; it wrote: {}", line.text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{output::Process, probes::text::Line};

    #[test]
    fn each_keyword_is_seen_with_how_it_ended() {
        let said = |keyword: &str, captures: &[(&str, &str)]| Line {
            keyword: keyword.to_owned(),
            layer: "L-4".to_owned(),
            is_named: true,
            text: format!("the line of {keyword}"),
            is_cut: false,
            captures: captures.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        };
        let process = Process { pid: 7, comm: "opa".to_owned(), ..Process::default() };
        let said = vec![said("a", &[("policy", "p.rego"), ("reason", "x")]), said("b", &[])];
        let failed = ToolFailed { process, call: "build", image: Some("app:1".to_owned()), exit: 2, said };
        let mut seen = Vec::new();
        signals(&failed, Time(5), Wall(9), |observation| {
            let labels =
                [Label::Process, Label::Call, Label::Image, Label::Exit, Label::Keyword, Label::Policy]
                    .map(|label| observation.label(label).unwrap_or_default().to_owned());
            seen.push((labels, observation.text.unwrap_or_default()));
        });
        let expected = |keyword: &str, policy: &str| {
            let text = format!("opa build ended with exit status 2; it wrote: the line of {keyword}");
            (["opa", "build", "app:1", "2", keyword, policy].map(str::to_owned), text)
        };
        assert_eq!(seen, [expected("a", "p.rego"), expected("b", "")]);
    }
}
