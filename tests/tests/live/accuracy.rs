//! The same starts seen by another tracer: bpftrace and the observer agree about when what happened.

use observer_tests::rig::{
    Bundle, HELLO, Stage,
    bpftrace::{self, Tracer},
    program, stage,
    stage::{
        containerd::Removed,
        cri::{ContainerSpec, PodSpec, wire::EXITED},
    },
    stdio::until,
    watch::Watch,
};
use serde_json::Value;

const STARTS: usize = 10;
/// Two tracers of one start may differ by this much, or by that share of its time.
const AGREE_MS: f64 = 0.3;
const AGREE_SHARE: f64 = 0.03;

/// Makes [`STARTS`] starts and says their ids. Two tracers that disagree once may have been preempted between
/// their looks at the clock: once more, said aloud.
fn agree(what: &str, make: impl Fn(usize) -> Vec<String>) {
    let Err(first) = compare(&make, 0) else { return };
    eprintln!("RETRY accuracy: {what}: {first}");
    compare(&make, 1).unwrap_or_else(|second| panic!("{what}: {second}, before that: {first}"));
}

fn compare(make: &impl Fn(usize) -> Vec<String>, round: usize) -> Result<(), String> {
    let tracer = Tracer::begin();
    let watch = Watch::begin();
    let ids = make(round);
    let seen = watch.end();
    let traced = tracer.end();
    assert_eq!(ids.len(), STARTS);
    let mut excesses: Vec<_> = ids
        .iter()
        .map(|id| {
            let start = seen.start(id);
            let total = start["total_ms"].as_f64().expect("a total");
            let (mark, difference) = largest_difference(start, &traced);
            (difference - AGREE_MS.max(AGREE_SHARE * total), mark, difference, total)
        })
        .collect();
    excesses.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (excess, mark, difference, total) = &excesses[STARTS / 2];
    eprintln!("median: {mark} differs by {difference:.3} ms of {total:.1} ms");
    if *excess > 0.0 { Err(format!("{mark} differs by {difference} ms of {total} ms")) } else { Ok(()) }
}

/// The mark about which the two differ most, and by how many ms.
fn largest_difference(start: &Value, traced: &[bpftrace::Seen]) -> (String, f64) {
    let instance = start["container"]["instance"].as_str().expect("an instance");
    let digits: String = instance.chars().take_while(char::is_ascii_digit).collect();
    let init: u32 = digits.parse().expect("the init's pid");
    let origin = nanoseconds(start["time"].as_str().expect("a time"));
    let at = |kind: &'static str| {
        traced.iter().filter(move |seen| seen.pid == init && seen.kind == kind).map(move |seen| seen.at)
    };
    let since = |time: i128| (time - origin) as f64 / 1e6;
    // What a runtime copies and executes of itself comes before the payload.
    let begun = at("exec").next_back();
    let milestones = &start["milestones_ms"];
    let is_wasm = start["container"]["kind"] == "wasm";
    let mut marks = vec![("exit", at("exit").next_back().map(since), milestones["exit"].as_f64())];
    let after = if is_wasm { at("root").next_back() } else { begun };
    let output = at("output").find(|time| after.is_some_and(|after| *time > after));
    marks.push(("first_output", output.map(since), milestones["first_output"].as_f64()));
    if !is_wasm {
        marks.push(("exec", begun.map(since), milestones["exec"].as_f64()));
    }
    // What was done last to the container's root: pivot_root, or what some runtimes do after it.
    let root = at("root").next_back().map(since);
    let boundary = root.and_then(|root| nearest_boundary(start, root));
    marks.push(("root", root, boundary));
    let differences = marks.into_iter().map(|(mark, theirs, ours)| {
        let (Some(theirs), Some(ours)) = (theirs, ours) else {
            panic!("{mark} is {theirs:?} to bpftrace and {ours:?} to the observer: {start:#}")
        };
        (mark.to_owned(), (theirs - ours).abs())
    });
    differences.max_by(|a, b| a.1.total_cmp(&b.1)).expect("marks")
}

/// The end of a phase of `rootfs` that is nearest to an instant.
fn nearest_boundary(start: &Value, at: f64) -> Option<f64> {
    let phases = start["phases"].as_array()?.iter().filter(|phase| phase["name"] == "rootfs");
    let ends = phases.filter_map(|phase| Some(phase["start_ms"].as_f64()? + phase["duration_ms"].as_f64()?));
    ends.min_by(|a, b| (a - at).abs().total_cmp(&(b - at).abs()))
}

fn nanoseconds(time: &str) -> i128 {
    time.parse::<jiff::Timestamp>().expect("a time").as_nanosecond()
}

fn by_hand(runtime: &str, bundle: impl Fn() -> Bundle) {
    let stage: Stage = stage();
    agree(runtime, |round| {
        let run = |n: usize| {
            let id = format!("{runtime}-{round}-{n}-{}", stage.id());
            let written = bundle().write(&stage, &id).expect("bundle");
            stage.runtime(program(runtime)).run(&written).expect(runtime).success().expect(runtime);
            id
        };
        (0..STARTS).map(run).collect()
    });
}

#[test]
fn crun_by_hand() {
    by_hand("crun", || Bundle::new(&["/bin/echo", "hello"]).seccomp());
}

#[test]
fn runc_by_hand() {
    by_hand("runc", || Bundle::new(&["/bin/echo", "hello"]).seccomp());
}

#[test]
fn a_wasm_module_by_youki() {
    by_hand("youki", || Bundle::wasm(HELLO, true));
}

#[test]
fn podman() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let podman = stage.podman().expect("podman");
    podman.import(&image).expect("import");
    agree("podman", |round| {
        let run = |n: usize| {
            let name = format!("accurate-{round}-{n}");
            let args = ["--name", &name, "--network=none", &image.name, "/bin/echo", "hello"];
            podman.run(&program("crun"), &args).expect("podman").success().expect("podman");
            let mut inspect = podman.command("inspect");
            let ran = stage.run(inspect.args(["--format", "{{.Id}}", &name])).expect("podman");
            ran.success().expect("podman").stdout.trim().to_owned()
        };
        (0..STARTS).map(run).collect()
    });
}

#[test]
fn pods_by_containerd() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    agree("containerd", |round| {
        let run = |n: usize| {
            let name = format!("accurate-{round}-{n}");
            let spec = PodSpec { name: &name, namespace: "shop", handler: "crun", host_network: false };
            let pod = Removed { cri: &cri, pod: cri.run_pod(&stage, &spec).expect("pod") };
            let command: &[_] = &["/bin/echo", "hello"];
            let app = ContainerSpec { name: "app", image: &image.name, command, ..Default::default() };
            let id = cri.run_container(&pod.pod, &app).expect("container");
            // Removed before it has said its word, there is nothing to agree about.
            let exited = || (cri.container_status(&id).expect("status").state == EXITED).then_some(());
            until("the container's end", exited);
            id
        };
        (0..STARTS).map(run).collect()
    });
}
