//! Slow block devices: a loop device on top of another, whose requests are held back by a limit of whoever waits.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::program;

/// Where the limits are kept that are needed here.
const LIMITS: &str = "/sys/fs/cgroup/blkio";

/// Which requests are held back, and how many a second are not.
#[derive(Clone, Copy)]
pub enum Limit {
    Requests(u32),
    /// Of reads: one block takes longer than any test.
    Byte,
}

/// A device (`upper`) that answers as slowly as `lower` is limited to. `lower` itself is as fast as memory: what is
/// held back has not reached it. All goes with it.
pub struct Disk {
    pub lower: String,
    pub upper: String,
    group: PathBuf,
    image: PathBuf,
    number: String,
    children: Vec<Child>,
}

impl Disk {
    /// `None`: this machine has no such limits, or they are somewhere else.
    ///
    /// # Panics
    /// A device cannot be made.
    pub fn slow(name: &str, limit: Limit) -> Option<Disk> {
        let group = Path::new(LIMITS).join(format!("{name}-{}", process::id()));
        if !Path::new(LIMITS).join("blkio.throttle.read_iops_device").exists() {
            return None;
        }
        fs::create_dir(&group).expect("a control group");
        let image = Path::new("/dev/shm").join(format!("{name}-{}.img", process::id()));
        fs::File::create(&image).and_then(|file| file.set_len(4 << 20)).expect("an image");
        let lower = device(&[], &image);
        let upper = device(&["--direct-io=on"], &Path::new("/dev").join(&lower));
        let number =
            fs::read_to_string(format!("/sys/block/{lower}/dev")).expect("a number").trim().to_owned();
        let disk = Disk { lower, upper, group, image, number, children: Vec::new() };
        match limit {
            Limit::Requests(count) => {
                disk.limit("read_iops_device", count);
                disk.limit("write_iops_device", count);
            }
            Limit::Byte => disk.limit("read_bps_device", 1),
        }
        Some(disk)
    }

    fn limit(&self, what: &str, of: u32) {
        let file = self.group.join(format!("blkio.throttle.{what}"));
        fs::write(&file, format!("{} {of}", self.number)).unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// Runs a program, whose requests are held back.
    ///
    /// # Panics
    /// It cannot be run.
    pub fn runs(&mut self, name: &Path, args: &[&str]) {
        let script = format!("echo $$ > {}/cgroup.procs; exec \"$0\" \"$@\"", self.group.display());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).arg(name).args(args).stdin(Stdio::null());
        self.children.push(command.spawn().expect("sh"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever waits for a device cannot be killed.
        for limit in ["read_iops_device", "write_iops_device", "read_bps_device"] {
            self.limit(limit, 0);
        }
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for device in [&self.upper, &self.lower] {
            let _ = Command::new(program("losetup")).args(["-d", &format!("/dev/{device}")]).status();
        }
        let _ = fs::remove_file(&self.image);
        for _ in 0..200 {
            if fs::remove_dir(&self.group).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The name of a new loop device of a file.
fn device(options: &[&str], of: &Path) -> String {
    let made = Command::new(program("losetup"))
        .args(["--find", "--show"])
        .args(options)
        .arg(of)
        .output()
        .expect("losetup");
    assert!(made.status.success(), "losetup: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8_lossy(&made.stdout).trim().trim_start_matches("/dev/").to_owned()
}
