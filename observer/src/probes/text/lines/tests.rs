//! Lines out of pieces.

use observer_ebpf::wire::{self, Header, packet::Owner as WireOwner};

use super::*;

const KEYWORDS: &[(&str, &str, &[&str])] = &[
    ("pull", r#"PullImage "(?P<image>[^"]+)" failed(?: with (?P<why>.*))?"#, &["containerd", "k3s"]),
    ("space", "no space left on device", &["kube-controller-manager"]),
    ("odd", r"\xff\xfe", &[]),
];

fn lines() -> Lines {
    let keyword = |(id, pattern, components): &(&str, &str, &[&str])| Keyword {
        id: (*id).to_owned(),
        pattern: (*pattern).to_owned(),
        layer: "L-3".to_owned(),
        components: components.iter().map(|name| (*name).to_owned()).collect(),
        rows: Vec::new(),
    };
    Lines::new(KEYWORDS.iter().map(keyword).collect()).unwrap()
}

fn writer(tgid: u32, comm: &str) -> WireOwner {
    let mut name = [0; 16];
    name[..comm.len()].copy_from_slice(comm.as_bytes());
    WireOwner { tgid, tid: tgid, start_ns: 5, comm: name, ..WireOwner::default() }
}

fn bytes<R: wire::Record>(mut record: R, text: &[u8], flags: u16) -> Vec<u8> {
    let len = (size_of::<R>() + text.len()) as u32;
    record.set_header(Header { kind: R::KIND, len, flags, tgid: 7, tid: 8, ..Header::default() });
    [record.as_bytes(), text].concat()
}

/// What a process wrote to an object.
fn wrote(writer: WireOwner, ino: u64, text: &[u8], omitted: u32) -> Vec<u8> {
    let header = Header::default();
    let len = text.len() as u32;
    bytes(Piece { header, writer, ino, fd: 2, len, omitted, pad: 0 }, text, 0)
}

/// What is told of it: keywords and lines.
fn told(event: Event) -> Vec<(String, String)> {
    match event {
        Event::Found(found) => found.lines.into_iter().map(|line| (line.keyword, line.text)).collect(),
        Event::Ordinary => Vec::new(),
        Event::Skipped { .. } => panic!("nothing was skipped"),
    }
}

fn say(lines: &mut Lines, ino: u64, text: &str) -> Vec<(String, String)> {
    told(lines.decode(1, &wrote(writer(7, "containerd"), ino, text.as_bytes(), 0)).unwrap())
}

fn found(keyword: &str, line: &str) -> (String, String) {
    (keyword.to_owned(), line.to_owned())
}

#[test]
fn a_line_is_put_together_and_streams_are_told_apart() {
    let mut lines = lines();
    assert_eq!(say(&mut lines, 1, "PullImage \"a:1\" fai"), []);
    assert_eq!(
        say(&mut lines, 2, "PullImage \"b:1\" failed\nno space "),
        [found("pull", r#"PullImage "b:1" failed"#)]
    );
    assert_eq!(say(&mut lines, 1, "led\nfine\n"), [found("pull", r#"PullImage "a:1" failed"#)]);
    assert_eq!(say(&mut lines, 2, "left on device\r\n"), [found("space", "no space left on device")]);
    assert!(lines.open.is_empty() && lines.used.is_empty());
}

#[test]
fn what_was_begun_by_another_process_of_the_same_pid_is_not_taken_up() {
    let mut lines = lines();
    assert_eq!(say(&mut lines, 1, "no space left "), []);
    let younger = WireOwner { start_ns: 6, ..writer(7, "containerd") };
    assert_eq!(told(lines.decode(1, &wrote(younger, 1, b"on device\n", 0)).unwrap()), []);
}

#[test]
fn the_end_of_its_writer_ends_a_line() {
    let mut lines = lines();
    assert_eq!(say(&mut lines, 1, "no space left on device"), []);
    assert_eq!(say(&mut lines, 2, "nothing"), []);
    let other = Ended { header: Header::default(), writer: writer(9, "other") };
    assert_eq!(told(lines.decode(3, &bytes(other, b"", 0)).unwrap()), []);
    let ended = Ended { header: Header::default(), writer: writer(7, "containerd") };
    assert_eq!(
        told(lines.decode(3, &bytes(ended, b"", 0)).unwrap()),
        [found("space", "no space left on device")]
    );
    assert!(lines.open.is_empty() && lines.used.is_empty());
}

#[test]
fn what_is_not_handed_over_ends_a_line_and_says_so() {
    let mut lines = lines();
    let event = lines.decode(1, &wrote(writer(7, "k3s-server"), 1, b"no space left on device", 9)).unwrap();
    let Event::Found(Found { lines: found, fd: 2, .. }) = event else { panic!("{event:?}") };
    assert!(found[0].is_cut && !found[0].is_named);
    assert_eq!(
        say(&mut lines, 1, " PullImage \"a\" failed\n"),
        [self::found("pull", " PullImage \"a\" failed")]
    );
}

#[test]
fn names_are_those_of_components() {
    let is_named = |comm: &str, text: &str| {
        let event = lines().decode(1, &wrote(writer(7, comm), 1, text.as_bytes(), 0)).unwrap();
        let Event::Found(found) = event else { panic!("{event:?}") };
        found.lines[0].is_named
    };
    for (comm, named) in [
        ("containerd", true),
        ("k3s", true),
        ("k3s-server", true),
        ("containerdx", false),
        ("sh", false),
        ("", false),
    ] {
        assert_eq!(is_named(comm, "PullImage \"a\" failed\n"), named, "{comm}");
    }
    // As much of its name as the kernel keeps.
    assert!(is_named("kube-controller", "no space left on device\n"));
}

#[test]
fn long_lines_are_cut_around_their_keyword() {
    let mut lines = lines();
    let long = format!("{}{}{}\n", "x".repeat(700), "no space left on device", "é".repeat(60));
    let told = say(&mut lines, 1, &long);
    assert_eq!(told.len(), 1);
    assert!(told[0].1.starts_with("xxxx") && told[0].1.len() <= MAX_LINE, "{}", told[0].1);
    assert!(told[0].1.contains("no space left on device"), "{}", told[0].1);
    // Beyond what is held of a line nothing is found, and the next one is whole again.
    for _ in 0..4 {
        assert_eq!(say(&mut lines, 1, &"y".repeat(1_000)), []);
    }
    assert_eq!(say(&mut lines, 1, "no space left on device\nno space left on device\n").len(), 1);
}

#[test]
fn captures_are_of_the_line_without_its_secrets() {
    let mut lines = lines();
    let text = "PullImage \\\"r/a:1\\\" failed with token=hunter2 by https://me:hunter2@r/\n";
    let event = lines.decode(1, &wrote(writer(7, "containerd"), 1, text.as_bytes(), 0)).unwrap();
    let Event::Found(found) = event else { panic!("{event:?}") };
    let line = &found.lines[0];
    assert!(!format!("{line:?}").contains("hunter2"), "{line:?}");
    assert_eq!(line.captures[0], ("image".to_owned(), "r/a:1".to_owned()));
    assert_eq!(line.captures[1].1, "token=[redacted] by https://[redacted]@r/");
}

#[test]
fn bytes_that_are_no_text_are_looked_at_all_the_same() {
    let mut lines = lines();
    let event = lines.decode(1, &wrote(writer(7, "sh"), 1, b"\xff\xfe\n", 0)).unwrap();
    assert_eq!(told(event), [found("odd", "\u{fffd}\u{fffd}")]);
}

#[test]
fn what_is_held_is_bounded() {
    let mut lines = lines();
    for ino in 1..10_000 {
        assert_eq!(say(&mut lines, ino, "no space left on "), []);
    }
    assert_eq!((lines.open.len(), lines.used.len()), (4_096, 4_096));
    assert_eq!(say(&mut lines, 9_999, "device\n").len(), 1);
    assert_eq!(say(&mut lines, 1, "device\n"), []);
}

#[test]
fn what_could_not_be_read_is_counted() {
    let piece = Piece {
        header: Header::default(),
        writer: writer(7, "sh"),
        ino: 1,
        fd: 1,
        len: 0,
        omitted: 9,
        pad: 0,
    };
    let event = lines().decode(1, &bytes(piece, b"", flag::UNREADABLE)).unwrap();
    assert!(matches!(event, Event::Skipped { count: 1, .. }), "{event:?}");
    let skipped = Skipped { header: Header::default(), writer: writer(7, "sh"), skipped: 12 };
    let event = lines().decode(2, &bytes(skipped, b"", 0)).unwrap();
    assert!(matches!(event, Event::Skipped { count: 12, .. }), "{event:?}");
}

#[test]
fn keywords_that_take_too_much_are_refused() {
    let with = |pattern: &str| {
        Lines::new(vec![Keyword { id: "it".into(), pattern: pattern.into(), ..Keyword::default() }])
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(with("fine"), Ok(()));
    for pattern in ["(", "x{1000}{1000}{1000}", "x*", "^"] {
        assert!(with(pattern).unwrap_err().starts_with("keyword it: "), "{pattern}");
    }
    let many = vec![Keyword { pattern: "x".into(), ..Keyword::default() }; 257];
    assert_eq!(Lines::new(many).map(drop), Err(BadKeyword::TooMany));
}
