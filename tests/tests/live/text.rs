//! What components and containers write, by the keywords in it: which lines are told, whose they are said to be, and
//! that nothing else of what was written is kept.

use std::{fs, path::Path, thread::sleep, time::Duration};

use observer_tests::rig::{
    Bundle, Stage, program,
    run::Run,
    stage,
    stdio::{Container, Streams, drain, expect, until},
    watch::Seen,
};
use serde_json::{Value, json};

/// What no line with a keyword holds.
const MARKER: &str = "marker-71c0ffee";
/// What looks like a password, in a line with one.
const SECRET: &str = "hunter2-71c0ffee";

/// Runs a script in a container to its end; its id.
fn says(stage: &Stage, name: &str, bundle: Bundle) -> String {
    let (streams, out, err) = Streams::pipes();
    let readers = [out, err].map(|from| drain(from, 4_096, Duration::ZERO));
    let mut container = Container::of(stage, name, bundle, streams);
    container.ends();
    for reader in readers {
        reader.join().expect("a reader");
    }
    container.id
}

fn script(text: &str) -> Bundle {
    Bundle::new(&["/bin/sh", "-c", text])
}

fn lines<'a>(seen: &'a Seen, id: &'a str) -> Vec<&'a Value> {
    seen.events_of("text", id).collect()
}

#[test]
fn a_line_comes_in_pieces_and_several_come_at_once() {
    let stage = stage();
    let run = Run::begin(&stage, &["--show", "events"]);
    let pieces = "echo -n 'wasm trap: '; sleep 0.1; echo -n 'out of bounds '; echo -n nothing >&2; echo 'memory access'";
    let pieces = says(&stage, "pieces", script(pieces));
    let several = "fine\nno space left on device\nfine\nwrite /x: input/output error\nthe last: tx timeout";
    let several = says(
        &stage,
        "several",
        Bundle::new(&["/bin/dd", "if=/held", "bs=4096"]).file("held", several.as_bytes()),
    );
    let seen = run.end();
    for line in lines(&seen, &pieces) {
        expect(
            line,
            &[
                ("line", json!("wasm trap: out of bounds memory access")),
                ("fd", json!(1)),
                ("component", json!(false)),
                ("layer", json!("L-4")),
                ("cut", json!(false)),
            ],
        );
        assert_eq!(line["process"]["comm"], "sh", "{line}");
    }
    let keywords = |id: &str| -> Vec<String> {
        lines(&seen, id).iter().filter_map(|line| line["keyword"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(keywords(&pieces), ["wasm-out-of-bounds", "wasm-trap"]);
    // The last one has no end but that of its writer.
    assert_eq!(keywords(&several), ["no-space", "io-error", "tx-timeout"]);
    assert_eq!(seen.lost(), 0);
}

#[test]
fn whatever_writes_to_a_stream_of_the_container_is_heard_and_nothing_else() {
    let stage = stage();
    let run = Run::begin(&stage, &["--show", "events"]);
    // By another process, whatever its descriptors are; not what goes to a file or through a pipe of its own.
    let text = "(exec 7>&1; exec >/file; echo 'tx timeout' >&7; echo 'VMCS corruption'); echo 'EPT violation' | cat > /other";
    let id = says(&stage, "streams", script(text));
    let seen = run.end();
    let told = lines(&seen, &id);
    let [line] = told[..] else { panic!("{told:#?}") };
    expect(line, &[("keyword", json!("tx-timeout")), ("layer", json!("L-2"))]);
}

#[test]
fn nothing_of_other_lines_is_kept_and_no_secret_of_any() {
    let stage = stage();
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("recording");
    let run = Run::begin(&stage, &["--record", recording.to_str().expect("a path")]);
    let text = format!(
        "echo {MARKER}; echo -n {MARKER} >&2; echo >&2; echo 'no space left on device, password={SECRET} /x'; echo {MARKER}"
    );
    let id = says(&stage, "secret", script(&text));
    let seen = run.end();
    let told = lines(&seen, &id);
    let [line] = told[..] else { panic!("{told:#?}") };
    assert_eq!(line["line"], "no space left on device, password=[redacted] /x");
    let recorded = all_bytes(&recording);
    let holds = |text: &str| recorded.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("password=[redacted] /x"), "the line itself is not recorded");
    for hidden in [MARKER, SECRET] {
        assert!(!holds(hidden), "{hidden} is in the recording");
        assert!(!seen.stdout.contains(hidden) && !seen.stderr.contains(hidden), "{hidden} was printed");
    }
}

fn all_bytes(path: &Path) -> Vec<u8> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flat_map(|entry| all_bytes(&entry.expect("an entry").path())).collect(),
        Err(_) => fs::read(path).expect("a recording"),
    }
}

/// The reasons for which a pull fails, by the kind of registry, and what is told of them.
const PULLS: &[(&str, &str)] = &[
    ("localhost:5000/basic:1", "image-pull-denied"),
    ("localhost:5000/refused:1", "image-pull-denied"),
    ("localhost:5000/scope:1", "image-pull-denied"),
    ("localhost:5000/forbidden:1", "image-pull-denied"),
    ("localhost:5000/missing:1", "image-not-found"),
    ("localhost:5000/limited:1", "image-rate-limited"),
    ("localhost:5000/wasm:1", "image-media-type"),
    ("localhost:5001/closed:1", "image-registry-unreachable"),
    ("no-such-registry.invalid/x:1", "image-registry-name"),
];

#[test]
fn containerd_says_why_a_pull_failed() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/registry.py");
    let registry = stage.spawn(stage.command(program("python3")).args([script, "5000"])).expect("registry");
    until("the registry", || registry.stdout().contains("5000").then_some(()));
    // One that was there before, and one that was not.
    let older = stage.containerd(&image, &[]).expect("containerd");
    let run = Run::begin(&stage, &["--show", "events"]);
    let cri = older.cri().expect("cri");
    for (image, keyword) in PULLS {
        cri.pull(image).expect_err(image);
        let line = run.wait_for(&format!("{keyword} of {image}"), |object| {
            object["keyword"] == *keyword && object["captures"]["image"] == *image
        });
        println!("{image}: {}", line["line"]);
        expect(&line, &[("component", json!(true)), ("container", Value::Null), ("fd", json!(2))]);
        assert_eq!(line["process"]["comm"], "containerd", "{line}");
    }
    drop(older);
    registry.signal(rustix::process::Signal::KILL).expect("registry");
    assert_eq!(run.end().lost(), 0);
}

#[test]
fn a_workload_that_speaks_like_a_component_is_none() {
    let stage = stage();
    let run = Run::begin(&stage, &["--show", "events"]);
    let line = r#"level=error msg="no runtime for \"spin\" is configured""#;
    let program = format!("#!/bin/sh\necho '{line}'\n");
    let bundle = Bundle::new(&["/bin/containerd"]).file("bin/containerd", program.as_bytes());
    let id = says(&stage, "impostor", bundle);
    let seen = run.end();
    let told = lines(&seen, &id);
    let [line] = told[..] else { panic!("{told:#?}") };
    expect(
        line,
        &[
            ("keyword", json!("no-runtime")),
            ("component", json!(false)),
            ("captures", json!({ "handler": "spin" })),
        ],
    );
    assert_eq!(line["process"]["comm"], "containerd", "{line}");
}

#[test]
fn too_many_writes_are_counted() {
    let stage = stage();
    let run = Run::begin(&stage, &["--show", "events"]);
    const WRITES: u64 = 1_000;
    const HEARD: u64 = 256;
    let text = format!("i=0; while [ $i -lt {WRITES} ]; do echo 'tx timeout'; i=$((i+1)); done");
    let id = says(&stage, "chatty", script(&text));
    // Another one is heard all the same.
    let other = says(&stage, "other", script("echo 'tx timeout'"));
    sleep(Duration::from_millis(100));
    let seen = run.end();
    let told = lines(&seen, &id).len() as u64;
    assert_eq!(lines(&seen, &other).len(), 1);
    let skipped = seen.last("summary")["not_measured"].as_array().expect("a list").iter().find_map(|lack| {
        lack["what"].as_str()?.strip_suffix(" writes to standard output and error")?.parse::<u64>().ok()
    });
    // A machine that is slow enough has a second budget's time.
    assert_eq!(told + skipped.unwrap_or(0), WRITES);
    assert!(told.is_multiple_of(HEARD) && told < WRITES, "{told}");
    assert_eq!(seen.lost(), 0);
}

#[test]
fn it_is_left_alone_if_the_user_says_so() {
    let stage = stage();
    let run = Run::begin(&stage, &["--no-text"]);
    let id = says(&stage, "unheard", script("echo 'tx timeout'"));
    let seen = run.end();
    assert_eq!(lines(&seen, &id).len(), 0);
    let probes = seen.last("health")["probes"].as_array().expect("probes").clone();
    assert!(!probes.iter().any(|probe| probe["name"] == "text" && probe["status"] != "off"), "{probes:#?}");
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
}
