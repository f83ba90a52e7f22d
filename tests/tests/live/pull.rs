//! Images that are fetched for a start: what that takes is told apart from the rest of it.

use std::{fs, path::Path, thread, time::Duration};

use observer_tests::{
    check::phase_names,
    rig::{
        stage,
        stage::{
            Running, Stage,
            containerd::Removed,
            cri::{ContainerSpec, PodSpec},
        },
        watch::Watch,
    },
};
use serde_json::{Value, json};

const REGISTRY: &str = "127.0.0.1:5055";
const IMAGE: &str = "127.0.0.1:5055/app:1";

/// A registry that keeps its images in a folder, in the stage's own network.
fn serve(stage: &Stage, folder: &Path) -> Running {
    let config = stage.path("registry.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {REGISTRY}}}\n",
        folder.display()
    );
    fs::write(&config, text).expect("its configuration");
    let registry =
        stage.spawn(stage.command("docker-registry").arg("serve").arg(config)).expect("a registry");
    for _ in 0..200 {
        let mut asks = stage.command("curl");
        let answer = stage.run(asks.args(["-sf", "-o", "/dev/null", &format!("http://{REGISTRY}/v2/")]));
        if answer.is_ok_and(|answer| answer.code() == 0) {
            return registry;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the registry does not answer: {}", registry.stderr());
}

fn phase<'a>(start: &'a Value, name: &str) -> Option<&'a Value> {
    start["phases"].as_array()?.iter().find(|phase| phase["name"] == name)
}

#[test]
// long: one engine, in which containers are made in one way after the other
fn a_pull_is_a_phase_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = stage();
    let pause = stage.image("pause", None).expect("image");
    {
        let other = observer_tests::rig::stage();
        let app = other.image("app", Some(&[7; 1 << 20])).expect("image");
        let engine = other.containerd(&pause, &[&app]).expect("containerd");
        let _registry = serve(&other, folder.path());
        for ctr in [&["images", "tag", &app.name, IMAGE][..], &["images", "push", "--plain-http", IMAGE]] {
            engine.ctr(ctr).expect("ctr").success().expect("ctr");
        }
    }
    let containerd = stage.containerd(&pause, &[]).expect("containerd");
    let _registry = serve(&stage, folder.path());
    let cri = containerd.cri().expect("cri");
    let socket = containerd.socket().to_string_lossy().into_owned();
    let watch = Watch::with(&["--ready-wait", "1s", "--cri", &socket]);
    let pod = |name| {
        let spec = PodSpec { name, namespace: "shop", handler: "crun", host_network: false };
        Removed { cri: &cri, pod: cri.run_pod(&stage, &spec).expect(name) }
    };
    let app = ContainerSpec {
        name: "app",
        image: IMAGE,
        command: &["/bin/sh", "-c", "echo ready; sleep 1000"],
        ..Default::default()
    };
    let fetching = pod("fetching");
    cri.pull(IMAGE).expect("pull");
    let fetched = cri.run_container(&fetching.pod, &app).expect("a container");
    let anew = ContainerSpec { name: "anew", ..app.clone() };
    let anew = cri.run_container(&fetching.pod, &anew).expect("another container");
    let having = pod("having");
    // It has all of it: nothing is fetched.
    cri.pull(IMAGE).expect("pull");
    let there = cri.run_container(&having.pod, &app).expect("a container");
    drop((fetching, having));
    let seen = watch.end();

    let start = seen.start(&fetched);
    assert_eq!(start["t0"], json!("netns"), "{start:#}");
    let pull = phase(start, "image-pull").unwrap_or_else(|| panic!("no pull in {start:#}"));
    assert_eq!(
        (&pull["detail"], &pull["process"]["comm"]),
        (&json!(IMAGE), &json!("containerd")),
        "{pull:#}"
    );
    assert!(pull["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{pull:#}");
    for id in [&anew, &there] {
        let start = seen.start(id);
        assert!(phase(start, "image-pull").is_none(), "nothing was fetched for it: {start:#}");
    }
    assert_eq!(seen.start(&there)["t0"], json!("netns"));
    let start = seen.start(&anew);
    assert_eq!(start["t0"], json!("cri"), "{start:#}");
    for id in [&fetched, &anew, &there] {
        let names = phase_names(seen.start(id));
        for name in ["snapshot", "engine"] {
            assert!(names.contains(&name), "{id} has no {name}: {names:?}");
        }
    }
}
