//! What is concluded of calls that fail for want of room, of what there is none, and of a node whose file systems run
//! full; and nothing about what only looks like it.

use std::{fs, path::Path, process::Command};

use observer_tests::rig::{
    Bundle, Stage,
    engines::skip,
    run::Run,
    stage,
    stdio::{Container, Streams},
    verdict::{Verdicts, findings, hurried, is_about, only, quiet},
    watch::{Seen, observer},
    workload,
};
use serde_json::Value;

/// Writes that fail by each container that fills a file.
const TIMES: u64 = 1_000;

/// A container that obeys `words` (`workloads/filler.c`), and ends once it is released.
fn filler(stage: &Stage, words: &str) -> Bundle {
    let path = program(stage);
    let args: Vec<&str> = ["/bin/filler"].into_iter().chain(words.split(' ')).chain(["wait:/go"]).collect();
    Bundle::new(&args).file("bin/filler", &fs::read(path).expect("the workload just built"))
}

fn program(stage: &Stage) -> std::path::PathBuf {
    let path = stage.path("filler");
    if path.exists() { path } else { workload::static_program("filler", &stage.path("")) }
}

/// With a folder of the stage at `/data`.
fn with_data(bundle: Bundle, from: &Path, option: &str) -> Bundle {
    bundle.mount("/data", "bind", from.to_str().expect("a path"), &["bind", option])
}

fn begin(stage: &Stage, name: &str, bundle: Bundle) -> Container {
    Container::of(stage, name, bundle, Streams::null())
}

/// A small file system on a file of the stage, mounted where only the stage sees it; what it is mounted from.
fn disk(stage: &Stage, name: &str, make: &[&str], options: &str) -> Option<(std::path::PathBuf, String)> {
    let (image, mount) = (stage.path(format!("{name}.img")), stage.path(name));
    fs::File::create(&image).and_then(|file| file.set_len(8 << 20)).expect("an image");
    fs::create_dir(&mount).expect("a folder");
    let made = stage.run(stage.command("mkfs.ext4").args(["-q"]).args(make).arg(&image)).expect("mkfs.ext4");
    made.success().expect("mkfs.ext4");
    let mounted =
        stage.run(stage.command("mount").args(["-o", options]).arg(&image).arg(&mount)).expect("mount");
    if mounted.code() != 0 {
        return None;
    }
    let mut command = stage.command("findmnt");
    let source = stage.run(command.args(["-n", "-o", "SOURCE"]).arg(&mount)).expect("findmnt");
    Some((mount, source.stdout.trim().to_owned()))
}

/// Told by the probe about a container.
fn failures<'a>(seen: &'a Seen, id: &'a str) -> Vec<&'a Value> {
    seen.events_of("file", id).collect()
}

fn ends(mut container: Container) -> String {
    container.release("go");
    assert_eq!(container.ends(), 0, "{}", container.id);
    container.id.clone()
}

/// What was concluded of the node, whatever container it was seen of.
fn of_node(seen: &Seen, object: &str) -> Vec<String> {
    findings(seen, object)
}

fn all_writes_are_counted(seen: &Seen, id: &str, kind: &str) {
    let told = failures(seen, id);
    let writes = told.iter().filter(|event| event["call"] == "write");
    assert_eq!(writes.filter_map(|event| event["count"].as_u64()).sum::<u64>(), TIMES, "{told:#?}");
    assert_eq!((&told[0]["path"], &told[0]["filesystem"]), (&"/data/file".into(), &kind.into()), "{told:#?}");
    assert_eq!((&told[0]["errno_name"], &told[0]["mount"]), (&"ENOSPC".into(), &"/data".into()), "{told:#?}");
}

#[test]
fn room_of_each_kind_is_used_up() {
    const TEST: &str = "room_of_each_kind_is_used_up";
    let stage = stage();
    let Some((bytes, bytes_source)) = disk(&stage, "bytes", &["-N", "64"], "loop") else {
        return skip(TEST, "a file cannot be mounted as a file system here");
    };
    let (inodes, inodes_source) = disk(&stage, "inodes", &["-N", "32"], "loop").expect("the second one");
    let quota = disk(&stage, "quota", &["-O", "quota", "-E", "quotatype=usrquota"], "loop,usrquota");
    let verdicts = Verdicts::begin(&stage, "disk-full", &[]);

    let full = begin(&stage, "full", with_data(filler(&stage, "bytes:/data/file"), &bytes, "rw"));
    let many = begin(&stage, "many", with_data(filler(&stage, "files:/data"), &inodes, "rw"));
    let small = filler(&stage, "bytes:/data/file").mount("/data", "tmpfs", "tmpfs", &["size=1m"]);
    let small = begin(&stage, "small", small);
    let keys = begin(&stage, "keys", filler(&stage, "keys"));
    let limited = quota.as_ref().map(|(mount, _)| {
        let limit = format!("limit:{}", mount.display());
        stage.run(stage.command(program(&stage)).arg(limit)).expect("filler").success().expect("a limit");
        begin(&stage, "limited", with_data(filler(&stage, "quota:/data/file"), mount, "rw"))
    });
    let go = stage.path("go");
    let wait = format!("wait:{}", go.display());
    let watcher = stage.spawn(stage.command(program(&stage)).args(["inotify:/", &wait])).expect("filler");

    let watched: Vec<&Container> =
        [&full, &many, &small, &keys].into_iter().chain(limited.as_ref()).collect();
    for container in &watched {
        verdicts.awaits("disk-full", &container.id);
    }
    verdicts.awaits("disk-full", "inotify-watches");
    fs::write(&go, "").expect("a file");
    watcher.finish().expect("filler").success().expect("watches");
    let ids = [full, many, small, keys].map(ends);
    let limited = limited.map(ends);
    let seen = verdicts.end();

    let [full, many, small, keys] = &ids;
    only(&seen, full, "disk-full/bytes proved");
    only(&seen, many, "disk-full/inodes proved");
    only(&seen, small, "disk-full/tmpfs-size proved");
    only(&seen, keys, "disk-full/key-quota proved");
    assert_eq!(of_node(&seen, &bytes_source), ["disk-full/bytes proved"]);
    assert_eq!(of_node(&seen, &inodes_source), ["disk-full/inodes proved"]);
    assert_eq!(of_node(&seen, "inotify-watches"), ["disk-full/inotify-watches proved"]);
    match limited {
        Some(limited) => drop(only(&seen, &limited, "disk-full/quota proved")),
        None => skip(TEST, "this kernel keeps no quotas: that one of them is used up was not tried"),
    }
    for (id, kind) in [(full, "ext4"), (small, "tmpfs")] {
        all_writes_are_counted(&seen, id, kind);
    }
    let made = failures(&seen, many);
    assert!(made.iter().all(|event| event["call"] == "openat" && event["free_inodes"] == 0), "{made:#?}");
}

#[test]
fn whoever_asks_for_too_much_wants_for_no_room() {
    let stage = stage();
    let verdicts = Verdicts::begin(&stage, "disk-full-not-for-want-of-room", &[]);
    let roomy = filler(&stage, "allocate:/data/file").mount("/data", "tmpfs", "tmpfs", &["size=8m"]);
    let roomy = begin(&stage, "roomy", roomy);
    // A file of its own, as a device is.
    let device = begin(&stage, "device", filler(&stage, "device:/dev/full"));
    let kept = stage.path("kept");
    fs::create_dir(&kept).expect("a folder");
    let kept = begin(&stage, "kept", with_data(filler(&stage, "read-only:/data/folder"), &kept, "ro"));
    for (container, outcome) in [(&roomy, "too-large"), (&kept, "read-only")] {
        verdicts.run.wait_for(outcome, |object| {
            object["probe"] == "file"
                && object["outcome"] == outcome
                && is_about_container(object, &container.id)
        });
    }
    let ids = [roomy, device, kept].map(ends);
    let seen = verdicts.end();
    ids.iter().for_each(|id| quiet(&seen, id));
    assert_eq!(failures(&seen, &ids[1]), [&Value::Null; 0], "a device is no file system");
    assert!(!seen.of_type("finding").any(|finding| finding["id"] == "disk-full"));
}

fn is_about_container(event: &Value, id: &str) -> bool {
    event["container"]["id"] == id
}

/// An observer of a node whose `/var/lib` is made by a script, in a mount namespace of its own.
fn node(case: &str, script: &str) -> Run {
    let catalogue = hurried(|id| id == "disk-full");
    let mut command = Command::new("unshare");
    let script = format!(
        "set -e; mount -t tmpfs -o size=8m none /var/lib; cd /var/lib; {script} exec \"$0\" run \"$@\""
    );
    command.args(["--mount", "sh", "-c", &script]).arg(observer());
    // It is read before anything is attached.
    command.arg("--catalogue").arg(catalogue.path());
    if let Some(folder) = std::env::var_os("OBSERVER_KEEP_CASES") {
        command.arg("--record").arg(Path::new(&folder).join(format!("{case}.rec")));
    }
    Run::by(command)
}

/// So many of 64 pages of a file system of its own.
fn filesystem(name: &str, pages: u32) -> String {
    format!(
        "mkdir -p {name}; mount -t tmpfs -o size=256k,nr_inodes=100 {name} {name}; \
         head -c {} /dev/zero > {name}/file; ",
        pages * 4_096
    )
}

fn pressures(run: Run, expected: &[(&str, &str)]) {
    for (place, _) in expected {
        run.wait_for(place, |object| object["type"] == "finding" && is_about(object, place));
    }
    let seen = run.end();
    let told: Vec<&Value> = seen.of_type("finding").filter(|finding| finding["status"] == "open").collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (place, cause) in expected {
        assert_eq!(findings(&seen, place), [format!("disk-full/{cause} proved")]);
    }
}

#[test]
fn a_node_runs_out_of_room() {
    stage();
    // 7 of 64 pages are left for the kubelet, as many for images; and again, where 5 of 100 files are fewer than 5 %.
    let script = [filesystem("kubelet", 60), filesystem("containerd", 56)].concat();
    let told = [("/var/lib/kubelet", "disk-pressure"), ("/var/lib/containerd", "image-pressure")];
    pressures(node("disk-full-pressure", &script), &told);
}

#[test]
fn a_node_runs_out_of_files() {
    stage();
    let script = filesystem("kubelet", 1) + "i=0; while touch kubelet/$i 2>/dev/null; do i=$((i+1)); done; ";
    pressures(node("disk-full-inode-pressure", &script), &[("/var/lib/kubelet", "inode-pressure")]);
}

#[test]
fn k3s_has_thresholds_of_its_own() {
    stage();
    // The same that is too little for another kubelet; and too little for K3s.
    let script = [filesystem("kubelet", 60), filesystem("rancher/k3s", 62)].concat();
    pressures(node("disk-full-k3s-pressure", &script), &[("/var/lib/rancher/k3s", "k3s-pressure")]);
}
