//! What is concluded of the database in which K3s keeps its cluster: by what K3s says of its own, and by its calls on it
//! that fail; and nothing of other files, of other programs and of those in containers.

use std::{
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

use observer_tests::rig::{
    Bundle, Stage,
    engines::needs,
    program, stage,
    verdict::{Verdicts, only, quiet},
    workload,
};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

const PROBES: &[&str] = &["--probes", "process,file,text,storage"];

/// STAND-IN: a script under K3s's name, with SQLite's own library.
struct K3s<'stage>(&'stage Stage);

impl<'stage> K3s<'stage> {
    fn on(stage: &'stage Stage) -> K3s<'stage> {
        eprintln!("STAND-IN: k3s is a script under that name");
        // Not one that only finds it: that would have the name of what it finds.
        let found =
            Command::new(program("python3")).args(["-c", "import sys; print(sys.executable)"]).output();
        let python = String::from_utf8(found.expect("python3").stdout).expect("a path");
        let script = [b"#!", python.trim().as_bytes(), b"\n", &workload::source("k3s_datastore.py")].concat();
        for name in ["k3s", "by-hand"] {
            let path = stage.path(name);
            fs::write(&path, &script).expect("a script");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a script");
        }
        K3s(stage)
    }

    fn command(&self, name: &str, words: &[&str]) -> Command {
        let mut command = self.0.command(self.0.path(name));
        command.args(words);
        command
    }

    fn does(&self, words: &[&str]) {
        self.0.run(&mut self.command("k3s", words)).expect("k3s").success().expect("k3s");
    }

    /// What is done to a database without K3s.
    fn by_hand(&self, words: &[&str]) {
        self.0.run(&mut self.command("by-hand", words)).expect("a script").success().expect("a script");
    }

    /// A sound database in a folder of its own, as K3s lays them out; `open:` and its path.
    fn database(&self, folder: &Path, file: &str) -> String {
        let folder = folder.join("db");
        // In what may be mounted only there.
        let made = self.0.run(self.0.command("mkdir").arg("-p").arg(&folder)).expect("mkdir");
        made.success().expect("mkdir");
        let opens = format!("open:{}", folder.join(file).display());
        self.by_hand(&[&opens, "make"]);
        opens
    }

    /// The same with bytes in it that SQLite did not write.
    fn damaged(&self, name: &str, file: &str, at: u64) -> String {
        let opens = self.database(&self.0.path(name), file);
        let written = fs::OpenOptions::new().write(true).open(path(&opens)).expect("a database");
        written.write_all_at(&[0x5a; 4_096], at).expect("a database");
        opens
    }
}

fn path(opens: &str) -> &str {
    opens.strip_prefix("open:").expect("a path")
}

/// Where SQLite keeps what the file is, and where its first table begins.
const HEADER: u64 = 0;
const TABLE: u64 = 4_096;

#[test]
fn a_server_whose_database_is_damaged() {
    let stage = stage();
    let k3s = K3s::on(&stage);
    let (first, second) =
        (k3s.damaged("first", "state.db", TABLE), k3s.damaged("second", "state.db", HEADER));
    let go = stage.path("go");
    let wait = format!("wait:{}", go.display());
    // One that has it open before anybody watches, and one that has not.
    let older = stage.spawn(&mut k3s.command("k3s", &[&first, &wait, "read", "read"])).expect("k3s");
    let verdicts = Verdicts::begin(&stage, "sqlite-corrupt", PROBES);
    fs::write(&go, "").expect("a file");
    older.finish().expect("k3s").success().expect("k3s");
    // As a server that cannot begin is started again.
    k3s.does(&[&second, "read"]);
    k3s.does(&[&second, "read"]);
    for opens in [&first, &second] {
        verdicts.awaits("sqlite-corrupt", path(opens));
    }
    let seen = verdicts.end();
    for opens in [&first, &second] {
        only(&seen, path(opens), "sqlite-corrupt/corrupt proved");
    }
}

#[test]
fn sqlite_itself_by_the_name_of_a_server() {
    const TEST: &str = "sqlite_itself_by_the_name_of_a_server";
    let stage = stage();
    let Some(shell) = needs(TEST, "sqlite3") else { return };
    let damaged = K3s::on(&stage).damaged("shell", "state.db", TABLE);
    fs::remove_file(stage.path("k3s")).expect("the script");
    fs::copy(shell, stage.path("k3s")).expect("a copy");
    let verdicts = Verdicts::begin(&stage, "sqlite-corrupt-by-sqlite", PROBES);
    let mut command = stage.command(stage.path("k3s"));
    // What has failed is no reason for it to leave the rest undone, if it reads that from a file.
    let script = stage.path("script.sql");
    fs::write(&script, "select * from kine;\nselect count(*) from kine;\n").expect("a file");
    stage.run(command.arg(path(&damaged)).arg(format!(".read {}", script.display()))).expect("sqlite3");
    verdicts.awaits("sqlite-corrupt", path(&damaged));
    let seen = verdicts.end();
    only(&seen, path(&damaged), "sqlite-corrupt/corrupt proved");
}

#[test]
fn words_that_are_about_something_else_or_of_somebody_else() {
    let stage = stage();
    let k3s = K3s::on(&stage);
    let well = k3s.database(&stage.path("well"), "state.db");
    let other = k3s.damaged("other", "cache.db", HEADER);
    let copy = k3s.damaged("copy", "state.db", TABLE);
    let verdicts = Verdicts::begin(&stage, "sqlite-corrupt-not-its-own", PROBES);
    k3s.does(&[&well, "read", &other, "named", "read", "read", "read"]);
    // An agent has none of its own.
    k3s.does(&[&other, "read", "read", "read"]);
    k3s.by_hand(&[&copy, "read", "read", "read"]);
    let line = r#"time="x" level=error msg="error in txn: database disk image is malformed""#;
    let script = format!("#!/bin/sh\nexec 3</db/state.db\necho '{line}'; echo '{line}'; echo '{line}'\n");
    let bundle = Bundle::new(&["/bin/k3s"]).file("bin/k3s", script.as_bytes()).file("db/state.db", b"");
    let bundle = bundle.write(&stage, &format!("k3s-{}", stage.id())).expect("bundle");
    stage.runtime(program("crun")).run(&bundle).expect("crun");
    let mut lines = 0;
    verdicts.run.wait_for("what the last has said", |object| {
        lines += u32::from(object["probe"] == "text" && object["container"]["id"] == *bundle.id);
        lines == 3
    });
    let seen = verdicts.end();
    let paths = [&well, &other, &copy].map(|opens| path(opens));
    paths.iter().for_each(|path| quiet(&seen, path));
    quiet(&seen, &bundle.id);
    let words = seen.of_type("event").filter(|event| event["keyword"] == "sqlite-corrupt").count();
    assert_eq!(words, 9, "K3s and the workload were not heard: {}", seen.stdout);
}

#[test]
fn what_is_said_once_may_be_anything() {
    let stage = stage();
    let k3s = K3s::on(&stage);
    let once = k3s.damaged("once", "state.db", TABLE);
    let verdicts = Verdicts::begin(&stage, "sqlite-corrupt-said-once", PROBES);
    k3s.does(&[&once, "read"]);
    verdicts.run.wait_for("that it was said", |object| {
        object["type"] == "unproven" && object["id"] == "sqlite-corrupt"
    });
    let seen = verdicts.end();
    quiet(&seen, path(&once));
}

/// A device in memory with a file system that only the stage sees. Once it is sealed, nothing can be written to it.
struct Device {
    memory: OwnedFd,
    name: String,
    mount: PathBuf,
}

impl Device {
    fn new(stage: &Stage, name: &str) -> Device {
        let memory = memfd_create(name, MemfdFlags::ALLOW_SEALING).expect("memory");
        ftruncate(&memory, 8 << 20).expect("memory");
        let file = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
        let run =
            |command: &mut Command| stage.run(command).expect("a tool").success().expect("a tool").stdout;
        let name = run(stage.command("losetup").args(["--find", "--show", &file])).trim().to_owned();
        run(stage.command("mkfs.ext4").args(["-q", "-O", "^has_journal", "-E", "lazy_itable_init=0", &name]));
        let mount = stage.path("device");
        fs::create_dir(&mount).expect("a folder");
        run(stage.command("mount").arg(&name).arg(&mount));
        Device { memory, name, mount }
    }

    fn breaks(&self) {
        fcntl_add_seals(&self.memory, SealFlags::WRITE).expect("a seal");
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // It goes with the stage's mount.
        let _ = Command::new(program("losetup")).args(["-d", &self.name]).status();
    }
}

/// Calls of K3s on its own database fail in one folder, and before that those of K3s on another file, and of something
/// else on such a database: only of the first something is concluded.
fn calls_fail(stage: &Stage, case: &str, folder: &Path, breaks: impl FnOnce(), outcome: &str, cause: &str) {
    let k3s = K3s::on(stage);
    let own = k3s.database(&folder.join("own"), "state.db");
    let other = k3s.database(&folder.join("other"), "other.db");
    let foreign = k3s.database(&folder.join("foreign"), "state.db");
    let verdicts = Verdicts::begin(stage, case, PROBES);
    breaks();
    let go = stage.path("go");
    let wait = format!("wait:{}", go.display());
    // They live until it is known what their descriptors referred to.
    let begin = |name: &str, opens: &str| {
        let running = stage.spawn(&mut k3s.command(name, &[opens, "grow:2048", &wait])).expect(name);
        verdicts.run.wait_for(&format!("{opens} failed"), |object| {
            object["probe"] == "file" && object["path"] == path(opens) && object["outcome"] == outcome
        });
        running
    };
    let mut running = vec![begin("k3s", &other), begin("by-hand", &foreign)];
    assert!(!verdicts.run.said().contains("\"id\":\"sqlite-corrupt\""), "{}", verdicts.run.said());
    running.push(begin("k3s", &own));
    verdicts.awaits("sqlite-corrupt", path(&own));
    fs::write(&go, "").expect("a file");
    running.into_iter().for_each(|one| drop(one.finish().expect("it ends").success().expect("it ends")));
    let seen = verdicts.end();
    only(&seen, path(&own), &format!("sqlite-corrupt/{cause} proved"));
    [&other, &foreign].iter().for_each(|opens| quiet(&seen, path(opens)));
}

#[test]
fn a_device_that_does_not_take_what_is_written_to_the_database() {
    let stage = stage();
    let device = Device::new(&stage, "broken");
    let breaks = || device.breaks();
    calls_fail(&stage, "sqlite-corrupt-io-error", &device.mount, breaks, "io-error", "io-error");
}

#[test]
fn a_database_without_room_to_grow() {
    let stage = stage();
    let small = stage.path("small");
    fs::create_dir(&small).expect("a folder");
    // Room for three, and for none of them to grow.
    let mut mount = stage.command("mount");
    mount.args(["-t", "tmpfs", "-o", "size=512k", "none"]).arg(&small);
    stage.run(&mut mount).expect("mount").success().expect("mount");
    calls_fail(&stage, "sqlite-corrupt-full", &small, || {}, "tmpfs-size", "full");
}
