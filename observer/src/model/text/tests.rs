//! Whose a line is, and whether a component said it.

use super::*;
use crate::{
    input::{CriContainer, Fact, FactKind, Input, LifeFact, ProcessFact},
    output::Process,
    probes::{Call, file, process::CgroupIds, text},
    time::Time,
};

fn writer(init: Option<u32>, role: u32) -> Owner {
    Owner {
        tgid: 40,
        tid: 41,
        start: Time(5),
        init,
        role,
        cgroup: CgroupIds { memory: 1, unified: 1 },
        comm: "containerd".into(),
    }
}

/// What is told of a line of this writer, in a container of this namespace.
fn told(writer: Owner, namespace: &str, is_named: bool) -> (Option<String>, bool, Option<Process>) {
    let mut model = Model::new(1, true);
    let cri = CriContainer { namespace: Some(namespace.to_owned()), ..CriContainer::default() };
    let life = LifeFact { init: 30, id: "it".into(), start: Time(3), cri: Some(cri), ..LifeFact::default() };
    let mut events = Vec::new();
    let fact = Fact { time: Time(10), what: FactKind::Life(Box::new(life)) };
    model.step(&Input::Fact(fact), &mut |_| {});
    let line = Line {
        keyword: "k".into(),
        layer: "L-3".into(),
        is_named,
        text: "a line".into(),
        is_cut: false,
        captures: vec![("a".into(), "b".into())],
    };
    let found = text::Event::Found(Found { writer, fd: 2, lines: vec![line] });
    let event = probes::Event::Text(found);
    let record = Record { time: Time(20), tgid: 40, tid: 41, unreadable: false, late: false, event };
    model.step(&Input::Record(record), &mut |made| {
        if let Made::Event(event) = made {
            events.push(*event);
        }
    });
    let [event] = &events[..] else { panic!("{events:?}") };
    let text = text_of(event);
    let id = event.container.as_ref().map(|container| container.id.clone());
    (id, text.component, event.process.clone())
}

fn text_of(event: &Event) -> &Text {
    let What::Text(text) = &event.what else { panic!("{event:?}") };
    text
}

#[test]
fn a_component_is_outside_of_containers_or_in_those_of_the_cluster() {
    let (container, component, process) = told(writer(None, role::ENGINE), "shop", true);
    assert_eq!((container, component), (None, true));
    assert_eq!(process.map(|process| (process.pid, process.tid)), Some((40, 41)));
    let inside = |namespace, is_named| told(writer(Some(30), role::PAYLOAD), namespace, is_named);
    assert!(!inside("shop", true).1);
    assert!(inside("kube-system", true).1);
    assert!(!inside("kube-system", false).1);
    assert_eq!(inside("shop", true).0.as_deref(), Some("it"));
}

#[test]
fn what_has_left_the_node_s_root_is_none_even_if_its_container_is_not_known() {
    for writer in [
        writer(Some(77), role::RUNTIME),
        writer(None, role::RUNTIME | role::ROOTFS),
        writer(None, role::PAYLOAD),
    ] {
        assert!(!told(writer, "shop", true).1);
    }
}

#[test]
fn writes_that_were_not_looked_at_are_counted() {
    let mut model = Model::new(1, true);
    let event = probes::Event::Text(text::Event::Skipped { writer: writer(None, 0), count: 7 });
    let record = Record { time: Time(20), tgid: 40, tid: 41, unreadable: false, late: false, event };
    for _ in 0..2 {
        model.step(&Input::Record(record.clone()), &mut |_| panic!("nothing is told"));
    }
    assert_eq!(model.unread_text, 14);
}

const DATASTORE: &str = "/var/lib/rancher/k3s/server/db/state.db";

/// What a line of K3s is about, which has had one file open before and opens another; `names`: the line does.
fn datastore(had: Option<&str>, opens: Option<(&str, i64)>, names: Option<&str>) -> Option<String> {
    let mut model = Model::new(1, true);
    let k3s = Owner { comm: "k3s-server".into(), ..writer(None, role::ENGINE) };
    let fact = ProcessFact {
        tgid: k3s.tgid,
        ppid: 1,
        // To the tick.
        start: Time(0),
        comm: k3s.comm.clone(),
        exe: None,
        role: role::ENGINE,
        datastore: had.map(str::to_owned),
    };
    model.step(&Input::Fact(Fact { time: Time(10), what: FactKind::Process(fact) }), &mut |_| {});
    let opened = opens.map(|(path, ret)| {
        probes::Event::File(file::Event {
            call: Call { entered: Time(19), ret },
            op: file::Op::Open,
            path: path.to_owned(),
            flags: 0,
            role: role::ENGINE,
        })
    });
    let line = Line {
        keyword: "k".into(),
        layer: "host".into(),
        is_named: true,
        text: "a line".into(),
        is_cut: false,
        captures: names.map(|file| ("file".to_owned(), file.to_owned())).into_iter().collect(),
    };
    let found = probes::Event::Text(text::Event::Found(Found { writer: k3s, fd: 2, lines: vec![line] }));
    let mut told = Vec::new();
    for event in opened.into_iter().chain([found]) {
        let record = Record { time: Time(20), tgid: 40, tid: 41, unreadable: false, late: false, event };
        model.step(&Input::Record(record), &mut |made| {
            if let Made::Event(event) = made {
                told.push(text_of(&event).datastore.clone());
            }
        });
    }
    let [datastore] = &told[..] else { panic!("{told:?}") };
    datastore.clone()
}

#[test]
fn a_server_speaks_of_the_database_that_it_has_opened() {
    let own = Some(DATASTORE.to_owned());
    assert_eq!(datastore(Some(DATASTORE), None, None), own, "before the observer was there");
    assert_eq!(datastore(None, Some((DATASTORE, 7)), None), own);
    assert_eq!(datastore(None, Some((DATASTORE, 7)), Some("./db/state.db")), own, "in short");
    assert_eq!(datastore(None, Some((DATASTORE, 7)), Some("/srv/other.db")), None, "of another file");
    assert_eq!(datastore(None, Some((DATASTORE, -2)), None), None, "there is none");
    assert_eq!(datastore(None, Some(("/srv/other.db", 7)), None), None, "another file");
    assert_eq!(datastore(None, None, None), None);
}
