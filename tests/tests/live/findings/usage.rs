//! What is concluded of images that cannot be pulled, by what the engine says of itself, and of containers that use all
//! that their limits allow.

use std::{path::Path, thread};

use observer_tests::rig::{
    Bundle, Ran, Stage,
    engines::{machine, needs},
    group::weighs,
    program, stage,
    stage::Running,
    stdio::until,
    verdict::{Verdicts, only, quiet},
    watch::Seen,
    webhook::{Certificate, server},
};

/// Images of a registry that refuses each in its own way, and what is concluded after the second try.
const PULLS: &[(&str, &str)] = &[
    ("localhost:5000/basic:1", "registry-auth-failed/no-credential proved"),
    ("localhost:5000/forbidden:1", "registry-auth-failed/denied proved"),
    ("localhost:5000/missing:1", "image-pull-failed/not-found proved"),
    ("localhost:5000/limited:1", "image-pull-failed/rate-limited proved"),
    ("localhost:5000/wasm:1", "image-pull-failed/media-type proved"),
];

/// The registry of `workloads/registry.py`; it listens.
fn registry(stage: &Stage) -> Running {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/registry.py");
    let registry = stage.spawn(stage.command(program("python3")).args([script, "5000"])).expect("registry");
    until("the registry", || registry.stdout().contains("5000").then_some(()));
    registry
}

/// The last that was told of an image.
fn last_told(seen: &Seen, image: &str) -> String {
    let last = seen.of_type("finding").filter(|finding| finding["subject"]["object"] == image).last();
    let last = last.unwrap_or_else(|| panic!("nothing about {image}"));
    let part = |name: &str| last[name].as_str().unwrap_or_default();
    format!("{}/{} {}", part("id"), part("cause"), part("grade"))
}

#[test]
fn images_that_cannot_be_pulled() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let registry = registry(&stage);
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let verdicts = Verdicts::begin_of(&stage, "image-pull-failed", &["registry-auth-failed"], &[]);
    let cri = containerd.cri().expect("cri");
    for (image, _) in PULLS {
        cri.pull(image).expect_err(image);
        cri.pull(image).expect_err(image);
    }
    // Once is no finding: the next try may succeed.
    cri.pull("localhost:5000/missing:2").expect_err("it is not there");
    for (image, expected) in PULLS {
        let row = expected.split('/').next().expect("a row");
        verdicts.awaits(row, image);
    }
    drop(containerd);
    registry.signal(rustix::process::Signal::KILL).expect("registry");
    let seen = verdicts.end();
    for (image, expected) in PULLS {
        assert_eq!(last_told(&seen, image), *expected);
    }
    quiet(&seen, "localhost:5000/missing:2");
}

/// Registries that cannot be asked, and what is concluded after the second try.
const AWAY: &[(&str, &str)] = &[
    ("localhost:5001/closed:1", "image-pull-failed/network proved"),
    ("no-such-registry.invalid/x:1", "image-pull-failed/dns-reported likely"),
    ("10.9.0.2:5443/untrusted:1", "image-pull-failed/tls proved"),
];

#[test]
fn registries_that_cannot_be_asked() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let words = "ip addr add 10.9.0.2/32 dev lo";
    stage.run(stage.command("/bin/sh").args(["-ec", words])).and_then(Ran::success).expect(words);
    let own = Certificate::new(&stage, "registry");
    let _untrusted = server(&stage, ("10.9.0.2", 5443), Some(&own), &[]);
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let verdicts = Verdicts::begin(&stage, "image-pull-failed-away", &[]);
    let cri = containerd.cri().expect("cri");
    for (image, _) in AWAY {
        cri.pull(image).expect_err(image);
        cri.pull(image).expect_err(image);
    }
    for (image, _) in AWAY {
        verdicts.awaits("image-pull-failed", image);
    }
    drop(containerd);
    let seen = verdicts.end();
    let told: Vec<_> = AWAY.iter().map(|(image, _)| (*image, last_told(&seen, image))).collect();
    let told: Vec<_> = told.iter().map(|(image, told)| (*image, told.as_str())).collect();
    assert_eq!(told, AWAY);
}

/// By what the engine says alone: its connections are not looked at.
#[test]
fn a_registry_that_is_said_to_be_away() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let verdicts = Verdicts::begin(&stage, "image-pull-failed-unseen", &["--probes", "process,text"]);
    let cri = containerd.cri().expect("cri");
    let away = "localhost:5001/closed:1";
    cri.pull(away).expect_err(away);
    cri.pull(away).expect_err(away);
    verdicts.awaits("image-pull-failed", away);
    drop(containerd);
    let seen = verdicts.end();
    assert_eq!(last_told(&seen, away), "image-pull-failed/network-reported likely");
}

#[test]
fn pulls_that_fail_once() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let _registry = registry(&stage);
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let case = "image-pull-failed-not-again";
    let verdicts = Verdicts::begin_of(&stage, case, &["registry-auth-failed"], &[]);
    let cri = containerd.cri().expect("cri");
    // The first was asked for a token, as every one is, and had one.
    let images = ["localhost:5000/token:1", "localhost:5000/limited:2", "localhost:5001/closed:2"];
    for image in images {
        let why = format!("{:#}", cri.pull(image).expect_err(image));
        println!("{why}");
        assert!(!why.contains("401"), "the token was of no use: {why}");
    }
    verdicts.run.wait_for("the last pull", |object| object["captures"]["image"] == images[2]);
    drop(containerd);
    let seen = verdicts.end();
    images.iter().for_each(|image| quiet(&seen, image));
}

/// A container that runs this script.
fn shell(script: &str) -> Bundle {
    Bundle::new(&["/bin/sh", "-c", script])
}

/// A container that gets memory, keeps it or not, and ends after so many seconds in all.
fn holds(script: &str, seconds: u32) -> Bundle {
    shell(&format!("cd /dev/shm; {script}; sleep {seconds}")).memory_limit(32 << 20)
}

fn fills(file: &str, mib: u32) -> String {
    format!("dd if=/dev/zero of={file} bs=1M count={mib} 2>/dev/null")
}

/// Runs them all at once to their ends; their ids.
fn run_all<const N: usize>(stage: &Stage, bundles: [(&str, Bundle); N]) -> [String; N] {
    let ids = bundles.each_ref().map(|(name, _)| format!("{name}-{}", stage.id()));
    thread::scope(|scope| {
        for ((_, bundle), id) in bundles.into_iter().zip(&ids) {
            let bundle = bundle.write(stage, id).expect("bundle");
            let crun = stage.runtime(program("crun"));
            scope.spawn(move || crun.run(&bundle).expect("crun"));
        }
    });
    ids
}

#[test]
fn limits_that_are_used_up() {
    let stage = stage();
    let verdicts = Verdicts::begin_of(&stage, "cpu-high", &["memory-high"], &[]);
    let spin = "/bin/busybox timeout 28 /bin/sh -c 'while :; do :; done'; true";
    let ids = run_all(
        &stage,
        [
            ("throttled", shell(spin).cpu_limit(5_000, 100_000)),
            // The same limit, and nothing to do.
            ("idle", shell("sleep 28").cpu_limit(5_000, 100_000)),
            ("full", holds(&fills("held", 29), 26)),
            ("roomy", holds(&fills("held", 4), 26)),
        ],
    );
    let seen = verdicts.end();
    only(&seen, &ids[0], "cpu-high/limit proved");
    quiet(&seen, &ids[1]);
    only(&seen, &ids[2], "memory-high/near-limit proved");
    quiet(&seen, &ids[3]);
}

/// On a machine with others' work the group of this stage has to get more than any other, or the largest consumer is
/// somebody else's: which is what made this test fail at times.
#[test]
fn the_largest_consumer_while_others_wait() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "cpu-high-largest", &[]);
    // So many that each waits for its turn, however many CPUs there are.
    let tasks = 16 * thread::available_parallelism().map_or(1, usize::from);
    let spins =
        format!("i=0; while [ $i -lt {tasks} ]; do (while :; do :; done) & i=$((i+1)); done; sleep 1000");
    let crun = stage.runtime(program("crun"));
    let bundles = [("largest", shell(&spins)), ("idle", shell("sleep 1000"))];
    let running = bundles.map(|(name, bundle)| {
        let bundle = bundle.write(&stage, &format!("{name}-{}", stage.id())).expect("bundle");
        (stage.spawn(&mut crun.run_command(&bundle)).expect("crun"), bundle.id)
    });
    weighs(&stage, 16_384);
    verdicts.awaits("cpu-high", &running[0].1);
    let ids = running.map(|(running, id)| {
        crun.kill(&id).expect("crun").success().expect("kill");
        running.finish().expect("crun");
        id
    });
    let seen = verdicts.end();
    only(&seen, &ids[0], "cpu-high/application likely");
    quiet(&seen, &ids[1]);
}

#[test]
fn limits_that_are_touched_and_left_again() {
    let stage = stage();
    let verdicts = Verdicts::begin_of(&stage, "cpu-high-not-for-long", &["memory-high"], &[]);
    let burst = "/bin/busybox timeout 5 /bin/sh -c 'while :; do :; done'; sleep 16";
    let peak = format!("{}; sleep 3; rm held", fills("held", 29));
    // At its limit by what it has read and written, which it can do without.
    let cached = format!("{}; {}; sleep 16; rm /file; exit", fills("held", 14), fills("/file", 100));
    let ids = run_all(
        &stage,
        [
            ("burst", shell(burst).cpu_limit(5_000, 100_000)),
            ("peak", holds(&peak, 14)),
            ("cached", holds(&cached, 0)),
        ],
    );
    let seen = verdicts.end();
    ids.iter().for_each(|id| quiet(&seen, id));
    let told = |id: &str, probe: &str| seen.events_of(probe, id).next().is_some();
    assert!(told(&ids[0], "cpu"), "it was never throttled");
    assert!(told(&ids[2], "memory"), "its limit was never reached");
}

/// Node.js with a Wasm memory of so many pages of 64 KiB, to which one is added every second, so often.
fn memory(node: &Path, pages: u32, times: u32) -> Bundle {
    let script = format!(
        "const m = new WebAssembly.Memory({{ initial: {pages}, maximum: 8192 }}); let n = 0; \
         setInterval(() => n++ < {times} && m.grow(1), 1000)"
    );
    machine(node, &["-e", &script])
}

#[test]
fn linear_memory_that_grows_and_grows_and_that_is_large() {
    let Some(node) = needs("linear_memory_that_grows_and_grows_and_that_is_large", "node") else { return };
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "memory-high-leak", &["--scenario", "edge"]);
    let crun = stage.runtime(program("crun"));
    let kinds = [
        ("leaks", memory(&node, 16, u32::MAX)),
        // As large from the beginning as matters at the edge, and no larger later.
        ("large", memory(&node, 256, 0)),
        // It grows until it has what it needs.
        ("settles", memory(&node, 16, 12)),
    ];
    let running = kinds.map(|(name, bundle)| {
        let bundle = bundle.write(&stage, &format!("{name}-{}", stage.id())).expect("bundle");
        (stage.spawn(&mut crun.run_command(&bundle)).expect("crun"), bundle.id)
    });
    for (_, id) in &running[..2] {
        verdicts.awaits("memory-high", id);
    }
    let ids = running.map(|(running, id)| {
        crun.kill(&id).expect("crun").success().expect("kill");
        running.finish().expect("crun");
        id
    });
    let seen = verdicts.end();
    let finding = only(&seen, &ids[0], "memory-high/leak likely");
    assert_eq!(finding["layer"], "L-4");
    only(&seen, &ids[1], "memory-high/linear-memory proved");
    quiet(&seen, &ids[2]);
}
