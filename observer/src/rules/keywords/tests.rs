//! The keywords that are shipped: that they compile, and that they know the lines that real components write.

use std::collections::BTreeMap;

use observer_ebpf::wire::{Header, Record as _, packet::Owner, text::Piece};
use zerocopy::IntoBytes;

use super::*;
use crate::probes::{Event, Reducer, text};

/// What is told of a line of this component: by keyword what is captured.
fn told(comm: &str, line: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reducer = Reducer::new(shipped().unwrap()).unwrap();
    let mut name = [0; 16];
    name[..comm.len()].copy_from_slice(comm.as_bytes());
    let text = format!("{line}\n");
    let mut record = Piece {
        header: Header::default(),
        writer: Owner { tgid: 1, comm: name, ..Owner::default() },
        ino: 1,
        fd: 2,
        len: text.len() as u32,
        omitted: 0,
        pad: 0,
    };
    let len = (size_of::<Piece>() + text.len()) as u32;
    record.set_header(Header { kind: Piece::KIND, len, ..Header::default() });
    let bytes = [record.as_bytes(), text.as_bytes()].concat();
    match reducer.reduce(&bytes).unwrap().record.event {
        Event::Text(text::Event::Found(found)) => found
            .lines
            .into_iter()
            .map(|line| {
                assert!(line.is_named, "{} is not of {comm}", line.keyword);
                (line.keyword, line.captures.into_iter().collect())
            })
            .collect(),
        Event::Text(text::Event::Ordinary) => BTreeMap::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_layer_that_there_is_not_and_a_name_for_two_are_refused() {
    let one = |id: &str, layer: &str| format!("[[keyword]]\nid = '{id}'\npattern = 'x'\nlayer = '{layer}'\n");
    assert_eq!(read(&one("a", "L-3")).unwrap().len(), 1);
    assert_eq!(
        read(&one("a", "L-7")).unwrap_err().to_string(),
        "keyword a: there is no layer \"L-7\"; there are L-0 to L-4, and host"
    );
    assert_eq!(
        read(&(one("a", "L-3") + &one("a", "host"))).unwrap_err().to_string(),
        "two keywords are called a"
    );
    assert!(read("[[keyword]]\nid = 'a'\npattern = 'x'\nlayer = 'L-3'\nlevel = 1\n").is_err());
}
