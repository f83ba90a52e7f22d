//! Where the node's own files are: `/` on the node itself, `/host` in a privileged container that was given
//! the node's root there (a node debugging container, a DaemonSet). Everything read from the node goes
//! through [`HostRoot`].

use std::{
    fs::{self, Metadata},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, fstat};

use super::files::{self, Last};

/// Inode of the initial pid namespace (`PROC_PID_INIT_INO`, the same on every kernel).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The largest file of the node's configuration that is read.
const MAX_FILE: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRoot {
    root: PathBuf,
    proc: PathBuf,
}

impl HostRoot {
    /// The node's files below `root`. Its own `proc` is used where it has one, else `/proc`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let own = root.join("proc");
        let proc = if own.join("1").exists() { own } else { PathBuf::from("/proc") };
        Self { root, proc }
    }

    /// `/`, or `/host` when that is the root of the node's init and `/` is not.
    pub fn find() -> Self {
        Self::at(find(Path::new("/proc/1/root"), Path::new("/"), Path::new("/host")))
    }

    pub fn is_slash(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where an absolute path of the node is for this process. Links in it are not resolved against the
    /// root: for sockets and messages; files are read by [`Self::read`].
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.root.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// A file of `/proc` as the node's initial pid namespace has it.
    pub fn proc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.proc.join(path)
    }

    pub fn open_root(&self) -> io::Result<OwnedFd> {
        files::open_root(&self.root)
    }

    /// The text of a regular file of the node, at most 1 MiB.
    pub fn read(&self, absolute: impl AsRef<Path>) -> io::Result<String> {
        let content = files::read_regular(self.open_root()?, absolute.as_ref(), Last::Follow, MAX_FILE)?;
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// How long a regular file of the node is. Nothing is opened.
    pub fn file_size(&self, absolute: impl AsRef<Path>) -> io::Result<u64> {
        let handle = files::locate(self.open_root()?, absolute.as_ref(), Last::Follow)?;
        let stat = fstat(&handle)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(u64::try_from(stat.st_size).unwrap_or_default())
    }

    /// A small text of `/proc`.
    pub fn read_proc(&self, path: impl AsRef<Path>) -> io::Result<String> {
        fs::read(self.proc(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether the pids seen in `/proc` are the ones the kernel programs report.
    pub fn shows_initial_pids(&self) -> bool {
        fs::read_link(self.proc("self/ns/pid")).is_ok_and(|link| link == Path::new(INITIAL_PID_NAMESPACE))
    }
}

/// Where init's root may not be looked at (a process with fewer rights than init's may not), a folder that has
/// a `/proc` with an init of its own is taken for the node's root.
fn find(init_root: &Path, slash: &Path, host: &Path) -> PathBuf {
    let (Ok(own), Ok(mounted)) = (fs::metadata(slash), fs::metadata(host)) else {
        return slash.to_owned();
    };
    let elsewhere = match fs::metadata(init_root) {
        Ok(init) => !same(&init, &own) && same(&init, &mounted),
        Err(_) => !same(&own, &mounted) && host.join("proc/1/stat").exists(),
    };
    if elsewhere { host.to_owned() } else { slash.to_owned() }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_root_of_init_decides() {
        let dir = tempfile::tempdir().unwrap();
        let (slash, host, other) =
            (dir.path().join("slash"), dir.path().join("host"), dir.path().join("other"));
        for path in [&slash, &host, &other] {
            fs::create_dir(path).unwrap();
        }
        let init = dir.path().join("init");
        for (target, expected) in [(&slash, &slash), (&host, &host), (&other, &slash)] {
            symlink(target, &init).unwrap();
            assert_eq!(&find(&init, &slash, &host), expected);
            fs::remove_file(&init).unwrap();
        }
        assert_eq!(
            find(&init, &slash, &host),
            slash,
            "init's root cannot be seen, and there is no other init"
        );
        fs::create_dir_all(host.join("proc/1")).unwrap();
        fs::write(host.join("proc/1/stat"), "").unwrap();
        assert_eq!(find(&init, &slash, &host), host);
        assert_eq!(find(&init, &host, &host), host, "one and the same");
    }

    #[test]
    fn files_are_read_inside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/real"), "node").unwrap();
        symlink("/etc/real", dir.path().join("etc/hostname")).unwrap();
        let host = HostRoot::at(dir.path());
        assert_eq!(host.read("/etc/hostname").unwrap(), "node");
        assert_eq!(host.file_size("/etc/hostname").unwrap(), 4);
        assert!(host.file_size("/etc").is_err() && host.file_size("/etc/none").is_err());
        assert_eq!(host.path("/etc/real"), dir.path().join("etc/real"));
    }

    #[test]
    fn proc_is_the_roots_own_where_it_has_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(HostRoot::at(dir.path()).proc("1"), Path::new("/proc/1"));
        fs::create_dir_all(dir.path().join("proc/1")).unwrap();
        assert_eq!(HostRoot::at(dir.path()).proc("1"), dir.path().join("proc/1"));
    }
}
