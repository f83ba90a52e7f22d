//! What is concluded of images that cannot be pulled, by what the engine says of itself, and of containers that use all
//! that their limits allow.

use std::thread;

use observer_tests::rig::{
    Bundle, program, stage,
    stdio::until,
    verdict::{Verdicts, only, quiet},
};

/// Images of a registry that refuses each in its own way, and what is concluded after the second try.
const PULLS: &[(&str, &str)] = &[
    ("localhost:5000/basic:1", "registry-auth-failed/no-credential proved"),
    ("localhost:5000/forbidden:1", "registry-auth-failed/denied proved"),
    ("localhost:5000/missing:1", "image-pull-failed/not-found proved"),
    ("localhost:5000/limited:1", "image-pull-failed/rate-limited proved"),
    ("localhost:5000/wasm:1", "image-pull-failed/media-type proved"),
];

#[test]
fn images_that_cannot_be_pulled() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/registry.py");
    let registry = stage.spawn(stage.command(program("python3")).args([script, "5000"])).expect("registry");
    until("the registry", || registry.stdout().contains("5000").then_some(()));
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let verdicts = Verdicts::begin(&stage, "image-pull-failed", &[]);
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
        let last = seen.of_type("finding").filter(|finding| finding["subject"]["object"] == *image).last();
        let last = last.unwrap_or_else(|| panic!("nothing about {image}"));
        let told = format!(
            "{}/{} {}",
            last["id"].as_str().unwrap_or_default(),
            last["cause"].as_str().unwrap_or_default(),
            last["grade"].as_str().unwrap_or_default()
        );
        assert_eq!(told, *expected, "{last:#}");
    }
    quiet(&seen, "localhost:5000/missing:2");
}

#[test]
fn limits_that_are_used_up() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "cpu-high-limit", &[]);
    let spin = "/bin/busybox timeout 28 /bin/sh -c 'while :; do :; done'; true";
    let held = "dd if=/dev/zero of=/dev/shm/held bs=1M count=29 2>/dev/null; sleep 26";
    let some = "dd if=/dev/zero of=/dev/shm/held bs=1M count=4 2>/dev/null; sleep 26";
    let shell = |script: &str| Bundle::new(&["/bin/sh", "-c", script]);
    let bundles = [
        ("throttled", shell(spin).cpu_limit(5_000, 100_000)),
        // The same limit, and nothing to do.
        ("idle", shell("sleep 28").cpu_limit(5_000, 100_000)),
        ("full", shell(held).memory_limit(32 << 20)),
        ("roomy", shell(some).memory_limit(32 << 20)),
    ];
    let ids = bundles.each_ref().map(|(name, _)| format!("{name}-{}", stage.id()));
    thread::scope(|scope| {
        for ((_, bundle), id) in bundles.into_iter().zip(&ids) {
            let bundle = bundle.write(&stage, id).expect("bundle");
            let crun = stage.runtime(program("crun"));
            scope.spawn(move || crun.run(&bundle).expect("crun"));
        }
    });
    let seen = verdicts.end();
    only(&seen, &ids[0], "cpu-high/limit proved");
    quiet(&seen, &ids[1]);
    only(&seen, &ids[2], "memory-high/near-limit proved");
    quiet(&seen, &ids[3]);
}
