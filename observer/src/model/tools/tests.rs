//! A tool has failed if it ended with an error, said why itself, and is nobody's workload.

use super::*;
use crate::{
    input::{Fact, FactKind, Input, LifeFact},
    probes::{Event, process::CgroupIds},
};

const TGID: u32 = 40;

/// A run of a tool: how it is followed, what it says, how it ends.
struct Ran {
    role: u32,
    init: Option<u32>,
    cgroup: u64,
    invocation: Invocation,
    /// Keywords of its lines, and whether they are of its name.
    said: Vec<(&'static str, bool)>,
    /// `task->exit_code`.
    exit_code: u32,
}

impl Ran {
    fn opa(said: &[(&'static str, bool)], exit_code: u32) -> Ran {
        let invocation = Invocation::Tool { call: ToolCall::Build, image: None };
        Ran { role: role::SPEAKER, init: None, cgroup: 1, invocation, said: said.to_vec(), exit_code }
    }

    fn records(&self) -> Vec<Event> {
        let cgroup = CgroupIds { memory: self.cgroup, unified: self.cgroup };
        let start = Time(5);
        let executed = process::Executed {
            ppid: 1,
            role: self.role,
            start,
            cgroup,
            major_faults: 0,
            read_bytes: 0,
            comm: "opa".to_owned(),
            filename: "/usr/bin/opa".to_owned(),
            invocation: self.invocation.clone(),
        };
        let writer = Owner {
            tgid: TGID,
            tid: TGID,
            start,
            init: self.init,
            role: self.role,
            cgroup,
            comm: "opa".to_owned(),
        };
        let said = self.said.iter().map(|(keyword, is_named)| {
            let line = Line {
                keyword: (*keyword).to_owned(),
                layer: "L-4".to_owned(),
                is_named: *is_named,
                text: format!("a line of {keyword}"),
                is_cut: false,
                captures: Vec::new(),
            };
            Event::Text(text::Event::Found(text::Found { writer: writer.clone(), fd: 2, lines: vec![line] }))
        });
        let exited = process::Event::Exited {
            role: self.role,
            exit_code: self.exit_code,
            start,
            cgroup,
            major_faults: 0,
            read_bytes: 0,
        };
        [Event::Process(process::Event::Executed(Box::new(executed)))]
            .into_iter()
            .chain(said)
            .chain([Event::Process(exited)])
            .collect()
    }

    /// What is made of it on a node with a container in control group 77.
    fn failed(&self) -> Vec<ToolFailed> {
        let mut model = Model::new(1, true);
        let life = LifeFact { init: 30, id: "it".into(), cgroup_id: Some(77), ..LifeFact::default() };
        let fact = Fact { time: Time(1), what: FactKind::Life(Box::new(life)) };
        model.step(&Input::Fact(fact), &mut |_| {});
        let mut failed = Vec::new();
        for (at, event) in self.records().into_iter().enumerate() {
            let time = Time(10 + at as u64);
            let record = Record { time, tgid: TGID, tid: TGID, unreadable: false, late: false, event };
            model.step(&Input::Record(record), &mut |made| {
                if let Made::ToolFailed(one) = made {
                    failed.push(*one);
                }
            });
        }
        assert!(model.tools.running.is_empty(), "it is forgotten");
        failed
    }
}

const ERROR: u32 = 2 << 8;
const SYNTAX: (&str, bool) = ("rego-syntax", true);

#[test]
fn what_it_said_and_how_it_ended_are_told_together() {
    let failed = Ran::opa(&[SYNTAX, ("other", false), SYNTAX, ("opa-build-failed", true)], ERROR).failed();
    let [one] = &failed[..] else { panic!("{failed:?}") };
    assert_eq!((one.process.pid, one.call, one.exit), (TGID, "build", 2));
    let said: Vec<&str> = one.said.iter().map(|line| line.keyword.as_str()).collect();
    assert_eq!(said, ["rego-syntax", "opa-build-failed"]);
}

#[test]
fn what_only_looks_like_it_is_none() {
    const KILLED: u32 = 9;
    for (ran, why) in [
        (Ran::opa(&[SYNTAX], 0), "it succeeded"),
        (Ran::opa(&[SYNTAX], KILLED), "somebody stopped it"),
        (Ran::opa(&[], ERROR), "it said nothing"),
        (Ran::opa(&[("rego-syntax", false)], ERROR), "nothing of what it said is of its name"),
        (Ran { invocation: Invocation::Unknown, ..Ran::opa(&[SYNTAX], ERROR) }, "it is no tool"),
        (Ran { role: role::PAYLOAD, init: Some(30), ..Ran::opa(&[SYNTAX], ERROR) }, "a workload"),
        (Ran { role: role::RUNTIME | role::ROOTFS, ..Ran::opa(&[SYNTAX], ERROR) }, "about to be one"),
        (Ran { cgroup: 77, ..Ran::opa(&[SYNTAX], ERROR) }, "executed in a container later"),
    ] {
        assert_eq!(ran.failed(), [], "{why}");
    }
}

#[test]
fn of_too_many_the_one_that_began_first_is_given_up() {
    let mut tools = Tools::default();
    for tgid in 0..=MAX_TOOLS as u32 {
        let executed = Time(u64::from(tgid));
        tools.begin(tgid, Tool { executed, call: ToolCall::Other, image: None, said: None });
    }
    assert_eq!((tools.running.len(), tools.running.contains_key(&0)), (MAX_TOOLS, false));
    assert_eq!(tools.given_up, 1);
}
