//! From inside a privileged container with the host's pid namespace and its root at /host, which is what
//! `kubectl debug node` gives, the observer sees what it sees on the host.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

use observer_tests::rig::{
    Bundle, program,
    run::Run,
    stage,
    stdio::until,
    watch::{Watch, observer},
};
use serde_json::Value;

/// A root of its own with nothing but the program, its libraries and what is mounted for it.
const CONTAINER: &str = r#"
set -e
root=$1; program=$2; shift 2
mount -t tmpfs tmpfs "$root"
mkdir -p "$root/bin" "$root/lib" "$root/lib64" "$root/usr/lib" "$root/proc" "$root/sys" "$root/dev" "$root/host" "$root/etc"
for folder in lib lib64 usr/lib; do mount --bind "/$folder" "$root/$folder"; done
mount --rbind / "$root/host"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
cp "$program" "$root/bin/observer"
echo debug-container > "$root/etc/hostname"
exec chroot "$root" /bin/observer "$@"
"#;

fn in_container(folder: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", CONTAINER, "sh"]).arg(folder).arg(observer()).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn doctor_says_the_same() {
    assert!(rustix::process::geteuid().is_root(), "mounts are made: run as root");
    let folder = tempfile::tempdir().expect("a folder");
    let inside = in_container(folder.path(), &["doctor"]).output().expect("observer in a container");
    let outside = Command::new(observer()).arg("doctor").output().expect("observer");
    // How many connections are tracked, and files watched, differs from one moment to the next.
    let lasting = |line: &&str| !line.starts_with("conntrack") && !line.starts_with("inotify");
    let text = |bytes: &[u8]| -> String {
        String::from_utf8_lossy(bytes).split_inclusive('\n').filter(lasting).collect()
    };
    assert_eq!(text(&inside.stdout), text(&outside.stdout), "{}", text(&inside.stderr));
    assert_eq!(inside.status.code(), outside.status.code());
}

/// A container that was there before, as a snapshot tells it.
#[test]
fn describe_and_run_say_the_same() {
    let stage = stage();
    let id = format!("debugged-{}", stage.id());
    let bundle = Bundle::new(&["/bin/sleep", "1000"]).write(&stage, &id).expect("bundle");
    let running = stage.spawn(&mut stage.runtime(program("crun")).run_command(&bundle)).expect("crun");
    until("the container", || {
        let state = stage.runtime(program("crun")).state(&id).ok()?;
        state.stdout.contains("\"running\"").then_some(())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let words = ["describe", &id, "--standalone", "--for", "1s", "-o", "json"];
    let inside = in_container(folder.path(), &words).output().expect("observer in a container");
    let outside = Command::new(observer()).args(words).output().expect("observer");
    let of_host: Value = serde_json::from_slice(&outside.stdout).expect("JSON");
    let of_container: Value = serde_json::from_slice(&inside.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&inside.stderr)));
    assert_eq!(of_host["containers"][0]["container"]["id"], id.as_str(), "{of_host:#}");
    let whose = |told: &Value| {
        let mut container = told.clone();
        // Each of the two measures for itself how far the clocks are apart.
        container["started_at"].take();
        container
    };
    let of = |told: &Value| whose(&told["containers"][0]["container"]);
    assert_eq!(of(&of_container), of(&of_host));
    for field in ["known", "source", "node", "host", "not_measured"] {
        assert_eq!(of_container[field], of_host[field], "{field}");
    }

    let other = tempfile::tempdir().expect("a folder");
    let mut inside =
        in_container(other.path(), &["run", "--socket", "off", "-o", "json"]).spawn().expect("observer");
    wait_until_attached(&mut inside);
    let outside = Run::attached(&[]);
    let seen_end = |object: &Value| object["action"] == "exit" && object["container"]["id"] == id.as_str();
    stage.runtime(program("crun")).kill(&id).expect("crun").success().expect("crun");
    running.finish().expect("crun");
    let of_host = outside.wait_for("its end", seen_end);
    outside.end();
    let inside = interrupt(inside);
    let of_container = inside.iter().find(|object| seen_end(object));
    let of_container = of_container.unwrap_or_else(|| panic!("its end is not in {inside:?}"));
    assert_eq!(whose(&of_container["container"]), whose(&of_host["container"]));
    for field in ["exit_code", "signal", "node", "host", "since"] {
        assert_eq!(of_container[field], of_host[field], "{field}");
    }
}

#[test]
fn coldstart_says_the_same() {
    let stage = stage();
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["coldstart", "-o", "json", "--ready-wait", "1s"];
    let mut inside = in_container(folder.path(), &arguments).spawn().expect("observer in a container");
    wait_until_attached(&mut inside);
    let outside = Watch::begin();
    let id = format!("debug-{}", stage.id());
    let bundle = Bundle::new(&["/bin/echo", "hello"]).write(&stage, &id).expect("bundle");
    stage.runtime(program("crun")).run(&bundle).expect("crun").success().expect("crun");
    let outside = outside.end();
    let inside = interrupt(inside);

    let of_host = outside.start(&id);
    let of_container = inside.iter().find(|object| object["container"]["id"] == id.as_str());
    let of_container = of_container.unwrap_or_else(|| panic!("{id} is not in {inside:?}"));
    let names = |start: &Value| -> Vec<Value> {
        start["phases"].as_array().into_iter().flatten().map(|phase| phase["name"].clone()).collect()
    };
    assert_eq!(names(of_container), names(of_host));
    for field in ["host", "node", "t0", "ready", "cold", "failure", "lost"] {
        assert_eq!(of_container[field], of_host[field], "{field}");
    }
    for (field, value) in of_host["container"].as_object().expect("a container") {
        // Each of the two measures for itself when it was that the payload began.
        if field != "started_at" {
            assert_eq!(&of_container["container"][field], value, "{field}");
        }
    }
}

fn wait_until_attached(child: &mut Child) {
    let stderr = child.stderr.take().expect("piped");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let attached = lines.any(|line| line.contains("attached"));
    assert!(attached, "the observer in the container did not attach");
    // Whatever it says later must have somewhere to go.
    std::thread::spawn(move || lines.for_each(drop));
}

/// Ctrl-C, and what was printed until the end.
fn interrupt(mut child: Child) -> Vec<Value> {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
