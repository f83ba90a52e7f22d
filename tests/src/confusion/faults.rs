//! What can be made wrong with a container, each by itself; and what is to be concluded of it.

use std::{fs, os::unix::fs::PermissionsExt, thread::sleep, time::Duration};

use crate::rig::{
    Bundle, HELLO, Stage,
    dns::{Asker, DNSMASQ, OWN, UNBOUND, contained},
    memory::faulter,
    program,
    run::Run,
    stage::bundle::Written,
    stdio::{Cat, Container, Streams, take},
    verdict::is_about,
    wasmedge::WasmEdge,
    webhook::{Certificate, curl},
    workload,
};

/// Servers that look-ups of the stage are dropped, or forbidden, on their way to.
pub const DROPPED: &str = "127.0.1.4";
pub const REJECTED: &str = "127.0.1.5";
/// Ports of webhooks that nobody serves begin here.
pub const NOBODY: u16 = 8_600;

/// Where faults are made.
pub struct Place<'stage> {
    pub stage: &'stage Stage,
    pub run: &'stage Run,
    pub certificate: Certificate,
    pub wasmedge: WasmEdge<'stage>,
}

/// One thing that can be wrong.
pub struct Fault {
    pub expected: &'static str,
    /// Makes it of a subject of this name, and lets it be until something is said of it.
    pub make: fn(&Place, &str),
}

pub const FAULTS: &[Fault] = &[
    Fault { expected: "kubectl-logs-empty/reader-gone proved", make: reader_gone },
    Fault { expected: "kubectl-logs-empty/reader-stalled proved", make: reader_stalled },
    Fault { expected: "kubectl-logs-empty/undelivered proved", make: undelivered },
    Fault {
        expected: "dns-failed/server-down proved",
        make: |place, name| asks(place, name, OWN, "silent.test"),
    },
    Fault {
        expected: "dns-failed/server-refuses proved",
        make: |place, name| asks(place, name, "127.0.1.9", "good.test"),
    },
    Fault {
        expected: "dns-failed/server-failed proved",
        make: |place, name| asks(place, name, UNBOUND, "refused.test"),
    },
    Fault {
        expected: "dns-failed/node-drops proved",
        make: |place, name| asks(place, name, DROPPED, "good.test"),
    },
    Fault {
        expected: "dns-failed/policy proved",
        make: |place, name| asks(place, name, REJECTED, "good.test"),
    },
    Fault { expected: "crash-loop/oom proved", make: |place, name| again(place, name, hog(place), 3) },
    Fault {
        expected: "crash-loop/exit-code proved",
        make: |place, name| again(place, name, Bundle::new(&["/bin/sh", "-c", "exit 3"]), 4),
    },
    Fault {
        expected: "crash-loop/exits-zero proved",
        make: |place, name| again(place, name, Bundle::new(&["/bin/true"]), 3),
    },
    Fault {
        expected: "crash-loop/not-executable proved",
        make: |place, name| {
            let bundle = Bundle::new(&["/app"]).file("app", b"\x7fELF\x02\x01\x01 of no machine");
            again(place, name, bundle, 3);
        },
    },
    Fault {
        expected: "pod-not-starting/entrypoint proved",
        make: |place, name| again(place, name, Bundle::new(&["/bin/nothing"]), 1),
    },
    Fault {
        expected: "pod-not-starting/rootfs proved",
        make: |place, name| {
            let mount = echo().mount("/mnt", "bind", "/observer-has-no-such-folder", &["rbind", "ro"]);
            again(place, name, mount, 1);
        },
    },
    Fault {
        expected: "pod-not-starting/namespace proved",
        make: |place, name| again(place, name, echo().joins("network", "/proc/self/ns/uts"), 1),
    },
    Fault {
        expected: "pod-not-starting/memory-limit proved",
        make: |place, name| again(place, name, echo().memory_limit(64 << 10), 1),
    },
    Fault {
        expected: "runtimeclass-missing/runtime-without-handler proved",
        make: |place, name| again(place, name, Bundle::wasm(HELLO, false), 1),
    },
    Fault {
        expected: "crun-too-old/no-handler proved",
        make: |place, name| again(place, name, Bundle::wasm(HELLO, true), 1),
    },
    Fault { expected: "wasm-out-of-bounds/outside-memory proved", make: traps },
    Fault { expected: "crash-loop/trap proved", make: traps_again },
    Fault {
        expected: "crash-loop/oom-of-child likely",
        make: |place, name| {
            let child = shell("dd if=/dev/zero of=/dev/null bs=100M count=1; exit 5");
            again(place, name, child.memory_limit(20 << 20), 3);
        },
    },
    Fault {
        expected: "dns-failed/resolver-file-missing likely",
        make: |place, name| is_asked(place, Asker::begin(place.stage, name, None, "good.test")),
    },
    Fault {
        expected: "dns-failed/name-wrong likely",
        make: |place, name| {
            let resolv = format!("nameserver {DNSMASQ}\n");
            again(place, name, contained(Some(&resolv), &["/bin/getent", "ahosts", "missing.test"]), 1);
        },
    },
    Fault {
        expected: "pod-not-starting/cgroup proved",
        make: |place, name| {
            let written = written(place, name, echo().cpus("4000"));
            place.stage.runtime(program("runc")).run(&written).expect("runc");
            place.is_told(&written.id);
        },
    },
    Fault {
        expected: "pod-not-starting/resource-limit proved",
        make: |place, name| again(place, name, echo().open_files(1 << 40), 1),
    },
    Fault { expected: "wasmedge-missing/not-installed proved", make: without_engine },
    Fault { expected: "wasi-file-denied/not-permitted likely", make: may_not_read },
    Fault { expected: "slow-start/over-slo proved", make: starts_slowly },
    Fault {
        expected: "disk-full/tmpfs-size proved",
        make: |place, name| {
            let fills = "dd if=/dev/zero of=/data/file bs=64k count=64; sleep 1000";
            lives(place, name, shell(fills).mount("/data", "tmpfs", "tmpfs", &["size=1m"]));
        },
    },
    Fault {
        expected: "memory-high/near-limit proved",
        make: |place, name| {
            let holds = "dd if=/dev/zero of=/dev/shm/held bs=1M count=29; sleep 1000";
            lives(place, name, shell(holds).memory_limit(32 << 20));
        },
    },
    Fault {
        expected: "cpu-high/limit proved",
        make: |place, name| {
            lives(place, name, shell("while :; do :; done").cpu_limit(5_000, 100_000));
        },
    },
    Fault { expected: "gatekeeper-down/crashed proved", make: nobody_serves },
];

/// What is well: of it nothing is to be said.
pub fn healthy(place: &Place, name: &str) {
    let asker = Asker::begin(place.stage, name, Some(DNSMASQ), "good.test");
    sleep(Duration::from_secs(6));
    asker.ends(place.stage);
}

impl Place<'_> {
    /// Waits until something is concluded of a subject.
    fn is_told(&self, id: &str) {
        self.run.wait_for(&format!("a finding about {id}"), |object| {
            object["type"] == "finding" && is_about(object, id)
        });
    }
}

fn echo() -> Bundle {
    Bundle::new(&["/bin/echo", "hello"])
}

fn hog(place: &Place) -> Bundle {
    faulter(place.stage, "hog").memory_limit(32 << 20)
}

fn shell(script: &str) -> Bundle {
    Bundle::new(&["/bin/sh", "-c", script])
}

fn written(place: &Place, name: &str, bundle: Bundle) -> Written {
    bundle.write(place.stage, &format!("{name}-{}", place.stage.id())).expect("bundle")
}

/// One that goes on until something is said of it.
fn lives(place: &Place, name: &str, bundle: Bundle) {
    let written = written(place, name, bundle);
    let crun = place.stage.runtime(program("crun"));
    let running = place.stage.spawn(&mut crun.run_command(&written)).expect("crun");
    place.is_told(&written.id);
    crun.kill(&written.id).expect("crun").success().expect("kill");
    running.finish().expect("crun");
}

fn traps_again(place: &Place, name: &str) {
    let written = written(place, name, Bundle::wasm(&workload::wasm("unreachable"), true));
    for _ in 0..3 {
        place.stage.runtime(program("youki")).run(&written).expect("youki");
    }
    place.is_told(&written.id);
}

fn without_engine(place: &Place, name: &str) {
    let written = written(place, name, Bundle::wasm(HELLO, true));
    place.stage.run(&mut place.wasmedge.without_library(&written)).expect("the stand-in");
    place.is_told(&written.id);
}

/// A file that nobody may read, asked for by a module that cannot do without it.
fn may_not_read(place: &Place, name: &str) {
    let module = [b"asks".as_slice(), &[0; 200]].concat();
    let written = written(place, name, Bundle::wasm(&module, true).file("data/secret", b"secret"));
    let secret = written.folder.join("rootfs/data/secret");
    fs::set_permissions(secret, fs::Permissions::from_mode(0o000)).expect("a mode");
    place.stage.run(&mut place.wasmedge.with_library(&written)).expect("the stand-in");
    place.is_told(&written.id);
}

fn starts_slowly(place: &Place, name: &str) {
    let image = image_of(name);
    let slow = echo().hook(&["/bin/sleep", "6"]).annotation("org.opencontainers.image.ref.name", &image);
    let written = written(place, name, slow);
    place.stage.runtime(program("crun")).run(&written).expect("crun");
    place.is_told(&image);
}

/// The image of a subject, where that matters.
pub fn image_of(name: &str) -> String {
    format!("lab.local/{name}:1")
}

fn again(place: &Place, name: &str, bundle: Bundle, times: usize) {
    let written = written(place, name, bundle);
    for _ in 0..times {
        place.stage.runtime(program("crun")).run(&written).expect("crun");
    }
    place.is_told(&written.id);
}

fn traps(place: &Place, name: &str) {
    let module = Bundle::wasm(&workload::wasm("oob"), true);
    let written = module.write(place.stage, &format!("{name}-{}", place.stage.id())).expect("bundle");
    place.stage.runtime(program("youki")).run(&written).expect("youki");
    place.is_told(&written.id);
}

fn asks(place: &Place, name: &str, server: &str, asked: &str) {
    is_asked(place, Asker::begin(place.stage, name, Some(server), asked));
}

fn is_asked(place: &Place, asker: Asker) {
    place.is_told(&asker.id);
    asker.ends(place.stage);
}

fn read_by_cat(place: &Place, name: &str, words: &str) -> (Container, Cat) {
    let (streams, out) = Streams::piped();
    let cat = Cat::begin(place.stage, name, out);
    (Container::begin(place.stage, name, words, streams), cat)
}

fn reader_gone(place: &Place, name: &str) {
    let words = "deaf write:100x10 mark:/said wait:/go broken:50x7 mark:/lost wait:/end exit:0";
    let (mut gone, mut cat) = read_by_cat(place, name, words);
    gone.reaches("said");
    cat.kill();
    gone.release("go");
    gone.reaches("lost");
    place.is_told(&gone.id);
    gone.release("end");
    gone.ends();
}

fn reader_stalled(place: &Place, name: &str) {
    let (mut stalled, mut cat) = read_by_cat(place, name, "mark:/here wait:/go write:200000");
    stalled.reaches("here");
    cat.stop();
    stalled.release("go");
    place.is_told(&stalled.id);
    cat.signal(rustix::process::Signal::CONT);
    stalled.ends();
    cat.ends();
}

fn undelivered(place: &Place, name: &str) {
    let (streams, mut out) = Streams::piped();
    let mut left = Container::begin(place.stage, name, "deaf write:5000 mark:/said wait:/go", streams);
    left.reaches("said");
    take(&mut out, 1_234);
    drop(out);
    place.is_told(&left.id);
    left.release("go");
    left.ends();
}

/// Its port is in its name.
fn nobody_serves(place: &Place, name: &str) {
    let number: u16 = name.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
    for _ in 0..4 {
        curl(place.stage, &place.certificate, NOBODY + number, &["/fast"], &["--max-time", "2"]);
        sleep(Duration::from_secs(1));
    }
    // By its name, or by its address.
    let subjects = [format!("hook-{number}"), subject_of_webhook(NOBODY + number)];
    place.run.wait_for(&format!("a finding about {subjects:?}"), |object| {
        object["type"] == "finding" && subjects.iter().any(|subject| is_about(object, subject))
    });
}

/// What findings call a webhook that cannot be connected to.
pub fn subject_of_webhook(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
