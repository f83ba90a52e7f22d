//! Where the kernel describes its tracepoints, and whether they are as the programs expect them.

use std::path::{Path, PathBuf};

/// Where tracepoints are described.
#[derive(Clone, Debug)]
pub struct Tracefs(pub Option<PathBuf>);

impl Tracefs {
    /// Finds tracefs, mounting it where it belongs if it is not there: in a container in its own tree, as tracepoints are
    /// attached to by what is at this place alone.
    ///
    /// `host_root`: where the node's own files are, for an observer in a container: there it can at least be read what
    /// could be attached to.
    pub fn find_or_mount(host_root: &Path) -> Self {
        const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
        let in_host = PLACES.map(|place| host_root.join(&place[1..]));
        let own = PLACES.map(PathBuf::from);
        let found =
            |places: &[PathBuf]| places.iter().find(|place| place.join("events/syscalls").is_dir()).cloned();
        if let Some(place) = found(&own) {
            return Self(Some(place));
        }
        let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
        let _ = rustix::mount::mount("tracefs", PLACES[0], "tracefs", flags, None);
        Self(found(&own).or_else(|| found(&in_host)))
    }

    /// Whether the syscall's entry has these arguments in this order, at the offsets the programs use.
    ///
    /// # Errors
    /// What differs, for people.
    pub fn check_syscall(&self, syscall: &str, arguments: &[&str]) -> Result<(), String> {
        let root = self.0.as_ref().ok_or("no tracefs: mount it at /sys/kernel/tracing")?;
        let read = |event: String| {
            std::fs::read_to_string(root.join("events/syscalls").join(&event).join("format"))
                .map_err(|error| format!("{event}: {error}"))
        };
        let enter = read(format!("sys_enter_{syscall}"))?;
        for (n, argument) in arguments.iter().enumerate() {
            expect_field(&enter, argument, 16 + 8 * n)?;
        }
        expect_field(&read(format!("sys_exit_{syscall}"))?, "ret", 16)
    }
}

/// `field:TYPE NAME; offset:N; ...` must be there with that offset.
fn expect_field(format: &str, name: &str, offset: usize) -> Result<(), String> {
    let line = format
        .lines()
        .find(|line| line.contains("field:") && line.contains(&format!(" {name};")))
        .or_else(|| format.lines().find(|line| line.contains(&format!("*{name};"))))
        .ok_or_else(|| format!("no field {name}"))?;
    if line.contains(&format!("offset:{offset};")) {
        Ok(())
    } else {
        Err(format!("field {name} is not at offset {offset}"))
    }
}
