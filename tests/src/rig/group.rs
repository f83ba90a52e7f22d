//! Control groups of a test's own, with a limit of CPU time.

use std::{fs, path::PathBuf, process, thread, time::Duration};

use super::{Stage, stage::Running, stdio::until};

/// A control group with a limit; it goes with it. Made before whoever enters it, and dropped after: a group with a
/// process in it stays.
pub struct Group(PathBuf);

/// How much CPU time all containers of a stage get against other groups, each of which has 1024.
///
/// # Panics
/// The stage never has a group, or it cannot be told.
pub fn weighs(stage: &Stage, shares: u32) {
    let path = PathBuf::from(format!("/sys/fs/cgroup/cpu/{}", stage.id()));
    until("the group of the stage", || path.is_dir().then_some(()));
    fs::write(path.join("cpu.shares"), shares.to_string()).expect("cpu.shares");
}

impl Group {
    /// One that may use so much of every 100 ms, microseconds.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn limited(name: &str, quota_us: u32) -> Group {
        let path = PathBuf::from(format!("/sys/fs/cgroup/cpu/{name}-{}", process::id()));
        fs::create_dir(&path).expect("a control group");
        let group = Group(path);
        group.write("cpu.cfs_quota_us", quota_us);
        group
    }

    /// # Panics
    /// It has ended.
    pub fn takes(&self, running: &Running) {
        self.write("cgroup.procs", running.pid().as_raw_nonzero().get() as u32);
    }

    /// For how long it was throttled so far.
    ///
    /// # Panics
    /// The kernel does not say.
    pub fn throttled_ms(&self) -> f64 {
        let stat = fs::read_to_string(self.0.join("cpu.stat")).expect("cpu.stat");
        let ns = stat.lines().find_map(|line| line.strip_prefix("throttled_time ")?.parse::<f64>().ok());
        ns.unwrap_or_else(|| panic!("no throttled_time: {stat}")) / 1e6
    }

    fn write(&self, file: &str, number: u32) {
        fs::write(self.0.join(file), number.to_string()).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever was killed in it leaves it a moment later.
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
