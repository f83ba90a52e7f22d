//! Many starts: one after the other, at once, and while the node is busy with processes of its own.

use std::collections::{BTreeMap, BTreeSet};

use observer_tests::rig::{
    Bundle, Stage, program, stage,
    stage::{
        bundle::Written,
        containerd::{Containerd, Removed},
        cri::{ContainerSpec, Cri, PodSpec},
        image::Image,
    },
    watch::{Seen, Watch},
    workload,
};
use serde_json::Value;

const IN_A_ROW: usize = 200;
const AT_ONCE: usize = 50;
/// How often something that is no start happens among the starts.
const EVERY: usize = 25;

/// A storm of processes that are nobody's business, and containers started during it.
const PROCESSES: usize = 6_000;
const PER_SECOND: usize = 2_000;
const IN_THE_STORM: usize = 5;

fn bundles(stage: &Stage, count: usize) -> Vec<Written> {
    let write = |n: usize| {
        let bundle = Bundle::new(&["/bin/echo", "hello"]);
        bundle.write(stage, &format!("many-{n}-{}", stage.id())).expect("bundle")
    };
    (0..count).map(write).collect()
}

/// Every one of these was reported once, and of this stage nothing but these.
fn each_once(seen: &Seen, stage: &Stage, expected: &[String]) {
    let is_ours = |container: &&Value| {
        let names = [&container["id"], &container["cgroup"]];
        names.iter().any(|name| name.as_str().is_some_and(|name| name.contains(stage.id())))
    };
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for container in seen.of_type("coldstart").map(|start| &start["container"]).filter(is_ours) {
        *times.entry(container["id"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let wanted: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    let missing: Vec<_> = wanted.iter().filter(|id| !times.contains_key(*id)).collect();
    let extra: Vec<_> = times.iter().filter(|(id, n)| **n != 1 || !wanted.contains(*id)).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "of {} starts these are missing: {missing:?}; these are not one start each: {extra:?}; {}",
        wanted.len(),
        seen.last("health")
    );
    for id in expected {
        let start = seen.start(id);
        assert_eq!(start["failure"], Value::Null, "{start:#}");
    }
    seen.nothing_nameless();
}

/// What was lost is told, and told the same by everybody.
fn losses_agree(seen: &Seen) {
    let probes = seen.last("health")["probes"].as_array().expect("probes");
    let sum: u64 = probes.iter().map(|probe| probe["lost"].as_u64().unwrap_or(0)).sum();
    assert_eq!(seen.lost(), sum, "{}", seen.last("health"));
    if sum > 0 {
        eprintln!("LOST: {sum} records, by the kernel's own count: {}", seen.last("health"));
    }
}

/// What happens on a node beside starts: a pod with its pause container, and commands run in containers.
struct Aside<'a> {
    stage: &'a Stage,
    cri: &'a Cri,
    image: &'a Image,
    sleeper: &'a str,
}

impl Aside<'_> {
    /// Gives the one start that is in it.
    fn happen(&self, name: &str) -> String {
        let crun = self.stage.runtime(program("crun"));
        crun.exec(self.sleeper, &["/bin/true"]).expect("exec").success().expect("exec");
        let spec = PodSpec { name, namespace: "scale", handler: "crun", host_network: false };
        let pod = Removed { cri: self.cri, pod: self.cri.run_pod(self.stage, &spec).expect("pod") };
        let command: &[_] = &["/bin/sh", "-c", "echo ready; sleep 1000"];
        let app = ContainerSpec { name: "app", image: &self.image.name, command, ..Default::default() };
        let id = self.cri.run_container(&pod.pod, &app).expect("container");
        self.cri.exec(&id, &["/bin/true"]).expect("exec");
        crun.state(self.sleeper).expect("state").success().expect("state");
        id
    }
}

fn with_an_engine(act: impl FnOnce(&Stage, &Aside) -> (Seen, Vec<String>)) {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd: Containerd = stage.containerd(&image, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let crun = stage.runtime(program("crun"));
    let sleeper = Bundle::new(&["/bin/sleep", "1000"]).write(&stage, "sleeper").expect("bundle");
    crun.create(&sleeper).expect("crun").success().expect("crun");
    crun.start(&sleeper.id).expect("crun").success().expect("crun");
    let aside = Aside { stage: &stage, cri: &cri, image: &image, sleeper: &sleeper.id };
    let (seen, expected) = act(&stage, &aside);
    each_once(&seen, &stage, &expected);
    losses_agree(&seen);
    assert_eq!(seen.lost(), 0, "{}", seen.last("health"));
    assert_eq!(seen.code, Some(0), "{}", seen.stderr);
}

#[test]
fn hundreds_in_a_row() {
    with_an_engine(|stage, aside| {
        let bundles = bundles(stage, IN_A_ROW);
        let crun = stage.runtime(program("crun"));
        let mut expected: Vec<_> = bundles.iter().map(|bundle| bundle.id.clone()).collect();
        let watch = Watch::begin();
        for (n, bundle) in bundles.iter().enumerate() {
            crun.run(bundle).expect("crun").success().expect("crun");
            if n % EVERY == 0 {
                expected.push(aside.happen(&format!("aside-{n}")));
            }
        }
        (watch.end(), expected)
    });
}

#[test]
fn dozens_at_once() {
    with_an_engine(|stage, aside| {
        let bundles = bundles(stage, AT_ONCE);
        let crun = stage.runtime(program("crun"));
        let mut expected: Vec<_> = bundles.iter().map(|bundle| bundle.id.clone()).collect();
        let watch = Watch::begin();
        let running: Vec<_> =
            bundles.iter().map(|bundle| stage.spawn(&mut crun.run_command(bundle)).expect("crun")).collect();
        expected.push(aside.happen("aside"));
        for run in running {
            run.finish().expect("crun").success().expect("crun");
        }
        (watch.end(), expected)
    });
}

#[test]
fn a_storm_of_processes() {
    let stage = stage();
    let spawner = workload::static_program("spawner", &stage.path(""));
    let nothing = workload::compile("nothing", stage.path("nothing"), &["-static", "-nostdlib"]);
    let bundles = bundles(&stage, IN_THE_STORM);
    let crun = stage.runtime(program("crun"));
    let watch = Watch::begin();
    let mut storm = stage.command(spawner);
    storm.arg(nothing);
    let storm = stage.spawn(storm.args([PROCESSES, PER_SECOND].map(|n| n.to_string()))).expect("spawner");
    for bundle in &bundles {
        crun.run(bundle).expect("crun").success().expect("crun");
    }
    let ran = storm.finish().expect("spawner").success().expect("spawner");
    let seen = watch.end();
    let (count, ms) = ran.stdout.trim().split_once(' ').expect("a count and a time");
    assert_eq!(count, PROCESSES.to_string());
    eprintln!("{count} processes started in {ms} ms");
    losses_agree(&seen);
    if seen.lost() == 0 {
        let expected: Vec<_> = bundles.into_iter().map(|bundle| bundle.id).collect();
        each_once(&seen, &stage, &expected);
        assert_eq!(seen.code, Some(0), "{}", seen.stderr);
    }
}
