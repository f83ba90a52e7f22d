//! What holds up the network of a pod.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    thread::{self, JoinHandle},
    time::Duration,
};

use observer_tests::rig::{
    stage,
    stage::{
        containerd::Removed,
        cri::{ContainerSpec, PodSpec},
    },
    stdio::until,
    watch::Watch,
};
use rustix::fs::{FlockOperation, flock};

/// Held until somebody has waited for it for a while.
fn held(lock: File) -> JoinHandle<()> {
    flock(&lock, FlockOperation::LockExclusive).expect("flock");
    let inode = format!(":{} ", lock.metadata().expect("the lock").ino());
    thread::spawn(move || {
        until("who waits for the lock", || {
            let locks = fs::read_to_string("/proc/locks").expect("/proc/locks");
            locks.lines().any(|line| line.contains("->") && line.contains(&inode)).then_some(())
        });
        thread::sleep(Duration::from_millis(300));
        drop(lock);
    })
}

/// By the plugin that gives out addresses, which locks what it has given out.
#[test]
fn a_pod_network_that_waits_for_a_lock() {
    let stage = stage();
    let image = stage.image("busybox", None).expect("image");
    let containerd = stage.containerd(&image, &[]).expect("containerd");
    let cri = containerd.cri().expect("cri");
    let addresses = stage.path("ipam/stage");
    fs::create_dir_all(&addresses).expect("a folder");
    let watch = Watch::begin();
    let started = |name| {
        let spec = PodSpec { name, namespace: "shop", handler: "crun", host_network: false };
        let pod = Removed { cri: &cri, pod: cri.run_pod(&stage, &spec).expect(name) };
        let command: &[_] = &["/bin/sh", "-c", "echo ready; sleep 1000"];
        let app = ContainerSpec { name: "app", image: &image.name, command, ..Default::default() };
        let id = cri.run_container(&pod.pod, &app).expect(name);
        (pod, id)
    };
    let lock = held(File::create(addresses.join("lock")).expect("the lock"));
    let waits = started("waits");
    lock.join().expect("the thread that holds the lock");
    let goes = started("goes");
    let seen = watch.end();
    let details = |id: &str| -> Vec<String> {
        let phases = seen.start(id)["phases"].as_array().expect("phases").clone();
        let cni = phases.iter().filter(|phase| phase["name"] == "cni");
        cni.filter_map(|phase| phase["detail"].as_str().map(str::to_owned)).collect()
    };
    let waited =
        |detail: &String| detail.starts_with("host-local, ") && detail.ends_with(" ms waiting for lock");
    assert!(details(&waits.1).iter().any(waited), "{:?}", details(&waits.1));
    assert!(!details(&goes.1).iter().any(|detail| detail.contains("waiting")), "{:?}", details(&goes.1));
}
